/* Depth as pictures: at the map's size, or at the picture's, where its edges are followed. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "depth.h"

enum { ROWS = 16 };     /* of a job */

/* The colour map Turbo (A. Mikhailov, Google, 2019) at 17 places; linear between them, within 7 of 255 of the original. */
static const uint8_t turbo[17][3] = {
    { 48, 18, 59 }, { 64, 64, 162 }, { 70, 107, 227 }, { 66, 148, 255 }, { 40, 188, 235 }, { 24, 221, 194 }, { 50, 242, 152 },
    { 109, 254, 98 }, { 164, 252, 60 }, { 205, 236, 52 }, { 238, 207, 58 }, { 253, 172, 52 }, { 251, 126, 33 }, { 235, 80, 14 },
    { 208, 47, 5 }, { 169, 22, 1 }, { 122, 4, 3 },
};

int fsr_depth_out_init(FsrEngine *e)
{
    FsrDepth *d = e->depth;
    const int w = e->cfg.format.width;

    for (int i = 0; i < 256; i++) {         /* near is warm */
        const int at = (255 - i) * 16, k = at / 255 < 15 ? at / 255 : 15, f = at - k * 255;

        for (int c = 0; c < 3; c++)
            d->color[i][c] = (turbo[k][c] * (255 - f) + turbo[k + 1][c] * f + 127) / 255;
    }
    if (!d->cfg.full_size)
        return 0;
    d->up_x = malloc(w * sizeof(*d->up_x));
    d->up_f = malloc(w * sizeof(*d->up_f));
    if (!d->up_x || !d->up_f)
        return -ENOMEM;
    for (int x = 0; x < w; x++) {
        const double at = (x + 0.5) * d->w / w - 0.5, in = at < 0 ? 0 : at > d->w - 1 ? d->w - 1 : at;

        d->up_x[x] = (int)in;
        d->up_f[x] = (float)(in - (int)in);
    }
    return 0;
}

/* 0 at near, 255 at far, clipped */
static int gray(const FsrDepth *d, float v)
{
    const float g = (v - (float)d->cfg.near) * (float)(255 / (d->cfg.far - d->cfg.near)) + 0.5f;

    return g > 0 ? g < 255 ? (int)g : 255 : 0;
}

static void store_row(const FsrDepth *d, uint8_t *dst, const float *row, int w)
{
    switch (d->cfg.format) {
    case FSR_DEPTH_GRAY8:
        for (int x = 0; x < w; x++)
            dst[x] = gray(d, row[x]);
        break;
    case FSR_DEPTH_GRAY16:
        for (int x = 0; x < w; x++) {
            const float mm = row[x] * 1000 + 0.5f;

            ((uint16_t *)dst)[x] = mm < 65535 ? (uint16_t)mm : 65535;
        }
        break;
    case FSR_DEPTH_GRAYF32:
        memcpy(dst, row, w * sizeof(*row));
        break;
    case FSR_DEPTH_COLOR:
        for (int x = 0; x < w; x++)
            memcpy(dst + 3 * x, d->color[gray(d, row[x])], 3);
        break;
    }
}

/*
 * A row of the picture's size: bilinear weights, times how like the sample's luma is to that of the map's samples (joint bilateral
 * upsampling, Kopf et al., SIGGRAPH 2007, with the four samples around).
 */
static void enlarge_row(const FsrDepth *d, const FsrNode *n, float *dst, int y)
{
    const FsrPlane *lr = n->lr;
    const double    at = (y + 0.5) * d->h / lr->h - 0.5, in = at < 0 ? 0 : at > d->h - 1 ? d->h - 1 : at;
    const int       iy = (int)in, below = iy + 1 < d->h ? d->w : 0;
    const float     fy = (float)(in - iy);
    const int16_t  *luma = lr->data + y * lr->stride;

    for (int x = 0; x < lr->w; x++) {
        const int   ix = d->up_x[x], p = iy * d->w + ix, right = ix + 1 < d->w;
        const int   at4[4] = { p, p + right, p + below, p + below + right };
        const float fx = d->up_f[x], here = luma[x] * (1 / 64.0f);
        const float w4[4] = { (1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy };
        float sum = 0, weights = 0;

        for (int k = 0; k < 4; k++) {
            const int   step = (int)fabsf(d->luma[at4[k]] - here);
            const float w = (w4[k] + 0.01f) * d->similar[step < 255 ? step : 255];

            sum     += n->depth->depth[at4[k]] * w;
            weights += w;
        }
        dst[x] = sum / weights;
    }
}

static void output_job(void *arg, int job, int worker)
{
    FsrEngine *e = arg;
    FsrDepth  *d = e->depth;
    FsrNode   *n = e->node;
    const int  h = d->cfg.full_size ? e->cfg.format.height : d->h;
    float     *row = (float *)e->scratch[worker].ring[0][0];    /* the ring's first rows, end to end */

    for (int y = job * ROWS; y < (job + 1) * ROWS && y < h; y++) {
        uint8_t *dst = e->out.data[0] + y * e->out.stride[0];

        if (d->cfg.full_size) {
            enlarge_row(d, n, row, y);
            store_row(d, dst, row, e->cfg.format.width);
        } else {
            store_row(d, dst, n->depth->depth + (size_t)y * d->w, d->w);
        }
    }
}

/* Least, median and largest depth, to the millimetre */
static void measure(FsrDepth *d, FsrNode *n)
{
    const int size = d->w * d->h;
    float     least = FSR_DEPTH_MAX, most = 0;
    int       below = 0, mm = 0;

    memset(d->counts, 0, 65536 * sizeof(*d->counts));
    for (int i = 0; i < size; i++) {
        const float v = n->depth->depth[i];
        const int   k = (int)(v * 1000 + 0.5f);

        least = v < least ? v : least;
        most  = v > most ? v : most;
        d->counts[k < 65535 ? k : 65535]++;
    }
    while (below + (int)d->counts[mm] <= size / 2)
        below += d->counts[mm++];
    n->stats.depth[0] = least;
    n->stats.depth[1] = mm / 1000.0f;
    n->stats.depth[2] = most;
}

void fsr_depth_output(FsrEngine *e, FsrNode *n)
{
    FsrDepth *d = e->depth;
    const int h = d->cfg.full_size ? e->cfg.format.height : d->h;

    measure(d, n);
    fsr_engine_execute(e, output_job, (h + ROWS - 1) / ROWS);
}
