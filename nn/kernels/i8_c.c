/* Convolution in integers, plain C: the definition. */
#include "nn/kernels/i8.h"

#include <string.h>

static void pack(const FsrI8Conv *c, const int8_t *weights, void *dst)
{
    memcpy(dst, weights, fsr_i8_packed(&fsr_i8_c, c));
}

static void unfold(const FsrI8Conv *c, const uint32_t *const *rows, int width, uint32_t *dst)
{
    for (int g = 0; g < c->groups; g++)
        for (int x = 0; x < width + c->kw - 1; x++) {
            uint32_t word = 0;

            for (int k = 0; k < 4; k++) {
                const FsrI8Tap *t = &c->taps[4 * g + k];
                uint32_t v = rows[t->row][t->plane * c->in_pitch + x];

                v     = t->low ? v & ((1 << FSR_I8_LOW_BITS) - 1) : v >> FSR_I8_LOW_BITS;
                word |= v << 8 * k;
            }
            dst[g * c->scratch_pitch + x] = word;
        }
}

/* Products with the weights of plane o in block `place`. */
static int32_t products(const FsrI8Conv *c, const uint32_t *const *rows, int pitch, int x, int place, int o)
{
    const int8_t *w = (const int8_t *)c->weights + (4 * place + o % 4) * fsr_i8_taps(c) * 4;
    int32_t       s = 0;

    for (int ky = 0; ky < c->kh; ky++)
        for (int g = 0; g < c->groups; g++)
            for (int kx = 0; kx < c->kw; kx++)
                for (int k = 0; k < 4; k++)
                    s += (int)(rows[ky][g * pitch + x + kx] >> 8 * k & 255) * *w++;
    return s;
}

static int clip(int v, int lo, int hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

static void store_byte(const FsrI8Conv *c, void *dst, int x, int place, int o, int v)
{
    ((uint8_t *)((uint32_t *)dst + place * c->out_pitch + x))[o % 4] = v;
}

static void sample(const FsrI8Conv *c, const uint32_t *const *rows, int pitch, int x, int o, void *dst)
{
    const int place = fsr_i8_place(c, o / 4), fine = c->fine[o / 4];
    int32_t   s     = products(c, rows, pitch, x, place, o);
    int       v;

    if (fine)
        s = s * (1 << c->fine_bits) + products(c, rows, pitch, x, place + 1, o);
    s += c->bias[o];
    if (c->float_out) {
        float f = (float)s * c->scale[o];
        ((float *)dst)[x * c->cout_stride + o] = c->relu && !(f > 0) ? 0 : f;
        return;
    }
    v = (clip(s >> c->shift[o], -32768, 32767) * c->mult[o] + (1 << 14)) >> 15;
    if (fine) {
        v = clip(v, 0, FSR_I8_WIDE_MAX);
        store_byte(c, dst, x, place, o, v >> FSR_I8_LOW_BITS);
        store_byte(c, dst, x, place + 1, o, v & ((1 << FSR_I8_LOW_BITS) - 1));
    } else {
        store_byte(c, dst, x, place, o, clip(v, 0, 255));
    }
}

static void row(const FsrI8Conv *c, const uint32_t *const *rows, void *dst, int width, uint32_t *scratch)
{
    const uint32_t *unfolded[1] = { scratch };
    const int       pitch = c->taps ? c->scratch_pitch : c->in_pitch;

    if (c->taps) {
        unfold(c, rows, width, scratch);
        rows = unfolded;
    }
    for (int x = 0; x < width; x++)
        for (int o = 0; o < (c->float_out ? fsr_i8_planes(c) : c->cout); o++)
            sample(c, rows, pitch, x, o, dst);
    for (int o = c->cout; o % 4 && !c->float_out; o++)          /* planes that fill up a word */
        for (int x = 0; x < width; x++)
            for (int part = 0; part <= c->fine[o / 4]; part++)
                store_byte(c, dst, x, fsr_i8_place(c, o / 4) + part, o, 0);
}

/* Four planes, those of block b. */
static void block_bytes(const FsrI8Format *f, int b, const float *src, int stride, uint32_t *dst, uint32_t *low, int width)
{
    const float top = low ? FSR_I8_WIDE_MAX : 255;

    for (int x = 0; x < width; x++)
        for (int k = 0; k < 4; k++) {
            float s = (src[(size_t)x * stride + k] - f->low[4 * b + k]) * (1 / f->step[4 * b + k]) + 0.5f;
            int   v;

            s = s > 0 ? s : 0;
            v = (int)(s < top ? s : top);
            ((uint8_t *)(dst + x))[k] = low ? v >> FSR_I8_LOW_BITS : v;
            if (low)
                ((uint8_t *)(low + x))[k] = v & ((1 << FSR_I8_LOW_BITS) - 1);
        }
}

static void bytes(const FsrI8Format *f, const float *src, int stride, uint32_t *dst, int pitch, int width)
{
    const int blocks = (f->planes + 3) / 4;
    uint32_t *low = dst + (size_t)blocks * pitch;

    for (int b = 0; b < blocks; b++, dst += pitch, src += 4) {
        block_bytes(f, b, src, stride, dst, f->fine[b] ? low : NULL, width);
        low += f->fine[b] ? pitch : 0;
    }
}

static void sum(const FsrI8Sum *s, const uint32_t *a, int a_pitch, const uint32_t *b, int b_pitch, uint32_t *dst,
                int pitch, int width)
{
    for (int g = 0; g < s->planes; g += 4, a += a_pitch, b += b_pitch, dst += pitch)
        for (int i = 0; i < 4 * width; i++) {
            const int16_t *r = s->ratio + 2 * (g + i % 4);
            const int      v = ((const uint8_t *)a)[i] * r[0] + ((const uint8_t *)b)[i] * r[1] + s->offset[g + i % 4];

            ((uint8_t *)dst)[i] = clip(v >> FSR_I8_SUM_BITS, 0, 255);
        }
}

const FsrI8Kernel fsr_i8_c = { "i8 c", 1, pack, row, bytes, sum, 0 };
