/* The engine on streams whose motion is known: order, state, carried detail, bad records, threads. */
#include <errno.h>

#include "engine_sim.h"
#include "models/models.h"

static FsrNet *net, *fuse_net;

/* Comparing ----------------------------------------------------------------- */

static void assert_order(const SimRun *r)
{
    for (int i = 1; i < r->nb; i++)
        assert_true(r->display[i] > r->display[i - 1]);
}

/* PSNR of a picture of one run against the same picture of another, 8-bit luma */
static double psnr_between(const SimRun *a, const SimRun *b, int i, size_t luma)
{
    double sum = 0;

    for (size_t k = 0; k < luma; k++) {
        const double d = (double)a->data[i][k] - b->data[i][k];

        sum += d * d;
    }
    return 10 * log10(255.0 * 255 * luma / (sum + 1e-3));
}

/* Mean over all but the first */
static double mean_between(const SimRun *a, const SimRun *b, size_t luma)
{
    double sum = 0;

    for (int i = 1; i < a->nb; i++)
        sum += psnr_between(a, b, i, luma);
    return sum / (a->nb - 1);
}

/* No picture may be worse than the worse of cubic upscaling and the network, less the bound. */
static void assert_not_worse(Sim *s, const SimRun *r, double bound, const char *what)
{
    SimRun *cubic   = sim_run(s, &(SimConfig){ .fill = FSR_FILL_BICUBIC, .interval = 1 });
    SimRun *network = sim_run(s, &(SimConfig){ .fill = FSR_FILL_DETAIL, .interval = 1, .net = net });

    for (int i = 0; i < r->nb; i++) {
        const int    t = r->display[i];
        const double c = sim_psnr(s, t, cubic->data[t]), n = sim_psnr(s, t, network->data[t]), p = sim_psnr(s, t, r->data[i]);

        if (p < (c < n ? c : n) - bound)
            fail_msg("%s: picture %d has %.2f dB; cubic %.2f, network %.2f", what, t, p, c, n);
    }
    sim_end(cubic);
    sim_end(network);
}

/* Order and references --------------------------------------------------------- */

/* Pictures to the most distant reference: what moved in from outside meanwhile cannot be carried. */
static int farthest(const Sim *s, const SimPic *p)
{
    int d = 0;

    for (int i = 0; i < p->nb_refs; i++)
        if (abs(s->pic[p->ref[i]].display - p->display) > d)
            d = abs(s->pic[p->ref[i]].display - p->display);
    return d;
}

static void display_order(void **state)
{
    (void)state;
    for (int k = 0; k < 5; k++)
        for (int fill = 0; fill <= FSR_FILL_DETAIL; fill++) {
            Sim    *s = sim_structure(k, 96, 64);
            SimRun *r = sim_run(s, &(SimConfig){ .fill = fill });

            assert_order(r);
            for (int i = 0; i < r->nb; i++) {
                const SimPic *p = &s->pic[s->order[i]];

                assert_int_equal(r->stats[i].number, p->number);
                assert_int_equal(r->stats[i].key, p->nb_refs == 0);
                if (fill == FSR_FILL_DETAIL && p->nb_refs && r->stats[i].transferred < 0.85 - 0.05 * farthest(s, p))
                    fail_msg("structure %d, picture %d: only %.2f carried", k, i, r->stats[i].transferred);
            }
            assert_true(r->waiting <= 16);
            sim_end(r);
            sim_free(s);
        }
}

/* References that are shown later alone, so that nothing is carried without waiting for them. */
static void waits_for_later_references(void **state)
{
    Sim    *s = sim_new(96, 64, 2);
    SimRun *r;

    (void)state;
    sim_add(s, 0, FSR_KIND_IDR, -1, -1);
    sim_add(s, 4, FSR_KIND_TRAIL, 0, -1);
    for (int d = 3; d > 0; d--)
        sim_add(s, d, FSR_KIND_TRAIL, s->nb - 1, -1);
    r = sim_run(s, &(SimConfig){ .fill = FSR_FILL_DETAIL });
    for (int i = 1; i < 5; i++)
        assert_true(!r->stats[i].key && r->stats[i].transferred > 0.7);
    assert_int_equal(r->waiting, 3);
    sim_end(r);
    sim_free(s);
}

static void dropped_pictures(void **state)
{
    (void)state;
    for (int k = 0; k < 5; k++)
        for (int every = 2; every < 6; every++) {
            Sim    *s = sim_structure(k, 96, 64);
            uint8_t drop[SIM_MAX];
            SimRun *r;

            for (int i = 0; i < SIM_MAX; i++)
                drop[i] = every < 5 ? i % every == every - 1 : sim_rnd(3) > 0;
            r = sim_run(s, &(SimConfig){ .fill = FSR_FILL_DETAIL, .drop = drop, .net = every == 2 ? net : NULL });
            assert_order(r);
            assert_true(r->waiting <= 16);
            if (every == 2)
                assert_not_worse(s, r, 0.1, "dropped");
            sim_end(r);
            sim_free(s);
        }
}

/* A picture shown several times: the same bits again, without the network. */
static void repeated_pictures(void **state)
{
    uint8_t repeat[SIM_MAX];

    (void)state;
    for (int i = 0; i < SIM_MAX; i++)
        repeat[i] = i % 3;
    for (int k = 0; k < 5; k++) {
        Sim    *s = sim_structure(k, 96, 64);
        SimRun *r = sim_run(s, &(SimConfig){ .fill = FSR_FILL_DETAIL, .net = net, .repeat = repeat });

        for (int i = 1; i < r->nb; i++)
            if (r->display[i] == r->display[i - 1]) {
                if (r->stats[i].key || r->stats[i].macs > 0 || memcmp(r->data[i], r->data[i - 1], r->size))
                    fail_msg("structure %d: picture %d, shown again, is another (key %d, carried %.2f)", k, r->display[i],
                             r->stats[i].key, r->stats[i].transferred);
            }
        sim_end(r);
        sim_free(s);
    }
}

/* Joined streams: numbers start again; each part comes out as if it were alone. */
static void another_decoder(void **state)
{
    static const int cut[] = { 1, 2, 5, 12 };

    (void)state;
    for (int k = 0; k < 4; k++)
        for (size_t c = 0; c < sizeof(cut) / sizeof(*cut); c++) {
            Sim      *a = sim_structure(k, 48, 32), *b = sim_structure((k + 1) % 4, 48, 32);
            SimConfig cfg = { .fill = FSR_FILL_DETAIL, .net = net, .to = cut[c] };
            SimRun   *both, *one, *two;

            a->vx = -7;                 /* the pictures are others */
            both = sim_start(a, &cfg);
            sim_feed(both, a);
            sim_feed(both, b);
            sim_feed(both, a);
            sim_finish(both);
            one = sim_run(a, &cfg);
            two = sim_run(b, &cfg);
            for (int i = 0; i < both->nb; i++) {
                const SimRun *alone = i / cut[c] == 1 ? two : one;

                if (memcmp(both->data[i], alone->data[i % cut[c]], both->size))
                    fail_msg("structure %d joined after %d: picture %d differs", k, cut[c], i);
            }
            sim_end(both);
            sim_end(one);
            sim_end(two);
            sim_free(a);
            sim_free(b);
        }
}

/* Records that are missing or unusable ------------------------------------------- */

static void spoil(void *arg, int display, uint8_t *record, size_t *size)
{
    FsrRecord *r = (FsrRecord *)record;
    const int  how = *(int *)arg;

    if (display % 3 != 2 && how < 6)
        return;
    switch (how) {
    case 0: *size = 0; break;
    case 1: r->state = FSR_PENDING; break;
    case 2: *size = *size / 2; break;
    case 3: r->magic ^= 1; break;
    case 4: r->crop_right++; break;                     /* another size */
    case 5: r->bit_depth = 7; break;
    case 6: r->number = UINT32_MAX - (r->number & 3); break;
    case 7: r->number *= 1000000000u; break;            /* numbers from everywhere */
    case 8: r->poc = display & 1 ? INT32_MIN : INT32_MAX; break;
    case 9: for (int i = 0; i < r->nb_refs; i++)        /* a later picture that never comes */
                ((FsrRef *)(r + 1))[i].poc = INT32_MAX;
            break;
    }
}

static void spoilt_records(void **state)
{
    (void)state;
    for (int how = 0; how < 10; how++)
        for (int k = 0; k < 4; k++) {
            Sim    *s = sim_structure(k, 48, 32);
            SimRun *r = sim_run(s, &(SimConfig){ .fill = FSR_FILL_DETAIL, .net = net, .edit = spoil, .edit_arg = &how });

            assert_order(r);
            assert_true(r->waiting <= 16);
            if (how < 6) {
                assert_int_equal(r->totals.without_record, s->nb / 3);
                assert_int_equal(r->totals.bad_records, how ? s->nb / 3 : 0);
            }
            for (int i = 2; i < r->nb && how < 6; i += 3)
                assert_true(r->stats[i].key && !r->stats[i].has_record && r->stats[i].type == '?');
            assert_not_worse(s, r, 0.1, "spoilt");
            sim_end(r);
            sim_free(s);
        }
}

static void lose_one(void *arg, int display, uint8_t *record, size_t *size)
{
    (void)record;
    if (display == *(int *)arg)
        *size = 0;
}

/* Picture 4 waits for 8, though 6 has no record. */
static void missing_record_in_a_group(void **state)
{
    Sim    *s = sim_structure(1, 96, 64);
    int     which = 6;
    SimRun *r = sim_run(s, &(SimConfig){ .fill = FSR_FILL_DETAIL, .edit = lose_one, .edit_arg = &which });

    (void)state;
    assert_true(!r->stats[4].key && r->stats[6].key);
    assert_int_equal(r->waiting, 7);
    sim_end(r);
    sim_free(s);
}

static void mutate(void *arg, int display, uint8_t *record, size_t *size)
{
    FsrRecord *r = (FsrRecord *)record;
    uint8_t   *from = record;
    size_t     n = *size;

    (void)arg;
    if (display == 0)
        return;
    switch (sim_rnd(8)) {
    case 0: return;
    case 1: for (size_t i = 0; i < n; i++) record[i] = sim_rnd(256); return;
    case 2: *size = sim_rnd(n); return;
    case 3: from += offsetof(FsrRecord, number); n = sizeof(*r) - offsetof(FsrRecord, number); break;
    case 4: from += sizeof(*r); n = r->nb_refs * sizeof(FsrRef); break;
    case 5: from += n - r->nb_blocks * sizeof(FsrBlock); n = r->nb_blocks * sizeof(FsrBlock); break;
    case 6: r->number = sim_rnd(200) + 1; return;
    case 7: r->crop_left = sim_rnd(64); r->crop_top = sim_rnd(200); r->crop_right = sim_rnd(70); r->crop_bottom = sim_rnd(5);
            r->coded_w = r->coded_w + r->crop_left + r->crop_right; r->coded_h += r->crop_top + r->crop_bottom; return;
    }
    for (uint32_t k = sim_rnd(24) + 1; n && k; k--)
        from[sim_rnd(n)] = sim_rnd(4) ? sim_rnd(256) : sim_rnd(3);
    if (sim_rnd(2)) {
        r->magic  = FSR_RECORD_MAGIC;
        r->size   = *size;
        r->state  = FSR_DONE;
    }
}

static void mutated_records(void **state)
{
    (void)state;
    for (int round = 0; round < 240; round++) {
        Sim    *s = sim_structure(round % 5, 48, 32);
        const int with_net = round < 40;
        SimRun *r = sim_run(s, &(SimConfig){ .fill = with_net ? FSR_FILL_DETAIL : round % 3, .net = with_net ? net : NULL,
                                             .edit = mutate });

        assert_order(r);
        assert_true(r->waiting <= 16);
        if (with_net)
            assert_not_worse(s, r, 0.1, "mutated");
        sim_end(r);
        sim_free(s);
    }
}

/* Waiting and memory --------------------------------------------------------------- */

/* A decoder that never lets go: the last 32 numbers are held. */
static void hold_all(void *arg, int display, uint8_t *record, size_t *size)
{
    FsrRecord *r = (FsrRecord *)record;
    uint8_t   *held = record + sizeof(*r) + r->nb_refs * sizeof(FsrRef);
    const int  n = r->number < FSR_MAX_HELD ? (int)r->number : FSR_MAX_HELD;

    (void)arg;
    (void)display;
    memmove(held + n * 4, held + r->nb_held * 4, r->nb_blocks * sizeof(FsrBlock));
    for (int i = 0; i < n; i++)
        memcpy(held + 4 * i, &(uint32_t){ r->number - i }, 4);
    r->size   += (n - r->nb_held) * 4;
    r->nb_held = n;
    *size      = r->size;
}

static void memory_is_bounded(void **state)
{
    (void)state;
    for (int k = 0; k < 4; k++) {
        Sim    *s = sim_new(48, 32, 2);
        uint8_t drop[SIM_MAX];
        size_t  plane;
        SimRun *r;

        if (k == 0)
            sim_low_delay(s, 400);
        else
            sim_hierarchical(s, 401, 8, k == 2 ? 3 : 0);
        for (int i = 0; i < SIM_MAX; i++)
            drop[i] = k == 3 && i % 2;
        r = sim_run(s, &(SimConfig){ .fill = FSR_FILL_DETAIL, .drop = drop });
        assert_int_equal(r->bytes[r->pushed / 3], r->bytes[r->pushed - 1]);
        /* one picture's planes are what the first took; low delay keeps two and works on a third */
        plane = r->bytes[0];
        print_message("# structure %d: state of %zu pictures\n", k, r->bytes[r->pushed - 1] / plane);
        assert_true(r->bytes[r->pushed - 1] <= (k == 0 ? 4 : k == 3 ? 24 : 14) * plane);
        sim_end(r);
        if (k == 0) {       /* it is the list of held pictures that frees */
            r = sim_run(s, &(SimConfig){ .fill = FSR_FILL_DETAIL, .edit = hold_all });
            assert_int_equal(r->bytes[r->pushed / 3], r->bytes[r->pushed - 1]);
            /* ... and no more is kept than a decoder can hold */
            assert_in_range(r->bytes[r->pushed - 1], 14 * plane, 24 * plane);
            sim_end(r);
        }
        sim_free(s);
    }
}

/* A picture that stands: shown again and again, each time costs no more memory. */
static void standing_picture_is_bounded(void **state)
{
    const uint8_t repeat[SIM_MAX] = { [3] = 200, [4] = 100 };

    (void)state;
    for (int k = 0; k < 5; k++) {
        Sim    *s = sim_structure(k, 48, 32);
        SimRun *r = sim_run(s, &(SimConfig){ .fill = FSR_FILL_DETAIL, .repeat = repeat });
        size_t  most = 0;

        for (int i = 0; i < r->pushed; i++)
            most = r->bytes[i] > most ? r->bytes[i] : most;
        assert_in_range(most, r->bytes[0], 24 * r->bytes[0]);
        sim_end(r);
        sim_free(s);
    }
}

/* A reference that never comes, in a stream whose other pictures are ready at once. */
static void waiting_is_bounded(void **state)
{
    Sim    *s = sim_new(48, 32, 2);
    uint8_t drop[SIM_MAX] = { 0 };
    SimRun *r;

    (void)state;
    sim_add(s, 0, FSR_KIND_IDR, -1, -1);
    sim_add(s, 200, FSR_KIND_TRAIL, 0, -1);
    sim_add(s, 1, FSR_KIND_TRAIL, 1, -1);
    for (int d = 2; d < 100; d++)
        sim_add(s, d, FSR_KIND_TRAIL, -1, -1);
    drop[200] = 1;
    r = sim_run(s, &(SimConfig){ .fill = FSR_FILL_DETAIL, .drop = drop, .to = 100 });
    assert_true(r->waiting <= 16);
    sim_end(r);
    sim_free(s);
}

/* What is carried -------------------------------------------------------------------- */

static void vectors_matter(void **state)
{
    (void)state;
    for (int k = 0; k < 2; k++) {
        Sim    *s = sim_structure(k, 96, 64);
        SimRun *every = sim_run(s, &(SimConfig){ .fill = FSR_FILL_DETAIL, .interval = 1, .net = net });
        SimRun *right = sim_run(s, &(SimConfig){ .fill = FSR_FILL_DETAIL, .net = net });
        SimRun *zero  = sim_run(s, &(SimConfig){ .fill = FSR_FILL_DETAIL, .net = net, .lie = LIE_ZERO });
        const double a = mean_between(right, every, 192 * 128), b = mean_between(zero, every, 192 * 128);

        print_message("# like the network on every picture: %.2f dB, with vectors of zero %.2f dB\n", a, b);
        assert_true(a > b + 0.5);
        assert_int_equal(every->totals.keys, s->nb);
        assert_int_equal(right->totals.keys, 1);
        assert_true(right->totals.macs < every->totals.macs / 10);
        sim_end(every);
        sim_end(right);
        sim_end(zero);
        sim_free(s);
    }
}

static void lying_vectors(void **state)
{
    static const struct { enum SimLie lie; const char *name; } lies[] = {
        { LIE_NONE, "right" }, { LIE_ZERO, "zero" }, { LIE_FLIP, "flipped" }, { LIE_SCALE, "scaled" }, { LIE_RANDOM, "random" },
    };

    (void)state;
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; i < sizeof(lies) / sizeof(*lies); i++) {
            Sim    *s = sim_structure(k, 96, 64);
            SimRun *r = sim_run(s, &(SimConfig){ .fill = FSR_FILL_DETAIL, .net = net, .lie = lies[i].lie });

            assert_not_worse(s, r, 0.1, lies[i].name);
            sim_end(r);
            sim_free(s);
        }
}

/* Also what fits exactly: no mismatch is less than none. */
static void threshold_zero_carries_nothing(void **state)
{
    (void)state;
    for (int fill = FSR_FILL_FAST; fill <= FSR_FILL_COPY; fill++) {
        Sim    *s;
        SimRun *r;

        if (fill == FSR_FILL_FUSE)
            continue;
        s = sim_structure(1, 96, 64);
        r = sim_run(s, &(SimConfig){ .fill = fill, .threshold = 1e-9, .net = net });
        for (int i = 0; i < r->nb; i++)
            assert_true(r->stats[i].transferred == 0);
        sim_end(r);
        sim_free(s);
    }
}

/* A fade with weighted prediction: the weights make the references fit. */
static void weighted_prediction(void **state)
{
    double carried[3] = { 0 };

    (void)state;
    for (int k = 0; k < 3; k++) {       /* no weights in the record, both lists, only list 0 */
        Sim    *s = sim_new(96, 64, 2);
        SimRun *r;

        sim_low_delay(s, 8);
        s->fade     = k == 2 ? 1 : 0.93;
        s->weighted = k;
        r = sim_run(s, &(SimConfig){ .fill = FSR_FILL_DETAIL });
        for (int i = 2; i < r->nb; i++)
            carried[k] += r->stats[i].mismatch / (r->nb - 2);
        sim_end(r);
        sim_free(s);
    }
    print_message("# mismatch in a fade: %.2f without weights, %.2f with\n", carried[0], carried[1]);
    assert_true(carried[0] > 6 && carried[1] < 3.5);
    /* weight 64 of 64 in list 0, the default in list 1: as without weights */
    assert_true(carried[2] < 3.5);
}

/* One reference with offset and weight, the other with the default: H.265 by hand on flat pictures. */
static void set_weight(void *arg, int display, uint8_t *record, size_t *size)
{
    FsrRecord *r = (FsrRecord *)record;
    FsrRef    *ref = (FsrRef *)(r + 1);
    const int  list = *(int *)arg;

    (void)size;
    if (display < 2)
        return;
    ref[list].flags        |= FSR_REF_WEIGHTED;
    ref[list].log2_denom[0] = 5;
    ref[list].weight[0]     = 32;
    ref[list].offset[0]     = 20;       /* in steps of the record's depth */
}

static void default_and_weighted_reference(void **state)
{
    (void)state;
    for (int list = 0; list < 2; list++)
        for (int depth = 8; depth <= 10; depth += 2) {
            Sim      *s = sim_new(96, 64, 2);
            SimConfig cfg = { .fill = FSR_FILL_DETAIL, .depth = depth, .layout.bytes = depth > 8 ? 2 : 1 };
            SimRun   *plain, *offset;

            sim_low_delay(s, 5);
            plain = sim_run(s, &cfg);
            cfg.edit     = set_weight;
            cfg.edit_arg = &list;
            offset = sim_run(s, &cfg);
            /* the average is 10 too bright, whatever the depth of the pictures is */
            for (int i = 2; i < 5; i++) {
                assert_true(plain->stats[i].mismatch < 3.5);
                if (fabs(offset->stats[i].mismatch - 10) > 2.5)
                    fail_msg("list %d, depth %d: mismatch %.2f", list, depth, offset->stats[i].mismatch);
            }
            sim_end(plain);
            sim_end(offset);
            sim_free(s);
        }
}

/* Key frames ---------------------------------------------------------------------------- */

static void key_distance(void **state)
{
    static const int intervals[] = { 1, 2, 3, 4, 7, 16 };

    (void)state;
    for (int k = 0; k < 5; k++)
        for (size_t i = 0; i < sizeof(intervals) / sizeof(*intervals); i++) {
            Sim    *s = sim_structure(k, 48, 32);
            SimRun *r = sim_run(s, &(SimConfig){ .fill = FSR_FILL_DETAIL, .interval = intervals[i] });
            int     last = -1, keys = 0;

            for (int t = 0; t < r->nb; t++)
                if (r->stats[t].key) {
                    if (last >= 0 && t - last > intervals[i])
                        fail_msg("structure %d, interval %d: keys at %d and %d", k, intervals[i], last, t);
                    last = t;
                    keys++;
                }
            assert_true(last >= 0 && r->nb - last <= intervals[i] + 8);
            assert_true(intervals[i] > 1 || keys == r->nb);
            assert_true(intervals[i] < 16 || keys <= 9);
            assert_int_equal(keys, r->totals.keys);
            sim_end(r);
            sim_free(s);
        }
}

/* Groups of 8, every second anchor a CRA; after the second CRA groups of 4: the larger size must be forgotten. */
static void shorter_groups(Sim *s)
{
    int last = sim_add(s, 0, FSR_KIND_IDR, -1, -1);

    s->pic[0].flags |= FSR_PIC_FIRST;
    for (int g = 0, d = 0; g < 8; g++) {
        const int gop = g < 4 ? 8 : 4, cra = g == 1 || g == 3;
        const int next = sim_add(s, d + gop, cra ? FSR_KIND_CRA : FSR_KIND_TRAIL, cra ? -1 : last, -1);

        sim_between(s, d, last, d + gop, next, cra ? FSR_KIND_RASL : FSR_KIND_TRAIL);
        last = next;
        d   += gop;
    }
}

/* From a CRA on, without its leading pictures: the same bits as in the whole stream. */
static void cut_at_irap(void **state)
{
    static const struct { int gop, intra, nb, interval; } cases[] = {
        { 4, 3, 60, 16 }, { 8, 2, 65, 4 }, { 16, 1, 97, 2 }, { 4, 3, 60, 3 }, { 1, 10, 40, 4 },
        { 0, 0, 0, 10 },
    };

    (void)state;
    for (size_t c = 0; c < sizeof(cases) / sizeof(*cases); c++) {
        Sim      *whole = sim_new(48, 32, 2), *cut = sim_new(48, 32, 2);
        const SimConfig cfg[] = { { .fill = FSR_FILL_DETAIL, .interval = cases[c].interval, .net = net },
                                  { .fill = FSR_FILL_FUSE, .net = fuse_net, .budget = 500 } };
        int       cra = 0, n = 0, at, map[SIM_MAX];

        if (cases[c].gop)
            sim_hierarchical(whole, cases[c].nb, cases[c].gop, cases[c].intra);
        else
            shorter_groups(whole);
        for (int i = 0; i < whole->nb; i++)
            if (whole->pic[i].kind == FSR_KIND_CRA && ++n == 2)
                cra = i;
        assert_true(cra > 0);
        at = whole->pic[cra].display;
        for (int i = cra; i < whole->nb; i++) {
            SimPic p = whole->pic[i];

            if (p.display < at)
                continue;
            map[i] = cut->nb;
            p.number   = cut->nb + 1;
            p.display -= at;
            p.flags   |= i == cra ? FSR_PIC_FIRST : 0;
            for (int k = 0; k < p.nb_refs; k++)
                p.ref[k] = map[p.ref[k]];
            cut->order[p.display]  = cut->nb;
            cut->pic[cut->nb++] = p;
        }
        cut->first = at;
        for (int f = 0; f < 2; f++) {
            SimRun *a = sim_run(whole, &cfg[f]), *b = sim_run(cut, &cfg[f]);

            for (int i = 0; i < b->nb; i++) {
                assert_int_equal(a->stats[at + i].key, b->stats[i].key);
                if (memcmp(a->data[at + i], b->data[i], a->size))
                    fail_msg("case %zu, fill %d: picture %d differs", c, cfg[f].fill, i);
            }
            sim_end(a);
            sim_end(b);
        }
        sim_free(whole);
        sim_free(cut);
    }
}

static int load_net(void **state)
{
    char err[256] = "";

    (void)state;
    for (const FsrModelEntry *m = fsr_models; m->name; m++)
        if (!strcmp(m->name, "fuse-x2") && fsr_nn_load(&fuse_net, m->data, m->size, err, sizeof(err)) < 0)
            return -1;
    return fsr_nn_load(&net, fsr_models[0].data, fsr_models[0].size, err, sizeof(err));
}

static int free_net(void **state)
{
    (void)state;
    fsr_nn_free(&net);
    fsr_nn_free(&fuse_net);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(display_order),
        cmocka_unit_test(waits_for_later_references),
        cmocka_unit_test(dropped_pictures),
        cmocka_unit_test(repeated_pictures),
        cmocka_unit_test(another_decoder),
        cmocka_unit_test(spoilt_records),
        cmocka_unit_test(missing_record_in_a_group),
        cmocka_unit_test(mutated_records),
        cmocka_unit_test(memory_is_bounded),
        cmocka_unit_test(standing_picture_is_bounded),
        cmocka_unit_test(waiting_is_bounded),
        cmocka_unit_test(vectors_matter),
        cmocka_unit_test(lying_vectors),
        cmocka_unit_test(threshold_zero_carries_nothing),
        cmocka_unit_test(weighted_prediction),
        cmocka_unit_test(default_and_weighted_reference),
        cmocka_unit_test(key_distance),
        cmocka_unit_test(cut_at_irap),
    };

    return cmocka_run_group_tests(tests, load_net, free_net);
}
