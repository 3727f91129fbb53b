"""N-FGSM (de Jorge et al. 2022, "Make some noise: reliable and efficient single-step training")."""

from dataclasses import dataclass

from torch import Tensor

from robench import LogitsModel, TrainingMethod, register_training_method
from robench.attack_tools.threat_models import check_radius, steepest
from robench.base import Update
from robench.training.ascent import check_fraction_of_eps, loss_gradient, uniform_noise


@register_training_method("n_fgsm", reference="arXiv:2202.01181")
@dataclass(frozen=True)
class NFGSMTraining(TrainingMethod):
    """One FGSM step from a strongly noisy image, without a projection; then train on the result.

    Noise beyond the ball and the lack of a projection keep single-step training from collapsing to
    a network that only FGSM does not fool. It costs two forwards per minibatch.

    Attributes:
        eps: radius of the Linf ball, for images in [0, 1].
        relative_step: the step as a fraction of eps, the paper's alpha.
        relative_noise: the largest noise as a fraction of eps, the paper's k.

    Raises:
        UserError: for an option out of range.
    """

    eps: float = 8 / 255
    relative_step: float = 1.0
    relative_noise: float = 2.0

    def __post_init__(self) -> None:
        check_radius("eps", self.eps, "linf")
        check_fraction_of_eps("relative_step", self.relative_step)
        check_fraction_of_eps("relative_noise", self.relative_noise)

    @property
    def forwards_per_minibatch(self) -> int:
        """One for the gradient, and that of the optimizer step."""
        return 2

    def train_minibatch(
        self,
        images: Tensor,
        labels: Tensor,
        update: Update,
        *,
        logits: LogitsModel,
        carried: Tensor | None,
    ) -> Tensor | None:
        """Take one optimizer step on the noisy images after their step (the paper's Algorithm 1).

        What the network sees is clamped to [0, 1]. The authors' code for CIFAR-10 clamps the noise
        before the step, too, so that more of a step is left near black and white.
        """
        noisy = images + uniform_noise(images, self.relative_noise * self.eps)
        gradient = loss_gradient(logits, noisy.clamp(0, 1), labels)
        step = self.relative_step * self.eps * steepest(gradient, "linf")
        update((noisy + step).clamp(0, 1), labels)
        return None
