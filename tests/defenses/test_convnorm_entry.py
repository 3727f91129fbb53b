"""ConvNorm as a defense: the effect of its options on a network, and its state."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from robench import apply_defense
from robench.defenses import ConvNorm, ConvNorm2d
from robench.errors import UserError
from robench.registry import defenses


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU(),
        nn.Conv2d(6, 8, (3, 2), dilation=2, padding=(2, 1), groups=2), nn.GroupNorm(2, 8),
        nn.ReLU(inplace=True), nn.Conv2d(8, 4, 1, stride=2), nn.BatchNorm2d(4),
    )  # fmt: skip


def layers(model: nn.Module) -> list[ConvNorm2d]:
    return [module for module in model.modules() if isinstance(module, ConvNorm2d)]


def images(side: int = 13, count: int = 2, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(side)
    return torch.rand(count, 3, side, side, generator=generator, dtype=dtype)


def norms(model: nn.Module) -> int:
    return sum(isinstance(module, (nn.BatchNorm2d, nn.GroupNorm)) for module in model.modules())


def test_the_paper_s_table_1_is_the_default() -> None:
    assert defenses.build("convnorm") == ConvNorm(
        affine=True, bn=True, affine_init="default", eval_stats="running_autocorr", detach=True
    )


@pytest.mark.parametrize(("bn", "kept"), [(True, 3), (False, 0)])
def test_bn_says_whether_the_norm_layers_are_kept(bn: bool, kept: int) -> None:
    assert norms(apply_defense(network(), ConvNorm(bn=bn))) == kept


def test_its_options_reach_every_layer() -> None:
    defense = "convnorm(affine=false, eval_stats='exact', detach=false)"
    found = layers(apply_defense(network(), defense))
    assert len(found) == 3
    assert all(isinstance(layer.affine, nn.Identity) for layer in found)
    assert {(layer.eval_stats, layer.detach) for layer in found} == {("exact", False)}


def test_before_training_sets_the_length_of_the_ramp() -> None:
    defense = ConvNorm()
    model = apply_defense(network(), defense)
    assert {layer.total_forwards for layer in layers(model)} == {40_000}
    defense.before_training(model, 120)
    assert {layer.total_forwards for layer in layers(model)} == {120}


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        ("convnorm(affine_init='zeros')", "affine_init = 'zeros': .*'default' or 'delta'"),
        ("convnorm(eval_stats='batch')", "eval_stats = 'batch'"),
        ("convnorm(afine=true)", "has no option 'afine'; did you mean 'affine'"),
    ],
)
def test_an_option_that_does_not_exist_is_reported_in_a_sentence(call: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        defenses.build(call)


def by_definition(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """Each channel of the full convolution over its power spectrum, cropped, strided, plus b."""
    assert not isinstance(conv.padding, str)
    (kh, kw), (dh, dw), (ph, pw) = conv.kernel_size, conv.dilation, conv.padding
    reach = (dh * (kh - 1), dw * (kw - 1))
    full = F.conv2d(x, conv.weight, None, 1, reach, conv.dilation, conv.groups)
    size = (full.shape[-2], full.shape[-1])
    spread = conv.weight.new_zeros(*conv.weight.shape[:2], reach[0] + 1, reach[1] + 1)
    spread[..., ::dh, ::dw] = conv.weight
    spectrum = torch.fft.rfft2(spread, s=size).abs().square().sum(1)
    z = torch.fft.irfft2(torch.fft.rfft2(full) * spectrum.rsqrt(), s=size)
    top, left = reach[0] - ph, reach[1] - pw
    z = z[..., top : size[0] - top : conv.stride[0], left : size[1] - left : conv.stride[1]]
    return z if conv.bias is None else z + conv.bias.view(-1, 1, 1)


@pytest.mark.parametrize("geometry", [
    {"kernel_size": 3, "dilation": 2},
    {"kernel_size": (2, 3), "dilation": (3, 1), "padding": (1, 2)},
    {"kernel_size": 4, "stride": (1, 2), "padding": 1},
    {"kernel_size": (1, 3), "stride": 2, "groups": 4},
    {"kernel_size": 3, "dilation": 2, "stride": 2, "padding": 3, "groups": 2, "bias": False},
])  # fmt: skip
@torch.no_grad()
def test_in_any_geometry_a_layer_is_its_definition(geometry: dict[str, Any]) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(8, 12, **geometry).double()
    x = torch.randn(2, 8, 11, 10, dtype=torch.float64)
    layer = ConvNorm2d.from_conv(conv, affine=False)
    torch.testing.assert_close(layer(x), by_definition(conv, x), rtol=1e-9, atol=1e-11)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
def test_buffers_are_changed_in_place_so_that_replicas_and_ddp_see_them() -> None:
    model = apply_defense(network(), "convnorm").train()
    places = {name: buffer.data_ptr() for name, buffer in model.named_buffers()}
    model(images())
    model(images(16))
    assert {name: buffer.data_ptr() for name, buffer in model.named_buffers()} == places


def test_the_schedule_goes_on_where_a_state_dict_left_it() -> None:
    defense = ConvNorm()
    whole, first = (apply_defense(network(), defense) for _ in range(2))
    for model in (whole, first):
        defense.before_training(model, 6)
        for _ in range(3):
            model(images())
    resumed = apply_defense(network(), defense)
    defense.before_training(resumed, 6)
    resumed.load_state_dict(first.state_dict())
    for model in (whole, resumed):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(1.1)
        model(images())
    assert all(
        torch.equal(value, resumed.state_dict()[name])
        for name, value in whole.state_dict().items()
    )  # fmt: skip


def test_a_trained_network_takes_images_of_any_size() -> None:
    model = apply_defense(network(), "convnorm").train()
    model(images())
    fresh = apply_defense(network(), "convnorm")
    fresh.load_state_dict(model.state_dict())
    for side in (13, 9, 20):
        assert torch.equal(fresh.eval()(images(side)), model.eval()(images(side)))


def test_one_seed_gives_one_network_and_the_parameters_all_learn() -> None:
    models = [apply_defense(network(), ConvNorm()) for _ in range(2)]
    states = [model.state_dict() for model in models]
    assert all(torch.equal(states[0][name], value) for name, value in states[1].items())
    models[0](images()).square().mean().backward()
    assert all(
        parameter.grad is not None and parameter.grad.isfinite().all()
        for parameter in models[0].parameters()
    )  # fmt: skip


def test_the_gradient_for_an_attack_is_the_derivative_of_the_network() -> None:
    defense = ConvNorm(bn=False, eval_stats="running_autocorr")
    model = apply_defense(network(), defense).double()
    model(images(dtype=torch.float64))
    x = images(9, 1, torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(copy.deepcopy(model).eval(), x, fast_mode=True)
