/* nn: real networks with bytes changed, cut or repeated: each loads or is refused with one line,
 * and what loads can be planned and run, or says why not. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "goldens.h"
#include "nn/whole.h"

enum { RUNS = 250, W = 11, H = 9 };

static uint32_t seed = 1;
static double   sum;                /* of what runs deliver */

static uint32_t rnd(uint32_t n)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

static void get(void *opaque, int plane, int x, int y, int w, int h, float *dst, ptrdiff_t stride)
{
    (void)opaque;
    assert_true(plane >= 0 && x >= 0 && y >= 0 && w > 0 && h > 0 && x + w <= W && y + h <= H);
    for (int j = 0; j < h; j++)
        for (int i = 0; i < w; i++)
            dst[j * stride + i] = (x + i + y + j + plane) % 5 / 4.0f;
}

static void put(void *opaque, int plane, int x, int y, int w, int h, const float *src, ptrdiff_t stride)
{
    (void)opaque;
    assert_true(plane >= 0 && x >= 0 && y >= 0);
    for (int j = 0; j < h; j++)
        for (int i = 0; i < w; i++)
            sum += src[j * stride + i];
}

/* Sizes stay legal when bytes change, and may be huge. */
static int small(const FsrNet *net, const FsrPlan *plan)
{
    double work = 0;

    for (int i = 0; i < net->nb_nodes; i++) {
        int w, h;
        fsr_plan_size(plan, i, &w, &h);
        work += (double)w * h * (net->nodes[i].channels + fsr_node_macs(net, &net->nodes[i]) +
                                 net->nodes[i].kw * net->nodes[i].kh);
    }
    return work < 1e6;
}

static uint8_t *damage(const Golden *g, size_t *size)
{
    const int kind = rnd(8);
    uint8_t  *copy = malloc(g->size + 1);

    memcpy(copy, g->data, g->size);
    *size = g->size;
    if (kind == 0)
        *size = rnd((uint32_t)g->size);
    for (int k = rnd(4) + (kind > 0); kind < 6 && k > 0; k--)
        copy[rnd((uint32_t)g->size)] = (uint8_t)(rnd(3) ? rnd(256) : 255);
    if (kind >= 6) {                                /* a piece at another place */
        const size_t n = 1 + rnd(64), from = rnd((uint32_t)g->size), to = rnd((uint32_t)g->size);
        if (from + n <= g->size && to + n <= g->size)
            memmove(copy + to, copy + from, n);
    }
    return realloc(copy, *size + !*size);           /* so that overreads show */
}

static void fuzz(void **state)
{
    static const FsrNnIO io = { .opaque = NULL, .get = get, .put = put };
    static Golden g[MAX_GOLDENS];
    int nb = read_goldens(g), loaded = 0, planned = 0, ran = 0;

    (void)state;
    if (!nb) {
        print_message("tests/goldens/nn is not here\n");
        skip();
    }
    for (int i = 0; i < nb * RUNS; i++) {
        size_t   size;
        uint8_t *data = damage(&g[i % nb], &size);
        char     err[256] = "";
        FsrNet  *net  = NULL;
        FsrPlan *plan = NULL;
        int      ret  = fsr_nn_load(&net, data, size, err, sizeof(err));

        if (ret >= 0) {
            loaded++;
            ret = i & 1 ? fsr_nn_plan_whole(&plan, net, W, H, err, sizeof(err)) :
                          fsr_nn_plan(&plan, net, W, H, 1, err, sizeof(err));
        }
        if (ret < 0 && (!*err || strchr(err, '\n')))
            fail_msg("%s, run %d: %d '%s'", g[i % nb].name, i, ret, err);
        planned += ret >= 0;
        if (ret >= 0 && small(net, plan)) {
            ran++;
            for (int j = 0; j < fsr_nn_jobs(plan); j++)
                fsr_nn_run(plan, &io, j, 0);
        }
        fsr_nn_plan_free(&plan);
        fsr_nn_free(&net);
        free(data);
    }
    print_message("%d of %d loaded, %d planned, %d ran\n", loaded, nb * RUNS, planned, ran);
    assert_true(ran > nb);
    free_goldens(g, nb);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fuzz),
    };
    return cmocka_run_group_tests_name("nn_fuzz", tests, NULL, NULL);
}
