/* nn: 1x1 convolutions in integers of whole networks: kernels against plain C to the bit, and a
 * network with recorded ranges. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "nn/whole.h"
#include "onnx_writer.h"

enum { GUARD = 32, MAX_PLANES = 80 };

static uint32_t seed = 1;

static uint32_t rnd(uint32_t n)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

static float rndf(void)
{
    return rnd(1 << 20) / (float)(1 << 19) - 1;
}

static void check_row(const FsrPointKernel *k, const FsrPointConv *c, int n, int worst)
{
    const size_t in = (size_t)n * c->cin, out = (size_t)n * c->cout;
    float   *want = malloc(out * sizeof(*want)), *have = malloc((out + 2 * GUARD) * sizeof(*have));
    uint8_t *src = malloc(in);                                      /* ends where the row ends */

    for (size_t i = 0; i < in; i++)
        src[i] = worst ? 255 : rnd(256);
    memset(have, 0xa5, (out + 2 * GUARD) * sizeof(*have));
    fsr_point_c.row(c, src, want, n);
    k->row(c, src, have + GUARD, n);
    if (memcmp(want, have + GUARD, out * sizeof(*have)))
        fail_msg("%s: %d to %d planes, %d samples: another result", k->name, c->cin, c->cout, n);
    for (int i = 0; i < GUARD; i++)
        assert_true(((uint8_t *)have)[4 * i] == 0xa5 && ((uint8_t *)(have + GUARD + out))[4 * i] == 0xa5);
    free(want);
    free(have);
    free(src);
}

static void kernels(void **state)
{
    static const int planes[] = { 16, 32, 48, 80 };
    float  scale[MAX_PLANES], bias[MAX_PLANES];
    int8_t weights[MAX_PLANES * MAX_PLANES];
    int    tested = 0;

    (void)state;
    for (int isa = 0; isa < FSR_ISA_NB; isa++)
        for (int i = 0; i < 4 * 4 * 3 && fsr_nn_isa_available(isa); i++) {
            const FsrPointKernel *k = fsr_nn_pick_point(isa);
            const int worst = i / 16 - 1;       /* largest weights of either sign, or drawn ones */
            const FsrPointConv c = { planes[i % 4], planes[i / 4 % 4], i % 3 ? 0 : -1e30f, i % 3 == 1 ? 1 : 1e30f,
                                     scale, bias, weights };

            for (int j = 0; j < MAX_PLANES; j++) {
                scale[j] = 1e-4f * (2 + rndf());
                bias[j]  = rndf();
            }
            for (int j = 0; j < MAX_PLANES * MAX_PLANES; j++)
                weights[j] = worst ? 127 * worst : (int)rnd(255) - 127;
            for (int n = 1; k && n <= 40; n++, tested++)
                check_row(k, &c, n, worst);
        }
    assert_true(tested > 0);
}

/* ---- a network: 3x3 to 16 planes, depthwise with a limit, 1x1 to 20 planes --------------- */

enum { W = 19, H = 11, PLANES = 20 };

static float in[3 * W * H], out[2][PLANES * W * H];

static void get(void *opaque, int plane, int x, int y, int w, int h, float *dst, ptrdiff_t stride)
{
    (void)opaque;
    for (int j = 0; j < h; j++)
        memcpy(dst + j * stride, in + (plane * H + y + j) * W + x, w * sizeof(*dst));
}

static void put(void *opaque, int plane, int x, int y, int w, int h, const float *src, ptrdiff_t stride)
{
    for (int j = 0; j < h; j++)
        memcpy((float *)opaque + (plane * H + y + j) * W + x, src + j * stride, w * sizeof(*src));
}

static FsrNet *make_net(const char *range)
{
    static const int64_t dims[3][4] = { { 16, 3, 3, 3 }, { 16, 1, 3, 3 }, { PLANES, 16, 1, 1 } };
    static const int64_t three[2] = { 3, 3 }, pads[4] = { 1, 1, 1, 1 };
    float   w[16 * 3 * 9];
    Buf     g = { 0 }, n = { 0 }, meta = { 0 }, m;
    FsrNet *net;
    char    err[256], name[8];

    seed = 5;
    ox_value(&g, 11, "x", 3);
    for (int i = 0; i < 3; i++) {
        const int len = dims[i][0] * dims[i][1] * dims[i][2] * dims[i][3];

        for (int k = 0; k < len; k++)
            w[k] = rndf() * (i == 1 ? 0.5f : 0.4f);
        snprintf(name, sizeof(name), "w%d", i);
        ox_init(&g, name, dims[i], 4, 1, w, len);
    }
    ox_conv(&g, "first", "x w0", "a", 1, 1, 1, 1);
    ox_node(&g, "Relu", "r0", "a", "b");
    ox_begin(&n, "Conv", "middle", "b w1", "c");
    ox_attr_int(&n, "group", 16);
    ox_attr_ints(&n, "kernel_shape", three, 2);
    ox_attr_ints(&n, "pads", pads, 4);
    pb_sub(&g, 1, &n);
    ox_node(&g, "Relu", "r1", "c", "d");
    ox_conv(&g, "last", "d w2", "y", 0, 0, 0, 0);
    ox_value(&g, 12, "y", PLANES);
    m = ox_model(&g);
    if (range) {
        pb_str(&meta, 1, "range middle");
        pb_str(&meta, 2, range);
        pb_sub(&m, 14, &meta);
    }
    if (fsr_nn_load(&net, m.data, m.size, err, sizeof(err)) < 0)
        fail_msg("%s", err);
    buf_free(&m);
    return net;
}

/* Mean difference between integers and float, and whether any. */
static double difference(const char *range, FsrIsa isa)
{
    FsrNet *net = make_net(range);
    double  sum = 0;

    for (int i = 0; i < 3 * W * H; i++)
        in[i] = fabsf(rndf());
    for (int k = 0; k < 2; k++) {
        const FsrNnIO io = { .opaque = out[k], .get = get, .put = put };
        FsrPlan *plan;
        char     err[256];

        if (fsr_nn_plan_with(&plan, net, W, H, 1, k ? FSR_PRECISION_I8 : FSR_PRECISION_F32, isa,
                             FSR_TILE_WHOLE, 0, err, sizeof(err)) < 0)
            fail_msg("%s", err);
        fsr_nn_run(plan, &io, 0, 0);
        fsr_nn_plan_free(&plan);
    }
    for (int i = 0; i < PLANES * W * H; i++)
        sum += fabs(out[0][i] - out[1][i]);
    fsr_nn_free(&net);
    return sum / (PLANES * W * H);
}

static void networks(void **state)
{
    static const char *const damaged[] = { "0 1", "0 one 1", "0 1e30 1", "0 1 1 0 1 1" };
    double size = 0;

    (void)state;
    for (int isa = 0; isa < FSR_ISA_NB; isa++) {
        if (!fsr_nn_isa_available(isa))
            continue;
        assert_true(difference(NULL, isa) == 0);            /* nothing is known of its values: float */
        if (fsr_nn_pick_point(isa)) {
            const double d = difference("0 1.5 0.2", isa), clipped = difference("0 0.2 0.1", isa);

            size = 0;
            for (int i = 0; i < PLANES * W * H; i++)
                size += fabs(out[0][i]) / (PLANES * W * H);
            assert_true(d > 0 && d < 0.02 * size);
            assert_true(clipped > 10 * d);
        }
    }
    assert_true(size > 0);
    for (int i = 0; i < 4; i++) {
        FsrNet  *net = make_net(damaged[i]);
        FsrPlan *plan;
        char     err[256] = "";

        assert_int_equal(fsr_nn_plan_with(&plan, net, W, H, 1, FSR_PRECISION_I8, FSR_ISA_C,
                                          FSR_TILE_WHOLE, 0, err, sizeof(err)), -EINVAL);
        assert_null(plan);
        assert_non_null(strstr(err, "range"));
        assert_int_equal(fsr_nn_plan_whole(&plan, net, W, H, err, sizeof(err)), 0);
        fsr_nn_plan_free(&plan);
        fsr_nn_free(&net);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(kernels), cmocka_unit_test(networks) };

    return cmocka_run_group_tests_name("nn_point", tests, NULL, NULL);
}
