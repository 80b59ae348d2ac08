/* MATLAB-style bicubic downscale by 2, 3 or 4; see downscale.c for the formulas and exactness. */
#ifndef FSR_SAMPLES_DOWNSCALE_H
#define FSR_SAMPLES_DOWNSCALE_H

#include "samples/y4m.h"

#define FSR_DOWNSCALE_TAPS 20 /**< enough for 4 * 4 samples and any phase */

typedef struct FsrDownscaleTaps {
    int factor;
    int first;                          /**< source index of weight[0] for output sample 0 */
    int64_t weight[FSR_DOWNSCALE_TAPS]; /**< integers over 2 (4 factor)^3 */
    int64_t sum;
} FsrDownscaleTaps;

/** Weights for a factor of 2, 3 or 4 when output sample 0 lies at quarters/4 source samples. 0 or -EINVAL. */
int fsr_downscale_taps(FsrDownscaleTaps *t, int factor, int quarters);

/** One packed plane; w and h are multiples of the factor; scratch holds w numbers. */
void fsr_downscale_plane(const uint16_t *src, int w, int h, const FsrDownscaleTaps *tx, const FsrDownscaleTaps *ty,
                         int max, uint16_t *dst, int64_t *scratch);

/** All planes of a frame in format f; dst has the size of f divided by the factor. 0 or -EINVAL. */
int fsr_downscale_frame(const FsrY4mFormat *f, int factor, uint16_t *const src[3], uint16_t *const dst[3],
                        int64_t *scratch);

#endif
