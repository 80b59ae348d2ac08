/* 1x1 convolution in integers, plain C: the definition. */
#include "nn/kernels/point.h"

static void row(const FsrPointConv *c, const uint8_t *src, float *dst, int n)
{
    for (int x = 0; x < n; x++, src += c->cin)
        for (int o = 0; o < c->cout; o++) {
            const int8_t *w = c->weights + o / 16 * 16 * c->cin + o % 16 * 4;
            int32_t sum = 0;
            float   v;

            for (int i = 0; i < c->cin; i++)
                sum += src[i] * w[i / 4 * 64 + i % 4];
            v      = (float)sum * c->scale[o] + c->bias[o];
            v      = v > c->low ? v : c->low;
            *dst++ = v < c->top ? v : c->top;
        }
}

const FsrPointKernel fsr_point_c = { "i8 point c", row };
