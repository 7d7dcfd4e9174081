"""A linearizability checker for the stock of one product.

Every act took effect at one moment between its start and its end. A history is legal if its acts can be put in an order
that agrees with these intervals, and in which the stock allows each act. This is Wing and Gong's search; it remembers
the sets of placed acts, and a counter allows three shortcuts:

- The stock follows from the set of placed acts, so the set is the whole state.
- An act that changes nothing is placed as soon as the stock fits, because that excludes no other order.
- Of acts with the same effect, the one that ends first is placed first, because the others can also be placed later.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

ANY = 10**12


@dataclass(frozen=True)
class Act:
    """An act on a stock that took effect between two moments, in seconds of one clock."""

    what: str
    start: float
    end: float
    change: int = 0  # units added, negative when taken
    least: int = 0  # least units that must be available before it
    most: int = ANY  # most units that may be available before it

    def until(self, end: float) -> "Act":
        """The same act with a later end."""
        return replace(self, end=max(end, self.end))


def took(quantity: int, start: float, end: float) -> Act:
    """An act that took units, so that many were available."""
    return Act(f"took {quantity}", start, end, change=-quantity, least=quantity)


def gave(quantity: int, start: float, end: float) -> Act:
    """An act that returned or added units."""
    return Act(f"gave {quantity}", start, end, change=quantity)


def was_refused(quantity: int, start: float, end: float) -> Act:
    """An act that was refused because fewer units were available."""
    return Act(f"was refused {quantity}", start, end, most=quantity - 1)


def saw(units: int, start: float, end: float) -> Act:
    """An act that read the available units."""
    return Act(f"saw {units}", start, end, least=units, most=units)


def unexplained(stock: int, history: Iterable[Act]) -> list[Act]:
    """The acts that do not fit into the longest order found; none, if the history is legal."""
    acts = sorted(history, key=lambda act: act.start)
    placed_all = (1 << len(acts)) - 1
    least_left = placed_all
    reached = {0}
    open_states = [(0, stock)]  # a bit per act, set if it is placed; and the resulting stock
    while open_states:
        placed, available = open_states.pop()
        candidates, placed = _place_what_changes_nothing(acts, placed, available)
        if placed == placed_all:
            return []
        if (placed_all & ~placed).bit_count() < least_left.bit_count():
            least_left = placed_all & ~placed
        for position in _one_of_each_effect(acts, candidates, available):
            state = placed | 1 << position
            if state not in reached:
                reached.add(state)
                open_states.append((state, available + acts[position].change))
    return [act for position, act in enumerate(acts) if least_left >> position & 1]


def _place_what_changes_nothing(acts: list[Act], placed: int, available: int) -> tuple[list[int], int]:
    """The acts that may come next, and the placed acts with every fitting act that changes nothing."""
    while True:
        candidates = _candidates(acts, placed)
        fitting = 0
        for position in candidates:
            act = acts[position]
            if act.change == 0 and act.least <= available <= act.most:
                fitting |= 1 << position
        if not fitting:
            return candidates, placed
        placed |= fitting


def _candidates(acts: list[Act], placed: int) -> list[int]:
    """The acts that may come next: those that began before any act that is not placed ended."""
    candidates = []
    first_end = float("inf")
    position = (~placed & (placed + 1)).bit_length() - 1  # of the first act that is not placed
    while position < len(acts) and acts[position].start <= first_end:
        if not placed >> position & 1:
            candidates.append(position)
            first_end = min(first_end, acts[position].end)
        position += 1
    return candidates


def _one_of_each_effect(acts: list[Act], candidates: list[int], available: int) -> list[int]:
    """Of the fitting acts that change the stock, the first to end of each effect; the most urgent is last."""
    chosen: dict[tuple[int, int, int], int] = {}
    for position in sorted(candidates, key=lambda position: acts[position].end):
        act = acts[position]
        if act.change and act.least <= available <= act.most:
            chosen.setdefault((act.change, act.least, act.most), position)
    return list(reversed(chosen.values()))
