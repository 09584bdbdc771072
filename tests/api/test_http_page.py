"""GraphiQL over HTTP: the page's headers, and the files below its address."""

import re
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from likeness.http.page import page_files_route
from tests.api.http_stage import stage


async def page(tmp_path: Path) -> httpx.Response:
    """What a browser gets that opens the address of the API."""
    async with stage(tmp_path).client() as client:
        return await client.get("/graphql", headers={"accept": "text/html"})


async def get(address: str) -> httpx.Response:
    """GET of a path, which is sent as it stands."""
    app = Starlette(routes=[page_files_route()])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://us") as client:
        return await client.get(address)


async def addresses(tmp_path: Path) -> list[str]:
    """What the page loads."""
    return [f"/{address}" for address in re.findall(r'(?:src|href)="([^"]+)"', (await page(tmp_path)).text)]


async def test_the_page_may_load_nothing_from_elsewhere(tmp_path: Path) -> None:
    """The policy names our own origin alone, and no inline script runs."""
    headers = (await page(tmp_path)).headers
    directives = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert ("'none'", "'self'") == (directives["default-src"], directives["script-src"])
    allowed = {word for words in directives.values() for word in words.split()}
    assert {"'none'", "'self'", "'unsafe-inline'", "data:"} == allowed
    assert ["style-src"] == [name for name, words in directives.items() if "'unsafe-inline'" in words]
    others = [headers[name] for name in ("vary", "x-frame-options", "x-content-type-options", "cache-control")]
    assert ["Accept", "DENY", "nosniff", "no-cache"] == others


async def test_the_files_of_the_page(tmp_path: Path) -> None:
    """Every file is there with its type, and may be kept for good."""
    types = {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8", "svg": "image/svg+xml"}
    loaded = await addresses(tmp_path)
    assert len(loaded) > 5
    for address in loaded:
        answer = await get(address)
        assert (200, types[address.rpartition(".")[2]]) == (answer.status_code, answer.headers["content-type"])
        assert "public, max-age=31536000, immutable" == answer.headers["cache-control"]
        assert "nosniff" == answer.headers["x-content-type-options"]


@pytest.mark.parametrize(
    "name",
    [
        "published.json", "index.html", "LICENSES.md", "gone.js", "", ".", "..", "../page.py", "%2e%2e%2fpage.py",
        "..%5cpage.py", "page.js%00", "PAGE.JS",
    ],
)  # fmt: skip
async def test_no_other_file(tmp_path: Path, *, name: str) -> None:
    """What the page does not load is not there, and no way leads out of the folder."""
    folder = (await addresses(tmp_path))[0].rpartition("/")[0]
    assert 404 == (await get(f"{folder}/{name}")).status_code


async def test_an_address_of_another_version(tmp_path: Path) -> None:
    """A file of today is never given out, and kept for good, under an address of yesterday."""
    name = (await addresses(tmp_path))[0].rpartition("/")[2]
    answer = await get(f"/graphql/assets/0000000000000000/{name}")
    assert (404, "no-store") == (answer.status_code, answer.headers["cache-control"])
