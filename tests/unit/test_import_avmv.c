/* Exported motion vectors become records: positions, precision, directions, nonsense. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "codec_hooks/import_avmv.h"

enum { W = 64, H = 48, CELLS_W = 16, CELLS_H = 12 };

typedef struct Result {
    FsrMotion m;
    FsrCell   cells[CELLS_W * CELLS_H];
} Result;

static void import(Result *res, const FsrVector *v, size_t n)
{
    FsrImport s = { .number = 9 };
    const size_t capacity = fsr_record_capacity(W, H, 4);
    FsrRecord *r = fsr_record_open(malloc(capacity), capacity, W, H);

    r->bit_depth = 8;
    memset(res, 0, sizeof(*res));
    assert_int_equal(fsr_import_vectors(&s, r, v, n, 1), 0);
    assert_int_equal(fsr_motion_load(&res->m, r, r->size), 0);
    assert_int_equal(res->m.nb_bad, 0);
    fsr_motion_cells(&res->m, res->cells);
    free(r);
}

static const FsrCell *at(const Result *res, int x, int y)
{
    return &res->cells[y * CELLS_W + x];
}

static int count_used(const Result *res)
{
    int n = 0;

    for (int i = 0; i < CELLS_W * CELLS_H; i++)
        n += res->cells[i].mode == FSR_INTER;
    return n;
}

static void test_positions(void **state)
{
    /* A macroblock at 16,0 and one of 8x8 at 0,40. */
    const FsrVector v[] = {
        { .source = -1, .w = 16, .h = 16, .dst_x = 24, .dst_y = 8, .src_x = 23, .src_y = 8, .motion_x = -7, .motion_y = 3, .motion_scale = 4 },
        { .source = 1, .w = 8, .h = 8, .dst_x = 4, .dst_y = 44, .src_x = 6, .src_y = 43, .motion_x = 5, .motion_y = -2, .motion_scale = 2 },
    };
    Result res;

    (void)state;
    import(&res, v, 2);
    assert_int_equal(count_used(&res), 20);
    assert_int_equal(res.m.hdr.type, 'B');
    assert_int_equal(res.m.hdr.state, FSR_DONE);
    assert_int_equal(at(&res, 3, 0)->mode, FSR_UNKNOWN);
    assert_int_equal(at(&res, 4, 0)->mode, FSR_INTER);
    assert_int_equal(at(&res, 7, 3)->mv[0][0], -7);             /* quarter samples stay */
    assert_int_equal(at(&res, 7, 3)->mv[0][1], 3);
    assert_int_equal(at(&res, 7, 4)->mode, FSR_UNKNOWN);
    assert_int_equal(at(&res, 1, 11)->mv[1][0], 10);            /* half samples doubled */
    assert_int_equal(at(&res, 1, 11)->ref[0], FSR_NO_REF);
    assert_true(res.m.refs[at(&res, 1, 11)->ref[1]].poc > 10);
    assert_true(res.m.refs[at(&res, 4, 0)->ref[0]].poc < 10);
    assert_int_equal(res.m.refs[0].flags, FSR_REF_DIRECTION);
    fsr_motion_free(&res.m);
}

static void test_both_directions_and_order(void **state)
{
    const FsrVector v[] = {
        { .source = -1, .w = 16, .h = 16, .dst_x = 8, .dst_y = 8, .src_x = 9, .src_y = 8, .motion_x = 4, .motion_scale = 4 },
        { .source = 1, .w = 16, .h = 16, .dst_x = 8, .dst_y = 8, .src_x = 8, .src_y = 6, .motion_y = -8, .motion_scale = 4 },
        { .source = -1, .w = 16, .h = 16, .dst_x = 12, .dst_y = 8, .src_x = 20, .src_y = 8, .motion_x = 32, .motion_scale = 4 },
    };
    Result res;

    (void)state;
    import(&res, v, 3);
    assert_int_equal(count_used(&res), 20);
    assert_int_equal(at(&res, 3, 0)->mv[0][0], 4);              /* the first one counts */
    assert_int_equal(at(&res, 3, 0)->mv[1][1], -8);
    assert_int_equal(at(&res, 4, 0)->mv[0][0], 32);
    assert_int_equal(at(&res, 4, 0)->ref[1], FSR_NO_REF);
    fsr_motion_free(&res.m);
}

/* mestimate leaves motion_x, motion_y and motion_scale as they were in memory. */
static void test_without_motion(void **state)
{
    const FsrVector v[] = {
        { .source = -1, .w = 16, .h = 16, .dst_x = 8, .dst_y = 8, .src_x = 5, .src_y = 10 },
        { .source = -1, .w = 16, .h = 16, .dst_x = 24, .dst_y = 8, .src_x = 21, .src_y = 10,
          .motion_x = INT32_MIN, .motion_y = 1234567, .motion_scale = 3 },
    };
    Result res;

    (void)state;
    import(&res, v, 2);
    for (int x = 0; x < 8; x++) {
        assert_int_equal(at(&res, x, 0)->mv[0][0], -12);
        assert_int_equal(at(&res, x, 0)->mv[0][1], 8);
    }
    assert_int_equal(res.m.hdr.type, 'P');
    fsr_motion_free(&res.m);
}

static void test_nothing(void **state)
{
    const FsrVector still = { .source = 0, .w = 16, .h = 16, .dst_x = 8, .dst_y = 8 };
    Result res;

    (void)state;
    import(&res, NULL, 0);
    assert_int_equal(count_used(&res), 0);
    assert_int_equal(res.m.hdr.type, 'I');
    fsr_motion_free(&res.m);
    import(&res, &still, 1);
    assert_int_equal(count_used(&res), 0);
    fsr_motion_free(&res.m);
}

static void test_out_of_range(void **state)
{
    const FsrVector v[] = {
        { .source = -1, .w = 16, .h = 16, .dst_x = 8, .dst_y = 8, .src_x = 32000, .src_y = 8 },
        { .source = -1, .w = 16, .h = 16, .dst_x = -32768, .dst_y = 8, .src_x = -32768, .src_y = 8 },
        { .source = -1, .w = 255, .h = 255, .dst_x = 32767, .dst_y = 32767, .src_x = 32767, .src_y = 32767 },
        { .source = -1, .w = 0, .h = 0, .dst_x = 8, .dst_y = 8, .src_x = 8, .src_y = 8 },
        { .source = -1, .w = 16, .h = 16, .dst_x = 64, .dst_y = 48, .src_x = 64, .src_y = 48 },
    };
    Result res;

    (void)state;
    import(&res, v, 5);
    assert_int_equal(count_used(&res), 4);                      /* the corner that lies inside */
    fsr_motion_free(&res.m);
}

/* Pictures count; those that later ones may come from are held; blocks end at macroblocks. */
static void test_stream(void **state)
{
    const size_t capacity = fsr_record_capacity(W, H, 4);
    /* I B B P B P: what is held after each */
    const struct { int two_way; uint32_t held[6]; } v[] = {
        { 0, { 1 } }, { 1, { 2, 1 } }, { 1, { 3, 2, 1 } }, { 0, { 4, 3, 1 } }, { 1, { 5, 4, 1 } }, { 0, { 6, 5, 4, 1 } },
        { 0, { 7, 6, 4 } },
    };
    const FsrVector all[] = {
        { .source = -1, .w = 64, .h = 48, .dst_x = 32, .dst_y = 24, .src_x = 33, .src_y = 24, .motion_x = 4, .motion_scale = 4 },
        { .source = 1, .w = 64, .h = 48, .dst_x = 32, .dst_y = 24, .src_x = 31, .src_y = 24, .motion_x = -4, .motion_scale = 4 },
    };
    FsrImport s = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof(v) / sizeof(*v); i++) {
        FsrRecord *r = fsr_record_open(malloc(capacity), capacity, W, H);
        FsrMotion  m = { 0 };

        r->bit_depth = 8;
        assert_int_equal(fsr_import_vectors(&s, r, all, i ? 2 : 0, v[i].two_way), 0);
        assert_int_equal(fsr_motion_load(&m, r, r->size), 0);
        assert_int_equal(m.nb_bad, 0);
        assert_int_equal(m.hdr.number, i + 1);
        assert_int_equal(m.hdr.type, !i ? 'I' : v[i].two_way ? 'B' : 'P');
        for (int k = 0; k < m.hdr.nb_held; k++)
            assert_int_equal(m.held[k], v[i].held[k]);
        assert_true(m.hdr.nb_held == 6 || !v[i].held[m.hdr.nb_held]);
        for (uint32_t k = 0; i && k < m.hdr.nb_blocks; k++)
            assert_true(m.blocks[k].x % 4 + m.blocks[k].w <= 4 && m.blocks[k].y % 4 + m.blocks[k].h <= 4);
        fsr_motion_free(&m);
        free(r);
    }
}

static void test_random(void **state)
{
    uint64_t x = 3;

    (void)state;
    for (int i = 0; i < 500; i++) {
        FsrVector v[40];
        uint8_t *bytes = (uint8_t *)v;
        Result res;

        for (size_t k = 0; k < sizeof(v); k++) {
            x = x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            bytes[k] = x >> 40;
        }
        for (int k = 0; k < 40; k += 2) {                       /* half of them near the picture */
            v[k].dst_x &= 127;
            v[k].dst_y &= 127;
            v[k].src_x = v[k].dst_x + (v[k].src_x & 255) - 128;
            v[k].src_y = v[k].dst_y + (v[k].src_y & 255) - 128;
        }
        import(&res, v, 40);
        assert_true(count_used(&res) > 0);
        fsr_motion_free(&res.m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_positions),
        cmocka_unit_test(test_both_directions_and_order),
        cmocka_unit_test(test_without_motion),
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_out_of_range),
        cmocka_unit_test(test_stream),
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
