# Motion of other sources than our HEVC decoder: vectors that FFmpeg exports for H.264, MPEG-2 and MPEG-4, and
# those of its filter mestimate. Most is carried, and the pictures gain by it.
. "$SRC/tests/e2e/lib.sh"
has_filter fastsr || skip_all "this ffmpeg has no fastsr filter"
for p in fsr_scene fsr_downscale fsr_measure; do
    [ -x "$BIN/$p" ] || skip_all "$p is not built: make check builds it"
done
cd "$TMP" || exit 1

"$BIN/fsr_scene" --size 480x272 --first 40 --frames 24 large.y4m && "$BIN/fsr_downscale" 2 large.y4m small.y4m ||
    { not_ok "drawing the scene"; exit 1; }
$FFMPEG -v error -i large.y4m -frames:v 23 -f yuv4mpegpipe large23.y4m

# psnr ORIGINAL IN FILTERS [INPUT-OPTIONS]: mean luma PSNR of 100 times dB; statistics in s.csv
psnr() {
    ref=$1 in=$2 filters=$3
    shift 3
    $FFMPEG -v warning "$@" -i "$in" -vf "$filters" -fps_mode passthrough -f yuv4mpegpipe out.y4m 2>stderr &&
        "$BIN/fsr_measure" --no-ssim --crop 2 "$ref.y4m" out.y4m 2>>stderr | awk '$1 == "psnr" { printf "%d\n", 100 * $2 }'
}
# carried LEAST: few key frames, and so much of the others carried
carried() {
    awk -F, -v least="$1" 'NR > 1 { n++; keys += $3; if (!$3) sum += $7 }
        END { print (n > 20 && keys <= 4 && sum / (n - keys) >= least) ? "yes" : keys " key frames, carried " sum / (n - keys) }' s.csv
}

for kind in h264 h264-low-delay mpeg2 mpeg4; do
    case $kind in
    h264)           enc="libx264 -qp 24 -bf 3 -x264-params log-level=none" ;;
    h264-low-delay) enc="libx264 -qp 24 -bf 0 -x264-params log-level=none" ;;
    mpeg2)          enc="mpeg2video -qscale:v 3 -bf 2 -g 18" ;;
    mpeg4)          enc="mpeg4 -qscale:v 3 -bf 2 -g 18" ;;
    esac
    # shellcheck disable=SC2086 # options are words
    $FFMPEG -v error -i small.y4m -c:v $enc $kind.mkv 2>stderr || { not_ok "encoding $kind" "$(cat stderr)"; continue; }
    cubic=$(psnr large $kind.mkv fastsr=model=none:fill=bicubic)
    network=$(psnr large $kind.mkv fastsr=interval=1)
    got=$(psnr large $kind.mkv fastsr=stats=s.csv -flags2 +export_mvs)
    is "$kind: no complaint" "$(grep -c 'No motion' stderr)" 0
    is "$kind: most is carried" "$(carried 0.5)" yes
    # FFmpeg by itself does not keep these: codec_hooks/mpeg4_hook.c
    [ $kind != mpeg4 ] || is "$kind: in B pictures nearly all" \
        "$(awk -F, '$4 == "B" { n++; sum += $7 } END { print (n > 8 && sum / n >= 0.93) ? "yes" : sum / n }' s.csv)" yes
    if [ "${got:-0}" -gt $((cubic + (network - cubic) / 2)) ]; then ok "$kind: half of what the network gains, or more"
    else not_ok "$kind: half of what the network gains, or more" "cubic $cubic, network $network, carried $got (hundredths of a dB)"; fi
    echo "# $kind: cubic $cubic, network $network, carried $got"
    # FFmpeg hands out H.264's vectors before other frame threads have finished writing them (its codecview shows
    # it too), so what decodes in frame threads differs from run to run: slice threads here.
    for threads in 1 4; do
        $FFMPEG -v error -threads $threads -thread_type slice -filter_threads $threads -flags2 +export_mvs -i $kind.mkv -vf fastsr -f framemd5 md5.$threads
    done
    run_ok "$kind: 1 and 4 threads" cmp md5.1 md5.4
    psnr large $kind.mkv fastsr >/dev/null
    is "$kind: without the option it says what to do" "$(grep -c 'export_mvs' stderr)" 1
done

cubic=$(psnr large h264.mkv fastsr=model=none:fill=bicubic)
# (mestimate leaves the last picture out)
got=$(psnr large23 h264.mkv mestimate=epzs:mb_size=8,fastsr=stats=s.csv)
is "mestimate: most is carried" "$(carried 0.5)" yes
if [ "${got:-0}" -gt $((cubic + 20)) ]; then ok "mestimate: better than cubic"
else not_ok "mestimate: better than cubic" "cubic $cubic, carried $got (hundredths of a dB)" "$(cat stderr)"; fi
echo "# mestimate: cubic $cubic, carried $got"

for i in 1 2 3; do
    $FFMPEG -v error -i h264.mkv -vf mestimate=epzs:mb_size=8,fastsr=model=none -f framemd5 - | md5sum
done | uniq | wc -l >times
is "mestimate: the same again" "$(cat times)" 1

# Vectors that do not belong to the picture
run_ok "vectors of a picture that was turned" $FFMPEG -v error -flags2 +export_mvs -i h264.mkv -vf hflip,fastsr -f null -
for size in scale=100:60 crop=33:17 crop=160:96:20:10; do
    run_ok "vectors before $size" $FFMPEG -v warning -flags2 +export_mvs -i h264.mkv -vf "$size,fastsr=stats=s.csv" -f null -
    is "vectors before $size are left aside" "$(grep -c 'No motion' stderr), $(awk -F, 'NR > 1 && !$3' s.csv | wc -l)" "1, 0"
done
run_ok "joined with HEVC" $FFMPEG -v error -flags2 +export_mvs -i h264.mkv -i "$SRC/samples/scene.mkv" \
    -filter_complex "[1:v]trim=end_frame=20,scale=240:136,setsar=1[a];[0:v][a]concat,fastsr" -f null -
