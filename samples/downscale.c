/*
 * The low-resolution picture of super-resolution tables, as MATLAB's imresize(x, 1/s)
 * makes it: cubic convolution with a = -0.5 widened by s (antialiased), symmetric borders, weights
 * normalised. One rounding at the end; `imresize` of an 8-bit image rounds after each direction.
 *
 * Exact: with tap distances counted in 1/(4s) the weights are integers over 2(4s)^3, so the sum is an
 * integer and the result is the true value rounded half up, on every machine.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "samples/downscale.h"

/** Cubic convolution (Keys 1981, a = -1/2) at distance m/(4s), times 2(4s)^3. */
static int64_t cubic(int64_t m, int64_t s)
{
    int64_t q = 4 * s;

    m = m < 0 ? -m : m;
    if (m <= q)
        return 3 * m * m * m - 5 * m * m * q + 2 * q * q * q;
    if (m < 2 * q)
        return -m * m * m + 5 * m * m * q - 8 * m * q * q + 4 * q * q * q;
    return 0;
}

/** Symmetric extension (the edge sample is repeated), for any distance from the picture. */
static int mirror(int i, int n)
{
    int period = 2 * n;

    i %= period;
    if (i < 0)
        i += period;
    return i < n ? i : period - 1 - i;
}

int fsr_downscale_taps(FsrDownscaleTaps *t, int factor, int quarters)
{
    int centre = quarters;

    if (factor < 2 || factor > 4)
        return -EINVAL;
    memset(t, 0, sizeof(*t));
    t->factor = factor;
    /* sample i lies at distance |4i - centre| quarters; the widened kernel reaches 2 * factor samples */
    t->first = (centre - 8 * factor) / 4 - 1;
    for (int k = 0; k < FSR_DOWNSCALE_TAPS; k++) {
        t->weight[k] = cubic(4 * (t->first + k) - centre, factor);
        t->sum += t->weight[k];
    }
    return 0;
}

void fsr_downscale_plane(const uint16_t *src, int w, int h, const FsrDownscaleTaps *tx, const FsrDownscaleTaps *ty,
                         int max, uint16_t *dst, int64_t *scratch)
{
    int f = tx->factor, dw = w / f, dh = h / f;
    int64_t den = tx->sum * ty->sum;

    for (int y = 0; y < dh; y++) {
        memset(scratch, 0, sizeof(*scratch) * w);
        for (int k = 0; k < FSR_DOWNSCALE_TAPS; k++) {
            const uint16_t *row = src + (size_t)mirror(y * f + ty->first + k, h) * w;
            if (!ty->weight[k])
                continue;
            for (int x = 0; x < w; x++)
                scratch[x] += ty->weight[k] * row[x];
        }
        for (int x = 0; x < dw; x++) {
            int64_t sum = den / 2;
            for (int k = 0; k < FSR_DOWNSCALE_TAPS; k++)
                sum += tx->weight[k] * scratch[mirror(x * f + tx->first + k, w)];
            sum = sum < 0 ? 0 : sum / den;
            dst[(size_t)y * dw + x] = (uint16_t)(sum > max ? max : sum);
        }
    }
}

/** Where the first low-resolution chroma sample lies among the high-resolution ones, in quarters. */
static int chroma_quarters(const FsrY4mFormat *f, int vertical)
{
    int shift = vertical ? f->shift_y : f->shift_x, s = f->planes == 3;
    int on_luma = shift && (f->siting == FSR_Y4M_TOPLEFT || (f->siting == FSR_Y4M_LEFT && !vertical));

    return s && on_luma;
}

int fsr_downscale_frame(const FsrY4mFormat *f, int factor, uint16_t *const src[3], uint16_t *const dst[3],
                        int64_t *scratch)
{
    for (int p = 0; p < f->planes; p++) {
        FsrDownscaleTaps tx, ty;
        /* centred grids: (s - 1)/2 high-resolution samples; chroma on luma columns: (s - 1)/4 */
        int ret = fsr_downscale_taps(&tx, factor, (factor - 1) * (p && chroma_quarters(f, 0) ? 1 : 2));
        if (ret >= 0)
            ret = fsr_downscale_taps(&ty, factor, (factor - 1) * (p && chroma_quarters(f, 1) ? 1 : 2));
        if (ret < 0)
            return ret;
        fsr_downscale_plane(src[p], fsr_y4m_plane_width(f, p), fsr_y4m_plane_height(f, p), &tx, &ty,
                            (1 << f->bits) - 1, dst[p], scratch);
    }
    return 0;
}
