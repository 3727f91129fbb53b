"""How many threads a cell is computed with: a rule about the cell, so that results obey no option.

Sums that are split among threads round differently: with one thread and with two, training gives
other weights. The number of threads must therefore not depend on how many cells are computed side
by side, nor on whether a cell is computed by ``run``, ``train`` or ``reproduce``.
"""

import torch

from robench.board.cells import Cell
from robench.data import DataSet
from robench.models.checkpoint import Network
from robench.models.complexity import count_multiply_adds

NARROW = 100_000_000
"""Multiply-adds of one forward up to which a network is narrow. A ResNet-18 of width 16 on 32x32
images has 35 million; width 32 has 140 million."""


def threads_for(multiply_adds: int, device: torch.device) -> int:
    """Return with how many threads the cells of a network are trained and attacked.

    A narrow network is computed with one thread: more of them wait for one another longer than
    they compute, and cells side by side use the cores better. Others, and everything on a GPU, get
    what torch is set to: the number of cores, or ``OMP_NUM_THREADS``.

    Args:
        multiply_adds: those of the forward of one image; see :func:`multiply_adds_of`.
        device: the device that it is computed on.
    """
    if device.type == "cpu" and multiply_adds <= NARROW:
        return 1
    return torch.get_num_threads()


def multiply_adds_of(cell: Cell, dataset: DataSet) -> int:
    """Return the multiply-adds of the forward of one image in a cell's network.

    Torch's random state is left unchanged.

    Raises:
        UserError: if the network cannot be built.
    """
    image = torch.zeros(1, dataset.in_channels, *dataset.image_size)
    with torch.random.fork_rng():
        return count_multiply_adds(Network.of(cell, dataset).build(), image)
