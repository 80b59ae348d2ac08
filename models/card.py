#!/usr/bin/python3
"""Prints the table of README.md for the files of models.list, measured through the C core (core.py).

Fails where a file's PSNR on Set5 is not the one its metadata states.
"""
import os
os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')
import hashlib
import sys

import numpy as np
import onnx

import coded
import core
from train import HERE


def main():
    bad = 0
    print('| name | architecture | MAC per output pixel | weights | Set5 (bicubic), dB | Set5 at QP 22 / 27 / 32 / 37 (bicubic), dB | Set14 (bicubic), dB | trained on | date | sha256 |')
    print('|---|---|---|---|---|---|---|---|---|---|')
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
            print(f"| {part[0]} | {meta['architecture']} | {int(meta['macs_per_output_pixel']):,} | {weights:,} | | | "
                  f"| {meta['training_data']}; {int(meta['steps']):,} steps | {meta['date']} | `{hashlib.sha256(raw).hexdigest()}` |", flush=True)
            continue
        scale = int(meta['scale'])
        five, fourteen, *at = (core.measure(('none', os.path.join(HERE, part[1])), scale, *what)
                               for what in (('set5',), ('set14',), *(('set5', qp) for qp in coded.QPS)))
        line = lambda i: ' / '.join(f'{v[i]:.2f}' for v in at)
        print(f"| {part[0]} | {meta['architecture']} | {int(meta['macs_per_output_pixel']):,} | {weights:,} "
              f"| {five[1]:.2f} ({five[0]:.2f}) | {line(1)} ({line(0)}) | {fourteen[1]:.2f} ({fourteen[0]:.2f}) | {meta['training_data']} "
              f"| {meta['date']} | `{hashlib.sha256(raw).hexdigest()}` |", flush=True)
        if meta['name'] != part[0] or meta['scale'] != part[2] or abs(five[1] - float(meta['set5_psnr'])) > 0.006:
            print(f'card.py: {part[1]} is not what its metadata or models.list says', file=sys.stderr)
            bad = 1
    return bad


if __name__ == '__main__':
    sys.exit(main())
