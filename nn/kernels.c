/* Which kernels a machine gets. */
#include "nn/kernels/depthwise.h"
#include "nn/kernels/i8.h"
#include "nn/kernels/point.h"

#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>

/* gcc 12 has no name for it: CPUID leaf 7, subleaf 1, EAX bit 4. */
static int has_avxvnni(void)
{
    unsigned a, b, c, d;

    return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 4 & 1);
}
#endif

static const char *const names[FSR_ISA_NB] = {
    "c", "blas", "avx2", "avxvnni", "avx512", "avx512vnni", "avx512bf16",       /* as FsrIsa */
};

/* Beside plain C, which can do everything. */
static const struct {
    const FsrConvKernel  *conv[3];      /* in order of preference */
    const FsrI8Kernel    *i8, *i8_lanes;
    const FsrDwKernel    *depthwise;
    const FsrPointKernel *point;
} sets[FSR_ISA_NB] = {
    [FSR_ISA_BLAS]       = { .conv = { &fsr_conv_blas } },
#if defined(__x86_64__)
    [FSR_ISA_AVX2]       = { { &fsr_conv_few_avx2, &fsr_conv_wide_avx2 }, &fsr_i8_avx2, .depthwise = &fsr_dw_avx2 },
    [FSR_ISA_AVXVNNI]    = { .i8 = &fsr_i8_avxvnni },
    [FSR_ISA_AVX512]     = { { &fsr_conv_few_avx512, &fsr_conv_few_avx2, &fsr_conv_wide_avx512 },
                             .depthwise = &fsr_dw_avx512 },
    [FSR_ISA_AVX512VNNI] = { .i8 = &fsr_i8_avx512vnni, .i8_lanes = &fsr_i8_lanes_avx512vnni, .point = &fsr_point_avx512vnni },
    [FSR_ISA_AVX512BF16] = { .conv = { &fsr_conv_few_bf16, &fsr_conv_wide_bf16 } },
#endif
};

const char *fsr_nn_isa_name(FsrIsa isa)
{
    return names[isa];
}

int fsr_nn_isa_available(FsrIsa isa)
{
    switch (isa) {
    case FSR_ISA_C:
    case FSR_ISA_BLAS:
        return 1;
#if defined(__x86_64__)
    case FSR_ISA_AVX2:
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case FSR_ISA_AVX512:
        return fsr_nn_isa_available(FSR_ISA_AVX2) && __builtin_cpu_supports("avx512f") &&
               __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
    case FSR_ISA_AVXVNNI:
        return fsr_nn_isa_available(FSR_ISA_AVX2) && has_avxvnni();
    case FSR_ISA_AVX512VNNI:
        return fsr_nn_isa_available(FSR_ISA_AVX512) && __builtin_cpu_supports("avx512vnni");
    case FSR_ISA_AVX512BF16:
        return fsr_nn_isa_available(FSR_ISA_AVX512) && __builtin_cpu_supports("avx512bf16");
#endif
    default:
        return 0;
    }
}

FsrIsa fsr_nn_isa(void)
{
    const char *cap = getenv("FASTSR_CPU");
    int isa = FSR_ISA_NB - 1;

    for (int i = 0; cap && i < FSR_ISA_NB; i++)
        if (!strcmp(cap, names[i]))
            isa = i;
    while (!fsr_nn_isa_available(isa))
        isa--;
    return isa;
}

const FsrConvKernel *fsr_nn_pick_conv(FsrIsa isa, const FsrConvShape *s)
{
    for (int i = isa; i > 0; i--)
        for (int j = 0; j < 3 && sets[i].conv[j]; j++)
            if (fsr_nn_isa_available(i) && sets[i].conv[j]->fits(s))
                return sets[i].conv[j];
    return &fsr_conv_c;
}

const FsrI8Kernel *fsr_nn_pick_i8(FsrIsa isa)
{
    for (int i = isa; i > 0; i--)
        if (sets[i].i8 && fsr_nn_isa_available(i))
            return sets[i].i8;
    return &fsr_i8_c;
}

const FsrI8Kernel *fsr_nn_pick_i8_lanes(FsrIsa isa)
{
    for (int i = isa; i > 0; i--)
        if (sets[i].i8_lanes && fsr_nn_isa_available(i))
            return sets[i].i8_lanes;
    return NULL;
}

const FsrDwKernel *fsr_nn_pick_depthwise(FsrIsa isa, const FsrDwShape *s)
{
    for (int i = isa; i > 0; i--)
        if (sets[i].depthwise && fsr_nn_isa_available(i) && sets[i].depthwise->fits(s))
            return sets[i].depthwise;
    return &fsr_dw_c;
}

const FsrPointKernel *fsr_nn_pick_point(FsrIsa isa)
{
    for (int i = isa; i > 0; i--)
        if (sets[i].point && fsr_nn_isa_available(i))
            return sets[i].point;
    return isa == FSR_ISA_C ? &fsr_point_c : NULL;
}
