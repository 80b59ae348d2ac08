/*
 * Inside the engine: a picture on its way (FsrNode), and the table of functions that
 * makes an engine a super-resolution (or another) engine.
 */
#ifndef FILTERS_TASK_H
#define FILTERS_TASK_H

#include "fastsr/engine.h"
#include "fastsr/record.h"
#include "kernels.h"
#include "plane.h"

#define FSR_RING   8            /* rows of a ring: a power of two, at least FSR_TAPS */
#define FSR_STRIPE 64           /* rows of a stripe, in coded luma samples: no coding block crosses one */

typedef struct FsrNode {
    struct FsrNode *next;       /* display order */

    FsrPicture pic;
    int        pic_held;        /* release is still to be called */
    void      *out;

    FsrMotion  motion;
    int        has_motion;
    int        two_way;         /* its motion names no picture, and some of it is from the future */
    int        duplicate;       /* shows the same decoded picture as an earlier node */
    uint32_t   number;          /* 0: nothing can refer to this picture */
    int        epoch;           /* numbers are unique inside an epoch (one decoder) */
    int64_t    display;         /* counts the pictures pushed */

    FsrPlane  *lr;              /* decoded luma */
    FsrPlane  *hr;              /* what the task carries: the large picture */
    FsrPlane  *state;           /* and feature planes (fill=fuse), side by side, of the small picture's size */
    struct FsrDepthMap *depth;  /* depth: what is carried instead */
    struct FsrNode *ref[FSR_MAX_REFS];  /* while being processed: usable references, else NULL */
    uint32_t  *order;           /* block indices sorted by stripe */
    uint32_t  *stripe_start;    /* nb_stripes + 1 */

    int        done, emitted, kept;
    FsrPictureStats stats;
} FsrNode;

/* Motion-compensated cells of the picture in work: 4x4 coded luma samples. */
typedef struct FsrCells {
    int       w, h;             /* cells */
    uint16_t *error;            /* mean absolute mismatch in 1/64 8-bit steps; FSR_NO_ERROR: nothing to carry */
    int16_t  *weight;           /* of what is carried, 0 to 256 */
    int8_t   *qp;               /* fill=fuse only */
} FsrCells;
#define FSR_NO_ERROR 0xffff
/* Where nothing is known of it */
#define FSR_DEFAULT_QP 30
/* Weight of what fits well but is interpolated: it fades, so that errors do not last in long chains of P pictures. */
#define FSR_FITS     220
/* Below this error motion was by whole samples of the large picture: nothing was interpolated. */
#define FSR_EXACT    16

/* What was done with a cell, for show=map. */
enum FsrCellKind {
    FSR_CELL_PLAIN,             /* upscaled, nothing carried */
    FSR_CELL_TRANSFERRED,       /* carried, with interpolation */
    FSR_CELL_REPAIRED,          /* carried where the motion fits badly, and corrected */
    FSR_CELL_COPIED,            /* carried whole */
    FSR_CELL_KEY,               /* the network on the whole picture */
};

typedef struct FsrTask {
    const char *name;
    /* Run on the whole picture. */
    int  (*key)(struct FsrEngine *e, FsrNode *n);
    /* Fill from references; n->ref has at least one, e->cells.error is set. */
    int  (*fill)(struct FsrEngine *e, FsrNode *n);
    /* After a fill: what was done with cell number i, by row. NULL: all are plain. */
    enum FsrCellKind (*kind)(const struct FsrEngine *e, int i);
} FsrTask;

/* Buffers of one worker */
typedef struct FsrScratch {
    _Alignas(64) int16_t block[2][64 * 64];
    double   macs;
    uint64_t sum[4];            /* reductions over jobs */
    int16_t *ring[2][FSR_RING]; /* rows of the output's width + 128 */
    int16_t *row[4];            /* the same */
} FsrScratch;

struct FsrEngine {
    FsrEngineConfig cfg;
    FsrFormat       out_format;
    FsrTask         task;
    FsrKernels      kernels;
    FsrUpscaler     anchor;             /* cubic: what networks take */
    FsrUpscaler     base;               /* what is shown where nothing is carried */
    FsrUpscaler     up_chroma_x, up_chroma_y;
    FsrPlan        *plan;
    int             plan_is_hr;         /* the network takes the upscaled picture */
    int             plan_adds;          /* and gives what is to be added to the anchor */

    FsrPlanePool    lr_pool, hr_pool, state_pool;
    FsrPlane       *pred;               /* prediction of the picture in work from decoded references;
                                           the picture itself where there is none */
    FsrCells        cells;
    struct FsrFuse *fuse;               /* fill=fuse only, see fuse.c */
    struct {
        FsrNnTiles tiles;               /* of the network's input */
        uint8_t   *wanted;              /* those that are not copied */
    } copy;                             /* fill=copy only, see copy.c */
    struct FsrDepth *depth;             /* depth only, see depth.h */
    FsrScratch     *scratch;            /* one a worker */
    int16_t        *rows;

    FsrNode        *head, *tail;
    int64_t         pushed;
    int             epoch;
    uint32_t        last_number;        /* largest of the epoch */
    uint32_t        settled;            /* all numbers up to here are done or will not come */
    uint64_t        settled_after;      /* bit i: number settled + 1 + i is done */
    int             flushing, failed;

    /* key-frame choice, see keyframe.c */
    int64_t         key_display[64];    /* latest key frames, newest first; -1 none. More than a group
                                           with its leading pictures can have */
    int64_t         last_anchor;
    int             gop;

    FsrTotals       totals;
    /* the picture in work, for jobs */
    FsrNode        *node;
    FsrPlanes       out;
};

/* Run nb_jobs of fn(e, job, worker) through the caller. */
void fsr_engine_execute(struct FsrEngine *e, FsrJob fn, int nb_jobs);

/* motion.c ----------------------------------------------------------------- */

/* Index the blocks of a picture by stripe; blocks that cross stripes become unknown. -ENOMEM. */
int  fsr_motion_index(FsrNode *n);
int  fsr_motion_stripes(const FsrNode *n);
/* Fill e->cells.error and e->pred for the node, and n->stats (intra, skip, mismatch). */
int  fsr_motion_analyse(struct FsrEngine *e, FsrNode *n);

/* direction.c: motion that says only that it is from the past or from the future (FSR_REF_DIRECTION). */

int  fsr_direction_is_two_way(const FsrMotion *m);
/* Must the node wait for a picture that it may have come from? */
int  fsr_direction_waits(const struct FsrEngine *e, const FsrNode *n);
/* Find out which picture each block comes from: n->motion then has ordinary references and n->ref is set.
 * Blocks that fit none, or have no vector, become intra. Nothing for other motion. */
void fsr_direction_resolve(struct FsrEngine *e, FsrNode *n);

/* The part of a block that is shown, in shown luma samples; 0 if there is none. */
typedef struct FsrRect { int x, y, w, h; } FsrRect;
int  fsr_block_rect(const FsrNode *n, const FsrBlock *b, FsrRect *r);

/* Which of the references' planes: the small picture, the large one (scale times as large), or the feature planes. */
enum { FSR_FROM_LR, FSR_FROM_HR, FSR_FROM_STATE };

/*
 * Prediction of a rectangle inside a block from the references' planes, in 14-bit scale: the
 * average of both lists where both are usable, with the stream's weights (not on feature
 * planes); as large as fsr_mc takes them. Returns 0 if no reference is usable. Uses s->block.
 */
int  fsr_predict(const struct FsrEngine *e, const FsrNode *n, const FsrBlock *b, FsrScratch *s, int16_t *dst,
                 ptrdiff_t stride, int x, int y, int w, int h, int source);

/* Predict rows y0 to y1 - 1 (LR) of a stripe's blocks from a source into dst; skip(e, b) says which blocks to
 * leave out. */
void fsr_warp_rows(struct FsrEngine *e, FsrNode *n, FsrPlane *dst, int source, int stripe, int y0, int y1, FsrScratch *s,
                   int (*skip)(struct FsrEngine *e, const FsrBlock *b));

/* output.c ----------------------------------------------------------------- */

/* Upscaled luma rows y0 to y1 - 1 of the large picture, one by one, from an LR plane. The
 * caller gets each row in turn. */
typedef struct FsrRowCursor {
    const FsrPlane    *src;
    const FsrUpscaler *up;
    const FsrKernels  *k;
    int16_t           *ring[FSR_RING];  /* horizontally filtered rows */
    int                have[FSR_RING];  /* source row in each slot, or INT_MIN */
    int                x, w;            /* columns of the large picture */
} FsrRowCursor;
void fsr_cursor_init(FsrRowCursor *c, const FsrKernels *k, const FsrPlane *src, const FsrUpscaler *up,
                     int16_t *const *ring, int x, int w);
/* The rows whose weighted sum row y is, and the phase whose weights they take. */
int  fsr_cursor_rows(FsrRowCursor *c, int y, const int16_t **in);
void fsr_cursor_row(FsrRowCursor *c, int y, int16_t *dst);

/* Store a luma row of the large picture. */
void fsr_store_luma(const struct FsrEngine *e, int x, int y, int w, const int16_t *row);
/* Upscale chroma for luma rows y0 to y1 - 1 (LR); stripes together cover each chroma row once. */
void fsr_output_chroma(const struct FsrEngine *e, FsrScratch *s, int y0, int y1);
/* LR rows that a stripe shows. */
void fsr_stripe_rows(const struct FsrEngine *e, const FsrNode *n, int stripe, int *y0, int *y1);

int  fsr_nb_stripes(const struct FsrEngine *e, const FsrNode *n);

/* detail.c ----------------------------------------------------------------- */

/* Weigh what is carried: e->cells.weight and n->stats.transferred, from e->cells.error. */
void fsr_carry_weigh(struct FsrEngine *e, FsrNode *n);
/* Rows of a stripe with what is carried, base(LR) + w * (warp(HR) - base(pred)), written to dst and stored as output. With
 * base: less base(LR), which goes there, and done gets the weights (0 to 256) of one row after the other. */
typedef void (*FsrCarriedRow)(struct FsrEngine *e, int y, const int16_t *weight);
void fsr_carry_stripe(struct FsrEngine *e, FsrNode *n, int stripe, FsrScratch *s, FsrPlane *dst, FsrPlane *base, FsrCarriedRow done);
/* For fsr_warp_rows: nothing of the block is wanted. Its cells are marked, since what lies there is not a prediction. */
int  fsr_is_plain(struct FsrEngine *e, const FsrBlock *b);

/* keyframe.c --------------------------------------------------------------- */
int  fsr_choose_key(struct FsrEngine *e, FsrNode *n);

/* show.c ------------------------------------------------------------------- */

/* Draw over the output e->out what was done with the node: 0 or -ENOMEM. */
int  fsr_show_map(struct FsrEngine *e, const FsrNode *n, int key);

/* sr.c --------------------------------------------------------------------- */

/* The network on those tiles of its input (NULL: everywhere), a job of fsr_nn_jobs(e->plan). */
void fsr_sr_net_job(struct FsrEngine *e, const FsrNnTiles *tiles, int job, int worker);
/* What comes after the luma of a stripe: the border of what is kept, chroma. */
void fsr_sr_finish_stripe(void *arg, int stripe, int worker);

/* copy.c ------------------------------------------------------------------- */

/* 0 or -ENOMEM; e->copy.wanted is to be freed. */
int  fsr_copy_init(struct FsrEngine *e);

/* fuse.c ------------------------------------------------------------------- */

/* Buffers and plan of fill=fuse. -EINVAL (the network is not one of its kind; the reason in err), or what planning gave. */
int    fsr_fuse_init(struct FsrEngine *e, char *err, size_t err_size);
void   fsr_fuse_free(struct FsrEngine *e);

/* depth.c ------------------------------------------------------------------ */

/* Buffers and plan of the depth task. -EINVAL (the reason in err), -ENOMEM, or what planning gave. */
int  fsr_depth_init(struct FsrEngine *e, char *err, size_t err_size);
void fsr_depth_free(struct FsrEngine *e);
/* Before the key-frame choice: carry what can be carried to the node. 0 or -ENOMEM. */
int  fsr_depth_carry(struct FsrEngine *e, FsrNode *n);
/* Too little could be carried: the network is needed. */
int  fsr_depth_lost(const struct FsrEngine *e);
void fsr_depth_map_unref(struct FsrDepthMap **m);

/* tasks */
extern const FsrTask fsr_task_bicubic, fsr_task_detail, fsr_task_fast, fsr_task_fuse, fsr_task_copy, fsr_task_depth;
int  fsr_sr_key(struct FsrEngine *e, FsrNode *n);

#endif /* FILTERS_TASK_H */
