"""The processes of one run that ``torchrun`` starts: rank 0 leads, the others are its workers.

    torchrun --nproc-per-node 2 -m robench run quick

All of them get the same command line. Rank 0 does what a single process does; it broadcasts what
it loads and trains, and the workers do the same along with it (``robench.training.parallel``).
Only rank 0 handles store, attacks and tables.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import distributed

from robench.board.cells import Cell
from robench.data import DataSet, load_dataset
from robench.errors import UserError
from robench.runs.train_cell import fit_cell
from robench.system.processes import this_shard
from robench.system.threads import computing_with
from robench.training.loop import TrainingDivergedError
from robench.training.parallel import disconnect, launch
from robench.training.resume import TrainingFiles


@dataclass(frozen=True)
class Load:
    """The command to load a data set, given its name and folder, for the trainings to come."""

    data: str
    data_dir: Path | None


@dataclass(frozen=True)
class Train:
    """The command to train a cell; all processes must be able to read rank 0's ``files``."""

    cell: Cell
    files: TrainingFiles
    threads: int


def join(device: torch.device) -> bool:
    """Connect this process with the others; return whether it is rank 0.

    Args:
        device: the type of device to train on.
    """
    shard = this_shard()
    if shard.count > 1:
        launch(device, "float32")
    return shard.rank == 0


def broadcast(command: Load | Train) -> None:
    """Send a command to the workers, if there are any."""
    if _connected():
        distributed.broadcast_object_list([command])


def shutdown() -> None:
    """Send the stop command to the workers, if there are any."""
    if _connected() and this_shard().rank == 0:
        distributed.broadcast_object_list([None])
        disconnect()


def worker_loop(device: torch.device, dataset: DataSet | None = None) -> None:
    """Run the commands that rank 0 broadcasts, until it sends the stop command.

    Args:
        device: the type of device to train on.
        dataset: what to train on, if rank 0 does not say.
    """
    unread: UserError | None = None
    while (command := _next_command()) is not None:
        if isinstance(command, Load):
            try:
                dataset, unread = load_dataset(command.data, command.data_dir), None
            except UserError as error:
                dataset, unread = None, error
            continue
        if dataset is None:  # rank 0 has read its own: on another node, they may not be there
            raise unread or UserError("no data set was named before the training.")
        try:
            with computing_with(command.threads):
                fit_cell(command.cell, dataset, device, files=command.files)
        except (TrainingDivergedError, UserError):
            continue  # rank 0 gets the same error and reports it
    disconnect()


def leave_at_stop() -> bool:
    """Wait for a command of rank 0; return whether it is the stop command, and if so, leave."""
    stops = _next_command() is None
    if stops:
        disconnect()
    return stops


def _next_command() -> Load | Train | None:
    received: list[Load | Train | None] = [None]
    distributed.broadcast_object_list(received)
    return received[0]


def _connected() -> bool:
    return distributed.is_available() and distributed.is_initialized()
