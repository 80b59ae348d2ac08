#!/bin/sh
# check_records.sh [FILE...]
#
# Two decoders, one record: every picture of every stream is decoded by FFmpeg's HEVC decoder
# and by libde265, and the records of both must be equal (tests/tools/check_records.c says
# what is compared). Default: all streams of the real material (FASTSR_SHARED, or
# ../shared/data). Prints a table; a stream that one of the decoders complains about is
# skipped with what it said. Streams that are not equal without a complaint fail, but for those
# that tests/record_exceptions.txt decides.
set -u
cd "$(dirname "$0")/.." || exit 1
shared=${FASTSR_SHARED-../shared/data}

if [ $# -eq 0 ]; then
    for f in "$shared"/hevc/*; do
        case $f in *.md) ;; *) [ -e "$f" ] && set -- "$@" "$f" ;; esac
    done
fi
if ! build/bin/ffmpeg -v quiet -decoders | grep -q ' libde265 '; then
    echo "This build has no libde265 (./configure --disable-libde265), so there is nothing to compare with."
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
fi
if [ $# -eq 0 ]; then
    echo "No streams: name some, or the directory that has hevc/ in FASTSR_SHARED."
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
fi

passed=0 failed=0 skipped=0
printf '%-50s %8s %12s  %s\n' stream pictures cells result
for f in "$@"; do
    name=$(basename "$f")
    # KILL: stock FFmpeg can hang on damaged streams.
    row=$(timeout -s KILL "${LIMIT:-300}" build/bin/check_records "$f" 2>&1)
    rc=$?
    [ $rc -le 3 ] || row="       -            -  status $rc $row"
    reason=$(awk -v name="$name" '$1 == name { sub(/^[^ ]+ +/, ""); print }' tests/record_exceptions.txt)
    case $rc in
    0)  passed=$((passed + 1)) ;;
    3)  skipped=$((skipped + 1)) ;;
    *)  if [ -n "$reason" ]; then
            skipped=$((skipped + 1)) row="$row; decided: $reason"
        else
            failed=$((failed + 1)) row="$row FAILED"
        fi ;;
    esac
    printf '%-50s %s\n' "$name" "$row"
done
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
