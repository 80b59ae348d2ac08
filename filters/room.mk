LIB_SRC += $(addprefix filters/,engine.c keyframe.c motion.c output.c sr.c fast.c plane.c upscale.c mc.c)

# inner loops: plain C that the compiler turns into vector code
$(O)/obj/filters/upscale.o $(O)/obj/filters/mc.o $(O)/obj/filters/motion.o $(O)/obj/filters/sr.o \
$(O)/obj/filters/fast.o: CFLAGS += -O3

PROGRAM_block_stats := tests/tools/block_stats.c samples/y4m.c
CHECK_DEPS += $(O)/bin/block_stats
