/* Convolution in integers with AVX-512 VNNI: 64 products an instruction. Compiled with
 * -mavx512vnni and so on; entered only where the processor has it. */
#include "nn/kernels/i8.h"
#include "nn/kernels/vec512.h"

#define ISA(name) name##_avx512vnni
#define ISA_NAME  "i8 avx512vnni"
#define VL        16
#define BLOCK_S   3
#define BLOCK_C   8
#define W_WORDS   1

typedef __m512i ivec, win, wvec;
typedef vec fvec;
#define i_load(p)          _mm512_loadu_si512(p)
#define i_store_n(p, v, n) _mm512_mask_storeu_epi32(p, (__mmask16)((1u << (n)) - 1), v)
#define i_set1(p)          _mm512_set1_epi32(*(p))
#define i_zero()           _mm512_setzero_si512()
#define i_or(a, b)         _mm512_or_si512(a, b)
#define i_add(a, b)        _mm512_add_epi32(a, b)
#define i_shift(a, n)      _mm512_sll_epi32(a, _mm_cvtsi32_si128(n))
#define i_align(b, a, k)   ((k) ? _mm512_alignr_epi32(b, a, (k)) : (a))
#define win_load(p)        i_load(p)
#define w_load(p)          _mm512_set1_epi32((int)*(p))
#define w_pack(d, w)       memcpy(d, w, 4)
#define f_store(p, v)      v_store(p, v)
#define f_store4(p, v)     v_store4(p, v)

/* gcc 12 copies the sum around its own intrinsic. */
static inline __attribute__((always_inline)) ivec i_dot(ivec acc, win v, wvec w)
{
    __asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(v), "v"(w));
    return acc;
}

static inline __attribute__((always_inline)) ivec i_part(ivec v, int low, int k)
{
    v = low ? _mm512_and_si512(v, _mm512_set1_epi32((1 << FSR_I8_LOW_BITS) - 1))
            : _mm512_srli_epi32(v, FSR_I8_LOW_BITS);
    return _mm512_slli_epi32(v, 8 * k);
}

/* Packing leaves four samples of each of the planes in a quarter: a 4 x 4 transposition. */
static inline __attribute__((always_inline)) ivec i_bytes(const ivec *a, const int32_t *shift,
                                                          const int16_t *mult, ivec *low)
{
    const ivec turn = _mm512_broadcast_i32x4(
        _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
    const ivec m01 = _mm512_mask_set1_epi16(_mm512_set1_epi16(mult[0]), 0xf0f0f0f0, mult[1]);
    const ivec m23 = _mm512_mask_set1_epi16(_mm512_set1_epi16(mult[2]), 0xf0f0f0f0, mult[3]);
    ivec s[4], p, q;

#pragma GCC unroll 4
    for (int k = 0; k < 4; k++)
        s[k] = _mm512_srav_epi32(a[k], _mm512_set1_epi32(shift[k]));
    p = _mm512_mulhrs_epi16(_mm512_packs_epi32(s[0], s[1]), m01);
    q = _mm512_mulhrs_epi16(_mm512_packs_epi32(s[2], s[3]), m23);
    if (low) {
        const ivec mask = _mm512_set1_epi16((1 << FSR_I8_LOW_BITS) - 1), top = _mm512_set1_epi16(FSR_I8_WIDE_MAX);

        p    = _mm512_max_epi16(_mm512_min_epi16(p, top), _mm512_setzero_si512());
        q    = _mm512_max_epi16(_mm512_min_epi16(q, top), _mm512_setzero_si512());
        *low = _mm512_packus_epi16(_mm512_and_si512(p, mask), _mm512_and_si512(q, mask));
        *low = _mm512_shuffle_epi8(*low, turn);
        p    = _mm512_srli_epi16(p, FSR_I8_LOW_BITS);
        q    = _mm512_srli_epi16(q, FSR_I8_LOW_BITS);
    }
    return _mm512_shuffle_epi8(_mm512_packus_epi16(p, q), turn);
}

static inline __attribute__((always_inline)) fvec i_float(ivec a, const float *scale, int relu)
{
    fvec v = _mm512_mul_ps(_mm512_cvtepi32_ps(a), v_set1(scale));
    return relu ? v_max(v, v_zero()) : v;
}

#include "nn/kernels/i8_simd.h"
