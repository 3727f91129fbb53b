"""AutoAttack (Croce and Hein 2020): an ensemble of four parameter-free attacks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor

from robench import Adversarial, Attack, LogitsModel, UserError, register_attack
from robench.attack_tools.kept_search import KeptSearch
from robench.attack_tools.losses import fooled
from robench.attack_tools.threat_models import Norm, check_counts, check_radius
from robench.attack_tools.victims import class_count
from robench.expressions import Expression
from robench.registry import attacks

TARGETS = 9
"""Number of classes that the targeted parts try, most likely first, as in the authors' code."""

_FOOLED = -1


@register_attack("autoattack", reference="arXiv:2003.01690")
@dataclass(frozen=True)
class AutoAttack(Attack):
    """AutoAttack: APGD-CE, targeted APGD, targeted FAB and Square, run in sequence.

    Each part attacks only the samples that no earlier part has fooled. The parts are those of
    torchattacks with the settings of the authors' standard version: 100 steps (torchattacks' own
    AutoAttack takes 10), 9 target classes, 5,000 queries. Networks with three classes or fewer
    skip targeted APGD, whose loss needs four.

    Attributes:
        norm: norm of the perturbation ball.
        eps: its radius, for images in [0, 1].
        version: "standard"; or "rand" for randomized networks: APGD on the cross-entropy and on
            the DLR loss, with gradients averaged over 20 forwards.
        steps: number of steps of APGD and FAB.
        queries: query budget of Square.

    Raises:
        UserError: if an option is out of range.
    """

    norm: Norm = "linf"
    eps: float = 8 / 255
    version: Literal["standard", "rand"] = "standard"
    steps: int = 100
    queries: int = 5000

    def __post_init__(self) -> None:
        check_radius("eps", self.eps, self.norm)
        check_counts(self, "steps", "queries")

    def perturb(
        self,
        model: LogitsModel,
        images: Tensor,
        labels: Tensor,
        rngs: Sequence[Generator],
    ) -> Adversarial:
        """Run the parts, each on the samples that no earlier part has fooled.

        Raises:
            UserError: if the network has fewer than two classes, or a part fails.
        """
        classes = class_count(model, images)
        if classes < 2:
            raise UserError(
                f"the network has only {classes} class(es), so no other class can win; "
                f"use a network with two classes or more."
            )
        state = _State(images.clone(), torch.zeros(len(images), dtype=torch.int64))
        search = KeptSearch(model, state)
        for number, part in enumerate(self.parts(classes)):
            left = (state.next == number).nonzero().squeeze(1)
            if not len(left):
                continue
            x, y = images[left], labels[left]
            found = part.perturb(model, x, y, [rngs[i] for i in left]).images
            lost = fooled(model, found, y).cpu()
            state.best[left[lost]] = found[lost.to(found.device)]
            state.next[left] = torch.where(lost, _FOOLED, number + 1)
            search.keep()
        return Adversarial(state.best)

    def parts(self, classes: int) -> list[Attack]:
        """Return the parts for a network with this many classes."""
        threat_model = {"norm": self.norm, "eps": self.eps}
        apgd = {**threat_model, "steps": self.steps}
        if self.version == "rand":
            averaged = {**apgd, "eot_iter": 20}
            losses = ["ce", "dlr"] if classes > 2 else ["ce"]
            return [_part("APGD", **averaged, loss=loss) for loss in losses]
        targets = min(classes, TARGETS + 1)
        return [
            _part("APGD", **apgd, loss="ce"),
            *([_part("APGDT", **apgd, n_classes=targets)] if classes > 3 else []),
            _part("FAB", **apgd, multi_targeted=True, n_classes=targets),
            _part("Square", **threat_model, n_queries=self.queries),
        ]


@dataclass(frozen=True, eq=False)
class _State:
    """What the parts so far have found.

    Attributes:
        best: the image that fooled the model; the clean image where none has.
        next: the number of the part that attacks the sample next; _FOOLED if none does.
    """

    best: Tensor
    next: Tensor


def _part(name: str, **options: object) -> Attack:
    return attacks.build(Expression(f"torchattacks:{name}", options))
