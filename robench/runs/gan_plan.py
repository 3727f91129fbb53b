"""The GANs of a board: what is trained, what is measured of each, and what is there already."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from robench.data import DataSet, load_dataset
from robench.errors import UserError
from robench.gan.batches import Batches, training_images
from robench.gan.board import GanBoard, GanRow
from robench.gan.cell import build_pair, cell_of
from robench.gan.defended import written_out
from robench.gan.folder import GanFolder, read_manifest
from robench.gan.measured import Measurement, compared_images, metrics_file, read_measured
from robench.gan.metrics.extractors import EXTRACTORS, Extractor, extractor, resolved
from robench.gan.spec import GanCell
from robench.runs.context import cell_title

STORE = "gans"
"""The folder of trained GANs, below that of the runs."""


@dataclass(frozen=True)
class GanWork:
    """A GAN of a row.

    Attributes:
        row: the row that it belongs to.
        cell: its specification.
        folder: where it is, or will be.
    """

    row: GanRow
    cell: GanCell
    folder: GanFolder

    @property
    def name(self) -> str:
        """What progress reports call it."""
        return cell_title(self.row.title, self.cell.seed)


@dataclass(frozen=True)
class Features:
    """Where the network of the features is; it travels to other processes by pickle.

    Attributes:
        name: what distances in its features are called after.
        source: what :func:`robench.gan.metrics.extractors.extractor` takes.
        inception: the file of Inception's weights, if the board needs them; None downloads them.
    """

    name: str
    source: str
    inception: Path | None = None

    def load(self, device: torch.device) -> Extractor:
        """Return the network.

        Raises:
            UserError: if a package or weights are missing.
        """
        return extractor(self.source, device, self.inception)


@dataclass(frozen=True, eq=False)
class GanPlan:
    """A board of GANs, resolved once.

    Attributes:
        board: the specification.
        dataset: its images.
        features: the network of the features.
        work: its GANs, row by row; rows that differ in ``weights`` share theirs.
    """

    board: GanBoard
    dataset: DataSet
    features: Features
    work: tuple[GanWork, ...]

    @cached_property
    def sizes(self) -> dict[str, int]:
        """How many images each part of the data set has."""
        return {part: len(compared_images(self.dataset, part, None)) for part in ("train", "test")}

    def measurements(self, work: GanWork) -> list[Measurement]:
        """Return what is measured of a trained GAN for its row.

        Raises:
            UserError: if its manifest is damaged.
        """
        hashes = read_manifest(work.folder).hashes
        return [*measurements(self.board, work.row, work.cell, self.features.name, self.sizes,
                              hashes)]  # fmt: skip

    def missing(self, work: GanWork) -> list[Measurement]:
        """Return those of :meth:`measurements` that are not in the store.

        Raises:
            UserError: if the manifest of the GAN, or metrics of it, are damaged.
        """
        missing = []
        for each in self.measurements(work):
            path = metrics_file(work.folder.path, each)
            if path.exists():
                read_measured(path, each)  # says that it is damaged
            else:
                missing.append(each)
        return missing

    def is_done(self, work: GanWork) -> bool:
        """Return whether nothing is left to compute of a GAN.

        Raises:
            UserError: if what is stored of it is damaged.
        """
        if not work.folder.finished:
            return False
        return work.folder.diverged.exists() or not self.missing(work)


def plan_gans(
    board: GanBoard, out: Path, data_dir: Path | None = None, inception: Path | None = None
) -> GanPlan:
    """Resolve a board of GANs; nothing is written.

    Args:
        board: the specification.
        out: the folder of the run store.
        data_dir: the folder where the data set is or is downloaded to.
        inception: the file of Inception's weights.

    Raises:
        UserError: if the data cannot be read, there are no training images that a GAN takes, or a
            name is unknown.
    """
    called, source = resolved(board.measure.extractor, [out])
    if source not in EXTRACTORS:
        source = str(Path(source).absolute())
    dataset = load_dataset(board.data.name, data_dir)
    training_images(dataset)  # says that they do not fit before they are hashed
    work = []
    for row in board.rows:
        defense, recipe = written_out(row.defense), board.recipe_of(row)
        for seed in board.seeds:
            cell = cell_of(defense, board.data.name, dataset, recipe, seed)
            work.append(GanWork(row, cell, GanFolder(out / STORE / cell.key)))
    features = Features(called, source, inception and inception.absolute())
    return GanPlan(board, dataset, features, tuple(work))


def check_fits(plan: GanPlan) -> None:
    """Build every pair of networks once, and count the images, before any work is done.

    Raises:
        UserError: if a defense does not fit, or there are fewer images than the board asks for.
    """
    images = training_images(plan.dataset).images
    for each in {each.row.title: each for each in plan.work}.values():
        Batches(images, each.cell.gan.batch_size, 0, torch.device("cpu"))
        try:
            build_pair(each.cell)
        except UserError as error:
            raise UserError(f"the row '{each.row.title}': {error}") from None
    for protocol in plan.board.measure.protocols:
        here = plan.sizes[protocol.against]
        if (protocol.images or 2) > here:
            raise UserError(
                f"the board compares with {protocol.images} {protocol.against} images, but "
                f"{plan.dataset.name} has {here}; lower measure.protocols.images."
            )


def measurements(
    board: GanBoard, row: GanRow, cell: GanCell, extractor: str, sizes: dict[str, int],
    hashes: dict[str, str],
) -> Iterator[Measurement]:  # fmt: skip
    """Yield what is measured of a GAN: its generator by each protocol, then those on the way.

    Args:
        board: the board.
        row: the row of the GAN.
        cell: its specification.
        extractor: what distances are called after.
        sizes: how many images each part of the data set has.
        hashes: sha256 of the files of weights by name, as the manifest has them.

    Raises:
        UserError: if one of them is not there.
    """
    measure = board.measure
    wanted = [(protocol, None) for protocol in measure.protocols]
    steps = cell.gan.snapshot_steps if measure.snapshots else ()
    for protocol, step in [*wanted, *((measure.protocols[0], step) for step in steps)]:
        name = GanFolder(Path()).weights(row.weights if step is None else step).name
        there = sizes[protocol.against]
        if name not in hashes:
            raise UserError(
                f"the manifest of '{row.title}', seed {cell.seed}, has no hash of {name}."
            )
        yield Measurement(
            extractor=extractor,
            data_hash=cell.data_hash,
            against=protocol.against,
            images=min(protocol.images or there, there),
            samples=protocol.samples,
            seed=measure.seed,
            weights=hashes[name],
            which=row.weights if step is None else "last",
            step=cell.gan.steps if step is None else step,
        )
