"""What goes wrong in one seed. Each seed has some kinds of faults and not others, so that none hides another."""

import random
from dataclasses import dataclass, field

KINDS = {  # the highest chance of each, per occasion
    "submit_refused": 0.5,
    "submit_rejected": 0.1,
    "submit_lost_unsent": 0.3,
    "submit_lost": 0.6,
    "submit_accepted_late": 0.4,
    "answer_slow": 0.4,
    "unlisted": 0.6,
    "listed_late": 0.6,
    "list_down": 0.4,
    "status_down": 0.4,
    "result_down": 0.4,
    "result_refused": 0.4,
    "ended_with_error": 0.2,
    "weights_lost": 0.6,
    "truncated": 0.6,
    "download_down": 0.4,
    "upload_down": 0.2,
    "store_down": 0.4,
    "store_answer_lost": 0.4,
    "webhook_lost": 0.9,
    "webhook_late": 0.6,
    "webhook_duplicate": 0.7,
    "webhook_forged": 0.5,
    "bus_lost": 0.7,
    "bus_duplicate": 0.5,
    "bus_late": 0.5,
    "enqueue_lost": 0.3,
    "slow_statement": 0.05,
}


@dataclass
class Faults:
    """The seed's dice. `active` ends when the faults stop; the dice for decisions go on."""

    seed: int
    active: bool = True
    rates: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        for kind, highest in KINDS.items():
            chance = self.dice.random() * highest
            self.rates[kind] = chance if self.dice.random() < 0.35 else 0.0
        if self.dice.random() < 0.1:
            # Calls that are lost for a while are rare otherwise, and the hardest to get right.
            self.rates |= {"submit_lost": 0.9, self.dice.choice(["unlisted", "listed_late"]): 0.9, "webhook_late": 0.9}

    def happens(self, kind: str) -> bool:
        """Whether this fault happens now."""
        rate = self.rates[kind]
        return self.active and rate > 0 and self.dice.random() < rate

    def first(self, *kinds: str) -> str | None:
        """The first of these kinds that happens now."""
        return next((kind for kind in kinds if self.happens(kind)), None)

    def chance(self, of_one: float) -> bool:
        """A decision that is no fault, such as whether a user cancels."""
        return self.dice.random() < of_one

    def seconds(self, low: float, high: float) -> float:
        """A time between two bounds; short ones are as likely as long ones."""
        return low + (high - low) * self.dice.random() ** 2

    def latency(self) -> float:
        """How long a statement takes: mostly nothing."""
        return self.dice.random() / 10 if self.happens("slow_statement") else 0
