"""Which executor a run uses: this process, processes of this machine, or an engine's machines."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from robench.data.load import absolute_name
from robench.runs.context import RunContext
from robench.runs.executor import Executor, InThisProcess
from robench.runs.jobs import Planned, chosen_jobs, cores, refuse_other_processes
from robench.runs.placement import Placement
from robench.runs.resources import Resources, read_resources
from robench.runs.setup import Setup
from robench.system.devices import gpus_for

if TYPE_CHECKING:
    from robench.runs.remote import Engine

JOBS = "slurm-jobs"
"""The folder beside the run store where Slurm's jobs are kept."""


def executor_for(
    placement: Placement,
    data: str,
    data_dir: Path | None,
    cells: Sequence[Planned],
    ctx: RunContext,
) -> Executor:
    """Return what does the pieces of a run: this process if nothing is left of them.

    The driver of an engine may have no GPU, so that not even what takes little is done there.

    Args:
        placement: where they are to be done.
        data: the name of the data set, as the board has it.
        data_dir: the folder where it is.
        cells: the networks of the board.
        ctx: the context of the run.

    Raises:
        UserError: if the executor cannot be reached, or an entry cannot be imported by other
            processes.
    """
    if placement.is_local:
        number = chosen_jobs(placement.jobs, cells, ctx)
        if number == 1:
            return InThisProcess(ctx)
        from robench.runs.local_processes import LocalProcesses

        setup = Setup.of(ctx, data, data_dir)
        return LocalProcesses(setup, number, cores(), ctx.reporter, gpus_for(ctx.device))
    resources = _resources(placement)
    if all(cell.is_finished for cell in cells):
        return InThisProcess(ctx)
    ctx.store.root.mkdir(parents=True, exist_ok=True)
    # Workers have a working folder of their own.
    setup = Setup.of(ctx, absolute_name(data), data_dir and data_dir.absolute())
    setup = replace(setup, store=setup.store.absolute(), processes=resources.processes)
    return on_other_machines(placement, setup, resources, ctx)


def jobs_at_once(placement: Placement, cells: Sequence[Planned], ctx: RunContext) -> int:
    """Return how many pieces :func:`executor_for` would let be done at the same time.

    Nothing is stored, and an engine is left as it was found.

    Args:
        placement: where they are to be done.
        cells: the networks of the board.
        ctx: the context of the run.

    Raises:
        UserError: as :func:`executor_for`.
    """
    if placement.is_local:
        return chosen_jobs(placement.jobs, cells, ctx)
    resources = _resources(placement)
    if all(cell.is_finished for cell in cells):
        return 1
    with tempfile.TemporaryDirectory() as scratch:  # submitit makes the folder of its jobs at once
        engine = _engine(placement, Path(scratch) / JOBS, resources, ctx)
        try:
            return placement.jobs or max(1, engine.slots)
        finally:
            engine.close()


def on_other_machines(
    placement: Placement, setup: Setup, resources: Resources, ctx: RunContext
) -> Executor:
    """Return the executor of an engine."""
    from robench.runs.remote import RemotePieces

    engine = _engine(placement, setup.store.parent / JOBS, resources, ctx)
    return RemotePieces(engine, setup, placement.jobs, ctx.reporter)


def _resources(placement: Placement) -> Resources:
    """Return what each piece asks an engine for, if other machines can do pieces at all."""
    refuse_other_processes(f"--executor {placement.kind}")
    file = placement.resources
    return Resources() if file is None else read_resources(file, placement.kind)


def _engine(placement: Placement, folder: Path, resources: Resources, ctx: RunContext) -> "Engine":
    """Return an engine, which is imported only here; Slurm keeps its jobs in ``folder``."""
    on_gpu = ctx.device.type != "cpu"
    if placement.kind == "ray":
        from robench.runs.ray_engine import RayEngine

        return RayEngine(placement.place, on_gpu=on_gpu)
    from robench.runs.slurm_engine import SlurmEngine

    return SlurmEngine(placement.place or "slurm", folder, resources, on_gpu=on_gpu)
