"""A ConvNet that computes in double precision."""

from torch import Tensor, nn

from zoo.entry import Entry
from zoo.networks import convnet, fit
from zoo.trained import kept


class Double(nn.Module):
    """Casts images to double precision and logits back."""

    def __init__(self) -> None:
        super().__init__()
        self.network = kept("float64", convnet, fit, adversarial=2).double()

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images.double()).float()


def build() -> nn.Module:
    return Double().eval()


ENTRY = Entry(
    build,
    "It is more exact than it needs to be.",
)
