/* The table of kernels and its plain C versions: what the others must equal. */
#include <string.h>

#include "fuse.h"

const int16_t fsr_luma_taps[4][8] = {
    {  0, 0,   0, 64,  0,   0, 0,  0 },
    { -1, 4, -10, 58, 17,  -5, 1,  0 },
    { -1, 4, -11, 40, 40, -11, 4, -1 },
    {  0, 1,  -5, 17, 58, -10, 4, -1 },
};

static int clip_to(int v, int max)
{
    return v < 0 ? 0 : v > max ? max : v;
}

/* Samples <-> the 14-bit scale --------------------------------------------- */

static void load_row(int16_t *dst, const uint8_t *src, int n, int bytes, int step, int shift, int depth)
{
    const int up = 14 - depth;

    if (bytes == 1) {
        for (int i = 0; i < n; i++)
            dst[i] = src[i * step] << up;
    } else {
        const uint16_t *s   = (const uint16_t *)src;
        const int       max = (1 << depth) - 1;     /* a stray high bit must not overflow */

        for (int i = 0; i < n; i++)
            dst[i] = (s[i * step] >> shift & max) << up;
    }
}

static void store_row(uint8_t *dst, const int16_t *src, int n, int bytes, int step, int shift, int depth)
{
    const int down = 14 - depth, half = down ? 1 << (down - 1) : 0, max = (1 << depth) - 1;

    if (bytes == 1) {
        for (int i = 0; i < n; i++)
            dst[i * step] = clip_to((src[i] + half) >> down, max);
    } else {
        uint16_t *d = (uint16_t *)dst;

        for (int i = 0; i < n; i++)
            d[i * step] = clip_to((src[i] + half) >> down, max) << shift;
    }
}

/* Upscaling ---------------------------------------------------------------- */

static inline int filter(const int16_t *in, const int16_t *c, int taps)
{
    int sum = 2048;

    for (int t = 0; t < taps; t++)
        sum += c[t] * in[t];
    return fsr_sat16(sum >> 12);
}

static void upscale_row(int16_t *out, const int16_t *in, int n_out, const FsrUpscaler *u)
{
    for (int k = 0; k < u->scale; k++)
        for (int i = 0; u->scale * i + k < n_out; i++)
            out[u->scale * i + k] = filter(in + i + u->first[k], u->coef[k], u->taps);
}

static inline int column(const int16_t *const *in, int i, const int16_t *c, int taps)
{
    int sum = 2048;

    for (int t = 0; t < taps; t++)
        sum += c[t] * in[t][i];
    return fsr_sat16(sum >> 12);
}

static void upscale_column(int16_t *out, const int16_t *const *in, const FsrUpscaler *u, int k, int n)
{
    for (int i = 0; i < n; i++)
        out[i] = column(in, i, u->coef[k], u->taps);
}

void fsr_carry_rest(int16_t *const *row, int16_t *const *base_row, const int16_t *const *base, const int16_t *const *pred,
                    const FsrUpscaler *u, int k, const int16_t *const *weight, int rows, int first, int n)
{
    for (int j = 0; j < rows; j++, k = (k + 1) % u->scale)
        for (int i = first; i < n; i++) {
            const int b = column(base, i, u->coef[k], u->taps), p = column(pred, i, u->coef[k], u->taps);
            const int v = fsr_sat16(b + ((fsr_sat16(row[j][i] - p) * weight[j][i] + 128) >> 8));

            row[j][i] = base_row ? fsr_sat16(v - b) : v;
            if (base_row)
                base_row[j][i] = b;
        }
}

static void carry_rows(int16_t *const *row, int16_t *const *base_row, const int16_t *const *base, const int16_t *const *pred,
                       const FsrUpscaler *u, int k, const int16_t *const *weight, int rows, int n)
{
    fsr_carry_rest(row, base_row, base, pred, u, k, weight, rows, 0, n);
}

static void lerp_row(int16_t *out, const int16_t *cells, int nb, const int16_t *f, int span)
{
    for (int k = 0; k < nb; k++)
        for (int i = 0; i < span; i++)
            out[k * span + i] = cells[k] + (((cells[k + 1] - cells[k]) * f[i] + 64) >> 7);
}

/* Motion compensation ------------------------------------------------------ */

/* step: 1 (or the numbers of a sample) filters along rows, the stride along columns */
static void filter_block(int16_t *dst, ptrdiff_t stride, const int16_t *src, ptrdiff_t src_stride,
                         int w, int h, ptrdiff_t step, const int16_t *c, int half)
{
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            const int16_t *s = src + y * src_stride + x;
            int sum = half;

            for (int t = 0; t < 8; t++)
                sum += c[t] * s[(t - 3) * step];
            dst[y * stride + x] = fsr_sat16(sum >> 6);
        }
}

static void filter_h(int16_t *dst, ptrdiff_t stride, const int16_t *src, ptrdiff_t src_stride, int w, int h, int frac, int half)
{
    filter_block(dst, stride, src, src_stride, w, h, 1, fsr_luma_taps[frac], half);
}

static void filter_h_deep(int16_t *dst, ptrdiff_t stride, const int16_t *src, ptrdiff_t src_stride, int w, int h, int frac, int half)
{
    filter_block(dst, stride, src, src_stride, w, h, FSR_DEEP, fsr_luma_taps[frac], half);
}

static void filter_v(int16_t *dst, ptrdiff_t stride, const int16_t *src, ptrdiff_t src_stride, int w, int h, int frac, int half)
{
    filter_block(dst, stride, src, src_stride, w, h, src_stride, fsr_luma_taps[frac], half);
}

static void copy(int16_t *dst, ptrdiff_t stride, const int16_t *src, ptrdiff_t src_stride, int w, int h)
{
    for (int y = 0; y < h; y++)
        memcpy(dst + y * stride, src + y * src_stride, w * sizeof(*dst));
}

static void average(int16_t *dst, ptrdiff_t stride, const int16_t *a, ptrdiff_t a_stride,
                    const int16_t *b, ptrdiff_t b_stride, int w, int h)
{
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            dst[y * stride + x] = (a[y * a_stride + x] + b[y * b_stride + x] + 1) >> 1;
}

static void sad_cells(unsigned *sad, const int16_t *a, ptrdiff_t a_stride, const int16_t *b, ptrdiff_t b_stride, int nb)
{
    for (int i = 0; i < nb; i++) {
        sad[i] = 0;
        for (int y = 0; y < 4; y++)
            for (int x = 4 * i; x < 4 * i + 4; x++) {
                const int d = a[y * a_stride + x] - b[y * b_stride + x];

                sad[i] += d < 0 ? -d : d;
            }
    }
}

/* The table ---------------------------------------------------------------- */

unsigned fsr_cpu_flags(void)
{
#ifdef __x86_64__
    const int avx2   = __builtin_cpu_supports("avx2");
    const int avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                       __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");

    return (avx2 ? FSR_CPU_AVX2 : 0) | (avx512 ? FSR_CPU_AVX512 : 0);
#else
    return 0;
#endif
}

const FsrKernels fsr_kernels_c = {
    .load_row       = load_row,
    .store_row      = store_row,
    .upscale_row    = upscale_row,
    .upscale_column = upscale_column,
    .carry_rows     = carry_rows,
    .lerp_row       = lerp_row,
    .filter_h       = filter_h,
    .filter_h_deep  = filter_h_deep,
    .filter_v       = filter_v,
    .copy           = copy,
    .average        = average,
    .sad_cells      = sad_cells,
    .add_row        = fsr_add_row_c,
    .sum_pairs      = fsr_sum_pairs_c,
    .fuse_get       = fsr_fuse_get_c,
    .fuse_put       = fsr_fuse_put_c,
    .rate           = fsr_rate_c,
};

void fsr_kernels_init(FsrKernels *k, unsigned flags)
{
    *k = fsr_kernels_c;
#ifdef __x86_64__
    if (flags & FSR_CPU_AVX2) {
        fsr_kernels_avx2(k);
        fsr_kernels_fuse_avx2(k);
    }
    if (flags & FSR_CPU_AVX512)
        fsr_kernels_avx512(k);
#else
    (void)flags;
#endif
}
