# nn: the network core
LIB_SRC += nn/graph.c nn/load.c nn/plan.c nn/run.c nn/kernels.c \
           nn/kernels/conv_c.c nn/kernels/conv_blas.c

LIB_GEN += build/gen/onnx.pb-c.c
build/gen/onnx.pb-c.c: nn/onnx.proto
	@mkdir -p $(@D)
	$(PROTOC_C) --proto_path=nn --c_out=$(@D) $<
