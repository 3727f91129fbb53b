"""The checks of a finished cell: made once, stored beside its outcomes."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from robench.attack_tools.threat_models import default_step_size
from robench.base import Attack
from robench.board.board import Board
from robench.checks import check_model
from robench.checks.report import VERSION
from robench.runs.cell import RunContext, cell_title, evaluation_images, network_of
from robench.runs.records import CellResult, CheckReport, RowResult
from robench.system.files import read_json, write_json


@dataclass(frozen=True)
class Ball:
    """What the checks' own attacks search: norm and radius of a ball, and the step in it."""

    norm: str
    eps: float
    step_size: float


def check_rows(board: Board, rows: tuple[RowResult, ...], ctx: RunContext) -> tuple[RowResult, ...]:
    """Return the rows with the reports of their checks; those that are stored are not made again.

    Transfer attacks come from the network of the board's baseline row with the same seed.
    """
    ball = ball_of(board.evaluation.ranking_column, ctx.attacks)
    if not board.evaluation.checks or ball is None:
        return rows
    sources = {c.seed: c for row in rows if row.title == board.baseline_row for c in row.cells}
    return tuple(
        replace(row, cells=tuple(_checked(row, cell, sources, ball, ctx) for cell in row.cells))
        for row in rows
    )


def ball_of(ranking: str, attacks: Mapping[str, Attack]) -> Ball | None:
    """Return the ball of the ranking attack, else of the first attack with one; None without."""
    for name in [ranking, *attacks]:
        attack = attacks.get(name)
        if attack is not None and attack.threat_model is not None:
            norm, eps = attack.threat_model
            step_size = vars(attack).get("step_size") or default_step_size(eps)
            return Ball(norm, eps, float(step_size))
    return None


def _checked(
    row: RowResult,
    cell: CellResult,
    sources: Mapping[int, CellResult],
    ball: Ball,
    ctx: RunContext,
) -> CellResult:
    if cell.evidence.manifest is None:
        return cell
    source = sources.get(cell.seed)
    if source is cell or (source is not None and source.diverged):
        source = None
    report = CheckReport.model_validate(check_cell(row.title, cell, source, ball, ctx))
    return replace(cell, evidence=cell.evidence.model_copy(update={"checks": report}))


def check_cell(
    title: str,
    cell: CellResult,
    source: CellResult | None,
    ball: Ball,
    ctx: RunContext,
    model: nn.Module | None = None,
) -> dict[str, Any]:
    """Return the report of a cell's checks as JSON values.

    Args:
        title: of its row.
        cell: with its outcomes.
        source: the cell whose adversarial images are tried on it.
        ball: that is searched.
        ctx: the store holds the weights of both.
        model: the cell's network; built from its specification if left out.
    """
    folder = ctx.store.open(cell.evidence.cell)
    path = folder.path / "checks" / f"{_identity(cell, source, ball, ctx)}.json"
    if path.exists():
        stored: dict[str, Any] = read_json(path)
        return stored
    ctx.reporter.stage(cell_title(title, cell.seed), "checking")
    evaluation = ctx.evaluation
    sample = evaluation_images(ctx.dataset, evaluation.samples)
    named = [name for name in cell.outcomes if name != "clean"]
    report = check_model(
        network_of(cell.evidence.cell, ctx) if model is None else model,
        sample.images,
        sample.labels,
        ball=(ball.norm, ball.eps),
        step_size=ball.step_size,
        outcomes=dict(cell.outcomes),
        attacks={name: ctx.attacks[name] for name in named},
        source=None if source is None else network_of(source.evidence.cell, ctx),
        seed=cell.seed,
        samples=min(evaluation.check_samples, len(sample.labels)),
        batch_size=evaluation.batch_size,
        device=ctx.device,
        without=evaluation.without,
        binarization=evaluation.binarization,
        progress=ctx.reporter.update,
    ).to_json()
    write_json(path, report)
    return report


def _identity(cell: CellResult, source: CellResult | None, ball: Ball, ctx: RunContext) -> str:
    """Return a name for all that the report depends on."""
    text = json.dumps(
        {
            "version": VERSION,
            "cell": cell.digest,
            "source": source.evidence.manifest.weights_hash
            if source and source.evidence.manifest
            else None,
            "ball": [ball.norm, ball.eps, ball.step_size],
            "samples": ctx.evaluation.check_samples,
            "without": sorted(ctx.evaluation.without),
            "binarization": ctx.evaluation.binarization,
        },
        sort_keys=True,
    )
    return hashlib.sha256(text.encode()).hexdigest()[:16]
