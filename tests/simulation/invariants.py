"""What must hold after every seed, read from the rows and from what the outside has seen (design section 6)."""

import asyncio
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from typing import Any

from tests.simulation.files import weights
from tests.simulation.provider import KEPT_SECONDS, RemoteJob
from tests.simulation.users import END, Watcher
from tests.simulation.world import GRACE, World

ORDER = {"PENDING": 0, "TRAINING": 1, "PROCESSING": 1, "FAILED": 2, "CANCELLED": 3, "COMPLETED": 3}
UNCERTAIN = {"accepted", "submit_lost", "submit_lost_unsent", "submit_accepted_late"}


def violations(world: World) -> list[str]:
    """Every broken invariant, in words."""
    if world.problems:
        return world.problems
    checks = (_ended, _paid_once, _own, _money, _sums, _kept, _gone, _events, _watched, _wishes, _delivered, _clean)
    return [f"{check.__name__.strip('_')}: {problem}" for check in checks for problem in check(world)]


def _jobs(world: World) -> list[Any]:
    trainings = world.memory.rows(
        "SELECT t.id, t.status, t.percent, t.seq, t.credits, t.credits_spent, t.created_at, 'training' AS kind,"
        " m.weights_location AS location, m.weights_sha256 AS sha256, m.status AS model_status"
        " FROM trainings t JOIN lora_models m ON m.id = t.model_id"
    )
    generations = world.memory.rows(
        "SELECT id, status, 0 AS percent, seq, credits, credits_spent, created_at, 'generation' AS kind, location,"
        " content_sha256 AS sha256, status AS model_status FROM generations"
    )
    return [*trainings, *generations]


def _ended(world: World) -> Iterator[str]:
    """I3: every job ends once faults stop, and so does everybody's work."""
    for job in _jobs(world):
        if job["status"] not in END:
            yield f"{job['kind']} {job['id']} is {job['status']}"
    for record in world.engine.records.values():
        if not record.ended:
            yield f"run {record.kind}:{record.id} is at step {record.step}"


def _paid_once(world: World) -> Iterator[str]:
    """I1: per submission and attempt at most one accepted job, and one POST that was not surely refused."""
    accepted: dict[Any, list[str]] = defaultdict(list)
    for remote in world.provider.jobs.values():
        accepted[remote.call].append(remote.id)
    for call, ids in accepted.items():
        if len(ids) > 1:
            yield f"{call} was paid as {ids}"
    for row in world.memory.rows("SELECT request_id FROM submissions GROUP BY 1 HAVING COUNT(request_id) > 1"):
        yield f"{row['request_id']} belongs to several calls"
    for call, posts in world.provider.posts.items():
        if sum(post in UNCERTAIN for post in posts) > 1:
            yield f"{call} was posted as {posts}"


def _own(world: World) -> Iterator[str]:
    """I7: a call takes over a job only if it is the very job that it asked for."""
    for row in world.memory.rows("SELECT job_id, arguments, request_id FROM submissions WHERE request_id NOT NULL"):
        remote = world.provider.jobs[row["request_id"]]
        if json.loads(row["arguments"]) != remote.arguments:
            yield f"{row['job_id']} took {remote.id}, which {remote.call[0]} had asked for"


def _money(world: World) -> Iterator[str]:
    """I2 per job: one RESERVE, then one COMMIT or REFUND that fits the end."""
    kinds: dict[str, list[str]] = defaultdict(list)
    for row in world.memory.rows("SELECT job_id, kind FROM ledger_postings WHERE job_id IS NOT NULL ORDER BY seq"):
        kinds[row["job_id"]].append(row["kind"])
    for job in _jobs(world):
        found, status = kinds.pop(job["id"], []), job["status"]
        legal = [["RESERVE", "COMMIT"]] if status == "COMPLETED" else [["RESERVE", "REFUND"]]
        if status == "COMPLETED" and job["credits_spent"] == 0:
            legal = [["RESERVE", "REFUND"]]  # a late success, given free
        if found not in legal:
            yield f"{status} {job['kind']} {job['id']} spent {job['credits_spent']} with {found}"
    if kinds:
        yield f"credits moved for jobs that do not exist: {dict(kinds)}"


def _sums(world: World) -> Iterator[str]:
    """I2: each posting sums to zero, each balance is the sum of its entries, none is below zero."""
    rows = world.memory.rows
    for posting in rows("SELECT posting_id FROM ledger_entries GROUP BY posting_id HAVING SUM(amount) <> 0"):
        yield f"posting {posting[0]} does not sum to zero"
    for account in rows(
        "SELECT a.key FROM ledger_accounts a LEFT JOIN ledger_entries e ON e.account_id = a.id GROUP BY a.id"
        " HAVING a.balance <> COALESCE(SUM(e.amount), 0) OR (a.balance < 0 AND a.kind <> 'ISSUED')"
        " OR (a.kind = 'RESERVED' AND a.balance <> 0)"
    ):
        yield f"account {account['key']} is wrong"
    for posting in rows(
        "SELECT p.seq FROM ledger_postings p LEFT JOIN ledger_postings q ON q.owner_id = p.owner_id"
        " AND q.seq = p.seq - 1 WHERE p.previous_hash <> COALESCE(q.hash, '')"
    ):
        yield f"the chain is broken at {posting['seq']}"


def _kept(world: World) -> Iterator[str]:
    """I4: COMPLETED means that our own copy is whole, and 100 % appears only then."""
    for job in _jobs(world):
        if job["status"] == "COMPLETED":
            content = world.store.files.get(job["location"] or "", b"")
            whole = job["kind"] == "generation" or content in [weights(id) for id in world.provider.jobs]
            if not whole or hashlib.sha256(content).hexdigest() != job["sha256"]:
                yield f"{job['kind']} {job['id']} has no whole copy of its result"
        if job["kind"] == "training" and job["model_status"] != job["status"]:
            yield f"the model of {job['id']} is {job['model_status']}, its training {job['status']}"
    query = "SELECT training_id FROM training_events WHERE (percent >= 100) <> (status = 'COMPLETED')"
    for event in world.memory.rows(query):
        yield f"{event['training_id']} showed 100 % too early"


def _gone(world: World) -> Iterator[str]:
    """What a cancelled job has put into the store is gone again."""
    models = "SELECT model_id FROM trainings WHERE status = 'CANCELLED'"
    pictures = "SELECT asset_name FROM generations WHERE status = 'CANCELLED'"
    names = [row[0] for row in world.memory.rows(f"{models} UNION ALL {pictures}")]
    for location in world.store.files:
        if any(name in location for name in names):
            yield f"{location} is of a job that was cancelled"


def _stored(world: World, job: str, kind: str) -> list[Any]:
    percent = "percent" if kind == "training" else "0 AS percent"
    query = f"SELECT id, seq, status, message, {percent} FROM {kind}_events WHERE {kind}_id = ? ORDER BY seq"
    return world.memory.rows(query, (job,))


def _events(world: World) -> Iterator[str]:
    """I5, I6: numbers 1..n without a gap; no status goes back and no percentage falls."""
    for job in _jobs(world):
        events = _stored(world, job["id"], job["kind"])
        if [event["seq"] for event in events] != list(range(1, job["seq"] + 1)):
            yield f"the events of {job['id']} are {[event['seq'] for event in events]} of {job['seq']}"
        for before, after in pairwise(events):
            if ORDER[after["status"]] < ORDER[before["status"]] or before["status"] in {"COMPLETED", "CANCELLED"}:
                yield f"{job['id']} went from {before['status']} to {after['status']}"
            if after["percent"] < before["percent"]:
                yield f"{job['id']} fell from {before['percent']} to {after['percent']} %"


def _watched(world: World) -> Iterator[str]:
    """I6: over all their connections, watchers saw each stored event once, in order, and the end."""
    assert world.users is not None
    for watcher in world.users.watchers:
        stored = {row["seq"]: row for row in _stored(world, str(watcher.job), watcher.kind)}
        yield from _gaps(watcher)
        for event in watcher.seen:
            row = stored.get(event.seq)
            if row is None or (row["id"], row["message"]) != (str(event.id), event.message):
                yield f"event {event.seq} of {watcher.job} was shown as {event.message!r}, which is not stored"
        if not watcher.ended:
            yield f"a watcher of {watcher.job} saw no end"


def _gaps(watcher: Watcher) -> Iterator[str]:
    last = watcher.first
    for event, missed in zip(watcher.seen, watcher.missed, strict=True):
        if last is not None and event.seq != last + 1 + missed:
            yield f"a watcher of {watcher.job} was shown {event.seq} after {last}, and told of {missed} missed"
        last = event.seq


def _wishes(world: World) -> Iterator[str]:
    """One job per idempotency key, one attempt per retry, and a confirmed cancel stays one."""
    assert world.users is not None
    for key, ids in world.users.started.items():
        if len(ids) > 1:
            yield f"the key {key} started {len(ids)} jobs"
    for id in world.users.cancelled:
        if world.status(id) != "CANCELLED":
            yield f"{id} was cancelled and is {world.status(id)}"
    for row in world.memory.rows(
        "SELECT retry_of FROM trainings WHERE retry_of NOT NULL GROUP BY 1 HAVING COUNT(*) > 1"
    ):
        yield f"{row['retry_of']} was tried again twice at once"
    if world.memory.rows("SELECT external_id FROM inbox_messages GROUP BY 1 HAVING COUNT(*) > 1"):
        yield "a delivery was kept twice"


def _delivered(world: World) -> Iterator[str]:
    """What the provider finished, and we knew of in time, is delivered, unless its owner cancelled it.

    In time: by a webhook within the grace time, or with its request id in our rows while the result was kept. It is
    free only when its answer was lost.
    """
    for remote in world.provider.jobs.values():
        if remote.succeeds and world.status(remote.call[0]) == "FAILED" and _known_in_time(world, remote):
            yield f"{remote.id} succeeded and was known, but {remote.call[0]} is FAILED"
    lost = {row["job_id"] for row in world.memory.rows("SELECT job_id FROM submissions WHERE lost")}
    for job in _jobs(world):
        if job["status"] == "COMPLETED" and not job["credits_spent"] and job["id"] not in lost:
            yield f"{job['id']} is free, though no answer was lost"


def _known_in_time(world: World, remote: RemoteJob) -> bool:
    row = world.memory.rows(
        "SELECT * FROM submissions WHERE job_id = ? AND attempt = ?", (str(remote.call[0]), remote.call[1])
    )[0]
    read_by = remote.ends_at + KEPT_SECONDS / 2
    if row["request_id"] == remote.id and _seconds(world, row["accepted_at"]) < read_by:
        return True
    told = remote.delivered_at
    return told is not None and told < min(_seconds(world, row["created_at"]) + GRACE.total_seconds(), read_by)


def _seconds(world: World, stored: str) -> float:
    """A stored time as seconds of the loop."""
    now = world.clock.now()
    return (datetime.fromisoformat(stored).replace(tzinfo=now.tzinfo) - now).total_seconds() + world.loop.time()


def _clean(world: World) -> Iterator[str]:
    """I8: no temporary file, listener or task is left."""
    if left := [entry.name for entry in world.temp_dir.iterdir()]:
        yield f"temporary files are left: {left}"
    if world.bus.listeners:
        yield f"listeners are left: {list(world.bus.listeners)}"
    left_tasks = asyncio.all_tasks(world.loop) - {asyncio.current_task(world.loop)}
    if left_tasks:
        yield f"tasks are left: {[task.get_coro().__qualname__ for task in left_tasks]}"
