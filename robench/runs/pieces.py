"""Pieces of work: what one process does for a cell while others do other pieces.

A piece is computed from the store and leaves its files there; whoever handed it out holds the lock
of its cell, and writes what follows from the result.
"""

from dataclasses import dataclass
from typing import Any, Protocol

from robench.board.cells import Cell
from robench.errors import warnings_about
from robench.runs.attack_cell import attack_columns
from robench.runs.cell import network_of, train_cell
from robench.runs.check_cell import make_checks
from robench.runs.context import RunContext
from robench.runs.measure_cell import costs_of, measure_layers
from robench.runs.records import CellResult
from robench.runs.store import CellFolder
from robench.system.memory import free_gpu_memory
from robench.system.provenance import count_peak_memory_anew
from robench.system.threads import computing_with


class Work(Protocol):
    """What is done in a piece; it travels to other processes by pickle."""

    def perform(self, ctx: RunContext) -> Any:
        """Do it, and return its result."""


@dataclass(frozen=True)
class Training:
    """Train a cell and store its weights, or a note that training diverged.

    ``alone`` says that nothing else of the run is done meanwhile, so that its seconds count.
    """

    cell: Cell
    alone: bool = False

    def perform(self, ctx: RunContext) -> None:
        """Train."""
        folder = CellFolder(ctx.store.root / self.cell.key)
        train_cell(self.cell, folder, ctx, alone=self.alone)


@dataclass(frozen=True)
class Attacking:
    """Compute columns that share one search, and store their outcomes."""

    cell: Cell
    columns: tuple[str, ...]

    def perform(self, ctx: RunContext) -> Any:
        """Attack; return what is added to the cell's manifest."""
        folder = CellFolder(ctx.store.root / self.cell.key)
        model = network_of(self.cell, ctx)
        return attack_columns(model, self.cell.seed, folder, ctx, self.columns)


@dataclass(frozen=True)
class Checking:
    """Run the checks of a cell, and store the report; ``source`` is attacked for transfers."""

    result: CellResult
    source: CellResult | None

    def perform(self, ctx: RunContext) -> Any:
        """Check; return the report."""
        return make_checks(self.result, self.source, ctx)


@dataclass(frozen=True)
class Measuring:
    """Measure the spectra of a cell's layers, and store them."""

    cell: Cell

    def perform(self, ctx: RunContext) -> Any:
        """Measure; return the spectra."""
        return measure_layers(self.cell, ctx)


@dataclass(frozen=True)
class Counting:
    """Measure the complexity of a row's network."""

    cell: Cell

    def perform(self, ctx: RunContext) -> Any:
        """Measure; return the complexity."""
        return costs_of(self.cell, ctx)


@dataclass(frozen=True)
class Piece:
    """A piece of work.

    Attributes:
        name: the cell, as progress reports call it.
        state: what happens to it, as progress reports call it.
        work: what is done.
        threads: the number of threads to compute with.
        effort: how much work it is, to compare with others.
        alone: whether nothing else of the run may be done meanwhile, since it is timed.
    """

    name: str
    state: str
    work: Work
    threads: int
    effort: float = 0.0
    alone: bool = False


def perform(piece: Piece, ctx: RunContext) -> Any:
    """Do a piece of work in this process, and return its result.

    Args:
        piece: the piece.
        ctx: the context of the run; the lock of the piece's cell is held.
    """
    count_peak_memory_anew(ctx.device)
    try:
        with computing_with(piece.threads), warnings_about(piece.name):
            return piece.work.perform(ctx)
    finally:
        free_gpu_memory(ctx.device)
