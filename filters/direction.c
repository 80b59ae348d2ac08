/*
 * Motion that names no picture: vectors that FFmpeg exports for H.264 and MPEG, or that its filter mestimate
 * finds, say only whether a block comes from the past or from the future. Which picture it was is found by
 * trying those that it can have been, block by block, on the small pictures; what fits none is not carried.
 */
#include <string.h>

#include "task.h"

enum { PAST, FUTURE };
enum { MAX_PAST = 6, MAX_FUTURE = 2 };

static int direction_of(const FsrMotion *m, const FsrRef *r)
{
    return r->poc > m->hdr.poc ? FUTURE : PAST;
}

int fsr_direction_is_two_way(const FsrMotion *m)
{
    for (int i = 0; i < m->hdr.nb_refs; i++)
        if (m->refs[i].flags & FSR_REF_DIRECTION && direction_of(m, &m->refs[i]) == FUTURE)
            return 1;
    return 0;
}

/*
 * Pictures with motion from the future stand in groups (B pictures). Each waits for the picture behind its
 * group, then for the one in the middle of it, which others may have come from (x264's b-pyramid).
 */
int fsr_direction_waits(const FsrEngine *e, const FsrNode *n)
{
    const FsrNode *middle = NULL, *m;
    int size = 0, found = 0;

    if (e->flushing || !n->two_way)
        return 0;
    for (m = e->head; m; m = m->next) {
        if (m->two_way && m->epoch == n->epoch) {
            if (!size++)
                middle = m;
            else if (size & 1)
                middle = middle->next;
            found |= m == n;
        } else if (found) {
            break;
        } else {
            size = 0;
        }
    }
    return !m || !m->done || (n != middle && !middle->done);
}

static int can_be_source(const FsrNode *n, const FsrNode *m)
{
    return m->done && m->kept && m->hr && m->lr && m->has_motion && m->epoch == n->epoch && !m->duplicate;
}

/* The pictures that blocks can have come from become the node's references: the past, nearest first, then the future. */
static void find_sources(const FsrEngine *e, FsrNode *n)
{
    FsrNode *past[MAX_PAST], *m;
    int nb_past = 0, nb;

    for (m = e->head; m != n; m = m->next)
        if (can_be_source(n, m)) {
            memmove(past + 1, past, (MAX_PAST - 1) * sizeof(*past));
            past[0]  = m;
            nb_past += nb_past < MAX_PAST;
        }
    memcpy(n->ref, past, nb_past * sizeof(*past));
    nb = nb_past;
    for (m = n->next; n->two_way && m && nb < nb_past + MAX_FUTURE; m = m->next)
        if (can_be_source(n, m))
            n->ref[nb++] = m;
    n->motion.hdr.nb_refs = nb;
    for (int i = 0; i < nb; i++)
        n->motion.refs[i] = (FsrRef){ .number = n->ref[i]->number, .poc = n->ref[i]->motion.hdr.poc };
}

static unsigned block_sad(FsrEngine *e, const FsrNode *n, const FsrBlock *b, const FsrRect *r, FsrScratch *s)
{
    int16_t *pred = e->pred->data + r->y * e->pred->stride + r->x;

    fsr_predict(e, n, b, s, pred, e->pred->stride, r->x, r->y, r->w, r->h, FSR_FROM_LR);
    return fsr_sad(n->lr->data + r->y * n->lr->stride + r->x, n->lr->stride, pred, e->pred->stride, r->w, r->h);
}

/* Try all references of a direction for one list of a block, alone: the least sum of differences, UINT32_MAX if
 * there is no reference. */
static unsigned find_source(FsrEngine *e, const FsrNode *n, FsrBlock *b, int list, int direction, const FsrRect *r, FsrScratch *s)
{
    FsrBlock one  = *b;
    unsigned best = UINT32_MAX;

    one.ref[!list] = FSR_NO_REF;
    for (int i = 0; i < n->motion.hdr.nb_refs && best; i++) {
        unsigned sad;

        if (direction_of(&n->motion, &n->motion.refs[i]) != direction)
            continue;
        one.ref[list] = i;
        sad = block_sad(e, n, &one, r, s);
        if (sad < best) {
            best         = sad;
            b->ref[list] = i;
        }
    }
    return best;
}

static void drop_list(FsrBlock *b, int list)
{
    b->ref[list] = FSR_NO_REF;
    memset(b->mv[list], 0, sizeof(b->mv[list]));
}

/* Both lists, or the better one where their average fits less well; nothing where that fits badly. */
static void choose_sources(FsrEngine *e, const FsrNode *n, FsrBlock *b, FsrScratch *s)
{
    unsigned sad[2] = { UINT32_MAX, UINT32_MAX }, both = UINT32_MAX;
    FsrRect r;

    if (!fsr_block_rect(n, b, &r))
        return;
    for (int l = 0; l < 2; l++)
        if (b->ref[l] != FSR_NO_REF)
            sad[l] = find_source(e, n, b, l, b->ref[l], &r, s);
    if (sad[0] != UINT32_MAX && sad[1] != UINT32_MAX)
        both = block_sad(e, n, b, &r, s);
    if (both == UINT32_MAX || both > sad[0] || both > sad[1]) {
        both = sad[0] < sad[1] ? sad[0] : sad[1];
        drop_list(b, sad[0] <= sad[1]);
    }
    if (both >= e->cfg.threshold * 64 * r.w * r.h) {
        b->mode = FSR_INTRA;
        drop_list(b, 0);
        drop_list(b, 1);
    }
}

static void choose_stripe(void *arg, int stripe, int worker)
{
    FsrEngine *e = arg;
    FsrNode   *n = e->node;

    for (uint32_t i = n->stripe_start[stripe]; i < n->stripe_start[stripe + 1]; i++) {
        FsrBlock *b = &n->motion.blocks[n->order[i]];

        if (b->mode >= FSR_INTER)
            choose_sources(e, n, b, &e->scratch[worker]);
        else
            b->mode = FSR_INTRA;
    }
}

void fsr_direction_resolve(FsrEngine *e, FsrNode *n)
{
    FsrMotion *m = &n->motion;
    int imported = 0;

    for (int i = 0; i < m->hdr.nb_refs; i++)
        imported |= m->refs[i].flags & FSR_REF_DIRECTION;
    if (!imported)
        return;
    for (uint32_t i = 0; i < m->hdr.nb_blocks; i++) {
        FsrBlock *b = &m->blocks[i];

        b->qp = FSR_DEFAULT_QP;         /* such motion does not tell it */
        for (int l = 0; l < 2; l++)     /* the direction stands for the reference until one is found */
            if (b->ref[l] != FSR_NO_REF)
                b->ref[l] = direction_of(m, &m->refs[b->ref[l]]);
    }
    find_sources(e, n);
    fsr_engine_execute(e, choose_stripe, fsr_motion_stripes(n));
}
