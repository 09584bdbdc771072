"""Every named place where a process may die, and the wrappers that make it die there."""

import functools
import importlib
import inspect
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ARMED = "crash-at"  # a file in DATA_DIR: the name of the place where the process dies next, once
TRAINER = "flux-lora-fast-training"  # what a call about a training mentions, and a call about a picture does not


@dataclass(frozen=True, kw_only=True)
class CrashPoint:
    """A moment before or after a call of `target` (`module:function` or `module:Class.method`).

    `mentions` and `silent_on` are what the call's arguments say, so that a place shared by both kinds of job is told
    apart. `unsent` marks the places between the intent and its POST: there the job ends FAILED, with a refund.
    """

    target: str
    after: bool
    mentions: str = ""
    silent_on: str = "\0"
    unsent: bool = False

    def is_meant(self, arguments: str) -> bool:
        """Whether a call with these arguments is the one."""
        return self.mentions in arguments and self.silent_on not in arguments


def before(target: str, mentions: str = "", **facts: Any) -> CrashPoint:
    """The moment before a call."""
    return CrashPoint(target=target, after=False, mentions=mentions, **facts)


def after(target: str, mentions: str = "", **facts: Any) -> CrashPoint:
    """The moment after a call."""
    return CrashPoint(target=target, after=True, mentions=mentions, **facts)


ENQUEUE = "services.gateways.jobs_dbos:DbosJobs.enqueue"
FAL = "services.gateways.fal:FalProvider"
PUT = "services.gateways.store_local:LocalStore.put"
INTEND = "services.submissions:_intend"
ADOPT = "services.submissions:Submissions.adopt"
SANDBOX = "likeness.sandbox.queue:Queue.submit"  # the provider has accepted, and nobody has heard of it
MOVE = "services.journal:Journal.move"  # inside the transaction
TELL = "services.gateways.bus_memory:MemoryBus.publish"  # committed, and nobody was told
RUN = "services.training_run"
PICTURE: dict[str, Any] = {"silent_on": TRAINER}

CRASH_POINTS = {
    "training.accept:before-commit": after("services.training:after_commit"),
    "training.enqueue:before": before(ENQUEUE, "'training'"),
    "training.enqueue:after": after(ENQUEUE, "'training'"),
    "training.answer:before": after("services.training:TrainingService.start"),
    "training.hand_over:before": before(f"{RUN}:TrainingRun.hand_over"),
    "archive.pack:after": after(f"{RUN}:TrainingRun._pack"),
    "archive.upload:before": before(f"{FAL}.upload"),
    "archive.upload:after": after(f"{FAL}.upload"),
    "archive.row:after": after(f"{RUN}:_save_archive"),
    "training.hand_over:after": after(f"{RUN}:TrainingRun.hand_over"),
    "training.intent:after": after(INTEND, TRAINER, unsent=True),
    "training.post:before": before(f"{FAL}.submit", TRAINER, unsent=True),
    "training.post:unanswered": after(SANDBOX, TRAINER),
    "training.adopt:before": before(ADOPT, TRAINER),
    "training.adopt:after": after(ADOPT, TRAINER),
    "training.follow:first-look": after("services.training_follow:TrainingFollow._look"),
    "training.ended:after": after("services.training_follow:TrainingFollow.until_ended"),
    "training.result:after": after(f"{FAL}.result", TRAINER),
    "weights.fetch:after": after("services.training_finish:TrainingFinish._fetch_weights"),
    "weights.put:before": before(PUT, "AssetKind.WEIGHTS"),
    "weights.put:after": after(PUT, "AssetKind.WEIGHTS"),
    "training.complete:before-commit": after(MOVE, "Training completed"),
    "training.complete:before-telling": before(TELL, "Training completed"),
    "training.close:before": before("services.training_finish:close"),
    "training.close:after": after("services.training_finish:close"),
    "generation.accept:before-commit": after("services.generation_intake:after_commit"),
    "generation.enqueue:before": before(ENQUEUE, "'generation'"),
    "generation.enqueue:after": after(ENQUEUE, "'generation'"),
    "generation.answer:before": after("services.generation:GenerationService.start"),
    "generation.intent:after": after(INTEND, unsent=True, **PICTURE),
    "generation.post:before": before(f"{FAL}.submit", unsent=True, **PICTURE),
    "generation.post:unanswered": after(SANDBOX, **PICTURE),
    "generation.adopt:before": before(ADOPT, **PICTURE),
    "generation.adopt:after": after(ADOPT, **PICTURE),
    "generation.follow:after": after("services.generation_follow:GenerationFollow.until_ended"),
    "generation.result:after": after(f"{FAL}.result", **PICTURE),
    "picture.fetch:after": after("services.keeping:Keeping._fetch"),
    "picture.put:before": before(PUT, "AssetKind.IMAGE"),
    "picture.put:after": after(PUT, "AssetKind.IMAGE"),
    "generation.complete:before-commit": after(MOVE, "Image ready"),
    "generation.complete:before-telling": before(TELL, "Image ready"),
    "generation.close:before": before("services.generation_run:close"),
    "generation.close:after": after("services.generation_run:close"),
}


def arm(data_dir: Path, name: str) -> None:
    """Let the process that works in this folder die at a point, the next time it comes there."""
    data_dir.mkdir(parents=True, exist_ok=True)
    (data_dir / ARMED).write_text(name)


def disarm(data_dir: Path) -> None:
    """Let it live."""
    (data_dir / ARMED).unlink(missing_ok=True)


def is_armed(data_dir: Path) -> bool:
    """Whether the process has not come there yet."""
    return (data_dir / ARMED).exists()


def install(data_dir: Path) -> None:
    """Put a wrapper around every target, in this process."""
    for name, point in CRASH_POINTS.items():
        owner, attribute = located(point.target)
        setattr(owner, attribute, wrapped(getattr(owner, attribute), name=name, point=point, data_dir=data_dir))


def located(target: str) -> tuple[Any, str]:
    """The module or class that holds a target, and the target's name in it."""
    module, _, path = target.partition(":")
    *classes, name = path.split(".")
    return functools.reduce(getattr, classes, importlib.import_module(module)), name


def wrapped(call: Callable[..., Any], *, name: str, point: CrashPoint, data_dir: Path) -> Callable[..., Any]:
    """The same call, before or after which the process dies when it is armed for it."""

    def strike(args: object, kwargs: object) -> None:
        file = data_dir / ARMED
        if file.exists() and file.read_text() == name and point.is_meant(f"{args} {kwargs}"):
            file.unlink()
            os.kill(os.getpid(), signal.SIGKILL)

    @functools.wraps(call)
    def plain(*args: Any, **kwargs: Any) -> Any:
        if not point.after:
            strike(args, kwargs)
        result = call(*args, **kwargs)
        if point.after:
            strike(args, kwargs)
        return result

    @functools.wraps(call)
    async def awaited(*args: Any, **kwargs: Any) -> Any:
        if not point.after:
            strike(args, kwargs)
        result = await call(*args, **kwargs)
        if point.after:
            strike(args, kwargs)
        return result

    return awaited if inspect.iscoroutinefunction(call) else plain
