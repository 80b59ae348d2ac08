/*
 * fastsr: the motion record of FFmpeg's HEVC decoder (fastsr/record.h).
 *
 * Compiled inside libavcodec. A record is attached to the frame as side data when the
 * picture starts and filled when it is decoded; frames that were queued for output in
 * between share its buffer. Nothing here writes to the decoder's own tables.
 */
#include <limits.h>
#include <stdatomic.h>
#include <string.h>

#include "libavutil/buffer.h"
#include "libavutil/common.h"
#include "libavutil/error.h"
#include "libavutil/frame.h"
#include "libavutil/mem.h"
#include "fastsr/record.h"
#include "fsr_hevc.h"

/* What differs between the versions of FFmpeg ------------------------------- */

#include "libavcodec/version_major.h"

#if LIBAVCODEC_VERSION_MAJOR >= 61              /* FFmpeg 7: layers, refstruct */
#include "libavcodec/hevc/hevcdec.h"
#define FRAME(h)            ((h)->f)
#define CURRENT(s, l)       ((l)->cur_frame)
#define SLICE_CURRENT(s)    ((s)->cur_frame)
#define BEGIN_SPS(s)        ((s)->pps->sps)
#define SPS(s, l)           ((l)->sps)
#define PPS(s)              ((s)->pps)
#define TABLE(s, l, name)   ((l)->name)
#define PCM_ENABLED(sps)    ((sps)->pcm_enabled)
#define SLICE_LISTS(h)      ((h)->rpl)
#define NB_LAYERS           FF_ARRAY_ELEMS(((HEVCContext *)0)->layers)
#define DPB_OF(s, layer)    ((s)->layers[layer].DPB)
#define USES_WPP(s)         ((s)->avctx->active_thread_type == FF_THREAD_SLICE && (s)->sh.num_entry_point_offsets > 0)
#else
#include "libavcodec/hevcdec.h"
typedef struct HEVCLayerContext HEVCLayerContext;   /* always NULL */
#define FRAME(h)            ((h)->frame)
#define CURRENT(s, l)       ((s)->ref)
#define SLICE_CURRENT(s)    ((s)->ref)
#define BEGIN_SPS(s)        ((s)->ps.sps)
#define SPS(s, l)           ((s)->ps.sps)
#define PPS(s)              ((s)->ps.pps)
#define TABLE(s, l, name)   ((s)->name)
#define PCM_ENABLED(sps)    ((sps)->pcm_enabled_flag)
#define SLICE_LISTS(h)      ((h)->rpl_buf ? (const RefPicListTab *)(h)->rpl_buf->data : NULL)
#define NB_LAYERS           1
#define DPB_OF(s, layer)    ((s)->DPB)
#define USES_WPP(s)         ((s)->threads_number > 1 && (s)->sh.num_entry_point_offsets > 0)
#endif

/* State ---------------------------------------------------------------------- */

/* Shared by the frame threads of one decoder. They enter ff_fsr_hevc_begin() one after
 * the other, in decoding order, so that only the counter's visibility needs care. */
typedef struct Shared {
    atomic_uint   number;
    AVBufferPool *pool;
    size_t        size;                 /* of the pool's buffers */
} Shared;

/* Indices into the record's reference table for the lists of one slice. */
typedef uint8_t SliceMap[2][HEVC_MAX_REFS];

/* Of one decoding context. */
struct FsrHevc {
    AVBufferRef *shared;
    SliceMap    *maps;                  /* by slice number of the current picture */
    unsigned     maps_size;             /* allocated bytes */
    int          nb_maps;
    int          rows_broken;           /* see check_rows() */
};

static void shared_free(void *opaque, uint8_t *data)
{
    Shared *shared = (Shared *)data;

    av_buffer_pool_uninit(&shared->pool);
    av_free(shared);
}

static struct FsrHevc *get_state(HEVCContext *s)
{
    if (!s->fsr)
        s->fsr = av_mallocz(sizeof(*s->fsr));
    return s->fsr;
}

static Shared *get_shared(HEVCContext *s)
{
    struct FsrHevc *state = get_state(s);
    Shared *shared;

    if (!state)
        return NULL;
    if (state->shared)
        return (Shared *)state->shared->data;
    if (!(shared = av_mallocz(sizeof(*shared))))
        return NULL;
    atomic_init(&shared->number, 0);
    state->shared = av_buffer_create((uint8_t *)shared, sizeof(*shared), shared_free, NULL, 0);
    if (!state->shared)
        av_freep(&shared);
    return shared;
}

int ff_fsr_hevc_update(HEVCContext *dst, const HEVCContext *src)
{
    struct FsrHevc *state;

    if (!src->fsr || !src->fsr->shared)
        return 0;
    if (!(state = get_state(dst)))
        return AVERROR(ENOMEM);
    return av_buffer_replace(&state->shared, src->fsr->shared);
}

void ff_fsr_hevc_free(HEVCContext *s)
{
    if (!s->fsr)
        return;
    av_buffer_unref(&s->fsr->shared);
    av_freep(&s->fsr->maps);
    av_freep(&s->fsr);
}

static FsrRecord *record_of(const AVFrame *f)
{
    AVFrameSideData *sd = f ? av_frame_get_side_data(f, (enum AVFrameSideDataType)FSR_SIDE_DATA_TYPE) : NULL;
    FsrRecord *r = sd && sd->size >= sizeof(*r) ? (FsrRecord *)sd->data : NULL;

    return r && r->magic == FSR_RECORD_MAGIC ? r : NULL;
}

/* Start of a picture ----------------------------------------------------------- */

static AVBufferRef *new_buffer(Shared *shared, size_t size)
{
    if (!size)
        return NULL;
    if (shared->size != size) {
        av_buffer_pool_uninit(&shared->pool);
        shared->size = 0;
        if (!(shared->pool = av_buffer_pool_init(size, NULL)))
            return NULL;
        shared->size = size;
    }
    return av_buffer_pool_get(shared->pool);
}

static enum FsrKind kind_of(enum HEVCNALUnitType nal)
{
    switch (nal) {
    case HEVC_NAL_TSA_N:       case HEVC_NAL_TSA_R:      return FSR_KIND_TSA;
    case HEVC_NAL_STSA_N:      case HEVC_NAL_STSA_R:     return FSR_KIND_STSA;
    case HEVC_NAL_RADL_N:      case HEVC_NAL_RADL_R:     return FSR_KIND_RADL;
    case HEVC_NAL_RASL_N:      case HEVC_NAL_RASL_R:     return FSR_KIND_RASL;
    case HEVC_NAL_BLA_W_LP:    case HEVC_NAL_BLA_W_RADL:
    case HEVC_NAL_BLA_N_LP:                              return FSR_KIND_BLA;
    case HEVC_NAL_CRA_NUT:                               return FSR_KIND_CRA;
    case HEVC_NAL_IDR_W_RADL:  case HEVC_NAL_IDR_N_LP:   return FSR_KIND_IDR;
    default:                                             return FSR_KIND_TRAIL;
    }
}

static void set_header(FsrRecord *r, const HEVCContext *s, const HEVCSPS *sps)
{
    r->poc           = s->poc;
    r->kind          = kind_of(s->nal_unit_type);
    r->temporal_id   = s->temporal_id;
    r->flags         = (ff_hevc_nal_is_nonref(s->nal_unit_type) ? 0 : FSR_PIC_REFERENCE) |
                       /* A decoder that lost the stream's first pictures may not notice that this is one. */
                       (IS_IRAP(s) && (s->no_rasl_output_flag || r->number == 1) ? FSR_PIC_FIRST : 0);
    r->bit_depth     = sps->bit_depth;
    r->chroma_format = sps->chroma_format_idc;
    r->crop_left     = sps->output_window.left_offset;
    r->crop_right    = sps->output_window.right_offset;
    r->crop_top      = sps->output_window.top_offset;
    r->crop_bottom   = sps->output_window.bottom_offset;
    r->missing_ctbs  = sps->ctb_width * sps->ctb_height;
}

static void attach(AVFrame *f, AVBufferRef *buf)
{
    if (buf && !av_frame_new_side_data_from_buf(f, (enum AVFrameSideDataType)FSR_SIDE_DATA_TYPE, buf))
        av_buffer_unref(&buf);
}

void ff_fsr_hevc_begin(HEVCContext *s)
{
    HEVCFrame *cur = SLICE_CURRENT(s);
    const HEVCSPS *sps = BEGIN_SPS(s);
    Shared *shared;
    AVBufferRef *buf;
    FsrRecord *r;

    if (!s->fsr_record || s->avctx->hwaccel || !cur || !sps || !(shared = get_shared(s)))
        return;
    s->fsr->nb_maps     = 0;
    s->fsr->rows_broken = 0;
    buf = new_buffer(shared, fsr_record_capacity(sps->width, sps->height, 1 << sps->log2_min_cb_size));
    if (!buf)
        return;
    r = fsr_record_open(buf->data, shared->size, sps->width, sps->height);
    if (!r) {
        av_buffer_unref(&buf);
        return;
    }
    r->number = atomic_fetch_add(&shared->number, 1) + 1;
    set_header(r, s, sps);
    /* Before FFmpeg 7.1 film grain is put on a second frame, which exists already and can lose
     * what is copied to it when it leaves. */
    if (cur->needs_fg && cur->frame_grain->buf[0])
        attach(cur->frame_grain, av_buffer_ref(buf));
    attach(FRAME(cur), buf);
}

/* A slice: reference lists and weights ------------------------------------------- */

static int16_t scale_offset(int offset, int bit_depth)
{
    return offset * (1 << (bit_depth - 8));
}

/* 0, or -1 where an offset is out of range (H.265 7.4.7.3), which the decoder does not check. */
static int set_weights(FsrRef *ref, const HEVCContext *s, const HEVCSPS *sps, int list, int i)
{
    const SliceHeader *sh = &s->sh;
    const int chroma = sps->chroma_format_idc != 0;
    const int offset = list ? sh->luma_offset_l1[i] : sh->luma_offset_l0[i];
    int changed;

    if (offset < -128 || offset > 127)
        return -1;
    ref->log2_denom[0] = sh->luma_log2_weight_denom;
    ref->weight[0]     = list ? sh->luma_weight_l1[i] : sh->luma_weight_l0[i];
    ref->offset[0]     = scale_offset(offset, sps->bit_depth);
    ref->log2_denom[1] = chroma ? sh->chroma_log2_weight_denom : 0;
    for (int c = 0; c < 2; c++) {
        ref->weight[1 + c] = !chroma ? 1 : list ? sh->chroma_weight_l1[i][c] : sh->chroma_weight_l0[i][c];
        ref->offset[1 + c] = !chroma ? 0 : scale_offset(list ? sh->chroma_offset_l1[i][c]
                                                             : sh->chroma_offset_l0[i][c], sps->bit_depth);
    }
    changed = 0;
    for (int c = 0; c < 3; c++)
        changed |= ref->weight[c] != 1 << ref->log2_denom[!!c] || ref->offset[c];
    if (changed)
        ref->flags |= FSR_REF_WEIGHTED;
    return 0;
}

static int add_ref(FsrRecord *r, const HEVCContext *s, const HEVCSPS *sps, const RefPicList *rpl,
                   int list, int i, int weighted)
{
    const FsrRecord *of = record_of(FRAME(rpl->ref[i]));
    FsrRef ref = {
        .number = of ? of->number : 0,          /* the decoder's own stand-ins carry no record */
        .poc    = rpl->list[i],
        .flags  = (rpl->isLongTerm[i] ? FSR_REF_LONG_TERM : 0) | (of ? 0 : FSR_REF_MISSING),
    };

    if (weighted && set_weights(&ref, s, sps, list, i) < 0)
        return FSR_NO_REF;
    return fsr_record_add_ref(r, &ref);
}

/* Maps up to this slice's; those of slices without lists (I, or damaged) lead nowhere. */
static SliceMap *open_map(struct FsrHevc *state, int slice)
{
    SliceMap *maps;

    if (slice < 0 || slice >= INT_MAX / (int)sizeof(SliceMap) - 1)
        return NULL;
    maps = av_fast_realloc(state->maps, &state->maps_size, (slice + 1) * sizeof(*maps));
    if (!maps)
        return NULL;
    state->maps = maps;
    for (; state->nb_maps <= slice; state->nb_maps++)
        memset(maps[state->nb_maps], FSR_NO_REF, sizeof(*maps));
    return &maps[slice];
}

/* When one row of a slice fails, the threads of the other rows stop at a coding tree block
 * that they have marked as decoded already: then the last one of each row cannot be trusted. */
static void check_rows(HEVCContext *s)
{
    if (USES_WPP(s) && atomic_load(&s->wpp_err))
        s->fsr->rows_broken = 1;
}

void ff_fsr_hevc_slice(HEVCContext *s)
{
    HEVCFrame *cur = SLICE_CURRENT(s);
    FsrRecord *r = cur && s->fsr ? record_of(FRAME(cur)) : NULL;
    const int is_b = s->sh.slice_type == HEVC_SLICE_B;
    const HEVCPPS *pps = PPS(s);
    const HEVCSPS *sps = BEGIN_SPS(s);
    SliceMap *map;
    int weighted;

    if (!r || !pps || !sps || !cur->refPicList || !(map = open_map(s->fsr, s->slice_idx)))
        return;
    if (s->slice_idx > 0)
        check_rows(s);                          /* of the slice before */
    if (is_b || r->type == 'I')
        r->type = is_b ? 'B' : 'P';
    weighted = is_b ? pps->weighted_bipred_flag : pps->weighted_pred_flag;
    for (int list = 0; list <= is_b; list++) {
        const RefPicList *rpl = &cur->refPicList[list];

        for (int i = 0; i < rpl->nb_refs && i < HEVC_MAX_REFS; i++)
            (*map)[list][i] = rpl->ref[i] ? add_ref(r, s, sps, rpl, list, i, weighted) : FSR_NO_REF;
    }
}

/* End of a picture: the blocks ---------------------------------------------------- */

/* Coding blocks wait in a queue while their vectors are on the way from memory: those of
 * a whole picture do not fit the caches, and waiting for each would be most of the time. */
#define QUEUE 16

typedef struct CodingBlock {
    const MvField  *mvf;                /* at its top left corner */
    const SliceMap *map;                /* of its slice, or NULL */
    uint16_t        x, y;
    uint8_t         size, skip;
    int8_t          qp;
} CodingBlock;

typedef struct Walk {
    FsrRecord      *r;
    int             width, height;
    int             log2_cb, log2_pb, log2_tb;          /* smallest coding, prediction, transform block */
    int             stride_cb, stride_pb, stride_tb;    /* of the tables that have a value for each of them: */
    const uint8_t  *depth, *skip;       /* by coding block */
    const int8_t   *qp;
    const MvField  *mvf;                /* by prediction block */
    const uint8_t  *bypass;             /* by prediction block; NULL = nowhere */
    const uint8_t  *cbf;                /* by transform block */
    const SliceMap *map;                /* of the current coding tree block, or NULL */
    int             full;               /* the record had no room */
    CodingBlock     queue[QUEUE];
    unsigned        queued;             /* blocks that were ever put into it */
} Walk;

/* Fields of a list that is not used are garbage, but the same in one prediction block. */
static int same_motion(const MvField *a, const MvField *b)
{
    if (a->pred_flag != b->pred_flag)
        return 0;
    if (!memcmp(a->mv, b->mv, sizeof(a->mv)) && !memcmp(a->ref_idx, b->ref_idx, sizeof(a->ref_idx)))
        return 1;
    for (int l = 0; l < 2; l++)
        if (a->pred_flag & (PF_L0 << l) &&
            (a->mv[l].x != b->mv[l].x || a->mv[l].y != b->mv[l].y || a->ref_idx[l] != b->ref_idx[l]))
            return 0;
    return 1;
}

/* Is one of n bytes not zero? */
static int any_byte(const uint8_t *p, int n)
{
    uint64_t word8 = 0;
    uint32_t word4 = 0;
    uint16_t word2 = 0;

    for (; n >= 8; n -= 8, p += 8) {
        memcpy(&word8, p, 8);
        if (word8)
            return 1;
    }
    if (n & 4)
        memcpy(&word4, p, 4);
    if (n & 2)
        memcpy(&word2, p + (n & 4), 2);
    return word4 | word2 | (n & 1 ? p[n - 1] : 0);
}

static int has_residual(const Walk *w, int x, int y, int width, int height)
{
    const int log2 = w->log2_tb, stride = w->stride_tb;
    const int n = ((x + width - 1) >> log2) - (x >> log2) + 1;
    const uint8_t *row = w->cbf + (y >> log2) * stride + (x >> log2);

    for (int rows = ((y + height - 1) >> log2) - (y >> log2) + 1; rows > 0; rows--, row += stride)
        if (any_byte(row, n))
            return 1;
    return 0;
}

static int set_motion(const SliceMap *map, FsrBlock *b, const MvField *m)
{
    if (!map || !(m->pred_flag & PF_BI))
        return -1;
    for (int l = 0; l < 2; l++) {
        if (!(m->pred_flag & (PF_L0 << l)))
            continue;
        if (m->ref_idx[l] < 0 || m->ref_idx[l] >= HEVC_MAX_REFS ||
            (*map)[l][m->ref_idx[l]] == FSR_NO_REF)
            return -1;
        b->ref[l]   = (*map)[l][m->ref_idx[l]];
        b->mv[l][0] = m->mv[l].x;
        b->mv[l][1] = m->mv[l].y;
    }
    return 0;
}

/* One part of a coding block; mode, QP and lossless flag stand in like. m is NULL for intra. */
static void add_part(Walk *w, const FsrBlock *like, const SliceMap *map, const MvField *m,
                     int x, int y, int width, int height)
{
    FsrBlock *b = fsr_record_add_block(w->r);

    if (!b) {
        w->full = 1;
        return;
    }
    *b   = *like;
    b->x = x / 4;
    b->y = y / 4;
    b->w = width / 4;
    b->h = height / 4;
    if (b->mode != FSR_SKIP && has_residual(w, x, y, width, height))
        b->flags |= FSR_BLOCK_RESIDUAL;
    if (m && set_motion(map, b, m) < 0)
        *b = (FsrBlock) { .x = b->x, .y = b->y, .w = b->w, .h = b->h, .ref = { FSR_NO_REF, FSR_NO_REF } };
}

/* Two parts that meet below (or, if down, right of) a quarter, the half or three quarters. */
static void add_two_parts(Walk *w, const CodingBlock *cb, const FsrBlock *like, int down)
{
    const int x = cb->x, y = cb->y, size = cb->size, n = size >> w->log2_pb;
    const ptrdiff_t step = down ? 1 : w->stride_pb;
    const MvField *m = cb->mvf, *last = m + (n - 1) * (w->stride_pb + 1);
    int at = size / 2;

    if (n >= 4) {
        if (!same_motion(m, m + n / 4 * step))
            at = size / 4;
        else if (same_motion(m, m + n / 2 * step))
            at = size / 4 * 3;
    }
    if (down) {
        add_part(w, like, cb->map, m,    x,      y, at,        size);
        add_part(w, like, cb->map, last, x + at, y, size - at, size);
    } else {
        add_part(w, like, cb->map, m,    x, y,      size, at);
        add_part(w, like, cb->map, last, x, y + at, size, size - at);
    }
}

/*
 * The parts of an inter coding block. The decoder does not keep the partitioning, but the
 * motion tells it as far as it matters (H.265 table 7-10): of two parts each has one of the
 * corners top left and bottom right, and four parts meet in the middle.
 */
static void add_inter(Walk *w, const CodingBlock *cb, const FsrBlock *like)
{
    const int x = cb->x, y = cb->y, size = cb->size, half = size / 2, far = (size >> w->log2_pb) - 1;
    const MvField *tl = cb->mvf, *tr = tl + far, *bl = tl + far * w->stride_pb, *br = bl + far;
    const int across = same_motion(tl, tr), down = same_motion(tl, bl);

    if (across && down && same_motion(tl, br)) {
        add_part(w, like, cb->map, tl, x, y, size, size);
    } else if (across != down && same_motion(br, down ? tr : bl)) {
        add_two_parts(w, cb, like, down);
    } else {
        add_part(w, like, cb->map, tl, x, y, half, half);
        add_part(w, like, cb->map, tr, x + half, y, half, half);
        add_part(w, like, cb->map, bl, x, y + half, half, half);
        add_part(w, like, cb->map, br, x + half, y + half, half, half);
    }
}

static void add_coding_block(Walk *w, const CodingBlock *cb)
{
    FsrBlock like = { .mode = FSR_INTRA, .qp = cb->qp, .ref = { FSR_NO_REF, FSR_NO_REF } };

    if (w->bypass && w->bypass[cb->mvf - w->mvf])
        like.flags = FSR_BLOCK_LOSSLESS;
    if (cb->mvf->pred_flag == PF_INTRA) {
        add_part(w, &like, NULL, NULL, cb->x, cb->y, cb->size, cb->size);
    } else if (cb->skip) {
        like.mode = FSR_SKIP;
        add_part(w, &like, cb->map, cb->mvf, cb->x, cb->y, cb->size, cb->size);
    } else {
        like.mode = FSR_INTER;
        add_inter(w, cb, &like);
    }
}

static void prefetch(const void *p)
{
#ifdef __GNUC__
    __builtin_prefetch(p);
#endif
}

/* index: of its top left corner in the tables by smallest coding block. */
static void queue_coding_block(Walk *w, int x, int y, int size, int index)
{
    const int stride = w->stride_pb;
    const MvField *m = w->mvf + (y >> w->log2_pb) * stride + (x >> w->log2_pb);
    CodingBlock *cb = &w->queue[w->queued % QUEUE];

    if (w->queued >= QUEUE)
        add_coding_block(w, cb);
    *cb = (CodingBlock) { .mvf = m, .map = w->map, .x = x, .y = y, .size = size,
                          .skip = w->skip[index], .qp = w->qp[index] };
    w->queued++;
    prefetch(m);
    if (!cb->skip) {
        const int far = (size >> w->log2_pb) - 1;
        prefetch(m + far * stride);
        prefetch(m + far * (stride + 1));
        prefetch(w->cbf + (y >> w->log2_tb) * w->stride_tb + (x >> w->log2_tb));
    }
}

static void flush_queue(Walk *w)
{
    const unsigned first = w->queued > QUEUE ? w->queued - QUEUE : 0;

    for (unsigned i = first; i < w->queued; i++)
        add_coding_block(w, &w->queue[i % QUEUE]);
}

/* H.265 7.3.8.4, with the depths that the decoder kept. Where it kept nonsense (damaged
 * streams) the tree still ends at the smallest block and inside the picture. */
static void walk_tree(Walk *w, int x, int y, int log2_size, int depth)
{
    const int size = 1 << log2_size, half = size / 2;
    const int index = (y >> w->log2_cb) * w->stride_cb + (x >> w->log2_cb);

    if (log2_size == w->log2_cb ||
        (w->depth[index] <= depth && x + size <= w->width && y + size <= w->height)) {
        queue_coding_block(w, x, y, size, index);
        return;
    }
    for (int i = 0; i < 4; i++) {
        const int xi = x + (i & 1) * half, yi = y + (i >> 1) * half;

        if (xi < w->width && yi < w->height)
            walk_tree(w, xi, yi, log2_size - 1, depth + 1);
    }
}

static void add_held(FsrRecord *r, HEVCContext *s)
{
    for (int layer = 0; layer < NB_LAYERS; layer++) {
        HEVCFrame *dpb = DPB_OF(s, layer);

        for (int i = 0; i < FF_ARRAY_ELEMS(DPB_OF(s, 0)); i++) {
            const FsrRecord *of = record_of(FRAME(&dpb[i]));

            if (of && of != r && dpb[i].flags & (HEVC_FRAME_FLAG_SHORT_REF | HEVC_FRAME_FLAG_LONG_REF))
                fsr_record_add_held(r, of->number);
        }
    }
    if (r->flags & FSR_PIC_REFERENCE)
        fsr_record_add_held(r, r->number);
}

static int is_decoded(const HEVCContext *s, const HEVCSPS *sps, const int32_t *slice_address, int rs)
{
    if (slice_address[rs] < 0)
        return 0;
    return !s->fsr->rows_broken || ((rs + 1) % sps->ctb_width && slice_address[rs + 1] >= 0);
}

static void add_blocks(Walk *w, HEVCContext *s, const HEVCSPS *sps, const HEVCPPS *pps,
                       const HEVCFrame *cur, const int32_t *slice_address)
{
    const RefPicListTab *lists = SLICE_LISTS(cur);
    const int nb_ctbs = sps->ctb_width * sps->ctb_height;

    w->r->missing_ctbs = 0;
    for (int ts = 0; ts < nb_ctbs; ts++) {
        const int rs = pps->ctb_addr_ts_to_rs[ts];
        ptrdiff_t slice;

        if (!is_decoded(s, sps, slice_address, rs)) {
            w->r->missing_ctbs++;
            continue;
        }
        slice  = cur->rpl_tab && lists ? cur->rpl_tab[ts] - lists : -1;
        w->map = slice >= 0 && slice < s->fsr->nb_maps ? &s->fsr->maps[slice] : NULL;
        walk_tree(w, (rs % sps->ctb_width) << sps->log2_ctb_size,
                  (rs / sps->ctb_width) << sps->log2_ctb_size, sps->log2_ctb_size, 0);
    }
    flush_queue(w);
}

static void fill(FsrRecord *r, HEVCContext *s, HEVCLayerContext *l, const HEVCFrame *cur)
{
    const HEVCSPS *sps = SPS(s, l);
    const HEVCPPS *pps = PPS(s);
    Walk w;

    r->nb_slices = FFMIN(s->slice_idx + 1, UINT16_MAX);
    r->state     = FSR_PARTIAL;
    add_held(r, s);
    check_rows(s);
    /* A parameter set that came within the picture can have taken these away. */
    if (!sps || !pps || !cur->tab_mvf || sps->width != r->coded_w || sps->height != r->coded_h)
        return;
    w.r         = r;
    w.width     = sps->width;
    w.height    = sps->height;
    w.log2_cb   = sps->log2_min_cb_size;
    w.log2_pb   = sps->log2_min_pu_size;
    w.log2_tb   = sps->log2_min_tb_size;
    w.stride_cb = sps->min_cb_width;
    w.stride_pb = sps->min_pu_width;
    w.stride_tb = sps->min_tb_width;
    w.depth     = TABLE(s, l, tab_ct_depth);
    w.skip      = TABLE(s, l, skip_flag);
    w.qp        = TABLE(s, l, qp_y_tab);
    w.mvf       = cur->tab_mvf;
    w.bypass    = pps->transquant_bypass_enable_flag || PCM_ENABLED(sps) ? TABLE(s, l, is_pcm) : NULL;
    w.cbf       = TABLE(s, l, cbf_luma);
    w.queued    = 0;
    w.full      = 0;
    add_blocks(&w, s, sps, pps, cur, TABLE(s, l, tab_slice_address));
    if (!r->missing_ctbs && !w.full)
        r->state = FSR_DONE;
}

/* From FFmpeg 7.1 on film grain is put on a second frame, whose side data are copies. */
static void copy_record(const FsrRecord *r, AVFrame *f)
{
    FsrRecord *to = record_of(f);

    if (to && to != r && to->number == r->number && to->capacity == r->capacity)
        memcpy(to, r, r->size);
}

void ff_fsr_hevc_end(HEVCContext *s, HEVCLayerContext *l)
{
    HEVCFrame *cur = CURRENT(s, l);
    FsrRecord *r = cur && s->fsr ? record_of(FRAME(cur)) : NULL;

    if (!r || r->state != FSR_PENDING)
        return;
    fill(r, s, l, cur);
    if (cur->needs_fg)
        copy_record(r, cur->frame_grain);
}
