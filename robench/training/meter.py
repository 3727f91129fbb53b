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
        sums = self.sums(fabric)
        self.reset()
        self.add_sums(*sums)

    def sums(self, fabric: Fabric) -> tuple[float, int, int]:
        """Return loss, correct predictions and images, of all processes."""
        seen = torch.tensor(self.seen, device=self._device)
        loss, correct, seen = (total(fabric, s) for s in (self._loss, self._correct, seen))
        return loss.item(), int(correct), int(seen)

    def add_sums(self, loss: float, correct: int, seen: int) -> None:
        """Add sums that were taken earlier."""
        self._loss += loss
        self._correct += correct
        self.seen += seen

    def loss(self) -> float:
        """Return the mean loss per image."""
        return self._loss.item() / max(self.seen, 1)

    def accuracy(self) -> float:
        """Return the fraction of correct predictions."""
        return self._correct.item() / max(self.seen, 1)
