/*
 * ONNX loading, private: load.c reads the file, the tensors and the order of nodes;
 * load_ops.c and load_shape.c know the operators.
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
    const char      *input;
    int             *state;     /* per ONNX node: not seen, being visited or our index */
    uint32_t        *made_by;   /* hash of the name of each ONNX node's first output */
    uint32_t        *tensors;   /* hash of the name of each initializer */
    int64_t          weights;
    int64_t          opset;
    char            *err;
    size_t           err_size;
} Loader;

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

/* The constant behind a name: an initializer or a Constant, also through Identity nodes. */
const OnnxTensor *fsr_load_find_tensor(const Loader *l, const char *name);

/* Checks a tensor of floats and returns its values in memory of their own. */
int fsr_load_read_tensor(Loader *l, const OnnxTensor *t, float **out);

/* The integers of a tensor (int64 or int32), at most max of them; their number or an error. */
int fsr_load_read_ints(const Loader *l, const OnnxTensor *t, int64_t *out, int max);

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

/* Operators that change the size of planes, load_shape.c. */
int fsr_load_resize(Loader *l, const OnnxNode *o);

#endif /* FASTSR_NN_LOAD_H */
