# SPDX-License-Identifier: MIT
"""The cache of results: a hit equals a miss byte for byte over every protocol, what is known is of
the model that serves now, models that keep state are never cached, equal requests run once, tags,
warm-up list. Statistics as Triton's own client reads them.
"""
import json
import os
import struct
import subprocess
import sys
import threading

ALL = ("--set", "cache.models=*")
TAG = "Volley-Cache-Tags"
ENSEMBLE = ('platform: "ensemble"\n'
            'input { name: "x" data_type: TYPE_FP32 dims: [-1, 16] }\n'
            'output { name: "y" data_type: TYPE_FP32 dims: [-1, 16] }\n'
            'ensemble_scheduling { step { model_name: "a" model_version: -1\n'
            'input_map { key: "x" value: "x" } output_map { key: "y" value: "y" } } }\n')


def grpc_client(url):
    """What the environment's Python runs."""
    import numpy as np
    import tritonclient.grpc as grpc

    def made():
        tensors = [grpc.InferInput(name, [1, 16], "INT32") for name in ("INPUT0", "INPUT1")]
        tensors[0].set_data_from_numpy(np.arange(16, dtype=np.int32).reshape(1, 16))
        tensors[1].set_data_from_numpy(np.full((1, 16), 7, dtype=np.int32))
        return tensors

    def check(result):
        a = np.arange(16, dtype=np.int32).reshape(1, 16)
        assert np.array_equal(result.as_numpy("OUTPUT0"), a + 7)
        assert np.array_equal(result.as_numpy("OUTPUT1"), a - 7)

    with grpc.InferenceServerClient(url) as c:
        for _ in range(4):
            check(c.infer("simple", made()))
        done = threading.Semaphore(0)
        results = []

        def on_result(result, error):
            results.append((result, error))
            done.release()

        c.start_stream(on_result)
        for _ in range(3):
            c.async_stream_infer("simple", made())
        for _ in range(3):
            assert done.acquire(timeout=60)
        c.stop_stream()
        for result, error in results:
            assert error is None, error
            check(result)
        stats = c.get_inference_statistics("simple").model_stats[0]
        said = stats.inference_stats
        assert (said.cache_hit.count, said.cache_miss.count) == (6, 1), said
        assert said.success.count == 7 and said.compute_infer.count == 1, said
        assert stats.inference_count == 1 and stats.execution_count == 1, stats
        assert said.cache_hit.ns > 0 and said.cache_miss.ns > 0, said


def cached(answer):
    return answer.headers.get("volley-cache")


def stats(s, model):
    return s.get(f"/v2/models/{model}/stats").json()["model_stats"][0]


def executions(s, model):
    return stats(s, model)["execution_count"]


def ask_twice(s, *request):
    """The body, the same both times, computed once."""
    first, second = s.ask(*request), s.ask(*request)
    equal((first.status, second.status), (200, 200), first.body)
    equal((cached(first), cached(second)), ("miss", "hit"))
    equal(second.body, first.body)
    equal(second.headers["content-type"], first.headers["content-type"])
    assert "age" in second.headers and "age" not in first.headers
    return first.body


def hit_equals_miss(t):
    simple = simple_inputs(list(range(16)), [7] * 16)
    with t.serve(*ALL) as s:
        infer = "/v2/models/simple/infer"
        said = json.loads(ask_twice(s, "POST", infer, json.dumps({"inputs": simple})))
        equal(said["outputs"][0]["data"], [k + 7 for k in range(16)])
        # the same tensors in another form are the same request; another id is echoed
        a = s.infer("simple", simple, id="x", parameters={"binary_data_output": True})
        equal(cached(a), "hit")
        length = int(a.headers["inference-header-content-length"])
        equal(json.loads(a.body[:length])["id"], "x")
        equal(a.body[length:], b"".join((k + 7).to_bytes(4, "little", signed=True)
                                        for k in range(16))
              + b"".join((k - 7).to_bytes(4, "little", signed=True) for k in range(16)))
        # other outputs, other data, other shapes are not
        equal(cached(s.infer("simple", simple, outputs=[{"name": "OUTPUT1"}])), "miss")
        equal(cached(s.infer("simple", simple_inputs(list(range(16)), [8] * 16))), "miss")
        wide = [{**i, "shape": [2, 16], "data": i["data"] * 2} for i in simple]
        equal(cached(s.infer("simple", wide)), "miss")
        # words, classes
        words = [{"name": "INPUT0", "datatype": "BYTES", "shape": [1, 2], "data": ["ab", "c"]}]
        ask_twice(s, "POST", "/v2/models/simple_identity/infer", json.dumps({"inputs": words}))
        words[0]["data"] = ["a", "bc"]
        equal(cached(s.infer("simple_identity", words)), "miss")
        image = [{"name": "images", "datatype": "FP32", "shape": [1, 3, 8, 8],
                  "data": [0.0] * 128 + [1.0] * 64}]
        best = {"name": "scores", "parameters": {"classification": 2}}
        ask = {"inputs": image, "outputs": [best]}
        said = ask_twice(s, "POST", "/v2/models/colour/infer", json.dumps(ask))
        equal(json.loads(said)["outputs"][0]["data"][0], "1.000000:2:blue")
        best["parameters"]["classification"] = 1
        equal(cached(s.ask("POST", "/v2/models/colour/infer", json.dumps(ask))), "miss")
        equal(stats(s, "colour")["inference_stats"]["cache_hit"]["count"], 1)


def pictures(t):
    blue, red = png(20, 20, (0, 0, 255)), png(20, 20, (255, 0, 0))
    with t.serve(*ALL) as s:
        detect = "/v1/images:detect?model=colour"
        said = ask_twice(s, "POST", detect, blue)
        equal(json.loads(said)["classifications"][0]["class_name"], "blue")
        equal(cached(s.ask("POST", detect + "&confidence=0.5", blue)), "miss")
        drawn = ask_twice(s, "POST", detect, blue, {"Accept": "image/jpeg"})
        equal(drawn[:3], b"\xff\xd8\xff")
        # files of a form, one of them twice
        body, headers = multipart([("a", blue), ("b", red), ("c", red), ("d", b"none")])
        a = s.ask("POST", detect, body, headers)
        equal((a.status, cached(a)), (200, "miss"))
        names = [r["classifications"][0]["class_name"] for r in a.json()["results"][:3]]
        equal(names, ["blue", "red", "red"])
        assert "error" in a.json()["results"][3]
        equal(executions(s, "colour"), 4, "runs of blue, blue at 0.5, drawn, red")
        body, headers = multipart([("a", blue), ("b", red)])
        equal(cached(s.ask("POST", detect, body, headers)), "hit")
        # errors are never kept
        for _ in range(2):
            equal(s.ask("POST", detect, blue[:40]).status, 400)
        # a large one goes by a worker
        large = png(20, 20, (0, 255, 0))
        large += bytes((2 << 20) - len(large))
        ask_twice(s, "POST", detect, large)
        # encoded pictures as tensors
        raw = {"Inference-Header-Content-Length": "0"}
        ask_twice(s, "POST", "/v2/models/colour/infer", blue, raw)


def headers_are_heard(t):
    blue = png(20, 20, (0, 0, 255))
    with t.serve(*ALL) as s:
        def ask(**headers):
            a = s.ask("POST", "/v1/images:detect?model=colour", blue, headers)
            return cached(a) if a.status == 200 else a.status
        equal(ask(**{"Cache-Control": "no-store"}), None)
        equal(ask(), "miss")
        equal(ask(**{"Cache-Control": "max-age=0, no-cache"}), "miss")
        equal(ask(**{"Cache-Control": "No-Store"}), None)
        equal(ask(), "hit")
        equal(executions(s, "colour"), 4)
        # tags: other tags are another entry, order does not count
        equal(ask(**{TAG: "source:1, lot:2"}), "miss")
        equal(ask(**{TAG: "lot:2,source:1"}), "hit")
        equal(ask(**{TAG: "source:2"}), "miss")
        for bad in ("a,b,c,d", "x" * 65, "a,,b", "a b"):
            equal(ask(**{TAG: bad}), 400, bad)

        def forget(what, body=None):
            a = s.ask("POST", "/v1/cache:" + what, json.dumps(body) if body else None)
            return a.json()["removed"] if a.status == 200 else a.status
        equal(forget("invalidate", {"tags": ["source:1"]}), 1)
        equal(ask(**{TAG: "lot:2,source:1"}), "miss")
        equal(ask(**{TAG: "source:2"}), "hit")
        equal(forget("invalidate", {"tags": ["source:2", "model:colour"]}), 3)
        equal((ask(), ask(**{TAG: "source:2"})), ("miss", "miss"))
        equal(forget("clear"), 2)
        equal(ask(), "miss")
        for bad in ([], [1], [""], "x", ["x"] * 65, None):
            equal(s.ask("POST", "/v1/cache:invalidate", json.dumps({"tags": bad})).status, 400, bad)
        memory = s.get("/v1/cache").json()["memory"]
        equal((memory["entries"], memory["invalidated"]), (1, 6))


def only_what_is_enabled(t):
    simple = simple_inputs([1] * 16, [2] * 16)
    with t.serve() as s:  # no configuration says response_cache
        for _ in range(2):
            equal(cached(s.infer("simple", simple)), None)
    with open(os.path.join(t.models, "simple", "config.pbtxt"), "a") as f:
        f.write("response_cache { enable: true }\n")
    blue = png(20, 20, (0, 0, 255))
    with t.serve() as s:
        equal([cached(s.infer("simple", simple)) for _ in range(2)], ["miss", "hit"])
        equal(cached(s.ask("POST", "/v1/images:detect?model=colour", blue)), None)
    with t.serve("--set", "cache.models=colour") as s:
        equal(cached(s.infer("simple", simple)), None)
        equal(cached(s.ask("POST", "/v1/images:detect?model=colour", blue)), "miss")
    with t.serve(*ALL, "--set", "cache.memory_bytes=0") as s:
        equal(cached(s.infer("simple", simple)), None)
        equal(s.get("/v1/cache").status, 503)
        assert b"cache" not in s.get("/metrics").body.replace(b"/v1/cache", b"")


def state_is_never_cached(t):
    def total(s, start):
        a = s.infer("total", [{"name": "X", "datatype": "FP32", "shape": [1, 1], "data": [1.0]}],
                    parameters={"sequence_id": 5, "sequence_start": start})
        equal((a.status, cached(a)), (200, None), a.body)
        return a.json()["outputs"][0]["data"][0]
    models = t.path("composed")
    os.mkdir(models)
    subprocess.run([sys.argv[2], models, "composed"], check=True)
    with t.serve(*ALL, models=models) as s:
        equal([total(s, True), total(s, False), total(s, False)], [1.0, 2.0, 3.0])


def reload_forgets(t):
    repo = make(t, "a", [1])
    with explicit(t, *ALL, models=repo) as s:
        equal(load(s, "a").status, 200)
        equal([infer(s, "a") for _ in range(3)], [1.0] * 3)
        equal(executions(s, "a"), 1)
        put(t.path("repo/a/1/model.onnx"), adder(2))
        equal(load(s, "a").status, 200)
        equal([infer(s, "a") for _ in range(3)], [2.0] * 3)
        equal(executions(s, "a"), 1, "runs of the new one")


def weights_in_other_files(t):
    """They count as the model's own, wherever they lie; an ensemble follows."""
    put(t.path("outside/a.onnx"), adder("weights/k.bin"))
    put(t.path("outside/b/1/model.onnx"), adder("more/k.bin"))
    put(t.path("outside/both/config.pbtxt"), ENSEMBLE)
    os.makedirs(t.path("outside/both/1"))
    with explicit(t, *ALL, models=t.path("outside")) as s:
        for k in (1.0, 5.0):
            for name in ("weights", "b/1/more"):
                put(t.path(f"outside/{name}/k.bin"), struct.pack("<f", k) * int(k))
            for name in ("a", "b", "both"):
                equal(load(s, name).status, 200)
                hits = stats(s, name)["inference_stats"]["cache_hit"]["count"]
                equal([infer(s, name) for _ in range(3)], [k] * 3, name)
                equal(stats(s, name)["inference_stats"]["cache_hit"]["count"], hits + 2)


def ensembles_follow_their_members(t):
    repo = make(t, "a", [1])
    put(t.path("repo/both/config.pbtxt"), ENSEMBLE)
    os.makedirs(t.path("repo/both/1"), exist_ok=True)
    with explicit(t, "--set", "cache.models=both", models=repo) as s:
        equal((load(s, "a").status, load(s, "both").status), (200, 200))
        equal([infer(s, "both") for _ in range(3)], [1.0] * 3)
        equal(executions(s, "a"), 1)
        put(t.path("repo/a/1/model.onnx"), adder(2))
        equal(load(s, "a").status, 200)
        equal([infer(s, "both") for _ in range(3)], [2.0] * 3)


def equal_requests_run_once(t):
    """The one worker is busy, so that all of them are there before the first can run."""
    rows = [[1.0] * 512] * 8
    busy = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [8, 512],
                                   "data": rows}]})
    simple = json.dumps({"inputs": simple_inputs([3] * 16, [4] * 16)})
    n = 50
    with t.serve(*ALL, "--set", "threads=1", "--set", "model.execution=parallel") as s:
        barrier = threading.Barrier(n + 4)
        outcomes = []

        def ask(path, body, headers):
            c = s.connect()
            c.connect()
            barrier.wait()
            a = s.ask("POST", path, body, headers, connection=c)
            equal(a.status, 200, a.body)
            outcomes.append((path, cached(a), a.body))
            c.close()
        threads = [threading.Thread(target=ask, args=("/v2/models/slow/infer", busy,
                                                      {"Cache-Control": "no-store"}))
                   for _ in range(4)]
        threads += [threading.Thread(target=ask, args=("/v2/models/simple/infer", simple, {}))
                    for _ in range(n)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        said = [o for o in outcomes if "simple" in o[0]]
        equal(len(said), n)
        equal({body for _, _, body in said}, {said[0][2]})
        equal(sorted(how for _, how, _ in said).count("miss"), 1)
        equal(executions(s, "simple"), 1)
        equal(stats(s, "simple")["inference_stats"]["success"]["count"], n)


def who_waits_keeps_his_deadline(t):
    """Behind a leader in a long line: he is refused while the leader is still there, as a third
    shows, who waits with him. Refused by the clock, and where the wait is known, at once."""
    def body(value, **parameters):
        return json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [8, 512],
                                       "data": [value] * (8 * 512)}], "parameters": parameters})

    def lookups(s):
        return s.get("/v1/cache").json()["memory"]["lookups"]

    def client_errors(s):
        text = s.get("/metrics").body.decode()
        return sum(float(line.split()[-1]) for line in text.splitlines()
                   if line.startswith("volley_requests_total{scope=\"infer\"")
                   and 'code="4xx"' in line)

    def is_refused(s, value, text):
        answers = {}

        def ask(who, **parameters):
            answers[who] = s.ask("POST", "/v2/models/slow/infer", body(value, **parameters))
        patient = [threading.Thread(target=ask, args=(who,)) for who in ("first", "third")]
        n, late = lookups(s), client_errors(s)
        patient[0].start()
        wait_until("he leads", lambda: lookups(s) > n)
        ask("second", timeout=20000)
        patient[1].start()
        for thread in patient:
            thread.join()
        equal({answers[who].status for who in ("first", "third")}, {200})
        if answers["second"].status != 503 or text not in answers["second"].body:
            return False
        wait_until("it is the client's error", lambda: client_errors(s) > late)
        return ([cached(answers[who]) for who in ("first", "third")] == ["miss", "shared"])

    def refused(text):
        ended, values = threading.Event(), iter(range(1, 1 << 20))
        with t.serve(*ALL, "--set", "threads=1", "--set", "model.execution=parallel") as s:
            def fill():
                while not ended.is_set():
                    s.ask("POST", "/v2/models/slow/infer", body(0), {"Cache-Control": "no-store"})
            fillers = [threading.Thread(target=fill) for _ in range(16)]
            for thread in fillers:
                thread.start()
            try:
                wait_until(f"one is refused: {text}", lambda: is_refused(s, next(values), text))
            finally:
                ended.set()
                for thread in fillers:
                    thread.join()
    refused(b"past the deadline")
    with open(os.path.join(t.models, "slow", "config.pbtxt"), "a") as f:
        f.write("max_batch_size: 8\n"  # the wait of one of two levels is not known
                "dynamic_batching { priority_levels: 2 default_priority_level: 2 }\n")
    refused(b"Request timeout expired")


def warms_up(t):
    blue = png(20, 20, (0, 0, 255))
    with open(t.path("blue one.png"), "wb") as f:
        f.write(blue)
    with open(t.path("list"), "w") as f:
        f.write("# pictures\n\ncolour blue one.png\nnobody blue one.png\ncolour nowhere.png\n"
                f"colour\ncolour {t.path('list')}\n")
    with open(t.path("log"), "w") as log:
        with t.serve(*ALL, "--set", f"cache.warmup={t.path('list')}", log=log) as s:
            wait_until("the cache is warm", lambda: s.get("/health/ready").status == 200)
            equal(cached(s.ask("POST", "/v1/images:detect?model=colour", blue)), "hit")
    with open(t.path("log")) as log:
        said = log.read()
    assert "is done: 5 lines, 1 answers kept, 4 failed" in said, said
    for number, text in ((4, "nobody"), (5, "nowhere.png"), (6, "expected 'MODEL PICTURE'"),
                         (7, "")):
        lines = [line for line in said.splitlines() if f"list:{number}: " in line]
        assert len(lines) == 1 and text in lines[0], said
    p = subprocess.run([t.volley, "serve", "--models", t.models, "--port", "0", "--set",
                        "cache.warmup=/nowhere"], capture_output=True, text=True)
    assert p.returncode != 0 and "setting 'cache.warmup'" in p.stderr, p.stderr
    assert "listening" not in p.stdout, p.stdout


def figures(t):
    blue = png(20, 20, (0, 0, 255))
    with t.serve(*ALL, "--set", "http.access_log=" + t.path("access")) as s:
        for _ in range(5):
            s.ask("POST", "/v1/images:detect?model=colour", blue)
        said = s.get("/metrics").body.decode()
        for line in ('nv_cache_num_hits_per_model{model="colour",version="1"} 4',
                     'nv_cache_num_misses_per_model{model="colour",version="1"} 1',
                     'volley_cache_hits_total{model="colour",version="1",tier="memory"} 4',
                     'nv_inference_exec_count{model="colour",version="1"} 1',
                     'nv_inference_request_success{model="colour",version="1"} 5',
                     "nv_cache_num_entries 1", "nv_cache_num_lookups 5", "cache_hit_ratio 0.8"):
            assert line in said.splitlines(), line
        equal(s.stop(), 0)
    with open(t.path("access")) as f:
        logged = [json.loads(line).get("cache") for line in f]
    equal(logged, ["miss", "hit", "hit", "hit", "hit", None])


def triton_client(t):
    python = python_with("import tritonclient.grpc")
    with t.serve(*ALL) as s:
        p = subprocess.run([python, __file__, "--client", f"127.0.0.1:{s.port}"],
                           capture_output=True, text=True)
        equal(p.returncode, 0, p.stdout + p.stderr)


if sys.argv[1] == "--client":
    grpc_client(sys.argv[2])
    sys.exit(0)

from harness import (equal, multipart, png, python_with, run,  # noqa: E402
                     simple_inputs, wait_until)
from model_files import adder, explicit, infer, load, make, put  # noqa: E402
run(hit_equals_miss, pictures, headers_are_heard, only_what_is_enabled, state_is_never_cached,
    reload_forgets, weights_in_other_files, ensembles_follow_their_members,
    equal_requests_run_once, who_waits_keeps_his_deadline, warms_up, figures, triton_client)
