/*
 * This file is part of fastsr.
 *
 * fastsr is free software; you can redistribute it and/or modify it under the terms of
 * the GNU Lesser General Public License as published by the Free Software Foundation;
 * either version 2.1 of the License, or (at your option) any later version.
 */

/**
 * @file
 * Depth of compressed video: a network on key frames, its answer carried along the motion
 * vectors that the decoder attached to its pictures. Glue only; the work is done by the
 * engine (fastsr/engine.h).
 */

#include "libavutil/opt.h"
#include "ff_compat.h"
#include "ff_glue.h"
#include "ff_motion.h"

typedef struct FastDepthContext {
    const AVClass *class;

    char  *model;
    int    precision;
    int    interval;
    int    fill;
    int    format;
    double near, far;
    int    full_size;
    char  *stats;

    FsrNet        *net;
    FsrGlue        glue;
    FsrFrameMotion motion;
    FsrStatsFile   stats_file;
} FastDepthContext;

#define OFFSET(x) offsetof(FastDepthContext, x)
#define FLAGS AV_OPT_FLAG_VIDEO_PARAM | AV_OPT_FLAG_FILTERING_PARAM

static const AVOption fastdepth_options[] = {
    { "model",    "network: a name (\"list\" shows them) or an .onnx file", OFFSET(model), AV_OPT_TYPE_STRING, { .str = NULL }, 0, 0, FLAGS },
    { "precision", "number format of the network", OFFSET(precision), AV_OPT_TYPE_INT, { .i64 = FSR_PRECISION_F32 }, 0, FSR_PRECISION_I8, FLAGS, "precision" },
    { "f32",      "32-bit float", 0, AV_OPT_TYPE_CONST, { .i64 = FSR_PRECISION_F32 }, 0, 0, FLAGS, "precision" },
    { "i8",       "8-bit integers for most of the work, where the processor has products of bytes", 0, AV_OPT_TYPE_CONST, { .i64 = FSR_PRECISION_I8 }, 0, 0, FLAGS, "precision" },
    { "interval", "frames from one key frame to the next at most; 1 runs the network on every frame", OFFSET(interval), AV_OPT_TYPE_INT, { .i64 = 16 }, 1, 100000, FLAGS },
    { "fill",     "what is done between key frames", OFFSET(fill), AV_OPT_TYPE_INT, { .i64 = FSR_DEPTH_TRANSFER }, 0, FSR_DEPTH_TRANSFER, FLAGS, "fill" },
    { "hold",     "depth of the latest key frame", 0, AV_OPT_TYPE_CONST, { .i64 = FSR_DEPTH_HOLD }, 0, 0, FLAGS, "fill" },
    { "transfer", "depth carried along the motion vectors", 0, AV_OPT_TYPE_CONST, { .i64 = FSR_DEPTH_TRANSFER }, 0, 0, FLAGS, "fill" },
    { "format",   "what is given out", OFFSET(format), AV_OPT_TYPE_INT, { .i64 = FSR_DEPTH_GRAY8 }, 0, FSR_DEPTH_COLOR, FLAGS, "format" },
    { "gray8",    "8 bit, black at near to white at far", 0, AV_OPT_TYPE_CONST, { .i64 = FSR_DEPTH_GRAY8 }, 0, 0, FLAGS, "format" },
    { "gray16",   "16 bit, millimetres", 0, AV_OPT_TYPE_CONST, { .i64 = FSR_DEPTH_GRAY16 }, 0, 0, FLAGS, "format" },
    { "grayf32",  "float, metres", 0, AV_OPT_TYPE_CONST, { .i64 = FSR_DEPTH_GRAYF32 }, 0, 0, FLAGS, "format" },
    { "color",    "colours, warm at near to cold at far", 0, AV_OPT_TYPE_CONST, { .i64 = FSR_DEPTH_COLOR }, 0, 0, FLAGS, "format" },
    { "near",     "metres of the first value of gray8 and color", OFFSET(near), AV_OPT_TYPE_DOUBLE, { .dbl = 0 }, 0, 1000, FLAGS },
    { "far",      "metres of the last value of gray8 and color", OFFSET(far), AV_OPT_TYPE_DOUBLE, { .dbl = 10 }, 0, 1000, FLAGS },
    { "size",     "size of the output", OFFSET(full_size), AV_OPT_TYPE_INT, { .i64 = 0 }, 0, 1, FLAGS, "size" },
    { "model",    "at most 256 samples a side, about what the network resolves", 0, AV_OPT_TYPE_CONST, { .i64 = 0 }, 0, 0, FLAGS, "size" },
    { "input",    "size of the input, edges follow the picture", 0, AV_OPT_TYPE_CONST, { .i64 = 1 }, 0, 0, FLAGS, "size" },
    { "stats",    "write a line per frame to this CSV file", OFFSET(stats), AV_OPT_TYPE_STRING, { .str = NULL }, 0, 0, FLAGS },
    { NULL }
};

AVFILTER_DEFINE_CLASS(fastdepth);

static const enum AVPixelFormat in_formats[] = { FSR_INPUT_FORMATS };
static const enum AVPixelFormat out_formats[] = {
    [FSR_DEPTH_GRAY8]   = AV_PIX_FMT_GRAY8,
    [FSR_DEPTH_GRAY16]  = AV_PIX_FMT_GRAY16,
    [FSR_DEPTH_GRAYF32] = AV_PIX_FMT_GRAYF32,
    [FSR_DEPTH_COLOR]   = AV_PIX_FMT_RGB24,
};

/* The network ---------------------------------------------------------------- */

static int load_network(AVFilterContext *ctx)
{
    FastDepthContext *s = ctx->priv;

    for (const FsrModelEntry *m = fsr_models; m->name; m++)
        if (!m->scale && (!s->model || !strcmp(m->name, s->model)))
            return fsr_load_network(ctx, &s->net, m, s->model, "depth");
    return fsr_load_network(ctx, &s->net, NULL, s->model, "depth");
}

static av_cold int init(AVFilterContext *ctx)
{
    FastDepthContext *s = ctx->priv;
    int ret;

    if (s->model && !strcmp(s->model, "list")) {
        int nb = 0;

        for (const FsrModelEntry *m = fsr_models; m->name; m++)
            if (!m->scale) {
                av_log(ctx, AV_LOG_INFO, "%-16s %s\n", m->name, m->description);
                nb++;
            }
        if (!nb)
            av_log(ctx, AV_LOG_INFO, "none is built in; give one with model=FILE.onnx\n");
        return AVERROR_EXIT;
    }
    if (s->far <= s->near) {
        av_log(ctx, AV_LOG_ERROR, "far=%g must be more than near=%g (metres)\n", s->far, s->near);
        return AVERROR(EINVAL);
    }
    ret = fsr_stats_open(ctx, &s->stats_file, s->stats, "frame,pts,key,type,intra,transferred,mismatch,min,median,max,macs");
    return ret < 0 ? ret : load_network(ctx);
}

/* What the engine calls ------------------------------------------------------ */

static int alloc_output(void *opaque, void *in, void **out, FsrPlanes *planes)
{
    AVFilterContext  *ctx = opaque;
    FastDepthContext *s = ctx->priv;
    AVFilterLink     *outlink = ctx->outputs[0];
    AVFrame          *src = in, *f = ff_get_video_buffer(outlink, outlink->w, outlink->h);
    int ret;

    if (!f)
        return AVERROR(ENOMEM);
    fsr_strip_size_dependent(src);      /* before, so that nothing large is copied */
    ret = av_frame_copy_props(f, src);
    if (ret < 0) {
        av_frame_free(&f);
        return ret;
    }
    while (f->nb_side_data)             /* it speaks of a picture's colours */
        av_frame_remove_side_data(f, f->side_data[0]->type);
    f->crop_left = f->crop_right = f->crop_top = f->crop_bottom = 0;
    f->width               = outlink->w;
    f->height              = outlink->h;
    f->sample_aspect_ratio = outlink->sample_aspect_ratio;
    f->color_range         = AVCOL_RANGE_JPEG;
    f->color_primaries     = AVCOL_PRI_UNSPECIFIED;
    f->color_trc           = AVCOL_TRC_UNSPECIFIED;
    f->colorspace          = s->format == FSR_DEPTH_COLOR ? AVCOL_SPC_RGB : AVCOL_SPC_UNSPECIFIED;
    f->chroma_location     = AVCHROMA_LOC_UNSPECIFIED;
    planes->data[0]   = f->data[0];
    planes->stride[0] = f->linesize[0];
    planes->step[0]   = 1;
    *out = f;
    return 0;
}

/* Setting up ----------------------------------------------------------------- */

static double sample_aspect(const AVFilterLink *inlink)
{
    const AVRational r = inlink->sample_aspect_ratio;

    return r.num > 0 && r.den > 0 ? av_clipd(av_q2d(r), 0.1, 10) : 1;
}

/* Weights of red and blue in luma, ITU-T H.273 table 4; where nothing is said, that of the picture's size */
static void luma_weights(FsrDepthConfig *d, const AVFrame *f)
{
    enum AVColorSpace c = f->colorspace;

    if (c == AVCOL_SPC_UNSPECIFIED)
        c = f->width >= 1280 || f->height > 576 ? AVCOL_SPC_BT709 : AVCOL_SPC_SMPTE170M;
    d->kr = c == AVCOL_SPC_BT709 ? 0.2126 : c == AVCOL_SPC_BT2020_NCL || c == AVCOL_SPC_BT2020_CL ? 0.2627 : c == AVCOL_SPC_SMPTE240M ? 0.212 : 0.299;
    d->kb = c == AVCOL_SPC_BT709 ? 0.0722 : c == AVCOL_SPC_BT2020_NCL || c == AVCOL_SPC_BT2020_CL ? 0.0593 : c == AVCOL_SPC_SMPTE240M ? 0.087 : 0.114;
}

/* The engine is made with the first frame, which alone tells the colour matrix. */
static int create_engine(AVFilterContext *ctx, const AVFrame *f)
{
    FastDepthContext *s = ctx->priv;
    char err[256] = "";
    int ret;
    FsrDepthConfig d = {
        .fill          = s->fill,
        .format        = s->format,
        .full_size     = s->full_size,
        .near          = s->near,
        .far           = s->far,
        .sample_aspect = sample_aspect(ctx->inputs[0]),
        .full_range    = f->color_range == AVCOL_RANGE_JPEG || f->format == AV_PIX_FMT_YUVJ420P ||
                         f->format == AV_PIX_FMT_YUVJ422P || f->format == AV_PIX_FMT_YUVJ444P,
    };
    FsrEngineConfig c = {
        .depth      = &d,
        .interval   = s->interval,
        .threshold  = 10,
        .net        = s->net,
        .precision  = s->precision,
        .nb_workers = ff_filter_get_nb_threads(ctx),
        .execute    = fsr_execute,
        .alloc      = alloc_output,
        .release    = fsr_free_frame,
        .discard    = fsr_free_frame,
        .opaque     = ctx,
    };

    luma_weights(&d, f);
    fsr_frame_format(&c.format, f);
    ret = fsr_engine_create(&s->glue.engine, &c, err, sizeof(err));
    if (ret < 0)
        av_log(ctx, AV_LOG_ERROR, "%s\n", err);
    return ret;
}

static int config_output(AVFilterLink *outlink)
{
    AVFilterContext  *ctx = outlink->src;
    FastDepthContext *s = ctx->priv;
    AVFilterLink     *inlink = ctx->inputs[0];
    AVRational        sar = inlink->sample_aspect_ratio;
    int ret;

    if ((ret = fsr_check_size(ctx, inlink)) < 0)
        return ret;
    outlink->w = inlink->w;
    outlink->h = inlink->h;
    if (!s->full_size)
        fsr_depth_size(inlink->w, inlink->h, sample_aspect(inlink), &outlink->w, &outlink->h);
    /* the output shows the same field */
    if (outlink->w != inlink->w || outlink->h != inlink->h)
        av_reduce(&outlink->sample_aspect_ratio.num, &outlink->sample_aspect_ratio.den,
                  (int64_t)(sar.num > 0 ? sar.num : 1) * inlink->w * outlink->h,
                  (int64_t)(sar.num > 0 ? sar.den : 1) * inlink->h * outlink->w, 1 << 15);
    return 0;
}

/* Pictures ------------------------------------------------------------------- */

static int push(AVFilterContext *ctx, AVFrame *in)
{
    FastDepthContext *s = ctx->priv;
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

static void set_metadata(AVFrame *f, const char *key, double value)
{
    char name[48], buf[32];

    snprintf(name, sizeof(name), "lavfi.fastdepth.%s", key);
    snprintf(buf, sizeof(buf), "%.4f", value);
    av_dict_set(&f->metadata, name, buf, 0);
}

static int send(AVFilterContext *ctx, FsrResult *r)
{
    FastDepthContext *s = ctx->priv;
    const FsrPictureStats *st = &r->stats;
    AVFrame *f = r->out;

    if (s->stats_file.file) {
        fsr_stats_begin(&s->stats_file, s->glue.frames, f, st);
        fprintf(s->stats_file.file, "%.4f,%.4f,%.3f,%.4f,%.4f,%.4f,%.0f\n", st->intra, st->transferred, st->mismatch,
                st->depth[0], st->depth[1], st->depth[2], st->macs);
    }
    av_dict_set(&f->metadata, "lavfi.fastdepth.key", st->key ? "1" : "0", 0);
    set_metadata(f, "transferred", st->transferred);
    set_metadata(f, "min", st->depth[0]);
    set_metadata(f, "median", st->depth[1]);
    set_metadata(f, "max", st->depth[2]);
    return ff_filter_frame(ctx->outputs[0], f);
}

static int activate(AVFilterContext *ctx)
{
    FastDepthContext *s = ctx->priv;

    return fsr_activate(ctx, &s->glue, push, send);
}

static av_cold void uninit(AVFilterContext *ctx)
{
    FastDepthContext *s = ctx->priv;
    FsrTotals t;

    if (s->glue.engine && s->glue.frames) {
        fsr_engine_totals(s->glue.engine, &t);
        av_log(ctx, AV_LOG_INFO, "%"PRId64" frames, %"PRId64" key frames, %.1f %% of the area transferred, %.1f million MAC per frame\n",
               t.pictures, t.keys, 100 * t.transferred / t.pictures, t.macs / t.pictures / 1e6);
        if (t.bad_records)
            av_log(ctx, AV_LOG_WARNING, "%"PRId64" motion records did not fit their pictures\n", t.bad_records);
    }
    fsr_engine_free(&s->glue.engine);
    fsr_nn_free(&s->net);
    fsr_frame_motion_free(&s->motion);
    fsr_stats_close(ctx, &s->stats_file, s->stats, s->glue.frames, s->glue.failed);
}

static const AVFilterPad fastdepth_inputs[] = {
    { .name = "default", .type = AVMEDIA_TYPE_VIDEO },
};

static const AVFilterPad fastdepth_outputs[] = {
    { .name = "default", .type = AVMEDIA_TYPE_VIDEO, .config_props = config_output },
};

FSR_QUERY_FORMATS(query_formats, ctx, in, out)
{
    const FastDepthContext *s = ctx->priv;
    int ret;

    if ((ret = ff_formats_ref(ff_make_format_list((const int *)in_formats), FSR_FORMATS(in, 0))) < 0 ||
        (ret = ff_formats_ref(fsr_one_format(out_formats[s->format]), FSR_FORMATS(out, 0))) < 0)
        return ret;
    return fsr_full_range(out[0], s->format == FSR_DEPTH_COLOR);
}

extern FSR_FILTER ff_vf_fastdepth;
FSR_FILTER ff_vf_fastdepth = {
    FSR_PUB(name)        = "fastdepth",
    FSR_PUB(description) = NULL_IF_CONFIG_SMALL("Depth of compressed video from a network on key frames and the codec's motion."),
    FSR_PUB(priv_class)  = &fastdepth_class,
    FSR_PUB(flags)       = AVFILTER_FLAG_SLICE_THREADS,
    .priv_size           = sizeof(FastDepthContext),
    .init                = init,
    .uninit              = uninit,
    .activate            = activate,
    FILTER_INPUTS(fastdepth_inputs),
    FILTER_OUTPUTS(fastdepth_outputs),
    FSR_FILTER_QUERY(query_formats),
};
