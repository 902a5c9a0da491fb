# SPDX-License-Identifier: MIT
"""Steps over HTTP and WebSockets: /v1/imu:detect, /v1/stream?kind=steps.

The walk is that of `volley synth imu`; the client is the tests' own.
"""
import csv
import gzip
import io
import json
import os
import socket
import struct
import subprocess

from harness import equal, run, wait_until
from ws_client import BINARY, CLOSE, WebSocket

SECONDS = 30
AXES = ("acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z")


def f32(x):
    return struct.unpack("<f", struct.pack("<f", x))[0]


class Walk:
    """A synthetic recording: as CSV, and its readings."""

    def __init__(self, t, *args):
        p = subprocess.run([t.volley, "synth", "imu", "--seconds", str(SECONDS), "--activity",
                            "stand,walk,up", *args], check=True, capture_output=True)
        self.csv = p.stdout
        rows = list(csv.reader(io.StringIO(p.stdout.decode())))
        names = [name.strip() for name in rows[0]]
        self.rows = [[float(row[i]) for i in range(min(7, len(names)))] for row in rows[1:]]

    def timed(self, begin=0, end=None):
        """[t_ms, ax, ...] of each."""
        return [[round(row[0] * 1e6) / 1000, *row[1:]] for row in self.rows[begin:end]]

    def packet(self, begin, end, first=None):
        """codec/imu_packet.h: times each, floats."""
        rows = self.rows[begin:end]
        us = [round(row[0] * 1e6) for row in rows]
        head = struct.pack("<4sBBHQqIff", b"VIMU", 1, 1 | 4 | (8 if first is not None else 0),
                           len(rows), first or 0, us[0], 0, 0, 0)
        return head + b"".join(struct.pack("<i6f", at - us[0], *row[1:])
                               for at, row in zip(us, rows))


def detect(s, body, query="", **headers):
    headers = {k.replace("_", "-"): v for k, v in headers.items()}
    return s.ask("POST", f"/v1/imu:detect{query}", body, headers)


def ended(events):
    return sum(e["type"] == "step.end" for e in events)


class Stream(WebSocket):
    """A client of kind=steps that has heard of its session."""

    def __init__(self, s, query=""):
        super().__init__(s.port, f"/v1/stream?kind=steps&{query}")
        if self.status == 101:
            self.session = self.json()
            equal(self.session["type"], "session")

    def say(self, action):
        self.send(json.dumps({"action": action}))

    def until(self, kind):
        """Events and acknowledgements before the message of that type; and it."""
        events = []
        while True:
            m = self.json()
            if "events" in m:
                events += m["events"]
            elif m["type"].startswith("step."):
                events.append(m)
            elif m["type"] == kind:
                return events, m
            else:
                equal(m["type"], "ack", "type")

    def stop(self):
        """What is left of the events, and the message; then the server closes."""
        self.say("stop")
        events, last = self.until("stopped")
        kind, payload = self.receive()
        equal((kind, payload[:2]), (CLOSE, struct.pack(">H", 1000)), "close")
        self.send(payload[:2], CLOSE)
        equal(self.receive(), (None, b""), "end")
        return events, last


# ---- recordings ----


def detects_a_recording(t):
    """The bytes of `volley steps --json`, whatever the recording came as."""
    walk = Walk(t)
    path = t.path("walk.csv")
    with open(path, "wb") as f:
        f.write(walk.csv)
    def cli(*args):
        return subprocess.run([t.volley, "steps", path, *args], check=True,
                              capture_output=True).stdout
    with t.serve() as s:
        answer = detect(s, walk.csv, Content_Type="text/csv")
        equal(answer.status, 200, answer.body)
        equal(answer.headers["content-type"], "application/json")
        equal(answer.body + b"\n", cli("--json"), "JSON")
        want = answer.json()
        assert want["steps"] > 20, want["steps"]
        equal(want["samples"], len(walk.rows))
        answer = detect(s, walk.csv, Accept="text/csv")
        equal(answer.headers["content-type"], "text/csv; charset=utf-8")
        equal(answer.body, cli("--csv"), "CSV")
        answer = detect(s, walk.csv, Accept="image/svg+xml, */*")
        equal(answer.headers["content-type"], "image/svg+xml")
        assert answer.body.startswith(b"<svg") or b"<svg" in answer.body[:200], answer.body[:80]
        packets = b"".join(walk.packet(i, i + 100) for i in range(0, len(walk.rows), 100))
        for body, name in ((walk.csv.replace(b",", b"\t"), "TSV"), (packets, "packets"),
                           (json.dumps([dict(zip(("t_ms", *AXES), row)) for row in walk.timed()]),
                            "JSON")):
            answer = detect(s, body)
            equal(answer.status, 200, (name, answer.body[:300]))
            equal(answer.json()["events"], want["events"], name)
        equal(s.stop(), 0, "exit status")


def reads_what_the_query_says(t):
    walk = Walk(t)
    bare = "\n".join(",".join(map(repr, row[1:])) for row in walk.rows).encode()
    with t.serve() as s:
        want = detect(s, walk.csv).json()
        for query in ("?fs=80", "?rate=80", "?fs=40&rate=80",
                      "?columns=acc_x,acc_y,acc_z,gyro_x,gyro_y,gyro_z&acc_unit=m/s2"
                      "&gyro_unit=rad/s&rate=80"):
            got = detect(s, bare, query).json()
            equal(got["input"]["rate_hz"], 80, query)
            equal(got["samples"], len(walk.rows), query)
            assert abs(got["steps"] - want["steps"]) <= 1, (query, got["steps"], want["steps"])
        got = detect(s, walk.csv, "?events=false").json()
        equal((got["events"], got["steps"]), ([], want["steps"]))
        fast = detect(s, bare, "?rate=160").json()
        equal(fast["duration_s"] * 2, detect(s, bare, "?rate=80").json()["duration_s"])
        least = int(detect(s, walk.csv, "?look_ahead_ms=0").json()["error"].split("least ")[1]
                    .split(" ")[0])
        got = detect(s, walk.csv, f"?look_ahead_ms={least}").json()
        assert got["look_ahead_ms"] <= want["look_ahead_ms"], got["look_ahead_ms"]
        for query, said in (("?rate=0.5", "'rate': expected 1 to 10000 Hz, got '0.5'"),
                            ("?rate=x", "got 'x'"), ("?events=maybe", "'events'"),
                            ("?columns=acc_x", "columns"), ("?acc_unit=parsec", "unit"),
                            ("?look_ahead_ms=-3", "'look_ahead_ms'"), ("?columns=%zz", "escape")):
            answer = detect(s, walk.csv, query)
            equal(answer.status, 400, (query, answer.body[:200]))
            assert said in answer.json()["error"], (query, answer.body)


def takes_compressed_recordings(t):
    walk = Walk(t)
    with t.serve() as s:
        want = detect(s, walk.csv).body
        equal(detect(s, gzip.compress(walk.csv), Content_Encoding="gzip").body, want, "gzip")
        for name, program in (("zstd", "zstd"), ("lz4", "lz4")):
            try:
                packed = subprocess.run([program, "-c"], input=walk.csv, capture_output=True,
                                        check=True).stdout
            except FileNotFoundError:
                continue
            equal(detect(s, packed, Content_Encoding=name).body, want, name)
        answer = detect(s, b"not gzip", Content_Encoding="gzip")
        equal(answer.status, 400, answer.body)
        answer = detect(s, walk.csv, Content_Encoding="br")
        equal(answer.status, 501, answer.body)


def refuses_bad_recordings(t):
    walk = Walk(t)
    lines = walk.csv.decode().splitlines(keepends=True)
    with t.serve("--set", "imu.max_readings=1000", "--set", "http.max_body_bytes=1MiB") as s:
        for body, status, said in (
                (b"", 400, "expected a recording in the body, got nothing"),
                (b"\x89PNG\r\n\x1a\n\0\0", 400, ""),
                (b"a,b\n1,2\n", 400, "acc"),
                (b"time,acc_x,acc_y,acc_z\n", 400, ""),
                (b"{\"readings\":", 400, ""),
                (walk.packet(0, 10)[:-1], 400, ""),
                (walk.csv, 413, "1000"),
                (b"1," * 600000, 413, "")):
            answer = detect(s, body)
            equal(answer.status, status, (body[:40], answer.body))
            assert said in answer.json()["error"], (body[:40], answer.body)
        bad = "".join(lines[:500] + ["1,nan,2,3,4,5,6,0\n", "x,y\n"] + lines[500:900])
        got = detect(s, bad.encode()).json()
        left_out = got["left_out"]
        equal(left_out["not_finite"], {"n": 1, "first_line": 501})
        equal(left_out["not_a_number"], {"n": 1, "first_line": 502})
        answer = s.get("/v1/imu:detect")
        equal((answer.status, answer.headers["allow"]), (405, "POST"))
        equal(s.stop(), 0, "exit status")


def peak(s):
    """The most memory that was ever resident, in bytes."""
    with open(f"/proc/{s.process.pid}/status") as f:
        return next(int(line.split()[1]) << 10 for line in f if line.startswith("VmHWM:"))


def json_costs_what_it_may(t):
    """json.max_memory_bytes bounds a recording, text and parsed form, json.max_depth its depth."""
    limit, n = 16 << 20, 12 << 20
    with t.serve("--set", f"json.max_memory_bytes={limit}", "--set", "json.max_depth=5") as s:
        before = peak(s)
        for body, what in ((b"[" + b"0," * (n // 2) + b"0]", f"more than {limit} bytes"),
                           (b"[" * n, "nested deeper than 5"),
                           (b"[" * 6 + b"]" * 6, "nested deeper than 5")):
            answer = detect(s, body)
            equal((answer.status, what in answer.json()["error"]), (413, True), answer.body)
        if os.environ.get("VOLLEY_TEST_SANITIZER", "none") == "none":
            # Bodies, their copies in the reader and what malloc keeps of them; parsed without a
            # bound, 16 bytes for each value, it were 200 MB for one.
            most = 4 * (n + limit)
            assert peak(s) - before < most, f"{peak(s) - before} bytes, not {most}"
        equal(detect(s, Walk(t).csv).status, 200, "afterwards")
        equal(s.stop(), 0, "exit status")


def many_recordings_at_once(t):
    """More than may wait are told so; clients that leave harm nobody."""
    walk = Walk(t)
    body = walk.csv * 1
    head = (f"POST /v1/imu:detect HTTP/1.1\r\nHost: h\r\nContent-Length: {len(body)}\r\n\r\n"
            .encode())
    with t.serve("--set", "queue.max=2", "--set", "threads=1") as s:
        want = detect(s, body).body
        def ask():
            c = socket.create_connection(("127.0.0.1", s.port), 60)
            c.sendall(head + body)
            return c
        clients = [ask() for _ in range(12)]
        for c in clients[::3]:
            c.close()
        statuses = []
        for i, c in enumerate(clients):
            if i % 3 == 0:
                continue
            f = c.makefile("rb")
            statuses.append(int(f.readline().split()[1]))
            c.close()
        assert set(statuses) <= {200, 429}, statuses
        equal(detect(s, body).body, want, "afterwards")
        equal(s.stop(), 0, "exit status")


# ---- streams ----


def streams_what_it_posts(t):
    """However the readings come, the events are those of the recording, to the bit."""
    walk = Walk(t)
    n = len(walk.rows)
    with t.serve() as s:
        want = detect(s, walk.csv).json()["events"]
        def check(w, name):
            events, last = w.stop()
            equal(events, want, name)
            equal((last["readings"], last["steps"], last["next"]), (n, ended(want), n), name)
        w = Stream(s, "user=a&device=rows")
        equal((w.session["user"], w.session["device"], w.session["resumed"], w.session["next"]),
              ("a", "rows", False, 0))
        assert w.session["look_ahead_ms"] > 0 and w.session["model"] == "steps", w.session
        for i in range(0, n, 50):
            w.ask(readings=walk.timed(i, i + 50), first=i)
        check(w, "rows")
        w = Stream(s, "batch=true")
        for i in range(0, n, 333):
            w.send(walk.packet(i, min(i + 333, n), i), BINARY)
        check(w, "packets")
        w = Stream(s, "batch=1")
        w.send(b"".join(walk.packet(i, min(i + 100, n)) for i in range(0, n, 100)), BINARY)
        check(w, "packets in one message")
        w = Stream(s)
        for row in walk.timed():
            w.ask(**dict(zip(("t_ms", "accel_x", "accel_y", "accel_z", "gyro_x", "gyro_y",
                              "gyro_z"), row)))
        check(w, "one by one")
        equal(s.stop(), 0, "exit status")


def readings_without_times(t):
    """They come at the rate that the client says."""
    walk = Walk(t, "--rate", "50")
    bare = "\n".join(",".join(map(repr, row[1:])) for row in walk.rows).encode()
    with t.serve() as s:
        want = detect(s, bare, "?rate=50").json()["events"]
        w = Stream(s, "rate=50")
        for i in range(0, len(walk.rows), 64):
            w.ask(readings=[row[1:] for row in walk.rows[i:i + 64]])
        equal(w.stop()[0], want, "events")
        no_gyro = "\n".join(",".join(map(repr, row[1:4])) for row in walk.rows).encode()
        want = detect(s, no_gyro, "?rate=50&columns=acc_x,acc_y,acc_z").json()["events"]
        w = Stream(s, "rate=50&gyro=false")
        w.ask(readings=[row[1:4] for row in walk.rows])
        equal(w.stop()[0], want, "without a gyroscope")


def errors_do_not_end_it(t):
    walk = Walk(t)
    with t.serve() as s:
        want = detect(s, walk.csv).json()["events"]
        w = Stream(s, "user=u&device=d")
        w.ask(readings=walk.timed(0, 100), first=0)
        for message, kind, said in (
                ("nope", 1, "expected JSON"),
                ("[]", 1, "expected an object"),
                ('{"action":"fly"}', 1, "'action': expected stop, reset or stats"),
                ('{"readings":[[1,2]]}', 1, "reading 0: expected an array of 6 numbers"),
                ('{"readings":[[1,2,3,4,5,900]]}', 1, "gyro_z: expected within 70 rad/s"),
                ('{"accel_x":1}', 1, "expected 'accel_y', which is missing"),
                (b"VIMUnot a packet", BINARY, ""),
                (walk.packet(0, 5)[:-2], BINARY, ""),
                (json.dumps({"readings": walk.timed(0, 1), "first": 101}), 1, "100"),
                (walk.packet(120, 130, 120), BINARY, "100")):
            w.send(message, kind)
            got = w.json()
            equal((got["type"], got["next"]), ("error", 100), message)
            assert said in got["error"], (message, got)
        w.ask(readings=walk.timed(50, 200), first=50)  # half of it is known already
        w.ask(readings=walk.timed(200))
        events, last = w.stop()
        equal(events, want, "events")
        equal(last["counts"], {"duplicates": 0, "out_of_order": 0, "bridged": 0, "gaps": 0})


def goes_on_where_it_was(t):
    """Who leaves and comes back goes on; who comes beside takes over."""
    walk = Walk(t)
    n = len(walk.rows)
    with t.serve() as s:
        want = detect(s, walk.csv).json()["events"]
        w = Stream(s, "user=u&device=d")
        w.ask(readings=walk.timed(0, 1000))
        w.say("stats")
        events, stats = w.until("stats")
        equal((stats["session"], stats["next"], stats["attached"]),
              (w.session["session"], 1000, True))
        w.close()
        w = Stream(s, "user=u&device=d")
        equal((w.session["resumed"], w.session["next"], w.session["session"]),
              (True, 1000, stats["session"]))
        w.ask(readings=walk.timed(1000, 1500))
        w.say("stats")
        events += w.until("stats")[0]
        other = Stream(s, f"session={stats['session']}")
        equal((other.session["resumed"], other.session["next"]), (True, 1500))
        more, gone = w.until("session.replaced")
        equal((more, gone["session"]), ([], stats["session"]))
        equal(w.receive()[0], CLOSE)
        other.ask(readings=walk.timed(1500))
        more, last = other.stop()
        equal(events + more, want, "events")
        equal(last["next"], n)
        w = Stream(s, "user=u&device=d")  # it ended, so this is another
        equal((w.session["resumed"], w.session["next"]), (False, 0))
        equal(Stream(s, f"session={stats['session']}").status, 404)


def begins_anew(t):
    walk = Walk(t)
    n = len(walk.rows)
    with t.serve() as s:
        want = detect(s, walk.csv).json()["events"]
        w = Stream(s)
        w.ask(readings=walk.timed(0, 1200))
        w.say("reset")
        events, got = w.until("reset")
        assert events, "nothing was told before the reset"
        equal((got["steps"], got["readings"], got["next"]), (0, 0, 1200))
        w.ask(readings=walk.timed(), first=1200)
        events, last = w.stop()
        equal(events, want, "events")
        equal((last["steps"], last["next"]), (ended(want), 1200 + n))


def refuses_streams(t):
    with t.serve("--set", "imu.max_sessions=2") as s:
        for query, status, said in (("user=" + "x" * 65, 400, "user"),
                                    ("user=%00", 400, "escape"), ("user=a%0ab", 400, "user"),
                                    ("session=00", 404, ""), ("rate=0", 400, "'rate'"),
                                    ("gyro=no", 400, "'gyro'"), ("batch=2", 400, "'batch'")):
            w = Stream(s, query)
            assert said in w.body.decode(), (query, w.body)
            equal(w.status in (status, 400), True, (query, w.status, w.body))
        held = [Stream(s), Stream(s)]
        w = Stream(s)
        equal(w.status, 429, w.body)
        held[0].stop()
        equal(Stream(s).status, 101)
    with t.serve("--set", "steps.model=off") as s:
        equal(Stream(s).status, 503)
        equal(detect(s, b"x").status, 503)
        equal(s.get("/step_count").status, 503)


def a_client_who_does_not_read(t):
    """Is held back, then left; its session stays."""
    walk = Walk(t)
    n = len(walk.rows)
    with t.serve("--set", "stream.max_out_bytes=1KiB") as s:
        w = Stream(s, "user=u&device=deaf&batch=true")
        w.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        first = 0
        try:
            for _ in range(200):
                for i in range(0, n, 500):
                    w.send(walk.packet(i, min(i + 500, n)), BINARY)
                w.say("reset")
                first += n
        except OSError:
            pass
        wait_until("the stream is gone",
                   lambda: b"volley_http_streams_open 0" in s.get("/metrics").body
                   or b"streams_open" not in s.get("/metrics").body)
        again = Stream(s, "user=u&device=deaf")
        equal(again.session["resumed"], True)
        again.stop()
        equal(s.stop(), 0, "exit status")


def ends_with_the_server(t):
    walk = Walk(t)
    with t.serve() as s:
        w = Stream(s, "user=u&device=d")
        w.ask(readings=walk.timed(0, 200))
        w.say("stats")
        w.until("stats")
        s.signal()
        kind, payload = w.receive()
        equal((kind, payload[:2]), (CLOSE, struct.pack(">H", 1001)))
        w.send(payload[:2], CLOSE)
        equal(s.wait(), 0, "exit status")


def acknowledges_what_is_on_disk(t):
    walk = Walk(t)
    with t.serve("--store", t.path("s.db"), "--set", "imu.snapshot_ms=20") as s:
        w = Stream(s, "user=u&device=d")
        w.ask(readings=walk.timed(0, 300))
        events, ack = [], {"next": 0}
        while ack["next"] < 300:
            m = w.json()
            if m["type"] == "ack":
                assert m["next"] >= ack["next"], (m, ack)
                ack = m
        w.close()
        equal(s.stop(), 0, "exit status")
    with t.serve("--store", t.path("s.db")) as s:
        w = Stream(s, "user=u&device=d")
        equal((w.session["resumed"], w.session["next"]), (True, 300))


run(detects_a_recording, reads_what_the_query_says, takes_compressed_recordings,
    refuses_bad_recordings, json_costs_what_it_may, many_recordings_at_once, streams_what_it_posts,
    readings_without_times, errors_do_not_end_it, goes_on_where_it_was, begins_anew,
    refuses_streams, a_client_who_does_not_read, ends_with_the_server,
    acknowledges_what_is_on_disk)
