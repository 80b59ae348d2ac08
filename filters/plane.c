#include <stdlib.h>
#include <string.h>

#include "plane.h"

void fsr_plane_pool_init(FsrPlanePool *pool, int w, int h)
{
    *pool = (FsrPlanePool){ .w = w, .h = h };
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
        const ptrdiff_t left   = (FSR_PAD + 31) & ~31;
        const ptrdiff_t tight  = (left + pool->w + FSR_PAD + 31) & ~31;
        const ptrdiff_t stride = tight % 256 ? tight : tight + 32;
        const size_t    size   = stride * (pool->h + 2 * FSR_PAD) * sizeof(*p->data);

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
        p->stride = stride;
        p->data   = (int16_t *)p->mem + FSR_PAD * stride + left;
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

void fsr_plane_pad_by(FsrPlane *p, int y0, int y1, int pad)
{
    const size_t row = (p->w + 2 * pad) * sizeof(*p->data);

    for (int y = y0; y < y1; y++) {
        int16_t *d = p->data + y * p->stride;

        for (int i = 1; i <= pad; i++) {
            d[-i]           = d[0];
            d[p->w - 1 + i] = d[p->w - 1];
        }
    }
    if (y0 == 0)
        for (int i = 1; i <= pad; i++)
            memcpy(p->data - i * p->stride - pad, p->data - pad, row);
    if (y1 == p->h) {
        const int16_t *last = p->data + (p->h - 1) * p->stride - pad;

        for (int i = 1; i <= pad; i++)
            memcpy(p->data + (p->h - 1 + i) * p->stride - pad, last, row);
    }
}

void fsr_plane_pad(FsrPlane *p, int y0, int y1)
{
    fsr_plane_pad_by(p, y0, y1, FSR_PAD);
}
