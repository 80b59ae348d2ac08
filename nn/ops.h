/* Operators on rows that lie beside each other, and rows from and to the caller: what strips and whole
 * networks share. */
#ifndef FASTSR_NN_OPS_H
#define FASTSR_NN_OPS_H

#include "nn/graph.h"

/* A row to read or write: words, format, planes and words from one sample to the next. */
typedef struct FsrRow {
    const float *data;
    int          bf16, planes, stride;
} FsrRow;

/* `width` samples of n's value from those under them, one row for each input: n concatenates planes, is one of
 * fsr_is_binary (there one side may have a single plane, or a stride of 0 where all samples are one), or a map or
 * Relu, float to float. */
void fsr_ops_row(const FsrNode *n, float *dst, int dst_bf16, int dst_stride, const FsrRow *in, int width);

/* width samples of planes that lie `plane` words apart, side by side. */
void fsr_ops_interleave(float *dst, const float *src, size_t plane, int planes, int stride, int width);

/* `planes` words of each of width samples. */
void fsr_ops_copy(float *dst, int dst_stride, const float *src, int src_stride, int planes, int width);

/* DepthToSpace: a row of the result, from its sample px of the block of src, row py of the block on. */
void fsr_ops_shuffle(const FsrNode *n, float *dst, int dst_stride, const float *src, int src_stride,
                     int px, int py, int width);

/* A row of planes, those from `plane` on, from and to the caller. scratch: width floats, get: for each plane. */
void fsr_ops_get(const FsrNnIO *io, int plane, int planes, int x, int y, int width, float *dst, int stride, float *scratch);
void fsr_ops_put(const FsrNnIO *io, int plane, int planes, int x, int y, int width, const float *src, int stride,
                 float *scratch);

#endif /* FASTSR_NN_OPS_H */
