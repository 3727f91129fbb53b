"""Running loss and accuracy of an epoch."""

import torch
from lightning_fabric import Fabric
from torch import Tensor

from robench.training.parallel import total


class Meter:
    """Sums of losses and correct predictions, kept on the device: no synchronization per step."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.reset()

    def reset(self) -> None:
        """Start a new epoch."""
        self._loss = torch.zeros((), device=self._device, dtype=torch.float64)
        self._correct = torch.zeros((), device=self._device, dtype=torch.int64)
        self.seen = 0

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Add a batch, given its mean loss and its logits (B, classes)."""
        self._loss += loss.detach() * len(labels)
        self._correct += (logits.detach().argmax(1) == labels).sum()
        self.seen += len(labels)

    def add_others(self, fabric: Fabric) -> None:
        """Add the sums of the other processes."""
        if fabric.world_size == 1:
            return
        self._loss = total(fabric, self._loss)
        self._correct = total(fabric, self._correct)
        self.seen = int(total(fabric, torch.tensor(self.seen, device=self._device)))

    def loss(self) -> float:
        """Return the mean loss per image."""
        return self._loss.item() / max(self.seen, 1)

    def accuracy(self) -> float:
        """Return the fraction of correct predictions."""
        return self._correct.item() / max(self.seen, 1)
