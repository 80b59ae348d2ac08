#!/usr/bin/python3
"""Records in a network of fill=fuse what its values hold, for precision=i8: ranges.py [MODEL.onnx].

Runs the file's network in PyTorch on the beginnings of the validation clips (coded.HELD_CLIPS, B pictures and low-delay P,
QP 22 and 37) and writes lowest, highest and mean value of each plane as metadata "range NODE", for all values between
convolutions. Input and output have none: they stay float (nn/README.md). To be run after each export.
"""
import argparse
import os
os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')

import onnx
import torch
import torch.nn.functional as F
from onnx import numpy_helper

import coded
import data
import fuse
import sequences
from train import HERE, SHARED


def cut(a, b):
    """The middle of a, as large as b where that is smaller."""
    m = max(0, (a.shape[2] - b.shape[2]) // 2)
    return a[:, :, m:a.shape[2] - m, m:a.shape[3] - m]


class Recorder(torch.nn.Module):
    """The file of an export of fuse.py; keeps what its values hold once it runs: name -> (low, high, sum, samples)."""

    def __init__(self, model):
        super().__init__()
        self.weights = {t.name: torch.from_numpy(numpy_helper.to_array(t).copy()) for t in model.graph.initializer}
        self.nodes = model.graph.node
        self.halo = sum((w.shape[2] - 1) // 2 for w in self.weights.values() if w.dim() == 4)
        relus = {n.input[0]: n.output[0] for n in self.nodes if n.op_type == 'Relu'}
        last = next(n for n in self.nodes if n.output[0] == 'output')
        self.wanted = {relus.get(n.output[0], n.output[0]): n.name for n in self.nodes
                       if n.op_type != 'Relu' and n is not last and n.output[0] not in last.input}
        self.seen = {}

    def forward(self, x):
        v = {'input': F.pad(x, (self.halo,) * 4, mode='replicate')}
        for n in self.nodes:
            a = v[n.input[0]]
            if n.op_type == 'Conv':
                v[n.output[0]] = F.conv2d(a, self.weights[n.input[1]], self.weights[n.input[2]])
            elif n.op_type == 'Relu':
                v[n.output[0]] = F.relu(a)
            else:
                v[n.output[0]] = cut(a, v[n.input[1]]) + cut(v[n.input[1]], a)
        for value, name in self.wanted.items():
            a = v[value][0].flatten(1).double()
            low, high, total, count = self.seen.get(name, (a.amin(1), a.amax(1), 0, 0))
            self.seen[name] = torch.minimum(low, a.amin(1)), torch.maximum(high, a.amax(1)), total + a.sum(1), count + a.shape[1]
        return v['output']


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('model', nargs='?', default=os.path.join(HERE, 'fuse-x2.onnx'))
    p.add_argument('--work', default=os.path.join(HERE, 'work'))
    p.add_argument('--pictures', type=int, default=12, help='of each version')
    args = p.parse_args()
    model = onnx.load(args.model)
    net = Recorder(model)
    for f in data.find([os.path.join(SHARED, 'train_video')], data.CLIPS):
        if os.path.basename(f) in coded.HELD_CLIPS:
            for v in sequences.versions(f, os.path.join(args.work, 'sequences'), ('b', 'ldp'), (22, 37)):
                fuse.whole(net, v, args.pictures)
    props = {e.key: e.value for e in model.metadata_props if not e.key.startswith('range ')}
    for name, (low, high, total, count) in net.seen.items():
        floor = (high - low).max() / 8      # planes that only rare content wakes, less often than these clips have it
        high = torch.maximum(high, low + floor)
        props[f'range {name}'] = ' '.join(f'{x:.4g}' for c in zip(low, high, total / count) for x in c)
    onnx.helper.set_model_props(model, props)
    with open(args.model + '.part', 'wb') as f:
        f.write(model.SerializeToString(deterministic=True))
    os.replace(args.model + '.part', args.model)
    print(f'{args.model}: {len(net.seen)} ranges')


if __name__ == '__main__':
    main()
