"""What ``--out`` and its like may name, checked before any work: a folder, or a file to write."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from robench.errors import UserError
from robench.system.files import behind_link


def folder_for_output(path: Path) -> Path:
    """Return the path of a folder, new or not.

    Raises:
        UserError: if it, or a folder that it would be in, is a file.
    """
    _check_folders(path, (path, *path.parents))
    return path


def file_for_output(path: Path | None) -> Path | None:
    """Return the path of the file that ``--out`` names, new or not; None if none was named.

    Of a link, it is the path of what it leads to, so that the link stays.

    Raises:
        UserError: if it is a folder or a device, it is a file of a published leaderboard, or a
            folder that it would be in is a file.
    """
    return _checked(path, "--out")


def page_for_output(path: Path | None) -> Path | None:
    """Return the path of the page that ``--out`` names; as :func:`file_for_output`, ``.html``."""
    return _checked(path, "--out", (".html", ".htm"))


def table_for_output(path: Path | None) -> Path | None:
    """Return the path of the table that ``--out`` names; as :func:`file_for_output`, ``.csv``."""
    return _checked(path, "--out", (".csv",))


def file_for_csv(path: Path | None) -> Path | None:
    """Return the path of the file that ``--csv`` names; as :func:`table_for_output`."""
    return _checked(path, "--csv", (".csv",))


def file_for_curve(path: Path | None) -> Path | None:
    """Return the path of the file that ``--curve`` names, new or not; None if none was named.

    Raises:
        UserError: if it or the file beside it is a folder or a device, a folder that it would be
            in is a file, or its name ends neither in ``.csv`` nor in ``.svg``.
    """
    if path is not None:
        check_file(path, "--curve")
        check_ending(path, "--curve", (".csv", ".svg"))
        for ending in (".csv", ".svg"):
            check_file(path.with_suffix(ending), "--curve")
        return behind_link(path)
    return None


def check_file(path: Path, option: str) -> None:
    """Check that a file can be written.

    Args:
        path: the file, new or not.
        option: the option that names it.

    Raises:
        UserError: if it is a folder or a device, it is a file of a published leaderboard, or a
            folder that it would be in is a file.
    """
    if path.is_dir():
        raise UserError(f"{option} {path}: it is a folder; name a file in it.")
    if path.exists() and not path.is_file():
        raise UserError(f"{option} {path}: it is not a plain file, and would be replaced by one; "
                        f"name another.")  # fmt: skip
    _check_folders(path, path.parents, option)
    if (board := _leaderboard_of(path)) is not None:
        raise UserError(f"{option} {path}: it belongs to the leaderboard {board}; name another "
                        f"file.")  # fmt: skip


def check_ending(path: Path, option: str, endings: Sequence[str]) -> None:
    """Check that a file is named as what is written to it, so that no input is overwritten.

    Args:
        path: the file, new or not.
        option: the option that names it.
        endings: the endings that it may have; the first is suggested.

    Raises:
        UserError: if it has none of them.
    """
    if path.suffix.lower() not in endings:
        raise UserError(f"{option} {path}: name a file that ends in {endings[0]}.")


def _checked(path: Path | None, option: str, endings: Sequence[str] = ()) -> Path | None:
    if path is None:
        return None
    check_file(path, option)
    if endings:
        check_ending(path, option, endings)
    return behind_link(path)


def _leaderboard_of(path: Path) -> Path | None:
    """Return the folder of the leaderboard whose checksums list a file; None if none does."""
    if not path.exists():
        return None
    file = Path(os.path.realpath(path))
    for folder in file.parents:
        if (folder / "board.json").is_file() and _is_listed(folder, file):
            return folder
    return None


def _is_listed(folder: Path, file: Path) -> bool:
    """Return whether a folder's checksums list a file; damaged ones list none."""
    from robench.leaderboard.evidence import read_sums  # imports torch

    try:
        return file.relative_to(folder).as_posix() in read_sums(folder)
    except UserError:
        return False


def _check_folders(out: Path, places: Iterable[Path], option: str = "--out") -> None:
    for place in places:
        if os.path.lexists(place) and not place.is_dir():
            what = "it" if place == out else str(place)
            raise UserError(f"{option} {out}: {what} is a file, not a folder; name another place.")
