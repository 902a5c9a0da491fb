# SPDX-License-Identifier: MIT
"""Sessions of motion sensors: they outlive connections, the process, and kill -9.

A client keeps the readings that are not acknowledged as durable and, when it comes back, goes on
from the number that the server names.
"""
import contextlib
import csv
import io
import json
import os
import resource
import signal
import sqlite3
import struct
import subprocess

from harness import PATIENCE, Server, equal, run, wait_until
from ws_client import BINARY, PING, TEXT, WebSocket

CROWD = 1000
SEEDS = 8
SECONDS = 12
PIECE = 60  # readings in a packet
PERIOD_MS = 12.5


class Walk:
    """A synthetic recording as packets, and what it comes to in one piece."""

    def __init__(self, t, seed):
        self.csv = subprocess.run([t.volley, "synth", "imu", "--seconds", str(SECONDS), "--seed",
                                   str(seed), "--activity", "walk,stand"], check=True,
                                  capture_output=True).stdout
        rows = list(csv.reader(io.StringIO(self.csv.decode())))[1:]
        self.n = len(rows)
        self.us = [round(float(row[0]) * 1e6) for row in rows]
        self.floats = [struct.pack("<6f", *map(float, row[1:7])) for row in rows]

    def packet(self, first):
        """Reading `first` and those behind it, as in codec/imu_packet.h."""
        n = min(PIECE, self.n - first)
        t0 = self.us[first]
        head = struct.pack("<4sBBHQqIff", b"VIMU", 1, 1 | 4 | 8, n, first, t0, 0, 0, 0)
        return head + b"".join(struct.pack("<i", self.us[i] - t0) + self.floats[i]
                               for i in range(first, first + n))

    def judge(self, s):
        """Events as (type, step) -> the rest, and the sum of steps."""
        answer = s.ask("POST", "/v1/imu:detect", self.csv)
        equal(answer.status, 200, answer.body[:300])
        self.events = {(e["type"], e["step"], e["t_ms"]): e for e in answer.json()["events"]}
        self.steps = answer.json()["steps"]
        assert self.steps > 5, self.steps


class Client:
    """A person on the way; lives longer than connections and servers."""

    def __init__(self, number, walk):
        self.number, self.walk = number, walk
        self.events, self.acked, self.lost = {}, 0, []

    def connect(self, s):
        self.w = WebSocket(s.port, f"/v1/stream?kind=steps&user=u{self.number}&device=d&batch=true")
        equal(self.w.status, 101)
        self.session = self.w.json()
        equal(self.session["type"], "session")
        self.next = self.session["next"]
        assert self.next >= self.acked, (self.next, self.acked)
        self.lost.append((self.acked, self.next))

    def send(self):
        """The next piece; False: there is none."""
        if self.next >= self.walk.n:
            return False
        self.w.send(self.walk.packet(self.next), BINARY)
        self.next = min(self.next + PIECE, self.walk.n)
        return True

    def note(self, e):
        key = (e["type"], e["step"], e["t_ms"])
        equal(self.events.setdefault(key, e), e, "an event told again")

    def listen(self):
        """All that comes until the end of the session or of the connection."""
        try:
            while True:
                kind, payload = self.w.receive()
                if kind == PING:  # its turn was long in coming
                    continue
                if kind != TEXT or not payload:
                    self.end = f"closed: {kind} {payload}"
                    return None
                m = json.loads(payload)
                for e in m.get("events", [m] if m.get("type", "").startswith("step.") else []):
                    self.note(e)
                if m.get("type") == "ack":
                    self.acked = m["next"]
                elif m.get("type") in ("stopped", "session.replaced"):
                    return m
        except (ConnectionResetError, json.JSONDecodeError) as why:
            self.end = repr(why)  # the server was killed in the middle of a message
            return None

    def check_events(self):
        """Told once each; only what was on its way when the server died may be missing."""
        want = self.walk.events
        for key, e in self.events.items():
            equal(want.get(key), e, f"client {self.number}: an event that the walk has not")
        for key in want.keys() - self.events.keys():
            at = want[key]["known_ms"] / PERIOD_MS
            assert any(acked <= at + 1 and at < next for acked, next in self.lost), (
                self.number, key, self.lost)


def serve(t, store, *args):
    """A crowd of clients takes its turns, and each is silent for longer than a stream may be."""
    return t.serve("--store", store, "--set", "imu.snapshot_ms=20", "--set",
                   "http.max_connections=4000", "--set", "stream.idle_ms=3600000", *args)


def allow_files(n):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(n, hard)), hard))


def kill_9_loses_nothing(t):
    allow_files(2 * CROWD + 200)
    store = t.path("crowd.db")
    walks = [Walk(t, seed) for seed in range(SEEDS)]
    crowd = [Client(i, walks[i % SEEDS]) for i in range(CROWD)]
    for n_rounds in (5, 4):
        with serve(t, store) as s:
            for c in crowd:
                c.connect(s)
            for _ in range(n_rounds - 2):
                for c in crowd:
                    c.send()
            wait_until("snapshots", lambda: n_durable(s) > CROWD // 2)
            for _ in range(2):  # some of it reaches the disk, some does not
                for c in crowd:
                    c.send()
            s.signal(signal.SIGKILL)
            s.wait()
        for c in crowd:
            c.listen()
            c.w.sock.close()
    assert any(c.acked > 0 for c in crowd), "nobody was told of anything durable"
    with serve(t, store) as s:
        assert any("sessions in" in line and " go on" in line for line in s.lines), s.lines
        for walk in walks:
            walk.judge(s)
        for c in crowd:
            c.connect(s)
        equal(s.get("/v1/sessions?limit=1").json()["attached"], CROWD)
        assert sum(c.session["resumed"] for c in crowd) > CROWD // 2
        while any([c.send() for c in crowd]):
            pass
        for c in crowd:
            c.w.ask(action="stop")
        for c in crowd:
            last = c.listen()
            assert last is not None, f"client {c.number}: {c.end}"
            equal((last["type"], last["steps"], last["readings"], last["next"]),
                  ("stopped", c.walk.steps, c.walk.n, c.walk.n), f"client {c.number}")
            c.check_events()
        equal(s.get("/v1/sessions").json()["count"], 0)
        equal(s.stop(), 0, "exit status")


def n_durable(s):
    return sum(x["durable"] > 0 for x in s.get("/v1/sessions?limit=1000").json()["sessions"])


def metric(s, name):
    text = s.get("/metrics").body.decode()
    return float(text.split(f"\nvolley_imu_{name} ")[1].split("\n")[0])


def an_orderly_end_saves_all(t):
    store = t.path("orderly.db")
    c = Client(1, Walk(t, 1))
    with serve(t, store, "--set", "imu.snapshot_ms=3600000") as s:
        c.connect(s)
        for _ in range(3):
            c.send()
        # What the server has read is saved, so it must have read all.
        wait_until("readings", lambda: metric(s, "readings_total") == 3 * PIECE)
        equal(s.stop(), 0, "exit status")
        c.listen()
    with serve(t, store) as s:
        c.walk.judge(s)
        c.connect(s)
        equal((c.session["resumed"], c.next), (True, 3 * PIECE))
        while c.send():
            pass
        c.w.ask(action="stop")
        equal(c.listen()["steps"], c.walk.steps)
        c.check_events()


def sessions_over_http(t):
    walk = Walk(t, 2)
    with t.serve("--set", "imu.max_sessions=3", "--set", "imu.snapshot_ms=10", "--set",
                 "imu.idle_ms=1000") as s:
        crowd = [Client(i, walk) for i in range(3)]
        for c in crowd:
            c.connect(s)
        equal(WebSocket(s.port, "/v1/stream?kind=steps").status, 429)
        page = s.get("/v1/sessions?limit=2").json()
        equal((len(page["sessions"]), page["count"], page["attached"]), (2, 3, 3))
        rest = s.get("/v1/sessions?limit=2&after=" + page["after"]).json()
        equal(len(rest["sessions"]), 1)
        assert "after" not in rest, rest
        ids = [x["session"] for x in page["sessions"] + rest["sessions"]]
        equal(sorted(ids), ids)
        equal(set(ids), {c.session["session"] for c in crowd})
        one = "/v1/sessions/" + crowd[0].session["session"]
        crowd[0].send()
        wait_until("readings", lambda: s.get(one).json()["readings"] == PIECE)
        answer = s.ask("POST", one + ":reset")
        equal((answer.status, answer.json()["readings"], answer.json()["next"]), (200, 0, PIECE))
        answer = s.ask("DELETE", one)
        equal((answer.status, answer.json()["user"]), (200, "u0"))
        equal(crowd[0].listen()["type"], "session.replaced")
        equal(s.get(one).status, 404)
        for c in crowd[1:]:
            c.w.close()
        wait_until("idle sessions to be forgotten",
                   lambda: s.get("/v1/sessions").json()["count"] == 0)
        equal(metric(s, "sessions_expired_total"), 2)
        equal(s.stop(), 0, "exit status")


def backups_are_made_meanwhile(t):
    """Whole at any time, also when the server is killed while it makes one; one restores."""
    store, copy = t.path("live.db"), t.path("live.db.backup")

    def rows():
        with contextlib.closing(sqlite3.connect(copy)) as db:
            equal(db.execute("PRAGMA integrity_check").fetchall(), [("ok",)])
            return db.execute("SELECT count(*) FROM session").fetchone()[0]

    def backup(s):
        return subprocess.run([t.volley, "store", "backup", "--json", "--server",
                               f"http://127.0.0.1:{s.port}"], capture_output=True, text=True)

    walk = Walk(t, 3)
    with serve(t, store) as s:
        crowd = [Client(i, walk) for i in range(20)]
        for c in crowd:
            c.connect(s)
            c.send()
        wait_until("all are saved", lambda: n_durable(s) == 20)
        p = backup(s)
        equal(p.returncode, 0, p.stderr)
        told = json.loads(p.stdout)["backup"]
        equal((told["path"], told["running"], told["made"]), (copy, False, 1))
        equal((told["pages_done"], os.stat(copy).st_mode & 0o777), (told["pages"], 0o600))
        equal(rows(), 20)
        equal(s.get("/v1/store").json()["backup"]["made"], 1)
        p = subprocess.run([t.volley, "store", "backup", "--timeout", "-1"], capture_output=True,
                           text=True)
        assert p.returncode == 1 and "--timeout: expected 1 to" in p.stderr, p.stderr
        os.mkdir(copy + ".part")  # in the way
        p = backup(s)
        assert p.returncode != 0 and "live.db.backup.part" in p.stderr, p.stderr
        os.rmdir(copy + ".part")
        equal((rows(), s.get("/v1/store").json()["backup"]["failed"]), (20, 1))
        asking = subprocess.Popen([t.volley, "store", "backup", "--server",
                                   f"http://127.0.0.1:{s.port}"], stderr=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL)
        s.signal(signal.SIGKILL)
        s.process.wait(PATIENCE)
        asking.wait(PATIENCE)
        equal(rows(), 20)
    with serve(t, copy) as s:
        equal(s.get("/v1/sessions").json()["count"], 20)
        equal(s.stop(), 0, "exit status")
    with t.serve() as s:
        equal((s.get("/v1/store").status, s.ask("POST", "/v1/store:backup").status), (503, 503))


def fails_to_start(t, said, *args):
    try:
        with open(t.path("said"), "w") as log:
            with Server(t.volley, t.models, *args, log=log):
                raise AssertionError("it serves")
    except RuntimeError:
        pass
    with open(t.path("said")) as log:
        text = log.read()
    assert said in text and "store.path" in text, text


def stores_that_cannot_be_used(t):
    junk = t.path("junk.db")
    with open(junk, "wb") as f:
        f.write(b"not a database " * 1000)
    fails_to_start(t, "not a database", "--store", junk)
    fails_to_start(t, "No such file", "--store", t.path("nowhere/store.db"))
    store = t.path("one.db")
    with serve(t, store) as s:
        fails_to_start(t, "another process uses it", "--store", store)
        equal(os.stat(store).st_mode & 0o777, 0o600, "rights")
        equal(s.stop(), 0, "exit status")


def without_a_model(t):
    with t.serve("--set", "steps.model=off") as s:
        equal(s.get("/v1/sessions").status, 503)
        equal(s.get("/health").status, 200)
        equal(s.stop(), 0, "exit status")


run(kill_9_loses_nothing, an_orderly_end_saves_all, sessions_over_http, backups_are_made_meanwhile,
    stores_that_cannot_be_used, without_a_model)
