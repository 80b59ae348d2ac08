/* The textures of the scene: each is a function of position that gives RGBA, baked with its reductions. */
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "samples/scene.h"

typedef struct Rgba {
    double r, g, b, a;
} Rgba;

uint32_t fsr_hash(uint32_t a, uint32_t b, uint32_t c)
{
    uint32_t h = a * 0x9E3779B1u ^ (b + 0x7F4A7C15u) * 0x85EBCA77u ^ (c + 0x165667B1u) * 0xC2B2AE3Du;

    h = (h ^ h >> 16) * 0x7FEB352Du;
    h = (h ^ h >> 15) * 0x846CA68Bu;
    return h ^ h >> 16;
}

double fsr_sin_turns(double turns)
{
    double t = turns - floor(turns), x, y;
    int negative = t >= 0.5;

    if (negative)
        t -= 0.5;
    if (t > 0.25)
        t = 0.5 - t;
    x = t * 6.283185307179586;
    y = x * x;
    x *= 1 + y * (-1 / 6. + y * (1 / 120. + y * (-1 / 5040. + y * (1 / 362880. + y * (-1 / 39916800. + y / 6227020800.)))));
    return negative ? -x : x;
}

static double unit(uint32_t a, uint32_t b, uint32_t c)
{
    return fsr_hash(a, b, c) * (1 / 4294967296.);
}

static double mix(double a, double b, double t)
{
    return a + (b - a) * t;
}

static double clamp01(double x)
{
    return x < 0 ? 0 : x > 1 ? 1 : x;
}

/** 0 at x <= a, 1 at x >= b, smooth between. */
static double step(double a, double b, double x)
{
    double t = clamp01((x - a) / (b - a));

    return t * t * (3 - 2 * t);
}

static int wrap(int i, int n)
{
    i %= n;
    return i < 0 ? i + n : i;
}

/** Value noise in 0..1 on a lattice of nx by ny cells a tile. */
static double noise(double x, double y, int nx, int ny, uint32_t seed)
{
    int ix = (int)(x * nx) - (x < 0), iy = (int)(y * ny) - (y < 0);
    double tx = x * nx - ix, ty = y * ny - iy;
    int x0 = wrap(ix, nx), x1 = wrap(ix + 1, nx), y0 = wrap(iy, ny), y1 = wrap(iy + 1, ny);

    tx = tx * tx * (3 - 2 * tx);
    ty = ty * ty * (3 - 2 * ty);
    return mix(mix(unit(x0, y0, seed), unit(x1, y0, seed), tx), mix(unit(x0, y1, seed), unit(x1, y1, seed), tx), ty);
}

/** Sum of octaves, mean one half; nx, ny cells at the coarsest. */
static double fbm(double x, double y, int nx, int ny, int octaves, double gain, uint32_t seed)
{
    double sum = 0, amp = 1, all = 0;

    for (int i = 0; i < octaves; i++, nx *= 2, ny *= 2, amp *= gain) {
        sum += amp * noise(x, y, nx, ny, seed + i);
        all += amp;
    }
    return sum / all;
}

static double noise3(FsrVec p, double scale, uint32_t seed)
{
    double c[3] = { p.x * scale + 64, p.y * scale + 64, p.z * scale + 64 }, f[3], sum = 0;
    int i[3];

    for (int k = 0; k < 3; k++) {
        i[k] = (int)floor(c[k]);
        f[k] = c[k] - i[k];
        f[k] = f[k] * f[k] * (3 - 2 * f[k]);
    }
    for (int k = 0; k < 8; k++) {
        int x = k & 1, y = k >> 1 & 1, z = k >> 2;
        sum += (x ? f[0] : 1 - f[0]) * (y ? f[1] : 1 - f[1]) * (z ? f[2] : 1 - f[2]) *
               unit(i[0] + x, i[1] + y, (uint32_t)(i[2] + z) * 131 + seed);
    }
    return sum;
}

static double fbm3(FsrVec p, double scale, int octaves, uint32_t seed)
{
    double sum = 0, amp = 1, all = 0;

    for (int i = 0; i < octaves; i++, scale *= 2.03, amp *= 0.55) {
        sum += amp * noise3(p, scale, seed + i);
        all += amp;
    }
    return sum / all;
}

static Rgba rgb(double r, double g, double b)
{
    return (Rgba){ r, g, b, 1 };
}

static Rgba blend(Rgba a, Rgba b, double t)
{
    return (Rgba){ mix(a.r, b.r, t), mix(a.g, b.g, t), mix(a.b, b.b, t), mix(a.a, b.a, t) };
}

static Rgba dim(Rgba c, double k)
{
    return (Rgba){ c.r * k, c.g * k, c.b * k, c.a };
}

/* ---- lettering: strokes of a fourteen-segment sign, for the letters used ---- */

static const struct {
    char letter;
    uint16_t strokes;
} alphabet[] = {
    { 'A', 0x00F7 }, { 'B', 0x128F }, { 'C', 0x0039 }, { 'D', 0x120F }, { 'E', 0x00F9 }, { 'F', 0x0071 },
    { 'G', 0x00BD }, { 'H', 0x00F6 }, { 'I', 0x1209 }, { 'K', 0x2470 }, { 'L', 0x0038 }, { 'M', 0x0536 },
    { 'N', 0x2136 }, { 'O', 0x003F }, { 'P', 0x00F3 }, { 'R', 0x20F3 }, { 'S', 0x00ED }, { 'T', 0x1201 },
    { 'U', 0x003E }, { 'V', 0x0C30 }, { 'W', 0x2836 }, { 'X', 0x2D00 }, { 'Y', 0x1500 }, { 'Z', 0x0C09 },
};

/** End points of the segments on a grid of 2 x 4 (x right, y down). */
static const uint8_t strokes[14][4] = {
    { 0, 0, 2, 0 }, { 2, 0, 2, 2 }, { 2, 2, 2, 4 }, { 0, 4, 2, 4 }, { 0, 2, 0, 4 }, { 0, 0, 0, 2 }, { 0, 2, 1, 2 },
    { 1, 2, 2, 2 }, { 0, 0, 1, 2 }, { 1, 0, 1, 2 }, { 2, 0, 1, 2 }, { 1, 2, 0, 4 }, { 1, 2, 1, 4 }, { 1, 2, 2, 4 },
};

static double stroke_distance2(double x, double y, const uint8_t *s)
{
    double dx = s[2] - s[0], dy = s[3] - s[1], px = x - s[0], py = y - s[1];
    double t = clamp01((px * dx + py * dy) / (dx * dx + dy * dy));

    px -= t * dx;
    py -= t * dy;
    return px * px + py * py;
}

/** Ink of text at (x, y), where a letter is 3 wide, 4 high and the text begins at (0, 0). */
static double text(const char *s, double x, double y, double weight)
{
    int n = (int)strlen(s), i = (int)floor((x + 0.5) / 3);
    double best = 100;
    uint16_t mask = 0;

    if (i < 0 || i >= n || y < -0.5 || y > 4.5)
        return 0;
    for (unsigned k = 0; k < sizeof(alphabet) / sizeof(alphabet[0]); k++)
        if (alphabet[k].letter == s[i])
            mask = alphabet[k].strokes;
    for (int k = 0; k < 14; k++) {
        double d = mask >> k & 1 ? stroke_distance2(x - 3 * i, y, strokes[k]) : 100;
        best = d < best ? d : best;
    }
    return 1 - step(weight * weight * 0.6, weight * weight * 1.6, best);
}

/** A page of words made up by chance: ink at (x, y) with `lines` lines and `columns` letters a tile. */
static double page(double x, double y, int columns, int lines, uint32_t seed)
{
    int row = (int)floor(y * lines), col = (int)floor(x * columns);
    uint32_t h = fsr_hash(col, row, seed);
    char s[2] = { alphabet[h % 24].letter, 0 };

    if (h % 7 == 0 || (row % 9 == 8) || x < 0.04 || x > 0.96 ||
        (row % 9 == 7 && x > 0.3 + 0.5 * unit(row, 1, seed)))
        return 0;
    return text(s, (x * columns - col) * 3 - 0.5, (y * lines - row) * 7 - 1.4, 0.5);
}

/* ---- the surfaces ---- */

/** A wall of nx by ny bricks in running bond. */
static Rgba brick_wall(double x, double y, int nx, int ny, uint32_t seed)
{
    int row = (int)floor(y * ny);
    double bx = x * nx + (row & 1) * 0.5, by = y * ny - row, col = floor(bx), fx = bx - col;
    uint32_t h = fsr_hash(wrap((int)col, nx), row, seed);
    double edge_x = fx < 0.5 ? fx : 1 - fx, edge_y = by < 0.5 ? by : 1 - by;
    double ragged = (noise(x, y, nx * 8, ny * 6, seed + 1) - 0.5) * 0.06;
    double face = step(0.02, 0.055, edge_x + ragged) * step(0.06, 0.14, edge_y + ragged);
    double grain = fbm(x, y, nx * 4, ny * 4, 4, 0.75, seed + 2), tone = (h & 255) / 255.;
    Rgba brick = blend(rgb(116, 52, 38), rgb(182, 104, 72), tone);
    Rgba mortar = dim(rgb(176, 168, 154), 0.7 + 0.5 * grain);

    if ((h >> 8 & 15) == 0)
        brick = rgb(84, 60, 56);
    brick = dim(brick, (0.62 + 0.72 * grain) * (by < 0.2 ? 0.86 : 1));
    return blend(mortar, brick, face);
}

static Rgba tex_brick(double x, double y)
{
    return brick_wall(x, y, 16, 40, 11);
}

/** Brick with one sash window, its reflections, sill and lintel. */
static Rgba tex_facade(double x, double y)
{
    double u = (x - 0.27) / 0.46, v = (y - 0.2) / 0.52;
    Rgba c = brick_wall(x, y, 14, 42, 23);

    if (x > 0.22 && x < 0.78 && y > 0.725 && y < 0.775)
        return dim(rgb(196, 190, 178), (y > 0.76 ? 0.6 : 0.9) + 0.25 * fbm(x, y, 64, 64, 3, 0.6, 5) - 0.1);
    if (x > 0.24 && x < 0.76 && y > 0.135 && y < 0.2)
        return dim(rgb(188, 176, 156), 0.75 + 0.4 * fbm(x, y, 48, 96, 3, 0.7, 6) - (y > 0.19 ? 0.25 : 0));
    if (u < 0 || u > 1 || v < 0 || v > 1)
        return y >= 0.775 && y < 0.81 && x > 0.22 && x < 0.78 ? dim(c, 0.7 + (y - 0.775) * 8) : c;
    double bar = 1, pu = u * 3 - floor(u * 3), pv = v * 4 - floor(v * 4);
    bar = (pu < 0.07 || pu > 0.93 || pv < 0.055 || pv > 0.945) ? 0 : 1;
    if (bar == 0)
        return dim(rgb(226, 222, 210), 0.72 + 0.3 * fbm(x, y, 96, 96, 2, 0.6, 7));
    double cloud = fbm(x * 0.7 + 0.1 * floor(u * 3), y, 6, 5, 5, 0.6, 8), curtain = step(0.55, 0.5, u < 0.5 ? u * 2.2 : (1 - u) * 2.2);
    Rgba glass = blend(rgb(28, 36, 44), rgb(150, 174, 192), step(0.45, 0.72, cloud) * (1.1 - v));
    return blend(glass, dim(rgb(180, 168, 150), 0.55 + 0.35 * fsr_sin_turns(u * 14)), 0.45 * curtain);
}

static Rgba tex_plaster(double x, double y)
{
    double n = fbm(x, y, 4, 4, 8, 0.72, 31), crack = fbm(x, y, 5, 5, 6, 0.6, 41) - 0.5;
    double line = 1 - step(0, 0.006, crack < 0 ? -crack : crack);
    Rgba c = dim(rgb(210, 192, 160), 0.72 + 0.52 * n);

    return blend(c, rgb(96, 84, 70), 0.6 * line * step(0.5, 0.62, fbm(x, y, 3, 3, 2, 0.5, 51)));
}

/** Setts: the border between cells of a jittered grid is the joint. */
static Rgba tex_cobble(double x, double y)
{
    const int n = 20;
    double f1 = 9, f2 = 9;
    uint32_t id = 0;
    int cx = (int)floor(x * n), cy = (int)floor(y * n);

    for (int j = -1; j <= 1; j++)
        for (int i = -1; i <= 1; i++) {
            uint32_t h = fsr_hash(wrap(cx + i, n), wrap(cy + j, n), 61);
            double dx = cx + i + 0.5 + ((h & 1023) / 1023. - 0.5) * 0.5 + ((cy + j) & 1) * 0.5 - 0.25 - x * n;
            double dy = cy + j + 0.5 + ((h >> 10 & 1023) / 1023. - 0.5) * 0.3 - y * n;
            double ax = dx < 0 ? -dx : dx, ay = dy < 0 ? -dy : dy, d = (ax > ay ? ax : ay) * 0.7 + sqrt(dx * dx + dy * dy) * 0.3;
            if (d < f1) {
                f2 = f1;
                f1 = d;
                id = h;
            } else if (d < f2) {
                f2 = d;
            }
        }
    double grain = fbm(x, y, 60, 60, 4, 0.8, 71), top = step(0.03, 0.2, f2 - f1);
    Rgba stone = blend(rgb(104, 102, 104), rgb(168, 158, 144), (id >> 20 & 255) / 255.);
    return dim(blend(dim(rgb(70, 62, 52), 0.6 + grain), stone, top), 0.5 + 0.75 * grain + 0.1 * (0.5 - f1));
}

static Rgba tex_sky(double x, double y)
{
    double c = fbm(x, y, 3, 5, 8, 0.56, 81) + 0.12 * (y - 0.5), w = step(0.47, 0.68, c);
    Rgba blue = blend(rgb(86, 138, 204), rgb(188, 210, 228), y);

    return blend(blue, blend(rgb(214, 216, 222), rgb(252, 250, 246), step(0.52, 0.75, c)), w);
}

static Rgba tex_bark(double x, double y)
{
    double n = fbm(x + 0.03 * noise(x, y, 4, 8, 3), y, 14, 3, 6, 0.75, 91);

    return dim(rgb(122, 98, 76), 0.25 + 1.35 * n);
}

static Rgba tex_sign(double x, double y)
{
    double n = fbm(x, y, 24, 6, 4, 0.6, 101);
    Rgba c = dim(rgb(24, 62, 58), 0.75 + 0.5 * n);
    double small = text("OLD MAPS PRINTS AND ATLASES EST", (x - 0.09) * 118, (y - 0.72) * 32, 0.42);
    double big = text("TRAVEL BOOKS", (x - 0.12) * 46, (y - 0.2) * 11, 0.36);
    int frame = x < 0.012 || x > 0.988 || y < 0.06 || y > 0.94;

    return blend(c, dim(rgb(236, 204, 120), 0.85 + 0.25 * n), frame || big > small ? (frame ? 1 : big) : small);
}

static Rgba tex_bus(double x, double y)
{
    double dust = 0.82 + 0.3 * fbm(x, y, 8, 8, 5, 0.6, 111);
    double px = x * 6 - floor(x * 6);
    Rgba red = dim(rgb(190, 34, 34), dust), cream = dim(rgb(236, 226, 196), dust);

    if (y > 0.16 && y < 0.46 && px > 0.06 && px < 0.94) {
        double c = fbm(x, y, 10, 7, 5, 0.6, 121);
        return blend(rgb(30, 36, 42), rgb(136, 156, 172), step(0.42, 0.75, c + 0.2 * (0.3 - y)));
    }
    if (y > 0.5 && y < 0.55)
        return cream;
    double t = text("FAST LINE NORTH HARBOUR", (x - 0.08) * 82, (y - 0.565) * 34, 0.42);
    double wheel = 1;
    for (int i = 0; i < 2; i++) {
        double dx = (x - (i ? 0.8 : 0.2)) * 2.9, dy = y - 0.85, d = dx * dx + dy * dy;
        if (d < 0.024)
            wheel = d < 0.006 ? 2 : 0;
    }
    if (wheel != 1)
        return wheel == 2 ? rgb(168, 168, 172) : rgb(24, 24, 26);
    if (y > 0.9)
        return (Rgba){ 30, 30, 32, 0 };
    return y > 0.86 ? dim(rgb(48, 48, 50), dust) : blend(y < 0.06 ? cream : red, cream, t);
}

static Rgba tex_fence(double x, double y)
{
    double px = x * 12 - floor(x * 12), tip = px < 0.4 ? (0.2 - px < 0 ? px - 0.2 : 0.2 - px) * 0.5 : 0;
    int i = (int)floor(x * 12), picket = px < 0.4 && y > tip, rail = (y > 0.24 && y < 0.31) || (y > 0.74 && y < 0.81);
    double n = fbm(x, y, 96, 6, 4, 0.7, 131);
    Rgba c = dim(rgb(206, 204, 194), 0.5 + 0.7 * n + 0.12 * unit(i, 0, 7));

    c.a = picket || rail;
    return picket ? c : dim(c, 0.7);
}

static Rgba tex_poster(double x, double y)
{
    Rgba paper = dim(rgb(232, 224, 204), 0.9 + 0.16 * fbm(x, y, 6, 6, 5, 0.6, 141));
    double head = text("DAILY NEWS", (x - 0.1) * 36, (y - 0.045) * 40, 0.45);

    if (y < 0.18)
        return blend(paper, rgb(30, 28, 30), head);
    if (x > 0.53 && x < 0.95 && y > 0.22 && y < 0.48) {
        double n = fbm(x, y, 9, 9, 6, 0.6, 151);
        return dim(rgb(200, 196, 190), step(0.25, 0.8, n + 0.4 * (0.36 - y)));
    }
    return blend(paper, rgb(40, 38, 40), page(x, (y - 0.2) / 0.8, 44, 34, 161));
}

static Rgba tex_metal(double x, double y)
{
    return dim(rgb(52, 58, 60), (0.5 + 0.5 * fbm(x, y, 16, 4, 5, 0.7, 171)) * (0.6 + 1.2 * x * (1.3 - x)));
}

static Rgba tex_wood(double x, double y)
{
    int row = (int)floor(y * 8);
    double off = unit(row, 3, 181), px = x * 2 + off * 2, fx = px - floor(px), fy = y * 8 - row;
    uint32_t id = fsr_hash(wrap((int)floor(px), 2), row, 182);
    double n = fbm(x + off, y, 4, 64, 5, 0.7, 183), ring = fsr_sin_turns(n * 9 + fy * 1.5);
    double gap = (fx < 0.004 || fx > 0.996 || fy < 0.03 || fy > 0.975) ? 0.35 : 1;

    return dim(blend(rgb(128, 82, 44), rgb(186, 132, 78), (id & 255) / 255.), (0.68 + 0.12 * ring + 0.42 * n) * gap);
}

static Rgba tex_wallpaper(double x, double y)
{
    double stripe = fsr_sin_turns(x * 12), paper = 0.9 + 0.2 * fbm(x, y, 64, 64, 4, 0.8, 191);
    double u = x * 12 - floor(x * 12) - 0.5, v = y * 9 + 0.5 * ((int)floor(x * 12) & 1), r;
    Rgba c = stripe > 0 ? rgb(168, 178, 146) : rgb(190, 194, 160);

    v = v - floor(v) - 0.5;
    r = u * u + v * v;
    double petal = (u * u * u * u - 6 * u * u * v * v + v * v * v * v) / (r * r + 1e-9);
    if (r < 0.03 + 0.035 * petal)
        c = r < 0.008 ? rgb(206, 152, 60) : rgb(150, 66, 58);
    else if ((u - 0.12 * fsr_sin_turns(v)) * (u - 0.12 * fsr_sin_turns(v)) < 0.0008)
        c = rgb(84, 112, 78);
    return dim(c, paper);
}

/** Four shelves of spines, each with bands and a title that runs downwards. */
static Rgba tex_books(double x, double y)
{
    static const char *const titles[] = { "RIVERS", "TREES", "OPTICS", "LIGHT", "GARDENS", "MOTION", "OCEANS" };
    int shelf = (int)floor(y * 4), i = 0;
    double v = y * 4 - shelf, left = 0, width = 0;

    if (v > 0.9)
        return dim(rgb(104, 70, 42), (v > 0.985 ? 0.5 : 0.8) + 0.5 * fbm(x, y, 8, 96, 4, 0.7, 201));
    for (;; i++, left += width) {
        width = 0.022 + 0.03 * unit(i, shelf, 202);
        if (left + width > x || left > 1)
            break;
    }
    uint32_t h = fsr_hash(i, shelf, 203);
    double u = (x - left) / width, top = 0.06 + 0.24 * ((h >> 24) / 255.), n = fbm(x, y, 64, 64, 4, 0.7, 204);
    if (v < top || u < 0.03)
        return dim(rgb(40, 28, 20), 0.5 + 0.5 * v);
    static const uint8_t cover[8][3] = { { 122, 34, 32 }, { 36, 58, 84 }, { 44, 76, 52 }, { 96, 62, 36 },
                                         { 150, 112, 60 }, { 60, 52, 60 }, { 168, 148, 118 }, { 92, 40, 62 } };
    const uint8_t *k = cover[h >> 9 & 7];
    Rgba c = dim(rgb(k[0], k[1], k[2]), 0.75 + 0.6 * (h >> 14 & 63) / 63.), gold = rgb(222, 190, 110);
    double round = 0.55 + 1.8 * u * (1 - u), w = (v - top) / (0.9 - top);
    if ((w > 0.06 && w < 0.085) || (w > 0.9 && w < 0.925) || ((h & 3) == 0 && w > 0.1 && w < 0.11))
        c = gold;
    else
        c = blend(c, (h & 4) ? gold : rgb(236, 230, 220), text(titles[h % 7], (w - 0.13) * 27, (0.86 - u) * 5.6, 0.4));
    return dim(c, round * (0.75 + 0.45 * n));
}

static Rgba tex_cloth(double x, double y)
{
    double cx = x * 8 - floor(x * 8), cy = y * 8 - floor(y * 8);
    int a = cx < 0.5, b = cy < 0.5, over = ((int)floor(x * 256) + (int)floor(y * 256)) & 1;
    double weave = 0.86 + 0.16 * over + 0.16 * fbm(x, y, 128, 128, 2, 0.8, 211) - 0.08;
    Rgba white = rgb(232, 230, 224), blue = rgb(58, 84, 150);

    return dim((over ? a : b) ? blue : blend(white, blue, (a || b) ? 0.25 : 0), weave);
}

static Rgba tex_painting(double x, double y)
{
    double ridge = 0.46 + 0.2 * (fbm(x, 0.3, 4, 1, 7, 0.5, 221) - 0.5), near = 0.62 + 0.22 * (fbm(x, 0.7, 5, 1, 7, 0.55, 222) - 0.5);
    double edge = x < 0.06 || x > 0.94 || y < 0.08 || y > 0.92, stroke = fbm(x, y, 48, 24, 4, 0.75, 223);

    if (edge)
        return dim(rgb(176, 132, 58), 0.55 + 0.5 * fbm(x, y, 40, 40, 4, 0.7, 224) + 0.2 * fsr_sin_turns((x + y) * 60));
    if (y > near)
        return dim(blend(rgb(52, 92, 40), rgb(168, 160, 66), stroke), 0.7 + 0.6 * noise(x, y, 60, 90, 225));
    if (y > ridge)
        return dim(rgb(92, 104, 132), 0.6 + 0.7 * fbm(x, y, 20, 12, 5, 0.7, 226));
    return dim(blend(rgb(236, 176, 112), rgb(110, 146, 196), step(0.5, 0.05, y)), 0.8 + 0.4 * stroke);
}

static Rgba tex_rug(double x, double y)
{
    double u = x < 0.5 ? x : 1 - x, v = y < 0.5 ? y : 1 - y, e = u < v ? u : v;
    int i = (int)floor(x * 48), j = (int)floor(y * 48), d = (i + j) % 8, f = wrap(i - j, 8);
    Rgba c = e < 0.03 ? rgb(206, 190, 150) : e < 0.12 ? ((i ^ j) & 2 ? rgb(34, 44, 84) : rgb(190, 150, 70)) :
             (d == 0 || f == 0) ? rgb(214, 184, 120) : (d > 3) == (f > 3) ? rgb(140, 30, 34) : rgb(104, 22, 40);

    return dim(c, 0.6 + 0.75 * fbm(x, y, 96, 96, 3, 0.85, 231));
}

static Rgba tex_train(double x, double y)
{
    double n = 0.85 + 0.25 * fbm(x, y, 16, 16, 4, 0.7, 241), t = text("EXPRESS", (x - 0.13) * 29, (y - 0.6) * 16, 0.5);
    double px = x * 4 - floor(x * 4);

    if (y > 0.14 && y < 0.46 && px > 0.14 && px < 0.86)
        return y < 0.18 || y > 0.42 ? rgb(230, 200, 120) : dim(rgb(238, 226, 160), 0.6 + 0.5 * noise(x, y, 32, 12, 242));
    return dim(y < 0.08 || y > 0.9 ? rgb(30, 32, 36) : blend(rgb(28, 96, 60), rgb(240, 214, 130), t), n);
}

static Rgba tex_noise(double x, double y)
{
    double n = 255 * clamp01((fbm(x, y, 4, 4, 6, 0.6, 251) - 0.5) * 1.8 + 0.5);

    return rgb(n, n, n);
}

/* ---- spheres: the texture is an unfolded octahedron ---- */

static FsrVec octahedron(double x, double y)
{
    double a = 2 * x - 1, b = 2 * y - 1, aa = a < 0 ? -a : a, bb = b < 0 ? -b : b, c = 1 - aa - bb, n;

    if (c < 0) {
        a = (1 - bb) * (a < 0 ? -1 : 1);
        b = (1 - aa) * (b < 0 ? -1 : 1);
    }
    n = 1 / sqrt(a * a + b * b + c * c);
    return (FsrVec){ a * n, b * n, c * n };
}

static Rgba tex_globe(double x, double y)
{
    FsrVec p = octahedron(x, y);
    double h = fbm3(p, 1.7, 7, 261), d = p.z * 9 - floor(p.z * 9);
    Rgba land = blend(rgb(188, 168, 104), rgb(92, 124, 62), step(0.45, 0.75, fbm3(p, 6, 4, 262))), sea = rgb(64, 116, 158);
    Rgba c = h > 0.505 ? dim(land, 0.6 + 0.8 * fbm3(p, 24, 3, 263)) : dim(sea, 0.7 + 0.6 * h);

    return d < 0.05 || (h > 0.495 && h <= 0.505) ? rgb(60, 52, 44) : c;
}

static Rgba tex_ball(double x, double y)
{
    static const double colour[6][3] = { { 214, 52, 44 }, { 240, 236, 226 }, { 44, 92, 176 }, { 240, 236, 226 },
                                         { 236, 188, 40 }, { 240, 236, 226 } };
    FsrVec p = octahedron(x, y);
    double scuff = 0.8 + 0.35 * fbm3(p, 14, 4, 271);
    int k = p.x > 0 ? (p.y > p.x * 0.577 ? 1 : p.y < -p.x * 0.577 ? 5 : 0) : (p.y > -p.x * 0.577 ? 2 : p.y < p.x * 0.577 ? 4 : 3);

    return dim(rgb(colour[k][0], colour[k][1], colour[k][2]), scuff);
}

static Rgba tex_balloon(double x, double y)
{
    FsrVec p = octahedron(x, y);
    double zig = p.z * 5 + 0.12 * fsr_sin_turns(fbm3(p, 3, 2, 281) + p.x * 3 + p.y * 2), k = zig - floor(zig), w = 0.8 + 0.3 * fbm3(p, 30, 3, 282);

    return dim(k < 0.33 ? rgb(222, 90, 40) : k < 0.66 ? rgb(246, 214, 92) : rgb(150, 36, 66), w);
}

/* ---- foliage: leaves painted one over the other ---- */

static void leaf(uint8_t *px, int size, double cx, double cy, double len, double turn, Rgba c)
{
    double co = fsr_sin_turns(turn + 0.25), si = fsr_sin_turns(turn);
    int r = (int)len + 1;

    for (int y = (int)cy - r; y <= (int)cy + r; y++)
        for (int x = (int)cx - r; x <= (int)cx + r; x++) {
            double dx = x - cx, dy = y - cy, a = (dx * co + dy * si) / len, b = (dy * co - dx * si) / len;
            double width = 0.42 * (1 - a * a), vein = b < 0 ? -b : b;
            uint8_t *p = px + 4 * ((size_t)wrap(y, size) * size + wrap(x, size));
            if (a < -1 || a > 1 || vein > width)
                continue;
            double k = (vein < 0.05 ? 1.2 : b < 0 ? 0.84 : 1.04) * (0.9 + 0.1 * a);
            p[0] = (uint8_t)(clamp01(c.r * k / 255) * 255);
            p[1] = (uint8_t)(clamp01(c.g * k / 255) * 255);
            p[2] = (uint8_t)(clamp01(c.b * k / 255) * 255);
            p[3] = 255;
        }
}

/** Leaves from dark to light; `crown` keeps to clumps inside a disc and leaves holes. */
static void foliage(uint8_t *px, int size, int count, int crown, uint32_t seed)
{
    for (int i = 0; i < count; i++) {
        double x = unit(i, 0, seed), y = unit(i, 1, seed), depth = (double)i / count;
        double tone = 0.22 + 0.85 * depth + 0.2 * unit(i, 2, seed), len = size / 1024. * (12 + 12 * unit(i, 3, seed));
        double dx = (x - 0.5) * 2, dy = (y - 0.5) * 2, r = dx * dx + dy * dy;
        if (crown && (r > 0.86 || noise(x, y, 7, 7, seed + 1) < 0.18 + 0.42 * r))
            continue;
        if (crown)
            tone *= 1.12 - 0.35 * y + 0.25 * (noise(x, y, 9, 9, seed + 2) - 0.5);
        leaf(px, size, x * size, y * size, len, unit(i, 4, seed),
             blend(dim(rgb(74, 110, 42), tone), dim(rgb(156, 158, 56), tone), 0.6 * unit(i, 5, seed)));
    }
}

/* ---- baking ---- */

static const struct {
    FsrTextureName name;
    int log2;
    Rgba (*colour)(double x, double y);
} table[] = {
    { FSR_TEX_BRICK, 10, tex_brick },     { FSR_TEX_FACADE, 10, tex_facade },       { FSR_TEX_PLASTER, 9, tex_plaster },
    { FSR_TEX_COBBLE, 10, tex_cobble },   { FSR_TEX_SKY, 10, tex_sky },             { FSR_TEX_BARK, 8, tex_bark },
    { FSR_TEX_SIGN, 10, tex_sign },       { FSR_TEX_BUS, 9, tex_bus },              { FSR_TEX_FENCE, 9, tex_fence },
    { FSR_TEX_BALLOON, 8, tex_balloon },  { FSR_TEX_BALL, 8, tex_ball },            { FSR_TEX_POSTER, 9, tex_poster },
    { FSR_TEX_METAL, 7, tex_metal },      { FSR_TEX_WOOD, 10, tex_wood },           { FSR_TEX_WALLPAPER, 9, tex_wallpaper },
    { FSR_TEX_BOOKS, 10, tex_books },     { FSR_TEX_CLOTH, 9, tex_cloth },          { FSR_TEX_GLOBE, 9, tex_globe },
    { FSR_TEX_PAINTING, 9, tex_painting }, { FSR_TEX_RUG, 9, tex_rug },             { FSR_TEX_TRAIN, 8, tex_train },
    { FSR_TEX_NOISE, 8, tex_noise },
};

typedef struct BakeJob {
    uint8_t *px;
    int size, first, stride;
    Rgba (*colour)(double x, double y);
} BakeJob;

static uint8_t to_byte(double x)
{
    return (uint8_t)(x < 0 ? 0 : x > 255 ? 255 : x + 0.5);
}

static void *bake_rows(void *arg)
{
    const BakeJob *j = arg;

    for (int y = j->first; y < j->size; y += j->stride)
        for (int x = 0; x < j->size; x++) {
            Rgba c = j->colour((x + 0.5) / j->size, (y + 0.5) / j->size);
            uint8_t *p = j->px + 4 * ((size_t)y * j->size + x);
            p[0] = to_byte(c.r);
            p[1] = to_byte(c.g);
            p[2] = to_byte(c.b);
            p[3] = c.a > 0.5 ? 255 : 0;
        }
    return NULL;
}

/** Halves a level; colours are weighted by alpha so that holes do not bleed. */
static void reduce(const uint8_t *src, uint8_t *dst, int size)
{
    for (int y = 0; y < size; y++)
        for (int x = 0; x < size; x++, dst += 4) {
            const uint8_t *p = src + 16 * (size_t)y * size + 8 * x, *q = p + 8 * (size_t)size;
            int a = p[3] + p[7] + q[3] + q[7];
            for (int c = 0; c < 3; c++) {
                int sum = a ? p[c] * p[3] + p[4 + c] * p[7] + q[c] * q[3] + q[4 + c] * q[7] : 0;
                dst[c] = (uint8_t)(a ? (sum + a / 2) / a : p[c]);
            }
            dst[3] = (uint8_t)((a + 2) / 4);
        }
}

static void run_bake(uint8_t *px, int size, Rgba (*colour)(double, double), int threads)
{
    pthread_t id[16];
    BakeJob job[16];
    int started[16] = { 0 };

    threads = threads < 1 ? 1 : threads > 16 ? 16 : threads;
    for (int i = 0; i < threads; i++) {
        job[i] = (BakeJob){ px, size, i, threads, colour };
        started[i] = i && !pthread_create(&id[i], NULL, bake_rows, &job[i]);
        if (i && !started[i])
            bake_rows(&job[i]);
    }
    bake_rows(&job[0]);
    for (int i = 1; i < threads; i++)
        if (started[i])
            pthread_join(id[i], NULL);
}

int fsr_texture_bake(FsrTexture *t, FsrTextureName name, int threads)
{
    int log2 = 10, leaves = name == FSR_TEX_HEDGE || name == FSR_TEX_CROWN;
    Rgba (*colour)(double, double) = NULL;

    for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (table[i].name == name) {
            log2 = table[i].log2;
            colour = table[i].colour;
        }
    memset(t, 0, sizeof(*t));
    t->levels = log2 + 1;
    for (int l = 0; l <= log2; l++) {
        size_t side = (size_t)1 << (log2 - l);
        if (!(t->level[l] = calloc(side * side, 4))) {
            fsr_texture_free(t);
            return -ENOMEM;
        }
    }
    if (leaves)
        foliage(t->level[0], 1 << log2, name == FSR_TEX_CROWN ? 16000 : 24000, name == FSR_TEX_CROWN, 291 + name);
    else
        run_bake(t->level[0], 1 << log2, colour, threads);
    for (int l = 1; l <= log2; l++)
        reduce(t->level[l - 1], t->level[l], 1 << (log2 - l));
    return 0;
}

void fsr_texture_free(FsrTexture *t)
{
    for (int l = 0; l < t->levels; l++)
        free(t->level[l]);
    memset(t, 0, sizeof(*t));
}
