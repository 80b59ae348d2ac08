/* ONNX operators that change the size of planes -> nodes of the graph. */
#include "nn/load.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

FsrNode *fsr_load_add_sized(Loader *l, const OnnxNode *o, FsrOp op, int src)
{
    FsrNode *n = fsr_load_add_node(l, op, label(o));

    n->nb_in      = 1;
    n->in[0]      = src;
    n->rank       = l->net->nodes[src].rank;
    n->channels   = l->net->nodes[src].channels;
    l->net->whole = 1;
    return n;
}

/* ---- Resize, Upsample ----------------------------------------------------------- */

/* Position of the attribute's text in a list that ends with NULL; the first where there is
 * no attribute. */
static int choice(const Loader *l, const OnnxNode *o, const char *name, const char *const *list)
{
    const OnnxAttr *a = fsr_load_find_attr(o, name);

    if (!a)
        return 0;
    for (int i = 0; list[i]; i++)
        if (*list[i] && fsr_load_attr_is(a, list[i]))
            return i;
    return FAIL(l, -ENOSYS, "%s '%.80s': %s '%.*s' is not supported", o->op_type, label(o), name,
                (int)(a->s.len < 40 ? a->s.len : 40), a->s.data ? (const char *)a->s.data : "");
}

static int resize_attrs(const Loader *l, const OnnxNode *o, int old, FsrResize *r)
{
    static const char *const modes[]  = { "nearest", "linear", "cubic", NULL };
    static const char *const coords[] = { "half_pixel", "pytorch_half_pixel", "align_corners",
                                          "asymmetric", "tf_half_pixel_for_nn", NULL };
    static const char *const rounds[] = { "round_prefer_floor", "round_prefer_ceil", "floor",
                                          "ceil", NULL };
    const OnnxAttr *a = fsr_load_find_attr(o, "cubic_coeff_a"), *mode = fsr_load_find_attr(o, "mode");
    int m = choice(l, o, "mode", modes), c = choice(l, o, "coordinate_transformation_mode", coords);
    int n = choice(l, o, "nearest_mode", rounds);

    if (m < 0 && mode && fsr_load_attr_is(mode, "bilinear"))        /* as Upsample once had it */
        m = FSR_LINEAR;
    if (m < 0 || c < 0 || n < 0)
        return -ENOSYS;
    if (fsr_load_attr_int(o, "antialias", 0))
        return FAIL(l, -ENOSYS, "Resize '%.80s': antialias is not supported", label(o));
    r->mode    = m;
    r->coord   = old ? FSR_ASYMMETRIC : c;
    r->round   = old ? FSR_FLOOR : n;
    r->cubic_a = a ? a->f : -0.75f;
    r->exclude_outside = fsr_load_attr_int(o, "exclude_outside", 0) != 0;
    return 0;
}

static int resize_scales(Loader *l, const OnnxNode *o, const char *name, FsrResize *r)
{
    const OnnxTensor *t = fsr_load_find_tensor(l, name);
    float  *v = NULL;
    int64_t count;
    int     ret;

    if (!t)
        return FAIL(l, -ENOSYS, "%s '%.80s': its scales are not constant", o->op_type, label(o));
    if ((ret = fsr_load_tensor_count(l, t, &count)) < 0 || !count)
        return ret;
    if ((ret = fsr_load_read_tensor(l, t, &v)) >= 0) {
        if (count != 4 || v[0] != 1 || v[1] != 1 || !(v[2] > 0) || !(v[3] > 0))
            ret = FAIL(l, -ENOSYS, "%s '%.80s': only height and width can be resized, scales must "
                       "be 1, 1 and two more", o->op_type, label(o));
        r->fy = v[count > 2 ? 2 : 0];
        r->fx = v[count > 3 ? 3 : 0];
    }
    free(v);
    return ret;
}

static int resize_sizes(Loader *l, const OnnxNode *o, int planes, FsrResize *r)
{
    int64_t v[4];
    int     ret = fsr_load_ints(l, o, "sizes", str(o->input[3]), v, 4);

    if (ret < 0)
        return ret;
    if (ret != 4 || v[0] != 1 || v[1] != planes || v[2] < 1 || v[3] < 1 || v[2] > INT32_MAX ||
        v[3] > INT32_MAX)
        return FAIL(l, -ENOSYS, "Resize '%.80s': only height and width can be resized, sizes must "
                    "be 1, %d and two more", label(o), planes);
    r->h = (int)v[2];
    r->w = (int)v[3];
    return 0;
}

/* Inputs: Upsample and Resize of opset 10: X, scales; later: X, roi, scales, sizes. */
int fsr_load_resize(Loader *l, const OnnxNode *o)
{
    const int old = !strcmp(o->op_type, "Upsample") || l->opset < 11;
    FsrResize r = { 0 };
    FsrNode  *n;
    int       src, ret;

    if ((src = fsr_load_picture(l, o, 4, " mode nearest_mode coordinate_transformation_mode "
                                  "cubic_coeff_a exclude_outside extrapolation_value antialias ")) < 0)
        return src;
    if ((ret = resize_attrs(l, o, old, &r)) < 0)
        return ret;
    if (o->n_input > 1 + !old && *str(o->input[1 + !old]) &&
        (ret = resize_scales(l, o, str(o->input[1 + !old]), &r)) < 0)
        return ret;
    if (r.fx == 0) {
        if (old || o->n_input < 4 || !*str(o->input[3]))
            return FAIL(l, -EINVAL, "%s '%.80s': has neither scales nor sizes", o->op_type, label(o));
        if ((ret = resize_sizes(l, o, l->net->nodes[src].channels, &r)) < 0)
            return ret;
    }
    n = fsr_load_add_sized(l, o, FSR_OP_RESIZE, src);
    n->resize = r;
    return l->net->nb_nodes - 1;
}

/* ---- pools ------------------------------------------------------------------------ */

int fsr_load_pool(Loader *l, const OnnxNode *o)
{
    const int max = !strcmp(o->op_type, "MaxPool");
    const OnnxAttr *k = fsr_load_find_attr(o, "kernel_shape");
    FsrNode  *n;
    int       src, ret;

    if ((src = fsr_load_picture(l, o, 1, max ?
                                " kernel_shape strides pads auto_pad ceil_mode dilations storage_order " :
                                " kernel_shape strides pads auto_pad ceil_mode count_include_pad ")) < 0)
        return src;
    if (!k || k->n_ints != 2 || k->ints[0] < 1 || k->ints[1] < 1 || k->ints[0] > FSR_NN_MAX_KERNEL ||
        k->ints[1] > FSR_NN_MAX_KERNEL)
        return FAIL(l, -ENOSYS, "%s '%.80s': kernel_shape must be 2 numbers from 1 to %d", o->op_type,
                    label(o), FSR_NN_MAX_KERNEL);
    n = fsr_load_add_sized(l, o, max ? FSR_OP_MAX_POOL : FSR_OP_AVERAGE_POOL, src);
    n->kh = (int)k->ints[0];
    n->kw = (int)k->ints[1];
    if ((ret = fsr_load_window(l, o, n)) < 0)
        return ret;
    if (n->pad_left >= n->kw || n->pad_right >= n->kw || n->pad_top >= n->kh || n->pad_bottom >= n->kh)
        return FAIL(l, -EINVAL, "%s '%.80s': pads must be smaller than the window", o->op_type, label(o));
    n->ceil       = fsr_load_attr_int(o, "ceil_mode", 0) != 0;
    n->count_pads = fsr_load_attr_int(o, "count_include_pad", 0) != 0;
    return l->net->nb_nodes - 1;
}

int fsr_load_global_pool(Loader *l, const OnnxNode *o)
{
    const int src = fsr_load_picture(l, o, 1, "");

    if (src >= 0)
        fsr_load_add_sized(l, o, FSR_OP_GLOBAL_POOL, src);
    return src < 0 ? src : l->net->nb_nodes - 1;
}

/* ---- Pad, Slice ------------------------------------------------------------------- */

/* Integers of an attribute, or (from an opset on) of input i; their number, 0 where there are none. */
static int ints(Loader *l, const OnnxNode *o, const char *attr, size_t i, int64_t *v, int max)
{
    const OnnxAttr *a = fsr_load_find_attr(o, attr);

    if (!a)
        return o->n_input > i && *str(o->input[i]) ? fsr_load_ints(l, o, attr, o->input[i], v, max) : 0;
    if (a->n_ints > (size_t)max)
        return FAIL(l, -EINVAL, "%s '%.80s': too many %s", o->op_type, label(o), attr);
    for (size_t k = 0; k < a->n_ints; k++)
        v[k] = a->ints[k];
    return (int)a->n_ints;
}

int fsr_load_pad(Loader *l, const OnnxNode *o)
{
    static const char *const modes[] = { "constant", "edge", "reflect", NULL };
    const OnnxAttr *value = fsr_load_find_attr(o, "value");
    const int mode = choice(l, o, "mode", modes);
    int64_t   p[8], all[8] = { 0 };
    FsrNode  *n;
    int       src, ret, rank;

    if ((src = fsr_load_one_input(l, o, 3, " mode pads value ")) < 0 || mode < 0)
        return src < 0 ? src : mode;
    rank = l->net->nodes[src].rank;
    if ((ret = ints(l, o, "pads", 1, p, 8)) < 0)
        return ret;
    if (ret != 2 * rank)
        return FAIL(l, -EINVAL, "Pad '%.80s': %d pads for %d dimensions", label(o), ret, rank);
    for (int i = 0; i < 2 * rank; i++)
        all[i < rank ? 4 - rank + i : 8 - 2 * rank + i] = p[i];
    for (int i = 0; i < 8; i++)
        if (all[i] < -FSR_NN_MAX_SIZE || all[i] > FSR_NN_MAX_SIZE || (i % 4 < 2 && all[i]))
            return FAIL(l, -ENOSYS, "Pad '%.80s': only height and width can be padded, by up to %d",
                        label(o), FSR_NN_MAX_SIZE);
    n = fsr_load_add_sized(l, o, FSR_OP_PAD, src);
    n->pad_mode   = mode;
    n->pad_top    = (int)all[2];
    n->pad_left   = (int)all[3];
    n->pad_bottom = (int)all[6];
    n->pad_right  = (int)all[7];
    n->pad_value  = value ? value->f : 0;
    ret = l->net->nb_nodes - 1;
    if (o->n_input > 2 && *str(o->input[2])) {
        int code = fsr_load_per_plane(l, o, o->input[2], 1, 1, &n->pad_value);
        return code < 0 ? code : ret;
    }
    return ret;
}

int fsr_load_slice(Loader *l, const OnnxNode *o)
{
    int64_t  start[4], end[4], axes[4] = { 0, 1, 2, 3 }, step[4] = { 1, 1, 1, 1 };
    int      src, nb, nb_end, nb_axes, nb_steps, first;
    FsrNode *n;

    if ((src = fsr_load_one_input(l, o, 5, " starts ends axes ")) < 0)
        return src;
    if ((nb = ints(l, o, "starts", 1, start, 4)) < 0 || (nb_end = ints(l, o, "ends", 2, end, 4)) < 0 ||
        (nb_axes = ints(l, o, "axes", 3, axes, 4)) < 0 || (nb_steps = ints(l, o, "steps", 4, step, 4)) < 0)
        return -ENOSYS;
    if (nb < 1 || nb_end != nb || (nb_axes && nb_axes != nb) || (nb_steps && nb_steps != nb))
        return FAIL(l, -EINVAL, "Slice '%.80s': starts, ends, axes and steps are not as many", label(o));
    n = fsr_load_add_sized(l, o, FSR_OP_SLICE, src);
    for (int i = 0; i < 4; i++) {
        n->range[i][1] = INT64_MAX;
        n->range[i][2] = 1;
    }
    for (int i = 0; i < nb; i++) {
        const int axis = fsr_load_axis(l, o, n, axes[i]);

        if (axis < 0 && (axes[i] + n->rank) % n->rank == 0 && start[i] == 0 && end[i] >= 1 && step[i] == 1)
            continue;                           /* the whole batch */
        if (axis < 0)
            return axis;
        if (!step[i])
            return FAIL(l, -EINVAL, "Slice '%.80s': a step of 0", label(o));
        n->range[axis][0] = start[i];
        n->range[axis][1] = end[i];
        n->range[axis][2] = step[i];
    }
    n->channels = fsr_slice_count(n->range[1], n->channels, &first);
    if (!n->channels)
        return FAIL(l, -EINVAL, "Slice '%.80s': nothing is left", label(o));
    return l->net->nb_nodes - 1;
}

/* ---- SpaceToDepth, Flatten, Reshape ------------------------------------------------- */

int fsr_load_unshuffle(Loader *l, const OnnxNode *o)
{
    const int64_t block = fsr_load_attr_int(o, "blocksize", 0);
    const int src = fsr_load_picture(l, o, 1, " blocksize ");
    FsrNode  *n;

    if (src < 0)
        return src;
    if (block < 1 || block > FSR_NN_MAX_KERNEL ||
        l->net->nodes[src].channels * block * block > FSR_NN_MAX_CHANNELS)
        return FAIL(l, -ENOSYS, "SpaceToDepth '%.80s': blocksize %lld is not supported", label(o),
                    (long long)block);
    n = fsr_load_add_sized(l, o, FSR_OP_UNSHUFFLE, src);
    n->block     = (int)block;
    n->channels *= (int)(block * block);
    return l->net->nb_nodes - 1;
}

static int flatten(Loader *l, const OnnxNode *o, int src)
{
    const int     rank = l->net->nodes[src].rank;
    const int64_t axis = fsr_load_attr_int(o, "axis", 1);
    FsrNode      *n;

    if (axis < -rank || axis > rank)
        return FAIL(l, -EINVAL, "Flatten '%.80s': axis %lld of %d dimensions", label(o), (long long)axis, rank);
    n = fsr_load_add_sized(l, o, FSR_OP_RESHAPE, src);
    n->axis     = (int)(axis < 0 ? 4 + axis : 4 - rank + axis);
    n->rank     = 2;
    n->channels = 1;
    return l->net->nb_nodes - 1;
}

int fsr_load_reshape(Loader *l, const OnnxNode *o)
{
    const int is_flatten = !strcmp(o->op_type, "Flatten");
    int64_t   shape[4];
    FsrNode  *n;
    int       src, nb;

    if ((src = fsr_load_one_input(l, o, 2 - is_flatten, is_flatten ? " axis " : " allowzero ")) < 0)
        return src;
    if (is_flatten)
        return flatten(l, o, src);
    if ((nb = ints(l, o, "shape", 1, shape, 4)) < 0)
        return nb;
    n = fsr_load_add_sized(l, o, FSR_OP_RESHAPE, src);
    for (int i = 0; i < 4; i++) {
        const int     k  = i - 4 + nb, from = k + 4 - n->rank;
        const int64_t v = k < 0 ? 1 : shape[k];

        if (v < -1 || v > FSR_NN_MAX_SIZE || (!v && (from > 3 || fsr_load_attr_int(o, "allowzero", 0))))
            return FAIL(l, -EINVAL, "Reshape '%.80s': dimension %d is out of range", label(o), k);
        n->shape[i] = v ? v : FSR_SHAPE_COPY - from;
    }
    if (n->shape[0] == -1 || n->shape[0] == FSR_SHAPE_COPY)
        n->shape[0] = 1;
    if (nb < 1 || n->shape[0] != 1 || (n->shape[1] < 1 && n->shape[1] != FSR_SHAPE_COPY - 1) ||
        n->shape[1] > FSR_NN_MAX_CHANNELS)
        return FAIL(l, -ENOSYS, "Reshape '%.80s': the result must have 1 to 4 dimensions, a batch of 1 "
                    "and a given number of planes", label(o));
    n->axis     = -1;
    n->rank     = nb;
    n->channels = n->shape[1] > 0 ? (int)n->shape[1] : n->channels;
    return l->net->nb_nodes - 1;
}

/* ---- Gemm --------------------------------------------------------------------------- */

/* Weights [N][K] times alpha. */
static int gemm_weights(Loader *l, const OnnxNode *o, FsrNode *n)
{
    const OnnxTensor *b = fsr_load_find_tensor(l, str(o->input[1]));
    const OnnxAttr   *alpha = fsr_load_find_attr(o, "alpha");
    const int trans = fsr_load_attr_int(o, "transB", 0) != 0;
    float *v = NULL;
    int    ret;

    if (!b)
        return FAIL(l, -ENOSYS, "Gemm '%.80s': its second matrix is not constant", label(o));
    if (b->n_dims != 2 || b->dims[0] < 1 || b->dims[1] < 1 || b->dims[0] > FSR_NN_MAX_SIZE ||
        b->dims[1] > FSR_NN_MAX_SIZE)
        return FAIL(l, -EINVAL, "Gemm '%.80s': its second matrix has %zu dimensions or is too large",
                    label(o), b->n_dims);
    n->w  = (int)b->dims[!trans];
    n->kw = (int)b->dims[trans];
    if ((ret = fsr_load_read_tensor(l, b, &v)) >= 0) {
        n->weights = malloc((size_t)n->w * n->kw * sizeof(*n->weights));
        n->bias    = calloc(n->w, sizeof(*n->bias));
        if (!n->weights || !n->bias)
            ret = FAIL(l, -ENOMEM, "out of memory");
        for (int i = 0; ret >= 0 && i < n->w; i++)
            for (int k = 0; k < n->kw; k++)
                n->weights[(size_t)i * n->kw + k] = (alpha ? alpha->f : 1) *
                                                    v[trans ? i * n->kw + k : k * n->w + i];
    }
    free(v);
    return ret;
}

/* C: into the bias, or behind the product as a sum with a constant. */
static int gemm_sum(Loader *l, const OnnxNode *o, int product)
{
    const OnnxAttr   *beta = fsr_load_find_attr(o, "beta");
    const float       factor = beta ? beta->f : 1;
    FsrNode          *n = &l->net->nodes[product], *c;
    const OnnxTensor *t;
    int               constant;

    if (o->n_input < 3 || !*str(o->input[2]))
        return product;
    if (!(t = fsr_load_find_tensor(l, o->input[2])))
        return FAIL(l, -ENOSYS, "Gemm '%.80s': its third matrix is not constant", label(o));
    if ((constant = fsr_load_add_const(l, label(o), t)) < 0)
        return constant;
    c = &l->net->nodes[constant];
    for (int i = 0; i < c->w * c->h * c->channels; i++)
        c->weights[i] *= factor;
    if (c->channels == 1 && c->h == 1 && (c->w == 1 || c->w == n->w)) {
        for (int i = 0; i < n->w; i++)
            n->bias[i] = c->weights[c->w == 1 ? 0 : i];
        return product;
    }
    n = fsr_load_add_sized(l, o, FSR_OP_ADD, product);
    n->nb_in = 2;
    n->in[1] = constant;
    return l->net->nb_nodes - 1;
}

int fsr_load_gemm(Loader *l, const OnnxNode *o)
{
    FsrNode *n;
    int      src, ret;

    if ((src = fsr_load_one_input(l, o, 3, " alpha beta transA transB ")) < 0 ||
        (ret = fsr_load_check_inputs(l, o, 2, 3)) < 0)
        return src < 0 ? src : ret;
    if (l->net->nodes[src].rank != 2)
        return FAIL(l, -EINVAL, "Gemm '%.80s': its input has %d dimensions, must have 2", label(o),
                    l->net->nodes[src].rank);
    if (fsr_load_attr_int(o, "transA", 0)) {
        fsr_load_add_sized(l, o, FSR_OP_TRANSPOSE, src);
        src = l->net->nb_nodes - 1;
    }
    n = fsr_load_add_sized(l, o, FSR_OP_GEMM, src);
    if ((ret = gemm_weights(l, o, n)) < 0)
        return ret;
    return gemm_sum(l, o, l->net->nb_nodes - 1);
}
