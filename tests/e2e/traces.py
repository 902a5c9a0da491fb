# SPDX-License-Identifier: MIT
"""Traces on their way to a collector: spans as OpenTelemetry's own classes read them, parents,
times against Server-Timing, sampling, Triton's trace settings, and collectors that fail."""
import base64
import http.server
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from harness import Skip, equal, png, python_with, run, simple_inputs, wait_until
from ws_client import CLOSE, WebSocket

READ = """
import base64, json, sys
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as t
for line in sys.stdin:
    m = t.ExportTraceServiceRequest.FromString(base64.b64decode(line))
    print(json.dumps(MessageToDict(m)))
"""
PROBE = "import opentelemetry.proto.collector.trace.v1.trace_service_pb2"
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
NOT_SAMPLED = PARENT[:-2] + "00"


def values(attributes):
    def value(v):
        kind, x = next(iter(v.items()))
        return int(x) if kind == "intValue" else x
    return {a["key"]: value(a["value"]) for a in attributes}


class Span:
    def __init__(self, d):
        self.name, self.kind = d["name"], d["kind"]
        self.trace, self.id, self.parent = (base64.b64decode(d.get(k, "")).hex()
                                            for k in ("traceId", "spanId", "parentSpanId"))
        self.begin, self.end = int(d["startTimeUnixNano"]), int(d["endTimeUnixNano"])
        self.attributes = values(d.get("attributes", []))
        self.status = d.get("status", {})

    def ms(self):
        return (self.end - self.begin) / 1e6


class Collector:
    """Keeps what is posted; answer(n) gives status and headers of the n-th request."""

    def __init__(self, t, answer=lambda n: (200, {}), body=b""):
        self.python = python_with(PROBE)
        self.bodies, self.headers, self.n = [], [], 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                data = self.rfile.read(int(self.headers["Content-Length"]))
                status, headers = answer(outer.n)
                outer.n += 1
                if status == 200:
                    outer.bodies.append(data)
                    outer.headers.append((self.path, dict(self.headers)))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def settings(self, *more):
        url = f"http://127.0.0.1:{self.server.server_port}/v1/traces"
        words = [f"otlp.endpoint={url}", "otlp.interval_ms=20", "otlp.sample=1", *more]
        return [word for setting in words for word in ("--set", setting)]

    def requests(self):
        lines = "".join(base64.b64encode(b).decode() + "\n" for b in self.bodies)
        p = subprocess.run([self.python, "-c", READ], input=lines, capture_output=True, text=True)
        assert p.returncode == 0, p.stderr
        return [json.loads(line) for line in p.stdout.splitlines()]

    def spans(self):
        return [Span(s) for r in self.requests() for rs in r["resourceSpans"]
                for ss in rs["scopeSpans"] for s in ss["spans"]]

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


def ask(s, headers=None, model="simple"):
    body = json.dumps({"inputs": simple_inputs([1] * 16, [2] * 16)})
    return s.ask("POST", f"/v2/models/{model}/infer", body,
                 {"Content-Type": "application/json", **(headers or {})})


def timing(answer):
    return {k: float(v) for k, v in re.findall(r"(\w+);dur=([\d.]+)",
                                               answer.headers["server-timing"])}


def a_request_becomes_nested_spans(t):
    with Collector(t) as c:
        with t.serve(*c.settings("otlp.service_name=front", "otlp.resource=zone=b, rack=7")) as s:
            began = time.time_ns()
            answer = ask(s, {"traceparent": PARENT, "User-Agent": "me", "X-Request-Id": "r1"})
            equal(answer.status, 200)
            ended = time.time_ns()
            equal(s.stop(), 0)
        request = c.requests()[0]
        resource = values(request["resourceSpans"][0]["resource"]["attributes"])
        equal((resource["service.name"], resource["zone"], resource["rack"]), ("front", "b", "7"))
        equal(resource["host.name"], socket.gethostname())
        equal(c.headers[0][0], "/v1/traces")
        equal(c.headers[0][1]["Content-Type"], "application/x-protobuf")
        spans = {x.name: x for x in c.spans()}
        server = spans.pop("POST /v2/models/{}/infer")
        equal(server.kind, "SPAN_KIND_SERVER")
        equal(server.trace, PARENT[3:35])
        equal(server.parent, PARENT[36:52])
        equal(answer.headers["traceresponse"], f"00-{server.trace}-{server.id}-01")
        a = server.attributes
        for key, want in {"http.request.method": "POST", "url.path": "/v2/models/simple/infer",
                          "http.route": "/v2/models/{}/infer", "http.response.status_code": 200,
                          "client.address": "127.0.0.1", "user_agent.original": "me",
                          "network.protocol.version": "1.1", "volley.request_id": "r1",
                          "volley.model.name": "simple", "volley.model.version": "1"}.items():
            equal(a[key], want, key)
        equal(server.status, {})
        order = ["queue", "compute_input", "compute_infer", "compute_output"]
        equal(sorted(spans), sorted(order))
        at = server.begin
        for name in order:
            x = spans[name]
            equal((x.kind, x.trace, x.parent), ("SPAN_KIND_INTERNAL", server.trace, server.id))
            assert at <= x.begin <= x.end, (name, at, x.begin, x.end)
            at = x.end
        assert at <= server.end and len({x.id for x in spans.values()} | {server.id}) == 5
        assert began <= server.begin <= ended and server.end - ended < 1e9, (began, ended)
        said = timing(answer)
        for name, key in zip(order, ("queue", "input", "compute", "output")):
            assert spans[name].ms() <= said[key] + 0.001, (name, spans[name].ms(), said)
        assert said["total"] <= server.ms() + 0.001, (said, server.ms())


def pictures_errors_and_grpc(t):
    with Collector(t) as c:
        with t.serve(*c.settings()) as s:
            equal(s.ask("POST", "/v1/images:detect?model=yolo", png(32, 32, (1, 2, 3)),
                        {"Content-Type": "image/png"}).status in (200, 400, 404), True)
            equal(ask(s, model="nobody").status, 404)
            equal(s.get("/no/such/path").status, 404)
            frame = b"\0\0\0\0\0"
            script = subprocess.run(
                ["curl", "-s", "--http2-prior-knowledge", "-X", "POST", "-H", "te: trailers", "-H",
                 "content-type: application/grpc", "--data-binary", "@-", "-o", os.devnull,
                 f"http://127.0.0.1:{s.port}/inference.GRPCInferenceService/ModelMetadata"],
                input=frame, check=False)
            equal(s.stop(), 0)
        spans = c.spans()
        unknown = [x for x in spans if x.attributes.get("url.path") == "/no/such/path"]
        equal([(x.name, x.attributes["http.response.status_code"]) for x in unknown],
              [("GET", 404)])
        assert "http.route" not in unknown[0].attributes
        missing = [x for x in spans if x.attributes.get("volley.model.name") == "nobody"]
        equal([x.attributes["http.response.status_code"] for x in missing], [404])
        equal(missing[0].status, {}, "the client's mistake is no error of the server")
        if script.returncode == 0:
            rpc = [x for x in spans if x.attributes.get("rpc.system") == "grpc"]
            equal(len(rpc), 1)
            equal(rpc[0].name, "inference.GRPCInferenceService/ModelMetadata")
            equal((rpc[0].attributes["rpc.service"], rpc[0].attributes["rpc.method"]),
                  ("inference.GRPCInferenceService", "ModelMetadata"))
            assert rpc[0].attributes["rpc.grpc.status_code"] != 0


def a_share_is_sampled(t):
    """0.3 of 2000 by trace id: within 5 standard deviations; parents decide for their own."""
    n = 2000
    with Collector(t) as c:
        with t.serve(*c.settings("otlp.sample=0.3")) as s:
            connection = s.connect()
            for _ in range(n):
                equal(s.ask("GET", "/health", connection=connection).status, 200)
            for _ in range(20):
                s.ask("GET", "/health", headers={"traceparent": PARENT}, connection=connection)
                answer = s.ask("GET", "/health", headers={"traceparent": NOT_SAMPLED},
                               connection=connection)
                assert "traceresponse" not in answer.headers
            metrics = s.get("/metrics").body.decode()
            equal(s.stop(), 0)
        spans = c.spans()
        own = [x for x in spans if x.parent == ""]
        low = [int(x.trace[16:], 16) >> 1 for x in own]
        assert all(x < 0.3 * 2**63 for x in low)
        own = [x for x in own if x.attributes["url.path"] == "/health"]
        assert abs(len(own) - 0.3 * n) < 5 * (n * 0.3 * 0.7) ** 0.5, len(own)
        equal(len({x.trace for x in own}), len(own))
        equal(len([x for x in spans if x.parent == PARENT[36:52]]), 20)
        assert "volley_otlp_sampled_total" in metrics


def broken_parents_begin_traces_of_their_own(t):
    broken = ["", "00", PARENT.upper(), "ff" + PARENT[2:], PARENT + "-x",
              f"00-{'0' * 32}-{'1' * 16}-01", f"00-{'1' * 32}-{'0' * 16}-01", PARENT[:-1] + "g"]
    with Collector(t) as c:
        with t.serve(*c.settings()) as s:
            for header in broken + ["cc" + PARENT[2:] + "-what-comes-later"]:
                equal(s.ask("GET", "/health", headers={"traceparent": header}).status, 200)
            equal(s.stop(), 0)
        spans = c.spans()
        equal(len(spans), len(broken) + 1)
        equal([x.parent for x in spans], [""] * len(broken) + [PARENT[36:52]])


def strangers_choose_no_traces(t):
    keys = t.path("keys.json")
    key = subprocess.run([t.volley, "key", "mint", "boss", "--keys", keys, "--scope", "admin"],
                         check=True, capture_output=True, text=True).stdout.strip()
    path = t.path("trust.yaml")
    wanted, own = {"traceparent": PARENT}, {"traceparent": PARENT, "X-Api-Key": key}
    n = 300
    with Collector(t) as c:
        with open(path, "w") as f:
            f.write("otlp.sample: 0\n")
        settings = [x for x in c.settings() if x != "otlp.sample=1"]
        del settings[-1]
        with t.serve(*settings, "--config", path, "--keys", keys) as s:
            def expect(target, headers, status, is_traced):
                answer = s.ask("GET", target, headers=headers)
                equal((answer.status, "traceresponse" in answer.headers), (status, is_traced),
                      f"{target} {headers}")

            def reload(text):
                with open(path, "w") as f:
                    f.write(text)
                equal(s.ask("POST", "/v1/config:reload", headers={"X-Api-Key": key}).status, 200)

            for target, status in (("/v2", 401), ("/nothing", 404), ("/health", 200)):
                expect(target, wanted, status, False)
            expect("/v2", {**wanted, "X-Api-Key": key + "x"}, 401, False)
            expect("/v2", own, 200, True)
            reload("otlp.sample: 0\notlp.trust_parent: false\n")
            expect("/v2", own, 200, False)
            # an id that lies in every share is no way round it
            low = {"traceparent": f"00-{'1' * 16}{'0' * 15}1-{'1' * 16}-01"}
            reload("otlp.sample: 0.3\n")
            connection = s.connect()
            traced = sum("traceresponse" in s.ask("GET", "/v2", headers=low, connection=connection)
                         .headers for _ in range(n))
            assert abs(traced - 0.3 * n) < 5 * (n * 0.3 * 0.7) ** 0.5, traced
            equal(s.stop(), 0)
        equal(len([x for x in c.spans() if x.parent == PARENT[36:52]]), 1)


def clients_behind_proxies_are_told(t):
    log = t.path("proxied.log")
    with Collector(t) as c:
        with t.serve(*c.settings("access.trusted_proxies=127.0.0.0/8",
                                 f"http.access_log={log}")) as s:
            for value in ("203.0.113.7, 198.51.100.1", "2001:DB8::1", "nonsense"):
                equal(s.ask("GET", "/health", headers={"X-Forwarded-For": value}).status, 200)
            equal(s.stop(), 0)
        told = [(x.attributes["client.address"], x.attributes.get("network.peer.address"))
                for x in c.spans()]
        equal(told, [("198.51.100.1", "127.0.0.1"), ("2001:db8::1", "127.0.0.1"),
                     ("127.0.0.1", None)])
    with open(log) as f:
        lines = [json.loads(line) for line in f]
    equal([line.get("client") for line in lines], ["198.51.100.1", "2001:db8::1", None])
    assert all(line["peer"].startswith("127.0.0.1:") for line in lines), lines


def message_spans(spans):
    """{number: span} of the messages, with their children in order of time, held against them."""
    found = {x.attributes["volley.stream.message"]: x for x in spans if x.name == "message"}
    for x in found.values():
        equal(x.kind, "SPAN_KIND_INTERNAL")
        x.children = sorted((y for y in spans if y.parent == x.id), key=lambda y: y.begin)
        for child in x.children:
            assert x.begin <= child.begin <= child.end <= x.end, (x.begin, child.begin, x.end)
    return found


STAGES = ["compute_infer", "compute_input", "compute_output", "queue"]


def leave(ws):
    ws.send(b"\x03\xe8", CLOSE)
    while ws.receive()[0] is not None:
        pass


def streams_are_traced(t):
    """The stream, its first message, and no more than one a second."""
    message = json.dumps({"inputs": simple_inputs([1] * 16, [2] * 16)})
    with Collector(t) as c:
        with t.serve(*c.settings()) as s:
            began = time.monotonic()
            ws = WebSocket(s.port, "/v1/stream?kind=raw&model=simple")
            assert "hello" in ws.json()
            n = 0

            def ask(text):
                nonlocal n
                n += 1
                ws.send(text)
                return ws.json()

            for _ in range(20):
                assert "outputs" in ask(message)

            def has_second():
                assert "outputs" in ask(message)
                return len(message_spans(c.spans())) > 1

            wait_until("a second message is traced", has_second)
            leave(ws)
            wait_until("the stream's span", lambda: any(
                x.name == "GET /v1/stream" for x in c.spans()))
            took = time.monotonic() - began
            ws, n = WebSocket(s.port, "/v1/stream?kind=raw&model=simple"), 0
            assert "hello" in ws.json()
            assert "error" in ask("{")
            leave(ws)
            equal(WebSocket(s.port, "/v1/stream?kind=raw&model=nobody").status, 404)
            equal(s.stop(), 0)
        spans = c.spans()
    first, wrong, missing = sorted((x for x in spans if x.name == "GET /v1/stream"),
                                   key=lambda x: x.begin)
    equal([x.attributes["http.response.status_code"] for x in (first, wrong, missing)],
          [101, 101, 404])
    equal((first.attributes["volley.model.name"], first.parent), ("simple", ""))
    assert first.attributes["volley.stream.messages"] > 20, first.attributes
    found = message_spans([x for x in spans if x.trace == first.trace])
    assert 1 in found and 2 <= len(found) <= took + 1, (sorted(found), took)
    for number, x in found.items():
        equal((x.parent, x.attributes["volley.model.name"], x.attributes["volley.batch_size"]),
              (first.id, "simple", 1), f"message {number}")
        assert x.attributes["volley.queue_us"] >= 0 and first.begin <= x.begin, x.attributes
        assert x.end <= first.end
        equal(sorted(y.name for y in x.children), STAGES)
    found = message_spans([x for x in spans if x.trace == wrong.trace])
    equal((list(found), found[1].children, found[1].status.get("code")), ([1], [], None))
    equal([x for x in spans if x.trace == missing.trace], [missing])


def field(number, data):
    """Of protobuf, wire type 2; shorter than 128 bytes."""
    return bytes([number << 3 | 2, len(data)]) + data


def grpc_streams_are_traced(t):
    tensor = field(2, b"INT32") + field(3, bytes([1, 16]))
    request = field(1, b"simple") + b"".join(
        field(5, field(1, name) + tensor) for name in (b"INPUT0", b"INPUT1"))
    request += field(7, b"\1\0\0\0" * 16) * 2
    frame = b"\0" + len(request).to_bytes(4, "big") + request
    method = "inference.GRPCInferenceService/ModelStreamInfer"
    if shutil.which("curl") is None:
        raise Skip("no curl")
    with Collector(t) as c:
        with t.serve(*c.settings()) as s:
            p = subprocess.run(
                ["curl", "-s", "--http2-prior-knowledge", "-X", "POST", "-H", "te: trailers", "-H",
                 "content-type: application/grpc", "-H", f"traceparent: {PARENT}", "--data-binary",
                 "@-", f"http://127.0.0.1:{s.port}/{method}"],
                input=frame * 3, capture_output=True)
            equal(p.returncode, 0, p.stderr)
            equal(p.stdout.count(b"simple"), 3)
            equal(s.stop(), 0)
        spans = c.spans()
    stream, = (x for x in spans if x.kind == "SPAN_KIND_SERVER")
    equal((stream.name, stream.parent, stream.attributes["volley.stream.messages"]),
          (method, PARENT[36:52], 3))
    found = message_spans(spans)
    assert 1 in found, found
    equal((found[1].parent, found[1].trace), (stream.id, PARENT[3:35]))
    equal(sorted(y.name for y in found[1].children), STAGES)


def batches_are_told(t):
    """What waits behind a run goes in one batch, and each span says of how many."""
    n_asked = n_runs = 0
    body = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 512],
                                   "data": [1.0] * 512}]})
    with Collector(t) as c:
        with t.serve(*c.settings("threads=1", "model.execution=batched")) as s:
            def has_batch():
                nonlocal n_asked, n_runs
                with ThreadPoolExecutor(16) as pool:
                    answers = list(pool.map(
                        lambda _: s.ask("POST", "/v2/models/slow/infer", body).status, range(16)))
                equal(answers, [200] * 16)
                n_asked += 16
                n_runs = s.get("/v2/models/slow/stats").json()["model_stats"][0]["execution_count"]
                return n_runs < n_asked

            wait_until("two in one run", has_batch)
            equal(s.stop(), 0)
        sizes = [x.attributes["volley.batch_size"] for x in c.spans()
                 if x.attributes.get("http.route") == "/v2/models/{}/infer"]
    equal(len(sizes), n_asked)
    equal(round(sum(1 / size for size in sizes), 6), n_runs, f"{sizes}: each run once")


def tritons_settings_sample(t):
    with Collector(t) as c:
        with t.serve(*c.settings("otlp.sample=0")) as s:
            update = {"trace_level": ["TIMESTAMPS"], "trace_rate": "3", "trace_count": "4"}
            answer = s.ask("POST", "/v2/models/simple/trace/setting", json.dumps(update))
            equal(answer.status, 200)
            assert "warning" not in answer.headers
            equal(answer.json()["trace_mode"], "opentelemetry")
            for _ in range(30):
                equal(ask(s).status, 200)
            equal(s.get("/v2/models/simple/trace/setting").json()["trace_count"], "0")
            tensors = s.ask("POST", "/v2/trace/setting", json.dumps({"trace_level": ["TENSORS"]}))
            equal(tensors.headers["warning"], '199 - "tensors are not traced"')
            equal(s.stop(), 0)
        equal([x.kind for x in c.spans()].count("SPAN_KIND_SERVER"), 4)


def the_share_changes_while_it_runs(t):
    path = t.path("otlp.yaml")
    with Collector(t) as c:
        with open(path, "w") as f:
            f.write("otlp.sample: 0\n")
        settings = [x for x in c.settings() if x != "otlp.sample=1"]
        del settings[-1]
        with t.serve(*settings, "--config", path) as s:
            assert "traceresponse" not in s.get("/health").headers
            with open(path, "w") as f:
                f.write("otlp.sample: 1\n")
            equal(s.ask("POST", "/v1/config:reload").status, 200)
            assert "traceresponse" in s.get("/health").headers
            equal(s.stop(), 0)


def collectors_fail_and_nobody_notices(t):
    def reset(n):
        return (503, {"Retry-After": "1"}) if n < 2 else (200, {})
    headers = t.path("headers")
    with open(headers, "w") as f:
        f.write("# of the collector\nAuthorization: Bearer x\n")
    cases = ((reset, b""), (lambda n: (400, {}), b"no"), (lambda n: (200, {}), b"\x0a\xff"))
    for answer, body in cases:
        with Collector(t, answer, body) as c, open(t.path("log"), "w") as log:
            with t.serve(*c.settings(f"otlp.headers_file={headers}"), log=log) as s:
                for _ in range(20):
                    equal(ask(s).status, 200)
                if answer is reset:
                    wait_until("spans behind two failures", lambda: len(c.bodies) > 0)
                    equal(c.headers[0][1]["Authorization"], "Bearer x")
                equal(s.stop(), 0)


def passwords_of_collectors_are_not_told(t):
    gone = socket.socket()
    gone.bind(("127.0.0.1", 0))  # no listen: refused
    with Collector(t, lambda n: (400, {})) as c:
        for port, why in ((c.server.server_port, "status 400"), (gone.getsockname()[1], "POST ")):
            with open(t.path("secret.log"), "w+") as log:
                with t.serve("--set", f"otlp.endpoint=http://me:s3cr3t@127.0.0.1:{port}/v1/traces",
                             "--set", "otlp.sample=1", "--set", "log.level=debug", log=log) as s:
                    equal(s.get("/health").status, 200)
                    equal(s.stop(), 0)
                log.seek(0)
                said = log.read() + "\n".join(s.lines)
            assert "s3cr3t" not in said, said
            equal(said.count(f"http://***@127.0.0.1:{port}"), 2, said)  # at the start, the failure
            assert "traces cannot be sent" in said and why in said, said


def a_collector_that_is_away_or_never_answers(t):
    deaf = socket.socket()
    deaf.bind(("127.0.0.1", 0))
    deaf.listen(8)
    gone = socket.socket()
    gone.bind(("127.0.0.1", 0))  # no listen: refused
    for port in (deaf.getsockname()[1], gone.getsockname()[1]):
        with t.serve("--set", f"otlp.endpoint=http://127.0.0.1:{port}/v1/traces", "--set",
                     "otlp.sample=1", "--set", "otlp.interval_ms=10", "--set",
                     "otlp.max_queue_bytes=64KiB") as s:
            connection = s.connect()
            worst = 0
            for _ in range(500):
                began = time.monotonic()
                equal(s.infer("simple", simple_inputs([1] * 16, [2] * 16),
                              connection=connection).status, 200)
                worst = max(worst, time.monotonic() - began)
            assert worst < 5, worst
            dropped = re.search(r"volley_otlp_dropped_spans_total (\d+)",
                                s.get("/metrics").body.decode())
            assert int(dropped[1]) > 0, dropped
            began = time.monotonic()
            equal(s.stop(), 0)
            assert time.monotonic() - began < 20


def off_says_nothing(t):
    with t.serve() as s:
        answer = ask(s, {"traceparent": PARENT})
        equal(answer.status, 200)
        assert "traceresponse" not in answer.headers
        assert "volley_otlp" not in s.get("/metrics").body.decode()
        equal(s.stop(), 0)
    p = subprocess.run([t.volley, "serve", "--models", t.models, "--port", "0", "--set",
                        "otlp.endpoint=http://h/", "--set", "otlp.resource=x"],
                       capture_output=True, text=True, timeout=60)
    equal(p.returncode, 1)
    assert "otlp.resource" in p.stderr or "libcurl" in p.stderr, p.stderr


run(a_request_becomes_nested_spans, pictures_errors_and_grpc, a_share_is_sampled,
    broken_parents_begin_traces_of_their_own, strangers_choose_no_traces,
    clients_behind_proxies_are_told, streams_are_traced, grpc_streams_are_traced, batches_are_told,
    tritons_settings_sample, the_share_changes_while_it_runs, collectors_fail_and_nobody_notices,
    passwords_of_collectors_are_not_told, a_collector_that_is_away_or_never_answers,
    off_says_nothing)
