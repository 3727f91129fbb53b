"""What an entry of the list of leaderboard columns says: see :mod:`robench.leaderboard.columns`."""

import math
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal

import pandas as pd

from robench.board.board import Board
from robench.leaderboard.comparison import Comparison
from robench.leaderboard.row import ColumnOutcomes, LeaderboardRow, Role
from robench.runs.records import BoardResult

Kind = Literal["text", "whole number", "number", "fraction", "timing"]
"""``text`` is read back as text, everything else as numbers; a ``timing`` differs between two runs
of the same work; a ``fraction`` is an accuracy or a rate in [0, 1], shown in percent."""

FORMS: dict[Kind, str] = {
    "text": "{value}",
    "whole number": "{value:,.0f}",
    "number": "{value:.4g}",
    "fraction": "{percent:.1f}",
    "timing": "{value:.1f}",
}
"""How the page writes a figure of a kind."""


def _always(_: Board) -> bool:
    return True


@dataclass(frozen=True)
class _Described:
    """What every entry has.

    Attributes:
        name: of the column.
        kind: how its values are read and shown.
        description: a phrase for people, in Markdown.
        heading: its name on the page, among the details of a row; it is not there if empty.
        form: how the page writes it, a format of ``value``, ``percent`` (100 times the value) and
            ``baseline`` (the title of the baseline row); that of its kind if empty.
    """

    name: str
    kind: Kind
    description: str
    _: KW_ONLY
    heading: str = ""
    form: str = ""

    def text(self, value: Any, baseline: str) -> str | None:
        """Return a value as the page writes it; None where there is none."""
        form = self.form or FORMS[self.kind]
        if isinstance(value, str):
            return form.format(value=value, baseline=baseline) if value else None
        if pd.isna(value) or not math.isfinite(value):
            return None
        return form.format(value=value, percent=100 * value, baseline=baseline)


@dataclass(frozen=True)
class Column(_Described):
    """A column whose value follows from the row alone.

    Attributes:
        value: of a row; ``math.nan`` where there is no number.
        present: whether a board has the column.
    """

    value: Callable[[LeaderboardRow], Any]
    _: KW_ONLY
    present: Callable[[Board], bool] = _always


@dataclass(frozen=True)
class RelativeColumn(_Described):
    """A column whose values follow from all rows together.

    Attributes:
        value: of all rows, in their order; called with the table of all other columns, the
            finished board, and its rows compared.
    """

    value: Callable[[pd.DataFrame, BoardResult, Comparison], Any]


@dataclass(frozen=True)
class PerAttack(_Described):
    """A family: a column ``X_NAME`` for each evaluated column X that has one of the roles.

    Its kind is not ``text``: files are read by the names of the columns that hold text.

    Attributes:
        value: of the outcomes of one X; nan or 0 where there are none.
        of: the roles.
    """

    value: Callable[[ColumnOutcomes], float]
    of: tuple[Role, ...]


Entry = Column | RelativeColumn | PerAttack
