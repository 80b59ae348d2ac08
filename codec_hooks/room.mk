# codec_hooks: what the stream says
LIB_SRC += codec_hooks/record.c codec_hooks/import_avmv.c

# libde265, with our reader of what it knows of a picture. Only the decoder; warnings of its code are not ours.
ifeq ($(LIBDE265),yes)
FFMPEG_LIB  += build/lib/libde265.a
FFMPEG_LIBS += -lstdc++
endif
DE265_SRC := $(addprefix libde265/,alloc_pool bitstream cabac contextmodel de265 deblock decctx dpb fallback \
	fallback-dct fallback-motion image intrapred md5 motion nal nal-parser pps refpic sao scan sei slice sps \
	threads transform util vps vui)
DE265_DEFS := -DHAVE_MALLOC_H -DHAVE_ALLOCA_H -DHAVE_POSIX_MEMALIGN -DHAVE_STDINT_H
ifneq ($(filter x86_64 i%86,$(shell uname -m)),)
DE265_SRC  += $(addprefix libde265/x86/,sse sse-dct sse-motion)
DE265_DEFS += -DHAVE_SSE4_1
endif
DE265_OBJ   := $(DE265_SRC:%=build/obj/de265/%.o)
DE265_FLAGS  = -std=c++14 -O2 -fPIC $(DE265_DEFS) -isystem build/libde265-src -isystem build/libde265-src/libde265 $(CONF_CFLAGS)

build/libde265-src/.unpacked: codec_hooks/get_libde265.sh
	@codec_hooks/get_libde265.sh build/libde265-src build/apt
	@touch $@
$(DE265_OBJ): build/obj/de265/%.o: build/libde265-src/.unpacked build/config.mk
	@mkdir -p $(@D)
	$(call Q,CXX)$(CXX) $(DE265_FLAGS) -w $(if $(findstring /sse-,$@),-msse4.1) -c build/libde265-src/$*.cc -o $@
build/obj/codec_hooks/libde265_record.o: codec_hooks/libde265_record.cc build/libde265-src/.unpacked build/config.mk
	@mkdir -p $(@D)
	$(call Q,CXX)$(CXX) $(DE265_FLAGS) -Wall -Wextra -Iinclude -MMD -MP -c $< -o $@
build/lib/libde265.a: $(DE265_OBJ) build/obj/codec_hooks/libde265_record.o
	@mkdir -p $(@D)
	$(call Q,AR)rm -f $@ && ar rcs $@ $^
-include build/obj/codec_hooks/libde265_record.d

# Programs that are linked with the libraries of our own FFmpeg, from the place and with the
# libraries that its configure noted (paths there are relative to build/ffmpeg).
ALL_DEPS += build/bin/fsmv_dump

AV_LIBS := $(foreach l,avformat avcodec swresample avutil,lib$(l)/lib$(l).a)
# Written by the FFmpeg build; its time changes only when the archive does.
$(AV_LIBS:%=build/ffmpeg/%): ffmpeg ;

# av_program NAME,C FILE
define av_program
build/obj/$(2:.c=.o): FSR_CFLAGS += -isystem build/ffmpeg-src -isystem build/ffmpeg
build/obj/$(2:.c=.o): | build/ffmpeg/.configured
build/bin/$(1): build/obj/$(2:.c=.o) $(AV_LIBS:%=build/ffmpeg/%) build/lib/libfastsr.a $(FFMPEG_LIB)
	@mkdir -p $$(@D)
	$$(call Q,LD)cd build/ffmpeg && $$(CC) $$(CONF_LDFLAGS) ../obj/$(2:.c=.o) $(AV_LIBS) \
		$$$$(sed -n 's/^EXTRALIBS-\(avformat\|avcodec\|swresample\|avutil\)=//p; s/^EXTRALIBS=//p' ffbuild/config.mak) \
		../lib/libfastsr.a $$(FSR_LIBS) -o ../bin/$(1)
-include build/obj/$(2:.c=.d)
endef
$(eval $(call av_program,fsmv_dump,codec_hooks/fsmv_dump.c))
$(eval $(call av_program,check_records,tests/tools/check_records.c))

PROGRAM_pixel_proof := tests/tools/pixel_proof.c
PROGRAM_damage      := tests/tools/damage.c tests/tools/damage_stream.c
CHECK_DEPS += build/bin/pixel_proof build/bin/damage build/bin/check_records

check-records: all build/bin/check_records
	@tests/check_records.sh

# FFmpeg of the same version without our edits: what decoding HEVC takes, as far as it matters here.
PLAIN_FLAGS = --cc='$(CC)' $(filter --disable-x86asm,$(FFMPEG_FLAGS)) --disable-autodetect --disable-doc --disable-debug \
	--disable-network --disable-everything --enable-decoder=hevc --enable-parser=hevc --enable-protocol=file,pipe \
	--enable-demuxer=hevc,mov,matroska,mpegts --enable-muxer=framemd5,null --enable-encoder=rawvideo,wrapped_avframe \
	--enable-filter=scale,format,null,fps,transpose,hflip,vflip,rotate --enable-bsfs
build/plain-src/.unpacked: build/ffmpeg-src/.unpacked
	@codec_hooks/get_ffmpeg.sh \
		'$(if $(FFMPEG_SOURCE:debian=),$(FFMPEG_SOURCE),$(shell ls -t build/apt/ffmpeg_*.orig.tar.* 2>/dev/null | head -n 1))' \
		build/plain-src build/apt
	@touch $@
build/plain/ffmpeg: build/plain-src/.unpacked
	@mkdir -p $(@D) && ln -sfn ../plain-src $(@D)/src
	@cd $(@D) && ./src/configure $(PLAIN_FLAGS) --extra-cflags=-w >configure.out 2>&1 || { tail -n 20 configure.out; exit 1; }
	$(MAKE) -C $(@D) --no-print-directory ffmpeg

check-untouched: all build/plain/ffmpeg
	@tests/check_untouched.sh

bench: bench-hook
bench-hook: all
	codec_hooks/bench_hook.sh
.PHONY: bench bench-hook check-records check-untouched
