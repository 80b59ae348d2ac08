/*
 * Inner loops of the engine. All integer: every version gives the same bits. The C
 * sources are compiled for several instruction sets (FSR_CLONES) and the loader picks one.
 */
#ifndef FILTERS_KERNELS_H
#define FILTERS_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "plane.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define FSR_CLONES __attribute__((target_clones("arch=x86-64-v4", "avx2", "default")))
#else
#define FSR_CLONES
#endif

/* Samples <-> the 14-bit scale --------------------------------------------- */

/* Read n samples of a plane (1 or 2 bytes each, step samples apart, shifted left by shift
 * in their word, of the given depth) as 14-bit values. */
void fsr_load_row(int16_t *dst, const uint8_t *src, int n, int bytes, int step, int shift, int depth);
/* The inverse: round, clip to the depth, store. */
void fsr_store_row(uint8_t *dst, const int16_t *src, int n, int bytes, int step, int shift, int depth);

/* Upscaling ---------------------------------------------------------------- */

#define FSR_TAPS 6

/*
 * Separable upscaling by a whole factor, as phases: output sample s * i + k is the sum over
 * t of coef[k][t] * in[i + first[k] + t], t = 0 to taps - 1, coefficients in 1/4096.
 */
typedef struct FsrUpscaler {
    int     scale;
    int     taps;               /* 4 or 6 */
    int     first[4];           /* -taps / 2 or 1 - taps / 2 */
    int16_t coef[4][FSR_TAPS];
} FsrUpscaler;

/*
 * Cubic convolution (Keys 1981, a = -0.5: MATLAB's imresize), exact for factors 2 and 4,
 * rounded for 3.
 * Where the phases lie: luma and 4:4:4 chroma have sub = 1. For chroma that is subsampled
 * by two, cosited says whether its first sample lies on the first luma sample or between
 * the first two. The grids of both sizes cover the same picture area.
 */
void fsr_upscaler_init(FsrUpscaler *u, int scale, int sub, int cosited);

/*
 * The sharp kernel for luma: six taps fitted by least squares to decoded video that was made
 * smaller as the networks' training data was (cubic with antialiasing) and coded with x265 at
 * QP 27. It gives back contrast that cubic convolution leaves out.
 */
void fsr_upscaler_init_sharp(FsrUpscaler *u, int scale);

/* One row, n_out samples; in has 3 readable samples before and after what the n_out need. */
void fsr_upscale_row(int16_t *out, const int16_t *in, int n_out, const FsrUpscaler *u);
/* Weighted sum of as many rows as there are taps: phase k of u. */
void fsr_upscale_column(int16_t *out, const int16_t *const *in, const FsrUpscaler *u, int k, int n);

/* Motion compensation ------------------------------------------------------ */

/*
 * Block of w x h (at most 64 x 64) at (x, y) of ref, displaced by (mx, my) quarter samples,
 * through HEVC's luma interpolation filters (H.265 8.5.3.3.3). Positions outside the plane
 * repeat its border, however far. With round = 0 intermediates are cut as in H.265, with
 * round = 1 they are rounded, so that repeated use does not drift.
 */
void fsr_mc(int16_t *dst, ptrdiff_t stride, const FsrPlane *ref, int x, int y, int w, int h,
            int mx, int my, int round);

/* dst = (a + b + 1) >> 1 */
void fsr_average(int16_t *dst, ptrdiff_t stride, const int16_t *a, const int16_t *b, ptrdiff_t ab_stride, int w, int h);

/* Sum of absolute differences of w x h samples. */
unsigned fsr_sad(const int16_t *a, ptrdiff_t a_stride, const int16_t *b, ptrdiff_t b_stride, int w, int h);

/* The same for nb neighbouring cells of 4x4 samples, nb at most 16. */
void fsr_sad_cells(unsigned *sad, const int16_t *a, ptrdiff_t a_stride, const int16_t *b, ptrdiff_t b_stride, int nb);

/* Blending ----------------------------------------------------------------- */

/*
 * Linear interpolation: for each of nb neighbouring pairs of cells[], span values from the first
 * to the second, f[] in 1/128 telling how far; cells from 0 to 256, f at most 124.
 */
void fsr_lerp_row(int16_t *out, const int16_t *cells, int nb, const int16_t *f, int span);

/* out[i] = base[i] + ((out[i] - pred[i]) * weight[i] + 128 >> 8), saturated; weights from 0 to 256 */
void fsr_blend_row(int16_t *out, const int16_t *base, const int16_t *pred, const int16_t *weight, int n);

#endif /* FILTERS_KERNELS_H */
