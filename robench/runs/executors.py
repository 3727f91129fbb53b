"""Which executor a run uses: this process, processes of this machine, or an engine's machines."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from robench.data.load import absolute_name
from robench.runs.context import RunContext
from robench.runs.executor import Executor, InThisProcess
from robench.runs.jobs import Planned, chosen_jobs, cores, refuse_other_processes
from robench.runs.placement import Placement
from robench.runs.resources import Resources, read_resources
from robench.runs.setup import Setup
from robench.system.devices import gpus_for


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
    refuse_other_processes(f"--executor {placement.kind}")
    file = placement.resources
    resources = Resources() if file is None else read_resources(file, placement.kind)
    if all(cell.is_finished for cell in cells):
        return InThisProcess(ctx)
    ctx.store.root.mkdir(parents=True, exist_ok=True)
    # Workers have a working folder of their own.
    setup = Setup.of(ctx, absolute_name(data), data_dir and data_dir.absolute())
    setup = replace(setup, store=setup.store.absolute(), processes=resources.processes)
    return on_other_machines(placement, setup, resources, ctx)


def on_other_machines(
    placement: Placement, setup: Setup, resources: Resources, ctx: RunContext
) -> Executor:
    """Return the executor of an engine, which is imported only here."""
    from robench.runs.remote import Engine, RemotePieces

    on_gpu = ctx.device.type != "cpu"
    engine: Engine
    if placement.kind == "ray":
        from robench.runs.ray_engine import RayEngine

        engine = RayEngine(placement.place, on_gpu=on_gpu)
    else:
        from robench.runs.slurm_engine import SlurmEngine

        folder = setup.store.parent / "slurm-jobs"
        engine = SlurmEngine(placement.place or "slurm", folder, resources, on_gpu=on_gpu)
    return RemotePieces(engine, setup, placement.jobs, ctx.reporter)
