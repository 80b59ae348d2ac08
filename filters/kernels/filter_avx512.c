/*
 * Kernels in AVX-512 with VNNI (multiply pairs and add to a sum in one step), where that is faster than AVX2. Blocks are
 * narrow, so most vectors have 256 bits; what counts there are 32 registers, permutations of 16-bit numbers, and masks
 * that spare the ends of rows. Rows of pictures take 512 bits.
 */
#include <immintrin.h>
#include <string.h>

#include "filters/kernels.h"

#define UNROLL _Pragma("GCC unroll 8")

#define c fsr_kernels_c         /* for what is not done here */

static inline __m256i load(const int16_t *p)
{
    return _mm256_loadu_si256((const __m256i *)p);
}

static inline void store(int16_t *p, __m256i v)
{
    _mm256_storeu_si256((__m256i *)p, v);
}

static inline int pair(const int16_t *p)
{
    int32_t v;

    memcpy(&v, p, sizeof(v));
    return v;
}

static inline unsigned mask(int n)
{
    return n >= 32 ? 0xffffffffu : (1u << n) - 1;
}

/* Motion compensation: along rows ------------------------------------------- */

/* Eight sums from the 15 samples that begin 3 before */
static inline __m128i row8(const int16_t *s, const __m256i *order, const __m256i *k, __m256i half)
{
    const __m256i v = load(s - 3);

    UNROLL
    for (int t = 0; t < 4; t++)
        half = _mm256_dpwssd_epi32(half, _mm256_permutexvar_epi16(order[t], v), k[t]);
    return _mm256_cvtsepi32_epi16(_mm256_srai_epi32(half, 6));
}

/* Sixteen, from neighbours that are pairs already */
static inline __m256i row16(const int16_t *s, const __m256i *k, __m256i half)
{
    const __m256i order = _mm256_setr_epi8(0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15,
                                           0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15);
    __m256i even = half, odd = half;

    UNROLL
    for (int t = 0; t < 4; t++) {
        even = _mm256_dpwssd_epi32(even, load(s + 2 * t - 3), k[t]);
        odd  = _mm256_dpwssd_epi32(odd, load(s + 2 * t - 2), k[t]);
    }
    return _mm256_shuffle_epi8(_mm256_packs_epi32(_mm256_srai_epi32(even, 6), _mm256_srai_epi32(odd, 6)), order);
}

/* 32 likewise: neighbours of a vector are shifted into place where that spares loads that cross lines. */
static inline __m512i row32(const int16_t *s, const __m256i *taps, int half)
{
    const __m512i order = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15));
    const __m512i a = _mm512_loadu_si512(s - 3), b = _mm512_loadu_si512(s + 5), round = _mm512_set1_epi32(half);
    __m512i k[4], even, odd;

    UNROLL
    for (int t = 0; t < 4; t++)
        k[t] = _mm512_broadcast_i64x4(taps[t]);
    even = _mm512_dpwssd_epi32(round, a, k[0]);
    odd  = _mm512_dpwssd_epi32(round, _mm512_loadu_si512(s - 2), k[0]);
    even = _mm512_dpwssd_epi32(even, _mm512_alignr_epi8(b, a, 4), k[1]);
    odd  = _mm512_dpwssd_epi32(odd, _mm512_alignr_epi8(b, a, 6), k[1]);
    even = _mm512_dpwssd_epi32(even, _mm512_alignr_epi8(b, a, 8), k[2]);
    odd  = _mm512_dpwssd_epi32(odd, _mm512_alignr_epi8(b, a, 10), k[2]);
    even = _mm512_dpwssd_epi32(even, _mm512_alignr_epi8(b, a, 12), k[3]);
    odd  = _mm512_dpwssd_epi32(odd, _mm512_alignr_epi8(b, a, 14), k[3]);
    return _mm512_shuffle_epi8(_mm512_packs_epi32(_mm512_srai_epi32(even, 6), _mm512_srai_epi32(odd, 6)), order);
}

static void filter_h(int16_t *dst, ptrdiff_t stride, const int16_t *src, ptrdiff_t src_stride, int w, int h, int frac, int half)
{
    const __m256i first = _mm256_setr_epi16(0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8), round = _mm256_set1_epi32(half);
    __m256i k[4], order[4];
    int x = 0;

    UNROLL
    for (int t = 0; t < 4; t++) {
        k[t]     = _mm256_set1_epi32(pair(fsr_luma_taps[frac] + 2 * t));
        order[t] = _mm256_add_epi16(first, _mm256_set1_epi16(2 * t));
    }
    for (; x + 32 <= w; x += 32)
        for (int y = 0; y < h; y++)
            _mm512_storeu_si512(dst + y * stride + x, row32(src + y * src_stride + x, k, half));
    for (; x + 16 <= w; x += 16)
        for (int y = 0; y < h; y++)
            store(dst + y * stride + x, row16(src + y * src_stride + x, k, round));
    for (; x + 8 <= w; x += 8)
        for (int y = 0; y < h; y++)
            _mm_storeu_si128((__m128i *)(dst + y * stride + x), row8(src + y * src_stride + x, order, k, round));
    for (int y = 0; x < w && y < h; y++)
        _mm_mask_storeu_epi16(dst + y * stride + x, mask(w - x), row8(src + y * src_stride + x, order, k, round));
}

/* Sums of two samples' 16 numbers: pairs of neighbouring samples are used again for those behind. */
static inline __attribute__((always_inline))
void deep16(int16_t *dst, ptrdiff_t stride, const int16_t *src, ptrdiff_t src_stride, int w, int h, const __m256i *k, __m256i round)
{
    for (int y = 0; y < h; y++) {
        const int16_t *s = src + y * src_stride;
        __m256i lo[4], hi[4];

        UNROLL
        for (int t = 0; t < 3; t++) {
            const __m256i a = load(s + (2 * t - 3) * FSR_DEEP), b = load(s + (2 * t - 2) * FSR_DEEP);

            lo[t] = _mm256_unpacklo_epi16(a, b);
            hi[t] = _mm256_unpackhi_epi16(a, b);
        }
        UNROLL
        for (int i = 0; i < w / (2 * FSR_DEEP); i++) {
            const __m256i a = load(s + (2 * i + 3) * FSR_DEEP), b = load(s + (2 * i + 4) * FSR_DEEP);
            __m256i even = round, odd = round;

            lo[(i + 3) & 3] = _mm256_unpacklo_epi16(a, b);
            hi[(i + 3) & 3] = _mm256_unpackhi_epi16(a, b);
            UNROLL
            for (int t = 0; t < 4; t++) {
                even = _mm256_dpwssd_epi32(even, lo[(i + t) & 3], k[t]);
                odd  = _mm256_dpwssd_epi32(odd, hi[(i + t) & 3], k[t]);
            }
            store(dst + y * stride + 2 * i * FSR_DEEP, _mm256_packs_epi32(_mm256_srai_epi32(even, 6), _mm256_srai_epi32(odd, 6)));
        }
    }
}

static void filter_h_deep(int16_t *dst, ptrdiff_t stride, const int16_t *src, ptrdiff_t src_stride, int w, int h, int frac, int half)
{
    const __m256i round = _mm256_set1_epi32(half);
    __m256i k[4];
    int x = 0;

    UNROLL
    for (int t = 0; t < 4; t++)
        k[t] = _mm256_set1_epi32(pair(fsr_luma_taps[frac] + 2 * t));
    for (; x + 64 <= w; x += 64)
        deep16(dst + x, stride, src + x, src_stride, 64, h, k, round);
    for (; x + 32 <= w; x += 32)
        deep16(dst + x, stride, src + x, src_stride, 32, h, k, round);
    for (; x + 16 <= w; x += 16)
        deep16(dst + x, stride, src + x, src_stride, 16, h, k, round);
    if (x < w)
        c.filter_h_deep(dst + x, stride, src + x, src_stride, w - x, h, frac, half);
}

/* Motion compensation: along columns ---------------------------------------- */

/* Which pair of rows lies where must be known to the compiler, or they do not stay in registers. */
#define EIGHT(row) { row(0) row(1) row(2) row(3) row(4) row(5) row(6) row(7) }

/* 16 columns: each pair of rows is made once, and used for four outputs. */
static inline void columns16(int16_t *dst, ptrdiff_t stride, const int16_t *src, ptrdiff_t src_stride, int h, const __m256i *k,
                             __m256i round)
{
    __m256i lo[8], hi[8], last = load(src - 3 * src_stride);

    UNROLL
    for (int t = 0; t < 6; t++) {
        const __m256i next = load(src + (t - 2) * src_stride);

        lo[t] = _mm256_unpacklo_epi16(last, next);
        hi[t] = _mm256_unpackhi_epi16(last, next);
        last  = next;
    }
    src += 4 * src_stride;
#define ROW16(j) {                                                              \
        const __m256i next = load(src);                                         \
        __m256i even = round, odd = round;                                      \
                                                                                \
        lo[(j + 6) & 7] = _mm256_unpacklo_epi16(last, next);                    \
        hi[(j + 6) & 7] = _mm256_unpackhi_epi16(last, next);                    \
        last = next;                                                            \
        UNROLL                                                                  \
        for (int t = 0; t < 4; t++) {                                           \
            even = _mm256_dpwssd_epi32(even, lo[(j + 2 * t) & 7], k[t]);        \
            odd  = _mm256_dpwssd_epi32(odd, hi[(j + 2 * t) & 7], k[t]);         \
        }                                                                       \
        store(dst, _mm256_packs_epi32(_mm256_srai_epi32(even, 6), _mm256_srai_epi32(odd, 6)));  \
        src += src_stride;                                                      \
        dst += stride;                                                          \
        if (!--h)                                                               \
            return;                                                             \
    }
    for (;;)
        EIGHT(ROW16)
}

/* Up to 8 columns */
static inline void columns8(int16_t *dst, ptrdiff_t stride, const int16_t *src, ptrdiff_t src_stride, int h, const __m256i *k,
                            __m256i round, unsigned wanted)
{
    const __m256i order = _mm256_setr_epi16(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    __m256i p[8], last = _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(src - 3 * src_stride)));

    UNROLL
    for (int t = 0; t < 6; t++) {
        const __m256i next = _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(src + (t - 2) * src_stride)));

        p[t] = _mm256_permutex2var_epi16(last, order, next);
        last = next;
    }
    src += 4 * src_stride;
#define ROW8(j) {                                                               \
        const __m256i next = _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)src));     \
        __m256i sum = round;                                                    \
                                                                                \
        p[(j + 6) & 7] = _mm256_permutex2var_epi16(last, order, next);          \
        last = next;                                                            \
        UNROLL                                                                  \
        for (int t = 0; t < 4; t++)                                             \
            sum = _mm256_dpwssd_epi32(sum, p[(j + 2 * t) & 7], k[t]);           \
        _mm_mask_storeu_epi16(dst, wanted, _mm256_cvtsepi32_epi16(_mm256_srai_epi32(sum, 6)));  \
        src += src_stride;                                                      \
        dst += stride;                                                          \
        if (!--h)                                                               \
            return;                                                             \
    }
    for (;;)
        EIGHT(ROW8)
}

static void filter_v(int16_t *dst, ptrdiff_t stride, const int16_t *src, ptrdiff_t src_stride, int w, int h, int frac, int half)
{
    const __m256i round = _mm256_set1_epi32(half);
    __m256i k[4];
    int x = 0;

    UNROLL
    for (int t = 0; t < 4; t++)
        k[t] = _mm256_set1_epi32(pair(fsr_luma_taps[frac] + 2 * t));
    for (; x + 16 <= w; x += 16)
        columns16(dst + x, stride, src + x, src_stride, h, k, round);
    for (; x < w; x += 8)
        columns8(dst + x, stride, src + x, src_stride, h, k, round, mask(w - x < 8 ? w - x : 8));
}

/* Blocks ---------------------------------------------------------------------- */

static void average(int16_t *dst, ptrdiff_t stride, const int16_t *a, ptrdiff_t a_stride,
                    const int16_t *b, ptrdiff_t b_stride, int w, int h)
{
    const __m256i sign = _mm256_set1_epi16(INT16_MIN);     /* the instruction is for unsigned numbers */

    for (int x = 0; x < w; x += 16) {
        const __mmask16 m = mask(w - x < 16 ? w - x : 16);

        for (int y = 0; y < h; y++) {
            const __m256i p = _mm256_maskz_loadu_epi16(m, a + y * a_stride + x), q = _mm256_maskz_loadu_epi16(m, b + y * b_stride + x);

            _mm256_mask_storeu_epi16(dst + y * stride + x, m, _mm256_xor_si256(sign, _mm256_avg_epu16(
                                     _mm256_xor_si256(sign, p), _mm256_xor_si256(sign, q))));
        }
    }
}

/* Upscaling --------------------------------------------------------------------- */

static inline __m512i load512(const int16_t *p)
{
    return _mm512_loadu_si512(p);
}

/* Pairs of neighbouring rows, as the sums take them */
typedef struct Pairs { __m512i lo[FSR_TAPS / 2], hi[FSR_TAPS / 2]; } Pairs;

static inline __attribute__((always_inline))
Pairs pairs(const int16_t *const *in, int i, int taps)
{
    Pairs p;

    UNROLL
    for (int t = 0; t < taps / 2; t++) {
        const __m512i a = load512(in[2 * t] + i), b = load512(in[2 * t + 1] + i);

        p.lo[t] = _mm512_unpacklo_epi16(a, b);
        p.hi[t] = _mm512_unpackhi_epi16(a, b);
    }
    return p;
}

static inline __attribute__((always_inline))
__m512i column(const Pairs *p, const __m512i *k, int taps)
{
    __m512i lo = _mm512_set1_epi32(2048), hi = lo;

    UNROLL
    for (int t = 0; t < taps / 2; t++) {
        lo = _mm512_dpwssd_epi32(lo, p->lo[t], k[t]);
        hi = _mm512_dpwssd_epi32(hi, p->hi[t], k[t]);
    }
    return _mm512_packs_epi32(_mm512_srai_epi32(lo, 12), _mm512_srai_epi32(hi, 12));
}

static inline void taps_of(__m512i *k, const FsrUpscaler *u, int phase)
{
    for (int t = 0; t < FSR_TAPS / 2; t++)
        k[t] = _mm512_set1_epi32(pair(u->coef[phase] + 2 * t));
}

/* Twice as many samples: sums of even and odd ones of both phases, from neighbours that are pairs already, put in line. */
static inline __attribute__((always_inline))
void twice(int16_t *out, const int16_t *in, int n, const FsrUpscaler *u, int taps)
{
    const __m512i first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11), second = _mm512_add_epi64(first, _mm512_set1_epi64(4));
    __m512i k[2][FSR_TAPS / 2];

    taps_of(k[0], u, 0);
    taps_of(k[1], u, 1);
    for (int i = 0; i < n; i += 32) {
        __m512i p[2], lo, hi;

        if (i > n - 32)
            i = n - 32;
        UNROLL
        for (int j = 0; j < 2; j++) {
            const int16_t *s = in + i + u->first[j];
            __m512i even = _mm512_set1_epi32(2048), odd = even;

            UNROLL
            for (int t = 0; t < taps / 2; t++) {
                even = _mm512_dpwssd_epi32(even, load512(s + 2 * t), k[j][t]);
                odd  = _mm512_dpwssd_epi32(odd, load512(s + 2 * t + 1), k[j][t]);
            }
            p[j] = _mm512_packs_epi32(_mm512_srai_epi32(even, 12), _mm512_srai_epi32(odd, 12));
        }
        lo = _mm512_unpacklo_epi16(p[0], p[1]);     /* in each quarter even samples, and odd ones */
        hi = _mm512_unpackhi_epi16(p[0], p[1]);
        p[0] = _mm512_unpacklo_epi32(lo, hi);
        p[1] = _mm512_unpackhi_epi32(lo, hi);
        _mm512_storeu_si512(out + 2 * i, _mm512_permutex2var_epi64(p[0], first, p[1]));
        _mm512_storeu_si512(out + 2 * i + 32, _mm512_permutex2var_epi64(p[0], second, p[1]));
    }
}

static void upscale_row(int16_t *out, const int16_t *in, int n_out, const FsrUpscaler *u)
{
    const int n = n_out / 2;

    if (u->scale != 2 || n < 32) {
        fsr_upscale_row_avx2(out, in, n_out, u);
        return;
    }
    if (u->taps == 4)
        twice(out, in, n, u, 4);
    else
        twice(out, in, n, u, 6);
    c.upscale_row(out + 2 * n, in + n, n_out - 2 * n, u);
}

static inline __attribute__((always_inline))
void columns(int16_t *out, const int16_t *const *in, const FsrUpscaler *u, int phase, int n, int taps)
{
    const int16_t *rows[FSR_TAPS];
    __m512i k[FSR_TAPS / 2];

    taps_of(k, u, phase);
    for (int t = 0; t < taps; t++)
        rows[t] = in[t];
    for (int i = 0; i < n; i += 32) {
        Pairs p;

        if (i > n - 32)
            i = n - 32;
        p = pairs(rows, i, taps);
        _mm512_storeu_si512(out + i, column(&p, k, taps));
    }
}

static void upscale_column(int16_t *out, const int16_t *const *in, const FsrUpscaler *u, int k, int n)
{
    if (n < 32)
        c.upscale_column(out, in, u, k, n);
    else if (u->taps == 4)
        columns(out, in, u, k, n, 4);
    else
        columns(out, in, u, k, n, 6);
}

/* The rounding multiplication is that of the definition for 16-bit factors, which a weight of 256 would not be. */
static inline __m512i blend(__m512i row, __m512i base, __m512i pred, __m512i weight)
{
    const __m512i   d    = _mm512_subs_epi16(row, pred);
    const __mmask32 part = _mm512_cmpneq_epi16_mask(weight, _mm512_set1_epi16(256));

    return _mm512_adds_epi16(base, _mm512_mask_mulhrs_epi16(d, part, d, _mm512_slli_epi16(weight, 7)));
}

static inline __attribute__((always_inline))
void carry(int16_t *const *row, int16_t *const *base_row, const int16_t *const *base, const int16_t *const *pred,
           const FsrUpscaler *u, int phase, const int16_t *const *weight, int rows, int n)
{
    const int16_t *b[FSR_TAPS], *p[FSR_TAPS];
    __m512i k[2][FSR_TAPS / 2];

    memcpy(b, base, sizeof(b));
    memcpy(p, pred, sizeof(p));
    for (int j = 0; j < rows; j++)
        taps_of(k[j], u, (phase + j) % u->scale);
    for (int i = 0; i < n; i += 32) {
        const Pairs b_pairs = pairs(b, i, FSR_TAPS), p_pairs = pairs(p, i, FSR_TAPS);

        UNROLL
        for (int j = 0; j < rows; j++) {
            const __m512i plain = column(&b_pairs, k[j], FSR_TAPS);
            const __m512i v = blend(load512(row[j] + i), plain, column(&p_pairs, k[j], FSR_TAPS), load512(weight[j] + i));

            _mm512_storeu_si512(row[j] + i, base_row ? _mm512_subs_epi16(v, plain) : v);
            if (base_row)
                _mm512_storeu_si512(base_row[j] + i, plain);
        }
    }
}

static void carry_rows(int16_t *const *row, int16_t *const *base_row, const int16_t *const *base, const int16_t *const *pred,
                       const FsrUpscaler *u, int phase, const int16_t *const *weight, int rows, int n)
{
    const int even = u->taps == FSR_TAPS ? n & ~31 : 0;

    if (even && rows == 2 && base_row)
        carry(row, base_row, base, pred, u, phase, weight, 2, even);
    else if (even && rows == 2)
        carry(row, NULL, base, pred, u, phase, weight, 2, even);
    else if (even)
        carry(row, base_row, base, pred, u, phase, weight, 1, even);
    fsr_carry_rest(row, base_row, base, pred, u, phase, weight, rows, even, n);
}

void fsr_kernels_avx512(FsrKernels *k)
{
    k->filter_h       = filter_h;
    k->filter_h_deep  = filter_h_deep;
    k->filter_v       = filter_v;
    k->average        = average;
    k->upscale_row    = upscale_row;
    k->upscale_column = upscale_column;
    k->carry_rows     = carry_rows;
}
