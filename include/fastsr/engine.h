/*
 * fastsr: the engine, one object behind both filters
 *
 * Takes decoded pictures in display order, each with the decoder's motion record
 * where there is one; works on them in an order in which every picture comes after
 * those it refers to; gives pictures back in display order. What is done at a key
 * frame and what in between is a task (see filters/task.h): super-resolution here.
 *
 *     fsr_engine_create(&e, &config, err, sizeof(err));
 *     for each picture:
 *         fsr_engine_push(e, &picture);
 *         while (fsr_engine_pull(e, &result) > 0)
 *             use(result.opaque, &result.stats);
 *     fsr_engine_flush(e); pull again; fsr_engine_free(&e);
 *
 * The engine has no thread of its own: work inside a picture goes through the
 * caller's execute function. Results do not depend on how many threads there are.
 * An engine belongs to one thread at a time; engines do not know of each other.
 */
#ifndef FASTSR_ENGINE_H
#define FASTSR_ENGINE_H

#include <stddef.h>
#include <stdint.h>

#include "fastsr/nn.h"

enum FsrFill {
    FSR_FILL_BICUBIC,           /* nothing is carried over */
    FSR_FILL_FAST,              /* FAST (Zhang and Sze, CVPRW 2017) as released: pixels carried, residual added */
    FSR_FILL_DETAIL,            /* what the network added is carried, weighted by how well the motion fits */
    FSR_FILL_FUSE,              /* a recurrent network on every picture; needs one made for it, scale 2; interval does not count */
    FSR_FILL_COPY,              /* the network on every picture, but where nothing has moved by less than a sample of the large picture and
                                 * vectors fit: that is copied; interval does not count */
};

enum FsrShow {
    FSR_SHOW_PICTURE,
    FSR_SHOW_MAP,               /* over the output: which cells were carried, copied, repaired or left plain, and vectors */
};

enum FsrDepthFill {
    FSR_DEPTH_HOLD,             /* the latest key frame's depth, as it is; key frames are not joined with what came before */
    FSR_DEPTH_TRANSFER,         /* carried along the vectors */
};

enum FsrDepthFormat {
    FSR_DEPTH_GRAY8,            /* linear, 0 at near to 255 at far */
    FSR_DEPTH_GRAY16,           /* millimetres, native byte order */
    FSR_DEPTH_GRAYF32,          /* metres, float */
    FSR_DEPTH_COLOR,            /* R, G, B bytes; colour map Turbo, near is warm */
};

/* What makes an engine a depth engine. */
typedef struct FsrDepthConfig {
    enum FsrDepthFill   fill;
    enum FsrDepthFormat format; /* of the output's only plane */
    int    full_size;           /* 0: output of fsr_depth_size(); 1: of the picture's size */
    double near, far;           /* metres */
    double sample_aspect;       /* width of a sample divided by its height */
    double kr, kb;              /* weights of red and blue in luma (ITU-T H.273, matrix coefficients) */
    int    full_range;          /* of the samples, else limited */
} FsrDepthConfig;

/* Longer side of the map on which depth is computed and carried; smaller pictures have a map of their own size. */
#define FSR_DEPTH_SIDE 256
void fsr_depth_size(int width, int height, double sample_aspect, int *map_w, int *map_h);

/* How samples lie in memory. Chroma planes are subsampled by shifts; an interleaved
 * chroma pair is two planes with step 2. */
typedef struct FsrFormat {
    int width, height;          /* luma samples, 1 to 16384 */
    int bit_depth;              /* 8 to 14 */
    int sample_bytes;           /* 1 or 2 (native byte order) */
    int shift;                  /* left shift of the sample in its word: 6 for P010, else 0 */
    int planes;                 /* 1 (gray) or 3 */
    int log2_chroma_w, log2_chroma_h;
    int chroma_cosited_x;       /* first chroma sample lies on the first luma sample: 4:2:0 and 4:2:2 "left" */
    int chroma_cosited_y;       /* the same vertically: "topleft" */
} FsrFormat;

typedef struct FsrPlanes {
    uint8_t  *data[3];
    ptrdiff_t stride[3];        /* bytes between rows */
    int       step[3];          /* samples between neighbours: 1, or 2 in an interleaved pair */
} FsrPlanes;

/* A job function and how the caller runs nb_jobs of them: any order, any threads,
 * returning when all are done; worker numbers 0 <= worker < nb_workers are different
 * for jobs that run at the same time. */
typedef void (*FsrJob)(void *arg, int job, int worker);
typedef void (*FsrExecute)(void *opaque, FsrJob fn, void *arg, int nb_jobs);

typedef struct FsrEngineConfig {
    FsrFormat     format;       /* of the input; the output has the same, scale times as large */
    int           scale;        /* 2, 3 or 4 */
    enum FsrFill  fill;
    enum FsrShow  show;
    int           interval;     /* key frames at most this far apart in display order; 1: all */
    double        threshold;    /* mean absolute mismatch of a block, in 8-bit steps, at which nothing is carried over */
    double        budget;       /* FSR_FILL_FUSE: multiply-accumulates per output pixel, mean over pictures; the network runs where
                                 * it gains most (16x16 samples at a time). 0: on all of every picture */
    const FsrDepthConfig *depth;    /* copied; not NULL: depth, and scale, fill and show do not count. Pictures of the output have
                                     * one plane. net takes R, G, B from 0 to 1 and gives metres */
    const FsrNet *net;          /* borrowed; NULL: key frames are upscaled by the anchor alone */
    const FsrNet *key_net;      /* borrowed; FSR_FILL_FUSE: the network for pictures without references. NULL: net does them too */
    const FsrNet *coarse_net;   /* borrowed; FSR_FILL_FUSE: stands in for net, whose layers it has, on pictures whose blocks have a mean
                                 * QP of coarse_from and more. NULL: net does them too */
    double        coarse_from;
    FsrPrecision  precision;    /* of the networks */

    int           nb_workers;
    FsrExecute    execute;      /* NULL: jobs run on the calling thread */
    /* Give the planes to write a picture's output to. in: the input picture's opaque.
     * out receives the pointer that comes back in FsrResult. 0 or a negative error, passed on. */
    int         (*alloc)(void *opaque, void *in, void **out, FsrPlanes *planes);
    /* The input picture is not needed any more. */
    void        (*release)(void *opaque, void *in);
    /* An output that will not be pulled, because the engine failed or is freed early. */
    void        (*discard)(void *opaque, void *out);
    void         *opaque;       /* for execute, alloc, release and discard */
} FsrEngineConfig;

typedef struct FsrPicture {
    FsrPlanes   planes;         /* valid until release is called */
    const void *record;         /* bytes of a motion record, or NULL; copied */
    size_t      record_size;
    void       *opaque;
} FsrPicture;

typedef struct FsrPictureStats {
    int      has_record;        /* the record was there and fits the picture */
    int      key;               /* the network ran on the whole picture */
    char     type;              /* 'I', 'P', 'B', '?' without a record */
    uint32_t number;            /* decoding order, 0 without a record */
    float    intra, skip;       /* shares of the picture's area */
    float    transferred;       /* share of the area that received carried information */
    float    mismatch;          /* mean absolute motion mismatch in 8-bit steps, where there was motion */
    double   macs;              /* multiply-accumulates executed */
    float    depth[3];          /* least, median and largest, metres */
} FsrPictureStats;

typedef struct FsrResult {
    void           *out;        /* from alloc */
    FsrPictureStats stats;
} FsrResult;

typedef struct FsrTotals {
    int64_t pictures, keys, without_record, bad_records;
    double  macs;               /* executed in all */
    double  transferred;        /* sum over pictures of the share */
} FsrTotals;

typedef struct FsrEngine FsrEngine;

/* -EINVAL (the reason in err), -ENOMEM, or what planning the network gave. The config is copied. */
int  fsr_engine_create(FsrEngine **e, const FsrEngineConfig *config, char *err, size_t err_size);
void fsr_engine_free(FsrEngine **e);

/* Next picture in display order. The engine owns picture->opaque until it calls release, also
 * on failure (-ENOMEM, or what alloc gave), after which it can only be freed. */
int  fsr_engine_push(FsrEngine *e, const FsrPicture *picture);

/* No more pictures: nothing is waited for any longer. */
int  fsr_engine_flush(FsrEngine *e);

/* 1 and the next finished picture in display order, or 0. */
int  fsr_engine_pull(FsrEngine *e, FsrResult *result);

/* Bytes of pictures and state that the engine holds now. */
size_t fsr_engine_bytes(const FsrEngine *e);
void   fsr_engine_totals(const FsrEngine *e, FsrTotals *totals);

#endif /* FASTSR_ENGINE_H */
