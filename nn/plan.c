/* FsrNet -> FsrPlan: tile grid, row rings, kernels, memory. */
#include "nn/quant.h"
#include "nn/whole.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    TILE_BYTES  = 4 << 20,      /* rings of one tile: rows come back in order, so the third-level cache serves as well */
    MIN_TILE_W  = 48,
    MAX_TILE_W  = 1024,
    TILE_STEP   = 48,           /* whole register tiles of every kernel */
    MIN_TILE_H  = 16,
    HALO_FACTOR = 32,           /* strip height over halo: rows made twice stay near 3 % */
};

FsrSpan fsr_plan_span(const FsrPlan *p, int i, int j, int r)
{
    const FsrNode *n  = &p->net->nodes[i];
    const int      mt = n->margin.top, in_mt = p->net->nodes[n->in[j]].margin.top;
    int            a  = r + in_mt - mt, rows = 1;

    if (p->whole)
        return fsr_whole_span(p, i, j, r);
    if (n->op == FSR_OP_CONV) {
        a   -= n->pad.top;
        rows = n->kh;
    } else if (n->op == FSR_OP_SHUFFLE) {
        a = (r - mt + in_mt * n->block) / n->block;     /* never negative: in_mt * block >= mt */
    }
    return (FsrSpan){ a, a + rows - 1 };
}

/* This thread's processor time, nanoseconds. */
static uint64_t now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + ts.tv_nsec;
}

void fsr_plan_demand(const FsrPlan *p, int *made, int i, int r, void *opaque, FsrMake *make)
{
    const FsrNode      *n  = &p->net->nodes[i];
    const FsrWholeNode *wn = p->whole ? &p->whole->nodes[i] : NULL;

    r = wn ? fsr_min(r, wn->h - 1) : r;
    while (made[i] <= r) {
        const int first = made[i], last = wn ? fsr_min(first + wn->band, wn->h) - 1 : first;
        uint64_t  start = 0;

        for (int j = 0; j < n->nb_in; j++)
            fsr_plan_demand(p, made, n->in[j], fsr_plan_span(p, i, j, last).last, opaque, make);
        if (p->node_ns)
            start = now();
        make(opaque, i, first, last);
        if (p->node_ns)
            p->node_ns[i] += now() - start;
        made[i] = last + 1;
    }
}

void fsr_plan_rehearse(void *opaque, int i, int first, int last)
{
    const FsrPlan *p = opaque;
    const FsrNode *n = &p->net->nodes[i];

    (void)last;
    for (int j = 0; j < n->nb_in; j++) {
        FsrPlanNode *in = &p->nodes[n->in[j]];

        in->ring_rows = fsr_max(in->ring_rows, p->workers[0].made[n->in[j]] -
                                               fsr_max(fsr_plan_span(p, i, j, first).first, 0));
    }
}

static void choose_tiles(FsrPlan *p, int tile_w, int tile_h)
{
    size_t column = 0;      /* bytes of rings for one input sample across the tile */

    for (int i = 0; i < p->net->nb_nodes; i++)
        column += (size_t)p->nodes[i].ring_rows * p->nodes[i].subs * p->nodes[i].step *
                  p->net->nodes[i].scale * sizeof(float);
    if (!tile_w) {
        tile_w = fsr_max(MIN_TILE_W, fsr_min((int)(TILE_BYTES / column), MAX_TILE_W));
        tile_w = fsr_ceil_div(p->width, fsr_ceil_div(p->width, tile_w));
        tile_w = fsr_ceil_div(tile_w, TILE_STEP) * TILE_STEP;
    }
    if (!tile_h) {
        int strips = fsr_ceil_div(p->height, HALO_FACTOR * (p->net->info.halo + 1));
        strips = fsr_ceil_div(strips, p->nb_workers) * p->nb_workers;       /* all end together */
        tile_h = fsr_max(MIN_TILE_H, fsr_ceil_div(p->height, strips));
    }
    p->tile_w = fsr_min(tile_w, p->width);
    p->tile_h = fsr_min(tile_h, p->height);
    p->cols   = fsr_ceil_div(p->width, p->tile_w);
    p->rows   = fsr_ceil_div(p->height, p->tile_h);
}

/* Samples left of a tile's new ones that readers need of each value. */
static void size_histories(FsrPlan *p)
{
    for (int i = 0; i < p->net->nb_nodes && p->cols > 1; i++) {
        const FsrNode *n     = &p->net->nodes[i];
        const int      right = n->margin.right / (n->op == FSR_OP_SHUFFLE ? n->block : 1);

        for (int j = 0; j < n->nb_in; j++) {
            int *history = &p->nodes[n->in[j]].history;

            *history = fsr_max(*history, p->net->nodes[n->in[j]].margin.right - right + n->pad.left);
        }
    }
}

void *fsr_plan_alloc(FsrPlan *p, size_t bytes)
{
    return fsr_alloc(&p->memory, bytes + 64);
}

int fsr_plan_pack(FsrPlan *p, int i, const float *weights, const float *bias)
{
    FsrPlanNode *pn = &p->nodes[i];

    pn->kernel = fsr_nn_pick_conv(p->isa, &pn->shape);
    if (!(pn->packed = fsr_plan_alloc(p, pn->kernel->packed_floats(&pn->shape) * sizeof(float))))
        return -ENOMEM;
    pn->kernel->pack(&pn->shape, weights, bias, pn->packed);
    if (pn->kernel->scratch_floats)
        fsr_at_least(&p->scratch_floats, pn->kernel->scratch_floats(&pn->shape));
    return 0;
}

static int setup_conv(FsrPlan *p, int i, size_t width)
{
    const FsrNode     *n  = &p->net->nodes[i];
    FsrPlanNode       *pn = &p->nodes[i];
    const FsrPlanNode *in = &p->nodes[n->in[0]];

    if (pn->quant && pn->quant->is_conv) {
        FsrI8Conv *c = &pn->quant->conv;

        c->in_pitch      = in->i8_pitch;
        c->out_pitch     = pn->i8_pitch;
        c->scratch_pitch = (int)fsr_align16(width + n->kw + FSR_I8_SLACK);
        fsr_at_least(&p->scratch_floats, c->taps ? (size_t)c->groups * c->scratch_pitch : 0);
        return 0;
    }
    pn->shape = (FsrConvShape){
        .cin  = p->net->nodes[n->in[0]].channels, .cin_stride  = in->stride,
        .cout = n->channels,                      .cout_stride = pn->stride,
        .kw   = n->kw, .kh = n->kh, .relu = n->relu,
        .in_bf16 = in->bf16, .out_bf16 = pn->bf16,
    };
    return fsr_plan_pack(p, i, n->weights, n->bias);
}

static int lay_out(FsrPlan *p)
{
    size_t at = 0, widest = 0, floats = 0;
    int    ret;

    for (int i = 0; i < p->net->nb_nodes; i++) {
        const FsrNode *n  = &p->net->nodes[i];
        FsrPlanNode   *pn = &p->nodes[i];
        size_t width  = (size_t)p->tile_w * n->scale + n->margin.left + n->margin.right;
        size_t height = (size_t)p->height * n->scale + n->margin.top + n->margin.bottom;     /* fsr_nn_run_rows */

        /* at least one cache line more: rows of a power of two would fall into the same sets */
        pn->sub_pitch = (int)fsr_align16(width * pn->step + (pn->store ? FSR_I8_SLACK : 16));
        pn->i8_pitch  = pn->quant && pn->quant->kernel->lanes ? pn->step : pn->sub_pitch;
        pn->ring_inverse = (UINT64_C(1) << 32) / pn->ring_rows + 1;
        pn->pitch     = (size_t)pn->sub_pitch * pn->subs;
        pn->offset    = at;
        pn->side      = at + pn->pitch * pn->ring_rows;
        at            = pn->side + fsr_align16((size_t)pn->history * pn->step * pn->subs * height);
        fsr_at_least(&widest, width * (n->op == FSR_OP_INPUT ? n->channels : 1));
        fsr_at_least(&floats, pn->from_floats ? width * pn->stride : 0);
        if (n->op == FSR_OP_CONV && (ret = setup_conv(p, i, width)) < 0)
            return ret;
    }
    p->planar        = at;
    p->floats        = at + fsr_align16(widest);
    p->scratch       = p->floats + fsr_align16(floats);
    p->worker_floats = p->scratch + fsr_align16(p->scratch_floats);
    return 0;
}

/* bfloat16 or integers for what convolutions and additions hand to others of their kind. */
static int choose_formats(FsrPlan *p)
{
    for (int i = 0; i < p->net->nb_nodes; i++) {
        const FsrNode *n = &p->net->nodes[i];
        int sums = n->op == FSR_OP_CONV || n->op == FSR_OP_ADD;

        p->nodes[i].bf16 = p->precision == FSR_PRECISION_BF16 && sums && n->channels > 4 && i != p->net->output;
        for (int j = 0; !sums && j < n->nb_in; j++)
            p->nodes[n->in[j]].bf16 = 0;            /* readers come after what they read */
    }
    for (int i = 0; i < p->net->nb_nodes; i++) {
        FsrPlanNode *pn = &p->nodes[i];

        pn->stride = pn->step = fsr_nn_stride(p->net->nodes[i].channels, pn->bf16);
        pn->subs   = 1;
    }
    return p->precision == FSR_PRECISION_I8 ? fsr_quant_setup(p) : 0;
}

static int plan_strips(FsrPlan *p, int tile_w, int tile_h)
{
    int ret;

    /* the pattern repeats; the halo and one period of every shuffle show all of it */
    fsr_plan_demand(p, p->workers[0].made, p->net->output, 2 * p->net->info.halo * p->net->info.scale + 64, p,
                    fsr_plan_rehearse);
    if ((ret = choose_formats(p)) < 0)
        return ret;
    choose_tiles(p, tile_w, tile_h);
    size_histories(p);
    return lay_out(p);
}

/* All but the workers' memory, whose size is not known yet. */
static int alloc_plan(FsrPlan *p, int whole)
{
    const int nb = p->net->nb_nodes;

    p->nodes   = fsr_alloc(&p->memory, nb * sizeof(*p->nodes));
    p->workers = fsr_alloc(&p->memory, p->nb_workers * sizeof(*p->workers));
    if (whole)
        p->whole = fsr_alloc(&p->memory, sizeof(*p->whole) + nb * sizeof(*p->whole->nodes));
    if (!p->nodes || !p->workers || (whole && !p->whole))
        return -ENOMEM;
    for (int i = 0; i < nb; p->planes += p->net->nodes[i++].channels) {
        p->nodes[i].ring_rows   = 1;
        p->nodes[i].first_plane = p->planes;
    }
    for (FsrWorker *w = p->workers; w < p->workers + p->nb_workers; w++) {
        if (!(w->made = fsr_alloc(&p->memory, nb * sizeof(*w->made))) ||
            !(w->reach = fsr_alloc(&p->memory, nb * sizeof(*w->reach))) ||
            !(w->lists = fsr_alloc(&p->memory, FSR_PART_LISTS * sizeof(*w->lists))))
            return -ENOMEM;
        for (FsrParts *l = w->lists; l < w->lists + FSR_PART_LISTS; l++)
            if (!(l->part = fsr_alloc(&p->memory, 2 * (p->width + 2) * sizeof(*l->part))))
                return -ENOMEM;
    }
    return 0;
}

/* The error of a part that writes no message: the only damage that a plan finds is in ranges. */
static int explain(const FsrPlan *p, int ret, char *err, size_t err_size)
{
    return fsr_nn_fail(err, err_size, ret, "cannot plan the network for %dx%d: %s", p->width, p->height,
                       ret == -EINVAL ? "a range in its metadata is damaged" : "out of memory");
}

/* With a message. A whole network has one job. */
static int build(FsrPlan *p, int whole, int tile_w, int tile_h, char *err, size_t err_size)
{
    const int integers = p->precision == FSR_PRECISION_I8;
    int       ret;

    p->nb_workers = whole ? 1 : p->nb_workers;
    ret = alloc_plan(p, whole);
    if (ret >= 0 && whole) {
        p->precision = FSR_PRECISION_F32;
        if ((ret = fsr_whole_setup(p, err, err_size)) < 0 && ret != -ENOMEM)
            return ret;
        if (ret >= 0 && integers)
            ret = fsr_whole_quantize(p);
    } else if (ret >= 0) {
        ret = plan_strips(p, tile_w, tile_h);
    }
    for (int i = 0; ret >= 0 && i < p->nb_workers; i++)     /* planes that only fill up samples stay zero for ever */
        if (!(p->workers[i].memory = fsr_plan_alloc(p, p->worker_floats * sizeof(float))))
            ret = -ENOMEM;
    return ret < 0 ? explain(p, ret, err, err_size) : 0;
}

static int meta_is(const FsrNet *net, const char *key, const char *value)
{
    const char *v = fsr_nn_meta(net, key);

    return v && !strcmp(v, value);
}

static int takes_luma(const FsrNet *net)
{
    return meta_is(net, "input", "hr-luma") || meta_is(net, "input", "lr-luma");
}

int fsr_nn_plan_with(FsrPlan **plan, const FsrNet *net, int width, int height, int nb_workers, FsrPrecision precision,
                     FsrIsa isa, int tile_w, int tile_h, char *err, size_t err_size)
{
    const int     whole  = net->whole || tile_w == FSR_TILE_WHOLE;
    const FsrPlan wanted = { .net = net, .width = width, .height = height, .nb_workers = nb_workers,
                             .precision = precision, .isa = isa };
    int ret;

    *plan = NULL;
    if (!whole && precision == FSR_PRECISION_I8 && !fsr_quant_recorded(net) && fsr_nn_meta(net, "input") &&
        !takes_luma(net))
        return fsr_nn_fail(err, err_size, -ENOSYS, "the network's input is not luma, and its file does not say what "
                           "its values hold: record that (models/ranges.py), or choose another precision than i8");
    if (width < 1 || height < 1 || width > FSR_NN_MAX_SIZE || height > FSR_NN_MAX_SIZE)
        return fsr_nn_fail(err, err_size, -EINVAL, "picture size %dx%d is outside 1x1 to %dx%d",
                           width, height, FSR_NN_MAX_SIZE, FSR_NN_MAX_SIZE);
    if (nb_workers < 1)
        return fsr_nn_fail(err, err_size, -EINVAL, "a plan needs at least one worker");
    if (!(*plan = malloc(sizeof(**plan))))
        return explain(&wanted, -ENOMEM, err, err_size);
    **plan = wanted;
    ret = build(*plan, whole, tile_w, tile_h, err, err_size);
    fsr_free_all(&(*plan)->temp);
    if (ret < 0)
        fsr_nn_plan_free(plan);
    return ret;
}

int fsr_nn_plan_whole(FsrPlan **plan, const FsrNet *net, int width, int height, char *err, size_t err_size)
{
    return fsr_nn_plan_with(plan, net, width, height, 1, FSR_PRECISION_F32, fsr_nn_isa(), FSR_TILE_WHOLE, 0, err, err_size);
}

int fsr_nn_plan_as(FsrPlan **plan, const FsrNet *net, int width, int height, int nb_workers,
                   FsrPrecision precision, char *err, size_t err_size)
{
    FsrIsa isa = fsr_nn_isa();

    if (precision == FSR_PRECISION_AUTO)
        precision = (takes_luma(net) || fsr_quant_recorded(net)) && isa >= FSR_ISA_AVX2 ? FSR_PRECISION_I8 :
                                                                                          FSR_PRECISION_F32;
    /* eight bits do not hold a picture that passes through all layers */
    if (precision == FSR_PRECISION_BF16 && (isa < FSR_ISA_AVX512BF16 || meta_is(net, "output", "luma")))
        precision = FSR_PRECISION_F32;
    return fsr_nn_plan_with(plan, net, width, height, nb_workers, precision, isa, 0, 0, err, err_size);
}

int fsr_nn_plan(FsrPlan **plan, const FsrNet *net, int width, int height, int nb_workers, char *err, size_t err_size)
{
    return fsr_nn_plan_as(plan, net, width, height, nb_workers, FSR_PRECISION_F32, err, err_size);
}

void fsr_nn_plan_free(FsrPlan **plan)
{
    if (*plan)
        fsr_free_all(&(*plan)->memory);
    free(*plan);
    *plan = NULL;
}

void fsr_plan_size(const FsrPlan *p, int i, int *w, int *h)
{
    *w = p->whole ? p->whole->nodes[i].w : p->width * p->net->nodes[i].scale;
    *h = p->whole ? p->whole->nodes[i].h : p->height * p->net->nodes[i].scale;
}

const char *fsr_nn_output(const FsrPlan *p, int i, int *planes, int *w, int *h)
{
    *planes = p->net->nodes[p->net->outputs[i]].channels;
    fsr_plan_size(p, p->net->outputs[i], w, h);
    return p->net->output_names[i];
}

size_t fsr_nn_plan_bytes(const FsrPlan *plan)
{
    return sizeof(*plan) + plan->memory.bytes;
}
