/* The anchor: integer cubic upscaling against its definition in double precision. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "filters/task.h"

static FsrKernels kernels;

static double keys(double x)
{
    const double a = -0.5;

    x = fabs(x);
    return x <= 1 ? (a + 2) * x * x * x - (a + 3) * x * x + 1 : x < 2 ? a * x * x * x - 5 * a * x * x + 8 * a * x - 4 * a : 0;
}

static double at(const FsrPlane *p, int x, int y)
{
    x = x < 0 ? 0 : x >= p->w ? p->w - 1 : x;
    y = y < 0 ? 0 : y >= p->h ? p->h - 1 : y;
    return p->data[y * p->stride + x];
}

static double cubic_at(const FsrPlane *p, double x, double y)
{
    const int x0 = (int)floor(x) - 1, y0 = (int)floor(y) - 1;
    double sum = 0;

    for (int j = 0; j < 4; j++)
        for (int i = 0; i < 4; i++)
            sum += keys(x - x0 - i) * keys(y - y0 - j) * at(p, x0 + i, y0 + j);
    return sum;
}

static FsrPlane *random_plane(FsrPlanePool *pool)
{
    FsrPlane *p = fsr_plane_get(pool);

    for (int y = 0; y < p->h; y++)
        for (int x = 0; x < p->w; x++)
            p->data[y * p->stride + x] = (rand() & 255) << 6;
    fsr_plane_pad(p, 0, p->h);
    return p;
}

static void upscale_matches_definition(void **state)
{
    static const int sizes[][2] = { { 1, 1 }, { 2, 3 }, { 7, 5 }, { 33, 18 }, { 64, 40 } };

    (void)state;
    for (int scale = 2; scale <= 4; scale++)
        for (size_t k = 0; k < sizeof(sizes) / sizeof(*sizes); k++) {
            FsrPlanePool pool;
            FsrUpscaler  up;
            FsrRowCursor c;
            FsrPlane    *p;
            int16_t      buf[FSR_RING][512], row[512];
            int16_t     *ring[FSR_RING];

            for (int i = 0; i < FSR_RING; i++)
                ring[i] = buf[i];
            fsr_plane_pool_init(&pool, sizes[k][0], sizes[k][1], 1);
            p = random_plane(&pool);
            fsr_upscaler_init(&up, scale, 1, 0);
            fsr_cursor_init(&c, &kernels, p, &up, ring, 0, p->w * scale);
            for (int y = 0; y < p->h * scale; y++) {
                fsr_cursor_row(&c, y, row);
                for (int x = 0; x < p->w * scale; x++) {
                    const double want = cubic_at(p, (x + 0.5) / scale - 0.5, (y + 0.5) / scale - 0.5);

                    /* two roundings, and coefficients cut to 1/4096 at factor 3 */
                    if (fabs(row[x] - want) > (scale == 3 ? 10 : 2))
                        fail_msg("scale %d size %dx%d at %d,%d: %d, want %.2f", scale, p->w, p->h, x, y, row[x], want);
                }
            }
            fsr_plane_unref(&p);
            fsr_plane_pool_free(&pool);
        }
}

/* Chroma phases: a straight ramp over luma positions must come out as the same ramp. */
static void chroma_siting_keeps_positions(void **state)
{
    (void)state;
    for (int scale = 2; scale <= 4; scale++)
        for (int cosited = 0; cosited < 2; cosited++) {
            const double d = cosited ? 0 : 0.5;
            FsrUpscaler  up;
            int16_t      in[40], out[160];

            for (int i = 0; i < 40; i++)
                in[i] = (int16_t)lrint(100 * (2 * i + d));
            fsr_upscaler_init(&up, scale, 2, cosited);
            kernels.upscale_row(out, in + 8, 24 * scale, &up);
            for (int j = 0; j < 24 * scale; j++) {
                const double luma = (2 * j + d + 0.5) / scale - 0.5;    /* in the small picture */

                assert_true(fabs(out[j] - 100 * (luma + 16)) <= 2);
            }
        }
}

/* The sharp kernel: flat stays flat, and what is sharpened stays where it is. */
static void sharp_kernel_is_in_place(void **state)
{
    (void)state;
    for (int scale = 2; scale <= 4; scale++) {
        FsrUpscaler up;

        fsr_upscaler_init_sharp(&up, scale);
        for (int k = 0; k < scale; k++) {
            int    sum = 0;
            double centre = 0;

            for (int t = 0; t < up.taps; t++) {
                sum    += up.coef[k][t];
                centre += up.coef[k][t] * (up.first[k] + t) / 4096.0;
            }
            assert_int_equal(sum, 4096);
            assert_true(fabs(centre - ((k + 0.5) / scale - 0.5)) < 0.05);
        }
    }
}

static void load_and_store_are_inverse(void **state)
{
    static const struct { int bytes, step, shift, depth; } f[] = {
        { 1, 1, 0, 8 }, { 1, 2, 0, 8 }, { 2, 1, 0, 10 }, { 2, 2, 6, 10 }, { 2, 1, 6, 10 }, { 2, 1, 0, 12 }, { 2, 1, 0, 14 },
    };

    (void)state;
    for (size_t k = 0; k < sizeof(f) / sizeof(*f); k++)
        for (int n = 1; n <= 67; n++) {
            uint16_t src[140] = { 0 }, dst[140] = { 0 };
            int16_t  row[70];

            for (int i = 0; i < n; i++) {
                const int v = rand() & ((1 << f[k].depth) - 1);

                if (f[k].bytes == 1)
                    ((uint8_t *)src)[i * f[k].step] = v;
                else
                    src[i * f[k].step] = v << f[k].shift;
            }
            row[n] = 12345;
            kernels.load_row(row, (uint8_t *)src, n, f[k].bytes, f[k].step, f[k].shift, f[k].depth);
            assert_int_equal(row[n], 12345);
            kernels.store_row((uint8_t *)dst, row, n, f[k].bytes, f[k].step, f[k].shift, f[k].depth);
            assert_memory_equal(src, dst, sizeof(src));
        }
}

static void store_clips(void **state)
{
    const int16_t row[4] = { -500, 32767, 255 * 64 + 31, 31 };
    uint8_t out[4];

    (void)state;
    kernels.store_row(out, row, 4, 1, 1, 0, 8);
    assert_int_equal(out[0], 0);
    assert_int_equal(out[1], 255);
    assert_int_equal(out[2], 255);
    assert_int_equal(out[3], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(upscale_matches_definition),
        cmocka_unit_test(chroma_siting_keeps_positions),
        cmocka_unit_test(sharp_kernel_is_in_place),
        cmocka_unit_test(load_and_store_are_inverse),
        cmocka_unit_test(store_clips),
    };

    fsr_kernels_init(&kernels, fsr_cpu_flags());
    return cmocka_run_group_tests_name("upscale", tests, NULL, NULL);
}
