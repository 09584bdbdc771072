"""How a paid call failed, kept in its row, so that whoever asks again hears the same."""

from typing import Any

from models.errors import (
    ImageBlocked,
    LikenessError,
    MissingFalKey,
    ProviderBalanceExhausted,
    ProviderKeyRefused,
    ProviderRejected,
    ProviderUnavailable,
    ResultUnusable,
    SubmitUnknown,
)
from models.submission import Submission, SubmissionState

# A refusal by the model is told by the provider's own type instead, which is never written like a class.
NAMED = {
    error.__name__: error
    for error in (
        ImageBlocked,
        ResultUnusable,
        ProviderKeyRefused,
        ProviderBalanceExhausted,
        MissingFalKey,
        SubmitUnknown,
    )
}


def failure_columns(error: LikenessError) -> dict[str, Any]:
    """What a submission keeps of a failure: the bare reason, and the provider's type or the name of ours."""
    kind = type(error).__name__
    named = kind if kind in NAMED else None
    return {"error": error.facts.get("reason", error.message), "error_type": error.facts.get("type") or named}


def failure_of(row: Submission) -> LikenessError | None:
    """The failure of a call as its first caller heard it; None for one that did not fail."""
    reason = row.error or "unknown"
    if row.state is SubmissionState.REFUSED:
        return ProviderUnavailable(reason=reason)
    if row.state is not SubmissionState.FAILED:
        return None
    if (named := NAMED.get(row.error_type or "")) is not None:
        return named(reason=reason)
    return SubmitUnknown(reason=reason) if row.lost else ProviderRejected(reason=reason, type=row.error_type)


def explained(row: Submission) -> str | None:
    """Why a call gave nothing or was skipped, in a sentence; None when it did not fail."""
    failure = failure_of(row)
    return failure.message if failure else row.error
