"""The network of norm-one layers: nothing else expands a distance, and it starts at norm 1."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from robench import LayerBound, UserError, apply_defense, certify
from robench.backbones.lipschitz_convnet import (
    Activation,
    Downsampling,
    Head,
    Householder,
    L2Pool,
    MaxMin,
    UnitRows,
    lipschitz_convnet,
)  # fmt: skip

SHAPE = (1, 8, 8)


def network(**options: Any) -> nn.Module:
    torch.manual_seed(0)
    return lipschitz_convnet(4, 1, 8, **({"blocks": 2, "depth": 2} | options))


def random_pairs(n: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x, step = torch.randn(2, n, 6, 2, 2, generator=generator, dtype=torch.float64)
    return x, x + 0.1 * step


def test_every_convolution_starts_orthogonal_so_that_norms_pass_through_it() -> None:
    for layer in network().modules():
        if isinstance(layer, nn.Conv2d):
            x = torch.randn(4, layer.in_channels, 6, 6)
            torch.testing.assert_close(layer(x).norm(), x.norm())


@pytest.mark.parametrize(
    "defense",
    ["aol", "cayley", "bro", "lot", "soc", "conv_sn", "sll", "sll(smoothness='norm')"],
)
def test_no_layer_shrinks_the_gradient_of_the_first_step(defense: str) -> None:
    expression = defense if defense.startswith("sll") else f"{defense}(bn=false)"
    model = apply_defense(network(blocks=2, depth=4), expression)
    x = torch.randn(8, *SHAPE, requires_grad=True)
    logits = model(x)
    (gradient,) = torch.autograd.grad(logits.amax(1).sum(), x)
    shrunk = 0.02 if defense.startswith("sll") else 0.1
    assert gradient.flatten(1).norm(dim=1).min() > shrunk


def test_householder_starts_as_maxmin() -> None:
    x, _ = random_pairs()
    torch.testing.assert_close(Householder(6).double()(x), MaxMin()(x), atol=1e-6, rtol=0)


@pytest.mark.parametrize("seed", range(3))
def test_householder_keeps_norms_and_expands_no_distance(seed: int) -> None:
    layer = Householder(6).double()
    torch.manual_seed(seed)
    nn.init.uniform_(layer.angle, -4, 4)
    x, y = random_pairs()
    torch.testing.assert_close(layer(x).flatten(1).norm(dim=1), x.flatten(1).norm(dim=1))
    before, after = (x - y).flatten(1).norm(dim=1), (layer(x) - layer(y)).flatten(1).norm(dim=1)
    assert (after <= before * (1 + 1e-12)).all()
    assert after.min() < 0.99 * before.min() or (after < 0.999 * before).any()


def test_householder_is_continuous_where_it_reflects() -> None:
    layer = Householder(2).double()
    nn.init.constant_(layer.angle, 1.0)
    line = torch.tensor([math.cos(0.5), math.sin(0.5)], dtype=torch.float64).view(1, 2, 1, 1)
    across = torch.tensor([math.sin(0.5), -math.cos(0.5)], dtype=torch.float64).view(1, 2, 1, 1)
    one, other = layer(line + 1e-9 * across), layer(line - 1e-9 * across)
    torch.testing.assert_close(one, other, atol=1e-8, rtol=0)
    torch.testing.assert_close(layer(across), across)
    torch.testing.assert_close(layer(-across), across)


def test_the_angles_are_trained() -> None:
    layer = Householder(6).double()
    x, _ = random_pairs()
    (layer(x) * torch.randn_like(x)).sum().backward()
    assert layer.angle.grad is not None
    assert (layer.angle.grad != 0).all()


def test_rows_have_norm_one_and_zeros_stay_zeros() -> None:
    weight = torch.randn(3, 5)
    weight[1] = 0
    weight.requires_grad_()
    rows = UnitRows()(weight)
    torch.testing.assert_close(rows.norm(dim=1), torch.tensor([1.0, 0.0, 1.0]))
    rows.sum().backward()
    assert weight.grad is not None
    assert weight.grad.abs().max() < 10


@settings(deadline=None, max_examples=50)
@given(
    side=st.integers(1, 3),
    windows=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    distance=st.sampled_from([1e-8, 0.1, 1.0, 100.0]),
    dead=st.booleans(),
    seed=st.integers(0, 999),
)
def test_norms_of_windows_expand_no_distance(
    side: int, windows: tuple[int, int], distance: float, dead: bool, seed: int
) -> None:
    torch.manual_seed(seed)
    shape = (16, 2, side * windows[0], side * windows[1])
    x, step = torch.randn(2, *shape, dtype=torch.float64)
    x = torch.zeros_like(x) if dead else x
    layer = L2Pool(side)
    after = (layer(x + distance * step) - layer(x)).flatten(1).norm(dim=1)
    assert (after <= distance * step.flatten(1).norm(dim=1) * (1 + 1e-6)).all()
    torch.testing.assert_close(layer(x).flatten(1).norm(dim=1), x.flatten(1).norm(dim=1))


def test_the_norm_of_a_window_is_that_of_its_pixels() -> None:
    x = torch.arange(16.0).view(1, 1, 4, 4)
    window = torch.tensor([2.0, 3.0, 6.0, 7.0])
    assert L2Pool(2)(x)[0, 0, 0, 1] == pytest.approx(float(window.norm()))


def test_where_a_window_is_zero_its_gradient_is_zero() -> None:
    x = torch.randn(1, 1, 2, 4)
    x[..., 2:] = 0
    x.requires_grad_()
    L2Pool(2)(x).sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad[..., :2].norm(), torch.tensor(1.0))
    assert not x.grad[..., 2:].any()


def test_sides_that_windows_do_not_divide_are_refused() -> None:
    with pytest.raises(UserError, match="multiples of 2, and these are 4x5: pad the images"):
        L2Pool(2)(torch.zeros(1, 1, 4, 5))


class Overlapping(L2Pool):
    """Norms of windows that share pixels: each is in four of them, and its bound forgets that."""

    def forward(self, x: Tensor) -> Tensor:
        x = x.unfold(2, self.side, 1).unfold(3, self.side, 1)
        return torch.linalg.vector_norm(x, dim=(4, 5))

    def layer_bound(self, shape: tuple[int, ...]) -> LayerBound:
        return LayerBound(norm=1.0)


def test_unsound_windows_that_overlap_are_found_out() -> None:
    model = nn.Sequential(nn.Identity(), Overlapping(2), nn.Flatten(), nn.Linear(49, 4))
    with pytest.raises(UserError, match=r"layer '1': its norm is at least 1\.\d+, more than the 1"):
        certify(model, SHAPE)


def test_an_image_of_odd_sides_is_padded_before_its_windows() -> None:
    model = apply_defense(network(downsampling="l2_pool"), "bro(bn=false)")
    assert model(torch.rand(2, 1, 7, 5)).shape == (2, 4)
    assert certify(model, (1, 7, 5)).lipschitz <= 1.001


@pytest.mark.parametrize("activation", ["maxmin", "householder"])
@pytest.mark.parametrize("head", ["truncated", "normalized"])
@pytest.mark.parametrize("downsampling", ["space_to_depth", "l2_pool"])
def test_every_choice_has_a_certificate(
    activation: Activation, head: Head, downsampling: Downsampling
) -> None:
    plain = network(activation=activation, head=head, downsampling=downsampling)
    model = apply_defense(plain, "bro(bn=false)")
    certificate = certify(model, SHAPE)
    if head == "truncated":
        assert certificate.lipschitz <= 1.001
        return
    assert certificate.features is not None
    assert certificate.head is not None
    assert certificate.features.lipschitz <= 1.001
    norms = certificate.head.norm(dim=1)
    torch.testing.assert_close(norms, torch.ones_like(norms), atol=1e-6, rtol=0)


def test_with_a_normalized_head_each_pair_of_classes_has_its_own_constant() -> None:
    model = apply_defense(network(head="normalized"), "bro(bn=false)")
    certificate, images = certify(model, SHAPE), torch.rand(4, *SHAPE)
    logits = certificate.predict(images)
    labels = logits.argmax(1)
    assert certificate.head is not None
    for logit, label, radius in zip(logits, labels, certificate.radii(images, labels), strict=True):
        apart = (certificate.head[label] - certificate.head).norm(dim=1)
        others = [j for j in range(4) if j != label]
        exact = min(float((logit[label] - logit[j]) / apart[j]) for j in others)
        assert 0.999 * exact <= radius <= exact


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"activation": "relu"}, "activation is 'relu'; it must be 'maxmin' or 'householder'"),
        ({"head": "linear"}, "head is 'linear'; it must be 'truncated' or 'normalized'"),
        ({"downsampling": "max"}, "is 'max'; it must be 'space_to_depth' or 'l2_pool'"),
    ],
)
def test_other_choices_are_refused(options: dict[str, str], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        network(**options)
