/* nn: every depthwise kernel against plain C: all widths, misaligned rows, guard bands. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "nn/kernels/depthwise.h"

enum { GUARD = 32, MAX_KH = 7 };
static const uint32_t MARK = 0x7fc0dead;    /* a NaN: it also shows when it is read */

static uint32_t seed = 1;

static float rndf(void)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) / (float)(1 << 23) - 1;
}

static void check_width(const FsrDwKernel *k, const FsrDwShape *s, const float *packed, int width)
{
    const size_t in = ((size_t)(width - 1) * s->sx + s->kw) * s->stride, len = (size_t)width * s->stride;
    const int shift = width % 5;
    float *rows[MAX_KH], *want = malloc(len * sizeof(*want));
    float *have = malloc((len + 2 * GUARD) * sizeof(*have));
    const float *at[MAX_KH];

    for (int y = 0; y < s->kh; y++) {
        rows[y] = malloc((in + shift) * sizeof(float));         /* ends where the row ends */
        for (size_t i = 0; i < in; i++)
            rows[y][shift + i] = rndf();
        at[y] = rows[y] + shift;
    }
    for (size_t i = 0; i < len + 2 * GUARD; i++)
        memcpy(&have[i], &MARK, 4);
    fsr_dw_c.row(s, packed, at, want, width);
    k->row(s, packed, at, have + GUARD + shift, width);
    for (size_t i = 0; i < len + 2 * GUARD; i++) {
        const int inside = i >= GUARD + (size_t)shift && i < GUARD + shift + len;
        const float w = inside ? want[i - GUARD - shift] : 0;

        if (inside ? !(fabsf(have[i] - w) <= 1e-5f) : memcmp(&have[i], &MARK, 4) != 0)
            fail_msg("%s: %d planes, %dx%d step %d, width %d: word %d is %g, not %g", k->name, s->planes,
                     s->kw, s->kh, s->sx, width, (int)i - GUARD - shift, have[i], w);
    }
    for (int y = 0; y < s->kh; y++)
        free(rows[y]);
    free(want);
    free(have);
}

static void kernels(void **state)
{
    static const int shapes[][3] = { { 3, 3, 1 }, { 3, 3, 2 }, { 5, 5, 1 }, { 5, 5, 2 }, { 1, 3, 1 },
                                     { 2, 1, 5 }, { 7, 7, 3 }, { 4, 2, 1 } };
    static const int planes[] = { 1, 3, 8, 16, 21, 56 };

    (void)state;
    for (int isa = FSR_ISA_AVX2; isa < FSR_ISA_NB; isa++)
        for (int i = 0; i < 8 * 6 && fsr_nn_isa_available(isa); i++) {
            const int *k = shapes[i % 8], c = planes[i / 8], limited = i % 3;
            const FsrDwShape s = { c, fsr_nn_stride(c, 0), k[0], k[1], k[2], limited ? 0 : -FLT_MAX,
                                   limited == 2 ? 0.5f : FLT_MAX, 0, 0, 0 };
            const FsrDwKernel *kernel = fsr_nn_pick_depthwise(isa, &s);
            float w[56 * 49], b[56], *packed = malloc(fsr_dw_packed_floats(&s) * sizeof(float));

            if (s.stride % 16 == 0)
                assert_ptr_not_equal(kernel, &fsr_dw_c);
            for (int j = 0; j < c * k[0] * k[1]; j++)
                w[j] = rndf();
            for (int j = 0; j < c; j++)
                b[j] = rndf();
            fsr_dw_pack(&s, w, b, packed);
            for (int width = 1; width <= 67; width++)
                check_width(kernel, &s, packed, width);
            for (int before = 0; before <= k[0]; before++)
                for (int after = 0; before + after <= k[0]; after++) {
                    FsrDwShape part = s;

                    part.kw     = k[0] - before - after;
                    part.before = before;
                    part.after  = after;
                    check_width(kernel, &part, packed, 1 + after);
                }
            free(packed);
        }
}

/* By hand: the sum over a window in each plane times a weight, a step of 2, and the limits. */
static void by_hand(void **state)
{
    const FsrDwShape s = { 2, 2, 2, 1, 2, 0, 6, 0, 0, 0 };
    const FsrDwShape right = { 2, 2, 1, 1, 2, 0, 6, 0, 1, 0 };
    const float  w[4] = { 1, 1, 1, -1 }, b[2] = { 0, 1 };
    const float  in[8] = { 1, 10, 2, 20, 3, 30, 4, 15 };
    const float *rows[1] = { in };
    float packed[6], out[4];

    (void)state;
    fsr_dw_pack(&s, w, b, packed);
    fsr_dw_c.row(&s, packed, rows, out, 2);
    assert_true(out[0] == 3 && out[1] == 0 && out[2] == 6 && out[3] == 6);
    fsr_dw_c.row(&right, packed, rows, out, 2);
    assert_true(out[0] == 1 && out[1] == 0 && out[2] == 3 && out[3] == 0);
}

/* Results as bytes: those of floats, rounded, but where two roundings of a float are on either side. */
static void check_bytes(const FsrDwKernel *k, const FsrDwShape *s, const float *packed, const float *const *rows,
                        int width)
{
    const size_t len = (size_t)width * s->stride;
    FsrDwShape   f   = *s;
    float       *want = malloc(len * sizeof(*want));
    uint8_t     *have = malloc(len + 2 * GUARD);

    f.bytes = 0;
    memset(have, 0xa5, len + 2 * GUARD);
    fsr_dw_c.row(&f, packed, rows, want, width);
    k->row(s, packed, rows, have + GUARD, width);
    for (size_t i = 0; i < len; i++)
        if (!(fabsf(have[GUARD + i] - want[i]) <= 0.501f))
            fail_msg("%s: %dx%d step %d, width %d: byte %zu is %d, not %g", k->name, s->kw, s->kh, s->sx, width, i,
                     have[GUARD + i], want[i]);
    for (int i = 0; i < GUARD; i++)
        assert_true(have[i] == 0xa5 && have[GUARD + len + i] == 0xa5);
    free(want);
    free(have);
}

static void bytes(void **state)
{
    static float in[(66 * 2 + 5) * 48 + 4], packed[48 * 26];
    int tested = 0;

    (void)state;
    for (int i = 0; i < (int)(sizeof(in) / sizeof(*in)); i++)
        in[i] = rndf();
    in[100] = NAN;
    for (int i = 0; i < 48 * 26; i++)
        packed[i] = 100 * rndf() + (i < 48 ? 90 : 0);
    for (int isa = 0; isa < FSR_ISA_NB; isa++)
        for (int k = 3; k <= 5 && fsr_nn_isa_available(isa); k += 2)
            for (int width = 1; width <= 66; width++) {
                const FsrDwShape   s = { 48, 48, k, k, 1 + width % 2, 0, 255, 1, 0, 0 };
                const FsrDwKernel *kernel = fsr_nn_pick_depthwise(isa, &s);
                const float       *rows[5] = { in, in + 1, in + 2, in + 3, in + 4 };

                tested += kernel != &fsr_dw_c;
                check_bytes(kernel, &s, packed, rows, width);
            }
    assert_true(tested || !fsr_nn_isa_available(FSR_ISA_AVX512));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kernels),
        cmocka_unit_test(by_hand),
        cmocka_unit_test(bytes),
    };
    return cmocka_run_group_tests_name("nn_depthwise", tests, NULL, NULL);
}
