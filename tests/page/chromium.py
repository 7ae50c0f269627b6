"""Chromium, as Debian has it, without a window: told what to do over pipes (DevTools protocol).

Format: https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

PROGRAM = shutil.which("chromium")

_TIMEOUT = 30.0


class ChromiumError(AssertionError):
    """It refused, or a script in the page raised something."""


class Chromium:
    """One page in a browser of its own, with a profile in *directory*.

    What the page does beside showing itself is kept: *requests* (URLs), *complaints* (console, exceptions, policy).
    """

    def __init__(self, directory: Path, *, width: int = 1280, height: int = 900) -> None:
        assert PROGRAM is not None  # else the test is not run
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self._serial = 0
        self._buffer = b""
        to_it, self._input = os.pipe()
        self._output, from_it = os.pipe()
        options = [
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--hide-scrollbars",
            "--remote-debugging-pipe", f"--user-data-dir={directory}", f"--window-size={width},{height}",
        ]  # fmt: skip

        def take_pipes() -> None:
            # Where Chromium looks for them; one of ours may have that number already.
            reads, writes = os.dup(to_it), os.dup(from_it)
            os.dup2(reads, 3)
            os.dup2(writes, 4)

        self._process = subprocess.Popen(
            [PROGRAM, *options, "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            close_fds=False,
            preexec_fn=take_pipes,
            start_new_session=True,
        )
        os.close(to_it)
        os.close(from_it)
        self._session = ""
        target = self._first_page()
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.ask(f"{domain}.enable")
        self.resize(width, height)

    def __enter__(self) -> Chromium:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End it, with all its processes: by itself, so that it waits for those it has started."""
        with suppress(ChromiumError, OSError):
            self._session = ""
            self.ask("Browser.close")
        try:
            self._process.wait(_TIMEOUT)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        os.close(self._input)
        os.close(self._output)

    def _first_page(self) -> str:
        deadline = time.monotonic() + _TIMEOUT
        while time.monotonic() < deadline:
            for target in self.ask("Target.getTargets")["targetInfos"]:
                if target["type"] == "page":
                    return str(target["targetId"])
            time.sleep(0.02)
        raise ChromiumError("it opened no page")

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol, and return its result."""
        self._serial += 1
        message = {"id": self._serial, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._input, data) :]
        while True:
            answer = self._next(time.monotonic() + _TIMEOUT)
            if answer is None:
                raise ChromiumError(f"no answer to {method}")
            if answer.get("id") == self._serial:
                if "error" in answer:
                    raise ChromiumError(f"{method}: {answer['error']}")
                result: dict[str, Any] = answer["result"]
                return result
            self._note(answer)

    def _next(self, deadline: float) -> dict[str, Any] | None:
        while b"\0" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._output], [], [], left)[0]:
                return None
            data = os.read(self._output, 1 << 16)
            if not data:
                raise ChromiumError(f"it ended with {self._process.wait()}")
            self._buffer += data
        message, _, self._buffer = self._buffer.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found

    def _note(self, event: dict[str, Any]) -> None:
        said = event.get("params", {})
        if event.get("method") == "Network.requestWillBeSent":
            self.requests.append(said["request"]["url"])
        elif event.get("method") == "Log.entryAdded":
            self.complaints.append(said["entry"]["text"])
        elif event.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(said["exceptionDetails"].get("exception", said)))
        elif event.get("method") == "Runtime.consoleAPICalled":
            self.complaints.append(json.dumps(said["args"]))

    def open(self, path: Path) -> float:
        """Show the file *path*; returns the seconds until it was loaded, its script run, and drawn."""
        begin = time.monotonic()
        self.ask("Page.navigate", url=path.as_uri())
        self.wait_for("document.readyState === 'complete'")
        self.run("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)))")
        return time.monotonic() - begin

    def run(self, script: str) -> Any:
        """The value of an expression in the page, awaited if it is a promise; it may have braces around statements."""
        expression = f"(async () => {script})()" if script.startswith("{") else script
        answer = self.ask("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise ChromiumError(json.dumps(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def wait_for(self, condition: str) -> None:
        """Wait until an expression is true."""
        deadline = time.monotonic() + _TIMEOUT
        while not self.run(condition):
            if time.monotonic() > deadline:
                raise ChromiumError(f"not so: {condition}")
            time.sleep(0.01)

    def resize(self, width: int, height: int) -> None:
        """Have a window of that size."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def prefer(self, scheme: str) -> None:
        """Have the user prefer a colour scheme: ``light`` or ``dark``."""
        self.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def press(self, key: str, text: str = "") -> None:
        """Press a key; one that types something does so by *text*."""
        for kind in ("keyDown", "keyUp"):
            self.ask(
                "Input.dispatchKeyEvent", type=kind, key=key, **({"text": text} if text and kind == "keyDown" else {})
            )

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """Move or press the mouse: ``mouseMoved``, ``mousePressed``, ``mouseReleased``."""
        self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        """Write what is to be seen, or the *whole* page, as PNG."""
        image = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(image["data"]))

    def pdf(self) -> bytes:
        """The page as it would be printed."""
        return base64.b64decode(self.ask("Page.printToPDF", printBackground=True)["data"])
