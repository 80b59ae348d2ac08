/* Writes the networks of compare.sh as ONNX files, weights random: speed does not depend on them. */
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

#include "tests/unit/onnx_writer.h"

enum { MAX_LAYERS = 20 };

typedef struct Layer {
    int kernel, planes;
} Layer;

static uint32_t seed = 1;

static float weight(int taps)
{
    seed = seed * 1664525u + 1013904223u;
    return ((seed >> 8) / (float)(1 << 23) - 1) * sqrtf(6.0f / taps);
}

static int write_net(const char *dir, const char *name, const Layer *layers, int nb, int shuffle)
{
    Buf   b = { 0 }, m;
    int   planes = 1;
    char  path[512], in[64], out[16], w[16], bias[16];
    FILE *f;

    ox_value(&b, 11, "x", 1);
    for (int i = 0; i < nb; i++) {
        const Layer   l = layers[i];
        const int64_t dims[4] = { l.planes, planes, l.kernel, l.kernel };
        const int     taps = planes * l.kernel * l.kernel, p = l.kernel / 2;
        float *data = calloc((size_t)taps * l.planes, sizeof(*data)), *zero = calloc(l.planes, sizeof(*zero));

        for (int k = 0; k < taps * l.planes; k++)
            data[k] = weight(taps);
        snprintf(w, sizeof(w), "w%d", i);
        snprintf(bias, sizeof(bias), "b%d", i);
        ox_init(&b, w, dims, 4, 1, data, (size_t)taps * l.planes);
        ox_init(&b, bias, dims, 1, 1, zero, l.planes);
        snprintf(in, sizeof(in), "%s%.0d %s %s", i ? "r" : "x", i, w, bias);
        snprintf(out, sizeof(out), i == nb - 1 && !shuffle ? "y" : "c%d", i);
        ox_conv(&b, out, in, out, p, p, p, p);
        if (i < nb - 1) {
            snprintf(in, sizeof(in), "r%d", i + 1);
            ox_node(&b, "Relu", in, out, in);
        }
        planes = l.planes;
        free(data);
        free(zero);
    }
    if (shuffle)
        ox_shuffle(&b, "d", out, "y", shuffle, "CRD");
    ox_value(&b, 12, "y", 1);
    m = ox_model(&b);
    snprintf(path, sizeof(path), "%s/%s.onnx", dir, name);
    if (!(f = fopen(path, "wb")) || fwrite(m.data, 1, m.size, f) != m.size || fclose(f)) {
        perror(path);
        return 1;
    }
    buf_free(&m);
    return 0;
}

int main(int argc, char **argv)
{
    static const Layer s915[] = { { 9, 64 }, { 1, 32 }, { 5, 1 } }, s955[] = { { 9, 64 }, { 5, 32 }, { 5, 1 } };
    Layer m5[7], chain[17];

    if (argc != 2)
        return 2;
    m5[0] = chain[0] = (Layer){ 5, 16 };
    chain[0].planes = 32;
    for (int i = 1; i <= 15; i++)
        chain[i] = (Layer){ 3, 32 };
    for (int i = 1; i <= 5; i++)
        m5[i] = (Layer){ 3, 16 };
    m5[6] = chain[16] = (Layer){ 5, 4 };
    return write_net(argv[1], "srcnn-915", s915, 3, 0) || write_net(argv[1], "srcnn-955", s955, 3, 0) ||
           write_net(argv[1], "sesr-m5", m5, 7, 2) || write_net(argv[1], "chain-32", chain, 17, 2);
}
