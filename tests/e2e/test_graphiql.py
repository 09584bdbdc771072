"""GraphiQL in a real browser, with nothing but this machine to be reached."""

import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt
import pytest

from tests.e2e import main_job
from tests.e2e.browser import CONTROL, Page, chromium, opened
from tests.e2e.conftest import Server
from tests.e2e.crashing.caller import Caller

SECRET = "a secret of thirty-two characters"
FOLLOW = "subscription ($id: ID!) { trainingProgress(trainingId: $id) { seq status percent } }"
QUERY = "document.querySelector('.graphiql-query-editor .CodeMirror')"
TOOL = "document.querySelector('.graphiql-editor-tool .graphiql-editor:not(.hidden) .CodeMirror')"
RESULT = "document.querySelector('.graphiql-response .CodeMirror')?.CodeMirror"
# The editor's own event, because some answers are replaced before anybody could look.
NOTE_RESULTS = (
    f"(editor => {{ window.shown = []; editor.on('change', () => shown.push(editor.getValue())) }})({RESULT})"
)


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The DevTools of one browser."""
    with chromium(tmp_path_factory.mktemp("chromium")) as address:
        yield address


@asynccontextmanager
async def graphiql(tools: str, url: str) -> AsyncIterator[Page]:
    """GraphiQL of the server at `url`, drawn; afterwards every request is seen to have gone to that server."""
    async with opened(tools, f"{url}/graphql") as page:
        await page.until(f"{QUERY} && {RESULT} && true")
        await page.value(NOTE_RESULTS)
        yield page
        assert {urlsplit(url).netloc} == {urlsplit(address).netloc for address in page.asked}


async def run(page: Page, document: str, **variables: Any) -> None:
    """Write a document and its variables, and press Ctrl-Enter; GraphiQL reads a document after a pause only."""
    if variables:
        await page.click(button("Variables"))
        await page.write(TOOL, json.dumps(variables))
    await page.write(QUERY, document)
    await page.until(f"{QUERY}.CodeMirror.documentAST?.loc.source.body === {json.dumps(document)}")
    await page.press("Enter", code=13, modifiers=CONTROL)


async def answer(page: Page, field: str) -> Any:
    """What is shown for one field, once it is there."""
    shown = f"(text => text.includes('\"{field}\"') && JSON.parse(text).data?.{field})({RESULT}.getValue())"
    return await page.until(shown)


def button(text: str) -> str:
    """The expression for a button with a text or a label."""
    return f"[...document.querySelectorAll('button')].find(one => [one.innerText, one.ariaLabel].includes('{text}'))"


def menu_item(text: str) -> str:
    """The expression for an entry of the menu that is open."""
    return f"[...document.querySelectorAll('[role=menuitem]')].find(one => one.innerText === '{text}')"


async def followed(page: Page, id: str) -> list[dict[str, Any]]:
    """Follow a training, from its newest event on, until GraphiQL offers to run again; every event that was shown."""
    await page.value("void (shown.length = 0)")
    await run(page, FOLLOW, id=id)
    await page.until(f"!!{button('Stop query (Ctrl-Enter)')}")
    await page.until(f"!!{button('Execute query (Ctrl-Enter)')}")
    texts = await page.value("shown")
    return [json.loads(text)["data"]["trainingProgress"] for text in texts if "trainingProgress" in text]


async def choose(page: Page, files: list[Path]) -> None:
    """Choose files in the panel for them."""
    await page.click(button("Show Files"))
    chooser = "document.querySelector('.files-panel input')"
    await page.until(f"!!{chooser}")
    node = await page.call("Runtime.evaluate", expression=chooser)
    await page.call("DOM.setFileInputFiles", files=list(map(str, files)), objectId=node["result"]["objectId"])
    await page.until("document.querySelector('.files-panel').innerText.includes('file:4')")


async def test_the_whole_job_in_a_browser(server: Callable[..., Server], photos: list[Path], *, tools: str) -> None:
    """A preset query, photos chosen in a panel, and a training followed live to its end, without any error."""
    async with graphiql(tools, server(SANDBOX_SPEED=200).url) as page:
        await page.until("!!document.querySelector('.graphiql-execute-button[aria-haspopup=menu]')")
        await page.click(button("Execute query (Ctrl-Enter)"))
        await page.click(menu_item("Quota"))
        assert 30 == (await answer(page, "quota"))["remaining"]
        wanted = {"photos": [f"file:{number}" for number in range(5)]}
        await run(page, main_job.UPLOAD, input=wanted)
        await page.until(f"{RESULT}.getValue().includes('file:0 is not chosen yet')")
        await choose(page, photos[:5])
        await run(page, main_job.UPLOAD, input=wanted)
        uploaded = await answer(page, "uploadPhotos")
        assert [] == uploaded["userErrors"]
        ids = [photo["id"] for photo in uploaded["photos"]]
        assert [640] * 5 == [photo["width"] for photo in uploaded["photos"]]
        await run(page, main_job.START, input={"modelName": "Me", "photoIds": ids})
        training = (await answer(page, "startTraining"))["training"]["id"]
        events = await followed(page, training)
        assert "COMPLETED" == events[-1]["status"]
        numbers = [event["seq"] for event in events]
        assert sorted(set(numbers)) == numbers
        assert len(numbers) > 3
        assert [] == page.errors


async def test_the_headers_sign_in(server: Callable[..., Server], photos: list[Path], *, tools: str) -> None:
    """What is written under Headers reaches the server, over HTTP and websocket; without it nobody is signed in."""
    url = server(JWT_SECRET=SECRET, SANDBOX_SPEED=300).url
    token = jwt.encode({"sub": "anna", "exp": time.time() + 600}, SECRET, algorithm="HS256")
    caller = Caller(url=url, token=token)
    training = await caller.train(await caller.upload(photos[:5]), "first")
    async with graphiql(tools, url) as page:
        await run(page, FOLLOW, id=training)
        await page.until(f"{RESULT}.getValue().includes('Socket closed with event 4403')")
        await run(page, main_job.QUOTA)
        await page.until(f"{RESULT}.getValue().includes('UNAUTHENTICATED')")
        await page.click(button("Headers"))
        await page.write(TOOL, json.dumps({"authorization": f"Bearer {token}"}))
        await run(page, main_job.QUOTA)
        assert 20 == (await answer(page, "quota"))["dailyUsed"]
        assert "COMPLETED" == (await followed(page, training))[-1]["status"]
        assert [] == [error for error in page.errors if "401" not in error and "4403" not in error]
