#!/usr/bin/python3
"""FastDepth (Wofk, Ma, Yang, Karaman, Sze, ICRA 2019): depth in metres from one RGB picture.

MobileNet encoder, five decoder blocks (depthwise 5x5, pointwise, upsampling to nearest), three added skips. Batch norm is
folded: every layer is activation(convolution + bias). The widths of the layers are those of the weights that are
loaded, so the whole network and any pruned one are the same class.

    fastdepth.py VALUES.npz [--out FILE.onnx]     published values -> ONNX, compared with PyTorch
"""
import os
os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')
import argparse
import hashlib
import sys

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper

HERE = os.path.dirname(os.path.abspath(__file__))
SIZE = 224
STRIDES = [2] + [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1]     # of the first layer, then of each depthwise layer
SKIPS = {2: 5, 3: 3, 4: 1}                                  # decoder block -> encoder block whose output is added
NAMES = ['enc0.conv'] + [f'{part}{i}.{kind}' for part, n in (('enc', 13), ('dec', 5)) for i in range(1, n + 1)
                         for kind in ('dw', 'pw')] + ['dec6.pw']
# The authors' test pictures: this part of a 4:3 picture, squeezed to a square. The network knows no other field of view.
CROP = (27 / 640, 21.12 / 480)


class FastDepth(torch.nn.Module):
    """layers: weight (O, I / groups, K, K) and bias (O) in the order of NAMES."""

    def __init__(self, layers):
        super().__init__()
        check(layers)
        self.weights = torch.nn.ParameterList(torch.nn.Parameter(torch.tensor(w, dtype=torch.float32)) for w, _ in layers)
        self.biases = torch.nn.ParameterList(torch.nn.Parameter(torch.tensor(b, dtype=torch.float32)) for _, b in layers)

    def layers(self):
        return [(w.detach().numpy(), b.detach().numpy()) for w, b in zip(self.weights, self.biases)]

    def conv(self, i, x, stride=1):
        w = self.weights[i]
        depthwise = NAMES[i].endswith('.dw')
        return F.conv2d(x, w, self.biases[i], stride, w.shape[2] // 2, groups=w.shape[0] if depthwise else 1)

    def forward(self, x):
        """N x 3 x H x W, RGB from 0 to 1, H and W multiples of 32 -> N x 1 x H x W, metres; 0 is possible."""
        kept = {}
        x = F.relu6(self.conv(0, x, STRIDES[0]))
        for i in range(1, 14):
            x = F.relu6(self.conv(2 * i - 1, x, STRIDES[i]))
            x = F.relu6(self.conv(2 * i, x))
            kept[i] = x
        for i in range(1, 6):
            x = F.relu(self.conv(25 + 2 * i, x))
            x = F.relu(self.conv(26 + 2 * i, x))
            if i == 5:                                      # a 1x1 layer commutes with the upsampling: a quarter of its work
                x = F.relu(self.conv(37, x))
            x = F.interpolate(x, scale_factor=2, mode='nearest')
            if i in SKIPS:
                x = x + kept[SKIPS[i]]
        return x


def check(layers):
    """Do the shapes fit together? ValueError names the layer that does not."""
    if len(layers) != len(NAMES):
        raise ValueError(f'{len(layers)} convolutions, FastDepth has {len(NAMES)}')
    planes, kept = 3, {}
    for i, (name, (w, b)) in enumerate(zip(NAMES, layers)):
        kernel = 1 if name.endswith('.pw') else 5 if name.startswith('dec') else 3
        inside = 1 if name.endswith('.dw') else planes
        if w.ndim != 4 or w.shape[1:] != (inside, kernel, kernel) or (name.endswith('.dw') and w.shape[0] != planes) or b.shape != w.shape[:1]:
            raise ValueError(f'{name}: weights {"x".join(map(str, w.shape))} after {planes} planes are not those of FastDepth')
        if not (np.isfinite(w).all() and np.isfinite(b).all()):
            raise ValueError(f'{name}: a value is not a finite number')
        planes = w.shape[0]
        block = int(name[3:].split('.')[0])
        if name.startswith('enc'):
            kept[block] = planes
        elif name.endswith('.pw') and block in SKIPS and kept[SKIPS[block]] != planes:
            raise ValueError(f'{name}: {planes} planes, the skip that is added has {kept[SKIPS[block]]}')
    if planes != 1:
        raise ValueError(f'the last layer gives {planes} planes, not 1')


def fold(w, bn):
    """Batch norm (weight, bias, mean, variance, eps) behind a convolution without bias -> weight and bias."""
    weight, bias, mean, var, eps = bn
    s = weight / np.sqrt(var.astype(np.float64) + eps)
    return (w * s[:, None, None, None]).astype(np.float32), (bias - mean * s).astype(np.float32)


def macs(layers, size=SIZE):
    total, area = 0, size * size
    for i, (w, _) in enumerate(layers):
        stride = STRIDES[0] if i == 0 else STRIDES[(i + 1) // 2] if i < 27 and i % 2 else 1
        area //= stride * stride
        total += w.size * area
        if i >= 28 and i % 2 == 0 and i < 36:
            area *= 4
    return total


def to_onnx(layers, name, meta, half):
    """Weights are stored as float16 where half is set (a Cast in front of each convolution makes them float32)."""
    nodes, init, kept = [], [], {}

    def add(op, inputs, **attr):
        out = f'{op.lower()}{len(nodes)}'
        nodes.append(helper.make_node(op, inputs, [out], name=out, **attr))
        return out

    def const(array, label):
        init.append(numpy_helper.from_array(array, label))
        return label

    def weight(array, label):
        if not half:
            return const(array.astype(np.float32), label)
        return add('Cast', [const(array.astype(np.float16), label)], to=TensorProto.FLOAT)

    def conv(i, x, stride=1):
        w, b = layers[i]
        k = w.shape[2]
        x = add('Conv', [x, weight(w, NAMES[i] + '.weight'), weight(b, NAMES[i] + '.bias')], kernel_shape=[k, k],
                pads=[k // 2] * 4, strides=[stride] * 2, group=w.shape[0] if NAMES[i].endswith('.dw') else 1)
        return add('Clip', [x, 'zero', 'six']) if i < 27 else add('Relu', [x])

    const(np.float32(0), 'zero'), const(np.float32(6), 'six')
    const(np.float32([]), 'roi'), const(np.float32([1, 1, 2, 2]), 'twice')
    x = conv(0, 'input', STRIDES[0])
    for i in range(1, 14):
        x = kept[i] = conv(2 * i, conv(2 * i - 1, x, STRIDES[i]))
    for i in range(1, 6):
        x = conv(26 + 2 * i, conv(25 + 2 * i, x))
        if i == 5:
            x = conv(37, x)
        x = add('Resize', [x, 'roi', 'twice'], mode='nearest', coordinate_transformation_mode='asymmetric', nearest_mode='floor')
        if i in SKIPS:
            x = add('Add', [x, kept[SKIPS[i]]])
    nodes[-1].output[0] = 'output'
    value = lambda v, c: helper.make_tensor_value_info(v, TensorProto.FLOAT, [1, c, 'height', 'width'])
    graph = helper.make_graph(nodes, name, [value('input', 3)], [value('output', 1)], init)
    model = helper.make_model(graph, producer_name='fastsr models/fastdepth.py', opset_imports=[helper.make_opsetid('', 13)])
    model.ir_version = 7
    helper.set_model_props(model, {
        'name': name, 'task': 'depth', 'input': 'rgb', 'input_range': 'R, G, B from 0 to 1', 'output': 'depth, metres',
        'input_size': f'{SIZE}x{SIZE}', 'macs': str(macs(layers)), **meta})
    onnx.checker.check_model(model)
    return model


def run_onnx(model, x):
    """The file's graph, node by node, on an N x 3 x H x W array."""
    v = {t.name: torch.from_numpy(numpy_helper.to_array(t).copy()) for t in model.graph.initializer}
    v['input'] = torch.from_numpy(x)
    for n in model.graph.node:
        a = [v[i] for i in n.input]
        attr = {p.name: helper.get_attribute_value(p) for p in n.attribute}
        if n.op_type == 'Cast':
            y = a[0].float()
        elif n.op_type == 'Conv':
            y = F.conv2d(a[0], a[1], a[2], attr['strides'], attr['pads'][:2], groups=attr['group'])
        elif n.op_type == 'Clip':
            y = a[0].clamp(float(a[1]), float(a[2]))
        elif n.op_type == 'Relu':
            y = a[0].relu()
        elif n.op_type == 'Resize':
            y = a[0].repeat_interleave(2, 2).repeat_interleave(2, 3)
        elif n.op_type == 'Add':
            y = a[0] + a[1]
        v[n.output[0]] = y
    return v['output'].numpy()


def write(layers, out, name, meta, half=True):
    """Write the ONNX file and compare it with PyTorch."""
    net = FastDepth(layers).eval()
    model = to_onnx(layers, name, meta, half)
    x = np.random.default_rng(1).random((1, 3, SIZE, SIZE), np.float32)
    with torch.no_grad():
        worst = float(np.abs(run_onnx(model, x) - net(torch.from_numpy(x)).numpy()).max())
    raw = model.SerializeToString(deterministic=True)
    plain = not os.path.lexists(out) or os.path.isfile(out) and not os.path.islink(out)     # else a device, a pipe or a link
    with open(out + '.part' if plain else out, 'wb') as f:
        f.write(raw)
    if plain:
        os.replace(out + '.part', out)
    print(f'{out}: {len(raw)} bytes, sha256 {hashlib.sha256(raw).hexdigest()}')
    print(f'  {sum(w.size + b.size for w, b in layers):,} weights, {macs(layers):,} MAC at {SIZE}x{SIZE}, '
          f'largest difference from PyTorch on noise {worst:.1e} m')


def load_npz(path):
    z = np.load(path)
    return [(z[n + '.weight'], z[n + '.bias']) for n in NAMES]


PUBLISHED = {
    'architecture': 'FastDepth, pruned: MobileNet encoder, NNConv5 depthwise decoder, added skips',
    'training_data': 'NYU Depth v2, raw video of the training scenes; encoder first on ImageNet (by its authors)',
    'author': 'Diana Wofk, Fangchang Ma, Tien-Ju Yang, Sertac Karaman, Vivienne Sze; ICRA 2019',
    'licence': 'see models/README.md',
}


def main():
    p = argparse.ArgumentParser(description='Published values of FastDepth -> ONNX.')
    p.add_argument('values', help='NumPy archive: LAYER.weight and LAYER.bias, batch norm folded')
    p.add_argument('--out', default=os.path.join(HERE, 'fastdepth.onnx'))
    args = p.parse_args()
    write(load_npz(args.values), args.out, 'fastdepth', PUBLISHED)


if __name__ == '__main__':
    sys.exit(main())
