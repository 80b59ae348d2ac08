# Motion records of damaged and odd streams: fsmv_dump ends by itself, every picture that comes
# out has a valid record, what was lost is unknown or flagged.
. "$SRC/tests/e2e/lib.sh"

# dump_ends NAME FILE [OPTION...]: ends with status 0 or 1, in time, with nothing invalid.
# (Some FFmpeg versions can hang on damaged streams with slice threads: not tried here.)
dump_ends() {
    end_name=$1 end_file=$2
    shift 2
    timeout -s KILL 60 "$BIN/fsmv_dump" "$@" "$end_file" >"$TMP/dump" 2>"$TMP/err"
    rc=$?
    if [ $rc -gt 1 ]; then
        problem="$problem $end_name: status $rc;"
    elif grep -q '^n=[0-9]* [^n]' "$TMP/dump"; then
        problem="$problem $end_name: $(grep -m 1 '^n=[0-9]* [^n]' "$TMP/dump");"
    fi
}

result() { if [ -z "$problem" ]; then ok "$1"; else not_ok "$1" "$problem"; fi; }

clip="$SRC/samples/scene.mkv"
$FFMPEG -v error -t 1.2 -i "$clip" -map 0:v:0 -c copy "$TMP/a.265" || { not_ok "the sample clip as a raw stream"; exit; }
"$BIN/fsr_scene" --size 200x136 --frames 12 "$TMP/b.y4m"
$FFMPEG -v error -i "$TMP/b.y4m" -c:v libx265 -x265-params log-level=none:crf=30:keyint=8:slices=2 "$TMP/b.265"

missing=0 partial=0
for how in bytes bits drop twice swap cut tail splice params; do
    problem=
    for seed in 1 2 3; do
        "$BIN/damage" $how $seed "$TMP/a.265" "$TMP/c.265" "$TMP/b.265"
        dump_ends "$how $seed, 4 threads" "$TMP/c.265" --threads 4
        dump_ends "$how $seed" "$TMP/c.265" --cells
        grep -q ' [0-9]*/-*[0-9]*! ' "$TMP/dump" && missing=$((missing + 1))
        grep -q 'missing=[1-9]' "$TMP/dump" && partial=$((partial + 1))
    done
    result "damaged streams: $how"
done
# The damage above must have shown something of both kinds, else this test looks at nothing.
if [ $missing -gt 0 ]; then ok "references that were lost are flagged"; else not_ok "references that were lost are flagged"; fi
if [ $partial -gt 0 ]; then ok "blocks that were lost are counted"; else not_ok "blocks that were lost are counted"; fi

cat "$TMP/a.265" "$TMP/b.265" "$TMP/a.265" >"$TMP/joined.265"
problem=
dump_ends joined "$TMP/joined.265"
result "streams of two sizes joined"
is "records follow the size" "$(sed -n 's/.* size=\([^ ]*\) .*/\1/p' "$TMP/dump" | uniq | wc -l)" 3
is "numbers go on over the joint" "$(sed -n 's/.* number=\([0-9]*\) .*/\1/p' "$TMP/dump" | sort -n | uniq -d | wc -l)" 0

if [ -n "$SHARED" ] && [ -d "$SHARED/hevc" ]; then
    problem= n=0
    for f in "$SHARED"/hevc/*; do
        case $f in *.md) continue ;; esac
        [ "$(wc -c <"$f")" -lt 400000 ] || continue
        n=$((n + 1))
        dump_ends "$(basename "$f")" "$f" --threads 4
    done
    result "every small real stream ($n of them)"
else
    skip "odd real streams" "no real material; FASTSR_SHARED names its directory"
fi
