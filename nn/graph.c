/* Passes over a loaded network. */
#include "nn/graph.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { HUGE = 2 << 20 };        /* page of the processor that spares most misses of the translation cache */

typedef struct FsrBlock { _Alignas(64) struct FsrBlock *before; } FsrBlock;

void *fsr_alloc(FsrMemory *m, size_t bytes)
{
    const size_t size = sizeof(FsrBlock) + bytes;
    void        *block;

    if (size < bytes || posix_memalign(&block, size < HUGE ? 64 : HUGE, size))
        return NULL;
    if (size >= HUGE)                   /* may fail: pages are small then */
        madvise(block, size, MADV_HUGEPAGE);
    memset(block, 0, size);
    ((FsrBlock *)block)->before = m->last;
    m->last   = block;
    m->bytes += size;
    return m->last + 1;
}

void fsr_free_all(FsrMemory *m)
{
    while (m->last) {
        FsrBlock *block = m->last;

        m->last = block->before;
        free(block);
    }
}

int fsr_nn_fail(char *err, size_t err_size, int code, const char *fmt, ...)
{
    va_list ap;

    if (err && err_size) {
        va_start(ap, fmt);
        vsnprintf(err, err_size, fmt, ap);
        va_end(ap);
        for (; *err; err++)             /* names come from the file: one line whatever they hold */
            if ((unsigned char)*err < 32 || *err == 127)
                *err = '?';
    }
    return code;
}

int fsr_slice_count(const int64_t *range, int n, int *first)
{
    const int64_t step = range[2], last = step > 0 ? n : n - 1;
    int64_t a = range[0] < 0 ? range[0] + n : range[0], b = range[1] < 0 ? range[1] + n : range[1];

    a = a < 0 ? 0 : a > last ? last : a;
    b = b < (step > 0 ? 0 : -1) ? (step > 0 ? 0 : -1) : b > last ? last : b;
    *first = (int)a;
    if (step > 0)
        return b > a ? (int)((b - a - 1) / step + 1) : 0;
    return a > b ? (int)((a - b - 1) / (step == INT64_MIN ? INT64_MAX : -step) + 1) : 0;
}

void fsr_margin_widen(FsrMargin *m, const FsrMargin *by)
{
    m->left   = fsr_max(m->left, by->left);
    m->right  = fsr_max(m->right, by->right);
    m->top    = fsr_max(m->top, by->top);
    m->bottom = fsr_max(m->bottom, by->bottom);
}

FsrMargin fsr_margin_of_inputs(const FsrNode *n, FsrMargin m)
{
    if (n->op == FSR_OP_CONV) {
        m.left   += n->pad.left;
        m.right  += n->kw - 1 - n->pad.left;
        m.top    += n->pad.top;
        m.bottom += n->kh - 1 - n->pad.top;
    } else if (n->op == FSR_OP_SHUFFLE) {
        m.left   = fsr_ceil_div(m.left, n->block);
        m.right  = fsr_ceil_div(m.right, n->block);
        m.top    = fsr_ceil_div(m.top, n->block);
        m.bottom = fsr_ceil_div(m.bottom, n->block);
    }
    return m;
}

static int reach(const FsrMargin *m)
{
    return fsr_max(fsr_max(m->left, m->right), fsr_max(m->top, m->bottom));
}

/* So that the output tile can be made from values without padding; the same for all inputs. */
static int set_margins(FsrNet *net)
{
    for (int i = net->nb_nodes - 1; i >= net->nb_inputs; i--) {
        const FsrNode  *n = &net->nodes[i];
        const FsrMargin m = fsr_margin_of_inputs(n, n->margin);

        if (reach(&m) > FSR_NN_MAX_HALO)
            return -ENOSYS;
        for (int j = 0; j < n->nb_in; j++)
            fsr_margin_widen(&net->nodes[n->in[j]].margin, &m);
    }
    for (int i = 1; i < net->nb_inputs; i++)
        fsr_margin_widen(&net->nodes[0].margin, &net->nodes[i].margin);
    for (int i = 1; i < net->nb_inputs; i++)
        net->nodes[i].margin = net->nodes[0].margin;
    return 0;
}

void fsr_graph_uses(const FsrNet *net, int *uses)
{
    memset(uses, 0, net->nb_nodes * sizeof(*uses));
    for (int i = 0; i < fsr_nb_results(net); i++)
        uses[fsr_result(net, i)]++;
    for (int i = net->nb_nodes - 1; i >= net->nb_inputs; i--)
        for (int j = 0; uses[i] && j < net->nodes[i].nb_in; j++)
            uses[net->nodes[i].in[j]]++;
}

/* Merges n into the node that made its input; 0 if it cannot. */
static int merge(const FsrNet *net, FsrNode *made, const FsrNode *n)
{
    const int conv = made->op == FSR_OP_CONV || made->op == FSR_OP_DEPTHWISE;
    size_t    taps;

    if (n->op == FSR_OP_MAP && n->map == FSR_MAP_CLIP && conv && net->whole && !(made->top > 0) &&
        n->weights[0] <= 0 && (made->relu || n->weights[0] == 0) && n->bias[0] > 0) {
        made->relu = 1;
        made->top  = n->bias[0];
        return 1;
    }
    if (made->relu)
        return n->op == FSR_OP_RELU;
    if (n->op == FSR_OP_RELU && (conv || made->op == FSR_OP_ADD || made->op == FSR_OP_GEMM))
        return made->relu = 1;
    if (n->op != FSR_OP_MAP || n->map != FSR_MAP_AFFINE || !conv)
        return 0;
    taps = (size_t)fsr_node_macs(net, made) / made->channels;
    for (int o = 0; o < made->channels; o++) {      /* (w x + b) a + c = (w a) x + (b a + c) */
        for (size_t i = 0; i < taps; i++)
            made->weights[o * taps + i] *= n->weights[o];
        made->bias[o] = made->bias[o] * n->weights[o] + n->bias[o];
    }
    return 1;
}

/* What makes each sample from the one under it. */
static int by_sample(const FsrNode *n)
{
    return n->op == FSR_OP_RELU || n->op == FSR_OP_MAP ||
           (n->op == FSR_OP_CONV && n->kw == 1 && n->kh == 1 && n->sx == 1 && n->sy == 1 &&
            !n->pad.left && !n->pad.top && !n->pad.right && !n->pad.bottom);
}

/* Repeating samples is best done last, and in one go with the sum that follows. */
static void delay_repeats(FsrNet *net)
{
    int uses[FSR_NN_MAX_NODES];

    fsr_graph_uses(net, uses);
    for (int i = net->nb_inputs; i < net->nb_nodes; i++) {
        FsrNode *n = &net->nodes[i];

        for (int j = 0; j < n->nb_in; j++) {
            FsrNode *r = &net->nodes[n->in[j]], moved;

            if (r->op != FSR_OP_RESIZE || r->resize.mode != FSR_NEAREST || r->nb_in != 1 || uses[n->in[j]] != 1)
                continue;
            if (by_sample(n) && r->resize.fx >= 1 && r->resize.fy >= 1) {
                moved          = *r;
                moved.channels = n->channels;
                moved.in[0]    = n->in[0];
                n->in[0]       = r->in[0];
                *r = *n;
                *n = moved;
            } else if (n->op == FSR_OP_ADD && n->channels == r->channels &&
                       net->nodes[n->in[!j]].channels == n->channels && !n->relu) {
                n->op     = FSR_OP_RESIZE;
                n->resize = r->resize;
                n->in[1]  = n->in[!j];
                n->in[0]  = r->in[0];
            }
            break;
        }
    }
}

void fsr_graph_simplify(FsrNet *net)
{
    int uses[FSR_NN_MAX_NODES], map[FSR_NN_MAX_NODES], kept = 0;

    if (net->whole)
        delay_repeats(net);
    fsr_graph_uses(net, uses);
    for (int i = 0; i < net->nb_nodes; i++) {
        FsrNode *n = &net->nodes[i];

        if (i >= net->nb_inputs && (!uses[i] || (n->nb_in && uses[n->in[0]] == 1 &&
                               merge(net, &net->nodes[map[n->in[0]]], n)))) {
            map[i] = uses[i] ? map[n->in[0]] : 0;
            continue;
        }
        for (int j = 0; j < n->nb_in; j++)
            n->in[j] = map[n->in[j]];
        map[i] = kept;
        net->nodes[kept++] = *n;
    }
    net->output   = map[net->output];
    for (int i = 0; i < net->nb_outputs; i++)
        net->outputs[i] = map[net->outputs[i]];
    net->nb_nodes = kept;
}

int fsr_graph_describe(FsrNet *net)
{
    FsrNetInfo *info = &net->info;
    double      macs = 0;

    if (!net->whole && set_margins(net) < 0)
        return -ENOSYS;
    for (int i = 0; i < net->nb_nodes; i++) {
        const FsrNode *n = &net->nodes[i];

        macs += (double)fsr_node_macs(net, n) * n->scale * n->scale;
        if (n->op == FSR_OP_CONV || n->op == FSR_OP_DEPTHWISE)
            info->weights += fsr_node_macs(net, n) + n->channels;
        else if (n->op == FSR_OP_GEMM)
            info->weights += (n->kw + 1LL) * n->w;
    }
    info->nb_inputs  = net->nb_inputs;
    info->nb_outputs = net->nb_outputs;
    for (int i = 0; i < net->nb_inputs; i++)
        info->in_planes += net->nodes[i].channels;
    for (int i = 0; i < net->nb_outputs; i++)
        info->out_planes += net->nodes[net->outputs[i]].channels;
    info->whole = net->whole;
    if (!net->whole) {
        info->halo  = reach(&net->nodes[0].margin);
        info->scale = net->nodes[net->output].scale;
        info->macs  = macs / info->scale / info->scale;
    }
    return 0;
}
