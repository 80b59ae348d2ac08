/*
 * ONNX file -> FsrNet. Only nodes that the output needs are looked at; they are
 * visited from the output back to the input, which sorts them and finds cycles.
 */
#include "nn/load.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { UNSEEN = -1, VISITING = -2, MAX_IDENTITIES = 16 };
enum { TYPE_FLOAT = 1, TYPE_FLOAT16 = 10 };     /* onnx.proto, TensorProto.DataType */

/* FNV-1a. Names are compared through it: a hostile file has thousands, each many kB long. */
static uint32_t hash(const char *s)
{
    uint32_t h = 2166136261u;

    for (; *s; s++)
        h = (h ^ (uint8_t)*s) * 16777619u;
    return h;
}

/* Hashes all names; needs l->graph. */
static int hash_names(Loader *l)
{
    const OnnxGraph *g = l->graph;

    l->made_by = malloc((g->n_node + 1) * sizeof(*l->made_by));
    l->tensors = malloc((g->n_initializer + 1) * sizeof(*l->tensors));
    if (!l->made_by || !l->tensors)
        return FAIL(l, -ENOMEM, "out of memory");
    for (size_t i = 0; i < g->n_node; i++)
        l->made_by[i] = hash(str(g->node[i]->output[0]));
    for (size_t i = 0; i < g->n_initializer; i++)
        l->tensors[i] = hash(str(g->initializer[i]->name));
    return 0;
}

/* The ONNX node whose first output has this name; second outputs nobody here makes. */
static int find_producer(const Loader *l, const char *value)
{
    const uint32_t h = hash(value);

    for (size_t i = 0; i < l->graph->n_node; i++)
        if (l->made_by[i] == h && !strcmp(str(l->graph->node[i]->output[0]), value))
            return (int)i;
    return -1;
}

static const OnnxTensor *find_initializer(const Loader *l, const char *name)
{
    const uint32_t h = hash(name);

    for (size_t i = 0; i < l->graph->n_initializer; i++)
        if (l->tensors[i] == h && !strcmp(str(l->graph->initializer[i]->name), name))
            return l->graph->initializer[i];
    return NULL;
}

const OnnxAttr *fsr_load_find_attr(const OnnxNode *n, const char *name)
{
    for (size_t i = 0; i < n->n_attribute; i++)
        if (!strcmp(str(n->attribute[i]->name), name))
            return n->attribute[i];
    return NULL;
}

const OnnxTensor *fsr_load_find_tensor(const Loader *l, const char *name)
{
    for (int hop = 0; hop < MAX_IDENTITIES; hop++) {
        const OnnxTensor *t = find_initializer(l, name);
        const OnnxNode   *n;
        int i;

        if (t)
            return t;
        if ((i = find_producer(l, name)) < 0)
            return NULL;
        n = l->graph->node[i];
        if (!strcmp(str(n->op_type), "Constant")) {
            const OnnxAttr *a = fsr_load_find_attr(n, "value");
            return a ? a->t : NULL;
        }
        /* Cast: weights that are stored as 16-bit floats */
        if ((strcmp(str(n->op_type), "Identity") &&
             (strcmp(str(n->op_type), "Cast") || fsr_load_attr_int(n, "to", 0) != TYPE_FLOAT)) || n->n_input != 1)
            return NULL;
        name = str(n->input[0]);
    }
    return NULL;
}

int fsr_load_tensor_count(const Loader *l, const OnnxTensor *t, int64_t *count)
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
    const int     half = t->data_type == TYPE_FLOAT16;
    const size_t  bytes = half ? 2 : 4;
    const int64_t have = t->has_raw_data ? (int64_t)(t->raw_data.len / bytes) : half ? 0 : (int64_t)t->n_float_data;

    if (t->n_external_data || t->data_location == 1)
        return FAIL(l, -ENOSYS, "tensor '%.80s': weights in a separate file are not supported; "
                    "save the model as one file", str(t->name));
    if (t->data_type != TYPE_FLOAT && !half)
        return FAIL(l, -ENOSYS, "tensor '%.80s': element type %d is not supported, only float32 and float16",
                    str(t->name), t->data_type);
    if (have != count || (t->has_raw_data && t->raw_data.len % bytes))
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

/* IEEE 754 binary16, the same */
static float raw_half(const uint8_t *p)
{
    const unsigned u = p[0] | p[1] << 8, exponent = u >> 10 & 31, mantissa = u & 1023;
    const float    v = exponent == 31 ? (mantissa ? NAN : INFINITY) :
                       exponent ? ldexpf(mantissa | 1024, (int)exponent - 25) : ldexpf(mantissa, -24);

    return u & 0x8000 ? -v : v;
}

int fsr_load_read_tensor(Loader *l, const OnnxTensor *t, float **out)
{
    int64_t count;
    int     ret;

    if ((ret = fsr_load_tensor_count(l, t, &count)) < 0 || (ret = check_tensor(l, t, count)) < 0)
        return ret;
    if (!(*out = malloc(count ? count * sizeof(**out) : 1)))
        return FAIL(l, -ENOMEM, "out of memory");
    for (int64_t i = 0; i < count; i++) {
        (*out)[i] = t->data_type == TYPE_FLOAT16 ? raw_half(t->raw_data.data + 2 * i) :
                    t->has_raw_data ? raw_float(t->raw_data.data + 4 * i) : t->float_data[i];
        if (!isfinite((*out)[i]))
            return FAIL(l, -EINVAL, "tensor '%.80s': value %lld is not a finite number",
                        str(t->name), (long long)i);
    }
    return 0;
}

int fsr_load_read_ints(const Loader *l, const OnnxTensor *t, int64_t *out, int max)
{
    const int size = t->data_type == 6 ? 4 : 8;
    int64_t   count;
    int       ret;

    if ((ret = fsr_load_tensor_count(l, t, &count)) < 0)
        return ret;
    if (t->n_external_data || t->data_location == 1 || (t->data_type != 6 && t->data_type != 7) ||
        (t->data_type == 6 && !t->has_raw_data))
        return FAIL(l, -ENOSYS, "tensor '%.80s': whole numbers are expected inside the file",
                    str(t->name));
    if (count > max)
        return FAIL(l, -EINVAL, "tensor '%.80s': %lld values, at most %d are expected",
                    str(t->name), (long long)count, max);
    if ((t->has_raw_data ? t->raw_data.len : t->n_int64_data * 8) != (size_t)(count * size))
        return FAIL(l, -EINVAL, "tensor '%.80s': its shape needs %lld values (truncated or "
                    "damaged file)", str(t->name), (long long)count);
    for (int i = 0; i < count; i++) {
        uint64_t v = t->has_raw_data ? 0 : (uint64_t)t->int64_data[i];

        for (int k = 0; t->has_raw_data && k < size; k++)
            v |= (uint64_t)t->raw_data.data[i * size + k] << 8 * k;
        out[i] = size == 4 ? (int32_t)v : (int64_t)v;
    }
    return (int)count;
}

FsrNode *fsr_load_add_node(Loader *l, FsrOp op, const char *name)
{
    FsrNode *n = &l->net->nodes[l->net->nb_nodes++];

    memset(n, 0, sizeof(*n));
    n->op = op;
    snprintf(n->name, sizeof(n->name), "%s", name);
    return n;
}

int fsr_load_resolve(Loader *l, const char *value)
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
    l->state[i] = VISITING;
    if ((ret = fsr_load_operator(l, l->graph->node[i])) < 0)
        return ret;
    return l->state[i] = ret;
}

static int add_input(Loader *l)
{
    const FsrOnnx__ValueInfo *in = NULL;
    const FsrOnnx__Shape *shape;
    FsrNode *n;

    for (size_t i = 0; i < l->graph->n_input; i++) {
        if (find_initializer(l, str(l->graph->input[i]->name)))
            continue;                           /* old exporters list weights as inputs */
        if (in)
            return FAIL(l, -ENOSYS, "more than one input ('%.80s' and '%.80s')", str(in->name),
                        str(l->graph->input[i]->name));
        in = l->graph->input[i];
    }
    if (!in)
        return FAIL(l, -EINVAL, "the model has no input");
    l->input = str(in->name);
    n = fsr_load_add_node(l, FSR_OP_INPUT, l->input);
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
    if (g->n_node > FSR_NN_MAX_NODES / 2 - 1)
        return FAIL(l, -E2BIG, "more than %d nodes", FSR_NN_MAX_NODES / 2 - 1);
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
    for (size_t i = 0; i < m->n_opset_import; i++)
        if (!*str(m->opset_import[i]->domain) || !strcmp(m->opset_import[i]->domain, "ai.onnx"))
            l->opset = m->opset_import[i]->version;
    l->net->nodes = calloc(2 * m->graph->n_node + 1, sizeof(*l->net->nodes));
    l->state = malloc((m->graph->n_node + 1) * sizeof(*l->state));
    if (!l->net->nodes || !l->state)
        return FAIL(l, -ENOMEM, "out of memory");
    for (size_t i = 0; i < m->graph->n_node; i++)
        l->state[i] = UNSEEN;
    if ((ret = hash_names(l)) < 0 || (ret = add_input(l)) < 0 || (ret = copy_meta(l, m)) < 0 ||
        (ret = fsr_load_resolve(l, str(m->graph->output[0]->name))) < 0)
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
    free(l.made_by);
    free(l.tensors);
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
