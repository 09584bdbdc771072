"""States, stages and their legal moves: the one table every change is checked against."""

from enum import StrEnum

from models.generation_types import GenerationType as GenerationType


class TrainingStatus(StrEnum):
    """Where a training stands (seed 002, plus CANCELLED)."""

    PENDING = "PENDING"
    TRAINING = "TRAINING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def is_final(self) -> bool:
        """Whether the job has ended; only a late success may still follow a FAILED."""
        return self in {TrainingStatus.COMPLETED, TrainingStatus.FAILED, TrainingStatus.CANCELLED}


class TrainingStage(StrEnum):
    """What a training is doing (seed 004)."""

    DOWNLOADING_IMAGES = "DOWNLOADING_IMAGES"
    PACKAGING = "PACKAGING"
    CREATING_ARCHIVE = "CREATING_ARCHIVE"
    ARCHIVE_READY = "ARCHIVE_READY"
    UPLOADING_ARCHIVE = "UPLOADING_ARCHIVE"
    ARCHIVE_URL = "ARCHIVE_URL"
    TRAINING = "TRAINING"
    FINALIZING = "FINALIZING"


class GenerationStatus(StrEnum):
    """Where a generation stands."""

    PENDING = "PENDING"
    PROCESSING = "PROCESSING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def is_final(self) -> bool:
        """Whether the job has ended; only a late success may still follow a FAILED."""
        return self in {GenerationStatus.COMPLETED, GenerationStatus.FAILED, GenerationStatus.CANCELLED}


class ImageFormat(StrEnum):
    """The file formats of pictures."""

    PNG = "PNG"
    JPEG = "JPEG"
    WEBP = "WEBP"


class TrainingQuality(StrEnum):
    """Presets for the number of steps (seed 000)."""

    ECONOMY = "ECONOMY"
    QUALITY = "QUALITY"


class SubjectGender(StrEnum):
    """Chooses the class noun of the prompts (seed 001)."""

    PERSON = "PERSON"
    WOMAN = "WOMAN"
    MAN = "MAN"


NEXT_TRAINING: dict[TrainingStatus, frozenset[TrainingStatus]] = {
    TrainingStatus.PENDING: frozenset(
        {TrainingStatus.PENDING, TrainingStatus.TRAINING, TrainingStatus.FAILED, TrainingStatus.CANCELLED}
    ),
    TrainingStatus.TRAINING: frozenset(
        {TrainingStatus.TRAINING, TrainingStatus.COMPLETED, TrainingStatus.FAILED, TrainingStatus.CANCELLED}
    ),
    TrainingStatus.COMPLETED: frozenset(),
    TrainingStatus.FAILED: frozenset({TrainingStatus.COMPLETED}),  # a late success, given free
    TrainingStatus.CANCELLED: frozenset(),
}

NEXT_GENERATION: dict[GenerationStatus, frozenset[GenerationStatus]] = {
    GenerationStatus.PENDING: frozenset(
        {
            GenerationStatus.PENDING,
            GenerationStatus.PROCESSING,
            GenerationStatus.FAILED,
            GenerationStatus.CANCELLED,
        }
    ),
    GenerationStatus.PROCESSING: frozenset(
        {
            GenerationStatus.PROCESSING,
            GenerationStatus.COMPLETED,
            GenerationStatus.FAILED,
            GenerationStatus.CANCELLED,
        }
    ),
    GenerationStatus.COMPLETED: frozenset(),
    GenerationStatus.FAILED: frozenset({GenerationStatus.COMPLETED}),  # a late success, given free
    GenerationStatus.CANCELLED: frozenset(),
}

STAGE_WINDOWS: dict[TrainingStage, tuple[float, float]] = {
    TrainingStage.DOWNLOADING_IMAGES: (30.0, 35.0),
    TrainingStage.PACKAGING: (35.0, 45.0),
    TrainingStage.CREATING_ARCHIVE: (45.0, 48.0),
    TrainingStage.ARCHIVE_READY: (48.0, 52.0),
    TrainingStage.UPLOADING_ARCHIVE: (52.0, 58.0),
    TrainingStage.ARCHIVE_URL: (58.0, 60.0),
    TrainingStage.TRAINING: (60.0, 90.0),
    TrainingStage.FINALIZING: (90.0, 100.0),
}
