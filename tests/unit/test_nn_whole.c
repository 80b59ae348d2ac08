/* nn: networks run whole, random graphs against direct evaluation in double precision. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "nn/whole.h"
#include "onnx_writer.h"

enum { MAX_OPS = 16, MAX_SIDE = 64 };

typedef enum Kind { INPUT, CONV, RELU, RELU6, ADD, CONCAT, NEAREST, NB_KINDS } Kind;

/* An operator, its attributes and its value by the definition. */
typedef struct Op {
    Kind    kind;
    int     in[2], channels, w, h;
    int     kw, kh, sx, sy, groups;
    int     pads[4];                /* top, left, bottom, right */
    float  *weights, *bias;
    double *v;
} Op;

typedef struct Graph {
    Op  ops[MAX_OPS];
    int nb;
} Graph;

static uint32_t seed, run;      /* run: seed of the graph */

static uint32_t rnd(uint32_t n)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

static float rndf(void)
{
    return rnd(1 << 20) / (float)(1 << 19) - 1;
}

static double *at(const Op *o, int c, int x, int y)
{
    return &o->v[((size_t)c * o->h + y) * o->w + x];
}

/* ---- definition ------------------------------------------------------------------- */

static double conv_sample(const Op *o, const Op *in, int c, int x, int y)
{
    const int per = in->channels / o->groups, first = c / (o->channels / o->groups) * per;
    double sum = o->bias[c];

    for (int i = 0; i < per; i++)
        for (int ky = 0; ky < o->kh; ky++)
            for (int kx = 0; kx < o->kw; kx++) {
                const int sx = x * o->sx + kx - o->pads[1], sy = y * o->sy + ky - o->pads[0];
                if (sx >= 0 && sy >= 0 && sx < in->w && sy < in->h)
                    sum += *at(in, first + i, sx, sy) *
                           o->weights[((c * per + i) * o->kh + ky) * o->kw + kx];
            }
    return sum;
}

static double sample(const Graph *g, const Op *o, int c, int x, int y)
{
    const Op *a = &g->ops[o->in[0]], *b = &g->ops[o->in[1]];

    switch (o->kind) {
    case CONV:    return conv_sample(o, a, c, x, y);
    case RELU:    return fmax(*at(a, c, x, y), 0);
    case RELU6:   return fmin(fmax(*at(a, c, x, y), 0), 0.75);
    case ADD:     return *at(a, c, x, y) + *at(b, c, x, y);
    case CONCAT:  return c < a->channels ? *at(a, c, x, y) : *at(b, c - a->channels, x, y);
    case NEAREST: return *at(a, c, x / 2, y / 2);
    default:      return rndf();
    }
}

static void evaluate(Graph *g)
{
    for (int i = 0; i < g->nb; i++) {
        Op *o = &g->ops[i];

        o->v = malloc(sizeof(double) * o->channels * o->w * o->h);
        for (int c = 0; c < o->channels; c++)
            for (int y = 0; y < o->h; y++)
                for (int x = 0; x < o->w; x++)
                    *at(o, c, x, y) = sample(g, o, c, x, y);
    }
}

/* ---- random graphs ---------------------------------------------------------------- */

static int make_conv(Op *o, const Op *in)
{
    const int depthwise = rnd(2);
    size_t n;

    o->groups = depthwise ? in->channels : in->channels % 2 == 0 && rnd(3) == 0 ? 2 : 1;
    o->channels = depthwise ? in->channels : (1 + (int)rnd(24)) * o->groups;
    o->kw = 1 + rnd(5);
    o->kh = rnd(2) ? o->kw : 1 + (int)rnd(5);
    o->sx = 1 + rnd(3);
    o->sy = rnd(2) ? o->sx : 1 + (int)rnd(3);
    for (int i = 0; i < 4; i++)
        o->pads[i] = rnd(i & 1 ? o->kw : o->kh);
    if (in->w + o->pads[1] + o->pads[3] < o->kw || in->h + o->pads[0] + o->pads[2] < o->kh)
        return 0;
    o->w = (in->w + o->pads[1] + o->pads[3] - o->kw) / o->sx + 1;
    o->h = (in->h + o->pads[0] + o->pads[2] - o->kh) / o->sy + 1;
    n = (size_t)in->channels / o->groups * o->kw * o->kh;
    o->weights = malloc(sizeof(float) * n * o->channels);
    o->bias    = malloc(sizeof(float) * o->channels);
    for (size_t i = 0; i < n * o->channels; i++)
        o->weights[i] = rndf() * 1.7f / sqrtf(n);
    for (int i = 0; i < o->channels; i++)
        o->bias[i] = rndf() * 0.1f;
    return 1;
}

/* Adds an operator behind one that is there, or nothing where it does not fit. */
static void add_random(Graph *g)
{
    Op o = { .kind = 1 + rnd(NB_KINDS - 1) }, *a;

    o.in[0]    = rnd(3) ? g->nb - 1 : (int)rnd(g->nb);
    o.in[1]    = rnd(g->nb);
    a          = &g->ops[o.in[0]];
    o.channels = a->channels;
    o.w        = a->w;
    o.h        = a->h;
    if ((o.kind == ADD && (a->channels != g->ops[o.in[1]].channels)) ||
        ((o.kind == ADD || o.kind == CONCAT) && (a->w != g->ops[o.in[1]].w || a->h != g->ops[o.in[1]].h)))
        return;
    if (o.kind == CONV && !make_conv(&o, a))
        return;
    if (o.kind == CONCAT)
        o.channels += g->ops[o.in[1]].channels;
    if (o.kind == NEAREST) {
        o.w *= 2;
        o.h *= 2;
    }
    if (o.w > MAX_SIDE || o.h > MAX_SIDE || o.channels > 100)
        return;
    g->ops[g->nb++] = o;
}

static void write_op(Buf *b, const Graph *g, int i)
{
    static const char *const names[NB_KINDS] = { "", "Conv", "Relu", "Clip", "Add", "Concat", "Upsample" };
    const Op *o = &g->ops[i];
    char in[64], out[16], w[16], bias[16];
    Buf  n = { 0 };

    snprintf(out, sizeof(out), "v%d", i);
    snprintf(w, sizeof(w), "w%d", i);
    snprintf(bias, sizeof(bias), "b%d", i);
    snprintf(in, sizeof(in), "v%d", o->in[0]);
    if (o->kind == ADD || o->kind == CONCAT)
        snprintf(in, sizeof(in), "v%d v%d", o->in[0], o->in[1]);
    else if (o->kind == CONV)
        snprintf(in, sizeof(in), "v%d %s %s", o->in[0], w, bias);
    else if (o->kind == RELU6 || o->kind == NEAREST)
        snprintf(in, sizeof(in), o->kind == RELU6 ? "v%d lo hi" : "v%d scales", o->in[0]);
    ox_begin(&n, names[o->kind], out, in, out);
    if (o->kind == CONV) {
        const int64_t dims[4] = { o->channels, g->ops[o->in[0]].channels / o->groups, o->kh, o->kw };
        const int64_t strides[2] = { o->sy, o->sx };
        const int64_t pads[4] = { o->pads[0], o->pads[1], o->pads[2], o->pads[3] };

        ox_init(b, w, dims, 4, 1, o->weights, dims[0] * dims[1] * dims[2] * dims[3]);
        ox_init(b, bias, dims, 1, 1, o->bias, dims[0]);
        ox_attr_ints(&n, "strides", strides, 2);
        ox_attr_ints(&n, "pads", pads, 4);
        ox_attr_int(&n, "group", o->groups);
    }
    if (o->kind == CONCAT)
        ox_attr_int(&n, "axis", 1);
    pb_sub(b, 1, &n);
}

static FsrNet *load(const Graph *g)
{
    static const int64_t dims[1] = { 4 };
    static const float   scales[4] = { 1, 1, 2, 2 }, lo = 0, hi = 0.75f;
    char    err[256];
    Buf     b = { 0 }, m;
    FsrNet *net;

    ox_value(&b, 11, "v0", g->ops[0].channels);
    ox_init(&b, "scales", dims, 1, 1, scales, 4);
    ox_init(&b, "lo", dims, 0, 1, &lo, 1);
    ox_init(&b, "hi", dims, 0, 1, &hi, 1);
    for (int i = 1; i < g->nb; i++)
        write_op(&b, g, i);
    snprintf(err, sizeof(err), "v%d", g->nb - 1);
    ox_value(&b, 12, err, 1);
    m = ox_model(&b);
    if (fsr_nn_load(&net, m.data, m.size, err, sizeof(err)) < 0)
        fail_msg("seed %u: %s", run, err);
    buf_free(&m);
    return net;
}

static void get(void *opaque, int plane, int x, int y, int w, int h, float *dst, ptrdiff_t stride)
{
    const Op *in = &((Graph *)opaque)->ops[0];

    for (int j = 0; j < h; j++)
        for (int i = 0; i < w; i++)
            dst[j * stride + i] = (float)*at(in, plane, x + i, y + j);
}

static void put(void *opaque, int plane, int x, int y, int w, int h, const float *src, ptrdiff_t stride)
{
    Graph    *g = opaque;
    const Op *o = &g->ops[g->nb - 1];

    for (int j = 0; j < h; j++)
        for (int i = 0; i < w; i++) {
            const double want = *at(o, plane, x + i, y + j);
            if (!(fabs(src[j * stride + i] - want) <= 2e-5 * (1 + fabs(want))))
                fail_msg("seed %u: plane %d at %d %d is %g, not %g", run, plane, x + i, y + j,
                         src[j * stride + i], want);
        }
}

static void random_graphs(void **state)
{
    (void)state;
    for (run = 1; run <= 300; run++) {
        Graph   g = { .nb = 1 };
        FsrNet *net;

        seed = run;
        g.ops[0] = (Op){ .channels = 1 + rnd(5), .w = 1 + rnd(40), .h = 1 + rnd(40) };
        for (int i = 0; i < 20 && g.nb < MAX_OPS; i++)
            add_random(&g);
        evaluate(&g);
        net = load(&g);
        for (int isa = 0; isa < FSR_ISA_NB; isa++) {
            const FsrNnIO io = { &g, get, put };
            FsrPlan *plan;
            char     err[256];
            int      x, y, w, h;

            if (!fsr_nn_isa_available(isa))
                continue;
            if (fsr_whole_plan(&plan, net, g.ops[0].w, g.ops[0].h, 1, isa, err, sizeof(err)) < 0)
                fail_msg("seed %u: %s", run, err);
            assert_int_equal(fsr_nn_jobs(plan), 1);
            fsr_nn_job_rect(plan, 0, &x, &y, &w, &h);
            assert_true(x == 0 && y == 0 && w == g.ops[g.nb - 1].w && h == g.ops[g.nb - 1].h);
            for (int twice = 0; twice < 2; twice++)         /* nothing is left of the first run */
                fsr_nn_run(plan, &io, 0, 0);
            fsr_nn_plan_free(&plan);
        }
        fsr_nn_free(&net);
        for (int i = 0; i < g.nb; i++) {
            free(g.ops[i].weights);
            free(g.ops[i].bias);
            free(g.ops[i].v);
        }
    }
}

/* A picture too small for a window, and a sum of sizes that differ only for odd pictures. */
static void refuses(void **state)
{
    static const int64_t dims[4] = { 1, 1, 2, 2 }, two[2] = { 2, 2 }, four[1] = { 4 };
    static const float   w[4] = { 1, 1, 1, 1 }, scales[4] = { 1, 1, 2, 2 };
    Buf      g = { 0 }, n = { 0 }, m;
    FsrNet  *net;
    FsrPlan *plan;
    char     err[256];

    (void)state;
    ox_value(&g, 11, "x", 1);
    ox_value(&g, 12, "y", 1);
    ox_init(&g, "w", dims, 4, 1, w, 4);
    ox_init(&g, "s", four, 1, 1, scales, 4);
    ox_begin(&n, "Conv", "c", "x w", "a");
    ox_attr_ints(&n, "strides", two, 2);
    pb_sub(&g, 1, &n);
    ox_node(&g, "Upsample", "u", "a s", "b");
    ox_node(&g, "Add", "sum", "b x", "y");
    m = ox_model(&g);
    assert_int_equal(fsr_nn_load(&net, m.data, m.size, err, sizeof(err)), 0);
    buf_free(&m);
    assert_int_equal(fsr_nn_plan(&plan, net, 1, 8, 1, err, sizeof(err)), -EINVAL);
    assert_null(plan);
    assert_non_null(strstr(err, "node 'c': nothing is left of a picture of 1x8"));
    assert_int_equal(fsr_nn_plan(&plan, net, 9, 8, 1, err, sizeof(err)), -EINVAL);
    assert_non_null(strstr(err, "node 'sum': its inputs are 8x8 and 9x8"));
    assert_int_equal(fsr_nn_plan(&plan, net, 0, 8, 1, err, sizeof(err)), -EINVAL);
    assert_int_equal(fsr_nn_plan(&plan, net, 8, 8, 1, err, sizeof(err)), 0);
    fsr_nn_plan_free(&plan);
    fsr_nn_free(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_graphs),
        cmocka_unit_test(refuses),
    };
    return cmocka_run_group_tests_name("nn_whole", tests, NULL, NULL);
}
