/*
 * What a network is after loading: a list of nodes in an order in which each
 * one only reads earlier ones. Every node makes one value, planes at `scale`
 * times the size of the input picture, or (scale 0) of a size that only a plan knows;
 * node 0 is the input. Where such a value or another operator that the strips of run.c
 * do not know is in a network, it is `whole`: whole.c runs it.
 */
#ifndef FASTSR_NN_GRAPH_H
#define FASTSR_NN_GRAPH_H

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
    FSR_OP_ADD,         /* two values of one shape, or one of them with a single plane */
    FSR_OP_SUB,
    FSR_OP_MUL,
    FSR_OP_RELU,
    FSR_OP_MAP,         /* each sample by itself: FsrMap */
    FSR_OP_SHUFFLE,     /* DepthToSpace */
    FSR_OP_CONCAT,      /* along planes */
    FSR_OP_DEPTHWISE,   /* convolution of each plane by itself */
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
} FsrMap;

/* auto_pad: pads that make the result ceil(size / stride), the odd one behind or in front. */
typedef enum FsrSame {
    FSR_SAME_NO,
    FSR_SAME_UPPER,
    FSR_SAME_LOWER,
} FsrSame;

/* As the operator Resize of ONNX: what is read for result sample x of an axis. */
typedef struct FsrResize {
    enum { FSR_NEAREST, FSR_LINEAR, FSR_CUBIC } mode;
    enum { FSR_HALF_PIXEL, FSR_PYTORCH_HALF_PIXEL, FSR_ALIGN_CORNERS, FSR_ASYMMETRIC,
           FSR_TF_HALF_PIXEL } coord;
    enum { FSR_PREFER_FLOOR, FSR_PREFER_CEIL, FSR_FLOOR, FSR_CEIL } round;
    float cubic_a;
    int   exclude_outside;
    float fx, fy;                   /* result size over size; 0: w and h are the result size */
    int   w, h;
} FsrResize;

/* Samples that a value is needed for beyond a tile, on each side, in its own samples. */
typedef struct FsrMargin {
    int left, right, top, bottom;
} FsrMargin;

typedef struct FsrNode {
    FsrOp  op;
    char   name[64];                /* for messages */
    int    nb_in;
    int    in[FSR_NN_MAX_INPUTS];
    int    channels;
    int    scale;
    int    relu;                    /* conv, add: clamp the result at zero */
    float  top;                     /* conv of a whole network: and at this; 0: not */
    FsrMap map;                     /* map; its factors are in weights and bias */
    /* conv, depthwise; strips want pads that keep the size and a stride of 1 */
    int    kw, kh, pad_left, pad_top, pad_right, pad_bottom;
    int    sx, sy;                  /* stride */
    FsrSame same;                   /* pads follow from the size */
    float *weights;                 /* [channels][input channels; depthwise: 1][kh][kw] */
    float *bias;                    /* [channels] */
    /* shuffle */
    int    block;
    int    crd;                     /* plane order of DepthToSpace: CRD, else DCR */
    FsrResize resize;
} FsrNode;

typedef struct FsrMeta {
    char *key, *value;
} FsrMeta;

struct FsrNet {
    FsrNode   *nodes;
    int        nb_nodes;
    int        output;              /* index of the node whose value leaves */
    int        whole;               /* cannot be run by strips */
    FsrMeta   *meta;
    size_t     nb_meta;
    FsrNetInfo info;
};

/* Writes one line into err and returns code. */
int fsr_nn_fail(char *err, size_t err_size, int code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Fills margins[nb_nodes]: what each value must hold around a tile so that the
 * output tile can be made from values without padding. -ENOSYS when it exceeds
 * FSR_NN_MAX_HALO. */
int fsr_graph_margins(const FsrNet *net, FsrMargin *margins);

/* Drops nodes that do not reach the output, and merges each Relu into the convolution or
 * sum and each affine map (batch normalization) into the convolution that makes its input,
 * where nobody else reads that. Of whole networks also each Clip from 0 on, and repeating
 * samples (Resize) waits for operators that work on each sample by itself. */
void fsr_graph_simplify(FsrNet *net);

/* Fills net->info. Error as fsr_graph_margins, or -ENOMEM. */
int fsr_graph_describe(FsrNet *net);

/* Multiply-accumulates for one sample of each plane of a node's value. */
static inline int64_t fsr_node_macs(const FsrNet *net, const FsrNode *n)
{
    if (n->op == FSR_OP_DEPTHWISE)
        return (int64_t)n->kw * n->kh * n->channels;
    if (n->op != FSR_OP_CONV)
        return 0;
    return (int64_t)n->kw * n->kh * net->nodes[n->in[0]].channels * n->channels;
}

#endif /* FASTSR_NN_GRAPH_H */
