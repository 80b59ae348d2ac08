/* Depthwise convolution with AVX2 and FMA. */
#include "nn/kernels/vec256.h"

#define ISA(name) name##_avx2
#define ISA_NAME  "avx2"
#define DW_P      8
#define v_fma(a, b, c) _mm256_fmadd_ps(a, b, c)
#define v_min(a, b)    _mm256_min_ps(a, b)

#include "nn/kernels/depthwise_simd.h"
