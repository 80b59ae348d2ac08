/*
 * For test_nn_run.c: graphs in the test's own words, their ONNX files, their values by the definition
 * of each operator in double precision, and runs of them that are checked against those.
 */
#ifndef FASTSR_TESTS_NN_GRAPH_H
#define FASTSR_TESTS_NN_GRAPH_H

#include <math.h>
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
            if (t->wanted[j * t->stride + i]) {
                const int x0 = max(t->x + i * t->tile_w, 0), x1 = min(t->x + (i + 1) * t->tile_w, in->w);
                const int y0 = max(t->y + j * t->tile_h, 0), y1 = min(t->y + (j + 1) * t->tile_h, in->h);

                if (x0 < x1 && y0 < y1 && x >= (x0 - t->halo) * scale && x < (x1 + t->halo) * scale &&
                    y >= (y0 - t->halo) * scale && y < (y1 + t->halo) * scale)
                    return 1;
            }
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

#endif /* FASTSR_TESTS_NN_GRAPH_H */
