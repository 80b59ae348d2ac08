#!/bin/bash
# The network core beside oneDNN and ONNX Runtime: milliseconds of processor time of one thread,
# medians, in turns; needs `make`, and
#   oneDNN         apt-get install libdnnl-dev
#   ONNX Runtime   a root directory of Debian 13 (debootstrap --variant=minbase trixie DIR; in it
#                  apt-get install g++ libonnxruntime-dev) in ORT_ROOT, and root rights for chroot
# What is missing is left out and said. RUNS=3 repeats everything and takes the median.
# Then, of ours, the share of the peak that one thread reaches and how many times as fast two are, by turns.
cd "$(dirname "$0")/../.." || exit 1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"; [ -z "$ORT_ROOT" ] || rm -rf "$ORT_ROOT/tmp/fsr_compare"' EXIT
export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive

cc -std=c11 -D_GNU_SOURCE -O1 -I. tests/engines/write_nets.c -lm -o "$work/write_nets" && "$work/write_nets" "$work" || exit 1
[ ! -e models/fastdepth.onnx ] || cp models/fastdepth.onnx "$work/"
dnnl= ort=
if c++ -O2 -std=c++14 tests/engines/onednn.cpp -ldnnl -o "$work/onednn" 2>"$work/log"; then dnnl=1
else echo 'oneDNN: skipped, no libdnnl-dev'; fi
if [ -n "$ORT_ROOT" ]; then
    mkdir -p "$ORT_ROOT/tmp/fsr_compare" && cp "$work"/*.onnx tests/engines/onnxruntime.cpp "$ORT_ROOT/tmp/fsr_compare/" &&
    chroot "$ORT_ROOT" sh -c 'cd /tmp/fsr_compare && c++ -O2 -std=c++17 -I/usr/include/onnxruntime onnxruntime.cpp -lonnxruntime -o ort' && ort=1
fi
[ -n "$ort" ] || echo 'ONNX Runtime: skipped, no ORT_ROOT'

median() { sort -g | awk '{ v[NR] = $1 } END { print NR ? v[int((NR + 1) / 2)] : "-" }'; }
ours() { build/bin/nn_bench "$1" --size "$2" --precision "$3" --reps 5 --json | sed -n 's/.*"ms": \([0-9.]*\), "im2col_ms.*/\1/p'; }

printf '%-12s %-10s %10s %10s %10s %10s %10s %10s\n' network size f32 bf16 i8 'oneDNN f32' 'oneDNN i8' 'ORT f32'
# compare NAME WxH PLANES [LAYER...]: without layers oneDNN, which reads no files, is left out
compare() {
    local name=$1 size=$2 w=${2%x*} h=${2#*x} planes=$3 file; shift 3
    file=$work/$name.onnx
    for run in $(seq "${RUNS:-1}"); do
        for p in f32 bf16 i8; do ours "$file" "$size" $p >>"$work/$name.$p"; done
        [ -z "$dnnl" ] || [ $# = 0 ] || for p in f32 i8; do "$work/onednn" "$w" "$h" $p "$@" >>"$work/$name.dnnl-$p"; done
        [ -z "$ort" ] || chroot "$ORT_ROOT" /tmp/fsr_compare/ort "/tmp/fsr_compare/$name.onnx" "$w" "$h" "$planes" >>"$work/$name.ort"
    done 2>"$work/log"
    printf '%-12s %-10s' "$name" "$size"
    for c in f32 bf16 i8 dnnl-f32 dnnl-i8 ort; do printf ' %10s' "$(cat "$work/$name.$c" 2>/dev/null | median)"; done
    echo
}
compare srcnn-915 "${BIG:-1920x1080}" 1 9:64 1:32 5:1
compare srcnn-955 "${BIG:-1920x1080}" 1 9:64 5:32 5:1
compare sesr-m5   "${SMALL:-960x540}" 1 5:16 3:16 3:16 3:16 3:16 3:16 5:4
compare chain-32  "${SMALL:-960x540}" 1 5:32 $(for i in $(seq 15); do echo 3:32; done) 5:4
[ ! -e models/fastdepth.onnx ] || compare fastdepth 224x224 3

printf '\n%-12s %-10s %30s %30s\n' network size 'share of the peak, %' 'two threads to one'
printf '%-12s %-10s %10s %10s %10s %10s %10s %10s\n' '' '' f32 bf16 i8 f32 bf16 i8
value() { sed -n "s/.*\"$1\": \([0-9.]*\).*/\1/p"; }
scale() {
    printf '%-12s %-10s' "$1" "$2"
    for p in f32 bf16 i8; do
        printf ' %10s' "$(build/bin/nn_bench "$work/$1.onnx" --size "$2" --precision $p --reps 11 --json | value share_of_peak | awk '{ printf "%.1f", 100 * $1 }')"
    done
    for p in f32 bf16 i8; do printf ' %10s' "$(build/bin/nn_bench "$work/$1.onnx" --size "$2" --precision $p --reps "$3" --threads 2 --json | value speedup_by_threads)"; done
    echo
}
scale srcnn-915 "${BIG:-1920x1080}" 15
scale srcnn-955 "${BIG:-1920x1080}" 5
scale sesr-m5   "${SMALL:-960x540}" 31
scale chain-32  "${SMALL:-960x540}" 9
