/*
 * fastsr: the networks that are compiled in
 *
 * The table is generated from models/models.list by models/embed.sh.
 */
#ifndef FASTSR_MODELS_H
#define FASTSR_MODELS_H

#include <stddef.h>

typedef struct FsrModelEntry {
    const char          *name;          /* as given to the filter's option model= */
    const char          *description;   /* one line for help texts */
    const unsigned char *data;          /* an ONNX file, for fsr_nn_load() */
    size_t               size;          /* bytes of data */
    int                  scale;         /* HR size divided by LR size: 2, 3 or 4; 0: a network for depth; or FSR_MODEL_BESIDE */
} FsrModelEntry;

#define FSR_MODEL_BESIDE (-1)   /* runs beside another network, which names it in its metadata as "key" or "coarse" */

/* Ends with an entry whose name is NULL. The first entry of a scale is its default. Aligned to 64 bytes, constant: any thread may read it. */
extern const FsrModelEntry fsr_models[];

#endif /* FASTSR_MODELS_H */
