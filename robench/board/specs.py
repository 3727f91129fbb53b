"""Specifications: what is trained, on which data, how, and with what it is attacked.

Everything that a result depends on is a field here, validated by pydantic; a network's are put
together in :mod:`robench.board.cells`.
"""

from functools import cache
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from robench.base import TrainingMethod
from robench.board.attack_calls import expand_calls
from robench.board.limits import (
    LARGEST_RATE,
    MOST_ATTACKS,
    MOST_EPOCHS,
    MOST_IMAGES,
    MOST_PADDING,
    WIDEST,
    Call,
    PixelUnits,
)
from robench.board.ranking import SUMMARIES, check_ranking, default_ranking, main_column
from robench.errors import UserError
from robench.expressions import parse_expression
from robench.registry import training_methods
from robench.signatures import check_booleans, kinds_of

OptionValue = bool | int | float | str
"""What a board may set as an option of attacks; strings such as "8/255" are accepted."""


Shortcut = Literal["pools", "channels_last", "folding", "bf16"]
"""The optimizations of attacks; each can be left out by its name.

- ``pools``: continuous batching: finished samples leave the batch and others take their place;
- ``channels_last``: images and weights are in the channels-last memory format;
- ``folding``: a copy with folded batch norms and fused ReLUs replaces the model;
- ``bf16``: gradients are computed in bf16 if the machine supports it.

Predictions are always float32; if the copy's two best classes are nearly tied, the model itself
decides.
"""


class Spec(BaseModel):
    """A frozen part of a specification that refuses unknown keys.

    Attributes:
        added_later: fields that came after the first results, with defaults that had always been in
            effect. At their defaults they are left out of the JSON form, so that results keep
            their names.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    added_later: ClassVar[frozenset[str]] = frozenset()

    @field_validator("*", mode="before")
    @classmethod
    def _is_of_its_kind(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse true for 1 and "yes" for true, which pydantic would accept."""
        check_booleans(value, _kinds_of_fields(cls)[str(info.field_name)])
        return value

    @model_serializer(mode="wrap")
    def _without_later_defaults(
        self, serialize: SerializerFunctionWrapHandler, info: SerializationInfo
    ) -> dict[str, Any]:
        values: dict[str, Any] = serialize(self)
        if info.mode != "json":
            return values
        return {name: v for name, v in values.items() if not self._has_always_been(name)}

    def _has_always_been(self, name: str) -> bool:
        if name not in self.added_later:
            return False
        default = type(self).model_fields[name].get_default(call_default_factory=True)
        return bool(getattr(self, name) == default)


@cache  # tables of a large leaderboard have many of a form
def _kinds_of_fields(form: type[Spec]) -> dict[str, frozenset[Any]]:
    return {name: kinds_of(field.annotation) for name, field in form.model_fields.items()}


class DataSpec(Spec):
    """The images, and what is done to the training part.

    ``subset`` is a share of the images that the validation part leaves or, with
    ``subset_of = "all"``, of all training images; 1 keeps all that are left. ``label_noise`` is the
    share of the images that get a label at random: one of the other classes or, with
    ``label_noise_mode = "uniform"``, of all classes, so that some stay right.
    """

    added_later: ClassVar[frozenset[str]] = frozenset({"subset_of", "label_noise_mode"})

    name: str = "mnist5k"
    """A registered data set, with its options: ``emnist(split='letters')``; or ``hf:ORG/NAME``."""
    subset: float = Field(1.0, gt=0, le=1)
    """Share of the training images that is trained on."""
    subset_of: Literal["remaining", "all"] = "remaining"
    """What it is a share of: what the validation part leaves, or all training images."""
    label_noise: float = Field(0.0, ge=0, lt=1)
    """Share of the training images that get a label at random."""
    label_noise_mode: Literal["other", "uniform"] = "other"
    """Which label: one of the other classes, or of all."""
    validation: float = Field(0.1, ge=0, lt=1)
    """Share of the training images that is held out to validate."""
    crop_padding: int | None = Field(None, ge=0, le=MOST_PADDING)
    """Pixels of padding before the random crop; the data set's own if left out."""
    flip: bool | None = None
    """Whether images are mirrored at random; as the data set has it if left out."""

    @model_validator(mode="after")
    def _subset_is_left(self) -> Self:
        if self.kept > 1:
            raise ValueError(
                f"subset = {self.subset:g} of all images is more than validation = "
                f"{self.validation:g} leaves; use at most {1 - self.validation:g}, or 1 for all "
                f"that are left"
            )
        return self

    @property
    def kept(self) -> float:
        """The share of the images left by the validation part that is trained on."""
        if self.subset_of == "remaining" or self.subset == 1:
            return self.subset
        return round(self.subset / (1 - self.validation), 12)


class ModelSpec(Spec):
    """The network; ``width`` is the number of channels of its first stage."""

    name: str = "resnet18"
    """A registered backbone, with its options: ``my_net(blocks=3)``."""
    width: int = Field(64, ge=1, le=WIDEST)
    """Channels of the first stage."""
    stem: Literal["cifar", "half", "imagenet"] = "cifar"
    """The first layer: 3x3 stride 1; 3x3 stride 2; 7x7 stride 2 and max-pool."""


PUBLISHED = {"published": True}
"""Validation context for published specifications, whose plugins may not be loaded here."""

METHOD_OPTIONS = ("replays", "eps", "step_size", "carry_delta")
"""Keys of the recipe that are passed to the training method if it has such options."""


class TrainingSpec(Spec):
    """The training recipe. The defaults are the paper's free adversarial training.

    ``method`` names a registered training method, optionally with its options:
    ``"free(replays=8)"``. ``averaging`` is the decay per optimizer step of an exponential moving
    average of the weights, which is then the trained network (0: the last weights).
    """

    added_later: ClassVar[frozenset[str]] = frozenset({"averaging"})

    method: Call = "free"
    """A registered training method, with its options."""
    epochs: int = Field(30, ge=1, le=MOST_EPOCHS)
    """Epochs over the images, free replays not counted."""
    batch_size: int = Field(128, ge=2, le=MOST_IMAGES)
    """Images per minibatch."""
    lr: float = Field(0.1, gt=0, le=LARGEST_RATE)
    """Learning rate: the initial one, or the largest of one-cycle."""
    momentum: float = Field(0.9, ge=0, lt=1)
    """Momentum of SGD."""
    weight_decay: float = Field(1e-4, ge=0, le=LARGEST_RATE)
    """Weight decay of SGD."""
    schedule: Literal["step", "one-cycle"] = "step"
    """How the learning rate changes."""
    milestones: tuple[Annotated[int, Field(ge=0)], ...] = (10, 20)
    """Epochs after which the schedule ``step`` divides the learning rate by 10."""
    precision: Literal["float32", "bf16"] = "float32"
    """Arithmetic of the training."""
    averaging: float = Field(0.0, ge=0, lt=1)
    """Decay per step of the average of the weights; 0 for the last weights."""
    replays: int = Field(4, ge=1, le=MOST_EPOCHS)
    """Replays of each minibatch, for methods with such an option."""
    eps: PixelUnits = 8 / 255
    """Radius of the ball in training, likewise."""
    step_size: PixelUnits = 8 / 255
    """Step of the perturbation in training, likewise."""
    carry_delta: bool = False
    """Whether a minibatch starts from the last one's perturbation, likewise."""

    @field_validator("method")
    @classmethod
    def _method_is_registered(cls, method: str, info: ValidationInfo) -> str:
        if info.context == PUBLISHED:
            return method
        usual = {key: cls.model_fields[key].default for key in METHOD_OPTIONS}
        try:
            training_methods.build(method, usual)
            return str(parse_expression(method))
        except UserError as error:  # as a value error, so that pydantic adds the key
            raise ValueError(str(error)) from None

    def build_method(self) -> TrainingMethod:
        """Return the training method, with the recipe's values for options that it leaves out.

        Raises:
            UserError: if it is not registered here, or refuses a value.
        """
        values = {key: getattr(self, key) for key in METHOD_OPTIONS}
        return training_methods.build(self.method, values)


class EvaluationSpec(Spec):
    """The attacks, the images that they attack and the column that ranks.

    One call among ``attacks`` may stand for several columns, as ``corruption(severity=3)`` does.
    ``rank_by`` is a column, ``worst_case``, ``best_known`` or ``corruption``, the mean over all
    corruptions. The attacks of the worst case are
    those that ``worst_case`` names; if it is left out, all of the ranking column's threat model.
    ``checks`` test whether the figures can be trusted, with their own attacks on the first
    ``check_samples`` images; ``binarization`` adds a test that trains briefly for each image.
    ``spectra`` adds norms and condition numbers of each network's layers. A ``strict`` board
    refuses to train networks of which its certificates prove nothing.
    """

    added_later: ClassVar[frozenset[str]] = frozenset({"worst_case", "strict"})

    attacks: tuple[Call, ...] = Field(("fgsm", "pgd-10", "pgd-20"), max_length=MOST_ATTACKS)
    """The attacks, with their options: the columns of the table."""
    samples: int = Field(1000, ge=1, le=MOST_IMAGES)
    """Number of test images, a class-balanced sample."""
    batch_size: int = Field(256, ge=1, le=MOST_IMAGES)
    """Images per batch; outcomes of robench's own attacks do not depend on it."""
    rank_by: Call = ""
    """What ranks; if left out, the worst case with AutoAttack, else PGD-20 or the last attack."""
    worst_case: tuple[Call, ...] = Field((), max_length=MOST_ATTACKS)
    """The attacks of the worst case."""
    without: tuple[Shortcut, ...] = ()
    """Optimizations of attacks to leave out."""
    checks: bool = True
    """Whether networks are checked."""
    check_samples: int = Field(128, ge=10, le=MOST_IMAGES)
    """Images that the checks attack, the first ones."""
    binarization: bool = False
    """Whether the binarization test is among the checks."""
    spectra: bool = False
    """Whether norms and condition numbers of the layers are measured."""
    strict: bool = False
    """Whether networks of which a certificate proves nothing are refused."""
    defaults: dict[str, OptionValue] = Field(default_factory=dict)
    """Options of attacks that set none of their own, such as ``eps``."""

    @field_validator("attacks")
    @classmethod
    def _one_call_per_column(cls, calls: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if info.context == PUBLISHED:
            return calls
        try:
            return tuple(expand_calls(calls))
        except UserError as error:
            raise ValueError(str(error)) from None

    @model_validator(mode="after")
    def _columns_are_distinct_and_rank(self) -> Self:
        check_ranking(self.attacks, self.rank_by, self.worst_case)
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """What is evaluated: the clean images, then each attack."""
        return ("clean", *self.attacks)

    @property
    def ranking_column(self) -> str:
        """``rank_by``; if it is left out, see :func:`robench.board.ranking.default_ranking`."""
        return self.rank_by or default_ranking(self.attacks)

    @property
    def main_column(self) -> str:
        """The evaluated column whose threat model is the board's: that which ranks if it is one."""
        if self.ranking_column not in SUMMARIES:
            return self.ranking_column
        return main_column(self.attacks, self.worst_case)
