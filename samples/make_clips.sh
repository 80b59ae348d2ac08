#!/bin/sh
# Makes samples/scene.mkv and samples/scene10.mkv anew. Not part of any build: the clips are committed,
# because another x265 writes other bits. FFMPEG names the encoder's ffmpeg (default: build/bin/ffmpeg).
set -eu
cd "$(dirname "$0")/.."
bin=build/bin
ffmpeg=${FFMPEG:-$bin/ffmpeg}
make $bin/fsr_scene $bin/fsr_downscale
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# Closed groups of pictures, two slices, B frames, weighted prediction in P and B: the fade needs it.
params=open-gop=0:slices=2:bframes=4:weightp=1:weightb=1:info=0:log-level=warning
colour='-color_range tv -colorspace bt709 -color_primaries bt709 -color_trc bt709'

# clip NAME BITS PIX_FMT CRF [scene options]
clip() {
    name=$1 bits=$2 pix_fmt=$3 crf=$4
    shift 4
    $bin/fsr_scene --bits "$bits" "$@" "$tmp/original.y4m"
    $bin/fsr_downscale 2 "$tmp/original.y4m" "$tmp/small.y4m"
    # shellcheck disable=SC2086
    "$ffmpeg" -v error -y -i "$tmp/small.y4m" -pix_fmt "$pix_fmt" -c:v libx265 -preset medium -crf "$crf" \
        -x265-params "$params" $colour -bitexact "$tmp/$name.mkv"
    mv "$tmp/$name.mkv" "samples/$name.mkv"
    ls -l "samples/$name.mkv"
}

clip scene 8 yuv420p 24
clip scene10 10 yuv420p10le 24 --first 48 --frames 48
