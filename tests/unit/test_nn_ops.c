/* nn: operators beside convolution, each against its formula. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "nn/plan.h"
#include "onnx_writer.h"

enum { W = 9, H = 7, PLANES = 3, MAX_SCALE = 4 };

static float in[PLANES][H][W], out[PLANES * MAX_SCALE * MAX_SCALE * H * W];
static int   out_w, out_h;

static void get(void *opaque, int plane, int x, int y, int w, int h, float *dst, ptrdiff_t stride)
{
    (void)opaque;
    for (int j = 0; j < h; j++)
        memcpy(dst + j * stride, &in[plane][y + j][x], w * sizeof(*dst));
}

static void put(void *opaque, int plane, int x, int y, int w, int h, const float *src,
                ptrdiff_t stride)
{
    (void)opaque;
    for (int j = 0; j < h; j++)
        memcpy(out + ((size_t)plane * out_h + y + j) * out_w + x, src + j * stride,
               w * sizeof(*src));
}

static void run(Buf *g)
{
    const FsrNnIO io = { .opaque = NULL, .get = get, .put = put };
    FsrNetInfo info;
    FsrNet  *net;
    FsrPlan *plan;
    char     err[256];
    Buf      m = ox_model(g);

    for (int i = 0; i < PLANES * H * W; i++)
        (&in[0][0][0])[i] = (i * 37 % 101 - 50) / 25.0f;        /* -2 to 2 */
    if (fsr_nn_load(&net, m.data, m.size, err, sizeof(err)) < 0 ||
        fsr_nn_plan_with(&plan, net, W, H, 1, FSR_PRECISION_F32, fsr_nn_isa(), 4, 3, err,
                         sizeof(err)) < 0)
        fail_msg("%s", err);
    fsr_nn_info(net, &info);
    assert_true(info.scale <= MAX_SCALE && info.out_planes <= PLANES);
    out_w = W * info.scale;
    out_h = H * info.scale;
    for (int j = 0; j < fsr_nn_jobs(plan); j++)
        fsr_nn_run(plan, &io, j, 0);
    fsr_nn_plan_free(&plan);
    fsr_nn_free(&net);
    buf_free(&m);
}

static Buf start(void)
{
    static const int64_t scalar[1] = { 1 }, planes[3] = { 3, 1, 1 }, vector[1] = { 3 };
    static const float   k[1] = { 0.75f }, p[3] = { 0.5f, -1, 2 }, lo[1] = { -0.5f };
    static const float   scale[3] = { 1, 2, -1 }, shift[3] = { 0, 1, 0.5f };
    static const float   mean[3] = { 0.25f, 0, -1 }, var[3] = { 1, 4, 0.25f };
    Buf g = { 0 };

    ox_value(&g, 11, "x", PLANES);
    ox_value(&g, 12, "y", PLANES);
    ox_init(&g, "k", scalar, 1, 1, k, 1);
    ox_init(&g, "p", planes, 3, 1, p, 3);
    ox_init(&g, "lo", scalar, 0, 1, lo, 1);
    ox_init(&g, "scale", vector, 1, 1, scale, 3);
    ox_init(&g, "shift", vector, 1, 1, shift, 3);
    ox_init(&g, "mean", vector, 1, 1, mean, 3);
    ox_init(&g, "var", vector, 1, 1, var, 3);
    return g;
}

static void ox_attr_float(Buf *n, const char *name, float v)
{
    Buf     a     = { 0 };
    uint8_t field = 2 << 3 | 5;

    pb_str(&a, 1, name);
    buf_add(&a, &field, 1);
    buf_add(&a, &v, 4);
    pb_sub(n, 5, &a);
}

static double slope3(int c)
{
    return c == 0 ? 0.5 : c == 1 ? -1 : 2;
}

static double leaky(double x, int c)        { (void)c; return x < 0 ? 0.125 * x : x; }
static double leaky_default(double x, int c) { (void)c; return x < 0 ? 0.01 * x : x; }
static double prelu(double x, int c)        { return x < 0 ? slope3(c) * x : x; }
static double clip(double x, int c)         { (void)c; return fmin(fmax(x, -0.5), 0.75); }
static double clip_low(double x, int c)     { (void)c; return fmax(x, -0.5); }
static double sigmoid(double x, int c)      { (void)c; return 1 / (1 + exp(-x)); }
static double hyptan(double x, int c)       { (void)c; return tanh(x); }
static double hard(double x, int c)         { (void)c; return fmin(fmax(0.2 * x + 0.5, 0), 1); }
static double hard_set(double x, int c)     { (void)c; return fmin(fmax(0.5 * x + 0.25, 0), 1); }
static double add_k(double x, int c)        { (void)c; return x + 0.75; }
static double mul_p(double x, int c)        { return x * slope3(c); }
static double sub_p(double x, int c)        { return x - slope3(c); }
static double sub_from_k(double x, int c)   { (void)c; return 0.75 - x; }
static double square(double x, int c)       { (void)c; return x * x; }
static double zero(double x, int c)         { (void)x; (void)c; return 0; }
static double norm(double x, int c)
{
    static const double s[] = { 1, 2, -1 }, b[] = { 0, 1, 0.5 }, m[] = { 0.25, 0, -1 }, v[] = { 1, 4, 0.25 };
    return (x - m[c]) / sqrt(v[c] + 1e-5) * s[c] + b[c];
}

static void maps(void **state)
{
    static const struct {
        const char *op, *inputs, *attr1, *attr2;
        float       v1, v2;
        double    (*f)(double x, int c);
    } cases[] = {
        { "LeakyRelu", "x", "alpha", NULL, 0.125f, 0, leaky },
        { "LeakyRelu", "x", NULL, NULL, 0, 0, leaky_default },
        { "PRelu", "x p", NULL, NULL, 0, 0, prelu },
        { "Clip", "x", "min", "max", -0.5f, 0.75f, clip },
        { "Clip", "x lo k", NULL, NULL, 0, 0, clip },
        { "Clip", "x lo", NULL, NULL, 0, 0, clip_low },
        { "Sigmoid", "x", NULL, NULL, 0, 0, sigmoid },
        { "Tanh", "x", NULL, NULL, 0, 0, hyptan },
        { "HardSigmoid", "x", NULL, NULL, 0, 0, hard },
        { "HardSigmoid", "x", "alpha", "beta", 0.5f, 0.25f, hard_set },
        { "Add", "x k", NULL, NULL, 0, 0, add_k },
        { "Add", "k x", NULL, NULL, 0, 0, add_k },
        { "Mul", "p x", NULL, NULL, 0, 0, mul_p },
        { "Sub", "x p", NULL, NULL, 0, 0, sub_p },
        { "Sub", "k x", NULL, NULL, 0, 0, sub_from_k },
        { "Mul", "x x", NULL, NULL, 0, 0, square },
        { "Sub", "x x", NULL, NULL, 0, 0, zero },
        { "BatchNormalization", "x scale shift mean var", "epsilon", NULL, 1e-5f, 0, norm },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        Buf g = start(), n = { 0 };

        ox_begin(&n, cases[i].op, "n", cases[i].inputs, "y");
        if (cases[i].attr1)
            ox_attr_float(&n, cases[i].attr1, cases[i].v1);
        if (cases[i].attr2)
            ox_attr_float(&n, cases[i].attr2, cases[i].v2);
        pb_sub(&g, 1, &n);
        run(&g);
        for (int c = 0; c < PLANES; c++)
            for (int k = 0; k < H * W; k++) {
                double want = cases[i].f((&in[c][0][0])[k], c);
                if (!(fabs(out[c * H * W + k] - want) <= 1e-6 * (1 + fabs(want))))
                    fail_msg("%s %s: %g gives %g, not %g", cases[i].op, cases[i].inputs,
                             (&in[c][0][0])[k], out[c * H * W + k], want);
            }
    }
}

/* Batch normalization goes into the convolution in front, and a Relu behind stays behind. */
static void folds(void **state)
{
    static const int64_t dims[4] = { 3, 3, 1, 1 };
    static const float   w[9]    = { 1, 0, 0, 0, 1, 0, 0, 0, 1 };
    Buf g = start();

    (void)state;
    ox_init(&g, "w", dims, 4, 1, w, 9);
    ox_conv(&g, "c", "x w", "a", 0, 0, 0, 0);
    ox_node(&g, "BatchNormalization", "b", "a scale shift mean var", "n");
    ox_node(&g, "Relu", "r", "n", "y");
    run(&g);
    for (int c = 0; c < PLANES; c++)
        for (int k = 0; k < H * W; k++)
            assert_true(fabs(out[c * H * W + k] - fmax(norm((&in[c][0][0])[k], c), 0)) < 1e-5);
}

/* One plane against three. */
static void single_plane(void **state)
{
    static const int64_t dims[4] = { 1, 3, 1, 1 };
    static const float   w[3]    = { 0, 1, 0 };
    static const char *const ops[] = { "Add", "Sub", "Mul" };

    (void)state;
    for (int op = 0; op < 3; op++)
        for (int side = 0; side < 2; side++) {
            Buf g = start();

            ox_init(&g, "w", dims, 4, 1, w, 3);
            ox_conv(&g, "c", "x w", "one", 0, 0, 0, 0);
            ox_node(&g, ops[op], "n", side ? "one x" : "x one", "y");
            run(&g);
            for (int c = 0; c < PLANES; c++)
                for (int k = 0; k < H * W; k++) {
                    double a = (&in[c][0][0])[k], b = (&in[1][0][0])[k];
                    double d = side ? b - a : a - b;
                    assert_true(fabs(out[c * H * W + k] - (op == 0 ? a + b : op == 1 ? d : a * b))
                                < 1e-6);
                }
        }
}

static double border(int c, int x, int y)
{
    return in[c][y < 0 ? 0 : y >= H ? H - 1 : y][x < 0 ? 0 : x >= W ? W - 1 : x];
}

/* By the definition: every input sample spreads over k x k results, `stride` apart. */
static void conv_transpose(void **state)
{
    static const struct { int k, stride, begin, end, extra; } cases[] = {
        { 9, 2, 4, 4, 1 }, { 4, 2, 1, 1, 0 }, { 9, 3, 3, 3, 0 }, { 9, 4, 4, 4, 3 }, { 3, 2, 1, 0, 0 },
        { 2, 2, 0, 0, 0 }, { 3, 1, 1, 1, 0 }, { 1, 1, 0, 0, 0 }, { 5, 3, 0, 2, 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        const int k = cases[i].k, s = cases[i].stride, pad = cases[i].begin;
        const int64_t dims[4] = { 3, 2, k, k }, bdims[1] = { 2 }, strides[2] = { s, s };
        const int64_t extra[2] = { cases[i].extra, cases[i].extra };
        const int64_t pads[4] = { pad, pad, cases[i].end, cases[i].end };
        const float   bias[2] = { 0.5f, -0.25f };
        float w[3 * 2 * 9 * 9];
        Buf   g = start(), n = { 0 };

        for (int j = 0; j < 6 * k * k; j++)
            w[j] = (j * 29 % 61 - 30) / 100.0f;
        ox_init(&g, "w", dims, 4, 1, w, 6 * k * k);
        ox_init(&g, "bias", bdims, 1, 1, bias, 2);
        ox_begin(&n, "ConvTranspose", "t", "x w bias", "y");
        ox_attr_ints(&n, "strides", strides, 2);
        ox_attr_ints(&n, "pads", pads, 4);
        ox_attr_ints(&n, "output_padding", extra, 2);
        pb_sub(&g, 1, &n);
        run(&g);
        assert_int_equal(out_w, W * s);
        for (int o = 0; o < 2; o++)
            for (int y = 0; y < H * s; y++)
                for (int x = 0; x < W * s; x++) {
                    double sum = bias[o];
                    for (int c = 0; c < PLANES; c++)
                        for (int j = -9; j < H + 9; j++)
                            for (int l = -9; l < W + 9; l++) {
                                int ty = y + pad - j * s, tx = x + pad - l * s;
                                if (ty >= 0 && ty < k && tx >= 0 && tx < k)
                                    sum += border(c, l, j) * w[((c * 2 + o) * k + ty) * k + tx];
                            }
                    assert_true(fabs(out[((size_t)o * H * s + y) * W * s + x] - sum) < 1e-5);
                }
    }
}

static void refuses(void **state)
{
    static const int64_t dims[4] = { 2, 1, 3, 3 }, two[2] = { 2, 2 }, wide[3] = { 1, 1, 3 };
    static const float   w[27], p[3];
    const char *const    words[] = { "ConvTranspose 't': its weights do not fit", "node 't': its inputs are",
                                     "PRelu 't': tensor 'none' is missing", "has 1 inputs" };
    for (int i = 0; i < 4; i++) {
        Buf      g = start(), n = { 0 }, m;
        FsrNet  *net;
        FsrPlan *plan = NULL;
        char     err[256];
        int      ret;

        (void)state;
        ox_init(&g, "w", dims, 4, 1, w, 18);
        ox_init(&g, "q", wide, 3, 1, p, 3);
        ox_begin(&n, i ? "PRelu" : "ConvTranspose", "t",
                 i == 0 ? "x w" : i == 1 ? "x q" : i == 2 ? "x none" : "x", "y");
        if (!i)
            ox_attr_ints(&n, "strides", two, 2);
        pb_sub(&g, 1, &n);
        m = ox_model(&g);
        if ((ret = fsr_nn_load(&net, m.data, m.size, err, sizeof(err))) >= 0)
            ret = fsr_nn_plan(&plan, net, 9, 7, 1, err, sizeof(err));
        assert_true(ret < 0);
        assert_null(plan);
        if (!strstr(err, words[i]))
            fail_msg("'%s' does not say '%s'", err, words[i]);
        fsr_nn_free(&net);
        buf_free(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maps),
        cmocka_unit_test(folds),
        cmocka_unit_test(single_plane),
        cmocka_unit_test(conv_transpose),
        cmocka_unit_test(refuses),
    };
    return cmocka_run_group_tests_name("nn_ops", tests, NULL, NULL);
}
