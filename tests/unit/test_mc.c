/* Motion compensation against H.265's definition, sample by sample. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "filters/kernels.h"

static FsrKernels kernels;

static const int taps[4][8] = {
    { 0, 0, 0, 64, 0, 0, 0, 0 }, { -1, 4, -10, 58, 17, -5, 1, 0 },
    { -1, 4, -11, 40, 40, -11, 4, -1 }, { 0, 1, -5, 17, 58, -10, 4, -1 },
};

static int lane;    /* the number of a sample that is looked at */

static int at(const FsrPlane *p, int x, int y)
{
    x = x < 0 ? 0 : x >= p->w ? p->w - 1 : x;
    y = y < 0 ? 0 : y >= p->h ? p->h - 1 : y;
    return p->data[y * p->stride + x * p->deep + lane];
}

static int sat(int v)
{
    return v > 32767 ? 32767 : v < -32768 ? -32768 : v;
}

static int row_at(const FsrPlane *p, int x, int y, int f, int half)
{
    int sum = half;

    if (!f)
        return at(p, x, y);
    for (int t = 0; t < 8; t++)
        sum += taps[f][t] * at(p, x + t - 3, y);
    return sat(sum >> 6);
}

static int predict(const FsrPlane *p, int x, int y, int mx, int my, int half)
{
    int sum = half;

    x += mx >> 2;
    y += my >> 2;
    if (!(my & 3))
        return row_at(p, x, y, mx & 3, half);
    for (int t = 0; t < 8; t++)
        sum += taps[my & 3][t] * row_at(p, x, y + t - 3, mx & 3, half);
    return sat(sum >> 6);
}

static void blocks_match(int deep)
{
    FsrPlanePool pool;
    FsrPlane    *p;

    fsr_plane_pool_init(&pool, 70, 50, deep);
    p = fsr_plane_get(&pool);
    for (int y = 0; y < p->h; y++)
        for (int x = 0; x < p->w * deep; x++)
            p->data[y * p->stride + x] = (rand() % 5 ? rand() & 255 : 255 * (rand() & 1)) << 6;
    fsr_plane_pad(p, 0, p->h);

    for (int k = 0; k < 3000; k++) {
        const int far = k % 10 ? 60 : 70000, round = k & 1;
        const int w = 1 + rand() % (64 / deep), h = 1 + rand() % (deep == 1 ? 64 : 16), x = rand() % 70, y = rand() % 50;
        const int mx = rand() % (8 * far) - 4 * far, my = rand() % (8 * far) - 4 * far;
        int16_t dst[66 * 72];

        for (int i = 0; i < 66 * 72; i++)
            dst[i] = -9999;
        fsr_mc(&kernels, dst + 72 + 4, 72, p, x, y, w, h, mx, my, round);
        for (int j = -1; j <= h; j++)
            for (int i = -1; i <= w * deep; i++) {
                const int inside = i >= 0 && i < w * deep && j >= 0 && j < h;
                int want = -9999;

                if (inside) {
                    lane = i % deep;
                    want = predict(p, x + i / deep, y + j, mx, my, round ? 32 : 0);
                }

                if (dst[(j + 1) * 72 + i + 4] != want)
                    fail_msg("block %dx%dx%d at %d,%d vector %d,%d: number %d,%d is %d, want %d",
                             deep, w, h, x, y, mx, my, i, j, dst[(j + 1) * 72 + i + 4], want);
            }
    }
    fsr_plane_unref(&p);
    fsr_plane_pool_free(&pool);
}

static void mc_matches_definition(void **state)
{
    (void)state;
    blocks_match(1);
    blocks_match(FSR_DEEP);
    lane = 0;
}

/* A thousand half-sample moves of a flat negative detail must not creep. */
static void rounding_does_not_drift(void **state)
{
    FsrPlanePool pool;
    FsrPlane    *a, *b;

    (void)state;
    fsr_plane_pool_init(&pool, 16, 16, 1);
    a = fsr_plane_get(&pool);
    b = fsr_plane_get(&pool);
    for (int y = 0; y < 16; y++)
        for (int x = 0; x < 16; x++)
            a->data[y * a->stride + x] = -101;
    fsr_plane_pad(a, 0, 16);
    for (int k = 0; k < 1000; k++) {
        FsrPlane *t = a;

        fsr_mc(&kernels, b->data, b->stride, a, 0, 0, 16, 16, 2, 2, 1);
        fsr_plane_pad(b, 0, 16);
        a = b;
        b = t;
    }
    assert_int_equal(a->data[5 * a->stride + 5], -101);
    fsr_plane_unref(&a);
    fsr_plane_unref(&b);
    fsr_plane_pool_free(&pool);
}

static void sad_of_cells(void **state)
{
    int16_t a[4 * 64], b[4 * 64];

    (void)state;
    for (int nb = 1; nb <= 16; nb++) {
        unsigned sad[17];

        for (int i = 0; i < 4 * 64; i++) {
            a[i] = rand() % 3 ? rand() & 16383 : -32768 * (rand() & 1);
            b[i] = rand() % 3 ? rand() & 16383 : 32767 * (rand() & 1);
        }
        sad[nb] = 77;
        kernels.sad_cells(sad, a, 64, b, 64, nb);
        assert_int_equal(sad[nb], 77);
        for (int c = 0; c < nb; c++) {
            unsigned want = 0;

            for (int i = 0; i < 16; i++)
                want += abs(a[i / 4 * 64 + 4 * c + i % 4] - b[i / 4 * 64 + 4 * c + i % 4]);
            assert_int_equal(sad[c], want);
            assert_int_equal(fsr_sad(a + 4 * c, 64, b + 4 * c, 64, 4, 4), want);
        }
    }
}

static void lerp_between_cells(void **state)
{
    (void)state;
    for (int span = 8; span <= 16; span += 4) {
        int16_t f[16], cells[9 + 16] = { 0 }, out[8 * 16 + 1];

        for (int i = 0; i < span; i++)
            f[i] = 64 * (2 * i + 1) / span;
        for (int k = 0; k < 9; k++)
            cells[k] = k & 1 ? 256 : rand() % 257 * (k & 2) / 2;
        out[8 * span] = 99;
        kernels.lerp_row(out, cells, 8, f, span);
        assert_int_equal(out[8 * span], 99);
        for (int i = 0; i < 8 * span; i++) {
            const int a = cells[i / span], b = cells[i / span + 1];

            assert_true(abs(128 * out[i] - (128 * a + (b - a) * f[i % span])) <= 64);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mc_matches_definition),
        cmocka_unit_test(rounding_does_not_drift),
        cmocka_unit_test(sad_of_cells),
        cmocka_unit_test(lerp_between_cells),
    };

    fsr_kernels_init(&kernels, fsr_cpu_flags());
    return cmocka_run_group_tests_name("mc", tests, NULL, NULL);
}
