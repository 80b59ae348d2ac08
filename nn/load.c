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

    l->nodes   = fsr_alloc(&l->temp, g->n_node * sizeof(*l->nodes));
    l->tensors = fsr_alloc(&l->temp, g->n_initializer * sizeof(*l->tensors));
    if (!l->nodes || !l->tensors)
        return -ENOMEM;
    for (size_t i = 0; i < g->n_node; i++)
        l->nodes[i] = (LoadNode){ hash(str(g->node[i]->output[0])), UNSEEN, NULL };
    for (size_t i = 0; i < g->n_initializer; i++)
        l->tensors[i] = hash(str(g->initializer[i]->name));
    return 0;
}

int fsr_load_find_producer(const Loader *l, const char *value)
{
    const uint32_t h = hash(value);

    for (size_t i = 0; i < l->graph->n_node; i++)
        if (l->nodes[i].makes == h && !strcmp(str(l->graph->node[i]->output[0]), value))
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

const OnnxTensor *fsr_load_find_tensor(Loader *l, const char *name, FsrLoadFrom from)
{
    for (int hop = 0; hop < MAX_IDENTITIES; hop++) {
        const OnnxTensor *t = find_initializer(l, name);
        const OnnxNode   *n;
        int i;

        if (t)
            return t;
        if ((i = fsr_load_find_producer(l, name)) < 0)
            return NULL;
        n = l->graph->node[i];
        if (!strcmp(str(n->op_type), "Constant")) {
            const OnnxAttr *a = fsr_load_find_attr(n, "value");
            return a ? a->t : NULL;
        }
        if (from == FSR_LOAD_COMPUTED && !strcmp(str(n->op_type), "DequantizeLinear") && !l->nodes[i].folded)
            l->nodes[i].folded = fsr_load_fold(l, n);
        if (l->nodes[i].folded)
            return l->nodes[i].folded;
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
            return FAIL(l, -E2BIG, "tensor '%.80s': more than %lld values", str(t->name), (long long)FSR_NN_MAX_WEIGHTS);
        *count *= t->dims[i];
    }
    return 0;
}

/* Bytes of an element in raw_data; 0: not one of those that are read. */
static int element_size(const OnnxTensor *t)
{
    static const uint8_t sizes[] = {
        [TYPE_INT64] = 8, [TYPE_FLOAT] = 4, [TYPE_INT32] = 4, [TYPE_FLOAT16] = 2, [TYPE_UINT8] = 1, [TYPE_INT8] = 1,
    };

    return (size_t)t->data_type < sizeof(sizes) ? sizes[t->data_type] : 0;
}

static int check_tensor(Loader *l, const OnnxTensor *t, FsrLoadTypes types, int64_t count)
{
    const int floats = t->data_type == TYPE_FLOAT || t->data_type == TYPE_FLOAT16, size = element_size(t);
    int64_t   have = t->data_type == TYPE_FLOAT ? (int64_t)t->n_float_data : floats ? 0 :
                     size == 8 ? (int64_t)t->n_int64_data : (int64_t)t->n_int32_data;

    if (t->n_external_data || t->data_location == 1)
        return FAIL(l, -ENOSYS, "tensor '%.80s': weights in a separate file are not supported; "
                    "save the model as one file", str(t->name));
    if (types == FSR_LOAD_INTS && t->data_type != TYPE_INT32 && t->data_type != TYPE_INT64)
        return FAIL(l, -ENOSYS, "tensor '%.80s': whole numbers are expected", str(t->name));
    if (types == FSR_LOAD_NUMBERS ? !size || size == 8 : types == FSR_LOAD_FLOATS && !floats)
        return FAIL(l, -ENOSYS, "tensor '%.80s': element type %d is not supported, only float32 and float16",
                    str(t->name), t->data_type);
    if (t->has_raw_data)
        have = (int64_t)(t->raw_data.len / size);
    if (have != count || (t->has_raw_data && t->raw_data.len % size))
        return FAIL(l, -EINVAL, "tensor '%.80s': %lld values are there, its shape needs %lld "
                    "(truncated or damaged file)", str(t->name), (long long)have, (long long)count);
    if ((l->weights += count) > FSR_NN_MAX_WEIGHTS)
        return FAIL(l, -E2BIG, "more than %lld weights in all", (long long)FSR_NN_MAX_WEIGHTS);
    return 0;
}

/* IEEE 754 binary16 */
static float from_half(unsigned u)
{
    const unsigned exponent = u >> 10 & 31, mantissa = u & 1023;
    const float    v = exponent == 31 ? (mantissa ? NAN : INFINITY) :
                       exponent ? ldexpf(mantissa | 1024, (int)exponent - 25) : ldexpf(mantissa, -24);

    return u & 0x8000 ? -v : v;
}

/* Element i of raw_data, which is little endian whatever the machine */
static uint64_t raw_bits(const OnnxTensor *t, int64_t i, int size)
{
    uint64_t u = 0;

    for (int k = 0; k < size; k++)
        u |= (uint64_t)t->raw_data.data[i * size + k] << 8 * k;
    return u;
}

static float raw_number(const OnnxTensor *t, int64_t i)
{
    const uint32_t u = (uint32_t)raw_bits(t, i, element_size(t));
    float f;

    memcpy(&f, &u, sizeof(f));
    switch (t->data_type) {
    case TYPE_FLOAT:   return f;
    case TYPE_FLOAT16: return from_half(u);
    case TYPE_INT8:    return (float)(int8_t)u;
    default:           return (float)(int32_t)u;
    }
}

int fsr_load_read_tensor(Loader *l, FsrMemory *memory, const OnnxTensor *t, FsrLoadTypes types, float **out)
{
    int64_t count;
    int     ret = fsr_load_tensor_count(l, t, &count);

    if (ret < 0 || (ret = check_tensor(l, t, types, count)) < 0)
        return ret;
    if (!(*out = fsr_alloc(memory, count * sizeof(**out))))
        return -ENOMEM;
    for (int64_t i = 0; i < count; i++) {
        (*out)[i] = t->has_raw_data ? raw_number(t, i) :
                    t->data_type == TYPE_FLOAT ? t->float_data[i] : (float)t->int32_data[i];
        if (!isfinite((*out)[i]))
            return FAIL(l, -EINVAL, "tensor '%.80s': value %lld is not a finite number", str(t->name), (long long)i);
    }
    return (int)count;
}

int fsr_load_read_ints(Loader *l, const OnnxTensor *t, int64_t *out, int max)
{
    const int size = element_size(t);
    int64_t   count;
    int       ret;

    if ((ret = fsr_load_tensor_count(l, t, &count)) < 0 || (ret = check_tensor(l, t, FSR_LOAD_INTS, count)) < 0)
        return ret;
    if (count > max)
        return FAIL(l, -EINVAL, "tensor '%.80s': %lld values, at most %d are expected",
                    str(t->name), (long long)count, max);
    for (int i = 0; i < count; i++) {
        const int64_t v = t->has_raw_data ? (int64_t)raw_bits(t, i, size) :
                          size == 8 ? t->int64_data[i] : t->int32_data[i];

        out[i] = size == 4 ? (int32_t)v : v;
    }
    return (int)count;
}

FsrNode *fsr_load_add_node(Loader *l, FsrOp op, const char *name)
{
    FsrNode *n = &l->net->nodes[l->net->nb_nodes++];

    memset(n, 0, sizeof(*n));
    n->op   = op;
    n->rank = 4;
    snprintf(n->name, sizeof(n->name), "%s", name);
    return n;
}

int fsr_load_resolve(Loader *l, const char *value)
{
    const OnnxTensor *constant;
    int i, ret, *state;

    for (i = 0; i < l->net->nb_inputs; i++)
        if (!strcmp(value, l->inputs[i]))
            return i;
    if ((constant = fsr_load_find_tensor(l, value, FSR_LOAD_COMPUTED)))
        return fsr_load_add_const(l, value, constant);
    if ((i = fsr_load_find_producer(l, value)) < 0)
        return FAIL(l, -EINVAL, "nothing makes the tensor '%.80s'", value);
    state = &l->nodes[i].state;
    if (*state == VISITING)
        return FAIL(l, -EINVAL, "node '%.80s' depends on itself (cycle)", label(l->graph->node[i]));
    if (*state != UNSEEN)
        return *state;
    *state = VISITING;
    if ((ret = fsr_load_operator(l, l->graph->node[i])) < 0)
        return ret;
    return *state = ret;
}

/* uint8 and int8 may come in where they are dequantized at once; then samples are their numbers. */
static int only_dequantized(const Loader *l, const char *name)
{
    for (size_t i = 0; i < l->graph->n_node; i++)
        for (size_t k = 0; k < l->graph->node[i]->n_input; k++)
            if (!strcmp(str(l->graph->node[i]->input[k]), name) &&
                (k || strcmp(str(l->graph->node[i]->op_type), "DequantizeLinear")))
                return 0;
    return 1;
}

static int add_input(Loader *l, const FsrOnnx__ValueInfo *in)
{
    const FsrOnnx__TensorType *type = in->type ? in->type->tensor_type : NULL;
    const FsrOnnx__Dimension  *planes;
    const char *name = str(in->name);
    FsrNode *n = fsr_load_add_node(l, FSR_OP_INPUT, name);

    l->inputs[l->net->nb_inputs++] = name;
    n->scale = 1;
    if (type && type->has_elem_type && type->elem_type != TYPE_FLOAT &&
        ((type->elem_type != TYPE_UINT8 && type->elem_type != TYPE_INT8) || !only_dequantized(l, name)))
        return FAIL(l, -ENOSYS, "input '%.80s': only float32 is supported", name);
    if (!type || !type->shape)
        return 0;
    n->rank = (int)type->shape->n_dim;
    if (type->shape->n_dim < 1 || type->shape->n_dim > 4)
        return FAIL(l, -ENOSYS, "input '%.80s' has %zu dimensions, must have 4 "
                    "(1, planes, height, width) or fewer", name, type->shape->n_dim);
    if (n->rank == 4 && type->shape->dim[0]->has_dim_value && type->shape->dim[0]->dim_value != 1)
        return FAIL(l, -ENOSYS, "input '%.80s': batches are not supported", name);
    planes = n->rank < 3 ? NULL : type->shape->dim[n->rank - 3];
    if (n->rank < 4)
        l->net->whole = 1;
    if (n->rank < 3)
        n->channels = 1;
    if (planes && planes->has_dim_value) {
        if (planes->dim_value < 1 || planes->dim_value > FSR_NN_MAX_CHANNELS)
            return FAIL(l, -E2BIG, "input '%.80s': number of planes outside 1 to %d", name, FSR_NN_MAX_CHANNELS);
        n->channels = (int)planes->dim_value;
    }
    return 0;
}

static int add_inputs(Loader *l)
{
    int ret;

    for (size_t i = 0; i < l->graph->n_input; i++) {
        if (find_initializer(l, str(l->graph->input[i]->name)))
            continue;                           /* old exporters list weights as inputs */
        if (l->net->nb_inputs == FSR_NN_MAX_INPUTS)
            return FAIL(l, -ENOSYS, "the model has more than %d inputs", FSR_NN_MAX_INPUTS);
        if ((ret = add_input(l, l->graph->input[i])) < 0)
            return ret;
    }
    if (!l->net->nb_inputs)
        return FAIL(l, -EINVAL, "the model has no input");
    return 0;
}

static char *copy_text(FsrNet *net, const char *text)
{
    const size_t size = strlen(str(text)) + 1;
    char        *copy = fsr_alloc(&net->memory, size);

    return copy ? memcpy(copy, str(text), size) : NULL;
}

/* Strips have one result: several are put together. */
static int add_outputs(Loader *l)
{
    FsrNet  *net = l->net;
    FsrNode *n, *first;
    int      ret, channels = 0;

    for (size_t i = 0; i < l->graph->n_output; i++) {
        const char *name = str(l->graph->output[i]->name);

        if ((ret = fsr_load_resolve(l, name)) < 0)
            return ret;
        if (!net->nodes[ret].channels)
            return FAIL(l, -EINVAL, "the model does not say how many planes its input has");
        if (!(net->output_names[i] = copy_text(net, name)))
            return -ENOMEM;
        net->outputs[net->nb_outputs++] = net->output = ret;
        channels += net->nodes[ret].channels;
    }
    for (int i = 0; i < net->nb_nodes; i++)
        if (!net->nodes[i].scale)
            net->whole = 1;
    first = &net->nodes[net->outputs[0]];
    for (int i = 0; i < net->nb_outputs; i++)
        if (net->nodes[net->outputs[i]].scale != first->scale || channels > FSR_NN_MAX_CHANNELS)
            net->whole = 1;
    for (int i = 0; i < net->nb_inputs; i++)
        if (!net->nodes[i].channels)
            return FAIL(l, -EINVAL, "the model does not say how many planes its input '%.80s' has", l->inputs[i]);
    if (net->whole || net->nb_outputs == 1)
        return 0;
    n = fsr_load_add_node(l, FSR_OP_CONCAT, "outputs");
    n->nb_in    = net->nb_outputs;
    n->axis     = 1;
    n->scale    = first->scale;
    n->channels = channels;
    memcpy(n->in, net->outputs, sizeof(n->in));
    net->output = net->nb_nodes - 1;
    return 0;
}

static int copy_meta(FsrNet *net, const FsrOnnx__Model *m)
{
    if (!(net->meta = fsr_alloc(&net->memory, m->n_metadata_props * sizeof(*net->meta))))
        return -ENOMEM;
    for (; net->nb_meta < m->n_metadata_props; net->nb_meta++) {
        FsrMeta *meta = &net->meta[net->nb_meta];

        meta->key   = copy_text(net, m->metadata_props[net->nb_meta]->key);
        meta->value = copy_text(net, m->metadata_props[net->nb_meta]->value);
        if (!meta->key || !meta->value)
            return -ENOMEM;
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
    if (g->n_output < 1 || g->n_output > FSR_NN_MAX_INPUTS)
        return FAIL(l, g->n_output ? -ENOSYS : -EINVAL, "the model has %zu outputs, must have 1 to %d",
                    g->n_output, FSR_NN_MAX_INPUTS);
    for (size_t i = 0; i < g->n_node; i++)
        if (!g->node[i]->n_output)
            return FAIL(l, -EINVAL, "node '%.80s' has no output", label(g->node[i]));
    return 0;
}

/* An operator makes a few nodes, and one for each constant that it reads. */
static size_t count_nodes(const OnnxGraph *g)
{
    size_t nb = g->n_input + g->n_output + 1;

    for (size_t i = 0; i < g->n_node; i++)
        nb += 4 + (g->node[i]->n_input < FSR_NN_MAX_INPUTS ? g->node[i]->n_input : FSR_NN_MAX_INPUTS);
    return nb;
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
    l->net->nodes = fsr_alloc(&l->net->memory, count_nodes(l->graph) * sizeof(*l->net->nodes));
    if (!l->net->nodes)
        return -ENOMEM;
    if ((ret = hash_names(l)) < 0 || (ret = add_inputs(l)) < 0 || (ret = copy_meta(l->net, m)) < 0 ||
        (ret = add_outputs(l)) < 0)
        return ret;
    if (l->net->nb_nodes > FSR_NN_MAX_NODES)
        return FAIL(l, -E2BIG, "more than %d nodes", FSR_NN_MAX_NODES);
    fsr_graph_simplify(l->net);
    if ((ret = fsr_graph_describe(l->net)) == -ENOSYS)
        FAIL(l, ret, "the network reaches further than %d samples", FSR_NN_MAX_HALO);
    return ret;
}

int fsr_nn_load(FsrNet **net, const void *onnx, size_t size, char *err, size_t err_size)
{
    Loader l = { .err = err, .err_size = err_size };
    FsrOnnx__Model *m;
    int ret;

    *net = NULL;
    if (size > FSR_NN_MAX_BYTES)
        return fsr_nn_fail(err, err_size, -E2BIG, "the model is larger than %zu MiB", FSR_NN_MAX_BYTES >> 20);
    if (!(m = fsr_onnx__model__unpack(NULL, size, onnx)))
        return fsr_nn_fail(err, err_size, -EINVAL, "not an ONNX model, or truncated");
    l.net = calloc(1, sizeof(*l.net));
    ret   = l.net ? build(&l, m) : -ENOMEM;
    if (ret == -ENOMEM)
        FAIL(&l, ret, "out of memory");
    fsr_onnx__model__free_unpacked(m, NULL);
    fsr_free_all(&l.temp);
    if (ret < 0)
        fsr_nn_free(&l.net);
    *net = l.net;
    return ret;
}

/* Not more than one byte beyond what is allowed. */
static int read_file(FILE *f, uint8_t **data, size_t *size)
{
    if (!(*data = malloc(FSR_NN_MAX_BYTES + 1)))
        return -ENOMEM;
    errno = 0;
    *size = fread(*data, 1, FSR_NN_MAX_BYTES + 1, f);
    return !ferror(f) ? 0 : errno ? -errno : -EIO;
}

int fsr_nn_load_file(FsrNet **net, const char *path, char *err, size_t err_size)
{
    char     reason[200];
    uint8_t *data = NULL;
    size_t   size = 0;
    FILE    *f    = fopen(path, "rb");
    int      ret  = f ? read_file(f, &data, &size) : -errno;

    *net = NULL;
    if (f)
        fclose(f);
    snprintf(reason, sizeof(reason), "%s", strerror(-ret));
    if (ret >= 0)
        ret = fsr_nn_load(net, data, size, reason, sizeof(reason));
    free(data);
    return ret < 0 ? fsr_nn_fail(err, err_size, ret, "model '%s': %s", path, reason) : 0;
}

void fsr_nn_free(FsrNet **netp)
{
    if (*netp) {
        fsr_free_all(&(*netp)->memory);
        free((*netp)->ranges);
    }
    free(*netp);
    *netp = NULL;
}

void fsr_nn_info(const FsrNet *net, FsrNetInfo *info)
{
    *info = net->info;
}

const char *fsr_nn_input(const FsrNet *net, int i, int *planes)
{
    *planes = net->nodes[i].channels;
    return net->nodes[i].name;
}

const char *fsr_nn_meta(const FsrNet *net, const char *key)
{
    for (size_t i = 0; i < net->nb_meta; i++)
        if (!strcmp(net->meta[i].key, key))
            return net->meta[i].value;
    return NULL;
}
