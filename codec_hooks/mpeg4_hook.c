/*
 * fastsr: the motion vectors of MPEG-4's B pictures.
 *
 * Compiled inside libavcodec. FFmpeg's decoder keeps the vectors of P pictures, since B pictures
 * are decoded with them, and those of B pictures nowhere: what -flags2 +export_mvs tells of
 * a B picture is what another picture left in memory.
 */
#include "libavcodec/mpegvideo.h"
#include "libavcodec/version_major.h"
#include "fsr_mpeg4.h"

#if LIBAVCODEC_VERSION_MAJOR >= 61
#define CURRENT(s) ((s)->cur_pic)
#else
#define CURRENT(s) ((s)->current_picture)
#endif

void ff_fsr_mpeg4_b_motion(struct MpegEncContext *s)
{
    if (!(s->avctx->export_side_data & AV_CODEC_EXPORT_DATA_MVS))
        return;
    for (int list = 0; list < 2; list++)
        for (int i = 0; i < 4; i++) {           /* 8x8 blocks, in raster order */
            const int k = s->mv_type == MV_TYPE_8X8 ? i : s->mv_type == MV_TYPE_FIELD ? i >> 1 : 0;
            int16_t *mv = CURRENT(s).motion_val[list][s->block_index[0] + (i & 1) + (i >> 1) * s->b8_stride];

            mv[0] = s->mv[list][k][0];
            mv[1] = s->mv[list][k][1];
        }
}
