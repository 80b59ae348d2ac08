/* Super-resolution: the network on key frames, and fill=bicubic. */
#include "task.h"

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
    fsr_cursor_init(&c, &e->kernels, n->lr, &e->base, s->ring[0], 0, e->out_format.width);
    for (int y = y0 * scale; y < y1 * scale; y++) {
        int16_t *hr = n->hr->data + y * n->hr->stride;

        fsr_cursor_row(&c, y, hr);
        fsr_store_luma(e, 0, y, e->out_format.width, hr);
    }
}

void fsr_sr_finish_stripe(void *arg, int stripe, int worker)
{
    FsrEngine *e = arg;
    int y0, y1;

    fsr_stripe_rows(e, e->node, stripe, &y0, &y1);
    if (y0 == y1)
        return;
    if (e->node->kept)
        fsr_plane_pad(e->node->hr, y0 * e->cfg.scale, y1 * e->cfg.scale);
    fsr_output_chroma(e, &e->scratch[worker], y0, y1);
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

    fsr_cursor_init(c, &io->e->kernels, io->e->node->lr, &io->e->anchor, io->s->ring[0], x - skip, w + skip);
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
            dst[j * stride + i] = row[i] * (1.0f / FSR_UNIT);
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
            float v = src[j * stride + i] + (e->plan_adds ? row[i] * (1.0f / FSR_UNIT) : 0);

            v = v > 1.25f ? 1.25f : v > -0.25f ? v : -0.25f;    /* also what is not a number */
            d[i] = (int)(v * FSR_UNIT + 32768.5f) - 32768;
        }
        fsr_store_luma(e, x, y + j, w, d);
    }
}

void fsr_sr_net_job(FsrEngine *e, const FsrNnTiles *tiles, int job, int worker)
{
    NetIO   n = { e, &e->scratch[worker] };
    FsrNnIO io = { .opaque = &n, .get = net_get, .put = net_put };

    e->scratch[worker].macs += fsr_nn_run_tiles(e->plan, &io, tiles, job, worker);
}

static void net_job(void *arg, int job, int worker)
{
    fsr_sr_net_job(arg, NULL, job, worker);
}

int fsr_sr_key(FsrEngine *e, FsrNode *n)
{
    if (e->plan)
        fsr_engine_execute(e, net_job, fsr_nn_jobs(e->plan));
    else
        fsr_engine_execute(e, plain_stripe, fsr_nb_stripes(e, n));
    fsr_engine_execute(e, fsr_sr_finish_stripe, fsr_nb_stripes(e, n));
    return 0;
}

static int bicubic_fill(FsrEngine *e, FsrNode *n)
{
    fsr_engine_execute(e, plain_stripe, fsr_nb_stripes(e, n));
    fsr_engine_execute(e, fsr_sr_finish_stripe, fsr_nb_stripes(e, n));
    n->stats.transferred = 0;
    return 0;
}

const FsrTask fsr_task_bicubic = { "bicubic", fsr_sr_key, bicubic_fill, NULL };
