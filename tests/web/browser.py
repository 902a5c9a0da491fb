# SPDX-License-Identifier: MIT
"""A headless Chromium, driven over a pipe by its DevTools protocol; nothing but the standard
library. Binary: $VOLLEY_CHROMIUM, or the first of Debian's that is installed."""
import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

NAMES = ("chromium-headless-shell", "chromium", "chrome-headless-shell", "google-chrome")
PATIENCE = 60


class Missing(Exception):
    """No browser here."""


def find():
    named = os.environ.get("VOLLEY_CHROMIUM")
    for name in [named] if named else NAMES:
        path = shutil.which(name)
        if path:
            return path
    raise Missing(f"no {named or 'chromium-headless-shell'}")


class Pipe:
    """Messages of JSON with a NUL behind each."""

    def __init__(self, read_fd, write_fd):
        self.read_fd, self.write_fd, self.rest = read_fd, write_fd, b""

    def send(self, message):
        data = memoryview(json.dumps(message).encode() + b"\0")
        while data:
            data = data[os.write(self.write_fd, data):]

    def receive(self):
        while b"\0" not in self.rest:
            if not select.select([self.read_fd], [], [], PATIENCE)[0]:
                raise TimeoutError(f"the browser said nothing for {PATIENCE} s")
            some = os.read(self.read_fd, 1 << 20)
            if not some:
                raise EOFError("the browser has ended")
            self.rest += some
        text, self.rest = self.rest.split(b"\0", 1)
        return json.loads(text)


class Browser:
    def __init__(self, *args):
        self.home = tempfile.TemporaryDirectory(prefix="volley-browser-",
                                                ignore_cleanup_errors=True)
        command = [find(), "--remote-debugging-pipe", "--headless", "--disable-gpu",
                   "--no-first-run", "--disable-dev-shm-usage", "--hide-scrollbars",
                   f"--user-data-dir={self.home.name}",
                   "--no-sandbox",  # which root may not use; it opens no page but this server's
                   *args, "about:blank"]
        to_read, to_write = os.pipe(), os.pipe()

        def give_pipe():  # the protocol's are 3 and 4
            high = [os.dup2(to_read[0], 203), os.dup2(to_write[1], 204)]
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        self.process = subprocess.Popen(command, preexec_fn=give_pipe, close_fds=False,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        env=os.environ | {"HOME": self.home.name})
        os.close(to_read[0])
        os.close(to_write[1])
        self.pipe = Pipe(to_write[0], to_read[1])
        self.n_sent, self.events = 0, []

    def call(self, method, session=None, **params):
        self.n_sent += 1
        message = {"id": self.n_sent, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = session
        self.pipe.send(message)
        while True:
            got = self.pipe.receive()
            if got.get("id") == self.n_sent:
                if "error" in got:
                    raise RuntimeError(f"{method}: {got['error']['message']}")
                return got["result"]
            self.events.append(got)

    def wait_event(self, method, session):
        while True:
            for i, e in enumerate(self.events):
                if e.get("method") == method and e.get("sessionId") == session:
                    return self.events.pop(i)["params"]
            self.events.append(self.pipe.receive())

    def page(self, **options):
        return Page(self, **options)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        try:
            self.call("Browser.close")
            self.process.wait(PATIENCE)
        except (OSError, EOFError, TimeoutError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait(PATIENCE)
        os.close(self.pipe.read_fd)
        os.close(self.pipe.write_fd)
        self.home.cleanup()


class Page:
    """A page in a context of its own: nothing is shared with others, storage included."""

    def __init__(self, browser, width=390, height=844, scale=2, dark=False, calm=False,
                 sensors="granted"):
        self.browser = browser
        self.context = browser.call("Target.createBrowserContext")["browserContextId"]
        browser.call("Browser.setPermission", browserContextId=self.context, setting=sensors,
                     permission={"name": "accelerometer"})
        browser.call("Browser.setPermission", browserContextId=self.context, setting=sensors,
                     permission={"name": "gyroscope"})
        target = browser.call("Target.createTarget", url="about:blank",
                              browserContextId=self.context)["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=target,
                                    flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.resize(width, height, scale)
        self.call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce" if calm else "no-preference"}])

    def call(self, method, **params):
        return self.browser.call(method, self.session, **params)

    def resize(self, width, height, scale=2):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=scale, mobile=width < 600)

    def open(self, url, before=None):
        """before: a script that runs ahead of the page's own, then and after each reload."""
        if before is not None:
            self.call("Page.addScriptToEvaluateOnNewDocument", source=before)
        failed = self.call("Page.navigate", url=url).get("errorText")
        if failed:
            raise RuntimeError(f"{url}: {failed}")
        self.browser.wait_event("Page.loadEventFired", self.session)

    def js(self, expression, by_user=False):
        """The value of an expression; of what it resolves to, when it is a promise."""
        got = self.call("Runtime.evaluate", expression=expression, returnByValue=True,
                        awaitPromise=True, userGesture=by_user)
        if "exceptionDetails" in got:
            details = got["exceptionDetails"]
            raise RuntimeError(details.get("exception", {}).get("description", details["text"]))
        return got["result"].get("value")

    def text(self, selector):
        return self.js(f"document.querySelector({json.dumps(selector)}).textContent.trim()")

    def click(self, selector):
        self.js(f"document.querySelector({json.dumps(selector)}).click()", by_user=True)

    def press(self, key, code=None):
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=code or key,
                      windowsVirtualKeyCode={"Tab": 9, "Enter": 13, "ArrowRight": 39}.get(key, 0),
                      **({"text": "\r"} if key == "Enter" and kind == "keyDown" else {}))

    def until(self, expression):
        """Waits until an expression is true, and returns its value."""
        end = time.monotonic() + PATIENCE
        while True:
            value = self.js(expression)
            if value:
                return value
            assert time.monotonic() < end, f"expected in {PATIENCE} s: {expression}"
            time.sleep(0.02)

    def choose(self, selector, path):
        """Puts a file into an input."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[path])

    def complaints(self):
        """What went wrong in the page: errors that nobody caught, and what the console got as such,
        but for connections that failed."""
        self.js("0")
        said = []
        for e in self.browser.events:
            if e.get("sessionId") != self.session:
                continue
            if e["method"] == "Runtime.exceptionThrown":
                said.append(e["params"]["exceptionDetails"]["exception"].get("description"))
            entry = e["params"].get("entry", {}) if e["method"] == "Log.entryAdded" else {}
            if entry.get("level") == "error" and entry.get("source") != "network":
                said.append(entry["text"])
        return said

    def screenshot(self, path, whole=True, **options):
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=whole, **options)
        with open(path, "wb") as f:
            f.write(base64.b64decode(shot["data"]))

    def close(self):
        self.browser.call("Target.disposeBrowserContext", browserContextId=self.context)
