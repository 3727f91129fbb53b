"""Forwards and backwards are counted sample by sample, whatever the attack's code does."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from robench.evaluation import evaluate
from robench.evaluation.counting import Counted
from robench.evaluation.victim import Victim

Digits = tuple[Tensor, Tensor]


def counted(count: int) -> tuple[Counted, Tensor]:
    images = torch.rand(count, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).eval().requires_grad_(False)
    return Counted(Victim(model, images[:2], batch_size=8), images), images


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=20), st.integers(0, 5))
def test_every_forward_counts_for_the_sample_it_is_about(rows: list[int], seed: int) -> None:
    model, images = counted(6)
    noise = 0.03 * torch.rand(len(rows), 1, 4, 4, generator=torch.Generator().manual_seed(seed))
    model(images[rows] + noise)
    if len(rows) == 6:  # as many as there are: taken to be all of them, in order
        assert model.forwards.tolist() == [1] * 6
    else:
        assert model.forwards.tolist() == [rows.count(i) for i in range(6)]
    assert model.backwards.tolist() == [0] * 6


def test_backwards_count_when_a_gradient_comes_back() -> None:
    model, images = counted(6)
    x = images[2:5].clone().requires_grad_()
    logits = model(x)
    assert model.backwards.tolist() == [0] * 6
    logits[:, 0].sum().backward(retain_graph=True)
    logits[:, 1].sum().backward()
    assert model.backwards.tolist() == [0, 0, 2, 2, 2, 0]


def test_it_cannot_be_put_into_training() -> None:
    model, _ = counted(2)
    model.train()
    assert not any(module.training for module in model.modules())


@pytest.mark.parametrize("call", ["torchattacks:Square(eps=0.15, n_queries=40)",
                                  "torchattacks:APGDT(eps=0.1, steps=4)"])  # fmt: skip
def test_counts_of_a_batch_are_those_of_its_samples_alone_where_nothing_is_random(
    call: str, digits_net: nn.Module, digits_test: Digits
) -> None:
    """Attacks that drop samples: their batch shows which, and their counts must not mix them up."""
    images, labels = (part[:40] for part in digits_test)
    outcomes = evaluate(digits_net, images, labels, [call]).attacks[call]
    # A robust sample is never dropped: it pays for every step of everything.
    assert len(set(outcomes.forwards[outcomes.robust].tolist())) == 1
    fooled = outcomes.forwards[~outcomes.robust]
    assert len(fooled) > 2
    assert fooled.min() < outcomes.forwards[outcomes.robust].max()
    assert np.all(outcomes.queries == outcomes.forwards)
