/* fill=copy: the network on every picture, but not where the picture before says it already. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "task.h"

#define TILE 16     /* samples of the small picture */

int fsr_copy_init(FsrEngine *e)
{
    const FsrFormat *f = &e->cfg.format;
    const int size = TILE * (e->plan_is_hr ? e->cfg.scale : 1);

    e->copy.tiles = (FsrNnTiles){ .tile_w = size, .tile_h = size, .cols = (f->width + TILE - 1) / TILE,
                                  .rows = (f->height + TILE - 1) / TILE };
    e->copy.tiles.stride = e->copy.tiles.cols;
    e->copy.tiles.wanted = e->copy.wanted = calloc(e->copy.tiles.cols, e->copy.tiles.rows);
    return e->copy.wanted ? 0 : -ENOMEM;
}

/* Are all of a tile's cells carried with full weight: by whole samples of the large picture, with next to no mismatch? */
static int is_copied(const FsrEngine *e, const FsrNode *n, int tx, int ty)
{
    const FsrCells *c  = &e->cells;
    const int       ox = n->motion.hdr.crop_left, oy = n->motion.hdr.crop_top;
    const int       x1 = tx * TILE + TILE > n->lr->w ? n->lr->w : tx * TILE + TILE;
    const int       y1 = ty * TILE + TILE > n->lr->h ? n->lr->h : ty * TILE + TILE;

    for (int cy = (ty * TILE + oy) / 4; cy <= (y1 - 1 + oy) / 4; cy++)
        for (int cx = (tx * TILE + ox) / 4; cx <= (x1 - 1 + ox) / 4; cx++)
            if (c->error[cy * c->w + cx] == FSR_NO_ERROR || c->weight[cy * c->w + cx] < 256)
                return 0;
    return 1;
}

static void carry_stripe(void *arg, int stripe, int worker)
{
    FsrEngine *e = arg;

    fsr_carry_stripe(e, e->node, stripe, &e->scratch[worker], e->node->hr, NULL, NULL);
}

static void net_job(void *arg, int job, int worker)
{
    FsrEngine *e = arg;

    fsr_sr_net_job(e, &e->copy.tiles, job, worker);
}

static int copy_fill(FsrEngine *e, FsrNode *n)
{
    const FsrNnTiles *t = &e->copy.tiles;
    int nb = 0;

    fsr_carry_weigh(e, n);
    for (int i = 0; i < t->cols * t->rows; i++)
        nb += e->copy.wanted[i] = !is_copied(e, n, i % t->cols, i / t->cols);
    n->stats.transferred = 1 - (double)nb / (t->cols * t->rows);
    if (nb < t->cols * t->rows)
        fsr_engine_execute(e, carry_stripe, fsr_nb_stripes(e, n));
    if (nb)
        fsr_engine_execute(e, net_job, fsr_nn_jobs(e->plan));
    fsr_engine_execute(e, fsr_sr_finish_stripe, fsr_nb_stripes(e, n));
    return 0;
}

static enum FsrCellKind copy_kind(const FsrEngine *e, int i)
{
    const int x = (i % e->cells.w * 4 - e->node->motion.hdr.crop_left) / TILE;
    const int y = (i / e->cells.w * 4 - e->node->motion.hdr.crop_top) / TILE;

    return x >= 0 && y >= 0 && x < e->copy.tiles.cols && y < e->copy.tiles.rows && !e->copy.wanted[y * e->copy.tiles.cols + x] ?
           FSR_CELL_COPIED : FSR_CELL_PLAIN;
}

const FsrTask fsr_task_copy = { "copy", fsr_sr_key, copy_fill, copy_kind };
