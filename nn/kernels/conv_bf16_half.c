/* The same with half vectors, for 1 to 4 output planes from 16 input planes. */
#include "nn/kernels/vec256.h"

#define ISA(name) name##_bf16_half
#define ISA_NAME  "bf16 half"
#define WIDE_P    0
#define IN_BF16   1
#define CAN_STORE_BF16 0
#define v_fma(a, b, c) _mm256_dpbf16_ps(c, (__m256bh)(a), (__m256bh)(b))

#include "nn/kernels/conv_simd.h"
