/* fill=fuse: what the network is given and what is done with its answer, on streams whose motion is known. */
#include <errno.h>

#include "engine_sim.h"
#include "onnx_writer.h"
#include "models/models.h"

enum { IN = 16, OUT = 11 };
enum { LUMA = 0, DETAIL = 1, STATE = 5, MISMATCH = 12, QP = 15 };     /* input planes */

static FsrNet *net;

static FsrNet *linear_of(const float *w, int planes_in, int planes_out)
{
    FsrNet *n = NULL;
    Buf m = ox_linear(w, planes_in, planes_out);
    char err[256];

    if (fsr_nn_load(&n, m.data, m.size, err, sizeof(err)) < 0)
        fail_msg("%s", err);
    buf_free(&m);
    return n;
}

static FsrNet *linear(float w[OUT][IN], int planes_out)
{
    return linear_of(w[0], IN, planes_out);
}

/* Every block with references is skipped. */
static void skip_all(void *arg, int display, uint8_t *record, size_t *size)
{
    FsrRecord *r = (FsrRecord *)record;
    FsrBlock  *b = sim_blocks(record);

    (void)arg;
    (void)display;
    (void)size;
    for (uint32_t i = 0; i < r->nb_blocks; i++)
        if (b[i].mode == FSR_INTER)
            b[i].mode = FSR_SKIP;
}

/* A network that hands on what is carried makes fill=detail without a network, to the bit. */
static void carried_is_detail(void **state)
{
    float w[OUT][IN] = { { 0 } };
    FsrNet *same;

    (void)state;
    for (int i = 0; i < 4; i++)
        w[i][DETAIL + i] = 0.25f;
    same = linear(w, OUT);
    for (int k = 0; k < 5; k++) {
        Sim    *s = sim_structure(k, 98, 66);
        SimRun *a = sim_run(s, &(SimConfig){ .fill = FSR_FILL_DETAIL });
        SimRun *b = sim_run(s, &(SimConfig){ .fill = FSR_FILL_FUSE, .net = same });
        SimRun *c = sim_run(s, &(SimConfig){ .fill = FSR_FILL_FUSE, .net = same, .budget = 1, .edit = skip_all });

        assert_int_equal(a->nb, b->nb);
        for (int i = 0; i < a->nb; i++) {
            if (memcmp(a->data[i], b->data[i], a->size))
                fail_msg("structure %d: picture %d is not that of fill=detail", k, a->display[i]);
            if (memcmp(b->data[i], c->data[i], a->size))
                fail_msg("structure %d: picture %d is another where tiles are left out", k, a->display[i]);
        }
        assert_true(c->totals.macs < b->totals.macs);
        sim_end(a);
        sim_end(b);
        sim_end(c);
        sim_free(s);
    }
    fsr_nn_free(&same);
}

/* Feature planes move with the vectors: the luma that the network keeps as its state comes back as the prediction. */
static void state_is_carried(void **state)
{
    float w[OUT][IN] = { { 0 } };
    FsrNet *n;

    (void)state;
    for (int i = 0; i < 7; i++) {
        w[4 + i][LUMA] = 1;
        if (i < 4) {        /* state - prediction, the latter being luma - mismatch */
            w[i][STATE + i]  = 1;
            w[i][LUMA]       = -1;
            w[i][MISMATCH]   = 0.25f;
        }
    }
    n = linear(w, OUT);
    for (int k = 0; k < 2; k++) {
        Sim    *s = sim_structure(k, 96, 64);
        SimRun *base = sim_run(s, &(SimConfig){ .fill = FSR_FILL_DETAIL, .threshold = 1e-9 });
        SimRun *r = sim_run(s, &(SimConfig){ .fill = FSR_FILL_FUSE, .net = n });
        int     others[2] = { 0 };

        for (int i = 0; i < r->nb; i++)
            for (size_t j = 0; j < r->size; j++)
                others[i > 0] += abs(r->data[i][j] - base->data[i][j]) > 2;
        print_message("# samples that are not the base: first picture %.3f, others %.4f\n", (double)others[0] / r->size,
                      (double)others[1] / (r->size * (r->nb - 1)));
        assert_true(others[0] > 0.5 * r->size);             /* nothing was carried yet */
        assert_true(others[1] < 0.12 * r->size * (r->nb - 1));   /* intra blocks */
        sim_end(base);
        sim_end(r);
        sim_free(s);
    }
    fsr_nn_free(&n);
}

/* Pictures without references go through a network of their own, which is given luma and QP; the state that it leaves is carried on. */
static void key_network(void **state)
{
    float w[OUT][IN] = { { 0 } }, k[2][OUT][2] = { { { 0 } } };
    FsrNet *whole, *key[2];

    (void)state;
    for (int i = 0; i < OUT; i++) {
        w[i][LUMA] = k[0][i][0] = k[1][i][0] = 0.25f + 0.0625f * i;
        w[i][QP]   = k[0][i][1] = 0.125f;
        w[i][STATE + (i < 4 ? i : i - 4)] = i < 4 ? 0.5f : 0.875f;
    }
    whole = linear(w, OUT);
    for (int i = 0; i < 2; i++)
        key[i] = linear_of(k[i][0], 2, OUT);
    for (int i = 0; i < 5; i++) {
        Sim    *s = sim_structure(i, 98, 66);
        SimRun *a = sim_run(s, &(SimConfig){ .fill = FSR_FILL_FUSE, .net = whole });
        SimRun *b = sim_run(s, &(SimConfig){ .fill = FSR_FILL_FUSE, .net = whole, .key_net = key[0] });
        SimRun *c = sim_run(s, &(SimConfig){ .fill = FSR_FILL_FUSE, .net = whole, .key_net = key[1] });
        int differ = 0;

        for (int j = 0; j < a->nb; j++) {
            if (memcmp(a->data[j], b->data[j], a->size))
                fail_msg("structure %d: picture %d is another with the same done by a network for key pictures", i, a->display[j]);
            differ += !!memcmp(a->data[j], c->data[j], a->size);
        }
        assert_int_equal(differ, a->nb);    /* the first, and the others through what is carried */
        assert_true(b->totals.macs < a->totals.macs);
        sim_end(a);
        sim_end(b);
        sim_end(c);
        sim_free(s);
    }
    fsr_nn_free(&whole);
    fsr_nn_free(&key[0]);
    fsr_nn_free(&key[1]);
}

/* Every other picture, by its number, is coded with QP 20 or 40. */
static void two_qps(void *arg, int display, uint8_t *record, size_t *size)
{
    FsrRecord *r = (FsrRecord *)record;
    FsrBlock  *b = sim_blocks(record);

    (void)arg;
    (void)display;
    (void)size;
    for (uint32_t i = 0; i < r->nb_blocks; i++)
        b[i].qp = r->number % 2 ? 20 : 40;
}

/* The network for coarse pictures is used on those of a high QP, and on no others. */
static void coarse_network(void **state)
{
    float w[2][OUT][IN] = { { { 0 } } };
    FsrNet *nets[2];

    (void)state;
    for (int k = 0; k < 2; k++) {
        for (int i = 0; i < 4; i++)
            w[k][i][LUMA] = 0.125f * k;
        nets[k] = linear(w[k], OUT);
    }
    for (int i = 0; i < 5; i++) {
        Sim    *s = sim_structure(i, 98, 66);
        SimRun *fine = sim_run(s, &(SimConfig){ .fill = FSR_FILL_FUSE, .net = nets[0], .edit = two_qps });
        SimRun *coarse = sim_run(s, &(SimConfig){ .fill = FSR_FILL_FUSE, .net = nets[1], .edit = two_qps });
        int nb[2] = { 0 };

        for (int from = 20; from <= 41; from += 7) {        /* 20: all; 27, 34: those of 40; 41: none */
            SimRun *both = sim_run(s, &(SimConfig){ .fill = FSR_FILL_FUSE, .net = nets[0], .coarse_net = nets[1], .coarse_from = from,
                                                    .edit = two_qps });

            for (int j = 0; j < both->nb; j++) {
                const int is = !memcmp(both->data[j], coarse->data[j], both->size);

                assert_true(is || !memcmp(both->data[j], fine->data[j], both->size));
                nb[is] += from > 20 && from < 41;
                assert_true(from > 20 || is);
                assert_true(from < 41 || !is);
            }
            assert_true(both->totals.macs == fine->totals.macs);
            sim_end(both);
        }
        assert_true(abs(nb[0] - nb[1]) <= 2);
        sim_end(fine);
        sim_end(coarse);
        sim_free(s);
    }
    fsr_nn_free(&nets[0]);
    fsr_nn_free(&nets[1]);
}

static double mean_psnr(Sim *s, const SimRun *r)
{
    double sum = 0;

    for (int i = 1; i < r->nb; i++)
        sum += sim_psnr(s, r->display[i], r->data[i]);
    return sum / (r->nb - 1);
}

/* Integers cost next to nothing: the file says what its values hold. */
static void integers(void **state)
{
    (void)state;
    for (int k = 0; k < 4; k++) {
        Sim    *s = sim_structure(k, 96, 64);
        SimRun *f = sim_run(s, &(SimConfig){ .fill = FSR_FILL_FUSE, .net = net });
        SimRun *i = sim_run(s, &(SimConfig){ .fill = FSR_FILL_FUSE, .net = net, .precision = FSR_PRECISION_I8 });

        print_message("# float %.3f dB, integers %.3f\n", mean_psnr(s, f), mean_psnr(s, i));
        assert_true(mean_psnr(s, i) > mean_psnr(s, f) - 0.1);
        assert_true(memcmp(f->data[0], i->data[0], f->size));       /* integers they were */
        sim_end(f);
        sim_end(i);
        sim_free(s);
    }
}

/* No worse than plain upscaling, whatever the vectors say. */
static void lying_vectors(void **state)
{
    (void)state;
    for (int k = 0; k < 2; k++) {
        Sim    *s = sim_structure(k, 96, 64);
        SimRun *cubic = sim_run(s, &(SimConfig){ .fill = FSR_FILL_BICUBIC });
        SimRun *right = sim_run(s, &(SimConfig){ .fill = FSR_FILL_FUSE, .net = net });
        double  r = mean_psnr(s, right), c = mean_psnr(s, cubic);

        for (int lie = LIE_ZERO; lie <= LIE_RANDOM; lie++) {
            SimRun *wrong = sim_run(s, &(SimConfig){ .fill = FSR_FILL_FUSE, .net = net, .lie = lie });
            double  v = mean_psnr(s, wrong);

            print_message("# cubic %.2f dB, fuse %.2f, with lie %d %.2f\n", c, r, lie, v);
            assert_true(r > c);
            assert_true(v > c - 0.1);
            sim_end(wrong);
        }
        sim_end(cubic);
        sim_end(right);
        sim_free(s);
    }
}

/* Equal to the bit for any number of threads and on a second run; shown again, a picture keeps its bits. */
static void threads_and_repeats(void **state)
{
    uint8_t repeat[SIM_MAX];

    (void)state;
    for (int i = 0; i < SIM_MAX; i++)
        repeat[i] = i % 3 == 1;
    for (int k = 0; k < 4; k += 2)
        for (double budget = 0; budget <= 1000; budget += 1000) {
            Sim    *s = sim_structure(k, 210, 150);
            SimRun *one = sim_run(s, &(SimConfig){ .fill = FSR_FILL_FUSE, .net = net, .budget = budget, .repeat = repeat,
                                                   .edit = skip_all });

            for (int workers = 2; workers <= 3; workers++) {
                SimRun *r = sim_run(s, &(SimConfig){ .fill = FSR_FILL_FUSE, .net = net, .budget = budget, .repeat = repeat,
                                                     .workers = workers, .edit = skip_all });

                assert_int_equal(r->nb, one->nb);
                for (int i = 0; i < r->nb; i++) {
                    if (memcmp(r->data[i], one->data[i], r->size))
                        fail_msg("structure %d: picture %d is another with %d workers", k, r->display[i], workers);
                    if (i && r->display[i] == r->display[i - 1] && memcmp(r->data[i], r->data[i - 1], r->size))
                        fail_msg("structure %d: picture %d, shown again, is another", k, r->display[i]);
                }
                sim_end(r);
            }
            sim_end(one);
            sim_free(s);
        }
}

/* No other picture refers to any but the first. */
static void leaves(void *arg, int display, uint8_t *record, size_t *size)
{
    (void)arg;
    (void)size;
    if (display)
        ((FsrRecord *)record)->flags &= ~FSR_PIC_REFERENCE;
}

/* Of a picture that no other refers to, feature planes are carried only where the network looks: that shows nowhere. It gets 0.35 of
 * the budget; leading pictures that a cut would lose, as these, neither save nor owe. */
static void unread_state(void **state)
{
    (void)state;
    for (int budget = 500; budget <= 4000; budget *= 2) {
        Sim    *s = sim_new(210, 150, 2);
        SimRun *kept, *leaf;

        sim_add(s, 0, FSR_KIND_CRA, -1, -1);
        s->pic[0].flags |= FSR_PIC_FIRST;
        for (int i = 1; i < 10; i++)
            sim_add(s, i, FSR_KIND_RASL, 0, -1);
        kept = sim_run(s, &(SimConfig){ .fill = FSR_FILL_FUSE, .net = net, .budget = budget * 0.35 });
        leaf = sim_run(s, &(SimConfig){ .fill = FSR_FILL_FUSE, .net = net, .budget = budget, .edit = leaves });
        assert_int_equal(leaf->nb, kept->nb);
        assert_true(leaf->totals.macs == kept->totals.macs);
        for (int i = 0; i < leaf->nb; i++)
            assert_memory_equal(leaf->data[i], kept->data[i], kept->size);
        sim_end(kept);
        sim_end(leaf);
        sim_free(s);
    }
}

/* State is freed when no later picture can refer to it. */
static void memory_is_bounded(void **state)
{
    Sim    *s = sim_structure(0, 96, 64);
    SimRun *r = sim_run(s, &(SimConfig){ .fill = FSR_FILL_FUSE, .net = net });
    size_t  early = 0, most = 0;

    (void)state;
    for (int i = 0; i < r->nb; i++) {
        if (i < 8 && r->bytes[i] > early)
            early = r->bytes[i];
        if (r->bytes[i] > most)
            most = r->bytes[i];
    }
    assert_int_equal(early, most);
    sim_end(r);
    sim_free(s);
}

/* Only networks made for it, only 2x. */
static void refuses(void **state)
{
    float   w[OUT][IN] = { { 0 } };
    FsrNet *small = linear(w, 4), *fits = linear(w, OUT);
    Sim    *s = sim_new(32, 32, 3), *t = sim_new(32, 32, 2);
    const struct { Sim *s; const FsrNet *net; enum FsrFill fill; const FsrNet *key_net, *coarse_net; } c[] = {
        { s, fits, FSR_FILL_FUSE, NULL, NULL }, { t, small, FSR_FILL_FUSE, NULL, NULL }, { t, NULL, FSR_FILL_FUSE, NULL, NULL },
        { t, fits, FSR_FILL_DETAIL, NULL, NULL }, { t, fits, FSR_FILL_FUSE, fits, NULL }, { t, fits, FSR_FILL_FUSE, NULL, small },
        { t, fits, FSR_FILL_FUSE, NULL, net },      /* other layers */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(c) / sizeof(*c); i++) {
        SimRun *r = sim_start(c[i].s, &(SimConfig){ .fill = c[i].fill, .net = c[i].net, .key_net = c[i].key_net,
                                                   .coarse_net = c[i].coarse_net });

        assert_int_equal(r->ret, -EINVAL);
        sim_end(r);
    }
    sim_free(s);
    sim_free(t);
    fsr_nn_free(&small);
    fsr_nn_free(&fits);
}

static int load(void **state)
{
    char err[256];

    (void)state;
    for (const FsrModelEntry *m = fsr_models; m->name; m++)
        if (!strcmp(m->name, "fuse-x2"))
            return fsr_nn_load(&net, m->data, m->size, err, sizeof(err));
    return -1;
}

static int unload(void **state)
{
    (void)state;
    fsr_nn_free(&net);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(carried_is_detail), cmocka_unit_test(state_is_carried), cmocka_unit_test(key_network), cmocka_unit_test(coarse_network), cmocka_unit_test(integers), cmocka_unit_test(lying_vectors),
        cmocka_unit_test(threads_and_repeats), cmocka_unit_test(unread_state), cmocka_unit_test(memory_is_bounded), cmocka_unit_test(refuses),
    };

    return cmocka_run_group_tests(tests, load, unload);
}
