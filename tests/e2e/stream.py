# SPDX-License-Identifier: MIT
"""/v1/stream: tensors, pictures and samples over a WebSocket.

The client is this file's own, frame by frame; the last test uses the package `websockets`, and
skips without (python_with in harness.py).
"""
import json
import os
import shutil
import socket
import ssl
import struct
import subprocess
import sys

from harness import PATIENCE, Skip, equal, png, python_with, run, simple_inputs
from ws_client import BINARY, CLOSE, PING, TEXT, WebSocket

ONE = list(range(16))


class Socket(WebSocket):
    """A client of /v1/stream that has heard its hello."""

    def __init__(self, port, query, context=None):
        super().__init__(port, f"/v1/stream?{query}", context)
        if self.status == 101:
            self.hello = self.json()["hello"]


def inputs(first, second, binary=False):
    made = simple_inputs(first, second)
    for i in made if binary else ():
        del i["data"]
        i["parameters"] = {"binary_data_size": 64}
    return made


def binary_request(**request):
    text = json.dumps({**request, "inputs": inputs(None, None, binary=True)}).encode()
    return struct.pack("<I", len(text)) + text + struct.pack("<16i", *ONE) + struct.pack(
        "<16i", *[7] * 16)


def binary_answer(payload):
    n = struct.unpack("<I", payload[:4])[0]
    return json.loads(payload[4:4 + n]), payload[4 + n:]


def sums(answer):
    return answer["outputs"][0]["data"]


def infers_text(t):
    with t.serve() as s:
        w = Socket(s.port, "kind=raw&model=simple")
        equal(w.hello["kind"], "raw")
        equal(w.hello["max_in_work"], 16)
        equal(w.hello["model"], s.get("/v2/models/simple").json(), "metadata")
        w.ask(id="x", inputs=inputs(ONE, [7] * 16))
        equal(w.json(), s.infer("simple", inputs(ONE, [7] * 16), id="x").json(), "answer")
        w.ask(id="y", inputs=inputs(ONE, ONE),  # text is answered with text
              outputs=[{"name": "OUTPUT1", "parameters": {"binary_data": True}}])
        equal(w.json()["outputs"], [{"name": "OUTPUT1", "datatype": "INT32", "shape": [1, 16],
                                     "data": [0] * 16}])
        w.close()
        equal(s.stop(), 0, "exit status")


def infers_binary(t):
    with t.serve() as s:
        w = Socket(s.port, "model=simple")  # raw is the default
        w.send(binary_request(id="b"), BINARY)
        kind, payload = w.receive()
        equal(kind, BINARY)
        head, data = binary_answer(payload)
        equal((head["id"], head["model_name"], head["model_version"]), ("b", "simple", "1"))
        equal(head["outputs"], [
            {"name": n, "datatype": "INT32", "shape": [1, 16],
             "parameters": {"binary_data_size": 64}} for n in ("OUTPUT0", "OUTPUT1")])
        equal(struct.unpack("<32i", data), tuple([i + 7 for i in ONE] + [i - 7 for i in ONE]))
        w.close()


def errors_do_not_close(t):
    with t.serve() as s:
        w = Socket(s.port, "kind=raw&model=simple")
        for sent, kind, said, id_ in (
                ("nope", TEXT, "failed to parse the request JSON", None),
                ('{"id":"e1","inputs":[]}', TEXT, "expected 2 inputs but got 0", "e1"),
                (b"\xff\xff", BINARY, "expected 4 bytes with the length of the JSON", None),
                (b"\xff\xff\xff\xff{}", BINARY, "expected 4 bytes with the length", None),
                (binary_request(id="e2")[:-1], BINARY, "unexpected size for input", "e2")):
            w.send(sent, kind)
            answer = w.json()
            assert said in answer["error"], answer
            equal(answer.get("id"), id_, "id")
        w.ask(inputs=inputs(ONE, ONE))
        equal(sums(w.json()), [2 * i for i in ONE])
        w.close()


def answers_in_order(t):
    """More than may be in work at once, large ones among them, and errors in their place."""
    with t.serve("--set", "stream.max_in_work=3") as s:
        w = Socket(s.port, "model=simple")
        equal(w.hello["max_in_work"], 3)
        for i in range(300):
            request = {"id": str(i), "inputs": inputs([i] * 16, [i] * 16)}
            if i % 10 == 3:
                request["inputs"] = []
            w.send(json.dumps(request) + " " * (100000 if i % 50 == 7 else 0))
        for i in range(300):
            answer = w.json()
            equal(answer["id"], str(i), "id")
            equal("error" in answer, i % 10 == 3, f"error of {i}")
            if i % 10 != 3:
                equal(sums(answer)[-1], 2 * i)
        w.close()


def takes_samples(t):
    with t.serve() as s:
        w = Socket(s.port, "kind=imu&model=walk")
        sample = [[(i + j) % 7 - 3.0 for j in range(32)] for i in range(3)]
        def input_of(rows):
            return [{"name": "x", "datatype": "FP32", "shape": [len(rows), 3, 32], "data": rows}]
        for rows in ([sample], [sample] * 4):
            want = s.infer("walk", input_of(rows)).json()
            w.send(json.dumps(rows))
            equal(w.json(), want, "array")
            w.ask(id="s", samples=rows)
            equal(w.json(), {"id": "s", **want}, "object")
        w.send(struct.pack("<96f", *[x for row in sample for x in row]), BINARY)
        head, data = binary_answer(w.receive()[1])
        equal(head["outputs"][0]["shape"], [1, 4])
        want = s.infer("walk", input_of([sample])).json()["outputs"][0]["data"]
        got = struct.unpack("<4f", data)
        assert all(abs(a - b) < 1e-6 for a, b in zip(got, want)), (got, want)
        for bad in ("[1,2,3]", "[]", '{"samples":3}', '{"id":"z","samples":[["a"]]}', "7"):
            w.send(bad)
            assert "error" in w.json(), bad
        w.send(b"\0" * 95, BINARY)
        assert "error" in w.json()
        w.close()


def takes_no_halves_as_text(t):
    with t.serve() as s:
        w = Socket(s.port, "kind=imu&model=half")
        w.send("[[1,2]]")
        equal(w.json(), {"error": "receiving FP16 data via JSON is not supported; "
                                  "send binary messages"})
        w.send(b"\0\x3c\0\xc0", BINARY)  # 1, -2
        head, data = binary_answer(w.receive()[1])
        equal((head["outputs"][0]["shape"], data), ([1, 2], b"\0\x3c\0\xc0"))
        w.close()


def takes_pictures(t):
    with t.serve() as s:
        w = Socket(s.port, "kind=video&model=colour")
        for rgb in ((255, 0, 0), (0, 255, 0), (0, 0, 255)):
            picture = png(8, 8, rgb)
            want = s.ask("POST", "/v1/images:detect?model=colour", picture).json()
            w.send(picture, BINARY)
            equal(w.json(), want, f"answer for {rgb}")
        w.send(b"no picture", BINARY)
        assert "error" in w.json()
        w.send("text")
        equal(w.json(), {"error": "expected a picture in a binary message, got text"})
        w.close()


def refuses(t):
    with t.serve("--set", "stream.max_message_bytes=1000") as s:
        for query, status, said in (
                ("kind=film&model=simple", 400,
                 "'kind': expected raw, video, imu or steps, got 'film'"),
                ("kind=raw", 400, "'model': expected the name of a model"),
                ("model=nobody", 404, "unknown model: 'nobody'"),
                ("model=broken", 503, "broken"),
                ("model=simple&version=9", 404, "version 9"),
                ("kind=video&model=simple", 400, "takes no pictures"),
                ("kind=video&model=colour&confidence=2", 400, "'confidence'")):
            w = Socket(s.port, query)
            equal(w.status, status, query)
            assert said in w.body.decode(), (query, w.body)
        answer = s.get("/v1/stream?model=simple")
        equal(answer.status, 426)
        equal(answer.headers["upgrade"], "websocket")
        w = Socket(s.port, "model=simple")
        w.send("x" * 1001)
        kind, payload = w.receive()
        equal((kind, payload[:2]), (CLOSE, struct.pack(">H", 1009)))
        equal(s.stop(), 0, "exit status")


def many_clients_and_rude_ones(t):
    with t.serve("--set", "http.loops=2") as s:
        clients = [Socket(s.port, "model=simple") for _ in range(20)]
        for round_ in range(5):
            for i, w in enumerate(clients):
                w.ask(id=f"{round_}.{i}", inputs=inputs([i] * 16, [round_] * 16))
            for i, w in enumerate(clients):
                answer = w.json()
                equal((answer["id"], sums(answer)[0]), (f"{round_}.{i}", i + round_))
        for w in clients[:10]:  # leave in the middle of work, without a word
            for _ in range(50):
                w.ask(inputs=inputs(ONE, ONE))
            w.sock.shutdown(socket.SHUT_RDWR)
            w.sock.close()
        for w in clients[10:]:
            w.close()
        equal(s.get("/health").status, 200)
        equal(s.stop(), 0, "exit status")


def ends_with_the_server(t):
    with t.serve() as s:
        w = Socket(s.port, "model=simple")
        w.ask(id="last", inputs=inputs(ONE, ONE))
        equal(w.json()["id"], "last")
        s.signal()
        kind, payload = w.receive()
        equal((kind, payload[:2]), (CLOSE, struct.pack(">H", 1001)))
        w.send(payload[:2], CLOSE)
        equal(w.receive(), (None, b""))
        equal(s.wait(), 0, "exit status")


def pings_silent_clients(t):
    with t.serve("--set", "stream.ping_ms=50", "--set", "stream.idle_ms=300") as s:
        w = Socket(s.port, "model=simple")
        equal(w.receive(), (PING, b""))
        while w.receive()[0] is not None:  # no pong: closed
            pass


def works_behind_tls(t):
    if shutil.which("openssl") is None:
        raise Skip("no openssl to make a certificate with")
    cert, key = t.path("c.pem"), t.path("k.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=h", "-addext",
                    "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert], check=True,
                   capture_output=True)
    context = ssl.create_default_context(cafile=cert)
    with t.serve("--set", f"tls.certificate={cert}", "--set", f"tls.key={key}") as s:
        w = Socket(s.port, "model=simple", context)
        w.send(binary_request(id="tls"), BINARY)
        equal(binary_answer(w.receive()[1])[0]["id"], "tls")
        w.close()


def package(port):
    """With the package `websockets`."""
    from websockets.sync.client import connect
    with connect(f"ws://127.0.0.1:{port}/v1/stream?model=simple", compression="deflate") as w:
        assert json.loads(w.recv())["hello"]["kind"] == "raw"
        for i in range(10):
            w.send(json.dumps({"id": str(i), "inputs": inputs([i] * 16, ONE)}))
        for i in range(10):
            assert json.loads(w.recv())["id"] == str(i)
        w.send(binary_request(id="b"))
        assert binary_answer(w.recv())[0]["id"] == "b"
        w.send([json.dumps({"id": "cut", "inputs": "x"})[i:i + 5] for i in range(0, 30, 5)])
        assert "error" in json.loads(w.recv())
        assert w.ping().wait(PATIENCE)
    assert w.protocol.close_code == 1000, w.protocol.close_code


def websockets_package_works(t):
    python = python_with("import websockets.sync.client")
    with t.serve() as s:
        p = subprocess.run([python, os.path.abspath(__file__), "--client", str(s.port)],
                           capture_output=True, text=True, timeout=2 * PATIENCE)
        assert p.returncode == 0, p.stderr


if sys.argv[1] == "--client":
    package(int(sys.argv[2]))
else:
    run(infers_text, infers_binary, errors_do_not_close, answers_in_order, takes_samples,
        takes_no_halves_as_text, takes_pictures, refuses, many_clients_and_rude_ones,
        ends_with_the_server, pings_silent_clients, works_behind_tls, websockets_package_works)
