/* Convolution of bfloat16 with AVX-512: 32 products an instruction. Compiled with
 * -mavx512bf16; entered only where the processor has it. */
#include "nn/kernels/vec512.h"

#define ISA(name) name##_bf16
#define ISA_NAME  "bf16"
#define WIDE_P    24
#define IN_BF16   1
#define CAN_STORE_BF16 1
#define v_fma(a, b, c) _mm512_dpbf16_ps(c, (__m512bh)(a), (__m512bh)(b))

/* gcc 12 does not put the broadcast into the instruction; apart they take turns on one port. */
INLINE vec v_fma_set1(const float *p, vec b, vec c)
{
    __asm__("vdpbf16ps %1%{1to16%}, %2, %0" : "+v"(c) : "m"(*p), "v"(b));
    return c;
}

#include "nn/kernels/conv_simd.h"
