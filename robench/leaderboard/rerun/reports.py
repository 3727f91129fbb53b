"""Compare the checks, spectra and costs of a network with those that were published."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from robench.checks.order import added_checks, build_checks
from robench.checks.report import MADE_OTHERWISE
from robench.leaderboard.audit.findings import verdict
from robench.leaderboard.published import PublishedCell
from robench.leaderboard.rerun.comparing import Conditions
from robench.leaderboard.rerun.remake import Remade
from robench.leaderboard.rerun.sentences import Wording, compare_sentences
from robench.leaderboard.rerun.versions import EARLIER, alike, made_otherwise, unsaid
from robench.leaderboard.sources import earlier_attack
from robench.runs.records import CheckReport, FindingEntry, LayerSpectrum, OutcomeEntry
from robench.system.provenance import code_version

SPECTRAL_TOLERANCE = 0.01
"""Relative difference up to which norms and condition numbers of layers count as equal."""

DIGITS_TOLERANCE = 2e-5
"""The same on the same kind of device: ``padded_norm`` is found by iteration, and the last of the
six digits that are published may be rounded either way with another number of threads."""

MEMORY_TOLERANCE = 1e-3
"""The same for the memory of a training step, a sum of the sizes of tensors, which is compared only
on the same kind of device, and if this version of robench measured it."""

PROOF_TOLERANCE = 1e-6
"""Relative difference up to which Lipschitz constants count as equal: they are bounds that are
computed in float64, whatever the device of the attacks."""

SINGULAR = 1e6
"""Condition number from which a layer may be singular (None) on a device that rounds differently;
its relative tolerance there is the condition number over this one."""

_TRANSFER, _COUNTS_IT = "transfer", "inside_ball"
"""The only check that another network of the board takes part in, and the one that counts its
perturbations."""


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
    problems = [*_cost_problems(cell, found, conditions)]
    if conditions.strict:
        problems += _refusal_problems(cell, found)
    if conditions.reason != "other weights":
        problems += _proof_problems(cell, found)
    if conditions.reason == "other weights":
        return Deviations(
            tuple(problems), ("its checks and spectra are those of the published weights.",)
        )
    problems += _spectra_problems(cell.file.spectra, found.spectra, conditions)
    published = cell.file.checks
    if published is None or found.report is None:
        if published is not None:
            problems.append("checks are published, but the board asks for none.")
        elif found.report is not None:
            problems.append("the board asks for checks, but none are published.")
        return Deviations(tuple(problems))
    if conditions.reason != "random numbers":
        problems += unsaid(published, found.report)
    if published.version not in MADE_OTHERWISE:
        return Deviations(tuple(problems), (EARLIER,))
    unchecked = made_otherwise(published, found.report)
    published, report = alike(published, published), alike(found.report, published)
    problems += _missing_checks(published, report)
    if conditions.reason == "random numbers":
        unchecked.append("its checks: the network draws random numbers in each forward.")
        names = ["same_logits"]
    else:
        names = [f.check for f in published.findings]
        problems += _curve_problems(published, report, conditions)
        problems += _effort_problems(published, report, conditions)
    worded = [] if conditions.reason == "random numbers" else names
    if not found.transferred and _made(published, _TRANSFER):
        names = [name for name in names if name != _TRANSFER]
        worded = [name for name in worded if name not in (_TRANSFER, _COUNTS_IT)]
        unchecked.append(
            "the check 'transfer': the weights of the network that it comes from are not here."
        )
    problems += _finding_problems(published, report, names)
    wording = _wording(published, report, worded, conditions)
    return Deviations((*problems, *wording.problems), (*unchecked, *wording.unchecked))


def _made(report: CheckReport, name: str) -> bool:
    """Return whether a check came to a result."""
    return any(f.check == name and f.passed is not None for f in report.findings)


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
    published: CheckReport, found: CheckReport, names: list[str]
) -> Iterator[str]:
    for there, now in _pairs(published, found, names):
        if there.passed != now.passed:
            yield (
                f"the check '{there.check}' is published as {verdict(there)}, but is "
                f"{verdict(now)} here: {now.sentence}"
            )


def _pairs(
    published: CheckReport, found: CheckReport, names: list[str]
) -> Iterator[tuple[FindingEntry, FindingEntry]]:
    """Yield what was published and what was found of the checks that are compared."""
    here = {f.check: f for f in found.findings}
    for there in published.findings:
        now = here.get(there.check)
        if now is None or there.check not in names:
            continue
        # Another source of transferred images may find more or less: only a failure counts.
        if there.check == _TRANSFER and (there.passed is False or now.passed is not False):
            continue
        yield there, now


def _wording(
    published: CheckReport, found: CheckReport, names: list[str], conditions: Conditions
) -> Wording:
    """Compare the sentences of checks with the same result; any code of a version writes alike."""
    pairs = [
        (there, now) for there, now in _pairs(published, found, names) if there.passed == now.passed
    ]
    return compare_sentences(pairs, published.samples, conditions)


def _curve_problems(
    published: CheckReport, found: CheckReport, conditions: Conditions
) -> Iterator[str]:
    if [p.eps for p in published.curve] != [p.eps for p in found.curve]:
        yield "its curve has other radii than the checks of this board."
        return
    count = max(published.samples, 1)
    for there, now in zip(published.curve, found.curve, strict=True):
        images = round((there.accuracy - now.accuracy) * count)
        if _differ(images, count, conditions):
            yield (
                f"at radius {there.eps:g} its curve says {there.accuracy:.4f}, but is "
                f"{now.accuracy:.4f} here."
            )


def _effort_problems(
    published: CheckReport, found: CheckReport, conditions: Conditions
) -> Iterator[str]:
    """Yield where a search leaves another number of images right."""
    here = {f.check: f for f in found.findings}
    count = max(published.samples, 1)
    # Images that were transferred from another network may have fooled more, or fewer.
    before = {f.check: f for f in published.findings}
    alike = before.get(_TRANSFER) == here.get(_TRANSFER)
    for there in published.findings:
        now = here.get(there.check)
        if now is None or there.best_effort == now.best_effort:
            continue
        if there.best_effort is None or now.best_effort is None:
            wrong = conditions.strict
        else:
            images = round((there.best_effort - now.best_effort) * count)
            wrong = (alike or images > 0) and _differ(images, count, conditions)
        if wrong:
            yield (
                f"the best-effort accuracy of the check '{there.check}' is published as "
                f"{_share(there.best_effort)}, but is {_share(now.best_effort)} here."
            )


def _differ(images: int, count: int, conditions: Conditions) -> bool:
    """Return whether a figure, in which lost and won images cancel out, differs by too many."""
    unopposed = conditions.strict and abs(images) > conditions.unopposed
    return unopposed or abs(images) > min(conditions.allowed_net(count), conditions.allowed(count))


def _share(accuracy: float | None) -> str:
    return "none" if accuracy is None else f"{accuracy:.4f}"


def _spectra_problems(
    published: tuple[LayerSpectrum, ...],
    found: tuple[LayerSpectrum, ...],
    conditions: Conditions,
) -> Iterator[str]:
    if [(s.layer, s.operator) for s in published] != [(s.layer, s.operator) for s in found]:
        yield "its spectra are not those of the layers of this network."
        return
    exact = conditions.same_device and conditions.bitwise
    for there, now in zip(published, found, strict=True):
        for name, value in there.model_dump(exclude={"layer", "operator"}).items():
            other = getattr(now, name)
            singular = SINGULAR if "condition" in name and not exact else math.inf
            least = DIGITS_TOLERANCE if exact else SPECTRAL_TOLERANCE
            if not _is_near(value, other, singular, least):
                yield f"the {name} of the layer {there.layer} is {other} here, not {value}."


def _is_near(one: float | None, other: float | None, singular: float, least: float) -> bool:
    """Return whether two figures of a layer are equal but for rounding.

    The smallest singular value is known up to rounding of the largest one, so that a condition
    number becomes the less certain the larger it is. The smaller of two says how certain they are:
    whoever publishes one of them cannot widen the tolerance.
    """
    if one is None or other is None:
        return one == other or (one or other or 0.0) > singular
    tolerance = max(least, min(one, other) / singular)
    return math.isclose(one, other, rel_tol=tolerance)


def _cost_problems(cell: PublishedCell, found: Remade, conditions: Conditions) -> Iterator[str]:
    if found.costs is None:
        return
    for name in ("parameters", "multiply_adds"):
        published, now = getattr(cell.file.costs, name), getattr(found.costs, name)
        if published != now:
            yield f"its network has {now} {name.replace('_', '-')}, not {published}."
    manifest = cell.file.manifest
    same_version = manifest is not None and manifest.version == code_version()
    there, here = cell.file.costs.training_memory_mib, found.costs.training_memory_mib
    if not (conditions.same_device and same_version) or there is None or here is None:
        return
    if not math.isclose(there, here, rel_tol=MEMORY_TOLERANCE):
        yield f"a training step of its network takes {here:.6g} MiB here, not {there:.6g}."


def _proof_problems(cell: PublishedCell, found: Remade) -> Iterator[str]:
    """Yield the certificates that prove something else of these weights."""
    assert cell.file.manifest is not None
    here = {entry.column: entry for entry in found.manifest.outcomes.values()}
    for there in cell.file.manifest.outcomes.values():
        now = here[there.column]
        if not _is_constant(there, now):
            yield (
                f"{there.column}: the Lipschitz constant is {_constant(now)} here, not "
                f"{_constant(there)}."
            )
        if bool(there.unproved) != bool(now.unproved):
            yield f"{there.column}: whether the network is certified is published otherwise."


def _is_constant(there: OutcomeEntry, now: OutcomeEntry) -> bool:
    """Return whether the published constant is what is found; one of earlier may be larger."""
    if there.lipschitz is None or now.lipschitz is None:
        return there.lipschitz == now.lipschitz
    if there.lipschitz > now.lipschitz and earlier_attack(there.column, there.source):
        return True
    return math.isclose(there.lipschitz, now.lipschitz, rel_tol=PROOF_TOLERANCE)


def _constant(entry: OutcomeEntry) -> str:
    return "not bounded" if entry.lipschitz is None else f"{entry.lipschitz:.6g}"


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
