"""Options of a check run."""

from dataclasses import dataclass
from typing import Unpack

from robench.errors import UserError
from robench.evaluation.options import EvaluationKeywords, EvaluationOptions, check_keywords


class CheckKeywords(EvaluationKeywords, total=False):
    """The fields of :class:`CheckOptions` as keyword arguments."""

    samples: int
    step_size: float | None


@dataclass(frozen=True)
class CheckOptions(EvaluationOptions):
    """Options of a check run: those of the evaluation, and the size of the checks' own attacks.

    Attributes:
        samples: number of images to attack, from the first on.
        step_size: the step size of the standard attack, in the norm of the threat model; None
            means a quarter of the radius.

    Raises:
        UserError: if ``samples`` or the batch size is below 1, a shortcut is unknown, or
            ``resume`` is set: checks are not long.
    """

    samples: int = 128
    step_size: float | None = None

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise UserError(f"samples is {self.samples}; give 1 or more.")
        if self.resume is not None:
            raise UserError("checks keep no file to resume from; leave out resume.")
        super().__post_init__()

    @classmethod
    def from_keywords(cls, **keywords: Unpack[CheckKeywords]) -> "CheckOptions":
        """Return the defaults, overridden by ``keywords``.

        Raises:
            UserError: if a keyword is not an option; the message names the nearest one.
        """
        check_keywords(keywords, cls, "check_model")
        return cls(**keywords)
