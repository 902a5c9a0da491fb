# SPDX-License-Identifier: MIT
"""Raw sockets against the real server: what no well-meaning client sends, and the server after it.

After each attack the same server answers as before, with no descriptor and no request left over.
"""
import contextlib
import json
import os
import socket
import struct
import threading
import time
import unittest.mock

from harness import PATIENCE, equal, run, simple_inputs, wait_until

GET = b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n"
BODY = json.dumps({"inputs": simple_inputs(list(range(16)), [7] * 16)}).encode()
POST = (b"POST /v2/models/simple/infer HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n" % len(BODY)
        + b"\r\n" + BODY)
NOTHING_PENDING = 'nv_inference_pending_request_count{model="simple",version="1"} 0\n'


@contextlib.contextmanager
def connected(server):
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as c:
        c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield c


def read_all(c):
    """What comes until the server closes; a reset counts as the end."""
    got = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := c.recv(65536):
            got += piece
    return got


def exchange(server, data):
    """Sends data and no more, and reads to the end."""
    with connected(server) as c:
        with contextlib.suppress(ConnectionError):
            c.sendall(data)
            c.shutdown(socket.SHUT_WR)
        return read_all(c)


def answers(data):
    """Statuses and bodies of the answers in a stream of bytes."""
    found = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        fields = head.split(b"\r\n")
        assert fields[0].startswith(b"HTTP/1.1 "), f"expected an answer, got {head!r}"
        length = [int(f.split(b":")[1]) for f in fields if f.lower().startswith(b"content-length:")]
        n = length[0] if length else 0
        found.append((int(fields[0].split()[1]), data[:n]))
        data = data[n:]
    return found


def metrics(server):
    return server.get("/metrics").body.decode()


def descriptors(server):
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


@contextlib.contextmanager
def unharmed(t, *args):
    """A server that is as it was when the attack is over."""
    with t.serve(*args) as s:
        equal(s.infer("simple", simple_inputs([1] * 16, [2] * 16)).status, 200)
        before = descriptors(s)
        yield s
        wait_until("what was accepted to be answered", lambda: NOTHING_PENDING in metrics(s))
        answer = s.infer("simple", simple_inputs([1] * 16, [2] * 16))
        equal((answer.status, answer.json()["outputs"][0]["data"]), (200, [3] * 16))
        wait_until("no more descriptors than before", lambda: descriptors(s) <= before)
        equal(s.stop(), 0, "exit status")


def pipelined_requests_are_answered_in_order(t):
    with unharmed(t) as s:
        last = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        with connected(s) as c:
            c.sendall((POST + GET) * 50 + last)
            got = answers(read_all(c))
        equal([status for status, _ in got], [200] * 101)
        for i in range(0, 100, 2):
            equal(json.loads(got[i][1])["outputs"][0]["data"][15], 22)
            equal(json.loads(got[i + 1][1])["status"], "ok")


# Each could be cut differently by a proxy in front: refused, and nothing behind it is taken for a
# request. With Connection: close, the second half of a smuggled pair never gets an answer.
SMUGGLED = {
    "length and chunks": b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": b"Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\n",
    "two lengths": b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "two equal lengths": b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "lengths in a list": b"Content-Length: 5, 5\r\n\r\nhello",
    "a signed length": b"Content-Length: +5\r\n\r\nhello",
    "a negative length": b"Content-Length: -5\r\n\r\nhello",
    "a length too long for 64 bits": b"Content-Length: 18446744073709551621\r\n\r\nhello",
    "a hexadecimal length": b"Content-Length: 0x5\r\n\r\nhello",
    "a blank before the colon": b"Content-Length : 5\r\n\r\nhello",
    "a folded header": b"X: a\r\n b\r\nContent-Length: 5\r\n\r\nhello",
    "a folded coding": b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "two codings": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "chunked not last": b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "an unknown coding": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a chunk size that is no number": b"Transfer-Encoding: chunked\r\n\r\ng\r\n\r\n",
    "a negative chunk size": b"Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n",
    "a chunk size with 0x": b"Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
    "a chunk size past 64 bits":
        b"Transfer-Encoding: chunked\r\n\r\n10000000000000005\r\nhello\r\n",
    "a chunk longer than its size": b"Transfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n0\r\n\r\n",
    "a chunk ended by a bare LF": b"Transfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n",
    "a NUL in a header": b"X: a\0b\r\nContent-Length: 0\r\n\r\n",
    "a bare CR in a header": b"X: a\rContent-Length: 5\r\n\r\nhello",
    "no name": b": a\r\n\r\n",
}


def smuggling_is_refused(t):
    with unharmed(t) as s:
        for what, rest in SMUGGLED.items():
            for hidden in (GET, POST):
                got = answers(exchange(s, b"POST /v2/models/simple/infer HTTP/1.1\r\nHost: h\r\n"
                                       + rest + hidden))
                equal([status in (400, 501) for status, _ in got], [True], f"{what}: {got}")


def bare_lines_and_odd_starts_are_refused(t):
    with unharmed(t) as s:
        for data in (b"GET /health HTTP/1.1\nHost: h\n\n", b"GET /health HTTP/1.1\r\nHost: h\n\r\n",
                     b"GET /health\r\n\r\n", b"GET /health HTTP/1.1 \r\nHost: h\r\n\r\n",
                     b"GET /health HTTP/1.1\r\n\r\n", b"GET /health HTTP/9.9\r\nHost: h\r\n\r\n",
                     b"GET /health HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n",
                     b"get /health HTTP/1.1\r\nHost: h\r\n\r\n",
                     b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", b"\0" * 100, b"\xff" * 100,
                     b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", b"A" * 5000):
            got = answers(exchange(s, data + GET))
            equal([status in (400, 405, 414, 431, 501, 505) for status, _ in got], [True],
                  f"{data!r}: {got}")


def headers_have_a_limit(t):
    with unharmed(t) as s:
        for data, status in ((b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\nHost: h\r\n\r\n", 414),
                             (b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"a" * 100000 + b"\r\n\r\n",
                              431),
                             (b"GET / HTTP/1.1\r\nHost: h\r\n" + b"X: a\r\n" * 10000 + b"\r\n",
                              431),
                             (b"POST /v2/models/simple/infer HTTP/1.1\r\nHost: h\r\n"
                              b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: a\r\n" * 10000
                              + b"\r\n", 431),
                             (b"POST /v2/models/simple/infer HTTP/1.1\r\nHost: h\r\n"
                              b"Transfer-Encoding: chunked\r\n\r\n1;" + b"a" * 100000
                              + b"\r\nx\r\n0\r\n\r\n", 431)):
            equal([a[0] for a in answers(exchange(s, data))], [status], f"{data[:50]!r}")


def bodies_have_a_limit(t):
    with unharmed(t, "--set", "http.max_body_bytes=1000") as s:
        head = b"POST /v2/models/simple/infer HTTP/1.1\r\nHost: h\r\n"
        for rest in (b"Content-Length: 1001\r\n\r\n", b"Content-Length: 99999999999\r\n\r\n",
                     b"Transfer-Encoding: chunked\r\n\r\nfa\r\n" + b"x" * 250
                     + b"\r\nfffffff\r\n" + b"x" * 2000):
            equal([a[0] for a in answers(exchange(s, head + rest))], [413], rest[:40])


def drip(c, byte):
    """Until the server answers, which must be soon."""
    c.settimeout(0.02)
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with contextlib.suppress(TimeoutError):
            c.sendall(byte)
            piece = c.recv(65536)
            c.settimeout(PATIENCE)
            return piece + read_all(c)
    raise AssertionError("expected an end to a client that drips")


def slow_clients_are_given_up(t):
    with unharmed(t, "--set", "http.header_timeout_ms=300", "--set", "http.body_timeout_ms=300",
                  "--set", "http.idle_timeout_ms=300") as s:
        with connected(s) as c:
            c.sendall(b"GET /health HTTP/1.1\r\nX: ")
            equal(answers(drip(c, b"a"))[0][0], 408)
        with connected(s) as c:
            c.sendall(POST[:-20])
            equal(answers(drip(c, b" "))[0][0], 408)
        with connected(s) as c:  # says nothing: ends without a word
            equal(read_all(c), b"")


def half_close_is_answered(t):
    """A client that sends, shuts its side and reads: as long as it is not taken to have gone."""
    with unharmed(t, "--set", "http.abort_on_close=false") as s:
        got = answers(exchange(s, POST * 3 + GET))
        equal([status for status, _ in got], [200] * 4)
        equal(answers(exchange(s, POST + POST[:100])), got[:1])  # the second was cut short


def clients_leave_in_the_middle(t):
    reset = struct.pack("ii", 1, 0)
    with unharmed(t) as s:
        pieces = [POST[:n] for n in (1, 20, 60, len(POST) - 1)] + [POST, POST * 20,
                  b"POST /v2/models/simple/infer HTTP/1.1\r\nHost: h\r\nContent-Length: 9000000\r\n"
                  b"\r\n" + b"x" * 3000000]
        for _ in range(5):
            for data in pieces:
                for with_reset in (False, True):
                    with connected(s) as c:
                        c.sendall(data)
                        if with_reset:
                            c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)


def clients_that_never_read(t):
    """Their answers wait in bounded memory until the write timeout, and others are served."""
    # AddressSanitizer keeps up to 256 MiB of freed memory, which is not what the server holds.
    options = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"
    with (unittest.mock.patch.dict(os.environ, ASAN_OPTIONS=options),
          unharmed(t, "--set", "http.write_timeout_ms=500") as s):
        request = b"GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n" * 1000
        before = s.rss()
        idle = []
        for _ in range(8):
            c = socket.socket()
            c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            c.connect(("127.0.0.1", s.port))
            c.settimeout(0.2)
            with contextlib.suppress(TimeoutError, ConnectionError):
                while True:
                    c.sendall(request)
            idle.append(c)
            equal(s.get("/health").status, 200)
        assert s.rss() - before < 64 << 20, f"{s.rss() - before} bytes for 8 clients"
        for c in idle:
            c.close()


def many_at_once(t):
    """Good and bad clients side by side: no good one is harmed."""
    with unharmed(t) as s:
        wrong = []

        def good():
            for _ in range(50):
                a = s.infer("simple", simple_inputs([1] * 16, [2] * 16))
                if a.status != 200 or a.json()["outputs"][0]["data"] != [3] * 16:
                    wrong.append((a.status, a.body))

        def bad():
            for rest in list(SMUGGLED.values()) * 2:
                exchange(s, b"POST /v2/models/simple/infer HTTP/1.1\r\nHost: h\r\n" + rest + GET)

        threads = [threading.Thread(target=f) for f in (good, bad) * 4]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        equal(wrong, [])


run(pipelined_requests_are_answered_in_order, smuggling_is_refused,
    bare_lines_and_odd_starts_are_refused, headers_have_a_limit, bodies_have_a_limit,
    slow_clients_are_given_up, half_close_is_answered, clients_leave_in_the_middle,
    clients_that_never_read, many_at_once)
