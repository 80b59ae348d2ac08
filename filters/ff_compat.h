/* All that differs between the FFmpeg versions that the filters are built in: 5.1 to 9.0. */
#ifndef AVFILTER_FF_COMPAT_H
#define AVFILTER_FF_COMPAT_H

#include "libavutil/frame.h"
#include "libavfilter/version_major.h"

#include "avfilter.h"
#include "filters.h"
#include "formats.h"
#if defined(__has_include)
#if __has_include("libavfilter/internal.h")
#include "libavfilter/internal.h"
#endif
#endif
#include "video.h"

#include "fastsr/record.h"      /* FSR_SIDE_DATA_TYPE; libavutil knows its name through an edit from 7.1 on */

/* From libavfilter 11 (FFmpeg 8) the public part of a filter is a member of its own. */
#if LIBAVFILTER_VERSION_MAJOR >= 11
#define FSR_FILTER  const FFFilter
#define FSR_PUB(f)  .p.f
#else
#define FSR_FILTER  const AVFilter
#define FSR_PUB(f)  .f
#endif

/*
 * Format negotiation, from 7.1 on by another kind of function:
 *     FSR_QUERY_FORMATS(name, ctx, in, out) { ... FSR_FORMATS(in, 0) ... }
 */
#ifdef FILTER_QUERY_FUNC2
#define FSR_QUERY_FORMATS(name, ctx, in, out) \
    static int name(const AVFilterContext *ctx, AVFilterFormatsConfig **in, AVFilterFormatsConfig **out)
#define FSR_FILTER_QUERY(name) FILTER_QUERY_FUNC2(name)
/* The samples of this output are full range, whatever the input's are. */
static inline int fsr_full_range(AVFilterFormatsConfig *c, int is_rgb)
{
    int ret = ff_formats_ref(ff_make_formats_list_singleton(AVCOL_RANGE_JPEG), &c->color_ranges);

    return ret < 0 || !is_rgb ? ret : ff_formats_ref(ff_make_formats_list_singleton(AVCOL_SPC_RGB), &c->color_spaces);
}
#else
#define FSR_QUERY_FORMATS(name, ctx, in, out)                                                                     \
    static int name##_with(AVFilterContext *ctx, AVFilterFormatsConfig **in, AVFilterFormatsConfig **out);        \
    static int name(AVFilterContext *c)                                                                           \
    {                                                                                                             \
        AVFilterFormatsConfig *i = &c->inputs[0]->outcfg, *o = &c->outputs[0]->incfg;                             \
        return name##_with(c, &i, &o);                                                                            \
    }                                                                                                             \
    static int name##_with(AVFilterContext *ctx, AVFilterFormatsConfig **in, AVFilterFormatsConfig **out)
#define FSR_FILTER_QUERY(name) FILTER_QUERY_FUNC(name)
static inline int fsr_full_range(AVFilterFormatsConfig *c, int is_rgb)
{
    return 0;
}
#endif
#define FSR_FORMATS(side, i) (&(side)[i]->formats)

static inline AVFilterFormats *fsr_one_format(enum AVPixelFormat f)
{
    const int list[] = { f, -1 };

    return ff_make_format_list(list);
}

/* Side data that speaks of samples of the picture before it was enlarged. */
static inline void fsr_strip_size_dependent(AVFrame *f)
{
    av_frame_remove_side_data(f, FSR_SIDE_DATA_TYPE);
    av_frame_remove_side_data(f, AV_FRAME_DATA_MOTION_VECTORS);
    av_frame_remove_side_data(f, AV_FRAME_DATA_VIDEO_ENC_PARAMS);
    av_frame_remove_side_data(f, AV_FRAME_DATA_REGIONS_OF_INTEREST);
    av_frame_remove_side_data(f, AV_FRAME_DATA_DETECTION_BBOXES);
    av_frame_remove_side_data(f, AV_FRAME_DATA_PANSCAN);
}

#endif /* AVFILTER_FF_COMPAT_H */
