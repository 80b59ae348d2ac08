/* What i8_simd.h wants to know of 8 words in an AVX register, but for the products. */
#include "nn/kernels/i8.h"
#include "nn/kernels/vec256.h"

#define VL 8

typedef __m256i ivec;
typedef vec fvec;
#define i_load(p)      _mm256_loadu_si256((const __m256i *)(p))
#define i_set1(p)      _mm256_set1_epi32(*(p))
#define i_zero()       _mm256_setzero_si256()
#define i_or(a, b)     _mm256_or_si256(a, b)
#define i_add(a, b)    _mm256_add_epi32(a, b)
#define i_shift(a, n)  _mm256_sll_epi32(a, _mm_cvtsi32_si128(n))
#define f_store(p, v)  v_store(p, v)
#define f_store4(p, v) v_store4(p, v)

static inline __attribute__((always_inline)) void i_store_n(uint32_t *p, ivec v, int n)
{
    uint32_t lanes[8];

    if (n == 8) {
        _mm256_storeu_si256((__m256i *)p, v);
        return;
    }
    _mm256_storeu_si256((__m256i *)lanes, v);
    memcpy(p, lanes, n * sizeof(*p));
}

static inline __attribute__((always_inline)) ivec i_part(ivec v, int low, int k)
{
    v = low ? _mm256_and_si256(v, _mm256_set1_epi32((1 << FSR_I8_LOW_BITS) - 1))
            : _mm256_srli_epi32(v, FSR_I8_LOW_BITS);
    return _mm256_slli_epi32(v, 8 * k);
}

/* Packing leaves four samples of each of the planes in a half: a 4 x 4 transposition. */
static inline __attribute__((always_inline)) ivec i_bytes(const ivec *a, const int32_t *shift,
                                                          const int16_t *mult, ivec *low)
{
    const ivec turn = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
    const ivec m01 = _mm256_blend_epi16(_mm256_set1_epi16(mult[0]), _mm256_set1_epi16(mult[1]), 0xf0);
    const ivec m23 = _mm256_blend_epi16(_mm256_set1_epi16(mult[2]), _mm256_set1_epi16(mult[3]), 0xf0);
    ivec s[4], p, q;

#pragma GCC unroll 4
    for (int k = 0; k < 4; k++)
        s[k] = _mm256_srav_epi32(a[k], _mm256_set1_epi32(shift[k]));
    p = _mm256_mulhrs_epi16(_mm256_packs_epi32(s[0], s[1]), m01);
    q = _mm256_mulhrs_epi16(_mm256_packs_epi32(s[2], s[3]), m23);
    if (low) {
        const ivec mask = _mm256_set1_epi16((1 << FSR_I8_LOW_BITS) - 1), top = _mm256_set1_epi16(FSR_I8_WIDE_MAX);

        p    = _mm256_max_epi16(_mm256_min_epi16(p, top), _mm256_setzero_si256());
        q    = _mm256_max_epi16(_mm256_min_epi16(q, top), _mm256_setzero_si256());
        *low = _mm256_packus_epi16(_mm256_and_si256(p, mask), _mm256_and_si256(q, mask));
        *low = _mm256_shuffle_epi8(*low, turn);
        p    = _mm256_srli_epi16(p, FSR_I8_LOW_BITS);
        q    = _mm256_srli_epi16(q, FSR_I8_LOW_BITS);
    }
    return _mm256_shuffle_epi8(_mm256_packus_epi16(p, q), turn);
}

static inline __attribute__((always_inline)) fvec i_float(ivec a, const float *scale, int relu)
{
    fvec v = _mm256_mul_ps(_mm256_cvtepi32_ps(a), v_set1(scale));
    return relu ? v_max(v, v_zero()) : v;
}
