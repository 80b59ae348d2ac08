/* fill=fuse's kernels in AVX2: floats are multiplied and added in the same order as in C, so the bits are the same. */
#include <immintrin.h>
#include <string.h>

#include "fuse.h"

static inline __m128i load8(const int16_t *p)
{
    return _mm_loadu_si128((const __m128i *)p);
}

/* Four numbers in 32 bits */
static inline __m128i load4(const int16_t *p)
{
    return _mm_cvtepi16_epi32(_mm_loadl_epi64((const __m128i *)p));
}

/* Sixteen numbers of a sample: luma, detail (4), state (7) from 16 bits, the rest from 32 */
static inline void put_sample(float *dst, int16_t luma, __m128i detail, __m128i state, __m128i rest, __m256 f0, __m256 f1, __m256 half)
{
    const __m128i lo = _mm_insert_epi16(_mm_or_si128(_mm_bslli_si128(state, 10), _mm_bslli_si128(_mm_move_epi64(detail), 2)), luma, 0);
    const __m256i hi = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_cvtepi16_epi32(_mm_bsrli_si128(state, 6))), rest, 1);

    _mm256_storeu_ps(dst, _mm256_sub_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(lo)), f0), half));
    _mm256_storeu_ps(dst + 8, _mm256_mul_ps(_mm256_cvtepi32_ps(hi), f1));
}

static void fuse_get(float *dst, ptrdiff_t stride, const FsrFuseRow *r, const float *factor, int n)
{
    const __m256  f0 = _mm256_loadu_ps(factor), f1 = _mm256_loadu_ps(factor + 8), half = _mm256_setr_ps(0.5f, 0, 0, 0, 0, 0, 0, 0);
    const __m128i zero = _mm_setzero_si128();
    int i = 0;

    for (; i + 4 <= n; i += 4, dst += 4 * stride) {
        const int8_t *qp = r->qp;
        const int     x = r->qp_x + i;
        const __m128i weight = load4(r->weight + i);
        const __m128i differ = _mm_sub_epi32(load4(r->luma + i), load4(r->pred + i));
        const __m128i mismatch = _mm_andnot_si128(_mm_cmpeq_epi32(weight, zero), differ);
        const __m128i qps = _mm_setr_epi32(qp[x / 4], qp[(x + 1) / 4], qp[(x + 2) / 4], qp[(x + 3) / 4]);
        const __m128i d0 = load8(r->detail[0] + 2 * i), d1 = load8(r->detail[1] + 2 * i);
        const __m128i d01 = _mm_unpacklo_epi32(d0, d1), d23 = _mm_unpackhi_epi32(d0, d1);
        const __m128i size = _mm_abs_epi32(mismatch);
        const __m128i a01 = _mm_unpacklo_epi32(mismatch, size), a23 = _mm_unpackhi_epi32(mismatch, size);
        const __m128i b01 = _mm_unpacklo_epi32(weight, qps), b23 = _mm_unpackhi_epi32(weight, qps);
        const int16_t *state = r->state + i * FSR_DEEP, *luma = r->luma + i;

        put_sample(dst, luma[0], d01, load8(state), _mm_unpacklo_epi64(a01, b01), f0, f1, half);
        put_sample(dst + stride, luma[1], _mm_unpackhi_epi64(d01, d01), load8(state + 8), _mm_unpackhi_epi64(a01, b01), f0, f1, half);
        put_sample(dst + 2 * stride, luma[2], d23, load8(state + 16), _mm_unpacklo_epi64(a23, b23), f0, f1, half);
        put_sample(dst + 3 * stride, luma[3], _mm_unpackhi_epi64(d23, d23), load8(state + 24), _mm_unpackhi_epi64(a23, b23), f0, f1, half);
    }
    if (i < n) {
        const FsrFuseRow rest = { r->luma + i, r->pred + i, r->weight + i, { r->detail[0] + 2 * i, r->detail[1] + 2 * i },
                                  r->state + i * FSR_DEEP, r->qp, r->qp_x + i };

        fsr_fuse_get_c(dst, stride, &rest, factor, n - i);
    }
}

/* What is not a number becomes the lower limit: where one operand is none, max gives the second. */
static inline __m256i to_int(__m256 v, __m256 limit, __m256 unit)
{
    v = _mm256_max_ps(v, _mm256_sub_ps(_mm256_setzero_ps(), limit));
    v = _mm256_min_ps(v, limit);
    v = _mm256_add_ps(_mm256_mul_ps(v, unit), _mm256_set1_ps(32768.5f));
    return _mm256_sub_epi32(_mm256_cvttps_epi32(v), _mm256_set1_epi32(32768));
}

static inline void add_detail(int16_t *p, __m128i v)
{
    v = _mm_adds_epi16(v, load8(p));
    v = _mm_min_epi16(_mm_max_epi16(v, _mm_set1_epi16(-FSR_UNIT / 4)), _mm_set1_epi16(FSR_UNIT * 5 / 4));
    _mm_storeu_si128((__m128i *)p, v);
}

static inline __m256 two(const float *a, const float *b)
{
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(a)), _mm_loadu_ps(b), 1);
}

static void fuse_put(int16_t *const hr[2], int16_t *state, const float *src, ptrdiff_t stride, int n)
{
    const __m256i seven = _mm256_setr_epi32(-1, -1, -1, -1, -1, -1, -1, 0);
    const __m256  one = _mm256_set1_ps(1), unit = _mm256_set1_ps(FSR_UNIT);
    int i = 0;

    for (; i + 4 <= n; i += 4, src += 4 * stride) {
        /* in both lanes the 2x2 of two samples: 0 and 1, 2 and 3; then the upper rows of all, and the lower ones */
        const __m256i v02 = to_int(two(src, src + 2 * stride), one, unit), v13 = to_int(two(src + stride, src + 3 * stride), one, unit);
        const __m256i v = _mm256_shuffle_epi32(_mm256_packs_epi32(v02, v13), _MM_SHUFFLE(3, 1, 2, 0));
        const __m128i lo = _mm256_castsi256_si128(v), hi = _mm256_extracti128_si256(v, 1);

        add_detail(hr[0] + 2 * i, _mm_unpacklo_epi64(lo, hi));
        add_detail(hr[1] + 2 * i, _mm_unpackhi_epi64(lo, hi));
        for (int k = 0; state && k < 4; k++) {
            const __m256i s = to_int(_mm256_maskload_ps(src + k * stride + 4, seven), _mm256_set1_ps(4), _mm256_set1_ps(4096));

            _mm_storeu_si128((__m128i *)(state + (i + k) * FSR_DEEP), _mm_packs_epi32(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1)));
        }
    }
    if (i < n) {
        int16_t *const rest[2] = { hr[0] + 2 * i, hr[1] + 2 * i };

        fsr_fuse_put_c(rest, state ? state + i * FSR_DEEP : NULL, src, stride, n - i);
    }
}

static inline __m256i wide(const int16_t *p)
{
    return _mm256_cvtepi16_epi32(load8(p));
}

static inline uint32_t total(__m256i v)
{
    __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));

    sum = _mm_hadd_epi32(sum, sum);
    return _mm_cvtsi128_si32(_mm_hadd_epi32(sum, sum));
}

static void rate(uint32_t *detail, uint32_t *mismatch, const int16_t *p, ptrdiff_t stride, const int16_t *pred, const int16_t *weight, int n)
{
    __m256i details = _mm256_setzero_si256(), mismatches = details;
    int x = 0;

    for (; x + 8 <= n; x += 8) {
        const __m256i v = wide(p + x);
        const __m256i across = _mm256_add_epi32(wide(p + x - 1), wide(p + x + 1));
        const __m256i around = _mm256_add_epi32(across, _mm256_add_epi32(wide(p + x - stride), wide(p + x + stride)));
        const __m256i d = _mm256_srli_epi32(_mm256_abs_epi32(_mm256_sub_epi32(_mm256_slli_epi32(v, 2), around)), 5);
        const __m256i m = _mm256_srli_epi32(_mm256_abs_epi32(_mm256_sub_epi32(v, wide(pred + x))), 3);
        const __m256i none = _mm256_cmpeq_epi32(wide(weight + x), _mm256_setzero_si256());
        const __m256i use  = _mm256_blendv_epi8(m, d, none);

        details    = _mm256_add_epi32(details, _mm256_madd_epi16(d, d));        /* both under 2^15 */
        mismatches = _mm256_add_epi32(mismatches, _mm256_madd_epi16(use, use));
    }
    *detail   += total(details);
    *mismatch += total(mismatches);
    fsr_rate_c(detail, mismatch, p + x, stride, pred + x, weight + x, n - x);
}

static void add_row(int16_t *dst, const int16_t *src, int n)
{
    int i = 0;

    for (; i + 16 <= n; i += 16)
        _mm256_storeu_si256((__m256i *)(dst + i), _mm256_adds_epi16(_mm256_loadu_si256((const __m256i *)(dst + i)),
                                                                    _mm256_loadu_si256((const __m256i *)(src + i))));
    fsr_add_row_c(dst + i, src + i, n - i);
}

static void sum_pairs(int16_t *dst, const int16_t *src, int n, int add)
{
    const __m256i ones = _mm256_set1_epi16(1);
    int i = 0;

    for (; i + 16 <= n; i += 16) {
        const __m256i a = _mm256_madd_epi16(_mm256_loadu_si256((const __m256i *)(src + 2 * i)), ones);
        const __m256i b = _mm256_madd_epi16(_mm256_loadu_si256((const __m256i *)(src + 2 * i + 16)), ones);
        __m256i v = _mm256_permute4x64_epi64(_mm256_packs_epi32(a, b), 0xd8);

        if (add)
            v = _mm256_add_epi16(v, _mm256_loadu_si256((const __m256i *)(dst + i)));
        _mm256_storeu_si256((__m256i *)(dst + i), v);
    }
    fsr_sum_pairs_c(dst + i, src + 2 * i, n - i, add);
}

void fsr_kernels_fuse_avx2(FsrKernels *k)
{
    k->fuse_get  = fuse_get;
    k->fuse_put  = fuse_put;
    k->rate      = rate;
    k->add_row   = add_row;
    k->sum_pairs = sum_pairs;
}
