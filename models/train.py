#!/usr/bin/python3
"""Trains one model of nets.py: train.py NAME [--data DIR ...] [--steps N] [--work DIR] [--out FILE].

Training material: --data, else $FASTSR_DATA, else the folders of ../shared/data beside the checkout. Pictures for
clean models; for models that end in -coded clips, which are encoded with x265 first (coded.py).
A run is seeded and can be stopped at any time: it goes on from WORK/NAME/checkpoint.pt.
Writes there: log.csv, curve.png, checkpoint.pt, best-known weights in final.pt at the end.
"""
import os
os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')
import argparse
import csv
import math
import sys
import time

import numpy as np
import torch

import coded
import data
from nets import MODELS

HERE = os.path.dirname(os.path.abspath(__file__))
SHARED = os.environ.get('FASTSR_SHARED') or os.path.join(HERE, '..', '..', 'shared', 'data')


def options():
    p = argparse.ArgumentParser(description='Train one network of fastsr.')
    p.add_argument('model', choices=sorted(MODELS))
    p.add_argument('--data', nargs='+', help='folders of training pictures (clips for models that end in -coded)')
    p.add_argument('--test', nargs='+', help='test pictures or clips, never trained on')
    p.add_argument('--work', default=os.path.join(HERE, 'work'))
    p.add_argument('--steps', type=int)
    p.add_argument('--lr', type=float, default=1e-3)
    p.add_argument('--mse', type=float, default=0.4, help='last part of the run that minimises squared error')
    p.add_argument('--threads', type=int, default=1)
    p.add_argument('--bf16', action='store_true', help='bfloat16 products (a CPU with AVX512-BF16 or AMX)')
    p.add_argument('--start', help='SRCNN: a file to begin with, of as large kernels or smaller ones')
    p.add_argument('--seed', type=int, default=1)
    p.add_argument('--every', type=int, default=1000, help='steps between validations')
    return p.parse_args()


def psnr(a, b, crop):
    """Rounded 8-bit planes, `crop` samples left out at each border."""
    a, b = (v[crop:-crop, crop:-crop].astype(np.float64) for v in (a, b))
    return 10 * math.log10(255.0**2 / np.mean((a - b)**2))


def enlarge(net, lr, scale):
    """LR uint8 -> HR uint8 through the network, borders as in the C core."""
    up = data.Upscaler(scale).whole(lr)
    x = np.pad((up if net.kind == 'hr' else lr).astype(np.float32) / np.float32(255), net.halo, 'edge')
    with torch.no_grad():
        y = net(torch.from_numpy(x)[None, None])[0, 0].numpy()
    return data.round8(y * 255.0 + (0 if net.kind == 'hr' else up))


def score(net, pairs, scale):
    """Mean luma PSNR over pairs of (HR, LR)."""
    return float(np.mean([psnr(enlarge(net, lr, scale), hr, scale) for hr, lr in pairs])) if pairs else float('nan')


def stills(args, spec):
    """(training pictures, validation pairs, test pairs) of clean pictures, MATLAB-style bicubic."""
    scale = spec['scale']
    folders = args.data or os.environ.get('FASTSR_DATA', '').split() or [os.path.join(SHARED, 'images', 'train')]
    files = data.find(folders)
    if not files:
        sys.exit(f'train.py: no pictures in {" ".join(folders)}; name folders with --data or FASTSR_DATA')
    held = files[::12]  # one in twelve is never trained on: validation
    print(f'{len(files)} pictures, {len(held)} of them for validation', flush=True)
    small = [data.pair(v, scale) for f in files if f not in held
             for v in data.shrunk(data.luma(f), (0.9, 0.8, 0.7, 0.6)) if min(v.shape) >= spec['size'] + scale]
    test = data.find(args.test or [os.path.join(SHARED, 'images', 'set5')])
    return ([(hr, [lr]) for hr, lr in small], [data.pair(data.luma(f), scale) for f in held],
            [data.pair(data.luma(f), scale) for f in test])


def clips(args, spec):
    """The same for clips that went through x265 at several QPs."""
    scale = spec['scale']
    own = [os.path.join(SHARED, 'video', n) for n in coded.TRAIN_CLIPS] + [os.path.join(SHARED, 'train_video')]
    files = data.find(args.data or os.environ.get('FASTSR_DATA', '').split() or own, data.CLIPS)
    if not files:
        sys.exit('train.py: no clips; name clips or folders with --data or FASTSR_DATA')
    test = data.find(args.test or [os.path.join(SHARED, 'video', n) for n in coded.TEST_CLIPS], data.CLIPS)
    cache = os.path.join(args.work, 'coded')
    held = [f for f in files if os.path.basename(f) in coded.HELD_CLIPS] or files[:1]
    train = []
    for f in files:
        print(f'encoding {f} for {"validation" if f in held else "training"}', flush=True)
        c = coded.clip(f, scale, cache)
        if f not in held:
            train += coded.pictures(c)
    sample = lambda names: [p for f in names for c in [coded.clip(f, scale, cache)] for q in coded.QPS
                            for p in coded.pairs(c, f'b_{q}', 12)]
    return train, sample(held), sample(test)


class Run:
    """Everything that a checkpoint must hold."""

    def __init__(self, args, spec):
        torch.manual_seed(args.seed)
        self.net, self.ema = spec['build'](), spec['build']()
        self.net.bf16 = args.bf16
        self.ema.load_state_dict(self.net.state_dict())
        self.opt = torch.optim.Adam(self.net.parameters(), lr=args.lr, betas=(0.9, 0.99))
        self.rng = np.random.default_rng(args.seed)
        self.step, self.spent = 0, 0.0

    def save(self, path):
        state = dict(net=self.net.state_dict(), ema=self.ema.state_dict(), opt=self.opt.state_dict(), step=self.step,
                     rng=self.rng.bit_generator.state, spent=self.spent)
        torch.save(state, path + '.part')
        os.replace(path + '.part', path)

    def load(self, path):
        s = torch.load(path)
        self.net.load_state_dict(s['net'])
        self.ema.load_state_dict(s['ema'])
        self.opt.load_state_dict(s['opt'])
        self.rng.bit_generator.state = s['rng']
        self.step, self.spent = s['step'], s['spent']

    def advance(self, patches, spec, args, steps):
        """One optimiser step on a batch; gradients are gathered over small parts that stay in the cache."""
        for g in self.opt.param_groups:
            g['lr'] = args.lr * min(1.0, (self.step + 1) / 200) * 0.5 * (1 + math.cos(math.pi * self.step / steps))
        x, t = (torch.from_numpy(np.ascontiguousarray(v)) for v in patches.batch(spec['batch'], spec['size']))
        squared = self.step >= (1 - args.mse) * steps
        self.opt.zero_grad()
        total = 0.0
        for i in range(0, len(x), spec['micro']):
            d = self.net(x[i:i + spec['micro']]) - t[i:i + spec['micro']]
            # the factor keeps the gradient's size about equal over the change of loss
            loss = ((d * d).mean() * 30 if squared else d.abs().mean()) * (spec['micro'] / spec['batch'])
            loss.backward()
            total += float(loss)
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 0.5)
        self.opt.step()
        keep = min(0.999, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for e, p in zip(self.ema.parameters(), self.net.parameters()):
                e.lerp_(p, 1 - keep)
        self.step += 1
        return total


def curve(folder, name):
    import matplotlib
    matplotlib.use('Agg')
    import matplotlib.pyplot as plt
    rows = list(csv.DictReader(open(os.path.join(folder, 'log.csv'))))
    fig, ax = plt.subplots(figsize=(7, 4))
    ax.plot([int(r['step']) for r in rows], [float(r['val_psnr']) for r in rows], label='held-out pictures')
    ax.plot([int(r['step']) for r in rows], [float(r['test_psnr']) for r in rows], label='test set (not used to choose)')
    ax.set(xlabel='step', ylabel='PSNR-Y, dB', title=name)
    ax.grid(alpha=0.3)
    ax.legend()
    fig.tight_layout()
    fig.savefig(os.path.join(folder, 'curve.png'), dpi=100)
    plt.close(fig)


def main():
    args = options()
    torch.set_num_threads(args.threads)
    spec = MODELS[args.model]
    scale, steps = spec['scale'], args.steps or spec['steps']
    folder = os.path.join(args.work, args.model)
    os.makedirs(folder, exist_ok=True)
    check = os.path.join(folder, 'checkpoint.pt')
    run = Run(args, spec)
    if args.start:
        run.net.begin_as(args.start)
        run.ema.load_state_dict(run.net.state_dict())
    train, val, test = (clips if spec['coded'] else stills)(args, spec)
    patches = data.Patches(train, scale, run.net.kind, run.net.halo, run.rng)
    if os.path.exists(check):
        run.load(check)
        print(f'going on from step {run.step}', flush=True)
    log = os.path.join(folder, 'log.csv')
    if run.step == 0:
        with open(log, 'w') as f:
            f.write('step,seconds,loss,val_psnr,test_psnr\n')
    began, loss = time.time() - run.spent, 0.0
    first, t0 = run.step, time.time()
    while run.step <= steps:
        again = run.step == first and 0 < first < steps  # this step is in the log already
        if run.step == steps or run.step % args.every == 0 and not again:
            run.spent = time.time() - began
            v, t = score(run.ema, val, scale), score(run.ema, test, scale)
            left = (time.time() - t0) / max(1, run.step - first) * (steps - run.step)
            print(f'{args.model} {run.step}/{steps} loss {loss / args.every:.6f} held-out {v:.3f} dB test {t:.3f} dB'
                  f' left {left / 60:.1f} min', flush=True)
            with open(log, 'a') as f:
                f.write(f'{run.step},{run.spent:.0f},{loss / args.every:.7f},{v:.4f},{t:.4f}\n')
            loss = 0.0
            run.save(check)
        if run.step == steps:
            break
        loss += run.advance(patches, spec, args, steps)
    torch.save(dict(model=args.model, weights=run.ema.state_dict(), steps=steps, seed=args.seed, val=v, test=t,
                    data=' '.join(args.data or []), date=time.strftime('%Y-%m-%d')), os.path.join(folder, 'final.pt'))
    curve(folder, args.model)
    print(f'{args.model}: done, held-out {v:.3f} dB, test {t:.3f} dB', flush=True)


if __name__ == '__main__':
    main()
