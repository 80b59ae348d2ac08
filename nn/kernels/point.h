/*
 * 1x1 convolution in integers, from bytes to floats, for whole networks.
 *
 * Samples are bytes with their planes side by side, a multiple of 16 of them. With weights of 8 bits
 *
 *     result = min(top, max(low, (float)(sum of weight * byte) * scale + bias))
 *
 * so that every kernel gives the bits of fsr_point_c, which is the definition.
 */
#ifndef FASTSR_NN_KERNELS_POINT_H
#define FASTSR_NN_KERNELS_POINT_H

#include "nn/kernels.h"

typedef struct FsrPointConv {
    int    cin, cout;               /* multiples of 16: planes with those that fill up samples */
    float  low, top;
    float *scale, *bias;            /* [cout] */
    int8_t *weights;                /* [cout / 16][cin / 4][16][4] */
} FsrPointConv;

typedef struct FsrPointKernel {
    const char *name;
    /* n samples */
    void (*row)(const FsrPointConv *c, const uint8_t *src, float *dst, int n);
} FsrPointKernel;

/* NULL where the set's float kernels are faster than plain C in integers. */
const FsrPointKernel *fsr_nn_pick_point(FsrIsa isa);

extern const FsrPointKernel fsr_point_c, fsr_point_avx512vnni;

#endif /* FASTSR_NN_KERNELS_POINT_H */
