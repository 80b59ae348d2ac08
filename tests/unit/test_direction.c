/* Imported vectors, which name no picture: the engine finds where they come from, whatever they say. */
#include "codec_hooks/import_avmv.h"
#include "engine_sim.h"
#include "onnx_writer.h"

static void add_vector(FsrVector *v, const FsrBlock *b, const int16_t mv[2], int source)
{
    *v = (FsrVector){ .source = source, .w = b->w * 4, .h = b->h * 4, .dst_x = b->x * 4 + b->w * 2, .dst_y = b->y * 4 + b->h * 2,
                      .motion_x = mv[0], .motion_y = mv[1], .motion_scale = 4 };
    v->src_x = v->dst_x + mv[0] / 4;
    v->src_y = v->dst_y + mv[1] / 4;
}

/* Make the record one that was imported: vectors with a direction, pictures counted as they are shown. */
static void to_vectors(void *arg, int display, uint8_t *record, size_t *size)
{
    FsrImport *im = arg;
    FsrMotion  m = { 0 };
    FsrVector *v;
    FsrRecord *r;
    size_t     nb = 0;
    int        two_way = 0;

    (void)display;
    assert_int_equal(fsr_motion_load(&m, record, *size), 0);
    v = malloc((2 * m.hdr.nb_blocks + 1) * sizeof(*v));
    for (uint32_t i = 0; i < m.hdr.nb_blocks; i++)
        for (int l = 0; l < 2; l++)
            if (m.blocks[i].ref[l] != FSR_NO_REF) {
                const int future = m.refs[m.blocks[i].ref[l]].poc > m.hdr.poc;

                two_way |= future;
                add_vector(&v[nb++], &m.blocks[i], m.blocks[i].mv[l], future ? 1 : -1);
            }
    r = fsr_record_open(record, SIM_RECORD, m.hdr.coded_w, m.hdr.coded_h);
    r->bit_depth   = m.hdr.bit_depth;
    r->crop_left   = m.hdr.crop_left;
    r->crop_right  = m.hdr.crop_right;
    r->crop_top    = m.hdr.crop_top;
    r->crop_bottom = m.hdr.crop_bottom;
    assert_int_equal(fsr_import_vectors(im, r, v, nb, two_way), 0);
    *size = r->size;
    free(v);
    fsr_motion_free(&m);
}

static SimRun *run_imported(Sim *s, SimConfig cfg)
{
    FsrImport im = { 0 };

    cfg.edit     = to_vectors;
    cfg.edit_arg = &im;
    return sim_run(s, &cfg);
}

static double mean_psnr(Sim *s, const SimRun *r)
{
    double sum = 0;

    for (int i = 0; i < r->nb; i++)
        sum += sim_psnr(s, r->display[i], r->data[i]);
    return sum / r->nb;
}

static double mean_carried(const SimRun *r)
{
    double sum = 0;

    for (int i = 0; i < r->nb; i++)
        sum += r->stats[i].transferred;
    return sum / r->nb;
}

/* Two references into the past, or B pictures in groups: about as much is carried as with a record that names them. */
static void sources_are_found(void **state)
{
    (void)state;
    for (int k = 0; k < 5; k++) {
        Sim    *s = sim_structure(k, 96, 64);
        SimRun *exact = sim_run(s, &(SimConfig){ .fill = FSR_FILL_DETAIL }), *imported, *cubic;

        imported = run_imported(s, (SimConfig){ .fill = FSR_FILL_DETAIL });
        cubic    = sim_run(s, &(SimConfig){ .fill = FSR_FILL_BICUBIC });
        for (int i = 1; i < imported->nb; i++)
            assert_true(imported->display[i] > imported->display[i - 1]);
        print_message("# structure %d: carried %.3f, imported %.3f; cubic %.2f dB, exact %.2f, imported %.2f\n", k, mean_carried(exact),
                      mean_carried(imported), mean_psnr(s, cubic), mean_psnr(s, exact), mean_psnr(s, imported));
        assert_true(mean_carried(imported) > 0.8 * mean_carried(exact));
        /* two vectors from the past are more than a direction can say */
        assert_true(mean_psnr(s, imported) - mean_psnr(s, cubic) > 0.6 * (mean_psnr(s, exact) - mean_psnr(s, cubic)));
        sim_end(exact);
        sim_end(imported);
        sim_end(cubic);
        sim_free(s);
    }
}

/* The second reference of each picture is two pictures back: with only the previous picture tried, half would not fit. */
static void far_source(void **state)
{
    Sim    *s = sim_new(96, 64, 2);
    SimRun *r, *exact;

    (void)state;
    s->vx = 22;
    s->vy = 6;
    for (int i = 0; i < 10; i++)
        sim_add(s, i, i ? FSR_KIND_TRAIL : FSR_KIND_IDR, i > 1 ? i - 2 : i - 1, -1);
    r = run_imported(s, (SimConfig){ .fill = FSR_FILL_DETAIL });
    exact = sim_run(s, &(SimConfig){ .fill = FSR_FILL_DETAIL });
    for (int i = 2; i < r->nb; i++) {
        assert_int_equal(r->stats[i].key, exact->stats[i].key);
        if (r->stats[i].transferred < 0.75 * exact->stats[i].transferred)     /* by macroblock */
            fail_msg("picture %d: %.3f carried, with known references %.3f", i, r->stats[i].transferred, exact->stats[i].transferred);
    }
    sim_end(exact);
    sim_end(r);
    sim_free(s);
}

/* Nothing fits: nothing is carried, and a picture of which most fits nothing is a key frame. */
static void lying_vectors(void **state)
{
    const enum SimLie lies[] = { LIE_ZERO, LIE_FLIP, LIE_SCALE, LIE_RANDOM };

    (void)state;
    for (int k = 0; k < 2; k++)
        for (size_t l = 0; l < sizeof(lies) / sizeof(*lies); l++) {
            Sim    *s = sim_structure(k, 96, 64);
            SimRun *cubic, *r;

            s->vx = 36;
            s->vy = -20;
            cubic = sim_run(s, &(SimConfig){ .fill = FSR_FILL_BICUBIC });
            r     = run_imported(s, (SimConfig){ .fill = FSR_FILL_DETAIL, .lie = lies[l] });
            assert_true(r->totals.keys > 2);
            for (int i = 0; i < r->nb; i++)
                assert_true(sim_psnr(s, i, r->data[i]) > sim_psnr(s, i, cubic->data[i]) - 0.1);
            sim_end(r);
            sim_end(cubic);
            sim_free(s);
        }
}

static void workers_agree(void **state)
{
    (void)state;
    for (int k = 0; k < 3; k++) {
        Sim    *s = sim_structure(k, 80, 208);
        SimRun *one = run_imported(s, (SimConfig){ .fill = FSR_FILL_DETAIL });
        SimRun *three = run_imported(s, (SimConfig){ .fill = FSR_FILL_DETAIL, .workers = 3 });

        for (int i = 0; i < one->nb; i++)
            assert_memory_equal(one->data[i], three->data[i], one->size);
        sim_end(one);
        sim_end(three);
        sim_free(s);
    }
}

/* Exported vectors do not tell the QP: fill=fuse's network is given 30, a middling one, on pictures with references and without. */
static void qp_is_a_middling_one(void **state)
{
    float w[11][16] = { { 0 } };
    FsrNet *net = NULL;
    Buf m;
    char err[256];

    (void)state;
    for (int i = 0; i < 4; i++)
        w[i][15] = 0.1f;        /* detail from QP / 51 */
    m = ox_linear(w[0], 16, 11);
    assert_int_equal(fsr_nn_load(&net, m.data, m.size, err, sizeof(err)), 0);
    for (int k = 0; k < 2; k++) {
        Sim    *s = sim_structure(k, 96, 64);
        SimRun *base = run_imported(s, (SimConfig){ .fill = FSR_FILL_DETAIL, .threshold = 1e-9 });
        SimRun *r = run_imported(s, (SimConfig){ .fill = FSR_FILL_FUSE, .net = net });

        for (int i = 0; i < r->nb; i++) {
            double more = 0;

            for (size_t j = 0; j < r->size; j++)
                more += r->data[i][j] - base->data[i][j];
            assert_true(fabs(more / r->size - 0.1 * 255 * 30 / 51) < 1);
        }
        sim_end(base);
        sim_end(r);
        sim_free(s);
    }
    fsr_nn_free(&net);
    buf_free(&m);
}

/* Long streams: no more pictures are held than some have use for, and B pictures without an end do not wait for ever. */
static void bounded(void **state)
{
    Sim    *s = sim_new(64, 48, 2);
    SimRun *r;

    (void)state;
    sim_hierarchical(s, 97, 4, 0);
    r = run_imported(s, (SimConfig){ .fill = FSR_FILL_DETAIL });
    assert_true(r->bytes[90] <= r->bytes[40]);
    assert_true(r->waiting <= 8);
    sim_end(r);
    sim_free(s);

    s = sim_new(64, 48, 2);
    sim_add(s, 0, FSR_KIND_IDR, -1, -1);
    sim_add(s, 60, FSR_KIND_TRAIL, 0, -1);
    for (int i = 1; i < 60; i++)
        sim_add(s, i, FSR_KIND_TRAIL, 0, 1);
    r = run_imported(s, (SimConfig){ .fill = FSR_FILL_DETAIL, .to = 60 });
    assert_true(r->waiting <= 18);
    sim_end(r);
    sim_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sources_are_found),
        cmocka_unit_test(far_source),
        cmocka_unit_test(lying_vectors),
        cmocka_unit_test(workers_agree),
        cmocka_unit_test(qp_is_a_middling_one),
        cmocka_unit_test(bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
