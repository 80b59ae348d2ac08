#!/usr/bin/python3
"""Writes a trained model as ONNX and checks the file against PyTorch: export.py NAME [--checkpoint].

The file holds plain layers only (wide linear blocks collapsed), opset 13, weights as 16-bit floats (a Cast in front of
each convolution makes them float32: half the size, less than 0.001 dB), with metadata:
  name, scale, input (hr-luma | lr-luma), output (luma | detail), input_range, training_data, date,
  set5_psnr, architecture, macs_per_output_pixel, licence
Convolutions carry "same" padding so that any ONNX runtime gives a picture of the right size; the C core
replicates the picture's border instead, and so does the check here.
"""
import os
os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')
import argparse
import hashlib
import sys
import time

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

import data
from nets import MODELS
from train import HERE, SHARED, psnr

MATERIAL = {False: '91-image set and 16 pictures of BSD (CBSD68), bicubic degradation',
            True: 'walk, aspen, face and 12 further clips, x265 medium, QP 22 27 32 37, B frames and low delay P'}
RANGE = {'hr-luma': 'luma code value / maximum code value, already upscaled (MATLAB-style bicubic, a = -0.5)',
         'lr-luma': 'luma code value / maximum code value, at low resolution'}


def graph(layers, name):
    """layers: list of (op, ...) in order: ('conv', weight, bias), ('relu',), ('keep',), ('add',), ('shuffle', scale)."""
    nodes, weights, x, kept, n = [], [], 'input', None, 0
    for i, (op, *rest) in enumerate(layers):
        y = 'output' if i == len(layers) - 1 else f't{i}'
        if op == 'conv':
            w, b = (v.detach().numpy().astype(np.float32) for v in rest)
            weights += [numpy_helper.from_array(w.astype(np.float16), f'h{n}'), numpy_helper.from_array(b, f'b{n}')]
            nodes.append(helper.make_node('Cast', [f'h{n}'], [f'w{n}'], name=f'w{n}', to=TensorProto.FLOAT))
            kh, kw = w.shape[2:]
            nodes.append(helper.make_node('Conv', [x, f'w{n}', f'b{n}'], [y], name=f'conv{n}', kernel_shape=[kh, kw],
                                          pads=[kh // 2, kw // 2, kh // 2, kw // 2]))
            n += 1
        elif op == 'relu':
            nodes.append(helper.make_node('Relu', [x], [y], name=f'relu{i}'))
        elif op == 'keep':
            kept = x
            continue
        elif op == 'add':
            nodes.append(helper.make_node('Add', [x, kept], [y], name=f'add{i}'))
        elif op == 'shuffle':
            nodes.append(helper.make_node('DepthToSpace', [x], [y], name=f'shuffle{i}', blocksize=rest[0], mode='CRD'))
        x = y
    s = next((rest[0] for op, *rest in layers if op == 'shuffle'), 1)
    value = lambda v, h, w: helper.make_tensor_value_info(v, TensorProto.FLOAT, [1, 1, h, w])
    out = ('out_height', 'out_width') if s > 1 else ('height', 'width')
    return helper.make_graph(nodes, name, [value('input', 'height', 'width')], [value('output', *out)], weights)


def evaluate(model, x):
    """The ONNX file on one plane in numpy (float32): border replicated once around the input, then valid layers."""
    w = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    for n in model.graph.node:
        if n.op_type == 'Cast':
            w[n.output[0]] = w[n.input[0]].astype(np.float32)
    halo = sum((w[n.input[1]].shape[2] - 1) // 2 for n in model.graph.node if n.op_type == 'Conv')
    v = {'input': np.pad(x, halo, 'edge')[None]}
    for n in model.graph.node:
        if n.op_type == 'Cast':
            continue
        a = v[n.input[0]]
        if n.op_type == 'Conv':
            k = w[n.input[1]]
            h, u = a.shape[1] - k.shape[2] + 1, a.shape[2] - k.shape[3] + 1
            y = np.repeat(w[n.input[2]], h * u).reshape(-1, h, u)
            for i in range(k.shape[2]):
                for j in range(k.shape[3]):
                    part = np.ascontiguousarray(a[:, i:i + h, j:j + u]).reshape(a.shape[0], -1)
                    y += (np.ascontiguousarray(k[:, :, i, j]) @ part).reshape(y.shape)
        elif n.op_type == 'Relu':
            y = np.maximum(a, 0)
        elif n.op_type == 'Add':
            b = v[n.input[1]]
            m = (b.shape[1] - a.shape[1]) // 2
            y = a + (b[:, m:-m, m:-m] if m else b)
        elif n.op_type == 'DepthToSpace':
            s, (c, h, u) = n.attribute[0].i, a.shape
            y = a.reshape(c // s**2, s, s, h, u).transpose(0, 3, 1, 4, 2).reshape(c // s**2, h * s, u * s)
        v[n.output[0]] = y
    return v['output'][0]


def check(model, net, pairs, scale):
    """(mean PSNR of the file, largest difference from PyTorch) over pairs."""
    worst, total = 0.0, 0.0
    for hr, lr in pairs:
        up = data.Upscaler(scale).whole(lr)
        x = (up if net.kind == 'hr' else lr).astype(np.float32) / np.float32(255)
        y = evaluate(model, x)
        with torch.no_grad():
            ref = net(torch.from_numpy(np.pad(x, net.halo, 'edge'))[None, None])[0, 0].numpy()
        worst = max(worst, float(np.abs(y - ref).max()))
        total += psnr(data.round8(y * 255.0 + (0 if net.kind == 'hr' else up)), hr, scale)
    return total / len(pairs), worst


def main():
    p = argparse.ArgumentParser(description='Write a trained network as ONNX.')
    p.add_argument('model', choices=sorted(MODELS))
    p.add_argument('--work', default=os.path.join(HERE, 'work'))
    p.add_argument('--out')
    p.add_argument('--checkpoint', action='store_true', help='averaged weights of a run that is not finished')
    p.add_argument('--test', default=os.path.join(SHARED, 'images', 'set5'))
    p.add_argument('--trained-on', help='what the metadata says about the training material')
    args = p.parse_args()
    folder, spec = os.path.join(args.work, args.model), MODELS[args.model]
    path = os.path.join(folder, 'checkpoint.pt' if args.checkpoint else 'final.pt')
    if not os.path.exists(path):
        sys.exit(f'export.py: {path} is missing: run make -C models {args.model} first')
    state = torch.load(path)
    net = spec['build']()
    net.load_state_dict(state['ema' if args.checkpoint else 'weights'])
    net.eval()
    pairs = [data.pair(data.luma(f), spec['scale']) for f in data.find([args.test])]
    if not pairs:
        sys.exit(f'export.py: no test pictures in {args.test}')

    g = graph(net.layers(), args.model)
    model = helper.make_model(g, producer_name='fastsr models/export.py', opset_imports=[helper.make_opsetid('', 13)])
    model.ir_version = 7
    score, worst = check(model, net, pairs, spec['scale'])
    date = time.strftime('%Y-%m-%d') if args.checkpoint else state['date']
    kind = net.kind + '-luma'
    helper.set_model_props(model, {
        'name': args.model, 'scale': str(spec['scale']), 'input': kind, 'input_range': RANGE[kind],
        'output': 'luma' if net.kind == 'hr' else 'detail', 'architecture': net.arch,
        'macs_per_output_pixel': str(net.mac), 'training_data': args.trained_on or state.get('data') or MATERIAL[spec['coded']], 'date': date,
        'set5_psnr': f'{score:.2f}', 'licence': 'LGPL-2.1-or-later'})
    onnx.checker.check_model(model)
    out = args.out or os.path.join(HERE, args.model + '.onnx')
    raw = model.SerializeToString(deterministic=True)
    with open(out + '.part', 'wb') as f:
        f.write(raw)
    os.replace(out + '.part', out)
    print(f'{out}: {len(raw)} bytes, sha256 {hashlib.sha256(raw).hexdigest()}')
    print(f'  {net.mac} MAC per output pixel, Set5 {score:.3f} dB, largest difference from PyTorch {worst:.2e}')


if __name__ == '__main__':
    main()
