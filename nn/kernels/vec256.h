/* What conv_simd.h wants to know of 8 floats in an AVX register, but for v_fma. */
#include <immintrin.h>
#include <string.h>

#define V(op) _mm256_##op
#include "nn/kernels/vec.h"

#define VW 8

typedef __m256 vec;
#define v_set1(p) _mm256_broadcast_ss(p)
#define v_store_bf16(p, v, n) ((void)(p), (void)(v), (void)(n))

/* n: 8, as samples of floats have no fewer */
#define v_load_n(p, n) ((void)(n), v_load(p))

INLINE void v_store_n(float *p, vec v, int n)
{
    float lanes[8];

    if (n == 8) {
        v_store(p, v);
        return;
    }
    v_store(lanes, v);
    memcpy(p, lanes, n * sizeof(*p));
}

/* Sums of neighbouring lanes of two vectors, three rounds: lane i holds the sum of vector i. */
INLINE vec v_sums(const vec *a)
{
    vec b0 = _mm256_hadd_ps(a[0], a[1]), b1 = _mm256_hadd_ps(a[2], a[3]);
    vec b2 = _mm256_hadd_ps(a[4], a[5]), b3 = _mm256_hadd_ps(a[6], a[7]);
    vec c0 = _mm256_hadd_ps(b0, b1), c1 = _mm256_hadd_ps(b2, b3);

    return _mm256_add_ps(_mm256_permute2f128_ps(c0, c1, 0x20), _mm256_permute2f128_ps(c0, c1, 0x31));
}

INLINE void v_store4(float *p, const vec *v)
{
    vec a = _mm256_unpacklo_ps(v[0], v[1]), b = _mm256_unpackhi_ps(v[0], v[1]);
    vec c = _mm256_unpacklo_ps(v[2], v[3]), d = _mm256_unpackhi_ps(v[2], v[3]);
    /* halves h of s0 .. s3: samples 4 h, 4 h + 1, 4 h + 2, 4 h + 3 */
    vec s0 = _mm256_shuffle_ps(a, c, 0x44), s1 = _mm256_shuffle_ps(a, c, 0xee);
    vec s2 = _mm256_shuffle_ps(b, d, 0x44), s3 = _mm256_shuffle_ps(b, d, 0xee);

    _mm256_storeu_ps(p,      _mm256_permute2f128_ps(s0, s1, 0x20));
    _mm256_storeu_ps(p + 8,  _mm256_permute2f128_ps(s2, s3, 0x20));
    _mm256_storeu_ps(p + 16, _mm256_permute2f128_ps(s0, s1, 0x31));
    _mm256_storeu_ps(p + 24, _mm256_permute2f128_ps(s2, s3, 0x31));
}
