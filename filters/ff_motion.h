/*
 * The motion of a frame, as a record: the one that our HEVC decoder attached, or one made of the vectors that
 * other decoders export (-flags2 +export_mvs) or that the filter mestimate found.
 */
#ifndef AVFILTER_FF_MOTION_H
#define AVFILTER_FF_MOTION_H

#include <stdlib.h>

#include "libavutil/motion_vector.h"
#include "libavutil/pixdesc.h"
#include "ff_compat.h"

#include "codec_hooks/import_avmv.h"
#include "fastsr/record.h"

/* Start from { 0 }; one a filter. */
typedef struct FsrFrameMotion {
    FsrImport  import;
    void      *record;
    size_t     capacity;
    FsrVector *vectors;
    size_t     nb_allocated;
    int        exported;                /* vectors have been seen: a picture without any is intra */
    int        estimated;               /* vectors of mestimate: from both neighbours, whatever the picture's type */
} FsrFrameMotion;

static inline void fsr_frame_motion_free(FsrFrameMotion *m)
{
    free(m->record);
    free(m->vectors);
    memset(m, 0, sizeof(*m));
}

static inline int fsr_frame_motion_reserve(FsrFrameMotion *m, const AVFrame *f, size_t nb_vectors)
{
    const size_t capacity = fsr_record_capacity(f->width, f->height, 4);

    if (!capacity)
        return AVERROR(EINVAL);
    if (capacity > m->capacity) {
        free(m->record);
        m->capacity = 0;
        if (!(m->record = malloc(capacity)))
            return AVERROR(ENOMEM);
        m->capacity = capacity;
    }
    if (nb_vectors > m->nb_allocated) {
        free(m->vectors);
        m->nb_allocated = 0;
        if (!(m->vectors = malloc(nb_vectors * sizeof(*m->vectors))))
            return AVERROR(ENOMEM);
        m->nb_allocated = nb_vectors;
    }
    return 0;
}

static inline int fsr_frame_motion_import(FsrFrameMotion *m, const AVFrame *f, const AVFrameSideData *sd)
{
    const AVPixFmtDescriptor *desc = av_pix_fmt_desc_get(f->format);
    const size_t nb = sd ? sd->size / sizeof(AVMotionVector) : 0;
    FsrRecord   *r;
    int ret = fsr_frame_motion_reserve(m, f, nb);

    if (ret < 0)
        return ret;
    for (size_t i = 0; i < nb; i++) {
        AVMotionVector v;

        memcpy(&v, sd->data + i * sizeof(v), sizeof(v));
        m->vectors[i] = (FsrVector){ .source = v.source, .w = v.w, .h = v.h, .src_x = v.src_x, .src_y = v.src_y,
                                     .dst_x = v.dst_x, .dst_y = v.dst_y, .motion_x = v.motion_x, .motion_y = v.motion_y,
                                     .motion_scale = v.motion_scale };
        m->estimated |= v.source > 0 && f->pict_type != AV_PICTURE_TYPE_B;
    }
    for (size_t i = 0; m->estimated && i < nb; i++)
        m->vectors[i].motion_scale = 0;             /* mestimate leaves it as it was in memory */
    r = fsr_record_open(m->record, m->capacity, f->width, f->height);
    r->bit_depth = desc->comp[0].depth;
    return fsr_import_vectors(&m->import, r, m->vectors, nb, f->pict_type == AV_PICTURE_TYPE_B && !m->estimated);
}

/*
 * Are exported vectors those of a picture of this size? A filter may have cut it or made it smaller. Blocks of a macroblock
 * (or a pair of them) at the border may lie outside.
 */
static inline int fsr_frame_motion_fits(const AVFrame *f, const AVFrameSideData *sd)
{
    for (size_t i = 0; i < sd->size / sizeof(AVMotionVector); i++) {
        AVMotionVector v;

        memcpy(&v, sd->data + i * sizeof(v), sizeof(v));
        if (v.dst_x - v.w / 2 >= FFALIGN(f->width, 32) || v.dst_y - v.h / 2 >= FFALIGN(f->height, 32))
            return 0;
    }
    return 1;
}

/*
 * The record of a frame in *data, valid until the next call or as long as the frame; NULL where nothing is
 * known of its motion. Decoders export nothing for an intra picture: its record says so. 0 or AVERROR(ENOMEM).
 */
static inline int fsr_frame_motion(FsrFrameMotion *m, const AVFrame *f, const void **data, size_t *size)
{
    const AVFrameSideData *sd = av_frame_get_side_data(f, FSR_SIDE_DATA_TYPE);
    int ret;

    *data = NULL;
    *size = 0;
    if (sd) {
        *data = sd->data;
        *size = sd->size;
        return 0;
    }
    sd = av_frame_get_side_data(f, AV_FRAME_DATA_MOTION_VECTORS);
    m->exported |= !!sd;
    if (sd ? !fsr_frame_motion_fits(f, sd) : !m->exported && f->pict_type != AV_PICTURE_TYPE_I)
        return 0;
    ret = fsr_frame_motion_import(m, f, sd);
    if (ret < 0)
        return ret;
    *data = m->record;
    *size = ((const FsrRecord *)m->record)->size;
    return 0;
}

#endif /* AVFILTER_FF_MOTION_H */
