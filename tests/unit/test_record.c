/* The motion record: writing and reading back, every rule of validation, damage, canonical form. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "fastsr/record.h"

enum { W = 72, H = 56, CELLS_W = 18, CELLS_H = 14, NB_BLOCKS = 4 };

typedef struct Sample {
    FsrRecord *r;
    FsrRef    *refs;
    uint32_t  *held;
    FsrBlock  *blocks;
} Sample;

static void add(FsrRecord *r, FsrBlock b)
{
    FsrBlock *p = fsr_record_add_block(r);

    assert_non_null(p);
    *p = b;
}

/* Two references (the second weighted), two held pictures, four blocks, of which the last
 * reaches over the right border's last cell; the rest of the picture is left out. */
static Sample make_sample(void)
{
    const size_t capacity = fsr_record_capacity(W, H, 8);
    FsrRecord *r = fsr_record_open(malloc(capacity), capacity, W, H);
    FsrRef a = { .number = 3, .poc = -8 };
    FsrRef b = { .number = 2, .poc = 16, .flags = FSR_REF_LONG_TERM | FSR_REF_WEIGHTED,
                 .log2_denom = { 6, 5 }, .weight = { 70, 32, 31 }, .offset = { -3, 0, 4 } };
    Sample s = { r, NULL, NULL, NULL };

    assert_non_null(r);
    r->number = 9;
    r->poc = 4;
    r->kind = FSR_KIND_TRAIL;
    r->type = 'B';
    r->bit_depth = 8;
    r->chroma_format = 1;
    r->crop_right = 2;
    r->nb_slices = 1;
    assert_int_equal(fsr_record_add_ref(r, &a), 0);
    assert_int_equal(fsr_record_add_ref(r, &b), 1);
    assert_int_equal(fsr_record_add_held(r, 3), 0);
    assert_int_equal(fsr_record_add_held(r, 9), 0);
    add(r, (FsrBlock) { .x = 0, .y = 0, .w = 16, .h = 8, .mode = FSR_SKIP, .qp = 30,
                        .ref = { 0, FSR_NO_REF }, .mv = { { -5, 12 } } });
    add(r, (FsrBlock) { .x = 16, .y = 0, .w = 2, .h = 2, .mode = FSR_INTRA, .flags = FSR_BLOCK_RESIDUAL, .qp = 51,
                        .ref = { FSR_NO_REF, FSR_NO_REF } });
    add(r, (FsrBlock) { .x = 16, .y = 2, .w = 2, .h = 2, .mode = FSR_INTER, .qp = 0,
                        .ref = { 1, 0 }, .mv = { { 32767, -32768 }, { 1, 2 } } });
    add(r, (FsrBlock) { .x = 2, .y = 8, .w = 1, .h = 6, .mode = FSR_INTER, .flags = FSR_BLOCK_LOSSLESS, .qp = 12,
                        .ref = { FSR_NO_REF, 1 }, .mv = { { 0, 0 }, { 4, -4 } } });
    r->state = FSR_DONE;
    s.refs   = (FsrRef *)(r + 1);
    s.held   = (uint32_t *)(s.refs + r->nb_refs);
    s.blocks = (FsrBlock *)(s.held + r->nb_held);
    return s;
}

/* Everything that fsr_motion_load() promises. */
static void check_promises(const FsrMotion *m)
{
    const int w = fsr_cells(m->hdr.coded_w), h = fsr_cells(m->hdr.coded_h);
    uint8_t *covered = calloc(w, h);

    assert_in_range(m->hdr.nb_refs, 0, FSR_MAX_REFS);
    assert_in_range(m->hdr.nb_held, 0, FSR_MAX_HELD);
    for (int i = 0; i < m->hdr.nb_refs; i++) {
        assert_true(m->refs[i].number < m->hdr.number);
        assert_true(m->refs[i].log2_denom[0] <= 7 && m->refs[i].log2_denom[1] <= 7);
    }
    for (int i = 0; i < m->hdr.nb_held; i++)
        assert_in_range(m->held[i], 1, m->hdr.number);
    for (uint32_t i = 0; i < m->hdr.nb_blocks; i++) {
        const FsrBlock *b = &m->blocks[i];

        assert_in_range(b->w, 1, 16);
        assert_in_range(b->h, 1, 16);
        assert_true(b->x + b->w <= w && b->y + b->h <= h);
        for (int y = b->y; y < b->y + b->h; y++)
            for (int x = b->x; x < b->x + b->w; x++)
                assert_int_equal(covered[y * w + x]++, 0);
        assert_in_range(b->mode, 0, FSR_SKIP);
        assert_int_equal(b->mode >= FSR_INTER, b->ref[0] != FSR_NO_REF || b->ref[1] != FSR_NO_REF);
        for (int l = 0; l < 2; l++) {
            assert_true(b->ref[l] == FSR_NO_REF || b->ref[l] < m->hdr.nb_refs);
            if (b->ref[l] == FSR_NO_REF)
                assert_true(!b->mv[l][0] && !b->mv[l][1]);
        }
    }
    for (int i = 0; i < w * h; i++)
        assert_int_equal(covered[i], 1);
    free(covered);
}

static uint64_t checksum(const FsrMotion *m)
{
    FsrCell *cells = malloc(sizeof(*cells) * fsr_cells(m->hdr.coded_w) * fsr_cells(m->hdr.coded_h));
    uint64_t sum;

    fsr_motion_cells(m, cells);
    sum = fsr_motion_checksum(m, cells);
    free(cells);
    return sum;
}

static uint64_t load_checksum(const FsrRecord *r)
{
    FsrMotion m = { 0 };
    uint64_t sum;

    assert_int_equal(fsr_motion_load(&m, r, r->size), 0);
    sum = checksum(&m);
    fsr_motion_free(&m);
    return sum;
}

static void test_round_trip(void **state)
{
    Sample s = make_sample();
    FsrMotion m = { 0 };
    FsrCell cells[CELLS_W * CELLS_H];

    (void)state;
    assert_int_equal(fsr_motion_load(&m, s.r, s.r->size), 0);
    check_promises(&m);
    assert_int_equal(m.nb_bad, 0);
    assert_int_equal(m.hdr.number, 9);
    assert_int_equal(m.hdr.nb_refs, 2);
    assert_memory_equal(m.refs, s.refs, 2 * sizeof(FsrRef));
    assert_int_equal(m.refs[0].weight[0], 1);
    assert_int_equal(m.refs[1].offset[0], -3);
    assert_int_equal(m.hdr.nb_held, 2);
    assert_int_equal(m.held[1], 9);
    assert_true(m.hdr.nb_blocks > NB_BLOCKS);
    assert_memory_equal(m.blocks, s.blocks, NB_BLOCKS * sizeof(FsrBlock));
    for (uint32_t i = NB_BLOCKS; i < m.hdr.nb_blocks; i++)
        assert_int_equal(m.blocks[i].mode, FSR_UNKNOWN);

    memset(cells, 0x55, sizeof(cells));
    fsr_motion_cells(&m, cells);
    assert_int_equal(cells[7 * CELLS_W + 15].mode, FSR_SKIP);
    assert_int_equal(cells[7 * CELLS_W + 15].mv[0][1], 12);
    assert_int_equal(cells[CELLS_W + 17].qp, 51);
    assert_int_equal(cells[3 * CELLS_W + 16].mv[0][0], 32767);
    assert_int_equal(cells[13 * CELLS_W + 2].flags, FSR_BLOCK_LOSSLESS);
    assert_int_equal(cells[13 * CELLS_W + 3].mode, FSR_UNKNOWN);
    assert_int_equal(cells[13 * CELLS_W + 3].ref[0], FSR_NO_REF);
    fsr_motion_free(&m);
    assert_null(m.blocks);
    free(s.r);
}

static void test_unaligned(void **state)
{
    Sample s = make_sample();
    uint8_t *bytes = malloc(s.r->size + 1);
    FsrMotion m = { 0 };

    (void)state;
    memcpy(bytes + 1, s.r, s.r->size);
    assert_int_equal(fsr_motion_load(&m, bytes + 1, s.r->size), 0);
    assert_memory_equal(m.blocks, s.blocks, NB_BLOCKS * sizeof(FsrBlock));
    fsr_motion_free(&m);
    free(bytes);
    free(s.r);
}

static void test_producer_limits(void **state)
{
    const size_t capacity = fsr_record_capacity(16, 16, 8);
    uint32_t *buf = malloc(capacity);
    FsrRecord *r;
    FsrRef ref = { .number = 1 };

    (void)state;
    assert_int_equal(fsr_record_capacity(0, 16, 8), 0);
    assert_int_equal(fsr_record_capacity(16, FSR_MAX_SIZE + 1, 8), 0);
    assert_int_equal(fsr_record_capacity(16, 16, 2), 0);
    assert_true(fsr_record_capacity(FSR_MAX_SIZE, FSR_MAX_SIZE, 4) > 0);
    assert_null(fsr_record_open(buf, sizeof(FsrRecord), 16, 16));
    assert_null(fsr_record_open(buf, capacity, 16, 0));
    r = fsr_record_open(buf, capacity, 16, 16);
    assert_non_null(r);
    assert_int_equal(r->state, FSR_PENDING);

    ref.weight[0] = 99;                             /* means nothing without the flag */
    assert_int_equal(fsr_record_add_ref(r, &ref), 0);
    ref.weight[0] = 98;
    assert_int_equal(fsr_record_add_ref(r, &ref), 0);
    for (int i = 1; i < FSR_MAX_REFS; i++) {
        ref.poc = i;
        assert_int_equal(fsr_record_add_ref(r, &ref), i);
    }
    ref.poc = -1;
    assert_int_equal(fsr_record_add_ref(r, &ref), FSR_NO_REF);
    ref.poc = 7;
    assert_int_equal(fsr_record_add_ref(r, &ref), 7);
    for (int i = 0; i < FSR_MAX_HELD; i++)
        assert_int_equal(fsr_record_add_held(r, 1), 0);
    assert_int_equal(fsr_record_add_held(r, 1), -ENOSPC);
    for (int i = 0; i < 8; i++)                     /* two in each of four coding blocks */
        assert_non_null(fsr_record_add_block(r));
    assert_null(fsr_record_add_block(r));
    assert_int_equal(fsr_record_add_held(r, 1), -ENOSPC);
    assert_int_equal(r->nb_blocks, 8);
    assert_int_equal(r->size, capacity);
    free(buf);
}

#define BAD_HEADER(change) do {                                         \
        Sample s = make_sample();                                       \
        FsrMotion m = { 0 };                                            \
        change;                                                         \
        assert_int_equal(fsr_motion_load(&m, s.r, size), -EINVAL);      \
        assert_int_equal(m.hdr.nb_blocks, 0);                           \
        fsr_motion_free(&m);                                            \
        free(s.r);                                                      \
    } while (0)

static void test_header_rules(void **state)
{
    Sample good = make_sample();
    const uint32_t size = good.r->size;

    (void)state;
    free(good.r);
    BAD_HEADER(s.r->magic++);
    BAD_HEADER(s.r->version++);
    BAD_HEADER(s.r->header_size--);
    BAD_HEADER(s.r->size++);
    BAD_HEADER(s.r->size--);
    BAD_HEADER(s.r->capacity = s.r->size - 1);
    BAD_HEADER(s.r->number = 0);
    BAD_HEADER(s.r->state = FSR_DONE + 1);
    BAD_HEADER(s.r->kind = FSR_KIND_IDR + 1);
    BAD_HEADER(s.r->type = 'X');
    BAD_HEADER(s.r->temporal_id = 7);
    BAD_HEADER(s.r->flags = 4);
    BAD_HEADER(s.r->bit_depth = 7);
    BAD_HEADER(s.r->bit_depth = 17);
    BAD_HEADER(s.r->chroma_format = 4);
    BAD_HEADER(s.r->coded_w = 0);
    BAD_HEADER(s.r->coded_h = FSR_MAX_SIZE + 1);
    BAD_HEADER(s.r->crop_left = W - 2);
    BAD_HEADER(s.r->crop_bottom = H);
    BAD_HEADER(s.r->nb_refs++);
    BAD_HEADER(s.r->nb_held--);
    BAD_HEADER(s.r->nb_blocks++);
    BAD_HEADER(s.r->nb_blocks = UINT32_MAX);
    BAD_HEADER(s.r->nb_refs = FSR_MAX_REFS + 1; s.r->size += (FSR_MAX_REFS - 1) * sizeof(FsrRef));
}

static void test_pending(void **state)
{
    Sample s = make_sample();
    FsrMotion m = { 0 };

    (void)state;
    s.r->state = FSR_PENDING;
    assert_int_equal(fsr_motion_load(&m, s.r, s.r->size), -EAGAIN);
    assert_int_equal(m.hdr.nb_blocks, 0);
    s.r->state = FSR_PARTIAL;
    assert_int_equal(fsr_motion_load(&m, s.r, s.r->size), 0);
    assert_int_equal(m.hdr.state, FSR_PARTIAL);
    fsr_motion_free(&m);
    free(s.r);
}

/* change makes block i of the sample bad; mode_left is what stands at its first cell then. */
#define BAD_BLOCK(i, change, cx, cy, mode_left) do {                    \
        Sample s = make_sample();                                       \
        FsrMotion m = { 0 };                                            \
        FsrCell cells[CELLS_W * CELLS_H];                               \
        FsrBlock *b = &s.blocks[i];                                     \
        change;                                                         \
        assert_int_equal(fsr_motion_load(&m, s.r, s.r->size), 0);       \
        assert_int_equal(m.nb_bad, 1);                                  \
        check_promises(&m);                                             \
        fsr_motion_cells(&m, cells);                                    \
        assert_int_equal(cells[(cy) * CELLS_W + (cx)].mode, mode_left); \
        fsr_motion_free(&m);                                            \
        free(s.r);                                                      \
    } while (0)

static void test_block_rules(void **state)
{
    (void)state;
    BAD_BLOCK(0, b->w = 17, 0, 0, FSR_UNKNOWN);
    BAD_BLOCK(0, b->h = 0, 0, 0, FSR_UNKNOWN);
    BAD_BLOCK(1, b->x = 17, 16, 0, FSR_UNKNOWN);
    BAD_BLOCK(1, b->x = 65535, 16, 0, FSR_UNKNOWN);
    BAD_BLOCK(3, b->h = 7, 2, 8, FSR_UNKNOWN);
    BAD_BLOCK(0, b->mode = FSR_SKIP + 1, 0, 0, FSR_UNKNOWN);
    BAD_BLOCK(0, b->flags = 4, 0, 0, FSR_UNKNOWN);
    BAD_BLOCK(0, b->qp = 52, 0, 0, FSR_UNKNOWN);
    BAD_BLOCK(0, b->qp = -1, 0, 0, FSR_UNKNOWN);
    BAD_BLOCK(0, b->ref[0] = 2, 0, 0, FSR_UNKNOWN);
    BAD_BLOCK(0, b->ref[0] = 200, 0, 0, FSR_UNKNOWN);
    BAD_BLOCK(0, b->ref[0] = FSR_NO_REF, 0, 0, FSR_UNKNOWN);                    /* a vector without a reference */
    BAD_BLOCK(0, b->ref[0] = FSR_NO_REF; b->mv[0][0] = b->mv[0][1] = 0, 0, 0, FSR_UNKNOWN);
    BAD_BLOCK(1, b->ref[1] = 0, 16, 0, FSR_UNKNOWN);                            /* intra with a reference */
    BAD_BLOCK(1, b->mv[1][1] = 1, 16, 0, FSR_UNKNOWN);
    BAD_BLOCK(2, b->y = 1, 16, 1, FSR_INTRA);                                   /* overlap: the earlier one stays */
    BAD_BLOCK(2, b->x = 15, 16, 2, FSR_UNKNOWN);
}

static void test_ref_rules(void **state)
{
    FsrMotion m = { 0 };

    (void)state;
    for (int rule = 0; rule < 8; rule++) {
        Sample s = make_sample();
        FsrRef *bad = &s.refs[1];

        switch (rule) {
        case 0: bad->number = 9;              break;    /* itself */
        case 1: bad->number = UINT32_MAX;     break;
        case 2: bad->flags |= 16;             break;
        case 3: bad->flags |= FSR_REF_DIRECTION; break; /* with a number */
        case 4: bad->log2_denom[0] = 8;       break;
        case 5: bad->weight[1] = 256;         break;
        case 6: bad->offset[2] = 128;         break;
        case 7: bad->weight[0] = -128;        break;
        }
        assert_int_equal(fsr_motion_load(&m, s.r, s.r->size), 0);
        check_promises(&m);
        assert_int_equal(m.nb_bad, 3);                  /* the reference and the two blocks that use it */
        assert_int_equal(m.blocks[0].mode, FSR_SKIP);
        assert_int_equal(m.blocks[2].mode, FSR_UNKNOWN);
        assert_int_equal(m.blocks[3].mode, FSR_UNKNOWN);
        assert_int_equal(m.refs[1].number, 0);
        free(s.r);
    }
    fsr_motion_free(&m);
}

static void test_held_rules(void **state)
{
    Sample s = make_sample();
    FsrMotion m = { 0 };

    (void)state;
    s.held[0] = 10;
    assert_int_equal(fsr_motion_load(&m, s.r, s.r->size), 0);
    assert_int_equal(m.hdr.nb_held, 1);
    assert_int_equal(m.held[0], 9);
    assert_int_equal(m.nb_bad, 1);
    s.held[1] = 0;
    assert_int_equal(fsr_motion_load(&m, s.r, s.r->size), 0);
    assert_int_equal(m.hdr.nb_held, 0);
    fsr_motion_free(&m);
    free(s.r);
}

static void test_truncation(void **state)
{
    Sample s = make_sample();
    FsrMotion m = { 0 };

    (void)state;
    for (uint32_t n = 0; n < s.r->size; n++) {
        void *part = malloc(n ? n : 1);                 /* of its own size, so that ASan sees a reach beyond */

        memcpy(part, s.r, n);
        assert_int_equal(fsr_motion_load(&m, part, n), -EINVAL);
        free(part);
    }
    assert_int_equal(fsr_motion_load(&m, s.r, s.r->size), 0);
    check_promises(&m);
    fsr_motion_free(&m);
    free(s.r);
}

static uint32_t lcg(uint64_t *x)
{
    *x = *x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *x >> 33;
}

static void test_random_damage(void **state)
{
    Sample s = make_sample();
    uint8_t *bytes = malloc(s.r->size);
    FsrMotion m = { 0 };
    uint64_t seed = 1;
    int accepted = 0;

    (void)state;
    for (int i = 0; i < 60000; i++) {
        const uint32_t first = i & 1 ? sizeof(FsrRecord) : 0;   /* half of them keep the header */

        memcpy(bytes, s.r, s.r->size);
        for (uint32_t n = 1 + lcg(&seed) % 4; n > 0; n--)
            bytes[first + lcg(&seed) % (s.r->size - first)] = lcg(&seed);
        /* A picture of full size is slow to check cell by cell. */
        if (((FsrRecord *)bytes)->coded_w > 300 || ((FsrRecord *)bytes)->coded_h > 300)
            continue;
        if (fsr_motion_load(&m, bytes, s.r->size) == 0) {
            check_promises(&m);
            accepted++;
        }
    }
    assert_true(accepted > 20000);
    fsr_motion_free(&m);
    free(bytes);
    free(s.r);
}

/* The same motion with the references swapped and a block cut in two. */
static void test_checksum_is_canonical(void **state)
{
    Sample a = make_sample(), b = make_sample();
    const FsrRef swap = b.refs[0];

    (void)state;
    b.refs[0] = b.refs[1];
    b.refs[1] = swap;
    for (int i = 0; i < NB_BLOCKS; i++)
        for (int l = 0; l < 2; l++)
            if (b.blocks[i].ref[l] != FSR_NO_REF)
                b.blocks[i].ref[l] ^= 1;
    add(b.r, b.blocks[0]);
    b.blocks[0].w = 4;
    b.blocks[NB_BLOCKS].x = 4;
    b.blocks[NB_BLOCKS].w = 12;
    assert_true(load_checksum(a.r) == load_checksum(b.r));
    free(a.r);
    free(b.r);
}

#define DIFFERS(change) do {                                            \
        Sample s = make_sample();                                       \
        const uint64_t before = load_checksum(s.r);                     \
        change;                                                         \
        assert_true(load_checksum(s.r) != before);                      \
        free(s.r);                                                      \
    } while (0)

static void test_checksum_sees_everything(void **state)
{
    (void)state;
    DIFFERS(s.blocks[0].mv[0][0]++);
    DIFFERS(s.blocks[2].mv[1][1]++);
    DIFFERS(s.blocks[0].mode = FSR_INTER);
    DIFFERS(s.blocks[0].flags ^= FSR_BLOCK_RESIDUAL);
    DIFFERS(s.blocks[3].qp++);
    DIFFERS(s.blocks[3].ref[1] = 0);
    DIFFERS(s.blocks[1].w--);
    DIFFERS(s.refs[0].number--);
    DIFFERS(s.refs[0].poc++);
    DIFFERS(s.refs[1].flags &= ~FSR_REF_LONG_TERM);
    DIFFERS(s.refs[1].weight[0]++);
    DIFFERS(s.refs[1].weight[2]++);
    DIFFERS(s.refs[1].offset[1]++);
    DIFFERS(s.refs[1].log2_denom[0]--);
}

static void test_sizes(void **state)
{
    static const uint16_t sizes[][2] = { { 1, 1 }, { 5, 9 }, { 255, 257 }, { 256, 256 }, { 16384, 4 }, { 4, 16384 } };
    FsrMotion m = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        const int w = sizes[i][0], h = sizes[i][1];
        const size_t capacity = fsr_record_capacity(w, h, 16);
        FsrRecord *r = fsr_record_open(malloc(capacity), capacity, w, h);

        r->number = 1;
        r->bit_depth = 8;
        r->state = FSR_DONE;
        add(r, (FsrBlock) { .x = fsr_cells(w) - 1, .y = fsr_cells(h) - 1, .w = 1, .h = 1, .mode = FSR_INTRA,
                            .ref = { FSR_NO_REF, FSR_NO_REF } });
        assert_int_equal(fsr_motion_load(&m, r, r->size), 0);
        assert_int_equal(m.nb_bad, 0);
        check_promises(&m);
        free(r);
    }
    fsr_motion_free(&m);
}

/* Blocks at every place of a row of 160 cells, each followed by one on its last cell. */
static void test_overlap_everywhere(void **state)
{
    const int w = 640, h = 4;
    const size_t capacity = fsr_record_capacity(w, h, 4);
    FsrRecord *r = malloc(capacity);
    FsrMotion m = { 0 };

    (void)state;
    for (int x = 0; x <= 160 - 16; x++)
        for (int last = 0; last < 2; last++) {
            assert_non_null(fsr_record_open(r, capacity, w, h));
            r->number = 1;
            r->bit_depth = 8;
            r->state = FSR_DONE;
            add(r, (FsrBlock) { .x = x, .w = 16, .h = 1, .mode = FSR_INTRA, .ref = { FSR_NO_REF, FSR_NO_REF } });
            add(r, (FsrBlock) { .x = last ? x + 15 : x, .w = 1, .h = 1, .mode = FSR_INTRA,
                                .ref = { FSR_NO_REF, FSR_NO_REF } });
            assert_int_equal(fsr_motion_load(&m, r, r->size), 0);
            assert_int_equal(m.nb_bad, 1);
            check_promises(&m);
        }
    fsr_motion_free(&m);
    free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_unaligned),
        cmocka_unit_test(test_producer_limits),
        cmocka_unit_test(test_header_rules),
        cmocka_unit_test(test_pending),
        cmocka_unit_test(test_block_rules),
        cmocka_unit_test(test_overlap_everywhere),
        cmocka_unit_test(test_ref_rules),
        cmocka_unit_test(test_held_rules),
        cmocka_unit_test(test_truncation),
        cmocka_unit_test(test_random_damage),
        cmocka_unit_test(test_checksum_is_canonical),
        cmocka_unit_test(test_checksum_sees_everything),
        cmocka_unit_test(test_sizes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
