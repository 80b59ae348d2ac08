#!/usr/bin/python3
"""Records in a network what its values hold, for precision=i8: ranges.py [MODEL.onnx]. To be run after each export.

Runs the file in PyTorch and writes lowest, highest and mean value of each plane as metadata "range NODE" (nn/README.md):
- fill=fuse: on the beginnings of the clips of train_video (B pictures and low-delay P in turn, of --qps), lettering among them, for all
  values between convolutions and for the input; the output has none, it stays float;
- the network for pictures without references (key.py): on pictures of the same clips, all intra; its input stays float;
- fastdepth: on every 16th picture of nyu_train, for what 1x1 convolutions read; one range for all planes of a value.
"""
import argparse
import glob
import os
os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import numpy_helper

import data
import fuse
import key
import sequences
from train import HERE, SHARED

CUT = 0.85      # of the extremes between convolutions: the few values beyond it are cut off, all others are finer


def cut(a, b):
    """The middle of a, as large as b where that is smaller."""
    m = max(0, (a.shape[2] - b.shape[2]) // 2)
    return a[:, :, m:a.shape[2] - m, m:a.shape[3] - m]


class Recorder(torch.nn.Module):
    """A file; keeps what its values hold once it runs: name -> (low, high, sum, samples). halo: samples of the picture's border
    that are repeated around it, in place of the pads of the convolutions; 0: pads."""

    def __init__(self, model, wanted, valid):
        super().__init__()
        self.weights = {t.name: torch.from_numpy(numpy_helper.to_array(t).astype(np.float32)) for t in model.graph.initializer}
        self.nodes = model.graph.node
        self.valid, self.seen = valid, {}
        self.halo = sum((w.shape[2] - 1) // 2 for w in self.weights.values() if w.dim() == 4) if valid else 0
        limits = {n.input[0]: n.output[0] for n in self.nodes if n.op_type in ('Relu', 'Clip')}
        self.wanted = {limits.get(n.output[0], n.output[0]): n.name for n in self.nodes if wanted(n, limits.get(n.output[0], n.output[0]))}

    def run(self, n, v):
        a, attributes = v[n.input[0]], {x.name: onnx.helper.get_attribute_value(x) for x in n.attribute}
        if n.op_type == 'Conv':
            pad = 0 if self.valid else attributes['pads'][:2]
            return F.conv2d(a, *(v[i] for i in n.input[1:]), attributes.get('strides', 1), pad, groups=attributes.get('group', 1))
        if n.op_type == 'Add':
            return cut(a, v[n.input[1]]) + cut(v[n.input[1]], a)
        if n.op_type == 'Clip':
            return a.clamp(float(v[n.input[1]]), float(v[n.input[2]]))
        if n.op_type in ('Resize', 'Upsample'):
            return F.interpolate(a, scale_factor=2)
        return {'Relu': F.relu, 'Cast': lambda x: x}[n.op_type](a)

    def forward(self, x, tiles=None):   # tiles: of fuse.step, all wanted here
        v = {'input': F.pad(x, (self.halo,) * 4, mode='replicate'), **self.weights}
        for n in self.nodes:
            v[n.output[0]] = self.run(n, v)
        for value, name in self.wanted.items():
            a = v[value][0].flatten(1).double()
            low, high, total, count = self.seen.get(name, (a.amin(1), a.amax(1), 0, 0))
            self.seen[name] = torch.minimum(low, a.amin(1)), torch.maximum(high, a.amax(1)), total + a.sum(1), count + a.shape[1]
        return v['output']


def record_fuse(model, args):
    last = next(n for n in model.graph.node if n.output[0] == 'output')
    net = Recorder(model, lambda n, out: n.op_type in ('Conv', 'Add') and n is not last and out not in last.input, True)
    net.wanted['input'] = 'input'
    alone = model.graph.input[0].type.tensor_type.shape.dim[1].dim_value == len(key.SEEN)
    for i, f in enumerate(data.find([os.path.join(SHARED, 'train_video')], data.CLIPS)):
        for v in sequences.versions(f, os.path.join(args.work, 'sequences'), ('i',) if alone else (('b', 'ldp')[i % 2],), args.qps):
            if alone:
                key.whole(net, v, v.pictures[::12], 0)
            else:
                fuse.whole(net, v, args.pictures)
    if alone:
        del net.seen['input']
    return net.seen


def input_range(low, high):
    """Of what fill=fuse's network sees: rarer content has half as much again. Code values of 8 bits are whole multiples of 8 steps, in
    the middle of what the upper bits tell apart; the weight and QP end at 1."""
    low, high = low - (high - low) / 4, high + (high - low) / 4
    unit = 1 / (255 * 8)
    low[0], high[0] = -0.5 - 4 * unit, -0.5 + 2043 * unit
    low[13], low[14:], high[14:] = 0, 0, 1
    return low, high


def record_depth(model, args):
    from PIL import Image
    shapes = {n.output[0]: next(t.dims for t in model.graph.initializer if t.name == n.input[0]) for n in model.graph.node if n.op_type == 'Cast'}
    points = {n.input[0] for n in model.graph.node if n.op_type == 'Conv' and shapes[n.input[1]][2] == 1 and shapes[n.input[1]][0] >= 16}
    net = Recorder(model, lambda n, out: n.op_type == 'Conv' and out in points, False)
    for f in sorted(glob.glob(os.path.join(SHARED, 'depth', 'nyu_train', '*.jpg')))[::16]:
        picture = Image.open(f).convert('RGB').resize((298, 224)).crop((37, 0, 261, 224))
        with torch.no_grad():
            net(torch.from_numpy(np.asarray(picture).transpose(2, 0, 1).astype(np.float32) / 255)[None])
    return net.seen


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('model', nargs='?', default=os.path.join(HERE, 'fuse-x2.onnx'))
    p.add_argument('--work', default=os.path.join(HERE, 'work'))
    p.add_argument('--qps', type=int, nargs='+', default=[22, 37], help='of the pictures that the network sees')
    p.add_argument('--pictures', type=int, default=6, help='of each version')
    args = p.parse_args()
    model = onnx.load(args.model)
    seen = (record_depth if 'fastdepth' in args.model else record_fuse)(model, args)
    props = {e.key: e.value for e in model.metadata_props if not e.key.startswith('range ')}
    for name, (low, high, total, count) in seen.items():
        mean = total / count
        if 'fastdepth' in args.model:
            low, high, mean = low.amin()[None], high.amax()[None], mean.mean()[None]
        elif name == 'input':
            low, high = input_range(low, high)
        else:                               # planes that only rare content wakes, less often than these clips have it
            high = torch.maximum(high, low + (high - low).max() / 8)
            low, high = low * CUT, high * CUT
        props[f'range {name}'] = ' '.join(f'{x:.4g}' for c in zip(low, high, mean) for x in c)
    onnx.helper.set_model_props(model, props)
    with open(args.model + '.part', 'wb') as f:
        f.write(model.SerializeToString(deterministic=True))
    os.replace(args.model + '.part', args.model)
    print(f'{args.model}: {len(seen)} ranges')


if __name__ == '__main__':
    main()
