"""Reports of an earlier version: what of them can be compared with checks that are made today."""

from robench.checks.report import MADE_OTHERWISE
from robench.runs.records import CheckReport, FindingEntry


def verdict(finding: FindingEntry) -> str:
    """Return the word for the result of a check."""
    return {True: "passed", False: "failed", None: "inconclusive"}[finding.passed]


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
    kept: list[FindingEntry] = []
    for finding in report.findings:
        if finding.check not in MADE_OTHERWISE[published.version]:
            same = len(kept) == report.findings.index(finding)
            kept.append(finding if same else finding.model_copy(update={"best_effort": None}))
    return report.model_copy(update={"findings": tuple(kept)})
