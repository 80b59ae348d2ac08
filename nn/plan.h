/*
 * A network laid out for one picture size.
 *
 * A job is a strip of the picture, run tile by tile from left to right. Each value
 * of a tile lives in a ring of rows that is just long enough for the rows that its
 * readers still need; rows are made on demand, from the output back to the input,
 * so that all rings together stay in the cache. The last samples of each row, which
 * the next tile reads too, are kept aside: nothing is computed twice except between strips.
 */
#ifndef FASTSR_NN_PLAN_H
#define FASTSR_NN_PLAN_H

#include "nn/graph.h"
#include "nn/kernels.h"

typedef struct FsrQuant FsrQuant;

/* How a value is kept in its ring. */
typedef enum FsrStore {
    FSR_STORE_FLOAT,        /* or bfloat16; samples one after the other, planes in each */
    FSR_STORE_BYTES,        /* four planes in a word: a row of words for each four (kernels/i8.h) */
    FSR_STORE_WIDE,         /* a word for each sample: a row of words for each plane */
} FsrStore;

typedef struct FsrPlanNode {
    FsrStore             store;
    int                  from_floats;   /* made as a row of floats, then converted to integers */
    int                  subs;          /* rows of words that a row is made of; float: one */
    int                  sub_pitch;     /* words from one to the next */
    int                  step;          /* words from one sample to the next in them */
    int                  i8_pitch;      /* what kernels/i8.h calls the pitch */
    FsrQuant            *quant;         /* quant.h; NULL: all in float */
    int                  bf16;          /* planes are bfloat16, two in a word; else float */
    int                  stride;        /* words from one sample to the next, of float rows */
    int                  history;       /* samples of a row that the next tile reads too */
    size_t               side;          /* where those of each row of a strip are kept */
    /* strips and whole networks */
    int                  first_plane;   /* number of planes of all values before */
    int                  ring_rows;
    uint64_t             ring_inverse;  /* of strips: 2^32 / ring_rows, rounded up, since division is slow */
    size_t               pitch;         /* floats from one row of the ring to the next */
    size_t               offset;        /* of the ring in a worker's memory, floats */
    FsrConvShape         shape;         /* whole: sx samples of the input make one of the kernel's */
    const FsrConvKernel *kernel;
    float               *packed;
} FsrPlanNode;

/* Samples [x, x + width) of a row. */
typedef struct FsrSamples { int x, width; } FsrSamples;

/* What of a row is made where tiles are wanted, from left to right: the same for all rows that agree in `of`. */
enum { FSR_PART_LISTS = 8 };
typedef struct FsrParts {
    struct FsrPartsOf {
        int       scale;                /* of the value; 0: no such rows */
        int       begin, end;           /* of the tile; 0 where nothing is cut there */
        int       blocks;               /* number of the value, where a kernel makes samples in blocks; else 0 */
        FsrMargin near, seen;           /* around wanted tiles: what is made, and, with a limited halo, what is read */
        int       first[2], last[2];    /* rows of tiles to which those reach */
    } of;
    int nb;
    struct FsrPart {
        FsrSamples s;
        int        zero;                /* no wanted tile is near */
    } *part;                            /* as many as there can be, if each sample were a tile */
} FsrParts;

typedef struct FsrWorker {
    float    *memory;
    int      *made;                     /* rows of each value made so far, in this tile */
    struct FsrReach {
        FsrMargin near, seen;
        FsrParts *parts;                /* of its last row */
    } *reach;                           /* of each value */
    FsrParts *lists;                    /* [FSR_PART_LISTS] */
    int       next;                     /* the list that was begun last */
} FsrWorker;

struct FsrPlan {
    const FsrNet *net;
    FsrPrecision  precision;            /* what was planned */
    FsrIsa        isa;
    int           width, height;
    int           tile_w, tile_h;       /* width of a tile, height of a strip, input samples */
    int           cols, rows;
    FsrPlanNode  *nodes;
    int           planes;               /* of all values */
    int           nb_workers;
    FsrWorker    *workers;
    size_t        scratch_floats;       /* of the scratch: what the largest kernel needs */
    size_t        scratch;              /* its offset in a worker's memory */
    size_t        planar;               /* offset of one row of all planes of an input, for get and put */
    size_t        floats;               /* offset of one row of floats, before they become integers */
    struct FsrRange *ranges;            /* quant.h: [planes], to be widened by runs; or NULL */
    size_t        worker_floats;
    FsrMemory     memory;               /* of all that the plan holds */
    FsrMemory     temp;                 /* what only planning needs */
    struct FsrWhole *whole;             /* whole.h; NULL: strips */
    uint64_t     *node_ns;              /* time spent in each node, one worker; NULL: not wanted */
};

/* What fsr_nn_plan does, with the choices that it makes left to the caller.
 * tile_w, tile_h: 0 = choose; tile_w FSR_TILE_WHOLE: as fsr_nn_plan_whole. The height of strips may
 * follow the number of workers, since it never changes a sample; the width must not (OpenBLAS). */
enum { FSR_TILE_WHOLE = -1 };
int fsr_nn_plan_with(FsrPlan **plan, const FsrNet *net, int width, int height, int nb_workers, FsrPrecision precision,
                     FsrIsa isa, int tile_w, int tile_h, char *err, size_t err_size);

/* Size of the planes of node i's value. */
void fsr_plan_size(const FsrPlan *p, int i, int *w, int *h);

/* Memory of the plan for values and weights: one vector longer than asked for, since kernels read whole ones. */
void *fsr_plan_alloc(FsrPlan *p, size_t bytes);

/* Picks the kernel for pn->shape of node i and packs its weights. -ENOMEM. */
int fsr_plan_pack(FsrPlan *p, int i, const float *weights, const float *bias);

static inline size_t fsr_align16(size_t floats)
{
    return (floats + 15) & ~(size_t)15;
}

static inline void fsr_at_least(size_t *a, size_t b)
{
    if (*a < b)
        *a = b;
}

/* The rows [first, last] of its input j that row r of node i is made from; in whole networks also such
 * that lie outside of it. */
typedef struct FsrSpan { int first, last; } FsrSpan;
FsrSpan fsr_plan_span(const FsrPlan *p, int i, int j, int r);

/* Makes rows until row r of node i is there. make gets rows first to last (of a band; in strips one), after
 * what they are made from. made: of a worker. */
typedef void FsrMake(void *opaque, int i, int first, int last);
void fsr_plan_demand(const FsrPlan *p, int *made, int i, int r, void *opaque, FsrMake *make);

/* A `make` without data, for the order in which rows are made: the longest time that a row is waited for
 * gives the length of each ring. opaque: the plan; made: its first worker's. */
FsrMake fsr_plan_rehearse;

#endif /* FASTSR_NN_PLAN_H */
