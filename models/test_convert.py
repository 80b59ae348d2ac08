#!/usr/bin/python3
"""Checks models/convert on checkpoints that it makes in the authors' formats, with random values: test_convert.py FOLDER.

Prints TAP. The reference is a network written down separately here, with batch norm as layers of its own.
"""
import os
os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')
import subprocess
import sys
import types
import warnings

import numpy as np
import onnx
import torch
from torch import nn

import fastdepth

HERE = os.path.dirname(os.path.abspath(__file__))


def block(i, o, k, stride=1, groups=1, act=nn.ReLU6):
    return [nn.Conv2d(i, o, k, stride, k // 2, groups=groups, bias=False), nn.BatchNorm2d(o), act(inplace=True)]


class MobileNetSkipAdd(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.output_size = (224, 224)
        self.conv0 = nn.Sequential(*block(3, width[0], 3, 2))
        for i in range(1, 14):
            stride = 2 if i in (2, 4, 6, 12) else 1
            setattr(self, f'conv{i}', nn.Sequential(*block(width[i - 1], width[i - 1], 3, stride, width[i - 1]), *block(width[i - 1], width[i], 1)))
        inside = [width[13]] + width[14:]
        for i in range(1, 6):
            setattr(self, f'decode_conv{i}', nn.Sequential(nn.Sequential(*block(inside[i - 1], inside[i - 1], 5, 1, inside[i - 1], nn.ReLU)),
                                                           nn.Sequential(*block(inside[i - 1], inside[i], 1, act=nn.ReLU))))
        self.decode_conv6 = nn.Sequential(*block(inside[5], 1, 1, act=nn.ReLU))

    def forward(self, x):
        kept = {}
        for i in range(14):
            x = kept[i] = getattr(self, f'conv{i}')(x)
        for i in range(1, 6):
            x = nn.functional.interpolate(getattr(self, f'decode_conv{i}')(x), scale_factor=2, mode='nearest')
            if i in (2, 3, 4):
                x = x + kept[{2: 5, 3: 3, 4: 1}[i]]
        return self.decode_conv6(x)


def make():
    torch.manual_seed(1)
    width = [8, 12, 16, 20, 16, 24, 24, 32, 24, 16, 24, 32, 40, 48] + [24, 24, 20, 12, 8]
    net = MobileNetSkipAdd(width)
    for m in net.modules():
        if isinstance(m, nn.BatchNorm2d):
            m.weight.data.uniform_(0.5, 2)
            m.bias.data.uniform_(-0.3, 0.5)
            m.running_mean.uniform_(-0.3, 0.3)
            m.running_var.uniform_(0.2, 2)
    net.decode_conv6[1].bias.data.fill_(2)
    return net.eval()


def main(folder):
    # the names that the authors' checkpoints have in them; nothing of the kind is here when the file is read
    for name in ('models', 'metrics'):
        sys.modules[name] = types.ModuleType(name)
    MobileNetSkipAdd.__module__, sys.modules['models'].MobileNetSkipAdd = 'models', MobileNetSkipAdd
    Result = type('Result', (), {'__module__': 'metrics'})
    sys.modules['metrics'].Result = Result
    net = make()
    x = np.random.default_rng(2).random((1, 3, 64, 96), np.float32)
    with torch.no_grad():
        want = net(torch.from_numpy(x)).numpy()
    full = {'epoch': 7, 'arch': 'mobilenet', 'model': net, 'best_result': Result(), 'optimizer': torch.optim.SGD(net.parameters(), 0.1)}
    state = {'epoch': 7, 'state_dict': {f'module.{k}': v for k, v in net.state_dict().items()}}
    files = {'a checkpoint of the authors': (full, False), 'the same in the newer container': (full, True),
             'values of a parallel network': (state, True), 'a bare network': (net, False)}
    failed = 0

    def result(good, name, why=''):
        nonlocal failed
        failed += not good
        print(f'{"ok" if good else "not ok"} - {name}' + (f'\n# {why}' if not good else ''), flush=True)

    def convert(path):
        return subprocess.run([sys.executable, os.path.join(HERE, 'convert'), path, '--out', out, '--float32'], capture_output=True, text=True)

    warnings.simplefilter('ignore')     # torch.save misses the source of the class
    path, out = os.path.join(folder, 'a.pth.tar'), os.path.join(folder, 'a.onnx')
    for name, (what, new) in files.items():
        torch.save(what, path, _use_new_zipfile_serialization=new)
        r = convert(path)
        error = np.abs(fastdepth.run_onnx(onnx.load(out), x) - want).max() if r.returncode == 0 else r.stderr
        result(r.returncode == 0 and error < 1e-4 and want.std() > 0.01, f'converted: {name}', f'{error}')
        if os.path.exists(out):
            os.remove(out)

    class Evil:
        def __reduce__(self):
            return os.mkdir, (os.path.join(folder, 'evil'),)

    torch.save({'model': net, 'epoch': Evil()}, path)        # and it is converted all the same
    convert(path)
    os.remove(out)
    result(not os.path.exists(os.path.join(folder, 'evil')), 'what a checkpoint wants to run is not run')
    bad = {'rubbish': b'rubbish', 'an empty file': b'', 'a truncated file': open(path, 'rb').read()[:20000]}
    for name, data in bad.items():
        open(path, 'wb').write(data)
        r = convert(path)
        result(r.returncode == 1 and r.stderr.startswith('convert: ') and r.stderr.count('\n') == 1 and not os.path.exists(out),
               f'one message: {name}', r.stderr)
    net.decode_conv3[1][0] = nn.Conv2d(24, 21, 1, bias=False)
    torch.save({'model': net}, path)
    r = convert(path)
    result(r.returncode == 1 and 'dec3.pw' in r.stderr or 'decode_conv3' in r.stderr, 'another network is refused, with the layer', r.stderr)
    return failed > 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1]))
