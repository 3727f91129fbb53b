"""A rough estimate of the work in a cell: for the order of its pieces, and for the time left.

It is counted in multiply-adds: those of one forward, times how many images pass the network.
No result depends on it.
"""

from dataclasses import dataclass

from robench.base import Attack
from robench.board.cells import Cell
from robench.data import DataSet

STEPS = {"steps": 1.0, "max_steps": 1.0, "queries": 0.25}
"""Options of attacks that say how often they ask the network about an image, and what one counts.

A query is a forward alone, and most images are fooled before the last one: AutoAttack, whose Square
may ask 5,000 times, takes on cifar10-linf-small as long as 900 to 1,700 steps.
"""

UNLIMITED = 1000
"""What counts for such an option without a value."""

CHECKS = 500
"""How often the checks ask a network about an image, as measured on the quick board."""


@dataclass(frozen=True)
class Effort:
    """The work in the cells of one row.

    Attributes:
        multiply_adds: of the forward of one image.
        threads: the number of threads that the cells are computed with.
    """

    multiply_adds: int
    threads: int

    def training(self, cell: Cell, dataset: DataSet) -> float:
        """Return the work of training a cell."""
        images = len(dataset.train) * cell.data.kept * (1 - cell.data.validation)
        return cell.training.epochs * self.epoch(cell, images)

    def epoch(self, cell: Cell, images: float) -> float:
        """Return the work of training a cell on this many images, each once."""
        forwards = cell.training.build_method().forwards_per_minibatch
        return self.multiply_adds * images * forwards

    def attacking(self, attack: Attack | None, samples: int) -> float:
        """Return the work of a column on this many images; None stands for the clean ones."""
        options = {} if attack is None else vars(attack)
        steps = [
            each * (options[name] or UNLIMITED) for name, each in STEPS.items() if name in options
        ]
        return float(self.multiply_adds * samples * max([1, *steps]))

    def checking(self, samples: int) -> float:
        """Return the work of the checks of a cell on this many images."""
        return float(self.multiply_adds * samples * CHECKS)
