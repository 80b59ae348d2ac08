"""Pairs made by the real codec: clips made smaller, encoded with x265 and decoded again.

LR is MATLAB-style bicubic of the original (cropped to a multiple of 2 x scale so that LR has even sides),
encoded by the ffmpeg tool ($FFMPEG, else the one in PATH). Results are kept as .npz files in a cache folder.
"""
import os
import subprocess

import numpy as np

import data

QPS = (22, 27, 32, 37)
ENCODERS = {
    'b': 'bframes=4:keyint=250',             # x265's medium preset: B frames, references as it likes
    'ldp': 'bframes=0:ref=4:keyint=250',     # low delay P with 4 references
}
FFMPEG = os.environ.get('FFMPEG', 'ffmpeg')

# Fixed folds of the six development clips: a network for judging is trained on the first, tested on the second.
TRAIN_CLIPS = ('walk.mkv', 'aspen.mkv', 'face.mkv')
TEST_CLIPS = ('city.mkv', 'basketballpass.mkv', 'bunny.mkv')
HELD_CLIPS = ('dogbed.mkv', 'parkour.mkv')   # of train_video: validation


def frames(path, w, h):
    """Decoded frames as (luma [N,h,w], [chroma planes [N,h/2,w/2]])."""
    raw = subprocess.run([FFMPEG, '-v', 'error', '-i', path, '-f', 'rawvideo', '-pix_fmt', 'yuv420p', '-'],
                         check=True, capture_output=True).stdout
    cw, ch = (w + 1) // 2, (h + 1) // 2
    a = np.frombuffer(raw, np.uint8).reshape(-1, w * h + 2 * cw * ch)
    y = a[:, :w * h].reshape(-1, h, w)
    return y, [a[:, w * h + k * cw * ch:w * h + (k + 1) * cw * ch].reshape(-1, ch, cw) for k in (0, 1)]


def size(path):
    out = subprocess.run([FFMPEG.replace('ffmpeg', 'ffprobe'), '-v', 'error', '-select_streams', 'v:0', '-show_entries',
                          'stream=width,height', '-of', 'csv=p=0:s=x', path], check=True, capture_output=True, text=True)
    return tuple(int(v) for v in out.stdout.strip().split('x')[:2])


def encode(raw, w, h, qp, encoder, path):
    subprocess.run([FFMPEG, '-v', 'error', '-y', '-f', 'rawvideo', '-pix_fmt', 'yuv420p', '-s', f'{w}x{h}', '-r', '25',
                    '-i', '-', '-c:v', 'libx265', '-preset', 'medium', '-x265-params',
                    f'qp={qp}:{ENCODERS[encoder]}:log-level=error:pools=1:frame-threads=1', path], input=raw, check=True)


def clip(path, scale, cache):
    """dict: 'hr' luma [N,H,W], 'lr' luma before coding, and 'b_22', 'ldp_37', ... decoded luma [N,h,w]; all uint8."""
    name = os.path.splitext(os.path.basename(path))[0]
    kept = os.path.join(cache, f'{name}-x{scale}.npz')
    if os.path.exists(kept):
        return dict(np.load(kept))
    os.makedirs(cache, exist_ok=True)
    w, h = size(path)
    y, chroma = frames(path, w, h)
    cut = 2 * scale
    h, w = h - h % cut, w - w % cut
    y, chroma = y[:, :h, :w], [c[:, :h // 2, :w // 2] for c in chroma]
    small = [[data.round8(data.imresize(p, 1 / scale)) for p in plane] for plane in (y, *chroma)]
    out = {'hr': y, 'lr': np.stack(small[0])}
    raw = b''.join(p.tobytes() for picture in zip(*small) for p in picture)
    w, h = w // scale, h // scale
    stream = os.path.join(cache, f'{name}.hevc')
    for encoder in ENCODERS:
        for qp in QPS:
            encode(raw, w, h, qp, encoder, stream)
            got = frames(stream, w, h)[0]
            if got.shape != out['lr'].shape:
                raise RuntimeError(f'{name}: {encoder} QP {qp} gave {got.shape}, not {out["lr"].shape}')
            out[f'{encoder}_{qp}'] = got
    os.remove(stream)
    np.savez(kept + '.part.npz', **out)
    os.replace(kept + '.part.npz', kept)
    return out


def versions(c):
    """Names of the coded versions of a clip."""
    return [k for k in c if k not in ('hr', 'lr')]


def pictures(c):
    """For data.Patches: every frame with all its coded versions."""
    return [(c['hr'][t], [c[v][t] for v in versions(c)]) for t in range(len(c['hr']))]


def pairs(c, version, step=1):
    return [(c['hr'][t], c[version][t]) for t in range(0, len(c['hr']), step)]
