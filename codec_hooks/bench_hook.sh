#!/bin/sh
# bench_hook.sh [FILE...]
#
# What the motion records cost the HEVC decoder: user time with and without them, one
# thread, medians of RUNS (20) runs each in alternation. Default: three 1080p streams of the
# real material (in FASTSR_SHARED), or the sample clips where that is not there. Also prints
# the median and the largest record in bytes.
set -eu
cd "$(dirname "$0")/.."
shared=${FASTSR_SHARED-../shared/data}
export OPENBLAS_NUM_THREADS=1    # idle threads of its own would be counted as ours
runs=${RUNS:-20}

if [ $# -eq 0 ]; then
    for f in bbb1080_singleslice.265 hevcjs_bbb1080_50f.265 membrane_input-60-1920x1080.h265; do
        [ -e "$shared/hevc/$f" ] && set -- "$@" "$shared/hevc/$f"
    done
fi
[ $# -gt 0 ] || set -- samples/*.mkv

median() { sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }

user_time() {
    build/bin/ffmpeg -nostdin -hide_banner -v info -benchmark -threads 1 -fsr_record "$1" -i "$2" -map 0:v:0 -f null - 2>&1 |
        sed -n 's/^bench: utime=\([0-9.]*\)s.*/\1/p'
}

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
printf '%-36s %8s %12s %12s %7s %14s %14s\n' stream pictures 'ms without' 'ms with' cost 'median bytes' 'largest'
for f in "$@"; do
    : >"$tmp/0"; : >"$tmp/1"
    user_time 1 "$f" >/dev/null
    i=0
    while [ $i -lt "$runs" ]; do
        user_time 0 "$f" >>"$tmp/0"
        user_time 1 "$f" >>"$tmp/1"
        i=$((i + 1))
    done
    build/bin/fsmv_dump "$f" | sed -n 's/.* bytes=\([0-9]*\).*/\1/p' >"$tmp/bytes"
    n=$(wc -l <"$tmp/bytes")
    off=$(median <"$tmp/0") on=$(median <"$tmp/1")
    awk -v f="$(basename "$f")" -v n="$n" -v off="$off" -v on="$on" -v m="$(median <"$tmp/bytes")" \
        -v max="$(sort -n "$tmp/bytes" | tail -n 1)" \
        'BEGIN { printf "%-36s %8d %12.2f %12.2f %6.1f%% %14d %14d\n", f, n, 1000 * off / n, 1000 * on / n, 100 * (on / off - 1), m, max }'
done
