"""Another network answers whenever a gradient is wanted."""

from torch import Tensor, nn

from zoo.adaptive import transfer
from zoo.entry import Entry
from zoo.trained import network


class Watching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.network = network("standard")
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        if images.requires_grad:
            images = images.flip(2)
        return self.network(images)


def build() -> nn.Module:
    return Watching()


ENTRY = Entry(
    build,
    "Images that want a gradient are turned upside down first, those that want a class are not.",
    causes=("autograd_in_forward", "wrong_gradient"),
    adaptive=transfer("standard"),
)
