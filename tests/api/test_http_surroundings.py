"""The routes beside /graphql: health, metrics and the files of the local store; and the CORS headers."""

from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute

from likeness.http.health import health_routes
from likeness.http.limits import CORS_HEADERS, CORS_METHODS
from likeness.http.media import media_route
from tests.api.http_stage import PREFLIGHT, stage


def _client(*routes: BaseRoute) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=Starlette(routes=list(routes)))
    return httpx.AsyncClient(transport=transport, base_url="http://localhost")


@pytest.mark.parametrize(
    ("parts", "status", "ok"),
    [({"database": True, "bus": True}, 200, True), ({"database": True, "bus": False}, 503, False)],
)
async def test_readiness(parts: dict[str, bool], status: int, ok: bool) -> None:
    """/readyz is 200 when every part can work and names the one that cannot."""

    async def ready() -> Mapping[str, bool]:
        return parts

    async with _client(*health_routes(ready=ready)) as client:
        response = await client.get("/readyz")
    assert (status, {"ok": ok, "parts": parts}) == (response.status_code, response.json())


async def test_a_readiness_check_that_fails() -> None:
    """Not being able to tell is not being ready; being alive needs no check."""

    async def ready() -> Mapping[str, bool]:
        raise RuntimeError("the pool is gone")

    async with _client(*health_routes(ready=ready)) as client:
        readiness = await client.get("/readyz")
        liveness = await client.get("/healthz")
    assert (readiness.status_code, readiness.json()["ok"]) == (503, False)
    assert "pool" not in readiness.text
    assert (liveness.status_code, liveness.json()) == (200, {"ok": True})


async def test_metrics() -> None:
    """/metrics is Prometheus text."""

    async def ready() -> Mapping[str, bool]:
        return {}

    registry = CollectorRegistry()
    Counter("pictures", "Pictures made.", registry=registry).inc(3)
    async with _client(*health_routes(ready=ready, registry=registry)) as client:
        response = await client.get("/metrics")
    assert "pictures_total 3.0" in response.text
    assert response.headers["content-type"].startswith("text/plain")


def _media(root: Path) -> httpx.AsyncClient:
    def verify(path: str, params: Mapping[str, str]) -> bool:
        return path.startswith("public/") or params.get("signature") == "good"

    return _client(media_route(root, verify))


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A store with one public and one private file, and a secret beside it."""
    root = tmp_path / "assets"
    (root / "public").mkdir(parents=True)
    (root / "public" / "a.png").write_bytes(b"png")
    (root / "public" / "a.html").write_bytes(b"<script>")
    (root / "photo.jpg").write_bytes(b"photo")
    (tmp_path / "secret").write_bytes(b"secret")
    (root / "public" / "link").symlink_to(tmp_path / "secret")
    return root


async def test_a_public_file(files: Path) -> None:
    """Served with its type, cached for long, and unable to act as a page."""
    async with _media(files) as client:
        response = await client.get("/media/public/a.png")
        part = await client.get("/media/public/a.png", headers={"range": "bytes=1-1"})
        page = await client.get("/media/public/a.html")
    assert (response.status_code, response.content, response.headers["content-type"]) == (200, b"png", "image/png")
    assert "immutable" in response.headers["cache-control"]
    assert response.headers["content-security-policy"] == "default-src 'none'"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert (part.status_code, part.content) == (206, b"n")
    assert page.headers["content-type"] == "application/octet-stream"


async def test_a_private_file(files: Path) -> None:
    """Only with a good signature, and then not for shared caches."""
    async with _media(files) as client:
        good = await client.get("/media/photo.jpg?signature=good")
        forged = await client.get("/media/photo.jpg?signature=forged")
        bare = await client.get("/media/photo.jpg")
    assert (good.status_code, good.content) == (200, b"photo")
    assert good.headers["cache-control"].startswith("private")
    assert [forged.status_code, bare.status_code] == [403, 403]
    assert forged.json()["errors"][0]["extensions"]["code"] == "FORBIDDEN"


@pytest.mark.parametrize(
    "path",
    [
        "public/gone.png",
        "public/",
        "public/../../secret",
        "public/%2e%2e/%2e%2e/secret",
        "public/..%2f..%2fsecret",
        "public/..%5c..%5csecret",
        "public//etc/passwd",
        "public/%00",
        "public/link",
        "public/" + "x" * 300,
    ],
)
async def test_what_is_not_there(files: Path, path: str) -> None:
    """A missing file, a folder and every way out of the store are 404."""
    async with _media(files) as client:
        response = await client.get(f"/media/{path}")
    assert response.status_code == 404
    assert b"secret" not in response.content


@pytest.mark.parametrize(("origin", "allowed"), [("https://app.example", True), ("https://evil.example", False)])
async def test_cors_with_our_headers(tmp_path: Path, origin: str, allowed: bool) -> None:
    """A browser app on a listed origin may send every header that uploads and sign-in need."""
    app = CORSMiddleware(
        stage(tmp_path).app,
        allow_origins=["https://app.example"],
        allow_methods=CORS_METHODS,
        allow_headers=CORS_HEADERS,
    )
    asked = ", ".join(["content-type", "authorization", *PREFLIGHT])
    headers = {"origin": origin, "access-control-request-method": "POST", "access-control-request-headers": asked}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://localhost") as client:
        response = await client.options("/graphql", headers=headers)
    assert allowed == (response.status_code == 200)
    assert allowed == (response.headers.get("access-control-allow-origin") == origin)
