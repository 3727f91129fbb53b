"""Restoring what a module keeps in Python attributes."""

import random
import warnings
from collections import deque
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from robench.models.frozen import frozen_stats
from robench.models.plain_state import independent_copy


class Keeps(nn.Module):
    """A module with one attribute, which each forward changes."""

    def __init__(self, value: Any, change: Any) -> None:
        super().__init__()
        self.value, self.change = value, change

    def forward(self, images: Tensor) -> Tensor:
        self.change(self)
        return images


def rebind(module: Any) -> None:
    module.value = module.value + 1


CHANGES: dict[str, tuple[Any, Any]] = {
    "a count": (3, rebind),
    "a tensor that is bound anew": (torch.ones(2), rebind),
    "a tensor that is written to": (torch.ones(2), lambda m: m.value.add_(1)),
    "an array": (np.ones(2), lambda m: np.add(m.value, 1, out=m.value)),
    "a list": ([1, [2]], lambda m: m.value[1].append(3)),
    "a dict": ({"seen": [1]}, lambda m: (m.value["seen"].clear(), m.value.update(more=2))),
    "a set": ({1}, lambda m: m.value.add(2)),
    "a queue of a few": (deque([1, 2], maxlen=2), lambda m: m.value.append(3)),
    "bytes": (bytearray(b"ab"), lambda m: m.value.append(1)),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_a_forward_changed_is_put_back(name: str) -> None:
    value, change = CHANGES[name]
    module = Keeps(value, change)
    before = repr(value)
    with frozen_stats(module):
        for _ in range(2):
            module(torch.zeros(1))
        assert repr(module.value) != before
    assert module.value is value
    assert repr(value) == before


GENERATORS: dict[str, tuple[Any, Any]] = {
    "torch": (torch.Generator().manual_seed(0), lambda g: torch.rand(1, generator=g).item()),
    "python": (random.Random(0), lambda g: g.random()),
    "numpy": (np.random.default_rng(0), lambda g: g.random()),
    "numpy, as of old": (np.random.RandomState(0), lambda g: g.rand()),
}


@pytest.mark.parametrize("name", GENERATORS)
def test_a_random_generator_draws_the_same_numbers_again(name: str) -> None:
    generator, draw = GENERATORS[name]
    drawn: list[float] = []
    module = Keeps(generator, lambda m: drawn.append(draw(m.value)))
    for _ in range(2):
        with frozen_stats(module):
            module(torch.zeros(1))
    assert drawn[0] == drawn[1]


def test_what_a_forward_added_is_removed_and_what_it_removed_comes_back() -> None:
    def change(module: Any) -> None:
        module.added = 1
        del module.value

    module = Keeps(5, change)
    with frozen_stats(module):
        module(torch.zeros(1))
    assert module.value == 5
    assert not hasattr(module, "added")


def test_a_lazy_layer_stays_what_its_first_forward_made_it() -> None:
    module = nn.LazyLinear(2)
    with frozen_stats(module):
        module(torch.zeros(1, 3))
    assert module.in_features == 3
    assert module(torch.zeros(1, 3)).shape == (1, 2)


def test_two_names_of_one_list_stay_one_list() -> None:
    shared: list[Any] = []
    shared.append(shared)
    module = Keeps([shared, shared], lambda m: m.value[0].append(1))
    with frozen_stats(module):
        module(torch.zeros(1))
    assert module.value[0] is module.value[1] is shared
    assert len(shared) == 1


KEPT: dict[str, Any] = {
    "an expanded tensor": torch.ones(1).expand(3),
    "an array that cannot be written to": np.broadcast_to(np.ones(1), (3,)),
    "a sparse tensor": torch.eye(2).to_sparse(),
    "a tensor without values": torch.empty(2, device="meta"),
    "tensors of several lengths": torch.nested.nested_tensor([torch.ones(1), torch.ones(2)]),
}


@pytest.mark.parametrize("name", KEPT)
def test_what_cannot_be_written_to_stays(name: str) -> None:
    module = Keeps(KEPT[name], lambda m: setattr(m, "value", None))
    with frozen_stats(module):
        module(torch.zeros(1))
    assert module.value is KEPT[name]


def with_weight_norm() -> nn.Module:
    """A network that keeps computed weights in plain attributes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        first, second = (nn.utils.weight_norm(nn.Linear(2, 2)) for _ in range(2))
    return nn.Sequential(first, nn.ReLU(), second)


def test_a_backward_pass_goes_on_after_an_attack_in_between() -> None:
    model = with_weight_norm()
    loss = model(torch.ones(1, 2)).sum()
    with frozen_stats(model):
        model(torch.zeros(1, 2))
    loss.backward()


def test_a_copy_is_made_also_of_computed_weights() -> None:
    model, images = with_weight_norm(), torch.ones(1, 2)
    logits = model(images)
    copied = independent_copy(model)
    assert torch.equal(copied(images), logits)
    assert not set(copied.parameters()) & set(model.parameters())


def test_statistics_that_a_lazy_layer_has_yet_to_make_are_left_to_it() -> None:
    module = nn.LazyBatchNorm2d()
    with frozen_stats(module):
        module(torch.zeros(1, 3, 2, 2))
    assert module.num_features == 3
