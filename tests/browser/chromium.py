"""A real browser without a window, driven over its DevTools protocol.

https://chromedevtools.github.io/devtools-protocol/
"""

import asyncio
import base64
import itertools
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-lcd-text",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
    "--remote-debugging-port=0",
)
PATIENCE_SECONDS = 60.0
# What a page answers, whatever it is.
Json = Any


def find() -> str | None:
    """The browser's program, None where this machine has none."""
    return next(filter(None, map(shutil.which, _NAMES)), None)


@contextmanager
def running(program: str) -> Iterator[str]:
    """Start the browser; gives the websocket address of its DevTools."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [program, *_FLAGS, f"--user-data-dir={profile}"]
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            try:
                yield _address(Path(profile) / "DevToolsActivePort", process)
            finally:
                process.terminate()
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()


def _address(written: Path, process: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        lines = written.read_text(encoding="ascii").split("\n") if written.exists() else []
        if len(lines) > 1:
            return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
        time.sleep(0.05)
    raise RuntimeError(f"the browser did not start (exit code {process.poll()})")


class Tab:
    """One tab in a context of its own: no key, no theme and no cache from another test."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.session = ""
        self.requests: list[str] = []
        self.complaints: list[str] = []

    async def listen(self) -> None:
        """Take what the browser says until it says no more."""
        async for message in self._socket:
            said = json.loads(message.data)
            if "id" in said:
                self._answers.pop(said["id"]).set_result(said)
            else:
                self._note(said.get("method", ""), said.get("params", {}))

    def _note(self, method: str, given: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.requests.append(given["request"]["url"])
        elif method == "Log.entryAdded" and given["entry"]["source"] != "network":
            self.complaints.append(given["entry"]["text"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(given["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled":
            self.complaints.append(json.dumps(given["args"]))
        elif method == "Audits.issueAdded":
            self.complaints.append(json.dumps(given["issue"]))

    async def call(self, method: str, **given: object) -> dict[str, Any]:
        """One command of the protocol, and its result."""
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": given}
        if self.session:
            message["sessionId"] = self.session
        self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json(message)
        answer = await asyncio.wait_for(self._answers[number], PATIENCE_SECONDS)
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    async def run(self, script: str) -> Json:
        """What an expression is worth in the page; promises are waited for."""
        given = await self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in given, given["exceptionDetails"]
        return given["result"].get("value")

    async def until(self, script: str) -> Json:
        """Wait until an expression is true."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (value := await self.run(script)):
            assert time.monotonic() < deadline, f"never true: {script}\n{await self.text()}"
            await asyncio.sleep(0.05)
        return value

    async def open(self, url: str) -> None:
        """Go to an address, and wait until its scripts have run."""
        await self.call("Page.navigate", url=url)
        await self.until(f"location.href.startsWith({json.dumps(url)}) && document.readyState === 'complete'")

    async def text(self) -> str:
        """What can be read on the page."""
        return str(await self.run("document.body.innerText"))

    async def press(self, key: str, *, shift: bool = False) -> None:
        """Press a key, such as Tab or Enter."""
        extra = {"text": "\r", "windowsVirtualKeyCode": 13} if key == "Enter" else {"windowsVirtualKeyCode": 9}
        for kind in ("keyDown", "keyUp"):
            await self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, modifiers=8 * shift, **extra)

    async def write(self, text: str) -> None:
        """Type a text where the focus is."""
        await self.call("Input.insertText", text=text)

    async def size(self, width: int, height: int, *, scale: float = 1) -> None:
        """Give the page a window of this size."""
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=width < 500,
        )

    async def prefer(self, **features: str) -> None:
        """Have the system prefer a colour scheme or less motion."""
        wanted = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        await self.call("Emulation.setEmulatedMedia", features=wanted)

    async def before_scripts(self, script: str) -> None:
        """Run a script in each page that opens from now on, ahead of its own."""
        await self.call("Page.addScriptToEvaluateOnNewDocument", source=script)

    async def screenshot(self) -> bytes:
        """A PNG of the window."""
        given = await self.call("Page.captureScreenshot", format="png")
        return base64.b64decode(given["data"])


@asynccontextmanager
async def tab(address: str) -> AsyncIterator[Tab]:
    """A fresh tab of a running browser."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(address, max_msg_size=0, autoping=True) as socket,
    ):
        opened = Tab(socket)
        listening = asyncio.create_task(opened.listen())
        try:
            context = (await opened.call("Target.createBrowserContext"))["browserContextId"]
            target = (await opened.call("Target.createTarget", url="about:blank", browserContextId=context))["targetId"]
            opened.session = (await opened.call("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
            for domain in ("Page", "Runtime", "Network", "Log", "Audits"):
                await opened.call(f"{domain}.enable")
            await opened.size(1280, 900)
            yield opened
            opened.session = ""
            await opened.call("Target.disposeBrowserContext", browserContextId=context)
        finally:
            listening.cancel()
