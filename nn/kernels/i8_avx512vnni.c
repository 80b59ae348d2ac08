/* Convolution in integers with AVX-512 VNNI: 64 products an instruction. Compiled with
 * -mavx512vnni and so on; entered only where the processor has it. */
#include "nn/kernels/i8.h"
#include "nn/kernels/vec512.h"

#define ISA(name) name##_avx512vnni
#define ISA_NAME  "i8 avx512vnni"
#define BLOCK_S   3
#define BLOCK_C   8
#define W_WORDS   1

typedef __m512i ivec;
#define VI(op)             _mm512_##op##_si512
#define i_repeat(v)        _mm512_broadcast_i32x4(v)
#define i_halves(a, b)     _mm512_mask_set1_epi16(_mm512_set1_epi16(a), 0xf0f0f0f0, b)
#define i_align(b, a, k)   ((k) ? _mm512_alignr_epi32(b, a, (k)) : (a))
#define i_dot(acc, v, w)   v_dot(acc, v, w)

#include "nn/kernels/i8_simd.h"
