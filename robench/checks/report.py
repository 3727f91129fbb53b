"""The report of the checks of one network."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from robench.errors import UserError

VERSION = 4
"""Version of the JSON format, of the list of checks and of the sentences:
:mod:`robench.leaderboard.audit.findings` knows them, so a changed sentence needs a form there, and
the earlier form stays. Version 2 has more checks, and best-effort accuracies; in version 3
``incomplete_optimization`` compares APGD, too; version 4 has ``restricted``."""

LATER = {"restricted": 4}
"""The findings that reports have only from this version on."""

_CHANGED = {2: ("incomplete_optimization",), 3: (), VERSION: ()}

MADE_OTHERWISE: Mapping[int, tuple[str, ...]] = {
    version: (*changed, *(name for name, first in LATER.items() if first > version))
    for version, changed in _CHANGED.items()
}
"""The versions whose checks are those of today, and of each the findings that are made otherwise
today, or were not made: all others can be made again and compared."""

READABLE = (1, *MADE_OTHERWISE)
"""The versions of reports that can be read."""

FINDINGS_OF_VERSION_1 = (
    "eps_curve",
    "large_eps",
    "single_step",
    "noise_floor",
    "more_steps",
    "more_restarts",
    "black_box",
    "transfer",
    "finite_gradients",
    "zero_gradients",
    "saturated_loss",
    "loss_rises",
    "same_logits",
    "any_batch",
    "inside_ball",
    "train_eval_gap",
)
"""The findings of a report of version 1, in their order; ``binarization`` came after them where a
board asked for it, and then those of plugins' checks."""

Curve = tuple[tuple[float, float], ...]
"""(eps, accuracy under the standard white-box attack at that radius), in rising order from 0."""


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        check: its name, which is the flag of a row that fails it.
        passed: whether the check passed; None if it could not be made on this network.
        sentence: what was found, with figures, or why the check could not be made.
        best_effort: the fraction of the report's images that stay right against all attacks that
            were known when the check ended and its own stronger search, from
            :meth:`robench.checks.CheckContext.best_effort`; None if the check does not search, or
            the network raises during its search.
    """

    check: str
    passed: bool | None
    sentence: str
    best_effort: float | None = None


@dataclass(frozen=True)
class Report:
    """All findings on one network.

    Attributes:
        samples: number of images that the checks' own attacks were run on.
        findings: one or more per check, each name once.
        curve: accuracy as a function of the radius; empty if it could not be measured.
    """

    samples: int
    findings: tuple[Finding, ...]
    curve: Curve = ()

    def __repr__(self) -> str:
        verdicts = [finding.passed for finding in self.findings]
        names = f" ({', '.join(self.failed)})" if self.failed else ""
        return (
            f"<Report on {self.samples} images: {verdicts.count(False)} failed{names}, "
            f"{verdicts.count(True)} passed, {verdicts.count(None)} could not be judged>"
        )

    @property
    def failed(self) -> list[str]:
        """The names of the checks that failed."""
        return [finding.check for finding in self.findings if finding.passed is False]

    @property
    def best_effort(self) -> float | None:
        """The lowest best-effort accuracy of any check; None if no check searched."""
        found = [f.best_effort for f in self.findings if f.best_effort is not None]
        return min(found, default=None)

    def __getitem__(self, check: str) -> Finding:
        """Return the finding of a check.

        Raises:
            KeyError: if no finding has that name.
        """
        for finding in self.findings:
            if finding.check == check:
                return finding
        raise KeyError(check)

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            "version": VERSION,
            "samples": self.samples,
            "findings": [_entry(finding) for finding in self.findings],
            "curve": [{"eps": eps, "accuracy": accuracy} for eps, accuracy in self.curve],
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Report":
        """Read the JSON values that :meth:`to_json` returned, also those of version 1.

        Raises:
            UserError: if a value is missing, or has a wrong type or version.
        """
        try:
            if values["version"] not in READABLE:
                raise ValueError(
                    f"version {values['version']!r} is not {VERSION} or an earlier one"
                )
            return cls(
                samples=int(values["samples"]),
                findings=tuple(_finding(entry) for entry in values["findings"]),
                curve=tuple((float(p["eps"]), float(p["accuracy"])) for p in values["curve"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"the checks of a cell are damaged ({type(error).__name__}: {error}); "
                f"run them again."
            ) from error


def _entry(finding: Finding) -> dict[str, Any]:
    """Return the JSON values of a finding; one without a search has no best-effort accuracy."""
    values = {"check": finding.check, "passed": finding.passed, "sentence": finding.sentence}
    found = finding.best_effort
    return values if found is None else values | {"best_effort": found}


def _finding(entry: Mapping[str, Any]) -> Finding:
    check, passed, sentence = entry["check"], entry["passed"], entry["sentence"]
    if not (isinstance(check, str) and isinstance(sentence, str)):
        raise TypeError("a finding needs a name and a sentence")
    if passed is not None and not isinstance(passed, bool):
        raise TypeError(f"'{check}' is {passed!r}, not true, false or null")
    found = entry.get("best_effort")
    return Finding(check, passed, sentence, None if found is None else float(found))
