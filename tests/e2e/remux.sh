#!/bin/sh
# Sound, subtitles, chapters and metadata pass through a file that is enlarged.
. "$SRC/tests/e2e/lib.sh"

has_filter fastsr || skip_all "this ffmpeg has no fastsr filter"
cd "$TMP" || exit 1

cat >subs.srt <<'END'
1
00:00:00,200 --> 00:00:00,800
First line

2
00:00:01,000 --> 00:00:01,800
Second line
END
cat >meta.txt <<'END'
;FFMETADATA1
title=Remux test
[CHAPTER]
TIMEBASE=1/1000
START=0
END=1000
title=One
[CHAPTER]
TIMEBASE=1/1000
START=1000
END=2000
title=Two
END
$FFMPEG -v error -f lavfi -i testsrc2=s=192x108:r=25:d=2 -f lavfi -i sine=f=440:d=2 -i subs.srt -i meta.txt \
    -map 0 -map 1 -map 2 -map_metadata 3 -map_chapters 3 \
    -c:v libx265 -preset ultrafast -x265-params log-level=error:bframes=2 -c:a aac -c:s srt \
    -metadata:s:a language=eng in.mkv 2>make.log ||
    { not_ok "the input is made" "$(cat make.log)"; exit 1; }

# streams FILE: kind and codec of each stream, on one line
streams() {
    $FFPROBE -v error -show_entries stream=codec_type,codec_name -of csv=p=0 "$1" |
        awk -F, '{ printf "%s%s:%s", n++ ? " " : "", $2, $1 }'
}
size()      { $FFPROBE -v error -select_streams v -show_entries stream=width,height -of csv=p=0 "$1" | head -n 1; }
frames()    { $FFPROBE -v error -select_streams v -count_frames -show_entries stream=nb_read_frames -of csv=p=0 "$1" | head -n 1; }
chapters()  { $FFPROBE -v error -show_chapters -of csv=p=0 "$1" | awk -F, '{ printf "%s to %s s: %s; ", $4, $6, $7 }'; }
subtitles() { $FFMPEG -v error -i "$1" -map 0:s -f srt - 2>/dev/null | grep line; }
sound()     { $FFMPEG -v error -i "$1" -map 0:a -c copy -f md5 - 2>/dev/null; }
video()     { $FFMPEG -v error -i "$1" -map 0:v -f framemd5 - 2>/dev/null | awk -F, '!/^#/ { print $3 }'; }

is "the input has what it should" "$(streams in.mkv), $(size in.mkv), $(frames in.mkv) frames" \
    "video:hevc audio:aac subtitle:subrip, 192,108, 50 frames"
is "the input has chapters" "$(chapters in.mkv)" "0.000000 to 1.000000 s: One; 1.000000 to 2.000000 s: Two; "

# enlarge NAME FILE STREAMS ARGUMENT...: with fastsr, and for comparison with scale; but for the
# pictures the two files must be the same. (Some of it is the ffmpeg tool's: in mp4 chapters are a
# data stream besides, a picture is repeated where the first one starts late, FFmpeg 7 moves
# chapters by the start time.)
enlarge() {
    name=$1 file=$2 wanted=$3
    shift 3
    $FFMPEG -v error -i in.mkv "$@" -vf scale=2*iw:2*ih "scale-$file" 2>scale.log ||
        { not_ok "$name: the file to compare with" "$(cat scale.log)"; return; }
    run_ok "$name" $FFMPEG -v error -i in.mkv "$@" -vf fastsr "$file" || return
    is "$name: streams" "$(streams "$file")" "$wanted"
    is "$name: size doubled" "$(size "$file")" "384,216"
    is "$name: title" "$($FFPROBE -v error -show_entries format_tags=title -of csv=p=0 "$file")" "Remux test"
    is "$name: chapters" "$(chapters "$file")" "$(chapters "scale-$file")"
    is "$name: titles of chapters" "$(chapters "$file" | sed 's/[^:]*: \([A-Za-z]*\);/\1/g')" "OneTwo "
    is "$name: number of pictures" "$(frames "$file")" "$(frames "scale-$file")"
    is "$name: timestamps" "$(video "$file")" "$(video "scale-$file")"
    is "$name: sound" "$(sound "$file")" "$(sound "scale-$file")"
    is "$name: subtitles" "$(subtitles "$file")" "$(subtitles "scale-$file")"
}

h264="-c:v libx264 -preset ultrafast"
# shellcheck disable=SC2086 # the encoder's options are words
{
# The plain command: the container's own choice of encoders.
enlarge "mkv" out.mkv "video:h264 audio:ac3 subtitle:ass"
enlarge "mp4" out.mp4 "video:h264 audio:aac data:bin_data"
# Everything else copied.
enlarge "mkv, all copied" copied.mkv "video:h264 audio:aac subtitle:subrip" -map 0 -c copy $h264
enlarge "mkv, sound copied" sound.mkv "video:h264 audio:aac subtitle:ass" -map 0 -c:a copy $h264
enlarge "mp4, sound copied" sound.mp4 "video:h264 audio:aac subtitle:mov_text data:bin_data" \
    -map 0 -c:a copy -c:s mov_text $h264
}
is "mkv, all copied: sound as in the input" "$(sound copied.mkv)" "$(sound in.mkv)"
is "mkv, all copied: subtitles as in the input" "$(subtitles copied.mkv)" "$(subtitles in.mkv)"
