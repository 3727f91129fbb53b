"""What a GAN is trained on and how; its hash is its name in the store."""

from collections.abc import Collection
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from robench.board.cells import HASH, Hashed, SourceName
from robench.board.specs import Spec
from robench.errors import UserError
from robench.gan.architectures import architecture

GAN_VERSION = 1
"""Raised when the same specification comes to mean other work."""


class GanSpec(Spec):
    """The networks and the recipe. The defaults are those of SNGAN's code for its ResNet pair."""

    architecture: str = "sngan_resnet"
    """The pair of networks: ``sngan_resnet`` or ``sngan_cnn``."""
    width: int = Field(128, ge=1, le=4096)
    """Channels of the discriminator's first layer; if left out, the authors' own: 128 or 64."""
    latent: int = Field(128, ge=1, le=65536)
    """Size of a latent vector, standard normal."""
    last_layer: Literal["auto", "plain", "defended"] = "auto"
    """Whether the defense acts on the last layer, too; ``auto``: if it changes weights."""
    loss: Literal["hinge", "softplus"] = "hinge"
    """The losses of both networks."""
    steps: int = Field(50_000, ge=1)
    """Updates of the generator."""
    discriminator_steps: int = Field(5, ge=1)
    """Updates of the discriminator for each of them."""
    batch_size: int = Field(64, ge=2)
    """Images, and as many samples, in an update of the discriminator."""
    generator_batch_size: int = Field(128, ge=2)
    """Samples in an update of the generator."""
    lr: float = Field(2e-4, gt=0)
    """Learning rate of Adam, the initial one."""
    beta1: float = Field(0.0, ge=0, lt=1)
    """Decay of Adam's mean."""
    beta2: float = Field(0.9, ge=0, lt=1)
    """Decay of Adam's mean square."""
    decay: Literal["linear", "none"] = "linear"
    """How the learning rate changes: to zero along a line, or not at all."""
    averaging: float = Field(0.0, ge=0, lt=1)
    """Decay per step of an average of the generator's weights, kept beside the last; 0: none."""
    log_every: int = Field(100, ge=1)
    """Steps that each row of the log is about."""
    snapshots: int = Field(0, ge=0, le=1000)
    """Generators that are kept on the way, at equal distances, besides the last."""

    @model_validator(mode="before")
    @classmethod
    def _width_of_the_authors(cls, values: Any) -> Any:
        if not isinstance(values, dict) or "width" in values:
            return values
        try:
            known = architecture(str(values.get("architecture", "sngan_resnet")))
        except UserError:
            return values  # the field itself says so
        return values | {"width": known.width}

    @field_validator("architecture")
    @classmethod
    def _architecture_is_known(cls, name: str) -> str:
        architecture(name)
        return name

    @property
    def forwards(self) -> int:
        """The number of training forwards of the discriminator in all.

        Its images and its samples are two forwards of an update, as in SNGAN's code; each update of
        the generator takes one.
        """
        return self.steps * (1 + 2 * self.discriminator_steps)

    @property
    def snapshot_steps(self) -> tuple[int, ...]:
        """The numbers of steps after which a generator is kept, without the last."""
        parts = self.snapshots + 1
        steps = {round(self.steps * part / parts) for part in range(1, parts)}
        return tuple(sorted(steps - {0, self.steps}))

    def rate_at(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        return self.lr * (1 - step / self.steps) if self.decay == "linear" else self.lr


def with_own_width(
    before: GanSpec, values: dict[str, Any], changed: Collection[str]
) -> dict[str, Any]:
    """Return changed values of a recipe, without a width that was that of another architecture.

    Args:
        before: the recipe; its width was filled in if it is that of its architecture's authors.
        values: its values after the change.
        changed: the keys that were changed.
    """
    filled_in = before.width == architecture(before.architecture).width
    if "architecture" not in changed or "width" in changed or not filled_in:
        return values
    return {name: value for name, value in values.items() if name != "width"}


class GanCell(Hashed):
    """One GAN to train: everything that its weights depend on, and nothing else.

    Attributes:
        defense: the defense of the discriminator, as :func:`robench.gan.defended.written_out` has
            it.
        data: the name of the data set, of which the training images are used.
        data_hash: the fingerprint of the images.
        gan: networks and recipe.
        seed: the seed of weights, order, noise and latent vectors.
        sources: the sources of the entries that are not the suite's as shipped; see
            :func:`robench.board.sources.sources_of`.
        version: see :data:`GAN_VERSION`.
    """

    defense: str
    data: str
    data_hash: str = Field(pattern=HASH)
    gan: GanSpec
    seed: int = Field(ge=0)
    sources: dict[SourceName, str] = Field(default_factory=dict)
    version: int = GAN_VERSION

    @field_validator("version")
    @classmethod
    def _version_is_known(cls, version: int) -> int:
        if version != GAN_VERSION:
            raise ValueError(f"this robench knows version {GAN_VERSION}, not {version}")
        return version
