"""Forgeries of the other files: tables, checksums, the README and board.toml."""

import copy
import csv
import io
import json
from functools import partial
from pathlib import Path

import numpy as np

from campaigns.forging.draft import Draft, Forgery
from campaigns.forging.places import parent_of, places
from campaigns.forging.values import another
from robench.board.board import Board
from robench.board.specs import PUBLISHED
from robench.board.writing import board_text
from robench.leaderboard.evidence import BOARD, SUMS, TOML

TABLE_CHANGES = (
    "a figure", "a text", "rows swapped", "row repeated", "row removed", "column renamed",
    "columns swapped",
)  # fmt: skip
SUMS_CHANGES = ("entry removed", "entry repeated", "other digest", "name of another file")
README_CHANGES = ("a figure", "line removed", "title")


def table_forgeries(draft: Draft) -> list[Forgery]:
    """Return the forgeries of files that are not evidence."""
    made = []
    for path in sorted(draft.root.glob("*.csv")):
        for what in TABLE_CHANGES:
            label = f"{path.name}: {what}"
            made.append(Forgery(label, partial(_table, label, path.name)))
    for what in SUMS_CHANGES:
        made.append(Forgery(f"{SUMS}: {what}", partial(_sums, f"{SUMS}: {what}")))
    for what in README_CHANGES:
        made.append(Forgery(f"README.md: {what}", partial(_readme, f"README.md: {what}")))
    made.append(Forgery(f"{TOML}: a value", _toml))
    made.append(Forgery("model/*.py: other code", partial(_code, "model/*.py")))
    made.append(Forgery("sources/*/*.py: other code", partial(_code, "sources/*/*.py")))
    return made


def _table(label: str, name: str, draft: Draft, rng: np.random.Generator) -> str | None:
    path = draft.root / name
    rows = list(csv.reader(io.StringIO(path.read_text(), newline="")))
    head, body = rows[0], rows[1:]
    what = label.rpartition(": ")[2]
    row, column = int(rng.integers(len(body))), int(rng.integers(len(head)))
    detail = f"row {row}"
    if what in ("a figure", "a text"):
        wanted = [
            (r, c) for r, line in enumerate(body) for c, text in enumerate(line)
            if text and _is_number(text) == (what == "a figure")
        ]  # fmt: skip
        row, column = wanted[rng.integers(len(wanted))]
        old = body[row][column]
        body[row][column] = _other_cell(old, rng)
        detail = f"row {row}, {head[column]}: {old} -> {body[row][column]}"
    elif what == "rows swapped":
        body = [body[i] for i in rng.permutation(len(body))]
    elif what == "row repeated":
        body.insert(row, body[row])
    elif what == "row removed":
        del body[row]
    elif what == "column renamed":
        head[column] += "_2"
        detail = head[column]
    else:
        other = (column + 1) % len(head)
        for line in (head, *body):
            line[column], line[other] = line[other], line[column]
        detail = f"{head[column]} and {head[other]}"
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows([head, *body])
    path.write_text(written.getvalue())
    draft.label = label
    return f"{name}: {what}, {detail}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _other_cell(text: str, rng: np.random.Generator) -> str:
    if not _is_number(text):
        return f"{text} 2"
    value = float(text)
    if "." not in text:
        return str(int(value) + 1)
    return f"{[value * 1.01, value + 0.05, 1 - value][rng.integers(3)]:.6g}"


def _sums(label: str, draft: Draft, rng: np.random.Generator) -> str:
    """Change the list of checksums; it is not made again afterwards."""
    lines = (draft.root / SUMS).read_text().splitlines()
    index, other = (int(i) for i in rng.choice(len(lines), size=2, replace=False))
    line = lines[index]
    what = label.rpartition(": ")[2]
    if what == "entry removed":
        del lines[index]
    elif what == "entry repeated":
        lines.append(line)
    elif what == "other digest":
        lines[index] = rng.bytes(32).hex() + line[64:]
    else:
        lines[index] = line[:66] + lines[other][66:]
    (draft.root / SUMS).write_text("\n".join(lines) + "\n")
    draft.label = label
    return f"{what}: {line[66:]}"


def _readme(label: str, draft: Draft, rng: np.random.Generator) -> str | None:
    path = draft.root / "README.md"
    lines = path.read_text().splitlines()
    table = [i for i, line in enumerate(lines) if line.startswith("| ")]
    what = label.rpartition(": ")[2]
    index = int(rng.choice(table[2:]))
    if what == "a figure":
        cells = lines[index].split(" | ")
        cells[2] = f"{float(cells[2].strip(' |')) + 1:.1f}"
        lines[index] = " | ".join(cells)
    elif what == "line removed":
        index = int(rng.choice([i for i, line in enumerate(lines) if line]))
        del lines[index]
    else:
        index = 0
        lines[0] += " (accepted)"
    path.write_text("\n".join(lines) + "\n")
    draft.label = label
    return f"line {index + 1}: {what}"


def _toml(draft: Draft, rng: np.random.Generator) -> str | None:
    """Write another board into ``board.toml`` than into ``board.json``."""
    found = [p for p in places(BOARD, draft.board) if p.path[0] == "board" and p.kind == "value"]
    place = found[rng.integers(len(found))]
    document = copy.deepcopy(draft.board)
    parent, key = parent_of(document, place.path), place.path[-1]
    name = next(str(step) for step in reversed(place.path) if isinstance(step, str))
    parent[key] = another(parent[key], name, [], rng)
    try:
        board = Board.model_validate(document["board"], context=PUBLISHED)
        (draft.root / TOML).write_text(board_text(board))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    draft.label = f"{TOML}: a value"
    return f"{'.'.join(map(str, place.path))} = {json.dumps(parent[key])[:60]}"


def _code(pattern: str, draft: Draft, rng: np.random.Generator) -> str:
    """Publish other code than that which was run."""
    path: Path = sorted(draft.root.glob(pattern))[0]
    path.write_text(path.read_text().replace("nn.ReLU()", "nn.Tanh()"))
    draft.label = f"{pattern}: other code"
    return f"{path.name}: Tanh in the place of ReLU"
