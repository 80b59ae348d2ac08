/*
 * What both fuzzers share: options, random numbers, what fsr_motion_load() promises, an engine that is fed.
 * Each input follows from a number alone; when a run ends badly the number is printed, and
 * `--seed NUMBER --runs 1` repeats it.
 */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fastsr/engine.h"
#include "fastsr/record.h"

typedef struct Fuzz {
    uint64_t first;             /* number of the first input */
    uint64_t runs;              /* 0: as many as fit into the seconds */
    double   seconds;
    char   **files;
    int      nb_files;
} Fuzz;

/* Also for what only a death callback sees */
static uint64_t fuzz_number;
static const char *fuzz_what = "";
static uint64_t fuzz_state;

static inline uint32_t fuzz_rnd(uint32_t n)
{
    fuzz_state = fuzz_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return n ? (fuzz_state >> 33) % n : 0;
}

static inline void fuzz_tell(void)
{
    static char text[800];
    const int n = snprintf(text, sizeof(text), "\nfuzz: %s; repeat it with --seed %llu --runs 1\n", fuzz_what, (unsigned long long)fuzz_number);

    if (write(2, text, n < (int)sizeof(text) ? n : (int)sizeof(text)) < 0)
        _exit(1);
}

static inline void fuzz_fail(const char *why, long long value)
{
    fprintf(stderr, "fuzz: %s (%lld)\n", why, value);
    fuzz_tell();
    abort();
}

#define FUZZ_CHECK(condition, value) do { if (!(condition)) fuzz_fail(#condition, (long long)(value)); } while (0)

/* Stands for every function of nn/: without a network only freeing a plan that is none is called. */
void *fuzz_no_network(void);
void *fuzz_no_network(void)
{
    return NULL;
}

static inline void fuzz_options(Fuzz *f, int argc, char **argv)
{
    int i = 1;

    *f = (Fuzz){ .first = 1, .runs = 100 };
    for (; i + 1 < argc && !strncmp(argv[i], "--", 2); i += 2) {
        if (!strcmp(argv[i], "--seed"))
            f->first = strtoull(argv[i + 1], NULL, 10);
        else if (!strcmp(argv[i], "--runs"))
            f->runs = strtoull(argv[i + 1], NULL, 10);
        else if (!strcmp(argv[i], "--seconds"))
            f->runs = 0, f->seconds = atof(argv[i + 1]);
        else
            break;
    }
    if (i < argc && !strncmp(argv[i], "--", 2)) {
        fprintf(stderr, "Usage: %s [--seed N] [--runs N | --seconds S] [FILE...]\n", argv[0]);
        exit(2);
    }
    f->files    = argv + i;
    f->nb_files = argc - i;
}

/* The next input; 0 when it is enough. */
static inline int fuzz_next(const Fuzz *f, uint64_t done)
{
    static struct timespec start;
    struct timespec now;

    if (!done)
        clock_gettime(CLOCK_MONOTONIC, &start);
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (f->runs ? done >= f->runs : now.tv_sec - start.tv_sec + (now.tv_nsec - start.tv_nsec) * 1e-9 >= f->seconds)
        return 0;
    fuzz_number = f->first + done;
    fuzz_state  = fuzz_number * UINT64_C(0x9e3779b97f4a7c15) + 1;
    for (int i = 0; i < 4; i++)
        fuzz_rnd(1);
    alarm(120);                 /* a hang ends by a signal, with the number above */
    return 1;
}

/* Everything that fsr_motion_load() promises. */
static inline void fuzz_promises(const FsrMotion *m)
{
    const int w = fsr_cells(m->hdr.coded_w), h = fsr_cells(m->hdr.coded_h);
    FsrCell  *cells = malloc(sizeof(*cells) * w * h);
    uint8_t  *covered = calloc(w, h);

    FUZZ_CHECK(m->hdr.coded_w >= 1 && m->hdr.coded_w <= FSR_MAX_SIZE, m->hdr.coded_w);
    FUZZ_CHECK(m->hdr.coded_h >= 1 && m->hdr.coded_h <= FSR_MAX_SIZE, m->hdr.coded_h);
    FUZZ_CHECK(m->hdr.nb_refs <= FSR_MAX_REFS && m->hdr.nb_held <= FSR_MAX_HELD, m->hdr.nb_refs);
    FUZZ_CHECK(m->hdr.crop_left + m->hdr.crop_right < m->hdr.coded_w, m->hdr.crop_left);
    FUZZ_CHECK(m->hdr.crop_top + m->hdr.crop_bottom < m->hdr.coded_h, m->hdr.crop_top);
    for (int i = 0; i < m->hdr.nb_refs; i++)
        FUZZ_CHECK(m->refs[i].number < m->hdr.number && m->refs[i].log2_denom[0] <= 7, m->refs[i].number);
    for (int i = 0; i < m->hdr.nb_held; i++)
        FUZZ_CHECK(m->held[i] >= 1 && m->held[i] <= m->hdr.number, m->held[i]);
    for (uint32_t i = 0; i < m->hdr.nb_blocks; i++) {
        const FsrBlock *b = &m->blocks[i];

        FUZZ_CHECK(b->w >= 1 && b->w <= 16 && b->x + b->w <= w, b->x);
        FUZZ_CHECK(b->h >= 1 && b->h <= 16 && b->y + b->h <= h, b->y);
        FUZZ_CHECK(b->mode <= FSR_SKIP, b->mode);
        FUZZ_CHECK((b->mode >= FSR_INTER) == (b->ref[0] != FSR_NO_REF || b->ref[1] != FSR_NO_REF), b->mode);
        for (int l = 0; l < 2; l++)
            FUZZ_CHECK(b->ref[l] == FSR_NO_REF ? !b->mv[l][0] && !b->mv[l][1] : b->ref[l] < m->hdr.nb_refs, b->ref[l]);
        for (int y = b->y; y < b->y + b->h; y++)
            for (int x = b->x; x < b->x + b->w; x++)
                FUZZ_CHECK(!covered[y * w + x]++, x);
    }
    for (int i = 0; i < w * h; i++)
        FUZZ_CHECK(covered[i] == 1, i);
    fsr_motion_cells(m, cells);
    (void)fsr_motion_checksum(m, cells);
    free(cells);
    free(covered);
}

/* An engine without a network whose pictures go nowhere -------------------------------------- */


typedef struct FuzzEngine {
    FsrEngine      *engine;
    FsrEngineConfig cfg;
    uint8_t        *out;        /* one for all: nobody looks at it */
    long            pushed, released, pulled;
} FuzzEngine;

static inline size_t fuzz_planes(const FsrFormat *f, uint8_t *mem, FsrPlanes *p)
{
    size_t size = 0;

    for (int i = 0; i < f->planes; i++) {
        const int w = i ? (f->width + f->log2_chroma_w) >> f->log2_chroma_w : f->width;
        const int h = i ? (f->height + f->log2_chroma_h) >> f->log2_chroma_h : f->height;

        p->data[i]   = mem + size;
        p->stride[i] = (ptrdiff_t)w * f->sample_bytes;
        p->step[i]   = 1;
        size        += (size_t)p->stride[i] * h;
    }
    return size;
}

static inline int fuzz_alloc(void *opaque, void *in, void **out, FsrPlanes *planes)
{
    FuzzEngine *e = opaque;
    FsrFormat   big = e->cfg.format;

    (void)in;
    big.width  *= e->cfg.scale;
    big.height *= e->cfg.scale;
    fuzz_planes(&big, e->out, planes);
    *out = e->out;
    return 0;
}

static inline void fuzz_release(void *opaque, void *in)
{
    FuzzEngine *e = opaque;

    e->released++;
    free(in);
}

static inline void fuzz_discard(void *opaque, void *out)
{
    (void)opaque;
    (void)out;
}

static inline void fuzz_engine_start(FuzzEngine *e, const FsrFormat *format)
{
    FsrFormat big = *format;
    FsrPlanes planes;
    char err[256] = "";

    memset(e, 0, sizeof(*e));
    e->cfg = (FsrEngineConfig){
        .format = *format, .scale = 2 + fuzz_rnd(3), .fill = fuzz_rnd(FSR_FILL_DETAIL + 1), .show = fuzz_rnd(4) ? FSR_SHOW_PICTURE : FSR_SHOW_MAP,
        .interval = 1 + fuzz_rnd(24), .threshold = fuzz_rnd(20), .nb_workers = 1,
        .alloc = fuzz_alloc, .release = fuzz_release, .discard = fuzz_discard, .opaque = e,
    };
    big.width  *= e->cfg.scale;
    big.height *= e->cfg.scale;
    e->out = malloc(fuzz_planes(&big, NULL, &planes));
    if (fsr_engine_create(&e->engine, &e->cfg, err, sizeof(err)) < 0) {
        fprintf(stderr, "fuzz: %s\n", err);
        fuzz_fail("the engine cannot be created", 0);
    }
}

static inline void fuzz_engine_pull(FuzzEngine *e)
{
    FsrResult r;

    while (fsr_engine_pull(e->engine, &r) > 0)
        e->pulled++;
}

/* mem belongs to the engine from here on; planes point into it. */
static inline void fuzz_engine_push(FuzzEngine *e, uint8_t *mem, const FsrPlanes *planes, const void *record, size_t size)
{
    const FsrPicture pic = { .planes = *planes, .record = record, .record_size = size, .opaque = mem };
    const int ret = fsr_engine_push(e->engine, &pic);

    FUZZ_CHECK(ret == 0, ret);
    e->pushed++;
    fuzz_engine_pull(e);
    FUZZ_CHECK(e->pushed - e->pulled <= 17, e->pushed - e->pulled);
}

static inline void fuzz_engine_end(FuzzEngine *e)
{
    const int ret = fsr_engine_flush(e->engine);

    FUZZ_CHECK(ret == 0, ret);
    fuzz_engine_pull(e);
    FUZZ_CHECK(e->pulled == e->pushed && e->released == e->pushed, e->pushed - e->pulled);
    fsr_engine_free(&e->engine);
    free(e->out);
}

#endif /* TESTS_FUZZ_H */
