"""Rates, means and quantiles between two scrapes are those that Prometheus calculates."""

import pytest

from top.metrics import Sample, Scrape, Window


def scrape_of(at_s: float, **samples: list[Sample]) -> Scrape:
    """Make a scrape of these samples."""
    return Scrape(at_s, samples)


def counters(at_s: float, accepted: float, refused: float) -> Scrape:
    """Make a scrape of one counter with two outcomes."""
    return scrape_of(at_s, outcomes=[({"outcome": "accepted"}, accepted), ({"outcome": "refused"}, refused)])


def histogram(at_s: float, *counts: float) -> Scrape:
    """Make a scrape of one histogram with the bounds 1, 2, 4 and infinity."""
    bounds = ("1.0", "2.0", "4.0", "+Inf")
    return scrape_of(at_s, seconds_bucket=[({"le": bound}, count) for bound, count in zip(bounds, counts, strict=True)])


def test_a_rate_is_the_increase_per_second_of_the_samples_with_the_labels() -> None:
    window = Window(counters(10, 100, 7), counters(14, 120, 8))
    assert window.rate("outcomes", outcome="accepted") == 5
    assert window.rate("outcomes") == 5.25
    assert window.rate("outcomes", outcome="of another kind") == 0


def test_after_a_restart_of_the_service_a_counter_counts_from_0() -> None:
    assert Window(counters(10, 100, 7), counters(14, 8, 0)).rate("outcomes", outcome="accepted") == 2


@pytest.mark.parametrize(("share", "expected"), [(0.25, 0.5), (0.5, 1.0), (0.75, 2.0), (0.9, 3.2), (1.0, 4.0)])
def test_a_quantile_is_interpolated_between_bounds(share: float, expected: float) -> None:
    window = Window(histogram(10, 3, 3, 3, 3), histogram(11, 13, 18, 23, 23))
    assert window.quantile("seconds", share) == pytest.approx(expected)


def test_a_quantile_beyond_the_last_finite_bound_is_that_bound() -> None:
    assert Window(histogram(10, 0, 0, 0, 0), histogram(11, 0, 0, 0, 5)).quantile("seconds", 0.5) == 4


def test_a_histogram_without_observations_has_no_quantile_and_no_mean() -> None:
    window = Window(histogram(10, 3, 3, 3, 3), histogram(11, 3, 3, 3, 3))
    assert window.quantile("seconds", 0.5) is None
    assert window.mean("seconds") is None
