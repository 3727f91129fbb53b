"""The files that a training of any kind has in its folder of the store."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class TrainingFolder:
    """The folder of one training; what it makes depends on the kind."""

    path: Path

    @property
    def spec(self) -> Path:
        """The specification, as hashed."""
        return self.path / "spec.json"

    @property
    def log(self) -> Path:
        """The log of the training."""
        return self.path / "training.csv"

    @property
    def checkpoint(self) -> Path:
        """The state, while training is in progress."""
        return self.path / "checkpoint.pt"

    @property
    def manifest(self) -> Path:
        """Versions, hashes, device, times."""
        return self.path / "manifest.json"

    @property
    def diverged(self) -> Path:
        """The note that training ended without finite weights, and when; absent otherwise."""
        return self.path / "diverged.json"
