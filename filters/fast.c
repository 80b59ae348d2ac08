/*
 * fill=fast: FAST (Zhang and Sze, "FAST: A Framework to Accelerate Super-Resolution Processing
 * on Compressed Videos", CVPRW 2017) in the form that the authors released, kept as the baseline.
 * Pixels of the large references are carried by block, the upscaled residual is added, blocks
 * with a large residual and blocks without motion are bicubic, and the picture is deblocked.
 * Differences: the residual is the decoded block minus its prediction from the decoded
 * references (in-loop filters included; the release reads the transform residual before them);
 * bi-prediction and weights are followed; bicubic comes from the whole picture, not block by block.
 */
#include <stdlib.h>
#include <string.h>

#include "task.h"

#define BETA 60
#define TC   10

static int is_carried(const FsrEngine *e, const FsrNode *n, const FsrBlock *b, FsrRect *r)
{
    uint64_t sum = 0, cells = 0;

    if (b->mode < FSR_INTER || !fsr_block_rect(n, b, r))
        return 0;
    for (int y = b->y; y < b->y + b->h; y++)
        for (int x = b->x; x < b->x + b->w; x++) {
            const unsigned err = e->cells.error[y * e->cells.w + x];

            if (err != FSR_NO_ERROR) {
                sum += err;
                cells++;
            }
        }
    return cells && sum < e->cfg.threshold * 64 * cells;
}

/* Which blocks are carried (cells.weight); the others have no residual, so that none leaks from them. */
static void choose_stripe(void *arg, int stripe, int worker)
{
    FsrEngine *e = arg;
    FsrNode   *n = e->node;
    const int  row0 = stripe * FSR_STRIPE / 4;
    const int  rows = e->cells.h - row0 < FSR_STRIPE / 4 ? e->cells.h - row0 : FSR_STRIPE / 4;
    int y0, y1;

    memset(e->cells.weight + row0 * e->cells.w, 0, rows * e->cells.w * sizeof(*e->cells.weight));
    for (uint32_t i = n->stripe_start[stripe]; i < n->stripe_start[stripe + 1]; i++) {
        const FsrBlock *b = &n->motion.blocks[n->order[i]];
        FsrRect r;

        if (is_carried(e, n, b, &r)) {
            for (int y = b->y; y < b->y + b->h; y++)
                for (int x = b->x; x < b->x + b->w; x++)
                    e->cells.weight[y * e->cells.w + x] = 1;
            e->scratch[worker].sum[0] += (uint64_t)r.w * r.h;
        } else if (b->mode >= FSR_INTER && fsr_block_rect(n, b, &r)) {
            for (int y = r.y; y < r.y + r.h; y++)
                memcpy(e->pred->data + y * e->pred->stride + r.x, n->lr->data + y * n->lr->stride + r.x, r.w * sizeof(int16_t));
        }
    }
    fsr_stripe_rows(e, n, stripe, &y0, &y1);
    if (y0 < y1)
        fsr_plane_pad_by(e->pred, y0, y1, FSR_PAD_UPSCALE);
}

static int is_bicubic(FsrEngine *e, const FsrBlock *b)
{
    return !e->cells.weight[b->y * e->cells.w + b->x];
}

/* Round and clip to the stream's samples: the release works on pixels. */
static int to_pixel(const FsrEngine *e, int v)
{
    const int down = 14 - e->cfg.format.bit_depth, max = (1 << e->cfg.format.bit_depth) - 1;
    const int p = (v + ((1 << down) >> 1)) >> down;

    return (p < 0 ? 0 : p > max ? max : p) << down;
}

static void pixel_stripe(void *arg, int stripe, int worker)
{
    FsrEngine   *e = arg;
    FsrNode     *n = e->node;
    FsrScratch  *s = &e->scratch[worker];
    const int    scale = e->cfg.scale, w = e->out_format.width, left = n->motion.hdr.crop_left;
    FsrRowCursor anchor, pred;
    int y0, y1;

    fsr_stripe_rows(e, n, stripe, &y0, &y1);
    fsr_warp_rows(e, n, n->hr, FSR_FROM_HR, stripe, y0, y1, s, is_bicubic);
    fsr_cursor_init(&anchor, &e->kernels, n->lr, &e->anchor, s->ring[0], 0, w);
    fsr_cursor_init(&pred, &e->kernels, e->pred, &e->anchor, s->ring[1], 0, w);
    for (int y = y0 * scale; y < y1 * scale; y++) {
        const int16_t *carried = e->cells.weight + (y / scale + n->motion.hdr.crop_top) / 4 * e->cells.w;
        int16_t       *hr = n->hr->data + y * n->hr->stride;

        fsr_cursor_row(&anchor, y, s->row[0]);
        fsr_cursor_row(&pred, y, s->row[1]);
        for (int x = 0; x < w; x++)
            hr[x] = to_pixel(e, s->row[0][x] + (carried[(x / scale + left) / 4] ? hr[x] - s->row[1][x] : 0));
    }
}

static inline int clip3(int lo, int hi, int v)
{
    return v < lo ? lo : v > hi ? hi : v;
}

/*
 * Four lines of one edge, H.265 8.7.2.5 with fixed strength. q points to the first sample
 * behind the edge, step goes across it, along goes from line to line.
 */
static void deblock_segment(int16_t *q, ptrdiff_t step, ptrdiff_t along, int down, int depth)
{
    const int beta = BETA << (depth - 8), tc = TC << (depth - 8), max = (1 << depth) - 1;
    int v[4][8], strong = 1, dp, dq, dpq[2];

    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 8; k++)
            v[i][k] = q[i * along + (k - 4) * step] >> down;
    dp     = abs(v[0][1] - 2 * v[0][2] + v[0][3]);
    dq     = abs(v[0][6] - 2 * v[0][5] + v[0][4]);
    dpq[0] = dp + dq;
    dpq[1] = abs(v[3][1] - 2 * v[3][2] + v[3][3]) + abs(v[3][6] - 2 * v[3][5] + v[3][4]);
    if (dpq[0] + dpq[1] >= beta)
        return;
    dp += abs(v[3][1] - 2 * v[3][2] + v[3][3]);
    dq += abs(v[3][6] - 2 * v[3][5] + v[3][4]);
    for (int i = 0; i < 2; i++) {
        const int *l = v[3 * i];

        strong &= 2 * dpq[i] < beta >> 2 && abs(l[0] - l[3]) + abs(l[4] - l[7]) < beta >> 3 &&
                  abs(l[3] - l[4]) < (5 * tc + 1) >> 1;
    }
    for (int i = 0; i < 4; i++) {
        const int p3 = v[i][0], p2 = v[i][1], p1 = v[i][2], p0 = v[i][3];
        const int q0 = v[i][4], q1 = v[i][5], q2 = v[i][6], q3 = v[i][7];
        const int side = (beta + (beta >> 1)) >> 3;
        int *o = v[i];

        if (strong) {
            o[1] = clip3(p2 - 2 * tc, p2 + 2 * tc, (2 * p3 + 3 * p2 + p1 + p0 + q0 + 4) >> 3);
            o[2] = clip3(p1 - 2 * tc, p1 + 2 * tc, (p2 + p1 + p0 + q0 + 2) >> 2);
            o[3] = clip3(p0 - 2 * tc, p0 + 2 * tc, (p2 + 2 * p1 + 2 * p0 + 2 * q0 + q1 + 4) >> 3);
            o[4] = clip3(q0 - 2 * tc, q0 + 2 * tc, (p1 + 2 * p0 + 2 * q0 + 2 * q1 + q2 + 4) >> 3);
            o[5] = clip3(q1 - 2 * tc, q1 + 2 * tc, (p0 + q0 + q1 + q2 + 2) >> 2);
            o[6] = clip3(q2 - 2 * tc, q2 + 2 * tc, (p0 + q0 + q1 + 3 * q2 + 2 * q3 + 4) >> 3);
        } else {
            int delta = (9 * (q0 - p0) - 3 * (q1 - p1) + 8) >> 4;

            if (abs(delta) >= tc * 10)
                continue;
            delta = clip3(-tc, tc, delta);
            o[3] = clip3(0, max, p0 + delta);
            o[4] = clip3(0, max, q0 - delta);
            if (dp < side)
                o[2] = clip3(0, max, p1 + clip3(-(tc >> 1), tc >> 1, (((p2 + p0 + 1) >> 1) - p1 + delta) >> 1));
            if (dq < side)
                o[5] = clip3(0, max, q1 + clip3(-(tc >> 1), tc >> 1, (((q2 + q0 + 1) >> 1) - q1 - delta) >> 1));
        }
        for (int k = 1; k < 7; k++)
            q[i * along + (k - 4) * step] = o[k] << down;
    }
}

/* 64 rows: vertical edges lie inside; horizontal ones touch 3 rows above, that no other job touches. */
static void deblock_rows(FsrEngine *e, int job, int horizontal)
{
    FsrPlane *hr = e->node->hr;
    const int y0 = job * 64, y1 = y0 + 64 < hr->h ? y0 + 64 : hr->h, depth = e->cfg.format.bit_depth;

    if (horizontal) {
        for (int y = y0 ? y0 : 8; y < y1 && y + 4 <= hr->h; y += 8)
            for (int x = 0; x + 4 <= hr->w; x += 4)
                deblock_segment(hr->data + y * hr->stride + x, hr->stride, 1, 14 - depth, depth);
    } else {
        for (int y = y0; y + 4 <= y1; y += 4)
            for (int x = 8; x + 4 <= hr->w; x += 8)
                deblock_segment(hr->data + y * hr->stride + x, 1, hr->stride, 14 - depth, depth);
    }
}

static void deblock_vertical(void *arg, int job, int worker)
{
    (void)worker;
    deblock_rows(arg, job, 0);
}

static void deblock_horizontal(void *arg, int job, int worker)
{
    (void)worker;
    deblock_rows(arg, job, 1);
}

static void store_stripe(void *arg, int stripe, int worker)
{
    FsrEngine *e = arg;
    FsrNode   *n = e->node;
    int y0, y1;

    fsr_stripe_rows(e, n, stripe, &y0, &y1);
    if (y0 == y1)
        return;
    for (int y = y0 * e->cfg.scale; y < y1 * e->cfg.scale; y++)
        fsr_store_luma(e, 0, y, e->out_format.width, n->hr->data + y * n->hr->stride);
    if (n->kept)
        fsr_plane_pad(n->hr, y0 * e->cfg.scale, y1 * e->cfg.scale);
    fsr_output_chroma(e, &e->scratch[worker], y0, y1);
}

static int fast_fill(FsrEngine *e, FsrNode *n)
{
    const int stripes = fsr_motion_stripes(n), rows = (e->out_format.height + 63) / 64;
    uint64_t  carried = 0;

    for (int w = 0; w < e->cfg.nb_workers; w++)
        e->scratch[w].sum[0] = 0;
    fsr_engine_execute(e, choose_stripe, stripes);
    for (int w = 0; w < e->cfg.nb_workers; w++)
        carried += e->scratch[w].sum[0];
    n->stats.transferred = carried / ((double)n->lr->w * n->lr->h);

    fsr_engine_execute(e, pixel_stripe, stripes);
    fsr_engine_execute(e, deblock_vertical, rows);
    fsr_engine_execute(e, deblock_horizontal, rows);
    fsr_engine_execute(e, store_stripe, stripes);
    return 0;
}

static enum FsrCellKind fast_kind(const FsrEngine *e, int i)
{
    return e->cells.weight[i] ? FSR_CELL_TRANSFERRED : FSR_CELL_PLAIN;
}

const FsrTask fsr_task_fast = { "fast", fsr_sr_key, fast_fill, fast_kind };
