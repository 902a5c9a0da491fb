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
loop and in a thread pool, decoded by libjpeg-turbo and by OpenCV, JSON checked by pydantic and not,
each with few connections and with more; all are tried first, the best is measured. Every server has
its own best number of connections. Each worker of the peer is a uvicorn of its own on a port of its
own, and the client gives each as many connections (--also): behind one listening socket the kernel
gives connections to whichever worker wakes up first, and one may get none.

Both are asked once before, and must find the same. Throughput is closed loop; then both get the
same open load, 80 % of what the peer can do, for latency (from when requests were due). All take
turns, round by round; figures are medians, ratios medians of the ratios round by round.

On streams both have the same rows a message and as many messages under way to choose from. The goal
of 40 is the best stream of Volley over the peer's best throughput of the sensor endpoint, JSON over
HTTP, measured in the same rounds; over the peer's own WebSocket it is told beside, row for row.

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
PICTURE_CONNECTIONS = (2, 4, 8)
SENSOR_CONNECTIONS = (8, 32)
STREAM_ROWS = (1, 16, 64)
STREAM_WAYS = ((8, 1), (8, 8), (32, 4))  # connections, messages under way on each
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
    """Workers, each a uvicorn on a port of its own."""

    def __init__(self, peer, app, workers, cores, **environment):
        self.processes, self.ports = [], []
        for _ in range(workers):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
            self.ports.append(port)
            self.processes.append(subprocess.Popen(
                [os.path.join(peer, "venv", "bin", "uvicorn"), f"{app}:app", "--port", str(port),
                 "--loop", "uvloop", "--http", "httptools", "--log-level", "warning",
                 "--no-access-log"],
                cwd=os.path.join(ROOT, "bench", "peers", "fastapi"), start_new_session=True,
                stderr=subprocess.DEVNULL, preexec_fn=on(cores),
                env=os.environ | environment | {"ORT_DISABLE_TELEMETRY": "1",
                                                "PYTHONDONTWRITEBYTECODE": "1"}))
        self.port = self.ports[0]
        self.also = [a for p in self.ports[1:] for a in ("--also", f"127.0.0.1:{p}")]
        for port, process in zip(self.ports, self.processes):
            wait_until_up(port, process)

    def stop(self):
        for process in self.processes:
            os.killpg(process.pid, signal.SIGTERM)
        for process in self.processes:
            process.wait()


class Way:
    """One row of the table: a server, what it is asked, and what came of it, round by round."""

    def __init__(self, name, bench, url, *args, per_request=1, cores=None):
        self.name, self.bench, self.url, self.args = name, bench, url, args
        self.per_request, self.cores = per_request, cores
        self.lanes = (8, 1)  # connections, under way at once on each
        self.closed, self.open = [], []

    def load(self, *more, lanes=None, **how):
        connections, at_once = lanes or self.lanes
        more += ("-c", connections) + (("--in-flight", at_once) if at_once > 1 else ())
        return self.bench.load(self.url, *self.args, *more, cores=self.cores, **how)

    def tune(self, choices):
        """Takes the lanes that do most."""
        found = {c: self.rate(self.load("--closed", lanes=c, seconds=1, warmup="200ms"))
                 for c in choices}
        self.lanes = max(found, key=found.get)
        self.bench.say("  tried: {}: {}".format(self.name, ", ".join(
            f"{f'{c} x {n}' if n > 1 else c} connections {r:.1f}/s"
            for (c, n), r in found.items())))
        return found[self.lanes]

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
    """Of throughput: median of the rounds' ratios."""
    return statistics.median(ours.rate(a) / peer.rate(b) for a, b in zip(ours.closed, peer.closed))


class Bench:
    def __init__(self, args, directory):
        self.args, self.directory = args, directory
        self.cores = set(sorted(os.sched_getaffinity(0))[:2])
        self.servers, self.lines, self.verdicts = [], [], []
        self.best_http = None  # of the peer's sensor endpoint: its name and lanes
        self.picture = os.path.join(args.shared, "data", "images", "classic", "bus.jpg")

    # ---- what runs ----

    def load(self, url, *args, seconds=None, cores=None, warmup="500ms"):
        command = [f"{self.args.build}/src/cli/volley", "load", url, "--json", "--quiet",
                   "--duration", f"{seconds or self.args.seconds}s", "--warmup", warmup,
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

    def input_name(self, url):
        with urllib.request.urlopen(f"{url}/v2/models/step") as answer:
            return json.load(answer)["inputs"][0]["name"]

    def peer_versions(self):
        program = ("import importlib.metadata as m, platform, sys\n"
                   "print(', '.join(['Python ' + platform.python_version()]\n"
                   "                + [f'{n} {m.version(n)}' for n in sys.argv[1:]]))\n")
        return subprocess.run(
            [os.path.join(self.args.peer, "venv", "bin", "python"), "-c", program, "fastapi",
             "uvicorn", "uvloop", "httptools", "onnxruntime", "numpy", "orjson", "simplejpeg"],
            check=True, capture_output=True, text=True).stdout.strip()

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
                 f"{'p50 same load':>14} {'p99':>9} lanes")
        for w in ways:
            rates = [w.rate(r) for r in w.closed]
            opened = (f"{w.p50():11.2f} ms {w.p99():6.2f} ms" if w.open else f"{'':24}")
            spread = f"({min(rates):.0f}..{max(rates):.0f})"
            self.say(f"  {w.name:42} {w.most():12.1f} {spread:>21} {w.p99('closed'):8.2f} ms "
                     f"{opened} {w.lanes[0]} x {w.lanes[1]}")

    def rounds(self, ways, open_at=None):
        """Closed loop in turns; then, when a way is given, the same open load for all."""
        for k in range(self.args.rounds):
            for w in ways[k % len(ways):] + ways[:k % len(ways)]:
                w.closed.append(w.load("--closed"))
        if open_at is None:
            return
        rate = max(0.8 * open_at.most() / open_at.per_request, 1)
        for k in range(self.args.rounds):
            for w in ways[k % len(ways):] + ways[:k % len(ways)]:
                w.open.append(w.load("--rate", f"{rate:.1f}", "--poisson"))
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


def best_of(ways, choices):
    """The way that does most, tuned."""
    found = [(way.tune(choices), k) for k, way in enumerate(ways)]
    return ways[max(found)[1]]


def single(connections):
    return [(c, 1) for c in connections]


def best_picture_peer(bench, model, base):
    found = {}
    for form in PICTURE_FORMS:
        server = picture_peer(bench, model, form)
        way = Way("{} worker(s), {} thread(s), {} at once, {}".format(*form), bench,
                  f"http://127.0.0.1:{server.port}/detect", *base, *server.also)
        found[form] = (way.tune(single(PICTURE_CONNECTIONS)), way.lanes)
        bench.stop(server)
    form = max(found, key=found.get)
    return form, found[form][1]


def ask(url, body, content_type):
    request = urllib.request.Request(url, body, {"Content-Type": content_type})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def overlap(a, b):
    def area(x):
        return max(x[2] - x[0], 0) * max(x[3] - x[1], 0)
    common = area([max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])])
    return common / (area(a) + area(b) - common)


def check_same_objects(bench, ours_url, peer_url):
    """Each object of one is one of the other's, of the same class."""
    with open(bench.picture, "rb") as f:
        body = f.read()
    ours = [(d["class_id"], d["bbox"]) for d in ask(ours_url, body, "image/jpeg")["detections"]]
    peer = [(d["class_id"], d["box"]) for d in ask(peer_url, body, "image/jpeg")["detections"]]
    worst = min((max((overlap(box, b) for c, b in ours if c == kind), default=0)
                 for kind, box in peer), default=0)
    if len(ours) != len(peer) or worst < 0.9:
        raise RuntimeError(f"not the same objects: {ours} and {peer}")
    bench.say(f"  both find the same {len(ours)} objects, boxes overlap by {worst:.1%} and more")


def pictures(bench):
    shared = os.path.abspath(bench.args.shared)
    model = f"{shared}/models/yolov8n.onnx"
    bench.say(f"Pictures: {os.path.basename(bench.picture)}, YOLOv8n, each distinct")
    base = ("--picture", bench.picture, "--unique")
    form, lanes = best_picture_peer(bench, model, base)
    peer = picture_peer(bench, model, form)
    qdq = picture_peer(bench, f"{shared}/models/yolov8n_qdq_all.onnx", form)
    ours = bench.volley(bench.models(yolov8n=model, int8=int8_model(bench)))
    url = f"http://127.0.0.1:{ours.port}/v1/images:detect?model="
    ways = [Way("FastAPI, ONNX Runtime, fp32", bench,
                f"http://127.0.0.1:{peer.port}/detect", *base, *peer.also),
            Way("FastAPI, ONNX Runtime, int8 (QDQ)", bench,
                f"http://127.0.0.1:{qdq.port}/detect", *base, *qdq.also),
            Way("Volley, the file as it is (bf16)", bench, url + "yolov8n", *base),
            Way("Volley, int8", bench, url + "int8", *base)]
    check_same_objects(bench, ways[2].url, ways[0].url)
    ways[0].lanes = lanes
    for way in ways[1:]:
        way.tune(single(PICTURE_CONNECTIONS))
    bench.rounds(ways, open_at=ways[0])
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


def cheapest_client(bench, ports, path, body, connections):
    """Requests a second by http_load, which does nothing but send and count; one for each port."""
    request = os.path.join(bench.directory, "reading")
    with open(request, "wb") as f:
        f.write((f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                 f"Content-Length: {len(body)}\r\n\r\n{body}").encode())
    running = [subprocess.Popen(
        [os.path.join(bench.args.build, "bench", "http_load"), "--port", str(port),
         "--connections", str(connections // len(ports)), "--seconds", "2", request],
        stdout=subprocess.PIPE, text=True, preexec_fn=on(bench.cores)) for port in ports]
    return sum(json.loads(p.communicate()[0])["per_s"] for p in running)


def sensor_ways(bench, peers):
    """What the peer's sensor endpoint does most with is among these."""
    return [Way(f"FastAPI, {n} worker{'s' * (n > 1)}, {path}", bench,
                f"http://127.0.0.1:{s.port}{path}", "--data", json.dumps(READING), *s.also)
            for n, s in peers.items() for path in ("/detect_step_async", "/fast")]


def best_sensor_way(bench, peers):
    """Tried once."""
    ways = sensor_ways(bench, peers)
    if bench.best_http is None:
        way = best_of(ways, single(SENSOR_CONNECTIONS))
        bench.best_http = way.name, way.lanes
    way = next(w for w in ways if w.name == bench.best_http[0])
    way.lanes = bench.best_http[1]
    return way


def check_same_reading(bench, ours_url, v2_body, peer_url):
    ours = ask(ours_url, v2_body.encode(), "application/json")["outputs"][0]["data"]
    peer = ask(peer_url, json.dumps(READING).encode(), "application/json")["prediction"]
    apart = max(abs(a - b) for a, b in zip(ours, peer, strict=True))
    if apart > 1e-3:
        raise RuntimeError(f"not the same prediction: {ours} and {peer}")
    bench.say(f"  both predict the same, {apart:.1g} apart at most")


def sensors(bench):
    bench.say("Sensors: 6 floats, JSON over HTTP/1.1, a reading a request, no pipelining")
    ours, peers = sensor_servers(bench)
    peer = best_sensor_way(bench, peers)
    url = f"http://127.0.0.1:{ours.port}"
    v2 = Way("Volley, /v2/models/step/infer, JSON", bench, url, "--model", "step")
    v2_body = json.dumps({"inputs": [{"name": bench.input_name(url), "datatype": "FP32",
                                      "shape": [1, 6], "data": list(READING.values())}]})
    check_same_reading(bench, f"{url}/v2/models/step/infer", v2_body, peer.url)
    v2.tune(single(SENSOR_CONNECTIONS))
    bench.rounds([peer, v2], open_at=peer)
    bench.table([peer, v2], "readings")
    bench.judge("Volley over the peer", ratio(v2, peer), 5)
    bench.judge_latency(v2, peer)
    where = urllib.parse.urlsplit(peer.url)
    ports = next(s.ports for s in peers.values() if s.port == where.port)
    asked = (([ours.port], "/v2/models/step/infer", v2_body, v2.lanes[0]),
             (ports, where.path, json.dumps(READING), peer.lanes[0]))
    rates = [[cheapest_client(bench, *a) for a in asked] for _ in range(bench.args.rounds)]
    bench.say("  by a client that only sends and counts (http_load): {:.0f}/s, peer {:.0f}/s: "
              "{:.1f}x".format(*(statistics.median(r[k] for r in rates) for k in (0, 1)),
                               statistics.median(r[0] / r[1] for r in rates)))
    bench.stop_all()


# ---- streams ----

def websocket_ways(bench, rows, peers):
    """The guide's messages, one a reading, or packets of floats."""
    packet = os.path.join(bench.directory, f"packet{rows}")
    with open(packet, "wb") as f:
        f.write(struct.pack("<6f", *READING.values()) * rows)
    path, message = (("/ws/realtime?user_id={}",
                      ("--data", json.dumps(READING), "--greetings", "1")) if rows == 1
                     else ("/ws/packets", ("--body", packet)))
    return [Way(f"FastAPI, {n} worker{'s' * (n > 1)}, WebSocket, {rows} a message", bench,
                f"ws://127.0.0.1:{s.port}{path}", *message, *s.also, per_request=rows)
            for n, s in peers.items()]


def streams(bench):
    bench.say("Streams of readings: WebSocket of the peer, gRPC stream of Volley, the same model")
    ours, peers = sensor_servers(bench)
    http = best_sensor_way(bench, peers)
    sockets = [best_of(websocket_ways(bench, rows, peers), STREAM_WAYS) for rows in STREAM_ROWS]
    ways = [Way(f"Volley, gRPC stream, {rows} a message", bench, f"grpc://127.0.0.1:{ours.port}",
                "--model", "step", "--rows", rows, "--stream", per_request=rows)
            for rows in STREAM_ROWS]
    for way in ways:
        way.tune(STREAM_WAYS)
    bench.rounds([http, *sockets, *ways])
    bench.table([http, *sockets, *ways], "readings")
    best, best_socket = max(ways, key=Way.most), max(sockets, key=Way.most)
    rows = best.per_request
    bench.judge(f"Volley's stream, {rows} readings a message, over the peer's best over HTTP",
                ratio(best, http), 40)
    for way, peer in zip(ways, sockets):
        bench.say(f"  for comparison: over the peer's WebSocket, {way.per_request} a message on "
                  f"both sides: {ratio(way, peer):.1f}x")
    bench.say(f"  for comparison: best stream over the peer's best WebSocket: "
              f"{ratio(best, best_socket):.1f}x")
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
    told = []
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
            way.closed.append(way.load("--closed"))
            floors.append(echo_floor(bench, server_core, client_core, *files))
        hits = statistics.median(r["cached_per_s"] for r in way.closed)
        share = sum(r["cached"] for r in way.closed) / sum(r["ok"] for r in way.closed)
        floor = statistics.median(floors)
        bench.say(f"  {len(body) / 1000:.0f} kB: {hits:.0f} cached answers/s ({share:.1%} hits), "
                  f"p99 {way.p99('closed'):.2f} ms; a server that only reads and writes as many "
                  f"bytes: {floor:.0f}/s, {hits / floor:.0%}")
        told.append((len(body) / 1000, hits))
    (large, large_hits), (small, hits) = told
    bench.judge(f"cached answers a second on one core, the picture at 640 px, {small:.0f} kB", hits,
                20000, "{:.0f}")
    bench.say(f"  not judged: the file as it is, {large:.0f} kB: {large_hits:.0f}")
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
    p.add_argument("--seconds", type=float, default=2.0, help="of one measurement")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--only", action="append", choices=["pictures", "sensors", "streams", "cached"])
    p.add_argument("--cache-set", action="append", default=["cache.models=*"],
                   help="settings of the cached server")
    p.add_argument("--realtime", action="store_true",
                   help="servers and clients before all other programs; root")
    p.add_argument("--out", help="write NAME.txt, too")
    args = p.parse_args()
    is_realtime = args.realtime
    parts = {"pictures": pictures, "sensors": sensors, "streams": streams, "cached": cached}
    with tempfile.TemporaryDirectory(prefix="volley-compare-") as directory:
        bench = Bench(args, directory)
        m = machine.describe()
        bench.say(f"Volley beside FastAPI, {m['date']}, commit {machine.commit(ROOT)}")
        bench.say(f"{m['cpu']}, 2 cores for servers and client together, load before "
                  f"{m['load_before']:.2f}{', before other programs' if is_realtime else ''}")
        bench.say(f"peer: {bench.peer_versions()}")
        try:
            for part in args.only or parts:
                bench.say()
                parts[part](bench)
        finally:
            bench.stop_all()
    if args.out:
        with open(args.out + ".txt", "w", encoding="utf-8") as f:
            f.write("\n".join(bench.lines) + "\n")
    sys.exit(not all(bench.verdicts))


if __name__ == "__main__":
    main()
