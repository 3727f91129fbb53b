"""Run a board of GANs: train what is not trained, measure what is not measured."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import nn

from robench.data import DataSet, load_dataset
from robench.errors import UserError
from robench.gan.batches import Batches, training_images
from robench.gan.board import GanBoard, GanRow
from robench.gan.cell import build_pair, cell_of, train_gan_cell
from robench.gan.defended import written_out
from robench.gan.folder import GanFolder, GanManifest, load_generator, read_manifest
from robench.gan.measured import (
    Measured,
    Measurement,
    Measurer,
    compared_images,
    metrics_file,
    read_measured,
)
from robench.gan.metrics.extractors import extractor, resolved
from robench.gan.spec import GanCell
from robench.runs.failures import Failure, check_failures
from robench.runs.progress import NullReporter, ProgressReporter
from robench.system.files import write_json
from robench.system.json_files import read_json
from robench.system.provenance import code_version, environment

STORE, FEATURES = "gans", "gan-features"
"""The folders of trained GANs and of kept features of images, below that of the runs."""


@dataclass(frozen=True)
class GanWork:
    """A GAN of a board.

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
        return f"{self.row.title}, seed {self.cell.seed}"


@dataclass(frozen=True)
class GanResult:
    """A GAN that is done.

    Attributes:
        work: the GAN.
        manifest: its provenance; None if training diverged.
        diverged: why training diverged; else empty.
        diverged_version: the code that it diverged with; else empty.
        measured: the metrics of its generator, then of those that were kept on the way.
    """

    work: GanWork
    manifest: GanManifest | None
    diverged: str
    diverged_version: str
    measured: tuple[Measured, ...]


@dataclass(frozen=True)
class GanBoardResult:
    """A finished board of GANs.

    Attributes:
        board: the specification.
        dataset: the name of the data set in tables, never a path.
        extractor: what distances are called after.
        results: its GANs, by row and seed.
    """

    board: GanBoard
    dataset: str
    extractor: str
    results: tuple[GanResult, ...]


def run_gan_board(
    board: GanBoard,
    *,
    out: Path,
    data_dir: Path | None = None,
    device: torch.device | None = None,
    inception: Path | None = None,
    reporter: ProgressReporter | None = None,
) -> GanBoardResult:
    """Train and measure the GANs of a board; what is stored in ``out`` is not computed again.

    Args:
        board: the specification.
        out: the folder of the run store.
        data_dir: the folder where the data set is or is downloaded to.
        device: the device to run on; the CPU by default.
        inception: the file of Inception's weights, if the board needs them.
        reporter: called with the progress of the run.

    Raises:
        UserError: if the board does not fit the data, before any work is done; or results cannot
            be written. If a GAN fails, the others are finished first.
    """
    device, reporter = device or torch.device("cpu"), reporter or NullReporter()
    called, source = resolved(board.measure.extractor, [out])
    dataset = load_dataset(board.data.name, data_dir)
    work = planned_gans(board, dataset, out)
    check_fits(board, dataset, work)
    load = partial(extractor, source, device, inception)
    measurer = Measurer(dataset, load, called, out / FEATURES, device, reporter.update)
    if any(not is_done(each, board, dataset, called) for each in work):
        measurer.network  # noqa: B018 - says that a package or weights are missing before training
    failures, results = [], []
    for each in work:
        try:
            results.append(_finished(each, board, measurer, reporter))
        except Exception as error:  # whatever an entry raises stops no other GAN
            failures.append(Failure(each.name, error))
    check_failures(failures)
    return GanBoardResult(board, work[0].cell.data, called, tuple(results))


def planned_gans(board: GanBoard, dataset: DataSet, out: Path) -> list[GanWork]:
    """Return the GANs of a board, row by row; rows that differ in ``weights`` share theirs.

    Raises:
        UserError: if there are no training images that a GAN takes, or a name is unknown.
    """
    training_images(dataset)  # says that they do not fit before they are hashed
    work = []
    for row in board.rows:
        defense, recipe = written_out(row.defense), board.recipe_of(row)
        for seed in board.seeds:
            cell = cell_of(defense, board.data.name, dataset, recipe, seed)
            work.append(GanWork(row, cell, GanFolder(out / STORE / cell.key)))
    return work


def check_fits(board: GanBoard, dataset: DataSet, work: list[GanWork]) -> None:
    """Build every pair of networks once, and count the images, before any work is done.

    Raises:
        UserError: if a defense does not fit, or there are fewer images than the board asks for.
    """
    images = training_images(dataset).images
    for each in {each.row.title: each for each in work}.values():
        Batches(images, each.cell.gan.batch_size, 0, torch.device("cpu"))
        try:
            build_pair(each.cell)
        except UserError as error:
            raise UserError(f"the row '{each.row.title}': {error}") from None
    for protocol in board.measure.protocols:
        here = len(compared_images(dataset, protocol.against, None))
        if (protocol.images or 2) > here:
            raise UserError(
                f"the board compares with {protocol.images} {protocol.against} images, but "
                f"{dataset.name} has {here}; lower measure.protocols.images."
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


def sizes_of(dataset: DataSet) -> dict[str, int]:
    """Return how many images each part of a data set has."""
    return {part: len(compared_images(dataset, part, None)) for part in ("train", "test")}


def is_done(work: GanWork, board: GanBoard, dataset: DataSet, extractor: str) -> bool:
    """Return whether nothing is left to compute of a GAN.

    Raises:
        UserError: if its manifest is damaged.
    """
    if work.folder.diverged.exists():
        return True
    if not work.folder.manifest.exists():
        return False
    hashes = read_manifest(work.folder).hashes
    wanted = measurements(board, work.row, work.cell, extractor, sizes_of(dataset), hashes)
    return all(metrics_file(work.folder.path, each).exists() for each in wanted)


def _finished(
    work: GanWork, board: GanBoard, measurer: Measurer, reporter: ProgressReporter
) -> GanResult:
    """Train and measure a GAN."""
    folder, cell = work.folder, work.cell
    if not folder.finished:
        reporter.stage(work.name, "training")
    train_gan_cell(cell, measurer.dataset, folder, measurer.device, reporter.update)
    if folder.diverged.exists():
        reporter.stage(work.name, "diverged")
        note = read_json(folder.diverged)
        return GanResult(work, None, str(note["reason"]), str(note["version"]), ())
    manifest = read_manifest(folder)
    sizes = sizes_of(measurer.dataset)
    wanted = list(measurements(board, work.row, cell, measurer.name, sizes, manifest.hashes))
    missing = [each for each in wanted if not metrics_file(folder.path, each).exists()]
    if missing:
        reporter.stage(work.name, "measuring")
    for each in missing:
        _measure(work, each, measurer)
    found = [read_measured(metrics_file(folder.path, each), each) for each in wanted]
    reporter.stage(work.name, "stored")
    return GanResult(work, manifest, "", "", tuple(found))


def _measure(work: GanWork, wanted: Measurement, measurer: Measurer) -> None:
    """Measure a generator and store the metrics."""
    metrics = measurer.metrics(_generator(work, wanted), work.cell.gan.latent, wanted)
    measured = Measured(
        measurement=wanted,
        metrics=metrics,
        version=code_version(),
        device=environment(measurer.device)["device"],
    )
    write_json(metrics_file(work.folder.path, wanted), measured.model_dump(mode="json"))


def _generator(work: GanWork, wanted: Measurement) -> nn.Module:
    last = wanted.step == work.cell.gan.steps
    return load_generator(work.folder, work.cell, wanted.which if last else wanted.step)
