# nn: the network core
LIB_SRC += nn/graph.c nn/load.c nn/load_ops.c nn/load_shape.c nn/load_quant.c nn/load_fold.c nn/plan.c nn/run.c nn/whole.c nn/whole_run.c \
           nn/resize.c nn/kernels.c nn/ops.c nn/quant.c \
           nn/kernels/conv_c.c nn/kernels/conv_blas.c nn/kernels/depthwise_c.c nn/kernels/i8_c.c nn/kernels/point_c.c nn/whole_i8.c

# One file per instruction set, each with its own flags; the rest of the library runs anywhere.
ifneq ($(filter x86_64%,$(shell $(CC) -dumpmachine)),)
LIB_SRC += nn/kernels/conv_avx2.c nn/kernels/conv_avx512.c \
           nn/kernels/conv_bf16.c \
           nn/kernels/i8_avx2.c nn/kernels/i8_avxvnni.c nn/kernels/i8_avx512vnni.c \
           nn/kernels/point_avx512vnni.c
$(O)/obj/nn/kernels/conv_avx2.o: private FSR_CFLAGS += -mavx2 -mfma
$(O)/obj/nn/kernels/conv_avx512.o: private FSR_CFLAGS += -mavx512f -mavx512bw -mavx512vl -mfma
$(O)/obj/nn/kernels/conv_bf16.o: private FSR_CFLAGS += -mavx512f -mavx512bw -mavx512vl -mavx512bf16
$(O)/obj/nn/kernels/i8_avx2.o: private FSR_CFLAGS += -mavx2 -mfma
$(O)/obj/nn/kernels/i8_avxvnni.o: private FSR_CFLAGS += -mavx2 -mfma
$(O)/obj/nn/kernels/i8_avx512vnni.o $(O)/obj/nn/kernels/point_avx512vnni.o: private FSR_CFLAGS += -mavx512f -mavx512bw -mavx512vl -mavx512vnni -mfma
endif

# additions and pixel shuffles are loops for the compiler to turn into vectors
$(O)/obj/nn/ops.o $(O)/obj/nn/quant.o $(O)/obj/nn/resize.o $(O)/obj/nn/whole_run.o: private FSR_CFLAGS += -O3

LIB_SRC += nn/load_conv.c
LIB_GEN += build/gen/onnx.pb-c.c
build/gen/onnx.pb-c.c: nn/onnx.proto
	@mkdir -p $(@D)
	$(PROTOC_C) --proto_path=nn --c_out=$(@D) $<

PROGRAM_nn_bench := tests/tools/nn_bench.c tests/tools/nn_bench_base.c
ALL_DEPS += $(O)/bin/nn_bench

# runs the operator tests that ONNX publishes
PROGRAM_nn_onnx := tests/tools/nn_onnx.c
CHECK_DEPS += $(O)/bin/nn_onnx

# what number formats cost
PROGRAM_nn_price := tests/tools/nn_price.c samples/downscale.c samples/y4m.c
