"""Known-bad files by name: every command answers them in one sentence, within seconds.

Each is put into a published folder whose checksums are made anew, as whoever made the file would.
"""

import io
import json
import os
import re
import shutil
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from published_board import Published
from submitted import copied, only
from support import Command, Finished

from robench.leaderboard.evidence import SUMS
from robench.system.reading import sha256_of

SECONDS = 15
LONGEST = 900
"""Characters of a message, with the long paths of the tests."""

Spoil = Callable[[Path], None]


def sum_up(folder: Path) -> None:
    """Rewrite the checksums of what can be summed up; a line of zeros for the rest."""
    lines = []
    for path in sorted(folder.rglob("*")):
        if path.is_dir() or path.name == SUMS:
            continue
        small = path.is_file() and path.stat().st_size < 2**28
        digest = sha256_of(path) if small else "0" * 64
        lines.append(f"{digest}  {path.relative_to(folder).as_posix()}\n")
    (folder / SUMS).write_text("".join(lines))


def json_with(pattern: str, change: Callable[[str], str]) -> Spoil:
    """Return what rewrites the text of the first JSON file that matches."""

    def spoil(folder: Path) -> None:
        path = only(folder, pattern)
        path.write_text(change(path.read_text()))

    return spoil


def value(keys: str, raw: str, pattern: str = "board.json") -> Spoil:
    """Return what puts a JSON text in the place of a value: ``board.title``."""

    def change(text: str) -> str:
        whole = inner = json.loads(text)
        *before, last = keys.split(".")
        for key in before:
            inner = inner[key]
        inner[last] = "HOLE"
        return json.dumps(whole).replace('"HOLE"', raw)

    return json_with(pattern, change)


def instead(pattern: str, make: Callable[[Path], object]) -> Spoil:
    """Return what makes something else in the place of a file."""

    def spoil(folder: Path) -> None:
        path = only(folder, pattern)
        path.unlink()
        make(path)

    return spoil


def zeros(path: Path) -> None:
    path.symlink_to("/dev/zero")


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(6 * 2**30)


def outside(path: Path) -> None:
    path.symlink_to("/etc/hostname")


def csv_line(change: Callable[[list[str], list[str]], object]) -> Spoil:
    """Return what changes the header and the first row of ``leaderboard.csv``."""

    def spoil(folder: Path) -> None:
        path = folder / "leaderboard.csv"
        header, first, *rest = [line.split(",") for line in path.read_text().splitlines()]
        change(header, first)
        path.write_text("".join(",".join(line) + "\n" for line in (header, first, *rest)))

    return spoil


def columns(header: list[str], first: list[str]) -> None:
    header += [f"x{number}" for number in range(20_000)]
    first += ["1"] * 20_000


def rank(text: str) -> Spoil:
    return csv_line(lambda header, first: first.__setitem__(header.index("rank"), text))


def outcomes(change: Callable[[dict[str, bytes]], object], method: int = 8) -> Spoil:
    """Return what changes the members of the first file of outcomes."""

    def spoil(folder: Path) -> None:
        path = only(folder, "outcomes/*/*.npz")
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        change(members)
        with zipfile.ZipFile(path, "w", method) as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        digest = sha256_of(path)
        for manifest in folder.glob("manifests/*.json"):
            text = json.loads(manifest.read_text())
            if (entry := text["manifest"]["outcomes"].get(path.stem)) and (
                path.parent.name == text["manifest"]["specification"]
            ):
                entry["outcomes_hash"] = digest
                manifest.write_text(json.dumps(text))

    return spoil


def array(shape: str, descr: str, size: int) -> bytes:
    buffer = io.BytesIO()
    header = {"descr": descr, "fortran_order": False, "shape": ()}
    np.lib.format.write_array_header_1_0(buffer, header)
    made = buffer.getvalue().replace(b"'shape': ()", f"'shape': {shape}".encode(), 1)
    gone = len(made) - len(buffer.getvalue())
    return made[: -gone - 1] + b"\n" + bytes(size) if gone else made + bytes(size)


def pickled() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([Path("x")] * 60, dtype=object), allow_pickle=True)
    return buffer.getvalue()


BOARD = "board.json"
ALL = ("verify", "page", "export", "merge", "submit")
READS_TABLE = ("verify", "page", "export")
READS_OUTCOMES = ("verify", "page", "merge")

CORPUS: dict[str, tuple[Spoil, tuple[str, ...]]] = {
    "deep JSON": (instead(BOARD, lambda p: p.write_text("[" * 100_000)), ALL),
    "deep manifest": (instead("manifests/*", lambda p: p.write_text('{"a":' * 50_000)), ALL),
    "deep defaults": (value("board.evaluation.defaults",
                            '{"x": ' * 900 + "1" + "}" * 900), ALL),
    "JSON with a key twice": (json_with(BOARD, lambda t: t.replace("{", '{"name": "x", ', 1)), ALL),
    "JSON with NaN": (value("costs.parameters", "NaN", "manifests/*"), ALL),
    "10^400 parameters": (value("costs.parameters", "1" + "0" * 400, "manifests/*"), ALL),
    "5,000 digits": (value("costs.parameters", "9" * 5000, "manifests/*"), ALL),
    "a title of half a surrogate pair": (value("board.title", '"\\ud800"'), ALL),
    "a name with a NUL": (value("name", '"a\\u0000b"'), ALL),
    "a title of a million characters": (value("board.title", '"' + "x" * 10**6 + '"'), ALL),
    "a million characters for a number": (value("board.evaluation.samples",
                                                '"' + "x" * 10**6 + '"'), ALL),
    "a key of a million characters": (json_with(BOARD, lambda t: t.replace(
        "{", '{"' + "k" * 10**6 + '": 1, ', 1)), ALL),
    "200,000 seeds": (value("board.seeds", json.dumps([*range(200_000)])), ALL),
    "an attack of 900 signs": (value("board.evaluation.attacks",
                                     '["pgd(steps=' + "-" * 900 + '1)"]'), ALL),
    "an attack of 400 signs": (value("board.evaluation.attacks",
                                     '["pgd(steps=' + "-" * 400 + '1)"]'), ALL),
    "a row of 5,000 signs": (value("board.defenses", '["' + "-" * 5000 + '"]'), ALL),
    "a radius of 1e308": (value("columns.fgsm.threat_model", '["linf", 1e308]'), ()),
    "an epoch of 1e308 images": (json_with("manifests/*", lambda t: re.sub(
        r'"(images_per_)?second(s?)": [0-9.e-]+', r'"\1second\2": 1e308', t)), ALL),
    "a pipe for a board": (instead(BOARD, os.mkfifo), ALL),
    "a pipe for a manifest": (instead("manifests/*", os.mkfifo), ALL),
    "a pipe for a table": (instead("leaderboard.csv", os.mkfifo), READS_TABLE),
    "a pipe for outcomes": (instead("outcomes/*/*.npz", os.mkfifo), READS_OUTCOMES),
    "a pipe that nothing reads": (lambda folder: os.mkfifo(folder / "x"), ("verify",)),
    "/dev/zero for a board": (instead(BOARD, zeros), ALL),
    "/dev/zero that nothing reads": (lambda folder: zeros(folder / "x"), ("verify",)),
    "a link out of the folder": (instead("manifests/*", outside), ALL),
    "6 GiB of nothing for a board": (instead(BOARD, sparse), ALL),
    "6 GiB of nothing for a table": (instead("leaderboard.csv", sparse), READS_TABLE),
    "6 GiB that nothing reads": (lambda folder: sparse(folder / "x"), ("verify",)),
    "20,000 columns": (csv_line(columns), READS_TABLE),
    "a column without name": (csv_line(
        lambda header, _: header.__setitem__(header.index("parameters"), "other")), READS_TABLE),
    "a rank of 5,000 digits": (rank("9" * 5000), READS_TABLE),
    "a rank that is no number": (rank("x"), READS_TABLE),
    "a field of a million characters": (rank("9" * 10**6), READS_TABLE),
    "a zip bomb": (outcomes(lambda m: m.update({"robust.npy": array("(200000000,)", "|b1",
                                                                    2 * 10**8)})), READS_OUTCOMES),
    "a shape beyond the file": (outcomes(
        lambda m: m.update({"robust.npy": array("(10**12,)".replace("10**12", "9" * 12), "|b1",
                                                60)})), READS_OUTCOMES),
    "text of a gigabyte a letter": (outcomes(
        lambda m: m.update({"robust.npy": array("(60,)", "<U250000000", 60)})), READS_OUTCOMES),
    "pickles among outcomes": (outcomes(lambda m: m.update({"robust.npy": pickled()})),
                               READS_OUTCOMES),
    "outcomes by LZMA": (outcomes(lambda m: None, zipfile.ZIP_LZMA), READS_OUTCOMES),
}  # fmt: skip


def answered(done: Finished, what: str) -> None:
    """Assert that a command ended as commands do, whatever it was given."""
    everything = done.out + done.err
    assert done.code in (0, 1, 2), what
    assert "Traceback" not in everything, what
    for line in done.err.splitlines():
        assert len(line) < LONGEST, what
        assert line.isprintable(), what


def commands(folder: Path, other: Path, out: Path) -> dict[str, tuple[object, ...]]:
    return {
        "verify": ("verify", folder, "--rows", 0),
        "page": ("page", folder),
        "export": ("export", folder),
        "merge": ("merge", folder, other, "--out", out / "merged"),
        "submit": ("submit", folder, "--rows", "batchnorm", "--out", out / "submitted"),
    }


@pytest.mark.parametrize("name", CORPUS)
def test_a_published_folder(
    robench: Command, published: Published, tmp_path: Path, name: str
) -> None:
    spoil, refusing = CORPUS[name]
    spoil(published.folder)
    sum_up(published.folder)
    other = published.store / "tiny"
    for command, arguments in commands(published.folder, other, tmp_path / "out").items():
        start = time.monotonic()
        done = robench(*arguments)
        assert time.monotonic() - start < SECONDS, command
        answered(done, f"{command}: {name}")
        assert done.code != 0 or command not in refusing, f"{command}: {name}"


@pytest.mark.parametrize("name", CORPUS)
def test_a_submission(robench: Command, submission: Path, tmp_path: Path, name: str) -> None:
    folder = copied(submission, tmp_path / "submission")
    CORPUS[name][0](folder)
    sum_up(folder)
    start = time.monotonic()
    done = robench("check-submission", folder, "--rows", 0)
    assert time.monotonic() - start < SECONDS
    answered(done, name)
    assert done.code != 0


LINES = {
    "a NUL": f"{'0' * 64}  a\0b\n",
    "a line twice": None,
    "a name outside": f"{'0' * 64}  ../x\n",
    "an absolute name": f"{'0' * 64}  /etc/passwd\n",
    "a long name": f"{'0' * 64}  {'x' * 5000}\n",
    "no digest": f"{'z' * 64}  x\n",
    "bytes that are no text": "\udcff",
}


@pytest.mark.parametrize("name", LINES)
def test_lists_of_checksums(
    robench: Command, published: Published, tmp_path: Path, name: str
) -> None:
    sums = published.folder / SUMS
    line = LINES[name] or sums.read_text().splitlines(keepends=True)[0]
    sums.write_bytes(sums.read_bytes() + line.encode(errors="surrogateescape"))
    for arguments in commands(published.folder, published.store / "tiny", tmp_path).values():
        done = robench(*arguments)
        answered(done, name)
        assert done.code == 2, arguments


def test_a_list_of_checksums_that_is_a_pipe(robench: Command, published: Published) -> None:
    (published.folder / SUMS).unlink()
    os.mkfifo(published.folder / SUMS)
    done = robench("verify", published.folder)
    assert (done.code, "is not a plain file" in done.err) == (2, True)


def test_the_same_files_are_fine_where_nothing_is_spoiled(
    robench: Command, published: Published, tmp_path: Path
) -> None:
    sum_up(published.folder)
    shutil.rmtree(tmp_path / "out", ignore_errors=True)
    every = commands(published.folder, published.store / "tiny", tmp_path / "out")
    for command in ("verify", "page", "export", "merge"):
        assert robench(*every[command]).code == 0, command
