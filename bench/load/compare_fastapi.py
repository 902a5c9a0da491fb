#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Volley beside FastAPI, uvicorn (uvloop, httptools) and ONNX Runtime, on the same cores.

    compare_fastapi.py --build DIR [--peer build-peers/fastapi] [--shared DIR] [--int8 FILE]
                       [--rounds N] [--seconds S] [--only pictures|sensors|streams|cached]...
                       [--out DIR/NAME]

Both serve the same files: YOLOv8n for pictures, step_detection.onnx (6 floats to 3) for sensors.
All is measured by `volley load`, which shares the cores with the servers: that favours the slower
one, for the faster the server, the larger the client's share.

The peer takes part in its best form: one worker and two, one thread of ONNX Runtime and two, on the
loop and in a thread pool, decoded by libjpeg-turbo and by OpenCV, JSON checked by pydantic and not;
tried first, the best is measured. Throughput is closed loop; then both get the same open load, 80 %
of what the peer can do, for latency (from when requests were due). All take turns, round by round;
figures are medians, ratios medians of the ratios round by round.

Every picture is distinct (--unique), so that no cache answers; cached answers are measured by
themselves, server on one core, client on the other, beside the floor: a server that only reads and
writes as many bytes (http_load --echo).
"""
import argparse
import json
import os
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

from serve import ROOT, machine  # beside this file

PICTURE_FORMS = [  # workers, threads of one picture, pictures at once in a worker, decoder
    (2, 1, 0, "simplejpeg"), (2, 1, 0, "opencv"), (1, 2, 0, "simplejpeg"), (1, 1, 2, "simplejpeg"),
    (2, 1, 1, "simplejpeg")]
STREAM_ROWS = (1, 16, 64)
READING = {"accel_x": 0.5, "accel_y": 9.6, "accel_z": 1.2, "gyro_x": 0.1, "gyro_y": 0.2,
           "gyro_z": 0.3}
is_realtime = False


def on(cores):
    """What a child does before it begins."""
    def prepare():
        os.sched_setaffinity(0, cores)
        if is_realtime:
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    return prepare


def wait_until_up(port, process):
    for _ in range(1200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except ConnectionRefusedError:
            if process.poll() is not None:
                raise RuntimeError("the server ended") from None
            time.sleep(0.05)
    raise RuntimeError("the server does not listen")


class Volley:
    name = "Volley"

    def __init__(self, build, models, cores, *settings):
        args = [f"{build}/src/cli/volley", "serve", "--models", models, "--port", "0"]
        for s in settings:
            args += ["--set", s]
        self.process = subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                        text=True, preexec_fn=on(cores))
        for line in self.process.stdout:
            if line.startswith("listening"):
                self.port = int(line.rsplit(":", 1)[1])
                return
        raise RuntimeError("volley serve ended")

    def stop(self):
        self.process.terminate()
        self.process.stdout.close()
        self.process.wait()


class FastApi:
    def __init__(self, peer, app, workers, cores, **environment):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process = subprocess.Popen(
            [os.path.join(peer, "venv", "bin", "uvicorn"), f"{app}:app", "--port", str(self.port),
             "--workers", str(workers), "--loop", "uvloop", "--http", "httptools", "--log-level",
             "warning", "--no-access-log"],
            cwd=os.path.join(ROOT, "bench", "peers", "fastapi"), start_new_session=True,
            stderr=subprocess.DEVNULL, preexec_fn=on(cores),
            env=os.environ | environment | {"ORT_DISABLE_TELEMETRY": "1",
                                            "PYTHONDONTWRITEBYTECODE": "1"})
        wait_until_up(self.port, self.process)

    def stop(self):
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait()


class Way:
    """One row of the table: a server, what it is asked, and what came of it, round by round."""

    def __init__(self, name, bench, url, *args, per_request=1, cores=None):
        self.name, self.bench, self.url, self.args = name, bench, url, args
        self.per_request, self.cores = per_request, cores
        self.closed, self.open = [], []

    def load(self, *more, seconds=None):
        return self.bench.load(self.url, *self.args, *more, seconds=seconds, cores=self.cores)

    def rate(self, result):
        return result["ok_per_s"] * self.per_request

    def most(self):
        return statistics.median(self.rate(r) for r in self.closed)

    def p99(self, kind="open"):
        rounds = getattr(self, kind)
        return statistics.median(r["latency_ms"]["p99"] for r in rounds) if rounds else None

    def p50(self, kind="open"):
        rounds = getattr(self, kind)
        return statistics.median(r["latency_ms"]["p50"] for r in rounds) if rounds else None


def ratio(ours, peer):
    """Of throughput: median of the rounds'."""
    return statistics.median(ours.rate(a) / peer.rate(b) for a, b in zip(ours.closed, peer.closed))


class Bench:
    def __init__(self, args, directory):
        self.args, self.directory = args, directory
        self.cores = set(sorted(os.sched_getaffinity(0))[:2])
        self.servers, self.lines, self.verdicts = [], [], []
        self.picture = os.path.join(args.shared, "data", "images", "classic", "bus.jpg")

    # ---- what runs ----

    def load(self, url, *args, seconds=None, cores=None):
        command = [f"{self.args.build}/src/cli/volley", "load", url, "--json", "--quiet",
                   "--duration", f"{seconds or self.args.seconds}s", "--warmup", "500ms",
                   "--timeout", "60s", *map(str, args)]
        p = subprocess.run(command, capture_output=True, text=True,
                           preexec_fn=on(cores or self.cores))
        if p.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: {p.stderr}")
        result = json.loads(p.stdout)
        if result["error_share"] > 0:
            raise RuntimeError(f"{' '.join(command)}: {result['error_share']:.1%} errors")
        return result

    def volley(self, models, *settings, cores=None):
        s = Volley(self.args.build, models, cores or self.cores, *settings)
        self.servers.append(s)
        return s

    def peer(self, app, workers, **environment):
        s = FastApi(os.path.abspath(self.args.peer), app, workers, self.cores, **environment)
        self.servers.append(s)
        return s

    def stop(self, server):
        self.servers.remove(server)
        server.stop()

    def stop_all(self):
        while self.servers:
            self.stop(self.servers[-1])

    def models(self, **files):
        """A repository of links."""
        root = tempfile.mkdtemp(dir=self.directory)
        for name, path in files.items():
            os.makedirs(f"{root}/{name}/1")
            os.symlink(os.path.abspath(path), f"{root}/{name}/1/model.onnx")
        return root

    # ---- what is told ----

    def say(self, line=""):
        print(line, flush=True)
        self.lines.append(line)

    def judge(self, what, value, goal, form="{:.1f}x"):
        ok = value >= goal
        self.verdicts.append(ok)
        self.say(f"  {what}: {form.format(value)} (goal {form.format(goal)})"
                 f"{'' if ok else '  MISSED'}")

    def judge_latency(self, ours, peer):
        ok = ours.p99() < peer.p99()
        self.verdicts.append(ok)
        self.say(f"  p99 at the same load: {ours.p99():.2f} ms, peer {peer.p99():.2f} ms"
                 f"{'' if ok else '  MISSED'}")

    def table(self, ways, unit):
        self.say(f"  {'':42} {unit + '/s':>12} {'(rounds)':>21} {'p99 closed':>11} "
                 f"{'p50 same load':>14} {'p99':>9}")
        for w in ways:
            rates = [w.rate(r) for r in w.closed]
            opened = (f"{w.p50():11.2f} ms {w.p99():6.2f} ms" if w.open else "")
            spread = f"({min(rates):.0f}..{max(rates):.0f})"
            self.say(f"  {w.name:42} {w.most():12.1f} {spread:>21} {w.p99('closed'):8.2f} ms "
                     f"{opened}")

    def rounds(self, ways, connections, closed_args=(), open_at=None, seconds=None):
        """Closed loop in turns; then, when a way is given, the same open load for all."""
        for k in range(self.args.rounds):
            for w in ways[k % len(ways):] + ways[:k % len(ways)]:
                w.closed.append(w.load("--closed", "-c", connections, *closed_args,
                                       seconds=seconds))
        if open_at is None:
            return
        rate = max(0.8 * open_at.most() / open_at.per_request, 1)
        for k in range(self.args.rounds):
            for w in ways[k % len(ways):] + ways[:k % len(ways)]:
                w.open.append(w.load("--rate", f"{rate:.1f}", "--poisson", "-c", connections,
                                     seconds=seconds))
        self.say(f"  the same open load: {rate:.1f} requests/s, Poisson")


# ---- pictures ----

def int8_model(bench):
    if bench.args.int8:
        return bench.args.int8
    path = os.path.join(bench.directory, "yolov8n_int8.onnx")
    subprocess.run([f"{bench.args.build}/src/cli/volley", "model", "quantize", "--calibrate",
                    os.path.dirname(bench.picture), "--samples", "8", "-o", path,
                    os.path.join(bench.args.shared, "models", "yolov8n.onnx")], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=on(bench.cores))
    return path


def picture_peer(bench, model, form):
    workers, threads, at_once, decoder = form
    return bench.peer("picture_server", workers, PICTURE_MODEL=model, PICTURE_THREADS=str(threads),
                      PICTURE_AT_ONCE=str(at_once), PICTURE_DECODER=decoder)


def best_picture_peer(bench, model):
    found = {}
    for form in PICTURE_FORMS:
        server = picture_peer(bench, model, form)
        way = Way("", bench, f"http://127.0.0.1:{server.port}/detect", "--picture", bench.picture,
                  "--unique")
        found[form] = max(way.load("--closed", "-c", c)["ok_per_s"] for c in (2, 8))
        bench.stop(server)
        bench.say("  peer: {} worker(s), {} thread(s), {} at once, {}: {:.1f}/s".format(
            *form, found[form]))
    return max(found, key=found.get)


def pictures(bench):
    shared = os.path.abspath(bench.args.shared)
    model = f"{shared}/models/yolov8n.onnx"
    bench.say(f"Pictures: {os.path.basename(bench.picture)}, YOLOv8n, each distinct")
    form = best_picture_peer(bench, model)
    peer = picture_peer(bench, model, form)
    qdq = picture_peer(bench, f"{shared}/models/yolov8n_qdq_all.onnx", form)
    ours = bench.volley(bench.models(yolov8n=model, int8=int8_model(bench)))
    base = ("--picture", bench.picture, "--unique")
    url = f"http://127.0.0.1:{ours.port}/v1/images:detect?model="
    ways = [Way("FastAPI, ONNX Runtime, fp32", bench,
                f"http://127.0.0.1:{peer.port}/detect", *base),
            Way("FastAPI, ONNX Runtime, int8 (QDQ)", bench,
                f"http://127.0.0.1:{qdq.port}/detect", *base),
            Way("Volley, the file as it is (bf16)", bench, url + "yolov8n", *base),
            Way("Volley, int8", bench, url + "int8", *base)]
    bench.rounds(ways, 8, open_at=ways[0])
    bench.table(ways, "pictures")
    bench.judge("bf16 over the peer's fp32", ratio(ways[2], ways[0]), 3)
    bench.judge("int8 over the peer's fp32", ratio(ways[3], ways[0]), 4.5)
    bench.judge_latency(ways[2], ways[0])
    bench.judge_latency(ways[3], ways[0])
    bench.say(f"  for comparison: int8 over the peer's int8: {ratio(ways[3], ways[1]):.1f}x")
    bench.stop_all()


# ---- sensors ----

def sensor_servers(bench):
    model = os.path.abspath(f"{bench.args.shared}/models/step_detection.onnx")
    ours = bench.volley(bench.models(step=model))
    peers = {n: bench.peer("step_server", n, STEP_MODEL=model) for n in (1, 2)}
    return ours, peers


def best_of(bench, candidates, connections, seconds=1):
    """The way and the number of connections that do most."""
    found = {}
    for way in candidates:
        for c in connections:
            found[way, c] = way.rate(way.load("--closed", "-c", c, seconds=seconds))
            bench.say(f"  tried: {way.name}, {c} connections: {found[way, c]:.0f}/s")
    return max(found, key=found.get)


def cheapest_client(bench, port, path, body, connections):
    """Requests a second by http_load, which does nothing but send and count."""
    request = os.path.join(bench.directory, "reading")
    with open(request, "wb") as f:
        f.write((f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                 f"Content-Length: {len(body)}\r\n\r\n{body}").encode())
    out = subprocess.run([os.path.join(bench.args.build, "bench", "http_load"), "--port", str(port),
                          "--connections", str(connections), "--seconds", "2", request],
                         check=True, capture_output=True, text=True, preexec_fn=on(bench.cores))
    return json.loads(out.stdout)["per_s"]


def sensors(bench):
    bench.say("Sensors: 6 floats, JSON over HTTP/1.1, a reading a request, no pipelining")
    ours, peers = sensor_servers(bench)
    data = ("--data", json.dumps(READING))
    candidates = [Way(f"FastAPI, {n} worker{'s' * (n > 1)}, {path}", bench,
                      f"http://127.0.0.1:{s.port}{path}", *data)
                  for n, s in peers.items() for path in ("/detect_step_async", "/fast")]
    peer, connections = best_of(bench, candidates, (8, 32))
    url = f"http://127.0.0.1:{ours.port}"
    v2 = Way("Volley, /v2/models/step/infer, JSON", bench, url, "--model", "step")
    ways = [peer, v2]
    bench.rounds(ways, connections, open_at=peer, seconds=2)
    bench.table(ways, "readings")
    bench.judge("Volley over the peer", ratio(v2, peer), 5)
    bench.judge_latency(v2, peer)
    v2_body = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 6],
                                      "data": list(READING.values())}]})
    where = urllib.parse.urlsplit(peer.url)
    asked = ((ours.port, "/v2/models/step/infer", v2_body),
             (where.port, where.path, json.dumps(READING)))
    rates = [[cheapest_client(bench, *a, connections) for a in asked]
             for _ in range(bench.args.rounds)]
    bench.say("  by a client that only sends and counts (http_load): {:.0f}/s, peer {:.0f}/s: "
              "{:.1f}x".format(*(statistics.median(r[k] for r in rates) for k in (0, 1)),
                               statistics.median(r[0] / r[1] for r in rates)))
    bench.stop_all()
    return peer.most()


# ---- streams ----

def websocket_way(bench, name, port, path, message, **more):
    return Way(name, bench, f"ws://127.0.0.1:{port}{path}", *message, **more)


def streams(bench, http_rate):
    bench.say("Streams of readings: WebSocket of the peer, gRPC stream of Volley, the same model")
    ours, peers = sensor_servers(bench)
    packet = os.path.join(bench.directory, "packet")
    with open(packet, "wb") as f:
        f.write(struct.pack("<6f", *READING.values()) * 16)
    one = [websocket_way(bench, f"FastAPI, {n} worker{'s' * (n > 1)}, WebSocket, one a message",
                         s.port, "/ws/realtime?user_id={}",
                         ("--data", json.dumps(READING), "--greetings", "1"))
           for n, s in peers.items()]
    many = [websocket_way(bench, f"FastAPI, {n} worker{'s' * (n > 1)}, WebSocket, 16 a message",
                          s.port, "/ws/packets", ("--body", packet), per_request=16)
            for n, s in peers.items()]
    peer, connections = best_of(bench, one, (8, 32))
    peer_many, _ = best_of(bench, many, (connections,))
    grpc = f"grpc://127.0.0.1:{ours.port}"
    ways = [peer, peer_many] + [
        Way(f"Volley, gRPC stream, {n} a message", bench, grpc, "--model", "step", "--rows", n,
            "--stream", "--in-flight", 8 if n == 1 else 4, per_request=n) for n in STREAM_ROWS]
    bench.rounds(ways, connections, seconds=2)
    bench.table(ways, "readings")
    best = max(ways[2:], key=Way.most)
    if http_rate:
        bench.judge("Volley's stream over the peer's readings/s over HTTP", best.most() / http_rate,
                    40)
    bench.say(f"  over the peer's WebSocket, one a message: {ratio(best, peer):.1f}x; over its "
              f"WebSocket with 16 a message: {ratio(best, peer_many):.1f}x")
    bench.stop_all()


# ---- cached answers ----

def echo_floor(bench, server_core, client_core, request, answer):
    """Requests a second of a server that only reads and writes as many bytes."""
    tool = os.path.join(bench.args.build, "bench", "http_load")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    echo = subprocess.Popen([tool, "--echo", "--port", port, request, answer],
                            stdout=subprocess.PIPE, preexec_fn=on({server_core}))
    echo.stdout.readline()
    try:
        out = subprocess.run([tool, "--port", port, "--connections", "8", "--seconds", "2",
                              request], check=True, capture_output=True, text=True,
                             preexec_fn=on({client_core})).stdout
    finally:
        echo.kill()
        echo.wait()
        echo.stdout.close()
    return json.loads(out)["per_s"]


def small_picture(bench):
    """The same picture, 640 px high: what a camera or a browser would send."""
    path = os.path.join(bench.directory, "bus640.jpg")
    program = ("import sys\nfrom PIL import Image\n"
               "Image.open(sys.argv[1]).resize((480, 640)).save(sys.argv[2], quality=80)\n")
    subprocess.run([os.path.join(bench.args.peer, "venv", "bin", "python"), "-c", program,
                    bench.picture, path], check=True)
    return path


def cached(bench):
    server_core, client_core = sorted(bench.cores)[0], sorted(bench.cores)[-1]
    model = os.path.abspath(f"{bench.args.shared}/models/yolov8n.onnx")
    bench.say("Cached answers: one picture again and again, server and client a core each")
    ours = bench.volley(bench.models(yolov8n=model), "http.loops=1", *bench.args.cache_set,
                        cores={server_core})
    for path in (bench.picture, small_picture(bench)):
        url = f"http://127.0.0.1:{ours.port}/v1/images:detect"
        way = Way("", bench, url, "--picture", path, cores={client_core})
        with open(path, "rb") as f:
            body = f.read()
        head = (f"POST /v1/images:detect HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n"
                f"Content-Length: {len(body)}\r\n\r\n").encode()
        with urllib.request.urlopen(urllib.request.Request(
                url, body, {"Content-Type": "image/jpeg"})) as answer:
            answer_bytes = (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
                            b"%d\r\n\r\n" % int(answer.headers["Content-Length"])) + answer.read()
        files = [os.path.join(bench.directory, n) for n in ("request", "answer")]
        for name, content in zip(files, (head + body, answer_bytes)):
            with open(name, "wb") as f:
                f.write(content)
        floors = []
        for _ in range(bench.args.rounds):
            way.closed.append(way.load("--closed", "-c", 8, seconds=2))
            floors.append(echo_floor(bench, server_core, client_core, *files))
        hits = statistics.median(r["cached_per_s"] for r in way.closed)
        share = sum(r["cached"] for r in way.closed) / sum(r["ok"] for r in way.closed)
        floor = statistics.median(floors)
        bench.say(f"  {len(body) / 1000:.0f} kB: {hits:.0f} cached answers/s ({share:.1%} hits), "
                  f"p99 {way.p99('closed'):.2f} ms; a server that only reads and writes as many "
                  f"bytes: {floor:.0f}/s, {hits / floor:.0%}")
        last = hits
    bench.judge(f"cached answers a second on one core, pictures of {len(body) / 1000:.0f} kB", last,
                20000, "{:.0f}")
    bench.stop_all()


def main():
    global is_realtime
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--build", default="build-release")
    p.add_argument("--peer", default=os.path.join(ROOT, "build-peers", "fastapi"),
                   help="made by bench/peers/fastapi/setup.sh")
    p.add_argument("--shared", default=os.environ.get(
        "VOLLEY_SHARED", os.path.join(os.path.dirname(ROOT), "shared")))
    p.add_argument("--int8", help="quantised already (default: `volley model quantize`)")
    p.add_argument("--seconds", type=float, default=3.0, help="of one measurement")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--only", action="append", choices=["pictures", "sensors", "streams", "cached"])
    p.add_argument("--cache-set", action="append", default=["cache.models=*"],
                   help="settings of the cached server")
    p.add_argument("--realtime", action="store_true",
                   help="servers and clients before all other programs; root")
    p.add_argument("--out", help="write NAME.txt, too")
    args = p.parse_args()
    is_realtime = args.realtime
    only = args.only or ["pictures", "sensors", "streams", "cached"]
    with tempfile.TemporaryDirectory(prefix="volley-compare-") as directory:
        bench = Bench(args, directory)
        m = machine.describe()
        bench.say(f"Volley beside FastAPI, {m['date']}, commit {machine.commit(ROOT)}")
        bench.say(f"{m['cpu']}, 2 cores for servers and client together, load before "
                  f"{m['load_before']:.2f}{', before other programs' if is_realtime else ''}")
        try:
            http_rate = None
            for part in only:
                bench.say()
                if part == "sensors":
                    http_rate = sensors(bench)
                elif part == "streams":
                    streams(bench, http_rate)
                else:
                    {"pictures": pictures, "cached": cached}[part](bench)
        finally:
            bench.stop_all()
    if args.out:
        with open(args.out + ".txt", "w", encoding="utf-8") as f:
            f.write("\n".join(bench.lines) + "\n")
    sys.exit(not all(bench.verdicts))


if __name__ == "__main__":
    main()
