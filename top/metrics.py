"""Scrapes of `/metrics`, and the rates, means and quantiles between two scrapes, calculated as Prometheus does."""

import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from prometheus_client.parser import text_string_to_metric_families

TIMEOUT_S = 5

Sample = tuple[Mapping[str, str], float]


@dataclass(frozen=True)
class Scrape:
    """All samples of one moment, by metric name."""

    at_s: float  # monotonic seconds
    samples: Mapping[str, list[Sample]]

    def total(self, name: str, **labels: str) -> float:
        """The sum of the samples that have these labels; 0 if there is none."""
        return sum(value for own_labels, value in self.samples.get(name, []) if labels.items() <= own_labels.items())

    def totals_by(self, name: str, label: str) -> dict[str, float]:
        """The sums of the samples, by the value of a label."""
        totals: dict[str, float] = {}
        for labels, value in self.samples.get(name, []):
            totals[labels[label]] = totals.get(labels[label], 0) + value
        return totals


@dataclass(frozen=True)
class Window:
    """The time between two scrapes."""

    first: Scrape
    last: Scrape

    def increase(self, name: str, **labels: str) -> float:
        """How much a counter increased; after a restart of the service, its value counts from 0."""
        first, last = self.first.total(name, **labels), self.last.total(name, **labels)
        return last - first if last >= first else last

    def rate(self, name: str, **labels: str) -> float:
        """How much a counter increased per second."""
        return self.increase(name, **labels) / (self.last.at_s - self.first.at_s)

    def mean(self, name: str, **labels: str) -> float | None:
        """The mean of the values that a histogram observed in the window; None if it observed none."""
        count = self.increase(f"{name}_count", **labels)
        return self.increase(f"{name}_sum", **labels) / count if count else None

    def quantile(self, name: str, share: float, **labels: str) -> float | None:
        """The value that this share of a histogram's observations does not exceed, interpolated as Prometheus does.

        None if it observed none in the window. A quantile beyond the last finite bound is that bound.
        """
        bounds = sorted(float(bound) for bound in self.last.totals_by(f"{name}_bucket", "le"))
        names = {float(bound): bound for bound in self.last.totals_by(f"{name}_bucket", "le")}
        counts = [self.increase(f"{name}_bucket", le=names[bound], **labels) for bound in bounds]
        if not counts or not counts[-1]:
            return None
        rank = share * counts[-1]
        for (low, below), (high, within) in pairwise([(0.0, 0.0), *zip(bounds, counts, strict=True)]):
            if within >= rank:
                return low if high == float("inf") else low + (high - low) * (rank - below) / (within - below)
        return None


def scrape(service_url: str) -> Scrape:
    """Read the metrics of a service; raises OSError."""
    with urllib.request.urlopen(f"{service_url}/metrics", timeout=TIMEOUT_S) as response:  # noqa: S310 main checks the scheme
        at_s, text = time.monotonic(), response.read().decode()
    samples: dict[str, list[Sample]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            samples.setdefault(sample.name, []).append((sample.labels, sample.value))
    return Scrape(at_s, samples)
