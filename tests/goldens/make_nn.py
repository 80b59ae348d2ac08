#!/usr/bin/env python3
"""Writes tests/goldens/nn/NAME-OPSET: a network as PyTorch exports it, with an input and what
PyTorch computes from it, in the form of ONNX's own tests. nn_onnx runs them.

    python3 tests/goldens/make_nn.py        (Debian: python3-torch, python3-onnx)

Made with PyTorch 1.13 and onnx 1.12. One case at least for each operator that nn/ takes;
every case is exported with each opset given with it.
"""
import os
import shutil
import sys
import warnings

import onnx
import torch
import torch.nn.functional as F
from onnx import numpy_helper
from torch import nn

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "nn")


class Fn(nn.Module):
    def __init__(self, f, **modules):
        super().__init__()
        for name, m in modules.items():
            setattr(self, name, m)
        self.f = f

    def forward(self, *x):
        return self.f(self, *x)


def conv(*a, **k):
    return nn.Conv2d(*a, **k)


def batch_norm(planes):
    b = nn.BatchNorm2d(planes)
    b.running_mean.normal_()
    b.running_var.uniform_(0.5, 2)
    b.weight.data.uniform_(0.5, 2)
    b.bias.data.normal_()
    return b


def fake_quantize(x, scale, zero, lo, hi):
    return torch.fake_quantize_per_tensor_affine(x, scale, zero, lo, hi)


# name: (network, input shapes, opsets)
PICTURE = [(1, 3, 9, 11)]
CASES = {
    "conv": (conv(3, 5, 3, padding=1), PICTURE, (9, 17)),
    "conv_stride_pads": (conv(3, 21, (5, 3), stride=(2, 3), padding=(2, 0)), PICTURE, (9, 13)),
    "conv_groups": (conv(6, 10, 3, groups=2, padding=1), [(1, 6, 9, 8)], (11,)),
    "conv_depthwise": (nn.Sequential(conv(24, 24, 3, groups=24, padding=1), nn.ReLU6(),
                                     conv(24, 24, 5, groups=24, padding=2, stride=2), nn.ReLU()),
                       [(1, 24, 30, 33)], (9, 11, 17)),
    "conv_transpose": (nn.ConvTranspose2d(3, 4, (4, 5), stride=(2, 3), padding=(1, 0),
                                          output_padding=(1, 2), bias=True), PICTURE, (9, 13)),
    "conv_transpose_groups": (nn.ConvTranspose2d(4, 6, 3, groups=2, dilation=2), [(1, 4, 7, 6)], (11,)),
    "batch_norm": (nn.Sequential(conv(3, 6, 3, padding=1), batch_norm(6), nn.ReLU()), PICTURE, (9, 15)),
    "batch_norm_alone": (Fn(lambda m, x: m.b(torch.relu(x)), b=batch_norm(3)), PICTURE, (9,)),
    "activations": (Fn(lambda m, x: torch.cat([F.leaky_relu(x, 0.2), m.p(x), torch.sigmoid(x), torch.tanh(x),
                                               F.hardsigmoid(x), x.clamp(-0.5, 0.25), F.relu(x)], 1),
                       p=nn.PReLU(3)), PICTURE, (9, 11, 14, 17)),
    "arithmetic": (Fn(lambda m, x: (x + x[:, :1] * 0.5) * torch.tensor([[[0.5]], [[2.0]], [[-1.0]]]) -
                      torch.linspace(0, 1, 11)), PICTURE, (9, 13)),
    "concat": (Fn(lambda m, x: torch.cat([torch.cat([x, x * 2], 2), torch.cat([x, x - 1], 2)], 3)), PICTURE, (11,)),
    "slice": (Fn(lambda m, x: x[:, 1:, 2:-3, 5:]), PICTURE, (9,)),
    "slice_step": (Fn(lambda m, x: x[:, 1:, 2:-3:2, 5:]), PICTURE, (10, 13)),
    "resize_nearest": (Fn(lambda m, x: F.interpolate(x, scale_factor=2, mode="nearest")), PICTURE, (9, 10, 11, 13)),
    "resize_linear": (Fn(lambda m, x: F.interpolate(x, size=(16, 25), mode="bilinear", align_corners=False)),
                      PICTURE, (11, 13)),
    "resize_corners": (Fn(lambda m, x: F.interpolate(x, scale_factor=3, mode="bilinear", align_corners=True)),
                       PICTURE, (11,)),
    **{f"resize_cubic{s}": (Fn(lambda m, x, s=s: F.interpolate(x, scale_factor=s, mode="bicubic",
                                                               align_corners=False)), PICTURE, (11,))
       for s in (2, 3, 4)},
    "pixel_shuffle": (nn.Sequential(conv(3, 8, 1), nn.PixelShuffle(2)), PICTURE, (11, 13)),
    "max_pool": (Fn(lambda m, x: F.max_pool2d(x, (3, 2), stride=2, padding=1, ceil_mode=True)), PICTURE, (10, 12)),
    "max_pool_dilation": (nn.MaxPool2d(2, stride=1, dilation=3), PICTURE, (10,)),
    "average_pool": (Fn(lambda m, x: torch.cat([F.avg_pool2d(x, 3, 2, 1, count_include_pad=True),
                                                F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)], 1)),
                     PICTURE, (9, 11)),
    "average_pool_ceil": (nn.AvgPool2d(3, 2, 0, ceil_mode=True), [(1, 3, 14, 16)], (10,)),
    "classifier": (nn.Sequential(conv(3, 20, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                                 nn.Linear(20, 7)), PICTURE, (9, 13)),
    "flatten": (nn.Sequential(conv(3, 2, 3, stride=4), nn.Flatten(), nn.Linear(24, 5), nn.ReLU()),
                [(1, 3, 12, 15)], (11,)),
    "pad_constant": (nn.ConstantPad2d((1, 2, 3, 0), 0.5), PICTURE, (9, 11, 13)),
    "pad_edge": (nn.ReplicationPad2d((4, 1, 0, 2)), PICTURE, (9, 11)),
    "pad_reflect": (nn.Sequential(nn.ReflectionPad2d(2), conv(3, 4, 5)), PICTURE, (9, 11)),
    "quantize": (Fn(lambda m, x: fake_quantize(m.c(fake_quantize(x, 0.02, 120, 0, 255)), 0.05, -3, -128, 127),
                    c=conv(3, 4, 3, padding=1)), PICTURE, (10, 13)),
    "two_inputs": (Fn(lambda m, a, b: m.c(torch.cat([a, b], 1)) + a, c=conv(5, 3, 3, padding=1)),
                   [(1, 3, 9, 11), (1, 2, 9, 11)], (11,)),
    "two_outputs": (Fn(lambda m, x: (m.c(x), m.c(x)[:, :, ::2, ::2]), c=conv(3, 4, 3, padding=1)), PICTURE, (11,)),
    "two_outputs_strips": (Fn(lambda m, x: (m.c(x), torch.relu(x)), c=conv(3, 4, 1)), PICTURE, (11,)),
}


def save(path, value):
    with open(path, "wb") as f:
        f.write(value.SerializeToString())


def space_to_depth(path):
    """PyTorch has no operator that is exported as SpaceToDepth."""
    x = torch.randn(1, 3, 6, 8)
    y = torch.einsum("ncyaxb->nabcyx", x.reshape(1, 3, 3, 2, 4, 2)).reshape(1, 12, 3, 4)
    info = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph([onnx.helper.make_node("SpaceToDepth", ["x"], ["y"], blocksize=2)], "g",
                                   [info("x", 1, [1, 3, 6, 8])], [info("y", 1, [1, 12, 3, 4])])
    write(path, onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)]), [x], [y])


def write(path, model, inputs, outputs):
    os.makedirs(path + "/test_data_set_0")
    save(path + "/model.onnx", model)
    for kind, values in (("input", inputs), ("output", outputs)):
        for i, v in enumerate(values):
            save(f"{path}/test_data_set_0/{kind}_{i}.pb", numpy_helper.from_array(v.detach().numpy()))


def main():
    warnings.simplefilter("ignore")
    torch.manual_seed(1)
    shutil.rmtree(OUT, ignore_errors=True)
    for name, (net, shapes, opsets) in CASES.items():
        net.eval()
        x = tuple(torch.randn(s) for s in shapes)
        y = net(*x)
        for opset in opsets:
            path = f"{OUT}/{name}-{opset}"
            os.makedirs(path)
            torch.onnx.export(net, x, path + "/export.onnx", opset_version=opset)
            model = onnx.load(path + "/export.onnx")
            os.remove(path + "/export.onnx")
            os.rmdir(path)
            for node in model.graph.node:
                node.ClearField("doc_string")
            write(path, model, x, y if isinstance(y, tuple) else (y,))
    space_to_depth(f"{OUT}/space_to_depth-13")


if __name__ == "__main__":
    sys.exit(main())
