"""The tables of accuracies under corruptions: by kind, and by severity for each kind."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from robench.expressions import parse_expression
from robench.leaderboard.page.wording import listed, percent
from robench.leaderboard.row import corruptions

if TYPE_CHECKING:
    from robench.leaderboard.published import Leaderboard

Rows = tuple[tuple[str, tuple[str, ...]], ...]
"""The name of each row, and its figures in percent."""


@dataclass(frozen=True)
class CorruptionTables:
    """What the page shows of corruptions; all of it is text to be escaped.

    Attributes:
        severities: which severities the means are over, such as "1, 2 and 3".
        kinds: the columns of the first table.
        rows: the mean over the severities of each kind.
        levels: the columns of the other tables.
        by_kind: for each kind, the accuracy at each severity.
    """

    severities: str
    kinds: tuple[str, ...]
    rows: Rows
    levels: tuple[str, ...]
    by_kind: tuple[tuple[str, Rows], ...]


def corruption_tables(board: "Leaderboard") -> CorruptionTables | None:
    """Return the tables of a board; None if it has no corruptions."""
    columns = {name: _kind_and_severity(name) for name in corruptions(board.columns)}
    if not columns:
        return None
    kinds = tuple(dict.fromkeys(kind for kind, _ in columns.values()))
    levels = tuple(sorted({severity for _, severity in columns.values()}))

    def rows(groups: Sequence[Sequence[str]]) -> Rows:
        lines = board.table.to_dict("records")
        return tuple(
            (str(line["defense"]), tuple(_mean(line, g) for g in groups)) for line in lines
        )

    def at(kind: str, level: str) -> list[str]:
        return [name for name, found in columns.items() if found == (kind, level)]

    return CorruptionTables(
        severities=listed(list(levels)),
        kinds=tuple(map(_words, kinds)),
        rows=rows([[name for name, found in columns.items() if found[0] == k] for k in kinds]),
        levels=levels,
        by_kind=tuple((_words(k), rows([at(k, level) for level in levels])) for k in kinds),
    )


def _kind_and_severity(column: str) -> tuple[str, str]:
    """Return the options that say which corruption a column is; those of others may lack them."""
    options = parse_expression(column).options
    return str(options.get("kind", column)), str(options.get("severity", ""))


def _words(kind: str) -> str:
    return kind.replace("_", " ")


def _mean(line: dict[Any, Any], names: Sequence[str]) -> str:
    return percent(float(np.mean([line[f"{name}_mean"] for name in names])) if names else None)
