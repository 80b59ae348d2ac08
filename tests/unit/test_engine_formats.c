/* The engine's sizes and formats, threads, and what happens when memory is short. */
#include <errno.h>

#include "engine_sim.h"
#include "models/models.h"

static FsrNet *net;

/* Failing allocations: with glibc the functions can be replaced, and counted. ---------- */

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define CAN_FAIL_MALLOC 1
void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t), *__libc_memalign(size_t, size_t);
void  __libc_free(void *);

static volatile int armed, fail_at, calls, live;

static int fails(void)
{
    return armed && sim_inside && ++calls == fail_at;
}

static void *counted(void *p)
{
    live += armed && sim_inside && p;
    return p;
}

void *malloc(size_t n)                          { return fails() ? NULL : counted(__libc_malloc(n)); }
void *calloc(size_t n, size_t m)                { return fails() ? NULL : counted(__libc_calloc(n, m)); }
void *aligned_alloc(size_t a, size_t n)         { return fails() ? NULL : counted(__libc_memalign(a, n)); }
int   posix_memalign(void **p, size_t a, size_t n)
{
    *p = fails() ? NULL : counted(__libc_memalign(a, n));
    return *p ? 0 : ENOMEM;
}

void *realloc(void *p, size_t n)
{
    void *q = fails() ? NULL : __libc_realloc(p, n);

    return p ? q : counted(q);
}

void free(void *p)
{
    live -= armed && sim_inside && p;
    __libc_free(p);
}
#endif

/* Threads, failures ---------------------------------------------------------------------- */

static void assert_same(const SimRun *a, const SimRun *b)
{
    assert_int_equal(a->nb, b->nb);
    assert_int_equal(a->size, b->size);
    for (int i = 0; i < a->nb; i++) {
        assert_int_equal(a->display[i], b->display[i]);
        if (memcmp(a->data[i], b->data[i], a->size))
            fail_msg("picture %d differs", a->display[i]);
        assert_memory_equal(&a->stats[i].key, &b->stats[i].key, sizeof(int));
    }
}

static void workers_agree(void **state)
{
    (void)state;
    for (int fill = 0; fill <= FSR_FILL_DETAIL; fill++) {
        Sim      *s = sim_structure(3, 80, 208);            /* four stripes */
        SimConfig cfg = { .fill = fill, .net = net, .interval = 12, .layout = { .planes = 3, .lw = 1, .lh = 1 } };
        SimRun   *one;

        s->crop[2] = 6;
        one = sim_run(s, &cfg);
        for (cfg.workers = 1; cfg.workers <= 5; cfg.workers += 2) {
            SimRun *r = sim_run(s, &cfg);

            assert_same(one, r);
            sim_end(r);
        }
        sim_end(one);
        sim_free(s);
    }
}

static void output_that_cannot_be_had(void **state)
{
    (void)state;
    for (int k = 0; k < 5; k++)
        for (int at = 1; at < 14; at++) {
            Sim    *s = sim_structure(k, 48, 32);
            SimRun *r = sim_run(s, &(SimConfig){ .fill = at % 3, .fail_alloc = at });

            if (at <= s->nb) {
                assert_int_equal(r->ret, -55);
                assert_int_equal(r->nb + r->discarded, at - 1);
            }
            sim_end(r);
            sim_free(s);
        }
}

#if CAN_FAIL_MALLOC
/* A run that stops at the first error. The engine's own allocations are counted alone. */
static int run_with_fault(Sim *s, const SimConfig *cfg, int at)
{
    SimRun *r;
    int     ret;

    calls   = live = 0;
    fail_at = at;
    armed   = 1;
    r = sim_start(s, cfg);
    for (int t = 0; t < s->nb && !r->ret; t++)
        sim_push(r, s, t);
    sim_finish(r);
    ret = r->ret;
    sim_end(r);
    armed = 0;
    if (live)
        fail_msg("fault %d: %d blocks of memory left", at, live);
    return ret;
}
#endif

static void memory_that_cannot_be_had(void **state)
{
    (void)state;
#if CAN_FAIL_MALLOC
    for (int fill = FSR_FILL_FAST; fill <= FSR_FILL_DETAIL; fill++) {
        Sim      *s = sim_structure(3, 24, 16);
        SimConfig cfg = { .fill = fill, .net = net };
        int       at = 0, faults = 0, ret;

        do {
            ret = run_with_fault(s, &cfg, ++at);
            assert_true(ret == 0 || ret == -ENOMEM);
            faults += ret < 0;
        } while (at < calls || ret < 0);
        print_message("# survived %d faults\n", faults);
        assert_true(faults > 30);
        sim_free(s);
    }
#else
    skip();
#endif
}

static void bad_configurations(void **state)
{
    Sim *s = sim_new(48, 32, 2);

    (void)state;
    for (int k = 0; k < 13; k++) {
        FsrEngineConfig c = { .format = { .width = 48, .height = 32, .bit_depth = 8, .sample_bytes = 1, .planes = 1 }, .scale = 2,
                              .fill = FSR_FILL_DETAIL, .interval = 4, .threshold = 10, .nb_workers = 1,
                              .alloc = sim_alloc_out, .release = sim_release, .discard = sim_discard };
        FsrEngine *e = (FsrEngine *)s;
        char err[200] = "";

        switch (k) {
        case 0:  c.format.width = 0; break;
        case 1:  c.format.height = 16385; break;
        case 2:  c.format.bit_depth = 15; break;
        case 3:  c.format.planes = 2; break;
        case 4:  c.scale = 5; break;
        case 5:  c.scale = 1 << 30; c.format.width = 16384; break;
        case 6:  c.interval = 0; break;
        case 7:  c.threshold = NAN; break;
        case 8:  c.nb_workers = 0; break;
        case 9:  c.alloc = NULL; break;
        case 10: c.fill = (enum FsrFill)7; break;
        case 11: c.format.sample_bytes = 3; break;
        case 12: c.format.planes = 3; c.format.log2_chroma_w = 3; break;
        }
        if (fsr_engine_create(&e, &c, err, sizeof(err)) != -EINVAL)
            fail_msg("configuration %d was taken", k);
        assert_null(e);
        assert_true(err[0]);
    }
    sim_free(s);
}

/* Sizes and formats ----------------------------------------------------------------------------- */

static void sizes_and_crops(void **state)
{
    static const struct { int w, h; } sizes[] = { { 1, 1 }, { 2, 2 }, { 8, 8 }, { 17, 9 }, { 33, 70 }, { 50, 131 } };
    static const int crops[][4] = { { 0, 0, 0, 0 }, { 0, 7, 0, 3 }, { 3, 0, 5, 2 }, { 62, 1, 66, 63 }, { 130, 0, 200, 0 } };

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
        for (size_t c = 0; c < sizeof(crops) / sizeof(*crops); c++)
            for (int scale = 2; scale <= 4; scale++) {
                Sim    *s = sim_new(sizes[i].w, sizes[i].h, scale);
                SimConfig cfg = { .layout = { .planes = 3, .lw = 1, .lh = 1 }, .net = scale == 2 ? net : NULL };
                SimRun *r;

                memcpy(s->crop, crops[c], sizeof(s->crop));
                sim_hierarchical(s, 9, 4, 0);
                for (cfg.fill = 0; cfg.fill <= FSR_FILL_DETAIL; cfg.fill++) {
                    r = sim_run(s, &cfg);
                    assert_int_equal(r->totals.bad_records, 0);
                    assert_int_equal(r->totals.keys, 1);
                    sim_end(r);
                }
                sim_free(s);
            }
}

/* Where a picture is cut out of the coded one changes nothing but the blocks' places. */
static void crop_keeps_motion(void **state)
{
    static const int crops[][4] = { { 0, 0, 0, 0 }, { 8, 8, 8, 8 }, { 3, 5, 6, 2 }, { 70, 0, 130, 3 } };
    double first = 0;

    (void)state;
    for (size_t c = 0; c < sizeof(crops) / sizeof(*crops); c++) {
        Sim    *s = sim_new(96, 64, 2);
        SimRun *r;
        double  sum = 0;

        memcpy(s->crop, crops[c], sizeof(s->crop));
        sim_low_delay(s, 8);
        r = sim_run(s, &(SimConfig){ .fill = FSR_FILL_DETAIL, .net = net });
        for (int t = 0; t < r->nb; t++)
            sum += sim_psnr(s, t, r->data[t]) / r->nb;
        first = c ? first : sum;
        if (fabs(sum - first) > 0.3)
            fail_msg("crop %zu: %.2f dB instead of %.2f", c, sum, first);
        sim_end(r);
        sim_free(s);
    }
}

/* Luma of a run, whatever its layout, as 16-bit code values */
static int luma_at(const SimRun *r, int i, size_t k)
{
    const FsrFormat *f = &r->engine_cfg.format;
    uint16_t v = 0;

    memcpy(&v, r->data[i] + k * f->sample_bytes, f->sample_bytes);
    return v >> f->shift;
}

/* The same stream in every layout: luma is the same; chroma the same as the plain one's. */
static void layouts_agree(void **state)
{
    static const struct { const char *name; int depth; SimLayout l; } layouts[] = {
        { "gray", 8, { 1, 0, 1, 0, 0, 1 } },        { "420", 8, { 1, 0, 3, 1, 1, 1 } },       { "422", 8, { 1, 0, 3, 1, 0, 1 } },
        { "444", 8, { 1, 0, 3, 0, 0, 1 } },         { "nv12", 8, { 1, 0, 3, 1, 1, 2 } },      { "gray10", 10, { 2, 0, 1, 0, 0, 1 } },
        { "420p10", 10, { 2, 0, 3, 1, 1, 1 } },     { "p010", 10, { 2, 6, 3, 1, 1, 2 } },     { "444p14", 14, { 2, 0, 3, 0, 0, 1 } },
    };
    const int W = 66, H = 38;

    (void)state;
    for (int scale = 2; scale <= 4; scale++)
        for (int fill = 0; fill <= FSR_FILL_DETAIL; fill++) {
            Sim    *s = sim_new(W / 2, H / 2, scale);
            SimRun *plain[15] = { NULL };
            const size_t luma = (size_t)s->w * s->h * scale * scale;

            sim_hierarchical(s, 5, 4, 0);
            for (size_t i = 0; i < sizeof(layouts) / sizeof(*layouts); i++) {
                const int depth = layouts[i].depth;
                SimRun *r = sim_run(s, &(SimConfig){ .fill = fill, .depth = depth, .layout = layouts[i].l, .net = scale == 2 ? net : NULL });

                for (int t = 0; t < r->nb && plain[depth]; t++)
                    for (size_t k = 0; k < luma; k++)
                        if (luma_at(plain[depth], t, k) != luma_at(r, t, k))
                            fail_msg("%s, fill %d, scale %d: sample %zu of picture %d differs", layouts[i].name, fill, scale, k, t);
                for (int t = 0; t < r->nb && depth > 8 && fill != FSR_FILL_FAST; t++)    /* as 8 bits are, but finer */
                    for (size_t k = 0; k < luma; k++)
                        if (abs(luma_at(plain[8], t, k) - (luma_at(r, t, k) >> (depth - 8))) > 1)
                            fail_msg("%s, fill %d, scale %d: not the picture of 8 bits", layouts[i].name, fill, scale);
                if (layouts[i].l.step == 2) {       /* against the planar one before it */
                    const SimRun *p = plain[0];
                    const size_t  b = layouts[i].l.bytes, n = (p->size / b - luma) / 2;

                    for (int t = 0; t < r->nb; t++)
                        for (size_t k = 0; k < 2 * n; k++) {
                            uint16_t u = 0, v = 0;

                            memcpy(&u, p->data[t] + (luma + k % 2 * n + k / 2) * b, b);
                            memcpy(&v, r->data[t] + (luma + k) * b, b);
                            if (u != v >> layouts[i].l.shift)
                                fail_msg("%s, scale %d: chroma differs", layouts[i].name, scale);
                        }
                }
                if (!plain[depth])
                    plain[depth] = r;
                else if (layouts[i].l.lw && layouts[i].l.lh && layouts[i].l.step == 1) {
                    if (plain[0])
                        sim_end(plain[0]);
                    plain[0] = r;
                } else
                    sim_end(r);
            }
            for (int i = 0; i < 15; i++)
                if (plain[i])
                    sim_end(plain[i]);
            sim_free(s);
        }
}

static int load_net(void **state)
{
    char err[256] = "";

    (void)state;
    return fsr_nn_load(&net, fsr_models[0].data, fsr_models[0].size, err, sizeof(err));
}

static int free_net(void **state)
{
    (void)state;
    fsr_nn_free(&net);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(workers_agree),
        cmocka_unit_test(output_that_cannot_be_had),
        cmocka_unit_test(memory_that_cannot_be_had),
        cmocka_unit_test(bad_configurations),
        cmocka_unit_test(sizes_and_crops),
        cmocka_unit_test(crop_keeps_motion),
        cmocka_unit_test(layouts_agree),
    };

    return cmocka_run_group_tests(tests, load_net, free_net);
}
