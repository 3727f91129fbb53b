"""How far a run of a board is, as its store says; nothing is computed, written or waited for."""

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from robench.board.cells import Cell
from robench.errors import UserError
from robench.runs.check_cell import has_checks, report_file
from robench.runs.context import RunContext
from robench.runs.failures import failure_of
from robench.runs.identity import outcome_key
from robench.runs.measure_cell import VERSION
from robench.runs.store import CellFolder
from robench.runs.stored import read_divergence, read_manifest
from robench.system.locks import LOCKS, holder_of

State = Literal[
    "waiting", "training", "attacking", "checking", "measuring", "done", "diverged", "failed"
]

ATTACKED: tuple[State, ...] = ("measuring", "done", "diverged")
"""The states in which nothing is left of a cell's training, attacks and checks."""


@dataclass(frozen=True)
class CellStatus:
    """How far a cell is.

    Attributes:
        row: the title of its row.
        seed: its seed.
        cell: the name of its folder in the store.
        state: what is done next for it, or ``done`` or ``diverged``; ``failed`` if the last run
            failed there and nobody is at work on it.
        finished: how many epochs (``training``) or columns (``attacking``) there are; else 0.
        of: how many there will be; else 0.
        reason: why it diverged or failed; else empty.
        written: seconds since the last file of it was written; None while there is none.
        at_work: the machine and process of the run that is at work on it; else empty.
        unit: what ``finished`` counts in training.
    """

    row: str
    seed: int
    cell: str
    state: State
    finished: int = 0
    of: int = 0
    reason: str = ""
    written: float | None = None
    at_work: str = ""
    unit: str = "epochs"


def cell_status(cell: Cell, row: str, ctx: RunContext, source: Cell | None = None) -> CellStatus:
    """Return how far a cell is.

    Args:
        cell: its specification.
        row: the title of its row.
        ctx: the context of the run.
        source: the cell whose adversarial images its checks transfer to it, or None.

    Raises:
        UserError: if the note that it diverged is damaged.
    """
    folder = CellFolder(ctx.store.root / cell.key)
    state, finished, of = progress_of(folder, cell, ctx, source)
    reason = read_divergence(folder).reason if state == "diverged" else ""
    holder = holder_of(folder.path)
    if state not in ("done", "diverged") and not holder:
        failure = failure_of(folder)
        state, reason = (state, "") if failure is None else ("failed", failure)
    return CellStatus(
        row=row,
        seed=cell.seed,
        cell=cell.key,
        state=state,
        finished=finished,
        of=of,
        reason=reason,
        written=last_written(folder.path),
        at_work=holder,
    )


def missing_columns(folder: CellFolder, ctx: RunContext) -> list[str]:
    """Return the columns of a cell whose outcomes are not stored."""
    keys = {name: outcome_key(name, ctx) for name in ctx.evaluation.columns}
    found = {name for name, key in keys.items() if folder.outcomes(key).exists()}
    with suppress(UserError):  # of a manifest that cannot be read, the run will speak
        listed = read_manifest(folder).outcomes
        found = {name for name in found if keys[name] in listed}  # a run makes the others again
    return [name for name in keys if name not in found]


def progress_of(
    folder: CellFolder, cell: Cell, ctx: RunContext, source: Cell | None = None
) -> tuple[State, int, int]:
    """Return the state of a cell, with ``finished`` and ``of`` of :class:`CellStatus`.

    The other arguments are those of :func:`cell_status`.
    """
    if folder.diverged.exists():
        return "diverged", 0, 0
    if not folder.finished_training:
        state: State = "training" if folder.spec.exists() else "waiting"
        return state, epochs_of(folder), cell.training.epochs
    if missing := missing_columns(folder, ctx):
        columns = len(ctx.evaluation.columns)
        return "attacking", columns - len(missing), columns
    if has_checks(ctx):
        report = report_file(cell, source, ctx)
        if report is None or not report.exists():
            return "checking", 0, 0
    if ctx.evaluation.spectra and not folder.spectra(VERSION).exists():
        return "measuring", 0, 0
    return "done", 0, 0


def epochs_of(folder: CellFolder) -> int:
    """Return how many epochs are logged: the lines after the first."""
    try:
        lines = folder.log.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):  # there is none, or it is being written
        return 0
    return max(0, len(lines) - 1)


def last_written(folder: Path) -> float | None:
    """Return the age of the newest file in seconds; None if there is none."""
    times = []
    for path in folder.rglob("*"):
        with suppress(OSError):  # a run may have replaced it meanwhile
            if path.name not in LOCKS and path.is_file():
                times.append(path.stat().st_mtime)
    return max(0.0, time.time() - max(times)) if times else None
