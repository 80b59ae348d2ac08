# The demo on a shortened clip: a complete table, a result that plays, and fastsr nearer to the original than bicubic.
. "$SRC/tests/e2e/lib.sh"

export OUT="$TMP/demo" FRAMES=12
n=0
if run_ok 'the demo runs' sh "$SRC/samples/demo"; then
    cp "$TMP/stdout" "$TMP/table"
    for row in output frames 'key frames' 'blocks transferred' 'network work' 'PSNR-Y bicubic' 'PSNR-Y fastsr' 'frames a second'; do
        grep -q "^  $row  *[0-9]" "$TMP/table" || { not_ok "the table has a row '$row'"; n=1; }
    done
    [ $n -eq 1 ] || ok 'the table is complete'
    is 'it counts the frames' "$(awk '$1 == "frames" && $2 != "a" { print $2 }' "$TMP/table")" 12
    awk '$2 == "bicubic" { b = $3 } $2 == "fastsr" { f = $3 } END { exit !(b > 20 && f > b + 0.3) }' "$TMP/table" &&
        ok 'fastsr is nearer to the original than bicubic by more than 0.3 dB' ||
        not_ok 'fastsr is nearer to the original than bicubic by more than 0.3 dB' "$(grep PSNR "$TMP/table")"
    is 'the result plays and has the size' "$($FFPROBE -v error -count_frames -select_streams v \
        -show_entries stream=width,height,nb_read_frames -of csv=p=0 "$OUT/scene-fastsr.mkv")" 960,540,12
    is 'nothing half-finished is left' "$(ls "$OUT" | grep -v -e '^original-12.y4m$' -e '^scene-fastsr.mkv$')" ''
fi

# A file of the user's, with sound and a space in its name.
FRAMES=
$FFMPEG -v error -i "$SRC/samples/scene.mkv" -f lavfi -i sine -t 0.3 -c:v copy -c:a aac "$TMP/my clip.mp4"
run_ok "a file of the user's" sh "$SRC/samples/demo" "INPUT=$TMP/my clip.mp4" &&
    is 'it keeps its sound' "$($FFPROBE -v error -show_entries stream=codec_name -of csv=p=0 "$OUT/my clip-fastsr.mkv" |
        tr '\n' ' ')" 'h264 aac '
grep -q PSNR "$TMP/stdout" && not_ok 'no PSNR without an original' || ok 'no PSNR without an original'

fails_cleanly 'a file that is not there' 'cannot read' sh "$SRC/samples/demo" "$TMP/none.mkv"
echo 'no video' >"$TMP/text.mkv"
fails_cleanly 'a file that is no video' 'could not enlarge' sh "$SRC/samples/demo" "$TMP/text.mkv"
FRAMES=x
fails_cleanly 'FRAMES that is no number' 'whole number' sh "$SRC/samples/demo"
