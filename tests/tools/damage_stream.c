/* What damage.h says. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "damage.h"

const char *const damage_kinds[] = { "bytes", "bits", "drop", "twice", "swap", "cut", "irap", "tail", "splice", "params", NULL };

static uint32_t rnd(uint64_t *seed, uint32_t n)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return n ? (*seed >> 33) % n : 0;
}

static void die(const char *what)
{
    fprintf(stderr, "damage: %s\n", what);
    exit(2);
}

static void find_units(Stream *s)
{
    s->unit = malloc((s->size / 3 + 2) * sizeof(*s->unit));
    if (!s->unit)
        die("out of memory");
    for (size_t i = 0; i + 3 < s->size; i++)
        if (!s->data[i] && !s->data[i + 1] && s->data[i + 2] == 1)
            s->unit[s->nb_units++] = i;
    s->unit[s->nb_units] = s->size;
}

Stream stream_load(const char *name)
{
    Stream s = { 0 };
    FILE *f = fopen(name, "rb");
    long size;

    if (!f || fseek(f, 0, SEEK_END) || (size = ftell(f)) < 8)
        die("the stream cannot be read");
    rewind(f);
    s.size = size;
    s.data = malloc(s.size);
    if (!s.data || fread(s.data, 1, s.size, f) != s.size)
        die("the stream cannot be read");
    fclose(f);
    find_units(&s);
    if (!s.nb_units)
        die("there are no units in it");
    return s;
}

void stream_free(Stream *s)
{
    free(s->data);
    free(s->unit);
    memset(s, 0, sizeof(*s));
}

static size_t unit_size(const Stream *s, size_t i)
{
    return s->unit[i + 1] - s->unit[i];
}

static int unit_type(const Stream *s, size_t i)
{
    return s->data[s->unit[i] + 3] >> 1 & 63;
}

/* out has room: a unit is written at most twice, and at most 8 others after it. */
static void put(const Stream *s, size_t i, Stream *out, size_t room)
{
    const size_t n = unit_size(s, i);

    if (n > room - out->size)
        return;
    memcpy(out->data + out->size, s->data + s->unit[i], n);
    out->size += n;
}

/* Change n bytes of unit i behind its header, within the first reach bytes. */
static void change(Stream *s, size_t i, int n, size_t reach, int one_bit, uint64_t *seed)
{
    const size_t size = unit_size(s, i);

    if (size <= 6)
        return;
    if (reach > size - 5)
        reach = size - 5;
    while (n-- > 0) {
        uint8_t *p = s->data + s->unit[i] + 5 + rnd(seed, reach);
        *p = one_bit ? *p ^ 1u << rnd(seed, 8) : rnd(seed, 256);
    }
}

static void damage_units(Stream *s, const char *how, uint64_t *seed)
{
    for (size_t i = 0; i < s->nb_units; i++) {
        const int picture = unit_type(s, i) < 32;

        if (!strcmp(how, "bytes") && picture && i > 4 && !rnd(seed, 6))
            change(s, i, 1 + rnd(seed, 20), SIZE_MAX, 0, seed);
        else if (!strcmp(how, "bits") && picture && !rnd(seed, 4))
            change(s, i, 1, SIZE_MAX, 1, seed);
        else if (!strcmp(how, "params") && !rnd(seed, picture ? 8 : 2))
            change(s, i, 1, 12, 1, seed);
    }
}

/* The first unit of the second picture that decoding can begin with */
static size_t second_irap(const Stream *s)
{
    int nb = 0;

    for (size_t i = 0; i < s->nb_units; i++)
        if (unit_type(s, i) >= 16 && unit_type(s, i) <= 21 && unit_size(s, i) > 5 && s->data[s->unit[i] + 5] & 128 && ++nb == 2)
            return i;           /* first_slice_segment_in_pic_flag */
    return 0;
}

static void write_units(const Stream *s, const Stream *other, const char *how, Stream *out, size_t room, uint64_t *seed)
{
    const size_t start = !strcmp(how, "tail") ? s->nb_units / 4 + rnd(seed, s->nb_units / 2) :
                         !strcmp(how, "irap") ? second_irap(s) : 0;

    for (size_t i = 0; i < s->nb_units; i++) {
        const int picture = unit_type(s, i) < 32;

        if (picture && i < start)
            continue;
        if (!strcmp(how, "drop") && picture && i > 4 && !rnd(seed, 10))
            continue;
        if (!strcmp(how, "swap") && i + 1 < s->nb_units && !rnd(seed, 8)) {
            put(s, i + 1, out, room);
            put(s, i++, out, room);
            continue;
        }
        put(s, i, out, room);
        if (!strcmp(how, "twice") && !rnd(seed, 8))
            put(s, i, out, room);
        if (!strcmp(how, "splice") && !rnd(seed, 6)) {
            size_t from = rnd(seed, other->nb_units);
            for (int n = 1 + rnd(seed, 8); n > 0 && from < other->nb_units; n--)
                put(other, from++, out, room);
        }
    }
}

Stream stream_damage(const Stream *in, const Stream *other, const char *how, uint64_t seed)
{
    const size_t room = 2 * in->size + 4 * other->size;
    Stream copy = { .data = malloc(in->size), .size = in->size }, out = { .data = malloc(room) };

    if (!copy.data || !out.data)
        die("out of memory");
    seed = seed * 7919 + 1;
    for (int i = 0; i < 8; i++)
        rnd(&seed, 1);
    memcpy(copy.data, in->data, in->size);
    find_units(&copy);
    if (!strcmp(how, "cut")) {
        out.size = in->size / 4 + rnd(&seed, in->size / 2);
        memcpy(out.data, in->data, out.size);
    } else {
        damage_units(&copy, how, &seed);
        write_units(&copy, other, how, &out, room, &seed);
    }
    stream_free(&copy);
    return out;
}
