"""What is done for a cell, step by step: each step is a list of pieces, which may run at once.

A generator of steps holds the lock of its cell while it lives. It is resumed when all pieces of a
step have ended, and closed if one of them failed.
"""

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from robench.base import Attack
from robench.board.cells import Cell
from robench.board.ranking import CORRUPTION
from robench.evaluation.partial import remove as remove_partial
from robench.models.complexity import Complexity
from robench.runs.attack_cell import add_outcomes, groups_of, remove_unfinished
from robench.runs.cell import cell_result
from robench.runs.check_cell import checked, has_checks, stored_checks, wants_checks
from robench.runs.context import RunContext, cell_title
from robench.runs.effort import Effort
from robench.runs.identity import attacked_samples, outcome_key
from robench.runs.measure_cell import measured, stored_layers, wants_spectra
from robench.runs.pieces import Attacking, Checking, Counting, Measuring, Piece, Training
from robench.runs.records import CellResult
from robench.runs.status import ATTACKED, State, missing_columns, progress_of
from robench.runs.store import CellFolder
from robench.runs.stored import check_stored, read_manifest, sound_outcomes
from robench.system.files import remove

Kept = TypeVar("Kept")


@dataclass(frozen=True)
class Task:
    """A piece, and what is done with its result as soon as it is there."""

    piece: Piece
    done: Callable[[Any], None]


Steps = Iterator[list[Task]]
"""The steps of a job."""


@dataclass(frozen=True)
class CellJob:
    """A cell of a board, as the steps see it.

    Attributes:
        cell: its specification.
        row: the title of its row.
        effort: what its network costs.
        ctx: the context of the run, with a store that locks.
        timed: whether its training is timed, so that nothing else is done meanwhile.
        source: the cell whose adversarial images its checks transfer to it, or None.
    """

    cell: Cell
    row: str
    effort: Effort
    ctx: RunContext
    timed: bool = False
    source: Cell | None = None

    @property
    def name(self) -> str:
        """What progress reports call it."""
        return cell_title(self.row, self.cell.seed)

    @property
    def threads(self) -> int:
        """The number of threads that it is computed with."""
        return self.effort.threads

    @property
    def is_stored(self) -> bool:
        """Whether nothing is left of its training, attacks and checks."""
        return self.progress[0] in ATTACKED

    @property
    def is_finished(self) -> bool:
        """Whether nothing at all is left of it."""
        return self.progress[0] in ("done", "diverged")

    @property
    def progress(self) -> tuple[State, int, int]:
        """How far it is; see :func:`robench.runs.status.progress_of`."""
        return progress_of(self.folder, self.cell, self.ctx, self.source)

    @property
    def folder(self) -> CellFolder:
        """Its folder in the store."""
        return CellFolder(self.ctx.store.root / self.cell.key)

    def piece(self, state: str, work: Any, effort: float = 0.0) -> Piece:
        """Return a piece of the work on it."""
        return Piece(self.name, state, work, self.threads, effort)

    def training_piece(self) -> Piece:
        """Return the piece that trains it, or what is left of that."""
        effort, _ = self.left
        work = Training(self.cell, alone=self.timed)
        return Piece(self.name, "training", work, self.threads, effort, alone=self.timed)

    def attack_piece(self, columns: list[str]) -> Piece:
        """Return the piece that computes columns which share one search."""
        attacks = {name: self.ctx.attacks.get(name) for name in columns}
        samples = {n: attacked_samples(self.ctx.evaluation, a) for n, a in attacks.items()}
        effort = max(self.effort.attacking(a, samples[n]) for n, a in attacks.items())
        return self.piece("attacking", Attacking(self.cell, tuple(columns)), effort)

    @property
    def checking(self) -> float:
        """The work of its checks; 0 if there are none to run."""
        return (
            self.effort.checking(self.ctx.evaluation.check_samples) if has_checks(self.ctx) else 0
        )

    @property
    def computing(self) -> float:
        """The work until its row is known, whatever is stored of it."""
        ctx = self.ctx
        groups = groups_of(ctx.evaluation.columns, ctx.attacks)
        return self.effort.training(self.cell, ctx.dataset) + sum(
            self.attack_piece(group).effort for group in groups
        )

    @property
    def left(self) -> tuple[float, float]:
        """The work that is left of its training, and of its attacks and checks."""
        state, finished, of = self.progress
        if state in ATTACKED:
            return 0.0, 0.0
        trains = state in ("waiting", "training")
        share = 1 - finished / of if trains else 0.0
        groups = groups_of(missing_columns(self.folder, self.ctx), self.ctx.attacks)
        attacks = sum(self.attack_piece(group).effort for group in groups)
        return share * self.effort.training(self.cell, self.ctx.dataset), attacks + self.checking


def compute_columns(job: CellJob, done: Callable[[CellResult, bool], None]) -> Steps:
    """Train a cell unless it is trained, and compute the columns that are missing.

    Args:
        job: the cell.
        done: called with its result, and whether some of it was computed now.

    Raises:
        UserError: if the store cannot be written, what is stored is not what was stored, or another
            process is working on the cell.
    """
    cell, ctx = job.cell, job.ctx
    folder = ctx.store.open(cell)
    with ctx.store.lock(folder):
        yield from _train(job, folder)
        if folder.diverged.exists():
            ctx.reporter.announce(job.name, "diverged")
            done(cell_result(cell, folder, ctx), True)
            return
        keys = {name: outcome_key(name, ctx) for name in ctx.evaluation.columns}
        sound = sound_outcomes(read_manifest(folder), folder, [*keys.values()])
        missing = [name for name, key in keys.items() if key not in sound]
        ctx.reporter.announce(job.name, "attacking" if missing else "stored")
        for key in sound:
            remove_partial(folder.partial(key))
        if missing:
            yield [
                Task(job.attack_piece(group), partial(add_outcomes, folder))
                for group in groups_of(missing, ctx.attacks)
            ]
            remove_unfinished(folder)
        done(cell_result(cell, folder, ctx), bool(missing))


def _train(job: CellJob, folder: CellFolder) -> Steps:
    check_stored(folder, job.cell)
    if folder.finished_training:
        remove(folder.checkpoint)  # one that was stopped at its very end has left it
        return
    job.ctx.reporter.announce(job.name, "training")
    yield [Task(job.training_piece(), nothing)]


def check(
    job: CellJob, result: CellResult, source: CellResult | None, done: Callable[[CellResult], None]
) -> Steps:
    """Run the checks of a cell unless their report is stored, if the board wants them.

    Args:
        job: the cell.
        result: its result so far.
        source: the cell whose adversarial images are transferred to it.
        done: called with the result and the report.
    """
    ctx = job.ctx
    if not wants_checks(result, ctx):
        done(result)
        return
    piece = job.piece("checking", Checking(result, source), job.checking)
    report = yield from _stored_or_made(job, partial(stored_checks, result, source, ctx), piece)
    done(checked(result, report))


def measure(job: CellJob, result: CellResult, done: Callable[[CellResult], None]) -> Steps:
    """Measure the spectra of a cell's layers unless they are stored, if the board wants them.

    Args:
        job: the cell.
        result: its result so far.
        done: called with the result and the spectra.
    """
    ctx = job.ctx
    if not wants_spectra(result, ctx):
        done(result)
        return
    piece = job.piece("measuring", Measuring(job.cell), job.effort.multiply_adds)
    layers = yield from _stored_or_made(job, partial(stored_layers, job.cell, ctx), piece)
    done(measured(result, layers))


def _stored_or_made(
    job: CellJob, stored: Callable[[], Kept | None], piece: Piece
) -> Generator[list[Task], None, Kept]:
    """Return what is stored of a cell, or what the piece makes and stores."""
    with job.ctx.store.lock(job.folder):
        if (known := stored()) is not None:
            return known
        job.ctx.reporter.announce(job.name, piece.state)
        made: list[Kept] = []
        yield [Task(piece, made.append)]
        return made[0]


def count_costs(job: CellJob, done: Callable[[Complexity], None]) -> Steps:
    """Measure the complexity of a cell's network.

    Args:
        job: the first cell of a row.
        done: called with the complexity.
    """
    yield [Task(job.piece("measuring", Counting(job.cell)), done)]


def accuracies(result: CellResult, attacks: Mapping[str, Attack]) -> Mapping[str, float]:
    """Return column -> accuracy of a cell, and one mean for all corruptions.

    Args:
        result: the result of the cell.
        attacks: column -> attack.
    """
    every = {name: result.outcomes[name].accuracy for name in result.outcomes}
    corrupted = [every.pop(name) for name, attack in attacks.items() if attack.corrupts]
    mean = {CORRUPTION: sum(corrupted) / len(corrupted)} if corrupted else {}
    return every | mean


def nothing(value: Any) -> None:
    """Take a result of which nothing follows."""
