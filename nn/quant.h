/*
 * Networks in integers: which values are bytes, what a byte means, integer weights.
 *
 * A sample of plane c is low[c] + step[c] * number. What a convolution or a sum hands to others
 * of their kind is bytes, and so are inputs of many planes; other inputs, and what other operators
 * hand to convolutions, have FSR_I8_WIDE_MAX + 1 steps; the rest is float. Weights have 8 bits and a scale for each output
 * plane, chosen so that no product of it has to be rounded but the last.
 */
#ifndef FASTSR_NN_QUANT_H
#define FASTSR_NN_QUANT_H

#include "nn/kernels/i8.h"
#include "nn/plan.h"

/* What a plane of a value was seen to hold. */
struct FsrRange {
    float   low, high;
    double  sum;
    int64_t n;
};

struct FsrQuant {
    FsrI8Format  format;            /* of the value; low is NULL: float */
    int          is_conv;           /* conv: done in integers */
    FsrI8Conv    conv;
    const FsrI8Kernel *kernel;
    FsrI8Sum     sum;               /* of two values of bytes; offset: with the half of rounding */
};

/* Which values are integers, how, and with which weights: fills store, subs, step and quant of
 * p->nodes. Strides and first_plane must be there. */
int fsr_quant_setup(FsrPlan *p);

/* Whether the file says what its values hold, so that nothing is measured. */
int fsr_quant_recorded(const FsrNet *net);

/* The ranges of all planes of all values, read or measured by the first plan that wants them; n is 0 where
 * nothing is known. -EINVAL: the file's are damaged. */
int fsr_quant_ranges(FsrPlan *p, const struct FsrRange **ranges);

/* A row of floats (samples `stride` floats apart) as wide numbers, planes `pitch` words apart. */
void fsr_quant_row(const FsrI8Format *f, const float *src, int stride, uint32_t *dst, int pitch, int width);

/* Widens the ranges of a value by a row of floats. */
void fsr_quant_observe(struct FsrRange *r, int planes, const float *row, int stride, int width);

#endif /* FASTSR_NN_QUANT_H */
