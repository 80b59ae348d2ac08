/*
 * Depthwise convolution with vectors, written once for all vector sizes: a register holds
 * VW planes of one output sample. DW_P samples are made side by side, so that each input
 * vector and each weight is loaded once for all taps of a kernel row. The file that includes
 * this defines what vec256.h and vec512.h define, v_fma, ISA(name), ISA_NAME, DW_P, and v_store_bytes
 * where it can.
 */
#include "nn/kernels/depthwise.h"

static int dw_fits(const FsrDwShape *s)
{
#ifndef v_store_bytes
#define v_store_bytes(p, v) ((void)(p), (void)(v))
    if (s->bytes)
        return 0;
#endif
    return s->stride % VW == 0;
}

/* P samples from x on, the planes c to c + VW - 1. KW, SX: what s has, or 0 where only s
 * knows them. */
INLINE void dw_vector(const FsrDwShape *s, const float *packed, const float *const *rows,
                      void *dst, int x, int c, const int P, const int KW, const int SX)
{
    const int    stride = s->stride, kw = KW ? KW : s->kw, sx = SX ? SX : s->sx;
    const int    all = s->before + kw + s->after;
    const float *w = packed + (1 + s->before) * stride + c;
    vec acc[DW_P], lo = v_set1(&s->lo), hi = v_set1(&s->hi);

    UNROLL for (int p = 0; p < P; p++)
        acc[p] = v_load(packed + c);
    for (int ky = 0; ky < s->kh; ky++, w += all * stride) {
        const float *in = rows[ky] + (size_t)x * sx * stride + c;

        if (KW && SX) {
            vec wv[5];

            UNROLL for (int k = 0; k < KW; k++)
                wv[k] = v_load(w + k * stride);
            UNROLL for (int q = 0; q < (P - 1) * SX + KW; q++) {
                vec v = v_load(in + q * stride);
                UNROLL for (int k = 0; k < KW; k++)
                    if (q >= k && (q - k) % SX == 0 && (q - k) / SX < P)
                        acc[(q - k) / SX] = v_fma(v, wv[k], acc[(q - k) / SX]);
            }
        } else {
            for (int k = 0; k < kw; k++) {
                vec v = v_load(w + k * stride);
                UNROLL for (int p = 0; p < P; p++)
                    acc[p] = v_fma(v_load(in + (p * sx + k) * stride), v, acc[p]);
            }
        }
    }
    UNROLL for (int p = 0; p < P; p++)
        acc[p] = v_min(v_max(acc[p], lo), hi);
    if (s->bytes)
        UNROLL for (int p = 0; p < P; p++)
            v_store_bytes((uint8_t *)dst + (size_t)(x + p) * stride + c, acc[p]);
    else
        UNROLL for (int p = 0; p < P; p++)
            v_store((float *)dst + (size_t)(x + p) * stride + c, acc[p]);
}

INLINE void dw_samples(const FsrDwShape *s, const float *packed, const float *const *rows,
                       void *dst, int x, const int P, const int KW, const int SX)
{
    for (int c = 0; c < s->stride; c += VW)
        dw_vector(s, packed, rows, dst, x, c, P, KW, SX);
}

/* The last block is moved back over samples that are there already. */
INLINE void dw_width(const FsrDwShape *s, const float *packed, const float *const *rows,
                     void *dst, int width, const int KW, const int SX)
{
    int x = 0;

    for (; x + DW_P <= width; x += DW_P)
        dw_samples(s, packed, rows, dst, x, DW_P, KW, SX);
    for (; x + DW_P / 2 <= width; x += DW_P / 2)
        dw_samples(s, packed, rows, dst, x, DW_P / 2, KW, SX);
    for (; x + DW_P / 4 <= width; x += DW_P / 4)
        dw_samples(s, packed, rows, dst, x, DW_P / 4, KW, SX);
    if (x < width && width >= DW_P / 4)
        dw_samples(s, packed, rows, dst, width - DW_P / 4, DW_P / 4, KW, SX);
    else
        for (; x < width; x++)
            dw_samples(s, packed, rows, dst, x, 1, KW, SX);
}

static void dw_row(const FsrDwShape *s, const float *packed, const float *const *rows, void *dst, int width)
{
    switch (s->sx <= 2 ? s->kw * 4 + s->sx : 0) {
    case 3 * 4 + 1: dw_width(s, packed, rows, dst, width, 3, 1); break;
    case 3 * 4 + 2: dw_width(s, packed, rows, dst, width, 3, 2); break;
    case 5 * 4 + 1: dw_width(s, packed, rows, dst, width, 5, 1); break;
    case 5 * 4 + 2: dw_width(s, packed, rows, dst, width, 5, 2); break;
    default:        dw_width(s, packed, rows, dst, width, 0, 0); break;
    }
}

const FsrDwKernel ISA(fsr_dw) = { ISA_NAME, dw_fits, dw_row };
