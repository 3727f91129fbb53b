"""Count an attack's forwards and backwards per sample, whatever its implementation."""

import torch
from torch import Tensor, nn

from robench.attack_tools.threat_models import Norm
from robench.base import VictimModel
from robench.evaluation.victim import Victim

NEAR = 8
"""Number of candidates, nearest in L2, among which the nearest in Linf is searched for."""


class Counted(nn.Module, VictimModel):
    """A victim that counts the forwards and backwards of each sample; stays in eval mode.

    An attack may pass all samples at once, some of them, or one of them many times. If there are as
    many images as samples, they are taken to be these, in order; otherwise each image counts for
    the sample whose clean image is nearest, in the norm of the attack.

    Attributes:
        forwards: (B,) int64, images that went forward.
        backwards: (B,) int64, images whose logits received a gradient.
    """

    def __init__(self, victim: Victim, clean: Tensor, norm: Norm = "linf") -> None:
        super().__init__()
        # Libraries look for parameters to learn the device. They get one of no use, not those of
        # the model: an attack must not be able to change what it attacks.
        self.device_probe = nn.Parameter(torch.zeros(1, device=victim.device), requires_grad=False)
        self.training = False
        self._victim = victim
        self.defense = victim.defense
        self._clean = clean.flatten(1)
        self._norm: Norm = norm
        self.forwards = torch.zeros(len(clean), dtype=torch.int64)
        self.backwards = torch.zeros(len(clean), dtype=torch.int64)

    def train(self, mode: bool = True) -> "Counted":
        """Stay in eval mode: no attack may change what is evaluated."""
        return self

    @property
    def num_classes(self) -> int:
        """Number of logits per image."""
        return self._victim.num_classes

    def __call__(self, images: Tensor) -> Tensor:
        """Return the exact logits."""
        return nn.Module.__call__(self, images)

    def predict(self, images: Tensor) -> Tensor:
        """Return the exact logits, without gradient."""
        with torch.no_grad():
            return self(images)

    def counts(self) -> tuple[Tensor, Tensor, tuple[int, int]]:
        """Return the forwards and backwards counted so far, and those of the victim."""
        return self.forwards.clone(), self.backwards.clone(), self._victim.counts()

    def recount(self, counts: tuple[Tensor, Tensor, tuple[int, int]]) -> None:
        """Count from these on: what came after them failed and will be repeated."""
        self.forwards, self.backwards, of_victim = counts
        self._victim.recount(of_victim)

    def report(self, finished: int) -> None:
        """Do nothing: the evaluator itself reports each finished batch."""

    def forward(self, images: Tensor) -> Tensor:
        """Return the exact logits."""
        rows = self._count(images)
        logits = self._victim(images)
        if logits.requires_grad:
            logits.register_hook(lambda _: self._add(self.backwards, rows))
        return logits

    def for_gradients(self, images: Tensor) -> Tensor:
        """Return the logits of the fast copy."""
        rows = self._count(images)
        self._add(self.backwards, rows)
        return self._victim.for_gradients(images)

    def _count(self, images: Tensor) -> Tensor:
        rows = self._rows(images.detach())
        self._add(self.forwards, rows)
        return rows

    def _rows(self, images: Tensor) -> Tensor:
        if len(images) == len(self._clean):
            return torch.arange(len(images))
        flat = images.flatten(1).to(self._clean)
        near = torch.cdist(flat, self._clean).topk(min(NEAR, len(self._clean)), largest=False)
        if self._norm == "l2":
            return near.indices[:, 0].cpu()
        # The nearest in Linf is among the nearest few in L2, which one matrix product finds.
        distances = (flat.unsqueeze(1) - self._clean[near.indices]).abs().amax(2)
        return near.indices.gather(1, distances.argmin(1, keepdim=True)).squeeze(1).cpu()

    @staticmethod
    def _add(counts: Tensor, rows: Tensor) -> None:
        counts.index_add_(0, rows, torch.ones_like(rows))
