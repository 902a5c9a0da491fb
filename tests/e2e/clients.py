# SPDX-License-Identifier: MIT
"""`volley serve` and the command-line clients that people have: curl, nghttp, h2load, wrk."""
import json
import re
import shutil
import subprocess

from harness import PATIENCE, Skip, equal, run, simple_inputs

ONE = list(range(16))
N_REQUESTS = 2000


def need(program):
    if shutil.which(program) is None:
        raise Skip(f"no {program}")


def command(*args):
    p = subprocess.run(args, capture_output=True, text=True, timeout=PATIENCE)
    assert p.returncode == 0, f"{args[0]}: {p.returncode}: {p.stdout}{p.stderr}"
    return p.stdout


def need_curl_with_http2():
    need("curl")
    if "HTTP2" not in command("curl", "--version"):
        raise Skip("no curl with HTTP/2")


def request_file(t):
    path = t.path("request.json")
    with open(path, "w") as f:
        json.dump({"inputs": simple_inputs(ONE, ONE)}, f)
    return path


def curl(*args):
    """Body, version of HTTP, status."""
    out = command("curl", "-sS", "-w", "\n%{http_version} %{http_code}", *args)
    body, last = out.rsplit("\n", 1)
    return body, last


def curl_infers_over_both(t):
    need_curl_with_http2()
    with t.serve() as s:
        url = f"http://127.0.0.1:{s.port}/v2/models/simple/infer"
        answers = [curl(version, "--data-binary", "@" + request_file(t), url)
                   for version in ("--http1.1", "--http2-prior-knowledge", "--http2")]
        # The last asks for an upgrade, which need not be granted.
        equal([last for _, last in answers], ["1.1 200", "2 200", "1.1 200"])
        equal(json.loads(answers[0][0])["outputs"][0]["data"], [2 * i for i in ONE])
        equal(answers[1][0], answers[0][0])
        equal(s.stop(), 0, "exit status")


def curl_reads_why_a_large_body_is_refused(t):
    need_curl_with_http2()
    with open(t.path("large"), "wb") as f:
        f.write(bytes(3 << 20))
    with t.serve("--set", "http.max_body_bytes=2MiB") as s:
        url = f"http://127.0.0.1:{s.port}/v2/models/simple/infer"
        for version in ("1.1", "2"):
            how = "--http1.1" if version == "1.1" else "--http2-prior-knowledge"
            body, last = curl(how, "-H", "Expect:", "--data-binary", "@" + t.path("large"), url)
            equal(last, f"{version} 413")
            assert "too large" in json.loads(body)["error"], body


def nghttp_asks_many_at_once(t):
    need("nghttp")
    with t.serve() as s:
        out = command("nghttp", "-nv", "-m", "50", "-d", request_file(t),
                      f"http://127.0.0.1:{s.port}/v2/models/simple/infer")
        equal(out.count(":status: 200"), 50)
        assert "RST_STREAM" not in out, out
        equal(s.stop(), 0, "exit status")


def h2load_loses_nothing(t):
    need("h2load")
    with t.serve() as s:
        for args in (["-m", "10"], ["--h1"], ["-m", "10", "-d", request_file(t)]):
            path = "/v2/models/simple/infer" if "-d" in args else "/v2"
            out = command("h2load", "-n", str(N_REQUESTS), "-c", "4", *args,
                          f"http://127.0.0.1:{s.port}{path}")
            assert f"{N_REQUESTS} succeeded, 0 failed, 0 errored, 0 timeout" in out, out
            assert f"status codes: {N_REQUESTS} 2xx" in out, out
        equal(s.stop(), 0, "exit status")


def wrk_sees_no_errors(t):
    need("wrk")
    with t.serve() as s:
        out = command("wrk", "-t", "1", "-c", "8", "-d", "1s", f"http://127.0.0.1:{s.port}/v2")
        assert int(re.search(r"(\d+) requests in", out).group(1)) > 0, out
        assert "Socket errors" not in out and "Non-2xx" not in out, out
        equal(s.stop(), 0, "exit status")


run(curl_infers_over_both, curl_reads_why_a_large_body_is_refused, nghttp_asks_many_at_once,
    h2load_loses_nothing, wrk_sees_no_errors)
