/* What i8_simd.h wants to know of 8 words in an AVX register, but for the products. */
#include "nn/kernels/i8.h"
#include "nn/kernels/vec256.h"

typedef __m256i ivec;
#define VI(op)         _mm256_##op##_si256
#define i_repeat(v)    _mm256_broadcastsi128_si256(v)
#define i_halves(a, b) _mm256_blend_epi16(_mm256_set1_epi16(a), _mm256_set1_epi16(b), 0xf0)

INLINE void i_store_n(uint32_t *p, ivec v, int n)
{
    uint32_t lanes[8];

    if (n == 8) {
        _mm256_storeu_si256((__m256i *)p, v);
        return;
    }
    _mm256_storeu_si256((__m256i *)lanes, v);
    memcpy(p, lanes, n * sizeof(*p));
}
