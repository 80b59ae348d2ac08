/* ONNX operators -> nodes of the graph. Each refuses what it cannot do, by name. */
#include "nn/kernels.h"
#include "nn/load.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int64_t fsr_load_attr_int(const OnnxNode *n, const char *name, int64_t def)
{
    const OnnxAttr *a = fsr_load_find_attr(n, name);
    return a ? a->i : def;
}

int fsr_load_attr_is(const OnnxAttr *a, const char *text)
{
    return a->s.len == strlen(text) && !memcmp(a->s.data, text, a->s.len);
}

int fsr_load_check_attrs(const Loader *l, const OnnxNode *n, const char *known)
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

int fsr_load_check_inputs(const Loader *l, const OnnxNode *n, size_t min, size_t max)
{
    if (n->n_input < min || n->n_input > max)
        return FAIL(l, -EINVAL, "%s '%.80s': has %zu inputs, must have %zu to %zu",
                    n->op_type, label(n), n->n_input, min, max);
    return 0;
}

static int resolve_all(Loader *l, const OnnxNode *o, int *in)
{
    for (size_t i = 0; i < o->n_input; i++) {
        if ((in[i] = fsr_load_resolve(l, str(o->input[i]))) < 0)
            return in[i];
        if (!l->net->nodes[in[i]].channels)
            return FAIL(l, -EINVAL, "%s '%.80s': the model does not say how many planes its "
                        "input has", o->op_type, label(o));
    }
    return 0;
}

static int add_relu(Loader *l, const OnnxNode *o)
{
    int      src = fsr_load_one_input(l, o, 1, "");
    FsrNode *n;

    if (src < 0)
        return src;
    n = fsr_load_add_node(l, FSR_OP_RELU, label(o));
    n->nb_in    = 1;
    n->in[0]    = src;
    n->rank     = l->net->nodes[src].rank;
    n->channels = l->net->nodes[src].channels;
    n->scale    = l->net->nodes[src].scale;
    return l->net->nb_nodes - 1;
}

static int add_shuffle(Loader *l, const OnnxNode *o)
{
    const OnnxAttr *mode = fsr_load_find_attr(o, "mode");
    int64_t block = fsr_load_attr_int(o, "blocksize", 0);
    int in[1], ret;
    FsrNode *n, *src;

    if ((ret = in[0] = fsr_load_picture(l, o, 1, " blocksize mode ")) < 0)
        return ret;
    src = &l->net->nodes[in[0]];
    if (mode && !fsr_load_attr_is(mode, "DCR") && !fsr_load_attr_is(mode, "CRD"))
        return FAIL(l, -EINVAL, "DepthToSpace '%.80s': unknown mode", label(o));
    if (block < 1 || block > FSR_NN_MAX_SCALE || block * src->scale > FSR_NN_MAX_SCALE)
        return FAIL(l, -ENOSYS, "DepthToSpace '%.80s': blocksize %lld is not supported "
                    "(enlargement up to %d in all)", label(o), (long long)block, FSR_NN_MAX_SCALE);
    if (src->channels % (block * block))
        return FAIL(l, -EINVAL, "DepthToSpace '%.80s': %d planes cannot be divided by %lld",
                    label(o), src->channels, (long long)(block * block));
    n = fsr_load_add_node(l, FSR_OP_SHUFFLE, label(o));
    n->nb_in    = 1;
    n->in[0]    = in[0];
    n->block    = n->block_y = (int)block;
    n->crd      = mode && fsr_load_attr_is(mode, "CRD");
    n->channels = src->channels / (int)(block * block);
    n->scale    = src->scale * (int)block;
    return l->net->nb_nodes - 1;
}

/* Known to be; where a size is not known yet, the plan looks. */
static int different_sizes(const FsrNode *a, const FsrNode *b)
{
    return a->scale && b->scale && a->scale != b->scale;
}

static int add_concat(Loader *l, const OnnxNode *o)
{
    int in[FSR_NN_MAX_INPUTS], ret, channels = 0, axis;
    const FsrNode *first;
    FsrNode *n;

    if ((ret = fsr_load_check_attrs(l, o, " axis ")) < 0 ||
        (ret = fsr_load_check_inputs(l, o, 1, FSR_NN_MAX_INPUTS)) < 0 || (ret = resolve_all(l, o, in)) < 0)
        return ret;
    first = &l->net->nodes[in[0]];
    if ((ret = axis = fsr_load_axis(l, o, first, fsr_load_attr_int(o, "axis", 0))) < 0)
        return ret;
    for (size_t i = 0; i < o->n_input; i++) {
        const FsrNode *v = &l->net->nodes[in[i]];

        channels = axis == 1 || !i ? channels + v->channels : channels;
        if ((axis == 1 && different_sizes(v, first)) || (axis != 1 && v->channels != first->channels) ||
            v->rank != first->rank)
            return FAIL(l, -EINVAL, "Concat '%.80s': inputs of different sizes", label(o));
    }
    if (channels > FSR_NN_MAX_CHANNELS)
        return FAIL(l, -E2BIG, "Concat '%.80s': more than %d planes", label(o),
                    FSR_NN_MAX_CHANNELS);
    n = fsr_load_add_node(l, FSR_OP_CONCAT, label(o));
    n->nb_in = (int)o->n_input;
    memcpy(n->in, in, o->n_input * sizeof(*in));
    n->axis     = axis;
    n->rank     = first->rank;
    n->channels = channels;
    n->scale    = axis == 1 ? first->scale : 0;
    if (!n->scale)
        l->net->whole = 1;
    return l->net->nb_nodes - 1;
}

/* Any two values that broadcast. */
static int add_binary(Loader *l, const OnnxNode *o, FsrOp op)
{
    int in[2], ret;
    FsrNode *n;
    const FsrNode *a, *b;

    if ((ret = resolve_all(l, o, in)) < 0)
        return ret;
    a = &l->net->nodes[in[0]];
    b = &l->net->nodes[in[1]];
    if (different_sizes(a, b) || (a->channels != b->channels && a->channels != 1 && b->channels != 1))
        return FAIL(l, -ENOSYS, "%s '%.80s': inputs of different shapes are not supported",
                    o->op_type, label(o));
    n = fsr_load_add_node(l, op, label(o));
    n->nb_in    = 2;
    n->in[0]    = in[0];
    n->in[1]    = in[1];
    n->rank     = a->rank > b->rank ? a->rank : b->rank;
    n->channels = a->channels > b->channels ? a->channels : b->channels;
    n->scale    = a->scale && b->scale ? a->scale : 0;
    if (!n->scale || op == FSR_OP_PRELU)
        l->net->whole = 1;
    return l->net->nb_nodes - 1;
}

/* ---- operators on single values ----------------------------------------------- */

int fsr_load_add_map(Loader *l, const OnnxNode *o, int src, FsrMap map)
{
    const FsrNode *in = &l->net->nodes[src];
    const size_t   room = fsr_nn_stride(in->channels, 0);
    FsrNode *n = fsr_load_add_node(l, FSR_OP_MAP, label(o));

    n->map      = map;
    n->nb_in    = 1;
    n->in[0]    = src;
    n->rank     = in->rank;
    n->channels = in->channels;
    n->scale    = in->scale;
    n->weights  = calloc(room, sizeof(*n->weights));
    n->bias     = calloc(room, sizeof(*n->bias));
    if (!n->weights || !n->bias)
        return FAIL(l, -ENOMEM, "out of memory");
    return l->net->nb_nodes - 1;
}

static int is_per_plane(const OnnxTensor *t, int channels, int vector)
{
    for (size_t i = 0; i < t->n_dims; i++)
        if (t->dims[i] != 1 && (t->dims[i] != channels || i + (vector ? 1 : 3) != t->n_dims))
            return 0;
    return 1;
}

int fsr_load_per_plane(Loader *l, const OnnxNode *o, const char *name, int channels, int vector,
                     float *dst)
{
    const OnnxTensor *t = fsr_load_find_tensor(l, name);
    float  *v = NULL;
    int64_t count;
    int     ret;

    if (!t)
        return FAIL(l, -EINVAL, "%s '%.80s': tensor '%.80s' is missing", o->op_type, label(o), name);
    if ((ret = fsr_load_tensor_count(l, t, &count)) < 0)
        return ret;
    if (!is_per_plane(t, channels, vector))
        return FAIL(l, -ENOSYS, "%s '%.80s': '%.80s' must have one value or one for each plane",
                    o->op_type, label(o), name);
    if ((ret = fsr_load_read_numbers(l, t, &v)) >= 0)
        for (int c = 0; c < channels; c++)
            dst[c] = v[count == 1 ? 0 : c];
    free(v);
    return ret;
}

/* The value of node's input i, which the operator allows to be an attribute, an input or absent. */
static int scalar(Loader *l, const OnnxNode *o, const char *attr, size_t i, float def, float *dst)
{
    const OnnxAttr *a = fsr_load_find_attr(o, attr);

    *dst = a ? a->f : def;
    if (o->n_input <= i || !*str(o->input[i]))
        return 0;
    return fsr_load_per_plane(l, o, o->input[i], 1, 1, dst);
}

int fsr_load_one_input(Loader *l, const OnnxNode *o, size_t max_inputs, const char *attrs)
{
    int src, ret;

    if ((ret = fsr_load_check_attrs(l, o, attrs)) < 0 || (ret = fsr_load_check_inputs(l, o, 1, max_inputs)) < 0 ||
        (src = ret = fsr_load_resolve(l, str(o->input[0]))) < 0)
        return ret;
    if (!l->net->nodes[src].channels)
        return FAIL(l, -EINVAL, "%s '%.80s': the model does not say how many planes its input has",
                    o->op_type, label(o));
    return src;
}

int fsr_load_picture(Loader *l, const OnnxNode *o, size_t max_inputs, const char *attrs)
{
    const int src = fsr_load_one_input(l, o, max_inputs, attrs);

    if (src >= 0 && l->net->nodes[src].rank != 4)
        return FAIL(l, -ENOSYS, "%s '%.80s': its input has %d dimensions, must have 4", o->op_type,
                    label(o), l->net->nodes[src].rank);
    return src;
}

int fsr_load_axis(const Loader *l, const OnnxNode *o, const FsrNode *value, int64_t axis)
{
    const int rank = value->rank;

    if (axis < -rank || axis >= rank)
        return FAIL(l, -EINVAL, "%s '%.80s': axis %lld of %d dimensions", o->op_type, label(o),
                    (long long)axis, rank);
    axis += axis < 0 ? 4 : 4 - rank;
    if (!axis)
        return FAIL(l, -ENOSYS, "%s '%.80s': the axis of batches is not supported", o->op_type,
                    label(o));
    return (int)axis;
}

static int add_slope(Loader *l, const OnnxNode *o)
{
    const OnnxAttr *alpha = fsr_load_find_attr(o, "alpha");
    const int prelu = !strcmp(o->op_type, "PRelu");
    FsrNode *n;
    int src, ret;

    if ((src = fsr_load_one_input(l, o, 1 + prelu, prelu ? "" : " alpha ")) < 0)
        return src;
    if (prelu && (ret = fsr_load_check_inputs(l, o, 2, 2)) < 0)
        return ret;
    if (prelu && fsr_load_find_tensor(l, str(o->input[1])) &&
        !is_per_plane(fsr_load_find_tensor(l, str(o->input[1])), l->net->nodes[src].channels, 0))
        return add_binary(l, o, FSR_OP_PRELU);
    if ((ret = fsr_load_add_map(l, o, src, FSR_MAP_SLOPE)) < 0)
        return ret;
    n = &l->net->nodes[ret];
    if (prelu) {
        int code = fsr_load_per_plane(l, o, str(o->input[1]), n->channels, 0, n->weights);
        return code < 0 ? code : ret;
    }
    for (int c = 0; c < n->channels; c++)
        n->weights[c] = alpha ? alpha->f : 0.01f;
    return ret;
}

static int add_clip(Loader *l, const OnnxNode *o)
{
    float lo, hi;
    int src, ret;

    if ((src = fsr_load_one_input(l, o, 3, " min max ")) < 0)
        return src;
    if ((ret = scalar(l, o, "min", 1, -FLT_MAX, &lo)) < 0 ||
        (ret = scalar(l, o, "max", 2, FLT_MAX, &hi)) < 0 ||
        (ret = fsr_load_add_map(l, o, src, FSR_MAP_CLIP)) < 0)
        return ret;
    l->net->nodes[ret].weights[0] = lo;
    l->net->nodes[ret].bias[0]    = hi;
    return ret;
}

static int add_curve(Loader *l, const OnnxNode *o)
{
    const int hard = !strcmp(o->op_type, "HardSigmoid");
    const OnnxAttr *alpha = fsr_load_find_attr(o, "alpha"), *beta = fsr_load_find_attr(o, "beta");
    int src, ret;

    if ((src = fsr_load_one_input(l, o, 1, hard ? " alpha beta " : "")) < 0)
        return src;
    ret = fsr_load_add_map(l, o, src, hard ? FSR_MAP_HARD_SIGMOID :
                  !strcmp(o->op_type, "Tanh") ? FSR_MAP_TANH : FSR_MAP_SIGMOID);
    if (ret >= 0) {
        l->net->nodes[ret].weights[0] = alpha ? alpha->f : 0.2f;
        l->net->nodes[ret].bias[0]    = beta ? beta->f : 0.5f;
    }
    return ret;
}

static int add_batch_norm(Loader *l, const OnnxNode *o)
{
    const OnnxAttr *eps = fsr_load_find_attr(o, "epsilon");
    float  *t = NULL;               /* scale, shift, mean, variance of each plane */
    int     src, ret, planes;

    if ((src = fsr_load_picture(l, o, 5, " epsilon momentum training_mode spatial ")) < 0)
        return src;
    if ((ret = fsr_load_check_inputs(l, o, 5, 5)) < 0)
        return ret;
    if (fsr_load_attr_int(o, "training_mode", 0) || fsr_load_attr_int(o, "spatial", 1) != 1)
        return FAIL(l, -ENOSYS, "BatchNormalization '%.80s': only inference over planes is "
                    "supported", label(o));
    if ((ret = fsr_load_add_map(l, o, src, FSR_MAP_AFFINE)) < 0)
        return ret;
    planes = l->net->nodes[ret].channels;
    if (!(t = malloc(4 * planes * sizeof(*t))))
        return FAIL(l, -ENOMEM, "out of memory");
    for (int i = 0, code; i < 4; i++)
        if ((code = fsr_load_per_plane(l, o, str(o->input[i + 1]), planes, 1, t + i * planes)) < 0)
            ret = code;
    for (int c = 0; ret >= 0 && c < planes; c++) {
        const double var = t[3 * planes + c] + (double)(eps ? eps->f : 1e-5f);
        FsrNode *n = &l->net->nodes[ret];

        if (!(var > 0)) {
            ret = FAIL(l, -EINVAL, "BatchNormalization '%.80s': variance of plane %d is not "
                       "positive", label(o), c);
            break;
        }
        n->weights[c] = (float)(t[c] / sqrt(var));
        n->bias[c]    = (float)(t[planes + c] - t[2 * planes + c] * t[c] / sqrt(var));
    }
    free(t);
    return ret;
}

/* ---- arithmetic of two values -------------------------------------------------- */

/* One side is a constant: y = x * weight + bias for each plane. */
static int add_with_constant(Loader *l, const OnnxNode *o, int side, FsrOp op)
{
    FsrNode *n;
    int src, ret, code;

    if ((src = ret = fsr_load_resolve(l, str(o->input[!side]))) < 0)
        return ret;
    if (!l->net->nodes[src].channels)
        return FAIL(l, -EINVAL, "%s '%.80s': the model does not say how many planes its input has",
                    o->op_type, label(o));
    if ((ret = fsr_load_add_map(l, o, src, FSR_MAP_AFFINE)) < 0)
        return ret;
    n = &l->net->nodes[ret];
    code = fsr_load_per_plane(l, o, str(o->input[side]), n->channels, 0,
                     op == FSR_OP_MUL ? n->weights : n->bias);
    if (code < 0)
        return code;
    for (int c = 0; op != FSR_OP_MUL && c < n->channels; c++) {
        n->weights[c] = op == FSR_OP_SUB && side == 0 ? -1 : 1;
        if (op == FSR_OP_SUB && side == 1)
            n->bias[c] = -n->bias[c];
    }
    return ret;
}

static int add_arithmetic(Loader *l, const OnnxNode *o)
{
    const FsrOp op = !strcmp(o->op_type, "Add") ? FSR_OP_ADD :
                     !strcmp(o->op_type, "Sub") ? FSR_OP_SUB : FSR_OP_MUL;
    int ret;

    if ((ret = fsr_load_check_attrs(l, o, "")) < 0 || (ret = fsr_load_check_inputs(l, o, 2, 2)) < 0)
        return ret;
    for (int side = 0; side < 2; side++) {
        const OnnxTensor *t = fsr_load_find_tensor(l, str(o->input[side]));
        const int other = t ? fsr_load_resolve(l, str(o->input[!side])) : 0;

        if (other < 0)
            return other;
        if (t && is_per_plane(t, l->net->nodes[other].channels, 0))
            return add_with_constant(l, o, side, op);
    }
    return add_binary(l, o, op);
}

static int add_identity(Loader *l, const OnnxNode *o)
{
    int ret = fsr_load_check_inputs(l, o, 1, 1);
    return ret < 0 ? ret : fsr_load_resolve(l, str(o->input[0]));
}

static const struct {
    const char *name;
    int       (*add)(Loader *l, const OnnxNode *o);
} operators[] = {
    { "Add",                add_arithmetic },
    { "AveragePool",        fsr_load_pool },
    { "BatchNormalization", add_batch_norm },
    { "Clip",               add_clip },
    { "Concat",             add_concat },
    { "Conv",               fsr_load_conv },
    { "ConvTranspose",      fsr_load_conv_transpose },
    { "DepthToSpace",       add_shuffle },
    { "DequantizeLinear",   fsr_load_dequantize },
    { "Flatten",            fsr_load_reshape },
    { "Gemm",               fsr_load_gemm },
    { "GlobalAveragePool",  fsr_load_global_pool },
    { "HardSigmoid",        add_curve },
    { "Identity",           add_identity },
    { "LeakyRelu",          add_slope },
    { "MaxPool",            fsr_load_pool },
    { "Mul",                add_arithmetic },
    { "PRelu",              add_slope },
    { "Pad",                fsr_load_pad },
    { "QuantizeLinear",     fsr_load_quantize },
    { "Relu",               add_relu },
    { "Reshape",            fsr_load_reshape },
    { "Resize",             fsr_load_resize },
    { "Sigmoid",            add_curve },
    { "Slice",              fsr_load_slice },
    { "SpaceToDepth",       fsr_load_unshuffle },
    { "Sub",                add_arithmetic },
    { "Tanh",               add_curve },
    { "Upsample",           fsr_load_resize },
};

int fsr_load_operator(Loader *l, const OnnxNode *o)
{
    const char *op = str(o->op_type);

    if (*str(o->domain) && strcmp(o->domain, "ai.onnx"))
        return FAIL(l, -ENOSYS, "node '%.80s': operator %.40s of domain '%.40s' is not supported",
                    label(o), op, o->domain);
    for (size_t i = 1; i < o->n_output; i++)
        if (*str(o->output[i]))
            return FAIL(l, -ENOSYS, "%s '%.80s': only its first output is supported", op, label(o));
    for (size_t i = 0; i < sizeof(operators) / sizeof(*operators); i++)
        if (!strcmp(op, operators[i].name))
            return operators[i].add(l, o);
    return FAIL(l, -ENOSYS, "node '%.80s': operator %.40s is not supported", label(o), op);
}
