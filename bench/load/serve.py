#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the server adds to the engine's own time.

    serve.py --build DIR [--tiny FILE]... [--model FILE] [--seconds S] [--rounds N] [--out DIR/NAME]

Overhead, for each --tiny model over HTTP/1.1 keep-alive: the round trip that the client sees, less
that of a server which only reads and writes as many bytes (http_load --echo: sockets, scheduling
and the client itself), less the model's own time (`volley model bench`). With one connection the
client has the first core and the servers the last, for what it costs to wake each other depends on
where they are. With many connections requests wait for each other: there the processor time of the
server for each tells what it costs.

Throughput, for --model: requests a second, tensor in, tensor out, binary, over that of bare engines
on the same cores: one instance on all of them, or one on each, whichever does more. Clients share
the cores with the server; their share is told.

All that is compared takes turns, round by round; a ratio is the median of those of the rounds.
Only Python's standard library is used; h2load (nghttp2-client) for HTTP/2 and gRPC.
"""
import argparse
import json
import os
import random
import re
import resource
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "bench", "peers"))
import machine  # noqa: E402

ECHO_PORT = 18124
TYPES = {"FP32": ("f", 4, random.random), "INT32": ("i", 4, lambda: random.randrange(100)),
         "INT64": ("q", 8, lambda: random.randrange(100))}


class Missing(Exception):
    """What cannot be measured here, and why."""


# ---- requests ----

class Tensor:
    """An input or output of the model, with random numbers: name, datatype, shape, bytes."""

    def __init__(self, meta):
        code, self.size, draw = TYPES[meta["datatype"]]
        self.name, self.datatype = meta["name"], meta["datatype"]
        self.shape = [1 if d < 0 else d for d in meta["shape"]]
        n = 1
        for d in self.shape:
            n *= d
        self.data = struct.pack(f"<{n}{code}", *(draw() for _ in range(n)))

    def json(self, parameters):
        return {"name": self.name, "datatype": self.datatype, "shape": self.shape,
                "parameters": parameters}


def binary_body(inputs):
    """Body and length of its JSON, of the binary tensor extension."""
    head = json.dumps({"inputs": [t.json({"binary_data_size": len(t.data)}) for t in inputs],
                       "parameters": {"binary_data_output": True}}, separators=(",", ":")).encode()
    return head + b"".join(t.data for t in inputs), len(head)


def http1(model, body, json_len=None):
    """A whole request."""
    lines = [f"POST /v2/models/{model}/infer HTTP/1.1", "Host: 127.0.0.1",
             "Content-Type: application/octet-stream", f"Content-Length: {len(body)}"]
    if json_len is not None:
        lines.append(f"Inference-Header-Content-Length: {json_len}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def varint(n):
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out) + bytes([n])


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def grpc_message(model, inputs):
    """A ModelInferRequest in its frame."""
    message = field(1, model.encode())
    for t in inputs:
        message += field(5, field(1, t.name.encode()) + field(2, t.datatype.encode())
                         + field(3, b"".join(varint(d) for d in t.shape)))
    message += b"".join(field(7, t.data) for t in inputs)
    return b"\0" + struct.pack(">I", len(message)) + message


# ---- what runs ----

class Server:
    """A child that says on its standard output that it is listening."""

    def __init__(self, *command):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        for line in self.process.stdout:
            if line.startswith("listening"):
                found = re.search(r":(\d+)$", line)
                self.port = int(found.group(1)) if found else ECHO_PORT
                return
        raise RuntimeError("the server ended: " + " ".join(command))

    def ask(self, path, body=None):
        url = f"http://127.0.0.1:{self.port}{path}"
        data = json.dumps(body).encode() if body is not None else None
        with urllib.request.urlopen(urllib.request.Request(url, data=data)) as answer:
            return answer.read()

    def tensors(self, model, which="inputs"):
        return [Tensor(m) for m in json.loads(self.ask(f"/v2/models/{model}"))[which]]

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat") as f:
            fields = f.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def move_to(self, cores):
        for task in os.listdir(f"/proc/{self.process.pid}/task"):
            os.sched_setaffinity(int(task), cores)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()


def timed(command, cores):
    """Standard output of a client on these cores, and its processor time."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    out = subprocess.run(command, check=True, capture_output=True, text=True,
                         preexec_fn=lambda: os.sched_setaffinity(0, cores)).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return out, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


class Bench:
    def __init__(self, build, directory, seconds):
        self.volley = os.path.join(build, "src", "cli", "volley")
        self.client = os.path.join(build, "bench", "http_load")
        self.directory, self.seconds = directory, seconds
        self.all_cores = sorted(os.sched_getaffinity(0))
        self.cores = len(self.all_cores)

    def file(self, name, data):
        path = os.path.join(self.directory, name)
        with open(path, "wb") as f:
            f.write(data)
        return path

    def serve(self, model, precision):
        models = os.path.join(self.directory, "models-" + os.path.basename(model))
        os.makedirs(models, exist_ok=True)
        link = os.path.join(models, "m.onnx")
        if not os.path.exists(link):
            os.symlink(os.path.abspath(model), link)
        return Server(self.volley, "serve", "--models", models, "--port", "0", "--set",
                      f"model.precision={precision}", "--set", "http.allow_client_shm=true")

    def bare(self, model, precision, threads, n):
        """Runs a second of n processes side by side."""
        command = [self.volley, "model", "bench", model, "--precision", precision, "--threads",
                   str(threads), "--seconds", str(self.seconds), "--json"]
        all_of = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
                  for _ in range(n)]
        return sum(1e3 / json.loads(p.communicate()[0])["ms"]["median"] for p in all_of)

    def load(self, port, request, connections, answer=None, cores=None):
        out, cpu = timed([self.client, "--port", str(port), "--connections", str(connections),
                          "--seconds", str(self.seconds), *(["--answer", answer] if answer else []),
                          request], cores or self.all_cores)
        got = json.loads(out)
        if got["failed"]:
            raise RuntimeError(f"{got['failed']} requests failed")
        return got | {"client_share": cpu / got["seconds"] / self.cores}

    def h2load(self, port, path, body, headers, connections):
        """HTTP/2 requests a second; Missing when they cannot be made or are refused."""
        if shutil.which("h2load") is None:
            raise Missing("no h2load")
        command = ["h2load", "-c", str(connections), "-t", "1", "-m", "1", "-D",
                   f"{self.seconds * 1e3:.0f}ms", "--warm-up-time=500ms", "-d", body]
        for h in headers:
            command += ["-H", h]
        out, cpu = timed(command + [f"http://127.0.0.1:{port}{path}"], self.all_cores)
        rate = re.search(r"finished in ([\d.]+)(m?s), ([\d.]+) req/s", out)
        codes = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", out)
        if not rate or not codes or int(codes.group(1)) == 0 or codes.group(3) != "0":
            raise Missing("the server does not answer it")
        return {"per_s": float(rate.group(3)), "client_share": cpu / (self.seconds + 0.5) / self.cores}


# ---- overhead ----

def overhead(bench, model, rounds):
    """Rows for one connection and for many; times in microseconds."""
    rows = []
    with bench.serve(model, "auto") as server:
        body, json_len = binary_body(server.tensors("m"))
        request = bench.file("tiny.req", http1("m", body, json_len))
        answer = bench.file("tiny.ans", b"")
        bench.load(server.port, request, 1, answer)
        with Server(bench.client, "--echo", "--port", str(ECHO_PORT), request, answer) as echo:
            for connections in (1, 8, 64):
                rows.append(overhead_row(bench, model, server, echo, request, connections, rounds))
    return rows


def label(model):
    """Of DIR/NAME/1/model.onnx and of NAME.onnx alike."""
    base = os.path.basename(model)
    return model.split(os.sep)[-3] if base == "model.onnx" else base.removesuffix(".onnx")


def overhead_row(bench, model, server, echo, request, connections, rounds):
    floors, trips, computes, cpus = [], [], [], []
    is_lone = connections == 1
    for s in (server, echo):
        s.move_to(bench.all_cores[-1:] if is_lone else bench.all_cores)
    cores = bench.all_cores[:1] if is_lone else bench.all_cores
    for _ in range(rounds):
        floors.append(bench.load(echo.port, request, connections, cores=cores))
        before = server.cpu_seconds()
        trips.append(bench.load(server.port, request, connections, cores=cores))
        cpus.append((server.cpu_seconds() - before) / trips[-1]["requests"] * 1e6)
        computes.append(1e6 / bench.bare(model, "auto", 1, 1))
    middle = statistics.median
    floor = {q: middle(f["us"][q] for f in floors) for q in ("p50", "p99")}
    trip = {q: middle(t["us"][q] for t in trips) for q in ("p50", "p99")}
    added = [t["us"]["p50"] - f["us"]["p50"] - c for t, f, c in zip(trips, floors, computes)]
    return {"model": label(model), "connections": connections, "floor_us": floor,
            "trip_us": trip, "compute_us": middle(computes), "overhead_us": middle(added),
            "overhead_us_rounds": [min(added), max(added)], "server_cpu_us": middle(cpus),
            "per_s": middle(t["per_s"] for t in trips)}


def overhead_lines(rows):
    yield ("model                 conns  round trip p50/p99  sockets p50/p99  compute  "
           "overhead p50 (rounds)   CPU/request   requests/s")
    for r in rows:
        low, high = r["overhead_us_rounds"]
        is_lone = r["connections"] == 1
        added = f"{r['overhead_us']:.1f} us ({low:.1f}..{high:.1f})" if is_lone else ""
        yield (f"{r['model']:20.20}  {r['connections']:5}  {r['trip_us']['p50']:8.1f}/"
               f"{r['trip_us']['p99']:<8.1f}  {r['floor_us']['p50']:7.1f}/"
               f"{r['floor_us']['p99']:<7.1f}  {r['compute_us']:6.2f}  {added:24}"
               f"{r['server_cpu_us']:8.1f} us  {r['per_s']:10.0f}")


# ---- throughput ----

class Way:
    """One way to ask for the same; skipped for good once it is Missing."""

    def __init__(self, name, ask):
        self.name, self.ask, self.rounds, self.why = name, ask, [], None

    def take_turn(self):
        try:
            if self.why is None:
                self.rounds.append(self.ask())
        except Missing as why:
            self.why = str(why)


def share_memory(server, inputs, outputs):
    """The request that names inputs and outputs in shared memory."""
    made, named = [], []
    try:
        for i, tensor in enumerate(inputs + outputs):
            key = f"volley-bench-{os.getpid()}-{i}"
            made.append(os.path.join("/dev/shm", key))
            with open(made[-1], "wb") as f:
                f.write(tensor.data)
            server.ask(f"/v2/systemsharedmemory/region/r{i}/register",
                       {"key": "/" + key, "offset": 0, "byte_size": len(tensor.data)})
            named.append({"shared_memory_region": f"r{i}",
                          "shared_memory_byte_size": len(tensor.data)})
    except OSError as e:  # also what urllib raises
        raise Missing(f"shared memory: {e}") from None
    finally:
        for path in made:
            os.unlink(path)
    return json.dumps({
        "inputs": [tensor.json(p) for tensor, p in zip(inputs, named)],
        "outputs": [{"name": tensor.name, "parameters": p}
                    for tensor, p in zip(outputs, named[len(inputs):])]}).encode()


def ways_of(bench, server):
    inputs, outputs = server.tensors("m"), server.tensors("m", "outputs")
    body, json_len = binary_body(inputs)
    request = bench.file("large.req", http1("m", body, json_len))
    plain = bench.file("large.body", body)
    grpc = bench.file("large.grpc", grpc_message("m", inputs))
    shared = []

    def ask_shared():
        if not shared:
            body = share_memory(server, inputs, outputs)
            shared.append(bench.file("shared.req", http1("m", body)))
        return bench.load(server.port, shared[0], 2 * bench.cores)

    return [
        Way("HTTP/1.1", lambda: bench.load(server.port, request, 2 * bench.cores)),
        Way("HTTP/1.1, tensors in shared memory", ask_shared),
        Way("HTTP/2", lambda: bench.h2load(
            server.port, "/v2/models/m/infer", plain,
            [f"inference-header-content-length: {json_len}"], 2 * bench.cores)),
        Way("gRPC", lambda: bench.h2load(
            server.port, "/inference.GRPCInferenceService/ModelInfer", grpc,
            ["content-type: application/grpc", "te: trailers"], 2 * bench.cores))]


def throughput(bench, model, precision, rounds):
    bares = []
    with bench.serve(model, precision) as server:
        ways = ways_of(bench, server)
        for way in ways:
            way.take_turn()  # warm
            way.rounds.clear()
        for _ in range(rounds):
            bares.append({"one": bench.bare(model, precision, bench.cores, 1),
                          "each": bench.bare(model, precision, 1, bench.cores)})
            for way in ways:
                way.take_turn()
    return {"precision": precision, "bare": bares, "ways": [row_of(w, bares) for w in ways]}


def row_of(way, bares):
    if way.why is not None:
        return {"name": way.name, "skipped": way.why}
    rates = [r["per_s"] for r in way.rounds]
    ratios = [r / max(b.values()) for r, b in zip(rates, bares)]
    return {"name": way.name, "per_s": statistics.median(rates),
            "ratio": statistics.median(ratios), "ratio_rounds": [min(ratios), max(ratios)],
            "client_share": statistics.median(r["client_share"] for r in way.rounds)}


def throughput_lines(t):
    one, each = (statistics.median(b[k] for b in t["bare"]) for k in ("one", "each"))
    yield (f"{t['precision']}: bare engine {one:.1f}/s with one instance on all cores, "
           f"{each:.1f}/s with one on each")
    for w in t["ways"]:
        if "skipped" in w:
            yield f"  {w['name']:34} skipped: {w['skipped']}"
            continue
        low, high = w["ratio_rounds"]
        yield (f"  {w['name']:34} {w['per_s']:8.1f}/s  {w['ratio']:6.1%} of bare "
               f"({low:.1%}..{high:.1%}), client {w['client_share']:.1%} of the cores")


def go_first():
    """This process and its children run before all others, and fairly among themselves."""
    if os.getpid() != os.getpgid(0):
        os.setsid()  # a group of its own, where the kernel groups by session
    with open("/proc/self/autogroup", "w") as f:
        f.write("-20")
    os.nice(-20)


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--build", default="build-release")
    p.add_argument("--tiny", action="append", default=[])
    p.add_argument("--model")
    p.add_argument("--precision", action="append", help="of --model; default fp32 and bf16")
    p.add_argument("--seconds", type=float, default=2.0, help="of one measurement")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--first", action="store_true",
                   help="before all other programs: figures of an idle machine on a busy one; root")
    p.add_argument("--out", help="write NAME.json and NAME.txt, too")
    args = p.parse_args()
    random.seed(1)
    if args.first:
        go_first()
    result = {"machine": machine.describe(), "commit": machine.commit(ROOT)}
    m = result["machine"]
    m["is_first"] = args.first
    lines = [f"server beside engine, {m['date']}, commit {result['commit']}",
             f"{m['cpu']}, {m['cores']} cores, load before {m['load_before']:.2f}"
             f"{', before other programs' if args.first else ''}"]
    with tempfile.TemporaryDirectory(prefix="volley-serve-") as directory:
        bench = Bench(args.build, directory, args.seconds)
        result["overhead"] = [row for f in args.tiny for row in overhead(bench, f, args.rounds)]
        if args.tiny:
            lines += ["", *overhead_lines(result["overhead"])]
        result["throughput"] = [throughput(bench, args.model, precision, args.rounds)
                                for precision in (args.precision or ["fp32", "bf16"])
                                if args.model]
        for t in result["throughput"]:
            lines += ["", *throughput_lines(t)]
    print("\n".join(lines))
    if args.out:
        with open(args.out + ".json", "w") as f:
            json.dump(result, f, indent=1)
        with open(args.out + ".txt", "w") as f:
            f.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
