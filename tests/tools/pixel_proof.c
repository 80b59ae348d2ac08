/*
 * pixel_proof YUV WIDTH HEIGHT < BLOCKS
 *
 * Proves motion records by the pixels. BLOCKS is what `fsmv_dump --blocks` prints of a stream
 * that was coded without in-loop filters, YUV its decoded pictures (yuv420p, 8 bit). There
 * every block that has no residual must equal its prediction, computed here anew from the
 * pictures that its reference numbers and vectors point to (H.265 8.5.3.3.3 and 8.5.3.3.4,
 * luma), and none may be unknown. Prints how many 4x4 cells of which kind were compared (of
 * blocks in shapes 2:1 and, from asymmetric partitions, 4:1 and 4:3); status 1 when a block differs.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Ref {
    unsigned long number;
    int mx, my;
    int weight, log2_denom, offset;     /* 1, 0, 0 by default */
    int weighted;
} Ref;

typedef struct Block {
    int picture, x, y, w, h, skip;      /* x y w h in units of 4 samples */
    int nb_refs;
    Ref ref[2];
} Block;

typedef struct Proof {
    int w, h, nb_pictures;
    uint8_t *yuv;
    long *index;                        /* picture by number, -1 = none */
    size_t nb_numbers;
    Block *blocks;
    size_t nb_blocks, alloc;
} Proof;

static void die(const char *what)
{
    fprintf(stderr, "pixel_proof: %s\n", what);
    exit(2);
}

static const uint8_t *luma(const Proof *p, int picture)
{
    return p->yuv + (size_t)picture * (p->w * p->h * 3 / 2);
}

static int sample(const Proof *p, const uint8_t *plane, int x, int y)
{
    x = x < 0 ? 0 : x >= p->w ? p->w - 1 : x;
    y = y < 0 ? 0 : y >= p->h ? p->h - 1 : y;
    return plane[y * p->w + x];
}

static const int taps[4][8] = {
    { 0, 0, 0, 64, 0, 0, 0, 0 },         { -1, 4, -10, 58, 17, -5, 1, 0 },
    { -1, 4, -11, 40, 40, -11, 4, -1 },  { 0, 1, -5, 17, 58, -10, 4, -1 },
};

static int filter_row(const Proof *p, const uint8_t *plane, int x, int y, int frac)
{
    int sum = 0;

    for (int i = 0; i < 8; i++)
        sum += taps[frac][i] * sample(p, plane, x + i - 3, y);
    return sum;
}

/* Prediction sample of 14 bits. */
static int predict(const Proof *p, const uint8_t *plane, int x, int y, int mx, int my)
{
    const int fx = mx & 3, fy = my & 3;
    int sum = 0;

    x += (mx - fx) / 4;
    y += (my - fy) / 4;
    if (!fy)
        return filter_row(p, plane, x, y, fx);
    for (int i = 0; i < 8; i++)
        sum += taps[fy][i] * (fx ? filter_row(p, plane, x, y + i - 3, fx) : sample(p, plane, x, y + i - 3));
    return fx ? sum >> 6 : sum;
}

static int clip(int v)
{
    return v < 0 ? 0 : v > 255 ? 255 : v;
}

static int combine(const Block *c, const int v[2])
{
    const Ref *a = &c->ref[0], *b = &c->ref[1];
    int log2_wd, d;

    if (c->nb_refs == 1) {
        if (!a->weighted)
            return clip((v[0] + 32) >> 6);
        log2_wd = a->log2_denom + 6;
        return clip(((v[0] * a->weight + (1 << (log2_wd - 1))) >> log2_wd) + a->offset);
    }
    if (!a->weighted && !b->weighted)
        return clip((v[0] + v[1] + 64) >> 7);
    d = a->weighted ? a->log2_denom : b->log2_denom;
    log2_wd = d + 6;
    return clip((v[0] * (a->weight << (d - a->log2_denom)) + v[1] * (b->weight << (d - b->log2_denom)) +
                 ((a->offset + b->offset + 1) << log2_wd)) >> (log2_wd + 1));
}

static int block_differs(const Proof *p, const Block *c)
{
    const uint8_t *ref[2] = { NULL, NULL };

    for (int l = 0; l < c->nb_refs; l++) {
        const unsigned long n = c->ref[l].number;
        if (n >= p->nb_numbers || p->index[n] < 0)
            return 1;
        ref[l] = luma(p, p->index[n]);
    }
    for (int y = c->y * 4; y < (c->y + c->h) * 4; y++)
        for (int x = c->x * 4; x < (c->x + c->w) * 4; x++) {
            int v[2] = { 0, 0 };
            for (int l = 0; l < c->nb_refs; l++)
                v[l] = predict(p, ref[l], x, y, c->ref[l].mx, c->ref[l].my);
            if (combine(c, v) != luma(p, c->picture)[y * p->w + x])
                return 1;
        }
    return 0;
}

static void read_yuv(Proof *p, const char *name)
{
    FILE *f = fopen(name, "rb");
    long size;

    if (!f || fseek(f, 0, SEEK_END) || (size = ftell(f)) < 0)
        die("the pictures cannot be read");
    rewind(f);
    p->nb_pictures = size / (p->w * p->h * 3 / 2);
    if (!(p->yuv = malloc(size + 1)) || fread(p->yuv, 1, size, f) != (size_t)size)
        die("the pictures cannot be read");
    fclose(f);
}

static void read_picture(Proof *p, const char *line, int *picture)
{
    unsigned long number;
    int w, h;
    const char *s = strstr(line, "size=");

    if (sscanf(line, "n=%d number=%lu", picture, &number) != 2 || !s || sscanf(s, "size=%dx%d", &w, &h) != 2)
        die("a picture without a record");
    if (w != p->w || h != p->h || *picture >= p->nb_pictures)
        die("records and pictures do not belong together");
    if (number >= p->nb_numbers) {
        const size_t n = number * 2 + 16;
        if (!(p->index = realloc(p->index, n * sizeof(*p->index))))
            die("no memory");
        while (p->nb_numbers < n)
            p->index[p->nb_numbers++] = -1;
    }
    p->index[number] = *picture;
}

static void read_block(Proof *p, const char *line, int picture)
{
    Block c = { .picture = picture };
    char mode[16], flags[16];
    int qp, used;

    if (sscanf(line, " %d %d %dx%d %15s %15s %d%n", &c.x, &c.y, &c.w, &c.h, mode, flags, &qp, &used) != 7)
        die("a block that cannot be read");
    if (!strcmp(mode, "unknown"))
        die("a block is unknown");
    c.skip = !strcmp(mode, "skip");
    if ((!c.skip && strcmp(mode, "inter")) || flags[0] == 'r')
        return;
    for (line += used; c.nb_refs < 2; c.nb_refs++) {
        Ref *r = &c.ref[c.nb_refs];

        *r = (Ref) { .weight = 1 };
        if (sscanf(line, " L%*d %lu/%*d %d,%d%n", &r->number, &r->mx, &r->my, &used) != 3)
            break;
        line += used;
        if (sscanf(line, " w%d>>%d%d%n", &r->weight, &r->log2_denom, &r->offset, &used) == 3) {
            r->weighted = 1;
            line += used;
        }
    }
    if (p->nb_blocks == p->alloc) {
        p->alloc = p->alloc * 2 + 1024;
        if (!(p->blocks = realloc(p->blocks, p->alloc * sizeof(*p->blocks))))
            die("no memory");
    }
    p->blocks[p->nb_blocks++] = c;
}

/* Is one side n / d of the other? */
static int shape(const Block *b, int n, int d)
{
    return b->w * d == b->h * n || b->h * d == b->w * n;
}

int main(int argc, char **argv)
{
    Proof p = { 0 };
    char line[512];
    int picture = -1;
    long cells = 0, differ = 0, full = 0, both = 0, weighted = 0, skip = 0, halves = 0, asymmetric = 0;

    if (argc != 4 || (p.w = atoi(argv[2])) <= 0 || (p.h = atoi(argv[3])) <= 0)
        die("usage: pixel_proof YUV WIDTH HEIGHT < BLOCKS");
    read_yuv(&p, argv[1]);
    while (fgets(line, sizeof(line), stdin))
        if (line[0] == 'n')
            read_picture(&p, line, &picture);
        else
            read_block(&p, line, picture);
    for (size_t i = 0; i < p.nb_blocks; i++) {
        const Block *b = &p.blocks[i];
        const int n = b->w * b->h;

        cells      += n;
        full       += n * !((b->ref[0].mx | b->ref[0].my | b->ref[1].mx | b->ref[1].my) & 3);
        both       += n * (b->nb_refs == 2);
        weighted   += n * (b->ref[0].weighted || b->ref[1].weighted);
        skip       += n * b->skip;
        halves     += n * shape(b, 1, 2);
        asymmetric += n * (shape(b, 1, 4) || shape(b, 3, 4));
        if (block_differs(&p, b) && differ++ < 5)
            printf("picture %d block %d,%d %dx%d differs from its prediction\n", b->picture, b->x, b->y, b->w, b->h);
    }
    printf("%ld cells compared (%ld skipped, %ld full-sample, %ld bipredicted, %ld weighted, %ld in halves, "
           "%ld asymmetric), %ld blocks differ\n", cells, skip, full, both, weighted, halves, asymmetric, differ);
    free(p.blocks);
    free(p.index);
    free(p.yuv);
    return differ || !p.nb_blocks;
}
