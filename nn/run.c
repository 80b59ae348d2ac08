/* Runs one tile of a plan, row by row, from the output's demand. */
#include "nn/ops.h"
#include "nn/plan.h"

#include <string.h>
#include <time.h>

typedef struct Job {
    FsrPlan       *p;
    const FsrNnIO *io;
    FsrWorker     *w;
    int            x, y, width, height;     /* tile, input samples */
    int64_t        macs;
} Job;

static int min(int a, int b)
{
    return a < b ? a : b;
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
           (ptrdiff_t)(x - origin(t, i)) * pn->stride;
}

/* The picture goes on beyond its border with its border samples. */
static void input_row(const Job *t, int r, float *dst)
{
    const FsrPlan     *p  = t->p;
    const FsrPlanNode *pn = &p->nodes[0];
    const int  y      = clamp(t->y - pn->margin.top + r, 0, p->height - 1);
    const int  x0     = begin(t, 0), n = end(t, 0) - x0;
    const int  first  = clamp(x0, 0, p->width - 1), last = clamp(x0 + n - 1, 0, p->width - 1);
    const int  left   = first > x0 ? first - x0 : 0, have = last - first + 1;
    const int  planes = p->net->nodes[0].channels;
    float     *row    = planes == 1 ? dst : t->w->memory + p->planar;

    for (int c = 0; c < planes; c++) {
        t->io->get(t->io->opaque, c, first, y, have, 1, row + left, n);
        for (int x = 0; x < left; x++)
            row[x] = row[left];
        for (int x = left + have; x < n; x++)
            row[x] = row[left + have - 1];
        for (int x = 0; row != dst && x < n; x++)
            dst[x * pn->stride + c] = row[x];
    }
}

static void conv_row(Job *t, int i, int r, float *dst)
{
    const FsrNode     *n  = &t->p->net->nodes[i];
    const FsrPlanNode *pn = &t->p->nodes[i];
    const int first = fsr_plan_span(t->p, i, 0, r).first;
    const int x     = begin(t, i), width = end(t, i) - x;
    const float *rows[FSR_NN_MAX_KERNEL];

    for (int k = 0; k < n->kh; k++)
        rows[k] = sample(t, n->in[0], first + k, x - n->pad_left);
    pn->kernel->row(&pn->shape, pn->packed, rows, dst, width, t->w->memory + t->p->scratch);
    t->macs += fsr_node_macs(t->p->net, n) * width;
}

/* Row of input j that lies under row r of node i, at the sample under its first one. */
static const float *under(const Job *t, int i, int j, int r)
{
    return sample(t, t->p->net->nodes[i].in[j], fsr_plan_span(t->p, i, j, r).first, begin(t, i));
}

/* Samples that this tile makes in a row of node i. */
static int row_width(const Job *t, int i)
{
    return end(t, i) - begin(t, i);
}

static FsrRow row_under(const Job *t, int i, int j, int r)
{
    const int          k  = t->p->net->nodes[i].in[j];
    const FsrPlanNode *in = &t->p->nodes[k];

    return (FsrRow){ under(t, i, j, r), in->bf16, t->p->net->nodes[k].channels, in->stride };
}

static void arithmetic_row(const Job *t, int i, int r, float *dst)
{
    const FsrNode     *n  = &t->p->net->nodes[i];
    const FsrPlanNode *pn = &t->p->nodes[i];
    const FsrRow a = row_under(t, i, 0, r), b = row_under(t, i, 1, r);

    fsr_ops_arithmetic(n->op, n->relu, dst, pn->bf16, pn->stride, &a, &b, row_width(t, i));
}

static void concat_row(const Job *t, int i, int r, float *dst)
{
    const FsrNode *n      = &t->p->net->nodes[i];
    const int      stride = t->p->nodes[i].stride, width = row_width(t, i);

    for (int j = 0; j < n->nb_in; j++) {
        const float *src    = under(t, i, j, r);
        const int    planes = t->p->net->nodes[n->in[j]].channels;
        const int    step   = t->p->nodes[n->in[j]].stride;

        for (int x = 0; x < width; x++)
            memcpy(dst + x * stride, src + x * step, planes * sizeof(*dst));
        dst += planes;
    }
}

static void shuffle_row(const Job *t, int i, int r, float *dst)
{
    const FsrNode     *n  = &t->p->net->nodes[i];
    const FsrPlanNode *pn = &t->p->nodes[i], *in = &t->p->nodes[n->in[0]];
    const int b     = n->block, width = row_width(t, i);
    const int x     = begin(t, i) + in->margin.left * b;    /* never negative */
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
    const FsrPlanNode *pn  = &t->p->nodes[i];
    const size_t       len = (size_t)pn->history * pn->stride;

    if (t->x && len)
        memcpy(sample(t, i, r, origin(t, i)), t->w->memory + pn->side + r * len,
               len * sizeof(float));
}

static void keep_history(const Job *t, int i, int r)
{
    const FsrPlanNode *pn  = &t->p->nodes[i];
    const size_t       len = (size_t)pn->history * pn->stride;

    if (t->x + t->width < t->p->width && len)
        memcpy(t->w->memory + pn->side + r * len, sample(t, i, r, end(t, i) - pn->history),
               len * sizeof(float));
}

static void make_row(Job *t, int i, int r)
{
    uint64_t start = t->p->node_ns ? now_ns() : 0;
    float   *dst   = sample(t, i, r, begin(t, i));

    take_history(t, i, r);
    switch (t->p->net->nodes[i].op) {
    case FSR_OP_INPUT:   input_row(t, r, dst);   break;
    case FSR_OP_CONV:    conv_row(t, i, r, dst); break;
    case FSR_OP_ADD:
    case FSR_OP_SUB:
    case FSR_OP_MUL:     arithmetic_row(t, i, r, dst); break;
    case FSR_OP_RELU:
    case FSR_OP_MAP:
        fsr_ops_map(&t->p->net->nodes[i], dst, under(t, i, 0, r), t->p->nodes[i].stride,
                    row_width(t, i));
        break;
    case FSR_OP_SHUFFLE: shuffle_row(t, i, r, dst); break;
    case FSR_OP_CONCAT:  concat_row(t, i, r, dst);  break;
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
    const int    i = t->p->net->output, s = t->p->net->info.scale;
    const int    planes = t->p->net->nodes[i].channels, stride = t->p->nodes[i].stride;
    const int    width  = row_width(t, i);
    const float *src    = sample(t, i, r, begin(t, i));
    float       *row    = t->w->memory + t->p->planar;

    for (int c = 0; c < planes; c++) {
        for (int x = 0; stride != 1 && x < width; x++)
            row[x] = src[x * stride + c];
        t->io->put(t->io->opaque, c, t->x * s, t->y * s + r, width, 1, stride == 1 ? src : row,
                   width);
    }
}

int64_t fsr_nn_run(FsrPlan *p, const FsrNnIO *io, int job, int worker)
{
    Job t = { .p = p, .io = io, .w = &p->workers[worker], .y = job * p->tile_h };

    t.height = min(p->tile_h, p->height - t.y);
    for (t.x = 0; t.x < p->width; t.x += p->tile_w) {
        t.width = min(p->tile_w, p->width - t.x);
        memset(t.w->made, 0, p->net->nb_nodes * sizeof(*t.w->made));
        for (int r = 0; r < t.height * p->net->info.scale; r++) {
            demand(&t, p->net->output, r);
            deliver(&t, r);
        }
    }
    return t.macs;
}
