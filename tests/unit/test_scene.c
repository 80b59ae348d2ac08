/* The sample scene (samples/scene*.c): the same bits everywhere, and truth that is true; the downscale. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "samples/downscale.h"
#include "samples/scene.h"

#define W 160
#define H 90

static FsrTexture textures[FSR_TEXTURES];

static int bake_all(void **state)
{
    (void)state;
    for (int t = 0; t < FSR_TEXTURES; t++)
        if (fsr_texture_bake(&textures[t], t, 2) < 0)
            return -1;
    return 0;
}

static int free_all(void **state)
{
    (void)state;
    for (int t = 0; t < FSR_TEXTURES; t++)
        fsr_texture_free(&textures[t]);
    return 0;
}

static FsrPicture picture_alloc(void)
{
    FsrPicture p = { W, H, calloc(W * H * 3, sizeof(float)), calloc(W * H, 2), calloc(W * H, 4) };

    assert_true(p.rgb && p.depth && p.motion);
    return p;
}

static void picture_free(FsrPicture *p)
{
    free(p->rgb);
    free(p->depth);
    free(p->motion);
}

static void draw(const FsrPicture *p, int frame, int threads)
{
    FsrWorld now, before;
    double light;
    FsrSceneView view = fsr_scene_edit(frame, &light);

    fsr_world_build(&now, view, frame);
    fsr_world_build(&before, view, frame - 1);
    now.light = light;
    assert_int_equal(fsr_scene_render(p, &now, &before, textures, threads), 0);
}

static uint32_t fnv(uint32_t h, const void *data, size_t n)
{
    const uint8_t *p = data;

    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * 16777619u;
    return h;
}

static uint32_t checksum(const FsrPicture *p, int bits)
{
    uint16_t luma[W * H], chroma[2][W * H / 4], *const planes[3] = { luma, chroma[0], chroma[1] };

    fsr_scene_to_yuv(p, bits, 1.5, 7, planes);
    return fnv(fnv(fnv(2166136261u, luma, sizeof(luma)), chroma, sizeof(chroma)), p->motion, W * H * 4) ^
           fnv(2166136261u, p->depth, W * H * 2);
}

static void same_bits_everywhere(void **state)
{
    static const struct {
        int frame, bits;
        uint32_t sum;
    } known[] = { { 0, 8, 0xFE6DB92D }, { 40, 10, 0xA64C26D2 }, { 70, 8, 0xCC530FDB }, { 90, 8, 0x1751BDF3 } };
    FsrPicture p = picture_alloc();

    (void)state;
    for (unsigned i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        draw(&p, known[i].frame, 1);
        uint32_t one = checksum(&p, known[i].bits);
        draw(&p, known[i].frame, 3);
        assert_int_equal(one, checksum(&p, known[i].bits));
        if (one != known[i].sum)
            print_message("frame %d, %d bit: 0x%08X\n", known[i].frame, known[i].bits, one);
        assert_int_equal(one, known[i].sum);
    }
    picture_free(&p);
}

static double luma(const FsrPicture *p, double x, double y)
{
    int x0 = (int)x, y0 = (int)y;
    double fx = x - x0, fy = y - y0, v[4];

    for (int k = 0; k < 4; k++) {
        int px = x0 + (k & 1), py = y0 + (k >> 1);
        const float *c = p->rgb + 3 * ((py < H ? py : H - 1) * W + (px < W ? px : W - 1));
        v[k] = 0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2];
    }
    return (v[0] * (1 - fx) + v[1] * fx) * (1 - fy) + (v[2] * (1 - fx) + v[3] * fx) * fy;
}

/** Where things move, the frame before, warped by the true motion, is much nearer than without the warp. */
static void motion_is_true(void **state)
{
    static const int frames[] = { 10, 50, 62, 76 };
    FsrPicture now = picture_alloc(), before = picture_alloc();

    (void)state;
    for (unsigned i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
        double warped = 0, still = 0;
        int known = 0, moving = 0;
        draw(&before, frames[i] - 1, 2);
        draw(&now, frames[i], 2);
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++) {
                const int16_t *m = now.motion + 2 * (y * W + x);
                double px = x + m[0] / 16., py = y + m[1] / 16.;
                if (m[0] == FSR_MOTION_NONE || px < 0 || py < 0)
                    continue;
                known++;
                if (m[0] * m[0] + m[1] * m[1] < 16 * 16)
                    continue;
                moving++;
                warped += fabs(luma(&before, px, py) - luma(&now, x, y));
                still += fabs(luma(&before, x, y) - luma(&now, x, y));
            }
        print_message("frame %d: known %.3f, %d moving, error %.2f warped, %.2f not\n", frames[i], known / (double)(W * H),
                      moving, warped / moving, still / moving);
        assert_true(known > 0.95 * W * H && moving > 100);
        assert_true(warped < 0.5 * still);
    }
    picture_free(&now);
    picture_free(&before);
}

/** One wall seen from a camera that moves sideways: everything is known. */
static void truth_of_a_wall(void **state)
{
    FsrWorld w[2];
    FsrPicture p = picture_alloc();

    (void)state;
    for (int i = 0; i < 2; i++) {
        memset(&w[i], 0, sizeof(w[i]));
        w[i].prims = 2;
        w[i].prim[0] = (FsrPrim){ .origin = { -50, 50, 5 }, .u = { 100, 0, 0 }, .v = { 0, -100, 0 }, .tex = FSR_TEX_NOISE,
                                  .repeat_s = 9, .repeat_t = 9, .shade = 1 };
        /* a wall before it, that covered the left half of the picture one frame earlier */
        w[i].prim[1] = w[i].prim[0];
        w[i].prim[1].origin = (FsrVec){ i ? -100 : -105, 50, 2 };
        w[i].eye.x = i ? 0 : 0.25;
        w[i].right.x = w[i].up.y = w[i].ahead.z = w[i].zoom = w[i].light = 1;
    }
    assert_int_equal(fsr_scene_render(&p, &w[0], &w[1], textures, 1), 0);
    for (int i = 0; i < W * H; i++) {
        int x = i % W;
        assert_int_equal(p.depth[i], 5000);
        /* 80 pixels of focal length, 0.25 m at 5 m: 4 pixels */
        if (x + 4 < W / 2 || x + 4 >= W)
            assert_int_equal(p.motion[2 * i], FSR_MOTION_NONE);
        else if (x + 4 > W / 2)
            assert_int_equal(p.motion[2 * i], 64);
        assert_int_equal(p.motion[2 * i + 1], p.motion[2 * i] == FSR_MOTION_NONE ? FSR_MOTION_NONE : 0);
    }
    assert_int_equal(fsr_scene_render(&p, &w[0], NULL, textures, 1), 0);
    assert_int_equal(p.motion[0], FSR_MOTION_NONE);
    picture_free(&p);
}

static void edit_has_cut_and_fade(void **state)
{
    double light;

    (void)state;
    assert_int_equal(fsr_scene_edit(FSR_SCENE_CUT - 1, &light), FSR_VIEW_STREET);
    assert_int_equal(fsr_scene_edit(FSR_SCENE_CUT, &light), FSR_VIEW_ROOM);
    assert_true(light == 1);
    fsr_scene_edit(FSR_SCENE_CYCLE - 1, &light);
    assert_true(light > 0 && light < 0.1);
    assert_int_equal(fsr_scene_edit(FSR_SCENE_CYCLE, &light), FSR_VIEW_STREET);
    for (double t = -2; t < 2; t += 0.01)
        assert_true(fabs(fsr_sin_turns(t) - sin(t * 6.283185307179586)) < 1e-9);
}

/* ---- downscale ---- */

static double keys(double x)
{
    x = fabs(x);
    return x <= 1 ? 1.5 * x * x * x - 2.5 * x * x + 1 : x < 2 ? -0.5 * x * x * x + 2.5 * x * x - 4 * x + 2 : 0;
}

/** imresize by its definition, one output sample, in doubles; u, v: its place among the source samples. */
static double direct(const uint16_t *src, int w, int h, int s, double u, double v)
{
    double sum = 0, all = 0;

    for (int y = (int)v - 2 * s - 1; y <= (int)v + 2 * s + 2; y++)
        for (int x = (int)u - 2 * s - 1; x <= (int)u + 2 * s + 2; x++) {
            int px = x < 0 ? -1 - x : x >= w ? 2 * w - 1 - x : x, py = y < 0 ? -1 - y : y >= h ? 2 * h - 1 - y : y;
            double k = keys((u - x) / s) * keys((v - y) / s);
            sum += k * src[py * w + px];
            all += k;
        }
    return sum / all;
}

static void downscale_equals_definition(void **state)
{
    (void)state;
    for (int s = 2; s <= 4; s++)
        for (int variant = 0; variant < 4; variant++) {
            int bits = variant & 1 ? 10 : 8, w = 12 * s, h = 6 * s, max = (1 << bits) - 1;
            uint16_t *src = calloc(w * h, 2), *dst = calloc(12 * 6, 2);
            int64_t *scratch = calloc(w, sizeof(*scratch));
            FsrDownscaleTaps tx, ty;
            assert_true(src && dst && scratch);
            for (int i = 0; i < w * h; i++)
                src[i] = fsr_hash(i, s, variant) % 5 == 0 ? max * (i & 1) : (int)(fsr_hash(i, s, variant) >> 7) & max;
            assert_int_equal(fsr_downscale_taps(&tx, s, (s - 1) * (variant & 2 ? 1 : 2)), 0);
            assert_int_equal(fsr_downscale_taps(&ty, s, (s - 1) * 2), 0);
            fsr_downscale_plane(src, w, h, &tx, &ty, max, dst, scratch);
            for (int i = 0; i < 12 * 6; i++) {
                double v = direct(src, w, h, s, i % 12 * s + (s - 1) / (variant & 2 ? 4. : 2.), i / 12 * s + (s - 1) / 2.);
                v = v < 0 ? 0 : v > max ? max : v;
                /* within half a step of the true value, ties upwards: only a rounding error of `direct` apart */
                assert_true(fabs(dst[i] - v) <= 0.5 + 1e-9);
            }
            free(src);
            free(dst);
            free(scratch);
        }
    FsrDownscaleTaps t;
    assert_true(fsr_downscale_taps(&t, 5, 0) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_bits_everywhere), cmocka_unit_test(motion_is_true),
        cmocka_unit_test(truth_of_a_wall),      cmocka_unit_test(edit_has_cut_and_fade),
        cmocka_unit_test(downscale_equals_definition),
    };

    return cmocka_run_group_tests(tests, bake_all, free_all);
}
