"""The run store: one folder per cell, named by the hash of its specification.

A file in it is complete or absent, so everything that was finished before an interruption is
found again.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from robench.board.cells import Cell, ExternalCell
from robench.system.files import check_file, check_folder, remove_temporaries, write_json
from robench.system.locks import check_lock, sole_writer
from robench.training.folder import TrainingFolder

_PARTS = (("outcomes", "*.npz"), ("partial", "*.npz"), ("checks", "*.json"))
"""The folders in that of a cell, and the files in each."""


@dataclass(frozen=True)
class CellFolder(TrainingFolder):
    """The files of one cell."""

    @property
    def weights(self) -> Path:
        """The trained weights, with what rebuilds their network."""
        return self.path / "weights.safetensors"

    @property
    def result(self) -> Path:
        """The accuracies, for people to read."""
        return self.path / "result.json"

    @property
    def failed(self) -> Path:
        """The note why the last run failed in it."""
        return self.path / "failed.json"

    @property
    def arriving(self) -> Path:
        """The mark that what another machine trained is being written; it is removed last."""
        return self.path / "arriving.txt"

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

    def spectra(self, version: int) -> Path:
        """Return the file of the layers' spectra, by the definition of their figures."""
        return self.path / f"spectra-{version}.json"

    def checks(self, key: str) -> Path:
        """Return the file of the report of checks with this key."""
        return self.path / "checks" / f"{key}.json"

    def check_kinds(self) -> None:
        """Refuse a folder or link in the place of a file, and the reverse, before any work.

        Raises:
            UserError: if there is one; it says which, and what to do.
        """
        check_folder(self.path)
        check_lock(self.path)
        again = f"put the file back, or remove {self.path} and the cell is trained again"
        for path in (self.log, self.weights, self.manifest):
            check_file(path, again)
        others = (self.checkpoint, self.result, self.diverged, self.failed, self.arriving)
        for path in (self.spec, *others):
            check_file(path)
        for path in self.path.glob("spectra-*.json"):
            check_file(path)
        for name, pattern in _PARTS:
            check_folder(self.path / name)
            for path in (self.path / name).glob(pattern):
                check_file(path)

    def remove_temporaries(self) -> None:
        """Remove what processes that were killed while writing have left; hold the lock."""
        own = (self.spec, self.log, self.checkpoint, self.weights, self.result, self.manifest,
               self.diverged, self.failed, self.arriving)  # fmt: skip
        remove_temporaries(self.path, [*(path.name for path in own), "spectra-*.json"])
        for name, pattern in _PARTS:
            remove_temporaries(self.path / name, [pattern])


class Lockable(Protocol):
    """A folder of which one process at a time is the writer."""

    @property
    def path(self) -> Path:
        """The folder."""

    def remove_temporaries(self) -> None:
        """Remove what processes that were killed while writing have left; hold the lock."""


@dataclass(frozen=True)
class RunStore:
    """All cells in one folder.

    Attributes:
        root: the folder.
        held: whether the locks of the cells are held already: by the process that handed this one
            its work, and waits for it.
    """

    root: Path
    held: bool = False

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

    def check(self, cells: Iterable[Cell | ExternalCell]) -> None:
        """Refuse what is in the place of the files and folders of cells, before any work is done.

        Raises:
            UserError: if there is something; see :meth:`CellFolder.check_kinds`.
        """
        check_folder(self.root)
        for cell in cells:
            CellFolder(self.root / cell.key).check_kinds()

    @contextmanager
    def lock(self, folder: Lockable) -> Iterator[None]:
        """Keep other robench processes out of a cell; those of the same process share the lock.

        What processes that were killed while writing have left in the cell is removed.

        Raises:
            HeldError: if another process holds it.
            UserError: if the folder cannot be written.
        """
        if self.held:
            yield
            return
        with sole_writer(folder.path, "is at work in"):
            folder.remove_temporaries()
            yield
