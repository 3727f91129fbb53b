"""Types of the entries in the list of columns: see :mod:`robench.leaderboard.columns`."""

import math
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal

import pandas as pd

from robench.leaderboard.comparison import Comparison
from robench.leaderboard.row import ColumnOutcomes, LeaderboardRow, Role
from robench.runs.records import BoardResult

Kind = Literal["text", "whole number", "number", "fraction", "timing"]
"""``text`` is read back as text, everything else as numbers; a ``timing`` differs between two runs
of the same work; a ``fraction`` is an accuracy or rate in [0, 1], shown in percent."""

FORMS: dict[Kind, str] = {
    "text": "{value}",
    "whole number": "{value:,.0f}",
    "number": "{value:.4g}",
    "fraction": "{percent:.1f}",
    "timing": "{value:.1f}",
}
"""How the page formats a figure of each kind."""


def _always(_: BoardResult) -> bool:
    return True


def _of_every_board(_: BoardResult, column: str) -> bool:
    return True


@dataclass(frozen=True)
class _Described:
    """The fields that every entry has.

    Attributes:
        name: the name of the column.
        kind: how its values are read and shown.
        description: its meaning as a phrase, in Markdown.
        heading: its name among the details of a row on the page; empty to leave it out there.
        form: its format on the page, with the fields ``value``, ``percent`` (100 times the value)
            and ``baseline`` (the title of the baseline row); empty for the format of its kind.
    """

    name: str
    kind: Kind
    description: str
    _: KW_ONLY
    heading: str = ""
    form: str = ""

    def text(self, value: Any, baseline: str) -> str | None:
        """Return a value as the page writes it; None if it is missing."""
        form = self.form or FORMS[self.kind]
        if isinstance(value, str):
            return form.format(value=value, baseline=baseline) if value else None
        if pd.isna(value) or not math.isfinite(value):
            return None
        return form.format(value=value, percent=100 * value, baseline=baseline)


@dataclass(frozen=True)
class Column(_Described):
    """A column whose value is computed from the row alone.

    Attributes:
        value: computes the value of a row; ``math.nan`` if it has no number.
        present: returns whether a board has the column.
    """

    value: Callable[[LeaderboardRow], Any]
    _: KW_ONLY
    present: Callable[[BoardResult], bool] = _always


@dataclass(frozen=True)
class RelativeColumn(_Described):
    """A column whose values are computed from all rows together.

    Attributes:
        value: computes the values of all rows, in their order; called with the table of all other
            columns, the finished board, and the comparison of its rows.
    """

    value: Callable[[pd.DataFrame, BoardResult, Comparison], Any]


@dataclass(frozen=True)
class PerAttack(_Described):
    """A family of columns: ``X_NAME`` for each evaluated column X that has one of the roles.

    Its kind is never ``text``: files are read by the names of the columns that hold text.

    Attributes:
        value: computes the figure from the outcomes of one X; nan or 0 if there are none.
        of: the roles.
        present: returns whether a board has the figure for an X with such a role.
    """

    value: Callable[[ColumnOutcomes], float]
    of: tuple[Role, ...]
    _: KW_ONLY
    present: Callable[[BoardResult, str], bool] = _of_every_board


Entry = Column | RelativeColumn | PerAttack
