/* damage KIND SEED IN OUT [OTHER]: a damaged copy of a raw HEVC stream; the kinds stand in damage.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "damage.h"

int main(int argc, char **argv)
{
    Stream in, other, out;
    int known = 0;
    FILE *f;

    for (int i = 0; argc > 1 && damage_kinds[i]; i++)
        known |= !strcmp(argv[1], damage_kinds[i]);
    if (argc < 5 || !known) {
        fprintf(stderr, "usage: damage KIND SEED IN OUT [OTHER]\n");
        return 2;
    }
    in    = stream_load(argv[3]);
    other = stream_load(argv[argc > 5 ? 5 : 3]);
    out   = stream_damage(&in, &other, argv[1], strtoull(argv[2], NULL, 10));
    f     = fopen(argv[4], "wb");
    if (!f || fwrite(out.data, 1, out.size, f) != out.size || fclose(f)) {
        fprintf(stderr, "damage: %s cannot be written\n", argv[4]);
        return 2;
    }
    stream_free(&in);
    stream_free(&other);
    stream_free(&out);
    return 0;
}
