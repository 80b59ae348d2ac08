# Motion records of real streams: the same for any threads, on every picture, proven by the
# pixels; the decoder's pictures untouched; clear messages.
. "$SRC/tests/e2e/lib.sh"

DUMP="$BIN/fsmv_dump"

# same_records FILE: 1 thread, 4 frame threads and 4 slice threads give the same text.
same_records() {
    name=$(basename "$1")
    if ! $DUMP "$1" >"$TMP/one" 2>"$TMP/err"; then
        not_ok "records of $name" "$(tail -n 3 "$TMP/err")"
        return
    fi
    bad=$(grep -vc '^n=[0-9]* number=' "$TMP/one")
    is "every picture of $name has a record" "$bad" 0
    for type in frame slice; do
        $DUMP --threads 4 --thread-type $type "$1" >"$TMP/many" 2>&1
        run_ok "$name, 4 $type threads: the same records" cmp "$TMP/one" "$TMP/many"
    done
}

# same_pictures FILE: the pictures do not depend on the hook.
same_pictures() {
    for threads in 1 4; do
        for on in 0 1; do
            $FFMPEG -v error -threads $threads -fsr_record $on -i "$1" -map 0:v:0 -f framemd5 "$TMP/md5.$on" \
                2>"$TMP/err" || echo failed >"$TMP/md5.$on"
        done
        run_ok "$(basename "$1"), $threads threads: the hook leaves the pictures alone" cmp "$TMP/md5.0" "$TMP/md5.1"
        grep -q '^0,' "$TMP/md5.1" || not_ok "$(basename "$1") has pictures" "$(cat "$TMP/err")"
    done
}

# prove NAME SCENE-ARGUMENTS X265-PARAMETERS KIND...: every block without residual equals its prediction,
# and blocks of these kinds (words of pixel_proof's last line) are among them.
prove() {
    "$BIN/fsr_scene" --size 416x256 $2 "$TMP/a.y4m" &&
    $FFMPEG -v error -i "$TMP/a.y4m" -c:v libx265 -preset medium \
        -x265-params "log-level=none:no-deblock=1:no-sao=1:rect=1:amp=1:$3" "$TMP/a.265" &&
    $FFMPEG -v error -fsr_record 0 -i "$TMP/a.265" -f rawvideo -pix_fmt yuv420p "$TMP/a.yuv" 2>"$TMP/err"
    result=$?
    if [ $result -ne 0 ] || [ -s "$TMP/err" ]; then
        case $3 in      # where it is asked for slices, x265 4.1 (Debian 13) crashes or writes broken ones
        *slices*) skip "pixels prove the records: $1" "this libx265 makes no proper stream of $3" ;;
        *)        not_ok "pixels prove the records: $1" "no stream to look at" "$(cat "$TMP/err")" ;;
        esac
        return
    fi
    $DUMP --blocks "$TMP/a.265" >"$TMP/a.txt" &&
    "$BIN/pixel_proof" "$TMP/a.yuv" 416 256 <"$TMP/a.txt" >"$TMP/proof"
    result=$?
    summary=$(tail -n 1 "$TMP/proof" 2>/dev/null)
    name=$1
    case $3 in *slices=[2-9]*) grep -q 'slices=[2-9]' "$TMP/a.txt" || result=none summary="$summary: one slice a picture" ;; esac
    shift 3
    for kind; do
        case $summary in *"(0 $kind"*|*" 0 $kind"*) result=none ;; esac
    done
    set -- "$name"
    if [ $result = 0 ]; then ok "pixels prove the records: $1: $summary"
    else not_ok "pixels prove the records: $1" "$(cat "$TMP/proof")"; fi
}

streams=$(ls "$SRC"/samples/*.mkv 2>/dev/null)
for f in $streams; do
    same_records "$f"
    same_pictures "$f"
done
[ -n "$streams" ] || skip "records of the sample clips" "the clips are not there"

if [ -n "$SHARED" ] && [ -d "$SHARED/hevc" ]; then
    # B frames, several slices, tiles, wavefronts, ten bits, smallest blocks, PCM, 4:2:2, cropping, field order.
    for f in akiyo_x265_qp30.265 akiyo_turing_qp30.265 hevcjs_b_qcif_10f.265 hevcjs_full_qcif_10f_10bit.265 \
             go_tiles.h265 go_wpp_ctu16.h265 go_pcm_hm_64x64.h265 go_yuv422_176x144.h265 go_amp_mincu16_176x144.h265 \
             go_multi_slice_sao_deblock_256x256.h265 go_culossless_176x144.h265 nokia_B029.265 \
             membrane_input-300-98x58-conformance-window.h265 membrane_input-15-1280x720-temporal-id-1.h265 \
             go_mono_176x144.h265 media3_h265_bframes.mp4 sintel_443.ts; do
        [ -e "$SHARED/hevc/$f" ] && same_records "$SHARED/hevc/$f"
    done
    for f in akiyo_x265_qp30.265 hevcjs_b_qcif_10f.265 nokia_B029.265 go_multi_slice_sao_deblock_256x256.h265 \
             media3_h265_bframes.mp4; do
        [ -e "$SHARED/hevc/$f" ] && same_pictures "$SHARED/hevc/$f"
    done
else
    skip "records of real streams" "no real material; FASTSR_SHARED names its directory"
fi

prove "slices, rectangles, a cut"       "--frames 16 --first 50" crf=27:slices=3:bframes=4 skipped full-sample bipredicted halves asymmetric
prove "weighted prediction in a fade"   "--frames 12 --first 80" crf=27:bframes=4:weightp=1:weightb=1 weighted
prove "low delay, four references"      "--frames 12 --first 70" crf=27:bframes=0:ref=4:weightp=1
prove "smallest coding block 16"        "--frames 8 --first 4"   crf=30:min-cu-size=16:bframes=3 skipped full-sample halves asymmetric
prove "smallest coding block 32"        "--frames 8 --first 4"   crf=30:min-cu-size=32:bframes=3 skipped full-sample halves asymmetric
prove "smallest coding block 8"         "--frames 8 --first 4"   crf=30:min-cu-size=8:bframes=3 skipped full-sample halves asymmetric
prove "coding tree blocks of 16"        "--frames 8 --first 4"   crf=24:ctu=16:bframes=3

# Film grain is put on a copy of the picture; the record must come along. An SEI message that
# asks for it (H.265 D.2.21, one luma interval, to the end of the sequence) goes before the stream.
{ printf '\000\000\000\001\116\001\023\012\000\240\002\000\377\001\220\020\010\140\200'; cat "$TMP/a.265"; } >"$TMP/grain.265"
$FFMPEG -v error -i "$TMP/grain.265" -f rawvideo -pix_fmt yuv420p "$TMP/grain.yuv"
if cmp -s "$TMP/a.yuv" "$TMP/grain.yuv"; then not_ok "film grain is put on"; else ok "film grain is put on"; fi
$DUMP "$TMP/a.265" >"$TMP/one"
for threads in 1 4; do
    $DUMP --threads $threads "$TMP/grain.265" >"$TMP/many" 2>&1
    run_ok "records of pictures with film grain, $threads threads" cmp "$TMP/one" "$TMP/many"
done

# What fsmv_dump says when it cannot.
printf 'this is not a video\n' >"$TMP/text.txt"
"$BIN/fsr_scene" --size 64x64 --frames 2 "$TMP/s.y4m"
$FFMPEG -v error -i "$TMP/s.y4m" -c:v libx264 "$TMP/avc.mp4"
$FFMPEG -v error -f s16le -ar 8000 -ac 1 -t 0.1 -i /dev/zero "$TMP/silence.wav"
fails_cleanly "a missing file"        "none.mkv: cannot be opened: No such file" $DUMP "$TMP/none.mkv"
fails_cleanly "not a video"           "text.txt: "                               $DUMP "$TMP/text.txt"
fails_cleanly "no video in it"        "there is no video"                        $DUMP "$TMP/silence.wav"
fails_cleanly "another codec"         "the video is h264; only the HEVC"         $DUMP "$TMP/avc.mp4"
fails_cleanly "a wrong thread number" "takes a number from 1 to 64"              $DUMP --threads 0 x
fails_cleanly "a wrong thread type"   "takes frame or slice"                     $DUMP --thread-type wave x
fails_cleanly "no file"               "^Usage:"                                  $DUMP
