/* fastsr: the call that the edits of codec_hooks/edits.table put into FFmpeg's MPEG-4 decoder. */
#ifndef FASTSR_MPEG4_HOOK_H
#define FASTSR_MPEG4_HOOK_H

struct MpegEncContext;

/* A macroblock of a B picture is parsed: keep its vectors where those of P pictures are, if they are to be exported. */
void ff_fsr_mpeg4_b_motion(struct MpegEncContext *s);

#endif /* FASTSR_MPEG4_HOOK_H */
