/* nn: plans and runs, against direct evaluation in double precision. */
#include <errno.h>
#include <pthread.h>

#include "nn_graph.h"

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
        { 48, 9, 3, 1 }, { 12, 7, 2, 4 }, { 64, 2, 3, 3 }, { 5, 1, 7, 3 }, { 2, 3, 1, 9 }, { 20, 40, 3, 3 }, { 128, 80, 1, 1 }, { 16, 1, 31, 31 },
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
static int          damaged, detail;

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
    if (detail) {
        Buf meta = { 0 };

        pb_str(&meta, 1, "output");
        pb_str(&meta, 2, "detail");
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

/* The same with the input's range: it is bytes, with 11 bits where the 1x1 path hands on most of the result, which the 3x3
 * convolution beside it reads without the lower ones. */
static void i8_bytes_in(void **state)
{
    Graph   g = { .nb = 0 };
    FsrNet *net;
    Pic     in = new_pic(16, 61, 40), want = { 0 };
    Plane  *ref;
    double  sum = 0, error = 0, n = 11 * 61 * 40;

    (void)state;
    seed = 13;
    add_input(&g, 16);
    add_conv(&g, 0, 16, 3, 3, 1, 1);
    add_op(&g, FSR_OP_RELU, 1, -1);
    add_conv(&g, 2, 11, 3, 3, 1, 1);
    add_conv(&g, 0, 11, 1, 1, 0, 0);
    add_op(&g, FSR_OP_ADD, 3, 4);
    for (int k = 0; k < 11 * 16; k++)
        g.ops[4].w[k] *= k % 16 / 4 == 2 ? 4 : 0.1f;        /* of four planes most */
    ref     = evaluate(&g, &in);
    memset(seen, 0, sizeof(seen));
    seen[0] = &ref[0];
    seen[1] = &ref[2];
    add_metadata = write_ranges;
    net = load_graph(&g);
    add_metadata = NULL;
    seen[0] = seen[1] = NULL;
    precision = FSR_PRECISION_I8;
    for (int isa = 0; isa < FSR_ISA_NB; isa++) {
        Pic whole, tiled;

        if (!fsr_nn_isa_available(isa))
            continue;
        whole = run(net, &in, isa, 0, 0);
        tiled = run(net, &in, isa, 23, 9);
        check_part(net, &in, &tiled, isa, 23, 9);
        same_bits(&whole, &tiled, fsr_nn_isa_name(isa));
        if (want.data)
            same_bits(&want, &whole, fsr_nn_isa_name(isa));
        free_pic(&want);
        free_pic(&tiled);
        want = whole;
    }
    precision = FSR_PRECISION_F32;
    for (int k = 0; k < n; k++) {
        const double e = want.data[k] - *at(&ref[5], k / (61 * 40), k % 61, k / 61 % 40);

        sum   += e;
        error += e * e;
    }
    assert_true(fabs(sum / n) < 2e-4);              /* no lean to one side, and less than the 0.005 of 8 bits alone */
    assert_true(sqrt(error / n) < 0.004);
    for (int i = 0; i < g.nb; i++)
        free(ref[i].v);
    free(ref);
    free_pic(&want);
    free_pic(&in);
    fsr_nn_free(&net);
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

/* Runs t of a picture, cut in one of three ways: what it gives, and 0 elsewhere. */
static Pic run_limited(const FsrNet *net, Pic *in, const FsrNnTiles *t, int isa, int cut)
{
    FsrPlan   *plan = make_plan(net, in, 1, isa, cut == 2 ? 11 : 0, cut ? 1 + rnd(in->h) : 0);
    FsrNetInfo info;
    Pic        out, *io[2] = { in, &out };
    FsrNnIO    nnio = { .opaque = io, .get_row = get_row, .put_row = put_row };

    fsr_nn_info(net, &info);
    out = new_pic(info.out_planes, in->w * info.scale, in->h * info.scale);
    for (int j = 0; j < fsr_nn_jobs(plan); j++)     /* what is in memory is no clean slate */
        fsr_nn_run(plan, &nnio, j, 0);
    memset(out.hits, 0, (size_t)out.planes * out.w * out.h);
    memset(out.data, 0, (size_t)out.planes * out.w * out.h * sizeof(float));
    for (int j = 0; cut < 2 && j < fsr_nn_jobs(plan); j++)
        fsr_nn_run_tiles(plan, &nnio, t, j, 0);
    for (int y = 0, nb; cut == 2 && y < in->h; y += nb) {
        nb = 1 + rnd(in->h - y);
        fsr_nn_run_rows(plan, &nnio, t, y, nb, 0);
    }
    assert_int_equal(in->bad + out.bad, 0);
    fsr_nn_plan_free(&plan);
    return out;
}

/* Values of 16 planes and detail that comes out: kernels of lanes, where there are such. The same bits as plain C, in any
 * tiles and with a limited halo. */
static void i8_lanes(void **state)
{
    Graph   g = { .nb = 0 };
    FsrNet *net;
    Pic     in = new_pic(16, 77, 50), want = { 0 };
    uint8_t wanted[5 * 4];
    FsrNnTiles t = { .wanted = wanted, .stride = 5, .cols = 5, .rows = 4, .tile_w = 16, .tile_h = 16, .halo = 1 };
    Plane  *ref;

    (void)state;
    seed = 17;
    for (int i = 0; i < 5 * 4; i++)
        wanted[i] = rnd(2);
    add_input(&g, 16);
    add_conv(&g, 0, 16, 3, 3, 1, 1);
    add_op(&g, FSR_OP_RELU, 1, -1);
    add_conv(&g, 2, 16, 3, 3, 1, 1);
    add_op(&g, FSR_OP_RELU, 3, -1);
    add_op(&g, FSR_OP_ADD, 2, 4);
    add_conv(&g, 5, 11, 3, 3, 1, 1);
    add_conv(&g, 0, 11, 1, 1, 0, 0);
    add_op(&g, FSR_OP_ADD, 6, 7);
    ref = evaluate(&g, &in);
    memset(seen, 0, sizeof(seen));
    seen[0] = &ref[0];
    seen[1] = &ref[2];
    seen[3] = &ref[4];
    seen[5] = &ref[5];
    add_metadata = write_ranges;
    detail       = 1;
    net          = load_graph(&g);
    detail       = 0;
    add_metadata = NULL;
    memset(seen, 0, sizeof(seen));
    precision = FSR_PRECISION_I8;
    for (int limit = 0; limit < 2; limit++)
        for (int isa = 0; isa < FSR_ISA_NB; isa++)
            for (int cut = 0; cut < 3 && fsr_nn_isa_available(isa); cut++) {
                Pic have = limit ? run_limited(net, &in, &t, isa, cut) : run(net, &in, isa, cut * 13, cut * 9);

                if (isa || cut)
                    same_bits(&want, &have, fsr_nn_isa_name(isa));
                if (!limit && !isa && !cut)
                    near_reference(&g, ref, &have, FSR_ISA_AVX2);
                free_pic(&want);
                want = have;
            }
    precision = FSR_PRECISION_F32;
    for (int i = 0; i < g.nb; i++)
        free(ref[i].v);
    free(ref);
    free_pic(&want);
    free_pic(&in);
    fsr_nn_free(&net);
    free_graph(&g);
}

/* A limited halo: values further from wanted tiles are 0, and it makes no difference how the picture is cut for threads, in
 * jobs or in rows of the caller's choice. */
static void limited_halo(void **state)
{
    (void)state;
    for (uint32_t trial = 1; trial < 30; trial++) {
        uint8_t    wanted[16 * 16];
        Graph      g = { .nb = 0 };
        FsrNet    *net;
        FsrNnTiles t = { .wanted = wanted, .stride = 16, .halo = 1 + trial % 3 };
        Pic        in;
        Plane     *ref, *p;
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
        for (unsigned k = rnd(4); k; k--)           /* layers of which the same is made */
            add_conv(&g, g.nb - 1, 16, 3, 3, 1, 1);
        add_conv(&g, g.nb - 1, 8, 5, 3, 2, 1);
        if (trial & 1)
            add_shuffle(&g, g.nb - 1, 2, 1);
        net    = load_graph(&g);
        in     = new_pic(g.ops[0].channels, 30 + rnd(60), 30 + rnd(40));
        t.x    = -(int)rnd(t.tile_w);
        t.y    = -(int)rnd(t.tile_h);
        t.cols = min((in.w + t.tile_w - 1) / t.tile_w, 16);
        t.rows = min((in.h + t.tile_h - 1) / t.tile_h, 16);
        for (int i = 0; i < 16 * 16; i++)
            wanted[i] = rnd(3) == 0;
        limited = &t;
        ref     = evaluate(&g, &in);
        p       = &ref[g.nb - 1];
        limited = NULL;
        for (int isa = 0; isa < FSR_ISA_NB; isa++)
            for (int cut = 0; cut < 3 && fsr_nn_isa_available(isa); cut++) {
                Pic out = run_limited(net, &in, &t, isa, cut);

                for (int k = 0; k < out.planes * out.w * out.h; k++) {
                    const double want = *at(p, k / (out.w * out.h), k % out.w, k / out.w % out.h);

                    if (out.hits[k] && !(fabs(out.data[k] - want) <= 2e-5 * (1 + fabs(want))))
                        fail_msg("%s, trial %u, cut %d: sample %d is %.9g, should be %.9g", fsr_nn_isa_name(isa), trial, cut, k,
                                 out.data[k], want);
                }
                free_pic(&out);
            }
        precision = FSR_PRECISION_I8;               /* the same bits with every set */
        if (trial % 4 == 0) {
            Pic want = run_limited(net, &in, &t, FSR_ISA_C, 0);

            for (int isa = FSR_ISA_AVX2; isa < FSR_ISA_NB; isa++)
                for (int cut = 0; cut < 3 && fsr_nn_isa_available(isa); cut++) {
                    Pic have = run_limited(net, &in, &t, isa, cut);

                    same_bits(&want, &have, fsr_nn_isa_name(isa));
                    free_pic(&have);
                }
            free_pic(&want);
        }
        precision = FSR_PRECISION_F32;
        for (int i = 0; i < g.nb; i++)
            free(ref[i].v);
        free(ref);
        free_pic(&in);
        fsr_nn_free(&net);
        free_graph(&g);
    }
}

static void gives_luma(Buf *model)
{
    Buf meta = { 0 };

    pb_str(&meta, 1, "output");
    pb_str(&meta, 2, "luma");
    pb_sub(model, 14, &meta);
}

/* bfloat16 is refused to networks through which the picture itself goes, not to others. */
static void bf16_not_for_pictures(void **state)
{
    Graph    g = { .nb = 0 };
    FsrNet  *net;
    FsrPlan *plan;
    char     err[256];

    (void)state;
    add_input(&g, 1);
    add_conv(&g, 0, 16, 3, 3, 1, 1);
    add_conv(&g, 1, 1, 3, 3, 1, 1);
    for (int luma = 0; luma < 2; luma++) {
        add_metadata = luma ? gives_luma : NULL;
        net = load_graph(&g);
        assert_int_equal(fsr_nn_plan_as(&plan, net, 20, 20, 1, FSR_PRECISION_BF16, err, sizeof(err)), 0);
        assert_int_equal(plan->precision, fsr_nn_isa() < FSR_ISA_AVX512BF16 || luma ? FSR_PRECISION_F32 : FSR_PRECISION_BF16);
        fsr_nn_plan_free(&plan);
        fsr_nn_free(&net);
    }
    add_metadata = NULL;
    free_graph(&g);
}

static void refuses_sizes(void **state)
{
    static const int bad[][3] = { { 0, 5, 1 }, { 5, 0, 1 }, { -3, 5, 1 }, { 40000, 5, 1 }, { 5, 5, 0 } };
    Graph    g = { .nb = 0 };
    FsrNet  *net;
    FsrPlan *plan;

    (void)state;
    add_input(&g, 1);
    add_conv(&g, 0, 1, 3, 3, 1, 1);
    net = load_graph(&g);
    for (int i = 0; i < 5; i++) {
        char err[256] = "";

        assert_int_equal(fsr_nn_plan(&plan, net, bad[i][0], bad[i][1], bad[i][2], err, sizeof(err)), -EINVAL);
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
        cmocka_unit_test(i8_bytes_in),
        cmocka_unit_test(workers),
        cmocka_unit_test(counts_work),
        cmocka_unit_test(copies_what_repeats),
        cmocka_unit_test(pays_for_parts_only),
        cmocka_unit_test(i8_lanes),
        cmocka_unit_test(limited_halo),
        cmocka_unit_test(bf16_not_for_pictures),
        cmocka_unit_test(refuses_sizes),
    };
    return cmocka_run_group_tests_name("nn_run", tests, NULL, NULL);
}
