#include <math.h>
#include <string.h>

#include "kernels.h"

static inline int16_t sat16(int v)
{
    return v > INT16_MAX ? INT16_MAX : v < INT16_MIN ? INT16_MIN : v;
}

static inline int clip_to(int v, int max)
{
    return v < 0 ? 0 : v > max ? max : v;
}

FSR_CLONES
void fsr_load_row(int16_t *dst, const uint8_t *src, int n, int bytes, int step, int shift, int depth)
{
    const int up = 14 - depth;

    if (bytes == 1 && step == 1) {
        for (int i = 0; i < n; i++)
            dst[i] = src[i] << up;
    } else if (bytes == 1) {
        for (int i = 0; i < n; i++)
            dst[i] = src[i * step] << up;
    } else {
        const uint16_t *s   = (const uint16_t *)src;
        const int       max = (1 << depth) - 1;     /* a stray high bit must not overflow */

        for (int i = 0; i < n; i++)
            dst[i] = (s[i * step] >> shift & max) << up;
    }
}

FSR_CLONES
void fsr_store_row(uint8_t *dst, const int16_t *src, int n, int bytes, int step, int shift, int depth)
{
    const int down = 14 - depth, half = down ? 1 << (down - 1) : 0, max = (1 << depth) - 1;

    if (bytes == 1 && step == 1) {
        for (int i = 0; i < n; i++)
            dst[i] = clip_to((src[i] + half) >> down, max);
    } else if (bytes == 1) {
        for (int i = 0; i < n; i++)
            dst[i * step] = clip_to((src[i] + half) >> down, max);
    } else {
        uint16_t *d = (uint16_t *)dst;

        for (int i = 0; i < n; i++)
            d[i * step] = clip_to((src[i] + half) >> down, max) << shift;
    }
}

/* Keys' cubic convolution kernel with a = -0.5 */
static double cubic(double x)
{
    x = fabs(x);
    return x <= 1 ? (1.5 * x - 2.5) * x * x + 1 : x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
}

void fsr_upscaler_init(FsrUpscaler *u, int scale, int sub, int cosited)
{
    /* Sample j of a plane lies at luma position sub * j + d. Picture areas coincide, so luma
     * position X of the large picture is (X + 0.5) / scale - 0.5 of the small one. */
    const double d = sub == 1 || cosited ? 0 : 0.5;

    u->scale = scale;
    u->taps  = 4;
    for (int k = 0; k < scale; k++) {
        const double pos  = ((sub * k + d + 0.5) / scale - 0.5 - d) / sub;
        const int    base = (int)floor(pos);
        int sum = 0, largest = 0;

        u->first[k] = base - 1;
        for (int t = 0; t < 4; t++) {
            u->coef[k][t] = (int16_t)floor(cubic(pos - (base - 1 + t)) * 4096 + 0.5);
            sum += u->coef[k][t];
            if (u->coef[k][t] > u->coef[k][largest])
                largest = t;
        }
        u->coef[k][largest] += 4096 - sum;      /* a flat area stays flat */
    }
}

void fsr_upscaler_init_sharp(FsrUpscaler *u, int scale)
{
    /* the other phases are mirror images */
    static const int16_t half[3][2][FSR_TAPS] = {
        { { 86, -285, 773, 4345, -1199, 376 } },
        { { 144, -482, 1367, 3866, -1159, 360 }, { 208, -650, 4980, -650, 208, 0 } },
        { { 185, -606, 1700, 3594, -1138, 361 }, { -32, 76, -76, 4835, -1040, 333 } },
    };

    u->scale = scale;
    u->taps  = FSR_TAPS;
    for (int k = 0; k < scale; k++) {
        const int mirror = k >= (scale + 1) / 2;

        u->first[k] = 2 * k + 1 < scale ? -3 : -2;
        for (int t = 0; t < FSR_TAPS; t++)
            u->coef[k][t] = mirror ? half[scale - 2][scale - 1 - k][FSR_TAPS - 1 - t] : half[scale - 2][k][t];
    }
}

/* Two multiply-adds at a time is what vector units offer. */
static inline __attribute__((always_inline)) int filter(const int16_t *in, const int16_t *c, int taps)
{
    int sum = c[0] * in[0] + c[1] * in[1] + c[2] * in[2] + c[3] * in[3] + 2048;

    if (taps > 4)
        sum += c[4] * in[4] + c[5] * in[5];
    return sat16(sum >> 12);
}

static inline __attribute__((always_inline))
void upscale_row(int16_t *restrict out, const int16_t *restrict in, int n_out, const FsrUpscaler *u, int taps)
{
    const int s = u->scale, n = n_out / s;

    if (s == 2) {
        const int16_t *a = in + u->first[0], *b = in + u->first[1];
        int16_t ca[FSR_TAPS], cb[FSR_TAPS];

        memcpy(ca, u->coef[0], sizeof(ca));
        memcpy(cb, u->coef[1], sizeof(cb));
        for (int i = 0; i < n; i++) {
            out[2 * i]     = filter(a + i, ca, taps);
            out[2 * i + 1] = filter(b + i, cb, taps);
        }
    } else {
        for (int k = 0; k < s; k++) {
            const int16_t *a = in + u->first[k];
            int16_t c[FSR_TAPS];

            memcpy(c, u->coef[k], sizeof(c));
            for (int i = 0; i < n; i++)
                out[s * i + k] = filter(a + i, c, taps);
        }
    }
    for (int j = n * s; j < n_out; j++)     /* odd chroma sizes */
        out[j] = filter(in + n + u->first[j - n * s], u->coef[j - n * s], taps);
}

FSR_CLONES
void fsr_upscale_row(int16_t *out, const int16_t *in, int n_out, const FsrUpscaler *u)
{
    if (u->taps == 4)
        upscale_row(out, in, n_out, u, 4);
    else
        upscale_row(out, in, n_out, u, 6);
}

FSR_CLONES
void fsr_upscale_column(int16_t *restrict out, const int16_t *const *in, const FsrUpscaler *u, int k, int n)
{
    const int16_t *restrict a = in[0], *restrict b = in[1], *restrict c = in[2], *restrict d = in[3];
    const int16_t *f = u->coef[k];
    const int k0 = f[0], k1 = f[1], k2 = f[2], k3 = f[3];

    if (u->taps == 4) {
        for (int i = 0; i < n; i++)
            out[i] = sat16((k0 * a[i] + k1 * b[i] + k2 * c[i] + k3 * d[i] + 2048) >> 12);
    } else {
        const int16_t *restrict e = in[4], *restrict g = in[5];
        const int k4 = f[4], k5 = f[5];

        for (int i = 0; i < n; i++)
            out[i] = sat16((k0 * a[i] + k1 * b[i] + k2 * c[i] + k3 * d[i] + k4 * e[i] + k5 * g[i] + 2048) >> 12);
    }
}

FSR_CLONES
void fsr_blend_row(int16_t *restrict out, const int16_t *restrict base, const int16_t *restrict pred,
                   const int16_t *restrict weight, int n)
{
    for (int i = 0; i < n; i++)
        out[i] = sat16(base[i] + (((out[i] - pred[i]) * weight[i] + 128) >> 8));
}

static inline __attribute__((always_inline))
void lerp_span(int16_t *restrict out, const int16_t *cells, int nb, const int16_t *restrict f, int span)
{
    for (int k = 0; k < nb; k++) {
        const int16_t left = cells[k], step = cells[k + 1] - left;

        for (int i = 0; i < span; i++)
            out[k * span + i] = left + (int16_t)((int16_t)(step * f[i] + 64) >> 7);
    }
}

FSR_CLONES
void fsr_lerp_row(int16_t *restrict out, const int16_t *cells, int nb, const int16_t *restrict f, int span)
{
    if (span == 8)
        lerp_span(out, cells, nb, f, 8);
    else if (span == 16)
        lerp_span(out, cells, nb, f, 16);
    else
        lerp_span(out, cells, nb, f, span);
}
