# The second decoder: libde265 decodes like FFmpeg's own decoder, and records the same motion.
. "$SRC/tests/e2e/lib.sh"

"$BIN/ffmpeg" -v quiet -decoders | grep -q ' libde265 ' || skip_all "configured without libde265"

# md5 OPTIONS... : the pictures' checksums, one a line.
md5() { timeout -s KILL 100 "$BIN/ffmpeg" -nostdin -v error "$@" -map 0:v:0 -fps_mode passthrough -f framemd5 - 2>>"$TMP/err" | sed -n 's/^0,.*, *//p'; }
# stamps OPTIONS... : and their time stamps.
stamps() { timeout -s KILL 100 "$BIN/ffmpeg" -nostdin -v error "$@" -map 0:v:0 -fps_mode passthrough -f framemd5 - 2>>"$TMP/err" | sed -n 's/^0, *[^,]*, *\([^,]*\),.*/\1/p'; }

# same NAME FILE [OPTION...]: pictures and time stamps of both decoders are equal.
same() {
    same_name=$1 same_file=$2
    shift 2
    : >"$TMP/err"
    for d in hevc libde265; do
        { md5 -c:v $d -flags unaligned "$@" -i "$same_file"; stamps -c:v $d "$@" -i "$same_file"; } >"$TMP/$d"
    done
    if [ ! -s "$TMP/hevc" ]; then not_ok "$same_name" "no pictures" "$(cat "$TMP/err")"
    else run_ok "$same_name" cmp "$TMP/hevc" "$TMP/libde265"; fi
}

# records NAME FILE: what tests/tools/check_records.c compares is equal.
records() {
    line=$(timeout -s KILL 100 "$BIN/check_records" "$2" 2>&1)
    if [ $? -eq 0 ]; then ok "records of $1: $(echo $line)"; else not_ok "records of $1" "$line"; fi
}

"$BIN/fsr_scene" --size 416x256 --frames 40 --first 40 "$TMP/a.y4m"
encode() { # FORMAT PARAMETERS FILE [OPTION...]
    e_format=$1 e_params=$2 e_file=$3
    shift 3
    $FFMPEG -v error -i "$TMP/a.y4m" "$@" -pix_fmt "$e_format" -c:v libx265 -preset medium -x265-params "log-level=none:$e_params" "$e_file"
}
encode yuv420p   keyint=16:bframes=4:crf=27:open-gop=1:weightb=1 "$TMP/a.mkv"
$FFMPEG -v error -i "$TMP/a.mkv" -c copy -tag:v hvc1 "$TMP/a.mp4"
$FFMPEG -v error -i "$TMP/a.mkv" -c copy "$TMP/a.ts"
for f in a.mkv a.mp4 a.ts; do
    same "pictures and time stamps: $f" "$TMP/$f"
    records "$f" "$TMP/$f"
done
same "four threads" "$TMP/a.mkv" -threads 4
same "from the middle" "$TMP/a.mkv" -ss 0.9
same "twice in a row" "$TMP/a.mkv" -stream_loop 1
for format in yuv420p10le yuv420p12le yuv422p yuv422p10le yuv444p yuv444p10le gray; do
    if encode $format crf=30:bframes=3 "$TMP/f.mkv" -frames:v 6 2>"$TMP/err"; then
        same "$format" "$TMP/f.mkv"
        records "$format" "$TMP/f.mkv"
    else
        skip "$format" "this libx265 does not make it"
    fi
done
encode yuv420p crf=30 "$TMP/c.mkv" -frames:v 6 -vf crop=402:250
same "cropping" "$TMP/c.mkv"
records "cropping" "$TMP/c.mkv"
for f in "$SRC"/samples/*.mkv; do
    [ -e "$f" ] && records "$(basename "$f")" "$f"
done

"$BIN/fsmv_dump" "$TMP/a.mkv" >"$TMP/one"
"$BIN/fsmv_dump" -d libde265 --threads 4 "$TMP/a.mkv" >"$TMP/two"
sed 's/ bytes=[0-9]*//' "$TMP/one" >"$TMP/one.text"
sed 's/ bytes=[0-9]*//' "$TMP/two" >"$TMP/two.text"
run_ok "fsmv_dump prints the same of both" cmp "$TMP/one.text" "$TMP/two.text"
$FFMPEG -v warning -c:v libde265 -fsr_record 0 -i "$TMP/a.mkv" -vf fastsr=model=none -frames:v 4 -f null - >"$TMP/out" 2>&1
is "records can be left out" "$(grep -c 'No motion' "$TMP/out")" 1
fails_cleanly "a decoder that there is not" "takes hevc or libde265" "$BIN/fsmv_dump" -d other "$TMP/a.mkv"

# Pictures larger than the limit: no memory is taken for them.
encode yuv420p crf=35 "$TMP/big.265" -vf scale=1920:1088 -frames:v 2
$FFMPEG -v error -c:v libde265 -max_pixels 1000000 -i "$TMP/big.265" -f null - >"$TMP/out" 2>&1 </dev/null
grep -q "larger than the limit" "$TMP/out" && ok "too large pictures are refused" || not_ok "too large pictures are refused" "$(cat "$TMP/out")"

# Damage: it ends by itself.
$FFMPEG -v error -i "$TMP/a.mkv" -c copy "$TMP/a.265"
problem=
for how in bytes bits drop twice swap cut tail splice params; do
    for seed in 1 2; do
        "$BIN/damage" $how $seed "$TMP/a.265" "$TMP/d.265" "$TMP/a.265"
        for threads in 1 3; do
            timeout -s KILL 60 "$BIN/fsmv_dump" -d libde265 --threads $threads "$TMP/d.265" >"$TMP/out" 2>&1
            rc=$?
            [ $rc -le 1 ] || problem="$problem $how $seed, $threads threads: status $rc;"
            ! grep -q '^n=[0-9]* [^n]' "$TMP/out" || problem="$problem $how $seed: $(grep -m 1 '^n=[0-9]* [^n]' "$TMP/out");"
        done
    done
done
if [ -z "$problem" ]; then ok "damaged streams"; else not_ok "damaged streams" "$problem"; fi

# A part of `make check-records`.
if [ -n "$SHARED" ] && [ -d "$SHARED/hevc" ]; then
    for f in akiyo_kvazaar_qp50.265 akiyo_turing_qp30.265 hevcjs_b_qcif_10f.265 hevcjs_full_qcif_10f_10bit.265 go_tiles.h265 \
             go_wpp_ctu16.h265 go_pcm_hm_64x64.h265 go_yuv444_176x144.h265 go_amp_mincu16_176x144.h265 go_main12_176x144.h265 \
             go_multi_slice_sao_deblock_256x256.h265 go_culossless_176x144.h265 media3_dolbyVision_hdr.mov \
             fate_extradata_reload_multi_stsd.mp4 membrane_ref_video.mp4 vpl_cars_320x240.h265 itu_SLIST_A.h265; do
        [ -e "$SHARED/hevc/$f" ] && records "$f" "$SHARED/hevc/$f"
    done
else
    skip "records of real streams" "no real material; FASTSR_SHARED names its directory"
fi
