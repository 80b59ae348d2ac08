/* Convolution of bfloat16 with AVX-512: 32 products an instruction. Compiled with
 * -mavx512bf16; entered only where the processor has it. */
#include "nn/kernels/vec512.h"

#define ISA(name) name##_bf16
#define ISA_NAME  "bf16"
#define WIDE_P    24
#define IN_BF16   1
#define CAN_STORE_BF16 1
#define v_fma(a, b, c) _mm512_dpbf16_ps(c, (__m512bh)(a), (__m512bh)(b))

#include "nn/kernels/conv_simd.h"
