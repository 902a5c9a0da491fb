#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the execution mode of a model does: inline, parallel and batched in turns.

    modes.py --build DIR [--seconds S] [--rounds N] MODEL.onnx...

For each model one server is started with each value of model.execution. Each round asks every
server in turn, over 1, 16 and 64 keep-alive connections, with one inference in binary for each
request; printed are requests a second and the median round trip, medians over the rounds. "auto"
is what the server chose, and the reason that GET /v1/models/NAME/explain gives.

Last, a lone request: the median round trip over one connection to the first model, batched, with a
max_queue_delay of 100 ms, beside that with none.
"""
import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import urllib.request

MODES = ["inline", "parallel", "batched"]
CONNECTIONS = [1, 16, 64]


def port_of(server):
    for line in server.stdout:
        if "listening on" in line:
            return int(line.rsplit(":", 1)[1])
    sys.exit("the server did not start")


def serve(build, models, *settings):
    args = [f"{build}/src/cli/volley", "serve", "--models", models, "--port", "0"]
    for s in ("queue.max=1000", *settings):
        args += ["--set", s]
    server = subprocess.Popen(args, stdout=subprocess.PIPE, text=True)
    return server, port_of(server)


def get(port, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as answer:
        return json.load(answer)


WIDTH = {"FP32": 4, "INT64": 8, "INT32": 4, "FP16": 2, "UINT8": 1}


def write_request(port, name, path):
    """One inference of zeros, binary in and out."""
    inputs, data = [], b""
    for i in get(port, f"/v2/models/{name}")["inputs"]:
        shape = [d if d > 0 else 1 for d in i["shape"]]
        n = WIDTH[i["datatype"]]
        for d in shape:
            n *= d
        inputs.append({"name": i["name"], "datatype": i["datatype"], "shape": shape,
                       "parameters": {"binary_data_size": n}})
        data += bytes(n)
    head = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    with open(path, "wb") as f:
        f.write(f"POST /v2/models/{name}/infer HTTP/1.1\r\nHost: x\r\n"
                f"Inference-Header-Content-Length: {len(head)}\r\n"
                f"Content-Length: {len(head) + len(data)}\r\n\r\n".encode() + head + data)


def load(build, port, request, connections, seconds):
    out = subprocess.run([f"{build}/bench/http_load", "--port", str(port), "--connections",
                          str(connections), "--seconds", str(seconds), request],
                         check=True, capture_output=True, text=True).stdout
    return json.loads(out)


def compare(o, path, work):
    name = os.path.basename(path)[:-len(".onnx")]
    servers = {m: serve(o.build, path, f"model.execution={m}") for m in [*MODES, "auto"]}
    request = f"{work}/request"
    write_request(servers["auto"][1], name, request)
    e = get(servers["auto"][1], f"/v1/models/{name}/explain")["execution"]
    print(f"{name}: auto is {e['mode']}: {e['why']}")
    rates = {(m, c): [] for m in MODES for c in CONNECTIONS}
    times = {(m, c): [] for m in MODES for c in CONNECTIONS}
    for _ in range(o.rounds):
        for c in CONNECTIONS:
            for m in MODES:
                got = load(o.build, servers[m][1], request, c, o.seconds)
                rates[m, c].append(got["per_s"])
                times[m, c].append(got["us"]["p50"])
    for m in MODES:
        row = [f"{statistics.median(rates[m, c]):9.0f}/s {statistics.median(times[m, c]):8.1f} us"
               for c in CONNECTIONS]
        print(f"  {m:9s}" + "   ".join(row))
    for server, _ in servers.values():
        server.send_signal(signal.SIGTERM)
        server.wait()


def lone(o, path, work):
    """The same file under two configurations."""
    name = os.path.basename(path)[:-len(".onnx")]
    for kind, delay in (("now", 0), ("wait", 100000)):
        os.makedirs(f"{work}/models/{kind}/1")
        os.symlink(os.path.abspath(path), f"{work}/models/{kind}/1/model.onnx")
        with open(f"{work}/models/{kind}/config.pbtxt", "w", encoding="ascii") as f:
            f.write("max_batch_size: 8 parameters { key: \"execution\" value { string_value: "
                    "\"batched\" } }\ndynamic_batching { preferred_batch_size: [ 8 ] "
                    f"max_queue_delay_microseconds: {delay} }}\n")
    server, port = serve(o.build, f"{work}/models")
    times = {"now": [], "wait": []}
    for kind in times:
        write_request(port, kind, f"{work}/{kind}")
    for _ in range(o.rounds):
        for kind, got in times.items():
            got.append(load(o.build, port, f"{work}/{kind}", 1, o.seconds)["us"]["p50"])
    print(f"a lone request to {name}: {statistics.median(times['wait']):.1f} us with a delay of "
          f"100 ms, {statistics.median(times['now']):.1f} us without")
    server.send_signal(signal.SIGTERM)
    server.wait()


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--build", required=True)
    p.add_argument("--seconds", type=float, default=0.5)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("models", nargs="+")
    o = p.parse_args()
    with tempfile.TemporaryDirectory() as work:
        for path in o.models:
            compare(o, path, work)
        lone(o, o.models[0], work)


main()
