/* What both filters need between FFmpeg and the engine: threads, sample layout, the file of statistics, activation. */
#ifndef AVFILTER_FF_GLUE_H
#define AVFILTER_FF_GLUE_H

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libavutil/avstring.h"
#include "libavutil/mem.h"
#include "libavutil/pixdesc.h"
#include "ff_compat.h"

#include "fastsr/engine.h"
#include "models/models.h"

/* Formats of decoded pictures that are taken; the first plane is luma. */
#define FSR_INPUT_FORMATS                                                               \
    AV_PIX_FMT_YUV420P,   AV_PIX_FMT_YUV422P,   AV_PIX_FMT_YUV444P,   AV_PIX_FMT_GRAY8, \
    AV_PIX_FMT_YUVJ420P,  AV_PIX_FMT_YUVJ422P,  AV_PIX_FMT_YUVJ444P,                    \
    AV_PIX_FMT_YUV420P10, AV_PIX_FMT_YUV422P10, AV_PIX_FMT_YUV444P10, AV_PIX_FMT_GRAY10,\
    AV_PIX_FMT_YUV420P12, AV_PIX_FMT_YUV422P12, AV_PIX_FMT_YUV444P12, AV_PIX_FMT_GRAY12,\
    AV_PIX_FMT_NV12,      AV_PIX_FMT_P010,                                              \
    AV_PIX_FMT_NONE

/* Threads --------------------------------------------------------------------- */

typedef struct FsrWork {
    FsrJob     fn;
    void      *arg;
    int        nb_jobs;
    atomic_int next;
} FsrWork;

static int fsr_run_worker(AVFilterContext *ctx, void *arg, int worker, int nb_workers)
{
    FsrWork *w = arg;
    int job;

    while ((job = atomic_fetch_add(&w->next, 1)) < w->nb_jobs)
        w->fn(w->arg, job, worker);
    return 0;
}

/* FsrEngineConfig.execute; opaque is the filter's context */
static void fsr_execute(void *opaque, FsrJob fn, void *arg, int nb_jobs)
{
    FsrWork w = { fn, arg, nb_jobs };

    atomic_init(&w.next, 0);
    ff_filter_execute(opaque, fsr_run_worker, &w, NULL, FFMIN(nb_jobs, ff_filter_get_nb_threads(opaque)));
}

/* The network ------------------------------------------------------------------ */

/* Load the built-in network m, or without it the file that the option model names. what: what the network is for. */
static int fsr_load_network(AVFilterContext *ctx, FsrNet **net, const FsrModelEntry *m, const char *model, const char *what)
{
    char err[256] = "";
    int ret;

    if (m) {
        ret = fsr_nn_load(net, m->data, m->size, err, sizeof(err));
    } else if (!model) {
        av_log(ctx, AV_LOG_ERROR, "No network for %s is built in; give one with model=FILE.onnx\n", what);
        return AVERROR(EINVAL);
    } else if (access(model, R_OK)) {
        av_log(ctx, AV_LOG_ERROR, "There is no network \"%s\" for %s, and no such file can be read; model=list shows what is built in\n",
               model, what);
        return AVERROR(EINVAL);
    } else {
        ret = fsr_nn_load_file(net, model, err, sizeof(err));
    }
    if (ret < 0)
        av_log(ctx, AV_LOG_ERROR, "Network %s: %s\n", model ? model : m->name, err);
    return ret;
}

/* Frames ---------------------------------------------------------------------- */

static void fsr_frame_format(FsrFormat *format, const AVFrame *f)
{
    const AVPixFmtDescriptor *desc = av_pix_fmt_desc_get(f->format);
    const enum AVChromaLocation loc = f->chroma_location;

    *format = (FsrFormat) {
        .width            = f->width,
        .height           = f->height,
        .bit_depth        = desc->comp[0].depth,
        .sample_bytes     = (desc->comp[0].depth + 7) / 8,
        .shift            = desc->comp[0].shift,
        .planes           = desc->nb_components,
        .log2_chroma_w    = desc->log2_chroma_w,
        .log2_chroma_h    = desc->log2_chroma_h,
        .chroma_cosited_x = loc != AVCHROMA_LOC_CENTER && loc != AVCHROMA_LOC_TOP && loc != AVCHROMA_LOC_BOTTOM,
        .chroma_cosited_y = loc == AVCHROMA_LOC_TOPLEFT || loc == AVCHROMA_LOC_TOP,
    };
}

/* Sample layout of a frame: semi-planar chroma is two planes with every other sample. */
static void fsr_frame_planes(FsrPlanes *p, const AVFrame *f)
{
    const AVPixFmtDescriptor *desc = av_pix_fmt_desc_get(f->format);
    const int bytes = (desc->comp[0].depth + 7) / 8;

    for (int c = 0; c < desc->nb_components; c++) {
        const int plane = desc->comp[c].plane, interleaved = c && desc->comp[1].plane == desc->comp[2].plane;

        p->data[c]   = f->data[plane] + (interleaved ? (c - 1) * bytes : 0);
        p->stride[c] = f->linesize[plane];
        p->step[c]   = interleaved ? 2 : 1;
    }
}

/* FsrEngineConfig.release and .discard */
static void fsr_free_frame(void *opaque, void *frame)
{
    AVFrame *f = frame;

    av_frame_free(&f);
}

static int fsr_check_size(AVFilterContext *ctx, const AVFilterLink *inlink)
{
    if (inlink->w <= 16384 && inlink->h <= 16384)
        return 0;
    av_log(ctx, AV_LOG_ERROR, "Pictures of %dx%d are too large; at most 16384 in each direction\n", inlink->w, inlink->h);
    return AVERROR(EINVAL);
}

/* Is the frame what the link promised? */
static int fsr_check_frame(AVFilterContext *ctx, const AVFilterLink *inlink, const AVFrame *f)
{
    if (f->width == inlink->w && f->height == inlink->h && f->format == inlink->format)
        return 0;
    av_log(ctx, AV_LOG_ERROR, "The picture changed to %dx%d in the middle of the stream; a filter graph of its own is needed for each size\n",
           f->width, f->height);
    return AVERROR(EINVAL);
}

/* Statistics ------------------------------------------------------------------ */

typedef struct FsrStatsFile {
    FILE *file;
    char *part;                 /* written under this name, renamed when complete; what is no regular file (also a link,
                                   as /dev/stdout is) keeps its own */
} FsrStatsFile;

static int fsr_stats_open(AVFilterContext *ctx, FsrStatsFile *s, const char *path, const char *columns)
{
    struct stat st;

    if (!path || !*path)
        return 0;
    s->part = av_asprintf(lstat(path, &st) || S_ISREG(st.st_mode) ? "%s.part" : "%s", path);
    if (!s->part)
        return AVERROR(ENOMEM);
    s->file = fopen(s->part, "w");
    if (!s->file) {
        int ret = AVERROR(errno);

        av_log(ctx, AV_LOG_ERROR, "Cannot write %s: %s\n", s->part, av_err2str(ret));
        return ret;
    }
    fprintf(s->file, "%s\n", columns);
    return 0;
}

/* The columns that both have: frame, pts, key, type */
static void fsr_stats_begin(const FsrStatsFile *s, int64_t frame, const AVFrame *f, const FsrPictureStats *st)
{
    char pts[32] = "";

    if (f->pts != AV_NOPTS_VALUE)
        snprintf(pts, sizeof(pts), "%"PRId64, f->pts);
    fprintf(s->file, "%"PRId64",%s,%d,%c,", frame, pts, st->key, st->type);
}

/* frames: how many lines it has. A file without any does not take the place of what was there. */
static void fsr_stats_close(AVFilterContext *ctx, FsrStatsFile *s, const char *path, int64_t frames, int failed)
{
    if (s->file) {
        failed |= ferror(s->file);
        failed |= fclose(s->file);
        if (!frames && strcmp(s->part, path))
            unlink(s->part);
        else if (failed)
            av_log(ctx, AV_LOG_WARNING, "The statistics in %s are incomplete\n", s->part);
        else if (rename(s->part, path))
            av_log(ctx, AV_LOG_ERROR, "Cannot rename %s to %s\n", s->part, path);
    }
    s->file = NULL;
    av_freep(&s->part);
}

/* Activation ------------------------------------------------------------------ */

typedef struct FsrGlue {
    FsrEngine *engine;          /* NULL until the first frame */
    int        failed;          /* an error ended the work */
    int64_t    frames;          /* given out */
    int        told_no_record;
} FsrGlue;

/* push owns the frame; send gives a result's frame to the output */
typedef int (*FsrGluePush)(AVFilterContext *ctx, AVFrame *in);
typedef int (*FsrGlueSend)(AVFilterContext *ctx, FsrResult *r);

/* Give out what is finished; the number of frames, or an error. */
static int fsr_drain(AVFilterContext *ctx, FsrGlue *g, FsrGlueSend send)
{
    FsrResult r;
    int nb = 0, ret;

    while (g->engine && fsr_engine_pull(g->engine, &r) > 0) {
        if (!r.stats.has_record && !g->told_no_record) {
            g->told_no_record = 1;
            av_log(ctx, AV_LOG_WARNING, "No motion with the picture (another codec than HEVC, hardware decoding, or a filter in between): "
                   "the network runs on every such frame, which is slower. H.264, MPEG-2 and MPEG-4 have it with -flags2 +export_mvs "
                   "before -i, any video with the filter mestimate before this one\n");
        }
        ret = send(ctx, &r);
        if (ret < 0)
            return ret;
        g->frames++;
        nb++;
    }
    return nb;
}

static int fsr_activate(AVFilterContext *ctx, FsrGlue *g, FsrGluePush push, FsrGlueSend send)
{
    AVFilterLink *inlink = ctx->inputs[0], *outlink = ctx->outputs[0];
    AVFrame *in;
    int64_t pts;
    int ret, status;

    FF_FILTER_FORWARD_STATUS_BACK(outlink, inlink);

    while ((ret = ff_inlink_consume_frame(inlink, &in)) > 0) {
        ret = push(ctx, in);
        if (ret >= 0)
            ret = fsr_drain(ctx, g, send);
        g->failed |= ret < 0;
        if (ret > 0 && ff_inlink_queued_frames(inlink))
            ff_filter_set_ready(ctx, 100);
        if (ret)
            return FFMIN(ret, 0);
    }
    if (ret < 0)
        return ret;
    if (ff_inlink_acknowledge_status(inlink, &status, &pts)) {
        ret = g->engine ? fsr_engine_flush(g->engine) : 0;
        if (ret >= 0)
            ret = fsr_drain(ctx, g, send);
        g->failed |= ret < 0;
        if (ret < 0)
            return ret;
        ff_outlink_set_status(outlink, status, pts);
        return 0;
    }
    FF_FILTER_FORWARD_WANTED(outlink, inlink);
    return FFERROR_NOT_READY;
}

#endif /* AVFILTER_FF_GLUE_H */
