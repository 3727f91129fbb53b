"""Make the findings again that follow from published outcomes alone, without the network."""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from robench.base import Attack
from robench.checks.context import CheckContext
from robench.errors import UserError
from robench.evaluation import Outcomes
from robench.leaderboard.audit.figures import TIES, Seen
from robench.registry import checks as registry
from robench.runs.records import CheckReport

OF_COLUMNS = ("single_step", "noise_floor", "more_steps", "more_restarts")
"""The checks that compare attacks with each other and look at nothing else."""

OF_ALL_COLUMNS = ("more_steps", "more_restarts")
"""Those among them that compare all columns of the board, whatever they are."""


class NeedsNetworkError(Exception):
    """A check cannot be made from outcomes alone."""


@dataclass(eq=False)
class ColumnsOnly(CheckContext):
    """The context of a check with the published columns, and no network to attack.

    Raises:
        NeedsNetworkError: from whatever needs the network.
    """

    def run(self, *wanted: Attack) -> list[Outcomes]:
        """Return the outcomes of attacks, all of which must be columns."""
        if any(self._known(attack) is None for attack in wanted):
            raise NeedsNetworkError
        return super().run(*wanted)

    def logits(self, images: Tensor, batch_size: int | None = None) -> Tensor:
        """Refuse: there is no network."""
        raise NeedsNetworkError


def replay_problems(
    report: CheckReport, context: ColumnsOnly, *, compares_columns: bool
) -> Iterator[str]:
    """Yield which findings are not those that the columns give, one sentence each.

    Args:
        report: the published findings.
        context: the columns whose attacks are loaded here.
        compares_columns: whether these are all columns.
    """
    published = {finding.check: finding for finding in report.findings}
    for name in OF_COLUMNS:
        if name in OF_ALL_COLUMNS and not compares_columns:
            continue
        try:
            again = registry.build(name).run(context)
        except (NeedsNetworkError, UserError):
            continue
        said = published.get(name)
        if said is not None and (said.passed, said.sentence) != (again.passed, again.sentence):
            yield f"its outcomes give for the check '{name}': {again.sentence}"


def curve_problem(report: CheckReport, context: ColumnsOnly, seen: Seen) -> str | None:
    """Return where the curve of accuracy by radius is not that of the outcomes, or None."""
    if not report.curve:
        return None
    hits = {point.eps: round(point.accuracy * seen.samples) for point in report.curve}
    if abs(hits[0.0] - seen.correct) > TIES:
        return f"its curve has {hits[0.0]} clean images right, but its outcomes {seen.correct}."
    try:
        [standard] = context.run(context.standard())
    except (NeedsNetworkError, UserError):
        return None
    right = int(standard.robust[: seen.samples].sum())
    left = hits.get(context.eps, right)
    if left != right:
        return f"its curve has {left} images left at {context.eps:g}, but its outcomes {right}."
    return None
