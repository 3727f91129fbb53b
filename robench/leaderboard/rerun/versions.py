"""Reports of an earlier version: what of them can be compared with checks that are made today."""

from robench.checks.report import MADE_OTHERWISE
from robench.leaderboard.audit.findings import verdict
from robench.runs.records import CheckReport, FindingEntry


def made_otherwise(published: CheckReport, found: CheckReport) -> list[str]:
    """Return what today's version finds where that of the published checks looked elsewhere."""
    names = MADE_OTHERWISE[published.version]
    return [
        f"the check '{now.check}', which an earlier version of robench made otherwise; that of "
        f"today is {verdict(now)}: {now.sentence}"
        for now in found.findings
        if now.check in names
    ]


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
