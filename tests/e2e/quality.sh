# Quality of the fills on encodes of rendered originals: against cubic upscaling and against the
# network on every frame, also behind filters that make the vectors lie; grids, dark blocks, drift.
. "$SRC/tests/e2e/lib.sh"
has_filter fastsr || skip_all "this ffmpeg has no fastsr filter"
for p in fsr_scene fsr_downscale fsr_measure block_stats; do
    [ -x "$BIN/$p" ] || skip_all "$p is not built: make check builds it"
done
cd "$TMP" || exit 1

die() { not_ok "$1" "$(tail -n 20 stderr)"; exit 1; }

# shrink NAME: NAME.y4m made smaller
shrink() { "$BIN/fsr_downscale" 2 "$1.y4m" "$1-small.y4m" 2>stderr || die "making $1 smaller"; }

# encode FROM TO X265PARAMS
encode() {
    $FFMPEG -v error -i "$1-small.y4m" -c:v libx265 -preset fast -x265-params "qp=27:log-level=none:$3" "$2.mkv" 2>stderr ||
        die "encoding $2"
}

# enlarge IN BEFORE OPTIONS OUT: IN.mkv through filters BEFORE (ending in a comma, or empty) and fastsr
enlarge() {
    $FFMPEG -v error -i "$1.mkv" -vf "$2fastsr=$3" -fps_mode passthrough -f yuv4mpegpipe "$4.y4m" 2>stderr || die "enlarging $1: $2 $3"
}

# row ORIGINAL IN BEFORE OPTIONS NAME: PSNR of each frame in NAME.csv
row() {
    enlarge "$2" "$3" "$4" "$5"
    "$BIN/fsr_measure" --no-ssim --crop 2 --csv "$5.csv" "$1.y4m" "$5.y4m" >"$5.txt" 2>stderr || die "measuring $5"
}
rows() { # rows ORIGINAL IN BEFORE: what every fill is compared with
    row "$1" "$2" "$3" model=none:fill=bicubic bicubic
    row "$1" "$2" "$3" interval=1 network
}
mean() { awk '$1 == "psnr" { print $2 }' "$1.txt"; }

# not_worse NAME BOUND: each frame of fill.csv is at most BOUND dB below the worse of the two others. Above 60 dB all
# are equal: there one sample of a black picture that is off by one step makes a decibel.
not_worse() {
    paste -d, fill.csv bicubic.csv network.csv >all.csv
    awk -F, -v bound="$2" 'function cut(v) { return v > 60 ? 60 : v }
        NR > 1 { n++; low = $6 < $10 ? $6 : $10; d = cut($2) - cut(low)
            if (n == 1 || d < worst) { worst = d; at = $1 } if (d < -bound) bad++ }
        END { printf "# %d frames, the worst (%d) %+.3f dB\n", n, at, worst; exit bad || n < 10 }' all.csv >said
    if [ $? -eq 0 ]; then ok "$1"; cat said; else not_ok "$1" "$(sed 's/^# //' said); allowed is $2 dB"; fi
}
# value NAME FILE
value() { awk -v n="$1" '$1 == n { print $2 }' "$2"; }
# at_most NAME VALUE BOUND
at_most() {
    if awk -v a="$2" -v b="$3" 'BEGIN { exit !(a != "" && a + 0 <= b + 0) }'; then ok "$1"; echo "# $2, bound $3"
    else not_ok "$1" "$2 is more than $3"; fi
}

# fill=fast carries pixels and keeps the errors of its blocks: the published method, kept as it is.
# Behind filters that make vectors lie it falls 0.35 dB below here.
FAST=0.5

# (a) No frame is worse than both: B pictures with a cut inside, low delay -------------
"$BIN/fsr_scene" --size 480x272 --first 32 --frames 40 scene.y4m 2>stderr || die "drawing the scene"
shrink scene
encode scene bframes bframes=4
encode scene lowdelay bframes=0:ref=3:weightp=1
for config in lowdelay bframes; do
    rows scene $config ""
    for fill in detail fuse fuse:budget=1000 fast bicubic; do
        row scene $config "" fill=$fill fill
        bound=0.1
        [ $fill != fast ] || bound=$FAST
        not_worse "$config: fill=$fill against the worse of cubic and network, each frame" $bound
    done
done

# (f) With B pictures the fill keeps a good part of what the network gains -----------------
row scene bframes "" fill=detail fill
awk -v b="$(mean bicubic)" -v n="$(mean network)" -v d="$(mean fill)" 'BEGIN {
    printf "# bicubic %.2f dB, network %.2f, fill=detail %.2f: %.0f %% of the gain\n", b, n, d, 100 * (d - b) / (n - b)
    exit !(n > b + 0.3 && d - b >= 0.4 * (n - b)) }' >said
if [ $? -eq 0 ]; then ok "fill=detail keeps 40 % of the network's gain"; cat said
else not_ok "fill=detail keeps 40 % of the network's gain" "$(cat said)"; fi

# (b) Vectors that lie ---------------------------------------------------------------------
# lie NAME FILTERS [FILTERS OF THE ORIGINAL]
lie() {
    $FFMPEG -v error -i scene.y4m -vf "${3-$2}" -fps_mode passthrough -f yuv4mpegpipe lied.y4m 2>stderr || die "original for $1"
    rows lied bframes "$2,"
    for fill in detail fuse fuse:budget=1000 fast; do
        bound=0.1
        [ $fill != fast ] || bound=$FAST
        row lied bframes "$2," fill=$fill fill
        not_worse "$1 before the filter: fill=$fill" $bound
    done
}
lie hflip hflip
lie vflip vflip
lie "every second frame dropped" "select=not(mod(n\\,2))"
# (more noise than this makes the fill's sharper kernel worse than the cubic one, vectors or not)
lie noise "noise=all_seed=7:alls=5:allf=t" null

# (c) No grid: a smooth moving gradient ------------------------------------------------------
$FFMPEG -v error -f lavfi -i "gradients=s=480x272:d=1.2:r=25:n=4:c0=black:c1=0xd0c0a0:c2=0x304060:c3=white:x0=30:y0=20:x1=450:y1=250:seed=3:speed=0.02,format=yuv420p" -f yuv4mpegpipe smooth.y4m 2>stderr ||
    die "drawing the gradient"
shrink smooth
encode smooth smooth bframes=4
enlarge smooth "" model=none:fill=bicubic bicubic
enlarge smooth "" interval=1 network
"$BIN/block_stats" network.y4m bicubic.y4m >net.txt 2>stderr || die "block_stats"
for fill in detail fuse fuse:budget=1000 fast; do
    enlarge smooth "" fill=$fill fill
    "$BIN/block_stats" fill.y4m bicubic.y4m >grid.txt 2>stderr || die "block_stats"
    for g in grid8 grid16; do
        at_most "fill=$fill: no $g on a gradient, against the network's own" "$(value $g grid.txt)" \
            "$(awk -v r="$(value $g net.txt)" 'BEGIN { print r + 0.3 }')"
    done
done

# (d) Fades and a flash: no block darker or brighter than the input -----------------------------
$FFMPEG -v error -i scene.y4m -vf "fade=in:0:10,drawbox=t=fill:color=white@0.6:enable='between(n,18,19)',fade=out:28:10" \
    -f yuv4mpegpipe fade.y4m 2>stderr || die "drawing the fade"
shrink fade
encode fade fade bframes=4:weightp=1:weightb=1
rows fade fade ""
for fill in detail fuse fuse:budget=1000 fast; do
    bound=0.1 dark=3
    [ $fill != fast ] || bound=$FAST dark=6
    row fade fade "" fill=$fill fill
    not_worse "fades and a flash: fill=$fill" $bound
    "$BIN/block_stats" fill.y4m bicubic.y4m >dark.txt 2>stderr || die "block_stats"
    at_most "fades and a flash: fill=$fill has no dark block" "$(awk '$1 == "darkest" { print -$2 }' dark.txt)" $dark
    at_most "fades and a flash: fill=$fill has no bright block" "$(value brightest dark.txt)" $dark
done

# (e) Drift: one key frame, hundreds of pictures after it ----------------------------------------
"$BIN/fsr_scene" --size 320x176 --shot street --frames 300 walk.y4m 2>stderr || die "drawing the walk"
shrink walk
encode walk walk keyint=-1:scenecut=0
rows walk walk ""
row walk walk "" fill=detail:interval=100000 fill
paste -d, fill.csv bicubic.csv network.csv | awk -F, '
    NR > 1 { b = $1 < 16 ? 0 : $1 < 64 ? 1 : $1 < 150 ? 2 : 3; n[b]++; gain[b] += $2 - $6; full[b] += $10 - $6 }
    END {
        split("0-15 16-63 64-149 150-299", name, " ")
        for (b = 0; b < 4; b++) {
            gain[b] /= n[b]; full[b] /= n[b]; loss = full[b] - gain[b]
            if (b == 0) first = loss
            bad += gain[b] < 0.4 * full[b] || loss > first + 0.3
            printf "# frames %s after the key frame: %+.2f dB over cubic, network on every frame %+.2f\n", name[b + 1], gain[b], full[b]
        }
        exit bad || n[3] != 150 }' >said
if [ $? -eq 0 ]; then ok "no drift over 300 frames"; cat said; else not_ok "no drift over 300 frames" "$(cat said)"; fi
