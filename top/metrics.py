"""What `/metrics` says, and what two scrapes of it say about the time between them."""

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
    """All samples of one moment, by their names."""

    at_s: float  # of the monotonic clock
    samples: Mapping[str, list[Sample]]

    def total(self, name: str, **labels: str) -> float:
        """The sum of the samples that have these labels; 0 where there is none."""
        return sum(value for has, value in self.samples.get(name, []) if labels.items() <= has.items())

    def by(self, name: str, label: str) -> dict[str, float]:
        """The samples' sums by the values of a label."""
        sums: dict[str, float] = {}
        for has, value in self.samples.get(name, []):
            sums[has[label]] = sums.get(has[label], 0) + value
        return sums


@dataclass(frozen=True)
class Window:
    """The time between two scrapes."""

    first: Scrape
    last: Scrape

    def increase(self, name: str, **labels: str) -> float:
        """How much a counter rose; a service that was restarted meanwhile counts from 0."""
        first, last = self.first.total(name, **labels), self.last.total(name, **labels)
        return last - first if last >= first else last

    def rate(self, name: str, **labels: str) -> float:
        """How much a counter rose in a second."""
        return self.increase(name, **labels) / (self.last.at_s - self.first.at_s)

    def mean(self, name: str, **labels: str) -> float | None:
        """The mean of what a histogram saw in this time; None: it saw nothing."""
        count = self.increase(f"{name}_count", **labels)
        return self.increase(f"{name}_sum", **labels) / count if count else None

    def quantile(self, name: str, share: float, **labels: str) -> float | None:
        """The value that this share of what a histogram saw does not exceed, interpolated as Prometheus does.

        None: it saw nothing. What lies beyond the last bound counts as that bound.
        """
        bounds = sorted(float(bound) for bound in self.last.by(f"{name}_bucket", "le"))
        names = {float(bound): bound for bound in self.last.by(f"{name}_bucket", "le")}
        counts = [self.increase(f"{name}_bucket", le=names[bound], **labels) for bound in bounds]
        if not counts or not counts[-1]:
            return None
        wanted = share * counts[-1]
        for (low, below), (high, within) in pairwise([(0.0, 0.0), *zip(bounds, counts, strict=True)]):
            if within >= wanted:
                return low if high == float("inf") else low + (high - low) * (wanted - below) / (within - below)
        return None


def scrape(service_url: str) -> Scrape:
    """Ask a service for its metrics; raises OSError."""
    with urllib.request.urlopen(f"{service_url}/metrics", timeout=TIMEOUT_S) as answer:  # noqa: S310 main checks it
        at_s, text = time.monotonic(), answer.read().decode()
    samples: dict[str, list[Sample]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            samples.setdefault(sample.name, []).append((sample.labels, sample.value))
    return Scrape(at_s, samples)
