# SPDX-License-Identifier: MIT
"""Inputs of picture models: a letterboxed picture as float32 NCHW, 0..1."""
import numpy as np
from PIL import Image, ImageDraw


def input_of(model):
    """(name, shape) of the one input; unknown dimensions are 1."""
    constants = {x.name for x in model.graph.initializer}
    x = next(i for i in model.graph.input if i.name not in constants)
    return x.name, [d.dim_value or 1 for d in x.type.tensor_type.shape.dim]


def generated(width=1920, height=1080):
    """A picture for those who have none: ramps, discs and noise."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[0:height, 0:width]
    base = np.stack([x * 255 // width, y * 255 // height, (x + y) * 255 // (width + height)], -1)
    image = Image.fromarray((base + rng.integers(-12, 13, base.shape)).clip(0, 255).astype("uint8"))
    draw = ImageDraw.Draw(image)
    for _ in range(60):
        cx, cy, r = rng.integers(0, width), rng.integers(0, height), rng.integers(10, 160)
        draw.ellipse([cx - r, cy - r, cx + r, cy + r], fill=tuple(int(v) for v in
                                                                  rng.integers(0, 256, 3)))
    return image


def tensor(shape, file=None):
    """[n, 3, h, w] of the picture, the same in every place of the batch; other shapes: random."""
    if len(shape) != 4 or shape[1] != 3:
        return np.random.default_rng(1).random(shape, dtype=np.float32)
    image = (Image.open(file) if file else generated()).convert("RGB")
    n, _, h, w = shape
    scale = min(w / image.width, h / image.height)
    size = round(image.width * scale), round(image.height * scale)
    canvas = Image.new("RGB", (w, h), (114, 114, 114))
    canvas.paste(image.resize(size, Image.BILINEAR), ((w - size[0]) // 2, (h - size[1]) // 2))
    planes = np.asarray(canvas, np.float32).transpose(2, 0, 1) / 255
    return np.ascontiguousarray(np.broadcast_to(planes, (n, 3, h, w)))
