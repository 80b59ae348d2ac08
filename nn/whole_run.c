/* Runs the plan of a whole picture, band by band, from the output's demand. */
#include "nn/ops.h"
#include "nn/whole.h"

#include <string.h>

typedef struct Job {
    FsrPlan       *p;
    const FsrNnIO *io;
    int64_t        macs;
} Job;

static float *row_of(const FsrPlan *p, int i, int r)
{
    const FsrWholeNode *wn = &p->whole->nodes[i];
    return wn->ring + wn->pitch * (r % wn->ring_rows);
}

static void input_rows(Job *t, int i, int first, int last)
{
    const FsrWholeNode *wn = &t->p->whole->nodes[i];
    const int planes = t->p->net->nodes[i].channels;
    int       plane  = 0;               /* of all inputs */

    for (int k = 0; k < i; k++)
        plane += t->p->net->nodes[k].channels;
    for (int r = first; t->io->get_row && r <= last; r++)
        t->io->get_row(t->io->opaque, plane, planes, 0, r, wn->w, row_of(t->p, i, r), wn->stride);
    if (t->io->get_row)
        return;
    if (planes == 1) {
        t->io->get(t->io->opaque, plane, 0, first, wn->w, last - first + 1, row_of(t->p, i, first), wn->w);
        return;
    }
    for (int r = first; r <= last; r++) {
        for (int c = 0; c < planes; c++)
            t->io->get(t->io->opaque, plane + c, 0, r, wn->w, 1, t->p->whole->scratch + (size_t)c * wn->w, wn->w);
        fsr_ops_interleave(row_of(t->p, i, r), t->p->whole->scratch, wn->w, planes, wn->stride, wn->w);
    }
}

/* ---- convolutions ----------------------------------------------------------------- */

/* Rows a to b of node in, zeros around them, in the window. */
static void fill_window(const Job *t, int i, int a, int b)
{
    const FsrWholeNode *wn = &t->p->whole->nodes[i];
    const int           k  = t->p->net->nodes[i].in[0];
    const FsrWholeNode *in = &t->p->whole->nodes[k];
    const size_t pitch = (size_t)wn->window_w * in->stride, left = (size_t)wn->pad_left * in->stride;
    const size_t have  = pitch - left < in->pitch ? pitch - left : in->pitch;
    float *dst = t->p->whole->window;

    for (int r = a; r <= b; r++, dst += pitch) {
        if (r < 0 || r >= in->h) {
            memset(dst, 0, pitch * sizeof(*dst));
            continue;
        }
        memset(dst, 0, left * sizeof(*dst));
        memcpy(dst + left, row_of(t->p, k, r), have * sizeof(*dst));
        memset(dst + left + have, 0, (pitch - left - have) * sizeof(*dst));
    }
}

static void conv_run(const Job *t, int i, const float *const *rows, float *dst, int width)
{
    const FsrWholeNode *wn = &t->p->whole->nodes[i];

    if (wn->dw_kernel)
        wn->dw_kernel->row(&wn->dw, wn->packed, rows, dst, width);
    else
        wn->kernel->row(&wn->shape, wn->packed, rows, dst, width, t->p->whole->scratch);
    if (!wn->dw_kernel && t->p->net->nodes[i].top > 0)
        fsr_ops_limit(dst, (size_t)width * wn->stride, t->p->net->nodes[i].top);
}

/* 1x1 in place: all rows that lie together are one. */
static void conv_points(const Job *t, int i, int first, int last)
{
    const FsrWholeNode *wn = &t->p->whole->nodes[i];
    const int k = t->p->net->nodes[i].in[0], w = wn->w;

    for (int r = first, n; r <= last; r += n) {
        const float *src = row_of(t->p, k, r);

        n = fsr_min(last - r + 1, t->p->whole->nodes[k].ring_rows - r % t->p->whole->nodes[k].ring_rows);
        if (wn->point) {
            wn->point->row(&wn->pc, (const uint8_t *)src, row_of(t->p, i, r), n * w);
        } else {
            conv_run(t, i, &src, row_of(t->p, i, r), n * w);
        }
    }
}

/* Samples x to x + n - 1 of a row, some of their window outside of the picture. */
static void conv_edge(const Job *t, int i, const float *const *rows, float *dst, int x, int n)
{
    const FsrNode      *node = &t->p->net->nodes[i];
    const FsrWholeNode *wn   = &t->p->whole->nodes[i], *in = &t->p->whole->nodes[node->in[0]];
    const int    from  = x * node->sx - wn->pad_left, width = (n - 1) * node->sx + node->kw;
    const int    left  = from < 0 ? -from : 0, have = fsr_min(in->w - from, width) - left;
    const size_t pitch = (size_t)width * in->stride, sample = in->stride * sizeof(float);
    const float *windows[FSR_NN_MAX_KERNEL];
    float       *to = t->p->whole->window;

    for (int k = 0; n > 0 && k < node->kh; k++, to += pitch) {
        memset(to, 0, pitch * sizeof(*to));
        memcpy(to + left * in->stride, rows[k] + (ptrdiff_t)(from + left) * in->stride, have * sample);
        windows[k] = to;
    }
    if (n > 0)
        conv_run(t, i, windows, dst + (size_t)x * wn->stride, n);
}

/* A row whose windows lie in the picture but for those at its ends. */
static void conv_in_place(const Job *t, int i, int r)
{
    const FsrNode      *n  = &t->p->net->nodes[i];
    const FsrWholeNode *wn = &t->p->whole->nodes[i], *in = &t->p->whole->nodes[n->in[0]];
    const int top = fsr_whole_span(t->p, i, 0, r).first;
    const int x0  = (wn->pad_left + n->sx - 1) / n->sx;
    const int x1  = fsr_min((in->w + wn->pad_left - n->kw) / n->sx + 1, wn->w);
    const float *rows[FSR_NN_MAX_KERNEL], *inner[FSR_NN_MAX_KERNEL];
    float *dst = row_of(t->p, i, r);

    for (int k = 0; k < n->kh; k++) {
        const int y = top + k;

        rows[k]  = y < 0 || y >= in->h ? t->p->whole->zeros : row_of(t->p, n->in[0], y);
        inner[k] = rows[k] + (size_t)(x0 * n->sx - wn->pad_left) * in->stride;
    }
    conv_run(t, i, inner, dst + (size_t)x0 * wn->stride, x1 - x0);
    conv_edge(t, i, rows, dst, 0, x0);
    conv_edge(t, i, rows, dst, x1, wn->w - x1);
}

static void conv_rows(Job *t, int i, int first, int last)
{
    const FsrNode      *n  = &t->p->net->nodes[i];
    const FsrWholeNode *wn = &t->p->whole->nodes[i];
    const FsrWholeNode *in = &t->p->whole->nodes[n->in[0]];
    const int a = fsr_whole_span(t->p, i, 0, first).first;
    const float *rows[FSR_NN_MAX_KERNEL];

    t->macs += fsr_node_macs(t->p->net, n) * wn->w * (last - first + 1);
    if (!wn->window_w && n->kw == 1 && n->kh == 1 && in->w == wn->w && n->sy == 1) {
        conv_points(t, i, first, last);
        return;
    }
    for (int r = first; wn->edges && r <= last; r++)
        conv_in_place(t, i, r);
    if (wn->edges)
        return;
    if (wn->window_w)
        fill_window(t, i, a, fsr_whole_span(t->p, i, 0, last).last);
    for (int r = first; r <= last; r++) {
        const int top = fsr_whole_span(t->p, i, 0, r).first;

        for (int k = 0; k < n->kh; k++)
            rows[k] = wn->window_w ? t->p->whole->window + (size_t)(top - a + k) * wn->window_w * in->stride :
                      row_of(t->p, n->in[0], top + k);
        conv_run(t, i, rows, row_of(t->p, i, r), wn->w);
    }
}

/* ---- the others ------------------------------------------------------------------- */

static void arithmetic_row(const Job *t, int i, int r)
{
    const FsrNode      *n  = &t->p->net->nodes[i];
    const FsrWholeNode *wn = &t->p->whole->nodes[i];
    FsrRow side[2];
    int    repeat = n->op == FSR_OP_PRELU;

    for (int j = 0; j < 2; j++) {
        const FsrWholeNode *in = &t->p->whole->nodes[n->in[j]];

        side[j] = (FsrRow){ row_of(t->p, n->in[j], in->h == 1 ? 0 : r), 0,
                            t->p->net->nodes[n->in[j]].channels, in->w == wn->w ? in->stride : 0 };
        repeat |= in->w != wn->w;
    }
    (repeat ? fsr_ops_broadcast : fsr_ops_arithmetic)(n->op, n->relu, row_of(t->p, i, r), 0, wn->stride,
                                                      &side[0], &side[1], wn->w);
}

static void concat_row(const Job *t, int i, int r)
{
    const FsrNode *n      = &t->p->net->nodes[i];
    const int      stride = t->p->whole->nodes[i].stride;
    float         *dst    = row_of(t->p, i, r);

    for (int j = 0; j < n->nb_in; j++) {
        const FsrWholeNode *in = &t->p->whole->nodes[n->in[j]];
        const int    planes = t->p->net->nodes[n->in[j]].channels;
        const int    from   = fsr_whole_span(t->p, i, j, r).first;
        const float *src;

        if (from < 0 || from >= in->h)
            continue;
        src = row_of(t->p, n->in[j], from);
        for (int x = 0; x < in->w; x++)
            memcpy(dst + (size_t)x * stride, src + (size_t)x * in->stride, planes * sizeof(*dst));
        dst += n->axis == 3 ? in->pitch : n->axis == 1 ? (size_t)planes : 0;
    }
}

static void shuffle_row(const Job *t, int i, int r)
{
    const FsrNode      *n  = &t->p->net->nodes[i];
    const FsrWholeNode *wn = &t->p->whole->nodes[i], *in = &t->p->whole->nodes[n->in[0]];
    const int bx = n->block, by = n->block_y, plane = n->crd ? bx * by : 1;
    const int    phase = n->crd ? 1 : n->channels;
    const float *src = row_of(t->p, n->in[0], r / by) + (size_t)(r % by) * bx * phase;
    float       *dst = row_of(t->p, i, r);

    for (int x = 0; x < wn->w; x++, dst += wn->stride)
        for (int c = 0; c < n->channels; c++)
            dst[c] = src[(size_t)(x / bx) * in->stride + x % bx * phase + c * plane];
}

/* Samples of each row of the input, `planes` of them, side by side. */
static void unshuffle_row(const Job *t, int i, int r)
{
    const FsrNode      *n  = &t->p->net->nodes[i];
    const FsrWholeNode *wn = &t->p->whole->nodes[i], *in = &t->p->whole->nodes[n->in[0]];
    const int planes = t->p->net->nodes[n->in[0]].channels, b = n->block;

    for (int k = 0; k < b; k++) {
        const float *src = row_of(t->p, n->in[0], r * b + k);
        float       *dst = row_of(t->p, i, r) + k * b * planes;

        for (int x = 0; x < in->w; x++)
            memcpy(dst + (size_t)(x / b) * wn->stride + x % b * planes, src + (size_t)x * in->stride,
                   planes * sizeof(*dst));
    }
}

static void const_row(const Job *t, int i, int r)
{
    const FsrNode *n = &t->p->net->nodes[i];

    fsr_ops_interleave(row_of(t->p, i, r), n->weights + (size_t)r * n->w, (size_t)n->w * n->h, n->channels,
                       t->p->whole->nodes[i].stride, n->w);
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

static void pad_row(const Job *t, int i, int r)
{
    const FsrNode      *n  = &t->p->net->nodes[i];
    const FsrWholeNode *wn = &t->p->whole->nodes[i], *in = &t->p->whole->nodes[n->in[0]];
    const int    y   = unpad(n->pad_mode, r - wn->pad_top, in->h);
    const float *src = y < 0 ? NULL : row_of(t->p, n->in[0], y);
    float       *dst = row_of(t->p, i, r);

    for (int x = 0; x < wn->w; x++, dst += wn->stride) {
        const int from = unpad(n->pad_mode, x - wn->pad_left, in->w);

        for (int c = 0; c < n->channels; c++)
            dst[c] = src && from >= 0 ? src[(size_t)from * in->stride + c] : n->pad_value;
    }
}

static void slice_row(const Job *t, int i, int r)
{
    const FsrNode      *n   = &t->p->net->nodes[i];
    const FsrWholeNode *wn  = &t->p->whole->nodes[i], *in = &t->p->whole->nodes[n->in[0]];
    const float        *src = row_of(t->p, n->in[0], wn->first_y + r * (int)n->range[2][2]);
    float              *dst = row_of(t->p, i, r);

    for (int x = 0; x < wn->w; x++, dst += wn->stride)
        for (int c = 0; c < n->channels; c++)
            dst[c] = src[(wn->first_x + x * (ptrdiff_t)n->range[3][2]) * in->stride +
                         wn->first_c + c * (ptrdiff_t)n->range[1][2]];
}

/* Sample number k of node i's input, in the order of planes, rows, samples. */
static float numbered(const Job *t, int i, size_t k)
{
    const int           from = t->p->net->nodes[i].in[0];
    const FsrWholeNode *in   = &t->p->whole->nodes[from];
    const size_t        area = (size_t)in->w * in->h;

    return row_of(t->p, from, (int)(k % area / in->w))[k % in->w * in->stride + k / area];
}

static void reshape_row(const Job *t, int i, int r)
{
    const FsrNode      *n    = &t->p->net->nodes[i];
    const FsrWholeNode *wn   = &t->p->whole->nodes[i];
    const size_t        area = (size_t)wn->w * wn->h;
    float              *dst  = row_of(t->p, i, r);

    for (int x = 0; x < wn->w; x++, dst += wn->stride)
        for (int c = 0; c < n->channels; c++)
            dst[c] = numbered(t, i, c * area + (size_t)r * wn->w + x);
}

static void transpose_row(const Job *t, int i, int r)
{
    const int           from = t->p->net->nodes[i].in[0];
    const FsrWholeNode *wn   = &t->p->whole->nodes[i];

    for (int x = 0; x < wn->w; x++)
        memcpy(row_of(t->p, i, r) + (size_t)x * wn->stride, row_of(t->p, from, x) + (size_t)r * wn->stride,
               wn->stride * sizeof(float));
}

static void global_row(const Job *t, int i)
{
    const int           from = t->p->net->nodes[i].in[0];
    const FsrWholeNode *in   = &t->p->whole->nodes[from];

    fsr_ops_mean(row_of(t->p, i, 0), row_of(t->p, from, 0), in->stride, (size_t)in->w * in->h);
}

static void pool_row(const Job *t, int i, int r)
{
    const FsrNode      *n   = &t->p->net->nodes[i];
    const FsrWholeNode *wn  = &t->p->whole->nodes[i], *in = &t->p->whole->nodes[n->in[0]];
    const int           top = r * n->sy - wn->pad_top;
    float *dst = row_of(t->p, i, r);

    for (int x = 0; x < wn->w; x++, dst += wn->stride) {
        const int left = x * n->sx - wn->pad_left;
        const int wide = fsr_min(left + n->kw, in->w + wn->pad_right) - left;
        const int high = fsr_min(top + n->kh, in->h + wn->pad_bottom) - top;
        int       taps = 0;

        for (int ky = 0; ky < n->kh; ky++)
            for (int kx = 0; kx < n->kw; kx++) {
                const int y = top + ky * n->dy, sx = left + kx * n->dx;

                if (y >= 0 && y < in->h && sx >= 0 && sx < in->w)
                    fsr_ops_pool(n->op, !taps++, dst, row_of(t->p, n->in[0], y) + (size_t)sx * in->stride,
                                 wn->stride);
            }
        if (n->op == FSR_OP_AVERAGE_POOL)
            fsr_ops_scale(dst, wn->stride, 1.0f / (n->count_pads ? wide * high : taps));
    }
}

static void resize_row(const Job *t, int i, int r)
{
    const int           k  = t->p->net->nodes[i].in[0];
    const FsrWholeNode *wn = &t->p->whole->nodes[i], *in = &t->p->whole->nodes[k];
    const FsrTap       *v  = &wn->ty.taps[r];
    const float *rows[FSR_RESIZE_TAPS], *src;

    for (int j = 0; j < wn->ty.nb; j++)
        rows[j] = row_of(t->p, k, v->at[j]);
    src = rows[0];
    if (wn->ty.nb > 1) {
        fsr_resize_blend(t->p->whole->scratch, rows, v->weight, wn->ty.nb, in->pitch);
        src = t->p->whole->scratch;
    }
    fsr_resize_row(&wn->tx, row_of(t->p, i, r), src,
                   t->p->net->nodes[i].nb_in > 1 ? row_of(t->p, t->p->net->nodes[i].in[1], r) : NULL,
                   wn->w, wn->stride);
}

static void other_row(const Job *t, int i, int r)
{
    const FsrNode      *n  = &t->p->net->nodes[i];
    const FsrWholeNode *wn = &t->p->whole->nodes[i];
    const float        *src;

    switch (n->op) {
    case FSR_OP_CONST:        const_row(t, i, r);      break;
    case FSR_OP_ADD:
    case FSR_OP_SUB:
    case FSR_OP_MUL:
    case FSR_OP_PRELU:        arithmetic_row(t, i, r); break;
    case FSR_OP_SHUFFLE:      shuffle_row(t, i, r);    break;
    case FSR_OP_UNSHUFFLE:    unshuffle_row(t, i, r);  break;
    case FSR_OP_CONCAT:       concat_row(t, i, r);     break;
    case FSR_OP_RESIZE:       resize_row(t, i, r);     break;
    case FSR_OP_PAD:          pad_row(t, i, r);        break;
    case FSR_OP_SLICE:        slice_row(t, i, r);      break;
    case FSR_OP_RESHAPE:      reshape_row(t, i, r);    break;
    case FSR_OP_TRANSPOSE:    transpose_row(t, i, r);  break;
    case FSR_OP_GLOBAL_POOL:  global_row(t, i);        break;
    case FSR_OP_MAX_POOL:
    case FSR_OP_AVERAGE_POOL: pool_row(t, i, r);       break;
    case FSR_OP_GEMM:
        src = row_of(t->p, n->in[0], r);
        wn->kernel->row(&wn->shape, wn->packed, &src, row_of(t->p, i, r), 1, t->p->whole->scratch);
        break;
    case FSR_OP_RELU:
    case FSR_OP_MAP:
        fsr_ops_map(n, row_of(t->p, i, r), row_of(t->p, n->in[0], r), wn->stride, wn->w);
        break;
    default:
        break;
    }
}

static void make(void *opaque, int i, int first, int last)
{
    Job *t = opaque;
    const uint64_t start = t->p->node_ns ? fsr_plan_clock() : 0;

    switch (t->p->net->nodes[i].op) {
    case FSR_OP_INPUT:
        input_rows(t, i, first, last);
        break;
    case FSR_OP_CONV:
    case FSR_OP_DEPTHWISE:
        conv_rows(t, i, first, last);
        break;
    default:
        for (int r = first; r <= last; r++)
            other_row(t, i, r);
    }
    if (t->p->node_ns)
        t->p->node_ns[i] += fsr_plan_clock() - start;
}

static void deliver(void *opaque, int result, int r)
{
    const Job          *t   = opaque;
    const int           i   = fsr_result(t->p->net, result);
    const FsrWholeNode *wn  = &t->p->whole->nodes[i];
    const float        *src = row_of(t->p, i, r);
    float              *row = t->p->whole->scratch;
    int                 plane = 0;      /* of all results */

    for (int k = 0; k < result; k++)
        plane += t->p->net->nodes[fsr_result(t->p->net, k)].channels;
    if (t->io->put_row) {
        t->io->put_row(t->io->opaque, plane, t->p->net->nodes[i].channels, 0, r, wn->w, src, wn->stride);
        return;
    }
    for (int c = 0; c < t->p->net->nodes[i].channels; c++) {
        for (int x = 0; wn->stride != 1 && x < wn->w; x++)
            row[x] = src[(size_t)x * wn->stride + c];
        t->io->put(t->io->opaque, plane + c, 0, r, wn->w, 1, wn->stride == 1 ? src : row, wn->w);
    }
}

int64_t fsr_whole_run(FsrPlan *p, const FsrNnIO *io)
{
    Job t = { .p = p, .io = io };

    fsr_whole_play(p, &t, make, deliver);
    for (int i = 0; i < p->net->nb_nodes; i++)
        if (p->net->nodes[i].op == FSR_OP_GEMM)
            t.macs += fsr_node_macs(p->net, &p->net->nodes[i]) * p->whole->nodes[i].w * p->whole->nodes[i].h;
    return t.macs;
}
