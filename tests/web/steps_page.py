# SPDX-License-Identifier: MIT
"""The page /steps in a headless Chromium, against the real server: a phone whose sensor is made of
readings with known steps, faster than real time, and recordings that are dropped on it.

Skips without Chromium (Debian: chromium-headless-shell, which tools/bootstrap.sh installs).
"""
import base64
import csv
import json
import os
import socket
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "e2e"))

import browser  # noqa: E402
from harness import Certificate, equal, run, wait_until  # noqa: E402

# Ahead of the page's scripts: only events of the test's own sensor reach it, sent packets are kept.
SENSOR = """
addEventListener("devicemotion", (e) => { if (e.isTrusted) e.stopImmediatePropagation(); }, true);
window.feed = (rows) => {
  for (const [t, x, y, z, a, b, g] of rows) {
    const e = new DeviceMotionEvent("devicemotion", {
      accelerationIncludingGravity: { x, y, z }, interval: 12.5,
      rotationRate: { alpha: a, beta: b, gamma: g } });
    Object.defineProperty(e, "timeStamp", { value: t });
    dispatchEvent(e);
  }
};
"""
PACKETS = """
window.packets = [];
const send = WebSocket.prototype.send;
WebSocket.prototype.send = function (data) {
  if (typeof data !== "string")
    packets.push(btoa(String.fromCharCode(...new Uint8Array(data))));
  return send.call(this, data);
};
"""
DEGREES = 57.29577951308232
CHUNK = 800  # readings at once
POEM = "The sun has gone\nbehind the hill\n"


class Walk:
    """A recording with truth, of a walker that never was."""

    def __init__(self, t, name, seconds, *args):
        self.path, truth = t.path(name + ".csv"), t.path(name + ".truth")
        subprocess.run([t.volley, "synth", "imu", "--seconds", str(seconds), *args, "--out",
                        self.path, "--truth", truth], check=True, capture_output=True)
        with open(self.path) as f:
            self.rows = [[float(r[k]) for k in ("time", "acc_x", "acc_y", "acc_z", "gyro_x",
                                                "gyro_y", "gyro_z")] for r in csv.DictReader(f)]
        with open(truth) as f:
            self.n_steps = sum(1 for line in f if line.strip())

    def events(self):
        """As a phone gives them: ms, m/s^2, deg/s."""
        return [[1000 + 1000 * t, *acc_gyro[:3], *(w * DEGREES for w in acc_gyro[3:])]
                for t, *acc_gyro in self.rows]


class Phone:
    """A page whose sensor is the test's."""

    def __init__(self, chromium, url, before="", **options):
        self.page = chromium.page(**options)
        self.page.open(url, before=SENSOR + before)

    def start(self, rows):
        """Taps Start, and gives the first readings."""
        self.page.click("#start")
        self.page.until("document.querySelector('#state').dataset.state === 'asking'")
        self.page.js("new Promise((r) => setTimeout(r))")  # listens once the permission is there
        self.page.js(f"feed({json.dumps(rows)})")
        self.until_state("live")

    def walk(self, rows):
        for i in range(0, len(rows), CHUNK):
            self.page.js(f"feed({json.dumps(rows[i:i + CHUNK])})")

    def state(self):
        return self.page.js("document.querySelector('#state').dataset.state")

    def until_state(self, state):
        self.page.until(f"document.querySelector('#state').dataset.state === {json.dumps(state)}")

    def count(self):
        return int(self.page.text("#count").replace("\u202f", ""))

    def until_all_told(self, server, n_readings):
        """Until the server has all readings, and the page shows its steps: the session."""
        def is_told():
            self.session = server.get("/v1/sessions/" + self.page.text("#session")).json()
            return (self.session["readings"] == n_readings
                    and self.session["steps"] == self.count())
        wait_until(f"{n_readings} readings and their steps", is_told)
        return self.session

    def reset(self):
        self.page.click("#reset")


def near(count, truth, what):
    assert abs(count - truth) <= max(1, 0.03 * truth), f"{what}: {truth} steps, found {count}"


def url(server, host="127.0.0.1"):
    return f"{server.scheme}://{host}:{server.port}/steps"


def no_complaints(page):
    equal(page.complaints(), [], "errors in the page")


def counts_the_steps_of_a_phone(t):
    walk = Walk(t, "walk", 90)
    rows = walk.events()
    with t.serve() as s, browser.Browser() as chromium:
        phone = Phone(chromium, url(s))
        phone.start(rows[:100])
        phone.walk(rows[100:])
        session = phone.until_all_told(s, len(rows))
        near(phone.count(), walk.n_steps, "of the page")
        equal(session["steps"], phone.count(), "the server's count")
        page = phone.page
        equal(page.text("#rate"), "80", "readings a second")
        equal(page.text("#readings").replace("\u202f", ""), str(len(rows)), "readings")
        assert page.text("#activity") in ("Standing", "Walking", "Stairs up", "Stairs down")
        phone.reset()
        page.until("document.querySelector('#count').textContent === '0'")
        phone.walk([[r[0] + 90_000, *r[1:]] for r in rows])
        wait_until("the steps after the reset", lambda: abs(phone.count() - walk.n_steps) <= 3)
        page.click("#stop")
        equal(phone.state(), "stopped")
        count = phone.count()
        phone.start([[r[0] + 200_000, *r[1:]] for r in rows[:100]])
        equal(phone.count(), count, "steps when started again: the session goes on")
        no_complaints(page)


def works_behind_tls(t):
    rows = Walk(t, "walk", 20, "--activity", "walk").events()
    certificate = Certificate(t, "phone")
    with (t.serve(*certificate.settings()) as s,
          browser.Browser("--ignore-certificate-errors") as chromium):
        phone = Phone(chromium, url(s, "localhost"))
        phone.start(rows[:100])
        phone.walk(rows[100:])
        wait_until("steps", lambda: phone.count() > 20)
        no_complaints(phone.page)


def reload_goes_on(t):
    walk = Walk(t, "walk", 30, "--activity", "walk")
    rows = walk.events()
    with t.serve() as s, browser.Browser() as chromium:
        phone = Phone(chromium, url(s))
        phone.start(rows[:100])
        phone.walk(rows[100:])
        phone.until_all_told(s, len(rows))
        session, count = phone.page.text("#session"), phone.count()
        assert count > 10, count
        phone.page.open(url(s))
        phone.start([[r[0] + 60_000, *r[1:]] for r in rows[:2]])
        equal((phone.page.text("#session"), phone.count()), (session, count))


def another_page_takes_over(t):
    rows = Walk(t, "walk", 20, "--activity", "walk").events()
    with t.serve() as s, browser.Browser() as chromium:
        phone = Phone(chromium, url(s))
        phone.start(rows[:800])
        other = Phone(chromium, url(s), "localStorage.setItem('volley.device', "
                      f"{json.dumps(phone.page.text('#device'))});")
        other.start(rows[:2])
        phone.until_state("replaced")
        assert "taken the session over" in phone.page.text("#note")
        equal(other.state(), "live")


def axes_and_units(t):
    """The browser's own sensor, set by the test, as the packets that leave."""
    with t.serve() as s, browser.Browser() as chromium:
        page = chromium.page()
        for kind, xyz in (("accelerometer", (1, 2, 9.5)), ("gyroscope", (0.5, -1, 2)),
                          ("linear-acceleration", (0, 0, 0))):
            page.call("Emulation.setSensorOverrideEnabled", enabled=True, type=kind,
                      metadata={"available": True, "minimumFrequency": 1, "maximumFrequency": 100})
            page.call("Emulation.setSensorOverrideReadings", type=kind,
                      reading={"xyz": dict(zip("xyz", xyz))})
        page.open(url(s), before=PACKETS)
        page.click("#start")
        page.until("packets.length > 1")
        packet = base64.b64decode(page.js("packets[0]"))
    magic, version, flags, n, first, t0, _, _, _ = struct.unpack_from("<4sBBHQqIff", packet)
    equal((magic, version, flags, first), (b"VIMU", 1, 1 | 4 | 8, 0), "head")
    equal(len(packet), 36 + 28 * n, "bytes")
    dt, *values = struct.unpack_from("<i6f", packet, 36)
    equal(dt, 0, "time of the first reading")
    for got, want in zip(values, (1, 2, 9.5, 0.5, -1, 2)):
        assert abs(got - want) < 0.06, values  # browsers round: 0.1 m/s^2, 0.1 deg/s
    assert 1.6e15 < t0 < 4e15, t0


def apple_signs(t):
    rows = [[1000 + 20 * i, -1, -2, -9.5, 10, 20, 30] for i in range(10)]
    with t.serve() as s, browser.Browser() as chromium:
        phone = Phone(chromium, url(s), PACKETS + 'Object.defineProperty(Navigator.prototype, '
                      '"vendor", { get: () => "Apple Computer, Inc." });')
        phone.start(rows)
        phone.page.until("packets.length > 0")
        packet = base64.b64decode(phone.page.js("packets[0]"))
    values = struct.unpack_from("<6f", packet, 40)
    for got, want in zip(values, (1, 2, 9.5, 0.174533, 0.349066, 0.523599)):
        assert abs(got - want) < 1e-5, values


def says_why_there_is_no_sensor(t):
    with t.serve() as s, browser.Browser("--host-resolver-rules=MAP phone.test 127.0.0.1") as b:
        def failed(said, host="127.0.0.1", before=None, **options):
            page = b.page(**options)
            page.open(url(s, host), before=before)
            page.click("#start")
            page.until("document.querySelector('#state').dataset.state === 'failed'")
            assert said in page.text("#note"), page.text("#note")
            equal(page.js("document.querySelector('#start').disabled"), False)
            no_complaints(page)

        failed("has no motion sensor")  # the browser says so with an event of nulls
        failed("has no motion sensor", before="delete window.DeviceMotionEvent")
        failed("motion sensor", sensors="denied")  # some versions say no, others give nothing
        failed("told not to give", before="DeviceMotionEvent.requestPermission = "
               "async () => { throw new Error('no tap') }")
        failed("tls.certificate", host="phone.test")


def settings_to_come_back(t):
    """Of a server at a port that another one can take after it, with a store: the last two."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return ["--set", f"http.port={port}", "--set", f"store.path={t.path('s.db')}"]


def goes_on_when_its_session_is_lost(t):
    """What the server had confirmed is gone with its store: the page does not forget it."""
    rows = Walk(t, "walk", 60, "--activity", "walk").events()
    half = len(rows) // 2
    settings = settings_to_come_back(t)
    with browser.Browser() as chromium:
        with t.serve(*settings, "--set", "imu.snapshot_ms=10") as s:
            phone = Phone(chromium, url(s))
            phone.start(rows[:100])
            phone.walk(rows[100:half])
            before = phone.until_all_told(s, half)["steps"]
            phone.page.until("document.querySelector('#waiting').textContent === '0'")
            s.process.kill()
            s.process.wait()
        with t.serve(*settings[:2]) as s:
            phone.until_state("live")
            phone.walk(rows[half:])

            def is_told():
                session = s.get("/v1/sessions/" + phone.page.text("#session")).json()
                return (session["readings"] == len(rows) - half
                        and phone.count() == before + session["steps"])
            wait_until("the steps of both sessions", is_told)
            assert phone.count() > 1.8 * before, (before, phone.count())
        no_complaints(phone.page)


def survives_a_killed_server(t):
    """Killed in the middle of a walk, and back at its port: no step is lost or counted twice."""
    walk = Walk(t, "walk", 60, "--activity", "walk")
    rows = walk.events()
    half = len(rows) // 2
    settings = settings_to_come_back(t)
    with browser.Browser() as chromium:
        with t.serve() as s:
            phone = Phone(chromium, url(s))
            phone.start(rows[:100])
            phone.walk(rows[100:])
            phone.until_all_told(s, len(rows))
            want = phone.count()  # of a server that lives
        for stored in (True, False):
            args = settings if stored else settings[:2]
            with t.serve(*args) as s:
                phone = Phone(chromium, url(s))
                phone.start(rows[:100])
                phone.walk(rows[100:half])
                phone.until_all_told(s, half)
                s.process.kill()
                s.process.wait()
            phone.until_state("offline")
            phone.walk(rows[half:half + CHUNK])  # what is walked without a server
            with t.serve(*args) as s:
                phone.until_state("live")
                phone.walk(rows[half + CHUNK:])
                phone.until_all_told(s, len(rows))
                equal(phone.count(), want, f"steps, stored: {stored}")
                equal(phone.page.text("#reconnects") != "0", True)
            no_complaints(phone.page)


def detects_a_dropped_recording(t):
    walk = Walk(t, "walk", 60)
    downloads = t.path("downloads")
    os.mkdir(downloads)
    with t.serve() as s, browser.Browser() as chromium:
        page = chromium.page(width=1280, height=900)
        chromium.call("Browser.setDownloadBehavior", browserContextId=page.context,
                      behavior="allow", downloadPath=downloads)
        page.open(url(s))
        page.choose("#file", walk.path)
        page.until("document.querySelector('#file-state').dataset.state === 'done'")
        with open(walk.path, "rb") as f:
            want = s.ask("POST", "/v1/imu:detect", f.read()).json()
        equal(page.text("#file-count"), str(want["steps"]), "steps")
        near(want["steps"], walk.n_steps, "of the recording")
        equal(page.text("#file-readings").replace("\u202f", ""), str(len(walk.rows)))
        facts = page.text("#file-facts")
        assert "time,acc_x,acc_y,acc_z,gyro_x,gyro_y,gyro_z" in facts and "80 Hz" in facts, facts
        equal(page.js("document.querySelector('#file-plot').hidden"), False)
        assert is_drawn(page, "#file-trace") and is_drawn(page, "#file-overview")
        page.click("#save")
        name = os.path.join(downloads, "walk-steps.csv")
        wait_until("the download", lambda: os.path.exists(name))
        with open(name, newline="") as f:
            saved = list(csv.DictReader(f))
        equal([(e["type"], int(e["step"]), float(e["t_ms"]), e["activity"]) for e in saved],
              [(e["type"], e["step"], e["t_ms"], e["activity"]) for e in want["events"]])
        before = page.js(PIXELS % "#file-trace")
        page.js("document.querySelector('#file-position').focus()")
        page.press("End")
        page.until(f"({PIXELS % '#file-trace'}) !== {json.dumps(before)}")
        no_complaints(page)


def tells_what_is_wrong_with_a_recording(t):
    walk = Walk(t, "walk", 20)
    with open(walk.path) as f:
        lines = f.read().splitlines()
    lines[100] = lines[100].split(",", 1)[0] + ",nan,0,9.8,0,0,0,0"
    with open(t.path("faulty.csv"), "w") as f:
        f.write("\n".join(lines) + "\n")
    with open(t.path("poem.csv"), "w") as f:
        f.write(POEM)
    with t.serve() as s, browser.Browser() as chromium:
        page = chromium.page()
        page.open(url(s))
        page.choose("#file", t.path("poem.csv"))
        page.until("document.querySelector('#file-state').dataset.state === 'failed'")
        said = s.ask("POST", "/v1/imu:detect", POEM).json()["error"]
        equal(page.text("#file-note"), "poem.csv: " + said)
        equal(page.js("document.querySelector('#result').hidden"), True)
        page.choose("#file", t.path("faulty.csv"))
        page.until("document.querySelector('#file-state').dataset.state === 'done'")
        assert "1 row, the first in line 101" in page.text("#file-facts"), page.text("#file-facts")
        equal(page.js("document.querySelector('#file-note').hidden"), True)
        s.stop()
        page.choose("#file", walk.path)
        page.until("document.querySelector('#file-state').dataset.state === 'failed'")


PIXELS = "document.querySelector('%s').toDataURL()"


def is_drawn(page, selector):
    """Pixels of more than one colour."""
    return page.js(f"""(() => {{
      const c = document.querySelector('{selector}');
      const {{ data }} = c.getContext('2d').getImageData(0, 0, c.width, c.height);
      return new Set(new Uint32Array(data.buffer)).size > 3; }})()""")


# Texts whose contrast with what is behind them is below 4.5 (WCAG 2 AA), disabled controls aside.
FAINT = """(() => {
  const channel = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const over = (colours) => {
    canvas.globalAlpha = 1;
    for (const c of colours) {
      canvas.fillStyle = c;
      canvas.fillRect(0, 0, 1, 1);
    }
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const faint = [];
  for (const e of document.body.querySelectorAll("*")) {
    const text = [...e.childNodes].map((n) => n.nodeType === 3 ? n.data.trim() : "").join("");
    if (!text || !e.checkVisibility() || e.disabled)
      continue;
    const behind = [];
    for (let at = e; at; at = at.parentElement)
      behind.unshift(getComputedStyle(at).backgroundColor);
    const [a, b] = [light(over(behind)), light(over([...behind, getComputedStyle(e).color]))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5)
      faint.push(`${text}: ${contrast.toFixed(2)}`);
  }
  return faint; })()"""


def is_for_everybody(t):
    """Small screens, dark ones, no mouse, no motion."""
    walk = Walk(t, "walk", 30)
    with t.serve() as s, browser.Browser() as chromium:
        for width, dark, calm in ((360, False, True), (360, True, False), (1280, True, False)):
            phone = Phone(chromium, url(s), width=width, height=740, dark=dark, calm=calm)
            page = phone.page
            page.press("Tab")
            equal(page.js("document.activeElement.id"), "start")
            phone.start(walk.events()[:800])
            page.choose("#file", walk.path)
            page.until("document.querySelector('#file-state').dataset.state === 'done'")
            assert page.js("document.documentElement.scrollWidth") <= width, "wider than the screen"
            equal(page.js(FAINT), [], f"too little contrast, dark: {dark}")
            tree = page.call("Accessibility.getFullAXTree")["nodes"]
            controls = [n for n in tree if n.get("role", {}).get("value") in
                        ("button", "slider", "textbox", "image", "DisclosureTriangle")]
            assert len(controls) >= 6, controls
            for node in controls:
                assert node["name"].get("value") or node["ignored"], node
            no_complaints(page)
            page.close()


def enter_starts(t):
    with t.serve() as s, browser.Browser() as chromium:
        phone = Phone(chromium, url(s))
        phone.page.press("Tab")
        phone.page.press("Enter")
        phone.page.until("document.querySelector('#state').dataset.state !== 'idle'")


try:
    browser.find()
    run(counts_the_steps_of_a_phone, works_behind_tls, reload_goes_on, another_page_takes_over,
        axes_and_units, apple_signs, says_why_there_is_no_sensor, survives_a_killed_server,
        goes_on_when_its_session_is_lost, detects_a_dropped_recording,
        tells_what_is_wrong_with_a_recording, is_for_everybody, enter_starts)
except browser.Missing as why:
    print(f"1..0 # SKIP {why}")
