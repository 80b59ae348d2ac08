#include <string.h>

#include "kernels.h"

#define MAX_BLOCK 64

/* H.265 table 8-11; the taps reach from -3 to +4 */
static const int16_t taps[4][8] = {
    {  0, 0,   0, 64,  0,   0, 0,  0 },
    { -1, 4, -10, 58, 17,  -5, 1,  0 },
    { -1, 4, -11, 40, 40, -11, 4, -1 },
    {  0, 1,  -5, 17, 58, -10, 4, -1 },
};

static inline int16_t sat16(int v)
{
    return v > INT16_MAX ? INT16_MAX : v < INT16_MIN ? INT16_MIN : v;
}

/* step: 1 filters along rows, the stride along columns */
static inline __attribute__((always_inline))
void filter_block(int16_t *restrict dst, ptrdiff_t stride, const int16_t *restrict src, ptrdiff_t src_stride,
                  int w, int h, ptrdiff_t step, const int16_t *c, int half)
{
    const int c0 = c[0], c1 = c[1], c2 = c[2], c3 = c[3], c4 = c[4], c5 = c[5], c6 = c[6], c7 = c[7];

    for (int y = 0; y < h; y++) {
        for (int x = 0; x < w; x++) {
            const int16_t *s = src + x;

            dst[x] = sat16((c0 * s[-3 * step] + c1 * s[-2 * step] + c2 * s[-step] + c3 * s[0] +
                            c4 * s[step] + c5 * s[2 * step] + c6 * s[3 * step] + c7 * s[4 * step] + half) >> 6);
        }
        dst += stride;
        src += src_stride;
    }
}

/* Widths that occur most get loops of constant length. */
static inline __attribute__((always_inline))
void filter_any(int16_t *dst, ptrdiff_t stride, const int16_t *src, ptrdiff_t src_stride,
                int w, int h, ptrdiff_t step, const int16_t *c, int half)
{
    if (w == 16)
        filter_block(dst, stride, src, src_stride, 16, h, step, c, half);
    else if (w == 8)
        filter_block(dst, stride, src, src_stride, 8, h, step, c, half);
    else if (!(w & 31))
        for (int x = 0; x < w; x += 32)
            filter_block(dst + x, stride, src + x, src_stride, 32, h, step, c, half);
    else
        filter_block(dst, stride, src, src_stride, w, h, step, c, half);
}

FSR_CLONES
static void filter_h(int16_t *dst, ptrdiff_t stride, const int16_t *src, ptrdiff_t src_stride,
                     int w, int h, const int16_t *c, int half)
{
    filter_any(dst, stride, src, src_stride, w, h, 1, c, half);
}

FSR_CLONES
static void filter_v(int16_t *dst, ptrdiff_t stride, const int16_t *src, ptrdiff_t src_stride,
                     int w, int h, const int16_t *c, int half)
{
    filter_any(dst, stride, src, src_stride, w, h, src_stride, c, half);
}

static inline int clamp(int v, int lo, int hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

void fsr_mc(int16_t *dst, ptrdiff_t stride, const FsrPlane *ref, int x, int y, int w, int h,
            int mx, int my, int round)
{
    /* Further out than this all samples are border samples, so nothing changes. */
    const int sx = clamp(x + (mx >> 2), -MAX_BLOCK - 8, ref->w + 8);
    const int sy = clamp(y + (my >> 2), -MAX_BLOCK - 8, ref->h + 8);
    const int fx = mx & 3, fy = my & 3, half = round ? 32 : 0;
    const int16_t *src = ref->data + sy * ref->stride + sx;

    if (!fx && !fy) {
        for (int i = 0; i < h; i++)
            memcpy(dst + i * stride, src + i * ref->stride, w * sizeof(*dst));
    } else if (!fy) {
        filter_h(dst, stride, src, ref->stride, w, h, taps[fx], half);
    } else if (!fx) {
        filter_v(dst, stride, src, ref->stride, w, h, taps[fy], half);
    } else {
        _Alignas(64) int16_t tmp[(MAX_BLOCK + 7) * MAX_BLOCK];

        filter_h(tmp, MAX_BLOCK, src - 3 * ref->stride, ref->stride, w, h + 7, taps[fx], half);
        filter_v(dst, stride, tmp + 3 * MAX_BLOCK, MAX_BLOCK, w, h, taps[fy], half);
    }
}

FSR_CLONES
void fsr_average(int16_t *restrict dst, ptrdiff_t stride, const int16_t *restrict a, const int16_t *restrict b,
                 ptrdiff_t ab_stride, int w, int h)
{
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            dst[y * stride + x] = (a[y * ab_stride + x] + b[y * ab_stride + x] + 1) >> 1;
}

FSR_CLONES
void fsr_sad_cells(unsigned *sad, const int16_t *a, ptrdiff_t a_stride, const int16_t *b, ptrdiff_t b_stride, int nb)
{
    int column[64];

    for (int x = 0; x < 4 * nb; x++) {
        int sum = 0;

        for (int y = 0; y < 4; y++) {
            const int d = a[y * a_stride + x] - b[y * b_stride + x];

            sum += d < 0 ? -d : d;
        }
        column[x] = sum;
    }
    for (int i = 0; i < nb; i++)
        sad[i] = column[4 * i] + column[4 * i + 1] + column[4 * i + 2] + column[4 * i + 3];
}

FSR_CLONES
unsigned fsr_sad(const int16_t *a, ptrdiff_t a_stride, const int16_t *b, ptrdiff_t b_stride, int w, int h)
{
    unsigned sum = 0;

    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            const int d = a[y * a_stride + x] - b[y * b_stride + x];

            sum += d < 0 ? -d : d;
        }
    return sum;
}
