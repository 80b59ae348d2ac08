# models/convert: checkpoints of the FastDepth authors -> ONNX.
. "$SRC/tests/e2e/lib.sh"
python=/usr/bin/python3
$python -c 'import torch, onnx, numpy' 2>/dev/null || skip_all "needs python3-torch, python3-onnx and python3-numpy"

$python "$SRC/models/test_convert.py" "$TMP"

values=$SHARED/weights/fastdepth_pruned_f32.npz
if [ -n "$SHARED" ] && [ -e "$values" ]; then
    run_ok "the published values give an ONNX file" $python "$SRC/models/fastdepth.py" "$values" --out "$TMP/fastdepth.onnx"
    # models/ranges.py adds what the values hold
    if $python - "$TMP/fastdepth.onnx" "$SRC/models/fastdepth.onnx" <<'EOF'
import sys, onnx
made, ships = (onnx.load(f) for f in sys.argv[1:])
for m in (made, ships):
    kept = [p for p in m.metadata_props if not p.key.startswith('range ')]
    del m.metadata_props[:]
    m.metadata_props.extend(kept)
sys.exit(made != ships)
EOF
    then
        ok "and it is the one that ships"
    else
        not_ok "and it is the one that ships"
    fi
else
    skip "the published values give the file that ships" "their archive is not here"
fi
