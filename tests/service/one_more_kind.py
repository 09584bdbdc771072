"""Run in a copy of the program to which one entry was added: what the new kind has without any other change."""

import asyncio
import json
import sys
from pathlib import Path

from likeness.db import connected, migrate
from models.generation import Generation
from schema.context import Context
from schema.root import build_schema
from schema.types.node import global_id
from tests.service import rows
from tests.service.chain_stage import attempts, stage_in
from tests.service.process import DAILY, postings

DRAW = """mutation($input: GenerateImageInput!) {
  generateImage(input: $input) { generations { id type creditsSpent } userErrors { message path } }
}"""
HISTORY = """query($type: GenerationType) {
  generations(type: $type) { nodes { id type status imageUrl permanent model } }
  __type(name: "GenerationType") { enumValues { name description } } }"""


async def main(folder: Path) -> dict[str, object]:
    """Draw one, and show it."""
    url = f"sqlite://{folder / 'likeness.sqlite'}"
    await migrate(url)
    async with connected(url), stage_in(folder) as stage:
        owner, schema = await rows.user(), build_schema()

        async def ask(document: str, **variables: object) -> dict[str, object]:
            context = Context.build(stage.assembly.services, owner, "request-1")
            result = await schema.execute(document, variables, context_value=context)
            assert result.errors is None, result.errors
            assert result.data is not None
            return result.data

        photo = await stage.photo(owner)
        given = {"type": "POP_ART", "runId": "run-1"}
        refused = await ask(DRAW, input=given)
        accepted = await ask(DRAW, input=given | {"sourcePhotoId": global_id("Photo", photo.id)})
        await stage.run_all()
        row = await Generation.get()
        return {
            "refused": refused["generateImage"], "accepted": accepted["generateImage"],
            "history": await ask(HISTORY, type="POP_ART"), "other": await ask(HISTORY, type="LORA"),
            "attempts": await attempts(row), "postings": await postings(row.id), "prompt": row.final_prompt,
            "spent": DAILY - await stage.spendable(owner),
            "files": [name for name in stage.store.files if "pop" in name],
        }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(Path(sys.argv[1])))))  # noqa: T201
