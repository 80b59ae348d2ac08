/* Every kernel on every instruction set that this processor has, against plain C. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "filters/kernels.h"

#define STRIDE 208
#define ROWS   80
#define GUARD  16
#define LONG   1941

static const unsigned levels[] = { FSR_CPU_AVX2, FSR_CPU_AVX2 | FSR_CPU_AVX512 };
static const char *const level_names[] = { "avx2", "avx512" };

static FsrKernels best;             /* the level under test */
static const char *name;

static int16_t a[STRIDE * ROWS + LONG], b[STRIDE * ROWS + LONG], want[STRIDE * ROWS + LONG], got[STRIDE * ROWS + LONG];

/* Samples as they occur, and in one fill of three at the limits of the type. */
static void fill(int16_t *p, size_t n)
{
    static const int16_t limits[4] = { INT16_MIN, INT16_MAX, 0, -1 };
    const int extreme = rand() % 3 == 0;

    for (size_t i = 0; i < n; i++)
        p[i] = extreme ? limits[rand() & 3] : rand() % 8 ? rand() & 16383 : (int16_t)rand();
}

static void fill_all(void)
{
    fill(a, sizeof(a) / sizeof(*a));
    fill(b, sizeof(b) / sizeof(*b));
    fill(want, sizeof(want) / sizeof(*want));
    memcpy(got, want, sizeof(got));
}

/* Everything around the destination as well: a kernel writes what it is asked for. */
static void same(const char *kernel, int n, int detail)
{
    for (size_t i = 0; i < sizeof(got) / sizeof(*got); i++)
        if (got[i] != want[i])
            fail_msg("%s %s, size %d, case %d: at %d is %d, want %d", name, kernel, n, detail, (int)i, got[i], want[i]);
}

/* 1 to 67, then some large ones */
static int length(int i)
{
    static const int large[] = { 128, 640, 1001, 1920 };

    return i <= 67 ? i : large[i - 68];
}
#define LENGTHS 71

static void load_and_store(void)
{
    static const struct { int bytes, step, shift, depth; } f[] = {
        { 1, 1, 0, 8 }, { 1, 2, 0, 8 }, { 2, 1, 0, 10 }, { 2, 2, 6, 10 }, { 2, 1, 6, 10 }, { 2, 1, 0, 12 }, { 2, 1, 0, 14 }, { 2, 1, 8, 8 },
    };

    for (size_t k = 0; k < sizeof(f) / sizeof(*f); k++)
        for (int i = 1; i <= LENGTHS; i++) {
            const int n = length(i), at = GUARD + rand() % 16;
            const int bytes = f[k].bytes, step = f[k].step, shift = f[k].shift, depth = f[k].depth;

            fill_all();
            fsr_kernels_c.load_row(want + at, (uint8_t *)(a + at / 2), n, bytes, step, shift, depth);
            best.load_row(got + at, (uint8_t *)(a + at / 2), n, bytes, step, shift, depth);
            same("load_row", n, k);
            fsr_kernels_c.store_row((uint8_t *)(want + at), b + at / 3, n, bytes, step, shift, depth);
            best.store_row((uint8_t *)(got + at), b + at / 3, n, bytes, step, shift, depth);
            same("store_row", n, k);
        }
}

static FsrUpscaler upscaler(int scale, int kind)
{
    FsrUpscaler u;

    if (kind == 0)
        fsr_upscaler_init_sharp(&u, scale);
    else
        fsr_upscaler_init(&u, scale, kind == 1 ? 1 : 2, kind == 3);
    return u;
}

static void upscale(void)
{
    for (int scale = 2; scale <= 4; scale++)
        for (int kind = 0; kind < 4; kind++)
            for (int i = 1; i <= LENGTHS; i++) {
                const FsrUpscaler u = upscaler(scale, kind);
                const int n = length(i), at = GUARD + rand() % 16, phase = rand() % scale;
                const int16_t *base[FSR_TAPS], *pred[FSR_TAPS];
                int16_t weight[LONG + 1];

                fill_all();
                for (int t = 0; t < FSR_TAPS; t++) {
                    base[t] = a + GUARD + t * STRIDE + rand() % 16;
                    pred[t] = b + GUARD + t * STRIDE + rand() % 16;
                }
                for (int j = 0; j <= n; j++)
                    weight[j] = rand() % 4 ? rand() % 257 : 256 * (rand() & 1);

                fsr_kernels_c.upscale_row(want + at, a + GUARD, n, &u);
                best.upscale_row(got + at, a + GUARD, n, &u);
                same("upscale_row", n, 10 * scale + kind);
                fsr_kernels_c.upscale_column(want + at, base, &u, phase, n);
                best.upscale_column(got + at, base, &u, phase, n);
                same("upscale_column", n, 10 * scale + kind);
                fill(want, sizeof(want) / sizeof(*want));
                memcpy(got, want, sizeof(got));
                for (int rows = 1; rows <= 2; rows++)
                    for (int with_base = 0; with_base < 2; with_base++) {
                        int16_t *const w[4] = { want + at, want + at + LONG + 40, want + at + 2 * (LONG + 40), want + at + 3 * (LONG + 40) };
                        int16_t *const g[4] = { got + at, got + at + LONG + 40, got + at + 2 * (LONG + 40), got + at + 3 * (LONG + 40) };
                        const int16_t *const weights[2] = { weight, weight + 1 };

                        fsr_kernels_c.carry_rows(w, with_base ? w + 2 : NULL, base, pred, &u, phase, weights, rows, n);
                        best.carry_rows(g, with_base ? g + 2 : NULL, base, pred, &u, phase, weights, rows, n);
                        same("carry_rows", n, 100 * scale + 10 * kind + 2 * rows + with_base);
                    }
            }
}

static void lerp(void)
{
    for (int span = 8; span <= 16; span += 4)
        for (int nb = 1; nb <= 100; nb++) {
            int16_t f[16], cells[101 + 16];

            for (int i = 0; i < span; i++)
                f[i] = i == 0 ? rand() % 2 : i == span - 1 ? 124 : rand() % 125;
            for (int i = 0; i <= 116; i++)
                cells[i] = i > nb ? rand() : rand() % 3 ? rand() % 257 : 256 * (rand() & 1);
            fill_all();
            fsr_kernels_c.lerp_row(want + GUARD + nb % 7, cells, nb, f, span);
            best.lerp_row(got + GUARD + nb % 7, cells, nb, f, span);
            same("lerp_row", nb, span);
        }
}

static void motion(void)
{
    for (int w = 1; w <= 67; w++)
        for (int k = 0; k < 12; k++) {
            const int frac = 1 + k % 3, half = k & 1 ? 32 : 0, h = 1 + rand() % 64, at = GUARD + rand() % 16;
            const int16_t *p = a + 4 * STRIDE + 4 + rand() % 32, *q = b + 4 * STRIDE + 4 + rand() % 32;

            fill_all();
            fsr_kernels_c.filter_h(want + at, STRIDE, p, STRIDE, w, h, frac, half);
            best.filter_h(got + at, STRIDE, p, STRIDE, w, h, frac, half);
            same("filter_h", w, frac);
            fsr_kernels_c.filter_h_deep(want + at, STRIDE, p + 32, STRIDE, w, h, frac, half);
            best.filter_h_deep(got + at, STRIDE, p + 32, STRIDE, w, h, frac, half);
            same("filter_h_deep", w, frac);
            fsr_kernels_c.filter_v(want + at + 1, STRIDE, q, STRIDE, w, h, frac, half);
            best.filter_v(got + at + 1, STRIDE, q, STRIDE, w, h, frac, half);
            same("filter_v", w, frac);
            fsr_kernels_c.copy(want + at + 3, STRIDE, p, STRIDE + 1, w, h);
            best.copy(got + at + 3, STRIDE, p, STRIDE + 1, w, h);
            same("copy", w, 0);
            fsr_kernels_c.average(want + at + 2, STRIDE, p, STRIDE, q, STRIDE + 1, w, h);
            best.average(got + at + 2, STRIDE, p, STRIDE, q, STRIDE + 1, w, h);
            same("average", w, 0);
        }
}

static void sad(void)
{
    for (int k = 0; k < 200; k++)
        for (int nb = 1; nb <= 16; nb++) {
            unsigned s[2][18];
            const int16_t *p = a + rand() % 32, *q = b + rand() % 32;

            fill_all();
            memset(s, 77, sizeof(s));
            fsr_kernels_c.sad_cells(s[0] + 1, p, STRIDE, q, STRIDE + 1, nb);
            best.sad_cells(s[1] + 1, p, STRIDE, q, STRIDE + 1, nb);
            assert_memory_equal(s[0], s[1], sizeof(s[0]));
        }
}

/* Rows of feature planes, and what belongs to them */
static void fuse(void)
{
    static float in[LONG * 16], v[2][LONG * 20 + 2];
    static int8_t qp[LONG];

    for (int i = 1; i <= 3 * LENGTHS; i++) {
        const int n = length(1 + i % (LENGTHS - 1)), at = GUARD + rand() % 16, stride = 16 + 4 * (rand() % 2), add = rand() & 1;
        FsrFuseRow row;
        float    factor[FSR_FUSE_IN];
        int16_t  weight[LONG];
        uint32_t sums[2][2] = { { 1, 2 }, { 1, 2 } };

        fill_all();
        for (int j = 0; j < n; j++) {
            weight[j] = rand() % 3 ? rand() % 1025 : 1024 * (rand() & 1);
            qp[j]     = rand() % 52;
        }
        for (int j = 0; j < FSR_FUSE_IN; j++)
            factor[j] = 1.0f / (1 + rand() % 20000);
        row = (FsrFuseRow){ a + at, b + at / 2, weight, { b + at + LONG, a + at + 2 * LONG }, b + at / 3, qp, rand() % 4 };
        memset(v, rand() & 1, sizeof(v));
        fsr_kernels_c.fuse_get(v[0] + 1, stride, &row, factor, n);
        best.fuse_get(v[1] + 1, stride, &row, factor, n);
        if (memcmp(v[0], v[1], sizeof(v[0])))
            fail_msg("%s fuse_get, size %d", name, n);

        for (int j = 0; j < n * 16; j++)
            in[j] = rand() % 50 ? (rand() % 20001 - 10000) * 2e-4f : (float)(1 - rand() % 3) / (rand() % 2);
        for (int k = 0; k < 2; k++) {
            int16_t *to = (k ? got : want) + at, *const hr[2] = { to, to + 2 * LONG };

            (k ? best : fsr_kernels_c).fuse_put(hr, add ? to + 4 * LONG : NULL, in, 11 + stride % 3, n);
        }
        same("fuse_put", n, add);
        fsr_kernels_c.add_row(want + at, a + at, n);
        best.add_row(got + at, a + at, n);
        same("add_row", n, add);

        for (int k = 0; k < 2; k++)
            (k ? best : fsr_kernels_c).rate(&sums[k][0], &sums[k][1], a + at + STRIDE, STRIDE, b + at, weight, n < 256 ? n : 256);
        assert_memory_equal(sums[0], sums[1], sizeof(sums[0]));
        for (int j = 0; j < 2 * n; j++)
            a[at + j] = rand() % 257;
        for (int j = 0; j < n; j++)
            want[at + j] = got[at + j] = rand() % 513;
        fsr_kernels_c.sum_pairs(want + at, a + at, n, add);
        best.sum_pairs(got + at, a + at, n, add);
        same("sum_pairs", n, add);
    }
}

static void on_all_levels(void (*check)(void))
{
    int done = 0;

    for (size_t i = 0; i < sizeof(levels) / sizeof(*levels); i++) {
        if (levels[i] & ~fsr_cpu_flags())
            continue;
        name = level_names[i];
        fsr_kernels_init(&best, levels[i]);
        check();
        done++;
    }
    if (!done)
        skip();
}

static void test_load_and_store(void **state) { (void)state; on_all_levels(load_and_store); }
static void test_upscale(void **state)        { (void)state; on_all_levels(upscale); }
static void test_lerp(void **state)           { (void)state; on_all_levels(lerp); }
static void test_motion(void **state)         { (void)state; on_all_levels(motion); }
static void test_sad(void **state)            { (void)state; on_all_levels(sad); }
static void test_fuse(void **state)           { (void)state; on_all_levels(fuse); }

/* A table without flags is plain C, and no level leaves a hole. */
static void tables_are_whole(void **state)
{
    (void)state;
    for (int i = -1; i < (int)(sizeof(levels) / sizeof(*levels)); i++) {
        void (*p[sizeof(FsrKernels) / sizeof(void (*)(void))])(void);
        FsrKernels k;

        fsr_kernels_init(&k, i < 0 ? 0 : levels[i] & fsr_cpu_flags());
        if (i < 0)
            assert_memory_equal(&k, &fsr_kernels_c, sizeof(k));
        memcpy(p, &k, sizeof(k));
        for (size_t j = 0; j < sizeof(p) / sizeof(*p); j++)
            assert_true(p[j] != NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_load_and_store),
        cmocka_unit_test(test_upscale),
        cmocka_unit_test(test_lerp),
        cmocka_unit_test(test_motion),
        cmocka_unit_test(test_sad),
        cmocka_unit_test(test_fuse),
        cmocka_unit_test(tables_are_whole),
    };

    return cmocka_run_group_tests_name("kernels", tests, NULL, NULL);
}
