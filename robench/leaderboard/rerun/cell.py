"""Rerun one cell of a published leaderboard, and compare it with what was published."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from robench.attack_tools.libraries import LibraryAttack
from robench.board.cells import Cell
from robench.data import DataSet
from robench.leaderboard.published import Leaderboard, PublishedCell
from robench.leaderboard.rerun.comparing import NOT, Changes, Conditions, Reason
from robench.leaderboard.rerun.devices import as_seen
from robench.leaderboard.rerun.fresh import attack_afresh
from robench.leaderboard.rerun.network import opened_network
from robench.leaderboard.rerun.options import RerunOptions
from robench.leaderboard.rerun.pooling import Tally
from robench.leaderboard.rerun.proofs import has_constant, proof_verdict
from robench.leaderboard.rerun.remake import (
    Remade,
    has_other_weights,
    remake,
    restore,
)
from robench.leaderboard.rerun.reports import deviations
from robench.leaderboard.rerun.seconds import seconds_note
from robench.leaderboard.rerun.weights import (
    find_weights,
    network_problem,
    not_here,
    out_of_reach,
    types_problem,
    weights_problem,
)
from robench.leaderboard.row import has_none
from robench.leaderboard.sources import earlier_attack
from robench.leaderboard.trust import unknown_to
from robench.runs.context import RunContext
from robench.runs.identity import library_of
from robench.runs.records import CellResult
from robench.runs.train_cell import minibatch_of
from robench.system.provenance import environment

_DEVICE = ("device", "platform", "torch")
"""What of a manifest's environment makes two devices of the same kind. The number of threads is
not part of it: it changes no outcome."""


@dataclass(frozen=True)
class CellRerun:
    """The result for one cell: its figures, or a problem or note that says why there are none.

    ``other_weights`` says that training gave other weights than the published ones. ``tally`` and
    ``fresh_tally`` are what differs under the published seed and under the fresh one;
    None if there is nothing to be pooled with other networks.
    """

    name: str
    figures: Sequence[dict[str, Any]] = ()
    fresh: Sequence[dict[str, Any]] = ()
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()
    other_weights: bool = False
    tally: Tally | None = None
    fresh_tally: Tally | None = None


def rerun_cell(
    board: Leaderboard,
    cell: PublishedCell,
    images: Callable[[], DataSet],
    options: RerunOptions,
    columns: int,
) -> CellRerun:
    """Reproduce a cell from its weights, or train it again, and compare.

    Args:
        board: the board as read.
        cell: one of its cells.
        images: returns the images of the board; called if they are needed.
        options: how the cell is rerun.
        columns: how many columns of all cells are compared.

    Raises:
        UserError: if the images are not those of the board, or the network cannot be built.
    """
    name = f"'{cell.row}', seed {cell.seed}"
    if (reason := out_of_reach(board, cell, options)) is not None:
        return CellRerun(name, notes=(reason,))
    weights = None if options.retrain else find_weights(board.folder, cell, options.stores)
    if weights is None and not options.retrain:
        problem, note = not_here(board, cell, options.stores)
        return CellRerun(name, problems=problem, notes=note)
    if weights and (wrong := weights_problem(board, cell, weights)):
        return CellRerun(name, problems=(wrong,))
    dataset = images()
    if weights and (wrong := network_problem(cell, weights, dataset)):
        return CellRerun(name, problems=(wrong,))
    with opened_network(board, cell, weights, dataset, options) as (model, ctx):
        if (model is None) != (cell.file.manifest is None):
            word = "diverged" if model is None else "did not diverge"
            return CellRerun(name, problems=(f"training {word} this time.",))
        if model is None:
            return CellRerun(name, notes=("training diverged this time, too.",))
        if weights and (wrong := types_problem(model, weights)):
            return CellRerun(name, problems=(wrong,))
        return _compared(board, cell, model, ctx, options, columns)


def _compared(
    board: Leaderboard,
    cell: PublishedCell,
    model: nn.Module,
    ctx: RunContext,
    options: RerunOptions,
    columns: int,
) -> CellRerun:
    trained_otherwise = has_other_weights(cell, ctx)
    source, spec = _source(board, cell, ctx, options.stores), board.board
    batch = minibatch_of(spec.data, spec.training.batch_size, ctx.dataset)
    found = remake(cell, model, source, ctx, batch)
    reason: Reason = "random numbers" if found.randomized else "rounding"
    reason = "other weights" if trained_otherwise else reason
    lines, notes = [], []
    claimed = {name: _conditions(name, cell, found, reason, ctx) for name in found.outcomes}
    compared = {
        name: Changes.between(cell.outcomes[name], outcomes)
        for name, outcomes in found.outcomes.items()
    }
    searched = {name: c for name, c in compared.items() if not board.columns[name].proves}
    conditions = as_seen(claimed, searched)
    for column, changes in compared.items():
        if has_none(column, cell.outcomes[column]) and has_none(column, found.outcomes[column]):
            continue
        verdict = _verdict(board, cell, column, changes, found, conditions[column], columns)
        lines.append(_line(cell, column, changes, found, verdict))
        other = changes.other if column in searched else 0
        if other and verdict != NOT and reason == "rounding":
            notes.append(
                f"{column}: on {other} further images the perturbation or its cost is "
                f"another, while the prediction is the same."
            )
    reports = deviations(cell, found, conditions[ctx.evaluation.main_column])
    notes += _precision_notes(cell, found)
    if trained_otherwise:
        notes.append("training it here gave other weights than the published ones.")
    if options.retrain and board.board.goal is not None:
        notes.append(seconds_note(cell, ctx))
    fresh: Sequence[dict[str, Any]] = ()
    tallies: list[Tally | None] = [None, None]
    if not trained_otherwise:  # all images of another network may be better or worse together
        tallies[0] = Tally.of(cell.row, searched.values())
        if options.fresh_seed is not None:
            fresh, tallies[1] = attack_afresh(cell, model, options.fresh_seed, ctx)
    return CellRerun(
        f"'{cell.row}', seed {cell.seed}",
        figures=lines,
        fresh=fresh,
        problems=reports.problems,
        notes=tuple(notes),
        unchecked=reports.unchecked,
        other_weights=trained_otherwise,
        tally=tallies[0],
        fresh_tally=tallies[1],
    )


def _line(
    cell: PublishedCell, column: str, changes: Changes, found: Remade, verdict: str
) -> dict[str, Any]:
    return {
        "defense": cell.row,
        "seed": cell.seed,
        "column": column,
        "published": cell.outcomes[column].accuracy,
        "found": found.outcomes[column].accuracy,
        "other_images": changes.predictions,
        "verdict": verdict,
    }


def _verdict(
    board: Leaderboard,
    cell: PublishedCell,
    column: str,
    changes: Changes,
    found: Remade,
    conditions: Conditions,
    columns: int,
) -> str:
    ball = board.columns[column].proves
    if ball is None or conditions.reason == "other weights" or not has_constant(column, found):
        return changes.verdict(conditions, columns)
    return proof_verdict(
        cell.outcomes[column],
        found.outcomes[column],
        norm=ball.norm,
        earlier=conditions.reason == "earlier attack",
    )


def _conditions(
    column: str, cell: PublishedCell, found: Remade, reason: Reason, ctx: RunContext
) -> Conditions:
    """Return what the published evaluation of a column and the new one have in common."""
    assert cell.file.manifest is not None
    there, here = cell.file.manifest.environment, environment(ctx.device)
    published, remade = (
        [entry for entry in manifest.outcomes.values() if entry.column == column]
        for manifest in (cell.file.manifest, found.manifest)
    )
    gradients = {entry.gradients for entry in (*published, *remade)}
    same = all(there.get(key) == here[key] for key in _DEVICE) and len(gradients) == 1
    attack = ctx.attacks.get(column)
    library = isinstance(attack, LibraryAttack)
    earlier = any(column != "clean" and earlier_attack(column, e.source) for e in published)
    if reason == "rounding" and earlier:
        reason = "earlier attack"
    if isinstance(attack, LibraryAttack):
        package = attack.name.split(":")[0]
        # Before outcomes named their library, only its version at the training was recorded.
        training = f"{package} {there.get(package)}"
        recorded = {entry.library or training for entry in published} or {training}
        same = same and recorded == {library_of(attack.name)}
    return Conditions(
        same_device=same,
        gradients="bf16" if "bf16" in gradients else "float32",
        library=library,
        reason=reason,
    )


def _precision_notes(cell: PublishedCell, found: Remade) -> list[str]:
    """Return whether attacks took gradients in another precision, which rounds differently."""
    assert cell.file.manifest is not None
    there, here = (
        {entry.gradients for entry in manifest.outcomes.values() if entry.column != "clean"}
        for manifest in (cell.file.manifest, found.manifest)
    )
    if there == here:
        return []
    words = [" and ".join(sorted(precisions)) for precisions in (there, here)]
    return [f"its attacks took gradients in {words[0]}, here they took them in {words[1]}."]


def _source(
    board: Leaderboard, cell: PublishedCell, ctx: RunContext, stores: Sequence[str | Path]
) -> CellResult | None:
    """Return the cell whose adversarial images were transferred, its weights put into the store.

    None if the cell has no such source, or its weights are not here.
    """
    for other in board.cells:
        if other.row != board.board.baseline_row or other.seed != cell.seed:
            continue
        if other.row == cell.row or not isinstance(cell.file.cell, Cell):
            return None
        weights = find_weights(board.folder, other, stores)
        trained = isinstance(other.file.cell, Cell) and not unknown_to(other, board)
        if not trained or weights is None or weights_problem(board, other, weights):
            return None
        restore(other, weights, ctx.store)
        return other.result
    return None
