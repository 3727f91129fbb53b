"""Reports of an earlier version: what of them can be compared with checks that are made today."""

from collections.abc import Iterator

from robench.checks.report import LATER, MADE_OTHERWISE
from robench.leaderboard.audit.findings import verdict
from robench.runs.records import CheckReport, FindingEntry

EARLIER = "its checks: an earlier version of robench made them, and only failures count here."
"""What is said of a report of an earlier version, whose checks were others."""


def unsaid(published: CheckReport, found: CheckReport) -> Iterator[str]:
    """Yield the checks that fail today, and which a report of an earlier version says nothing of.

    Otherwise a network could hide what is known of it in a report that is older than the check.
    """
    said = {finding.check for finding in published.findings if finding.passed is False}
    for now in _otherwise(published, found):
        if now.passed is False and now.check not in said:
            yield (
                f"the check '{now.check}' fails here, which its report, of an earlier version of "
                f"robench, does not say; make its checks again with `robench run`: {now.sentence}"
            )


def made_otherwise(published: CheckReport, found: CheckReport) -> list[str]:
    """Return what today's version finds where that of the published checks looked elsewhere."""
    return [
        f"the check '{now.check}', which an earlier version of robench {_made(published, now)}; "
        f"that of today is {verdict(now)}: {now.sentence}"
        for now in _otherwise(published, found)
    ]


def _made(published: CheckReport, now: FindingEntry) -> str:
    later = LATER.get(now.check, 0) > published.version
    return "did not make" if later else "made otherwise"


def _otherwise(published: CheckReport, found: CheckReport) -> Iterator[FindingEntry]:
    """Yield the findings that those of the published version cannot be compared with."""
    for now in found.findings:
        names = MADE_OTHERWISE.get(published.version)
        if names is None or now.check in names:
            yield now


def alike(report: CheckReport, published: CheckReport) -> CheckReport:
    """Return what a report has in common with the published one, whose version may be earlier.

    A best effort counts the attacks of the checks before it, so that later ones have none.
    """
    changed, later = MADE_OTHERWISE[published.version], False
    kept: list[FindingEntry] = []
    for finding in report.findings:
        if finding.check in changed:
            later = True
        else:
            kept.append(finding.model_copy(update={"best_effort": None}) if later else finding)
    return report.model_copy(update={"findings": tuple(kept)})
