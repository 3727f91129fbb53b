"""Weight parametrizations: precision, shape, caching; norms and the selection of layers."""

import pytest
import torch
from torch import Tensor, nn

from robench.errors import UserError
from robench.layers.norms import fitting_groups, group_norm_like
from robench.layers.reparametrize import reparametrize
from robench.layers.selected import selected_convs
from robench.layers.weight_cache import WeightCache


class Recorder(nn.Module):
    """Doubles its input and records it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []
        self.autocast: list[bool] = []

    def forward(self, weight: Tensor) -> Tensor:
        self.seen.append(weight)
        self.autocast.append(torch.is_autocast_enabled("cpu"))
        return 2 * weight


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_maps_run_in_full_precision_outside_autocast(dtype: torch.dtype) -> None:
    change = Recorder()
    conv = reparametrize(nn.Conv2d(4, 6, 3, dtype=dtype), change)
    with torch.autocast("cpu", torch.bfloat16):
        weight = conv.weight
    assert change.seen[-1].dtype == torch.promote_types(dtype, torch.float32)
    assert not change.autocast[-1]
    assert weight.dtype == dtype


@pytest.mark.parametrize("groups", [1, 2])
def test_matrices_come_one_a_group(groups: int) -> None:
    change = Recorder()
    plain = nn.Conv2d(4, 6, 3, groups=groups)
    before = plain.weight.detach().clone()
    conv = reparametrize(plain, change, as_matrix=True)
    torch.testing.assert_close(conv.weight, 2 * before)
    assert change.seen[-1].shape == (groups, 6 // groups, 4 // groups * 9)


def test_frozen_weights_are_made_once_until_they_change() -> None:
    change = Recorder()
    conv = reparametrize(nn.Conv2d(4, 6, 3), change)
    assert conv.weight.requires_grad
    made = len(change.seen)
    conv(torch.randn(1, 4, 5, 5))
    assert len(change.seen) == made + 1, "trained weights are made for every forward"
    conv.requires_grad_(False)
    first = conv.weight
    assert conv.weight is first
    with torch.no_grad():
        conv.parametrizations["weight"].original.add_(1)  # type: ignore[index, operator]
    torch.testing.assert_close(conv.weight, first + 2)


def test_what_is_kept_belongs_to_its_facts() -> None:
    kept: WeightCache[int] = WeightCache()
    weight = torch.zeros(3)
    counts = iter(range(10))
    assert kept.get(lambda: next(counts), [weight], "a") == 0
    assert kept.get(lambda: next(counts), [weight], "a") == 0
    assert kept.get(lambda: next(counts), [weight], "b") == 1
    weight.add_(1)
    assert kept.get(lambda: next(counts), [weight], "b") == 2
    kept.clear()
    assert kept.get(lambda: next(counts), [weight], "b") == 3
    weight.requires_grad_()
    assert kept.get(lambda: next(counts), [weight], "b") == 4
    with torch.inference_mode():
        inference = torch.zeros(3)
    assert [kept.get(lambda: next(counts), [inference]) for _ in range(2)] == [5, 6]


@pytest.mark.parametrize(
    ("channels", "groups", "expected"),
    [(64, 32, 32), (32, 32, 16), (48, 32, 24), (8, 32, 4), (9, 32, 3), (7, 32, 1), (1, 32, 1)],
)
def test_group_norms_have_two_channels_or_more_a_group(
    channels: int, groups: int, expected: int
) -> None:
    assert fitting_groups(nn.BatchNorm2d(channels), groups) == expected


def test_group_norms_agree_with_torch_and_take_single_pixels() -> None:
    x = torch.randn(4, 6, 3, 3)
    torch.testing.assert_close(group_norm_like(nn.BatchNorm2d(6), 1)(x), nn.GroupNorm(1, 6)(x))
    instance = group_norm_like(nn.InstanceNorm2d(6), 6)
    torch.testing.assert_close(instance(x), nn.InstanceNorm2d(6)(x))
    one = torch.randn(1, 6, 1, 1)
    torch.testing.assert_close(instance(one), torch.zeros_like(one), atol=1e-3, rtol=0)
    two = instance(one.expand(2, 6, 1, 1))
    torch.testing.assert_close(two[:1], instance(one), atol=1e-3, rtol=0)


def test_layers_are_chosen_by_patterns() -> None:
    model = nn.ModuleDict({"a": nn.Conv2d(1, 1, 1), "b": nn.Conv2d(1, 1, 1), "c": nn.ReLU()})
    assert selected_convs(model, "*") == [model["a"], model["b"]]
    assert selected_convs(model, "b|[b-x]") == [model["b"]]
    with pytest.raises(UserError, match=r"'x' in layers = 'b\|x' matches no convolution"):
        selected_convs(model, "b|x")
    with pytest.raises(UserError, match=r"layers = 'c' matches no convolution .* such as 'a'"):
        selected_convs(model, "c")


class Halver(nn.Module):
    """Begins with the doubled weight, so that what is used is what was there."""

    def forward(self, weight: Tensor) -> Tensor:
        return weight / 2

    def right_inverse(self, weight: Tensor) -> Tensor:
        return 2 * weight


@pytest.mark.parametrize("as_matrix", [False, True])
def test_a_map_with_an_inverse_begins_at_the_weight_that_was_there(as_matrix: bool) -> None:
    plain = nn.Conv2d(4, 6, 3, groups=2)
    before = plain.weight.detach().clone()
    conv = reparametrize(plain, Halver(), as_matrix=as_matrix)
    torch.testing.assert_close(conv.weight, before)
    stored: Tensor = conv.parametrizations["weight"].original  # type: ignore[index, assignment]
    torch.testing.assert_close(stored, 2 * before)


def test_it_is_the_stored_weight_that_is_trained() -> None:
    conv = reparametrize(nn.Conv2d(2, 2, 1, bias=False).double(), Halver())
    stored: Tensor = conv.parametrizations["weight"].original  # type: ignore[index, assignment]
    assert [p is stored for p in conv.parameters()] == [True]
    before = stored.detach().clone()
    conv.weight.sum().backward()
    torch.optim.SGD(conv.parameters(), lr=1.0).step()
    torch.testing.assert_close(stored, before - 0.5)


def test_parameters_of_the_map_are_trained_and_their_changes_seen_while_frozen() -> None:
    class Gain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gain = nn.Parameter(torch.ones(()))

        def forward(self, weight: Tensor) -> Tensor:
            return self.gain * weight

    change = Gain()
    conv = reparametrize(nn.Conv2d(2, 2, 1), change)
    conv.weight.sum().backward()
    assert change.gain.grad is not None
    conv.requires_grad_(False)
    before = conv.weight.clone()
    change.gain.mul_(3)
    torch.testing.assert_close(conv.weight, 3 * before)


def test_a_weight_in_channels_last_comes_to_the_map_as_the_same_matrix() -> None:
    change = Recorder()
    plain = nn.Conv2d(4, 6, 3, groups=2)
    before = plain.weight.detach().clone()
    conv = reparametrize(plain.to(memory_format=torch.channels_last), change, as_matrix=True)
    torch.testing.assert_close(conv.weight, 2 * before)
    assert torch.equal(change.seen[-1], before.view(2, 3, -1))


def test_what_a_map_keeps_has_its_precision_also_after_a_cast_of_the_network() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("factor", torch.tensor([2.0]))

        def forward(self, weight: Tensor) -> Tensor:
            assert isinstance(self.factor, Tensor)
            assert self.factor.dtype == weight.dtype
            return self.factor * weight

    conv = reparametrize(nn.Conv2d(4, 6, 3), Scaled()).bfloat16()
    assert conv.weight.dtype == torch.bfloat16
