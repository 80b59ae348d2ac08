/* The networks of tests/goldens/nn, which real exporters wrote, as bytes. */
#ifndef FASTSR_TESTS_GOLDENS_H
#define FASTSR_TESTS_GOLDENS_H

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_GOLDENS = 200 };

typedef struct Golden {
    char     name[256];
    uint8_t *data;
    size_t   size;
} Golden;

static inline int by_name(const void *a, const void *b)
{
    return strcmp(((const Golden *)a)->name, ((const Golden *)b)->name);
}

/* Their number; 0 where a test does not run in the repository. */
static inline int read_goldens(Golden *g)
{
    const char    *root = "tests/goldens/nn";
    DIR           *dir  = opendir(root);
    struct dirent *e;
    int            nb   = 0;

    while (dir && (e = readdir(dir)) && nb < MAX_GOLDENS) {
        char  path[400];
        FILE *f;

        snprintf(path, sizeof(path), "%s/%s/model.onnx", root, e->d_name);
        if (e->d_name[0] == '.' || !(f = fopen(path, "rb")))
            continue;
        snprintf(g[nb].name, sizeof(g[nb].name), "%s", e->d_name);
        g[nb].data = malloc(1 << 20);
        g[nb].size = fread(g[nb].data, 1, 1 << 20, f);
        nb++;
        fclose(f);
    }
    if (dir)
        closedir(dir);
    qsort(g, nb, sizeof(*g), by_name);
    return nb;
}

static inline void free_goldens(Golden *g, int nb)
{
    for (int i = 0; i < nb; i++)
        free(g[i].data);
}

#endif /* FASTSR_TESTS_GOLDENS_H */
