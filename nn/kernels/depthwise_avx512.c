/* Depthwise convolution with AVX-512. */
#include "nn/kernels/vec512.h"

#define ISA(name) name##_avx512
#define ISA_NAME  "avx512"
#define DW_P      16
#define v_fma(a, b, c) _mm512_fmadd_ps(a, b, c)
#define v_min(a, b)    _mm512_min_ps(a, b)
#define v_store_bytes(p, v) _mm_storeu_si128((__m128i *)(p), _mm512_cvtusepi32_epi8(_mm512_cvtps_epi32(v)))

#include "nn/kernels/depthwise_simd.h"
