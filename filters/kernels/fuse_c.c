/* What fill=fuse does with every sample, in plain C: what the other versions must equal. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fuse.h"

void fsr_fuse_get_c(float *dst, ptrdiff_t stride, const FsrFuseRow *r, const float *factor, int n)
{
    for (int i = 0; i < n; i++, dst += stride) {
        const int mismatch = r->weight[i] ? r->luma[i] - r->pred[i] : 0;

        dst[0] = r->luma[i] * factor[0] - 0.5f;
        for (int k = 0; k < 4; k++)
            dst[1 + k] = r->detail[k / 2][2 * i + k % 2] * factor[1 + k];
        for (int k = 0; k < FSR_DEEP - 1; k++)
            dst[5 + k] = r->state[i * FSR_DEEP + k] * factor[5 + k];
        dst[12] = mismatch * factor[12];
        dst[13] = fabsf(mismatch * factor[13]);
        dst[14] = r->weight[i] * factor[14];
        dst[15] = r->qp[(r->qp_x + i) / 4] * factor[15];
    }
}

static int to_int(float v, float limit, float unit)
{
    v = v > -limit ? v : -limit;
    v = v < limit ? v : limit;
    return (int)(v * unit + 32768.5f) - 32768;
}

void fsr_fuse_put_c(int16_t *const hr[2], int16_t *state, const float *src, ptrdiff_t stride, int n)
{
    for (int i = 0; i < n; i++, src += stride) {
        for (int k = 0; k < 4; k++) {
            int16_t  *d = hr[k / 2] + 2 * i + k % 2;
            const int v = *d + to_int(src[k], 1, FSR_UNIT);

            *d = v > FSR_UNIT * 5 / 4 ? FSR_UNIT * 5 / 4 : v < -FSR_UNIT / 4 ? -FSR_UNIT / 4 : v;
        }
        if (!state)
            continue;
        for (int k = 0; k < FSR_DEEP - 1; k++)
            state[i * FSR_DEEP + k] = to_int(src[4 + k], 4, 4096);
        state[i * FSR_DEEP + FSR_DEEP - 1] = 0;
    }
}

void fsr_rate_c(uint32_t *detail, uint32_t *mismatch, const int16_t *p, ptrdiff_t stride, const int16_t *pred, const int16_t *weight,
                int n)
{
    for (int x = 0; x < n; x++) {
        const uint32_t d = abs(4 * p[x] - p[x - 1] - p[x + 1] - p[x - stride] - p[x + stride]) / 32;
        const uint32_t m = weight[x] ? (uint32_t)abs(p[x] - pred[x]) / 8 : d;

        *detail   += d * d;
        *mismatch += m * m;
    }
}

void fsr_add_row_c(int16_t *dst, const int16_t *src, int n)
{
    for (int i = 0; i < n; i++)
        dst[i] = fsr_sat16(dst[i] + src[i]);
}

void fsr_sum_pairs_c(int16_t *dst, const int16_t *src, int n, int add)
{
    for (int i = 0; i < n; i++)
        dst[i] = (add ? dst[i] : 0) + src[2 * i] + src[2 * i + 1];
}
