"""What ``robench attack --checks`` prints below its table."""

from collections.abc import Iterator

from robench.checks.wording import best_effort, percent, radius
from robench.commands.attack_checks import CheckedTarget


def check_lines(checked: CheckedTarget, network: str = "") -> Iterator[str]:
    """Return the sentences on the checks of a network: a summary, then one for each flag.

    Args:
        checked: the findings.
        network: the name of the network, if there are several.
    """
    begin = f"{network}: " if network else ""
    report, ball = checked.report, checked.threat_model
    if report is None or ball is None:
        yield f"{begin}the checks could not be made: {checked.refused}"
        return
    failed = [finding for finding in report.findings if finding.passed is False]
    unjudged = [finding.check for finding in report.findings if finding.passed is None]
    passed = len(report.findings) - len(failed) - len(unjudged)
    counts = f"{len(failed)} failed, {passed} passed"
    if unjudged:
        counts += f", {len(unjudged)} could not be judged ({', '.join(unjudged)})"
    yield (
        f"{begin}checks at {radius(*ball)} on {report.samples} of {checked.images} images: "
        f"{counts}; {_times(checked)}."
    )
    for finding in failed:
        share = finding.best_effort
        more = "" if share is None else f" {best_effort(share, report.samples)}"
        yield f"  {finding.check}: {finding.sentence}{more}"
    if failed and report.best_effort is not None:
        yield (
            f"  All attacks and searches together leave {percent(report.best_effort)} of these "
            f"{report.samples} images right."
        )
    if failed:
        yield "  A flag is a question, not a conclusion."


def _times(checked: CheckedTarget) -> str:
    took = f"they took {checked.seconds:.1f} s"
    if checked.pgd_seconds is None:
        return took
    return f"{took}, PGD-20 on {checked.images} images {checked.pgd_seconds:.1f} s"
