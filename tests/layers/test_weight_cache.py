"""Values cached while parameters are frozen: computed once, never those of other parameters."""

from collections.abc import Callable, Iterator
from itertools import count

import pytest
import torch
from torch import Tensor, nn

from robench import apply_defense
from robench.layers.weight_cache import WeightCache

COMPUTED = ["cayley", "conv_sn", "aol", "bjorck", "oni", "orthogonal", "sll", "convnorm",
            "weight_standardization", "bro", "lot", "soc"]  # fmt: skip


@pytest.fixture
def made() -> Callable[[], int]:
    """Count how often a value is computed."""
    numbers: Iterator[int] = count()
    return lambda: next(numbers)


def test_a_value_is_made_once_for_frozen_sources(made: Callable[[], int]) -> None:
    kept: WeightCache[int] = WeightCache()
    weight, gain = torch.zeros(3), torch.zeros(1)
    assert len({kept.get(made, [weight, gain], (4, 4)) for _ in range(5)}) == 1


@pytest.mark.parametrize("what", ["weight", "gain"])
def test_a_change_in_place_of_any_source_recomputes_it(what: str, made: Callable[[], int]) -> None:
    kept: WeightCache[int] = WeightCache()
    sources = {"weight": torch.zeros(3), "gain": torch.zeros(1)}
    first = kept.get(made, list(sources.values()))
    sources[what].add_(1)
    assert kept.get(made, list(sources.values())) > first


def test_other_facts_dtypes_and_tensors_recompute_it(made: Callable[[], int]) -> None:
    kept: WeightCache[int] = WeightCache()
    weight = torch.zeros(3)
    for number, (source, fact) in enumerate(
        [(weight, 1), (weight, 2), (weight, 1), (weight.double(), 1), (weight.clone(), 1)]
    ):
        assert kept.get(made, [source], fact) == number


def test_nothing_is_cached_while_a_source_requires_a_gradient(made: Callable[[], int]) -> None:
    kept: WeightCache[int] = WeightCache()
    weight = torch.zeros(3, requires_grad=True)
    assert [kept.get(made, [weight]) for _ in range(3)] == [0, 1, 2]
    with torch.no_grad():
        assert [kept.get(made, [weight]) for _ in range(2)] == [3, 4]
    weight.requires_grad_(False)
    assert [kept.get(made, [weight]) for _ in range(2)] == [5, 5]


def test_clearing_recomputes_it(made: Callable[[], int]) -> None:
    kept: WeightCache[int] = WeightCache()
    weight = torch.zeros(3)
    kept.get(made, [weight])
    kept.clear()
    assert kept.get(made, [weight]) == 1


def test_a_value_of_a_tensor_that_is_gone_is_not_taken_for_that_of_a_new_one() -> None:
    for size in range(1, 200):  # the allocator soon gives the memory of the old to the new
        kept: WeightCache[str] = WeightCache()
        old = torch.zeros(size)
        kept.get(lambda: "old", [old])
        del old
        new = torch.ones(size)
        assert kept.get(lambda: "new", [new]) == "new"


def frozen(defense: str) -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU())
    return apply_defense(model, defense).eval().requires_grad_(False)


@pytest.mark.parametrize("defense", COMPUTED)
def test_frozen_layers_give_gradients_of_images_after_inference_mode(defense: str) -> None:
    model, x = frozen(defense), torch.randn(2, 4, 6, 6)
    with torch.inference_mode():
        clean = model(x)
    attacked = x.clone().requires_grad_()
    out = model(attacked)
    out.sum().backward()
    assert attacked.grad is not None
    torch.testing.assert_close(out.detach(), clean.clone())


@pytest.mark.parametrize("defense", COMPUTED)
def test_frozen_layers_do_what_free_ones_do_as_weights_come_and_go(defense: str) -> None:
    model, x = frozen(defense), torch.randn(2, 4, 6, 6)
    generator = torch.Generator().manual_seed(0)

    def output(given: dict[str, Tensor]) -> Tensor:
        out: Tensor = torch.func.functional_call(model, given, (x,))
        return out.detach()

    for _ in range(20):
        drawn = {
            name: p + 0.3 * torch.randn(p.shape, generator=generator)
            for name, p in model.named_parameters()
        }
        found = output(drawn)
        free = {name: value.clone().requires_grad_() for name, value in drawn.items()}
        torch.testing.assert_close(found, output(free))
        torch.testing.assert_close(output(drawn), found)
        del drawn, free


def test_new_values_at_another_address_are_never_taken_for_the_old_ones() -> None:
    weight = nn.Parameter(torch.rand(64, 64), requires_grad=False)
    cache: WeightCache[Tensor] = WeightCache()
    for _ in range(20):
        value = cache.get(weight.clone, [weight])
        assert torch.equal(value, weight)
        weight.data = weight.data.bfloat16()  # what module.bfloat16() does: no version is counted
        weight.data = weight.data.float() + 1
