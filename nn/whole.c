/* FsrNet -> FsrPlan of a whole picture: sizes, pads, rings, kernels, memory. */
#include "nn/whole.h"

#include <errno.h>
#include <float.h>
#include <stdlib.h>
#include <string.h>

enum {
    BAND_SAMPLES = 256,     /* of a band: amortizes reading a layer's weights */
    MAX_FLOATS   = 1 << 29, /* of a plan, its weights apart */
    MIN_EDGES_W  = 24,      /* samples of a row from which on its ends are worth work of their own */
};

typedef struct Planner {
    FsrPlan *p;
    FsrIsa   isa;
    size_t   window, scratch, zeros;    /* words that the largest node needs */
    char    *err;
    size_t   err_size;
} Planner;

#define FAIL(t, code, ...) fsr_nn_fail((t)->err, (t)->err_size, code, __VA_ARGS__)

/* ---- sizes ------------------------------------------------------------------------ */

typedef struct Axis {
    int size, k, dilation, stride, before, after;
} Axis;

/* Size of an axis behind a window; fills in the pads. Negative: the window does not fit. */
static int window_size(const FsrNode *n, Axis *a)
{
    const int span = (a->k - 1) * a->dilation + 1;
    int room, result;

    if (n->same != FSR_SAME_NO) {
        result = fsr_ceil_div(a->size, a->stride);
        room   = (result - 1) * a->stride + span - a->size;
        room   = room < 0 ? 0 : room;
        a->before = n->same == FSR_SAME_UPPER ? room / 2 : room - room / 2;
        a->after  = room - a->before;
        return result;
    }
    room = a->size + a->before + a->after - span;
    if (room < 0)
        return -1;
    result = (n->ceil ? fsr_ceil_div(room, a->stride) : room / a->stride) + 1;
    /* no window begins behind the picture */
    return n->ceil && (result - 1) * a->stride >= a->size + a->before ? result - 1 : result;
}

static void size_window(const FsrNode *n, const FsrWholeNode *in, FsrWholeNode *wn)
{
    const int pool = n->op == FSR_OP_MAX_POOL || n->op == FSR_OP_AVERAGE_POOL;
    Axis x = { in->w, n->kw, pool ? n->dx : 1, n->sx, n->pad_left, n->pad_right };
    Axis y = { in->h, n->kh, pool ? n->dy : 1, n->sy, n->pad_top, n->pad_bottom };

    wn->w = window_size(n, &x);
    wn->h = window_size(n, &y);
    wn->pad_left   = x.before;
    wn->pad_right  = x.after;
    wn->pad_top    = y.before;
    wn->pad_bottom = y.after;
}

static int different(const Planner *t, int i, const FsrWholeNode *a, const FsrWholeNode *b)
{
    return FAIL(t, -EINVAL, "node '%s': its inputs are %dx%d and %dx%d for this picture size, must be "
                "equal", t->p->net->nodes[i].name, a->w, a->h, b->w, b->h);
}

/* All inputs of one size, along the axis of a concatenation of any; or such that broadcast. */
static int same_size(const Planner *t, int i)
{
    const FsrNode *n  = &t->p->net->nodes[i];
    FsrWholeNode  *wn = &t->p->whole->nodes[i];
    const int binary = n->op == FSR_OP_ADD || n->op == FSR_OP_SUB || n->op == FSR_OP_MUL ||
                       n->op == FSR_OP_PRELU;

    wn->w = t->p->whole->nodes[n->in[0]].w;
    wn->h = t->p->whole->nodes[n->in[0]].h;
    for (int j = 1; j < n->nb_in; j++) {
        const FsrWholeNode *in = &t->p->whole->nodes[n->in[j]];

        if (n->op == FSR_OP_CONCAT && n->axis == 2 && in->w == wn->w)
            wn->h += in->h;
        else if (n->op == FSR_OP_CONCAT && n->axis == 3 && in->h == wn->h)
            wn->w += in->w;
        else if (binary && (in->w == wn->w || in->w == 1 || wn->w == 1) &&
                 (in->h == wn->h || in->h == 1 || wn->h == 1)) {
            wn->w = in->w > wn->w ? in->w : wn->w;
            wn->h = in->h > wn->h ? in->h : wn->h;
        } else if (in->w != wn->w || in->h != wn->h || (n->op == FSR_OP_CONCAT && n->axis != 1))
            return different(t, i, wn, in);
        if (wn->w > FSR_NN_MAX_SIZE || wn->h > FSR_NN_MAX_SIZE)
            break;
    }
    return 0;
}

/* Pads; with a result of a given size (ConvTranspose) the surplus and half of the rest go. */
static int size_pad(const Planner *t, const FsrNode *n, const FsrWholeNode *in, FsrWholeNode *wn)
{
    const int x = n->w ? in->w + n->pad_right - n->w : 0, y = n->h ? in->h + n->pad_bottom - n->h : 0;

    wn->pad_left = n->pad_left;
    wn->pad_top  = n->pad_top;
    wn->w        = in->w + n->pad_left + n->pad_right;
    wn->h        = in->h + n->pad_top + n->pad_bottom;
    if (n->w) {
        wn->pad_left = x < 0 ? 0 : -(n->same == FSR_SAME_UPPER ? x / 2 : x - x / 2);
        wn->pad_top  = y < 0 ? 0 : -(n->same == FSR_SAME_UPPER ? y / 2 : y - y / 2);
        wn->w        = n->w;
        wn->h        = n->h;
        if (n->w - wn->pad_left > in->w || n->h - wn->pad_top > in->h)
            return FAIL(t, -ENOSYS, "node '%s': output_shape is larger than what a picture of %dx%d gives",
                        n->name, t->p->width, t->p->height);
    }
    if (n->pad_mode == FSR_PAD_REFLECT && (n->pad_left >= in->w || n->pad_right >= in->w ||
                                           n->pad_top >= in->h || n->pad_bottom >= in->h))
        return FAIL(t, -EINVAL, "node '%s': reflects more samples than there are", n->name);
    return 0;
}

static int size_reshape(const Planner *t, const FsrNode *n, const FsrWholeNode *in, int planes,
                        FsrWholeNode *wn)
{
    const int64_t from[4] = { 1, planes, in->h, in->w }, all = (int64_t)planes * in->h * in->w;
    int64_t to[4] = { 1, 1, 1, 1 };

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
    wn->w = to[3] > FSR_NN_MAX_SIZE ? FSR_NN_MAX_SIZE + 1 : (int)to[3];
    wn->h = to[2] > FSR_NN_MAX_SIZE ? FSR_NN_MAX_SIZE + 1 : (int)to[2];
    return 0;
}

static int size_node(const Planner *t, int i)
{
    const FsrNode      *n  = &t->p->net->nodes[i];
    FsrWholeNode       *wn = &t->p->whole->nodes[i];
    const FsrWholeNode *in = &t->p->whole->nodes[n->in[0]];
    int ret = 0;

    switch (n->op) {
    case FSR_OP_INPUT:
        wn->w = t->p->width;
        wn->h = t->p->height;
        break;
    case FSR_OP_CONST:
        wn->w = n->w;
        wn->h = n->h;
        break;
    case FSR_OP_CONV:
    case FSR_OP_DEPTHWISE:
    case FSR_OP_MAX_POOL:
    case FSR_OP_AVERAGE_POOL:
        size_window(n, in, wn);
        break;
    case FSR_OP_GLOBAL_POOL:
        wn->w = wn->h = 1;
        break;
    case FSR_OP_SHUFFLE:
        wn->w = in->w * n->block;
        wn->h = in->h * n->block_y;
        break;
    case FSR_OP_UNSHUFFLE:
        wn->w = in->w / n->block;
        wn->h = in->h / n->block;
        if (in->w % n->block || in->h % n->block)
            return FAIL(t, -EINVAL, "node '%s': %dx%d samples cannot be divided by %d", n->name, in->w,
                        in->h, n->block);
        break;
    case FSR_OP_PAD:
        ret = size_pad(t, n, in, wn);
        break;
    case FSR_OP_SLICE:
        fsr_slice_count(n->range[1], t->p->net->nodes[n->in[0]].channels, &wn->first_c);
        wn->h = fsr_slice_count(n->range[2], in->h, &wn->first_y);
        wn->w = fsr_slice_count(n->range[3], in->w, &wn->first_x);
        break;
    case FSR_OP_TRANSPOSE:
        wn->w = in->h;
        wn->h = in->w;
        break;
    case FSR_OP_RESHAPE:
        ret = size_reshape(t, n, in, t->p->net->nodes[n->in[0]].channels, wn);
        break;
    case FSR_OP_GEMM:
        wn->w = n->w;
        wn->h = in->h;
        if (in->w != n->kw)
            return FAIL(t, -EINVAL, "node '%s': its matrix is for %d values, its input has %d", n->name,
                        n->kw, in->w);
        break;
    case FSR_OP_RESIZE:
        wn->w = fsr_resize_size(in->w, n->resize.fx, n->resize.w);
        wn->h = fsr_resize_size(in->h, n->resize.fy, n->resize.h);
        if (n->nb_in > 1 && (t->p->whole->nodes[n->in[1]].w != wn->w || t->p->whole->nodes[n->in[1]].h != wn->h))
            return different(t, i, wn, &t->p->whole->nodes[n->in[1]]);
        break;
    default:
        ret = same_size(t, i);
    }
    if (ret < 0)
        return ret;
    if (wn->w < 1 || wn->h < 1)
        return FAIL(t, -EINVAL, "node '%s': nothing is left of a picture of %dx%d samples", n->name,
                    t->p->width, t->p->height);
    if (wn->w > FSR_NN_MAX_SIZE || wn->h > FSR_NN_MAX_SIZE)
        return FAIL(t, -E2BIG, "node '%s': its result is larger than %dx%d", n->name, FSR_NN_MAX_SIZE,
                    FSR_NN_MAX_SIZE);
    wn->stride = fsr_nn_stride(n->channels, 0);
    wn->pitch  = (size_t)wn->w * wn->stride;
    wn->band   = fsr_ceil_div(wn->h, fsr_ceil_div(wn->h, fsr_ceil_div(BAND_SAMPLES, wn->w)));
    return 0;
}

/* ---- kernels ---------------------------------------------------------------------- */

static void at_least(size_t *a, size_t b)
{
    if (*a < b)
        *a = b;
}

/* A kernel knows no strides: sx samples side by side are one with sx times as many planes,
 * and the kernel's columns beyond the last are zero. */
static float *fold_stride(const FsrNode *n, const FsrConvShape *s, int planes, int stride)
{
    float *w = calloc((size_t)s->cout * s->cin * s->kw * s->kh, sizeof(*w));

    for (int o = 0; w && o < s->cout; o++)
        for (int i = 0; i < planes; i++)
            for (int y = 0; y < n->kh; y++)
                for (int x = 0; x < n->kw; x++)
                    w[(((size_t)o * s->cin + x % n->sx * stride + i) * s->kh + y) * s->kw + x / n->sx] =
                        n->weights[(((size_t)o * planes + i) * n->kh + y) * n->kw + x];
    return w;
}

/* The kernel for the node's shape, with its weights. */
static int pack(Planner *t, FsrWholeNode *wn, const float *weights, const float *bias)
{
    wn->kernel = fsr_nn_pick_conv(t->isa, &wn->shape);
    if (!(wn->packed = fsr_plan_alloc(t->p, wn->kernel->packed_floats(&wn->shape) * sizeof(float))))
        return -ENOMEM;
    wn->kernel->pack(&wn->shape, weights, bias, wn->packed);
    if (wn->kernel->scratch_floats)
        at_least(&t->scratch, wn->kernel->scratch_floats(&wn->shape));
    return 0;
}

static int setup_conv(Planner *t, int i)
{
    const FsrNode      *n  = &t->p->net->nodes[i];
    FsrWholeNode       *wn = &t->p->whole->nodes[i];
    const FsrWholeNode *in = &t->p->whole->nodes[n->in[0]];
    const int planes = t->p->net->nodes[n->in[0]].channels;
    float    *folded = NULL;
    int       ret;

    wn->shape = (FsrConvShape){
        .cin  = n->sx > 1 && n->kw > 1 ? (n->sx < n->kw ? n->sx : n->kw) * in->stride : planes,
        .cin_stride = n->sx * in->stride,
        .cout = n->channels, .cout_stride = wn->stride,
        .kw   = fsr_ceil_div(n->kw, n->sx), .kh = n->kh, .relu = n->relu,
    };
    if (n->sx > 1 || wn->pad_left || wn->pad_top || wn->w + n->kw - 1 > in->w ||
        (wn->h - 1) * n->sy + n->kh > in->h)
        wn->window_w = (wn->w - 1 + wn->shape.kw) * n->sx;
    if (n->sx > 1 && n->kw > 1 && !(folded = fold_stride(n, &wn->shape, planes, in->stride)))
        return -ENOMEM;
    ret = pack(t, wn, folded ? folded : n->weights, n->bias);
    free(folded);
    return ret;
}

static int setup_depthwise(Planner *t, int i)
{
    const FsrNode *n  = &t->p->net->nodes[i];
    FsrWholeNode  *wn = &t->p->whole->nodes[i];

    wn->dw = (FsrDwShape){ n->channels, wn->stride, n->kw, n->kh, n->sx, n->relu ? 0 : -FLT_MAX,
                           n->top > 0 ? n->top : FLT_MAX, 0 };
    wn->window_w  = (wn->w - 1) * n->sx + n->kw;
    wn->dw_kernel = fsr_nn_pick_depthwise(t->isa, &wn->dw);
    if (!(wn->packed = fsr_plan_alloc(t->p, fsr_dw_packed_floats(&wn->dw) * sizeof(float))))
        return -ENOMEM;
    fsr_dw_pack(&wn->dw, n->weights, n->bias, wn->packed);
    return 0;
}

/* A row is one sample of as many planes. */
static int setup_gemm(Planner *t, int i)
{
    const FsrNode *n  = &t->p->net->nodes[i];
    FsrWholeNode  *wn = &t->p->whole->nodes[i];

    wn->shape  = (FsrConvShape){ .cin = n->kw, .cin_stride = n->kw, .cout = n->w, .cout_stride = n->w,
                                 .kw = 1, .kh = 1, .relu = n->relu };
    return pack(t, wn, n->weights, n->bias);
}

static int setup_node(Planner *t, int i)
{
    const FsrNode      *n  = &t->p->net->nodes[i];
    FsrWholeNode       *wn = &t->p->whole->nodes[i];
    const FsrWholeNode *in = &t->p->whole->nodes[n->in[0]];
    int ret = 0;

    switch (n->op) {
    case FSR_OP_INPUT:
        at_least(&t->scratch, (size_t)n->channels * wn->w);
        break;
    case FSR_OP_CONV:
        ret = setup_conv(t, i);
        break;
    case FSR_OP_DEPTHWISE:
        ret = setup_depthwise(t, i);
        break;
    case FSR_OP_GEMM:
        ret = setup_gemm(t, i);
        break;
    case FSR_OP_GLOBAL_POOL:
        at_least(&t->scratch, wn->stride);
        break;
    case FSR_OP_RESIZE:
        if ((ret = fsr_resize_taps(&wn->tx, &n->resize, in->w, wn->w, n->resize.fx)) >= 0)
            ret = fsr_resize_taps(&wn->ty, &n->resize, in->h, wn->h, n->resize.fy);
        at_least(&t->scratch, in->pitch);
        break;
    default:
        break;
    }
    wn->edges = wn->window_w && wn->w >= MIN_EDGES_W && in->w >= n->kw && (n->sx == 1 || wn->dw_kernel);
    if (wn->edges)
        at_least(&t->zeros, in->pitch);
    if (wn->window_w)
        at_least(&t->window, (size_t)wn->window_w * in->stride * ((wn->band - 1) * n->sy + n->kh));
    at_least(&t->scratch, wn->w);                   /* one plane for get or put */
    return ret;
}

/* ---- order and memory ------------------------------------------------------------- */

FsrSpan fsr_whole_span(const FsrPlan *p, int i, int j, int r)
{
    const FsrNode      *n  = &p->net->nodes[i];
    const FsrWholeNode *wn = &p->whole->nodes[i], *in = &p->whole->nodes[n->in[j]];
    int a = r, span = 1;

    switch (n->op) {
    case FSR_OP_CONV:
    case FSR_OP_DEPTHWISE:
        a    = r * n->sy - wn->pad_top;
        span = n->kh;
        break;
    case FSR_OP_MAX_POOL:
    case FSR_OP_AVERAGE_POOL:
        a    = r * n->sy - wn->pad_top;
        span = (n->kh - 1) * n->dy + 1;
        break;
    case FSR_OP_SHUFFLE:
        a = r / n->block_y;
        break;
    case FSR_OP_UNSHUFFLE:
        a    = r * n->block;
        span = n->block;
        break;
    case FSR_OP_RESIZE:
        if (j == 0)
            return (FsrSpan){ wn->ty.taps[r].at[0], wn->ty.taps[r].at[wn->ty.nb - 1] };
        break;
    case FSR_OP_SLICE:
        a = wn->first_y + r * (int)n->range[2][2];
        if (n->range[2][2] < 0)
            return (FsrSpan){ 0, in->h - 1 };
        break;
    case FSR_OP_PAD:
        a = r - wn->pad_top;
        if (n->pad_mode == FSR_PAD_REFLECT)
            return (FsrSpan){ 0, in->h - 1 };
        if (n->pad_mode == FSR_PAD_EDGE)
            a = a < 0 ? 0 : a < in->h ? a : in->h - 1;
        break;
    case FSR_OP_CONCAT:
        for (int k = 0; n->axis == 2 && k < j; k++)
            a -= p->whole->nodes[n->in[k]].h;
        break;
    case FSR_OP_GLOBAL_POOL:
    case FSR_OP_TRANSPOSE:
    case FSR_OP_RESHAPE:
        return (FsrSpan){ 0, in->h - 1 };
    case FSR_OP_ADD:
    case FSR_OP_SUB:
    case FSR_OP_MUL:
    case FSR_OP_PRELU:
        a = in->h == 1 ? 0 : r;
        break;
    default:
        break;
    }
    return (FsrSpan){ a, a + span - 1 };
}

void fsr_whole_demand(const FsrPlan *p, int i, int r, void *opaque,
                      void (*make)(void *opaque, int i, int first, int last))
{
    const FsrNode      *n    = &p->net->nodes[i];
    const FsrWholeNode *wn   = &p->whole->nodes[i];
    int                *made = p->whole->made;

    r = r < wn->h ? r : wn->h - 1;
    while (made[i] <= r) {
        const int first = made[i], last = (first + wn->band < wn->h ? first + wn->band : wn->h) - 1;

        for (int j = 0; j < n->nb_in; j++)
            fsr_whole_demand(p, n->in[j], fsr_whole_span(p, i, j, last).last, opaque, make);
        make(opaque, i, first, last);
        made[i] = last + 1;
    }
}

/* Without data: row r of a result is read. */
static void keep(const FsrPlan *p, int i, int r)
{
    FsrWholeNode *wn = &p->whole->nodes[i];

    if (wn->ring_rows < p->whole->made[i] - r)
        wn->ring_rows = p->whole->made[i] - r;
}

void fsr_whole_play(const FsrPlan *p, void *opaque,
                    void (*make)(void *opaque, int i, int first, int last),
                    void (*deliver)(void *opaque, int result, int r))
{
    int64_t steps = 0;

    memset(p->whole->made, 0, p->net->nb_nodes * sizeof(*p->whole->made));
    for (int k = 0; k < fsr_nb_results(p->net); k++)
        steps = steps < p->whole->nodes[fsr_result(p->net, k)].h ? p->whole->nodes[fsr_result(p->net, k)].h : steps;
    for (int64_t s = 0; s < steps; s++)
        for (int k = 0; k < fsr_nb_results(p->net); k++) {
            const int i = fsr_result(p->net, k), h = p->whole->nodes[i].h;

            for (int r = (int)(s * h / steps); r < (s + 1) * h / steps; r++) {
                fsr_whole_demand(p, i, r, opaque, make);
                if (deliver)
                    deliver(opaque, k, r);
                else
                    keep(p, i, r);
            }
        }
}

/* Without data: how many rows of its inputs a band needs at the moment when it is made. */
static void measure(void *opaque, int i, int first, int last)
{
    const FsrPlan *p = opaque;
    const FsrNode *n = &p->net->nodes[i];

    (void)last;
    for (int j = 0; j < n->nb_in; j++) {
        FsrWholeNode *in = &p->whole->nodes[n->in[j]];
        int from = fsr_whole_span(p, i, j, first).first;
        int rows = p->whole->made[n->in[j]] - (from < 0 ? 0 : from);
        if (in->ring_rows < rows)
            in->ring_rows = rows;
    }
}

static int lay_out(Planner *t)
{
    FsrPlan         *p = t->p;
    struct FsrWhole *w = p->whole;
    size_t           at = 0;

    fsr_whole_play(p, p, measure, NULL);
    for (int i = 0; i < p->net->nb_nodes; i++) {
        FsrWholeNode *wn = &w->nodes[i];

        wn->ring_rows = fsr_ceil_div(wn->ring_rows < 1 ? 1 : wn->ring_rows, wn->band) * wn->band;
        wn->ring_rows = wn->ring_rows < wn->h ? wn->ring_rows : wn->h;
        at += (wn->ring_rows * wn->pitch + 31) / 16 * 16;
    }
    if (at + t->window + t->scratch + t->zeros > MAX_FLOATS)
        return FAIL(t, -E2BIG, "the network needs more than %d MiB for a picture of %dx%d", MAX_FLOATS >> 18,
                    p->width, p->height);
    if (!(w->memory = fsr_plan_alloc(p, (at + t->window + t->scratch + t->zeros + 64) * sizeof(float))))
        return -ENOMEM;
    at = 0;
    for (int i = 0; i < p->net->nb_nodes; i++) {
        w->nodes[i].ring = w->memory + at;
        at += (w->nodes[i].ring_rows * w->nodes[i].pitch + 31) / 16 * 16;
    }
    w->window  = w->memory + at;
    w->scratch = w->window + (t->window + 15) / 16 * 16;
    w->zeros   = w->scratch + (t->scratch + 15) / 16 * 16;
    return 0;
}

static int plan(Planner *t)
{
    FsrPlan   *p  = t->p;
    const int  nb = p->net->nb_nodes;
    int        ret;

    if (!(p->whole = calloc(1, sizeof(*p->whole))) ||
        !(p->whole->nodes = calloc(nb, sizeof(*p->whole->nodes))) ||
        !(p->whole->made = calloc(nb, sizeof(*p->whole->made))))
        return -ENOMEM;
    p->bytes = sizeof(*p) + sizeof(*p->whole) + nb * (sizeof(*p->whole->nodes) + sizeof(int));
    for (int i = 0; i < nb; i++)
        if ((ret = size_node(t, i)) < 0 || (ret = setup_node(t, i)) < 0)
            return ret;
    p->tile_w = p->width;
    p->tile_h = p->height;
    p->cols   = p->rows = 1;
    return lay_out(t);
}

int fsr_whole_plan(FsrPlan **plan_, const FsrNet *net, int width, int height, int nb_workers,
                   FsrPrecision precision, FsrIsa isa, char *err, size_t err_size)
{
    Planner t = { .isa = isa, .err = err, .err_size = err_size };
    int     ret, damaged = 0;

    if ((ret = fsr_plan_new(&t.p, net, width, height, nb_workers, err, err_size)) >= 0 && (ret = plan(&t)) >= 0 &&
        precision == FSR_PRECISION_I8) {
        ret     = fsr_whole_quantize(t.p, isa);
        damaged = ret == -EINVAL;
    }
    if (ret < 0) {
        fsr_nn_plan_free(&t.p);
        if (ret == -ENOMEM)
            FAIL(&t, ret, "cannot plan the network for %dx%d: out of memory", width, height);
        else if (damaged)
            FAIL(&t, ret, "cannot plan the network for %dx%d: a range in its metadata is damaged", width, height);
    }
    *plan_ = t.p;
    return ret;
}

int fsr_nn_plan_whole(FsrPlan **plan, const FsrNet *net, int width, int height, char *err,
                      size_t err_size)
{
    return fsr_whole_plan(plan, net, width, height, 1, FSR_PRECISION_F32, fsr_nn_isa(), err, err_size);
}

void fsr_whole_free(struct FsrWhole **whole, int nb_nodes)
{
    struct FsrWhole *w = *whole;

    *whole = NULL;
    if (!w)
        return;
    for (int i = 0; w->nodes && i < nb_nodes; i++) {
        free(w->nodes[i].packed);
        fsr_whole_free_point(&w->nodes[i]);
        free(w->nodes[i].tx.taps);
        free(w->nodes[i].ty.taps);
    }
    free(w->nodes);
    free(w->memory);
    free(w->made);
    free(w);
}
