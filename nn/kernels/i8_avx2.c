/*
 * Convolution in integers with AVX2, which has products of 16 bits: bytes 0 and 2 of each word
 * and bytes 1 and 3, 16 products an instruction. (Its product of bytes saturates sums of two
 * at 16 bits.) Compiled with -mavx2 -mfma; entered only where the processor has it.
 */
#include "nn/kernels/i8_256.h"

#define ISA(name) name##_avx2
#define ISA_NAME  "i8 avx2"
#define BLOCK_S   2
#define BLOCK_C   4
#define W_WORDS   2

typedef struct win { ivec even, odd; } win;
typedef win wvec;

INLINE win win_load(const uint32_t *p)
{
    ivec v = _mm256_loadu_si256((const ivec *)p);
    return (win){ _mm256_and_si256(v, _mm256_set1_epi16(255)), _mm256_srli_epi16(v, 8) };
}

INLINE wvec w_load(const uint32_t *p)
{
    return (wvec){ _mm256_set1_epi32((int)p[0]), _mm256_set1_epi32((int)p[1]) };
}

static void w_pack(uint32_t *d, const int8_t *w)
{
    const int16_t pairs[4] = { w[0], w[2], w[1], w[3] };
    memcpy(d, pairs, sizeof(pairs));
}

INLINE ivec i_dot(ivec acc, win v, wvec w)
{
    acc = _mm256_add_epi32(acc, _mm256_madd_epi16(v.even, w.even));
    return _mm256_add_epi32(acc, _mm256_madd_epi16(v.odd, w.odd));
}

#include "nn/kernels/i8_simd.h"
