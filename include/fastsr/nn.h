/*
 * fastsr: network core
 *
 * Loads a network from ONNX, plans it once for a picture size, and runs it
 * tile by tile on the caller's threads without allocating.
 *
 *     char       err[256];
 *     FsrNet    *net  = NULL;
 *     FsrPlan   *plan = NULL;
 *
 *     if (fsr_nn_load_file(&net, "srcnn.onnx", err, sizeof(err)) < 0)
 *         die(err);
 *     if (fsr_nn_plan(&plan, net, 1920, 1080, 2, err, sizeof(err)) < 0)
 *         die(err);
 *     FsrNnIO io = { .opaque = &picture, .get = read_rows, .put = write_rows };
 *     for (int j = 0; j < fsr_nn_jobs(plan); j++)      // or spread over threads
 *         fsr_nn_run(plan, &io, j, 0);                 // last: worker slot
 *     fsr_nn_plan_free(&plan);
 *     fsr_nn_free(&net);
 *
 * A network sees a whole picture; the core cuts it into strips and those into tiles
 * that fit the processor's cache, and replicates the picture's border samples
 * where a layer reaches beyond them (the zero padding that an ONNX file asks for
 * is replaced: a picture does not end in black).
 * A network with operators that change the size otherwise than by a pixel shuffle
 * (strides, resizing, pooling) runs whole: one job, borders as the file asks.
 * Results do not depend on the order of the jobs or on the number of workers, to the
 * bit; between processors with different instruction sets they differ in the last bits.
 * The environment variable FASTSR_CPU (c, blas, avx2, avxvnni, avx512, avx512vnni,
 * avx512bf16) limits the instruction set.
 */
#ifndef FASTSR_NN_H
#define FASTSR_NN_H

#include <stddef.h>
#include <stdint.h>

/* A loaded network. Immutable: any number of threads and plans may share it. */
typedef struct FsrNet FsrNet;

/* A network planned for one picture size. Belongs to one caller at a time;
 * the jobs of one run may be entered by several threads. */
typedef struct FsrPlan FsrPlan;

/*
 * Read an ONNX model (float32; weights may be stored as float16, with a Cast) from memory or from a file.
 * err receives one line that names the node and the reason.
 * Errors: -EINVAL malformed, -ENOSYS operator or attribute not supported,
 * -E2BIG over the limits (64 MiB of model, 16 Mi weights), -ENOMEM, or what
 * opening the file gave.
 */
int fsr_nn_load(FsrNet **net, const void *onnx, size_t size, char *err, size_t err_size);
int fsr_nn_load_file(FsrNet **net, const char *path, char *err, size_t err_size);
void fsr_nn_free(FsrNet **net);

/* Shape of a network: planes in, planes out, output size divided by input size
 * (1 for SRCNN, 2 for a network that ends in a pixel shuffle), and how many input
 * samples around an output sample reach it. */
typedef struct FsrNetInfo {
    int     in_planes;
    int     out_planes;
    int     scale;
    int     halo;
    int64_t weights;        /* number of weights and biases */
    double  macs;           /* multiply-accumulates per output sample (one plane of the output's size), no halo */
    int     nb_inputs;      /* in_planes and out_planes count those of all */
    int     nb_outputs;
    int     whole;          /* 1: has strides, resizing, ...: no fixed scale, halo and macs (0); see fsr_nn_plan */
} FsrNetInfo;
void fsr_nn_info(const FsrNet *net, FsrNetInfo *info);

/* Name and planes of input i. get counts planes through all inputs, which all have the size of
 * the plan; put through all outputs (fsr_nn_output). */
const char *fsr_nn_input(const FsrNet *net, int i, int *planes);

/* Value of a metadata_props entry of the model, or NULL. Lives as long as the net. */
const char *fsr_nn_meta(const FsrNet *net, const char *key);

/*
 * Plan a network for pictures of width x height input samples and for up to
 * nb_workers threads at once. All memory of later runs is allocated here.
 * fsr_nn_plan_whole: any network as FsrNetInfo.whole networks always are run: one job, in
 * which each layer pads as the ONNX file asks. fsr_nn_job_rect tells the output's size.
 * Errors: -EINVAL, -ENOMEM, -ENOSYS (the reason in err).
 */
int fsr_nn_plan(FsrPlan **plan, const FsrNet *net, int width, int height,
                int nb_workers, char *err, size_t err_size);
int fsr_nn_plan_whole(FsrPlan **plan, const FsrNet *net, int width, int height,
                      char *err, size_t err_size);
void fsr_nn_plan_free(FsrPlan **plan);

/*
 * The same with a choice of number format.
 * FSR_PRECISION_BF16: weights and the values between convolutions are bfloat16 (8 bits of
 *     mantissa), sums and the first convolution's input are float; about twice as fast where the
 *     processor has products of bfloat16. The same as FSR_PRECISION_F32 where it has not, and for networks
 *     that give the picture itself (metadata output = luma): it would lose 0.1 dB.
 * FSR_PRECISION_I8: convolutions and the sums between them are done in integers of 8 bits (11 where
 *     the picture itself goes through, see nn/README.md), input and output stay float; three to
 *     four times as fast where the processor has products of bytes (VNNI). Sums are exact: the
 *     convolutions give the same bits with every instruction set. What the layers hold is read from
 *     the file (metadata "range NODE": lowest, highest and mean value of each plane, or of all; values without
 *     stay float), or, in files without, measured on a drawn picture of 0 to 1 by the first such plan
 *     of a network, which takes some tenths of a second. Operators that are not sums of products stay
 *     float. -EINVAL for a damaged range; -ENOSYS for a file without
 *     ranges whose metadata says that its input is something else than luma.
 * FSR_PRECISION_AUTO: I8 for networks whose file has ranges or that say they take luma (metadata
 *     input = hr-luma or lr-luma) on processors with vector kernels for it; else F32.
 * A network that runs whole (FsrNetInfo.whole) is float but for I8: then its 1x1 convolutions of 16 planes and
 *     more are done on bytes, where the file has the range of what they read, that is rectified, and the
 *     processor has AVX-512 VNNI.
 */
typedef enum FsrPrecision {
    FSR_PRECISION_F32,
    FSR_PRECISION_BF16,
    FSR_PRECISION_I8,
    FSR_PRECISION_AUTO,
} FsrPrecision;
int fsr_nn_plan_as(FsrPlan **plan, const FsrNet *net, int width, int height, int nb_workers,
                   FsrPrecision precision, char *err, size_t err_size);

/*
 * How a run reads its input and delivers its output: rectangles of float samples.
 * get: fill dst (stride in samples) with the w x h samples of one input plane at
 *      (x, y); the rectangle always lies inside the picture. A row may be asked for again
 *      (by the strip below, and at its ends).
 * put: take w x h output samples at (x, y) of one output plane, in output samples;
 *      every output sample is delivered exactly once in a whole run.
 * All are called on the thread that entered the job.
 * get_row, put_row: the same for one row of several planes, those from `plane` on, which lie side
 *      by side as the network keeps them: plane + k of sample x + i at [i * stride + k]. Used in
 *      place of get and put where not NULL, for as many planes as an input has, and as an output
 *      has or all outputs have together. Spares networks of many planes a copy. What lies between
 *      the last plane and the next sample must be left alone.
 */
typedef struct FsrNnIO {
    void *opaque;
    void (*get)(void *opaque, int plane, int x, int y, int w, int h, float *dst, ptrdiff_t stride);
    void (*put)(void *opaque, int plane, int x, int y, int w, int h, const float *src, ptrdiff_t stride);
    void (*get_row)(void *opaque, int plane, int planes, int x, int y, int w, float *dst, ptrdiff_t stride);
    void (*put_row)(void *opaque, int plane, int planes, int x, int y, int w, const float *src, ptrdiff_t stride);
} FsrNnIO;

/* Name, planes and size of output i. */
const char *fsr_nn_output(const FsrPlan *plan, int i, int *planes, int *w, int *h);

/* Number of jobs of a whole run, at least nb_workers where the picture is high enough.
 * A job is a strip of the picture's whole width. */
int fsr_nn_jobs(const FsrPlan *plan);

/* The rectangle of output samples that a job delivers (of the first output, where a whole
 * network has several of different size). */
void fsr_nn_job_rect(const FsrPlan *plan, int job, int *x, int *y, int *w, int *h);

/*
 * Run one job on the calling thread. Two threads may be inside at once when they
 * give different worker numbers, 0 <= worker < nb_workers. Cannot fail, does not allocate.
 * Returns the multiply-accumulates that were executed, halos included.
 */
int64_t fsr_nn_run(FsrPlan *plan, const FsrNnIO *io, int job, int worker);

/*
 * A part of the picture, for runs that leave the rest alone: a grid of tiles of tile_w x
 * tile_h input samples, the first at (x, y), of which some are wanted. The grid need not
 * cover the picture and may stick out of it; what it does not cover is not wanted. A single
 * rectangle: cols = rows = 1, wanted = NULL. Free choice of size; below 16 x 16, in networks
 * that reach far, the halo costs more than the tile.
 *
 * halo: 0, or the most samples around the wanted tiles (all of them, not only those of a job) for
 * which a layer is computed. Further away its values count as 0 (in integers: as the least of
 * their range), so what the tiles get is not what a whole run gives, but nearly, if the network
 * was trained so; it is the same for every number of jobs, and costs little more than the tiles.
 */
typedef struct FsrNnTiles {
    int            x, y;
    int            tile_w, tile_h;      /* at least 1 */
    int            cols, rows;
    const uint8_t *wanted;              /* rows of cols bytes, not zero = wanted; NULL: all */
    ptrdiff_t      stride;              /* bytes from one row of wanted to the next */
    int            halo;
} FsrNnTiles;

/*
 * As fsr_nn_run, for the wanted tiles only (NULL: all): put gets their samples and no others,
 * with the same bits as in a whole run (but see halo), and get is asked for what they are made from and no
 * more. Of each layer the samples under the wanted tiles and its part of the halo around them
 * are computed, those that several tiles share once. Jobs are those of a whole run; one
 * without a wanted tile returns 0 at once. Rows come in order, each in one piece for every run of
 * wanted tiles. (Without a vector kernel, OpenBLAS computes blocks of up to 256 samples.)
 * A plan of a whole network has no tiles: everything is computed and delivered.
 * Returns the multiply-accumulates that were executed, halos included.
 */
int64_t fsr_nn_run_tiles(FsrPlan *plan, const FsrNnIO *io, const FsrNnTiles *wanted, int job,
                         int worker);

/* The same for input rows y .. y + height - 1 in place of a job, for callers that cut the picture where the wanted tiles
 * give each worker as much to do. A whole network has one job: everything, whatever the rows. */
int64_t fsr_nn_run_rows(FsrPlan *plan, const FsrNnIO *io, const FsrNnTiles *wanted, int y, int height, int worker);

/* Bytes that the plan holds. */
size_t fsr_nn_plan_bytes(const FsrPlan *plan);

#endif /* FASTSR_NN_H */
