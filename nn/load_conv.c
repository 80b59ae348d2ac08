/* Conv and ConvTranspose -> nodes of the graph. */
#include "nn/load.h"

#include <errno.h>
#include <string.h>

enum { MAX_TRANSPOSED = 4 * FSR_NN_MAX_KERNEL };    /* kernel of ConvTranspose */

static int window_pads(const Loader *l, const OnnxNode *o, FsrNode *n)
{
    enum { NOTSET, UPPER, LOWER, VALID };           /* the first three as FsrSame */
    static const char *const modes[] = { "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID", NULL };
    const OnnxAttr *pads = fsr_load_find_attr(o, "pads");
    const int mode = fsr_load_choice(l, o, "auto_pad", modes);
    int64_t   p[4] = { 0 };                     /* top, left, bottom, right */

    if (mode < 0)
        return mode;
    n->same = mode == VALID ? FSR_SAME_NO : mode;
    if (n->same != FSR_SAME_NO) {
        p[0] = (n->kh - (mode == UPPER)) / 2;   /* for a stride of 1 */
        p[1] = (n->kw - (mode == UPPER)) / 2;
        p[2] = n->kh - 1 - p[0];
        p[3] = n->kw - 1 - p[1];
    } else if (pads && mode == NOTSET) {
        if (pads->n_ints != 4)
            return REFUSE(l, o, -EINVAL, "pads must be 4 numbers");
        memcpy(p, pads->ints, sizeof(p));
    }
    for (int i = 0; i < 4; i++)
        if (p[i] < 0 || p[i] > FSR_NN_MAX_KERNEL)
            return REFUSE(l, o, -EINVAL, "pad out of range");
    n->pad = (FsrMargin){ .left = (int)p[1], .right = (int)p[3], .top = (int)p[0], .bottom = (int)p[2] };
    return 0;
}

/* An attribute of two numbers, height first; x and y stay where there is none. */
static int pair(const Loader *l, const OnnxNode *o, const char *name, int min, int max, int *x, int *y)
{
    const OnnxAttr *a = fsr_load_find_attr(o, name);

    if (!a)
        return 0;
    if (a->n_ints != 2 || a->ints[0] < min || a->ints[1] < min || a->ints[0] > max || a->ints[1] > max)
        return REFUSE(l, o, -ENOSYS, "%s must be 2 numbers from %d to %d", name, min, max);
    *y = (int)a->ints[0];
    *x = (int)a->ints[1];
    return 0;
}

int fsr_load_window(Loader *l, const OnnxNode *o, FsrNode *n)
{
    const int kw = n->kw, kh = n->kh;
    int       ret;

    n->sx = n->sy = n->dx = n->dy = 1;
    if ((ret = pair(l, o, "kernel_shape", 1, kw ? MAX_TRANSPOSED : FSR_NN_MAX_KERNEL, &n->kw, &n->kh)) < 0 ||
        (ret = pair(l, o, "strides", 1, FSR_NN_MAX_KERNEL, &n->sx, &n->sy)) < 0 ||
        (ret = pair(l, o, "dilations", 1, FSR_NN_MAX_KERNEL, &n->dx, &n->dy)) < 0)
        return ret;
    if (!n->kw)
        return REFUSE(l, o, -EINVAL, "kernel_shape is missing");
    if (kw && (n->kw != kw || n->kh != kh))
        return REFUSE(l, o, -EINVAL, "kernel_shape differs from its weights");
    return window_pads(l, o, n);
}

static int conv_bias(Loader *l, const OnnxNode *o, FsrNode *n)
{
    const OnnxTensor *b;

    if (!fsr_load_has_input(o, 2))
        return (n->bias = fsr_alloc(&l->net->memory, n->channels * sizeof(*n->bias))) ? 0 : -ENOMEM;
    if (!(b = fsr_load_find_tensor(l, o->input[2], FSR_LOAD_COMPUTED)))
        return REFUSE(l, o, -EINVAL, "bias '%.80s' is missing", o->input[2]);
    if (b->n_dims != 1 || b->dims[0] != n->channels)
        return REFUSE(l, o, -EINVAL, "bias must have %d values", n->channels);
    return fsr_load_read_tensor(l, &l->net->memory, b, FSR_LOAD_FLOATS, &n->bias);
}

/* Weights of a convolution in groups -> those of one over all planes: zero between groups. */
static int spread_groups(Loader *l, const OnnxNode *o, FsrNode *n, int planes, int groups)
{
    const size_t own  = (size_t)planes / groups * n->kw * n->kh, all = own * groups;
    float *w;

    if (groups == 1)
        return 0;
    if ((int64_t)(all * n->channels) > FSR_NN_MAX_WEIGHTS)
        return REFUSE(l, o, -E2BIG, "more than %lld weights with its groups spread out", (long long)FSR_NN_MAX_WEIGHTS);
    if (!(w = fsr_alloc(&l->net->memory, all * n->channels * sizeof(*w))))
        return -ENOMEM;
    for (int c = 0; c < n->channels; c++)
        memcpy(w + c * all + c / (n->channels / groups) * own, n->weights + c * own, own * sizeof(*w));
    n->weights = w;
    return 0;
}

static int conv_weights(Loader *l, const OnnxNode *o, const OnnxTensor **w)
{
    if (!(*w = fsr_load_find_tensor(l, str(o->input[1]), FSR_LOAD_COMPUTED)))
        return REFUSE(l, o, -EINVAL, "weights '%.80s' are missing", str(o->input[1]));
    if ((*w)->n_dims != 4)
        return REFUSE(l, o, -ENOSYS, "weights have %zu dimensions, only 2-D convolutions (4) are supported", (*w)->n_dims);
    for (int i = 0; i < 4; i++) {
        const int max = i < 2 ? FSR_NN_MAX_CHANNELS : FSR_NN_MAX_KERNEL;

        if ((*w)->dims[i] < 1 || (*w)->dims[i] > max)
            return REFUSE(l, o, -E2BIG, "dimension %d of its weights is %lld, outside 1 to %d", i,
                          (long long)(*w)->dims[i], max);
    }
    return 0;
}

int fsr_load_conv(Loader *l, const OnnxNode *o, int src)
{
    const int64_t groups = fsr_load_attr_int(o, "group", 1);
    const OnnxTensor *w;
    FsrNode *n, *in = &l->net->nodes[src];
    int ret, depthwise;

    if ((ret = conv_weights(l, o, &w)) < 0)
        return ret;
    if (in->rank != 4)
        return REFUSE(l, o, -ENOSYS, "its input has %d dimensions, must have 4", in->rank);
    if (groups < 1 || groups > FSR_NN_MAX_CHANNELS || w->dims[1] * groups > FSR_NN_MAX_CHANNELS || w->dims[0] % groups)
        return REFUSE(l, o, -EINVAL, "%lld groups do not divide its planes", (long long)groups);
    if (!in->channels)
        in->channels = (int)(w->dims[1] * groups);
    if (in->channels != w->dims[1] * groups)
        return REFUSE(l, o, -EINVAL, "weights are for %lld planes, its input has %d",
                      (long long)(w->dims[1] * groups), in->channels);
    depthwise   = groups > 1 && w->dims[1] == 1 && w->dims[0] == groups;
    n = fsr_load_derive(l, o, depthwise ? FSR_OP_DEPTHWISE : FSR_OP_CONV, src);
    n->channels = (int)w->dims[0];
    n->kh       = (int)w->dims[2];
    n->kw       = (int)w->dims[3];
    if ((ret = fsr_load_window(l, o, n)) < 0)
        return ret;
    if (n->dx != 1 || n->dy != 1)
        return REFUSE(l, o, -ENOSYS, "dilations other than 1 are not supported");
    if (n->sx != 1 || n->sy != 1 || n->pad.top + n->pad.bottom != n->kh - 1 || n->pad.left + n->pad.right != n->kw - 1)
        n->scale = 0;
    if ((ret = fsr_load_read_tensor(l, &l->net->memory, w, FSR_LOAD_FLOATS, &n->weights)) < 0 ||
        (ret = spread_groups(l, o, n, in->channels, depthwise ? 1 : (int)groups)) < 0)
        return ret;
    return conv_bias(l, o, n);
}

/* ---- ConvTranspose: convolution, pixel shuffle, and what is too much taken away -------- */

/* One axis of it. Result sample Y = s y + phase gets input y + d through tap phase + pad - s d. */
typedef struct Stretch {
    int k, s, dilation, pad;
    int size, first;        /* of the convolution: d from first on */
    int more;               /* blocks of s samples beyond those of the input */
    int surplus;            /* samples at the end that are none of the result */
} Stretch;

/* begin, end: pads; extra: output_padding; same: FSR_SAME_NO or the result is s times as large; room: blocks of
 * samples for a result that is a little larger than what is made. */
static int stretch(Stretch *t, int begin, int end, int extra, FsrSame same, int room)
{
    const int span = (t->k - 1) * t->dilation + 1, all = span + extra - t->s;
    int behind = span + extra - begin - end - t->s;     /* samples of the result beyond s times the input */

    if (same != FSR_SAME_NO) {
        begin  = all < 0 ? 0 : same == FSR_SAME_UPPER ? all / 2 : all - all / 2;
        behind = 0;
    }
    t->pad     = begin;
    t->first   = -fsr_floor_div(-(begin - span + 1), t->s);
    t->size    = fsr_floor_div(t->s - 1 + begin, t->s) - t->first + 1;
    t->more    = -fsr_floor_div(-behind, t->s) + room;
    t->surplus = t->more * t->s - behind;
    return begin < span && t->size <= FSR_NN_MAX_KERNEL &&
           t->more - room + t->size - 1 + t->first >= 0;        /* pads of the convolution */
}

static void split_phases(FsrNode *n, const float *w, int in_planes, int planes, int groups,
                         const Stretch *x, const Stretch *y)
{
    const int per = in_planes / groups, own = planes / groups;

    for (int c = 0; c < n->channels; c++)
        for (int i = c / (x->s * y->s) / own * per, end = i + per; i < end; i++)
            for (int ky = 0; ky < n->kh; ky++)
                for (int kx = 0; kx < n->kw; kx++) {
                    const int ty = c % (x->s * y->s) / x->s + y->pad - y->s * (ky + y->first);
                    const int tx = c % x->s + x->pad - x->s * (kx + x->first);

                    if (ty >= 0 && tx >= 0 && ty % y->dilation == 0 && tx % x->dilation == 0 &&
                        ty / y->dilation < y->k && tx / x->dilation < x->k)
                        n->weights[(((size_t)c * in_planes + i) * n->kh + ky) * n->kw + kx] =
                            w[(((size_t)i * own + c / (x->s * y->s) % own) * y->k + ty / y->dilation) *
                              x->k + tx / x->dilation];
                }
}

/* Weights and bias of the convolution. */
static int fill_transposed(Loader *l, const OnnxNode *o, FsrNode *n, const OnnxTensor *w, int groups,
                           const Stretch *x, const Stretch *y)
{
    const int   phases = x->s * y->s, planes = n->channels / phases, in_planes = (int)w->dims[0];
    const size_t count = (size_t)n->channels * in_planes * n->kw * n->kh;
    float *v, *bias = fsr_alloc(&l->temp, planes * sizeof(*bias));
    int    ret;

    if ((l->weights += count) > FSR_NN_MAX_WEIGHTS)
        return FAIL(l, -E2BIG, "more than %lld weights in all", (long long)FSR_NN_MAX_WEIGHTS);
    n->weights = fsr_alloc(&l->net->memory, count * sizeof(*n->weights));
    n->bias    = fsr_alloc(&l->net->memory, n->channels * sizeof(*n->bias));
    if (!n->weights || !n->bias || !bias)
        return -ENOMEM;
    if ((ret = fsr_load_read_tensor(l, &l->temp, w, FSR_LOAD_FLOATS, &v)) < 0 ||
        (fsr_load_has_input(o, 2) && (ret = fsr_load_per_plane(l, o, 2, planes, 1, bias)) < 0))
        return ret;
    split_phases(n, v, in_planes, planes, groups, x, y);
    for (int c = 0; c < n->channels; c++)
        n->bias[c] = bias[c / phases];
    return 0;
}

/* Attributes -> both axes and the result's size where the file gives it. */
static int transposed_attrs(Loader *l, const OnnxNode *o, FsrNode *n, Stretch *x, Stretch *y)
{
    int64_t shape[4] = { 0 };
    int     nb, extra_x = 0, extra_y = 0, ret = fsr_load_window(l, o, n);

    if (ret < 0 || (ret = pair(l, o, "output_padding", 0, FSR_NN_MAX_KERNEL, &extra_x, &extra_y)) < 0 ||
        (ret = nb = fsr_load_ints(l, o, "output_shape", FSR_LOAD_NO_INPUT, shape, 4)) < 0)
        return ret;
    *x = (Stretch){ .k = n->kw, .s = n->sx, .dilation = n->dx };
    *y = (Stretch){ .k = n->kh, .s = n->sy, .dilation = n->dy };
    if (fsr_load_find_attr(o, "output_shape")) {
        const int64_t *size = shape + (nb == 4 ? 2 : 0);        /* with the batch and planes, or without */

        if ((nb != 2 && nb != 4) || size[0] < 1 || size[1] < 1 || size[0] > FSR_NN_MAX_SIZE || size[1] > FSR_NN_MAX_SIZE)
            return REFUSE(l, o, -EINVAL, "output_shape is out of range");
        n->h = (int)size[0];
        n->w = (int)size[1];
        n->pad = (FsrMargin){ 0 };
    }
    if (!stretch(x, n->pad.left, n->pad.right, extra_x, n->w ? FSR_SAME_NO : n->same, n->w > 0) ||
        !stretch(y, n->pad.top, n->pad.bottom, extra_y, n->w ? FSR_SAME_NO : n->same, n->w > 0))
        return REFUSE(l, o, -ENOSYS, "pads larger than its kernel, or a kernel this large are not supported");
    return 0;
}

int fsr_load_conv_transpose(Loader *l, const OnnxNode *o, int src)
{
    const OnnxTensor *w      = fsr_load_find_tensor(l, str(o->input[1]), FSR_LOAD_COMPUTED);
    const FsrNode    *in     = &l->net->nodes[src];
    const int64_t     groups = fsr_load_attr_int(o, "group", 1);
    Stretch  x, y;
    FsrNode *n, attrs = { 0 };
    int      ret, planes;

    if (!w || w->n_dims != 4)
        return REFUSE(l, o, -EINVAL, "its weights are missing or not 4-D");
    if (w->dims[0] != in->channels || w->dims[1] < 1 || groups < 1 || w->dims[0] % groups ||
        w->dims[1] > FSR_NN_MAX_CHANNELS / groups || w->dims[2] < 1 || w->dims[3] < 1 ||
        w->dims[2] > MAX_TRANSPOSED || w->dims[3] > MAX_TRANSPOSED)
        return REFUSE(l, o, -ENOSYS, "its weights do not fit its input, or are too large");
    attrs.kw = (int)w->dims[3];
    attrs.kh = (int)w->dims[2];
    if ((ret = transposed_attrs(l, o, &attrs, &x, &y)) < 0)
        return ret;
    planes = (int)(w->dims[1] * groups);
    if (x.s > FSR_NN_MAX_SCALE || y.s > FSR_NN_MAX_SCALE || in->scale * x.s > FSR_NN_MAX_SCALE ||
        planes * x.s * y.s > FSR_NN_MAX_CHANNELS)
        return REFUSE(l, o, -ENOSYS, "enlargement by %dx%d is not supported", x.s, y.s);
    n = fsr_load_derive(l, o, FSR_OP_CONV, src);
    n->channels = planes * x.s * y.s;
    n->kw       = x.size;
    n->kh       = y.size;
    n->sx       = n->sy = n->dx = n->dy = 1;
    n->pad      = (FsrMargin){ -x.first, x.more + x.size - 1 + x.first, -y.first, y.more + y.size - 1 + y.first };
    if (x.s != y.s || x.more || y.more || x.surplus || y.surplus)
        n->scale = 0;
    if ((ret = fill_transposed(l, o, n, w, (int)groups, &x, &y)) < 0)
        return ret;
    n = fsr_load_derive(l, o, FSR_OP_SHUFFLE, l->net->nb_nodes - 1);
    n->block    = x.s;
    n->block_y  = y.s;
    n->crd      = 1;
    n->channels = planes;
    n->scale   *= x.s;
    if (x.surplus || y.surplus || attrs.w) {
        n = fsr_load_derive(l, o, FSR_OP_PAD, l->net->nb_nodes - 1);
        n->pad  = (FsrMargin){ .right = -x.surplus, .bottom = -y.surplus };
        n->same = attrs.same;
        n->w    = attrs.w;
        n->h    = attrs.h;
    }
    return 0;
}
