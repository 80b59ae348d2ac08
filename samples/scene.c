/* fsr_scene: command line of the scene renderer: y4m, depth and motion out. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "samples/scene.h"
#include "samples/y4m.h"

static const char help[] =
    "Usage: fsr_scene [options] [OUT.y4m]        (OUT defaults to -, standard output)\n"
    "\n"
    "Draws the sample scene, a street and a room with camera motion, moving objects and occlusions,\n"
    "25 frames a second, BT.709 limited range, 4:2:0. The same bytes on every machine.\n"
    "\n"
    "  --size WxH      picture size (960x540), 16x16 to 8192x8192\n"
    "  --frames N      how many frames (96); the edit repeats after 96\n"
    "  --first N       number of the first frame (0)\n"
    "  --shot NAME     all: street, at frame 58 a cut to the room, from 80 on a fade to dark;\n"
    "                  street or room: that view alone, no cut and no fade, any length (all)\n"
    "  --bits 8|10     depth (8)\n"
    "  --noise S       sensor noise on luma, standard deviation in 8-bit steps (0)\n"
    "  --depth FILE    true depth: for each frame width x height little-endian 16-bit numbers,\n"
    "                  millimetres along the viewing axis, 65535 = farther\n"
    "  --motion FILE   true motion: for each frame width x height pairs x, y of little-endian\n"
    "                  signed 16-bit numbers: where the point seen here was one frame before, minus\n"
    "                  here, in 1/16 pixel (x right, y down); -32768 -32768 where it was hidden,\n"
    "                  outside or in another view. Shadows do not count, they move over the ground\n"
    "  --progress 1    count the frames on standard error (0)\n"
    "  --threads N     1 to 16 (the number of processors); the result is the same\n"
    "\n"
    "Exit status: 0 done, 1 error.\n";

typedef struct Options {
    int width, height, bits, threads, shot, progress;
    long frames, first;
    double noise;
    const char *out, *depth, *motion;
} Options;

typedef struct Side {
    FILE *file;
    char *part;
    const char *path;
} Side;

static int number(const char *s, long low, long high, long *out)
{
    char *end;
    long v = s ? strtol(s, &end, 10) : 0;

    if (!s || !*s || *end || v < low || v > high)
        return -EINVAL;
    *out = v;
    return 0;
}

static int parse_one(Options *o, const char *name, const char *value)
{
    static const char *const shots[] = { "street", "room", "all" };
    long v = 0;
    int ret = 0, used = 0;

    if (!strcmp(name, "--size")) {
        char rest;
        ret = value && sscanf(value, "%dx%d%c", &o->width, &o->height, &rest) == 2 && o->width >= 16 && o->height >= 16 &&
              o->width <= 8192 && o->height <= 8192 ? 0 : -EINVAL;
    } else if (!strcmp(name, "--frames")) {
        ret = number(value, 1, 10000000, &o->frames);
    } else if (!strcmp(name, "--first")) {
        ret = number(value, 0, 10000000, &o->first);
    } else if (!strcmp(name, "--shot")) {
        for (o->shot = 0; o->shot < 3 && (!value || strcmp(value, shots[o->shot])); o->shot++)
            ;
        ret = o->shot < 3 ? 0 : -EINVAL;
    } else if (!strcmp(name, "--bits")) {
        ret = number(value, 8, 10, &v) || v == 9 ? -EINVAL : 0;
        o->bits = (int)v;
    } else if (!strcmp(name, "--noise")) {
        char *end;
        o->noise = value ? strtod(value, &end) : -1;
        ret = o->noise >= 0 && o->noise <= 50 && !*end ? 0 : -EINVAL;
    } else if (!strcmp(name, "--threads")) {
        ret = number(value, 1, 16, &v);
        o->threads = (int)v;
    } else if (!strcmp(name, "--progress")) {
        ret = number(value, 0, 1, &v);
        o->progress = (int)v;
    } else if (!strcmp(name, "--depth") && value) {
        o->depth = value;
    } else if (!strcmp(name, "--motion") && value) {
        o->motion = value;
    } else {
        used = -1;
    }
    if (used < 0)
        fprintf(stderr, "fsr_scene: unknown option or missing value: %s (see fsr_scene --help)\n", name);
    else if (ret < 0)
        fprintf(stderr, "fsr_scene: %s cannot be '%s' (see fsr_scene --help)\n", name, value ? value : "");
    return ret < 0 || used < 0 ? -EINVAL : 0;
}

static int parse(Options *o, int argc, char **argv)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    *o = (Options){ 960, 540, 8, cores < 1 ? 1 : cores > 16 ? 16 : (int)cores, 2, 0, 96, 0, 0, NULL, NULL, NULL };
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] == '-' && argv[i][1]) {
            if (parse_one(o, argv[i], i + 1 < argc ? argv[i + 1] : NULL) < 0)
                return -EINVAL;
            i++;
        } else if (o->out) {
            fprintf(stderr, "fsr_scene: one output file only\n");
            return -EINVAL;
        } else {
            o->out = argv[i];
        }
    }
    if (!o->out)
        o->out = "-";
    return 0;
}

/** A truth file under its temporary name; devices, pipes and links as they are. */
static int side_open(Side *s, const char *path)
{
    struct stat st;

    s->path = path;
    if (!path)
        return 0;
    s->part = malloc(strlen(path) + 6);
    if (!s->part)
        return -ENOMEM;
    sprintf(s->part, lstat(path, &st) || S_ISREG(st.st_mode) ? "%s.part" : "%s", path);
    s->file = fopen(s->part, "wb");
    if (s->file)
        return 0;
    fprintf(stderr, "fsr_scene: %s: %s\n", s->part, strerror(errno));
    return -EIO;
}

static int side_write(Side *s, const uint16_t *data, size_t n)
{
    uint8_t buf[4096];

    for (size_t i = 0; s->file && i < n;) {
        size_t k = 0;
        for (; k < sizeof(buf) / 2 && i < n; k++, i++) {
            buf[2 * k] = data[i] & 255;
            buf[2 * k + 1] = (uint8_t)(data[i] >> 8);
        }
        if (fwrite(buf, 2, k, s->file) != k) {
            fprintf(stderr, "fsr_scene: %s: %s\n", s->path, strerror(errno));
            return -EIO;
        }
    }
    return 0;
}

static int side_close(Side *s, int complete)
{
    int ret = 0;

    if (s->file) {
        if (fclose(s->file) || (complete && strcmp(s->part, s->path) && rename(s->part, s->path))) {
            fprintf(stderr, "fsr_scene: %s could not be written\n", s->path);
            ret = -EIO;
        }
        if ((!complete || ret < 0) && strcmp(s->part, s->path))
            remove(s->part);
    }
    free(s->part);
    return ret;
}

static FsrSceneView world_at(const Options *o, int64_t n, FsrWorld *w)
{
    double light = 1;
    FsrSceneView view = o->shot == 2 ? fsr_scene_edit(n, &light) : (FsrSceneView)o->shot;

    fsr_world_build(w, view, (double)n);
    w->light = light;
    return view;
}

static int bake(const Options *o, FsrTexture *tex)
{
    for (int t = 0; t < FSR_TEXTURES; t++)
        for (int v = 0; v < FSR_VIEWS; v++)
            if ((o->shot == 2 || o->shot == v) && !tex[t].levels && fsr_world_uses(v, t) &&
                fsr_texture_bake(&tex[t], t, o->threads) < 0)
                return -ENOMEM;
    return 0;
}

static int frames(const Options *o, const FsrPicture *pic, const FsrTexture *tex, uint16_t *const planes[3], FsrY4m *out,
                  Side *depth, Side *motion)
{
    FsrWorld world[2];
    FsrSceneView last = FSR_VIEWS, view;
    size_t n = (size_t)pic->width * pic->height;

    for (int64_t i = o->first; i < o->first + o->frames; i++) {
        FsrWorld *now = &world[i & 1], *before = &world[~i & 1];
        if (i == o->first && i > 0)
            last = world_at(o, i - 1, before);
        view = world_at(o, i, now);
        if (fsr_scene_render(pic, now, view == last ? before : NULL, tex, o->threads) < 0)
            return -ENOMEM;
        fsr_scene_to_yuv(pic, o->bits, o->noise, (uint32_t)i, planes);
        last = view;
        if (fsr_y4m_write(out, (const uint16_t *const *)planes) < 0) {
            fprintf(stderr, "fsr_scene: %s\n", out->error);
            return -EIO;
        }
        if (o->progress)
            fprintf(stderr, "frame %lld of %ld%c", (long long)(i - o->first + 1), o->frames,
                    i + 1 < o->first + o->frames ? '\r' : '\n');
        if (side_write(depth, pic->depth, n) < 0 || side_write(motion, (const uint16_t *)pic->motion, 2 * n) < 0)
            return -EIO;
    }
    return 0;
}

static int run(const Options *o)
{
    FsrY4mFormat f = { o->width, o->height, o->bits, 3, 1, 1, FSR_Y4M_LEFT, 0, 25, 1, 1, 1 };
    FsrPicture pic = { o->width, o->height, NULL, NULL, NULL };
    FsrTexture tex[FSR_TEXTURES] = { 0 };
    Side depth = { 0 }, motion = { 0 };
    uint16_t *planes[3] = { 0 };
    FsrY4m out = { 0 };
    size_t n = (size_t)o->width * o->height;
    int ret;

    pic.rgb = malloc(n * 3 * sizeof(float));
    pic.depth = o->depth ? malloc(n * 2) : NULL;
    pic.motion = o->motion ? malloc(n * 4) : NULL;
    ret = !pic.rgb || (o->depth && !pic.depth) || (o->motion && !pic.motion) || fsr_y4m_alloc(&f, planes) < 0 ? -ENOMEM : bake(o, tex);
    if (ret >= 0 && (ret = fsr_y4m_create(&out, o->out, &f)) < 0)
        fprintf(stderr, "fsr_scene: %s\n", out.error);
    if (ret >= 0)
        ret = side_open(&depth, o->depth);
    if (ret >= 0)
        ret = side_open(&motion, o->motion);
    if (ret >= 0)
        ret = frames(o, &pic, tex, planes, &out, &depth, &motion);
    if (ret == -ENOMEM)
        fprintf(stderr, "fsr_scene: out of memory\n");
    if (fsr_y4m_close(&out, ret >= 0) < 0 && ret >= 0) {
        fprintf(stderr, "fsr_scene: %s\n", out.error);
        ret = -EIO;
    }
    if (side_close(&depth, ret >= 0) < 0 || side_close(&motion, ret >= 0) < 0)
        ret = -EIO;
    for (int t = 0; t < FSR_TEXTURES; t++)
        fsr_texture_free(&tex[t]);
    free(pic.rgb);
    free(pic.depth);
    free(pic.motion);
    free(planes[0]);
    return ret;
}

int main(int argc, char **argv)
{
    Options o;

    if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
        fputs(help, stdout);
        return 0;
    }
    return parse(&o, argc, argv) < 0 || run(&o) < 0;
}
