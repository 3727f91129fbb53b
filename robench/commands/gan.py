"""``robench gan``: train GANs whose discriminator carries a defense, sample and measure them."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from pydantic import ValidationError

from robench.board.explain import explain
from robench.data import DataSet, load_dataset
from robench.errors import RobenchWarning, UserError
from robench.gan.batches import training_images
from robench.gan.board import SPLITS
from robench.gan.cell import cell_of, train_gan_cell
from robench.gan.defended import written_out
from robench.gan.folder import GanFolder, load_generator, read_cell, read_manifest
from robench.gan.measured import compared_images
from robench.gan.metrics.extractors import INCEPTION, extractor
from robench.gan.metrics.measure import metrics
from robench.gan.sampling import draw, grid_png, png
from robench.gan.spec import GanCell, GanSpec
from robench.progress import ProgressCallback, ignore_progress
from robench.system.files import write_bytes
from robench.system.toml_files import parse_toml

STORE = "gans"
"""The folder of trained GANs, beside that of classifiers, which other commands take whole."""


def spec_of(changes: Sequence[str]) -> GanSpec:
    """Return the recipe with changes such as ``steps=300``.

    Raises:
        UserError: for an unknown key or a wrong value.
    """
    values = {}
    for change in changes:
        key, equals, text = change.partition("=")
        if not equals:
            raise UserError(f"--set '{change}': write key=value, e.g. steps=300.")
        try:
            values[key.strip()] = parse_toml(f"value = {text}")["value"]
        except ValueError:
            values[key.strip()] = text.strip()  # a bare word is a string
    try:
        return GanSpec.model_validate(values)
    except ValidationError as error:
        raise UserError(f"--set: {explain(error, GanSpec)}") from None


@dataclass(frozen=True)
class Source:
    """Where images are.

    Attributes:
        data: the name of a data set; None for the one that was used in training.
        data_dir: the folder where it is.
    """

    data: str | None = None
    data_dir: Path | None = None

    def load(self, usual: str) -> DataSet:
        """Return the data set, or the one called ``usual`` if none is named."""
        return load_dataset(self.data or usual, self.data_dir)


def train_gan(
    defense: str,
    source: Source,
    spec: GanSpec,
    *,
    seed: int = 0,
    out: Path = Path("runs"),
    device: torch.device,
    progress: ProgressCallback = ignore_progress,
) -> GanFolder:
    """Train a GAN whose discriminator carries a defense, unless it is trained.

    Args:
        defense: its name with options.
        source: the data set, of which the training images are used; by default cifar10.
        spec: networks and recipe.
        seed: the seed of weights, order, noise and latent vectors.
        out: the folder of the store.
        device: the device to train on.
        progress: called a few times per second.

    Returns:
        Its folder, with ``diverged.json`` if training diverged.

    Raises:
        UserError: if a name is unknown, or images, defense or folder do not fit.
    """
    named = written_out(defense)
    data = source.data or "cifar10"
    dataset = source.load(data)
    training_images(dataset)  # says that they do not fit before they are hashed
    cell = cell_of(named, data, dataset, spec, seed)
    folder = GanFolder(out / STORE / cell.key)
    train_gan_cell(cell, dataset, folder, device, progress)
    return folder


def sample_gan(
    path: Path, count: int, out: Path, *, seed: int, which: str, device: torch.device
) -> None:
    """Write samples of a trained GAN: a grid if ``out`` ends in ``.png``, else a folder of files.

    Args:
        path: the folder of the GAN.
        count: how many samples.
        out: the file or folder.
        seed: the seed of the latent vectors.
        which: the weights of the generator, ``last`` or ``ema``.
        device: where it computes.

    Raises:
        UserError: if it is not a trained GAN, the folder has other samples, or the files cannot be
            written.
    """
    folder, cell = read_cell(path)
    if out.suffix != ".png" and (others := sorted(out.glob("[0-9]*.png"))):
        raise UserError(
            f"{out} has samples already, such as {others[0].name}; remove them, or name another "
            f"folder with --out."
        )
    generator = load_generator(folder, cell, which).to(device)
    samples = draw(generator, cell.gan.latent, count, seed)
    if out.suffix == ".png":
        write_bytes(out, grid_png(samples))
        return
    digits = max(5, len(str(count - 1)))
    for number, sample in enumerate(samples):
        write_bytes(out / f"{number:0{digits}}.png", png(sample))


@dataclass(frozen=True)
class Protocol:
    """What samples are compared with.

    Attributes:
        samples: how many samples are drawn.
        part: ``train`` or ``test`` images.
        images: a class-balanced sample of so many of them; None for all.
        seed: the seed of the latent vectors.
        weights: those of the generator, ``last`` or ``ema``.
        snapshots: whether the generators that were kept on the way are measured, too.
    """

    samples: int
    part: str
    images: int | None = None
    seed: int = 0
    weights: str = "last"
    snapshots: bool = False

    def facts(self) -> dict[str, object]:
        """Return what a row says of it, besides the images and the weights."""
        return {"samples": self.samples, "part": self.part, "seed": self.seed}


def measure_gans(
    paths: Sequence[Path],
    features: str,
    protocol: Protocol,
    source: Source,
    *,
    inception: Path | None = None,
    device: torch.device,
    progress: ProgressCallback = ignore_progress,
) -> pd.DataFrame:
    """Return the metrics of trained GANs, a row for each generator, and what they are about.

    Args:
        paths: their folders; all were trained on the same images.
        features: see :func:`robench.gan.metrics.extractors.extractor`.
        protocol: what samples are compared with.
        source: the images, which are those that they were trained on.
        inception: the file of Inception's weights.
        device: where it computes.
        progress: called with the images that are done.

    Raises:
        UserError: if a folder is not that of a GAN, the images are others than it was trained on,
            or a package is missing.
    """
    cells = [read_cell(path) for path in paths]
    if features == INCEPTION and protocol.samples < SPLITS:
        raise UserError(
            f"--samples is {protocol.samples}, and the inception score needs {SPLITS} or more."
        )
    for folder, cell in cells:  # says what is damaged before anything is computed
        for which in _measured(cell, protocol):
            load_generator(folder, cell, which)
    dataset = source.load(cells[0][1].data)
    for folder, cell in cells:
        if cell.data_hash != dataset.fingerprint:
            raise UserError(
                f"{folder.path} was trained on other images than those of {dataset.name}; name its "
                f"data with --data or --data-dir."
            )
    network = extractor(features, device, inception)
    images = compared_images(dataset, protocol.part, protocol.images)
    made = network.features(images.images, progress, f"{protocol.part} images")
    rows = []
    for folder, cell in cells:
        for sentence in read_manifest(folder).symptoms.values():
            warnings.warn(f"{folder.path}: {sentence}.", RobenchWarning, stacklevel=2)
        for which in _measured(cell, protocol):
            generator = load_generator(folder, cell, which).to(device)
            samples = draw(generator, cell.gan.latent, protocol.samples, protocol.seed)
            found = network.features(samples, progress, folder.path.name)
            facts = protocol.facts() | {"images": len(images)} | _row(folder, cell, which)
            rows.append({**facts, **metrics(network, found, made)})
    return pd.DataFrame(rows)


def _measured(cell: GanCell, protocol: Protocol) -> list[str | int]:
    """Return which of a GAN's generators are measured."""
    return [*(cell.gan.snapshot_steps if protocol.snapshots else ()), protocol.weights]


def _row(folder: GanFolder, cell: GanCell, which: str | int) -> dict[str, object]:
    """Return what a row says of its GAN."""
    return {
        "gan": folder.path.name,
        "defense": cell.defense,
        "training_seed": cell.seed,
        "weights": which if isinstance(which, str) else "last",
        "step": cell.gan.steps if isinstance(which, str) else which,
    }
