"""Compare the checks, spectra and costs of a network with those that were published."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from robench.checks.order import added_checks, build_checks
from robench.leaderboard.published import PublishedCell
from robench.leaderboard.rerun.comparing import Conditions
from robench.leaderboard.rerun.remake import Remade
from robench.runs.records import CheckReport, FindingEntry, LayerSpectrum
from robench.system.provenance import code_version

SPECTRAL_TOLERANCE = 0.01
"""Relative difference up to which norms and condition numbers of layers count as equal."""

_TRANSFER = "transfer"
"""The only check that another network of the board takes part in."""


@dataclass(frozen=True)
class Deviations:
    """Where what was made again differs from what was published, one sentence each.

    Attributes:
        problems: contradictions.
        unchecked: what could not be compared, and why.
    """

    problems: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()


def deviations(cell: PublishedCell, found: Remade, conditions: Conditions) -> Deviations:
    """Compare a cell's checks, spectra and costs with those that were made again.

    Args:
        cell: the cell as published.
        found: what was made again.
        conditions: what both evaluations have in common.
    """
    problems = [*_cost_problems(cell, found)]
    if conditions.same_device and conditions.reason == "rounding" and _same_code(cell):
        problems += _refusal_problems(cell, found)
    if conditions.reason == "other weights":
        return Deviations(
            tuple(problems), ("its checks and spectra are those of the published weights.",)
        )
    problems += _spectra_problems(cell.file.spectra, found.spectra)
    published, unchecked = cell.file.checks, []
    if published is None or found.report is None:
        if published is not None:
            problems.append("checks are published, but the board asks for none.")
        elif found.report is not None:
            problems.append("the board asks for checks, but none are published.")
        return Deviations(tuple(problems))
    problems += _missing_checks(published, found.report)
    if conditions.reason == "random numbers":
        unchecked.append("its checks: the network draws random numbers in each forward.")
        names = ["same_logits"]
    else:
        names = [f.check for f in published.findings]
        problems += _curve_problems(published, found.report, conditions)
    strict = conditions.same_device and conditions.reason == "rounding" and _same_code(cell)
    if not found.transferred and _made(published, _TRANSFER):
        names = [name for name in names if name != _TRANSFER]
        unchecked.append(
            "the check 'transfer': the weights of the network that it comes from are not here."
        )
        strict = False  # the other sentences count its perturbations
    problems += _finding_problems(published, found.report, names, strict=strict)
    return Deviations(tuple(problems), tuple(unchecked))


def _made(report: CheckReport, name: str) -> bool:
    """Return whether a check came to a result."""
    return any(f.check == name and f.passed is not None for f in report.findings)


def _same_code(cell: PublishedCell) -> bool:
    """Return whether the wording of sentences must be the same."""
    versions = (
        {e.version for e in cell.file.manifest.outcomes.values()} if cell.file.manifest else ()
    )
    return code_version() in versions


def _missing_checks(published: CheckReport, found: CheckReport) -> Iterator[str]:
    there, here = ([f.check for f in report.findings] for report in (published, found))
    own = [name for check in build_checks(list(added_checks())) for name in check.findings]
    for name in here:
        if name not in there and name not in own:
            yield f"the check '{name}' is missing from the published ones."
    for name in there:
        if name not in here:
            yield f"the check '{name}' is published, but is not one of the checks of the board."
    if published.samples != found.samples:
        yield f"its checks name {published.samples} images, but were made on {found.samples}."


def _finding_problems(
    published: CheckReport, found: CheckReport, names: list[str], *, strict: bool
) -> Iterator[str]:
    here: dict[str, FindingEntry] = {f.check: f for f in found.findings}
    for there in published.findings:
        now = here.get(there.check)
        if now is None or there.check not in names:
            continue
        # Another source of transferred images may find more or less: only a failure counts.
        if there.check == _TRANSFER and (there.passed is False or now.passed is not False):
            continue
        if there.passed != now.passed:
            yield (
                f"the check '{there.check}' is published as {_word(there)}, but is {_word(now)} "
                f"here: {now.sentence}"
            )
        elif strict and there.sentence != now.sentence:
            yield f"the check '{there.check}' says here: {now.sentence}"


def _word(finding: FindingEntry) -> str:
    return {True: "passed", False: "failed", None: "inconclusive"}[finding.passed]


def _curve_problems(
    published: CheckReport, found: CheckReport, conditions: Conditions
) -> Iterator[str]:
    if [p.eps for p in published.curve] != [p.eps for p in found.curve]:
        yield "its curve has other radii than the checks of this board."
        return
    count = max(published.samples, 1)
    for there, now in zip(published.curve, found.curve, strict=True):
        images = round((there.accuracy - now.accuracy) * count)
        # Gained and lost images cancel out here, so that none is left in favor of the publisher.
        favored = conditions.same_device and images > 0
        if favored or abs(images) > conditions.allowed(count):
            yield (
                f"at radius {there.eps:g} its curve says {there.accuracy:.4f}, but is "
                f"{now.accuracy:.4f} here."
            )


def _spectra_problems(
    published: tuple[LayerSpectrum, ...], found: tuple[LayerSpectrum, ...]
) -> Iterator[str]:
    if [(s.layer, s.operator) for s in published] != [(s.layer, s.operator) for s in found]:
        yield "its spectra are not those of the layers of this network."
        return
    for there, now in zip(published, found, strict=True):
        for name, value in there.model_dump(exclude={"layer", "operator"}).items():
            other = getattr(now, name)
            equal = value == other or (
                value is not None
                and other is not None
                and math.isclose(value, other, rel_tol=SPECTRAL_TOLERANCE)
            )
            if not equal:
                yield f"the {name} of the layer {there.layer} is {other} here, not {value}."


def _cost_problems(cell: PublishedCell, found: Remade) -> Iterator[str]:
    if found.costs is None:
        return
    for name in ("parameters", "multiply_adds"):
        published, now = getattr(cell.file.costs, name), getattr(found.costs, name)
        if published != now:
            yield f"its network has {now} {name.replace('_', '-')}, not {published}."


def _refusal_problems(cell: PublishedCell, found: Remade) -> Iterator[str]:
    """Yield the columns whose shortcuts were ruled out otherwise than published."""
    assert cell.file.manifest is not None
    there, here = (
        {entry.column: sorted(entry.refused) for entry in manifest.outcomes.values()}
        for manifest in (cell.file.manifest, found.manifest)
    )
    for column, refused in there.items():
        if refused != here.get(column):
            words = [", ".join(names) or "none" for names in (refused, here.get(column, []))]
            yield (
                f"{column}: {words[0]} of the shortcuts is said to be ruled out by the network, "
                f"but {words[1]} is here."
            )
