/* Writes small ONNX files for the tests: protobuf by hand, no library. */
#ifndef FASTSR_TESTS_ONNX_WRITER_H
#define FASTSR_TESTS_ONNX_WRITER_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct Buf {
    uint8_t *data;
    size_t   size, room;
} Buf;

static inline void buf_add(Buf *b, const void *p, size_t n)
{
    if (b->size + n > b->room) {
        b->room = (b->size + n) * 2;
        b->data = realloc(b->data, b->room);
        if (!b->data)
            abort();
    }
    if (n)
        memcpy(b->data + b->size, p, n);
    b->size += n;
}

static inline void buf_free(Buf *b)
{
    free(b->data);
    memset(b, 0, sizeof(*b));
}

static inline void pb_varint(Buf *b, uint64_t v)
{
    do {
        uint8_t byte = (v & 127) | (v > 127 ? 128 : 0);
        buf_add(b, &byte, 1);
    } while (v >>= 7);
}

static inline void pb_int(Buf *b, int field, int64_t v)
{
    pb_varint(b, (uint64_t)field << 3);
    pb_varint(b, (uint64_t)v);
}

static inline void pb_bytes(Buf *b, int field, const void *p, size_t n)
{
    pb_varint(b, (uint64_t)field << 3 | 2);
    pb_varint(b, n);
    buf_add(b, p, n);
}

static inline void pb_str(Buf *b, int field, const char *s)
{
    pb_bytes(b, field, s, strlen(s));
}

/* Appends a finished message and frees it. */
static inline void pb_sub(Buf *b, int field, Buf *sub)
{
    pb_bytes(b, field, sub->data, sub->size);
    buf_free(sub);
}

/* A graph under construction: nodes, initializers, inputs and outputs go into g. */

static inline void ox_tensor(Buf *t, const char *name, const int64_t *dims, int nb_dims, int raw,
                             const float *v, size_t n)
{
    for (int i = 0; i < nb_dims; i++)
        pb_int(t, 1, dims[i]);
    pb_int(t, 2, 1);
    pb_str(t, 8, name);
    pb_bytes(t, raw ? 9 : 4, v, n * sizeof(*v));    /* the tests run on little endian machines */
}

static inline void ox_init(Buf *g, const char *name, const int64_t *dims, int nb_dims, int raw,
                           const float *v, size_t n)
{
    Buf t = { 0 };

    ox_tensor(&t, name, dims, nb_dims, raw, v, n);
    pb_sub(g, 5, &t);
}

/* A vector of whole numbers. */
static inline void ox_ints(Buf *g, const char *name, const int64_t *v, int nb)
{
    Buf t = { 0 };

    pb_int(&t, 1, nb);
    pb_int(&t, 2, 7);
    pb_str(&t, 8, name);
    pb_bytes(&t, 9, v, nb * sizeof(*v));
    pb_sub(g, 5, &t);
}

static inline void ox_attr_int(Buf *n, const char *name, int64_t v)
{
    Buf a = { 0 };

    pb_str(&a, 1, name);
    pb_int(&a, 3, v);
    pb_int(&a, 20, 2);
    pb_sub(n, 5, &a);
}

static inline void ox_attr_str(Buf *n, const char *name, const char *v)
{
    Buf a = { 0 };

    pb_str(&a, 1, name);
    pb_str(&a, 4, v);
    pb_int(&a, 20, 3);
    pb_sub(n, 5, &a);
}

static inline void ox_attr_ints(Buf *n, const char *name, const int64_t *v, int nb)
{
    Buf a = { 0 };

    pb_str(&a, 1, name);
    for (int i = 0; i < nb; i++)
        pb_int(&a, 8, v[i]);
    pb_int(&a, 20, 7);
    pb_sub(n, 5, &a);
}

/* in: names separated by one space */
static inline void ox_begin(Buf *n, const char *op, const char *name, const char *in,
                            const char *out)
{
    while (*in) {
        size_t len = strcspn(in, " ");
        pb_bytes(n, 1, in, len);
        in += len + (in[len] == ' ');
    }
    pb_str(n, 2, out);
    pb_str(n, 3, name);
    pb_str(n, 4, op);
}

static inline void ox_node(Buf *g, const char *op, const char *name, const char *in,
                           const char *out)
{
    Buf n = { 0 };

    ox_begin(&n, op, name, in, out);
    pb_sub(g, 1, &n);
}

static inline void ox_conv(Buf *g, const char *name, const char *in, const char *out,
                           int pad_top, int pad_left, int pad_bottom, int pad_right)
{
    const int64_t pads[4] = { pad_top, pad_left, pad_bottom, pad_right };
    Buf n = { 0 };

    ox_begin(&n, "Conv", name, in, out);
    ox_attr_ints(&n, "pads", pads, 4);
    pb_sub(g, 1, &n);
}

static inline void ox_shuffle(Buf *g, const char *name, const char *in, const char *out, int block,
                              const char *mode)
{
    Buf n = { 0 };

    ox_begin(&n, "DepthToSpace", name, in, out);
    ox_attr_int(&n, "blocksize", block);
    if (mode)
        ox_attr_str(&n, "mode", mode);
    pb_sub(g, 1, &n);
}

static inline void ox_concat(Buf *g, const char *name, const char *in, const char *out)
{
    Buf n = { 0 };

    ox_begin(&n, "Concat", name, in, out);
    ox_attr_int(&n, "axis", 1);
    pb_sub(g, 1, &n);
}

static inline void ox_value(Buf *g, int field, const char *name, int planes)
{
    const int64_t dims[4] = { 1, planes, -1, -1 };
    Buf v = { 0 }, type = { 0 }, tensor = { 0 }, shape = { 0 };

    for (int i = 0; i < 4; i++) {
        Buf d = { 0 };
        if (dims[i] > 0)
            pb_int(&d, 1, dims[i]);
        else
            pb_str(&d, 2, "n");
        pb_sub(&shape, 1, &d);
    }
    pb_int(&tensor, 1, 1);
    pb_sub(&tensor, 2, &shape);
    pb_sub(&type, 1, &tensor);
    pb_str(&v, 1, name);
    pb_sub(&v, 2, &type);
    pb_sub(g, field, &v);
}

/* Wraps the graph into a model and frees it. */
static inline Buf ox_model(Buf *g)
{
    Buf m = { 0 }, opset = { 0 }, meta = { 0 };

    pb_int(&m, 1, 7);
    pb_sub(&m, 7, g);
    pb_int(&opset, 2, 13);
    pb_sub(&m, 8, &opset);
    pb_str(&meta, 1, "scale");
    pb_str(&meta, 2, "2");
    pb_sub(&m, 14, &meta);
    return m;
}

/* A network that is one 1x1 convolution. */
static inline Buf ox_linear(const float *w, int planes_in, int planes_out)
{
    const int64_t dims[4] = { planes_out, planes_in, 1, 1 };
    Buf g = { 0 };

    ox_conv(&g, "mix", "input w", "output", 0, 0, 0, 0);
    ox_init(&g, "w", dims, 4, 1, w, (size_t)planes_out * planes_in);
    ox_value(&g, 11, "input", planes_in);
    ox_value(&g, 12, "output", planes_out);
    return ox_model(&g);
}

#endif /* FASTSR_TESTS_ONNX_WRITER_H */
