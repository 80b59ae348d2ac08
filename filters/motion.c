/* What the motion record means for a picture: prediction from references, and how well it fits. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "task.h"

int fsr_motion_stripes(const FsrNode *n)
{
    return (n->motion.hdr.coded_h + FSR_STRIPE - 1) / FSR_STRIPE;
}

int fsr_motion_index(FsrNode *n)
{
    const int       stripes = fsr_motion_stripes(n), per = FSR_STRIPE / 4;
    const uint32_t  blocks  = n->motion.hdr.nb_blocks;
    uint32_t       *start   = calloc(stripes + 2, sizeof(*start));

    n->order        = malloc((blocks + 1) * sizeof(*n->order));
    n->stripe_start = start;
    if (!start || !n->order)
        return -ENOMEM;

    for (uint32_t i = 0; i < blocks; i++) {
        FsrBlock *b = &n->motion.blocks[i];

        if (b->y % per + b->h > per)
            b->mode = FSR_UNKNOWN;
        start[b->y / per + 2]++;
    }
    for (int s = 2; s <= stripes; s++)
        start[s] += start[s - 1];
    for (uint32_t i = 0; i < blocks; i++)
        n->order[start[n->motion.blocks[i].y / per + 1]++] = i;
    return 0;
}

int fsr_block_rect(const FsrNode *n, const FsrBlock *b, FsrRect *r)
{
    const FsrRecord *h = &n->motion.hdr;
    const int x0 = b->x * 4 - h->crop_left, x1 = x0 + b->w * 4;
    const int y0 = b->y * 4 - h->crop_top,  y1 = y0 + b->h * 4;

    r->x = x0 < 0 ? 0 : x0;
    r->y = y0 < 0 ? 0 : y0;
    r->w = (x1 > n->lr->w ? n->lr->w : x1) - r->x;
    r->h = (y1 > n->lr->h ? n->lr->h : y1) - r->y;
    return r->w > 0 && r->h > 0;
}

/*
 * Explicit weighted prediction, H.265 8.5.3.3.4.3, on 14-bit samples. The denominators of both
 * lists are equal in a legal stream; a list with the default weight counts as 1 << denominator.
 */
static void weigh(int16_t *dst, ptrdiff_t stride, const int16_t *a, ptrdiff_t a_stride, const FsrRef *ra,
                  const int16_t *b, ptrdiff_t b_stride, const FsrRef *rb, int w, int h, int depth)
{
    const int denom = (ra->flags & FSR_REF_WEIGHTED || !rb ? ra : rb)->log2_denom[0];
    const int wa    = ra->flags & FSR_REF_WEIGHTED ? ra->weight[0] : 1 << denom;
    const int wb    = !rb ? 0 : rb->flags & FSR_REF_WEIGHTED ? rb->weight[0] : 1 << denom;
    const int off   = (ra->offset[0] + (rb ? rb->offset[0] : 0)) * (1 << 14) >> depth;

    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            const int64_t va = (int64_t)a[y * a_stride + x] * wa;

            if (rb)
                dst[y * stride + x] = fsr_sat16((va + (int64_t)b[y * b_stride + x] * wb +
                                                 (off + INT64_C(1)) * (1 << denom)) >> (denom + 1));
            else
                dst[y * stride + x] = fsr_sat16(((va + ((1 << denom) >> 1)) >> denom) + off);
        }
}

static const FsrPlane *source_plane(const FsrNode *ref, int source)
{
    return source == FSR_FROM_LR ? ref->lr : source == FSR_FROM_HR ? ref->hr : ref->state;
}

int fsr_predict(const FsrEngine *e, const FsrNode *n, const FsrBlock *b, FsrScratch *s,
                int16_t *dst, ptrdiff_t stride, int x, int y, int w, int h, int source)
{
    const int      scale = source == FSR_FROM_HR ? e->cfg.scale : 1;
    const FsrRef  *r[2];
    const int16_t *src[2] = { NULL };
    ptrdiff_t      src_stride[2] = { 0 };
    int list[2], nb = 0, weighted = 0;

    for (int l = 0; l < 2; l++)
        if (b->ref[l] != FSR_NO_REF && n->ref[b->ref[l]]) {
            list[nb] = l;
            r[nb]    = &n->motion.refs[b->ref[l]];
            weighted |= source != FSR_FROM_STATE ? r[nb]->flags & FSR_REF_WEIGHTED : 0;
            nb++;
        }
    for (int i = 0; i < nb; i++) {
        const FsrPlane *plane = source_plane(n->ref[b->ref[list[i]]], source);
        const int mx = b->mv[list[i]][0] * scale, my = b->mv[list[i]][1] * scale;
        const int direct = nb == 1 && !weighted;

        /* whole samples are read where they lie */
        src[i]        = direct ? NULL : fsr_mc_source(plane, x, y, mx, my);
        src_stride[i] = plane->stride;
        if (!src[i]) {
            fsr_mc(&e->kernels, direct ? dst : s->block[i], direct ? stride : 64, plane, x, y, w, h, mx, my, source != FSR_FROM_LR);
            src[i]        = s->block[i];
            src_stride[i] = 64;
        }
    }
    if (weighted)
        weigh(dst, stride, src[0], src_stride[0], r[0], src[1], src_stride[1], nb == 2 ? r[1] : NULL, w, h,
              n->motion.hdr.bit_depth);
    else if (nb == 2)
        e->kernels.average(dst, stride, src[0], src_stride[0], src[1], src_stride[1],
                           source == FSR_FROM_STATE ? w * FSR_DEEP : w, h);
    return nb > 0;
}

/* The part of a block with motion that lies in rows y0 to y1 - 1; 0 if there is none. */
static int moved_rect(const FsrNode *n, const FsrBlock *b, int y0, int y1, FsrRect *r)
{
    int top, bottom;

    if (b->mode < FSR_INTER || !fsr_block_rect(n, b, r))
        return 0;
    top    = r->y < y0 ? y0 : r->y;
    bottom = r->y + r->h > y1 ? y1 : r->y + r->h;
    r->y   = top;
    r->h   = bottom - top;
    return r->h > 0;
}

/* Blocks ahead whose references are on their way from memory: vectors jump, so the processor does not foresee them. They go to
 * the second level of the cache; the first is too small for them. */
#define AHEAD 4

static void prefetch(const FsrNode *n, const FsrBlock *b, int y0, int y1, int source, int scale)
{
    const int line = 64 / sizeof(int16_t);
    FsrRect r;

    if (!moved_rect(n, b, y0, y1, &r))
        return;
    for (int l = 0; l < 2; l++)
        if (b->ref[l] != FSR_NO_REF && n->ref[b->ref[l]]) {
            const FsrPlane *p   = source_plane(n->ref[b->ref[l]], source);
            const int16_t  *src = fsr_mc_source(p, r.x * scale, r.y * scale, b->mv[l][0] * scale & ~3, b->mv[l][1] * scale & ~3);

            for (int y = -3; y < r.h * scale + 4; y++)
                for (int x = -3 * p->deep; x < (r.w * scale + 4) * p->deep + line; x += line)
                    __builtin_prefetch(src + y * p->stride + x, 0, 2);
        }
}

void fsr_warp_rows(FsrEngine *e, FsrNode *n, FsrPlane *dst, int source, int stripe, int y0, int y1, FsrScratch *s,
                   int (*skip)(FsrEngine *e, const FsrBlock *b))
{
    const int scale = source == FSR_FROM_HR ? e->cfg.scale : 1;
    /* blocks as fsr_mc takes them */
    const int wide  = (scale == 1 ? 64 : scale == 2 ? 32 : 16) / dst->deep, high = dst->deep == 1 ? wide : 16;

    for (uint32_t i = n->stripe_start[stripe]; i < n->stripe_start[stripe + 1]; i++) {
        const FsrBlock *b = &n->motion.blocks[n->order[i]];
        FsrRect r;

        if (i + AHEAD < n->stripe_start[stripe + 1])
            prefetch(n, &n->motion.blocks[n->order[i + AHEAD]], y0, y1, source, scale);
        if (!moved_rect(n, b, y0, y1, &r) || skip(e, b))
            continue;
        for (int y = r.y; y < r.y + r.h; y += high)
            for (int x = r.x; x < r.x + r.w; x += wide) {
                const int w = r.x + r.w - x < wide ? r.x + r.w - x : wide, h = r.y + r.h - y < high ? r.y + r.h - y : high;

                fsr_predict(e, n, b, s, dst->data + y * scale * dst->stride + x * scale * dst->deep, dst->stride,
                            x * scale, y * scale, w * scale, h * scale, source);
            }
    }
}

static void set_error(FsrEngine *e, FsrScratch *s, int cx, int cy, unsigned error, unsigned least)
{
    s->sum[0] += error;
    s->sum[1]++;
    error = error < least ? least : error;
    e->cells.error[cy * e->cells.w + cx] = error < FSR_NO_ERROR ? error : FSR_NO_ERROR - 1;
}

static int is_interpolated(const FsrEngine *e, const FsrBlock *b)
{
    int fraction = 0;

    for (int l = 0; l < 2; l++)
        if (b->ref[l] != FSR_NO_REF)
            fraction |= (b->mv[l][0] | b->mv[l][1]) * e->cfg.scale;
    return fraction & 3;
}

/* Mean absolute difference of the cells of one block; cells cut by the crop count their shown part. */
static void block_error(FsrEngine *e, FsrNode *n, const FsrBlock *b, const FsrRect *r, FsrScratch *s)
{
    const unsigned  least = is_interpolated(e, b) ? FSR_EXACT : 0;
    const FsrPlane *lr = n->lr, *p = e->pred;
    const int       ox = n->motion.hdr.crop_left, oy = n->motion.hdr.crop_top;

    if (!fsr_predict(e, n, b, s, p->data + r->y * p->stride + r->x, p->stride, r->x, r->y, r->w, r->h, FSR_FROM_LR))
        return;
    if (r->w == b->w * 4 && r->h == b->h * 4) {
        for (int j = 0; j < b->h; j++) {
            unsigned sad[16];

            e->kernels.sad_cells(sad, lr->data + (r->y + 4 * j) * lr->stride + r->x, lr->stride,
                                 p->data + (r->y + 4 * j) * p->stride + r->x, p->stride, b->w);
            for (int i = 0; i < b->w; i++)
                set_error(e, s, b->x + i, b->y + j, sad[i] / 16, least);
        }
        return;
    }
    for (int cy = b->y; cy < b->y + b->h; cy++)
        for (int cx = b->x; cx < b->x + b->w; cx++) {
            const int x0 = cx * 4 - ox < r->x ? r->x : cx * 4 - ox;
            const int y0 = cy * 4 - oy < r->y ? r->y : cy * 4 - oy;
            const int x1 = cx * 4 - ox + 4 > r->x + r->w ? r->x + r->w : cx * 4 - ox + 4;
            const int y1 = cy * 4 - oy + 4 > r->y + r->h ? r->y + r->h : cy * 4 - oy + 4;
            unsigned  sad;

            if (x1 <= x0 || y1 <= y0)
                continue;
            sad = fsr_sad(lr->data + y0 * lr->stride + x0, lr->stride,
                          p->data + y0 * p->stride + x0, p->stride, x1 - x0, y1 - y0);
            set_error(e, s, cx, cy, sad / ((x1 - x0) * (y1 - y0)), least);
        }
}

/* Where nothing was predicted, the prediction is the picture itself. Cells' rows from y0, picture's rows to y1. */
static void fill_holes(FsrEngine *e, const FsrNode *n, int row, int y0, int y1)
{
    const FsrPlane *lr = n->lr, *p = e->pred;
    const int       ox = n->motion.hdr.crop_left, oy = n->motion.hdr.crop_top;

    for (; row * 4 - oy < y1; row++) {
        const uint16_t *error = e->cells.error + row * e->cells.w;
        const int       top = row * 4 - oy < y0 ? y0 : row * 4 - oy, bottom = row * 4 - oy + 4 > y1 ? y1 : row * 4 - oy + 4;

        for (int cell = 0, end; cell < e->cells.w; cell = end + 1) {
            int x0, x1;

            for (end = cell; end < e->cells.w && error[end] == FSR_NO_ERROR; end++)
                ;
            x0 = cell * 4 - ox < 0 ? 0 : cell * 4 - ox;
            x1 = end * 4 - ox > lr->w ? lr->w : end * 4 - ox;
            for (int y = top; x0 < x1 && y < bottom; y++)
                memcpy(p->data + y * p->stride + x0, lr->data + y * lr->stride + x0, (x1 - x0) * sizeof(*p->data));
        }
    }
}

static void analyse_stripe(void *arg, int stripe, int worker)
{
    FsrEngine  *e = arg;
    FsrNode    *n = e->node;
    FsrScratch *s = &e->scratch[worker];
    const int   row0 = stripe * FSR_STRIPE / 4;
    const int   rows = e->cells.h - row0 < FSR_STRIPE / 4 ? e->cells.h - row0 : FSR_STRIPE / 4;
    int y0, y1;

    memset(e->cells.error + row0 * e->cells.w, 0xff, rows * e->cells.w * sizeof(*e->cells.error));
    for (uint32_t i = n->stripe_start[stripe]; i < n->stripe_start[stripe + 1]; i++) {
        const FsrBlock *b = &n->motion.blocks[n->order[i]];
        FsrRect r;

        if (i + AHEAD < n->stripe_start[stripe + 1])
            prefetch(n, &n->motion.blocks[n->order[i + AHEAD]], 0, n->lr->h, FSR_FROM_LR, 1);
        if (b->mode < FSR_INTER || !fsr_block_rect(n, b, &r))
            continue;
        if (b->mode == FSR_SKIP)
            s->sum[2] += r.w * r.h;
        block_error(e, n, b, &r, s);
    }
    fsr_stripe_rows(e, n, stripe, &y0, &y1);
    if (y0 < y1) {
        fill_holes(e, n, row0, y0, y1);
        fsr_plane_pad_by(e->pred, y0, y1, FSR_PAD_UPSCALE);
    }
}

int fsr_motion_analyse(FsrEngine *e, FsrNode *n)
{
    const FsrRecord *h = &n->motion.hdr;
    const double     area = (double)n->lr->w * n->lr->h;
    const int        cw = (h->coded_w + 3) / 4, ch = (h->coded_h + 3) / 4;
    uint64_t         intra = 0, sum[3] = { 0 };

    if (cw != e->cells.w || ch != e->cells.h) {
        free(e->cells.error);
        free(e->cells.weight);
        free(e->cells.qp);
            e->cells.qp = NULL;
        e->cells.w = cw;
        e->cells.h = ch;
        e->cells.error  = malloc((size_t)cw * ch * sizeof(*e->cells.error));
        e->cells.weight = malloc((size_t)cw * ch * sizeof(*e->cells.weight));
        if (!e->cells.error || !e->cells.weight)
            return -ENOMEM;
    }
    for (uint32_t i = 0; i < h->nb_blocks; i++) {
        FsrRect r;

        if (n->motion.blocks[i].mode == FSR_INTRA && fsr_block_rect(n, &n->motion.blocks[i], &r))
            intra += r.w * r.h;
    }
    for (int w = 0; w < e->cfg.nb_workers; w++)
        memset(e->scratch[w].sum, 0, sizeof(e->scratch[w].sum));
    fsr_engine_execute(e, analyse_stripe, fsr_motion_stripes(n));
    for (int w = 0; w < e->cfg.nb_workers; w++)
        for (int i = 0; i < 3; i++)
            sum[i] += e->scratch[w].sum[i];

    n->stats.intra    = intra / area;
    n->stats.skip     = sum[2] / area;
    n->stats.mismatch = sum[1] ? sum[0] / (64.0 * sum[1]) : 0;
    return 0;
}
