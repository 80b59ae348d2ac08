/* Sample planes inside the engine. */
#ifndef FILTERS_PLANE_H
#define FILTERS_PLANE_H

#include <stddef.h>
#include <stdint.h>

/* Samples around a plane that repeat its border, so that motion compensation needs no
 * checks: a block of 64, the 8-tap filter, and room to clamp vectors that point further out. */
#define FSR_PAD 80
#define FSR_PAD_UPSCALE 4
/* The same for planes whose samples have FSR_DEEP numbers, for blocks of at most 16x16 samples. */
#define FSR_PAD_DEEP 32

/*
 * Signed 16-bit samples in the 14-bit scale of HEVC's inter prediction, whatever the
 * picture's bit depth: one 8-bit step is 64.
 */
#define FSR_DEEP 8
typedef struct FsrPlane {
    int16_t  *data;             /* first sample of the picture; pad more on each side */
    ptrdiff_t stride;           /* numbers from a row to the next */
    int       w, h, pad;        /* samples */
    int       deep;             /* numbers of a sample, side by side: 1, or FSR_DEEP */
    int       refs;
    struct FsrPlanePool *pool;
    struct FsrPlane *next;
    void     *mem;
} FsrPlane;

/* Planes of one size, kept for reuse. Not for several threads at once. */
typedef struct FsrPlanePool {
    int       w, h, deep;
    FsrPlane *idle;
    size_t    bytes;            /* in use and idle */
} FsrPlanePool;

void      fsr_plane_pool_init(FsrPlanePool *pool, int w, int h, int deep);
void      fsr_plane_pool_free(FsrPlanePool *pool);
FsrPlane *fsr_plane_get(FsrPlanePool *pool);        /* contents undefined; NULL: out of memory */
void      fsr_plane_unref(FsrPlane **p);

/* Repeat the first and last sample of rows y0 to y1 - 1 into the padding; with the first
 * or the last row of the picture also the rows above or below. */
void      fsr_plane_pad(FsrPlane *p, int y0, int y1);
/* The same with only so many samples and rows: FSR_PAD_UPSCALE are what upscaling reads. */
void      fsr_plane_pad_by(FsrPlane *p, int y0, int y1, int pad);

#endif /* FILTERS_PLANE_H */
