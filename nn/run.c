/* Runs one tile of a plan, row by row, from the output's demand; of each row only what wanted
 * tiles are made from. */
#include "nn/ops.h"
#include "nn/quant.h"
#include "nn/whole.h"

#include <string.h>
#include <time.h>

typedef struct Job {
    FsrPlan          *p;
    const FsrNnIO    *io;
    const FsrNnTiles *wanted;               /* NULL: all */
    FsrWorker        *w;
    int               x, y, width, height;  /* tile, input samples */
    int64_t           macs;
} Job;

/* Samples [x, x + width) of a row. */
typedef struct Span {
    int x, width;
} Span;

static int min(int a, int b)
{
    return a < b ? a : b;
}

static int max(int a, int b)
{
    return a > b ? a : b;
}

static int ceil_div(int a, int b)
{
    return (a + b - 1) / b;
}

static int clamp(int v, int lo, int hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

int fsr_nn_jobs(const FsrPlan *p)
{
    return p->rows;
}

void fsr_nn_job_rect(const FsrPlan *p, int job, int *x, int *y, int *w, int *h)
{
    int s = p->net->info.scale, top = job * p->tile_h;

    *x = 0;
    if (p->whole) {
        *y = 0;
        *w = p->whole->nodes[fsr_result(p->net, 0)].w;
        *h = p->whole->nodes[fsr_result(p->net, 0)].h;
        return;
    }
    *y = top * s;
    *w = p->width * s;
    *h = min(p->tile_h, p->height - top) * s;
}

/* First and last + 1 sample of node i that this tile makes, and the sample at which its
 * rows in the ring begin: what the tile on the left made and this one needs comes first. */
static int begin(const Job *t, int i)
{
    const FsrMargin *m = &t->p->nodes[i].margin;
    return t->x ? t->x * t->p->net->nodes[i].scale + m->right : -m->left;
}

static int end(const Job *t, int i)
{
    return (t->x + t->width) * t->p->net->nodes[i].scale + t->p->nodes[i].margin.right;
}

static int origin(const Job *t, int i)
{
    return begin(t, i) - (t->x ? t->p->nodes[i].history : 0);
}

/* Sample x of row r of node i. */
static float *sample(const Job *t, int i, int r, int x)
{
    const FsrPlanNode *pn = &t->p->nodes[i];
    return t->w->memory + pn->offset + pn->pitch * (r % pn->ring_rows) +
           (ptrdiff_t)(x - origin(t, i)) * pn->step;
}

/* Sample 0 of a row, and sample n - 1, again in front of it and behind it. */
static void continue_row(float *row, size_t stride, int before, int n, int after)
{
    for (int x = -before; x < 0; x++)
        memcpy(row + x * (ptrdiff_t)stride, row, stride * sizeof(*row));
    for (int x = n; x < n + after; x++)
        memcpy(row + x * stride, row + (n - 1) * stride, stride * sizeof(*row));
}

/* The picture goes on beyond its border with its border samples. */
static void input_row(const Job *t, int i, int r, Span s, float *dst)
{
    const FsrPlan     *p  = t->p;
    const FsrPlanNode *pn = &p->nodes[i];
    const int  y      = clamp(t->y - pn->margin.top + r, 0, p->height - 1);
    const int  first  = clamp(s.x, 0, p->width - 1), last = clamp(s.x + s.width - 1, 0, p->width - 1);
    const int  left   = max(first - s.x, 0), have = last - first + 1;
    const int  planes = p->net->nodes[i].channels;
    float     *inside = dst + (size_t)left * pn->stride, *row = t->w->memory + p->planar;
    int        before = 0;              /* planes of the inputs in front */

    for (int k = 0; k < i; k++)
        before += p->net->nodes[k].channels;
    if (t->io->get_row)
        t->io->get_row(t->io->opaque, before, planes, first, y, have, inside, pn->stride);
    else if (pn->stride == 1)
        t->io->get(t->io->opaque, before, first, y, have, 1, inside, have);
    for (int c = 0; !t->io->get_row && pn->stride != 1 && c < planes; c++) {
        t->io->get(t->io->opaque, before + c, first, y, have, 1, row, have);
        for (int x = 0; x < have; x++)
            inside[x * pn->stride + c] = row[x];
    }
    continue_row(inside, pn->stride, left, have, s.width - left - have);
}

static void conv_row(Job *t, int i, int r, Span s, float *dst)
{
    const FsrNode     *n  = &t->p->net->nodes[i];
    const FsrPlanNode *pn = &t->p->nodes[i];
    const int first = fsr_plan_span(t->p, i, 0, r).first;
    const float *rows[FSR_NN_MAX_KERNEL];

    for (int k = 0; k < n->kh; k++)
        rows[k] = sample(t, n->in[0], first + k, s.x - n->pad_left);
    if (pn->quant && pn->quant->is_conv)
        pn->quant->kernel->row(&pn->quant->conv, (const uint32_t *const *)rows, dst, s.width,
                               (uint32_t *)(t->w->memory + t->p->scratch));
    else
        pn->kernel->row(&pn->shape, pn->packed, rows, dst, s.width, t->w->memory + t->p->scratch);
    t->macs += fsr_node_macs(t->p->net, n) * s.width;
}

/* Row of input j that lies under row r of node i, from sample x on. */
static const float *under(const Job *t, int i, int j, int r, int x)
{
    return sample(t, t->p->net->nodes[i].in[j], fsr_plan_span(t->p, i, j, r).first, x);
}

static FsrRow row_under(const Job *t, int i, int j, int r, int x)
{
    const int          k  = t->p->net->nodes[i].in[j];
    const FsrPlanNode *in = &t->p->nodes[k];

    return (FsrRow){ under(t, i, j, r, x), in->bf16, t->p->net->nodes[k].channels, in->stride };
}

static void arithmetic_row(const Job *t, int i, int r, Span s, float *dst)
{
    const FsrNode     *n  = &t->p->net->nodes[i];
    const FsrPlanNode *pn = &t->p->nodes[i];
    const FsrRow a = row_under(t, i, 0, r, s.x), b = row_under(t, i, 1, r, s.x);

    if (pn->store == FSR_STORE_BYTES) {
        fsr_quant_add(pn->quant, n->channels, (const uint32_t *)a.data, t->p->nodes[n->in[0]].sub_pitch,
                      (const uint32_t *)b.data, t->p->nodes[n->in[1]].sub_pitch, (uint32_t *)dst,
                      pn->sub_pitch, s.width);
        return;
    }
    fsr_ops_arithmetic(n->op, n->relu, dst, pn->bf16, pn->stride, &a, &b, s.width);
}

static void concat_row(const Job *t, int i, int r, Span s, float *dst)
{
    const FsrNode *n      = &t->p->net->nodes[i];
    const int      stride = t->p->nodes[i].stride, width = s.width;

    for (int j = 0; j < n->nb_in; j++) {
        const float *src    = under(t, i, j, r, s.x);
        const int    planes = t->p->net->nodes[n->in[j]].channels;
        const int    step   = t->p->nodes[n->in[j]].stride;

        for (int x = 0; x < width; x++)
            memcpy(dst + x * stride, src + x * step, planes * sizeof(*dst));
        dst += planes;
    }
}

static void shuffle_row(const Job *t, int i, int r, Span s, float *dst)
{
    const FsrNode     *n  = &t->p->net->nodes[i];
    const FsrPlanNode *pn = &t->p->nodes[i], *in = &t->p->nodes[n->in[0]];
    const int b     = n->block, width = s.width;
    const int x     = s.x + in->margin.left * b;            /* never negative */
    const int py    = (r - pn->margin.top + in->margin.top * b) % b;
    const int plane = n->crd ? b * b : 1, phase = n->crd ? 1 : n->channels;
    const float *src = sample(t, n->in[0], fsr_plan_span(t->p, i, 0, r).first,
                              x / b - in->margin.left) + py * b * phase;
    int px = x % b;

    if (n->channels == 1 && px == 0 && width % b == 0) {    /* the usual last layer */
        for (int x = 0; x < width; x += b, src += in->stride)
            for (int k = 0; k < b; k++)
                *dst++ = src[k];
        return;
    }
    for (int x = 0; x < width; x++, dst += pn->stride) {
        for (int c = 0; c < n->channels; c++)
            dst[c] = src[px * phase + c * plane];
        if (++px == b) {
            px   = 0;
            src += in->stride;
        }
    }
}

static uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + ts.tv_nsec;
}

/* Takes over from the tile on the left what this one needs of its row. */
static void take_history(const Job *t, int i, int r)
{
    const FsrPlanNode *pn   = &t->p->nodes[i];
    const size_t       len  = (size_t)pn->history * pn->step;
    const float       *side = t->w->memory + pn->side + r * len * pn->subs;

    for (int k = 0; t->x && len && k < pn->subs; k++)
        memcpy(sample(t, i, r, origin(t, i)) + k * pn->sub_pitch, side + k * len, len * sizeof(float));
}

static void keep_history(const Job *t, int i, int r)
{
    const FsrPlanNode *pn   = &t->p->nodes[i];
    const size_t       len  = (size_t)pn->history * pn->step;
    float             *side = t->w->memory + pn->side + r * len * pn->subs;
    const float       *src  = sample(t, i, r, end(t, i) - pn->history);

    for (int k = 0; t->x + t->width < t->p->width && len && k < pn->subs; k++)
        memcpy(side + k * len, src + k * pn->sub_pitch, len * sizeof(float));
}

static int floor_div(int a, int b)
{
    return a / b - (a % b < 0);
}

/* Whether a column of tiles is wanted in rows [first, last] of tiles. */
static int column_wanted(const FsrNnTiles *w, int col, int first, int last)
{
    for (int j = first; j <= last; j++)
        if (!w->wanted || w->wanted[j * w->stride + col])
            return 1;
    return 0;
}

/* How far around wanted tiles node i is made where the halo is limited: the input as far as that takes. */
static FsrMargin near_margin(const Job *t, int i)
{
    const FsrNet   *net = t->p->net;
    const FsrMargin m   = t->p->nodes[i].margin;
    int most = t->wanted->halo * net->nodes[i].scale;

    for (int k = 0; net->nodes[i].op == FSR_OP_INPUT && k < net->nb_nodes; k++)
        if (net->nodes[k].op == FSR_OP_CONV && net->nodes[k].in[0] == i)
            most = max(most, t->wanted->halo + max(net->nodes[k].kw, net->nodes[k].kh) - 1);
    return (FsrMargin){ .left = min(m.left, most), .right = min(m.right, most), .top = min(m.top, most),
                        .bottom = min(m.bottom, most) };
}

/*
 * The next span of row r of node i that is made in this tile, from sample x on: where a
 * wanted tile of this strip lies within the node's margin. Its readers' margins are smaller
 * by their reach, so what they read is there; other samples of the rings are never read.
 * near: where any wanted tile lies within the limited halo.
 */
static int next_span(const Job *t, int i, int r, int x, int near, Span *s)
{
    const FsrNnTiles *w      = t->wanted;
    const int         scale  = t->p->net->nodes[i].scale, stop = end(t, i);
    const int         y      = t->y * scale - t->p->nodes[i].margin.top + r;
    const FsrMargin   margin = near ? near_margin(t, i) : t->p->nodes[i].margin, *m = &margin;
    const int         first  = near ? 0 : t->y, last = near ? t->p->height - 1 : t->y + t->height - 1;
    int row0, row1, top, bottom, col;

    if (x >= stop)
        return 0;
    if (!w) {
        *s = (Span){ x, stop - x };
        return 1;
    }
    /* the input rows that sample row y is made for, and the tiles in them */
    row0   = max(floor_div(y - m->bottom, scale), first);
    row1   = min(floor_div(y + m->top, scale), last);
    if (row0 > row1)
        return 0;
    top    = max(floor_div(row0 - w->y, w->tile_h), 0);
    bottom = min(floor_div(row1 - w->y, w->tile_h), w->rows - 1);
    col    = max(floor_div(floor_div(x - m->right, scale) - w->x, w->tile_w), 0);
    *s = (Span){ 0, 0 };
    for (; col < w->cols; col++) {
        const int x0 = max(w->x + col * w->tile_w, 0) * scale - m->left;
        const int x1 = min(w->x + (col + 1) * w->tile_w, t->p->width) * scale + m->right;

        if (x0 >= stop || (s->width && x0 > s->x + s->width))
            break;
        if (x1 <= x || x1 - m->right <= x0 + m->left || !column_wanted(w, col, top, bottom))
            continue;
        if (!s->width)
            s->x = max(x0, x);
        s->width = min(x1, stop) - s->x;
    }
    return s->width > 0;
}

static void make_span(Job *t, int i, int r, Span s)
{
    const FsrNode     *n    = &t->p->net->nodes[i];
    const FsrPlanNode *pn   = &t->p->nodes[i];
    float             *ring = sample(t, i, r, s.x);
    float             *dst  = pn->from_floats ? t->w->memory + t->p->floats : ring;

    switch (n->op) {
    case FSR_OP_INPUT:   input_row(t, i, r, s, dst); break;
    case FSR_OP_CONV:    conv_row(t, i, r, s, dst); break;
    case FSR_OP_ADD:
    case FSR_OP_SUB:
    case FSR_OP_MUL:     arithmetic_row(t, i, r, s, dst); break;
    case FSR_OP_RELU:
    case FSR_OP_MAP:
        fsr_ops_map(n, dst, under(t, i, 0, r, s.x), t->p->nodes[i].stride, s.width);
        break;
    case FSR_OP_SHUFFLE: shuffle_row(t, i, r, s, dst); break;
    case FSR_OP_CONCAT:  concat_row(t, i, r, s, dst);  break;
    default:             break;                         /* whole networks only */
    }
    if (dst != ring)
        (pn->store == FSR_STORE_WIDE ? fsr_quant_row : fsr_quant_bytes)(pn->quant, n->channels, dst, pn->stride,
                                                                         (uint32_t *)ring, pn->sub_pitch, s.width);
    if (t->p->ranges)
        fsr_quant_observe(t->p->ranges + pn->first_plane, n->channels, dst, pn->stride, s.width);
}

/*
 * Further outside of the picture than its reach, a value is made of border samples alone: rows and
 * columns repeat there, and are copied. Not while ranges are measured, and not where a kernel
 * makes samples in blocks.
 */
static int repeats(const Job *t, int i)
{
    const FsrConvKernel *kernel = t->p->nodes[i].kernel;

    return !t->wanted && !t->p->ranges && t->p->net->nodes[i].scale == 1 && !(kernel && kernel->block);
}

static void make_once(Job *t, int i, int r, Span s)
{
    const FsrPlanNode *pn = &t->p->nodes[i];
    const FsrMargin    in = t->p->nodes[0].margin;          /* as that of all inputs */
    const int y     = t->y - pn->margin.top + r, stop = s.x + s.width;
    const int first = max(s.x, pn->margin.right - in.right);
    const int last  = max(first + 1, min(stop, t->p->width + in.left - pn->margin.left));

    if (r && (y <= pn->margin.bottom - in.bottom || y >= t->p->height + in.top - pn->margin.top)) {
        if (pn->ring_rows > 1)
            memcpy(sample(t, i, r, origin(t, i)), sample(t, i, r - 1, origin(t, i)), pn->pitch * sizeof(float));
        return;
    }
    make_span(t, i, r, (Span){ first, last - first });
    for (int k = 0; k < pn->subs; k++)
        continue_row(sample(t, i, r, first) + k * pn->sub_pitch, pn->step, first - s.x, last - first, stop - last);
}

/* A kernel that makes samples in blocks gets whole blocks, those that a whole run makes. */
static Span whole_blocks(const Job *t, int i, Span s)
{
    const FsrPlanNode *pn    = &t->p->nodes[i];
    const int          first = begin(t, i);
    int block, x;

    if (!pn->kernel || !pn->kernel->block)
        return s;
    block = pn->kernel->block(&pn->shape);
    x     = s.x - (s.x - first) % block;
    return (Span){ x, min(ceil_div(s.x + s.width - first, block) * block + first, end(t, i)) - x };
}

static void clear(const Job *t, int i, int r, int x, int stop)
{
    const FsrPlanNode *pn = &t->p->nodes[i];

    for (int k = 0; k < pn->subs && x < stop; k++)
        memset(sample(t, i, r, x) + k * pn->sub_pitch, 0, (size_t)(stop - x) * pn->step * sizeof(float));
}

/* With a limited halo: what is near wanted tiles is made, the rest is 0. */
static void make_near(Job *t, int i, int r, Span s)
{
    const FsrConvKernel *kernel = t->p->nodes[i].kernel;
    const int in_blocks = kernel && kernel->block, stop = s.x + s.width;
    int x = s.x;

    if (in_blocks)
        make_span(t, i, r, s);
    while (x < stop) {
        Span near;

        if (!next_span(t, i, r, x, 1, &near) || near.x >= stop)
            near = (Span){ stop, 0 };
        near.width = min(near.x + near.width, stop) - near.x;
        clear(t, i, r, x, near.x);
        if (near.width && !in_blocks)
            make_span(t, i, r, near);
        x = near.x + near.width;
    }
}

static void make_row(Job *t, int i, int r)
{
    uint64_t start = t->p->node_ns ? now_ns() : 0;
    int      x     = begin(t, i);
    Span     s;

    take_history(t, i, r);
    for (; next_span(t, i, r, x, 0, &s); x = s.x + s.width) {
        s = whole_blocks(t, i, s);
        if (t->wanted && t->wanted->halo)
            make_near(t, i, r, s);
        else if (repeats(t, i))
            make_once(t, i, r, s);
        else
            make_span(t, i, r, s);
    }
    keep_history(t, i, r);
    if (t->p->node_ns)
        t->p->node_ns[i] += now_ns() - start;
}

static void demand(Job *t, int i, int r)
{
    const FsrNode *n    = &t->p->net->nodes[i];
    int           *made = t->w->made;

    for (; made[i] <= r; made[i]++) {
        for (int j = 0; j < n->nb_in; j++)
            demand(t, n->in[j], fsr_plan_span(t->p, i, j, made[i]).last);
        make_row(t, i, made[i]);
    }
}

static void deliver(const Job *t, int r)
{
    const int    i = t->p->net->output, y = t->y * t->p->net->info.scale + r;
    const int    planes = t->p->net->nodes[i].channels, stride = t->p->nodes[i].stride;
    float       *row    = t->w->memory + t->p->planar;
    Span         s;

    for (int x = begin(t, i); next_span(t, i, r, x, 0, &s); x = s.x + s.width) {
        const float *src = sample(t, i, r, s.x);

        if (t->io->put_row)
            t->io->put_row(t->io->opaque, 0, planes, s.x, y, s.width, src, stride);
        for (int c = 0; !t->io->put_row && c < planes; c++) {
            for (int k = 0; stride != 1 && k < s.width; k++)
                row[k] = src[k * stride + c];
            t->io->put(t->io->opaque, c, s.x, y, s.width, 1, stride == 1 ? src : row, s.width);
        }
    }
}

/* Whether anything is made in this tile: its columns and, at the input the most, the samples
 * right of them. */
static int tile_wanted(const Job *t)
{
    const FsrNnTiles *w = t->wanted;
    const FsrMargin  *m = &t->p->nodes[0].margin;
    int top, bottom, left, right;

    if (!w)
        return 1;
    top    = max(floor_div(t->y - w->y, w->tile_h), 0);
    bottom = min(floor_div(t->y + t->height - 1 - w->y, w->tile_h), w->rows - 1);
    left   = max(floor_div(t->x - w->x, w->tile_w), 0);
    right  = min(floor_div(min(t->x + t->width + m->left + m->right, t->p->width) - 1 - w->x,
                           w->tile_w), w->cols - 1);
    for (; left <= right; left++)
        if (column_wanted(w, left, top, bottom))
            return 1;
    return 0;
}

int64_t fsr_nn_run_tiles(FsrPlan *p, const FsrNnIO *io, const FsrNnTiles *wanted, int job, int worker)
{
    Job t = { .p = p, .io = io, .wanted = wanted, .y = job * p->tile_h };

    if (p->whole)
        return fsr_whole_run(p, io);
    t.w      = &p->workers[worker];
    t.height = min(p->tile_h, p->height - t.y);
    for (t.x = 0; t.x < p->width; t.x += p->tile_w) {
        t.width = min(p->tile_w, p->width - t.x);
        if (!tile_wanted(&t))
            continue;
        memset(t.w->made, 0, p->net->nb_nodes * sizeof(*t.w->made));
        for (int r = 0; r < t.height * p->net->info.scale; r++) {
            demand(&t, p->net->output, r);
            deliver(&t, r);
        }
    }
    return t.macs;
}

int64_t fsr_nn_run(FsrPlan *p, const FsrNnIO *io, int job, int worker)
{
    return fsr_nn_run_tiles(p, io, NULL, job, worker);
}
