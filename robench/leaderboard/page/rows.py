"""The rows of the page's table: their text, and the values that they are sorted by."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from robench.leaderboard.page.cells import (
    accuracy_columns,
    cells_of_rows,
    flags_of,
    own_network,
    sentences,
)
from robench.leaderboard.page.wording import MISSING, RANGE, interval, percent, sort_key, times

if TYPE_CHECKING:
    from robench.leaderboard.published import Leaderboard


@dataclass(frozen=True)
class Figure:
    """An accuracy in the table; ``whisker`` is low, mean and high in percent of the scale."""

    order: str
    mean: str
    std: str
    interval: str
    whisker: tuple[float, float, float] | None


@dataclass(frozen=True)
class Row:
    """A row of the table; everything is text to be escaped."""

    index: int
    rank: int
    ranks: str
    group: str
    group_order: str
    title: str
    training: str
    network: str
    recipe: str
    figures: tuple[Figure, ...]
    cost: str
    cost_order: str
    flags: tuple[tuple[str, str], ...]


def table_rows(board: "Leaderboard") -> list[Row]:
    """Return the rows, best first, with one :class:`Figure` per accuracy column."""
    ranking = board.board.evaluation.ranking_column
    columns, scale = accuracy_columns(board), _scale(board.table, ranking)
    places = group_places([str(group) for group in board.table["group"]])
    rows = zip(board.table.iterrows(), cells_of_rows(board).values(), strict=True)
    return [
        Row(
            index=index,
            rank=int(row["rank"]),
            ranks=_ranks(row),
            group=str(row["group"]),
            group_order=places[str(row["group"])],
            title=str(row["defense"]),
            training=str(row["training"]),
            network=own_network(board, cells),
            recipe=str(row["recipe"]),
            figures=tuple(_figure(row, c, scale if c == ranking else None) for c in columns),
            cost=times(float(row["train_cost"])),
            cost_order=sort_key(row["train_cost"]),
            flags=tuple((flag, sentences(flag, cells)) for flag in flags_of(row)),
        )
        for index, ((_, row), cells) in enumerate(rows)
    ]


def group_places(groups: Sequence[str]) -> dict[str, str]:
    """Return what each group is sorted by: its place, with z before aa; "" for none, the last."""
    inner = {group: [(len(letters), letters) for letters in group.split()] for group in groups}
    order = sorted(filter(None, inner), key=inner.__getitem__)
    return {"": "", **{group: str(place) for place, group in enumerate(order)}}


def _figure(row: "pd.Series[Any]", column: str, scale: tuple[float, float] | None) -> Figure:
    mean, std, low, high = (float(row[f"{column}_{n}"]) for n in ("mean", "std", "low", "high"))
    whisker = None
    if scale and not pd.isna(mean):
        start, width = scale[0], max(scale[1] - scale[0], 1e-9)
        ends = [round(100 * (value - start) / width, 1) for value in (low, mean, high)]
        whisker = (ends[0], ends[1], ends[2])
    return Figure(
        order=sort_key(mean),
        mean=percent(mean),
        std="" if pd.isna(std) else percent(std),
        interval="" if pd.isna(low) else interval(low, high),
        whisker=whisker,
    )


def _ranks(row: "pd.Series[Any]") -> str:
    if pd.isna(row["rank_low"]):
        return MISSING
    low, high = int(row["rank_low"]), int(row["rank_high"])
    return str(low) if low == high else f"{low}{RANGE}{high}"


def _scale(table: pd.DataFrame, column: str) -> tuple[float, float]:
    return float(table[f"{column}_low"].min()), float(table[f"{column}_high"].max())
