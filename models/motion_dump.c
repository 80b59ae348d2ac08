/*
 * motion_dump: what training the recurrent network needs of a coded clip, for each picture in processing order:
 *
 *   int32 header[10]: magic 0x44545346, bytes that follow the header, display index, decoding number, type ('I' 'P' 'B'),
 *                     width, height, cells in a row, rows of cells, blocks
 *   uint8   decoded luma                   [height][width]
 *   int16   its prediction from references [height][width], one 8-bit step is 64; the picture itself where there is none
 *   int16   weight of what is carried      [cell rows][cells], 0 to 256; -1 where nothing was predicted
 *   Block   blocks
 *
 * All of it comes from the engine itself (fill=detail without a network), so that training sees what the filter will.
 * Crops are not supported: sizes must be multiples of 8. 8 bit only.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>

#include "filters/task.h"

typedef struct Block {          /* in 4x4 cells; list i is used where number[i] is not 0 */
    int16_t  x, y, w, h;
    int16_t  mode, qp;
    int16_t  mv[2][2];
    uint32_t number[2];
    float    weight[2], offset; /* prediction = sum of weight * reference + offset, in 8-bit steps */
} Block;

static FILE *out;
static int (*original)(FsrEngine *e, FsrNode *n);

static void weights(const FsrNode *n, const FsrBlock *b, Block *o)
{
    const FsrRef *r[2] = { 0 };
    int nb = 0;

    for (int l = 0; l < 2; l++)
        if (b->ref[l] != FSR_NO_REF && n->ref[b->ref[l]]) {
            r[l] = &n->motion.refs[b->ref[l]];
            o->number[l] = r[l]->number;
            o->mv[l][0]  = b->mv[l][0];
            o->mv[l][1]  = b->mv[l][1];
            nb++;
        }
    for (int l = 0; l < 2; l++)
        if (r[l]) {
            const int weighted = r[l]->flags & FSR_REF_WEIGHTED;

            o->weight[l] = (weighted ? (float)r[l]->weight[0] / (1 << r[l]->log2_denom[0]) : 1) / nb;
            o->offset   += weighted ? (float)r[l]->offset[0] / nb : 0;
        }
}

static void write_picture(const FsrEngine *e, const FsrNode *n, int filled)
{
    const FsrCells *c = &e->cells;
    const int w = n->lr->w, h = n->lr->h, blocks = n->has_motion ? (int)n->motion.hdr.nb_blocks : 0;
    const int32_t hdr[10] = { 0x44545346, w * h * 3 + c->w * c->h * 2 + blocks * (int)sizeof(Block), (int)n->display, (int)n->number,
                              n->stats.type, w, h, c->w, c->h, blocks };

    fwrite(hdr, sizeof(hdr), 1, out);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            putc((n->lr->data[y * n->lr->stride + x] + 32) >> 6, out);
    for (int y = 0; y < h; y++)
        fwrite((filled ? e->pred->data + y * e->pred->stride : n->lr->data + y * n->lr->stride), 2, w, out);
    for (int i = 0; i < c->w * c->h; i++) {
        const int16_t v = !filled || c->error[i] == FSR_NO_ERROR ? -1 : c->weight[i];

        fwrite(&v, 2, 1, out);
    }
    for (int i = 0; i < blocks; i++) {
        const FsrBlock *b = &n->motion.blocks[i];
        Block o = { .x = b->x, .y = b->y, .w = b->w, .h = b->h, .mode = b->mode, .qp = b->qp };

        if (filled && b->mode >= FSR_INTER)
            weights(n, b, &o);
        fwrite(&o, sizeof(o), 1, out);
    }
}

static int fill(FsrEngine *e, FsrNode *n)
{
    int ret = original(e, n);

    write_picture(e, n, 1);
    return ret;
}

static int key(FsrEngine *e, FsrNode *n)
{
    for (int i = 0; i < n->motion.hdr.nb_refs; i++)
        if (n->ref[i])
            return fill(e, n);
    write_picture(e, n, 0);
    return fsr_sr_key(e, n);
}

static int alloc(void *opaque, void *in, void **o, FsrPlanes *planes)
{
    (void)in;
    *o = NULL;
    *planes = (FsrPlanes){ .data = { opaque }, .stride = { 0 }, .step = { 1, 1, 1 } };   /* every row over the last */
    return 0;
}

static void drop(void *opaque, void *p)
{
    AVFrame *f = p;

    (void)opaque;
    av_frame_free(&f);
}

static int push(FsrEngine **e, AVFrame *f, uint8_t *row)
{
    const AVFrameSideData *sd = av_frame_get_side_data(f, (enum AVFrameSideDataType)FSR_SIDE_DATA_TYPE);
    FsrPicture p = { .planes = { .data = { f->data[0] }, .stride = { f->linesize[0] }, .step = { 1, 1, 1 } },
                     .record = sd ? sd->data : NULL, .record_size = sd ? sd->size : 0, .opaque = av_frame_clone(f) };
    FsrResult r;

    if (!*e) {
        FsrEngineConfig c = { .format = { .width = f->width, .height = f->height, .bit_depth = 8, .sample_bytes = 1, .planes = 1 },
                              .scale = 2, .fill = FSR_FILL_DETAIL, .interval = 1 << 20, .threshold = 10, .nb_workers = 1,
                              .alloc = alloc, .release = drop, .discard = drop, .opaque = row };
        char err[200];

        if (fsr_engine_create(e, &c, err, sizeof(err)) < 0) {
            fprintf(stderr, "motion_dump: %s\n", err);
            return -1;
        }
        original      = (*e)->task.fill;
        (*e)->task    = (FsrTask){ "dump", key, fill };
    }
    if (fsr_engine_push(*e, &p) < 0)
        return -1;
    while (fsr_engine_pull(*e, &r) > 0)
        ;
    return 0;
}

int main(int argc, char **argv)
{
    AVFormatContext *fmt = NULL;
    AVCodecContext  *dec = avcodec_alloc_context3(avcodec_find_decoder_by_name("hevc"));
    AVPacket *pkt = av_packet_alloc();
    AVFrame  *f   = av_frame_alloc();
    FsrEngine *e  = NULL;
    uint8_t  *row = malloc(1 << 16);
    int ret = 0, end = 0;

    if (argc != 3 || !(out = fopen(argv[2], "wb")) || avformat_open_input(&fmt, argv[1], NULL, NULL) < 0 ||
        avformat_find_stream_info(fmt, NULL) < 0 || avcodec_parameters_to_context(dec, fmt->streams[0]->codecpar) < 0) {
        fprintf(stderr, "Usage: motion_dump IN.hevc OUT\n");
        return 2;
    }
    dec->thread_count = 1;
    avcodec_open2(dec, NULL, NULL);
    while (!end && ret >= 0) {
        end = av_read_frame(fmt, pkt) < 0;
        if (end || pkt->stream_index == 0)
            avcodec_send_packet(dec, end ? NULL : pkt);
        av_packet_unref(pkt);
        while (ret >= 0 && avcodec_receive_frame(dec, f) >= 0) {
            ret = push(&e, f, row);
            av_frame_unref(f);
        }
    }
    if (ret < 0 || !e || fsr_engine_flush(e) < 0 || fclose(out)) {
        fprintf(stderr, "motion_dump: %s: failed\n", argv[1]);
        return 1;
    }
    fsr_engine_free(&e);
    return 0;
}
