/*
 * Whole numbers that exporters compute in the graph, from constants and from sizes that are
 * known (batch, planes): pads, sizes and shapes, a few numbers each.
 */
#include "nn/load.h"

#include <errno.h>
#include <string.h>

enum { MAX_DEPTH = 32, MAX_STEPS = 20000, NOT_CONSTANT = 1 };

/* A number that depends on the picture's size: none that a file has for a size or a limit. */
#define UNKNOWN (INT64_MIN + 0x5eed)

/* Rows of `cols` numbers; a vector is one row. */
typedef struct Ints {
    int64_t v[FSR_LOAD_MAX_INTS];
    int     nb, cols;
} Ints;

/* 0, NOT_CONSTANT or an error with its message. */
static int fold(Loader *l, const char *name, Ints *out, int depth);

static int fold_input(Loader *l, const OnnxNode *o, size_t i, Ints *out, int depth)
{
    return i < o->n_input ? fold(l, str(o->input[i]), out, depth + 1) : NOT_CONSTANT;
}

static int fold_stored(Loader *l, const OnnxTensor *t, Ints *out)
{
    int ret = fsr_load_read_ints(l, t, out->v, FSR_LOAD_MAX_INTS);

    out->nb   = ret;
    out->cols = ret > 0 && t->n_dims == 2 ? (int)t->dims[1] : ret;
    return ret < 0 ? ret : 0;
}

static int fold_shape(Loader *l, const OnnxNode *o, Ints *out)
{
    const FsrNode *n;
    int src;

    if (o->n_attribute || !o->n_input)      /* a part of the shape */
        return NOT_CONSTANT;
    if ((src = fsr_load_resolve(l, str(o->input[0]))) < 0)
        return src;
    n = &l->net->nodes[src];
    out->nb = out->cols = n->rank;
    for (int i = 0; i < n->rank; i++)
        out->v[i] = UNKNOWN;
    if (n->rank == 4)
        out->v[0] = 1;
    if (n->rank > 2 && n->channels)
        out->v[n->rank - 3] = n->channels;
    return 0;
}

/* Along the first dimension. */
static int fold_slice(Loader *l, const OnnxNode *o, Ints *out, int depth)
{
    int64_t range[3] = { 0, 0, 1 };
    Ints    in = *out, arg;
    int     first, rows, ret;

    for (size_t i = 1; i < 5 && i < o->n_input; i++) {
        if ((ret = fold_input(l, o, i, &arg, depth)) != 0)
            return ret;
        if (arg.nb != 1 || arg.v[0] == UNKNOWN || (i == 3 && arg.v[0] != 0))
            return NOT_CONSTANT;
        if (i != 3)
            range[i == 4 ? 2 : i - 1] = arg.v[0];
    }
    if (o->n_input < 3 || !range[2] || !in.nb)
        return NOT_CONSTANT;
    if (in.cols == in.nb)
        in.cols = 1;
    rows    = fsr_slice_count(range, in.nb / in.cols, &first);
    out->nb = rows * in.cols;
    for (int r = 0; r < rows; r++)
        memcpy(out->v + r * in.cols, in.v + (first + r * range[2]) * in.cols, in.cols * sizeof(*in.v));
    out->cols = in.cols == 1 ? out->nb : in.cols;
    return 0;
}

static int fold_concat(Loader *l, const OnnxNode *o, Ints *out, int depth)
{
    Ints part;
    int  ret;

    out->nb = 0;
    for (size_t i = 0; i < o->n_input; i++) {
        if ((ret = fold_input(l, o, i, &part, depth)) != 0)
            return ret;
        if (out->nb + part.nb > FSR_LOAD_MAX_INTS || part.cols != part.nb)
            return NOT_CONSTANT;
        memcpy(out->v + out->nb, part.v, part.nb * sizeof(*part.v));
        out->nb += part.nb;
    }
    out->cols = out->nb;
    return 0;
}

static int fold_of_shape(Loader *l, const OnnxNode *o, Ints *out)
{
    const OnnxAttr *value = fsr_load_find_attr(o, "value");
    const int       nb = out->nb == 1 && out->v[0] >= 0 && out->v[0] <= FSR_LOAD_MAX_INTS ? (int)out->v[0] : -1;
    Ints v = { .nb = 1 };
    int  ret = value && value->t ? fold_stored(l, value->t, &v) : 0;

    if (ret < 0 || nb < 0 || v.nb != 1)
        return ret < 0 ? ret : NOT_CONSTANT;
    for (int i = 0; i < nb; i++)
        out->v[i] = v.v[0];
    out->nb = out->cols = nb;
    return 0;
}

/* Rows into columns; a shape of two dimensions; numbers picked out. */
static int fold_transpose(Ints *out)
{
    const Ints in = *out;
    const int  rows = in.nb && in.cols ? in.nb / in.cols : 0;

    for (int i = 0; i < in.nb; i++)
        out->v[i % in.cols * rows + i / in.cols] = in.v[i];
    out->cols = rows;
    return 0;
}

static int fold_reshape(Loader *l, const OnnxNode *o, Ints *out, int depth)
{
    Ints shape;
    int  ret = fold_input(l, o, 1, &shape, depth);

    if (ret)
        return ret;
    if (shape.nb == 2 && shape.v[1] > 0 && shape.v[1] <= FSR_LOAD_MAX_INTS && out->nb % shape.v[1] == 0)
        out->cols = (int)shape.v[1];
    else if (shape.nb == 1)
        out->cols = out->nb;
    else
        return NOT_CONSTANT;
    return 0;
}

static int fold_gather(Loader *l, const OnnxNode *o, Ints *out, int depth)
{
    const Ints in = *out;
    Ints index;
    int  ret = fold_input(l, o, 1, &index, depth);

    for (int i = 0; !ret && i < index.nb; i++) {
        const int64_t k = index.v[i] < 0 ? index.v[i] + in.nb : index.v[i];
        if (k < 0 || k >= in.nb)
            return NOT_CONSTANT;
        out->v[i] = in.v[k];
    }
    if (!ret)
        out->nb = out->cols = index.nb;
    return ret;
}

static int fold(Loader *l, const char *name, Ints *out, int depth)
{
    const OnnxTensor *t = fsr_load_find_tensor(l, name, FSR_LOAD_STORED);
    const int         i = t ? -1 : fsr_load_find_producer(l, name);
    const OnnxNode   *o = i < 0 ? NULL : l->graph->node[i];
    const char       *op = o ? str(o->op_type) : "";
    int ret;

    if (++l->folds > MAX_STEPS)
        return FAIL(l, -E2BIG, "computes with constants in more than %d steps", MAX_STEPS);
    if (t)
        return fold_stored(l, t, out);
    if (!o || depth == MAX_DEPTH)
        return NOT_CONSTANT;
    if (!strcmp(op, "Shape"))
        return fold_shape(l, o, out);
    if (!strcmp(op, "Concat"))
        return fold_concat(l, o, out, depth);
    if ((ret = fold_input(l, o, 0, out, depth)) != 0)
        return ret;
    return !strcmp(op, "Cast") || !strcmp(op, "Identity") || !strcmp(op, "Squeeze") || !strcmp(op, "Unsqueeze") ? 0 :
           !strcmp(op, "Slice")           ? fold_slice(l, o, out, depth) :
           !strcmp(op, "ConstantOfShape") ? fold_of_shape(l, o, out) :
           !strcmp(op, "Transpose")       ? fold_transpose(out) :
           !strcmp(op, "Reshape")         ? fold_reshape(l, o, out, depth) :
           !strcmp(op, "Gather")          ? fold_gather(l, o, out, depth) : NOT_CONSTANT;
}

int fsr_load_ints(Loader *l, const OnnxNode *o, const char *attr, size_t i, int64_t *v, int max)
{
    const OnnxAttr *a  = fsr_load_find_attr(o, attr);
    Ints            in = { .nb = 0 };
    const int64_t  *from = a ? a->ints : in.v;
    const int       ret = a || !fsr_load_has_input(o, i) ? 0 : fold(l, o->input[i], &in, 0);
    const size_t    nb  = a ? a->n_ints : (size_t)in.nb;

    if (ret < 0)
        return ret;
    if (ret == NOT_CONSTANT)
        return REFUSE(l, o, -ENOSYS, "its %s are not constant", attr);
    if (nb > (size_t)max)
        return REFUSE(l, o, -EINVAL, "too many %s", attr);
    for (size_t k = 0; k < nb; k++) {
        if (from[k] == UNKNOWN)
            return REFUSE(l, o, -ENOSYS, "its %s depend on the picture's size", attr);
        v[k] = from[k];
    }
    return (int)nb;
}
