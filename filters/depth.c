/*
 * Depth: the network on key frames, its answer carried along the vectors in between.
 *
 * There is no residual for depth: what is carried is right as far as the motion is. Where it is not (intra blocks,
 * motion that fits badly) depth is continued from around, guided by luma; where that would be too much, the network runs.
 * A key frame does not replace what was carried, so that depth does not jump: each sample keeps what it is to change by, and goes
 * through this change on the pictures around the key frame, in the order in which they are shown.
 */
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "depth.h"

/* Weight of what was carried to a key frame, against the network's 1. More is steadier and lags behind a moving camera: on a
 * hand-held sequence delta1 is 0.004 below the network's on every frame with 0.05, 0.005 with 0.1, 0.006 with 0.15. */
#define TRUST_MAX    0.05f
#define TRUST_KEPT   0.98f          /* of it after each picture */
#define TRUST_FILLED 0.005f         /* what was continued from around */
/* Pictures on which depth goes over to what a key frame says, if no more lie before it. With 8 the same sequence's delta1 is
 * 0.007 lower. */
#define RAMP         4
/* A key frame further behind the picture before it does not reach back. */
#define MAX_LEAD     16
/* A key frame with little to see (contrast of the picture) weighs less, down to this. */
#define LEAST_SEEN   0.01f
#define SEEN_KEPT    0.98f          /* of the contrast that others are compared with, after each picture */
/* Where the network's answer differs by this (logarithm) from what was carried, what was carried weighs half. */
#define AGREES       0.25f
/* More of the area without anything carried than this: the network is asked. */
#define LOST_MAX     0.3
/* Less of the area carried than this: another scene. */
#define SAME_SCENE   0.3
/* Depths that differ by more than this factor lie on two sides of an edge: not to be mixed. */
#define EDGE         1.15f
/* Steps of luma between pictures at which nothing is carried without vectors. */
#define STILL        6.0f

enum { ROWS = 16 };             /* of a job */

/* Maps --------------------------------------------------------------------- */

static FsrDepthMap *map_new(const FsrDepth *d)
{
    const size_t size = (size_t)d->w * d->h;
    FsrDepthMap *m = malloc(sizeof(*m));

    if (!m)
        return NULL;
    m->refs     = 1;
    m->source   = 0;
    m->contrast = 0;
    m->ramp     = 1;
    m->lead     = 0;
    m->depth  = malloc(3 * size * sizeof(*m->depth));
    m->trust  = m->depth + size;
    m->change = m->trust + size;
    if (!m->depth) {
        free(m);
        return NULL;
    }
    return m;
}

static FsrDepthMap *map_ref(FsrDepthMap *m)
{
    m->refs++;
    return m;
}

void fsr_depth_map_unref(FsrDepthMap **pm)
{
    FsrDepthMap *m = *pm;

    *pm = NULL;
    if (m && !--m->refs) {
        free(m->depth);
        free(m);
    }
}

/* Carrying ------------------------------------------------------------------- */

static float in_range(float v)
{
    return v < FSR_DEPTH_MIN ? FSR_DEPTH_MIN : v > FSR_DEPTH_MAX ? FSR_DEPTH_MAX : v;
}

static int is_edge(float a, float b)
{
    return a > b * EDGE || b > a * EDGE;
}

/* Depth at a place between samples; across an edge the nearest one */
static void fetch(const FsrDepth *d, const FsrDepthMap *m, float x, float y, float *depth, float *trust, float *change)
{
    const float cx = x < 0 ? 0 : x > d->w - 1 ? d->w - 1 : x, cy = y < 0 ? 0 : y > d->h - 1 ? d->h - 1 : y;
    const int   ix = (int)cx, iy = (int)cy, right = ix + 1 < d->w, down = iy + 1 < d->h ? d->w : 0;
    const float fx = cx - ix, fy = cy - iy;
    const int   at = iy * d->w + ix, near = at + (fx >= 0.5f ? right : 0) + (fy >= 0.5f ? down : 0);
    const float a = m->depth[at], b = m->depth[at + right], c = m->depth[at + down], e = m->depth[at + down + right];

    *trust  = m->trust[near];
    *change = m->change[near];
    if (is_edge(a, e) || is_edge(b, c) || is_edge(a, b))
        *depth = m->depth[near];
    else
        *depth = (a + (b - a) * fx) * (1 - fy) + (c + (e - c) * fx) * fy;
}

static float nearest_change(const FsrDepth *d, const FsrDepthMap *m, float x, float y)
{
    const int ix = x < 0 ? 0 : x > d->w - 1 ? d->w - 1 : (int)(x + 0.5f), iy = y < 0 ? 0 : y > d->h - 1 ? d->h - 1 : (int)(y + 0.5f);

    return m->change[iy * d->w + ix];
}

/* Depth from one reference, as it is to be shown with the picture in work */
static void carry_from(const FsrDepth *d, const FsrNode *n, int r, float x, float y, float dx, float dy, float *depth, float *trust,
                       float *change)
{
    const FsrNode *ref = n->ref[r];

    fetch(d, ref->depth, x + dx, y + dy, depth, trust, change);
    *depth += *change * d->step[r];
    if (ref->depth->source != d->latest->depth->source) {
        /* it knows nothing of the latest key frame: where is this place there, if the motion goes on? */
        const float along = ref->display == n->display ? 0 : (float)(d->latest->display - n->display) / (ref->display - n->display);

        *change = nearest_change(d, d->latest->depth, x + dx * along, y + dy * along);
        *depth += *change * d->late_step;
    }
    *depth = in_range(*depth);
}

static void carry_sample(const FsrDepth *d, const FsrNode *n, const FsrBlock *b, int x, int y, float fit, float sx, float sy)
{
    float depth[2] = { 0 }, trust[2] = { 0 }, change[2] = { 0 };
    const int at = y * d->w + x;
    int   nb = 0;

    for (int l = 0; l < 2; l++)
        if (b->ref[l] != FSR_NO_REF && n->ref[b->ref[l]]) {
            carry_from(d, n, b->ref[l], x, y, b->mv[l][0] * sx, b->mv[l][1] * sy, depth + nb, trust + nb, change + nb);
            nb++;
        }
    if (nb == 2) {
        const float share = is_edge(depth[0], depth[1]) ? trust[1] > trust[0]
                                                        : (trust[1] + 0.5e-3f) / (trust[0] + trust[1] + 1e-3f);

        depth[0]  += (depth[1] - depth[0]) * share;
        change[0] += (change[1] - change[0]) * share;
        trust[0]   = trust[0] > trust[1] ? trust[0] : trust[1];
    }
    d->carried->depth[at]  = depth[0];
    d->carried->change[at] = change[0];
    d->carried->trust[at]  = nb && fit > 0 ? trust[0] * fit * TRUST_KEPT + 1e-6f : 0;
}

/* First sample of the map whose centre lies at or behind a place in the picture */
static int first_sample(int place, int size, int map, int limit)
{
    const int i = (int)(((int64_t)2 * place * map + size - 1) / (2 * size));    /* ceil(place * map / size - 1/2) */

    return i < limit ? i : limit;
}

/* How well motion with this mismatch fits, 0 to 1 */
static float fits(const FsrEngine *e, unsigned error)
{
    const float most = (float)e->cfg.threshold * 64, f = (most - error) / (most * 0.75f);

    return error == FSR_NO_ERROR || f < 0 ? 0 : f > 1 ? 1 : f;
}

static void carry_stripe(void *arg, int stripe, int worker)
{
    FsrEngine   *e = arg;
    FsrNode     *n = e->node;
    FsrDepth    *d = e->depth;
    const int    w = e->cfg.format.width, h = e->cfg.format.height;
    const float  sx = (float)d->w / (4.0f * w), sy = (float)d->h / (4.0f * h);         /* map samples a vector's unit */
    const float  per_x = (float)w / d->w, per_y = (float)h / d->h;                      /* picture samples a map sample */
    uint64_t     carried = 0;

    for (uint32_t i = n->stripe_start[stripe]; i < n->stripe_start[stripe + 1]; i++) {
        const FsrBlock *b = &n->motion.blocks[n->order[i]];
        FsrRect r;
        int x0, x1, y0, y1;

        if (b->mode < FSR_INTER || !fsr_block_rect(n, b, &r))
            continue;
        x0 = first_sample(r.x, w, d->w, d->w);
        x1 = first_sample(r.x + r.w, w, d->w, d->w);
        y0 = first_sample(r.y, h, d->h, d->h);
        y1 = first_sample(r.y + r.h, h, d->h, d->h);
        for (int y = y0; y < y1; y++) {
            const int       cell = ((int)((y + 0.5f) * per_y) + n->motion.hdr.crop_top) / 4;
            const uint16_t *error = e->cells.error + (cell < e->cells.h ? cell : e->cells.h - 1) * e->cells.w;

            for (int x = x0; x < x1; x++) {
                const int column = ((int)((x + 0.5f) * per_x) + n->motion.hdr.crop_left) / 4;

                carry_sample(d, n, b, x, y, fits(e, error[column < e->cells.w ? column : e->cells.w - 1]), sx, sy);
                carried += d->carried->trust[y * d->w + x] > 0;
            }
        }
    }
    e->scratch[worker].sum[0] += carried;
}

/* How much of the change that its key frame asks for a map shows at a time, 0 to 1 */
static float progress(const FsrDepthMap *m, int64_t display)
{
    const float p = (float)(display - m->source + m->lead) / m->ramp;

    return p < 0 ? 0 : p > 1 ? 1 : p;
}

static void same_source(FsrDepthMap *m, const FsrDepthMap *from)
{
    m->source   = from->source;
    m->contrast = from->contrast;
    m->ramp     = from->ramp;
    m->lead     = from->lead;
}

/* Which key frame is the latest, and how much of their changes the references are to go through until this picture */
static void plan_change(FsrDepth *d, const FsrNode *n)
{
    d->latest = NULL;
    for (int i = 0; i < n->motion.hdr.nb_refs; i++) {
        const FsrNode *r = n->ref[i], *latest = d->latest;

        if (!r)
            continue;
        d->step[i] = progress(r->depth, n->display) - progress(r->depth, r->display);
        if (!latest || r->depth->source > latest->depth->source ||
            (r->depth->source == latest->depth->source && llabs(r->display - n->display) < llabs(latest->display - n->display)))
            d->latest = r;
    }
    same_source(d->carried, d->latest->depth);
    d->late_step = progress(d->latest->depth, n->display);
}

/* Without vectors: what stands still keeps its depth. */
static uint64_t carry_still(FsrDepth *d, const FsrNode *n)
{
    const int   size = d->w * d->h;
    const float step = progress(d->prev, n->display) - progress(d->prev, d->prev_display);
    double      brighter = 0;
    uint64_t    carried = 0;

    same_source(d->carried, d->prev);
    for (int i = 0; i < size; i++)
        brighter += d->luma[i] - d->prev_luma[i];
    brighter /= size;
    for (int i = 0; i < size; i++) {
        const float difference = fabsf(d->luma[i] - d->prev_luma[i] - (float)brighter);

        d->carried->depth[i]  = in_range(d->prev->depth[i] + d->prev->change[i] * step);
        d->carried->change[i] = d->prev->change[i];
        d->carried->trust[i]  = difference < STILL ? d->prev->trust[i] * TRUST_KEPT * (1 - difference / STILL) : 0;
        carried += d->carried->trust[i] > 0;
    }
    return carried;
}

static int has_reference(const FsrNode *n)
{
    for (int i = 0; n->has_motion && i < n->motion.hdr.nb_refs; i++)
        if (n->ref[i])
            return 1;
    return 0;
}

int fsr_depth_carry(FsrEngine *e, FsrNode *n)
{
    FsrDepth *d = e->depth;
    const int size = d->w * d->h;
    uint64_t  carried = 0;

    fsr_depth_reduce_luma(e);
    d->share = 0;
    if (d->cfg.fill == FSR_DEPTH_HOLD || (!has_reference(n) && !d->prev))
        return 0;
    d->carried = map_new(d);
    if (!d->carried)
        return -ENOMEM;
    if (has_reference(n)) {
        plan_change(d, n);
        memset(d->carried->trust, 0, size * sizeof(*d->carried->trust));
        for (int w = 0; w < e->cfg.nb_workers; w++)
            e->scratch[w].sum[0] = 0;
        fsr_engine_execute(e, carry_stripe, fsr_motion_stripes(n));
        for (int w = 0; w < e->cfg.nb_workers; w++)
            carried += e->scratch[w].sum[0];
    } else {
        carried = carry_still(d, n);
    }
    d->share = (double)carried / size;
    return 0;
}

int fsr_depth_lost(const FsrEngine *e)
{
    return e->depth->cfg.fill == FSR_DEPTH_TRANSFER && e->depth->share < 1 - LOST_MAX;
}

/* Filling -------------------------------------------------------------------- */

/* Mean of the neighbours that have depth, those of like luma first; 0 if there is none */
static float around(const FsrDepth *d, const FsrDepthMap *m, int x, int y)
{
    const float here = d->luma[y * d->w + x];
    float sum = 0, weights = 0;

    for (int j = y > 0 ? y - 1 : 0; j <= y + 1 && j < d->h; j++)
        for (int i = x > 0 ? x - 1 : 0; i <= x + 1 && i < d->w; i++) {
            const int at = j * d->w + i;
            int       step;

            if (m->trust[at] <= 0)
                continue;
            step     = (int)fabsf(d->luma[at] - here);
            sum     += m->depth[at] * d->similar[step < 255 ? step : 255];
            weights += d->similar[step < 255 ? step : 255];
        }
    return weights > 0 ? sum / weights : 0;
}

/* Continue depth into holes, ring by ring from their borders; each sample takes from those that have depth then. */
static void fill_holes(FsrDepth *d, FsrDepthMap *m)
{
    const int size = d->w * d->h;
    int nb = 0, left;

    for (int i = 0; i < size; i++)
        if (m->trust[i] <= 0)
            d->queue[nb++] = i;
    for (left = nb; left; ) {
        int kept = 0, filled = 0;

        for (int k = 0; k < left; k++) {
            const int   i = d->queue[k];
            const float v = around(d, m, i % d->w, i / d->w);

            if (v > 0) {
                m->depth[i]  = v;
                m->change[i] = 0;
                d->queue[size + filled++] = i;
            } else {
                d->queue[kept++] = i;
            }
        }
        for (int k = 0; k < filled; k++)        /* now they count */
            m->trust[d->queue[size + k]] = TRUST_FILLED;
        if (!filled)
            break;
        left = kept;
    }
}

static float median3(float a, float b, float c)
{
    const float lo = a < b ? a : b, hi = a < b ? b : a, m = hi < c ? hi : c;

    return lo > m ? lo : m;
}

static float least3(float a, float b, float c)
{
    const float m = a < b ? a : b;

    return m < c ? m : c;
}

static float largest3(float a, float b, float c)
{
    const float m = a > b ? a : b;

    return m > c ? m : c;
}

/* Median of 3x3 samples: of the largest of the columns' least, the median of their medians and the least of their largest
 * ones. */
static void median_row(float *restrict dst, const float *a, const float *b, const float *c, int w)
{
    for (int x = 1; x < w - 1; x++)
        dst[x] = median3(largest3(least3(a[x - 1], b[x - 1], c[x - 1]), least3(a[x], b[x], c[x]), least3(a[x + 1], b[x + 1], c[x + 1])),
                         median3(median3(a[x - 1], b[x - 1], c[x - 1]), median3(a[x], b[x], c[x]), median3(a[x + 1], b[x + 1], c[x + 1])),
                         least3(largest3(a[x - 1], b[x - 1], c[x - 1]), largest3(a[x], b[x], c[x]), largest3(a[x + 1], b[x + 1], c[x + 1])));
}

static void median_job(void *arg, int job, int worker)
{
    const FsrDepth *d = ((FsrEngine *)arg)->depth;
    const int       w = d->w;

    (void)worker;
    for (int y = job * ROWS > 1 ? job * ROWS : 1; y < (job + 1) * ROWS && y < d->h - 1; y++)
        median_row(d->carried->depth + y * w, d->work + (y - 1) * w, d->work + y * w, d->work + (y + 1) * w, w);
}

/* Samples that vectors have torn from their place */
static void remove_specks(FsrEngine *e)
{
    FsrDepth *d = e->depth;

    memcpy(d->work, d->carried->depth, (size_t)d->w * d->h * sizeof(*d->work));
    fsr_engine_execute(e, median_job, (d->h + ROWS - 1) / ROWS);
}

/* Key frames ------------------------------------------------------------------ */

enum { BINS = 2048 };           /* of logarithms from -2 to 2 */

/* Median of log(predicted / carried) over what was carried */
static float scale_between(FsrDepth *d, const FsrDepthMap *m, const float *predicted)
{
    const int size = d->w * d->h;
    uint32_t  nb = 0, below = 0;
    int       bin = 0;

    memset(d->counts, 0, BINS * sizeof(*d->counts));
    for (int i = 0; i < size; i++) {
        float v;

        if (m->trust[i] <= TRUST_FILLED)
            continue;
        v = (logf(predicted[i] / m->depth[i]) + 2) * (BINS / 4);
        d->counts[v > 0 ? v < BINS - 1 ? (int)v : BINS - 1 : 0]++;
        nb++;
    }
    if (!nb)
        return 0;
    while (below + d->counts[bin] <= nb / 2)
        below += d->counts[bin++];
    return (bin + 0.5f) / (BINS / 4) - 2;
}

/* Standard deviation of luma: how much there is to see */
static float contrast(const FsrDepth *d)
{
    const int size = d->w * d->h;
    double    sum = 0, squares = 0;

    for (int i = 0; i < size; i++) {
        sum     += d->luma[i];
        squares += d->luma[i] * d->luma[i];
    }
    sum /= size;
    return (float)sqrt(fmax(squares / size - sum * sum, 1));
}

/* Pictures between a key frame and the one before it that is done: those that will still be carried to from both */
static int pictures_between(const FsrDepth *d, const FsrNode *n)
{
    int64_t before = has_reference(n) || !d->prev ? INT64_MIN : d->prev_display;

    for (int i = 0; has_reference(n) && i < n->motion.hdr.nb_refs; i++)
        if (n->ref[i] && n->ref[i]->display < n->display && n->ref[i]->display > before)
            before = n->ref[i]->display;
    return before < n->display - MAX_LEAD || before >= n->display ? 1 : (int)(n->display - before);
}

/*
 * m is what the network said. What was carried goes over to the mean of both, from the picture before it that is done to
 * some pictures behind it.
 */
static void join(FsrDepth *d, const FsrNode *n, FsrDepthMap *m)
{
    FsrDepthMap *old = d->carried;
    const int    size = d->w * d->h;
    const float  ratio = m->contrast / old->contrast, seen = ratio > 1 ? 1 : ratio * ratio < LEAST_SEEN ? LEAST_SEEN : ratio * ratio;
    const int    distance = n->display > old->source ? (int)(n->display - old->source) : 0;
    const float  left = 1 - progress(old, n->display);
    const float  scale = expf(scale_between(d, old, m->depth) * seen);
    float        shown;

    fill_holes(d, old);
    m->lead = pictures_between(d, n);
    m->ramp = distance < RAMP ? distance : RAMP;
    m->ramp = m->ramp > m->lead ? m->ramp : m->lead;
    shown   = progress(m, n->display);
    m->contrast = fmaxf(m->contrast, old->contrast * powf(SEEN_KEPT, (float)distance));
    for (int i = 0; i < size; i++) {
        const float net = m->depth[i], carried = in_range((old->depth[i] + old->change[i] * left) * scale);
        const float apart = logf(net / carried) / AGREES, weight = old->trust[i] / (seen + apart * apart * seen * seen);

        m->change[i] = (net + carried * weight) / (1 + weight) - old->depth[i];
        m->depth[i]  = in_range(old->depth[i] + shown * m->change[i]);
        m->trust[i]  = TRUST_MAX;
    }
}

/* What later pictures without vectors compare with */
static void remember(FsrEngine *e, const FsrNode *n)
{
    FsrDepth *d = e->depth;
    float    *luma = d->luma;

    if (d->cfg.fill == FSR_DEPTH_HOLD || (n->has_motion && !n->kept))
        return;
    fsr_depth_map_unref(&d->prev);
    d->prev         = map_ref(n->depth);
    d->prev_display = n->display;
    d->luma         = d->prev_luma;
    d->prev_luma    = luma;
}

static int depth_key(FsrEngine *e, FsrNode *n)
{
    FsrDepth *d = e->depth;
    const int size = d->w * d->h;

    n->depth = map_new(d);
    if (!n->depth)
        return -ENOMEM;
    fsr_depth_network(e, n->depth->depth);
    n->depth->source   = n->display;
    n->depth->contrast = contrast(d);
    for (int i = 0; i < size; i++) {
        n->depth->trust[i]  = TRUST_MAX;
        n->depth->change[i] = 0;
    }
    if (d->carried && d->share > SAME_SCENE && n->stats.intra < 0.6f + (n->motion.hdr.type == 'I' || !has_reference(n)))
        join(d, n, n->depth);
    n->stats.transferred = 0;
    fsr_depth_map_unref(&d->carried);
    fsr_depth_output(e, n);
    remember(e, n);
    return 0;
}

/* fill=hold: the latest key frame shown before, or the first one behind */
static FsrDepthMap *held(const FsrNode *n)
{
    FsrDepthMap *best = NULL;

    for (int i = 0; i < n->motion.hdr.nb_refs; i++) {
        FsrDepthMap *m = n->ref[i] ? n->ref[i]->depth : NULL;

        if (m && (!best || (m->source <= n->display ? best->source > n->display || m->source > best->source
                                                    : best->source > n->display && m->source < best->source)))
            best = m;
    }
    return best;
}

static int depth_fill(FsrEngine *e, FsrNode *n)
{
    FsrDepth *d = e->depth;

    if (d->cfg.fill == FSR_DEPTH_HOLD) {
        n->depth = map_ref(held(n));
        n->stats.transferred = 1;
    } else {
        fill_holes(d, d->carried);
        remove_specks(e);
        n->depth   = d->carried;
        d->carried = NULL;
        n->stats.transferred = d->share;
    }
    fsr_depth_output(e, n);
    remember(e, n);
    return 0;
}

const FsrTask fsr_task_depth = { "depth", depth_key, depth_fill, NULL };

/* Setting up ------------------------------------------------------------------- */

static int check_config(const FsrDepthConfig *c)
{
    return c->format >= FSR_DEPTH_GRAY8 && c->format <= FSR_DEPTH_COLOR && c->fill >= FSR_DEPTH_HOLD && c->fill <= FSR_DEPTH_TRANSFER &&
           c->near >= 0 && c->far > c->near && c->sample_aspect > 0 && c->kr > 0 && c->kb > 0 && c->kr + c->kb < 1;
}

int fsr_depth_init(FsrEngine *e, char *err, size_t err_size)
{
    FsrDepth *d = e->depth = calloc(1, sizeof(*d));
    size_t    size;
    int       ret;

    if (!d) {
        snprintf(err, err_size, "out of memory");
        return -ENOMEM;
    }
    d->cfg = *e->cfg.depth;
    e->cfg.depth = &d->cfg;
    if (!check_config(&d->cfg)) {
        snprintf(err, err_size, "invalid depth configuration: far must be more than near");
        return -EINVAL;
    }
    ret = fsr_depth_net_init(e, err, err_size);
    if (ret < 0)
        return ret;
    size = (size_t)d->w * d->h;
    d->prev_luma = malloc(size * sizeof(*d->prev_luma));
    d->work      = malloc(size * sizeof(*d->work));
    d->queue     = malloc(2 * size * sizeof(*d->queue));
    d->counts    = malloc(65536 * sizeof(*d->counts));
    if (!d->prev_luma || !d->work || !d->queue || !d->counts || fsr_depth_out_init(e) < 0) {
        snprintf(err, err_size, "out of memory");
        return -ENOMEM;
    }
    for (int i = 0; i < 256; i++)
        d->similar[i] = expf(-i / 8.0f) + 1e-4f;
    return 0;
}

void fsr_depth_free(FsrEngine *e)
{
    FsrDepth *d = e->depth;

    if (!d)
        return;
    fsr_depth_map_unref(&d->carried);
    fsr_depth_map_unref(&d->prev);
    fsr_depth_axis_free(&d->map_x);
    fsr_depth_axis_free(&d->map_y);
    fsr_depth_axis_free(&d->net_x);
    fsr_depth_axis_free(&d->net_y);
    fsr_depth_axis_free(&d->chroma_x);
    fsr_depth_axis_free(&d->chroma_y);
    free(d->luma);
    free(d->rgb);
    free(d->net);
    free(d->half);
    free(d->queue);
    free(d->work);
    free(d->counts);
    free(d->up_x);
    free(d->up_f);
    free(d->prev_luma);
    free(d);
    e->depth = NULL;
}
