# pyright: basic
"""A real browser, driven over its own protocol: what a page loads, says and shows."""

import itertools
import json
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest
from waiting import wait_until
from websockets.sync.client import connect

BROWSER = shutil.which("chromium") or shutil.which("google-chrome") or ""
NAVIGATE_S = 30
"""Seconds without a sign of the browser after which a page is asked for again."""
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-extensions",
    "--disable-features=BackForwardCache",
    "--hide-scrollbars",
    "--no-first-run",
]

needs_browser = pytest.mark.skipif(
    not BROWSER, reason="no Chromium on this machine (apt-get install chromium)"
)


class Page:
    """One tab."""

    def __init__(self, socket):
        self.socket, self.ids = socket, itertools.count(1)
        self.requests, self.errors = [], []
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method, wait_s=None, **params):
        number = next(self.ids)
        self.socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            said = json.loads(self.socket.recv(wait_s))
            if said.get("id") == number:
                assert "error" not in said, said
                return said["result"]
            self._note(said)

    def _note(self, said):
        about = said.get("params", {})
        match said.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(about["request"]["url"])
            case "Runtime.exceptionThrown":
                self.errors.append(about["exceptionDetails"].get("text", ""))
            case "Log.entryAdded" if about["entry"]["level"] == "error":
                self.errors.append(about["entry"]["text"])
            case "Runtime.consoleAPICalled" if about["type"] == "error":
                self.errors.append(str(about["args"]))

    def open(self, url, width=1280, height=900):
        self.call(
            "Emulation.setDeviceMetricsOverride",
            **{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
        )
        # Now and then Chromium does not begin to load, and does so when it is asked again.
        while True:
            try:
                return self.call("Page.navigate", wait_s=NAVIGATE_S, url=url)
            except TimeoutError:
                self.call("Page.stopLoading")

    def ask(self, expression):
        said = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in said, said
        return said["result"].get("value")

    def wait(self, expression):
        """What the expression is as soon as it is true; until then it may also raise."""
        guarded = f"(() => {{ try {{ return ({expression}) }} catch {{ return null }} }})()"
        try:
            return wait_until(lambda: self.ask(guarded), 0.03)
        except AssertionError:
            seen = self.ask("location.href + ' shows: ' + document.body.innerText.slice(0, 600)")
            pytest.fail(f"Never true: {expression}\n{seen}\nerrors: {self.errors}")

    def click(self, element):
        """Press the mouse on an element, given as an expression, once it is there."""
        box = f"""(e => {{ if (!e) return null; e.scrollIntoView({{block: 'center'}});
        const r = e.getBoundingClientRect();
        return r.width ? [r.x + r.width / 2, r.y + r.height / 2] : null; }})({element})"""
        x, y = self.wait(box)
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            about = {"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1}
            self.call("Input.dispatchMouseEvent", **about)

    def press(self, key, code=0, text=""):
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent",
                **{"type": kind, "key": key, "windowsVirtualKeyCode": code, "text": text},
            )

    def dark(self, on=True):
        value = "dark" if on else "light"
        features = [{"name": "prefers-color-scheme", "value": value}]
        self.call("Emulation.setEmulatedMedia", features=features)


@contextmanager
def browser(profile):
    """A tab of a browser of one's own."""
    command = [BROWSER, *FLAGS, f"--user-data-dir={profile}", "--remote-debugging-port=0"]
    process = subprocess.Popen(
        [*command, "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        port_file = Path(profile) / "DevToolsActivePort"
        said = wait_until(
            lambda: port_file.read_text() if port_file.is_file() else "", process=process
        )
        port = said.split()[0]
        with urlopen(f"http://127.0.0.1:{port}/json") as answer:
            tab = next(t for t in json.load(answer) if t["type"] == "page")
        # On a busy machine the browser may not answer a ping for a minute.
        limits = {"max_size": None, "open_timeout": None, "ping_interval": None}
        with connect(tab["webSocketDebuggerUrl"], **limits) as socket:
            yield Page(socket)
    finally:
        process.terminate()
        process.wait()
