#!/usr/bin/python3
"""Clips of a camera that stands still or hardly moves, for training: stills.py OUT CLIP... [--count N].

What moves in most training clips is the camera; where it stands, the recurrent network must keep what it has, while the
encoder codes the background again and again. Each clip here is one picture of a training clip as background, other clips seen
through ellipses that wander over it, and the noise of a sensor, which the encoder follows in part. Drawn with a fixed
seed; written as FFV1, %d pictures each, to OUT/still0.mkv and so on.
"""
import argparse
import os
import subprocess

import numpy as np

import coded

PICTURES, SIZE = 48, 8      # sides are multiples of it
__doc__ %= PICTURES


def planes(path):
    """[[pictures, h, w]] of luma and chroma, float."""
    y, chroma = coded.frames(path, *coded.size(path))
    return [p.astype(np.float32) for p in (y, *chroma)]


def moved(a, dy, dx):
    """A plane moved by part of a sample, cubic (a = -0.5), its border repeated."""
    for axis, d in ((0, dy), (1, dx)):
        n, f = int(np.floor(d)), d - np.floor(d)
        w = [((-0.5 * f + 1) * f - 0.5) * f, (1.5 * f - 2.5) * f * f + 1, ((-1.5 * f + 2) * f + 0.5) * f, (0.5 * f - 0.5) * f * f]
        at = [np.clip(np.arange(a.shape[axis]) + n + k - 1, 0, a.shape[axis] - 1) for k in range(4)]
        a = sum(np.float32(w[k]) * np.take(a, at[k], axis) for k in range(4))
    return a


def clip(rng, clips, path):
    back, front = (clips[i] for i in rng.choice(len(clips), 2, False))
    frame = int(rng.integers(len(back[0])))
    drift = rng.choice([0, 0, 0.04, 0.3]) * rng.normal(size=2)      # of the camera, samples a picture
    room  = np.ceil(np.abs(drift) * PICTURES)                       # it stays inside of the background
    h, w = (int(min(b - r, f)) // SIZE * SIZE for b, f, r in zip(back[0].shape[1:], front[0].shape[1:], room))
    noise = rng.choice([0, 0.5, 1, 1.6])
    spots = [dict(at=rng.uniform((0.2 * h, 0.2 * w), (0.8 * h, 0.8 * w)), speed=rng.normal(size=2) * rng.choice([0.2, 1, 3]),
                  size=rng.uniform(0.12, 0.3, 2) * h) for _ in range(int(rng.integers(1, 4)))]
    raw = b''
    for t in range(PICTURES):
        s = t if t < len(front[0]) else 2 * len(front[0]) - 2 - t
        for k, (b, f) in enumerate(zip(back, front)):
            half = 1 if k == 0 else 2
            y, x = np.mgrid[0:h // half, 0:w // half].astype(np.float32) * half
            a = moved(b[frame], *((drift * t + room * (drift < 0)) / half))[:h // half, :w // half]
            for o in spots:
                d = [(v - c - q * t) / r for v, c, q, r in zip((y, x), o['at'], o['speed'], o['size'])]
                m = np.clip((1 - d[0]**2 - d[1]**2) * 6, 0, 1)
                a = a + m * (f[s][:h // half, :w // half] - a)
            a = a + rng.normal(size=a.shape) * noise * (1 if k == 0 else 0.5)
            raw += np.clip(np.rint(a), 0, 255).astype(np.uint8).tobytes()
    subprocess.run([coded.FFMPEG, '-v', 'error', '-y', '-f', 'rawvideo', '-pix_fmt', 'yuv420p', '-s', f'{w}x{h}', '-r', '25', '-i', '-', '-c:v', 'ffv1',
                    path], input=raw, check=True)
    print(f'{path}: {w}x{h}, {len(spots)} spots, camera {np.abs(drift).max():.2f} samples a picture, noise {noise}', flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('out')
    p.add_argument('clips', nargs='+')
    p.add_argument('--count', type=int, default=8)
    args = p.parse_args()
    os.makedirs(args.out, exist_ok=True)
    clips, rng = [planes(f) for f in args.clips], np.random.default_rng(5)
    for i in range(args.count):
        clip(rng, clips, os.path.join(args.out, f'still{i}.mkv'))


if __name__ == '__main__':
    main()
