"""A headless Chromium, driven over its DevTools protocol."""

import asyncio
import json
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect

from tests.e2e.crashing.caller import until
from tests.services_for_tests import missing

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--no-proxy-server",
    "--disable-background-networking", "--disable-component-update", "--disable-extensions", "--window-size=1400,900",
    # No name is resolved, so nothing is reached but what the address of this machine names.
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1", "--remote-debugging-port=0",
)  # fmt: skip
START_SECONDS = 20
CONTROL = 2
MIDDLE = """element => {
  const { x, y, width, height } = element?.getBoundingClientRect() ?? {};
  const middle = [x + width / 2, y + height / 2];
  return width && element.contains(document.elementFromPoint(...middle)) && middle;
}"""


@contextmanager
def chromium(folder: Path) -> Iterator[str]:
    """Chromium with `folder` as its profile, until the block ends; the address of its DevTools."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        missing("Chromium", reason=f"none of {', '.join(NAMES)} is on the PATH (Debian: apt install chromium)")
    with (folder / "log").open("wb") as log:
        command = [program, *FLAGS, f"--user-data-dir={folder}", "about:blank"]
        environ = os.environ | {"HOME": str(folder)}
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environ)
    try:
        yield f"http://127.0.0.1:{_port(process, folder)}"
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=10)
        process.kill()
        process.wait()


def _port(process: subprocess.Popen[bytes], folder: Path) -> int:
    told = folder / "DevToolsActivePort"
    end = time.monotonic() + START_SECONDS
    while not (told.exists() and told.read_text().count("\n")):
        log = (folder / "log").read_text(errors="replace")
        assert process.poll() is None, f"Chromium ended:\n{log}"
        assert time.monotonic() < end, f"Chromium does not listen:\n{log}"
        time.sleep(0.05)
    return int(told.read_text().splitlines()[0])


@dataclass
class Page:
    """One tab; `asked` are the addresses it asked for, `errors` what went wrong in it."""

    connection: ClientConnection
    asked: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=count)

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """The answer to one command; what happened meanwhile is noted."""
        number = next(self._numbers)
        await self.connection.send(json.dumps({"id": number, "method": method, "params": params}))
        while (message := json.loads(await self.connection.recv())).get("id") != number:
            self._note(message["method"], message["params"])
        assert "error" not in message, f"{method}: {message}"
        result: dict[str, Any] = message["result"]
        return result

    async def value(self, expression: str) -> Any:
        """What a JavaScript expression is; promises are waited for."""
        done = await self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in done, f"{expression}: {done['exceptionDetails']}"
        return done["result"].get("value")

    async def until(self, expression: str, *, seconds: float = 20) -> Any:
        """Wait until an expression is true; its value."""
        try:
            return await until(lambda: self.value(expression), seconds=seconds)
        except TimeoutError:
            text = await self.value("document.body.innerText")
            raise AssertionError(f"never true: {expression}\n{self.errors}\n{text}") from None

    async def click(self, element: str) -> None:
        """Press the mouse in the middle of the element that an expression gives, once it is there and uncovered."""
        x, y = await self.until(f"({MIDDLE})({element})")
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            await self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    async def press(self, key: str, *, code: int, modifiers: int = 0) -> None:
        """Press and release one key."""
        for kind in ("rawKeyDown", "keyUp"):
            await self.call(
                "Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, modifiers=modifiers
            )

    async def write(self, element: str, text: str) -> None:
        """Write into an editor in place of all that it holds."""
        await self.click(element)
        await self.press("a", code=ord("A"), modifiers=CONTROL)
        await self.call("Input.insertText", text=text)

    def _note(self, event: str, params: dict[str, Any]) -> None:
        if event == "Network.requestWillBeSent" and not params["request"]["url"].startswith("data:"):
            self.asked.append(params["request"]["url"])
        elif event == "Network.webSocketCreated":
            self.asked.append(params["url"])
        elif event == "Runtime.exceptionThrown":
            self.errors.append(f"exception: {params['exceptionDetails']}")
        elif event == "Runtime.consoleAPICalled" and params["type"] == "error":
            self.errors.append(f"console: {params['args']}")
        elif event == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(f"{params['entry']['source']}: {params['entry']['text']} {params['entry'].get('url')}")


@asynccontextmanager
async def opened(tools: str, url: str) -> AsyncIterator[Page]:
    """A new tab on `url`, until the block ends."""
    async with httpx.AsyncClient(trust_env=False) as http:
        tab = (await http.put(f"{tools}/json/new?about:blank")).json()
    async with connect(tab["webSocketDebuggerUrl"], max_size=None, proxy=None) as connection, asyncio.timeout(60):
        page = Page(connection)
        for domain in ("Network", "Runtime", "Log", "Page"):
            await page.call(f"{domain}.enable")
        await page.call("Page.navigate", url=url)
        yield page
        await page.call("Page.close")
