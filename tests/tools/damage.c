/*
 * damage HOW SEED IN OUT [OTHER]
 *
 * Damages an Annex B stream (raw HEVC) in a way that SEED decides, always the same:
 *   bytes   some bytes behind the first picture get another value
 *   bits    a single bit in each of a few units
 *   drop    a tenth of the units is left out (lost slices, lost references)
 *   twice   some units stand twice
 *   swap    neighbouring units change places
 *   cut     the end is missing
 *   tail    parameter sets, then the stream from somewhere in the middle
 *   splice  runs of units of OTHER stand between those of IN
 *   params  bytes of parameter sets and slice headers
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Stream {
    uint8_t *data;
    size_t   size;
    size_t  *unit;                      /* where each unit begins, its start code included */
    size_t   nb_units;
} Stream;

static uint64_t seed;

static uint32_t rnd(uint32_t n)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return n ? (seed >> 33) % n : 0;
}

static void die(const char *what)
{
    fprintf(stderr, "damage: %s\n", what);
    exit(2);
}

static Stream load(const char *name)
{
    Stream s = { 0 };
    FILE *f = fopen(name, "rb");
    long size;

    if (!f || fseek(f, 0, SEEK_END) || (size = ftell(f)) < 8)
        die("the stream cannot be read");
    rewind(f);
    s.size = size;
    s.data = malloc(s.size);
    s.unit = malloc((s.size / 3 + 2) * sizeof(*s.unit));
    if (!s.data || !s.unit || fread(s.data, 1, s.size, f) != s.size)
        die("the stream cannot be read");
    fclose(f);
    for (size_t i = 0; i + 3 < s.size; i++)
        if (!s.data[i] && !s.data[i + 1] && s.data[i + 2] == 1)
            s.unit[s.nb_units++] = i;
    s.unit[s.nb_units] = s.size;
    if (!s.nb_units)
        die("there are no units in it");
    return s;
}

static size_t unit_size(const Stream *s, size_t i)
{
    return s->unit[i + 1] - s->unit[i];
}

static int unit_type(const Stream *s, size_t i)
{
    return s->data[s->unit[i] + 3] >> 1 & 63;
}

static void put(const Stream *s, size_t i, FILE *out)
{
    fwrite(s->data + s->unit[i], 1, unit_size(s, i), out);
}

/* Change n bytes of unit i behind its header, within the first reach bytes. */
static void change(Stream *s, size_t i, int n, size_t reach, int one_bit)
{
    const size_t size = unit_size(s, i);

    if (size <= 6)
        return;
    if (reach > size - 5)
        reach = size - 5;
    while (n-- > 0) {
        uint8_t *p = s->data + s->unit[i] + 5 + rnd(reach);
        *p = one_bit ? *p ^ 1u << rnd(8) : rnd(256);
    }
}

static void damage_units(Stream *s, const char *how)
{
    for (size_t i = 0; i < s->nb_units; i++) {
        const int picture = unit_type(s, i) < 32;

        if (!strcmp(how, "bytes") && picture && i > 4 && !rnd(6))
            change(s, i, 1 + rnd(20), SIZE_MAX, 0);
        else if (!strcmp(how, "bits") && picture && !rnd(4))
            change(s, i, 1, SIZE_MAX, 1);
        else if (!strcmp(how, "params") && !rnd(picture ? 8 : 2))
            change(s, i, 1, 12, 1);
    }
}

static void write_units(Stream *s, const Stream *other, const char *how, FILE *out)
{
    const size_t start = !strcmp(how, "tail") ? s->nb_units / 4 + rnd(s->nb_units / 2) : 0;

    for (size_t i = 0; i < s->nb_units; i++) {
        const int picture = unit_type(s, i) < 32;

        if (picture && i < start)
            continue;
        if (!strcmp(how, "drop") && picture && i > 4 && !rnd(10))
            continue;
        if (!strcmp(how, "swap") && i + 1 < s->nb_units && !rnd(8)) {
            put(s, i + 1, out);
            put(s, i++, out);
            continue;
        }
        put(s, i, out);
        if (!strcmp(how, "twice") && !rnd(8))
            put(s, i, out);
        if (!strcmp(how, "splice") && !rnd(6)) {
            size_t from = rnd(other->nb_units);
            for (int n = 1 + rnd(8); n > 0 && from < other->nb_units; n--)
                put(other, from++, out);
        }
    }
}

int main(int argc, char **argv)
{
    Stream s, other = { 0 };
    FILE *out;

    if (argc < 5 || (!strcmp(argv[1], "splice") && argc < 6))
        die("usage: damage HOW SEED IN OUT [OTHER]");
    seed = strtoul(argv[2], NULL, 10) * 7919 + 1;
    for (int i = 0; i < 8; i++)
        rnd(1);
    s = load(argv[3]);
    if (argc > 5)
        other = load(argv[5]);
    if (!(out = fopen(argv[4], "wb")))
        die("the result cannot be written");
    if (!strcmp(argv[1], "cut"))
        fwrite(s.data, 1, s.size / 4 + rnd(s.size / 2), out);
    else {
        damage_units(&s, argv[1]);
        write_units(&s, &other, argv[1], out);
    }
    if (fclose(out))
        die("the result cannot be written");
    free(s.data);
    free(s.unit);
    free(other.data);
    free(other.unit);
    return 0;
}
