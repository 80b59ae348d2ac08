/*
 * fill=fuse: a small recurrent network on every picture. It sees the decoded picture, what fill=detail would carry, its own
 * feature planes carried along the vectors, and how well the vectors fit; what it gives is carried on. The planes and their
 * scales are those of models/fuse.py.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "task.h"

#define DETAIL_GAIN 4       /* small differences, made as large as the network's other inputs */
#define STATE_UNIT  4096    /* 1.0 of a feature plane; limited to +-4, which leaves the luma filters room for overshoot */
#define TILE        16      /* samples of the small picture; the unit in which the network is left out */
#define ENOUGH      16u     /* mismatch in 1/64 steps under which the network has nothing to add */
#define FLAT        500u    /* gain under which the network is not worth its work: detail, or what was predicted amiss, of a quarter of a step */
#define HALO        1       /* samples around a tile for which layers are computed: the network was trained so */
#define EDGES       1.02    /* what is executed beyond cost()'s model: ends of vectors, strips of one thread */
#define LEAF        0.35    /* of the budget, for a picture that no other refers to: nothing of it is carried on */
#define REPAY       24      /* pictures over which a debt is paid back */
#define SPEND       2       /* and over which what was saved is spent */
#define FINISH      32      /* rows of the small picture that are finished in one job: few, so that all threads have equally many */

#define STATE       (FSR_DEEP - 1)  /* feature planes; they lie side by side, with one that is not used */

/* The network's input planes, at the small picture's size, in the order of fuse_get (kernels.h) */
enum { IN_LUMA, IN_DETAIL, IN_STATE = IN_DETAIL + 4, IN_MISMATCH = IN_STATE + STATE, IN_SIZE, IN_WEIGHT, IN_QP, NB_IN };
enum { NB_KEY_IN = 2 };     /* luma and QP */
/* and its output planes, as in fuse_put */
enum { OUT_DETAIL, OUT_STATE = 4, NB_OUT = OUT_STATE + STATE };

typedef struct FsrFuse {
    FsrPlane *detail;           /* what is carried, less base: large */
    FsrPlane *state;            /* feature planes carried along the vectors */
    FsrPlane *weight;           /* of what is carried: sum over the 2x2 large samples, 0 to 1024 */
    uint8_t  *wanted;           /* tiles on which the network runs; the others take what is carried as it is. 0 around them */
    uint8_t  *map;              /* the same, from the first one that is around them */
    FsrNnTiles tiles;
    int       carries;          /* the picture in work has references; else nothing above is valid */
    int       nb_wanted;
    struct Tile *order;         /* scratch of choose_tiles: all tiles, those that gain most first, and room for as many */
    int         *cuts;          /* [workers + 1] rows of tiles between which each worker runs the network */
    FsrPlan  *key;              /* for pictures without references; NULL: the recurrent network does them too */
    double    key_macs;
    FsrPlan  *coarse;           /* for pictures with references of a high QP; NULL: one does all */
    FsrPlan  *plan;             /* the recurrent network of the picture in work */
    int       halo, whole;      /* of the recurrent network */
    double    beside[3][3];     /* of the network's work on a tile, what one beside it needs: so many of left and right, of above and below */
    double    corner;           /* and one that it touches with a corner */
    double    macs, credit;     /* per output pixel: the network's, and what earlier pictures left of the budget */
} FsrFuse;

static const int16_t *at(const FsrPlane *p, int x, int y)
{
    return p->data + y * p->stride + x * p->deep;
}

/* What is carried ---------------------------------------------------------- */

static void carried_row(FsrEngine *e, int y, const int16_t *weight)
{
    const FsrPlane *w = e->fuse->weight;

    e->kernels.sum_pairs(w->data + y / 2 * w->stride, weight, w->w, y & 1);
}

/* Where nothing was predicted, or vectors do not fit at all, the network shall see a picture without references. */
static void keep_fitting(int16_t *state, const int16_t *weight, int w)
{
    for (int x = 0; x < w; x++)
        if (!weight[x])
            memset(state + x * FSR_DEEP, 0, FSR_DEEP * sizeof(*state));
}

/* QP of the stripe's cells */
static void mark_cells(FsrEngine *e, const FsrNode *n, int stripe)
{
    FsrCells *c = &e->cells;

    for (uint32_t i = n->stripe_start[stripe]; i < n->stripe_start[stripe + 1]; i++) {
        const FsrBlock *b = &n->motion.blocks[n->order[i]];

        for (int y = b->y; y < b->y + b->h; y++)
            memset(c->qp + y * c->w + b->x, b->mode == FSR_UNKNOWN ? FSR_DEFAULT_QP : b->qp, b->w);
    }
}

static void base_rows(FsrEngine *e, const FsrNode *n, FsrScratch *s, int y0, int y1)
{
    FsrRowCursor c;

    fsr_cursor_init(&c, &e->kernels, n->lr, &e->base, s->ring[0], 0, e->out_format.width);
    for (int y = 2 * y0; y < 2 * y1; y++)
        fsr_cursor_row(&c, y, n->hr->data + y * n->hr->stride);
}

static void prepare_stripe(void *arg, int stripe, int worker)
{
    FsrEngine  *e = arg;
    FsrNode    *n = e->node;
    FsrFuse    *f = e->fuse;
    FsrScratch *s = &e->scratch[worker];
    int y0, y1;

    fsr_stripe_rows(e, n, stripe, &y0, &y1);
    if (n->has_motion)
        mark_cells(e, n, stripe);
    if (y0 == y1)
        return;
    if (!f->carries) {
        base_rows(e, n, s, y0, y1);
        return;
    }
    fsr_carry_stripe(e, n, stripe, s, f->detail, n->hr, carried_row);
}

/* A block whose feature planes nobody reads: of a picture that no other refers to, away from the wanted tiles. */
static int is_unread(FsrEngine *e, const FsrBlock *b)
{
    const FsrNode *n = e->node;
    const FsrFuse *f = e->fuse;
    FsrRect r;

    if (n->kept || f->whole || !fsr_block_rect(n, b, &r))
        return fsr_is_plain(e, b);
    for (int y = r.y / TILE - 1; y <= (r.y + r.h - 1) / TILE + 1; y++)     /* a tile is further than the network reaches */
        for (int x = r.x / TILE - 1; x <= (r.x + r.w - 1) / TILE + 1; x++)
            if (f->wanted[y * f->tiles.stride + x])
                return fsr_is_plain(e, b);
    return 1;
}

static void carry_state(void *arg, int stripe, int worker)
{
    FsrEngine     *e = arg;
    const FsrNode *n = e->node;
    const FsrFuse *f = e->fuse;
    int y0, y1;

    fsr_stripe_rows(e, n, stripe, &y0, &y1);
    if (y0 == y1)
        return;
    fsr_warp_rows(e, e->node, f->state, FSR_FROM_STATE, stripe, y0, y1, &e->scratch[worker], is_unread);
    for (int y = y0; y < y1; y++)
        keep_fitting(f->state->data + y * f->state->stride, f->weight->data + y * f->weight->stride, f->weight->w);
}

/* Where the network is wanted ------------------------------------------------ */

typedef struct Tile { uint32_t gain; int index; } Tile;

/* Mean mismatch of a tile's cells, more than any where something is not carried. */
static unsigned tile_error(const FsrEngine *e, const FsrNode *n, int x0, int y0, int x1, int y1)
{
    const FsrCells *c  = &e->cells;
    const int       ox = n->motion.hdr.crop_left, oy = n->motion.hdr.crop_top;
    unsigned        sum = 0, nb = 0;

    for (int cy = (y0 + oy) / 4; cy <= (y1 - 1 + oy) / 4; cy++)
        for (int cx = (x0 + ox) / 4; cx <= (x1 - 1 + ox) / 4; cx++) {
            sum += c->error[cy * c->w + cx];
            nb++;
        }
    return sum / nb;
}

/*
 * What the network can be expected to mend in each tile of a row of tiles: it sharpens, so that is where the picture has
 * fine detail (a quarter of the Laplacian) and was not predicted well: about the lesser of their squares. 0 where the
 * vectors fit as well as anything could.
 */
static void rate_tiles(void *arg, int ty, int worker)
{
    FsrEngine     *e = arg;
    const FsrNode *n = e->node;
    FsrFuse       *f = e->fuse;
    const int      y0 = ty * TILE, y1 = y0 + TILE > n->lr->h ? n->lr->h : y0 + TILE;

    (void)worker;
    for (int tx = 0; tx < f->tiles.cols; tx++) {
        const int x0 = tx * TILE, x1 = x0 + TILE > n->lr->w ? n->lr->w : x0 + TILE;
        Tile     *t  = &f->order[ty * f->tiles.cols + tx];
        uint32_t  detail = 0, mismatch = 0;

        *t = (Tile){ 0, ty * f->tiles.stride + tx };
        if (tile_error(e, n, x0, y0, x1, y1) < ENOUGH)
            continue;
        for (int y = y0; y < y1; y++)
            e->kernels.rate(&detail, &mismatch, at(n->lr, x0, y), n->lr->stride, at(e->pred, x0, y), at(f->weight, x0, y), x1 - x0);
        mismatch += detail / 32;    /* where all fits little is gained, but for long */
        if (detail)
            t->gain = (uint64_t)detail * mismatch / ((uint64_t)detail + mismatch);
    }
}

/* By gain, largest first, and equal ones as they were: by bytes of the gain, lowest first. Behind them is room for as many. */
static void sort_tiles(Tile *from, int nb)
{
    Tile *to = from + nb;

    for (int shift = 0; shift < 32; shift += 8) {
        int   start[257] = { 0 };
        Tile *old = from;

        for (int i = 0; i < nb; i++)
            start[(~from[i].gain >> shift & 255) + 1]++;
        for (int k = 0; k < 255; k++)
            start[k + 1] += start[k];
        for (int i = 0; i < nb; i++)
            to[start[~from[i].gain >> shift & 255]++] = from[i];
        from = to;
        to   = old;
    }
}

/* Part of the network's work that falls on a tile: all of it, or the halo of its neighbours. */
static double work_on(const FsrFuse *f, int x, int y)
{
    const uint8_t *t = f->wanted + y * f->tiles.stride + x, *up = t - f->tiles.stride, *down = t + f->tiles.stride;
    const int sides = t[-1] + t[1], ends = *up + *down;
    const int corners = (!t[-1] & !*up & up[-1]) + (!t[1] & !*up & up[1]) + (!t[-1] & !*down & down[-1]) + (!t[1] & !*down & down[1]);

    return *t ? 1 : f->beside[sides][ends] + corners * f->corner;
}

/* The layers need more of their surroundings the further they are from the output; all have about the same work. */
static void init_halo(FsrFuse *f)
{
    for (int k = 0; k < f->halo; k++) {
        const double reach = (double)(k < HALO ? k : HALO) / TILE;

        for (int i = 0; i < 3; i++)
            for (int j = 0; j < 3; j++)
                f->beside[i][j] += (1 - fmax(0, 1 - i * reach) * fmax(0, 1 - j * reach)) / f->halo;
        f->corner += reach * reach / f->halo;
    }
}

/*
 * What the network takes on the wanted tiles, in multiply-accumulates per output pixel. Parts of the halo that several
 * threads compute, each for its own strip, are not in it, because results must not depend on the number of threads.
 */
static double cost(const FsrEngine *e)
{
    const FsrFuse *f = e->fuse;
    const int w = e->cfg.format.width, h = e->cfg.format.height;
    double samples = 0;

    if (!f->carries && f->key)
        return f->key_macs;
    for (int y = 0; y < f->tiles.rows; y++)
        for (int x = 0; x < f->tiles.cols; x++)
            samples += work_on(f, x, y) * fmin(TILE, w - x * TILE) * fmin(TILE, h - y * TILE);
    return samples / ((double)w * h) * f->macs * EDGES;
}

static void want_all(FsrFuse *f, int wanted)
{
    for (int y = 0; y < f->tiles.rows; y++)
        memset(f->wanted + y * f->tiles.stride, wanted, f->tiles.cols);
}

/* The first nb tiles of the order are the wanted ones. */
static void want(FsrFuse *f, int nb)
{
    want_all(f, 0);
    for (int i = 0; i < nb; i++)
        f->wanted[f->order[i].index] = 1;
    f->nb_wanted = nb;
}

/*
 * The tiles that gain most, as many as the budget pays for. A picture without references gets the network everywhere,
 * and those after it pay that back. Nothing is taken across an IRAP picture, and leading pictures that a cut there would
 * lose (RASL) neither save nor owe, so that a file that is cut at an IRAP picture comes out as it was.
 */
static void choose_tiles(FsrEngine *e, const FsrNode *n)
{
    FsrFuse *f = e->fuse;
    const int rasl = n->has_motion && n->motion.hdr.kind == FSR_KIND_RASL;
    int few = 0, many = f->tiles.cols * f->tiles.rows;

    if (n->has_motion && n->motion.hdr.kind >= FSR_KIND_BLA)
        f->credit = 0;
    if (!f->carries || n->duplicate || e->cfg.budget <= 0) {
        f->nb_wanted = f->carries && n->duplicate ? 0 : many;
        want_all(f, f->nb_wanted > 0);
    } else {
        const int    leaf = n->has_motion && !(n->motion.hdr.flags & FSR_PIC_REFERENCE);
        const double more = rasl ? 0 : f->credit / (f->credit > 0 ? SPEND : REPAY);
        const double may  = (e->cfg.budget + more) * (leaf ? LEAF : 1);

        fsr_engine_execute(e, rate_tiles, f->tiles.rows);
        sort_tiles(f->order, many);
        while (many > 0 && f->order[many - 1].gain < FLAT)
            many--;
        while (few < many) {
            const int nb = (few + many + 1) / 2;

            want(f, nb);
            if (cost(e) <= may)
                few = nb;
            else
                many = nb - 1;
        }
        want(f, few);
    }
    if (rasl || n->duplicate)
        return;
    f->credit += e->cfg.budget - cost(e);
    if (f->credit > e->cfg.budget * SPEND)      /* a standing picture does not save up for all times */
        f->credit = e->cfg.budget * SPEND;
}

/* The network -------------------------------------------------------------- */

/* The row that follows: so many planes are more than the processor foresees by itself. */
static void fetch(const int16_t *row, int w)
{
    for (int x = 0; x < w + 31; x += 32)        /* a cache line each */
        __builtin_prefetch(row + x);
}

static void fetch_next(const FsrPlane *p, int x, int y, int w)
{
    fetch(at(p, x, y + 1), w * p->deep);
}

static void get_carried(const FsrEngine *e, int x, int y, int w, float *dst, ptrdiff_t stride)
{
#define EACH(v) v, v, v, v
    static const float factor[FSR_FUSE_IN] = {
        1.0f / FSR_UNIT, EACH((float)DETAIL_GAIN / FSR_UNIT), EACH(1.0f / STATE_UNIT), 1.0f / STATE_UNIT, 1.0f / STATE_UNIT,
        1.0f / STATE_UNIT, (float)DETAIL_GAIN / FSR_UNIT, (float)DETAIL_GAIN / FSR_UNIT, 1.0f / 1024, 1.0f / 51,
    };
    const FsrFuse   *f = e->fuse;
    const FsrNode   *n = e->node;
    const FsrFuseRow r = {
        .luma  = at(n->lr, x, y), .pred = at(e->pred, x, y), .weight = at(f->weight, x, y), .state = at(f->state, x, y),
        .detail = { at(f->detail, 2 * x, 2 * y), at(f->detail, 2 * x, 2 * y + 1) },
        .qp    = e->cells.qp + (y + n->motion.hdr.crop_top) / 4 * e->cells.w, .qp_x = n->motion.hdr.crop_left + x,
    };

    fetch_next(e->pred, x, y, w);
    fetch_next(f->weight, x, y, w);
    fetch_next(f->state, x, y, w);
    fetch(at(f->detail, 2 * x, 2 * y + 2), 2 * w);
    fetch(at(f->detail, 2 * x, 2 * y + 3), 2 * w);
    e->kernels.fuse_get(dst, stride, &r, factor, w);
}

/* A picture without references: its luma and QP, in planes 0 and at_qp, and 0 between them */
static void get_alone(const FsrEngine *e, int x, int y, int w, float *dst, ptrdiff_t stride, int at_qp)
{
    const FsrNode *n    = e->node;
    const int16_t *luma = at(n->lr, x, y);
    const int8_t  *qp   = n->has_motion ? e->cells.qp + (y + n->motion.hdr.crop_top) / 4 * e->cells.w : NULL;

    for (int i = 0; i < w; i++, dst += stride) {
        memset(dst, 0, at_qp * sizeof(*dst));
        dst[IN_LUMA] = luma[i] * (1.0f / FSR_UNIT) - 0.5f;
        dst[at_qp]   = (qp ? qp[(n->motion.hdr.crop_left + x + i) / 4] : FSR_DEFAULT_QP) * (1.0f / 51);
    }
}

static void net_get(void *opaque, int plane, int planes, int x, int y, int w, float *dst, ptrdiff_t stride)
{
    const FsrEngine *e = opaque;

    (void)plane, (void)planes;
    fetch_next(e->node->lr, x, y, w);
    if (e->fuse->carries)
        get_carried(e, x, y, w, dst, stride);
    else
        get_alone(e, x, y, w, dst, stride, IN_QP);
}

static void key_get(void *opaque, int plane, int planes, int x, int y, int w, float *dst, ptrdiff_t stride)
{
    (void)plane;
    get_alone(opaque, x, y, w, dst, stride, planes - 1);
}

static void net_put(void *opaque, int plane, int planes, int x, int y, int w, const float *src, ptrdiff_t stride)
{
    FsrEngine *e = opaque;
    FsrNode   *n = e->node;
    int16_t   *first = n->hr->data + 2 * y * n->hr->stride + 2 * x;
    int16_t   *const hr[2] = { first, first + n->hr->stride };

    (void)plane, (void)planes;
    fetch(hr[0] + 2 * n->hr->stride, 2 * w);
    fetch(hr[1] + 2 * n->hr->stride, 2 * w);
    if (n->kept)
        fetch_next(n->state, x, y, w);
    e->kernels.fuse_put(hr, n->kept ? n->state->data + y * n->state->stride + x * FSR_DEEP : NULL, src, stride, w);
}

static void net_job(void *arg, int job, int worker)
{
    FsrEngine *e = arg;
    FsrNnIO    io = { .opaque = e, .get_row = net_get, .put_row = net_put };
    const FsrFuse *f = e->fuse;
    const int y = f->cuts[job] * TILE, stop = f->cuts[job + 1] * TILE;

    if (y < stop)
        e->scratch[worker].macs += fsr_nn_run_rows(f->plan, &io, &f->tiles, y,
                                                   (stop < e->cfg.format.height ? stop : e->cfg.format.height) - y, worker);
}

static void key_job(void *arg, int job, int worker)
{
    FsrEngine *e = arg;
    FsrNnIO    io = { .opaque = e, .get_row = key_get, .put_row = net_put };

    e->scratch[worker].macs += fsr_nn_run(e->fuse->key, &io, job, worker);
}

/* Rows of tiles for each worker, with as many wanted ones. Returns the number of jobs; a network that runs whole has one. */
static int cut(FsrEngine *e)
{
    FsrFuse *f = e->fuse;
    const int nb = fsr_nn_jobs(f->plan) < e->cfg.nb_workers ? fsr_nn_jobs(f->plan) : e->cfg.nb_workers;
    int sum = 0, k = 1;

    for (int y = 0; y < f->tiles.rows; y++) {
        int row = 0;

        for (int x = 0; x < f->tiles.cols; x++)
            row += f->wanted[y * f->tiles.stride + x];
        for (; k < nb && (sum + row / 2) * nb >= k * f->nb_wanted; k++)
            f->cuts[k] = y;
        sum += row;
    }
    while (k <= nb)
        f->cuts[k++] = f->tiles.rows;
    return nb;
}

/* Output ------------------------------------------------------------------- */

static void copy_row(FsrEngine *e, FsrNode *n, int y)
{
    const FsrFuse *f = e->fuse;
    const uint8_t *wanted = f->wanted + y / TILE * f->tiles.stride;

    for (int t = 0, end; t < f->tiles.cols; t = end) {
        const int x = t * TILE;
        int       w;

        for (end = t + 1; end < f->tiles.cols && wanted[end] == wanted[t];)
            end++;
        w = (end * TILE < n->lr->w ? end * TILE : n->lr->w) - x;
        for (int k = 0; !wanted[t] && k < 2; k++)
            e->kernels.add_row(n->hr->data + (2 * y + k) * n->hr->stride + 2 * x,
                               f->detail->data + (2 * y + k) * f->detail->stride + 2 * x, 2 * w);
        if (!wanted[t] && n->kept)
            memcpy(n->state->data + y * n->state->stride + x * FSR_DEEP, f->state->data + y * f->state->stride + x * FSR_DEEP,
                   w * FSR_DEEP * sizeof(int16_t));
    }
}

static void finish_rows(void *arg, int job, int worker)
{
    FsrEngine *e = arg;
    FsrNode   *n = e->node;
    const int  y0 = job * FINISH, y1 = y0 + FINISH < n->lr->h ? y0 + FINISH : n->lr->h;

    for (int y = y0; e->fuse->nb_wanted < e->fuse->tiles.cols * e->fuse->tiles.rows && y < y1; y++)
        copy_row(e, n, y);
    for (int y = 2 * y0; y < 2 * y1; y++)
        fsr_store_luma(e, 0, y, e->out_format.width, n->hr->data + y * n->hr->stride);
    if (n->kept) {
        fsr_plane_pad(n->hr, 2 * y0, 2 * y1);
        fsr_plane_pad(n->state, y0, y1);
    }
    fsr_output_chroma(e, &e->scratch[worker], y0, y1);
}

/* The task ----------------------------------------------------------------- */

static int is_coarse(const FsrEngine *e, const FsrNode *n)
{
    int64_t sum = 0, area = 0;

    for (uint32_t i = 0; n->has_motion && i < n->motion.hdr.nb_blocks; i++) {
        const FsrBlock *b = &n->motion.blocks[i];
        const int       a = b->mode == FSR_UNKNOWN ? 0 : b->w * b->h;

        sum  += (int64_t)a * b->qp;
        area += a;
    }
    return area && sum >= e->cfg.coarse_from * area;
}

static int fuse(FsrEngine *e, FsrNode *n, int carries)
{
    FsrFuse *f = e->fuse;

    f->carries = carries;
    f->plan    = f->coarse && is_coarse(e, n) ? f->coarse : e->plan;
    /* fsr_motion_analyse has freed it when the coded size changed */
    if (n->has_motion && !e->cells.qp && !(e->cells.qp = calloc(e->cells.w, e->cells.h)))
        return -ENOMEM;
    if (n->kept && !(n->state = fsr_plane_get(&e->state_pool)))
        return -ENOMEM;
    if (carries)
        fsr_carry_weigh(e, n);
    fsr_engine_execute(e, prepare_stripe, fsr_nb_stripes(e, n));
    choose_tiles(e, n);
    if (carries && !n->duplicate)       /* the reference of a repeated picture may have no feature planes, and it needs none */
        fsr_engine_execute(e, carry_state, fsr_motion_stripes(n));
    if (!carries && f->key) {
        fsr_engine_execute(e, key_job, fsr_nn_jobs(f->key));
    } else if (f->nb_wanted) {
        fsr_engine_execute(e, net_job, cut(e));
    }
    fsr_engine_execute(e, finish_rows, (n->lr->h + FINISH - 1) / FINISH);
    return 0;
}

static int fuse_key(FsrEngine *e, FsrNode *n)
{
    return fuse(e, n, 0);
}

static int fuse_fill(FsrEngine *e, FsrNode *n)
{
    return fuse(e, n, 1);
}

static int plan_network(FsrEngine *e, FsrPlan **plan, const FsrNet *net, char *err, size_t err_size)
{
    return fsr_nn_plan_as(plan, net, e->cfg.format.width, e->cfg.format.height, e->cfg.nb_workers, e->cfg.precision, err, err_size);
}

static int plan_key(FsrEngine *e, char *err, size_t err_size)
{
    FsrNetInfo info;

    fsr_nn_info(e->cfg.key_net, &info);
    if (info.in_planes != NB_KEY_IN || info.out_planes != NB_OUT || info.scale != 1) {
        snprintf(err, err_size, "the network for pictures without references has %d planes in and %d out; it needs %d and %d",
                 info.in_planes, info.out_planes, NB_KEY_IN, NB_OUT);
        return -EINVAL;
    }
    e->fuse->key_macs = info.macs / 4;
    return plan_network(e, &e->fuse->key, e->cfg.key_net, err, err_size);
}

static int plan_coarse(FsrEngine *e, const FsrNetInfo *net, char *err, size_t err_size)
{
    FsrNetInfo info;

    fsr_nn_info(e->cfg.coarse_net, &info);
    if (info.in_planes != NB_IN || info.out_planes != NB_OUT || info.halo != net->halo || info.macs != net->macs) {
        snprintf(err, err_size, "the network for coarse pictures has other layers than the one that it stands in for");
        return -EINVAL;
    }
    return plan_network(e, &e->fuse->coarse, e->cfg.coarse_net, err, err_size);
}

int fsr_fuse_init(FsrEngine *e, char *err, size_t err_size)
{
    const FsrFormat *fmt = &e->cfg.format;
    FsrNetInfo info = { 0 };
    FsrFuse *f;
    int ret;

    if (e->cfg.net)
        fsr_nn_info(e->cfg.net, &info);
    if (info.in_planes != NB_IN || info.out_planes != NB_OUT || info.scale != 1 || e->cfg.scale != 2) {
        snprintf(err, err_size, "fill=fuse needs scale=2 and a network made for it (%d planes in, %d out)", NB_IN, NB_OUT);
        return -EINVAL;
    }
    f = e->fuse = calloc(1, sizeof(*f));
    if (!f)
        goto nomem;
    f->tiles   = (FsrNnTiles){ .tile_w = TILE, .tile_h = TILE, .cols = (fmt->width + TILE - 1) / TILE,
                               .rows = (fmt->height + TILE - 1) / TILE, .halo = HALO };
    f->tiles.stride = f->tiles.cols + 2;
    f->map          = calloc(f->tiles.stride, f->tiles.rows + 2);
    f->order   = calloc((size_t)f->tiles.cols * f->tiles.rows, 2 * sizeof(*f->order));
    f->macs    = info.macs / 4;         /* info: for a sample of the small size */
    f->halo    = info.halo;
    f->whole   = info.whole;
    init_halo(f);
    f->detail  = fsr_plane_get(&e->hr_pool);
    f->weight  = fsr_plane_get(&e->lr_pool);
    f->state   = fsr_plane_get(&e->state_pool);
    f->cuts    = calloc(e->cfg.nb_workers + 1, sizeof(*f->cuts));
    if (!f->map || !f->order || !f->cuts || !f->detail || !f->weight || !f->state)
        goto nomem;
    f->tiles.wanted = f->wanted = f->map + f->tiles.stride + 1;
    ret = plan_network(e, &e->plan, e->cfg.net, err, err_size);
    if (ret >= 0 && e->cfg.key_net)
        ret = plan_key(e, err, err_size);
    if (ret >= 0 && e->cfg.coarse_net)
        ret = plan_coarse(e, &info, err, err_size);
    return ret;
nomem:
    snprintf(err, err_size, "out of memory");
    return -ENOMEM;
}

void fsr_fuse_free(FsrEngine *e)
{
    FsrFuse *f = e->fuse;

    if (!f)
        return;
    fsr_plane_unref(&f->detail);
    fsr_plane_unref(&f->weight);
    fsr_plane_unref(&f->state);
    free(f->map);
    free(f->order);
    free(f->cuts);
    fsr_nn_plan_free(&f->key);
    fsr_nn_plan_free(&f->coarse);
    free(f);
    e->fuse = NULL;
}

static enum FsrCellKind fuse_kind(const FsrEngine *e, int i)
{
    const FsrFuse *f = e->fuse;
    const int      x = (i % e->cells.w * 4 - e->node->motion.hdr.crop_left) / TILE;
    const int      y = (i / e->cells.w * 4 - e->node->motion.hdr.crop_top) / TILE;

    if (x >= 0 && y >= 0 && x < f->tiles.cols && y < f->tiles.rows && !f->wanted[y * f->tiles.stride + x])
        return FSR_CELL_COPIED;
    return e->cells.weight[i] && e->cells.error[i] != FSR_NO_ERROR ? FSR_CELL_TRANSFERRED : FSR_CELL_PLAIN;
}

const FsrTask fsr_task_fuse = { "fuse", fuse_key, fuse_fill, fuse_kind };
