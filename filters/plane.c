#include <stdlib.h>
#include <string.h>

#include "plane.h"

void fsr_plane_pool_init(FsrPlanePool *pool, int w, int h, int deep)
{
    *pool = (FsrPlanePool){ .w = w, .h = h, .deep = deep };
}

void fsr_plane_pool_free(FsrPlanePool *pool)
{
    while (pool->idle) {
        FsrPlane *p = pool->idle;

        pool->idle = p->next;
        free(p->mem);
        free(p);
    }
}

FsrPlane *fsr_plane_get(FsrPlanePool *pool)
{
    FsrPlane *p = pool->idle;

    if (p) {
        pool->idle = p->next;
    } else {
        /* Rows begin on 64 bytes; 8 rows below each other do not share the same place of the cache. */
        const int       pad    = pool->deep == 1 ? FSR_PAD : FSR_PAD_DEEP;
        const ptrdiff_t left   = (pad * pool->deep + 31) & ~31;
        const ptrdiff_t tight  = (left + (pool->w + pad) * pool->deep + 31) & ~31;
        const ptrdiff_t stride = tight % 256 ? tight : tight + 32;
        const size_t    size   = stride * (pool->h + 2 * pad) * sizeof(*p->data);

        p = calloc(1, sizeof(*p));
        if (!p)
            return NULL;
        p->mem = aligned_alloc(64, size);
        if (!p->mem) {
            free(p);
            return NULL;
        }
        p->w      = pool->w;
        p->h      = pool->h;
        p->deep   = pool->deep;
        p->pad    = pad;
        p->stride = stride;
        p->data   = (int16_t *)p->mem + pad * stride + left;
        p->pool   = pool;
        pool->bytes += size;
    }
    p->refs = 1;
    p->next = NULL;
    return p;
}

void fsr_plane_unref(FsrPlane **p)
{
    FsrPlane *old = *p;

    *p = NULL;
    if (old && !--old->refs) {
        old->next       = old->pool->idle;
        old->pool->idle = old;
    }
}

static void pad_row(int16_t *d, int w, int pad)
{
    for (int i = 1; i <= pad; i++) {
        d[-i]        = d[0];
        d[w - 1 + i] = d[w - 1];
    }
}

static void pad_deep_row(int16_t *first, int w, int pad)
{
    int16_t *last = first + (w - 1) * FSR_DEEP;

    for (int i = 1; i <= pad; i++) {
        memcpy(first - i * FSR_DEEP, first, FSR_DEEP * sizeof(*first));
        memcpy(last + i * FSR_DEEP, last, FSR_DEEP * sizeof(*last));
    }
}

void fsr_plane_pad_by(FsrPlane *p, int y0, int y1, int pad)
{
    const size_t   row = (p->w + 2 * pad) * p->deep * sizeof(*p->data);
    const int16_t *top = p->data - pad * p->deep, *bottom = top + (p->h - 1) * p->stride;

    for (int y = y0; y < y1; y++)
        (p->deep == 1 ? pad_row : pad_deep_row)(p->data + y * p->stride, p->w, pad);
    for (int i = 1; y0 == 0 && i <= pad; i++)
        memcpy(p->data - i * p->stride - pad * p->deep, top, row);
    for (int i = 1; y1 == p->h && i <= pad; i++)
        memcpy(p->data + (p->h - 1 + i) * p->stride - pad * p->deep, bottom, row);
}

void fsr_plane_pad(FsrPlane *p, int y0, int y1)
{
    fsr_plane_pad_by(p, y0, y1, p->pad);
}
