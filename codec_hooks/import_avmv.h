/*
 * fastsr: motion vectors of other sources, brought into a motion record
 *
 * FFmpeg exports the vectors of H.264, MPEG-1, -2 and -4 (-flags2 +export_mvs) and those
 * that its filter mestimate finds as AVMotionVector (libavutil/motion_vector.h). They say
 * only whether a block came from the past or from the future, not from which picture, and
 * nothing of intra blocks, residual or QP: the result must be verified against the pictures.
 */
#ifndef FASTSR_IMPORT_AVMV_H
#define FASTSR_IMPORT_AVMV_H

#include <stddef.h>
#include <stdint.h>

#include "fastsr/record.h"

/* One exported vector; fields have the names and meanings of AVMotionVector's. */
typedef struct FsrVector {
    int32_t  source;                    /* negative: from the past, positive: from the future */
    uint8_t  w, h;                      /* luma samples */
    int16_t  src_x, src_y;              /* centre of the block in the picture it came from */
    int16_t  dst_x, dst_y;              /* its centre in this picture */
    int32_t  motion_x, motion_y;        /* src - dst in units of 1/motion_scale; mestimate does not set them */
    uint16_t motion_scale;
} FsrVector;

/* How many pictures later ones may come from: the latest that are no B pictures, and the latest of all. */
enum { FSR_IMPORT_ANCHORS = 3, FSR_IMPORT_LATEST = 2 };

/* What is kept from picture to picture; start from { 0 }. */
typedef struct FsrImport {
    uint32_t number;                    /* of the latest picture; they count in display order */
    uint32_t anchor[FSR_IMPORT_ANCHORS];/* the latest pictures without motion from the future, newest first, 0: none */
} FsrImport;

/*
 * Complete an open record (fsr_record_open() with a smallest coding block of 4) for the next picture
 * in display order from n vectors. The caller has set bit depth and the like; number, poc,
 * flags, type, held pictures and state are set here. Vectors from the future count where
 * two_way is set (a B picture); otherwise they are left out, so that nobody waits for it.
 * References are FSR_REF_DIRECTION: the past stands in the table with a picture order count
 * before the record's own, the future with one behind it. Where two vectors of the same
 * direction meet, the first counts. Cells without a vector, and those whose vector is out of
 * range or outside the picture, are unknown; all blocks count as having a residual, and none
 * crosses a macroblock (16x16), because neighbours may come from different pictures.
 * 0, or -ENOMEM. Any thread, one at a time on a record.
 */
int fsr_import_vectors(FsrImport *s, FsrRecord *r, const FsrVector *v, size_t n, int two_way);

#endif /* FASTSR_IMPORT_AVMV_H */
