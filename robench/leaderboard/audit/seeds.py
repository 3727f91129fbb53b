"""Find networks of one seed that are published as those of another, with a few digits changed.

Another seed draws other weights and other batches, so that neither the losses nor the lengths of
perturbations come out the same. Networks of one seed may be nearly equal honestly: an option that
hardly matters makes two rows of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from robench.board.cells import ExternalCell
from robench.evaluation import Outcomes
from robench.leaderboard.published import PublishedCell

BLOCK = 50
"""A copy with a few images edited is found by a block of images in a row that it left alone."""

DISTINCT_IN_BLOCK = 12
"""How many different lengths must agree in a block."""

NEAR = 1e-5
"""Lengths that differ by no more, relative to themselves, are called the same. Networks of two
seeds on the boards of the repository are never nearer than 2e-3 on all images of a block."""

APART = 100 * NEAR
"""Lengths that differ by less are counted once: those of a ball in L2 are all its radius."""

Log = list[dict[str, float | None]]


def log_of(cell: PublishedCell) -> Log:
    """Return the log of the training without what depends on the machine."""
    return [{k: v for k, v in epoch.items() if "second" not in k} for epoch in cell.training]


def same_log_problems(cells: tuple[PublishedCell, ...]) -> Iterator[str]:
    """Yield which cells have the training log of another seed, one sentence each."""
    first: dict[str, PublishedCell] = {}
    for cell in cells:
        log = log_of(cell)
        if isinstance(cell.file.cell, ExternalCell) or cell.file.manifest is None or not log:
            continue
        other = first.setdefault(repr([sorted(epoch.items()) for epoch in log]), cell)
        if other.seed != cell.seed and _depends_on_seed(cell, log):
            yield (
                f"'{cell.row}', seed {cell.seed}, has the training log of '{other.row}', seed "
                f"{other.seed}: another seed gives other losses."
            )


def _depends_on_seed(cell: PublishedCell, log: Log) -> bool:
    """Return whether a network learned something, so that its losses are those of its seed.

    A network whose logits never change has one loss whatever its seed. After one epoch that cannot
    be seen in the log, but no attack fools it.
    """
    losses = [loss for epoch in log if (loss := epoch.get("train_loss")) is not None]
    if len(log) > 1:
        return bool(losses) and max(losses) - min(losses) > 1e-6 * abs(max(losses))
    return any(o.fooled.any() for name, o in cell.outcomes.items() if name != "clean")


@dataclass
class Lengths:
    """The lengths of perturbations of a board, in blocks of images."""

    blocks: dict[tuple[int, int], list[tuple[PublishedCell, str, NDArray[np.float64]]]] = field(
        default_factory=dict
    )

    def add(
        self, cell: PublishedCell, column: str, outcomes: Outcomes, explained: NDArray[np.bool_]
    ) -> None:
        """Add a column of a trained network.

        Args:
            cell: its cell.
            column: the column.
            outcomes: its outcomes.
            explained: the images whose lengths need not be those of one network, (n,) bool.
        """
        if isinstance(cell.file.cell, ExternalCell) or not outcomes.forwards.any():
            return
        lengths = outcomes.l2.astype(np.float64)
        for start in range(0, len(lengths), BLOCK):
            part = lengths[start : start + BLOCK]
            if not np.isfinite(part).all():
                continue  # said where the values are audited
            left = part[~explained[start : start + BLOCK] & (part > 0)]
            if len(np.unique(np.round(np.log(left) / APART))) >= DISTINCT_IN_BLOCK:
                self.blocks.setdefault((start, len(part)), []).append((cell, column, part))

    def problems(self) -> Iterator[str]:
        """Yield which cells have lengths that are nearly those of another seed, one each."""
        said = set()
        for blocks in self.blocks.values():
            # Lengths that are nearly equal have sums that are, which sorting brings together.
            blocks.sort(key=lambda block: float(block[2].sum()))
            sums = np.array([part.sum() for *_, part in blocks])
            ends = np.searchsorted(sums, sums * (1 + 2 * NEAR), side="right")
            for i, (cell, column, part) in enumerate(blocks):
                for other, theirs, lengths in blocks[i + 1 : ends[i]]:
                    pair = frozenset((cell.file.cell.key, other.file.cell.key))
                    if cell.seed == other.seed or pair in said or not _near(part, lengths):
                        continue
                    said.add(pair)
                    yield (
                        f"'{cell.row}', seed {cell.seed}, has lengths of {column} that are all but "
                        f"those of {theirs} of '{other.row}', seed {other.seed}: another seed "
                        f"gives another network."
                    )


def _near(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    """Return whether lengths differ by rounding at most, but are not the same to the bit."""
    return bool((np.abs(one - other) <= NEAR * one).all()) and not np.array_equal(one, other)
