"""The run store: one folder per cell, named by the hash of its specification.

A file in it is complete or absent, so everything that was finished before an interruption is
found again.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from robench.board.specs import Cell, ExternalCell
from robench.system.files import remove_temporaries, write_json
from robench.system.locks import sole_writer


@dataclass(frozen=True)
class CellFolder:
    """The files of one cell."""

    path: Path

    @property
    def spec(self) -> Path:
        """The specification, as hashed."""
        return self.path / "spec.json"

    @property
    def log(self) -> Path:
        """The log of the training, one row per epoch."""
        return self.path / "training.csv"

    @property
    def checkpoint(self) -> Path:
        """The state after the last epoch, while training is in progress."""
        return self.path / "checkpoint.pt"

    @property
    def weights(self) -> Path:
        """The trained weights, with what rebuilds their network."""
        return self.path / "weights.safetensors"

    @property
    def result(self) -> Path:
        """The accuracies, for people to read."""
        return self.path / "result.json"

    @property
    def manifest(self) -> Path:
        """Versions, hashes, device, times."""
        return self.path / "manifest.json"

    @property
    def diverged(self) -> Path:
        """The note that training ended without finite weights, with the epoch; absent otherwise."""
        return self.path / "diverged.json"

    @property
    def finished_training(self) -> bool:
        """Whether training has ended, with weights or without."""
        return (self.weights.exists() and self.manifest.exists()) or self.diverged.exists()

    def outcomes(self, key: str) -> Path:
        """Return the file of the outcomes with this key."""
        return self.path / "outcomes" / f"{key}.npz"

    @property
    def unfinished(self) -> Path:
        """The folder of what attacks have done, while they are in progress."""
        return self.path / "partial"

    def partial(self, key: str) -> Path:
        """Return the file of what the attacks with these outcomes have done so far."""
        return self.unfinished / f"{key}.npz"

    def remove_temporaries(self) -> None:
        """Remove what processes that were killed while writing have left; hold the lock."""
        own = (self.spec, self.log, self.checkpoint, self.weights, self.result, self.manifest,
               self.diverged)  # fmt: skip
        remove_temporaries(self.path, [*(path.name for path in own), "spectra-*.json"])
        for name, pattern in (("outcomes", "*.npz"), ("partial", "*.npz"), ("checks", "*.json")):
            remove_temporaries(self.path / name, [pattern])


@dataclass(frozen=True)
class RunStore:
    """All cells in one folder."""

    root: Path

    def open(self, cell: Cell | ExternalCell) -> CellFolder:
        """Return the folder of ``cell``, created if it is new.

        Raises:
            UserError: if the folder cannot be written.
        """
        folder = CellFolder(self.root / cell.key)
        if not folder.spec.exists():
            with self.lock(folder):
                write_json(folder.spec, cell.model_dump(mode="json"))
        return folder

    @contextmanager
    def lock(self, folder: CellFolder) -> Iterator[None]:
        """Keep other robench processes out of a cell; those of the same process share the lock.

        What processes that were killed while writing have left in the cell is removed.

        Raises:
            UserError: if another process holds it, or the folder cannot be written.
        """
        with sole_writer(folder.path, "is at work in"):
            folder.remove_temporaries()
            yield
