/*
 * A coder in miniature for test_engine: pictures of a moving texture with a disc that stands
 * still, motion records as a decoder would write them, and an engine fed with both.
 */
#ifndef TESTS_ENGINE_SIM_H
#define TESTS_ENGINE_SIM_H

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "fastsr/engine.h"
#include "fastsr/record.h"

enum { SIM_MAX = 512, SIM_RECORD = 1 << 16 };

typedef struct SimPic {
    uint32_t number;            /* decoding order */
    int      poc, display;      /* display: place in output order, from 0 */
    int      kind, flags;
    int      nb_refs, ref[2];   /* pictures by place in decoding order */
} SimPic;

/* A stream. Pictures stand in decoding order. */
typedef struct Sim {
    int       w, h, scale, depth;
    int       vx, vy;           /* motion a picture in quarter LR samples */
    int       crop[4];          /* left, right, top, bottom of the coded picture */
    double    fade;             /* brightness changes by this factor from picture to picture */
    int       weighted;         /* records tell the fade; 2: with a default entry in list 1 */
    int       first;            /* time of the first picture: the scene goes on over cuts */
    int       nb;
    SimPic    pic[SIM_MAX];
    int       order[SIM_MAX];   /* by display */
    uint16_t *lr[SIM_MAX], *hr[SIM_MAX];    /* by display, made when needed */
} Sim;

/* Making streams ------------------------------------------------------------ */

static inline Sim *sim_new(int w, int h, int scale)
{
    Sim *s = calloc(1, sizeof(*s));

    s->w = w;
    s->h = h;
    s->scale = scale;
    s->depth = 8;
    s->vx = 4;
    s->vy = -4;
    s->fade = 1;
    return s;
}

static inline void sim_free(Sim *s)
{
    for (int i = 0; i < SIM_MAX; i++) {
        free(s->lr[i]);
        free(s->hr[i]);
    }
    free(s);
}

/* Add a picture; a, b: decoding-order indices of its references or -1. */
static inline int sim_add(Sim *s, int display, int kind, int a, int b)
{
    SimPic *p = &s->pic[s->nb];

    *p = (SimPic){ .number = s->nb + 1, .display = display, .poc = display, .kind = kind, .flags = FSR_PIC_REFERENCE };
    if (a >= 0)
        p->ref[p->nb_refs++] = a;
    if (b >= 0)
        p->ref[p->nb_refs++] = b;
    s->order[display] = s->nb;
    return s->nb++;
}

static inline void sim_low_delay(Sim *s, int nb)
{
    sim_add(s, 0, FSR_KIND_IDR, -1, -1);
    s->pic[0].flags |= FSR_PIC_FIRST;
    for (int i = 1; i < nb; i++)
        sim_add(s, i, FSR_KIND_TRAIL, i - 1, i > 1 ? i - 2 : -1);
}

/* B pictures between two displayed neighbours that are there (displays a < b, indices ia, ib). */
static inline void sim_between(Sim *s, int a, int ia, int b, int ib, int kind)
{
    const int mid = (a + b) / 2;
    int i;

    if (b - a < 2)
        return;
    i = sim_add(s, mid, kind, ia, ib);
    if (b - a == 2)
        s->pic[i].flags &= ~FSR_PIC_REFERENCE;
    sim_between(s, a, ia, mid, i, kind);
    sim_between(s, mid, i, b, ib, kind);
}

/* Hierarchical B pictures; every intra-th anchor is a CRA whose leading pictures refer back. */
static inline void sim_hierarchical(Sim *s, int nb, int gop, int intra)
{
    int last = sim_add(s, 0, FSR_KIND_IDR, -1, -1), anchors = 0;

    s->pic[0].flags |= FSR_PIC_FIRST;
    for (int d = 0; d + gop < nb; d += gop) {
        const int cra  = intra && ++anchors % intra == 0;
        const int next = sim_add(s, d + gop, cra ? FSR_KIND_CRA : FSR_KIND_TRAIL, cra ? -1 : last, -1);

        sim_between(s, d, last, d + gop, next, cra ? FSR_KIND_RASL : FSR_KIND_TRAIL);
        last = next;
    }
}

/* Closed groups: each begins with an IDR that has leading pictures of its own (RADL). POC starts again. */
static inline void sim_leading(Sim *s, int groups, int leading, int trailing)
{
    int display = 0;

    for (int g = 0; g < groups; g++) {
        const int idr = sim_add(s, display + leading, FSR_KIND_IDR, -1, -1);
        int       prev = idr;

        s->pic[idr].flags |= FSR_PIC_FIRST;
        for (int i = leading - 1; i >= 0; i--)
            prev = sim_add(s, display + i, FSR_KIND_RADL, idr, prev == idr ? -1 : prev);
        prev = idr;
        for (int i = 1; i <= trailing; i++)
            prev = sim_add(s, display + leading + i, FSR_KIND_TRAIL, prev, -1);
        for (int i = idr; i < s->nb; i++)
            s->pic[i].poc = s->pic[i].display - display - leading;
        display += leading + 1 + trailing;
    }
}

/* The structures that tests go through */
static inline Sim *sim_structure(int which, int w, int h)
{
    Sim *s = sim_new(w, h, 2);

    switch (which) {
    case 0: sim_low_delay(s, 12); break;
    case 1: sim_hierarchical(s, 17, 8, 0); break;
    case 2: sim_hierarchical(s, 33, 16, 0); break;
    case 3: sim_hierarchical(s, 25, 4, 2); break;         /* CRA with RASL */
    case 4: sim_leading(s, 3, 3, 4); break;               /* IDR with RADL */
    }
    return s;
}

/* The scene ----------------------------------------------------------------- */

static inline double sim_texture(double u, double v)
{
    return 118 + 42 * tanh(3 * sin(0.37 * u + 0.21 * v)) + 30 * tanh(3.5 * sin(0.23 * u - 0.45 * v + 1)) + 12 * sin(0.9 * u + 1.3 * v);
}

static inline int sim_in_disc(const Sim *s, double x, double y)
{
    const double dx = x - s->w * 0.5, dy = y - s->h * 0.5, r = s->h * 0.16;

    return dx * dx + dy * dy < r * r;
}

/* The scene at picture t, position in LR samples of the shown picture */
static inline double sim_scene(const Sim *s, int t, double x, double y)
{
    const double d = (s->first + t) * 0.25;
    const double v = sim_in_disc(s, x, y) ? sim_texture(1.3 * y + 7, x) : sim_texture(x - s->vx * d, y - s->vy * d);

    return v * pow(s->fade, t);
}

static inline double sim_cubic(double x)
{
    x = fabs(x);
    return x <= 1 ? (1.5 * x - 2.5) * x * x + 1 : x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
}

static inline uint16_t sim_round(double v, int depth)
{
    const double m = (1 << depth) - 1;

    v *= 1 << (depth - 8);
    return (uint16_t)(v < 0 ? 0 : v > m ? m : v + 0.5);
}

/* Original, and its cubic reduction with antialiasing (the scene goes on outside the picture) */
static inline void sim_render(Sim *s, int t)
{
    const int sc = s->scale, pad = 2 * sc, W = s->w * sc, H = s->h * sc, bw = W + 2 * pad, bh = H + 2 * pad;
    double *big, *rows;

    if (s->lr[t])
        return;
    big  = malloc(sizeof(*big) * bw * bh);
    rows = malloc(sizeof(*rows) * s->w * bh);
    s->lr[t] = malloc(sizeof(uint16_t) * s->w * s->h);
    s->hr[t] = malloc(sizeof(uint16_t) * W * H);
    for (int y = 0; y < bh; y++)
        for (int x = 0; x < bw; x++)
            big[y * bw + x] = sim_scene(s, t, (x - pad + 0.5) / sc - 0.5, (y - pad + 0.5) / sc - 0.5);
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++)
            s->hr[t][y * W + x] = sim_round(big[(y + pad) * bw + x + pad], s->depth);
    for (int pass = 0; pass < 2; pass++)
        for (int y = 0; y < (pass ? s->h : bh); y++)
            for (int x = 0; x < s->w; x++) {
                double sum = 0, norm = 0;

                for (int k = 0; k < 5 * sc; k++) {      /* sample k - 2 sc of the large picture */
                    const double c = sim_cubic((k - 2 * sc + 0.5 - 0.5 * sc) / sc);

                    sum  += c * (pass ? rows[(y * sc + k) * s->w + x] : big[y * bw + x * sc + k]);
                    norm += c;
                }
                if (pass)
                    s->lr[t][y * s->w + x] = sim_round(sum / norm, s->depth);
                else
                    rows[y * s->w + x] = sum / norm;
            }
    free(big);
    free(rows);
}

/* PSNR of a large luma picture of 8 bits against the original, some samples at the border left out */
static inline double sim_psnr(Sim *s, int t, const uint8_t *luma)
{
    const int W = s->w * s->scale, H = s->h * s->scale, crop = 4;
    double    sum = 0;

    sim_render(s, t);
    for (int y = crop; y < H - crop; y++)
        for (int x = crop; x < W - crop; x++) {
            const double d = (double)luma[y * W + x] - s->hr[t][y * W + x];

            sum += d * d;
        }
    return 10 * log10(255.0 * 255 * (W - 2 * crop) * (H - 2 * crop) / (sum + 1e-3));
}

/* Records -------------------------------------------------------------------- */

enum SimLie { LIE_NONE, LIE_ZERO, LIE_FLIP, LIE_SCALE, LIE_RANDOM };

static inline uint32_t sim_rnd(uint32_t n)
{
    static uint32_t seed = 1;

    seed = seed * 1664525u + 1013904223u;
    return n ? (uint32_t)(((uint64_t)(seed >> 4) * n) >> 28) : 0;
}

static inline void sim_vector(const Sim *s, int16_t mv[2], int dt, int still, enum SimLie lie)
{
    const int k = still ? 0 : dt;

    mv[0] = s->vx * k;
    mv[1] = s->vy * k;
    switch (lie) {
    case LIE_ZERO:   mv[0] = mv[1] = 0; break;
    case LIE_FLIP:   mv[0] = -mv[0]; mv[1] = -mv[1]; break;
    case LIE_SCALE:  mv[0] = mv[0] * 5 / 2; mv[1] *= 3; break;
    case LIE_RANDOM: mv[0] = (int)sim_rnd(400) - 200; mv[1] = (int)sim_rnd(400) - 200; break;
    case LIE_NONE:   break;
    }
}

static inline void sim_block(const Sim *s, const SimPic *p, FsrRecord *r, const uint8_t *ref, int x, int y, int size, enum SimLie lie)
{
    const int cw = fsr_cells(r->coded_w) * 4, ch = fsr_cells(r->coded_h) * 4;
    const int w = cw - x < size ? cw - x : size, h = ch - y < size ? ch - y : size;
    const int sx = x - s->crop[0], sy = y - s->crop[2];
    int inside = 0, still;
    FsrBlock *b;

    if (w <= 0 || h <= 0)
        return;
    for (int i = 0; i < 4; i++)
        inside += sim_in_disc(s, sx + (i & 1) * w, sy + (i >> 1) * h);
    if (inside % 4 && size > 8) {
        for (int i = 0; i < 4; i++)
            sim_block(s, p, r, ref, x + (i & 1) * size / 2, y + (i >> 1) * size / 2, size / 2, lie);
        return;
    }
    still = inside > 1;
    b  = fsr_record_add_block(r);
    *b = (FsrBlock){ .x = x / 4, .y = y / 4, .w = w / 4, .h = h / 4, .mode = p->nb_refs ? FSR_INTER : FSR_INTRA,
                     .qp = 27, .ref = { FSR_NO_REF, FSR_NO_REF } };
    for (int i = 0; i < p->nb_refs; i++) {
        b->ref[i] = ref[i];
        sim_vector(s, b->mv[i], s->pic[p->ref[i]].display - p->display, still, lie);
    }
}

static inline FsrRef sim_ref(const Sim *s, const SimPic *p, int i)
{
    const SimPic *to = &s->pic[p->ref[i]];
    FsrRef ref = { .number = to->number, .poc = to->poc };

    if (s->weighted && !(s->weighted == 2 && i)) {
        ref.flags         = FSR_REF_WEIGHTED;
        ref.log2_denom[0] = ref.log2_denom[1] = 6;
        for (int c = 0; c < 3; c++)
            ref.weight[c] = c ? 64 : (int)(64 * pow(s->fade, p->display - to->display) + 0.5);
    }
    return ref;
}

/* Does a picture decoded later refer to this one? Pictures that nobody will use have left the decoder. */
static inline int sim_held(const Sim *s, int index, int after)
{
    for (int i = after + 1; i < s->nb && i < after + 64; i++)
        for (int k = 0; k < s->pic[i].nb_refs; k++)
            if (s->pic[i].ref[k] == index)
                return 1;
    return index == after && s->pic[index].flags & FSR_PIC_REFERENCE;
}

static inline size_t sim_record(const Sim *s, int index, enum SimLie lie, void *buf)
{
    const SimPic *p = &s->pic[index];
    FsrRecord    *r = fsr_record_open(buf, SIM_RECORD, s->w + s->crop[0] + s->crop[1], s->h + s->crop[2] + s->crop[3]);
    uint8_t       ref[2] = { FSR_NO_REF, FSR_NO_REF };

    assert_non_null(r);
    r->number      = p->number;
    r->poc         = p->poc;
    r->kind        = p->kind;
    r->flags       = p->flags;
    r->type        = p->nb_refs == 0 ? 'I' : p->nb_refs == 1 ? 'P' : 'B';
    r->bit_depth   = s->depth;
    r->crop_left   = s->crop[0];
    r->crop_right  = s->crop[1];
    r->crop_top    = s->crop[2];
    r->crop_bottom = s->crop[3];
    for (int i = 0; i < p->nb_refs; i++) {
        const FsrRef to = sim_ref(s, p, i);

        ref[i] = fsr_record_add_ref(r, &to);
    }
    for (int i = index > 64 ? index - 64 : 0; i <= index; i++)
        if (sim_held(s, i, index))
            assert_int_equal(fsr_record_add_held(r, s->pic[i].number), 0);
    for (int y = 0; y < r->coded_h; y += 32)
        for (int x = 0; x < r->coded_w; x += 32)
            sim_block(s, p, r, ref, x, y, 32, lie);
    r->state = FSR_DONE;
    return r->size;
}

/* Running ---------------------------------------------------------------------- */

/* Whose memory is it? Set while the engine runs on this thread, not in its callbacks. volatile,
 * because compilers know that free() cannot see it. */
static _Thread_local volatile int sim_inside;

typedef struct SimLayout {
    int bytes, shift, planes, lw, lh, step;
} SimLayout;

/* Blocks of a record, for functions that edit it. */
static inline FsrBlock *sim_blocks(uint8_t *record)
{
    const FsrRecord *r = (const FsrRecord *)record;

    return (FsrBlock *)(record + sizeof(*r) + r->nb_refs * sizeof(FsrRef) + r->nb_held * sizeof(uint32_t));
}

typedef struct SimConfig {
    enum FsrFill   fill;
    enum FsrShow   show;
    int            interval;
    double         threshold;           /* 0: 10 */
    int            workers;             /* 0: no execute function */
    const FsrNet  *key_net, *coarse_net;
    double         coarse_from;
    double         budget;
    FsrPrecision   precision;
    const FsrNet  *net;
    SimLayout      layout;              /* all 0: 8-bit gray */
    int            depth;               /* of the samples; 0: the stream's */
    enum SimLie    lie;
    int            from, to;            /* displays to push, to = 0: all */
    const uint8_t *drop;                /* by display: not pushed */
    const uint8_t *repeat;              /* by display: pushed so many times more */
    int            fail_alloc;          /* this call of the alloc function fails (from 1) */
    void         (*edit)(void *arg, int display, uint8_t *record, size_t *size);
    void          *edit_arg;
} SimConfig;

typedef struct SimRun {
    SimConfig        cfg;
    FsrEngineConfig  engine_cfg;
    FsrEngine       *engine;
    int              ret;               /* of the call that failed, or 0 */
    int              nb;                /* pictures that came out, in order: */
    int              display[2 * SIM_MAX];
    uint8_t         *data[2 * SIM_MAX]; /* planes one after the other */
    FsrPictureStats  stats[2 * SIM_MAX];
    size_t           size;              /* bytes of one */
    int              pushed, released, allocs, discarded;
    int              waiting;           /* most pictures that were held back */
    size_t           bytes[2 * SIM_MAX];/* engine's memory after each push */
    FsrTotals        totals;
} SimRun;

/* A picture given to the engine, or memory for its output */
typedef struct SimFrame {
    SimRun  *run;
    int      display;
    uint8_t *mem;
} SimFrame;

static inline size_t sim_layout(const FsrFormat *f, int interleaved, uint8_t *mem, FsrPlanes *p)
{
    size_t size = 0;

    for (int i = 0; i < f->planes; i++) {
        const int w = i ? (f->width + f->log2_chroma_w) >> f->log2_chroma_w : f->width;
        const int h = i ? (f->height + f->log2_chroma_h) >> f->log2_chroma_h : f->height;
        const int step = i && interleaved ? 2 : 1;

        p->data[i]   = mem + size + (step == 2 && i == 2 ? f->sample_bytes : 0);
        p->stride[i] = (ptrdiff_t)w * f->sample_bytes * step;
        p->step[i]   = step;
        if (step == 1 || i == 2)
            size += (size_t)p->stride[i] * h;
    }
    return size;
}

static inline void sim_put(uint8_t *p, int bytes, int v)
{
    const uint16_t word = v;

    memcpy(p, &word, bytes);        /* little endian hosts: the low byte comes first */
}

/* Chroma is luma seen through a few bits: enough to tell samples apart. */
static inline void sim_fill_frame(Sim *s, int t, const FsrFormat *f, const FsrPlanes *p)
{
    sim_render(s, t);
    for (int i = 0; i < f->planes; i++) {
        const int lw = i ? f->log2_chroma_w : 0, lh = i ? f->log2_chroma_h : 0;

        for (int y = 0; y < (f->height + lh) >> lh; y++)
            for (int x = 0; x < (f->width + lw) >> lw; x++) {
                const int v = s->lr[t][(y << lh) * s->w + (x << lw)] << (f->bit_depth - s->depth);

                sim_put(p->data[i] + y * p->stride[i] + x * f->sample_bytes * p->step[i], f->sample_bytes,
                        (i == 0 ? v : i == 1 ? v / 2 : (1 << f->bit_depth) - 1 - v) << f->shift);
            }
    }
}

static inline int sim_alloc_out(void *opaque, void *in, void **out, FsrPlanes *planes)
{
    SimRun    *run = opaque;
    SimFrame  *f;
    FsrFormat  big = run->engine_cfg.format;

    if (++run->allocs == run->cfg.fail_alloc)
        return -55;
    sim_inside--;
    big.width  *= run->engine_cfg.scale;
    big.height *= run->engine_cfg.scale;
    f = malloc(sizeof(*f));
    assert_non_null(f);
    f->run     = run;
    f->display = ((SimFrame *)in)->display;
    run->size  = sim_layout(&big, run->cfg.layout.step == 2, NULL, planes);
    f->mem     = malloc(run->size);
    memset(f->mem, 0xa5, run->size);
    sim_layout(&big, run->cfg.layout.step == 2, f->mem, planes);
    *out = f;
    sim_inside++;
    return 0;
}

static inline void sim_free_frame(SimFrame *f)
{
    sim_inside--;
    free(f->mem);
    free(f);
    sim_inside++;
}

static inline void sim_release(void *opaque, void *in)
{
    ((SimRun *)opaque)->released++;
    sim_free_frame(in);
}

static inline void sim_discard(void *opaque, void *out)
{
    ((SimRun *)opaque)->discarded++;
    sim_free_frame(out);
}

typedef struct SimWork {
    FsrJob     fn;
    void      *arg;
    int        nb;
    atomic_int next, worker;
    pthread_barrier_t start;            /* all begin at once, so that they meet */
} SimWork;

static inline void *sim_worker(void *arg)
{
    SimWork  *w = arg;
    const int worker = atomic_fetch_add(&w->worker, 1);
    int       job;

    pthread_barrier_wait(&w->start);
    while ((job = atomic_fetch_add(&w->next, 1)) < w->nb)
        w->fn(w->arg, w->nb - 1 - job, worker);     /* not in the order of the numbers */
    return NULL;
}

static inline void sim_execute(void *opaque, FsrJob fn, void *arg, int nb)
{
    const int n = ((SimRun *)opaque)->cfg.workers;
    SimWork   w = { .fn = fn, .arg = arg, .nb = nb };
    pthread_t t[16];

    pthread_barrier_init(&w.start, NULL, n);
    for (int i = 1; i < n; i++)
        assert_int_equal(pthread_create(&t[i], NULL, sim_worker, &w), 0);
    sim_worker(&w);
    for (int i = 1; i < n; i++)
        pthread_join(t[i], NULL);
    pthread_barrier_destroy(&w.start);
}

/* Start an engine for pictures as those of s. */
static inline SimRun *sim_start(const Sim *s, const SimConfig *cfg)
{
    SimRun *run = calloc(1, sizeof(*run));
    const SimLayout l = cfg->layout;
    char err[256] = "";

    run->cfg        = *cfg;
    run->engine_cfg = (FsrEngineConfig){
        .format = { .width = s->w, .height = s->h, .bit_depth = cfg->depth ? cfg->depth : s->depth,
                    .sample_bytes = l.bytes ? l.bytes : 1, .shift = l.shift, .planes = l.planes ? l.planes : 1,
                    .log2_chroma_w = l.lw, .log2_chroma_h = l.lh, .chroma_cosited_x = l.lw },
        .scale = s->scale, .fill = cfg->fill, .budget = cfg->budget, .key_net = cfg->key_net, .coarse_net = cfg->coarse_net, .coarse_from = cfg->coarse_from, .precision = cfg->precision, .show = cfg->show, .interval = cfg->interval ? cfg->interval : 1000,
        .threshold = cfg->threshold > 0 ? cfg->threshold : 10, .net = cfg->net,
        .nb_workers = cfg->workers ? cfg->workers : 1, .execute = cfg->workers ? sim_execute : NULL,
        .alloc = sim_alloc_out, .release = sim_release, .discard = sim_discard, .opaque = run,
    };
    sim_inside++;
    run->ret = fsr_engine_create(&run->engine, &run->engine_cfg, err, sizeof(err));
    sim_inside--;
    if (run->ret < 0) {
        assert_null(run->engine);
        assert_true(err[0]);
    }
    return run;
}

static inline void sim_pull(SimRun *run)
{
    FsrResult r;

    for (;;) {
        SimFrame *f;
        int       got;

        sim_inside++;
        got = fsr_engine_pull(run->engine, &r);
        sim_inside--;
        if (got <= 0)
            break;
        f = r.out;
        assert_true(run->nb < 2 * SIM_MAX);
        run->display[run->nb] = f->display;
        run->data[run->nb]    = f->mem;
        run->stats[run->nb++] = r.stats;
        free(f);
    }
}

static inline void sim_push(SimRun *run, Sim *s, int t)
{
    static uint32_t buf[SIM_RECORD / 4];
    const FsrFormat *fmt = &run->engine_cfg.format;
    SimFrame  *f = malloc(sizeof(*f));
    FsrPicture pic = { .opaque = f };
    int ret;

    f->run     = run;
    f->display = t;
    f->mem     = malloc(sim_layout(fmt, run->cfg.layout.step == 2, NULL, &pic.planes));
    sim_layout(fmt, run->cfg.layout.step == 2, f->mem, &pic.planes);
    sim_fill_frame(s, t, fmt, &pic.planes);
    pic.record_size = sim_record(s, s->order[t], run->cfg.lie, buf);
    if (run->cfg.edit)
        run->cfg.edit(run->cfg.edit_arg, t, (uint8_t *)buf, &pic.record_size);
    pic.record = pic.record_size ? buf : NULL;
    sim_inside++;
    ret = fsr_engine_push(run->engine, &pic);
    sim_inside--;
    if (ret < 0 && !run->ret)
        run->ret = ret;
    sim_pull(run);
    run->bytes[run->pushed++] = fsr_engine_bytes(run->engine);
    if (run->pushed - run->nb > run->waiting)
        run->waiting = run->pushed - run->nb;
}

/* Give the engine a stream in display order, as the configuration says. */
static inline void sim_feed(SimRun *run, Sim *s)
{
    const int to = run->cfg.to ? run->cfg.to : s->nb;

    for (int t = run->cfg.from; t < to; t++) {
        if (run->cfg.drop && run->cfg.drop[t])
            continue;
        for (int k = 0; k <= (run->cfg.repeat ? run->cfg.repeat[t] : 0); k++)
            sim_push(run, s, t);
    }
}

/* No more pictures. All that went in must have come out or been given back. */
static inline SimRun *sim_finish(SimRun *run)
{
    sim_inside++;
    if (run->engine) {
        const int ret = fsr_engine_flush(run->engine);

        if (ret < 0 && !run->ret)
            run->ret = ret;
        sim_inside--;
        sim_pull(run);
        sim_inside++;
        fsr_engine_totals(run->engine, &run->totals);
    }
    fsr_engine_free(&run->engine);
    sim_inside--;
    assert_null(run->engine);
    assert_int_equal(run->released, run->pushed);
    if (!run->ret) {
        assert_int_equal(run->nb, run->pushed);
        assert_int_equal(run->discarded, 0);
        assert_int_equal(run->allocs, run->nb);
        assert_int_equal(run->totals.pictures, run->nb);
    }
    return run;
}

static inline SimRun *sim_run(Sim *s, const SimConfig *cfg)
{
    SimRun *run = sim_start(s, cfg);

    assert_int_equal(run->ret, 0);
    sim_feed(run, s);
    return sim_finish(run);
}

static inline void sim_end(SimRun *run)
{
    for (int i = 0; i < run->nb; i++)
        free(run->data[i]);
    free(run);
}

#endif /* TESTS_ENGINE_SIM_H */
