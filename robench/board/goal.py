"""The goal of a speedrun: accuracies that a training has to reach, in as few seconds as it can."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator

from robench.board.limits import MOST_ATTACKS, MOST_SEEDS, Call
from robench.board.ranking import ADAPTIVE
from robench.board.specs import Spec
from robench.errors import UserError, did_you_mean, shortened


def _fraction(value: Any) -> Any:
    if isinstance(value, bool):
        raise UserError("a fraction is expected, such as 0.45 for 45%, not true or false")
    if isinstance(value, (int, float)) and not 0 < value <= 1:
        raise UserError(
            f"an accuracy to reach is a fraction above 0 and up to 1, such as 0.45 for 45%, not "
            f"{value:g}"
        )
    return value


Fraction = Annotated[float, Field(gt=0, le=1), BeforeValidator(_fraction)]


class Goal(Spec):
    """What makes a board a speedrun: of the rows that reach it, the fastest training wins.

    Each of its trainings runs alone, so that no other work of the run makes it slower.
    """

    accuracy: dict[Call, Fraction] = Field(min_length=1, max_length=MOST_ATTACKS)
    """For each evaluated column that counts, the accuracy that a row must reach, a fraction: mean
    over the seeds."""
    seeds: int = Field(10, ge=1, le=MOST_SEEDS)
    """Seeds without which a row has no place: of a few, one would publish the luckiest."""

    @field_validator("accuracy")
    @classmethod
    def _in_one_order(cls, accuracy: dict[str, float]) -> dict[str, float]:
        # What a row misses is published as text, and JSON keeps the names in this order.
        return dict(sorted(accuracy.items()))

    def check(self, columns: Sequence[str]) -> None:
        """Check that each accuracy is that of a column.

        Args:
            columns: what the board evaluates.

        Raises:
            UserError: if it is not, or is one of an attack that only some rows have; the message
                names the nearest column.
        """
        known = [name for name in columns if name.partition("(")[0] != ADAPTIVE]
        for name in self.accuracy:
            if name not in known:
                raise UserError(
                    f"goal.accuracy has '{shortened(name)}', which is not a column that the board "
                    f"evaluates for every row; {did_you_mean(name, known)}"
                )
