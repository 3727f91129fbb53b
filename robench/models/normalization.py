"""Mean and std that are put before a third-party network, which then gets images in [0, 1]."""

import math
from dataclasses import dataclass
from typing import Any

from torch import nn

from robench.board.mean_and_std import MeanAndStd
from robench.data import load_dataset
from robench.data.load import can_load, is_path
from robench.data.statistics import MEAN_STD
from robench.errors import UserError, did_you_mean
from robench.expressions import typed_number
from robench.models.build import Normalize

NONE = "none"
"""The name that puts nothing before a network."""
MOST_CHANNELS = 64
"""The most values that a mean or a std has."""


@dataclass(frozen=True)
class Normalization:
    """Mean and std of each channel, of images in [0, 1], and where they come from.

    Attributes:
        mean: what is subtracted, one value per channel or one for all.
        std: what is divided by.
        source: where the values come from, in words.

    Raises:
        UserError: if a value cannot be a mean or a std of images in [0, 1].
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    source: str = ""

    def __post_init__(self) -> None:
        values = (*self.mean, *self.std)
        if len(self.mean) != len(self.std) or not 0 < len(self.mean) <= MOST_CHANNELS:
            raise UserError(
                f"the mean has {len(self.mean)} values and the std {len(self.std)}; give one per "
                f"channel of both."
            )
        if not all(math.isfinite(value) for value in values):
            raise UserError("the mean and std must be finite numbers.")
        if max(map(abs, values)) > 2:
            raise UserError(
                f"{max(values, key=abs):g} cannot be a mean or std of images in [0, 1]; divide "
                f"those of images in [0, 255] by 255."
            )
        if min(self.std) <= 0:
            raise UserError(f"the std is {min(self.std):g}; it must be above 0.")

    @property
    def is_identity(self) -> bool:
        """Whether it leaves images unchanged."""
        return set(self.mean) == {0.0} and set(self.std) == {1.0}

    def layer(self) -> nn.Module:
        """Return the layer that normalizes images (B, C, H, W)."""
        return nn.Identity() if self.is_identity else Normalize(self.mean, self.std)

    def of_channels(self, count: int) -> "Normalization":
        """Return it for images of ``count`` channels: of other numbers of channels, the average."""
        if len(self.mean) in (1, count):
            return self
        mean, std = (math.fsum(values) / len(values) for values in (self.mean, self.std))
        return Normalization((mean,), (std,), f"{self.source}, averaged over its channels")

    def __str__(self) -> str:
        """Say what is put before the network."""
        if self.is_identity:
            return "nothing is put before the network: it gets images in [0, 1]"
        mean, std = (", ".join(f"{value:.4g}" for value in v) for v in (self.mean, self.std))
        source = f" ({self.source})" if self.source else ""
        return f"images are normalized with mean {mean} and std {std}{source}"


IDENTITY = Normalization((0.0,), (1.0,))
"""Nothing is put before the network."""


def recorded(specification: MeanAndStd, source: str = "") -> Normalization | None:
    """Return the normalization that a specification states; None if it leaves it to the library.

    Args:
        specification: that of a third-party network.
        source: where it is written, in words.
    """
    if specification.mean is None or specification.std is None:
        return None
    return Normalization(specification.mean, specification.std, source)


def choose_normalization(
    name: str | None = None, mean: str | None = None, std: str | None = None
) -> Normalization | None:
    """Return the normalization that a user asks for, or None if none is asked for.

    Args:
        name: ``none``, a well-known data set (``cifar10``, ``imagenet``), or any other data set,
            which is loaded.
        mean: numbers separated by commas, one per channel, of images in [0, 1].
        std: likewise.

    Raises:
        UserError: if the name is unknown, only one of ``mean`` and ``std`` is given, or both they
            and a name are, or a number is not one.
    """
    if mean is None and std is None:
        return None if name is None else _named(name)
    if name is not None:
        raise UserError("give either --normalize or --mean and --std, not both.")
    if mean is None or std is None:
        raise UserError("--mean and --std belong together; give both.")
    return Normalization(_numbers("--mean", mean), _numbers("--std", std), "--mean and --std")


def _named(name: str) -> Normalization:
    if name == NONE:
        return IDENTITY
    if name in MEAN_STD:
        mean, std = MEAN_STD[name]
        return Normalization(mean, std, name)
    if can_load(name) or is_path(name):
        dataset = load_dataset(name)
        return Normalization(tuple(dataset.mean), tuple(dataset.std), dataset.name)
    raise UserError(
        f"no mean and std are known for '{name}'; {did_you_mean(name, (NONE, *MEAN_STD))} Other "
        f"values are given with --mean and --std."
    )


def _numbers(option: str, text: str) -> tuple[float, ...]:
    parts = text.strip("()[] ").split(",")
    values: list[Any] = [typed_number(part.strip()) for part in parts]
    if not all(isinstance(value, float) for value in values):
        raise UserError(f"{option} '{text}': give numbers separated by commas, one per channel.")
    return tuple(values)
