/* Rows of the large picture: upscaling on the fly, and storing. */
#include <limits.h>

#include "task.h"

void fsr_cursor_init(FsrRowCursor *c, const FsrKernels *k, const FsrPlane *src, const FsrUpscaler *up,
                     int16_t *const *ring, int x, int w)
{
    *c = (FsrRowCursor){ .k = k, .src = src, .up = up, .x = x, .w = w };
    for (int i = 0; i < FSR_RING; i++) {
        c->ring[i] = ring[i];
        c->have[i] = INT_MIN;
    }
}

int fsr_cursor_rows(FsrRowCursor *c, int y, const int16_t **in)
{
    const int s = c->up->scale, phase = y % s, first = y / s + c->up->first[phase];

    for (int t = 0; t < c->up->taps; t++) {
        const int row = first + t, slot = row & (FSR_RING - 1);

        if (c->have[slot] != row) {
            /* x is a multiple of the scale, so phases start at 0 */
            c->k->upscale_row(c->ring[slot], c->src->data + row * c->src->stride + c->x / s, c->w, c->up);
            c->have[slot] = row;
            for (int x = 0; x < c->w / s; x += 32)      /* the next row, a cache line each */
                __builtin_prefetch(c->src->data + (row + 1) * c->src->stride + c->x / s + x);
        }
        in[t] = c->ring[slot];
    }
    return phase;
}

void fsr_cursor_row(FsrRowCursor *c, int y, int16_t *dst)
{
    const int16_t *in[FSR_TAPS];
    const int      phase = fsr_cursor_rows(c, y, in);

    c->k->upscale_column(dst, in, c->up, phase, c->w);
}

void fsr_store_luma(const FsrEngine *e, int x, int y, int w, const int16_t *row)
{
    const FsrFormat *f = &e->out_format;

    e->kernels.store_row(e->out.data[0] + y * e->out.stride[0] + (ptrdiff_t)x * f->sample_bytes * e->out.step[0],
                         row, w, f->sample_bytes, e->out.step[0], f->shift, f->bit_depth);
}

static int ceil_shift(int v, int s)
{
    return (v + (1 << s) - 1) >> s;
}

/* One chroma plane: like the cursor, but from the caller's samples, row by row. */
static void chroma_plane(const FsrEngine *e, FsrScratch *s, int plane, int y0, int y1)
{
    const FsrFormat *f   = &e->cfg.format;
    const FsrPlanes *src = &e->node->pic.planes;
    const int cw = ceil_shift(f->width, f->log2_chroma_w), ch = ceil_shift(f->height, f->log2_chroma_h);
    const int ow = ceil_shift(e->out_format.width, f->log2_chroma_w), oh = ceil_shift(e->out_format.height, f->log2_chroma_h);
    const FsrUpscaler *uy = &e->up_chroma_y;
    int16_t *in = s->row[0] + 32, *out = s->row[1];
    int have[4] = { INT_MIN, INT_MIN, INT_MIN, INT_MIN };     /* chroma is cubic */
    /* stripes start at any LR row: give each chroma row to the stripe that has its first luma row */
    const int j0 = ceil_shift(y0 * uy->scale, f->log2_chroma_h);
    const int j1 = y1 == f->height ? oh : ceil_shift(y1 * uy->scale, f->log2_chroma_h);

    for (int j = j0; j < j1; j++) {
        const int k = j % uy->scale, first = j / uy->scale + uy->first[k];
        const int16_t *rows[4];

        for (int t = 0; t < 4; t++) {
            const int row = first + t, slot = row & 3;

            if (have[slot] != row) {
                const int r = row < 0 ? 0 : row >= ch ? ch - 1 : row;

                e->kernels.load_row(in, src->data[plane] + r * src->stride[plane], cw, f->sample_bytes,
                                    src->step[plane], f->shift, f->bit_depth);
                for (int i = 1; i <= 4; i++) {
                    in[-i]         = in[0];
                    in[cw - 1 + i] = in[cw - 1];
                }
                e->kernels.upscale_row(s->ring[0][slot], in, ow, &e->up_chroma_x);
                have[slot] = row;
            }
            rows[t] = s->ring[0][slot];
        }
        e->kernels.upscale_column(out, rows, uy, k, ow);
        e->kernels.store_row(e->out.data[plane] + j * e->out.stride[plane], out, ow, f->sample_bytes,
                             e->out.step[plane], f->shift, f->bit_depth);
    }
}

void fsr_output_chroma(const FsrEngine *e, FsrScratch *s, int y0, int y1)
{
    for (int p = 1; p < e->cfg.format.planes; p++)
        chroma_plane(e, s, p, y0, y1);
}

void fsr_stripe_rows(const FsrEngine *e, const FsrNode *n, int stripe, int *y0, int *y1)
{
    const int top = n->has_motion ? n->motion.hdr.crop_top : 0, h = e->cfg.format.height;
    const int a = stripe * FSR_STRIPE - top, b = a + FSR_STRIPE;

    *y0 = a < 0 ? 0 : a > h ? h : a;
    *y1 = b < 0 ? 0 : b > h ? h : b;
}

int fsr_nb_stripes(const FsrEngine *e, const FsrNode *n)
{
    return n->has_motion ? fsr_motion_stripes(n) : (e->cfg.format.height + FSR_STRIPE - 1) / FSR_STRIPE;
}
