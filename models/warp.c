/*
 * Motion compensation of float planes and its adjoint, for training: the engine's formulas (HEVC's luma filters,
 * H.265 8.5.3.3.3, without rounding) on a crop of a picture, with gradients.
 *
 * A unit is a piece of a prediction block inside the crop: x, y, w, h in LR samples of the crop, two references
 * (index into the memory's pictures, -1: none), vectors in quarter LR samples, weights, offset.
 * Planes lie planes-innermost: [picture][y][x][planes]. Positions outside the crop repeat its border.
 */
#include <string.h>

#define MAXP 8

typedef struct Unit { int x, y, w, h, ref[2], mv[2][2]; float weight[2], offset; } Unit;

static const float taps[4][8] = {
    { 0, 0, 0, 1, 0, 0, 0, 0 },
    { -1 / 64.f, 4 / 64.f, -10 / 64.f, 58 / 64.f, 17 / 64.f, -5 / 64.f, 1 / 64.f, 0 },
    { -1 / 64.f, 4 / 64.f, -11 / 64.f, 40 / 64.f, 40 / 64.f, -11 / 64.f, 4 / 64.f, -1 / 64.f },
    { 0, 1 / 64.f, -5 / 64.f, 17 / 64.f, 58 / 64.f, -10 / 64.f, 4 / 64.f, -1 / 64.f },
};

static int clamp(int v, int n) { return v < 0 ? 0 : v >= n ? n - 1 : v; }

/* One unit from or to one reference; P planes, known at compile time so that loops are vectors. */
#define WARP(NAME, P)                                                                                              \
static void NAME##_forward(float *dst, const float *src, int W, int H, int x, int y, int w, int h, int mx, int my,  \
                           float weight)                                                                           \
{                                                                                                                  \
    const float *fx = taps[mx & 3], *fy = taps[my & 3];                                                            \
    const int ix = x + (mx >> 2), iy = y + (my >> 2), hx = mx & 3, hy = my & 3;                                     \
    float tmp[(16 + 7) * 16 * P];                                                                                  \
    for (int j = 0; j < h + 7; j++) {                                                                              \
        const float *row = src + (long)clamp(iy + j - 3, H) * W * P;                                               \
        if (!hy && (j < 3 || j >= h + 3)) continue;                                                                \
        for (int i = 0; i < w; i++) {                                                                              \
            float *t = tmp + (j * 16 + i) * P;                                                                     \
            if (!hx) { const float *s = row + clamp(ix + i, W) * P; for (int p = 0; p < P; p++) t[p] = s[p]; continue; } \
            for (int p = 0; p < P; p++) t[p] = 0;                                                                  \
            for (int k = 0; k < 8; k++) {                                                                          \
                const float *s = row + clamp(ix + i + k - 3, W) * P;                                               \
                for (int p = 0; p < P; p++) t[p] += fx[k] * s[p];                                                  \
            }                                                                                                      \
        }                                                                                                          \
    }                                                                                                              \
    for (int j = 0; j < h; j++)                                                                                    \
        for (int i = 0; i < w * P; i++) {                                                                          \
            float s = 0;                                                                                           \
            if (!hy) s = tmp[(j + 3) * 16 * P + i];                                                                \
            else for (int k = 0; k < 8; k++) s += fy[k] * tmp[(j + k) * 16 * P + i];                               \
            dst[((long)(y + j) * W + x) * P + i] += weight * s;                                                    \
        }                                                                                                          \
}                                                                                                                  \
static void NAME##_backward(const float *grad, float *src, int W, int H, int x, int y, int w, int h, int mx, int my, \
                            float weight)                                                                          \
{                                                                                                                  \
    const float *fx = taps[mx & 3], *fy = taps[my & 3];                                                            \
    const int ix = x + (mx >> 2), iy = y + (my >> 2), hx = mx & 3, hy = my & 3;                                     \
    float tmp[(16 + 7) * 16 * P];                                                                                  \
    memset(tmp, 0, (h + 7) * 16 * P * sizeof(float));                                                              \
    for (int j = 0; j < h; j++)                                                                                    \
        for (int i = 0; i < w * P; i++) {                                                                          \
            const float g = weight * grad[((long)(y + j) * W + x) * P + i];                                        \
            if (!hy) tmp[(j + 3) * 16 * P + i] = g;                                                                \
            else for (int k = 0; k < 8; k++) tmp[(j + k) * 16 * P + i] += fy[k] * g;                               \
        }                                                                                                          \
    for (int j = 0; j < h + 7; j++) {                                                                              \
        float *row = src + (long)clamp(iy + j - 3, H) * W * P;                                                     \
        if (!hy && (j < 3 || j >= h + 3)) continue;                                                                \
        for (int i = 0; i < w; i++) {                                                                              \
            const float *t = tmp + (j * 16 + i) * P;                                                               \
            if (!hx) { float *s = row + clamp(ix + i, W) * P; for (int p = 0; p < P; p++) s[p] += t[p]; continue; }  \
            for (int k = 0; k < 8; k++) {                                                                          \
                float *s = row + clamp(ix + i + k - 3, W) * P;                                                     \
                for (int p = 0; p < P; p++) s[p] += fx[k] * t[p];                                                  \
            }                                                                                                      \
        }                                                                                                          \
    }                                                                                                              \
}
WARP(one, 1)
WARP(eight, 8)

/* planes: 1 (scale times as large as the LR crop) or 8. pictures: memory; dst is added to. Units are at most
 * 16 / scale samples a side. use_weights: 0 averages the references instead. */
void warp_forward(float *dst, float *const *pictures, int planes, int W, int H, int scale, const Unit *u, int nb, int use_weights)
{
    for (int i = 0; i < nb; i++) {
        const int both = u[i].ref[0] >= 0 && u[i].ref[1] >= 0;
        for (int l = 0; l < 2; l++) {
            const float wt = use_weights ? u[i].weight[l] : both ? 0.5f : 1;
            if (u[i].ref[l] < 0) continue;
            (planes == 1 ? one_forward : eight_forward)(dst, pictures[u[i].ref[l]], W, H, u[i].x * scale, u[i].y * scale,
                u[i].w * scale, u[i].h * scale, u[i].mv[l][0] * scale, u[i].mv[l][1] * scale, wt);
        }
        if (use_weights && u[i].offset && (u[i].ref[0] >= 0 || u[i].ref[1] >= 0))
            for (int y = 0; y < u[i].h * scale; y++)
                for (int x = 0; x < u[i].w * scale; x++)
                    dst[(long)(u[i].y * scale + y) * W + u[i].x * scale + x] += u[i].offset;
    }
}

void warp_backward(const float *grad, float *const *pictures, int planes, int W, int H, int scale, const Unit *u, int nb, int use_weights)
{
    for (int i = 0; i < nb; i++) {
        const int both = u[i].ref[0] >= 0 && u[i].ref[1] >= 0;
        for (int l = 0; l < 2; l++) {
            const float wt = use_weights ? u[i].weight[l] : both ? 0.5f : 1;
            if (u[i].ref[l] < 0) continue;
            (planes == 1 ? one_backward : eight_backward)(grad, pictures[u[i].ref[l]], W, H, u[i].x * scale, u[i].y * scale,
                u[i].w * scale, u[i].h * scale, u[i].mv[l][0] * scale, u[i].mv[l][1] * scale, wt);
        }
    }
}

/* dst[i][p] = a[i][p] > 0 and wanted[i] ? b[i][p] : 0, for n samples of planes numbers (a multiple of 8), as whole numbers that
 * have the signs of bfloat16 (bytes 2) or float (4); wanted NULL: everywhere. With a = b = h it is what is made of a layer; with
 * a = that, b = its gradient and no wanted, the gradient of h. */
#define POSITIVE(T)                                                                                                \
static void positive_##T(T *dst, const T *a, const T *b, const unsigned char *wanted, long n, int planes)          \
{                                                                                                                  \
    typedef T vec __attribute__((vector_size(8 * sizeof(T)), aligned(sizeof(T))));                                 \
    for (long i = 0; i < n; i++) {                                                                                 \
        const vec in = (vec){ 0 } - (T)(!wanted || wanted[i]);                                                     \
        for (int p = 0; p < planes; p += 8, dst += 8, a += 8, b += 8)                                              \
            *(vec *)dst = (*(const vec *)a > 0) & *(const vec *)b & in;                                            \
    }                                                                                                              \
}
POSITIVE(short)
POSITIVE(int)

void positive(void *dst, const void *a, const void *b, const unsigned char *wanted, long n, int planes, int bytes)
{
    if (bytes == 2)
        positive_short(dst, a, b, wanted, n, planes);
    else
        positive_int(dst, a, b, wanted, n, planes);
}
