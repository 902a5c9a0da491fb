# SPDX-License-Identifier: MIT
"""`volley serve` behind TLS: curl, Python's ssl, and a certificate that is replaced."""
import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess

from harness import (PATIENCE, Answer, Certificate, Skip, equal, run, simple_inputs,
                     wait_until)

ONE = list(range(16))


def trust(*certificates, alpn=()):
    context = ssl.create_default_context()
    for c in certificates:
        context.load_verify_locations(c.path)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def connect(s, context):
    c = http.client.HTTPSConnection("127.0.0.1", s.port, context=context, timeout=PATIENCE)
    c.connect()
    return c


def subject(c):
    return dict(pair[0] for pair in c.sock.getpeercert()["subject"])["commonName"]


def curl(s, certificate, *args):
    p = subprocess.run(["curl", "-sS", "--cacert", certificate.path, *args,
                        "-w", "\n%{http_version} %{http_code}", f"https://localhost:{s.port}/v2"],
                       capture_output=True, text=True, timeout=PATIENCE)
    equal(p.stderr, "")
    body, last = p.stdout.rsplit("\n", 1)
    equal(json.loads(body)["name"], "volley")
    return last


def answers_curl(t):
    if shutil.which("curl") is None:
        raise Skip("no curl")
    c = Certificate(t, "curl")
    with t.serve(*c.settings()) as s:
        equal(s.scheme, "https")
        for version in ("--tlsv1.3", "--tls-max"):
            args = [version] if version != "--tls-max" else [version, "1.2"]
            equal(curl(s, c, "--http1.1", *args), "1.1 200")
        equal(s.stop(), 0, "exit status")


def answers_curl_over_http2(t):
    features = subprocess.run(["curl", "--version"], capture_output=True, text=True).stdout
    if "HTTP2" not in features:
        raise Skip("no curl with HTTP/2")
    c = Certificate(t, "curl")
    with t.serve(*c.settings()) as s:
        equal(curl(s, c, "--http2"), "2 200")


def infers_with_python(t):
    c = Certificate(t, "python")
    with t.serve(*c.settings()) as s:
        https = connect(s, trust(c, alpn=["http/1.1"]))
        equal(https.sock.selected_alpn_protocol(), "http/1.1")
        for _ in range(3):
            answer = s.infer("simple", simple_inputs(ONE, ONE), connection=https)
            equal(answer.json()["outputs"][0]["data"], [2 * i for i in ONE])
        https.close()
        equal(s.stop(), 0, "exit status")


def one_file_holds_both(t):
    c = Certificate(t, "both")
    with open(c.path, "a") as f, open(c.key) as key:
        f.write(key.read())
    with t.serve("--set", f"tls.certificate={c.path}") as s:
        equal(Answer(ask(connect(s, trust(c)))).status, 200)


def ask(connection):
    connection.request("GET", "/health")
    return connection.getresponse()


def obeys_the_lowest_version(t):
    c = Certificate(t, "version")
    with t.serve(*c.settings(), "--set", "tls.min_version=1.3") as s:
        old = trust(c)
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        try:
            connect(s, old)
            raise AssertionError("expected no TLS 1.2")
        except ssl.SSLError:
            pass
        equal(Answer(ask(connect(s, trust(c)))).status, 200)


def refuses_plain_http(t):
    c = Certificate(t, "plain")
    with t.serve(*c.settings()) as s:
        answer = s.get("/v2")
        equal(answer.status, 400)
        assert "speaks HTTPS" in answer.json()["error"], answer.body


def replaces_its_certificate(t):
    """By the signal, and by looking at the files; a connection that is open goes on."""
    for settings, number in ((["--set", "tls.check_ms=86400000"], signal.SIGHUP),
                             (["--set", "tls.check_ms=20"], None)):
        c, new = Certificate(t, "old"), Certificate(t, "new")
        both = trust(c, new)
        with t.serve(*c.settings(), *settings) as s:
            kept = connect(s, both)
            equal(subject(kept), "old")
            c.replace(new)
            if number is not None:
                s.signal(number)
            wait_until("the new certificate", lambda: subject(connect(s, both)) == "new")
            equal(Answer(ask(kept)).status, 200)
            equal(s.stop(), 0, "exit status")


def keeps_its_certificate_when_the_new_is_bad(t):
    c, other = Certificate(t, "good"), Certificate(t, "other")
    with open(t.path("log"), "w+") as log, t.serve(
            *c.settings(), "--set", "tls.check_ms=20", log=log) as s:
        context = trust(c, other)
        os.replace(other.path, c.path)  # and its key is still on the way
        wait_until("a warning", lambda: "key values mismatch; the certificate before it stays"
                   in open(t.path("log")).read())
        equal(subject(connect(s, context)), "good")
        os.replace(other.key, c.key)
        wait_until("the new certificate", lambda: subject(connect(s, context)) == "other")
        equal(open(t.path("log")).read().count("stays"), 1, "warnings")


def refuses_bad_settings(t):
    c = Certificate(t, "settings")
    for args, said in ((["tls.certificate=/nowhere"], "TLS certificate: '/nowhere': No such file"),
                       ([f"tls.certificate={c.key}"], c.key),
                       ([f"tls.key={c.key}"], "'tls.key' is there without 'tls.certificate'"),
                       (["tls.min_version=1.1"], "expected 1.2 or 1.3, got '1.1'")):
        p = subprocess.run([t.volley, "serve", "--models", t.models, "--port", "0",
                            *[word for a in args for word in ("--set", a)]],
                           capture_output=True, text=True, timeout=PATIENCE)
        equal(p.returncode, 1, "exit status")
        assert said in p.stderr and p.stderr.count("\n") == 1, f"{args}: got {p.stderr!r}"


def survives_hang_up_without_a_certificate(t):
    with t.serve() as s:
        s.signal(signal.SIGHUP)
        equal(s.get("/health").status, 200)
        equal(s.stop(), 0, "exit status")


def survives_silent_and_rude_clients(t):
    c = Certificate(t, "rude")
    with t.serve(*c.settings(), "--set", "http.header_timeout_ms=100") as s:
        silent = socket.create_connection(("127.0.0.1", s.port), PATIENCE)
        rude = connect(s, trust(c))
        rude.putrequest("POST", "/v2/models/simple/infer")
        rude.putheader("Content-Length", "100000")
        rude.endheaders(b"{")
        socket.socket.close(rude.sock)  # no close_notify
        equal(silent.recv(1), b"")
        equal(Answer(ask(connect(s, trust(c)))).status, 200)
        equal(s.stop(), 0, "exit status")


if shutil.which("openssl") is None:
    print("1..0 # SKIP no openssl to make certificates with")
else:
    run(answers_curl, answers_curl_over_http2, infers_with_python, one_file_holds_both,
        obeys_the_lowest_version, refuses_plain_http, replaces_its_certificate,
        keeps_its_certificate_when_the_new_is_bad, refuses_bad_settings,
        survives_hang_up_without_a_certificate, survives_silent_and_rude_clients)
