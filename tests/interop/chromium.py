"""A headless Chromium, driven over the DevTools protocol: pages, expressions in them, screenshots.

    async with Chromium.started(profile_directory) as browser:
        page = await browser.open("http://127.0.0.1:8080/")
        assert await page.evaluate("1 + await Promise.resolve(1)") == 2

Protocol: https://chromedevtools.github.io/devtools-protocol/. One WebSocket carries all pages, told apart by session.
"""

import asyncio
import base64
import contextlib
import itertools
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Self

import aiohttp

PROGRAM = "chromium"
START_TIMEOUT_S = 60.0
"""A first start in an empty profile, on a busy machine."""
COMMAND_TIMEOUT_S = 30.0
PORT_FILE = "DevToolsActivePort"
ALWAYS = (
    "--headless=new",
    "--no-sandbox",  # root has no other way
    "--remote-debugging-port=0",
    "--no-first-run",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
)


def microphone(wav: Path, *, loop: bool = False) -> str:
    """The option that has the fake microphone play ``wav``, once or again and again."""
    return f"--use-file-for-fake-audio-capture={wav}{'' if loop else '%noloop'}"


class PageError(Exception):
    """An expression threw, or the browser refused a command."""


class Chromium:
    """Made by `started`."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._pages: dict[str, Page] = {}
        self._reading = asyncio.create_task(self._read())

    @classmethod
    @contextlib.asynccontextmanager
    async def started(
        cls, profile: Path, options: Sequence[str] = (), enter: Sequence[str] = ()
    ) -> AsyncIterator[Self]:
        """A browser with an empty profile in ``profile``, killed at the end. ``enter`` is put before its command line."""
        await asyncio.to_thread(profile.mkdir, parents=True, exist_ok=True)
        command = [*enter, PROGRAM, *ALWAYS, f"--user-data-dir={profile}", *options, "about:blank"]
        with (profile / "log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *command, stdout=log, stderr=log, start_new_session=True
            )
        try:
            endpoint = await _endpoint(profile, process)
            async with aiohttp.ClientSession() as http, http.ws_connect(endpoint, max_msg_size=0) as socket:
                browser = cls(socket)
                try:
                    yield browser
                finally:
                    await browser._close()
        finally:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), 10)
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def open(self, url: str, *, width: int = 1280, height: int = 900) -> "Page":
        """A new page that has loaded ``url``."""
        target = await self.command("Target.createTarget", {"url": "about:blank"})
        attached = await self.command(
            "Target.attachToTarget", {"targetId": target["targetId"], "flatten": True}
        )
        page = self._pages[attached["sessionId"]] = Page(self, attached["sessionId"])
        for domain in ("Page", "Runtime", "Log"):
            await page.command(f"{domain}.enable")
        await page.resize(width, height)
        await page.navigate(url)
        return page

    async def command(
        self, method: str, params: dict[str, Any] | None = None, session: str | None = None
    ) -> dict[str, Any]:
        """The result of one command of the protocol. Raises `PageError`, or TimeoutError."""
        number = next(self._numbers)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        message: dict[str, Any] = {"id": number, "method": method, "params": params or {}}
        if session is not None:
            message["sessionId"] = session
        await self._socket.send_json(message)
        response = await asyncio.wait_for(answer, COMMAND_TIMEOUT_S)
        if "error" in response:
            raise PageError(f"{method}: {response['error']['message']}")
        result: dict[str, Any] = response["result"]
        return result

    async def _read(self) -> None:
        async for message in self._socket:
            event = message.json()
            if "id" in event:
                self._waiting.pop(event["id"]).set_result(event)
            elif (page := self._pages.get(event.get("sessionId", ""))) is not None:
                page.take(event["method"], event["params"])
        for answer in self._waiting.values():
            answer.cancel()

    async def _close(self) -> None:
        with contextlib.suppress(PageError, TimeoutError, ConnectionError, asyncio.CancelledError):
            await self.command("Browser.close")
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)


class Page:
    """One page. ``console`` has what it logged and what it did not get from the network, ``errors`` what went wrong
    in it and nobody caught, and what its own policy forbids."""

    def __init__(self, browser: Chromium, session: str) -> None:
        self.console: list[str] = []
        self.errors: list[str] = []
        self._browser = browser
        self._session = session
        self._loaded = asyncio.Event()

    async def command(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        return await self._browser.command(method, params, self._session)

    async def navigate(self, url: str) -> None:
        self._loaded.clear()
        result = await self.command("Page.navigate", {"url": url})
        if "errorText" in result:
            raise PageError(f"{url}: {result['errorText']}")
        await asyncio.wait_for(self._loaded.wait(), COMMAND_TIMEOUT_S)

    async def evaluate(self, expression: str) -> Any:
        """The value of ``expression``, which may await; raises `PageError` with what it threw."""
        result = await self.command(
            "Runtime.evaluate",
            {
                "expression": f"(async () => ({expression}))()",
                "awaitPromise": True,
                "returnByValue": True,
                "userGesture": True,
            },
        )
        if "exceptionDetails" in result:
            raise PageError(_describe(result["exceptionDetails"]))
        return result["result"].get("value")

    async def until(self, expression: str, timeout_s: float = 20.0) -> Any:
        """The value of ``expression`` as soon as it is true; TimeoutError says what it was, and what went wrong."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while not (value := await self.evaluate(expression)):
            if asyncio.get_running_loop().time() > deadline:
                raise TimeoutError(f"{expression} is {value!r}; errors: {self.errors}")
            await asyncio.sleep(0.05)
        return value

    async def resize(self, width: int, height: int, *, scale: float = 1.0, phone: bool = False) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": phone}
        await self.command("Emulation.setDeviceMetricsOverride", metrics)

    async def prefer(self, **features: str) -> None:
        """Media features of the user: ``prefer(prefers_color_scheme="dark")``."""
        chosen = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        await self.command("Emulation.setEmulatedMedia", {"features": chosen})

    async def screenshot(self, path: Path) -> None:
        shot = await self.command("Page.captureScreenshot", {"format": "png"})
        await asyncio.to_thread(path.write_bytes, base64.b64decode(shot["data"]))

    def take(self, method: str, params: dict[str, Any]) -> None:
        """An event of the protocol."""
        match method:
            case "Page.loadEventFired":
                self._loaded.set()
            case "Runtime.consoleAPICalled":
                self.console.append(" ".join(str(_shown(argument)) for argument in params["args"]))
            case "Runtime.exceptionThrown":
                self.errors.append(_describe(params["exceptionDetails"]))
            case "Log.entryAdded" if params["entry"]["level"] == "error":
                entry = params["entry"]
                told = self.console if entry["source"] == "network" else self.errors
                told.append(f"{entry['text']} {entry.get('url', '')}")
            case _:
                pass


def _describe(details: dict[str, Any]) -> str:
    return str(details.get("exception", {}).get("description") or details["text"])


def _shown(argument: dict[str, Any]) -> Any:
    return argument.get("value", argument.get("description"))


async def _endpoint(profile: Path, process: asyncio.subprocess.Process) -> str:
    """Where it listens, which it writes into a file as its first sign of life."""
    deadline = asyncio.get_running_loop().time() + START_TIMEOUT_S
    port_file = profile / PORT_FILE
    while True:
        lines = port_file.read_text().splitlines() if port_file.exists() else []
        if len(lines) == 2:
            return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
        if process.returncode is not None or asyncio.get_running_loop().time() > deadline:
            raise PageError(f"no browser: {(profile / 'log').read_text()[-2000:]}")
        await asyncio.sleep(0.05)
