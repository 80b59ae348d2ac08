/*
 * fastsr: libde265 as a decoder that gives motion records (fastsr/record.h), for C
 *
 * A second producer beside the hook in FFmpeg's HEVC decoder, of another codebase: where both
 * give the same record, it is right. libde265 exports nothing of what it knows of a picture,
 * so this is compiled with its internal headers (see libde265_record.cc).
 *
 *     FsrDe265 *d = fsr_de265_open(threads, max_pixels, FSR_DE265_RECORDS);
 *     while (an access unit comes) {
 *         fsr_de265_send(d, data, size, pts);
 *         while (fsr_de265_receive(d, &pic) > 0)
 *             ...                          // pic and what it points to hold until the next call
 *     }
 *     fsr_de265_drain(d);                  // and receive once more until 0
 *     fsr_de265_close(&d);
 *
 * One thread at a time may use a decoder. Errors are negative errno values.
 */
#ifndef FASTSR_LIBDE265_RECORD_H
#define FASTSR_LIBDE265_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "fastsr/record.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct FsrDe265 FsrDe265;

/* A picture in output order, cropped. */
typedef struct FsrDe265Picture {
    const uint8_t   *plane[3];          /* Y Cb Cr; samples of more than 8 bits take two bytes, in host order */
    ptrdiff_t        stride[3];         /* bytes */
    int              width, height;     /* luma samples */
    int              coded_width, coded_height;     /* before cropping */
    int              chroma_format;     /* chroma_format_idc, H.265 6.2 */
    int              bit_depth[2];      /* luma, chroma */
    int64_t          pts;               /* of the access unit that it came with */
    char             type;              /* 'I', 'P' or 'B': the most general slice type */
    int              irap;              /* is an IRAP picture */
    int              damaged;           /* something was wrong with it or its references */
    /* video usability information, H.265 annex E; the values that it gives for absent fields */
    int              full_range, primaries, transfer, matrix;
    int              sar_width, sar_height;
    const FsrRecord *record;            /* record->size bytes; NULL when records are off or there was no memory */
} FsrDe265Picture;

/* threads: 1 decodes in the caller; more only help streams with tiles or wavefronts.
 * max_pixels: larger pictures are refused (luma samples, coded); so are those that a record
 * cannot describe. NULL without memory. */
FsrDe265 *fsr_de265_open(int threads, int64_t max_pixels, int flags);
enum { FSR_DE265_RECORDS    = 1,        /* give records */
       FSR_DE265_CHECK_HASH = 2,        /* compare pictures with the stream's own hash (SEI), and say when they differ */
};
void fsr_de265_close(FsrDe265 **d);

/* Whole NAL units with start codes (H.265 annex B), of one access unit or with parameter sets
 * only. Only when fsr_de265_receive() has returned 0. 0 or -ENOMEM. */
int fsr_de265_send(FsrDe265 *d, const uint8_t *data, size_t size, int64_t pts);

/* The same for one NAL unit without a start code; call it for each of the access unit. */
int fsr_de265_send_nal(FsrDe265 *d, const uint8_t *nal, size_t size, int64_t pts);

/* 1: the next picture is in *pic; 0: send more; -EINVAL: something in the stream is wrong, which
 * fsr_de265_message() describes, call again; -ENOMEM. */
int fsr_de265_receive(FsrDe265 *d, FsrDe265Picture *pic);

/* No more will come: gives out what waits for its turn. */
void fsr_de265_drain(FsrDe265 *d);

/* Forget all pictures, as for a jump to another place of the stream; parameter sets are kept. */
void fsr_de265_reset(FsrDe265 *d);

/* What was wrong since the last call, one thing a call, or NULL. */
const char *fsr_de265_message(FsrDe265 *d);

#ifdef __cplusplus
}
#endif

#endif /* FASTSR_LIBDE265_RECORD_H */
