/* ONNX operators that change the size of planes -> nodes of the graph. */
#include "nn/load.h"

#include <errno.h>
#include <string.h>

/* ---- Resize, Upsample ----------------------------------------------------------- */

static int resize_attrs(const Loader *l, const OnnxNode *o, int old, FsrResize *r)
{
    static const char *const modes[]  = { "nearest", "linear", "cubic", "bilinear", NULL };
    static const char *const coords[] = { "half_pixel", "pytorch_half_pixel", "align_corners",
                                          "asymmetric", "tf_half_pixel_for_nn", NULL };
    static const char *const rounds[] = { "round_prefer_floor", "round_prefer_ceil", "floor", "ceil", NULL };
    const int m = fsr_load_choice(l, o, "mode", modes);
    const int c = fsr_load_choice(l, o, "coordinate_transformation_mode", coords);
    const int n = fsr_load_choice(l, o, "nearest_mode", rounds);

    if (m < 0 || c < 0 || n < 0)
        return -ENOSYS;
    if (fsr_load_attr_int(o, "antialias", 0))
        return REFUSE(l, o, -ENOSYS, "antialias is not supported");
    r->mode    = m > FSR_CUBIC ? FSR_LINEAR : m;            /* bilinear: as Upsample once had it */
    r->coord   = old ? FSR_ASYMMETRIC : c;
    r->round   = old ? FSR_FLOOR : n;
    r->cubic_a = fsr_load_attr_float(o, "cubic_coeff_a", -0.75f);
    r->exclude_outside = fsr_load_attr_int(o, "exclude_outside", 0) != 0;
    return 0;
}

static int resize_scales(Loader *l, const OnnxNode *o, const char *name, FsrResize *r)
{
    const OnnxTensor *t = fsr_load_find_tensor(l, name, FSR_LOAD_COMPUTED);
    float *v;
    int    ret;

    if (!t)
        return REFUSE(l, o, -ENOSYS, "its scales are not constant");
    if ((ret = fsr_load_read_tensor(l, &l->temp, t, FSR_LOAD_FLOATS, &v)) <= 0)
        return ret;
    if (ret != 4 || v[0] != 1 || v[1] != 1 || !(v[2] > 0) || !(v[3] > 0))
        return REFUSE(l, o, -ENOSYS, "only height and width can be resized, scales must be 1, 1 and two more");
    r->fy = v[2];
    r->fx = v[3];
    return 0;
}

static int resize_sizes(Loader *l, const OnnxNode *o, int planes, FsrResize *r)
{
    int64_t v[4];
    int     ret = fsr_load_ints(l, o, "sizes", 3, v, 4);

    if (ret < 0)
        return ret;
    if (ret != 4 || v[0] != 1 || v[1] != planes || v[2] < 1 || v[3] < 1 || v[2] > INT32_MAX || v[3] > INT32_MAX)
        return REFUSE(l, o, -ENOSYS, "only height and width can be resized, sizes must be 1, %d and two more", planes);
    r->h = (int)v[2];
    r->w = (int)v[3];
    return 0;
}

/* Inputs: Upsample and Resize of opset 10: X, scales; later: X, roi, scales, sizes. */
int fsr_load_resize(Loader *l, const OnnxNode *o, int src)
{
    const int old = !strcmp(o->op_type, "Upsample") || l->opset < 11;
    FsrResize r   = { 0 };
    int       ret = resize_attrs(l, o, old, &r);
    FsrNode  *n;

    if (ret >= 0 && fsr_load_has_input(o, 1 + !old))
        ret = resize_scales(l, o, o->input[1 + !old], &r);
    if (ret < 0)
        return ret;
    if (r.fx == 0 && (old || !fsr_load_has_input(o, 3)))
        return REFUSE(l, o, -EINVAL, "has neither scales nor sizes");
    if (r.fx == 0 && (ret = resize_sizes(l, o, l->net->nodes[src].channels, &r)) < 0)
        return ret;
    n = fsr_load_derive(l, o, FSR_OP_RESIZE, src);
    n->resize = r;
    return 0;
}

/* ---- pools ------------------------------------------------------------------------ */

int fsr_load_pool(Loader *l, const OnnxNode *o, int src)
{
    const int max = !strcmp(o->op_type, "MaxPool");
    FsrNode  *n   = fsr_load_derive(l, o, max ? FSR_OP_MAX_POOL : FSR_OP_AVERAGE_POOL, src);
    int       ret = fsr_load_window(l, o, n);

    if (ret < 0)
        return ret;
    if (n->pad.left >= n->kw || n->pad.right >= n->kw || n->pad.top >= n->kh || n->pad.bottom >= n->kh)
        return REFUSE(l, o, -EINVAL, "pads must be smaller than the window");
    n->ceil       = fsr_load_attr_int(o, "ceil_mode", 0) != 0;
    n->count_pads = fsr_load_attr_int(o, "count_include_pad", 0) != 0;
    return 0;
}

/* ---- Pad, Slice ------------------------------------------------------------------- */

int fsr_load_pad(Loader *l, const OnnxNode *o, int src)
{
    static const char *const modes[] = { "constant", "edge", "reflect", NULL };
    const int mode = fsr_load_choice(l, o, "mode", modes), rank = l->net->nodes[src].rank;
    int64_t   p[8], all[8] = { 0 };
    FsrNode  *n;
    int       nb;

    if (mode < 0)
        return mode;
    if ((nb = fsr_load_ints(l, o, "pads", 1, p, 8)) < 0)
        return nb;
    if (nb != 2 * rank)
        return REFUSE(l, o, -EINVAL, "%d pads for %d dimensions", nb, rank);
    for (int i = 0; i < 2 * rank; i++)
        all[i < rank ? 4 - rank + i : 8 - 2 * rank + i] = p[i];
    for (int i = 0; i < 8; i++)
        if (all[i] < -FSR_NN_MAX_SIZE || all[i] > FSR_NN_MAX_SIZE || (i % 4 < 2 && all[i]))
            return REFUSE(l, o, -ENOSYS, "only height and width can be padded, by up to %d", FSR_NN_MAX_SIZE);
    n = fsr_load_derive(l, o, FSR_OP_PAD, src);
    n->pad_mode   = mode;
    n->pad        = (FsrMargin){ .left = (int)all[3], .right = (int)all[7], .top = (int)all[2], .bottom = (int)all[6] };
    return fsr_load_scalar(l, o, "value", 2, 0, &n->pad_value);
}

int fsr_load_slice(Loader *l, const OnnxNode *o, int src)
{
    static const char *const names[4] = { "starts", "ends", "axes", "steps" };
    int64_t  v[4][4] = { { 0 }, { 0 }, { 0, 1, 2, 3 }, { 1, 1, 1, 1 } };
    int      nb[4], first;
    FsrNode *n;

    for (int k = 0; k < 4; k++)
        if ((nb[k] = fsr_load_ints(l, o, names[k], k + 1, v[k], 4)) < 0)
            return nb[k];
    if (nb[0] < 1 || nb[1] != nb[0] || (nb[2] && nb[2] != nb[0]) || (nb[3] && nb[3] != nb[0]))
        return REFUSE(l, o, -EINVAL, "starts, ends, axes and steps are not as many");
    n = fsr_load_derive(l, o, FSR_OP_SLICE, src);
    for (int i = 0; i < 4; i++) {
        n->range[i][1] = INT64_MAX;
        n->range[i][2] = 1;
    }
    for (int i = 0; i < nb[0]; i++) {
        const int64_t start = v[0][i], end = v[1][i], step = v[3][i];
        const int     axis = fsr_load_axis(l, o, n, v[2][i]);

        if (axis < 0 && (v[2][i] + n->rank) % n->rank == 0 && start == 0 && end >= 1 && step == 1)
            continue;                           /* the whole batch */
        if (axis < 0)
            return axis;
        if (!step)
            return REFUSE(l, o, -EINVAL, "a step of 0");
        n->range[axis][0] = start;
        n->range[axis][1] = end;
        n->range[axis][2] = step;
    }
    n->channels = fsr_slice_count(n->range[1], n->channels, &first);
    return n->channels ? 0 : REFUSE(l, o, -EINVAL, "nothing is left");
}

/* ---- SpaceToDepth, Flatten, Reshape ------------------------------------------------- */

int fsr_load_unshuffle(Loader *l, const OnnxNode *o, int src)
{
    const int64_t block = fsr_load_attr_int(o, "blocksize", 0);
    FsrNode      *n;

    if (block < 1 || block > FSR_NN_MAX_KERNEL || l->net->nodes[src].channels * block * block > FSR_NN_MAX_CHANNELS)
        return REFUSE(l, o, -ENOSYS, "blocksize %lld is not supported", (long long)block);
    n = fsr_load_derive(l, o, FSR_OP_UNSHUFFLE, src);
    n->block     = (int)block;
    n->channels *= (int)(block * block);
    return 0;
}

int fsr_load_flatten(Loader *l, const OnnxNode *o, int src)
{
    const int     rank = l->net->nodes[src].rank;
    const int64_t axis = fsr_load_attr_int(o, "axis", 1);
    FsrNode      *n;

    if (axis < -rank || axis > rank)
        return REFUSE(l, o, -EINVAL, "axis %lld of %d dimensions", (long long)axis, rank);
    n = fsr_load_derive(l, o, FSR_OP_RESHAPE, src);
    n->axis     = (int)(axis < 0 ? 4 + axis : 4 - rank + axis);
    n->rank     = 2;
    n->channels = 1;
    return 0;
}

int fsr_load_reshape(Loader *l, const OnnxNode *o, int src)
{
    int64_t  shape[4];
    FsrNode *n;
    int      nb = fsr_load_ints(l, o, "shape", 1, shape, 4);

    if (nb < 0)
        return nb;
    n = fsr_load_derive(l, o, FSR_OP_RESHAPE, src);
    for (int i = 0; i < 4; i++) {
        const int     k  = i - 4 + nb, from = k + 4 - n->rank;
        const int64_t v = k < 0 ? 1 : shape[k];

        if (v < -1 || v > FSR_NN_MAX_SIZE || (!v && (from > 3 || fsr_load_attr_int(o, "allowzero", 0))))
            return REFUSE(l, o, -EINVAL, "dimension %d is out of range", k);
        n->shape[i] = v ? v : FSR_SHAPE_COPY - from;
    }
    if (n->shape[0] == -1 || n->shape[0] == FSR_SHAPE_COPY)
        n->shape[0] = 1;
    if (nb < 1 || n->shape[0] != 1 || (n->shape[1] < 1 && n->shape[1] != FSR_SHAPE_COPY - 1) ||
        n->shape[1] > FSR_NN_MAX_CHANNELS)
        return REFUSE(l, o, -ENOSYS, "the result must have 1 to 4 dimensions, a batch of 1 and a given number "
                      "of planes");
    n->axis     = -1;
    n->rank     = nb;
    n->channels = n->shape[1] > 0 ? (int)n->shape[1] : n->channels;
    return 0;
}

/* ---- Gemm --------------------------------------------------------------------------- */

/* Weights [N][K] times alpha. */
static int gemm_weights(Loader *l, const OnnxNode *o, FsrNode *n)
{
    const OnnxTensor *b = fsr_load_find_tensor(l, str(o->input[1]), FSR_LOAD_COMPUTED);
    const float alpha = fsr_load_attr_float(o, "alpha", 1);
    const int   trans = fsr_load_attr_int(o, "transB", 0) != 0;
    float *v;
    int    ret;

    if (!b)
        return REFUSE(l, o, -ENOSYS, "its second matrix is not constant");
    if (b->n_dims != 2 || b->dims[0] < 1 || b->dims[1] < 1 || b->dims[0] > FSR_NN_MAX_SIZE || b->dims[1] > FSR_NN_MAX_SIZE)
        return REFUSE(l, o, -EINVAL, "its second matrix has %zu dimensions or is too large", b->n_dims);
    n->w  = (int)b->dims[!trans];
    n->kw = (int)b->dims[trans];
    if ((ret = fsr_load_read_tensor(l, &l->temp, b, FSR_LOAD_FLOATS, &v)) < 0)
        return ret;
    n->weights = fsr_alloc(&l->net->memory, (size_t)n->w * n->kw * sizeof(*n->weights));
    n->bias    = fsr_alloc(&l->net->memory, n->w * sizeof(*n->bias));
    if (!n->weights || !n->bias)
        return -ENOMEM;
    for (int i = 0; i < n->w; i++)
        for (int k = 0; k < n->kw; k++)
            n->weights[(size_t)i * n->kw + k] = alpha * v[trans ? i * n->kw + k : k * n->w + i];
    return 0;
}

/* C times beta as a node of its own; 0: there is none. */
static int gemm_summand(Loader *l, const OnnxNode *o)
{
    const OnnxTensor *t = fsr_load_has_input(o, 2) ? fsr_load_find_tensor(l, o->input[2], FSR_LOAD_COMPUTED) : NULL;
    const int at = t ? fsr_load_add_const(l, label(o), t) : 0;
    FsrNode  *c;

    if (!t && fsr_load_has_input(o, 2))
        return REFUSE(l, o, -ENOSYS, "its third matrix is not constant");
    if (at <= 0)
        return at;
    c = &l->net->nodes[at];
    for (int i = 0; i < c->w * c->h * c->channels; i++)
        c->weights[i] *= fsr_load_attr_float(o, "beta", 1);
    return at;
}

/* C goes into the bias where it can, else behind the product as a sum with a constant. */
int fsr_load_gemm(Loader *l, const OnnxNode *o, int src)
{
    FsrNode       *n;
    const FsrNode *c;
    int            ret, summand;

    if (l->net->nodes[src].rank != 2)
        return REFUSE(l, o, -EINVAL, "its input has %d dimensions, must have 2", l->net->nodes[src].rank);
    if ((summand = gemm_summand(l, o)) < 0)
        return summand;
    c = &l->net->nodes[summand];
    if (fsr_load_attr_int(o, "transA", 0)) {
        fsr_load_derive(l, o, FSR_OP_TRANSPOSE, src);
        src = l->net->nb_nodes - 1;
    }
    n = fsr_load_derive(l, o, FSR_OP_GEMM, src);
    if ((ret = gemm_weights(l, o, n)) < 0 || !summand)
        return ret;
    if (c->channels == 1 && c->h == 1 && (c->w == 1 || c->w == n->w)) {
        for (int i = 0; i < n->w; i++)
            n->bias[i] = c->weights[c->w == 1 ? 0 : i];
        return 0;
    }
    n = fsr_load_derive(l, o, FSR_OP_ADD, l->net->nb_nodes - 1);
    n->nb_in = 2;
    n->in[1] = summand;
    return 0;
}
