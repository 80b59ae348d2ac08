/*
 * Running a network over a whole picture, with the borders that the ONNX file asks for.
 *
 * Each value has a ring of rows, as in plan.h, but rows have the picture's whole width and
 * nothing beyond it. They are made on demand in bands: as many rows at a time as keep a
 * convolution busy with its weights, a small value in one piece. An operator that looks at
 * everything gets a ring of everything.
 */
#ifndef FASTSR_NN_WHOLE_H
#define FASTSR_NN_WHOLE_H

#include "nn/kernels/depthwise.h"
#include "nn/kernels/point.h"
#include "nn/plan.h"
#include "nn/resize.h"

typedef struct FsrWholeNode {
    int       w, h;                     /* of the value */
    int       stride;                   /* words between neighbouring samples */
    int       band;                     /* rows made at a time; a ring has whole bands, or all rows */
    FsrMargin pad;                      /* convolutions, pools, pad */
    int       first_c, first_x, first_y;        /* slice */
    int       points;                   /* 1x1 convolution, sample for sample */
    FsrDwShape           dw;
    const FsrDwKernel   *dw_kernel;
    const FsrPointKernel *point;        /* 1x1 convolution in integers; NULL: float */
    FsrPointConv         pc;
    /* resize */
    FsrTaps tx, ty;
} FsrWholeNode;

struct FsrWhole {
    size_t       window;                /* offset of what lies under samples whose window leaves the picture */
    size_t       zeros;                 /* offset of a convolution's input row outside of the picture */
    FsrWholeNode nodes[];
};

/* Sizes, kernels and where everything lies, with a message in err but for -ENOMEM. */
int  fsr_whole_setup(FsrPlan *p, char *err, size_t err_size);

/* Puts those convolutions of a plan in floats into integers that win by it. */
int  fsr_whole_quantize(FsrPlan *p);

int64_t fsr_whole_run(FsrPlan *p, const FsrNnIO *io);

/* fsr_plan_span of a whole network. */
FsrSpan fsr_whole_span(const FsrPlan *p, int i, int j, int r);

/* A run: all results from top to bottom side by side; deliver gets each row of them. */
void fsr_whole_play(const FsrPlan *p, void *opaque, FsrMake *make, void (*deliver)(void *opaque, int result, int r));

#endif /* FASTSR_NN_WHOLE_H */
