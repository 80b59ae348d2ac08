/* Plain C versions of fill=fuse's kernels, for the table and for what the others leave over. */
#ifndef FILTERS_KERNELS_FUSE_H
#define FILTERS_KERNELS_FUSE_H

#include "filters/kernels.h"

void     fsr_fuse_get_c(float *dst, ptrdiff_t stride, const FsrFuseRow *r, const float *factor, int n);
void     fsr_fuse_put_c(int16_t *const hr[2], int16_t *state, const float *src, ptrdiff_t stride, int n);
void     fsr_rate_c(uint32_t *detail, uint32_t *mismatch, const int16_t *p, ptrdiff_t stride, const int16_t *pred, const int16_t *weight,
                    int n);
void     fsr_add_row_c(int16_t *dst, const int16_t *src, int n);
void     fsr_sum_pairs_c(int16_t *dst, const int16_t *src, int n, int add);

#endif /* FILTERS_KERNELS_FUSE_H */
