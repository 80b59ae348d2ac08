/* What stands where in the two views, and how it moves. */
#include <math.h>
#include <string.h>

#include "samples/scene.h"

#define RATE 25.0 /* frames a second: speeds below are per second */

static FsrVec vec(double x, double y, double z)
{
    return (FsrVec){ x, y, z };
}

/** A quad with its texture once along u and `repeat` times as stated. */
static FsrPrim *quad(FsrWorld *w, FsrTextureName tex, FsrVec origin, FsrVec u, FsrVec v, double rs, double rt, double shade)
{
    FsrPrim *p = &w->prim[w->prims++];

    memset(p, 0, sizeof(*p));
    *p = (FsrPrim){ .tex = tex, .origin = origin, .u = u, .v = v, .repeat_s = rs, .repeat_t = rt, .shade = shade };
    return p;
}

/** An upright wall facing the camera: lower left corner, width, height; the texture's top is up. */
static FsrPrim *wall(FsrWorld *w, FsrTextureName tex, double x, double y, double z, double width, double height, double rs,
                     double rt, double shade)
{
    return quad(w, tex, vec(x, y + height, z), vec(width, 0, 0), vec(0, -height, 0), rs, rt, shade);
}

static FsrPrim *ball(FsrWorld *w, FsrTextureName tex, FsrVec centre, double radius, FsrVec u, FsrVec v, double shade)
{
    FsrPrim *p = quad(w, tex, centre, u, v, 1, 1, shade);

    p->sphere = 1;
    p->radius = radius;
    return p;
}

/** Box standing on (x, y, z) = front lower left corner: front, top, left and right side. */
static void box(FsrWorld *w, FsrTextureName front, FsrTextureName rest, double x, double y, double z, double dx, double dy,
                double dz, double repeat, double shade)
{
    wall(w, front, x, y, z, dx, dy, repeat, 1, shade);
    quad(w, rest, vec(x, y + dy, z + dz), vec(dx, 0, 0), vec(0, 0, -dz), 1, 1, shade * 1.1);
    quad(w, rest, vec(x, y + dy, z + dz), vec(0, 0, -dz), vec(0, -dy, 0), 1, 1, shade * 0.6);
    quad(w, rest, vec(x + dx, y + dy, z), vec(0, 0, dz), vec(0, -dy, 0), 1, 1, shade * 0.75);
}

static void blob(FsrWorld *w, double x, double z, double rx, double rz, double strength)
{
    w->shadow[w->shadows++] = (FsrShadow){ x, z, rx, rz, strength };
}

/** Points the camera; yaw to the right, pitch up and roll in turns. */
static void camera(FsrWorld *w, FsrVec eye, double yaw, double pitch, double roll, double zoom)
{
    double cy = fsr_sin_turns(yaw + 0.25), sy = fsr_sin_turns(yaw), cp = fsr_sin_turns(pitch + 0.25), sp = fsr_sin_turns(pitch);
    double cr = fsr_sin_turns(roll + 0.25), sr = fsr_sin_turns(roll);
    FsrVec right = vec(cy, 0, -sy), up = vec(-sy * sp, cp, -cy * sp);

    w->eye = eye;
    w->ahead = vec(sy * cp, sp, cy * cp);
    w->right = vec(right.x * cr + up.x * sr, right.y * cr + up.y * sr, right.z * cr + up.z * sr);
    w->up = vec(up.x * cr - right.x * sr, up.y * cr - right.y * sr, up.z * cr - right.z * sr);
    w->zoom = zoom;
}

static double swing(double time, double period, double phase)
{
    return fsr_sin_turns(time / period + phase);
}

/** A position that runs from -half to half and starts again. */
static double loop(double x, double half)
{
    x = (x + half) / (2 * half);
    return (x - floor(x)) * 2 * half - half;
}

static void tree(FsrWorld *w, double x, double z, double height, double crown, double sway)
{
    wall(w, FSR_TEX_BARK, x - 0.16, -0.05, z, 0.32, height, 1, 3, 0.85);
    for (int i = 0; i < 3; i++) {
        double size = crown * (1 - 0.12 * i), lean = sway * (1 + 0.4 * i);
        FsrPrim *p = quad(w, FSR_TEX_CROWN, vec(x - size * 0.5 + lean + 0.3 * (i - 1), height + size * 0.62, z + 0.25 - 0.35 * i),
                          vec(size, 0.06 * sway, 0), vec(-lean, -size, 0), 1, 1, 0.78 + 0.14 * i);
        p->cutout = 1;
        p->haze = 0.6;
    }
    blob(w, x + 0.6, z - 0.2, crown * 0.55, crown * 0.4, 0.55);
}

static void street_far(FsrWorld *w, double time)
{
    FsrPrim *p = wall(w, FSR_TEX_SKY, -260 - time * 0.01, -20, 300, 520, 180, 1, 1, 1);

    p->haze = 0;
    for (int i = 0; i < 3; i++) {
        p = wall(w, FSR_TEX_HEDGE, -60, -2, 90 - 18 * i, 140, 15 - 3.5 * i, 14, 1.5 - 0.3 * i, 0.8);
        p->haze = 0.75;
        p->grime = 0.35;
    }
    wall(w, FSR_TEX_BARK, 18.1 + 0.5 * time / RATE, 14.9 + 0.6 * swing(time, 160, 0), 62, 1, 0.9, 1, 1, 0.7);
    ball(w, FSR_TEX_BALLOON, vec(18.6 + 0.5 * time / RATE, 20.5 + 0.6 * swing(time, 160, 0), 62), 3.6,
         vec(swing(time, 400, 0.25), 0, -swing(time, 400, 0)), vec(swing(time, 400, 0), 0, swing(time, 400, 0.25)), 1.1)->haze = 0.5;
}

static void street_houses(FsrWorld *w)
{
    FsrPrim *p = wall(w, FSR_TEX_FACADE, -26, 0, 15, 29.4, 12.6, 14, 6, 0.95);

    p->grime = 0.35;
    p->sunny = 1;
    wall(w, FSR_TEX_PLASTER, -26, -0.05, 14.9, 29.4, 0.85, 12, 1, 0.62)->sunny = 1;
    wall(w, FSR_TEX_SIGN, -5.2, 2.35, 14.75, 6.4, 0.8, 1, 1, 1);
    wall(w, FSR_TEX_POSTER, 1.6, 0.95, 14.8, 0.85, 1.2, 1, 1, 1);
    wall(w, FSR_TEX_POSTER, -7.9, 0.95, 14.8, 0.85, 1.2, 1, 1, 0.95);
    p = quad(w, FSR_TEX_BRICK, vec(3.4, 12.6, 15), vec(0, 0, 14), vec(0, -12.6, 0), 6, 5, 0.5);
    p->grime = 0.4;
    p = quad(w, FSR_TEX_PLASTER, vec(8.6, 8.5, 27), vec(-0.8, 0, -23), vec(0, -8.5, 0), 8, 3, 0.98);
    p->grime = 0.25;
    for (int i = 0; i < 4; i++)
        quad(w, FSR_TEX_POSTER, vec(7.92 + 0.105 * i, 2.6, 9.4 + 3 * i), vec(-0.052, 0, -1.5), vec(0, -1.9, 0), 1, 1, 0.9);
}

static void street(FsrWorld *w, double time)
{
    double s = time / RATE, bus = loop(3.4 * s - 6.5, 17), roll = loop(3.1 - 1.9 * s, 9), turn = roll / (6.283185307179586 * 0.42);
    FsrPrim *p = quad(w, FSR_TEX_COBBLE, vec(-40, 0, 90), vec(80, 0, 0), vec(0, 0, -92), 26, 30, 0.86);

    p->grime = 0.4;
    p->sunny = 1;
    p->haze = 0.4;
    street_far(w, time);
    street_houses(w);
    box(w, FSR_TEX_METAL, FSR_TEX_METAL, bus, 0.26, 11.22, 5.4, 2.08, 1.6, 1, 1);
    wall(w, FSR_TEX_BUS, bus, 0, 11.2, 5.4, 2.35, 1, 1, 1)->cutout = 1;
    blob(w, bus + 2.7, 12, 3.2, 1.5, 0.7);
    tree(w, -4.6, 8.6, 2.3, 3.4, 0.05 * swing(time, 70, 0) + 0.02 * swing(time, 23, 0.3));
    tree(w, 5.6, 18, 2.6, 4.4, 0.05 * swing(time, 80, 0.4));
    wall(w, FSR_TEX_METAL, 2.35, 0, 6.4, 0.09, 4.6, 1, 8, 1);
    wall(w, FSR_TEX_METAL, 2.1, 4.45, 6.38, 0.6, 0.16, 1, 1, 1.2);
    ball(w, FSR_TEX_BALL, vec(roll, 0.42, 6.1), 0.42, vec(swing(turn, 1, 0.25), swing(turn, 1, 0), 0),
         vec(-swing(turn, 1, 0), swing(turn, 1, 0.25), 0), 1.05);
    blob(w, roll + 0.12, 6.15, 0.55, 0.4, 0.75);
    p = wall(w, FSR_TEX_FENCE, -5.4, 0, 4.1, 4.4, 0.78, 2, 1, 1);
    p->cutout = 1;
    p->sunny = 1;
    camera(w, vec(-0.9 + 1.5 * swing(time, 300, -0.1) + 0.01 * swing(time, 19, 0), 1.65 + 0.012 * swing(time, 13, 0.2), 0.2 * swing(time, 210, 0)),
           0.004 + 0.012 * swing(time, 260, 0.1) + 0.0005 * swing(time, 31, 0), 0.012 + 0.0006 * swing(time, 41, 0.3),
           0.0006 * swing(time, 53, 0), 1.5);
}

static void room_walls(FsrWorld *w)
{
    FsrPrim *p = quad(w, FSR_TEX_WOOD, vec(-4.5, 0, 6.2), vec(8.6, 0, 0), vec(0, 0, -6.4), 5, 4, 0.8);

    p->sunny = 1;
    p->grime = 0.25;
    p = wall(w, FSR_TEX_WALLPAPER, -3.6, 0, 6, 8, 3.6, 6, 2.7, 0.92);
    p->grime = 0.12;
    p = quad(w, FSR_TEX_WALLPAPER, vec(-3.6, 3.6, 0), vec(0, 0, 6), vec(0, -3.6, 0), 4.5, 2.7, 0.62);
    p->grime = 0.12;
    wall(w, FSR_TEX_BARK, -3.6, 0, 5.97, 8, 0.16, 24, 1, 0.8);
    wall(w, FSR_TEX_PAINTING, -2.6, 1.35, 5.93, 1.9, 1.25, 1, 1, 1.05);
    quad(w, FSR_TEX_SKY, vec(-3.57, 2.7, 2.2), vec(0, 0, 1.7), vec(0, -1.6, 0), 0.4, 0.5, 1.15);
    for (int i = 0; i < 4; i++)
        quad(w, FSR_TEX_BARK, vec(-3.55, 2.76, 2.15 + 0.58 * i), vec(0, 0, 0.07), vec(0, -1.72, 0), 1, 2, 1.5);
    box(w, FSR_TEX_BOOKS, FSR_TEX_BARK, 0.75, 0.12, 5.35, 2.5, 2.6, 0.6, 1, 0.98);
}

static void room_table(FsrWorld *w, double time)
{
    double train = loop(0.9 * time / RATE - 3.1, 1.6), a = time / 220;
    FsrPrim *p = quad(w, FSR_TEX_CLOTH, vec(-1.35, 0.82, 4.1), vec(2.5, 0, 0), vec(0, 0, -1.3), 5, 2.6, 1.02);

    p->sunny = 1;
    wall(w, FSR_TEX_CLOTH, -1.35, 0.5, 2.8, 2.5, 0.32, 5, 0.64, 0.72);
    wall(w, FSR_TEX_BARK, -1.2, 0, 2.95, 0.09, 0.6, 1, 2, 0.6);
    wall(w, FSR_TEX_BARK, 0.97, 0, 2.95, 0.09, 0.6, 1, 2, 0.6);
    ball(w, FSR_TEX_GLOBE, vec(-0.45, 1.24, 3.4), 0.34, vec(fsr_sin_turns(a + 0.25), 0, -fsr_sin_turns(a)),
         vec(fsr_sin_turns(a), 0, fsr_sin_turns(a + 0.25)), 1.1);
    wall(w, FSR_TEX_METAL, -0.5, 0.82, 3.42, 0.1, 0.14, 1, 1, 0.9);
    quad(w, FSR_TEX_POSTER, vec(0.1, 0.826, 3.5), vec(0.62, 0, 0.1), vec(0.08, 0, -0.6), 1, 1, 1);
    if (train > -1.3 && train < 0.75)
        box(w, FSR_TEX_TRAIN, FSR_TEX_METAL, train, 0.83, 3.82, 0.42, 0.26, 0.16, 1, 1);
    else
        box(w, FSR_TEX_TRAIN, FSR_TEX_METAL, train, 0.83, 1e4, 0.42, 0.26, 0.16, 1, 1);
    blob(w, -0.3, 3.45, 0.4, 0.3, 0.5);
    blob(w, train + 0.24, 3.86, 0.34, 0.2, train > -1.3 && train < 0.75 ? 0.45 : 0);
}

static void room(FsrWorld *w, double time)
{
    double a = 0.075 * swing(time, 52, 0), x = 0.62 + 1.9 * fsr_sin_turns(a), y = 3.3 - 1.9 * fsr_sin_turns(a + 0.25), turn = 0.1 * a;
    FsrPrim *p;

    room_walls(w);
    quad(w, FSR_TEX_RUG, vec(-2.3, 0.006, 5.3), vec(4.4, 0, 0), vec(0, 0, -3.1), 1, 1, 0.9)->sunny = 1;
    room_table(w, time);
    blob(w, -0.1, 3.5, 1.9, 1.0, 0.6);
    blob(w, 2, 5.5, 1.7, 0.7, 0.4);
    quad(w, FSR_TEX_METAL, vec(0.612, 3.6, 2.5), vec(0.016, 0, 0), vec(x - 0.62, y - 3.6, 0), 1, 8, 0.8);
    ball(w, FSR_TEX_BALL, vec(x, y - 0.1, 2.5), 0.17, vec(fsr_sin_turns(turn + 0.25), 0, fsr_sin_turns(turn)), vec(0, 1, 0), 1);
    for (int i = 0; i < 2; i++) {
        double sway = 0.012 * swing(time, 90, 0.2 * i);
        p = quad(w, FSR_TEX_CROWN, vec(-0.98 + 0.16 * i + sway, 1.36 - 0.1 * i, 1.75 - 0.15 * i), vec(0.7, 0, 0), vec(-sway, -0.7, 0), 1, 1,
                 0.85 + 0.2 * i);
        p->cutout = 1;
    }
    camera(w, vec(0.1 + 0.45 * swing(time, 240, 0.05), 1.52 + 0.008 * swing(time, 17, 0), 0.1 + 0.3 * swing(time, 330, 0)),
           -0.004 + 0.006 * swing(time, 240, 0.55) + 0.0004 * swing(time, 29, 0), -0.012 + 0.0004 * swing(time, 37, 0.1),
           0.0005 * swing(time, 47, 0), 1.62);
}

void fsr_world_build(FsrWorld *w, FsrSceneView view, double time)
{
    w->prims = w->shadows = 0;
    w->light = 1;
    if (view == FSR_VIEW_STREET)
        street(w, time);
    else
        room(w, time);
}

int fsr_world_uses(FsrSceneView view, FsrTextureName name)
{
    FsrWorld w;

    fsr_world_build(&w, view, 0);
    for (int i = 0; i < w.prims; i++)
        if (w.prim[i].tex == name)
            return 1;
    return name == FSR_TEX_NOISE;
}

FsrSceneView fsr_scene_edit(int64_t n, double *light)
{
    int at = (int)(n % FSR_SCENE_CYCLE);

    *light = at < FSR_SCENE_FADE ? 1 : 1 - (double)(at - FSR_SCENE_FADE + 1) / (FSR_SCENE_CYCLE - FSR_SCENE_FADE + 1);
    return at < FSR_SCENE_CUT ? FSR_VIEW_STREET : FSR_VIEW_ROOM;
}
