/*
 * Whole networks in integers: 1x1 convolutions of many planes, most of the work of a network of
 * depthwise and 1x1 pairs, are done on bytes. All values stay float; a convolution turns what it
 * reads into bytes. Only of values that are never negative, so that the bytes have no offset, and
 * whose range the file says (quant.h): the drawn picture of strips is too unlike what such networks see.
 */
#include "nn/quant.h"
#include "nn/whole.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>

enum {
    MIN_PLANES = 16,        /* of input and result, from which on bytes pay */
};

static int fits(const FsrPlan *p, int i)
{
    const FsrNode *n = &p->net->nodes[i];

    return n->op == FSR_OP_CONV && n->kw == 1 && n->kh == 1 && n->sx == 1 && n->sy == 1 &&
           !p->whole->nodes[i].window_w && p->net->nodes[n->in[0]].relu &&
           p->net->nodes[n->in[0]].channels >= MIN_PLANES && n->channels >= MIN_PLANES;
}

void fsr_whole_free_point(FsrWholeNode *wn)
{
    free(wn->pc.factor);
    free(wn->pc.weights);
}

/* What one byte of each input plane is worth. Planes that only fill up a sample keep a factor of 0. */
static void set_steps(const FsrNode *in, FsrPointConv *c, const struct FsrRange *seen, float *step)
{
    for (int k = 0; k < in->channels; k++) {
        float high = fmaxf(seen[k].high, 1e-6f);

        high = in->top > 0 ? fminf(high, in->top) : high;
        step[k]      = high / 255;
        c->factor[k] = 255 / high;
    }
}

/* Weights of result plane o. What rounding takes away on average goes into the bias. */
static void set_plane(const FsrNode *n, int o, int cin, FsrPointConv *c, const struct FsrRange *seen,
                      const float *step)
{
    const float *w    = n->weights + (size_t)o * cin;
    int8_t      *q    = c->weights + (size_t)o / 16 * 16 * c->cin + o % 16 * 4;
    float        unit = 1e-20f;
    double       bias = n->bias[o];

    for (int k = 0; k < cin; k++)
        unit = fmaxf(unit, fabsf(w[k] * step[k]) / 127);
    for (int k = 0; k < cin; k++) {
        const float v = rintf(w[k] * step[k] / unit);

        q[k / 4 * 64 + k % 4] = (int8_t)v;
        bias += ((double)w[k] - (double)v * unit / step[k]) * (seen[k].sum / seen[k].n);
    }
    c->scale[o] = unit;
    c->bias[o]  = (float)bias;
}

static int set_conv(FsrPlan *p, int i, const struct FsrRange *seen, const FsrPointKernel *kernel)
{
    const FsrNode *n   = &p->net->nodes[i];
    FsrWholeNode  *wn  = &p->whole->nodes[i], *in = &p->whole->nodes[n->in[0]];
    const int      cin = p->net->nodes[n->in[0]].channels;
    FsrPointConv  *c   = &wn->pc;
    float         *step = calloc(cin, sizeof(*step));

    *c = (FsrPointConv){ .cin = in->stride, .cout = wn->stride, .low = n->relu ? 0 : -FLT_MAX,
                         .top = n->top > 0 ? n->top : FLT_MAX };
    c->factor  = fsr_plan_alloc(p, (c->cin + 2 * (size_t)c->cout) * sizeof(float));
    c->weights = fsr_plan_alloc(p, (size_t)c->cin * c->cout);
    if (!step || !c->factor || !c->weights) {
        free(step);
        return -ENOMEM;
    }
    c->scale = c->factor + c->cin;
    c->bias  = c->scale + c->cout;
    set_steps(&p->net->nodes[n->in[0]], c, seen, step);
    for (int o = 0; o < n->channels; o++)
        set_plane(n, o, cin, c, seen, step);
    wn->point = kernel;
    free(step);
    return 0;
}

/* The ranges of what node i reads. */
static const struct FsrRange *ranges_of(const FsrPlan *p, int i, const struct FsrRange *all)
{
    for (int k = 0; k < p->net->nodes[i].in[0]; k++)
        all += p->net->nodes[k].channels;
    return all;
}

static int quantize(FsrPlan *p, const FsrPointKernel *kernel, struct FsrRange *ranges)
{
    size_t bytes = 0;
    int    ret   = fsr_quant_read(p->net, ranges);

    for (int i = p->net->nb_inputs; ret >= 0 && i < p->net->nb_nodes; i++) {
        const FsrWholeNode *wn = &p->whole->nodes[i], *in = &p->whole->nodes[p->net->nodes[i].in[0]];

        if (!fits(p, i) || !ranges_of(p, i, ranges)->n)
            continue;
        ret = set_conv(p, i, ranges_of(p, i, ranges), kernel);
        if (bytes < (size_t)wn->band * wn->w * in->stride)
            bytes = (size_t)wn->band * wn->w * in->stride;
    }
    p->precision = bytes ? FSR_PRECISION_I8 : FSR_PRECISION_F32;
    if (ret >= 0 && bytes && !(p->whole->bytes = fsr_plan_alloc(p, bytes)))
        ret = -ENOMEM;
    return ret;
}

int fsr_whole_quantize(FsrPlan *p, FsrIsa isa)
{
    const FsrPointKernel *kernel = fsr_nn_pick_point(isa);
    struct FsrRange      *ranges;
    int planes = 0, ret;

    if (!kernel || !fsr_quant_recorded(p->net))
        return 0;
    for (int i = 0; i < p->net->nb_nodes; i++)
        planes += p->net->nodes[i].channels;
    if (!(ranges = malloc(planes * sizeof(*ranges))))
        return -ENOMEM;
    ret = quantize(p, kernel, ranges);
    free(ranges);
    return ret;
}
