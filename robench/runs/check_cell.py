"""The checks of a finished cell: run once, stored next to its outcomes."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from torch import nn

from robench.attack_tools.threat_models import default_step_size
from robench.base import Attack, ThreatModel
from robench.board.cells import Cell
from robench.checks import Report, check_model
from robench.checks.order import added_checks, checks_of_board
from robench.checks.report import VERSION
from robench.errors import UserError
from robench.evaluation.notices import without_notices
from robench.registry import attacks
from robench.registry import checks as registry
from robench.runs.attack_cell import evaluation_images
from robench.runs.cell import network_of, result_without_log
from robench.runs.context import RunContext, cell_title
from robench.runs.records import CellResult, CheckReport
from robench.runs.reports import read_report, write_report
from robench.runs.store import CellFolder
from robench.system.json_files import read_json

Search = tuple[ThreatModel, float]
"""The threat model of the checks' own attacks, and the size of their steps in it."""


def with_checks(
    title: str,
    cell: CellResult,
    source: CellResult | None,
    ctx: RunContext,
    model: nn.Module | None = None,
) -> CellResult:
    """Return a cell with the report of its checks, or unchanged if there are no checks to run.

    No checks are run if the board leaves them out, no attack has a threat model, or training
    diverged.

    Args:
        title: the title of its row.
        cell: the cell with its outcomes.
        source: the cell whose adversarial images are transferred to it.
        ctx: the context of the run; its store has the weights of both.
        model: the cell's network; built from its specification if left out.
    """
    if not wants_checks(cell, ctx):
        return cell
    with ctx.store.lock(ctx.store.open(cell.evidence.cell)):
        report = stored_checks(cell, source, ctx)
        if report is None:
            ctx.reporter.stage(cell_title(title, cell.seed), "checking")
            report = make_checks(cell, source, ctx, model)
    return checked(cell, report)


def wants_checks(cell: CellResult, ctx: RunContext) -> bool:
    """Return whether a cell is to be checked; see :func:`with_checks`."""
    return has_checks(ctx) and cell.evidence.manifest is not None


def has_checks(ctx: RunContext) -> bool:
    """Return whether a board asks for checks and has an attack whose threat model they can use."""
    search = search_of(ctx.evaluation.main_column, ctx.attacks)
    return ctx.evaluation.checks and search is not None


def report_file(cell: Cell, source: Cell | None, ctx: RunContext) -> Path | None:
    """Return the file of the report that a cell wants; nothing is locked or written.

    It is None while something that the report depends on is missing or damaged: the run makes it,
    or says what it is.

    Args:
        cell: a cell whose columns are stored.
        source: the cell whose adversarial images are transferred to it, or None.
        ctx: the context of the run.
    """
    folder = CellFolder(ctx.store.root / cell.key)
    other = CellFolder(ctx.store.root / source.key) if source else None
    if other and not other.finished_training:
        return None
    try:
        own = result_without_log(cell, folder, ctx, ctx.evaluation.columns)
        if source is None or other is None or other.diverged.exists():
            return _path(folder, own, None, ctx)
        return _path(folder, own, result_without_log(source, other, ctx, ()), ctx)
    except UserError:
        return None


def stored_checks(
    cell: CellResult, source: CellResult | None, ctx: RunContext
) -> CheckReport | None:
    """Return the stored report of the checks that a cell wants, or None; hold the cell's lock.

    Those of an earlier version stay in the store, but are made again: the rows of a board are to be
    checked alike.
    """
    folder = ctx.store.open(cell.evidence.cell)
    return read_report(folder, _path(folder, cell, source, ctx), _report)


def make_checks(
    cell: CellResult, source: CellResult | None, ctx: RunContext, model: nn.Module | None = None
) -> CheckReport:
    """Run the checks that a cell wants, and store the report; hold the cell's lock.

    The arguments are those of :func:`with_checks`.
    """
    folder = ctx.store.open(cell.evidence.cell)
    path = _path(folder, cell, source, ctx)
    model = network_of(cell.evidence.cell, ctx) if model is None else model
    write_report(folder, path, _check(model, cell, source, ctx).to_json())
    return _report(read_json(path))


def checked(cell: CellResult, report: CheckReport) -> CellResult:
    """Return a cell with a report of its checks."""
    return replace(cell, evidence=cell.evidence.model_copy(update={"checks": report}))


def _path(folder: CellFolder, cell: CellResult, source: CellResult | None, ctx: RunContext) -> Path:
    return folder.checks(_identity(cell, source, _search(ctx), ctx))


def _search(ctx: RunContext) -> Search:
    search = search_of(ctx.evaluation.main_column, ctx.attacks)
    assert search is not None
    return search


def search_of(ranking: str, attacks: Mapping[str, Attack]) -> Search | None:
    """Return the threat model and the step size of the checks' own attacks, or None.

    They are those of the ranking attack, or else of the first attack that has a threat model.
    """
    for name in (ranking, *attacks):
        attack = attacks.get(name)
        if attack is not None and attack.threat_model is not None:
            step_size = vars(attack).get("step_size") or default_step_size(attack.threat_model.eps)
            return attack.threat_model, float(step_size)
    return None


def _check(
    model: nn.Module,
    cell: CellResult,
    source: CellResult | None,
    ctx: RunContext,
) -> Report:
    evaluation = ctx.evaluation
    sample = evaluation_images(ctx.dataset, evaluation.samples)
    named = [name for name in cell.outcomes if name != "clean"]
    threat_model, step_size = _search(ctx)
    with without_notices():  # what is to be said of the images, their loading says
        return check_model(
            model,
            sample.images,
            sample.labels,
            threat_model,
            columns={name: (ctx.attacks[name], cell.outcomes[name]) for name in named},
            source=None if source is None else network_of(source.evidence.cell, ctx),
            checks=checks_of_board(evaluation.binarization),
            step_size=step_size,
            samples=min(evaluation.check_samples, len(sample.labels)),
            seed=cell.seed,
            batch_size=evaluation.batch_size,
            device=ctx.device,
            without=evaluation.without,
            progress=ctx.reporter.update,
        )


def _report(values: Any) -> CheckReport:
    try:
        report = CheckReport.model_validate(values)
    except ValidationError:
        raise ValueError("is not a report of checks") from None
    if len({finding.check for finding in report.findings}) != len(report.findings):
        raise ValueError("has a check twice")
    return report


def _identity(cell: CellResult, source: CellResult | None, search: Search, ctx: RunContext) -> str:
    """Return a hash of everything that the report depends on."""
    (norm, eps), step_size = search
    manifest = source.evidence.manifest if source else None
    identity: dict[str, object] = {
        "version": VERSION,
        "cell": cell.digest,
        "source": manifest.weights_hash if manifest else None,
        "ball": [norm, eps, step_size],
        "samples": ctx.evaluation.check_samples,
        "without": sorted(ctx.evaluation.without),
        "binarization": ctx.evaluation.binarization,
    }
    if added := added_checks():
        identity["added"] = {name: registry.source_identity(name) for name in added}
    checks = checks_of_board(ctx.evaluation.binarization)
    sources = {f"check {name}": registry.source_identity(name) for name in checks}
    # Some checks run the attacks of the columns, with other options.
    sources |= {f"attack {name}": attacks.source_identity(name) for name in ctx.attacks}
    if edited := {name: source for name, source in sources.items() if source is not None}:
        identity["sources"] = edited
    text = json.dumps(identity, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
