/*
 * Convolution as im2col and a matrix product in OpenBLAS.
 *
 * OpenBLAS would start its own threads for large products. Its setting for that
 * belongs to the process, not to us, so products are cut below the size at which
 * it considers threads (interface/gemm.c: m * n * k <= 65536 * 4).
 */
#include "nn/kernels.h"

#include <cblas.h>
#include <string.h>

enum { MAX_PRODUCT = 65536 * 4, MAX_N = 64, MAX_K = 1024, MAX_M = 256 };

static int min(int a, int b)
{
    return a < b ? a : b;
}

/* Samples in one product. OpenBLAS sums in another order at the edge of a matrix. */
static int block(const FsrConvShape *s)
{
    return min(MAX_PRODUCT / (min(s->cout, MAX_N) * min(s->cin * s->kw * s->kh, MAX_K)), MAX_M);
}

static int fits(const FsrConvShape *s)
{
    return !s->in_bf16 && !s->out_bf16;
}

/* [cout] biases, then the matrix [kh][kw][cin][cout] */
static void pack(const FsrConvShape *s, const float *weights, const float *bias, float *dst)
{
    memcpy(dst, bias, s->cout * sizeof(*dst));
    dst += s->cout;
    for (int y = 0; y < s->kh; y++)
        for (int x = 0; x < s->kw; x++)
            for (int i = 0; i < s->cin; i++)
                for (int o = 0; o < s->cout; o++)
                    *dst++ = weights[((o * s->cin + i) * s->kh + y) * s->kw + x];
}

static size_t scratch_floats(const FsrConvShape *s)
{
    return (size_t)block(s) * s->cin * s->kw * s->kh;
}

static void unfold(const FsrConvShape *s, const float *const *rows, int x, int m, float *col)
{
    for (int p = 0; p < m; p++)
        for (int ky = 0; ky < s->kh; ky++)
            for (int kx = 0; kx < s->kw; kx++, col += s->cin)
                memcpy(col, rows[ky] + (x + p + kx) * s->cin_stride, s->cin * sizeof(*col));
}

static void row(const FsrConvShape *s, const float *packed, const float *const *rows, float *dst, int width, float *scratch)
{
    const int    K = s->cin * s->kw * s->kh, M = block(s);
    const float *w = packed + s->cout;

    for (int x = 0; x < width; x += M, dst += M * s->cout_stride) {
        int m = min(M, width - x);

        unfold(s, rows, x, m, scratch);
        for (int p = 0; p < m; p++)
            memcpy(dst + p * s->cout_stride, packed, s->cout * sizeof(*dst));
        for (int n = 0; n < s->cout; n += MAX_N)
            for (int k = 0; k < K; k += MAX_K)
                cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, min(MAX_N, s->cout - n), min(MAX_K, K - k), 1,
                            scratch + k, K, w + (size_t)k * s->cout + n, s->cout, 1, dst + n, s->cout_stride);
        for (int p = 0; s->relu && p < m; p++)
            for (float *d = dst + p * s->cout_stride, *end = d + s->cout; d < end; d++)
                *d = *d < 0 ? 0 : s->top > 0 && *d > s->top ? s->top : *d;
    }
}

const FsrConvKernel fsr_conv_blas = { "blas", fits, fsr_conv_plain_floats, pack, scratch_floats, row, block };
