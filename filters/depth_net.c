/* Depth: what the network sees of a picture, and its answer on the map's grid. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "depth.h"

/*
 * The network was trained on one camera: on this part of 4:3 pictures, squeezed to a square. Its sense of scale hangs on
 * that, so every picture is shown at the size that it would have inside the 4:3 picture around it: the long side of that is cut
 * as in training, the other side is shown whole, rounded up to what the network can take.
 */
#define CROP_X0 0.04204
#define CROP_X1 0.95495
#define CROP_Y0 0.04400
#define CROP_Y1 0.95600
#define SIDE    224
#define ROUND   32

void fsr_depth_size(int width, int height, double sample_aspect, int *map_w, int *map_h)
{
    const double w = width * sample_aspect, longest = w > height ? w : height;

    *map_w = width;
    *map_h = height;
    if (width <= FSR_DEPTH_SIDE && height <= FSR_DEPTH_SIDE)
        return;
    *map_w = 2 * (int)(w / longest * FSR_DEPTH_SIDE / 2 + 0.5);
    *map_h = 2 * (int)(height / longest * FSR_DEPTH_SIDE / 2 + 0.5);
    *map_w = *map_w < 2 ? 2 : *map_w;
    *map_h = *map_h < 2 ? 2 : *map_h;
    *map_w = *map_w > width ? width : *map_w;
    *map_h = *map_h > height ? height : *map_h;
}

/* n samples over the part of the axis from 0 to 1 that the network would see at the scale it was trained for */
static void choose_side(double extent, double crop, double centre, int *n, double *from, double *to)
{
    const double whole = SIDE / crop * extent;      /* network samples of the whole side */
    double shown;

    *n    = (int)ceil(whole / ROUND - 0.01) * ROUND;
    *n    = *n < ROUND ? ROUND : *n;
    shown = *n / whole;
    *from = centre - shown / 2;
    *to   = centre + shown / 2;
}

static void choose_window(FsrDepth *d, int w, int h)
{
    const double aspect = w * d->cfg.sample_aspect / h / (4.0 / 3);     /* against the network's */
    double x0 = CROP_X0, x1 = CROP_X1, y0 = CROP_Y0, y1 = CROP_Y1;

    d->net_w = d->net_h = SIDE;
    if (w == SIDE && h == SIDE) {                   /* prepared for the network already */
        x0 = y0 = 0;
        x1 = y1 = 1;
    } else if (aspect > 1.03) {
        choose_side(1 / aspect, CROP_Y1 - CROP_Y0, 0.5, &d->net_h, &y0, &y1);
    } else if (aspect < 1 / 1.03) {
        choose_side(aspect, CROP_X1 - CROP_X0, 0.5, &d->net_w, &x0, &x1);
    }
    d->x0 = x0 * w;
    d->x1 = x1 * w;
    d->y0 = y0 * h;
    d->y1 = y1 * h;
}

void fsr_depth_axis_free(FsrDepthAxis *a)
{
    free(a->first);
    free(a->idx);
    free(a->w);
    memset(a, 0, sizeof(*a));
}

/* Mean over the part of the axis that a sample covers, at least one source sample wide. */
int fsr_depth_axis_init(FsrDepthAxis *a, double from, double to, int n, int size)
{
    const double step = (to - from) / n, width = step < 1 ? 1 : step;
    const int    most = (int)width + 3;
    int used = 0;

    a->n     = n;
    a->first = malloc((n + 1) * sizeof(*a->first));
    a->idx   = malloc((size_t)n * most * sizeof(*a->idx));
    a->w     = malloc((size_t)n * most * sizeof(*a->w));
    if (!a->first || !a->idx || !a->w)
        return -ENOMEM;
    for (int i = 0; i < n; i++) {
        const double centre = from + (i + 0.5) * step, lo = centre - width / 2, hi = centre + width / 2;

        a->first[i] = used;
        for (int j = (int)floor(lo); j < hi && used < n * most; j++) {
            const double w = (hi < j + 1 ? hi : j + 1) - (lo > j ? lo : j);

            if (w <= 1e-9)
                continue;
            a->idx[used] = j < 0 ? 0 : j >= size ? size - 1 : j;
            a->w[used++] = (float)(w / width);
        }
    }
    a->first[n] = used;
    return 0;
}

static void reduce_row(float *acc, const int16_t *row, const FsrDepthAxis *x, float weight)
{
    for (int i = 0; i < x->n; i++) {
        float sum = 0;

        for (int k = x->first[i]; k < x->first[i + 1]; k++)
            sum += row[x->idx[k]] * x->w[k];
        acc[i] += sum * weight;
    }
}

/* Row y of the result in 8-bit steps, from the decoded luma */
static void reduce_luma_row(float *acc, const FsrPlane *lr, const FsrDepthAxis *ax, const FsrDepthAxis *ay, int y)
{
    memset(acc, 0, ax->n * sizeof(*acc));
    for (int k = ay->first[y]; k < ay->first[y + 1]; k++)
        reduce_row(acc, lr->data + ay->idx[k] * lr->stride, ax, ay->w[k] / 64);
}

enum { ROWS = 16 };     /* of a job */

static void luma_job(void *arg, int job, int worker)
{
    FsrEngine *e = arg;
    FsrDepth  *d = e->depth;

    (void)worker;
    for (int y = job * ROWS; y < (job + 1) * ROWS && y < d->h; y++)
        reduce_luma_row(d->luma + y * d->w, e->node->lr, &d->map_x, &d->map_y, y);
}

void fsr_depth_reduce_luma(FsrEngine *e)
{
    fsr_engine_execute(e, luma_job, (e->depth->h + ROWS - 1) / ROWS);
}

static void reduce_chroma_row(FsrEngine *e, float *acc, int plane, int y, int16_t *row)
{
    const FsrDepth  *d = e->depth;
    const FsrFormat *f = &e->cfg.format;
    const FsrPlanes *p = &e->node->pic.planes;
    const int        cw = (f->width + (1 << f->log2_chroma_w) - 1) >> f->log2_chroma_w;

    memset(acc, 0, d->net_w * sizeof(*acc));
    for (int k = d->chroma_y.first[y]; k < d->chroma_y.first[y + 1]; k++) {
        e->kernels.load_row(row, p->data[plane] + d->chroma_y.idx[k] * p->stride[plane], cw, f->sample_bytes, p->step[plane],
                            f->shift, f->bit_depth);
        reduce_row(acc, row, &d->chroma_x, d->chroma_y.w[k] / 64);
    }
}

static float unit(float v)
{
    return v > 0 ? v < 1 ? v : 1 : 0;
}

/* Rows of the network's input: Y'CbCr to R'G'B', 0 to 1 */
static void rgb_job(void *arg, int job, int worker)
{
    FsrEngine   *e = arg;
    FsrDepth    *d = e->depth;
    const float  kr = (float)d->cfg.kr, kb = (float)d->cfg.kb, kg = 1 - kr - kb;
    const int    full = d->cfg.full_range, gray = e->cfg.format.planes == 1;
    const float  y_low = full ? 0 : 16, y_range = full ? 255 : 219, c_range = full ? 255 : 224;
    const size_t size = (size_t)d->net_w * d->net_h;

    for (int y = job * ROWS; y < (job + 1) * ROWS && y < d->net_h; y++) {
        float *r = d->rgb + (size_t)y * d->net_w, *g = r + size, *b = g + size;

        reduce_luma_row(g, e->node->lr, &d->net_x, &d->net_y, y);
        if (!gray) {
            reduce_chroma_row(e, b, 1, y, e->scratch[worker].row[0]);
            reduce_chroma_row(e, r, 2, y, e->scratch[worker].row[0]);
        }
        for (int x = 0; x < d->net_w; x++) {
            const float luma = (g[x] - y_low) / y_range;
            const float cb = gray ? 0 : (b[x] - 128) / c_range, cr = gray ? 0 : (r[x] - 128) / c_range;

            r[x] = unit(luma + 2 * (1 - kr) * cr);
            g[x] = unit(luma - 2 * kb * (1 - kb) / kg * cb - 2 * kr * (1 - kr) / kg * cr);
            b[x] = unit(luma + 2 * (1 - kb) * cb);
        }
    }
}

static void net_get(void *opaque, int plane, int x, int y, int w, int h, float *dst, ptrdiff_t stride)
{
    const FsrDepth *d = ((FsrEngine *)opaque)->depth;
    const float    *src = d->rgb + ((size_t)plane * d->net_h + y) * d->net_w + x;

    for (int j = 0; j < h; j++)
        memcpy(dst + j * stride, src + (size_t)j * d->net_w, w * sizeof(*dst));
}

static void net_put(void *opaque, int plane, int x, int y, int w, int h, const float *src, ptrdiff_t stride)
{
    FsrDepth *d = ((FsrEngine *)opaque)->depth;

    (void)plane;
    for (int j = 0; j < h; j++)
        for (int i = 0; i < w; i++) {
            const float v = src[j * stride + i];

            d->net[(size_t)(y + j) * d->net_w + x + i] = v > FSR_DEPTH_MIN ? v < FSR_DEPTH_MAX ? v : FSR_DEPTH_MAX : FSR_DEPTH_MIN;
        }
}

static void net_job(void *arg, int job, int worker)
{
    FsrEngine *e = arg;
    FsrNnIO    io = { .opaque = e, .get = net_get, .put = net_put };

    e->scratch[worker].macs += fsr_nn_run(e->plan, &io, job, worker);
}

static float lerp(float a, float b, float f)
{
    return a + (b - a) * f;
}

void fsr_depth_network(FsrEngine *e, float *depth)
{
    FsrDepth *d = e->depth;
    const int hw = d->net_w / 2, hh = d->net_h / 2;

    fsr_engine_execute(e, rgb_job, (d->net_h + ROWS - 1) / ROWS);
    fsr_engine_execute(e, net_job, fsr_nn_jobs(e->plan));
    if (d->w == d->net_w && d->h == d->net_h && d->x0 == 0 && d->y0 == 0) {
        memcpy(depth, d->net, (size_t)d->w * d->h * sizeof(*depth));
        return;
    }
    /* FastDepth's output has every sample twice in both directions: between the means of 2x2 it is interpolated */
    for (int y = 0; y < hh; y++)
        for (int x = 0; x < hw; x++) {
            const float *a = d->net + (size_t)2 * y * d->net_w + 2 * x, *b = a + d->net_w;

            d->half[y * hw + x] = (a[0] + a[1] + b[0] + b[1]) * 0.25f;
        }
    for (int y = 0; y < d->h; y++) {
        const double py = ((y + 0.5) * e->cfg.format.height / d->h - d->y0) / (d->y1 - d->y0) * hh - 0.5;
        const double cy = py < 0 ? 0 : py > hh - 1 ? hh - 1 : py;
        const int    iy = (int)cy < hh - 2 ? (int)cy : hh - 2;
        const float *a = d->half + iy * hw, *b = a + hw;

        for (int x = 0; x < d->w; x++) {
            const double px = ((x + 0.5) * e->cfg.format.width / d->w - d->x0) / (d->x1 - d->x0) * hw - 0.5;
            const double cx = px < 0 ? 0 : px > hw - 1 ? hw - 1 : px;
            const int    ix = (int)cx < hw - 2 ? (int)cx : hw - 2;
            const float  fx = (float)(cx - ix), fy = (float)(cy - iy);

            depth[y * d->w + x] = lerp(lerp(a[ix], a[ix + 1], fx), lerp(b[ix], b[ix + 1], fx), fy);
        }
    }
}

static int check_network(FsrEngine *e, char *err, size_t err_size)
{
    const FsrDepth *d = e->depth;
    FsrNetInfo info;
    int ret, x, y, w = 0, h = 0;

    if (!e->cfg.net) {
        snprintf(err, err_size, "depth needs a network");
        return -EINVAL;
    }
    fsr_nn_info(e->cfg.net, &info);
    if (info.in_planes != 3 || info.out_planes != 1 || (!info.whole && info.scale != 1)) {
        snprintf(err, err_size, "the network takes %d planes and gives %d; depth needs one that takes R, G, B and gives one plane of "
                 "the same size, in metres", info.in_planes, info.out_planes);
        return -EINVAL;
    }
    ret = fsr_nn_plan_as(&e->plan, e->cfg.net, d->net_w, d->net_h, e->cfg.nb_workers, e->cfg.precision, err, err_size);
    if (ret < 0 || !info.whole)
        return ret;
    fsr_nn_job_rect(e->plan, 0, &x, &y, &w, &h);
    if (w != d->net_w || h != d->net_h) {
        snprintf(err, err_size, "the network gives %dx%d for %dx%d; depth needs one that gives the size it takes", w, h, d->net_w, d->net_h);
        return -EINVAL;
    }
    return 0;
}

int fsr_depth_net_init(FsrEngine *e, char *err, size_t err_size)
{
    FsrDepth        *d = e->depth;
    const FsrFormat *f = &e->cfg.format;
    const int        cw = (f->width + (1 << f->log2_chroma_w) - 1) >> f->log2_chroma_w;
    const int        ch = (f->height + (1 << f->log2_chroma_h) - 1) >> f->log2_chroma_h;
    /* chroma samples stand half a luma sample to the left of the middle of theirs, where they lie on luma columns */
    const double     sx = 1 << f->log2_chroma_w, sy = 1 << f->log2_chroma_h;
    const double     ox = f->chroma_cosited_x ? (sx - 1) / 2 : 0, oy = f->chroma_cosited_y ? (sy - 1) / 2 : 0;
    size_t           size;

    fsr_depth_size(f->width, f->height, d->cfg.sample_aspect, &d->w, &d->h);
    choose_window(d, f->width, f->height);
    size    = (size_t)d->net_w * d->net_h;
    d->luma = malloc((size_t)d->w * d->h * sizeof(*d->luma));
    d->rgb  = malloc(3 * size * sizeof(*d->rgb));
    d->net  = malloc(size * sizeof(*d->net));
    d->half = malloc(size / 4 * sizeof(*d->half));
    if (!d->luma || !d->rgb || !d->net || !d->half ||
        fsr_depth_axis_init(&d->map_x, 0, f->width, d->w, f->width) < 0 ||
        fsr_depth_axis_init(&d->map_y, 0, f->height, d->h, f->height) < 0 ||
        fsr_depth_axis_init(&d->net_x, d->x0, d->x1, d->net_w, f->width) < 0 ||
        fsr_depth_axis_init(&d->net_y, d->y0, d->y1, d->net_h, f->height) < 0 ||
        fsr_depth_axis_init(&d->chroma_x, (d->x0 + ox) / sx, (d->x1 + ox) / sx, d->net_w, cw) < 0 ||
        fsr_depth_axis_init(&d->chroma_y, (d->y0 + oy) / sy, (d->y1 + oy) / sy, d->net_h, ch) < 0) {
        snprintf(err, err_size, "out of memory");
        return -ENOMEM;
    }
    return check_network(e, err, err_size);
}
