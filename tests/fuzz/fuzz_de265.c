/*
 * Fuzzer of libde265 as a producer: damaged streams are decoded, and whoever takes its records is promised what
 * fsr_motion_load() promises. libde265_record.cc is compiled with sanitizers, libde265 is not: of it only what it frees
 * and copies is watched.
 *     fuzz_de265 [--seed N] [--runs N | --seconds S] STREAM STREAM...    (raw HEVC)
 */
#include <errno.h>

#include "codec_hooks/libde265_record.h"
#include "fuzz.h"
#include "tests/tools/damage.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

typedef struct Run {
    FsrMotion motion;
    long      pictures, records, holes, bad;
} Run;

static void look_at(Run *r, const FsrDe265Picture *pic)
{
    uint8_t *copy;

    r->pictures++;
    for (int p = 0; p < 3 && pic->plane[p]; p++)        /* the last row is there */
        FUZZ_CHECK(pic->plane[p][(pic->height - 1) / (p && pic->chroma_format == 1 ? 2 : 1) * pic->stride[p]] < 256, p);
    if (!pic->record)
        return;
    copy = malloc(pic->record->size);                   /* of exactly that size, for the sanitizer */
    memcpy(copy, pic->record, pic->record->size);
    FUZZ_CHECK(fsr_motion_load(&r->motion, copy, pic->record->size) == 0, pic->record->state);
    free(copy);
    fuzz_promises(&r->motion);
    r->records++;
    r->holes += !!r->motion.hdr.missing_ctbs;
    r->bad   += !!r->motion.nb_bad;                     /* a QP that no encoder can have meant */
}

static void take_pictures(Run *r, FsrDe265 *d)
{
    FsrDe265Picture pic;
    long turns = 0;
    int  ret;

    while ((ret = fsr_de265_receive(d, &pic)) != 0) {
        FUZZ_CHECK(ret == 1 || ret == -EINVAL, ret);
        FUZZ_CHECK(turns++ < 100000, turns);
        if (ret == 1)
            look_at(r, &pic);
        while (fsr_de265_message(d))
            ;
    }
}

static void decode(Run *r, const Stream *s)
{
    FsrDe265 *d = fsr_de265_open(1 + 2 * fuzz_rnd(2), 1024 * 1024, FSR_DE265_RECORDS | (fuzz_rnd(2) ? FSR_DE265_CHECK_HASH : 0));

    FUZZ_CHECK(d, 0);
    for (size_t at = 0; at < s->size; ) {
        const size_t left = s->size - at, n = 1 + fuzz_rnd(left < 20000 ? left : 20000);
        uint8_t *part = malloc(n);

        memcpy(part, s->data + at, n);
        FUZZ_CHECK(fsr_de265_send(d, part, n, at) == 0, at);
        free(part);
        at += n;
        take_pictures(r, d);
        if (!fuzz_rnd(100))
            fsr_de265_reset(d);
    }
    fsr_de265_drain(d);
    take_pictures(r, d);
    fsr_de265_close(&d);
}

int main(int argc, char **argv)
{
    Fuzz     f;
    Run      r = { 0 };
    Stream  *in;
    uint64_t done = 0;
    int      kinds = 0;

#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_set_death_callback(fuzz_tell);
#endif
    fuzz_options(&f, argc, argv);
    if (!f.nb_files) {
        fprintf(stderr, "%s wants raw HEVC streams to damage\n", argv[0]);
        return 2;
    }
    in = calloc(f.nb_files, sizeof(*in));
    for (int i = 0; i < f.nb_files; i++)
        in[i] = stream_load(f.files[i]);
    while (damage_kinds[kinds])
        kinds++;
    for (; fuzz_next(&f, done); done++) {
        const char *kind = damage_kinds[fuzz_rnd(kinds)];
        const int   a = fuzz_rnd(f.nb_files), b = fuzz_rnd(f.nb_files);
        Stream      s = stream_damage(&in[a], &in[b], kind, fuzz_number);
        static char what[256];

        snprintf(what, sizeof(what), "%.100s, damage '%s', other %.100s", f.files[a], kind, f.files[b]);
        fuzz_what = what;
        decode(&r, &s);
        stream_free(&s);
    }
    for (int i = 0; i < f.nb_files; i++)
        stream_free(&in[i]);
    free(in);
    fsr_motion_free(&r.motion);
    printf("%llu damaged streams from seed %llu: %ld pictures, %ld with records, %ld with missing blocks, %ld with entries that validation rejects\n",
           (unsigned long long)done, (unsigned long long)f.first, r.pictures, r.records, r.holes, r.bad);
    return 0;
}
