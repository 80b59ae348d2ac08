#!/bin/sh
# bench_hook.sh [FILE...]
#
# What the motion records cost the HEVC decoder: user time and memory (largest resident set)
# with and without them, one thread, medians of RUNS (20) runs each in alternation. Default: three 1080p streams of the
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

# used RECORDS FILE: user time in seconds, memory in KiB
used() {
    build/bin/ffmpeg -nostdin -hide_banner -v info -benchmark -threads 1 -fsr_record "$1" -i "$2" -map 0:v:0 -f null - 2>&1 |
        sed -n 's/^bench: utime=\([0-9.]*\)s.*/\1/p; s/^bench: maxrss=\([0-9]*\).*/\1/p' | paste -s -d ' '
}

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
printf '%-36s %8s %10s %10s %6s %10s %10s %12s %10s\n' \
    stream pictures 'ms without' 'ms with' cost 'MB without' 'MB with' 'record bytes' largest
for f in "$@"; do
    : >"$tmp/0"; : >"$tmp/1"
    used 1 "$f" >/dev/null
    i=0
    while [ $i -lt "$runs" ]; do
        used 0 "$f" >>"$tmp/0"
        used 1 "$f" >>"$tmp/1"
        i=$((i + 1))
    done
    build/bin/fsmv_dump "$f" | sed -n 's/.* bytes=\([0-9]*\).*/\1/p' >"$tmp/bytes"
    n=$(wc -l <"$tmp/bytes")
    for r in 0 1; do
        cut -d ' ' -f 1 "$tmp/$r" | median >"$tmp/time.$r"
        cut -d ' ' -f 2 "$tmp/$r" | median >"$tmp/memory.$r"
    done
    awk -v f="$(basename "$f")" -v n="$n" -v off="$(cat "$tmp/time.0")" -v on="$(cat "$tmp/time.1")" \
        -v moff="$(cat "$tmp/memory.0")" -v mon="$(cat "$tmp/memory.1")" -v m="$(median <"$tmp/bytes")" \
        -v max="$(sort -n "$tmp/bytes" | tail -n 1)" \
        'BEGIN { printf "%-36s %8d %10.2f %10.2f %5.1f%% %10.1f %10.1f %12d %10d\n", f, n, 1000 * off / n, 1000 * on / n,
                 100 * (on / off - 1), moff / 1024, mon / 1024, m, max }'
done
