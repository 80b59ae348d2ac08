/*
 * nn_bench: how fast a network runs, beside the machine's peak and beside im2col + OpenBLAS.
 * Peak and network are measured by turns in one process, since clocks change with load.
 */
#include "tests/tools/nn_bench.h"

#include "nn/quant.h"
#include "nn/whole.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_THREADS = 64, MAX_REPS = 101, MAX_PICTURES = 64 };

static const char usage[] =
    "usage: nn_bench MODEL.onnx --size WxH [--threads N] [--precision f32|bf16|i8|auto]\n"
    "                [--reps N] [--json]\n"
    "  --size     size of the network's input picture\n"
    "  --threads  default 1; with one thread times are the thread's processor time,\n"
    "             with more the wall's, and by turns one thread's\n"
    "  --precision  default f32; the peak is that of the products of the format (i8: of bytes)\n"
    "  --reps     runs to take the median of (default 5), each of as many pictures as take a tenth of a second\n"
    "  --json     one JSON object on standard output\n"
    "FASTSR_CPU=c|blas|avx2|avxvnni|avx512|avx512vnni|avx512bf16 limits the instruction set.\n";

typedef struct Options {
    const char *model;
    int width, height, threads, reps, json;
    FsrPrecision precision;
} Options;

typedef struct Result {
    FsrNetInfo info;
    FsrIsa     isa;
    double     peak_before, peak_after, peak, clock_ghz;    /* peak: median of all, one thread */
    double     issue, of_issue;     /* instructions in a cycle, and the peak's share of that many */
    double     ms, im2col_ms, macs, executed;               /* macs: nominal, of one picture */
    double     speedup;             /* by threads: median over runs by turns */
    size_t     bytes;
} Result;

/* Threads stay for all pictures, as a caller's do, and wait for each other after each. */
typedef struct Run {
    FsrPlan          *plan;
    const FsrNnIO    *io;
    int               pictures;
    atomic_int        next[MAX_PICTURES];
    atomic_llong      macs;
    pthread_barrier_t done;
} Run;

typedef struct Thread {
    pthread_t id;
    Run      *run;
    int       worker;
} Thread;

/* Input and output stay in one buffer each: the picture's own memory traffic is part of it. */
typedef struct Picture {
    int    width, height, out_w, out_h;
    float *in, *out;
} Picture;

static void get(void *opaque, int plane, int x, int y, int w, int h, float *dst, ptrdiff_t stride)
{
    const Picture *p = opaque;
    const float *src = p->in + ((size_t)plane * p->height + y) * p->width + x;

    for (int j = 0; j < h; j++)
        memcpy(dst + j * stride, src + (size_t)j * p->width, w * sizeof(*dst));
}

static void put(void *opaque, int plane, int x, int y, int w, int h, const float *src,
                ptrdiff_t stride)
{
    const Picture *p = opaque;
    const size_t pitch = p->out_w;
    float *dst = p->out + ((size_t)plane * p->out_h + y) * pitch + x;

    for (int j = 0; j < h; j++)
        memcpy(dst + j * pitch, src + j * stride, w * sizeof(*dst));
}

static void *work(void *arg)
{
    Thread *t = arg;
    Run    *r = t->run;

    for (int k = 0, job; k < r->pictures; k++) {
        while ((job = atomic_fetch_add(&r->next[k], 1)) < fsr_nn_jobs(r->plan))
            atomic_fetch_add(&r->macs, fsr_nn_run(r->plan, r->io, job, t->worker));
        pthread_barrier_wait(&r->done);
    }
    return NULL;
}

/* Seconds of one of so many pictures, the wall's or this thread's. */
static double run(FsrPlan *plan, const FsrNnIO *io, int threads, int pictures, int wall, double *executed)
{
    Thread t[MAX_THREADS];
    Run    run   = { .plan = plan, .io = io, .pictures = pictures };
    double start = fsr_bench_now(wall);

    pthread_barrier_init(&run.done, NULL, threads);
    for (int i = 0; i < threads; i++) {
        t[i] = (Thread){ .run = &run, .worker = i };
        if (i && pthread_create(&t[i].id, NULL, work, &t[i])) {
            fputs("nn_bench: a thread could not be started\n", stderr);
            exit(1);
        }
    }
    work(&t[0]);
    for (int i = 1; i < threads; i++)
        pthread_join(t[i].id, NULL);
    pthread_barrier_destroy(&run.done);
    *executed = (double)atomic_load(&run.macs) / pictures;
    return (fsr_bench_now(wall) - start) / pictures;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, int n)
{
    qsort(v, n, sizeof(*v), compare);
    return v[n / 2];
}

/* The peak beside what the clock allows: whole instructions in a cycle, or half of one. */
static void check_peak(Result *r, int products)
{
    const double rate = r->peak / (products * r->clock_ghz);

    r->issue    = rate < 0.7 ? 0.5 : rate < 1.4 ? 1 : 2;
    r->of_issue = rate / r->issue;
}

static int measure(const Options *o, FsrPlan *plan, FsrPlan *one, const FsrNnIO *io, Result *r)
{
    const int wall = o->threads > 1;
    double t[MAX_REPS], ratio[MAX_REPS], base[3], peak[MAX_REPS + 1], clock[MAX_REPS], ignored;
    int    products, pictures;

    run(plan, io, o->threads, 1, wall, &r->executed);
    pictures = fmin(MAX_PICTURES, 1 + 0.1 / run(plan, io, o->threads, 1, wall, &r->executed));
    fsr_bench_peak(r->isa, plan->precision, 0.05, &products);
    r->peak_before = peak[0] = fsr_bench_peak(r->isa, plan->precision, 0.05, &products);
    for (int i = 0; i < o->reps; i++) {
        t[i]        = run(plan, io, o->threads, pictures, wall, &r->executed);
        ratio[i]    = one ? run(one, io, 1, pictures, wall, &ignored) / t[i] : 1;
        peak[i + 1] = fsr_bench_peak(r->isa, plan->precision, 0.02, &products);
        clock[i]    = fsr_bench_clock(0.01);
    }
    r->peak_after = peak[o->reps];
    r->peak       = median(peak, o->reps + 1);
    r->ms         = median(t, o->reps) * 1e3;
    r->speedup    = median(ratio, o->reps);
    r->clock_ghz  = median(clock, o->reps);
    check_peak(r, products);
    for (int i = 0; i < 3; i++)
        if ((base[i] = fsr_bench_im2col(plan, o->threads)) < 0)
            return (int)base[i];
    r->im2col_ms = median(base, 3) * 1e3;
    return 0;
}

/* Samples of a plane of node i's value. */
static double area(const FsrPlan *plan, int i)
{
    int w, h;

    fsr_plan_size(plan, i, &w, &h);
    return (double)w * h;
}

/* What a layer does for one picture, halos left out. */
typedef struct Layer {
    const FsrNode *n;
    const char    *kernel;
    double         macs, weights, bytes, energy_uj, ms;
} Layer;

/* Name of the kernel of node i, "" where it has none. */
static const char *kernel_name(const FsrPlan *p, int i)
{
    const FsrPlanNode  *pn = &p->nodes[i];
    const FsrWholeNode *wn = p->whole ? &p->whole->nodes[i] : NULL;

    if (wn && wn->dw_kernel)
        return wn->dw_kernel->name;
    if (wn && wn->point)
        return wn->point->name;
    if (pn->quant && pn->quant->is_conv)
        return pn->quant->kernel->name;
    return pn->kernel ? pn->kernel->name : "";
}

/* What a sample of a value's row and a weight of a node take, in bytes. */
static double sample_bytes(const FsrPlan *p, int i)
{
    if (p->nodes[i].store)
        return 4.0 * p->nodes[i].subs;
    if (p->whole && p->whole->nodes[i].dw.bytes)
        return p->net->nodes[i].channels;
    return (p->nodes[i].bf16 ? 2.0 : 4.0) * p->net->nodes[i].channels;
}

static double weight_bytes(const FsrPlan *p, int i)
{
    if (p->whole && p->whole->nodes[i].point)
        return 1;
    if (p->nodes[i].quant && p->nodes[i].quant->is_conv)
        return p->nodes[i].store ? 1 : 2;
    return p->nodes[i].shape.in_bf16 ? 2 : 4;
}

/* Published cost per operation at 45 nm (pJ): float multiply 3.7 (32 bits) or 1.1 (16), add 0.9;
 * integer multiply 0.2 (8 bits), add 0.1 (32); 32-bit read of a small SRAM 5, of DRAM 640; see Sze
 * et al., Proc. IEEE 105 (2017), and Horowitz, ISSCC 2014. */
static Layer describe(const FsrNet *net, const FsrPlan *plan, int i)
{
    const FsrNode *n = &net->nodes[i];
    Layer  l = { .n = n, .kernel = kernel_name(plan, i) };
    double pj = 3.7 + 0.9;

    l.macs = fsr_node_macs(net, n) * area(plan, i);
    if (n->op == FSR_OP_CONV || n->op == FSR_OP_DEPTHWISE)
        l.weights = fsr_node_macs(net, n) + n->channels;
    if (n->op == FSR_OP_GEMM)
        l.weights = (n->kw + 1.0) * n->w;
    l.bytes = sample_bytes(plan, i) * area(plan, i) +
              weight_bytes(plan, i) * l.weights * fsr_nn_jobs(plan);
    for (int j = 0; j < n->nb_in; j++)
        l.bytes += sample_bytes(plan, n->in[j]) * area(plan, n->in[j]);
    if (weight_bytes(plan, i) == 2 && plan->precision == FSR_PRECISION_BF16)
        pj = 1.1 + 0.9;
    else if (weight_bytes(plan, i) < 4)
        pj = 0.2 + 0.1;
    l.energy_uj = (l.macs * pj + l.bytes / 4 * (n->op == FSR_OP_INPUT ? 640 : 5)) * 1e-6;
    l.ms        = plan->node_ns[i] * 1e-6;
    return l;
}

static const char *op_name(FsrOp op)
{
    static const char *const names[] = {
        [FSR_OP_INPUT] = "input", [FSR_OP_CONST] = "const", [FSR_OP_CONV] = "conv",
        [FSR_OP_DEPTHWISE] = "depthwise", [FSR_OP_GEMM] = "gemm", [FSR_OP_ADD] = "add",
        [FSR_OP_SUB] = "sub", [FSR_OP_MUL] = "mul", [FSR_OP_PRELU] = "prelu", [FSR_OP_RELU] = "relu",
        [FSR_OP_MAP] = "map", [FSR_OP_SHUFFLE] = "shuffle", [FSR_OP_UNSHUFFLE] = "unshuffle",
        [FSR_OP_CONCAT] = "concat", [FSR_OP_RESIZE] = "resize", [FSR_OP_MAX_POOL] = "max pool",
        [FSR_OP_AVERAGE_POOL] = "average pool", [FSR_OP_GLOBAL_POOL] = "global pool",
        [FSR_OP_PAD] = "pad", [FSR_OP_SLICE] = "slice", [FSR_OP_TRANSPOSE] = "transpose",
        [FSR_OP_RESHAPE] = "reshape",
    };
    return names[op];
}

static void print_name(const char *s)
{
    putchar('"');
    for (; *s; s++)
        putchar(*s == '"' || *s == '\\' || (unsigned char)*s < 32 ? '_' : *s);
    putchar('"');
}

static void print_json(const Options *o, const FsrNet *net, const FsrPlan *plan, const Result *r)
{
    const double gmacs = r->macs / r->ms * 1e-6;

    printf("{ \"model\": ");
    print_name(o->model);
    printf(", \"width\": %d, \"height\": %d, \"threads\": %d, \"isa\": \"%s\",\n"
           "  \"gmacs_per_s\": %.2f, \"peak_gmacs_per_s\": %.2f, \"share_of_peak\": %.4f,\n"
           "  \"ms\": %.3f, \"im2col_ms\": %.3f, \"peak_bytes\": %zu,\n"
           "  \"speedup_by_threads\": %.3f, \"macs\": %.0f, \"executed_macs\": %.0f, \"weights\": %lld, \"bits\": %d,\n"
           "  \"peak_before\": %.2f, \"peak_after\": %.2f, \"clock_ghz\": %.3f,\n"
           "  \"instructions_per_cycle\": %.1f, \"peak_of_issue_width\": %.3f,\n"
           "  \"bytes_source\": \"computed from the plan\",\n  \"layers\": [",
           o->width, o->height, o->threads, fsr_nn_isa_name(r->isa), gmacs,
           r->peak * o->threads, gmacs / (r->peak * o->threads), r->ms, r->im2col_ms, r->bytes, r->speedup,
           r->macs, r->executed, (long long)r->info.weights,
           plan->precision == FSR_PRECISION_I8 ? 8 : plan->precision == FSR_PRECISION_BF16 ? 16 : 32,
           r->peak_before, r->peak_after, r->clock_ghz, r->issue, r->of_issue);
    for (int i = 0; i < net->nb_nodes; i++) {
        const Layer l = describe(net, plan, i);
        printf("%s\n    { \"name\": ", i ? "," : "");
        print_name(l.n->name);
        printf(", \"op\": \"%s\", \"kernel\": \"%s\", \"planes\": %d, \"macs\": %.0f, "
               "\"weights\": %.0f, \"bytes\": %.0f, \"energy_uj\": %.1f, \"ms\": %.3f, "
               "\"gmacs_per_s\": %.2f }", op_name(l.n->op), l.kernel, l.n->channels, l.macs,
               l.weights, l.bytes, l.energy_uj, l.ms, l.ms > 0 ? l.macs / l.ms * 1e-6 : 0);
    }
    printf(" ] }\n");
}

static void print_table(const Options *o, const FsrNet *net, const FsrPlan *plan, const Result *r)
{
    const double gmacs = r->macs / r->ms * 1e-6, peak = r->peak * o->threads;

    printf("%s, %dx%d, %d thread%s, %s, tiles %dx%d\n", o->model, o->width, o->height, o->threads,
           o->threads > 1 ? "s" : "", fsr_nn_isa_name(r->isa), plan->tile_w, plan->tile_h);
    printf("%-28s %-12s %6s %9s %9s %9s %9s %8s %8s\n", "layer", "kernel", "planes", "MMAC",
           "weights", "kB moved", "energy mJ", "ms", "GMAC/s");
    for (int i = 0; i < net->nb_nodes; i++) {
        const Layer l = describe(net, plan, i);
        printf("%-28.28s %-12s %6d %9.1f %9.0f %9.0f %9.2f %8.2f %8.1f\n", l.n->name,
               *l.kernel ? l.kernel : op_name(l.n->op), l.n->channels, l.macs * 1e-6, l.weights,
               l.bytes / 1024, l.energy_uj * 1e-3, l.ms, l.ms > 0 ? l.macs / l.ms * 1e-6 : 0);
    }
    printf("whole: %.2f ms, %.1f GMAC/s; peak %.1f (before %.1f, after %.1f; clock %.2f GHz): "
           "share %.1f %%\n", r->ms, gmacs, peak, r->peak_before, r->peak_after, r->clock_ghz,
           100 * gmacs / peak);
    printf("peak: %.1f %% of %.1f instructions a cycle%s\n", 100 * r->of_issue, r->issue,
           r->of_issue < 0.95 ? "; below 95 %: the machine was busy or slowed down, measure again" : "");
    if (o->threads > 1)
        printf("%d threads: %.2f times one (median over runs by turns)\n", o->threads, r->speedup);
    printf("executed with halos: %.2f %% more; memory %.1f MiB; im2col + OpenBLAS %.1f ms: "
           "%.2f times as long\n", 100 * (r->executed / r->macs - 1), r->bytes / 1048576.0,
           r->im2col_ms, r->im2col_ms / r->ms);
}

static const struct {
    const char  *name;
    FsrPrecision value;
} precisions[] = {
    { "f32", FSR_PRECISION_F32 }, { "bf16", FSR_PRECISION_BF16 }, { "i8", FSR_PRECISION_I8 },
    { "auto", FSR_PRECISION_AUTO },
};

static int set_precision(const char *name, FsrPrecision *p)
{
    for (size_t i = 0; i < sizeof(precisions) / sizeof(*precisions); i++)
        if (!strcmp(name, precisions[i].name)) {
            *p = precisions[i].value;
            return 1;
        }
    return 0;
}

static int parse(int argc, char **argv, Options *o)
{
    char end;

    *o = (Options){ .threads = 1, .reps = 5 };
    for (int i = 1; i < argc; i++) {
        const char *next = i + 1 < argc ? argv[i + 1] : "";

        if (!strcmp(argv[i], "--json"))
            o->json = 1;
        else if (!strcmp(argv[i], "--size") && sscanf(next, "%dx%d%c", &o->width, &o->height, &end) == 2)
            i++;
        else if (!strcmp(argv[i], "--threads") && sscanf(next, "%d%c", &o->threads, &end) == 1)
            i++;
        else if (!strcmp(argv[i], "--precision") && set_precision(next, &o->precision))
            i++;
        else if (!strcmp(argv[i], "--reps") && sscanf(next, "%d%c", &o->reps, &end) == 1)
            i++;
        else if (argv[i][0] != '-' && !o->model)
            o->model = argv[i];
        else
            return -EINVAL;
    }
    if (!o->model || o->width < 1 || o->height < 1 || o->threads < 1 || o->threads > MAX_THREADS ||
        o->reps < 1 || o->reps > MAX_REPS)
        return -EINVAL;
    return 0;
}

/* one: the plan for one thread, where there are more, to compare with. */
static int bench(const Options *o, const FsrNet *net, FsrPlan *plan, FsrPlan *one)
{
    Result  r = { .isa = fsr_nn_isa() };
    Picture p = { .width = o->width, .height = o->height };
    FsrNnIO io = { .opaque = &p, .get = get, .put = put };
    const size_t pixels = (size_t)o->width * o->height;
    double  ignored;
    int     ret = -ENOMEM;

    fsr_nn_info(net, &r.info);
    fsr_plan_size(plan, fsr_result(net, 0), &p.out_w, &p.out_h);
    p.in    = malloc(pixels * r.info.in_planes * sizeof(*p.in));
    p.out   = calloc((size_t)p.out_w * p.out_h * r.info.out_planes, sizeof(*p.out));
    plan->node_ns = NULL;
    if (p.in && p.out) {
        for (size_t i = 0; i < pixels * r.info.in_planes; i++)
            p.in[i] = (i * 7919 % 1021) / 1021.0f;
        for (int i = 0; i < net->nb_nodes; i++)
            r.macs += fsr_node_macs(net, &net->nodes[i]) * area(plan, i);
        r.bytes = fsr_nn_plan_bytes(plan) + r.info.weights * sizeof(float);
        ret     = measure(o, plan, one, &io, &r);
    }
    if (ret >= 0 && !(plan->node_ns = calloc(net->nb_nodes, sizeof(*plan->node_ns))))
        ret = -ENOMEM;
    if (ret >= 0) {
        run(plan, &io, 1, 1, 0, &ignored);      /* with a clock around each row, one thread */
        (o->json ? print_json : print_table)(o, net, plan, &r);
    }
    free(plan->node_ns);
    plan->node_ns = NULL;
    free(p.in);
    free(p.out);
    return ret;
}

int main(int argc, char **argv)
{
    char     err[512] = "";
    Options  o;
    FsrNet  *net  = NULL;
    FsrPlan *plan = NULL, *one = NULL;
    int      ret;

    if (parse(argc, argv, &o) < 0) {
        fputs(usage, stderr);
        return 2;
    }
    if ((ret = fsr_nn_load_file(&net, o.model, err, sizeof(err))) >= 0 &&
        (ret = fsr_nn_plan_as(&plan, net, o.width, o.height, o.threads, o.precision, err,
                              sizeof(err))) >= 0 &&
        (o.threads == 1 || (ret = fsr_nn_plan_as(&one, net, o.width, o.height, 1, o.precision, err, sizeof(err))) >= 0) &&
        (ret = bench(&o, net, plan, one)) < 0)
        snprintf(err, sizeof(err), "%s", strerror(-ret));
    if (ret >= 0 && (fflush(stdout) || ferror(stdout))) {
        snprintf(err, sizeof(err), "the output could not be written");
        ret = -EIO;
    }
    fsr_nn_plan_free(&one);
    fsr_nn_plan_free(&plan);
    fsr_nn_free(&net);
    if (ret < 0) {
        fprintf(stderr, "nn_bench: %s\n", err);
        return 1;
    }
    return 0;
}
