"""AutoAttack (Croce and Hein 2020): four attacks without parameters, one after the other."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor

from robench.attack_tools.losses import fooled
from robench.attack_tools.threat_models import Norm, check_radius
from robench.attack_tools.victims import class_count
from robench.base import Adversarial, Attack, LogitsModel
from robench.errors import UserError
from robench.expressions import Expression
from robench.registry import attacks, register_attack

TARGETS = 9
"""Classes that the targeted parts try, the likeliest first, as in the authors' code."""


@register_attack("autoattack", reference="arXiv:2003.01690")
@dataclass(frozen=True)
class AutoAttack(Attack):
    """AutoAttack: APGD-CE, targeted APGD, targeted FAB and Square; each gets what is left.

    The parts are those of torchattacks with the numbers of the authors' standard version: 100
    steps (torchattacks' own AutoAttack takes 10), 9 target classes, 5,000 queries. Networks of
    three classes or fewer go without targeted APGD, whose loss needs four.

    Attributes:
        norm: the ball's norm.
        eps: its radius, for images in [0, 1].
        version: "standard"; or "rand" for networks that draw random numbers: APGD on the
            cross-entropy and on the DLR loss, with gradients averaged over 20 forwards.
        steps: of APGD and FAB.
        queries: of Square.

    Raises:
        UserError: for an option out of range.
    """

    norm: Norm = "linf"
    eps: float = 8 / 255
    version: Literal["standard", "rand"] = "standard"
    steps: int = 100
    queries: int = 5000

    def __post_init__(self) -> None:
        check_radius("eps", self.eps, self.norm)
        for name in ("steps", "queries"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} is {getattr(self, name)}: it must be 1 or more.")

    def perturb(
        self,
        model: LogitsModel,
        images: Tensor,
        labels: Tensor,
        rngs: Sequence[Generator],
    ) -> Adversarial:
        """Run the parts; a sample that one of them fools is not given to the next.

        Raises:
            UserError: for a network of fewer than two classes, or where a part fails.
        """
        classes = class_count(model, images)
        if classes < 2:
            raise UserError(
                f"the network tells {classes} class apart: there is none to take it for."
            )
        best = images.clone()
        left = torch.arange(len(images))
        for part in self.parts(classes):
            if not len(left):
                break
            x, y = images[left], labels[left]
            found = part.perturb(model, x, y, [rngs[i] for i in left]).images
            lost = fooled(model, found, y).cpu()
            best[left[lost]] = found[lost.to(found.device)]
            left = left[~lost]
        return Adversarial(best)

    def parts(self, classes: int) -> list[Attack]:
        """Return the parts for a network of so many classes."""
        ball = {"norm": self.norm, "eps": self.eps}
        apgd = {**ball, "steps": self.steps}
        if self.version == "rand":
            averaged = {**apgd, "eot_iter": 20}
            losses = ["ce", "dlr"] if classes > 2 else ["ce"]
            return [_part("APGD", **averaged, loss=loss) for loss in losses]
        targets = min(classes, TARGETS + 1)
        return [
            _part("APGD", **apgd, loss="ce"),
            *([_part("APGDT", **apgd, n_classes=targets)] if classes > 3 else []),
            _part("FAB", **apgd, multi_targeted=True, n_classes=targets),
            _part("Square", **ball, n_queries=self.queries),
        ]


def _part(name: str, **options: object) -> Attack:
    return attacks.build(Expression(f"torchattacks:{name}", options))
