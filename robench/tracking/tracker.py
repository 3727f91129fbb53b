"""What a tracker is: it opens one run per cell, which takes what Lightning's loggers take.

:class:`RunLogger` has the methods of ``lightning.fabric.loggers.Logger`` that are needed here, and
two more, for text and pictures.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

Value = bool | int | float | str
"""A hyperparameter."""


@dataclass(frozen=True)
class TrackedRun:
    """One cell, as trackers call it.

    Attributes:
        board: the name of the board.
        row: the title of its row.
        seed: its seed.
        slug: a name of the row and the seed that is unique within the board and fit for files.
        hyperparameters: the recipe, the rest of the specification and the commit.
    """

    board: str
    row: str
    seed: int
    slug: str
    hyperparameters: Mapping[str, Value]

    @property
    def name(self) -> str:
        """What people read: board, row and seed."""
        return f"{self.board}, {self.row}, seed {self.seed}"


class RunLogger(Protocol):
    """A tracker's run of one cell."""

    @property
    def logged_epochs(self) -> int:
        """The last epoch or step that it has from an earlier process; 0 if it has none."""

    def log_hyperparams(self, params: Mapping[str, Value]) -> None:
        """Log the hyperparameters."""

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Log the figures of an epoch, or of some steps of a GAN."""

    def log_earlier(self, metrics: Mapping[str, float], step: int) -> None:
        """Log figures of a step before the last one, which are known only after the training."""

    def log_result(self, metrics: Mapping[str, float], step: int) -> None:
        """Log the final figures of the cell, after ``step`` epochs or steps."""

    def log_text(self, name: str, text: str) -> None:
        """Log text in Markdown."""

    def log_picture(self, name: str, file: Path, step: int) -> None:
        """Log a PNG file."""

    def finalize(self, status: str) -> None:
        """End it: with ``"success"``, ``"failed"``, or ``"aborted"`` if it may go on later."""


class Tracker(Protocol):
    """What ``--log`` names: it keeps what it has of a run in a folder of its own."""

    @property
    def name(self) -> str:
        """Its name in ``--log``."""

    @property
    def target(self) -> str:
        """Where the runs go: a run that was logged elsewhere has not been logged here."""

    @property
    def takes_pictures(self) -> bool:
        """Whether it shows pictures."""

    def begin(self) -> None:
        """Prepare for a run of robench, before any work: this may ask for a password."""

    def open(self, run: TrackedRun, folder: Path, identity: str) -> tuple[RunLogger, str]:
        """Open the run of a cell.

        Args:
            run: the cell.
            folder: the folder in which the tracker keeps files of this run; it may not exist.
            identity: what it returned when it opened this run before; empty the first time.

        Returns:
            The logger, and by what the run is found again.
        """
