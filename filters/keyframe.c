/*
 * Which pictures are key frames. Decided online, picture by picture in processing order,
 * from the motion record alone, so that a file cut at an IRAP picture makes the same choice:
 * nothing before an IRAP picture counts after it, and leading pictures that refer back
 * (RASL), which are lost by such a cut, change nothing for the others.
 */
#include <string.h>

#include "task.h"

/* A picture with more intra than this is a scene cut: little can be carried. */
#define SCENE_CUT_INTRA 0.6

static int has_reference(const FsrNode *n)
{
    for (int i = 0; i < n->motion.hdr.nb_refs; i++)
        if (n->ref[i])
            return 1;
    return 0;
}

/* Shown before all that it refers to: a B picture inside a group, or a leading picture. */
static int refers_forward(const FsrNode *n)
{
    for (int i = 0; i < n->motion.hdr.nb_refs; i++)
        if (n->motion.refs[i].poc > n->motion.hdr.poc)
            return 1;
    return 0;
}

static void note_key(FsrEngine *e, int64_t display)
{
    memmove(e->key_display + 1, e->key_display, sizeof(e->key_display) - sizeof(e->key_display[0]));
    e->key_display[0] = display;
}

/* Distance rule: between two neighbouring key frames lie less than interval pictures. Key
 * frames are put on pictures that others are predicted from, one group ahead of time. */
static int too_far(const FsrEngine *e, const FsrNode *n, int anchor)
{
    int64_t before = -1, after = -1;

    for (size_t i = 0; i < sizeof(e->key_display) / sizeof(*e->key_display); i++) {
        const int64_t k = e->key_display[i];

        if (k >= 0 && k < n->display && k > before)
            before = k;
        if (k > n->display && (after < 0 || k < after))
            after = k;
    }
    if (before < 0)
        return after < 0;
    if (after >= 0)
        return after - before > e->cfg.interval;
    if (anchor)
        return n->display - before + e->gop > e->cfg.interval;
    return n->display - before >= e->cfg.interval;
}

int fsr_choose_key(FsrEngine *e, FsrNode *n)
{
    const int kind = n->motion.hdr.kind;
    int key, anchor;

    if (!n->has_motion)
        key = anchor = 1;
    else {
        const int irap = kind >= FSR_KIND_BLA;

        anchor = irap || (kind != FSR_KIND_RASL && kind != FSR_KIND_RADL && !refers_forward(n));
        if (irap) {
            e->gop         = 1;
            e->last_anchor = -1;
        } else if (anchor && e->last_anchor >= 0 && n->display - e->last_anchor > e->gop) {
            e->gop = (int)(n->display - e->last_anchor);
        }
        key = irap || n->motion.hdr.type == 'I' || !has_reference(n) || n->stats.intra > SCENE_CUT_INTRA ||
              (e->depth && fsr_depth_lost(e));
        /* some run a network on every picture: they need no others, and the recurrent one loses by starting anew */
        if (e->depth || e->cfg.fill < FSR_FILL_FUSE)
            key |= e->cfg.interval <= 1 || too_far(e, n, anchor);
        /* shown again; two files of one picture each that were joined look alike but for the samples */
        if (n->duplicate && has_reference(n) && n->stats.mismatch <= e->cfg.threshold / 4)
            key = 0;
    }
    if (anchor && !n->duplicate)
        e->last_anchor = n->display;
    if (key)
        note_key(e, n->display);
    return key;
}
