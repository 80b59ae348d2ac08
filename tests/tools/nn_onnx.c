/*
 * nn_onnx [--size WxH] [--tolerance T] [--whole] [--table] DIR...: runs tests in the form in
 * which ONNX publishes its own: a directory with model.onnx and test_data_set_0/input_N.pb,
 * output_N.pb.
 *
 * One line for each: passed; refused, with the reason; or failed. What the library calls
 * weights may be inputs of such a model: they are put into it as initializers. A batch of
 * N pictures is run as N pictures. Status 1 when one failed.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fastsr/nn.h"

#include "build/gen/onnx.pb-c.h"

enum { MAX_VALUES = 8 };

typedef struct Value {              /* right-aligned in 4 dimensions */
    FsrOnnx__Tensor *tensor;
    size_t dims[4];
    float *data;
} Value;

typedef struct Case {
    FsrOnnx__Model *model;
    int    nb_in, nb_out;
    Value  in[MAX_VALUES], out[MAX_VALUES];
    size_t batch, at;               /* pictures, the one that runs */
    float *result[MAX_VALUES];
    char   err[512], unfit[200];    /* unfit: why the data cannot be given to the library */
} Case;

static double tolerance = 1e-4;

static void *read_file(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    void *data = NULL;

    if (!f)
        return NULL;
    fseek(f, 0, SEEK_END);
    *size = ftell(f);
    rewind(f);
    data = malloc(*size + 1);
    if (fread(data, 1, *size, f) != *size) {
        free(data);
        data = NULL;
    }
    fclose(f);
    return data;
}

static FsrOnnx__Tensor *read_tensor(const char *dir, const char *kind, int i)
{
    char   path[1024];
    size_t size = 0;
    FsrOnnx__Tensor *t;
    void  *data;

    snprintf(path, sizeof(path), "%s/test_data_set_0/%s_%d.pb", dir, kind, i);
    if (!(data = read_file(path, &size)))
        return NULL;
    t = fsr_onnx__tensor__unpack(NULL, size, data);
    free(data);
    return t;
}

/* Floats of a tensor, right-aligned; 0 if it has other values or more dimensions. */
static int to_value(FsrOnnx__Tensor *t, Value *v)
{
    size_t count = 1;

    v->tensor = t;
    if (!t || (t->data_type != 1 && t->data_type != 2 && t->data_type != 3) || t->n_dims > 4)
        return 0;
    for (size_t i = 0; i < 4; i++) {
        v->dims[i] = i < 4 - t->n_dims ? 1 : (size_t)t->dims[i + t->n_dims - 4];
        count *= v->dims[i];
    }
    v->data = calloc(count + 1, sizeof(float));
    if (t->data_type != 1)
        for (size_t i = 0; i < count; i++)
            v->data[i] = !t->has_raw_data ? (float)t->int32_data[i] : t->data_type == 3 ?
                         (float)(int8_t)t->raw_data.data[i] : (float)t->raw_data.data[i];
    else if (count && t->has_raw_data && t->raw_data.len == count * 4)
        memcpy(v->data, t->raw_data.data, count * 4);
    else if (count && t->n_float_data == count)
        memcpy(v->data, t->float_data, count * 4);
    else
        return count == 0;
    return 1;
}

static int is_initializer(const FsrOnnx__Graph *g, const char *name)
{
    for (size_t i = 0; i < g->n_initializer; i++)
        if (!strcmp(g->initializer[i]->name, name))
            return 1;
    return 0;
}

/* Whether an operator takes this input only as a constant (weights, sizes, limits). */
static int is_parameter(const Case *c, const char *name, const FsrOnnx__Tensor *t)
{
    static const char *const binary[] = { "Add", "Sub", "Mul", "Concat", NULL };
    const FsrOnnx__Graph *g = c->model->graph;

    for (size_t i = 0; i < g->n_node; i++)
        for (size_t k = 1; k < g->node[i]->n_input; k++) {
            int both = 0;

            if (strcmp(g->node[i]->input[k], name))
                continue;
            for (int j = 0; binary[j]; j++)
                both |= !strcmp(binary[j], g->node[i]->op_type);
            if (!both)
                return 1;
            /* inputs have one size: another is one of a constant */
            if (c->nb_in && c->in[0].tensor && t &&
                (t->n_dims != c->in[0].tensor->n_dims ||
                 memcmp(t->dims, c->in[0].tensor->dims, t->n_dims * sizeof(*t->dims))))
                return 1;
        }
    return 0;
}

static int load_case(Case *c, const char *dir)
{
    char   path[1024];
    size_t size = 0;
    void  *data;
    FsrOnnx__Graph *g;
    int    file = 0;

    snprintf(path, sizeof(path), "%s/model.onnx", dir);
    data = read_file(path, &size);
    c->model = data ? fsr_onnx__model__unpack(NULL, size, data) : NULL;
    free(data);
    if (!c->model || !(g = c->model->graph))
        return snprintf(c->err, sizeof(c->err), "no model"), -1;
    g->initializer = realloc(g->initializer, (g->n_initializer + g->n_input + 1) * sizeof(*g->initializer));
    for (size_t i = 0, n = g->n_input; i < n; i++) {
        FsrOnnx__Tensor *t;
        const char *name = g->input[i]->name;

        if (is_initializer(g, name))
            continue;
        t = read_tensor(dir, "input", file++);
        if (t && is_parameter(c, name, t)) {
            free(t->name);
            t->name = strdup(name);
            g->initializer[g->n_initializer++] = t;
            continue;
        }
        if (c->nb_in == MAX_VALUES || !to_value(t, &c->in[c->nb_in++]))
            snprintf(c->unfit, sizeof(c->unfit), "input '%s' is not of float32 or 8 bits with up to 4 dimensions", name);
        if (c->nb_in == MAX_VALUES)
            break;
    }
    for (size_t i = 0; i < g->n_output; i++)
        if (c->nb_out == MAX_VALUES || !to_value(read_tensor(dir, "output", (int)i), &c->out[c->nb_out++])) {
            snprintf(c->unfit, sizeof(c->unfit), "output '%s' is not of float32 or 8 bits with up to 4 dimensions", g->output[i]->name);
            break;
        }
    return 0;
}

/* One picture of a batch has the same graph. */
static void split_batch(Case *c)
{
    FsrOnnx__Graph *g = c->model->graph;

    c->batch = c->nb_in ? c->in[0].dims[0] : 1;
    for (int i = 0; i < c->nb_in; i++)
        if (c->in[i].dims[0] != c->batch)
            c->batch = 1;
    for (int i = 0; i < c->nb_out; i++)
        if (c->out[i].dims[0] != c->batch)
            c->batch = 1;
    for (size_t i = 0; i < g->n_input && c->batch > 1; i++) {
        FsrOnnx__Shape *s = g->input[i]->type && g->input[i]->type->tensor_type ?
                            g->input[i]->type->tensor_type->shape : NULL;
        if (s && s->n_dim == 4 && !is_initializer(g, g->input[i]->name))
            s->dim[0]->dim_value = 1;
    }
}

static void get(void *opaque, int plane, int x, int y, int w, int h, float *dst, ptrdiff_t stride)
{
    const Case *c = opaque;
    int i = 0;

    for (; plane >= (int)c->in[i].dims[1]; i++)
        plane -= (int)c->in[i].dims[1];
    for (int j = 0; j < h; j++)
        memcpy(dst + j * stride, c->in[i].data + ((c->at * c->in[i].dims[1] + plane) * c->in[i].dims[2] +
               y + j) * c->in[i].dims[3] + x, w * sizeof(*dst));
}

static void put(void *opaque, int plane, int x, int y, int w, int h, const float *src, ptrdiff_t stride)
{
    Case *c = opaque;
    int   i = 0;

    for (; plane >= (int)c->out[i].dims[1]; i++)
        plane -= (int)c->out[i].dims[1];
    for (int j = 0; j < h; j++)
        memcpy(c->result[i] + ((size_t)plane * c->out[i].dims[2] + y + j) * c->out[i].dims[3] + x,
               src + j * stride, w * sizeof(*src));
}

static int check(Case *c)
{
    double worst = 0;

    for (int i = 0; i < c->nb_out; i++) {
        const size_t n = c->out[i].dims[1] * c->out[i].dims[2] * c->out[i].dims[3];

        for (size_t k = 0; k < n; k++) {
            const double want = c->out[i].data[c->at * n + k], have = c->result[i][k];

            if (!(fabs(want - have) <= tolerance * (1 + fabs(want)))) {
                snprintf(c->err, sizeof(c->err), "output %d, sample %zu is %.7g, not %.7g", i, k, have, want);
                return 1;
            }
            worst = fmax(worst, fabs(want - have));
        }
    }
    snprintf(c->err, sizeof(c->err), "largest difference %.2g", worst);
    return 0;
}

/* 0 passed, 1 failed, negative: refused */
static int run_plan(Case *c, FsrPlan *plan)
{
    const FsrNnIO io = { .opaque = c, .get = get, .put = put };
    int ret = 0;

    for (int i = 0; i < c->nb_out; i++) {
        int planes, w, h;

        fsr_nn_output(plan, i, &planes, &w, &h);
        if ((size_t)planes != c->out[i].dims[1] || (size_t)w != c->out[i].dims[3] || (size_t)h != c->out[i].dims[2]) {
            snprintf(c->err, sizeof(c->err), "output %d is %dx%dx%d, not %zux%zux%zu", i, planes, h, w,
                     c->out[i].dims[1], c->out[i].dims[2], c->out[i].dims[3]);
            return 1;
        }
        c->result[i] = calloc(c->out[i].dims[1] * c->out[i].dims[2] * c->out[i].dims[3] + 1, sizeof(float));
    }
    for (c->at = 0; c->at < c->batch && !ret; c->at++) {
        for (int j = 0; j < fsr_nn_jobs(plan); j++)
            fsr_nn_run(plan, &io, j, 0);
        ret = check(c);
    }
    return ret;
}

static int run_case(Case *c, const char *dir)
{
    FsrNet  *net  = NULL;
    FsrPlan *plan = NULL;
    uint8_t *packed;
    size_t   size;
    int      ret;

    if (load_case(c, dir) < 0)
        return -1;
    split_batch(c);
    packed = malloc(fsr_onnx__model__get_packed_size(c->model) + 1);
    size   = fsr_onnx__model__pack(c->model, packed);
    ret    = fsr_nn_load(&net, packed, size, c->err, sizeof(c->err));
    free(packed);
    if (ret >= 0 && *c->unfit) {
        snprintf(c->err, sizeof(c->err), "accepted, but %s", c->unfit);
        ret = 1;
    }
    if (ret == 0)
        ret = fsr_nn_plan_whole(&plan, net, (int)c->in[0].dims[3], (int)c->in[0].dims[2], c->err,
                                sizeof(c->err));
    if (ret == 0)
        ret = run_plan(c, plan);
    fsr_nn_plan_free(&plan);
    fsr_nn_free(&net);
    return ret;
}

static void free_case(Case *c)
{
    for (int i = 0; i < MAX_VALUES; i++) {
        free(c->in[i].data);
        free(c->out[i].data);
        free(c->result[i]);
        if (c->in[i].tensor)
            fsr_onnx__tensor__free_unpacked(c->in[i].tensor, NULL);
        if (c->out[i].tensor)
            fsr_onnx__tensor__free_unpacked(c->out[i].tensor, NULL);
    }
    if (c->model)
        fsr_onnx__model__free_unpacked(c->model, NULL);
}

int main(int argc, char **argv)
{
    int passed = 0, failed = 0, refused = 0;

    for (int i = 1; i < argc; i++) {
        const char *name = strrchr(argv[i], '/') ? strrchr(argv[i], '/') + 1 : argv[i];
        Case c = { .batch = 1 };
        int  ret;

        if (!strcmp(argv[i], "--tolerance") && i + 1 < argc) {
            tolerance = atof(argv[++i]);
            continue;
        }
        ret = run_case(&c, argv[i]);
        printf("%-8s %s: %s\n", ret < 0 ? "refused" : ret ? "FAILED" : "passed", name, c.err);
        passed  += ret == 0;
        failed  += ret > 0;
        refused += ret < 0;
        free_case(&c);
    }
    printf("%d passed, %d failed, %d refused\n", passed, failed, refused);
    return failed > 0;
}
