/* Runs one tile of a plan, row by row, from the output's demand; of each row only what wanted
 * tiles are made from. */
#include "nn/ops.h"
#include "nn/quant.h"
#include "nn/whole.h"

#include <string.h>

typedef struct Job {
    FsrPlan          *p;
    const FsrNnIO    *io;
    const FsrNnTiles *wanted;               /* NULL: all */
    FsrWorker        *w;
    int               x, y, width, height;  /* tile, input samples */
    int64_t           macs;
    /* the node of which a row is made, sample 0 of that row and of those under it */
    int                i;
    const FsrNode     *n;
    const FsrPlanNode *pn;
    float             *to;
    float             *from[FSR_NN_MAX_KERNEL > FSR_NN_MAX_INPUTS ? FSR_NN_MAX_KERNEL : FSR_NN_MAX_INPUTS];
    int64_t            made;                /* samples */
} Job;

int fsr_nn_jobs(const FsrPlan *p)
{
    return p->rows;
}

void fsr_nn_job_rect(const FsrPlan *p, int job, int *x, int *y, int *w, int *h)
{
    const int scale = p->net->info.scale;

    fsr_plan_size(p, fsr_result(p->net, 0), w, h);
    *x = 0;
    *y = job * p->tile_h * scale;
    if (!p->whole)
        *h = fsr_min(p->tile_h * scale, *h - *y);
}

/* First and last + 1 sample of node i that this tile makes, and the sample at which its
 * rows in the ring begin: what the tile on the left made and this one needs comes first. */
static int begin(const Job *t, int i)
{
    const FsrMargin *m = &t->p->net->nodes[i].margin;
    return t->x ? t->x * t->p->net->nodes[i].scale + m->right : -m->left;
}

static int end(const Job *t, int i)
{
    return (t->x + t->width) * t->p->net->nodes[i].scale + t->p->net->nodes[i].margin.right;
}

static int origin(const Job *t, int i)
{
    return begin(t, i) - (t->x ? t->p->nodes[i].history : 0);
}

/* Sample x of row r of node i. */
static float *sample(const Job *t, int i, int r, int x)
{
    const FsrPlanNode *pn = &t->p->nodes[i];
    const int          laps = (int)(r * pn->ring_inverse >> 32);

    return t->w->memory + pn->offset + pn->pitch * (r - laps * pn->ring_rows) +
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
static void input_row(const Job *t, int r, FsrSamples s, float *dst)
{
    const FsrPlan *p = t->p;
    const int  stride = t->pn->stride;
    const int  y      = fsr_clamp(t->y - t->n->margin.top + r, 0, p->height - 1);
    const int  first  = fsr_clamp(s.x, 0, p->width - 1), last = fsr_clamp(s.x + s.width - 1, 0, p->width - 1);
    const int  left   = fsr_max(first - s.x, 0), have = last - first + 1;
    float     *inside = dst + (size_t)left * stride;

    fsr_ops_get(t->io, t->pn->first_plane, t->n->channels, first, y, have, inside, stride, t->w->memory + p->planar);
    continue_row(inside, stride, left, have, s.width - left - have);
}

/* Where row r of node i and what it is made from lie. */
static void find_rows(Job *t, int i, int r)
{
    const FsrNode *n = t->n = &t->p->net->nodes[i];

    t->i    = i;
    t->pn   = &t->p->nodes[i];
    t->to   = sample(t, i, r, 0);
    t->made = 0;
    for (int j = 0; j < n->nb_in; j++)
        t->from[j] = sample(t, n->in[j], fsr_plan_span(t->p, i, j, r).first, 0);
    for (int k = 1; n->op == FSR_OP_CONV && k < n->kh; k++)
        t->from[k] = sample(t, n->in[0], fsr_plan_span(t->p, i, 0, r).first + k, 0);
}

static void conv_row(Job *t, FsrSamples s, float *dst)
{
    const FsrNode  *n       = t->n;
    float          *scratch = t->w->memory + t->p->scratch;
    const ptrdiff_t x       = (ptrdiff_t)(s.x - n->pad.left) * t->p->nodes[n->in[0]].step;
    const float    *rows[FSR_NN_MAX_KERNEL];

    for (int k = 0; k < n->kh; k++)
        rows[k] = t->from[k] + x;
    if (t->pn->quant && t->pn->quant->is_conv)
        t->pn->quant->kernel->row(&t->pn->quant->conv, (const uint32_t *const *)rows, dst, s.width, (uint32_t *)scratch);
    else
        t->pn->kernel->row(&t->pn->shape, t->pn->packed, rows, dst, s.width, scratch);
    t->made += s.width;
}

/* Row of input j that lies under the row, from sample x on. */
static FsrRow under(const Job *t, int j, int x)
{
    const int          k  = t->n->in[j];
    const FsrPlanNode *in = &t->p->nodes[k];

    return (FsrRow){ t->from[j] + (ptrdiff_t)x * in->step, in->bf16, t->p->net->nodes[k].channels, in->stride };
}

/* What makes samples of those under them; of bytes only sums. */
static void other_row(const Job *t, FsrSamples s, float *dst)
{
    const FsrPlanNode *pn = t->pn;
    FsrRow in[FSR_NN_MAX_INPUTS];

    for (int j = 0; j < t->n->nb_in; j++)
        in[j] = under(t, j, s.x);
    if (pn->store == FSR_STORE_BYTES)
        pn->quant->kernel->sum(&pn->quant->sum, (const uint32_t *)in[0].data, t->p->nodes[t->n->in[0]].i8_pitch,
                               (const uint32_t *)in[1].data, t->p->nodes[t->n->in[1]].i8_pitch, (uint32_t *)dst,
                               pn->i8_pitch, s.width);
    else
        fsr_ops_row(t->n, dst, pn->bf16, pn->stride, in, s.width);
}

static void shuffle_row(const Job *t, int r, FsrSamples s, float *dst)
{
    const FsrMargin *in = &t->p->net->nodes[t->n->in[0]].margin;
    const int        b  = t->n->block;
    const int        x  = s.x + in->left * b;               /* never negative */
    const FsrRow    src = under(t, 0, x / b - in->left);

    fsr_ops_shuffle(t->n, dst, t->pn->stride, src.data, src.stride, x % b,
                    (r - t->n->margin.top + in->top * b) % b, s.width);
}

/* Copies the last samples of row r, which the next tile reads too, from x on: to where they are kept, or from there. */
static void copy_history(const Job *t, int r, int x, int keep)
{
    const FsrPlanNode *pn   = t->pn;
    const size_t       len  = (size_t)pn->history * pn->step;
    float             *side = t->w->memory + pn->side + r * len * pn->subs, *row = sample(t, t->i, r, x);

    for (int k = 0; len && k < pn->subs; k++, side += len, row += pn->sub_pitch)
        memcpy(keep ? side : row, keep ? row : side, len * sizeof(float));
}

/* How far around wanted tiles each value is made and, with a limited halo, how far its readers look. The input is there
 * as far as they look. */
static void set_reach(const Job *t)
{
    const FsrNet    *net   = t->p->net;
    struct FsrReach *reach = t->w->reach;

    for (int i = 0; i < net->nb_nodes; i++)
        reach[i] = (struct FsrReach){ net->nodes[i].margin, { 0 }, t->w->lists };
    for (int i = net->nb_nodes - 1; t->wanted && t->wanted->halo && i >= 0; i--) {
        const FsrNode  *n = &net->nodes[i];
        const FsrMargin m = reach[i].seen;
        const int       most = n->op == FSR_OP_INPUT ? FSR_NN_MAX_HALO : t->wanted->halo * n->scale;
        FsrMargin       read;

        reach[i].near = (FsrMargin){ fsr_min(m.left, most), fsr_min(m.right, most),
                                     fsr_min(m.top, most), fsr_min(m.bottom, most) };
        read = fsr_margin_of_inputs(n, reach[i].near);
        for (int j = 0; j < n->nb_in; j++)
            fsr_margin_widen(&reach[n->in[j]].seen, &read);
    }
}

/* The rows of tiles for which row r of node i is made, its margin being m: none where last < first. near: all of them,
 * not only those of the strip. */
static void tile_rows(const Job *t, int i, int r, const FsrMargin *m, int near, int *first, int *last)
{
    const FsrNnTiles *w     = t->wanted;
    const int         scale = t->p->net->nodes[i].scale;
    const int         y     = t->y * scale - t->p->net->nodes[i].margin.top + r;
    const int         row0  = fsr_max(fsr_floor_div(y - m->bottom, scale), near ? 0 : t->y);
    const int         row1  = fsr_min(fsr_floor_div(y + m->top, scale), near ? t->p->height - 1 : t->y + t->height - 1);

    *first = fsr_max(fsr_floor_div(row0 - w->y, w->tile_h), 0);
    *last  = row0 > row1 ? -1 : fsr_min(fsr_floor_div(row1 - w->y, w->tile_h), w->rows - 1);
}

/*
 * The next span of a row of node i that is made in this tile, from sample x on: where a tile that is wanted in
 * the rows of tiles first to last lies within the margin. Its readers' margins are smaller by their reach, so what
 * they read is there; other samples of the rings are never read.
 */
static int next_span(const Job *t, int i, int x, const FsrMargin *m, int first, int last, FsrSamples *s)
{
    const FsrNnTiles *w     = t->wanted;
    const int         scale = t->p->net->nodes[i].scale, stop = end(t, i);
    int col;

    if (x >= stop || (w && last < first))
        return 0;
    if (!w) {
        *s = (FsrSamples){ x, stop - x };
        return 1;
    }
    col = fsr_max(fsr_floor_div(fsr_floor_div(x - m->right, scale) - w->x, w->tile_w), 0);
    *s  = (FsrSamples){ 0, 0 };
    for (; col < w->cols; col++) {
        int x0, x1, wanted = !w->wanted;

        for (int j = first; j <= last && !wanted; j++)
            wanted = w->wanted[j * w->stride + col];
        if (!wanted)
            continue;
        x0 = fsr_max(w->x + col * w->tile_w, 0) * scale - m->left;
        x1 = fsr_min(w->x + (col + 1) * w->tile_w, t->p->width) * scale + m->right;
        if (x0 >= stop || (s->width && x0 > s->x + s->width))
            break;
        if (x1 <= x || x1 - m->right <= x0 + m->left)
            continue;
        if (!s->width)
            s->x = fsr_max(x0, x);
        s->width = fsr_min(x1, stop) - s->x;
    }
    return s->width > 0;
}

static void make_span(Job *t, int r, FsrSamples s)
{
    const FsrNode     *n    = t->n;
    const FsrPlanNode *pn   = t->pn;
    float             *ring = t->to + (ptrdiff_t)s.x * pn->step;
    float             *dst  = pn->from_floats ? t->w->memory + t->p->floats : ring;

    switch (n->op) {
    case FSR_OP_INPUT:   input_row(t, r, s, dst); break;
    case FSR_OP_CONV:    conv_row(t, s, dst); break;
    case FSR_OP_SHUFFLE: shuffle_row(t, r, s, dst); break;
    default:             other_row(t, s, dst); break;
    }
    if (dst != ring && pn->store == FSR_STORE_WIDE)
        fsr_quant_row(&pn->quant->format, dst, pn->stride, (uint32_t *)ring, pn->sub_pitch, s.width);
    else if (dst != ring)
        pn->quant->kernel->bytes(&pn->quant->format, dst, pn->stride, (uint32_t *)ring, pn->i8_pitch, s.width);
    if (t->p->ranges)
        fsr_quant_observe(t->p->ranges + pn->first_plane, n->channels, dst, pn->stride, s.width);
}

static int in_blocks(const FsrPlanNode *pn)
{
    return pn->kernel && pn->kernel->block;
}

/*
 * Further outside of the picture than its reach, a value is made of border samples alone: rows and
 * columns repeat there, and are copied. Not while ranges are measured, and not where a kernel
 * makes samples in blocks.
 */
static int repeats(const Job *t)
{
    return !t->wanted && !t->p->ranges && t->n->scale == 1 && !in_blocks(t->pn);
}

static void make_once(Job *t, int r, FsrSamples s)
{
    const FsrPlanNode *pn = t->pn;
    const FsrMargin    m  = t->n->margin, in = t->p->net->nodes[0].margin;      /* as that of all inputs */
    const int y     = t->y - m.top + r, stop = s.x + s.width;
    const int first = fsr_max(s.x, m.right - in.right);
    const int last  = fsr_max(first + 1, fsr_min(stop, t->p->width + in.left - m.left));

    if (r && (y <= m.bottom - in.bottom || y >= t->p->height + in.top - m.top)) {
        if (pn->ring_rows > 1)
            memcpy(sample(t, t->i, r, origin(t, t->i)), sample(t, t->i, r - 1, origin(t, t->i)), pn->pitch * sizeof(float));
        return;
    }
    make_span(t, r, (FsrSamples){ first, last - first });
    for (int k = 0; k < pn->subs; k++)
        continue_row(t->to + (ptrdiff_t)first * pn->step + k * pn->sub_pitch, pn->step, first - s.x, last - first, stop - last);
}

/* A kernel that makes samples in blocks gets whole blocks, those that a whole run makes. */
static FsrSamples whole_blocks(const Job *t, FsrSamples s)
{
    const FsrPlanNode *pn    = t->pn;
    const int          first = begin(t, t->i);
    int block, x;

    if (!in_blocks(pn))
        return s;
    block = pn->kernel->block(&pn->shape);
    x     = s.x - (s.x - first) % block;
    return (FsrSamples){ x, fsr_min(fsr_ceil_div(s.x + s.width - first, block) * block + first, end(t, t->i)) - x };
}

static void make_part(Job *t, int r, const struct FsrPart *part)
{
    float *row = t->to + (ptrdiff_t)part->s.x * t->pn->step;

    for (int k = 0; part->zero && k < t->pn->subs; k++)
        memset(row + k * t->pn->sub_pitch, 0, (size_t)part->s.width * t->pn->step * sizeof(float));
    if (!part->zero)
        (repeats(t) ? make_once : make_span)(t, r, part->s);
}

static void add_part(FsrParts *l, int x, int stop, int zero)
{
    if (x < stop)
        l->part[l->nb++] = (struct FsrPart){ { x, stop - x }, zero };
}

/* With a limited halo: what is near wanted tiles is made, what is seen around it is 0, and the rest is never read. */
static void add_near(const Job *t, FsrParts *l)
{
    const struct FsrPartsOf *of = &l->of;
    FsrSamples seen, near;

    for (int x = begin(t, t->i); of->blocks && next_span(t, t->i, x, &of->seen, of->first[1], of->last[1], &seen);
         x = seen.x + seen.width) {
        near = whole_blocks(t, seen);       /* all before what is 0, over which they reach */
        add_part(l, near.x, near.x + near.width, 0);
    }
    for (int x = begin(t, t->i); next_span(t, t->i, x, &of->seen, of->first[1], of->last[1], &seen);) {
        const int end = seen.x + seen.width;

        for (x = seen.x; x < end; x = near.x + near.width) {
            if (!next_span(t, t->i, x, &of->near, of->first[0], of->last[0], &near) || near.x >= end)
                near = (FsrSamples){ end, 0 };
            near.width = fsr_min(near.x + near.width, end) - near.x;
            add_part(l, x, near.x, 1);
            if (!of->blocks)
                add_part(l, near.x, near.x + near.width, 0);
        }
    }
}

/* What of row r is made: as of its last row, or as of other values' rows, or found anew. */
static const FsrParts *find_parts(const Job *t, int r)
{
    FsrWorker       *w     = t->w;
    struct FsrReach *reach = &w->reach[t->i];
    FsrParts        *l     = reach->parts;
    FsrSamples       s     = { begin(t, t->i), 0 };
    const int limited = t->wanted && t->wanted->halo;
    struct FsrPartsOf of = { t->n->scale, .blocks = in_blocks(t->pn) ? t->i : 0, .near = reach->near, .seen = reach->seen };

    if (t->width < t->p->width) {
        of.begin = s.x;
        of.end   = end(t, t->i);
    }
    for (int k = 0; t->wanted && k <= limited; k++)
        tile_rows(t, t->i, r, k ? &of.seen : &of.near, limited, &of.first[k], &of.last[k]);
    for (int k = 0; k < FSR_PART_LISTS && memcmp(&l->of, &of, sizeof(of)); k++)
        l = &w->lists[k];
    if (memcmp(&l->of, &of, sizeof(of))) {
        l     = &w->lists[w->next = (w->next + 1) % FSR_PART_LISTS];
        l->of = of;
        l->nb = 0;
        if (limited)
            add_near(t, l);
        while (!limited && next_span(t, t->i, s.x + s.width, &of.near, of.first[0], of.last[0], &s)) {
            s = whole_blocks(t, s);
            add_part(l, s.x, s.x + s.width, 0);
        }
    }
    return reach->parts = l;
}

static void make_row(void *opaque, int i, int r, int last)
{
    Job            *t = opaque;
    const FsrParts *l;

    (void)last;
    find_rows(t, i, r);
    if (t->x)
        copy_history(t, r, origin(t, i), 0);
    l = find_parts(t, r);
    for (int k = 0; k < l->nb; k++)
        make_part(t, r, &l->part[k]);
    t->macs += t->made * fsr_node_macs(t->p->net, t->n);
    if (t->x + t->width < t->p->width)
        copy_history(t, r, end(t, i) - t->pn->history, 1);
}

/* Row r of the output, which was made last. */
static void deliver(const Job *t, int r)
{
    const int       i     = t->p->net->output, y = t->y * t->p->net->info.scale + r;
    const FsrNode  *n     = &t->p->net->nodes[i];
    const FsrParts *l     = t->w->reach[i].parts;
    const int       known = !in_blocks(&t->p->nodes[i]);
    const int       first = l->of.first[0], last = l->of.last[0];
    FsrSamples      s     = { begin(t, i), 0 };

    for (int k = 0; known ? k < l->nb : next_span(t, i, s.x + s.width, &n->margin, first, last, &s); k++) {
        if (known)
            s = l->part[k].s;
        fsr_ops_put(t->io, 0, n->channels, s.x, y, s.width, sample(t, i, r, s.x), t->p->nodes[i].stride,
                    t->w->memory + t->p->planar);
    }
}

/* Whether anything is made in this tile: of the input, which has the largest margin. */
static int tile_wanted(const Job *t)
{
    const FsrNnTiles *w = t->wanted;
    const int  first = w ? fsr_max(fsr_floor_div(t->y - w->y, w->tile_h), 0) : 0;
    const int  last  = w ? fsr_min(fsr_floor_div(t->y + t->height - 1 - w->y, w->tile_h), w->rows - 1) : 0;
    FsrSamples s;

    return next_span(t, 0, begin(t, 0), &t->p->net->nodes[0].margin, first, last, &s);
}

int64_t fsr_nn_run_rows(FsrPlan *p, const FsrNnIO *io, const FsrNnTiles *wanted, int y, int height, int worker)
{
    Job t = { .p = p, .io = io, .wanted = wanted, .w = &p->workers[worker], .y = y, .height = height };

    if (p->whole)
        return fsr_whole_run(p, io);
    set_reach(&t);
    for (t.x = 0; t.x < p->width; t.x += p->tile_w) {
        t.width = fsr_min(p->tile_w, p->width - t.x);
        if (!tile_wanted(&t))
            continue;
        memset(t.w->made, 0, p->net->nb_nodes * sizeof(*t.w->made));
        for (int k = 0; k < FSR_PART_LISTS; k++)
            t.w->lists[k].of.scale = 0;
        for (int r = 0; r < t.height * p->net->info.scale; r++) {
            fsr_plan_demand(p, t.w->made, p->net->output, r, &t, make_row);
            deliver(&t, r);
        }
    }
    return t.macs;
}

int64_t fsr_nn_run_tiles(FsrPlan *p, const FsrNnIO *io, const FsrNnTiles *wanted, int job, int worker)
{
    const int y = job * p->tile_h;

    return fsr_nn_run_rows(p, io, wanted, y, fsr_min(p->tile_h, p->height - y), worker);
}

int64_t fsr_nn_run(FsrPlan *p, const FsrNnIO *io, int job, int worker)
{
    return fsr_nn_run_tiles(p, io, NULL, job, worker);
}
