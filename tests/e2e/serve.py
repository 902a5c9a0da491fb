# SPDX-License-Identifier: MIT
"""`volley serve` as a person and a program meet it: what it says, and what it answers."""
import gzip
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import zlib

from harness import equal, multipart, png, run, simple_inputs, Skip, wait_until

ONE = list(range(16))
TWO = [7] * 16
SUM = [i + 7 for i in range(16)]
DIFFERENCE = [i - 7 for i in range(16)]


def says_what_it_serves(t):
    with t.serve() as s:
        text = "\n".join(s.lines)
        for line in ("  simple               1    tensor           int32 [?,16], ...  "
                     + os.path.join(t.models, "simple/1/model.onnx"),
                     "  colour               1    classify         float32 [1,3,8,8]  "
                     + os.path.join(t.models, "colour.onnx"),
                     "  broken               1    unavailable: "):
            assert line in text, f"expected {line!r} in\n{text}"
        equal(s.get("/health/ready").json()["models"], {"ready": 6, "unavailable": 1})
        equal(s.stop(), 0, "exit status")
        equal(s.lines[-2:], ["SIGTERM: answering what was accepted", "done"])


def ends_on_interrupt(t):
    with t.serve() as s:
        s.signal(signal.SIGINT)
        equal(s.wait(), 0, "exit status")


def refuses_bad_settings(t):
    for args, said in ((["--set", "http.prot=1"], "http.port"),
                       (["--address", "nowhere"], "nowhere"),
                       (["--port", "70000"], "http.port"),
                       (["--config", t.path("none.yaml")], "none.yaml"),
                       (["--models", t.path("none")], "no models to serve")):
        p = subprocess.run([t.volley, "serve", "--models", t.models, *args], capture_output=True,
                           text=True, timeout=60)
        assert p.returncode != 0, f"{args}: expected a failure"
        assert said in p.stderr and p.stderr.count("\n") == 1, f"{args}: got {p.stderr!r}"


def takes_settings(t):
    with open(t.path("volley.yaml"), "w") as f:
        f.write("http:\n  max_body_bytes: 100\n")
    with t.serve("--config", t.path("volley.yaml")) as s:
        equal(s.infer("simple", simple_inputs(ONE, TWO)).status, 413)
        equal(s.stop(), 0, "exit status")


def port_in_use(t):
    with t.serve() as s:
        p = subprocess.run([t.volley, "serve", "--models", t.models, "--port", str(s.port)],
                           capture_output=True, text=True, timeout=60)
        equal(p.returncode, 1, "exit status")
        assert str(s.port) in p.stderr, p.stderr


def infers_json(t):
    with t.serve() as s:
        a = s.infer("simple", simple_inputs(ONE, TWO), id="x")
        equal(a.status, 200)
        equal(a.json(), {"id": "x", "model_name": "simple", "model_version": "1", "outputs": [
            {"name": "OUTPUT0", "datatype": "INT32", "shape": [1, 16], "data": SUM},
            {"name": "OUTPUT1", "datatype": "INT32", "shape": [1, 16], "data": DIFFERENCE}]})


def infers_with_curl(t):
    if shutil.which("curl") is None:
        raise Skip("no curl")
    head = json.dumps({"inputs": [
        {"name": n, "datatype": "INT32", "shape": [1, 16], "parameters": {"binary_data_size": 64}}
        for n in ("INPUT0", "INPUT1")], "parameters": {"binary_data_output": True}}).encode()
    with open(t.path("body"), "wb") as f:
        f.write(head + struct.pack("<16i", *ONE) + struct.pack("<16i", *TWO))
    with t.serve() as s:
        url = f"http://127.0.0.1:{s.port}/v2/models/simple/infer"
        text = json.dumps({"inputs": simple_inputs(ONE, TWO)})
        out = subprocess.run(["curl", "-sS", "--data", text, url], capture_output=True,
                             check=True).stdout
        equal(json.loads(out)["outputs"][0]["data"], SUM)
        out = subprocess.run(["curl", "-sS", "-D", t.path("head"),
                              "--data-binary", "@" + t.path("body"),
                              "-H", "Content-Type: application/octet-stream",
                              "-H", f"Inference-Header-Content-Length: {len(head)}",
                              "-H", "Expect:", url], capture_output=True, check=True).stdout
        with open(t.path("head")) as f:
            headers = dict(line.strip().lower().split(": ", 1) for line in f if ": " in line)
        n = int(headers["inference-header-content-length"])
        equal(struct.unpack("<16i", out[n:n + 64]), tuple(SUM))
        equal(struct.unpack("<16i", out[n + 64:]), tuple(DIFFERENCE))
        sizes = [o["parameters"]["binary_data_size"] for o in json.loads(out[:n])["outputs"]]
        equal(sizes, [64, 64])


def takes_compressed_requests(t):
    head = json.dumps({"inputs": [
        {"name": "INPUT0", "datatype": "INT32", "shape": [1, 16], "data": ONE},
        {"name": "INPUT1", "datatype": "INT32", "shape": [1, 16],
         "parameters": {"binary_data_size": 64}}]}).encode()
    body = head + struct.pack("<16i", *TWO)
    bomb = zlib.compress(b'{"inputs":[]}' + b" " * (65 << 20))
    length = {"Inference-Header-Content-Length": str(len(head))}
    with t.serve() as s:
        for encoding, data in (("gzip", gzip.compress(body)), ("deflate", zlib.compress(body))):
            a = s.ask("POST", "/v2/models/simple/infer", data,
                      {"Content-Encoding": encoding, **length})
            equal(a.json()["outputs"][0]["data"], SUM)
        for encoding, data, status in (("gzip", gzip.compress(body)[:-1], 400),
                                       ("deflate", bomb, 413), ("br", body, 501)):
            a = s.ask("POST", "/v2/models/simple/infer", data, {"Content-Encoding": encoding})
            equal(a.status, status, encoding)
            equal(list(a.json()), ["error"])


def sees_pictures(t):
    red, blue = png(40, 30, (255, 0, 0)), png(8, 8, (0, 0, 255))
    with t.serve() as s:
        a = s.ask("POST", "/v1/images:detect", red, {"Content-Type": "image/png"})
        equal(a.json()["classifications"][0], {"class_id": 0, "class_name": "red", "confidence": 1})
        equal(a.json()["image"], {"width": 40, "height": 30})
        body, headers = multipart([("r.png", red), ("no.txt", b"hello"), ("b.png", blue)],
                                  {"model": "colour"})
        a = s.ask("POST", "/v1/images:detect", body, headers)
        equal(a.status, 200)
        results = a.json()["results"]
        equal([r["classifications"][0]["class_name"] if "error" not in r else "error"
               for r in results], ["red", "error", "blue"])
        assert results[1]["error"].startswith("'no.txt': "), results[1]
        a = s.ask("POST", "/v1/images:detect", red, {"Accept": "image/jpeg"})
        equal(a.headers["content-type"], "image/jpeg")
        equal(a.body[:3] + a.body[-2:], b"\xff\xd8\xff\xff\xd9")


def keeps_connections(t):
    with t.serve() as s:
        c = s.connect()
        for i in range(50):
            equal(s.infer("simple", simple_inputs([i] * 16, TWO), c).json()["outputs"][0]["data"],
                  [i + 7] * 16)
        c.close()
        assert "volley_http_connections_total 2\n" in s.get("/metrics").body.decode()


def pipelines(t):
    """Answers come in the order of the requests, though the first one takes longest."""
    slow = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 512],
                                   "data": [1] * 512}]}).encode()
    fast = json.dumps({"inputs": simple_inputs(ONE, TWO)}).encode()
    with t.serve() as s, socket.create_connection(("127.0.0.1", s.port), 60) as c:
        for model, body in [("slow", slow)] + [("simple", fast)] * 5:
            c.sendall(b"POST /v2/models/%s/infer HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
                      % (model.encode(), len(body)) + body)
        c.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        data = b""
        while piece := c.recv(65536):
            data += piece
        heads = data.split(b"HTTP/1.1 ")[1:]
        equal(len(heads), 7, "answers")
        assert all(h.startswith(b"200 ") for h in heads), heads
        assert b'"slow"' in heads[0] and all(b'"simple"' in h for h in heads[1:6])


def tells_errors(t):
    good = json.dumps({"inputs": simple_inputs(ONE, TWO)})
    rows = (("GET", "/nothing", None, 404), ("POST", "/metrics", "", 405),
            ("GET", "/v2/models/nobody", None, 404), ("GET", "/v2/models/broken", None, 503),
            ("POST", "/v2/models/nobody/infer", good, 404),
            ("POST", "/v2/models/simple/versions/9/infer", good, 404),
            ("POST", "/v2/models/simple/infer", "{", 400),
            ("POST", "/v2/models/simple/infer", "[" * 100000, 413),
            ("POST", "/v2/models/simple/infer", '{"inputs":[]}', 400),
            ("POST", "/v1/images:detect", "hello", 415),
            ("POST", "/v1/images:detect?model=simple", "hello", 400))
    with t.serve() as s:
        for method, target, body, status in rows:
            a = s.ask(method, target, body)
            equal(a.status, status, f"{method} {target}")
            equal(list(a.json()), ["error"])
            equal(a.headers["content-type"], "application/json")
        equal(s.infer("simple", simple_inputs(ONE, TWO)).status, 200)
        equal(s.stop(), 0, "exit status")


def busy_is_503(t):
    """One worker, one place in the queue: of many requests at once, some are told to come back."""
    body = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [64, 512],
                                   "data": [1] * (64 * 512)}]}).encode()
    request = (b"POST /v2/models/slow/infer HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
               b"Content-Length: %d\r\n\r\n" % len(body)) + body
    with t.serve("--set", "threads=1", "--set", "queue.max=1") as s:
        sockets = [socket.create_connection(("127.0.0.1", s.port), 60) for _ in range(12)]
        for c in sockets:
            c.sendall(request)
        statuses = []
        for c in sockets:
            data = b""
            while piece := c.recv(65536):
                data += piece
            c.close()
            statuses.append(int(data[9:12]))
            if statuses[-1] == 503:
                assert b"\r\nRetry-After: 1\r\n" in data and b"Exceeds maximum queue size" in data
        assert set(statuses) == {200, 503}, statuses
        metrics = s.get("/metrics").body.decode()
        equal(f'nv_inference_request_failure{{model="slow",version="1",reason="REJECTED"}} '
              f'{statuses.count(503)}\n' in metrics, True, "rejections counted")


def agrees_with_the_command_line(t):
    """The bytes of the outputs, and the text of the detections."""
    def npy(path, values):
        head = "{'descr': '<i4', 'fortran_order': False, 'shape': (1, 16), }"
        head += " " * (-(len(head) + 11) % 64) + "\n"
        with open(path, "wb") as f:
            f.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode()
                    + struct.pack("<16i", *values))

    npy(t.path("a.npy"), ONE)
    npy(t.path("b.npy"), TWO)
    os.mkdir(t.path("out"))
    subprocess.run([t.volley, "model", "run", os.path.join(t.models, "simple/1/model.onnx"),
                    "--input", "INPUT0=" + t.path("a.npy"), "--input", "INPUT1=" + t.path("b.npy"),
                    "--out", t.path("out")], check=True, capture_output=True)
    with open(t.path("p.png"), "wb") as f:
        f.write(png(40, 30, (10, 200, 30)))
    detect = subprocess.run([t.volley, "detect", t.path("p.png"), "--model",
                             os.path.join(t.models, "colour.onnx"), "--json"], check=True,
                            capture_output=True).stdout
    with t.serve() as s:
        outputs = s.infer("simple", simple_inputs(ONE, TWO)).json()["outputs"]
        for o in outputs:
            with open(os.path.join(t.path("out"), o["name"] + ".npy"), "rb") as f:
                equal(f.read()[-64:], struct.pack("<16i", *o["data"]), o["name"])
        with open(t.path("p.png"), "rb") as f:
            equal(s.ask("POST", "/v1/images:detect", f.read()).body.strip(), detect.strip())


def real_detector_agrees_with_the_command_line(t):
    model, photo = t.shared("models/yolov8n.onnx"), t.shared("data/images/classic/bus.jpg")
    detect = subprocess.run([t.volley, "detect", photo, "--model", model, "--json"], check=True,
                            capture_output=True).stdout
    with t.serve(models=model) as s, open(photo, "rb") as f:
        body = s.ask("POST", "/v1/images:detect", f.read(), {"Content-Type": "image/jpeg"}).body
    equal(body.strip(), detect.strip())
    names = sorted(d["class_name"] for d in json.loads(body)["detections"])
    equal(names, ["bus", "person", "person", "person", "person"])


def logs_requests(t):
    """One JSON line for each request, in a file that SIGHUP opens anew."""
    path, old = t.path("access.log"), t.path("access.log.1")
    with t.serve("--set", f"http.access_log={path}") as s:
        s.ask("GET", "/v2", headers={"X-Request-Id": "before", "User-Agent": "e2e"})
        wait_until("the line, which comes after the answer", lambda: os.path.getsize(path) > 0)
        os.rename(path, old)
        s.signal(signal.SIGHUP)
        while not os.path.exists(path):
            s.get("/health")
        s.ask("GET", "/v2", headers={"X-Request-Id": "after"})
        equal(s.stop(), 0, "exit status")
    with open(old) as f:
        first = [json.loads(line) for line in f]
    with open(path) as f:
        second = [json.loads(line) for line in f]
    equal([first[0][k] for k in ("id", "method", "path", "status", "user_agent")],
          ["before", "GET", "/v2", 200, "e2e"], "first line")
    equal(second[-1]["id"], "after", "last line")
    assert all(line["path"] == "/health" for line in first[1:] + second[:-1]), first + second


run(says_what_it_serves, ends_on_interrupt, refuses_bad_settings, takes_settings, port_in_use,
    infers_json, infers_with_curl, takes_compressed_requests, sees_pictures, keeps_connections,
    pipelines, tells_errors, busy_is_503, logs_requests, agrees_with_the_command_line,
    real_detector_agrees_with_the_command_line)
