"""The two baselines: no norm layers, and the network's own."""

import pytest
import torch
from torch import nn

from robench import apply_defense
from robench.defenses import BatchNorm, Vanilla


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3), nn.GroupNorm(2, 4),
        nn.Conv2d(4, 4, 3), nn.InstanceNorm2d(4, affine=True), nn.Conv2d(4, 4, 3),
        nn.SyncBatchNorm(4), nn.Flatten(), nn.Linear(16, 2),
    )  # fmt: skip


def test_vanilla_drops_every_kind_of_norm_layer_and_nothing_else() -> None:
    plain, model = network(), apply_defense(network(), Vanilla())
    kinds = [type(module) for module in model.children()]
    assert kinds == [nn.Conv2d, nn.Identity] * 4 + [nn.Flatten, nn.Linear]
    kept = {name for name, _ in plain.named_parameters() if name[0] in "02469"}
    assert set(model.state_dict()) == kept


def test_vanilla_is_the_network_of_its_convolutions() -> None:
    plain, x = network(), torch.rand(2, 3, 10, 10)
    expected = x
    for index in (0, 2, 4, 6, 8, 9):
        expected = plain[index](expected)  # type: ignore[index]
    assert torch.equal(apply_defense(plain, "vanilla")(x), expected)


def test_batchnorm_leaves_a_network_with_norm_layers_as_it_is() -> None:
    plain, model = network(), apply_defense(network(), BatchNorm())
    assert repr(model) == repr(plain)
    assert all(torch.equal(model.state_dict()[k], v) for k, v in plain.state_dict().items())


@pytest.mark.parametrize(("bias", "dtype"), [(True, torch.float64), (False, torch.float32)])
def test_batchnorm_puts_one_after_each_convolution_where_there_is_none(
    bias: bool, dtype: torch.dtype
) -> None:
    plain = nn.Sequential(nn.Conv2d(3, 4, 3, bias=bias), nn.ReLU()).to(dtype)
    model = apply_defense(plain, "batchnorm")
    kinds = [type(module) for module in model.modules() if not list(module.children())]
    assert kinds == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU]
    assert {parameter.dtype for parameter in model.parameters()} == {dtype}
    x = torch.rand(8, 3, 6, 6, dtype=dtype)
    normalized = model[0](x)  # type: ignore[index]
    torch.testing.assert_close(normalized.mean((0, 2, 3)), torch.zeros(4, dtype=dtype))
    torch.testing.assert_close(
        normalized.var((0, 2, 3), correction=0), torch.ones(4, dtype=dtype), atol=1e-3, rtol=0
    )
