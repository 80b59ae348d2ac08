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
