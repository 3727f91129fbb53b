"""What a paper reports of an experiment: shown beside our figures, never in their place."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from robench.board.specs import Spec
from robench.errors import UserError, did_you_mean

Printed = Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)]
PaperFigure = Annotated[tuple[Printed, ...], Field(min_length=1, max_length=2)]
"""A mean, and its standard deviation where the paper gives one."""

OTHER_COLUMNS = ("train_seconds_per_epoch", "train_cost", "condition_ratio")
"""Columns of a leaderboard beside those of its attacks that a paper may have figures for.

The list of all columns, ``robench.leaderboard.columns``, is a room above; a test compares them."""


class Paper(Spec):
    """Which experiment of a paper a board makes again, and what the paper found.

    Attributes:
        item: the table or figure, as the paper calls it.
        source: of the paper.
        scale: ``full`` is the paper's size; ``reduced`` says in the board's title what is smaller.
        choices: what the paper leaves open, with the value chosen and why, a sentence each.
        figures: row -> column -> mean and standard deviation, as printed: accuracies and success
            rates in percent.
    """

    item: str
    source: str = "arXiv:2103.00673"
    scale: Literal["full", "reduced"] = "full"
    choices: tuple[str, ...] = ()
    figures: dict[str, dict[str, PaperFigure]] = Field(default_factory=dict)

    def check(self, rows: list[str], columns: Sequence[str]) -> None:
        """Check that the figures belong to rows and columns of the board.

        Args:
            rows: the titles of the board's rows.
            columns: of its leaderboard: see :meth:`robench.board.board.Board.check_paper`.

        Raises:
            UserError: for a figure of something that is not on the board; names the nearest.
        """
        for row, figures in self.figures.items():
            if row not in rows:
                raise UserError(f"paper.figures has '{row}', no row; {did_you_mean(row, rows)}")
            for column, printed in figures.items():
                if column not in columns:
                    raise UserError(
                        f"paper.figures.{row} has '{column}', no column; "
                        f"{did_you_mean(column, columns)}"
                    )
                if is_share(column) and max(printed) > 100:
                    raise UserError(
                        f"paper.figures.{row}.{column} has {max(printed):g}: write a percentage, "
                        f"from 0 to 100."
                    )


def is_share(column: str) -> bool:
    """Whether a column holds accuracies or rates, which papers print in percent."""
    return column not in OTHER_COLUMNS and not column.endswith("_queries")
