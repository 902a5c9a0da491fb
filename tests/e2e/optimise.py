# SPDX-License-Identifier: MIT
"""`volley model quantize` and `model prune` from the outside: files in, files out, what they print,
what they refuse. That ONNX Runtime reads the files and answers alike is tested where a Python has
onnxruntime and numpy: the one that runs this, or $VOLLEY_ORT_PYTHON.
"""
import json
import math
import os
import struct
import subprocess
import sys

from harness import Skip, equal, run


def volley(t, *args, want=0):
    p = subprocess.run([t.volley, "model", *args], capture_output=True, text=True)
    equal(p.returncode, want, f"exit status of {' '.join(args)}: {p.stdout}{p.stderr}")
    return p


def windows(t):
    """A directory with a CSV file (10 windows, a header) and a .npy of 2 windows."""
    path = t.path("windows")
    os.mkdir(path)
    with open(os.path.join(path, "a.csv"), "w") as f:
        f.write("ax,ay,az\n")
        for i in range(320 + 5):  # the last window is not full and does not count
            f.write(f"{math.sin(i / 5):.4f},{math.cos(i / 7):.4f},{1 + i % 32 / 100:.2f}\n")
    values = [math.sin(i / 3) for i in range(2 * 3 * 32)]
    head = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3, 32), }"
    head = head.ljust(64 * 2 - 10 - 1) + "\n"
    with open(os.path.join(path, "b.npy"), "wb") as f:
        f.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode()
                + struct.pack(f"<{len(values)}f", *values))
    return path


def quantise(t, *args, name="q.onnx"):
    out = t.path(name)
    p = volley(t, "quantize", os.path.join(t.models, "walk.onnx"), "--out", out, "--json", *args)
    return out, json.loads(p.stdout)


def quantizes_windows(t):
    data = windows(t)
    out, said = quantise(t, "--calibrate", data)
    equal(said["samples"], 12, "windows")
    equal(said["accuracy"], "classes", "accuracy")
    equal(said["after"]["file_bytes"], os.path.getsize(out), "size")
    assert said["after"]["file_bytes"] < said["before"]["file_bytes"] / 2, said
    assert said["after"]["snr_db"] > 30, said
    equal(said["before"]["score"], 1.0, "score of the model itself")
    equal([x["name"] for x in said["layers"]], ["c1", "c2", "y"], "layers")
    assert all(x["sqnr_db"] > 25 for x in said["layers"]), said
    for method in ("min-max", "percentile", "entropy"):
        _, said = quantise(t, "--calibrate", data, "--method", method, "--force")
        assert said["after"]["snr_db"] > 15, said
    p = volley(t, "quantize", os.path.join(t.models, "walk.onnx"), "-o", out, "-f",
               "--calibrate", data, "--layers")
    for word in ("before", "after", "same class", "int8", "net", "file"):
        assert word in p.stdout, p.stdout


def keeps_a_budget(t):
    data = windows(t)
    _, said = quantise(t, "--calibrate", data, "--keep-float", "c2", "--budget", "1")
    equal([x["is_float"] for x in said["layers"]], [False, True, False], "float layers")
    equal(said["is_within_budget"], True, "budget")


def stores_halves(t):
    for kind, least_db in (("--fp16", 50), ("--bf16", 35)):
        _, said = quantise(t, kind, "--calibrate", windows(t) if kind == "--fp16" else
                           t.path("windows"), name=kind + ".onnx")
        assert 0.4 < said["after"]["file_bytes"] / said["before"]["file_bytes"] < 0.65, said
        assert said["after"]["snr_db"] > least_db, said
        assert "layers" not in said, said
    _, said = quantise(t, "--fp16", name="unmeasured.onnx")  # no samples: no accuracy, said so
    assert "ms" not in said["after"] and "score" not in said["after"], said


def prunes(t):
    data = windows(t)
    model = os.path.join(t.models, "walk.onnx")
    out = t.path("p.onnx")
    p = volley(t, "prune", model, "--sparsity", "0.25", "-o", out, "--json", "--eval", data)
    said = json.loads(p.stdout)
    equal(said["weights"], 32 * 3 * 5 + 32 * 32 * 3 + 4 * 32, "weights")
    assert 0.25 <= said["zeros"] / said["weights"] < 0.27, said
    equal(said["after"]["flops"], said["before"]["flops"], "work")
    p = volley(t, "prune", model, "--sparsity", "0.25", "-o", out, "--json", "-f", "--structured",
               "--calibrate", data)
    said = json.loads(p.stdout)
    equal((said["channels"], said["channels_gone"]), (64, 16), "channels")
    # c1 28 x 24 x 15, c2 26 x 24 x 72, y 4 x 24, two operations each
    equal(said["after"]["flops"], 2 * (28 * 24 * 15 + 26 * 24 * 72 + 4 * 24), "work")
    assert os.path.getsize(out) < os.path.getsize(model) * 0.7


def refuses(t):
    data = windows(t)
    model = os.path.join(t.models, "walk.onnx")
    out, _ = quantise(t, "--calibrate", data)
    before = open(out, "rb").read()
    empty = t.path("empty")
    os.mkdir(empty)
    bad = t.path("bad")
    os.mkdir(bad)
    with open(os.path.join(bad, "x.csv"), "w") as f:
        f.write("1,2\n")
    new = t.path("new.onnx")
    for args, text in (
            (["quantize", model, "-c", data, "-o", out], f"'{out}' exists"),
            (["prune", model, "-o", out], f"'{out}' exists"),
            (["quantize", model, "-c", empty, "-o", new], f"'{empty}': no windows (.npy, .csv)"),
            (["quantize", model, "-c", bad, "-o", new], "expected 3 columns, got 2"),
            (["quantize", model, "-o", new], "--calibrate is required"),
            (["quantize", model, "-c", data], "--out is required"),
            (["quantize", model, "-c", data, "-o", new, "--method", "best"], "got 'best'"),
            (["quantize", model, "-c", data, "-o", new, "--keep-float", "c9"], "no layer 'c9'"),
            (["quantize", model, "--fp16", "--bf16", "-o", new], "exclude each other"),
            (["quantize", out, "-c", data, "-o", new], "is quantised already"),
            (["prune", model, "-o", new, "-s", "1.5"], "sparsity 1.5"),
            (["prune", os.path.join(t.models, "colour.onnx"), "-o", new], "to prune"),
            (["quantize", os.path.join(t.models, "broken.onnx"), "-c", data, "-o", new],
             "broken.onnx")):
        p = volley(t, *args, want=3 if "already" in text or text == "to prune" else 1)
        assert text in p.stderr, (args, p.stderr)
    equal(open(out, "rb").read(), before, "the file that was there")
    assert not os.path.exists(new), "a refused command wrote a file"


def detector(t):
    """YOLOv8n on labelled photos: the loss of mAP is what the issue of accuracy allows."""
    if os.environ.get("VOLLEY_TEST_SANITIZER", "none") != "none":
        raise Skip("minutes under a sanitizer")
    model = t.shared("models/yolov8n.onnx")
    photos = t.shared("data/images/natural-gt/coco-ccby")
    out = t.path("yolo.onnx")
    p = volley(t, "quantize", model, "--calibrate", photos, "--samples", "10", "-o", out, "--json")
    said = json.loads(p.stdout)
    equal(said["accuracy"], "labels", "accuracy")
    assert said["after"]["file_bytes"] < 3.7e6, said["after"]
    assert said["before"]["map50_95"] - said["after"]["map50_95"] < 0.03, (said["before"],
                                                                            said["after"])
    floats = [x["name"] for x in said["layers"] if x["is_float"]]
    assert "/model.22/dfl/conv/Conv" in floats, floats


ORT = """
import sys, numpy as np, onnxruntime as ort
options = ort.SessionOptions()
options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
x = np.load(sys.argv[1])
for path in sys.argv[2:]:
    s = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    np.save(path + ".npy", s.run(None, {s.get_inputs()[0].name: x[:1]})[0])
"""
COMPARE = """
import sys, numpy as np
a, b = np.load(sys.argv[1]), np.load(sys.argv[2])
assert a.shape == b.shape and np.abs(a - b).max() <= float(sys.argv[3]) * np.abs(a).max(), (a, b)
"""


def find_ort():
    for python in (sys.executable, os.environ.get("VOLLEY_ORT_PYTHON")):
        if python is not None and subprocess.run([python, "-c", "import numpy, onnxruntime"],
                                                 capture_output=True).returncode == 0:
            return python
    raise Skip("no Python with onnxruntime and numpy (set VOLLEY_ORT_PYTHON)")


def onnxruntime_agrees(t):
    python = find_ort()
    data = windows(t)
    model = os.path.join(t.models, "walk.onnx")
    files = [quantise(t, "-c", data)[0], quantise(t, "--fp16", name="h.onnx")[0],
             quantise(t, "--bf16", name="b.onnx")[0], t.path("s.onnx"), t.path("w.onnx")]
    volley(t, "prune", model, "--structured", "-s", "0.25", "-o", files[3])
    volley(t, "prune", model, "-s", "0.3", "-o", files[4], "-c", data)
    one = t.path("one.npy")
    subprocess.run([python, "-c", "import sys, numpy as np; "
                    "np.save(sys.argv[2], np.load(sys.argv[1])[:1])",
                    os.path.join(data, "b.npy"), one], check=True)
    subprocess.run([python, "-c", ORT, one, *files], check=True,
                   env={**os.environ, "ORT_DISABLE_TELEMETRY": "1"})
    for f in files:
        where = f + ".out"
        os.mkdir(where)
        volley(t, "run", f, "--input", one, "--out", where)
        # one step of 8 bits may fall to the other side
        step = "0.02" if f.endswith("q.onnx") else "1e-4"
        subprocess.run([python, "-c", COMPARE, f + ".npy", os.path.join(where, "y.npy"), step],
                       check=True)


run(quantizes_windows, keeps_a_budget, stores_halves, prunes, refuses, detector, onnxruntime_agrees)
