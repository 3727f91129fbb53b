"""Weights of a bare network find the part of a network that holds all of its weights."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from robench.errors import UserError
from robench.models.third_party_weights import load_third_party_weights


def net(value: float = 0.0) -> nn.Module:
    """A small network, all of whose weights are ``value``."""
    made = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 2))
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.fill_(value)
    return made


def value(model: nn.Module) -> float:
    values = {v for parameter in model.parameters() for v in parameter.flatten().tolist()}
    assert len(values) == 1
    return values.pop()


class Norm(nn.Module):
    """A normalization as people write it, with a mean that is saved."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.3]))

    def forward(self, images: Tensor) -> Tensor:
        """Normalize."""
        return images - self.mean


def test_weights_of_the_bare_network_find_it_behind_a_normalization(tmp_path: Path) -> None:
    torch.save({"state_dict": net(1.0).state_dict()}, tmp_path / "w.pt")
    model = nn.Sequential(Norm(), net())
    said = load_third_party_weights(tmp_path / "w.pt", model)
    assert value(model[1]) == 1.0
    assert model[0].mean.item() == pytest.approx(0.3)
    assert said == ("w.pt holds the weights of the part '1' of the network; the rest keeps its own "
                    "constants.",)  # fmt: skip


@pytest.mark.parametrize(
    "rest", [lambda: nn.Conv2d(1, 1, 1), lambda: nn.BatchNorm2d(1, affine=False), net]
)
def test_a_part_is_not_loaded_if_the_rest_would_stay_untrained(
    rest: Callable[[], nn.Module], tmp_path: Path
) -> None:
    torch.save(net(1.0).state_dict(), tmp_path / "w.pt")
    with pytest.raises(UserError, match="weights of another model"):
        load_third_party_weights(tmp_path / "w.pt", nn.Sequential(rest(), net()))


def frozen(layer: nn.Module) -> nn.Module:
    return layer.requires_grad_(False)


class Filter(nn.Module):
    """A layer with weights that it does not train."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kernel", torch.rand(1, 1, 3, 3))


@pytest.mark.parametrize(
    "rest", [lambda: frozen(nn.Conv2d(1, 1, 2)), lambda: frozen(nn.Linear(1, 65)), Filter]
)
def test_weights_that_are_not_trained_are_no_constants(
    rest: Callable[[], nn.Module], tmp_path: Path
) -> None:
    torch.save(net(1.0).state_dict(), tmp_path / "w.pt")
    with pytest.raises(UserError, match="weights of another model"):
        load_third_party_weights(tmp_path / "w.pt", nn.Sequential(rest(), net()))


def test_another_name_of_weights_of_the_part_lies_within_it(tmp_path: Path) -> None:
    torch.save(net(1.0).state_dict(), tmp_path / "w.pt")
    for names in (("first", "net"), ("net", "stem")):
        whole = net()
        layers = {"net": whole, "first": whole[0], "stem": whole[0]}  # type: ignore[index]
        model = nn.ModuleDict({name: layers[name] for name in names})
        load_third_party_weights(tmp_path / "w.pt", model)
        assert value(whole) == 1.0


def test_a_part_of_a_frozen_network_is_not_all_of_it(tmp_path: Path) -> None:
    torch.save(net()[0].state_dict(), tmp_path / "w.pt")  # type: ignore[index]
    with pytest.raises(UserError, match="weights of another model"):
        load_third_party_weights(tmp_path / "w.pt", net().requires_grad_(False))
