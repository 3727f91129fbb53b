"""Several processes of one run, which ``torchrun`` starts: the first leads, the others help train.

    torchrun --nproc-per-node 2 -m robench run quick

All of them get the same command line. The first one does what a single process does; what it
loads and trains it tells the others, and they do it with it (``robench.training.parallel``).
Store, attacks and tables are its own.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import distributed

from robench.board.specs import Cell
from robench.data import DataSet, load_dataset
from robench.errors import UserError
from robench.runs.train_cell import fit_cell
from robench.system.processes import this_shard
from robench.training.loop import TrainingDivergedError
from robench.training.parallel import launch
from robench.training.resume import TrainingFiles


@dataclass(frozen=True)
class Load:
    """The images of what follows: a data set's name, and the folder that it is in."""

    data: str
    data_dir: Path | None


@dataclass(frozen=True)
class Train:
    """A cell, and where the first process keeps its state: where the others can read it too."""

    cell: Cell
    files: TrainingFiles


def join(device: torch.device) -> bool:
    """Connect this process with the others; return whether it leads.

    Args:
        device: the type of device to train on.
    """
    part = this_shard()
    if part.count > 1:
        launch(device, "float32")
    return part.rank == 0


def broadcast(order: Load | Train) -> None:
    """Tell the other processes what to do; alone, do nothing."""
    if _connected():
        distributed.broadcast_object_list([order])


def shutdown() -> None:
    """Tell the other processes that there is nothing more to do."""
    if _connected() and this_shard().rank == 0:
        distributed.broadcast_object_list([None])
        distributed.destroy_process_group()


def worker_loop(device: torch.device) -> None:
    """Do what the leading process says, until it lets this one go."""
    dataset: DataSet | None = None
    while (order := _next_order()) is not None:
        try:
            if isinstance(order, Load):
                dataset = load_dataset(order.data, order.data_dir)
            else:
                assert dataset is not None
                fit_cell(order.cell, dataset, device, files=order.files)
        except (TrainingDivergedError, UserError):
            continue  # the leader meets it too, and says so
    distributed.destroy_process_group()


def _next_order() -> Load | Train | None:
    box: list[Load | Train | None] = [None]
    distributed.broadcast_object_list(box)
    return box[0]


def _connected() -> bool:
    return distributed.is_available() and distributed.is_initialized()
