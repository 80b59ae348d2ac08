/*
 * fastsr: HEVC decoding by libde265, with motion records as side data.
 *
 * Compiled inside libavcodec; `-c:v libde265` before the input chooses it. libde265 has its
 * own threads, which help streams with wavefronts or tiles. It leaves out what FFmpeg's own
 * decoder takes from SEI messages (mastering display, content light, timecodes, film grain).
 */
#include <limits.h>
#include <string.h>

#include "libavutil/common.h"
#include "libavutil/cpu.h"
#include "libavutil/frame.h"
#include "libavutil/imgutils.h"
#include "libavutil/internal.h"
#include "libavutil/opt.h"
#include "libavutil/version.h"
#include "libavcodec/avcodec.h"
#include "libavcodec/bytestream.h"
#include "libavcodec/codec_internal.h"
#include "libavcodec/decode.h"
#include "libavcodec/internal.h"
#include "codec_hooks/libde265_record.h"

/* The largest picture that a level of H.265 (table A.8) allows, 8192x4352. */
#define MAX_LUMA_SAMPLES 35651584

#define MAX_WAITING 64                  /* packets whose pictures can wait for their turn */

typedef struct Libde265Context {
    const AVClass *class;
    int            fsr_record;          /* option */
    FsrDe265      *decoder;
    AVPacket      *in;
    AVPacket      *sent[MAX_WAITING];   /* properties of the last packets, by their count */
    int64_t        count;               /* of packets: what libde265 knows as time */
    int64_t        dts;                 /* of the packet that was sent last */
    int            draining;
    int            length_size;         /* of the NAL units in packets; 0: they have start codes */
} Libde265Context;

static av_cold int decoder_close(AVCodecContext *avctx)
{
    Libde265Context *s = avctx->priv_data;

    fsr_de265_close(&s->decoder);
    av_packet_free(&s->in);
    for (int i = 0; i < MAX_WAITING; i++)
        av_packet_free(&s->sent[i]);
    return 0;
}

/* NAL units behind their lengths, as MP4 stores them. */
static int send_units(AVCodecContext *avctx, GetByteContext *gb, int length_size, int units)
{
    Libde265Context *s = avctx->priv_data;
    int ret = 0;

    for (; units > 0 && bytestream2_get_bytes_left(gb) > length_size && ret >= 0; units--) {
        unsigned length = 0;

        for (int i = 0; i < length_size; i++)
            length = length << 8 | bytestream2_get_byte(gb);
        if (length > bytestream2_get_bytes_left(gb))
            return AVERROR_INVALIDDATA;
        ret = fsr_de265_send_nal(s->decoder, gb->buffer, length, s->count);
        bytestream2_skip(gb, length);
    }
    return ret;
}

/* Parameter sets beside the stream: with start codes, or a HEVCDecoderConfigurationRecord
 * (ISO/IEC 14496-15 8.3.3.1), which also says how the packets look. */
static int send_extradata(AVCodecContext *avctx, const uint8_t *data, int size)
{
    Libde265Context *s = avctx->priv_data;
    GetByteContext gb;
    int ret = 0;

    if (size < 4)
        return 0;
    if (!data[0] && !data[1] && data[2] <= 1) {
        s->length_size = 0;
        return fsr_de265_send(s->decoder, data, size, s->count);
    }
    if (size < 23)
        return AVERROR_INVALIDDATA;
    s->length_size = (data[21] & 3) + 1;
    bytestream2_init(&gb, data + 22, size - 22);
    for (int arrays = bytestream2_get_byte(&gb); arrays > 0 && ret >= 0; arrays--) {
        bytestream2_skip(&gb, 1);
        ret = send_units(avctx, &gb, 2, bytestream2_get_be16(&gb));
    }
    return ret;
}

static av_cold int decoder_init(AVCodecContext *avctx)
{
    Libde265Context *s = avctx->priv_data;
    const int threads = avctx->thread_count ? avctx->thread_count : FFMIN(av_cpu_count(), 16);
    const int flags = (s->fsr_record ? FSR_DE265_RECORDS : 0) |
                      (avctx->err_recognition & AV_EF_CRCCHECK ? FSR_DE265_CHECK_HASH : 0);

    s->in = av_packet_alloc();
    for (int i = 0; i < MAX_WAITING; i++)
        if (!(s->sent[i] = av_packet_alloc()))
            return AVERROR(ENOMEM);
    s->decoder = fsr_de265_open(threads, FFMIN(avctx->max_pixels, MAX_LUMA_SAMPLES), flags);
    if (!s->decoder || !s->in)
        return AVERROR(ENOMEM);
    return send_extradata(avctx, avctx->extradata, avctx->extradata_size);
}

static void decoder_flush(AVCodecContext *avctx)
{
    Libde265Context *s = avctx->priv_data;

    fsr_de265_reset(s->decoder);
    s->draining = 0;
}

/* Damage is reported, and decoding goes on with what comes, as in FFmpeg's own decoder. */
static int report(AVCodecContext *avctx, int ret)
{
    Libde265Context *s = avctx->priv_data;
    const char *message;

    while ((message = fsr_de265_message(s->decoder)))
        av_log(avctx, ret < 0 ? AV_LOG_ERROR : AV_LOG_WARNING, "libde265: %s\n", message);
    return ret == AVERROR(EINVAL) ? avctx->err_recognition & AV_EF_EXPLODE ? AVERROR_INVALIDDATA : 0 : ret;
}

static int send_packet(AVCodecContext *avctx)
{
    Libde265Context *s = avctx->priv_data;
    AVPacket *const sent = s->sent[s->count % MAX_WAITING];
    const uint8_t *extradata;
    size_t extradata_size;
    GetByteContext gb;
    int ret = ff_decode_get_packet(avctx, s->in);

    if (ret == AVERROR_EOF) {
        if (s->draining)
            return AVERROR_EOF;
        s->draining = 1;
        s->dts      = AV_NOPTS_VALUE;
        fsr_de265_drain(s->decoder);
        return 0;
    }
    if (ret < 0)
        return ret;
    extradata = av_packet_get_side_data(s->in, AV_PKT_DATA_NEW_EXTRADATA, &extradata_size);
    if (extradata && extradata_size < INT_MAX)
        send_extradata(avctx, extradata, extradata_size);
    av_packet_unref(sent);
    ret = av_packet_copy_props(sent, s->in);
    sent->size = s->in->size;
    s->dts     = s->in->dts;
    if (ret >= 0 && s->length_size) {
        bytestream2_init(&gb, s->in->data, s->in->size);
        ret = send_units(avctx, &gb, s->length_size, INT_MAX);
    } else if (ret >= 0) {
        ret = fsr_de265_send(s->decoder, s->in->data, s->in->size, s->count);
    }
    s->count++;
    av_packet_unref(s->in);
    return ret == AVERROR_INVALIDDATA ? report(avctx, AVERROR(EINVAL)) : ret;
}

static enum AVPixelFormat pixel_format(const FsrDe265Picture *pic)
{
    static const enum AVPixelFormat formats[4][5] = {    /* by chroma format, bit depth - 8 */
        { AV_PIX_FMT_GRAY8,   AV_PIX_FMT_GRAY9,    AV_PIX_FMT_GRAY10,    AV_PIX_FMT_NONE, AV_PIX_FMT_GRAY12 },
        { AV_PIX_FMT_YUV420P, AV_PIX_FMT_YUV420P9, AV_PIX_FMT_YUV420P10, AV_PIX_FMT_NONE, AV_PIX_FMT_YUV420P12 },
        { AV_PIX_FMT_YUV422P, AV_PIX_FMT_YUV422P9, AV_PIX_FMT_YUV422P10, AV_PIX_FMT_NONE, AV_PIX_FMT_YUV422P12 },
        { AV_PIX_FMT_YUV444P, AV_PIX_FMT_YUV444P9, AV_PIX_FMT_YUV444P10, AV_PIX_FMT_NONE, AV_PIX_FMT_YUV444P12 },
    };
    const int depth = pic->bit_depth[0] - 8;

    return depth < 0 || depth > 4 || pic->bit_depth[0] != pic->bit_depth[1] || (unsigned)pic->chroma_format > 3 ?
           AV_PIX_FMT_NONE : formats[pic->chroma_format][depth];
}

/* What the stream says of its pictures, before their buffers are taken. */
static int set_format(AVCodecContext *avctx, const FsrDe265Picture *pic)
{
    const enum AVPixelFormat format = pixel_format(pic);
    int ret = 0;

    if (format == AV_PIX_FMT_NONE) {
        av_log(avctx, AV_LOG_ERROR, "Pictures of %d bits (chroma: %d) are not supported\n",
               pic->bit_depth[0], pic->bit_depth[1]);
        return AVERROR_PATCHWELCOME;
    }
    avctx->pix_fmt         = format;
    avctx->has_b_frames    = FFMAX(avctx->has_b_frames, 1);
    avctx->color_range     = pic->full_range ? AVCOL_RANGE_JPEG : AVCOL_RANGE_MPEG;
    avctx->color_primaries = pic->primaries;
    avctx->color_trc       = pic->transfer;
    avctx->colorspace      = pic->matrix;
    if (avctx->width != pic->width || avctx->height != pic->height)
        ret = ff_set_dimensions(avctx, pic->width, pic->height);
    avctx->coded_width  = pic->coded_width;
    avctx->coded_height = pic->coded_height;
    return ret < 0 || !pic->sar_height ? ret : ff_set_sar(avctx, av_make_q(pic->sar_width, pic->sar_height));
}

/* The frame takes time stamps and the like from the packet that it came with. */
static void restore_packet(AVCodecContext *avctx, int64_t count)
{
    Libde265Context *s = avctx->priv_data;
    AVPacket *const props = avctx->internal->last_pkt_props;

    av_packet_unref(props);
    if (count < s->count && s->count - count <= MAX_WAITING) {
        const AVPacket *sent = s->sent[count % MAX_WAITING];

        av_packet_copy_props(props, sent);
        props->size = sent->size;
    }
}

static int attach_record(AVFrame *frame, const FsrRecord *record)
{
    AVFrameSideData *sd;

    if (!record)
        return 0;
    sd = av_frame_new_side_data(frame, (enum AVFrameSideDataType)FSR_SIDE_DATA_TYPE, record->size);
    if (!sd)
        return AVERROR(ENOMEM);
    memcpy(sd->data, record, record->size);
    return 0;
}

static int output(AVCodecContext *avctx, AVFrame *frame, const FsrDe265Picture *pic)
{
    Libde265Context *s = avctx->priv_data;
    const uint8_t *data[4]  = { pic->plane[0], pic->plane[1], pic->plane[2] };
    int linesize[4]         = { pic->stride[0], pic->stride[1], pic->stride[2] };
    int ret = set_format(avctx, pic);

    if (ret < 0)
        return ret;
    restore_packet(avctx, pic->pts);
    if ((ret = ff_get_buffer(avctx, frame, 0)) < 0)
        return ret;
    av_image_copy(frame->data, frame->linesize, data, linesize, frame->format, frame->width, frame->height);
    frame->pkt_dts   = s->dts;
    frame->pict_type = pic->type == 'B' ? AV_PICTURE_TYPE_B : pic->type == 'P' ? AV_PICTURE_TYPE_P : AV_PICTURE_TYPE_I;
#ifdef AV_FRAME_FLAG_KEY
    frame->flags     = (frame->flags & ~AV_FRAME_FLAG_KEY) | (pic->irap ? AV_FRAME_FLAG_KEY : 0);
#else
    frame->key_frame = pic->irap;
#endif
    if (pic->damaged) {
        frame->flags |= AV_FRAME_FLAG_CORRUPT;
        frame->decode_error_flags |= FF_DECODE_ERROR_INVALID_BITSTREAM;
    }
    ret = attach_record(frame, pic->record);
    if (ret < 0)
        av_frame_unref(frame);
    return ret;
}

static int decoder_receive_frame(AVCodecContext *avctx, AVFrame *frame)
{
    Libde265Context *s = avctx->priv_data;

    for (;;) {
        FsrDe265Picture pic;
        int ret = fsr_de265_receive(s->decoder, &pic);

        if (ret < 0) {
            ret = report(avctx, ret);
        } else if (!ret) {
            report(avctx, 0);
            ret = send_packet(avctx);
        } else {
            report(avctx, 0);
            ret = output(avctx, frame, &pic);
            if (ret >= 0 && !(frame->flags & AV_FRAME_FLAG_DISCARD))
                return 0;
            av_frame_unref(frame);              /* the container does not want it shown */
        }
        if (ret < 0)
            return ret;
    }
}

#define OFFSET(x) offsetof(Libde265Context, x)
static const AVOption options[] = {
    { "fsr_record", "Attach a fastsr motion record to each picture", OFFSET(fsr_record),
      AV_OPT_TYPE_BOOL, { .i64 = 1 }, 0, 1, AV_OPT_FLAG_VIDEO_PARAM | AV_OPT_FLAG_DECODING_PARAM },
    { NULL },
};

static const AVClass decoder_class = {
    .class_name = "libde265",
    .item_name  = av_default_item_name,
    .option     = options,
    .version    = LIBAVUTIL_VERSION_INT,
};

const FFCodec ff_libde265_decoder = {
    .p.name         = "libde265",
    .p.long_name    = NULL_IF_CONFIG_SMALL("libde265 H.265 / HEVC"),
    .p.type         = AVMEDIA_TYPE_VIDEO,
    .p.id           = AV_CODEC_ID_HEVC,
    .p.capabilities = AV_CODEC_CAP_DR1 | AV_CODEC_CAP_DELAY | AV_CODEC_CAP_OTHER_THREADS,
    .p.priv_class   = &decoder_class,
    .p.wrapper_name = "libde265",
    .priv_data_size = sizeof(Libde265Context),
    .init           = decoder_init,
    .close          = decoder_close,
    .flush          = decoder_flush,
    FF_CODEC_RECEIVE_FRAME_CB(decoder_receive_frame),
    .caps_internal  = FF_CODEC_CAP_INIT_CLEANUP | FF_CODEC_CAP_SETS_PKT_DTS | FF_CODEC_CAP_AUTO_THREADS |
#ifdef FF_CODEC_CAP_INIT_THREADSAFE             /* from FFmpeg 6 on the rule and not said */
                      FF_CODEC_CAP_INIT_THREADSAFE,
#else
                      0,
#endif
};
