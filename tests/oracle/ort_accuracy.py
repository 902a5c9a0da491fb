#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""mAP of Volley's engine beside ONNX Runtime's outputs through the same decoder.

    ort_accuracy.py BUILD_DIR MODEL.onnx DATA_DIR

Needs numpy and onnxruntime (pip). Prints both engines' figures and the largest difference between
their outputs. What it printed stands in docs/accuracy.md.
"""
import glob
import json
import os
import subprocess
import sys
import tempfile

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import numpy as np
import onnxruntime


def run(*args):
    return subprocess.run(args, check=True, stdout=subprocess.PIPE, text=True).stdout


def main(build, model, data):
    volley = os.path.join(build, "src", "cli", "volley")
    oracle = os.path.join(build, "tests", "oracle", "other_engine")
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    with tempfile.TemporaryDirectory() as tmp:
        run(oracle, "prepare", model, data, tmp)
        worst = 0.0
        for path in sorted(glob.glob(os.path.join(tmp, "[0-9]*.npy"))):
            stem = path[: -len(".npy")]
            for k, out in enumerate(session.run(None, {name: np.load(path)})):
                np.save(f"{stem}_{k}.npy", out)
        for path in sorted(glob.glob(os.path.join(tmp, "?.npy"))):  # the first ten pictures
            out = os.path.join(tmp, "out")
            os.makedirs(out, exist_ok=True)
            run(volley, "model", "run", model, "--input", path, "--out", out)
            for k, info in enumerate(session.get_outputs()):
                ours = np.load(os.path.join(out, info.name.replace("/", "_") + ".npy"))
                theirs = np.load(f"{path[:-4]}_{k}.npy")
                worst = max(worst, float(np.abs(ours - theirs).max()))
        theirs = json.loads(run(oracle, "score", model, data, tmp))
    ours = json.loads(run(volley, "eval", "detect", "--model", model, "--data", data, "--json"))
    print(f"onnxruntime {onnxruntime.__version__}: mAP50 {theirs['map50']:.4f}"
          f"  mAP50-95 {theirs['map50_95']:.4f}")
    print(f"volley: mAP50 {ours['map50']:.4f}  mAP50-95 {ours['map50_95']:.4f}")
    print(f"difference of outputs, ten pictures: at most {worst:.3g}")
    return 0 if abs(ours["map50_95"] - theirs["map50_95"]) <= 0.003 else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
