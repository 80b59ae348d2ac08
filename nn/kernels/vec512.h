/* What conv_simd.h wants to know of 16 floats in an AVX-512 register, but for v_fma. */
#include <immintrin.h>

#define V(op) _mm512_##op
#include "nn/kernels/vec.h"

#define VW 16

typedef __m512 vec;
#define v_store_n(p, v, n) _mm512_mask_storeu_ps(p, (__mmask16)((1u << (n)) - 1), v)
#define v_load_n(p, n)     _mm512_maskz_loadu_ps((__mmask16)((1u << (n)) - 1), p)
#define v_set1(p)          _mm512_set1_ps(*(p))

/* Sums of neighbouring lanes of two vectors, by pairs, quarters and halves: after four
 * rounds lane i holds the sum of vector i. */
INLINE vec v_sums(const vec *a)
{
    vec b[8], c[4], d[2];

    UNROLL for (int i = 0; i < 8; i++)         /* lanes: a[2i] a[2i+1] a[2i] a[2i+1] in each quarter */
        b[i] = _mm512_add_ps(_mm512_unpacklo_ps(a[2 * i], a[2 * i + 1]), _mm512_unpackhi_ps(a[2 * i], a[2 * i + 1]));
    UNROLL for (int i = 0; i < 4; i++)         /* four vectors side by side in each quarter */
        c[i] = _mm512_add_ps(_mm512_shuffle_ps(b[2 * i], b[2 * i + 1], 0x44),
                             _mm512_shuffle_ps(b[2 * i], b[2 * i + 1], 0xee));
    UNROLL for (int i = 0; i < 2; i++)         /* quarters: c[2i] c[2i] c[2i+1] c[2i+1] */
        d[i] = _mm512_add_ps(_mm512_shuffle_f32x4(c[2 * i], c[2 * i + 1], 0x88),
                             _mm512_shuffle_f32x4(c[2 * i], c[2 * i + 1], 0xdd));
    return _mm512_add_ps(_mm512_shuffle_f32x4(d[0], d[1], 0x88), _mm512_shuffle_f32x4(d[0], d[1], 0xdd));
}

INLINE void v_store4(float *p, const vec *v)
{
    vec a = _mm512_unpacklo_ps(v[0], v[1]), b = _mm512_unpackhi_ps(v[0], v[1]);
    vec c = _mm512_unpacklo_ps(v[2], v[3]), d = _mm512_unpackhi_ps(v[2], v[3]);
    /* quarters q of s0 .. s3: samples 4 q, 4 q + 1, 4 q + 2, 4 q + 3 */
    vec s0 = _mm512_shuffle_ps(a, c, 0x44), s1 = _mm512_shuffle_ps(a, c, 0xee);
    vec s2 = _mm512_shuffle_ps(b, d, 0x44), s3 = _mm512_shuffle_ps(b, d, 0xee);
    vec e = _mm512_shuffle_f32x4(s0, s1, 0x44), f = _mm512_shuffle_f32x4(s2, s3, 0x44);
    vec g = _mm512_shuffle_f32x4(s0, s1, 0xee), h = _mm512_shuffle_f32x4(s2, s3, 0xee);

    _mm512_storeu_ps(p,      _mm512_shuffle_f32x4(e, f, 0x88));
    _mm512_storeu_ps(p + 16, _mm512_shuffle_f32x4(e, f, 0xdd));
    _mm512_storeu_ps(p + 32, _mm512_shuffle_f32x4(g, h, 0x88));
    _mm512_storeu_ps(p + 48, _mm512_shuffle_f32x4(g, h, 0xdd));
}

/* acc + the four products of bytes of each word (VNNI). gcc 12 copies the sum around its own intrinsic. */
INLINE __m512i v_dot(__m512i acc, __m512i v, __m512i w)
{
    __asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(v), "v"(w));
    return acc;
}

/* 16 floats to bfloat16, nearest even: one instruction, or written out without it. */
INLINE __m256i to_bf16(vec v)
{
#ifdef __AVX512BF16__
    return (__m256i)_mm512_cvtneps_pbh(v);
#else
    __m512i u     = _mm512_castps_si512(v);
    __m512i odd   = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
    __m512i round = _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff));

    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(_mm512_add_epi32(u, round), 16));
#endif
}

/* First n lanes, 8 or 16. */
INLINE void v_store_bf16(float *p, vec v, int n)
{
    __m256i h = to_bf16(v);

    if (n == 16)
        _mm256_storeu_si256((__m256i *)p, h);
    else
        _mm_storeu_si128((__m128i *)p, _mm256_castsi256_si128(h));
}
