/*
 * Damage done to Annex B streams (raw HEVC), decided by a seed and always the same:
 *   bytes   some bytes behind the first picture get another value
 *   bits    a single bit in each of a few units
 *   drop    a tenth of the units is left out (lost slices, lost references)
 *   twice   some units stand twice
 *   swap    neighbouring units change places
 *   cut     the end is missing
 *   irap    parameter sets, then the stream from its second IRAP picture on (H.265 7.4.2.2)
 *   tail    parameter sets, then the stream from somewhere in the middle
 *   splice  runs of units of another stream stand between its own
 *   params  bytes of parameter sets and slice headers
 */
#ifndef TESTS_DAMAGE_H
#define TESTS_DAMAGE_H

#include <stddef.h>
#include <stdint.h>

typedef struct Stream {
    uint8_t *data;
    size_t   size;
    size_t  *unit;                      /* where each unit begins, its start code included */
    size_t   nb_units;
} Stream;

/* The kinds above, ended by NULL */
extern const char *const damage_kinds[];

/* The file's bytes and units; the program ends with a message if it is no stream. */
Stream stream_load(const char *name);
void   stream_free(Stream *s);
/* A damaged copy; other is what "splice" takes units from. The kind must be one of damage_kinds. */
Stream stream_damage(const Stream *in, const Stream *other, const char *kind, uint64_t seed);

#endif /* TESTS_DAMAGE_H */
