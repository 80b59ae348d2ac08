/* nn: networks run whole, random graphs against direct evaluation in double precision. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "nn/whole.h"
#include "onnx_writer.h"

enum { MAX_OPS = 14, MAX_SIDE = 64 };

/* CONCAT: planes, CONCAT_H, CONCAT_W */
typedef enum Kind {
    INPUT, CONV, RELU, RELU6, ADD, CONCAT, NEAREST, SUB, MUL, CONCAT_H, CONCAT_W, MAX_POOL, AVERAGE_POOL,
    GLOBAL_POOL, PAD, SLICE, UNSHUFFLE, SHUFFLE, TRANSPOSED, NB_KINDS
} Kind;

/* An operator, its attributes and its value by the definition. */
typedef struct Op {
    Kind    kind;
    int     in[2], channels, w, h;
    int     kw, kh, sx, sy, groups;
    int     pads[4];                /* top, left, bottom, right */
    int     mode;                   /* pad: constant, edge, reflect; pools: count pads */
    int     first[3], step[3];      /* slice: planes, height, width */
    float  *weights, *bias;
    double *v, largest;
} Op;

/* The first two are inputs; the last is an output, and another. */
typedef struct Graph {
    Op  ops[MAX_OPS];
    int nb, other;
    int samples;                    /* that put delivered */
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

/* Sample of an operand that broadcasts. */
static double side(const Op *o, int c, int x, int y)
{
    return *at(o, o->channels == 1 ? 0 : c, o->w == 1 ? 0 : x, o->h == 1 ? 0 : y);
}

static double pool_sample(const Op *o, const Op *in, int c, int x, int y)
{
    double v = o->kind == MAX_POOL ? -INFINITY : 0;
    int    n = 0;

    for (int ky = 0; ky < o->kh; ky++)
        for (int kx = 0; kx < o->kw; kx++) {
            const int sx = x * o->sx + kx - o->pads[1], sy = y * o->sy + ky - o->pads[0];
            if (sx < 0 || sy < 0 || sx >= in->w || sy >= in->h)
                continue;
            v = o->kind == MAX_POOL ? fmax(v, *at(in, c, sx, sy)) : v + *at(in, c, sx, sy);
            n++;
        }
    return o->kind == MAX_POOL ? v : v / (o->mode ? o->kw * o->kh : n);
}

static double pad_sample(const Op *o, const Op *in, int c, int x, int y)
{
    x -= o->pads[1];
    y -= o->pads[0];
    if (o->mode == 0 && (x < 0 || y < 0 || x >= in->w || y >= in->h))
        return 0.5;
    if (o->mode == 1) {
        x = x < 0 ? 0 : x >= in->w ? in->w - 1 : x;
        y = y < 0 ? 0 : y >= in->h ? in->h - 1 : y;
    } else if (o->mode == 2) {
        x = x < 0 ? -x : x >= in->w ? 2 * in->w - 2 - x : x;
        y = y < 0 ? -y : y >= in->h ? 2 * in->h - 2 - y : y;
    }
    return *at(in, c, x, y);
}

/* Every input sample spreads over kw x kh results. */
static double transposed_sample(const Op *o, const Op *in, int c, int x, int y)
{
    double sum = o->bias[c];

    for (int i = 0; i < in->channels; i++)
        for (int ky = 0; ky < o->kh; ky++)
            for (int kx = 0; kx < o->kw; kx++) {
                const int fx = x + o->pads[1] - kx, fy = y + o->pads[0] - ky;
                if (fx >= 0 && fy >= 0 && fx % o->sx == 0 && fy % o->sy == 0 && fx / o->sx < in->w &&
                    fy / o->sy < in->h)
                    sum += *at(in, i, fx / o->sx, fy / o->sy) *
                           o->weights[((i * o->channels + c) * o->kh + ky) * o->kw + kx];
            }
    return sum;
}

static double mean(const Op *in, int c)
{
    double sum = 0;

    for (int i = 0; i < in->w * in->h; i++)
        sum += *at(in, c, i, 0);
    return sum / (in->w * in->h);
}

static double sample(const Graph *g, const Op *o, int c, int x, int y)
{
    const Op *a = &g->ops[o->in[0]], *b = &g->ops[o->in[1]];

    switch (o->kind) {
    case CONV:    return conv_sample(o, a, c, x, y);
    case RELU:    return fmax(*at(a, c, x, y), 0);
    case RELU6:   return fmin(fmax(*at(a, c, x, y), 0), 0.75);
    case ADD:     return side(a, c, x, y) + side(b, c, x, y);
    case SUB:     return side(a, c, x, y) - side(b, c, x, y);
    case MUL:     return side(a, c, x, y) * side(b, c, x, y);
    case CONCAT_H: return y < a->h ? *at(a, c, x, y) : *at(b, c, x, y - a->h);
    case CONCAT_W: return x < a->w ? *at(a, c, x, y) : *at(b, c, x - a->w, y);
    case MAX_POOL:
    case AVERAGE_POOL: return pool_sample(o, a, c, x, y);
    case GLOBAL_POOL:  return mean(a, c);
    case PAD:          return pad_sample(o, a, c, x, y);
    case SLICE:        return *at(a, o->first[0] + c * o->step[0], o->first[2] + x * o->step[2],
                                  o->first[1] + y * o->step[1]);
    case UNSHUFFLE:    return *at(a, c % a->channels, x * 2 + c / a->channels % 2,
                                  y * 2 + c / a->channels / 2);
    case SHUFFLE:      return *at(a, (y % 2 * 2 + x % 2) * o->channels + c, x / 2, y / 2);
    case TRANSPOSED:   return transposed_sample(o, a, c, x, y);
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
                for (int x = 0; x < o->w; x++) {
                    *at(o, c, x, y) = sample(g, o, c, x, y);
                    o->largest = fmax(o->largest, fabs(*at(o, c, x, y)));
                }
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

static int make_pool(Op *o, const Op *in)
{
    o->kw = 1 + rnd(4);
    o->kh = 1 + rnd(4);
    o->sx = 1 + rnd(3);
    o->sy = 1 + rnd(3);
    o->mode = rnd(2);
    for (int i = 0; i < 4; i++)
        o->pads[i] = rnd(i & 1 ? o->kw : o->kh);
    o->w = in->w + o->pads[1] + o->pads[3] - o->kw;
    o->h = in->h + o->pads[0] + o->pads[2] - o->kh;
    if (o->w < 0 || o->h < 0)
        return 0;
    o->w = o->w / o->sx + 1;
    o->h = o->h / o->sy + 1;
    return 1;
}

static int make_pad(Op *o, const Op *in)
{
    o->mode = rnd(3);
    for (int i = 0; i < 4; i++)
        o->pads[i] = o->mode == 2 ? (int)rnd(i & 1 ? in->w : in->h) : (int)rnd(8) - 2;
    o->w += o->pads[1] + o->pads[3];
    o->h += o->pads[0] + o->pads[2];
    return o->w > 0 && o->h > 0;
}

static int make_slice(Op *o, const Op *in)
{
    const int n[3] = { in->channels, in->h, in->w };
    int       to[3];

    for (int i = 0; i < 3; i++) {
        const int a = rnd(n[i]), b = rnd(n[i]), step = 1 + rnd(2);
        o->first[i] = a;
        o->step[i]  = b < a ? -step : step;
        to[i]       = (b < a ? a - b : b - a) / step + 1;
    }
    o->channels = to[0];
    o->h = to[1];
    o->w = to[2];
    return 1;
}

static int make_transposed(Op *o, const Op *in)
{
    size_t n;

    o->channels = 1 + rnd(6);
    o->kw = 1 + rnd(6);
    o->kh = 1 + rnd(6);
    o->sx = 1 + rnd(3);
    o->sy = 1 + rnd(3);
    for (int i = 0; i < 4; i++)
        o->pads[i] = rnd(i & 1 ? o->kw : o->kh) / 2;
    o->w = (in->w - 1) * o->sx + o->kw - o->pads[1] - o->pads[3];
    o->h = (in->h - 1) * o->sy + o->kh - o->pads[0] - o->pads[2];
    n = (size_t)in->channels * o->kw * o->kh;
    if (o->w < 1 || o->h < 1)
        return 0;
    o->weights = malloc(sizeof(float) * n * o->channels);
    o->bias    = malloc(sizeof(float) * o->channels);
    for (size_t i = 0; i < n * o->channels; i++)
        o->weights[i] = rndf() * 1.7f / sqrtf(n);
    for (int i = 0; i < o->channels; i++)
        o->bias[i] = rndf() * 0.1f;
    return 1;
}

static int broadcasts(int *n, int a, int b)
{
    *n = a > b ? a : b;
    return a == b || a == 1 || b == 1;
}

/* What the operator makes of its inputs; 0 where it does not fit. */
static int shape(Op *o, const Op *a, const Op *b)
{
    switch (o->kind) {
    case CONV:         return make_conv(o, a);
    case MAX_POOL:
    case AVERAGE_POOL: return make_pool(o, a);
    case PAD:          return make_pad(o, a);
    case SLICE:        return make_slice(o, a);
    case TRANSPOSED:   return make_transposed(o, a);
    case ADD:
    case SUB:
    case MUL:
        return broadcasts(&o->w, a->w, b->w) && broadcasts(&o->h, a->h, b->h) &&
               broadcasts(&o->channels, a->channels, b->channels);
    case CONCAT:
        o->channels += b->channels;
        return a->w == b->w && a->h == b->h;
    case CONCAT_H:
        o->h += b->h;
        return a->w == b->w && a->channels == b->channels;
    case CONCAT_W:
        o->w += b->w;
        return a->h == b->h && a->channels == b->channels;
    case NEAREST:
        o->w *= 2;
        o->h *= 2;
        return 1;
    case GLOBAL_POOL:
        o->w = o->h = 1;
        return rnd(3) == 0;
    case UNSHUFFLE:
        o->w /= 2;
        o->h /= 2;
        o->channels *= 4;
        return a->w % 2 == 0 && a->h % 2 == 0;
    case SHUFFLE:
        o->w *= 2;
        o->h *= 2;
        o->channels /= 4;
        return a->channels % 4 == 0;
    default:
        return 1;
    }
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
    if (!shape(&o, a, &g->ops[o.in[1]]) || o.w > MAX_SIDE || o.h > MAX_SIDE || o.channels > 100) {
        free(o.weights);
        free(o.bias);
        return;
    }
    g->ops[g->nb++] = o;
}

static int is_binary(const Op *o)
{
    return o->kind == ADD || o->kind == SUB || o->kind == MUL || o->kind == CONCAT || o->kind == CONCAT_H ||
           o->kind == CONCAT_W;
}

static void write_attributes(Buf *n, const Op *o)
{
    const int64_t strides[2] = { o->sy, o->sx }, kernel[2] = { o->kh, o->kw };
    const int64_t pads[4] = { o->pads[0], o->pads[1], o->pads[2], o->pads[3] };

    ox_attr_ints(n, "strides", strides, 2);
    ox_attr_ints(n, "pads", pads, 4);
    if (o->kind == CONV)
        ox_attr_int(n, "group", o->groups);
    else if (o->kind != TRANSPOSED)
        ox_attr_ints(n, "kernel_shape", kernel, 2);
    if (o->kind == AVERAGE_POOL)
        ox_attr_int(n, "count_include_pad", o->mode);
}

/* first, end and step of each axis of a Slice. */
static void write_slice(Buf *n, const Op *o)
{
    const int count[3] = { o->channels, o->h, o->w };
    int64_t   v[3][3];
    const int64_t axes[3] = { 1, 2, 3 };

    for (int i = 0; i < 3; i++) {
        v[0][i] = o->first[i];
        v[1][i] = o->first[i] + count[i] * o->step[i];
        if (v[1][i] < 0)
            v[1][i] = INT64_MIN;
        v[2][i] = o->step[i];
    }
    ox_attr_ints(n, "starts", v[0], 3);
    ox_attr_ints(n, "ends", v[1], 3);
    ox_attr_ints(n, "axes", axes, 3);
}

static void write_op(Buf *b, const Graph *g, int i)
{
    static const char *const names[NB_KINDS] = {
        "", "Conv", "Relu", "Clip", "Add", "Concat", "Upsample", "Sub", "Mul", "Concat", "Concat", "MaxPool",
        "AveragePool", "GlobalAveragePool", "Pad", "Slice", "SpaceToDepth", "DepthToSpace", "ConvTranspose",
    };
    static const char *const modes[3] = { "constant", "edge", "reflect" };
    const Op *o = &g->ops[i];
    char in[96], out[16], w[16], bias[16], steps[16];
    Buf  n = { 0 };

    snprintf(out, sizeof(out), "v%d", i);
    snprintf(w, sizeof(w), "w%d", i);
    snprintf(bias, sizeof(bias), "b%d", i);
    snprintf(steps, sizeof(steps), "s%d", i);
    snprintf(in, sizeof(in), "v%d", o->in[0]);
    if (is_binary(o))
        snprintf(in, sizeof(in), "v%d v%d", o->in[0], o->in[1]);
    else if (o->kind == CONV || o->kind == TRANSPOSED)
        snprintf(in, sizeof(in), "v%d %s %s", o->in[0], w, bias);
    else if (o->kind == RELU6 || o->kind == NEAREST)
        snprintf(in, sizeof(in), o->kind == RELU6 ? "v%d lo hi" : "v%d scales", o->in[0]);
    else if (o->kind == PAD)
        snprintf(in, sizeof(in), "v%d %s half", o->in[0], w);
    else if (o->kind == SLICE)
        snprintf(in, sizeof(in), "v%d    %s", o->in[0], steps);
    ox_begin(&n, names[o->kind], out, in, out);
    if (o->kind == CONV || o->kind == TRANSPOSED) {
        const int64_t in_planes = g->ops[o->in[0]].channels;
        const int64_t dims[4] = { o->kind == CONV ? o->channels : in_planes,
                                  o->kind == CONV ? in_planes / o->groups : o->channels, o->kh, o->kw };
        const int64_t planes[1] = { o->channels };

        ox_init(b, w, dims, 4, 1, o->weights, dims[0] * dims[1] * dims[2] * dims[3]);
        ox_init(b, bias, planes, 1, 1, o->bias, o->channels);
    }
    if (o->kind == CONV || o->kind == TRANSPOSED || o->kind == MAX_POOL || o->kind == AVERAGE_POOL)
        write_attributes(&n, o);
    if (o->kind == CONCAT || o->kind == CONCAT_H || o->kind == CONCAT_W)
        ox_attr_int(&n, "axis", o->kind == CONCAT ? 1 : o->kind == CONCAT_H ? 2 : -1);
    if (o->kind == SHUFFLE || o->kind == UNSHUFFLE)
        ox_attr_int(&n, "blocksize", 2);
    if (o->kind == PAD) {
        const int64_t p[8] = { 0, 0, o->pads[0], o->pads[1], 0, 0, o->pads[2], o->pads[3] };
        ox_attr_str(&n, "mode", modes[o->mode]);
        ox_ints(b, w, p, 8);
    }
    if (o->kind == SLICE) {
        const int64_t step[3] = { o->step[0], o->step[1], o->step[2] };
        write_slice(&n, o);
        ox_ints(b, steps, step, 3);
    }
    pb_sub(b, 1, &n);
}

static FsrNet *load(const Graph *g)
{
    static const int64_t dims[1] = { 4 };
    static const float   scales[4] = { 1, 1, 2, 2 }, lo = 0, hi = 0.75f, half = 0.5f;
    char    err[256];
    Buf     b = { 0 }, m;
    FsrNet *net;

    ox_value(&b, 11, "v0", g->ops[0].channels);
    ox_value(&b, 11, "v1", g->ops[1].channels);
    ox_init(&b, "scales", dims, 1, 1, scales, 4);
    ox_init(&b, "lo", dims, 0, 1, &lo, 1);
    ox_init(&b, "hi", dims, 0, 1, &hi, 1);
    ox_init(&b, "half", dims, 0, 1, &half, 1);
    for (int i = 2; i < g->nb; i++)
        write_op(&b, g, i);
    snprintf(err, sizeof(err), "v%d", g->nb - 1);
    ox_value(&b, 12, err, 1);
    snprintf(err, sizeof(err), "v%d", g->other);
    ox_value(&b, 12, err, 1);
    m = ox_model(&b);
    if (fsr_nn_load(&net, m.data, m.size, err, sizeof(err)) < 0)
        fail_msg("seed %u: %s", run, err);
    buf_free(&m);
    return net;
}

static void get(void *opaque, int plane, int x, int y, int w, int h, float *dst, ptrdiff_t stride)
{
    const Graph *g  = opaque;
    const int    k  = plane >= g->ops[0].channels;
    const Op    *in = &g->ops[k];

    plane -= k * g->ops[0].channels;
    for (int j = 0; j < h; j++)
        for (int i = 0; i < w; i++)
            dst[j * stride + i] = (float)*at(in, plane, x + i, y + j);
}

static void put(void *opaque, int plane, int x, int y, int w, int h, const float *src, ptrdiff_t stride)
{
    Graph    *g = opaque;
    const int second = plane >= g->ops[g->nb - 1].channels;
    const Op *o = &g->ops[second ? g->other : g->nb - 1];

    plane -= second ? g->ops[g->nb - 1].channels : 0;
    g->samples += w * h;
    for (int j = 0; j < h; j++)
        for (int i = 0; i < w; i++) {
            const double want = *at(o, plane, x + i, y + j);
            if (!(fabs(src[j * stride + i] - want) <= 2e-5 * (1 + o->largest)))
                fail_msg("seed %u: plane %d at %d %d is %g, not %g", run, plane, x + i, y + j,
                         src[j * stride + i], want);
        }
}

static int samples_of(const Op *o)
{
    return o->w * o->h * o->channels;
}

static void check_output(const FsrPlan *plan, int i, const Op *o)
{
    int planes, w, h;

    assert_non_null(fsr_nn_output(plan, i, &planes, &w, &h));
    assert_true(planes == o->channels && w == o->w && h == o->h);
}

/* Runs a graph with every set of kernels, and frees it. */
static void check_graph(Graph *g)
{
    FsrNet *net;

    evaluate(g);
    net = load(g);
    for (int isa = 0; isa < FSR_ISA_NB; isa++) {
        const FsrNnIO io = { .opaque = g, .get = get, .put = put };
        FsrPlan *plan;
        char     err[256];

        if (!fsr_nn_isa_available(isa))
            continue;
        if (fsr_nn_plan_with(&plan, net, g->ops[0].w, g->ops[0].h, 1, FSR_PRECISION_F32, isa,
                             FSR_TILE_WHOLE, 0, err, sizeof(err)) < 0)
            fail_msg("seed %u: %s", run, err);
        assert_int_equal(fsr_nn_jobs(plan), 1);
        check_output(plan, 0, &g->ops[g->nb - 1]);
        check_output(plan, 1, &g->ops[g->other]);
        for (int twice = 0; twice < 2; twice++) {       /* nothing is left of the first run */
            g->samples = 0;
            fsr_nn_run(plan, &io, 0, 0);
            assert_int_equal(g->samples, samples_of(&g->ops[g->nb - 1]) + samples_of(&g->ops[g->other]));
        }
        fsr_nn_plan_free(&plan);
    }
    fsr_nn_free(&net);
    for (int i = 0; i < g->nb; i++) {
        free(g->ops[i].weights);
        free(g->ops[i].bias);
        free(g->ops[i].v);
    }
}

static void random_graphs(void **state)
{
    int kinds[NB_KINDS] = { 0 };

    (void)state;
    for (run = 1; run <= 400; run++) {
        Graph g = { .nb = 2 };

        seed = run;
        g.ops[0] = g.ops[1] = (Op){ .channels = 1 + rnd(5), .w = 1 + rnd(40), .h = 1 + rnd(40) };
        g.ops[1].channels = 1 + rnd(5);
        for (int i = 0; i < 40 && g.nb < MAX_OPS; i++)
            add_random(&g);
        for (int i = 0; i < g.nb; i++)
            kinds[g.ops[i].kind]++;
        g.other = rnd(g.nb);
        check_graph(&g);
    }
    for (int i = 0; i < NB_KINDS; i++)
        assert_true(kinds[i] > 20);
}

/* Pads so wide that the last window lies behind the picture: it sees nothing but zeros. */
static void far_pads(void **state)
{
    (void)state;
    for (int w = 60; w < 64; w++) {
        Graph g = { .nb = 3, .other = 0 };
        Op   *o = &g.ops[2];

        g.ops[0] = g.ops[1] = (Op){ .channels = 16, .w = w, .h = 9 };
        *o = (Op){ .kind = CONV, .channels = 16, .groups = 16, .kw = 1, .kh = 3, .sx = 2, .sy = 1,
                   .pads = { 1, 0, 1, 3 }, .w = (w + 2) / 2 + 1, .h = 9 };
        o->weights = malloc(sizeof(float) * 16 * 3);
        o->bias    = calloc(16, sizeof(float));
        for (int i = 0; i < 16 * 3; i++)
            o->weights[i] = rndf();
        check_graph(&g);
    }
}

/* ---- several inputs and outputs in strips ------------------------------------------- */

enum { TW = 37, TH = 29 };

static float two_in[3 * TW * TH], two_out[4 * TW * TH];

static void get_plane(void *opaque, int plane, int x, int y, int w, int h, float *dst, ptrdiff_t stride)
{
    (void)opaque;
    assert_true(plane < 3);
    for (int j = 0; j < h; j++)
        memcpy(dst + j * stride, two_in + (plane * TH + y + j) * TW + x, w * sizeof(*dst));
}

static void put_plane(void *opaque, int plane, int x, int y, int w, int h, const float *src, ptrdiff_t stride)
{
    (void)opaque;
    assert_true(plane < 4);
    for (int j = 0; j < h; j++)
        memcpy(two_out + (plane * TH + y + j) * TW + x, src + j * stride, w * sizeof(*src));
}

static void get_planes(void *opaque, int plane, int planes, int x, int y, int w, float *dst, ptrdiff_t stride)
{
    (void)opaque;
    assert_true(plane + planes <= 3 && planes <= stride);
    for (int i = 0; i < w; i++)
        for (int c = 0; c < planes; c++)
            dst[i * stride + c] = two_in[((plane + c) * TH + y) * TW + x + i];
}

static void put_planes(void *opaque, int plane, int planes, int x, int y, int w, const float *src, ptrdiff_t stride)
{
    (void)opaque;
    assert_true(plane + planes <= 4);
    for (int i = 0; i < w; i++)
        for (int c = 0; c < planes; c++)
            two_out[((plane + c) * TH + y) * TW + x + i] = src[i * stride + c];
}

/* Inputs a (2 planes) and b (1), outputs s = a + b, d = b - 2 first plane of a by a 1x1
 * convolution, a itself: planes are counted through all of them, in strips and whole. */
static void strips(void **state)
{
    static const int64_t dims[4] = { 1, 3, 1, 1 };
    static const float   w[3] = { -2, 0, 1 };
    const FsrNnIO ios[2] = { { .get = get_plane, .put = put_plane },
                             { .get_row = get_planes, .put_row = put_planes } };
    Buf        g = { 0 }, m;
    FsrNet    *net;
    FsrNetInfo info;
    char       err[256];
    int        planes;

    (void)state;
    ox_value(&g, 11, "a", 2);
    ox_value(&g, 11, "b", 1);
    ox_init(&g, "w", dims, 4, 1, w, 3);
    ox_node(&g, "Add", "sum", "a b", "s");
    ox_concat(&g, "cat", "a b", "ab");
    ox_conv(&g, "conv", "ab w", "d", 0, 0, 0, 0);
    ox_value(&g, 12, "s", 2);
    ox_value(&g, 12, "d", 1);
    ox_value(&g, 12, "b", 1);
    m = ox_model(&g);
    assert_int_equal(fsr_nn_load(&net, m.data, m.size, err, sizeof(err)), 0);
    buf_free(&m);
    fsr_nn_info(net, &info);
    assert_true(info.in_planes == 3 && info.out_planes == 4 && info.nb_inputs == 2 && info.nb_outputs == 3);
    assert_true(!info.whole && info.scale == 1);
    assert_string_equal(fsr_nn_input(net, 1, &planes), "b");
    assert_int_equal(planes, 1);
    for (int i = 0; i < 3 * TW * TH; i++)
        two_in[i] = rndf();
    for (int way = 0; way < 4 * FSR_ISA_NB; way++) {
        const FsrIsa isa = way / 4;
        FsrPlan *plan;
        int      width, height;

        if (!fsr_nn_isa_available(isa))
            continue;
        if (way & 1)
            assert_int_equal(fsr_nn_plan_with(&plan, net, TW, TH, 1, FSR_PRECISION_F32, isa,
                                              FSR_TILE_WHOLE, 0, err, sizeof(err)), 0);
        else
            assert_int_equal(fsr_nn_plan_with(&plan, net, TW, TH, 1, FSR_PRECISION_F32, isa, 9, 8, err,
                                              sizeof(err)), 0);
        assert_string_equal(fsr_nn_output(plan, 1, &planes, &width, &height), "d");
        assert_true(planes == 1 && width == TW && height == TH);
        memset(two_out, 0xff, sizeof(two_out));
        for (int j = 0; j < fsr_nn_jobs(plan); j++)
            fsr_nn_run(plan, &ios[way / 2 % 2], j, 0);
        for (int k = 0; k < TW * TH; k++) {
            const float a0 = two_in[k], a1 = two_in[TW * TH + k], b = two_in[2 * TW * TH + k];

            assert_true(two_out[k] == a0 + b && two_out[TW * TH + k] == a1 + b);
            assert_true(fabsf(two_out[2 * TW * TH + k] - (b - 2 * a0)) < 1e-6f);
            assert_true(two_out[3 * TW * TH + k] == b);
        }
        fsr_nn_plan_free(&plan);
    }
    fsr_nn_free(&net);
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
        cmocka_unit_test(far_pads),
        cmocka_unit_test(strips),
        cmocka_unit_test(refuses),
    };
    return cmocka_run_group_tests_name("nn_whole", tests, NULL, NULL);
}
