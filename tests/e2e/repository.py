# SPDX-License-Identifier: MIT
"""Models come, change and go while the server runs: the model repository extension with Triton's
own client, polling, SIGHUP, files that are cut short or deleted, reloads under load.
"""
import base64
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time

from model_files import adder, explicit, field, infer, load, make, put


def unload(s, name, **parameters):
    body = json.dumps({"parameters": parameters}) if parameters else None
    return s.ask("POST", f"/v2/repository/models/{name}/unload", body)


def index(s, ready=None):
    body = None if ready is None else json.dumps({"ready": ready})
    a = s.ask("POST", "/v2/repository/index", body)
    equal(a.status, 200)
    return a.json()


# ---- requests ----

def loads_and_unloads(t):
    repo = make(t, "a", [1, 2])
    make(t, "b", [7])
    with explicit(t, models=repo) as s:
        equal(s.get("/v2/health/ready").status, 200, "ready without models")
        equal(index(s), [{"name": "a"}, {"name": "b"}])
        equal(index(s, ready=True), [])
        equal(infer(s, "a"), 404)
        a = load(s, "a")
        equal((a.status, a.body), (200, b""))
        equal(index(s), [{"name": "a", "version": "2", "state": "READY"}, {"name": "b"}])
        equal(infer(s, "a"), 2.0)
        equal(load(s, "a").status, 200, "again")
        equal(unload(s, "a").status, 200)
        wait_until("unloaded", lambda: index(s)[0].get("state") == "UNAVAILABLE")
        equal(index(s)[0], {"name": "a", "version": "2", "state": "UNAVAILABLE",
                            "reason": "unloaded"})
        equal(index(s, ready=True), [])
        equal(s.get("/v2/models/a/ready").status, 400)
        assert infer(s, "a") in (404, 503)
        equal(unload(s, "a").status, 200, "twice")
        equal(unload(s, "nobody").status, 200, "never loaded")
        equal(load(s, "a").status, 200)
        equal(infer(s, "a"), 2.0)
        equal(s.stop(), 0, "exit status")


def loads_at_start(t):
    repo = make(t, "a", [1])
    make(t, "b", [7])
    with explicit(t, "--load-model", "b", "--load-model", "nobody", models=repo) as s:
        equal((infer(s, "a"), infer(s, "b")), (404, 7.0))
        equal(s.stop(), 0, "exit status")
    with explicit(t, "--load-model", "*", models=repo) as s:
        equal((infer(s, "a"), infer(s, "b")), (1.0, 7.0))
        equal(s.stop(), 0, "exit status")


def refuses_in_tritons_words(t):
    repo = make(t, "a", [1])
    put(os.path.join(repo, "broken", "1", "model.onnx"), b"\0")
    with explicit(t, models=repo) as s:
        for answer, status, text in (
                (load(s, "nobody"), 500,
                 "failed to load 'nobody', failed to poll from model repository"),
                (load(s, "broken"), 400, "load failed for model 'broken': version 1 is at "
                 "UNAVAILABLE state: "),
                (load(s, ".."), 400, "invalid model name '..', model name must not contain path "
                 "traversal characters"),
                (load(s, "a", config="{"), 400, "Invalid config override: "),
                (load(s, "a", config="{\"nmae\":\"x\"}"), 400, "Cannot find field"),
                (load(s, "a", colour="x"), 500, "unexpected error on creating Triton parameter"),
                (load(s, "a", **{"file:1/model.onnx": "AAAA"}), 400,
                 "Load parameter 'config' must be specified for model file override"),
                (load(s, "a", config="{}", **{"file:../x": "AAAA"}), 400, "must stay within model "
                 "directory"),
                (load(s, "a", config="{}", **{"file:1/model.onnx": "A"}), 400, "base64"),
                (s.ask("POST", "/v2/repository/models/a/load", "nonsense"), 400,
                 "failed to parse the request JSON buffer"),
                (s.ask("POST", "/v2/repository/mine/index"), 501,
                 "'repository_name' specification is not supported"),
                (s.ask("POST", "/v2/repository/mine/models/a/load"), 501,
                 "'repository_name' specification is not supported")):
            equal(answer.status, status, text)
            assert text in answer.json()["error"], (text, answer.body)
        equal(s.ask("GET", "/v2/repository/index").status, 405)
        equal([m.get("state") for m in index(s)], [None, "UNAVAILABLE"])
        assert "reason" in index(s)[1], index(s)
        equal(s.stop(), 0, "exit status")
    with t.serve(models=repo) as s:
        for answer in (load(s, "a"), unload(s, "a")):
            equal(answer.status, 503)
            equal(answer.json()["error"],
                  "explicit model load / unload is not allowed if polling is enabled")
        equal(s.stop(), 0, "exit status")


def overrides(t):
    repo = make(t, "a", [1, 3])
    with explicit(t, models=repo) as s:
        everything = json.dumps({"version_policy": {"all": {}}, "max_batch_size": 2})
        equal(load(s, "a", config=everything).status, 200)
        equal((infer(s, "a", 1), infer(s, "a", 3)), (1.0, 3.0))
        equal(s.get("/v2/models/a/config").json()["max_batch_size"], 2)
        equal(load(s, "a").status, 200, "back to the repository's own")
        equal(s.get("/v2/models/a/config").json()["max_batch_size"], 4)
        equal((infer(s, "a", 1) in (404, 503), infer(s, "a", 3)), (True, 3.0))
        files = {"file:9/model.onnx": base64.b64encode(adder(9)).decode()}
        equal(load(s, "a", config="{}", **files).status, 200)
        equal(infer(s, "a"), 9.0)
        equal(load(s, "new", config="{}", **files).status, 200)
        equal((infer(s, "new"), os.path.exists(os.path.join(repo, "new"))), (9.0, False))
        bad = {"file:9/model.onnx": base64.b64encode(b"\0").decode()}
        equal(load(s, "new", config="{}", **bad).status, 400)
        equal(infer(s, "new"), 9.0, "what was loaded serves on")
        equal(s.stop(), 0, "exit status")


# ---- polling and signals ----

def polls(t):
    repo = make(t, "a", [1])
    args = ("--model-control", "poll", "--set", "models.poll_interval_ms=50")
    with t.serve(*args, models=repo) as s:
        equal(infer(s, "a"), 1.0)
        make(t, "a", [2])
        wait_until("the new version", lambda: infer(s, "a") == 2.0)
        put(os.path.join(repo, "a", "2", "model.onnx"), adder(5))
        wait_until("the changed file", lambda: infer(s, "a") == 5.0)
        make(t, "b", [7])
        wait_until("the new model", lambda: infer(s, "b") == 7.0)
        put(os.path.join(repo, "a", "config.pbtxt"), "version_policy { specific { versions: 1 } }")
        wait_until("the new policy", lambda: infer(s, "a") == 1.0)
        put(os.path.join(repo, "b", "7", "model.onnx"), b"\0")
        wait_until("the failure", lambda: b"reload_error" in s.get("/v1/models").body)
        equal(infer(s, "b"), 7.0, "a broken file leaves what serves")
        shutil.rmtree(os.path.join(repo, "b"))
        wait_until("the model that went", lambda: infer(s, "b") in (404, 503))
        os.rename(repo, repo + ".away")
        time.sleep(0.3)
        equal(infer(s, "a"), 1.0, "a directory that is gone unloads nothing")
        os.rename(repo + ".away", repo)
        put(os.path.join(repo, "a", "1", "model.onnx"), adder(6))
        wait_until("polling goes on", lambda: infer(s, "a") == 6.0)
        equal(s.stop(), 0, "exit status")


def polls_weights_in_other_files(t):
    layouts = {"a": ("a.onnx", "deep/k.bin"), "b": ("b/1/model.onnx", "b/1/deep/k.bin")}
    repo = t.path("repo")

    def put_data(name, data):
        put(os.path.join(repo, layouts[name][1]), data)

    for name, (model, _) in layouts.items():
        put(os.path.join(repo, model), adder("deep/k.bin"))
        put_data(name, struct.pack("<f", 1))
    with t.serve("--model-control", "poll", "--set", "models.poll_interval_ms=50",
                 models=repo) as s:
        for name in layouts:
            equal(infer(s, name), 1.0)
            put_data(name, struct.pack("<2f", 2, 0))
            wait_until("the new weights", lambda: infer(s, name) == 2.0)
            put_data(name, b"cut")
            wait_until("the failure", lambda: b"reload_error" in s.get("/v1/models").body)
            equal(infer(s, name), 2.0, "what was loaded serves on")
            put_data(name, struct.pack("<3f", 3, 0, 0))
            wait_until("the right weights", lambda: infer(s, name) == 3.0)
            wait_until("no failure", lambda: b"reload_error" not in s.get("/v1/models").body)
        equal(s.stop(), 0, "exit status")


def rescans_on_hangup(t):
    repo = make(t, "a", [1])
    with t.serve(models=repo) as s:
        make(t, "a", [4])
        s.signal(signal.SIGHUP)
        wait_until("the rescan", lambda: infer(s, "a") == 4.0)
        equal(s.stop(), 0, "exit status")
    make(t, "b", [7])
    with explicit(t, "--load-model", "a", models=repo) as s:
        put(os.path.join(repo, "a", "4", "model.onnx"), adder(8))
        s.signal(signal.SIGHUP)
        wait_until("the rescan", lambda: infer(s, "a") == 8.0)
        equal(infer(s, "b"), 404, "not asked for")
        equal(s.stop(), 0, "exit status")


def survives_its_files(t):
    """Cut short, overwritten, deleted: what was loaded is the server's own."""
    repo = make(t, "a", [1])
    path = os.path.join(repo, "a", "1", "model.onnx")
    put(path, adder(1, padding=8 << 20))
    with t.serve(models=repo) as s:
        os.truncate(path, 100)
        equal(infer(s, "a"), 1.0, "truncated")
        s.signal(signal.SIGHUP)
        wait_until("the failure", lambda: b"reload_error" in s.get("/v1/models").body)
        equal(infer(s, "a"), 1.0, "and not reloaded")
        shutil.rmtree(repo)
        equal(infer(s, "a"), 1.0, "deleted")
        s.signal(signal.SIGHUP)
        equal([infer(s, "a") for _ in range(20)], [1.0] * 20, "and rescanned")
        equal(index(s), [{"name": "a", "version": "1", "state": "READY"}])
        equal(s.stop(), 0, "exit status")


# ---- load ----

RATE = 200
CLIENTS = 4
N_RELOADS = 40


def reloads_under_load(t):
    repo = make(t, "a", [1])
    path = os.path.join(repo, "a", "1", "model.onnx")
    seen, failed = [], []
    stop = threading.Event()

    with explicit(t, "--load-model", "a", models=repo) as s:
        def client():
            connection = s.connect()
            due = time.monotonic()
            while not stop.is_set():
                k = infer(s, "a", connection=connection)
                (failed if k not in (1.0, 2.0) else seen).append(k)
                due += CLIENTS / RATE
                stop.wait(max(0, due - time.monotonic()))
            connection.close()
        threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        n_reloads = 0
        while not failed and (n_reloads < N_RELOADS or len(seen) < RATE):
            n_reloads += 1
            put(path, adder(1 + n_reloads % 2))
            equal(load(s, "a").status, 200)
            equal(infer(s, "a"), 1.0 + n_reloads % 2, "after a load the new one answers")
        stop.set()
        for thread in threads:
            thread.join()
        equal(failed, [], "failed requests")
        equal(set(seen), {1.0, 2.0}, "models that answered")
        print(f"# {len(seen)} requests during {n_reloads} reloads, none failed")
        equal(s.stop(), 0, "exit status")


def memory_stays_flat(t):
    repo = make(t, "a", [1])
    put(os.path.join(repo, "a", "1", "model.onnx"), adder(1, padding=1 << 20))
    with explicit(t, models=repo) as s:
        connection = s.connect()

        def cycle(n):
            for _ in range(n):
                for action in ("load", "unload"):
                    a = s.ask("POST", f"/v2/repository/models/a/{action}", connection=connection)
                    equal(a.status, 200)
        cycle(100)
        before = s.rss()
        cycle(1000)
        after = s.rss()
        print(f"# {before >> 10} KiB before, {after >> 10} KiB after 1000 cycles")
        if not os.environ.get("VOLLEY_TEST_SANITIZER", "none").strip("none"):
            assert after < before + (2 << 20), (before, after)
        equal(s.stop(), 0, "exit status")


# ---- Triton's client ----

def client(url, repo):
    import tritonclient.http as http
    from tritonclient.utils import InferenceServerException

    c = http.InferenceServerClient(url)
    assert c.is_server_ready()
    extensions = c.get_server_metadata()["extensions"]
    assert "model_repository" in extensions and "model_repository(unload_dependents)" in extensions
    assert c.get_model_repository_index() == [{"name": "a"}]
    c.load_model("a")
    assert c.is_model_ready("a")
    assert c.get_model_repository_index()[0]["state"] == "READY"
    c.load_model("a", config=json.dumps({"max_batch_size": 3, "parameters": {
        "task": {"string_value": "tensor"}}}))
    assert c.get_model_config("a")["max_batch_size"] == 3
    c.load_model("b", config="{\"backend\": \"onnxruntime\"}",
                 files={"file:5/model.onnx": adder(5)})
    assert c.is_model_ready("b", "5")
    c.unload_model("b")
    assert not c.is_model_ready("b")
    c.unload_model("a", unload_dependents=True)
    try:
        c.load_model("nobody")
    except InferenceServerException as e:
        assert "failed to load 'nobody', failed to poll from model repository" in str(e), str(e)
    else:
        raise AssertionError("loaded nobody")
    c.close()


def tritonclient_works(t):
    repo = make(t, "a", [1])
    python = python_with("import tritonclient.http.aio")
    with explicit(t, models=repo) as s:
        p = subprocess.run([python, os.path.abspath(__file__), "--client", f"127.0.0.1:{s.port}",
                            repo], capture_output=True, text=True, timeout=300)
        equal(p.returncode, 0, p.stdout + p.stderr)
        equal(s.stop(), 0, "exit status")


if sys.argv[1] == "--client":
    client(sys.argv[2], sys.argv[3])
else:
    from harness import equal, python_with, run, wait_until
    run(loads_and_unloads, loads_at_start, refuses_in_tritons_words, overrides, polls,
        polls_weights_in_other_files, rescans_on_hangup, survives_its_files, reloads_under_load,
        memory_stays_flat, tritonclient_works)
