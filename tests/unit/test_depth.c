/* The depth engine on simulated streams, with a network that calls brightness depth: 1 + 3 * luma metres. */
#include <errno.h>

#include "engine_sim.h"
#include "onnx_writer.h"

enum { W = 160, H = 96, MAX = 64 };

/* Planes in; all weights equal */
static FsrNet *make_net(int planes)
{
    const int64_t dims[4] = { 1, planes, 1, 1 }, one[1] = { 1 };
    float   w[8];
    const float b[1] = { 1 };
    char    err[200];
    FsrNet *net = NULL;
    Buf     g = { 0 }, m;

    for (int i = 0; i < planes; i++)
        w[i] = 3.0f / planes;
    ox_value(&g, 11, "x", planes);
    ox_value(&g, 12, "y", 1);
    ox_init(&g, "w", dims, 4, 1, w, planes);
    ox_init(&g, "b", one, 1, 1, b, 1);
    ox_conv(&g, "c", "x w b", "y", 0, 0, 0, 0);
    m = ox_model(&g);
    if (fsr_nn_load(&net, m.data, m.size, err, sizeof(err)) < 0)
        fail_msg("%s", err);
    buf_free(&m);
    return net;
}

typedef struct Run {
    FsrEngine      *engine;
    FsrDepthConfig  depth;
    int             w, h, out_w, out_h, bytes;  /* picture, output, bytes of an output sample */
    int             nb, held;
    uint8_t        *out[MAX];
    FsrPictureStats stats[MAX];
} Run;

static int alloc_out(void *opaque, void *in, void **out, FsrPlanes *planes)
{
    Run *r = opaque;

    (void)in;
    *out = malloc((size_t)r->out_w * r->out_h * r->bytes);
    planes->data[0]   = *out;
    planes->stride[0] = (ptrdiff_t)r->out_w * r->bytes;
    planes->step[0]   = 1;
    return *out ? 0 : -ENOMEM;
}

static void release(void *opaque, void *in)
{
    ((Run *)opaque)->held--;
    free(in);
}

static void discard(void *opaque, void *out)
{
    (void)opaque;
    free(out);
}

static const FsrDepthConfig plain = { .fill = FSR_DEPTH_TRANSFER, .format = FSR_DEPTH_GRAYF32, .far = 10, .sample_aspect = 1,
                                      .kr = 0.299, .kb = 0.114, .full_range = 1 };

static void pull(Run *r)
{
    FsrResult res;

    while (fsr_engine_pull(r->engine, &res) > 0) {
        r->out[r->nb]     = res.out;
        r->stats[r->nb++] = res.stats;
    }
}

static Run *run(Sim *s, const FsrDepthConfig *depth, int interval, enum SimLie lie, int records)
{
    static uint32_t buf[SIM_RECORD / 4];
    static const int bytes[] = { 1, 2, 4, 3 };
    Run     *r = calloc(1, sizeof(*r));
    FsrNet  *net = make_net(3);
    char     err[200] = "";
    FsrEngineConfig c = {
        .format = { .width = s->w, .height = s->h, .bit_depth = 8, .sample_bytes = 1, .planes = 1 },
        .interval = interval, .threshold = 10, .net = net, .nb_workers = 1, .depth = &r->depth,
        .alloc = alloc_out, .release = release, .discard = discard, .opaque = r,
    };

    r->depth = *depth;
    r->bytes = bytes[depth->format];
    r->out_w = s->w;
    r->out_h = s->h;
    if (!depth->full_size)
        fsr_depth_size(s->w, s->h, depth->sample_aspect, &r->out_w, &r->out_h);
    if (fsr_engine_create(&r->engine, &c, err, sizeof(err)) < 0)
        fail_msg("%s", err);
    for (int t = 0; t < s->nb && t < MAX; t++) {
        FsrPicture pic = { 0 };
        uint8_t   *mem = malloc(s->w * s->h);

        sim_layout(&c.format, 0, mem, &pic.planes);
        sim_fill_frame(s, t, &c.format, &pic.planes);
        pic.record_size = records ? sim_record(s, s->order[t], lie, buf) : 0;
        pic.record      = records ? buf : NULL;
        pic.opaque      = mem;
        r->held++;
        assert_int_equal(fsr_engine_push(r->engine, &pic), 0);
        pull(r);
    }
    assert_int_equal(fsr_engine_flush(r->engine), 0);
    pull(r);
    fsr_engine_free(&r->engine);
    assert_int_equal(r->held, 0);
    assert_int_equal(r->nb, s->nb < MAX ? s->nb : MAX);
    fsr_nn_free(&net);
    return r;
}

static void end(Run *r)
{
    for (int i = 0; i < r->nb; i++)
        free(r->out[i]);
    free(r);
}

/* Mean difference of two runs in metres, and of the network from what it should say */
static double difference(const Run *a, const Run *b)
{
    const size_t size = (size_t)a->out_w * a->out_h;
    double sum = 0;

    for (int i = 0; i < a->nb; i++)
        for (size_t k = 0; k < size; k++)
            sum += fabs(((float *)a->out[i])[k] - ((float *)b->out[i])[k]);
    return sum / size / a->nb;
}

static void sizes(void **state)
{
    static const struct { int w, h; double aspect; int mw, mh; } cases[] = {
        { 640, 480, 1, 256, 192 }, { 1920, 1080, 1, 256, 144 }, { 1080, 1920, 1, 144, 256 }, { 224, 224, 1, 224, 224 },
        { 8, 8, 1, 8, 8 }, { 720, 576, 16.0 / 15, 256, 192 }, { 8192, 16, 1, 256, 2 }, { 300, 1, 1, 256, 1 }, { 257, 255, 1, 256, 254 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        int w, h;

        fsr_depth_size(cases[i].w, cases[i].h, cases[i].aspect, &w, &h);
        if (w != cases[i].mw || h != cases[i].mh)
            fail_msg("%dx%d: map of %dx%d, expected %dx%d", cases[i].w, cases[i].h, w, h, cases[i].mw, cases[i].mh);
    }
}

/* What the network says is what comes out: far from the border, where the network sees what the map covers. */
static void network_reaches_the_map(void **state)
{
    Sim *s = sim_structure(0, W, H);
    FsrDepthConfig d = plain;
    Run *r;
    double sum = 0;

    (void)state;
    d.fill = FSR_DEPTH_HOLD;
    r = run(s, &d, 1, LIE_NONE, 1);
    for (int i = 0; i < r->nb; i++) {
        assert_int_equal(r->stats[i].key, 1);
        assert_true(r->stats[i].depth[0] <= r->stats[i].depth[1] && r->stats[i].depth[1] <= r->stats[i].depth[2]);
        for (int y = 16; y < H - 16; y++)
            for (int x = 16; x < W - 16; x++)
                sum += fabs(((float *)r->out[i])[y * W + x] - (1 + 3 * s->lr[i][y * W + x] / 255.0));
    }
    sum /= (double)r->nb * (W - 32) * (H - 32);
    if (sum > 0.08)                     /* the network sees the picture at another size */
        fail_msg("%.3f m from 1 + 3 * luma", sum);
    end(r);
    sim_free(s);
}

static void depth_follows_the_motion(void **state)
{
    (void)state;
    for (int which = 0; which < 5; which++) {
        Sim *s = sim_structure(which, W, H);
        FsrDepthConfig d = plain;
        Run *each, *hold, *transfer, *lying;
        double held, carried;
        int    asked = 0;

        d.fill = FSR_DEPTH_HOLD;
        each   = run(s, &d, 1, LIE_NONE, 1);
        hold   = run(s, &d, 100, LIE_NONE, 1);
        d.fill   = FSR_DEPTH_TRANSFER;
        transfer = run(s, &d, 100, LIE_NONE, 1);
        lying    = run(s, &d, 100, LIE_ZERO, 1);
        held    = difference(hold, each);
        carried = difference(transfer, each);
        if (carried > 0.4 * held)
            fail_msg("structure %d: held %.3f m, carried %.3f m from the network", which, held, carried);
        /* vectors that fit nowhere: the network is asked instead */
        for (int i = 0; i < s->nb; i++)
            asked += lying->stats[i].key;
        assert_true(asked > s->nb / 2);
        assert_int_equal(transfer->stats[1].key, 0);
        assert_true(transfer->stats[1].transferred > 0.7);
        end(each);
        end(hold);
        end(transfer);
        end(lying);
        sim_free(s);
    }
}

/* Whatever vectors say, depth stays in the range of what the network said; without records every picture is a key frame. */
static void survives_lies(void **state)
{
    Sim *s = sim_structure(1, W, H);

    (void)state;
    for (int lie = LIE_NONE; lie <= LIE_RANDOM; lie++)
        for (int records = 0; records < 2; records++) {
            Run *r = run(s, &plain, 16, lie, records);

            for (int i = 0; i < r->nb; i++) {
                assert_true(records || r->stats[i].key);
                for (int k = 0; k < W * H; k++)
                    assert_in_range((int)(((float *)r->out[i])[k] * 1000), 700, 6000);
            }
            end(r);
        }
    sim_free(s);
}

/* Pictures that stand still, with records: luma of picture t is base[t] plus or minus swing[t], in stripes */
static Sim *still(int w, int h, const int *base, const int *swing)
{
    Sim *s = sim_structure(0, w, h);

    for (int t = 0; t < s->nb; t++) {
        sim_render(s, t);
        for (int i = 0; i < w * h; i++)
            s->lr[t][i] = base[t] + ((i % w / 16) & 1 ? swing[t] : -swing[t]);
    }
    return s;
}

static double mean(const Run *r, int t)
{
    double sum = 0;

    for (int k = 0; k < r->out_w * r->out_h; k++)
        sum += ((float *)r->out[t])[k];
    return sum / (r->out_w * r->out_h);
}

static double deviation(const Run *r, int t)
{
    double m = mean(r, t), sum = 0;

    for (int k = 0; k < r->out_w * r->out_h; k++)
        sum += pow(((float *)r->out[t])[k] - m, 2);
    return sqrt(sum / (r->out_w * r->out_h));
}

/* The network says something else on the second key frame: depth gets there, but not at once. */
static void no_jump_at_key_frames(void **state)
{
    static const int base[12] = { 100, 100, 100, 100, 105, 105, 105, 105, 105, 105, 105, 105 }, swing[12] = { 0 };
    const double to = 3 * 5 / 255.0;
    Sim *s = still(W, H, base, swing);
    Run *r = run(s, &plain, 4, LIE_ZERO, 1);

    (void)state;
    assert_int_equal(r->nb, 12);
    for (int t = 1; t < r->nb; t++)
        if (fabs(mean(r, t) - mean(r, t - 1)) > 0.4 * to)
            fail_msg("picture %d: %.4f m after %.4f m", t, mean(r, t), mean(r, t - 1));
    assert_true(mean(r, 11) - mean(r, 0) > 0.8 * to);
    end(r);
    sim_free(s);
}

/* Where a picture shows next to nothing, the network's answer counts for little: depth of a scene stays as it goes dark. */
static void dark_pictures_keep_depth(void **state)
{
    static const int base[12] = { 40, 40, 40, 40, 40, 40, 40, 40, 40, 40, 40, 40 }, swing[12] = { 5, 5, 5, 5 };
    Sim *s = still(W, H, base, swing);
    Run *r = run(s, &plain, 4, LIE_ZERO, 1);
    int  keys = 0;

    (void)state;
    assert_int_equal(r->nb, 12);
    for (int t = 4; t < 8; t++)
        keys += r->stats[t].key;
    assert_true(keys >= 1);
    if (deviation(r, 7) < 0.25 * deviation(r, 3))
        fail_msg("deviation of depth %.4f m, in the light %.4f m", deviation(r, 7), deviation(r, 3));
    end(r);
    sim_free(s);
}

static void formats_agree(void **state)
{
    Sim *s = sim_structure(1, W, H);
    Run *r[4];

    (void)state;
    for (int size = 0; size < 2; size++) {
        FsrDepthConfig d = plain;

        d.full_size = size;
        d.near = 1;
        d.far  = 4;
        for (int f = 0; f < 4; f++) {
            d.format = f;
            r[f] = run(s, &d, 16, LIE_NONE, 1);
        }
        for (int i = 0; i < r[0]->nb; i++)
            for (int k = 0; k < W * H; k++) {
                const float    metres = ((float *)r[FSR_DEPTH_GRAYF32]->out[i])[k];
                const uint8_t *c = r[FSR_DEPTH_COLOR]->out[i] + 3 * k;
                const int      g = r[FSR_DEPTH_GRAY8]->out[i][k], want = (int)((metres - 1) * 85 + 0.5);

                assert_int_equal(((uint16_t *)r[FSR_DEPTH_GRAY16]->out[i])[k], (int)(metres * 1000 + 0.5f));
                assert_in_range(g + 1, want < 0 ? 1 : want > 254 ? 255 : want, want < 0 ? 1 : want > 254 ? 256 : want + 2);
                if (g < 40)
                    assert_true(c[0] > c[2]);   /* near is warm */
                if (g > 215)
                    assert_true(c[2] > c[0]);
            }
        for (int f = 0; f < 4; f++)
            end(r[f]);
    }
    sim_free(s);
}

static void refuses(void **state)
{
    static const struct { double near, far, aspect; int planes; const char *words; } cases[] = {
        { 2, 1, 1, 3, "far must be more than near" }, { 0, 10, 0, 3, "invalid depth" }, { 0, 10, 1, 1, "takes 1 planes" },
        { 0, 10, 1, 0, "needs a network" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        FsrDepthConfig  d = plain;
        FsrEngine      *e;
        char            err[200] = "";
        FsrNet         *net = cases[i].planes ? make_net(cases[i].planes) : NULL;
        FsrEngineConfig c = {
            .format = { .width = W, .height = H, .bit_depth = 8, .sample_bytes = 1, .planes = 1 },
            .interval = 16, .threshold = 10, .net = net, .nb_workers = 1, .depth = &d,
            .alloc = alloc_out, .release = release, .discard = discard,
        };

        d.near = cases[i].near;
        d.far  = cases[i].far;
        d.sample_aspect = cases[i].aspect;
        assert_int_equal(fsr_engine_create(&e, &c, err, sizeof(err)), -EINVAL);
        assert_null(e);
        if (!strstr(err, cases[i].words))
            fail_msg("'%s' lacks '%s'", err, cases[i].words);
        fsr_nn_free(&net);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes),
        cmocka_unit_test(network_reaches_the_map),
        cmocka_unit_test(depth_follows_the_motion),
        cmocka_unit_test(survives_lies),
        cmocka_unit_test(no_jump_at_key_frames),
        cmocka_unit_test(dark_pictures_keep_depth),
        cmocka_unit_test(formats_agree),
        cmocka_unit_test(refuses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
