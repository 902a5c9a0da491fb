# SPDX-License-Identifier: MIT
"""The page /performance in a headless Chromium, against the real server under load: figures of
models, of the arms of a route, and of the cache; empty, dark, narrow, by keyboard, locked by a key,
and when the server goes away and comes back.

  performance_page.py VOLLEY MAKE_MODELS            the tests (TAP)
  performance_page.py VOLLEY MAKE_MODELS shot FILE  the picture of the manual, docs/performance.png

Skips without Chromium (Debian: chromium-headless-shell, which tools/bootstrap.sh installs).
"""
import json
import math
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "e2e"))

import browser  # noqa: E402
from harness import Server, Tools, equal, run, simple_inputs, wait_until  # noqa: E402

SHOT_SECONDS = int(os.environ.get("VOLLEY_SHOT_SECONDS", "150"))


class Load:
    """Sums asked of a route with two arms, half of them known already; rate(t) a second."""

    def __init__(self, server, rate=lambda t: 100, model="detector"):
        self.server, self.rate, self.model = server, rate, model
        self.ended, self.n, self.problem = threading.Event(), 0, None
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        begun = time.monotonic()
        connection = self.server.connect()
        try:
            while not self.ended.is_set():
                value = self.n % 10 if self.n % 2 else self.n
                body = json.dumps({"inputs": simple_inputs([value] * 16, [1] * 16)})
                connection.request("POST", f"/v2/models/{self.model}/infer", body,
                                   {"Content-Type": "application/json",
                                    "Volley-Session": f"user-{self.n % 97}"})
                answer = connection.getresponse()
                answer.read()
                equal(answer.status, 200)
                self.n += 1
                self.ended.wait(1 / self.rate(time.monotonic() - begun))
        except Exception as e:
            self.problem = e
        connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.ended.set()
        self.thread.join()
        if self.problem is not None and exc[0] is None:
            raise self.problem


def url(server):
    return f"{server.scheme}://127.0.0.1:{server.port}/performance"


def serve(t, *args):
    """Models simple and simple2, cached, behind a route of two arms."""
    if not os.path.exists(os.path.join(t.models, "simple2")):
        shutil.copytree(os.path.join(t.models, "simple"), os.path.join(t.models, "simple2"))
    server = t.serve("--set", "cache.models=simple,simple2", *args)
    equal(server.ask("PUT", "/v1/routes/detector", json.dumps(
        {"arms": [{"model": "simple", "version": "1", "weight": 80},
                  {"model": "simple2", "version": "1", "weight": 20}]})).status, 201)
    return server


def state(page):
    return page.js("document.querySelector('#state').dataset.state")


def cell(page, row, column):
    """Of the table, by the texts of its heads; None: there is no such row."""
    return page.js(f"""(() => {{
      const heads = [...document.querySelectorAll('thead th')].map((e) => e.textContent.trim());
      const row = [...document.querySelectorAll('tbody tr')].find(
        (e) => e.firstChild.textContent.trim() === {json.dumps(row)});
      return row?.children[heads.findIndex((h) => h.startsWith({json.dumps(column)}))].textContent
    }})()""")


def figure(page, row, column):
    text = cell(page, row, column)
    return None if text in (None, "–") else float(text.replace("\u202f", ""))


def legend(page, title):
    """{name: text of its figure} of the chart of that title."""
    return dict(page.js(f"""[...document.querySelectorAll('.chart')].find(
      (c) => c.ariaLabel === {json.dumps(title)}).querySelectorAll('li')""" """
      .values().toArray().map((li) => [li.childNodes[1].textContent, li.lastChild.textContent])"""))


def is_drawn(page, title):
    """Some pixel of the chart's canvas has another colour than its neighbour axes: a line's."""
    return page.js(f"""(() => {{
      const canvas = [...document.querySelectorAll('.chart')].find(
        (c) => c.ariaLabel === {json.dumps(title)}).querySelector('canvas');
      const {{ data }} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      for (let i = 0; i < data.length; i += 4) {{
        const [r, g, b] = data.slice(i, i + 3);
        if (data[i + 3] > 200 && Math.max(r, g, b) - Math.min(r, g, b) > 90)
          return true;
      }}
      return false;
    }})()""")


def no_complaints(page):
    equal(page.complaints(), [], "errors in the page")


def shows_models_arms_and_cache(t):
    with serve(t) as s, browser.Browser() as chromium, Load(s):
        page = chromium.page(width=1280, height=900)
        page.open(url(s))
        wait_until("figures of a model", lambda: (figure(page, "simple 1", "Computed") or 0) > 0)
        wait_until("hits of the cache", lambda: (figure(page, "simple 1", "Cached") or 0) > 0)
        wait_until("figures of an arm",
                   lambda: (figure(page, "detector → simple2 1", "Computed") or 0) > 0)
        equal(state(page), "live")
        for column in ("p50", "p95", "p99", "Batch"):
            assert figure(page, "simple 1", column) > 0, column
        assert 0 < figure(page, "simple 1", "Cache hits") < 100
        equal(cell(page, "simple_identity 1", "p95"), "–")
        for title in ("Throughput", "Latency", "CPU", "Memory", "Cache hits"):
            wait_until(f"a line in {title}", lambda title=title: is_drawn(page, title))
        equal(set(legend(page, "Throughput")), {"computed", "from the cache", "failed"})
        assert "simple_identity 1" not in legend(page, "Latency"), legend(page, "Latency")
        page.js("[...document.querySelectorAll('tbody button')].find("
                "(b) => b.textContent === 'simple 1').click()")
        equal(set(legend(page, "Latency")), {"p50", "p95", "p99"})
        equal(page.js("document.querySelector('#which').selectedOptions[0].text"), "simple 1")
        no_complaints(page)


def loads_nothing_from_elsewhere(t):
    with serve(t) as s, browser.Browser() as chromium:
        page = chromium.page()
        page.call("Network.enable")
        page.open(url(s))
        wait_until("a first answer", lambda: state(page) == "live")
        asked = [e["params"]["request"]["url"] for e in chromium.events
                 if e.get("method") == "Network.requestWillBeSent"]
        assert len(asked) > 5, asked
        equal([u for u in asked if not u.startswith(f"http://127.0.0.1:{s.port}/")], [])
        no_complaints(page)


def is_empty_until_something_is_asked(t):
    with serve(t) as s, browser.Browser() as chromium:
        page = chromium.page()
        page.open(url(s))
        page.until("!document.querySelector('#empty').hidden")
        assert page.text("#example").endswith(f":{s.port}/v1/images:detect")
        equal(s.infer("simple", simple_inputs([1] * 16, [1] * 16)).status, 200)
        page.until("document.querySelector('#empty').hidden")
        no_complaints(page)


def fits_a_phone_in_the_dark(t):
    with serve(t) as s, browser.Browser() as chromium, Load(s):
        page = chromium.page(width=390, height=844, dark=True)
        page.open(url(s))
        wait_until("a line", lambda: is_drawn(page, "Throughput"))
        equal(page.js("document.documentElement.scrollWidth"), 390, "width of the page")
        ink, paper = page.js("""['color', 'backgroundColor'].map((c) =>
          Math.max(...getComputedStyle(document.body)[c].match(/\\d+/g).map(Number)))""")
        assert ink > 200 and paper < 50, (ink, paper)
        no_complaints(page)


def works_by_keyboard(t):
    with serve(t) as s, browser.Browser() as chromium, Load(s):
        page = chromium.page(width=1280, height=900)
        page.open(url(s))
        wait_until("figures", lambda: (figure(page, "simple 1", "Computed") or 0) > 0)
        reached = set()
        for _ in range(12):
            page.press("Tab")
            reached.add(page.js("document.activeElement.id || document.activeElement.className"
                                " || document.activeElement.textContent"))
        assert {"which", "pause", "scroll"} <= reached, reached
        page.js("document.querySelector('tbody button').focus()")
        name = page.js("document.activeElement.textContent")
        page.press("Enter")
        page.until("document.activeElement.ariaPressed === 'true'")
        n = page.text("#since")
        page.until(f"document.querySelector('#since').textContent.trim() !== {json.dumps(n)}")
        equal(page.js("document.activeElement.textContent"), name, "the focus, after an update")
        no_complaints(page)


def pauses(t):
    with serve(t) as s, browser.Browser() as chromium, Load(s):
        page = chromium.page()
        page.open(url(s))
        wait_until("a first answer", lambda: state(page) == "live")
        page.click("#pause")
        page.until("document.querySelector('#state').textContent === 'Paused'")
        page.click("#pause")
        page.until("document.querySelector('#state').textContent === 'Live'")
        no_complaints(page)


def asks_for_a_key(t):
    keys = t.path("keys.json")
    key = subprocess.run([t.volley, "key", "mint", "reader", "--scope", "read", "--keys", keys],
                         check=True, capture_output=True, text=True).stdout.strip()
    with t.serve("--keys", keys) as s, browser.Browser() as chromium:
        page = chromium.page()
        page.open(url(s))
        page.until("!document.querySelector('#key-form').hidden")
        equal(page.text("#state"), "Locked")
        for typed, then in (("vly_wrong", "Locked"), (key, "Live")):
            page.js(f"document.querySelector('#key').value = {json.dumps(typed)}")
            page.click("#key-form button")
            page.until(f"document.querySelector('#state').textContent === {json.dumps(then)}")
        equal(page.js("document.querySelector('#key-form').hidden"), True)
        page.call("Page.reload")
        page.browser.wait_event("Page.loadEventFired", page.session)
        page.until("document.querySelector('#state').textContent === 'Live'")
        no_complaints(page)


def survives_the_server(t):
    """Killed, and another one started on its port: the page goes on by itself, with the other's
    figures alone."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with browser.Browser() as chromium:
        page = chromium.page()
        with Server(t.volley, t.models, "--set", f"http.port={port}") as s:
            s.infer("simple", simple_inputs([1] * 16, [1] * 16))
            page.open(url(s))
            wait_until("a first answer", lambda: "1 requests" in page.text("#since"))
        page.until("document.querySelector('#state').dataset.state === 'offline'")
        equal(page.js("document.querySelector('#note').hidden"), False)
        equal(page.js("getComputedStyle(document.querySelector('.charts')).opacity"), "0.5")
        with Server(t.volley, t.models, "--set", f"http.port={port}"):
            page.until("document.querySelector('#state').dataset.state === 'live'")
            page.until("document.querySelector('#since').textContent.includes(' 0 requests')")
            equal(page.js("document.querySelector('#note').hidden"), True)
        no_complaints(page)


class Pictures(Load):
    """Photographs looked at by a small and a fast detector; every third one is known."""

    def __init__(self, server, rate, models, photos):
        self.models = models
        self.photos = [os.path.join(photos, name) for name in sorted(os.listdir(photos))
                       if name.endswith(".jpg")]
        super().__init__(server, rate)

    def run(self):
        begun = time.monotonic()
        while not self.ended.is_set():
            k = self.n % 3 == 0 and self.n % 30 or self.n
            with open(self.photos[k % len(self.photos)], "rb") as f:
                photo = f.read() + bytes(k // len(self.photos))  # never the same again
            model = self.models[self.n % len(self.models)]
            equal(self.server.ask("POST", f"/v1/images:detect?model={model}", photo,
                                  {"Content-Type": "image/jpeg"}).status, 200)
            self.n += 1
            self.ended.wait(1 / self.rate(time.monotonic() - begun))


def take_picture(volley, make_models, path):
    with tempfile.TemporaryDirectory() as directory:
        t = Tools(volley, make_models, directory)
        for name in ("simple_identity", "slow", "half", "colour.onnx", "walk.onnx", "broken.onnx"):
            old = os.path.join(t.models, name)
            (shutil.rmtree if os.path.isdir(old) else os.unlink)(old)
        for name in ("yunet_n_640", "FastestDet_352"):
            shutil.copy(t.shared(f"models/{name}.onnx"), t.models)
        photos = t.shared("data/images/natural-gt/coco-ccby/images")
        with serve(t, "--set", "cache.models=*") as s, browser.Browser() as chromium, \
                Load(s, lambda x: 160 + 90 * math.sin(x / 12)), \
                Load(s, lambda x: 60 + 40 * math.sin(x / 7), "simple"), \
                Pictures(s, lambda x: 14 + 8 * math.sin(x / 20), ["yunet_n_640", "FastestDet_352"],
                         photos):
            page = chromium.page(width=1360, height=900, scale=1)
            page.open(url(s))
            time.sleep(SHOT_SECONDS)
            no_complaints(page)
            page.screenshot(path)


def main():
    if sys.argv[3:4] == ["shot"]:
        take_picture(*sys.argv[1:3], sys.argv[4])
        return
    try:
        browser.find()
    except browser.Missing as why:
        print(f"1..0 # SKIP {why}")
        return
    run(shows_models_arms_and_cache, loads_nothing_from_elsewhere,
        is_empty_until_something_is_asked, fits_a_phone_in_the_dark, works_by_keyboard, pauses,
        asks_for_a_key, survives_the_server)


main()
