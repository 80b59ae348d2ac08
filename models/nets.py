"""The networks that train.py knows, and how fast they run in training.

Border rule (the C core's): the INPUT picture is extended by replication as far as the halo of the
whole network reaches, then every layer is a valid convolution. Features are never padded.
"""
import math

import torch
import torch.nn as nn
import torch.nn.functional as F


class FirstConv(torch.autograd.Function):
    """Convolution of one input plane, as one matrix product; result is planes-first [co, n, h, w].

    PyTorch's CPU convolution is slow where one side has a single plane; planes-first makes every
    layer one large product. Gradients of the input are not needed: it is the picture.
    """

    @staticmethod
    def forward(ctx, x, w, b):
        co, _, k, _ = w.shape
        n, _, hh, ww = x.shape
        h, v = hh - k + 1, ww - k + 1
        s = x.stride()
        cols = x.as_strided((k, k, n, h, v), (s[2], s[3], s[0], s[2], s[3])).reshape(k * k, n * h * v)
        ctx.save_for_backward(cols)
        ctx.shape = w.shape
        return torch.addmm(b[:, None], w.reshape(co, k * k), cols).view(co, n, h, v)

    @staticmethod
    def backward(ctx, g):
        cols, = ctx.saved_tensors
        g = g.reshape(g.shape[0], -1)
        return None, (g @ cols.t()).view(ctx.shape), g.sum(1)


class LastConv(torch.autograd.Function):
    """Convolution to one output plane from planes-first input: 1x1 to k*k planes, shifted and added."""

    @staticmethod
    def forward(ctx, x, w, b):
        ci, n, hh, ww = x.shape
        k = w.shape[-1]
        h, v = hh - k + 1, ww - k + 1
        x = x.view(ci, -1)
        wt = w.view(ci, k * k).t().contiguous()
        u = (wt @ x).view(k, k, n, hh, ww)
        y = b.view(1, 1, 1) + torch.zeros(n, h, v)
        for i in range(k):
            for j in range(k):
                y += u[i, j, :, i:i + h, j:j + v]
        ctx.save_for_backward(x, wt)
        ctx.dims = (ci, n, hh, ww, k, h, v)
        return y.view(n, 1, h, v)

    @staticmethod
    def backward(ctx, g):
        x, wt = ctx.saved_tensors
        ci, n, hh, ww, k, h, v = ctx.dims
        g = g.reshape(n, h, v)
        u = torch.zeros(k, k, n, hh, ww)
        for i in range(k):
            for j in range(k):
                u[i, j, :, i:i + h, j:j + v] = g
        u = u.view(k * k, -1)
        return (wt.t() @ u).view(ci, n, hh, ww), (x @ u.t()).view(1, ci, k, k), g.sum().view(1)


class Srcnn(nn.Module):
    """Dong et al., TPAMI 2016: kxk 1->64, kxk 64->32, kxk 32->1, ReLU between; input is the bicubic upscale.

    No skip in the graph. One plane starts as a chain of unit impulses, so that training begins at
    bicubic and only has to learn the difference.
    """
    kind = 'hr'
    bf16 = False    # as Sesr.bf16: the layer of many planes on both sides

    def __init__(self, k1, k2, k3, n1=64, n2=32):
        super().__init__()
        self.c1, self.c2, self.c3 = nn.Conv2d(1, n1, k1), nn.Conv2d(n1, n2, k2), nn.Conv2d(n2, 1, k3)
        self.halo = (k1 + k2 + k3 - 3) // 2
        self.arch = f'SRCNN {k1}-{k2}-{k3}: {k1}x{k1} 1->{n1}, {k2}x{k2} {n1}->{n2}, {k3}x{k3} {n2}->1, ReLU between'
        self.mac = n1 * k1 * k1 + n1 * n2 * k2 * k2 + n2 * k3 * k3
        with torch.no_grad():
            for c, gain in ((self.c1, 2.0), (self.c2, 2.0), (self.c3, 0.01)):
                nn.init.normal_(c.weight, std=math.sqrt(gain / c.weight[0].numel()))
                c.bias.zero_()
                c.weight[0].zero_()
                c.weight[0, 0, c.weight.shape[2] // 2, c.weight.shape[3] // 2] = 1.0
            self.c3.weight[0, 1:] = torch.randn_like(self.c3.weight[0, 1:]) * math.sqrt(0.01 / self.c3.weight[0].numel())

    def forward(self, x):
        if not torch.is_grad_enabled():
            return self.c3(F.relu(self.c2(F.relu(self.c1(x)))))
        h = F.relu(FirstConv.apply(x, self.c1.weight, self.c1.bias))
        c, n, hh, ww = h.shape
        w = self.c2.weight
        if w.shape[-1] == 1:
            h = torch.addmm(self.c2.bias[:, None], w.view(-1, c), h.view(c, -1)).view(-1, n, hh, ww)
        else:
            t = torch.bfloat16 if self.bf16 else torch.float32
            h = F.conv2d(h.transpose(0, 1).to(t), w.to(t), self.c2.bias.to(t)).transpose(0, 1).float().contiguous()
        return LastConv.apply(F.relu(h), self.c3.weight, self.c3.bias)

    def begin_as(self, path):
        """The same function as a file of this kind whose kernels are no larger: they come to lie in the middle."""
        import onnx
        from onnx import numpy_helper
        w = {t.name: torch.from_numpy(numpy_helper.to_array(t).astype('float32')) for t in onnx.load(path).graph.initializer}
        with torch.no_grad():
            for i, c in enumerate((self.c1, self.c2, self.c3)):
                k = w[f'h{i}'].shape[2]
                m = (c.weight.shape[2] - k) // 2
                c.weight.zero_()
                c.weight[:, :, m:m + k, m:m + k] = w[f'h{i}']
                c.bias.copy_(w[f'b{i}'])

    def layers(self):
        """The plain chain for export, see export.graph()."""
        c1, c2, c3 = (('conv', c.weight, c.bias) for c in (self.c1, self.c2, self.c3))
        return [c1, ('relu',), c2, ('relu',), c3]


class WideConv(nn.Module):
    """Linear block of SESR (Bhardwaj et al., MLSys 2022): k x k to `wide` planes, 1x1 back, identity if residual.

    The two products are collapsed into one k x k kernel before use, in training too: same gradients, a tenth
    of the work.
    """

    def __init__(self, ci, co, k, residual=False, wide=128, gain=1.0):
        super().__init__()
        self.shape, self.residual = (co, ci, k, k), residual
        self.expand = nn.Parameter(torch.randn(wide, ci * k * k) * math.sqrt(1.0 / (ci * k * k)))
        self.project = nn.Parameter(torch.randn(co, wide) * gain * math.sqrt((0.1 if residual else 2.0) / wide))
        self.bias = nn.Parameter(torch.zeros(co))

    def kernel(self):
        w = (self.project @ self.expand).view(self.shape)
        if self.residual:
            eye = torch.zeros_like(w)
            d = torch.arange(w.shape[0])
            eye[d, d, w.shape[2] // 2, w.shape[3] // 2] = 1
            w = w + eye
        return w.contiguous(memory_format=torch.channels_last)

    def forward(self, x, pad=0):
        """pad: zeros around x"""
        return F.conv2d(x, self.kernel().to(x.dtype), self.bias.to(x.dtype), padding=pad)


class Sesr(nn.Module):
    """Shape of SESR-M<m>: 5x5 1->f, m times 3x3 f->f, one long skip, 5x5 f->scale^2, pixel shuffle; ReLU.

    Gives the detail that is added to the bicubic upscale (the original adds the LR luma before the shuffle).
    """
    kind = 'lr'
    bf16 = False    # training with bfloat16 products: faster where the CPU has them, weights stay float32

    def __init__(self, m, scale=2, f=16):
        super().__init__()
        self.scale = scale
        self.first, self.last = WideConv(1, f, 5), WideConv(f, scale * scale, 5, gain=0.02)
        self.middle = nn.ModuleList([WideConv(f, f, 3, True) for _ in range(m)])
        self.halo = 4 + m
        self.mac = (25 * f + m * 9 * f * f + 25 * f * scale * scale) // (scale * scale)
        self.arch = (f'SESR-M{m} shape: 5x5 1->{f}, {m} x 3x3 {f}->{f}, long skip, 5x5 {f}->{scale * scale}, '
                     f'depth to space; ReLU')

    def forward(self, x):
        m = len(self.middle)
        h = first = F.relu(self.first(x.contiguous(memory_format=torch.channels_last)))
        if self.bf16 and torch.is_grad_enabled():
            h = first = first.bfloat16()  # not the first layer: eight bits of mantissa would round the picture
        for c in self.middle:
            h = F.relu(c(h))
        return F.pixel_shuffle(self.last(h + first[:, :, m:-m, m:-m]).float(), self.scale)

    def layers(self):
        conv = lambda c: ('conv', c.kernel().contiguous(), c.bias)
        chain = [conv(self.first), ('relu',), ('keep',)]
        for c in self.middle:
            chain += [conv(c), ('relu',)]
        return chain + [('add',), conv(self.last), ('shuffle', self.scale)]


# name -> dict(build: makes the network, scale, coded: trained on decoded x265 pictures, and training settings:
#              steps, batch, micro: patches at a time, size: HR samples of a patch side)
MODELS = {}


def _add(name, build, scale, clean, coded):
    MODELS[name] = dict(build=build, scale=scale, coded=False, **clean)
    MODELS[name + '-coded'] = dict(build=build, scale=scale, coded=True, **coded)


for _s in (2, 3, 4):
    _set = dict(batch=16, micro=4, size=48, steps=30000 if _s == 2 else 14000)
    _add(f'srcnn-915-x{_s}', lambda: Srcnn(9, 1, 5), _s, _set, _set)
    _add(f'srcnn-955-x{_s}', lambda: Srcnn(9, 5, 5), _s, _set, _set)
for _m in (3, 5):  # the 91-image set is made of small pictures: small patches there
    _add(f'sesr-m{_m}-x2', lambda m=_m: Sesr(m), 2, dict(batch=16, micro=8, size=64, steps=40000),
         dict(batch=8, micro=4, size=128, steps=30000))
