/* FsrNet -> FsrPlan: tile grid, row rings, kernels, memory. */
#include "nn/quant.h"
#include "nn/whole.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    TILE_BYTES  = 512 << 10,    /* rings of one tile: leaves room in a 1 MiB L2 for weights */
    MIN_TILE_W  = 48,
    MAX_TILE_W  = 1024,
    TILE_STEP   = 48,           /* whole register tiles of every kernel */
    MIN_TILE_H  = 16,
    HALO_FACTOR = 32,           /* strip height over halo: rows made twice stay near 3 % */
};

FsrSpan fsr_plan_span(const FsrPlan *p, int i, int j, int r)
{
    const FsrNode *n  = &p->net->nodes[i];
    const int      mt = p->nodes[i].margin.top, in_mt = p->nodes[n->in[j]].margin.top;
    int            a;

    switch (n->op) {
    case FSR_OP_CONV:
        a = r + in_mt - mt - n->pad_top;
        return (FsrSpan){ a, a + n->kh - 1 };
    case FSR_OP_SHUFFLE:
        a = (r - mt + in_mt * n->block) / n->block;     /* never negative: in_mt * block >= mt */
        return (FsrSpan){ a, a };
    default:
        a = r + in_mt - mt;
        return (FsrSpan){ a, a };
    }
}

/* The order in which rows are made, played through without data: the longest time
 * that a row is waited for gives the length of each ring. */
static void simulate(FsrPlan *p, int *made, int i, int r)
{
    const FsrNode *n = &p->net->nodes[i];

    for (; made[i] <= r; made[i]++) {
        for (int j = 0; j < n->nb_in; j++)
            simulate(p, made, n->in[j], fsr_plan_span(p, i, j, made[i]).last);
        for (int j = 0; j < n->nb_in; j++) {
            FsrPlanNode *in = &p->nodes[n->in[j]];
            int rows = made[n->in[j]] - fsr_plan_span(p, i, j, made[i]).first;
            if (in->ring_rows < rows)
                in->ring_rows = rows;
        }
    }
}

static int size_rings(FsrPlan *p)
{
    int *made = calloc(p->net->nb_nodes, sizeof(*made));
    int  out  = p->net->output, steps;

    if (!made)
        return -ENOMEM;
    for (int i = 0; i < p->net->nb_nodes; i++)
        p->nodes[i].ring_rows = 1;
    /* the pattern repeats; the halo and one period of every shuffle show all of it */
    steps = 2 * p->net->info.halo * p->net->info.scale + 64;
    simulate(p, made, out, steps);
    free(made);
    return 0;
}

static void choose_tiles(FsrPlan *p, int tile_w, int tile_h)
{
    size_t column = 0;      /* bytes of rings for one input sample across the tile */

    for (int i = 0; i < p->net->nb_nodes; i++)
        column += (size_t)p->nodes[i].ring_rows * p->nodes[i].subs * p->nodes[i].step *
                  p->net->nodes[i].scale * sizeof(float);
    if (!tile_w) {
        tile_w = TILE_BYTES / column < MAX_TILE_W ? (int)(TILE_BYTES / column) : MAX_TILE_W;
        tile_w = tile_w < MIN_TILE_W ? MIN_TILE_W : tile_w;
        tile_w = fsr_ceil_div(p->width, fsr_ceil_div(p->width, tile_w));
        tile_w = fsr_ceil_div(tile_w, TILE_STEP) * TILE_STEP;
    }
    if (!tile_h) {
        int strips = fsr_ceil_div(p->height, HALO_FACTOR * (p->net->info.halo + 1));
        strips = fsr_ceil_div(strips, p->nb_workers) * p->nb_workers;       /* all end together */
        tile_h = fsr_ceil_div(p->height, strips);
        tile_h = tile_h < MIN_TILE_H ? MIN_TILE_H : tile_h;
    }
    p->tile_w = tile_w < p->width ? tile_w : p->width;
    p->tile_h = tile_h < p->height ? tile_h : p->height;
    p->cols   = fsr_ceil_div(p->width, p->tile_w);
    p->rows   = fsr_ceil_div(p->height, p->tile_h);
}

/* Samples left of a tile's new ones that readers need of each value. */
static void size_histories(FsrPlan *p)
{
    for (int i = 0; i < p->net->nb_nodes && p->cols > 1; i++) {
        const FsrNode *n = &p->net->nodes[i];

        for (int j = 0; j < n->nb_in; j++) {
            FsrPlanNode *in = &p->nodes[n->in[j]];
            int right = p->nodes[i].margin.right, need;

            if (n->op == FSR_OP_CONV)
                need = in->margin.right - right + n->pad_left;
            else if (n->op == FSR_OP_SHUFFLE)
                need = in->margin.right - right / n->block;
            else
                need = in->margin.right - right;
            if (in->history < need)
                in->history = need;
        }
    }
}

void *fsr_plan_alloc(FsrPlan *p, size_t bytes)
{
    void *mem;

    if (bytes > SIZE_MAX - 64 || posix_memalign(&mem, 64, bytes + 64))
        return NULL;
    p->bytes += bytes;
    return memset(mem, 0, bytes + 64);          /* planes that only fill up samples stay zero for ever */
}

uint64_t fsr_plan_clock(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + ts.tv_nsec;
}

static size_t align16(size_t floats)
{
    return (floats + 15) & ~(size_t)15;
}

static int setup_conv(FsrPlan *p, int i, FsrIsa isa, size_t width, size_t *scratch)
{
    const FsrNode *n  = &p->net->nodes[i];
    FsrPlanNode   *pn = &p->nodes[i];
    size_t         floats;

    if (pn->quant && pn->quant->is_conv) {
        FsrI8Conv *c = &pn->quant->conv;

        c->in_pitch      = p->nodes[n->in[0]].sub_pitch;
        c->out_pitch     = pn->sub_pitch;
        c->scratch_pitch = (int)align16(width + n->kw + FSR_I8_SLACK) + 16;
        floats = c->taps ? (size_t)c->groups * c->scratch_pitch : 0;
        *scratch = *scratch < floats ? floats : *scratch;
        return 0;
    }
    pn->shape = (FsrConvShape){
        .cin  = p->net->nodes[n->in[0]].channels, .cin_stride  = p->nodes[n->in[0]].stride,
        .cout = n->channels,                      .cout_stride = pn->stride,
        .kw   = n->kw, .kh = n->kh, .relu = n->relu,
        .in_bf16 = p->nodes[n->in[0]].bf16, .out_bf16 = pn->bf16,
    };
    pn->kernel = fsr_nn_pick_conv(isa, &pn->shape);
    floats     = pn->kernel->packed_floats(&pn->shape);
    if (!(pn->packed = fsr_plan_alloc(p, floats * sizeof(float))))
        return -ENOMEM;
    pn->kernel->pack(&pn->shape, n->weights, n->bias, pn->packed);
    if (pn->kernel->scratch_floats && *scratch < pn->kernel->scratch_floats(&pn->shape))
        *scratch = pn->kernel->scratch_floats(&pn->shape);
    return 0;
}

static int layout(FsrPlan *p, FsrIsa isa)
{
    size_t at = 0, scratch = 0, widest = 0, floats = 0;
    int    ret;

    for (int i = 0; i < p->net->nb_nodes; i++) {
        FsrPlanNode *pn = &p->nodes[i];
        size_t width = (size_t)p->tile_w * p->net->nodes[i].scale + pn->margin.left +
                       pn->margin.right;

        /* one cache line more: rows of a power of two would fall into the same sets */
        pn->sub_pitch = (int)align16(width * pn->step + (pn->store ? FSR_I8_SLACK : 0)) + 16;
        pn->pitch     = (size_t)pn->sub_pitch * pn->subs;
        pn->offset = at;
        at += pn->pitch * pn->ring_rows;
        pn->side = at;
        at += align16((size_t)pn->history * pn->step * pn->subs *
                      ((size_t)p->tile_h * p->net->nodes[i].scale + pn->margin.top +
                       pn->margin.bottom));
        widest = widest < width ? width : widest;
        if (pn->from_floats && floats < width * pn->stride)
            floats = width * pn->stride;
        if (p->net->nodes[i].op == FSR_OP_CONV && (ret = setup_conv(p, i, isa, width, &scratch)) < 0)
            return ret;
    }
    p->planar        = at;
    p->floats        = at + align16(widest);
    p->scratch       = p->floats + align16(floats);
    p->worker_floats = p->scratch + align16(scratch);
    return 0;
}

static int alloc_workers(FsrPlan *p)
{
    if (!(p->workers = calloc(p->nb_workers, sizeof(*p->workers))))
        return -ENOMEM;
    for (int i = 0; i < p->nb_workers; i++) {
        if (!(p->workers[i].memory = fsr_plan_alloc(p, p->worker_floats * sizeof(float))))
            return -ENOMEM;
        if (!(p->workers[i].made = malloc(p->net->nb_nodes * sizeof(*p->workers[i].made))))
            return -ENOMEM;
        p->bytes += p->net->nb_nodes * sizeof(*p->workers[i].made);
    }
    return 0;
}

/* bfloat16 or integers for what convolutions and additions hand to others of their kind. */
static int choose_formats(FsrPlan *p, FsrPrecision precision, FsrIsa isa)
{
    int planes = 0;

    for (int i = 0; i < p->net->nb_nodes; i++) {
        const FsrNode *n = &p->net->nodes[i];
        int sums = n->op == FSR_OP_CONV || n->op == FSR_OP_ADD;

        p->nodes[i].bf16 = precision == FSR_PRECISION_BF16 && sums && n->channels > 4 &&
                           i != p->net->output;
        for (int j = 0; !sums && j < n->nb_in; j++)
            p->nodes[n->in[j]].bf16 = 0;            /* readers come after what they read */
    }
    for (int i = 0; i < p->net->nb_nodes; i++) {
        p->nodes[i].stride      = fsr_nn_stride(p->net->nodes[i].channels, p->nodes[i].bf16);
        p->nodes[i].step        = p->nodes[i].stride;
        p->nodes[i].subs        = 1;
        p->nodes[i].first_plane = planes;
        planes += p->net->nodes[i].channels;
    }
    return precision == FSR_PRECISION_I8 ? fsr_quant_setup(p, isa) : 0;
}

static int build(FsrPlan *p, FsrPrecision precision, FsrIsa isa, int tile_w, int tile_h)
{
    FsrMargin *margins = malloc(p->net->nb_nodes * sizeof(*margins));
    int ret;

    p->nodes = calloc(p->net->nb_nodes, sizeof(*p->nodes));
    if (!margins || !p->nodes) {
        free(margins);
        return -ENOMEM;
    }
    p->bytes = sizeof(*p) + p->net->nb_nodes * sizeof(*p->nodes);
    ret = fsr_graph_margins(p->net, margins);
    for (int i = 0; ret >= 0 && i < p->net->nb_nodes; i++)
        p->nodes[i].margin = margins[i];
    free(margins);
    if (ret < 0 || (ret = size_rings(p)) < 0)
        return ret;
    if ((ret = choose_formats(p, precision, isa)) < 0)
        return ret;
    choose_tiles(p, tile_w, tile_h);
    size_histories(p);
    if ((ret = layout(p, isa)) < 0)
        return ret;
    return alloc_workers(p);
}

int fsr_plan_new(FsrPlan **plan, const FsrNet *net, int width, int height, int nb_workers,
                 char *err, size_t err_size)
{
    *plan = NULL;
    if (width < 1 || height < 1 || width > FSR_NN_MAX_SIZE || height > FSR_NN_MAX_SIZE)
        return fsr_nn_fail(err, err_size, -EINVAL, "picture size %dx%d is outside 1x1 to %dx%d",
                           width, height, FSR_NN_MAX_SIZE, FSR_NN_MAX_SIZE);
    if (nb_workers < 1)
        return fsr_nn_fail(err, err_size, -EINVAL, "a plan needs at least one worker");
    if (!(*plan = calloc(1, sizeof(**plan))))
        return fsr_nn_fail(err, err_size, -ENOMEM, "out of memory");
    (*plan)->net        = net;
    (*plan)->width      = width;
    (*plan)->height     = height;
    (*plan)->nb_workers = nb_workers;
    return 0;
}

static int takes_luma(const FsrNet *net)
{
    const char *input = fsr_nn_meta(net, "input");

    return input && (!strcmp(input, "hr-luma") || !strcmp(input, "lr-luma"));
}

int fsr_nn_plan_with(FsrPlan **plan, const FsrNet *net, int width, int height, int nb_workers,
                     FsrPrecision precision, FsrIsa isa, int tile_w, int tile_h,
                     char *err, size_t err_size)
{
    int ret;

    if (net->whole)
        return fsr_whole_plan(plan, net, width, height, nb_workers, precision, isa, err, err_size);
    if (precision == FSR_PRECISION_I8 && !fsr_quant_recorded(net) && fsr_nn_meta(net, "input") && !takes_luma(net)) {
        *plan = NULL;
        return fsr_nn_fail(err, err_size, -ENOSYS, "the network's input is not luma, and its file does not say what its "
                           "values hold: record that (models/ranges.py), or choose another precision than i8");
    }
    if ((ret = fsr_plan_new(plan, net, width, height, nb_workers, err, err_size)) < 0)
        return ret;
    (*plan)->precision = precision;
    if ((ret = build(*plan, precision, isa, tile_w, tile_h)) < 0) {
        fsr_nn_plan_free(plan);
        return fsr_nn_fail(err, err_size, ret, "cannot plan the network for %dx%d: %s", width, height,
                           ret == -EINVAL ? "a range in its metadata is damaged" : strerror(-ret));
    }
    return 0;
}

int fsr_nn_plan_as(FsrPlan **plan, const FsrNet *net, int width, int height, int nb_workers,
                   FsrPrecision precision, char *err, size_t err_size)
{
    FsrIsa isa = fsr_nn_isa();

    if (precision == FSR_PRECISION_AUTO)
        precision = (takes_luma(net) || fsr_quant_recorded(net)) && isa >= FSR_ISA_AVX2 ? FSR_PRECISION_I8 : FSR_PRECISION_F32;
    if (precision == FSR_PRECISION_BF16 && isa < FSR_ISA_AVX512BF16)
        precision = FSR_PRECISION_F32;
    return fsr_nn_plan_with(plan, net, width, height, nb_workers, precision, isa, 0, 0, err,
                            err_size);
}

int fsr_nn_plan(FsrPlan **plan, const FsrNet *net, int width, int height, int nb_workers,
                char *err, size_t err_size)
{
    return fsr_nn_plan_as(plan, net, width, height, nb_workers, FSR_PRECISION_F32, err, err_size);
}

void fsr_nn_plan_free(FsrPlan **plan)
{
    FsrPlan *p = *plan;

    *plan = NULL;
    if (!p)
        return;
    for (int i = 0; p->nodes && i < p->net->nb_nodes; i++)
        free(p->nodes[i].packed);
    for (int i = 0; p->workers && i < p->nb_workers; i++) {
        free(p->workers[i].memory);
        free(p->workers[i].made);
    }
    fsr_whole_free(&p->whole, p->net->nb_nodes);
    fsr_quant_free(p);
    free(p->nodes);
    free(p->workers);
    free(p);
}

void fsr_plan_size(const FsrPlan *p, int i, int *w, int *h)
{
    *w = p->whole ? p->whole->nodes[i].w : p->width * p->net->nodes[i].scale;
    *h = p->whole ? p->whole->nodes[i].h : p->height * p->net->nodes[i].scale;
}

const char *fsr_plan_kernel(const FsrPlan *p, int i)
{
    if (p->whole && p->whole->nodes[i].dw_kernel)
        return p->whole->nodes[i].dw_kernel->name;
    if (p->whole && p->whole->nodes[i].point)
        return p->whole->nodes[i].point->name;
    if (p->whole)
        return p->whole->nodes[i].kernel ? p->whole->nodes[i].kernel->name : "";
    if (p->nodes[i].quant && p->nodes[i].quant->is_conv)
        return p->nodes[i].quant->kernel->name;
    return p->nodes[i].kernel ? p->nodes[i].kernel->name : "";
}

double fsr_plan_sample_bytes(const FsrPlan *p, int i)
{
    const int planes = p->net->nodes[i].channels;

    if (!p->whole && p->nodes[i].store)
        return 4.0 * p->nodes[i].subs;
    if (p->whole && p->whole->nodes[i].dw.bytes)
        return planes;
    return (!p->whole && p->nodes[i].bf16 ? 2.0 : 4.0) * planes;
}

double fsr_plan_weight_bytes(const FsrPlan *p, int i)
{
    if (p->whole)
        return p->whole->nodes[i].point ? 1 : 4;
    if (p->nodes[i].quant && p->nodes[i].quant->is_conv)
        return p->nodes[i].store ? 1 : 2;
    return p->nodes[i].shape.in_bf16 ? 2 : 4;
}

const char *fsr_nn_output(const FsrPlan *p, int i, int *planes, int *w, int *h)
{
    *planes = p->net->nodes[p->net->outputs[i]].channels;
    fsr_plan_size(p, p->net->outputs[i], w, h);
    return p->net->output_names[i];
}

size_t fsr_nn_plan_bytes(const FsrPlan *plan)
{
    return plan->bytes;
}
