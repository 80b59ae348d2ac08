# Networks in the form of ONNX's own tests: those that ONNX publishes for its operators (Debian
# package libonnx-testdata), and what PyTorch exported and computed (tests/goldens).
. "$SRC/tests/e2e/lib.sh"

ONNX_DATA=${ONNX_DATA-/usr/share/libonnx-testdata/data/node}

# table FILE: for each operator (the first word of a test's name) how many passed and were refused
table() {
    sed 's/^\([a-zA-Z]*\) *test_\(basic_\)*\([a-z0-9]*\).*/\1 \3/' "$1" |
    awk 'NF == 2 && $1 ~ /^(passed|refused|FAILED)$/ { n[$2]; c[$1, $2]++ }
         END { for (o in n) if (c["passed", o] || c["FAILED", o])
                   printf "# %-22s %3d passed %3d failed %3d refused\n", o, c["passed", o], c["FAILED", o], c["refused", o] }' |
    sort
}

if [ -d "$ONNX_DATA" ]; then
    "$BIN/nn_onnx" "$ONNX_DATA"/test_* >"$TMP/node" 2>"$TMP/err"
    is "ONNX's tests: none fails, none crashes" "$?" 0
    grep -h FAILED "$TMP/node" | sed 's/^/# /'
    sed -n 's/^passed *\([^:]*\):.*/\1/p' "$TMP/node" | sort >"$TMP/passed"
    for name in $(cat "$SRC/tests/goldens/onnx_tests.txt"); do
        [ -d "$ONNX_DATA/$name" ] && ! grep -qx "$name" "$TMP/passed" && echo "$name"
    done >"$TMP/missing"
    is "every one that is on our list passes" "$(cat "$TMP/missing")" ""
    is "every one refused says why" "$(grep -c '^refused[^:]*: *$' "$TMP/node")" 0
    table "$TMP/node"
    tail -n 1 "$TMP/node" | sed 's/^/# /'
else
    skip "ONNX's own tests" "the Debian package libonnx-testdata is not installed"
fi

"$BIN/nn_onnx" "$SRC"/tests/goldens/nn/* >"$TMP/goldens" 2>"$TMP/err"
is "PyTorch's exports give what PyTorch computes" "$(grep -v '^passed ' "$TMP/goldens")" \
    "$(ls "$SRC/tests/goldens/nn" | wc -l | tr -d ' ') passed, 0 failed, 0 refused"
if [ -c /dev/full ]; then
    fails_cleanly "nn_bench: figures that cannot be written" "could not be written" \
        sh -c "'$BIN/nn_bench' '$SRC/models/fuse-x2.onnx' --size 16x16 --reps 1 --json >/dev/full"
else
    skip "nn_bench: figures that cannot be written" "there is no /dev/full"
fi
