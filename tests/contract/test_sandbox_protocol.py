"""The sandbox seen by the official fal-client: every call below goes through the real client, in process."""

import asyncio
import base64
import hashlib
import io
import json
import stat
import time
import zipfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from asyncstdlib import cached_property
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from fal_client import AsyncClient, Completed, InProgress, Queued, StorageSettings
from fal_client.client import AsyncCDNTokenManager, AsyncMultipartUpload, CDNToken, FalClientHTTPError
from PIL import Image, ImageDraw
from starlette.applications import Starlette

from likeness.sandbox.app import create_sandbox
from likeness.sandbox.safetensors import HEADER_LIMIT
from likeness.sandbox.webhooks import WAITS, Webhooks

TRAINER = "fal-ai/flux-lora-fast-training"
GENERATOR = "fal-ai/flux-lora"


class Clock:
    """Time that only the test moves."""

    def __init__(self) -> None:
        self.time = 1_800_000_000.0

    def __call__(self) -> float:
        return self.time


class InProcessTokens(AsyncCDNTokenManager):
    """The client's token manager over the app instead of the network."""

    def __init__(self, auth: Any, app: Starlette) -> None:
        super().__init__(auth)
        self._app = app

    async def _refresh_token(self) -> CDNToken:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self._app)) as client:
            data = (await client.post(self._url, headers=self._headers, json={})).raise_for_status().json()
        return CDNToken(data["token"], data["token_type"], data["base_url"], datetime.fromisoformat(data["expires_at"]))


class InProcessClient(AsyncClient):
    """fal's client with its three HTTP clients over the app instead of the network."""

    def __init__(self, app: Starlette) -> None:
        super().__init__(key="k")
        self.app = app

    @cached_property(asyncio.Lock)
    async def _client(self) -> httpx.AsyncClient:
        headers = {"Authorization": (await self._auth).header_value}
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.app), headers=headers)

    @cached_property(asyncio.Lock)
    async def _token_manager(self) -> AsyncCDNTokenManager:
        return InProcessTokens(await self._auth, self.app)

    @asynccontextmanager
    async def _cdn_client(self) -> AsyncIterator[httpx.AsyncClient]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app)) as client:
            yield client


@pytest.fixture
def clock() -> Clock:
    """The sandbox's time."""
    return Clock()


@pytest.fixture
def app(tmp_path: Path, clock: Clock) -> Starlette:
    """A sandbox at speed 1."""
    return create_sandbox(tmp_path, now=clock)


@pytest.fixture
async def fal(app: Starlette, clock: Clock) -> AsyncIterator[InProcessClient]:
    """The official client on the sandbox. Its tokens are checked against real time, so the clock starts near it."""
    clock.time = time.time()
    client = InProcessClient(app)
    yield client
    await (await client._client).aclose()
    await app.state.sandbox.stop()


@pytest.fixture
async def http(app: Starlette) -> AsyncIterator[httpx.AsyncClient]:
    """A plain client with a key, for what fal's client has no call for."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, headers={"Authorization": "Key k"}) as client:
        yield client


def photo(colour: tuple[int, int, int], shift: int = 0) -> bytes:
    """A small drawn photo as JPEG."""
    image = Image.new("RGB", (128, 160), colour)
    ImageDraw.Draw(image).ellipse((30 + shift, 30, 100 + shift, 130), fill=(220, 170, 140))
    data = io.BytesIO()
    image.save(data, "JPEG")
    return data.getvalue()


def archive(colour: tuple[int, int, int] = (200, 60, 40), *, photos: int = 5) -> bytes:
    """A training archive of drawn photos."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        for n in range(photos):
            file.writestr(f"image_{n:03}.jpg", photo(colour, n))
    return data.getvalue()


@pytest.fixture
def train(fal: InProcessClient, clock: Clock) -> Callable[..., Any]:
    """Uploads an archive, trains on it and returns the output."""

    async def run(data: bytes, *, endpoint: str = TRAINER, key: str = "images_data_url", **more: Any) -> Any:
        url = await fal.upload(data, "application/zip", "photos.zip")
        handle = await fal.submit(endpoint, {key: url, "steps": 100, **more})
        clock.time += 100
        return await handle.get()

    return run


@pytest.fixture
def draw(fal: InProcessClient, clock: Clock, http: httpx.AsyncClient) -> Callable[..., Any]:
    """Generates and returns the output and the first picture."""

    async def run(endpoint: str = GENERATOR, **body: Any) -> Any:
        handle = await fal.submit(endpoint, body)
        clock.time += 5
        output = await handle.get()
        first = output["images"][0] if "images" in output else output["image"]
        file = (await http.get(first["url"])).raise_for_status()
        image = Image.open(io.BytesIO(file.content))
        assert ((first["width"], first["height"]), first["content_type"]) == (image.size, file.headers["content-type"])
        return output, image.convert("RGB")

    return run


async def refused(fal: InProcessClient, clock: Clock, endpoint: str, body: Any) -> FalClientHTTPError:
    """The error of a result."""
    handle = await fal.submit(endpoint, body)
    clock.time += 500
    assert isinstance(await handle.status(), Completed)
    with pytest.raises(FalClientHTTPError) as caught:
        await handle.get()
    return caught.value


async def test_a_training_from_submit_to_weights(fal: InProcessClient, clock: Clock, http: httpx.AsyncClient) -> None:
    """Queue, growing log, end, and a valid safetensors file that says it is simulated."""
    url = await fal.upload(archive(), "application/zip", "photos.zip")
    handle = await fal.submit(TRAINER, {"images_data_url": url, "trigger_word": "ANNA", "steps": 1000})
    assert Queued(position=2) == await handle.status(with_logs=True)
    lengths = []
    for _ in range(3):
        clock.time += 100
        status = await handle.status(with_logs=True)
        assert isinstance(status, InProgress)
        lengths.append(len(status.logs or []))
    assert (sorted(set(lengths)), InProgress(logs=None)) == (lengths, await handle.status())
    clock.time += 100
    done = await handle.status(with_logs=True)
    assert isinstance(done, Completed)
    assert (None, pytest.approx(376.0)) == (done.error, done.metrics["inference_time"])
    assert {"message", "timestamp", "level", "source"} == set((done.logs or [])[0])
    output = await handle.get()
    weights = (await http.get(output["diffusers_lora_file"]["url"])).raise_for_status()
    header = safetensors_header(weights.content)
    metadata = header.pop("__metadata__")
    assert tuple(metadata[k] for k in ("simulated", "trigger_word", "steps", "images")) == ("true", "ANNA", "1000", "5")
    assert output["diffusers_lora_file"]["file_size"] == len(weights.content)
    assert (len(header), all(name.endswith(".weight") for name in header)) == (2, True)
    assert (await http.get(output["config_file"]["url"])).json()["trigger_word"] == "ANNA"


def safetensors_header(data: bytes) -> dict[str, Any]:
    """The header, after checking that the offsets tile the rest of the file."""
    length = int.from_bytes(data[:8], "little")
    assert length <= HEADER_LIMIT
    header: dict[str, Any] = json.loads(data[8 : 8 + length])
    offsets = sorted(t["data_offsets"] for name, t in header.items() if name != "__metadata__")
    assert [0, *(end for _, end in offsets)] == [*(start for start, _ in offsets), len(data) - 8 - length]
    return header


async def test_a_bad_body_is_accepted_and_refused_with_the_result(fal: InProcessClient, clock: Clock) -> None:
    """The 422 comes only with the result; the status tells no error."""
    error = await refused(fal, clock, TRAINER, {"images_data_url": 5})
    wrong = {"loc": ["body", "images_data_url"], "msg": "str type expected", "type": "type_error.str"}
    assert (422, [wrong]) == (error.status_code, error.message)


@pytest.mark.parametrize("url", ["https://example.com/a.zip", "file:///etc/passwd", "http://[", "\ud800"])
async def test_foreign_files_are_not_fetched(fal: InProcessClient, clock: Clock, url: str) -> None:
    """An address outside the sandbox's storage cannot be downloaded."""
    trained = await refused(fal, clock, TRAINER, {"images_data_url": url.encode("utf-8", "replace").decode()})
    drawn = await refused(fal, clock, GENERATOR, {"prompt": "p", "loras": [{"path": "https://example.com/l"}]})
    assert (
        trained.message[0]["type"],
        trained.message[0]["loc"],
    ) == ("file_download_error", ["body", "images_data_url"])
    assert drawn.message[0]["loc"] == ["body", "loras", 0, "path"]


def _zip(**entries: bytes) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in entries.items():
            file.writestr(name, content)
    return data.getvalue()


@pytest.mark.parametrize(
    ("data", "type"),
    [
        (b"no zip", "invalid_archive"),
        (archive(photos=3), "value_error"),
        (_zip(**{f"{n}.jpg": photo((9, 9, 9))[:900] for n in range(5)}), "image_load_error"),
        (_zip(**{f"{n}.jpg": bytes(21 << 20) for n in range(4)}), "invalid_archive"),
        (_zip(**{f"{n}.jpg": b"" for n in range(401)}), "invalid_archive"),
        (archive()[:-30], "invalid_archive"),
    ],
    ids=["text", "three", "truncated", "bomb", "entries", "cut"],
)
async def test_bad_archives_are_refused(fal: InProcessClient, clock: Clock, data: bytes, type: str) -> None:
    """What is no good archive of at least four decodable photos is a 422 on the archive."""
    url = await fal.upload(data, "application/zip", "photos.zip")
    error = await refused(fal, clock, TRAINER, {"images_data_url": url})
    assert (422, type, ["body", "images_data_url"]) == (
        error.status_code,
        error.message[0]["type"],
        error.message[0]["loc"],
    )


async def test_each_trainer_names_its_weights_like_fal(fal: InProcessClient, train: Callable[..., Any]) -> None:
    """qwen answers `lora_file`; the caption trainers need a caption and take `image_data_url`."""
    qwen = await train(archive(), endpoint="fal-ai/qwen-image-trainer", key="image_data_url")
    flux2 = await train(
        archive(), endpoint="fal-ai/flux-2-trainer", key="image_data_url", default_caption="photo of ANNA"
    )
    assert ({"lora_file", "config_file"}, {"diffusers_lora_file", "config_file"}) == (set(qwen), set(flux2))
    with pytest.raises(FalClientHTTPError) as caught:
        await train(archive(), endpoint="fal-ai/flux-2-trainer", key="image_data_url")
    assert caught.value.message[0]["loc"] == ["body", "default_caption"]


async def test_a_picture_depends_on_prompt_seed_and_photos(train: Callable[..., Any], draw: Callable[..., Any]) -> None:
    """Each reason changes the pixels, and the same input and seed give the same ones."""
    red, green = [
        (await train(archive(colour)))["diffusers_lora_file"]["url"] for colour in ((200, 60, 40), (20, 160, 90))
    ]
    base = {"prompt": "ANNA in a city", "seed": 7, "image_size": "square", "loras": [{"path": red, "scale": 1}]}
    changes: list[dict[str, Any]] = [{}, {}, {"prompt": "ANNA at sea"}, {"seed": 8}, {"loras": [{"path": green}]}]
    drawn = [(await draw(**{**base, **change}))[1].tobytes() for change in changes]
    assert (drawn[0], 4) == (drawn[1], len(set(drawn)))


async def test_the_output_of_a_generation(draw: Callable[..., Any]) -> None:
    """Number, size, format, seed, prompt and flags are as asked."""
    output, image = await draw(prompt="p", num_images=3, image_size={"width": 320, "height": 200}, output_format="png")
    assert (len(output["images"]), output["has_nsfw_concepts"], output["prompt"]) == (3, [False] * 3, "p")
    assert ((320, 200), "image/png", int) == (image.size, output["images"][0]["content_type"], type(output["seed"]))
    assert ((await draw(prompt="p", seed=7))[0]["seed"], (await draw(prompt="p"))[1].size) == (7, (1024, 768))


async def test_pictures_from_pictures(fal: InProcessClient, draw: Callable[..., Any]) -> None:
    """Image-to-image and ghiblify take a stored file or a data URI and keep its shape; ghiblify answers one `image`."""
    stored = await fal.upload(photo((90, 90, 200)), "image/jpeg", "me.jpg")
    inline = "data:image/jpeg;base64," + base64.b64encode(photo((90, 90, 200))).decode()
    painted, image = await draw("fal-ai/ghiblify", image_url=inline, seed=1)
    _, mixed = await draw("fal-ai/flux-lora/image-to-image", image_url=stored, prompt="sea", seed=1)
    assert ({"image"}, (128, 160), (128, 160)) == (set(painted), image.size, mixed.size)


@pytest.mark.parametrize("url", ["data:image/png;base64,AAAA", "data:,x", "https://example.com/a.jpg", "nothing"])
async def test_unreadable_pictures_are_refused(fal: InProcessClient, clock: Clock, url: str) -> None:
    """An input picture that cannot be read is a 422 on image_url."""
    error = await refused(fal, clock, "fal-ai/ghiblify", {"image_url": url})
    assert (error.status_code, error.message[0]["loc"]) == (422, ["body", "image_url"])


async def test_failures_on_demand(fal: InProcessClient, clock: Clock, draw: Callable[..., Any]) -> None:
    """The three words fail a job in fal's three ways."""
    failed = await fal.submit(GENERATOR, {"prompt": "[fail]"})
    clock.time += 5
    status = await failed.status()
    assert isinstance(status, Completed)
    assert (status.error, status.error_type) == ("Internal server error", "internal_server_error")
    broken = await refused(fal, clock, GENERATOR, {"prompt": "[fail]"})
    policy = await refused(fal, clock, GENERATOR, {"prompt": "[policy]"})
    assert (broken.status_code, broken.error_type) == (500, "internal_server_error")
    assert (policy.status_code, policy.message[0]["type"]) == (422, "content_policy_violation")
    output, image = await draw(prompt="[nsfw]", image_size="square")
    assert (output["has_nsfw_concepts"], image.convert("L").getextrema()) == ([True], (0, 0))


async def test_cancel(fal: InProcessClient, clock: Clock) -> None:
    """A running job stops, tells so in status and result, and cannot be cancelled again; unknown ones are not found."""
    handle = await fal.submit(TRAINER, {"images_data_url": await fal.upload(archive(), "application/zip", "a.zip")})
    clock.time += 30
    await handle.cancel()
    clock.time += 2
    status = await handle.status()
    assert isinstance(status, Completed)
    assert (status.error, status.error_type) == ("Request was cancelled", "client_cancelled")
    with pytest.raises(FalClientHTTPError) as result:
        await handle.get()
    with pytest.raises(FalClientHTTPError) as again:
        await handle.cancel()
    with pytest.raises(FalClientHTTPError) as unknown:
        await fal.cancel(TRAINER, "00000000-0000-0000-0000-000000000000")
    codes = [caught.value.status_code for caught in (result, again, unknown)]
    assert (codes, again.value.message) == ([499, 400, 404], '{"status":"ALREADY_COMPLETED"}')


async def test_plain_answers_of_the_queue(http: httpx.AsyncClient, clock: Clock) -> None:
    """Status codes, dropped sub-path, and the refusals of key, endpoint and unfinished result."""
    url = "https://queue.fal.run/fal-ai/flux-lora/image-to-image"
    answer = (await http.post(url, json={"prompt": "p"})).json()
    address = f"https://queue.fal.run/fal-ai/flux-lora/requests/{answer['request_id']}"
    assert (address, f"{address}/status") == (answer["response_url"], answer["status_url"])
    early = await http.get(address)
    assert (early.status_code, early.json()) == (400, {"detail": "Request is still in progress"})
    codes = [(await http.get(f"{address}/status?logs=1")).status_code]
    clock.time += 10
    codes.append((await http.get(f"{address}/status?logs=1")).status_code)
    kept_subpath = await http.get(f"{url}/requests/{answer['request_id']}")
    other_app = await http.get(address.replace("flux-lora", "flux-krea-lora"))
    clock.time += 3600
    expired = await http.get(address)
    assert [
        *codes,
        kept_subpath.status_code,
        other_app.status_code,
        expired.status_code,
    ] == [202, 200, 405, 404, 404]
    missing = await http.post("https://queue.fal.run/fal-ai/lora-trainer", json={})
    keyless = await http.post(url, json={}, headers={"Authorization": "Key "})
    assert (missing.status_code, missing.json()["detail"]) == (404, "Application 'lora-trainer' not found")
    assert (keyless.status_code, keyless.json()) == (401, {"detail": "Authentication is required"})


@pytest.mark.parametrize("body", [b"{", b"[" * 100_000, b'{"a": NaN}', b"\xff", b"9" * 5000])
async def test_what_is_not_json_is_refused_at_once(http: httpx.AsyncClient, body: bytes) -> None:
    """Broken JSON is a 400, never a 500."""
    assert (await http.post("https://queue.fal.run/fal-ai/flux-lora", content=body)).status_code == 400


@pytest.mark.parametrize("body", [1, [], "x", {"prompt": {}, "seed": []}])
async def test_any_json_is_accepted(fal: InProcessClient, clock: Clock, body: Any) -> None:
    """Every JSON value is taken by the queue and refused by the model."""
    assert (await refused(fal, clock, GENERATOR, body)).status_code == 422


async def test_the_stream_ends_with_completed(tmp_path: Path) -> None:
    """Server-sent events carry the status documents up to the end."""
    app = create_sandbox(tmp_path, speed=40.0)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), headers={"Authorization": "Key k"}, base_url="http://sandbox"
    ) as client:
        status_url = (await client.post("/fal-ai/flux/dev", json={"prompt": "p"})).json()["status_url"]
        text = (await client.get(f"{status_url}/stream?logs=1")).text
    events = [json.loads(line[6:]) for line in text.split("\n\n") if line]
    assert (events[-1]["status"], len(events) > 1) == ("COMPLETED", True)


async def test_uploads_can_expire(fal: InProcessClient, clock: Clock, http: httpx.AsyncClient, tmp_path: Path) -> None:
    """A file with a life is there with its type until the life is over, then gone from disk too."""
    url = await fal.upload(b"abc", "application/zip", "a.zip", lifecycle=StorageSettings(expires_in="1d"))
    first = await http.get(url)
    assert (first.content, first.headers["content-type"]) == (b"abc", "application/zip")
    clock.time += 86_401
    assert ((await http.get(url)).status_code, list((tmp_path / "files").glob("*"))) == (404, [])


async def test_the_sweep_removes_what_nobody_asks_for(fal: InProcessClient, clock: Clock, tmp_path: Path) -> None:
    """Expired files and forgotten uploads go, living files stay."""
    await fal.upload(b"abc", "text/plain", "a.txt", lifecycle=StorageSettings(expires_in=60))
    await fal.upload(b"abc", "text/plain", "b.txt")
    fal.app.state.sandbox.storage.begin(name="c", content_type="text/plain", life_seconds=None)
    clock.time += 90_000
    fal.app.state.sandbox.storage.sweep()
    assert (len(list((tmp_path / "files").iterdir())), list((tmp_path / "uploads").iterdir())) == (2, [])


async def test_the_fallback_upload(fal: InProcessClient, http: httpx.AsyncClient) -> None:
    """The storage that hands out an address first works as well."""
    url = await fal.upload(b"abc", "text/plain", "a.txt", repository="fal", fallback_repository="fal")
    assert (await http.get(url)).content == b"abc"


async def test_multipart_uploads(fal: InProcessClient, http: httpx.AsyncClient) -> None:
    """Parts are joined in their order; a wrong ETag is refused."""
    data = bytes(range(256)) * 100
    async with fal._cdn_client() as cdn:
        url = await AsyncMultipartUpload.save(
            client=cdn, token_manager=await fal._token_manager, file_name="big.bin", data=data, chunk_size=10_000
        )
    assert data == (await http.get(url)).content
    begun = (await http.post("https://v3.fal.media/files/upload/multipart", headers={"X-Fal-File-Name": "b"})).json()
    parts = f"{begun['access_url']}/multipart/{begun['uploadId']}"
    await http.put(f"{parts}/1", content=b"x")
    wrong = await http.post(f"{parts}/complete", json={"parts": [{"partNumber": 1, "etag": "no"}]})
    assert (wrong.status_code, (await http.get(begun["access_url"])).status_code) == (400, 404)


@pytest.mark.parametrize("path", ["..%2f..%2fwebhook_key.pem/x", "../x/y", "0" * 32 + "/x", "requests/x"])
async def test_files_cannot_be_guessed_or_climbed_to(http: httpx.AsyncClient, path: str) -> None:
    """Only an exact address of a stored file answers."""
    assert (await http.get(f"https://v3.fal.media/files/sandbox/{path}")).status_code == 404


async def test_state_survives_a_restart(fal: InProcessClient, clock: Clock, tmp_path: Path) -> None:
    """Another sandbox over the same folder goes on with the job and gives the same result as the first."""
    url = await fal.upload(archive(), "application/zip", "photos.zip")
    handle = await fal.submit(TRAINER, {"images_data_url": url})
    clock.time += 60
    second = InProcessClient(create_sandbox(tmp_path, now=clock, speed=2.0))
    again = await second.get_handle(TRAINER, handle.request_id)
    assert await handle.status(with_logs=True) == await again.status(with_logs=True)
    clock.time += 400
    assert await again.get() == await handle.get()
    await second.app.state.sandbox.stop()
    await (await second._client).aclose()


async def test_the_request_list_finds_a_request_by_its_archive(
    fal: InProcessClient, http: httpx.AsyncClient, clock: Clock
) -> None:
    """Running and ended requests are listed with their input, newest first, page by page."""
    urls = [f"https://v3.fal.media/{n}.zip" for n in range(3)]
    ids = {}
    for url in urls:
        clock.time += 1
        ids[url] = (await fal.submit(TRAINER, {"images_data_url": url})).request_id
    await fal.submit(GENERATOR, {"prompt": "p"})
    address = "https://api.fal.ai/v1/models/requests/by-endpoint"
    query = {"endpoint_id": TRAINER, "expand": "payloads", "limit": "2"}
    first = (await http.get(address, params=query)).json()
    second = (await http.get(address, params={**query, "cursor": first["next_cursor"]})).json()
    items = [*first["items"], *second["items"]]
    assert list(reversed(urls)) == [item["json_input"]["images_data_url"] for item in items]
    assert ([True, False], ids[urls[2]]) == ([first["has_more"], second["has_more"]], items[0]["request_id"])


class Receiver:
    """Takes webhooks; answers with the given statuses in turn, then 200."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.calls: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.calls.append(request)
        return httpx.Response(self.statuses.pop(0) if self.statuses else 200)


def deliverer(app: Starlette, receiver: Receiver) -> Webhooks:
    """The sandbox's deliverer with a client that ends at `receiver`."""
    sandbox = app.state.sandbox
    client = httpx.AsyncClient(transport=httpx.MockTransport(receiver))
    return Webhooks(queue=sandbox.queue, signer=sandbox.signer, client=client, settle=sandbox.settle)


def verified(request: httpx.Request, keys: list[dict[str, str]]) -> dict[str, Any]:
    """The body of a webhook whose signature is good (raises otherwise)."""
    names = ("Request-Id", "User-Id", "Timestamp")
    lines = [request.headers[f"X-Fal-Webhook-{name}"] for name in names]
    signed = "\n".join([*lines, hashlib.sha256(request.content).hexdigest()]).encode()
    raw = base64.urlsafe_b64decode(keys[0]["x"] + "=" * (-len(keys[0]["x"]) % 4))
    signature = bytes.fromhex(request.headers["X-Fal-Webhook-Signature"])
    Ed25519PublicKey.from_public_bytes(raw).verify(signature, signed)
    body: dict[str, Any] = json.loads(request.content)
    assert lines[0] == body["request_id"]
    return body


async def test_webhooks_are_signed(fal: InProcessClient, http: httpx.AsyncClient, clock: Clock, tmp_path: Path) -> None:
    """Good and bad ends are told once, after the end, with a signature the published key verifies."""
    receiver = Receiver()
    hooks = deliverer(fal.app, receiver)
    good = await fal.submit(GENERATOR, {"prompt": "p"}, webhook_url="http://hook/fal?job=1")
    await fal.submit(GENERATOR, {}, webhook_url="http://hook/fal?job=2")
    await hooks.deliver_due()
    assert receiver.calls == []
    clock.time += 10
    await hooks.deliver_due()
    await hooks.deliver_due()
    keys = (await http.get("https://rest.fal.ai/.well-known/jwks.json", headers={"Authorization": ""})).json()["keys"]
    bodies = {call.url.params["job"]: verified(call, keys) for call in receiver.calls}
    assert ("OK", None, await good.get()) == tuple(bodies["1"][key] for key in ("status", "error", "payload"))
    assert (bodies["2"]["status"], bodies["2"]["error"]) == ("ERROR", "Invalid status code: 422")
    assert (bodies["2"]["payload"]["detail"][0]["loc"][0], len(receiver.calls)) == ("body", 2)
    mode = stat.S_IMODE((tmp_path / "webhook_key.pem").stat().st_mode)
    assert (mode, keys[0]["x"].endswith("=")) == (0o600, False)


async def test_failed_webhooks_are_repeated_with_growing_waits(
    fal: InProcessClient, clock: Clock, tmp_path: Path
) -> None:
    """A refused delivery is tried again after its wait, also by another process, and given up within two hours."""
    receiver = Receiver(*[500] * 20)
    await fal.submit(GENERATOR, {"prompt": "p"}, webhook_url="http://hook/")
    clock.time += 10
    await deliverer(fal.app, receiver).deliver_due()
    await deliverer(fal.app, receiver).deliver_due()
    assert len(receiver.calls) == 1
    other = create_sandbox(tmp_path, now=clock)
    for wait in WAITS:
        clock.time += wait
        await deliverer(other, receiver).deliver_due()
    clock.time += 10_000
    await deliverer(other, receiver).deliver_due()
    assert (len(receiver.calls), sum(WAITS) <= 7200) == (11, True)
    assert len({call.headers["X-Fal-Webhook-Request-Id"] for call in receiver.calls}) == 1


async def test_a_started_sandbox_delivers_by_itself(tmp_path: Path) -> None:
    """start() sends what became due while nothing ran, and stop() ends every task."""
    app = create_sandbox(tmp_path, speed=200.0)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), headers={"Authorization": "Key k"}, base_url="http://sandbox"
    ) as client:
        await client.post("/fal-ai/flux/dev?fal_webhook=http%3A%2F%2Fhook%2F", json={"prompt": "[fail]"})
    arrived = asyncio.Event()

    def receive(_: httpx.Request) -> httpx.Response:
        arrived.set()
        return httpx.Response(200)

    tasks = asyncio.all_tasks()
    await app.state.sandbox.start(httpx.AsyncClient(transport=httpx.MockTransport(receive)))
    await asyncio.wait_for(arrived.wait(), 10)
    await app.state.sandbox.stop()
    assert tasks == asyncio.all_tasks()


async def test_addresses_follow_the_public_base(tmp_path: Path) -> None:
    """Served alone, everything it gives out starts with its own address."""
    app = create_sandbox(tmp_path, public_base="http://127.0.0.1:4000/")
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), headers={"Authorization": "Key k"}, base_url="http://127.0.0.1:4000"
    ) as client:
        submitted = (await client.post("/fal-ai/flux/dev", json={"prompt": "p"})).json()
        stored = (await client.post("/files/upload", content=b"x")).json()
        token = (await client.post("/storage/auth/token?storage_type=fal-cdn-v3", json={})).json()
    given = [submitted["status_url"], submitted["cancel_url"], stored["access_url"], token["base_url"]]
    assert [url.startswith("http://127.0.0.1:4000") for url in given] == [True] * 4
