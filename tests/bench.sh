#!/bin/sh
# bench.sh [CLIP...]
#
# What enlarging to twice the size costs, on one thread: user time of ffmpeg with the filter less
# that of decoding alone, medians of RUNS (7) runs each in alternation, beside swscale's bicubic.
# Without a network, so what is timed is this project's own upscaling and transfer.
# Default: the sample scene at 960x540, coded with x265 here.
set -eu
cd "$(dirname "$0")/.."
export OPENBLAS_NUM_THREADS=1    # idle threads of its own would be counted as ours
runs=${RUNS:-7}
ffmpeg=build/bin/ffmpeg

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM

if [ $# -eq 0 ]; then
    set -- "$tmp/scene-960x540.mkv"
    build/bin/fsr_scene --size 960x540 --frames 48 "$tmp/scene.y4m"
    $ffmpeg -nostdin -v error -i "$tmp/scene.y4m" -c:v libx265 -x265-params log-level=none:qp=27 "$1"
    rm "$tmp/scene.y4m"
fi

median() { sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }

# user_time CLIP FILTERS
user_time() {
    $ffmpeg -nostdin -hide_banner -v info -benchmark -threads 1 -filter_threads 1 -i "$1" -map 0:v:0 -vf "$2" -f null - 2>&1 |
        sed -n 's/^bench: utime=\([0-9.]*\)s.*/\1/p'
}

filters='null
scale=2*iw:2*ih:flags=bicubic
fastsr=model=none:interval=100000:fill=bicubic
fastsr=model=none:interval=100000:fill=fast
fastsr=model=none:interval=100000:fill=detail'

printf 'processor: %s; 1 thread; medians of %d runs\n' \
    "$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -n 1)" "$runs"
for clip; do
    pictures=$(build/bin/ffprobe -v error -select_streams v:0 -count_packets -show_entries stream=nb_read_packets -of csv=p=0 "$clip" | tr -d ',')
    i=0
    while [ $i -lt "$runs" ]; do
        n=0
        for f in $filters; do
            n=$((n + 1))
            user_time "$clip" "$f" >>"$tmp/$n"
        done
        i=$((i + 1))
    done
    decoding=$(median <"$tmp/1")
    swscale=$(median <"$tmp/2")
    printf '\n%-52s %14s %14s\n' "$(basename "$clip"), $pictures pictures" 'ms a picture' 'to swscale'
    n=0
    for f in $filters; do
        n=$((n + 1))
        median <"$tmp/$n" | awk -v f="$f" -v n=$n -v pictures="$pictures" -v d="$decoding" -v s="$swscale" '
            n == 1 { printf "%-52s %14.2f\n", "decoding alone", 1000 * d / pictures; next }
            { printf "%-52s %14.2f %14.2f\n", f, 1000 * ($1 - d) / pictures, ($1 - d) / (s - d) }'
        rm "$tmp/$n"
    done
done
