"""Replace the files of a published leaderboard, so that no reader takes two boards for one.

While files are replaced there is no ``SHA256SUMS``, which every reader asks for: it is written
last. Meanwhile ``SHA256SUMS.unfinished`` lists the old files and the new ones, so that the next run
knows what one that was killed has left.
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from robench.errors import UserError
from robench.leaderboard.evidence import (
    PAGE,
    SUMS,
    TOML,
    UNFINISHED,
    WEIGHTS_BYTES,
    read_sums,
    sums_text,
)
from robench.system.files import remove, remove_temporaries, write_bytes, write_text
from robench.system.provenance import file_hash
from robench.system.reading import DOCUMENT_BYTES, Refused, read_bytes


def published_before(folder: Path) -> dict[str, str]:
    """Return relative path -> SHA-256 of what earlier runs published, also of one that was killed.

    Empty if there is nothing, or its checksums are damaged.
    """
    known: dict[str, str] = {}
    for name in (UNFINISHED, SUMS):
        try:
            known |= read_sums(folder, name)
        except UserError:
            continue
    return known


def is_own(folder: Path, name: str) -> bool:
    """Return whether a file may be written: it is not there, or as an earlier run published it.

    What somebody wrote or has edited is theirs. Of a folder whose publication was killed, only the
    names are known: which of its files are the new ones is not.
    """
    if not (folder / name).exists():
        return True
    published = published_before(folder).get(name)
    if (folder / UNFINISHED).exists():
        return published is not None
    return published == file_hash(folder / name)


def replace_edition(folder: Path, contents: Mapping[str, bytes | Path]) -> None:
    """Make these the published files of a folder; hold its lock.

    Files that an earlier run published and that are none of these are removed, but for a board.toml
    that somebody has edited since, and so is the page of another leaderboard. Other files are left
    alone, and nothing is written if all is the same.

    Args:
        folder: the folder of the leaderboard.
        contents: relative path -> content, or a file that has it, as weights do.

    Raises:
        UserError: if a folder in it is a link to another one, before anything is changed; or if a
            file cannot be written: no reader takes the folder for a leaderboard then.
    """
    before = published_before(folder)
    _refuse_links(folder, [*contents, *before])
    _remove_temporaries(folder, contents)
    edited = set() if is_own(folder, TOML) else {TOML}
    sums = {name: _digest(content) for name, content in contents.items()}
    text = sums_text(sums)
    is_same = _content(folder / SUMS) == text.encode()
    changed = [name for name, digest in sums.items() if _digest(folder / name) != digest]
    if is_same and not changed:
        remove(folder / UNFINISHED)
        return
    write_text(folder / UNFINISHED, sums_text(before | sums))
    remove(folder / SUMS)
    for name in changed:
        write_bytes(folder / name, _bytes(contents[name]))
    for name in before.keys() - sums.keys() - edited:
        remove(folder / name)
    if not is_same:
        remove(folder / PAGE)
    write_text(folder / SUMS, text)
    remove(folder / UNFINISHED)


def _refuse_links(folder: Path, names: Iterable[str]) -> None:
    """Refuse files below a link: they would be written or removed where it leads.

    Raises:
        UserError: for the first link.
    """
    for parent in sorted({parent for name in names for parent in Path(name).parents} - {Path()}):
        if (folder / parent).is_symlink():
            raise UserError(
                f"{folder / parent} is a link, and files below it are to be replaced; put a "
                f"folder in its place."
            )


def _remove_temporaries(folder: Path, contents: Mapping[str, bytes | Path]) -> None:
    remove_temporaries(folder, [SUMS, UNFINISHED, "curves.svg", "spectra.svg"])
    for parent in {(folder / name).parent for name in contents}:
        remove_temporaries(parent, ["*"] if parent != folder else [*contents])


def _digest(content: bytes | Path) -> str:
    """Return the SHA-256 of a content; "" for a file that is not there."""
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    return file_hash(content) if content.is_file() else ""


def _bytes(content: bytes | Path) -> bytes:
    return content if isinstance(content, bytes) else read_bytes(content, longest=WEIGHTS_BYTES)


def _content(path: Path) -> bytes | None:
    try:
        return read_bytes(path, longest=DOCUMENT_BYTES)
    except Refused:
        return None
