"""The folder of a trained GAN: its files, and how they are read."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field, ValidationError
from torch import nn

from robench.board.cells import HASH
from robench.board.specs import Spec
from robench.errors import UserError, shortened
from robench.gan.architectures import architecture
from robench.gan.spec import GanCell
from robench.models.checkpoint import load_weights
from robench.system.files import remove_temporaries
from robench.system.json_files import read_json
from robench.system.provenance import file_hash
from robench.training.folder import TrainingFolder
from robench.wrong_values import what_to_write

METRICS = "metrics"
"""The folder of a GAN's metrics, in its own."""

WEIGHTS = {"last": "generator.safetensors", "ema": "generator_ema.safetensors"}
"""Which weights of the generator -> the name of their file."""

PICTURES = {"last": "samples.png", "ema": "samples_ema.png"}
"""Which weights of the generator -> the name of the grid of their samples."""


class GanManifest(Spec):
    """The provenance of a GAN. It contains nothing private.

    Attributes:
        specification: the key of the cell.
        version: the code that trained it.
        environment: versions and type of machine.
        data_hash: the fingerprint of the images.
        training_seconds: how long training took.
        peak_memory_mib: the peak memory.
        hashes: sha256 of the files of weights, of the log and of grids of samples, by name.
        symptoms: what is wrong with it, see :func:`robench.gan.symptoms.symptoms`.
    """

    specification: str
    version: str
    environment: dict[str, str]
    data_hash: str = Field(pattern=HASH)
    training_seconds: float
    peak_memory_mib: int
    hashes: dict[str, Annotated[str, Field(pattern=HASH)]]
    symptoms: dict[str, str]


@dataclass(frozen=True)
class GanFolder(TrainingFolder):
    """The files of one GAN."""

    @property
    def discriminator(self) -> Path:
        """The last weights of the discriminator, with its defense."""
        return self.path / "discriminator.safetensors"

    @property
    def finished(self) -> bool:
        """Whether training has ended, with weights or without."""
        return self.manifest.exists() or self.diverged.exists()

    @property
    def snapshots(self) -> Path:
        """The folder of the generators that were kept on the way."""
        return self.path / "snapshots"

    def weights(self, which: str | int) -> Path:
        """Return the file of the generator's weights: ``last``, ``ema``, or after some steps."""
        if isinstance(which, int):
            return self.snapshots / f"generator-{which:07}.safetensors"
        return self.path / WEIGHTS[which]

    def picture(self, which: str) -> Path:
        """Return the file of a grid of samples, by ``last`` or ``ema`` weights."""
        return self.path / PICTURES[which]

    def remove_temporaries(self) -> None:
        """Remove what processes that were killed while writing have left; hold the lock."""
        remove_temporaries(self.path, ["*.json", "*.csv", "*.pt", "*.safetensors", "*.png"])
        remove_temporaries(self.snapshots, ["*.safetensors"])
        remove_temporaries(self.path / METRICS, ["*.json"])


def read_cell(path: Path) -> tuple[GanFolder, GanCell]:
    """Return a GAN's folder and its specification.

    Args:
        path: the folder, or a file in it.

    Raises:
        UserError: if it is not the folder of a GAN, is damaged, or its training has not ended or
            diverged.
    """
    folder = GanFolder(path if path.is_dir() else path.parent)
    if not folder.spec.is_file():
        raise UserError(f"no GAN found at {path}; name a folder that 'robench gan train' wrote.")
    try:
        cell = GanCell.model_validate(read_json(folder.spec))
    except ValidationError as error:
        raise UserError(
            f"{folder.spec} is not the specification of a GAN ({_first(error)})."
        ) from None
    if folder.diverged.exists():
        raise UserError(f"{folder.path}: the training diverged, so there are no weights.")
    if not folder.manifest.exists():
        raise UserError(f"{folder.path}: the training has not ended; give its command again.")
    return folder, cell


def read_divergence(folder: GanFolder) -> tuple[str, str]:
    """Return why a training ended without finite weights, and the code of it.

    Raises:
        UserError: if the note is damaged.
    """
    note = read_json(folder.diverged)
    if not isinstance(note, dict) or not {"reason", "version"} <= note.keys():
        raise UserError(f"{folder.diverged} is damaged; remove it, and run the training again.")
    return str(note["reason"]), str(note["version"])


def load_generator(folder: GanFolder, cell: GanCell, which: str | int = "last") -> nn.Module:
    """Return the trained generator, in eval mode on the CPU.

    Args:
        folder: the folder of the GAN.
        cell: its specification.
        which: ``last``, ``ema``, or one of the recipe's ``snapshot_steps``.

    Raises:
        UserError: if there is no average, or the weights are not those that were trained.
    """
    path = folder.weights(which)
    if which == "ema" and not cell.gan.averaging:
        raise UserError(
            f"{folder.path} has no averaged weights; it was trained without 'averaging'."
        )
    manifest = read_manifest(folder)
    if file_hash(path) != manifest.hashes.get(path.name) or manifest.specification != cell.key:
        raise UserError(
            f"{path} does not hold the weights that {folder.manifest.name} describes: it was "
            f"changed after it was written; put it back, or remove the folder and train again."
        )
    pair = architecture(cell.gan.architecture)
    with torch.random.fork_rng(devices=[]):
        generator = pair.generator(cell.gan.width, cell.gan.latent)
    return load_weights(path, generator).eval()


def read_manifest(folder: GanFolder) -> GanManifest:
    """Read the manifest of a GAN.

    Raises:
        UserError: if it is missing or damaged.
    """
    try:
        return GanManifest.model_validate(read_json(folder.manifest))
    except ValidationError as error:
        raise UserError(f"{folder.manifest} is damaged ({_first(error)}).") from None


def _first(error: ValidationError) -> str:
    """Return the first of what is wrong with a file."""
    first = error.errors(include_url=False)[0]
    said = what_to_write(first).rstrip(".")
    return f"{shortened('.'.join(map(str, first['loc'])))}: {said}"
