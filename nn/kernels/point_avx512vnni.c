/*
 * 1x1 convolution in integers with AVX-512 VNNI: a register holds 16 planes of one sample. Compiled
 * with -mavx512vnni and so on; entered only where the processor has it.
 */
#include "nn/kernels/point.h"
#include "nn/kernels/vec512.h"

enum { BLOCK = 12 };                /* samples at once, with two vectors of planes each */

/* P samples (a multiple of 3, or 1), V vectors of planes from o on. */
INLINE void block(const FsrPointConv *c, const uint8_t *src, float *dst, int o, const int P, const int V)
{
    const int8_t *w = c->weights + (size_t)o * c->cin, *end = w + 16 * c->cin;
    const uint8_t *in[BLOCK / 3];
    __m512i acc[BLOCK][2];

    UNROLL for (int p = 0; p < P; p += 3)       /* few pointers: the others are one and two samples away */
        in[p / 3] = src + (size_t)p * c->cin;
    UNROLL for (int p = 0; p < P; p++)
        UNROLL for (int v = 0; v < V; v++)
            acc[p][v] = _mm512_setzero_si512();
    for (size_t i = 0; w < end; w += 64, i += 4) {
        __m512i wv[2];

        UNROLL for (int v = 0; v < V; v++)
            wv[v] = _mm512_loadu_si512(w + (size_t)v * 16 * c->cin);
        UNROLL for (int p = 0; p < P; p++) {
            int32_t word;
            __m512i b;

            memcpy(&word, in[p / 3] + i + (size_t)(p % 3) * c->cin, sizeof(word));
            b = _mm512_set1_epi32(word);
            UNROLL for (int v = 0; v < V; v++)
                acc[p][v] = v_dot(acc[p][v], b, wv[v]);
        }
    }
    UNROLL for (int v = 0; v < V; v++) {
        const vec scale = v_load(c->scale + o + 16 * v), bias = v_load(c->bias + o + 16 * v);

        UNROLL for (int p = 0; p < P; p++) {
            const vec sum = v_add(v_mul(_mm512_cvtepi32_ps(acc[p][v]), scale), bias);

            v_store(dst + (size_t)p * c->cout + o + 16 * v, v_min(v_max(sum, v_set1(&c->low)), v_set1(&c->top)));
        }
    }
}

/* The last block is moved back over samples that are there already. */
INLINE void planes(const FsrPointConv *c, const uint8_t *src, float *dst, int n, int o, const int V)
{
    int x = 0;

    for (; x + BLOCK <= n; x += BLOCK)
        block(c, src + (size_t)x * c->cin, dst + (size_t)x * c->cout, o, BLOCK, V);
    if (x < n && n >= BLOCK)
        block(c, src + (size_t)(n - BLOCK) * c->cin, dst + (size_t)(n - BLOCK) * c->cout, o, BLOCK, V);
    else
        for (; x < n; x++)
            block(c, src + (size_t)x * c->cin, dst + (size_t)x * c->cout, o, 1, V);
}

static void row(const FsrPointConv *c, const uint8_t *src, float *dst, int n)
{
    int o = 0;

    for (; o + 32 <= c->cout; o += 32)
        planes(c, src, dst, n, o, 2);
    if (o < c->cout)
        planes(c, src, dst, n, o, 1);
}

const FsrPointKernel fsr_point_avx512vnni = { "i8 point avx512vnni", row };
