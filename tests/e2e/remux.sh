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
chapters()  { $FFPROBE -v error -show_chapters -of csv=p=0 "$1" | awk -F, '{ printf "%s-%s-%s ", $4, $6, $7 }'; }
subtitles() { $FFMPEG -v error -i "$1" -map 0:s -f srt - 2>/dev/null | grep line; }
sound()     { $FFMPEG -v error -i "$1" -map 0:a -c copy -f md5 - 2>/dev/null; }
video()     { $FFMPEG -v error -i "$1" -map 0:v -f framemd5 - 2>/dev/null | awk -F, '!/^#/ { print $3 }'; }

is "the input has what it should" "$(streams in.mkv), $(size in.mkv), $(frames in.mkv) frames" \
    "video:hevc audio:aac subtitle:subrip, 192,108, 50 frames"

# check NAME FILE STREAMS: what every enlarged file must have
check() {
    is "$1: streams" "$(streams "$2")" "$3"
    is "$1: size doubled" "$(size "$2")" "384,216"
    is "$1: every frame" "$(frames "$2")" 50
    is "$1: chapters" "$(chapters "$2")" "$(chapters in.mkv)"
    case $3 in
    *subtitle*) is "$1: subtitles" "$(subtitles "$2")" "$(subtitles in.mkv)" ;;
    esac
    is "$1: title" "$($FFPROBE -v error -show_entries format_tags=title -of csv=p=0 "$2")" "Remux test"
    is "$1: timestamps" "$(video "$2")" "$(video in.mkv)"
}

x264="-c:v libx264 -preset ultrafast -bf 0"
# shellcheck disable=SC2086
{
# The plain command: the container's own choice of encoders.
run_ok "mkv" $FFMPEG -v error -i in.mkv -vf fastsr out.mkv &&
    check "mkv" out.mkv "video:h264 audio:ac3 subtitle:ass"
run_ok "mp4" $FFMPEG -v error -i in.mkv -vf fastsr out.mp4 &&
    check "mp4" out.mp4 "video:h264 audio:aac"
# Everything else copied.
run_ok "mkv, copy" $FFMPEG -v error -i in.mkv -map 0 -c copy $x264 -vf fastsr copy.mkv && {
    check "mkv, copy" copy.mkv "video:h264 audio:aac subtitle:subrip"
    is "mkv, copy: sound is the same to the bit" "$(sound copy.mkv)" "$(sound in.mkv)"
}
run_ok "mkv, sound copied" $FFMPEG -v error -i in.mkv -map 0 -c:a copy $x264 -vf fastsr sound.mkv &&
    check "mkv, sound copied" sound.mkv "video:h264 audio:aac subtitle:ass"
run_ok "mp4, sound copied" $FFMPEG -v error -i in.mkv -map 0 -c:a copy -c:s mov_text $x264 -vf fastsr copy.mp4 &&
    check "mp4, sound copied" copy.mp4 "video:h264 audio:aac subtitle:mov_text"
}
