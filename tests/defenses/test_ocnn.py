"""OCNN's penalty on overlaps at every lag, and the released form, which omits some lags."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from robench import UserError, apply_defense
from robench.defenses.ocnn import Ocnn
from robench.defenses.ocnn_paper import OcnnPaper
from robench.layers.overlaps import orthogonality_gap


def network(**changes: Any) -> nn.Sequential:
    torch.manual_seed(0)
    options = {"in_channels": 3, "out_channels": 4, "kernel_size": 3, **changes}
    return nn.Sequential(
        nn.Conv2d(**options), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 8, 3, 2, groups=2)
    ).double()


def copying(stride: int) -> nn.Conv2d:
    """Return 8 filters that each copy the middle pixel of one channel."""
    conv = nn.Conv2d(8, 8, 3, stride, 1, bias=False).double()
    nn.init.dirac_(conv.weight)
    return conv


class Stages(nn.Module):
    """One block and its shortcut, named as in a ResNet of torchvision."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        shortcut = nn.Conv2d(8, 8, 1, bias=False).double()
        nn.init.dirac_(shortcut.weight)
        self.layer2 = nn.Sequential(
            nn.ModuleDict({"conv1": conv, "downsample": nn.Sequential(shortcut)})
        )


def test_the_network_is_left_as_it_is() -> None:
    plain, x = network().eval(), torch.randn(2, 3, 9, 9, dtype=torch.float64)
    for defense in ("ocnn", "ocnn_paper"):
        assert torch.equal(apply_defense(plain, defense)(x), plain(x))
        assert apply_defense(plain, defense).state_dict().keys() == plain.state_dict().keys()


def test_gaps_of_all_layers_are_added_up_not_squared() -> None:
    model = network()
    gaps = [orthogonality_gap(conv).norm() for conv in (model[0], model[3])]  # type: ignore[arg-type]
    torch.testing.assert_close(Ocnn(strength=0.3).penalty(model), 0.3 * (gaps[0] + gaps[1]))


def test_squared_adds_up_squares() -> None:
    model = network()
    squares = [orthogonality_gap(c).square().sum() for c in (model[0], model[3])]  # type: ignore[arg-type]
    found = Ocnn(strength=0.3, squared=True).penalty(model)
    torch.testing.assert_close(found, 0.3 * (squares[0] + squares[1]))


@pytest.mark.parametrize(("layers", "chosen"), [("0", [0]), ("3", [3]), ("0|3", [0, 3])])
def test_patterns_choose_the_layers(layers: str, chosen: list[int]) -> None:
    model = network()
    alone = [Ocnn().penalty(nn.Sequential(model[index])) for index in chosen]
    torch.testing.assert_close(Ocnn(layers=layers).penalty(model), torch.stack(alone).sum())


def test_layers_that_are_not_chosen_get_no_gradient() -> None:
    model = network()
    Ocnn(layers="0").penalty(model).backward()
    assert model[0].weight.grad is not None
    assert model[3].weight.grad is None
    assert model[0].bias.grad is None


@pytest.mark.parametrize(
    ("defense", "named"), [(Ocnn(layers="layer*"), r"layer\*"), (OcnnPaper(), "downsample")]
)
def test_a_network_without_the_layers_is_refused_with_an_example(defense: Any, named: str) -> None:
    with pytest.raises(UserError, match=rf"{named}.*matches no convolution .* such as '0'"):
        defense.penalty(network())


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_copying_pixels_costs_nothing_at_any_stride(stride: int) -> None:
    assert Ocnn().penalty(copying(stride)) == 0


def test_the_released_form_asks_2_83_for_copying_every_other_pixel() -> None:
    assert OcnnPaper(strength=1.0).penalty(Stages(copying(1))) == 0
    found = OcnnPaper(strength=1.0).penalty(Stages(copying(2)))
    assert float(found.detach()) == pytest.approx(8**0.5, abs=1e-12)


def test_only_the_full_form_sees_overlaps_of_opposite_corners() -> None:
    conv = copying(1)
    with torch.no_grad():  # taps (0, 0) and (2, 2) of one filter: they overlap at lag (2, 2)
        conv.weight[0] = 0
        conv.weight[0, 0, 0, 0] = conv.weight[0, 0, 2, 2] = 0.5**0.5
    assert OcnnPaper(strength=1.0).penalty(Stages(conv)) < 1e-12
    found = Ocnn(strength=1.0).penalty(conv)
    assert float(found.detach()) == pytest.approx(0.5**0.5, abs=1e-12)  # 0.5 at lags +-(2, 2)


def test_a_random_strided_kernel_is_compared_at_lag_0_and_its_neighbors() -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(4, 4, 3, 2).double()
    overlaps = torch.zeros(4, 4, 3, 3, dtype=torch.float64)
    big = torch.zeros(4, 4, 7, 7, dtype=torch.float64)
    big[..., 2:5, 2:5] = conv.weight.detach()
    for a in range(3):
        for b in range(3):
            window = big[..., 2 * a : 2 * a + 3, 2 * b : 2 * b + 3]
            overlaps[..., a, b] = torch.einsum("oitu,pitu->op", window, conv.weight.detach())
    overlaps[..., 1, 1] -= torch.eye(4)
    torch.testing.assert_close(Ocnn(strength=1.0).penalty(conv).detach(), overlaps.norm())


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("squared", [False, True])
def test_the_gradient_at_orthogonal_kernels_is_zero_and_elsewhere_right(
    stride: int, squared: bool
) -> None:
    defense, conv = Ocnn(squared=squared), copying(stride)
    defense.penalty(conv).backward()
    assert conv.weight.grad is not None
    assert conv.weight.grad.abs().max() == 0

    def penalty(weight: Tensor) -> Tensor:
        conv._parameters["weight"] = weight  # type: ignore[assignment]
        return defense.penalty(conv)

    conv.bias = nn.Parameter(torch.zeros(8, dtype=torch.float64))  # a parameter to be found
    start = torch.randn(8, 8, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(penalty, (start,), fast_mode=True)


@pytest.mark.parametrize("defense", [Ocnn(), OcnnPaper()])
def test_bf16_autocast_does_not_touch_the_penalty(defense: Any) -> None:
    model = Stages(nn.Conv2d(8, 8, 3, 2))
    model.float()
    plain = defense.penalty(model)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(defense.penalty(model), plain)


def test_every_convolution_is_taken() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1, padding_mode="reflect"), nn.Conv2d(6, 6, 3, 2, groups=6),
        nn.Conv2d(6, 4, 1, stride=2), nn.Conv2d(4, 4, (1, 3), dilation=2),
    )  # fmt: skip
    for squared in (False, True):
        penalty = Ocnn(squared=squared).penalty(apply_defense(model, "ocnn"))
        assert penalty.isfinite()
        assert penalty > 0
