# SPDX-License-Identifier: MIT
"""What an operator watches: alert rules by promtool, and a real Prometheus that scrapes a real
`volley serve` under load, in which every query of every dashboard must find something."""
import glob
import json
import os
import re
import shutil
import subprocess
import threading
import time
import urllib.parse
import urllib.request

from harness import (PATIENCE, SOURCE, Skip, equal, free_port, png, run, simple_inputs, wait_until)
from mosquitto import Broker

RULES = os.path.join(SOURCE, "deploy", "prometheus")
DASHBOARDS = os.path.join(SOURCE, "deploy", "grafana", "dashboards")
PANELS = ("timeseries", "heatmap", "table")


def tool(name, package="prometheus"):
    path = shutil.which(name)
    if path is None:
        raise Skip(f"no {name} (apt: {package})")
    return path


def names_in(expr):
    """Of metrics: words that no bracket, brace or keyword makes something else."""
    bare = re.sub(r"\{[^}]*\}|\[[^]]*\]|(by|on|without|ignoring) *\([^)]*\)|\"[^\"]*\"", " ", expr)
    return set(re.findall(r"\b(?:volley|nv|process)_\w+", bare))


def rules_are_valid_and_tested(t):
    promtool = tool("promtool")
    for args in (["check", "config", "prometheus.yml"], ["check", "rules", "alerts.yml"],
                 ["test", "rules", "alerts_test.yml"]):
        p = subprocess.run([promtool, *args], cwd=RULES, capture_output=True, text=True,
                           timeout=PATIENCE)
        equal(p.returncode, 0, p.stdout + p.stderr)


def every_alert_has_tests_and_a_place_in_the_manual(t):
    with open(os.path.join(RULES, "alerts.yml")) as f:
        alerts = set(re.findall(r"- alert: (\w+)", f.read()))
    with open(os.path.join(RULES, "alerts_test.yml")) as f:
        tested = f.read()
    with open(os.path.join(SOURCE, "docs", "operations.md")) as f:
        manual = f.read()
    assert len(alerts) > 10, alerts
    for name in alerts:
        fires = re.search(rf"alertname: {name}\n +exp_alerts:\n +- exp_labels", tested)
        assert fires, f"no test in which {name} fires"
        assert f"**{name}**" in manual, f"docs/operations.md does not tell of {name}"
    equal(set(re.findall(r"\*\*(Volley\w+)\*\*", manual)) - alerts, set(), "told of, but no alert")


def dashboards_are_whole(t):
    files = sorted(glob.glob(os.path.join(DASHBOARDS, "*.json")))
    equal([os.path.basename(f) for f in files],
          ["api.json", "inference.json", "store.json", "system.json"])
    uids = set()
    for file in files:
        with open(file) as f:
            d = json.load(f)
        uids.add(d["uid"])
        known = {v["name"] for v in d["templating"]["list"]}
        taken = set()
        for p in d["panels"]:
            assert p["type"] in PANELS and p["title"] and p["fieldConfig"]["defaults"]["unit"], p
            at = p["gridPos"]
            assert at["x"] + at["w"] <= 24, p["title"]
            cells = {(x, y) for x in range(at["x"], at["x"] + at["w"])
                     for y in range(at["y"], at["y"] + at["h"])}
            assert not cells & taken, f"{p['title']}: covers another"
            taken |= cells
            for target in p["targets"]:
                used = set(re.findall(r"\$\{?(\w+)", json.dumps(target))) - {"__rate_interval"}
                assert used <= known, (p["title"], used)
    equal(len(uids), len(files), "uids")


class Prometheus:
    def __init__(self, t, target):
        self.port = free_port()
        self.dir = t.path("prometheus")
        os.mkdir(self.dir)
        with open(os.path.join(RULES, "prometheus.yml")) as f:
            config = f.read()
        assert "127.0.0.1:8000" in config
        config = config.replace("127.0.0.1:8000", f"127.0.0.1:{target}").replace(
            "scrape_interval: 15s", "scrape_interval: 1s").replace(
            "evaluation_interval: 15s", "evaluation_interval: 1s").replace(
            "- alerts.yml", "- " + os.path.join(RULES, "alerts.yml"))
        path = os.path.join(self.dir, "prometheus.yml")
        with open(path, "w") as f:
            f.write(config)
        self.log = os.path.join(self.dir, "log")
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                [tool("prometheus"), "--enable-feature=exemplar-storage",
                 "--config.file", path, "--storage.tsdb.path",
                 os.path.join(self.dir, "data"), "--web.listen-address",
                 f"127.0.0.1:{self.port}"], stdout=log, stderr=log)

    def get(self, path, **query):
        url = f"http://127.0.0.1:{self.port}{path}?" + urllib.parse.urlencode(query)
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            return json.load(answer)

    def is_ready(self):
        if self.process.poll() is not None:
            with open(self.log) as log:
                raise RuntimeError("prometheus ended: " + log.read())
        try:
            return bool(self.query("up == 1"))
        except OSError:
            return False

    def query(self, expr):
        answer = self.get("/api/v1/query", query=expr)
        equal(answer["status"], "success", expr)
        return [r for r in answer["data"]["result"] if r["value"][1] != "NaN"]

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.process.terminate()
        self.process.wait(PATIENCE)


class Redis:
    """A redis-server on a socket in its own directory."""

    def __init__(self, t):
        self.path = t.path("redis.socket")
        self.process = subprocess.Popen(
            [tool("redis-server", "redis-server"), "--port", "0", "--unixsocket", self.path,
             "--save", "", "--dir", t.directory], stdout=subprocess.DEVNULL)
        wait_until("redis", lambda: os.path.exists(self.path))

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.process.kill()
        self.process.wait(PATIENCE)


class Traffic:
    """Requests of every kind, good and bad, until stop()."""

    def __init__(self, s, broker):
        self.s, self.broker = s, broker
        self.ended = threading.Event()
        self.problem = None
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def turn(self, i):
        s = self.s
        equal(s.infer("simple", simple_inputs([i] * 16, [2] * 16)).status, 200)
        equal(s.infer("simple", simple_inputs([1] * 16, [2] * 16)).status, 200)
        equal(s.infer("route", simple_inputs([i] * 16, [3] * 16)).status, 200)
        equal(s.infer("simple", []).status, 400)
        equal(s.infer("nobody", []).status, 404)
        equal(s.ask("POST", "/v1/images:detect", png(8, 8, (1, 2, 3))).status, 200)
        rows = "".join(f"{12.5 * (8 * i + k)},0,0,9.8,0,0,0\n" for k in range(8))
        self.broker.publish("volley/imu/ann/phone", rows.encode())

    def run(self):
        try:
            i = 0
            while not self.ended.is_set():
                self.turn(i)
                i += 1
        except Exception as e:
            self.problem = e

    def stop(self):
        self.ended.set()
        self.thread.join()
        if self.problem is not None:
            raise self.problem


def filled_in(expr):
    for name, value in (("$__rate_interval", "10s"), ("$instance", ".*"), ("$model", ".*")):
        expr = expr.replace(name, value)
    return expr


def queries():
    for file in sorted(glob.glob(os.path.join(DASHBOARDS, "*.json"))):
        with open(file) as f:
            for p in json.load(f)["panels"]:
                for target in p["targets"]:
                    yield f"{os.path.basename(file)}, {p['title']}", filled_in(target["expr"])


def check_queries(prometheus, traffic):
    """Each finds something within the patience, all at the same time."""
    empty = list(queries())
    assert len(empty) > 60, len(empty)

    def all_found():
        if traffic.problem is not None:
            raise traffic.problem
        empty[:] = [(where, q) for where, q in empty if not prometheus.query(q)]
        return not empty
    try:
        wait_until("data in every panel", all_found)
    except AssertionError:
        raise AssertionError("\n".join(["no data:"] + [f"{where}: {q}" for where, q in empty]))


def check_alerts(prometheus):
    """They are loaded, healthy, and ask for metrics that there are."""
    groups = prometheus.get("/api/v1/rules")["data"]["groups"]
    rules = [r for g in groups for r in g["rules"]]
    assert len(rules) > 10, rules
    known = set(prometheus.get("/api/v1/label/__name__/values")["data"])
    for r in rules:
        equal(r["health"], "ok", r)
        equal(names_in(r["query"]) - known, set(), r["name"])


def check_exemplars(prometheus, traffic):
    """Prometheus asks for OpenMetrics by itself, and keeps the traces of slow and fast."""
    found = []

    def is_there():
        if traffic.problem is not None:
            raise traffic.problem
        now = time.time()
        found[:] = prometheus.get(
            "/api/v1/query_exemplars", query="volley_http_request_duration_seconds_bucket",
            start=now - PATIENCE, end=now)["data"]
        return bool(found)
    wait_until("an exemplar", is_there)
    for series in found:
        for e in series["exemplars"]:
            assert re.fullmatch("[0-9a-f]{32}", e["labels"]["trace_id"]), series
            assert float(e["value"]) > 0, series


def every_panel_has_data(t):
    tool("prometheus")
    shutil.copytree(os.path.join(t.models, "simple"), os.path.join(t.models, "simple2"))
    with Broker(t, "mqtt", "allow_anonymous true") as broker, Redis(t) as redis:
        settings = {"cache.models": "simple", "cache.redis_url": "unix:" + redis.path,
                    "mqtt.url": f"mqtt://127.0.0.1:{broker.port}", "imu.snapshot_ms": 100,
                    "http.access_log": t.path("access"),
                    "otlp.endpoint": "http://127.0.0.1:9/v1/traces"}  # nobody is there
        args = [x for name, value in settings.items() for x in ("--set", f"{name}={value}")]
        store = t.path("store.db")
        with t.serve("--store", store, *args) as s, Prometheus(t, s.port) as prometheus:
            wait_until("a scrape", prometheus.is_ready)
            equal(s.ask("PUT", "/v1/routes/route", json.dumps(
                {"arms": [{"model": "simple", "weight": 90}, {"model": "simple2", "weight": 10}]}
            )).status, 201)
            traffic = Traffic(s, broker)
            try:
                check_queries(prometheus, traffic)
                check_alerts(prometheus)
                check_exemplars(prometheus, traffic)
            finally:
                traffic.stop()


run(rules_are_valid_and_tested, every_alert_has_tests_and_a_place_in_the_manual,
    dashboards_are_whole, every_panel_has_data)
