/* nn: what the ONNX reader takes and what it refuses, with which words. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "fastsr/nn.h"
#include "onnx_writer.h"

static const float   zeros[4096];
static const int64_t W3[4] = { 1, 1, 3, 3 };

/* Loads the graph (and frees it), expects an error with a piece of its message. */
static void refuse(Buf *g, int code, const char *words)
{
    char    err[256] = "";
    FsrNet *net      = (FsrNet *)err;
    Buf     m        = ox_model(g);
    int     ret      = fsr_nn_load(&net, m.data, m.size, err, sizeof(err));

    if (ret != code || !strstr(err, words) || strchr(err, '\n'))
        fail_msg("got %d '%s', expected %d '%s'", ret, err, code, words);
    assert_null(net);
    buf_free(&m);
}

static FsrNet *accept(Buf *g)
{
    char    err[256] = "";
    FsrNet *net      = NULL;
    Buf     m        = ox_model(g);

    if (fsr_nn_load(&net, m.data, m.size, err, sizeof(err)) < 0)
        fail_msg("%s", err);
    buf_free(&m);
    return net;
}

/* Input x with one plane, output y. */
static Buf start(void)
{
    Buf g = { 0 };

    ox_value(&g, 11, "x", 1);
    ox_value(&g, 12, "y", 1);
    return g;
}

static Buf one_conv(void)
{
    Buf g = start();

    ox_init(&g, "w", W3, 4, 1, zeros, 9);
    return g;
}

static void accepts(void **state)
{
    Buf        g = one_conv();
    FsrNet    *net;
    FsrNetInfo info;

    (void)state;
    ox_conv(&g, "c", "x w", "a", 1, 1, 1, 1);
    ox_node(&g, "Identity", "i", "a", "b");
    ox_node(&g, "Relu", "r", "b", "y");
    ox_node(&g, "FromTheMoon", "unused", "x", "z");     /* does not reach the output */
    net = accept(&g);
    fsr_nn_info(net, &info);
    assert_int_equal(info.in_planes, 1);
    assert_int_equal(info.out_planes, 1);
    assert_int_equal(info.scale, 1);
    assert_int_equal(info.halo, 1);
    assert_int_equal(info.weights, 10);
    assert_true(info.macs == 9);
    assert_string_equal(fsr_nn_meta(net, "scale"), "2");
    assert_null(fsr_nn_meta(net, "nothing"));
    fsr_nn_free(&net);
    assert_null(net);
    fsr_nn_free(&net);
}

/* What a network that does not take luma holds cannot be guessed: integers only with recorded ranges. */
static void refuses_integers(void **state)
{
    Buf      g = one_conv(), meta = { 0 }, m;
    FsrNet  *net;
    FsrPlan *plan;
    char     err[256] = "";

    (void)state;
    ox_conv(&g, "c", "x w", "y", 1, 1, 1, 1);
    m = ox_model(&g);
    pb_str(&meta, 1, "input");
    pb_str(&meta, 2, "something");
    pb_sub(&m, 14, &meta);
    assert_int_equal(fsr_nn_load(&net, m.data, m.size, err, sizeof(err)), 0);
    buf_free(&m);
    assert_int_equal(fsr_nn_plan_as(&plan, net, 61, 40, 1, FSR_PRECISION_I8, err, sizeof(err)), -ENOSYS);
    assert_null(plan);
    assert_non_null(strstr(err, "precision"));
    fsr_nn_free(&net);
}

static void accepts_constant_and_float_data(void **state)
{
    Buf        g = start(), n = { 0 }, a = { 0 }, t = { 0 };
    const int64_t bdims[1] = { 1 };
    FsrNet    *net;
    FsrNetInfo info;

    (void)state;
    ox_begin(&n, "Constant", "k", "", "w");
    pb_str(&a, 1, "value");
    ox_tensor(&t, "", W3, 4, 0, zeros, 9);
    pb_sub(&a, 5, &t);
    pb_sub(&n, 5, &a);
    pb_sub(&g, 1, &n);
    ox_init(&g, "b0", bdims, 1, 1, zeros, 1);
    ox_value(&g, 11, "b0", 1);                           /* weights listed as inputs */
    ox_node(&g, "Identity", "i", "b0", "b");
    ox_conv(&g, "c", "x w b", "y", 2, 1, 0, 1);
    net = accept(&g);
    fsr_nn_info(net, &info);
    assert_int_equal(info.halo, 2);
    fsr_nn_free(&net);
}

static void one_get(void *opaque, int plane, int x, int y, int w, int h, float *dst, ptrdiff_t stride)
{
    (void)opaque, (void)plane, (void)x, (void)y;
    for (int i = 0; i < w * h; i++)
        dst[i / w * stride + i % w] = 1;
}

static void one_put(void *opaque, int plane, int x, int y, int w, int h, const float *src, ptrdiff_t stride)
{
    (void)x, (void)y, (void)w, (void)h, (void)stride;
    ((float *)opaque)[plane] = src[0];
}

/* float16 tensor w behind a Cast to the given type */
static Buf half_weights(const uint16_t *v, size_t bytes, int to)
{
    static const int64_t dims[4] = { 7, 1, 1, 1 };
    Buf g = start(), t = { 0 }, n = { 0 };

    for (int i = 0; i < 4; i++)
        pb_int(&t, 1, dims[i]);
    pb_int(&t, 2, 10);
    pb_str(&t, 8, "half");
    pb_bytes(&t, 9, v, bytes);
    pb_sub(&g, 5, &t);
    ox_begin(&n, "Cast", "cast", "half", "w");
    ox_attr_int(&n, "to", to);
    pb_sub(&g, 1, &n);
    ox_conv(&g, "c", "x w", "y", 0, 0, 0, 0);
    return g;
}

/* IEEE 754: 1, -2, largest, least normal, least subnormal, largest subnormal, 0.333251953125 */
static void accepts_half_weights(void **state)
{
    const uint16_t v[7]    = { 0x3c00, 0xc000, 0x7bff, 0x0400, 0x0001, 0x03ff, 0x3555 };
    const uint16_t inf[7]  = { 0x3c00, 0xfc00 };
    const float    want[7] = { 1, -2, 65504, 0x1p-14f, 0x1p-24f, 1023 * 0x1p-24f, 0x1.554p-2f };
    float    got[7] = { 0 };
    Buf      g = half_weights(v, sizeof(v), 1);
    FsrNet  *net = accept(&g);
    FsrPlan *plan;
    FsrNnIO  io = { .opaque = got, .get = one_get, .put = one_put };
    char     err[200];

    (void)state;
    assert_int_equal(fsr_nn_plan(&plan, net, 1, 1, 1, err, sizeof(err)), 0);
    for (int j = 0; j < fsr_nn_jobs(plan); j++)
        fsr_nn_run(plan, &io, j, 0);
    for (int i = 0; i < 7; i++)
        assert_true(got[i] == want[i]);
    fsr_nn_plan_free(&plan);
    fsr_nn_free(&net);

    g = half_weights(v, sizeof(v) - 2, 1);
    refuse(&g, -EINVAL, "tensor 'half': 6 values are there, its shape needs 7");
    g = half_weights(inf, sizeof(inf), 1);
    refuse(&g, -EINVAL, "value 1 is not a finite number");
    g = half_weights(v, sizeof(v), 11);
    refuse(&g, -EINVAL, "are missing");
}

static void refuses_operators_and_attributes(void **state)
{
    Buf g = one_conv(), n = { 0 };
    const int64_t two[2] = { 2, 2 };

    (void)state;
    ox_node(&g, "Softmax", "soft", "x", "y");
    refuse(&g, -ENOSYS, "node 'soft': operator Softmax is not supported");

    g = one_conv();
    ox_begin(&n, "Conv", "strided", "x w", "y");
    ox_attr_ints(&n, "strides", two, 1);
    pb_sub(&g, 1, &n);
    refuse(&g, -ENOSYS, "Conv 'strided': strides must be 2 numbers");

    g = one_conv();
    ox_begin(&n, "Conv", "split", "x w", "y");
    ox_attr_int(&n, "group", 2);
    pb_sub(&g, 1, &n);
    refuse(&g, -EINVAL, "Conv 'split': 2 groups do not divide");

    g = one_conv();
    ox_begin(&n, "Conv", "dil", "x w", "y");
    ox_attr_ints(&n, "dilations", two, 2);
    pb_sub(&g, 1, &n);
    refuse(&g, -ENOSYS, "Conv 'dil': dilations");

    g = one_conv();
    ox_begin(&n, "Conv", "odd", "x w", "y");
    ox_attr_int(&n, "colour", 2);
    pb_sub(&g, 1, &n);
    refuse(&g, -ENOSYS, "Conv 'odd': attribute 'colour' is not supported");

    g = one_conv();
    ox_begin(&n, "Conv", "other", "x w", "y");
    pb_str(&n, 7, "com.example");
    pb_sub(&g, 1, &n);
    refuse(&g, -ENOSYS, "domain 'com.example'");

    g = one_conv();
    ox_node(&g, "Softmax", "two\nlines", "x", "y");
    refuse(&g, -ENOSYS, "node 'two?lines'");

    g = one_conv();
    ox_conv(&g, "c", "x w", "y", -1, 1, 3, 1);
    refuse(&g, -EINVAL, "pad out of range");

    g = start();
    ox_shuffle(&g, "d", "x", "y", 2, "CRD");
    refuse(&g, -EINVAL, "1 planes cannot be divided by 4");

    g = start();
    ox_shuffle(&g, "d", "x", "y", 100, NULL);
    refuse(&g, -ENOSYS, "blocksize 100");
}

static void refuses_broken_graphs(void **state)
{
    Buf g = one_conv();

    (void)state;
    ox_node(&g, "Add", "a", "x b", "c");
    ox_node(&g, "Relu", "b", "c", "b");
    ox_node(&g, "Relu", "out", "b", "y");
    refuse(&g, -EINVAL, "(cycle)");

    g = one_conv();
    refuse(&g, -EINVAL, "nothing makes the tensor 'y'");

    g = start();
    ox_conv(&g, "c", "x w", "y", 1, 1, 1, 1);
    refuse(&g, -EINVAL, "Conv 'c': weights 'w' are missing");

    g = one_conv();
    ox_conv(&g, "c", "x w b", "y", 1, 1, 1, 1);
    refuse(&g, -EINVAL, "bias 'b' is missing");

    g = one_conv();
    ox_node(&g, "Conv", "c", "x", "y");
    refuse(&g, -EINVAL, "Conv 'c': has 1 inputs");

    g = start();
    for (int i = 0; i < 8; i++)
        ox_value(&g, 11, (const char[]){ 'a' + i, 0 }, 1);
    ox_node(&g, "Add", "a", "x a", "y");
    refuse(&g, -ENOSYS, "more than 8 inputs");

    g = start();
    ox_value(&g, 11, "x2", 0);
    ox_node(&g, "Relu", "r", "x", "y");
    refuse(&g, -EINVAL, "how many planes its input 'x2' has");

    g = (Buf){ 0 };
    ox_value(&g, 12, "y", 1);
    refuse(&g, -EINVAL, "no input");

    g = (Buf){ 0 };
    ox_value(&g, 11, "x", 1);
    refuse(&g, -EINVAL, "0 outputs");

    g = (Buf){ 0 };
    ox_value(&g, 11, "x", 0);
    ox_value(&g, 12, "y", 1);
    ox_node(&g, "Relu", "r", "x", "y");
    refuse(&g, -EINVAL, "does not say how many planes");
}

static void refuses_broken_tensors(void **state)
{
    const int64_t negative[4] = { 1, 1, -3, -3 }, huge[4] = { 1 << 20, 1 << 20, 1 << 20, 1 << 20 };
    const int64_t wide[4] = { 1, 1, 33, 1 }, two_in[4] = { 1, 2, 3, 3 }, flat[2] = { 3, 3 };
    const float   bad[9]  = { 0, 0, 0, 0, 0.0f / 0.0f };
    const struct {
        const int64_t *dims;
        int            nb, raw;
        const float   *v;
        size_t         n;
        int            code;
        const char    *words;
    } cases[] = {
        { W3, 4, 1, zeros, 8, -EINVAL, "tensor 'w': 8 values are there, its shape needs 9" },
        { W3, 4, 0, zeros, 10, -EINVAL, "10 values are there" },
        { W3, 4, 1, bad, 9, -EINVAL, "value 4 is not a finite number" },
        { negative, 4, 1, zeros, 9, -E2BIG, "dimension 2 of its weights is -3" },
        { huge, 4, 1, zeros, 9, -E2BIG, "dimension 0 of its weights is 1048576" },
        { wide, 4, 1, zeros, 33, -E2BIG, "is 33, outside 1 to 31" },
        { two_in, 4, 1, zeros, 18, -EINVAL, "weights are for 2 planes, its input has 1" },
        { flat, 2, 1, zeros, 9, -ENOSYS, "weights have 2 dimensions" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        Buf g = start();
        ox_init(&g, "w", cases[i].dims, cases[i].nb, cases[i].raw, cases[i].v, cases[i].n);
        ox_conv(&g, "c", "x w", "y", 1, 1, 1, 1);
        refuse(&g, cases[i].code, cases[i].words);
    }
}

static void refuses_external_and_other_types(void **state)
{
    const int64_t huge[4] = { 4096, 1, 31, 31 }, many[4] = { 4096, 4096, 31, 31 };
    Buf g = start(), t = { 0 }, e = { 0 };

    (void)state;
    for (int i = 0; i < 4; i++)
        pb_int(&t, 1, W3[i]);
    pb_int(&t, 2, 1);
    pb_str(&t, 8, "w");
    pb_str(&e, 1, "location");
    pb_str(&e, 2, "/etc/passwd");
    pb_sub(&t, 13, &e);
    pb_int(&t, 14, 1);
    pb_sub(&g, 5, &t);
    ox_conv(&g, "c", "x w", "y", 1, 1, 1, 1);
    refuse(&g, -ENOSYS, "weights in a separate file");

    g = start();
    for (int i = 0; i < 4; i++)
        pb_int(&t, 1, W3[i]);
    pb_int(&t, 2, 16);                                   /* bfloat16 */
    pb_str(&t, 8, "w");
    pb_bytes(&t, 9, zeros, 18);
    pb_sub(&g, 5, &t);
    ox_conv(&g, "c", "x w", "y", 1, 1, 1, 1);
    refuse(&g, -ENOSYS, "element type 16");

    g = start();
    ox_init(&g, "w", huge, 4, 1, zeros, 9);
    ox_conv(&g, "c", "x w", "y", 15, 15, 15, 15);
    refuse(&g, -EINVAL, "9 values are there, its shape needs 3936256");

    g = (Buf){ 0 };
    ox_value(&g, 11, "x", 4096);
    ox_value(&g, 12, "y", 1);
    ox_init(&g, "w", many, 4, 1, zeros, 9);
    ox_conv(&g, "c", "x w", "y", 15, 15, 15, 15);
    refuse(&g, -E2BIG, "more than 16777216 values");
}

/* Numbers that the graph computes: from the planes they are known, from the picture's size not. */
static void folds_numbers(void **state)
{
    const int64_t index[1] = { 1 }, size[1] = { 2 }, zero[1] = { 0 };
    FsrNet    *net;
    FsrNetInfo info;

    (void)state;
    for (int known = 0; known < 2; known++) {
        Buf g = { 0 };

        ox_value(&g, 11, "x", 3);
        ox_value(&g, 12, "y", 1);
        ox_ints(&g, "zero", zero, 1);
        ox_ints(&g, "axis", index, 1);
        ox_ints(&g, "which", known ? index : size, 1);
        ox_node(&g, "Shape", "shape", "x", "s");
        ox_node(&g, "Gather", "gather", "s which", "n");
        ox_node(&g, "Slice", "cut", "x zero n axis", "y");
        if (!known) {
            refuse(&g, -ENOSYS, "Slice 'cut': its ends depend on the picture's size");
            continue;
        }
        net = accept(&g);
        fsr_nn_info(net, &info);
        assert_int_equal(info.out_planes, 3);
        fsr_nn_free(&net);
    }
}

/* Every beginning of a good file is refused; none crashes. */
static void refuses_truncated(void **state)
{
    Buf  g = one_conv(), m;
    char err[256];
    FsrNet *net;

    (void)state;
    ox_conv(&g, "c", "x w", "y", 1, 1, 1, 1);
    m = ox_model(&g);
    for (size_t n = 0; n < m.size; n++) {
        uint8_t *part = malloc(n + 1);                   /* its own block, so that overreads show */
        memcpy(part, m.data, n);
        if (fsr_nn_load(&net, part, n, err, sizeof(err)) >= 0)
            fsr_nn_free(&net);                           /* only trailing messages were lost */
        else
            assert_null(net);
        free(part);
    }
    assert_int_equal(fsr_nn_load(&net, "not a model", 11, err, sizeof(err)), -EINVAL);
    assert_non_null(strstr(err, "not an ONNX model"));
    assert_int_equal(fsr_nn_load(&net, m.data, (size_t)65 << 20, err, sizeof(err)), -E2BIG);
    buf_free(&m);
}

/* Bytes changed at random: loads or refuses, and what loads can be freed. */
static void survives_damage(void **state)
{
    Buf      g = one_conv(), m;
    uint32_t seed = 1;

    (void)state;
    ox_conv(&g, "c", "x w", "a", 1, 1, 1, 1);
    ox_node(&g, "Add", "p", "a x", "y");
    m = ox_model(&g);
    for (int run = 0; run < 20000; run++) {
        uint8_t *copy = malloc(m.size);
        char     err[256];
        FsrNet  *net;

        memcpy(copy, m.data, m.size);
        for (int k = 0; k <= run % 4; k++) {
            seed = seed * 1664525u + 1013904223u;
            copy[(seed >> 8) % m.size] = (uint8_t)(seed >> 24);
        }
        if (fsr_nn_load(&net, copy, m.size, err, sizeof(err)) >= 0)
            fsr_nn_free(&net);
        free(copy);
    }
    buf_free(&m);
}

static void load_file(void **state)
{
    FsrNet *net;
    char    err[256];

    (void)state;
    assert_int_equal(fsr_nn_load_file(&net, "/nonexistent/m.onnx", err, sizeof(err)), -ENOENT);
    assert_string_equal(err, "model '/nonexistent/m.onnx': No such file or directory");
    assert_int_equal(fsr_nn_load_file(&net, "/", err, sizeof(err)), -EISDIR);
    assert_int_equal(fsr_nn_load_file(&net, "/dev/null", err, sizeof(err)), -EINVAL);
    assert_null(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts),
        cmocka_unit_test(refuses_integers),
        cmocka_unit_test(accepts_constant_and_float_data),
        cmocka_unit_test(accepts_half_weights),
        cmocka_unit_test(refuses_operators_and_attributes),
        cmocka_unit_test(refuses_broken_graphs),
        cmocka_unit_test(refuses_broken_tensors),
        cmocka_unit_test(refuses_external_and_other_types),
        cmocka_unit_test(folds_numbers),
        cmocka_unit_test(refuses_truncated),
        cmocka_unit_test(survives_damage),
        cmocka_unit_test(load_file),
    };
    return cmocka_run_group_tests_name("nn_load", tests, NULL, NULL);
}
