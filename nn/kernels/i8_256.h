/* What i8_simd.h wants to know of 8 words in an AVX register, but for the products. */
#include "nn/kernels/i8.h"
#include "nn/kernels/vec256.h"

typedef __m256i ivec;
#define VI(op)         _mm256_##op##_si256
#define i_repeat(v)    _mm256_broadcastsi128_si256(v)
#define i_halves(a, b) _mm256_blend_epi16(_mm256_set1_epi16(a), _mm256_set1_epi16(b), 0xf0)
