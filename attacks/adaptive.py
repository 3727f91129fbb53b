"""The attack that a defense ships against itself: what its authors owe (arXiv:2002.08347)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor

from robench import Adversarial, Attack, LogitsModel, register_attack
from robench.attack_tools.threat_models import Norm, check_radius
from robench.attack_tools.victims import as_victim
from robench.base import ThreatModel
from robench.errors import UserError


@register_attack("adaptive", reference="arXiv:2002.08347")
@dataclass(frozen=True)
class Adaptive(Attack):
    """The attack that the defense of the network ships against itself (``adaptive_attack``).

    Images of a network whose defense ships none are returned as they are, at no cost: a board's
    table leaves its field empty, and its worst case is that of the other attacks.

    Attributes:
        norm: norm of the ball that the defense's attack must keep to.
        eps: its radius, for images in [0, 1].

    Raises:
        UserError: if eps is out of range, or the defense returns an attack in another ball.
    """

    needs_defense: ClassVar[bool] = True

    norm: Norm = "linf"
    eps: float = 8 / 255

    def __post_init__(self) -> None:
        check_radius("eps", self.eps, self.norm)

    def perturb(
        self,
        model: LogitsModel,
        images: Tensor,
        labels: Tensor,
        rngs: Sequence[Generator],
    ) -> Adversarial:
        """Run the attack of the model's defense, if there is one."""
        ball = ThreatModel(self.norm, self.eps)
        defense = as_victim(model).defense
        attack = defense.adaptive_attack(ball) if defense is not None else None
        if attack is None:
            none = torch.zeros(len(images), dtype=torch.int64)
            return Adversarial(images, none, none, none)
        if not isinstance(attack, Attack):
            raise UserError(
                f"the adaptive_attack of the defense {type(defense).__name__} returns a "
                f"{type(attack).__name__}; it has to return a robench.Attack, or None."
            )
        if attack.threat_model != ball:
            raise UserError(
                f"the adaptive attack of the defense {type(defense).__name__} keeps to "
                f"{attack.threat_model}, but it is asked for {ball}; its adaptive_attack must pass "
                f"on norm and eps."
            )
        return attack.perturb(model, images, labels, rngs)
