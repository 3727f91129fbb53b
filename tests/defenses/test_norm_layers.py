"""Batch-free norms, and weights of fixed length or variance, as defenses."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from robench import UserError, apply_defense
from robench.layers.norms import GroupNorm2d

GROUPS = {"layernorm": 1, "groupnorm(groups=2)": 2, "groupnorm(groups=4)": 4, "instancenorm": 8,
          "weight_standardization(groups=2)": 2}  # fmt: skip


def network(norm: nn.Module | None = None, **changes: Any) -> nn.Sequential:
    torch.manual_seed(0)
    options = {"in_channels": 3, "out_channels": 8, "kernel_size": 3, "bias": False, **changes}
    conv = nn.Conv2d(**options)  # type: ignore[arg-type]
    return nn.Sequential(conv, norm or nn.BatchNorm2d(8), nn.ReLU()).double()


def images(n: int = 4) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(n, 3, 6, 5, dtype=torch.float64, generator=generator)


def standardized(y: Tensor, groups: int) -> Tensor:
    """Return mean 0 and variance 1 over groups of channels and all pixels of each sample."""
    parts = y.reshape(len(y), groups, -1)
    centered = parts - parts.mean(2, keepdim=True)
    return (centered / (centered.square().mean(2, keepdim=True) + 1e-5).sqrt()).view_as(y)


@pytest.mark.parametrize(("defense", "groups"), GROUPS.items())
def test_the_network_computes_its_formula(defense: str, groups: int) -> None:
    plain = network()
    model = apply_defense(plain, defense)
    with torch.no_grad():
        model[1].weight.uniform_(0.5, 2)  # type: ignore[index, operator]
        model[1].bias.uniform_(-1, 1)  # type: ignore[index, operator]
    weight = plain[0].weight.detach()
    if defense.startswith("weight"):
        rows = weight.flatten(1)
        variance = rows.var(1, keepdim=True, unbiased=False)
        rows = (rows - rows.mean(1, keepdim=True)) / (variance + 1e-10).sqrt()
        weight = rows.view_as(weight)
    gamma, beta = (p.detach().view(-1, 1, 1) for p in (model[1].weight, model[1].bias))  # type: ignore[index, union-attr]
    expected = F.relu(gamma * standardized(F.conv2d(images(), weight), groups) + beta)
    torch.testing.assert_close(model(images()), expected, atol=1e-11, rtol=0)


@pytest.mark.parametrize("defense", GROUPS)
@pytest.mark.parametrize(
    "norm", [nn.BatchNorm2d(8), nn.InstanceNorm2d(8, affine=True), nn.GroupNorm(2, 8)]
)
def test_every_kind_of_norm_layer_is_replaced(defense: str, norm: nn.Module) -> None:
    model = apply_defense(network(norm), defense)
    found = model[1]  # type: ignore[index]
    assert isinstance(found, GroupNorm2d)
    assert found.num_groups == GROUPS[defense]
    assert found is not norm
    assert model(images()).isfinite().all()


@pytest.mark.parametrize("defense", GROUPS)
@pytest.mark.parametrize("norm", [nn.BatchNorm2d(8, affine=False)])
def test_a_norm_layer_without_parameters_is_replaced_in_any_dtype(
    defense: str, norm: nn.Module
) -> None:
    assert apply_defense(network(norm), defense)(images()).dtype == torch.float64


@pytest.mark.parametrize("defense", [*GROUPS, "weight_norm"])
def test_the_answer_for_an_image_depends_neither_on_the_batch_nor_on_the_mode(defense: str) -> None:
    model, x = apply_defense(network(), defense), images()
    together = model.train()(x)
    assert torch.equal(model.eval()(x), together)
    apart = torch.cat([model(image[None]) for image in x])
    torch.testing.assert_close(apart, together, atol=1e-12, rtol=0)
    assert not [name for name, _ in model.named_buffers()]


@pytest.mark.parametrize("defense", GROUPS)
def test_brightness_and_contrast_of_the_features_do_not_matter(defense: str) -> None:
    norm, y = apply_defense(network(), defense)[1], 10 * torch.randn(2, 8, 9, 9).double()  # type: ignore[index]
    torch.testing.assert_close(norm(100 * y + 7), norm(y), atol=1e-6, rtol=0)


def test_an_instance_of_one_pixel_is_erased_and_a_group_of_two_channels_is_not() -> None:
    x = torch.rand(2, 3, 3, 3, dtype=torch.float64)  # one pixel is left behind the kernel
    assert apply_defense(network(), "instancenorm")(x).abs().max() < 1e-12
    assert apply_defense(network(), "groupnorm")(x).abs().max() > 0.5


def test_networks_without_norm_layers_get_one_after_each_convolution() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3))
    made = apply_defense(model, "layernorm")
    assert sum(isinstance(module, GroupNorm2d) for module in made.modules()) == 2


@pytest.mark.parametrize("defense", ["groupnorm(groups=0)", "weight_standardization(groups=-1)"])
def test_less_than_a_group_is_refused(defense: str) -> None:
    with pytest.raises(UserError, match=r"groups is .*: it must be 1 or more"):
        apply_defense(network(), defense)


# --- weight standardization ----------------------------------------------------------------------


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("scale", [1.0, 1e3])
def test_each_filter_has_mean_zero_and_variance_one(groups: int, scale: float) -> None:
    plain = network(nn.BatchNorm2d(9), out_channels=9, groups=groups)
    with torch.no_grad():
        plain[0].weight.mul_(scale).add_(scale)
    filters = apply_defense(plain, "weight_standardization")[0].weight.detach().flatten(1)  # type: ignore[index]
    torch.testing.assert_close(filters.mean(1), torch.zeros(9).double(), atol=1e-12, rtol=0)
    ones = torch.ones(9, dtype=torch.float64)
    torch.testing.assert_close(filters.var(1, unbiased=False), ones, atol=1e-7, rtol=0)


def test_a_constant_filter_is_zero_with_a_finite_gradient() -> None:
    plain = network()
    nn.init.constant_(plain[0].weight, 0.3)
    model = apply_defense(plain, "weight_standardization")
    assert model[0].weight.abs().max() < 1e-9  # type: ignore[index]
    model(images()).sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_filters_of_a_single_weight_are_refused_by_name_and_reason() -> None:
    model = nn.Sequential(nn.Conv2d(3, 6, 3), nn.Sequential(nn.Conv2d(6, 6, 1, groups=6)))
    reason = r"layer '1\.0', Conv2d.*WeightStandardization cannot .*one weight each"
    with pytest.raises(UserError, match=reason):
        apply_defense(model, "weight_standardization")
    made = apply_defense(model, "weight_standardization", skip=["1.0"])
    assert made(images().float()).isfinite().all()


# --- weight normalization ------------------------------------------------------------------------


def test_weight_norm_begins_as_the_convolution_and_drops_norm_layers() -> None:
    plain = network()
    model = apply_defense(plain, "weight_norm")
    expected = F.relu(plain[0](images()))
    torch.testing.assert_close(model(images()), expected, atol=1e-12, rtol=0)
    kept = apply_defense(plain, "weight_norm(bn=true)")
    assert isinstance(kept[1], nn.BatchNorm2d)  # type: ignore[index]


def test_length_and_direction_of_each_filter_are_trained_apart() -> None:
    conv: Any = apply_defense(network(), "weight_norm")[0]  # type: ignore[index]
    length = conv.parametrizations.weight.original0
    direction = conv.parametrizations.weight.original1
    assert length.numel() == 8
    before = conv.weight.detach().clone()
    with torch.no_grad():
        direction.mul_(5)
    torch.testing.assert_close(conv.weight, before, atol=1e-12, rtol=0)
    with torch.no_grad():
        length[2] *= 3
    before[2] *= 3
    torch.testing.assert_close(conv.weight, before, atol=1e-12, rtol=0)
    conv.weight.pow(3).sum().backward()
    assert (direction * direction.grad).flatten(1).sum(1).abs().max() < 1e-12


@pytest.mark.parametrize("defense", ["layernorm", "instancenorm", "groupnorm", "weight_norm"])
def test_every_convolution_is_taken(defense: str) -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1, padding_mode="reflect"), nn.Conv2d(6, 6, 3, 2, groups=6),
        nn.Conv2d(6, 6, 1, groups=6), nn.Conv2d(6, 4, (1, 3), padding="same", dilation=2),
    )  # fmt: skip
    x = torch.randn(2, 3, 9, 9)
    assert apply_defense(model, defense)(x).shape == model(x).shape
