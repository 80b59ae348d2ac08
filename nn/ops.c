/* Compiled with -O3: plain loops that the compiler turns into vectors. */
#include "nn/ops.h"

#include <math.h>
#include <string.h>

#include "nn/kernels.h"

static float combine(FsrOp op, float a, float b)
{
    if (op == FSR_OP_PRELU)
        return a < 0 ? a * b : a;
    return op == FSR_OP_MUL ? a * b : op == FSR_OP_SUB ? a - b : a + b;
}

static float plane(const FsrRow *r, int x, int c)
{
    return fsr_get_plane(r->data + (size_t)x * r->stride, r->planes == 1 ? 0 : c, r->bf16);
}

static void broadcast(FsrOp op, int relu, float *dst, int dst_bf16, int dst_stride,
                      const FsrRow *a, const FsrRow *b, int width)
{
    const int planes = a->planes > b->planes ? a->planes : b->planes;

    for (int x = 0; x < width; x++, dst += dst_stride)
        for (int c = 0; c < planes; c++) {
            float v = combine(op, plane(a, x, c), plane(b, x, c));
            fsr_set_plane(dst, c, dst_bf16, relu && v < 0 ? 0 : v);
        }
}

static void add_bf16(int relu, uint16_t *dst, const uint16_t *a, const uint16_t *b, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        float v = fsr_from_bf16(a[k]) + fsr_from_bf16(b[k]);
        dst[k] = fsr_to_bf16(relu && v < 0 ? 0 : v);
    }
}

static void arithmetic(FsrOp op, int relu, float *dst, int dst_bf16, int dst_stride, const FsrRow *a,
                       const FsrRow *b, int width)
{
    const size_t n = (size_t)width * dst_stride;

    if (a->planes != b->planes || a->bf16 != dst_bf16 || b->bf16 != dst_bf16 || !a->stride || !b->stride) {
        broadcast(op, relu, dst, dst_bf16, dst_stride, a, b, width);
    } else if (dst_bf16) {
        add_bf16(relu, (uint16_t *)dst, (const uint16_t *)a->data, (const uint16_t *)b->data, 2 * n);
    } else {
        for (size_t k = 0; k < n; k++)
            dst[k] = combine(op, a->data[k], b->data[k]);
        for (size_t k = 0; relu && k < n; k++)
            dst[k] = dst[k] < 0 ? 0 : dst[k];
    }
}

static float clip(float v, float lo, float hi)
{
    v = v < lo ? lo : v;
    return v > hi ? hi : v;
}

/* Of a row: a value for each word src[k], or for each plane src[c] of each sample. */
#define EACH(value)                                                 \
    for (size_t k = 0; k < len; k++)                                \
        dst[k] = value
#define EACH_PLANE(planes, value)                                   \
    for (int x = 0; x < width; x++, src += stride, dst += stride)   \
        for (int c = 0; c < planes; c++)                            \
            dst[c] = value

static void map(const FsrNode *n, float *dst, const float *src, int stride, int width)
{
    const size_t len = (size_t)width * stride;
    const float *a = n->weights, *b = n->bias;

    if (n->op == FSR_OP_RELU) {
        EACH(src[k] < 0 ? 0 : src[k]);
        return;
    }
    switch (n->map) {
    case FSR_MAP_AFFINE:       EACH_PLANE(stride, src[c] * a[c] + b[c]); break;
    case FSR_MAP_SLOPE:        EACH_PLANE(stride, src[c] < 0 ? src[c] * a[c] : src[c]); break;
    case FSR_MAP_QUANTIZE:     EACH_PLANE(n->channels, clip(rintf(src[c] / a[c]) + b[c], n->low, n->top)); break;
    case FSR_MAP_CLIP:         EACH(clip(src[k], a[0], b[0])); break;
    case FSR_MAP_HARD_SIGMOID: EACH(clip(src[k] * a[0] + b[0], 0, 1)); break;
    case FSR_MAP_SIGMOID:      EACH(1 / (1 + expf(-src[k]))); break;
    case FSR_MAP_TANH:         EACH(tanhf(src[k])); break;
    }
}

void fsr_ops_interleave(float *dst, const float *src, size_t plane, int planes, int stride, int width)
{
    if (planes == 3 && stride == 3) {
        for (int x = 0; x < width; x++) {
            dst[3 * x]     = src[x];
            dst[3 * x + 1] = src[plane + x];
            dst[3 * x + 2] = src[2 * plane + x];
        }
        return;
    }
    for (int x = 0; x < width; x++, dst += stride)
        for (int c = 0; c < planes; c++)
            dst[c] = src[c * plane + x];
}

void fsr_ops_copy(float *dst, int dst_stride, const float *src, int src_stride, int planes, int width)
{
    for (int x = 0; x < width; x++, dst += dst_stride, src += src_stride)
        memcpy(dst, src, planes * sizeof(*dst));
}

void fsr_ops_row(const FsrNode *n, float *dst, int dst_bf16, int dst_stride, const FsrRow *in, int width)
{
    if (fsr_is_binary(n->op))
        arithmetic(n->op, n->relu, dst, dst_bf16, dst_stride, &in[0], &in[1], width);
    else if (n->op != FSR_OP_CONCAT)
        map(n, dst, in->data, dst_stride, width);
    for (int j = 0; n->op == FSR_OP_CONCAT && j < n->nb_in; dst += in[j++].planes)
        fsr_ops_copy(dst, dst_stride, in[j].data, in[j].stride, in[j].planes, width);
}

void fsr_ops_shuffle(const FsrNode *n, float *dst, int dst_stride, const float *src, int src_stride,
                     int px, int py, int width)
{
    const int b = n->block, plane = n->crd ? b * n->block_y : 1, phase = n->crd ? 1 : n->channels;

    src += py * b * phase;
    if (n->channels == 1 && px == 0 && width % b == 0) {    /* the usual last layer */
        for (int x = 0; b == 2 && x < width; x += 2, src += src_stride)
            memcpy(dst + x, src, 2 * sizeof(*dst));
        for (int x = 0; b != 2 && x < width; x += b, src += src_stride)
            for (int k = 0; k < b; k++)
                *dst++ = src[k];
        return;
    }
    for (int x = 0; x < width; x++, dst += dst_stride) {
        for (int c = 0; c < n->channels; c++)
            dst[c] = src[px * phase + c * plane];
        if (++px == b) {
            px   = 0;
            src += src_stride;
        }
    }
}

void fsr_ops_get(const FsrNnIO *io, int plane, int planes, int x, int y, int width, float *dst, int stride, float *scratch)
{
    if (io->get_row) {
        io->get_row(io->opaque, plane, planes, x, y, width, dst, stride);
        return;
    }
    for (int c = 0; c < planes; c++)
        io->get(io->opaque, plane + c, x, y, width, 1, stride == 1 ? dst : scratch + (size_t)c * width, width);
    if (stride != 1)
        fsr_ops_interleave(dst, scratch, width, planes, stride, width);
}

void fsr_ops_put(const FsrNnIO *io, int plane, int planes, int x, int y, int width, const float *src, int stride,
                 float *scratch)
{
    if (io->put_row) {
        io->put_row(io->opaque, plane, planes, x, y, width, src, stride);
        return;
    }
    for (int c = 0; c < planes; c++) {
        for (int k = 0; stride != 1 && k < width; k++)
            scratch[k] = src[(size_t)k * stride + c];
        io->put(io->opaque, plane + c, x, y, width, 1, stride == 1 ? src : scratch, width);
    }
}
