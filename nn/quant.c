/* Networks in integers: formats, steps, weights. */
#include "nn/quant.h"

#include <errno.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SUM_BITS       = 13,            /* of a sum before it is multiplied, at the largest byte */
    CALIBRATE_MACS = 100 << 20,
    MIN_SIDE       = 32,
    MAX_SIDE       = 128,
    MAX_WIDE       = 8,             /* planes of an input: more are bytes, because each row of a wide value is unfolded */
    FINE_SHARE     = 8,             /* of the network's rounding, a part that is worth removing: one in so many */
};

/* Rows of lower bits beside those of the upper ones, in the middle of the window: a third,
 * and what fills the last word. */
static int low_rows(int kh)
{
    int words = (kh + (kh + 2) / 3 + 3) / 4;
    int n     = 4 * words - kh;

    return n < kh ? n : kh;
}

static int unfolded_words(int planes, int kh)
{
    return (planes * (kh + low_rows(kh)) + 3) / 4;
}

/* ---- which values are integers ---------------------------------------------------- */

static int conv_fits(const FsrNet *net, const FsrNode *n)
{
    return n->op == FSR_OP_CONV &&
           (int64_t)unfolded_words(net->nodes[n->in[0]].channels, n->kh) * 4 * n->kw <= FSR_I8_MAX_TAPS / 2 &&
           n->channels <= 4 * FSR_I8_BLOCKS;
}

static int integer_conv(const FsrPlan *p, int i)
{
    const FsrNode *n = &p->net->nodes[i];
    return conv_fits(p->net, n) && p->nodes[n->in[0]].store != FSR_STORE_FLOAT;
}

/* How node i can be kept: bytes for convolutions and sums; wide for what convolutions read. known:
 * what it holds. */
static FsrStore store_of(const FsrPlan *p, int i, const uint8_t *sums, int known)
{
    const FsrNet *net = p->net;
    int others = i == net->output, adds = 0;

    for (int r = i + 1; r < net->nb_nodes; r++)
        for (int j = 0; j < net->nodes[r].nb_in; j++)
            if (net->nodes[r].in[j] == i) {
                adds   |= sums[r];
                others |= !sums[r] && !conv_fits(net, &net->nodes[r]);
            }
    if (others || !known)
        return FSR_STORE_FLOAT;
    if (integer_conv(p, i) || sums[i] || (net->nodes[i].op == FSR_OP_CONV && net->nodes[i].channels > 4) ||
        (net->nodes[i].op == FSR_OP_INPUT && net->nodes[i].channels > MAX_WIDE))
        return FSR_STORE_BYTES;
    return adds ? FSR_STORE_FLOAT : FSR_STORE_WIDE;
}

static void choose_stores(FsrPlan *p, const struct FsrRange *seen)
{
    const FsrNet *net = p->net;
    uint8_t sums[FSR_NN_MAX_NODES];
    int     changed;

    for (int i = 0; i < net->nb_nodes; i++)
        sums[i] = net->nodes[i].op == FSR_OP_ADD && i != net->output &&
                  net->nodes[net->nodes[i].in[0]].channels == net->nodes[net->nodes[i].in[1]].channels;
    do {
        changed = 0;
        for (int i = 0; i < net->nb_nodes; i++)
            p->nodes[i].store = store_of(p, i, sums, seen[p->nodes[i].first_plane].n > 0);
        for (int i = 0; i < net->nb_nodes; i++) {
            const int *in = net->nodes[i].in;

            if (sums[i] && (p->nodes[i].store != FSR_STORE_BYTES || p->nodes[in[0]].store != FSR_STORE_BYTES ||
                            p->nodes[in[1]].store != FSR_STORE_BYTES)) {
                sums[i] = 0;
                changed = 1;
            }
        }
    } while (changed);
}

/* ---- ranges ----------------------------------------------------------------------- */

void fsr_quant_observe(struct FsrRange *r, int planes, const float *row, int stride, int width)
{
    for (int c = 0; c < planes; c++) {
        for (int x = 0; x < width; x++) {
            const float v = row[(size_t)x * stride + c];

            r[c].low  = v < r[c].low  ? v : r[c].low;
            r[c].high = v > r[c].high ? v : r[c].high;
            r[c].sum += v;
        }
        r[c].n += width;
    }
}

typedef struct Scene {
    int   side;
    float luma[MAX_SIDE * MAX_SIDE];
} Scene;

static uint32_t draw(uint32_t *seed, uint32_t n)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (*seed >> 8) % n;
}

/*
 * A picture to measure on: discs of all sizes over each other (the statistics of natural
 * pictures; Lee, Mumford and Huang, "Occlusion models for natural images", IJCV 41, 2001), each
 * with a gradient, fine stripes or noise; the right half as soft as an enlarged picture.
 */
static void draw_scene(Scene *s)
{
    uint32_t seed = 11;

    for (int n = 0; n < 60 + s->side; n++) {
        const int   size = s->side / 2 / (1 + n / 8) + 3;
        const int   cx = draw(&seed, s->side), cy = draw(&seed, s->side), kind = draw(&seed, 4);
        const float base = draw(&seed, 256) / 255.0f, slope = ((int)draw(&seed, 65) - 32) / 255.0f;

        for (int y = 0; y < s->side; y++)
            for (int x = 0; x < s->side; x++) {
                const int dx = x - cx, dy = y - cy;
                float v = base + slope * dx / size;

                if (n && dx * dx + dy * dy > size * size)
                    continue;
                if (kind == 0)
                    v += (dx + dy) / 2 & 1 ? 0.15f : -0.15f;
                else if (kind == 1)
                    v += ((int)draw(&seed, 33) - 16) / 255.0f;
                s->luma[y * s->side + x] = v < 0 ? 0 : v > 1 ? 1 : v;
            }
    }
    for (int n = 0; n < 2; n++)
        for (int y = 1; y < s->side - 1; y++)
            for (int x = s->side / 2; x < s->side - 1; x++) {
                float *v = &s->luma[y * s->side + x];
                *v = (4 * v[0] + v[-1] + v[1] + v[-s->side] + v[s->side]) / 8;
            }
}

/* Planes are the same scene, moved. */
static void scene_get(void *opaque, int plane, int x, int y, int w, int h, float *dst, ptrdiff_t stride)
{
    const Scene *s = opaque;

    for (int j = 0; j < h; j++)
        for (int i = 0; i < w; i++)
            dst[j * stride + i] = s->luma[(y + j + 5 * plane) % s->side * s->side + (x + i + 3 * plane) % s->side];
}

static void scene_put(void *opaque, int plane, int x, int y, int w, int h, const float *src, ptrdiff_t stride)
{
    (void)opaque, (void)plane, (void)x, (void)y, (void)w, (void)h, (void)src, (void)stride;
}

/* Runs the network on the scene. In plain C: the same ranges on every machine. */
static int measure_ranges(FsrPlan *p, struct FsrRange *ranges)
{
    const FsrNet *net  = p->net;
    const double  area = CALIBRATE_MACS / (net->info.macs * net->info.scale * net->info.scale + 1);
    FsrPlan      *f;
    Scene        *s = fsr_alloc(&p->temp, sizeof(*s));
    FsrNnIO       io = { .opaque = s, .get = scene_get, .put = scene_put };
    int           ret;

    if (!s)
        return -ENOMEM;
    s->side = area > MAX_SIDE * MAX_SIDE ? MAX_SIDE : area < MIN_SIDE * MIN_SIDE ? MIN_SIDE : (int)sqrt(area);
    draw_scene(s);
    ret = fsr_nn_plan_with(&f, net, s->side, s->side, 1, FSR_PRECISION_F32, FSR_ISA_C, 0, 0, NULL, 0);
    if (ret >= 0) {
        f->ranges = ranges;
        for (int j = 0; j < fsr_nn_jobs(f); j++)
            fsr_nn_run(f, &io, j, 0);
    }
    fsr_nn_plan_free(&f);
    return ret;
}

static const char *recorded(const FsrNet *net, int i)
{
    char key[80];

    snprintf(key, sizeof(key), "range %s", net->nodes[i].name);
    return fsr_nn_meta(net, key);
}

int fsr_quant_recorded(const FsrNet *net)
{
    int any = 0;

    for (int i = 0; i < net->nb_nodes; i++)
        any |= recorded(net, i) != NULL;
    return any;
}

/* "low high mean" of each plane, or once for all of them. */
static int read_range(const char *text, struct FsrRange *r, int planes)
{
    int once = 0;

    for (int c = 0; c < planes; c++) {
        double v[3];

        once |= c == 1 && !text[strspn(text, " ")];
        for (int k = 0; !once && k < 3; k++) {
            char *end;

            v[k] = strtod(text, &end);
            if (end == text || !(fabs(v[k]) < 1e6))
                return -EINVAL;
            text = end;
        }
        r[c] = once ? r[0] : (struct FsrRange){ (float)v[0], (float)v[1], v[2], 1 };
    }
    return 0;
}

static int read_ranges(const FsrNet *net, struct FsrRange *r)
{
    int ret = 0;

    for (int i = 0; ret >= 0 && i < net->nb_nodes; r += net->nodes[i++].channels)
        if (recorded(net, i))
            ret = read_range(recorded(net, i), r, net->nodes[i].channels);
    return ret;
}

int fsr_quant_ranges(FsrPlan *p, const struct FsrRange **ranges)
{
    struct FsrRange *_Atomic *shared = &((FsrNet *)p->net)->ranges;
    struct FsrRange *seen = atomic_load(shared), *other = NULL;
    int ret;

    if (!seen) {
        if (!(seen = malloc(p->planes * sizeof(*seen))))
            return -ENOMEM;
        for (int c = 0; c < p->planes; c++)
            seen[c] = (struct FsrRange){ INFINITY, -INFINITY, 0, 0 };
        if ((ret = fsr_quant_recorded(p->net) ? read_ranges(p->net, seen) : measure_ranges(p, seen)) < 0) {
            free(seen);
            return ret;
        }
        if (!atomic_compare_exchange_strong(shared, &other, seen)) {
            free(seen);                                     /* another thread was here first */
            seen = other;
        }
    }
    *ranges = seen;
    return 0;
}

/* ---- steps and weights ------------------------------------------------------------ */

/* Range of plane c of a node: the picture may go a little beyond what was seen, and a
 * rectified value begins at zero. */
static void plane_range(const FsrPlan *p, int i, int c, const struct FsrRange *seen, float *low, float *high)
{
    const FsrNode *n    = &p->net->nodes[i];
    const float    room = p->nodes[i].store == FSR_STORE_WIDE ? 0.125f * (seen[c].high - seen[c].low) : 0;

    *low  = n->relu ? 0 : seen[c].low - room;
    *high = seen[c].high + room;
    if (!(*high - *low > 1e-6f))
        *high = *low + 1e-6f;
}

static int set_steps(FsrPlan *p, int i, const struct FsrRange *seen)
{
    const FsrPlanNode *pn     = &p->nodes[i];
    FsrI8Format       *f      = &pn->quant->format;
    const int          padded = (int)fsr_align16(f->planes = p->net->nodes[i].channels);

    if (!(f->low = fsr_plan_alloc(p, 2 * padded * sizeof(float))))
        return -ENOMEM;
    f->step = f->low + padded;
    for (int c = 0; c < padded; c++) {
        const int top = pn->store == FSR_STORE_WIDE || f->fine[c / 4] ? FSR_I8_WIDE_MAX : 255;
        float     high = INFINITY;

        if (c < f->planes)
            plane_range(p, i, c, seen, &f->low[c], &high);
        f->step[c] = (high - f->low[c]) / top;
    }
    return 0;
}

/* ---- fine planes ------------------------------------------------------------------ */

/* How much of the result's square each plane's square makes, were everything independent:
 * gains[planes of all values], backwards from the output. */
static void set_gains(const FsrPlan *p, double *gains)
{
    const FsrNet *net = p->net;

    for (int c = 0; c < net->nodes[net->output].channels; c++)
        gains[p->nodes[net->output].first_plane + c] = 1;
    for (int i = net->nb_nodes - 1; i > 0; i--) {
        const FsrNode *n    = &net->nodes[i];
        const double  *g    = gains + p->nodes[i].first_plane;
        const size_t   size = (size_t)n->kw * n->kh;
        int at = 0;

        for (int j = 0; j < n->nb_in; j++) {
            const int cin = net->nodes[n->in[j]].channels;
            double   *in  = gains + p->nodes[n->in[j]].first_plane;

            for (int o = 0; n->op == FSR_OP_CONV && o < n->channels; o++)
                for (size_t k = 0; k < cin * size; k++)
                    in[k / size] += g[o] * n->weights[o * cin * size + k] * n->weights[o * cin * size + k];
            for (int c = 0; n->op != FSR_OP_CONV && c < cin; c++, at++)
                in[c] += g[at % n->channels];
        }
    }
}

/* What rounding each plane of values of bytes brings into the result, its square: in place of its gain. */
static void set_noise(const FsrPlan *p, const struct FsrRange *seen, double *gains)
{
    for (int i = 0, at = 0; i < p->net->nb_nodes; i++)
        for (int c = 0; c < p->net->nodes[i].channels; c++, at++) {
            float low, high;

            plane_range(p, i, c, seen + p->nodes[i].first_plane, &low, &high);
            gains[at] = p->nodes[i].store == FSR_STORE_BYTES ? (double)(high - low) * (high - low) * gains[at] : 0;
        }
}

/* Whether all that read value i can take fine blocks: sums want bytes of one kind. Of a value of floats they are
 * for 1x1, which hands it on sample by sample, while others look at its surroundings (reads_upper). */
static int may_be_fine(const FsrPlan *p, int i)
{
    int points = 0, others = 0;

    for (int r = i + 1; r < p->net->nb_nodes; r++)
        for (int j = 0; j < p->net->nodes[r].nb_in; j++) {
            const FsrNode *n = &p->net->nodes[r];

            if (n->in[j] == i && n->op != FSR_OP_CONV)
                return 0;
            points += n->in[j] == i && n->kw * n->kh == 1;
            others += n->in[j] == i && n->kw * n->kh != 1;
        }
    return p->nodes[i].from_floats ? points && others : p->net->nodes[i].op == FSR_OP_CONV;
}

/*
 * Blocks of a value of bytes that bring more than twice their share of the value's rounding into the
 * result, and a good part of that of all values: in a chain like SRCNN that is the one that carries
 * the picture. Of a value that is handed on it is any block with half as much, since only the 1x1 convolution pays for it.
 */
static void set_fine(FsrPlan *p, int i, const double *noise)
{
    const int planes = p->net->nodes[i].channels, blocks = (planes + 3) / 4;
    double    block[FSR_I8_BLOCKS] = { 0 }, network = 0, all = 0;

    for (int c = 0; c < p->planes; c++)
        network += noise[c];
    for (int c = 0; c < planes; c++) {
        block[c / 4] += noise[p->nodes[i].first_plane + c];
        all          += noise[p->nodes[i].first_plane + c];
    }
    for (int b = 0; b < blocks && may_be_fine(p, i); b++)
        p->nodes[i].quant->format.fine[b] = p->nodes[i].from_floats ? block[b] * 2 * FINE_SHARE > network :
                                            block[b] * blocks > 2 * all && block[b] * FINE_SHARE > network;
}

/* ---- weights ---------------------------------------------------------------------- */

/* What a byte that a convolution reads stands for; NOTHING: any, its weights are 0. */
enum { UPPER, LOWER, BYTE, NOTHING };

/* The bytes of a wide value that a convolution is made of. */
static void unfolded_bytes(int groups, int planes, int kh, FsrI8Tap *bytes)
{
    const int low = low_rows(kh);
    int n = 0;

    for (int p = 0; p < planes; p++)
        for (int y = 0; y < kh; y++)
            bytes[n++] = (FsrI8Tap){ p, y, UPPER };
    for (int p = 0; p < planes; p++)
        for (int y = 0; y < low; y++)
            bytes[n++] = (FsrI8Tap){ p, (kh - low) / 2 + y, LOWER };
    for (; n < 4 * groups; n++)
        bytes[n] = (FsrI8Tap){ 0, 0, NOTHING };
}

/* Whether convolution n leaves the lower bits out: those are there for 1x1, which hands the value on. */
static int reads_upper(const FsrPlanNode *in, const FsrNode *n)
{
    return in->from_floats && in->store == FSR_STORE_BYTES && n->kw * n->kh > 1;
}

static FsrI8Tap *word_bytes(const FsrI8Format *f, int b, int part, FsrI8Tap *bytes)
{
    for (int k = 0; k < 4; k++)
        *bytes++ = (FsrI8Tap){ 4 * b + k, 0, 4 * b + k >= f->planes ? NOTHING : !f->fine[b] ? BYTE : part ? LOWER : UPPER };
    return bytes;
}

/* Lower bits follow their block, or, in a value that was made of floats, all blocks. */
static void kept_bytes(const FsrPlanNode *in, FsrI8Tap *bytes)
{
    const FsrI8Format *f = &in->quant->format;

    for (int b = 0; 4 * b < f->planes; b++)
        for (int part = 0; part <= (in->from_floats ? 0 : f->fine[b]); part++)
            bytes = word_bytes(f, b, part, bytes);
    for (int b = 0; in->from_floats && 4 * b < f->planes; b++)
        if (f->fine[b])
            bytes = word_bytes(f, b, 1, bytes);
}

/* The convolution of one output plane in real numbers, on bytes. */
typedef struct Real {
    const FsrI8Tap *bytes;  /* [4 * groups] */
    float *w;               /* factor of each byte, in the order of the weights */
    float *mean;            /* what the byte was on average */
    double offset;          /* the result when all bytes are zero */
} Real;

static void real_conv(const FsrPlan *p, int i, int o, const struct FsrRange *seen, Real *r)
{
    const FsrNode     *n     = &p->net->nodes[i];
    const FsrI8Format *in    = &p->nodes[n->in[0]].quant->format;
    const FsrI8Conv   *c     = &p->nodes[i].quant->conv;
    const int          skip  = (n->kh - low_rows(n->kh)) / 2, all = 1 << FSR_I8_LOW_BITS;
    const int          upper = reads_upper(&p->nodes[n->in[0]], n);
    const size_t       size  = (size_t)n->kw * n->kh;
    const float       *w     = n->weights + o * in->planes * size;
    size_t at = 0;

    r->offset = n->bias[o];
    for (int plane = 0; plane < in->planes; plane++)
        for (size_t k = 0; k < size; k++) {
            const int    y = k / n->kw;
            const double v = w[plane * size + k];

            r->offset += v * in->low[plane];
            if (c->taps ? y < skip || y >= skip + low_rows(n->kh) : upper && in->fine[plane / 4])   /* without lower bits */
                r->offset += v * in->step[plane] * (all - 1) / 2;
        }
    for (int ky = 0; ky < c->kh; ky++)
        for (int g = 0; g < c->groups; g++)
            for (int kx = 0; kx < n->kw; kx++)
                for (int k = 0; k < 4; k++, at++) {
                    const FsrI8Tap t    = r->bytes[4 * g + k];
                    const double   part = t.low == UPPER ? all : 1;
                    double         mean;

                    r->w[at] = r->mean[at] = 0;
                    if (t.low == NOTHING)
                        continue;
                    mean = seen[t.plane].n ? seen[t.plane].sum / seen[t.plane].n : 0;
                    mean = (mean - in->low[t.plane]) / in->step[t.plane] / part;
                    r->w[at]    = w[t.plane * size + (c->taps ? t.row : ky) * n->kw + kx] * in->step[t.plane] * part;
                    r->mean[at] = t.low == LOWER ? (all - 1) / 2.0f : mean;
                }
}

static double round_to(double v, double limit)
{
    v = nearbyint(v);
    return v > limit ? limit : v < -limit ? -limit : v;
}

/*
 * Rounds the weights of one output plane. What is left of a weight goes on to the next tap of
 * the same byte: neighbouring samples are alike, so that the sum over the window counts.
 */
static void round_weights(const FsrI8Conv *c, const Real *r, double unit, int limit, int32_t *w)
{
    for (int byte = 0; byte < 4 * c->groups; byte++) {
        double left = 0;

        for (int ky = 0; ky < c->kh; ky++)
            for (int kx = 0; kx < c->kw; kx++) {
                const size_t at = (((size_t)ky * c->groups + byte / 4) * c->kw + kx) * 4 + byte % 4;
                const double v  = r->w[at] / unit;

                w[at] = (int32_t)round_to(v + left, limit);
                left += v - w[at];
                left  = left > 0.5 ? 0.5 : left < -0.5 ? -0.5 : left;
            }
    }
}

/* Integers for the real convolution r of plane o; low: where the lower bytes go, or NULL. */
static void integer_plane(FsrPlan *p, int i, int o, const Real *r, int32_t *rounded, int8_t *w, int8_t *low)
{
    FsrI8Format *f    = &p->nodes[i].quant->format;
    FsrI8Conv   *c    = &p->nodes[i].quant->conv;
    const size_t n    = fsr_i8_taps(c) * 4;
    const int    bits = low ? c->fine_bits : 0, limit = 127 << bits;
    double       unit = fabs(r->offset) / (1 << 28), offset = r->offset;

    for (size_t k = 0; k < n; k++)
        unit = fmax(unit, fabs(r->w[k]) / limit);
    unit = fmax(unit, 1e-20);                           /* of the sum */
    if (!c->float_out) {
        const int top = low ? FSR_I8_WIDE_MAX : 255;
        double factor;
        int    shift = 0, mult;

        f->step[o] = fmaxf(f->step[o], (float)(unit * 1.01));
        factor     = unit / f->step[o];
        while (shift < 24 && top / factor / (1 << shift) >= 2 << SUM_BITS)
            shift++;
        mult        = (int)ceil(factor * (1 << shift) * 32768);
        c->shift[o] = shift;
        c->mult[o]  = mult < 32767 ? mult : 32767;
        unit        = c->mult[o] / 32768.0 / (1 << shift) * f->step[o];     /* so that nothing is rounded */
        offset     -= f->low[o];
    }
    round_weights(c, r, unit, limit, rounded);
    for (size_t k = 0; k < n; k++) {
        const int upper = (rounded[k] + (bits ? 1 << (bits - 1) : 0)) >> bits;

        w[k] = (int8_t)upper;
        if (low)
            low[k] = (int8_t)(rounded[k] - upper * (1 << bits));
        offset += (r->w[k] - rounded[k] * unit) * r->mean[k];
    }
    c->scale[o] = (float)unit;
    c->bias[o]  = (int32_t)round_to(offset / unit, 1 << 29) + (c->shift[o] ? 1 << (c->shift[o] - 1) : 0);
}

/* Bits of lower weights for which no sum overflows, whatever the bytes. */
static int fine_bits(const FsrI8Conv *c)
{
    const int64_t most = (int64_t)fsr_i8_taps(c) * 4 * 255 * 127;
    int bits = 7;

    while (bits && (most << bits) + (1 << 30) > INT32_MAX)
        bits--;
    return bits;
}

static int pack_conv(FsrPlan *p, int i, const struct FsrRange *seen, const FsrI8Tap *bytes)
{
    const FsrNode *n    = &p->net->nodes[i];
    FsrQuant      *q    = p->nodes[i].quant;
    FsrI8Conv     *c    = &q->conv;
    const size_t   taps = fsr_i8_taps(c) * 4;
    int8_t        *w    = fsr_alloc(&p->temp, 4 * fsr_i8_place(c, fsr_i8_blocks(c)) * taps);
    float         *real = fsr_alloc(&p->temp, 3 * taps * sizeof(*real));     /* two of floats, one of integers */
    Real           r    = { .bytes = bytes, .w = real };

    if (!w || !real)
        return -ENOMEM;
    r.mean = real + taps;
    for (int o = 0; o < n->channels; o++) {
        int8_t *at = w + (4 * fsr_i8_place(c, o / 4) + o % 4) * taps;

        real_conv(p, i, o, seen, &r);
        integer_plane(p, i, o, &r, (int32_t *)(real + 2 * taps), at, c->fine[o / 4] ? at + 4 * taps : NULL);
    }
    q->kernel->pack(c, w, c->weights);
    return 0;
}

/* The picture itself comes out; errors of what is added to one are small beside it. */
static int gives_luma(const FsrPlan *p)
{
    const char *output = fsr_nn_meta(p->net, "output");

    return !output || !strcmp(output, "luma");
}

static int set_conv(FsrPlan *p, int i, const struct FsrRange *seen)
{
    const FsrNode *n  = &p->net->nodes[i];
    FsrPlanNode   *pn = &p->nodes[i], *in = &p->nodes[n->in[0]];
    FsrI8Conv     *c  = &pn->quant->conv;
    const int  planes = p->net->nodes[n->in[0]].channels, padded = (n->channels + 3) / 4 * 4;
    const int  wide   = in->store == FSR_STORE_WIDE, words = reads_upper(in, n) ? (planes + 3) / 4 : in->subs * in->step;
    FsrI8Tap  *bytes;

    *c = (FsrI8Conv){ .groups = wide ? unfolded_words(planes, n->kh) : words, .kw = n->kw,
                      .kh = wide ? 1 : n->kh, .cout = n->channels, .float_out = pn->store == FSR_STORE_FLOAT,
                      .relu = n->relu, .cout_stride = pn->stride, .fine = pn->quant->format.fine };
    if (!(bytes = fsr_alloc(&p->memory, 4 * fsr_max(c->groups, in->subs * in->step) * sizeof(*bytes))))
        return -ENOMEM;
    if (wide)
        unfolded_bytes(c->groups, planes, n->kh, c->taps = bytes);
    else
        kept_bytes(in, bytes);
    if (c->float_out && gives_luma(p))
        memset(c->fine, 1, fsr_i8_blocks(c));
    c->fine_bits = fine_bits(c);
    if (!(c->bias = fsr_plan_alloc(p, padded * (3 * sizeof(int32_t) + sizeof(int16_t)))) ||
        !(c->weights = fsr_plan_alloc(p, fsr_i8_packed(pn->quant->kernel, c))))
        return -ENOMEM;
    c->shift  = c->bias + padded;
    c->scale  = (float *)(c->shift + padded);
    c->mult   = (int16_t *)(c->scale + padded);
    return pack_conv(p, i, seen, bytes);
}

static int set_sum(FsrPlan *p, int i)
{
    const FsrNode     *n = &p->net->nodes[i];
    FsrI8Format       *f = &p->nodes[i].quant->format;
    const FsrI8Format *a = &p->nodes[n->in[0]].quant->format, *b = &p->nodes[n->in[1]].quant->format;
    const int          padded = (n->channels + 3) / 4 * 4, one = 1 << FSR_I8_SUM_BITS;
    FsrI8Sum          *s = &p->nodes[i].quant->sum;

    if (!(s->offset = fsr_plan_alloc(p, padded * (sizeof(*s->offset) + 2 * sizeof(*s->ratio)))))
        return -ENOMEM;
    s->planes = n->channels;
    s->ratio  = (int16_t *)(s->offset + padded);
    for (int c = 0; c < n->channels; c++) {
        f->step[c] = fmaxf(f->step[c], fmaxf(a->step[c], b->step[c]) / 15);
        s->ratio[2 * c]     = (int16_t)round_to(a->step[c] / f->step[c] * one, 32767);
        s->ratio[2 * c + 1] = (int16_t)round_to(b->step[c] / f->step[c] * one, 32767);
        s->offset[c]        = (int32_t)round_to((a->low[c] + b->low[c] - f->low[c]) / f->step[c] * one, 1 << 29) + one / 2;
    }
    return 0;
}

/* What is in integers, and which of it is fine. */
static int begin_value(FsrPlan *p, int i, const double *noise)
{
    const FsrNode *n  = &p->net->nodes[i];
    FsrPlanNode   *pn = &p->nodes[i];
    const int integer = integer_conv(p, i);
    FsrQuant *q;

    if (pn->store == FSR_STORE_FLOAT && !integer)
        return 0;
    if (!(q = pn->quant = fsr_alloc(&p->memory, sizeof(*q))) ||
        !(q->format.fine = fsr_alloc(&p->memory, fsr_align16((n->channels + 3) / 4))))
        return -ENOMEM;
    q->is_conv      = integer;
    pn->from_floats = pn->store != FSR_STORE_FLOAT && (pn->store == FSR_STORE_WIDE || (n->op != FSR_OP_ADD && !integer));
    if (pn->store == FSR_STORE_BYTES)
        set_fine(p, i, noise);
    return 0;
}

/* Whether the kernel of lanes can do all of it: see i8.h. */
static int fits_lanes(const FsrPlan *p)
{
    for (int i = 0; i < p->net->nb_nodes; i++) {
        const FsrPlanNode *pn = &p->nodes[i];
        const int planes = p->net->nodes[i].channels, bytes = pn->store == FSR_STORE_BYTES;

        if (pn->quant && (planes > 16 || pn->store == FSR_STORE_WIDE || (!bytes && gives_luma(p)) ||
                          (bytes && !pn->from_floats && (planes <= 12 || memchr(pn->quant->format.fine, 1, 4)))))
            return 0;
    }
    return 1;
}

static int set_value(FsrPlan *p, int i, const struct FsrRange *seen, const FsrI8Kernel *kernel)
{
    FsrPlanNode *pn = &p->nodes[i];
    FsrQuant    *q  = pn->quant;
    const int planes = p->net->nodes[i].channels;

    if (!q)
        return 0;
    q->kernel = kernel;
    if (pn->store != FSR_STORE_FLOAT) {
        int words = pn->store == FSR_STORE_WIDE ? planes : (planes + 3) / 4;

        for (int b = 0; 4 * b < planes; b++)
            words += q->format.fine[b];
        pn->step = kernel->lanes ? words : 1;
        pn->subs = kernel->lanes ? 1 : words;
        if (set_steps(p, i, seen + pn->first_plane) < 0)
            return -ENOMEM;
    }
    if (q->is_conv)
        return set_conv(p, i, seen + p->nodes[p->net->nodes[i].in[0]].first_plane);
    return pn->store == FSR_STORE_BYTES && !pn->from_floats ? set_sum(p, i) : 0;
}

int fsr_quant_setup(FsrPlan *p)
{
    const struct FsrRange *seen;
    const FsrI8Kernel     *kernel;
    double *gains = fsr_alloc(&p->temp, p->planes * sizeof(*gains));
    int     ret   = gains ? fsr_quant_ranges(p, &seen) : -ENOMEM;

    if (ret < 0)
        return ret;
    choose_stores(p, seen);
    set_gains(p, gains);
    set_noise(p, seen, gains);
    for (int i = 0; ret >= 0 && i < p->net->nb_nodes; i++)
        ret = begin_value(p, i, gains);
    kernel = ret >= 0 && fits_lanes(p) ? fsr_nn_pick_i8_lanes(p->isa) : NULL;
    for (int i = 0; ret >= 0 && i < p->net->nb_nodes; i++)
        ret = set_value(p, i, seen, kernel ? kernel : fsr_nn_pick_i8(p->isa));
    return ret;
}

/* ---- rows ------------------------------------------------------------------------- */

void fsr_quant_row(const FsrI8Format *f, const float *src, int stride, uint32_t *dst, int pitch, int width)
{
    for (int c = 0; c < f->planes; c++, dst += pitch) {
        const float low = f->low[c], factor = 1 / f->step[c];

        for (int x = 0; x < width; x++) {
            float v = (src[(size_t)x * stride + c] - low) * factor + 0.5f;

            v = v > 0 ? v : 0;                          /* also what is not a number */
            v = v < FSR_I8_WIDE_MAX ? v : FSR_I8_WIDE_MAX;
            dst[x] = (uint32_t)(int)v;
        }
    }
}
