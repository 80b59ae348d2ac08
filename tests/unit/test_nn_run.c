/* nn: plans and runs, against direct evaluation in double precision. */
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "nn/plan.h"
#include "onnx_writer.h"

enum { MAX_OPS = 12, MAX_SIDE = 2000 };

/* A graph in the test's own words. */
typedef struct Op {
    FsrOp  op;
    int    in[2], channels, scale;
    int    kw, kh, pl, pt;          /* conv */
    float *w, *b;
    int    block, crd;              /* shuffle */
    int    reach;                   /* how far it looks into the input, its own samples */
} Op;

typedef struct Graph {
    Op  ops[MAX_OPS];
    int nb;
} Graph;

static uint32_t seed;

static uint32_t rnd(uint32_t n)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

static float rndf(void)
{
    return rnd(1 << 20) / (float)(1 << 19) - 1;
}

static int max(int a, int b)
{
    return a > b ? a : b;
}

static int min(int a, int b)
{
    return a < b ? a : b;
}

static Op *add_op(Graph *g, FsrOp op, int in, int in2)
{
    Op *o = &g->ops[g->nb++];

    memset(o, 0, sizeof(*o));
    o->op    = op;
    o->in[0] = in;
    o->in[1] = in2;
    if (op != FSR_OP_INPUT) {
        o->channels = g->ops[in].channels;
        o->scale    = g->ops[in].scale;
        o->reach    = max(g->ops[in].reach, in2 >= 0 ? g->ops[in2].reach : 0);
    }
    return o;
}

static int add_conv(Graph *g, int in, int channels, int kw, int kh, int pl, int pt)
{
    Op *o = add_op(g, FSR_OP_CONV, in, -1);
    int taps = g->ops[in].channels * kw * kh;

    o->channels = channels;
    o->kw = kw;
    o->kh = kh;
    o->pl = pl;
    o->pt = pt;
    o->reach += max(kw, kh);
    o->w = malloc(sizeof(float) * taps * channels);
    o->b = malloc(sizeof(float) * channels);
    for (int i = 0; i < taps * channels; i++)
        o->w[i] = rndf() * 1.7f / sqrtf(taps);
    for (int i = 0; i < channels; i++)
        o->b[i] = rndf() * 0.1f;
    return g->nb - 1;
}

static int add_input(Graph *g, int channels)
{
    Op *o = add_op(g, FSR_OP_INPUT, -1, -1);

    o->channels = channels;
    o->scale    = 1;
    return g->nb - 1;
}

static int add_shuffle(Graph *g, int in, int block, int crd)
{
    Op *o = add_op(g, FSR_OP_SHUFFLE, in, -1);

    o->channels /= block * block;
    o->scale    *= block;
    o->reach    *= block;
    o->block     = block;
    o->crd       = crd;
    return g->nb - 1;
}

static void free_graph(Graph *g)
{
    for (int i = 0; i < g->nb; i++) {
        free(g->ops[i].w);
        free(g->ops[i].b);
    }
    g->nb = 0;
}

static void (*add_metadata)(Buf *model);        /* NULL: none */

static FsrNet *load_graph(const Graph *g)
{
    Buf     b = { 0 }, m;
    FsrNet *net;
    char    err[256];

    ox_value(&b, 11, "v0", g->ops[0].channels);
    for (int i = 1; i < g->nb; i++) {
        const Op *o = &g->ops[i];
        char in[40], w[16], bias[16], out[16];

        snprintf(out, sizeof(out), "v%d", i);
        snprintf(in, sizeof(in), "v%d", o->in[0]);
        if (o->op == FSR_OP_CONV) {
            const int64_t dims[4] = { o->channels, g->ops[o->in[0]].channels, o->kh, o->kw };
            snprintf(w, sizeof(w), "w%d", i);
            snprintf(bias, sizeof(bias), "b%d", i);
            ox_init(&b, w, dims, 4, i & 1, o->w, dims[0] * dims[1] * dims[2] * dims[3]);
            ox_init(&b, bias, dims, 1, 1, o->b, dims[0]);
            snprintf(in, sizeof(in), "v%d %s %s", o->in[0], w, bias);
            ox_conv(&b, out, in, out, o->pt, o->pl, o->kh - 1 - o->pt, o->kw - 1 - o->pl);
        } else if (o->op == FSR_OP_SHUFFLE) {
            ox_shuffle(&b, out, in, out, o->block, o->crd ? "CRD" : "DCR");
        } else if (o->op == FSR_OP_RELU) {
            ox_node(&b, "Relu", out, in, out);
        } else {
            snprintf(in, sizeof(in), "v%d v%d", o->in[0], o->in[1]);
            if (o->op == FSR_OP_ADD)
                ox_node(&b, "Add", out, in, out);
            else
                ox_concat(&b, out, in, out);
        }
    }
    snprintf(err, sizeof(err), "v%d", g->nb - 1);
    ox_value(&b, 12, err, 1);
    m = ox_model(&b);
    if (add_metadata)
        add_metadata(&m);
    if (fsr_nn_load(&net, m.data, m.size, err, sizeof(err)) < 0)
        fail_msg("%s", err);
    buf_free(&m);
    return net;
}

static FsrPrecision precision;

/* Pictures: planes one after the other, width x height each. */
typedef struct Pic {
    int     planes, w, h;
    float  *data;
    uint8_t *hits;                  /* how often put delivered a sample */
    int     bad;                    /* requests outside the picture */
} Pic;

static Pic new_pic(int planes, int w, int h)
{
    Pic p = { planes, w, h, malloc(sizeof(float) * planes * w * h), calloc(planes * w, h), 0 };

    for (int i = 0; i < planes * w * h; i++)            /* integers are made for 0 to 1 */
        p.data[i] = precision == FSR_PRECISION_I8 ? fabsf(rndf()) : rndf();
    return p;
}

static void free_pic(Pic *p)
{
    free(p->data);
    free(p->hits);
}

/* Value of a node over [-reach, size + reach): each sample by the definition of its
 * operator. Samples near the edge of this range are wrong and reach nobody. */
typedef struct Plane {
    int     m, w, h;                /* margin, size with margins */
    double *v;
} Plane;

static double *at(const Plane *p, int c, int x, int y)
{
    static double nowhere;
    int i = x + p->m, j = y + p->m;

    nowhere = 0;
    if (i < 0 || j < 0 || i >= p->w || j >= p->h)
        return &nowhere;
    return &p->v[((size_t)c * p->h + j) * p->w + i];
}

static int clip(int v, int hi)
{
    return v < 0 ? 0 : v > hi ? hi : v;
}

static double eval_sample(const Graph *g, const Plane *pl, int i, const Pic *in, int c, int x, int y)
{
    const Op *o = &g->ops[i];
    double    sum;

    switch (o->op) {
    case FSR_OP_INPUT:
        return in->data[((size_t)c * in->h + clip(y, in->h - 1)) * in->w + clip(x, in->w - 1)];
    case FSR_OP_ADD:
        return *at(&pl[o->in[0]], c, x, y) + *at(&pl[o->in[1]], c, x, y);
    case FSR_OP_RELU:
        return fmax(*at(&pl[o->in[0]], c, x, y), 0);
    case FSR_OP_CONCAT:
        if (c < g->ops[o->in[0]].channels)
            return *at(&pl[o->in[0]], c, x, y);
        return *at(&pl[o->in[1]], c - g->ops[o->in[0]].channels, x, y);
    case FSR_OP_SHUFFLE: {
        int b = o->block, px = ((x % b) + b) % b, py = ((y % b) + b) % b;
        int k = o->crd ? c * b * b + py * b + px : (py * b + px) * o->channels + c;
        return *at(&pl[o->in[0]], k, (x - px) / b, (y - py) / b);
    }
    default:
        sum = o->b[c];
        for (int k = 0, n = g->ops[o->in[0]].channels; k < n; k++)
            for (int ky = 0; ky < o->kh; ky++)
                for (int kx = 0; kx < o->kw; kx++)
                    sum += *at(&pl[o->in[0]], k, x + kx - o->pl, y + ky - o->pt) *
                           o->w[((c * n + k) * o->kh + ky) * o->kw + kx];
        return sum;
    }
}

/* With a limited halo: is a sample of a value at `scale` so near the wanted part of the picture that it is computed? */
static const FsrNnTiles *limited;

static int is_near(const Pic *in, int scale, int x, int y)
{
    const FsrNnTiles *t = limited;

    for (int j = 0; t && j < t->rows; j++)
        for (int i = 0; i < t->cols; i++)
            if (t->wanted[j * t->stride + i] &&
                x >= (i * t->tile_w - t->halo) * scale && x < (min((i + 1) * t->tile_w, in->w) + t->halo) * scale &&
                y >= (j * t->tile_h - t->halo) * scale && y < (min((j + 1) * t->tile_h, in->h) + t->halo) * scale)
                return 1;
    return !t;
}

static Plane *evaluate(const Graph *g, const Pic *in)
{
    Plane *pl = calloc(g->nb, sizeof(*pl));
    int    reach = 0;

    for (int i = 0; i < g->nb; i++)
        reach = max(reach, g->ops[i].reach);
    for (int i = 0; i < g->nb; i++) {
        Plane *p = &pl[i];
        int    s = g->ops[i].scale;

        p->m = (reach + 2) * s;
        p->w = in->w * s + 2 * p->m;
        p->h = in->h * s + 2 * p->m;
        p->v = malloc(sizeof(double) * p->w * p->h * g->ops[i].channels);
        for (int c = 0; c < g->ops[i].channels; c++)
            for (int y = -p->m; y < p->h - p->m; y++)
                for (int x = -p->m; x < p->w - p->m; x++)
                    *at(p, c, x, y) = g->ops[i].op == FSR_OP_INPUT || is_near(in, s, x, y) ? eval_sample(g, pl, i, in, c, x, y) : 0;
    }
    return pl;
}

static void get(void *opaque, int plane, int x, int y, int w, int h, float *dst, ptrdiff_t stride)
{
    Pic *p = ((Pic **)opaque)[0];

    if (x < 0 || y < 0 || w < 1 || h < 1 || x + w > p->w || y + h > p->h || plane >= p->planes) {
        p->bad++;
        return;
    }
    for (int j = 0; j < h; j++)
        memcpy(dst + j * stride, p->data + ((size_t)plane * p->h + y + j) * p->w + x, w * 4);
}

static void put(void *opaque, int plane, int x, int y, int w, int h, const float *src,
                ptrdiff_t stride)
{
    Pic *p = ((Pic **)opaque)[1];

    if (x < 0 || y < 0 || w < 1 || h < 1 || x + w > p->w || y + h > p->h || plane >= p->planes) {
        p->bad++;
        return;
    }
    for (int j = 0; j < h; j++)
        for (int i = 0; i < w; i++) {
            size_t k = ((size_t)plane * p->h + y + j) * p->w + x + i;
            p->data[k] = src[j * stride + i];
            p->hits[k]++;
        }
}

/* What lies between the planes of two samples is not theirs. */
static void get_row(void *opaque, int plane, int planes, int x, int y, int w, float *dst, ptrdiff_t stride)
{
    float row[MAX_SIDE];

    assert_true(planes <= stride);
    for (int c = 0; c < planes; c++) {
        get(opaque, plane + c, x, y, w, 1, row, w);
        for (int i = 0; i < w; i++)
            dst[i * stride + c] = row[i];
    }
}

static void put_row(void *opaque, int plane, int planes, int x, int y, int w, const float *src, ptrdiff_t stride)
{
    for (int c = 0; c < planes; c++)
        for (int i = 0; i < w; i++)
            put(opaque, plane + c, x + i, y, 1, 1, src + i * stride + c, 1);
}

static FsrPlan *make_plan(const FsrNet *net, const Pic *in, int workers, FsrIsa isa, int tw, int th)
{
    FsrPlan *plan;
    char     err[256];

    if (fsr_nn_plan_with(&plan, net, in->w, in->h, workers, precision, isa, tw, th,
                         err, sizeof(err)) < 0)
        fail_msg("%s", err);
    return plan;
}

static Pic run(const FsrNet *net, Pic *in, FsrIsa isa, int tw, int th)
{
    FsrNetInfo info;
    FsrPlan   *plan = make_plan(net, in, 1, isa, tw, th);
    Pic        out, *io[2] = { in, &out };
    FsrNnIO    nnio = { .opaque = io, .get = get, .put = put };

    fsr_nn_info(net, &info);
    out = new_pic(info.out_planes, in->w * info.scale, in->h * info.scale);
    for (int j = fsr_nn_jobs(plan) - 1; j >= 0; j--)
        fsr_nn_run(plan, &nnio, j, 0);
    assert_int_equal(in->bad, 0);
    assert_int_equal(out.bad, 0);
    for (int i = 0; i < out.planes * out.w * out.h; i++)
        if (out.hits[i] != 1)
            fail_msg("sample %d delivered %d times", i, out.hits[i]);
    fsr_nn_plan_free(&plan);
    assert_null(plan);
    return out;
}

/* Any part of a picture, run alone and by rows of all planes: the samples of a whole run, no others,
 * and not more work than the rectangle around each wanted tile would take. */
static void check_part(const FsrNet *net, Pic *in, const Pic *whole, FsrIsa isa, int tw, int th)
{
    FsrNetInfo info;
    FsrPlan   *plan = make_plan(net, in, 1, isa, tw, th);
    uint8_t    wanted[64 * 64];
    FsrNnTiles t = { .x = -(int)rnd(9), .y = -(int)rnd(9), .tile_w = 1 + rnd(17),
                     .tile_h = 1 + rnd(17), .wanted = wanted, .stride = 64 };
    FsrNnTiles everything = { .tile_w = in->w, .tile_h = in->h, .cols = 1, .rows = 1 };
    Pic        out, *io[2] = { in, &out };
    FsrNnIO    nnio = { .opaque = io, .get_row = get_row, .put_row = put_row };
    int64_t    macs = 0, all = 0;
    int        share = 1 + rnd(20), s;

    fsr_nn_info(net, &info);
    s      = info.scale;
    t.cols = 1 + rnd(min(in->w / t.tile_w + 1, 64));
    t.rows = 1 + rnd(min(in->h / t.tile_h + 1, 64));
    for (int i = 0; i < 64 * 64; i++)
        wanted[i] = rnd(20) < (uint32_t)share;
    if (rnd(8) == 0) {                                  /* one rectangle */
        t.cols   = t.rows = 1;
        t.wanted = NULL;
    }
    out = new_pic(info.out_planes, whole->w, whole->h);
    for (int j = 0; j < fsr_nn_jobs(plan); j++)         /* what is in memory is no clean slate */
        all += fsr_nn_run_tiles(plan, &nnio, &everything, j, 0);
    memset(out.hits, 0, (size_t)out.planes * out.w * out.h);
    for (int j = fsr_nn_jobs(plan) - 1; j >= 0; j--)
        macs += fsr_nn_run_tiles(plan, &nnio, &t, j, 0);
    assert_true(macs <= all);
    for (int k = 0; k < out.planes * out.w * out.h; k++) {
        int x = k % out.w / s - t.x, y = k / out.w % out.h / s - t.y;
        int c = x < 0 ? -1 : x / t.tile_w, r = y < 0 ? -1 : y / t.tile_h;
        int want = c >= 0 && r >= 0 && c < t.cols && r < t.rows &&
                   (!t.wanted || wanted[r * 64 + c]);

        if (out.hits[k] != want)
            fail_msg("%s, seed %u: sample %d delivered %d times, wanted %d", fsr_nn_isa_name(isa),
                     seed, k, out.hits[k], want);
        if (want && memcmp(&out.data[k], &whole->data[k], 4))
            fail_msg("%s, seed %u: sample %d of a part is %.9g, not %.9g", fsr_nn_isa_name(isa),
                     seed, k, out.data[k], whole->data[k]);
    }
    assert_int_equal(in->bad + out.bad, 0);
    memset(wanted, 0, sizeof(wanted));
    for (int j = 0; t.wanted && j < fsr_nn_jobs(plan); j++)
        assert_int_equal(fsr_nn_run_tiles(plan, &nnio, &t, j, 0), 0);
    free_pic(&out);
    fsr_nn_plan_free(&plan);
}

static void same_bits(const Pic *a, const Pic *b, const char *what)
{
    size_t n = (size_t)a->planes * a->w * a->h;

    for (size_t i = 0; i < n; i++)
        if (memcmp(&a->data[i], &b->data[i], 4))
            fail_msg("%s: sample %zu is %.9g, not %.9g", what, i, b->data[i], a->data[i]);
}

/* Single samples of a float run; the mean of a bfloat16 run, 2 % of the mean value: the
 * shape of the networks here makes each layer add about 0.3 %; 5 % with integers. */
static void near_reference(const Graph *g, const Plane *ref, const Pic *out, FsrIsa isa)
{
    const Plane *p = &ref[g->nb - 1];
    double error = 0, size = 0;

    for (int c = 0; c < out->planes; c++)
        for (int y = 0; y < out->h; y++)
            for (int x = 0; x < out->w; x++) {
                double want = *at(p, c, x, y);
                float  have = out->data[((size_t)c * out->h + y) * out->w + x];
                error += fabs(want - have);
                size  += fabs(want);
                if (precision == FSR_PRECISION_F32 && !(fabs(want - have) <= 2e-5 * (1 + fabs(want))))
                    fail_msg("%s, %dx%d, seed %u: plane %d at %d %d is %.9g, should be %.9g",
                             fsr_nn_isa_name(isa), out->w, out->h, seed, c, x, y, have, want);
            }
    if (!(error <= (precision == FSR_PRECISION_I8 ? 0.05 : 0.02) * size + 1e-4 * out->w * out->h * out->planes))
        fail_msg("%s, %dx%d, seed %u: mean error %g of %g", fsr_nn_isa_name(isa), out->w, out->h,
                 seed, error, size);
}

/* One graph and picture on every instruction set, several tile grids. */
static void check(const Graph *g, int w, int h)
{
    FsrNet *net = load_graph(g);
    Pic     in  = new_pic(g->ops[0].channels, w, h);
    Plane  *ref = evaluate(g, &in);

    for (int isa = 0; isa < FSR_ISA_NB; isa++) {
        Pic whole, tiled;

        if (!fsr_nn_isa_available(isa))
            continue;
        whole = run(net, &in, isa, 0, 0);
        near_reference(g, ref, &whole, isa);
        for (int k = 0; k < 3; k++) {
            int tw = 1 + rnd(w), th = 1 + rnd(h);

            tiled = run(net, &in, isa, tw, th);
            check_part(net, &in, &tiled, isa, tw, th);
            if (isa != FSR_ISA_BLAS)        /* there the grid is part of the result */
                same_bits(&whole, &tiled, fsr_nn_isa_name(isa));
            near_reference(g, ref, &tiled, isa);
            free_pic(&tiled);
        }
        free_pic(&whole);
    }
    for (int i = 0; i < g->nb; i++)
        free(ref[i].v);
    free(ref);
    free_pic(&in);
    fsr_nn_free(&net);
}

/* 3x3 sum over a 2x2 picture with replicated border, worked out by hand:
 * 1 2      rows 1 1 2 2 / 1 1 2 2 / 3 3 4 4 / 3 3 4 4
 * 3 4  ->  18 21 / 24 27 */
static void by_hand(void **state)
{
    static const float want[4] = { 18, 21, 24, 27 };
    Graph g = { .nb = 0 };
    Pic   in, out;
    FsrNet *net;

    (void)state;
    add_input(&g, 1);
    add_conv(&g, 0, 1, 3, 3, 1, 1);
    for (int i = 0; i < 9; i++)
        g.ops[1].w[i] = 1;
    g.ops[1].b[0] = 0;
    net = load_graph(&g);
    in  = new_pic(1, 2, 2);
    for (int i = 0; i < 4; i++)
        in.data[i] = i + 1;
    for (int isa = 0; isa < FSR_ISA_NB; isa++) {
        if (!fsr_nn_isa_available(isa))
            continue;
        out = run(net, &in, isa, 0, 0);
        for (int i = 0; i < 4; i++)
            assert_true(out.data[i] == want[i]);
        free_pic(&out);
    }
    free_pic(&in);
    fsr_nn_free(&net);
    free_graph(&g);
}

/* Eight planes of one sample, value = plane number: the order of the 2x2 result says the mode. */
static void shuffle_by_hand(void **state)
{
    static const float dcr[8] = { 0, 2, 4, 6, 1, 3, 5, 7 }, crd[8] = { 0, 1, 2, 3, 4, 5, 6, 7 };

    (void)state;
    for (int mode = 0; mode < 2; mode++) {
        Graph g = { .nb = 0 };
        FsrNet *net;
        Pic in, out;

        add_input(&g, 8);
        add_shuffle(&g, 0, 2, mode);
        net = load_graph(&g);
        in  = new_pic(8, 1, 1);
        for (int i = 0; i < 8; i++)
            in.data[i] = i;
        out = run(net, &in, FSR_ISA_C, 0, 0);
        assert_memory_equal(out.data, mode ? crd : dcr, sizeof(dcr));
        free_pic(&in);
        free_pic(&out);
        fsr_nn_free(&net);
    }
}

static void shapes(void **state)
{
    static const struct { int cin, cout, kw, kh; } s[] = {
        { 1, 64, 9, 9 }, { 64, 32, 1, 1 }, { 32, 1, 5, 5 }, { 1, 16, 5, 5 }, { 16, 16, 3, 3 },
        { 32, 32, 3, 3 }, { 16, 4, 5, 5 }, { 16, 12, 3, 3 }, { 8, 8, 3, 3 }, { 3, 24, 3, 5 },
        { 48, 9, 3, 1 }, { 12, 7, 2, 4 }, { 64, 2, 3, 3 }, { 5, 1, 7, 3 }, { 2, 3, 1, 9 },
        { 20, 40, 3, 3 }, { 128, 80, 1, 1 }, { 16, 1, 31, 31 },
    };

    (void)state;
    seed = 5;
    for (size_t i = 0; i < sizeof(s) / sizeof(*s); i++) {
        Graph g = { .nb = 0 };

        add_input(&g, s[i].cin);
        add_conv(&g, 0, s[i].cout, s[i].kw, s[i].kh, s[i].kw / 2, s[i].kh / 2);
        check(&g, 1 + rnd(70), 1 + rnd(6));
        free_graph(&g);
    }
}

/* Every width from 1 to 67: all ways in which a kernel can end a row. */
static void widths(void **state)
{
    (void)state;
    seed = 6;
    for (int w = 1; w <= 67; w++) {
        Graph g = { .nb = 0 };

        add_input(&g, 1);
        add_conv(&g, 0, 16, 5, 5, 2, 2);
        add_op(&g, FSR_OP_RELU, 1, -1);
        add_conv(&g, 2, 32, 3, 3, 1, 1);
        add_conv(&g, 3, 1 + w % 3, 3, 3, 1, 1);
        check(&g, w, 3);
        free_graph(&g);
    }
}

static void grow(Graph *g)
{
    int a = rnd(g->nb), k;
    const Op *o = &g->ops[a];

    switch (rnd(6)) {
    case 0:
        add_op(g, FSR_OP_RELU, a, -1);
        break;
    case 1:                                             /* Add: any two of one shape */
        for (k = 0; k < g->nb; k++)
            if (k != a && g->ops[k].channels == o->channels && g->ops[k].scale == o->scale) {
                add_op(g, FSR_OP_ADD, a, k);
                return;
            }
        break;
    case 2:
        for (k = g->nb - 1; k >= 0; k--)
            if (k != a && g->ops[k].scale == o->scale && g->ops[k].channels + o->channels < 70) {
                add_op(g, FSR_OP_CONCAT, a, k)->channels += g->ops[k].channels;
                return;
            }
        break;
    case 3:
        for (k = 2; k <= 3; k++)
            if (o->channels % (k * k) == 0 && o->scale * k <= 4) {
                add_shuffle(g, a, k, rnd(2));
                return;
            }
        break;
    default: {
        static const int channels[] = { 1, 2, 4, 8, 9, 12, 16, 32 };
        int kw = 1 + rnd(5), kh = 1 + rnd(5);
        add_conv(g, a, channels[rnd(8)], kw, kh, rnd(kw), rnd(kh));
    }
    }
}

static void random_graphs(void **state)
{
    (void)state;
    for (int n = 0; n < 60; n++) {
        Graph g = { .nb = 0 };

        seed = n * 77 + 1;
        add_input(&g, 1 + rnd(3));
        while (g.nb < MAX_OPS - 1)
            grow(&g);
        add_conv(&g, g.nb - 1, 1 + rnd(3), 3, 3, 1, 1);
        check(&g, 1 + rnd(n % 3 ? 40 : 6), 1 + rnd(n % 5 ? 20 : 3));
        free_graph(&g);
    }
}

static void srcnn(Graph *g)
{
    g->nb = 0;
    add_input(g, 1);
    add_conv(g, 0, 64, 9, 9, 4, 4);
    add_op(g, FSR_OP_RELU, 1, -1);
    add_conv(g, 2, 32, 1, 1, 0, 0);
    add_op(g, FSR_OP_RELU, 3, -1);
    add_conv(g, 4, 1, 5, 5, 2, 2);
}

/* The same graphs with bfloat16 between the layers: close, and independent of tiles. */
static void random_graphs_bf16(void **state)
{
    precision = FSR_PRECISION_BF16;
    random_graphs(state);
    precision = FSR_PRECISION_F32;
}

/* And with integers; what is not one of their kernels stays float and may differ in the last
 * bits between sets. */
static void random_graphs_i8(void **state)
{
    precision = FSR_PRECISION_I8;
    random_graphs(state);
    widths(state);
    precision = FSR_PRECISION_F32;
}

/* A network of convolutions and sums alone: the same bits with every set. */
static void i8_same_bits_everywhere(void **state)
{
    Graph   g = { .nb = 0 };
    FsrNet *net;
    Pic     in, want, have;

    (void)state;
    seed = 9;
    add_input(&g, 1);
    add_conv(&g, 0, 16, 5, 5, 2, 2);
    add_op(&g, FSR_OP_RELU, 1, -1);
    add_conv(&g, 2, 16, 3, 3, 1, 1);
    add_op(&g, FSR_OP_ADD, 2, 3);
    add_conv(&g, 4, 36, 3, 3, 1, 1);
    add_op(&g, FSR_OP_RELU, 5, -1);
    add_conv(&g, 6, 4, 3, 3, 1, 1);
    add_shuffle(&g, 7, 2, 1);
    net = load_graph(&g);
    in  = new_pic(1, 131, 40);
    precision = FSR_PRECISION_I8;
    want = run(net, &in, FSR_ISA_C, 0, 0);
    for (int isa = 1; isa < FSR_ISA_NB; isa++) {
        if (!fsr_nn_isa_available(isa))
            continue;
        have = run(net, &in, isa, 0, 0);
        same_bits(&want, &have, fsr_nn_isa_name(isa));
        free_pic(&have);
    }
    precision = FSR_PRECISION_F32;
    free_pic(&want);
    free_pic(&in);
    fsr_nn_free(&net);
    free_graph(&g);
}

/* ---- ranges in the file ---- */

static const Plane *seen[MAX_OPS];      /* value of node v1, ... whose range is written; NULL: no range */
static int          damaged;

static void write_ranges(Buf *model)
{
    for (int i = 0; i < MAX_OPS; i++) {
        char text[4096], key[32];
        Buf  meta = { 0 };
        int  len = 0;

        if (!seen[i])
            continue;
        for (int c = 0; c < 16 - damaged; c++) {
            double low = INFINITY, high = -INFINITY, sum = 0;
            int    n = 0;

            for (int y = 0; y < seen[i]->h - 2 * seen[i]->m; y++)
                for (int x = 0; x < seen[i]->w - 2 * seen[i]->m; x++, n++) {
                    const double v = *at(seen[i], c, x, y);
                    low  = fmin(low, v);
                    high = fmax(high, v);
                    sum += v;
                }
            len += snprintf(text + len, sizeof(text) - len, "%g %g %g ", low, high, sum / n);
        }
        snprintf(key, sizeof(key), "range v%d", i);
        pb_str(&meta, 1, key);
        pb_str(&meta, 2, text);
        pb_sub(model, 14, &meta);
    }
}

/* The shape of fill=fuse's network, whose input is anything: what the file says of its values is
 * taken, and what it says nothing of, input and output, stays float. */
static void i8_recorded_ranges(void **state)
{
    Graph    g = { .nb = 0 };
    FsrNet  *net;
    FsrPlan *plan;
    Pic      in = new_pic(16, 61, 40);
    Plane   *ref;
    char     err[256];

    (void)state;
    seed = 12;
    add_input(&g, 16);
    add_conv(&g, 0, 16, 3, 3, 1, 1);
    add_op(&g, FSR_OP_RELU, 1, -1);
    add_conv(&g, 2, 16, 3, 3, 1, 1);
    add_op(&g, FSR_OP_RELU, 3, -1);
    add_op(&g, FSR_OP_ADD, 2, 4);
    add_conv(&g, 5, 11, 3, 3, 1, 1);
    add_conv(&g, 0, 11, 1, 1, 0, 0);
    add_op(&g, FSR_OP_ADD, 6, 7);
    for (int i = 0; i < in.planes * in.w * in.h; i++)
        in.data[i] *= 4;
    ref = evaluate(&g, &in);
    seen[1] = &ref[2];
    seen[3] = &ref[4];
    seen[5] = &ref[5];
    add_metadata = write_ranges;
    net = load_graph(&g);
    assert_int_equal(fsr_nn_plan_as(&plan, net, 61, 40, 1, FSR_PRECISION_AUTO, err, sizeof(err)), 0);
    assert_int_equal(plan->precision, fsr_nn_isa() >= FSR_ISA_AVX2 ? FSR_PRECISION_I8 : FSR_PRECISION_F32);
    fsr_nn_plan_free(&plan);
    precision = FSR_PRECISION_I8;
    for (int isa = 0; isa < FSR_ISA_NB; isa++) {
        Pic whole, tiled;

        if (!fsr_nn_isa_available(isa))
            continue;
        whole = run(net, &in, isa, 0, 0);
        tiled = run(net, &in, isa, 23, 9);
        near_reference(&g, ref, &whole, isa);
        check_part(net, &in, &tiled, isa, 23, 9);
        if (isa != FSR_ISA_BLAS)
            same_bits(&whole, &tiled, fsr_nn_isa_name(isa));
        free_pic(&whole);
        free_pic(&tiled);
    }
    fsr_nn_free(&net);
    memset(g.ops[6].w, 0, sizeof(float) * 11 * 16 * 9);         /* what is left is float, to the bit */
    net = load_graph(&g);
    for (int isa = 0; isa < FSR_ISA_NB; isa++) {
        Pic want, have;

        if (!fsr_nn_isa_available(isa))
            continue;
        precision = FSR_PRECISION_F32;
        want = run(net, &in, isa, 0, 0);
        precision = FSR_PRECISION_I8;
        have = run(net, &in, isa, 0, 0);
        same_bits(&want, &have, fsr_nn_isa_name(isa));
        free_pic(&want);
        free_pic(&have);
    }
    precision = FSR_PRECISION_F32;
    fsr_nn_free(&net);
    damaged = 1;
    net = load_graph(&g);
    damaged = 0;
    assert_int_equal(fsr_nn_plan_as(&plan, net, 61, 40, 1, FSR_PRECISION_I8, err, sizeof(err)), -EINVAL);
    assert_non_null(strstr(err, "range"));
    assert_int_equal(fsr_nn_plan(&plan, net, 61, 40, 1, err, sizeof(err)), 0);
    fsr_nn_plan_free(&plan);
    fsr_nn_free(&net);
    add_metadata = NULL;
    for (int i = 0; i < g.nb; i++)
        free(ref[i].v);
    free(ref);
    free_pic(&in);
    free_graph(&g);
}

typedef struct Thread {
    pthread_t   id;
    FsrPlan    *plan;
    FsrNnIO    *io;
    int         worker, nb_workers;
    int64_t     macs;
} Thread;

static void *work(void *arg)
{
    Thread *t = arg;

    for (int j = t->worker; j < fsr_nn_jobs(t->plan); j += t->nb_workers)
        t->macs += fsr_nn_run(t->plan, t->io, j, t->worker);
    return NULL;
}

/* The same bits and the same work for any number of threads. */
static void workers(void **state)
{
    Graph   g;
    FsrNet *net;
    Pic     in, out[4];
    int64_t macs[4];

    (void)state;
    seed = 3;
    srcnn(&g);
    net = load_graph(&g);
    in  = new_pic(1, 333, 157);
    for (int isa = FSR_ISA_BLAS; isa < FSR_ISA_NB; isa++) {
        if (!fsr_nn_isa_available(isa))
            continue;
        for (int n = 0; n < 4; n++) {
            FsrPlan *plan = make_plan(net, &in, n + 1, isa, 100, 50);
            Pic     *pics[2] = { &in, &out[n] };
            FsrNnIO  io = { .opaque = pics, .get = get, .put = put };
            Thread   t[4];

            out[n]  = new_pic(1, in.w, in.h);
            macs[n] = 0;
            for (int k = 0; k <= n; k++) {
                t[k] = (Thread){ .plan = plan, .io = &io, .worker = k, .nb_workers = n + 1 };
                assert_int_equal(pthread_create(&t[k].id, NULL, work, &t[k]), 0);
            }
            for (int k = 0; k <= n; k++) {
                pthread_join(t[k].id, NULL);
                macs[n] += t[k].macs;
            }
            assert_true(macs[n] == macs[0]);
            same_bits(&out[0], &out[n], fsr_nn_isa_name(isa));
            fsr_nn_plan_free(&plan);
        }
        for (int n = 0; n < 4; n++)
            free_pic(&out[n]);
    }
    free_pic(&in);
    fsr_nn_free(&net);
    free_graph(&g);
}

/* One tile of SRCNN: the first two layers reach 2 samples further on each side. */
static void counts_work(void **state)
{
    const int64_t w = 40, h = 30, inner = (w + 4) * (h + 4);
    Graph      g;
    FsrNet    *net;
    FsrNetInfo info;
    FsrPlan   *plan;
    Pic        in, out, *pics[2] = { &in, &out };
    FsrNnIO    io = { .opaque = pics, .get = get, .put = put };
    int        x, y, tw, th, covered = 0;

    (void)state;
    srcnn(&g);
    net = load_graph(&g);
    fsr_nn_info(net, &info);
    assert_true(info.macs == 81 * 64 + 64 * 32 + 25 * 32);
    assert_int_equal(info.halo, 6);
    in   = new_pic(1, w, h);
    out  = new_pic(1, w, h);
    plan = make_plan(net, &in, 1, fsr_nn_isa(), 0, 0);
    assert_int_equal(fsr_nn_jobs(plan), 1);
    assert_int_equal(fsr_nn_run(plan, &io, 0, 0), inner * (81 * 64 + 64 * 32) + w * h * 25 * 32);
    assert_true(fsr_nn_plan_bytes(plan) > inner);
    fsr_nn_plan_free(&plan);
    plan = make_plan(net, &in, 1, FSR_ISA_C, 11, 7);
    for (int j = 0; j < fsr_nn_jobs(plan); j++) {
        fsr_nn_job_rect(plan, j, &x, &y, &tw, &th);
        assert_true(x >= 0 && y >= 0 && tw > 0 && th > 0 && x + tw <= w && y + th <= h);
        covered += tw * th;
    }
    assert_int_equal(covered, w * h);
    fsr_nn_plan_free(&plan);
    free_pic(&in);
    free_pic(&out);
    fsr_nn_free(&net);
    free_graph(&g);
}

/* What is two samples outside of the picture but made of one around it is the border's, once more. */
static void copies_what_repeats(void **state)
{
    const int  w = 20, h = 10;
    Graph      g = { .nb = 0 };
    FsrNet    *net;
    FsrPlan   *plan;
    Pic        in = new_pic(1, w, h), out = new_pic(1, w, h), *pics[2] = { &in, &out };
    FsrNnIO    io = { .opaque = pics, .get = get, .put = put };

    (void)state;
    add_input(&g, 1);
    add_conv(&g, 0, 4, 3, 3, 1, 1);
    add_conv(&g, 1, 4, 3, 3, 1, 1);
    add_conv(&g, 2, 1, 3, 3, 1, 1);
    net  = load_graph(&g);
    plan = make_plan(net, &in, 1, FSR_ISA_C, 0, 0);
    assert_int_equal(fsr_nn_run(plan, &io, 0, 0), (w + 2) * (h + 2) * 9 * (4 + 16) + w * h * 9 * 4);
    fsr_nn_plan_free(&plan);
    free_pic(&in);
    free_pic(&out);
    fsr_nn_free(&net);
    free_graph(&g);
}

/* One tile of 16x16 in the middle: each layer's samples under it and its halo, no more; two
 * neighbours share theirs. */
static void pays_for_parts_only(void **state)
{
    const uint8_t two[2] = { 1, 1 };
    FsrNnTiles t = { .x = 24, .y = 24, .tile_w = 16, .tile_h = 16, .cols = 1, .rows = 1 };
    const int64_t inner = 81 * 64 + 64 * 32, last = 25 * 32;
    Graph      g;
    FsrNet    *net;
    FsrPlan   *plan;
    Pic        in = new_pic(1, 200, 60), out = new_pic(1, 200, 60), *pics[2] = { &in, &out };
    FsrNnIO    io = { .opaque = pics, .get = get, .put = put };

    (void)state;
    srcnn(&g);
    net  = load_graph(&g);
    plan = make_plan(net, &in, 1, FSR_ISA_C, 0, 0);
    assert_int_equal(fsr_nn_run_tiles(plan, &io, &t, 0, 0), 20 * 20 * inner + 16 * 16 * last);
    t.wanted = two;
    t.cols   = 2;
    assert_int_equal(fsr_nn_run_tiles(plan, &io, &t, 0, 0), 36 * 20 * inner + 32 * 16 * last);
    fsr_nn_plan_free(&plan);
    free_pic(&in);
    free_pic(&out);
    fsr_nn_free(&net);
    free_graph(&g);
}

/* A limited halo: values further from wanted tiles are 0, and it makes no difference how the picture is cut for threads. */
static void limited_halo(void **state)
{
    (void)state;
    for (uint32_t trial = 1; trial < 30; trial++) {
        uint8_t    wanted[16 * 16];
        Graph      g = { .nb = 0 };
        FsrNet    *net;
        FsrNnTiles t = { .wanted = wanted, .stride = 16, .halo = 1 + trial % 3 };
        Pic        in;
        Plane     *ref;
        int        a, b;

        seed     = trial;
        t.tile_w = 5 + rnd(14);
        t.tile_h = 5 + rnd(14);

        add_input(&g, 1 + rnd(5));
        a = add_conv(&g, 0, 16, 3, 3, 1, 1);
        add_op(&g, FSR_OP_RELU, a, -1);
        b = add_conv(&g, g.nb - 1, 16, 3, 3, 1, 1);
        add_op(&g, FSR_OP_RELU, b, -1);
        add_op(&g, FSR_OP_ADD, a + 1, b + 1);
        add_conv(&g, g.nb - 1, 8, 5, 3, 2, 1);
        if (trial & 1)
            add_shuffle(&g, g.nb - 1, 2, 1);
        net    = load_graph(&g);
        in     = new_pic(g.ops[0].channels, 30 + rnd(60), 30 + rnd(40));
        t.cols = min((in.w + t.tile_w - 1) / t.tile_w, 16);
        t.rows = min((in.h + t.tile_h - 1) / t.tile_h, 16);
        for (int i = 0; i < 16 * 16; i++)
            wanted[i] = rnd(3) == 0;
        limited = &t;
        ref     = evaluate(&g, &in);
        limited = NULL;
        for (int isa = 0; isa < FSR_ISA_NB; isa++)
            for (int cut = 0; cut < 3 && fsr_nn_isa_available(isa); cut++) {
                FsrPlan *plan = make_plan(net, &in, 1, isa, cut == 2 ? 11 : 0, cut ? 1 + rnd(in.h) : 0);
                Plane   *p = &ref[g.nb - 1];
                Pic      out = new_pic(g.ops[g.nb - 1].channels, in.w * g.ops[g.nb - 1].scale, in.h * g.ops[g.nb - 1].scale);
                Pic     *io[2] = { &in, &out };
                FsrNnIO  nnio = { .opaque = io, .get_row = get_row, .put_row = put_row };

                for (int j = 0; j < fsr_nn_jobs(plan); j++)     /* what is in memory is no clean slate */
                    fsr_nn_run(plan, &nnio, j, 0);
                memset(out.hits, 0, (size_t)out.planes * out.w * out.h);
                for (int j = 0; j < fsr_nn_jobs(plan); j++)
                    fsr_nn_run_tiles(plan, &nnio, &t, j, 0);
                for (int k = 0; k < out.planes * out.w * out.h; k++) {
                    const double want = *at(p, k / (out.w * out.h), k % out.w, k / out.w % out.h);

                    if (out.hits[k] && !(fabs(out.data[k] - want) <= 2e-5 * (1 + fabs(want))))
                        fail_msg("%s, trial %u, cut %d: sample %d is %.9g, should be %.9g", fsr_nn_isa_name(isa), trial, cut, k,
                                 out.data[k], want);
                }
                assert_int_equal(in.bad + out.bad, 0);
                free_pic(&out);
                fsr_nn_plan_free(&plan);
            }
        for (int i = 0; i < g.nb; i++)
            free(ref[i].v);
        free(ref);
        free_pic(&in);
        fsr_nn_free(&net);
        free_graph(&g);
    }
}

static void refuses_sizes(void **state)
{
    static const int bad[][3] = { { 0, 5, 1 }, { 5, 0, 1 }, { -3, 5, 1 }, { 40000, 5, 1 }, { 5, 5, 0 } };
    Graph    g = { .nb = 0 };
    FsrNet  *net;
    FsrPlan *plan;
    char     err[256];

    (void)state;
    add_input(&g, 1);
    add_conv(&g, 0, 1, 3, 3, 1, 1);
    net = load_graph(&g);
    for (int i = 0; i < 5; i++) {
        err[0] = 0;
        assert_int_equal(fsr_nn_plan(&plan, net, bad[i][0], bad[i][1], bad[i][2], err,
                                     sizeof(err)), -EINVAL);
        assert_null(plan);
        assert_true(err[0]);
    }
    fsr_nn_plan_free(&plan);
    fsr_nn_free(&net);
    free_graph(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_hand),
        cmocka_unit_test(shuffle_by_hand),
        cmocka_unit_test(shapes),
        cmocka_unit_test(widths),
        cmocka_unit_test(random_graphs),
        cmocka_unit_test(random_graphs_bf16),
        cmocka_unit_test(random_graphs_i8),
        cmocka_unit_test(i8_same_bits_everywhere),
        cmocka_unit_test(i8_recorded_ranges),
        cmocka_unit_test(workers),
        cmocka_unit_test(counts_work),
        cmocka_unit_test(copies_what_repeats),
        cmocka_unit_test(pays_for_parts_only),
        cmocka_unit_test(limited_halo),
        cmocka_unit_test(refuses_sizes),
    };
    return cmocka_run_group_tests_name("nn_run", tests, NULL, NULL);
}
