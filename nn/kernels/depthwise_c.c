/* Convolution of each plane by itself in plain C: what the other kernels are checked against. */
#include "nn/kernels/depthwise.h"

#include <math.h>

static void row(const FsrDwShape *s, const float *packed, const float *const *rows, void *dst, int width)
{
    for (int x = 0; x < width; x++)
        for (int c = 0; c < s->stride; c++) {
            const float *w = packed + (1 + s->before) * s->stride + c;
            float sum = packed[c];

            for (int ky = 0; ky < s->kh; ky++, w += (s->before + s->after) * s->stride)
                for (int kx = 0; kx < s->kw; kx++, w += s->stride)
                    sum += rows[ky][(size_t)(x * s->sx + kx) * s->stride + c] * *w;
            sum = sum > s->lo ? sum : s->lo;            /* also what is not a number */
            sum = sum < s->hi ? sum : s->hi;
            if (s->bytes)
                ((uint8_t *)dst)[(size_t)x * s->stride + c] = (uint8_t)lrintf(sum);
            else
                ((float *)dst)[(size_t)x * s->stride + c] = sum;
        }
}

const FsrDwKernel fsr_dw_c = { "c", NULL, row };

size_t fsr_dw_packed_floats(const FsrDwShape *s)
{
    return (size_t)s->stride * (s->kw * s->kh + 1);
}

void fsr_dw_pack(const FsrDwShape *s, const float *weights, const float *bias, float *dst)
{
    const int taps = s->kw * s->kh;

    for (int c = 0; c < s->stride; c++) {
        dst[c] = c < s->planes ? bias[c] : 0;
        for (int i = 0; i < taps; i++)
            dst[(1 + i) * s->stride + c] = c < s->planes ? weights[c * taps + i] : 0;
    }
}
