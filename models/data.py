"""Training pictures: luma, MATLAB-style bicubic, pairs, random patches.

Definitions used everywhere in models/:
  luma   BT.601 limited-range Y as MATLAB's rgb2ycbcr gives it for 8-bit input, rounded, 16..235
  LR     MATLAB's imresize(..., 1/scale, 'bicubic'): cubic a = -0.5, widened by scale, rounded to 8 bit
  up     LR enlarged by the same cubic (a = -0.5), borders replicated, float, not rounded: the input of
         HR-domain networks and the anchor that LR-domain networks add their detail to
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
        return np.array(im.convert('L'))  # grey pictures as they are: published tables do so
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


class Upscaler:
    """Bicubic upscale by `scale` of any rectangle, borders replicated: the C core's anchor (DESIGN: a = -0.5).

    Rectangles may reach outside the picture: its last row or column is repeated there, as the core does
    with a network's input.
    """

    def __init__(self, scale):
        self.scale = scale
        u = (np.arange(scale) + 0.5) / scale - 0.5
        self.left = np.floor(u).astype(int) - 1
        w = _cubic(u[:, None] - self.left[:, None] - np.arange(4))
        self.w = (w / w.sum(1, keepdims=True)).astype(np.float32)

    def _matrix(self, begin, end, n):
        """(first sample used, matrix [end - begin, samples used]) for HR rows begin..end of n LR rows."""
        i = np.clip(np.arange(begin, end), 0, n * self.scale - 1)
        taps = np.clip((i // self.scale + self.left[i % self.scale])[:, None] + np.arange(4), 0, n - 1)
        low = int(taps.min())
        m = np.zeros((end - begin, int(taps.max()) - low + 1), np.float32)
        np.add.at(m, (np.arange(end - begin)[:, None], taps - low), self.w[i % self.scale])
        return low, m

    def rect(self, lr, y0, y1, x0, x1):
        """HR rows y0..y1, columns x0..x1 of the upscaled picture, float32 code values, not rounded."""
        y, a = self._matrix(y0, y1, lr.shape[0])
        x, b = self._matrix(x0, x1, lr.shape[1])
        return a @ lr[y:y + a.shape[1], x:x + b.shape[1]].astype(np.float32) @ b.T

    def whole(self, lr):
        return self.rect(lr, 0, lr.shape[0] * self.scale, 0, lr.shape[1] * self.scale)


class Patches:
    """Random square patches of (network input with halo, HR target) from pictures held in memory as bytes.

    pictures: list of (HR, [LR, ...]): one HR with LR versions of equal size, e.g. coded at several qualities.
    kind 'hr': the input is the bicubic upscale; kind 'lr': the input is LR, the target is HR minus its bicubic.
    The input is extended by replication as far as the halo reaches, as the C core does at run time,
    so patches at picture borders are seen in training as well. All values are code values / 255.
    """

    def __init__(self, pictures, scale, kind, halo, rng):
        self.pictures, self.scale, self.kind, self.halo, self.rng = pictures, scale, kind, halo, rng
        self.up = Upscaler(scale)
        area = [hr.size for hr, _ in pictures]
        self.p = np.cumsum(area) / np.sum(area)

    def _one(self, size):
        r, s, m = self.rng, self.scale, self.halo
        hr, versions = self.pictures[int(np.searchsorted(self.p, r.random()))]
        lr = versions[int(r.integers(0, len(versions)))]
        c = size // s
        i, j = (int(r.integers(0, n - c + 1)) for n in lr.shape)
        y, x = i * s, j * s
        t = hr[y:y + size, x:x + size].astype(np.float32)
        if self.kind == 'hr':
            a = self.up.rect(lr, y - m, y + size + m, x - m, x + size + m)
        else:
            rows, cols = (np.clip(np.arange(k - m, k + c + m), 0, n - 1) for k, n in zip((i, j), lr.shape))
            a = lr[np.ix_(rows, cols)].astype(np.float32)
            t = t - self.up.rect(lr, y, y + size, x, x + size)
        turn = int(r.integers(0, 8))
        if turn & 1:
            a, t = a[:, ::-1], t[:, ::-1]
        if turn & 2:
            a, t = a[::-1], t[::-1]
        if turn & 4:
            a, t = a.T, t.T
        return a, t

    def batch(self, n, size):
        """n patches whose target is size x size HR samples (a multiple of scale): x [n,1,..], t [n,1,size,size]."""
        pairs = [self._one(size) for _ in range(n)]
        return tuple(np.stack(v)[:, None] / np.float32(255) for v in zip(*pairs))
