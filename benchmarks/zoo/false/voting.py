"""Three networks vote."""

from torch import Tensor, nn
from torch.nn import functional

from zoo.adaptive import Search
from zoo.entry import Entry
from zoo.parts import flat
from zoo.trained import network


class Voting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        names = ("standard", "standard_1", "standard_2")
        self.networks = nn.ModuleList(network(name) for name in names)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        votes = [functional.one_hot(net(images).argmax(1), 10) for net in self.networks]
        return flat(sum(votes[1:], votes[0]).float(), images)


class Mean(nn.Module):
    def __init__(self, networks: nn.Module) -> None:
        super().__init__()
        self.networks = networks

    def forward(self, images: Tensor) -> Tensor:
        logits = [net(images).log_softmax(1) for net in self.networks.children()]
        return sum(logits[1:], logits[0])


def build() -> nn.Module:
    return Voting()


ENTRY = Entry(
    build,
    "The votes of three networks are counted, and a count has a gradient of zero.",
    causes=("zero_gradients",),
    adaptive=Search(lambda model: Mean(model.get_submodule("networks"))),
)
