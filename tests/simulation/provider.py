"""The faulty provider. It counts what it was asked to do, and for which of our calls."""

import asyncio
import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from models.errors import ProviderJobGone, ProviderRejected, ProviderUnavailable, SubmitUnknown
from services.ports import CancelOutcome, Download, Ended, ProviderJob, ProviderStatus, Queued, Running
from tests.simulation.faults import Faults
from tests.simulation.files import CONFIG, PICTURE, weights
from tests.simulation.processes import touch
from tests.simulation.saving import check_saved, given

KEPT_SECONDS = 3600.0  # a result at fal
NEVER = float("inf")
MOST_FAILURES = 3  # in a row, of one thing: fewer than the rules' patience
Call = tuple[UUID, int]

calling: ContextVar[Call | None] = ContextVar("calling", default=None)


@dataclass(kw_only=True)
class RemoteJob:
    """One accepted, paid job; times are seconds of the loop."""

    id: str
    call: Call
    endpoint: str
    arguments: Mapping[str, Any]
    webhook: str | None
    accepted_at: float
    starts_at: float
    ends_at: float
    listed_at: float
    error: str | None = None  # the model's own
    says_error: bool = False  # already in the status
    loras_gone: bool = False
    cancelled: bool = False
    delivered_at: float | None = None

    @property
    def succeeds(self) -> bool:
        return self.error is None and not self.cancelled


@dataclass
class FaultyProvider:
    """fal's queue, as it may behave."""

    faults: Faults
    on_accepted: Any = None
    jobs: dict[str, RemoteJob] = field(default_factory=dict)
    posts: dict[Call, list[str]] = field(default_factory=lambda: defaultdict(list))
    gone: set[str] = field(default_factory=set)
    simulated: bool = False
    _failures: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    async def upload(self, path: Path, *, content_type: str, expires_in: timedelta) -> str:
        await self._touch("upload_down")
        return f"https://provider.example/{hashlib.sha256(path.read_bytes()).hexdigest()}"

    async def submit(
        self, endpoint: str, arguments: Mapping[str, Any], *, webhook_url: str | None = None
    ) -> ProviderJob:
        await self._touch()
        call = calling.get()
        assert call is not None, "every paid call goes through Submissions.submit"
        fault = self.faults.first(
            "submit_refused", "submit_rejected", "submit_lost_unsent", "submit_lost", "submit_accepted_late"
        )
        self.posts[call].append(fault or "accepted")
        if fault == "submit_refused":
            raise ProviderUnavailable(reason="503")
        if fault == "submit_rejected":
            raise ProviderRejected(reason="the request is wrong")
        if fault == "submit_lost_unsent":
            raise SubmitUnknown(reason="cut before it was read")
        wanted = (call, endpoint, dict(arguments), webhook_url)
        if fault == "submit_accepted_late":
            asyncio.get_running_loop().call_later(self.faults.seconds(1, 240), self._accept, *wanted)
            raise SubmitUnknown(reason="timeout")
        job = self._accept(*wanted)
        if self.faults.happens("answer_slow"):
            await asyncio.sleep(self.faults.seconds(0, 60))
        await touch()
        if fault == "submit_lost":
            raise SubmitUnknown(reason="cut")
        given(job.id)
        return self.known_job(endpoint, job.id)

    async def status(self, job: ProviderJob, *, logs: bool = False) -> ProviderStatus:
        await self._touch("status_down", job.request_id)
        remote, now = self._job(job), self._now
        if remote.cancelled or now >= remote.ends_at:
            return Ended(error=remote.error if remote.says_error else None)
        if now < remote.starts_at:
            return Queued(position=int((remote.starts_at - now) // 30))
        total = int(remote.arguments.get("steps", 4))
        done = int(total * (now - remote.starts_at) / (remote.ends_at - remote.starts_at))
        return Running(logs=[f"{done}/{total} [00:10<00:20]"] if logs and done else [])

    async def result(self, job: ProviderJob) -> Mapping[str, Any]:
        await self._touch("result_down", job.request_id)
        remote = self._job(job)
        if self._now > remote.ends_at + KEPT_SECONDS:
            raise ProviderJobGone(reason="the result has expired")
        if self._now < remote.ends_at and not remote.cancelled:
            raise ProviderUnavailable(reason="still in progress")
        if not remote.succeeds:
            facts = {"type": "file_download_error"} if remote.loras_gone else {}
            raise ProviderRejected(reason=remote.error or "cancelled", **facts)
        if "steps" in remote.arguments:
            return {"diffusers_lora_file": self._file(remote, "weights"), "config_file": self._file(remote, "config")}
        return {"images": [self._file(remote, "picture")], "seed": remote.arguments["seed"]}

    async def cancel(self, job: ProviderJob) -> CancelOutcome:
        await self._touch("status_down", job.request_id)
        remote = self._job(job)
        if remote.cancelled or self._now >= remote.ends_at:
            return CancelOutcome.TOO_LATE
        if self._now < remote.starts_at or self.faults.chance(0.5):
            remote.cancelled = True
            return CancelOutcome.CANCELLED
        return CancelOutcome.REQUESTED

    async def find(
        self, endpoint: str, needle: str, *, arguments: Mapping[str, Any], since: datetime
    ) -> Sequence[ProviderJob]:
        await self._touch("list_down", endpoint)
        found = [
            remote
            for remote in self.jobs.values()
            if remote.endpoint == endpoint and self._now >= remote.listed_at and _shows(remote, needle, arguments)
        ]
        return [self.known_job(endpoint, remote.id) for remote in found[::-1]]

    async def download(self, url: str, to: Path, *, limit: int) -> Download:
        await self._touch("download_down", url)
        _, _, rest = url.partition("files.example/")
        id, _, name = rest.partition("/")
        remote = self.jobs[id]
        if self._now > remote.ends_at + KEPT_SECONDS:
            raise ProviderJobGone(reason="the file has expired")
        content = {"weights": weights(remote.id), "config": CONFIG, "picture": PICTURE}[name]
        if name == "weights" and self._fails("truncated", url):
            content = content[:-3]
        to.write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest()
        return Download(path=to, bytes=len(content), sha256=sha256, content_type="application/octet-stream")

    async def healthy(self) -> bool:
        return True

    def known_job(self, endpoint: str, request_id: str) -> ProviderJob:
        at = f"https://provider.example/{endpoint}/requests/{request_id}"
        return ProviderJob(request_id=request_id, status_url=f"{at}/status", response_url=at, cancel_url=f"{at}/cancel")

    @property
    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    async def _touch(self, fault: str | None = None, about: str = "") -> None:
        check_saved("")
        await touch()
        if fault and self._fails(fault, about):
            raise ProviderUnavailable(reason=fault)

    def _fails(self, kind: str, about: str) -> bool:
        """Fail, but never so often in a row that giving up would be right."""
        key = f"{kind} {about}"
        failed = self._failures[key] < MOST_FAILURES and self.faults.happens(kind)
        self._failures[key] = self._failures[key] + 1 if failed else 0
        return failed

    def _accept(self, call: Call, endpoint: str, arguments: Mapping[str, Any], webhook: str | None) -> RemoteJob:
        faults, now = self.faults, self._now
        starts = now + (faults.seconds(0, 90) if faults.chance(0.4) else 0)
        ends = starts + (faults.seconds(1, 400) if "steps" in arguments else faults.seconds(1, 30))
        listed = {"unlisted": NEVER, "listed_late": now + faults.seconds(30, 600), None: now}
        remote = RemoteJob(
            id=f"request-{len(self.jobs) + 1}", call=call, endpoint=endpoint, arguments=arguments, webhook=webhook,
            accepted_at=now, starts_at=starts, ends_at=ends, listed_at=listed[faults.first("unlisted", "listed_late")],
        )  # fmt: skip
        if self._lost_weights(remote):
            remote.error, remote.loras_gone = "loras: the file could not be downloaded", True
        elif faults.happens("result_refused"):
            remote.error, remote.says_error = "the model refuses", faults.happens("ended_with_error")
        self.jobs[remote.id] = remote
        if self.on_accepted:
            self.on_accepted(remote)
        return remote

    def _lost_weights(self, remote: RemoteJob) -> bool:
        return any(lora["path"] in self.gone for lora in remote.arguments.get("loras", ()))

    def _job(self, job: ProviderJob) -> RemoteJob:
        if job.request_id not in self.jobs:
            raise ProviderJobGone(reason="no such job")
        return self.jobs[job.request_id]

    def _file(self, remote: RemoteJob, name: str) -> dict[str, str]:
        return {"url": f"https://files.example/{remote.id}/{name}"}


def _shows(remote: RemoteJob, needle: str, arguments: Mapping[str, Any]) -> bool:
    asked = all(remote.arguments.get(name) == value for name, value in arguments.items())
    return asked and needle in f"{json.dumps(remote.arguments)} {remote.webhook}"
