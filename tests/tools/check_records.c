/*
 * check_records [--threads N] FILE
 *
 * Decodes FILE with FFmpeg's HEVC decoder and with libde265, and compares for every picture
 * the fields of the record's header and all 4x4 cells. Prints one line: pictures, cells
 * compared, and "equal" or what is not; also whether the pictures themselves differ, which is
 * for the reader: a decoder can know the motion and go wrong in the residual. Pictures are
 * paired by their decode number. Status 0: equal; 1: not equal; 3: a decoder complained about
 * the stream, or there is nothing to compare; 2: could not be done.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/pixdesc.h>

#include "fastsr/record.h"

enum { HEVC, DE265, NB };
static const char *const names[NB] = { "hevc", "libde265" };

typedef struct Side {
    AVCodecContext *dec;
    AVFrame       **waiting;            /* pictures whose counterpart has not come */
    int             nb_waiting;
    long            pictures;
    char            complaint[200];     /* first error that the decoder logged */
    FsrMotion       motion;
    FsrCell        *cells;
} Side;

typedef struct Check {
    AVFormatContext *fmt;
    int              stream, threads;
    Side             side[NB];
    long             pairs, differ;
    long             pixels_differ;     /* pictures */
    long long        cells;
    char             difference[400];   /* the first */
} Check;

static Check check;                     /* for the log callback, which gets no pointer of ours */

/* The fields of the header that must be equal. */
#define FIELDS(F) F(number) F(poc) F(state) F(kind) F(type) F(temporal_id) F(flags) F(bit_depth) F(chroma_format) \
    F(coded_w) F(coded_h) F(crop_left) F(crop_right) F(crop_top) F(crop_bottom) F(missing_ctbs) F(nb_slices) \
    F(nb_refs) F(nb_held)

static void die(const char *what)
{
    fprintf(stderr, "check_records: %s\n", what);
    exit(2);
}

static void differ(const FsrRecord *h, const char *format, ...)
{
    const int n = check.difference[0] ? 0 :
                  snprintf(check.difference, sizeof(check.difference), "picture %" PRIu32 " POC %" PRId32 ": ", h->number, h->poc);
    va_list args;

    check.differ++;
    if (!n)
        return;
    va_start(args, format);
    vsnprintf(check.difference + n, sizeof(check.difference) - n, format, args);
    va_end(args);
}

static void log_callback(void *from, int level, const char *format, va_list args)
{
    for (int i = 0; i < NB; i++) {
        Side *s = &check.side[i];
        /* What libde265 warns of is an error in the stream. */
        if (from && from == s->dec && level <= (i == DE265 ? AV_LOG_WARNING : AV_LOG_ERROR) && !s->complaint[0]) {
            vsnprintf(s->complaint, sizeof(s->complaint), format, args);
            s->complaint[strcspn(s->complaint, "\n")] = 0;
        }
    }
}

/* Comparing -------------------------------------------------------------------- */

static int same_ref(const FsrRef *a, const FsrRef *b)
{
    return !memcmp(a, b, sizeof(*a));
}

static int has_ref(const FsrMotion *m, const FsrRef *ref)
{
    for (int i = 0; i < m->hdr.nb_refs; i++)
        if (same_ref(&m->refs[i], ref))
            return 1;
    return 0;
}

static int has_held(const FsrMotion *m, uint32_t number)
{
    for (int i = 0; i < m->hdr.nb_held; i++)
        if (m->held[i] == number)
            return 1;
    return 0;
}

static int compare_headers(const FsrMotion *a, const FsrMotion *b)
{
    const long before = check.differ;

#define COMPARE(field) if (a->hdr.field != b->hdr.field) \
        differ(&a->hdr, #field " %ld, libde265 %ld", (long)a->hdr.field, (long)b->hdr.field);
    FIELDS(COMPARE)
    for (int i = 0; i < a->hdr.nb_refs; i++)
        if (!has_ref(b, &a->refs[i]))
            differ(&a->hdr, "reference %" PRIu32 "/%" PRId32 " flags %d: not in libde265's", a->refs[i].number,
                   a->refs[i].poc, a->refs[i].flags);
    for (int i = 0; i < a->hdr.nb_held; i++)
        if (!has_held(b, a->held[i]))
            differ(&a->hdr, "held %" PRIu32 ": not in libde265's", a->held[i]);
    return check.differ == before;
}

static int same_cell(const FsrMotion *ma, const FsrCell *a, const FsrMotion *mb, const FsrCell *b)
{
    if (a->mode != b->mode || a->flags != b->flags || a->qp != b->qp || memcmp(a->mv, b->mv, sizeof(a->mv)))
        return 0;
    for (int l = 0; l < 2; l++) {
        if ((a->ref[l] == FSR_NO_REF) != (b->ref[l] == FSR_NO_REF))
            return 0;
        if (a->ref[l] != FSR_NO_REF && !same_ref(&ma->refs[a->ref[l]], &mb->refs[b->ref[l]]))
            return 0;
    }
    return 1;
}

static void cell_text(char *text, size_t size, const FsrMotion *m, const FsrCell *c)
{
    int n = snprintf(text, size, "mode %d flags %d QP %d", c->mode, c->flags, c->qp);

    for (int l = 0; l < 2; l++)
        if (c->ref[l] != FSR_NO_REF)
            n += snprintf(text + n, size - n, " L%d %" PRIu32 "/%" PRId32 " %d,%d", l, m->refs[c->ref[l]].number,
                          m->refs[c->ref[l]].poc, c->mv[l][0], c->mv[l][1]);
}

static void compare_cells(Side *a, Side *b)
{
    const FsrRecord *h = &a->motion.hdr;
    const int w = fsr_cells(h->coded_w), n = w * fsr_cells(h->coded_h);
    int unequal = 0, first = 0;
    char text[NB][120];

    for (int i = 0; i < n; i++)
        if (!same_cell(&a->motion, &a->cells[i], &b->motion, &b->cells[i]) && !unequal++)
            first = i;
    check.cells += n;
    if (!unequal)
        return;
    cell_text(text[0], sizeof(text[0]), &a->motion, &a->cells[first]);
    cell_text(text[1], sizeof(text[1]), &b->motion, &b->cells[first]);
    differ(h, "%d of %d cells, the first at %d,%d: %s; libde265: %s", unequal, n, first % w * 4, first / w * 4,
           text[0], text[1]);
}

static int same_pixels(const AVFrame *a, const AVFrame *b)
{
    const AVPixFmtDescriptor *format = av_pix_fmt_desc_get(a->format), *other = av_pix_fmt_desc_get(b->format);

    if (a->width != b->width || a->height != b->height || !format || !other || format->nb_components != other->nb_components ||
        format->comp[0].depth != other->comp[0].depth || format->log2_chroma_w != other->log2_chroma_w)
        return 0;
    for (int c = 0; c < format->nb_components; c++) {
        const int width  = c ? AV_CEIL_RSHIFT(a->width, format->log2_chroma_w) : a->width;
        const int height = c ? AV_CEIL_RSHIFT(a->height, format->log2_chroma_h) : a->height;
        for (int y = 0; y < height; y++)
            if (memcmp(a->data[c] + y * a->linesize[c], b->data[c] + y * b->linesize[c],
                       (size_t)width * (format->comp[c].depth > 8 ? 2 : 1)))
                return 0;
    }
    return 1;
}

static void load(Side *s, const AVFrame *f)
{
    const AVFrameSideData *sd = av_frame_get_side_data(f, (enum AVFrameSideDataType)FSR_SIDE_DATA_TYPE);
    const FsrRecord *h = &s->motion.hdr;

    if (fsr_motion_load(&s->motion, sd->data, sd->size) < 0)
        die("a record is invalid");
    free(s->cells);
    if (!(s->cells = malloc((size_t)fsr_cells(h->coded_w) * fsr_cells(h->coded_h) * sizeof(*s->cells))))
        die("no memory");
    fsr_motion_cells(&s->motion, s->cells);
}

static void compare(const AVFrame *a, const AVFrame *b)
{
    Side *s = check.side;

    load(&s[HEVC], a);
    load(&s[DE265], b);
    if (s[HEVC].motion.nb_bad || s[DE265].motion.nb_bad)
        differ(&s[HEVC].motion.hdr, "entries that validation rejects");
    check.pixels_differ += !same_pixels(a, b);
    if (compare_headers(&s[HEVC].motion, &s[DE265].motion))
        compare_cells(&s[HEVC], &s[DE265]);
    check.pairs++;
}

/* Decoding ---------------------------------------------------------------------- */

static uint32_t number_of(const AVFrame *f)
{
    const AVFrameSideData *sd = av_frame_get_side_data(f, (enum AVFrameSideDataType)FSR_SIDE_DATA_TYPE);

    if (!sd || sd->size < sizeof(FsrRecord))
        die("a picture has no record");
    return ((const FsrRecord *)sd->data)->number;
}

/* Takes the frame over. */
static void picture(int i, AVFrame *f)
{
    Side *mine = &check.side[i], *other = &check.side[!i];
    AVFrame *found = NULL;

    mine->pictures++;
    for (int k = 0; k < other->nb_waiting && !found; k++)
        if (number_of(other->waiting[k]) == number_of(f)) {
            found = other->waiting[k];
            other->waiting[k] = other->waiting[--other->nb_waiting];
        }
    if (found) {
        compare(i == HEVC ? f : found, i == HEVC ? found : f);
        av_frame_free(&found);
        av_frame_free(&f);
        return;
    }
    mine->waiting = realloc(mine->waiting, (mine->nb_waiting + 1) * sizeof(*mine->waiting));
    if (!mine->waiting)
        die("no memory");
    mine->waiting[mine->nb_waiting++] = f;
    if (mine->nb_waiting > 64)          /* one has lost its way; do not keep the whole stream */
        av_frame_free(&mine->waiting[--mine->nb_waiting]);
}

static void decode(int i, const AVPacket *pkt)
{
    AVCodecContext *dec = check.side[i].dec;
    int ret = avcodec_send_packet(dec, pkt);

    if (ret < 0 && !check.side[i].complaint[0])
        snprintf(check.side[i].complaint, sizeof(check.side[i].complaint), "%s", av_err2str(ret));
    do {
        AVFrame *f = av_frame_alloc();

        if (!f)
            die("no memory");
        ret = avcodec_receive_frame(dec, f);
        if (ret >= 0)
            picture(i, f);
        else
            av_frame_free(&f);
    } while (ret >= 0);
}

static void open_decoder(int i)
{
    const AVCodec *codec = avcodec_find_decoder_by_name(names[i]);
    AVCodecContext *dec = codec ? avcodec_alloc_context3(codec) : NULL;

    if (!dec)
        die("a decoder is missing: was this built with libde265?");
    if (avcodec_parameters_to_context(dec, check.fmt->streams[check.stream]->codecpar) < 0)
        die("a decoder cannot be set up");
    dec->pkt_timebase = check.fmt->streams[check.stream]->time_base;
    dec->thread_count = check.threads;
    dec->flags       |= AV_CODEC_FLAG_UNALIGNED;        /* crop exactly */
    dec->err_recognition |= AV_EF_CRCCHECK;             /* who is right where the stream has picture hashes */
    check.side[i].dec = dec;
    if (avcodec_open2(dec, codec, NULL) < 0)
        die("a decoder does not open");
}

static void decode_file(const char *file)
{
    AVPacket *pkt = av_packet_alloc();

    if (!pkt || avformat_open_input(&check.fmt, file, NULL, NULL) < 0 || avformat_find_stream_info(check.fmt, NULL) < 0 ||
        (check.stream = av_find_best_stream(check.fmt, AVMEDIA_TYPE_VIDEO, -1, -1, NULL, 0)) < 0 ||
        check.fmt->streams[check.stream]->codecpar->codec_id != AV_CODEC_ID_HEVC) {
        printf("%8s %12s  no HEVC video that FFmpeg can read\n", "-", "-");
        exit(3);
    }
    for (int i = 0; i < NB; i++)
        open_decoder(i);
    while (av_read_frame(check.fmt, pkt) >= 0) {
        for (int i = 0; pkt->stream_index == check.stream && i < NB; i++)
            decode(i, pkt);
        av_packet_unref(pkt);
    }
    for (int i = 0; i < NB; i++)
        decode(i, NULL);
    av_packet_free(&pkt);
}

int main(int argc, char **argv)
{
    const Side *s = check.side;
    int status;

    check.threads = 1;
    if (argc == 4 && !strcmp(argv[1], "--threads")) {
        check.threads = atoi(argv[2]);
        argc -= 2;
        argv += 2;
    }
    if (argc != 2 || check.threads < 1)
        die("usage: check_records [--threads N] FILE");
    av_log_set_callback(log_callback);
    decode_file(argv[1]);
    if (!check.differ && (s[HEVC].pictures != s[DE265].pictures || check.pairs != s[HEVC].pictures))
        snprintf(check.difference, sizeof(check.difference), "pictures: %ld, libde265 %ld, in common %ld",
                 s[HEVC].pictures, s[DE265].pictures, check.pairs);
    status = check.pairs && !check.difference[0] ? 0 : s[HEVC].complaint[0] || s[DE265].complaint[0] || !check.pairs ? 3 : 1;
    printf("%8ld %12lld  %s", check.pairs, check.cells, status ? check.difference : "equal");
    if (check.pixels_differ)
        printf("; %ld pictures differ", check.pixels_differ);
    for (int i = 0; (status || check.pixels_differ) && i < NB; i++)
        if (s[i].complaint[0])
            printf(" [%s: %s]", names[i], s[i].complaint);
    putchar('\n');
    for (int i = 0; i < NB; i++) {
        Side *side = &check.side[i];
        for (int k = 0; k < side->nb_waiting; k++)
            av_frame_free(&side->waiting[k]);
        free(side->waiting);
        free(side->cells);
        fsr_motion_free(&side->motion);
        avcodec_free_context(&side->dec);
    }
    avformat_close_input(&check.fmt);
    return status;
}
