#!/usr/bin/python3
"""Table of models on decoded x265 clips: test_coded.py NAME ... [--clips FILE ...] [--encoder b|ldp] [--step N].

For each clip and QP the mean luma PSNR over frames (8-bit output, `scale` samples cropped) of bicubic and of each model,
with the weights of WORK/NAME/final.pt, else those of its checkpoint. Tab-separated, for reading and for plots.
"""
import os
os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')
import argparse

import numpy as np
import torch

import coded
import data
from nets import MODELS
from train import HERE, SHARED, enlarge, psnr


def network(work, name):
    path = os.path.join(work, name, 'final.pt')
    key = 'weights'
    if not os.path.exists(path):
        path, key = os.path.join(work, name, 'checkpoint.pt'), 'ema'
    net = MODELS[name]['build']()
    net.load_state_dict(torch.load(path)[key])
    return net.eval()


def main():
    p = argparse.ArgumentParser(description='PSNR of models on decoded x265 clips.')
    p.add_argument('models', nargs='+', choices=sorted(MODELS))
    p.add_argument('--clips', nargs='+', default=[os.path.join(SHARED, 'video', n) for n in coded.TEST_CLIPS])
    p.add_argument('--encoder', choices=sorted(coded.ENCODERS), default='b')
    p.add_argument('--step', type=int, default=1, help='every n-th frame')
    p.add_argument('--work', default=os.path.join(HERE, 'work'))
    args = p.parse_args()
    torch.set_num_threads(1)
    scale = MODELS[args.models[0]]['scale']
    nets = [network(args.work, m) for m in args.models]
    up, total = data.Upscaler(scale), {}
    print('clip\tencoder\tqp\tbicubic\t' + '\t'.join(args.models))
    for path in args.clips:
        c = coded.clip(path, scale, os.path.join(args.work, 'coded'))
        name = os.path.splitext(os.path.basename(path))[0]
        for qp in coded.QPS:
            rows = [[psnr(data.round8(up.whole(lr)), hr, scale)] + [psnr(enlarge(n, lr, scale), hr, scale) for n in nets]
                    for hr, lr in coded.pairs(c, f'{args.encoder}_{qp}', args.step)]
            total[name, qp] = np.mean(rows, 0)
            print(f'{name}\t{args.encoder}\t{qp}\t' + '\t'.join(f'{v:.3f}' for v in total[name, qp]), flush=True)
    print(f'mean\t{args.encoder}\tall\t' + '\t'.join(f'{v:.3f}' for v in np.mean(list(total.values()), 0)))


if __name__ == '__main__':
    main()
