"""Pure: which model is asked for a picture, which is passed over and why, and what follows a failure.

The rules: a photo, words that the user wrote and trained models are honoured or the model is passed over, never dropped
in silence (a preset's own words may be left out: a model such as ghiblify has its style built in). The next model
follows only a failure that is known for certain. It does not follow a refusal by content rules: a model with a weaker
filter would draw what the first one rightly did not, and the same words would be refused again.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from models.errors import (
    ContentRefused,
    ImageBlocked,
    InvalidInput,
    LikenessError,
    PhotoUnreadable,
    ProviderBalanceExhausted,
    ProviderFileLost,
    ProviderRejected,
    ProviderTimeout,
)
from services.generators import GENERATORS, Endpoint, Generator

# fal.ai/docs/errors: the types of a model's errors, and what they mean for the person who asked.
CONTENT = frozenset({"content_policy_violation"})
PHOTO = frozenset(
    {
        "image_load_error",
        "image_too_large",
        "image_too_small",
        "file_too_large",
        "face_detection_error",
        "unsupported_image_format",
    }
)
FILE = frozenset({"file_download_error"})
TIMEOUT = frozenset({"generation_timeout", "request_timeout", "startup_timeout"})


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a model must honour: a photo, the user's own words, trained models of a family, numbers and a format."""

    photo: bool = False
    words: bool = False
    family: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Step:
    """A model of a chain; `skip` says why it is not asked."""

    generator: Generator
    skip: str | None

    @property
    def name(self) -> str:
        """The public name."""
        return self.generator.name


class Next(StrEnum):
    """What follows a failed attempt."""

    SAME = "SAME"  # the same model again, once it was given the files again
    NEXT = "NEXT"  # the next model that can honour the request, if there is one
    STOP = "STOP"  # the generation fails


def models_for(chain: Sequence[str], family: str | None) -> tuple[str, ...]:
    """The models to try: those of the chain, or of trained models the generator of their family alone."""
    return tuple(chain) if family is None else (family,)


def plan(models: Sequence[str], request: Request) -> list[Step]:
    """Every model of a chain in order, those that cannot honour the request with the reason."""
    return [Step(generator=GENERATORS[name], skip=_why_not(GENERATORS[name], request)) for name in models]


def check(models: Sequence[str], request: Request) -> None:
    """Raise `InvalidInput`, naming the field, when no model can honour the request or the first able one not exactly.

    A later model that cannot take a number of the request is passed over, so that the fallback still honours it.
    """
    able = [GENERATORS[name] for name in models if _lack(GENERATORS[name], request) is None]
    if not able:
        lack, reason = next(_lacks(models, request))
        raise InvalidInput(reason=f"{models[0]} cannot do this: {reason}.", path=("input", lack))
    if refusal := _endpoint(able[0], request).refusal(request.parameters):
        name, rule = refusal
        raise InvalidInput(reason=f"{name} {rule} for {able[0].name}.", path=("input", name))


def after(failure: LikenessError, *, files_lost: bool, given_again: bool) -> Next:
    """What follows a known failure; with `files_lost` the provider could not fetch what it was given."""
    if isinstance(told(failure), ContentRefused | ImageBlocked):
        return Next.STOP
    return Next.SAME if files_lost and not given_again else Next.NEXT


def told(failure: LikenessError) -> LikenessError:
    """A failure as the person who asked is told of it: a code to act on, and whether asking again may help."""
    if isinstance(failure, ProviderBalanceExhausted):
        # Only the operator can settle it, but then the same request works.
        locked = ProviderBalanceExhausted(**failure.facts)
        locked.retryable = True  # type: ignore[misc]
        return locked
    if not isinstance(failure, ProviderRejected):
        return failure
    kind = failure.facts.get("type")
    if kind in CONTENT:
        return ContentRefused(**failure.facts)
    if kind in PHOTO:
        return PhotoUnreadable(**failure.facts)
    if kind in FILE:
        return ProviderFileLost(**failure.facts)
    if kind in TIMEOUT:
        return ProviderTimeout(**failure.facts)
    return failure


def _why_not(generator: Generator, request: Request) -> str | None:
    if lack := _lack(generator, request):
        return lack[1]
    refusal = _endpoint(generator, request).refusal(request.parameters)
    return " ".join(refusal) if refusal else None


def _lacks(models: Sequence[str], request: Request) -> Iterator[tuple[str, str]]:
    for name in models:
        if lack := _lack(GENERATORS[name], request):
            yield lack


def _lack(generator: Generator, request: Request) -> tuple[str, str] | None:
    """The input field that the model cannot honour, and the reason; None when it can."""
    endpoint = generator.endpoint(photo=request.photo)
    if endpoint is None:
        return "sourcePhotoId", "it takes no photo" if request.photo else "it needs a photo"
    if request.words and not endpoint.takes_prompt:
        return "prompt", "it takes no prompt"
    if request.family is not None and generator.family != request.family:
        return "modelId", "the trained models do not fit it"
    return None


def _endpoint(generator: Generator, request: Request) -> Endpoint:
    endpoint = generator.endpoint(photo=request.photo)
    assert endpoint is not None, "a model without this endpoint was passed over"
    return endpoint
