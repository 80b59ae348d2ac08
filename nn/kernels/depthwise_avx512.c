/* Depthwise convolution with AVX-512. */
#include "nn/kernels/vec512.h"

#define ISA(name) name##_avx512
#define ISA_NAME  "avx512"
#define v_fma(a, b, c) _mm512_fmadd_ps(a, b, c)
#define v_min(a, b)    _mm512_min_ps(a, b)

#include "nn/kernels/depthwise_simd.h"
