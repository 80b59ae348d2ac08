/*
 * Kernels of depthwise convolution: one row of output samples at a time, rows as in
 * nn/kernels.h, the result with as many planes to the next sample as the input.
 */
#ifndef FASTSR_NN_KERNELS_DEPTHWISE_H
#define FASTSR_NN_KERNELS_DEPTHWISE_H

#include "nn/kernels.h"

typedef struct FsrDwShape {
    int   planes, stride;       /* planes, words between neighbouring samples */
    int   kw, kh;
    int   sx;                   /* input samples from one result to the next */
    float lo, hi;               /* results are kept between these */
    int   bytes;                /* results are bytes, rounded to nearest even, not floats; lo is 0, hi 255 */
    int   before, after;        /* columns of the packed weights in front of those kw and behind them, left out */
} FsrDwShape;

typedef struct FsrDwKernel {
    const char *name;
    int  (*fits)(const FsrDwShape *s);      /* as FsrConvKernel */
    /* rows: kh rows of (width - 1) * sx + kw samples. Words that only fill up a sample are
     * worked on as planes with zero weights. */
    void (*row)(const FsrDwShape *s, const float *packed, const float *const *rows, void *dst, int width);
} FsrDwKernel;

/* All kernels read [1 + kh kw][stride]: biases, then the weights of each tap; kw with the columns left out. */
size_t fsr_dw_packed_floats(const FsrDwShape *s);
void   fsr_dw_pack(const FsrDwShape *s, const float *weights, const float *bias, float *dst);

/* The best kernel of a set, as fsr_nn_pick_conv. */
const FsrDwKernel *fsr_nn_pick_depthwise(FsrIsa isa, const FsrDwShape *s);

extern const FsrDwKernel fsr_dw_c, fsr_dw_avx2, fsr_dw_avx512;

#endif /* FASTSR_NN_KERNELS_DEPTHWISE_H */
