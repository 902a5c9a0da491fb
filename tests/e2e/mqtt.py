# SPDX-License-Identifier: MIT
"""Readings over MQTT: a real mosquitto broker on loopback, its own clients, `volley serve`."""
import json
import os
import re
import struct
import subprocess

from harness import PATIENCE, Certificate, Skip, equal, run, wait_until
from mosquitto import Broker, find

SECONDS = 20
PIECE = 80


class Listener:
    """What comes on a topic: lines "topic payload" in a file."""

    def __init__(self, t, broker, topic):
        self.path = t.path("heard")
        self.out = open(self.path, "wb")
        self.process = subprocess.Popen([find("mosquitto_sub"), "-h", "127.0.0.1", "-p",
                                         str(broker.port), "-v", "-t", topic], stdout=self.out)
        wait_until("a subscription", lambda: self.hears(broker, topic))

    def hears(self, broker, topic):
        broker.publish(topic.replace("#", "probe"), b"probe")
        return b"probe" in self.read()

    def read(self):
        with open(self.path, "rb") as f:
            return f.read()

    def events(self, topic):
        found = re.findall(rb"^" + topic.encode() + rb" (\{.*\})$", self.read(), re.M)
        return [json.loads(line) for line in found]

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.process.kill()
        self.process.wait(PATIENCE)
        self.out.close()


def metric(s, name):
    return float(re.search(rf"^{name} (\S+)$", s.get("/metrics").body.decode(), re.M).group(1))


def serve(t, broker, *settings, scheme="mqtt", host="127.0.0.1", log=None):
    args = [x for setting in (f"mqtt.url={scheme}://{host}:{broker.port}", *settings)
            for x in ("--set", setting)]
    probe = subprocess.run([t.volley, "serve", "--models", t.models, "--port", "0",
                            "--set", "mqtt.url=mqtt://127.0.0.1:1", "--set", "mqtt.topic=#a"],
                           capture_output=True, text=True, timeout=PATIENCE)
    if "this build has no MQTT" in probe.stderr:
        raise Skip("this build has no MQTT: it lacks libmosquitto")
    return t.serve(*args, log=log)


def recording(t):
    """A walk as rows of numbers, and what `volley steps` says of it."""
    path = t.path("walk.csv")
    if not os.path.exists(path):
        subprocess.run([t.volley, "synth", "imu", "--seconds", str(SECONDS), "--seed", "7",
                        "--out", path], check=True, capture_output=True, timeout=PATIENCE)
    said = subprocess.run([t.volley, "steps", path, "--json"], check=True, capture_output=True,
                          timeout=PATIENCE)
    with open(path) as f:
        lines = f.read().splitlines()
    return lines[0], lines[1:], json.loads(said.stdout)


def connected(s):
    return lambda: metric(s, "volley_mqtt_connected") == 1


def tells_steps(t):
    header, rows, said = recording(t)
    with Broker(t, "plain", "allow_anonymous true") as broker, serve(t, broker) as s:
        wait_until("the broker", connected(s))
        with Listener(t, broker, "volley/steps/#") as heard:
            for i in range(0, len(rows), PIECE):
                text = "\n".join([header, *rows[i:i + PIECE], ""])
                broker.publish("volley/imu/ann/phone", text.encode())
            want = [e for e in said["events"] if e["known_ms"] <= 1000 * SECONDS - 500]
            topic = "volley/steps/ann/phone"
            wait_until("the steps", lambda: len(heard.events(topic)) >= len(want))
            got = heard.events(topic)
            equal(got[:len(want)], want, "events")
            assert len(want) > 20, want
        equal(metric(s, "volley_mqtt_readings_total"), float(len(rows)))
        equal(metric(s, "volley_mqtt_devices"), 1.0)
        listed = s.get("/v1/sessions").json()["sessions"]
        equal([(x["user"], x["device"]) for x in listed], [("ann", "phone")], "sessions")
        equal(s.stop(), 0, "exit status")


def takes_json_and_packets(t):
    with Broker(t, "forms", "allow_anonymous true") as broker, serve(t, broker) as s:
        wait_until("the broker", connected(s))
        broker.publish("volley/imu/ann/a", json.dumps(
            {"readings": [[12.5 * i, 0, 0, 9.8, 0, 0, 0] for i in range(50)]}).encode())
        head = b"VIMU" + struct.pack("<BBHQqIff", 1, 1, 3, 0, 0, 12500, 0, 0)
        broker.publish("volley/imu/ann/b", head + struct.pack("<18f", *[0, 0, 9.8, 0, 0, 0] * 3))
        wait_until("the readings", lambda: metric(s, "volley_mqtt_readings_total") == 53)
        equal(metric(s, "volley_mqtt_malformed_total"), 0.0)


def counts_garbage(t):
    with Broker(t, "garbage", "allow_anonymous true") as broker, open(t.path("err"), "w") as log:
        with serve(t, broker, "mqtt.max_payload_bytes=1000", log=log) as s:
            wait_until("the broker", connected(s))
            for payload in (b"garbage", b"{", b"\0\1\2", b"VIMU", bytes(1001)):
                broker.publish("volley/imu/ann/phone", payload)
            wait_until("five messages", lambda: metric(s, "volley_mqtt_messages_total") == 5)
            equal(metric(s, "volley_mqtt_malformed_total"), 4.0)
            equal(metric(s, "volley_mqtt_too_large_total"), 1.0)
            equal(s.stop(), 0, "exit status")
    with open(t.path("err")) as log:
        equal(log.read().count("is left out"), 1, "lines in the log")


def comes_back(t):
    with Broker(t, "gone", "allow_anonymous true") as broker, serve(t, broker) as s:
        wait_until("the broker", connected(s))
        broker.stop()
        wait_until("the loss", lambda: metric(s, "volley_mqtt_connected") == 0)
        equal(s.get("/health").status, 200)
        broker.start()
        wait_until("the broker again", connected(s))
        broker.publish("volley/imu/ann/phone", b"0,0,9.8\n")
        wait_until("a reading", lambda: metric(s, "volley_mqtt_readings_total") == 1)
        equal(metric(s, "volley_mqtt_connects_total"), 2.0)


def speaks_tls_with_a_password(t):
    c = Certificate(t, "broker")
    passwords, password = t.path("passwords"), t.path("password")
    with open(password, "w") as f:
        f.write("s3cret\n")
    if find("mosquitto_passwd") is None:
        raise Skip("no mosquitto_passwd")
    subprocess.run([find("mosquitto_passwd"), "-c", "-b", passwords, "volley", "s3cret"],
                   check=True, capture_output=True)
    os.chmod(passwords, 0o644)  # the broker may give up root
    os.chmod(c.key, 0o644)
    os.chmod(t.directory, 0o755)
    with Broker(t, "tls", f"certfile {c.path}", f"keyfile {c.key}", "allow_anonymous false",
                f"password_file {passwords}") as broker:
        known = [f"mqtt.ca={c.path}", "mqtt.user=volley", f"mqtt.password_file={password}"]
        with serve(t, broker, *known, scheme="mqtts") as s:
            wait_until("the broker", connected(s))
            broker.publish("volley/imu/ann/phone", b"0,0,9.8\n", "--cafile", c.path, "-u",
                           "volley", "-P", "s3cret")
            wait_until("a reading", lambda: metric(s, "volley_mqtt_readings_total") == 1)
        for settings in (known[1:], known[:1]):  # a stranger's certificate; no password
            with serve(t, broker, *settings, scheme="mqtts") as s:
                wait_until("a refusal", lambda: metric(s, "volley_mqtt_failures_total") >= 1)
                equal(metric(s, "volley_mqtt_connects_total"), 0.0)


def refuses_settings(t):
    for settings, message in (
            (["mqtt.url=http://x"], "expected mqtt://HOST[:PORT] or mqtts://HOST[:PORT]"),
            (["mqtt.url=mqtt://x", "mqtt.topic=a/#/b"], "'a/#/b' is no topic filter"),
            (["mqtt.url=mqtt://x", "mqtt.password_file=/nowhere"], "a password file, and no user"),
            (["mqtt.url=mqtt://x", "steps.model=off"], "there is no step model to serve")):
        args = [x for setting in settings for x in ("--set", setting)]
        p = subprocess.run([t.volley, "serve", "--models", t.models, "--port", "0", *args],
                           capture_output=True, text=True, timeout=PATIENCE)
        if "this build has no MQTT" in p.stderr:
            raise Skip("this build has no MQTT: it lacks libmosquitto")
        assert p.returncode != 0 and message in p.stderr, p.stderr


run(tells_steps, takes_json_and_packets, counts_garbage, comes_back, speaks_tls_with_a_password,
    refuses_settings)
