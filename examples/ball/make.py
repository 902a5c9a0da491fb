#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes ball.onnx and ball.png beside this script: a detector and a picture that need no download.

The detector is arithmetic, not learning: it finds the red ball, as the smallest box around all
pixels that are clearly red. Its output has the form of a YOLOv8 export, [1, 4 + classes, rows] with
x, y, w, h and a score per row, so the whole path of a real model runs. All rows are the same box;
suppression leaves one of them. No package is needed: ONNX is protobuf, and protobuf is a few lines.
"""
import pathlib
import struct
import zlib

SIZE, ROWS = 320, 8
FLOAT, INT64 = 1, 7


def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def field(number, value):
    """A protobuf field: int -> varint, float -> 32 bit, text, bytes, message -> length first."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def attribute(name, value):
    kind = {int: (3, 2), float: (2, 1), list: (8, 7)}[type(value)]  # field of the value, type code
    values = value if isinstance(value, list) else [value]
    return field(1, name) + b"".join(field(kind[0], v) for v in values) + field(20, kind[1])


def node(op, inputs, outputs, **attributes):
    body = b"".join(field(1, name) for name in inputs.split())
    body += b"".join(field(2, name) for name in outputs.split())
    body += field(3, outputs.split()[0]) + field(4, op)
    return body + b"".join(field(5, attribute(k, v)) for k, v in attributes.items())


def tensor(name, dtype, dims, values):
    body = b"".join(field(1, d) for d in dims) + field(2, dtype) + field(8, name)
    return body + field(9, struct.pack(f"<{len(values)}{'q' if dtype == INT64 else 'f'}", *values))


def value_info(name, dims):
    shape = b"".join(field(1, field(1, d)) for d in dims)
    return field(1, name) + field(2, field(1, field(1, FLOAT) + field(2, shape)))


def model():
    nodes = [
        node("Split", "images", "r g b", axis=1),
        node("Max", "g b", "gb"),
        node("Sub", "r gb", "redness"),
        node("Greater", "redness limit", "is_red"),
        node("Cast", "is_red", "red", to=FLOAT),
        node("ReduceMax", "red", "columns", axes=[1, 2], keepdims=0),  # [1, width]
        node("ReduceMax", "red", "rows", axes=[1, 3], keepdims=0),     # [1, height]
    ]
    for axis, line in (("x", "columns"), ("y", "rows")):
        nodes += [
            node("Greater", f"{line} half", f"{line}_hit"),
            node("Where", f"{line}_hit ramp size", f"{axis}_from"),
            node("ReduceMin", f"{axis}_from", f"{axis}1", axes=[1]),
            node("Mul", f"{line} ramp_end", f"{axis}_to"),
            node("ReduceMax", f"{axis}_to", f"{axis}2", axes=[1]),
            node("Add", f"{axis}1 {axis}2", f"{axis}_sum"),
            node("Mul", f"{axis}_sum half", f"{axis}_centre"),
            node("Sub", f"{axis}2 {axis}1", f"{axis}_span"),
            node("Max", f"{axis}_span one", f"{axis}_extent"),
        ]
    nodes += [  # confidence: how much of the ellipse in the box is red
        node("ReduceSum", "red pixel_axes", "area", keepdims=0),  # [1]
        node("Unsqueeze", "area last_axis", "area_2d"),
        node("Mul", "x_extent y_extent", "box_area"),
        node("Mul", "box_area ellipse", "full_area"),
        node("Div", "area_2d full_area", "fill"),
        node("Min", "fill one", "score"),
        node("Concat", "x_centre y_centre x_extent y_extent score", "row", axis=1),
        node("Unsqueeze", "row last_axis", "column"),
        node("Expand", "column output_dims", "output0"),
    ]
    constants = [
        tensor("limit", FLOAT, [], [0.35]), tensor("half", FLOAT, [], [0.5]),
        tensor("one", FLOAT, [], [1.0]), tensor("size", FLOAT, [], [float(SIZE)]),
        tensor("ellipse", FLOAT, [], [3.14159265 / 4]),
        tensor("ramp", FLOAT, [1, SIZE], [float(i) for i in range(SIZE)]),
        tensor("ramp_end", FLOAT, [1, SIZE], [float(i + 1) for i in range(SIZE)]),
        tensor("pixel_axes", INT64, [3], [1, 2, 3]), tensor("last_axis", INT64, [1], [-1]),
        tensor("output_dims", INT64, [3], [1, 5, ROWS]),
    ]
    graph = b"".join(field(1, n) for n in nodes) + field(2, "ball")
    graph += b"".join(field(5, c) for c in constants)
    graph += field(11, value_info("images", [1, 3, SIZE, SIZE]))
    graph += field(12, value_info("output0", [1, 5, ROWS]))
    metadata = {"task": "detect", "names": "{0: 'ball'}", "stride": "32",
                "imgsz": f"[{SIZE}, {SIZE}]", "license": "MIT"}
    out = field(1, 8) + field(2, "volley examples/ball") + field(7, graph) + field(8, field(2, 13))
    return out + b"".join(field(14, field(1, k) + field(2, v)) for k, v in metadata.items())


def picture(width=640, height=480, cx=402, cy=201, radius=57):
    """A red ball over a green pitch with white lines, as PNG."""
    rows = b""
    for y in range(height):
        rows += b"\0"
        for x in range(width):
            d2 = (x - cx) ** 2 + (y - cy) ** 2
            if d2 <= radius ** 2:
                light = 255 - 90 * d2 // radius ** 2
                rows += bytes([light, 30, 34])
            elif abs(x - 320) < 3 or abs((x - 320) ** 2 + (y - 240) ** 2 - 150 ** 2) < 900:
                rows += bytes([235, 240, 235])
            else:
                rows += bytes([52, 138 if x // 64 % 2 else 126, 58])

    def chunk(kind, data):
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + checksum

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows, 9))
            + chunk(b"IEND", b""))


if __name__ == "__main__":
    here = pathlib.Path(__file__).resolve().parent
    (here / "ball.onnx").write_bytes(model())
    (here / "ball.png").write_bytes(picture())
