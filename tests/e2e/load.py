# SPDX-License-Identifier: MIT
"""`volley serve` under load: nothing accepted is lost on SIGTERM, and memory does not grow."""
import json
import os
import signal
import socket
import threading
import time

from harness import Skip, equal, multipart, png, run, simple_inputs, wait_until

N_CLIENTS = 16
N_REQUESTS = 10000
N_SOAKERS = 4


def slow_request():
    body = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 512],
                                   "data": [1] * 512}]}).encode()
    return (b"POST /v2/models/slow/infer HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body)) + body


def loses_nothing_on_sigterm(t):
    """Clients connect, send and count, from before the signal until they are refused. Whoever got a
    connection and sent a whole request must get a whole answer."""
    counts = {"answered": 0, "refused": 0, "lost": []}
    lock = threading.Lock()
    request = slow_request()

    def client(port):
        while True:
            try:
                c = socket.create_connection(("127.0.0.1", port), 60)
            except ConnectionRefusedError:
                with lock:
                    counts["refused"] += 1
                return
            try:
                c.sendall(request)
                data = b""
                while piece := c.recv(65536):
                    data += piece
                ok = data.startswith(b"HTTP/1.1 200 ") and data.endswith(b"]}]}")
                problem = data[:200]
            except OSError as why:
                ok, problem = False, repr(why)
            c.close()
            with lock:
                if ok:
                    counts["answered"] += 1
                else:
                    counts["lost"].append(problem)
                    return

    with t.serve() as s:
        threads = [threading.Thread(target=client, args=(s.port,)) for _ in range(N_CLIENTS)]
        for thread in threads:
            thread.start()
        wait_until("clients are answered", lambda: counts["answered"] > N_CLIENTS)
        s.signal()
        status = s.wait()
        for thread in threads:
            thread.join()
    print(f"# {counts['answered']} answered, {counts['refused']} clients refused after the signal, "
          f"{len(counts['lost'])} lost")
    equal(counts["lost"], [])
    equal(counts["refused"], N_CLIENTS, "clients that saw the end")
    equal(status, 0, "exit status")
    assert counts["answered"] > N_CLIENTS


def start_long_work(s):
    """Requests that keep the only worker for some time, sent and left waiting."""
    rows = 1024
    head = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [rows, 512],
                                   "parameters": {"binary_data_size": rows * 2048}}]}).encode()
    request = (b"POST /v2/models/slow/infer HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n"
               b"Inference-Header-Content-Length: %d\r\n\r\n"
               % (len(head) + rows * 2048, len(head)))
    waiting = [socket.create_connection(("127.0.0.1", s.port), 60) for _ in range(8)]
    for c in waiting:
        c.sendall(request + head + bytes(rows * 2048))
    while 'nv_inference_pending_request_count{model="slow",version="1"} 0\n' in \
            s.get("/metrics").body.decode():
        time.sleep(0.01)
    return waiting


def drops_what_nobody_waits_for(t):
    """One worker is busy; of what is queued behind it, those whose client leaves never run."""
    canceled = 'nv_inference_request_failure{model="slow",version="1",reason="CANCELED"} %d\n'
    with t.serve("--set", "threads=1") as s:
        waiting = start_long_work(s)
        for _ in range(5):
            c = socket.create_connection(("127.0.0.1", s.port), 60)
            c.sendall(slow_request())
            c.close()
        for c in waiting:
            assert c.recv(65536).startswith(b"HTTP/1.1 200 ")
            c.close()
        deadline = time.monotonic() + 60
        while canceled % 5 not in s.get("/metrics").body.decode():
            assert time.monotonic() < deadline, "they were not dropped"
            time.sleep(0.05)
        equal(s.stop(), 0, "exit status")


def gives_up_draining(t):
    with t.serve("--set", "threads=1", "--set", "drain_timeout_ms=1") as s:
        waiting = start_long_work(s)
        equal(s.stop(), 1, "exit status")
        for c in waiting:
            c.close()


def ends_at_once_on_a_second_interrupt(t):
    with t.serve("--set", "threads=1") as s:
        waiting = start_long_work(s)
        s.signal(signal.SIGINT)
        equal(s.process.stdout.readline(), "SIGINT: answering what was accepted\n")
        s.signal(signal.SIGINT)
        equal(s.wait(), -signal.SIGINT, "exit status")
        for c in waiting:
            c.close()


def soak(s, n):
    """Infers, detects and errs, on connections that are kept."""
    picture = png(32, 32, (1, 200, 3))
    form = multipart([("a.png", picture), ("b.txt", b"hello"), ("c.png", picture)])
    c = s.connect()
    for i in range(n):
        kind = i % 8
        if kind == 0:
            equal(s.ask("POST", "/v1/images:detect", picture, None, c).status, 200)
        elif kind == 1:
            equal(s.ask("POST", "/v1/images:detect", *form, c).status, 200)
        elif kind == 2:
            equal(s.ask("POST", "/v2/models/simple/infer", "{", None, c).status, 400)
        elif kind == 3:
            equal(s.ask("GET", "/metrics", None, None, c).status, 200)
        else:
            rows = simple_inputs([i] * 16, [1] * 16)
            equal(s.infer("simple", rows, c).json()["outputs"][0]["data"], [i + 1] * 16)
    c.close()


def soak_all(s, n):
    failures = []

    def one():
        try:
            soak(s, n // N_SOAKERS)
        except Exception as why:
            failures.append(repr(why))

    threads = [threading.Thread(target=one) for _ in range(N_SOAKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal(failures, [])


def memory_stays_flat(t):
    sanitizer = os.environ.get("VOLLEY_TEST_SANITIZER", "none")
    if sanitizer != "none":
        raise Skip(f"{sanitizer} keeps memory of its own")
    with t.serve() as s:
        start = s.rss()
        soak_all(s, 1000)
        warm = s.rss()
        soak_all(s, N_REQUESTS)
        end = s.rss()
        print(f"# resident: {start >> 10} KiB at start, {warm >> 10} KiB after 1000 requests, "
              f"{end >> 10} KiB after {N_REQUESTS} more")
        equal(s.stop(), 0, "exit status")
    assert end - warm < 2 << 20, "grew by more than 2 MiB"


run(loses_nothing_on_sigterm, drops_what_nobody_waits_for, gives_up_draining,
    ends_at_once_on_a_second_interrupt, memory_stays_flat)
