/* The yardsticks of nn_bench: the machine's peak, and im2col with OpenBLAS. */
#include "tests/tools/nn_bench.h"
#include "nn/kernels/i8.h"

#include <cblas.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

double fsr_bench_now(int wall)
{
    struct timespec ts;

    clock_gettime(wall ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID, &ts);
    return ts.tv_sec + ts.tv_nsec * 1e-9;
}

/* Each burst does `rounds` rounds and returns multiply-accumulates per round. */
#if defined(__x86_64__)
enum { CHAINS_512 = 24, CHAINS_256 = 12 };

__attribute__((target("avx512f"))) static int burst_avx512(long rounds)
{
    __m512 acc[CHAINS_512], a = _mm512_set1_ps(0.5f), b = _mm512_set1_ps(0.25f);

    __asm__ volatile("" : "+v"(a), "+v"(b));
#pragma GCC unroll 24
    for (int i = 0; i < CHAINS_512; i++)
        acc[i] = b;
    for (long r = 0; r < rounds; r++) {
#pragma GCC unroll 24
        for (int i = 0; i < CHAINS_512; i++) {
            acc[i] = _mm512_fmadd_ps(acc[i], a, b);
            __asm__ volatile("" : "+v"(acc[i]));
        }
    }
    return CHAINS_512 * 16;
}

__attribute__((target("avx512f,avx512bf16"))) static int burst_bf16(long rounds)
{
    __m512 acc[CHAINS_512], a = _mm512_set1_ps(0.5f);

    __asm__ volatile("" : "+v"(a));
#pragma GCC unroll 24
    for (int i = 0; i < CHAINS_512; i++)
        acc[i] = a;
    for (long r = 0; r < rounds; r++) {
#pragma GCC unroll 24
        for (int i = 0; i < CHAINS_512; i++) {
            acc[i] = _mm512_dpbf16_ps(acc[i], (__m512bh)a, (__m512bh)a);
            __asm__ volatile("" : "+v"(acc[i]));
        }
    }
    return CHAINS_512 * 32;
}

__attribute__((target("avx512f,avx512vnni"))) static int burst_avx512vnni(long rounds)
{
    __m512i acc[CHAINS_512], a = _mm512_set1_epi32(0x01010101);

    __asm__ volatile("" : "+v"(a));
#pragma GCC unroll 24
    for (int i = 0; i < CHAINS_512; i++)
        acc[i] = a;
    for (long r = 0; r < rounds; r++) {
#pragma GCC unroll 24
        for (int i = 0; i < CHAINS_512; i++)
            __asm__ volatile("vpdpbusd %1, %1, %0" : "+v"(acc[i]) : "v"(a));
    }
    return CHAINS_512 * 64;
}

__attribute__((target("avx2"))) static int burst_avxvnni(long rounds)
{
    __m256i acc[CHAINS_256], a = _mm256_set1_epi32(0x01010101);

    __asm__ volatile("" : "+x"(a));
#pragma GCC unroll 12
    for (int i = 0; i < CHAINS_256; i++)
        acc[i] = a;
    for (long r = 0; r < rounds; r++) {
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS_256; i++)
            __asm__ volatile("%{vex%} vpdpbusd %1, %1, %0" : "+x"(acc[i]) : "x"(a));
    }
    return CHAINS_256 * 32;
}

/* Without products of bytes: those of 16 bits, and their sums. */
__attribute__((target("avx2"))) static int burst_madd(long rounds)
{
    __m256i acc[CHAINS_256], a = _mm256_set1_epi16(1);

    __asm__ volatile("" : "+x"(a));
#pragma GCC unroll 12
    for (int i = 0; i < CHAINS_256; i++)
        acc[i] = a;
    for (long r = 0; r < rounds; r++) {
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS_256; i++) {
            __m256i product = _mm256_madd_epi16(a, a);
            __asm__ volatile("" : "+x"(product));
            acc[i] = _mm256_add_epi32(acc[i], product);
            __asm__ volatile("" : "+x"(acc[i]));
        }
    }
    return CHAINS_256 * 16;
}

__attribute__((target("avx2,fma"))) static int burst_avx2(long rounds)
{
    __m256 acc[CHAINS_256], a = _mm256_set1_ps(0.5f), b = _mm256_set1_ps(0.25f);

    __asm__ volatile("" : "+x"(a), "+x"(b));
#pragma GCC unroll 12
    for (int i = 0; i < CHAINS_256; i++)
        acc[i] = b;
    for (long r = 0; r < rounds; r++) {
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS_256; i++) {
            acc[i] = _mm256_fmadd_ps(acc[i], a, b);
            __asm__ volatile("" : "+x"(acc[i]));
        }
    }
    return CHAINS_256 * 8;
}
#endif

typedef float vec4 __attribute__((vector_size(16)));

static int burst_plain(long rounds)
{
    vec4 acc[8], a = { 0.5f, 0.5f, 0.5f, 0.5f }, b = { 0.25f, 0.25f, 0.25f, 0.25f };

    for (int i = 0; i < 8; i++)
        acc[i] = b;
    for (long r = 0; r < rounds; r++) {
#pragma GCC unroll 8
        for (int i = 0; i < 8; i++)
            acc[i] = acc[i] * a + b;
        __asm__ volatile("" : : "r"(acc) : "memory");
    }
    return 8 * 4;
}

double fsr_bench_peak(FsrIsa isa, FsrPrecision precision, double seconds, int *products)
{
    const long rounds = 20000;
    double start, stop;
    int64_t macs = 0;
    int (*burst)(long) = burst_plain;

#if defined(__x86_64__)
    if (isa == FSR_ISA_BLAS)            /* OpenBLAS uses what there is */
        isa = FSR_ISA_NB - 1;
    while (!fsr_nn_isa_available(isa))
        isa--;
    burst = isa >= FSR_ISA_AVX512 ? burst_avx512 : isa >= FSR_ISA_AVX2 ? burst_avx2 : burst_plain;
    if (isa == FSR_ISA_AVX512BF16 && precision == FSR_PRECISION_BF16)
        burst = burst_bf16;
    if (precision == FSR_PRECISION_I8) {
        const FsrI8Kernel *k = fsr_nn_pick_i8(isa);

        burst = k == &fsr_i8_avx512vnni ? burst_avx512vnni : k == &fsr_i8_avxvnni ? burst_avxvnni :
                k == &fsr_i8_avx2 ? burst_madd : burst_plain;
    }
#else
    (void)isa;
    (void)precision;
#endif
    *products = 4;
#if defined(__x86_64__)
    *products = burst == burst_avx512vnni ? 64 : burst == burst_avxvnni || burst == burst_bf16 ? 32 :
                burst == burst_avx512 || burst == burst_madd ? 16 : burst == burst_avx2 ? 8 : 4;
#endif
    start = fsr_bench_now(0);
    do
        macs += burst(rounds) * rounds;
    while ((stop = fsr_bench_now(0)) < start + seconds);
    return macs / (stop - start) * 1e-9;
}

double fsr_bench_clock(double seconds)
{
    double   start = fsr_bench_now(0), stop;
    uint64_t adds  = 0, v = 0;

    do {
        for (int i = 0; i < 20000; i++) {
            /* ten dependent additions: the loop's own work hides beside them */
#pragma GCC unroll 10
            for (int k = 0; k < 10; k++) {
                v += 3;
                __asm__ volatile("" : "+r"(v));
            }
        }
        adds += 200000;
    } while ((stop = fsr_bench_now(0)) < start + seconds);
    return adds / (stop - start) * 1e-9;
}

/* ---- im2col ----------------------------------------------------------------------- */

enum { BAND_FLOATS = 1 << 20 };

/* col[k][samples of the band]; the planes have a border as wide as the kernel reaches */
static void unfold(const FsrNode *n, const float *in, int planes, size_t pitch, size_t plane,
                   int width, int y, int rows, float *col)
{
    for (int c = 0; c < planes; c++)
        for (int ky = 0; ky < n->kh; ky++)
            for (int kx = 0; kx < n->kw; kx++)
                for (int j = 0; j < rows; j++, col += width) {
                    const float *src = in + c * plane + ((y + j) * n->sy + ky) * pitch + kx;

                    for (int x = 0; n->sx > 1 && x < width; x++)
                        col[x] = src[x * n->sx];
                    if (n->sx == 1)
                        memcpy(col, src, width * sizeof(*col));
                }
}

/* Rows y to y + rows - 1 of the result; a depthwise convolution is one product for each plane. */
static void conv_band(const FsrNode *n, int planes, const float *in, size_t pitch, size_t plane,
                      int width, size_t area, int y, int rows, float *col, float *out)
{
    const int    groups = n->op == FSR_OP_DEPTHWISE ? planes : 1, m = n->channels / groups;
    const int    k = planes / groups * n->kw * n->kh;
    const size_t at = (size_t)y * width, len = (size_t)rows * width;

    for (int g = 0; g < groups; g++) {
        unfold(n, in + g * (planes / groups) * plane, planes / groups, pitch, plane, width, y, rows, col);
        for (int o = g * m; o < (g + 1) * m; o++)
            for (size_t i = 0; i < len; i++)
                out[o * area + at + i] = n->bias[o];
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, len, k, 1,
                    n->weights + (size_t)g * m * k, k, col, len, 1, out + g * m * area + at, area);
    }
    for (int o = 0; n->relu && o < n->channels; o++)
        for (size_t i = 0; i < len; i++)
            out[o * area + at + i] = out[o * area + at + i] < 0 ? 0 : out[o * area + at + i];
}

static int conv_pass(const FsrPlan *p, int i, int threads, double *seconds)
{
    const FsrNode *n = &p->net->nodes[i];
    const int planes = p->net->nodes[n->in[0]].channels, k = planes * n->kw * n->kh;
    size_t    pitch, plane, area;
    int       width, height, band;
    float    *in, *out, *col;
    double    start;

    fsr_plan_size(p, i, &width, &height);
    pitch = (width - 1) * n->sx + n->kw;
    plane = pitch * ((height - 1) * n->sy + n->kh);
    area  = (size_t)width * height;
    band  = BAND_FLOATS / ((size_t)k * width);
    band  = band < 1 ? 1 : band > height ? height : band;
    in    = calloc(planes * plane, sizeof(*in));
    out   = calloc(n->channels * area, sizeof(*out));
    col   = malloc((size_t)k * band * width * sizeof(*col));
    if (in && out && col) {
        memset(in, 0x3c, planes * plane * sizeof(*in));
        start = fsr_bench_now(threads > 1);
        for (int y = 0; y < height; y += band)
            conv_band(n, planes, in, pitch, plane, width, area, y, y + band > height ? height - y : band,
                      col, out);
        *seconds += fsr_bench_now(threads > 1) - start;
    }
    free(in);
    free(out);
    free(col);
    return in && out && col ? 0 : -ENOMEM;
}

double fsr_bench_im2col(const FsrPlan *p, int threads)
{
    double seconds = 0;

    openblas_set_num_threads(threads);          /* this process is ours */
    for (int i = 0; i < p->net->nb_nodes; i++) {
        const FsrOp op = p->net->nodes[i].op;
        int ret;
        if ((op == FSR_OP_CONV || op == FSR_OP_DEPTHWISE) && (ret = conv_pass(p, i, threads, &seconds)) < 0)
            return ret;
    }
    return seconds;
}
