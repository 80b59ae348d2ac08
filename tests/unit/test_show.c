/* show=map: colours agree with what was carried, vectors are there, and what is carried stays as it is. */
#include "engine_sim.h"

enum { W = 96, H = 64, LW = 2 * W, LH = 2 * H };

static const SimLayout full = { .planes = 3 };

/* A chroma sample of a large picture of three full planes */
static int chroma(const SimRun *r, int i, int plane, int x, int y)
{
    return r->data[i][(size_t)plane * LW * LH + y * LW + x];
}

static int is_gray(const SimRun *r, int i, int x, int y)
{
    return chroma(r, i, 1, x, y) == 128 && chroma(r, i, 2, x, y) == 128;
}

/* The share of a picture that has a colour */
static double coloured(const SimRun *r, int i)
{
    int n = 0;

    for (int y = 0; y < LH; y++)
        for (int x = 0; x < LW; x++)
            n += !is_gray(r, i, x, y);
    return (double)n / (LW * LH);
}

static void colours_agree_with_statistics(void **state)
{
    (void)state;
    for (int fill = 0; fill <= FSR_FILL_DETAIL; fill++) {
        Sim      *s = sim_structure(1, W, H);
        SimConfig cfg = { .fill = fill, .layout = full };
        SimRun   *plain = sim_run(s, &cfg), *map;

        cfg.show = FSR_SHOW_MAP;
        map = sim_run(s, &cfg);
        for (int i = 0; i < map->nb; i++) {
            assert_int_equal(map->stats[i].key, plain->stats[i].key);
            assert_true(map->stats[i].transferred == plain->stats[i].transferred);
            assert_memory_not_equal(map->data[i], plain->data[i], map->size);
            if (map->stats[i].key) {
                for (int k = 0; k < LW * LH; k++)   /* one colour, not gray */
                    assert_int_equal(chroma(map, i, 1, 0, 0), chroma(map, i, 1, k % LW, k / LW));
                assert_true(coloured(map, i) == 1);
            } else if (fabs(coloured(map, i) - map->stats[i].transferred) > 0.001) {
                fail_msg("fill %d, picture %d: %.4f coloured, %.4f transferred", fill, i, coloured(map, i), map->stats[i].transferred);
            }
        }
        sim_end(plain);
        sim_end(map);
        sim_free(s);
    }
}

/* Moves by whole large samples: blue where it fits, with a white line from each block that moves. */
static void vectors_are_drawn(void **state)
{
    Sim      *s = sim_new(W, H, 2);
    SimConfig cfg = { .fill = FSR_FILL_DETAIL, .show = FSR_SHOW_MAP, .layout = full };
    SimRun   *r;
    int       x = 32, y = 32;

    (void)state;
    s->vx = 32;
    s->vy = 0;
    sim_add(s, 0, FSR_KIND_IDR, -1, -1);
    s->pic[0].flags |= FSR_PIC_FIRST;
    sim_add(s, 1, FSR_KIND_TRAIL, 0, -1);
    r = sim_run(s, &cfg);
    assert_false(r->stats[1].key);
    /* the block of 32x32 at 64, 32 in the large picture: moves right, so it comes from the left */
    x = 64 + 32;
    y = 64 + 32;
    assert_false(is_gray(r, 1, x, y));
    for (int i = 0; i <= 16; i++)
        assert_in_range(r->data[1][y * LW + x - i], 250, 255);
    assert_true(r->data[1][y * LW + x - 18] < 250 && r->data[1][y * LW + x + 4] < 250);
    sim_end(r);
    sim_free(s);
}

/* Any format: the same map, to the rounding of the depth; crop and tiny sizes stay inside. */
static void formats(void **state)
{
    const struct { int w, h, depth; SimLayout l; } v[] = {
        { W, H, 10, { .planes = 3, .bytes = 2 } }, { W, H, 10, { .planes = 3, .bytes = 2, .shift = 6, .lw = 1, .lh = 1, .step = 2 } },
        { W, H, 12, { .planes = 3, .bytes = 2, .lw = 1 } }, { W, H, 8, { .planes = 1 } }, { 17, 9, 8, { .planes = 3, .lw = 1, .lh = 1 } },
        { 1, 1, 8, { .planes = 3, .lw = 1, .lh = 1 } }, { 33, 31, 8, { .planes = 3, .lw = 1, .lh = 1, .step = 2 } },
    };

    (void)state;
    for (size_t k = 0; k < sizeof(v) / sizeof(*v); k++) {
        Sim       *s = sim_structure(0, v[k].w, v[k].h);
        SimConfig  cfg = { .fill = FSR_FILL_DETAIL, .show = FSR_SHOW_MAP, .depth = v[k].depth, .layout = v[k].l };
        SimRun    *r;

        s->crop[0] = 3;
        s->crop[1] = 4;
        s->crop[2] = 5;
        s->crop[3] = 2;
        r = sim_run(s, &cfg);
        if (v[k].w == W) {
            SimRun *eight = sim_run(s, &(SimConfig){ .fill = FSR_FILL_DETAIL, .show = FSR_SHOW_MAP, .layout = full });

            for (int i = 0; i < r->nb; i++)
                for (int p = 0; p < LW * LH; p += 37) {
                    const int bytes = v[k].l.bytes ? v[k].l.bytes : 1;
                    uint16_t  sample = 0;

                    memcpy(&sample, r->data[i] + (size_t)p * bytes, bytes);
                    if (abs((sample >> v[k].l.shift >> (v[k].depth - 8)) - eight->data[i][p]) > 2)
                        fail_msg("layout %zu, picture %d, sample %d: %d, in 8 bits %d", k, i, p, sample, eight->data[i][p]);
                }
            sim_end(eight);
        }
        sim_end(r);
        sim_free(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(colours_agree_with_statistics),
        cmocka_unit_test(vectors_are_drawn),
        cmocka_unit_test(formats),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
