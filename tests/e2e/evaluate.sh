# samples/evaluate on a tiny clip: columns, plausible figures, resuming, messages.
. "$SRC/tests/e2e/lib.sh"

python=/usr/bin/python3
reason=$($python -c 'import numpy' 2>&1) || skip_all "python3 with numpy is missing: $(echo "$reason" | tail -n 1)"
evaluate() { $python "$SRC/samples/evaluate" --bin "$BIN" --work "$TMP/work" "$@"; }

# 98x66 is cropped to 96x64
"$BIN/fsr_scene" --size 98x66 --frames 6 --first 20 "$TMP/tiny.y4m" || not_ok 'drawing a clip'
column() { awk -F'\t' -v c="$1" -v r="$2" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == c) k = i; next } $4 == r { print $k }' "$TMP/out.tsv"; }

set -- "$TMP/tiny.y4m" --qp 27 --configs bframes --rows bicubic,network,detail:interval=2 --tsv "$TMP/out.tsv"
run_ok 'a clip is evaluated' evaluate "$@"
is 'the columns of the table' "$(head -n 1 "$TMP/out.tsv" | cut -f 1-12 | tr '\t' ' ')" \
    'clip config qp row psnr_y ssim worst_psnr flicker macs fps keys transferred'
is 'one line a row' "$(tail -n +2 "$TMP/out.tsv" | cut -f 1-4 | tr '\t\n' '  ')" \
    'tiny bframes 27 bicubic tiny bframes 27 network tiny bframes 27 detail:interval=2 '
grep -q 'cropped from 98x66 to 96x64' "$TMP/stderr" && ok 'the crop is told' || not_ok 'the crop is told' "$(cat "$TMP/stderr")"
is 'key frames of bicubic have no network' "$(column macs bicubic)" 0.0
is 'the network runs on every frame' "$(column keys network)" 6
awk -v b="$(column psnr_y bicubic)" -v n="$(column psnr_y network)" 'BEGIN { exit !(b > 15 && b < 50 && n > b) }' &&
    ok 'the network is better than bicubic' || not_ok 'the network is better than bicubic' "$(cat "$TMP/out.tsv")"
if $python -c 'import matplotlib' 2>/dev/null; then
    is 'plots are there' "$(echo $(ls "$TMP/work/plots"))" 'front-fps.png front-macs.png tiny-bframes-qp27-frames.png'
else
    skip 'plots are there' 'matplotlib is missing'
fi

# The figure itself: the same measured by hand.
$FFMPEG -v error -i "$TMP/work/tiny/bframes-27.mkv" -vf fastsr=interval=1 -f yuv4mpegpipe "$TMP/by_hand.y4m"
$FFMPEG -v error -i "$TMP/tiny.y4m" -vf crop=96:64:0:0 -f yuv4mpegpipe "$TMP/cropped.y4m"
is 'psnr_y is what fsr_measure says' "$(column psnr_y network)" \
    "$("$BIN/fsr_measure" --crop 2 "$TMP/cropped.y4m" "$TMP/by_hand.y4m" | awk '$1 == "psnr" { print $2 }')"

# /dev/stdout and its like are written to, not put aside.
for f in y4m depth tsv; do ln -s "target.$f" "$TMP/link.$f"; done
run_ok 'drawing to links' "$BIN/fsr_scene" --size 98x66 --frames 6 --first 20 --depth "$TMP/link.depth" "$TMP/link.y4m"
is 'the files that links lead to' "$(cmp "$TMP/target.y4m" "$TMP/tiny.y4m" && stat -c %s "$TMP/target.depth")" $((98 * 66 * 2 * 6))
run_ok 'a table through a link' evaluate "$@" --tsv "$TMP/link.tsv"
is 'links are still there' "$(find "$TMP" -maxdepth 1 -type l | wc -l), $(tail -n +2 "$TMP/target.tsv" | wc -l)" '3, 3'

# Resuming: a finished row is not measured again, a missing one is.
cp "$TMP/out.tsv" "$TMP/first.tsv"
run_ok 'a second run' evaluate "$@"
cmp -s "$TMP/out.tsv" "$TMP/first.tsv" && ok 'finished rows are used again' || not_ok 'finished rows are used again'
rm "$TMP"/work/tiny/bframes-27-*.json
run_ok 'after losing the rows' evaluate "$@"
is 'the same quality again' "$(cut -f 1-9,11- "$TMP/out.tsv")" "$(cut -f 1-9,11- "$TMP/first.tsv")"

set -- "$TMP/tiny.y4m" --qp 27 --configs bframes
fails_cleanly 'an option that the filter does not know' 'nonsense' evaluate "$@" --rows detail:nonsense=1
fails_cleanly 'an encoding that does not exist' 'there is no encoding' evaluate "$TMP/tiny.y4m" --configs h266
fails_cleanly 'a clip that is not there' 'No such file' evaluate "$TMP/none.mkv"
echo text >"$TMP/text.mkv"
fails_cleanly 'a clip without video' 'text.mkv: ffprobe failed' evaluate "$TMP/text.mkv"
