"""Restoring what a module keeps in Python attributes."""

import random
from collections import deque
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from robench.models.frozen import frozen_stats


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
