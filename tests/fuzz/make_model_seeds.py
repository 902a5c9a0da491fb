#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the seeds of fuzz_model, a small model per group of operators (random_*: graphs of
tests/unit/engine/random_graph.c). Needs onnx and numpy.

    make_model_seeds.py tests/fuzz/corpus/model
"""
import os
import sys

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper as nh

F = np.float32
I = np.int64


AUTO = 4  # fuzz_model takes the precision from the file's size


def save(out, name, nodes, inputs, n_out=1, consts=None, opset=17, out_type=T.FLOAT,
         precision=None):
    """nodes: (op, inputs, outputs, attrs); the last node's outputs are the model's."""
    graph = h.make_graph(
        [h.make_node(op, i.split(",") if i else [], o.split(","), **a) for op, i, o, a in nodes],
        name,
        [h.make_tensor_value_info(n, t, s) for n, (t, s) in inputs.items()],
        [h.make_tensor_value_info(n, out_type, None) for n in nodes[-1][2].split(",")[:n_out]],
        [nh.from_array(v, k) for k, v in (consts or {}).items()],
    )
    imports = [h.make_opsetid("", opset), h.make_opsetid("com.microsoft", 1)]
    model = h.make_model(graph, opset_imports=imports, ir_version=8, producer_name="")
    while precision is not None and model.ByteSize() % 5 != precision:
        model.producer_name += "-"
    with open(os.path.join(out, name), "wb") as f:
        f.write(model.SerializeToString())


def main(out):
    os.makedirs(out, exist_ok=True)
    rng = np.random.default_rng(0)
    r = lambda *s: rng.standard_normal(s).astype(F)
    x = {"x": (T.FLOAT, [1, 2, 5, 5])}
    v = {"x": (T.FLOAT, ["n", 6])}
    save(out,
         "conv", [("Conv", "x,w,b", "y", {"pads": [1, 1, 1, 1], "strides": [2, 2]})],
         x,
         consts={"w": r(4, 2, 3, 3), "b": r(4)})
    save(out,
         "conv_depthwise",
         [("Conv", "x,w", "y", {"group": 2, "auto_pad": "SAME_UPPER", "dilations": [2, 2]})],
         x,
         consts={"w": r(2, 1, 3, 3)})
    save(out,
         "conv_transpose",
         [("ConvTranspose", "x,w", "y", {"strides": [2, 2], "output_padding": [1, 1]})],
         x,
         consts={"w": r(2, 3, 2, 2)})
    save(out, "pools", [("MaxPool", "x", "a", {"kernel_shape": [2, 2], "ceil_mode": 1}),
                        ("AveragePool", "a", "b", {"kernel_shape": [2, 2], "strides": [2, 2]}),
                        ("GlobalAveragePool", "b", "y", {})], x)
    save(out,
         "norms", [("BatchNormalization", "x,c,c,c,c", "a", {}),
                   ("InstanceNormalization", "a,c,c", "b", {}),
                   ("LayerNormalization", "b,l,l", "y", {})],
         x,
         consts={"c": np.abs(r(2)), "l": r(5)})
    save(out,
         "gemm", [("Gemm", "x,w,b", "a", {"transB": 1, "alpha": 0.5}), ("MatMul", "a,m", "y", {})],
         v,
         consts={"w": r(3, 6), "b": r(3), "m": r(3, 2)})
    save(out,
         "activations", [("Sigmoid", "x", "a", {}), ("Mul", "a,x", "b", {}),
                         ("HardSwish", "b", "c", {}), ("Clip", "c,lo,hi", "d", {}),
                         ("Softmax", "d", "y", {"axis": -1})],
         v,
         consts={"lo": F(0), "hi": F(6)})
    save(out,
         "resize", [("Resize", "x,,s", "y", {"mode": "nearest", "nearest_mode": "floor"})],
         x,
         consts={"s": np.array([1, 1, 2, 1.5], F)})
    save(out,
         "resize_cubic", [("Resize", "x,,,s", "y",
                           {"mode": "cubic", "coordinate_transformation_mode": "align_corners"})],
         x,
         consts={"s": np.array([1, 2, 3, 7], I)})
    save(out,
         "shapes", [("Shape", "x", "s", {}), ("Gather", "s,i", "g", {}),
                    ("Unsqueeze", "g,z", "u", {}), ("Concat", "u,m", "c", {"axis": 0}),
                    ("Reshape", "x,c", "y", {})],
         v,
         consts={"i": I(0), "z": np.array([0], I), "m": np.array([2, -1], I)})
    save(out,
         "slice", [("Slice", "x,a,b,c,d", "s", {}), ("Split", "s", "p,q", {"axis": 1}),
                   ("Concat", "q,p", "t", {"axis": 1}),
                   ("Transpose", "t", "y", {"perm": [0, 2, 3, 1]})],
         x,
         consts={
             "a": np.array([4, 0], I), "b": np.array([-9, 9], I), "c": np.array([2, 3], I),
             "d": np.array([-1, 2], I)
         })
    save(out,
         "gather", [("GatherElements", "x,i", "a", {"axis": 1}),
                    ("ScatterElements", "a,i,u", "y", {"axis": 1, "reduction": "add"})],
         {"x": (T.FLOAT, [1, 3])},
         consts={"i": np.array([[2, 0, -1]], I), "u": r(1, 3)},
         opset=18)
    save(out,
         "gather_nd", [("GatherND", "x,i", "a", {}), ("ScatterND", "x,i,a", "y", {})],
         {"x": (T.FLOAT, [2, 3])},
         consts={"i": np.array([[1, 2], [0, -1]], I)})
    save(out,
         "pad_tile", [("Pad", "x,p", "a", {"mode": "reflect"}), ("Tile", "a,t", "b", {}),
                      ("Expand", "b,e", "y", {})],
         v,
         consts={
             "p": np.array([0, 1, 0, 2], I), "t": np.array([2, 1], I), "e": np.array([2, 1, 1], I)
         })
    save(out,
         "reduce", [("ReduceMean", "x", "a", {"axes": [1], "keepdims": 1}),
                    ("ReduceMax", "a", "b", {"keepdims": 0}), ("ReduceSum", "x,z", "c", {}),
                    ("Sub", "c,b", "y", {})],
         v,
         consts={"z": np.array([0], I)})
    save(out,
         "topk", [("TopK", "x,k", "a,i", {"largest": 0}), ("ArgMax", "a", "y", {"axis": 1})],
         v,
         consts={"k": np.array([3], I)},
         out_type=T.INT64)
    save(out, "dynamic", [("NonZero", "x", "a", {}), ("Transpose", "a", "b", {}),
                          ("Cast", "b", "y", {"to": 1})], v)
    save(out,
         "nms", [("NonMaxSuppression", "b,s,m,i,t", "y", {})],
         {"b": (T.FLOAT, [1, 4, 4]), "s": (T.FLOAT, [1, 2, 4])},
         consts={"m": np.array([3], I), "i": np.array([0.5], F), "t": np.array([0.0], F)},
         out_type=T.INT64)
    save(out,
         "gru", [("GRU", "x,w,r,b", "y",
                  {"hidden_size": 2, "direction": "bidirectional", "linear_before_reset": 1})],
         {"x": (T.FLOAT, [3, 1, 2])},
         consts={"w": r(2, 6, 2), "r": r(2, 6, 2), "b": r(2, 12)})
    save(out,
         "lstm", [("LSTM", "x,w,r", "y,h,c", {"hidden_size": 2})], {"x": (T.FLOAT, [3, 1, 2])},
         n_out=3,
         consts={"w": r(1, 8, 2), "r": r(1, 8, 2)})
    save(out,
         "quantised", [("QuantizeLinear", "x,s,z", "a", {}), ("DequantizeLinear", "a,s,z", "b", {}),
                       ("DynamicQuantizeLinear", "b", "c,d,e", {}),
                       ("MatMulInteger", "c,w,e", "y", {})],
         v,
         consts={"s": F(0.1), "z": np.uint8(3), "w": np.ones((6, 2), np.uint8)},
         out_type=T.INT32)
    codes = {"h": F(0.5), "f": F(0.25), "m": np.uint8(100), "w": np.ones((4, 4, 3), np.int8)}
    weights = ("DequantizeLinear", "w,h", "wd", {})
    pads = {"pads": [1, 1]}
    save(out,
         "codes_otherwise", [weights, ("QuantizeLinear", "x,h,m", "q", {}),
                             ("DequantizeLinear", "q,f,m", "d", {}),
                             ("Conv", "d,wd", "a", pads), ("QuantizeLinear", "a,h,m", "r", {}),
                             ("DequantizeLinear", "r,f,m", "e", {}), ("Conv", "e,wd", "y", pads)],
         {"x": (T.FLOAT, [1, 4, 8])},
         consts=codes,
         precision=AUTO)
    save(out,
         "codes_joined", [weights, ("QuantizeLinear", "x,h,m", "q", {}),
                          ("DequantizeLinear", "q,h,m", "d", {}), ("Conv", "d,wd", "a", pads),
                          ("QuantizeLinear", "a,f,m", "r", {}),
                          ("DequantizeLinear", "r,f,m", "e", {}), ("Conv", "d,wd", "b", pads),
                          ("QuantizeLinear", "b,f,m", "s", {}),
                          ("DequantizeLinear", "s,f,m", "g", {}),
                          ("Concat", "e,g", "j", {"axis": 2}),
                          ("QuantizeLinear", "j,f,m", "t", {}),
                          ("DequantizeLinear", "t,f,m", "k", {}), ("Conv", "k,wd", "l", {}),
                          ("QuantizeLinear", "e,f,m", "u", {}),
                          ("DequantizeLinear", "u,f,m", "n", {}), ("Conv", "n,wd", "o", pads),
                          ("Concat", "l,o", "y", {"axis": 2})],
         {"x": (T.FLOAT, [1, 4, 8])},
         consts=codes,
         precision=AUTO)
    save(out,
         "qconv", [("QLinearConv", "x,s,z,w,s,z,s,z", "y", {})], {"x": (T.UINT8, [1, 1, 4, 4])},
         consts={"s": F(0.1), "z": np.uint8(3), "w": np.ones((1, 1, 2, 2), np.uint8)},
         out_type=T.UINT8)
    save(out,
         "logic", [("Greater", "x,z", "a", {}), ("Not", "a", "b", {}), ("Where", "b,x,z", "c", {}),
                   ("Pow", "c,z", "d", {}), ("Mod", "d,z", "y", {"fmod": 1})],
         v,
         consts={"z": F(0.5)})
    save(out,
         "create", [("ConstantOfShape", "s", "a", {}), ("Range", "r,t,u", "b", {}),
                    ("OneHot", "b,d,o", "c", {}), ("CumSum", "c,r", "e", {}),
                    ("Trilu", "e", "y", {})],
         v,
         consts={
             "s": np.array([2], I), "r": I(0), "t": I(5), "u": I(1), "d": I(6),
             "o": np.array([0, 1], F)
         })
    save(out,
         "ints", [("Cast", "x", "a", {"to": T.INT32}), ("Div", "a,z", "b", {}),
                  ("Mod", "b,z", "c", {}), ("Cast", "c", "y", {"to": T.FLOAT16})],
         v,
         consts={"z": np.array(0, np.int32)},
         out_type=T.FLOAT16)
    save(out, "space", [("SpaceToDepth", "x", "a", {"blocksize": 2}),
                        ("DepthToSpace", "a", "y", {"blocksize": 2})],
         {"x": (T.FLOAT, [1, 1, 4, 4])})
    save(out,
         "einsum", [("Einsum", "x,w", "y", {"equation": "ij,jk->ik"})],
         v,
         consts={"w": r(6, 2)})
    save(out,
         "grid", [("GridSample", "x,g", "y", {"mode": "linear"})],
         x,
         consts={"g": r(1, 2, 3, 2)},
         opset=20)
    save(out,
         "sequence", [("SequenceEmpty", "", "s", {}), ("SequenceInsert", "s,x", "t", {}),
                      ("SequenceInsert", "t,x,p", "u", {}), ("SequenceConstruct", "x,x", "w", {}),
                      ("SequenceErase", "u,p", "e", {}), ("SequenceAt", "e,p", "a", {}),
                      ("ConcatFromSequence", "w", "c", {"axis": 0, "new_axis": 1}),
                      ("Add", "a,c", "y", {})],
         {"x": (T.FLOAT, [2, 3])},
         consts={"p": I(-1)},
         opset=12)
    save(out,
         "sequence_split", [("SplitToSequence", "x,k", "s", {"axis": 1}),
                            ("SplitToSequence", "x", "t", {"keepdims": 0}),
                            ("SequenceLength", "s", "n", {}), ("SequenceAt", "t,p", "a", {}),
                            ("SequenceInsert", "s,a", "u", {}), ("SequenceAt", "u,p", "b", {}),
                            ("Cast", "n", "f", {"to": 1}), ("Mul", "b,f", "y", {})],
         {"x": (T.FLOAT, [2, 3])},
         consts={"p": I(1), "k": I(2)})
    save(out,
         "strings", [("StringNormalizer", "w", "a",
                      {"case_change_action": "UPPER", "stopwords": ["b"]}),
                     ("StringConcat", "a,w", "c", {}),
                     ("StringSplit", "c", "d,n", {"delimiter": "c", "maxsplit": 2}),
                     ("Cast", "n", "f", {"to": 1}), ("Add", "f,x", "y", {})],
         {"x": (T.FLOAT, [1])},
         consts={"w": np.array(["abc d"], object)},
         opset=20)


if __name__ == "__main__":
    main(sys.argv[1])
