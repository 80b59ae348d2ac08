# The fuzzers (tests/fuzz) for a short, fixed while, or as long as `make fuzz T=seconds` says: no sanitizer
# complains, no promise of the record reader is broken, nothing hangs.
. "$SRC/tests/e2e/lib.sh"
FUZZ="$SRC/build/fuzz"
[ -x "$FUZZ/fuzz_stream" ] || skip_all "the fuzzers are not built: make check builds them"
cd "$TMP" || exit 1

$FFMPEG -v error -t 0.4 -i "$SRC/samples/scene.mkv" -map 0:v:0 -vf scale=160:90 -c:v libx265 -x265-params log-level=none:bframes=3:crf=32 a.265
"$BIN/fsr_scene" --size 120x88 --frames 12 b.y4m
$FFMPEG -v error -i b.y4m -c:v libx265 -x265-params log-level=none:crf=30:keyint=8:slices=2:wpp=1 b.265
$FFMPEG -v error -i b.y4m -pix_fmt yuv422p10le -c:v libx265 -x265-params log-level=none:crf=30:open-gop=1:keyint=6:rect=1:amp=1:weightb=1:ctu=16 c.265
streams="a.265 b.265 c.265"
if [ -n "$SHARED" ]; then
    for f in "$SHARED"/hevc/go_*.h265; do
        [ "$(wc -c <"$f")" -ge 60000 ] || streams="$streams $f"
    done
fi

# fuzz NAME RUNS PROGRAM FILE...
fuzz() {
    name=$1 runs=$2
    shift 2
    if [ -n "${SECONDS_EACH-}" ]; then set -- "$@" && how="--seconds $SECONDS_EACH --seed ${SEED:-$(date +%s)}"; else how="--runs $runs"; fi
    program=$1
    shift
    # shellcheck disable=SC2086 # words
    if "$FUZZ/$program" $how "$@" >out 2>err; then ok "$name: $(cat out)"; else not_ok "$name" "$(tail -n 40 err)"; fi
}

fuzz "record reader" 1500 fuzz_record
# shellcheck disable=SC2086 # a list
fuzz "hook in the decoder" 150 fuzz_stream $streams
if "$BIN/ffmpeg" -v quiet -decoders | grep -q ' libde265 '; then
    # shellcheck disable=SC2086 # a list
    fuzz "libde265" 1200 fuzz_de265 $streams
fi
