/*
 * What a network is after loading: a list of nodes in an order in which each
 * one only reads earlier ones. Every node makes one value, planes at `scale`
 * times the size of the input picture; node 0 is the input.
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
    FsrMap map;                     /* map; its factors are in weights and bias */
    /* conv */
    int    kw, kh, pad_left, pad_top;
    float *weights;                 /* [channels][input channels][kh][kw] */
    float *bias;                    /* [channels] */
    /* shuffle */
    int    block;
    int    crd;                     /* plane order of DepthToSpace: CRD, else DCR */
} FsrNode;

typedef struct FsrMeta {
    char *key, *value;
} FsrMeta;

struct FsrNet {
    FsrNode   *nodes;
    int        nb_nodes;
    int        output;              /* index of the node whose value leaves */
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
 * where nobody else reads that. */
void fsr_graph_simplify(FsrNet *net);

/* Fills net->info. Error as fsr_graph_margins, or -ENOMEM. */
int fsr_graph_describe(FsrNet *net);

/* Multiply-accumulates for one sample of each plane of a node's value. */
static inline int64_t fsr_node_macs(const FsrNet *net, const FsrNode *n)
{
    if (n->op != FSR_OP_CONV)
        return 0;
    return (int64_t)n->kw * n->kh * net->nodes[n->in[0]].channels * n->channels;
}

#endif /* FASTSR_NN_GRAPH_H */
