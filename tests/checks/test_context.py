"""What the checks know of a network: the worst case of all that was tried."""

from typing import cast

import numpy as np
import pytest
import torch
from faults import EPS, MakeContext, forged
from torch import Tensor, nn

from robench.checks.context import CheckContext
from robench.errors import UserError


def test_the_best_effort_is_the_worst_case_of_columns_and_search(
    make_context: MakeContext, digits_net: nn.Module
) -> None:
    context = make_context(digits_net, {"fgsm": forged(range(9)), "simba": forged(range(6, 14))})
    robust = np.ones(50, dtype=bool)
    assert context.best_effort(robust) == left(context) / 50
    robust[context.survivors.nonzero()[0][:3]] = False
    assert context.best_effort(robust) <= left(context) / 50
    robust[:] = False
    assert context.best_effort(robust) == 0


def test_the_best_effort_is_never_above_the_accuracy_under_the_standard_attack(
    make_context: MakeContext, digits_net: nn.Module
) -> None:
    context = make_context(digits_net)
    found = context.best_effort(np.ones(50, dtype=bool))
    [standard] = context.run(context.standard())
    assert found == standard.accuracy


def test_what_was_fooled_outside_the_ball_survives(
    make_context: MakeContext, digits_net: nn.Module
) -> None:
    inside, outside = (
        make_context(digits_net, {"simba": forged(range(9), size=size)}) for size in (EPS, 2 * EPS)
    )
    assert inside.survivors.sum() == 41
    assert outside.survivors.all()


def test_a_search_of_other_images_is_refused(
    make_context: MakeContext, digits_net: nn.Module
) -> None:
    with pytest.raises(UserError, match="a search of 49 images was given; it needs 50"):
        make_context(digits_net).best_effort(np.ones(49, dtype=bool))


def left(context: CheckContext) -> int:
    """Count the images that are right, and that no known attack fooled."""
    return int((context.correct.numpy() & context.survivors).sum())


class OneBuffer(nn.Module):
    """Writes every answer into the same memory, as runtimes with bound outputs do."""

    def __init__(self, net: nn.Module, images: int) -> None:
        super().__init__()
        self.net = net
        self.buffer = torch.zeros(images, 10)

    def forward(self, images: Tensor) -> Tensor:
        logits = self.net(images)
        if torch.is_grad_enabled():
            return cast(Tensor, logits)
        return self.buffer[: len(images)].copy_(logits)


def test_answers_in_one_buffer_are_those_of_their_own_images(
    make_context: MakeContext, digits_net: nn.Module
) -> None:
    context, buffered = (make_context(net) for net in (digits_net, OneBuffer(digits_net, 16)))
    (expected,), (found,) = (c.answers([c.images], batch_size=16) for c in (context, buffered))
    torch.testing.assert_close(found, expected)
