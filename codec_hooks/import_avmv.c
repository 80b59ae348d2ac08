/*
 * Exported motion vectors to motion records (import_avmv.h): the vectors are painted on
 * cells, and cells with equal motion are gathered into blocks.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "codec_hooks/import_avmv.h"

#define MACROBLOCK 4            /* cells */

typedef struct Cell {
    int16_t mv[2][2];                   /* past, future; quarter samples */
    uint8_t used[2];
} Cell;

/* One component in quarter samples, or INT32_MIN when it does not fit a record. */
static int32_t quarter(int32_t motion, int scale, int src, int dst)
{
    int64_t mv = (int64_t)(src - dst) * 4;

    /* The exact value, where the source gives one that agrees with the rounded one. */
    if (scale && motion / scale == src - dst)
        mv = (int64_t)motion * 4 / scale;
    return mv < INT16_MIN || mv > INT16_MAX ? INT32_MIN : mv;
}

static int clip(int v, int max)
{
    return v < 0 ? 0 : v > max ? max : v;
}

static void paint(Cell *cells, int cw, int ch, const FsrVector *v)
{
    const int list = v->source > 0;
    const int32_t mx = quarter(v->motion_x, v->motion_scale, v->src_x, v->dst_x);
    const int32_t my = quarter(v->motion_y, v->motion_scale, v->src_y, v->dst_y);
    const int left = v->dst_x - v->w / 2, top = v->dst_y - v->h / 2;
    /* Cells whose middle lies inside the block. */
    const int x0 = clip((left + 1) >> 2, cw), x1 = clip((left + v->w + 1) >> 2, cw);
    const int y0 = clip((top + 1) >> 2, ch),  y1 = clip((top + v->h + 1) >> 2, ch);

    if (!v->source || mx == INT32_MIN || my == INT32_MIN)
        return;
    for (int y = y0; y < y1; y++)
        for (int x = x0; x < x1; x++) {
            Cell *c = &cells[(size_t)y * cw + x];
            if (c->used[list])
                continue;
            c->used[list]  = 1;
            c->mv[list][0] = mx;
            c->mv[list][1] = my;
        }
}

static int is_used(const Cell *c)
{
    return c->used[0] || c->used[1];
}

static int row_equals(const Cell *row, const Cell *like, int n)
{
    for (int i = 0; i < n; i++)
        if (memcmp(&row[i], like, sizeof(*like)))
            return 0;
    return 1;
}

/* Gather the block that begins at a cell, and take its cells away. */
static int add_block(FsrRecord *r, Cell *cells, int cw, int ch, int x, int y, const int refs[2])
{
    Cell *at = &cells[(size_t)y * cw + x];
    const Cell like = *at;
    FsrBlock *b = fsr_record_add_block(r);
    int w = 1, h = 1;

    if (!b)
        return 0;
    while ((x + w) % MACROBLOCK && x + w < cw && row_equals(at + w, &like, 1))
        w++;
    while ((y + h) % MACROBLOCK && y + h < ch && row_equals(at + (size_t)h * cw, &like, w))
        h++;
    for (int i = 0; i < h; i++)
        memset(at + (size_t)i * cw, 0, w * sizeof(*at));
    b->x = x;
    b->y = y;
    b->w = w;
    b->h = h;
    b->mode  = FSR_INTER;
    b->flags = FSR_BLOCK_RESIDUAL;
    for (int l = 0; l < 2; l++)
        if (like.used[l]) {
            b->ref[l] = refs[l];
            memcpy(b->mv[l], like.mv[l], sizeof(b->mv[l]));
        }
    return 1;
}

/* Pictures that later ones may come from, this one included. */
static void add_held(const FsrImport *s, FsrRecord *r)
{
    for (uint32_t i = 0; i < FSR_IMPORT_LATEST && i < s->number; i++)
        fsr_record_add_held(r, s->number - i);
    for (int i = 0; i < FSR_IMPORT_ANCHORS; i++)
        if (s->anchor[i] && s->number - s->anchor[i] >= FSR_IMPORT_LATEST)
            fsr_record_add_held(r, s->anchor[i]);
}

int fsr_import_vectors(FsrImport *s, FsrRecord *r, const FsrVector *v, size_t n, int two_way)
{
    const int cw = fsr_cells(r->coded_w), ch = fsr_cells(r->coded_h);
    Cell *cells = calloc((size_t)cw * ch, sizeof(*cells));
    int refs[2] = { FSR_NO_REF, FSR_NO_REF }, full = 0;

    if (!cells)
        return -ENOMEM;
    r->number = ++s->number;
    r->poc    = s->number;
    r->flags  = FSR_PIC_REFERENCE | (s->number == 1 ? FSR_PIC_FIRST : 0);
    for (size_t i = 0; i < n; i++)
        if (v[i].source < 0 || two_way)
            paint(cells, cw, ch, &v[i]);
    for (size_t i = 0; i < (size_t)cw * ch; i++)
        for (int l = 0; l < 2; l++)
            if (cells[i].used[l] && refs[l] == FSR_NO_REF)
                refs[l] = fsr_record_add_ref(r, &(FsrRef) { .poc = r->poc + (l ? 1 : -1), .flags = FSR_REF_DIRECTION });
    if (refs[1] == FSR_NO_REF) {
        memmove(s->anchor + 1, s->anchor, sizeof(s->anchor) - sizeof(s->anchor[0]));
        s->anchor[0] = s->number;
    }
    add_held(s, r);
    for (int y = 0; y < ch; y++)
        for (int x = 0; x < cw; x++)
            if (is_used(&cells[(size_t)y * cw + x]) && !add_block(r, cells, cw, ch, x, y, refs))
                full = 1;
    r->type  = refs[1] != FSR_NO_REF ? 'B' : refs[0] != FSR_NO_REF ? 'P' : 'I';
    r->state = full ? FSR_PARTIAL : FSR_DONE;
    free(cells);
    return 0;
}
