# SPDX-License-Identifier: MIT
"""/metrics as OpenMetrics, read by the parser of Prometheus' own Python client: valid, the same
samples as the text format, and the trace of a request that was traced beside its bucket."""
import json
import re
import subprocess

from harness import equal, png, python_with, run, simple_inputs

READ = """
import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_open
from prometheus_client.parser import text_string_to_metric_families as read_text
page = json.load(sys.stdin)
read = read_open if page["is_open"] else read_text
print(json.dumps([[f.name, f.type, [[s.name, s.labels, s.value, s.exemplar and s.exemplar.labels]
                                    for s in f.samples]] for f in read(page["text"])]))
"""
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
ACCEPT = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
LATENCY = "volley_http_request_duration_seconds"


def read(text, is_open):
    python = python_with("import prometheus_client.openmetrics.parser")
    p = subprocess.run([python, "-c", READ], capture_output=True, text=True,
                       input=json.dumps({"text": text.decode(), "is_open": is_open}))
    equal(p.returncode, 0, p.stderr)
    return json.loads(p.stdout)


def use(s):
    for _ in range(3):
        equal(s.infer("simple", simple_inputs([1] * 16, [2] * 16)).status, 200)
    equal(s.ask("POST", "/v1/images:detect", png(8, 8, (1, 2, 3))).status, 200)
    equal(s.infer("simple", []).status, 400)
    equal(s.ask("PUT", "/v1/routes/r", json.dumps(
        {"arms": [{"model": "simple", "weight": 1}]})).status, 201)
    equal(s.infer("r", simple_inputs([1] * 16, [2] * 16)).status, 200)


def names(families):
    """Of all samples; without _total, which the parser of the text format adds to any counter."""
    def plain(labels):
        return tuple(sorted((k, str(float(v)) if k in ("le", "quantile") else v)
                            for k, v in labels.items()))
    return {(re.sub("_total$", "", name), plain(labels)) for _, _, samples in families
            for name, labels, _, _ in samples}


def both_formats_have_the_same_samples(t):
    with t.serve("--set", "metrics.summaries=true", "--set", "cache.models=*") as s:
        use(s)
        s.get("/metrics")
        s.ask("GET", "/metrics", headers={"Accept": ACCEPT})
        text = s.get("/metrics")
        answer = s.ask("GET", "/metrics", headers={"Accept": ACCEPT})
    equal(answer.headers["content-type"],
          "application/openmetrics-text; version=1.0.0; charset=utf-8")
    equal(text.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8")
    families = read(answer.body, True)
    assert len(families) > 100, len(families)
    equal(names(families) ^ names(read(text.body, False)), set(), "in one of the two alone")
    types = {name: kind for name, kind, _ in families}
    equal([types[n] for n in ("volley_requests", "nv_inference_count", LATENCY, "process_open_fds",
                              "nv_inference_request_summary_us")],
          ["counter", "unknown", "histogram", "gauge", "summary"])


def a_traced_request_is_an_exemplar(t):
    with t.serve("--set", "otlp.endpoint=http://127.0.0.1:9/v1/traces", "--set", "otlp.sample=0"
                 ) as s:
        use(s)
        body = json.dumps({"inputs": simple_inputs([1] * 16, [2] * 16)})
        equal(s.ask("POST", "/v2/models/simple/infer", body, {"traceparent": PARENT}).status, 200)
        families = read(s.ask("GET", "/metrics", headers={"Accept": ACCEPT}).body, True)
        text = s.get("/metrics").body
    found = [(name, labels["route"], exemplar) for _, _, samples in families
             for name, labels, _, exemplar in samples if exemplar]
    want = (LATENCY + "_bucket", "/v2/models/{}/infer", {"trace_id": PARENT[3:35]})
    assert want in found, found
    equal({e["trace_id"] for _, _, e in found}, {PARENT[3:35]}, "of the one that was traced")
    assert b"trace_id" not in text


run(both_formats_have_the_same_samples, a_traced_request_is_an_exemplar)
