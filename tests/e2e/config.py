# SPDX-License-Identifier: MIT
"""Settings as an operator meets them: `volley config show` and `check`, profiles, environment, and
reading them again while the server runs."""
import http.client
import json
import os
import re
import signal
import subprocess
import threading

from harness import PATIENCE, SOURCE, equal, run, simple_inputs, wait_until

PROFILES = ["development", "staging", "production", "low-memory", "gpu", "high-concurrency"]


def volley(t, *args, status=0, **environment):
    p = subprocess.run([t.volley, *args], capture_output=True, text=True,
                       env={"PATH": os.environ["PATH"], **environment})
    equal(p.returncode, status, f"exit status of {args}: {p.stderr}")
    return p.stdout


def settings(t, *args, **environment):
    shown = json.loads(volley(t, "config", "show", "--json", *args, **environment))
    return {s["name"]: s for s in shown["settings"]}


def write(t, name, text):
    path = t.path(name)
    with open(path, "w") as f:
        f.write(text)
    return path


def another(setting):
    """A value in its range that is not the default."""
    value = setting["default"]
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1 if value < setting["max"] else value - 1
    if isinstance(value, float):
        return value / 2
    if setting["name"] == "cache.redis_url":
        return "unix:xxxx"
    words = re.findall(r"[\w.-]+", setting["meaning"])
    known = {"log.level": "error", "profile": "staging", "tls.min_version": "1.3",
             "models.control": "explicit", "model.execution": "parallel",
             "cache.compression": "zstd"}
    if setting["name"] in known:
        assert known[setting["name"]] in words, f"{setting['name']}: {words}"
        return known[setting["name"]]
    return value[:-1] + "x" if value else "xxxx"


def every_setting_is_read_from_its_variable(t):
    plain = settings(t)
    assert len(plain) > 80, len(plain)
    wanted = {name: another(s) for name, s in plain.items()}
    names = {"VOLLEY_" + name.upper().replace(".", "_"): name for name in plain}
    equal(len(names), len(plain), "variables")
    text = {var: str(wanted[name]).lower() if isinstance(wanted[name], bool) else str(wanted[name])
            for var, name in names.items()}
    shown = settings(t, **text)
    for var, name in names.items():
        equal(shown[name]["value"], wanted[name], name)
        equal(shown[name]["origin"], "environment", name)
        equal(shown[name]["environment"], var, name)


def the_origin_of_a_value_is_shown(t):
    path = write(t, "v.yaml", "# ours\nhttp:\n  port: 9000\nqueue.max: 3\nthreads: 2\n")
    shown = settings(t, "--config", path, "--set", "threads=1", VOLLEY_QUEUE_MAX="5",
                     VOLLEY_PROFILE="production")
    equal([shown["http.port"][k] for k in ("value", "origin", "file", "line")],
          [9000, "file", path, 3])
    equal([shown["queue.max"][k] for k in ("value", "origin")], [5, "environment"])
    equal([shown["threads"][k] for k in ("value", "origin")], [1, "command line"])
    equal([shown["log.level"][k] for k in ("value", "origin", "profile")],
          ["warn", "profile", "production"])
    equal(shown["imu.rate_hz"]["origin"], "default")
    text = volley(t, "config", "show", "--config", path, "--changed", VOLLEY_QUEUE_MAX="5")
    values = [line for line in text.splitlines() if line and not line.startswith("#")]
    equal(values, [f"http.port: 9000  # file {path}:3", f"threads: 2  # file {path}:5",
                   "queue.max: 5  # environment VOLLEY_QUEUE_MAX"])


def what_show_prints_may_be_given_back(t):
    path = write(t, "all.yaml", volley(t, "config", "show", "--profile", "production"))
    equal(volley(t, "config", "check", path), "ok\n")
    values = {name: s["value"] for name, s in settings(t, "--profile", "production").items()}
    equal({name: s["value"] for name, s in settings(t, "--config", path).items()}, values)


def passwords_are_not_shown(t):
    shown = volley(t, "config", "show", "--set", "mqtt.url=mqtt://me:secret@host")
    assert "secret" not in shown and '# mqtt.url: "mqtt://***@host"' in shown


def profiles_are_as_the_page_says(t):
    with open(os.path.join(SOURCE, "docs", "profiles.md")) as f:
        rows = [re.split(r" *\| *", line.strip("|\n ")) for line in f
                if re.match(r"\| `[a-z]+[a-z0-9_.]*` \|", line)]
    page = {(profile, row[0].strip("`")): cell for row in rows
            for profile, cell in zip(PROFILES, row[1:]) if cell}
    here = {(profile, name): s["value"] for profile in PROFILES
            for name, s in settings(t, "--profile", profile).items() if s["origin"] == "profile"}
    sizes = {"GiB": 1 << 30, "MiB": 1 << 20}
    for key, cell in page.items():
        number, _, unit = cell.partition(" ")
        page[key] = int(number) * sizes.get(unit, 1) if number.isdigit() else cell
    here = {k: str(v).lower() if isinstance(v, bool) else v for k, v in here.items()}
    equal(page, here, "the table of docs/profiles.md")


def a_check_tells_everything(t):
    path = write(t, "bad.yaml", "http:\n  prot: 1\n  port: 99999\ntls.key: x\nthreads: [1]\n")
    found = json.loads(volley(t, "config", "check", "--json", path, status=1))
    equal([(p["severity"], p["file"], p["line"]) for p in found["problems"]],
          [("error", path, line) for line in (2, 3, 5, 4)])
    assert "did you mean 'http.port'" in found["problems"][0]["message"]
    assert "from 0 to 65535, got '99999'" in found["problems"][1]["message"]
    assert "tls.certificate" in found["problems"][3]["message"]
    equal((found["errors"], found["warnings"]), (4, 0))
    good = write(t, "good.yaml", "http.port: 1\nstream.idle_ms: 10\n")
    assert "good.yaml:2: warning: setting 'stream.idle_ms'" in volley(t, "config", "check", good)
    volley(t, "config", "check", "--strict", good, status=1)
    assert "bad.yaml:2: error:" in volley(t, "config", "check", good, path, status=1)
    volley(t, "config", "check", t.path("none.yaml"), status=1)
    volley(t, "config", "check", status=2)


def a_check_of_the_environment(t):
    said = volley(t, "config", "check", "--env", VOLLEY_HTTP_PROT="1", WORKERS="8",
                  INFERENCE_QUEUE_SIZE="256")
    assert "VOLLEY_HTTP_PROT names no setting: did you mean VOLLEY_HTTP_PORT?" in said, said
    assert "INFERENCE_QUEUE_SIZE is not read; in its place: queue.max" in said, said
    assert "WORKERS is not read" in said and "0 errors, 3 warnings" in said, said
    volley(t, "config", "check", "--env", status=1, VOLLEY_THREADS="many")


def a_wrong_setting_keeps_the_server_from_starting(t):
    p = subprocess.run([t.volley, "serve", "--models", t.models, "--port", "0", "--set",
                        "tls.key=x"], capture_output=True, text=True, timeout=60)
    equal(p.returncode, 1)
    assert "setting 'tls.key' is there without 'tls.certificate'" in p.stderr, p.stderr


def shown(s, name):
    return {x["name"]: x for x in s.get("/v1/config").json()["settings"]}[name]


def a_hang_up_reads_settings_again(t):
    path = write(t, "live.yaml", "queue.max: 64\nhttp.max_connections: 100\n")
    with open(t.path("log"), "w") as log, t.serve("--config", path, log=log) as s:
        equal(shown(s, "queue.max")["value"], 64)
        write(t, "live.yaml", "queue.max: 128\nhttp.max_connections: 99\nlog.level: debug\n"
              "multipart.max_parts: 1\n")
        s.signal(signal.SIGHUP)
        wait_until("the new limit", lambda: shown(s, "queue.max")["value"] == 128)
        said = open(t.path("log")).read()
        assert "settings were read again" in said and '"queue.max"' in said, said
        assert 'settings that need a restart: "http.max_connections"' in said, said
        equal(shown(s, "http.max_connections")["value"], 100)
        equal(s.get("/v2/logging").json()["log_verbose_level"], 1)
        write(t, "live.yaml", "queue.max: 256\nhttp.port: many\n")
        s.signal(signal.SIGHUP)
        wait_until("the reason", lambda: "nothing has changed" in open(t.path("log")).read())
        assert "live.yaml:2: http.port: expected an integer" in open(t.path("log")).read()
        equal(shown(s, "queue.max")["value"], 128)
        equal(s.stop(), 0)


def a_request_reads_settings_again(t):
    path = write(t, "live.yaml", "queue.max: 64\n")
    with t.serve("--config", path) as s:
        write(t, "live.yaml", "json.max_depth: 2\nhttp.port: 1\n")
        changes = s.ask("POST", "/v1/config:reload")
        equal(changes.status, 200)
        equal(changes.json(), {"changed": [{"name": "json.max_depth", "from": "32", "to": "2"}],
                               "needs_restart": []})  # --port wins over the file
        answer = s.infer("simple", simple_inputs([[1] * 16], [[1] * 16]))
        equal(answer.status, 413, "a body nested deeper than 2")
        changed = s.get("/v1/config?changed=true").json()["settings"]
        assert "json.max_depth" in [x["name"] for x in changed] and len(changed) < 5, changed
        os.unlink(path)
        gone = s.ask("POST", "/v1/config:reload")
        equal(gone.status, 404)
        assert path in gone.json()["error"], gone.body
        equal(shown(s, "json.max_depth")["value"], 2)
        equal(s.ask("GET", "/v1/config:reload").status, 405)


def nothing_fails_while_settings_change(t):
    path = write(t, "live.yaml", "queue.max: 64\n")
    failures, done = [], threading.Event()
    with t.serve("--config", path, "--set", "http.loops=2") as s:
        def ask():
            c = s.connect()
            while not done.is_set():
                answer = s.infer("simple", simple_inputs([1] * 16, [2] * 16), connection=c)
                if answer.status != 200:
                    failures.append(answer.body)
        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for i in range(50):
            write(t, "live.yaml", f"queue.max: {64 + i}\nhttp.idle_timeout_ms: {60000 - i}\n"
                  f"http.max_answer_bytes: {1 + i} MiB\njson.max_depth: {8 + i}\n")
            equal(s.ask("POST", "/v1/config:reload").status, 200)
        done.set()
        for thread in threads:
            thread.join()
        equal(failures[:1], [])
        equal(shown(s, "queue.max")["value"], 113)
        equal(s.stop(), 0)


def idle_connections_meet_the_new_timeout(t):
    for is_admin in (False, True):
        path = write(t, "live.yaml", "http.idle_timeout_ms: 3600000\n")
        with t.serve("--config", path, "--set", "admin.port=0") as s:
            c = s.connect()
            if is_admin:
                line = next(line for line in s.lines if line.startswith("admin listener"))
                c = http.client.HTTPConnection("127.0.0.1", int(line.split()[-1]), timeout=PATIENCE)
            equal(s.ask("GET", "/health", connection=c).status, 200)
            write(t, "live.yaml", "http.idle_timeout_ms: 10\n")
            s.signal(signal.SIGHUP)
            equal(c.sock.recv(1), b"")


def limits_change_while_it_runs(t):
    path = write(t, "live.yaml", "limits.address_requests: 3\n")
    with t.serve("--config", path) as s:
        equal([s.get("/v2").status for _ in range(4)], [200] * 3 + [429])
        write(t, "live.yaml", "limits.address_requests: 1000000\n")
        s.signal(signal.SIGHUP)
        wait_until("more requests", lambda: s.get("/v2").status == 200)
        equal([s.get("/v2").status for _ in range(20)], [200] * 20)
        equal(s.stop(), 0)
    write(t, "live.yaml", "")
    with t.serve("--config", path) as s:
        write(t, "live.yaml", "limits.address_requests: 3\n")
        changes = s.ask("POST", "/v1/config:reload").json()
        equal(changes, {"changed": [], "needs_restart": ["limits.address_requests"]})
        equal([s.get("/v2").status for _ in range(6)], [200] * 6)
        equal(s.stop(), 0)


run(every_setting_is_read_from_its_variable, the_origin_of_a_value_is_shown,
    what_show_prints_may_be_given_back, passwords_are_not_shown, profiles_are_as_the_page_says,
    a_check_tells_everything, a_check_of_the_environment,
    a_wrong_setting_keeps_the_server_from_starting, a_hang_up_reads_settings_again,
    a_request_reads_settings_again, nothing_fails_while_settings_change,
    idle_connections_meet_the_new_timeout, limits_change_while_it_runs)
