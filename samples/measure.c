/* fsr_measure: compares two y4m videos; the definitions are in `help` below and hold for every table. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "samples/y4m.h"

static const char help[] =
    "Usage: fsr_measure [--crop N] [--csv FILE] ORIGINAL PICTURE\n"
    "\n"
    "Compares the luma of two y4m videos of equal size, depth and length (one of them may be -,\n"
    "standard input) and prints 'name value' lines. N samples are left out at each border.\n"
    "\n"
    "  frames    pictures compared\n"
    "  psnr      dB, mean over the pictures of 10 log10(peak^2 / mse); peak 255 (10 bit: 1023) on the\n"
    "            stored samples, limited range as it is, rounded to whole steps. Equal pictures: 100 dB\n"
    "  pooled    dB of the mean of the mse over all pictures\n"
    "  worst     dB of the worst picture\n"
    "  worst_at  its number, from 0\n"
    "  ssim      mean structural similarity (Wang et al. 2004: 11x11 Gaussian window, sigma 1.5,\n"
    "            K1 0.01, K2 0.03, window wholly inside the picture)\n"
    "  flicker   mean squared difference of successive residuals: with r(t) = picture - original,\n"
    "            the mean over pixels and over t >= 1 of (r(t) - r(t-1))^2, in 8-bit steps squared.\n"
    "            A steady error costs nothing, one that changes from picture to picture does\n"
    "  pulsing   dB, mean over t >= 1 of |psnr(t) - psnr(t-1)|\n"
    "\n"
    "  --crop N    leave out N luma samples at each border (default 0; tables use the scale)\n"
    "  --csv FILE  one line a picture: frame,psnr,ssim,flicker (flicker of picture 0 is 0)\n"
    "  --no-ssim   leave out ssim, the slow one\n"
    "\n"
    "Exit status: 0 done, 1 error.\n";

#define TAPS 11

typedef struct Measure {
    int crop, want_ssim;
    const char *paths[2], *csv_path;
    FsrY4m in[2];
    uint16_t *planes[2][3];
    int w, h;               /**< after the crop */
    int16_t *residual[2];   /**< this picture's and the one before */
    float *rows;            /**< five windowed sums for each column of the rows in use */
    float window[TAPS];
    FILE *csv;
    int64_t frames, worst_at;
    double psnr, mse, worst, ssim, flicker, pulsing, last;
} Measure;

static int parse(Measure *m, int argc, char **argv)
{
    int n = 0;

    m->want_ssim = 1;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--crop") && i + 1 < argc && *argv[i + 1] >= '0' && *argv[i + 1] <= '9')
            m->crop = atoi(argv[++i]);
        else if (!strcmp(argv[i], "--csv") && i + 1 < argc)
            m->csv_path = argv[++i];
        else if (!strcmp(argv[i], "--no-ssim"))
            m->want_ssim = 0;
        else if (n < 2 && (argv[i][0] != '-' || !argv[i][1]))
            m->paths[n++] = argv[i];
        else
            n = 3;
    }
    if (n != 2 || (!strcmp(m->paths[0], "-") && !strcmp(m->paths[1], "-"))) {
        fprintf(stderr, "fsr_measure: give two y4m files and known options (see fsr_measure --help)\n");
        return -EINVAL;
    }
    return 0;
}

static int start(Measure *m)
{
    const FsrY4mFormat *a = &m->in[0].fmt, *b = &m->in[1].fmt;
    double sum = 0;

    if (a->width != b->width || a->height != b->height || a->bits != b->bits) {
        fprintf(stderr, "fsr_measure: %s is %dx%d, %d bit, but %s is %dx%d, %d bit: sizes and depths must be equal\n",
                m->in[0].path, a->width, a->height, a->bits, m->in[1].path, b->width, b->height, b->bits);
        return -EINVAL;
    }
    m->w = a->width - 2 * m->crop;
    m->h = a->height - 2 * m->crop;
    if (m->w < 1 || m->h < 1) {
        fprintf(stderr, "fsr_measure: --crop %d leaves nothing of %dx%d\n", m->crop, a->width, a->height);
        return -EINVAL;
    }
    if (m->w < TAPS || m->h < TAPS)
        m->want_ssim = 0;
    for (int i = 0; i < TAPS; i++)
        sum += m->window[i] = (float)exp(-(i - 5) * (i - 5) / (2 * 1.5 * 1.5));
    for (int i = 0; i < TAPS; i++)
        m->window[i] /= (float)sum;
    m->residual[0] = malloc(sizeof(int16_t) * m->w * m->h);
    m->residual[1] = malloc(sizeof(int16_t) * m->w * m->h);
    m->rows = malloc(sizeof(float) * 5 * m->w);
    if (!m->residual[0] || !m->residual[1] || !m->rows || fsr_y4m_alloc(a, m->planes[0]) < 0 ||
        fsr_y4m_alloc(b, m->planes[1]) < 0) {
        fprintf(stderr, "fsr_measure: out of memory\n");
        return -ENOMEM;
    }
    if (m->csv_path && !(m->csv = fopen(m->csv_path, "w"))) {
        fprintf(stderr, "fsr_measure: %s: %s\n", m->csv_path, strerror(errno));
        return -EIO;
    }
    if (m->csv)
        fprintf(m->csv, "frame,psnr,ssim,flicker\n");
    m->worst = 1e9;
    return 0;
}

static const uint16_t *row_of(const Measure *m, int which, int y)
{
    return m->planes[which][0] + (size_t)(y + m->crop) * m->in[0].fmt.width + m->crop;
}

/** Column sums of one output row: x, y, xx, yy, xy under the window's vertical half. */
static void ssim_columns(Measure *m, int y)
{
    float *s = m->rows;
    int w = m->w;

    memset(s, 0, sizeof(float) * 5 * w);
    for (int k = 0; k < TAPS; k++) {
        const uint16_t *a = row_of(m, 0, y + k), *b = row_of(m, 1, y + k);
        float g = m->window[k];
        for (int x = 0; x < w; x++) {
            float p = a[x], q = b[x];
            s[x] += g * p;
            s[w + x] += g * q;
            s[2 * w + x] += g * p * p;
            s[3 * w + x] += g * q * q;
            s[4 * w + x] += g * p * q;
        }
    }
}

static double ssim(Measure *m, double peak)
{
    double c1 = 0.01 * peak * 0.01 * peak, c2 = 0.03 * peak * 0.03 * peak, total = 0;

    for (int y = 0; y + TAPS <= m->h; y++) {
        double line = 0;
        ssim_columns(m, y);
        for (int x = 0; x + TAPS <= m->w; x++) {
            double v[5];
            for (int i = 0; i < 5; i++) {
                const float *s = m->rows + (size_t)i * m->w + x;
                float acc = 0;
                for (int k = 0; k < TAPS; k++)
                    acc += m->window[k] * s[k];
                v[i] = acc;
            }
            line += (2 * v[0] * v[1] + c1) * (2 * (v[4] - v[0] * v[1]) + c2) /
                    ((v[0] * v[0] + v[1] * v[1] + c1) *
                     (v[2] - v[0] * v[0] + v[3] - v[1] * v[1] + c2));
        }
        total += line;
    }
    return total / ((double)(m->w - TAPS + 1) * (m->h - TAPS + 1));
}

static double decibel(double peak, double mse)
{
    double db = mse > 0 ? 10 * log10(peak * peak / mse) : 100;

    return db < 100 ? db : 100;
}

static void compare(Measure *m)
{
    double peak = (1 << m->in[0].fmt.bits) - 1, step = m->in[0].fmt.bits > 8 ? 1.0 / 16 : 1;
    int64_t error = 0, change = 0;
    int16_t *now = m->residual[m->frames & 1], *before = m->residual[~m->frames & 1];
    double db, mse, similar = 0, flick;

    for (int y = 0; y < m->h; y++) {
        const uint16_t *a = row_of(m, 0, y), *b = row_of(m, 1, y);
        for (int x = 0; x < m->w; x++) {
            int r = b[x] - a[x], d = m->frames ? r - before[(size_t)y * m->w + x] : 0;
            now[(size_t)y * m->w + x] = (int16_t)r;
            error += r * r;
            change += d * d;
        }
    }
    mse = (double)error / ((double)m->w * m->h);
    flick = (double)change / ((double)m->w * m->h) * step;
    db = decibel(peak, mse);
    if (m->want_ssim)
        similar = ssim(m, peak);
    if (m->csv)
        fprintf(m->csv, "%lld,%.4f,%.5f,%.4f\n", (long long)m->frames, db, similar, flick);
    if (db < m->worst) {
        m->worst = db;
        m->worst_at = m->frames;
    }
    m->pulsing += m->frames ? fabs(db - m->last) : 0;
    m->last = db;
    m->psnr += db;
    m->mse += mse;
    m->ssim += similar;
    m->flicker += flick;
    m->frames++;
}

static int compare_all(Measure *m)
{
    for (;;) {
        int a = fsr_y4m_read(&m->in[0], m->planes[0]), b = fsr_y4m_read(&m->in[1], m->planes[1]);
        if (a < 0 || b < 0) {
            fprintf(stderr, "fsr_measure: %s\n", m->in[a < 0 ? 0 : 1].error);
            return -EIO;
        }
        if (a != b) {
            fprintf(stderr, "fsr_measure: %s ends after %lld frames, the other goes on: lengths must be equal\n",
                    m->in[a ? 1 : 0].path, (long long)m->frames);
            return -EINVAL;
        }
        if (!a)
            break;
        compare(m);
    }
    if (m->frames)
        return 0;
    fprintf(stderr, "fsr_measure: there are no frames\n");
    return -EINVAL;
}

static void print(const Measure *m)
{
    double n = (double)m->frames, peak = (1 << m->in[0].fmt.bits) - 1, steps = n > 1 ? n - 1 : 1;

    printf("frames %lld\npsnr %.4f\npooled %.4f\nworst %.4f\nworst_at %lld\n", (long long)m->frames, m->psnr / n,
           decibel(peak, m->mse / n), m->worst, (long long)m->worst_at);
    if (m->want_ssim)
        printf("ssim %.5f\n", m->ssim / n);
    printf("flicker %.4f\npulsing %.4f\n", m->flicker / steps, m->pulsing / steps);
}

int main(int argc, char **argv)
{
    Measure m = { 0 };
    int ret;

    if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
        fputs(help, stdout);
        return 0;
    }
    ret = parse(&m, argc, argv);
    for (int i = 0; i < 2 && ret >= 0; i++)
        if ((ret = fsr_y4m_open(&m.in[i], m.paths[i])) < 0)
            fprintf(stderr, "fsr_measure: %s\n", m.in[i].error);
    if (ret >= 0)
        ret = start(&m);
    if (ret >= 0)
        ret = compare_all(&m);
    if (ret >= 0)
        print(&m);
    if (m.csv && fclose(m.csv) && ret >= 0) {
        fprintf(stderr, "fsr_measure: %s could not be written\n", m.csv_path);
        ret = -EIO;
    }
    for (int i = 0; i < 2; i++) {
        fsr_y4m_close(&m.in[i], 0);
        free(m.planes[i][0]);
        free(m.residual[i]);
    }
    free(m.rows);
    return ret < 0;
}
