"""Write the folder of a board of GANs: its tables and the evidence for each GAN."""

from pathlib import Path

from robench.board.writing import board_text
from robench.errors import UserError
from robench.gan.board import GanBoard
from robench.gan.cell import build_pair
from robench.gan.folder import GanFolder
from robench.gan.spec import GanCell
from robench.gan.symptoms import LogRow
from robench.leaderboard.bundle import Bundle
from robench.leaderboard.edition import is_own, replace_edition
from robench.leaderboard.evidence import BOARD, FILE_BYTES, SOURCES, TOML
from robench.leaderboard.gans.files import (
    Diverged,
    GanBoardFile,
    GanCellFile,
    GanEvidence,
    log_name,
    read_log,
    samples_name,
    stems,
    weights_name,
)
from robench.leaderboard.gans.table import tables, tables_text
from robench.leaderboard.publish import published_alone
from robench.models.complexity import count_parameters
from robench.runs.gan_board import GanBoardResult, GanResult
from robench.system.files import json_text
from robench.system.provenance import file_hash
from robench.system.reading import read_bytes


def publish_gans(result: GanBoardResult, folder: Path, bundle: Bundle) -> None:
    """Write the files that :mod:`robench.leaderboard.gans` lists.

    Files that an earlier run published there and this one does not are removed; all other files in
    the folder are left alone.

    Args:
        result: the finished board.
        folder: the folder to write; its name becomes the board's name.
        bundle: the code of entries that do not come with robench.

    Raises:
        UserError: if it cannot be written, or the store was changed after it was measured.
    """
    board = public_board(result)
    names = stems(board)
    contents: dict[str, bytes | Path] = {}
    evidence = []
    for one in result.results:
        name = names[one.work.row.title, one.work.cell.seed]
        found = _evidence(one, name)
        evidence.append(found)
        contents[f"manifests/{name}.json"] = _json(found.file)
        contents |= _files(one, name, board)
    head = GanBoardFile(
        name=folder.name, extractor=result.extractor, board=board, sources=bundle.entries
    )
    contents |= {f"{SOURCES}/{name}": content for name, content in bundle.files.items()}
    contents[BOARD] = _json(head)
    made = tables_text(tables(board, result.extractor, evidence))
    contents |= {file: text.encode() for file, text in made.items()}
    with published_alone(folder):
        if is_own(folder, TOML):  # never over somebody's own
            contents[TOML] = board_text(board).encode()
        replace_edition(folder, contents)


def public_board(result: GanBoardResult) -> GanBoard:
    """Return the board without the paths of this machine."""
    board = result.board
    data = board.data.model_copy(update={"name": result.dataset})
    measure = board.measure.model_copy(update={"extractor": result.extractor})
    return board.model_copy(update={"data": data, "measure": measure})


def discriminator_parameters(cell: GanCell) -> int:
    """Return the number of trained parameters of a discriminator with its defense.

    Raises:
        UserError: if the defense is unknown or cannot be applied.
    """
    _, discriminator = build_pair(cell)
    return count_parameters(discriminator)


def _evidence(one: GanResult, name: str) -> GanEvidence:
    work = one.work
    file = GanCellFile(
        row=work.row.title,
        cell=work.cell,
        discriminator_parameters=discriminator_parameters(work.cell),
        manifest=one.manifest,
        diverged=Diverged(reason=one.diverged[:2000], version=one.diverged_version)
        if one.manifest is None
        else None,
        measured=one.measured,
    )
    log: tuple[LogRow, ...] = ()
    if one.manifest is not None:
        path = work.folder.log
        log = read_log(read_bytes(path, longest=FILE_BYTES).decode(), str(path))
    return GanEvidence(name, file, log)


def _files(one: GanResult, name: str, board: GanBoard) -> dict[str, bytes | Path]:
    """Return the files of a GAN that are published as they are in the store."""
    if one.manifest is None:
        return {}
    folder, key, which = one.work.folder, one.work.cell.key, one.work.row.weights
    sources = {log_name(key): folder.log, samples_name(name): folder.picture(which)}
    if board.publish_weights:
        sources[weights_name(key, which)] = folder.weights(which)
    for path in sources.values():
        _check_hash(path, one.manifest.hashes.get(path.name), folder)
    return {
        target: path if target.startswith("weights/") else read_bytes(path, longest=FILE_BYTES)
        for target, path in sources.items()
    }


def _check_hash(path: Path, expected: str | None, folder: GanFolder) -> None:
    if not path.is_file() or file_hash(path) != expected:
        raise UserError(
            f"{path} is not what the training wrote; remove the folder {folder.path} and run the "
            f"board again."
        )


def _json(form: GanBoardFile | GanCellFile) -> bytes:
    return json_text(form.model_dump(mode="json")).encode()
