# SPDX-License-Identifier: MIT
"""Models written by tests, of which every answer tells which file it is from: version k of one adds
k to each of its 16 numbers.
"""
import json
import os
import struct

WIDTH = 16


def field(number, payload):
    """One field of a protobuf message: bytes, a string, a message, or an integer."""
    if isinstance(payload, int):
        return varint(number << 3) + varint(payload)
    data = payload.encode() if isinstance(payload, str) else payload
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint(n):
    out = b""
    while n > 0x7f:
        out += bytes([n & 0x7f | 0x80])
        n >>= 7
    return out + bytes([n])


def adder(k, padding=0):
    """An ONNX file: y[N, 16] = x[N, 16] + k, which is a number, or the name of the file it lies in.
    padding: bytes of a tensor that nothing uses."""
    def value(name):
        dims = field(1, field(2, "N")) + field(1, field(1, WIDTH))
        return field(1, name) + field(2, field(1, field(1, 1) + field(2, dims)))
    constant = field(1, 1) + field(2, 1) + field(8, "k")
    if isinstance(k, str):
        constant += field(13, field(1, "location") + field(2, k)) + field(14, 1)
    else:
        constant += field(9, struct.pack("<f", k))
    node = field(1, "x") + field(1, "k") + field(2, "y") + field(4, "Add")
    graph = field(1, node) + field(2, "adder") + field(5, constant)
    if padding:
        graph += field(5, field(1, padding // 4) + field(2, 1) + field(8, "unused")
                       + field(9, bytes(padding // 4 * 4)))
    graph += field(11, value("x")) + field(12, value("y"))
    return field(1, 8) + field(7, graph) + field(8, field(2, 17))


def put(path, data):
    """Replaces a file as one should: written beside, then renamed."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".part", "wb") as f:
        f.write(data if isinstance(data, bytes) else data.encode())
    os.rename(path + ".part", path)


def make(t, name, versions, config=None):
    for k in versions:
        put(t.path(f"repo/{name}/{k}/model.onnx"), adder(k))
    if config is not None:
        put(t.path(f"repo/{name}/config.pbtxt"), config)
    return t.path("repo")


def infer(s, model, version=None, connection=None):
    """Which k answers; every number of the answer must say the same."""
    path = f"/v2/models/{model}" + (f"/versions/{version}" if version else "") + "/infer"
    body = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, WIDTH],
                                   "data": [0.0] * WIDTH}]})
    a = s.ask("POST", path, body, connection=connection)
    if a.status != 200:
        return a.status
    numbers = set(a.json()["outputs"][0]["data"])
    assert len(numbers) == 1, numbers
    return numbers.pop()


def load(s, name, **parameters):
    body = json.dumps({"parameters": parameters}) if parameters else None
    return s.ask("POST", f"/v2/repository/models/{name}/load", body)


def explicit(t, *args, models=None):
    return t.serve("--model-control", "explicit", *args, models=models)
