#!/usr/bin/python3
"""Prints the table of README.md for the files of models.list, measured from the files themselves (numpy only).

Set5 and Set14: luma, MATLAB-style bicubic down, LR rounded to 8 bit, output rounded, `scale` samples cropped.
Fails where a file's PSNR on Set5 is not the one its metadata states.
"""
import os
os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')
import hashlib
import sys

import numpy as np
import onnx

import data
from export import evaluate
from train import HERE, SHARED, psnr


def measure(model, meta, folder):
    """(bicubic, network) mean PSNR over a folder of pictures."""
    scale, rows = int(meta['scale']), []
    up = data.Upscaler(scale)
    for f in data.find([folder]):
        hr, lr = data.pair(data.luma(f), scale)
        b = up.whole(lr)
        y = evaluate(model, (b if meta['input'] == 'hr-luma' else lr).astype(np.float32) / np.float32(255))
        y = y * 255.0 + (b if meta['output'] == 'detail' else 0)
        rows.append([psnr(data.round8(v), hr, scale) for v in (b, y)])
    return np.mean(rows, 0)


def main():
    bad = 0
    print('| name | architecture | MAC per output pixel | weights | Set5 (bicubic), dB | Set14 (bicubic), dB | trained on | date | sha256 |')
    print('|---|---|---|---|---|---|---|---|---|')
    for line in open(os.path.join(HERE, 'models.list')):
        part = line.split()
        if not part or part[0].startswith('#') or part[2] == 'depth':
            continue
        raw = open(os.path.join(HERE, part[1]), 'rb').read()
        model = onnx.load_from_string(raw)
        onnx.checker.check_model(model)
        meta = {p.key: p.value for p in model.metadata_props}
        weights = sum(int(np.prod(t.dims)) for t in model.graph.initializer)
        if meta['input'] == 'fuse':     # needs moving pictures
            print(f"| {part[0]} | {meta['architecture']} | {int(meta['macs_per_output_pixel']):,} | {weights:,} | | "
                  f"| {meta['training_data']}; {int(meta['steps']):,} steps | {meta['date']} | `{hashlib.sha256(raw).hexdigest()}` |", flush=True)
            continue
        five, fourteen = (measure(model, meta, os.path.join(SHARED, 'images', s)) for s in ('set5', 'set14'))
        print(f"| {part[0]} | {meta['architecture']} | {int(meta['macs_per_output_pixel']):,} | {weights:,} "
              f"| {five[1]:.2f} ({five[0]:.2f}) | {fourteen[1]:.2f} ({fourteen[0]:.2f}) | {meta['training_data']} "
              f"| {meta['date']} | `{hashlib.sha256(raw).hexdigest()}` |", flush=True)
        if meta['name'] != part[0] or meta['scale'] != part[2] or abs(five[1] - float(meta['set5_psnr'])) > 0.006:
            print(f'card.py: {part[1]} is not what its metadata or models.list says', file=sys.stderr)
            bad = 1
    return bad


if __name__ == '__main__':
    sys.exit(main())
