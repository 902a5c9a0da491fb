# SPDX-License-Identifier: MIT
"""The transports of `volley load` against Volley, and against servers of others: nghttpd, Python's
http.server, websockets and grpcio. What they have counted is what was sent."""
import http.server
import json
import os
import shutil
import socket
import subprocess
import threading
import time

from harness import PATIENCE, Certificate, Skip, equal, free_port, python_with, run

RATE = ["--rate", "200", "--duration", "500ms", "--warmup", "0", "--no-check", "-c", "3",
        "--timeout", "60s"]
ROOM = ["--set", "queue.max=1000"]  # for all of them at once: a busy machine sends late, in a burst
READING = json.dumps({"accel_x": 0.5, "accel_y": 9.6, "accel_z": 1.2, "gyro_x": 0.1, "gyro_y": 0.2,
                      "gyro_z": 0.3})


def load(t, *args, status=0):
    p = subprocess.run([t.volley, "load", *args, "--json", "--quiet"], capture_output=True,
                       text=True, timeout=120)
    assert p.returncode == status, f"exit status {p.returncode}: {p.stdout}{p.stderr}"
    return json.loads(p.stdout) if p.stdout else p.stderr


def all_is_well(t, *args, n=100):
    r = load(t, *args, *RATE)
    equal((r["requests"], r["ok"], r["reasons"]), (n, n, []), " ".join(args))


def inferences(s):
    """Of the model "simple", as the server has counted them."""
    stats = s.get("/v2/models/simple/stats").json()["model_stats"][0]
    return stats["inference_count"]


def speaks_to_volley(t):
    with t.serve(*ROOM) as s:
        at = f"127.0.0.1:{s.port}"
        ways = [[f"http://{at}"], [f"http://{at}", "-p", "http2"], [f"grpc://{at}"],
                [f"grpc://{at}", "--stream"]]
        for i, way in enumerate(ways):
            all_is_well(t, *way, "--model", "simple")
            equal(inferences(s), 100 * (i + 1), " ".join(way))
        all_is_well(t, f"ws://{at}/ws/realtime?user_id={{}}", "--greetings", "1",
                    "--answer-has", "step_detection", "--data", READING)
        all_is_well(t, f"ws://{at}/v1/stream?kind=steps&user=u{{}}&device=d", "--greetings", "1",
                    "--one-way", "--data", '{"readings":[[0.1,9.8,0.2,0,0,0]]}')
        sessions = s.get("/v1/sessions").json()["sessions"]
        equal(sorted(x["user"] for x in sessions), ["u0", "u1", "u2"])


def speaks_tls_to_volley(t):
    c = Certificate(t, "localhost")
    with t.serve(*c.settings(), *ROOM) as s:
        at = f"localhost:{s.port}"
        ways = [[f"https://{at}", "--model", "simple"],
                [f"https://{at}", "--model", "simple", "-p", "http2"],
                [f"grpcs://{at}", "--model", "simple"],
                [f"grpcs://{at}", "--model", "simple", "--stream"],
                [f"wss://{at}/ws/realtime?user_id={{}}", "--greetings", "1", "--answer-has",
                 "step_detection", "--data", READING]]
        for way in ways:
            all_is_well(t, *way, "--ca", c.path)
        all_is_well(t, *ways[0], "--insecure")
        for way in ways:
            text = load(t, *way, *RATE, status=1)
            assert "not trusted" in text, text
        text = load(t, f"https://{at}/v2", "--ca", "/nonexistent", *RATE, status=2)
        assert "/nonexistent" in text and "No such file" in text, text


class Child:
    """A server, once it listens on port; or, without one, on those that its first line tells."""

    def __init__(self, *command, port=None):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True,
                                        stderr=subprocess.DEVNULL)
        if port is None:
            self.ports = self.process.stdout.readline().split()
            assert self.ports, f"{command[0]} ended"
            return
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            assert self.process.poll() is None, f"{command[0]} ended"
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.02)
        raise RuntimeError(f"{command[0]} does not listen")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.process.kill()
        self.process.wait(PATIENCE)
        self.process.stdout.close()


def speaks_to_nghttpd(t):
    program = shutil.which("nghttpd") or shutil.which("nghttpd", path="/usr/sbin")
    if program is None:
        raise Skip("no nghttpd")
    root = t.path("www")
    os.mkdir(root)
    with open(os.path.join(root, "file"), "wb") as f:
        f.write(bytes(300000))
    port = free_port()
    with Child(program, "--no-tls", "-a", "127.0.0.1", "-d", root, str(port), port=port):
        url = f"http://127.0.0.1:{port}/file"
        all_is_well(t, url, "-p", "http2", "-X", "GET")
        r = load(t, url + "s", "-p", "http2", "-X", "GET", *RATE, status=1)
        equal(r["statuses"], {"404": 100})
    c, port = Certificate(t, "nghttpd"), free_port()
    with Child(program, "-a", "127.0.0.1", "-d", root, str(port), c.key, c.path, port=port):
        all_is_well(t, f"https://127.0.0.1:{port}/file", "-p", "http2", "-X", "GET", "--ca", c.path)


class Pages(http.server.BaseHTTPRequestHandler):
    n, protocol_version = 0, "HTTP/1.1"

    def do_POST(self):
        Pages.n += 1
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        if self.path == "/chunks":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"".join(b"%x\r\n%s\r\n" % (1, bytes([b])) for b in body))
            self.wfile.write(b"0\r\n\r\n")
            return
        if self.path == "/end":  # without a length: as long as the connection
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def speaks_to_http_server(t):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_address[1]}"
        for path in ("/length", "/chunks", "/end"):
            Pages.n = 0
            all_is_well(t, url + path, "--data", "a body")
            equal(Pages.n, 100, path)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


OTHERS = """
import asyncio
from concurrent import futures
import grpc, websockets

same = lambda b: b

class Echo(grpc.GenericRpcHandler):
    def service(self, call):
        if call.method == "/test.Echo/One":
            return grpc.unary_unary_rpc_method_handler(lambda m, c: m, same, same)
        if call.method == "/test.Echo/Busy":
            return grpc.unary_unary_rpc_method_handler(
                lambda m, c: c.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too busy"), same, same)
        if call.method == "/test.Echo/All":
            return grpc.stream_stream_rpc_method_handler(lambda ms, c: ms, same, same)

server = grpc.server(futures.ThreadPoolExecutor(8))
server.add_generic_rpc_handlers((Echo(),))
port = server.add_insecure_port("127.0.0.1:0")
server.start()

async def echo(ws, path=None):
    await ws.send("welcome")
    async for message in ws:
        await ws.send(message)

async def main():
    # no time-outs: how slow this machine is is no matter of the test
    async with websockets.serve(echo, "127.0.0.1", 0, open_timeout=None, ping_interval=None) as ws:
        print(port, ws.sockets[0].getsockname()[1], flush=True)
        await asyncio.Future()

asyncio.run(main())
"""


def speaks_to_websockets_and_grpcio(t):
    python = python_with("import grpc, websockets")
    with Child(python, "-c", OTHERS) as child:
        grpc, ws = (f"{scheme}://127.0.0.1:{port}" for scheme, port in
                    zip(("grpc", "ws"), child.ports))
        all_is_well(t, grpc + "/test.Echo/One", "--data", "hello")
        all_is_well(t, grpc + "/test.Echo/All", "--stream", "--data", "hello")
        r = load(t, grpc + "/test.Echo/Busy", "--data", "hello", *RATE, status=1)
        equal(r["statuses"], {"8": 100})
        large = t.path("large")
        with open(large, "wb") as f:
            f.write(bytes(500000))
        all_is_well(t, ws, "--greetings", "1", "--data", "hello")
        all_is_well(t, ws, "--greetings", "1", "--body", large)
        all_is_well(t, ws, "--greetings", "1", "--body", large, "--one-way")


run(speaks_to_volley, speaks_tls_to_volley, speaks_to_nghttpd, speaks_to_http_server,
    speaks_to_websockets_and_grpcio)
