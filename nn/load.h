/*
 * ONNX loading, private: load.c reads the file, the tensors and the order of nodes;
 * load_ops.c knows the operators.
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

/* Number of values by its dimensions, or a negative error. */
int fsr_load_tensor_count(const Loader *l, const OnnxTensor *t, int64_t *count);

FsrNode *fsr_load_add_node(Loader *l, FsrOp op, const char *name);

/* Index of the node that makes a value; adds it and what it needs first. */
int fsr_load_resolve(Loader *l, const char *value);

/* Adds an ONNX node, after its inputs; its index or a negative error. */
int fsr_load_operator(Loader *l, const OnnxNode *o);

#endif /* FASTSR_NN_LOAD_H */
