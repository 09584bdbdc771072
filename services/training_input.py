"""What a training is asked to be, checked field by field before anything is spent."""

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit
from uuid import UUID

from models.errors import InvalidInput, LikenessError, NotEnoughPhotos, TooManyPhotos
from models.status import SubjectGender, TrainingQuality
from services.text import is_plain
from services.trainers import DEFAULT_TRAINER, Number, Trainer, trainer_for

STEPS = {TrainingQuality.ECONOMY: 500, TrainingQuality.QUALITY: 1000}
TRIGGER = re.compile(r"[\w-]+(?: [\w-]+)*")
RANK, BATCH, RATE = Number(minimum=1, maximum=128), Number(minimum=1, maximum=32), Number(minimum=1e-7, maximum=0.1)
LONGEST_NAME, LONGEST_TRIGGER, LONGEST_KEY, LONGEST_URL = 100, 50, 255, 2000


@dataclass(frozen=True, kw_only=True)
class TrainingInput:
    """A request for a training; None means: not given."""

    model_name: str
    photo_ids: tuple[UUID, ...] | None = None
    images_data_url: str | None = None
    trigger_word: str | None = None
    gender: SubjectGender | None = None
    quality: TrainingQuality | None = None
    steps: int | None = None
    is_style: bool = False
    create_masks: bool = True
    base_model: str = DEFAULT_TRAINER
    lora_rank: int | None = None
    learning_rate: float | None = None
    batch_size: int | None = None
    idempotency_key: str | None = None

    @property
    def trainer(self) -> Trainer:
        """The base model's trainer. Raises `NotFound`."""
        return trainer_for(self.base_model)

    @property
    def chosen_steps(self) -> int:
        """Explicit steps win over the quality, whose default is QUALITY (1000)."""
        return self.steps if self.steps is not None else STEPS[self.quality or TrainingQuality.QUALITY]

    @property
    def hash(self) -> str:
        """Recognises the same input under the same idempotency key."""
        facts = {name: value for name, value in asdict(self).items() if name != "idempotency_key"}
        return hashlib.sha256(json.dumps(facts, default=str, sort_keys=True).encode()).hexdigest()

    def check(self, *, min_photos: int, max_photos: int) -> None:
        """Raise the first `LikenessError` found; each names its field."""
        _check_text("modelName", self.model_name, LONGEST_NAME)
        if self.trigger_word is not None:
            _check_text("triggerWord", self.trigger_word, LONGEST_TRIGGER)
            if not TRIGGER.fullmatch(self.trigger_word):
                raise _invalid("triggerWord", "may hold letters, digits, _, - and single spaces.")
        if self.idempotency_key is not None:
            _check_text("idempotencyKey", self.idempotency_key, LONGEST_KEY)
        self._check_source(min_photos, max_photos)
        self._check_numbers()

    def _check_source(self, min_photos: int, max_photos: int) -> None:
        if (self.photo_ids is None) == (self.images_data_url is None):
            raise _invalid("photoIds", "or imagesDataUrl must be given, and not both.")
        if self.images_data_url is not None:
            _check_archive_url(self.images_data_url)
        elif self.photo_ids is not None:
            have = len(set(self.photo_ids))
            path = ("input", "photoIds")
            if have < min_photos:
                raise NotEnoughPhotos(have=have, need=min_photos, path=path)
            if have > max_photos:
                raise TooManyPhotos(have=have, limit=max_photos, path=path)

    def _check_numbers(self) -> None:
        bounds = Number(minimum=1, maximum=10000)
        checks = {"steps": (self.steps, bounds), "lora_rank": (self.lora_rank, RANK)}
        checks |= {"batch_size": (self.batch_size, BATCH)}
        for name, (value, limits) in checks.items():
            if value is not None:
                self.trainer.check(name, value, limits)
        if self.learning_rate is not None:
            self.trainer.check("learning_rate", self.learning_rate, RATE)
        self.trainer.arguments(
            archive_url="", trigger="", caption="", steps=self.chosen_steps, learning_rate=self.learning_rate
        )


def _check_text(field: str, text: str, longest: int) -> None:
    if not is_plain(text, longest=longest):
        raise _invalid(field, f"must have 1 to {longest} characters and no control characters.")


def _check_archive_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        sound = parts.scheme == "https" and "." in (parts.hostname or "") and not parts.username and url.isprintable()
    except ValueError:
        sound = False
    if not sound or len(url) > LONGEST_URL:
        raise _invalid("imagesDataUrl", "must be the https address of a ZIP file.")


def _invalid(field: str, rule: str) -> LikenessError:
    return InvalidInput(reason=f"{field} {rule}", path=("input", field))
