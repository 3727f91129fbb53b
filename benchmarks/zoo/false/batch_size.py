"""Robust in company only."""

from torch import Tensor, nn

from zoo.adaptive import Search, alone, undefended
from zoo.entry import Entry
from zoo.trained import network


class Company(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.network, self.cautious = network("standard"), network("free")
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images) if len(images) == 1 else self.cautious(images)


def build() -> nn.Module:
    return Company()


ENTRY = Entry(
    build,
    "Evaluations ask in batches, which go to a robust network; a single image does not.",
    causes=("batch_dependence", "any_batch"),
    adaptive=Search(undefended, every=50, right=alone),
)
