/* ONNX constants as values, QuantizeLinear and DequantizeLinear -> nodes of the graph. */
#include "nn/load.h"

#include <errno.h>

int fsr_load_add_const(Loader *l, const char *name, const OnnxTensor *t)
{
    int64_t  dims[4] = { 1, 1, 1, 1 };
    FsrNode *n;
    int      ret;

    if (t->n_dims > 4)
        return FAIL(l, -ENOSYS, "tensor '%.80s': has %zu dimensions, up to 4 are supported", name, t->n_dims);
    for (size_t i = 0; i < t->n_dims; i++)
        dims[4 - t->n_dims + i] = t->dims[i];
    if (dims[0] != 1 || dims[1] < 1 || dims[2] < 1 || dims[3] < 1 || dims[1] > FSR_NN_MAX_CHANNELS ||
        dims[2] > FSR_NN_MAX_SIZE || dims[3] > FSR_NN_MAX_SIZE)
        return FAIL(l, -ENOSYS, "tensor '%.80s': a constant must have a batch of 1 and up to %d planes",
                    name, FSR_NN_MAX_CHANNELS);
    n = fsr_load_add_node(l, FSR_OP_CONST, name);
    n->rank     = t->n_dims ? (int)t->n_dims : 1;
    n->channels = (int)dims[1];
    n->h        = (int)dims[2];
    n->w        = (int)dims[3];
    ret = fsr_load_read_tensor(l, &l->net->memory, t, FSR_LOAD_FLOATS, &n->weights);
    return ret < 0 ? ret : l->net->nb_nodes - 1;
}

/* Node with scale and zero point of each plane; type: of the zero point, 0 without one. */
static int add_quantization(Loader *l, const OnnxNode *o, int src, FsrMap map, FsrNode **n, int *type)
{
    const FsrNode    *in    = &l->net->nodes[src];
    const OnnxTensor *scale = fsr_load_find_tensor(l, str(o->input[1]), FSR_LOAD_STORED);
    const OnnxTensor *zero  = fsr_load_has_input(o, 2) ? fsr_load_find_tensor(l, o->input[2], FSR_LOAD_STORED) : NULL;
    int64_t count;
    int     ret, axis;

    if (!scale)
        return REFUSE(l, o, -ENOSYS, "its scale is not constant");
    if ((ret = fsr_load_tensor_count(l, scale, &count)) < 0)
        return ret;
    if (count > 1 && (axis = fsr_load_axis(l, o, in, fsr_load_attr_int(o, "axis", 1))) != 1)
        return axis < 0 ? axis : REFUSE(l, o, -ENOSYS, "only one scale for each plane is supported");
    if (!(*n = fsr_load_add_map(l, o, src, map)))
        return -ENOMEM;
    *type = zero ? zero->data_type : 0;
    ret = fsr_load_per_plane(l, o, 1, in->channels, 1, (*n)->weights);
    return ret < 0 || !fsr_load_has_input(o, 2) ? ret : fsr_load_per_plane(l, o, 2, in->channels, 1, (*n)->bias);
}

int fsr_load_quantize(Loader *l, const OnnxNode *o, int src)
{
    FsrNode *n;
    int      type, ret = add_quantization(l, o, src, FSR_MAP_QUANTIZE, &n, &type);

    if (ret < 0)
        return ret;
    if (type != 0 && type != TYPE_UINT8 && type != TYPE_INT8)
        return REFUSE(l, o, -ENOSYS, "only uint8 and int8 are supported");
    for (int c = 0; c < n->channels; c++)
        if (!(n->weights[c] > 0))
            return REFUSE(l, o, -EINVAL, "a scale is not positive");
    n->low = type == TYPE_INT8 ? -128 : 0;
    n->top = type == TYPE_INT8 ? 127 : 255;
    return 0;
}

int fsr_load_dequantize(Loader *l, const OnnxNode *o, int src)
{
    FsrNode *n;
    int      type, ret = add_quantization(l, o, src, FSR_MAP_AFFINE, &n, &type);

    for (int c = 0; ret >= 0 && c < n->channels; c++)
        n->bias[c] *= -n->weights[c];
    return ret;
}

OnnxTensor *fsr_load_fold(Loader *l, const OnnxNode *o)
{
    const OnnxTensor *in[3] = { NULL }, *x;         /* values, scale, zero point */
    OnnxTensor *t;
    float  *v[3] = { NULL };
    int     n[3] = { 0 };
    int64_t axis = fsr_load_attr_int(o, "axis", 1), inner = 1;

    for (size_t i = 0; i < 3 && fsr_load_has_input(o, i); i++)
        if (!(in[i] = fsr_load_find_tensor(l, o->input[i], FSR_LOAD_STORED)) ||
            (n[i] = fsr_load_read_tensor(l, &l->temp, in[i], FSR_LOAD_NUMBERS, &v[i])) < 1)
            return NULL;
    x     = in[0];
    axis += axis < 0 && x ? (int64_t)x->n_dims : 0;
    if (!x || !in[1] || (in[2] && n[2] != n[1]) ||
        (n[1] > 1 && (axis < 0 || axis >= (int64_t)x->n_dims || x->dims[axis] != n[1])) ||
        !(t = fsr_alloc(&l->temp, sizeof(*t))))
        return NULL;
    for (int64_t i = axis + 1; n[1] > 1 && i < (int64_t)x->n_dims; i++)
        inner *= x->dims[i];
    for (int64_t i = 0; i < n[0]; i++) {
        const int64_t k = i / inner % n[1];         /* scales lie `inner` values apart */

        v[0][i] = (v[0][i] - (v[2] ? v[2][k] : 0)) * v[1][k];
    }
    fsr_onnx__tensor__init(t);
    t->has_data_type = 1;
    t->data_type     = TYPE_FLOAT;
    t->n_dims        = x->n_dims;
    t->dims          = x->dims;                     /* the model's */
    t->n_float_data  = n[0];
    t->float_data    = v[0];
    return t;
}
