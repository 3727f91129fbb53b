"""The mean and std that a third-party network is published with, as keys of its specification."""

from typing import Any, Self

from pydantic import BaseModel, Field, SerializerFunctionWrapHandler, model_serializer
from pydantic import model_validator as validator

from robench.errors import UserError

_CHANNELS = 64


class MeanAndStd(BaseModel):
    """What is put before a network, if it is not the default.

    Attributes:
        mean: mean of each channel, (0,) with std (1,) for nothing; None: that of the library's
            configuration, or nothing before other networks.
        std: standard deviation of each channel, likewise.
    """

    mean: tuple[float, ...] | None = Field(None, min_length=1, max_length=_CHANNELS)
    std: tuple[float, ...] | None = Field(None, min_length=1, max_length=_CHANNELS)

    @validator(mode="after")
    def _belong_together(self) -> Self:
        if (self.mean is None) != (self.std is None) or len(self.mean or ()) != len(self.std or ()):
            raise UserError("mean and std belong together; give one value per channel of both.")
        return self

    @model_serializer(mode="wrap")
    def _without_defaults(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what networks published before these keys do not have: their hash is kept."""
        values: dict[str, Any] = handler(self)
        return {k: v for k, v in values.items() if k not in ("mean", "std") or v is not None}
