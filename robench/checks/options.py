"""How a network is checked, apart from which network it is."""

from dataclasses import dataclass
from typing import Unpack

from robench.errors import UserError, did_you_mean
from robench.evaluation.options import EvaluationKeywords, EvaluationOptions


class CheckKeywords(EvaluationKeywords, total=False):
    """The fields of :class:`CheckOptions` as keyword arguments."""

    samples: int
    step_size: float | None


@dataclass(frozen=True)
class CheckOptions(EvaluationOptions):
    """How a network is checked: how it is evaluated, and the size of the checks' own attacks.

    Attributes:
        samples: attack the first so many of the images.
        step_size: of the standard attack, in the norm of the threat model; None: a quarter of the
            radius.

    Raises:
        UserError: for no samples, a batch without samples or an unknown shortcut.
    """

    samples: int = 128
    step_size: float | None = None

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise UserError(f"samples is {self.samples}; give 1 or more.")
        super().__post_init__()

    @classmethod
    def from_keywords(cls, **keywords: Unpack[CheckKeywords]) -> "CheckOptions":
        """Return the defaults with the ``keywords`` that a caller gave.

        Raises:
            UserError: for a keyword that is none; names the nearest.
        """
        for name in keywords:
            if name not in cls.__dataclass_fields__:
                near = did_you_mean(name, cls.__dataclass_fields__)
                raise UserError(f"check_model has no option '{name}'; {near}")
        return cls(**keywords)
