"""Notices about a model: gradients that lead attacks nowhere, accuracy that is near chance."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from robench.evaluation.notices import gradient_notice, is_near_chance

IMAGES, LABELS = torch.rand(20, 1, 4, 4), torch.arange(20) % 3


class Of(nn.Module):
    """A linear network on what a function makes of the images."""

    def __init__(self, change: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.change, self.net = change, nn.Sequential(nn.Flatten(), nn.Linear(16, 3))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.net(self.change(images))
        return logits


def square_root_of_zero(images: Tensor) -> Tensor:
    return images + 0 * (images - images).sqrt()  # its gradient is 0 * infinity


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (square_root_of_zero, "gradient is NaN or infinite on 16 of 16 clean images"),
        (torch.round, "gradient is zero on all of 16 clean images"),
        (lambda x: x * 1e-38, "gradient is zero on all"),
        (torch.Tensor.detach, "have no gradient with respect to the images"),
    ],
)
def test_gradients_that_lead_nowhere_are_said(
    change: Callable[[Tensor], Tensor], sentence: str
) -> None:
    notice = gradient_notice(Of(change), IMAGES, LABELS)
    assert notice is not None
    assert sentence in notice


def test_a_usual_network_draws_no_notice_and_is_restored() -> None:
    model = Of(lambda x: x).train()
    before = torch.get_rng_state()
    assert gradient_notice(model, IMAGES.numpy(), LABELS.numpy()) is None
    assert model.training
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    assert torch.equal(torch.get_rng_state(), before)


def test_accuracy_is_near_chance_below_a_fifth_of_the_way_to_perfect() -> None:
    assert is_near_chance(0.225, 10)
    assert is_near_chance(0.55, 2)
    assert is_near_chance(0.05, 1000)
    assert not is_near_chance(0.3, 10)
    assert not is_near_chance(0.65, 2)
    assert not is_near_chance(0.4, 1000)
