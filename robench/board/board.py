"""The board: what is to be trained, attacked and ranked, as read from a TOML file."""

from typing import Annotated, Any

from pydantic import Field, ValidationError, field_validator

from robench.board.paper import OTHER_COLUMNS, Paper
from robench.board.recipes import join_hashes, recipe_for
from robench.board.specs import (
    Cell,
    DataSpec,
    EvaluationSpec,
    ModelSpec,
    Spec,
    TrainingSpec,
    explain,
)
from robench.errors import UserError, did_you_mean
from robench.expressions import LARGEST_SEED, parse_expression
from robench.registry import attacks, defenses, training_methods


class RowSpec(Spec):
    """A row of the board: a defense, what it changes in recipe and data, its network if its own."""

    defense: str
    label: str = ""
    training: dict[str, Any] = Field(default_factory=dict)
    data: dict[str, Any] = Field(default_factory=dict)
    model: ModelSpec | None = None

    @property
    def title(self) -> str:
        """The row's name in the table."""
        return self.label or self.defense


class Board(Spec):
    """A leaderboard's specification."""

    title: str
    description: str = ""
    defenses: tuple[str, ...] = ()
    seeds: tuple[Annotated[int, Field(ge=0, le=LARGEST_SEED)], ...] = Field((0,), min_length=1)
    data: DataSpec = DataSpec()
    model: ModelSpec = ModelSpec()
    training: TrainingSpec = TrainingSpec()
    evaluation: EvaluationSpec = EvaluationSpec()
    arms: tuple[RowSpec, ...] = ()
    external: tuple[str, ...] = ()
    """Rows that are somebody's own networks; published, never trained."""
    baseline: str = ""
    """The row whose training time is 1 in ``train_cost``, and whose adversarial images the others
    are tried on; the first one if left out."""
    paper: Paper | None = None
    """The published experiment that it makes again."""

    @field_validator("seeds")
    @classmethod
    def _each_once(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("a seed is there twice; the same network is no second sample.")
        return seeds

    def rows(self) -> list[tuple[RowSpec, TrainingSpec]]:
        """Return the rows that are trained: every defense, then the arms with recipes.

        Raises:
            UserError: where there is no row, two rows have one name, the baseline is no row,
                or an arm's recipe is wrong.
        """
        arms, titles = self._row_specs, self.titles
        if not titles:
            raise UserError("the board names no defense; give it at least one.")
        for title in titles:
            if titles.count(title) > 1:
                raise UserError(f"two rows of the board are named '{title}'; give one a label.")
        if self.baseline and self.baseline not in titles:
            raise UserError(
                f"baseline = '{self.baseline}' is no row; {did_you_mean(self.baseline, titles)}"
            )
        for arm in arms:
            self.data_of(arm)
        return [(arm, self._recipe(arm)) for arm in arms]

    def data_of(self, arm: RowSpec) -> DataSpec:
        """Return the images of a row: the board's, with what the row changes.

        Raises:
            UserError: for an unknown key, a wrong value or another data set: all rows are judged
                on the same images.
        """
        if "name" in arm.data:
            raise UserError(
                f"the data of '{arm.title}' name a set of their own; all rows of a board are "
                f"judged on the same images, so make it another board."
            )
        try:
            return DataSpec.model_validate({**self.data.model_dump(), **arm.data})
        except ValidationError as error:
            raise UserError(f"the data of '{arm.title}': {explain(error, DataSpec)}") from None

    @property
    def titles(self) -> list[str]:
        """The names of the rows; nothing is looked up."""
        return [*(arm.title for arm in self._row_specs), *self.external]

    @property
    def baseline_row(self) -> str:
        """The row that others are held against: ``baseline``, or the first."""
        return self.baseline or self.titles[0]

    def check_paper(self, titles: list[str] | None = None) -> None:
        """Check that each figure of the paper has a row and a column of ours beside it.

        Args:
            titles: the board's rows, where ``self`` has only some of them.

        Raises:
            UserError: for a figure of a row or column that the leaderboard will not have.
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
    def _row_specs(self) -> list[RowSpec]:
        return [RowSpec(defense=defense) for defense in self.defenses] + list(self.arms)

    def cells(
        self, arm: RowSpec, data_name: str, data_hash: str, plugin_hash: str | None = None
    ) -> list[Cell]:
        """Return the cells of a row, one a seed.

        Args:
            arm: the row.
            data_name: the data set's name in tables (never a path).
            data_hash: the fingerprint of its images and labels.
            plugin_hash: identity of the user's file that the defense comes from.
        """
        recipe = self._recipe(arm)
        code = join_hashes(plugin_hash, training_methods.plugin_hash(recipe.method))
        return [
            Cell(
                defense=str(parse_expression(arm.defense)),
                data=self.data_of(arm).model_copy(update={"name": data_name}),
                data_hash=data_hash,
                model=arm.model or self.model,
                training=recipe,
                seed=seed,
                plugin_hash=code,
            )
            for seed in self.seeds
        ]

    def _recipe(self, arm: RowSpec) -> TrainingSpec:
        defense = defenses.build(arm.defense)
        try:
            return recipe_for(self.training, defense, arm.training)
        except UserError as error:
            raise UserError(f"the recipe of '{arm.title}': {error}") from None


def _counts_queries(attack: str) -> bool:
    try:
        return attacks.build(attack).reports_queries
    except UserError:
        return True  # it cannot be built here, so there is nothing to hold against the board
