LIB_SRC += $(addprefix filters/,engine.c keyframe.c motion.c direction.c output.c sr.c detail.c fuse.c copy.c fast.c show.c depth.c depth_net.c depth_out.c plane.c upscale.c mc.c kernels/filter_c.c kernels/fuse_c.c)

# one file per instruction set, each with its own flags; the rest of the library runs anywhere
ifneq ($(filter x86_64%,$(shell $(CC) -dumpmachine)),)
LIB_SRC += $(addprefix filters/kernels/,filter_avx2.c fuse_avx2.c filter_avx512.c)
# the library's objects and the fuzzers'
$(foreach d,$(O) build/fuzz,$(d)/obj/filters/kernels/filter_avx2.o $(d)/obj/filters/kernels/fuse_avx2.o): private FSR_CFLAGS += -mavx2
$(foreach d,$(O) build/fuzz,$(d)/obj/filters/kernels/filter_avx512.o): private FSR_CFLAGS += -mavx512f -mavx512bw -mavx512vl -mavx512vnni -mprefer-vector-width=256
endif

# inner loops in plain C that the compiler turns into vector code
$(O)/obj/filters/kernels/filter_c.o $(O)/obj/filters/kernels/fuse_c.o $(O)/obj/filters/motion.o $(O)/obj/filters/detail.o $(O)/obj/filters/fuse.o $(O)/obj/filters/fast.o \
$(O)/obj/filters/depth.o $(O)/obj/filters/depth_net.o $(O)/obj/filters/depth_out.o: CFLAGS += -O3

PROGRAM_block_stats := tests/tools/block_stats.c samples/y4m.c
CHECK_DEPS += $(O)/bin/block_stats
