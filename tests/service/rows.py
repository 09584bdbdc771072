"""Rows as the services write them, each with one word changed at will."""

from typing import Any
from uuid import UUID

from models.generation import Generation, GenerationEvent, GenerationLora
from models.ids import new_id
from models.ledger import AccountKind, LedgerAccount, LedgerPosting, PostingKind
from models.lora import LoraModel
from models.photo import Photo, TrainingArchive
from models.status import GenerationStatus, GenerationType, TrainingStatus
from models.submission import Submission
from models.training import Training, TrainingEvent, TrainingPhoto
from models.user import User
from tests.fakes import NOON


async def user(**columns: Any) -> User:
    """A user."""
    return await User.create(**{"subject": f"jwt:{new_id()}", "created_at": NOON} | columns)


async def photo(owner: UUID, **columns: Any) -> Photo:
    """A kept photo."""
    facts = {
        "filename": "me.jpg", "content_type": "image/jpeg", "location": "photo/me.jpg", "bytes": 1, "width": 512,
        "height": 512, "sha256": "ab" * 32, "source_sha256": new_id().hex * 2, "created_at": NOON,
    }  # fmt: skip
    return await Photo.create(owner_id=owner, **facts | columns)


async def archive(owner: UUID, **columns: Any) -> TrainingArchive:
    """A packed ZIP."""
    facts = {"content_key": "k", "sha256": "ab" * 32, "bytes": 1, "url": "https://x.example/a.zip"}
    facts |= {"created_at": NOON, "expires_at": NOON}
    return await TrainingArchive.create(owner_id=owner, **facts | columns)


async def model(owner: UUID, **columns: Any) -> LoraModel:
    """A model whose training was just accepted."""
    facts = {"name": "Me", "trigger_word": "ME_0001", "base_model": "flux-lora-fast-training", "created_at": NOON}
    return await LoraModel.create(owner_id=owner, **facts | columns)


async def training(owner: UUID, **columns: Any) -> Training:
    """A training that was just accepted, with its model; without an event."""
    facts = {
        "base_model": "flux-lora-fast-training", "steps": 1000, "trigger_word": "ME_0001",
        "instance_prompt": "photo of ME_0001 person", "input_hash": "ab" * 32, "credits": 20, "credits_spent": 20,
        "created_at": NOON,
    }  # fmt: skip
    columns.setdefault("model_id", (await model(owner)).id)
    return await Training.create(owner_id=owner, **facts | columns)


async def training_photo(training_id: UUID, photo_id: UUID, **columns: Any) -> TrainingPhoto:
    """A photo of a training."""
    return await TrainingPhoto.create(training_id=training_id, photo_id=photo_id, **{"position": 0} | columns)


async def training_event(training_id: UUID, **columns: Any) -> TrainingEvent:
    """A training's event."""
    facts = {"seq": 1, "status": TrainingStatus.PENDING, "percent": 0.0, "message": "Training accepted", "at": NOON}
    return await TrainingEvent.create(training_id=training_id, **facts | columns)


async def generation(owner: UUID, **columns: Any) -> Generation:
    """A generation that was just accepted; without an event."""
    facts = {
        "run_id": str(new_id()), "position": 0, "input_hash": "ab" * 32, "type": GenerationType.CUSTOM_PROMPT,
        "image_size": "square_hd", "asset_name": f"{new_id()}.png", "credits": 2, "credits_spent": 2,
        "created_at": NOON,
    }  # fmt: skip
    return await Generation.create(owner_id=owner, **facts | columns)


async def generation_lora(generation_id: UUID, model_id: UUID, **columns: Any) -> GenerationLora:
    """A model of a generation."""
    return await GenerationLora.create(generation_id=generation_id, model_id=model_id, **{"position": 0} | columns)


async def generation_event(generation_id: UUID, **columns: Any) -> GenerationEvent:
    """A generation's event."""
    facts = {"seq": 1, "status": GenerationStatus.PENDING, "message": "Generation accepted", "at": NOON}
    return await GenerationEvent.create(generation_id=generation_id, **facts | columns)


async def submission(job_id: UUID, **columns: Any) -> Submission:
    """The intent of a paid call."""
    facts = {"endpoint": "fal-ai/fast", "model": "fast", "needle": "needle", "arguments": {}, "created_at": NOON}
    return await Submission.create(job_id=job_id, **facts | columns)


async def account(owner: UUID, **columns: Any) -> LedgerAccount:
    """A ledger account."""
    return await LedgerAccount.create(owner_id=owner, **{"key": f"{new_id()}", "kind": AccountKind.BALANCE} | columns)


async def posting(owner: UUID, **columns: Any) -> LedgerPosting:
    """A posting without entries."""
    facts = {"seq": 1, "kind": PostingKind.GRANT, "at": NOON, "previous_hash": "", "hash": "ab" * 32}
    return await LedgerPosting.create(owner_id=owner, **facts | columns)
