# fastsr: the library, FFmpeg with the library inside, the tests. `make help` lists the targets.
#
# Each room (codec_hooks nn filters models samples tests) says in its room.mk what it adds:
#   LIB_SRC     C files of libfastsr.a
#   LIB_GEN     generated C files of libfastsr.a, under build/gen, with the rule that makes them
#   FFMPEG_LIB  further archives that FFmpeg is linked with, under build/lib; FFMPEG_LIBS: and their libraries
#   PROGRAM_x   C files of the program build/bin/x, beside libfastsr.a
#   CHECK_DEPS  what `make check` builds before it runs the tests
#   ALL_DEPS    programs that `make` builds
#   DEMO_DEPS   what `make demo` builds
VERSION_GIVEN := $(if $(filter command,$(origin VERSION)),$(VERSION))
override VERSION := 0.1.0

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:
MAKEFLAGS += --no-builtin-rules
O    ?= build
JOBS ?= $(shell nproc)

help:
	@echo 'make             build/bin/ffmpeg, build/bin/ffprobe and build/lib/libfastsr.a'
	@echo 'make demo        enlarge the sample clip; INPUT=my.mp4 takes your own'
	@echo 'make check       all tests; TESTS="name ..." runs some of them'
	@echo 'make check-asan  unit tests with address and undefined-behaviour sanitizers'
	@echo 'make check-records  FFmpeg and libde265 record the same motion, on every real stream'
	@echo 'make check-untouched  the pictures are those of an FFmpeg without our edits, on every real stream'
	@echo 'make check-ffmpeg VERSION=9.0.2   hook and filters in another FFmpeg (a version, directory, or tarball)'
	@echo 'make evaluate    measure quality and speed; CLIPS="a.y4m ..." ARGS="..."'
	@echo 'make bench       speed of the parts against their references'
	@echo 'make lib         only build/lib/libfastsr.a'
	@echo 'make install     library and ffmpeg-fastsr, ffprobe-fastsr below the prefix; DESTDIR=DIR'
	@echo 'make clean       remove what was built; make distclean: and what was fetched'
	@echo './configure --help lists the build options. demo and check install missing packages.'

# Configuration: made anew when configure changes, with the same arguments. The targets
# that a newcomer types first also install what is missing.
ifneq ($(filter-out clean distclean help,$(or $(MAKECMDGOALS),all)),)
include build/config.mk
endif
build/config.mk: configure codec_hooks/ffmpeg_profile.txt
	CFLAGS='$(CONF_CFLAGS)' LDFLAGS='$(CONF_LDFLAGS)' ./configure $(CONFIGURE_ARGS) \
		$(if $(filter check check-% demo evaluate,$(MAKECMDGOALS)),--install-missing)

# (Not on the first reading, when the tools that rooms ask may be missing still.)
ifneq ($(wildcard build/config.mk),)
include $(wildcard */room.mk)
endif

# The library ----------------------------------------------------------------

FSR_CFLAGS := -std=c11 -D_GNU_SOURCE -O2 -ffp-contract=off -fPIC -Wall -Wextra \
	-Iinclude -I. $(BLAS_CFLAGS) $(PROTOBUF_CFLAGS) $(SANITIZE) $(CONF_CFLAGS)
FSR_LIBS   := $(BLAS_LIBS) $(PROTOBUF_LIBS) -lpthread -lm
LIB        := $(O)/lib/libfastsr.a
LIB_OBJ    := $(LIB_SRC:%.c=$(O)/obj/%.o) $(LIB_GEN:build/gen/%.c=$(O)/obj/gen/%.o)

lib: $(LIB)
$(LIB): $(LIB_OBJ) build/config.mk
	@mkdir -p $(@D)
	$(call Q,AR)rm -f $@ && ar rcs $@ $(LIB_OBJ)

# Short lines as FFmpeg's build prints them; V=1 shows the commands.
Q = $(if $(V),,@printf '$(1)\t%s\n' $@;)
COMPILE = $(call Q,CC)$(CC) $(FSR_CFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@
$(O)/obj/%.o: %.c build/config.mk | $(LIB_GEN)
	@mkdir -p $(@D)
	$(COMPILE)
$(O)/obj/gen/%.o: build/gen/%.c build/config.mk
	@mkdir -p $(@D)
	$(COMPILE)

define program
$(O)/bin/$(1): $(PROGRAM_$(1):%.c=$(O)/obj/%.o) $(LIB)
	@mkdir -p $$(@D)
	$$(call Q,LD)$$(CC) $(SANITIZE) $(CONF_LDFLAGS) $$^ -o $$@ $(FSR_LIBS)
endef
PROGRAMS := $(patsubst PROGRAM_%,%,$(filter PROGRAM_%,$(.VARIABLES)))
$(foreach p,$(PROGRAMS),$(eval $(call program,$(p))))

# FFmpeg ---------------------------------------------------------------------
#
# build/ffmpeg-src is a copy of FFmpeg's source, edited and with links to our sources;
# build/ffmpeg is where it is built. Its own Makefile knows every header that it
# includes, ours too, but not the archive it is linked with.

build/ffmpeg-src/.unpacked: codec_hooks/get_ffmpeg.sh $(if $(FFMPEG_SOURCE:debian=),build/config.mk)
	@codec_hooks/get_ffmpeg.sh '$(FFMPEG_SOURCE)' build/ffmpeg-src build/apt
	@rm -rf build/ffmpeg
	@touch $@

EDIT_SOURCES := $(wildcard codec_hooks/*_hook.[ch] codec_hooks/*_dec.c filters/vf_*.c filters/ff_*.h)
build/ffmpeg-src/.edited: build/ffmpeg-src/.unpacked codec_hooks/edits.table codec_hooks/edit_ffmpeg.sh \
		| $(EDIT_SOURCES)
	@codec_hooks/edit_ffmpeg.sh build/ffmpeg-src codec_hooks/edits.table .
	@touch $@

# FFmpeg is configured in a directory that has its source as src: so no path is absolute.
# -w: warnings of FFmpeg's own code are not ours; edits.table gives our files theirs back.
ALL_FFMPEG_LIBS = $(FFMPEG_LIB:build/%=../%) ../lib/libfastsr.a $(FFMPEG_LIBS) $(FSR_LIBS)
FFMPEG_CONFIGURE = --cc='$(CC)' $(FFMPEG_FLAGS) \
	--extra-cflags='-w -I../../include -I../.. $(CONF_CFLAGS)' --extra-ldflags='$(CONF_LDFLAGS)' \
	--extra-libs='$(ALL_FFMPEG_LIBS)' \
	$$(grep -q -- --enable-libharfbuzz build/ffmpeg-src/configure && echo $(FFMPEG_DRAWTEXT))

build/ffmpeg/flags: build/config.mk build/ffmpeg-src/.unpacked
	@mkdir -p build/ffmpeg
	@printf '%s\n' "$(FFMPEG_CONFIGURE)" >$@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

build/ffmpeg/.configured: build/ffmpeg/flags build/ffmpeg-src/.edited | build/lib/libfastsr.a $(FFMPEG_LIB)
	@echo 'Configuring FFmpeg (half a minute; its log is build/ffmpeg/ffbuild/config.log)'
	@ln -sfn ../ffmpeg-src build/ffmpeg/src
	@cd build/ffmpeg && ./src/configure $(subst build/ffmpeg-src,src,$(FFMPEG_CONFIGURE)) >configure.out 2>&1 || \
		{ cat configure.out ffbuild/config.log | tail -n 60; exit 1; }
	@touch $@

# One build at a time, whoever else runs make here.
ffmpeg: build/ffmpeg/.configured build/lib/libfastsr.a $(FFMPEG_LIB)
	@for l in build/lib/libfastsr.a $(FFMPEG_LIB); do \
		[ build/ffmpeg/ffmpeg -nt $$l ] || rm -f build/ffmpeg/ffmpeg_g build/ffmpeg/ffprobe_g; \
	done
	+@flock build/ffmpeg.lock $(MAKE) -C build/ffmpeg --no-print-directory \
		$(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(JOBS)) ffmpeg ffprobe
	@mkdir -p build/bin
	@for p in ffmpeg ffprobe; do \
		cmp -s build/ffmpeg/$$p build/bin/$$p || \
		{ cp build/ffmpeg/$$p build/bin/$$p.new && mv build/bin/$$p.new build/bin/$$p; } || exit 1; \
	done

all: lib ffmpeg $(ALL_DEPS)

# Tests ----------------------------------------------------------------------

UNIT_TESTS := $(patsubst tests/unit/%.c,$(O)/tests/%,$(wildcard tests/unit/test_*.c))
unit-tests: $(UNIT_TESTS)
$(O)/tests/%: $(O)/obj/tests/unit/%.o $(LIB)
	@mkdir -p $(@D)
	$(call Q,LD)$(CC) $(SANITIZE) $(CONF_LDFLAGS) $^ -o $@ $(FSR_LIBS) $(CMOCKA_LIBS)
$(O)/obj/tests/unit/%.o: FSR_CFLAGS += $(CMOCKA_CFLAGS)

check: all unit-tests $(CHECK_DEPS) | $(filter newest-ffmpeg,$(MAKECMDGOALS))
	FFMPEG_VERSION='$(if $(filter newest-ffmpeg,$(MAKECMDGOALS)),$(NEWEST_FFMPEG))' tests/run.sh $(TESTS)

# Hook and filters in another FFmpeg, small, compared with the default build.
BUILD_VERSION = CC='$(CC)' LIBS='$(ALL_FFMPEG_LIBS)' CONF_CFLAGS='$(CONF_CFLAGS)' CONF_LDFLAGS='$(CONF_LDFLAGS)' JOBS='$(JOBS)' \
	codec_hooks/build_version.sh
check-ffmpeg: all $(CHECK_DEPS)
	@[ -n '$(VERSION_GIVEN)' ] || { echo 'make check-ffmpeg VERSION=9.0.2 (or a directory or tarball of FFmpeg)' >&2; exit 1; }
	$(BUILD_VERSION) '$(VERSION_GIVEN)'
	FFMPEG_VERSION='$(notdir $(VERSION_GIVEN))' STREAMS=all tests/run.sh version

# The newest version that the edits are known to fit, for `make newest-ffmpeg check`; the test is skipped where it cannot be
# fetched (status 2).
NEWEST_FFMPEG = $(lastword $(shell sed -n 's/^\# Known to fit: FFmpeg //p' codec_hooks/edits.table))
newest-ffmpeg: all
	$(BUILD_VERSION) $(NEWEST_FFMPEG) || [ $$? = 2 ]

check-asan: | $(LIB_GEN)
	$(MAKE) O=build/asan SANITIZE='-fsanitize=address,undefined -fno-sanitize-recover=undefined -g' unit-tests
	UNIT=build/asan/tests tests/run.sh --unit $(TESTS)

# Samples --------------------------------------------------------------------

demo: all $(DEMO_DEPS)
	@samples/demo $(INPUT)

evaluate: all $(DEMO_DEPS)
	@samples/evaluate $(ARGS) $(CLIPS)

# Installing -----------------------------------------------------------------

define PKGCONFIG
prefix=$(PREFIX)
includedir=$${prefix}/include
libdir=$${prefix}/lib

Name: fastsr
Description: Super-resolution of compressed video along the stream's motion vectors
Version: $(VERSION)
Cflags: -I$${includedir}
Libs: -L$${libdir} -lfastsr $(FSR_LIBS)
endef
export PKGCONFIG

# The programs stand beside the system's, never over them.
install: all
	install -d '$(DESTDIR)$(PREFIX)/bin' '$(DESTDIR)$(PREFIX)/lib/pkgconfig' '$(DESTDIR)$(PREFIX)/include/fastsr'
	install build/bin/ffmpeg '$(DESTDIR)$(PREFIX)/bin/ffmpeg-fastsr'
	install build/bin/ffprobe '$(DESTDIR)$(PREFIX)/bin/ffprobe-fastsr'
	install -m 644 build/lib/libfastsr.a '$(DESTDIR)$(PREFIX)/lib'
	install -m 644 include/fastsr/*.h '$(DESTDIR)$(PREFIX)/include/fastsr'
	printf '%s\n' "$$PKGCONFIG" >'$(DESTDIR)$(PREFIX)/lib/pkgconfig/fastsr.pc'

clean:
	rm -rf build/obj build/lib build/bin build/tests build/asan build/gen build/ffmpeg

distclean:
	rm -rf build

-include $(LIB_OBJ:.o=.d) $(UNIT_TESTS:$(O)/tests/%=$(O)/obj/tests/unit/%.d)
-include $(foreach p,$(PROGRAMS),$(PROGRAM_$(p):%.c=$(O)/obj/%.d))

bench: all $(DEMO_DEPS)
	@tests/bench.sh
	@echo; build/bin/nn_bench models/srcnn-915-x2.onnx --size 480x270

.PHONY: all bench lib ffmpeg unit-tests check check-ffmpeg newest-ffmpeg check-asan demo evaluate install clean distclean help
