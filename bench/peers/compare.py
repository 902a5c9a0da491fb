# SPDX-License-Identifier: MIT
"""Volley beside its rivals: same model, same picture, same threads, taking turns.

    compare.py [--model FILE] [--int8 FILE]... [--picture FILE] [--tiny] --out DIR/NAME

writes NAME.txt (the table), NAME.json and NAME.svg. See bench/README.md.
"""
import argparse
import array
import json
import os
import subprocess
import sys

import machine
import report
import tiny_nets
from peers import HERE, ISAS, Context, Peer, best, contest

# Volley at this precision, against, at least so many times as fast (issue: engine speed)
TARGETS = [("fp32", "ONNX Runtime", "fp32", 1.15), ("bf16", "ONNX Runtime", "fp32", 2.0),
           ("int8", "ONNX Runtime", "int8", 1.8), ("int8", "ONNX Runtime", "fp32", 3.3),
           ("fp32", "OpenVINO", "fp32", 1.0), ("bf16", "OpenVINO", "bf16", 1.0),
           ("int8", "OpenVINO", "int8", 1.0)]
OLDER_TARGETS = [("fp32", "ONNX Runtime", "fp32", 1.0), ("fp32", "OpenVINO", "fp32", 1.0)]
TINY_TARGETS = {1: 8.0, 1024: 4.0}


def say(text):
    print(text, file=sys.stderr, flush=True)


def candidates(context, args, threads):
    """Lists of forms; the fastest of each list takes part."""
    spins = [False, True] if threads > 1 else [False]
    int8 = args.int8 + context.ort_int8
    for precision in args.precisions.split(","):
        files = int8 if precision == "int8" else [args.model]
        yield [Peer(context, "volley", precision, f, threads) for f in files]
        if precision != "bf16":
            yield [Peer(context, "ort", precision, f, threads, spin)
                   for f in files for spin in spins]
        yield [Peer(context, "openvino", precision, f, threads) for f in files]


def worst_error(got, want):
    """Largest difference of two float32 buffers, as a share of the largest value."""
    a, b = array.array("f", got), array.array("f", want)
    if len(a) != len(b):
        return None
    return max(abs(x - y) for x, y in zip(a, b)) / max(max(map(abs, b)), 1e-30)


def volley_bench(args, model, threads, *more):
    """Figures of `volley model bench`, on the cores that the engines had; None: it failed."""
    def prepare():
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
        if args.realtime:
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    got = subprocess.run([args.volley, "model", "bench", model, "--json", "--threads",
                          str(threads), *more], capture_output=True, text=True, preexec_fn=prepare)
    if got.returncode != 0:
        say(got.stderr.strip())
        return None
    return json.loads(got.stdout)


def floor(args, model, threads):
    """Milliseconds that the model's operations take at this machine's fp32 peak."""
    got = volley_bench(args, model, threads, "--precision", "fp32", "--runs", "1")
    return got and {"gflop": got["gflop"], "peak_gflops": got["peak_gflops"], "ms": got["floor_ms"]}


def stages(args, threads):
    """What Volley does around the net, and the net, for one encoded picture."""
    if not args.stages or not os.path.exists(args.stages):
        return None
    got = volley_bench(args, args.model, threads, "--seconds", "1", "--picture", args.stages)
    return got and got["picture"] | {"file": os.path.basename(args.stages)}


def compare_model(context, args, threads):
    peers = [p for forms in candidates(context, args, threads) for p in best(forms, say)]
    contest(peers, args.rounds, args.seconds)
    find = {(p.label, p.precision): p for p in peers}
    reference = find.get(("ONNX Runtime", "fp32"), peers[0]).output(context)
    errors = [worst_error(p.output(context), reference) for p in peers]
    rows = []
    for peer, error in zip(peers, errors):
        peer.end()
        rows.append(peer.row() | {"error": error})
        own = find.get(("Volley", peer.precision))
        if own:
            rows[-1]["volley_is"] = own.over(peer)
    targets = []
    for precision, rival, its, want in OLDER_TARGETS if args.cpu else TARGETS:
        a, b = find.get(("Volley", precision)), find.get((rival, its))
        if a and b:
            targets.append({"volley": precision, "rival": f"{rival} {its}", "want": want,
                            "got": a.over(b)})
    return {"threads": threads, "rows": rows, "targets": targets,
            "floor": floor(args, args.model, threads), "stages": stages(args, threads)}


def compare_tiny(context, args):
    tables = []
    for net in tiny_nets.NETS:
        for batch in tiny_nets.BATCHES:
            model = tiny_nets.make(net, batch, context.models)
            peers = [Peer(context, engine, precision, model, 1) for engine, precision in
                     (("volley", "auto"), ("volley", "fp32"), ("ort", "fp32"),
                      ("openvino", "fp32"))]
            contest(peers, args.rounds, args.seconds / 4)
            reference = peers[2].output(context)
            rows = []
            for peer in peers:
                error = worst_error(peer.output(context), reference)
                peer.end()
                rows.append(peer.row() | {"error": error, "volley_is": peers[0].over(peer)})
            say(f"{net} batch {batch}: " + ", ".join(
                f"{r['engine']} {r['precision']} {r['ms']['median'] * 1e3:.3g} us" for r in rows))
            targets = []
            if batch in TINY_TARGETS:
                targets = [{"volley": f"{net} batch {batch}", "rival": "ONNX Runtime fp32",
                            "want": TINY_TARGETS[batch], "got": rows[2]["volley_is"]}]
            tables.append({"net": net, "batch": batch, "rows": rows, "targets": targets,
                           "floor": floor(args, model, 1)})
    return tables


def quantised_by_ort(args, context):
    if args.no_int8:
        return []
    say("ONNX Runtime quantises the model")
    pictures = args.calibrate or ([args.picture] if args.picture else [])
    got = subprocess.run([sys.executable, os.path.join(HERE, "quantise.py"), args.model,
                          context.models, *pictures], capture_output=True, text=True)
    if got.returncode != 0:
        say(f"left out: {got.stderr.strip().splitlines()[-1]}")
        return []
    return got.stdout.split()[-4:]


def main():
    root = os.path.dirname(os.path.dirname(HERE))
    p = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    p.add_argument("--model", help="an .onnx model in fp32")
    p.add_argument("--int8", action="append", default=[], metavar="FILE",
                   help="the same model quantised (QDQ); may be given several times")
    p.add_argument("--no-int8", action="store_true", help="do not let ONNX Runtime quantise")
    p.add_argument("--picture", help="a photo (default: a generated picture)")
    p.add_argument("--stages", metavar="FILE",
                   help="a JPEG to follow from its bytes to the boxes (Volley only)")
    p.add_argument("--calibrate", action="append", default=[], metavar="FILE",
                   help="pictures for ONNX Runtime's quantisation (default: --picture)")
    p.add_argument("--tiny", action="store_true", help="small nets for sensors, batch 1 to 1024")
    p.add_argument("--precisions", default="fp32,bf16,int8")
    p.add_argument("--cpu", choices=sorted(ISAS),
                   help="hold Volley and OpenVINO to these instructions; ONNX Runtime cannot be")
    p.add_argument("--threads", default="1,2")
    p.add_argument("--rounds", type=int, default=7)
    p.add_argument("--seconds", type=float, default=0.5, help="of each engine in each round")
    p.add_argument("--realtime", action="store_true",
                   help="run before all other programs, for a machine that is not idle (root)")
    p.add_argument("--build", default=os.path.join(root, "build-peers"), help="of setup.sh")
    p.add_argument("--volley", default=os.path.join(root, "build-release/src/cli/volley"))
    p.add_argument("--library", default=os.path.join(root, "build-release/src/lib/libvolley.so"))
    p.add_argument("--out", required=True, metavar="DIR/NAME")
    args = p.parse_args()

    context = Context(args.build, args.library, args.picture, args.cpu, args.realtime)
    os.environ |= context.held_to
    result = {"machine": machine.describe(), "commit": machine.commit(root),
              "rounds": args.rounds, "held_to": args.cpu, "realtime": args.realtime,
              "tables": []}
    if args.model:
        result["model"] = os.path.basename(args.model)
        context.ort_int8 = quantised_by_ort(args, context)
        for threads in map(int, args.threads.split(",")):
            result["tables"].append(compare_model(context, args, threads))
    if args.tiny:
        result["tables"] += compare_tiny(context, args)
    result["machine"]["load_after"] = os.getloadavg()[0]
    text = report.table(result)
    print(text)
    for ending, content in ((".txt", text + "\n"), (".svg", report.chart(result)),
                            (".json", json.dumps(result, indent=1) + "\n")):
        with open(args.out + ending, "w", encoding="utf-8") as f:
            f.write(content)


if __name__ == "__main__":
    main()
