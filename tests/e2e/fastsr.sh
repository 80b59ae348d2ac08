# The fastsr filter on the bundled clips and, where they are there, on real streams.
. "$SRC/tests/e2e/lib.sh"
has_filter fastsr || skip_all "this ffmpeg has no fastsr filter"

CLIP=$SRC/samples/scene.mkv
CLIP10=$SRC/samples/scene10.mkv

md5() { # md5 ARGS...: checksum of all frames that ffmpeg gives
    "$BIN/ffmpeg" -nostdin -v error "$@" -f framemd5 - 2>"$TMP/stderr" | grep -v '^#' | md5sum | cut -d' ' -f1
}
NOTHING=$(md5sum </dev/null | cut -d' ' -f1)

same() { # same NAME SUM SUM
    if [ "$2" = "$NOTHING" ]; then not_ok "$1" "no frames came out" "$(cat "$TMP/stderr")"; else is "$1" "$2" "$3"; fi
}

# Threads: the result is equal to the bit ---------------------------------------
for fill in detail fuse fuse:budget=1000 fast bicubic; do
    a=$(md5 -threads 1 -filter_threads 1 -i "$CLIP" -frames:v 40 -vf fastsr=fill=$fill:interval=8)
    b=$(md5 -threads 4 -filter_threads 4 -i "$CLIP" -frames:v 40 -vf fastsr=fill=$fill:interval=8)
    c=$(md5 -threads 4 -thread_type slice -filter_threads 3 -i "$CLIP" -frames:v 40 -vf fastsr=fill=$fill:interval=8)
    same "fill=$fill: 1 and 4 threads" "$b" "$a"
    same "fill=$fill: slice threads" "$c" "$a"
done
for f in go_bframes3_128x128.h265 media3_h265_bframes.mp4 cros_bear.h265 go_realworld_720p.h265; do
    if [ -n "$SHARED" ] && [ -e "$SHARED/hevc/$f" ]; then
        a=$(md5 -threads 1 -i "$SHARED/hevc/$f" -frames:v 12 -vf fastsr)
        b=$(md5 -threads 4 -i "$SHARED/hevc/$f" -frames:v 12 -vf fastsr)
        same "$f: 1 and 4 threads" "$b" "$a"
    else
        skip "$f: 1 and 4 threads" "no real streams here"
    fi
done

# The fill is real: it carries something, and not without vectors ---------------
run_ok "statistics" $FFMPEG -v error -i "$CLIP" -vf fastsr=stats="$TMP/s.csv" -f null -
is "one line a frame" "$(($(wc -l <"$TMP/s.csv") - 1))" \
    "$($FFPROBE -v error -count_packets -show_entries stream=nb_read_packets -of csv=p=0 "$CLIP")"
is "first frame is a key frame" "$(awk -F, 'NR == 2 { print $3 }' "$TMP/s.csv")" 1
is "most of the area is carried" "$(awk -F, 'NR > 1 && !$3 { t += $7; n++ } END { print (t / n > 0.5) }' "$TMP/s.csv")" 1
is "key frames at most 16 apart" \
    "$(awk -F, 'NR > 1 && $3 { if ($1 - last > max) max = $1 - last; last = $1 } END { print (max <= 16) }' "$TMP/s.csv")" 1
for i in 1 3 7; do
    $FFMPEG -v error -i "$CLIP" -frames:v 60 -vf fastsr=interval=$i:stats="$TMP/i.csv" -f null - 2>"$TMP/stderr"
    is "key frames at most $i apart" \
        "$(awk -F, -v i=$i 'NR > 1 && $3 { if ($1 - last > max) max = $1 - last; last = $1 } END { print (max <= i && NR > 60) }' "$TMP/i.csv")" 1
done

# Seen on the picture: as much is gray as is said not to be carried, and threads agree -------
$FFMPEG -v error -i "$CLIP" -frames:v 12 -vf "fastsr=show=map,metadata=print:file='$TMP/meta',extractplanes=v" -pix_fmt gray -f rawvideo "$TMP/v" 2>"$TMP/stderr"
awk -F= '/transferred/ { print $2 }' "$TMP/meta" >"$TMP/said"
frame=$((480 * 270))
i=0
while [ $i -lt 12 ]; do
    gray=$(tail -c +$((i * frame + 1)) "$TMP/v" | head -c $frame | tr -d '\200' | wc -c)
    echo "$gray $frame"
    i=$((i + 1))
done | paste -d' ' "$TMP/said" - |
    awk '$2 < $3 { n++; d = $1 - $2 / $3; if (d > 0.012 || d < -0.012) bad++ } END { print (n > 8), bad + 0 }' >"$TMP/agree"
is "show=map: colours agree with the share transferred (which counts rows of cells that the crop hides)" "$(cat "$TMP/agree")" "1 0"
same "show=map: 1 and 4 threads" "$(md5 -threads 4 -filter_threads 4 -i "$CLIP" -frames:v 20 -vf fastsr=show=map)" \
    "$(md5 -threads 1 -filter_threads 1 -i "$CLIP" -frames:v 20 -vf fastsr=show=map)"

# Metadata, summary, order ------------------------------------------------------
$FFMPEG -v error -i "$CLIP" -vf trim=end_frame=4,fastsr,metadata=print:file=- -f null - >"$TMP/meta" 2>&1
is "frame metadata: key" "$(grep -c '^lavfi.fastsr.key=[01]$' "$TMP/meta")" 4
is "frame metadata: transferred" "$(grep -c '^lavfi.fastsr.transferred=[01]\.[0-9]*$' "$TMP/meta")" 4
$FFMPEG -v info -i "$CLIP" -frames:v 4 -vf fastsr -f null - 2>"$TMP/stderr"
is "summary" "$(grep -c 'key frames.*MAC per output pixel' "$TMP/stderr")" 1
pts() { $FFPROBE -v error -show_entries frame=pts_time -of csv=p=0 "$1" | tr -d , | grep .; }
$FFMPEG -v error -i "$CLIP" -vf fastsr=model=none -c:v ffv1 -copyts "$TMP/o.mkv" 2>"$TMP/stderr"
is "timestamps in order, none lost" "$(pts "$TMP/o.mkv" | tr '\n' ' ')" "$(pts "$CLIP" | tr '\n' ' ')"

# A file cut at an IRAP picture gives the frames of the whole --------------------
if $FFMPEG -v error -i "$CLIP" -frames:v 72 -vf crop=320:180 -c:v libx265 -x265-params keyint=24:min-keyint=24:open-gop=1:scenecut=0:log-level=error \
    "$TMP/gop.mkv" 2>"$TMP/stderr"; then
    # decoding from the second CRA on drops its leading pictures: compare what follows the CRA
    whole=$($FFMPEG -v error -copyts -i "$TMP/gop.mkv" -vf fastsr=interval=8 -f framemd5 - | awk -F, '/^0/ && $3 >= 24 { print $6 }')
    $FFMPEG -v error -ss 0.96 -noaccurate_seek -i "$TMP/gop.mkv" -c copy -copyts "$TMP/cut.mkv" 2>"$TMP/stderr"
    cut=$($FFMPEG -v error -copyts -i "$TMP/cut.mkv" -vf fastsr=interval=8 -f framemd5 - | awk -F, '/^0/ && $3 >= 24 { print $6 }')
    if [ -z "$whole" ]; then not_ok "file cut at a CRA picture" "no frames"; else is "file cut at a CRA picture" "$cut" "$whole"; fi
else
    not_ok "file cut at a CRA picture" "$(cat "$TMP/stderr")"
fi

# Formats -----------------------------------------------------------------------
for fmt in yuv420p yuv422p yuv444p gray yuv420p10le yuv422p10le yuv444p10le gray10le yuv420p12le nv12 p010le yuvj420p; do
    $FFMPEG -v info -i "$CLIP" -vf trim=end_frame=6,format=$fmt,fastsr,showinfo -f null - 2>"$TMP/stderr"
    is "format $fmt" "$(grep -c "fmt:$fmt .* s:960x540 " "$TMP/stderr")" 6
done
# semi-planar is the same picture in another order
is "nv12 equals yuv420p" "$(md5 -i "$CLIP" -frames:v 12 -vf format=nv12,fastsr,format=yuv420p)" \
    "$(md5 -i "$CLIP" -frames:v 12 -vf fastsr)"
is "p010 equals yuv420p10" "$(md5 -i "$CLIP10" -frames:v 12 -vf format=p010le,fastsr,format=yuv420p10le)" \
    "$(md5 -i "$CLIP10" -frames:v 12 -vf fastsr)"
# A format change keeps the record: it carries as much as without
$FFMPEG -v error -i "$CLIP" -frames:v 30 -vf format=yuv444p10le,fastsr=stats="$TMP/f.csv" -f null - 2>"$TMP/stderr"
is "a format conversion in between keeps the motion" "$(awk -F, 'NR > 1 { k += $3 } END { print (k <= 3) }' "$TMP/f.csv")" 1

for scale in 2 3 4; do      # a network that takes the upscaled picture goes with any scale
    is "scale $scale" "$($FFMPEG -v error -i "$CLIP" -frames:v 3 -vf fastsr=scale=$scale:model="$SRC/models/srcnn-915-x2.onnx" -f nut -c:v rawvideo - 2>"$TMP/stderr" |
        $FFPROBE -v error -show_entries stream=width,height -of csv=p=0 -f nut -)" "$((480 * scale)),$((270 * scale))"
done

# Odd and tiny sizes, cropped by a filter (the record does not fit then) ----------
$FFMPEG -v error -f lavfi -i testsrc2=s=160x96:d=0.4 -pix_fmt yuv444p -c:v libx265 -x265-params log-level=none "$TMP/t.mkv" 2>"$TMP/stderr"
frames() { # frames OPTIONS...: size and number of the frames that come out
    $FFMPEG -v error "$@" -f nut -c:v rawvideo - 2>"$TMP/stderr" |
        $FFPROBE -v error -count_frames -show_entries stream=width,height,nb_read_frames -of csv=p=0 -f nut - 2>>"$TMP/stderr"
}
for size in 1x1 2x3 8x8 17x9 33x31 130x70; do
    w=${size%x*} h=${size#*x}
    is "size $size" "$(frames -i "$TMP/t.mkv" -vf crop=$w:$h:0:0:exact=1,fastsr)" "$((2 * w)),$((2 * h)),10"
done
# its decoded size may be larger than the stream says, for alignment
size_of() {
    $FFMPEG -v info -i "$1" -vf showinfo -f null - 2>&1 | sed -n 's/.* s:\([0-9]*\)x\([0-9]*\) .*/\1 \2/p' |
        awk 'NR == 1 { print 2 * $1 "," 2 * $2 }'
}
# ... and by the stream itself (conformance window), where it does
$FFMPEG -v error -i "$TMP/t.mkv" -c copy -bsf:v hevc_mp4toannexb,hevc_metadata=crop_left=3:crop_top=5:crop_right=2:crop_bottom=1 "$TMP/w.hevc" 2>"$TMP/stderr"
for fill in detail fuse fuse:budget=1000 fast bicubic; do
    is "conformance window, fill=$fill" "$(frames -i "$TMP/w.hevc" -vf fastsr=fill=$fill)" "$(size_of "$TMP/w.hevc"),10"
done
$FFMPEG -v error -i "$TMP/w.hevc" -vf fastsr=stats="$TMP/w.csv" -f null - 2>"$TMP/stderr"
is "conformance window: most is carried" "$(awk -F, 'NR > 1 && !$3 { t += $7; n++ } END { print (n > 5 && t / n > 0.6) }' "$TMP/w.csv")" 1

# Without motion vectors ---------------------------------------------------------
$FFMPEG -v error -i "$CLIP" -frames:v 10 -c:v libx264 -x264-params log-level=none "$TMP/h264.mkv" 2>"$TMP/stderr"
$FFMPEG -v warning -i "$TMP/h264.mkv" -vf fastsr=stats="$TMP/n.csv" -f null - 2>"$TMP/stderr"
is "H.264: said once" "$(grep -c 'No motion with' "$TMP/stderr")" 1
is "H.264: network on every frame" "$(awk -F, 'NR > 1 && !$3 { bad++ } END { print (NR > 10), bad + 0 }' "$TMP/n.csv")" "1 0"
$FFMPEG -v warning -i "$CLIP" -frames:v 10 -vf scale=240:136,fastsr=stats="$TMP/n.csv" -f null - 2>"$TMP/stderr"
is "scaled before: network on every frame" "$(awk -F, 'NR > 1 && !$3 { bad++ } END { print (NR > 10), bad + 0 }' "$TMP/n.csv")" "1 0"
# Repeated frames are carried over whole
$FFMPEG -v error -i "$CLIP" -frames:v 20 -vf fps=50,fastsr=stats="$TMP/d.csv" -f null - 2>"$TMP/stderr"
is "repeated frames are carried" "$(awk -F, 'NR > 1 { k += $3 } END { print (k <= 4) }' "$TMP/d.csv")" 1
run_ok "joined streams" $FFMPEG -v error -i "$CLIP" -i "$CLIP" -filter_complex "[0:v]trim=end_frame=20[a];[1:v]trim=end_frame=20[b];[a][b]concat,fastsr" -f null -

# Streams that change ------------------------------------------------------------
$FFMPEG -v error -i "$CLIP" -frames:v 8 -vf crop=320:180 -c:v libx265 -x265-params log-level=none:repeat-headers=1 "$TMP/a.hevc" 2>"$TMP/stderr"
$FFMPEG -v error -i "$CLIP" -frames:v 8 -vf crop=256:144 -c:v libx265 -x265-params log-level=none:repeat-headers=1 "$TMP/b.hevc" 2>"$TMP/stderr"
cat "$TMP/a.hevc" "$TMP/b.hevc" >"$TMP/ab.hevc"
run_ok "a stream that changes size" $FFMPEG -v error -i "$TMP/ab.hevc" -vf fastsr -f null -
head -c 30000 "$CLIP" >"$TMP/short.mkv"
run_ok "a truncated file" $FFMPEG -v quiet -i "$TMP/short.mkv" -vf fastsr -f null -
run_ok "seeking into the middle" $FFMPEG -v error -ss 1.3 -i "$CLIP" -vf fastsr -frames:v 10 -f null -

# Colour, aspect ratio, light data pass ------------------------------------------
$FFMPEG -v error -i "$CLIP" -frames:v 3 \
    -vf setsar=4/3,setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc:range=tv,fastsr -c:v libx265 -x265-params log-level=none "$TMP/c.mkv" 2>"$TMP/stderr"
is "aspect ratio and colour" "$($FFPROBE -v error -show_entries stream=sample_aspect_ratio,color_range,color_space,color_transfer,color_primaries -of csv=p=0 "$TMP/c.mkv")" \
    "4:3,tv,bt2020nc,smpte2084,bt2020"
HDR=$SHARED/hevc/av_720p_hdr10_static.mp4
if [ -n "$SHARED" ] && [ -e "$HDR" ]; then
    $FFMPEG -v error -i "$HDR" -frames:v 3 -vf fastsr=model=none -c:v ffv1 "$TMP/hdr.mkv" 2>"$TMP/stderr"
    got=$($FFMPEG -v info -i "$HDR" -frames:v 1 -vf fastsr=model=none,showinfo -f null - 2>&1 | grep -c -i -E 'mastering display|content light')
    is "mastering display and content light on the frames" "$got" 2
    is "HDR colour properties in the file" "$($FFPROBE -v error -show_entries stream=pix_fmt,color_space,color_transfer,color_primaries -of csv=p=0 "$TMP/hdr.mkv")" \
        "yuv420p10le,bt2020nc,smpte2084,bt2020"
else
    skip "mastering display and content light on the frames" "no real streams here"
fi

# Bad input: one clear message, a failing status ----------------------------------
fails_cleanly "scale out of range" "scale" $FFMPEG -v error -i "$CLIP" -vf fastsr=scale=5 -f null -
fails_cleanly "interval 0" "interval" $FFMPEG -v error -i "$CLIP" -vf fastsr=interval=0 -f null -
fails_cleanly "unknown fill" "fill" $FFMPEG -v error -i "$CLIP" -vf fastsr=fill=magic -f null -
fails_cleanly "unknown option" "colour" $FFMPEG -v error -i "$CLIP" -vf fastsr=colour=1 -f null -
fails_cleanly "missing model" "no such file" $FFMPEG -v error -i "$CLIP" -vf fastsr=model=nowhere.onnx -f null -
head -c 5000 "$SRC/models/srcnn-915-x2.onnx" >"$TMP/cut.onnx"
fails_cleanly "truncated model" "cut.onnx" $FFMPEG -v error -i "$CLIP" -vf fastsr=model="$TMP/cut.onnx" -f null -
head -c 5000 /dev/zero >"$TMP/zero.onnx"
fails_cleanly "a model that is none" "zero.onnx" $FFMPEG -v error -i "$CLIP" -vf fastsr=model="$TMP/zero.onnx" -f null -
fails_cleanly "statistics to nowhere" "Cannot write" $FFMPEG -v error -i "$CLIP" -vf fastsr=stats=/nonexistent/s.csv -f null -
echo old >"$TMP/old.csv"
for f in fastsr=model=nowhere.onnx fastsr=fill=fuse:model=none fastdepth=model=nowhere.onnx; do
    $FFMPEG -v quiet -i "$CLIP" -vf $f:stats="$TMP/old.csv" -f null -
    is "$f fails: statistics that were there stay, and no part of new ones" "$(cat "$TMP/old.csv"; ls "$TMP" | grep -c part)" "old
0"
done
# /dev/stdout is a link: it is written to, not put aside
ln -s target.csv "$TMP/link.csv"
$FFMPEG -v error -i "$CLIP" -vf trim=end_frame=3,fastsr=model=none:stats="$TMP/link.csv" -f null - 2>"$TMP/stderr"
is "statistics through a link" "$(test -L "$TMP/link.csv" && grep -c , "$TMP/target.csv")" 4
fails_cleanly "fill=fuse at 3x" "fill=fuse is for scale=2" $FFMPEG -v error -i "$CLIP" -vf fastsr=fill=fuse:scale=3 -f null -
$FFMPEG -v info -i "$CLIP" -vf fastsr=model=list -f null - >"$TMP/list" 2>&1
is "model=list" "$(grep -c 'srcnn-915-x2.*scale 2' "$TMP/list")" 1
# a model given as a file is the same as the one built in
is "model from a file" "$(md5 -i "$CLIP" -frames:v 3 -vf fastsr=model="$SRC/models/srcnn-915-x2.onnx")" "$(md5 -i "$CLIP" -frames:v 3 -vf fastsr)"
# and so is the one that it names for pictures without references, which lies beside it
is "networks of fill=fuse from files" "$(md5 -i "$CLIP" -frames:v 3 -vf fastsr=fill=fuse:model="$SRC/models/fuse-x2.onnx")" "$(md5 -i "$CLIP" -frames:v 3 -vf fastsr=fill=fuse)"
cp "$SRC/models/fuse-x2.onnx" "$TMP/alone.onnx"
fails_cleanly "its second network is missing" 'fuse-x2-key.onnx" for fill=fuse' $FFMPEG -v error -i "$CLIP" -vf fastsr=fill=fuse:model="$TMP/alone.onnx" -f null -
