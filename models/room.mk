# models/: weights that ship, as C arrays in libfastsr.a
LIB_GEN += build/gen/models_data.c

MODEL_FILES := $(addprefix models/,$(shell awk '/^[a-z]/ { print $$2 }' models/models.list))

build/gen/models_data.c: models/embed.sh models/models.list $(MODEL_FILES)
	@mkdir -p $(@D)
	sh models/embed.sh models/models.list $(if $(filter no,$(DEPTH_WEIGHTS)),depth) > $@.part
	@mv $@.part $@

build/gen/models_data.c: models/models.h build/config.mk

# For training only: what the recurrent network learns from (not part of `make`).
build/obj/models/motion_dump.o: FSR_CFLAGS += -isystem build/ffmpeg-src -isystem build/ffmpeg
build/obj/models/motion_dump.o: | build/ffmpeg/.configured
build/bin/motion_dump: build/obj/models/motion_dump.o $(FSMV_LIBS:%=build/ffmpeg/%) build/lib/libfastsr.a
	@mkdir -p $(@D)
	cd build/ffmpeg && $(CC) $(CONF_LDFLAGS) ../obj/models/motion_dump.o $(FSMV_LIBS) \
		$$(sed -n 's/^EXTRALIBS-\(avformat\|avcodec\|swresample\|avutil\)=//p; s/^EXTRALIBS=//p' ffbuild/config.mak) \
		../lib/libfastsr.a $(FSR_LIBS) -o ../bin/motion_dump
