"""The sandbox's pure rules: judging, the life of a request, its log, its formats and drawings."""

import json
import re
import struct
from dataclasses import replace
from itertools import pairwise

import pytest
from PIL import ImageChops, ImageStat

from likeness.sandbox import drawing, safetensors
from likeness.sandbox.judge import judge
from likeness.sandbox.life import Failure, Plan, Request, State, phase, plan
from likeness.sandbox.logs import bar, log_entries, timeline
from likeness.sandbox.schemas import ENDPOINTS, Work, size_of
from likeness.sandbox.signature import Signature
from likeness.sandbox.storage import safe_name

TRAINER = ENDPOINTS["fal-ai/flux-lora-fast-training"]
GENERATOR = ENDPOINTS["fal-ai/flux-lora"]


@pytest.fixture
def request_() -> Request:
    """A training of 1000 steps on 12 pictures, submitted at second 1000, at speed 1."""
    body = {"images_data_url": "x", "steps": 1000}
    return Request(
        request_id="r",
        gateway_request_id="g",
        endpoint=TRAINER.id,
        submitted_at=1000.0,
        speed=1.0,
        plan=plan(TRAINER, body, valid=True, images=12),
    )


@pytest.mark.parametrize(
    ("body", "loc", "type"),
    [
        ({}, ["body", "images_data_url"], "value_error.missing"),
        ({"images_data_url": None}, ["body", "images_data_url"], "type_error.none.not_allowed"),
        ({"images_data_url": 5}, ["body", "images_data_url"], "type_error.str"),
        ({"images_data_url": "x", "steps": 0}, ["body", "steps"], "value_error.number.not_ge"),
        ({"images_data_url": "x", "steps": 10_001}, ["body", "steps"], "value_error.number.not_le"),
        ({"images_data_url": "x", "steps": True}, ["body", "steps"], "type_error.integer"),
        ({"images_data_url": "x", "create_masks": "no"}, ["body", "create_masks"], "type_error.bool"),
        ([], ["body"], "type_error.dict"),
    ],
)
def test_a_bad_training_input_is_named(body: object, loc: list[str], type: str) -> None:
    """Each kind of bad value gives one entry with its place and pydantic 1 type."""
    assert [(loc, type)] == [(wrong["loc"], wrong["type"]) for wrong in judge(TRAINER, body)]


@pytest.mark.parametrize(
    ("field", "loc"),
    [
        ({"image_size": "huge"}, ["body", "image_size"]),
        ({"image_size": {"width": 4096, "height": 512}}, ["body", "image_size", "width"]),
        ({"loras": "x"}, ["body", "loras"]),
        ({"loras": [{"path": "a"}, {"scale": 1}]}, ["body", "loras", 1, "path"]),
        ({"loras": [{"path": "a", "scale": 4.5}]}, ["body", "loras", 0, "scale"]),
        ({"num_images": 5}, ["body", "num_images"]),
        ({"output_format": "gif"}, ["body", "output_format"]),
    ],
)
def test_a_bad_generation_input_is_named(field: dict[str, object], loc: list[object]) -> None:
    """The nested fields of a generation are judged down to the part that is wrong."""
    assert [loc] == [wrong["loc"] for wrong in judge(GENERATOR, {"prompt": "p", **field})]


def test_unknown_fields_are_ignored() -> None:
    """A field the endpoint does not name passes, whatever it holds."""
    assert judge(TRAINER, {"images_data_url": "x", "lora_rank": "?"}) == []


@pytest.mark.parametrize("id", sorted(ENDPOINTS))
def test_every_endpoint_takes_its_own_minimum(id: str) -> None:
    """The required fields alone are a good input for every endpoint."""
    endpoint = ENDPOINTS[id]
    assert judge(endpoint, {field.name: "x" for field in endpoint.fields if field.required}) == []


def test_sizes() -> None:
    """A name, an object and nothing give their pixels."""
    sizes = [size_of(value, default="square") for value in ("portrait_4_3", {"width": 640, "height": 480}, None)]
    assert sizes == [(768, 1024), (640, 480), (512, 512)]


def test_a_training_takes_six_minutes_and_twenty_seconds(request_: Request) -> None:
    """1000 steps at speed 1 end 380 s after the submit."""
    assert pytest.approx(1380.0) == request_.ended_at


def test_speed_divides_the_time(request_: Request) -> None:
    """Speed 60 makes it 6.3 s."""
    assert pytest.approx(1000.0 + 380 / 60) == replace(request_, speed=60.0).ended_at


def test_phases_follow_the_clock(request_: Request) -> None:
    """A request waits, runs and ends by the time alone, and its queue position falls."""
    seen = [phase(request_, now) for now in (1000.0, 1002.0, 1003.9, 1004.0, 1379.9, 1380.1, 9999.0)]
    states = [State.IN_QUEUE] * 3 + [State.IN_PROGRESS] * 2 + [State.COMPLETED] * 2
    assert (states, [2, 1, 0]) == ([p.state for p in seen], [p.position for p in seen[:3]])


@pytest.mark.parametrize(("at", "end"), [(1002.0, 1002.0), (1100.0, 1101.0), (1379.5, 1380.0)])
def test_a_cancel_ends_a_request(request_: Request, at: float, end: float) -> None:
    """Queued: at once; running: a second later; about to end: it completes."""
    cancelled = replace(request_, cancelled_at=at)
    assert (pytest.approx(end), end < 1380.0) == (cancelled.ended_at, cancelled.is_cancelled)


@pytest.mark.parametrize(
    ("word", "failure"), [("[FAIL]", Failure.INTERNAL), ("a [policy] b", Failure.POLICY), ("fine", None)]
)
@pytest.mark.parametrize("field", ["trigger_word", "trigger_phrase", "default_caption", "prompt"])
def test_words_make_it_fail(word: str, failure: Failure | None, field: str) -> None:
    """The failure words work in every talking field, in any case."""
    body = {"images_data_url": "x", field: word}
    assert failure == plan(TRAINER, body, valid=True, images=5).failure


def test_the_log_only_grows(request_: Request) -> None:
    """Each later log begins with the earlier one and ends with the last step."""
    logs = [log_entries(request_, phase=phase(request_, 1000.0 + s)) for s in range(0, 400, 20)]
    assert all(b[: len(a)] == a for a, b in pairwise(logs))
    assert "1000/1000" in "".join(entry["message"] for entry in logs[-1])


@pytest.mark.parametrize("steps", [1, 7, 49, 500, 10_000])
def test_the_log_is_small_and_reaches_every_total(request_: Request, steps: int) -> None:
    """Whatever the steps, the log stays below 40 KB, never steps backwards and reaches the total."""
    request = replace(request_, plan=plan(TRAINER, {"steps": steps}, valid=True, images=20))
    entries = log_entries(request, phase=phase(request, request.ended_at))
    done = [int(m[1]) for e in entries if (m := re.match(rf"flux_train.*\| (\d+)/{steps} ", e["message"]))]
    assert len(json.dumps(entries)) < 40_000
    assert (sorted(set(done)), steps) == (done, done[-1])


def test_a_failed_training_logs_its_error(request_: Request) -> None:
    """A training that fails inside ends its log with an error before the last step."""
    request = replace(request_, plan=plan(TRAINER, {"trigger_word": "[fail]"}, valid=True, images=5))
    messages = [line.message for line in timeline(request)]
    assert ("RuntimeError" in messages[-1], False) == (True, any("1000/1000" in m for m in messages))


def test_bars_look_like_tqdm() -> None:
    """A bar has percent, eighths of a cell, counts, elapsed and remaining time, rate and loss."""
    line = bar("flux_train", done=830, total=1000, seconds=310.0, loss=0.1234)
    assert line == "flux_train:  83%|████████▎ | 830/1000 [05:10<01:03,  2.68it/s, loss: 0.1234]"


def test_safetensors_layout() -> None:
    """Header length, aligned header, offsets and float bytes are as the format says."""
    data = safetensors.encode({"a": safetensors.Tensor(shape=(2, 1), values=[1.0, -2.5])}, metadata={"k": "v"})
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    assert (length % 8, header["__metadata__"]) == (0, {"k": "v"})
    assert header["a"] == {"dtype": "F32", "shape": [2, 1], "data_offsets": [0, 8]}
    assert struct.unpack("<2f", data[8 + length :]) == (1.0, -2.5)


def test_a_signature_survives_its_metadata() -> None:
    """What is written into the header is read back the same."""
    signature = Signature.made_up(b"one")
    assert signature == Signature.from_metadata(signature.as_metadata(), default=b"")


def test_foreign_weights_get_a_signature_of_their_own() -> None:
    """Weights without our metadata look like themselves and like no others."""
    one, two = (Signature.from_metadata({}, default=raw) for raw in (b"one", b"two"))
    assert one == Signature.from_metadata({}, default=b"one")
    assert one != two


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "another city"},
        {"seed": 2},
        {"index": 1},
        {"signature": Signature.made_up(b"two")},
        {"signature": None},
        {"influence": 0.2},
    ],
)
def test_a_drawing_depends_on_each_of_its_reasons(change: dict[str, object]) -> None:
    """Prompt, seed, place in the batch, training and scale each change the pixels; repeating changes nothing."""
    base = {"prompt": "a city", "seed": 1, "index": 0, "signature": Signature.made_up(b"one"), "influence": 1.0}
    first, again, other = (drawing.portrait(256, 192, **args) for args in (base, base, {**base, **change}))  # type: ignore[arg-type]
    difference = sum(ImageStat.Stat(ImageChops.difference(first, other)).mean)
    assert (first.tobytes(), (256, 192)) == (again.tobytes(), first.size)
    assert difference > 3


@pytest.mark.parametrize("size", [(1, 1), (1, 2048), (2048, 64), (33, 47)])
def test_any_size_can_be_drawn(size: tuple[int, int]) -> None:
    """The odd sizes the schema allows are drawn in exactly that size."""
    assert size == drawing.portrait(*size, prompt="\ud800 x" * 60, seed=1).size


@pytest.mark.parametrize(
    ("given", "safe"),
    [("../../etc/passwd", "passwd"), ("a b?.zip", "a_b_.zip"), ("..", "upload.bin"), ("c:\\x\\y.png", "y.png")],
)
def test_file_names_are_made_safe(given: str, safe: str) -> None:
    """No name can leave its folder or break an address."""
    assert safe == safe_name(given)


def test_every_size_of_work_is_planned() -> None:
    """A generation takes about four seconds, and a training whose archive is unreadable ends soon."""
    picture = plan(GENERATOR, {"prompt": "x"}, valid=True, images=None)
    broken = plan(TRAINER, {"images_data_url": "x"}, valid=True, images=None)
    assert (picture.queue_seconds + picture.run_seconds, broken.run_seconds < 5) == (4.0, True)
    assert Plan(queue_seconds=1.0, run_seconds=3.0) == picture
    assert Work.TEXT_TO_IMAGE is GENERATOR.work
