"""Counting trials and failures, and what they say about the rate of failures."""

from collections import Counter
from dataclasses import dataclass, field

from scipy.stats import beta


@dataclass
class Tally:
    """Trials and failures, by kind.

    Attributes:
        trials: kind -> number of trials.
        failures: kind -> number of those that failed.
        examples: one sentence per failure, which says how to see it again.
    """

    trials: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def add(self, kind: str, failure: str | None = None) -> None:
        """Count a trial.

        Args:
            kind: what was tried, such as ``manifest.weights_hash``.
            failure: what went wrong; None if nothing did.
        """
        self.trials[kind] += 1
        if failure is not None:
            self.failures[kind] += 1
            self.examples.append(f"{kind}: {failure}")

    @property
    def failed(self) -> int:
        """The number of failures of all kinds."""
        return self.failures.total()

    @property
    def bound(self) -> float:
        """The upper end of the exact one-sided 95% interval of the rate of failures.

        After n trials without a failure it is about 3/n (Hanley and Lippman-Hand, 1983).
        """
        return upper_bound(self.failed, self.trials.total())

    def report(self, title: str) -> str:
        """Return the report: a line per kind, the total with its bound, and the failures."""
        width = max([len(kind) for kind in self.trials], default=0)
        lines = [title, ""]
        for kind, count in sorted(self.trials.items()):
            lines.append(f"{kind:<{width}}  {count:>7} trials  {self.failures[kind]:>6} failed")
        lines += [
            "",
            f"{self.trials.total()} trials, {self.failed} failed; the rate of failures is below "
            f"{self.bound:.2g} (95%).",
        ]
        return "\n".join(lines + [f"- {example}" for example in self.examples])


def upper_bound(failures: int, trials: int) -> float:
    """Return the upper end of Clopper and Pearson's one-sided 95% interval of a rate."""
    if failures >= trials:
        return 1.0
    return float(beta.ppf(0.95, failures + 1, trials - failures))
