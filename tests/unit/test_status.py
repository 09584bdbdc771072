"""The tables of legal moves and the windows of the stages."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pytest

from models.status import (
    NEXT_GENERATION,
    NEXT_TRAINING,
    STAGE_WINDOWS,
    GenerationStatus,
    TrainingStage,
    TrainingStatus,
)

ENDS = {"COMPLETED", "FAILED", "CANCELLED"}
TABLES = pytest.mark.parametrize(
    ("status", "table"), [(TrainingStatus, NEXT_TRAINING), (GenerationStatus, NEXT_GENERATION)]
)


@TABLES
def test_every_status_has_its_moves(status: Any, table: Mapping[Any, Any]) -> None:
    """None is forgotten, and none leads to something unknown."""
    assert set(status) == set(table)
    assert set(status) >= {to for moves in table.values() for to in moves}


@TABLES
def test_the_ends_are_the_ends(status: Any, table: Mapping[Any, Any]) -> None:
    """Nothing follows them but a late success after a failure."""
    assert ENDS == {one.value for one in status if one.is_final}
    assert {"COMPLETED": set(), "FAILED": {"COMPLETED"}, "CANCELLED": set()} == {
        one.value: {to.value for to in table[one]} for one in status if one.is_final
    }


@TABLES
def test_no_move_goes_back_to_the_beginning(status: Any, table: Mapping[Any, Any]) -> None:
    """PENDING follows only PENDING, and an open job never follows an ended one."""
    assert [status.PENDING] == [one for one in status if status.PENDING in table[one]]
    assert all(to.is_final for one in status if one.is_final for to in table[one])


@TABLES
def test_success_needs_work(status: Any, table: Mapping[Any, Any]) -> None:
    """A job that has not begun cannot be COMPLETED, but can fail and be cancelled, as a running one can."""
    assert status.COMPLETED not in table[status.PENDING]
    for one in status:
        if not one.is_final:
            assert {status.FAILED, status.CANCELLED} <= table[one]


def test_the_windows_of_the_stages_follow_each_other() -> None:
    """From 30 to 100 without a gap, in the order of the stages."""
    windows = [STAGE_WINDOWS[stage] for stage in TrainingStage]
    assert all(before[1] == after[0] for before, after in pairwise(windows))
    assert all(low < high for low, high in windows)
    assert (30.0, 100.0) == (windows[0][0], windows[-1][1])
