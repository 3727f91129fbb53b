"""The board: what is to be trained, attacked and ranked, as read from a TOML file."""

from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, field_validator, model_validator

from robench.board.goal import Goal
from robench.board.limits import (
    ADDRESS,
    LONGEST_ADDRESS,
    LONGEST_TEXT,
    MOST_ROWS,
    MOST_SEEDS,
    Call,
    Title,
)
from robench.board.paper import OTHER_COLUMNS, Paper
from robench.board.specs import DataSpec, EvaluationSpec, ModelSpec, Spec, TrainingSpec
from robench.errors import UserError
from robench.expressions import LARGEST_SEED
from robench.registry import attacks


class RowSpec(Spec):
    """A row of the board: a defense, its changes to recipe and data, and its own network if any."""

    defense: Call
    """A registered defense, with its options: ``convnorm(bn=false)``."""
    label: Title = ""
    """The row's name in the table; that of the defense if left out."""
    training: dict[str, Any] = Field(default_factory=dict)
    """Keys of ``[training]`` that the row changes."""
    data: dict[str, Any] = Field(default_factory=dict)
    """Keys of ``[data]`` that the row changes."""
    model: ModelSpec | None = None
    """The row's own network."""

    @property
    def title(self) -> str:
        """The row's name in the table."""
        return self.label or self.defense


class Board(Spec):
    """A leaderboard's specification."""

    added_later: ClassVar[frozenset[str]] = frozenset(
        {"authors", "goal", "publish_weights", "weights_at"}
    )

    title: Title
    """What the board is, in one line."""
    description: str = Field("", max_length=LONGEST_TEXT)
    """What a reader should know; shown on its page."""
    authors: str = Field("", max_length=LONGEST_TEXT)
    """Who made the board, as BibTeX separates them: "Ada Lovelace and Alan Turing"."""
    defenses: tuple[Call, ...] = Field((), max_length=MOST_ROWS)
    """The rows that are trained by the board's recipe."""
    seeds: tuple[Annotated[int, Field(ge=0, le=LARGEST_SEED)], ...] = Field(
        (0,), min_length=1, max_length=MOST_SEEDS
    )
    """Seeds of training and attacks; each row is trained once for each."""
    data: DataSpec = DataSpec()
    """The images."""
    model: ModelSpec = ModelSpec()
    """The network."""
    training: TrainingSpec = TrainingSpec()
    """The recipe."""
    evaluation: EvaluationSpec = EvaluationSpec()
    """The attacks, and what ranks."""
    arms: tuple[RowSpec, ...] = Field((), max_length=MOST_ROWS)
    """Rows with changes of their own to the recipe, the data or the network."""
    external: tuple[Title, ...] = Field((), max_length=MOST_ROWS)
    """Titles of the rows with third-party networks; published, never trained."""
    baseline: str = ""
    """The row whose training time is 1 in ``train_cost``, and whose adversarial images are
    transferred to the other rows; the first one if left out."""
    paper: Paper | None = None
    """The published experiment that the board reproduces."""
    goal: Goal | None = None
    """The accuracies that make the board a speedrun: of the rows that reach them, the fastest
    training wins."""

    publish_weights: bool = False
    """Whether the leaderboard's folder has the weights, so that whoever gets it can attack them;
    for small networks."""

    weights_at: str = Field("", max_length=LONGEST_ADDRESS, pattern=ADDRESS)
    """A URL or path where those weights are that the leaderboard's folder does not have; shown to
    whoever needs them, never opened. The manifests have their hashes."""

    @field_validator("seeds")
    @classmethod
    def _each_once(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise UserError("duplicate seed: it would train the same network twice; list it once.")
        return seeds

    @model_validator(mode="after")
    def _goal_has_columns(self) -> Self:
        if self.goal is not None:
            self.goal.check(self.evaluation.columns)
        return self

    @property
    def titles(self) -> list[str]:
        """The names of the rows, without any look-up in the registries."""
        return [*(row.title for row in self.row_specs), *self.external]

    @property
    def baseline_row(self) -> str:
        """The row that the others are compared with: ``baseline``, or the first."""
        return self.baseline or self.titles[0]

    def check_paper(self, titles: list[str] | None = None) -> None:
        """Check that the leaderboard will have a row and a column for each figure of the paper.

        Args:
            titles: the titles of all the board's rows, if ``self`` has only some of them.

        Raises:
            UserError: if a figure belongs to a row or column that the leaderboard will not have.
        """
        if self.paper is None:
            return
        columns = [*self.evaluation.columns, *OTHER_COLUMNS]
        if not self.evaluation.spectra:
            columns.remove("condition_ratio")
        for attack in self.evaluation.attacks:
            if _counts_queries(attack):
                columns += [f"{attack}_queries", f"{attack}_success"]
        self.paper.check(self.titles if titles is None else titles, columns)

    @property
    def row_specs(self) -> list[RowSpec]:
        """The rows to train: every defense, then the rows with their own recipes (``arms``)."""
        return [RowSpec(defense=defense) for defense in self.defenses] + list(self.arms)


def _counts_queries(attack: str) -> bool:
    try:
        return attacks.build(attack).reports_queries
    except UserError:
        return True  # it cannot be built here, so the board is given the benefit of the doubt
