# SPDX-License-Identifier: MIT
"""What the end-to-end tests share: the server as a child, a client, TAP.

A test file calls run(fn, ...) last. Each fn(t) gets a Tools; it fails by any exception. The server
listens on loopback only, on a port that the system chooses.
"""
import fcntl
import hashlib
import http.client
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import traceback
import zlib

PATIENCE = 60
# Clients of others, and what reads documents in formats of others.
PACKAGES = ("tritonclient[grpc,http]", "grpcio-health-checking", "grpcio-reflection", "websockets",
            "opentelemetry-proto", "openapi-spec-validator", "prometheus-client")
SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CLIENTS = os.path.join(SOURCE, "build-clients")  # what package managers bring, for every build


# Such a build is slower by a power of ten: where less data finds the same faults, it gets less.
IS_SANITIZED = os.environ.get("VOLLEY_TEST_SANITIZER", "none") != "none"


class Skip(Exception):
    """The test cannot run here; the message says why."""


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = {k.lower(): v for k, v in response.getheaders()}
        self.body = response.read()

    def json(self):
        return json.loads(self.body)


class Server:
    """A running `volley serve`, its stderr to the file log. stop() ends it: its exit status.

    In a with statement it is ended by SIGTERM, like any server: its end is part of each test."""

    def __init__(self, volley, models, *args, log=None):
        self.log = log
        self.process = subprocess.Popen([volley, "serve", "--models", models, "--port", "0", *args],
                                        stdout=subprocess.PIPE, stderr=log, text=True)
        self.lines = []
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            found = re.match(r"listening on (https?)://127\.0\.0\.1:(\d+)$", line)
            if found:
                self.scheme = found.group(1)
                self.port = int(found.group(2))
                return
        raise RuntimeError("the server ended: " + "\n".join(self.lines))

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)

    def ask(self, method, target, body=None, headers=None, connection=None):
        c = connection or self.connect()
        c.request(method, target, body=body, headers=headers or {})
        answer = Answer(c.getresponse())
        if connection is None:
            c.close()
        return answer

    def get(self, target):
        return self.ask("GET", target)

    def infer(self, model, inputs, connection=None, **more):
        body = json.dumps({"inputs": inputs, **more})
        return self.ask("POST", f"/v2/models/{model}/infer", body,
                        {"Content-Type": "application/json"}, connection)

    def rss(self):
        """Resident memory in bytes."""
        with open(f"/proc/{self.process.pid}/statm") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def wait(self):
        self.lines += self.process.stdout.read().splitlines()
        return self.process.wait(PATIENCE)

    def stop(self):
        self.signal()
        return self.wait()

    def __enter__(self):
        return self

    def judge(self, status):
        """A server that crashed, or of which a sanitizer spoke, says so, and fails the test."""
        if status in (0, 1, 2, -signal.SIGINT, -signal.SIGKILL):
            return
        said = f"the server's exit status is {status} (of a Sanitizer?)"
        if self.log is not None:
            with open(self.log.name, errors="replace") as f:
                said += ":\n" + "".join(f.readlines()[-60:])
        raise AssertionError(said)

    def __exit__(self, kind, *exc):
        try:
            if self.process.poll() is None:
                self.signal(signal.SIGTERM if kind is None else signal.SIGKILL)
            self.judge(self.process.wait(PATIENCE))
        finally:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()


class Tools:
    """Programs under test, and a directory of models made for this run."""

    def __init__(self, volley, make_models, directory):
        self.volley = volley
        self.build = os.path.dirname(make_models)
        self.directory = directory
        self.models = os.path.join(directory, "models")
        os.mkdir(self.models)
        subprocess.run([make_models, self.models], check=True)

    def serve(self, *args, models=None, log=None):
        return Server(self.volley, models or self.models, *args, log=log)

    def path(self, name):
        return os.path.join(self.directory, name)

    @staticmethod
    def shared(name):
        """An input too large for the tree: $VOLLEY_SHARED/name, by default beside the sources."""
        root = os.environ.get("VOLLEY_SHARED", os.path.join(os.path.dirname(SOURCE), "shared"))
        path = os.path.join(root, name)
        if not os.path.exists(path):
            raise Skip(f"no '{name}' (set VOLLEY_SHARED)")
        return path


class Certificate:
    """Self-signed; name is what its subject says."""

    def __init__(self, t, name, days=2):
        self.path, self.key = t.path(name + ".pem"), t.path(name + ".key")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-days", str(days), "-subj",
                        f"/CN={name}", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                        "-keyout", self.key, "-out", self.path], check=True, capture_output=True)

    def settings(self):
        return ["--set", f"tls.certificate={self.path}", "--set", f"tls.key={self.key}"]

    def replace(self, other):
        """Puts the other in the place of this one, key first."""
        os.replace(other.key, self.key)
        os.replace(other.path, self.path)


def free_port():
    """One that nobody listens on, for a daemon that cannot be told to choose."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def equal(got, want, what="value"):
    if got != want:
        raise AssertionError(f"{what}: expected {want!r}, got {got!r}")


def wait_until(what, is_true):
    end = time.monotonic() + PATIENCE
    while not is_true():
        assert time.monotonic() < end, f"expected in {PATIENCE} s: {what}"
        time.sleep(0.01)


def png(width, height, rgb):
    """A picture of one colour."""
    def chunk(kind, data):
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)
    rows = (b"\0" + bytes(rgb) * width) * height
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows))
            + chunk(b"IEND", b""))


def multipart(files, fields=None):
    """Body and headers of a form."""
    parts = [f'--B\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n'.encode()
             for k, v in (fields or {}).items()]
    parts += [f'--B\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
              'Content-Type: application/octet-stream\r\n\r\n'.encode() + data + b"\r\n"
              for name, data in files]
    return b"".join(parts) + b"--B--\r\n", {"Content-Type": "multipart/form-data; boundary=B"}


def simple_inputs(first, second):
    return [{"name": "INPUT0", "datatype": "INT32", "shape": [1, 16], "data": first},
            {"name": "INPUT1", "datatype": "INT32", "shape": [1, 16], "data": second}]


def python_with(probe):
    """A Python in which the statement `probe` runs: the one that runs this, or else one with
    PACKAGES from pip. That is made when first needed, and again when the list changes; all build
    directories share it. Skips when it cannot be had."""
    key = hashlib.sha256("\n".join((sys.version, *PACKAGES)).encode()).hexdigest()[:12]
    environment = os.path.join(CLIENTS, key)
    python = os.path.join(environment, "bin", "python")
    os.makedirs(environment, exist_ok=True)
    with open(environment + ".lock", "w") as lock:  # tests run side by side
        fcntl.flock(lock, fcntl.LOCK_EX)
        for candidate in (sys.executable, python):
            if os.path.exists(candidate) and subprocess.run([candidate, "-c", probe],
                                                            capture_output=True).returncode == 0:
                return candidate
        for step in ([sys.executable, "-m", "venv", environment],
                     [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                      "--no-compile", *PACKAGES], [python, "-c", probe]):
            p = subprocess.run(step, capture_output=True, text=True)
            if p.returncode != 0:
                said = (p.stderr or p.stdout).strip().splitlines()
                raise Skip(said[-1] if said else "failed: " + " ".join(step))
    return python


def run(*tests):
    volley, make_models = sys.argv[1:3]
    n_failed = 0
    print(f"1..{len(tests)}", flush=True)
    for i, test in enumerate(tests, 1):
        with tempfile.TemporaryDirectory(prefix="volley-e2e-") as directory:
            try:
                test(Tools(volley, make_models, directory))
                print(f"ok {i} - {test.__name__}", flush=True)
            except Skip as why:
                print(f"ok {i} - {test.__name__} # SKIP {why}", flush=True)
            except Exception:
                n_failed += 1
                for line in traceback.format_exc().splitlines():
                    print(f"# {line}")
                print(f"not ok {i} - {test.__name__}", flush=True)
    sys.exit(n_failed != 0)
