/* Ray casting of the scene: spans of primitives by row, four samples a pixel, truth from the pixel's centre. */
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "samples/scene.h"

#define SAMPLES 4
#define NEAR 0.05

/** A primitive as one camera sees it: for quads the rows of the inverse of (origin u v), so that
 *  for the ray d: 1/z = m0 d, s/z = m1 d, t/z = m2 d. */
typedef struct Seen {
    FsrVec m0, m1, m2;
    FsrVec centre;
    double cc;                   /**< centre^2 - radius^2 */
    double x0, x1, y0, y1;       /**< bounds in pixels */
} Seen;

typedef struct Camera {
    const FsrWorld *world;
    double half_w, half_h, focal; /**< pixels */
    Seen seen[FSR_SCENE_MAX_PRIMS];
} Camera;

typedef struct Hit {
    int prim;      /**< -1: nothing */
    double iz, s, t;
    FsrVec local;  /**< sphere: unit vector in the texture's axes */
} Hit;

typedef struct Render {
    const FsrPicture *pic;
    const FsrTexture *tex;
    Camera now, before;
    int have_before;
} Render;

typedef struct RowJob {
    const Render *r;
    int first, stride;
} RowJob;

/** Rotated grid: no two samples share a row or a column. */
static const double sample_at[SAMPLES][2] = { { -0.125, -0.375 }, { 0.375, -0.125 }, { -0.375, 0.125 }, { 0.125, 0.375 } };

/** floor for values that fit an int; the library's is a call on machines without SSE 4.1. */
static int floor_int(double x)
{
    int i = (int)x;

    return i - (i > x);
}

static FsrVec add(FsrVec a, FsrVec b)
{
    return (FsrVec){ a.x + b.x, a.y + b.y, a.z + b.z };
}

static FsrVec sub(FsrVec a, FsrVec b)
{
    return (FsrVec){ a.x - b.x, a.y - b.y, a.z - b.z };
}

static FsrVec mul(FsrVec a, double k)
{
    return (FsrVec){ a.x * k, a.y * k, a.z * k };
}

static double dot(FsrVec a, FsrVec b)
{
    return a.x * b.x + a.y * b.y + a.z * b.z;
}

static FsrVec cross(FsrVec a, FsrVec b)
{
    return (FsrVec){ a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x };
}

/** World direction to camera axes: x right, y down, z ahead. */
static FsrVec to_camera(const FsrWorld *w, FsrVec d)
{
    return (FsrVec){ dot(d, w->right), -dot(d, w->up), dot(d, w->ahead) };
}

static FsrVec from_camera(const FsrWorld *w, FsrVec d)
{
    return add(add(mul(w->right, d.x), mul(w->up, -d.y)), mul(w->ahead, d.z));
}

static void widen(Seen *s, double x, double y)
{
    s->x0 = x < s->x0 ? x : s->x0;
    s->x1 = x > s->x1 ? x : s->x1;
    s->y0 = y < s->y0 ? y : s->y0;
    s->y1 = y > s->y1 ? y : s->y1;
}

/** Bounds of the corners; a primitive that comes near the eye may be anywhere. */
static void bound(const Camera *c, Seen *s, const FsrVec *corner, int n)
{
    s->x0 = s->y0 = 1e9;
    s->x1 = s->y1 = -1e9;
    for (int i = 0; i < n; i++) {
        if (corner[i].z < NEAR) {
            s->x0 = s->y0 = -1e9;
            s->x1 = s->y1 = 1e9;
            return;
        }
        widen(s, c->half_w + c->focal * corner[i].x / corner[i].z - 1, c->half_h + c->focal * corner[i].y / corner[i].z - 1);
        widen(s, c->half_w + c->focal * corner[i].x / corner[i].z + 1, c->half_h + c->focal * corner[i].y / corner[i].z + 1);
    }
}

static void see(Camera *c, int i)
{
    const FsrPrim *p = &c->world->prim[i];
    Seen *s = &c->seen[i];
    FsrVec o = to_camera(c->world, sub(p->origin, c->world->eye)), corner[8];
    FsrVec u = to_camera(c->world, p->u), v = to_camera(c->world, p->v);

    if (p->sphere) {
        s->centre = o;
        s->cc = dot(o, o) - p->radius * p->radius;
        for (int k = 0; k < 8; k++)
            corner[k] = (FsrVec){ o.x + (k & 1 ? 1 : -1) * p->radius, o.y + (k & 2 ? 1 : -1) * p->radius,
                                  o.z + (k & 4 ? 1 : -1) * p->radius };
        bound(c, s, corner, 8);
        return;
    }
    double det = dot(o, cross(u, v)), k = det < 1e-12 && det > -1e-12 ? 0 : 1 / det;
    s->m0 = mul(cross(u, v), k);
    s->m1 = mul(cross(v, o), k);
    s->m2 = mul(cross(o, u), k);
    corner[0] = o;
    corner[1] = add(o, u);
    corner[2] = add(o, v);
    corner[3] = add(corner[1], v);
    bound(c, s, corner, 4);
}

static void set_camera(Camera *c, const FsrWorld *w, int width, int height)
{
    c->world = w;
    c->half_w = width * 0.5;
    c->half_h = height * 0.5;
    c->focal = width * 0.5 * w->zoom;
    for (int i = 0; i < w->prims; i++)
        see(c, i);
}

static void sphere_axes(const FsrPrim *p, FsrVec axes[3])
{
    axes[0] = p->u;
    axes[1] = p->v;
    axes[2] = cross(p->u, p->v);
}

static int hit_sphere(const Camera *c, int i, FsrVec d, Hit *h)
{
    const Seen *s = &c->seen[i];
    const FsrPrim *p = &c->world->prim[i];
    double a = dot(d, d), b = dot(d, s->centre), disc = b * b - a * s->cc, z;
    FsrVec axes[3], n;

    if (disc <= 0 || b <= 0)
        return 0;
    z = (b - sqrt(disc)) / a;
    if (z < NEAR || 1 / z <= h->iz)
        return 0;
    n = mul(from_camera(c->world, sub(mul(d, z), s->centre)), 1 / p->radius);
    sphere_axes(p, axes);
    *h = (Hit){ i, 1 / z, 0, 0, { dot(n, axes[0]), dot(n, axes[1]), dot(n, axes[2]) } };
    return 1;
}

/** Octahedral unfolding, the inverse of the one that baked the sphere textures. */
static void unfold(FsrVec n, double *s, double *t)
{
    double ax = n.x < 0 ? -n.x : n.x, ay = n.y < 0 ? -n.y : n.y, az = n.z < 0 ? -n.z : n.z, k = 1 / (ax + ay + az);
    double a = n.x * k, b = n.y * k;

    if (n.z < 0) {
        a = (1 - ay * k) * (n.x < 0 ? -1 : 1);
        b = (1 - ax * k) * (n.y < 0 ? -1 : 1);
    }
    *s = a * 0.5 + 0.5;
    *t = b * 0.5 + 0.5;
}

/** log2, linear between powers of two: near enough for choosing a level, and the same everywhere. */
static double log2_about(double x)
{
    uint64_t bits;

    memcpy(&bits, &x, sizeof(bits));
    return (double)(bits >> 52 & 2047) - 1023 + (double)(bits & 0xFFFFFFFFFFFFFull) / 4503599627370496.;
}

static void fetch(const FsrTexture *t, int level, double s, double v, int clamped, double out[4])
{
    level = level < 0 ? 0 : level >= t->levels ? t->levels - 1 : level;
    int size = 1 << (t->levels - 1 - level), mask = size - 1;
    double x = (s - floor_int(s)) * size - 0.5, y = (v - floor_int(v)) * size - 0.5, fx, fy;
    int ix = floor_int(x), iy = floor_int(y);
    int x0 = ix & mask, y0 = iy & mask, x1 = (ix + 1) & mask, y1 = (iy + 1) & mask;

    if (clamped) {
        x0 = ix < 0 ? 0 : x0;
        y0 = iy < 0 ? 0 : y0;
        x1 = ix + 1 > mask ? mask : x1;
        y1 = iy + 1 > mask ? mask : y1;
    }
    const uint8_t *a = t->level[level] + 4 * ((size_t)y0 * size + x0), *b = t->level[level] + 4 * ((size_t)y0 * size + x1);
    const uint8_t *c = t->level[level] + 4 * ((size_t)y1 * size + x0), *d = t->level[level] + 4 * ((size_t)y1 * size + x1);
    fx = x - ix;
    fy = y - iy;
    for (int i = 0; i < 4; i++) {
        double top = a[i] + (b[i] - a[i]) * fx, low = c[i] + (d[i] - c[i]) * fx;
        out[i] = top + (low - top) * fy;
    }
}

/** Level whose samples are as far apart as pixels; along the longer axis of an oblique footprint at
 *  most a quarter of it is averaged by the level, the rest by the samples of the pixel. */
static double quad_level(const Camera *c, const Seen *q, const FsrPrim *p, const FsrTexture *t, const Hit *h)
{
    double k = (1 << (t->levels - 1)) / (c->focal * h->iz);
    double sx = (q->m1.x - h->s * q->m0.x) * k * p->repeat_s, tx = (q->m2.x - h->t * q->m0.x) * k * p->repeat_t;
    double sy = (q->m1.y - h->s * q->m0.y) * k * p->repeat_s, ty = (q->m2.y - h->t * q->m0.y) * k * p->repeat_t;
    double a = sx * sx + tx * tx, b = sy * sy + ty * ty, small = a < b ? a : b, large = a < b ? b : a;

    if (small < large / 16)
        small = large / 16;
    return 0.5 * log2_about(small > 1e-9 ? small : 1e-9) - 0.6;
}

static void texture_quad(const Render *r, const Camera *c, const Hit *h, int sample, double out[4])
{
    const FsrPrim *p = &c->world->prim[h->prim];
    const FsrTexture *t = &r->tex[p->tex];
    double level = quad_level(c, &c->seen[h->prim], p, t, h), dither = sample < 0 ? 0.5 : (sample + 0.5) / SAMPLES;

    fetch(t, floor_int(level + dither), h->s * p->repeat_s + p->shift_s, h->t * p->repeat_t, p->cutout, out);
}

static int hit_quad(const Render *r, const Camera *c, int i, FsrVec d, int sample, Hit *h, double colour[4])
{
    const Seen *q = &c->seen[i];
    double iz = dot(q->m0, d), s, t;
    Hit found;

    if (iz <= h->iz || iz > 1 / NEAR)
        return 0;
    s = dot(q->m1, d);
    t = dot(q->m2, d);
    if (s < 0 || s > iz || t < 0 || t > iz)
        return 0;
    found = (Hit){ i, iz, s / iz, t / iz, { 0, 0, 0 } };
    if (c->world->prim[i].cutout) {
        texture_quad(r, c, &found, sample, colour);
        if (colour[3] < 128)
            return 0;
    }
    *h = found;
    return 1;
}

/** Nearest primitive among `list` along the ray of a pixel position. */
static Hit cast(const Render *r, const Camera *c, const int *list, int n, double x, double y, int sample, double colour[4])
{
    FsrVec d = { (x - c->half_w) / c->focal, (y - c->half_h) / c->focal, 1 };
    Hit h = { -1, 1e-6, 0, 0, { 0, 0, 0 } };
    double found[4];

    for (int k = 0; k < n; k++) {
        int i = list[k];
        if (c->world->prim[i].sphere)
            hit_sphere(c, i, d, &h);
        else if (hit_quad(r, c, i, d, sample, &h, found) && c->world->prim[i].cutout)
            memcpy(colour, found, sizeof(found));
    }
    return h;
}

/** Which primitives may cover a row, and which of these a pixel. */
static int row_list(const Camera *c, double y, int *list)
{
    int n = 0;

    for (int i = 0; i < c->world->prims; i++)
        if (y + 1 >= c->seen[i].y0 && y - 1 <= c->seen[i].y1)
            list[n++] = i;
    return n;
}

static int pixel_list(const Camera *c, double x, const int *row, int rows, int *list)
{
    int n = 0;

    for (int k = 0; k < rows; k++)
        if (x >= c->seen[row[k]].x0 && x <= c->seen[row[k]].x1)
            list[n++] = row[k];
    return n;
}

/** Where the point of a hit is in world space, in another world (the same primitive elsewhere). */
static FsrVec place(const FsrWorld *w, const Hit *h)
{
    const FsrPrim *p = &w->prim[h->prim];
    FsrVec axes[3];

    if (!p->sphere)
        return add(p->origin, add(mul(p->u, h->s), mul(p->v, h->t)));
    sphere_axes(p, axes);
    return add(p->origin, mul(add(add(mul(axes[0], h->local.x), mul(axes[1], h->local.y)), mul(axes[2], h->local.z)), p->radius));
}

static double shadow(const FsrWorld *w, FsrVec at)
{
    double light = 1;

    for (int i = 0; i < w->shadows; i++) {
        const FsrShadow *s = &w->shadow[i];
        double dx = (at.x - s->x) / s->rx, dz = (at.z - s->z) / s->rz, d = 1 - dx * dx - dz * dz;
        if (d > 0)
            light *= 1 - s->strength * d * d * (3 - 2 * d);
    }
    return light;
}

/** Colour of a hit: texture, large-scale variation, light, haze. `colour` holds a cutout's texture already. */
static void shade(const Render *r, const Camera *c, const Hit *h, int sample, double colour[4])
{
    static const double haze[3] = { 196, 210, 226 };
    const FsrWorld *w = c->world;
    const FsrPrim *p = &w->prim[h->prim];
    double k = p->shade, v[4];

    if (p->sphere) {
        const FsrTexture *t = &r->tex[p->tex];
        FsrVec n = sub(place(w, h), p->origin);
        double s, u, texels = 0.5 * (1 << (t->levels - 1)) / (c->focal * h->iz * p->radius);
        unfold(h->local, &s, &u);
        fetch(t, floor_int(log2_about(texels) + (sample + 0.5) / SAMPLES), s, u, 1, colour);
        double lit = (0.5 * n.x + 0.75 * n.y - 0.45 * n.z) / p->radius;
        k *= 0.5 + 0.6 * (lit > 0 ? lit : 0.25 * lit);
    } else if (!p->cutout) {
        texture_quad(r, c, h, sample, colour);
    }
    if (p->grime > 0) {
        fetch(&r->tex[FSR_TEX_NOISE], 1, h->s * p->repeat_s * 0.23 + 0.37, h->t * p->repeat_t * 0.19, 0, v);
        k *= 1 + p->grime * (v[0] - 128) / 128;
    }
    if (p->sunny)
        k *= shadow(w, place(w, h));
    double far = p->haze * 0.01 / h->iz;
    far = far > 0.85 ? 0.85 : far;
    for (int i = 0; i < 3; i++)
        colour[i] = (colour[i] * k * (1 - far) + haze[i] * far) * w->light;
}

/** Motion of the point under (x, y), when it could be seen one frame before. */
static void motion(const Render *r, const Hit *h, double x, double y, int16_t out[2])
{
    const Camera *b = &r->before;
    FsrVec p = to_camera(b->world, sub(place(b->world, h), b->world->eye));
    int row[FSR_SCENE_MAX_PRIMS], list[FSR_SCENE_MAX_PRIMS], n;
    double px, py, colour[4], dx, dy;
    Hit seen;

    out[0] = out[1] = FSR_MOTION_NONE;
    if (p.z < NEAR)
        return;
    px = b->half_w + b->focal * p.x / p.z;
    py = b->half_h + b->focal * p.y / p.z;
    if (px < 0 || py < 0 || px >= r->pic->width || py >= r->pic->height)
        return;
    n = row_list(b, py, row);
    n = pixel_list(b, px, row, n, list);
    seen = cast(r, b, list, n, px, py, -1, colour);
    if (seen.prim != h->prim && seen.iz * p.z > 1.0005)
        return;
    dx = floor((px - x) * 16 + 0.5);
    dy = floor((py - y) * 16 + 0.5);
    if (dx > 32000 || dx < -32000 || dy > 32000 || dy < -32000)
        return;
    out[0] = (int16_t)dx;
    out[1] = (int16_t)dy;
}

static void truth(const Render *r, const int *list, int n, int x, int y)
{
    const FsrPicture *pic = r->pic;
    size_t at = (size_t)y * pic->width + x;
    double colour[4], mm;
    Hit h = cast(r, &r->now, list, n, x + 0.5, y + 0.5, -1, colour);

    if (pic->depth) {
        mm = h.prim < 0 ? 65535 : 1000 / h.iz + 0.5;
        pic->depth[at] = (uint16_t)(mm > 65535 ? 65535 : mm);
    }
    if (!pic->motion)
        return;
    pic->motion[2 * at] = pic->motion[2 * at + 1] = FSR_MOTION_NONE;
    if (r->have_before && h.prim >= 0)
        motion(r, &h, x + 0.5, y + 0.5, pic->motion + 2 * at);
}

static void *render_rows(void *arg)
{
    const RowJob *j = arg;
    const Render *r = j->r;
    const FsrPicture *pic = r->pic;
    int row[FSR_SCENE_MAX_PRIMS], list[FSR_SCENE_MAX_PRIMS];

    for (int y = j->first; y < pic->height; y += j->stride) {
        int rows = row_list(&r->now, y + 0.5, row);
        for (int x = 0; x < pic->width; x++) {
            double sum[3] = { 0, 0, 0 };
            int n = pixel_list(&r->now, x + 0.5, row, rows, list);
            for (int k = 0; k < SAMPLES && pic->rgb; k++) {
                double colour[4] = { 0, 0, 0, 0 };
                Hit h = cast(r, &r->now, list, n, x + 0.5 + sample_at[k][0], y + 0.5 + sample_at[k][1], k, colour);
                if (h.prim >= 0)
                    shade(r, &r->now, &h, k, colour);
                for (int i = 0; i < 3; i++)
                    sum[i] += colour[i];
            }
            for (int i = 0; i < 3 && pic->rgb; i++)
                pic->rgb[3 * ((size_t)y * pic->width + x) + i] = (float)(sum[i] / SAMPLES);
            if (pic->depth || pic->motion)
                truth(r, list, n, x, y);
        }
    }
    return NULL;
}

int fsr_scene_render(const FsrPicture *pic, const FsrWorld *now, const FsrWorld *before, const FsrTexture *textures,
                     int threads)
{
    Render *r = malloc(sizeof(*r));
    pthread_t id[16];
    RowJob job[16];
    int started[16] = { 0 };

    if (!r)
        return -ENOMEM;
    r->pic = pic;
    r->tex = textures;
    r->have_before = before != NULL;
    set_camera(&r->now, now, pic->width, pic->height);
    if (before)
        set_camera(&r->before, before, pic->width, pic->height);
    threads = threads < 1 ? 1 : threads > 16 ? 16 : threads;
    for (int i = 1; i < threads; i++) {
        job[i] = (RowJob){ r, i, threads };
        started[i] = !pthread_create(&id[i], NULL, render_rows, &job[i]);
        if (!started[i])
            render_rows(&job[i]);
    }
    job[0] = (RowJob){ r, 0, threads };
    render_rows(&job[0]);
    for (int i = 1; i < threads; i++)
        if (started[i])
            pthread_join(id[i], NULL);
    free(r);
    return 0;
}

/** Roughly Gaussian with deviation 1: the sum of the four bytes of a hash. */
static double sensor(uint32_t x, uint32_t y, uint32_t frame)
{
    uint32_t h = fsr_hash(x, y, frame + 0x5EED);

    return ((double)((h & 255) + (h >> 8 & 255) + (h >> 16 & 255) + (h >> 24)) - 510) / 147.8;
}

static uint16_t quantise(double v, int bits)
{
    int scaled = floor_int(v * (bits > 8 ? 4 : 1) + 0.5), max = (1 << bits) - 1;

    return (uint16_t)(scaled < 0 ? 0 : scaled > max ? max : scaled);
}

void fsr_scene_to_yuv(const FsrPicture *pic, int bits, double noise, uint32_t frame, uint16_t *const planes[3])
{
    int w = pic->width, h = pic->height, cw = (w + 1) / 2;

    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            const float *p = pic->rgb + 3 * ((size_t)y * w + x);
            double luma = 16 + (0.2126 * p[0] + 0.7152 * p[1] + 0.0722 * p[2]) * (219 / 255.);
            planes[0][(size_t)y * w + x] = quantise(noise > 0 ? luma + noise * sensor(x, y, frame) : luma, bits);
        }
    for (int y = 0; y < (h + 1) / 2; y++)
        for (int x = 0; x < cw; x++) {
            /* on the left luma column, between two rows: 1 2 1 across, 1 1 down */
            double c[3] = { 0, 0, 0 };
            for (int k = 0; k < 6; k++) {
                int px = 2 * x + k % 3 - 1, py = 2 * y + k / 3;
                px = px < 0 ? 0 : px >= w ? w - 1 : px;
                py = py >= h ? h - 1 : py;
                for (int i = 0; i < 3; i++)
                    c[i] += pic->rgb[3 * ((size_t)py * w + px) + i] * (k % 3 == 1 ? 0.25 : 0.125);
            }
            double luma = 0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2];
            planes[1][(size_t)y * cw + x] = quantise(128 + (c[2] - luma) * (224 / (255 * 1.8556)), bits);
            planes[2][(size_t)y * cw + x] = quantise(128 + (c[0] - luma) * (224 / (255 * 1.5748)), bits);
        }
}
