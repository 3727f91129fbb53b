"""How much a cell computes, which says with how many threads: see :mod:`robench.system.threads`."""

import torch

from robench.board.cells import Cell
from robench.data import DataSet
from robench.models.checkpoint import Network
from robench.models.complexity import count_multiply_adds


def multiply_adds_of(cell: Cell, dataset: DataSet) -> int:
    """Return the multiply-adds of the forward of one image in a cell's network.

    Torch's random state is left unchanged.

    Raises:
        UserError: if the network cannot be built.
    """
    image = torch.zeros(1, dataset.in_channels, *dataset.image_size)
    with torch.random.fork_rng(devices=[]):
        return count_multiply_adds(Network.of(cell, dataset).build(), image)
