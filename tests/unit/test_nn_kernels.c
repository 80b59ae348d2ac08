/* nn: every convolution kernel against plain C, row by row. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "nn/kernels.h"

enum { GUARD = 64, MAX_KH = 31 };
static const uint32_t MARK = 0x7fc0dead;    /* a NaN: it also shows when it is read */

static uint32_t seed = 1;

static float rndf(void)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) / (float)(1 << 23) - 1;
}

static float *marked(size_t floats)
{
    float *p = malloc(floats * sizeof(*p));

    for (size_t i = 0; i < floats; i++)
        memcpy(&p[i], &MARK, 4);
    return p;
}

static float *packed(const FsrConvKernel *k, const FsrConvShape *s, const float *w, const float *b)
{
    void *p;

    assert_int_equal(posix_memalign(&p, 64, k->packed_floats(s) * sizeof(float) + 64), 0);
    memcpy((float *)p + k->packed_floats(s), &MARK, 4);
    k->pack(s, w, b, p);
    assert_memory_equal((float *)p + k->packed_floats(s), &MARK, 4);
    return p;
}

static void run(const FsrConvKernel *k, const FsrConvShape *s, const float *pack,
                const float *const *rows, float *dst, int width)
{
    size_t n = k->scratch_floats ? k->scratch_floats(s) : 0;
    float *scratch = marked(n + 1);

    k->row(s, pack, rows, dst, width, scratch);
    assert_memory_equal(scratch + n, &MARK, 4);
    free(scratch);
}

/* Rows of their own, each in a block of exactly its size, so that every read outside is
 * seen by a sanitizer; planes that only fill up a vector hold zeros. */
static void make_rows(const FsrConvShape *s, int width, float **rows)
{
    for (int y = 0; y < s->kh; y++) {
        rows[y] = calloc((width + s->kw - 1) * s->cin_stride, sizeof(float));
        for (int x = 0; x < width + s->kw - 1; x++)
            for (int i = 0; i < s->cin; i++)
                if (s->in_bf16)
                    ((uint16_t *)(rows[y] + x * s->cin_stride))[i] = fsr_to_bf16(rndf());
                else
                    rows[y][x * s->cin_stride + i] = rndf();
    }
}

static float result(const FsrConvShape *s, const float *row, int x, int o)
{
    row += x * s->cout_stride;
    return s->out_bf16 ? fsr_from_bf16(((const uint16_t *)row)[o]) : row[o];
}

static void check_row(const FsrConvKernel *k, const FsrConvShape *s, const float *wc,
                      const float *wk, int width)
{
    const size_t len = (size_t)width * s->cout_stride;
    /* two float sums in different order; rounded to 8 bits they may end up one step apart */
    const double tol = (s->out_bf16 ? 1.0 / 128 : 0) + 1e-6 * sqrt(s->cin * s->kw * s->kh) + 1e-6;
    float *rows[MAX_KH], *want = marked(len), *have = marked(len + 2 * GUARD);
    int    shift = width % 7;                                   /* any alignment of the result */

    make_rows(s, width, rows);
    run(&fsr_conv_c, s, wc, (const float *const *)rows, want, width);
    run(k, s, wk, (const float *const *)rows, have + GUARD - shift, width);
    for (int x = 0; x < width; x++)
        for (int o = 0; o < s->cout; o++) {
            float a = result(s, want, x, o), b = result(s, have + GUARD - shift, x, o);
            if (!(fabsf(a - b) <= tol * fmaxf(s->out_bf16 ? 0.01f : 1, fabsf(a))))
                fail_msg("%s %d->%d %dx%d relu %d out %d width %d: sample %d plane %d is %g, "
                         "not %g", k->name, s->cin, s->cout, s->kw, s->kh, s->relu, s->out_bf16,
                         width, x, o, b, a);
        }
    for (int i = 0; i < GUARD - shift; i++)
        assert_memory_equal(&have[i], &MARK, 4);
    for (size_t i = GUARD - shift + len; i < len + 2 * GUARD; i++)
        if (memcmp(&have[i], &MARK, 4))
            fail_msg("%s %d->%d width %d: wrote behind its row", k->name, s->cin, s->cout, width);
    for (int y = 0; y < s->kh; y++)
        free(rows[y]);
    free(want);
    free(have);
}

static void check_formats(int isa, int cin, int cout, int kw, int kh, int step, int in_bf16,
                          int out_bf16)
{
    FsrConvShape s = { cin, fsr_nn_stride(cin, in_bf16), cout, fsr_nn_stride(cout, out_bf16), kw,
                       kh, 0, in_bf16, out_bf16, 0, 0 };
    const size_t n = (size_t)cin * cout * kw * kh;
    float *w = malloc(n * sizeof(*w)), *b = malloc(cout * sizeof(*b));

    for (size_t i = 0; i < n; i++)
        w[i] = rndf() / sqrtf(cin * kw * kh);
    for (int i = 0; i < cout; i++)
        b[i] = rndf();
    for (s.relu = 0; s.relu < 2; s.relu++, s.cold++, s.top = 0.25f) {
        const FsrConvKernel *k = fsr_nn_pick_conv(isa, &s);
        float *wc = packed(&fsr_conv_c, &s, w, b), *wk = packed(k, &s, w, b);

        for (int width = 1; width <= 67; width += step)
            check_row(k, &s, wc, wk, width);
        free(wc);
        free(wk);
    }
    free(w);
    free(b);
}

/* bfloat16 is only used for more than 4 planes. */
static void check_shape(int isa, int cin, int cout, int kw, int kh, int step)
{
    for (int in_bf16 = 0; in_bf16 <= (cin > 4); in_bf16++)
        for (int out_bf16 = 0; out_bf16 <= (cout > 4); out_bf16++)
            check_formats(isa, cin, cout, kw, kh, step, in_bf16, out_bf16);
}

static void shapes_of_networks(void **state)
{
    static const int s[][3] = {
        { 1, 64, 9 }, { 64, 32, 1 }, { 64, 32, 5 }, { 32, 1, 5 }, { 1, 16, 5 }, { 16, 16, 3 },
        { 32, 32, 3 }, { 16, 4, 5 }, { 32, 12, 3 }, { 16, 12, 3 }, { 2, 16, 5 }, { 8, 8, 3 },
    };

    (void)state;
    for (int isa = FSR_ISA_BLAS; isa < FSR_ISA_NB; isa++)
        for (size_t i = 0; i < sizeof(s) / sizeof(*s) && fsr_nn_isa_available(isa); i++)
            check_shape(isa, s[i][0], s[i][1], s[i][2], s[i][2], 1);
}

/* Every number of planes up to 40 on both sides appears, kernels of all proportions. */
static void odd_shapes(void **state)
{
    (void)state;
    for (int isa = FSR_ISA_BLAS; isa < FSR_ISA_NB; isa++)
        for (int i = 1; i <= 40 && fsr_nn_isa_available(isa); i++) {
            check_shape(isa, i, 41 - i, 1 + i % 4, 1 + i / 4 % 4, 11);
            check_shape(isa, i, 1 + i % 4, 1 + i % 11, 1 + i % 3, 13);
        }
    check_shape(FSR_ISA_NB - 1, 3, 2, 31, 31, 33);
}

/* A sample's bits do not depend on where it lies in its row or how long the row is. */
static void same_bits_anywhere(void **state)
{
    static const int planes[][2] = { { 1, 32 }, { 32, 1 }, { 16, 16 }, { 16, 4 }, { 5, 7 } };

    (void)state;
    for (int isa = FSR_ISA_AVX2; isa < FSR_ISA_NB; isa++)
        for (int i = 0; i < 5 && fsr_nn_isa_available(isa); i++) {
            FsrConvShape s = { planes[i][0], fsr_nn_stride(planes[i][0], 0), planes[i][1],
                               fsr_nn_stride(planes[i][1], 0), 3, 3, 1, 0, 0, 0, 0 };
            const FsrConvKernel *k = fsr_nn_pick_conv(isa, &s);
            float  w[9 * 32], b[32], *rows[3], *pk, *whole, *part;
            const float *at[3];

            for (int j = 0; j < 9 * 32; j++)
                w[j] = rndf();
            memcpy(b, w, sizeof(b));
            if (s.cin * s.cout > 32)
                s.cin = 1;                              /* the other planes of the stride: zeros */
            pk = packed(k, &s, w, b);
            make_rows(&s, 100, rows);
            whole = marked(100 * s.cout_stride);
            part  = marked(100 * s.cout_stride);
            run(k, &s, pk, (const float *const *)rows, whole, 100);
            for (int from = 0; from < 100; from += 9)
                for (int len = 1; from + len <= 100; len += 5) {
                    for (int y = 0; y < 3; y++)
                        at[y] = rows[y] + from * s.cin_stride;
                    run(k, &s, pk, at, part, len);
                    for (int x = 0; x < len; x++)
                        assert_memory_equal(part + x * s.cout_stride,
                                            whole + (from + x) * s.cout_stride,
                                            s.cout * sizeof(float));
                }
            for (int y = 0; y < 3; y++)
                free(rows[y]);
            free(pk);
            free(whole);
            free(part);
        }
}

/* FASTSR_CPU takes sets away and never gives one that the machine has not. */
static void mask(void **state)
{
    (void)state;
    for (int isa = 0; isa < FSR_ISA_NB; isa++) {
        setenv("FASTSR_CPU", fsr_nn_isa_name(isa), 1);
        assert_true(fsr_nn_isa() <= (FsrIsa)isa && fsr_nn_isa_available(fsr_nn_isa()));
        if (fsr_nn_isa_available(isa))
            assert_int_equal(fsr_nn_isa(), isa);
    }
    setenv("FASTSR_CPU", "abacus", 1);
    assert_true(fsr_nn_isa_available(fsr_nn_isa()));
    unsetenv("FASTSR_CPU");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes_of_networks),
        cmocka_unit_test(odd_shapes),
        cmocka_unit_test(same_bits_anywhere),
        cmocka_unit_test(mask),
    };
    return cmocka_run_group_tests_name("nn_kernels", tests, NULL, NULL);
}
