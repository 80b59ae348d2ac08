/*
 * block_stats A B: what block-wise work leaves in picture A when B is the same picture made
 * without blocks (y4m, same size). Prints 'name value' lines, luma in steps of 8 bits:
 *
 *   frames
 *   grid8, grid16  energy of the step across lines at multiples of 8 and 16 samples, divided by
 *                  that across all other lines, in A - B: 1 without a grid
 *   steps          energy of all steps in A - B
 *   darkest, brightest  the largest difference of a block of 16x16, mean of A less mean of B, and
 *   darkest_at, brightest_at  the pictures where they are
 */
#include <stdlib.h>

#include "samples/y4m.h"

typedef struct Stats {
    double  sum[3], nb[3];              /* steps inside, at multiples of 8 only, at multiples of 16 */
    double  low, high;
    int64_t low_at, high_at;
} Stats;

static void add_step(Stats *s, int at, double step)
{
    const int kind = at % 8 ? 0 : at % 16 ? 1 : 2;

    s->sum[kind] += step * step;
    s->nb[kind]++;
}

static void add_block(Stats *s, const double *d, int w, int64_t frame)
{
    double mean = 0;

    for (int y = 0; y < 16; y++)
        for (int x = 0; x < 16; x++)
            mean += d[y * w + x] / 256;
    if (mean < s->low) {
        s->low    = mean;
        s->low_at = frame;
    }
    if (mean > s->high) {
        s->high    = mean;
        s->high_at = frame;
    }
}

static void add_picture(Stats *s, const double *d, int w, int h, int64_t frame)
{
    for (int y = 0; y < h; y++)
        for (int x = 1; x < w; x++)
            add_step(s, x, d[y * w + x] - d[y * w + x - 1]);
    for (int y = 1; y < h; y++)
        for (int x = 0; x < w; x++)
            add_step(s, y, d[y * w + x] - d[(y - 1) * w + x]);
    for (int y = 0; y + 16 <= h; y += 8)
        for (int x = 0; x + 16 <= w; x += 8)
            add_block(s, d + y * w + x, w, frame);
}

static double ratio(const Stats *s, int kind)
{
    const double at = s->nb[kind] ? s->sum[kind] / s->nb[kind] : 0, inside = s->nb[0] ? s->sum[0] / s->nb[0] : 0;

    return inside > 0 ? at / inside : at > 0 ? 1e9 : 1;
}

int main(int argc, char **argv)
{
    FsrY4m    in[2] = { 0 };
    uint16_t *p[2][3];
    double   *d;
    Stats     s = { .low = 0 };
    int64_t   frames = 0;
    int       w, h, a = 0, b = 0;

    if (argc != 3) {
        fprintf(stderr, "usage: block_stats A.y4m B.y4m\n");
        return 1;
    }
    for (int i = 0; i < 2; i++)
        if (fsr_y4m_open(&in[i], argv[1 + i]) < 0 || fsr_y4m_alloc(&in[i].fmt, p[i]) < 0) {
            fprintf(stderr, "block_stats: %s: %s\n", argv[1 + i], in[i].error);
            return 1;
        }
    w = in[0].fmt.width;
    h = in[0].fmt.height;
    d = malloc(sizeof(*d) * w * h);
    if (!d || in[1].fmt.width != w || in[1].fmt.height != h || in[1].fmt.bits != in[0].fmt.bits) {
        fprintf(stderr, "block_stats: the pictures differ in size\n");
        return 1;
    }
    while ((a = fsr_y4m_read(&in[0], p[0])) > 0 && (b = fsr_y4m_read(&in[1], p[1])) > 0) {
        for (int i = 0; i < w * h; i++)
            d[i] = (p[0][0][i] - (double)p[1][0][i]) / (1 << (in[0].fmt.bits - 8));
        add_picture(&s, d, w, h, frames++);
    }
    if (a || !frames) {
        fprintf(stderr, "block_stats: a video is damaged, or the second is shorter\n");
        return 1;
    }
    printf("frames %lld\ngrid8 %.4f\ngrid16 %.4f\nsteps %.4f\ndarkest %.3f\ndarkest_at %lld\nbrightest %.3f\nbrightest_at %lld\n",
           (long long)frames, ratio(&s, 1), ratio(&s, 2), (s.sum[0] + s.sum[1] + s.sum[2]) / (s.nb[0] + s.nb[1] + s.nb[2]),
           s.low, (long long)s.low_at, s.high, (long long)s.high_at);
    return 0;
}
