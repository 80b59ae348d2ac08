/* nn: the 1st, 2nd, 3rd ... allocation of loading and planning fails; each time the error
 * is reported and nothing is left behind. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "fastsr/nn.h"
#include "goldens.h"
#include "onnx_writer.h"

#if defined(__SANITIZE_ADDRESS__) || !defined(__GLIBC__)
static void faults(void **state)
{
    (void)state;
    print_message("needs glibc's own allocator\n");
    skip();
}
#else

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t), *__libc_memalign(size_t, size_t);
extern void  __libc_free(void *);

static int on, calls, fail_at, live;

static int fails(void)
{
    return on && ++calls == fail_at;
}

static void *count(void *p)
{
    live += on && p;
    return p;
}

void *malloc(size_t n)
{
    return fails() ? NULL : count(__libc_malloc(n));
}

void *calloc(size_t n, size_t m)
{
    return fails() ? NULL : count(__libc_calloc(n, m));
}

void *realloc(void *p, size_t n)
{
    if (fails())
        return NULL;
    live -= on && p;
    return count(__libc_realloc(p, n));
}

int posix_memalign(void **p, size_t align, size_t n)
{
    return fails() || !(*p = count(__libc_memalign(align, n))) ? ENOMEM : 0;
}

void free(void *p)
{
    live -= on && p;
    __libc_free(p);
}

static Buf model(void)
{
    static const float   w[9 * 16];
    static const int64_t dims[4] = { 16, 1, 3, 3 };
    Buf g = { 0 };

    ox_value(&g, 11, "x", 1);
    ox_value(&g, 12, "y", 1);
    ox_init(&g, "w", dims, 4, 1, w, 9 * 16);
    ox_conv(&g, "c", "x w", "a", 1, 1, 1, 1);
    ox_node(&g, "Add", "s", "a a", "b");
    ox_shuffle(&g, "d", "b", "y", 4, "CRD");
    return ox_model(&g);
}

/* Number of failures until all went well. */
static int each_fails(const char *name, const void *data, size_t size, FsrPrecision precision)
{
    static const int sizes[][2] = { { 100, 100 }, { 11, 9 }, { 15, 12 } };  /* some take one size only */
    int ret = -1;

    for (fail_at = 1; ret < 0 && fail_at < 3000; fail_at++) {
        char     err[256] = "";
        FsrNet  *net;
        FsrPlan *plan = NULL;

        calls = live = 0;
        on    = 1;
        ret   = fsr_nn_load(&net, data, size, err, sizeof(err));
        for (int i = 0; net && !plan && i < 3 && (ret >= 0 || ret == -EINVAL); i++)
            ret = fsr_nn_plan_as(&plan, net, sizes[i][0], sizes[i][1], 3, precision, err, sizeof(err));
        fsr_nn_plan_free(&plan);
        fsr_nn_free(&net);
        on    = 0;
        if (live)
            fail_msg("%s: %d blocks are left after failure %d", name, live, fail_at);
        if (ret < 0)
            assert_true(err[0]);
    }
    if (ret < 0)
        fail_msg("%s: fails without a failure", name);
    return fail_at - 2;
}

static void faults(void **state)
{
    static Golden g[MAX_GOLDENS];
    Buf m  = model();
    int nb = read_goldens(g), failures = each_fails("chain", m.data, m.size, FSR_PRECISION_F32);
    int integers = each_fails("chain in integers", m.data, m.size, FSR_PRECISION_I8);

    (void)state;
    assert_true(failures > 18 && integers > failures + 10);
    failures += integers;
    for (int i = 0; i < nb; i++)
        failures += each_fails(g[i].name, g[i].data, g[i].size, FSR_PRECISION_F32);
    print_message("%d failed allocations survived in %d networks\n", failures, nb + 2);
    free_goldens(g, nb);
    buf_free(&m);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(faults),
    };
    return cmocka_run_group_tests_name("nn_faults", tests, NULL, NULL);
}
