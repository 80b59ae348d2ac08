/* FsrNet -> FsrPlan of a whole picture: sizes, pads, rings, kernels, memory. */
#include "nn/whole.h"

#include <errno.h>
#include <float.h>
#include <string.h>

enum {
    BAND_SAMPLES = 256,     /* of a band: amortizes reading a layer's weights */
    MAX_FLOATS   = 1 << 29, /* of a plan, its weights apart */
};

typedef struct Planner {
    FsrPlan            *p;
    size_t              window, zeros;  /* words that the largest node needs */
    char               *err;
    size_t              err_size;
    /* the node that is planned */
    const FsrNode      *n;
    FsrWholeNode       *wn;
    const FsrWholeNode *in;             /* its first input */
    int                 in_planes;
} Planner;

#define FAIL(t, code, ...) fsr_nn_fail((t)->err, (t)->err_size, code, __VA_ARGS__)

/* ---- sizes ------------------------------------------------------------------------ */

static int resize(FsrWholeNode *wn, int w, int h)
{
    wn->w = w;
    wn->h = h;
    return 0;
}

/* Size of an axis of `size` samples behind a window of k; fills in pads that follow from it. Negative: it does not fit. */
static int window_size(const FsrNode *n, int size, int k, int dilation, int stride, int *before, int *after)
{
    const int span = (k - 1) * dilation + 1;
    int room = size + *before + *after - span, result = fsr_ceil_div(size, stride);

    if (n->same != FSR_SAME_NO) {
        room    = fsr_max(0, (result - 1) * stride + span - size);
        *before = n->same == FSR_SAME_UPPER ? room / 2 : room - room / 2;
        *after  = room - *before;
        return result;
    }
    if (room < 0)
        return -1;
    result = (n->ceil ? fsr_ceil_div(room, stride) : room / stride) + 1;
    /* no window begins behind the picture */
    return n->ceil && (result - 1) * stride >= size + *before ? result - 1 : result;
}

/* All inputs of one size, along the axis of a concatenation of any; or such that broadcast. The second
 * input of Resize has the size of the result. */
static int same_size(const Planner *t)
{
    const FsrNode *n  = t->n;
    FsrWholeNode  *wn = t->wn;

    for (int j = 1; j < n->nb_in; j++) {
        const FsrWholeNode *in = &t->p->whole->nodes[n->in[j]];

        if (n->op == FSR_OP_CONCAT && n->axis == 2 && in->w == wn->w)
            wn->h += in->h;
        else if (n->op == FSR_OP_CONCAT && n->axis == 3 && in->h == wn->h)
            wn->w += in->w;
        else if (fsr_is_binary(n->op) && (in->w == wn->w || in->w == 1 || wn->w == 1) &&
                 (in->h == wn->h || in->h == 1 || wn->h == 1)) {
            wn->w = fsr_max(in->w, wn->w);
            wn->h = fsr_max(in->h, wn->h);
        } else if (in->w != wn->w || in->h != wn->h || (n->op == FSR_OP_CONCAT && n->axis != 1))
            return FAIL(t, -EINVAL, "node '%s': its inputs are %dx%d and %dx%d for this picture size, must be "
                        "equal", n->name, wn->w, wn->h, in->w, in->h);
        if (wn->w > FSR_NN_MAX_SIZE || wn->h > FSR_NN_MAX_SIZE)
            break;
    }
    return 0;
}

/* What is taken away in front of `size` samples so that `want` remain: the surplus (behind) goes first,
 * half of the rest. */
static int cut(const FsrNode *n, int size, int want, int surplus)
{
    const int rest = size + surplus - want;

    return rest < 0 ? 0 : n->same == FSR_SAME_UPPER ? rest / 2 : rest - rest / 2;
}

/* Pads; or a result of a given size (ConvTranspose). */
static int size_pad(const Planner *t)
{
    const FsrNode      *n  = t->n;
    const FsrWholeNode *in = t->in;
    FsrWholeNode       *wn = t->wn;

    wn->pad.left = n->w ? -cut(n, in->w, n->w, n->pad.right) : n->pad.left;
    wn->pad.top  = n->w ? -cut(n, in->h, n->h, n->pad.bottom) : n->pad.top;
    resize(wn, n->w ? n->w : in->w + n->pad.left + n->pad.right, n->w ? n->h : in->h + n->pad.top + n->pad.bottom);
    if (n->w && (n->w - wn->pad.left > in->w || n->h - wn->pad.top > in->h))
        return FAIL(t, -ENOSYS, "node '%s': output_shape is larger than what a picture of %dx%d gives",
                    n->name, t->p->width, t->p->height);
    if (n->pad_mode == FSR_PAD_REFLECT && (n->pad.left >= in->w || n->pad.right >= in->w ||
                                           n->pad.top >= in->h || n->pad.bottom >= in->h))
        return FAIL(t, -EINVAL, "node '%s': reflects more samples than there are", n->name);
    return 0;
}

static int size_reshape(const Planner *t)
{
    const FsrNode *n = t->n;
    const int64_t  from[4] = { 1, t->in_planes, t->in->h, t->in->w }, all = from[1] * from[2] * from[3];
    int64_t        to[4] = { 1, 1, 1, 1 };

    for (int i = 0; n->axis >= 0 && i < 4; i++)
        to[i < n->axis ? 2 : 3] *= from[i];
    for (int i = 0; n->axis < 0 && i < 4; i++)
        to[i] = n->shape[i] <= FSR_SHAPE_COPY ? from[FSR_SHAPE_COPY - n->shape[i]] : n->shape[i];
    if (to[2] == -1)
        to[2] = to[3] > 0 ? all / (to[1] * to[3]) : 0;
    else if (to[3] == -1)
        to[3] = all / (to[1] * to[2]);
    if (to[1] * to[2] * to[3] != all)
        return FAIL(t, -EINVAL, "node '%s': %lld samples cannot have that shape", n->name, (long long)all);
    return resize(t->wn, to[3] > FSR_NN_MAX_SIZE ? FSR_NN_MAX_SIZE + 1 : (int)to[3],
                  to[2] > FSR_NN_MAX_SIZE ? FSR_NN_MAX_SIZE + 1 : (int)to[2]);
}

/* Width and height of the value; they are those of the first input if it is not said otherwise. */
static int size_value(const Planner *t)
{
    const FsrNode      *n  = t->n;
    FsrWholeNode       *wn = t->wn;
    const FsrWholeNode *in = t->in;

    switch (n->op) {
    case FSR_OP_INPUT:        return resize(wn, t->p->width, t->p->height);
    case FSR_OP_CONST:        return resize(wn, n->w, n->h);
    case FSR_OP_CONV:
    case FSR_OP_DEPTHWISE:
    case FSR_OP_MAX_POOL:
    case FSR_OP_AVERAGE_POOL:
        wn->pad = n->pad;
        return resize(wn, window_size(n, in->w, n->kw, n->dx, n->sx, &wn->pad.left, &wn->pad.right),
                      window_size(n, in->h, n->kh, n->dy, n->sy, &wn->pad.top, &wn->pad.bottom));
    case FSR_OP_GLOBAL_POOL:  return resize(wn, 1, 1);
    case FSR_OP_SHUFFLE:      return resize(wn, in->w * n->block, in->h * n->block_y);
    case FSR_OP_TRANSPOSE:    return resize(wn, in->h, in->w);
    case FSR_OP_PAD:          return size_pad(t);
    case FSR_OP_RESHAPE:      return size_reshape(t);
    case FSR_OP_UNSHUFFLE:
        if (in->w % n->block || in->h % n->block)
            return FAIL(t, -EINVAL, "node '%s': %dx%d samples cannot be divided by %d", n->name, in->w, in->h, n->block);
        return resize(wn, in->w / n->block, in->h / n->block);
    case FSR_OP_SLICE:
        fsr_slice_count(n->range[1], t->in_planes, &wn->first_c);
        wn->h = fsr_slice_count(n->range[2], in->h, &wn->first_y);
        wn->w = fsr_slice_count(n->range[3], in->w, &wn->first_x);
        return 0;
    case FSR_OP_GEMM:
        if (in->w != n->kw)
            return FAIL(t, -EINVAL, "node '%s': its matrix is for %d values, its input has %d", n->name, n->kw, in->w);
        return resize(wn, n->w, in->h);
    case FSR_OP_RESIZE:
        resize(wn, fsr_resize_size(in->w, n->resize.fx, n->resize.w), fsr_resize_size(in->h, n->resize.fy, n->resize.h));
        return same_size(t);
    default:
        return same_size(t);
    }
}

static int size_node(const Planner *t)
{
    FsrWholeNode *wn = t->wn;
    int           ret;

    resize(wn, t->in->w, t->in->h);
    if ((ret = size_value(t)) < 0)
        return ret;
    if (wn->w < 1 || wn->h < 1)
        return FAIL(t, -EINVAL, "node '%s': nothing is left of a picture of %dx%d samples", t->n->name,
                    t->p->width, t->p->height);
    if (wn->w > FSR_NN_MAX_SIZE || wn->h > FSR_NN_MAX_SIZE)
        return FAIL(t, -E2BIG, "node '%s': its result is larger than %dx%d", t->n->name, FSR_NN_MAX_SIZE, FSR_NN_MAX_SIZE);
    wn->stride = fsr_nn_stride(t->n->channels, 0);
    wn->band   = fsr_ceil_div(wn->h, fsr_ceil_div(wn->h, fsr_ceil_div(BAND_SAMPLES, wn->w)));
    return 0;
}

/* ---- kernels ---------------------------------------------------------------------- */

/* A kernel knows no strides: a window's row is one sample of as many planes, of which the next begins sx samples on. */
static float *fold_stride(const Planner *t, const FsrConvShape *s, int planes, int stride)
{
    const FsrNode *n = t->n;
    float         *w = fsr_alloc(&t->p->temp, (size_t)s->cout * s->cin * s->kh * sizeof(*w));

    for (int o = 0; w && o < s->cout; o++)
        for (int i = 0; i < planes; i++)
            for (int y = 0; y < n->kh; y++)
                for (int x = 0; x < n->kw; x++)
                    w[((size_t)o * s->cin + x * stride + i) * s->kh + y] =
                        n->weights[(((size_t)o * planes + i) * n->kh + y) * n->kw + x];
    return w;
}

static int setup_conv(const Planner *t, int i)
{
    const FsrNode *n      = t->n;
    FsrWholeNode  *wn     = t->wn;
    FsrConvShape  *shape  = &t->p->nodes[i].shape;
    const int      fold   = n->sx > 1 && n->kw > 1;
    const float   *weights = n->weights;

    *shape = (FsrConvShape){
        .cin  = fold ? n->kw * t->in->stride : t->in_planes, .cin_stride = n->sx * t->in->stride,
        .cout = n->channels, .cout_stride = wn->stride,
        .kw   = fold ? 1 : n->kw, .kh = n->kh, .relu = n->relu, .top = n->top, .cold = 1,
    };
    wn->points = n->kw == 1 && n->kh == 1 && n->sx == 1 && n->sy == 1 && wn->w == t->in->w && wn->h == t->in->h;
    if (fold && !(weights = fold_stride(t, shape, t->in_planes, t->in->stride)))
        return -ENOMEM;
    return fsr_plan_pack(t->p, i, weights, n->bias);
}

static int setup_depthwise(const Planner *t, int i)
{
    const FsrNode *n  = t->n;
    FsrWholeNode  *wn = t->wn;
    float        **packed = &t->p->nodes[i].packed;

    wn->dw = (FsrDwShape){ n->channels, wn->stride, n->kw, n->kh, n->sx, n->relu ? 0 : -FLT_MAX,
                           n->top > 0 ? n->top : FLT_MAX, 0, 0, 0 };
    wn->dw_kernel = fsr_nn_pick_depthwise(t->p->isa, &wn->dw);
    if (!(*packed = fsr_plan_alloc(t->p, fsr_dw_packed_floats(&wn->dw) * sizeof(float))))
        return -ENOMEM;
    fsr_dw_pack(&wn->dw, n->weights, n->bias, *packed);
    return 0;
}

static int setup_node(Planner *t, int i)
{
    const FsrNode *n        = t->n;
    FsrWholeNode  *wn       = t->wn;
    size_t        *scratch  = &t->p->scratch_floats;
    const size_t   in_pitch = (size_t)t->in->w * t->in->stride;
    int ret = 0;

    if (n->op == FSR_OP_CONV) {
        ret = setup_conv(t, i);
    } else if (n->op == FSR_OP_DEPTHWISE) {
        ret = setup_depthwise(t, i);
    } else if (n->op == FSR_OP_GEMM) {              /* a row is one sample of as many planes */
        t->p->nodes[i].shape = (FsrConvShape){ .cin = n->kw, .cin_stride = n->kw, .cout = n->w,
                                               .cout_stride = n->w, .kw = 1, .kh = 1, .relu = n->relu };
        ret = fsr_plan_pack(t->p, i, n->weights, n->bias);
    } else if (n->op == FSR_OP_RESIZE) {
        if ((ret = fsr_resize_taps(&t->p->memory, &wn->tx, &n->resize, t->in->w, wn->w, n->resize.fx)) >= 0)
            ret = fsr_resize_taps(&t->p->memory, &wn->ty, &n->resize, t->in->h, wn->h, n->resize.fy);
        fsr_at_least(scratch, in_pitch);
    } else if (n->op == FSR_OP_INPUT) {
        fsr_at_least(scratch, (size_t)n->channels * wn->w);
    }
    if (n->op == FSR_OP_CONV || n->op == FSR_OP_DEPTHWISE) {
        fsr_at_least(&t->zeros, in_pitch);
        fsr_at_least(&t->window, (size_t)n->kh * ((wn->w - 1) * n->sx + n->kw) * t->in->stride);
    }
    fsr_at_least(scratch, wn->w);                   /* one plane for get or put */
    return ret;
}

/* ---- order and memory ------------------------------------------------------------- */

FsrSpan fsr_whole_span(const FsrPlan *p, int i, int j, int r)
{
    const FsrNode      *n  = &p->net->nodes[i];
    const FsrWholeNode *wn = &p->whole->nodes[i], *in = &p->whole->nodes[n->in[j]];
    const FsrSpan       all = { 0, in->h - 1 };
    int a = r, span = 1;

    switch (n->op) {
    case FSR_OP_CONV:
    case FSR_OP_DEPTHWISE:
    case FSR_OP_MAX_POOL:
    case FSR_OP_AVERAGE_POOL:
        a    = r * n->sy - wn->pad.top;
        span = (n->kh - 1) * n->dy + 1;
        break;
    case FSR_OP_SHUFFLE:
        return (FsrSpan){ r / n->block_y, r / n->block_y };
    case FSR_OP_UNSHUFFLE:
        return (FsrSpan){ r * n->block, (r + 1) * n->block - 1 };
    case FSR_OP_RESIZE:
        if (j == 0)
            return (FsrSpan){ wn->ty.taps[r].at[0], wn->ty.taps[r].at[wn->ty.nb - 1] };
        break;
    case FSR_OP_SLICE:
        if (n->range[2][2] < 0)
            return all;
        a = wn->first_y + r * (int)n->range[2][2];
        break;
    case FSR_OP_PAD:
        if (n->pad_mode == FSR_PAD_REFLECT)
            return all;
        a = n->pad_mode == FSR_PAD_EDGE ? fsr_min(fsr_max(r - wn->pad.top, 0), in->h - 1) : r - wn->pad.top;
        break;
    case FSR_OP_CONCAT:
        for (int k = 0; n->axis == 2 && k < j; k++)
            a -= p->whole->nodes[n->in[k]].h;
        break;
    case FSR_OP_GLOBAL_POOL:
    case FSR_OP_TRANSPOSE:
    case FSR_OP_RESHAPE:
        return all;
    default:
        if (fsr_is_binary(n->op) && in->h == 1)
            a = 0;
    }
    return (FsrSpan){ a, a + span - 1 };
}

void fsr_whole_play(const FsrPlan *p, void *opaque, FsrMake *make, void (*deliver)(void *opaque, int result, int r))
{
    int    *made  = p->workers[0].made;
    int64_t steps = 0;

    memset(made, 0, p->net->nb_nodes * sizeof(*made));
    for (int k = 0; k < fsr_nb_results(p->net); k++)
        steps = fsr_max((int)steps, p->whole->nodes[fsr_result(p->net, k)].h);
    for (int64_t s = 0; s < steps; s++)
        for (int k = 0; k < fsr_nb_results(p->net); k++) {
            const int i = fsr_result(p->net, k), h = p->whole->nodes[i].h;

            for (int r = (int)(s * h / steps); r < (s + 1) * h / steps; r++) {
                fsr_plan_demand(p, made, i, r, opaque, make);
                deliver(opaque, k, r);
            }
        }
}

/* Without data: row r of a result is read. */
static void keep(void *opaque, int result, int r)
{
    const FsrPlan *p = opaque;
    const int      i = fsr_result(p->net, result);

    p->nodes[i].ring_rows = fsr_max(p->nodes[i].ring_rows, p->workers[0].made[i] - r);
}

static int lay_out(const Planner *t)
{
    FsrPlan *p  = t->p;
    size_t   at = 0;

    fsr_whole_play(p, p, fsr_plan_rehearse, keep);
    for (int i = 0; i < p->net->nb_nodes; i++) {
        const FsrWholeNode *wn = &p->whole->nodes[i];
        FsrPlanNode        *pn = &p->nodes[i];

        pn->ring_rows = fsr_min(fsr_ceil_div(pn->ring_rows, wn->band) * wn->band, wn->h);
        pn->pitch     = (size_t)wn->w * wn->stride;
        pn->offset    = at;
        at += fsr_align16(pn->ring_rows * pn->pitch) + 16;
    }
    p->whole->window = at;
    p->scratch       = at + fsr_align16(t->window);
    p->whole->zeros  = p->scratch + fsr_align16(p->scratch_floats);
    p->worker_floats = p->whole->zeros + fsr_align16(t->zeros);
    if (p->worker_floats > MAX_FLOATS)
        return FAIL(t, -E2BIG, "the network needs more than %d MiB for a picture of %dx%d", MAX_FLOATS >> 18,
                    p->width, p->height);
    return 0;
}

int fsr_whole_setup(FsrPlan *p, char *err, size_t err_size)
{
    Planner t = { .p = p, .err = err, .err_size = err_size };
    int     ret;

    for (int i = 0; i < p->net->nb_nodes; i++) {
        t.n         = &p->net->nodes[i];
        t.wn        = &p->whole->nodes[i];
        t.in        = &p->whole->nodes[t.n->in[0]];
        t.in_planes = p->net->nodes[t.n->in[0]].channels;
        if ((ret = size_node(&t)) < 0 || (ret = setup_node(&t, i)) < 0)
            return ret;
    }
    p->tile_w = p->width;
    p->tile_h = p->height;
    p->cols   = p->rows = 1;
    return lay_out(&t);
}
