/*
 * What is carried along the vectors, and how much of it is trusted: fill=detail, and the first half of fill=fuse.
 * The formula is in README.md.
 */
#include <limits.h>
#include <string.h>

#include "task.h"

/*
 * Weight of carried detail in a cell: all of it where whole samples move and fit; else FSR_FITS up
 * to a mismatch of a quarter of the threshold, falling to 0 at the threshold. The mismatch is averaged
 * over the 3x3 cells around, those without motion left out, because one cell has few samples.
 */
typedef struct Mismatch { unsigned sum, nb; } Mismatch;

/* Of the cells above, at, and below (x, y) */
static inline Mismatch column_mismatch(const FsrCells *c, int x, int y)
{
    Mismatch m = { 0 };

    if (x >= c->w)
        return m;
    for (int j = y > 0 ? y - 1 : 0; j <= y + 1 && j < c->h; j++) {
        const unsigned err = c->error[j * c->w + x], known = err != FSR_NO_ERROR;

        m.sum += known ? err : 0;
        m.nb  += known;
    }
    return m;
}

static void weigh_stripe(void *arg, int stripe, int worker)
{
    FsrEngine      *e = arg;
    const FsrCells *c = &e->cells;
    const unsigned  t1 = (unsigned)(e->cfg.threshold * 64 + 0.5), t0 = t1 / 4, fits = t1 ? t0 + 1 : 0;
    const unsigned  exact = t1 < FSR_EXACT ? t1 : FSR_EXACT;
    const int       row0 = stripe * FSR_STRIPE / 4, row1 = row0 + FSR_STRIPE / 4;
    uint64_t        carried = 0;

    for (int y = row0; y < row1 && y < c->h; y++) {
        Mismatch left, here = { 0 }, right = column_mismatch(c, 0, y);

        for (int x = 0; x < c->w; x++) {
            unsigned sum, nb, weight = 0;

            left  = here;
            here  = right;
            right = column_mismatch(c, x + 1, y);
            sum   = left.sum + here.sum + right.sum;
            nb    = left.nb + here.nb + right.nb;
            if (sum < exact * nb)
                weight = 256;
            else if (sum < fits * nb)                   /* sum / nb <= t0 */
                weight = FSR_FITS;
            else if (sum < t1 * nb)
                weight = FSR_FITS * (t1 - sum / nb) / (t1 - t0);
            carried += weight > 0 && c->error[y * c->w + x] != FSR_NO_ERROR;
            c->weight[y * c->w + x] = weight;
        }
    }
    e->scratch[worker].sum[0] += carried;
}

int fsr_is_plain(FsrEngine *e, const FsrBlock *b)
{
    const FsrCells *c = &e->cells;
    int max = 0;

    for (int y = b->y; y < b->y + b->h; y++)
        for (int x = b->x; x < b->x + b->w; x++)
            if (c->error[y * c->w + x] != FSR_NO_ERROR && c->weight[y * c->w + x] > max)
                max = c->weight[y * c->w + x];
    for (int y = b->y; !max && y < b->y + b->h; y++)
        for (int x = b->x; x < b->x + b->w; x++)
            c->error[y * c->w + x] = FSR_NO_ERROR;
    return !max;
}

/* Floor division by a positive number */
static int floor_div(int a, int b)
{
    return (a >= 0 ? a : a - b + 1) / b;
}

static int clamp(int v, int lo, int hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

/* Weights of the large picture's rows, in turn. Positions are those of the coded picture. */
typedef struct WeightCursor {
    int16_t  f[16];             /* how far each of the span samples between two cell centres lies, in 1/128 */
    int      span, tx, ty;      /* samples of a cell; position of the picture's first sample */
    int      upper, row;        /* the row of cells whose centres are above, and the one that is shown */
    int      constant;          /* all rows between those centres are equal */
    int      has_holes;         /* the row of cells has some where nothing was predicted */
    int16_t *weights;           /* the latest row's first */
    int      turn;              /* the one before it lies elsewhere */
} WeightCursor;

static void weights_init(WeightCursor *c, const FsrEngine *e, const FsrNode *n)
{
    const int scale = e->cfg.scale;

    *c = (WeightCursor){ .span = 4 * scale, .tx = n->motion.hdr.crop_left * scale, .ty = n->motion.hdr.crop_top * scale,
                         .upper = INT_MIN, .row = INT_MIN };
    for (int i = 0; i < c->span; i++)
        c->f[i] = (64 * (2 * i + 1) + c->span / 2) / c->span;
}

/* Cells across the picture, from the one whose centre is left of it, in 1/128 from row a to row b */
static void lerp_cells(int16_t *out, const int16_t *a, const int16_t *b, int f, int first, int nb, int w)
{
    const int from = clamp(-first, 0, nb), to = clamp(w - first, from, nb);

    for (int k = from; k < to; k++)
        out[k] = a[first + k] + (((b[first + k] - a[first + k]) * f + 64) >> 7);
    for (int k = from; k-- > 0;)
        out[k] = out[from];
    for (int k = to; k < nb; k++)
        out[k] = out[to - 1];
}

/* Interpolation must not reach into cells where nothing was predicted. */
static void cut_holes(const WeightCursor *c, const uint16_t *error, int16_t *weights, int width)
{
    for (int cell = c->tx / c->span; cell * c->span - c->tx < width; cell++)
        if (error[cell] == FSR_NO_ERROR) {
            const int x0 = clamp(cell * c->span - c->tx, 0, width), x1 = clamp((cell + 1) * c->span - c->tx, 0, width);

            memset(weights + x0, 0, (x1 - x0) * sizeof(*weights));
        }
}

static const int16_t *weight_row(WeightCursor *c, const FsrEngine *e, FsrScratch *s, int y)
{
    const FsrCells *cells = &e->cells;
    const int span = c->span, width = e->out_format.width, ty = y + c->ty, row = ty / span;
    const int upper = floor_div(ty - span / 2, span), left = floor_div(c->tx - span / 2, span);
    const int base  = left * span + span / 2, nb = (c->tx + width - base + span - 1) / span;
    const int16_t  *a = cells->weight + clamp(upper, 0, cells->h - 1) * cells->w;
    const int16_t  *b = cells->weight + clamp(upper + 1, 0, cells->h - 1) * cells->w;
    const uint16_t *error = cells->error + row * cells->w;

    if (upper == c->upper && row == c->row && c->constant)
        return c->weights;
    if (upper != c->upper)
        c->constant = !memcmp(a, b, cells->w * sizeof(*a));
    if (row != c->row) {
        c->has_holes = 0;
        for (int x = 0; x < cells->w; x++)
            c->has_holes |= error[x] == FSR_NO_ERROR;
    }
    c->upper   = upper;
    c->row     = row;
    c->turn   ^= 1;
    c->weights = s->row[1 + c->turn] + c->tx - base;
    lerp_cells(s->row[3], a, b, c->f[ty - (upper * span + span / 2)], left, nb + 1, cells->w);
    e->kernels.lerp_row(s->row[1 + c->turn], s->row[3], nb, c->f, span);
    if (c->has_holes)
        cut_holes(c, error, c->weights, width);
    return c->weights;
}

/* Rows that are warped before they are blended, in samples of the small picture: few enough to stay in the cache. */
#define BAND 32

void fsr_carry_stripe(FsrEngine *e, FsrNode *n, int stripe, FsrScratch *s, FsrPlane *dst, FsrPlane *base, FsrCarriedRow done)
{
    const int    scale = e->cfg.scale, w = e->out_format.width;
    WeightCursor weights;
    FsrRowCursor lr, pred;
    int y0, y1;

    fsr_stripe_rows(e, n, stripe, &y0, &y1);
    if (y0 == y1)
        return;
    weights_init(&weights, e, n);
    fsr_cursor_init(&lr, &e->kernels, n->lr, &e->base, s->ring[0], 0, w);
    fsr_cursor_init(&pred, &e->kernels, e->pred, &e->base, s->ring[1], 0, w);
    for (int y = y0 * scale, rows; y < y1 * scale; y += rows) {
        const int16_t *lr_rows[FSR_TAPS], *pred_rows[FSR_TAPS], *weight[2];
        int16_t       *row[2], *base_row[2];
        const int      phase = fsr_cursor_rows(&lr, y, lr_rows);

        fsr_cursor_rows(&pred, y, pred_rows);
        /* two from the same rows where there are such */
        rows = y + 1 < y1 * scale && (y + 1) / scale + e->base.first[(y + 1) % scale] == y / scale + e->base.first[phase] ? 2 : 1;
        for (int k = 0; k < rows; k++) {
            if ((y + k - y0 * scale) % (BAND * scale) == 0)
                fsr_warp_rows(e, n, dst, FSR_FROM_HR, stripe, (y + k) / scale, (y + k) / scale + BAND, s, fsr_is_plain);
            row[k]      = dst->data + (y + k) * dst->stride;
            base_row[k] = base ? base->data + (y + k) * base->stride : NULL;
            weight[k]   = weight_row(&weights, e, s, y + k);
        }
        e->kernels.carry_rows(row, base ? base_row : NULL, lr_rows, pred_rows, &e->base, phase, weight, rows, w);
        for (int k = 0; k < rows; k++) {
            if (base)
                done(e, y + k, weight[k]);
            else
                fsr_store_luma(e, 0, y + k, w, row[k]);
        }
    }
}

void fsr_carry_weigh(FsrEngine *e, FsrNode *n)
{
    uint64_t carried = 0;

    for (int w = 0; w < e->cfg.nb_workers; w++)
        e->scratch[w].sum[0] = 0;
    fsr_engine_execute(e, weigh_stripe, fsr_motion_stripes(n));
    for (int w = 0; w < e->cfg.nb_workers; w++)
        carried += e->scratch[w].sum[0];
    n->stats.transferred = carried * 16.0 / ((double)n->lr->w * n->lr->h);
    if (n->stats.transferred > 1)       /* cells that the crop cuts */
        n->stats.transferred = 1;
}

static void detail_stripe(void *arg, int stripe, int worker)
{
    FsrEngine  *e = arg;
    FsrNode    *n = e->node;
    FsrScratch *s = &e->scratch[worker];
    int y0, y1;

    fsr_stripe_rows(e, n, stripe, &y0, &y1);
    if (y0 == y1)
        return;
    fsr_carry_stripe(e, n, stripe, s, n->hr, NULL, NULL);
    if (n->kept)
        fsr_plane_pad(n->hr, y0 * e->cfg.scale, y1 * e->cfg.scale);
    fsr_output_chroma(e, s, y0, y1);
}

static int detail_fill(FsrEngine *e, FsrNode *n)
{
    fsr_carry_weigh(e, n);
    fsr_engine_execute(e, detail_stripe, fsr_motion_stripes(n));
    return 0;
}

static enum FsrCellKind detail_kind(const FsrEngine *e, int i)
{
    const int weight = e->cells.weight[i];

    if (!weight || e->cells.error[i] == FSR_NO_ERROR)
        return FSR_CELL_PLAIN;
    return weight > FSR_FITS ? FSR_CELL_COPIED : weight == FSR_FITS ? FSR_CELL_TRANSFERRED : FSR_CELL_REPAIRED;
}

const FsrTask fsr_task_detail = { "detail", fsr_sr_key, detail_fill, detail_kind };
