/*
 * Fuzzer of the hook in the HEVC decoder: damaged streams are decoded; every record that comes out must be one that
 * validation has nothing to say about, and an engine takes pictures and records. Linked with the hook compiled
 * with sanitizers in place of the one in libavcodec.
 *     fuzz_stream [--seed N] [--runs N | --seconds S] STREAM STREAM...    (raw HEVC)
 */
#include <libavcodec/avcodec.h>
#include <libavutil/log.h>
#include <libavutil/pixdesc.h>

#include "fuzz.h"
#include "tests/tools/damage.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

typedef struct Run {
    FuzzEngine e;
    int        w, h, format;
    FsrMotion  motion;
    long       pictures, records, missing, holes;
} Run;

static void push_picture(Run *r, const AVFrame *f, const AVFrameSideData *sd)
{
    const AVPixFmtDescriptor *desc = av_pix_fmt_desc_get(f->format);
    const int depth = desc->comp[0].depth, planes = desc->nb_components;
    FsrFormat format = { .width = f->width, .height = f->height, .bit_depth = depth, .sample_bytes = depth > 8 ? 2 : 1,
                         .planes = planes, .log2_chroma_w = desc->log2_chroma_w, .log2_chroma_h = desc->log2_chroma_h };
    FsrPlanes to;
    uint8_t  *mem;

    if (planes == 2 || planes > 3 || f->width > 1024 || f->height > 1024)
        return;
    if (!r->e.engine || r->w != f->width || r->h != f->height || r->format != f->format) {
        if (r->e.engine)
            fuzz_engine_end(&r->e);
        fuzz_engine_start(&r->e, &format);
        r->w      = f->width;
        r->h      = f->height;
        r->format = f->format;
    }
    mem = malloc(fuzz_planes(&format, NULL, &to));
    fuzz_planes(&format, mem, &to);
    for (int p = 0; p < planes; p++) {
        const int h = p ? (f->height + (1 << desc->log2_chroma_h) - 1) >> desc->log2_chroma_h : f->height;

        for (int y = 0; y < h; y++)
            memcpy(to.data[p] + y * to.stride[p], f->data[p] + y * f->linesize[p], to.stride[p]);
    }
    fuzz_engine_push(&r->e, mem, &to, sd ? sd->data : NULL, sd ? sd->size : 0);
}

static void look_at(Run *r, const AVFrame *f)
{
    const AVFrameSideData *sd = av_frame_get_side_data(f, (enum AVFrameSideDataType)FSR_SIDE_DATA_TYPE);

    r->pictures++;
    if (sd) {
        const int ret = fsr_motion_load(&r->motion, sd->data, sd->size);

        FUZZ_CHECK(ret == 0, ret);
        FUZZ_CHECK(r->motion.nb_bad == 0, r->motion.nb_bad);
        fuzz_promises(&r->motion);
        r->records++;
        r->holes += !!r->motion.hdr.missing_ctbs;
        for (int i = 0; i < r->motion.hdr.nb_refs; i++)
            r->missing += !!(r->motion.refs[i].flags & FSR_REF_MISSING);
    }
    push_picture(r, f, sd);
}

static void take_pictures(Run *r, AVCodecContext *dec, AVFrame *f)
{
    while (avcodec_receive_frame(dec, f) >= 0) {
        look_at(r, f);
        av_frame_unref(f);
    }
}

static void decode(Run *r, const Stream *s)
{
    const AVCodec        *codec = avcodec_find_decoder(AV_CODEC_ID_HEVC);
    AVCodecContext       *dec = avcodec_alloc_context3(codec);
    AVCodecParserContext *parser = av_parser_init(AV_CODEC_ID_HEVC);
    AVFrame  *f = av_frame_alloc();
    AVPacket *pkt = av_packet_alloc();
    uint8_t  *padded = calloc(1, s->size + AV_INPUT_BUFFER_PADDING_SIZE), *p = padded;
    int       left = (int)s->size;

    memcpy(padded, s->data, s->size);
    dec->thread_count = 1 + 2 * fuzz_rnd(2);
    dec->thread_type  = FF_THREAD_FRAME;
    dec->max_pixels   = 1024 * 1024;    /* a damaged size must not take all memory */
    if (fuzz_rnd(2))
        dec->flags |= AV_CODEC_FLAG_OUTPUT_CORRUPT;
    FUZZ_CHECK(avcodec_open2(dec, codec, NULL) >= 0, 0);
    while (left >= 0) {
        const int n = av_parser_parse2(parser, dec, &pkt->data, &pkt->size, p, left, AV_NOPTS_VALUE, AV_NOPTS_VALUE, 0);

        p    += n;
        left -= n;
        if (pkt->size) {
            if (!fuzz_rnd(200))
                avcodec_flush_buffers(dec);     /* as seeking does */
            (void)avcodec_send_packet(dec, pkt);
            take_pictures(r, dec, f);
        } else if (!left) {
            break;
        }
    }
    (void)avcodec_send_packet(dec, NULL);
    take_pictures(r, dec, f);
    pkt->data = NULL;
    pkt->size = 0;
    av_packet_free(&pkt);
    av_frame_free(&f);
    av_parser_close(parser);
    avcodec_free_context(&dec);
    free(padded);
    if (r->e.engine)
        fuzz_engine_end(&r->e);
    r->e.engine = NULL;
}

int main(int argc, char **argv)
{
    Fuzz     f;
    Run      r = { 0 };
    Stream  *in;
    uint64_t done = 0;
    int      kinds = 0;

#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_set_death_callback(fuzz_tell);
#endif
    fuzz_options(&f, argc, argv);
    if (!f.nb_files) {
        fprintf(stderr, "%s wants raw HEVC streams to damage\n", argv[0]);
        return 2;
    }
    av_log_set_level(AV_LOG_QUIET);
    in = calloc(f.nb_files, sizeof(*in));
    for (int i = 0; i < f.nb_files; i++)
        in[i] = stream_load(f.files[i]);
    while (damage_kinds[kinds])
        kinds++;
    for (; fuzz_next(&f, done); done++) {
        const char *kind = damage_kinds[fuzz_rnd(kinds)];
        const int   a = fuzz_rnd(f.nb_files), b = fuzz_rnd(f.nb_files);
        Stream      s = stream_damage(&in[a], &in[b], kind, fuzz_number);
        static char what[256];

        snprintf(what, sizeof(what), "%.100s, damage '%s', other %.100s", f.files[a], kind, f.files[b]);
        fuzz_what = what;
        decode(&r, &s);
        stream_free(&s);
    }
    for (int i = 0; i < f.nb_files; i++)
        stream_free(&in[i]);
    free(in);
    fsr_motion_free(&r.motion);
    printf("%llu damaged streams from seed %llu: %ld pictures, %ld with records, %ld with missing blocks, %ld missing references\n",
           (unsigned long long)done, (unsigned long long)f.first, r.pictures, r.records, r.holes, r.missing);
    return 0;
}
