/*
 * fsmv_dump: print the motion records of a file, a line for each picture in output order.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>

#include "fastsr/record.h"

typedef struct Dump {
    AVFormatContext *fmt;
    AVCodecContext  *dec;
    int              stream;
    int              all_cells, all_blocks, errors;
    int              threads, thread_type;
    const char      *decoder;
    FsrMotion        motion;
    FsrCell         *cells;
    size_t           cells_alloc;
    long             pictures, records;
} Dump;

static const char usage[] =
    "Usage: fsmv_dump [-d hevc|libde265] [--cells] [--blocks] [--errors] [--threads N] [--thread-type frame|slice] FILE\n"
    "Prints what the HEVC decoder recorded of each picture, in output order:\n"
    "  n          picture, counted from 0\n"
    "  number     the same in decoding order, counted from 1; poc: picture order count\n"
    "  kind type  TRAIL TSA STSA RADL RASL BLA CRA IDR, and the most general slice type;\n"
    "             a star after the kind: may be referred to; first: starts a sequence\n"
    "  tid        temporal layer\n"
    "  slices refs held    of the picture: slices, ways to refer to pictures, pictures kept\n"
    "  missing    coding tree blocks that were not decoded\n"
    "  intra inter skip    share of the 4x4 cells, the rest is unknown\n"
    "  bad        entries that validation rejected;  bytes: size of the record\n"
    "  sum        checksum of the cells\n"
    "  -d, --decoder  FFmpeg's own (hevc, the default) or libde265\n"
    "  --cells    print every cell as well: x y mode flags QP, and for each list used\n"
    "             number/poc of the reference and the vector in quarter samples\n"
    "  --blocks   print every block: the same with its size in cells, WxH, after x y\n"
    "  --errors   tell what the decoder complains of\n"
    "  --threads  decoder threads (1);  --thread-type: how they share the work (frame)\n";

static const char *const kind_names[] = { "TRAIL", "TSA", "STSA", "RADL", "RASL", "BLA", "CRA", "IDR" };
static const char *const mode_names[] = { "unknown", "intra", "inter", "skip" };

static void print_cell(const Dump *d, const FsrCell *c)
{
    printf(" %s %s%s%d", mode_names[c->mode],
           c->flags & FSR_BLOCK_RESIDUAL ? "r" : "-", c->flags & FSR_BLOCK_LOSSLESS ? "l " : "- ", c->qp);
    for (int l = 0; l < 2; l++) {
        const FsrRef *ref = &d->motion.refs[c->ref[l]];

        if (c->ref[l] == FSR_NO_REF)
            continue;
        printf(" L%d %" PRIu32 "/%" PRId32 "%s %d,%d", l, ref->number, ref->poc,
               ref->flags & FSR_REF_MISSING ? "!" : "", c->mv[l][0], c->mv[l][1]);
        if (ref->flags & FSR_REF_WEIGHTED)
            printf(" w%d>>%d%+d", ref->weight[0], ref->log2_denom[0], ref->offset[0]);
    }
    putchar('\n');
}

static int expand(Dump *d)
{
    const FsrRecord *h = &d->motion.hdr;
    const size_t n = (size_t)fsr_cells(h->coded_w) * fsr_cells(h->coded_h);

    if (n > d->cells_alloc) {
        free(d->cells);
        d->cells_alloc = 0;
        if (!(d->cells = malloc(n * sizeof(*d->cells))))
            return AVERROR(ENOMEM);
        d->cells_alloc = n;
    }
    fsr_motion_cells(&d->motion, d->cells);
    return 0;
}

static void print_record(const Dump *d)
{
    const FsrRecord *h = &d->motion.hdr;
    const int w = fsr_cells(h->coded_w), n = w * fsr_cells(h->coded_h);
    long count[4] = { 0 };

    for (int i = 0; i < n; i++)
        count[d->cells[i].mode]++;
    printf("n=%ld number=%" PRIu32 " poc=%" PRId32 " kind=%s%s%s type=%c tid=%d size=%dx%d slices=%d refs=%d held=%d"
           " missing=%" PRIu32 " intra=%.4f inter=%.4f skip=%.4f bad=%" PRIu32 " bytes=%" PRIu32 " sum=%016" PRIx64 "\n",
           d->pictures, h->number, h->poc, kind_names[h->kind], h->flags & FSR_PIC_REFERENCE ? "*" : "",
           h->flags & FSR_PIC_FIRST ? ",first" : "", h->type, h->temporal_id, h->coded_w, h->coded_h,
           h->nb_slices, h->nb_refs, h->nb_held, h->missing_ctbs, (double)count[FSR_INTRA] / n,
           (double)count[FSR_INTER] / n, (double)count[FSR_SKIP] / n, d->motion.nb_bad, h->size,
           fsr_motion_checksum(&d->motion, d->cells));
    for (int i = 0; d->all_cells && i < n; i++) {
        printf("  %d %d", i % w, i / w);
        print_cell(d, &d->cells[i]);
    }
    for (uint32_t i = 0; d->all_blocks && i < h->nb_blocks; i++) {
        const FsrBlock *b = &d->motion.blocks[i];

        printf("  %d %d %dx%d", b->x, b->y, b->w, b->h);
        print_cell(d, &d->cells[b->y * w + b->x]);
    }
}

static int print_picture(Dump *d, const AVFrame *f)
{
    const AVFrameSideData *sd = av_frame_get_side_data(f, (enum AVFrameSideDataType)FSR_SIDE_DATA_TYPE);
    int ret = sd ? fsr_motion_load(&d->motion, sd->data, sd->size) : AVERROR(ENOENT);

    if (ret == AVERROR(ENOMEM) || (ret >= 0 && (ret = expand(d)) < 0))
        return ret;
    if (ret < 0)
        printf("n=%ld %s\n", d->pictures, !sd ? "no record" : ret == AVERROR(EAGAIN) ? "pending" : "invalid");
    else {
        print_record(d);
        d->records++;
    }
    d->pictures++;
    return 0;
}

/* A damaged packet is reported by the decoder; the rest of the stream is still worth printing. */
static int decode(Dump *d, const AVPacket *pkt, AVFrame *f)
{
    int ret = avcodec_send_packet(d->dec, pkt);

    if (ret == AVERROR(ENOMEM))
        return ret;
    for (;;) {
        ret = avcodec_receive_frame(d->dec, f);
        if (ret == AVERROR(EAGAIN) || ret == AVERROR_EOF)
            return 0;
        if (ret < 0)
            return ret == AVERROR_INVALIDDATA ? 0 : ret;
        ret = print_picture(d, f);
        av_frame_unref(f);
        if (ret < 0)
            return ret;
    }
}

static int fail(const char *file, int err, const char *what)
{
    fprintf(stderr, "fsmv_dump: %s: %s%s%s\n", file, what ? what : "", what && err ? ": " : "",
            err ? av_err2str(err) : "");
    return err ? err : AVERROR(EINVAL);
}

static int open_decoder(Dump *d, const char *file)
{
    const AVCodec *codec;
    const AVCodecParameters *par;
    char text[200];
    int ret = avformat_open_input(&d->fmt, file, NULL, NULL);

    if (ret < 0)
        return fail(file, ret, "cannot be opened");
    if ((ret = avformat_find_stream_info(d->fmt, NULL)) < 0)
        return fail(file, ret, "no streams could be read");
    if ((d->stream = av_find_best_stream(d->fmt, AVMEDIA_TYPE_VIDEO, -1, -1, NULL, 0)) < 0)
        return fail(file, 0, "there is no video in it");
    par = d->fmt->streams[d->stream]->codecpar;
    if (par->codec_id != AV_CODEC_ID_HEVC) {
        snprintf(text, sizeof(text), "the video is %s; only the HEVC decoder writes motion records",
                 avcodec_get_name(par->codec_id));
        return fail(file, 0, text);
    }
    if (!(codec = avcodec_find_decoder_by_name(d->decoder))) {
        snprintf(text, sizeof(text), "this FFmpeg was built without the decoder %s", d->decoder);
        return fail(file, 0, text);
    }
    if (!(d->dec = avcodec_alloc_context3(codec)))
        return fail(file, AVERROR(ENOMEM), NULL);
    if ((ret = avcodec_parameters_to_context(d->dec, par)) < 0)
        return fail(file, ret, "the decoder cannot be set up");
    d->dec->pkt_timebase = d->fmt->streams[d->stream]->time_base;
    d->dec->thread_count = d->threads;
    d->dec->thread_type  = d->thread_type;
    if ((ret = avcodec_open2(d->dec, codec, NULL)) < 0)
        return fail(file, ret, "the decoder does not take it");
    return 0;
}

static int dump(Dump *d, const char *file)
{
    AVPacket *pkt = av_packet_alloc();
    AVFrame *f = av_frame_alloc();
    int ret = pkt && f ? open_decoder(d, file) : AVERROR(ENOMEM);

    while (ret >= 0 && av_read_frame(d->fmt, pkt) >= 0) {
        if (pkt->stream_index == d->stream && (ret = decode(d, pkt, f)) < 0)
            fail(file, ret, NULL);
        av_packet_unref(pkt);
    }
    if (ret >= 0 && (ret = decode(d, NULL, f)) < 0)
        fail(file, ret, NULL);
    if (ret >= 0 && !d->pictures)
        ret = fail(file, 0, "no picture could be decoded");
    else if (ret >= 0 && !d->records)
        ret = fail(file, 0, "no picture has a motion record; this FFmpeg was built without the hook");
    av_packet_free(&pkt);
    av_frame_free(&f);
    avcodec_free_context(&d->dec);
    avformat_close_input(&d->fmt);
    fsr_motion_free(&d->motion);
    free(d->cells);
    return ret;
}

static int parse(Dump *d, int argc, char **argv)
{
    static const struct option options[] = {
        { "cells", no_argument, NULL, 'c' }, { "blocks", no_argument, NULL, 'b' },
        { "errors", no_argument, NULL, 'e' }, { "threads", required_argument, NULL, 't' },
        { "thread-type", required_argument, NULL, 'y' }, { "decoder", required_argument, NULL, 'd' }, { "help", no_argument, NULL, 'h' }, { 0 },
    };
    char *end;
    int c;

    while ((c = getopt_long(argc, argv, "d:h", options, NULL)) != -1)
        switch (c) {
        case 'c':
            d->all_cells = 1;
            break;
        case 'b':
            d->all_blocks = 1;
            break;
        case 'e':
            d->errors = 1;
            break;
        case 't':
            d->threads = strtol(optarg, &end, 10);
            if (*end || end == optarg || d->threads < 1 || d->threads > 64) {
                fprintf(stderr, "fsmv_dump: --threads takes a number from 1 to 64, not '%s'\n", optarg);
                return -1;
            }
            break;
        case 'y':
            d->thread_type = !strcmp(optarg, "frame") ? FF_THREAD_FRAME : !strcmp(optarg, "slice") ? FF_THREAD_SLICE : 0;
            if (!d->thread_type) {
                fprintf(stderr, "fsmv_dump: --thread-type takes frame or slice, not '%s'\n", optarg);
                return -1;
            }
            break;
        case 'd':
            if (strcmp(optarg, "hevc") && strcmp(optarg, "libde265")) {
                fprintf(stderr, "fsmv_dump: -d takes hevc or libde265, not '%s'\n", optarg);
                return -1;
            }
            d->decoder = optarg;
            break;
        case 'h':
            fputs(usage, stdout);
            return 1;
        default:
            fputs(usage, stderr);
            return -1;
        }
    if (optind + 1 == argc)
        return 0;
    fputs(usage, stderr);
    return -1;
}

int main(int argc, char **argv)
{
    Dump d = { .threads = 1, .thread_type = FF_THREAD_FRAME, .decoder = "hevc" };
    int ret = parse(&d, argc, argv);

    if (ret)
        return ret < 0 ? 2 : 0;
    av_log_set_level(d.errors ? AV_LOG_ERROR : AV_LOG_FATAL);
    ret = dump(&d, argv[optind]);
    if (fflush(stdout) || ferror(stdout)) {
        fprintf(stderr, "fsmv_dump: the output could not be written\n");
        return 1;
    }
    return ret < 0;
}
