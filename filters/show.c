/*
 * show=map: what was done where, drawn over the finished output. The picture becomes gray; the hue of a
 * cell tells its kind, thin lines the prediction blocks, and a line from the middle of a block goes to where
 * it was taken from: white in a picture shown earlier, black in one shown later. What is carried to other
 * pictures is untouched.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "task.h"

/* Y, Cb, Cr of the kinds, 8-bit limited range, BT.601; plain cells stay gray */
static const uint8_t colours[][3] = {
    [FSR_CELL_PLAIN]       = { 128, 128, 128 },
    [FSR_CELL_TRANSFERRED] = { 140, 106,  92 },     /* green */
    [FSR_CELL_REPAIRED]    = { 160,  68, 148 },     /* amber */
    [FSR_CELL_COPIED]      = { 140, 166, 104 },     /* blue */
    [FSR_CELL_KEY]         = { 120, 146, 164 },     /* purple */
};

/* Alpha of 256 for the luma of what is drawn */
enum { TINT = 64, BORDER = 72, VECTOR = 255 };

/* Move a sample of the output towards an 8-bit value. */
static void blend(const FsrEngine *e, int plane, int x, int y, int value, int alpha)
{
    const FsrFormat *f = &e->out_format;
    uint8_t         *p = e->out.data[plane] + y * e->out.stride[plane] + (ptrdiff_t)x * e->out.step[plane] * f->sample_bytes;
    uint16_t         v = *p;

    value <<= f->bit_depth - 8;
    if (f->sample_bytes == 1) {
        *p = v + (value - v) * alpha / 255;
        return;
    }
    memcpy(&v, p, 2);
    v >>= f->shift;
    v = (v + (value - v) * alpha / 255) << f->shift;
    memcpy(p, &v, 2);
}

/* Kinds of the picture's cells; one for all of a key frame. */
typedef struct Map {
    uint8_t *kind;
    int      whole;             /* kind of all cells where there is no array */
    int      w, span, left, top;/* cells of a row; samples of a cell; the picture's first sample in the coded one */
} Map;

static int kind_at(const Map *m, int x, int y)
{
    return m->kind ? m->kind[(y + m->top) / m->span * m->w + (x + m->left) / m->span] : m->whole;
}

static void tint(const FsrEngine *e, const Map *m)
{
    const FsrFormat *f = &e->out_format;

    for (int y = 0; y < f->height; y++)
        for (int x = 0; x < f->width; x++)
            blend(e, 0, x, y, colours[kind_at(m, x, y)][0], TINT);
    for (int p = 1; p < f->planes; p++)
        for (int y = 0; y << f->log2_chroma_h < f->height; y++)
            for (int x = 0; x << f->log2_chroma_w < f->width; x++)
                blend(e, p, x, y, colours[kind_at(m, x << f->log2_chroma_w, y << f->log2_chroma_h)][p], 255);
}

static void draw_borders(const FsrEngine *e, const FsrRect *r)
{
    const int scale = e->cfg.scale;

    for (int x = r->x * scale; x < (r->x + r->w) * scale; x++)
        blend(e, 0, x, r->y * scale, 0, BORDER);
    for (int y = r->y * scale + 1; y < (r->y + r->h) * scale; y++)
        blend(e, 0, r->x * scale, y, 0, BORDER);
}

static void draw_dot(const FsrEngine *e, int x, int y, int value, int alpha)
{
    if (x >= 0 && y >= 0 && x < e->out_format.width && y < e->out_format.height)
        blend(e, 0, x, y, value, alpha);
}

/* From the middle of a block, marked, along a vector in quarter samples of the large picture: two samples
 * share each step of the longer direction. */
static void draw_vector(const FsrEngine *e, int x, int y, int dx, int dy, int value)
{
    const int longest = abs(dx) > abs(dy) ? abs(dx) : abs(dy), upright = abs(dy) > abs(dx);

    for (int i = -1; i <= 1; i++)
        for (int j = -1; j <= 1; j++)
            draw_dot(e, x + i, y + j, value, VECTOR);
    for (int i = 1; i <= longest / 4; i++) {
        const int along = (upright ? dy : dx) < 0 ? -i : i;
        /* how far to the side, in 1/256 samples */
        const int side = (int)((int64_t)(upright ? dx : dy) * i * 256 / longest), whole = side >> 8, rest = side & 255;

        for (int k = 0; k < 2; k++)
            draw_dot(e, x + (upright ? whole + k : along), y + (upright ? along : whole + k), value,
                     (k ? rest : 255 - rest) * VECTOR / 255);
    }
}

static void draw_motion(const FsrEngine *e, const FsrNode *n, const FsrBlock *b, const FsrRect *r)
{
    const int scale = e->cfg.scale;

    for (int l = 0; l < 2; l++)
        if (b->ref[l] != FSR_NO_REF && n->ref[b->ref[l]] && (b->mv[l][0] || b->mv[l][1]))
            draw_vector(e, (2 * r->x + r->w) * scale / 2, (2 * r->y + r->h) * scale / 2, b->mv[l][0] * scale, b->mv[l][1] * scale,
                        n->motion.refs[b->ref[l]].poc > n->motion.hdr.poc ? 0 : 255);
}

int fsr_show_map(FsrEngine *e, const FsrNode *n, int key)
{
    Map m = { .whole = key ? FSR_CELL_KEY : FSR_CELL_PLAIN, .w = e->cells.w, .span = 4 * e->cfg.scale,
              .left = n->motion.hdr.crop_left * e->cfg.scale, .top = n->motion.hdr.crop_top * e->cfg.scale };
    FsrRect r;

    if (!key && e->task.kind) {
        m.kind = malloc((size_t)e->cells.w * e->cells.h);
        if (!m.kind)
            return -ENOMEM;
        for (int i = 0; i < e->cells.w * e->cells.h; i++)
            m.kind[i] = e->task.kind(e, i);
    }
    tint(e, &m);
    for (uint32_t i = 0; n->has_motion && i < n->motion.hdr.nb_blocks; i++)
        if (n->motion.blocks[i].mode != FSR_UNKNOWN && fsr_block_rect(n, &n->motion.blocks[i], &r))
            draw_borders(e, &r);
    for (uint32_t i = 0; m.kind && i < n->motion.hdr.nb_blocks; i++) {
        const FsrBlock *b = &n->motion.blocks[i];

        if (b->mode >= FSR_INTER && m.kind[b->y * m.w + b->x] != FSR_CELL_PLAIN && fsr_block_rect(n, b, &r))
            draw_motion(e, n, b, &r);
    }
    free(m.kind);
    return 0;
}
