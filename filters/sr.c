/* Super-resolution: the network on key frames, and fill=bicubic and fill=detail. */
#include <limits.h>
#include <string.h>

#include "task.h"

/* Networks take luma as code value / largest code value of 8 bits, at any depth. */
#define UNIT (255 * 64)

/* Whole picture without a network. */
static void plain_stripe(void *arg, int stripe, int worker)
{
    FsrEngine   *e = arg;
    FsrNode     *n = e->node;
    FsrScratch  *s = &e->scratch[worker];
    const int    scale = e->cfg.scale;
    FsrRowCursor c;
    int y0, y1;

    fsr_stripe_rows(e, n, stripe, &y0, &y1);
    fsr_cursor_init(&c, n->lr, &e->base, s->ring[0], 0, e->out_format.width);
    for (int y = y0 * scale; y < y1 * scale; y++) {
        int16_t *hr = n->hr->data + y * n->hr->stride;

        fsr_cursor_row(&c, y, hr);
        fsr_store_luma(e, 0, y, e->out_format.width, hr);
    }
}

static void finish_stripe(void *arg, int stripe, int worker)
{
    FsrEngine *e = arg;
    int y0, y1;

    fsr_stripe_rows(e, e->node, stripe, &y0, &y1);
    if (y0 == y1)
        return;
    fsr_plane_pad(e->node->hr, y0 * e->cfg.scale, y1 * e->cfg.scale);
    fsr_output_chroma(e, &e->scratch[worker], y0, y1);
}

static int nb_stripes(const FsrEngine *e, const FsrNode *n)
{
    return n->has_motion ? fsr_motion_stripes(n) : (e->cfg.format.height + FSR_STRIPE - 1) / FSR_STRIPE;
}

/* The network reads and writes through these; one per worker at a time. */
typedef struct NetIO {
    FsrEngine  *e;
    FsrScratch *s;
} NetIO;

/* The anchor's rows, cut to columns x to x + w - 1: row[0] from the returned position on. */
static int anchor_cursor(const NetIO *io, FsrRowCursor *c, int x, int w)
{
    const int skip = x % io->e->cfg.scale;

    fsr_cursor_init(c, io->e->node->lr, &io->e->anchor, io->s->ring[0], x - skip, w + skip);
    return skip;
}

static void net_get(void *opaque, int plane, int x, int y, int w, int h, float *dst, ptrdiff_t stride)
{
    const NetIO    *io = opaque;
    const FsrPlane *lr = io->e->node->lr;
    const int16_t  *row = NULL;
    FsrRowCursor    c;

    (void)plane;
    if (io->e->plan_is_hr)
        row = io->s->row[0] + anchor_cursor(io, &c, x, w);
    for (int j = 0; j < h; j++) {
        if (io->e->plan_is_hr)
            fsr_cursor_row(&c, y + j, io->s->row[0]);
        else
            row = lr->data + (y + j) * lr->stride + x;
        for (int i = 0; i < w; i++)
            dst[j * stride + i] = row[i] * (1.0f / UNIT);
    }
}

static void net_put(void *opaque, int plane, int x, int y, int w, int h, const float *src, ptrdiff_t stride)
{
    const NetIO   *io = opaque;
    FsrEngine     *e  = io->e;
    FsrPlane      *hr = e->node->hr;
    const int16_t *row;
    FsrRowCursor   c;

    if (plane)
        return;
    row = io->s->row[0] + anchor_cursor(io, &c, x, w);
    for (int j = 0; j < h; j++) {
        int16_t *d = hr->data + (y + j) * hr->stride + x;

        if (e->plan_adds)
            fsr_cursor_row(&c, y + j, io->s->row[0]);
        for (int i = 0; i < w; i++) {
            float v = src[j * stride + i] + (e->plan_adds ? row[i] * (1.0f / UNIT) : 0);

            v = v > 1.25f ? 1.25f : v > -0.25f ? v : -0.25f;    /* also what is not a number */
            d[i] = (int)(v * UNIT + 32768.5f) - 32768;
        }
        fsr_store_luma(e, x, y + j, w, d);
    }
}

static void net_job(void *arg, int job, int worker)
{
    FsrEngine *e = arg;
    NetIO      n = { e, &e->scratch[worker] };
    FsrNnIO    io = { .opaque = &n, .get = net_get, .put = net_put };

    e->scratch[worker].macs += fsr_nn_run(e->plan, &io, job, worker);
}

int fsr_sr_key(FsrEngine *e, FsrNode *n)
{
    if (e->plan)
        fsr_engine_execute(e, net_job, fsr_nn_jobs(e->plan));
    else
        fsr_engine_execute(e, plain_stripe, nb_stripes(e, n));
    fsr_engine_execute(e, finish_stripe, nb_stripes(e, n));
    return 0;
}

static int bicubic_fill(FsrEngine *e, FsrNode *n)
{
    fsr_engine_execute(e, plain_stripe, nb_stripes(e, n));
    fsr_engine_execute(e, finish_stripe, nb_stripes(e, n));
    n->stats.transferred = 0;
    return 0;
}

/* fill=detail -------------------------------------------------------------- */

/* Carried detail fades over many pictures, so that errors do not last in long chains of P pictures. */
#define MAX_WEIGHT 220

/*
 * Weight of carried detail in a cell: the largest up to a mismatch of a quarter of the threshold,
 * 0 from the threshold on. The mismatch is averaged over the 3x3 cells around, those without
 * motion left out, because one cell has few samples.
 */
static void weigh_stripe(void *arg, int stripe, int worker)
{
    FsrEngine      *e = arg;
    const FsrCells *c = &e->cells;
    const int       t1 = (int)(e->cfg.threshold * 64 + 0.5), t0 = t1 / 4;
    const int       full = e->node->duplicate ? 256 : MAX_WEIGHT;   /* a picture shown again stays as it was */
    const int       row0 = stripe * FSR_STRIPE / 4, row1 = row0 + FSR_STRIPE / 4;
    uint64_t        carried = 0;

    for (int y = row0; y < row1 && y < c->h; y++)
        for (int x = 0; x < c->w; x++) {
            unsigned sum = 0, nb = 0;
            int      weight = 0;

            for (int j = y > 0 ? y - 1 : 0; j <= y + 1 && j < c->h; j++)
                for (int i = x > 0 ? x - 1 : 0; i <= x + 1 && i < c->w; i++)
                    if (c->error[j * c->w + i] != FSR_NO_ERROR) {
                        sum += c->error[j * c->w + i];
                        nb++;
                    }
            if (nb) {
                const int err = sum / nb;

                weight = err <= t0 ? full : err >= t1 ? 0 : full * (t1 - err) / (t1 - t0);
                carried += weight > 0 && c->error[y * c->w + x] != FSR_NO_ERROR;
            }
            c->weight[y * c->w + x] = weight;
        }
    e->scratch[worker].sum[0] += carried;
}

/* Nothing of the block is wanted: its cells are marked, since what lies there is not a prediction. */
static int is_plain(FsrEngine *e, const FsrBlock *b)
{
    const FsrCells *c = &e->cells;
    int max = 0;

    for (int y = b->y; y < b->y + b->h; y++)
        for (int x = b->x; x < b->x + b->w; x++)
            if (c->error[y * c->w + x] != FSR_NO_ERROR && c->weight[y * c->w + x] > max)
                max = c->weight[y * c->w + x];
    for (int y = b->y; !max && y < b->y + b->h; y++)
        for (int x = b->x; x < b->x + b->w; x++)
            c->error[y * c->w + x] = FSR_NO_ERROR;
    return !max;
}

/* How far each of the span samples between two cell centres lies, in 1/128. */
static void lerp_table(int16_t *f, int span)
{
    for (int i = 0; i < span; i++)
        f[i] = (64 * (2 * i + 1) + span / 2) / span;
}

/* Floor division by a positive number */
static int floor_div(int a, int b)
{
    return (a >= 0 ? a : a - b + 1) / b;
}

static int clamp(int v, int lo, int hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

/* Weights for one row of the large picture: returns the first of out_width weights. */
static const int16_t *weight_row(const FsrEngine *e, const FsrNode *n, FsrScratch *s, int y, const int16_t *f)
{
    const FsrCells *c = &e->cells;
    const int span = 4 * e->cfg.scale, width = e->out_format.width;
    const int ty = y + n->motion.hdr.crop_top * e->cfg.scale, tx = n->motion.hdr.crop_left * e->cfg.scale;
    const int cy = floor_div(ty - span / 2, span), cx = floor_div(tx - span / 2, span);
    const int fy = f[ty - (cy * span + span / 2)], base = cx * span + span / 2;
    const int nb = (tx + width - base + span - 1) / span;
    const int16_t *a = c->weight + clamp(cy, 0, c->h - 1) * c->w, *b = c->weight + clamp(cy + 1, 0, c->h - 1) * c->w;
    int16_t *row = s->row[1], *column = s->row[3];

    for (int k = 0; k <= nb; k++) {
        const int cell = clamp(cx + k, 0, c->w - 1);

        column[k] = a[cell] + (((b[cell] - a[cell]) * fy + 64) >> 7);
    }
    fsr_lerp_row(row, column, nb, f, span);
    row += tx - base;
    /* interpolation must not reach into cells where nothing was predicted */
    for (int x = 0; x < width; x = (x + tx) / span * span + span - tx)
        if (c->error[ty / span * c->w + (x + tx) / span] == FSR_NO_ERROR)
            for (int i = x; i < width && i < (x + tx) / span * span + span - tx; i++)
                row[i] = 0;
    return row;
}

static void detail_stripe(void *arg, int stripe, int worker)
{
    FsrEngine   *e = arg;
    FsrNode     *n = e->node;
    FsrScratch  *s = &e->scratch[worker];
    const int    scale = e->cfg.scale, w = e->out_format.width;
    int16_t      f[16];
    FsrRowCursor base, pred;
    int y0, y1;

    fsr_stripe_rows(e, n, stripe, &y0, &y1);
    if (y0 == y1)
        return;
    fsr_warp_stripe(e, n, stripe, s, is_plain);

    lerp_table(f, 4 * scale);
    fsr_cursor_init(&base, n->lr, &e->base, s->ring[0], 0, w);
    fsr_cursor_init(&pred, e->pred, &e->base, s->ring[1], 0, w);
    for (int y = y0 * scale; y < y1 * scale; y++) {
        int16_t *hr = n->hr->data + y * n->hr->stride;

        fsr_cursor_row(&base, y, s->row[0]);
        fsr_cursor_row(&pred, y, s->row[2]);
        fsr_blend_row(hr, s->row[0], s->row[2], weight_row(e, n, s, y, f), w);
        fsr_store_luma(e, 0, y, w, hr);
    }
    fsr_plane_pad(n->hr, y0 * scale, y1 * scale);
    fsr_output_chroma(e, s, y0, y1);
}

static int detail_fill(FsrEngine *e, FsrNode *n)
{
    uint64_t carried = 0;

    for (int w = 0; w < e->cfg.nb_workers; w++)
        e->scratch[w].sum[0] = 0;
    fsr_engine_execute(e, weigh_stripe, fsr_motion_stripes(n));
    for (int w = 0; w < e->cfg.nb_workers; w++)
        carried += e->scratch[w].sum[0];
    n->stats.transferred = carried * 16.0 / ((double)n->lr->w * n->lr->h);
    if (n->stats.transferred > 1)       /* cells that the crop cuts */
        n->stats.transferred = 1;
    fsr_engine_execute(e, detail_stripe, fsr_motion_stripes(n));
    return 0;
}

const FsrTask fsr_task_bicubic = { "bicubic", fsr_sr_key, bicubic_fill };
const FsrTask fsr_task_detail  = { "detail",  fsr_sr_key, detail_fill };
