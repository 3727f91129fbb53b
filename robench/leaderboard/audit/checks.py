"""Compare the report of each cell's checks with the board that asked for them and the outcomes."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from robench.attack_tools.threat_models import default_step_size
from robench.base import Attack, ThreatModel
from robench.board.cells import Cell
from robench.checks.context import CheckContext
from robench.checks.options import CheckOptions
from robench.checks.order import ORDER, build_checks, checks_of_board
from robench.checks.report import FINDINGS_OF_VERSION_1, LATER, MADE_OTHERWISE, VERSION
from robench.checks.trajectory import MOST
from robench.data.facts import facts_of
from robench.evaluation import Outcomes
from robench.leaderboard.audit.attacks import known_attacks
from robench.leaderboard.audit.best_effort import best_effort_problems
from robench.leaderboard.audit.costs import facts_of_board
from robench.leaderboard.audit.figures import Seen
from robench.leaderboard.audit.findings import UNJUDGED, sentence_problem
from robench.leaderboard.audit.networks import network_for, tensors_of
from robench.leaderboard.audit.replayed import ColumnsOnly, curve_problem, replay_problems
from robench.leaderboard.published import Leaderboard, PublishedCell
from robench.registry import checks as registry
from robench.runs.check_cell import Search, search_of
from robench.runs.records import CheckReport


@dataclass(frozen=True)
class _Asked:
    """What a board asks the checks of its cells for.

    Attributes:
        search: the threat model and step size of the checks' own attacks; None if there are no
            checks.
        names: the findings of a report in their order, by the version of the report.
        attacks: column -> attack, for those that are loaded here.
        unknown: whether the board's own checks include some that are not loaded here.
        unloaded: the columns of attacks that are not loaded here.
    """

    search: Search | None
    names: Mapping[int, tuple[str, ...]]
    attacks: Mapping[str, Attack]
    unknown: bool
    unloaded: tuple[str, ...]


def check_problems(board: Leaderboard) -> Iterator[str]:
    """Yield where reports of checks are missing, surplus or contradict the evidence."""
    asked, evaluation = _asked(board), board.board.evaluation
    for cell in board.cells:
        name, report = f"'{cell.row}', seed {cell.seed}", cell.file.checks
        trained = cell.file.manifest is not None
        measured = trained and evaluation.spectra and isinstance(cell.file.cell, Cell)
        if cell.file.spectra and not measured:
            yield f"{name}: it has spectra, which the board does not ask for."
        elif measured and not cell.file.spectra:
            yield f"{name}: the board asks for spectra, but it has none."
        wanted = asked.search is not None and trained
        if report is None and wanted:
            yield f"{name}: the board asks for checks, but it has none."
        elif report is not None and not wanted:
            yield f"{name}: it has a report of checks, which the board does not ask for."
        elif report is not None:
            yield from (f"{name}: {text}" for text in _report_problems(board, cell, report, asked))


def check_notes(board: Leaderboard) -> list[str]:
    """Return what could not be compared of the checks, one sentence each."""
    asked = _asked(board)
    found = []
    if asked.search is not None and asked.unloaded:
        found.append(
            f"findings of checks that compare {', '.join(asked.unloaded)} with other attacks were "
            f"not made again: these attacks are not loaded here."
        )
    if asked.search is not None and asked.unknown:
        found.append("findings of checks that are not loaded here were not compared.")
    for cell in board.cells:
        entries = cell.file.checks.findings if cell.file.checks else ()
        if left := [f.check for f in entries if f.sentence.startswith(UNJUDGED)]:
            found.append(
                f"'{cell.row}', seed {cell.seed}: why {', '.join(left)} could not be judged is on "
                f"trust without its weights."
            )
    return found


def _asked(board: Leaderboard) -> _Asked:
    """Return what a board asks for, as far as its attacks are loaded here."""
    evaluation = board.board.evaluation
    known = known_attacks(evaluation)
    unloaded = (*known.unknown, *known.refused)
    search = _search(board, known.built) if evaluation.checks else None
    added = [e.entry.split(" ", 1)[1] for e in board.sources if e.entry.startswith("check ")]
    loaded = [name for name in added if registry.knows(name)]
    now = [name for name in checks_of_board(evaluation.binarization) if name in ORDER]
    own = _findings(sorted(loaded))
    before = (*FINDINGS_OF_VERSION_1, *(["binarization"] if evaluation.binarization else []))
    names = {1: (*before, *own)} | {
        version: (*(f for f in _findings(now) if LATER.get(f, 0) <= version), *own)
        for version in MADE_OTHERWISE
    }
    attacks = {name: attack for name, attack in known.built.items() if not attack.proves}
    return _Asked(search, names, attacks, len(loaded) < len(added), unloaded)


def _findings(checks: Sequence[str]) -> tuple[str, ...]:
    """Return the findings of checks in their order."""
    return tuple(name for check in build_checks(checks) for name in check.findings)


def _search(board: Leaderboard, built: Mapping[str, Attack]) -> Search | None:
    """Return the search of the checks; the ball of an attack that is not loaded is as published."""
    evaluation = board.board.evaluation
    for name in (evaluation.main_column, *evaluation.attacks):
        ball = board.columns[name].threat_model
        if name in built and (found := search_of(name, {name: built[name]})):
            return found
        if name not in built and ball is not None:
            return ThreatModel(*ball), default_step_size(ball[1])
    return None


def _report_problems(
    board: Leaderboard, cell: PublishedCell, report: CheckReport, asked: _Asked
) -> Iterator[str]:
    assert asked.search is not None
    evaluation = board.board.evaluation
    samples = min(evaluation.check_samples, evaluation.samples)
    if report.version not in asked.names or report.samples != samples:
        yield (
            f"its checks are of version {str(report.version)[:20]} on {str(report.samples)[:20]} "
            f"images, but the board asks for version {VERSION} on {samples}."
        )
        return
    names = asked.names[report.version]
    found = tuple(finding.check for finding in report.findings)
    if asked.unknown:
        found = tuple(name for name in found if name in names)
    if found != names:
        odd = sorted(set(found) ^ set(names)) or ["their order"]
        yield f"the findings of its checks are not those of this board: {odd[0]}."
        return
    outcomes = dict(cell.outcomes)
    if len(outcomes["clean"]) < samples:
        return  # said where outcomes are audited
    context = _context(cell, outcomes, asked, samples)
    judged = {f.check: not f.sentence.startswith(UNJUDGED) for f in report.findings}
    if (wrong := _curve(board, report, asked.search[0], judged["eps_curve"])) is not None:
        yield wrong
        return
    seen = replace(
        _seen(report, outcomes, context, samples), has_statistics=_has_statistics(board, cell)
    )
    for finding in report.findings:
        if wrong := sentence_problem(finding, seen):
            yield wrong
    if wrong := curve_problem(report, context, seen):
        yield wrong
    yield from best_effort_problems(report, context, seen)
    yield from replay_problems(report, context, compares_columns=not asked.unloaded)


def _curve(board: Leaderboard, report: CheckReport, ball: ThreatModel, judged: bool) -> str | None:
    """Return what is wrong with the radii and accuracies of a curve."""
    if not judged:
        return "it has a curve, but the check of it was not made." if report.curve else None
    radii = [point.eps for point in report.curve]
    if not radii:
        return "the curve of accuracy by radius is missing."
    facts = facts_of(board.dataset)
    widest = math.sqrt(math.prod(facts.shape)) if facts else radii[-1]
    whole = 1.0 if ball.norm == "linf" else widest
    inner = [multiple * ball.eps for multiple in registry.build("eps_sweep").multiples]
    right = [0.0, *(eps for eps in inner if eps < whole), whole]
    if len(radii) != len(right) or not all(map(math.isclose, radii, right)):
        return "the radii of its curve are not those of the check."
    for point in report.curve:
        hits = point.accuracy * report.samples
        if not (0 <= point.accuracy <= 1 and abs(hits - round(hits)) <= 1e-4):
            return (
                f"its curve says {point.accuracy:g} at radius {point.eps:g}, which is no share of "
                f"{report.samples} images."
            )
    return None


def _context(
    cell: PublishedCell, outcomes: Mapping[str, Outcomes], asked: _Asked, samples: int
) -> ColumnsOnly:
    assert asked.search is not None
    threat_model, step_size = asked.search
    return ColumnsOnly(
        model=torch.nn.Identity(),
        images=torch.zeros(samples, 1, 1, 1),
        labels=torch.zeros(samples, dtype=torch.int64),
        threat_model=threat_model,
        options=CheckOptions(samples=samples, step_size=step_size, device="cpu"),
        columns={name: (a, outcomes[name]) for name, a in asked.attacks.items()},
    )


def _seen(
    report: CheckReport, outcomes: Mapping[str, Outcomes], context: CheckContext, samples: int
) -> Seen:
    right = outcomes["clean"].correct[:samples]
    robust = [o.robust[:samples] for o in context.white_box]
    left = np.logical_and.reduce([right, *robust])
    return Seen(
        samples=samples,
        evaluated=len(outcomes["clean"]),
        correct=int(right.sum()),
        left=int(left.sum()),
        columns=len(outcomes),
        norm=context.norm,
        eps=context.eps,
        curve=report.curve,
        followed=int(left[right.nonzero()[0][:MOST]].sum()),
        said={finding.check: finding for finding in report.findings},
        version=report.version,
    )


def _has_statistics(board: Leaderboard, cell: PublishedCell) -> bool:
    """Return whether a network keeps running statistics, as far as it can be built here."""
    spec, known = cell.file.cell, facts_of_board(board)
    if not isinstance(spec, Cell) or known is None or known.classes is None:
        return False
    tensors = tensors_of(network_for(spec, known, known.classes), spec) or ()
    return any(name.rpartition(".")[2] == "running_mean" for name, *_ in tensors)
