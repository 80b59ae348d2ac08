/*
 * Kernels in AVX2. Products of 16-bit samples are summed in pairs (madd) in 32 bits, so no
 * intermediate is cut. Rows are done 16 samples at a time; where a row ends between, the last
 * 16 (or 8) samples are done once more from the end, and what is shorter is left to C.
 */
#include <immintrin.h>
#include <string.h>

#include "filters/kernels.h"

#define UNROLL _Pragma("GCC unroll 4")

#define c fsr_kernels_c         /* for what is not done here */

static inline __m256i load(const int16_t *p)
{
    return _mm256_loadu_si256((const __m256i *)p);
}

static inline void store(int16_t *p, __m256i v)
{
    _mm256_storeu_si256((__m256i *)p, v);
}

/* Two coefficients, for madd */
static inline __m256i pair(const int16_t *p)
{
    int32_t v;

    memcpy(&v, p, sizeof(v));
    return _mm256_set1_epi32(v);
}

/* 16 sums in the order that unpacking two vectors gives: 0-3 and 8-11 in lo, the others in hi */
typedef struct Sums { __m256i lo, hi; } Sums;

/* Even and odd samples' sums in order */
static inline __m256i interleave(__m256i even, __m256i odd)
{
    const __m256i order = _mm256_setr_epi8(0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15,
                                           0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15);

    return _mm256_shuffle_epi8(_mm256_packs_epi32(even, odd), order);
}

/* Samples <-> the 14-bit scale --------------------------------------------- */

static void load_row(int16_t *dst, const uint8_t *src, int n, int bytes, int step, int shift, int depth)
{
    const __m128i up = _mm_cvtsi32_si128(14 - depth);
    int i = 0;

    if (step == 1 && bytes == 1) {
        for (; i + 16 <= n; i += 16)
            store(dst + i, _mm256_sll_epi16(_mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(src + i))), up));
    } else if (step == 1) {
        const __m128i down = _mm_cvtsi32_si128(shift);
        const __m256i mask = _mm256_set1_epi16((1 << depth) - 1);

        for (; i + 16 <= n; i += 16)
            store(dst + i, _mm256_sll_epi16(_mm256_and_si256(_mm256_srl_epi16(load((const int16_t *)src + i), down), mask), up));
    }
    c.load_row(dst + i, src + i * bytes, n - i, bytes, step, shift, depth);
}

static void store_row(uint8_t *dst, const int16_t *src, int n, int bytes, int step, int shift, int depth)
{
    const __m128i down = _mm_cvtsi32_si128(14 - depth);
    const __m256i half = _mm256_set1_epi16(depth < 14 ? 1 << (13 - depth) : 0);
    const __m256i max  = _mm256_set1_epi16((1 << depth) - 1), zero = _mm256_setzero_si256();
    int i = 0;

    if (step == 1 && bytes == 1 && depth == 8) {
        for (; i + 32 <= n; i += 32) {
            const __m256i a = _mm256_sra_epi16(_mm256_adds_epi16(load(src + i), half), down);
            const __m256i b = _mm256_sra_epi16(_mm256_adds_epi16(load(src + i + 16), half), down);

            _mm256_storeu_si256((__m256i *)(dst + i), _mm256_permute4x64_epi64(_mm256_packus_epi16(a, b), 0xd8));
        }
    } else if (step == 1 && bytes == 2) {
        const __m128i up = _mm_cvtsi32_si128(shift);

        for (; i + 16 <= n; i += 16) {
            const __m256i v = _mm256_sra_epi16(_mm256_adds_epi16(load(src + i), half), down);

            store((int16_t *)dst + i, _mm256_sll_epi16(_mm256_max_epi16(_mm256_min_epi16(v, max), zero), up));
        }
    }
    c.store_row(dst + i * bytes, src + i, n - i, bytes, step, shift, depth);
}

/* Upscaling ---------------------------------------------------------------- */

/* 16 neighbouring sums of one phase, in order */
static inline __attribute__((always_inline))
__m256i phase(const int16_t *in, const __m256i *k, int taps)
{
    const __m256i round = _mm256_set1_epi32(2048);
    __m256i even = round, odd = round;

    UNROLL
    for (int t = 0; t < taps / 2; t++) {
        even = _mm256_add_epi32(even, _mm256_madd_epi16(load(in + 2 * t), k[t]));
        odd  = _mm256_add_epi32(odd, _mm256_madd_epi16(load(in + 2 * t + 1), k[t]));
    }
    return interleave(_mm256_srai_epi32(even, 12), _mm256_srai_epi32(odd, 12));
}

/* From 16 samples, scale times as many */
static inline __attribute__((always_inline))
void upscale16(int16_t *out, const int16_t *in, const FsrUpscaler *u, const __m256i k[4][3], int scale, int taps)
{
    __m256i p[4];

    UNROLL
    for (int i = 0; i < scale; i++)
        p[i] = phase(in + u->first[i], k[i], taps);
    if (scale == 2) {
        const __m256i lo = _mm256_unpacklo_epi16(p[0], p[1]), hi = _mm256_unpackhi_epi16(p[0], p[1]);

        store(out, _mm256_permute2x128_si256(lo, hi, 0x20));
        store(out + 16, _mm256_permute2x128_si256(lo, hi, 0x31));
    } else {
        int16_t t[4][16];

        for (int i = 0; i < scale; i++)
            store(t[i], p[i]);
        for (int i = 0; i < 16; i++)
            for (int j = 0; j < scale; j++)
                out[scale * i + j] = t[j][i];
    }
}

static inline __attribute__((always_inline))
void upscale(int16_t *out, const int16_t *in, int n, const FsrUpscaler *u, int scale, int taps)
{
    __m256i k[4][3];

    UNROLL
    for (int i = 0; i < scale; i++)
        for (int t = 0; t < taps / 2; t++)
            k[i][t] = pair(u->coef[i] + 2 * t);
    for (int i = 0; i < n; i += 16) {
        if (i > n - 16)
            i = n - 16;
        upscale16(out + i * scale, in + i, u, k, scale, taps);
    }
}

void fsr_upscale_row_avx2(int16_t *out, const int16_t *in, int n_out, const FsrUpscaler *u)
{
    const int n = n_out / u->scale, done = n < 16 ? 0 : n;

    switch (done ? 10 * u->scale + u->taps : 0) {
    case 24: upscale(out, in, n, u, 2, 4); break;
    case 26: upscale(out, in, n, u, 2, 6); break;
    case 34: upscale(out, in, n, u, 3, 4); break;
    case 36: upscale(out, in, n, u, 3, 6); break;
    case 44: upscale(out, in, n, u, 4, 4); break;
    case 46: upscale(out, in, n, u, 4, 6); break;
    }
    c.upscale_row(out + done * u->scale, in + done, n_out - done * u->scale, u);
}

static inline __attribute__((always_inline))
Sums column(const int16_t *const *in, int i, const __m256i *k, int taps)
{
    const __m256i round = _mm256_set1_epi32(2048);
    Sums s = { round, round };

    UNROLL
    for (int t = 0; t < taps / 2; t++) {
        const __m256i a = load(in[2 * t] + i), b = load(in[2 * t + 1] + i);

        s.lo = _mm256_add_epi32(s.lo, _mm256_madd_epi16(_mm256_unpacklo_epi16(a, b), k[t]));
        s.hi = _mm256_add_epi32(s.hi, _mm256_madd_epi16(_mm256_unpackhi_epi16(a, b), k[t]));
    }
    return s;
}

static inline __m256i pack(Sums s, int shift)
{
    return _mm256_packs_epi32(_mm256_srai_epi32(s.lo, shift), _mm256_srai_epi32(s.hi, shift));
}

static inline __attribute__((always_inline))
void columns(int16_t *out, const int16_t *const *in, const FsrUpscaler *u, int phase, int n, int taps)
{
    const __m256i k[3] = { pair(u->coef[phase]), pair(u->coef[phase] + 2), pair(u->coef[phase] + 4) };
    const int16_t *rows[6];

    for (int t = 0; t < taps; t++)
        rows[t] = in[t];
    for (int i = 0; i < n; i += 16) {
        if (i > n - 16)
            i = n - 16;
        store(out + i, pack(column(rows, i, k, taps), 12));
    }
}

static void upscale_column(int16_t *out, const int16_t *const *in, const FsrUpscaler *u, int k, int n)
{
    if (n < 16)
        c.upscale_column(out, in, u, k, n);
    else if (u->taps == 4)
        columns(out, in, u, k, n, 4);
    else
        columns(out, in, u, k, n, 6);
}

/* The rounding multiplication is that of the definition for 16-bit factors, which a weight of 256 would not be. */
static inline __m256i blend(__m256i row, __m256i base, __m256i pred, __m256i weight)
{
    const __m256i d    = _mm256_subs_epi16(row, pred), all = _mm256_cmpeq_epi16(weight, _mm256_set1_epi16(256));
    const __m256i part = _mm256_mulhrs_epi16(d, _mm256_slli_epi16(weight, 7));

    return _mm256_adds_epi16(base, _mm256_blendv_epi8(part, d, all));
}

static void carry_rows(int16_t *const *row, int16_t *const *base_row, const int16_t *const *base, const int16_t *const *pred,
                       const FsrUpscaler *u, int phase, const int16_t *const *weight, int rows, int n)
{
    const int even = u->taps == FSR_TAPS ? n & ~15 : 0;

    for (int j = 0, ph = phase; j < rows; j++, ph = (ph + 1) % u->scale) {
        const __m256i k[3] = { pair(u->coef[ph]), pair(u->coef[ph] + 2), pair(u->coef[ph] + 4) };

        for (int i = 0; i < even; i += 16) {
            const __m256i plain = pack(column(base, i, k, FSR_TAPS), 12);
            const __m256i v = blend(load(row[j] + i), plain, pack(column(pred, i, k, FSR_TAPS), 12), load(weight[j] + i));

            store(row[j] + i, base_row ? _mm256_subs_epi16(v, plain) : v);
            if (base_row)
                store(base_row[j] + i, plain);
        }
    }
    fsr_carry_rest(row, base_row, base, pred, u, phase, weight, rows, even, n);
}

/* Eight pairs of cells at a time; mulhrs has the rounding of the definition. */
static void lerp_row(int16_t *out, const int16_t *cells, int nb, const int16_t *f, int span)
{
    int k = 0;

    if (span == 8) {
        const __m256i far = _mm256_broadcastsi128_si256(_mm_slli_epi16(_mm_loadu_si128((const __m128i *)f), 8));

        for (; k + 8 <= nb; k += 8) {
            const __m256i left = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(cells + k)));
            const __m256i next = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(cells + k + 1)));
            const __m256i step = _mm256_sub_epi16(next, left);
            __m256i which = _mm256_inserti128_si256(_mm256_set1_epi16(0x0100), _mm_set1_epi16(0x0302), 1);

            UNROLL
            for (int j = 0; j < 8; j += 2) {
                store(out + (k + j) * 8, _mm256_add_epi16(_mm256_shuffle_epi8(left, which),
                      _mm256_mulhrs_epi16(_mm256_shuffle_epi8(step, which), far)));
                which = _mm256_add_epi8(which, _mm256_set1_epi8(4));
            }
        }
    } else if (span == 16) {
        const __m256i far = _mm256_slli_epi16(load(f), 8);

        for (; k < nb; k++)
            store(out + k * 16, _mm256_add_epi16(_mm256_set1_epi16(cells[k]),
                  _mm256_mulhrs_epi16(_mm256_set1_epi16(cells[k + 1] - cells[k]), far)));
    }
    c.lerp_row(out + k * span, cells + k, nb - k, f, span);
}

/* Motion compensation ------------------------------------------------------ */

static inline void store_some(int16_t *dst, __m128i v, int w)
{
    int16_t t[8];

    if (w >= 8) {
        _mm_storeu_si128((__m128i *)dst, v);
    } else if (w == 4) {
        _mm_storel_epi64((__m128i *)dst, v);
    } else {
        _mm_storeu_si128((__m128i *)t, v);
        memcpy(dst, t, w * sizeof(*dst));
    }
}

/* 16 samples; step: 1 or the stride */
static inline __attribute__((always_inline))
__m256i filter16(const int16_t *s, ptrdiff_t step, const __m256i *k, __m256i half)
{
    Sums v = { half, half };

    s -= 3 * step;
    UNROLL
    for (int t = 0; t < 4; t++, s += 2 * step) {
        const __m256i a = load(s), b = load(s + step);

        if (step == 1) {        /* neighbours are pairs already */
            v.lo = _mm256_add_epi32(v.lo, _mm256_madd_epi16(a, k[t]));
            v.hi = _mm256_add_epi32(v.hi, _mm256_madd_epi16(b, k[t]));
        } else {
            v.lo = _mm256_add_epi32(v.lo, _mm256_madd_epi16(_mm256_unpacklo_epi16(a, b), k[t]));
            v.hi = _mm256_add_epi32(v.hi, _mm256_madd_epi16(_mm256_unpackhi_epi16(a, b), k[t]));
        }
    }
    return step == 1 ? interleave(_mm256_srai_epi32(v.lo, 6), _mm256_srai_epi32(v.hi, 6)) : pack(v, 6);
}

/* 8 samples, those from the first on that w asks for are stored */
static inline __attribute__((always_inline))
__m128i filter8(const int16_t *s, ptrdiff_t step, const __m256i *k, __m256i half)
{
    __m256i v = half;

    s -= 3 * step;
    UNROLL
    for (int t = 0; t < 4; t++, s += 2 * step) {
        const __m128i a = _mm_loadu_si128((const __m128i *)s), b = _mm_loadu_si128((const __m128i *)(s + step));

        v = _mm256_add_epi32(v, _mm256_madd_epi16(_mm256_inserti128_si256(_mm256_castsi128_si256(_mm_unpacklo_epi16(a, b)),
                                                                          _mm_unpackhi_epi16(a, b), 1), k[t]));
    }
    v = _mm256_srai_epi32(v, 6);
    return _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
}

static inline __attribute__((always_inline))
void filter_block(int16_t *dst, ptrdiff_t stride, const int16_t *src, ptrdiff_t src_stride,
                  int w, int h, ptrdiff_t step, int frac, int half)
{
    const int16_t *taps = fsr_luma_taps[frac];
    const __m256i  k[4] = { pair(taps), pair(taps + 2), pair(taps + 4), pair(taps + 6) };
    const __m256i  round = _mm256_set1_epi32(half);
    int x = 0;

    for (; x + 16 <= w; x += 16)
        for (int y = 0; y < h; y++)
            store(dst + y * stride + x, filter16(src + y * src_stride + x, step, k, round));
    for (; x < w; x += 8)
        for (int y = 0; y < h; y++)
            store_some(dst + y * stride + x, filter8(src + y * src_stride + x, step, k, round), w - x);
}

static void filter_h(int16_t *dst, ptrdiff_t stride, const int16_t *src, ptrdiff_t src_stride, int w, int h, int frac, int half)
{
    filter_block(dst, stride, src, src_stride, w, h, 1, frac, half);
}

static void filter_h_deep(int16_t *dst, ptrdiff_t stride, const int16_t *src, ptrdiff_t src_stride, int w, int h, int frac, int half)
{
    filter_block(dst, stride, src, src_stride, w, h, FSR_DEEP, frac, half);
}

static void filter_v(int16_t *dst, ptrdiff_t stride, const int16_t *src, ptrdiff_t src_stride, int w, int h, int frac, int half)
{
    filter_block(dst, stride, src, src_stride, w, h, src_stride, frac, half);
}

static void copy(int16_t *dst, ptrdiff_t stride, const int16_t *src, ptrdiff_t src_stride, int w, int h)
{
    int x = 0;

    for (; x + 16 <= w; x += 16)
        for (int y = 0; y < h; y++)
            store(dst + y * stride + x, load(src + y * src_stride + x));
    for (; x < w; x += 8)
        for (int y = 0; y < h; y++)
            store_some(dst + y * stride + x, _mm_loadu_si128((const __m128i *)(src + y * src_stride + x)), w - x);
}

static void average(int16_t *dst, ptrdiff_t stride, const int16_t *a, ptrdiff_t a_stride,
                    const int16_t *b, ptrdiff_t b_stride, int w, int h)
{
    const __m256i sign = _mm256_set1_epi16(INT16_MIN);     /* the instruction is for unsigned numbers */
    const int     whole = w & ~15;

    for (int y = 0; y < h; y++)
        for (int x = 0; x < whole; x += 16)
            store(dst + y * stride + x, _mm256_xor_si256(sign, _mm256_avg_epu16(
                  _mm256_xor_si256(sign, load(a + y * a_stride + x)), _mm256_xor_si256(sign, load(b + y * b_stride + x)))));
    if (whole < w)
        c.average(dst + whole, stride, a + whole, a_stride, b + whole, b_stride, w - whole, h);
}

/* Four cells: differences of 16 bits, moved to the signed range that madd takes */
static inline __m128i sad4(const int16_t *a, ptrdiff_t a_stride, const int16_t *b, ptrdiff_t b_stride)
{
    const __m256i sign = _mm256_set1_epi16(INT16_MIN), ones = _mm256_set1_epi16(1);
    __m256i sum = _mm256_set1_epi32(4 * 65536);

    UNROLL
    for (int y = 0; y < 4; y++) {
        const __m256i p = load(a + y * a_stride), q = load(b + y * b_stride);
        const __m256i d = _mm256_sub_epi16(_mm256_max_epi16(p, q), _mm256_min_epi16(p, q));

        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_xor_si256(d, sign), ones));
    }
    return _mm_hadd_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
}

static void sad_cells(unsigned *sad, const int16_t *a, ptrdiff_t a_stride, const int16_t *b, ptrdiff_t b_stride, int nb)
{
    int i = 0;

    for (; i + 4 <= nb; i += 4)
        _mm_storeu_si128((__m128i *)(sad + i), sad4(a + 4 * i, a_stride, b + 4 * i, b_stride));
    if (i < nb)
        c.sad_cells(sad + i, a + 4 * i, a_stride, b + 4 * i, b_stride, nb - i);
}

void fsr_kernels_avx2(FsrKernels *k)
{
    k->load_row       = load_row;
    k->store_row      = store_row;
    k->upscale_row    = fsr_upscale_row_avx2;
    k->upscale_column = upscale_column;
    k->carry_rows     = carry_rows;
    k->lerp_row       = lerp_row;
    k->filter_h       = filter_h;
    k->filter_h_deep  = filter_h_deep;
    k->filter_v       = filter_v;
    k->copy           = copy;
    k->average        = average;
    k->sad_cells      = sad_cells;
}
