# SPDX-License-Identifier: MIT
"""Routes of a real server: shares and stickiness over restarts, roll-back of arms that fail or are
slow, promotion by schedule, the command line, and a server that is killed while it writes."""
import http.client
import json
import math
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import threading

from harness import Skip, equal, run, simple_inputs, wait_until

SESSIONS = 100000
PIPELINED = 500


def versions(t, name, *numbers):
    """More versions of a model of the test directory."""
    for n in numbers:
        shutil.copytree(f"{t.models}/{name}/1", f"{t.models}/{name}/{n}")
    with open(f"{t.models}/{name}/config.pbtxt", "a") as f:
        f.write("version_policy: { all {} }\n")


def put(s, name, route, status=201, query=""):
    answer = s.ask("PUT", f"/v1/routes/{name}{query}", json.dumps(route))
    equal(answer.status, status, answer.body)
    return answer.json()


def arms(s, name):
    answer = s.get(f"/v1/routes/{name}")
    equal(answer.status, 200, answer.body)
    return answer.json()["arms"]


def split(*weights):
    return {"arms": [{"model": "simple", "version": str(i + 1), "weight": w}
                     for i, w in enumerate(weights)]}


def metric(s, line):
    """The value of a series of /metrics, named with its labels."""
    for text in s.get("/metrics").body.decode().splitlines():
        if text.startswith(line + " "):
            return float(text.rsplit(" ", 1)[1])
    raise AssertionError(f"no series {line}")


def ask_sessions(s, name, sessions):
    """The arm of each session, by pipelined requests with a small binary body."""
    body = json.dumps({"inputs": simple_inputs([1] * 16, [2] * 16)}).encode()
    head = (f"POST /v2/models/{name}/infer HTTP/1.1\r\nHost: h\r\n"
            "Content-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nVolley-Session: ")
    found = []
    c = s.connect()
    c.connect()
    stream = c.sock.makefile("rb", 1 << 20)
    for at in range(0, len(sessions), PIPELINED):
        some = sessions[at:at + PIPELINED]
        sender = threading.Thread(target=c.sock.sendall, args=(b"".join(
            head.encode() + x.encode() + b"\r\n\r\n" + body for x in some),))
        sender.start()
        for _ in some:
            length = 0
            arm = None
            for line in stream:
                if line == b"\r\n":
                    break
                key, _, value = line.partition(b": ")
                if key.lower() == b"content-length":
                    length = int(value)
                elif key.lower() == b"volley-arm":
                    arm = value.strip().decode()
            stream.read(length)
            found.append(arm)
        sender.join()
    c.close()
    return found


def make_arms(t):
    subprocess.run([os.path.join(t.build, "make_models"), t.models, "arms"], check=True)


def split_of_many_sessions_is_kept_over_restarts(t):
    versions(t, "simple", 2)
    file = f"routes.file={t.path('routes.json')}"
    sessions = [f"session-{i}" for i in range(SESSIONS)]
    with t.serve("--set", file) as s:
        put(s, "ab", split(90, 10))
        before = ask_sessions(s, "ab", sessions)
        share = before.count("simple/1") / SESSIONS
        assert abs(share - 0.9) < 0.005, share
        equal(before.count("simple/1"), 90090, "as a program after the header's description counts")
        equal(before.count("simple/1") + before.count("simple/2"), SESSIONS)
        equal(s.stop(), 0)
    some = random.Random(7).sample(range(SESSIONS), 20000)
    with t.serve("--set", file) as s:
        after = ask_sessions(s, "ab", [sessions[i] for i in some])
        equal(after, [before[i] for i in some], "arms after a restart")
        print(f"# {100 * share:.3f} % of {SESSIONS} sessions for a weight of 90 %")


def sessions_are_named_in_every_way(t):
    versions(t, "simple", 2)
    inputs = simple_inputs([1] * 16, [2] * 16)
    with t.serve() as s:
        put(s, "ab", split(50, 50))
        for i in range(20):
            name = f"user {i}"
            arm = s.ask("POST", "/v2/models/ab/infer", json.dumps({"inputs": inputs}),
                        {"Volley-Session": name}).headers["volley-arm"]
            query = s.ask("POST", f"/v2/models/ab/infer?session=user%20{i}",
                          json.dumps({"inputs": inputs}))
            equal(query.headers["volley-arm"], arm)
            by_id = s.infer("ab", inputs, parameters={"session_id": name})
            equal(by_id.headers["volley-arm"], arm)
            sequence = s.infer("ab", inputs, parameters={"sequence_id": name})
            equal(sequence.headers["volley-arm"], arm)
            number = s.infer("ab", inputs, parameters={"sequence_id": 7000 + i})
            text = s.infer("ab", inputs, parameters={"session_id": str(7000 + i)})
            equal(number.headers["volley-arm"], text.headers["volley-arm"])
            equal(by_id.json()["model_name"], "ab")
            equal("simple/" + by_id.json()["model_version"], arm)
        # Without one they are spread evenly; a version asks for the model itself.
        spread = [s.infer("ab", inputs).headers["volley-arm"] for _ in range(100)]
        assert 48 <= spread.count("simple/1") <= 52, spread.count("simple/1")
        own = s.ask("POST", "/v2/models/simple/versions/1/infer", json.dumps({"inputs": inputs}))
        assert "volley-arm" not in own.headers
        equal(s.infer("ab", inputs, parameters={"session_id": 1}).status, 400)
        # What describes a model describes the first arm.
        equal(s.get("/v2/models/ab").json()["name"], "simple")
        equal(s.get("/v2/models/ab/ready").status, 200)
        equal(s.get("/v2/models/nobody/ready").status, 400)


def pictures_take_routes(t):
    from harness import png
    shutil.copy(f"{t.models}/colour.onnx", f"{t.models}/paint.onnx")
    with t.serve() as s:
        put(s, "art", {"arms": [{"model": "colour", "weight": 1}, {"model": "paint", "weight": 1}]})
        picture = png(8, 8, (255, 0, 0))
        seen = set()
        for i in range(20):
            a = s.ask("POST", f"/v1/images:detect?model=art&session=s{i}", picture)
            equal(a.status, 200, a.body)
            model = a.json()["model"]["name"]
            equal(a.headers["volley-arm"], f"{model}/1")
            again = s.ask("POST", "/v1/images:detect?model=art", picture,
                          {"Volley-Session": f"s{i}"})
            equal(again.headers["volley-arm"], f"{model}/1")
            seen.add(model)
        equal(seen, {"colour", "paint"})


def guarded(name, bad, **guard):
    return {"arms": [{"model": name, "version": "1", "weight": 50},
                     {"model": bad, "version": "1", "weight": 50, "state": "probation"}],
            "guard": {"window_s": 1.2, "min_requests": 10, **guard}}


def serve_until_rolled_back(s, name, ask):
    def is_rolled_back():
        for _ in range(20):
            ask()
        return arms(s, name)[1]["state"] == "rolled_back"
    wait_until("the arm is rolled back", is_rolled_back)
    return arms(s, name)[1]


def bad_arm_is_rolled_back(t):
    """It gathers with an index that the client sends, and there is no such row."""
    make_arms(t)
    file = f"routes.file={t.path('routes.json')}"
    log = open(t.path("log"), "w+")
    inputs = [{"name": "x", "datatype": "INT64", "shape": [1], "data": [5]}]
    with t.serve("--set", file, "--set", "routes.check_ms=50", log=log) as s:
        put(s, "pick", guarded("rows8", "rows4", max_error_increase=0.05))
        before = [s.infer("pick", inputs, parameters={"session_id": f"s{i}"}) for i in range(20)]
        assert {a.status for a in before} == {200, 400}, [a.status for a in before]
        arm = serve_until_rolled_back(s, "pick", lambda: s.infer("pick", inputs))
        equal(arm["reason"], "errors_vs_baseline")
        found = re.match(r"\d+ of \d+ requests failed \(100\.00 %\), of the baseline 0 of",
                         arm["why"])
        assert found, arm["why"]
        equal(arm["weight"], 0)
        labels = 'route="pick",arm="rows4/1"'
        equal(metric(s, f'volley_route_rollbacks_total{{{labels},reason="errors_vs_baseline"}}'), 1)
        equal(metric(s, f'volley_route_arm_state{{{labels},state="rolled_back"}}'), 1)
        assert metric(s, f'volley_route_requests_total{{{labels},outcome="failed"}}') >= 10
        after = [s.infer("pick", inputs, parameters={"session_id": f"s{i}"}) for i in range(20)]
        equal({a.status for a in after}, {200})
        log.seek(0)
        said = [x for x in log.read().splitlines() if "rolled back" in x]
        equal(len(said), 1)
        assert "warn" in said[0] and "route 'pick': arm rows4/1" in said[0], said
        assert "errors_vs_baseline: " + arm["why"] in said[0], said
        equal(s.stop(), 0)
    with t.serve("--set", file) as s:
        equal(arms(s, "pick")[1]["why"], arm["why"])
        equal({s.infer("pick", inputs).status for _ in range(20)}, {200})


def arm_with_another_interface_is_rolled_back(t):
    """It refuses what the baseline answers; over /v1 it takes no pictures at all."""
    from harness import png
    inputs = simple_inputs([1] * 16, [2] * 16)
    picture = png(8, 8, (1, 2, 3))
    guard = {"window_s": 1.2, "min_requests": 20, "max_error_increase": 0.05}
    with t.serve("--set", "routes.check_ms=50") as s:
        for name, good, bad, ask in (
                ("sum", "simple", "simple_identity", lambda: s.infer("sum", inputs)),
                ("eye", "colour", "simple",
                 lambda: s.ask("POST", "/v1/images:detect?model=eye", picture))):
            route = {"arms": [{"model": good, "weight": 50},
                              {"model": bad, "weight": 50, "state": "probation"}],
                     "guard": guard}
            refused = put(s, name, route, 400)
            assert "interfaces differ (force=true allows it)" in refused["error"], refused
            put(s, name, route, query="?force=true")
            arm = serve_until_rolled_back(s, name, ask)
            equal(arm["reason"], "errors_vs_baseline")
            assert arm["stats"]["refused"] > 0, arm


def deadlines_of_clients_condemn_nobody(t):
    versions(t, "simple", 2)
    inputs = simple_inputs([1] * 16, [2] * 16)
    with t.serve() as s:
        put(s, "ab", {**guarded("simple", "simple", max_error_rate=0.01, max_error_increase=0),
                      "arms": [{"model": "simple", "version": "1", "weight": 50},
                               {"model": "simple", "version": "2", "weight": 50,
                                "state": "probation"}]})
        for _ in range(200):
            equal(s.infer("ab", inputs, parameters={"timeout": 1}).status, 503)
        for a in arms(s, "ab"):
            assert a["state"] != "rolled_back", a
            equal((a["stats"]["cancelled"], a["stats"]["rejected"]), (100, 0))
        equal(metric(s, 'volley_requests_total{scope="infer",code="4xx"}'), 200)
        equal(metric(s, 'volley_requests_total{scope="infer",code="5xx"}'), 0)


def slow_arm_is_rolled_back(t):
    """Against the baseline: both are chains of products, one of them longer."""
    make_arms(t)
    data = struct.pack("<f", 0.5) * 512 * 64
    head = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [64, 512],
                                   "parameters": {"binary_data_size": len(data)}}],
                       "parameters": {"binary_data_output": True}}).encode()

    def ask():
        a = s.ask("POST", "/v2/models/chain/infer", head + data,
                  {"Inference-Header-Content-Length": str(len(head))})
        equal(a.status, 200, a.body[:200])
    with t.serve("--set", "routes.check_ms=50") as s:
        put(s, "chain", guarded("short", "slow", max_latency_ratio=1.5, quantile=0.5,
                                window_s=12, confidence=0.9))
        arm = serve_until_rolled_back(s, "chain", ask)
        equal(arm["reason"], "latency_vs_baseline")
        assert "of the baseline" in arm["why"], arm["why"]


def healthy_arm_is_promoted(t):
    versions(t, "simple", 2)
    inputs = simple_inputs([1] * 16, [2] * 16)
    with open(t.path("promoted.log"), "w") as log, \
            t.serve("--set", "routes.check_ms=50", log=log) as s:
        put(s, "ab", {"arms": [{"model": "simple", "version": "1", "weight": 1},
                               {"model": "simple", "version": "2", "weight": 0,
                                "state": "probation"}],
                      "guard": {"window_s": 1.2, "min_requests": 5, "max_error_rate": 0.1},
                      "schedule": {"shares": [0.25, 0.5, 1], "hold_s": 0.2}})
        shares = []

        def is_promoted():
            for _ in range(40):
                equal(s.infer("ab", inputs).status, 200)
            arm = arms(s, "ab")[1]
            shares.append(round(arm["share"], 6))
            return arm["state"] == "active"
        wait_until("the arm has all of the traffic", is_promoted)
        equal(shares, sorted(shares))
        assert set(shares) <= {0.25, 0.5, 1.0} and shares[-1] == 1.0, shares
        with open(log.name) as f:
            steps = re.findall(r"arm simple/2 is healthy and gets (\d+) %", f.read())
        equal(steps, ["50", "100"])
        # And back by hand, to what there was.
        answer = s.ask("POST", "/v1/routes/ab:rollback", json.dumps(
            {"model": "simple", "version": "2", "why": "for a test"}))
        equal(answer.status, 200, answer.body)
        equal([(a["state"], a["share"]) for a in answer.json()["arms"]],
              [("active", 1), ("rolled_back", 0)])


def version_that_unloads_passes_its_sessions_on(t):
    inputs = simple_inputs([1] * 16, [2] * 16)
    shutil.copytree(f"{t.models}/simple", f"{t.models}/other")
    with t.serve("--model-control", "explicit", "--load-model", "*") as s:
        put(s, "ab", {"arms": [{"model": "simple", "weight": 1}, {"model": "other", "weight": 1}]})
        names = [f"s{i}" for i in range(50)]
        before = ask_sessions(s, "ab", names)
        equal(s.ask("POST", "/v2/repository/models/other/unload").status, 200)
        equal(set(ask_sessions(s, "ab", names)), {"simple/1"})
        equal([a["is_available"] for a in arms(s, "ab")], [True, False])
        assert metric(s, 'volley_route_requests_total{route="ab",arm="other",'
                         'outcome="unavailable"}') > 0
        equal(s.infer("ab", inputs).status, 200)
        equal(s.ask("POST", "/v2/repository/models/other/load").status, 200)
        equal(ask_sessions(s, "ab", names), before, "as before")


def killed_while_it_writes(t):
    """What it had answered counts after a restart; the file is never half of one."""
    versions(t, "simple", 2)
    path = t.path("routes.json")
    for round_ in range(8):
        with t.serve("--set", f"routes.file={path}") as s:
            done = []

            def change():
                try:
                    c = s.connect()
                    for i in range(1, 10000):
                        weight = round_ * 10000 + i
                        a = s.ask("PUT", "/v1/routes/ab", json.dumps(split(weight, 1)), {}, c)
                        if a.status not in (200, 201):
                            return
                        done.append(weight)
                except (OSError, http.client.HTTPException):
                    return  # it was killed
            thread = threading.Thread(target=change)
            thread.start()
            wait_until("some changes", lambda: len(done) >= 3 + round_)
            s.signal(signal.SIGKILL)
            thread.join()
            s.wait()
        with open(path) as f:
            weight = json.load(f)["routes"][0]["arms"][0]["weight"]
        assert weight in (done[-1], done[-1] + 1), (weight, done[-1])
        with t.serve("--set", f"routes.file={path}") as s:
            equal(arms(s, "ab")[0]["weight"], weight)


def shadow_is_compared(t):
    """plus and twice give the same for 1, and are 1 apart for 2."""
    subprocess.run([os.path.join(t.build, "make_models"), t.models, "composed"], check=True)
    log = t.path("shadow.jsonl")
    with t.serve("--set", f"routes.shadow_log={log}") as s:
        put(s, "sum", {"arms": [{"model": "plus", "weight": 1}],
                       "shadow": {"model": "twice", "share": 1}})

        def compared():
            stats = s.get("/v1/routes/sum").json()["shadow_stats"]
            return stats["agreed"] + stats["differed"] + stats["dropped"] + stats["failed"]
        for i, x in enumerate((1, 2, 1, 1)):
            inputs = [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [x, x + 1]}]
            a = s.ask("POST", "/v2/models/sum/infer", json.dumps({"id": f"r{i}", "inputs": inputs}))
            equal(a.status, 200, a.body)
            equal(a.json()["outputs"][0]["data"], [x + 1, x + 2])
            wait_until("the shadow has run", lambda n=i: compared() == n + 1)
        stats = s.get("/v1/routes/sum").json()["shadow_stats"]
        equal((stats["dropped"], stats["failed"]), (0, 0))
        labels = 'route="sum",shadow="twice"'
        equal(metric(s, f'volley_route_shadow_requests_total{{{labels},outcome="agreed"}}')
              + metric(s, f'volley_route_shadow_requests_total{{{labels},outcome="differed"}}'), 4)
        for name, why in (("simple", "it has no input 'x'"), ("total", "it keeps state")):
            refused = put(s, "odd", {"arms": [{"model": "plus", "weight": 1}],
                                     "shadow": {"model": name, "share": 1}}, 400)
            assert why in refused["error"], refused
        equal(s.stop(), 0)
    with open(log) as f:
        lines = [json.loads(x) for x in f]
    equal([x["id"] for x in lines], ["r0", "r1", "r2", "r3"])
    for x, first in zip(lines, (1, 2, 1, 1)):
        a, b = (first + 1, first + 2), (2 * first, 2 * first + 2)
        equal((x["route"], x["arm"], x["shadow"], x["kind"]),
              ("sum", "plus/1", "twice/1", "tensors"))
        equal(x["max_abs"], max(abs(p - q) for p, q in zip(a, b)))
        cosine = (a[0] * b[0] + a[1] * b[1]) / math.hypot(*a) / math.hypot(*b)
        assert abs(x["cosine"] - cosine) < 1e-6, x
        equal(x["agrees"], cosine >= 0.999)
    p = subprocess.run([t.volley, "route", "compare", log, "--json"], capture_output=True,
                       text=True, check=True)
    pair = json.loads(p.stdout)["pairs"][0]
    equal((pair["compared"], pair["failed"], pair["max_abs"]), (4, 0, 2))
    equal(pair["agreement"], sum(x["agrees"] for x in lines) / 4)
    p = subprocess.run([t.volley, "route", "compare", log], capture_output=True, text=True,
                       check=True)
    assert "sum: plus/1 against twice/1" in p.stdout, p.stdout


def failing_shadow_is_nobodys_fault(t):
    """Row 5 of a table of four."""
    make_arms(t)
    with t.serve() as s:
        put(s, "pick", {"arms": [{"model": "rows8", "weight": 1}],
                        "shadow": {"model": "rows4", "share": 1}})
        equal(s.infer("pick", [{"name": "x", "datatype": "INT64", "shape": [1],
                                "data": [5]}]).status, 200)
        wait_until("it failed", lambda: s.get(
            "/v1/routes/pick").json()["shadow_stats"]["failed"] == 1)
        equal(arms(s, "pick")[0]["stats"]["failed"], 0)


def copies_are_nobodys_requests(t):
    """What shadows run is work of the model, but no request: here simple/2 has none."""
    versions(t, "simple", 2)
    n = 20
    with t.serve() as s:
        put(s, "ab", {"arms": [{"model": "simple", "version": "1", "weight": 1}],
                      "shadow": {"model": "simple", "version": "2", "share": 1}})

        def stats():
            return s.get("/v1/routes/ab").json()["shadow_stats"]
        for i in range(n):
            equal(s.infer("ab", simple_inputs([i] * 16, [2] * 16)).status, 200)
            wait_until("its copy is done", lambda i=i: sum(
                stats()[k] for k in ("agreed", "differed", "failed", "dropped")) == i + 1)
        ran = stats()["agreed"]
        equal((ran + stats()["dropped"], ran > 0), (n, True))
        labels = '{model="simple",version="%d"}'
        for version, requests, runs in ((1, n, n), (2, 0, ran)):
            v = labels % version
            equal(metric(s, "nv_inference_request_success" + v), requests)
            equal(metric(s, "nv_inference_request_duration_us" + v) > 0, requests > 0)
            equal(metric(s, "nv_inference_exec_count" + v), runs)
            equal(metric(s, "nv_inference_count" + v), runs)
        equal(metric(s, 'volley_route_shadow_requests_total{route="ab",shadow="simple/2",'
                        'outcome="agreed"}'), ran)

        def total():
            return s.get("/v1/performance").json()["total_requests"]
        wait_until("the page has seen them", lambda: total() >= n)
        equal(total(), n)


def log_of_shadows_is_json_for_any_name(t):
    odd = t.models + '/we"ird'
    shutil.copytree(f"{t.models}/simple", odd)
    with open(f"{odd}/config.pbtxt") as f:
        config = f.read().replace('name: "simple"', "")
    with open(f"{odd}/config.pbtxt", "w") as f:
        f.write(config)
    log = t.path("shadow.jsonl")
    with t.serve("--set", f"routes.shadow_log={log}") as s:
        put(s, "odd", {"arms": [{"model": 'we"ird', "weight": 1}],
                       "shadow": {"model": "simple", "share": 1}})
        equal(s.infer("odd", simple_inputs([1] * 16, [2] * 16)).status, 200)
        wait_until("it is compared", lambda: s.get(
            "/v1/routes/odd").json()["shadow_stats"]["agreed"] == 1)
        equal(s.stop(), 0)
    with open(log) as f:
        line = json.loads(f.read())
    equal((line["arm"], line["shadow"]), ('we"ird/1', "simple/1"))


def shadow_sees_what_the_detector_sees(t):
    """The model against itself: every box agrees, whatever the load."""
    model, picture = t.shared("models/yolov8n.onnx"), t.shared("data/images/classic/bus.jpg")
    models = t.path("detectors")
    os.mkdir(models)
    for name in ("a", "b"):
        os.symlink(model, f"{models}/{name}.onnx")
    with open(picture, "rb") as f:
        body = f.read()
    log = t.path("shadow.jsonl")
    with t.serve("--set", f"routes.shadow_log={log}", models=models) as s:
        put(s, "eye", {"arms": [{"model": "a", "weight": 1}],
                       "shadow": {"model": "b", "share": 0.5}})
        n = 8
        boxes = [len(s.ask("POST", "/v1/images:detect?model=eye", body,
                           {"Cache-Control": "no-store"}).json()["detections"]) for _ in range(n)]

        def stats():
            return s.get("/v1/routes/eye").json()["shadow_stats"]
        drawn = sum(math.sqrt(2) * i % 1 < 0.5 for i in range(n))
        wait_until("half of them are done", lambda: sum(
            stats()[k] for k in ("agreed", "differed", "failed", "dropped")) == drawn)
        equal((stats()["differed"], stats()["failed"]), (0, 0))
        assert stats()["agreed"] >= 1, stats()
        equal(s.stop(), 0)
    with open(log) as f:
        for line in map(json.loads, f):
            equal((line["kind"], line["matched"], line["missing"], line["extra"]),
                  ("boxes", boxes[0], 0, 0))
            equal((line["mean_iou"], line["max_score_diff"]), (1, 0))


def names_of_models(t):
    versions(t, "simple", 2)
    with t.serve() as s:
        answer = s.ask("PUT", "/v1/routes/slow", json.dumps(split(1, 1)))
        equal(answer.status, 400, answer.body)
        assert "a model is named 'slow' too" in answer.json()["error"]
        put(s, "simple", split(0, 1))
        inputs = simple_inputs([1] * 16, [2] * 16)
        equal(s.infer("simple", inputs).headers["volley-arm"], "simple/2")
        for body, word in (("{", "JSON"), ("{}", "arms"), ('{"arms": 1}', "list")):
            answer = s.ask("PUT", "/v1/routes/ab", body)
            equal(answer.status, 400)
            assert word in answer.json()["error"], answer.body


run(split_of_many_sessions_is_kept_over_restarts, sessions_are_named_in_every_way,
    pictures_take_routes, bad_arm_is_rolled_back, arm_with_another_interface_is_rolled_back,
    deadlines_of_clients_condemn_nobody, slow_arm_is_rolled_back, healthy_arm_is_promoted,
    version_that_unloads_passes_its_sessions_on, shadow_is_compared,
    log_of_shadows_is_json_for_any_name, shadow_sees_what_the_detector_sees,
    failing_shadow_is_nobodys_fault, copies_are_nobodys_requests, killed_while_it_writes,
    names_of_models)
