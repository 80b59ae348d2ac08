/* Runs the plan of a whole picture, band by band, from the output's demand. Compiled with -O3, as ops.c. */
#include "nn/ops.h"
#include "nn/whole.h"

#include <string.h>

typedef struct Job {
    FsrPlan            *p;
    const FsrNnIO      *io;
    float              *memory;
    int64_t             macs;
    /* the node whose rows are made */
    int                 i;
    const FsrNode      *n;
    const FsrWholeNode *wn;
    const FsrWholeNode *in;             /* its first input */
} Job;

static float *row_of(const Job *t, int i, int r)
{
    const FsrPlanNode *pn = &t->p->nodes[i];
    return t->memory + pn->offset + pn->pitch * (r % pn->ring_rows);
}

/* Row r of input j. */
static float *under(const Job *t, int j, int r)
{
    return row_of(t, t->n->in[j], r);
}

/* ---- convolutions ----------------------------------------------------------------- */

static void conv_run(const Job *t, const float *const *rows, float *dst, int width)
{
    const FsrPlanNode *pn = &t->p->nodes[t->i];

    if (t->wn->dw_kernel)
        t->wn->dw_kernel->row(&t->wn->dw, pn->packed, rows, dst, width);
    else
        pn->kernel->row(&pn->shape, pn->packed, rows, dst, width, t->memory + t->p->scratch);
}

/* 1x1: all rows that lie together are one. */
static void conv_points(const Job *t, int first, int last)
{
    const FsrWholeNode *wn   = t->wn;
    const int           ring = t->p->nodes[t->n->in[0]].ring_rows, w = wn->w;

    for (int r = first, n; r <= last; r += n) {
        const float *src = under(t, 0, r);

        n = fsr_min(last - r + 1, ring - r % ring);
        if (wn->point)
            wn->point->row(&wn->pc, (const uint8_t *)src, row_of(t, t->i, r), n * w);
        else
            conv_run(t, &src, row_of(t, t->i, r), n * w);
    }
}

/* Sample x of a depthwise convolution without the columns of its window that lie outside of the picture. */
static void depthwise_edge(const Job *t, const float *const *rows, float *dst, int x)
{
    const int    from   = x * t->n->sx - t->wn->pad.left;
    const int    before = fsr_clamp(-from, 0, t->n->kw), inside = fsr_clamp(t->in->w - from, before, t->n->kw) - before;
    FsrDwShape   s      = t->wn->dw;
    const float *windows[FSR_NN_MAX_KERNEL];

    for (int k = 0; k < s.kh; k++)
        windows[k] = rows[k] + (inside ? (size_t)(from + before) * t->in->stride : 0);
    s.before = before;
    s.after  = s.kw - before - inside;
    s.kw     = inside;
    t->wn->dw_kernel->row(&s, t->p->nodes[t->i].packed, windows, dst + (size_t)x * t->wn->stride, 1);
}

/* Samples x to x + n - 1 of a row, some of their window outside of the picture, where zeros are. */
static void conv_edge(const Job *t, const float *const *rows, float *dst, int x, int n)
{
    const size_t stride = t->in->stride;
    const int    from   = x * t->n->sx - t->wn->pad.left, width = (n - 1) * t->n->sx + t->n->kw;
    const int    before = fsr_clamp(-from, 0, width), inside = fsr_clamp(t->in->w - from, before, width) - before;
    const float *windows[FSR_NN_MAX_KERNEL];
    float       *to = t->memory + t->p->whole->window;

    for (int k = 0; n > 0 && k < t->n->kh; k++, to += width * stride) {
        memset(to, 0, width * stride * sizeof(*to));
        if (inside)
            memcpy(to + before * stride, rows[k] + (from + before) * stride, inside * stride * sizeof(*to));
        windows[k] = to;
    }
    if (n > 0)
        conv_run(t, windows, dst + (size_t)x * t->wn->stride, n);
}

/* The input is read in place but for windows that leave the picture at its sides; above and below it are rows of zeros. */
static void conv_row(const Job *t, int r)
{
    const FsrNode      *n  = t->n;
    const FsrWholeNode *wn = t->wn, *in = t->in;
    const int top = fsr_whole_span(t->p, t->i, 0, r).first;
    const int x0  = fsr_min(fsr_ceil_div(wn->pad.left, n->sx), wn->w);
    const int x1  = fsr_clamp(fsr_floor_div(in->w + wn->pad.left - n->kw, n->sx) + 1, x0, wn->w);
    const float *rows[FSR_NN_MAX_KERNEL], *inner[FSR_NN_MAX_KERNEL];
    float *dst = row_of(t, t->i, r);

    for (int k = 0; k < n->kh; k++) {
        rows[k]  = top + k < 0 || top + k >= in->h ? t->memory + t->p->whole->zeros : under(t, 0, top + k);
        inner[k] = rows[k] + (x0 < x1 ? (size_t)(x0 * n->sx - wn->pad.left) * in->stride : 0);
    }
    if (x0 < x1)
        conv_run(t, inner, dst + (size_t)x0 * wn->stride, x1 - x0);
    if (!wn->dw_kernel) {
        conv_edge(t, rows, dst, 0, x0);
        conv_edge(t, rows, dst, x1, wn->w - x1);
        return;
    }
    for (int x = 0; x < x0; x++)
        depthwise_edge(t, rows, dst, x);
    for (int x = x1; x < wn->w; x++)
        depthwise_edge(t, rows, dst, x);
}

/* ---- the others: row r into dst ------------------------------------------------------ */

/* What makes samples of those under them; values of a single row or sample serve all of them. */
static void plain_row(const Job *t, int r, float *dst)
{
    FsrRow under_it[2];

    for (int j = 0; j < t->n->nb_in; j++) {
        const FsrWholeNode *in = &t->p->whole->nodes[t->n->in[j]];

        under_it[j] = (FsrRow){ under(t, j, in->h == 1 ? 0 : r), 0, t->p->net->nodes[t->n->in[j]].channels,
                                in->w == t->wn->w ? in->stride : 0 };
    }
    fsr_ops_row(t->n, dst, 0, t->wn->stride, under_it, t->wn->w);
}

static void concat_row(const Job *t, int r, float *dst)
{
    const FsrNode *n = t->n;

    for (int j = 0; j < n->nb_in; j++) {
        const FsrWholeNode *in = &t->p->whole->nodes[n->in[j]];
        const int planes = t->p->net->nodes[n->in[j]].channels;
        const int from   = fsr_whole_span(t->p, t->i, j, r).first;

        if (from < 0 || from >= in->h)
            continue;
        fsr_ops_copy(dst, t->wn->stride, under(t, j, from), in->stride, planes, in->w);
        dst += n->axis == 3 ? (size_t)in->w * in->stride : n->axis == 1 ? (size_t)planes : 0;
    }
}

/* Samples of each row of the input, `planes` of them, side by side. */
static void unshuffle_row(const Job *t, int r, float *dst)
{
    const int planes = t->p->net->nodes[t->n->in[0]].channels, b = t->n->block;

    for (int k = 0; k < b * b; k++, dst += planes)
        fsr_ops_copy(dst, t->wn->stride, under(t, 0, r * b + k / b) + k % b * t->in->stride, b * t->in->stride,
                     planes, t->wn->w);
}

/* Where the sample at x of a padded axis comes from; negative: from nowhere. */
static int unpad(FsrPadMode mode, int x, int size)
{
    if (x >= 0 && x < size)
        return x;
    if (mode == FSR_PAD_EDGE)
        return x < 0 ? 0 : size - 1;
    return mode == FSR_PAD_REFLECT ? x < 0 ? -x : 2 * size - 2 - x : -1;
}

static void pad_row(const Job *t, int r, float *dst)
{
    const FsrNode *n   = t->n;
    const int      y   = unpad(n->pad_mode, r - t->wn->pad.top, t->in->h);
    const float   *src = y < 0 ? NULL : under(t, 0, y);

    for (int x = 0; x < t->wn->w; x++, dst += t->wn->stride) {
        const int from = unpad(n->pad_mode, x - t->wn->pad.left, t->in->w);

        for (int c = 0; c < n->channels; c++)
            dst[c] = src && from >= 0 ? src[(size_t)from * t->in->stride + c] : n->pad_value;
    }
}

static void slice_row(const Job *t, int r, float *dst)
{
    const FsrNode      *n   = t->n;
    const FsrWholeNode *wn  = t->wn;
    const float        *src = under(t, 0, wn->first_y + r * (int)n->range[2][2]);

    for (int x = 0; x < wn->w; x++, dst += wn->stride)
        for (int c = 0; c < n->channels; c++)
            dst[c] = src[(wn->first_x + x * (ptrdiff_t)n->range[3][2]) * t->in->stride +
                         wn->first_c + c * (ptrdiff_t)n->range[1][2]];
}

static void reshape_row(const Job *t, int r, float *dst)
{
    const FsrWholeNode *wn   = t->wn, *in = t->in;
    const size_t        area = (size_t)wn->w * wn->h, under_area = (size_t)in->w * in->h;

    for (int x = 0; x < wn->w; x++, dst += wn->stride)
        for (int c = 0; c < t->n->channels; c++) {
            const size_t k = c * area + (size_t)r * wn->w + x;     /* counted in the order of planes, rows, samples */

            dst[c] = under(t, 0, (int)(k % under_area / in->w))[k % in->w * in->stride + k / under_area];
        }
}

static void transpose_row(const Job *t, int r, float *dst)
{
    const int stride = t->wn->stride;

    for (int x = 0; x < t->wn->w; x++, dst += stride)
        memcpy(dst, under(t, 0, x) + (size_t)r * stride, stride * sizeof(*dst));
}

/* One more sample of a window: their maximum or sum so far. */
static void add_to_pool(FsrOp op, int first, float *dst, const float *src, int stride)
{
    for (int c = 0; c < stride; c++) {
        const float v = src[c];
        dst[c] = first ? v : op == FSR_OP_MAX_POOL ? (v > dst[c] ? v : dst[c]) : dst[c] + v;
    }
}

static void mean(float *dst, const float *src, int stride, size_t n)
{
    for (int c = 0; c < stride; c++) {
        double sum = 0;
        for (size_t i = 0; i < n; i++)
            sum += src[i * stride + c];
        dst[c] = (float)(sum / n);
    }
}

static void pool_row(const Job *t, int r, float *dst)
{
    const FsrNode      *n   = t->n;
    const FsrWholeNode *wn  = t->wn, *in = t->in;
    const int           top = r * n->sy - wn->pad.top;

    for (int x = 0; x < wn->w; x++, dst += wn->stride) {
        const int left = x * n->sx - wn->pad.left;
        const int wide = fsr_min(left + n->kw, in->w + wn->pad.right) - left;
        const int high = fsr_min(top + n->kh, in->h + wn->pad.bottom) - top;
        int       taps = 0;
        float     factor;

        for (int ky = 0; ky < n->kh; ky++)
            for (int kx = 0; kx < n->kw; kx++) {
                const int y = top + ky * n->dy, sx = left + kx * n->dx;

                if (y >= 0 && y < in->h && sx >= 0 && sx < in->w)
                    add_to_pool(n->op, !taps++, dst, under(t, 0, y) + (size_t)sx * in->stride, wn->stride);
            }
        factor = n->op == FSR_OP_AVERAGE_POOL ? 1.0f / (n->count_pads ? wide * high : taps) : 1;
        for (int c = 0; factor != 1 && c < wn->stride; c++)
            dst[c] *= factor;
    }
}

static void resize_row(const Job *t, int r, float *dst)
{
    const FsrWholeNode *wn  = t->wn;
    const FsrTap       *v   = &wn->ty.taps[r];
    const float        *add = t->n->nb_in > 1 ? under(t, 1, r) : NULL;
    const float        *rows[FSR_RESIZE_TAPS], *src;
    float              *blend = t->memory + t->p->scratch;

    for (int j = 0; j < wn->ty.nb; j++)
        rows[j] = under(t, 0, v->at[j]);
    src = rows[0];
    if (wn->ty.nb > 1) {
        fsr_resize_blend(blend, rows, v->weight, wn->ty.nb, (size_t)t->in->w * t->in->stride);
        src = blend;
    }
    fsr_resize_row(&wn->tx, dst, src, add, wn->w, wn->stride);
}

static void other_row(const Job *t, int r, float *dst)
{
    const FsrNode      *n  = t->n;
    const FsrWholeNode *wn = t->wn, *in = t->in;

    switch (n->op) {
    case FSR_OP_INPUT:
        fsr_ops_get(t->io, t->p->nodes[t->i].first_plane, n->channels, 0, r, wn->w, dst, wn->stride,
                    t->memory + t->p->scratch);
        break;
    case FSR_OP_CONST:
        fsr_ops_interleave(dst, n->weights + (size_t)r * n->w, (size_t)n->w * n->h, n->channels, wn->stride, n->w);
        break;
    case FSR_OP_SHUFFLE:
        fsr_ops_shuffle(n, dst, wn->stride, under(t, 0, r / n->block_y), in->stride, 0, r % n->block_y, wn->w);
        break;
    case FSR_OP_UNSHUFFLE:    unshuffle_row(t, r, dst);  break;
    case FSR_OP_CONCAT:       concat_row(t, r, dst);     break;
    case FSR_OP_RESIZE:       resize_row(t, r, dst);     break;
    case FSR_OP_PAD:          pad_row(t, r, dst);        break;
    case FSR_OP_SLICE:        slice_row(t, r, dst);      break;
    case FSR_OP_RESHAPE:      reshape_row(t, r, dst);    break;
    case FSR_OP_TRANSPOSE:    transpose_row(t, r, dst);  break;
    case FSR_OP_MAX_POOL:
    case FSR_OP_AVERAGE_POOL: pool_row(t, r, dst);       break;
    case FSR_OP_GLOBAL_POOL:  mean(dst, under(t, 0, 0), in->stride, (size_t)in->w * in->h); break;
    case FSR_OP_GEMM:         conv_run(t, (const float *[]){ under(t, 0, r) }, dst, 1);     break;
    default:                  plain_row(t, r, dst);      break;
    }
}

static void make(void *opaque, int i, int first, int last)
{
    Job *t = opaque;

    t->i  = i;
    t->n  = &t->p->net->nodes[i];
    t->wn = &t->p->whole->nodes[i];
    t->in = &t->p->whole->nodes[t->n->in[0]];
    if (t->wn->points)
        conv_points(t, first, last);
    for (int r = first; !t->wn->points && r <= last; r++)
        if (t->n->op == FSR_OP_CONV || t->n->op == FSR_OP_DEPTHWISE)
            conv_row(t, r);
        else
            other_row(t, r, row_of(t, i, r));
    t->macs += fsr_node_macs(t->p->net, t->n) * t->wn->w * (last - first + 1);
}

static void deliver(void *opaque, int result, int r)
{
    const Job          *t  = opaque;
    const int           i  = fsr_result(t->p->net, result);
    const FsrWholeNode *wn = &t->p->whole->nodes[i];
    int                 plane = 0;      /* of all results */

    for (int k = 0; k < result; k++)
        plane += t->p->net->nodes[fsr_result(t->p->net, k)].channels;
    fsr_ops_put(t->io, plane, t->p->net->nodes[i].channels, 0, r, wn->w, row_of(t, i, r), wn->stride,
                t->memory + t->p->scratch);
}

int64_t fsr_whole_run(FsrPlan *p, const FsrNnIO *io)
{
    Job t = { .p = p, .io = io, .memory = p->workers[0].memory };

    fsr_whole_play(p, &t, make, deliver);
    return t.macs;
}
