"""Draw samples of published generators again, and measure them again."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypedDict

import pandas as pd
import torch
from PIL import Image
from torch import nn

from robench.data import DataSet
from robench.errors import UserError, shortened
from robench.gan.architectures import architecture
from robench.gan.cell import PICTURED
from robench.gan.folder import WEIGHTS
from robench.gan.measured import Measurer, compared_images
from robench.gan.metrics.extractors import extractor, resolved
from robench.gan.sampling import draw, grid_png
from robench.gan.spec import GanCell
from robench.leaderboard.evidence import WEIGHTS_BYTES
from robench.leaderboard.gans.files import GanEvidence, samples_name, weights_name
from robench.leaderboard.gans.grids import exact_grid, pixels, same_grid
from robench.leaderboard.gans.headers import header_problem
from robench.leaderboard.gans.published import GanLeaderboard
from robench.models.checkpoint import load_weights
from robench.progress import ProgressCallback, ignore_progress
from robench.runs.gan_plan import STORE
from robench.system.reading import MIB, Refused, read_bytes, sha256_of

RELATIVE, ABSOLUTE = 0.01, 2e-4
"""By how much a figure that is computed again may differ: another machine rounds otherwise, and a
value of a pixel may then be cut to the next one. A kernel distance may be nearly 0."""

EXACT_RELATIVE, EXACT_ABSOLUTE = 2e-4, 2e-5
"""Likewise if this machine computes as the other one did, which rounds nothing otherwise: its grid
is equal, or most figures agree to :data:`DIGITS`. Else a row could be 1% better than it is."""

DIGITS = 1e-5
"""Relative difference of two figures that agree in every digit that is printed."""

_PICTURE_BYTES = 16 * MIB


class Figure(TypedDict):
    """A figure that was computed again; exact if this machine drew the published grid."""

    defense: str
    seed: int
    column: str
    published: float
    found: float
    exact: bool


@dataclass(frozen=True, eq=False)
class Redrawn:
    """What was drawn and measured again.

    Attributes:
        problems: what is wrong, one sentence each.
        notes: what could not be done, one sentence each.
        figures: one row per figure: defense, seed, column, published, found,
            and whether this machine drew the published grid.
        drawn: the number of generators whose grids were drawn again.
        rows: the titles of their rows.
    """

    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    figures: pd.DataFrame = field(default_factory=pd.DataFrame)
    drawn: int = 0
    rows: tuple[str, ...] = ()


@dataclass(frozen=True)
class RedrawOptions:
    """What is needed to measure again.

    Attributes:
        stores: folders that runs wrote, for weights that the board does not publish.
        load: returns the data set.
        inception: the file of Inception's weights.
        device: where it computes.
        progress: called with the images that are done.
    """

    stores: Sequence[Path]
    load: Callable[[], DataSet]
    inception: Path | None
    device: torch.device
    progress: ProgressCallback = ignore_progress


def rows_with_generators(board: GanLeaderboard, stores: Sequence[Path]) -> list[str]:
    """Return the titles of the rows of which all generators are here."""
    missing = {
        one.file.row
        for one in board.evidence
        if one.file.manifest is None or _weights_of(board, one, stores) is None
    }
    return [title for title in board.board.titles if title not in missing]


def redraw(board: GanLeaderboard, titles: Sequence[str], options: RedrawOptions) -> Redrawn:
    """Draw the grids of rows again from weights and seed, and compute their metrics again.

    Args:
        board: a board whose files were found to agree.
        titles: the rows.
        options: what is needed for it.

    Raises:
        UserError: if the images are others than those of the board.
    """
    problems: list[str] = []
    notes: list[str] = []
    figures: list[Figure] = []
    drawn = 0
    titles_drawn: list[str] = []
    measurer = _measurer(board, options, notes) if titles else None
    for one in board.evidence:
        if one.file.row not in titles or one.file.manifest is None:
            continue
        path = _weights_of(board, one, options.stores)
        if path is None:
            notes.append(f"the weights of {one.name} are not here.")
            continue
        try:
            generator = load_published(path, one.file.cell).to(options.device)
        except UserError as error:
            problems.append(str(error))
            continue
        drawn += 1
        wrong, exact = _grid(board, one, generator)
        problems += wrong
        titles_drawn.append(one.file.row)
        if measurer is not None:
            problems += _too_few(board, one, measurer)
            figures += _figures(board, one, generator, measurer, exact=exact)
    problems += _disagreeing(figures)
    rows = tuple(dict.fromkeys(titles_drawn))
    return Redrawn(tuple(problems), tuple(notes), pd.DataFrame(figures), drawn, rows)


def load_published(path: Path, cell: GanCell) -> nn.Module:
    """Return the generator of a file that a stranger may have written, in eval mode on the CPU.

    Raises:
        UserError: if the file is damaged, of another GAN, or far smaller than the network that it
            should hold.
    """
    if problem := header_problem(path, cell):
        raise UserError(f"{path}: {problem}.")
    pair = architecture(cell.gan.architecture)
    with torch.device("meta"):
        size = sum(
            p.numel() * p.element_size()
            for p in pair.generator(cell.gan.width, cell.gan.latent).parameters()
        )
    if size > path.stat().st_size:
        raise UserError(f"{path} is too small for the generator of its specification.")
    with torch.random.fork_rng(devices=[]):
        generator = pair.generator(cell.gan.width, cell.gan.latent)
    return load_weights(path, generator).eval()


def _weights_of(board: GanLeaderboard, one: GanEvidence, stores: Sequence[Path]) -> Path | None:
    """Return the file of the weights that a row measures, in the folder or a store."""
    assert one.file.manifest is not None
    which, key = one.which(board.board), one.file.cell.key
    digest = one.file.manifest.hashes.get(WEIGHTS[which])
    published = weights_name(key, which)
    places = [board.folder / published] if published in board.sums else []
    places += [store / STORE / key / WEIGHTS[which] for store in stores]
    for place in places:
        try:
            if sha256_of(place, longest=WEIGHTS_BYTES) == digest:
                return place
        except Refused:
            continue
    return None


def _measurer(board: GanLeaderboard, options: RedrawOptions, notes: list[str]) -> Measurer | None:
    """Return what measures again; None, with a note, if images or extractor are not here."""
    try:
        called, source = resolved(board.extractor, options.stores)
        dataset = options.load()
        load = partial(extractor, source, options.device, options.inception)
        measurer = Measurer(dataset, load, called, None, options.device, options.progress)
        measurer.network  # noqa: B018 - says that it cannot be loaded
    except UserError as error:
        notes.append(f"metrics were not computed again: {error}")
        return None
    if dataset.fingerprint != board.evidence[0].file.cell.data_hash:
        raise UserError(
            f"{board.name} was measured on other images than those of {dataset.name}; name its "
            f"data with --data or --data-dir."
        )
    return measurer


def _grid(board: GanLeaderboard, one: GanEvidence, generator: nn.Module) -> tuple[list[str], bool]:
    """Return why the published grid is not that of the weights, and whether it is equal to it."""
    name = samples_name(one.name)
    made = grid_png(draw(generator, one.file.cell.gan.latent, PICTURED, seed=0))
    try:
        found = pixels(read_bytes(board.folder / name, longest=_PICTURE_BYTES, inside=board.folder))
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        return [f"{name} is not a picture ({shortened(error)})."], False
    expected = pixels(made)
    if not same_grid(found, expected):
        return [f"{name} does not show the samples of its weights."], False
    return [], exact_grid(found, expected)


def _too_few(board: GanLeaderboard, one: GanEvidence, measurer: Measurer) -> Iterator[str]:
    """Yield where a figure is against other images than the board asks for."""
    for protocol, measured in zip(board.board.measure.protocols, one.file.measured, strict=False):
        part = measurer.dataset.train if protocol.against == "train" else measurer.dataset.test
        wanted = min(protocol.images or len(part), len(part))
        if measured.measurement.images != wanted:
            yield (
                f"{one.name}: it was compared with {measured.measurement.images} images, and the "
                f"board asks for {wanted}."
            )


def _figures(
    board: GanLeaderboard,
    one: GanEvidence,
    generator: nn.Module,
    measurer: Measurer,
    *,
    exact: bool,
) -> list[Figure]:
    """Return the figures of a generator, published and found."""
    rows: list[Figure] = []
    protocols = board.board.measure.protocols
    for protocol, measured in zip(protocols, one.file.measured, strict=False):
        wanted = measured.measurement
        images = compared_images(measurer.dataset, wanted.against, wanted.images)
        if len(images) != wanted.images:
            raise UserError(f"{measurer.dataset.name} has fewer images than were compared with.")
        found = measurer.metrics(generator, one.file.cell.gan.latent, wanted)
        rows += [
            {
                "defense": one.file.row,
                "seed": one.seed,
                "column": protocol.column(metric),
                "published": measured.metrics[metric],
                "found": value,
                "exact": exact and measured.device.partition(":")[0] == measurer.device.type,
            }
            for metric, value in found.items()
        ]
    return rows


def _disagreeing(figures: Sequence[Figure]) -> Iterator[str]:
    """Yield which figures differ by more than another machine, or the same one, explains."""
    agreeing = sum(_agree(row, DIGITS, 0.0) for row in figures)
    same_machine = 2 * agreeing > len(figures)
    for row in figures:
        near = same_machine or row["exact"]
        if not _agree(row, *((EXACT_RELATIVE, EXACT_ABSOLUTE) if near else (RELATIVE, ABSOLUTE))):
            yield (
                f"{row['defense']}, seed {row['seed']}: {row['column']} is {row['found']:.6g} when "
                f"it is computed again, but {row['published']:.6g} was published."
            )


def _agree(row: Figure, relative: float, absolute: float) -> bool:
    difference = abs(row["found"] - row["published"])
    return difference <= absolute + relative * abs(row["published"])
