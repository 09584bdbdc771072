"""A small client of the public API, for the command line and for scripts."""

import os
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urljoin

import anyio
import httpx
from anyio import to_thread
from gql import FileVar

from likeness.client import documents
from likeness.client.connection import Connection
from likeness.client.errors import ClientError, PhotosRejected
from likeness.client.failures import http_failure, refused
from likeness.client.follow import follow

FILES_PER_UPLOAD: Final = 20
_PAGE: Final = 100


class Client:
    """One server, seen through its public API; an async context manager. Every method raises `ClientError`."""

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        http: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """`url` is the server's address; `token` a JWT, or a whole value of the Authorization header."""
        sent = dict(headers or {})
        if token:
            sent["authorization"] = token if " " in token else f"Bearer {token}"
        self._connection = Connection(url, headers=sent, http=http)

    async def __aenter__(self) -> Self:
        await self._connection.__aenter__()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._connection.__aexit__(*exception)

    async def health(self) -> dict[str, Any]:
        """Whether the server works, and whether its provider is `simulated`."""
        return await self._field("health", documents.HEALTH)

    async def base_models(self) -> list[dict[str, Any]]:
        """What can be trained: `id`, `name` and `trainer` (the provider's endpoint) of each."""
        data = await self._connection.execute(documents.BASE_MODELS)
        return list(data["baseModels"])

    async def upload_photos(self, paths: Sequence[Path]) -> list[dict[str, Any]]:
        """Upload photo files, 20 a request, streamed from disk; what the server kept, in the order given.

        Raises `PhotosRejected`, which names each refused file and carries the photos that were kept.
        """
        await to_thread.run_sync(_check_readable, paths)
        photos, errors = [], []
        for start in range(0, len(paths), FILES_PER_UPLOAD):
            batch = paths[start : start + FILES_PER_UPLOAD]
            payload = await self._upload(batch)
            photos += payload["photos"]
            errors += [(batch, error) for error in payload["userErrors"]]
        if errors:
            raise PhotosRejected([_reason(*error) for error in errors], photos=photos, code=errors[0][1]["code"])
        return photos

    async def start_training(self, name: str, photo_ids: Sequence[str], **options: Any) -> dict[str, Any]:
        """Start a training; `options` are further fields of StartTrainingInput in snake_case, None left out."""
        given = _input(model_name=name, photo_ids=list(photo_ids), **options)
        payload = await self._mutate("startTraining", documents.START_TRAINING, given)
        return dict(payload["training"])

    def follow_training(self, id: str, after_seq: int | None = None) -> AsyncIterator[dict[str, Any]]:
        """The progress events up to the terminal one, over lost websockets and server restarts."""
        return self._follow(documents.TRAINING_PROGRESS, id, after_seq)

    async def training(self, id: str) -> dict[str, Any]:
        """A training as it stands."""
        return await self._field("training", documents.TRAINING, id=id)

    async def models(self, first: int = _PAGE) -> list[dict[str, Any]]:
        """The newest models."""
        data = await self._connection.execute(documents.MODELS, first=first)
        return list(data["models"]["nodes"])

    async def find_model(self, model: str) -> dict[str, Any]:
        """A model by its global id, or the newest completed one with exactly this name."""
        after: str | None = None
        while True:
            page = await self._field("models", documents.MODELS, first=_PAGE, after=after)
            for node in page["nodes"]:
                if node["id"] == model or (node["name"] == model and node["status"] == "COMPLETED"):
                    return dict(node)
            if not page["pageInfo"]["hasNextPage"]:
                raise ClientError(f"There is no completed model called {model}.", code="NOT_FOUND")
            after = page["pageInfo"]["endCursor"]

    async def generate(self, prompt: str, model_id: str | None = None, **options: Any) -> list[dict[str, Any]]:
        """Start 1 to 4 images; `options` are further fields of GenerateImageInput in snake_case, None left out."""
        given = _input(prompt=prompt, model_id=model_id, **options)
        payload = await self._mutate("generateImage", documents.GENERATE_IMAGE, given)
        return list(payload["generations"])

    def follow_generation(self, id: str, after_seq: int | None = None) -> AsyncIterator[dict[str, Any]]:
        """The progress events up to the terminal one, over lost websockets and server restarts."""
        return self._follow(documents.GENERATION_PROGRESS, id, after_seq)

    async def generation(self, id: str) -> dict[str, Any]:
        """A generation as it stands."""
        return await self._field("generation", documents.GENERATION, id=id)

    async def download(self, url: str, to: Path) -> Path:
        """Fetch a picture into the file `to`, which appears whole or not at all; no token is sent."""
        address = urljoin(f"{self._connection.url}/", url)
        draft = anyio.Path(to.with_name(f".{to.name}.part"))
        await anyio.Path(to.parent).mkdir(parents=True, exist_ok=True)
        try:
            await self._fetch(address, draft)
            await draft.replace(to)
        finally:
            await draft.unlink(missing_ok=True)
        return to

    async def _fetch(self, address: str, to: anyio.Path) -> None:
        try:
            async with self._connection.files.stream("GET", address) as response, await to.open("wb") as file:
                response.raise_for_status()
                async for chunk in response.aiter_bytes():
                    await file.write(chunk)
        except httpx.HTTPStatusError as error:
            status = error.response.status_code
            raise ClientError(f"{address} answered with HTTP status {status}.", code=f"HTTP_{status}") from error
        except httpx.HTTPError as error:
            raise http_failure(error, url=address) from error

    async def _upload(self, batch: Sequence[Path]) -> dict[str, Any]:
        files = [FileVar(str(path)) for path in batch]
        data = await self._connection.execute(documents.UPLOAD_PHOTOS, files=True, input={"photos": files})
        payload = _payload(data["uploadPhotos"])
        others = [error for error in payload["userErrors"] if error["__typename"] != "PhotoRejectedError"]
        if others:
            raise refused(others)
        return payload

    async def _mutate(self, field: str, document: str, input: dict[str, Any]) -> dict[str, Any]:
        payload = _payload((await self._connection.execute(document, input=input))[field])
        if payload["userErrors"]:
            raise refused(payload["userErrors"])
        return payload

    async def _field(self, field: str, document: str, **variables: Any) -> dict[str, Any]:
        value = (await self._connection.execute(document, **variables))[field]
        if value is None:
            raise ClientError(f"There is no {field} with this id.", code="NOT_FOUND")
        return dict(value)

    def _follow(self, document: str, id: str, after_seq: int | None) -> AsyncIterator[dict[str, Any]]:
        async def events(seq: int | None) -> AsyncGenerator[dict[str, Any], None]:
            async with aclosing(self._connection.subscribe(document, id=id, afterSeq=seq)) as answers:
                async for data in answers:
                    yield data["progress"]

        return follow(events, after_seq=after_seq)


def _check_readable(paths: Sequence[Path]) -> None:
    for path in paths:
        if not (path.is_file() and os.access(path, os.R_OK)):
            raise ClientError(f"{path} is not a file that can be read.", code="NO_SUCH_FILE")


def _input(**fields: Any) -> dict[str, Any]:
    """GraphQL input from snake_case names; None means: not given."""
    return {_camel(name): value for name, value in fields.items() if value is not None}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)


def _payload(payload: dict[str, Any] | None) -> dict[str, Any]:
    if payload is None:
        raise ClientError("The server gave no answer to this mutation.", code="PROTOCOL_ERROR")
    return payload


def _reason(batch: Sequence[Path], error: dict[str, Any]) -> str:
    return f"{batch[error['index']]}: {error['message']} ({error['code']})"
