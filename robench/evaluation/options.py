"""Settings of an evaluation, apart from what is evaluated, as one object."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from numbers import Integral
from pathlib import Path
from typing import TypedDict, Unpack, get_args

import torch
from torch import Tensor

from robench.board.specs import Shortcut
from robench.errors import UserError, did_you_mean
from robench.progress import ProgressCallback, ignore_progress

Observer = Callable[[str, Tensor, Tensor, Tensor], None]
"""Called with what was evaluated: the attack's name or "clean", which samples (B,), their images
(B, C, H, W) float32 in [0, 1], and the float32 logits of the prediction (B, classes); all on the
CPU."""


@dataclass(frozen=True)
class EvaluationOptions:
    """Settings of an evaluation.

    Attributes:
        seed: seed of random starts and orders.
        batch_size: samples attacked at a time; halved if memory runs out.
        without: shortcuts to leave out, names from :data:`robench.board.specs.Shortcut`.
        device: the device to run on; the model is moved there meanwhile. None: the model's own.
        progress: called after each batch.
        observer: called with what was evaluated, first with ``clean`` on all samples.
        resume: a file, ``.npz``, that keeps what is done: the same evaluation, if it was
            interrupted, goes on with it and ends with the same outcomes to the bit. A file of
            another evaluation is replaced, with a warning. It is written at most every 30 seconds
            and not removed: remove it with :func:`robench.evaluation.partial.remove` when the
            outcomes are stored.

    Raises:
        UserError: if batch_size or seed is out of range, a shortcut is unknown, or there are both
            an observer and a file to resume from, which holds no images to observe.
    """

    seed: int = 0
    batch_size: int = 256
    without: Collection[str] = ()
    device: str | torch.device | None = None
    progress: ProgressCallback = ignore_progress
    observer: Observer | None = None
    resume: Path | None = None

    def __post_init__(self) -> None:
        for name, least in (("batch_size", 1), ("seed", 0)):
            value = getattr(self, name)
            _check_whole(name, value, least)
            object.__setattr__(self, name, int(value))  # NumPy's integers are none for torch
        if not callable(self.progress):
            raise UserError(
                f"progress is {self.progress!r}; give a function, which is called after each batch."
            )
        check_shortcuts(self.without)
        if self.resume is not None and self.observer is not None:
            raise UserError(
                "resume keeps outcomes, not the images that an observer is called with; "
                "leave out one of them."
            )

    @classmethod
    def of(
        cls,
        options: "EvaluationOptions | None",
        **keywords: Unpack["EvaluationKeywords"],
    ) -> "EvaluationOptions":
        """Return ``options``, or the defaults, with the ``keywords`` that a caller gave.

        Raises:
            UserError: if a keyword is not an option; names the nearest.
        """
        check_keywords(keywords, cls, "an evaluation")
        if options is not None and not isinstance(options, cls):
            raise UserError(
                f"options is a {type(options).__name__}; give a robench.{cls.__name__}, or its "
                f"fields as keyword arguments."
            )
        return replace(options or cls(), **keywords)


class EvaluationKeywords(TypedDict, total=False):
    """The fields of :class:`EvaluationOptions` as keyword arguments."""

    seed: int
    batch_size: int
    without: Collection[str]
    device: str | torch.device | None
    progress: ProgressCallback
    observer: Observer | None
    resume: Path | None


def check_keywords(keywords: Iterable[str], options: type[EvaluationOptions], what: str) -> None:
    """Check that every keyword is a field of the options.

    Raises:
        UserError: if one is not; says what has no such option, and names the nearest.
    """
    valid = options.__dataclass_fields__
    for name in keywords:
        if name not in valid:
            raise UserError(f"{what} has no option '{name}'; {did_you_mean(name, valid)}")


def _check_whole(name: str, value: object, least: int) -> None:
    """Raise an error for what is not a whole number that torch takes, at least ``least``."""
    if not isinstance(value, Integral) or not least <= int(value) < 2**63:
        raise UserError(f"{name} is {value}; give a whole number, {least} or more.")


def check_shortcuts(names: Iterable[str]) -> set[str]:
    """Return the names as a set.

    Raises:
        UserError: if one is not a shortcut; names the nearest.
    """
    for name in (names := set(names)):
        if name not in get_args(Shortcut):
            near = did_you_mean(name, get_args(Shortcut))
            raise UserError(f"no shortcut is named '{name}'; {near}")
    return names
