# SPDX-License-Identifier: MIT
"""volley.v1.Steps with grpcio, by the descriptors that the server's reflection hands out.

grpcio comes from the environment that grpc_clients.py uses; without it the tests skip. This file
is both: the tests, and, with --client URL PART FILE, what the environment's Python runs. What gRPC
says is compared with what HTTP says of the same recording.
"""
import json
import os
import subprocess
import sys
import urllib.request

PROBE = "import tritonclient.grpc.aio, grpc_health.v1.health, grpc_reflection.v1alpha"
SERVICE = "volley.v1.Steps"
PATIENCE = 60


# ---- what runs in the environment ----


class Client:
    def __init__(self, url):
        import grpc
        from google.protobuf import descriptor_pool, message_factory
        from grpc_reflection.v1alpha.proto_reflection_descriptor_database import \
            ProtoReflectionDescriptorDatabase
        self.channel = grpc.insecure_channel(url)
        database = ProtoReflectionDescriptorDatabase(self.channel)
        assert SERVICE in database.get_services(), database.get_services()
        pool = descriptor_pool.DescriptorPool(database)
        self.methods = {}
        for m in pool.FindServiceByName(SERVICE).methods:
            kind = "stream_stream" if m.name == "Stream" else "unary_unary"
            request, answer = (message_factory.GetMessageClass(d)
                               for d in (m.input_type, m.output_type))
            self.methods[m.name] = request, getattr(self.channel, kind)(
                f"/{SERVICE}/{m.name}", request_serializer=request.SerializeToString,
                response_deserializer=answer.FromString)

    def call(self, name, **fields):
        request, method = self.methods[name]
        return method(request(**fields), timeout=PATIENCE)

    def fails(self, code, said, name, **fields):
        import grpc
        try:
            self.call(name, **fields)
        except grpc.RpcError as e:
            assert (e.code().name, said in e.details()) == (code, True), (e.code(), e.details())
        else:
            raise AssertionError(f"{name} {fields} works")


class Stream:
    """One Stream call; requests are sent as they are said."""

    def __init__(self, client):
        import queue
        self.request, method = client.methods["Stream"]
        self.queue = queue.Queue()
        self.answers = method(iter(self.queue.get, None), timeout=PATIENCE)

    def say(self, **what):
        self.queue.put(self.request(**what))

    def hear(self):
        return next(self.answers)

    def until(self, what):
        events = []
        for answer in self.answers:
            kind = answer.WhichOneof("what")
            if kind == "events":
                events += answer.events.events
            elif kind == what:
                return events, getattr(answer, what)
            else:
                assert kind == "durable", answer
        raise AssertionError(f"ended before {what}")

    def finish(self):
        """Half-closes: the rest of the events, and the session as it ended."""
        self.queue.put(None)
        found = self.until("ended")
        assert next(self.answers, None) is None
        assert self.answers.code().name == "OK", self.answers.code()
        return found


def posted(url, body):
    with urllib.request.urlopen(f"http://{url}/v1/imu:detect", body, PATIENCE) as answer:
        return json.loads(answer.read())


def plain(event):
    return {"type": event.type, "step": event.step, "t_ms": event.t_ms,
            "confidence": event.confidence, "activity": event.activity,
            "known_ms": event.known_ms}


def same_events(got, want):
    import struct
    def single(x):  # as a float32, which confidence is on both sides
        return struct.unpack("<f", struct.pack("<f", x))[0]
    got = [plain(e) for e in got]
    want = [{**e, "confidence": single(e["confidence"])} for e in want]
    assert got == want, next((pair for pair in zip(got, want) if pair[0] != pair[1]),
                             (len(got), len(want)))


def rows_of(text):
    return [list(map(float, line.split(",")[:7])) for line in text.decode().splitlines()[1:]]


def readings(rows, first=None, times=True, gyro=True):
    made = {"acc": [x for row in rows for x in row[1:4]]}
    if first is not None:
        made["first"] = first
    if times:
        made["t_us"] = [round(row[0] * 1e6) for row in rows]
    if gyro:
        made["gyro"] = [x for row in rows for x in row[4:7]]
    return made


def packet(rows):
    import struct
    us = [round(row[0] * 1e6) for row in rows]
    head = struct.pack("<4sBBHQqIff", b"VIMU", 1, 5, len(rows), 0, us[0], 0, 0, 0)
    return head + b"".join(struct.pack("<i6f", at - us[0], *row[1:]) for at, row in zip(us, rows))


def client_detect(url, text):
    c = Client(url)
    want = posted(url, text)
    got = c.call("Detect", recording=text)
    same_events(got.events, want["events"])
    assert (got.samples, got.steps, got.model) == (want["samples"], want["steps"], want["model"])
    assert got.activity_s.walking == want["activity_s"]["walking"]
    assert (got.input.format, got.input.rate_hz) == ("csv", want["input"]["rate_hz"])
    assert got.look_ahead_ms == want["look_ahead_ms"]
    got = c.call("Detect", recording=text, without_events=True)
    assert (len(got.events), got.steps) == (0, want["steps"])
    c.fails("INVALID_ARGUMENT", "expected a recording", "Detect")
    c.fails("INVALID_ARGUMENT", "'rate_hz'", "Detect", recording=text, rate_hz=0.5)
    c.fails("INVALID_ARGUMENT", "look-ahead", "Detect", recording=text, look_ahead_ms=1)
    c.fails("INTERNAL", "line 1", "Detect", recording=b"x,y\n1,2\n")


def client_stream(url, text):
    c = Client(url)
    want = posted(url, text)
    rows = rows_of(text)
    s = Stream(c)
    s.say(open={"user": "u", "device": "grpc"})
    opened = s.hear().opened
    assert (opened.session.user, opened.resumed, opened.model) == ("u", False, "steps"), opened
    assert opened.look_ahead_ms == want["look_ahead_ms"]
    for i in range(0, len(rows), 200):
        s.say(readings=readings(rows[i:i + 200], i))
    events, ended = s.finish()
    same_events(events, want["events"])
    assert (ended.next, ended.steps) == (len(rows), want["steps"]), ended
    s = Stream(c)
    s.say(open={})
    s.hear()
    for i in range(0, len(rows), 200):
        s.say(packets=packet(rows[i:i + 120]) + packet(rows[i + 120:i + 200]))
    same_events(s.finish()[0], want["events"])
    bare = "\n".join(",".join(map(repr, row[1:4])) for row in rows).encode()
    with urllib.request.urlopen(f"http://{url}/v1/imu:detect?rate=80&columns=acc_x,acc_y,acc_z",
                                bare, PATIENCE) as answer:
        want = json.loads(answer.read())
    s = Stream(c)
    s.say(open={"without_gyro": True, "rate_hz": 80})
    s.hear()
    for i in range(0, len(rows), 1000):
        s.say(readings=readings(rows[i:i + 1000], times=False, gyro=False))
    same_events(s.finish()[0], want["events"])


def client_errors(url, text):
    import grpc
    c = Client(url)
    rows = rows_of(text)
    s = Stream(c)
    s.say(open={"user": "e", "device": "d"})
    s.hear()
    s.say(readings=readings(rows[:100]))
    for what, said in (({"readings": readings(rows[:1], 101)}, "100"),
                       ({"readings": {"acc": [1, 2]}}, "x, y, z"),
                       ({"readings": {"acc": [1, 2, 3]}}, "expected 3 numbers in 'gyro', got 0"),
                       ({"readings": {**readings(rows[:2]), "t_us": [1]}}, "a time for each"),
                       ({"readings": {"acc": [1, 2, 900], "gyro": [0, 0, 0]}}, "accel_z"),
                       ({"packets": b"VIMU"}, ""), ({"action": 7}, "'action'"), ({}, "expected"),
                       ({"open": {}}, "open already")):
        s.say(**what)
        events, refused = s.until("refused")
        assert refused.next == 100 and said in refused.error, (what, refused)
    s.say(action="STATS")
    stats = s.until("stats")[1]
    assert (stats.readings, stats.next, stats.attached) == (100, 100, True), stats
    other = Stream(c)
    other.say(open={"session": stats.session})
    opened = other.hear().opened
    assert (opened.resumed, opened.session.next) == (True, 100), opened
    assert s.until("replaced")[1] == stats.session
    try:
        s.hear()
    except grpc.RpcError as e:
        assert e.code().name == "ABORTED", e
    other.say(action="RESET")
    assert other.until("stats")[1].readings == 0
    other.finish()
    for first, code in ({"action": "STATS"}, "INVALID_ARGUMENT"), (
            {"open": {"session": "0" * 32}}, "NOT_FOUND"), (
            {"open": {"user": "x" * 65}}, "INVALID_ARGUMENT"):
        s = Stream(c)
        s.say(**first)
        try:
            s.hear()
        except grpc.RpcError as e:
            assert e.code().name == code, (first, e)
        else:
            raise AssertionError(first)


def client_sessions(url, text):
    c = Client(url)
    streams = []
    for i in range(3):
        s = Stream(c)
        s.say(open={"user": f"u{i}", "device": "d"})
        s.hear()
        streams.append(s)
    streams[1].say(readings=readings(rows_of(text)[:1000]))
    streams[1].say(action="STATS")
    streams[1].until("stats")
    sessions = c.call("ListSessions").sessions
    assert sorted(s.user for s in sessions) == ["u0", "u1", "u2"], sessions
    assert [s.session for s in sessions] == sorted(s.session for s in sessions)
    assert list(c.call("ListSessions", limit=2).sessions) == list(sessions)[:2]
    after = c.call("ListSessions", after=sessions[0].session).sessions
    assert [s.session for s in after] == [s.session for s in sessions[1:]]
    ids = {s.user: s.session for s in sessions}
    id_ = ids["u1"]
    got = c.call("GetSession", session=id_)
    assert (got.user, got.readings, got.attached) == ("u1", 1000, True), got
    assert got.steps > 0, got
    got = c.call("ResetSession", session=id_)
    assert (got.readings, got.steps, got.next) == (0, 0, 1000), got
    assert c.call("DeleteSession", session=id_).session == id_
    assert streams[1].until("replaced")[1] == id_
    for method in "GetSession", "ResetSession", "DeleteSession":
        c.fails("NOT_FOUND", "", method, session=id_)
    c.fails("INVALID_ARGUMENT", "'limit'", "ListSessions", limit=1001)
    streams[0].answers.cancel()  # the session stays
    assert c.call("GetSession", session=ids["u0"])
    streams[2].finish()


# ---- the tests ----


def run_part(t, part, *args):
    from harness import equal, python_with

    python = python_with(PROBE)
    path = t.path("walk.csv")
    subprocess.run([t.volley, "synth", "imu", "--seconds", "20", "--activity", "walk", "--out",
                    path], check=True, capture_output=True)
    with t.serve(*args) as s:
        p = subprocess.run([python, os.path.abspath(__file__), "--client",
                            f"127.0.0.1:{s.port}", part, path], capture_output=True, text=True,
                           timeout=300)
        equal(p.returncode, 0, f"{part}: {p.stdout}{p.stderr}")
        equal(s.stop(), 0, "exit status")


def detects_recordings(t):
    run_part(t, "detect")


def streams_what_it_detects(t):
    run_part(t, "stream")


def refuses_by_messages(t):
    run_part(t, "errors")


def tells_of_sessions(t):
    run_part(t, "sessions")


if sys.argv[1] == "--client":
    with open(sys.argv[4], "rb") as f:
        globals()["client_" + sys.argv[3]](sys.argv[2], f.read())
else:
    from harness import run
    run(detects_recordings, streams_what_it_detects, refuses_by_messages, tells_of_sessions)
