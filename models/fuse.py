#!/usr/bin/python3
"""Trains the recurrent network of fill=fuse (x2) on coded clips with their motion.

  fuse.py train NAME [--minutes N] [options]   goes on from WORK/NAME/checkpoint.pt
  fuse.py test NAME --clips ... --qps ...      mean luma PSNR of whole clips, per clip, encoder and QP

For every picture in processing order the network sees, at LR size, 16 planes:
  LR luma - 1/2 | carried detail (4: space to depth, times 4) | state carried (7) | mismatch and its size (times 4)
  | weight of what is carried | QP / 51
Where the weight is 0, state and mismatch are 0 too: vectors that lie look like none.
carried = weight * (warp(HR of references) - base(prediction)), fill=detail's formula; mismatch = LR - prediction.
It gives 11: detail that is added to base(LR) (4) and state (7, limited to +-4).
Memory is carried over steps; gradients reach back over the pictures of one step.
"""
import os
os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')
import argparse
import ctypes
import math
import subprocess
import sys
import time

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

import coded
import data
import sequences
from nets import Sesr, WideConv
from train import HERE, SHARED

STATE, PLANES = 7, 16
DETAIL_GAIN, LIMIT = 4.0, 4.0
TILE, FLAT = 16, 8      # LR samples; gain of a tile under which it is left out
HALO = 1        # LR samples: how far around tiles a layer is made; as far as a 3x3 kernel reaches
BLACK = np.float32(16 / 255)
WITHOUT = ('state', 'detail', 'mismatch', 'vectors', 'recurrence', 'qp')


def library():
    source, lib = os.path.join(HERE, 'warp.c'), os.path.join(HERE, 'work', 'warp.so')
    if not os.path.exists(lib) or os.path.getmtime(lib) < os.path.getmtime(source):
        os.makedirs(os.path.dirname(lib), exist_ok=True)
        part = f'{lib}.{os.getpid()}'
        subprocess.run(['cc', '-O3', '-march=native', '-ffast-math', '-shared', '-fPIC', source, '-o', part], check=True)
        os.replace(part, lib)
    return ctypes.CDLL(lib)


class Warp(torch.autograd.Function):
    """pictures: tensors [h, w, planes] (planes 1 or 8) of the memory -> [h, w, planes]."""
    lib = None

    @staticmethod
    def forward(ctx, units, scale, use_weights, *pictures):
        Warp.lib = Warp.lib or library()
        out = torch.zeros_like(pictures[0])
        ctx.args = units, scale, use_weights, [p.shape for p in pictures]
        Warp.call('warp_forward', out, pictures, ctx.args)
        return out

    @staticmethod
    def call(name, dst, pictures, args):
        units, scale, use_weights, _ = args
        h, w, planes = dst.shape
        ptr = (ctypes.c_void_p * len(pictures))(*[p.data_ptr() for p in pictures])
        getattr(Warp.lib, name)(ctypes.c_void_p(dst.data_ptr()), ptr, planes, w, h, scale,
                                units.ctypes.data_as(ctypes.c_void_p), len(units), use_weights)

    @staticmethod
    def backward(ctx, grad):
        out = [torch.zeros(s) for s in ctx.args[3]]
        Warp.call('warp_backward', grad.contiguous(), out, ctx.args)
        return (None, None, None, *out)


class Made(torch.autograd.Function):
    """relu(h) where wanted [n,1,h,w] is true, else 0: in one pass over memory, which else takes as long as the convolutions."""

    @staticmethod
    def call(dst, a, b, wanted):
        Warp.lib = Warp.lib or library()
        n, planes, h, w = a.shape
        ptr = lambda t: ctypes.c_void_p(t is not None and t.data_ptr())
        Warp.lib.positive(ptr(dst), ptr(a), ptr(b), ptr(wanted), ctypes.c_long(n * h * w), planes, a.element_size())
        return dst

    @staticmethod
    def forward(ctx, h, wanted):
        h = h.contiguous(memory_format=torch.channels_last)
        out = Made.call(torch.empty_like(h), h, h, wanted.contiguous())
        ctx.save_for_backward(out)
        return out

    @staticmethod
    def backward(ctx, grad):
        out, = ctx.saved_tensors
        grad = grad.contiguous(memory_format=torch.channels_last)
        return Made.call(torch.empty_like(grad), out, grad, None), None


class Fuse(nn.Module):
    """3x3 16->width, `middle` times 3x3 width->width, long skip, 3x3 width->11, plus 1x1 16->11 of the input."""

    def __init__(self, middle=4, width=16, bf16=False):
        super().__init__()
        self.first = WideConv(PLANES, width, 3)
        self.middle = nn.ModuleList([WideConv(width, width, 3, True) for _ in range(middle)])
        self.last = WideConv(width, 4 + STATE, 3, gain=0.01)
        self.through = nn.Parameter(torch.zeros(4 + STATE, PLANES))
        with torch.no_grad():
            for i in range(4):
                self.through[i, 1 + i] = 1 / DETAIL_GAIN
            # The detail follows from edges: features that begin with the mean take a thousand steps to lose it, or never do.
            taps = self.first.expand.view(-1, PLANES, 9)
            taps -= taps.mean(2, keepdim=True)
            taps[:, 0] *= 6
        self.halo = middle + 2
        self.bf16 = bf16
        self.mac = (PLANES * width * 9 + middle * 9 * width * width + width * 9 * (4 + STATE) + PLANES * (4 + STATE)) / 4

    def forward(self, x, wanted):
        """wanted [n,h,w]: 1 in tiles that get the network. Around them features are made as far as HALO reaches, and 0 further away."""
        n = HALO + 1        # of the input; so far outside nothing is made
        a = F.pad(x, (n,) * 4, mode='replicate').contiguous(memory_format=torch.channels_last)
        near = F.max_pool2d(F.pad(wanted[:, None], (HALO,) * 4), 2 * HALO + 1, 1, HALO) > 0
        skip = F.conv2d(x, self.through[:, :, None, None])
        h = first = Made.apply(self.first(a), near)
        if self.bf16:
            h = first = first.bfloat16()  # not the first layer: eight bits of mantissa would round the picture
        for c in self.middle:
            h = Made.apply(c(h, 1), near)
        return skip + self.last(h + first).float()


class Plain(Sesr):
    """The light network on every picture that fuse is compared with: sees the LR luma only, adds to the cubic anchor."""

    def forward(self, x, wanted):
        y = super().forward(F.pad(x[:, :1] + 0.5, (self.halo,) * 4, mode='replicate'))
        return F.pixel_unshuffle(y, 2)


class Stream:
    """A crop of a version, picture after picture. plain: for a network that sees the LR luma only."""

    without = ()        # inputs left out, for ablations: some of WITHOUT

    def __init__(self, version, y, x, h, w, turn, begin, end, plain=False, share=1.0, gain=1.0):
        self.v, self.y, self.x, self.h, self.w, self.turn, self.t, self.end = version, y, x, h, w, turn, begin, end
        self.plain, self.share, self.gain = plain, share, gain  # share: of the tiles that get the network; gain: contrast above black, as in a fade
        self.left_out = 0.0
        self.memory = {}    # number -> (HR [2h,2w,1], state [h,w,8])

    def first(self):
        """Whether the next picture refers to none, so that the other network makes it (key.py)."""
        return not self.memory or not len(self.v.pictures[self.t].units)

    def turned(self, a):
        if self.turn & 1:
            a = a[..., ::-1]
        if self.turn & 2:
            a = a[..., ::-1, :]
        if self.turn & 4:
            a = np.swapaxes(a, -1, -2)
        return a

    def units(self, p):
        """Units of the crop whose references are all in memory and inside the crop, turned."""
        u = p.units
        u = u[(u['x'] >= self.x) & (u['x'] < self.x + self.w) & (u['y'] >= self.y) & (u['y'] < self.y + self.h)].copy()
        lut = np.full(p.number + 1, -2, np.int32)
        lut[0] = -1
        for i, k in enumerate(self.memory):
            lut[k] = i
        u['ref'] = lut[u['ref']]
        u['x'] -= self.x
        u['y'] -= self.y
        whole = self.h == self.v.h and self.w == self.v.w
        ok = (u['ref'] != -2).all(1)
        if not whole:
            for l in (0, 1):
                dx, dy = u['x'] + (u['mv'][:, l, 0] >> 2), u['y'] + (u['mv'][:, l, 1] >> 2)
                inside = (dx >= -2) & (dy >= -2) & (dx + u['w'] <= self.w + 2) & (dy + u['h'] <= self.h + 2)
                ok &= inside | (u['ref'][:, l] < 0)
        u = u[ok]
        if self.turn & 1:
            u['x'] = self.w - u['x'] - u['w']
            u['mv'][:, :, 0] *= -1
        if self.turn & 2:
            u['y'] = self.h - u['y'] - u['h']
            u['mv'][:, :, 1] *= -1
        if self.turn & 4:
            for a, b in (('x', 'y'), ('w', 'h')):
                u[a], u[b] = u[b].copy(), u[a].copy()
            u['mv'] = u['mv'][:, :, ::-1].copy()
        return np.ascontiguousarray(u)

    def inputs(self):
        """(x [16,h,w], base [2h,2w], target of base + detail [2h,2w]) of the next picture; sides swapped when turned."""
        v, p = self.v, self.v.pictures[self.t]
        y, x, h, w = self.y, self.x, self.h, self.w
        dim = lambda a: BLACK + (a - BLACK) * np.float32(self.gain)
        lr = dim(p.lr[y:y + h, x:x + w] / np.float32(255))
        kernel = sequences.CUBIC if self.plain else sequences.BASE
        b = dim(p.enlarged('lr', kernel, 2 * y, 2 * (y + h), 2 * x, 2 * (x + w)))
        target = v.hr[p.display, 2 * y:2 * (y + h), 2 * x:2 * (x + w)].astype(np.float32) / 255
        target = dim(target)
        units = [] if self.plain or 'recurrence' in self.without else self.units(p)
        if 'vectors' in self.without and len(units):
            units['mv'] = 0
        flat = lambda a: np.ascontiguousarray(self.turned(a))
        b, target, small = flat(b), flat(target), flat(lr)
        H, W = small.shape
        qp = flat(np.repeat(np.repeat(p.qp[y // 4:(y + h + 3) // 4, x // 4:(x + w + 3) // 4], 4, 0), 4, 1)[:h, :w]).astype(np.float32) / 51
        planes = torch.zeros(PLANES, H, W)
        planes[0] = torch.from_numpy(small) - 0.5
        if 'qp' not in self.without:
            planes[15] = torch.from_numpy(qp)
        copied = None
        if len(units):
            valid = np.zeros(((H + 3) // 4, (W + 3) // 4), np.float32)
            cy, cx = units['y'] // 4, units['x'] // 4
            for j in (0, 1):
                for i in (0, 1):
                    k = (units['h'] > 4 * j) & (units['w'] > 4 * i)
                    valid[cy[k] + j, cx[k] + i] = 1
            valid = np.repeat(np.repeat(valid, 4, 0), 4, 1)[:H, :W]
            if 'vectors' in self.without:
                old = [next(q for q in v.pictures if q.number == k).lr for k in self.memory]
                old = [dim(flat(a[y:y + h, x:x + w]).astype(np.float32) / 255)[:, :, None] for a in old]
                small_pred = Warp.apply(units, 1, 1, *[torch.from_numpy(a) for a in old])[:, :, 0].numpy()
                bp = sequences.base(small_pred, 0, 2 * H, 0, 2 * W)
            else:
                small_pred = flat(dim(p.pred[y:y + h, x:x + w] / np.float32(64 * 255)))
                bp = flat(dim(p.enlarged('pred', sequences.BASE, 2 * y, 2 * (y + h), 2 * x, 2 * (x + w))))
            weight = self.turned(self.weights(p))
            weight = torch.from_numpy(np.ascontiguousarray(weight)) * torch.from_numpy(np.repeat(np.repeat(valid, 2, 0), 2, 1))
            mm = (small - small_pred) * valid * DETAIL_GAIN
            used = list(self.memory.values())
            hr = Warp.apply(units, 2, 1, *[m[0] for m in used])[:, :, 0]
            detail = weight * (hr - torch.from_numpy(bp))
            state = Warp.apply(units, 1, 0, *[m[1] for m in used]).permute(2, 0, 1)[:STATE]
            low = F.avg_pool2d(weight[None], 2)
            if self.share < 1:
                copied = self.skipped(small, np.where(valid > 0, np.abs(mm), 255), low[0].numpy())
            if 'state' in self.without:
                state = state * 0
            if 'detail' in self.without:
                detail = detail * 0
            if 'mismatch' in self.without:
                mm = mm * 0
            fits = (low > 0).float()        # elsewhere the network sees a picture without references
            state = state * fits
            rest = torch.stack([torch.from_numpy(mm), torch.from_numpy(np.abs(mm))]) * fits
            planes = torch.cat([planes[:1], F.pixel_unshuffle(detail[None], 2) * DETAIL_GAIN, state, rest, low, planes[15:]])
        return planes, torch.from_numpy(b), torch.from_numpy(target), copied

    def skipped(self, lr, mismatch, weight):
        """Where the network is left out, as rate_tiles() and choose_tiles() of filters/fuse.c do. Mask [h,w], or None."""
        h, w = lr.shape
        p = np.pad(lr, 1, mode='edge')
        detail = np.abs(4 * lr - p[:-2, 1:-1] - p[2:, 1:-1] - p[1:-1, :-2] - p[1:-1, 2:]) * 255 / 4
        sums = lambda a: np.add.reduceat(np.add.reduceat(a, np.arange(0, h, TILE), 0), np.arange(0, w, TILE), 1)
        most = sums(detail ** 2)
        gain = sums(np.where(weight > 0, mismatch * 255 / DETAIL_GAIN, detail) ** 2) + most / 32
        gain *= most / (gain + most + 1e-9)
        gain[(sums(mismatch) * 255 / DETAIL_GAIN < sums(np.ones((h, w))) / 4) | (gain < FLAT)] = 0
        least = np.sort(gain, None)[::-1][max(0, math.ceil(self.share * gain.size) - 1)]
        out = np.repeat(np.repeat((gain < least) | (gain == 0), TILE, 0), TILE, 1)[:h, :w]
        return torch.from_numpy(out) if out.any() else None

    def weights(self, p):
        """HR weights as the engine interpolates them, 0 to 1."""
        y, x, h, w = self.y // 4, self.x // 4, (self.h + 3) // 4, (self.w + 3) // 4
        c = p.weight
        rows, cols = np.clip(np.arange(y - 1, y + h + 1), 0, c.shape[0] - 1), np.clip(np.arange(x - 1, x + w + 1), 0, c.shape[1] - 1)
        part = c[np.ix_(rows, cols)].astype(np.float32)
        holes = np.repeat(np.repeat(part[1:-1, 1:-1] < 0, 8, 0), 8, 1)
        up = F.interpolate(torch.from_numpy(np.maximum(part, 0))[None, None], scale_factor=8, mode='bilinear', align_corners=False)
        up = up[0, 0, 8:-8, 8:-8].numpy() / 256
        up[holes] = 0
        return up[:2 * self.h, :2 * self.w]

    def keep(self, hr, state):
        number = self.v.pictures[self.t].number
        self.memory[number] = (hr[:, :, None].contiguous(), F.pad(state.permute(1, 2, 0), (0, 8 - STATE)).contiguous())
        for k in [k for k in self.memory if k < number - 9]:
            del self.memory[k]
        self.t += 1

    def detach(self):
        self.memory = {k: tuple(v.detach() for v in m) for k, m in self.memory.items()}


def step(net, streams, first=None):
    """The next picture of every stream (crops of one size): [(output HR, target)]. first: network for pictures without references."""
    got = [s.inputs() for s in streams]
    x = torch.stack([g[0] for g in got])
    wanted = torch.ones(len(got), *x.shape[2:])
    for w, g in zip(wanted, got):
        if g[3] is not None:
            w[g[3]] = 0
    alone = torch.tensor([first is not None and s.first() for s in streams])
    if alone.any():
        z = torch.empty(len(got), 4 + STATE, *x.shape[2:])
        z[alone] = first.planes(x[alone])
        if not alone.all():
            z[~alone] = net(x[~alone], wanted[~alone])
    else:
        z = net(x, wanted)
    out = []
    for s, (x, b, target, copied), y in zip(streams, got, z):
        if copied is not None:
            copied = copied[:y.shape[1], :y.shape[2]]
            y = torch.where(copied, torch.cat([x[1:5] / DETAIL_GAIN, x[5:5 + STATE]]), y)
            s.left_out += float(copied.float().mean())
        hr = b + F.pixel_shuffle(y[None, :4], 2)[0, 0]
        if s.plain:
            s.t += 1
        else:
            s.keep(hr.clamp(-0.25, 1.25), y[4:].clamp(-LIMIT, LIMIT))
        out.append((hr, target))
    return out


def psnr(hr, target):
    d = (data.round8(hr.numpy() * 255).astype(np.float64) - np.rint(target.numpy() * 255))[2:-2, 2:-2]
    return 10 * math.log10(65025 / np.mean(d * d))


def weight_of(version, gain=1.0):
    """Of squared error, so that each version counts by its change in dB, as in a mean PSNR."""
    return 0.03 / (sequences.error(version) * gain**2 + 1e-5)


def whole(net, version, limit=0, share=1.0, first=None):
    """PSNR of every picture of a version, in processing order, and the share of the area left out."""
    s = Stream(version, 0, 0, version.h, version.w, 0, 0, len(version.pictures), isinstance(net, Plain), share)
    with torch.no_grad():
        score = [psnr(*step(net, [s], first)[0]) for _ in range(limit or s.end)]
    return score, s.left_out / len(score)


def material(args):
    own = [os.path.join(SHARED, 'video', n) for n in coded.TRAIN_CLIPS + (coded.TEST_CLIPS if args.all else ())] + [os.path.join(SHARED, 'train_video')]
    files = data.find(args.data or os.environ.get('FASTSR_DATA', '').split() or own, data.CLIPS)
    held = [f for f in files if os.path.basename(f) in coded.HELD_CLIPS]
    cache = os.path.join(args.work, 'sequences')
    train = []
    for f in files:
        t0 = time.time()
        got = sequences.versions(f, cache, qps=args.qps)
        if f not in held:
            train += got
        print(f'{f}: {got[0].w}x{got[0].h} {len(got[0].pictures)} pictures, {time.time() - t0:.0f} s', flush=True)
    val = [v for f in held for v in sequences.versions(f, cache, ('b',), (22, 32))]
    return train, val


def options():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('what', choices=('train', 'test', 'prepare', 'export'))
    p.add_argument('name')
    p.add_argument('--data', nargs='+')
    p.add_argument('--work', default=os.path.join(HERE, 'work'))
    p.add_argument('--minutes', type=float, default=60)
    p.add_argument('--lr', type=float, default=1e-3)
    p.add_argument('--crop', type=int, default=96)
    p.add_argument('--batch', type=int, default=4)
    p.add_argument('--unroll', type=int, default=5)
    p.add_argument('--middle', type=int, default=4)
    p.add_argument('--width', type=int, default=16)
    p.add_argument('--plain', type=int, default=0, help="SESR-M<n>'s shape on every picture, no recurrence")
    p.add_argument('--sparse', type=float, default=0.7, help='share of streams on which tiles are left out')
    p.add_argument('--share', type=float, default=1.0, help='test: share of the tiles that get the network')
    p.add_argument('--without', nargs='+', choices=WITHOUT, default=[], help='ablation: inputs that are zero; vectors: that are 0, recurrence: nothing is carried')
    p.add_argument('--all', action='store_true', help='train on the test clips too')
    p.add_argument('--fades', type=float, default=0.1, help='share of streams that are made darker')
    p.add_argument('--mse', type=float, default=0.5)
    p.add_argument('--bf16', action='store_true')
    p.add_argument('--seed', type=int, default=1)
    p.add_argument('--every', type=float, default=10, help='minutes between validations')
    p.add_argument('--start', help='weights to begin with')
    p.add_argument('--clips', nargs='+')
    p.add_argument('--out')
    p.add_argument('--trained-on', default='walk, aspen, face and 12 further clips (models/README.md), x265 medium, QP 22 27 32 37, B frames and low delay P')
    p.add_argument('--key', help='name of the network for pictures without references (key.py): trained along, tested with, named in the exported file')
    p.add_argument('--hold-key', action='store_true', help='that network is used as it is')
    p.add_argument('--qps', type=int, nargs='+', default=[22, 27, 32, 37], help='named twice: seen twice as often')
    p.add_argument('--coarse', help='export: name of the network that stands in on pictures of a high QP')
    p.add_argument('--coarse-from', type=int, default=30, help='export: their mean QP at least')
    p.add_argument('--encoders', nargs='+', default=['b'])
    return p.parse_args()


def network(plain, middle, width, bf16=False):
    if not plain:
        return Fuse(middle, width, bf16)
    net = Plain(plain)
    net.bf16 = bf16
    return net


def train(args):
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    rng = np.random.default_rng(args.seed)
    folder = os.path.join(args.work, args.name)
    os.makedirs(folder, exist_ok=True)
    check = os.path.join(folder, 'checkpoint.pt')
    build = lambda: network(args.plain, args.middle, args.width, args.bf16)
    net, ema = build(), build()
    ema.bf16 = False
    if args.start:      # a network with fewer layers, too: those that are new change nothing at first
        old = torch.load(args.start)['ema']
        with torch.no_grad():
            for c in net.middle:
                c.project.zero_()
        net.load_state_dict(old, strict=False)
    ema.load_state_dict(net.state_dict())
    first = first_ema = None
    pairs = [(ema, net)]
    if args.key:
        import key
        first_check = os.path.join(args.work, args.key, 'checkpoint.pt')
        s = torch.load(first_check)
        first, first_ema = key.Key(s['middle'], s['width'], args.bf16), key.Key(s['middle'], s['width'])
        first.load_state_dict(s['net' if os.path.exists(check) else 'ema']), first_ema.load_state_dict(s['ema'])
        first_steps = s['step']
        if args.hold_key:
            first = first_ema.requires_grad_(False)
        else:
            crops = key.Crops(args, 64, first.halo, rng)
            pairs.append((first_ema, first))
    opt = torch.optim.Adam([q for _, a in pairs for q in a.parameters()], lr=args.lr, betas=(0.9, 0.99))
    n, spent = 0, 0.0
    if os.path.exists(check):
        s = torch.load(check)
        net.load_state_dict(s['net']), ema.load_state_dict(s['ema']), opt.load_state_dict(s['opt'])
        n, spent = s['step'], s['spent']
        first_steps = first and first_steps - n
    clips, val = material(args)
    p = np.array([v.h * v.w for v in clips], np.float64)**0.5
    p /= p.sum()
    print(f'{len(clips)} versions, network {net.mac:.0f} MAC per output pixel', flush=True)

    def new():
        v = clips[int(rng.choice(len(clips), p=p))]
        c = args.crop
        y, x = (int(rng.integers(0, (m - c) // 16 + 1)) * 16 for m in (v.h, v.w))
        begin = 0 if rng.random() < 0.4 else int(rng.integers(0, len(v.pictures) - 8))
        return Stream(v, y, x, c, c, int(rng.integers(0, 8)), begin, min(len(v.pictures), begin + int(rng.integers(8, 48))),
                      args.plain > 0, rng.uniform(0.1, 0.9) if rng.random() < args.sparse else 1.0, rng.random()**2 if rng.random() < args.fades else 1.0)

    streams = [new() for _ in range(args.batch)]
    began, shown = time.time() - spent, time.time() - (spent % (args.every * 60))
    total, plain, count = 0.0, 0.0, 0
    log = open(os.path.join(folder, 'log.csv'), 'a')
    while True:
        part = (time.time() - began) / (args.minutes * 60)
        if part >= 1 or time.time() - shown > args.every * 60:
            shown = time.time()
            score = [np.mean(whole(ema, v, 24, share, first_ema)[0]) for share in ((1.0,) if args.plain else (1.0, 0.4)) for v in val]
            began += time.time() - shown   # validation does not count
            shown = time.time()
            line = f'{n},{time.time() - began:.0f},{total / max(1, count):.6f},{plain / max(1, count):.6f},' + ','.join(f'{v:.3f}' for v in score)
            print(args.name, line, flush=True)
            print(line, file=log, flush=True)
            total, plain, count = 0.0, 0.0, 0
            torch.save(dict(net=net.state_dict(), ema=ema.state_dict(), opt=opt.state_dict(), step=n, spent=time.time() - began,
                            middle=args.middle, width=args.width, plain=args.plain), check + '.part')
            os.replace(check + '.part', check)
            if first and not args.hold_key:
                torch.save(dict(net=first.state_dict(), ema=first_ema.state_dict(), step=first_steps + n,
                                middle=len(first.middle), width=first.first.shape[0]), first_check + '.part')
                os.replace(first_check + '.part', first_check)
        if part >= 1:
            break
        for g in opt.param_groups:
            g['lr'] = args.lr * min(1, (n + 1) / 100) * 0.5 * (1 + math.cos(math.pi * part))
        loss = 0
        if first and not args.hold_key:     # pictures without references are rare in clips: some more, of which only the detail counts
            x, target, weight = crops.batch(3)
            d = first(x)[:, :4] - target
            loss = ((d * d * weight).mean() if part > 1 - args.mse else d.abs().mean()) / 5
        for _ in range(args.unroll):
            streams = [s if s.t < s.end else new() for s in streams]
            for s, (hr, target) in zip(streams, step(net, streams, first)):
                d = (hr - target)[8:-8, 8:-8]
                a = d.abs().mean()
                loss = loss + ((d * d).mean() * weight_of(s.v, s.gain) if part > 1 - args.mse else a) / (args.unroll * args.batch)
                total, count = total + float(a), count + 1
        opt.zero_grad()
        loss.backward()
        for _, a in pairs:
            torch.nn.utils.clip_grad_norm_(a.parameters(), 0.5)
        opt.step()
        for s in streams:
            s.detach()
        keep = min(0.999, (1 + n) / (10 + n))
        with torch.no_grad():
            for a, b in pairs:
                for e, q in zip(a.parameters(), b.parameters()):
                    e.lerp_(q, 1 - keep)
        n += 1
        if n % 100 == 0:
            print(f'{args.name} step {n} {part:.1%} loss {total / max(1, count):.6f}', flush=True)


def test(args):
    torch.set_num_threads(1)
    s = torch.load(os.path.join(args.work, args.name, 'checkpoint.pt'))
    net = network(s['plain'], s['middle'], s['width'])
    net.load_state_dict(s['ema'])
    first = None
    if args.key:
        import key
        first = key.trained(os.path.join(args.work, args.key, 'checkpoint.pt'))[0]
    for f in args.clips or [os.path.join(SHARED, 'video', n) for n in coded.TEST_CLIPS]:
        for v in sequences.versions(f, os.path.join(args.work, 'sequences'), args.encoders, args.qps):
            score, left = whole(net, v, 0, args.share, first)
            print(f'{v.name} {np.mean(score):.3f} change {np.abs(np.diff(score)).mean():.3f} left out {left:.3f}', flush=True)


class File:
    """An ONNX file in the making. Weights are kept as 16-bit floats, which costs less than 0.001 dB, and half the size."""

    def __init__(self):
        self.nodes, self.weights = [], []

    def node(self, op, inputs, output, **kw):
        from onnx import helper
        self.nodes.append(helper.make_node(op, inputs, [output], name=kw.pop('name', output), **kw))

    def conv(self, x, y, w, b):
        from onnx import TensorProto, numpy_helper
        n, k = len(self.weights) // 2, w.shape[2]
        self.weights += [numpy_helper.from_array(np.ascontiguousarray(w.detach().numpy().astype(np.float16)), f'h{n}'),
                         numpy_helper.from_array(b.detach().numpy().astype(np.float32), f'b{n}')]
        self.node('Cast', [f'h{n}'], f'w{n}', to=TensorProto.FLOAT)
        self.node('Conv', [x, f'w{n}', f'b{n}'], y, name=f'conv{n}', kernel_shape=[k, k], pads=[k // 2] * 4)

    def network(self, net, planes):
        """Fuse or key.Key"""
        self.conv('input', 'c0', net.first.kernel(), net.first.bias)
        self.node('Relu', ['c0'], 'first')
        x = 'first'
        for i, c in enumerate(net.middle):
            self.conv(x, f'm{i}', c.kernel(), c.bias)
            self.node('Relu', [f'm{i}'], f'r{i}')
            x = f'r{i}'
        self.node('Add', [x, 'first'], 'skip')
        self.conv('skip', 'last', net.last.kernel(), net.last.bias)
        self.conv('input', 'through', net.through[:, :, None, None], torch.zeros(4 + STATE))
        self.node('Add', ['last', 'through'], 'output')
        width, middle = net.first.shape[0], len(net.middle)
        self.architecture = (f'3x3 {planes}->{width}, {middle} x 3x3 {width}->{width}, long skip, 3x3 {width}->{4 + STATE}, '
                             f'plus 1x1 {planes}->{4 + STATE} of the input; ReLU')
        self.mac, self.planes = net.mac, planes

    def save(self, out, name, training_data, steps, **more):
        import onnx
        from onnx import TensorProto, helper
        value = lambda v, n: helper.make_tensor_value_info(v, TensorProto.FLOAT, [1, n, 'height', 'width'])
        g = helper.make_graph(self.nodes, name, [value('input', self.planes)], [value('output', 4 + STATE)], self.weights)
        model = helper.make_model(g, producer_name='fastsr models/fuse.py', opset_imports=[helper.make_opsetid('', 13)])
        model.ir_version = 7
        helper.set_model_props(model, {
            'name': name, 'scale': '2', 'input': 'fuse', 'output': 'fuse', 'input_range': 'see filters/fuse.c',
            'architecture': self.architecture, 'macs_per_output_pixel': f'{self.mac:.0f}', 'training_data': training_data, 'steps': str(steps),
            'date': time.strftime('%Y-%m-%d'), 'licence': 'LGPL-2.1-or-later', **more})
        onnx.checker.check_model(model)
        with open(out + '.part', 'wb') as f:
            f.write(model.SerializeToString(deterministic=True))
        os.replace(out + '.part', out)
        print(f'{out}: {steps} steps, {os.path.getsize(out)} bytes')


def export(args):
    """Writes NAME.onnx."""
    s = torch.load(os.path.join(args.work, args.name, 'checkpoint.pt'))
    net = network(s['plain'], s['middle'], s['width'])
    net.load_state_dict(s['ema'])
    f = File()
    f.network(net, PLANES)
    beside = {'key': args.key} if args.key else {}
    if args.coarse:
        beside.update(coarse=args.coarse, coarse_from=str(args.coarse_from))
    f.save(args.out or os.path.join(HERE, args.name + '.onnx'), args.name, args.trained_on, s['step'], **beside)


if __name__ == '__main__':
    args = options()
    Stream.without = tuple(args.without)
    dict(train=train, test=test, export=export, prepare=lambda a: material(a) and [sequences.versions(os.path.join(SHARED, 'video', n), os.path.join(a.work, 'sequences')) for n in coded.TEST_CLIPS])[args.what](args)
