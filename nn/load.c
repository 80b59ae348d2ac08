/*
 * ONNX file -> FsrNet. Only nodes that the output needs are looked at; they are
 * visited from the output back to the input, which sorts them and finds cycles.
 */
#include "nn/graph.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "build/gen/onnx.pb-c.h"

typedef FsrOnnx__Node      OnnxNode;
typedef FsrOnnx__Attribute OnnxAttr;
typedef FsrOnnx__Tensor    OnnxTensor;
typedef FsrOnnx__Graph     OnnxGraph;

enum { UNSEEN = -1, VISITING = -2 };

typedef struct Loader {
    FsrNet          *net;
    const OnnxGraph *graph;
    const char      *input;
    int             *state;     /* per ONNX node: UNSEEN, VISITING or our index */
    int64_t          weights;
    char            *err;
    size_t           err_size;
} Loader;

#define FAIL(l, code, ...) fsr_nn_fail((l)->err, (l)->err_size, code, __VA_ARGS__)

static const char *str(const char *s)
{
    return s ? s : "";
}

/* Many exporters leave node names empty: the name of the result identifies a node too. */
static const char *label(const OnnxNode *n)
{
    if (n->name && *n->name)
        return n->name;
    return n->n_output ? str(n->output[0]) : "?";
}

static int find_producer(const Loader *l, const char *value)
{
    for (size_t i = 0; i < l->graph->n_node; i++)
        for (size_t j = 0; j < l->graph->node[i]->n_output; j++)
            if (!strcmp(str(l->graph->node[i]->output[j]), value))
                return (int)i;
    return -1;
}

static const OnnxAttr *find_attr(const OnnxNode *n, const char *name)
{
    for (size_t i = 0; i < n->n_attribute; i++)
        if (!strcmp(str(n->attribute[i]->name), name))
            return n->attribute[i];
    return NULL;
}

static int64_t attr_int(const OnnxNode *n, const char *name, int64_t def)
{
    const OnnxAttr *a = find_attr(n, name);
    return a ? a->i : def;
}

static int attr_is(const OnnxAttr *a, const char *text)
{
    return a->s.len == strlen(text) && !memcmp(a->s.data, text, a->s.len);
}

/* known: names separated by spaces, with one in front and one behind. */
static int check_attrs(const Loader *l, const OnnxNode *n, const char *known)
{
    for (size_t i = 0; i < n->n_attribute; i++) {
        const char *name = str(n->attribute[i]->name);
        char key[40];

        if (snprintf(key, sizeof(key), " %s ", name) >= (int)sizeof(key) || !strstr(known, key))
            return FAIL(l, -ENOSYS, "%s '%.80s': attribute '%.40s' is not supported",
                        n->op_type, label(n), name);
    }
    return 0;
}

static int check_inputs(const Loader *l, const OnnxNode *n, size_t min, size_t max)
{
    if (n->n_input < min || n->n_input > max)
        return FAIL(l, -EINVAL, "%s '%.80s': has %zu inputs, must have %zu to %zu",
                    n->op_type, label(n), n->n_input, min, max);
    return 0;
}

/* The constant behind a name: an initializer or a Constant, also through Identity nodes. */
static const OnnxTensor *find_tensor(const Loader *l, const char *name)
{
    for (size_t hop = 0; hop <= l->graph->n_node; hop++) {
        const OnnxNode *n;
        int i;

        for (size_t j = 0; j < l->graph->n_initializer; j++)
            if (!strcmp(str(l->graph->initializer[j]->name), name))
                return l->graph->initializer[j];
        if ((i = find_producer(l, name)) < 0)
            return NULL;
        n = l->graph->node[i];
        if (!strcmp(str(n->op_type), "Constant")) {
            const OnnxAttr *a = find_attr(n, "value");
            return a ? a->t : NULL;
        }
        if (strcmp(str(n->op_type), "Identity") || n->n_input != 1)
            return NULL;
        name = str(n->input[0]);
    }
    return NULL;
}

static int tensor_count(const Loader *l, const OnnxTensor *t, int64_t *count)
{
    *count = 1;
    for (size_t i = 0; i < t->n_dims; i++) {
        if (t->dims[i] < 0)
            return FAIL(l, -EINVAL, "tensor '%.80s': negative dimension", str(t->name));
        if (t->dims[i] > FSR_NN_MAX_WEIGHTS || *count * t->dims[i] > FSR_NN_MAX_WEIGHTS)
            return FAIL(l, -E2BIG, "tensor '%.80s': more than %lld values", str(t->name),
                        (long long)FSR_NN_MAX_WEIGHTS);
        *count *= t->dims[i];
    }
    return 0;
}

static int check_tensor(Loader *l, const OnnxTensor *t, int64_t count)
{
    int64_t have = t->has_raw_data ? (int64_t)(t->raw_data.len / 4) : (int64_t)t->n_float_data;

    if (t->n_external_data || t->data_location == 1)
        return FAIL(l, -ENOSYS, "tensor '%.80s': weights in a separate file are not supported; "
                    "save the model as one file", str(t->name));
    if (t->data_type != 1)
        return FAIL(l, -ENOSYS, "tensor '%.80s': element type %d is not supported, only float32",
                    str(t->name), t->data_type);
    if (have != count || (t->has_raw_data && t->raw_data.len % 4))
        return FAIL(l, -EINVAL, "tensor '%.80s': %lld values are there, its shape needs %lld "
                    "(truncated or damaged file)", str(t->name), (long long)have, (long long)count);
    if ((l->weights += count) > FSR_NN_MAX_WEIGHTS)
        return FAIL(l, -E2BIG, "more than %lld weights in all", (long long)FSR_NN_MAX_WEIGHTS);
    return 0;
}

/* raw_data is little endian whatever the machine */
static float raw_float(const uint8_t *p)
{
    uint32_t u = p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    float    f;

    memcpy(&f, &u, sizeof(f));
    return f;
}

static int read_tensor(Loader *l, const OnnxTensor *t, float **out)
{
    int64_t count;
    int     ret;

    if ((ret = tensor_count(l, t, &count)) < 0 || (ret = check_tensor(l, t, count)) < 0)
        return ret;
    if (!(*out = malloc(count ? count * sizeof(**out) : 1)))
        return FAIL(l, -ENOMEM, "out of memory");
    for (int64_t i = 0; i < count; i++) {
        (*out)[i] = t->has_raw_data ? raw_float(t->raw_data.data + 4 * i) : t->float_data[i];
        if (!isfinite((*out)[i]))
            return FAIL(l, -EINVAL, "tensor '%.80s': value %lld is not a finite number",
                        str(t->name), (long long)i);
    }
    return 0;
}

static FsrNode *add_node(Loader *l, FsrOp op, const char *name)
{
    FsrNode *n = &l->net->nodes[l->net->nb_nodes++];

    memset(n, 0, sizeof(*n));
    n->op = op;
    snprintf(n->name, sizeof(n->name), "%s", name);
    return n;
}

static int resolve(Loader *l, const char *value);

static int conv_pads(const Loader *l, const OnnxNode *o, FsrNode *n)
{
    const OnnxAttr *autop = find_attr(o, "auto_pad"), *pads = find_attr(o, "pads");
    int64_t p[4] = { 0 };                       /* top, left, bottom, right */

    if (autop && attr_is(autop, "SAME_UPPER")) {
        p[0] = (n->kh - 1) / 2;
        p[1] = (n->kw - 1) / 2;
    } else if (autop && attr_is(autop, "SAME_LOWER")) {
        p[0] = n->kh / 2;
        p[1] = n->kw / 2;
    } else if (autop && !attr_is(autop, "NOTSET") && !attr_is(autop, "VALID")) {
        return FAIL(l, -EINVAL, "Conv '%.80s': unknown auto_pad", label(o));
    }
    if (autop && (attr_is(autop, "SAME_UPPER") || attr_is(autop, "SAME_LOWER"))) {
        p[2] = n->kh - 1 - p[0];
        p[3] = n->kw - 1 - p[1];
    } else if (pads && !(autop && attr_is(autop, "VALID"))) {
        if (pads->n_ints != 4)
            return FAIL(l, -EINVAL, "Conv '%.80s': pads must be 4 numbers", label(o));
        memcpy(p, pads->ints, sizeof(p));
    }
    for (int i = 0; i < 4; i++)
        if (p[i] < 0 || p[i] > FSR_NN_MAX_KERNEL)
            return FAIL(l, -EINVAL, "Conv '%.80s': pad out of range", label(o));
    if (p[0] + p[2] != n->kh - 1 || p[1] + p[3] != n->kw - 1)
        return FAIL(l, -ENOSYS, "Conv '%.80s': kernel %dx%d with pads %d %d %d %d changes the "
                    "picture's size; only size-keeping convolutions are supported", label(o),
                    n->kw, n->kh, (int)p[0], (int)p[1], (int)p[2], (int)p[3]);
    n->pad_top  = (int)p[0];
    n->pad_left = (int)p[1];
    return 0;
}

static int all_ones(const OnnxAttr *a)
{
    for (size_t i = 0; a && i < a->n_ints; i++)
        if (a->ints[i] != 1)
            return 0;
    return 1;
}

static int conv_attrs(const Loader *l, const OnnxNode *o, FsrNode *n)
{
    const OnnxAttr *k = find_attr(o, "kernel_shape");
    int ret = check_attrs(l, o, " auto_pad dilations group kernel_shape pads strides ");

    if (ret < 0)
        return ret;
    if (!all_ones(find_attr(o, "strides")))
        return FAIL(l, -ENOSYS, "Conv '%.80s': strides other than 1 are not supported", label(o));
    if (!all_ones(find_attr(o, "dilations")))
        return FAIL(l, -ENOSYS, "Conv '%.80s': dilations other than 1 are not supported", label(o));
    if (attr_int(o, "group", 1) != 1)
        return FAIL(l, -ENOSYS, "Conv '%.80s': groups are not supported", label(o));
    if (k && (k->n_ints != 2 || k->ints[0] != n->kh || k->ints[1] != n->kw))
        return FAIL(l, -EINVAL, "Conv '%.80s': kernel_shape differs from its weights", label(o));
    return conv_pads(l, o, n);
}

static int conv_bias(Loader *l, const OnnxNode *o, FsrNode *n)
{
    const OnnxTensor *b;

    if (o->n_input < 3 || !*str(o->input[2])) {
        n->bias = calloc(n->channels, sizeof(*n->bias));
        return n->bias ? 0 : FAIL(l, -ENOMEM, "out of memory");
    }
    if (!(b = find_tensor(l, str(o->input[2]))))
        return FAIL(l, -EINVAL, "Conv '%.80s': bias '%.80s' is missing", label(o), o->input[2]);
    if (b->n_dims != 1 || b->dims[0] != n->channels)
        return FAIL(l, -EINVAL, "Conv '%.80s': bias must have %d values", label(o), n->channels);
    return read_tensor(l, b, &n->bias);
}

static int add_conv(Loader *l, const OnnxNode *o)
{
    const OnnxTensor *w;
    FsrNode *n, *in;
    int src, ret;

    if ((ret = check_inputs(l, o, 2, 3)) < 0 || (src = ret = resolve(l, str(o->input[0]))) < 0)
        return ret;
    if (!(w = find_tensor(l, str(o->input[1]))))
        return FAIL(l, -EINVAL, "Conv '%.80s': weights '%.80s' are missing", label(o),
                    str(o->input[1]));
    if (w->n_dims != 4)
        return FAIL(l, -ENOSYS, "Conv '%.80s': weights have %zu dimensions, only 2-D "
                    "convolutions (4) are supported", label(o), w->n_dims);
    for (int i = 0; i < 4; i++)
        if (w->dims[i] < 1 || w->dims[i] > (i < 2 ? FSR_NN_MAX_CHANNELS : FSR_NN_MAX_KERNEL))
            return FAIL(l, -E2BIG, "Conv '%.80s': dimension %d of its weights is %lld, outside "
                        "1 to %d", label(o), i, (long long)w->dims[i],
                        i < 2 ? FSR_NN_MAX_CHANNELS : FSR_NN_MAX_KERNEL);
    in = &l->net->nodes[src];
    if (!in->channels)
        in->channels = (int)w->dims[1];
    if (in->channels != w->dims[1])
        return FAIL(l, attr_int(o, "group", 1) != 1 ? -ENOSYS : -EINVAL,
                    "Conv '%.80s': weights are for %lld planes, its input has %d", label(o),
                    (long long)w->dims[1], in->channels);
    n = add_node(l, FSR_OP_CONV, label(o));
    n->nb_in    = 1;
    n->in[0]    = src;
    n->scale    = in->scale;
    n->channels = (int)w->dims[0];
    n->kh       = (int)w->dims[2];
    n->kw       = (int)w->dims[3];
    if ((ret = conv_attrs(l, o, n)) < 0 || (ret = read_tensor(l, w, &n->weights)) < 0 ||
        (ret = conv_bias(l, o, n)) < 0)
        return ret;
    return l->net->nb_nodes - 1;
}

static int resolve_all(Loader *l, const OnnxNode *o, int *in)
{
    for (size_t i = 0; i < o->n_input; i++) {
        if ((in[i] = resolve(l, str(o->input[i]))) < 0)
            return in[i];
        if (!l->net->nodes[in[i]].channels)
            return FAIL(l, -EINVAL, "%s '%.80s': the model does not say how many planes its "
                        "input has", o->op_type, label(o));
    }
    return 0;
}

static int add_elementwise(Loader *l, const OnnxNode *o, FsrOp op, size_t nb_in)
{
    int in[2], ret;
    FsrNode *n;

    if ((ret = check_attrs(l, o, "")) < 0 || (ret = check_inputs(l, o, nb_in, nb_in)) < 0 ||
        (ret = resolve_all(l, o, in)) < 0)
        return ret;
    if (nb_in == 2 && (l->net->nodes[in[0]].channels != l->net->nodes[in[1]].channels ||
                       l->net->nodes[in[0]].scale != l->net->nodes[in[1]].scale))
        return FAIL(l, -ENOSYS, "%s '%.80s': inputs of different shapes are not supported",
                    o->op_type, label(o));
    n = add_node(l, op, label(o));
    n->nb_in = (int)nb_in;
    memcpy(n->in, in, nb_in * sizeof(*in));
    n->channels = l->net->nodes[in[0]].channels;
    n->scale    = l->net->nodes[in[0]].scale;
    return l->net->nb_nodes - 1;
}

static int add_shuffle(Loader *l, const OnnxNode *o)
{
    const OnnxAttr *mode = find_attr(o, "mode");
    int64_t block = attr_int(o, "blocksize", 0);
    int in[1], ret;
    FsrNode *n, *src;

    if ((ret = check_attrs(l, o, " blocksize mode ")) < 0 ||
        (ret = check_inputs(l, o, 1, 1)) < 0 || (ret = resolve_all(l, o, in)) < 0)
        return ret;
    src = &l->net->nodes[in[0]];
    if (mode && !attr_is(mode, "DCR") && !attr_is(mode, "CRD"))
        return FAIL(l, -EINVAL, "DepthToSpace '%.80s': unknown mode", label(o));
    if (block < 1 || block * src->scale > FSR_NN_MAX_SCALE)
        return FAIL(l, -ENOSYS, "DepthToSpace '%.80s': blocksize %lld is not supported "
                    "(enlargement up to %d in all)", label(o), (long long)block, FSR_NN_MAX_SCALE);
    if (src->channels % (block * block))
        return FAIL(l, -EINVAL, "DepthToSpace '%.80s': %d planes cannot be divided by %lld",
                    label(o), src->channels, (long long)(block * block));
    n = add_node(l, FSR_OP_SHUFFLE, label(o));
    n->nb_in    = 1;
    n->in[0]    = in[0];
    n->block    = (int)block;
    n->crd      = mode && attr_is(mode, "CRD");
    n->channels = src->channels / (int)(block * block);
    n->scale    = src->scale * (int)block;
    return l->net->nb_nodes - 1;
}

static int add_concat(Loader *l, const OnnxNode *o)
{
    int in[FSR_NN_MAX_INPUTS], ret, channels = 0;
    int64_t axis = attr_int(o, "axis", 0);
    FsrNode *n;

    if ((ret = check_attrs(l, o, " axis ")) < 0 ||
        (ret = check_inputs(l, o, 1, FSR_NN_MAX_INPUTS)) < 0 || (ret = resolve_all(l, o, in)) < 0)
        return ret;
    if (axis != 1 && axis != -3)
        return FAIL(l, -ENOSYS, "Concat '%.80s': only axis 1 (planes) is supported", label(o));
    for (size_t i = 0; i < o->n_input; i++) {
        channels += l->net->nodes[in[i]].channels;
        if (l->net->nodes[in[i]].scale != l->net->nodes[in[0]].scale)
            return FAIL(l, -EINVAL, "Concat '%.80s': inputs of different sizes", label(o));
    }
    if (channels > FSR_NN_MAX_CHANNELS)
        return FAIL(l, -E2BIG, "Concat '%.80s': more than %d planes", label(o),
                    FSR_NN_MAX_CHANNELS);
    n = add_node(l, FSR_OP_CONCAT, label(o));
    n->nb_in = (int)o->n_input;
    memcpy(n->in, in, o->n_input * sizeof(*in));
    n->channels = channels;
    n->scale    = l->net->nodes[in[0]].scale;
    return l->net->nb_nodes - 1;
}

static int add_onnx_node(Loader *l, const OnnxNode *o)
{
    const char *op = str(o->op_type);
    int ret;

    if (*str(o->domain) && strcmp(o->domain, "ai.onnx"))
        return FAIL(l, -ENOSYS, "node '%.80s': operator %.40s of domain '%.40s' is not supported",
                    label(o), op, o->domain);
    if (!strcmp(op, "Conv"))
        return add_conv(l, o);
    if (!strcmp(op, "Relu"))
        return add_elementwise(l, o, FSR_OP_RELU, 1);
    if (!strcmp(op, "Add"))
        return add_elementwise(l, o, FSR_OP_ADD, 2);
    if (!strcmp(op, "DepthToSpace"))
        return add_shuffle(l, o);
    if (!strcmp(op, "Concat"))
        return add_concat(l, o);
    if (!strcmp(op, "Identity")) {
        if ((ret = check_inputs(l, o, 1, 1)) < 0)
            return ret;
        return resolve(l, str(o->input[0]));
    }
    return FAIL(l, -ENOSYS, "node '%.80s': operator %.40s is not supported", label(o), op);
}

/* Index of the node that makes a value, adding it and what it needs first. */
static int resolve(Loader *l, const char *value)
{
    int i, ret;

    if (!strcmp(value, l->input))
        return 0;
    if ((i = find_producer(l, value)) < 0)
        return FAIL(l, -EINVAL, "nothing makes the tensor '%.80s'", value);
    if (l->state[i] == VISITING)
        return FAIL(l, -EINVAL, "node '%.80s' depends on itself (cycle)",
                    label(l->graph->node[i]));
    if (l->state[i] != UNSEEN)
        return l->state[i];
    if (strcmp(str(l->graph->node[i]->output[0]), value))
        return FAIL(l, -ENOSYS, "node '%.80s': only its first output is supported",
                    label(l->graph->node[i]));
    l->state[i] = VISITING;
    if ((ret = add_onnx_node(l, l->graph->node[i])) < 0)
        return ret;
    return l->state[i] = ret;
}

static int is_initializer(const OnnxGraph *g, const char *name)
{
    for (size_t i = 0; i < g->n_initializer; i++)
        if (!strcmp(str(g->initializer[i]->name), name))
            return 1;
    return 0;
}

static int add_input(Loader *l)
{
    const FsrOnnx__ValueInfo *in = NULL;
    const FsrOnnx__Shape *shape;
    FsrNode *n;

    for (size_t i = 0; i < l->graph->n_input; i++) {
        if (is_initializer(l->graph, str(l->graph->input[i]->name)))
            continue;                           /* old exporters list weights as inputs */
        if (in)
            return FAIL(l, -ENOSYS, "more than one input ('%.80s' and '%.80s')", str(in->name),
                        str(l->graph->input[i]->name));
        in = l->graph->input[i];
    }
    if (!in)
        return FAIL(l, -EINVAL, "the model has no input");
    l->input = str(in->name);
    n = add_node(l, FSR_OP_INPUT, l->input);
    n->scale = 1;
    if (!in->type || !in->type->tensor_type)
        return 0;
    if (in->type->tensor_type->has_elem_type && in->type->tensor_type->elem_type != 1)
        return FAIL(l, -ENOSYS, "input '%.80s': only float32 is supported", l->input);
    if (!(shape = in->type->tensor_type->shape))
        return 0;
    if (shape->n_dim != 4)
        return FAIL(l, -ENOSYS, "input '%.80s' has %zu dimensions, must have 4 "
                    "(1, planes, height, width)", l->input, shape->n_dim);
    if (shape->dim[0]->has_dim_value && shape->dim[0]->dim_value != 1)
        return FAIL(l, -ENOSYS, "input '%.80s': batches are not supported", l->input);
    if (shape->dim[1]->has_dim_value) {
        if (shape->dim[1]->dim_value < 1 || shape->dim[1]->dim_value > FSR_NN_MAX_CHANNELS)
            return FAIL(l, -E2BIG, "input '%.80s': number of planes outside 1 to %d", l->input,
                        FSR_NN_MAX_CHANNELS);
        n->channels = (int)shape->dim[1]->dim_value;
    }
    return 0;
}

static int copy_meta(Loader *l, const FsrOnnx__Model *m)
{
    FsrNet *net = l->net;

    if (m->n_metadata_props && !(net->meta = calloc(m->n_metadata_props, sizeof(*net->meta))))
        return FAIL(l, -ENOMEM, "out of memory");
    for (size_t i = 0; i < m->n_metadata_props; i++, net->nb_meta++) {
        net->meta[i].key   = strdup(str(m->metadata_props[i]->key));
        net->meta[i].value = strdup(str(m->metadata_props[i]->value));
        if (!net->meta[i].key || !net->meta[i].value) {
            net->nb_meta++;
            return FAIL(l, -ENOMEM, "out of memory");
        }
    }
    return 0;
}

static int check_model(Loader *l, const FsrOnnx__Model *m)
{
    const OnnxGraph *g = m->graph;

    if (!g)
        return FAIL(l, -EINVAL, "not an ONNX model: it holds no graph");
    if (g->n_node > FSR_NN_MAX_NODES - 1)
        return FAIL(l, -E2BIG, "more than %d nodes", FSR_NN_MAX_NODES - 1);
    if (g->n_initializer > FSR_NN_MAX_TENSORS || g->n_input > FSR_NN_MAX_TENSORS)
        return FAIL(l, -E2BIG, "more than %d tensors", FSR_NN_MAX_TENSORS);
    if (m->n_metadata_props > FSR_NN_MAX_TENSORS)
        return FAIL(l, -E2BIG, "more than %d metadata entries", FSR_NN_MAX_TENSORS);
    if (g->n_output != 1)
        return FAIL(l, g->n_output ? -ENOSYS : -EINVAL, "the model has %zu outputs, must have 1",
                    g->n_output);
    for (size_t i = 0; i < g->n_node; i++)
        if (!g->node[i]->n_output)
            return FAIL(l, -EINVAL, "node '%.80s' has no output", label(g->node[i]));
    return 0;
}

static int build(Loader *l, const FsrOnnx__Model *m)
{
    int ret = check_model(l, m);

    if (ret < 0)
        return ret;
    l->graph = m->graph;
    l->net->nodes = calloc(m->graph->n_node + 1, sizeof(*l->net->nodes));
    l->state = malloc((m->graph->n_node + 1) * sizeof(*l->state));
    if (!l->net->nodes || !l->state)
        return FAIL(l, -ENOMEM, "out of memory");
    for (size_t i = 0; i < m->graph->n_node; i++)
        l->state[i] = UNSEEN;
    if ((ret = add_input(l)) < 0 || (ret = copy_meta(l, m)) < 0 ||
        (ret = resolve(l, str(m->graph->output[0]->name))) < 0)
        return ret;
    l->net->output = ret;
    if (!l->net->nodes[ret].channels)
        return FAIL(l, -EINVAL, "the model does not say how many planes its input has");
    fsr_graph_simplify(l->net);
    if ((ret = fsr_graph_describe(l->net)) < 0)
        return FAIL(l, ret, ret == -ENOMEM ? "out of memory" :
                    "the network reaches further than %d samples", FSR_NN_MAX_HALO);
    return 0;
}

int fsr_nn_load(FsrNet **net, const void *onnx, size_t size, char *err, size_t err_size)
{
    Loader l = { .err = err, .err_size = err_size };
    FsrOnnx__Model *m;
    int ret;

    *net = NULL;
    if (size > FSR_NN_MAX_BYTES)
        return fsr_nn_fail(err, err_size, -E2BIG, "the model is larger than %zu MiB",
                           FSR_NN_MAX_BYTES >> 20);
    if (!(m = fsr_onnx__model__unpack(NULL, size, onnx)))
        return fsr_nn_fail(err, err_size, -EINVAL, "not an ONNX model, or truncated");
    if (!(l.net = calloc(1, sizeof(*l.net))))
        ret = fsr_nn_fail(err, err_size, -ENOMEM, "out of memory");
    else
        ret = build(&l, m);
    fsr_onnx__model__free_unpacked(m, NULL);
    free(l.state);
    if (ret < 0)
        fsr_nn_free(&l.net);
    *net = l.net;
    return ret;
}

static int read_file(FILE *f, uint8_t **data, size_t *size)
{
    size_t room = 1 << 16, got;

    *size = 0;
    *data = NULL;
    do {
        uint8_t *grown = realloc(*data, room *= 2);
        if (!grown)
            return -ENOMEM;
        *data  = grown;
        errno  = 0;
        got    = fread(*data + *size, 1, room - *size, f);
        *size += got;
        if (ferror(f))
            return errno ? -errno : -EIO;
    } while (*size == room && *size <= FSR_NN_MAX_BYTES);
    return 0;
}

int fsr_nn_load_file(FsrNet **net, const char *path, char *err, size_t err_size)
{
    char     reason[200];
    uint8_t *data = NULL;
    size_t   size = 0;
    FILE    *f    = fopen(path, "rb");
    int      ret;

    *net = NULL;
    if (!f) {
        ret = -errno;
        return fsr_nn_fail(err, err_size, ret, "model '%s': %s", path, strerror(-ret));
    }
    ret = read_file(f, &data, &size);
    fclose(f);
    snprintf(reason, sizeof(reason), "%s", strerror(-ret));
    if (ret >= 0)
        ret = fsr_nn_load(net, data, size, reason, sizeof(reason));
    free(data);
    if (ret < 0)
        return fsr_nn_fail(err, err_size, ret, "model '%s': %s", path, reason);
    return 0;
}

void fsr_nn_free(FsrNet **netp)
{
    FsrNet *net = *netp;

    *netp = NULL;
    if (!net)
        return;
    for (int i = 0; net->nodes && i < net->nb_nodes; i++) {
        free(net->nodes[i].weights);
        free(net->nodes[i].bias);
    }
    for (size_t i = 0; i < net->nb_meta; i++) {
        free(net->meta[i].key);
        free(net->meta[i].value);
    }
    free(net->nodes);
    free(net->meta);
    free(net);
}

void fsr_nn_info(const FsrNet *net, FsrNetInfo *info)
{
    *info = net->info;
}

const char *fsr_nn_meta(const FsrNet *net, const char *key)
{
    for (size_t i = 0; i < net->nb_meta; i++)
        if (!strcmp(net->meta[i].key, key))
            return net->meta[i].value;
    return NULL;
}
