/*
 * A network laid out for one picture size.
 *
 * A job is a strip of the picture, run tile by tile from left to right. Each value
 * of a tile lives in a ring of rows that is just long enough for the rows that its
 * readers still need; rows are made on demand, from the output back to the input,
 * so that all rings together stay in the second-level cache. The last samples of
 * each row, which the next tile reads too, are kept aside: nothing is computed
 * twice except between strips.
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
    FsrMargin            margin;
    FsrStore             store;
    int                  from_floats;   /* made as a row of floats, then converted to integers */
    int                  subs;          /* rows of words that a row is made of; float: one */
    int                  sub_pitch;     /* words from one to the next */
    int                  step;          /* words from one sample to the next in them */
    int                  first_plane;   /* number of planes of all values before */
    FsrQuant            *quant;         /* quant.h; NULL: all in float */
    int                  bf16;          /* planes are bfloat16, two in a word; else float */
    int                  stride;        /* words from one sample to the next, of float rows */
    int                  ring_rows;
    size_t               pitch;         /* floats from one row of the ring to the next */
    size_t               offset;        /* of the ring in a worker's memory, floats */
    int                  history;       /* samples of a row that the next tile reads too */
    size_t               side;          /* where those of each row of a strip are kept */
    FsrConvShape         shape;
    const FsrConvKernel *kernel;
    float               *packed;
} FsrPlanNode;

typedef struct FsrWorker {
    float *memory;
    int   *made;                        /* rows of each value made so far in this tile */
} FsrWorker;

struct FsrPlan {
    const FsrNet *net;
    FsrPrecision  precision;            /* what was planned */
    int           width, height;
    int           tile_w, tile_h;       /* width of a tile, height of a strip, input samples */
    int           cols, rows;
    FsrPlanNode  *nodes;
    int           nb_workers;
    FsrWorker    *workers;
    size_t        scratch;              /* offset of the scratch in a worker's memory */
    size_t        planar;               /* offset of one row of one plane, for get and put */
    size_t        floats;               /* offset of one row of floats, before they become integers */
    struct FsrRange *ranges;            /* quant.h: [planes of all values], to be widened by runs; or NULL */
    size_t        worker_floats;
    size_t        bytes;
    struct FsrWhole *whole;             /* whole.h; NULL: strips */
    uint64_t     *node_ns;              /* time spent in each node, one worker; NULL: not wanted */
};

/* What fsr_nn_plan does, with the choices that it makes left to the caller.
 * tile_w, tile_h: 0 = choose. The height of strips may follow the number of workers,
 * since it never changes a sample; the width must not (OpenBLAS). */
int fsr_nn_plan_with(FsrPlan **plan, const FsrNet *net, int width, int height, int nb_workers,
                     FsrPrecision precision, FsrIsa isa, int tile_w, int tile_h,
                     char *err, size_t err_size);

/* Size of the planes of node i's value, and the name of its kernel ("" where it has none). */
void        fsr_plan_size(const FsrPlan *p, int i, int *w, int *h);
const char *fsr_plan_kernel(const FsrPlan *p, int i);

/* A plan with its arguments checked and nothing planned. */
int fsr_plan_new(FsrPlan **plan, const FsrNet *net, int width, int height, int nb_workers,
                 char *err, size_t err_size);

/* Memory that lives as long as the plan or its values do, counted in bytes: zeros, on a vector, and one
 * vector longer than asked for. NULL: out of memory. */
void *fsr_plan_alloc(FsrPlan *p, size_t bytes);

/* This thread's processor time, nanoseconds. */
uint64_t fsr_plan_clock(void);

static inline int fsr_min(int a, int b)
{
    return a < b ? a : b;
}

static inline int fsr_max(int a, int b)
{
    return a > b ? a : b;
}

static inline int fsr_ceil_div(int a, int b)
{
    return (a + b - 1) / b;
}

/* What a sample of a value's row and a weight of a node take, in bytes. */
double fsr_plan_sample_bytes(const FsrPlan *p, int i);
double fsr_plan_weight_bytes(const FsrPlan *p, int i);

/* The rows [first, last] of its input j that row r of node i is made from. */
typedef struct FsrSpan {
    int first, last;
} FsrSpan;
FsrSpan fsr_plan_span(const FsrPlan *p, int i, int j, int r);

#endif /* FASTSR_NN_PLAN_H */
