/* ONNX operators -> nodes of the graph. Each refuses what it cannot do, by name. */
#include "nn/kernels.h"
#include "nn/load.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int64_t fsr_load_attr_int(const OnnxNode *n, const char *name, int64_t def)
{
    const OnnxAttr *a = fsr_load_find_attr(n, name);
    return a ? a->i : def;
}

float fsr_load_attr_float(const OnnxNode *n, const char *name, float def)
{
    const OnnxAttr *a = fsr_load_find_attr(n, name);
    return a ? a->f : def;
}

int fsr_load_choice(const Loader *l, const OnnxNode *o, const char *name, const char *const *list)
{
    const OnnxAttr *a = fsr_load_find_attr(o, name);

    if (!a)
        return 0;
    for (int i = 0; list[i]; i++)
        if (a->s.len == strlen(list[i]) && !memcmp(a->s.data, list[i], a->s.len))
            return i;
    return REFUSE(l, o, -ENOSYS, "%s '%.*s' is not supported", name, (int)(a->s.len < 40 ? a->s.len : 40),
                  a->s.data ? (const char *)a->s.data : "");
}

int fsr_load_refuse(const Loader *l, const OnnxNode *o, int code, const char *fmt, ...)
{
    char    reason[256];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(reason, sizeof(reason), fmt, ap);
    va_end(ap);
    return FAIL(l, code, "%s '%.80s': %s", str(o->op_type), label(o), reason);
}

FsrNode *fsr_load_derive(Loader *l, const OnnxNode *o, FsrOp op, int src)
{
    const FsrNode *in = &l->net->nodes[src];
    FsrNode       *n  = fsr_load_add_node(l, op, label(o));

    n->nb_in    = 1;
    n->in[0]    = src;
    n->rank     = in->rank;
    n->channels = in->channels;
    n->scale    = op > FSR_OP_CONCAT ? 0 : in->scale;
    return n;
}

/* The value of input i, whose planes are known. */
static int known_input(Loader *l, const OnnxNode *o, size_t i)
{
    const int src = fsr_load_resolve(l, str(o->input[i]));

    if (src >= 0 && !l->net->nodes[src].channels)
        return REFUSE(l, o, -EINVAL, "the model does not say how many planes its input has");
    return src;
}

static int add_plain(Loader *l, const OnnxNode *o, int src)
{
    fsr_load_derive(l, o, !strcmp(o->op_type, "Relu") ? FSR_OP_RELU : FSR_OP_GLOBAL_POOL, src);
    return 0;
}

static int add_shuffle(Loader *l, const OnnxNode *o, int src)
{
    static const char *const modes[] = { "DCR", "CRD", NULL };
    const FsrNode *in    = &l->net->nodes[src];
    const int64_t  block = fsr_load_attr_int(o, "blocksize", 0);
    const int      mode  = fsr_load_choice(l, o, "mode", modes);
    FsrNode       *n;

    if (mode < 0)
        return mode;
    if (block < 1 || block > FSR_NN_MAX_SCALE || block * in->scale > FSR_NN_MAX_SCALE)
        return REFUSE(l, o, -ENOSYS, "blocksize %lld is not supported (enlargement up to %d in all)",
                      (long long)block, FSR_NN_MAX_SCALE);
    if (in->channels % (block * block))
        return REFUSE(l, o, -EINVAL, "%d planes cannot be divided by %lld", in->channels, (long long)(block * block));
    n = fsr_load_derive(l, o, FSR_OP_SHUFFLE, src);
    n->block     = n->block_y = (int)block;
    n->crd       = mode;
    n->channels /= (int)(block * block);
    n->scale    *= (int)block;
    return 0;
}

/* Known to be; where a size is not known yet, the plan looks. */
static int different_sizes(const FsrNode *a, const FsrNode *b)
{
    return a->scale && b->scale && a->scale != b->scale;
}

static int add_concat(Loader *l, const OnnxNode *o, int src)
{
    const FsrNode *first = &l->net->nodes[src];
    const int      axis  = fsr_load_axis(l, o, first, fsr_load_attr_int(o, "axis", 0));
    int            in[FSR_NN_MAX_INPUTS] = { src }, channels = first->channels;
    FsrNode       *n;

    if (axis < 0)
        return axis;
    for (size_t i = 1; i < o->n_input; i++) {
        const FsrNode *v;

        if ((in[i] = known_input(l, o, i)) < 0)
            return in[i];
        v = &l->net->nodes[in[i]];
        channels += axis == 1 ? v->channels : 0;
        if ((axis == 1 && different_sizes(v, first)) || (axis != 1 && v->channels != first->channels) ||
            v->rank != first->rank)
            return REFUSE(l, o, -EINVAL, "inputs of different sizes");
    }
    if (channels > FSR_NN_MAX_CHANNELS)
        return REFUSE(l, o, -E2BIG, "more than %d planes", FSR_NN_MAX_CHANNELS);
    n = fsr_load_derive(l, o, FSR_OP_CONCAT, src);
    n->nb_in = (int)o->n_input;
    memcpy(n->in, in, sizeof(in));
    n->axis     = axis;
    n->channels = channels;
    n->scale    = axis == 1 ? first->scale : 0;
    return 0;
}

/* Any two values that broadcast. */
static int add_binary(Loader *l, const OnnxNode *o, FsrOp op)
{
    const int      first = known_input(l, o, 0), second = first < 0 ? first : known_input(l, o, 1);
    const FsrNode *a, *b;
    FsrNode       *n;

    if (second < 0)
        return second;
    a = &l->net->nodes[first];
    b = &l->net->nodes[second];
    if (different_sizes(a, b) || (a->channels != b->channels && a->channels != 1 && b->channels != 1))
        return REFUSE(l, o, -ENOSYS, "inputs of different shapes are not supported");
    n = fsr_load_derive(l, o, op, first);
    n->nb_in    = 2;
    n->in[1]    = second;
    n->rank     = a->rank > b->rank ? a->rank : b->rank;
    n->channels = a->channels > b->channels ? a->channels : b->channels;
    n->scale    = b->scale && op != FSR_OP_PRELU ? a->scale : 0;
    return 0;
}

/* ---- operators on single values ----------------------------------------------- */

FsrNode *fsr_load_add_map(Loader *l, const OnnxNode *o, int src, FsrMap map)
{
    FsrNode     *n    = fsr_load_derive(l, o, FSR_OP_MAP, src);
    const size_t room = fsr_nn_stride(n->channels, 0);

    n->map     = map;
    n->weights = fsr_alloc(&l->net->memory, room * sizeof(*n->weights));
    n->bias    = fsr_alloc(&l->net->memory, room * sizeof(*n->bias));
    return n->weights && n->bias ? n : NULL;
}

static int is_per_plane(const OnnxTensor *t, int channels, int vector)
{
    for (size_t i = 0; i < t->n_dims; i++)
        if (t->dims[i] != 1 && (t->dims[i] != channels || i + (vector ? 1 : 3) != t->n_dims))
            return 0;
    return 1;
}

int fsr_load_per_plane(Loader *l, const OnnxNode *o, size_t i, int channels, int vector, float *dst)
{
    const char       *name = str(o->input[i]);
    const OnnxTensor *t    = fsr_load_find_tensor(l, name, FSR_LOAD_COMPUTED);
    float *v;
    int    ret;

    if (!t)
        return REFUSE(l, o, -EINVAL, "tensor '%.80s' is missing", name);
    if (!is_per_plane(t, channels, vector))
        return REFUSE(l, o, -ENOSYS, "'%.80s' must have one value or one for each plane", name);
    ret = fsr_load_read_tensor(l, &l->temp, t, FSR_LOAD_NUMBERS, &v);
    for (int c = 0; ret > 0 && c < channels; c++)
        dst[c] = v[ret == 1 ? 0 : c];
    return ret;
}

int fsr_load_scalar(Loader *l, const OnnxNode *o, const char *attr, size_t i, float def, float *dst)
{
    *dst = fsr_load_attr_float(o, attr, def);
    return fsr_load_has_input(o, i) ? fsr_load_per_plane(l, o, i, 1, 1, dst) : 0;
}

int fsr_load_axis(const Loader *l, const OnnxNode *o, const FsrNode *value, int64_t axis)
{
    const int rank = value->rank;

    if (axis < -rank || axis >= rank)
        return REFUSE(l, o, -EINVAL, "axis %lld of %d dimensions", (long long)axis, rank);
    axis += axis < 0 ? 4 : 4 - rank;
    if (!axis)
        return REFUSE(l, o, -ENOSYS, "the axis of batches is not supported");
    return (int)axis;
}

static int add_prelu(Loader *l, const OnnxNode *o, int src)
{
    const OnnxTensor *slope = fsr_load_find_tensor(l, str(o->input[1]), FSR_LOAD_COMPUTED);
    FsrNode          *n;

    if (slope && !is_per_plane(slope, l->net->nodes[src].channels, 0))
        return add_binary(l, o, FSR_OP_PRELU);
    if (!(n = fsr_load_add_map(l, o, src, FSR_MAP_SLOPE)))
        return -ENOMEM;
    return fsr_load_per_plane(l, o, 1, n->channels, 0, n->weights);
}

static int add_clip(Loader *l, const OnnxNode *o, int src)
{
    FsrNode *n = fsr_load_add_map(l, o, src, FSR_MAP_CLIP);
    int      ret;

    if (!n)
        return -ENOMEM;
    if ((ret = fsr_load_scalar(l, o, "min", 1, -FLT_MAX, n->weights)) < 0)
        return ret;
    return fsr_load_scalar(l, o, "max", 2, FLT_MAX, n->bias);
}

static int add_curve(Loader *l, const OnnxNode *o, int src)
{
    const int leaky = !strcmp(o->op_type, "LeakyRelu");
    FsrNode  *n = fsr_load_add_map(l, o, src, leaky ? FSR_MAP_SLOPE : !strcmp(o->op_type, "Tanh") ? FSR_MAP_TANH :
                                   !strcmp(o->op_type, "HardSigmoid") ? FSR_MAP_HARD_SIGMOID : FSR_MAP_SIGMOID);

    for (int c = 0; n && c < n->channels; c++) {
        n->weights[c] = fsr_load_attr_float(o, "alpha", leaky ? 0.01f : 0.2f);
        n->bias[c]    = fsr_load_attr_float(o, "beta", leaky ? 0 : 0.5f);
    }
    return n ? 0 : -ENOMEM;
}

static int add_batch_norm(Loader *l, const OnnxNode *o, int src)
{
    const int planes = l->net->nodes[src].channels;
    float    *t = fsr_alloc(&l->temp, 4 * planes * sizeof(*t));     /* scale, shift, mean, variance of each plane */
    FsrNode  *n;
    int       ret;

    if (fsr_load_attr_int(o, "training_mode", 0) || fsr_load_attr_int(o, "spatial", 1) != 1)
        return REFUSE(l, o, -ENOSYS, "only inference over planes is supported");
    if (!(n = fsr_load_add_map(l, o, src, FSR_MAP_AFFINE)) || !t)
        return -ENOMEM;
    for (int i = 0; i < 4; i++)
        if ((ret = fsr_load_per_plane(l, o, i + 1, planes, 1, t + i * planes)) < 0)
            return ret;
    for (int c = 0; c < planes; c++) {
        const double var = t[3 * planes + c] + (double)fsr_load_attr_float(o, "epsilon", 1e-5f);

        if (!(var > 0))
            return REFUSE(l, o, -EINVAL, "variance of plane %d is not positive", c);
        n->weights[c] = (float)(t[c] / sqrt(var));
        n->bias[c]    = (float)(t[planes + c] - t[2 * planes + c] * t[c] / sqrt(var));
    }
    return 0;
}

/* ---- arithmetic of two values -------------------------------------------------- */

/* One side is a constant: y = x * weight + bias for each plane. */
static int add_with_constant(Loader *l, const OnnxNode *o, int side, FsrOp op)
{
    const int src = known_input(l, o, !side);
    FsrNode  *n;
    int       ret;

    if (src < 0)
        return src;
    if (!(n = fsr_load_add_map(l, o, src, FSR_MAP_AFFINE)))
        return -ENOMEM;
    ret = fsr_load_per_plane(l, o, side, n->channels, 0, op == FSR_OP_MUL ? n->weights : n->bias);
    for (int c = 0; op != FSR_OP_MUL && c < n->channels; c++) {
        n->weights[c] = op == FSR_OP_SUB && side == 0 ? -1 : 1;
        if (op == FSR_OP_SUB && side == 1)
            n->bias[c] = -n->bias[c];
    }
    return ret;
}

/* src: whichever is looked at first may be a constant. */
static int add_arithmetic(Loader *l, const OnnxNode *o, int src)
{
    const FsrOp op = !strcmp(o->op_type, "Add") ? FSR_OP_ADD :
                     !strcmp(o->op_type, "Sub") ? FSR_OP_SUB : FSR_OP_MUL;

    (void)src;
    for (int side = 0; side < 2; side++) {
        const OnnxTensor *t = fsr_load_find_tensor(l, str(o->input[side]), FSR_LOAD_COMPUTED);
        const int other = t ? fsr_load_resolve(l, str(o->input[!side])) : 0;

        if (other < 0)
            return other;
        if (t && is_per_plane(t, l->net->nodes[other].channels, 0))
            return add_with_constant(l, o, side, op);
    }
    return add_binary(l, o, op);
}

/* What an operator wants of its first input, before its function is called. */
typedef enum Source {
    OTHERS,         /* nothing: its function looks at its inputs itself */
    ANY,            /* a value */
    KNOWN,          /* a value whose planes are known */
    PICTURE,        /* the same with 4 dimensions */
} Source;

#define RESIZE_ATTRS " mode nearest_mode coordinate_transformation_mode cubic_coeff_a exclude_outside " \
                     "extrapolation_value antialias "

/* attrs: those that it may have, separated by spaces, with one in front and one behind; NULL: any. */
static const struct {
    const char *name;
    FsrLoadOp  *add;                /* NULL: the value is that of the first input */
    size_t      min, max;           /* inputs */
    Source      source;
    const char *attrs;
} operators[] = {
    { "Add",                add_arithmetic, 2, 2, OTHERS, "" },
    { "AveragePool",        fsr_load_pool, 1, 1, PICTURE,
      " kernel_shape strides pads auto_pad ceil_mode count_include_pad " },
    { "BatchNormalization", add_batch_norm, 5, 5, PICTURE, " epsilon momentum training_mode spatial " },
    { "Clip",               add_clip, 1, 3, KNOWN, " min max " },
    { "Concat",             add_concat, 1, FSR_NN_MAX_INPUTS, KNOWN, " axis " },
    { "Conv",               fsr_load_conv, 2, 3, ANY, " auto_pad dilations group kernel_shape pads strides " },
    { "ConvTranspose",      fsr_load_conv_transpose, 2, 3, PICTURE,
      " auto_pad dilations group kernel_shape pads strides output_padding output_shape " },
    { "DepthToSpace",       add_shuffle, 1, 1, PICTURE, " blocksize mode " },
    { "DequantizeLinear",   fsr_load_dequantize, 2, 3, KNOWN, " axis " },
    { "Flatten",            fsr_load_flatten, 1, 1, KNOWN, " axis " },
    { "Gemm",               fsr_load_gemm, 2, 3, KNOWN, " alpha beta transA transB " },
    { "GlobalAveragePool",  add_plain, 1, 1, PICTURE, "" },
    { "HardSigmoid",        add_curve, 1, 1, KNOWN, " alpha beta " },
    { "Identity",           NULL, 1, 1, ANY, NULL },
    { "LeakyRelu",          add_curve, 1, 1, KNOWN, " alpha " },
    { "MaxPool",            fsr_load_pool, 1, 1, PICTURE,
      " kernel_shape strides pads auto_pad ceil_mode dilations storage_order " },
    { "Mul",                add_arithmetic, 2, 2, OTHERS, "" },
    { "PRelu",              add_prelu, 2, 2, KNOWN, "" },
    { "Pad",                fsr_load_pad, 1, 3, KNOWN, " mode pads value " },
    { "QuantizeLinear",     fsr_load_quantize, 2, 3, KNOWN, " axis " },
    { "Relu",               add_plain, 1, 1, KNOWN, "" },
    { "Reshape",            fsr_load_reshape, 1, 2, KNOWN, " allowzero " },
    { "Resize",             fsr_load_resize, 1, 4, PICTURE, RESIZE_ATTRS },
    { "Sigmoid",            add_curve, 1, 1, KNOWN, "" },
    { "Slice",              fsr_load_slice, 1, 5, KNOWN, " starts ends axes " },
    { "SpaceToDepth",       fsr_load_unshuffle, 1, 1, PICTURE, " blocksize " },
    { "Sub",                add_arithmetic, 2, 2, OTHERS, "" },
    { "Tanh",               add_curve, 1, 1, KNOWN, "" },
    { "Upsample",           fsr_load_resize, 1, 4, PICTURE, RESIZE_ATTRS },
};

enum { NB_OPERATORS = sizeof(operators) / sizeof(*operators) };

static int check_attrs(const Loader *l, const OnnxNode *n, const char *known)
{
    for (size_t i = 0; known && i < n->n_attribute; i++) {
        const char *name = str(n->attribute[i]->name);
        char key[40];

        if (snprintf(key, sizeof(key), " %s ", name) >= (int)sizeof(key) || !strstr(known, key))
            return REFUSE(l, n, -ENOSYS, "attribute '%.40s' is not supported", name);
    }
    return 0;
}

int fsr_load_operator(Loader *l, const OnnxNode *o)
{
    const char *op = str(o->op_type);
    size_t k = 0;
    int    src = 0, ret;

    if (*str(o->domain) && strcmp(o->domain, "ai.onnx"))
        return FAIL(l, -ENOSYS, "node '%.80s': operator %.40s of domain '%.40s' is not supported", label(o), op, o->domain);
    for (size_t i = 1; i < o->n_output; i++)
        if (*str(o->output[i]))
            return REFUSE(l, o, -ENOSYS, "only its first output is supported");
    while (k < NB_OPERATORS && strcmp(op, operators[k].name))
        k++;
    if (k == NB_OPERATORS)
        return FAIL(l, -ENOSYS, "node '%.80s': operator %.40s is not supported", label(o), op);
    if ((ret = check_attrs(l, o, operators[k].attrs)) < 0)
        return ret;
    if (o->n_input < operators[k].min || o->n_input > operators[k].max)
        return REFUSE(l, o, -EINVAL, "has %zu inputs, must have %zu to %zu", o->n_input, operators[k].min,
                      operators[k].max);
    if (operators[k].source != OTHERS)
        src = operators[k].source == ANY ? fsr_load_resolve(l, str(o->input[0])) : known_input(l, o, 0);
    if (src < 0 || !operators[k].add)
        return src;
    if (operators[k].source == PICTURE && l->net->nodes[src].rank != 4)
        return REFUSE(l, o, -ENOSYS, "its input has %d dimensions, must have 4", l->net->nodes[src].rank);
    ret = operators[k].add(l, o, src);
    return ret < 0 ? ret : l->net->nb_nodes - 1;
}
