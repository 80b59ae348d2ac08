/* Convolution in plain C: what the other kernels are checked against. */
#include "nn/kernels.h"

size_t fsr_conv_plain_floats(const FsrConvShape *s)
{
    return (size_t)s->cout * (s->cin * s->kw * s->kh + 1);
}

/* [cout] biases, then weights as [cout][kh][kw][cin], the order in which a row is read */
static void pack(const FsrConvShape *s, const float *weights, const float *bias, float *dst)
{
    memcpy(dst, bias, s->cout * sizeof(*dst));
    dst += s->cout;
    for (int o = 0; o < s->cout; o++)
        for (int y = 0; y < s->kh; y++)
            for (int x = 0; x < s->kw; x++)
                for (int i = 0; i < s->cin; i++) {
                    float w = weights[((o * s->cin + i) * s->kh + y) * s->kw + x];
                    *dst++ = s->in_bf16 ? fsr_from_bf16(fsr_to_bf16(w)) : w;
                }
}

static void row(const FsrConvShape *s, const float *packed, const float *const *rows, float *dst, int width, float *scratch)
{
    (void)scratch;
    for (int x = 0; x < width; x++, dst += s->cout_stride) {
        const float *w = packed + s->cout;

        for (int o = 0; o < s->cout; o++) {
            float sum = packed[o];
            for (int ky = 0; ky < s->kh; ky++)
                for (int kx = 0; kx < s->kw; kx++)
                    for (int i = 0; i < s->cin; i++)
                        sum += fsr_get_plane(rows[ky] + (size_t)(x + kx) * s->cin_stride, i, s->in_bf16) * *w++;
            sum = s->relu && sum < 0 ? 0 : s->top > 0 && sum > s->top ? s->top : sum;
            fsr_set_plane(dst, o, s->out_bf16, sum);
        }
    }
}

const FsrConvKernel fsr_conv_c = { "c", NULL, fsr_conv_plain_floats, pack, NULL, row, NULL };
