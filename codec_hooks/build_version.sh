#!/bin/sh
# build_version.sh VERSION|DIR|TARBALL
#
# Build a small FFmpeg of another version with the hook and the filters inside, for tests: what decodes
# HEVC (and the codecs that export vectors), the filters, raw output; no encoder but raw video. Programs are
# build/ffmpeg-NAME/{ffmpeg,ffprobe,fsmv_dump}. What is built already is only brought up to date.
# Status 2: the source could not be fetched; build/ffmpeg-NAME.why says why. 1: anything else.
# From the environment: CC, CONF_CFLAGS, CONF_LDFLAGS, JOBS, and LIBS, what to link with, paths relative to build/ffmpeg-NAME
# (`make check-ffmpeg` sets them).
set -eu
cd "$(dirname "$0")/.."

what=$1 name=$(basename "$1")
source=$what
case $what in
*/*) ;;
*[!0-9.]*) ;;
*) source=debian:$what ;;
esac
tree=build/ffmpeg-$name-src dir=build/ffmpeg-$name why=build/ffmpeg-$name.why
jobs=${JOBS:-$(nproc)}

flags="--disable-autodetect --disable-doc --disable-ffplay --disable-debug --disable-everything --disable-network
    --disable-avdevice --optflags=-O1
    --enable-decoder=hevc,h264,mpeg2video,mpeg4,rawvideo,wrapped_avframe
    --enable-encoder=rawvideo,wrapped_avframe
    --enable-demuxer=hevc,h264,mov,matroska,mpegts,mpegvideo,m4v,avi,rawvideo,yuv4mpegpipe,nut,concat
    --enable-muxer=null,rawvideo,framemd5,yuv4mpegpipe,nut
    --enable-parser=hevc,h264,mpegvideo,mpeg4video --enable-bsf=hevc_mp4toannexb --enable-protocol=file,pipe,concat
    --enable-filter=fastsr,fastdepth,scale,format,null,copy,trim,setpts,select,crop,hflip,fps,concat,metadata,mestimate,showinfo"
case $LIBS in *libde265.a*) flags="$flags --enable-decoder=libde265" ;; esac
[ -e "$(command -v nasm)" ] || flags="$flags --disable-x86asm"

if [ ! -e "$tree/.unpacked" ]; then
    codec_hooks/get_ffmpeg.sh "$source" "$tree" build/apt-all >"$why" 2>&1 || { cat "$why" >&2; exit 2; }
    cat "$why"
    rm -rf "$why" "$dir"
    touch "$tree/.unpacked"
fi
codec_hooks/edit_ffmpeg.sh "$tree" codec_hooks/edits.table . >"$tree/edits.log" || exit 1

mkdir -p "$dir"
cd "$dir"
ln -sfn "../ffmpeg-$name-src" src
# shellcheck disable=SC2086 # the options are words
set -- --cc="${CC:-cc}" $flags --extra-cflags="-w -I../../include -I../.. ${CONF_CFLAGS-}" --extra-ldflags="${CONF_LDFLAGS-}" \
    --extra-libs="$LIBS"
printf '%s\n' "$*" >flags.new
if ! cmp -s flags flags.new || [ ! -e config.h ] || [ src/libavfilter/allfilters.c -nt config.h ] || [ src/libavcodec/allcodecs.c -nt config.h ]; then
    echo "Configuring FFmpeg $(cat src/RELEASE) for tests (its log is $dir/ffbuild/config.log)"
    ./src/configure "$@" >configure.out 2>&1 || { tail -n 40 configure.out ffbuild/config.log; exit 1; }
    mv flags.new flags
fi
rm -f flags.new
for lib in ../lib/*.a; do
    [ ffmpeg -nt "$lib" ] || rm -f ffmpeg_g ffprobe_g
done
make --no-print-directory -j"$jobs" ffmpeg ffprobe
lib() { echo "lib$1/lib$1.a"; }
libs="$(lib avformat) $(lib avcodec) $(lib swresample) $(lib avutil)"
if [ ! fsmv_dump -nt ffmpeg ] || [ ! fsmv_dump -nt ../../codec_hooks/fsmv_dump.c ]; then
    # shellcheck disable=SC2046,SC2086 # lists of libraries
    ${CC:-cc} -std=c11 -D_GNU_SOURCE -O1 -I../../include -I../.. -isystem src -isystem . ../../codec_hooks/fsmv_dump.c $libs \
        $(sed -n 's/^EXTRALIBS-\(avformat\|avcodec\|swresample\|avutil\)=//p; s/^EXTRALIBS=//p' ffbuild/config.mak) \
        $LIBS -o fsmv_dump
fi
