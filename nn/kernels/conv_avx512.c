/* Convolution, depthwise too, with AVX-512: 16 floats, 32 registers. Compiled with -mavx512f and so on;
 * entered only where the processor has it. */
#include "nn/kernels/vec512.h"

#define ISA(name) name##_avx512
#define ISA_NAME  "avx512"
#define WIDE_P    24
#define IN_BF16   0
#define DW_P      16
#define CAN_STORE_BF16 1
#define v_fma(a, b, c) _mm512_fmadd_ps(a, b, c)
#define v_fma_set1(p, b, c) v_fma(v_set1(p), b, c)
#define v_store_bytes(p, v) _mm_storeu_si128((__m128i *)(p), _mm512_cvtusepi32_epi8(_mm512_cvtps_epi32(v)))

#include "nn/kernels/conv_simd.h"
#include "nn/kernels/depthwise_simd.h"
