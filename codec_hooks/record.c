/*
 * The motion record: writing, validation, canonical form (fastsr/record.h).
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fastsr/record.h"

static_assert(sizeof(FsrRecord) == 60 && sizeof(FsrRef) == 24 && sizeof(FsrBlock) == 20 &&
              sizeof(FsrCell) == 16, "the record's layout has no hidden padding");

#define MAX_BLOCK_CELLS 16

/* Producer side ------------------------------------------------------------ */

static int size_ok(int w, int h)
{
    return w > 0 && h > 0 && w <= FSR_MAX_SIZE && h <= FSR_MAX_SIZE;
}

static size_t tables_size(void)
{
    return sizeof(FsrRecord) + FSR_MAX_REFS * sizeof(FsrRef) + FSR_MAX_HELD * sizeof(uint32_t);
}

size_t fsr_record_capacity(int coded_w, int coded_h, int min_coding_block)
{
    const int n = min_coding_block;
    const size_t parts = n == 4 ? 1 : n == 8 ? 2 : 4;

    if (!size_ok(coded_w, coded_h) || n < 4 || n > 64)
        return 0;
    return tables_size() + parts * sizeof(FsrBlock) * ((coded_w + n - 1) / n) * ((coded_h + n - 1) / n);
}

FsrRecord *fsr_record_open(void *buf, size_t capacity, int coded_w, int coded_h)
{
    FsrRecord *r = buf;

    if (capacity < tables_size() || capacity > UINT32_MAX || !size_ok(coded_w, coded_h))
        return NULL;
    *r = (FsrRecord) {
        .magic   = FSR_RECORD_MAGIC,  .version = FSR_RECORD_VERSION, .header_size = sizeof(*r),
        .size    = sizeof(*r),        .capacity = capacity,
        .state   = FSR_PENDING,       .type = 'I',
        .coded_w = coded_w,           .coded_h = coded_h,
    };
    return r;
}

static void *append(FsrRecord *r, size_t n)
{
    void *p;

    if (n > r->capacity - r->size)
        return NULL;
    p = (uint8_t *)r + r->size;
    memset(p, 0, n);
    r->size += n;
    return p;
}

/* Equal references are equal bytes: padding is zero, unused weights are the neutral ones. */
static FsrRef normal_ref(const FsrRef *ref)
{
    FsrRef n = { .number = ref->number, .poc = ref->poc, .flags = ref->flags, .weight = { 1, 1, 1 } };

    if (ref->flags & FSR_REF_WEIGHTED) {
        memcpy(n.log2_denom, ref->log2_denom, sizeof(n.log2_denom));
        memcpy(n.weight, ref->weight, sizeof(n.weight));
        memcpy(n.offset, ref->offset, sizeof(n.offset));
    }
    return n;
}

int fsr_record_add_ref(FsrRecord *r, const FsrRef *ref)
{
    const FsrRef n = normal_ref(ref);
    FsrRef *table = (FsrRef *)(r + 1);

    for (int i = 0; i < r->nb_refs; i++)
        if (!memcmp(&table[i], &n, sizeof(n)))
            return i;
    if (r->nb_refs == FSR_MAX_REFS || r->nb_held || r->nb_blocks || !append(r, sizeof(n)))
        return FSR_NO_REF;
    table[r->nb_refs] = n;
    return r->nb_refs++;
}

int fsr_record_add_held(FsrRecord *r, uint32_t number)
{
    uint32_t *p;

    if (r->nb_held == FSR_MAX_HELD || r->nb_blocks || !(p = append(r, sizeof(*p))))
        return -ENOSPC;
    *p = number;
    r->nb_held++;
    return 0;
}

FsrBlock *fsr_record_add_block(FsrRecord *r)
{
    FsrBlock *b = append(r, sizeof(*b));

    if (b) {
        b->ref[0] = b->ref[1] = FSR_NO_REF;
        r->nb_blocks++;
    }
    return b;
}

/* Consumer side: validation ------------------------------------------------- */

static int header_ok(const FsrRecord *h, size_t size)
{
    const uint64_t want = sizeof(*h) + (uint64_t)h->nb_refs * sizeof(FsrRef) +
                          (uint64_t)h->nb_held * sizeof(uint32_t) +
                          (uint64_t)h->nb_blocks * sizeof(FsrBlock);

    return h->magic == FSR_RECORD_MAGIC && h->version == FSR_RECORD_VERSION &&
           h->header_size == sizeof(*h) &&
           h->size == want && h->size <= size && h->size <= h->capacity &&
           h->number >= 1 &&
           h->state <= FSR_DONE && h->kind <= FSR_KIND_IDR &&
           (h->type == 'I' || h->type == 'P' || h->type == 'B') &&
           h->temporal_id <= 6 &&
           !(h->flags & ~(FSR_PIC_REFERENCE | FSR_PIC_FIRST)) &&
           h->bit_depth >= 8 && h->bit_depth <= 16 && h->chroma_format <= 3 &&
           size_ok(h->coded_w, h->coded_h) &&
           h->crop_left + h->crop_right < h->coded_w && h->crop_top + h->crop_bottom < h->coded_h &&
           h->nb_refs <= FSR_MAX_REFS && h->nb_held <= FSR_MAX_HELD;
}

static int weights_ok(const FsrRef *ref, int bit_depth)
{
    const int max_offset = 128 << (bit_depth - 8);

    for (int i = 0; i < 3; i++) {
        /* (1 << denominator) + a signed byte, H.265 7.4.7.3 */
        if (ref->weight[i] < -127 || ref->weight[i] > 255 ||
            ref->offset[i] < -max_offset || ref->offset[i] >= max_offset)
            return 0;
    }
    return ref->log2_denom[0] <= 7 && ref->log2_denom[1] <= 7;
}

static int ref_ok(const FsrRef *ref, const FsrRecord *h)
{
    const int all = FSR_REF_LONG_TERM | FSR_REF_MISSING | FSR_REF_WEIGHTED | FSR_REF_DIRECTION;

    return !(ref->flags & ~all) && ref->number < h->number &&
           !((ref->flags & FSR_REF_DIRECTION) && ref->number) &&
           (!(ref->flags & FSR_REF_WEIGHTED) || weights_ok(ref, h->bit_depth));
}

/* Returns the references that blocks may use, one bit each. */
static uint64_t load_refs(FsrMotion *m, const uint8_t *p)
{
    uint64_t usable = 0;

    for (int i = 0; i < m->hdr.nb_refs; i++, p += sizeof(FsrRef)) {
        FsrRef ref;

        memcpy(&ref, p, sizeof(ref));
        if (ref_ok(&ref, &m->hdr)) {
            m->refs[i] = normal_ref(&ref);
            usable |= UINT64_C(1) << i;
        } else {
            m->refs[i] = normal_ref(&(FsrRef){ .flags = FSR_REF_MISSING });
            m->nb_bad++;
        }
    }
    return usable;
}

static void load_held(FsrMotion *m, const uint8_t *p)
{
    const int n = m->hdr.nb_held;

    m->hdr.nb_held = 0;
    for (int i = 0; i < n; i++, p += sizeof(uint32_t)) {
        uint32_t number;

        memcpy(&number, p, sizeof(number));
        if (number && number <= m->hdr.number)
            m->held[m->hdr.nb_held++] = number;
        else
            m->nb_bad++;
    }
}

/* One bit for each cell, every row begins a new word. */
typedef struct Cover {
    uint64_t *bits;
    int       words;                    /* of one row */
    int       w, h;
} Cover;

/* The bits of n cells from x on, in a word and the next one. */
static void run_mask(uint64_t mask[2], int x, int n)
{
    const uint64_t ones = (UINT64_C(1) << n) - 1;
    const int shift = x & 63;

    mask[0] = ones << shift;
    mask[1] = shift + n > 64 ? ones >> (64 - shift) : 0;
}

static int row_is_free(const Cover *c, int x, int y, int n)
{
    const uint64_t *row = c->bits + (size_t)y * c->words + x / 64;
    uint64_t mask[2];

    run_mask(mask, x, n);
    return !(row[0] & mask[0]) && (!mask[1] || !(row[1] & mask[1]));
}

static void take_rows(const Cover *c, int x, int y, int w, int h)
{
    uint64_t mask[2];

    run_mask(mask, x, w);
    for (int i = 0; i < h; i++) {
        uint64_t *row = c->bits + (size_t)(y + i) * c->words + x / 64;
        row[0] |= mask[0];
        if (mask[1])
            row[1] |= mask[1];
    }
}

static int place_block(const Cover *c, const FsrBlock *b)
{
    if (b->w < 1 || b->h < 1 || b->w > MAX_BLOCK_CELLS || b->h > MAX_BLOCK_CELLS ||
        b->x + b->w > c->w || b->y + b->h > c->h)
        return 0;
    for (int i = 0; i < b->h; i++)
        if (!row_is_free(c, b->x, b->y + i, b->w))
            return 0;
    take_rows(c, b->x, b->y, b->w, b->h);
    return 1;
}

static int motion_ok(const FsrBlock *b, uint64_t usable)
{
    int used = 0;

    for (int i = 0; i < 2; i++) {
        if (b->ref[i] == FSR_NO_REF) {
            if (b->mv[i][0] || b->mv[i][1])
                return 0;
            continue;
        }
        if (b->ref[i] >= FSR_MAX_REFS || !(usable >> b->ref[i] & 1))
            return 0;
        used = 1;
    }
    return used == (b->mode == FSR_INTER || b->mode == FSR_SKIP);
}

static int block_ok(const FsrBlock *b, uint64_t usable, int bit_depth)
{
    return b->mode <= FSR_SKIP &&
           !(b->flags & ~(FSR_BLOCK_RESIDUAL | FSR_BLOCK_LOSSLESS)) &&
           b->qp <= 51 && b->qp >= -6 * (bit_depth - 8) &&
           motion_ok(b, usable);
}

static FsrBlock unknown_block(int x, int y, int w, int h)
{
    return (FsrBlock) { .x = x, .y = y, .w = w, .h = h, .mode = FSR_UNKNOWN,
                        .ref = { FSR_NO_REF, FSR_NO_REF } };
}

static int reserve_blocks(FsrMotion *m, size_t n)
{
    FsrBlock *p;

    if (n <= m->alloc)
        return 0;
    n += n / 2;
    if (!(p = realloc(m->blocks, n * sizeof(*p))))
        return -ENOMEM;
    m->blocks = p;
    m->alloc  = n;
    return 0;
}

static int load_blocks(FsrMotion *m, const uint8_t *p, uint64_t usable, const Cover *c)
{
    const uint32_t n = m->hdr.nb_blocks;

    m->hdr.nb_blocks = 0;
    if (reserve_blocks(m, n) < 0)
        return -ENOMEM;
    for (uint32_t i = 0; i < n; i++, p += sizeof(FsrBlock)) {
        FsrBlock b;

        memcpy(&b, p, sizeof(b));
        if (!place_block(c, &b)) {
            m->nb_bad++;
            continue;
        }
        b.pad = 0;
        if (!block_ok(&b, usable, m->hdr.bit_depth)) {
            b = unknown_block(b.x, b.y, b.w, b.h);
            m->nb_bad++;
        } else if (b.mode == FSR_UNKNOWN)
            b = unknown_block(b.x, b.y, b.w, b.h);
        m->blocks[m->hdr.nb_blocks++] = b;
    }
    return 0;
}

static int add_hole(FsrMotion *m, const Cover *c, int x, int y)
{
    int w = 1, h = 1;

    while (w < MAX_BLOCK_CELLS && x + w < c->w && row_is_free(c, x + w, y, 1))
        w++;
    while (h < MAX_BLOCK_CELLS && y + h < c->h && row_is_free(c, x, y + h, w))
        h++;
    if (reserve_blocks(m, m->hdr.nb_blocks + (size_t)1) < 0)
        return -ENOMEM;
    m->blocks[m->hdr.nb_blocks++] = unknown_block(x, y, w, h);
    take_rows(c, x, y, w, h);
    return 0;
}

static int fill_holes(FsrMotion *m, const Cover *c)
{
    for (int y = 0; y < c->h; y++)
        for (int x = 0; x < c->w; ) {
            if (!(x & 63) && c->bits[(size_t)y * c->words + x / 64] == UINT64_MAX)
                x += 64;
            else if (!row_is_free(c, x, y, 1))
                x++;
            else if (add_hole(m, c, x, y) < 0)
                return -ENOMEM;
        }
    return 0;
}

static int open_cover(FsrMotion *m, Cover *c)
{
    size_t n;

    c->w     = fsr_cells(m->hdr.coded_w);
    c->h     = fsr_cells(m->hdr.coded_h);
    c->words = (c->w + 63) / 64;
    n = (size_t)c->words * c->h;
    if (n > m->covered_alloc) {
        free(m->covered);
        m->covered_alloc = 0;
        if (!(m->covered = malloc(n * sizeof(*m->covered))))
            return -ENOMEM;
        m->covered_alloc = n;
    }
    memset(m->covered, 0, n * sizeof(*m->covered));
    c->bits = m->covered;
    return 0;
}

int fsr_motion_load(FsrMotion *m, const void *data, size_t size)
{
    const uint8_t *p = data;
    FsrRecord h;
    Cover cover;
    uint64_t usable;
    int ret;

    memset(&m->hdr, 0, sizeof(m->hdr));
    m->nb_bad = 0;
    if (size < sizeof(h))
        return -EINVAL;
    memcpy(&h, p, sizeof(h));
    if (!header_ok(&h, size))
        return -EINVAL;
    if (h.state == FSR_PENDING)
        return -EAGAIN;
    h.pad = 0;
    h.pad2 = 0;
    m->hdr = h;

    p += sizeof(h);
    usable = load_refs(m, p);
    p += h.nb_refs * sizeof(FsrRef);
    load_held(m, p);
    p += h.nb_held * sizeof(uint32_t);
    ret = open_cover(m, &cover);
    if (ret >= 0)
        ret = load_blocks(m, p, usable, &cover);
    if (ret >= 0)
        ret = fill_holes(m, &cover);
    if (ret < 0)
        memset(&m->hdr, 0, sizeof(m->hdr));
    return ret;
}

void fsr_motion_free(FsrMotion *m)
{
    free(m->blocks);
    free(m->covered);
    memset(m, 0, sizeof(*m));
}

/* Consumer side: canonical form ---------------------------------------------- */

void fsr_motion_cells(const FsrMotion *m, FsrCell *cells)
{
    const int stride = fsr_cells(m->hdr.coded_w);

    for (uint32_t i = 0; i < m->hdr.nb_blocks; i++) {
        const FsrBlock *b = &m->blocks[i];
        FsrCell *row = cells + (size_t)b->y * stride + b->x;
        FsrCell cell = { .ref = { b->ref[0], b->ref[1] },
                         .mode = b->mode, .flags = b->flags, .qp = b->qp };

        memcpy(cell.mv, b->mv, sizeof(cell.mv));
        for (int x = 0; x < b->w; x++)
            row[x] = cell;
        for (int y = 1; y < b->h; y++)
            memcpy(row + (size_t)y * stride, row, b->w * sizeof(*row));
    }
}

/* FNV-1a (Fowler, Noll, Vo) on words of 64 bits; the shift brings high bits of a word
 * down again, which the multiplication alone never does. */
static uint64_t mix(uint64_t h, uint64_t word)
{
    h = (h ^ word) * UINT64_C(0x100000001b3);
    return h ^ h >> 29;
}

static uint64_t ref_hash(const FsrRef *ref)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    h = mix(h, (uint64_t)ref->number << 32 | (uint32_t)ref->poc);
    h = mix(h, ref->flags | ref->log2_denom[0] << 8 | ref->log2_denom[1] << 16);
    for (int i = 0; i < 3; i++)
        h = mix(h, (uint64_t)(uint16_t)ref->weight[i] << 16 | (uint16_t)ref->offset[i]);
    return h;
}

uint64_t fsr_motion_checksum(const FsrMotion *m, const FsrCell *cells)
{
    const size_t n = (size_t)fsr_cells(m->hdr.coded_w) * fsr_cells(m->hdr.coded_h);
    uint64_t refs[FSR_NO_REF + 1] = { 0 };
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (int i = 0; i < m->hdr.nb_refs; i++)
        refs[i] = ref_hash(&m->refs[i]);
    h = mix(h, (uint64_t)m->hdr.coded_w << 32 | m->hdr.coded_h);
    for (size_t i = 0; i < n; i++) {
        const FsrCell *c = &cells[i];

        h = mix(h, c->mode | c->flags << 8 | (uint64_t)(uint8_t)c->qp << 16);
        for (int l = 0; l < 2; l++) {
            h = mix(h, refs[c->ref[l]]);
            h = mix(h, (uint64_t)(uint16_t)c->mv[l][0] << 16 | (uint16_t)c->mv[l][1]);
        }
    }
    return h;
}
