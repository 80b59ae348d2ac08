/* Convolution in integers with AVX-VNNI: 32 products an instruction, 16 registers. Compiled
 * with -mavxvnni; entered only where the processor has it. */
#include "nn/kernels/i8_256.h"

#define ISA(name) name##_avxvnni
#define ISA_NAME  "i8 avxvnni"
#define BLOCK_S   3
#define BLOCK_C   4
#define W_WORDS   1

INLINE ivec i_dot(ivec acc, ivec v, ivec w)
{
    __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(acc) : "x"(v), "x"(w));
    return acc;
}

#include "nn/kernels/i8_simd.h"
