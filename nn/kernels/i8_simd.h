/*
 * Convolution in integers with vectors, written once for all instruction sets.
 *
 * The file that includes this defines
 *   ISA(name), ISA_NAME, and what vec256.h or vec512.h have
 *   ivec                     VW integers: samples
 *   VI(op)                   name of an instruction on all bits of one
 *   i_repeat                 128 bits, repeated
 *   i_halves(a, b)           of 16 bits: four times a, four times b, repeated
 *   i_dot(acc, win, wvec)    acc + the four products of each word
 *   W_WORDS                  words of the weights of one plane for a word; where they are more than one:
 *   win, win_load            VW words of input as i_dot wants them
 *   wvec, w_load             weights, broadcast
 *   w_pack(dst, w)           W_WORDS words from 4 weights
 *   i_align(b, a, k)         words k to k + VW - 1 of a and b; or not at all
 *   BLOCK_S, BLOCK_C         vectors of samples and planes in registers at once
 */
#include "nn/kernels/i8.h"

#include <string.h>

#define i_load(p)     VI(loadu)((const ivec *)(p))
#define i_zero()      VI(setzero)()
#define i_set1(p)     V(set1_epi32)((int)*(p))      /* from memory */
#define i_store_n(p, v, n) v_store_n((float *)(p), (vec)(v), n)
#define i_add(a, b)   V(add_epi32)(a, b)
#define i_shift(a, n) V(sll_epi32)(a, _mm_cvtsi32_si128(n))

#if W_WORDS == 1
typedef ivec win, wvec;
#define win_load(p)  i_load(p)
#define w_load(p)    i_set1(p)
#define w_pack(d, w) memcpy(d, w, 4)
#endif

/* A tap's byte of a wide value, in place k of its word. */
INLINE ivec i_part(ivec v, int low, int k)
{
    v = low ? VI(and)(v, V(set1_epi32)((1 << FSR_I8_LOW_BITS) - 1)) : V(srli_epi32)(v, FSR_I8_LOW_BITS);
    return V(slli_epi32)(v, 8 * k);
}

/* Four vectors of sums to words of bytes; low (or NULL): fine ones, the lower bits to *low. Packing leaves
 * four samples of each of the planes in 128 bits: a 4 x 4 transposition. */
INLINE ivec i_bytes(const ivec *a, const int32_t *shift, const int16_t *mult, ivec *low)
{
    const ivec turn = i_repeat(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
    const ivec m01  = i_halves(mult[0], mult[1]), m23 = i_halves(mult[2], mult[3]);
    ivec s[4], p, q;

    UNROLL for (int k = 0; k < 4; k++)
        s[k] = V(srav_epi32)(a[k], V(set1_epi32)(shift[k]));
    p = V(mulhrs_epi16)(V(packs_epi32)(s[0], s[1]), m01);
    q = V(mulhrs_epi16)(V(packs_epi32)(s[2], s[3]), m23);
    if (low) {
        const ivec mask = V(set1_epi16)((1 << FSR_I8_LOW_BITS) - 1), top = V(set1_epi16)(FSR_I8_WIDE_MAX);

        p    = V(max_epi16)(V(min_epi16)(p, top), i_zero());
        q    = V(max_epi16)(V(min_epi16)(q, top), i_zero());
        *low = V(shuffle_epi8)(V(packus_epi16)(VI(and)(p, mask), VI(and)(q, mask)), turn);
        p    = V(srli_epi16)(p, FSR_I8_LOW_BITS);
        q    = V(srli_epi16)(q, FSR_I8_LOW_BITS);
    }
    return V(shuffle_epi8)(V(packus_epi16)(p, q), turn);
}

/* [blocks of 4 planes, fine ones twice][kh][groups][kw][4 planes][W_WORDS] */
static void pack(const FsrI8Conv *c, const int8_t *weights, void *dst)
{
    const size_t taps = fsr_i8_taps(c);
    uint32_t    *d    = dst;

    for (int b = 0; b < fsr_i8_place(c, fsr_i8_blocks(c)); b++)
        for (size_t t = 0; t < taps; t++)
            for (int o = 0; o < 4; o++, d += W_WORDS)
                w_pack(d, weights + ((4 * b + o) * taps + t) * 4);
}

static void unfold(const FsrI8Conv *c, const uint32_t *const *rows, int width, uint32_t *dst)
{
    for (int g = 0; g < c->groups; g++, dst += c->scratch_pitch) {
        const uint32_t *src[4];
        const FsrI8Tap *t = &c->taps[4 * g];

        for (int k = 0; k < 4; k++)
            src[k] = rows[t[k].row] + t[k].plane * c->in_pitch;
        for (int x = 0; x < width + c->kw - 1; x += VW) {
            ivec word = i_zero();
            UNROLL for (int k = 0; k < 4; k++)
                word = VI(or)(word, i_part(i_load(src[k] + x), t[k].low, k));
            i_store_n(dst + x, word, VW);
        }
    }
}

typedef struct Row {
    const FsrI8Conv       *c;
    const uint32_t *const *rows;
    int                    pitch;
    void                  *dst;
} Row;

/* N planes (1 or 4) of VW samples. */
INLINE void store_samples(float *d, const vec *v, const int N)
{
    if (N == 4)
        v_store4(d, v);
    else
        v_store(d, v[0]);
}

/* N planes from o on. */
INLINE void store_floats(const Row *t, int o, int x, int n, ivec (*acc)[BLOCK_S], const int N, const int S)
{
    const FsrI8Conv *c = t->c;
    float *d = (float *)t->dst + (size_t)x * c->cout_stride + o;

    UNROLL for (int s = 0; s < S; s++, d += VW * c->cout_stride) {
        const int have = n - s * VW;
        float     lanes[4 * VW];
        vec       v[4];

        UNROLL for (int k = 0; k < N; k++) {
            v[k] = v_mul(V(cvtepi32_ps)(acc[k][s]), v_set1(c->scale + o + k));
            v[k] = c->relu ? v_max(v[k], v_zero()) : v[k];
        }
        if (have >= VW && c->cout_stride == N) {
            store_samples(d, v, N);
            continue;
        }
        store_samples(lanes, v, N);
        for (int i = 0; i < VW && i < have; i++)
            memcpy(d + (size_t)i * c->cout_stride, lanes + N * i, N * sizeof(*d));
    }
}

#ifdef i_align
/* Products of one word of input in K columns with N single planes: too few to hide a load for each
 * column, which would cross a cache line; registers are moved by samples instead. */
INLINE void columns(const uint32_t *in, const uint32_t *w, size_t next, ivec (*acc)[BLOCK_S], const int N,
                    const int S, const int K)
{
    ivec v[BLOCK_S + 1];

    UNROLL for (int s = 0; s <= S; s++)
        v[s] = i_load(in + s * VW);
    UNROLL for (int kx = 0; kx < K; kx++)
        UNROLL for (int s = 0; s < S; s++) {
            ivec moved = i_align(v[s + 1], v[s], kx);
            UNROLL for (int k = 0; k < N; k++)
                acc[k][s] = i_dot(acc[k][s], moved, w_load(w + k * next + kx * 4));
        }
}
#endif

/* N sums of S vectors of samples from x on, the weights of G of them side by side. */
INLINE void sums(const Row *t, const uint32_t *w, int x, ivec (*acc)[BLOCK_S], const int N, const int G, const int S)
{
    const FsrI8Conv *c    = t->c;
    const size_t     next = fsr_i8_taps(c) * 4 * W_WORDS;     /* words of four planes */

    UNROLL for (int k = 0; k < N; k++)
        UNROLL for (int s = 0; s < S; s++)
            acc[k][s] = i_zero();
    for (int ky = 0; ky < c->kh; ky++)
        for (int g = 0; g < c->groups; g++) {
            const uint32_t *in = t->rows[ky] + (size_t)g * t->pitch + x;

#ifdef i_align
            if (G == 1 && (c->kw == 3 || c->kw == 5)) {
                if (c->kw == 3)
                    columns(in, w, next, acc, N, S, 3);
                else
                    columns(in, w, next, acc, N, S, 5);
                w += c->kw * 4 * W_WORDS;
                continue;
            }
#endif
            for (int kx = 0; kx < c->kw; kx++, in++, w += 4 * W_WORDS) {
                win v[BLOCK_S];

                UNROLL for (int s = 0; s < S; s++)
                    v[s] = win_load(in + s * VW);
                UNROLL for (int k = 0; k < N; k++) {
                    wvec wv = w_load(w + k / G * next + k % G * W_WORDS);
                    UNROLL for (int s = 0; s < S; s++)
                        acc[k][s] = i_dot(acc[k][s], v[s], wv);
                }
            }
        }
}

/* N planes (1, 4 or 8) from o on, whose weights begin in block `place`; F: they are fine. n of
 * the samples are wanted. */
INLINE void block(const Row *t, int o, int place, int x, int n, const int N, const int F, const int S)
{
    const FsrI8Conv *c = t->c;
    const uint32_t  *w = (const uint32_t *)c->weights +
                         (place * fsr_i8_taps(c) * 4 + o % 4) * W_WORDS;
    uint32_t *d = (uint32_t *)t->dst + (size_t)place * c->out_pitch + x;
    ivec acc[8][BLOCK_S];

    sums(t, w, x, acc, F ? 2 * N : N, N == 1 ? 1 : 4, S);
    UNROLL for (int k = 0; k < N; k++)
        UNROLL for (int s = 0; s < S; s++) {
            if (F)
                acc[k][s] = i_add(i_shift(acc[k][s], c->fine_bits), acc[N + k][s]);
            acc[k][s] = i_add(acc[k][s], i_set1(&c->bias[o + k]));
        }
    if (c->float_out) {
        UNROLL for (int k = 0; k < N; k += 4)
            store_floats(t, o + k, x, n, acc + k, N < 4 ? N : 4, S);
        return;
    }
    UNROLL for (int k = 0; k + 4 <= N; k += 4)
        UNROLL for (int s = 0; s < S; s++) {
            ivec four[4] = { acc[k][s], acc[k + 1][s], acc[k + 2][s], acc[k + 3][s] }, low;
            uint32_t *p = d + (size_t)k / 4 * c->out_pitch + s * VW;
            const int m = n - s * VW < VW ? n - s * VW : VW;

            i_store_n(p, i_bytes(four, c->shift + o + k, c->mult + o + k, F ? &low : NULL), m);
            if (F)
                i_store_n(p + c->out_pitch, low, m);
        }
}

INLINE void planes(const Row *t, int x, int n, const int S)
{
    const FsrI8Conv *c   = t->c;
    const int        all = fsr_i8_planes(c), P = BLOCK_C == 8 ? S : 1;      /* a fine block takes twice the registers */
    int o = 0, place = 0;

    while (o + 4 <= all) {
        const int fine = c->fine[o / 4], eight = BLOCK_C == 8 && !fine && o + 8 <= all && !c->fine[o / 4 + 1];

        for (int s = 0; fine && s < S; s += P)
            block(t, o, place, x + s * VW, n - s * VW, 4, 1, P);
        if (BLOCK_C == 8 && eight)
            block(t, o, place, x, n, 8, 0, S);
        else if (!fine)
            block(t, o, place, x, n, 4, 0, S);
        place += 1 + (fine || eight);
        o     += eight ? 8 : 4;
    }
    for (; o < all; o++) {
        if (c->fine[o / 4])
            block(t, o, place, x, n, 1, 1, S);
        else
            block(t, o, place, x, n, 1, 0, S);
    }
}

static void row(const FsrI8Conv *c, const uint32_t *const *rows, void *dst, int width, uint32_t *scratch)
{
    const uint32_t *unfolded[1] = { scratch };
    Row t = { c, rows, c->in_pitch, dst };
    int x = 0;

    if (c->taps) {
        unfold(c, rows, width, scratch);
        t.rows  = unfolded;
        t.pitch = c->scratch_pitch;
    }
    for (; x + BLOCK_S * VW <= width; x += BLOCK_S * VW)
        planes(&t, x, BLOCK_S * VW, BLOCK_S);
    if (BLOCK_S > 2 && x + VW < width) {
        planes(&t, x, width - x < 2 * VW ? width - x : 2 * VW, 2);
        x += 2 * VW;
    }
    for (; x < width; x += VW)
        planes(&t, x, width - x < VW ? width - x : VW, 1);
}

/* The format of VW planes from g on: their blocks are the 128-bit parts of vectors. */
typedef struct Block {
    vec  low, factor, top;
    ivec fine;                  /* mask */
} Block;

static Block block_of(const FsrI8Format *f, int g)
{
    float   top[VW];
    int32_t fine[VW];

    for (int k = 0; k < VW; k++) {
        fine[k] = -f->fine[(g + k) / 4];
        top[k]  = fine[k] ? FSR_I8_WIDE_MAX : 255;
    }
    return (Block){ v_load(f->low + g), V(div_ps)(V(set1_ps)(1), v_load(f->step + g)), v_load(top), i_load(fine) };
}

/* Numbers of one sample. The order of the smaller one lets what is not a number through, which becomes the least. */
INLINE ivec i_numbers(const Block *b, vec v)
{
    v = v_add(v_mul(V(sub_ps)(v, b->low), b->factor), V(set1_ps)(0.5f));
    return V(cvttps_epi32)(v_min(b->top, v));
}

/* Numbers of two samples, upper 8 bits; *low: the lower ones. */
INLINE ivec i_split(const Block *b, ivec v, ivec *low)
{
    v    = V(max_epi16)(v, i_zero());
    *low = VI(and)(v, V(set1_epi16)((1 << FSR_I8_LOW_BITS) - 1));
    return VI(or)(VI(andnot)(b->fine, v), VI(and)(b->fine, V(srli_epi16)(v, FSR_I8_LOW_BITS)));
}

/* Numbers of n samples, at most four, in bytes: 128 bits are four words of one block. words[1]: the lower bits. */
INLINE void four_samples(const Block *b, const float *src, int stride, int have, int n, ivec *words)
{
    ivec v[4], lower[2];

    UNROLL for (int k = 0; k < 4; k++)
        v[k] = i_numbers(b, v_load_n(src + (k < n ? k : n - 1) * stride, have));
    v[0] = i_split(b, V(packs_epi32)(v[0], v[1]), &lower[0]);
    v[2] = i_split(b, V(packs_epi32)(v[2], v[3]), &lower[1]);
    words[0] = V(packus_epi16)(v[0], v[2]);
    words[1] = V(packus_epi16)(lower[0], lower[1]);
}

static void bytes(const FsrI8Format *f, const float *src, int stride, uint32_t *dst, int pitch, int width)
{
    int low = (f->planes + 3) / 4;

    for (int g = 0; g < f->planes; g += VW) {
        const Block b = block_of(f, g);
        const int   blocks = (f->planes - g < VW ? f->planes - g + 3 : VW) / 4, have = stride - g < VW ? stride - g : VW;
        int         place = low;

        for (int x = 0; x < width; x += 4) {
            const int n = width - x < 4 ? width - x : 4;
            ivec      words[2];

            four_samples(&b, src + (size_t)x * stride + g, stride, have, n, words);
            place = low;
            for (int k = 0; k < blocks; k++)
                for (int part = 0; part <= f->fine[g / 4 + k]; part++)
                    memcpy(dst + (size_t)(part ? place++ : g / 4 + k) * pitch + x, (char *)&words[part] + 16 * k, 4 * n);
        }
        low = place;
    }
}

/* n words, the k-th in each 128 bits with factors k. */
INLINE void add_words(const ivec *ratio, const ivec *offset, const uint32_t *a, const uint32_t *b, uint32_t *dst, int n)
{
    for (int x = 0; x < n; x += VW) {
        const ivec v = i_load(a + x), w = i_load(b + x), p = V(unpacklo_epi8)(v, w), q = V(unpackhi_epi8)(v, w);
        ivec s[4] = { V(unpacklo_epi8)(p, i_zero()), V(unpackhi_epi8)(p, i_zero()),
                      V(unpacklo_epi8)(q, i_zero()), V(unpackhi_epi8)(q, i_zero()) };

        UNROLL for (int k = 0; k < 4; k++)
            s[k] = V(srai_epi32)(i_add(V(madd_epi16)(s[k], ratio[k]), offset[k]), FSR_I8_SUM_BITS);
        i_store_n(dst + x, V(packus_epi16)(V(packs_epi32)(s[0], s[1]), V(packs_epi32)(s[2], s[3])), n - x < VW ? n - x : VW);
    }
}

/* Factors of four planes. */
INLINE void factors(const FsrI8Sum *s, int g, ivec *ratio, ivec *offset)
{
    *ratio  = i_repeat(_mm_loadu_si128((const __m128i *)(s->ratio + 2 * g)));
    *offset = i_repeat(_mm_loadu_si128((const __m128i *)(s->offset + g)));
}

static void sum(const FsrI8Sum *s, const uint32_t *a, int a_pitch, const uint32_t *b, int b_pitch, uint32_t *dst,
                int pitch, int width)
{
    for (int g = 0; g < s->planes; g += 4, a += a_pitch, b += b_pitch, dst += pitch) {
        ivec ratio[4], offset[4];

        for (int k = 0; k < 4; k++)
            factors(s, g, &ratio[k], &offset[k]);
        add_words(ratio, offset, a, b, dst, width);
    }
}

const FsrI8Kernel ISA(fsr_i8) = { ISA_NAME, W_WORDS, pack, row, bytes, sum, 0 };
