"""Specifications: what is trained, on which data, how, and with what it is attacked.

Everything that a result depends on is a field here, validated by pydantic; the hash of a cell's
specification is its name in the run store.
"""

import hashlib
import json
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    SerializerFunctionWrapHandler,
    Tag,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from robench.base import TrainingMethod
from robench.board.limits import MOST_ATTACKS, Call, PixelUnits
from robench.board.mean_and_std import MeanAndStd
from robench.board.ranking import COMBINED, check_ranking, default_column, main_column
from robench.errors import UserError
from robench.expressions import parse_expression
from robench.registry import training_methods

SPEC_VERSION = 1
"""Part of every cell's identity; raised when the meaning of a specification changes."""

SOURCES_VERSION = 2
"""The version of a trained cell with ``sources``, which version 1 does not have.

A cell without them stays at version 1, so that it keeps its name.
"""

HASH = r"^[0-9a-f]{64}$"
"""sha256 in hexadecimal."""


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
    """A frozen part of a specification that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DataSpec(Spec):
    """The images, and what is done to the training part.

    ``subset`` is a share of the images that the validation part leaves or, with
    ``subset_of = "all"``, of all training images; 1 keeps all that are left. ``label_noise`` is the
    share of the images that get a label at random: one of the other classes or, with
    ``label_noise_mode = "uniform"``, of all classes, so that some stay right.
    """

    name: str = "mnist5k"
    subset: float = Field(1.0, gt=0, le=1)
    subset_of: Literal["remaining", "all"] = "remaining"
    label_noise: float = Field(0.0, ge=0, lt=1)
    label_noise_mode: Literal["other", "uniform"] = "other"
    validation: float = Field(0.1, ge=0, lt=1)
    crop_padding: int | None = Field(None, ge=0)
    flip: bool | None = None

    @model_validator(mode="after")
    def _subset_is_left(self) -> Self:
        if self.kept > 1:
            raise ValueError(
                f"subset = {self.subset:g} of all images is more than validation = "
                f"{self.validation:g} leaves; use at most {1 - self.validation:g}, or 1 for all "
                f"that are left"
            )
        return self

    @model_serializer(mode="wrap")
    def _without_later_defaults(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = serialize(self)
        return {k: v for k, v in values.items() if _DATA_ADDED_LATER.get(k, ...) != v}

    @property
    def kept(self) -> float:
        """The share of the images left by the validation part that is trained on."""
        if self.subset_of == "remaining" or self.subset == 1:
            return self.subset
        return round(self.subset / (1 - self.validation), 12)


_DATA_ADDED_LATER = {"subset_of": "remaining", "label_noise_mode": "other"}
"""Defaults that were always in effect; left out of the JSON form, so that cells keep their names."""


class ModelSpec(Spec):
    """The network; ``width`` is the number of channels of its first stage."""

    name: str = "resnet18"
    width: int = Field(64, ge=1)
    stem: Literal["cifar", "half", "imagenet"] = "cifar"


PUBLISHED = {"published": True}
"""Validation context for published specifications, whose plugins may not be loaded here."""

METHOD_OPTIONS = ("replays", "eps", "step_size", "carry_delta")
"""Keys of the recipe that are passed to the training method if it has such options."""


class TrainingSpec(Spec):
    """The training recipe. The defaults are the paper's free adversarial training.

    ``method`` names a registered training method, optionally with its options:
    ``"free(replays=8)"``.
    """

    method: Call = "free"
    epochs: int = Field(30, ge=1)
    batch_size: int = Field(128, ge=2)
    lr: float = Field(0.1, gt=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    weight_decay: float = Field(1e-4, ge=0)
    schedule: Literal["step", "one-cycle"] = "step"
    milestones: tuple[int, ...] = (10, 20)
    precision: Literal["float32", "bf16"] = "float32"
    replays: int = Field(4, ge=1)
    eps: PixelUnits = 8 / 255
    step_size: PixelUnits = 8 / 255
    carry_delta: bool = False

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

    ``rank_by`` is a column, ``worst_case`` or ``best_known``. The attacks of the worst case are
    those that ``worst_case`` names; if it is left out, all of the ranking column's threat model.
    ``checks`` test whether the figures can be trusted, with their own attacks on the first
    ``check_samples`` images; ``binarization`` adds a test that trains briefly for each image.
    ``spectra`` adds norms and condition numbers of each network's layers.
    """

    attacks: tuple[Call, ...] = Field(("fgsm", "pgd-10", "pgd-20"), max_length=MOST_ATTACKS)
    samples: int = Field(1000, ge=1)
    batch_size: int = Field(256, ge=1)
    rank_by: Call = ""
    worst_case: tuple[Call, ...] = Field((), max_length=MOST_ATTACKS)
    without: tuple[Shortcut, ...] = ()
    checks: bool = True
    check_samples: int = Field(128, ge=10)
    binarization: bool = False
    spectra: bool = False
    defaults: dict[str, OptionValue] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _columns_are_distinct_and_rank(self) -> Self:
        check_ranking(self.attacks, self.rank_by, self.worst_case)
        return self

    @model_serializer(mode="wrap")
    def _without_empty_set(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = serialize(self)
        return {k: value for k, value in values.items() if k != "worst_case" or value}

    @property
    def columns(self) -> tuple[str, ...]:
        """What is evaluated: the clean images, then each attack."""
        return ("clean", *self.attacks)

    @property
    def ranking_column(self) -> str:
        """``rank_by``; if it is left out, PGD-20, or else the last attack, or clean."""
        return self.rank_by or default_column(self.attacks)

    @property
    def main_column(self) -> str:
        """The evaluated column whose threat model is the board's: that which ranks if it is one."""
        if self.ranking_column not in COMBINED:
            return self.ranking_column
        return main_column(self.attacks, self.worst_case)


class Hashed(Spec):
    """A specification that is identified by its hash."""

    @cached_property
    def key(self) -> str:
        """The name of the cell's folder: a hash of the specification."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


SourceName = Annotated[
    str, Field(pattern=r"^(defense|training method|backbone|data set) [a-z][a-z0-9_]{0,80}$")
]
"""An entry whose source is part of a cell's identity: its kind and name."""


class Cell(Hashed):
    """One network to train: everything that its weights depend on, and nothing else.

    Attributes:
        defense: the defense, with its options.
        data: the images, and what is done to the training part.
        data_hash: the fingerprint of the images.
        model: the network.
        training: the recipe.
        seed: the seed of the training and of the attacks.
        plugin_hash: in version 1, a hash of the files that ``--plugin`` named.
        sources: the sources of its entries, but for those of the suite as they are shipped; see
            :func:`robench.board.sources.sources_of`. Left out of the JSON form if there are none.
        version: see :data:`SPEC_VERSION` and :data:`SOURCES_VERSION`.
    """

    defense: str
    data: DataSpec
    data_hash: str
    model: ModelSpec
    training: TrainingSpec
    seed: int
    plugin_hash: str | None = None
    sources: dict[SourceName, Annotated[str, Field(pattern=HASH)]] = Field(default_factory=dict)
    version: int = SPEC_VERSION

    @model_validator(mode="after")
    def _sources_are_of_version_2(self) -> Self:
        if self.sources and (self.version < SOURCES_VERSION or self.plugin_hash is not None):
            raise ValueError(
                f"a cell with 'sources' has version {SOURCES_VERSION} and no plugin_hash"
            )
        return self

    @model_serializer(mode="wrap")
    def _without_empty_sources(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = serialize(self)
        if not self.sources:
            values.pop("sources", None)
        return values


class ExternalCell(MeanAndStd, Hashed):
    """A third-party network, which robench evaluates but did not train.

    Attributes:
        architecture: what builds it, as ``--model`` names it, without the folder of a file.
        code_hash: sha256 of the ``.py`` file that builds it, if there is one.
        weights_hash: sha256 of its safetensors file.
        data: the images that it is evaluated on.
        data_hash: the fingerprint of the images.
        seed: the seed of the attacks.
    """

    architecture: str = Field(pattern=r"^[^/\\]{1,160}$")
    code_hash: str | None = Field(None, pattern=HASH)
    weights_hash: str = Field(pattern=HASH)
    data: DataSpec
    data_hash: str
    seed: int
    version: int = SPEC_VERSION

    @field_validator("version")
    @classmethod
    def _version_is_known(cls, version: int) -> int:
        if version != SPEC_VERSION:
            raise ValueError(f"this robench knows version {SPEC_VERSION}, not {version}")
        return version

    @property
    def file(self) -> str | None:
        """The name of the ``.py`` file that builds it, or None."""
        source = self.architecture.partition(":")[0]
        return source if source.endswith(".py") else None

    @property
    def of_library(self) -> bool:
        """Whether timm or torchvision builds it, not code of its author."""
        return self.architecture.startswith(("timm:", "torchvision:"))


_TRAINED, _EXTERNAL = "<trained>", "<external>"


def _kind(value: Any) -> str:
    known = value if isinstance(value, dict) else getattr(value, "__dict__", {})
    return _EXTERNAL if "architecture" in known else _TRAINED


AnyCell = Annotated[
    Annotated[Cell, Tag(_TRAINED)] | Annotated[ExternalCell, Tag(_EXTERNAL)], Discriminator(_kind)
]
"""A network of a board; a wrong key is reported only for the kind that is meant."""


KINDS: dict[Any, type[BaseModel]] = {_TRAINED: Cell, _EXTERNAL: ExternalCell}
"""The tags that pydantic adds to the location of an error if a key has one of several forms."""
