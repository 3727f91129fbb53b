"""Bounds and radii hold against exact ones, which are found without them on tiny networks."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from exact import Shortcut, exact_distance, exact_lipschitz, pieces
from torch import Tensor, nn

from robench.backbones.lipschitz_convnet import FirstChannels, MaxMin
from robench.base import LayerBound
from robench.certificates import bounds, certify, layers, propagation
from robench.certificates.bounds import EXACT, Value
from robench.errors import UserError
from robench.layers.cayley import CayleyConv2d
from robench.models.build import Normalize

SHAPE = (1, 2, 2)


def perceptron() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3)
    )


def convolutions() -> nn.Module:
    return nn.Sequential(
        Normalize((0.4,), (0.5,)), nn.Conv2d(1, 2, 2, padding=1, stride=2), nn.ReLU(),
        nn.Flatten(), nn.Linear(8, 3),
    )  # fmt: skip


def residual() -> nn.Module:
    return nn.Sequential(
        Shortcut(nn.Conv2d(1, 1, 3, padding=1), nn.ReLU()), nn.Flatten(), nn.Linear(4, 3)
    )


def orthogonal() -> nn.Module:
    """Layers of norm 1 only, as a ``lipschitz_convnet`` has them."""
    return nn.Sequential(
        nn.PixelUnshuffle(2), CayleyConv2d(4, 4, 1), MaxMin(), CayleyConv2d(4, 4, 1), MaxMin(),
        CayleyConv2d(4, 4, 1), nn.Flatten(), FirstChannels(3),
    )  # fmt: skip


NETWORKS = [perceptron, convolutions, residual, orthogonal]
Make = Callable[[], nn.Module]


def built(make: Make, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return make().double().eval().requires_grad_(False)


def images(count: int = 6) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.rand(count, *SHAPE, generator=generator, dtype=torch.float64)


def exceeded(network: nn.Module) -> list[str]:
    """Return which statements of the certificate are larger than the truth, or smaller."""
    certificate, parts, x = certify(network, SHAPE), pieces(network, SHAPE), images()
    labels = certificate.predict(x).argmax(1)
    radii = certificate.radii(x, labels)
    exact = [
        exact_distance(parts, i.flatten().numpy(), int(y)) for i, y in zip(x, labels, strict=True)
    ]
    wrong = [] if exact_lipschitz(parts) <= certificate.lipschitz else ["constant"]
    return wrong if (radii.numpy() <= exact).all() else [*wrong, "radius"]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("make", NETWORKS)
def test_no_constant_is_below_and_no_radius_above_the_exact_one(make: Make, seed: int) -> None:
    assert exceeded(built(make, seed)) == []


@pytest.mark.parametrize("make", NETWORKS)
def test_the_pieces_are_the_network(make: Make) -> None:
    network = built(make, 0)
    parts, points = pieces(network, SHAPE), images(40)
    assert len(parts) > 1
    for x, logits in zip(points.flatten(1).numpy(), network(points).numpy(), strict=True):
        inside = [p for p in parts if (p.rows @ x >= p.least - 1e-12).all()]
        assert len(inside) == 1
        np.testing.assert_allclose(inside[0].matrix @ x + inside[0].shift, logits, atol=1e-12)


@pytest.mark.parametrize("make", NETWORKS)
def test_no_image_of_a_grid_is_nearer_than_the_exact_distance(make: Make) -> None:
    network, ticks = built(make, 1), torch.linspace(0, 1, 17, dtype=torch.float64)
    grid = torch.cartesian_prod(*[ticks] * 4)
    classes = network(grid.view(-1, *SHAPE)).argmax(1)
    for x in images(2):
        label = int(network(x[None]).argmax())
        nearest = (grid[classes != label] - x.flatten()).norm(dim=1)
        exact = exact_distance(pieces(network, SHAPE), x.flatten().numpy(), label)
        assert nearest.numel() == 0 or exact <= nearest.min() <= exact + 0.15


def test_of_layers_of_norm_one_the_constant_is_exact() -> None:
    network = built(orthogonal, 0)
    exact = exact_lipschitz(pieces(network, SHAPE))
    assert exact <= certify(network, SHAPE).lipschitz <= 1.001


def normalization_forgotten(patch: pytest.MonkeyPatch) -> nn.Module:
    patch.setitem(layers._RULES, Normalize, lambda layer, shape: EXACT)
    return nn.Sequential(Normalize((0.5,), (0.25,)), nn.Flatten(), nn.Linear(4, 3))


def norm_one_percent_too_small(patch: pytest.MonkeyPatch) -> nn.Module:
    honest = layers._RULES[nn.Linear]

    def small(layer: nn.Module, shape: tuple[int, ...]) -> LayerBound:
        bound = honest(layer, shape)
        return replace(bound, norm=0.99 * bound.norm)

    patch.setitem(layers._RULES, nn.Linear, small)
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 4), nn.Linear(4, 3))


def shortcut_not_added(patch: pytest.MonkeyPatch) -> nn.Module:
    def larger(one: Value, other: Value, size: float) -> Value:
        honest = bounds.added(one, other, size)
        return replace(honest, lipschitz=max(one.lipschitz, other.lipschitz))

    patch.setattr(propagation, "added", larger)
    return nn.Sequential(Shortcut(nn.Identity()), nn.Flatten(), nn.Linear(4, 3))


@pytest.mark.parametrize(
    "plant", [normalization_forgotten, norm_one_percent_too_small, shortcut_not_added]
)
def test_unsound_a_planted_fault_of_certify_is_found(
    plant: Callable[[pytest.MonkeyPatch], nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    network = built(lambda: plant(monkeypatch), 0)
    if plant is norm_one_percent_too_small:  # its bound is tight if both layers are orthogonal
        for layer in network[1:]:
            nn.init.orthogonal_(layer.weight)
    assert "constant" in exceeded(network) or "radius" in exceeded(network)
    monkeypatch.undo()
    assert exceeded(network) == []


class Stating(nn.Module):
    """States a constant of 1 for what is in it."""

    def __init__(self, inside: nn.Module) -> None:
        super().__init__()
        self.inside = inside

    def forward(self, x: Tensor) -> Tensor:
        return self.inside(x)

    def layer_bound(self, shape: tuple[int, ...]) -> LayerBound:
        return LayerBound(norm=1.0)


class OnePercentMore(CayleyConv2d):
    def forward(self, input: Tensor) -> Tensor:
        return 1.01 * super().forward(input)


@pytest.mark.parametrize(
    ("layer", "least"),
    [
        (Normalize((0.5,), (0.25,)), "4"),
        (Shortcut(CayleyConv2d(1, 1, 1)), "2"),
        (OnePercentMore(1, 1, 1), r"1\.01"),
    ],
    ids=["normalization", "shortcut", "one percent"],
)
def test_unsound_a_layer_that_states_too_small_a_constant_is_refused_by_its_name(
    layer: nn.Module, least: str
) -> None:
    if isinstance(layer, Shortcut):
        nn.init.constant_(layer.layers[0].weight, 0.0)  # the transform of 0 is the identity
    network = nn.Sequential(nn.Identity(), Stating(layer), nn.Flatten(), nn.Linear(4, 3))
    with pytest.raises(
        UserError, match=f"layer '1': its norm is at least {least}, more than the 1"
    ):
        certify(network, SHAPE)
