"""The tables of accuracies under corruptions: by kind, and by severity for each kind."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from robench.expressions import parse_expression
from robench.leaderboard.page.downloads import Download, accuracy_files
from robench.leaderboard.page.wording import listed, percent
from robench.leaderboard.row import corruptions

if TYPE_CHECKING:
    from robench.leaderboard.published import Leaderboard

Rows = tuple[tuple[str, tuple[str, ...]], ...]
"""The name of each row, and its figures in percent."""


@dataclass(frozen=True)
class AccuracyTable:
    """One table; all of it is text to be escaped.

    Attributes:
        title: what it is of in a word or two.
        about: what it shows, a phrase.
        heads: the headers of its figures.
        rows: its rows.
        files: the same as CSV and LaTeX.
    """

    title: str
    about: str
    heads: tuple[str, ...]
    rows: Rows
    files: tuple[Download, ...]


@dataclass(frozen=True)
class CorruptionTables:
    """What the page shows of corruptions.

    Attributes:
        severities: which severities all means are over, such as "1, 2 and 3"; "" if not the same
            ones for each kind, whose headers then have them.
        kinds: the mean over the severities of each kind.
        by_kind: for each kind, the accuracy at each severity; empty if there is only one.
    """

    severities: str
    kinds: AccuracyTable
    by_kind: tuple[AccuracyTable, ...]


def corruption_tables(board: "Leaderboard") -> CorruptionTables | None:
    """Return the tables of a board; None if it has no corruptions."""
    columns = {name: _kind_and_severity(name) for name in corruptions(board.columns)}
    if not columns:
        return None
    kinds = dict.fromkeys(kind for kind, _ in columns.values())
    levels = sorted({severity for _, severity in columns.values()})

    def under(wanted: str) -> list[str]:
        return [name for name, (kind, _) in columns.items() if kind == wanted]

    severities = {kind: sorted(columns[name][1] for name in under(kind)) for kind in kinds}
    alike = all(own == levels for own in severities.values())
    means = {
        _words(kind) + ("" if alike else _severity(own)): (f"{kind}_mean", under(kind))
        for kind, own in severities.items()
    }
    about = "Accuracy under each corruption, mean over severities"
    by_kind = []
    for kind in (kind for kind, own in severities.items() if len(own) > 1):
        levels_of = {columns[name][1]: (f"{name}_mean", [name]) for name in under(kind)}
        found = {level: levels_of.get(level, ("", [])) for level in levels}
        phrase = f"Accuracy under {_words(kind)} at each severity"
        by_kind.append(_table(board, _words(kind), phrase, found))
    return CorruptionTables(
        listed(levels) if alike else "",
        _table(board, "corruptions", about, means),
        tuple(by_kind),
    )


def _table(
    board: "Leaderboard",
    title: str,
    about: str,
    columns: Mapping[str, tuple[str, Sequence[str]]],
) -> AccuracyTable:
    """Return the table with a column for each header: its name in a CSV file, and its parts."""
    lines = board.table.to_dict("records")
    titles = [str(line["defense"]) for line in lines]
    shares = {head: [_mean(line, parts) for line in lines] for head, (_, parts) in columns.items()}
    figures = zip(
        *([percent(share) for share in column] for column in shares.values()), strict=True
    )
    known = {columns[head][0]: column for head, column in shares.items() if columns[head][1]}
    table = pd.DataFrame({"defense": titles, **known})
    heads = [head for head, (_, parts) in columns.items() if parts]
    return AccuracyTable(
        title=title,
        about=about,
        heads=tuple(columns),
        rows=tuple(zip(titles, figures, strict=True)),
        files=accuracy_files(f"{board.name}-{title}", about, table, heads),
    )


def _kind_and_severity(column: str) -> tuple[str, str]:
    """Return the options that say which corruption a column is; those of others may lack them."""
    options = parse_expression(column).options
    return str(options.get("kind", column)), str(options.get("severity", ""))


def _severity(levels: Sequence[str]) -> str:
    """Return ", severity 3" or ", severities 1 and 2"; "" if a plugin's kind names none."""
    known = [level for level in levels if level]
    return f", severit{'y' if len(known) == 1 else 'ies'} {listed(known)}" if known else ""


def _words(kind: str) -> str:
    return kind.replace("_", " ")


def _mean(line: Mapping[Any, Any], names: Sequence[str]) -> float:
    return float(np.mean([line[f"{name}_mean"] for name in names])) if names else np.nan
