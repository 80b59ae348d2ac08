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

#include "libavutil/opt.h"
#include "ff_compat.h"
#include "ff_glue.h"
#include "ff_motion.h"

typedef struct FastSRContext {
    const AVClass *class;

    int    scale;
    char  *model;
    int    precision;
    int    interval;
    int    fill;
    double threshold;
    double budget;
    char  *stats;
    int    show;

    FsrNet    *net;
    FsrNet    *key_net, *coarse_net;
    double     coarse_from;
    FsrGlue    glue;
    FsrFrameMotion motion;
    FsrStatsFile   stats_file;
    int        out_w, out_h;    /* links may be gone when the summary is written */
} FastSRContext;

#define OFFSET(x) offsetof(FastSRContext, x)
#define FLAGS AV_OPT_FLAG_VIDEO_PARAM | AV_OPT_FLAG_FILTERING_PARAM

static const AVOption fastsr_options[] = {
    { "scale",     "output size divided by input size", OFFSET(scale), AV_OPT_TYPE_INT, { .i64 = 2 }, 2, 4, FLAGS },
    { "model",     "network: a name (\"list\" shows them), an .onnx file, or none", OFFSET(model), AV_OPT_TYPE_STRING, { .str = NULL }, 0, 0, FLAGS },
    { "precision", "number format of the network", OFFSET(precision), AV_OPT_TYPE_INT, { .i64 = FSR_PRECISION_F32 }, 0, FSR_PRECISION_AUTO, FLAGS, "precision" },
    { "auto",      "i8 where the processor and the network are made for it, else f32", 0, AV_OPT_TYPE_CONST, { .i64 = FSR_PRECISION_AUTO }, 0, 0, FLAGS, "precision" },
    { "f32",       "32-bit float", 0, AV_OPT_TYPE_CONST, { .i64 = FSR_PRECISION_F32 }, 0, 0, FLAGS, "precision" },
    { "bf16",      "bfloat16 where the processor has it", 0, AV_OPT_TYPE_CONST, { .i64 = FSR_PRECISION_BF16 }, 0, 0, FLAGS, "precision" },
    { "i8",        "8-bit integers, 11 where the picture goes through", 0, AV_OPT_TYPE_CONST, { .i64 = FSR_PRECISION_I8 }, 0, 0, FLAGS, "precision" },
    { "interval",  "frames from one key frame to the next at most; 1 runs the network on every frame", OFFSET(interval), AV_OPT_TYPE_INT, { .i64 = 16 }, 1, 100000, FLAGS },
    { "fill",      "what is done between key frames", OFFSET(fill), AV_OPT_TYPE_INT, { .i64 = FSR_FILL_DETAIL }, 0, FSR_FILL_COPY, FLAGS, "fill" },
    { "bicubic",   "plain cubic upscaling", 0, AV_OPT_TYPE_CONST, { .i64 = FSR_FILL_BICUBIC }, 0, 0, FLAGS, "fill" },
    { "fast",      "the FAST algorithm: pixels carried, residual added", 0, AV_OPT_TYPE_CONST, { .i64 = FSR_FILL_FAST }, 0, 0, FLAGS, "fill" },
    { "detail",    "detail carried on top of cubic upscaling", 0, AV_OPT_TYPE_CONST, { .i64 = FSR_FILL_DETAIL }, 0, 0, FLAGS, "fill" },
    { "fuse",      "a recurrent network on every frame fuses what earlier frames saw", 0, AV_OPT_TYPE_CONST, { .i64 = FSR_FILL_FUSE }, 0, 0, FLAGS, "fill" },
    { "copy",      "the network on every frame, but standing parts are copied", 0, AV_OPT_TYPE_CONST, { .i64 = FSR_FILL_COPY }, 0, 0, FLAGS, "fill" },
    { "budget",    "fill=fuse: network work, multiply-accumulates per output pixel on average, spent where it gains most; 0: no limit; -1: 2800 with precision=f32, else 2200", OFFSET(budget), AV_OPT_TYPE_DOUBLE, { .dbl = -1 }, -1, 1e6, FLAGS },
    { "threshold", "motion mismatch (mean absolute, 8-bit steps) from which nothing is carried", OFFSET(threshold), AV_OPT_TYPE_DOUBLE, { .dbl = 10 }, 0, 255, FLAGS },
    { "stats",     "write a line per frame to this CSV file", OFFSET(stats), AV_OPT_TYPE_STRING, { .str = NULL }, 0, 0, FLAGS },
    { "show",      "what is drawn over the output", OFFSET(show), AV_OPT_TYPE_INT, { .i64 = FSR_SHOW_PICTURE }, 0, FSR_SHOW_MAP, FLAGS, "show" },
    { "picture",   "nothing", 0, AV_OPT_TYPE_CONST, { .i64 = FSR_SHOW_PICTURE }, 0, 0, FLAGS, "show" },
    { "map",       "what was done with each cell, in colours, and the vectors", 0, AV_OPT_TYPE_CONST, { .i64 = FSR_SHOW_MAP }, 0, 0, FLAGS, "show" },
    { NULL }
};

AVFILTER_DEFINE_CLASS(fastsr);

static const enum AVPixelFormat pix_fmts[] = { FSR_INPUT_FORMATS };

/* The network ---------------------------------------------------------------- */

static void list_models(AVFilterContext *ctx)
{
    for (const FsrModelEntry *m = fsr_models; m->name; m++)
        if (m->scale > 0)
            av_log(ctx, AV_LOG_INFO, "%-16s scale %d  %s\n", m->name, m->scale, m->description);
    av_log(ctx, AV_LOG_INFO, "%-16s any scale  no network: cubic upscaling only\n", "none");
}

/* Without a name: the first for this scale and way to fill. */
static const FsrModelEntry *find_model(const char *name, int scale, int fuse)
{
    for (const FsrModelEntry *m = fsr_models; m->name; m++)
        if (m->scale == scale && (name ? !strcmp(m->name, name) : fuse == !strncmp(m->name, "fuse", 4)))
            return m;
    return NULL;
}

/* A network beside the recurrent one, which names it in its metadata: built in, or a file in the same folder. */
static int load_beside(AVFilterContext *ctx, const FsrModelEntry *m, const char *what, FsrNet **net)
{
    FastSRContext *s = ctx->priv;
    const char *name = fsr_nn_meta(s->net, what), *slash;
    char *path;
    int   ret;

    if (!name)
        return 0;
    if (m) {
        for (m = fsr_models; m->name && (m->scale != FSR_MODEL_BESIDE || strcmp(m->name, name)); )
            m++;
        return fsr_load_network(ctx, net, m->name ? m : NULL, name, "fill=fuse");
    }
    slash = strrchr(s->model, '/');
    path  = av_asprintf("%.*s%s.onnx", slash ? (int)(slash + 1 - s->model) : 0, s->model, name);
    if (!path)
        return AVERROR(ENOMEM);
    ret = fsr_load_network(ctx, net, NULL, path, "fill=fuse");
    av_free(path);
    return ret;
}

static int load_network(AVFilterContext *ctx)
{
    FastSRContext *s = ctx->priv;
    const FsrModelEntry *m = find_model(s->model, s->scale, s->fill == FSR_FILL_FUSE);
    const char *from;
    char what[16];
    int  ret;

    if (s->model && !strcmp(s->model, "none"))
        return 0;
    if (s->fill == FSR_FILL_FUSE && s->scale != 2) {
        av_log(ctx, AV_LOG_ERROR, "fill=fuse is for scale=2, not for scale=%d\n", s->scale);
        return AVERROR(EINVAL);
    }
    snprintf(what, sizeof(what), "scale %d", s->scale);
    ret = fsr_load_network(ctx, &s->net, m, s->model, what);
    if (ret < 0 || s->fill != FSR_FILL_FUSE || (ret = load_beside(ctx, m, "key", &s->key_net)) < 0)
        return ret;
    from = fsr_nn_meta(s->net, "coarse_from");
    s->coarse_from = from ? strtod(from, NULL) : 0;
    return load_beside(ctx, m, "coarse", &s->coarse_net);
}

/* What the engine calls ------------------------------------------------------ */

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
    fsr_frame_planes(planes, f);
    *out = f;
    return 0;
}

/* Setting up ----------------------------------------------------------------- */

static av_cold int init(AVFilterContext *ctx)
{
    FastSRContext *s = ctx->priv;
    int ret;

    if (s->model && !strcmp(s->model, "list")) {
        list_models(ctx);
        return AVERROR_EXIT;
    }
    ret = fsr_stats_open(ctx, &s->stats_file, s->stats, "frame,pts,key,type,intra,skip,transferred,mismatch,macs");
    return ret < 0 ? ret : load_network(ctx);
}

/* The engine is made with the first frame, which alone tells the chroma siting. */
static int create_engine(AVFilterContext *ctx, const AVFrame *f)
{
    FastSRContext *s = ctx->priv;
    char err[256] = "";
    int ret;
    FsrEngineConfig c = {
        .scale      = s->scale,
        .fill       = s->fill,
        .show       = s->show,
        .interval   = s->interval,
        .threshold  = s->threshold,
        .budget     = s->budget < 0 ? s->precision == FSR_PRECISION_F32 ? 2800 : 2200 : s->budget,
        .net        = s->net,
        .key_net    = s->key_net,
        .coarse_net = s->coarse_net,
        .coarse_from = s->coarse_from,
        .precision  = s->precision,
        .nb_workers = ff_filter_get_nb_threads(ctx),
        .execute    = fsr_execute,
        .alloc      = alloc_output,
        .release    = fsr_free_frame,
        .discard    = fsr_free_frame,
        .opaque     = ctx,
    };

    fsr_frame_format(&c.format, f);
    ret = fsr_engine_create(&s->glue.engine, &c, err, sizeof(err));
    if (ret < 0)
        av_log(ctx, AV_LOG_ERROR, "%s\n", err);
    return ret;
}

static int config_output(AVFilterLink *outlink)
{
    AVFilterContext *ctx = outlink->src;
    FastSRContext   *s = ctx->priv;
    AVFilterLink    *inlink = ctx->inputs[0];
    int ret;

    if ((ret = fsr_check_size(ctx, inlink)) < 0)
        return ret;
    outlink->w = s->out_w = inlink->w * s->scale;
    outlink->h = s->out_h = inlink->h * s->scale;
    return 0;
}

/* Pictures ------------------------------------------------------------------- */

static int push(AVFilterContext *ctx, AVFrame *in)
{
    FastSRContext *s = ctx->priv;
    FsrPicture pic = { .opaque = in };
    int ret;

    if ((ret = fsr_check_frame(ctx, ctx->inputs[0], in)) < 0 || (!s->glue.engine && (ret = create_engine(ctx, in)) < 0) ||
        (ret = fsr_frame_motion(&s->motion, in, &pic.record, &pic.record_size)) < 0) {
        av_frame_free(&in);
        return ret;
    }
    fsr_frame_planes(&pic.planes, in);
    return fsr_engine_push(s->glue.engine, &pic);
}

static void write_stats(const FastSRContext *s, const AVFrame *f, const FsrPictureStats *st)
{
    fsr_stats_begin(&s->stats_file, s->glue.frames, f, st);
    fprintf(s->stats_file.file, "%.4f,%.4f,%.4f,%.3f,%.0f\n", st->intra, st->skip, st->transferred, st->mismatch, st->macs);
}

static int send(AVFilterContext *ctx, FsrResult *r)
{
    FastSRContext *s = ctx->priv;
    AVFrame *f = r->out;
    char buf[32];

    if (s->stats_file.file)
        write_stats(s, f, &r->stats);
    av_dict_set(&f->metadata, "lavfi.fastsr.key", r->stats.key ? "1" : "0", 0);
    snprintf(buf, sizeof(buf), "%.4f", r->stats.transferred);
    av_dict_set(&f->metadata, "lavfi.fastsr.transferred", buf, 0);
    return ff_filter_frame(ctx->outputs[0], f);
}

static int activate(AVFilterContext *ctx)
{
    FastSRContext *s = ctx->priv;

    return fsr_activate(ctx, &s->glue, push, send);
}

static av_cold void uninit(AVFilterContext *ctx)
{
    FastSRContext *s = ctx->priv;
    FsrTotals t;

    if (s->glue.engine && s->glue.frames) {
        fsr_engine_totals(s->glue.engine, &t);
        av_log(ctx, AV_LOG_INFO, "%"PRId64" frames, %"PRId64" key frames, %.1f %% of the area transferred, %.0f MAC per output pixel\n",
               t.pictures, t.keys, 100 * t.transferred / t.pictures,
               t.macs / t.pictures / ((double)s->out_w * s->out_h));
        if (t.bad_records)
            av_log(ctx, AV_LOG_WARNING, "%"PRId64" motion records did not fit their pictures\n", t.bad_records);
    }
    fsr_engine_free(&s->glue.engine);
    fsr_nn_free(&s->net);
    fsr_nn_free(&s->key_net);
    fsr_nn_free(&s->coarse_net);
    fsr_frame_motion_free(&s->motion);
    fsr_stats_close(ctx, &s->stats_file, s->stats, s->glue.frames, s->glue.failed);
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
