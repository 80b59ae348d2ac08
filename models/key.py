#!/usr/bin/python3
"""Trains the network that fill=fuse runs on pictures without references (x2), beside a recurrent network of fuse.py.

  key.py train NAME --beside CHECKPOINT [--minutes N]   goes on from WORK/NAME/checkpoint.pt
  key.py export NAME

It sees LR luma - 1/2 and QP / 51, and gives what the recurrent network gives: detail that is added to base(LR) (4 planes)
and state (7). Training begins with the recurrent network itself, made wider; the state is held to what that one gives there,
so that it can go on from it.
"""
import os
os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')
import argparse
import time

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

import coded
import data
import fuse
import sequences
from nets import WideConv
from train import HERE, SHARED

OUT = 4 + fuse.STATE
SEEN = [0, fuse.PLANES - 1]     # of the recurrent network's planes: those that are not 0 without references
coded.ENCODERS['i'] = 'keyint=1'


class Key(nn.Module):
    """3x3 2->width, `middle` times 3x3 width->width, long skip, 3x3 width->11, plus 1x1 2->11 of the input."""

    def __init__(self, middle=8, width=24, bf16=False):
        super().__init__()
        self.first = WideConv(len(SEEN), width, 3)
        self.middle = nn.ModuleList([WideConv(width, width, 3, True) for _ in range(middle)])
        self.last = WideConv(width, OUT, 3, gain=0.05)
        self.through = nn.Parameter(torch.zeros(OUT, len(SEEN)))
        self.halo, self.bf16 = middle + 2, bf16
        self.mac = (len(SEEN) * width * 9 + middle * 9 * width * width + width * 9 * OUT + len(SEEN) * OUT) / 4

    def forward(self, x):
        """x [n,2,h + 2 halo,w + 2 halo] -> [n,11,h,w]"""
        n, m = self.halo, len(self.middle)
        skip = F.conv2d(x[:, :, n:-n, n:-n], self.through[:, :, None, None])
        h = first = F.relu(self.first(x.contiguous(memory_format=torch.channels_last)))
        if self.bf16:
            h = first = first.bfloat16()
        for c in self.middle:
            h = F.relu(c(h))
        return skip + self.last(h + first[:, :, m:-m, m:-m]).float()

    def planes(self, x):
        """The same from all planes of the recurrent network [n,16,h,w], borders repeated."""
        return self(F.pad(x[:, SEEN], (self.halo,) * 4, mode='replicate'))

    def begin_as(self, old):
        """The same function as a recurrent network (fuse.Fuse) of as many layers that has nothing carried; planes added do nothing yet."""
        def set_to(conv, kernel, bias, new=0.05):
            co, ci, k, _ = conv.shape
            w = torch.zeros(conv.shape)
            a, b = kernel.shape[:2]
            w[:a, :b] = kernel
            w[a:] = torch.randn(co - a, ci, k, k) * new
            if conv.residual:
                d = torch.arange(a)     # the old kernel holds its identity already
                w[d, d, k // 2, k // 2] -= 1
            conv.expand[:co] = w.view(co, -1)
            conv.project.zero_()
            conv.project[:, :co] = torch.eye(co)
            conv.bias[:a] = bias
        with torch.no_grad():
            set_to(self.first, old.first.kernel()[:, SEEN], old.first.bias, 0.2)
            for c, o in zip(self.middle, old.middle):
                set_to(c, o.kernel(), o.bias)
            set_to(self.last, old.last.kernel(), old.last.bias)
            self.through.copy_(old.through[:, SEEN])


def trained(path):
    """(Key, steps) of a checkpoint."""
    s = torch.load(path)
    net = Key(s['middle'], s['width'])
    net.load_state_dict(s['ema'])
    return net, s['step']


def recurrent(path):
    s = torch.load(path)
    net = fuse.network(0, s['middle'], s['width'])
    net.load_state_dict(s['ema'])
    return net


def crop(version, picture, y, x, side, halo, turn):
    """(planes [2,side + 2 halo,...], target - base [4,side,side]) of a part of a picture, borders repeated."""
    lr = picture.lr.astype(np.float32) / 255
    rows, cols = (np.clip(np.arange(a - halo, a + side + halo), 0, n - 1) for a, n in ((y, version.h), (x, version.w)))
    flat = lambda a: torch.from_numpy(np.ascontiguousarray(turned(a, turn)))
    qp = picture.qp[rows // 4][:, cols // 4].astype(np.float32) / 51
    planes = torch.stack([flat(lr[rows][:, cols]) - 0.5, flat(qp)])
    hr = version.hr[picture.display, 2 * y:2 * (y + side), 2 * x:2 * (x + side)].astype(np.float32) / 255
    d = hr - sequences.base(lr, 2 * y, 2 * (y + side), 2 * x, 2 * (x + side))
    return planes, F.pixel_unshuffle(flat(d)[None], 2)


def turned(a, turn):
    a = a[..., ::-1] if turn & 1 else a
    a = a[..., ::-1, :] if turn & 2 else a
    return np.swapaxes(a, -1, -2) if turn & 4 else a


def whole(net, version, pictures, halo):
    """PSNR of pictures as if each were the first. halo: border samples to repeat for the network."""
    score = []
    for p in pictures:
        lr = p.lr.astype(np.float32) / 255
        qp = np.repeat(np.repeat(p.qp, 4, 0), 4, 1)[:version.h, :version.w].astype(np.float32) / 51
        x = torch.from_numpy(np.stack([np.pad(a, halo, mode='edge') for a in (lr - 0.5, qp)]))[None]
        with torch.no_grad():
            y = net(x)
        base = torch.from_numpy(sequences.base(lr, 0, 2 * version.h, 0, 2 * version.w))
        hr = base + F.pixel_shuffle(y[:, :4], 2)[0, 0]
        score.append(fuse.psnr(hr.clamp(0, 1), torch.from_numpy(version.hr[p.display].astype(np.float32) / 255)))
    return np.mean(score)


def material(args):
    cache = os.path.join(args.work, 'sequences')
    own = [os.path.join(SHARED, 'video', n) for n in coded.TRAIN_CLIPS + (coded.TEST_CLIPS if args.all else ())] + [os.path.join(SHARED, 'train_video')]
    given = args.data or os.environ.get('FASTSR_DATA', '').split()
    clips = data.find(given or own, data.CLIPS)
    held = [f for f in clips if os.path.basename(f) in coded.HELD_CLIPS]
    pictures = data.find(given or [os.path.join(SHARED, 'images', 'train')])
    train = {'intra': [], 'pictures': [], 'inter': []}
    for f in clips:
        if f not in held:
            train['intra'] += sequences.versions(f, cache, ('i',), args.qps)
            train['inter'] += sequences.versions(f, cache, qps=args.qps)
    for f in pictures:
        train['pictures'] += sequences.versions(f, cache, ('i',), args.qps)
    val = [v for f in held for v in sequences.versions(f, cache, ('i',), (22, 32))]
    return {k: v for k, v in train.items() if v}, val


class Crops:
    """Random crops of pictures of all kinds, each kind as often as the others."""

    def __init__(self, args, side, halo, rng):
        train, self.val = material(args)
        self.side, self.halo, self.rng = side, halo, rng
        self.kinds = {k: [v for v in train[k] if v.h >= side and v.w >= side] for k in train}
        print({k: len(v) for k, v in self.kinds.items()}, 'versions', flush=True)

    def one(self):
        rng = self.rng
        versions = list(self.kinds.values())[int(rng.integers(len(self.kinds)))]
        v = versions[int(rng.integers(len(versions)))]
        p = v.pictures[int(rng.integers(len(v.pictures)))]
        y, x = (int(rng.integers(0, m - self.side + 1)) for m in (v.h, v.w))
        return *crop(v, p, y, x, self.side, self.halo, int(rng.integers(8))), torch.tensor(fuse.weight_of(v)).view(1, 1, 1)

    def batch(self, n):
        """(planes [n,2,side + 2 halo,...], target - base [n,4,side,side], weight of squared error [n,1,1,1])"""
        return (torch.stack(a) for a in zip(*[self.one() for _ in range(n)]))


def train(args):
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    rng = np.random.default_rng(args.seed)
    folder = os.path.join(args.work, args.name)
    os.makedirs(folder, exist_ok=True)
    check = os.path.join(folder, 'checkpoint.pt')
    old = recurrent(args.beside)
    net, ema = Key(args.middle, args.width, args.bf16), Key(args.middle, args.width)
    if args.start:
        net.load_state_dict(torch.load(args.start)['ema'])
    else:
        net.begin_as(old)
    ema.load_state_dict(net.state_dict())
    opt = torch.optim.Adam(net.parameters(), lr=args.lr, betas=(0.9, 0.99))
    n, spent = 0, 0.0
    if os.path.exists(check):
        s = torch.load(check)
        net.load_state_dict(s['net']), ema.load_state_dict(s['ema'])
        if 'opt' in s:      # else it was trained along by fuse.py last
            opt.load_state_dict(s['opt'])
        n, spent = s['step'], s.get('spent', 0.0)
    crops = Crops(args, args.crop, net.halo, rng)
    val, halo = crops.val, net.halo
    print(f'{net.mac:.0f} MAC per output pixel', flush=True)

    def state_of(x):
        full = torch.zeros(len(x), fuse.PLANES, *x.shape[2:])
        full[:, SEEN] = x
        with torch.no_grad():
            return old(full, torch.ones(len(x), *x.shape[2:]))[:, 4:, halo:-halo, halo:-halo].clamp(-fuse.LIMIT, fuse.LIMIT)

    began, shown = time.time() - spent, 0
    total = apart = count = 0.0
    log = open(os.path.join(folder, 'log.csv'), 'a')
    while True:
        part = (time.time() - began) / (args.minutes * 60)
        if part >= 1 or time.time() - shown > args.every * 60:
            shown = time.time()
            line = f'{n},{time.time() - began:.0f},{total / max(1, count):.6f},{apart / max(1, count):.6f},' + \
                ','.join(f'{whole(ema, v, v.pictures[::12], halo):.3f}' for v in val)
            began += time.time() - shown
            shown = time.time()
            print(args.name, line, flush=True)
            print(line, file=log, flush=True)
            total = apart = count = 0.0
            torch.save(dict(net=net.state_dict(), ema=ema.state_dict(), opt=opt.state_dict(), step=n, spent=time.time() - began,
                            middle=args.middle, width=args.width), check + '.part')
            os.replace(check + '.part', check)
        if part >= 1:
            break
        for g in opt.param_groups:
            g['lr'] = args.lr * min(1, (n + 1) / 100) * 0.5 * (1 + np.cos(np.pi * part))
        x, target, weight = crops.batch(args.batch)
        y = net(x)
        d = y[:, :4] - target
        state = ((y[:, 4:] - state_of(x))**2).mean()
        a = d.abs().mean()
        loss = ((d * d * weight).mean() if part > 1 - args.mse else a) + args.hold * state
        opt.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 0.5)
        opt.step()
        total, apart, count = total + float(a), apart + float(state), count + 1
        keep = min(0.999, (1 + n) / (10 + n))
        with torch.no_grad():
            for e, q in zip(ema.parameters(), net.parameters()):
                e.lerp_(q, 1 - keep)
        n += 1
        if n % 100 == 0:
            print(f'{args.name} step {n} {part:.1%} loss {total / count:.6f} state {apart / count:.6f}', flush=True)


def export(args):
    """Writes NAME.onnx."""
    net, steps = trained(os.path.join(args.work, args.name, 'checkpoint.pt'))
    f = fuse.File()
    f.network(net, len(SEEN))
    f.save(args.out or os.path.join(HERE, args.name + '.onnx'), args.name, args.trained_on, steps)


def options():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('what', choices=('train', 'export'))
    p.add_argument('name')
    p.add_argument('--beside', default=os.path.join(HERE, 'state', 'fuse-x2.pt'), help='state of the recurrent network')
    p.add_argument('--start', help='weights to begin with, in place of those of the recurrent network')
    p.add_argument('--data', nargs='+')
    p.add_argument('--work', default=os.path.join(HERE, 'work'))
    p.add_argument('--minutes', type=float, default=40)
    p.add_argument('--lr', type=float, default=1e-3)
    p.add_argument('--crop', type=int, default=64)
    p.add_argument('--batch', type=int, default=12)
    p.add_argument('--middle', type=int, default=8)
    p.add_argument('--width', type=int, default=24)
    p.add_argument('--hold', type=float, default=0.1, help='weight of the squared distance of the state')
    p.add_argument('--mse', type=float, default=0.5)
    p.add_argument('--bf16', action='store_true')
    p.add_argument('--qps', type=int, nargs='+', default=[22, 27, 32, 37])
    p.add_argument('--seed', type=int, default=1)
    p.add_argument('--every', type=float, default=6, help='minutes between validations')
    p.add_argument('--trained-on', default='walk, aspen, face, city, basketballpass, bunny and 12 further clips (models/README.md), x265 medium, every '
                   'picture intra and as in fuse-x2, QP 22 27 32 37; 91-image set and 16 pictures of BSD (CBSD68), intra')
    p.add_argument('--out')
    p.set_defaults(all=True)
    return p.parse_args()


if __name__ == '__main__':
    args = options()
    dict(train=train, export=export)[args.what](args)
