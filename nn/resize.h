/* The operator Resize along one axis. */
#ifndef FASTSR_NN_RESIZE_H
#define FASTSR_NN_RESIZE_H

#include "nn/graph.h"

enum { FSR_RESIZE_TAPS = 4 };

/* Result sample x of an axis: the sum of weight times the samples `at`; of nb taps. */
typedef struct FsrTap {
    int   at[FSR_RESIZE_TAPS];
    float weight[FSR_RESIZE_TAPS];
} FsrTap;

typedef struct FsrTaps {
    int     nb;
    FsrTap *taps;           /* one for each result sample */
} FsrTaps;

/* Size of the result; scale 0: `to`. */
int fsr_resize_size(int size, float scale, int to);

/* Fills an axis of `size` samples that becomes `result` samples, scale as the operator has it
 * (0: result / size). Ordered: at[0] and at[nb - 1] never fall as x grows. -ENOMEM. */
int fsr_resize_taps(FsrMemory *memory, FsrTaps *t, const FsrResize *r, int size, int result, float scale);

/* dst: result samples; src: one row, stride words between samples of both. add: a row that
 * is added to the result, or NULL. */
void fsr_resize_row(const FsrTaps *t, float *dst, const float *src, const float *add, int width, int stride);

/* dst: sum of nb rows of len words with their weights. */
void fsr_resize_blend(float *dst, const float *const *rows, const float *weights, int nb, size_t len);

#endif /* FASTSR_NN_RESIZE_H */
