"""The figures that a paper reports for an experiment, shown next to ours, never instead of them."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from robench.board.specs import Spec
from robench.errors import UserError, did_you_mean

Printed = Annotated[float, Field(allow_inf_nan=False, strict=True)]
PaperFigure = Annotated[tuple[Printed, ...], Field(min_length=1, max_length=2)]
"""A mean, and its standard deviation if the paper gives one."""

OTHER_COLUMNS = ("train_seconds_per_epoch", "train_cost", "condition_ratio")
"""Columns of a leaderboard, other than those of its attacks, that a paper may have figures for.

The list of all columns, ``robench.leaderboard.columns``, is in a higher layer; a test compares
the two."""


class Paper(Spec):
    """The experiment of a paper that a board reproduces, and the figures that the paper reports.

    Attributes:
        item: the table or figure, as the paper calls it.
        source: the identifier of the paper.
        scale: ``full`` is the paper's size; ``reduced`` is smaller, as the board's title says.
        choices: what the paper leaves open, the value chosen and why, one sentence per choice.
        figures: row -> column -> mean and standard deviation, as printed: accuracies and success
            rates in percent.
    """

    item: str
    source: str = "arXiv:2103.00673"
    scale: Literal["full", "reduced"] = "full"
    choices: tuple[str, ...] = ()
    figures: dict[str, dict[str, PaperFigure]] = Field(default_factory=dict)

    def check(self, rows: list[str], columns: Sequence[str], *, shares: bool = True) -> None:
        """Check that the figures belong to rows and columns of the board.

        Args:
            rows: the titles of the board's rows.
            columns: the columns of its leaderboard; see
                :meth:`robench.board.board.Board.check_paper`.
            shares: whether columns hold shares or other figures that are never below 0.

        Raises:
            UserError: if a figure has no row or column on the board, with the nearest ones, or is
                out of range.
        """
        for row, figures in self.figures.items():
            if row not in rows:
                raise UserError(
                    f"paper.figures has '{row}', which is not a row; {did_you_mean(row, rows)}"
                )
            for column, printed in figures.items():
                if column not in columns:
                    raise UserError(
                        f"paper.figures.{row} has '{column}', which is not a column; "
                        f"{did_you_mean(column, columns)}"
                    )
                if min(printed[1:], default=0) < 0 or (shares and printed[0] < 0):
                    raise UserError(
                        f"paper.figures.{row}.{column} has {min(printed):g}: it is 0 or more."
                    )
                if shares and is_share(column) and max(printed) > 100:
                    raise UserError(
                        f"paper.figures.{row}.{column} has {max(printed):g}: write a percentage, "
                        f"from 0 to 100."
                    )


def is_share(column: str) -> bool:
    """Return whether a column holds accuracies or rates, which papers print in percent."""
    return column not in OTHER_COLUMNS and not column.endswith("_queries")
