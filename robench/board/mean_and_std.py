"""The mean and std that a third-party network is published with, as keys of its specification."""

from typing import ClassVar, Self

from pydantic import Field
from pydantic import model_validator as validator

from robench.board.specs import Spec
from robench.errors import UserError

_CHANNELS = 64


class MeanAndStd(Spec):
    """What is put before a network, if it is not the default.

    Attributes:
        mean: mean of each channel, (0,) with std (1,) for nothing; None: that of the library's
            configuration, or nothing before other networks.
        std: standard deviation of each channel, likewise.
    """

    added_later: ClassVar[frozenset[str]] = frozenset({"mean", "std"})

    mean: tuple[float, ...] | None = Field(None, min_length=1, max_length=_CHANNELS)
    std: tuple[float, ...] | None = Field(None, min_length=1, max_length=_CHANNELS)

    @validator(mode="after")
    def _belong_together(self) -> Self:
        if (self.mean is None) != (self.std is None) or len(self.mean or ()) != len(self.std or ()):
            raise UserError("mean and std belong together; give one value per channel of both.")
        return self
