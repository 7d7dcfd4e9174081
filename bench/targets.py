"""What a scenario yields: its results, and whether they reach its targets."""

from dataclasses import dataclass, field

from bench.runner import Result


@dataclass(frozen=True)
class Target:
    """A value that should reach a threshold, or not exceed it (`at_most`); invalid if a result behind it has errors."""

    text: str
    value: float
    threshold: float
    at_most: bool = False
    is_valid: bool = True

    @property
    def is_met(self) -> bool:
        """Whether the value is valid and on the right side of the threshold."""
        return self.is_valid and (self.value <= self.threshold if self.at_most else self.value >= self.threshold)


@dataclass
class RevisionRatios:
    """A result of the working tree divided by the same result of another revision, round by round."""

    current: Result
    other: Result

    @property
    def rates(self) -> list[float]:
        """The ratios of the rates; higher is better."""
        return [current / other for current, other in zip(self.current.rates, self.other.rates, strict=True)]

    @property
    def p99s(self) -> list[float]:
        """The ratios of the 99th percentiles of latency; lower is better."""
        rounds = zip(self.current.rounds, self.other.rounds, strict=True)
        return [current.p99_ms / other.p99_ms for current, other in rounds]

    @property
    def cpus(self) -> list[float]:
        """The ratios of the CPU time per request of all servers together; lower is better."""
        rounds = zip(self.current.rounds, self.other.rounds, strict=True)
        return [sum(current.cpu_us.values()) / sum(other.cpu_us.values()) for current, other in rounds]

    @property
    def is_valid(self) -> bool:
        """Whether no round of either revision has errors."""
        return not self.current.errors and not self.other.errors


@dataclass
class ScenarioResult:
    """The results of a scenario, with its targets, or with the ratios to another revision."""

    results: list[Result]
    targets: list[Target] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    revision_ratios: list[RevisionRatios] = field(default_factory=list)


def rate_target(subject: Result, threshold: float, baseline: Result) -> Target:
    """Require that the subject's rate is at least `threshold` times the baseline's rate."""
    text = f"{subject.label}: ≥ {threshold:g} x {baseline.label}"
    value = subject.rate / baseline.rate if baseline.rate else 0.0
    return Target(text, value, threshold, is_valid=not subject.errors and not baseline.errors)
