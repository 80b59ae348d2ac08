/* Convolution in integers with AVX-VNNI: 32 products an instruction, 16 registers. Compiled
 * with -mavxvnni; entered only where the processor has it. */
#include "nn/kernels/i8_256.h"

#define ISA(name) name##_avxvnni
#define ISA_NAME  "i8 avxvnni"
#define BLOCK_S   3
#define BLOCK_C   4
#define W_WORDS   1

typedef ivec win, wvec;
#define win_load(p)  i_load(p)
#define w_load(p)    _mm256_set1_epi32((int)*(p))
#define w_pack(d, w) memcpy(d, w, 4)

static inline __attribute__((always_inline)) ivec i_dot(ivec acc, win v, wvec w)
{
    __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(acc) : "x"(v), "x"(w));
    return acc;
}

#include "nn/kernels/i8_simd.h"
