/* Convolution, depthwise too, with AVX2 and FMA: 8 floats, 16 registers. Compiled with -mavx2 -mfma;
 * entered only where the processor has it. */
#include "nn/kernels/vec256.h"

#define ISA(name) name##_avx2
#define ISA_NAME  "avx2"
#define WIDE_P    12
#define IN_BF16   0
#define DW_P      8
#define CAN_STORE_BF16 0
#define v_fma(a, b, c) _mm256_fmadd_ps(a, b, c)
#define v_fma_set1(p, b, c) v_fma(v_set1(p), b, c)

#include "nn/kernels/conv_simd.h"
#include "nn/kernels/depthwise_simd.h"
