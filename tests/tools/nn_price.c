/*
 * What number formats cost a super-resolution network in PSNR: nn_price MODEL.onnx PICTURE.pgm...
 * Each picture (8-bit grey, P5) is cut to whole multiples of the scale and made smaller (bicubic,
 * 8 bit); the network enlarges it in float, bfloat16 and integers. Mean PSNR of 8-bit results,
 * without `scale` samples at each border. Networks that take enlarged luma and give luma.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fastsr/nn.h"
#include "samples/downscale.h"

typedef struct Picture {
    int    w, h;
    float *in, *out;
} Picture;

static void get(void *opaque, int plane, int x, int y, int w, int h, float *dst, ptrdiff_t stride)
{
    const Picture *p = opaque;

    (void)plane;
    for (int j = 0; j < h; j++)
        memcpy(dst + j * stride, p->in + (size_t)(y + j) * p->w + x, w * sizeof(*dst));
}

static void put(void *opaque, int plane, int x, int y, int w, int h, const float *src, ptrdiff_t stride)
{
    const Picture *p = opaque;

    (void)plane;
    for (int j = 0; j < h; j++)
        memcpy(p->out + (size_t)(y + j) * p->w + x, src + j * stride, w * sizeof(*src));
}

static double cubic(double x)                       /* a = -0.5 */
{
    x = fabs(x);
    return x <= 1 ? (1.5 * x - 2.5) * x * x + 1 : x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
}

/* One axis of enlarging: n lines of `from` samples, `step` apart, each `next` from the one before. */
static void enlarge(const float *src, int n, int from, int step, int next, int scale, float *dst, int dst_step,
                    int dst_next)
{
    for (int x = 0; x < from * scale; x++) {
        const double u = (x + 0.5) / scale - 0.5;
        const int    left = (int)floor(u) - 1;

        for (int j = 0; j < n; j++) {
            double v = 0;

            for (int k = left; k < left + 4; k++)
                v += cubic(u - k) * src[(size_t)j * next + (size_t)(k < 0 ? 0 : k >= from ? from - 1 : k) * step];
            dst[(size_t)j * dst_next + (size_t)x * dst_step] = (float)v;
        }
    }
}

static int read_pgm(const char *path, int scale, uint16_t **px, int *w, int *h)
{
    FILE *f = fopen(path, "rb");
    int   width, height, max, c = 0;

    *px = NULL;
    if (!f || fscanf(f, "P5 %d %d %d", &width, &height, &max) != 3 || max != 255 || width < 16 || height < 16 ||
        width > 16384 || height > 16384 || fgetc(f) == EOF) {
        fprintf(stderr, "nn_price: %s is no 8-bit PGM file (P5)\n", path);
        if (f)
            fclose(f);
        return -1;
    }
    *w  = width / scale * scale;
    *h  = height / scale * scale;
    *px = malloc((size_t)*w * *h * sizeof(**px));
    for (int y = 0; *px && c != EOF && y < *h; y++)
        for (int x = 0; x < width; x++) {
            c = fgetc(f);
            if (x < *w)
                (*px)[(size_t)y * *w + x] = (uint16_t)c;
        }
    fclose(f);
    return *px && c != EOF ? 0 : -1;
}

static double psnr(const float *out, const uint16_t *hr, int w, int h, int border)
{
    double sum = 0;

    for (int y = border; y < h - border; y++)
        for (int x = border; x < w - border; x++) {
            double v = floor(out[(size_t)y * w + x] * 255 + 0.5), d = fmin(fmax(v, 0), 255) - hr[(size_t)y * w + x];
            sum += d * d;
        }
    return 10 * log10(255.0 * 255 * (w - 2 * border) * (h - 2 * border) / sum);
}

static int price(const FsrNet *net, int scale, const char *path, double *db)
{
    static const FsrPrecision formats[3] = { FSR_PRECISION_F32, FSR_PRECISION_BF16, FSR_PRECISION_I8 };
    FsrDownscaleTaps taps;
    uint16_t *hr;
    int w, h, ret;

    if ((ret = read_pgm(path, scale, &hr, &w, &h)) >= 0 &&
        (ret = fsr_downscale_taps(&taps, scale, 2 * (scale - 1))) >= 0) {
        const size_t area = (size_t)w * h;
        uint16_t *lr = malloc(area * sizeof(*lr));
        int64_t  *scratch = malloc(w * sizeof(*scratch));
        float    *small = malloc(area * sizeof(*small)), *wide = malloc(area * sizeof(*wide));
        Picture   p = { w, h, malloc(area * sizeof(float)), malloc(area * sizeof(float)) };
        FsrNnIO   io = { .opaque = &p, .get = get, .put = put };
        char      err[256] = "out of memory";

        if (!lr || !scratch || !small || !wide || !p.in || !p.out)
            ret = -1;
        if (ret >= 0) {
            const int lw = w / scale, lh = h / scale;

            fsr_downscale_plane(hr, w, h, &taps, &taps, 255, lr, scratch);
            for (int i = 0; i < lw * lh; i++)
                small[i] = lr[i] / 255.0f;
            enlarge(small, lh, lw, 1, lw, scale, wide, 1, w);
            enlarge(wide, w, lh, w, 1, scale, p.in, w, 1);
        }
        for (int i = 0; ret >= 0 && i < 3; i++) {
            FsrPlan *plan;

            if ((ret = fsr_nn_plan_as(&plan, net, w, h, 1, formats[i], err, sizeof(err))) < 0)
                break;
            for (int j = 0; j < fsr_nn_jobs(plan); j++)
                fsr_nn_run(plan, &io, j, 0);
            fsr_nn_plan_free(&plan);
            db[i] += psnr(p.out, hr, w, h, scale);
        }
        if (ret < 0)
            fprintf(stderr, "nn_price: %s\n", err);
        free(lr);
        free(scratch);
        free(small);
        free(wide);
        free(p.in);
        free(p.out);
    }
    free(hr);
    return ret;
}

int main(int argc, char **argv)
{
    double  db[3] = { 0 };
    char    err[256];
    FsrNet *net = NULL;
    int     scale, ret = 0;

    if (argc < 3) {
        fputs("usage: nn_price MODEL.onnx PICTURE.pgm...\n", stderr);
        return 2;
    }
    if (fsr_nn_load_file(&net, argv[1], err, sizeof(err)) < 0) {
        fprintf(stderr, "nn_price: %s\n", err);
        return 1;
    }
    scale = fsr_nn_meta(net, "scale") ? atoi(fsr_nn_meta(net, "scale")) : 0;
    if (scale < 2 || scale > 4 || !fsr_nn_meta(net, "input") || strcmp(fsr_nn_meta(net, "input"), "hr-luma")) {
        fputs("nn_price: the network does not take enlarged luma\n", stderr);
        ret = -1;
    }
    for (int i = 2; ret >= 0 && i < argc; i++)
        ret = price(net, scale, argv[i], db);
    fsr_nn_free(&net);
    if (ret < 0)
        return 1;
    argc -= 2;
    printf("f32 %.3f dB, bf16 %+.3f, i8 %+.3f\n", db[0] / argc, (db[1] - db[0]) / argc, (db[2] - db[0]) / argc);
    return 0;
}
