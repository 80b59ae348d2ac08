/* nn: convolutions in integers, every kernel against plain C, bit for bit. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "nn/kernels.h"
#include "nn/kernels/i8.h"

enum { GUARD = 32, MAX_KH = 9 };
static const uint32_t MARK = 0x7fc0dead;

static uint32_t seed = 1;

static uint32_t rnd(uint32_t n)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

static void *zeroed(size_t n)
{
    void *p = aligned_alloc(64, (n + 127) / 64 * 64);

    assert_non_null(p);
    memset(p, 0, n + 64);
    return p;
}

static uint32_t *marked(size_t words)
{
    uint32_t *p = zeroed(words * 4);

    for (size_t i = 0; i < words; i++)
        p[i] = MARK;
    return p;
}

/* One convolution: its parameters, weights as they are given to pack, and input rows. */
typedef struct Case {
    FsrI8Conv c;
    int       width, in_rows, in_subs, out_subs;
    int8_t   *w;
    uint32_t *rows[MAX_KH];
} Case;

typedef enum Kind { RANDOM, LARGEST, SMALLEST } Kind;

/* planes: of a wide value (unfolded), else groups * 4 planes of bytes. */
static void make(Case *t, int planes, int wide, int cout, int kw, int kh, int float_out, int fine,
                 int width, Kind kind)
{
    FsrI8Conv *c = &t->c;
    int blocks = (cout + 3) / 4;

    memset(t, 0, sizeof(*t));
    *c = (FsrI8Conv){ .groups = wide ? (planes * (kh + 1) + 3) / 4 : (planes + 3) / 4, .kw = kw, .kh = kh,
                      .cout = cout, .float_out = float_out, .relu = rnd(2),
                      .cout_stride = cout + (cout > 4 ? rnd(3) : 0), .fine_bits = 5,
                      .in_pitch = width + kw - 1 + FSR_I8_SLACK + rnd(5), .out_pitch = width + 1 + rnd(5),
                      .scratch_pitch = width + kw + FSR_I8_SLACK + rnd(7) };
    t->width   = width;
    t->in_rows = kh;
    t->in_subs = wide ? planes : c->groups;
    c->fine    = zeroed(blocks);
    for (int b = 0; b < blocks; b++)
        c->fine[b] = fine == 2 ? rnd(2) : (uint32_t)fine;
    t->out_subs = float_out ? 1 : fsr_i8_place(c, blocks);
    if (wide) {
        c->kh   = 1;
        c->taps = zeroed(4 * c->groups * sizeof(*c->taps));
        for (int i = 0; i < 4 * c->groups; i++)
            c->taps[i] = (FsrI8Tap){ rnd(planes), rnd(kh), rnd(2) };
    }
    c->bias  = zeroed(4 * blocks * 4);
    c->shift = zeroed(4 * blocks * 4);
    c->mult  = zeroed(4 * blocks * 2);
    c->scale = zeroed(4 * blocks * 4);
    for (int o = 0; o < cout; o++) {
        c->bias[o]  = (int)rnd(1 << 20) - (1 << 19);
        c->shift[o] = rnd(12);
        c->mult[o]  = rnd(8) ? rnd(4000) : 32767;
        c->scale[o] = rnd(1000) * 1e-6f;
    }
    t->w = zeroed(16 * fsr_i8_place(c, blocks) * fsr_i8_taps(c));
    for (size_t i = 0; i < 16 * fsr_i8_place(c, blocks) * fsr_i8_taps(c); i++)
        t->w[i] = kind == LARGEST ? 127 : kind == SMALLEST ? -127 : (int)rnd(255) - 127;
    for (int y = 0; y < kh; y++) {
        const size_t words = (size_t)t->in_subs * c->in_pitch;
        t->rows[y] = zeroed(words * 4);
        for (size_t i = 0; i < words; i++) {
            uint32_t v = rnd(1 << 24) * 251u;
            t->rows[y][i] = wide ? (kind ? FSR_I8_WIDE_MAX : v % (FSR_I8_WIDE_MAX + 1)) : kind ? ~0u : v;
        }
    }
}

static void unmake(Case *t)
{
    for (int y = 0; y < t->in_rows; y++)
        free(t->rows[y]);
    free(t->c.fine);
    free(t->c.taps);
    free(t->c.bias);
    free(t->c.shift);
    free(t->c.mult);
    free(t->c.scale);
    free(t->w);
}

/* The words that a kernel writes, between guards. */
static uint32_t *run(const FsrI8Kernel *k, Case *t, size_t words)
{
    uint32_t *dst = marked(words + 2 * GUARD), *scratch = zeroed((size_t)t->c.groups * t->c.scratch_pitch * 4);

    t->c.weights = zeroed(fsr_i8_packed(k, &t->c));
    k->pack(&t->c, t->w, t->c.weights);
    k->row(&t->c, (const uint32_t *const *)t->rows, dst + GUARD, t->width, scratch);
    free(t->c.weights);
    free(scratch);
    return dst;
}

static void compare(const FsrI8Kernel *k, Case *t)
{
    const size_t words = t->c.float_out ? (size_t)t->width * t->c.cout_stride : (size_t)t->out_subs * t->c.out_pitch;
    uint32_t *want = run(&fsr_i8_c, t, words), *have = run(k, t, words);

    for (size_t i = 0; i < words + 2 * GUARD; i++)
        if (want[i] != have[i])
            fail_msg("%s %d words -> %d %dx%d %s fine %d width %d: word %zu is %08x, not %08x", k->name,
                     t->c.groups, t->c.cout, t->c.kw, t->c.kh, t->c.float_out ? "floats" : "bytes",
                     t->c.fine[0], t->width, i, have[i], want[i]);
    free(want);
    free(have);
}

static const FsrI8Kernel *kernel(int isa)
{
    return fsr_nn_isa_available(isa) ? fsr_nn_pick_i8(isa) : NULL;
}

static void widths(void **state)
{
    static const int s[][5] = {     /* planes, wide, results, kernel, floats */
        { 1, 1, 16, 9, 0 }, { 64, 0, 32, 1, 0 }, { 32, 0, 1, 5, 1 }, { 16, 0, 16, 3, 0 },
        { 16, 0, 4, 5, 1 }, { 3, 1, 12, 3, 0 }, { 8, 0, 7, 3, 1 }, { 20, 0, 9, 3, 0 },
    };
    int compared = 0;

    (void)state;
    for (int isa = FSR_ISA_AVX2; isa < FSR_ISA_NB; isa++)
        for (size_t i = 0; i < sizeof(s) / sizeof(*s) && kernel(isa); i++)
            for (int width = 1; width <= 67; width++) {
                Case t;

                make(&t, s[i][0], s[i][1], s[i][2], s[i][3], s[i][3], s[i][4], width % 3, width, RANDOM);
                compare(kernel(isa), &t);
                unmake(&t);
                compared++;
            }
    if (!compared) {
        print_message("skipped: no vector kernel for this processor\n");
        skip();
    }
}

/* Sums at both ends of their range, results that are clipped. */
static void worst_case(void **state)
{
    (void)state;
    for (int isa = FSR_ISA_AVX2; isa < FSR_ISA_NB; isa++)
        for (int i = 0; i < 24 && kernel(isa); i++) {
            Case t;

            make(&t, 64, i & 1, 8 + i % 5, 3, 3, i >> 2 & 1, i % 3, 50 + i, i & 2 ? LARGEST : SMALLEST);
            compare(kernel(isa), &t);
            unmake(&t);
        }
}

static void any_shape(void **state)
{
    (void)state;
    for (int isa = FSR_ISA_AVX2; isa < FSR_ISA_NB; isa++)
        for (int i = 0; i < 120 && kernel(isa); i++) {
            Case t;

            seed = i * 31 + 7;
            make(&t, 1 + rnd(40), rnd(3) == 0, 1 + rnd(40), 1 + rnd(6), 1 + rnd(6), rnd(2), rnd(3), 1 + rnd(120), RANDOM);
            compare(kernel(isa), &t);
            unmake(&t);
        }
}

/* The definition, worked out: two bytes, one weight each, shift 1, factor a half. */
static void by_hand(void **state)
{
    static const struct { int a, b, bias; uint32_t want; } s[] = {
        { 10, 20, 0, 25 },          /* 10 * 2 + 20 * 4 = 100; >> 1 = 50; / 2 */
        { 10, 20, 3, 26 },          /* 103 >> 1 = 51; 25.5 goes up */
        { 0, 0, -7, 0 },
        { 255, 255, 0, 255 },       /* 1530 >> 1 = 765; 382.5 is clipped */
    };
    Case t;

    (void)state;
    make(&t, 4, 0, 1, 1, 1, 0, 0, 1, RANDOM);
    memset(t.w, 0, 16);
    t.w[0] = 2;
    t.w[1] = 4;
    t.c.shift[0] = 1;
    t.c.mult[0]  = 1 << 14;
    for (int i = 0; i < 4; i++) {
        uint32_t *have;

        t.rows[0][0] = s[i].a | s[i].b << 8 | 0xffff0000u;
        t.c.bias[0]  = s[i].bias;
        have = run(&fsr_i8_c, &t, t.c.out_pitch);
        assert_int_equal(have[GUARD], s[i].want);
        free(have);
    }
    unmake(&t);
}

/* Rows of words with marks around each. */
typedef struct Words {
    uint32_t *p;
    int       rows, pitch;
} Words;

static Words words(int rows, int width)
{
    Words w = { NULL, rows, width + FSR_I8_SLACK + (int)rnd(5) };

    w.p = marked((size_t)rows * w.pitch + 2 * GUARD);
    return w;
}

static void same_words(const FsrI8Kernel *k, const char *what, const Words *want, const Words *have, int planes, int width)
{
    for (int i = 0; i < want->rows * want->pitch + 2 * GUARD; i++)
        if (want->p[i] != have->p[i])
            fail_msg("%s, %s of %d planes, width %d: word %d is %08x, not %08x", k->name, what, planes, width, i,
                     have->p[i], want->p[i]);
}

/* Floats with a good number of those that hide errors. */
static float odd_float(const FsrI8Format *f, int c)
{
    static const float odd[] = { NAN, INFINITY, -INFINITY, 1e30f, -1e30f, 0, 3e9f, -3e9f };

    return rnd(4) ? f->low[c] + (rnd(6000) / 2.0f - 300) * f->step[c] : odd[rnd(8)];
}

static void floats_to_bytes(void **state)
{
    (void)state;
    for (int isa = FSR_ISA_AVX2; isa < FSR_ISA_NB; isa++)
        for (int i = 0; i < 300 && kernel(isa); i++) {
            const int  width = 1 + i % 70, planes = 1 + rnd(40), blocks = (planes + 3) / 4;
            const int  stride = (planes <= 8 ? 8 : (planes + 15) / 16 * 16) + 16 * rnd(2);
            FsrI8Format f = { planes, zeroed(64 * 4), zeroed(64 * 4), zeroed(blocks) };
            float     *src = zeroed((size_t)width * stride * 4);
            Words      want, have;
            int        rows = blocks;

            for (int c = 0; c < 64; c++) {
                f.low[c]  = c < planes ? ((int)rnd(2000) - 1000) / 500.0f : 0;
                f.step[c] = c < planes ? 1 / (1 + rnd(2000) / 10.0f) : INFINITY;
            }
            for (int b = 0; b < blocks; b++)
                rows += f.fine[b] = rnd(2);
            for (int x = 0; x < width * stride; x++)
                src[x] = x % stride < planes ? odd_float(&f, x % stride) : 0;
            want = have = words(rows, width);
            have.p = marked((size_t)rows * have.pitch + 2 * GUARD);
            fsr_i8_c.bytes(&f, src, stride, want.p + GUARD, want.pitch, width);
            kernel(isa)->bytes(&f, src, stride, have.p + GUARD, have.pitch, width);
            same_words(kernel(isa), "bytes", &want, &have, planes, width);
            free(f.low);
            free(f.step);
            free(f.fine);
            free(src);
            free(want.p);
            free(have.p);
        }
}

static void sums_of_bytes(void **state)
{
    (void)state;
    for (int isa = FSR_ISA_AVX2; isa < FSR_ISA_NB; isa++)
        for (int i = 0; i < 300 && kernel(isa); i++) {
            const int planes = 1 + rnd(40), blocks = (planes + 3) / 4, width = 1 + i % 70;
            FsrI8Sum  s = { planes, zeroed(8 * blocks * 2), zeroed(4 * blocks * 4) };
            Words     a = words(blocks, width), b = words(blocks, width), want = words(blocks, width), have = want;

            for (int c = 0; c < 4 * blocks; c++) {
                s.ratio[2 * c]     = i % 5 ? rnd(2500) : 32767;
                s.ratio[2 * c + 1] = i % 5 ? (int)rnd(5000) - 2500 : 32767;
                s.offset[c]        = (int)rnd(1 << 20) - (1 << 19);
            }
            for (int k = 0; k < blocks * a.pitch; k++)
                a.p[k] = rnd(1 << 24) * 251u;
            for (int k = 0; k < blocks * b.pitch; k++)
                b.p[k] = i % 7 ? rnd(1 << 24) * 251u : ~0u;
            have.p = marked((size_t)blocks * have.pitch + 2 * GUARD);
            fsr_i8_c.sum(&s, a.p, a.pitch, b.p, b.pitch, want.p + GUARD, want.pitch, width);
            kernel(isa)->sum(&s, a.p, a.pitch, b.p, b.pitch, have.p + GUARD, have.pitch, width);
            same_words(kernel(isa), "sums", &want, &have, planes, width);
            free(s.ratio);
            free(s.offset);
            free(a.p);
            free(b.p);
            free(want.p);
            free(have.p);
        }
}

/* ---- kernels that have the words of a sample side by side ------------------------------ */

static const FsrI8Kernel *lanes(void)
{
    const FsrI8Kernel *k = fsr_nn_isa_available(FSR_ISA_AVX512VNNI) ? fsr_nn_pick_i8_lanes(FSR_ISA_AVX512VNNI) : NULL;

    if (!k) {
        print_message("skipped: no kernel of lanes for this processor\n");
        skip();
    }
    return k;
}

/* `n` words of `width` samples from rows `pitch` words apart, in new memory; the rest of `step` words of each is not to be read. */
static uint32_t *by_sample(const uint32_t *rows, int pitch, int n, int step, int width)
{
    uint32_t *p = marked((size_t)(width + 8) * step);       /* vectors of sums reach behind the row */

    for (int x = 0; x < width; x++)
        for (int g = 0; g < n; g++)
            p[x * step + g] = rows[(size_t)g * pitch + x];
    return p;
}

/* Words of samples between guards against rows of words between guards. */
static void same_samples(const char *what, const uint32_t *want, int pitch, const uint32_t *have, int n, int width)
{
    for (int i = 0; i < GUARD; i++)
        if (have[i] != MARK || have[GUARD + width * n + i] != MARK)
            fail_msg("%s, width %d: %d words beyond are written to", what, width, i);
    for (int x = 0; x < width; x++)
        for (int g = 0; g < n; g++)
            if (have[GUARD + x * n + g] != want[GUARD + g * pitch + x])
                fail_msg("%s, width %d: word %d of sample %d is %08x, not %08x", what, width, g, x, have[GUARD + x * n + g],
                         want[GUARD + g * pitch + x]);
}

static void lanes_convolve(void **state)
{
    const FsrI8Kernel *k = lanes();

    (void)state;
    for (int i = 0; i < 67 * 12; i++) {
        const int floats = i / 67 % 2, kw = 1 + 2 * (i / 134 % 3), width = 1 + i % 67;
        size_t    words;
        uint32_t *want, *have;
        Case      t, u;

        make(&t, 1 + rnd(i / 67 < 6 ? 16 : 28), 0, floats ? 1 + rnd(16) : 13 + rnd(4), kw, 1 + rnd(4), floats, 0, width, i % 9 ? RANDOM : LARGEST + i % 2);
        words = floats ? (size_t)width * t.c.cout_stride : (size_t)4 * t.c.out_pitch;
        want  = run(&fsr_i8_c, &t, words);
        u     = t;
        u.c.in_pitch  = i / 67 < 6 ? 4 + rnd(2) : 7;
        u.c.in_pitch  = u.c.in_pitch < t.c.groups ? t.c.groups : u.c.in_pitch;
        u.c.out_pitch = 4;
        for (int y = 0; y < t.c.kh; y++)
            u.rows[y] = by_sample(t.rows[y], t.c.in_pitch, t.c.groups, u.c.in_pitch, width + kw - 1);
        have = run(k, &u, floats ? words : (size_t)4 * width);
        if (floats && memcmp(want, have, (words + 2 * GUARD) * 4))
            fail_msg("floats of %d planes, %d words, %dx%d, width %d: not those of plain C", t.c.cout, t.c.groups, kw, t.c.kh, width);
        if (!floats)
            same_samples("bytes", want, t.c.out_pitch, have, 4, width);
        for (int y = 0; y < t.c.kh; y++)
            free(u.rows[y]);
        unmake(&t);
        free(want);
        free(have);
    }
}

static void lanes_of_floats(void **state)
{
    const FsrI8Kernel *k = lanes();

    (void)state;
    for (int i = 0; i < 300; i++) {
        const int   width = 1 + i % 70, planes = 1 + rnd(16), blocks = (planes + 3) / 4, stride = planes <= 8 ? 8 : 16;
        FsrI8Format f = { planes, zeroed(16 * 4), zeroed(16 * 4), zeroed(blocks) };
        float      *src = zeroed((size_t)width * stride * 4);
        int         n = blocks;
        uint32_t   *want, *have;

        for (int c = 0; c < 16; c++) {
            f.low[c]  = c < planes ? ((int)rnd(2000) - 1000) / 500.0f : 0;
            f.step[c] = c < planes ? 1 / (1 + rnd(2000) / 10.0f) : INFINITY;
        }
        for (int b = 0; b < blocks; b++)
            n += f.fine[b] = rnd(2);
        for (int x = 0; x < width * stride; x++)
            src[x] = x % stride < planes ? odd_float(&f, x % stride) : 0;
        want = marked((size_t)n * width + 2 * GUARD);
        have = marked((size_t)n * width + 2 * GUARD);
        fsr_i8_c.bytes(&f, src, stride, want + GUARD, width, width);
        k->bytes(&f, src, stride, have + GUARD, n, width);
        same_samples("floats", want, width, have, n, width);
        free(f.low);
        free(f.step);
        free(f.fine);
        free(src);
        free(want);
        free(have);
    }
}

static void lanes_add(void **state)
{
    const FsrI8Kernel *k = lanes();

    (void)state;
    for (int i = 0; i < 140; i++) {
        const int width = 1 + i % 70;
        FsrI8Sum  s = { 16, zeroed(32 * 2), zeroed(16 * 4) };
        uint32_t *rows[2], *samples[2], *want = marked((size_t)4 * width + 2 * GUARD), *have = marked((size_t)4 * width + 2 * GUARD);

        for (int c = 0; c < 16; c++) {
            s.ratio[2 * c]     = i % 5 ? rnd(2500) : 32767;
            s.ratio[2 * c + 1] = i % 5 ? (int)rnd(5000) - 2500 : 32767;
            s.offset[c]        = (int)rnd(1 << 20) - (1 << 19);
        }
        for (int j = 0; j < 2; j++) {
            rows[j] = marked((size_t)4 * width);
            for (int x = 0; x < 4 * width; x++)
                rows[j][x] = i % 7 ? rnd(1 << 24) * 251u : ~0u;
            samples[j] = by_sample(rows[j], width, 4, 4, width);
        }
        fsr_i8_c.sum(&s, rows[0], width, rows[1], width, want + GUARD, width, width);
        k->sum(&s, samples[0], 4, samples[1], 4, have + GUARD, 4, width);
        same_samples("sums", want, width, have, 4, width);
        for (int j = 0; j < 2; j++) {
            free(rows[j]);
            free(samples[j]);
        }
        free(s.ratio);
        free(s.offset);
        free(want);
        free(have);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_hand),
        cmocka_unit_test(widths),
        cmocka_unit_test(worst_case),
        cmocka_unit_test(any_shape),
        cmocka_unit_test(floats_to_bytes),
        cmocka_unit_test(sums_of_bytes),
        cmocka_unit_test(lanes_convolve),
        cmocka_unit_test(lanes_of_floats),
        cmocka_unit_test(lanes_add),
    };
    return cmocka_run_group_tests_name("nn_i8", tests, NULL, NULL);
}
