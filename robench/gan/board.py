"""A board of GANs: defenses of the discriminator, one recipe, and how samples are measured."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from robench.board.explain import explain
from robench.board.limits import LONGEST_TEXT, MOST_ROWS, MOST_SEEDS, Call, Title
from robench.board.loading import read_form
from robench.board.overrides import change_values, find_board, renamed, words_of
from robench.board.paper import Paper
from robench.board.specs import Spec
from robench.errors import UserError
from robench.expressions import LARGEST_SEED, split_titles
from robench.gan.defended import written_out
from robench.gan.metrics.extractors import INCEPTION
from robench.gan.spec import GanSpec, with_own_width

MOST_PROTOCOLS = 10
"""Protocols of a board: papers use two."""


class GanRow(Spec):
    """A row of the board: the defense of the discriminator, and its changes to the recipe."""

    defense: Call
    """A registered defense, with its options."""
    label: Title = ""
    """The row's name in the table; the defense if left out."""
    weights: Literal["last", "ema"] = "last"
    """Which weights of the generator are measured: the last, or their moving average."""
    gan: dict[str, Any] = Field(default_factory=dict)
    """Keys of ``[gan]`` that the row changes."""

    @property
    def title(self) -> str:
        """The row's name in the table."""
        return self.label or self.defense


class GanData(Spec):
    """The images: all of the training part, neither flipped nor cropped."""

    name: str = Field("cifar10", max_length=1000)
    """A registered data set, or ``image_folder``."""


SPLITS = 10
"""Parts of the samples over which the inception score is averaged."""


class ProtocolSpec(Spec):
    """How many samples are compared with which images."""

    name: str = Field("", pattern=r"^[a-z0-9_]{0,20}$")
    """What is appended to the columns of the protocol; needed if there are several."""
    samples: int = Field(50_000, ge=2, le=200_000)
    """Samples that are drawn."""
    against: Literal["train", "test"] = "train"
    """The part of the data set that they are compared with."""
    images: int | None = Field(None, ge=2)
    """A class-balanced sample of so many of its images; all if left out."""

    def column(self, metric: str) -> str:
        """Return the name of a metric by this protocol: ``fid``, or ``fid_NAME``."""
        return f"{metric}_{self.name}" if self.name else metric


class MeasureSpec(Spec):
    """What is measured, and what ranks."""

    extractor: str = Field(INCEPTION, min_length=1, max_length=1000)
    """The network of the features: ``inception``, ``efficientnet_lite0``, or the path of a
    classifier that robench trained."""
    protocols: tuple[ProtocolSpec, ...] = Field(
        (ProtocolSpec(),), min_length=1, max_length=MOST_PROTOCOLS
    )
    """How samples are compared with images; the first ranks, and measures snapshots."""
    seed: int = Field(0, ge=0, le=LARGEST_SEED)
    """The seed of the latent vectors."""
    snapshots: bool = False
    """Whether the generators that were kept on the way are measured, too."""
    rank_by: Literal["distance", "kernel_distance", "score"] = "distance"
    """What ranks: the Frechet distance or the kernel distance, of which less is better, or
    Inception's score, of which more is better."""

    @field_validator("protocols")
    @classmethod
    def _names_differ(cls, protocols: tuple[ProtocolSpec, ...]) -> tuple[ProtocolSpec, ...]:
        names = [protocol.name for protocol in protocols]
        if len(set(names)) < len(names):
            raise UserError(
                "two protocols have the same name; their columns need names that differ"
            )
        if len(names) > 1 and "" in names:
            raise UserError("there are several protocols, and one has no name; name each of them")
        if "std" in names:
            raise UserError("a protocol is named 'std', as deviations are; name it otherwise")
        return protocols

    @model_validator(mode="after")
    def _score_is_of_inception(self) -> Self:
        if self.rank_by == "score" and self.extractor != INCEPTION:
            raise UserError(f"only the extractor '{INCEPTION}' gives a score to rank by")
        return self

    @model_validator(mode="after")
    def _score_has_samples(self) -> Self:
        fewest = min(protocol.samples for protocol in self.protocols)
        if self.extractor == INCEPTION and fewest < SPLITS:
            raise UserError(
                f"a protocol has {fewest} samples, and the inception score needs {SPLITS} or more"
            )
        return self


def metric_names(extractor: str) -> dict[str, str]:
    """Return what can rank -> the name of the metric, for features of an extractor.

    Args:
        extractor: what distances in its features are called after.
    """
    if extractor == INCEPTION:
        return {"distance": "fid", "kernel_distance": "kid", "score": "is"}
    return {"distance": f"fd_{extractor}", "kernel_distance": f"kd_{extractor}"}


class GanBoard(Spec):
    """The specification of a leaderboard of GANs."""

    title: Title
    """What the board is, in one line."""
    description: str = Field("", max_length=LONGEST_TEXT)
    """What a reader should know; shown on its page."""
    authors: str = Field("", max_length=LONGEST_TEXT)
    """Who made the board, as BibTeX separates them."""
    defenses: tuple[Call, ...] = Field((), max_length=MOST_ROWS)
    """The rows by the board's recipe."""
    arms: tuple[GanRow, ...] = Field((), max_length=MOST_ROWS)
    """Rows with labels or changes of their own."""
    seeds: tuple[Annotated[int, Field(ge=0, le=LARGEST_SEED)], ...] = Field(
        (0,), min_length=1, max_length=MOST_SEEDS
    )
    """Seeds of the trainings; each row is trained once for each."""
    data: GanData = GanData()
    """The images."""
    gan: GanSpec
    """Networks and recipe."""
    measure: MeasureSpec = MeasureSpec()
    """What is measured."""
    paper: Paper | None = None
    """The published experiment that the board reproduces."""
    publish_weights: bool = False
    """Whether the leaderboard's folder has the generators that were measured."""

    @field_validator("seeds")
    @classmethod
    def _each_once(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise UserError("duplicate seed: it would train the same GAN twice; list it once")
        return seeds

    @model_validator(mode="after")
    def _rows_are_told_apart(self) -> Self:
        if not self.rows:
            raise UserError("the board has no rows; list defenses")
        title, times = Counter(self.titles).most_common(1)[0]
        if times > 1:
            raise UserError(f"two rows are called '{title}'; give one of them a label")
        return self

    @model_validator(mode="after")
    def _snapshots_are_kept(self) -> Self:
        if self.measure.snapshots and not self.gan.snapshots:
            raise UserError("measure.snapshots needs generators on the way; set gan.snapshots")
        return self

    @property
    def rows(self) -> list[GanRow]:
        """All rows: the defenses, then the rows of their own."""
        return [GanRow(defense=defense) for defense in self.defenses] + list(self.arms)

    @property
    def titles(self) -> list[str]:
        """The names of the rows."""
        return [row.title for row in self.rows]

    @property
    def networks(self) -> int:
        """How many GANs are trained for each seed: rows that differ in ``weights`` share one."""
        return len({(row.defense, self.recipe_of(row)) for row in self.rows})

    def recipe_of(self, row: GanRow) -> GanSpec:
        """Return the networks and the recipe of a row.

        Raises:
            UserError: if the row changes a key that does not exist, or to a wrong value; or needs
                an average that the recipe does not keep.
        """
        try:
            values = with_own_width(self.gan, self.gan.model_dump() | row.gan, row.gan)
            recipe = GanSpec.model_validate(values)
        except ValidationError as error:
            raise UserError(f"the row '{row.title}', gan: {explain(error, GanSpec)}") from None
        if row.weights == "ema" and not recipe.averaging:
            raise UserError(f"the row '{row.title}' needs averaged weights; set gan.averaging.")
        return recipe

    def columns(self, extractor: str | None = None) -> list[str]:
        """Return the columns of metrics, those of the first protocol first.

        Args:
            extractor: what distances are called after, if the board names a path.
        """
        names = metric_names(extractor or self.measure.extractor).values()
        return [protocol.column(name) for protocol in self.measure.protocols for name in names]

    def ranking_column(self, extractor: str | None = None) -> str:
        """Return the column that ranks; see :meth:`columns`."""
        names = metric_names(extractor or self.measure.extractor)
        return self.measure.protocols[0].column(names[self.measure.rank_by])

    @property
    def more_is_better(self) -> bool:
        """Whether the row with the largest figure is the best."""
        return self.measure.rank_by == "score"


def check_gan_board(board: GanBoard, titles: Sequence[str] = ()) -> None:
    """Check what a board names: defenses, recipes of rows, figures of a paper.

    Args:
        board: the board.
        titles: those of the whole board, if it has only some of its rows.

    Raises:
        UserError: if something is unknown or does not fit.
    """
    for row in board.rows:
        written_out(row.defense)
        board.recipe_of(row)
    if board.paper is not None:
        # Distances are no shares, and kernel distances may be below 0.
        board.paper.check([*titles] or board.titles, board.columns(), shares=False)


def read_gan_board(path: Path) -> GanBoard:
    """Read a board of GANs from its TOML file, which may extend another.

    Raises:
        UserError: see :func:`robench.board.loading.read_board`.
    """
    board = read_form(path, GanBoard)
    try:
        check_gan_board(board)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return board


def open_gan_board(
    name: str, *, rows: str | None = None, seeds: str | None = None, changes: Sequence[str] = ()
) -> tuple[str, GanBoard]:
    """Read a board of GANs and apply the changes of the command line.

    Args and returns as :func:`robench.board.overrides.open_board`, but that there are no rows
    called ``all``: not every defense suits a discriminator.

    Raises:
        UserError: if it is not found or a change does not fit.
    """
    short, path = find_board(name)
    board = read_gan_board(path)
    values = board.model_dump()
    if rows is not None:
        labeled = {row.title: row for row in board.arms}
        wanted = split_titles(rows, labeled)
        values["defenses"] = [title for title in wanted if title not in labeled]
        values["arms"] = [labeled[title].model_dump() for title in wanted if title in labeled]
    change_values(values, seeds, changes)
    changed_keys = {change.partition("=")[0].strip().removeprefix("gan.") for change in changes}
    values["gan"] = with_own_width(board.gan, values["gan"], changed_keys)
    try:
        changed = GanBoard.model_validate(values)
    except ValidationError as error:
        raise UserError(
            f"the board with the requested changes: {explain(error, GanBoard)}"
        ) from None
    check_gan_board(changed, board.titles)
    same = changed.model_copy(update={"seeds": board.seeds}) == board
    if same and set(changed.seeds) >= set(board.seeds):
        return short, changed
    return renamed(short, board, changed, words_of(rows, seeds, changes))
