"""Common corruptions (Hendrycks and Dietterich 2019): noise, blur, weather, compression."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, ClassVar, Self

import torch
from torch import Generator, Tensor

from robench import Adversarial, Attack, LogitsModel, UserError, register_attack
from robench.attack_tools.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from robench.errors import did_you_mean

LARGEST = 64
"""Largest side of an image: the strengths are those for 32x32 pixels."""


@register_attack("corruption", reference="arXiv:1903.12261")
@dataclass(frozen=True)
class Corruption(Attack):
    """A common corruption, such as noise, blur, fog or compression; it never calls the model.

    On a board or a command line, one call stands for several columns: ``corruption`` for all
    fifteen kinds at all five severities, ``corruption(severity=3)`` for all kinds at one.

    Attributes:
        kind: which corruption, such as gaussian_noise, motion_blur, fog or jpeg_compression.
        severity: how strong it is, from 1 to 5, with the strengths of CIFAR-10-C.

    Raises:
        UserError: for an unknown kind, or a severity out of range.
    """

    corrupts: ClassVar[bool] = True

    kind: str = "gaussian_noise"
    severity: int = 3

    def __post_init__(self) -> None:
        if self.kind not in CORRUPTIONS:
            raise UserError(
                f"'{self.kind}' is not a corruption; {did_you_mean(self.kind, CORRUPTIONS)}"
            )
        if self.severity not in SEVERITIES:
            raise UserError(f"severity is {self.severity}; it goes from 1 to {SEVERITIES[-1]}.")

    @classmethod
    def expand(cls, options: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
        """Return the options of each column: all kinds or severities that are left open."""
        kinds = [options["kind"]] if "kind" in options else list(CORRUPTIONS)
        severities = [options["severity"]] if "severity" in options else list(SEVERITIES)
        both = product(kinds, severities)
        return tuple({**options, "kind": kind, "severity": severity} for kind, severity in both)

    def shared_work(self) -> str:
        """Return one key for all corruptions: clean images are predicted once for all of them."""
        return "corruptions"

    @classmethod
    def perturb_together(
        cls,
        attacks: Sequence[Self],
        model: LogitsModel,
        images: Tensor,
        labels: Tensor,
        rngs: Sequence[Generator],
    ) -> list[Adversarial]:
        """Corrupt each image in each way, all from the same state of its generator."""
        states = [rng.get_state() for rng in rngs]
        found = []
        for attack in attacks:
            for rng, state in zip(rngs, states, strict=True):
                rng.set_state(state)
            found.append(attack.perturb(model, images, labels, rngs))
        return found

    def perturb(
        self,
        model: LogitsModel,
        images: Tensor,
        labels: Tensor,
        rngs: Sequence[Generator],
    ) -> Adversarial:
        """Corrupt each image; the model is never called."""
        channels, height, width = images.shape[1:]
        if channels not in (1, 3) or max(height, width) > LARGEST:
            raise UserError(
                f"corruptions have the strengths of CIFAR-10-C, for images of 1 or 3 channels and "
                f"at most {LARGEST}x{LARGEST} pixels; these have {channels} and {height}x{width}."
            )
        pairs = zip(images.float().cpu(), rngs, strict=True)
        corrupted = [corrupt(image, self.kind, self.severity, rng) for image, rng in pairs]
        none = torch.zeros(len(images), dtype=torch.int64)
        return Adversarial(torch.stack(corrupted).to(images.device), none, none)
