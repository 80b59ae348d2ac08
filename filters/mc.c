#include "kernels.h"

#define MAX_BLOCK 64

static int clamp(int v, int lo, int hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

/* Further out than this all samples are border samples, so nothing changes. */
static const int16_t *full_sample(const FsrPlane *ref, int x, int y, int mx, int my)
{
    const int out = ref->pad - 8;      /* a block and what the filters read behind it */
    const int sx = clamp(x + (mx >> 2), -out, ref->w + 8), sy = clamp(y + (my >> 2), -out, ref->h + 8);

    return ref->data + sy * ref->stride + sx * ref->deep;
}

const int16_t *fsr_mc_source(const FsrPlane *ref, int x, int y, int mx, int my)
{
    return (mx | my) & 3 ? NULL : full_sample(ref, x, y, mx, my);
}

void fsr_mc(const FsrKernels *k, int16_t *dst, ptrdiff_t stride, const FsrPlane *ref, int x, int y, int w, int h,
            int mx, int my, int round)
{
    const int      fx = mx & 3, fy = my & 3, half = round ? 32 : 0, n = w * ref->deep;
    const int16_t *src = full_sample(ref, x, y, mx, my);
    void         (*filter_h)(int16_t *, ptrdiff_t, const int16_t *, ptrdiff_t, int, int, int, int) =
        ref->deep == 1 ? k->filter_h : k->filter_h_deep;

    if (!fx && !fy) {
        k->copy(dst, stride, src, ref->stride, n, h);
    } else if (!fy) {
        filter_h(dst, stride, src, ref->stride, n, h, fx, half);
    } else if (!fx) {
        k->filter_v(dst, stride, src, ref->stride, n, h, fy, half);
    } else {
        _Alignas(64) int16_t tmp[(MAX_BLOCK + 7) * MAX_BLOCK + 8];

        filter_h(tmp, MAX_BLOCK, src - 3 * ref->stride, ref->stride, n, h + 7, fx, half);
        k->filter_v(dst, stride, tmp + 3 * MAX_BLOCK, MAX_BLOCK, n, h, fy, half);
    }
}

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
