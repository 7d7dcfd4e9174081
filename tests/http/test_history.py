"""Tests of the linearizability checker: it tells legal from illegal histories."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.http.history import Act, gave, saw, took, unexplained, was_refused

LEGAL = {
    "nothing": [],
    "one after another": [saw(3, 0, 1), took(2, 2, 3), saw(1, 4, 5), was_refused(2, 6, 7), gave(2, 8, 9), saw(3, 9, 9)],
    "a read beside a hold sees it": [took(2, 0, 10), saw(1, 1, 2), saw(1, 3, 4)],
    "a read beside a hold does not see it yet": [took(2, 0, 10), saw(3, 1, 2), saw(1, 3, 4)],
    "the second of two came first": [took(3, 0, 10), was_refused(3, 5, 20), gave(3, 8, 30), took(3, 9, 40)],
    "a hold of what is being returned": [took(3, 0, 1), gave(3, 2, 10), took(3, 3, 4)],
    "a refusal beside a hold that was released": [took(3, 0, 5), gave(3, 6, 9), was_refused(1, 1, 7)],
    "a hold of what a reduction returns": [took(3, 0, 1), gave(2, 2, 9), took(2, 3, 4), gave(1, 5, 6), saw(1, 7, 8)],
    "an expiry that somebody met at its deadline": [took(3, 0, 1), gave(3, 5, 8), took(1, 5, 6), saw(2, 7, 7)],
}
ILLEGAL = {
    "sold twice": [took(2, 0, 10), took(2, 0, 10)],
    "sold twice, one after the other": [took(3, 0, 1), took(1, 2, 3)],
    "a unit came from nowhere": [took(2, 0, 1), saw(2, 2, 3)],
    "a unit was lost": [took(2, 0, 1), gave(2, 2, 3), saw(2, 4, 5)],
    "units came back twice": [took(2, 0, 1), gave(2, 2, 3), took(3, 4, 5), took(1, 6, 7)],
    "the release of a reduced hold returned all of it": [took(3, 0, 1), gave(2, 2, 3), gave(1, 4, 5), saw(5, 6, 7)],
    "units came back before their hold's deadline": [took(3, 0, 1), took(1, 2, 3), gave(3, 4, 5)],
    "units were not back long after their hold's deadline": [took(3, 0, 1), gave(3, 4, 5), was_refused(1, 6, 7)],
    "refused while there was enough": [took(1, 0, 1), was_refused(2, 2, 3)],
    "a read that is older than an answered hold": [took(2, 0, 1), saw(3, 2, 3)],
    "a read that is older than an earlier read": [took(2, 0, 10), saw(1, 1, 2), saw(3, 3, 4)],
    "a read between two units of one hold": [took(2, 0, 10), saw(2, 1, 2)],
    "two reads that saw two holds in opposite orders": [
        *(took(1, 0, 10), took(2, 0, 10)),
        *(saw(2, 1, 2), saw(0, 5, 6), saw(1, 3, 4)),
    ],
}


@pytest.mark.parametrize("history", LEGAL.values(), ids=LEGAL)
def test_a_legal_history_is_explained(history: list[Act]) -> None:
    assert unexplained(3, history) == []


@pytest.mark.parametrize("history", ILLEGAL.values(), ids=ILLEGAL)
def test_an_illegal_history_is_not_explained(history: list[Act]) -> None:
    assert unexplained(3, history) != []


def is_legal_by_trying_everything(stock: int, history: list[Act]) -> bool:
    """Whether any order of the acts agrees with their intervals and with the stock."""
    for order in permutations(history):
        available, moment = stock, float("-inf")
        for act in order:
            moment = max(moment, act.start)
            if moment > act.end or not act.least <= available <= act.most:
                break
            available += act.change
        else:
            return True
    return False


@st.composite
def small_histories(draw: st.DrawFn) -> list[Act]:
    """Up to six acts on a stock of three; about half of these histories are legal."""
    make = st.sampled_from((took, gave, was_refused, saw))
    history = []
    for _ in range(draw(st.integers(0, 6))):
        start = draw(st.integers(0, 8))
        history.append(draw(make)(draw(st.integers(1, 3)), start, start + draw(st.integers(0, 6))))
    return history


@given(small_histories())
def test_the_checker_agrees_with_trying_every_order(history: list[Act]) -> None:
    assert (unexplained(3, history) == []) == is_legal_by_trying_everything(3, history)
