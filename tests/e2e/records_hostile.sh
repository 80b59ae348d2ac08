# Motion records of damaged and odd streams: fsmv_dump ends by itself, every picture that comes
# out has a valid record, what was lost is unknown or flagged; and the filter takes what comes.
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

# filter_ends NAME OPTIONS...: ffmpeg with the filter, with the default threads, gives pictures and no crash
filter_ends() {
    filter_name=$1
    shift
    timeout -s KILL 120 $FFMPEG -v error "$@" -f framemd5 "$TMP/frames" >"$TMP/out" 2>"$TMP/err" </dev/null
    rc=$?
    [ $rc -eq 0 ] && grep -q '^0,' "$TMP/frames" || problem="$problem $filter_name: status $rc, $(tail -n 1 "$TMP/err");"
}

# Open groups of pictures: cut at a CRA picture its leading pictures (RASL) lack their references.
$FFMPEG -v error -i "$TMP/b.y4m" -i "$TMP/b.y4m" -filter_complex concat -c:v libx265 \
    -x265-params log-level=none:crf=30:keyint=6:min-keyint=6:open-gop=1:bframes=3:scenecut=0 "$TMP/open.265"
"$BIN/damage" irap 1 "$TMP/open.265" "$TMP/cra.265"
problem=
dump_ends "the whole" "$TMP/open.265"
if grep -q 'kind=RASL' "$TMP/dump"; then ok "open groups have RASL pictures"; else not_ok "open groups have RASL pictures" "$(head -n 12 "$TMP/dump")"; fi
dump_ends "from a CRA picture on" "$TMP/cra.265" --cells
first=$(sed -n 's/^n=0 .* kind=\([A-Z]*\).*/\1/p' "$TMP/dump")
filter_ends "from a CRA picture on" -i "$TMP/cra.265" -vf fastsr=model=none
filter_ends "with corrupt pictures" -flags +output_corrupt -i "$TMP/cra.265" -vf fastsr=model=none
result "open groups of pictures, cut at a CRA picture"
is "the cut begins with the CRA picture" "$first" CRA

# Into the middle of a file, with and without the pictures before the place
$FFMPEG -v error -i "$TMP/b.y4m" -i "$TMP/b.y4m" -filter_complex concat -c:v libx265 \
    -x265-params log-level=none:crf=30:keyint=6:min-keyint=6:open-gop=1:bframes=3:scenecut=0 "$TMP/open.mkv"
problem=
for at in 0.2 0.32 0.5 0.8; do
    for how in -accurate_seek -noaccurate_seek; do
        filter_ends "-ss $at $how" -ss $at $how -i "$TMP/open.mkv" -vf fastsr=model=none
        filter_ends "-ss $at $how, sample clip" -ss $at $how -i "$clip" -frames:v 8 -vf fastsr=model=none
    done
done
result "seeking into the middle"

# Two sizes joined; field-coded, gray
problem=
filter_ends joined -i "$TMP/joined.265" -vf fastsr=model=none,scale=64:64
result "the filter on streams of two sizes joined"
problem=
$FFMPEG -v error -i "$TMP/b.y4m" -vf separatefields -c:v libx265 -x265-params log-level=none:crf=30:interlace=tff "$TMP/field.265"
dump_ends fields "$TMP/field.265"
is "field-coded: each field is a picture with a record" "$(grep -c '^n=[0-9]* number' "$TMP/dump")" 24
filter_ends fields -i "$TMP/field.265" -vf fastsr=model=none
$FFMPEG -v error -i "$TMP/b.y4m" -pix_fmt gray -c:v libx265 -x265-params log-level=none:crf=30 "$TMP/gray.265"
dump_ends gray "$TMP/gray.265"
is "monochrome: each picture has a record" "$(grep -c '^n=[0-9]* number' "$TMP/dump")" 12
filter_ends gray -i "$TMP/gray.265" -vf fastsr=model=none
result "field-coded and monochrome streams"
problem=
if [ -n "$SHARED" ] && [ -e "$SHARED/hevc/media3_water_180_mvhevc.mov" ]; then
    dump_ends "two layers" "$SHARED/hevc/media3_water_180_mvhevc.mov" --threads 4
    filter_ends "two layers" -i "$SHARED/hevc/media3_water_180_mvhevc.mov" -frames:v 3 -vf scale=200:100,fastsr=model=none
    result "a stream of two layers"
else
    skip "a stream of two layers" "no real material; FASTSR_SHARED names its directory"
fi

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
