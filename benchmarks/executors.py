"""Time what executors add to each piece of work, and the speed-up of two processes on a board.

The pieces do nothing, so that all of the time is the executor's: starting its processes (once), and
handing out a piece and taking its answer. The board is run in folders of its own, one after the
other and side by side.

    python benchmarks/executors.py --pieces 1000
    python benchmarks/executors.py --quick
"""

import importlib
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from common import Case, case_of, machine, options, report, timed

from robench.board.cells import Cell
from robench.board.overrides import open_board
from robench.runs.context import RunContext
from robench.runs.executor import Executor, InThisProcess
from robench.runs.jobs import cores
from robench.runs.local_processes import LocalProcesses
from robench.runs.pieces import Piece
from robench.runs.placement import Placement
from robench.runs.progress import NullReporter
from robench.runs.ray_engine import RayEngine
from robench.runs.remote import RemotePieces
from robench.runs.run import cell_jobs, prepared, run_board
from robench.runs.setup import Setup

JOBS = 2


@dataclass(frozen=True)
class Nothing:
    """Work that does nothing."""

    cell: Cell

    def perform(self, ctx: RunContext) -> int:
        """Do nothing."""
        return 0


def overhead(make: Callable[[], Executor], cell: Cell, pieces: int) -> tuple[float, float]:
    """Return the seconds until the first pieces were done, and the milliseconds of each other."""
    start = time.perf_counter()
    with make() as executor:
        first = _through(executor, cell, JOBS)
        again = time.perf_counter()
        _through(executor, cell, pieces)
        end = time.perf_counter()
    return first - start, (end - again) / pieces * 1e3


def _through(executor: Executor, cell: Cell, pieces: int) -> float:
    """Do so many pieces; return when the last one ended."""
    begun = ended = 0
    while ended < pieces:
        piece = Piece("a cell", "resting", importlib.import_module("executors").Nothing(cell), 1)
        while begun < pieces and executor.takes(piece):
            executor.submit(replace(piece))
            begun += 1
        for end in executor.wait():
            assert end.error is None, end.error
            ended += 1
    return time.perf_counter()


def speed_up(board: Any, rounds: int) -> Case:
    """Return the seconds of two jobs and of one, and their ratio."""
    seconds: dict[int, list[float]] = {1: [], JOBS: []}
    for _ in range(rounds):
        for jobs, own in seconds.items():
            with tempfile.TemporaryDirectory() as out:
                run = partial(run_board, board, out=Path(out), placement=Placement(jobs=jobs))
                own.append(timed(run))
    return case_of(seconds[JOBS], seconds[1])


def main() -> None:
    parser = options(str(__doc__).split("\n", 1)[0], pieces=1000, rounds=1)
    parser.add_argument("--board", default="quick", help="the board to run; empty for none")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.pieces, arguments.board = 200, ""
    torch.set_num_threads(1)
    os.environ["PYTHONPATH"] = str(Path(__file__).parent)  # where processes find ``Nothing``
    _, spec = open_board("quick", rows="batchnorm")
    with tempfile.TemporaryDirectory() as out:
        plan, ctx = prepared(spec, Path(out))
        ctx.store.root.mkdir()
        cell = cell_jobs(plan, ctx)[0].cell
        setup, quiet = Setup.of(ctx, spec.data.name, None), NullReporter()
        makers: dict[str, Callable[[], Executor]] = {
            "this process": lambda: InThisProcess(ctx),
            "local processes": lambda: LocalProcesses(setup, JOBS, cores(), quiet),
            "Ray": lambda: RemotePieces(RayEngine("", on_gpu=False), setup, JOBS, quiet),
        }
        print(f"{arguments.pieces} pieces that do nothing, {JOBS} at a time")
        print(f"{'executor':18}{'until the first, s':>20}{'each other, ms':>18}")
        for name, make in makers.items():
            start, each = overhead(make, cell, arguments.pieces)
            print(f"{name:18}{start:20.2f}{each:18.2f}", flush=True)
    if arguments.board:
        _, board = open_board(arguments.board)
        report(
            {f"{arguments.board}, {JOBS} jobs": speed_up(board, arguments.rounds)}, arguments.json
        )
    else:
        print(machine())


if __name__ == "__main__":
    main()
