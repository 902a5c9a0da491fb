# SPDX-License-Identifier: MIT
"""What each layer takes in OpenVINO, to see where it is faster.

    openvino_layers.py MODEL [fp32|bf16] [THREADS]
"""
import statistics
import sys

import onnx
import openvino
import pictures

N_RUNS = 20
HINTS = {"fp32": "f32", "bf16": "bf16"}


def main():
    model, precision, threads = (sys.argv[1:] + ["bf16", "1"][len(sys.argv) - 2:])[:3]
    _, shape = pictures.input_of(onnx.load(model))
    x = pictures.tensor(shape)
    compiled = openvino.Core().compile_model(model, "CPU", {
        "PERF_COUNT": True, "NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": int(threads),
        "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": HINTS[precision]})
    request = compiled.create_infer_request()
    shapes = {n.get_friendly_name(): [list(o.get_partial_shape().to_shape()) for o in n.outputs()
                                      if o.get_partial_shape().is_static]
              for n in compiled.get_runtime_model().get_ordered_ops()}
    layers = {}
    for i in range(N_RUNS + 3):
        request.infer({0: x})
        for k in request.profiling_info if i >= 3 else []:
            layer = layers.setdefault(k.node_name, (k.node_type, k.exec_type, []))
            layer[2].append(k.real_time.total_seconds() * 1e3)
    total = 0
    for name, (kind, kernel, times) in layers.items():
        ms = statistics.median(times)
        total += ms
        if ms > 0:
            print(f"{ms:9.3f} ms  {kind:<16} {kernel:<28} {shapes.get(name, '')}  {name}")
    print(f"{total:9.3f} ms  sum")


if __name__ == "__main__":
    main()
