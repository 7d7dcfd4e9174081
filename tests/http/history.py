"""Whether what clients saw of one product's stock can have happened one act after another.

Every act took place at one moment between its start and its end. A history is legal if its acts can be put in an
order, true to those intervals, in which each of them met a stock that allows what it saw. This is Wing and Gong's
search with the sets of placed acts remembered, and with three short cuts that a counter allows:

- the stock follows from the set of placed acts, so the set alone is the state;
- an act that changes nothing is placed as soon as the stock fits it: that takes no other order away;
- of acts with the same effect the one that ends first goes first: the others can do all that it could, and later.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

ANY = 10**12


@dataclass(frozen=True)
class Act:
    """What happened to a stock between two moments, in seconds of one clock."""

    what: str
    start: float
    end: float
    change: int = 0  # units added, negative when taken
    least: int = 0  # units that there were before, at least
    most: int = ANY  # and at the most

    def until(self, end: float) -> "Act":
        """The same act, which may have taken place until later."""
        return replace(self, end=max(end, self.end))


def took(quantity: int, start: float, end: float) -> Act:
    """Units were taken, so they were there."""
    return Act(f"took {quantity}", start, end, change=-quantity, least=quantity)


def gave(quantity: int, start: float, end: float) -> Act:
    """Units came back, or were added."""
    return Act(f"gave {quantity}", start, end, change=quantity)


def was_refused(quantity: int, start: float, end: float) -> Act:
    """Units were asked for, and there were fewer."""
    return Act(f"was refused {quantity}", start, end, most=quantity - 1)


def saw(units: int, start: float, end: float) -> Act:
    """Somebody read how many units there were."""
    return Act(f"saw {units}", start, end, least=units, most=units)


def unexplained(stock: int, history: Iterable[Act]) -> list[Act]:
    """The acts that are left over in the longest order that could be found: none, if the history is legal."""
    acts = sorted(history, key=lambda act: act.start)
    placed_all = (1 << len(acts)) - 1
    least_left = placed_all
    reached = {0}
    open_states = [(0, stock)]  # a bit an act: whether it is placed; and the stock that this comes to
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
    """The acts that may come next, and the set of placed ones with every fitting act that changes nothing."""
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
    """Acts that may come next: those that no act still to be placed ended before."""
    candidates = []
    first_end = float("inf")
    position = (~placed & (placed + 1)).bit_length() - 1  # of the first that is not placed
    while position < len(acts) and acts[position].start <= first_end:
        if not placed >> position & 1:
            candidates.append(position)
            first_end = min(first_end, acts[position].end)
        position += 1
    return candidates


def _one_of_each_effect(acts: list[Act], candidates: list[int], available: int) -> list[int]:
    """Of the acts that fit now and change something, the first to end of each kind, the most urgent last."""
    chosen: dict[tuple[int, int, int], int] = {}
    for position in sorted(candidates, key=lambda position: acts[position].end):
        act = acts[position]
        if act.change and act.least <= available <= act.most:
            chosen.setdefault((act.change, act.least, act.most), position)
    return list(reversed(chosen.values()))
