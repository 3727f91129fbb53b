"""Which executor a run uses: this process, processes of this machine, or an engine's machines."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from robench.board.board import Board
from robench.errors import UserError, did_you_mean
from robench.runs.context import RunContext
from robench.runs.executor import Executor, InThisProcess
from robench.runs.jobs import chosen_jobs, cores, refuse_other_processes
from robench.runs.setup import Setup
from robench.runs.steps import CellJob

KINDS = ("local", "ray", "slurm")
"""What ``--executor`` may begin with; ``ray`` and ``slurm`` take a place after a colon."""


def split(executor: str) -> tuple[str, str]:
    """Return the kind of an executor and its place: ``"ray:auto"`` -> ``("ray", "auto")``.

    Raises:
        UserError: if there is no such kind, or it takes no place.
    """
    kind, _, place = executor.partition(":")
    if kind not in KINDS:
        raise UserError(f"unknown executor '{kind}'; {did_you_mean(kind, KINDS)}")
    if kind == "local" and place:
        raise UserError(f"the executor 'local' takes nothing after it; leave out ':{place}'.")
    return kind, place


def executor_for(
    executor: str,
    jobs: int | None,
    board: Board,
    data_dir: Path | None,
    cells: Sequence[CellJob],
    ctx: RunContext,
    resources: Path | None = None,
) -> tuple[Executor, bool]:
    """Return where the pieces of a run are done, and whether several are done at the same time.

    Args:
        executor: its kind, and after a colon its place; see :data:`KINDS`.
        jobs: the number of pieces at the same time; None for what suits the executor.
        board: the board that is run.
        data_dir: the folder where its data set is.
        cells: its cells.
        ctx: the context of the run.
        resources: a TOML file of what each job asks the scheduler for, for ``slurm``.

    Raises:
        UserError: if the executor is unknown or cannot be reached, or an entry cannot be imported
            by other processes.
    """
    kind, place = split(executor)
    if resources is not None and kind != "slurm":
        raise UserError(f"--resources is for --executor slurm, not for '{kind}'.")
    if kind == "local":
        number = chosen_jobs(jobs, cells, ctx)
        if number == 1:
            return InThisProcess(ctx), False
        from robench.runs.local_processes import LocalProcesses

        setup = Setup.of(ctx, board.data.name, data_dir)
        return LocalProcesses(setup, number, cores(), ctx.reporter), True
    if jobs is not None and jobs < 1:
        raise UserError(f"jobs is {jobs}; give 1 or more.")
    refuse_other_processes(f"--executor {kind}")
    return _remote(kind, place, jobs, board, data_dir, ctx, resources), True


def _remote(
    kind: str,
    place: str,
    jobs: int | None,
    board: Board,
    data_dir: Path | None,
    ctx: RunContext,
    resources: Path | None,
) -> Executor:
    from robench.runs.remote import Engine, RemotePieces

    ctx.store.root.mkdir(parents=True, exist_ok=True)
    setup = Setup.of(ctx, board.data.name, data_dir and data_dir.absolute())
    setup = replace(setup, store=setup.store.absolute())
    engine: Engine
    if kind == "ray":
        from robench.runs.ray_engine import RayEngine

        engine = RayEngine(place, on_gpu=ctx.device.type != "cpu")
    else:
        from robench.runs.slurm_engine import SlurmEngine

        engine = SlurmEngine(place or "slurm", setup.store.parent / "slurm-jobs", resources)
    return RemotePieces(engine, setup, jobs, ctx.reporter)
