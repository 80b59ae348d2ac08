/*
 * Convolution in integers.
 *
 * Planes are bytes, four of them in a 32-bit word; a row of a value with `groups` words in a
 * sample is `groups` rows of words, `pitch` words apart, so that neighbouring words of memory
 * are neighbouring samples of the same four planes. A vector holds samples; weights are
 * broadcast. Every kernel gives the bits of fsr_i8_c, which is the definition:
 *
 *     sum  = bias + sum of weight * byte                      (32 bits, must not overflow)
 *     byte = clip(0, 255, (sat16(sum >> shift) * mult + 2^14) >> 15)     or
 *     float = (float)sum * scale                              (clipped at zero: relu)
 *
 * Four planes that the rest of the network is sensitive to can be `fine`. Their weights have
 * two bytes (sum = (sum of upper * byte << fine_bits) + sum of lower * byte + bias), and as a
 * result they have FSR_I8_WIDE_MAX + 1 steps in two words: the upper 8 bits, then the lower
 * FSR_I8_LOW_BITS. For the next convolution those are planes like others.
 *
 * A kernel of `lanes` has the words of a sample side by side instead, `pitch` words from one sample to the next, as all
 * pitches mean there: for networks whose values have 16 planes, with no fine block but in what was made of floats.
 *
 * A value that did not come from here has one word for each sample of each plane, 0 to
 * FSR_I8_WIDE_MAX. It is unfolded first: taps says which row of the window, plane and part
 * each byte is, and the kernel has one row.
 */
#ifndef FASTSR_NN_KERNELS_I8_H
#define FASTSR_NN_KERNELS_I8_H

#include <stddef.h>
#include <stdint.h>

enum {
    FSR_I8_LOW_BITS = 3,
    FSR_I8_WIDE_MAX = (256 << FSR_I8_LOW_BITS) - 1,
    FSR_I8_SUM_BITS = 11,
    FSR_I8_SLACK    = 32,       /* words behind a row of words that a kernel may read */
    FSR_I8_MAX_TAPS = 1 << 14,  /* bytes a sum is made of: 2^14 * 255 * 127 + bias < 2^31 */
    FSR_I8_BLOCKS   = 1024,     /* of four planes */
};

typedef struct FsrI8Tap {
    uint16_t plane;
    uint8_t  row, low;          /* low: the lower bits, else the upper 8 */
} FsrI8Tap;

typedef struct FsrI8Conv {
    int       groups, kw, kh;   /* as the kernel sees it: words in a sample, window */
    int       cout;
    int       float_out, relu;  /* relu: of float results; bytes are clipped anyway */
    int       cout_stride;      /* floats from one sample to the next, of float results */
    uint8_t  *fine;             /* [blocks of 4 planes] */
    int       fine_bits;
    int       in_pitch, out_pitch;
    FsrI8Tap *taps;             /* [4 * groups]; NULL: the value is bytes */
    int       scratch_pitch;    /* words of one unfolded row */
    /* for each plane, rounded up to 4 */
    int32_t  *bias, *shift;
    int16_t  *mult;
    float    *scale;
    void     *weights;          /* in the kernel's order */
} FsrI8Conv;

/* What the numbers of a value mean: low + step * number. */
typedef struct FsrI8Format {
    int      planes;
    float   *low, *step;        /* of each plane, rounded up to 16: then 0 and infinite */
    uint8_t *fine;              /* [blocks of 4 planes], of as many: then 0 */
} FsrI8Format;

/* Sums of bytes: clip(0, 255, (a * ratio[plane][0] + b * ratio[plane][1] + offset[plane]) >> FSR_I8_SUM_BITS). */
typedef struct FsrI8Sum {
    int      planes;
    int16_t *ratio;             /* both: planes rounded up to 4 */
    int32_t *offset;
} FsrI8Sum;

typedef struct FsrI8Kernel {
    const char *name;
    int    words;               /* that the weights of one plane for a word take when packed */
    /* weights: [blocks of 4 planes; a fine one twice: upper, lower][4][kh][groups][kw][4];
     * dst is 64-byte aligned */
    void   (*pack)(const FsrI8Conv *c, const int8_t *weights, void *dst);
    /* rows: one for each row of the window, at the word under its left edge for sample 0.
     * scratch: groups * scratch_pitch words, for values that are unfolded. */
    void   (*row)(const FsrI8Conv *c, const uint32_t *const *rows, void *dst, int width, uint32_t *scratch);
    /* Floats to bytes: number = clip(0, top, (float - low) * (1 / step) + 1/2), cut, with top 255, or FSR_I8_WIDE_MAX
     * in fine blocks, whose lower bits go to words behind those of all blocks. Not a number: 0. `width` samples,
     * `stride` floats apart; rows of words are `pitch` apart, width words of each are written. */
    void   (*bytes)(const FsrI8Format *f, const float *src, int stride, uint32_t *dst, int pitch, int width);
    void   (*sum)(const FsrI8Sum *s, const uint32_t *a, int a_pitch, const uint32_t *b, int b_pitch, uint32_t *dst,
                  int pitch, int width);
    int    lanes;               /* see above; taps are not known there */
} FsrI8Kernel;

static inline int fsr_i8_blocks(const FsrI8Conv *c)
{
    return (c->cout + 3) / 4;
}

/* Planes that a row has: with those that fill up a word, whose weights and factor are 0, where floats have room for them. */
static inline int fsr_i8_planes(const FsrI8Conv *c)
{
    const int all = 4 * fsr_i8_blocks(c);

    return c->float_out && c->cout_stride < all ? c->cout : all;
}

/* Where block b begins in weights (or in words of bytes): a fine one counts twice. */
static inline int fsr_i8_place(const FsrI8Conv *c, int b)
{
    int at = b;

    for (int i = 0; i < b; i++)
        at += c->fine[i];
    return at;
}

static inline size_t fsr_i8_taps(const FsrI8Conv *c)
{
    return (size_t)c->kh * c->groups * c->kw;
}

/* Bytes that packed weights take. */
static inline size_t fsr_i8_packed(const FsrI8Kernel *k, const FsrI8Conv *c)
{
    return (k->lanes ? 4 : fsr_i8_place(c, fsr_i8_blocks(c))) * fsr_i8_taps(c) * 16 * k->words;
}

extern const FsrI8Kernel fsr_i8_c, fsr_i8_avx2, fsr_i8_avxvnni, fsr_i8_avx512vnni, fsr_i8_lanes_avx512vnni;

#endif /* FASTSR_NN_KERNELS_I8_H */
