"""A Chromium without a window, driven by its own protocol over two pipes: what a page shows, and what runs in it."""

import asyncio
import base64
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NO_BROWSER = "needs a browser: apt-get install chromium, then run this test again"
OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-proxy-server", "--remote-debugging-pipe")


class Tab:
    """A page of a browser."""

    def __init__(self, reader: asyncio.StreamReader, commands: int) -> None:
        self._reader = reader
        self._commands = commands
        self._numbers = count(1)
        self._session: dict[str, str] = {}
        self.said: list[dict[str, Any]] = []
        """Every event that has come."""

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Calls a method of the protocol, and returns its result."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters} | self._session
        await asyncio.to_thread(os.write, self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = json.loads((await self._reader.readuntil(b"\0"))[:-1])
            if answer.get("id") == number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result
            self.said.append(answer)

    async def begin(self) -> None:
        """Opens a tab that later calls are for."""
        target = (await self.call("Target.createTarget", url="about:blank"))["targetId"]
        attached = await self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = {"sessionId": attached["sessionId"]}
        for domain in ("Page", "Log", "Runtime"):
            await self.call(f"{domain}.enable")

    async def show(self, url: str, width: int = 1200, height: int = 800, *, dark: bool = False) -> None:
        """Opens an address on a screen of a size."""
        phone = width < 600
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])
        await self.call("Page.navigate", url=url)
        await self.value("new Promise(done => document.readyState == 'complete' ? done(1) : onload = () => done(1))")

    async def value(self, script: str) -> Any:
        """Returns the value of a script in the page. The page's own policy does not hold for it."""
        found = await self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    async def picture(self, file: Path) -> None:
        """Writes what the page looks like, as PNG."""
        data = (await self.call("Page.captureScreenshot", format="png"))["data"]
        await asyncio.to_thread(file.write_bytes, base64.b64decode(data))

    def forbidden(self) -> list[str]:
        """Returns what the policy of a page forbade, in the words of the browser."""
        entries = [each["params"]["entry"] for each in self.said if each.get("method") == "Log.entryAdded"]
        return [entry["text"] for entry in entries if "Content Security Policy" in entry["text"]]


@asynccontextmanager
async def a_tab(folder: Path) -> AsyncIterator[Tab]:
    """Starts a browser with its data in a folder, and ends it."""
    assert CHROMIUM is not None
    (for_it, commands), (answers, of_it) = os.pipe(), os.pipe()

    browser = await asyncio.create_subprocess_exec(
        # The browser reads commands from 3 and writes answers to 4.
        *("bash", "-c", f'exec "$@" 3<&{for_it} 4>&{of_it}', "browser"),
        *(CHROMIUM, *OPTIONS, f"--user-data-dir={folder / 'browser'}"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        pass_fds=(for_it, of_it),
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
    )
    os.close(for_it)
    os.close(of_it)
    reader = asyncio.StreamReader(limit=64 * 1024 * 1024)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(answers, "rb")
    )
    try:
        async with asyncio.timeout(90):
            tab = Tab(reader, commands)
            await tab.begin()
            yield tab
    finally:
        browser.terminate()
        await browser.wait()
        transport.close()
        os.close(commands)
