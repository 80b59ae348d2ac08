"""Coded clips with their motion, for training the recurrent network.

A clip is made smaller (MATLAB-style bicubic), encoded with x265, and taken apart by motion_dump, which runs the
filter's own engine: decoded pictures, prediction, weights and prediction blocks (see motion_dump.c).
Programs: build/bin/ffmpeg and build/bin/motion_dump of this checkout. Results are kept in a cache folder.
"""
import os
import subprocess

import numpy as np

import coded
import data

BIN = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'build', 'bin')
UNIT = np.dtype([('x', '<i4'), ('y', '<i4'), ('w', '<i4'), ('h', '<i4'), ('ref', '<i4', 2), ('mv', '<i4', (2, 2)),
                 ('weight', '<f4', 2), ('offset', '<f4')])
BLOCK = np.dtype([('x', '<i2'), ('y', '<i2'), ('w', '<i2'), ('h', '<i2'), ('mode', '<i2'), ('qp', '<i2'),
                  ('mv', '<i2', (2, 2)), ('number', '<u4', 2), ('weight', '<f4', 2), ('offset', '<f4')])
SKIP = 3


# Kernels of 2x upscaling as the engine has them: six taps of an even sample, from three samples before; odd ones are mirrored.
BASE = np.array([86, -285, 773, 4345, -1199, 376], np.float32) / 4096            # fsr_upscaler_init_sharp
CUBIC = np.array([0, -0.0234375, 0.2265625, 0.8671875, -0.0703125, 0], np.float32)   # a = -0.5


def _along(a, kernel, first, nb):
    """HR rows first..first + nb of the rows a, which begin three rows before LR row first / 2. first and nb are even."""
    n = nb // 2
    out = np.empty((nb,) + a.shape[1:], np.float32)
    out[0::2] = sum(kernel[k] * a[k:k + n] for k in range(6) if kernel[k])
    out[1::2] = sum(kernel[5 - k] * a[k + 1:k + 1 + n] for k in range(6) if kernel[5 - k])
    return out


def base(plane, y0, y1, x0, x1, kernel=BASE):
    """HR rows y0..y1, columns x0..x1 (even numbers) of the enlarged LR plane, its border repeated (float32)."""
    rows = np.clip(np.arange(y0 // 2 - 3, y1 // 2 + 3), 0, plane.shape[0] - 1)
    cols = np.clip(np.arange(x0 // 2 - 3, x1 // 2 + 3), 0, plane.shape[1] - 1)
    a = plane[rows][:, cols].astype(np.float32)
    return _along(_along(a, kernel, y0, y1 - y0).T, kernel, x0, x1 - x0).T


def split(blocks, w, h):
    """Prediction blocks with references cut along the 8-sample grid: UNITs; and the QP and skip of every cell."""
    b = blocks[(blocks['number'] != 0).any(1)]
    out = []
    x, y, bw, bh = (b[k].astype(np.int32) * 4 for k in 'xywh')
    for gy in range(0, 64 + 8, 8):
        for gx in range(0, 64 + 8, 8):
            ux, uy = np.maximum(x, x // 8 * 8 + gx), np.maximum(y, y // 8 * 8 + gy)
            vx = np.minimum(np.minimum(x + bw, x // 8 * 8 + gx + 8), w)
            vy = np.minimum(np.minimum(y + bh, y // 8 * 8 + gy + 8), h)
            keep = (vx > ux) & (vy > uy)
            if not keep.any():
                continue
            u = np.zeros(int(keep.sum()), UNIT)
            u['x'], u['y'], u['w'], u['h'] = ux[keep], uy[keep], (vx - ux)[keep], (vy - uy)[keep]
            u['ref'], u['mv'] = b['number'][keep], b['mv'][keep]
            u['weight'], u['offset'] = b['weight'][keep], b['offset'][keep] / 255
            out.append(u)
    return np.concatenate(out) if out else np.zeros(0, UNIT)


class Picture:
    """One picture of a version: lr, pred (uint8 and int16 planes), weight, qp, skip (cells), units, display, number."""

    def __init__(self, raw, at):
        h = np.frombuffer(raw, '<i4', 10, at)
        assert h[0] == 0x44545346
        self.display, self.number, self.type = int(h[2]), int(h[3]), chr(h[4])
        w, hh, cw, ch, nb = (int(v) for v in h[5:])
        at += 40
        self.lr = np.frombuffer(raw, np.uint8, w * hh, at).reshape(hh, w)
        self.pred = np.frombuffer(raw, '<i2', w * hh, at + w * hh).reshape(hh, w)
        self.weight = np.frombuffer(raw, '<i2', cw * ch, at + 3 * w * hh).reshape(ch, cw)
        blocks = np.frombuffer(raw, BLOCK, nb, at + 3 * w * hh + 2 * cw * ch)
        self.units = split(blocks, w, hh)
        self.qp, self.skip = np.zeros((ch, cw), np.int8), np.zeros((ch, cw), np.uint8)
        for x, y, bw, bh, mode, qp in blocks[['x', 'y', 'w', 'h', 'mode', 'qp']].tolist():
            self.qp[y:y + bh, x:x + bw] = qp
            self.skip[y:y + bh, x:x + bw] = mode == SKIP
        self.end = at + int(h[1])
        self.large = {}

    def enlarged(self, plane, kernel, y0, y1, x0, x1):
        """base() of lr (0 to 1) or pred, rows y0..y1, columns x0..x1; all of it is kept, to 1/8192, since crops come back."""
        key = plane, kernel[0]
        if key not in self.large:
            a = self.lr / np.float32(255) if plane == 'lr' else self.pred / np.float32(64 * 255)
            h, w = a.shape
            self.large[key] = np.rint(base(a, 0, 2 * h, 0, 2 * w, kernel) * 8192).astype(np.int16)
        return self.large[key][y0:y1, x0:x1] * np.float32(1 / 8192)


class Version:
    """A clip coded one way: pictures in processing order, hr (uint8) in display order."""

    def __init__(self, name, hr, path, qp):
        self.name, self.hr = name, hr
        raw, at, self.pictures = open(path, 'rb').read(), 0, []
        while at < len(raw):
            p = Picture(raw, at)
            at = p.end
            if not p.qp.any():
                p.qp[:] = qp
            self.pictures.append(p)
        self.h, self.w = self.pictures[0].lr.shape
        self.error = None
        assert len(self.pictures) == len(hr) and hr.shape[1:] == (2 * self.h, 2 * self.w)


def error(version):
    """Mean squared error of plain upscaling."""
    if version.error is None:
        each = [np.mean((base(p.lr.astype(np.float32), 0, 2 * version.h, 0, 2 * version.w) - version.hr[p.display])**2) / 255**2
                for p in version.pictures[::12]]
        version.error = float(np.mean(each))
    return version.error


def versions(path, cache, encoders=('b', 'ldp'), qps=coded.QPS, extra=()):
    """The Versions of a clip, made when they are not in the cache."""
    name = os.path.splitext(os.path.basename(path))[0]
    os.makedirs(cache, exist_ok=True)
    hr_file = os.path.join(cache, name + '.npy')
    coded.FFMPEG = os.path.join(BIN, 'ffmpeg')
    raw = None
    if not os.path.exists(hr_file):
        w, h = coded.size(path)
        y, chroma = coded.frames(path, w, h)
        h, w = h - h % 4, w - w % 4
        y, chroma = y[:, :h, :w], [c[:, :h // 2, :w // 2] for c in chroma]
        small = [[data.round8(data.imresize(p, 0.5)) for p in plane] for plane in (y, *chroma)]
        with open(os.path.join(cache, name + '.yuv'), 'wb') as f:
            for picture in zip(*small):
                for p in picture:
                    f.write(p.tobytes())
        np.save(hr_file, y)
    hr = np.load(hr_file, mmap_mode='r')
    out = []
    for enc in encoders:
        for qp in qps:
            dump = os.path.join(cache, f'{name}_{enc}_{qp}.mot')
            if not os.path.exists(dump):
                raw = raw or open(os.path.join(cache, name + '.yuv'), 'rb').read()
                stream = dump[:-4] + '.hevc'
                coded.encode(raw, hr.shape[2] // 2, hr.shape[1] // 2, qp, enc, stream)
                subprocess.run([os.path.join(BIN, 'motion_dump'), stream, dump + '.part'], check=True)
                os.replace(dump + '.part', dump)
            out.append(Version(f'{name}_{enc}_{qp}', hr, dump, qp))
    return out
