/*
 * Convolution kernels: one row of output samples at a time.
 *
 * A row holds samples one after the other, each with its planes side by side
 * and `stride` 32-bit words to the next sample (fsr_nn_stride). Planes are floats,
 * or bfloat16 (the upper half of a float), two in a word, even ones first. A kernel gets the kh
 * input rows of its window, each pointing at the sample under the window's left
 * edge for output sample 0, and never reads outside the width + kw - 1 samples.
 * Every output sample is computed in the same order of operations wherever it
 * lies in a row (or in its block of the row): results do not depend on how a picture is cut.
 */
#ifndef FASTSR_NN_KERNELS_H
#define FASTSR_NN_KERNELS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct FsrConvShape {
    int cin, cin_stride;        /* planes, words between neighbouring samples */
    int cout, cout_stride;
    int kw, kh;
    int relu;
    int in_bf16, out_bf16;      /* then weights are rounded to bfloat16 too; sums are float */
    int cold;                   /* results lie outside of the second-level cache: kernels fetch their lines early */
    float top;                  /* of rectified results: none is larger; 0: no limit */
} FsrConvShape;

typedef struct FsrConvKernel {
    const char *name;
    /* Whether the kernel can do a shape; NULL: any (plain C). */
    int    (*fits)(const FsrConvShape *s);
    /* Floats that the packed weights and bias take. */
    size_t (*packed_floats)(const FsrConvShape *s);
    /* weights: [cout][cin][kh][kw]; dst is 64-byte aligned. */
    void   (*pack)(const FsrConvShape *s, const float *weights, const float *bias, float *dst);
    /* Floats of scratch that a row of any width needs; NULL: none. */
    size_t (*scratch_floats)(const FsrConvShape *s);
    void   (*row)(const FsrConvShape *s, const float *packed, const float *const *rows,
                  float *dst, int width, float *scratch);
    /* Samples that are computed together, counted from the row's start, where that can be told
     * from the result; NULL: every sample gives the same bits wherever a row begins. */
    int    (*block)(const FsrConvShape *s);
} FsrConvKernel;

/* Sets of kernels, from the plainest to the best. */
typedef enum FsrIsa {
    FSR_ISA_C,          /* plain C: the definition */
    FSR_ISA_BLAS,       /* im2col and OpenBLAS */
    FSR_ISA_AVX2,
    FSR_ISA_AVXVNNI,    /* AVX2 with products of bytes */
    FSR_ISA_AVX512,
    FSR_ISA_AVX512VNNI, /* AVX-512 with products of bytes */
    FSR_ISA_AVX512BF16, /* AVX-512 with products of bfloat16 pairs */
    FSR_ISA_NB,
} FsrIsa;

/* Best set that this machine has and that the environment variable FASTSR_CPU
 * (c, blas, avx2, avxvnni, avx512, avx512vnni, avx512bf16) allows. */
FsrIsa fsr_nn_isa(void);

/* "c", "blas", ... */
const char *fsr_nn_isa_name(FsrIsa isa);

/* Whether this machine can run a set. */
int fsr_nn_isa_available(FsrIsa isa);

/* The kernel of the set (or, where it has none that fits, of a plainer one). */
const FsrConvKernel *fsr_nn_pick_conv(FsrIsa isa, const FsrConvShape *s);

/* The kernel for integers (kernels/i8.h); all give the same bits. */
const struct FsrI8Kernel *fsr_nn_pick_i8(FsrIsa isa);
/* The one of lanes, or NULL. */
const struct FsrI8Kernel *fsr_nn_pick_i8_lanes(FsrIsa isa);

/* Words between neighbouring samples of a value with this many planes: few planes
 * are packed, others start each sample on a vector. bfloat16: more than 4 planes. */
static inline int fsr_nn_stride(int channels, int bf16)
{
    if (channels <= 4)
        return channels;
    return (channels <= 8 ? 8 : (channels + 15) / 16 * 16) >> bf16;
}

/* float to bfloat16 and back, nearest even; not for NaN */
static inline uint16_t fsr_to_bf16(float f)
{
    uint32_t u;

    memcpy(&u, &f, sizeof(u));
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

static inline float fsr_from_bf16(uint16_t h)
{
    uint32_t u = (uint32_t)h << 16;
    float    f;

    memcpy(&f, &u, sizeof(f));
    return f;
}

/* Plane c of a sample. */
static inline float fsr_get_plane(const float *sample, int c, int bf16)
{
    return bf16 ? fsr_from_bf16(((const uint16_t *)sample)[c]) : sample[c];
}

static inline void fsr_set_plane(float *sample, int c, int bf16, float v)
{
    if (bf16)
        ((uint16_t *)sample)[c] = fsr_to_bf16(v);
    else
        sample[c] = v;
}

/* packed_floats of plain C and OpenBLAS: weights and biases as they are. */
size_t fsr_conv_plain_floats(const FsrConvShape *s);

extern const FsrConvKernel fsr_conv_c, fsr_conv_blas;
extern const FsrConvKernel fsr_conv_wide_avx2, fsr_conv_few_avx2;
extern const FsrConvKernel fsr_conv_wide_avx512, fsr_conv_few_avx512;
extern const FsrConvKernel fsr_conv_wide_bf16, fsr_conv_few_bf16;

#endif /* FASTSR_NN_KERNELS_H */
