#!/bin/sh
# run.sh [--unit|--e2e] [NAME...]
#
# Run the unit tests (build/tests/test_NAME, or those in $UNIT) and the end-to-end tests
# (tests/e2e/NAME.sh), all of them or those named. Each prints TAP; a test program passes
# when its lines do, it printed at least one, and it ended with status 0 within its time.
# What a failing test said is shown. Ends with: N passed, N failed, N skipped
set -u
cd "$(dirname "$0")/.." || exit 1

LIMIT=${LIMIT:-600}             # seconds a test program may take
UNIT=${UNIT:-build/tests}
SRC=$(pwd)
BIN=$SRC/build/bin
SHARED=${FASTSR_SHARED-$SRC/../shared/data}
if [ -n "$SHARED" ] && [ -d "$SHARED" ]; then SHARED=$(cd "$SHARED" && pwd); else SHARED=; fi
export SRC BIN SHARED

kinds='unit e2e'
case ${1-} in --unit|--e2e) kinds=${1#--}; shift ;; esac
names=" $* "
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

wanted() {
    [ "$names" = '  ' ] && return
    case $names in *" $1 "*|*" test_$1 "*|*" ${1#test_} "*) return 0 ;; esac
    return 1
}

passed=0 failed=0 skipped=0 found=
# run_one NAME COMMAND...
run_one() {
    name=$1
    shift
    found="$found $name"
    TMP=$work/$name
    export TMP
    mkdir -p "$TMP"
    CMOCKA_MESSAGE_OUTPUT=TAP timeout -k 10 "$LIMIT" "$@" >"$work/out" 2>"$work/err" </dev/null
    rc=$?
    counts=$(awk '/^(not )?ok .*# [Ss][Kk][Ii][Pp]/ { s++; next } /^ok / { p++ } /^not ok / { f++ }
                  END { print p + 0, f + 0, s + 0 }' "$work/out")
    p=${counts%% *} s=${counts##* }
    f=${counts#* } f=${f% *}
    reason=
    if [ $rc -eq 124 ] || [ $rc -eq 137 ]; then
        reason="ran into the time limit of $LIMIT s, or was killed"
    elif [ $rc -ne 0 ] && [ "$f" -eq 0 ]; then
        reason="ended with status $rc"
    elif [ $((p + f + s)) -eq 0 ]; then
        reason="printed no result"
    fi
    [ -z "$reason" ] || f=$((f + 1))
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    printf '%-32s %3d passed %3d failed %3d skipped\n' "$name" "$p" "$f" "$s"
    sed -n 's/^\(not \)*ok[ 0-9]*-* *\(.*\)# SKIP */    skipped: \2/p' "$work/out"
    if [ "$f" -gt 0 ]; then
        [ -z "$reason" ] || echo "    $name $reason"
        grep -v '^ok ' "$work/out" | sed 's/^/    /'
        tail -n 60 "$work/err" | sed 's/^/    /'
    fi
    rm -rf "$TMP"
}

for kind in $kinds; do
    case $kind in
    unit)
        # Only tests whose source is still there: a build directory may hold older ones.
        for source in tests/unit/test_*.c; do
            name=$(basename "$source" .c)
            [ -e "$source" ] && wanted "$name" && run_one "$name" "$UNIT/$name"
        done ;;
    e2e)
        for script in tests/e2e/*.sh; do
            name=$(basename "$script" .sh)
            [ "$name" != lib ] && [ -e "$script" ] && wanted "$name" && run_one "$name" sh "$script"
        done ;;
    esac
done

for name in $names; do
    case "$found " in
    *" $name "*|*" test_$name "*) ;;
    *)  echo "There is no test '$name'." >&2
        failed=$((failed + 1)) ;;
    esac
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ $((passed + skipped)) -gt 0 ]
