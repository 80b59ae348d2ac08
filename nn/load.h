/*
 * ONNX loading, private: load.c reads the file, the tensors and the order of nodes;
 * load_fold.c computes what the graph computes from constants; load_ops.c has the table of
 * operators and the small ones, load_conv.c, load_shape.c and load_quant.c the others.
 */
#ifndef FASTSR_NN_LOAD_H
#define FASTSR_NN_LOAD_H

#include "nn/graph.h"

#include "build/gen/onnx.pb-c.h"

typedef FsrOnnx__Node      OnnxNode;
typedef FsrOnnx__Attribute OnnxAttr;
typedef FsrOnnx__Tensor    OnnxTensor;
typedef FsrOnnx__Graph     OnnxGraph;

typedef struct LoadNode {
    uint32_t    makes;          /* hash of the name of its first output */
    int         state;          /* not seen, being visited or our index */
    OnnxTensor *folded;         /* constant made of others, or NULL */
} LoadNode;

typedef struct Loader {
    FsrNet          *net;
    const OnnxGraph *graph;
    LoadNode        *nodes;     /* what is known of each ONNX node */
    uint32_t        *tensors;   /* hash of the name of each initializer */
    int64_t          weights;
    int64_t          opset;
    int              folds;     /* steps of load_fold.c so far */
    FsrMemory        temp;      /* what only loading needs */
    const char      *inputs[FSR_NN_MAX_INPUTS];
    char            *err;
    size_t           err_size;
} Loader;

/* TensorProto.DataType */
enum { TYPE_FLOAT = 1, TYPE_UINT8 = 2, TYPE_INT8 = 3, TYPE_INT32 = 6, TYPE_INT64 = 7, TYPE_FLOAT16 = 10 };

#define FAIL(l, code, ...) fsr_nn_fail((l)->err, (l)->err_size, code, __VA_ARGS__)

/* The same for one ONNX node: in front of the reason stand its operator and its name. -ENOMEM needs no
 * message: fsr_nn_load writes it. */
#define REFUSE(l, o, code, ...) fsr_load_refuse(l, o, code, __VA_ARGS__)

/* protobuf-c leaves absent strings NULL */
static inline const char *str(const char *s)
{
    return s ? s : "";
}

/* Many exporters leave node names empty: the name of the result identifies a node too. */
static inline const char *label(const OnnxNode *n)
{
    if (n->name && *n->name)
        return n->name;
    return n->n_output ? str(n->output[0]) : "?";
}

static inline int fsr_load_has_input(const OnnxNode *n, size_t i)
{
    return n->n_input > i && *str(n->input[i]);
}

const OnnxAttr *fsr_load_find_attr(const OnnxNode *n, const char *name);

/* The constant behind a name: an initializer or a Constant, also through Identity nodes. COMPUTED: also
 * through a DequantizeLinear. NULL: there is none. */
typedef enum FsrLoadFrom { FSR_LOAD_STORED, FSR_LOAD_COMPUTED } FsrLoadFrom;
const OnnxTensor *fsr_load_find_tensor(Loader *l, const char *name, FsrLoadFrom from);

/* Checks a tensor of floats and sets out to its values, in `memory`; their number or an error.
 * NUMBERS: also of uint8, int8 or int32. */
typedef enum FsrLoadTypes { FSR_LOAD_FLOATS, FSR_LOAD_NUMBERS, FSR_LOAD_INTS } FsrLoadTypes;
int fsr_load_read_tensor(Loader *l, FsrMemory *memory, const OnnxTensor *t, FsrLoadTypes types, float **out);

/* The integers of a tensor (int64 or int32), at most max of them; their number or an error. */
int fsr_load_read_ints(Loader *l, const OnnxTensor *t, int64_t *out, int max);

/* The whole numbers of an attribute, or (from an opset on) of input i, also where the graph computes
 * them: at most max; their number, 0 where there are none, or an error. */
enum { FSR_LOAD_MAX_INTS = 16, FSR_LOAD_NO_INPUT = INT32_MAX };
int fsr_load_ints(Loader *l, const OnnxNode *o, const char *attr, size_t i, int64_t *v, int max);

/* Number of the ONNX node whose first output has this name, or -1; second outputs nobody here makes. */
int fsr_load_find_producer(const Loader *l, const char *value);

/* Number of values by its dimensions, or a negative error. */
int fsr_load_tensor_count(const Loader *l, const OnnxTensor *t, int64_t *count);

FsrNode *fsr_load_add_node(Loader *l, FsrOp op, const char *name);

/* Index of the node that makes a value; adds it and what it needs first. */
int fsr_load_resolve(Loader *l, const char *value);

/* Adds an ONNX node, after its inputs; its index or a negative error. */
int fsr_load_operator(Loader *l, const OnnxNode *o);

/* What the functions of operators share. def: for an attribute that is not there. */
int64_t fsr_load_attr_int(const OnnxNode *n, const char *name, int64_t def);
float   fsr_load_attr_float(const OnnxNode *n, const char *name, float def);
/* Position of the attribute's text in a list that ends with NULL; the first where there is
 * no attribute. */
int     fsr_load_choice(const Loader *l, const OnnxNode *o, const char *name, const char *const *list);
int     fsr_load_refuse(const Loader *l, const OnnxNode *o, int code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* A dimension as counted in the file -> in batch, planes, height, width (0 to 3). The batch of
 * 4 dimensions is refused. */
int     fsr_load_axis(const Loader *l, const OnnxNode *o, const FsrNode *value, int64_t axis);
/* Node with one input and as many planes, of the same size; an operator that is in whole networks only (behind
 * FSR_OP_CONCAT): of a size that the plan knows. */
FsrNode *fsr_load_derive(Loader *l, const OnnxNode *o, FsrOp op, int src);
/* Node of a constant; its index or an error. */
int     fsr_load_add_const(Loader *l, const char *name, const OnnxTensor *t);
/* kernel_shape, strides, dilations, pads and auto_pad of a window; where weights say its size, it is
 * in n->kw and n->kh already. */
int     fsr_load_window(Loader *l, const OnnxNode *o, FsrNode *n);
/* A map of node src, with room for one or two factors per plane. NULL: out of memory. */
FsrNode *fsr_load_add_map(Loader *l, const OnnxNode *o, int src, FsrMap map);
/* Fills dst for each plane from input i, a tensor with one value or one for each plane: rank 1 if vector
 * is set, else planes at the third dimension from the end. */
int     fsr_load_per_plane(Loader *l, const OnnxNode *o, size_t i, int channels, int vector, float *dst);
/* A value that is an attribute, an input or absent. */
int     fsr_load_scalar(Loader *l, const OnnxNode *o, const char *attr, size_t i, float def, float *dst);

/* An operator -> nodes, the last of which has the result. src: node of the first input. */
typedef int FsrLoadOp(Loader *l, const OnnxNode *o, int src);

/* Those of load_conv.c, load_quant.c and load_shape.c, for the table in load_ops.c. */
FsrLoadOp fsr_load_conv, fsr_load_conv_transpose, fsr_load_quantize, fsr_load_dequantize;
FsrLoadOp fsr_load_resize, fsr_load_pool, fsr_load_pad, fsr_load_slice, fsr_load_unshuffle;
FsrLoadOp fsr_load_flatten, fsr_load_reshape, fsr_load_gemm;

/* The result of a DequantizeLinear of constants; NULL: not constant, or refused (l->err says why). */
OnnxTensor *fsr_load_fold(Loader *l, const OnnxNode *o);

#endif /* FASTSR_NN_LOAD_H */
