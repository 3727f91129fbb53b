"""Globals and closures that a network's code refers to."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from robench.models.outside_state import outside_restored, outside_values

CALLS = 0
SEEN: list[float] = []
WRITTEN = torch.zeros(2)
UNUSED: list[int] = []


def count() -> None:
    global CALLS
    CALLS += 1


class Global(nn.Module):
    """Keeps its state in this file."""

    def forward(self, images: Tensor) -> Tensor:
        count()
        SEEN.append(images.sum().item())
        WRITTEN.add_(1)
        return torch.relu(images)


def closed_over() -> tuple[nn.Module, Callable[[], Any]]:
    calls = [0]

    class Closure(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            calls[0] += 1
            return images

    return Closure(), lambda: calls[0]


def in_an_attribute() -> tuple[nn.Module, Callable[[], Any]]:
    calls = [0]

    def change(images: Tensor) -> Tensor:
        calls[0] += 1
        return images

    model = nn.Sequential(nn.ReLU())
    model.change = change  # type: ignore[assignment]
    return model, lambda: (model.change(torch.zeros(1)), calls[0])[1]


def test_what_the_code_refers_to_is_found_and_nothing_else() -> None:
    found = outside_values(nn.Sequential(Global()))
    assert found["CALLS"] == CALLS
    assert found["SEEN"] is SEEN
    assert found["WRITTEN"] is WRITTEN
    assert not {"UNUSED", "torch", "count", "Tensor"} & found.keys()


def test_it_is_put_back() -> None:
    before = (CALLS, list(SEEN), WRITTEN.clone())
    model = Global()
    with outside_restored(model):
        model(torch.ones(1))
        assert before[0] != CALLS
    assert before[:2] == (CALLS, SEEN)
    assert torch.equal(WRITTEN, before[2])


@pytest.mark.parametrize("make", [closed_over, in_an_attribute])
def test_variables_of_closures_are_put_back(
    make: Callable[[], tuple[nn.Module, Callable[[], Any]]],
) -> None:
    model, state = make()
    before = state()
    assert list(outside_values(model).values()) == [[before]]
    with outside_restored(model):
        model(torch.ones(1))
        state()
    assert list(outside_values(model).values()) == [[before]]


def test_networks_of_libraries_keep_nothing_outside() -> None:
    from torchvision.models import resnet18

    assert outside_values(resnet18()) == {}
