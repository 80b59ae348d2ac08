/*
 * Whole networks in integers: in a network of depthwise and 1x1 pairs the 1x1 convolutions, most of the
 * work, are done on bytes, which the depthwise convolution in front makes; all other values stay
 * float. Only of values that are never negative, so that the bytes have no offset, and whose range
 * the file says (quant.h): the drawn picture of strips is too unlike what such networks see.
 */
#include "nn/quant.h"
#include "nn/whole.h"

#include <errno.h>
#include <float.h>
#include <math.h>

enum { MIN_PLANES = 16 };       /* of input and result, from which on bytes pay */

static int fits(const FsrPlan *p, int i, const int *uses)
{
    const FsrNode *n = &p->net->nodes[i], *in = &p->net->nodes[n->in[0]];

    return p->whole->nodes[i].points && in->op == FSR_OP_DEPTHWISE && in->relu &&
           in->channels >= MIN_PLANES && n->channels >= MIN_PLANES && uses[n->in[0]] == 1;
}

/* What one byte of each input plane is worth; 1 for planes that only fill up a sample. */
static void set_steps(const FsrNode *in, int stride, const struct FsrRange *seen, float *step)
{
    for (int k = 0; k < stride; k++) {
        float high = k < in->channels ? fmaxf(seen[k].high, 1e-6f) : 255;

        step[k] = (in->top > 0 && k < in->channels ? fminf(high, in->top) : high) / 255;
    }
}

/* Depthwise convolution i with bytes of these steps as results. */
static void make_bytes(FsrPlan *p, int i, const float *step)
{
    FsrWholeNode *wn = &p->whole->nodes[i];
    FsrPlanNode  *pn = &p->nodes[i];
    const size_t  n  = fsr_dw_packed_floats(&wn->dw);

    for (size_t k = 0; k < n; k++)
        pn->packed[k] /= step[k % wn->dw.stride];
    wn->dw.bytes  = 1;
    wn->dw.lo     = 0;
    wn->dw.hi     = 255;
    wn->dw_kernel = fsr_nn_pick_depthwise(p->isa, &wn->dw);
    wn->stride   /= 4;
    pn->pitch    /= 4;
}

/* Weights of result plane o. What rounding takes away on average goes into the bias. */
static void set_plane(const FsrNode *n, int o, int cin, FsrPointConv *c, const struct FsrRange *seen, const float *step)
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
    FsrPointConv  *c   = &wn->pc;
    float         *step = fsr_alloc(&p->temp, in->stride * sizeof(*step));

    *c = (FsrPointConv){ .cin = in->stride, .cout = wn->stride, .low = n->relu ? 0 : -FLT_MAX,
                         .top = n->top > 0 ? n->top : FLT_MAX };
    c->scale   = fsr_plan_alloc(p, 2 * (size_t)c->cout * sizeof(float));
    c->weights = fsr_plan_alloc(p, (size_t)c->cin * c->cout);
    if (!step || !c->scale || !c->weights)
        return -ENOMEM;
    c->bias = c->scale + c->cout;
    set_steps(&p->net->nodes[n->in[0]], in->stride, seen, step);
    for (int o = 0; o < n->channels; o++)
        set_plane(n, o, p->net->nodes[n->in[0]].channels, c, seen, step);
    make_bytes(p, n->in[0], step);
    wn->point = kernel;
    return 0;
}

int fsr_whole_quantize(FsrPlan *p)
{
    const FsrPointKernel  *kernel = fsr_nn_pick_point(p->isa);
    const struct FsrRange *ranges;
    int uses[FSR_NN_MAX_NODES], ret;

    if (!kernel || !fsr_quant_recorded(p->net))
        return 0;
    fsr_graph_uses(p->net, uses);
    ret = fsr_quant_ranges(p, &ranges);
    for (int i = p->net->nb_inputs; ret >= 0 && i < p->net->nb_nodes; i++) {
        const struct FsrRange *seen = ranges + p->nodes[p->net->nodes[i].in[0]].first_plane;

        if (fits(p, i, uses) && seen->n) {
            ret          = set_conv(p, i, seen, kernel);
            p->precision = FSR_PRECISION_I8;
        }
    }
    return ret;
}
