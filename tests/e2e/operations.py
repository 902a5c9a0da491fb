# SPDX-License-Identifier: MIT
"""docs/operations.md: its commands run as they stand there, in one shell, against a real server.

A fenced block of "sh" is run; "sh by-hand" is not; "sh needs TOOL" is where there is TOOL. Only
addresses and directories are replaced by those of this run.
"""
import os
import re
import shutil
import signal
import subprocess

from harness import PATIENCE, SOURCE, Skip, equal, free_port, run

DEPLOY = os.path.join(SOURCE, "deploy")


def blocks():
    """(line number, what follows "sh", text) of each."""
    with open(os.path.join(SOURCE, "docs", "operations.md")) as f:
        text = f.read()
    for m in re.finditer(r"^```sh *([^\n]*)\n(.*?)^```$", text, re.M | re.S):
        yield text[:m.start()].count("\n") + 2, m.group(1).split(), m.group(2)


def is_to_run(words):
    return not words or words[0] == "needs" and shutil.which(words[1]) is not None


def script():
    """Each block behind a line that names it, so that a failure has a place."""
    lines = ["set -eu -o pipefail"]
    for number, words, text in blocks():
        if is_to_run(words):
            lines += [f"echo '== line {number}'", text]
    return "\n".join(lines)


def lay_out(t):
    """The directories of an installation, below one of this run. Returns what to replace."""
    for name in ("etc", "lib/models", "log", "bin"):
        os.makedirs(t.path(name))
    places = {"/etc/volley": t.path("etc"), "/var/lib/volley": t.path("lib"),
              "/var/log/volley": t.path("log")}
    with open(os.path.join(DEPLOY, "volley.yml")) as f:
        config = f.read()
    for name, path in places.items():
        config = config.replace(name, path)
    with open(t.path("etc/volley.yml"), "w") as f:
        f.write(config)
    os.symlink(os.path.abspath(t.volley), t.path("bin/volley"))
    os.symlink(DEPLOY, t.path("deploy"))
    for name in ("model.onnx", "better.onnx"):
        shutil.copy(os.path.join(t.models, "colour.onnx"), t.path(name))
    shutil.copy(os.path.join(SOURCE, "docs", "demo.jpg"), t.path("photo.jpg"))
    return places


def every_command_works(t):
    if shutil.which("curl") is None:
        raise Skip("no curl")
    port, second = free_port(), free_port()
    text = script()
    for name, path in {**lay_out(t), "127.0.0.1:8000": f"127.0.0.1:{port}",
                       "127.0.0.1:8001": f"127.0.0.1:{second}",
                       "--port 8001": f"--port {second}"}.items():
        text = text.replace(name, path)
    text = re.sub(r"^volley (route \w+|store backup)",
                  rf"volley \1 --server http://127.0.0.1:{port}", text, flags=re.M)
    if os.environ.get("VOLLEY_TEST_SANITIZER", "none") != "none":
        text = text.replace("--rate 20", "--rate 2")  # such a build is slower by a power of ten
    environment = {**os.environ, "PATH": t.path("bin") + ":" + os.environ["PATH"],
                   "VOLLEY_HTTP_PORT": str(port), "VOLLEY_MODELS_POLL_INTERVAL_MS": "200"}
    with open(t.path("said"), "w") as out:  # a file: a server that is left would hold a pipe open
        p = subprocess.Popen(["bash", "-c", "set -m\n" + text], cwd=t.directory, env=environment,
                             stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                             start_new_session=True)
        try:
            status = p.wait(3 * PATIENCE)
        finally:
            for pid in servers(t):
                kill(pid)
    with open(t.path("said")) as f:
        said = f.read()
    equal(status, 0, said[-4000:])
    assert len(re.findall(r"^== line", said, re.M)) > 8, said


def servers(t):
    """Processes of this run that are still there: the shell, too."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                if t.directory.encode() in f.read():
                    yield int(pid)
        except OSError:
            pass


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def what_is_deployed_is_valid(t):
    p = subprocess.run([t.volley, "config", "check", "--strict",
                        os.path.join(DEPLOY, "volley.yml")], capture_output=True, text=True)
    equal(p.returncode, 0, p.stdout + p.stderr)


def the_unit_is_valid(t):
    analyse = shutil.which("systemd-analyze")
    if analyse is None:
        raise Skip("no systemd-analyze")
    with open(os.path.join(DEPLOY, "systemd", "volley.service")) as f:
        unit = f.read()
    assert "/usr/local/bin/volley" in unit
    path = t.path("volley.service")
    with open(path, "w") as f:
        f.write(unit.replace("/usr/local/bin/volley", os.path.abspath(t.volley)))
    p = subprocess.run([analyse, "verify", path], capture_output=True, text=True)
    equal((p.returncode, p.stdout + p.stderr), (0, ""))


def links_lead_somewhere(t):
    folder = os.path.join(SOURCE, "docs")
    with open(os.path.join(folder, "operations.md")) as f:
        text = f.read()
    for link in re.findall(r"\]\(([^)#]+)", text):
        assert os.path.exists(os.path.join(folder, link)), link
    for name in re.findall(r"`deploy/([\w./]+)`", text):
        assert os.path.exists(os.path.join(DEPLOY, name)), name


run(every_command_works, what_is_deployed_is_valid, the_unit_is_valid, links_lead_somewhere)
