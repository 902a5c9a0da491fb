#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prints the expected values of test_fit.c. Needs opencv-python-headless and numpy; the geometry is
written after the published preprocessing of Ultralytics (letterbox) and YOLOX (top left)."""
import zlib

import cv2
import numpy as np

CASES = [  # picture, fit, tensor
    (5, 3, 'LETTERBOX', 8, 8), (1, 1, 'LETTERBOX', 4, 3), (640, 640, 'LETTERBOX', 640, 640),
    (1280, 720, 'LETTERBOX', 640, 640), (810, 1080, 'LETTERBOX', 640, 640),
    (333, 777, 'LETTERBOX', 416, 320), (100, 75, 'LETTERBOX', 640, 640),
    (2000, 3, 'LETTERBOX', 320, 320), (501, 375, 'TOP_LEFT', 416, 416),
    (64, 1000, 'TOP_LEFT', 640, 640), (1920, 1080, 'STRETCH', 224, 224), (7, 9, 'STRETCH', 64, 31),
    (448, 448, 'STRETCH', 224, 224), (500, 375, 'COVER', 224, 224), (30, 90, 'COVER', 224, 200),
]


def source(w, h):
    y, x, c = np.meshgrid(np.arange(h), np.arange(w), np.arange(3), indexing='ij')
    return ((x * 37 + y * 59 + c * 83 + x * y * 5) & 255).astype(np.uint8)


def resize(image, w, h):
    if image.shape[:2] == (h, w):
        return image
    return cv2.resize(image, (w, h), interpolation=cv2.INTER_LINEAR)


def fit(image, kind, width, height):
    h, w = image.shape[:2]
    if kind == 'STRETCH':
        return resize(image, width, height), 0, 0, width, height
    out = np.full((height, width, 3), 114, np.uint8)
    if kind == 'COVER':
        r = max(width / w, height / h)
        new_w, new_h = round(w * r), round(h * r)
        left, top = (new_w - width + 1) // 2, (new_h - height + 1) // 2
        cut = resize(image, new_w, new_h)[top:top + height, left:left + width]
        return cut, -left, -top, new_w, new_h
    r = min(height / h, width / w)
    if kind == 'TOP_LEFT':
        new_w, new_h, left, top = int(w * r), int(h * r), 0, 0
    else:
        new_w, new_h = max(1, round(w * r)), max(1, round(h * r))
        left, top = round((width - new_w) / 2 - 0.1), round((height - new_h) / 2 - 0.1)
    new_w, new_h = max(1, new_w), max(1, new_h)
    out[top:top + new_h, left:left + new_w] = resize(image, new_w, new_h)
    return out, left, top, new_w, new_h


def main():
    print(f'/* OpenCV {cv2.__version__} */')
    for w, h, kind, width, height in CASES:
        out, left, top, new_w, new_h = fit(source(w, h), kind, width, height)
        crc = zlib.crc32(np.ascontiguousarray(out.transpose(2, 0, 1)).tobytes())
        print(f'    {{{w}, {h}, VLY_FIT_{kind}, {width}, {height}, {left}, {top}, '
              f'{new_w}, {new_h}, 0x{crc:08x}}},')
    print(fit(source(5, 3), 'LETTERBOX', 8, 8)[0][:, :, 0].tolist())


if __name__ == '__main__':
    main()
