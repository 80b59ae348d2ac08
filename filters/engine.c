/*
 * The pipeline: pictures come in display order, are worked on so that references go first,
 * and leave in display order. Decoding order itself is not restored: a picture waits only
 * for references that are shown after it (those shown before it have come or never will).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "task.h"

#define MAX_WAITING 16          /* a decoder's reorder depth, H.265 A.4.2 */
#define NUMBER_WINDOW 32        /* numbers further back than this will not come any more */
#define MAX_KEPT 24             /* a decoder holds 16 at most, H.265 A.4.2; some more wait to be settled */
#define NUMBER_JUMP 64          /* numbers further apart than this have nothing to do with each other */

/* Workers and rows --------------------------------------------------------- */

void fsr_engine_execute(FsrEngine *e, FsrJob fn, int nb_jobs)
{
    if (e->cfg.execute && nb_jobs > 1)
        e->cfg.execute(e->cfg.opaque, fn, e, nb_jobs);
    else
        for (int j = 0; j < nb_jobs; j++)
            fn(e, j, 0);
}

static int alloc_scratch(FsrEngine *e)
{
    const int    nb  = 2 * FSR_RING + sizeof(e->scratch->row) / sizeof(*e->scratch->row);
    /* Not a multiple of a page: a dozen rows are read side by side, and the cache has 8 places for one offset. */
    const size_t len = ((e->out_format.width + 128 + 2047) & ~2047) + 160;

    e->scratch = aligned_alloc(64, e->cfg.nb_workers * sizeof(*e->scratch));
    e->rows    = aligned_alloc(64, e->cfg.nb_workers * nb * len * sizeof(*e->rows));
    if (!e->scratch || !e->rows)
        return -ENOMEM;
    memset(e->scratch, 0, e->cfg.nb_workers * sizeof(*e->scratch));
    for (int w = 0; w < e->cfg.nb_workers; w++)
        for (int i = 0; i < nb; i++) {
            int16_t **row = i < 2 * FSR_RING ? &e->scratch[w].ring[i / FSR_RING][i % FSR_RING] : &e->scratch[w].row[i - 2 * FSR_RING];

            *row = e->rows + (w * nb + i) * len;
        }
    return 0;
}

/* Nodes -------------------------------------------------------------------- */

static void free_node(FsrEngine *e, FsrNode *n)
{
    if (n->pic_held)
        e->cfg.release(e->cfg.opaque, n->pic.opaque);
    if (n->out)
        e->cfg.discard(e->cfg.opaque, n->out);
    fsr_plane_unref(&n->lr);
    fsr_plane_unref(&n->hr);
    fsr_plane_unref(&n->state);
    fsr_depth_map_unref(&n->depth);
    fsr_motion_free(&n->motion);
    free(n->order);
    free(n->stripe_start);
    free(n);
}

static FsrNode *find(const FsrEngine *e, int epoch, uint32_t number)
{
    for (FsrNode *n = e->head; n; n = n->next)
        if (number && n->number == number && n->epoch == epoch)
            return n;
    return NULL;
}

/* No later picture refers to it: only the output may still be needed. */
static void drop_state(FsrNode *n)
{
    n->kept = 0;
    if (n->done) {
        fsr_plane_unref(&n->hr);
        fsr_plane_unref(&n->lr);
        fsr_plane_unref(&n->state);
        fsr_depth_map_unref(&n->depth);
    }
}

static int holds(const FsrMotion *m, uint32_t number)
{
    for (int i = 0; i < m->hdr.nb_held; i++)
        if (m->held[i] == number)
            return 1;
    return 0;
}

/*
 * Free what no later picture can refer to. When all numbers up to m are done, what m's
 * decoder did not hold after m is out of reach for good. The last one may be shown again.
 */
static void settle(FsrEngine *e, uint32_t number)
{
    const FsrNode *m = find(e, e->epoch, number);

    if (!m || !m->has_motion || m->duplicate)
        return;
    for (FsrNode *n = e->head; n; n = n->next)
        if (n->done && n->kept && n != m && n->next && (n->epoch != m->epoch || (n->number < m->number && !holds(&m->motion, n->number))))
            drop_state(n);
}

static void advance(FsrEngine *e)
{
    while ((e->settled_after & 1) || (e->last_number > e->settled && e->last_number - e->settled > NUMBER_WINDOW)) {
        e->settled++;
        e->settled_after >>= 1;
        settle(e, e->settled);
    }
}

/* A record that claims to hold more than any decoder can must not take all memory. */
static void limit_kept(FsrEngine *e)
{
    FsrNode *oldest = NULL;
    int kept = 0;

    for (FsrNode *n = e->head; n; n = n->next)
        if (n->done && n->kept) {
            kept++;
            if (!oldest || n->epoch < oldest->epoch || (n->epoch == oldest->epoch && n->number < oldest->number))
                oldest = n;
        }
    if (kept > MAX_KEPT)
        drop_state(oldest);
}

static void note_done(FsrEngine *e, const FsrNode *n)
{
    if (n->number && n->epoch == e->epoch && n->number > e->settled && n->number - e->settled <= 64)
        e->settled_after |= UINT64_C(1) << (n->number - e->settled - 1);
    advance(e);
    limit_kept(e);
}

/* Remove nodes that nobody needs: shown, no state kept, a repetition or not to be repeated any more, and
 * their number settled, so that what they hold about the decoder's picture buffer has been used. */
static void prune(FsrEngine *e)
{
    FsrNode **p = &e->head, *last = NULL;

    while (*p) {
        FsrNode *n = *p;

        const int over = n->emitted && !n->kept && n->next && (n->duplicate || !n->next->duplicate);

        if (over)
            drop_state(n);      /* its number may not be settled yet */
        if (over && (!n->number || n->epoch != e->epoch || n->number <= e->settled)) {
            *p = n->next;
            free_node(e, n);
        } else {
            last = n;
            p    = &n->next;
        }
    }
    e->tail = last;
}

/* A picture of a new decoder begins: numbers start again. */
static void new_epoch(FsrEngine *e, uint32_t number)
{
    e->epoch++;
    e->last_number   = 0;
    e->settled       = number - 1;
    e->settled_after = 0;
}

/* References ---------------------------------------------------------------- */

/* Will the picture with this number still come? References that are shown earlier have come. */
static int awaited(const FsrEngine *e, const FsrNode *n, const FsrRef *r)
{
    if (e->flushing || r->poc <= n->motion.hdr.poc)
        return 0;
    for (const FsrNode *m = n->next; m; m = m->next)
        if (m->epoch != n->epoch ||
            (m->has_motion && (m->motion.hdr.poc > r->poc || (m->motion.hdr.flags & FSR_PIC_FIRST))))
            return 0;           /* shown after it, or another sequence */
    return 1;
}

static int is_reference(const FsrNode *n, const FsrRef *r)
{
    return r->number && !(r->flags & (FSR_REF_MISSING | FSR_REF_DIRECTION)) &&
           (n->duplicate || r->number < n->motion.hdr.number);
}

static int is_ready(const FsrEngine *e, const FsrNode *n)
{
    if (!n->has_motion)
        return 1;
    if (fsr_direction_waits(e, n))
        return 0;
    for (int i = 0; i < n->motion.hdr.nb_refs; i++) {
        const FsrRef  *r = &n->motion.refs[i];
        const FsrNode *ref;

        if (!is_reference(n, r))
            continue;
        ref = find(e, n->epoch, r->number);
        if (ref ? !ref->done : awaited(e, n, r))
            return 0;
    }
    return 1;
}

static void resolve(const FsrEngine *e, FsrNode *n)
{
    for (int i = 0; i < n->motion.hdr.nb_refs; i++) {
        FsrNode *ref = is_reference(n, &n->motion.refs[i]) ? find(e, n->epoch, n->motion.refs[i].number) : NULL;

        /* what nothing may refer to has no padding */
        n->ref[i] = ref && ref->done && (ref->hr || ref->depth) && ref->lr && (ref->kept || n->duplicate) ? ref : NULL;
    }
}

/* Working on a picture ------------------------------------------------------ */

static int process(FsrEngine *e, FsrNode *n)
{
    int ret, key;

    if (!e->depth && !(n->hr = fsr_plane_get(&e->hr_pool)))
        return -ENOMEM;
    ret = e->cfg.alloc(e->cfg.opaque, n->pic.opaque, &n->out, &e->out);
    if (ret < 0)
        return ret;
    e->node = n;
    for (int w = 0; w < e->cfg.nb_workers; w++)
        e->scratch[w].macs = 0;

    if (n->has_motion) {
        resolve(e, n);
        fsr_direction_resolve(e, n);
        ret = fsr_motion_analyse(e, n);
        if (ret < 0)
            return ret;
    }
    if (e->depth) {
        ret = fsr_depth_carry(e, n);
        if (ret < 0)
            return ret;
    }
    key = fsr_choose_key(e, n);
    ret = key ? e->task.key(e, n) : e->task.fill(e, n);
    if (ret >= 0 && e->cfg.show == FSR_SHOW_MAP)
        ret = fsr_show_map(e, n, key);
    if (ret < 0)
        return ret;

    n->stats.key = key;
    for (int w = 0; w < e->cfg.nb_workers; w++)
        n->stats.macs += e->scratch[w].macs;
    e->totals.pictures++;
    e->totals.keys           += key;
    e->totals.without_record += !n->stats.has_record;
    e->totals.macs           += n->stats.macs;
    e->totals.transferred    += n->stats.transferred;

    n->done = 1;
    e->cfg.release(e->cfg.opaque, n->pic.opaque);
    n->pic_held = 0;
    free(n->order);
    free(n->stripe_start);
    n->order = n->stripe_start = NULL;
    n->motion.hdr.nb_blocks = 0;
    if (n->number)
        note_done(e, n);
    return 0;
}

/* Work on whatever is ready, lowest number first, so that a tie cannot depend on arrival. */
static int schedule(FsrEngine *e)
{
    for (;;) {
        FsrNode *best = NULL, *oldest = NULL;
        int waiting = 0, ret;

        for (FsrNode *n = e->head; n; n = n->next) {
            waiting += oldest || !n->done;      /* finished ones behind it are held back as well */
            if (n->done)
                continue;
            if (!oldest)
                oldest = n;
            if (is_ready(e, n) && (!best || (n->epoch == best->epoch && n->number < best->number)))
                best = n;
        }
        if (!best && waiting > MAX_WAITING)
            best = oldest;      /* what it waits for does not come in time */
        if (!best)
            return 0;
        ret = process(e, best);
        if (ret < 0)
            return ret;
    }
}

/* Taking pictures in -------------------------------------------------------- */

static void load_stripe(void *arg, int stripe, int worker)
{
    FsrEngine       *e = arg;
    const FsrFormat *f = &e->cfg.format;
    const FsrNode   *n = e->node;
    const int y0 = stripe * FSR_STRIPE, y1 = y0 + FSR_STRIPE < f->height ? y0 + FSR_STRIPE : f->height;

    (void)worker;
    for (int y = y0; y < y1; y++)
        e->kernels.load_row(n->lr->data + y * n->lr->stride, n->pic.planes.data[0] + y * n->pic.planes.stride[0],
                            f->width, f->sample_bytes, n->pic.planes.step[0], f->shift, f->bit_depth);
    fsr_plane_pad_by(n->lr, y0, y1, n->kept ? FSR_PAD : FSR_PAD_UPSCALE);
}

/* The same decoded picture again (a filter repeated it): carried over whole. */
static int make_duplicate(FsrNode *n)
{
    FsrMotion       *m  = &n->motion;
    const FsrRecord  h  = m->hdr;
    const int        bw = (h.coded_w + 63) / 64, bh = (h.coded_h + 63) / 64;
    FsrBlock        *b  = calloc((size_t)bw * bh, sizeof(*b));

    if (!b)
        return -ENOMEM;
    fsr_motion_free(m);
    m->hdr           = h;
    m->hdr.nb_refs   = 1;
    m->hdr.nb_held   = 0;
    m->hdr.nb_blocks = bw * bh;
    m->refs[0]       = (FsrRef){ .number = h.number, .poc = h.poc };
    m->blocks        = b;
    for (int i = 0; i < bw * bh; i++) {
        const int x = i % bw * 16, y = i / bw * 16, cw = (h.coded_w + 3) / 4, ch = (h.coded_h + 3) / 4;

        b[i] = (FsrBlock){ .x = x, .y = y, .w = cw - x < 16 ? cw - x : 16, .h = ch - y < 16 ? ch - y : 16,
                           .mode = FSR_SKIP, .ref = { 0, FSR_NO_REF } };
    }
    n->duplicate = 1;
    return 0;
}

/* Does the record describe this picture as it is now? A filter may have changed its size.
 * Decoders may show more on the left than the stream asks for, to keep rows aligned (FFmpeg does). */
static int fits(const FsrEngine *e, FsrRecord *h)
{
    const int left = h->coded_w - h->crop_right - e->cfg.format.width;

    if (left < 0 || left > h->crop_left)
        return 0;
    h->crop_left = left;
    return h->coded_h - h->crop_top - h->crop_bottom == e->cfg.format.height &&
           h->bit_depth >= 8;
}

/* The picture before it shows the same decoded picture (repeated pictures follow each other). */
static int is_repeated(const FsrEngine *e, const FsrNode *n)
{
    return e->tail && e->tail->has_motion && e->tail->motion.hdr.number == n->motion.hdr.number &&
           find(e, e->epoch, n->motion.hdr.number);
}

/* Another decoder (joined files): its numbers start again, or are far away, or came already. */
static int is_new_decoder(const FsrEngine *e, const FsrNode *n)
{
    const FsrRecord *h = &n->motion.hdr;
    const int64_t    ahead = (int64_t)h->number - e->last_number;

    if (!e->last_number || ahead < -NUMBER_JUMP || ahead > NUMBER_JUMP || find(e, e->epoch, h->number))
        return 1;
    if (!(h->flags & FSR_PIC_FIRST) || ahead > 0)
        return 0;
    for (const FsrNode *m = e->head; m; m = m->next)    /* its own leading pictures come before it */
        for (int i = 0; !m->done && m->epoch == e->epoch && i < m->motion.hdr.nb_refs; i++)
            if (m->motion.refs[i].number == h->number)
                return 0;
    return 1;
}

static int take_record(FsrEngine *e, FsrNode *n, const FsrPicture *pic)
{
    int ret;

    if (!pic->record)
        return 0;
    ret = fsr_motion_load(&n->motion, pic->record, pic->record_size);
    if (ret == -ENOMEM)
        return ret;
    if (ret < 0 || !fits(e, &n->motion.hdr)) {
        e->totals.bad_records++;
        n->motion.hdr.nb_refs = n->motion.hdr.nb_held = 0;
        return 0;
    }
    n->stats.has_record = 1;
    n->stats.number     = n->motion.hdr.number;
    n->stats.type       = n->motion.hdr.type;
    n->has_motion       = 1;
    n->two_way          = fsr_direction_is_two_way(&n->motion);
    if (is_repeated(e, n)) {
        ret = make_duplicate(n);
        if (ret < 0)
            return ret;
    } else {
        if (is_new_decoder(e, n))
            new_epoch(e, n->motion.hdr.number);
        n->epoch  = e->epoch;
        n->number = n->motion.hdr.number;
        n->kept   = !!(n->motion.hdr.flags & FSR_PIC_REFERENCE);
        if (n->number > e->last_number)
            e->last_number = n->number;
    }
    return fsr_motion_index(n);
}

static int push(FsrEngine *e, const FsrPicture *pic)
{
    FsrNode *n = calloc(1, sizeof(*n));
    int ret;

    if (!n) {
        e->cfg.release(e->cfg.opaque, pic->opaque);
        return -ENOMEM;
    }
    n->pic        = *pic;
    n->pic.record = NULL;
    n->pic_held   = 1;
    n->display    = e->pushed++;
    n->epoch      = e->epoch;
    n->stats.type = '?';
    n->lr         = fsr_plane_get(&e->lr_pool);
    ret = n->lr ? take_record(e, n, pic) : -ENOMEM;
    if (ret < 0) {
        free_node(e, n);
        return ret;
    }
    e->node = n;
    fsr_engine_execute(e, load_stripe, (e->cfg.format.height + FSR_STRIPE - 1) / FSR_STRIPE);

    if (e->tail)
        e->tail->next = n;
    else
        e->head = n;
    e->tail = n;
    advance(e);
    return schedule(e);
}

int fsr_engine_push(FsrEngine *e, const FsrPicture *pic)
{
    int ret;

    if (e->failed) {
        e->cfg.release(e->cfg.opaque, pic->opaque);
        return -EINVAL;
    }
    ret = push(e, pic);
    e->failed = ret < 0;
    return ret;
}

int fsr_engine_flush(FsrEngine *e)
{
    int ret;

    if (e->failed)
        return -EINVAL;
    e->flushing = 1;
    ret = schedule(e);
    e->failed = ret < 0;
    return ret;
}

int fsr_engine_pull(FsrEngine *e, FsrResult *result)
{
    FsrNode *n = e->head;

    while (n && n->emitted)
        n = n->next;
    if (!n || !n->done)
        return 0;
    result->out   = n->out;
    result->stats = n->stats;
    n->out        = NULL;
    n->emitted    = 1;
    prune(e);
    return 1;
}

/* Setting up ---------------------------------------------------------------- */

static int check_config(const FsrEngineConfig *c, char *err, size_t err_size)
{
    const FsrFormat *f = &c->format;

    if ((!c->depth && (c->scale < 2 || c->scale > 4)) || f->bit_depth < 8 || f->bit_depth > 14 || (f->planes != 1 && f->planes != 3) ||
        f->sample_bytes != (f->bit_depth > 8 || f->shift ? 2 : 1) || f->shift < 0 || f->shift + f->bit_depth > 16 ||
        (f->log2_chroma_w | f->log2_chroma_h) & ~1 || (unsigned)c->fill > FSR_FILL_COPY || (unsigned)c->show > FSR_SHOW_MAP ||
        c->interval < 1 || !(c->threshold >= 0 && c->threshold <= 255) || c->nb_workers < 1 || !c->alloc || !c->release || !c->discard) {
        snprintf(err, err_size, "invalid engine configuration");
        return -EINVAL;
    }
    if (f->width < 1 || f->height < 1 || f->width > FSR_MAX_SIZE || f->height > FSR_MAX_SIZE ||
        f->width * c->scale > 65535 || f->height * c->scale > 65535) {
        snprintf(err, err_size, "picture size %dx%d is out of range (at most %d in each direction)",
                 f->width, f->height, FSR_MAX_SIZE);
        return -EINVAL;
    }
    return 0;
}

static int plan_network(FsrEngine *e, char *err, size_t err_size)
{
    const FsrFormat *f = &e->cfg.format;
    FsrNetInfo info;
    const char *output;

    if (!e->cfg.net && e->cfg.fill != FSR_FILL_COPY)
        return 0;
    if (!e->cfg.net) {
        snprintf(err, err_size, "fill=copy runs the network wherever it does not copy: it needs one");
        return -EINVAL;
    }
    fsr_nn_info(e->cfg.net, &info);
    output        = fsr_nn_meta(e->cfg.net, "output");
    e->plan_is_hr = info.scale == 1;
    e->plan_adds  = output && !strcmp(output, "detail");
    if (info.in_planes != 1 || info.out_planes != 1 || (!e->plan_is_hr && info.scale != e->cfg.scale)) {
        snprintf(err, err_size, "the network takes %d planes and gives %d at %d times the size; one luma plane in, "
                 "one out at 1 or %d times the size is needed (networks with more are for fill=fuse)", info.in_planes, info.out_planes, info.scale, e->cfg.scale);
        return -EINVAL;
    }
    if (e->cfg.fill == FSR_FILL_COPY && fsr_copy_init(e) < 0) {
        snprintf(err, err_size, "out of memory");
        return -ENOMEM;
    }
    return fsr_nn_plan_as(&e->plan, e->cfg.net, e->plan_is_hr ? e->out_format.width : f->width,
                          e->plan_is_hr ? e->out_format.height : f->height, e->cfg.nb_workers, e->cfg.precision,
                          err, err_size);
}

static int set_up(FsrEngine *e, char *err, size_t err_size)
{
    static const FsrTask *const tasks[] = {
        [FSR_FILL_BICUBIC] = &fsr_task_bicubic, [FSR_FILL_FAST] = &fsr_task_fast, [FSR_FILL_DETAIL] = &fsr_task_detail,
        [FSR_FILL_FUSE] = &fsr_task_fuse, [FSR_FILL_COPY] = &fsr_task_copy,
    };
    const FsrFormat *f = &e->cfg.format;
    int ret;

    if (e->cfg.depth) {
        e->cfg.scale = 1;
        e->cfg.fill  = FSR_FILL_BICUBIC;
        e->cfg.show  = FSR_SHOW_PICTURE;
    }
    e->task = e->cfg.depth ? fsr_task_depth : *tasks[e->cfg.fill];
    e->out_format = *f;
    e->out_format.width  *= e->cfg.scale;
    e->out_format.height *= e->cfg.scale;
    fsr_kernels_init(&e->kernels, fsr_cpu_flags());
    fsr_upscaler_init(&e->anchor, e->cfg.scale, 1, 0);
    if (e->cfg.fill >= FSR_FILL_DETAIL)
        fsr_upscaler_init_sharp(&e->base, e->cfg.scale);
    else
        e->base = e->anchor;
    fsr_upscaler_init(&e->up_chroma_x, e->cfg.scale, 1 << f->log2_chroma_w, f->chroma_cosited_x);
    fsr_upscaler_init(&e->up_chroma_y, e->cfg.scale, 1 << f->log2_chroma_h, f->chroma_cosited_y);
    fsr_plane_pool_init(&e->lr_pool, f->width, f->height, 1);
    fsr_plane_pool_init(&e->hr_pool, e->out_format.width, e->out_format.height, 1);
    fsr_plane_pool_init(&e->state_pool, f->width, f->height, FSR_DEEP);
    e->gop         = 1;
    e->last_anchor = -1;
    for (size_t i = 0; i < sizeof(e->key_display) / sizeof(*e->key_display); i++)
        e->key_display[i] = -1;
    ret = alloc_scratch(e);
    if (ret >= 0 && !(e->pred = fsr_plane_get(&e->lr_pool)))
        ret = -ENOMEM;
    if (ret < 0) {
        snprintf(err, err_size, "out of memory");
        return ret;
    }
    if (e->cfg.depth)
        return fsr_depth_init(e, err, err_size);
    return e->cfg.fill == FSR_FILL_FUSE ? fsr_fuse_init(e, err, err_size) : plan_network(e, err, err_size);
}

int fsr_engine_create(FsrEngine **out, const FsrEngineConfig *config, char *err, size_t err_size)
{
    FsrEngine *e;
    int ret = check_config(config, err, err_size);

    *out = NULL;
    if (ret < 0)
        return ret;
    e = calloc(1, sizeof(*e));
    if (!e) {
        snprintf(err, err_size, "out of memory");
        return -ENOMEM;
    }
    e->cfg = *config;
    ret = set_up(e, err, err_size);
    if (ret < 0)
        fsr_engine_free(&e);
    *out = e;
    return ret;
}

void fsr_engine_free(FsrEngine **pe)
{
    FsrEngine *e = *pe;

    *pe = NULL;
    if (!e)
        return;
    while (e->head) {
        FsrNode *n = e->head;

        e->head = n->next;
        free_node(e, n);
    }
    fsr_plane_unref(&e->pred);
    fsr_fuse_free(e);
    free(e->copy.wanted);
    fsr_depth_free(e);
    fsr_plane_pool_free(&e->lr_pool);
    fsr_plane_pool_free(&e->hr_pool);
    fsr_plane_pool_free(&e->state_pool);
    fsr_nn_plan_free(&e->plan);
    free(e->cells.error);
    free(e->cells.weight);
    free(e->cells.qp);
    free(e->scratch);
    free(e->rows);
    free(e);
}

size_t fsr_engine_bytes(const FsrEngine *e)
{
    return e->lr_pool.bytes + e->hr_pool.bytes + e->state_pool.bytes + (e->plan ? fsr_nn_plan_bytes(e->plan) : 0);
}

void fsr_engine_totals(const FsrEngine *e, FsrTotals *totals)
{
    *totals = e->totals;
}
