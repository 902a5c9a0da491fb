# SPDX-License-Identifier: MIT
"""Who changes a route, and on what: conditions of requests, `volley route set`, a file that others
write too."""
import json
import os
import shutil
import signal
import subprocess

from harness import Skip, equal, run, simple_inputs, wait_until


def versions(t, *numbers):
    """More versions of the model simple."""
    for n in numbers:
        shutil.copytree(f"{t.models}/simple/1", f"{t.models}/simple/{n}")
    with open(f"{t.models}/simple/config.pbtxt", "a") as f:
        f.write("version_policy: { all {} }\n")


def route(*weights, **more):
    return {"arms": [{"model": "simple", "version": str(i + 1), "weight": w}
                     for i, w in enumerate(weights)], **more}


def ask(s, method, path, body=None, status=200, **headers):
    """The answer, whose status is as expected."""
    answer = s.ask(method, "/v1/routes/" + path, json.dumps(body) if body is not None else None,
                   {name.replace("_", "-"): value for name, value in headers.items()})
    equal(answer.status, status, answer.body)
    return answer


def weights(s, name):
    return [a["weight"] for a in ask(s, "GET", name).json()["arms"]]


def changes_are_made_on_what_was_seen(t):
    versions(t, 2)
    with t.serve() as s:
        ask(s, "PUT", "ab", route(90, 10), 412, If_Match="*")
        first = ask(s, "PUT", "ab", route(90, 10), 201, If_None_Match="*").headers["etag"]
        ask(s, "PUT", "ab", route(1, 1), 412, If_None_Match="*")
        ask(s, "PUT", "ab", route(1, 1), 400, If_None_Match=first)
        equal(ask(s, "GET", "ab").headers["etag"], first)
        equal(s.infer("ab", simple_inputs([1] * 16, [2] * 16)).status, 200)
        seen = ask(s, "GET", "ab")
        equal(seen.headers["etag"], first, "after a request")
        equal(f'"{seen.json()["revision"]}"', first)
        second = ask(s, "PUT", "ab", route(80, 20), If_Match=first).headers["etag"]
        assert second != first
        # Somebody else comes with what they saw before that.
        for method, path, body in (("PUT", "ab", route(1, 1)), ("DELETE", "ab", None),
                                   ("POST", "ab:promote", {"model": "simple", "version": "2"}),
                                   ("POST", "ab:rollback", {"model": "simple", "version": "2"})):
            error = ask(s, method, path, body, 412, If_Match=first).json()["error"]
            assert "route 'ab' has changed" in error and second.strip('"') in error, error
        ask(s, "PUT", "ab", {**seen.json(), "salt": "x"}, 412)
        equal(weights(s, "ab"), [80, 20])
        ask(s, "PUT", "ab?force=true", {**seen.json(), "salt": "x"}, 412)
        ask(s, "PUT", "ab?overwrite=true", {**seen.json(), "salt": "x"})
        equal(weights(s, "ab"), [90, 10])
        third = ask(s, "GET", "ab").headers["etag"]
        for known in (third, f'"0", W/{third}', "*"):
            answer = ask(s, "GET", "ab", None, 304, If_None_Match=known)
            equal((answer.body, answer.headers["etag"]), (b"", third))
        ask(s, "GET", "ab", None, 200, If_None_Match=first)
        ask(s, "POST", "ab:promote", {"model": "simple", "version": "2"},
            If_Match=f'"0", W/{third}')
        # A list in two lines.
        third = ask(s, "GET", "ab").headers["etag"]
        c = s.connect()
        c.putrequest("DELETE", "/v1/routes/ab")
        c.putheader("If-Match", '"0"')
        c.putheader("If-Match", third)
        c.endheaders()
        answer = c.getresponse()
        equal(answer.status, 200, answer.read())
        c.close()
        ask(s, "PUT", "ab", route(1, 1), 201)
        ask(s, "DELETE", "ab", If_Match="*")
        ask(s, "DELETE", "ab", None, 412, If_Match="*")
        ask(s, "DELETE", "ab", None, 404)


def arm_that_was_rolled_back_is_not_revived_by_the_way(t):
    versions(t, 2)
    with t.serve() as s:
        ask(s, "PUT", "ab", route(50, 50), 201)
        ask(s, "POST", "ab:rollback", {"model": "simple", "version": "2", "why": "it barks"})
        error = ask(s, "PUT", "ab", route(50, 50), 400).json()["error"]
        assert "arm 'simple/2' was rolled back (request: it barks); revive=true" in error, error
        again = ask(s, "GET", "ab").json()
        equal(ask(s, "PUT", "ab", again).json()["arms"][1]["why"], "it barks")
        ask(s, "PUT", "ab?revive=true", route(50, 50))
        equal(weights(s, "ab"), [50, 50])


def commands(t):
    versions(t, 2, 3)

    def volley(*args, rc=0):
        p = subprocess.run([t.volley, "route", *args, "--server", url], capture_output=True,
                           text=True, env=dict(os.environ, VOLLEY_API_KEY="unused"))
        if "lacks libcurl" in p.stderr:
            raise Skip("the build has no HTTP client")
        equal(p.returncode, rc, p.stdout + p.stderr)
        return p.stdout if rc == 0 else p.stderr

    def now():
        return json.loads(volley("show", "ab", "--json"))

    with t.serve() as s:
        url = f"http://127.0.0.1:{s.port}"
        assert "there are no routes" in volley("list")
        volley("set", "ab", "simple/1=90", "simple/2=10", "--probation", "simple/2", "--guard",
               "max_error_rate=0.1", "--shadow", "simple/3=0.5", "--salt", "x", "--schedule",
               "0.1,1", "--hold", "60")
        shown = volley("show", "ab")
        for text in ("simple/1", "90.000 %", "probation", "shadow simple/3: 50 %",
                     "[10 %] 100 %", "max_error_rate 0.1"):
            assert text in shown, shown
        equal(s.infer("ab", []).status, 400)
        row = next(x.split() for x in volley("show", "ab").splitlines() if "simple/1" in x)
        heads = next(x.split() for x in shown.splitlines() if "REFUSED" in x)
        equal(row[heads.index("REFUSED") + 1], "1", "behind the share's %")
        saved = t.path("ab.json")
        with open(saved, "w") as f:
            f.write(volley("show", "ab", "--json"))
        # What is not named stays.
        before = now()
        volley("set", "ab", "simple/1=80", "--guard", "max_latency_ms=50", "--hold", "30")
        after = now()
        equal([(a["weight"], a["state"]) for a in after["arms"]],
              [(80, "active"), (after["arms"][1]["weight"], "probation")])
        assert abs(after["arms"][1]["share"] - 0.1) < 1e-6, after
        assert "the schedule says what it gets" in volley("set", "ab", "simple/2=500", rc=1)
        equal(after["guard"], {**before["guard"], "max_latency_ms": 50})
        equal(after["schedule"], {**before["schedule"], "hold_s": 30})
        equal((after["salt"], after["shadow"]), (before["salt"], before["shadow"]))
        volley("set", "ab", "--shadow", "none", "--schedule", "none", "simple/3=5")
        assert "shadow" not in now() and "schedule" not in now(), now()
        equal(now()["arms"][1]["state"], "probation")
        volley("set", "ab", "--probation", "none", "simple/3=none")
        equal([a["state"] for a in now()["arms"]], ["active", "active"])
        volley("set", "ab", "--probation", "simple/2")
        volley("set", "ab", "--schedule", "0.2,1")
        volley("set", "ab", "--probation", "none")
        assert "schedule" not in now(), now()
        volley("set", "ab", "--probation", "simple/2")
        equal([a["version"] for a in now()["arms"]], ["1", "2"])
        # A saved file is of what was; and no arm comes back by the way.
        assert "route 'ab' has changed" in volley("set", "ab", "--file", saved, rc=1)
        assert "100.000 %" in volley("promote", "ab")
        volley("rollback", "ab", "simple/2", "--why", "it barks")
        assert "it barks" in volley("list")
        assert "was rolled back" in volley("set", "ab", "simple/2=1", rc=1)
        assert "has changed" in volley("set", "ab", "--file", saved, "--force", rc=1)
        assert "was rolled back" in volley("set", "ab", "--file", saved, "--overwrite", rc=1)
        volley("set", "ab", "--file", saved, "--overwrite", "--revive")
        assert "probation" in volley("show", "ab")
        volley("remove", "ab")
        assert "there is no route 'ab'" in volley("show", "ab", rc=1)
        for args, why in ((["nobody=1"], "arm 'nobody' is not found"),
                          (["simple"], "expected NAME=NUMBER"), ([], "expected arms"),
                          (["simple=none"], "has no such arm"),
                          (["simple=1", "--guard", "wait=1"], "'wait' is none of its members"),
                          (["simple=1", "--guard", "max_error_rate=2"], "from 0 to 1"),
                          (["simple=1", "--shadow", "simple=2"], "expected a share"),
                          (["simple=1", "--hold", "9"], "no schedule"),
                          (["simple=1", "--schedule", "a"], "expected up to 16 shares"),
                          (["simple=1", "--probation", "slow"], "none of the arms"),
                          (["simple=1", "--overwrite"], "it goes with --file"),
                          (["simple=1", "--file", saved], "name none"),
                          (["--file", saved, "--salt", "y"], "--salt: --file holds the whole"),
                          (["--file", saved, "--guard", "none"], "--guard: --file holds"),
                          (["simple=1", "simple_identity=1"], "interfaces differ")):
            assert why in volley("set", "ab", *args, rc=1), why
        volley("set", "ab", "simple=1", "simple_identity=1", "--force")
        volley("rollback", "ab", "simple_identity")
        assert "interfaces differ" in volley("promote", "ab", "simple_identity", rc=1)
        volley("promote", "ab", "simple_identity", "--force")
        assert "is no name of a route" in volley("show", "a/b", rc=1)
    assert "127.0.0.1" in volley("list", rc=1)


def write(path, *routes):
    with open(path + ".new", "w") as f:
        json.dump({"routes": list(routes)}, f)
    os.replace(path + ".new", path)


def file_is_read_again(t):
    """On SIGHUP and when asked; whole or not at all, and never written over unseen."""
    versions(t, 2)
    path = t.path("routes.json")
    inputs = simple_inputs([1] * 16, [2] * 16)
    with t.serve("--set", f"routes.file={path}") as s:
        ask(s, "PUT", "ab", route(90, 10), 201)
        for _ in range(10):
            equal(s.infer("ab", inputs).status, 200)
        write(path, route(10, 90, name="ab"), route(1, 1, name="new"))
        assert "was changed by somebody else" in ask(s, "PUT", "ab", route(1, 1),
                                                     412).json()["error"]
        s.signal(signal.SIGHUP)
        wait_until("it is read", lambda: weights(s, "ab") == [10, 90])
        equal(weights(s, "new"), [1, 1])
        equal(ask(s, "GET", "ab").json()["arms"][0]["stats"]["ok"], 9, "as counted before")
        ask(s, "PUT", "ab", route(50, 50))
        write(path, route(7, 3, name="ab"))
        told = {"changed": [], "needs_restart": []}
        equal(s.ask("POST", "/v1/config:reload").json(), {**told, "routes": True})
        equal(s.ask("POST", "/v1/config:reload").json(), told)
        equal(weights(s, "ab"), [7, 3])
        ask(s, "GET", "new", status=404)
        write(path, route(1, 1, name="ab"), {"name": "bad"})
        answer = s.ask("POST", "/v1/config:reload")
        equal(answer.status, 400, answer.body)
        assert "item 2" in answer.json()["error"] and path in answer.json()["error"], answer.body
        equal(weights(s, "ab"), [7, 3])
        equal(s.infer("ab", inputs).status, 200)


def two_servers_have_one_file(t):
    versions(t, 2)
    setting = f"routes.file={t.path('routes.json')}"
    with t.serve("--set", setting) as a, t.serve("--set", setting) as b:
        ask(a, "PUT", "ab", route(90, 10), 201)
        assert "was changed by somebody else" in ask(b, "PUT", "cd", route(1, 1),
                                                     412).json()["error"]
        equal(b.ask("POST", "/v1/config:reload").status, 200)
        equal(ask(b, "GET", "ab").headers["etag"], ask(a, "GET", "ab").headers["etag"])
        ask(b, "PUT", "cd", route(1, 1), 201)
        equal(a.ask("POST", "/v1/config:reload").status, 200)
        equal(weights(a, "cd"), [1, 1])
        for i in range(50):
            session = {"session_id": f"s{i}"}
            inputs = simple_inputs([1] * 16, [2] * 16)
            equal(a.infer("ab", inputs, parameters=session).headers["volley-arm"],
                  b.infer("ab", inputs, parameters=session).headers["volley-arm"])


run(changes_are_made_on_what_was_seen, arm_that_was_rolled_back_is_not_revived_by_the_way,
    commands, file_is_read_again, two_servers_have_one_file)
