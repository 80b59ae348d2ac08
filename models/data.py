"""Training pictures: luma, MATLAB-style bicubic, pairs, random patches.

Definitions used everywhere in models/:
  luma   BT.601 limited-range Y as MATLAB's rgb2ycbcr gives it for 8-bit input, rounded, 16..235
  LR     MATLAB's imresize(..., 1/scale, 'bicubic'): cubic a = -0.5, widened by scale, rounded to 8 bit
  up     imresize(LR, scale, 'bicubic'), float, not rounded: the input of HR-domain networks
"""
import os
import subprocess

import numpy as np
from PIL import Image

PICTURES = ('.png', '.bmp', '.jpg', '.jpeg', '.ppm', '.pgm', '.tif', '.tiff')
CLIPS = ('.mkv', '.mp4', '.mov', '.y4m', '.avi', '.webm')


def _cubic(x, a=-0.5):
    x = np.abs(x)
    return np.where(x <= 1, (a + 2) * x**3 - (a + 3) * x**2 + 1,
                    np.where(x < 2, a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a, 0.0))


def _taps(n_in, n_out, scale):
    """Indices and weights, n_out x taps, of MATLAB's imresize along one axis (symmetric borders)."""
    k = min(scale, 1.0)  # below 1 the kernel is widened against aliasing
    width = 4.0 / k
    u = (np.arange(n_out) + 0.5) / scale - 0.5
    left = np.floor(u - width / 2).astype(int) + 1
    idx = left[:, None] + np.arange(int(np.ceil(width)) + 1)
    w = k * _cubic(k * (u[:, None] - idx))
    w /= w.sum(1, keepdims=True)
    idx = np.mod(idx, 2 * n_in)
    return np.where(idx < n_in, idx, 2 * n_in - 1 - idx), w


def _along(a, n_out, scale):
    idx, w = _taps(a.shape[0], n_out, scale)
    out = np.zeros((n_out,) + a.shape[1:])
    for t in range(idx.shape[1]):
        out += w[:, t].reshape(-1, 1) * a[idx[:, t]]
    return out


def imresize(a, scale):
    """MATLAB-style bicubic of a 2-D array by `scale` (below 1: antialiased). Float64, not rounded."""
    h, w = (int(np.ceil(n * scale - 1e-9)) for n in a.shape)
    return _along(_along(a.astype(np.float64), h, scale).T, w, scale).T


def round8(a):
    return np.clip(np.floor(a + 0.5), 0, 255).astype(np.uint8)


def luma(path):
    im = Image.open(path)
    if im.mode in ('L', 'I;16', '1'):
        # a grey picture holds full-range values; rgb2ycbcr of it as R = G = B
        y = 16.0 + np.asarray(im.convert('L'), np.float64) * (219.0 / 255.0)
    else:
        rgb = np.asarray(im.convert('RGB'), np.float64)
        y = 16.0 + rgb @ (np.array([65.481, 128.553, 24.966]) / 255.0)
    return round8(y)


def clip_frames(path, step=1, limit=0):
    """Luma planes (uint8) of every `step`-th frame of a clip, through the ffmpeg tool."""
    probe = subprocess.run(['ffprobe', '-v', 'error', '-select_streams', 'v:0', '-show_entries', 'stream=width,height',
                            '-of', 'csv=p=0:s=x', path], check=True, capture_output=True, text=True).stdout
    w, h = (int(v) for v in probe.strip().split('x')[:2])
    raw = subprocess.run(['ffmpeg', '-v', 'error', '-i', path, '-vf', f"select='not(mod(n,{step}))'", '-vsync', '0',
                          '-pix_fmt', 'yuv420p', '-f', 'rawvideo', '-'], check=True, capture_output=True).stdout
    n = w * h + 2 * ((w + 1) // 2) * ((h + 1) // 2)
    got = len(raw) // n
    got = min(got, limit) if limit else got
    return [np.frombuffer(raw, np.uint8, w * h, i * n).reshape(h, w) for i in range(got)]


def find(folders, endings=PICTURES):
    out = []
    for f in folders:
        if os.path.isfile(f):
            out.append(f)
        for root, _, names in os.walk(f):
            out += [os.path.join(root, n) for n in names if n.lower().endswith(endings)]
    return sorted(out)


def pair(hr, scale):
    """(HR cropped to a multiple of scale, LR) as uint8."""
    h, w = (n - n % scale for n in hr.shape)
    hr = hr[:h, :w]
    return hr, round8(imresize(hr, 1.0 / scale))


def shrunk(hr, factors):
    """The picture and smaller copies of it: more and sharper detail for the same material."""
    yield hr
    for f in factors:
        yield round8(imresize(hr, f))


class Patches:
    """Random square patches of (network input with halo, HR target) for pictures held in memory.

    kind 'hr': input is `up` at HR size; kind 'lr': input is LR, target is HR minus its bicubic.
    Inputs are extended by replication as far as the halo reaches, as the C core does at run time,
    so patches at picture borders are seen in training too. All values are code values / 255.
    """

    def __init__(self, pairs, scale, kind, halo, rng):
        self.scale, self.kind, self.halo, self.rng = scale, kind, halo, rng
        self.x, self.t, area = [], [], []
        for hr, lr in pairs:
            up = imresize(lr, scale)
            if kind == 'hr':
                x, t = up / 255.0, hr / 255.0
            else:
                x, t = lr / 255.0, (hr - up) / 255.0
            self.x.append(np.pad(x.astype(np.float32), halo, 'edge'))
            self.t.append(t.astype(np.float32))
            area.append(x.size)
        self.p = np.cumsum(area) / np.sum(area)

    def batch(self, n, size):
        """n patches whose target is size x size HR samples: x [n,1,..], t [n,1,size,size]."""
        r, s = self.rng, 1 if self.kind == 'hr' else self.scale
        c = size // s
        xs, ts = [], []
        for _ in range(n):
            k = int(np.searchsorted(self.p, r.random()))
            x, t = self.x[k], self.t[k]
            i = int(r.integers(0, t.shape[0] // s - c + 1))
            j = int(r.integers(0, t.shape[1] // s - c + 1))
            a = x[i:i + c + 2 * self.halo, j:j + c + 2 * self.halo]
            b = t[s * i:s * (i + c), s * j:s * (j + c)]
            turn = int(r.integers(0, 8))
            if turn & 1:
                a, b = a[:, ::-1], b[:, ::-1]
            if turn & 2:
                a, b = a[::-1], b[::-1]
            if turn & 4:
                a, b = a.T, b.T
            xs.append(a)
            ts.append(b)
        return np.stack(xs)[:, None], np.stack(ts)[:, None]
