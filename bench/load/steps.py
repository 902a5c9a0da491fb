#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Steps for many at once, beside the usual way to serve such a model.

    steps.py --build DIR [--peer build-peers/fastapi] [--peer-model FILE] [--seconds S]
             [--rounds N] [--packet N]... [--out DIR/NAME] [--json]

Server and client have a core each; a server with two workers has two, one of them the client's.

Streams: sensors at 80 Hz send packets of --packet readings over WebSockets to one core of the
server, open loop, evenly in time, whether it keeps up or not. The latency of an event is from the
time when the packet with the reading at which it could be known was due to its arrival: what is
added to the look-ahead. "The most" is how many readings a second it takes with 99 % of the events
within 5 ms: found by halving, then measured again in the rounds, as is the rate of --goal.

One reading a message: POST /detect_step_async and the WebSocket /ws/realtime, of this server and of
FastAPI (bench/peers/fastapi: uvicorn, uvloop, httptools, ONNX Runtime; one worker and two), closed
loop, over as many connections as do best of 1, 8 and 32.

All take turns, round by round; figures are medians over the rounds. The readings are those of
`volley synth imu`. Only Python's standard library is used.
"""
import argparse
import csv
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

from serve import ROOT, machine  # beside this file

RATE_HZ = 80
LIMIT_MS = 5.0
CONNECTIONS = (1, 8, 32)
is_realtime = False
SESSIONS_MAX = 16384
SIGNAL_S = 600
BODY = json.dumps({"accel_x": 0.5, "accel_y": 9.6, "accel_z": 1.2, "gyro_x": 0.1, "gyro_y": 0.2,
                   "gyro_z": 0.3}).encode()
STREAM = "/v1/stream?kind=steps&user=load&device="
REALTIME = "/ws/realtime?user_id="
REQUEST = (b"POST /detect_step_async HTTP/1.1\r\nHost: 127.0.0.1\r\n"
           b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(BODY)) + BODY


class Child:
    """How what measures and what is measured is begun."""
    is_realtime = False

    @classmethod
    def on(cls, cores):
        def prepare():
            os.sched_setaffinity(0, cores)
            if cls.is_realtime:
                os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
        return prepare


class Volley:
    """This server on one core."""
    name = "Volley"

    def __init__(self, build, directory, core):
        models = os.path.join(directory, "models")
        os.makedirs(models, exist_ok=True)
        self.process = subprocess.Popen(
            [os.path.join(build, "src", "cli", "volley"), "serve", "--models", models, "--port",
             "0", "--set", "http.loops=1", "--set", f"imu.max_sessions={2 * SESSIONS_MAX}",
             "--set", f"http.max_connections={2 * SESSIONS_MAX}"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            preexec_fn=Child.on({core}))
        for line in self.process.stdout:
            if line.startswith("listening"):
                self.port = int(line.rsplit(":", 1)[1])
                return
        raise RuntimeError("the server ended")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.process.terminate()
        self.process.wait()


class FastApi:
    """The peer; workers > 1 share all cores."""

    def __init__(self, peer, model, workers, cores):
        self.name = f"FastAPI, {workers} worker{'s' * (workers > 1)}"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        here = os.path.join(ROOT, "bench", "peers", "fastapi")
        self.process = subprocess.Popen(
            [os.path.abspath(os.path.join(peer, "venv", "bin", "uvicorn")), "step_server:app",
             "--port", str(self.port), "--workers", str(workers), "--loop", "uvloop", "--http",
             "httptools", "--log-level", "warning", "--no-access-log"], cwd=here, start_new_session=True,
            env=os.environ | {"STEP_MODEL": os.path.abspath(model), "ORT_DISABLE_TELEMETRY": "1",
                              "PYTHONDONTWRITEBYTECODE": "1"},
            preexec_fn=Child.on(cores))
        self.wait_until_up()

    def wait_until_up(self):
        for _ in range(600):
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except ConnectionRefusedError:
                if self.process.poll() is not None:
                    raise RuntimeError("the peer ended") from None
                time.sleep(0.05)
        raise RuntimeError("the peer does not listen")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait()


def make_signal(build, directory):
    """Readings as imu_load wants them."""
    name = os.path.join(directory, "walk")
    subprocess.run([os.path.join(build, "src", "cli", "volley"), "synth", "imu", "--seconds",
                    str(SIGNAL_S), "--out", name + ".csv"], check=True, capture_output=True)
    axes = [f"{s}_{a}" for s in ("acc", "gyro") for a in "xyz"]
    with open(name + ".csv") as f, open(name + ".f32", "wb") as out:
        for row in csv.DictReader(f):
            out.write(struct.pack("<6f", *(float(row[k]) for k in axes)))
    return name + ".f32"


class Bench:
    def __init__(self, args, directory):
        self.args, self.directory = args, directory
        self.cores = sorted(os.sched_getaffinity(0))
        self.readings = make_signal(args.build, directory)
        self.request = os.path.join(directory, "request")
        with open(self.request, "wb") as f:
            f.write(REQUEST)

    def client(self, tool, *args):
        out = subprocess.run([os.path.join(self.args.build, "bench", tool), *map(str, args)],
                             check=True, capture_output=True, text=True,
                             preexec_fn=Child.on({self.cores[-1]}))
        return json.loads(out.stdout)

    def stream(self, port, rate, packet):
        """Readings a second of so many sensors; p99 in ms is infinite when it does not keep up."""
        n = max(1, round(rate / RATE_HZ))
        got = self.client("imu_load", "--port", port, "--sessions", n, "--packet", packet,
                          "--rate", RATE_HZ, "--seconds", self.args.seconds, "--path", STREAM,
                          self.readings)
        late, events = got["client_late_us"], got["latency_us"]
        is_whole = got["failed"] == 0 and events["n"] > 0
        return {"rate": got["readings_per_s"], "sessions": n, "events": events["n"],
                "p50_ms": events["p50"] / 1e3 if is_whole else float("inf"),
                "p99_ms": events["p99"] / 1e3 if is_whole else float("inf"),
                "client_late_p99_ms": late["p99"] / 1e3}

    def realtime(self, port, connections):
        got = self.client("imu_load", "--ask", "--port", port, "--sessions", connections,
                          "--seconds", self.args.seconds, "--path", REALTIME, self.readings)
        if got["failed"]:
            raise RuntimeError(f"{got['failed']} connections failed")
        return {"rate": got["readings_per_s"], "p50_ms": got["latency_us"]["p50"] / 1e3,
                "p99_ms": got["latency_us"]["p99"] / 1e3}

    def post(self, port, connections):
        got = self.client("http_load", "--port", port, "--connections", connections,
                          "--seconds", self.args.seconds, self.request)
        if got["failed"]:
            raise RuntimeError(f"{got['failed']} connections failed")
        return {"rate": got["per_s"], "p50_ms": got["us"]["p50"] / 1e3,
                "p99_ms": got["us"]["p99"] / 1e3}

    def highest_rate(self, port, packet):
        """That holds twice in a row, within 10 %: doubled until it is too much, then halved
        between; no less than 1 % of what the client can do."""
        good, bad, most = 0.0, None, SESSIONS_MAX * RATE_HZ
        rate = most / 8
        while (bad is None or bad > 1.1 * good) and rate > most / 100:
            if all(self.stream(port, rate, packet)["p99_ms"] < LIMIT_MS for _ in range(2)):
                good = rate
            else:
                bad = rate
            if good == most:
                break
            rate = min(2 * good, most) if bad is None else (good + bad) / 2
        return good or rate


class Way:
    """One row: what it is, and its rounds."""

    def __init__(self, name, ask, **more):
        self.name, self.ask, self.more, self.rounds = name, ask, more, []

    def row(self):
        middle = {k: statistics.median(r[k] for r in self.rounds) for k in self.rounds[0]}
        rates = [r["rate"] for r in self.rounds]
        return {"name": self.name, **self.more, **middle, "rate_rounds": [min(rates), max(rates)]}


def best_of(bench, ask, port):
    """The number of connections that does most."""
    return max(CONNECTIONS, key=lambda n: ask(port, n)["rate"])


def ways_of(bench, servers):
    ours = servers[0]
    for packet in bench.args.packet:
        top = bench.highest_rate(ours.port, packet)
        for rate, what in ((bench.args.goal, "the goal"), (top, "the most")):
            yield Way(f"Volley, WebSocket, packets of {packet}, {what}",
                      lambda rate=rate, packet=packet: bench.stream(ours.port, rate, packet),
                      packet=packet)
    for server in servers:
        for what, ask in (("WebSocket, JSON, one reading", bench.realtime),
                          ("POST /detect_step_async", bench.post)):
            n = best_of(bench, ask, server.port)
            yield Way(f"{server.name}, {what}",
                      lambda ask=ask, n=n, port=server.port: ask(port, n), connections=n)


def lines_of(result):
    m = result["machine"]
    yield f"steps over sockets, {m['date']}, commit {result['commit']}"
    yield (f"{m['cpu']}, {m['cores']} cores, load before {m['load_before']:.2f}"
           f"{', before other programs' if m['is_realtime'] else ''}; one core for the server, one "
           "for the client")
    yield ""
    yield f"{'':58} readings/s   (rounds)              p50 ms   p99 ms"
    for r in result["ways"]:
        low, high = r["rate_rounds"]
        yield (f"{r['name']:58} {r['rate']:10.0f}   ({low:.0f}..{high:.0f}){'':4}"
               f"{r['p50_ms']:8.2f} {r['p99_ms']:8.2f}")


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--build", default="build-release")
    p.add_argument("--peer", default=os.path.join(ROOT, "build-peers", "fastapi"),
                   help="made by bench/peers/fastapi/setup.sh")
    p.add_argument("--peer-model", default=os.path.join(os.path.dirname(ROOT), "shared", "models",
                                                        "step_detection.onnx"))
    p.add_argument("--goal", type=float, default=300e3, help="readings a second (default 300000)")
    p.add_argument("--packet", type=int, action="append", help="default 4 and 16")
    p.add_argument("--seconds", type=float, default=2.0, help="of one measurement")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--realtime", action="store_true",
                   help="servers and clients before all other programs: figures of an idle machine "
                        "on a busy one; root")
    p.add_argument("--json", action="store_true")
    p.add_argument("--out", help="write NAME.json and NAME.txt, too")
    args = p.parse_args()
    args.packet = args.packet or [4, 16]
    Child.is_realtime = args.realtime
    result = {"machine": machine.describe() | {"is_realtime": args.realtime},
              "commit": machine.commit(ROOT)}
    with tempfile.TemporaryDirectory(prefix="volley-steps-") as directory:
        bench = Bench(args, directory)
        core, both = bench.cores[0], set(bench.cores[:1] + bench.cores[-1:])
        with (Volley(args.build, directory, core) as ours,
              FastApi(args.peer, args.peer_model, 1, {core}) as one,
              FastApi(args.peer, args.peer_model, 2, both) as two):
            ways = list(ways_of(bench, (ours, one, two)))
            for _ in range(args.rounds):
                for way in ways:
                    way.rounds.append(way.ask())
        result["ways"] = [w.row() for w in ways]
    text = "\n".join(lines_of(result))
    print(json.dumps(result, indent=1) if args.json else text)
    if args.out:
        with open(args.out + ".json", "w") as f:
            json.dump(result, f, indent=1)
        with open(args.out + ".txt", "w") as f:
            f.write(text + "\n")


if __name__ == "__main__":
    main()
