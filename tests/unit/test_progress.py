"""A trainer's log lines: what of them is progress, and that nothing in them can break the reader."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.status import STAGE_WINDOWS, TrainingStage
from services.progress import Parsed, estimated, overall_percent, parse_logs

TQDM = "flux_train_replicate:  83%|████████▎ | 830/1000 [43:27<09:04,  1.05s/it, lr: 4.0e-04 loss: 2.472e-01]"


def step(number: int, eta: int | None = None, *, total: int = 1000) -> Parsed:
    """What a line says that names a step."""
    return Parsed(fraction=number / total, step=number, eta_seconds=eta)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (TQDM, step(830, 544)),
        ("  0%|          | 0/1000 [00:00<?, ?it/s]", step(0)),
        ("  5%|▌         | 50/1000 [00:50<15:50,  1.00it/s]", step(50, 950)),
        ("  5%|▌         | 50/1000 [1:00:50<1:02:03, 10.00s/it]", step(50, 3723)),
        ("  5%|▌         | 50/1000 [1:00:50<102:02:03, 10.00s/it]", step(50, 367323)),
        ("100%|██████████| 1000/1000 [16:40<00:00,  1.00s/it]", step(1000, 0)),
        ("steps: 12%|█▏  | 120/1000", step(120)),
        ("\x1b[32m 12%|\x1b[0m| 120/1000 [00:10<01:00, 2it/s]\x1b[A", step(120, 60)),
        ("  1%| | 10/1000 [00:01<10:00]\r  2%| | 20/1000 [00:02<09:00]\r  3%| | 30/1000 [00:03<08:00]", step(30, 480)),
        ("\r 4%| | 40/1000 [00:03<08:00]\n", step(40, 480)),
        ("10/1000 and then 20/1000", step(20)),
        ("Step 250/1000, Loss: 0.123456, Avg: 0.123456", step(250)),
        ("step: 250 of 1000", step(250)),
        ("STEPS 250 / 1000", step(250)),
        ("Training: 45%", Parsed(fraction=0.45)),
        ("training 45.5 % done", Parsed(fraction=0.455)),
        ("Trained 3 of 4 epochs, 75%", Parsed(fraction=0.75)),
        ("train 150%", Parsed(fraction=1.0)),
    ],
)  # fmt: skip
def test_readable_lines(line: str, expected: Parsed) -> None:
    """tqdm bars, steps in words and percentages of training."""
    assert expected == parse_logs([line], total_steps=1000)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "Loading pipeline components...: 100%|██████████| 7/7 [00:01<00:00]",
        "Downloading: 45%|████▌ | 450M/1.00G [00:10<00:12]",
        "Captioning 12/20 images",
        "Step 3/20",
        "Diffusing: 45%",
        "2026/1000/12",
        "12/1000/3",
        "1200/1000 [00:00<00:00]",
        "Step 1001/1000",
        "10/10000",
        "110/1000000",
        "Restrained to 45%",
        "45% of training data",
        "loss 1000/x",
        "١٠/١٠٠٠",
    ],
)
def test_other_lines_say_nothing(line: str) -> None:
    """Bars of downloads, captions and masks have other totals; a date or a ratio is no step."""
    assert parse_logs([line], total_steps=1000) is None


def test_a_log_that_is_never_readable_gives_nothing() -> None:
    """Then progress goes by the clock."""
    assert parse_logs([], total_steps=1000) is None
    assert parse_logs(["Starting", "Loss: 0.1"] * 100, total_steps=1000) is None


def test_the_furthest_point_counts() -> None:
    """The log is cumulative, and lines may come late or twice."""
    lines = ["Step 10/1000", "7/7 [00:00<00:00]", "Step 300/1000", "Step 200/1000", "Training: 20%"]
    assert step(300) == parse_logs(lines, total_steps=1000)


def test_a_bar_counts_only_for_the_steps_that_were_asked_for() -> None:
    """With seven steps the bar of seven components would be one: the caller asks for other numbers in practice."""
    assert step(7, 0, total=7) == parse_logs(["7/7 [00:01<00:00]"], total_steps=7)


@pytest.mark.parametrize(
    ("remaining", "seconds"),
    [("00:00", 0), ("01:30", 90), ("2:00:00", 7200), ("?", None), ("", None), ("30", 30), ("99999999:00:00", None)],
)
def test_remaining_time(remaining: str, seconds: int | None) -> None:
    """In whole seconds; unknown or absurd means none, and fits its column in any case."""
    parsed = parse_logs([f"5/10 [00:01<{remaining}, 1it/s]"], total_steps=10)
    assert parsed == Parsed(fraction=0.5, step=5, eta_seconds=seconds)


PIECES = st.sampled_from(
    ["\x1b[", "/", "1000", "[", "<", ":", "?", "]", "%", "step ", "train", "\r", "9" * 5000, ".", " "]
)


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(
    lines=st.lists(st.one_of(st.text(), st.lists(PIECES, max_size=12).map("".join)), max_size=5),
    total=st.integers(1, 10_000),
)
def test_no_text_breaks_the_reader(lines: list[str], total: int) -> None:
    """Whatever a trainer prints, the answer is nothing or lies within its bounds."""
    parsed = parse_logs(lines, total_steps=total)
    if parsed is not None:
        assert 0 <= parsed.fraction <= 1
        assert parsed.step is None or 0 <= parsed.step <= total
        assert parsed.eta_seconds is None or 0 <= parsed.eta_seconds < 2**31


@pytest.mark.parametrize("piece", ["train 1", "1", "step ", "step 1/", "1/1000 [", "1/1000 [00:00<", "<", "\x1b[", "%"])
def test_long_lines_take_no_long_time(piece: str) -> None:
    """A line of a hundred thousand characters is read in well under a second of processor time."""
    line = piece * (100_000 // len(piece))
    began = time.process_time()
    parse_logs([line], total_steps=1000)
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("elapsed", "expected_seconds", "fraction", "eta"),
    [(0, 600, 0.0, 600), (300, 600, 0.5, 300), (590, 600, 0.95, 10), (6000, 600, 0.95, 0), (5, 0, 0.95, 0)],
)
def test_without_a_readable_log_the_clock_guesses(
    elapsed: float, expected_seconds: float, fraction: float, eta: int
) -> None:
    """It never says that the training is over."""
    assert Parsed(fraction=fraction, eta_seconds=eta) == estimated(elapsed, expected_seconds)


@pytest.mark.parametrize("stage", TrainingStage)
def test_a_stage_fills_its_window(stage: TrainingStage) -> None:
    """From its first to its last percent, straight, and never outside."""
    low, high = STAGE_WINDOWS[stage]
    assert [low, (low + high) / 2] == [overall_percent(stage, 0.0), overall_percent(stage, 0.5)]
    assert min(high, 99.9) == overall_percent(stage, 1.0) == overall_percent(stage, 7.0)
    assert low == overall_percent(stage, -3.0)


def test_a_hundred_percent_is_for_the_end_only() -> None:
    """No stage reaches it by itself."""
    assert 99.9 == max(overall_percent(stage, 1.0) for stage in TrainingStage)
