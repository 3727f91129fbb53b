"""The run store: one folder per cell, named by the hash of its specification.

A file in it is complete or absent, so everything that was finished before an interruption is
found again.
"""

from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from robench.board.specs import Cell, ExternalCell
from robench.errors import UserError
from robench.system.files import write_json


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
            write_json(folder.spec, cell.model_dump(mode="json"))
        return folder

    def lock(self, folder: CellFolder) -> FileLock:
        """Return a lock on a cell that keeps other robench processes out.

        Raises:
            UserError: if another process holds it.
        """
        lock = FileLock(folder.path / ".lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise UserError(
                f"another robench is at work in {folder.path}; wait for it or use another --out."
            ) from None
        except OSError as error:
            raise UserError(f"cannot write {folder.path}: {error.strerror or error}.") from error
        return lock
