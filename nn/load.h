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

typedef struct Loader {
    FsrNet          *net;
    const OnnxGraph *graph;
    int             *state;     /* per ONNX node: not seen, being visited or our index */
    uint32_t        *made_by;   /* hash of the name of each ONNX node's first output */
    uint32_t        *tensors;   /* hash of the name of each initializer */
    int64_t          weights;
    int64_t          opset;
    int              folds;     /* steps of load_fold.c so far */
    const char      *inputs[FSR_NN_MAX_INPUTS];
    OnnxTensor     **folded;    /* constants made of others, one slot for each ONNX node */
    char            *err;
    size_t           err_size;
} Loader;

/* TensorProto.DataType */
enum {
    TYPE_FLOAT   = 1,
    TYPE_UINT8   = 2,
    TYPE_INT8    = 3,
    TYPE_INT32   = 6,
    TYPE_INT64   = 7,
    TYPE_FLOAT16 = 10,
};

#define FAIL(l, code, ...) fsr_nn_fail((l)->err, (l)->err_size, code, __VA_ARGS__)

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

const OnnxAttr *fsr_load_find_attr(const OnnxNode *n, const char *name);

/* The constant behind a name: an initializer or a Constant, also through Identity nodes and
 * through a DequantizeLinear, whose result is computed. NULL: there is none. */
const OnnxTensor *fsr_load_find_tensor(Loader *l, const char *name);

/* The same without computing anything. */
const OnnxTensor *fsr_load_find_stored(Loader *l, const char *name);

/* Checks a tensor of floats and returns its values in memory of their own. read_numbers: also
 * of uint8, int8 or int32. */
int fsr_load_read_tensor(Loader *l, const OnnxTensor *t, float **out);
int fsr_load_read_numbers(Loader *l, const OnnxTensor *t, float **out);

/* The integers of a tensor (int64 or int32), at most max of them; their number or an error. */
int fsr_load_read_ints(const Loader *l, const OnnxTensor *t, int64_t *out, int max);

/* The whole numbers behind a name, also where the graph computes them: at most max; their number
 * or an error. what: for the message. */
enum { FSR_LOAD_MAX_INTS = 16 };
int fsr_load_ints(Loader *l, const OnnxNode *o, const char *what, const char *name, int64_t *v, int max);

/* The ONNX node that makes a value, or NULL. */
const OnnxNode *fsr_load_find_producer(const Loader *l, const char *value);

/* Number of values by its dimensions, or a negative error. */
int fsr_load_tensor_count(const Loader *l, const OnnxTensor *t, int64_t *count);

FsrNode *fsr_load_add_node(Loader *l, FsrOp op, const char *name);

/* Index of the node that makes a value; adds it and what it needs first. */
int fsr_load_resolve(Loader *l, const char *value);

/* Adds an ONNX node, after its inputs; its index or a negative error. */
int fsr_load_operator(Loader *l, const OnnxNode *o);

/* What the functions of operators share. known, attrs: names separated by spaces, with one
 * in front and one behind; def: for an attribute that is not there. */
int64_t fsr_load_attr_int(const OnnxNode *n, const char *name, int64_t def);
int     fsr_load_attr_is(const OnnxAttr *a, const char *text);
int     fsr_load_check_attrs(const Loader *l, const OnnxNode *n, const char *known);
int     fsr_load_check_inputs(const Loader *l, const OnnxNode *n, size_t min, size_t max);
/* Checks both and returns the node of the first input, whose planes are known. */
int     fsr_load_one_input(Loader *l, const OnnxNode *o, size_t max_inputs, const char *attrs);
/* The same for operators that count planes and see pictures: the value must have 4 dimensions. */
int     fsr_load_picture(Loader *l, const OnnxNode *o, size_t max_inputs, const char *attrs);
/* A dimension as counted in the file -> in batch, planes, height, width (0 to 3). The batch of
 * 4 dimensions is refused. */
int     fsr_load_axis(const Loader *l, const OnnxNode *o, const FsrNode *value, int64_t axis);
/* Node with one input and as many planes, of a size that the plan knows. */
FsrNode *fsr_load_add_sized(Loader *l, const OnnxNode *o, FsrOp op, int src);
/* Node of a constant. */
int     fsr_load_add_const(Loader *l, const char *name, const OnnxTensor *t);
/* strides, pads and auto_pad of a window of n->kw x n->kh. */
int     fsr_load_window(const Loader *l, const OnnxNode *o, FsrNode *n);
/* A map of node src, with room for one or two factors per plane. */
int     fsr_load_add_map(Loader *l, const OnnxNode *o, int src, FsrMap map);
/* Fills dst for each plane from a tensor with one value or one for each plane: rank 1 if vector
 * is set, else planes at the third dimension from the end. */
int     fsr_load_per_plane(Loader *l, const OnnxNode *o, const char *name, int channels, int vector,
                           float *dst);

/* Operators of load_conv.c, load_quant.c and load_shape.c. */
int fsr_load_conv(Loader *l, const OnnxNode *o);
int fsr_load_resize(Loader *l, const OnnxNode *o);
int fsr_load_pool(Loader *l, const OnnxNode *o);
int fsr_load_global_pool(Loader *l, const OnnxNode *o);
int fsr_load_pad(Loader *l, const OnnxNode *o);
int fsr_load_slice(Loader *l, const OnnxNode *o);
int fsr_load_unshuffle(Loader *l, const OnnxNode *o);
int fsr_load_reshape(Loader *l, const OnnxNode *o);
int fsr_load_gemm(Loader *l, const OnnxNode *o);
int fsr_load_conv_transpose(Loader *l, const OnnxNode *o);
int fsr_load_quantize(Loader *l, const OnnxNode *o);
int fsr_load_dequantize(Loader *l, const OnnxNode *o);

/* The result of a DequantizeLinear of constants, in memory of its own; NULL: not
 * constant, or refused (l->err says why). */
OnnxTensor *fsr_load_fold(Loader *l, const OnnxNode *o);

#endif /* FASTSR_NN_LOAD_H */
