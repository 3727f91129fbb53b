"""The image is moved to where the network is surest of its own answer (Alfarra et al. 2022)."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo.adaptive import Search, undefended
from zoo.entry import THREAT_MODEL, Entry
from zoo.trained import network


class AntiAdversary(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.network = network("standard")
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        with torch.inference_mode(False), torch.enable_grad():
            first = images.detach().clone()
            answers = self.network(first).argmax(1)
            moved = first
            for _ in range(4):
                now = moved.clone().requires_grad_()
                loss = functional.cross_entropy(self.network(now), answers, reduction="sum")
                (gradient,) = torch.autograd.grad(loss, now)
                moved = moved - THREAT_MODEL.eps * gradient.sign()
        return self.network(images + (moved - first).detach())


def build() -> nn.Module:
    return AntiAdversary()


ENTRY = Entry(
    build,
    "Gradients are taken where the network's own steps have made it surest of its answer.",
    causes=("autograd_in_forward", "wrong_gradient"),
    adaptive=Search(undefended),
)
