# SPDX-License-Identifier: MIT
"""`volley model bench`: its figures agree with each other and with the model."""
import json
import subprocess

from harness import equal, png, run

BATCH = 8
SLOW_FLOPS = 6 * 2 * BATCH * 512 * 512  # make_models.c: six products with a 512 x 512 matrix


def bench(t, model, *args):
    return subprocess.run([t.volley, "model", "bench", f"{t.models}/{model}", "--seconds", "0.1",
                           *args], capture_output=True, text=True, timeout=120)


def close(got, want, what):
    if abs(got - want) > 0.02 * abs(want):
        raise AssertionError(f"{what}: expected about {want}, got {got}")


def tells_consistent_figures(t):
    for threads in 1, 2:
        got = json.loads(bench(t, "slow/1/model.onnx", "--json", "--batch", str(BATCH),
                               "--threads", str(threads), "--precision", "fp32").stdout)
        ms = got["ms"]
        equal((got["threads"], got["batch"]), (threads, BATCH))
        if not 0 < ms["min"] <= ms["median"] <= ms["p95"]:
            raise AssertionError(f"times out of order: {ms}")
        close(got["gflop"] * 1e9, SLOW_FLOPS, "gflop")
        equal(sum(s["flops"] for s in got["steps"]), SLOW_FLOPS, "flops of all steps")
        close(got["gflops"], SLOW_FLOPS / ms["median"] / 1e6, "gflops")
        close(got["floor_ms"], got["gflop"] / got["peak_gflops"]["fp32"] * 1e3, "floor_ms")
        close(got["peak_share"], got["floor_ms"] / ms["median"], "peak_share")
        if not 0 < got["peak_share"] < 5:  # 1, but company on the cores comes and goes
            raise AssertionError(f"faster than the machine: {got['peak_share']}")
        if not ms["min"] / 2 < sum(s["ms"] for s in got["steps"]) < ms["p95"] * 10:
            raise AssertionError("the steps do not make up the whole")
        if not (got["load_ms"] > 0 and 1000 < got["peak_rss_kb"] < 1 << 20):
            raise AssertionError("implausible load_ms or peak_rss_kb")


def prints_a_row_for_each_step(t):
    got = json.loads(bench(t, "slow/1/model.onnx", "--json").stdout)
    text = bench(t, "slow/1/model.onnx").stdout.splitlines()
    equal(len([row for row in text if row.startswith("   ")]), len(got["steps"]), "rows")
    equal([word for word in ("run", "peak", "work", "load", "memory")
           if not any(row.startswith(f"  {word} ") for row in text)], [], "missing lines")


def counts_runs(t):
    for n in 1, 7, 5000:  # more than the samples that are kept
        got = json.loads(bench(t, "simple/1/model.onnx", "--json", "--runs", str(n)).stdout)
        if not n / 2 < got["runs"] <= n:
            raise AssertionError(f"asked for {n} runs, got {got['runs']}")


def times_a_picture(t):
    path = t.path("red.png")
    with open(path, "wb") as f:
        f.write(png(40, 30, (255, 0, 0)))
    got = json.loads(bench(t, "colour.onnx", "--json", "--picture", path).stdout)["picture"]
    equal((got["width"], got["height"], got["found"]), (40, 30, 3))
    stages = got["ms"]
    equal(list(stages), ["decode", "prep", "net", "post", "total"])
    for name, ms in stages.items():
        if not 0 <= ms["min"] <= ms["median"] <= ms["p95"]:
            raise AssertionError(f"{name} out of order: {ms}")
    if stages["total"]["min"] < sum(stages[k]["min"] for k in stages if k != "total") - 1e-5:
        raise AssertionError(f"the whole is less than its parts: {stages}")
    text = bench(t, "colour.onnx", "--picture", path).stdout
    if "40x30" not in text or "\n  decode " not in text:
        raise AssertionError(text)
    got = bench(t, "slow/1/model.onnx", "--picture", path)  # has no task for pictures
    equal((got.returncode, got.stdout), (3, ""))


def takes_any_type(t):
    for model in "simple/1/model.onnx", "simple_identity/1/model.onnx", "colour.onnx":
        equal(bench(t, model).returncode, 0, model)


def refuses(t):
    for args, text in ((["colour.onnx", "--batch", "2"], "fixed shapes"),
                       (["colour.onnx", "--batch", "-1"], "--batch"),
                       (["colour.onnx", "--runs", "-1"], "--runs"),
                       (["colour.onnx", "--seconds", "nan"], "--seconds"),
                       (["colour.onnx", "--threads", "2000"], "--threads"),
                       (["colour.onnx", "--precision", "fp7"], "fp7"),
                       (["colour.onnx", "--input", "nothing.npy"], "nothing.npy"),
                       (["broken.onnx"], "broken.onnx"), (["missing.onnx"], "missing.onnx")):
        got = bench(t, *args)
        equal((got.returncode, got.stdout), (1, ""), " ".join(args))
        if text not in got.stderr:
            raise AssertionError(f"expected '{text}' in '{got.stderr}'")


run(tells_consistent_figures, prints_a_row_for_each_step, counts_runs, times_a_picture,
    takes_any_type, refuses)
