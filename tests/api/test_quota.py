"""Query.quota."""

from tests.api.schema_stage import Stage

DOCUMENT = "{ quota { dailyLimit dailyUsed remaining weeklyUsed dailyReset currentBalance timestamp } }"


async def test_a_new_user(stage: Stage) -> None:
    """The whole allowance is there, until the next UTC midnight."""
    expected = {
        "dailyLimit": 60, "dailyUsed": 0, "remaining": 60, "weeklyUsed": 0, "dailyReset": "2026-02-01T00:00:00.000Z",
        "currentBalance": 0, "timestamp": "2026-01-31T12:00:00.000Z",
    }  # fmt: skip
    assert {"quota": expected} == await stage.ask(DOCUMENT)


async def test_after_a_training(stage: Stage) -> None:
    """A reserve counts at once; the balance is not touched while the allowance lasts."""
    await stage.credits.grant(stage.me.id, 5)
    await stage.training()
    quota = (await stage.ask(DOCUMENT))["quota"]
    assert (20, 40, 20, 5) == tuple(quota[name] for name in ("dailyUsed", "remaining", "weeklyUsed", "currentBalance"))
