/*
 * fastsr: the motion record of libde265 (libde265_record.h).
 *
 * libde265 takes NAL units one by one and works on one picture at a time. Between its steps
 * this file looks at what has begun and what is finished: when a picture is finished, the
 * pictures that it refers to are still in the decoder's buffer and its tables are complete.
 */
#include <cerrno>
#include <climits>
#include <cstring>
#include <vector>

#include "libde265/de265.h"
#include "libde265/decctx.h"
#include "libde265/image.h"
#include "libde265/slice.h"
#include "libde265_record.h"

/* Private members of decoder_context. The language lets an explicit instantiation name them,
 * and the compiler says so if another version lacks one. */
namespace {

template <typename Tag, typename Tag::type member> struct Expose {
    friend typename Tag::type member_of(Tag) { return member; }
};

struct ImageUnits {
    typedef std::vector<image_unit *> decoder_context::*type;
    friend type member_of(ImageUnits);
};
template struct Expose<ImageUnits, &decoder_context::image_units>;

struct NoRaslOutput {
    typedef bool decoder_context::*type;
    friend type member_of(NoRaslOutput);
};
template struct Expose<NoRaslOutput, &decoder_context::NoRaslOutputFlag>;

struct SpsTable {
    typedef std::shared_ptr<seq_parameter_set> (decoder_context::*type)[DE265_MAX_SPS_SETS];
    friend type member_of(SpsTable);
};
template struct Expose<SpsTable, &decoder_context::sps>;

struct PpsTable {
    typedef std::shared_ptr<pic_parameter_set> (decoder_context::*type)[DE265_MAX_PPS_SETS];
    friend type member_of(PpsTable);
};
template struct Expose<PpsTable, &decoder_context::pps>;

/* What we know of a picture that libde265 holds. It reuses its objects, each time with another ID. */
struct Picture {
    const de265_image    *image;
    uint32_t              id;
    uint32_t              number;       /* 0 until it is finished */
    bool                  first;        /* IRAP with NoRaslOutputFlag */
    bool                  skipped;      /* not for output, H.265 8.1.3; other decoders do not decode it */
    char                  type;
    std::vector<uint32_t> record;       /* bytes of an FsrRecord; empty if there is none */
};

typedef uint8_t SliceMap[2][MAX_NUM_REF_PICS];  /* indices into the record's reference table */

} // namespace

struct FsrDe265 {
    decoder_context      *ctx;
    int64_t               max_pixels;
    bool                  records;
    uint32_t              number;
    std::vector<Picture>  pictures;
    std::vector<uint32_t> scratch;      /* the record that is being made */
    std::vector<uint8_t>  last_sps;     /* NAL unit */
    bool                  shown;        /* the head of the output queue was given out */
    bool                  refused;      /* a sequence parameter set */
    de265_error           error;
};

static std::vector<image_unit *> &units_of(FsrDe265 *d)
{
    return d->ctx->*member_of(ImageUnits());
}

static Picture *find(FsrDe265 *d, const de265_image *image)
{
    for (Picture &p : d->pictures)
        if (p.image == image && p.id == image->get_ID())
            return &p;
    return NULL;
}

static uint32_t number_of(FsrDe265 *d, const de265_image *image)
{
    const Picture *p = image ? find(d, image) : NULL;

    return p ? p->number : 0;
}

/* Header ---------------------------------------------------------------------- */

static FsrKind kind_of(int nal)
{
    switch (nal) {
    case NAL_UNIT_TSA_N:      case NAL_UNIT_TSA_R:      return FSR_KIND_TSA;
    case NAL_UNIT_STSA_N:     case NAL_UNIT_STSA_R:     return FSR_KIND_STSA;
    case NAL_UNIT_RADL_N:     case NAL_UNIT_RADL_R:     return FSR_KIND_RADL;
    case NAL_UNIT_RASL_N:     case NAL_UNIT_RASL_R:     return FSR_KIND_RASL;
    case NAL_UNIT_BLA_W_LP:   case NAL_UNIT_BLA_W_RADL:
    case NAL_UNIT_BLA_N_LP:                             return FSR_KIND_BLA;
    case NAL_UNIT_CRA_NUT:                              return FSR_KIND_CRA;
    case NAL_UNIT_IDR_W_RADL: case NAL_UNIT_IDR_N_LP:   return FSR_KIND_IDR;
    default:                                            return FSR_KIND_TRAIL;
    }
}

/* Of the slice type: B, P, I = 0, 1, 2. */
static char type_of(const de265_image *image)
{
    int least = SLICE_TYPE_I;

    for (const slice_segment_header *s : image->slices)
        if (s->slice_type < least)
            least = s->slice_type;
    return "BPI"[least];
}

static void set_header(FsrRecord *r, const Picture &p, const de265_image *image)
{
    const seq_parameter_set &sps = image->get_sps();
    const int nal = image->nal_hdr.nal_unit_type;

    r->number        = p.number;
    r->poc           = image->PicOrderCntVal;
    r->kind          = kind_of(nal);
    r->type          = p.type;
    r->temporal_id   = image->nal_hdr.nuh_temporal_id;
    r->flags         = (isSublayerNonReference(nal) ? 0 : FSR_PIC_REFERENCE) |
                       (isIRAP(nal) && (p.first || p.number == 1) ? FSR_PIC_FIRST : 0);
    r->bit_depth     = sps.BitDepth_Y;
    r->chroma_format = sps.chroma_format_idc;
    r->crop_left     = sps.conf_win_left_offset * sps.SubWidthC;
    r->crop_right    = sps.conf_win_right_offset * sps.SubWidthC;
    r->crop_top      = sps.conf_win_top_offset * sps.SubHeightC;
    r->crop_bottom   = sps.conf_win_bottom_offset * sps.SubHeightC;
    r->nb_slices     = 0;
    for (const slice_segment_header *s : image->slices)
        r->nb_slices += !s->dependent_slice_segment_flag;
}

/* References ------------------------------------------------------------------ */

static bool is_weighted(const slice_segment_header *s, const pic_parameter_set &pps)
{
    return s->slice_type == SLICE_TYPE_B ? pps.weighted_bipred_flag : pps.weighted_pred_flag;
}

static void set_weights(FsrRef *ref, const slice_segment_header *s, const seq_parameter_set &sps, int list, int i)
{
    const bool chroma = sps.ChromaArrayType != CHROMA_MONO;
    bool changed;

    ref->log2_denom[0] = s->luma_log2_weight_denom;
    ref->weight[0]     = s->LumaWeight[list][i];
    ref->offset[0]     = s->luma_offset[list][i] * (1 << (sps.BitDepth_Y - 8));
    ref->log2_denom[1] = chroma ? s->ChromaLog2WeightDenom : 0;
    changed = ref->weight[0] != 1 << ref->log2_denom[0] || ref->offset[0];
    for (int c = 1; c < 3; c++) {
        ref->weight[c] = chroma ? s->ChromaWeight[list][i][c - 1] : 1;
        ref->offset[c] = chroma ? s->ChromaOffset[list][i][c - 1] * (1 << (sps.BitDepth_C - 8)) : 0;
        changed |= ref->weight[c] != 1 << ref->log2_denom[1] || ref->offset[c];
    }
    if (changed)
        ref->flags |= FSR_REF_WEIGHTED;
}

static int add_ref(FsrDe265 *d, FsrRecord *r, const de265_image *image, const slice_segment_header *s, int list, int i)
{
    const int index = s->RefPicList[list][i];
    const uint32_t number = d->ctx->has_image(index) ? number_of(d, d->ctx->get_image(index)) : 0;
    FsrRef ref = FsrRef();

    ref.number = number;
    ref.poc    = s->RefPicList_POC[list][i];
    ref.flags  = (s->LongTermRefPic[list][i] ? FSR_REF_LONG_TERM : 0) | (number ? 0 : FSR_REF_MISSING);
    if (is_weighted(s, image->get_pps()))
        set_weights(&ref, s, image->get_sps(), list, i);
    return fsr_record_add_ref(r, &ref);
}

static void add_refs(FsrDe265 *d, FsrRecord *r, const de265_image *image, std::vector<uint8_t> &maps)
{
    maps.assign(image->slices.size() * sizeof(SliceMap), FSR_NO_REF);
    for (size_t n = 0; n < image->slices.size(); n++) {
        const slice_segment_header *s = image->slices[n];
        SliceMap &map = reinterpret_cast<SliceMap *>(maps.data())[n];

        for (int list = 0; list < 2; list++) {
            const int nb = list ? s->num_ref_idx_l1_active : s->num_ref_idx_l0_active;

            if (s->slice_type == SLICE_TYPE_I || (list && s->slice_type != SLICE_TYPE_B))
                continue;
            for (int i = 0; i < nb && i < MAX_NUM_REF_PICS; i++)
                map[list][i] = add_ref(d, r, image, s, list, i);
        }
    }
}

static void add_held(FsrDe265 *d, FsrRecord *r, const de265_image *image)
{
    for (int i = 0; d->ctx->has_image(i); i++) {
        const de265_image *held = d->ctx->get_image(i);
        const uint32_t number = number_of(d, held);

        if (number && number != r->number && held->PicState != UnusedForReference)
            fsr_record_add_held(r, number);
    }
    if (!isSublayerNonReference(image->nal_hdr.nal_unit_type))
        fsr_record_add_held(r, r->number);
}

/* Blocks ----------------------------------------------------------------------- */

namespace {

struct Walk {
    FsrRecord         *r;
    const de265_image *image;
    const SliceMap    *map;             /* of the current coding tree block's slice, or NULL */
    bool               full;
};

struct Part {
    int x, y, w, h;                     /* luma samples */
    const PBMotion *motion;
};

} // namespace

static bool same_motion(const PBMotion &a, const PBMotion &b)
{
    for (int l = 0; l < 2; l++) {
        if (a.predFlag[l] != b.predFlag[l])
            return false;
        if (a.predFlag[l] && (a.refIdx[l] != b.refIdx[l] || a.mv[l].x != b.mv[l].x || a.mv[l].y != b.mv[l].y))
            return false;
    }
    return true;
}

static bool has_residual(const de265_image *image, const Part &p)
{
    const int step = 1 << image->get_sps().Log2MinTrafoSize;

    for (int y = p.y & -step; y < p.y + p.h; y += step)
        for (int x = p.x & -step; x < p.x + p.w; x += step)
            if (image->get_nonzero_coefficient(x, y))
                return true;
    return false;
}

static bool set_motion(FsrBlock *b, const SliceMap *map, const PBMotion &m)
{
    if (!map || !(m.predFlag[0] || m.predFlag[1]))
        return false;
    for (int l = 0; l < 2; l++) {
        if (!m.predFlag[l])
            continue;
        if (m.refIdx[l] < 0 || m.refIdx[l] >= MAX_NUM_REF_PICS || (*map)[l][m.refIdx[l]] == FSR_NO_REF)
            return false;
        b->ref[l]   = (*map)[l][m.refIdx[l]];
        b->mv[l][0] = m.mv[l].x;
        b->mv[l][1] = m.mv[l].y;
    }
    return true;
}

/* like: mode, QP and lossless flag. */
static void add_part(Walk *w, const FsrBlock &like, const Part &p)
{
    FsrBlock *b = fsr_record_add_block(w->r);

    if (!b) {
        w->full = true;
        return;
    }
    *b   = like;
    b->x = p.x / 4;
    b->y = p.y / 4;
    b->w = p.w / 4;
    b->h = p.h / 4;
    if (b->mode != FSR_SKIP && has_residual(w->image, p))
        b->flags |= FSR_BLOCK_RESIDUAL;
    if (p.motion && !set_motion(b, w->map, *p.motion)) {
        b->mode   = FSR_UNKNOWN;
        b->flags  = b->qp = 0;
        b->ref[0] = b->ref[1] = FSR_NO_REF;
        memset(b->mv, 0, sizeof(b->mv));
    }
}

static Part part(const de265_image *image, int x, int y, int w, int h)
{
    const Part p = { x, y, w, h, &image->get_mv_info(x, y) };
    return p;
}

/* H.265 table 7-10. Parts of equal motion are one (FsrBlock). */
static void add_inter(Walk *w, const FsrBlock &like, int x, int y, int size)
{
    const de265_image *image = w->image;
    const int half = size / 2, quarter = size / 4;
    int left = size, top = size;        /* size of the first part */

    switch (image->get_PartMode(x, y)) {
    case PART_2NxN:  top  = half;            break;
    case PART_2NxnU: top  = quarter;         break;
    case PART_2NxnD: top  = size - quarter;  break;
    case PART_Nx2N:  left = half;            break;
    case PART_nLx2N: left = quarter;         break;
    case PART_nRx2N: left = size - quarter;  break;
    case PART_NxN:   top  = left = half;     break;
    default:                                 break;
    }
    const int right = x + (left < size ? left : 0), below = y + (top < size ? top : 0);
    const Part tl = part(image, x, y, left, top), tr = part(image, right, y, size - left, top),
               bl = part(image, x, below, left, size - top), br = part(image, right, below, size - left, size - top);
    const bool columns = !same_motion(*tl.motion, *tr.motion) || !same_motion(*bl.motion, *br.motion);
    const bool rows    = !same_motion(*tl.motion, *bl.motion) || !same_motion(*tr.motion, *br.motion);

    if (!columns && !rows) {
        add_part(w, like, part(image, x, y, size, size));
    } else if (!columns) {
        add_part(w, like, part(image, x, y, size, top));
        add_part(w, like, part(image, x, below, size, size - top));
    } else if (!rows) {
        add_part(w, like, part(image, x, y, left, size));
        add_part(w, like, part(image, right, y, size - left, size));
    } else {
        add_part(w, like, tl);
        add_part(w, like, tr);
        add_part(w, like, bl);
        add_part(w, like, br);
    }
}

static void add_coding_block(Walk *w, int x, int y, int size)
{
    const de265_image *image = w->image;
    const Part whole = { x, y, size, size, NULL };
    FsrBlock like = FsrBlock();

    like.qp     = image->get_QPY(x, y);
    like.ref[0] = like.ref[1] = FSR_NO_REF;
    if (image->get_cu_transquant_bypass(x, y) ||
        (image->get_pcm_flag(x, y) && image->get_sps().pcm_loop_filter_disable_flag))
        like.flags = FSR_BLOCK_LOSSLESS;
    switch (image->get_pred_mode(x, y)) {
    case MODE_INTRA:
        like.mode = FSR_INTRA;
        add_part(w, like, whole);
        break;
    case MODE_SKIP:
        like.mode = FSR_SKIP;
        add_part(w, like, part(image, x, y, size, size));
        break;
    default:
        like.mode = FSR_INTER;
        add_inter(w, like, x, y, size);
    }
}

/* H.265 7.3.8.4. A coding block has its size at its top left corner, and 0 stands there when
 * it was not decoded. */
static void walk_tree(Walk *w, int x, int y, int log2_size)
{
    const seq_parameter_set &sps = w->image->get_sps();
    const int size = 1 << log2_size, half = size / 2, log2_here = w->image->get_log2CbSize(x, y);

    if (!log2_here || log2_here > log2_size)
        return;
    if (log2_here == log2_size) {
        if (x + size <= sps.pic_width_in_luma_samples && y + size <= sps.pic_height_in_luma_samples)
            add_coding_block(w, x, y, size);
        return;
    }
    for (int i = 0; i < 4; i++) {
        const int xi = x + (i & 1) * half, yi = y + (i >> 1) * half;

        if (xi < sps.pic_width_in_luma_samples && yi < sps.pic_height_in_luma_samples)
            walk_tree(w, xi, yi, log2_size - 1);
    }
}

static void add_blocks(FsrRecord *r, const de265_image *image, const std::vector<uint8_t> &maps)
{
    const seq_parameter_set &sps = image->get_sps();
    const pic_parameter_set &pps = image->get_pps();
    Walk w = { r, image, NULL, false };

    for (int ts = 0; ts < sps.PicSizeInCtbsY; ts++) {
        const int rs = pps.CtbAddrTStoRS[ts];
        const int x = rs % sps.PicWidthInCtbsY << sps.Log2CtbSizeY, y = rs / sps.PicWidthInCtbsY << sps.Log2CtbSizeY;
        const size_t slice = image->get_SliceHeaderIndex(x, y);

        if (!image->get_log2CbSize(x, y)) {
            r->missing_ctbs++;
            continue;
        }
        w.map = slice < image->slices.size() ? reinterpret_cast<const SliceMap *>(maps.data()) + slice : NULL;
        walk_tree(&w, x, y, sps.Log2CtbSizeY);
    }
    r->state = r->missing_ctbs || w.full ? FSR_PARTIAL : FSR_DONE;
}

/* Steps of the decoder ------------------------------------------------------------ */

static void make_record(FsrDe265 *d, Picture *p, const de265_image *image)
{
    const seq_parameter_set &sps = image->get_sps();
    const size_t capacity = fsr_record_capacity(sps.pic_width_in_luma_samples, sps.pic_height_in_luma_samples,
                                                1 << sps.Log2MinCbSizeY);
    std::vector<uint8_t> maps;

    if (!capacity)
        return;
    if (d->scratch.size() < (capacity + 3) / 4)
        d->scratch.resize((capacity + 3) / 4);
    FsrRecord *r = fsr_record_open(d->scratch.data(), capacity, sps.pic_width_in_luma_samples,
                                   sps.pic_height_in_luma_samples);
    if (!r)
        return;
    set_header(r, *p, image);
    add_refs(d, r, image, maps);
    add_held(d, r, image);
    add_blocks(r, image, maps);
    r->capacity = r->size;
    p->record.assign(d->scratch.begin(), d->scratch.begin() + (r->size + 3) / 4);
}

/* A picture begins. */
static void begin(FsrDe265 *d, const de265_image *image)
{
    const int nal = image->nal_hdr.nal_unit_type;
    const bool no_rasl = d->ctx->*member_of(NoRaslOutput());
    Picture *p = NULL;

    for (Picture &old : d->pictures)
        if (old.image == image)
            p = &old;
    if (!p) {
        d->pictures.push_back(Picture());
        p = &d->pictures.back();
    }
    p->image   = image;
    p->id      = image->get_ID();
    p->number  = 0;
    p->first   = isIRAP(nal) && no_rasl;
    p->skipped = isRASL(nal) && no_rasl;
    p->type    = 'I';
    p->record.clear();
}

static void finish(FsrDe265 *d, const de265_image *image)
{
    Picture *p = find(d, image);

    if (!p || p->skipped)
        return;
    p->number = ++d->number;
    p->type   = type_of(image);
    if (d->records && image->PicOutputFlag)
        make_record(d, p, image);
}

/* Parameter sets of pictures that are too large, or that a record cannot describe, are
 * forgotten as if they had not come: libde265 has no limit of its own. */
static void check_size(FsrDe265 *d)
{
    auto &all_sps = d->ctx->*member_of(SpsTable());
    auto &all_pps = d->ctx->*member_of(PpsTable());

    for (int i = 0; i < DE265_MAX_SPS_SETS; i++) {
        const seq_parameter_set *sps = all_sps[i].get();

        if (!sps || (sps->pic_width_in_luma_samples <= FSR_MAX_SIZE && sps->pic_height_in_luma_samples <= FSR_MAX_SIZE &&
                     (int64_t)sps->pic_width_in_luma_samples * sps->pic_height_in_luma_samples <= d->max_pixels))
            continue;
        all_sps[i].reset();
        for (auto &pps : all_pps)
            if (pps && pps->seq_parameter_set_id == i)
                pps.reset();
        d->refused = true;
    }
}

/* A dependent slice begins as a copy of the header of the slice before it. libde265 keeps a pointer to that one, also when
 * the header is gone with its picture. */
static void check_previous_slice(FsrDe265 *d)
{
    const std::vector<image_unit *> &units = units_of(d);
    const slice_segment_header *previous = d->ctx->previous_slice_header;

    if (!previous)
        return;
    if (!units.empty())
        for (const slice_segment_header *s : units.back()->img->slices)
            if (s == previous)
                return;
    d->ctx->previous_slice_header = NULL;
}

/* One call of libde265; 0, or -EINVAL with d->error set. */
static int step(FsrDe265 *d)
{
    std::vector<image_unit *> &units = units_of(d);
    const image_unit *front = units.empty() ? NULL : units.front(), *back = units.empty() ? NULL : units.back();
    const de265_image *image = front ? front->img : NULL;
    int more;

    check_previous_slice(d);
    const de265_error error = de265_decode(d->ctx, &more);

    if (front && (units.empty() || units.front() != front))
        finish(d, image);
    if (!units.empty() && units.back() != back)
        begin(d, units.back()->img);
    check_size(d);
    if (d->refused || (error != DE265_OK && error != DE265_ERROR_WAITING_FOR_INPUT_DATA)) {
        d->error = error;
        return -EINVAL;
    }
    return 0;
}

static int pending(FsrDe265 *d)
{
    return d->ctx->nal_parser.get_NAL_queue_length() > 0 || !units_of(d).empty();
}

/* A picture's end is only known when the next one begins, or by this. Said while the queue is
 * empty: said before, a picture could begin and end in one call of de265_decode(). */
static void end_of_picture(FsrDe265 *d)
{
    if (!d->ctx->nal_parser.get_NAL_queue_length())
        de265_push_end_of_frame(d->ctx);
}

static void show(FsrDe265 *d, const de265_image *image, FsrDe265Picture *pic)
{
    const Picture *p = find(d, image);
    const seq_parameter_set &sps = image->get_sps();

    *pic = FsrDe265Picture();
    /* de265_get_image_plane() crops wrongly at more than 8 bits. */
    for (int c = 0; c < (image->get_chroma_format() == de265_chroma_mono ? 1 : 3); c++) {
        const int left = sps.conf_win_left_offset * (c ? 1 : sps.SubWidthC);
        const int top  = sps.conf_win_top_offset * (c ? 1 : sps.SubHeightC);

        pic->stride[c] = image->get_image_stride(c) * image->get_bytes_per_pixel(c);
        pic->plane[c]  = image->get_image_plane(c) + top * pic->stride[c] + left * image->get_bytes_per_pixel(c);
    }
    pic->width         = de265_get_image_width(image, 0);
    pic->height        = de265_get_image_height(image, 0);
    pic->coded_width   = image->get_width(0);
    pic->coded_height  = image->get_height(0);
    pic->chroma_format = image->get_chroma_format();
    pic->bit_depth[0]  = sps.BitDepth_Y;
    pic->bit_depth[1]  = pic->chroma_format ? sps.BitDepth_C : sps.BitDepth_Y;
    pic->pts           = image->pts;
    pic->type          = p ? p->type : 'I';
    pic->irap          = isIRAP(image->nal_hdr.nal_unit_type);
    pic->damaged       = image->integrity != INTEGRITY_CORRECT;
    pic->full_range    = sps.vui.video_full_range_flag;
    pic->primaries     = sps.vui.colour_primaries;
    pic->transfer      = sps.vui.transfer_characteristics;
    pic->matrix        = sps.vui.matrix_coeffs;
    pic->sar_width     = sps.vui.sar_width;
    pic->sar_height    = sps.vui.sar_height;
    if (p && !p->record.empty())
        pic->record = reinterpret_cast<const FsrRecord *>(p->record.data());
}

static void pop_shown(FsrDe265 *d)
{
    if (d->shown)
        de265_release_next_picture(d->ctx);
    d->shown = false;
}

/* For C: nothing may be thrown through it ------------------------------------------ */

FsrDe265 *fsr_de265_open(int threads, int64_t max_pixels, int flags)
{
    FsrDe265 *d = NULL;

    try {
        d = new FsrDe265();
        d->ctx        = static_cast<decoder_context *>(de265_new_decoder());
        d->max_pixels = max_pixels;
        d->records    = flags & FSR_DE265_RECORDS;
        if (d->ctx)
            d->ctx->param_sei_check_hash = flags & FSR_DE265_CHECK_HASH;
        if (d->ctx && (threads <= 1 || de265_start_worker_threads(d->ctx, threads) == DE265_OK))
            return d;
    } catch (...) {
    }
    fsr_de265_close(&d);
    return NULL;
}

void fsr_de265_close(FsrDe265 **d)
{
    if (*d && (*d)->ctx)
        de265_free_decoder((*d)->ctx);
    delete *d;
    *d = NULL;
}

/* Where the next start code is (its first zero), or the end. */
static const uint8_t *start_code(const uint8_t *p, const uint8_t *end)
{
    for (; end - p >= 3; p++)
        if (!p[0] && !p[1] && p[2] == 1)
            return p;
    return end;
}

/*
 * A sequence parameter set that is repeated changes nothing (H.265 7.4.2.4.2), but libde265
 * with Debian's patches compares fields that it never set, can so take it for a new one, and
 * then refuses to refer to pictures from before.
 */
static bool is_repeated_sps(FsrDe265 *d, const uint8_t *nal, size_t size)
{
    const int type = nal[0] >> 1 & 63, layer = (nal[0] & 1) << 5 | nal[1] >> 3;

    if (type != NAL_UNIT_SPS_NUT || layer)
        return false;
    if (d->last_sps.size() == size && !memcmp(d->last_sps.data(), nal, size))
        return true;
    d->last_sps.assign(nal, nal + size);
    return false;
}

int fsr_de265_send_nal(FsrDe265 *d, const uint8_t *nal, size_t size, int64_t pts)
{
    while (size && !nal[size - 1])              /* trailing_zero_8bits, cabac_zero_words */
        size--;
    if (size < 2 || size > INT_MAX)
        return 0;
    try {
        if (!is_repeated_sps(d, nal, size) && de265_push_NAL(d->ctx, nal, size, pts, NULL) != DE265_OK)
            return -ENOMEM;
    } catch (...) {
        return -ENOMEM;
    }
    return 0;
}

int fsr_de265_send(FsrDe265 *d, const uint8_t *data, size_t size, int64_t pts)
{
    const uint8_t *end = data + size, *next = start_code(data, end);
    int ret = 0;

    while (next < end && ret >= 0) {
        const uint8_t *nal = next + 3;

        next = start_code(nal, end);
        ret  = fsr_de265_send_nal(d, nal, next - nal, pts);
    }
    return ret;
}

int fsr_de265_receive(FsrDe265 *d, FsrDe265Picture *pic)
{
    try {
        pop_shown(d);
        for (;;) {
            const de265_image *image = de265_peek_next_picture(d->ctx);

            if (image) {
                show(d, image, pic);
                d->shown = true;
                return 1;
            }
            if (!pending(d))
                return 0;
            end_of_picture(d);
            if (step(d) < 0) {
                /* No room in the picture buffer, and none to come: only nonsense fills it. */
                if (d->error == DE265_ERROR_IMAGE_BUFFER_FULL && !de265_peek_next_picture(d->ctx))
                    fsr_de265_reset(d);
                return -EINVAL;
            }
        }
    } catch (...) {
        return -ENOMEM;
    }
}

void fsr_de265_drain(FsrDe265 *d)
{
    int more;

    try {
        de265_push_end_of_frame(d->ctx);
        if (!pending(d))
            de265_decode(d->ctx, &more);        /* gives all pictures out when there is nothing to decode */
    } catch (...) {
    }
}

void fsr_de265_reset(FsrDe265 *d)
{
    try {
        de265_reset(d->ctx);
    } catch (...) {
    }
    d->pictures.clear();
    d->shown = false;
}

const char *fsr_de265_message(FsrDe265 *d)
{
    const de265_error error = d->error;

    if (d->refused) {
        d->refused = false;
        d->error   = DE265_OK;
        return "pictures larger than the limit are not decoded";
    }
    d->error = DE265_OK;
    if (error != DE265_OK)
        return de265_get_error_text(error);
    for (;;) {
        const de265_error warning = de265_get_warning(d->ctx);

        if (warning == DE265_OK)
            return NULL;
        if (warning != DE265_WARNING_NO_WPP_CANNOT_USE_MULTITHREADING)
            return de265_get_error_text(warning);
    }
}
