"""Cells: the specification of one network, whose hash is its name in the run store."""

import hashlib
import json
from functools import cached_property
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, Discriminator, Field, Tag, field_validator, model_validator

from robench.board.mean_and_std import MeanAndStd
from robench.board.specs import DataSpec, ModelSpec, Spec, TrainingSpec

SPEC_VERSION = 1
"""Part of every cell's identity; raised when the meaning of a specification changes."""

SOURCES_VERSION = 2
"""The version of a trained cell with ``sources``, which version 1 does not have.

A cell without them stays at version 1, so that it keeps its name.
"""

HASH = r"^[0-9a-f]{64}$"
"""sha256 in hexadecimal."""


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

    added_later: ClassVar[frozenset[str]] = frozenset({"sources"})

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


class ExternalCell(MeanAndStd, Hashed):
    """A third-party network, which robench evaluates but did not train.

    Attributes:
        architecture: what builds it, as ``--model`` names it, without the folder of a file.
        code_hash: sha256 of the ``.py`` file that builds it, if there is one.
        weights_hash: sha256 of its safetensors file.
        data: the images that it is evaluated on.
        data_hash: the fingerprint of the images.
        seed: the seed of the attacks.
        origin: the repository of the hub, and its commit, that the weights came from, as its
            author says; None for a file of one's own or the library's weights.
    """

    added_later: ClassVar[frozenset[str]] = MeanAndStd.added_later | {"origin"}

    architecture: str = Field(pattern=r"^[^/\\]{1,160}$")
    code_hash: str | None = Field(None, pattern=HASH)
    weights_hash: str = Field(pattern=HASH)
    data: DataSpec
    data_hash: str
    seed: int
    origin: str | None = Field(None, pattern=r"^hf:[\w.-]{1,100}/[\w.-]{1,100}@[0-9a-f]{40}$")
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
