# SPDX-License-Identifier: MIT
"""Small nets as sensors need them, with random weights, as ONNX files of a fixed batch.

    tiny_nets.py DIR   writes every net at every batch
"""
import os
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

BATCHES = (1, 32, 1024)
WINDOW = 128


class Net:
    """A graph under construction; each method appends a node and makes its output the current."""

    def __init__(self, shape):
        self.rng = np.random.default_rng(7)
        self.nodes, self.weights, self.at, self.shape = [], [], "x", shape
        self.input = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)

    def weight(self, *shape):
        fan_in = int(np.prod(shape[1:])) or 1
        return self.constant(self.rng.standard_normal(shape) / np.sqrt(fan_in))

    def constant(self, value, dtype=np.float32):
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def add(self, op, *more, n_out=1, **attrs):
        outs = [f"t{len(self.nodes)}_{i}" for i in range(n_out)]
        self.nodes.append(helper.make_node(op, [self.at, *more], outs, **attrs))
        self.at = outs[0]
        return outs

    def dense(self, n_in, n_out, relu=True):
        self.add("Gemm", self.weight(n_out, n_in), self.weight(n_out), transB=1)
        self.n_out = n_out  # every net ends with a dense layer
        if relu:
            self.add("Relu")

    def conv(self, n_in, n_out, k):
        self.add("Conv", self.weight(n_out, n_in, k), self.weight(n_out), kernel_shape=[k],
                 pads=[k // 2, k // 2])
        self.add("Relu")

    def recurrent(self, op, gates, n_in, hidden):
        """Batch-major in, the last step's hidden state out."""
        self.add("Transpose", perm=[1, 0, 2])
        outs = self.add(op, self.weight(1, gates * hidden, n_in),
                        self.weight(1, gates * hidden, hidden), self.weight(1, 2 * gates * hidden),
                        n_out=2, hidden_size=hidden,
                        **({"linear_before_reset": 1} if op == "GRU" else {}))
        self.at = outs[1]
        self.add("Squeeze", self.constant([0], np.int64))

    def model(self):
        y = helper.make_tensor_value_info(self.at, TensorProto.FLOAT, [self.shape[0], self.n_out])
        graph = helper.make_graph(self.nodes, "tiny", [self.input], [y], self.weights)
        m = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(m)
        return onnx.shape_inference.infer_shapes(m)


def step_cnn(batch):
    """6-32-64-128-64-32-3: convolutions of kernel 1 on length 1, then dense layers."""
    net = Net([batch, 6, 1])
    for n_in, n_out in ((6, 32), (32, 64), (64, 128)):
        net.conv(n_in, n_out, 1)
    net.add("GlobalAveragePool")
    net.add("Flatten")
    net.dense(128, 64)
    net.dense(64, 32)
    net.dense(32, 3, relu=False)
    return net


def mlp(batch):
    net = Net([batch, 64])
    net.dense(64, 128)
    net.dense(128, 64)
    net.dense(64, 8, relu=False)
    return net


def conv1d(batch):
    """8 channels, a window of 128 samples, three convolutions of kernel 5."""
    net = Net([batch, 8, WINDOW])
    net.conv(8, 16, 5)
    net.add("MaxPool", kernel_shape=[2], strides=[2])
    net.conv(16, 32, 5)
    net.add("MaxPool", kernel_shape=[2], strides=[2])
    net.conv(32, 32, 5)
    net.add("GlobalAveragePool")
    net.add("Flatten")
    net.dense(32, 8, relu=False)
    return net


def gru(batch):
    net = Net([batch, 32, 6])
    net.recurrent("GRU", 3, 6, 48)
    net.dense(48, 8, relu=False)
    return net


def lstm(batch):
    net = Net([batch, 32, 6])
    net.recurrent("LSTM", 4, 6, 48)
    net.dense(48, 8, relu=False)
    return net


NETS = {"step_cnn": step_cnn, "mlp": mlp, "conv1d": conv1d, "gru": gru, "lstm": lstm}


def make(name, batch, directory):
    path = os.path.join(directory, f"tiny_{name}_b{batch}.onnx")
    onnx.save(NETS[name](batch).model(), path)
    return path


if __name__ == "__main__":
    for net_name in NETS:
        for n in BATCHES:
            print(make(net_name, n, sys.argv[1]))
