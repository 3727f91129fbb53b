"""The audit of a published board of GANs against its own files; no network is run."""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd
import torch

from robench.board.sources import entries_of, other_sources, quoted
from robench.board.titles import mistaken_for
from robench.board.writing import board_text
from robench.errors import UserError, shortened
from robench.gan.architectures import architecture
from robench.gan.defended import written_out
from robench.gan.metrics.measure import every_metric, impossible_metric
from robench.gan.spec import GanCell
from robench.gan.symptoms import symptoms
from robench.gan.training import DIVERGED_BY
from robench.leaderboard.evidence import BOARD, PAGE, SOURCES, SUMS, TOML, broken_sums
from robench.leaderboard.gans.copies import GanCopies, gan_copies
from robench.leaderboard.gans.files import GanEvidence, weights_name
from robench.leaderboard.gans.headers import header_problem
from robench.leaderboard.gans.provenance import gan_provenance
from robench.leaderboard.gans.publish import discriminator_parameters
from robench.leaderboard.gans.published import GanLeaderboard
from robench.leaderboard.gans.shipped import shipped_gan_notes
from robench.leaderboard.gans.table import TEXT, tables_text
from robench.leaderboard.safe_csv import read_safe_csv
from robench.leaderboard.trust import source_problems
from robench.models.complexity import count_parameters
from robench.runs.gan_plan import measurements
from robench.system.reading import DOCUMENT_BYTES, read_text

FOLDERS = ("manifests", "logs", "samples", "weights", SOURCES)
"""The folders of the evidence."""

DIGITS = 1e-5
"""Relative difference by which two figures of six digits may differ: another library may round the
last one otherwise."""

MOST_IMAGES = 2**40
"""More images than any data set has."""

LARGEST = 50_000_000
"""Parameters of the largest pair of networks that is built to count those of the discriminator."""


@dataclass(frozen=True)
class GanAudit:
    """The result of an audit.

    Attributes:
        problems: what is wrong, one sentence each; empty if nothing is.
        copies: the GANs that are one another's; None if they were not compared.
    """

    problems: tuple[str, ...]
    copies: GanCopies | None = None


def gan_problems(board: GanLeaderboard) -> list[str]:
    """Return what is wrong in a published board; see :func:`full_gan_audit`."""
    return list(full_gan_audit(board).problems)


def full_gan_audit(board: GanLeaderboard) -> GanAudit:
    """Compare a published board of GANs with itself.

    Raises:
        UserError: if a file cannot be read.
    """
    found = [
        f"{shortened(name)} is not as published (checksum differs)."
        for name in broken_sums(board.folder, board.sums)
    ]
    if found:
        return GanAudit(tuple(found))  # what is changed would be found again and again below
    found += _odd_files(board)
    found += _names(board)
    found += source_problems(board)
    for one in board.evidence:
        found += [f"{one.name}: {sentence}." for sentence in _gan(board, one)]
    found += [*_board_file(board), *_tables(board)]
    if found:
        return GanAudit(tuple(found))  # what is damaged is not compared
    copies = _copies(board)
    return GanAudit(copies.problems, copies)


def gan_unchecked(board: GanLeaderboard, copies: GanCopies | None = None) -> list[str]:
    """Return what the audit could not check, one sentence each.

    Args:
        board: the board as read.
        copies: the GANs that the audit found to be one another's; looked for if left out.
    """
    beside = [name for name in (PAGE, TOML) if name not in board.sums]
    found = [f"{name}, which has no checksum." for name in beside if (board.folder / name).exists()]
    for row in board.board.rows:
        one = next(one for one in board.evidence if one.file.row == row.title)
        entries = entries_of(one.file.cell.defense, "", "", one.file.cell.data)
        for key in other_sources(one.file.cell.sources, entries):
            found.append(
                f"'{row.title}' was trained with other code of the {quoted(key)} than is here."
            )
        if _counted(one) is None:
            found.append(
                f"the size of the discriminator of '{row.title}': it is too large, or its defense "
                f"is unknown here; load it with --plugin."
            )
    copied = (f"{note}." for note in (copies or _copies(board)).notes)
    return [*found, *shipped_gan_notes(board), *copied]


def _copies(board: GanLeaderboard) -> GanCopies:
    return gan_copies(board, lambda one: _counted(one) is not None)


def _names(board: GanLeaderboard) -> Iterator[str]:
    """Yield which rows have the name of another defense, one sentence each."""
    for title, defense in {one.file.row: one.file.cell.defense for one in board.evidence}.items():
        if other := mistaken_for(title, defense):
            yield f"the row '{title}' is {defense}, but is named like {other}."


def _odd_files(board: GanLeaderboard) -> Iterator[str]:
    """Yield what no published board of GANs has among its evidence."""
    needed = {f"manifests/{one.name}.json" for one in board.evidence}
    for one in board.evidence:
        needed |= one.files(board.board).keys()
    needed |= {BOARD, *board.computed}
    for name in sorted(needed - board.sums.keys()):
        yield f"{shortened(name)} is missing in {SUMS}."
    code = {name for name in board.sums if name.startswith(f"{SOURCES}/")}
    for name in sorted(board.sums.keys() - needed - code - {TOML}):
        yield f"{shortened(name)} is listed in {SUMS}, and belongs to no GAN of the board."
    there = {
        path.relative_to(board.folder).as_posix()
        for folder in FOLDERS
        for path in (board.folder / folder).rglob("*")
        if path.is_symlink() or not path.is_dir()
    }
    for name in sorted(there - board.sums.keys()):
        yield f"{shortened(name)} is not in {SUMS}."


def _gan(board: GanLeaderboard, one: GanEvidence) -> Iterator[str]:
    """Yield what is wrong with a GAN, as the end of a sentence."""
    cell, manifest = one.file.cell, one.file.manifest
    yield from _specification(board, one)
    yield from gan_provenance(one)
    counted = _counted(one)
    if counted is not None and counted != one.file.discriminator_parameters:
        yield f"its discriminator has {counted} parameters, not {one.file.discriminator_parameters}"
    if manifest is None:
        if one.file.measured:
            yield "it diverged, and has metrics all the same"
        if one.file.diverged is not None and not _can_diverge(one.file.diverged.reason, cell):
            yield f"it cannot have diverged as it says: {shortened(one.file.diverged.reason)}"
        return
    if manifest.specification != cell.key:
        yield "its manifest is of another specification"
    if manifest.data_hash != cell.data_hash:
        yield "its manifest names other images than its specification"
    for name, digest in one.files(board.board).items():
        if name in board.sums and board.sums[name] != digest:
            yield f"{name} is not the file that its manifest describes"
    weights = weights_name(cell.key, one.which(board.board))
    if weights in board.sums and (problem := header_problem(board.folder / weights, cell)):
        yield problem
    yield from _log(one)
    yield from _measured(board, one)


def _can_diverge(reason: str, cell: GanCell) -> bool:
    """Return whether a training says so of a step after which it logs its losses."""
    step = DIVERGED_BY.count_in(reason)
    ends = step == cell.gan.steps
    return step is not None and step <= cell.gan.steps and (ends or step % cell.gan.log_every == 0)


def _specification(board: GanLeaderboard, one: GanEvidence) -> Iterator[str]:
    """Yield where a GAN is not what the board asks for."""
    row = next(row for row in board.board.rows if row.title == one.file.row)
    cell, first = one.file.cell, board.evidence[0].file.cell
    try:
        if cell.defense != written_out(row.defense):
            yield f"its defense is {cell.defense}, not {row.defense}"
    except UserError:  # it is unknown here
        if cell.defense.partition("(")[0] != row.defense.partition("(")[0]:
            yield f"its defense is {cell.defense}, not {row.defense}"
    if cell.gan != board.board.recipe_of(row):
        yield "its recipe is not that of the board"
    if cell.data_hash != first.data_hash:
        yield f"it was trained on other images than {board.evidence[0].name}"
    if cell.data != board.board.data.name:
        yield f"its data are called '{shortened(cell.data)}', and the board's otherwise"


def _counted(one: GanEvidence) -> int | None:
    """Return the parameters of a discriminator; None if it cannot be built here."""
    gan = one.file.cell.gan
    try:
        pair = architecture(gan.architecture)
        with torch.device("meta"):
            plain = (pair.generator(gan.width, gan.latent), pair.discriminator(gan.width))
        if sum(map(count_parameters, plain)) > LARGEST:
            return None
        return discriminator_parameters(one.file.cell)
    except UserError:
        return None


def _log(one: GanEvidence) -> Iterator[str]:
    """Yield where a log is not that of the training."""
    manifest, gan = one.file.manifest, one.file.cell.gan
    assert manifest is not None
    count = -(-gan.steps // gan.log_every)
    steps = [min(n * gan.log_every, gan.steps) for n in range(1, len(one.log) + 1)]
    if len(one.log) != count or [row.step for row in one.log] != steps:
        yield f"its log does not have a row for each {gan.log_every} of {gan.steps} steps"
        return
    if symptoms(one.log) != manifest.symptoms:
        yield "its symptoms are not those that its log shows"
    seconds = sum(row.seconds for row in one.log)
    if abs(seconds - manifest.training_seconds) > 1e-6 * max(1.0, seconds):
        yield "its training time is not that of its log"


def _measured(board: GanLeaderboard, one: GanEvidence) -> Iterator[str]:
    """Yield where metrics are not those that the board asks for, of these weights."""
    manifest = one.file.manifest
    assert manifest is not None
    row = next(row for row in board.board.rows if row.title == one.file.row)
    sizes = {"train": MOST_IMAGES, "test": MOST_IMAGES}  # how many there are is not in the files
    found = [measured.measurement for measured in one.file.measured]
    try:
        wanted = list(
            measurements(board.board, row, one.file.cell, board.extractor, sizes, manifest.hashes)
        )
    except UserError as error:
        yield shortened(str(error).rstrip("."), 200)
        return
    if len(found) != len(wanted):
        yield f"it has {len(found)} measurements, and the board asks for {len(wanted)}"
        return
    first = next(one.file.measured for one in board.evidence if one.file.manifest is not None)
    for number, (here, there) in enumerate(zip(found, wanted, strict=True), start=1):
        alike = there.model_copy(update={"images": here.images})
        if here != alike or here.images > there.images:
            yield f"its measurement {number} is not the one that the board asks for"
        elif one.file.measured[number - 1].metrics.keys() != {*every_metric(board.extractor)}:
            yield f"its measurement {number} does not have the metrics of '{board.extractor}'"
        elif name := impossible_metric(one.file.measured[number - 1].metrics):
            value = one.file.measured[number - 1].metrics[name]
            yield f"its measurement {number} has a {name} of {value:g}, which no samples have"
        elif number <= len(first) and here.images != first[number - 1].measurement.images:
            yield f"its measurement {number} is against {here.images} images, and others are not"


def _board_file(board: GanLeaderboard) -> Iterator[str]:
    if TOML in board.sums:
        text = read_text(board.folder / TOML, longest=DOCUMENT_BYTES, inside=board.folder)
        if text != board_text(board.board):
            yield f"{TOML} is not the board of {BOARD}."


def _tables(board: GanLeaderboard) -> Iterator[str]:
    """Yield the first figure of each table that does not follow from the evidence."""
    for name, text in tables_text(board.computed).items():
        if name not in board.sums:
            continue
        expected = read_safe_csv(text, TEXT[name], name)
        found = board.table(name)
        if list(found.columns) != list(expected.columns) or len(found) != len(expected):
            yield f"{name} does not have the rows and columns that follow from the evidence."
            continue
        if (place := _first_difference(found, expected)) is not None:
            row, column = place
            yield (
                f"{name}, row {row + 1}, has {column} = {shortened(found[column][row])}, but "
                f"{shortened(expected[column][row])} follows from the evidence."
            )


def _first_difference(found: pd.DataFrame, expected: pd.DataFrame) -> tuple[int, str] | None:
    for row in range(len(found)):
        for column in found.columns:
            one, other = found[column][row], expected[column][row]
            if isinstance(one, str) or isinstance(other, str):
                if one != other:
                    return row, column
            elif not (one == other or (pd.isna(one) and pd.isna(other))
                      or abs(one - other) <= DIGITS * abs(other)):  # fmt: skip
                return row, column
    return None
