#!/bin/sh
# check_untouched.sh [FILE...]
#
# The hook leaves decoding alone: the pictures and time stamps of the hooked FFmpeg, records on,
# equal those of build/plain/ffmpeg, the same source built without our edits, with one thread,
# four frame threads and four slice threads; no picture fails the stream's own picture hash
# that does not fail it there. Default: all streams of the real material (FASTSR_SHARED, or
# ../shared/data). Where the plain FFmpeg differs from itself on a second run (slice threads on
# a few damaged streams), there is nothing to be equal to: skipped.
set -u
cd "$(dirname "$0")/.." || exit 1
shared=${FASTSR_SHARED-../shared/data}
export OPENBLAS_NUM_THREADS=1

if [ $# -eq 0 ]; then
    for f in "$shared"/hevc/*; do
        case $f in *.md) ;; *) [ -e "$f" ] && set -- "$@" "$f" ;; esac
    done
fi
if [ $# -eq 0 ]; then
    echo "No streams: name some, or the directory that has hevc/ in FASTSR_SHARED."
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
fi
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM

# md5 PROGRAM OUT THREADS TYPE FILE: checksums, then what failed the picture hash. KILL: stock
# FFmpeg can hang on damaged streams with slice threads.
md5() {
    timeout -s KILL "${LIMIT:-200}" "$1" -nostdin -v error -threads "$3" -thread_type "$4" -err_detect crccheck -c:v hevc \
        -i "$5" -map 0:v:0 -f framemd5 - >"$2.all" 2>"$tmp/err"
    status=$?
    { grep -v '^#' "$2.all"; grep -c 'mismatching checksum' "$tmp/err"; } >"$2"
    return $status
}

passed=0 failed=0 skipped=0
printf '%-50s %8s  %-10s %-10s %s\n' stream pictures '1 thread' '4 frame' '4 slice'
for f in "$@"; do
    row= pictures=0
    for how in '1 frame' '4 frame' '4 slice'; do
        # shellcheck disable=SC2086 # two words
        md5 build/plain/ffmpeg "$tmp/plain" $how "$f"
        rc=$?
        # shellcheck disable=SC2086
        md5 build/bin/ffmpeg "$tmp/hooked" $how "$f"
        n=$(($(wc -l <"$tmp/hooked") - 1))
        [ "$n" -le "$pictures" ] || pictures=$n
        if [ $rc -eq 137 ]; then
            result=hangs skipped=$((skipped + 1))
        elif cmp -s "$tmp/plain" "$tmp/hooked"; then
            result=equal passed=$((passed + 1))
        else
            # shellcheck disable=SC2086
            md5 build/plain/ffmpeg "$tmp/again" $how "$f"
            if cmp -s "$tmp/plain" "$tmp/again"; then result=FAILED failed=$((failed + 1))
            else result=unstable skipped=$((skipped + 1)); fi
        fi
        row="$row$(printf '%-10s ' $result)"
    done
    printf '%-50s %8d  %s\n' "$(basename "$f")" "$pictures" "$row"
done
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
