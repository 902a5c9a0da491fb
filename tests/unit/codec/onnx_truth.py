#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prints what Python's onnx package reads from files, in the text form of onnx_dump.c.

usage: onnx_truth.py FILE...          the text of each .onnx (model) or .pb (tensor)
       onnx_truth.py --digest DIR     "files fnv" over all of them below DIR, as test_onnx_files.c
                                      counts and hashes them; a .pb that is no tensor is left out

Needs `pip install onnx numpy`; tests do not run it, they hold the digests it printed.
"""
import os
import struct
import sys

import onnx
from onnx import numpy_helper


def fnv(data, h=0xcbf29ce484222325):
    for byte in data:
        h = ((h ^ byte) * 0x100000001b3) & 0xffffffffffffffff
    return h


def text(label, s):
    s = s.encode("utf-8", "surrogateescape") if isinstance(s, str) else s
    return f" {label}={len(s)}:{fnv(s):016x}"


def texts(label, items):
    return f" {label}={len(items)}" + "".join(text("", s) for s in items)


def domain(name):
    return "" if name == "ai.onnx" else name


def element_bytes(t):
    if t.raw_data:
        return t.raw_data
    if t.data_type in (onnx.TensorProto.UINT4, onnx.TensorProto.INT4, onnx.TensorProto.FLOAT4E2M1,
                       onnx.TensorProto.UINT2, onnx.TensorProto.INT2):
        return bytes(v & 0xff for v in t.int32_data)
    return numpy_helper.to_array(t).tobytes()


def tensor(t):
    out = "tensor" + text("name", t.name)
    elems = 1
    for d in t.dims:
        elems *= d
    out += f" type={t.data_type} elems={elems} dims=" + "".join(f"{d}," for d in t.dims)
    if t.data_location == onnx.TensorProto.EXTERNAL:
        keys = {e.key: e.value for e in t.external_data}
        out += text("external", keys["location"])
        out += f" offset={int(keys.get('offset', 0))} bytes={int(keys['length'])}"
    elif t.data_type == onnx.TensorProto.STRING:
        out += texts("strings", list(t.string_data))
    else:
        data = element_bytes(t)
        out += f" bytes={len(data)} fnv={fnv(data):016x}"
    return out + "\n"


def bits(f):
    return " " + struct.pack(">f", f).hex()


def attr(a):
    name = onnx.AttributeProto.AttributeType.Name(a.type)
    lists = {"FLOATS": a.floats, "INTS": a.ints, "STRINGS": a.strings, "TENSORS": a.tensors,
             "GRAPHS": a.graphs}
    items = lists.get(name, [])
    out = "attr" + text("name", a.name) + text("ref", a.ref_attr_name)
    out += f" type={name} n={len(items)}"
    if name == "FLOAT":
        out += bits(a.f)
    if name == "INT":
        out += f" {a.i}"
    if name == "STRING":
        out += text("s", a.s)
    if name == "FLOATS":
        out += "".join(bits(f) for f in items)
    if name == "INTS":
        out += "".join(f" {i}" for i in items)
    if name == "STRINGS":
        out += texts("strings", list(items))
    out += "\n"
    if name == "TENSOR":
        out += tensor(a.t)
    if name == "GRAPH":
        out += graph(a.g)
    if name == "TENSORS":
        out += "".join(tensor(t) for t in items)
    if name == "GRAPHS":
        out += "".join(graph(g) for g in items)
    return out


def nodes(items):
    out = ""
    for n in items:
        out += "node" + text("name", n.name) + text("op", n.op_type)
        out += text("domain", domain(n.domain)) + text("overload", n.overload)
        out += texts("in", n.input) + texts("out", n.output) + "\n"
        out += "".join(attr(a) for a in n.attribute)
    return out


KINDS = {None: 0, "tensor_type": 1, "sparse_tensor_type": 2, "sequence_type": 3, "map_type": 4,
         "optional_type": 5, "opaque_type": 6}


def infos(label, items):
    out = ""
    for v in items:
        kind = v.type.WhichOneof("value")
        tt = v.type.tensor_type
        out += label + text("name", v.name)
        is_tensor = kind == "tensor_type"
        shape = is_tensor and tt.HasField("shape")
        out += f" kind={KINDS[kind]} type={tt.elem_type if is_tensor else 0} shape={int(shape)}"
        for d in tt.shape.dim if shape else []:
            out += f" {d.dim_value if d.HasField('dim_value') else -1}" + text("param", d.dim_param)
        out += "\n"
    return out


def graph(g):
    out = "graph" + text("name", g.name) + f" sparse={len(g.sparse_initializer)}\n"
    out += infos("input", g.input) + infos("output", g.output) + infos("value", g.value_info)
    return out + "".join(tensor(t) for t in g.initializer) + nodes(g.node)


def opsets(items):
    return "".join("opset" + text("domain", domain(o.domain)) + f" version={o.version}\n"
                   for o in items)


def function(f):
    out = "function" + text("name", f.name) + text("domain", domain(f.domain))
    out += text("overload", f.overload) + texts("in", f.input) + texts("out", f.output)
    out += texts("attrs", f.attribute) + "\n" + opsets(f.opset_import)
    return out + "".join(attr(a) for a in f.attribute_proto) + nodes(f.node)


def model(m):
    default = [o.version for o in m.opset_import if domain(o.domain) == ""]
    opset = default[0] if default else (1 if not m.opset_import else 0)
    out = f"model ir={m.ir_version} version={m.model_version} opset={opset}"
    out += text("producer", m.producer_name) + text("producer_version", m.producer_version)
    out += text("domain", m.domain) + "\n" + opsets(m.opset_import)
    for p in m.metadata_props:
        out += "prop" + text("key", p.key) + text("value", p.value) + "\n"
    return out + "".join(function(f) for f in m.functions) + graph(m.graph)


def is_tensor_file(path):
    """The model next to a test_data_set says what kind of value its files hold."""
    folder, name = os.path.split(path)
    kind, number = name[:-3].rsplit("_", 1)
    case = os.path.dirname(folder)
    models = [f for f in os.listdir(case) if f.endswith(".onnx")]
    if not models:
        return True  # data/light: tensors beside the models
    m = onnx.load(os.path.join(case, models[0]), load_external_data=False)
    values = m.graph.input if kind == "input" else m.graph.output
    return values[int(number)].type.WhichOneof("value") == "tensor_type"


def dump(path):
    if path.endswith(".onnx"):
        return model(onnx.load(path, load_external_data=False))
    if not is_tensor_file(path):
        return None
    t = onnx.TensorProto()
    with open(path, "rb") as f:
        t.ParseFromString(f.read())
    return tensor(t)


def digest(root):
    files, h = 0, fnv(b"")
    paths = [os.path.join(d, f) for d, _, names in os.walk(root) for f in names]
    for path in sorted(paths, key=os.fsencode):
        if path.endswith((".onnx", ".pb")):
            out = dump(path)
            if out is not None:
                files, h = files + 1, fnv(out.encode(), h)
    print(files, f"0x{h:016x}")


if __name__ == "__main__":
    if sys.argv[1] == "--digest":
        digest(sys.argv[2])
    else:
        for arg in sys.argv[1:]:
            sys.stdout.write(dump(arg) or f"{arg}: not a tensor\n")
