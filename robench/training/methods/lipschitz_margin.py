"""Lipschitz-margin training: losses for certified radii of networks whose constant is known.

The radius that :func:`robench.certify` proves is the margin over sqrt(2) L, where L is the
Lipschitz constant from pixels to logits. Cross-entropy asks for little more once a prediction is
confident. These losses of logits s and label y ask for margins, with p = softmax((s - u e_y) / t)_y
and the best other class j:

    loss = -t (1 - p)^a log p  -  g relu(s_y - s_j) / sqrt(2)

====================================== =========== ======= === =====
paper                                  u           t       a   g
====================================== =========== ======= === =====
cross-entropy                          0           1       0   0
Prach, Lampert 2022 (AOL)              sqrt(2)     1/4     0   0
Prach et al. 2024 (equal budgets)      0.3993      1/4     0   0
Singla et al. 2022 (SOC), certificate  0           1       0   tuned
regularization
Lai et al. 2025 (BRO), logit annealing 2 sqrt(2)   3/4     5   0
====================================== =========== ======= === =====

(arXiv:2208.03160, 2311.16833, 2108.04062, 2505.15174.)

Units. In robench an image normalization divides by ``std``, so that layers of norm 1 make a network
of L = 1 / min(std). Offset and temperature are in units of logits: the margin u is the radius
u / (sqrt(2) L), so that for the radius r in pixels, u = sqrt(2) L r. Multiplying logits, u and t by
L multiplies the first term by L, and nothing else. What a paper has for L = 1, as AOL and the
comparison of equal budgets, is therefore ``offset = L u`` and ``temperature = L t`` here, about 4
times as much on CIFAR-10; SOC and BRO divide images by 0.25, and their values hold as they are. The
reward g is that of radii in units of normalized images: L times less than that of radii in pixels.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from robench import LogitsModel, TrainingMethod, UserError, register_training_method
from robench.base import Update


@register_training_method("lipschitz_margin", reference="arXiv:2311.16833")
@dataclass(frozen=True)
class LipschitzMarginTraining(TrainingMethod):
    """Train on clean images for large margins, which are certified radii if layers have norm 1.

    The defaults are cross-entropy. Options are in units of logits: see the module for the values of
    papers and how they scale with the image normalization.

    Attributes:
        offset: how much is subtracted from the logit of the true class, the papers' u or xi.
        temperature: by what logits are divided, and the loss multiplied, t.
        annealing: exponent of the factor (1 - p)^a, which leaves images with their margin alone.
        gamma: reward of the margin over sqrt(2) of images that are classified correctly.

    Raises:
        UserError: for an option out of range.
    """

    offset: float = 0.0
    temperature: float = 1.0
    annealing: float = 0.0
    gamma: float = 0.0

    def __post_init__(self) -> None:
        for name in ("offset", "gamma"):
            if not 0 <= getattr(self, name) < math.inf:
                raise UserError(f"{name} is {getattr(self, name):g}: it must be 0 or more.")
        if not 0 < self.temperature < math.inf:
            raise UserError(f"temperature is {self.temperature:g}: it must be above 0.")
        if self.annealing != 0 and not 1 <= self.annealing < math.inf:
            raise UserError(
                f"annealing is {self.annealing:g}: it must be 0, or 1 or more, since below 1 its "
                f"gradient is infinite where p is 1."
            )

    def train_minibatch(
        self,
        images: Tensor,
        labels: Tensor,
        update: Update,
        *,
        logits: LogitsModel,
        carried: Tensor | None,
    ) -> Tensor | None:
        """Update the network on the clean images."""
        update(images, labels, self.loss)
        return None

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean loss of logits (B, classes) and labels (B,), a scalar."""
        true = F.one_hot(labels, logits.shape[1]).to(logits.dtype)
        shifted = logits - self.offset * true
        scaled = shifted / self.temperature
        if self.annealing:
            losses = F.cross_entropy(scaled, labels, reduction="none")  # -log p
            mean = ((-torch.expm1(-losses)) ** self.annealing * losses).mean()
        else:
            mean = F.cross_entropy(scaled, labels)
        mean = self.temperature * mean
        if self.gamma:
            mean = mean - self.gamma * margins(logits, labels).clamp_min(0).mean() / math.sqrt(2)
        return mean


def margins(logits: Tensor, labels: Tensor) -> Tensor:
    """Return s_y - max_j s_j over the other classes j, (B,); negative if misclassified."""
    index = labels.unsqueeze(1)
    others = logits.scatter(1, index, -torch.inf).amax(1)
    return logits.gather(1, index).squeeze(1) - others
