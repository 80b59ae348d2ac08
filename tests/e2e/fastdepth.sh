# The filter fastdepth: formats, sizes, metadata, statistics, streams that are odd or have no vectors, messages.
. "$SRC/tests/e2e/lib.sh"
has_filter fastdepth || skip_all "this ffmpeg has no fastdepth"
$FFMPEG -v error -f lavfi -i testsrc2=s=64x48:d=0.1 -vf fastdepth -f null - 2>"$TMP/stderr" ||
    { grep -q "is built in" "$TMP/stderr" && skip_all "built without FastDepth's weights"; }
CLIP=$SRC/samples/scene.mkv

bytes() { # OPTIONS INPUT...: of the output
    bytes_options=$1
    shift
    $FFMPEG -v error "$@" -vf "fastdepth=$bytes_options" -f rawvideo - 2>"$TMP/stderr" | wc -c
}
# what FFprobe says of the first frame
frame() { # ENTRY FILE
    $FFPROBE -v error -select_streams v -read_intervals %+#1 -show_entries "$1" -of csv=p=0 "$2" | head -n 1
}

# Formats and sizes: 480x270 has a map of 256x144
is "gray8, model size"    "$(bytes format=gray8 -i "$CLIP" -frames:v 4)"  $((4 * 256 * 144))
is "gray16"               "$(bytes format=gray16 -i "$CLIP" -frames:v 4)" $((4 * 2 * 256 * 144))
is "grayf32, input size"  "$(bytes format=grayf32:size=input -i "$CLIP" -frames:v 4)" $((4 * 4 * 480 * 270))
is "color, input size"    "$(bytes format=color:size=input -i "$CLIP" -frames:v 4)" $((4 * 3 * 480 * 270))
run_ok "an encoder takes it" $FFMPEG -v error -i "$CLIP" -frames:v 20 -vf fastdepth=format=color:size=input -c:v libx264 "$TMP/o.mkv"
run_ok "gray samples are stored" $FFMPEG -v error -i "$CLIP" -frames:v 20 -vf fastdepth=size=input -c:v ffv1 "$TMP/g.mkv"
is "as they are, full range" "$(frame stream=pix_fmt,color_range "$TMP/g.mkv")" "gray,pc"

# Equal for any number of threads, and on a second run
for o in fill=hold:format=gray16 fill=transfer:format=gray16 fill=transfer:format=color:size=input; do
    $FFMPEG -v error -threads 1 -filter_threads 1 -i "$CLIP" -vf fastdepth=$o -f framemd5 "$TMP/1"
    $FFMPEG -v error -threads 4 -filter_threads 4 -i "$CLIP" -vf fastdepth=$o -f framemd5 "$TMP/4"
    if cmp -s "$TMP/1" "$TMP/4"; then ok "threads: $o"; else not_ok "threads: $o"; fi
done

# Metadata and statistics
$FFMPEG -v error -i "$CLIP" -vf "fastdepth=stats=$TMP/s.csv,metadata=print:file=$TMP/meta" -f null - 2>"$TMP/stderr"
is "a line of statistics a frame" "$(wc -l <"$TMP/s.csv" | tr -d ' ')" 97
for k in key transferred min median max; do
    is "metadata: $k" "$(grep -c "lavfi.fastdepth.$k=" "$TMP/meta")" 96
done
# key frames: the first picture, the cut, and no more than 16 apart
if awk -F, 'NR > 1 { if ($3) { keys++; last = $1 } if ($1 - last >= 16) far = 1; if ($1 == 58) cut = $3; if ($8 > $9 || $9 > $10) bad = 1 }
            END { exit !(keys >= 6 && keys < 20 && !far && cut && !bad) }' "$TMP/s.csv"; then
    ok "key frames: the cut, and at most 16 apart"
else
    not_ok "key frames: the cut, and at most 16 apart" "$(cut -d, -f 1,3,8-10 "$TMP/s.csv" | tr '\n' ' ')"
fi

# Steady: what is carried changes less from frame to frame than what the network says of each frame. Within the street.
change() { # OPTIONS: mean change of samples in millimetres
    $FFMPEG -v error -i "$CLIP" -frames:v 58 -vf "fastdepth=format=grayf32:$1" -f rawvideo - 2>/dev/null | od -An -v -tf4 -w147456 |
        awk '{ for (i = 1; i <= NF; i += 37) { if (NR > 1) { d = $i - old[i]; sum += d < 0 ? -d : d; n++ } old[i] = $i } } END { printf "%d\n", 1000 * sum / n }'
}
network=$(change fill=hold:interval=1)
carried=$(change fill=transfer)
if [ "$carried" -gt 0 ] && [ $((carried * 4)) -lt $((network * 3)) ]; then
    ok "steadier than the network on every frame"
else
    not_ok "steadier than the network on every frame" "mean change $carried mm, of the network $network mm"
fi

# Pictures of every kind
odd() { # NAME SOURCE PIX_FMT
    run_ok "$1" $FFMPEG -v error -f lavfi -i "$2" -frames:v 3 -pix_fmt "$3" -vf "format=$3,fastdepth=size=input" -f null -
}
odd "8x8"             testsrc2=s=8x8 yuv420p
odd "one sample wide" testsrc2=s=2x64 yuv444p
odd "panorama"        testsrc2=s=1024x32 yuv420p
odd "portrait"        testsrc2=s=270x480 yuv420p
odd "gray"            testsrc2=s=160x120 gray
odd "gray, 10 bit"    testsrc2=s=160x120 gray10le
odd "10 bit"          testsrc2=s=160x120 yuv420p10le
odd "12 bit, 4:2:2"   testsrc2=s=160x120 yuv422p12le
odd "NV12, odd size"  testsrc2=s=161x121 nv12
odd "P010"            testsrc2=s=160x120 p010le
odd "RGB is converted" testsrc2=s=160x120 rgb24
odd "8192x4320"       color=gray:s=8192x4320:r=1 yuv420p
run_ok "10 bit HEVC" $FFMPEG -v error -i "$SRC/samples/scene10.mkv" -frames:v 20 -vf fastdepth -f null -

# Without vectors: every frame is a key frame, said once
$FFMPEG -v warning -fsr_record 0 -i "$CLIP" -frames:v 5 -vf "fastdepth=stats=$TMP/n.csv" -f null - 2>"$TMP/stderr"
is "without vectors the network runs on every frame" "$(awk -F, 'NR > 1 { all++; n += $3 } END { print (all >= 5 && n == all) }' "$TMP/n.csv")" 1
is "and it says so once" "$(grep -c 'No motion with the picture' "$TMP/stderr")" 1

# Another size in the middle
$FFMPEG -v error -f lavfi -i testsrc2=s=320x240:d=0.3 -c:v libx265 -x265-params log-level=none -f hevc "$TMP/a.265"
$FFMPEG -v error -f lavfi -i testsrc2=s=192x256:d=0.3 -c:v libx265 -x265-params log-level=none -f hevc "$TMP/b.265"
cat "$TMP/a.265" "$TMP/b.265" >"$TMP/ab.265"
run_ok "the size changes" $FFMPEG -v error -i "$TMP/ab.265" -vf fastdepth=size=input -f null -
$FFMPEG -v error -f lavfi -i color=gray:s=8192x4320:r=5:d=0.4 -c:v libx265 -x265-params log-level=none -preset ultrafast -f hevc "$TMP/c.265"
cat "$TMP/a.265" "$TMP/c.265" "$TMP/b.265" >"$TMP/acb.265"
run_ok "the size changes to the largest and back" $FFMPEG -v error -i "$TMP/acb.265" -vf fastdepth -f null -
head -c 9000 "$CLIP" >"$TMP/cut.mkv"
run_ok "a truncated file" $FFMPEG -v quiet -i "$TMP/cut.mkv" -vf fastdepth -f null -

# Players turn it: the record no longer fits, the network runs on every frame, on the picture as it is shown
$FFMPEG -v error -i "$CLIP" -frames:v 8 -c copy -metadata:s:v:0 rotate=90 "$TMP/r.mp4"
if [ "$($FFPROBE -v error -select_streams v -show_entries stream_side_data=rotation -of csv=p=0 "$TMP/r.mp4" | head -n 1)" ]; then
    $FFMPEG -v error -i "$TMP/r.mp4" -vf fastdepth -c:v ffv1 "$TMP/r.mkv"
    is "a turned stream" "$(frame stream=width,height "$TMP/r.mkv")" "144,256"
else
    skip "a turned stream" "this FFmpeg writes no rotation this way"
fi

# Messages
fails_cleanly "no such network" 'There is no network "nonsense" for depth' $FFMPEG -i "$CLIP" -vf fastdepth=model=nonsense -f null -
fails_cleanly "a network of another kind" "depth needs one that takes R, G, B" $FFMPEG -i "$CLIP" -vf "fastdepth=model=$SRC/models/srcnn-915-x2.onnx" -f null -
fails_cleanly "near behind far" "far=1 must be more than near=2" $FFMPEG -i "$CLIP" -vf fastdepth=near=2:far=1 -f null -
fails_cleanly "no such fill" "fill" $FFMPEG -i "$CLIP" -vf fastdepth=fill=fast -f null -
fails_cleanly "statistics that cannot be written" "Cannot write" $FFMPEG -i "$CLIP" -vf fastdepth=stats=/nowhere/s.csv -f null -

# The authors' sample, prepared for the network: its answer comes out as it is
sample=$SHARED/depth/fastdepth_sample
if [ -n "$SHARED" ] && [ -d "$sample" ] && /usr/bin/python3 -c 'import numpy' 2>/dev/null; then
    got=$(/usr/bin/python3 - "$BIN/ffmpeg" "$sample" <<'END'
import subprocess, sys
import numpy as np
ffmpeg, d = sys.argv[1:]
rgb = np.rint(np.load(d + '/rgb.npy') * 255).astype(np.uint8)
raw = subprocess.run([ffmpeg, '-v', 'quiet', '-f', 'rawvideo', '-pix_fmt', 'rgb24', '-s', '224x224', '-i', '-', '-vf',
                      'scale=flags=accurate_rnd+full_chroma_int,format=yuv444p,fastdepth=format=grayf32', '-f', 'rawvideo', '-'], input=rgb.tobytes(), stdout=subprocess.PIPE).stdout
p, true = np.frombuffer(raw, '<f4').reshape(224, 224), np.load(d + '/depth.npy')
rmse = np.sqrt(np.mean((p - true) ** 2))
print('yes' if abs(rmse - 0.618) < 0.01 else rmse, '' if abs(rmse - 0.618) < 0.01 else np.sqrt(np.mean((p - np.load(d + '/pred.npy')[0, 0]) ** 2)))
END
)
    is "the authors' sample has the authors' accuracy" "$got" "yes "
else
    skip "the authors' sample has the authors' accuracy" "it is not here, or python3-numpy is missing"
fi
