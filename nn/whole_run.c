/* Runs the plan of a whole picture, band by band, from the output's demand. */
#include "nn/ops.h"
#include "nn/whole.h"

#include <string.h>
#include <time.h>

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

static int min(int a, int b)
{
    return a < b ? a : b;
}

static void input_rows(Job *t, int i, int first, int last)
{
    const FsrWholeNode *wn = &t->p->whole->nodes[i];
    const int planes = t->p->net->nodes[i].channels;

    if (planes == 1) {
        t->io->get(t->io->opaque, 0, 0, first, wn->w, last - first + 1, row_of(t->p, i, first), wn->w);
        return;
    }
    for (int r = first; r <= last; r++) {
        for (int c = 0; c < planes; c++)
            t->io->get(t->io->opaque, c, 0, r, wn->w, 1, t->p->whole->scratch + (size_t)c * wn->w, wn->w);
        fsr_ops_interleave(row_of(t->p, i, r), t->p->whole->scratch, planes, wn->stride, wn->w);
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
    const int k = t->p->net->nodes[i].in[0], w = t->p->whole->nodes[i].w;

    for (int r = first, n; r <= last; r += n) {
        const float *src = row_of(t->p, k, r);

        n = min(last - r + 1, t->p->whole->nodes[k].ring_rows - r % t->p->whole->nodes[k].ring_rows);
        conv_run(t, i, &src, row_of(t->p, i, r), n * w);
    }
}

/* Samples x to x + n - 1 of a row, some of their window outside of the picture. */
static void conv_edge(const Job *t, int i, const float *const *rows, float *dst, int x, int n)
{
    const FsrNode      *node = &t->p->net->nodes[i];
    const FsrWholeNode *wn   = &t->p->whole->nodes[i], *in = &t->p->whole->nodes[node->in[0]];
    const int    from  = x * node->sx - wn->pad_left, width = (n - 1) * node->sx + node->kw;
    const int    left  = from < 0 ? -from : 0, have = min(in->w - from, width) - left;
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
    const int x1  = min((in->w + wn->pad_left - n->kw) / n->sx + 1, wn->w);
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

    for (int j = 0; j < 2; j++)
        side[j] = (FsrRow){ row_of(t->p, n->in[j], r), 0, t->p->net->nodes[n->in[j]].channels,
                            t->p->whole->nodes[n->in[j]].stride };
    fsr_ops_arithmetic(n->op, n->relu, row_of(t->p, i, r), 0, wn->stride, &side[0], &side[1], wn->w);
}

static void concat_row(const Job *t, int i, int r)
{
    const FsrNode      *n   = &t->p->net->nodes[i];
    const FsrWholeNode *wn  = &t->p->whole->nodes[i];
    float              *dst = row_of(t->p, i, r);

    for (int j = 0; j < n->nb_in; j++) {
        const float *src    = row_of(t->p, n->in[j], r);
        const int    planes = t->p->net->nodes[n->in[j]].channels;
        const int    step   = t->p->whole->nodes[n->in[j]].stride;

        for (int x = 0; x < wn->w; x++)
            memcpy(dst + (size_t)x * wn->stride, src + (size_t)x * step, planes * sizeof(*dst));
        dst += planes;
    }
}

static void shuffle_row(const Job *t, int i, int r)
{
    const FsrNode      *n  = &t->p->net->nodes[i];
    const FsrWholeNode *wn = &t->p->whole->nodes[i], *in = &t->p->whole->nodes[n->in[0]];
    const int b = n->block, plane = n->crd ? b * b : 1, phase = n->crd ? 1 : n->channels;
    const float *src = row_of(t->p, n->in[0], r / b) + (r % b) * b * phase;
    float       *dst = row_of(t->p, i, r);

    for (int x = 0; x < wn->w; x++, dst += wn->stride)
        for (int c = 0; c < n->channels; c++)
            dst[c] = src[(size_t)(x / b) * in->stride + x % b * phase + c * plane];
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

    switch (n->op) {
    case FSR_OP_ADD:
    case FSR_OP_SUB:
    case FSR_OP_MUL:     arithmetic_row(t, i, r); break;
    case FSR_OP_SHUFFLE: shuffle_row(t, i, r);    break;
    case FSR_OP_CONCAT:  concat_row(t, i, r);     break;
    case FSR_OP_RESIZE:  resize_row(t, i, r);     break;
    case FSR_OP_RELU:
    case FSR_OP_MAP:
        fsr_ops_map(n, row_of(t->p, i, r), row_of(t->p, n->in[0], r), wn->stride, wn->w);
        break;
    default:
        break;
    }
}

static uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + ts.tv_nsec;
}

static void make(void *opaque, int i, int first, int last)
{
    Job *t = opaque;
    const uint64_t start = t->p->node_ns ? now_ns() : 0;

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
        t->p->node_ns[i] += now_ns() - start;
}

static void deliver(const Job *t, int i, int r)
{
    const FsrWholeNode *wn  = &t->p->whole->nodes[i];
    const float        *src = row_of(t->p, i, r);
    float              *row = t->p->whole->scratch;

    for (int c = 0; c < t->p->net->nodes[i].channels; c++) {
        for (int x = 0; wn->stride != 1 && x < wn->w; x++)
            row[x] = src[(size_t)x * wn->stride + c];
        t->io->put(t->io->opaque, c, 0, r, wn->w, 1, wn->stride == 1 ? src : row, wn->w);
    }
}

int64_t fsr_whole_run(FsrPlan *p, const FsrNnIO *io)
{
    Job       t   = { .p = p, .io = io };
    const int out = p->net->output;

    memset(p->whole->made, 0, p->net->nb_nodes * sizeof(*p->whole->made));
    for (int r = 0; r < p->whole->nodes[out].h; r++) {
        fsr_whole_demand(p, out, r, &t, make);
        deliver(&t, out, r);
    }
    return t.macs;
}
