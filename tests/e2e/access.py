# SPDX-License-Identifier: MIT
"""Keys, scopes, limits, the admin listener and CORS of a real server, as clients meet them.

This file is both: the tests, and, with --client URL KEY READ_KEY, what Python with Triton's clients
runs.
"""
import http.client
import json
import os
import re
import socket
import struct
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

PROBE = "import tritonclient.http, tritonclient.grpc"


# ---- what runs in the environment ----

def client(url, key, read_key):
    import grpc
    import numpy as np
    import tritonclient.grpc as tgrpc
    import tritonclient.http as thttp
    from tritonclient.utils import InferenceServerException

    def inputs(module):
        made = [module.InferInput(name, [1, 16], "INT32") for name in ("INPUT0", "INPUT1")]
        for tensor in made:
            tensor.set_data_from_numpy(np.full((1, 16), 3, dtype=np.int32))
        return made

    def expect(text, status, call):
        try:
            call()
        except InferenceServerException as e:
            assert text in e.message(), e.message()
            assert status in str(e.status()), e.status()
        else:
            raise AssertionError(f"expected {status}: {text}")

    for module, missing, denied in ((thttp, "401", "403"),
                                    (tgrpc, "UNAUTHENTICATED", "PERMISSION_DENIED")):
        c = module.InferenceServerClient(url)
        assert c.is_server_live()
        expect("an API key is needed", missing, lambda: c.infer("simple", inputs(module)))
        expect("unknown, expired or revoked", missing,
               lambda: c.infer("simple", inputs(module), headers={"x-api-key": "vly_no"}))
        expect("has scope read, expected infer", denied,
               lambda: c.infer("simple", inputs(module), headers={"x-api-key": read_key}))
        expect("has scope infer, expected admin", denied,
               lambda: c.load_model("simple", headers={"authorization": f"Bearer {key}"}))
        for headers in ({"x-api-key": key}, {"authorization": f"Bearer {key}"}):
            got = c.infer("simple", inputs(module), headers=headers).as_numpy("OUTPUT0")
            assert np.array_equal(got, np.full((1, 16), 6)), got
            c.get_model_metadata("simple", headers=headers)
        c.close()

    # grpcio itself, with call credentials as metadata
    with grpc.insecure_channel(url) as channel:
        call = channel.unary_unary("/inference.GRPCInferenceService/ServerMetadata")
        try:
            call(b"")
        except grpc.RpcError as e:
            assert e.code() == grpc.StatusCode.UNAUTHENTICATED, e
        assert b"volley" in call(b"", metadata=(("authorization", f"Bearer {read_key}"),))


def client_sessions(url, mine, other, boss, session):
    """A session over gRPC: its own key's and an admin's alone."""
    import grpc
    name = b"\x0a\x20" + session.encode()  # field 1 of every request that names one
    with grpc.insecure_channel(url) as channel:
        def call(method, key, message=b""):
            try:
                return channel.unary_unary("/volley.v1.Steps/" + method)(
                    message, metadata=(("x-api-key", key),))
            except grpc.RpcError as e:
                return e.code().name
        for key, known in ((mine, True), (other, False), (boss, True)):
            assert (session.encode() in call("ListSessions", key)) == known, known
            assert (call("GetSession", key, name) == "NOT_FOUND") != known
            assert (call("ResetSession", key, name) == "NOT_FOUND") != known

        def joins(key):
            heard = threading.Event()

            def requests():
                yield b"\x0a\x22\x1a\x20" + session.encode()  # open { session }
                heard.wait()  # no half-close: that ends the session
            answers = channel.stream_stream("/volley.v1.Steps/Stream")(
                requests(), metadata=(("x-api-key", key),))
            try:
                return session.encode() in next(answers)
            except grpc.RpcError as e:
                return e.code().name
            finally:
                answers.cancel()
                heard.set()
        assert (joins(other), joins(mine)) == ("NOT_FOUND", True)


if len(sys.argv) > 1 and sys.argv[1] == "--client":
    client(*sys.argv[2:5])
    sys.exit(0)
if len(sys.argv) > 1 and sys.argv[1] == "--client-sessions":
    client_sessions(*sys.argv[2:7])
    sys.exit(0)

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import (PATIENCE, Answer, equal, python_with, run, simple_inputs,  # noqa: E402
                     wait_until)
from ws_client import BINARY, CLOSE, WebSocket  # noqa: E402


class Keys:
    """A key file of its own; minted keys by name."""

    def __init__(self, t, name):
        self.volley, self.path, self.text = t.volley, t.path(name), {}

    def command(self, *args):
        return subprocess.run([self.volley, "key", *args, "--keys", self.path], text=True,
                              capture_output=True, check=True).stdout

    def mint(self, name, *args):
        self.text[name] = self.command("mint", name, *args).strip()
        return self.text[name]

    def headers(self, name):
        return {"Authorization": f"Bearer {self.text[name]}"}


def three_keys(t, name):
    keys = Keys(t, name)
    keys.mint("reader", "--scope", "read")
    keys.mint("worker")
    keys.mint("boss", "--scope", "admin", "--expires", "30d")
    return keys


def infer_body():
    return json.dumps({"inputs": simple_inputs(list(range(16)), [1] * 16)})


def refused(answer, status, text):
    equal(answer.status, status, f"status of {answer.body}")
    assert text in answer.json()["error"], answer.body


def scopes_are_held(t):
    keys = three_keys(t, "scopes.json")
    infer = ("POST", "/v2/models/simple/infer", infer_body())
    load = ("POST", "/v2/repository/models/simple/load", "{}")
    with t.serve("--keys", keys.path, "--model-control", "explicit", "--load-model", "*") as s:
        for path in ("/health", "/health/ready", "/v2/health/live", "/v2/health/ready", "/",
                     "/openapi.json", "/steps"):
            equal(s.get(path).status, 200, path)
        for path in ("/v2", "/metrics", "/v1/models", "/v2/models/simple", "/v1/sessions"):
            a = s.get(path)
            refused(a, 401, "an API key is needed")
            equal(a.headers["www-authenticate"], 'Bearer realm="volley"')
            equal(s.ask("GET", path, headers=keys.headers("reader")).status, 200, path)
        a = s.ask(*infer, headers=keys.headers("reader"))
        refused(a, 403, "API key 'reader' has scope read, expected infer")
        equal(a.headers["www-authenticate"],
              'Bearer realm="volley", error="insufficient_scope"')
        equal(s.ask(*infer, headers=keys.headers("worker")).status, 200)
        equal(s.ask(*infer, headers={"X-Api-Key": keys.text["worker"]}).status, 200)
        refused(s.ask(*load, headers=keys.headers("worker")), 403, "expected admin")
        equal(s.ask(*load, headers=keys.headers("boss")).status, 200)
        equal(s.ask(*infer, headers=keys.headers("boss")).status, 200)
        for wrong in (keys.text["boss"][:-1] + "?", keys.text["boss"][:-1], "", "x" * 5000):
            a = s.ask(*infer, headers={"X-Api-Key": wrong})
            refused(a, 401, "unknown, expired or revoked")
            assert "invalid_token" in a.headers["www-authenticate"], a.headers
        equal(s.ask(*infer, headers={"Authorization": "Basic " + keys.text["boss"]}).status, 401)
        equal(s.ask("GET", f"/v2?key={keys.text['boss']}").status, 401, "a key in the URL")


def keys_end_when_they_should(t):
    keys = Keys(t, "expiry.json")
    for wrong in ("26-01-31", "1969-12-31", "2020-01-31", "2030-02-31", "2030-01-31x", "0d", "x"):
        p = subprocess.run([t.volley, "key", "mint", "a", "--keys", keys.path, "--expires", wrong],
                           capture_output=True, text=True)
        equal(p.returncode, 1, f"{wrong}: {p.stdout}{p.stderr}")
        assert f"got '{wrong}'" in p.stderr, p.stderr
    made = json.loads(keys.command("mint", "a", "--expires", "2096-02-29", "--json"))
    equal(made["expires_ms"], 3981312000000)  # date -u -d 2096-02-29 +%s


def keys_come_and_go(t):
    keys = Keys(t, "changing.json")
    keys.mint("first")
    keys.mint("boss", "--scope", "admin")
    settings = t.path("changing.yaml")
    with open(settings, "w") as f:
        f.write("access.check_ms: 86400000\n")
    with t.serve("--keys", keys.path, "--config", settings, "--set", "tls.check_ms=86400000",
                 log=open(t.path("changing.log"), "w+")) as s:
        with open(settings, "w") as f:
            f.write("access.check_ms: 20\n")
        equal(s.ask("POST", "/v1/config:reload", headers=keys.headers("boss")).status, 200)
        equal(s.ask("GET", "/v2", headers=keys.headers("first")).status, 200)
        keys.mint("second")
        wait_until("the new key is taken",
                   lambda: s.ask("GET", "/v2", headers=keys.headers("second")).status == 200)
        with open(keys.path) as f:
            good = f.read()
        with open(keys.path + ".new", "w") as f:
            f.write(good[:-5])
        os.rename(keys.path + ".new", keys.path)
        wait_until("the fault is said",
                   lambda: "the keys before it stay" in open(t.path("changing.log")).read())
        equal(s.ask("GET", "/v2", headers=keys.headers("second")).status, 200, "all or nothing")
        with open(keys.path + ".new", "w") as f:
            f.write(good)
        os.rename(keys.path + ".new", keys.path)
        keys.command("revoke", "first")
        wait_until("the key is refused",
                   lambda: s.ask("GET", "/v2", headers=keys.headers("first")).status == 401)
        equal(s.ask("GET", "/v2", headers=keys.headers("second")).status, 200)
        for n in (1, 2):  # each time it goes, it is said once
            os.rename(keys.path, keys.path + ".gone")
            wait_until("that it is gone is said", lambda: open(t.path("changing.log")).read().count(
                "No such file or directory; the keys before it stay") == n)
            with open(keys.path, "w") as f:
                f.write(good)
            wait_until("it is read again", lambda: s.ask(
                "GET", "/v2", headers=keys.headers("first")).status == 200)
            keys.command("revoke", "first")
            wait_until("the key is refused",
                       lambda: s.ask("GET", "/v2", headers=keys.headers("first")).status == 401)


def keys_are_told_nowhere(t):
    keys = three_keys(t, "secret.json")
    log, errors = t.path("secret.access"), t.path("secret.log")
    with t.serve("--keys", keys.path, "--set", f"http.access_log={log}", "--set",
                 "log.level=debug", log=open(errors, "w")) as s:
        said = []
        for name, path in (("boss", "/metrics"), ("boss", "/v2/models/nobody"),
                           ("reader", "/v1/sessions"), ("worker", "/v2/logging")):
            said.append(s.ask("GET", path, headers=keys.headers(name)).body)
        said.append(s.ask("POST", "/v2/models/simple/infer", "{", keys.headers("worker")).body)
        said.append(s.ask("POST", "/v2/models/simple/infer", infer_body(),
                          {"X-Api-Key": keys.text["boss"] + "x"}).body)
        c = s.connect()  # a head that is refused as a whole
        c.putrequest("GET", "/v2")
        c.putheader("X-Api-Key", keys.text["boss"])
        c.putheader("Content-Length", "nonsense")
        c.endheaders()
        said.append(Answer(c.getresponse()).body)
        ws = WebSocket(s.port, "/v1/stream?kind=raw&model=simple",
                       protocols=["volley", "volley.key." + keys.text["worker"]])
        equal(ws.status, 101)
        ws.sock.close()
        s.signal()
        equal(s.wait(), 0, "exit status")
        said += [line.encode() for line in s.lines]
    for path in (log, errors, keys.path):
        with open(path, "rb") as f:
            said.append(f.read())
    for text in said:
        for key in keys.text.values():
            assert key[4:].encode() not in text, f"a key is in {text[:200]}"
    with open(log) as f:
        names = [json.loads(line).get("key") for line in f]
    assert names.count("boss") >= 2 and "reader" in names and "worker" in names, names


def rates_are_held(t):
    keys = Keys(t, "rates.json")
    keys.mint("slow", "--rate", "0.01", "--burst", "3")
    keys.mint("plain")
    with t.serve("--keys", keys.path, "--set", "limits.key_requests=5", "--set",
                 "limits.window_s=1000") as s:
        answers = [s.ask("GET", "/v2", headers=keys.headers("slow")) for _ in range(4)]
        equal([a.status for a in answers], [200, 200, 200, 429])
        equal(answers[0].headers["ratelimit-policy"], '"key";q=3;w=300')
        equal([re.match(r'"key";r=(\d)', a.headers["ratelimit"]).group(1) for a in answers],
              ["2", "1", "0", "0"])
        refused(answers[3], 429, "too many requests of this API key")
        assert 90 <= int(answers[3].headers["retry-after"]) <= 100, answers[3].headers
        equal(s.get("/health").status, 200)
        plain = [s.ask("GET", "/v2", headers=keys.headers("plain")).status for _ in range(6)]
        equal(plain, [200] * 5 + [429], "the server's own limit")


def streams_are_counted(t):
    keys = Keys(t, "streams.json")
    keys.mint("slow", "--rate", "0.01", "--burst", "3", "--concurrency", "1")
    offer = ["volley", "volley.key." + keys.text["slow"]]
    message = infer_body()
    with t.serve("--keys", keys.path, "--set", "access.check_ms=20") as s:
        ws = WebSocket(s.port, "/v1/stream?kind=raw&model=simple")
        equal(ws.status, 401)
        ws = WebSocket(s.port, "/v1/stream?kind=raw&model=simple", protocols=offer)
        equal(ws.status, 101)
        equal(ws.headers["sec-websocket-protocol"], "volley")
        assert "hello" in ws.json()
        refused(s.ask("GET", "/v2", headers=keys.headers("slow")), 429,
                "more than 1 requests at once")
        for _ in range(3):
            ws.send(message)
        said = [ws.json() for _ in range(3)]
        assert "outputs" in said[0] and "outputs" in said[1], said
        assert "too many requests of this API key" in said[2]["error"], said
        ws.sock.close()


def streams_end_with_their_keys(t):
    """Also those on which nothing comes; those of other keys go on."""
    def end_of(ws):
        kind = None
        while kind != CLOSE:
            kind, payload = ws.receive()
            assert kind is not None, "it ended without a word"
        return kind, payload

    targets = ("/ws/realtime?user_id=a-", "/v1/stream?kind=raw&model=simple&x=",
               "/v1/stream?kind=steps&device=d&user=")
    keys = Keys(t, "ends.json")
    names = ("leaked", "good", "brief")
    with open(keys.path, "w") as f:
        f.write('{"version":1,"keys":[]}')
    with t.serve("--keys", keys.path, "--set", "access.check_ms=20") as s:
        def opens(name, target):
            ws = WebSocket(s.port, target + name,
                           protocols=["volley", "volley.key." + keys.text[name]])
            equal(ws.status, 101, f"{name} {target}")
            return ws

        for name in names:
            keys.mint(name, *(["--expires", "5s"] if name == "brief" else []))
        wait_until("the keys are taken",
                   lambda: s.ask("GET", "/v2", headers=keys.headers("brief")).status == 200)
        streams = {name: [opens(name, target) for target in targets] for name in names}
        keys.command("revoke", "leaked")
        for name in ("leaked", "brief"):
            for ws in streams[name]:
                equal(end_of(ws), (CLOSE, b"\x03\xf0the API key is unknown, expired or revoked"))
        streams["good"][2].ask(action="stats")
        heard = [streams["good"][2].json()["type"] for _ in range(2)]
        assert heard == ["session", "stats"], heard


def strangers_hold_no_memory(t):
    keys = three_keys(t, "strangers.json")
    head = ("POST /v2/models/simple/infer HTTP/1.1\r\nHost: h\r\n"
            "Content-Type: application/json\r\n")
    with t.serve("--keys", keys.path, "--set", "http.max_body_total_bytes=1 MiB", "--set",
                 "http.max_body_bytes=1 MiB", "--set", "limits.address_requests=30", "--set",
                 "limits.window_s=1000") as s:
        def ask(more):
            sock = socket.create_connection(("127.0.0.1", s.port), PATIENCE)
            sock.sendall((head + more).encode())
            return sock, sock.makefile("rb").readline().split()[1]

        waiting = [ask(more) for more in (
            "Content-Length: 1000000\r\n\r\n" + "[" * 990000,
            "Content-Length: 1000000\r\nExpect: 100-continue\r\n\r\n",
            "Transfer-Encoding: chunked\r\n\r\n",
            "X-Api-Key: vly_no\r\nContent-Length: 4097\r\n\r\n")]
        equal([status for _, status in waiting], [b"401"] * 4)
        equal(s.ask("POST", "/v2/models/simple/infer", infer_body() + " " * 500000,
                    keys.headers("worker")).status, 200)
        go_on = f"Content-Length: 5000\r\nExpect: 100-continue\r\nX-Api-Key: {keys.text['worker']}"
        waiting.append(ask(go_on + "\r\n\r\n"))
        equal(waiting[-1][1], b"100")
        while s.ask("GET", "/v2", headers=keys.headers("worker")).status == 200:
            pass
        waiting.append(ask(go_on + "\r\n\r\n"))
        equal(waiting[-1][1], b"429", "no more for now")
        for sock, _ in waiting:
            sock.close()


def addresses_are_counted(t):
    proxied = {"X-Forwarded-For": "203.0.113.7, 198.51.100.1"}
    with t.serve("--set", "limits.address_requests=2", "--set", "limits.window_s=1000", "--set",
                 "access.trusted_proxies=127.0.0.0/8") as s:
        equal([s.ask("GET", "/v2", headers=proxied).status for _ in range(3)], [200, 200, 429])
        other = {"X-Forwarded-For": "198.51.100.2"}
        equal(s.ask("GET", "/v2", headers=other).status, 200)
        v6 = [{"X-Forwarded-For": f"2001:db8:1:2:{i}::1"} for i in range(3)]
        equal([s.ask("GET", "/v2", headers=h).status for h in v6], [200, 200, 429], "one /64")
        equal(s.get("/v2").headers["ratelimit-policy"], '"address";q=2;w=1000')
        metrics = s.ask("GET", "/metrics", headers={"X-Forwarded-For": "192.0.2.1"}).body.decode()
        assert 'volley_rate_limited_total{by="address"} 2' in metrics, metrics
    with t.serve("--set", "limits.address_requests=5", "--set", "limits.window_s=1000", "--set",
                 "admin.port=0") as s:
        guesses = (("GET", "/nothing"), ("POST", "/health"), ("POST", "/v2/models/../infer"),
                   ("POST", "/no.Service/Method", "", {"Content-Type": "application/grpc"}),
                   ("POST", "/v1/config:reload"), ("GET", "/nothing"))
        equal([s.ask(*guess).status for guess in guesses], [404, 405, 404, 200, 403, 429])
        refused(s.get("/v2"), 429, "too many requests of this address")
        equal(s.get("/health").status, 200)
    with t.serve("--set", "limits.address_requests=2", "--set", "limits.window_s=1000") as s:
        answers = [s.ask("GET", "/v2", headers={"X-Forwarded-For": f"192.0.2.{i}"}).status
                   for i in range(3)]
        equal(answers, [200, 200, 429], "a header that nobody trusts")


def admin_has_its_own_listener(t):
    with t.serve("--set", "admin.port=0", "--model-control", "explicit", "--load-model", "*") as s:
        line = next(line for line in s.lines
                    if line.startswith("admin listener"))
        c = http.client.HTTPConnection("127.0.0.1", int(line.split()[-1]), timeout=60)
        load = ("POST", "/v2/repository/models/simple/load", "{}")
        refused(s.ask(*load), 403, "by the admin listener only: see admin.port")
        equal(s.ask(*load, connection=c).status, 200)
        equal(s.ask("GET", "/metrics", connection=c).status, 200)
        equal(s.ask("GET", "/health/ready", connection=c).status, 200)
        infer = ("POST", "/v2/models/simple/infer", infer_body())
        refused(s.ask(*infer, connection=c), 403, "does not run models: see http.port")
        equal(s.ask(*infer).status, 200)
        assert 'volley_access_denied_total{reason="listener"} 2' in s.get("/metrics").body.decode()
        c.close()
        s.signal()
        equal(s.wait(), 0, "exit status")


def pages_of_others_are_told_apart(t):
    good, bad = "https://app.example", "https://evil.example"
    preflight = {"Access-Control-Request-Method": "POST",
                 "Access-Control-Request-Headers": "authorization"}
    infer = ("POST", "/v2/models/simple/infer", infer_body())
    with t.serve("--set", f"http.origins={good}") as s:
        a = s.ask("OPTIONS", "/v2/models/simple/infer", headers={"Origin": good, **preflight})
        equal(a.status, 204)
        equal(a.headers["access-control-allow-origin"], good)
        assert "Authorization" in a.headers["access-control-allow-headers"]
        assert "POST" in a.headers["access-control-allow-methods"]
        a = s.ask("OPTIONS", "/v2", headers={"Origin": bad, **preflight})
        equal(a.status, 403)
        assert "access-control-allow-origin" not in a.headers, a.headers
        a = s.ask(*infer, headers={"Origin": good})
        equal(a.status, 200)
        equal(a.headers["access-control-allow-origin"], good)
        assert "Retry-After" in a.headers["access-control-expose-headers"]
        assert "access-control-allow-credentials" not in a.headers
        refused(s.ask(*infer, headers={"Origin": bad}), 403, "http.origins")
        a = s.ask("GET", "/v2", headers={"Origin": bad})
        equal(a.status, 200)  # which the browser keeps from that page
        assert "access-control-allow-origin" not in a.headers
        equal(s.get("/v2").headers["vary"], "Origin")
        equal(s.ask("OPTIONS", "/v2").status, 405, "no preflight")
    with t.serve() as s:
        assert "vary" not in s.get("/v2").headers
        refused(s.ask("POST", "/reset_count", "{}", {"Origin": bad}), 403, "http.origins")
        port = f"http://127.0.0.1:{s.port}"
        equal(s.ask(*infer, headers={"Origin": port}).status, 200, "its own page")
    with t.serve("--set", "http.origins=*") as s:
        equal(s.ask("GET", "/v2", headers={"Origin": bad}).headers["access-control-allow-origin"],
              "*")


def nothing_is_open_by_mistake(t):
    keys = Keys(t, "open.json")
    keys.mint("one")

    def serve(*args):
        return subprocess.run([t.volley, "serve", "--models", t.models, "--port", "0", *args],
                              capture_output=True, text=True, timeout=60)

    for args in (["--address", "0.0.0.0"], ["--address", "::"],
                 ["--set", "admin.address=0.0.0.0", "--set", "admin.port=0"]):
        p = serve(*args)
        equal(p.returncode, 1, p.stdout)
        assert "volley key mint" in p.stderr and "--open" in p.stderr, p.stderr
    for args in (["--open"], ["--keys", keys.path]):
        p = subprocess.Popen([t.volley, "serve", "--models", t.models, "--port", "0", "--address",
                              "0.0.0.0", *args], stdout=subprocess.PIPE, text=True)
        assert any("listening on http://0.0.0.0:" in line for line in p.stdout)
        p.terminate()
        p.communicate()
        equal(p.returncode, 0)
    p = serve("--keys", t.path("none.json"))
    equal(p.returncode, 1)
    assert "setting 'access.keys'" in p.stderr and "none.json" in p.stderr, p.stderr
    p = serve("--set", "access.trusted_proxies=x", "--set", "limits.address_requests=1")
    assert "setting 'access.trusted_proxies'" in p.stderr, p.stderr


def floods_are_shed(t):
    body = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [8, 512],
                                   "data": [1.0] * (8 * 512)}]})
    with t.serve("--set", "queue.max_wait_ms=1", "--set", "threads=1", "--set",
                 "model.execution=parallel") as s:
        def ask(_):
            return [s.ask("POST", "/v2/models/slow/infer", body) for _ in range(5)]

        with ThreadPoolExecutor(16) as pool:
            answers = [a for some in pool.map(ask, range(16)) for a in some]
        equal({a.status for a in answers}, {200, 503})
        no = [a for a in answers if a.status == 503]
        refused(no[0], 503, "the wait would be")
        equal(no[0].headers["retry-after"], "1")
        equal(s.ask("POST", "/v2/models/slow/infer", body).status, 200, "afterwards")


def sessions_have_owners(t):
    keys = Keys(t, "owners.json")
    for name, scope in (("ann", "infer"), ("bob", "infer"), ("boss", "admin")):
        keys.mint(name, "--scope", scope)
    store = ("--store", t.path("owners.db"))

    def opens(s, name, target):
        ws = WebSocket(s.port, "/v1/stream?kind=steps&" + target,
                       protocols=["volley", "volley.key." + keys.text[name]] if name else ())
        if ws.status != 101:
            return ws.status
        session = ws.json()["session"]
        ws.send(struct.pack("<4sBBHQqIff", b"VIMU", 1, 5, 2, 0, 0, 0, 0, 0)  # so that it is saved
                + struct.pack("<i6fi6f", 0, *[1] * 6, 12500, *[1] * 6), BINARY)
        ws.ask(action="stats")
        assert session in str(ws.json())
        return session

    def sees(s, name, path="/v1/sessions"):
        a = s.ask("GET", path, headers=keys.headers(name))
        equal(a.status, 200)
        a = a.json()
        if path == "/sessions":
            equal(a["active_sessions"], len(a["sessions"]))
            return set(a["sessions"])
        equal(a["count"], len(a["sessions"]))
        return {row["session"] for row in a["sessions"]}

    with t.serve(*store) as s:
        nobodys = opens(s, None, "user=ann&device=d")
        equal(s.stop(), 0)
    with t.serve("--keys", keys.path, "--set", "access.check_ms=20", *store) as s:
        own = {name: opens(s, name, "user=u&device=d") for name in ("ann", "bob")}
        equal(opens(s, "ann", "user=u&device=d"), own["ann"], "it goes on")
        assert opens(s, "ann", "user=ann&device=d") != nobodys
        for path in ("/v1/sessions", "/sessions"):
            equal(sees(s, "bob", path), {own["bob"]})
            equal(len(sees(s, "ann", path)), 2)
            equal(len(sees(s, "boss", path)), 4)
        one = "/v1/sessions/" + own["bob"]
        for method, path in (("GET", one), ("POST", one + ":reset"), ("DELETE", one),
                             ("GET", "/sessions/" + own["bob"]),
                             ("DELETE", "/sessions/" + own["bob"])):
            equal(s.ask(method, path, headers=keys.headers("ann")).status, 404, path)
        equal(opens(s, "ann", "session=" + own["bob"]), 404, "a take-over")
        equal(opens(s, "bob", "session=" + own["bob"]), own["bob"])
        equal(s.ask("GET", "/v1/sessions/" + nobodys, headers=keys.headers("boss")).status, 200)
        keys.command("revoke", "bob")  # and a new one in its place
        keys.mint("bob")
        wait_until("the new key is taken",
                   lambda: s.ask("GET", "/v2", headers=keys.headers("bob")).status == 200)
        equal(sees(s, "bob"), {own["bob"]})
        equal(s.stop(), 0)
    with t.serve("--keys", keys.path, *store) as s:
        equal(sees(s, "bob"), {own["bob"]}, "the next process")
        equal(opens(s, "bob", "user=u&device=d"), own["bob"])
        equal(s.ask("DELETE", one, headers=keys.headers("boss")).status, 200)
        equal(sees(s, "bob"), set())
        equal(s.stop(), 0)


def sessions_have_owners_over_grpc(t):
    python = python_with(PROBE)
    keys = Keys(t, "grpc_owners.json")
    for name, scope in (("ann", "infer"), ("bob", "infer"), ("boss", "admin")):
        keys.mint(name, "--scope", scope)
    with t.serve("--keys", keys.path) as s:
        ws = WebSocket(s.port, "/v1/stream?kind=steps&user=u",
                       protocols=["volley", "volley.key." + keys.text["bob"]])
        p = subprocess.run([python, os.path.abspath(__file__), "--client-sessions",
                            f"127.0.0.1:{s.port}", *(keys.text[n] for n in ("bob", "ann", "boss")),
                            ws.json()["session"]], capture_output=True, text=True, timeout=300)
        equal(p.returncode, 0, p.stdout + p.stderr)


def clients_bring_keys(t):
    python = python_with(PROBE)
    keys = three_keys(t, "clients.json")
    with t.serve("--keys", keys.path) as s:
        p = subprocess.run([python, os.path.abspath(__file__), "--client", f"127.0.0.1:{s.port}",
                            keys.text["worker"], keys.text["reader"]], capture_output=True,
                           text=True, timeout=300)
        equal(p.returncode, 0, p.stdout + p.stderr)


run(scopes_are_held, keys_end_when_they_should, keys_come_and_go, keys_are_told_nowhere,
    rates_are_held, streams_are_counted, streams_end_with_their_keys, strangers_hold_no_memory,
    addresses_are_counted, admin_has_its_own_listener, pages_of_others_are_told_apart,
    nothing_is_open_by_mistake, floods_are_shed, sessions_have_owners,
    sessions_have_owners_over_grpc, clients_bring_keys)
