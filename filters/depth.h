/* The depth task's parts: maps that are carried from picture to picture, and their output. */
#ifndef FILTERS_DEPTH_H
#define FILTERS_DEPTH_H

#include "task.h"

/* Depth of one picture on the map's grid, which covers the whole picture. */
typedef struct FsrDepthMap {
    int     refs;
    int64_t source;             /* display number of the key frame that it comes from */
    float   contrast;           /* of the picture that it comes from, 8-bit steps */
    int     ramp, lead;         /* pictures on which depth goes over to what that key frame asks for, and how many of them lie
                                   before it */
    float  *depth;              /* metres, FSR_DEPTH_MIN to FSR_DEPTH_MAX, as shown */
    float  *change;             /* all that it changes by on these pictures, metres */
    float  *trust;              /* how many of the network's predictions a sample rests on; 0: nothing was carried */
} FsrDepthMap;

#define FSR_DEPTH_MIN 0.01f
#define FSR_DEPTH_MAX 100.0f

/* How one axis is reduced: sample i of the result is the weighted sum of source samples idx[first[i]] to
 * idx[first[i + 1] - 1], clamped to the picture. */
typedef struct FsrDepthAxis {
    int    n;
    int   *first, *idx;
    float *w;
} FsrDepthAxis;

typedef struct FsrDepth {
    FsrDepthConfig cfg;
    int    w, h;                /* map */
    int    net_w, net_h;
    double x0, y0, x1, y1;      /* the part of the picture that the network sees, samples; may reach beyond it */

    FsrDepthAxis map_x, map_y, net_x, net_y, chroma_x, chroma_y;    /* chroma: to the network's size */
    float *luma;                /* of the picture in work on the map's grid, 8-bit steps */
    float *rgb, *net;           /* the network's input planes and its output */
    float *half;                /* output, 2x2 averaged */
    FsrDepthMap *carried;       /* what was carried to the picture in work, NULL: nothing */
    double share;               /* of its area */
    const FsrNode *latest;      /* reference that knows the latest key frame */
    float  late_step;           /* share of that key frame's change up to the picture in work */
    float  step[FSR_MAX_REFS];  /* share of its own key frame's change between each reference and the picture in work */
    float *work;                /* as large as the map */
    int   *queue;               /* of hole filling */
    uint32_t *counts;           /* histogram */
    float  similar[256];        /* weight of samples whose luma differs by so many steps */
    uint8_t color[256][3];
    int   *up_x;                /* for each column of the picture the map's column at its left */
    float *up_f;                /* and how far from it, 0 to 1 */

    FsrDepthMap *prev;          /* the latest picture that others may refer to */
    int64_t prev_display;
    float *prev_luma;
} FsrDepth;

/* depth_net.c: the network's input from the picture, its output on the map's grid */
int  fsr_depth_net_init(struct FsrEngine *e, char *err, size_t err_size);
void fsr_depth_reduce_luma(struct FsrEngine *e);
void fsr_depth_network(struct FsrEngine *e, float *depth);
void fsr_depth_axis_free(FsrDepthAxis *a);
int  fsr_depth_axis_init(FsrDepthAxis *a, double from, double to, int n, int size);

/* depth_out.c: what is given out */
int  fsr_depth_out_init(struct FsrEngine *e);
void fsr_depth_output(struct FsrEngine *e, FsrNode *n);

#endif /* FILTERS_DEPTH_H */
