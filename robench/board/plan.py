"""A resolved board: built defenses and attacks, and the recipe and data of each row."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from pydantic import ValidationError

from robench.base import Attack, Defense, RadiusOptions
from robench.board.attack_calls import build_attack
from robench.board.board import Board, RowSpec
from robench.board.cells import SOURCES_VERSION, SPEC_VERSION, Cell
from robench.board.explain import explain
from robench.board.ranking import CORRUPTION, check_threat_models
from robench.board.recipes import check_changes, recipe_for
from robench.board.sources import Entries, entries_of, sources_of
from robench.board.specs import DataSpec, EvaluationSpec, ModelSpec, TrainingSpec
from robench.board.titles import mistaken_for
from robench.errors import UserError, did_you_mean, shortened
from robench.expressions import parse_expression
from robench.registry import attacks, backbones, defenses


@dataclass(frozen=True)
class PlannedRow:
    """A row of a board that robench trains.

    Attributes:
        spec: the row as specified on the board.
        defense: the built defense.
        recipe: the board's training recipe, with the changes of the defense and the row.
        data: the board's images, with the changes of the row.
        model: the network.
    """

    spec: RowSpec
    defense: Defense
    recipe: TrainingSpec
    data: DataSpec
    model: ModelSpec

    @property
    def title(self) -> str:
        """The row's name in the table."""
        return self.spec.title

    @property
    def entries(self) -> Entries:
        """The entries that its networks depend on, as far as they are registered here."""
        return entries_of(self.spec.defense, self.recipe.method, self.model.name, self.data.name)

    def cells(self, seeds: Sequence[int], data_name: str, data_hash: str) -> list[Cell]:
        """Return the cells of the row, one per seed.

        Args:
            seeds: the seeds of the board.
            data_name: the name of the data set in tables (never a path).
            data_hash: the fingerprint of its images and labels.
        """
        sources = sources_of(self.entries)
        return [
            Cell(
                defense=str(parse_expression(self.spec.defense)),
                data=self.data.model_copy(update={"name": data_name}),
                data_hash=data_hash,
                model=self.model,
                training=self.recipe,
                seed=seed,
                sources=sources,
                version=SOURCES_VERSION if sources else SPEC_VERSION,
            )
            for seed in seeds
        ]


@dataclass(frozen=True)
class Plan:
    """A resolved board; everything in it is known to exist.

    Attributes:
        board: the specification.
        rows: the rows to train, in the board's order.
        attacks: column -> built attack.
    """

    board: Board
    rows: tuple[PlannedRow, ...]
    attacks: Mapping[str, Attack]


def resolve(board: Board) -> Plan:
    """Build every defense and attack that a board names, so that a wrong name wastes no work.

    Raises:
        UserError: for the first unknown name or option, and for rows that cannot be trained.
    """
    if board.external:
        raise UserError(
            f"the row '{board.external[0]}' is a third-party network, which is evaluated and not "
            f"trained; name the rows to train with --defenses, or take it out of 'external' and "
            f"add it with 'robench submit --model'."
        )
    rows = resolve_rows(board)
    _check_defaults(board.evaluation)
    built = build_attacks(board.evaluation)
    for name in {row.model.name for row in rows}:
        backbones.lookup(name)
    return Plan(board, rows, built)


def resolve_rows(board: Board) -> tuple[PlannedRow, ...]:
    """Return the rows to train, without looking at the attacks.

    Raises:
        UserError: if there is no row, two rows have the same name, a row has the name of another
            defense, the baseline is not a row, or the recipe or the data of a row are wrong.
    """
    titles = board.titles
    if not titles:
        raise UserError("the board names no defense; give it at least one.")
    for title, times in Counter(titles).items():
        if times > 1:
            raise UserError(
                f"two rows of the board are named '{shortened(title)}'; give one a label."
            )
    if board.baseline and board.baseline not in titles:
        raise UserError(
            f"baseline = '{shortened(board.baseline)}' is not a row; "
            f"{did_you_mean(board.baseline, titles)}"
        )
    for spec in board.row_specs:
        if other := mistaken_for(spec.title, spec.defense):
            defenses.lookup(spec.defense)  # of an unknown one, the nearest name is said
            raise UserError(
                f"the row '{shortened(spec.title)}' is {spec.defense}, but is named like another "
                f"defense, {other}; give it another label."
            )
    data = [data_of(board, spec) for spec in board.row_specs]
    rows = tuple(
        _resolve(board, spec, images) for spec, images in zip(board.row_specs, data, strict=True)
    )
    for row in rows:  # of boards that were published before there was this check, it says nothing
        with _naming(row.spec):
            check_changes(row.recipe, row.spec.training)
    return rows


def resolve_row(board: Board, spec: RowSpec) -> PlannedRow:
    """Return one of the rows to train.

    Args:
        board: the board.
        spec: one of its ``row_specs``.

    Raises:
        UserError: as for :func:`resolve_rows`, but for this row alone.
    """
    return _resolve(board, spec, data_of(board, spec))


def data_of(board: Board, spec: RowSpec) -> DataSpec:
    """Return the images of a row: the board's, with the changes of the row.

    Raises:
        UserError: for an unknown key, a wrong value or another data set: all rows are evaluated
            on the same images.
    """
    if "name" in spec.data:
        raise UserError(
            f"the data of '{spec.title}' name another data set; all rows of a board are "
            f"evaluated on the same images, so give this row a board of its own."
        )
    try:
        return DataSpec.model_validate({**board.data.model_dump(), **spec.data})
    except ValidationError as error:
        raise UserError(f"the data of '{spec.title}': {explain(error, DataSpec)}") from None


def build_attacks(evaluation: EvaluationSpec) -> dict[str, Attack]:
    """Return column -> attack, with the board's defaults for options that an attack leaves out.

    Raises:
        UserError: for the first unknown name or option, or radius out of range; or if the attacks
            of the worst case do not keep to one ball, or corruptions rank and there are none.
    """
    built = {name: build_attack(name, evaluation.defaults) for name in evaluation.attacks}
    models = {"clean": None, **{name: attack.threat_model for name, attack in built.items()}}
    check_threat_models(
        evaluation.main_column, evaluation.ranking_column, evaluation.worst_case, models
    )
    if evaluation.rank_by == CORRUPTION and not any(attack.corrupts for attack in built.values()):
        raise UserError(
            f"rank_by = '{CORRUPTION}', but no corruption is among the attacks; add "
            f"'{CORRUPTION}' to evaluation.attacks."
        )
    if evaluation.strict and not any(attack.proves for attack in built.values()):
        raise UserError(
            "evaluation.strict is set, but no certificate is among the attacks; add 'certified' to "
            "evaluation.attacks."
        )
    return built


def _resolve(board: Board, spec: RowSpec, data: DataSpec) -> PlannedRow:
    defense = defenses.build(spec.defense)
    with _naming(spec):
        recipe = recipe_for(board.training, defense, spec.training)
    return PlannedRow(spec, defense, recipe, data, canonical_model(spec.model or board.model))


@contextmanager
def _naming(spec: RowSpec) -> Iterator[None]:
    """Name the row in what is said of its recipe."""
    try:
        yield
    except UserError as error:
        raise UserError(f"the recipe of '{spec.title}': {error}") from None


def _check_defaults(evaluation: EvaluationSpec) -> None:
    """Check that an attack of the board has each default: another one would have no effect.

    Norm, radius and step size state the board's threat model, also while no attack needs them:
    ``--set evaluation.attacks=[...]`` exchanges attacks.
    """
    threat_model = RadiusOptions()
    known = {*threat_model.norm, *threat_model.radius, *threat_model.step}
    for attack in evaluation.attacks:
        known |= attacks.options(attack)
    for name in evaluation.defaults:
        if name not in known:
            raise UserError(
                f"evaluation.defaults has '{name}', which is not an option of any of its attacks; "
                f"{did_you_mean(name, known)}"
            )


def canonical_model(model: ModelSpec) -> ModelSpec:
    """Return a network with its options in the canonical spelling; a bare name stays unchanged."""
    if "(" not in model.name:
        return model
    return model.model_copy(update={"name": str(parse_expression(model.name))})
