/* Conv and ConvTranspose -> nodes of the graph. */
#include "nn/load.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int window_pads(const Loader *l, const OnnxNode *o, FsrNode *n)
{
    const OnnxAttr *autop = fsr_load_find_attr(o, "auto_pad"), *pads = fsr_load_find_attr(o, "pads");
    const int upper = autop && fsr_load_attr_is(autop, "SAME_UPPER");
    const int lower = autop && fsr_load_attr_is(autop, "SAME_LOWER");
    int64_t p[4] = { 0 };                       /* top, left, bottom, right */

    if (autop && !upper && !lower && !fsr_load_attr_is(autop, "NOTSET") &&
        !fsr_load_attr_is(autop, "VALID"))
        return FAIL(l, -EINVAL, "%s '%.80s': unknown auto_pad", o->op_type, label(o));
    n->same = upper ? FSR_SAME_UPPER : lower ? FSR_SAME_LOWER : FSR_SAME_NO;
    if (upper || lower) {
        p[0] = (n->kh - upper) / 2;             /* for a stride of 1 */
        p[1] = (n->kw - upper) / 2;
        p[2] = n->kh - 1 - p[0];
        p[3] = n->kw - 1 - p[1];
    } else if (pads && !(autop && fsr_load_attr_is(autop, "VALID"))) {
        if (pads->n_ints != 4)
            return FAIL(l, -EINVAL, "%s '%.80s': pads must be 4 numbers", o->op_type, label(o));
        memcpy(p, pads->ints, sizeof(p));
    }
    for (int i = 0; i < 4; i++)
        if (p[i] < 0 || p[i] > FSR_NN_MAX_KERNEL)
            return FAIL(l, -EINVAL, "%s '%.80s': pad out of range", o->op_type, label(o));
    n->pad_top    = (int)p[0];
    n->pad_left   = (int)p[1];
    n->pad_bottom = (int)p[2];
    n->pad_right  = (int)p[3];
    return 0;
}

/* An attribute of two numbers from 1 on, height first. */
static int pair(const Loader *l, const OnnxNode *o, const char *name, int *x, int *y)
{
    const OnnxAttr *a = fsr_load_find_attr(o, name);

    *x = *y = 1;
    if (!a)
        return 0;
    if (a->n_ints != 2 || a->ints[0] < 1 || a->ints[1] < 1 || a->ints[0] > FSR_NN_MAX_KERNEL ||
        a->ints[1] > FSR_NN_MAX_KERNEL)
        return FAIL(l, -ENOSYS, "%s '%.80s': %s must be 2 numbers from 1 to %d", o->op_type,
                    label(o), name, FSR_NN_MAX_KERNEL);
    *y = (int)a->ints[0];
    *x = (int)a->ints[1];
    return 0;
}

int fsr_load_window(const Loader *l, const OnnxNode *o, FsrNode *n)
{
    int ret;

    if ((ret = pair(l, o, "strides", &n->sx, &n->sy)) < 0 ||
        (ret = pair(l, o, "dilations", &n->dx, &n->dy)) < 0)
        return ret;
    return window_pads(l, o, n);
}

static int conv_attrs(const Loader *l, const OnnxNode *o, FsrNode *n)
{
    const OnnxAttr *k = fsr_load_find_attr(o, "kernel_shape");
    int ret = fsr_load_check_attrs(l, o, " auto_pad dilations group kernel_shape pads strides ");

    if (ret < 0)
        return ret;
    if (k && (k->n_ints != 2 || k->ints[0] != n->kh || k->ints[1] != n->kw))
        return FAIL(l, -EINVAL, "Conv '%.80s': kernel_shape differs from its weights", label(o));
    if ((ret = fsr_load_window(l, o, n)) < 0)
        return ret;
    if (n->dx != 1 || n->dy != 1)
        return FAIL(l, -ENOSYS, "Conv '%.80s': dilations other than 1 are not supported", label(o));
    if (n->sx != 1 || n->sy != 1 || n->op == FSR_OP_DEPTHWISE ||
        n->pad_top + n->pad_bottom != n->kh - 1 || n->pad_left + n->pad_right != n->kw - 1) {
        l->net->whole = 1;
        n->scale      = 0;
    }
    return 0;
}

static int conv_bias(Loader *l, const OnnxNode *o, FsrNode *n)
{
    const OnnxTensor *b;

    if (o->n_input < 3 || !*str(o->input[2])) {
        n->bias = calloc(n->channels, sizeof(*n->bias));
        return n->bias ? 0 : FAIL(l, -ENOMEM, "out of memory");
    }
    if (!(b = fsr_load_find_tensor(l, str(o->input[2]))))
        return FAIL(l, -EINVAL, "Conv '%.80s': bias '%.80s' is missing", label(o), o->input[2]);
    if (b->n_dims != 1 || b->dims[0] != n->channels)
        return FAIL(l, -EINVAL, "Conv '%.80s': bias must have %d values", label(o), n->channels);
    return fsr_load_read_tensor(l, b, &n->bias);
}

/* Weights of a convolution in groups -> those of one over all planes: zero between groups. */
static int spread_groups(Loader *l, const OnnxNode *o, FsrNode *n, int planes, int groups)
{
    const size_t own  = (size_t)planes / groups * n->kw * n->kh, all = own * groups;
    float *w = NULL;

    if (groups == 1)
        return 0;
    if ((int64_t)(all * n->channels) > FSR_NN_MAX_WEIGHTS)
        return FAIL(l, -E2BIG, "Conv '%.80s': more than %lld weights with its groups spread out",
                    label(o), (long long)FSR_NN_MAX_WEIGHTS);
    if (!(w = calloc(all * n->channels, sizeof(*w))))
        return FAIL(l, -ENOMEM, "out of memory");
    for (int c = 0; c < n->channels; c++)
        memcpy(w + c * all + c / (n->channels / groups) * own, n->weights + c * own,
               own * sizeof(*w));
    free(n->weights);
    n->weights = w;
    return 0;
}

static int conv_weights(Loader *l, const OnnxNode *o, const OnnxTensor **w)
{
    if (!(*w = fsr_load_find_tensor(l, str(o->input[1]))))
        return FAIL(l, -EINVAL, "Conv '%.80s': weights '%.80s' are missing", label(o),
                    str(o->input[1]));
    if ((*w)->n_dims != 4)
        return FAIL(l, -ENOSYS, "Conv '%.80s': weights have %zu dimensions, only 2-D "
                    "convolutions (4) are supported", label(o), (*w)->n_dims);
    for (int i = 0; i < 4; i++)
        if ((*w)->dims[i] < 1 || (*w)->dims[i] > (i < 2 ? FSR_NN_MAX_CHANNELS : FSR_NN_MAX_KERNEL))
            return FAIL(l, -E2BIG, "Conv '%.80s': dimension %d of its weights is %lld, outside "
                        "1 to %d", label(o), i, (long long)(*w)->dims[i],
                        i < 2 ? FSR_NN_MAX_CHANNELS : FSR_NN_MAX_KERNEL);
    return 0;
}

int fsr_load_conv(Loader *l, const OnnxNode *o)
{
    const int64_t groups = fsr_load_attr_int(o, "group", 1);
    const OnnxTensor *w;
    FsrNode *n, *in;
    int src, ret, depthwise;

    if ((ret = fsr_load_check_inputs(l, o, 2, 3)) < 0 ||
        (src = ret = fsr_load_resolve(l, str(o->input[0]))) < 0 || (ret = conv_weights(l, o, &w)) < 0)
        return ret;
    in = &l->net->nodes[src];
    if (in->rank != 4)
        return FAIL(l, -ENOSYS, "Conv '%.80s': its input has %d dimensions, must have 4", label(o),
                    in->rank);
    if (groups < 1 || groups > FSR_NN_MAX_CHANNELS || w->dims[1] * groups > FSR_NN_MAX_CHANNELS ||
        w->dims[0] % groups)
        return FAIL(l, -EINVAL, "Conv '%.80s': %lld groups do not divide its planes", label(o),
                    (long long)groups);
    if (!in->channels)
        in->channels = (int)(w->dims[1] * groups);
    if (in->channels != w->dims[1] * groups)
        return FAIL(l, -EINVAL, "Conv '%.80s': weights are for %lld planes, its input has %d",
                    label(o), (long long)(w->dims[1] * groups), in->channels);
    depthwise   = groups > 1 && w->dims[1] == 1 && w->dims[0] == groups;
    n = fsr_load_add_node(l, depthwise ? FSR_OP_DEPTHWISE : FSR_OP_CONV, label(o));
    n->nb_in    = 1;
    n->in[0]    = src;
    n->scale    = in->scale;
    n->channels = (int)w->dims[0];
    n->kh       = (int)w->dims[2];
    n->kw       = (int)w->dims[3];
    if ((ret = conv_attrs(l, o, n)) < 0 || (ret = fsr_load_read_tensor(l, w, &n->weights)) < 0 ||
        (ret = spread_groups(l, o, n, in->channels, depthwise ? 1 : (int)groups)) < 0 ||
        (ret = conv_bias(l, o, n)) < 0)
        return ret;
    return l->net->nb_nodes - 1;
}

/* ---- ConvTranspose: convolution, pixel shuffle, and what is too much taken away -------- */

/* One axis of it. Result sample Y = s y + phase gets input y + d through tap phase + pad - s d. */
typedef struct Stretch {
    int k, s, dilation, pad;
    int size, first;        /* of the convolution: d from first on */
    int more;               /* blocks of s samples beyond those of the input */
    int surplus;            /* samples at the end that are none of the result */
} Stretch;

static int floor_div(int a, int b)
{
    return a >= 0 ? a / b : -((-a + b - 1) / b);
}

/* begin, end: pads; extra: output_padding; same: FSR_SAME_NO or the result is s times as large. */
static int stretch(Stretch *t, int begin, int end, int extra, FsrSame same)
{
    const int span = (t->k - 1) * t->dilation + 1, all = span + extra - t->s;
    int behind = span + extra - begin - end - t->s;     /* samples of the result beyond s times the input */

    if (same != FSR_SAME_NO) {
        begin  = all < 0 ? 0 : same == FSR_SAME_UPPER ? all / 2 : all - all / 2;
        behind = 0;
    }
    t->pad     = begin;
    t->first   = -floor_div(-(begin - span + 1), t->s);
    t->size    = floor_div(t->s - 1 + begin, t->s) - t->first + 1;
    t->more    = -floor_div(-behind, t->s);
    t->surplus = t->more * t->s - behind;
    return begin < span && t->size <= FSR_NN_MAX_KERNEL &&
           t->more + t->size - 1 + t->first >= 0;       /* pads of the convolution */
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
    float *v = NULL, *bias = NULL;
    int    ret;

    if ((l->weights += count) > FSR_NN_MAX_WEIGHTS)
        return FAIL(l, -E2BIG, "more than %lld weights in all", (long long)FSR_NN_MAX_WEIGHTS);
    n->weights = calloc(count, sizeof(*n->weights));
    n->bias    = calloc(n->channels, sizeof(*n->bias));
    bias       = calloc(planes, sizeof(*bias));
    if (!n->weights || !n->bias || !bias)
        ret = FAIL(l, -ENOMEM, "out of memory");
    else if ((ret = fsr_load_read_tensor(l, w, &v)) >= 0 && o->n_input > 2 && *str(o->input[2]))
        ret = fsr_load_per_plane(l, o, o->input[2], planes, 1, bias);
    if (ret >= 0) {
        split_phases(n, v, in_planes, planes, groups, x, y);
        for (int c = 0; c < n->channels; c++)
            n->bias[c] = bias[c / phases];
    }
    free(v);
    free(bias);
    return ret;
}

/* Attributes -> both axes and the result's size where the file gives it. */
static int transposed_attrs(Loader *l, const OnnxNode *o, FsrNode *n, Stretch *x, Stretch *y, int *fixed)
{
    const OnnxAttr *extra = fsr_load_find_attr(o, "output_padding"), *k = fsr_load_find_attr(o, "kernel_shape");
    const OnnxAttr *shape = fsr_load_find_attr(o, "output_shape");
    const size_t nb = shape ? shape->n_ints : 0;
    int ret;

    if ((ret = fsr_load_window(l, o, n)) < 0)
        return ret;
    if ((extra && (extra->n_ints != 2 || extra->ints[0] < 0 || extra->ints[1] < 0 ||
                   extra->ints[0] > FSR_NN_MAX_KERNEL || extra->ints[1] > FSR_NN_MAX_KERNEL)) ||
        (k && (k->n_ints != 2 || k->ints[0] != y->k || k->ints[1] != x->k)) ||
        (shape && ((nb != 2 && nb != 4) || shape->ints[nb - 2] < 1 || shape->ints[nb - 1] < 1 ||
                   shape->ints[nb - 2] > FSR_NN_MAX_SIZE || shape->ints[nb - 1] > FSR_NN_MAX_SIZE)))
        return FAIL(l, -EINVAL, "ConvTranspose '%.80s': output_padding, kernel_shape or output_shape is "
                    "out of range", label(o));
    x->s = n->sx;
    y->s = n->sy;
    x->dilation = n->dx;
    y->dilation = n->dy;
    fixed[0] = shape ? (int)shape->ints[nb - 1] : 0;
    fixed[1] = shape ? (int)shape->ints[nb - 2] : 0;
    if (shape)
        n->pad_left = n->pad_top = n->pad_right = n->pad_bottom = 0;
    if (!stretch(x, n->pad_left, n->pad_right, extra ? (int)extra->ints[1] : 0, shape ? FSR_SAME_NO : n->same) ||
        !stretch(y, n->pad_top, n->pad_bottom, extra ? (int)extra->ints[0] : 0, shape ? FSR_SAME_NO : n->same))
        return FAIL(l, -ENOSYS, "ConvTranspose '%.80s': pads larger than its kernel, or a kernel this large "
                    "are not supported", label(o));
    if (shape) {                /* room for a result that is a little larger than what is made */
        x->more++;
        y->more++;
        x->surplus += x->s;
        y->surplus += y->s;
    }
    return 0;
}

int fsr_load_conv_transpose(Loader *l, const OnnxNode *o)
{
    const int64_t groups = fsr_load_attr_int(o, "group", 1);
    const OnnxTensor *w;
    Stretch  x, y;
    FsrNode *n, attrs = { 0 };
    int src, ret, scale, fixed[2] = { 0 };

    if ((src = fsr_load_picture(l, o, 3, " auto_pad dilations group kernel_shape pads strides "
                                "output_padding output_shape ")) < 0)
        return src;
    if (!(w = o->n_input > 1 ? fsr_load_find_tensor(l, str(o->input[1])) : NULL) || w->n_dims != 4)
        return FAIL(l, -EINVAL, "ConvTranspose '%.80s': its weights are missing or not 4-D", label(o));
    if (w->dims[0] != l->net->nodes[src].channels || w->dims[1] < 1 || groups < 1 ||
        w->dims[0] % groups || w->dims[1] > FSR_NN_MAX_CHANNELS / groups || w->dims[2] < 1 ||
        w->dims[3] < 1 || w->dims[2] > 4 * FSR_NN_MAX_KERNEL || w->dims[3] > 4 * FSR_NN_MAX_KERNEL)
        return FAIL(l, -ENOSYS, "ConvTranspose '%.80s': its weights do not fit its input, or are too "
                    "large", label(o));
    attrs.kw = x.k = (int)w->dims[3];
    attrs.kh = y.k = (int)w->dims[2];
    if ((ret = transposed_attrs(l, o, &attrs, &x, &y, fixed)) < 0)
        return ret;
    scale = l->net->nodes[src].scale * x.s;
    if (x.s > FSR_NN_MAX_SCALE || y.s > FSR_NN_MAX_SCALE || scale > FSR_NN_MAX_SCALE ||
        w->dims[1] * groups * x.s * y.s > FSR_NN_MAX_CHANNELS)
        return FAIL(l, -ENOSYS, "ConvTranspose '%.80s': enlargement by %dx%d is not supported", label(o),
                    x.s, y.s);
    if (x.s != y.s || x.more || y.more || x.surplus || y.surplus || !scale) {
        scale = 0;
        l->net->whole = 1;
    }
    n = fsr_load_add_node(l, FSR_OP_CONV, label(o));
    n->nb_in      = 1;
    n->in[0]      = src;
    n->scale      = scale ? scale / x.s : 0;
    n->channels   = (int)(w->dims[1] * groups) * x.s * y.s;
    n->kw         = x.size;
    n->kh         = y.size;
    n->sx         = n->sy = 1;
    n->pad_left   = -x.first;
    n->pad_top    = -y.first;
    n->pad_right  = x.more + x.size - 1 + x.first;
    n->pad_bottom = y.more + y.size - 1 + y.first;
    if ((ret = fill_transposed(l, o, n, w, (int)groups, &x, &y)) < 0)
        return ret;
    n = fsr_load_add_node(l, FSR_OP_SHUFFLE, label(o));
    n->nb_in    = 1;
    n->in[0]    = l->net->nb_nodes - 2;
    n->block    = x.s;
    n->block_y  = y.s;
    n->crd      = 1;
    n->channels = (int)(w->dims[1] * groups);
    n->scale    = scale;
    if (x.surplus || y.surplus || fixed[0]) {
        n = fsr_load_add_sized(l, o, FSR_OP_PAD, l->net->nb_nodes - 1);
        n->pad_right  = -x.surplus;
        n->pad_bottom = -y.surplus;
        n->same       = attrs.same;
        n->w          = fixed[0];
        n->h          = fixed[1];
    }
    return l->net->nb_nodes - 1;
}
