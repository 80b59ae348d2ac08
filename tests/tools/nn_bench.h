/* What nn_bench measures the network core against. */
#ifndef FASTSR_TESTS_NN_BENCH_H
#define FASTSR_TESTS_NN_BENCH_H

#include "nn/plan.h"

/* Seconds: of the calling thread's processor time, so that other programs on the machine
 * do not count, or (wall) of the clock on the wall. */
double fsr_bench_now(int wall);

/* Multiply-accumulate instructions in registers only, with the vectors of a set, for about
 * `seconds`: thousands of millions of single multiply-accumulates per second.
 * products: how many one instruction does. */
double fsr_bench_peak(FsrIsa isa, FsrPrecision precision, double seconds, int *products);

/* Clock in GHz: a chain of additions, one per cycle. */
double fsr_bench_clock(double seconds);

/* The usual way: every convolution of the network over the whole picture, layer by layer,
 * planes apart, unfolded (im2col) in bands that fit the cache and multiplied by OpenBLAS
 * with the given number of threads. Seconds of one pass, or a negative error. */
double fsr_bench_im2col(const FsrPlan *plan, int threads);

#endif /* FASTSR_TESTS_NN_BENCH_H */
