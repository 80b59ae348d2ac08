/* Compiled with -O3, as ops.c. Formulas: ONNX, operator Resize. */
#include "nn/resize.h"

#include <errno.h>
#include <math.h>

int fsr_resize_size(int size, float scale, int to)
{
    double v = floor((double)size * scale);

    return scale == 0 ? to : v > INT32_MAX ? INT32_MAX : (int)v;
}

/* Where result sample x lies in the input. The last of them is meant to lie on the last one:
 * ONNX counts to size times scale, also where that is no whole number. */
static double position(const FsrResize *r, int x, double size, double result, double scale)
{
    switch (r->coord) {
    case FSR_ALIGN_CORNERS: return result > 1 ? x * (size - 1) / (result - 1) : 0;
    case FSR_ASYMMETRIC:    return x / scale;
    case FSR_TF_HALF_PIXEL: return (x + 0.5) / scale;
    default:                return r->coord == FSR_PYTORCH_HALF_PIXEL && result <= 1 ? 0 : (x + 0.5) / scale - 0.5;
    }
}

static double round_position(const FsrResize *r, double p)
{
    switch (r->round) {
    case FSR_PREFER_FLOOR: return ceil(p - 0.5);
    case FSR_PREFER_CEIL:  return floor(p + 0.5);
    case FSR_FLOOR:        return floor(p);
    default:               return ceil(p);
    }
}

/* Keys' cubic for the taps at -1, 0, 1, 2 around the fraction t. */
static void cubic(double a, double t, double *w)
{
    w[0] = ((a * (t + 1) - 5 * a) * (t + 1) + 8 * a) * (t + 1) - 4 * a;
    w[1] = ((a + 2) * t - (a + 3)) * t * t + 1;
    w[2] = ((a + 2) * (1 - t) - (a + 3)) * (1 - t) * (1 - t) + 1;
    w[3] = ((a * (2 - t) - 5 * a) * (2 - t) + 8 * a) * (2 - t) - 4 * a;
}

static void fill(const FsrResize *r, FsrTap *t, int nb, double p, int size)
{
    const double base = floor(p);
    double w[FSR_RESIZE_TAPS] = { 1 }, sum = 0;
    int    first = (int)base;

    if (nb == 1) {
        first = (int)round_position(r, p);
    } else if (nb == 2) {
        w[1] = p - base;
        w[0] = 1 - w[1];
    } else {
        cubic(r->cubic_a, p - base, w);
        first--;
    }
    for (int k = 0; k < nb; k++) {
        const int at = first + k;

        if (nb == 4 && r->exclude_outside && (at < 0 || at >= size))
            w[k] = 0;
        t->at[k] = at < 0 ? 0 : at >= size ? size - 1 : at;
        sum += w[k];
    }
    for (int k = 0; k < nb; k++)
        t->weight[k] = (float)(w[k] / (nb == 4 && r->exclude_outside ? sum : 1));
}

int fsr_resize_taps(FsrMemory *memory, FsrTaps *t, const FsrResize *r, int size, int result, float scale)
{
    t->nb = r->mode == FSR_NEAREST ? 1 : r->mode == FSR_LINEAR ? 2 : 4;
    if (!(t->taps = fsr_alloc(memory, result * sizeof(*t->taps))))
        return -ENOMEM;
    for (int x = 0; x < result; x++)
        fill(r, &t->taps[x], t->nb, position(r, x, size, scale ? (double)size * scale : result,
                                             scale ? scale : (double)result / size), size);
    return 0;
}

static void copy_sample(float *restrict dst, const float *restrict src, const float *restrict add, int stride)
{
    if (add)
        for (int c = 0; c < stride; c++)
            dst[c] = src[c] + add[c];
    else
        for (int c = 0; c < stride; c++)
            dst[c] = src[c];
}

void fsr_resize_row(const FsrTaps *t, float *dst, const float *src, const float *add, int width, int stride)
{
    if (t->nb == 1 && stride == 1 && !add) {
        for (int x = 0; x < width; x++)
            dst[x] = src[t->taps[x].at[0]];
        return;
    }
    for (int x = 0; x < width; x++, dst += stride, add += add ? stride : 0) {
        const FsrTap *tap = &t->taps[x];

        if (t->nb == 1) {
            for (int c = 0; add && c < stride; c += 16)     /* a value that waits: far from the processor */
                __builtin_prefetch(add + 8 * stride + c);
            copy_sample(dst, src + (size_t)tap->at[0] * stride, add, stride);
            continue;
        }
        for (int c = 0; c < stride; c++) {
            float sum = add ? add[c] : 0;
            for (int k = 0; k < t->nb; k++)
                sum += src[(size_t)tap->at[k] * stride + c] * tap->weight[k];
            dst[c] = sum;
        }
    }
}

void fsr_resize_blend(float *dst, const float *const *rows, const float *weights, int nb, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        float sum = 0;
        for (int k = 0; k < nb; k++)
            sum += rows[k][i] * weights[k];
        dst[i] = sum;
    }
}
