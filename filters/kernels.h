/*
 * Inner loops of the engine: a table of functions, filled by what the processor has. All
 * integer: the plain C versions are the definition, the others give the same bits.
 */
#ifndef FILTERS_KERNELS_H
#define FILTERS_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "plane.h"

#define FSR_TAPS 6

/*
 * Separable upscaling by a whole factor, as phases: output sample s * i + k is the sum over
 * t of coef[k][t] * in[i + first[k] + t], t = 0 to taps - 1, coefficients in 1/4096.
 */
typedef struct FsrUpscaler {
    int     scale;
    int     taps;               /* 4 or 6 */
    int     first[4];           /* -taps / 2 or 1 - taps / 2 */
    int16_t coef[4][FSR_TAPS];  /* 0 behind the last tap */
} FsrUpscaler;

/* A row of what fill=fuse's network sees, beginning at one sample: see fuse_get. */
typedef struct FsrFuseRow {
    const int16_t *luma, *pred, *weight;
    const int16_t *detail[2];   /* two rows of the large picture */
    const int16_t *state;       /* FSR_DEEP numbers a sample, of which FSR_DEEP - 1 are used */
    const int8_t  *qp;          /* qp[(qp_x + i) / 4] is that of sample i */
    int            qp_x;
} FsrFuseRow;
#define FSR_FUSE_IN 16          /* numbers of a sample: luma, 4 of detail, 7 of state, mismatch, its size, weight, qp */

/*
 * Rows may begin at any sample. Functions write the n samples that they are asked for and no
 * others, and read no others but where it says so. Sources and destinations do not overlap
 * where a parameter is not both.
 */
typedef struct FsrKernels {
    /* Read n samples of a plane (1 or 2 bytes each, step samples apart, shifted left by shift
     * in their word, of the given depth) as values of the 14-bit scale. */
    void (*load_row)(int16_t *dst, const uint8_t *src, int n, int bytes, int step, int shift, int depth);
    /* The inverse: round, clip to the depth, store. */
    void (*store_row)(uint8_t *dst, const int16_t *src, int n, int bytes, int step, int shift, int depth);

    /* One upscaled row, n_out samples; in has 3 readable samples before and after what the n_out need. */
    void (*upscale_row)(int16_t *out, const int16_t *in, int n_out, const FsrUpscaler *u);
    /* Weighted sum of as many rows as there are taps: phase k of u. */
    void (*upscale_column)(int16_t *out, const int16_t *const *in, const FsrUpscaler *u, int k, int n);
    /*
     * Rows (1 or 2) of fill=detail, of the same rows of base and pred: b and p are upscale_column of those, phase k of u for
     * the first and the next phase for the second. Then row[i] = b[i] + ((row[i] - p[i]) * weight[i] + 128 >> 8), difference
     * and sum saturated; weights from 0 to 256. base_row not NULL: less b, saturated once more, and b goes there.
     */
    void (*carry_rows)(int16_t *const *row, int16_t *const *base_row, const int16_t *const *base, const int16_t *const *pred,
                       const FsrUpscaler *u, int k, const int16_t *const *weight, int rows, int n);
    /* dst[i] += src[i], saturated */
    void (*add_row)(int16_t *dst, const int16_t *src, int n);
    /* dst[i] = src[2 * i] + src[2 * i + 1], added to what is there if add; numbers from 0 to 256. */
    void (*sum_pairs)(int16_t *dst, const int16_t *src, int n, int add);
    /*
     * Linear interpolation: for each of nb neighbouring pairs of cells[], span values from the
     * first to the second, f[] in 1/128 telling how far; cells from 0 to 256, f at most 124,
     * span at most 16. 16 samples behind the last cell are readable.
     */
    void (*lerp_row)(int16_t *out, const int16_t *cells, int nb, const int16_t *f, int span);

    /*
     * Block of w x h through one of HEVC's luma interpolation filters (H.265 8.5.3.3.3), along
     * rows or columns, for a quarter, a half or three quarters (frac 1 to 3); half is added
     * before the shift by 6. src has 3 readable samples before and 4 behind (in that direction),
     * 8 more behind each row.
     */
    void (*filter_h)(int16_t *dst, ptrdiff_t stride, const int16_t *src, ptrdiff_t src_stride, int w, int h, int frac, int half);
    void (*filter_v)(int16_t *dst, ptrdiff_t stride, const int16_t *src, ptrdiff_t src_stride, int w, int h, int frac, int half);
    /* filter_h where a sample has FSR_DEEP numbers: from each w numbers of a row, FSR_DEEP apart. */
    void (*filter_h_deep)(int16_t *dst, ptrdiff_t stride, const int16_t *src, ptrdiff_t src_stride, int w, int h, int frac, int half);
    /* Block of w x h; 8 more samples behind each row of src are readable. */
    void (*copy)(int16_t *dst, ptrdiff_t stride, const int16_t *src, ptrdiff_t src_stride, int w, int h);
    /* dst = (a + b + 1) >> 1 */
    void (*average)(int16_t *dst, ptrdiff_t stride, const int16_t *a, ptrdiff_t a_stride,
                    const int16_t *b, ptrdiff_t b_stride, int w, int h);
    /* Sums of absolute differences of nb neighbouring cells of 4x4 samples, nb at most 16. */
    void (*sad_cells)(unsigned *sad, const int16_t *a, ptrdiff_t a_stride, const int16_t *b, ptrdiff_t b_stride, int nb);

    /*
     * The network's input, FSR_FUSE_IN floats at dst[i * stride] for sample i, each times factor[] of its number; 0.5 is
     * taken from luma. The mismatch is luma - pred, 0 where the weight is.
     */
    void (*fuse_get)(float *dst, ptrdiff_t stride, const FsrFuseRow *r, const float *factor, int n);
    /*
     * The network's output, 11 floats a sample: 4, limited to +-1 and in units of FSR_UNIT, are added to the 2x2 samples
     * of two large rows, which are limited to -1/4 and 5/4 of it; 7, limited to +-4 and in units of 4096, make FSR_DEEP
     * numbers of state, the last 0. What is not a number is the lower limit. state may be NULL.
     */
    void (*fuse_put)(int16_t *const hr[2], int16_t *state, const float *src, ptrdiff_t stride, int n);
    /*
     * To detail is added the sum over n samples of the square of d = |4 p[x] - its 4 neighbours| / 4, to mismatch that of
     * |p[x] - pred[x]|, or of d where weight[x] is 0; both in steps of 8, cut off. Up to 256 samples fit.
     */
    void (*rate)(uint32_t *detail, uint32_t *mismatch, const int16_t *p, ptrdiff_t stride, const int16_t *pred, const int16_t *weight,
                 int n);
} FsrKernels;

/* Networks take luma as code value / largest code value of 8 bits, at any depth. */
#define FSR_UNIT (255 * 64)

enum { FSR_CPU_AVX2 = 1, FSR_CPU_AVX512 = 2 };     /* the latter: F, BW, VL, VNNI */

/* What this processor has, FSR_CPU_ flags. */
unsigned fsr_cpu_flags(void);
/* The best versions that need no more than the flags; 0: plain C. */
void fsr_kernels_init(FsrKernels *k, unsigned flags);

/* Plain C, and for fsr_kernels_init: replace what the instruction set does better. */
extern const FsrKernels fsr_kernels_c;
void fsr_kernels_avx2(FsrKernels *k);
void fsr_kernels_fuse_avx2(FsrKernels *k);
void fsr_kernels_avx512(FsrKernels *k);
/* upscale_row for what other sets do not do better */
void fsr_upscale_row_avx2(int16_t *out, const int16_t *in, int n_out, const FsrUpscaler *u);
/* carry_rows for samples from first on, in plain C: what vectors leave over */
void fsr_carry_rest(int16_t *const *row, int16_t *const *base_row, const int16_t *const *base, const int16_t *const *pred,
                    const FsrUpscaler *u, int k, const int16_t *const *weight, int rows, int first, int n);

/* H.265 table 8-11; the taps reach from -3 to +4 */
extern const int16_t fsr_luma_taps[4][8];

static inline int16_t fsr_sat16(int v)
{
    return v > INT16_MAX ? INT16_MAX : v < INT16_MIN ? INT16_MIN : v;
}

/* upscale.c ---------------------------------------------------------------- */

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

/* mc.c --------------------------------------------------------------------- */

/*
 * Block of w x h samples (at most 64 x 64; 8 x 16 with FSR_DEEP numbers each) at (x, y) of ref, displaced by (mx, my) quarter samples,
 * through HEVC's luma interpolation filters (H.265 8.5.3.3.3). Positions outside the plane
 * repeat its border, however far. With round = 0 intermediates are cut as in H.265, with
 * round = 1 they are rounded, so that repeated use does not drift.
 */
void fsr_mc(const FsrKernels *k, int16_t *dst, ptrdiff_t stride, const FsrPlane *ref, int x, int y, int w, int h,
            int mx, int my, int round);
/* Where such a block lies in ref itself; NULL if the displacement is not of whole samples. */
const int16_t *fsr_mc_source(const FsrPlane *ref, int x, int y, int mx, int my);

/* Sum of absolute differences of w x h samples. */
unsigned fsr_sad(const int16_t *a, ptrdiff_t a_stride, const int16_t *b, ptrdiff_t b_stride, int w, int h);

#endif /* FILTERS_KERNELS_H */
