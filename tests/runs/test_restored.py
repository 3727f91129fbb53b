"""The network that is attacked is the one that was trained, or the run ends."""

import copy

import pytest
import torch
from torch import Tensor, nn

from robench.errors import UserError
from robench.runs.restored import check_restored

IMAGES = torch.rand(4, 1, 6, 6, generator=torch.Generator().manual_seed(0))


class Scaling(nn.Module):
    """Learns the scale of its input in a plain attribute, or in a buffer."""

    def __init__(self, buffer: bool) -> None:
        super().__init__()
        self.scale: Tensor
        if buffer:
            self.register_buffer("scale", torch.ones(()))
        else:
            self.scale = torch.ones(())

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.scale = x.std()
        return x / self.scale


def trained_and_restored(layer: nn.Module) -> tuple[nn.Module, nn.Module]:
    network = nn.Sequential(layer, nn.Flatten(), nn.Linear(36, 3))
    fresh = copy.deepcopy(network)
    network.train()(IMAGES)
    fresh.load_state_dict(network.state_dict())
    return network.eval(), fresh.eval()


def test_state_in_a_plain_attribute_is_refused() -> None:
    trained, restored = trained_and_restored(Scaling(buffer=False))
    with pytest.raises(UserError, match=r"'mine' .* keeps state in a plain attribute"):
        check_restored(trained, restored, IMAGES, "mine")


@pytest.mark.parametrize("layer", [Scaling(buffer=True), nn.BatchNorm2d(1)])
def test_state_in_buffers_comes_back(layer: nn.Module) -> None:
    check_restored(*trained_and_restored(layer), IMAGES, "mine")


def test_a_randomized_network_is_not_compared() -> None:
    class Noise(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + torch.randn_like(x)

    check_restored(*trained_and_restored(Noise()), IMAGES, "mine")
