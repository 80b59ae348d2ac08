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
    int     w, h;                       /* of the value */
    int     stride;                     /* words between neighbouring samples */
    size_t  pitch;                      /* words of a row */
    int     band;                       /* rows made at a time */
    int     ring_rows;                  /* whole bands, or all rows */
    float  *ring;
    /* convolutions, pools, pad */
    int     pad_left, pad_top, pad_right, pad_bottom;
    int     first_c, first_x, first_y;  /* slice */
    int     window_w;                   /* samples of a padded input row; 0: read it in place */
    int     edges;                      /* in place but for samples whose window leaves the picture */
    FsrConvShape         shape;         /* sx samples of the input make one of the kernel's */
    const FsrConvKernel *kernel;
    FsrDwShape           dw;
    const FsrDwKernel   *dw_kernel;
    float               *packed;
    const FsrPointKernel *point;        /* 1x1 convolution in integers; NULL: float */
    FsrPointConv         pc;
    /* resize */
    FsrTaps tx, ty;
} FsrWholeNode;

struct FsrWhole {
    FsrWholeNode *nodes;
    float        *memory;               /* rings, window, scratch */
    int          *made;                 /* rows of each value made so far */
    float        *window;               /* padded rows under a band of a convolution */
    float        *scratch;              /* of a kernel; a row of samples */
    float        *zeros;                /* a row of an edges node's input outside of the picture */
};

/* What fsr_nn_plan_whole does, with a choice of format and instruction set. */
int fsr_whole_plan(FsrPlan **plan, const FsrNet *net, int width, int height, int nb_workers,
                   FsrPrecision precision, FsrIsa isa, char *err, size_t err_size);

/* Puts those convolutions of a plan in floats into integers that win by it. */
int  fsr_whole_quantize(FsrPlan *p, FsrIsa isa);
void fsr_whole_free_point(FsrWholeNode *wn);
void fsr_whole_free(struct FsrWhole **w, int nb_nodes);

int64_t fsr_whole_run(FsrPlan *p, const FsrNnIO *io);

/* The rows [first, last] of its input j that row r of node i is made from, also such that
 * lie outside of it. */
FsrSpan fsr_whole_span(const FsrPlan *p, int i, int j, int r);

/* Makes rows until row r of node i is there. make gets each band in order, after its input. */
void fsr_whole_demand(const FsrPlan *p, int i, int r, void *opaque,
                      void (*make)(void *opaque, int i, int first, int last));

/* A run: all results from top to bottom side by side; deliver gets each row of them. */
void fsr_whole_play(const FsrPlan *p, void *opaque,
                    void (*make)(void *opaque, int i, int first, int last),
                    void (*deliver)(void *opaque, int result, int r));

#endif /* FASTSR_NN_WHOLE_H */
