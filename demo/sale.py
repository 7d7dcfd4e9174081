"""The record of a simulated sale: where the units were over time, and the responses that buyers got."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from demo.client import Response


@dataclass(frozen=True)
class StockLevels:
    """The number of units in each state, `at_s` seconds after the start of the sale."""

    at_s: float
    available: int
    held: int
    pending: int
    sold: int


@dataclass
class Sale:
    """One sale, from the first buyer to the last deadline."""

    units: int
    buyers: int
    started_at: float  # monotonic seconds
    levels: list[StockLevels] = field(default_factory=list)
    responses: Sequence[Response] = ()
    counts: Counter[str] = field(default_factory=Counter)
    differences: int = 0  # rows of check_stock()
    events: int = 0  # delivered to the shop's receiver
    event_lag_s: float = 0  # from the end of the sale until the last event was delivered
    failed_at_s: float | None = None  # when the primary was killed, seconds after the start

    @property
    def oversold(self) -> int:
        """The units sold, or confirmed to buyers, beyond those on sale."""
        return max(0, max(self.levels[-1].sold, self.bought) - self.units)

    @property
    def bought(self) -> int:
        """The units that buyers were told are theirs, and that they have not returned."""
        return self.counts["success applied"] - self.counts["refunded"]

    @property
    def is_consistent(self) -> bool:
        """Whether no unit was oversold, check_stock() found no difference, and buyers were told of every unit sold."""
        return self.oversold == 0 and self.differences == 0 and self.levels[-1].sold == self.bought

    @property
    def gap(self) -> tuple[float, float]:
        """The longest time without an accepted request: its beginning and end, seconds after the start."""
        moments = sorted(response.received_at - self.started_at for response in self.responses if not response.is_error)
        return max(pairwise(moments), key=lambda pair: pair[1] - pair[0])

    def latency_ms(self, share: float) -> float:
        """The duration that this share of the responses did not exceed."""
        return 1000 * float(np.quantile([response.duration_s for response in self.responses], share))

    @property
    def busiest_second(self) -> int:
        """The number of requests in the busiest second."""
        return max(Counter(int(response.requested_at - self.started_at) for response in self.responses).values())
