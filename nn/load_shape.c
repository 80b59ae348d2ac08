/* ONNX operators that change the size of planes -> nodes of the graph. */
#include "nn/load.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Node behind src with as many planes, of a size that the plan knows. */
static FsrNode *add_sized(Loader *l, const OnnxNode *o, FsrOp op, int src)
{
    FsrNode *n = fsr_load_add_node(l, op, label(o));

    n->nb_in      = 1;
    n->in[0]      = src;
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
    const OnnxTensor *t = fsr_load_find_tensor(l, str(o->input[3]));
    int64_t v[4];
    int     ret;

    if (!t)
        return FAIL(l, -ENOSYS, "Resize '%.80s': its sizes are not constant", label(o));
    if ((ret = fsr_load_read_ints(l, t, v, 4)) < 0)
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

    if ((src = fsr_load_one_input(l, o, 4, " mode nearest_mode coordinate_transformation_mode "
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
    n = add_sized(l, o, FSR_OP_RESIZE, src);
    n->resize = r;
    return l->net->nb_nodes - 1;
}
