/*
 * fastsr: calls that the edits of codec_hooks/edits.table put into FFmpeg's HEVC decoder.
 * All of them do nothing for a picture without a record (switched off, hardware decoding,
 * no memory) and never change what is decoded.
 */
#ifndef FASTSR_HEVC_HOOK_H
#define FASTSR_HEVC_HOOK_H

struct HEVCContext;
struct HEVCLayerContext;

/* A picture starts: attach an empty record, before the frame can be queued for output. */
void ff_fsr_hevc_begin(struct HEVCContext *s);

/* The reference lists of a P or B slice are built: note them with their weights. */
void ff_fsr_hevc_slice(struct HEVCContext *s);

/* The picture is decoded, or given up: fill its record. layer is NULL before FFmpeg 7.1. */
void ff_fsr_hevc_end(struct HEVCContext *s, struct HEVCLayerContext *layer);

/* Frame threads: take over the shared state from the context that decodes the picture before. */
int ff_fsr_hevc_update(struct HEVCContext *dst, const struct HEVCContext *src);

void ff_fsr_hevc_free(struct HEVCContext *s);

#endif /* FASTSR_HEVC_HOOK_H */
