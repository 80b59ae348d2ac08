/*
 * Direct convolution with vectors, written once for all vector sizes.
 *
 * The file that includes this defines
 *   ISA(name)             name with the set's suffix
 *   vec, VW               a vector of floats and their number
 *   v_load, v_store, v_store_n (first n lanes), v_set1 (from memory), v_fma (a * b + c),
 *   v_fma_set1            v_fma with v_set1 inside, one instruction where there is one
 *   v_add, v_max, v_zero, INLINE, UNROLL (vec.h)
 *   v_sums(acc)           vector of the sums over each of VW vectors
 *   v_store4(p, v)        four vectors interleaved: first lanes first
 *   v_store_bf16          first n lanes (8 or VW) as bfloat16, where CAN_STORE_BF16 is 1
 *   WIDE_P                output samples in registers at once, with one vector of planes each
 *   IN_BF16               1: input planes and weights are pairs of bfloat16, v_fma adds both
 *                         products of each pair
 *
 * Two schemes:
 * - wide: a register holds VW output planes of one sample; each input value is broadcast
 *   and used for all of them. Two vectors of planes at once where there are as many.
 * - few: for 1 to 4 output planes. A register holds VW partial sums over input planes of one
 *   output sample; each input vector is loaded once and used for all columns of the kernel.
 *   Samples of half a vector are loaded by twos, for two columns of the kernel at once.
 */
#include "nn/kernels.h"

static inline int vectors(int planes)
{
    return (planes + VW - 1) / VW;
}

/* Words of input planes in a sample. */
static inline int words(const FsrConvShape *s)
{
    return IN_BF16 ? (s->cin + 1) / 2 : s->cin;
}

/* The weight of word i of the input: one plane's, or those of planes 2 i and 2 i + 1. */
static float weight(const FsrConvShape *s, const float *weights, int o, int i, int y, int x)
{
    const size_t plane = (size_t)s->kh * s->kw;
    const float *w     = weights + (size_t)o * s->cin * plane + y * s->kw + x;
    uint16_t     pair[2] = { 0, 0 };
    float        word;

    if (o >= s->cout || i >= words(s))
        return 0;
    if (!IN_BF16)
        return w[i * plane];
    for (int k = 0; k < 2 && 2 * i + k < s->cin; k++)
        pair[k] = fsr_to_bf16(w[(2 * i + k) * plane]);
    memcpy(&word, pair, sizeof(word));
    return word;
}

/* A sum between the limits of the shape. */
INLINE vec limit(const FsrConvShape *s, vec v)
{
    v = s->relu ? v_max(v, v_zero()) : v;
    return s->top > 0 ? v_min(v, v_set1(&s->top)) : v;
}

#if WIDE_P
/* ---- wide ------------------------------------------------------------------------- */

static int wide_fits(const FsrConvShape *s)
{
    return s->in_bf16 == IN_BF16 && (CAN_STORE_BF16 || !s->out_bf16);
}

static size_t wide_packed(const FsrConvShape *s)
{
    return (size_t)vectors(s->cout) * VW * (words(s) * s->kw * s->kh + 1);
}

/* [planes] biases, then for each group of 2 (at last 1) vectors of planes [kh][kw][cin][planes] */
static void wide_pack(const FsrConvShape *s, const float *weights, const float *bias, float *dst)
{
    const int nv = vectors(s->cout);

    memset(dst, 0, nv * VW * sizeof(*dst));
    memcpy(dst, bias, s->cout * sizeof(*dst));
    dst += nv * VW;
    for (int o = 0; o < nv * VW;) {
        const int n = nv * VW - o >= 2 * VW ? 2 * VW : VW;

        for (int y = 0; y < s->kh; y++)
            for (int x = 0; x < s->kw; x++)
                for (int i = 0; i < words(s); i++)
                    for (int k = 0; k < n; k++)
                        *dst++ = weight(s, weights, o + k, i, y, x);
        o += n;
    }
}

typedef struct Wide {
    const FsrConvShape *s;
    const float        *bias, *w;       /* of the group of planes */
    const float *const *rows;
    float              *dst;            /* sample 0, first plane of the group */
    int                 lanes;          /* planes to store of the group's last vector */
} Wide;

/* P samples from x on, V vectors of planes; stride between samples is a constant where
 * the compiler can see it, so that all loads have fixed offsets. */
INLINE void wide_block(const Wide *t, int x, const int P, const int V, const int stride)
{
    const FsrConvShape *s = t->s;
    /* where samples lie side by side, the columns of the kernel are one run */
    const int    runs = words(s) == stride ? 1 : s->kw;
    const int    len  = words(s) == stride ? s->kw * stride : words(s);
    const float *w    = t->w;
    vec acc[WIDE_P][2];

    if (s->cold)
        UNROLL for (int p = 0; p < P; p++)
            UNROLL for (int v = 0; v < V; v++)
                __builtin_prefetch(t->dst + (size_t)(x + p) * s->cout_stride + v * VW, 1);
    UNROLL for (int p = 0; p < P; p++)
        UNROLL for (int v = 0; v < V; v++)
            acc[p][v] = v_load(t->bias + v * VW);
    for (int ky = 0; ky < s->kh; ky++) {
        const float *in = t->rows[ky] + (size_t)x * stride;

        for (int r = 0; r < runs; r++, in += stride - len)
            for (int j = 0; j < len; j++, in++, w += V * VW) {
                vec wv[2];

                /* keeps the compiler from carrying loaded values into the next round,
                 * for which there are no registers */
                __asm__("" : "+r"(in));
                UNROLL for (int v = 0; v < V; v++)
                    wv[v] = v_load(w + v * VW);
                UNROLL for (int p = 0; V == 1 && p < P; p++)
                    acc[p][0] = v_fma_set1(in + p * stride, wv[0], acc[p][0]);
                UNROLL for (int p = 0; V > 1 && p < P; p++) {
                    vec b = v_set1(in + p * stride);
                    UNROLL for (int v = 0; v < V; v++)
                        acc[p][v] = v_fma(b, wv[v], acc[p][v]);
                }
            }
    }
    UNROLL for (int p = 0; p < P; p++) {
        float *d = t->dst + (size_t)(x + p) * s->cout_stride;

        UNROLL for (int v = 0; v < V; v++) {
            vec a = limit(s, acc[p][v]);
            if (CAN_STORE_BF16 && s->out_bf16)
                v_store_bf16(d + v * VW / 2, a, v < V - 1 ? VW : t->lanes);
            else if (v < V - 1 || t->lanes == VW)
                v_store(d + v * VW, a);
            else
                v_store_n(d + v * VW, a, t->lanes);
        }
    }
}

/* A row in blocks of WIDE_P / V samples, then smaller ones; the last is moved back over
 * samples that are there already, which gives them the same values once more. */
INLINE void wide_blocks(const Wide *t, int width, const int V, const int stride)
{
    const int P = WIDE_P / V, Q = WIDE_P / 4;
    int x = 0;

    for (; x + P <= width; x += P)
        wide_block(t, x, P, V, stride);
    for (; V == 1 && x + 3 * Q <= width; x += 3 * Q)
        wide_block(t, x, 3 * Q, V, stride);
    for (; x + Q <= width; x += Q)
        wide_block(t, x, Q, V, stride);
    if (x < width && width >= Q)
        wide_block(t, width - Q, Q, V, stride);
    else
        for (; x < width; x++)
            wide_block(t, x, 1, V, stride);
}

#define WIDE_FUNCTION(name, stride)                             \
    static void wide_##name(const Wide *t, int width, int two)  \
    {                                                           \
        if (two)                                                \
            wide_blocks(t, width, 2, stride);                   \
        else                                                    \
            wide_blocks(t, width, 1, stride);                   \
    }
WIDE_FUNCTION(any, t->s->cin_stride)
#ifdef __SANITIZE_ADDRESS__     /* with a check at each load, each copy takes a minute to compile */
#define WIDE_STRIDES(F)
#else
#define WIDE_STRIDES(F) F(1, 1) F(4, 4) F(6, 6) F(8, 8) F(16, 16) F(32, 32) F(64, 64)      /* 4: 8 planes of bfloat16 */
#endif
WIDE_STRIDES(WIDE_FUNCTION)
#define WIDE_CASE(name, stride) case stride: run = wide_##name; break;

static void wide_row(const FsrConvShape *s, const float *packed, const float *const *rows, float *dst, int width,
                     float *scratch)
{
    const int nv   = vectors(s->cout);
    const int taps = words(s) * s->kw * s->kh;
    const int half = s->out_bf16;               /* planes are half a word */
    void (*run)(const Wide *, int, int) = wide_any;
    Wide t = { .s = s, .bias = packed, .w = packed + nv * VW, .rows = rows, .dst = dst };

    (void)scratch;
    switch (s->cin_stride) {
    WIDE_STRIDES(WIDE_CASE)
    }
    for (int v = 0; v < nv;) {
        const int two  = nv - v >= 2, n = 1 + two;
        const int room = (s->cout_stride << half) - (v + two) * VW;

        t.lanes = room < VW ? room : VW;
        run(&t, width, two);
        t.bias += n * VW;
        t.dst  += n * VW >> half;
        t.w    += (size_t)n * VW * taps;
        v      += n;
    }
}

const FsrConvKernel ISA(fsr_conv_wide) = { ISA_NAME " wide", wide_fits, wide_packed, wide_pack, NULL, wide_row, NULL };

#endif /* WIDE_P */

/* ---- few -------------------------------------------------------------------------- */

/* Whether a vector holds two samples. */
#define few_pairs(s) (2 * (s)->cin_stride == VW)

static int few_fits(const FsrConvShape *s)
{
    return s->cout <= 4 && s->in_bf16 == IN_BF16 && !s->out_bf16 && words(s) <= s->cin_stride &&
           (s->cin_stride % VW == 0 || (few_pairs(s) && (s->kw == 3 || s->kw == 5)));
}

/* Vectors of weights in a row of the kernel. */
#define few_vectors(s) (few_pairs(s) ? ((s)->kw + 1) / 2 : vectors(words(s)) * (s)->kw)

static size_t few_packed(const FsrConvShape *s)
{
    return ((size_t)s->cout * few_vectors(s) * s->kh + 1) * VW;
}

/* VW biases (those that there are), then [cout][kh][vectors of words][kw][VW]; of pairs [cout][kh][(kw + 1) / 2][VW]: columns
 * 0 1, 2 3, and the last two, of which the first has 0 where it was there before. */
static void few_pack(const FsrConvShape *s, const float *weights, const float *bias, float *dst)
{
    const int pairs = few_pairs(s), step = pairs ? 2 : 1;

    memset(dst, 0, VW * sizeof(*dst));
    memcpy(dst, bias, s->cout * sizeof(*dst));
    dst += VW;
    for (int o = 0; o < s->cout; o++)
        for (int y = 0; y < s->kh; y++)
            for (int i = 0; i < words(s); i += VW)
                for (int x = 0; x < s->kw; x += step)
                    for (int k = 0; k < VW; k++) {
                        const int column = (x + step > s->kw ? x - 1 : x) + (pairs ? k / (VW / 2) : 0);
                        *dst++ = column < x ? 0 : weight(s, weights, o, pairs ? k % (VW / 2) : i + k, y, column);
                    }
}

/* P output samples, K vectors of weights, step columns of the kernel each, the last for the column `last` on: loads are shared. */
INLINE void few_columns(vec *acc, const float *in, const float *w, int stride, const int P, const int K, const int step, const int last)
{
    vec wv[5];

    UNROLL for (int k = 0; k < K; k++)
        wv[k] = v_load(w + k * VW);
    UNROLL for (int q = 0; q < P + last; q++) {
        vec b = v_load(in + (size_t)q * stride);
        UNROLL for (int k = 0; k < K; k++) {
            const int p = q - (k < K - 1 ? k * step : last);
            if (p >= 0 && p < P)
                acc[p] = v_fma(b, wv[k], acc[p]);
        }
    }
}

/* Output samples x .. x + P - 1 of one plane, in the first P lanes. */
INLINE vec few_block(const FsrConvShape *s, const float *bias, const float *w, const float *const *rows, int x, const int P)
{
    const int stride = s->cin_stride, pairs = few_pairs(s);
    vec acc[VW], sum;

    UNROLL for (int p = 0; p < VW; p++)
        acc[p] = v_zero();
    for (int ky = 0; ky < s->kh; ky++)
        for (int i = 0; i < words(s); i += VW) {
            const float *in = rows[ky] + (size_t)x * stride + i;
            int left = s->kw;

            for (; pairs && left; left = 0, w += few_vectors(s) * VW)
                s->kw == 5 ? few_columns(acc, in, w, stride, P, 3, 2, 3) : few_columns(acc, in, w, stride, P, 2, 2, 1);
            for (; left >= 5; left -= 5, w += 5 * VW, in += 5 * stride)
                few_columns(acc, in, w, stride, P, 5, 1, 4);
            for (; left >= 3; left -= 3, w += 3 * VW, in += 3 * stride)
                few_columns(acc, in, w, stride, P, 3, 1, 2);
            for (; left; left--, w += VW, in += stride)
                few_columns(acc, in, w, stride, P, 1, 1, 0);
        }
    sum = v_add(v_sums(acc), v_set1(bias));
    return limit(s, sum);
}

INLINE void few_samples(const FsrConvShape *s, const float *packed, const float *const *rows, float *d, int x, const int P)
{
    const size_t taps = (size_t)few_vectors(s) * VW * s->kh;
    const float *w    = packed + VW;
    vec sum[4];

    d += (size_t)x * s->cout_stride;
    for (int o = 0; o < s->cout; o++)
        sum[o] = few_block(s, packed + o, w + o * taps, rows, x, P);
    if (P == VW && s->cout_stride == 1) {
        v_store(d, sum[0]);
    } else if (P == VW && s->cout_stride == 4) {
        v_store4(d, sum);
    } else {
        for (int o = 0; o < s->cout; o++) {
            float lanes[VW];
            v_store(lanes, sum[o]);
            UNROLL for (int p = 0; p < P; p++)
                d[(size_t)p * s->cout_stride + o] = lanes[p];
        }
    }
}

static void few_row(const FsrConvShape *s, const float *packed, const float *const *rows, float *dst, int width,
                    float *scratch)
{
    int x = 0;

    (void)scratch;
    for (; x + VW <= width; x += VW)
        few_samples(s, packed, rows, dst, x, VW);
    if (x < width && width >= VW)
        few_samples(s, packed, rows, dst, width - VW, VW);
    else
        for (; x < width; x++)
            few_samples(s, packed, rows, dst, x, 1);
}

const FsrConvKernel ISA(fsr_conv_few) = { ISA_NAME " few", few_fits, few_packed, few_pack, NULL, few_row, NULL };
