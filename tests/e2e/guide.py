# SPDX-License-Identifier: MIT
"""The step detection guide's dialect: its paths and its WebSocket, with its clients' messages.

Shapes are those of the guide's own program and documents. One test speaks through the package
`websockets`, and skips without (python_with in harness.py).
"""
import json
import os
import re
import struct
import subprocess
import sys
import time

from harness import PATIENCE, equal, python_with, run, wait_until
from ws_client import BINARY, CLOSE, WebSocket

FIELDS = ["accel_x", "accel_y", "accel_z", "gyro_x", "gyro_y", "gyro_z"]
STILL = dict(zip(FIELDS, (0.1, -0.2, 9.8, 0.01, 0.0, -0.01)))
CONFIG = {"window_size": 10, "start_threshold": 0.3, "end_threshold": 0.3,
          "min_step_interval": 0.4, "motion_threshold": 11, "gyro_threshold": 1.5,
          "min_motion_variance": 1, "stillness_threshold": 0.8,
          "ai_high_confidence_threshold": 0.75, "ai_sensor_disagree_threshold": 0.8}


def walk(t, seconds=20):
    """Readings of a synthetic walk at 80 Hz, by the guide's names."""
    text = subprocess.run([t.volley, "synth", "imu", "--seconds", str(seconds), "--activity",
                           "walk"], check=True, capture_output=True, text=True).stdout
    return [dict(zip(FIELDS, map(float, line.split(",")[1:7])))
            for line in text.splitlines()[1:]]


def post(s, path, body=None):
    return s.ask("POST", path, json.dumps(body) if body is not None else None,
                 {"Content-Type": "application/json"})


def keys(got, want, what):
    equal(sorted(got), sorted(want), what)


def is_time(text):
    assert re.fullmatch(r"\d+\.\d+", text), text
    assert abs(float(text) - time.time()) < PATIENCE, text


def is_uuid(text):
    assert re.fullmatch(r"[0-9a-f]{32}", text), text


# ---- one reading ----


def detects_single_readings(t):
    with t.serve() as s:
        for i in range(40):
            answer = post(s, "/detect_step_async", STILL)
            equal(answer.status, 200, answer.body)
            got = answer.json()
            keys(got, ["prediction"], "members")
            equal(len(got["prediction"]), 3)
            assert all(0 <= p <= 1 for p in got["prediction"]), got
        got = post(s, "/detect_step", STILL).json()
        keys(got, ["step_start", "step_end", "start_probability", "end_probability", "step_count",
                   "timestamp"], "members")
        equal((got["step_start"], got["step_end"], got["step_count"]), (False, False, 0))
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}", got["timestamp"]), got
        equal(s.get("/session_summary").json()["total_readings"], 41)
        for body in ({}, {**STILL, "gyro_z": "x"}, {**STILL, "accel_x": 1e9},
                     {"action": "stop"}, [1]):
            answer = post(s, "/detect_step_async", body)
            equal(answer.status, 422, (body, answer.body))
            assert answer.json()["detail"], answer.body
        equal(post(s, "/detect_step?rate=x", STILL).status, 400)
        equal(s.get("/session_summary").json()["total_readings"], 41)


def counts_for_each_client(t):
    """One step for each start..end, and the same as in the recording."""
    rows = walk(t)
    csv = "\n".join(",".join(str(row[f]) for f in FIELDS) for row in rows)
    with t.serve() as s:
        want = s.ask("POST", "/v1/imu:detect?rate=80", csv).json()
        want_ends = [e["step"] for e in want["events"] if e["type"] == "step.end"]
        assert len(want_ends) > 15, want["steps"]
        c = s.connect()
        n_starts = n_ends = 0
        for row in rows:
            answer = s.ask("POST", "/detect_step?user_id=walker", json.dumps(row), connection=c)
            got = answer.json()
            n_starts += got["step_start"]
            n_ends += got["step_end"]
            equal(got["step_count"], n_ends, "count")
        # what the look-ahead still holds back is not told
        assert len(want_ends) - 2 <= n_ends <= len(want_ends), (n_ends, len(want_ends))
        assert abs(n_starts - n_ends) <= 1, (n_starts, n_ends)
        equal(s.get("/step_count?user_id=walker").json(), {"step_count": n_ends})
        equal(s.get("/step_count").json(), {"step_count": 0}, "of somebody else")
        got = s.get("/session_summary?user_id=walker").json()
        keys(got, ["total_readings", "total_steps", "current_step_in_progress", "thresholds"],
             "members")
        equal((got["total_readings"], got["total_steps"]), (len(rows), n_ends))
        keys(got["thresholds"], ["start_threshold", "end_threshold"], "thresholds")
        equal(post(s, "/reset_count?user_id=walker").json(),
              {"message": "Step count reset", "step_count": 0})
        equal(s.get("/step_count?user_id=walker").json(), {"step_count": 0})
        got = s.get("/model_info").json()
        keys(got, ["model_info", "api_status", "thresholds"], "members")
        equal((got["api_status"], got["model_info"]["input_shape"],
               got["model_info"]["output_classes"]), ("active", [6], 3))


def tells_of_sessions(t):
    with t.serve() as s:
        equal(s.get("/sessions").json(),
              {"active_sessions": 0, "sessions": {}, "total_requests": 0})
        w = WebSocket(s.port, "/ws/realtime?user_id=u")
        id_ = w.json()["session_id"]
        for _ in range(3):
            w.ask(**STILL)
            w.json()
        got = s.get("/sessions").json()
        equal((got["active_sessions"], got["total_requests"]), (1, 3))
        keys(got["sessions"][id_], ["duration", "requests", "last_activity"], "members")
        equal(got["sessions"][id_]["requests"], 3)
        got = s.get(f"/sessions/{id_}").json()
        keys(got, ["session_id", "created_at", "last_activity", "duration", "total_requests",
                   "is_active"], "members")
        equal((got["session_id"], got["total_requests"], got["is_active"]), (id_, 3, True))
        answer = s.ask("DELETE", f"/sessions/{id_}")
        equal(answer.json()["message"], f"Session {id_} terminated successfully")
        is_time(answer.json()["timestamp"])
        equal(w.json()["type"], "session_replaced")
        equal(w.receive()[0], CLOSE)
        for method in "GET", "DELETE":
            for unknown in (id_, "nobody"):
                answer = s.ask(method, f"/sessions/{unknown}")
                equal((answer.status, answer.json()), (404, {"detail": "Session not found"}))


def keeps_settings(t):
    with t.serve() as s:
        def told(answer):
            equal(answer.status, 200, answer.body)
            got = answer.json()
            assert got.pop("effect").startswith("none"), got
            return got
        equal(told(s.get("/config")), CONFIG)
        nulls = dict.fromkeys(CONFIG)
        for key, value in CONFIG.items():
            equal(told(s.get(f"/config/{key}")), {**nulls, key: value}, key)
        want = {**CONFIG, "start_threshold": 0.6, "window_size": 20}
        told(post(s, "/config/start_threshold", {"value": "0.6"}))
        equal(told(post(s, "/config/window_size", {"value": 20})), want)
        equal(told(s.get("/config")), want)
        for key in "api.port", "", "window_siz":
            for answer in s.get(f"/config/{key or 'x'}"), post(s, f"/config/{key or 'x'}",
                                                              {"value": "1"}):
                equal((answer.status, answer.json()),
                      (403, {"detail": "Config key not allowed"}), key)
        for key, value in (("start_threshold", "1.5"), ("start_threshold", "x"),
                           ("window_size", "2.5"), ("window_size", "0"), ("gyro_threshold", None),
                           ("motion_threshold", "nan"), ("motion_threshold", [1])):
            answer = post(s, f"/config/{key}", {"value": value})
            equal(answer.status, 422, (key, value, answer.body))
        equal(told(s.get("/config")), want)


# ---- /ws/realtime ----


def check_detection(got, id_, user, n):
    keys(got, ["type", "session_id", "user_id", "step_detected", "prediction", "total_steps",
               "total_predictions", "buffer_size", "timestamp", "message", "error"], "members")
    keys(got["prediction"], ["confidence", "probabilities", "start_probability",
                             "end_probability", "no_step_probability", "predicted_class",
                             "movement_magnitude", "step_start", "step_end",
                             "detector_has_current_step"], "prediction")
    equal((got["type"], got["session_id"], got["user_id"], got["total_predictions"]),
          ("step_detection", id_, user, n))
    p = got["prediction"]
    equal(p["probabilities"], [p["start_probability"], p["end_probability"]])
    equal(p["confidence"], max(p["probabilities"]))
    equal((got["message"], got["error"]), ("Step detection processed successfully", None))
    is_time(got["timestamp"])


def answers_each_reading(t):
    with t.serve() as s:
        w = WebSocket(s.port, "/ws/realtime")
        hello = w.json()
        keys(hello, ["type", "session_id", "user_id", "message", "replaced_previous", "timestamp"],
             "members")
        equal((hello["type"], hello["user_id"], hello["replaced_previous"]),
              ("session_started", None, False))
        is_uuid(hello["session_id"])
        is_time(hello["timestamp"])
        for i in range(5):
            w.ask(**STILL)
            got = w.json()
            check_detection(got, hello["session_id"], None, i + 1)
            equal((got["step_detected"], got["total_steps"]), (False, 0))
            assert abs(got["prediction"]["movement_magnitude"] - 9.8167) < 1e-2, got
        w.ask(accel_x=1.0)
        equal(w.json(), {"error": "Missing sensor data fields",
                         "session_id": hello["session_id"], "required_fields": FIELDS})
        w.send("nope")
        got = w.json()
        keys(got, ["error", "session_id"], "members")
        w.send(b"\0", BINARY)
        keys(w.json(), ["error", "session_id"], "members")
        w.ask(action="reset")
        got = w.json()
        is_time(got.pop("timestamp"))
        equal(got, {"type": "reset_response", "status": "success",
                    "session_id": hello["session_id"], "total_steps": 0,
                    "message": "Step counter has been reset for this session"})
        w.ask(action="stats")
        got = w.json()
        keys(got, ["type", "status", "session_id", "user_stats", "server_stats", "timestamp"],
             "members")
        keys(got["user_stats"], ["session_duration", "total_requests", "last_activity"], "user")
        equal(got["user_stats"]["total_requests"], 10)
        equal(got["server_stats"], {"active_sessions": 1, "total_server_requests": 5})
        w.ask(action="stop")
        got = w.json()
        keys(got, ["type", "status", "session_id", "message", "session_stats", "timestamp"],
             "members")
        equal((got["type"], got["message"], got["session_stats"]["total_requests"]),
              ("stop_response", "Step detection stopped. WebSocket connection will be closed.",
               11))
        equal(w.receive(), (CLOSE, struct.pack(">H", 1000)))
        w.send(struct.pack(">H", 1000), CLOSE)
        equal(w.receive(), (None, b""), "end")
        wait_until("the session is gone",
                   lambda: s.get("/sessions").json()["active_sessions"] == 0)
        equal(s.stop(), 0, "exit status")


def counts_steps_as_they_end(t):
    rows = walk(t)
    csv = "\n".join(",".join(str(row[f]) for f in FIELDS) for row in rows)
    with t.serve() as s:
        want = s.ask("POST", "/v1/imu:detect?rate=80", csv).json()["steps"]
        w = WebSocket(s.port, "/ws/realtime?user_id=walker&rate=80")
        id_ = w.json()["session_id"]
        n = 0
        for i, row in enumerate(rows):
            w.ask(**row)
            got = w.json()
            check_detection(got, id_, "walker", i + 1)
            n += got["step_detected"]
            equal(got["prediction"]["step_end"], got["step_detected"])
            equal(got["total_steps"], n, "total")
        assert want - 2 <= n <= want, (n, want)
        w.close()


def a_user_has_one_connection(t):
    with t.serve() as s:
        first = WebSocket(s.port, "/ws/realtime?user_id=u%201")
        hello = first.json()
        equal((hello["user_id"], hello["replaced_previous"]), ("u 1", False))
        first.ask(**STILL)
        first.json()
        other = WebSocket(s.port, "/ws/realtime?user_id=else")
        equal(other.json()["replaced_previous"], False)
        second = WebSocket(s.port, "/ws/realtime?user_id=u%201")
        equal(second.json()["replaced_previous"], True)
        got = first.json()
        keys(got, ["type", "session_id", "user_id", "message", "timestamp"], "members")
        equal((got["type"], got["user_id"]), ("session_replaced", "u 1"))
        equal(first.receive()[0], CLOSE)
        second.ask(**STILL)
        equal(second.json()["total_predictions"], 1)  # a count of its own
        equal(s.get("/session_summary?user_id=u%201").json()["total_readings"], 0)
        second.close()
        other.close()


def silent_clients_are_closed(t):
    with t.serve("--set", "guide.idle_ms=150") as s:
        w = WebSocket(s.port, "/ws/realtime")
        id_ = w.json()["session_id"]
        w.ask(**STILL)
        w.json()
        got = w.json()
        is_time(got.pop("timestamp"))
        equal(got, {"type": "timeout_response", "status": "timeout", "session_id": id_,
                    "message": "Connection closed due to 0.0025 minutes of inactivity"})
        equal(w.receive()[0], CLOSE)
        equal(s.stop(), 0, "exit status")
    with t.serve() as s:
        answer = s.get("/ws/realtime")
        equal((answer.status, answer.json()), (426, {"detail": "expected a WebSocket"}))
        equal(WebSocket(s.port, "/ws/realtime?user_id=" + "x" * 65).status, 400)
    with t.serve("--set", "steps.model=off") as s:
        equal(WebSocket(s.port, "/ws/realtime").status, 503)
        for path in "/sessions", "/model_info", "/step_count":
            equal(s.get(path).status, 503, path)


def pages_of_others_are_refused(t):
    def status(s, origin, path):
        w = WebSocket(s.port, path, origin=origin)
        w.sock.close()
        return w.status
    for path in "/ws/realtime?user_id=u", "/v1/stream?kind=steps&user=u":
        with t.serve("--set", "http.origins=https://a.example, http://b.example:3000") as s:
            ours = WebSocket(s.port, path)
            ours.json()
            for origin in ("http://evil.example", "null", "http://h:81", "https://h:80", "http://",
                           "https://h.evil.example", "http://b.example", "http://a.example"):
                equal(status(s, origin, path), 403, origin)
            ours.ask(action="stats")
            assert ours.json()["type"].startswith("stats"), "it was taken over"
            for origin in ("http://h", "https://h", "http://H:80", "https://h:443",
                           "https://a.example", "http://b.example:3000"):
                equal(status(s, origin, path), 101, origin)
        with t.serve("--set", "http.origins=*") as s:
            for origin in "http://evil.example", "null":
                equal(status(s, origin, path), 101, origin)


def tells_its_health(t):
    with t.serve() as s:
        got = s.get("/health").json()
        equal((got["model_loaded"], got["device"], got["active_sessions"]), (True, "cpu", 0))
        equal(got["uptime"], got["uptime_s"])
        is_time(got["timestamp"])
        w = WebSocket(s.port, "/ws/realtime")
        w.json()
        equal(s.get("/health").json()["active_sessions"], 1)
        w.close()
    with t.serve("--set", "steps.model=off") as s:
        equal(s.get("/health").json()["model_loaded"], False)


def package(port):
    """The example of the guide's documents."""
    from websockets.sync.client import connect
    with connect(f"ws://127.0.0.1:{port}/ws/realtime?user_id=p") as w:
        assert json.loads(w.recv())["type"] == "session_started"
        for _ in range(20):
            w.send(json.dumps(STILL))
            assert json.loads(w.recv())["type"] == "step_detection"
        w.send(json.dumps({"action": "stop"}))
        assert json.loads(w.recv())["type"] == "stop_response"
        try:
            w.recv()
        except Exception as e:
            assert type(e).__name__ == "ConnectionClosedOK", e
        else:
            raise AssertionError("not closed")


def works_with_the_package(t):
    python = python_with("import websockets.sync.client")
    with t.serve() as s:
        p = subprocess.run([python, os.path.abspath(__file__), "--client", str(s.port)],
                           capture_output=True, text=True, timeout=2 * PATIENCE)
        assert p.returncode == 0, p.stderr


if sys.argv[1] == "--client":
    package(int(sys.argv[2]))
else:
    run(detects_single_readings, counts_for_each_client, tells_of_sessions, keeps_settings,
        answers_each_reading, counts_steps_as_they_end, a_user_has_one_connection,
        silent_clients_are_closed, pages_of_others_are_refused, tells_its_health,
        works_with_the_package)
