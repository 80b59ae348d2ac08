# Another version of FFmpeg, FFMPEG_VERSION, with the hook and the filters inside (codec_hooks/build_version.sh), against the
# default build: equal records, equal pictures of the filter, no crash on damaged streams.
# STREAMS=all takes every real stream, not the small ones only.
. "$SRC/tests/e2e/lib.sh"
[ -n "${FFMPEG_VERSION-}" ] || skip_all "make check-ffmpeg VERSION=..., make newest-ffmpeg check"
dir=$SRC/build/ffmpeg-$FFMPEG_VERSION
if [ ! -x "$dir/fsmv_dump" ]; then
    skip_all "FFmpeg $FFMPEG_VERSION is not built: $(tr '\n' ' ' <"$dir.why")"
fi
cd "$TMP" || exit 1
clip="$SRC/samples/scene.mkv"

# Streams that only the default build can make, and what it makes of them
$FFMPEG -v error -t 0.8 -i "$clip" -map 0:v:0 -c copy a.265 || { not_ok "the sample clip as a raw stream"; exit; }
"$BIN/fsr_scene" --size 200x136 --frames 12 b.y4m
$FFMPEG -v error -i b.y4m -c:v libx265 -x265-params log-level=none:crf=30:keyint=8:bframes=3 b.265
$FFMPEG -v error -i b.y4m -c:v libx264 -x264-params log-level=none:bframes=2 avc.mkv
$FFMPEG -v error -i b.y4m -c:v mpeg4 -bf 2 -qscale:v 3 asp.mkv
# Colours as in the sample clip: from FFmpeg 8 on the tool converts what comes after a change to the colours of the first
# pictures, as it makes it their size (also without our filter).
$FFMPEG -v error -i b.y4m -c:v libx265 -x265-params log-level=none:crf=30:keyint=8:bframes=3:colorprim=bt709:transfer=bt709:colormatrix=bt709:range=limited d.265
cat a.265 d.265 >ad.265

streams=
for f in "$SRC"/samples/*.mkv "$TMP/b.265" ${SHARED:+"$SHARED"/hevc/*}; do
    case $f in *.md) continue ;; esac
    [ "${STREAMS-}" != all ] && [ "$(wc -c <"$f")" -ge 300000 ] || streams="$streams $(printf '%s' "$f" | sed 's/ /\\ /g')"
done

# sums PROGRAM OPTIONS...: checksums of the frames that come out
sums() { "$@" -f framemd5 - 2>stderr </dev/null | grep -v '^#' | sed 's/.*, *//' | tr '\n' ' '; }

# same_filter NAME OPTIONS...: both give the same pictures, and there are some
same_filter() {
    same_name=$1
    shift
    wanted=$(sums "$BIN/ffmpeg" -v error "$@")
    if [ -z "$wanted" ]; then not_ok "$same_name" "the default build gives nothing" "$(cat stderr)"; return; fi
    is "$same_name" "$(sums "$dir/ffmpeg" -v error "$@")" "$wanted"
    [ ! -s stderr ] || not_ok "$same_name: says nothing" "$(cat stderr)"
}

# What both decode without error, they record alike. With errors the pictures are not the same ones: FFmpeg 9 leaves
# out those after lost references.
compare_records() {
    n=0 left=0 pictures=0 differ=
    for f in $streams; do
        timeout -s KILL 120 "$BIN/fsmv_dump" --errors "$f" >one 2>err1
        rc1=$?
        timeout -s KILL 120 "$dir/fsmv_dump" --errors --threads 4 "$f" >two 2>err2
        rc2=$?
        if [ $rc2 -gt 1 ]; then differ="$differ $(basename "$f"): status $rc2;"
        elif [ $rc1 -ne 0 ] || [ $rc2 -ne 0 ] || [ -s err1 ] || [ -s err2 ]; then left=$((left + 1))
        elif cmp -s one two; then
            n=$((n + 1)) pictures=$((pictures + $(wc -l <one)))
        else differ="$differ $(basename "$f"): $(diff one two | grep -m 2 '^[<>]');"
        fi
    done
    if [ -z "$differ" ] && [ $n -gt 2 ] && [ $pictures -gt 50 ]; then
        ok "$version: records equal the default build's: $n streams, $pictures pictures; $left streams with errors in one of them not compared"
    else not_ok "$version: records equal the default build's" "$n equal, $left left out" "$differ"; fi
}

damaged() {
    problem=
    for how in bytes bits drop splice params tail; do
        "$BIN/damage" $how 1 a.265 c.265 b.265
        timeout -s KILL 120 "$dir/fsmv_dump" --threads 4 c.265 >two 2>err2
        rc=$?
        [ $rc -le 1 ] || problem="$problem $how: fsmv_dump ends with status $rc;"
        ! grep -q '^n=[0-9]* [^n]' two || problem="$problem $how: $(grep -m 1 '^n=[0-9]* [^n]' two);"
        timeout -s KILL 120 "$dir/ffmpeg" -nostdin -v quiet -i c.265 -vf fastsr=model=none -f null - >/dev/null 2>&1
        rc=$?       # an error's number may be anything below the signals
        case $rc in 124|13[0-9]|143) problem="$problem $how: ffmpeg ends with status $rc;" ;; esac
    done
    if [ -z "$problem" ]; then ok "$version: damaged streams"; else not_ok "$version: damaged streams" "$problem"; fi
}

try_version() {
    version=$("$dir/ffmpeg" -version | sed -n 's/^ffmpeg version \([^ ]*\).*/\1/p')
    compare_records
    for fill in detail fast bicubic; do
        same_filter "$version: fill=$fill" -i "$clip" -frames:v 14 -vf fastsr=fill=$fill:interval=8
    done
    same_filter "$version: 10 bit, 3x, without a network" -i "$SRC/samples/scene10.mkv" -frames:v 6 -vf fastsr=scale=3:model=none
    same_filter "$version: show=map" -i "$clip" -frames:v 6 -vf fastsr=show=map:model=none
    same_filter "$version: NV12" -i "$clip" -frames:v 4 -vf format=nv12,fastsr=model=none
    same_filter "$version: without records" -fsr_record 0 -i b.265 -frames:v 3 -vf fastsr
    same_filter "$version: a new size on the way" -i ad.265 -vf fastsr=model=none,scale=64:64
    # FFmpeg's frame threads hand H.264's vectors out unfinished
    same_filter "$version: vectors of H.264" -thread_type slice -flags2 +export_mvs -i avc.mkv -vf fastsr=model=none
    same_filter "$version: vectors of MPEG-4" -flags2 +export_mvs -i asp.mkv -vf fastsr=model=none
    same_filter "$version: mestimate" -i avc.mkv -vf mestimate=epzs,fastsr=model=none
    if "$dir/ffmpeg" -v quiet -decoders | grep -q ' libde265 '; then
        same_filter "$version: libde265" -c:v libde265 -i b.265 -vf fastsr=model=none
        "$BIN/fsmv_dump" b.265 >one
        run_ok "$version: records of libde265" sh -c "$dir/fsmv_dump -d libde265 b.265 | cmp one"
    else
        skip "$version: libde265" "configured without it"
    fi
    "$dir/ffmpeg" -nostdin -v error -i b.265 -vf fastsr=model=none,metadata=print:file=- -f null - >meta 2>&1
    is "$version: metadata" "$(grep -c '^lavfi.fastsr.key=' meta)" 12
    # the record as side data must not disturb the tools
    run_ok "$version: showinfo" "$dir/ffmpeg" -nostdin -v info -i b.265 -vf showinfo -f null - &&
        is "$version: showinfo saw the pictures" "$(grep -c 'n: *[0-9]* pts' stderr)" 12
    run_ok "$version: ffprobe -show_frames" "$dir/ffprobe" -v error -show_frames b.265
    fails_cleanly "$version: a wrong option" "scale" "$dir/ffmpeg" -nostdin -v error -i b.265 -vf fastsr=scale=5 -f null -
    damaged
}

try_version
