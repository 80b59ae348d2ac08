/*
 * A small software renderer for the sample clips: two views made of textured parallelograms and
 * spheres, with the true depth and motion of each pixel.
 *
 * Everything is double arithmetic with + - * / and sqrt, which IEEE 754 rounds in one way only, and
 * integer hashes: the same bits on every machine, as long as the compiler does not contract a*b+c
 * (room.mk passes -ffp-contract=off). No sin, pow or exp of a C library is used.
 *
 * Units: metres, x right, y up, z forward; time in frames.
 */
#ifndef FSR_SAMPLES_SCENE_H
#define FSR_SAMPLES_SCENE_H

#include <stdint.h>

#define FSR_SCENE_CYCLE 96     /**< frames of one round: street, cut, room, fade to dark */
#define FSR_SCENE_CUT 58       /**< first frame of the room */
#define FSR_SCENE_FADE 80      /**< first darker frame */
#define FSR_SCENE_MAX_PRIMS 96

typedef enum FsrSceneView { FSR_VIEW_STREET, FSR_VIEW_ROOM, FSR_VIEWS } FsrSceneView;

typedef enum FsrTextureName {
    FSR_TEX_BRICK, FSR_TEX_FACADE, FSR_TEX_PLASTER, FSR_TEX_COBBLE, FSR_TEX_SKY, FSR_TEX_HEDGE, FSR_TEX_CROWN,
    FSR_TEX_BARK, FSR_TEX_SIGN, FSR_TEX_BUS, FSR_TEX_FENCE, FSR_TEX_BALLOON, FSR_TEX_BALL, FSR_TEX_POSTER,
    FSR_TEX_METAL, FSR_TEX_WOOD, FSR_TEX_WALLPAPER, FSR_TEX_BOOKS, FSR_TEX_CLOTH, FSR_TEX_GLOBE, FSR_TEX_PAINTING,
    FSR_TEX_RUG, FSR_TEX_TRAIN, FSR_TEX_NOISE, FSR_TEXTURES
} FsrTextureName;

typedef struct FsrVec {
    double x, y, z;
} FsrVec;

/** Square RGBA picture with its reductions; wraps at the borders. */
typedef struct FsrTexture {
    int levels;           /**< level l is 1 << (levels - 1 - l) samples wide */
    uint8_t *level[13];
} FsrTexture;

/** A parallelogram origin + s u + t v with s and t in 0..1, or a sphere. */
typedef struct FsrPrim {
    int sphere;
    FsrVec origin, u, v;  /**< sphere: origin is the centre, u and v turned unit axes of the texture */
    double radius;
    FsrTextureName tex;
    int cutout;           /**< samples with alpha under a half are holes */
    int sunny;            /**< takes the soft shadows of the view */
    double repeat_s, repeat_t, shift_s;  /**< texture repeats along u and v */
    double shade;         /**< brightness, 1 as baked */
    double grime;         /**< strength of a large-scale variation, 0 none */
    double haze;          /**< share of the haze colour at 100 m */
} FsrPrim;

typedef struct FsrShadow {
    double x, z, rx, rz, strength;
} FsrShadow;

/** All that is visible at one time. */
typedef struct FsrWorld {
    int prims, shadows;
    FsrPrim prim[FSR_SCENE_MAX_PRIMS];
    FsrShadow shadow[8];
    FsrVec eye, right, up, ahead;  /**< camera: position and unit axes */
    double zoom;                   /**< focal length in half picture widths */
    double light;                  /**< 0 black to 1: the fade */
} FsrWorld;

/** sin(2 pi turns), absolute error under 1e-9, the same bits everywhere. */
double fsr_sin_turns(double turns);
/** Hash of three integers, uniform over 32 bits. */
uint32_t fsr_hash(uint32_t a, uint32_t b, uint32_t c);

/** Bakes one texture with `threads` threads. 0 or -ENOMEM. Free with fsr_texture_free. */
int fsr_texture_bake(FsrTexture *t, FsrTextureName name, int threads);
void fsr_texture_free(FsrTexture *t);

/** Which view and how bright frame n of the edited clip is. */
FsrSceneView fsr_scene_edit(int64_t n, double *light);
/** Places everything in a view at a time in frames; the order of the primitives never changes. */
void fsr_world_build(FsrWorld *w, FsrSceneView view, double time);
/** Whether a view needs the texture. */
int fsr_world_uses(FsrSceneView view, FsrTextureName name);

/** One rendered picture; the caller owns the planes and sets what it does not want to NULL. */
typedef struct FsrPicture {
    int width, height;
    float *rgb;           /**< 3 floats a pixel, 0 to 255 */
    uint16_t *depth;      /**< millimetres along the viewing axis, 65535 farther */
    int16_t *motion;      /**< x, y to the same point one frame before, 1/16 pixel; FSR_MOTION_NONE
                               twice where that was hidden, outside, or another view */
} FsrPicture;
#define FSR_MOTION_NONE INT16_MIN

/** Renders `now`; `before` is the world one frame earlier or NULL (all motion FSR_MOTION_NONE).
 *  The result does not depend on the number of threads. 0 or -ENOMEM. */
int fsr_scene_render(const FsrPicture *pic, const FsrWorld *now, const FsrWorld *before,
                     const FsrTexture *textures, int threads);

/** BT.709 limited-range planes, 4:2:0 with chroma on the left luma columns, packed; bits 8 or 10.
 *  noise: standard deviation of the sensor noise on luma in 8-bit steps, seeded by frame number. */
void fsr_scene_to_yuv(const FsrPicture *pic, int bits, double noise, uint32_t frame, uint16_t *const planes[3]);

#endif
