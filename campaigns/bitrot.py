"""Damage to the files of a published board, whose checksums nobody adapts.

    python -m campaigns.bitrot --trials 10000 --seed 0 --jobs 2

Each trial damages one file: a byte is flipped, or the file is truncated, emptied, removed, swapped
with another, or one is added. ``verify`` must find something or refuse in one sentence.
"""

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np

from campaigns.in_process import time_limit
from campaigns.options import add_processes, options
from campaigns.pool import in_processes
from campaigns.sample import small_board
from campaigns.stopping import until_stopped
from campaigns.tally import Tally
from robench.commands.verify import verify
from robench.errors import UserError
from robench.leaderboard.evidence import SUMS, read_sums

LIMIT = 10
"""Seconds after which a verification counts as hanging."""

LONGEST = 500
"""Characters of the longest acceptable sentence."""

Damage = Callable[[Path, np.random.Generator], str]
"""Damages the folder of a board, and says how."""


def files_of(folder: Path) -> list[Path]:
    """Return the files that checksums protect, and the list of checksums."""
    return [folder / name for name in sorted(read_sums(folder))] + [folder / SUMS]


def flipped(folder: Path, rng: np.random.Generator) -> str:
    """Flip some bits of one byte; every byte of the folder is as likely as any other."""
    files = files_of(folder)
    sizes = np.array([path.stat().st_size for path in files])
    path = files[rng.choice(len(files), p=sizes / sizes.sum())]
    return flip(path, int(rng.integers(path.stat().st_size)), int(rng.integers(1, 256)))


def flip(path: Path, index: int, bits: int) -> str:
    """Flip bits of a byte."""
    content = bytearray(path.read_bytes())
    content[index] ^= bits
    path.write_bytes(content)
    return f"{path.name}, byte {index}: {content[index] ^ bits:#04x} -> {content[index]:#04x}"


def truncated(folder: Path, rng: np.random.Generator) -> str:
    """Cut a file."""
    path = _any(folder, rng)
    content = path.read_bytes()
    kept = int(rng.integers(len(content)))
    path.write_bytes(content[:kept])
    return f"{path.name}, cut to {kept} of {len(content)} bytes"


def emptied(folder: Path, rng: np.random.Generator) -> str:
    """Leave nothing of a file but its name."""
    path = _any(folder, rng)
    path.write_bytes(b"")
    return path.name


def removed(folder: Path, rng: np.random.Generator) -> str:
    """Remove a file."""
    path = _any(folder, rng)
    path.unlink()
    return path.name


def swapped(folder: Path, rng: np.random.Generator) -> str:
    """Swap the contents of two files."""
    files = files_of(folder)
    while True:
        one, other = (files[i] for i in rng.choice(len(files), size=2, replace=False))
        contents = one.read_bytes(), other.read_bytes()
        if contents[0] != contents[1]:
            break
    one.write_bytes(contents[1])
    other.write_bytes(contents[0])
    return f"{one.name} and {other.name}"


def added(folder: Path, rng: np.random.Generator) -> str:
    """Add a copy of a file beside it, in one of the folders that only robench writes to."""
    inner = [path for path in files_of(folder) if path.parent != folder]
    path = inner[rng.integers(len(inner))]
    copy = path.with_name(f"{path.stem}_2{path.suffix}")
    shutil.copy(path, copy)
    return copy.relative_to(folder).as_posix()


KINDS: dict[str, Damage] = {
    "byte flipped": flipped,
    "truncated": truncated,
    "emptied": emptied,
    "removed": removed,
    "swapped": swapped,
    "added": added,
}
SHARE_OF_FLIPS = 0.9


def damage(board: Path, kind: str, rng: np.random.Generator) -> tuple[str, str | None]:
    """Damage a copy of a board; return what was done, and what is wrong with the verdict."""
    with _copy(board) as folder:
        detail = KINDS[kind](folder, rng)
        return detail, verdict(folder)


def verdict(folder: Path) -> str | None:
    """Return what is wrong with the verdict on a damaged board; None if it was found."""
    try:
        with time_limit(LIMIT):
            found = verify(folder, rows="0")
    except UserError as error:
        text = str(error)
        if len(text) > LONGEST or "\n" in text:
            return f"refused in more than a sentence: {text[:80]!r}..."
        return None
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:120]}"
    return "not noticed" if found.sound else None


def _any(folder: Path, rng: np.random.Generator) -> Path:
    files = files_of(folder)
    return files[rng.integers(len(files))]


@contextmanager
def _copy(board: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as scratch:
        yield shutil.copytree(board, Path(scratch) / board.name)


@cache
def _bytes_of(board: Path) -> list[tuple[Path, int]]:
    return [(path, index) for path in files_of(board) for index in range(path.stat().st_size)]


def _one(work: tuple[Path, int, int, bool]) -> tuple[str, str, str | None]:
    board, seed, index, every = work
    rng = np.random.default_rng([seed, index])
    if not every:
        others = [kind for kind in KINDS if kind != "byte flipped"]
        kind = "byte flipped" if rng.random() < SHARE_OF_FLIPS else str(rng.choice(others))
        return kind, *damage(board, kind, rng)
    path, byte = _bytes_of(board)[index]
    with _copy(board) as folder:
        detail = flip(folder / path.relative_to(board), byte, int(rng.integers(1, 256)))
        return "byte flipped", detail, verdict(folder)


def main() -> None:
    """Run the campaign."""
    parser = options("Damage the files of a published board.", trials=10_000)
    add_processes(parser)
    parser.add_argument(
        "--every-byte", action="store_true", help="flip every byte once, and nothing else"
    )
    chosen = parser.parse_args()
    tally = Tally()
    with tempfile.TemporaryDirectory() as scratch:
        root = (chosen.work or Path(scratch)).resolve()
        board = small_board(root)
        if not verify(board, rows="0").sound:
            sys.exit("the board itself is not sound, so that no trial would say anything.")
        trials = len(_bytes_of(board)) if chosen.every_byte else chosen.trials
        work = [(board, chosen.seed, index, chosen.every_byte) for index in range(trials)]
        done = in_processes(_one, work, chosen.jobs, small_board, root)
        for kind, detail, wrong in until_stopped(done):
            tally.add(kind, None if wrong is None else f"{detail}: {wrong}")
    print(tally.report("Damaged files that 'verify' neither finds nor refuses"))
    sys.exit(tally.failed > 0)


if __name__ == "__main__":
    main()
