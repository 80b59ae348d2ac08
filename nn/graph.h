/*
 * What a network is after loading: a list of nodes in an order in which each
 * one only reads earlier ones. Every node makes one value, planes at `scale`
 * times the size of the input picture, or (scale 0) of a size that only a plan knows; the
 * inputs come first. A value of fewer than 4 dimensions has them at the end of batch, planes,
 * height, width. Where such a value or another operator that the strips of run.c
 * do not know is in a network, it is `whole`: whole.c runs it.
 */
#ifndef FASTSR_NN_GRAPH_H
#define FASTSR_NN_GRAPH_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "fastsr/nn.h"

enum {
    FSR_NN_MAX_NODES    = 2048,     /* an ONNX node makes two at most */
    FSR_NN_MAX_TENSORS  = 4096,
    FSR_NN_MAX_CHANNELS = 4096,
    FSR_NN_MAX_KERNEL   = 31,
    FSR_NN_MAX_SCALE    = 8,
    FSR_NN_MAX_INPUTS   = 8,
    FSR_NN_MAX_HALO     = 1024,
    FSR_NN_MAX_SIZE     = 32768,    /* width and height of a picture, and of any value of a whole network */
};
#define FSR_NN_MAX_BYTES   ((size_t)64 << 20)
#define FSR_NN_MAX_WEIGHTS ((int64_t)16 << 20)

typedef enum FsrOp {
    FSR_OP_INPUT,
    FSR_OP_CONV,        /* same-size convolution, bias always present */
    FSR_OP_ADD,         /* two values of one shape, or one of them with a single plane; in whole */
    FSR_OP_SUB,         /* networks any axis of either may be 1 */
    FSR_OP_MUL,
    FSR_OP_PRELU,       /* x < 0 ? x y : x; whole only, as all behind CONCAT */
    FSR_OP_RELU,
    FSR_OP_MAP,         /* each sample by itself: FsrMap */
    FSR_OP_SHUFFLE,     /* DepthToSpace */
    FSR_OP_CONCAT,      /* along planes, in whole networks any axis */
    FSR_OP_DEPTHWISE,   /* convolution of each plane by itself */
    FSR_OP_CONST,       /* weights: [channels][h][w] */
    FSR_OP_MAX_POOL,
    FSR_OP_AVERAGE_POOL,
    FSR_OP_GLOBAL_POOL, /* the mean of a plane */
    FSR_OP_PAD,         /* by pad; less than 0 takes away */
    FSR_OP_SLICE,
    FSR_OP_UNSHUFFLE,   /* SpaceToDepth */
    FSR_OP_TRANSPOSE,   /* width and height */
    FSR_OP_RESHAPE,     /* in the order planes, height, width */
    FSR_OP_GEMM,        /* each row of one plane times [w][size of the row] */
    FSR_OP_RESIZE,      /* FsrResize; a second value, where there is one, is added to the result */
} FsrOp;

/* a, b: weights and bias of the sample's plane; A, B: those of plane 0. */
typedef enum FsrMap {
    FSR_MAP_AFFINE,         /* x a + b */
    FSR_MAP_SLOPE,          /* x < 0 ? x a : x */
    FSR_MAP_CLIP,           /* between A and B */
    FSR_MAP_HARD_SIGMOID,   /* x A + B between 0 and 1 */
    FSR_MAP_SIGMOID,
    FSR_MAP_TANH,
    FSR_MAP_QUANTIZE,       /* nearest even of x / a, + b, between low and top */
} FsrMap;

/* auto_pad: pads that make the result ceil(size / stride), the odd one behind or in front. */
typedef enum FsrSame { FSR_SAME_NO, FSR_SAME_UPPER, FSR_SAME_LOWER } FsrSame;

typedef enum FsrPadMode { FSR_PAD_CONSTANT, FSR_PAD_EDGE, FSR_PAD_REFLECT } FsrPadMode;

/* As the operator Resize of ONNX: what is read for result sample x of an axis. */
typedef struct FsrResize {
    enum { FSR_NEAREST, FSR_LINEAR, FSR_CUBIC } mode;
    enum { FSR_HALF_PIXEL, FSR_PYTORCH_HALF_PIXEL, FSR_ALIGN_CORNERS, FSR_ASYMMETRIC, FSR_TF_HALF_PIXEL } coord;
    enum { FSR_PREFER_FLOOR, FSR_PREFER_CEIL, FSR_FLOOR, FSR_CEIL } round;
    float cubic_a;
    int   exclude_outside;
    float fx, fy;                   /* result size over size; 0: w and h are the result size */
    int   w, h;
} FsrResize;

/* Samples on each side of a picture; or those that a value is needed for beyond a tile, in its own samples. */
typedef struct FsrMargin { int left, right, top, bottom; } FsrMargin;

typedef struct FsrNode {
    FsrOp  op;
    char   name[64];                /* for messages */
    int    rank;                    /* dimensions of the value in the file */
    int    nb_in;
    int    in[FSR_NN_MAX_INPUTS];
    int    channels, scale;
    FsrMargin margin;               /* strips: what the value must hold around a tile */
    int    relu;                    /* conv, add: clamp the result at zero */
    float  top, low;                /* conv of a whole network: at top too; 0: not. quantize */
    FsrMap map;                     /* map; its factors are in weights and bias */
    /* conv, depthwise; strips want pads that keep the size and a stride of 1 */
    int    kw, kh, sx, sy;          /* window, stride */
    FsrMargin pad;
    FsrSame same;                   /* pads follow from the size */
    float *weights;                 /* [channels][input channels; depthwise: 1][kh][kw] */
    float *bias;                    /* [channels] */
    int    dx, dy;                  /* pools: samples between those that are looked at */
    int    ceil, count_pads;        /* pools, as ceil_mode and count_include_pad */
    /* shuffle, unshuffle */
    int    block, block_y;          /* factors of width and height, equal but for shuffles of
                                     * whole networks */
    int    crd;                     /* plane order of DepthToSpace: CRD, else DCR */
    /* const, gemm (kw: size of a row), pad with a given result (ConvTranspose: what is taken away in all is split) */
    int    w, h;
    int    axis;                    /* concat: 1 planes, 2 height, 3 width */
    FsrPadMode pad_mode;
    float  pad_value;
    int64_t range[4][3];            /* slice: first, end, step of each axis */
    int64_t shape[4];               /* reshape (axis < 0): sizes, -1 what is left, FSR_SHAPE_COPY;
                                     * Flatten: axis, the first dimension that becomes width */
    FsrResize resize;
} FsrNode;

/* Memory that is given back all at once: a list of blocks. */
typedef struct FsrMemory {
    struct FsrBlock *last;
    size_t           bytes;         /* of all of them */
} FsrMemory;

typedef struct FsrMeta { char *key, *value; } FsrMeta;

struct FsrNet {
    FsrMemory  memory;              /* of all that follows but for `ranges` */
    FsrNode   *nodes;
    int        nb_nodes, nb_inputs, nb_outputs;
    int        outputs[FSR_NN_MAX_INPUTS];      /* nodes whose values leave */
    char      *output_names[FSR_NN_MAX_INPUTS];
    int        output;              /* the only one, or their concatenation if strips can run it */
    int        whole;               /* cannot be run by strips */
    FsrMeta   *meta;
    size_t     nb_meta;
    FsrNetInfo info;
    struct FsrRange *_Atomic ranges;    /* quant.h: what its values hold; NULL: not measured yet */
};

/* Dimension of a Reshape that is one of the input: FSR_SHAPE_COPY - its number, 0 to 3. */
enum { FSR_SHAPE_COPY = -2 };

/* Samples that a Slice keeps of n, and the first of them; range: first, end, step, counted
 * from the end where negative. */
int fsr_slice_count(const int64_t *range, int n, int *first);

/* Zeros, on a vector. NULL: out of memory. */
void *fsr_alloc(FsrMemory *m, size_t bytes);
void  fsr_free_all(FsrMemory *m);

/* Writes one line into err and returns code. */
int fsr_nn_fail(char *err, size_t err_size, int code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Drops nodes that do not reach the output, and merges each Relu into the convolution or
 * sum and each affine map (batch normalization) into the convolution that makes its input,
 * where nobody else reads that. Of whole networks also each Clip from 0 on, and repeating
 * samples (Resize) waits for operators that work on each sample by itself. */
void fsr_graph_simplify(FsrNet *net);

/* How often each value is read or delivered by what the results need. */
void fsr_graph_uses(const FsrNet *net, int *uses);

/* What its inputs must hold around a tile where node n is made as far as m. */
FsrMargin fsr_margin_of_inputs(const FsrNode *n, FsrMargin m);
void fsr_margin_widen(FsrMargin *m, const FsrMargin *by);

/* Fills net->info and, for strips, the margins of all values. -ENOSYS when one exceeds
 * FSR_NN_MAX_HALO. */
int fsr_graph_describe(FsrNet *net);

static inline int fsr_min(int a, int b)
{
    return a < b ? a : b;
}

static inline int fsr_max(int a, int b)
{
    return a > b ? a : b;
}

static inline int fsr_clamp(int v, int lo, int hi)
{
    return fsr_max(lo, fsr_min(v, hi));
}

static inline int fsr_floor_div(int a, int b)
{
    return a / b - (a % b < 0);
}

static inline int fsr_ceil_div(int a, int b)
{
    return (a + b - 1) / b;
}

/* The operators on two values. */
static inline int fsr_is_binary(FsrOp op)
{
    return op == FSR_OP_ADD || op == FSR_OP_SUB || op == FSR_OP_MUL || op == FSR_OP_PRELU;
}

/* The values that a run delivers: all outputs, or one node that has them all. */
static inline int fsr_nb_results(const FsrNet *net)
{
    return net->whole ? net->nb_outputs : 1;
}

static inline int fsr_result(const FsrNet *net, int i)
{
    return net->whole ? net->outputs[i] : net->output;
}

/* Multiply-accumulates for one sample of each plane of a node's value. */
static inline int64_t fsr_node_macs(const FsrNet *net, const FsrNode *n)
{
    if (n->op == FSR_OP_DEPTHWISE)
        return (int64_t)n->kw * n->kh * n->channels;
    if (n->op == FSR_OP_GEMM)
        return n->kw;
    if (n->op != FSR_OP_CONV)
        return 0;
    return (int64_t)n->kw * n->kh * net->nodes[n->in[0]].channels * n->channels;
}

#endif /* FASTSR_NN_GRAPH_H */
