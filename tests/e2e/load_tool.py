# SPDX-License-Identifier: MIT
"""`volley load` against a server whose behaviour is known: it says what happened, exactly."""
import asyncio
import json
import os
import pty
import resource
import signal
import socket
import struct
import subprocess
import threading
import time
import xml.etree.ElementTree
import zlib

from harness import equal, png, run, wait_until


class Known:
    """An HTTP/1.1 server on a thread of its own; its paths say how it behaves."""

    def __init__(self, stalls_at=0, stall_s=0.0):
        self.stalls_at, self.stall_s = stalls_at, stall_s
        self.n, self.n_connections, self.bodies, self.headers, self.heads = 0, 0, [], [], []
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        started = asyncio.run_coroutine_threadsafe(self.start(), self.loop)
        self.port = started.result(60)

    async def start(self):
        self.one_at_a_time = asyncio.Lock()
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0, backlog=256)
        return server.sockets[0].getsockname()[1]

    async def serve(self, reader, writer):
        self.n_connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                lines = head.split("\r\n")
                headers = dict(line.split(": ", 1) for line in lines[1:-2])
                length = int(headers.get("Content-Length", 0))
                self.bodies.append(await reader.readexactly(length))
                self.headers.append(headers)
                self.heads.append(head)
                self.n += 1
                path = lines[0].split()[1].split("?")[0]
                writer.write(await self.answer(path, self.n))
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.close()

    async def answer(self, path, n):
        if n == self.stalls_at:
            time.sleep(self.stall_s)  # the whole server stands still
        if path == "/never":
            await asyncio.sleep(3600)
        if path == "/slow":  # a hundred a second, and no more
            async with self.one_at_a_time:
                await asyncio.sleep(0.01)
        if path == "/half" and n % 2 == 0:
            return b"HTTP/1.1 503 No\r\nContent-Length: 4\r\n\r\nbusy"
        more = b"Volley-Cache: hit\r\n" if path == "/cached" and n % 4 == 0 else b""
        return b"HTTP/1.1 200 OK\r\n" + more + b"Content-Length: 5\r\n\r\nhello"

    def url(self, path="/"):
        return f"http://127.0.0.1:{self.port}{path}"

    def __enter__(self):
        return self

    async def stop(self):
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def __exit__(self, *exc):
        asyncio.run_coroutine_threadsafe(self.stop(), self.loop).result(60)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


def load(t, *args, status=0):
    p = subprocess.run([t.volley, "load", *args, "--json", "--quiet"], capture_output=True,
                       text=True, timeout=120)
    assert p.returncode == status, f"exit status {p.returncode}: {p.stdout}{p.stderr}"
    return json.loads(p.stdout) if p.stdout else p.stderr


def counts_exactly(t):
    with Known() as s:
        r = load(t, s.url("/ok"), "--rate", "100", "--duration", "2s", "--warmup", "0")
        equal(s.n, 201, "requests that the server saw, the first one included")
        equal((r["requests"], r["ok"], r["error_share"]), (200, 200, 0))
        equal(r["latency_ms"]["count"], 200)
        equal(sum(m["ok"] for m in r["timeline"]), 200, "the time line")
        assert abs(r["ok_per_s"] * r["seconds"] - 200) < 0.01 and r["seconds"] >= 2, r
        s.n = 0
        r = load(t, s.url("/ok"), "--ramp", "0..200", "--duration", "2s", "--warmup", "0")
        equal((s.n, r["requests"]), (201, 200), "the area below the ramp")
        s.n = 0
        load(t, s.url("/ok"), "--rate", "50", "--spike", "500@400ms+200ms", "--duration", "1s",
             "--warmup", "0", "--threads", "2")
        equal(s.n, 1 + 20 + 100 + 20, "requests of a spike, of two threads")
        s.n = 0
        load(t, s.url("/ok"), "--rate", "50", "--duration", "1s", "--warmup", "1s", "--no-check")
        equal(s.n, 100, "with warm-up, without a first request")


def spreads_connections(t):
    with Known() as a, Known() as b, Known() as c:
        also = ["--also", f"127.0.0.1:{b.port}", "--also", f"127.0.0.1:{c.port}"]
        load(t, a.url("/ok"), *also, "--rate", "120", "--duration", "1s", "--warmup", "0",
             "--no-check", "-c", "6", "--threads", "2")
        equal([a.n_connections, b.n_connections, c.n_connections], [2, 2, 2], "connections")
        equal(a.n + b.n + c.n, 120)
        text = load(t, a.url("/ok"), "--also", "127.0.0.1:x", status=2)
        assert "option --also" in text and "port" in text, text


def tells_outcomes_apart(t):
    with Known() as s:
        r = load(t, s.url("/half"), "--rate", "200", "--duration", "1s", "--warmup", "0",
                 "--no-check")
        equal((r["ok"], r["refused"], r["statuses"]), (100, 100, {"503": 100}))
        equal(r["reasons"], [{"outcome": "refused", "status": 503, "count": 100, "text": "busy"}])
        equal(r["error_share"], 0.5)
        equal(r["refused_ms"]["count"], 100)
        s.n = 0
        r = load(t, s.url("/cached"), "--rate", "200", "--duration", "1s", "--warmup", "0",
                 "--no-check")
        equal((r["cached"], r["cached_ms"]["count"], r["computed_ms"]["count"]), (50, 50, 150))
        r = load(t, s.url("/never"), "--rate", "20", "--duration", "1s", "--warmup", "0",
                 "--no-check", "--timeout", "300ms", status=1)
        equal((r["ok"], r["timeout"]), (0, 20))
        equal([(x["outcome"], x["text"], x["count"]) for x in r["reasons"]],
              [("timed out", "no answer in time", 20)])
        assert r["latency_ms"]["min"] >= 300, "a time-out counts with what was waited"
        r = load(t, s.url("/never"), "--rate", "100", "--duration", "1s", "--warmup", "0",
                 "--no-check", "--timeout", "4s", "--max-outstanding", "10", status=1)
        equal((r["timeout"], r["unsent"]), (10, 90))


def looks_through_answers(t):
    with Known() as s:
        plan = ["--rate", "100", "--duration", "500ms", "--warmup", "0"]
        r = load(t, s.url("/ok"), *plan, "--check", "ell")
        equal(r["ok"], 50)
        r = load(t, s.url("/ok"), *plan, "--check", "elk", "--no-check", status=1)
        equal((r["ok"], r["failed"]), (0, 50))
        equal([(x["text"], x["count"]) for x in r["reasons"]], [("the answer lacks 'elk'", 50)])
        text = load(t, s.url("/ok"), *plan, "--check", "elk", status=1)
        assert "the answer lacks 'elk'" in text, text


def tells_connections_that_cannot_be_made(t):
    def run_within(soft, hard):
        p = subprocess.run([t.volley, "load", s.url("/ok"), "--rate", "100", "--duration", "500ms",
                            "--warmup", "0", "-c", "100", "--quiet", "--json"],
                           capture_output=True, text=True, timeout=120,
                           preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE,
                                                                 (soft, hard)))
        equal(p.returncode, 0, p.stderr)
        return json.loads(p.stdout)

    with Known() as s:
        r = run_within(40, 40)
        assert 20 < r["connected"] < 40 and r["connect_failures"] > 0, r["connected"]
        equal((r["ok"], r["connections"]), (50, 100))
        r = run_within(40, 400)
        equal((r["ok"], r["connected"], r["connect_failures"]), (50, 100, 0))


def replaces_its_own_headers(t):
    with Known() as s:
        load(t, s.url("/ok"), "-d", "100ms", "--warmup", "0", "--data", "{}", "-H", "host: x.y",
             "-H", "Content-type: text/x", "-H", "User-Agent: me")
        lines = s.heads[-1].split("\r\n")[1:-2]
        equal(sorted(lines), ["Content-Length: 2", "Content-type: text/x", "Host: x.y",
                              "User-Agent: me"])


def refuses_options_that_do_not_fit(t):
    for url, *args in (("http", "--stream"), ("http", "--greetings", "1"), ("http", "--one-way"),
                       ("http", "--answer-has", "x"), ("http", "--first", "/dev/null"),
                       ("grpc", "--picture", "x.jpg"), ("grpc", "--method", "GET"),
                       ("ws", "--model", "m"), ("http", "--rows", "2"), ("http", "--form", "json"),
                       ("http", "--input-data", "x"), ("ws", "--one-way", "--check", "x"),
                       ("ws", "--greetings", "-1"), ("grpc", "--protocol", "http1"),
                       ("ws", "--in-flight", "-3"), ("http", "--header", "Content-Length: 1")):
        option = args[-2] if len(args) > 1 else args[0]
        text = load(t, f"{url}://127.0.0.1:1/", *args, status=2)
        assert f"option {option}" in text, text


def is_free_of_coordinated_omission(t):
    """The server stands still for a second of three: of the requests of an open loop a third was
    due then, and waited 0 .. 1 s. A closed loop has four requests under way, and sees no others.
    A machine that is slow itself makes the first wait longer, and leaves the others few."""
    with Known(stalls_at=200, stall_s=1.0) as s:
        r = load(t, s.url("/ok"), "--rate", "200", "--duration", "3s", "--warmup", "0", "-c", "4")
        wide = r["latency_ms"]
        equal(r["ok"], 600)
        assert wide["p90"] > 500 and wide["p99"] > 900, wide  # 700 and 970, and a little
    with Known(stalls_at=200, stall_s=1.0) as s:
        r = load(t, s.url("/ok"), "--closed", "--duration", "3s", "--warmup", "0", "-c", "4")
        equal(r["loop"], "closed")
        narrow = r["latency_ms"]
        assert narrow["max"] >= 900 and narrow["p90"] < 500, narrow


def judges_objectives(t):
    with Known() as s:
        base = [s.url("/half"), "--rate", "100", "--duration", "500ms", "--warmup", "0",
                "--no-check"]
        r = load(t, *base, "--slo", "errors<1%", "--slo", "p99<10s", status=4)
        equal([(o["objective"], o["kept"]) for o in r["objectives"]],
              [("errors<1%", False), ("p99<10s", False)])
        equal(r["objectives"][1]["measured"], None, "half of them never were answered")
        equal((r["kept"], r["objectives"][0]["measured"]), (False, 0.5))
        r = load(t, *base, "--slo", "errors<=50%", "--slo", "rate>=1")
        equal(r["kept"], True)
        load(t, *base, "--slo", "rate>=60", status=4)


def steps_until_it_breaks(t):
    with Known() as s:
        r = load(t, s.url("/half"), "--step", "20..40+20/1s", "--slo", "p60<10s", "--warmup", "0",
                 "--no-check", status=4)
        equal([x["held"] for x in r["steps"]], [False], "refusals keep no objective")
        r = load(t, s.url("/slow"), "--step", "20..800+390/1s", "--slo", "p99<2s", "--warmup", "0")
        equal([(x["rate"], x["held"]) for x in r["steps"]], [(20, True), (410, False)])
        equal(r["ok"], 20, "the figures of the step that held")
        load(t, s.url("/slow"), "--step", "400..800+400/1s", "--slo", "p99<100ms", "--warmup", "0",
             status=4)


def chunks(picture):
    equal(picture[:8], b"\x89PNG\r\n\x1a\n")
    at, found = 8, []
    while at < len(picture):
        n, kind = struct.unpack(">I4s", picture[at:at + 8])
        data = picture[at + 8:at + 8 + n]
        equal(struct.unpack(">I", picture[at + 8 + n:at + 12 + n])[0], zlib.crc32(kind + data))
        found.append((kind, data))
        at += 12 + n
    return found


def sends_bodies_in_turn(t):
    pictures = [png(4, 4, (k, 0, 0)) for k in range(3)]
    directory = t.path("pictures")
    os.mkdir(directory)
    for k, picture in enumerate(pictures):
        with open(os.path.join(directory, f"{k}.png"), "wb") as f:
            f.write(picture)
    with Known() as s:
        base = [s.url(), "--picture", directory, "--rate", "30", "--duration", "1s", "--warmup",
                "0", "--no-check", "-c", "1", "--key", "secret"]
        load(t, *base)
        equal(s.bodies, pictures * 10, "bodies")
        equal(s.headers[0]["Content-Type"], "image/png")
        equal(s.headers[0]["Authorization"], "Bearer secret")
        s.bodies = []
        load(t, *base, "--unique")
        equal(len(set(s.bodies)), 30, "distinct bodies")
        first = s.bodies
        s.bodies = []
        load(t, *base, "--unique")
        equal(len(set(first + s.bodies)), 60, "distinct from those of the run before")
        number = {c[0]: int(c[1][2:], 16) for c in chunks(first[0])[1:2]}[b"tEXt"]
        for k, body in enumerate(first):
            found = chunks(body)
            equal([c for c in found if c[0] != b"tEXt"], chunks(pictures[k % 3]))
            equal([c[1] for c in found if c[0] == b"tEXt"], [b"n\0%016x" % ((number + k) % 2**64)])


def asks_the_server_for_a_model(t):
    with t.serve() as s:
        url = f"http://127.0.0.1:{s.port}"
        for more in ([], ["--form", "binary"], ["--form", "binary", "--unique"]):
            r = load(t, url, "--model", "simple", "--rate", "100", "--duration", "500ms",
                     "--warmup", "0", *more)
            equal((r["requests"], r["ok"]), (50, 50))
        text = load(t, url, "--model", "nowhere", status=1)
        assert "model 'nowhere'" in text and "404" in text, text
        text = load(t, url + "/nowhere", status=1)
        assert "the first answer is no success (404)" in text, text


def speaks_other_protocols(t):
    reading = json.dumps({"accel_x": 0.5, "accel_y": 9.6, "accel_z": 1.2, "gyro_x": 0, "gyro_y": 0,
                          "gyro_z": 0})
    with t.serve() as s:
        at = f"127.0.0.1:{s.port}"
        plan = ["--rate", "100", "--duration", "500ms", "--warmup", "0", "-c", "3"]
        for url, transport, more in (
                (f"grpc://{at}", "grpc", ["--model", "simple"]),
                (f"http://{at}", "grpc", ["--model", "simple", "--protocol", "grpc"]),
                (f"grpc://{at}", "grpc", ["--model", "simple", "--unique", "--stream"]),
                (f"http://{at}", "http2", ["--model", "simple", "--protocol", "http2"]),
                (f"http://{at}/health", "http2", ["--protocol", "http2"]),
                (f"ws://{at}/ws/realtime?user_id={{}}", "websocket",
                 ["--greetings", "1", "--data", reading])):
            r = load(t, url, *plan, *more)
            equal((r["transport"], r["requests"], r["ok"]), (transport, 50, 50), " ".join(more))
        text = load(t, f"ws://{at}/ws/realtime?user_id={{}}", "--greetings", "1", "--data",
                    '{"bad":1}', status=1)
        assert "the first answer is no success" in text and "error" in text, text
        text = load(t, f"grpc://{at}", "--model", "nowhere", status=1)
        assert "model 'nowhere'" in text, text


def says_when_there_is_no_server(t):
    with socket.socket() as c:
        c.bind(("127.0.0.1", 0))
        port = c.getsockname()[1]
    text = load(t, f"http://127.0.0.1:{port}/", status=1)
    assert f"127.0.0.1:{port}" in text and "refused" in text, text
    text = load(t, f"http://127.0.0.1:{port}/", "--no-check", status=1)
    assert "cannot connect" in text, text
    for bad in (["--slo", "p99>1s"], ["--rate", "-1"], ["--ramp", "5"], ["--protocol", "ftp"],
                ["--closed", "--rate", "5"], ["--step", "1..2+1/1s"], ["--duration", "0"],
                ["--threads", "8", "-c", "4"]):
        text = load(t, f"http://127.0.0.1:{port}/", *bad, status=2)
        assert text.startswith("volley: "), text


def writes_reports(t):
    html, svg = t.path("report.html"), t.path("report.svg")
    with Known() as s:
        for path in (html, svg):
            load(t, s.url("/half") + "?a=<b>&c", "--rate", "100", "--duration", "1s", "--warmup",
                 "0", "--no-check", "--report", path, "--slo", "p99<10s", status=4)
    with open(html, encoding="utf-8") as f:
        text = f.read()
    root = xml.etree.ElementTree.fromstring(text.replace("<!DOCTYPE html>\n", ""))
    equal(root.tag, "html")
    equal(len(list(root.iter("{http://www.w3.org/2000/svg}svg"))), 1)
    assert "<script" not in text and "href" not in text and "url(http" not in text
    assert "50 of status 503" in text and "p99&lt;10s" in text
    equal(xml.etree.ElementTree.parse(svg).getroot().tag, "{http://www.w3.org/2000/svg}svg")


def knows_at_once_what_it_cannot_write(t):
    with Known() as s:
        text = load(t, s.url("/ok"), "--report", t.path("nowhere") + "/x.html", status=1)
        assert "option --report" in text and "No such file" in text, text
        equal(s.n, 0, "requests")
        r = load(t, s.url("/ok"), "--rate", "0.001", "--poisson", "--duration", "500ms",
                 "--warmup", "0", "--no-check", status=1)
        equal(r["requests"], 0, "nothing was measured")


def ends_early_with_a_report(t):
    with Known() as s:
        p = subprocess.Popen([t.volley, "load", s.url("/ok"), "--rate", "50", "--duration", "1h",
                              "--warmup", "0", "--json"], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True)
        line = p.stderr.readline()  # one a second
        assert "/s of 50.0/s" in line and "under way" in line, line
        p.send_signal(signal.SIGINT)
        out, _ = p.communicate(timeout=60)
        equal(p.returncode, 0, "exit status")
        r = json.loads(out)
        equal(r["interrupted"], True)
        assert 0 < r["ok"] <= r["requests"] < 3600 * 50 and r["seconds"] < 3600, r
        assert abs(r["ok_per_s"] * r["seconds"] - r["ok"]) < 0.01, r


def tells_what_was_left_at_the_end(t):
    with Known() as s:
        p = subprocess.Popen([t.volley, "load", s.url("/never"), "--timeout", "1h"],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until("the first request has come", lambda: s.n == 1)
        p.send_signal(signal.SIGINT)
        equal(p.wait(60), -signal.SIGINT, "ended during the first request")
        p = subprocess.Popen([t.volley, "load", s.url("/never"), "--rate", "50", "--duration",
                              "1h", "--warmup", "0", "--timeout", "1h", "--no-check", "--json",
                              "--slo", "p50<1h"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             text=True)
        p.stderr.readline()  # one a second
        p.send_signal(signal.SIGINT)
        out, _ = p.communicate(timeout=60)
        r = json.loads(out)
        equal((p.returncode, r["interrupted"], r["ok"]), (4, True, 0))
        assert r["timeout"] == r["requests"] > 0, r
        assert r["latency_ms"]["max"] > 900, r["latency_ms"]


def draws_on_a_terminal(t):
    ours, theirs = pty.openpty()
    with Known() as s:
        p = subprocess.Popen([t.volley, "load", s.url("/ok"), "--rate", "50", "--duration", "2s",
                              "--warmup", "0"], stdout=subprocess.PIPE, stderr=theirs)
        os.close(theirs)
        drawn = b""
        try:
            while piece := os.read(ours, 4096):
                drawn += piece
        except OSError:  # the other end is closed
            pass
        out, _ = p.communicate(timeout=60)
    os.close(ours)
    text = drawn.decode()
    assert "\u2588" in text and "\033[5A" in text and "latency   p50" in text, text
    assert "100, " in out.decode() and "answered well" in out.decode(), out


run(counts_exactly, spreads_connections, tells_outcomes_apart, looks_through_answers,
    tells_connections_that_cannot_be_made, replaces_its_own_headers,
    refuses_options_that_do_not_fit, is_free_of_coordinated_omission,
    judges_objectives, steps_until_it_breaks, sends_bodies_in_turn, asks_the_server_for_a_model,
    speaks_other_protocols, says_when_there_is_no_server, writes_reports,
    knows_at_once_what_it_cannot_write, ends_early_with_a_report, tells_what_was_left_at_the_end,
    draws_on_a_terminal)
