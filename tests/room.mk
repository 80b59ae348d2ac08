# Fuzzers: record reader, hook and engine compiled with sanitizers below build/fuzz; `make check` runs them for a
# short, fixed while. There is no network in them, and nn/, most of the work, is left out: one function that does nothing stands for its.
FUZZ_FLAGS := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined
FUZZ_LINK   = $(CC) $(FUZZ_FLAGS) $(CONF_LDFLAGS) \
	$$(nm -u $(FUZZ_LIB:%=$(CURDIR)/%) | sed -n 's/^ *U \(fsr_nn_.*\)/-Wl,--defsym=\1=fuzz_no_network/p' | sort -u)
FUZZ_LIB    = $(patsubst %.c,build/fuzz/obj/%.o,$(filter codec_hooks/% filters/%,$(LIB_SRC)))
FUZZ_STREAM := $(addprefix build/fuzz/obj/,tests/fuzz/fuzz_stream.o tests/tools/damage_stream.o codec_hooks/hevc_hook.o)

build/fuzz/obj/%.o: %.c build/config.mk | build/ffmpeg/.configured
	@mkdir -p $(@D)
	$(call Q,CC)$(CC) $(FSR_CFLAGS) $(FUZZ_FLAGS) -MMD -MP -c $< -o $@
$(FUZZ_STREAM): FSR_CFLAGS += -isystem build/ffmpeg-src -isystem build/ffmpeg
build/fuzz/obj/codec_hooks/hevc_hook.o: FSR_CFLAGS += -DHAVE_AV_CONFIG_H -iquote build/ffmpeg-src/libavcodec -w

build/fuzz/fuzz_record: build/fuzz/obj/tests/fuzz/fuzz_record.o $(FUZZ_LIB)
	$(call Q,LD)$(FUZZ_LINK) $^ -lm -o $@
# The hook stands before libavcodec, whose own copy of it is not taken then.
build/fuzz/fuzz_stream: $(FUZZ_STREAM) $(FUZZ_LIB) ffmpeg
	$(call Q,LD)cd build/ffmpeg && $(FUZZ_LINK) $(patsubst build/%,../%,$(FUZZ_STREAM) $(FUZZ_LIB)) \
		$(AV_LIBS) \
		$$(sed -n 's/^EXTRALIBS-\(avformat\|avcodec\|swresample\|avutil\)=//p; s/^EXTRALIBS=//p' ffbuild/config.mak) \
		$(FSR_LIBS) -o ../fuzz/fuzz_stream
# libde265's own code is as it is in the default build.
FUZZ_DE265 := $(addprefix build/fuzz/obj/,tests/fuzz/fuzz_de265.o tests/tools/damage_stream.o codec_hooks/libde265_record.o)
build/fuzz/obj/codec_hooks/libde265_record.o: codec_hooks/libde265_record.cc build/libde265-src/.unpacked build/config.mk
	@mkdir -p $(@D)
	$(call Q,CXX)$(CXX) $(DE265_FLAGS) $(FUZZ_FLAGS) -Iinclude -MMD -MP -c $< -o $@
build/fuzz/fuzz_de265: $(FUZZ_DE265) $(FUZZ_LIB) build/lib/libde265.a
	$(call Q,LD)$(FUZZ_LINK) $^ -lstdc++ -lpthread -lm -o $@
-include $(FUZZ_STREAM:.o=.d) $(FUZZ_DE265:.o=.d) $(wildcard build/fuzz/obj/*/*.d)

CHECK_DEPS += build/fuzz/fuzz_record build/fuzz/fuzz_stream $(if $(LIBDE265),build/fuzz/fuzz_de265)

# T seconds for each fuzzer; SEED is the number of the first input.
T ?= 600
fuzz: all $(CHECK_DEPS)
	LIMIT=$$((3 * $(T) + 600)) SECONDS_EACH='$(T)' SEED='$(SEED)' tests/run.sh fuzz
.PHONY: fuzz
