"""What happened in a flash sale: where the units were, and what buyers were told."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from demo.client import Answer


@dataclass(frozen=True)
class Levels:
    """Where the units were at one moment, in seconds from the sale's start."""

    at_s: float
    available: int
    held: int
    pending: int
    sold: int


@dataclass
class Story:
    """One sale, from its first buyer to its last deadline."""

    units: int
    buyers: int
    started_at: float  # of the monotonic clock
    levels: list[Levels] = field(default_factory=list)
    answers: Sequence[Answer] = ()
    counts: Counter[str] = field(default_factory=Counter)
    differences: int = 0  # rows of check_stock()

    @property
    def oversold(self) -> int:
        """Units beyond those that there were, sold or told to be."""
        return max(0, max(self.levels[-1].sold, self.counts["success applied"]) - self.units)

    @property
    def is_sound(self) -> bool:
        """Whether every unit sold is one that a buyer was told of, and none is one too many."""
        return self.oversold == 0 and self.differences == 0 and self.levels[-1].sold == self.counts["success applied"]

    def latency_ms(self, share: float) -> float:
        """The milliseconds within which this share of the answers came."""
        return 1000 * float(np.quantile([answer.duration_s for answer in self.answers], share))

    @property
    def busiest_second(self) -> int:
        """The most answers of one second."""
        return max(Counter(int(answer.asked_at - self.started_at) for answer in self.answers).values())
