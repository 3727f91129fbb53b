"""A count of calls: after the first ones a robust network answers."""

from torch import Tensor, nn

from zoo.adaptive import Search, on_fresh, undefended
from zoo.entry import Entry
from zoo.trained import network


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.network, self.cautious = network("standard"), network("free")
        self.calls = 0
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        return self.network(images) if self.calls <= 3 else self.cautious(images)


def build() -> nn.Module:
    return Counting()


ENTRY = Entry(
    build,
    "Who asks often gets a robust network; the first answers, which a user gets, are of another.",
    causes=("stateful",),
    adaptive=Search(undefended, right=on_fresh(build)),
)
