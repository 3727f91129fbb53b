"""The checks of a finished cell: run once, stored next to its outcomes."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError
from torch import nn

from robench.attack_tools.threat_models import default_step_size
from robench.base import Attack, ThreatModel
from robench.board.board import Board
from robench.checks import Report, check_model
from robench.checks.order import added_checks, checks_of_board
from robench.checks.report import VERSION
from robench.registry import attacks
from robench.registry import checks as registry
from robench.runs.attack_cell import evaluation_images
from robench.runs.cell import network_of
from robench.runs.context import RunContext, cell_title
from robench.runs.records import CellResult, CheckReport, RowResult
from robench.runs.reports import read_report, write_report
from robench.system.json_files import read_json

Search = tuple[ThreatModel, float]
"""The threat model of the checks' own attacks, and the size of their steps in it."""


def check_rows(board: Board, rows: tuple[RowResult, ...], ctx: RunContext) -> tuple[RowResult, ...]:
    """Return the rows with the reports of their checks; stored reports are not recomputed.

    Those of an earlier version stay in the store, but are made again: the rows of a board are to be
    checked alike.

    Transfer attacks come from the network of the board's baseline row with the same seed.
    """
    sources = {c.seed: c for row in rows if row.title == board.baseline_row for c in row.cells}
    return tuple(
        replace(row, cells=tuple(_checked(row.title, cell, sources, ctx) for cell in row.cells))
        for row in rows
    )


def _checked(
    title: str, cell: CellResult, sources: Mapping[int, CellResult], ctx: RunContext
) -> CellResult:
    source = sources.get(cell.seed)
    if source is cell or (source is not None and source.diverged):
        source = None
    return with_checks(title, cell, source, ctx)


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
    search = search_of(ctx.evaluation.main_column, ctx.attacks)
    if not ctx.evaluation.checks or search is None or cell.evidence.manifest is None:
        return cell
    folder = ctx.store.open(cell.evidence.cell)
    path = folder.checks(_identity(cell, source, search, ctx))
    with ctx.store.lock(folder):
        report = read_report(folder, path, _report)
        if report is None:
            ctx.reporter.stage(cell_title(title, cell.seed), "checking")
            model = network_of(cell.evidence.cell, ctx) if model is None else model
            write_report(folder, path, _check(model, cell, source, search, ctx).to_json())
            report = _report(read_json(path))
    return replace(cell, evidence=cell.evidence.model_copy(update={"checks": report}))


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
    search: Search,
    ctx: RunContext,
) -> Report:
    evaluation = ctx.evaluation
    sample = evaluation_images(ctx.dataset, evaluation.samples)
    named = [name for name in cell.outcomes if name != "clean"]
    threat_model, step_size = search
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
