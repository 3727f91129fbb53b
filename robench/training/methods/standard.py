"""Standard training: empirical risk minimization on clean images."""

from dataclasses import dataclass

from torch import Tensor

from robench import LogitsModel, TrainingMethod, register_training_method
from robench.base import Update


@register_training_method("standard")
@dataclass(frozen=True)
class StandardTraining(TrainingMethod):
    """One optimizer step per clean minibatch."""

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
        update(images, labels)
        return None
