/* Convolution in integers with AVX-512 VNNI: 64 products an instruction. Compiled with
 * -mavx512vnni and so on; entered only where the processor has it. */
#include "nn/kernels/i8.h"
#include "nn/kernels/vec512.h"

#define ISA(name) name##_avx512vnni
#define ISA_NAME  "i8 avx512vnni"
#define BLOCK_S   3
#define BLOCK_C   8
#define W_WORDS   1

typedef __m512i ivec;
#define VI(op)             _mm512_##op##_si512
#define i_repeat(v)        _mm512_broadcast_i32x4(v)
#define i_halves(a, b)     _mm512_mask_set1_epi16(_mm512_set1_epi16(a), 0xf0f0f0f0, b)
#define i_align(b, a, k)   ((k) ? _mm512_alignr_epi32(b, a, (k)) : (a))
#define i_dot(acc, v, w)   v_dot(acc, v, w)

#include "nn/kernels/i8_simd.h"

/* ---- lanes: a register holds the planes of one sample, words of the input are broadcast -------- */

enum { LANES_P = 16, LANES_NEAR = 18 };     /* samples in registers: a tile, and one with what is made around it */

/* [kh][groups][kw][16 planes][4] */
static void lanes_pack(const FsrI8Conv *c, const int8_t *weights, void *dst)
{
    const size_t taps = fsr_i8_taps(c);

    memset(dst, 0, taps * 4 * VW);
    for (int o = 0; o < 4 * fsr_i8_blocks(c); o++)
        for (size_t t = 0; t < taps; t++)
            memcpy((uint8_t *)dst + (t * VW + o) * 4, weights + (o * taps + t) * 4, 4);
}

/* Each word of the input is loaded once for all K columns. */
INLINE void lanes_columns(ivec *acc, const uint32_t *in, int step, const uint32_t *w, const int N, const int K)
{
    ivec wv[3];

    UNROLL for (int k = 0; k < K; k++)
        wv[k] = i_load(w + k * VW);
    UNROLL for (int q = 0; q < N + K - 1; q++) {
        const ivec v = i_set1(in + q * step);

        UNROLL for (int k = 0; k < K; k++)
            if (q - k >= 0 && q - k < N)
                acc[q - k] = i_dot(acc[q - k], v, wv[k]);
    }
}

/* Four words of each block to the words of each of four samples. */
INLINE ivec lanes_turn(ivec v)
{
    return _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), v);
}

/* As i_bytes, but in 64-byte rows of four samples. */
INLINE void lanes_store(const FsrI8Conv *c, const ivec *acc, uint32_t *dst, const int N)
{
    const ivec shift = i_load(c->shift);
    const ivec twice = _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 0, 1, 1, 2, 2, 3, 3),
                                                _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)c->mult)));

    UNROLL for (int s = 0; s < N; s += 4) {
        ivec a[4], p, q;

        UNROLL for (int k = 0; k < 4; k++)
            a[k] = _mm512_srav_epi32(acc[s + k < N ? s + k : N - 1], shift);
        p = _mm512_mulhrs_epi16(_mm512_packs_epi32(a[0], a[1]), twice);
        q = _mm512_mulhrs_epi16(_mm512_packs_epi32(a[2], a[3]), twice);
        i_store_n(dst + 4 * s, lanes_turn(_mm512_packus_epi16(p, q)), 4 * (N - s < 4 ? N - s : 4));
    }
}

INLINE void lanes_store_floats(const FsrI8Conv *c, const ivec *acc, float *dst, const int N)
{
    const int n     = fsr_i8_planes(c);
    const vec scale = v_load_n(c->scale, n);

    UNROLL for (int s = 0; s < N; s++) {
        vec v = v_mul(_mm512_cvtepi32_ps(acc[s]), scale);

        v_store_n(dst + s * c->cout_stride, c->relu ? v_max(v, v_zero()) : v, n);
    }
}

INLINE void lanes_block(const FsrI8Conv *c, const uint32_t *const *rows, void *dst, int x, const int N, const int step)
{
    const uint32_t *w    = c->weights;
    const ivec      bias = (ivec)v_load_n(c->bias, 4 * fsr_i8_blocks(c));
    ivec acc[LANES_NEAR];

    UNROLL for (int s = 0; s < N; s++)
        acc[s] = bias;
    for (int ky = 0; ky < c->kh; ky++)
        for (int g = 0; g < c->groups; g++) {
            const uint32_t *in = rows[ky] + (size_t)x * step + g;

            if (c->kw == 3)
                lanes_columns(acc, in, step, w, N, 3);
            for (int kx = 0; kx < c->kw && c->kw != 3; kx++)
                lanes_columns(acc, in + kx * step, step, w + kx * VW, N, 1);
            w += c->kw * VW;
        }
    if (c->float_out)
        lanes_store_floats(c, acc, (float *)dst + (size_t)x * c->cout_stride, N);
    else
        lanes_store(c, acc, (uint32_t *)dst + (size_t)x * c->out_pitch, N);
}

/* Rows of tiles come out even. Else the last samples are made once more where that fills a block. */
INLINE void lanes_blocks(const FsrI8Conv *c, const uint32_t *const *rows, void *dst, int width, const int step)
{
    const int P = LANES_P;
    int x = 0;

    if (width >= LANES_NEAR && width % P == LANES_NEAR - P) {
        lanes_block(c, rows, dst, 0, LANES_NEAR, step);
        x = LANES_NEAR;
    }
    for (; x + P <= width || (width >= P && width - x > P / 2); x += P)
        lanes_block(c, rows, dst, x = x + P <= width ? x : width - P, P, step);
    for (; x < width && width >= P / 2; x += P / 2)
        lanes_block(c, rows, dst, x = x + P / 2 <= width ? x : width - P / 2, P / 2, step);
    for (; x < width; x++)
        lanes_block(c, rows, dst, x, 1, step);
}

static void lanes_row(const FsrI8Conv *c, const uint32_t *const *rows, void *dst, int width, uint32_t *scratch)
{
    (void)scratch;
    if (c->in_pitch == 4)       /* loads have fixed offsets */
        lanes_blocks(c, rows, dst, width, 4);
    else
        lanes_blocks(c, rows, dst, width, c->in_pitch);
}

static void lanes_bytes(const FsrI8Format *f, const float *src, int stride, uint32_t *dst, int pitch, int width)
{
    const Block b      = block_of(f, 0);
    const int   blocks = (f->planes + 3) / 4;
    __mmask8    fine   = 0;

    for (int k = 0; k < blocks; k++)
        fine |= f->fine[k] << k;
    for (int x = 0; x < width; x += 4) {
        const int n = width - x < 4 ? width - x : 4;
        ivec      words[2];

        four_samples(&b, src + (size_t)x * stride, stride, stride < VW ? stride : VW, n, words);
        for (int part = 0; part < 2; part++)
            words[part] = lanes_turn(words[part]);
        for (int k = 0; k < n; k++, dst += pitch) {
            _mm_mask_storeu_epi32(dst, (1 << blocks) - 1, ((const __m128i *)&words[0])[k]);
            _mm_mask_storeu_epi32(dst + blocks, (1 << (pitch - blocks)) - 1, _mm_maskz_compress_epi32(fine, ((const __m128i *)&words[1])[k]));
        }
    }
}

static void lanes_sum(const FsrI8Sum *s, const uint32_t *a, int a_pitch, const uint32_t *b, int b_pitch, uint32_t *dst,
                      int pitch, int width)
{
    ivec ratio[4], offset[4];

    (void)a_pitch, (void)b_pitch;   /* all have four words in a sample */
    for (int k = 0; k < 4; k++)
        factors(s, 4 * k, &ratio[k], &offset[k]);
    add_words(ratio, offset, a, b, dst, width * pitch);
}

const FsrI8Kernel fsr_i8_lanes_avx512vnni = { "i8 lanes avx512vnni", W_WORDS, lanes_pack, lanes_row, lanes_bytes, lanes_sum, 1 };
