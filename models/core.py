"""PSNR of still pictures through the C core: build/bin/ffmpeg with the filter, so what users get.

Set5 and Set14: luma (data.py), MATLAB-style bicubic down, LR rounded to 8 bit; coded: one intra picture, x265 medium at that QP;
output rounded to 8 bit; `scale` samples cropped; mean over the pictures.
"""
import os
import subprocess

import numpy as np

import coded
import data
from train import HERE, SHARED, psnr

FFMPEG = os.environ.get('FASTSR_FFMPEG') or os.path.join(HERE, '..', 'build', 'bin', 'ffmpeg')


def run(raw, *args):
    return subprocess.run([FFMPEG, '-v', 'error', *args], input=raw, check=True, capture_output=True).stdout


def code(lr, qp):
    """The picture as x265 gives it back."""
    h, w = lr.shape
    stream = run(lr.tobytes(), '-f', 'rawvideo', '-pix_fmt', 'gray', '-s', f'{w}x{h}', '-i', '-', '-c:v', 'libx265', '-preset', 'medium',
                 '-x265-params', f'qp={qp}:log-level=error:pools=1:frame-threads=1', '-f', 'hevc', '-')
    return np.frombuffer(run(stream, '-f', 'hevc', '-i', '-', '-f', 'rawvideo', '-pix_fmt', 'gray', '-'), np.uint8).reshape(h, w)


def enlarge(lr, scale, options):
    h, w = lr.shape
    out = run(lr.tobytes(), '-f', 'rawvideo', '-pix_fmt', 'gray', '-s', f'{w}x{h}', '-i', '-',
              '-vf', f'fastsr=scale={scale}:{options}', '-f', 'rawvideo', '-pix_fmt', 'gray', '-')
    return np.frombuffer(out, np.uint8).reshape(h * scale, w * scale)


def measure(models, scale, folder, qp=None):
    """Mean PSNR of each model ('none': bicubic; names or files)."""
    rows = []
    for f in data.find([os.path.join(SHARED, 'images', folder)]):
        hr, lr = data.pair(data.luma(f), scale)
        lr = lr if qp is None else code(lr, qp)
        rows.append([psnr(enlarge(lr, scale, f'model={m}' + ':fill=bicubic' * (m == 'none')), hr, scale) for m in models])
    if not rows:
        raise SystemExit(f'no pictures in {os.path.join(SHARED, "images", folder)}')
    return np.mean(rows, 0)
