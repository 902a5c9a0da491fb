# SPDX-License-Identifier: MIT
"""Redis behind the cache of a real `volley serve`, by a real redis-server: shared by two servers,
and, during load, killed, restarted, slow by a second, full, and replaced by who answers garbage.

What may not happen is asserted by counts, not by clocks: no request fails or gets another's answer;
lookups that wait for a Redis that does not answer are at most those under way when the circuit
opens, so at most one for each client and opening; everybody else is refused at once.

Skips without redis-server (Debian: redis-server, which tools/bootstrap.sh installs).
"""
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import threading

from harness import PATIENCE, Skip, equal, run, simple_inputs, wait_until
from model_files import WIDTH, adder, explicit, load, put

CLIENTS = 4
PHASE = 200  # requests that are to be answered while something is the matter
QUICK = ["--set", "cache.redis_retry_min_ms=20", "--set", "cache.redis_retry_max_ms=200"]


class Redis:
    """On a socket in the test's directory; kill and start as often as one likes."""

    def __init__(self, t, path=None):
        if shutil.which("redis-server") is None:
            raise Skip("no redis-server")
        self.directory = t.directory
        self.path = path or t.path("redis.socket")
        self.process = None
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", self.path, "--save", "",
             "--dir", self.directory], stdout=subprocess.PIPE, text=True)
        for line in self.process.stdout:
            if "eady to accept connections" in line:  # "Ready" since Redis 7.2
                return
        raise RuntimeError("redis-server has ended")

    def kill(self):
        self.process.kill()
        self.process.wait(PATIENCE)
        self.process.stdout.close()
        if os.path.exists(self.path):
            os.unlink(self.path)

    def do(self, *words):
        """The first line of the answer to a command."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(PATIENCE)
            s.connect(self.path)
            data = [w.encode() for w in words]
            s.sendall(b"*%d\r\n" % len(data)
                      + b"".join(b"$%d\r\n%s\r\n" % (len(d), d) for d in data))
            return s.makefile("rb").readline().decode().strip()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.process.poll() is None:
            self.kill()


class Stand:
    """Who listens on a socket in the place of Redis; serve(connection) for each in its thread."""

    def __init__(self, path, serve):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(16)
        self.path, self.serve, self.open = path, serve, []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        try:
            while True:
                connection, _ = self.listener.accept()
                self.open.append(connection)
                threading.Thread(target=self.attend, args=(connection,), daemon=True).start()
        except OSError:
            pass  # closed

    def attend(self, connection):
        try:
            self.serve(connection)
        except OSError:
            pass  # the other side has enough
        connection.close()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.open:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        os.unlink(self.path)


class SlowProxy(Stand):
    """Hands bytes on to Redis, and its answers back, while is_slow each a second late."""

    def __init__(self, path, redis):
        self.redis, self.is_slow, self.ended = redis, False, threading.Event()
        super().__init__(path, self.hand_on)

    def hand_on(self, connection):
        with socket.socket(socket.AF_UNIX) as redis:
            redis.connect(self.redis.path)
            threading.Thread(target=self.back, args=(redis, connection), daemon=True).start()
            while data := connection.recv(1 << 16):
                redis.sendall(data)

    def back(self, redis, connection):
        try:
            while data := redis.recv(1 << 16):
                if self.is_slow:
                    self.ended.wait(1.0)
                connection.sendall(data)
        except OSError:
            pass

    def close(self):
        self.ended.set()
        super().close()


class Load:
    """Clients that ask for sums, new ones and known ones, and check each answer."""

    def __init__(self, server):
        self.server, self.ended = server, threading.Event()
        self.n = [0] * CLIENTS
        self.problems = []
        self.threads = [threading.Thread(target=self.run, args=(i,)) for i in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def run(self, client):
        connection = self.server.connect()
        try:
            while not self.ended.is_set():
                n = self.n[client]
                value = n % 50 if n % 2 else 1000 + client + CLIENTS * n
                answer = self.server.infer("simple", simple_inputs([value] * 16, [1] * 16),
                                           connection=connection)
                assert answer.status == 200, answer.body
                equal(answer.json()["outputs"][0]["data"], [value + 1] * 16)
                self.n[client] = n + 1
        except Exception as e:
            self.problems.append(e)
        connection.close()

    def check(self):
        if self.problems:
            raise self.problems[0]

    def go_on(self, n=PHASE):
        """Until n more requests have been answered."""
        goal = sum(self.n) + n

        def is_reached():
            self.check()
            return sum(self.n) >= goal
        wait_until(f"{n} more answers", is_reached)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.ended.set()
        for thread in self.threads:
            thread.join(PATIENCE)
        if exc[0] is None:
            self.check()


class Figures:
    """volley_redis_* of a server."""

    def __init__(self, server):
        text = server.get("/metrics").body.decode()
        self.values = {name: float(value) for name, value
                       in re.findall(r"^volley_redis_(\w+) (\S+)$", text, re.M)}

    def __getattr__(self, name):
        return self.values[name if name in self.values else name + "_total"]

    @property
    def unanswered(self):
        """Lookups that waited, and then had no answer."""
        return self.gets - self.refused - self.get_duration_seconds_count


def serve(t, path, *args):
    """Without memory: what is known is known from Redis."""
    return t.serve("--set", "cache.models=simple", "--set", "cache.memory_bytes=0",
                   "--set", "cache.redis_url=unix:" + path, *QUICK, *args)


def until_closed(s):
    wait_until("Redis is asked", lambda: Figures(s).open == 0)


def ask(s, value):
    answer = s.infer("simple", simple_inputs([value] * 16, [1] * 16))
    equal(answer.status, 200)
    equal(answer.json()["outputs"][0]["data"], [value + 1] * 16)
    return answer.headers["volley-cache"]


def is_known(s, value):
    """Soon: a result is on its way for a while after it was answered."""
    wait_until(f"{value} is known", lambda: ask(s, value) == "hit")


def bounded(f):
    """The lookups that a Redis without answers has cost; while it is asked some are under way."""
    assert f.unanswered <= CLIENTS * (f.openings + (f.open == 0)), f.values


def recovers(s, load):
    until_closed(s)
    before = Figures(s)
    wait_until("results are found again", lambda: Figures(s).hits > before.hits)
    load.check()


def servers_share_results(t):
    with Redis(t) as redis, serve(t, redis.path) as one, serve(t, redis.path) as two:
        until_closed(one)
        until_closed(two)
        equal(ask(one, 1), "miss")
        is_known(two, 1)
        equal(one.ask("POST", "/v1/cache:invalidate",
                      json.dumps({"tags": ["model:simple"]})).status, 200)
        wait_until("it is not known", lambda: ask(two, 1) == "miss")
        is_known(one, 1)
        equal(Figures(two).failures, 0)


def servers_share_no_results_of_other_weights(t):
    """The same model file beside other data, then beside the same."""
    def put_data(server, k):
        put(t.path(f"{server}/deep/k.bin"), struct.pack("<f", k))

    def ask_adder(s):
        a = s.infer("m", [{"name": "x", "datatype": "FP32", "shape": [1, WIDTH],
                           "data": [0.0] * WIDTH}])
        return a.headers["volley-cache"], a.json()["outputs"][0]["data"][0]

    for server, k in (("one", 1), ("two", 5)):
        put(t.path(f"{server}/m.onnx"), adder("deep/k.bin"))
        put_data(server, k)
    args = ("--set", "cache.models=m", "--set", "cache.memory_bytes=0", *QUICK)
    with Redis(t) as redis:
        args += ("--set", "cache.redis_url=unix:" + redis.path)
        with t.serve(*args, models=t.path("one")) as one, \
                explicit(t, "--load-model", "m", *args, models=t.path("two")) as two:
            until_closed(one)
            until_closed(two)
            equal(ask_adder(one), ("miss", 1.0))
            wait_until("one's is known", lambda: ask_adder(one) == ("hit", 1.0))
            equal(ask_adder(two), ("miss", 5.0))
            wait_until("two's is known", lambda: ask_adder(two) == ("hit", 5.0))
            equal(ask_adder(one), ("hit", 1.0))
            put_data("two", 1)
            equal(load(two, "m").status, 200)
            equal(ask_adder(two), ("hit", 1.0))


def killed_and_restarted(t):
    with Redis(t) as redis, serve(t, redis.path, "--set", "cache.redis_timeout_ms=10000") as s:
        until_closed(s)
        with Load(s) as load:
            recovers(s, load)
            redis.kill()
            wait_until("the circuit is open", lambda: Figures(s).open == 1)
            refused = Figures(s).refused
            load.go_on()
            f = Figures(s)
            equal((f.open, f.openings, f.timeouts), (1, 1, 0))
            assert f.refused >= refused + PHASE - CLIENTS, f.values
            bounded(f)
            redis.start()
            recovers(s, load)
            load.go_on()
            equal(Figures(s).openings, 1)


def slow_by_a_second(t):
    path = t.path("proxy.socket")
    with Redis(t) as redis:
        proxy = SlowProxy(path, redis)
        with serve(t, path, "--set", "cache.redis_timeout_ms=200",
                   "--set", "cache.redis_connect_ms=900") as s, Load(s) as load:
            recovers(s, load)
            proxy.is_slow = True
            wait_until("the circuit is open", lambda: Figures(s).open == 1)
            before = Figures(s)
            load.go_on()
            f = Figures(s)
            assert f.timeouts >= 1, f.values
            bounded(f)
            # it may not close on probes that are late, however many there were
            equal((f.open, f.openings, f.connects), (1, before.openings, before.connects))
            proxy.is_slow = False
            recovers(s, load)
            bounded(Figures(s))
        proxy.close()


def full(t):
    with Redis(t) as redis, serve(t, redis.path, "--set", "cache.redis_timeout_ms=10000") as s:
        until_closed(s)
        ask(s, 7)
        is_known(s, 7)
        with Load(s) as load:
            load.go_on()
            equal(redis.do("CONFIG", "SET", "maxmemory-policy", "noeviction"), "+OK")
            equal(redis.do("CONFIG", "SET", "maxmemory", "1"), "+OK")
            assert redis.do("SET", "more", "x").startswith("-OOM")
            wait_until("nothing more is stored", lambda: Figures(s).stores_paused == 1)
            load.go_on()
            is_known(s, 7)  # what is there is still found
            f = Figures(s)
            assert f.sets_failed >= 5 and f.sets_dropped > 0, f.values
            equal((f.open, f.openings), (0, 0))
            bounded(f)
            equal(s.ask("POST", "/v1/cache:invalidate",
                        json.dumps({"tags": ["model:simple"]})).status, 200)
            wait_until("it is not known", lambda: ask(s, 7) == "miss")
            equal(redis.do("CONFIG", "SET", "maxmemory", "0"), "+OK")
            wait_until("results are stored", lambda: Figures(s).stores_paused == 0)
            is_known(s, 7)


def garbage(t):
    def babble(connection):
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        connection.recv(1 << 16)

    def flood(connection):
        while True:
            connection.sendall(b"$99999999999\r\n" + b"x" * (1 << 16))

    def agree(connection):  # with everything
        while connection.recv(1 << 16):
            connection.sendall(b"+OK\r\n")

    with Redis(t) as redis, serve(t, redis.path) as s, Load(s) as load:
        recovers(s, load)
        rss = s.rss()
        for liar in (babble, flood, agree):
            redis.kill()
            wait_until("the circuit is open", lambda: Figures(s).open == 1)
            before = Figures(s)
            stand = Stand(redis.path, liar)
            wait_until("it was tried", lambda: Figures(s).failures > before.failures + 2)
            load.go_on()
            f = Figures(s)
            equal((f.open, f.connects), (1, before.connects))
            bounded(f)
            stand.close()
            redis.start()
            recovers(s, load)
        assert Figures(s).malformed > 0
        # A sanitizer keeps what was freed: there the memory says nothing.
        if os.environ.get("VOLLEY_TEST_SANITIZER", "none") == "none":
            assert s.rss() < rss + (64 << 20), (rss, s.rss())


def no_cache_is_kept(t):
    """What such a request computes is found in Redis by the next."""
    body = json.dumps({"inputs": simple_inputs([5] * 16, [1] * 16)})
    with Redis(t) as redis, serve(t, redis.path) as s:
        until_closed(s)
        a = s.ask("POST", "/v2/models/simple/infer", body, {"Cache-Control": "no-cache"})
        equal((a.status, a.headers["volley-cache"]), (200, "miss"))
        wait_until("a value and two tokens", lambda: redis.do("DBSIZE") == ":3")
        equal(ask(s, 5), "hit")


def is_not_there_at_all(t):
    with serve(t, t.path("nobody.socket")) as s, Load(s) as load:
        load.go_on()
        f = Figures(s)
        equal((f.open, f.connects, f.unanswered), (1, 0, 0))
        equal(f.refused, f.gets)


run(servers_share_results, servers_share_no_results_of_other_weights, killed_and_restarted,
    slow_by_a_second, full, garbage, no_cache_is_kept, is_not_there_at_all)
