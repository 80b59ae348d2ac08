# codec_hooks: what the stream says
LIB_SRC += codec_hooks/record.c codec_hooks/import_avmv.c

# fsmv_dump is linked with the libraries of our own FFmpeg, from the place and with the libraries
# that its configure noted (paths there are relative to build/ffmpeg).
ALL_DEPS += build/bin/fsmv_dump

FSMV_LIBS := $(foreach l,avformat avcodec swresample avutil,lib$(l)/lib$(l).a)

build/obj/codec_hooks/fsmv_dump.o: FSR_CFLAGS += -isystem build/ffmpeg-src -isystem build/ffmpeg
build/obj/codec_hooks/fsmv_dump.o: | build/ffmpeg/.configured
# Written by the FFmpeg build; its time changes only when the archive does.
$(FSMV_LIBS:%=build/ffmpeg/%): ffmpeg ;
build/bin/fsmv_dump: build/obj/codec_hooks/fsmv_dump.o $(FSMV_LIBS:%=build/ffmpeg/%) build/lib/libfastsr.a
	@mkdir -p $(@D)
	cd build/ffmpeg && $(CC) $(CONF_LDFLAGS) ../obj/codec_hooks/fsmv_dump.o $(FSMV_LIBS) \
		$$(sed -n 's/^EXTRALIBS-\(avformat\|avcodec\|swresample\|avutil\)=//p; s/^EXTRALIBS=//p' ffbuild/config.mak) \
		../lib/libfastsr.a $(FSR_LIBS) -o ../bin/fsmv_dump

-include build/obj/codec_hooks/fsmv_dump.d

PROGRAM_pixel_proof := tests/tools/pixel_proof.c
PROGRAM_damage      := tests/tools/damage.c
CHECK_DEPS += build/bin/pixel_proof build/bin/damage

bench: bench-hook
bench-hook: all
	codec_hooks/bench_hook.sh
.PHONY: bench bench-hook
