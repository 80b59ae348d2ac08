/*
 * This file is part of fastsr.
 *
 * fastsr is free software; you can redistribute it and/or modify it under the terms of
 * the GNU Lesser General Public License as published by the Free Software Foundation;
 * either version 2.1 of the License, or (at your option) any later version.
 */

/**
 * @file
 * Super-resolution of compressed video: a network on key frames, the rest carried along
 * the motion vectors that the decoder attached to its pictures. Glue only; the work is
 * done by the engine (fastsr/engine.h).
 */

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "libavutil/avstring.h"
#include "libavutil/mem.h"
#include "libavutil/opt.h"
#include "libavutil/pixdesc.h"
#include "ff_compat.h"
#include "ff_motion.h"

#include "fastsr/engine.h"
#include "models/models.h"

typedef struct FastSRContext {
    const AVClass *class;

    int    scale;
    char  *model;
    int    interval;
    int    fill;
    double threshold;
    char  *stats;
    int    show;

    FsrNet    *net;
    FsrEngine *engine;
    FsrFrameMotion motion;
    FILE      *stats_file;
    char      *stats_part;      /* written under this name, renamed when complete */
    int        failed;          /* an error ended the work */
    int        out_w, out_h;    /* links may be gone when the summary is written */
    int        told_no_record;
    int64_t    frames;          /* given out */
} FastSRContext;

#define OFFSET(x) offsetof(FastSRContext, x)
#define FLAGS AV_OPT_FLAG_VIDEO_PARAM | AV_OPT_FLAG_FILTERING_PARAM

static const AVOption fastsr_options[] = {
    { "scale",     "output size divided by input size", OFFSET(scale), AV_OPT_TYPE_INT, { .i64 = 2 }, 2, 4, FLAGS },
    { "model",     "network: a name (\"list\" shows them), an .onnx file, or none", OFFSET(model), AV_OPT_TYPE_STRING, { .str = NULL }, 0, 0, FLAGS },
    { "interval",  "frames from one key frame to the next at most; 1 runs the network on every frame", OFFSET(interval), AV_OPT_TYPE_INT, { .i64 = 16 }, 1, 100000, FLAGS },
    { "fill",      "what is done between key frames", OFFSET(fill), AV_OPT_TYPE_INT, { .i64 = FSR_FILL_DETAIL }, 0, FSR_FILL_DETAIL, FLAGS, "fill" },
    { "bicubic",   "plain cubic upscaling", 0, AV_OPT_TYPE_CONST, { .i64 = FSR_FILL_BICUBIC }, 0, 0, FLAGS, "fill" },
    { "fast",      "the FAST algorithm: pixels carried, residual added", 0, AV_OPT_TYPE_CONST, { .i64 = FSR_FILL_FAST }, 0, 0, FLAGS, "fill" },
    { "detail",    "detail carried on top of cubic upscaling", 0, AV_OPT_TYPE_CONST, { .i64 = FSR_FILL_DETAIL }, 0, 0, FLAGS, "fill" },
    { "threshold", "motion mismatch (mean absolute, 8-bit steps) from which nothing is carried", OFFSET(threshold), AV_OPT_TYPE_DOUBLE, { .dbl = 10 }, 0, 255, FLAGS },
    { "stats",     "write a line per frame to this CSV file", OFFSET(stats), AV_OPT_TYPE_STRING, { .str = NULL }, 0, 0, FLAGS },
    { "show",      "what is drawn over the output", OFFSET(show), AV_OPT_TYPE_INT, { .i64 = FSR_SHOW_PICTURE }, 0, FSR_SHOW_MAP, FLAGS, "show" },
    { "picture",   "nothing", 0, AV_OPT_TYPE_CONST, { .i64 = FSR_SHOW_PICTURE }, 0, 0, FLAGS, "show" },
    { "map",       "what was done with each cell, in colours, and the vectors", 0, AV_OPT_TYPE_CONST, { .i64 = FSR_SHOW_MAP }, 0, 0, FLAGS, "show" },
    { NULL }
};

AVFILTER_DEFINE_CLASS(fastsr);

static const enum AVPixelFormat pix_fmts[] = {
    AV_PIX_FMT_YUV420P,   AV_PIX_FMT_YUV422P,   AV_PIX_FMT_YUV444P,   AV_PIX_FMT_GRAY8,
    AV_PIX_FMT_YUVJ420P,  AV_PIX_FMT_YUVJ422P,  AV_PIX_FMT_YUVJ444P,
    AV_PIX_FMT_YUV420P10, AV_PIX_FMT_YUV422P10, AV_PIX_FMT_YUV444P10, AV_PIX_FMT_GRAY10,
    AV_PIX_FMT_YUV420P12, AV_PIX_FMT_YUV422P12, AV_PIX_FMT_YUV444P12, AV_PIX_FMT_GRAY12,
    AV_PIX_FMT_NV12,      AV_PIX_FMT_P010,
    AV_PIX_FMT_NONE
};

/* The network ---------------------------------------------------------------- */

static void list_models(AVFilterContext *ctx)
{
    for (const FsrModelEntry *m = fsr_models; m->name; m++)
        if (m->scale)
            av_log(ctx, AV_LOG_INFO, "%-16s scale %d  %s\n", m->name, m->scale, m->description);
    av_log(ctx, AV_LOG_INFO, "%-16s any scale  no network: cubic upscaling only\n", "none");
}

static const FsrModelEntry *find_model(const char *name, int scale)
{
    for (const FsrModelEntry *m = fsr_models; m->name; m++)
        if (m->scale == scale && (!name || !strcmp(m->name, name)))
            return m;
    return NULL;
}

static int load_network(AVFilterContext *ctx)
{
    FastSRContext *s = ctx->priv;
    const FsrModelEntry *m = find_model(s->model, s->scale);
    char err[256] = "";
    int ret;

    if (s->model && !strcmp(s->model, "none"))
        return 0;
    if (m) {
        ret = fsr_nn_load(&s->net, m->data, m->size, err, sizeof(err));
    } else if (!s->model) {
        av_log(ctx, AV_LOG_ERROR, "No network for scale %d is built in; give one with model=FILE.onnx or use model=none\n", s->scale);
        return AVERROR(EINVAL);
    } else if (access(s->model, R_OK)) {
        av_log(ctx, AV_LOG_ERROR, "There is no network \"%s\" for scale %d, and no such file can be read; model=list shows what is built in\n",
               s->model, s->scale);
        return AVERROR(EINVAL);
    } else {
        ret = fsr_nn_load_file(&s->net, s->model, err, sizeof(err));
    }
    if (ret < 0)
        av_log(ctx, AV_LOG_ERROR, "Network %s: %s\n", s->model ? s->model : m->name, err);
    return ret;
}

/* What the engine calls ------------------------------------------------------ */

typedef struct Work {
    FsrJob     fn;
    void      *arg;
    int        nb_jobs;
    atomic_int next;
} Work;

static int run_worker(AVFilterContext *ctx, void *arg, int worker, int nb_workers)
{
    Work *w = arg;
    int job;

    while ((job = atomic_fetch_add(&w->next, 1)) < w->nb_jobs)
        w->fn(w->arg, job, worker);
    return 0;
}

static void execute(void *opaque, FsrJob fn, void *arg, int nb_jobs)
{
    Work w = { fn, arg, nb_jobs };

    atomic_init(&w.next, 0);
    ff_filter_execute(opaque, run_worker, &w, NULL, FFMIN(nb_jobs, ff_filter_get_nb_threads(opaque)));
}

/* Sample layout of a frame: semi-planar chroma is two planes with every other sample. */
static void get_planes(FsrPlanes *p, const AVFrame *f)
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

static int alloc_output(void *opaque, void *in, void **out, FsrPlanes *planes)
{
    AVFilterContext *ctx = opaque;
    AVFilterLink    *outlink = ctx->outputs[0];
    AVFrame         *src = in, *f = ff_get_video_buffer(outlink, outlink->w, outlink->h);
    int ret;

    if (!f)
        return AVERROR(ENOMEM);
    fsr_strip_size_dependent(src);      /* before, so that nothing large is copied */
    ret = av_frame_copy_props(f, src);
    if (ret < 0) {
        av_frame_free(&f);
        return ret;
    }
    f->crop_left = f->crop_right = f->crop_top = f->crop_bottom = 0;
    f->width  = outlink->w;
    f->height = outlink->h;
    get_planes(planes, f);
    *out = f;
    return 0;
}

static void free_frame(void *opaque, void *frame)
{
    AVFrame *f = frame;

    av_frame_free(&f);
}

/* Setting up ----------------------------------------------------------------- */

static av_cold int init(AVFilterContext *ctx)
{
    FastSRContext *s = ctx->priv;

    if (s->model && !strcmp(s->model, "list")) {
        list_models(ctx);
        return AVERROR_EXIT;
    }
    if (s->stats) {
        s->stats_part = av_asprintf("%s.part", s->stats);
        if (!s->stats_part)
            return AVERROR(ENOMEM);
        s->stats_file = fopen(s->stats_part, "w");
        if (!s->stats_file) {
            int ret = AVERROR(errno);

            av_log(ctx, AV_LOG_ERROR, "Cannot write %s: %s\n", s->stats_part, av_err2str(ret));
            return ret;
        }
        fprintf(s->stats_file, "frame,pts,key,type,intra,skip,transferred,mismatch,macs\n");
    }
    return load_network(ctx);
}

/* The engine is made with the first frame, which alone tells the chroma siting. */
static int create_engine(AVFilterContext *ctx, const AVFrame *f)
{
    FastSRContext *s = ctx->priv;
    const AVPixFmtDescriptor *desc = av_pix_fmt_desc_get(f->format);
    const enum AVChromaLocation loc = f->chroma_location;
    char err[256] = "";
    int ret;
    FsrEngineConfig c = {
        .format = {
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
        },
        .scale      = s->scale,
        .fill       = s->fill,
        .show       = s->show,
        .interval   = s->interval,
        .threshold  = s->threshold,
        .net        = s->net,
        .nb_workers = ff_filter_get_nb_threads(ctx),
        .execute    = execute,
        .alloc      = alloc_output,
        .release    = free_frame,
        .discard    = free_frame,
        .opaque     = ctx,
    };

    ret = fsr_engine_create(&s->engine, &c, err, sizeof(err));
    if (ret < 0)
        av_log(ctx, AV_LOG_ERROR, "%s\n", err);
    return ret;
}

static int config_output(AVFilterLink *outlink)
{
    AVFilterContext *ctx = outlink->src;
    FastSRContext   *s = ctx->priv;
    AVFilterLink    *inlink = ctx->inputs[0];

    if (inlink->w > 16384 || inlink->h > 16384) {
        av_log(ctx, AV_LOG_ERROR, "Pictures of %dx%d are too large; at most 16384 in each direction\n", inlink->w, inlink->h);
        return AVERROR(EINVAL);
    }
    outlink->w = s->out_w = inlink->w * s->scale;
    outlink->h = s->out_h = inlink->h * s->scale;
    return 0;
}

/* Pictures ------------------------------------------------------------------- */

static int push(AVFilterContext *ctx, AVFrame *in)
{
    FastSRContext *s = ctx->priv;
    AVFilterLink  *inlink = ctx->inputs[0];
    FsrPicture pic = { .opaque = in };
    int ret;

    if (in->width != inlink->w || in->height != inlink->h || in->format != inlink->format) {
        av_log(ctx, AV_LOG_ERROR, "The picture changed to %dx%d in the middle of the stream; a filter graph of its own is needed for each size\n",
               in->width, in->height);
        av_frame_free(&in);
        return AVERROR(EINVAL);
    }
    if ((!s->engine && (ret = create_engine(ctx, in)) < 0) ||
        (ret = fsr_frame_motion(&s->motion, in, &pic.record, &pic.record_size)) < 0) {
        av_frame_free(&in);
        return ret;
    }
    get_planes(&pic.planes, in);
    return fsr_engine_push(s->engine, &pic);
}

static void write_stats(FastSRContext *s, const AVFrame *f, const FsrPictureStats *st)
{
    char pts[32] = "";

    if (f->pts != AV_NOPTS_VALUE)
        snprintf(pts, sizeof(pts), "%"PRId64, f->pts);
    fprintf(s->stats_file, "%"PRId64",%s,%d,%c,%.4f,%.4f,%.4f,%.3f,%.0f\n", s->frames, pts, st->key, st->type,
            st->intra, st->skip, st->transferred, st->mismatch, st->macs);
}

static int send(AVFilterContext *ctx, FsrResult *r)
{
    FastSRContext *s = ctx->priv;
    AVFrame *f = r->out;
    char buf[32];

    if (!r->stats.has_record && !s->told_no_record) {
        s->told_no_record = 1;
        av_log(ctx, AV_LOG_WARNING, "No motion with the picture (another codec than HEVC, hardware decoding, or a filter in between): "
               "the network runs on every such frame, which is slower. H.264, MPEG-2 and MPEG-4 have it with -flags2 +export_mvs "
               "before -i, any video with the filter mestimate before this one\n");
    }
    if (s->stats_file)
        write_stats(s, f, &r->stats);
    s->frames++;
    av_dict_set(&f->metadata, "lavfi.fastsr.key", r->stats.key ? "1" : "0", 0);
    snprintf(buf, sizeof(buf), "%.4f", r->stats.transferred);
    av_dict_set(&f->metadata, "lavfi.fastsr.transferred", buf, 0);
    return ff_filter_frame(ctx->outputs[0], f);
}

/* Give out what is finished; the number of frames, or an error. */
static int drain(AVFilterContext *ctx)
{
    FastSRContext *s = ctx->priv;
    FsrResult r;
    int nb = 0, ret;

    while (s->engine && fsr_engine_pull(s->engine, &r) > 0) {
        ret = send(ctx, &r);
        if (ret < 0)
            return ret;
        nb++;
    }
    return nb;
}

static int activate(AVFilterContext *ctx)
{
    FastSRContext *s = ctx->priv;
    AVFilterLink  *inlink = ctx->inputs[0], *outlink = ctx->outputs[0];
    AVFrame *in;
    int64_t pts;
    int ret, status;

    FF_FILTER_FORWARD_STATUS_BACK(outlink, inlink);

    while ((ret = ff_inlink_consume_frame(inlink, &in)) > 0) {
        ret = push(ctx, in);
        if (ret >= 0)
            ret = drain(ctx);
        s->failed |= ret < 0;
        if (ret > 0 && ff_inlink_queued_frames(inlink))
            ff_filter_set_ready(ctx, 100);
        if (ret)
            return FFMIN(ret, 0);
    }
    if (ret < 0)
        return ret;
    if (ff_inlink_acknowledge_status(inlink, &status, &pts)) {
        ret = s->engine ? fsr_engine_flush(s->engine) : 0;
        if (ret >= 0)
            ret = drain(ctx);
        s->failed |= ret < 0;
        if (ret < 0)
            return ret;
        ff_outlink_set_status(outlink, status, pts);
        return 0;
    }
    FF_FILTER_FORWARD_WANTED(outlink, inlink);
    return FFERROR_NOT_READY;
}

static void finish_stats(AVFilterContext *ctx)
{
    FastSRContext *s = ctx->priv;
    int failed;

    if (!s->stats_file)
        return;
    failed  = s->failed || ferror(s->stats_file);
    failed |= fclose(s->stats_file);
    if (failed)
        av_log(ctx, AV_LOG_WARNING, "The statistics in %s are incomplete\n", s->stats_part);
    else if (rename(s->stats_part, s->stats))
        av_log(ctx, AV_LOG_ERROR, "Cannot rename %s to %s\n", s->stats_part, s->stats);
}

static av_cold void uninit(AVFilterContext *ctx)
{
    FastSRContext *s = ctx->priv;
    FsrTotals t;

    if (s->engine && s->frames) {
        fsr_engine_totals(s->engine, &t);
        av_log(ctx, AV_LOG_INFO, "%"PRId64" frames, %"PRId64" key frames, %.1f %% of the area transferred, %.0f MAC per output pixel\n",
               t.pictures, t.keys, 100 * t.transferred / t.pictures,
               t.macs / t.pictures / ((double)s->out_w * s->out_h));
        if (t.bad_records)
            av_log(ctx, AV_LOG_WARNING, "%"PRId64" motion records did not fit their pictures\n", t.bad_records);
    }
    fsr_engine_free(&s->engine);
    fsr_nn_free(&s->net);
    fsr_frame_motion_free(&s->motion);
    finish_stats(ctx);
    av_freep(&s->stats_part);
}

static const AVFilterPad fastsr_inputs[] = {
    { .name = "default", .type = AVMEDIA_TYPE_VIDEO },
};

static const AVFilterPad fastsr_outputs[] = {
    { .name = "default", .type = AVMEDIA_TYPE_VIDEO, .config_props = config_output },
};

extern FSR_FILTER ff_vf_fastsr;
FSR_FILTER ff_vf_fastsr = {
    FSR_PUB(name)        = "fastsr",
    FSR_PUB(description) = NULL_IF_CONFIG_SMALL("Enlarge compressed video with a network on key frames and the codec's motion."),
    FSR_PUB(priv_class)  = &fastsr_class,
    FSR_PUB(flags)       = AVFILTER_FLAG_SLICE_THREADS,
    .priv_size           = sizeof(FastSRContext),
    .init                = init,
    .uninit              = uninit,
    .activate            = activate,
    FILTER_INPUTS(fastsr_inputs),
    FILTER_OUTPUTS(fastsr_outputs),
    FILTER_PIXFMTS_ARRAY(pix_fmts),
};
