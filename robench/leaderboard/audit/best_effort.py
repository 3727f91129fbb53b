"""Compare best-effort accuracies with the images that are left by what was published."""

import math
from collections.abc import Iterator

from robench.leaderboard.audit.figures import TIES, Seen
from robench.leaderboard.audit.findings import UNJUDGED
from robench.leaderboard.audit.replayed import ColumnsOnly
from robench.runs.records import CheckReport

ROUNDED = 1e-6
"""How far a fraction of the images may be from a whole number of them."""


def best_effort_problems(report: CheckReport, context: ColumnsOnly, seen: Seen) -> Iterator[str]:
    """Yield which best-effort accuracies cannot be those of a search, one sentence each.

    A search only adds to the attacks that are known, so that no more images can be left than those
    which all columns inside the ball and the standard attack of the curve leave. Whether fewer are
    left, only the network can tell.

    Args:
        report: the published findings.
        context: the columns whose attacks are loaded here.
        seen: what the other files say about the images of the report.
    """
    most = min(int(context.survivors.sum()), seen.correct + TIES)
    for point in report.curve:
        if point.eps in (0.0, context.eps):
            most = min(most, round(point.accuracy * seen.samples))
    for finding in report.findings:
        share = finding.best_effort
        if share is None:
            continue
        name = f"the best-effort accuracy of the check '{finding.check}'"
        if report.version == 1:
            yield f"{name} is {share:g}, but reports of version 1 have none."
        elif finding.sentence.startswith(UNJUDGED):
            yield f"{name} is {share:g}, but the check was not made."
        elif not (0 <= share <= 1 and _is_whole(share * seen.samples)):
            yield f"{name} is {share:g}, which is no share of {seen.samples} images."
        elif round(share * seen.samples) > most:
            yield (
                f"{name} is {share:g}, but its attacks leave only {most} of {seen.samples} images "
                f"right."
            )


def _is_whole(count: float) -> bool:
    return math.isclose(count, round(count), abs_tol=ROUNDED)
