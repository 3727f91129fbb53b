"""Adversarial training with PGD (Madry, Makelov, Schmidt, Tsipras, Vladu 2018)."""

from dataclasses import dataclass

from torch import Tensor

from robench import LogitsModel, TrainingMethod, register_training_method
from robench.attack_tools.threat_models import ascent, check_counts, check_radius
from robench.base import Update
from robench.training.ascent import check_fraction_of_eps, loss_gradient, uniform_noise


@register_training_method("pgd", reference="arXiv:1706.06083")
@dataclass(frozen=True)
class PGDTraining(TrainingMethod):
    """Attack each minibatch with PGD from a random start, then train on what it found.

    Unlike free training it takes one optimizer step per minibatch, for ``steps + 1`` forwards.

    Attributes:
        steps: steps of the attack.
        eps: radius of the Linf ball, for images in [0, 1].
        relative_step: one step of the attack as a fraction of eps.

    Raises:
        UserError: for an option out of range.
    """

    steps: int = 10
    eps: float = 8 / 255
    relative_step: float = 0.25

    def __post_init__(self) -> None:
        check_counts(self, "steps")
        check_radius("eps", self.eps, "linf")
        check_fraction_of_eps("relative_step", self.relative_step)

    @property
    def forwards_per_minibatch(self) -> int:
        """One per step of the attack, and that of the optimizer step."""
        return self.steps + 1

    def train_minibatch(
        self,
        images: Tensor,
        labels: Tensor,
        update: Update,
        *,
        logits: LogitsModel,
        carried: Tensor | None,
    ) -> Tensor | None:
        """Take one optimizer step on the images that the attack ends with."""
        climb = ascent(images, "linf", self.eps, self.relative_step * self.eps)
        seen = (images + uniform_noise(images, self.eps)).clamp(0, 1)
        for _ in range(self.steps):
            seen = climb(seen, loss_gradient(logits, seen, labels), slice(None))
        update(seen, labels)
        return None
