/*
 * Fuzzer of the record reader: streams of records as producers write them (decoded ones, and imported
 */
#include "fuzz.h"

#include "codec_hooks/import_avmv.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

enum { MAX_SIDE = 150, CAPACITY = 1 << 17 };

typedef struct Source {
    int       w, h, crop[4], depth, imported;
    FsrImport import;
    uint32_t  number;
    uint8_t  *buf;
} Source;

static FsrRecord *open_record(Source *s)
{
    FsrRecord *r = fsr_record_open(s->buf, CAPACITY, s->w, s->h);

    r->bit_depth   = s->depth;
    r->crop_left   = s->crop[0];
    r->crop_right  = s->crop[1];
    r->crop_top    = s->crop[2];
    r->crop_bottom = s->crop[3];
    return r;
}

static int16_t vector(void)
{
    return fuzz_rnd(3) ? (int)fuzz_rnd(80) - 40 : (int)fuzz_rnd(65536) - 32768;
}

static void write_blocks(FsrRecord *r)
{
    const int cw = fsr_cells(r->coded_w), ch = fsr_cells(r->coded_h), size = 1 << fuzz_rnd(5);

    for (int y = 0; y < ch; y += size)
        for (int x = 0; x < cw; x += size) {
            FsrBlock *b = fsr_record_add_block(r);

            if (!b)
                return;
            b->x = x;
            b->y = y;
            b->w = cw - x < size ? cw - x : size;
            b->h = ch - y < size ? ch - y : size;
            b->mode = fuzz_rnd(4);
            b->qp   = fuzz_rnd(52);
            for (int l = 0; l < 2 && b->mode >= FSR_INTER; l++)
                if (r->nb_refs && (!l || fuzz_rnd(2))) {
                    b->ref[l]   = fuzz_rnd(r->nb_refs);
                    b->mv[l][0] = vector();
                    b->mv[l][1] = vector();
                }
            if (b->ref[0] == FSR_NO_REF && b->ref[1] == FSR_NO_REF && b->mode >= FSR_INTER)
                b->mode = FSR_INTRA;
        }
}

static FsrRecord *write_record(Source *s)
{
    FsrRecord *r = open_record(s);
    int nb = fuzz_rnd(5);

    r->number = ++s->number;
    r->poc    = (int)s->number + (int)fuzz_rnd(9) - 4;
    r->kind   = fuzz_rnd(8) ? FSR_KIND_TRAIL : fuzz_rnd(FSR_KIND_IDR + 1);
    r->type   = "IPB"[fuzz_rnd(3)];
    r->flags  = fuzz_rnd(4);
    for (int i = 0; i < nb; i++) {
        FsrRef ref = { .number = fuzz_rnd(s->number), .poc = r->poc + (int)fuzz_rnd(9) - 4, .flags = fuzz_rnd(8) };

        for (int c = 0; c < 3; c++) {
            ref.weight[c] = (int)fuzz_rnd(383) - 127;
            ref.offset[c] = (int)fuzz_rnd(256) - 128;
        }
        ref.log2_denom[0] = ref.log2_denom[1] = fuzz_rnd(8);
        if (!fuzz_rnd(6)) {
            ref.flags |= FSR_REF_DIRECTION;
            ref.number = 0;
        }
        fsr_record_add_ref(r, &ref);
    }
    nb = fuzz_rnd(17);
    for (int i = 0; i < nb; i++)
        fsr_record_add_held(r, 1 + fuzz_rnd(s->number));
    write_blocks(r);
    r->state = fuzz_rnd(20) ? FSR_DONE : fuzz_rnd(3);
    return r;
}

static FsrRecord *import_record(Source *s)
{
    FsrRecord *r = open_record(s);
    const int  nb = fuzz_rnd(80);
    FsrVector  v[80];

    for (int i = 0; i < nb; i++) {
        v[i] = (FsrVector){ .source = (int)fuzz_rnd(3) - 1, .w = 1 + fuzz_rnd(255), .h = 1 + fuzz_rnd(32), .dst_x = fuzz_rnd(s->w + 20),
                            .dst_y = fuzz_rnd(s->h + 20), .motion_x = vector(), .motion_y = vector(), .motion_scale = fuzz_rnd(5) };
        v[i].src_x = v[i].dst_x + (fuzz_rnd(3) ? v[i].motion_x / 4 : vector());
        v[i].src_y = v[i].dst_y + v[i].motion_y / 4;
    }
    FUZZ_CHECK(fsr_import_vectors(&s->import, r, v, nb, fuzz_rnd(2)) == 0, nb);
    return r;
}

/* Bits, bytes, words at the ends of their range, a piece moved, the end missing. The size given with the bytes. */
static size_t damage(uint8_t *p, size_t size)
{
    static const uint32_t words[] = { 0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff };
    int n = fuzz_rnd(8);

    while (n-- > 0) {
        const size_t reach = fuzz_rnd(2) ? (size < 96 ? size : 96) : size;  /* the header half of the time */
        const size_t at = fuzz_rnd(reach);

        switch (fuzz_rnd(5)) {
        case 0: p[at] ^= 1u << fuzz_rnd(8); break;
        case 1: p[at] = fuzz_rnd(256); break;
        case 2: memcpy(p + at, &words[fuzz_rnd(sizeof(words) / sizeof(*words))], size - at < 4 ? size - at : 1u << fuzz_rnd(3)); break;
        case 3: {
            const size_t to = fuzz_rnd(size), len = fuzz_rnd(1 + (size - (at > to ? at : to)));

            memmove(p + to, p + at, len < 64 ? len : 64);
            break;
        }
        case 4:
            if (!fuzz_rnd(4))
                size = fuzz_rnd(size) + 1;
            break;
        }
    }
    return size;
}

static void one_stream(void)
{
    Source     s = { .w = 1 + fuzz_rnd(MAX_SIDE), .h = 1 + fuzz_rnd(MAX_SIDE), .depth = fuzz_rnd(3) ? 8 : 10, .imported = !fuzz_rnd(3) };
    FsrMotion  m = { 0 };
    FuzzEngine e;
    FsrFormat  f;
    const int  pictures = 1 + fuzz_rnd(24);

    for (int i = 0; i < 4; i++)
        s.crop[i] = fuzz_rnd((i < 2 ? s.w : s.h) / 2 + 1) / (1 + fuzz_rnd(8));
    if (s.crop[0] + s.crop[1] >= s.w || s.crop[2] + s.crop[3] >= s.h)
        memset(s.crop, 0, sizeof(s.crop));
    s.buf = malloc(CAPACITY);
    f = (FsrFormat){ .width = s.w - s.crop[0] - s.crop[1], .height = s.h - s.crop[2] - s.crop[3], .bit_depth = s.depth,
                     .sample_bytes = s.depth > 8 ? 2 : 1, .planes = fuzz_rnd(2) ? 1 : 3, .log2_chroma_w = 1, .log2_chroma_h = fuzz_rnd(2) };
    fuzz_engine_start(&e, &f);
    for (int i = 0; i < pictures; i++) {
        FsrRecord *r = s.imported && fuzz_rnd(8) ? import_record(&s) : write_record(&s);
        size_t     size = r->size;
        uint8_t   *exact;       /* so that reading behind the end is seen */
        FsrPlanes  planes;
        uint8_t   *mem = malloc(fuzz_planes(&f, NULL, &planes));
        const size_t bytes = fuzz_planes(&f, mem, &planes);
        int ret;

        if (fuzz_rnd(3))
            size = damage(s.buf, size);
        exact = malloc(size);
        memcpy(exact, s.buf, size);
        ret = fsr_motion_load(&m, exact, size);
        FUZZ_CHECK(ret <= 0, ret);
        if (!ret) {
            fuzz_promises(&m);
        } else {
            FUZZ_CHECK(m.hdr.nb_blocks == 0, m.hdr.nb_blocks);
        }
        for (size_t k = 0; k < bytes; k++)
            mem[k] = s.depth > 8 && k % 2 ? fuzz_rnd(4) : 100 + fuzz_rnd(56);
        fuzz_engine_push(&e, mem, &planes, exact, size);
        free(exact);
    }
    fuzz_engine_end(&e);
    fsr_motion_free(&m);
    free(s.buf);
}

int main(int argc, char **argv)
{
    Fuzz f;
    uint64_t done = 0;

#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_set_death_callback(fuzz_tell);
#endif
    fuzz_options(&f, argc, argv);
    fuzz_what = "records";
    for (; fuzz_next(&f, done); done++)
        one_stream();
    printf("%llu streams of records from seed %llu\n", (unsigned long long)done, (unsigned long long)f.first);
    return 0;
}
