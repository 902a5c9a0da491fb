# SPDX-License-Identifier: MIT
"""Processes with one engine each, and how they take turns."""
import json
import os
import statistics
import subprocess
import sys
import tempfile

import pictures

HERE = os.path.dirname(os.path.abspath(__file__))
ISAS = {"avx2": "AVX2", "avx512": "AVX512_CORE_BF16"}  # oneDNN's names
N_STARTS = 3  # load times are medians of so many


class Peer:
    """What to run; start() makes its process."""

    def __init__(self, context, engine, precision, model, threads, spin=False):
        self.engine, self.precision, self.spin = engine, precision, spin
        self.file = os.path.basename(model)
        self.spec = {"engine": engine, "precision": precision, "model": model, "threads": threads,
                     "spin": spin, "inputs": context.inputs(model), "library": context.library,
                     "timer": context.timer, "realtime": context.realtime,
                     "cpus": sorted(os.sched_getaffinity(0))[:threads]}
        self.environment = os.environ | context.held_to
        self.rounds = []
        self.loads = []

    @property
    def label(self):
        names = {"volley": "Volley", "ort": "ONNX Runtime", "openvino": "OpenVINO"}
        return names[self.engine]

    def start(self):
        # its standard error is for people: warnings of the rivals are not ours
        self.process = subprocess.Popen([sys.executable, os.path.join(HERE, "engines.py"),
                                         json.dumps(self.spec)], stdin=subprocess.PIPE,
                                       env=self.environment,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            ready = json.loads(self.process.stdout.readline())
        except ValueError:
            error = self.process.stderr.read().strip().splitlines()
            self.process.wait()
            raise RuntimeError(f"{self.label} {self.precision} {self.file}: "
                               f"{error[-1] if error else 'no answer'}") from None
        self.version = ready["version"]
        self.loads.append(ready["load_ms"])

    def ask(self, **order):
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def end(self):
        self.rss_mb = self.ask(end=1)["rss_kb"] / 1e3
        self.process.stdin.close()
        self.process.wait()

    def output(self, context):
        path = os.path.join(context.directory, "output.f32")
        self.ask(output=path)
        with open(path, "rb") as f:
            return f.read()

    def samples(self):
        return sorted(ns for r in self.rounds for ns in r)

    def medians(self):
        return [statistics.median(r) for r in self.rounds]

    def median(self):
        return statistics.median(self.samples())

    def over(self, other):
        """How many times as fast as other: the median of the ratios round by round."""
        return statistics.median(b / a for a, b in zip(self.medians(), other.medians()))

    def row(self):
        ns = self.samples()
        pick = lambda q: ns[min(len(ns) - 1, round(q * (len(ns) - 1)))] / 1e6
        medians = [m / 1e6 for m in self.medians()]
        return {"engine": self.label, "version": self.version, "precision": self.precision,
                "file": self.file, "spin": self.spin, "n": len(ns),
                "ms": {"min": ns[0] / 1e6, "median": pick(0.5), "p95": pick(0.95),
                       "rounds": [min(medians), max(medians)]},
                "load_ms": statistics.median(self.loads), "rss_mb": self.rss_mb}


class Context:
    """Where things are, and the inputs that all engines get."""

    def __init__(self, build, library, picture, cpu=None, realtime=False):
        self.build, self.library, self.picture = build, library, picture
        # ONNX Runtime has no such setting: it always uses what the CPU has
        self.held_to = {"VOLLEY_CPU": cpu, "ONEDNN_MAX_CPU_ISA": ISAS[cpu]} if cpu else {}
        self.realtime = realtime
        self.timer = os.path.join(build, "libtimer.so")
        self.models = os.path.join(build, "models")
        os.makedirs(self.models, exist_ok=True)
        self.directory = tempfile.mkdtemp(prefix="volley-peers-")
        self.made = {}

    def inputs(self, model):
        import onnx
        _, shape = pictures.input_of(onnx.load(model, load_external_data=False))
        key = tuple(shape)
        if key not in self.made:
            self.made[key] = os.path.join(self.directory, "x".join(map(str, shape)) + ".f32")
            pictures.tensor(shape, self.picture).tofile(self.made[key])
        return [{"shape": shape, "file": self.made[key]}]


def take_turns(peers, rounds, seconds):
    """Every peer runs once in each round; each round begins with another one."""
    for r in range(rounds):
        for peer in peers[r % len(peers):] + peers[:r % len(peers)]:
            peer.rounds.append(peer.ask(seconds=seconds)["ns"])


def best(peers, say):
    """The fastest of several forms of one rival, by a short contest. Those that cannot run the
    model are told and left out."""
    running = []
    for peer in peers:
        try:
            peer.start()
            running.append(peer)
        except RuntimeError as why:
            say(f"left out: {why}"[:200])
    if len(running) > 1:
        take_turns(running, 3, 0.3)
        running.sort(key=Peer.median)
        say("; ".join(f"{p.label} {p.precision} {p.file}{' spin' if p.spin else ''} "
                      f"{p.median() / 1e6:.4g} ms" for p in running))
    for peer in running:
        peer.end()
        peer.rounds = []
    return running[:1]


def contest(peers, rounds, seconds):
    for i in range(N_STARTS):
        for peer in peers:
            peer.start()
            if i + 1 < N_STARTS:
                peer.end()
    take_turns(peers, rounds, seconds)
