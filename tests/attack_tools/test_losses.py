"""The losses that attacks maximize."""

import pickle
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from robench.attack_tools.losses import (
    NO_GRADIENT,
    GradientError,
    input_gradient,
    log_odds,
    margin,
)
from robench.errors import UserError


def logits(scale: float = 1.0) -> Tensor:
    return scale * torch.randn(6, 5, generator=torch.Generator().manual_seed(0)).double()


LABELS = torch.tensor([0, 1, 2, 3, 4, 0])


def test_log_odds_are_those_of_the_true_class() -> None:
    p = logits().softmax(1).gather(1, LABELS[:, None]).squeeze(1)
    torch.testing.assert_close(log_odds(logits(), LABELS), torch.log((1 - p) / p))


def test_the_gradient_of_log_odds_points_where_that_of_the_cross_entropy_does() -> None:
    directions = []
    for loss in (log_odds, lambda z, y: F.cross_entropy(z, y, reduction="none")):
        z = logits().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(z, LABELS).sum(), z)
        directions.append(F.normalize(gradient, dim=1))
    torch.testing.assert_close(*directions)


def test_log_odds_keep_a_gradient_where_the_cross_entropy_has_none() -> None:
    for scale in (1.0, 1e4):
        z = (torch.eye(5) * scale).requires_grad_()  # right, and sure of it
        (gradient,) = torch.autograd.grad(log_odds(z, torch.arange(5)).sum(), z)
        assert (gradient.abs().amax(1) > 0.1).all()
    z = (torch.eye(5) * 1e4).requires_grad_()
    (gradient,) = torch.autograd.grad(F.cross_entropy(z, torch.arange(5), reduction="sum"), z)
    assert (gradient == 0).all()


def test_the_margin_is_positive_exactly_where_the_model_is_fooled() -> None:
    fooled = logits().argmax(1) != LABELS
    assert torch.equal(margin(logits(), LABELS) > 0, fooled)


@pytest.mark.parametrize("loss", ["ce", "margin"])
def test_a_sample_s_gradient_does_not_depend_on_its_batch(loss: str) -> None:
    weight = torch.randn(12, 5, generator=torch.Generator().manual_seed(1))
    images = torch.rand(6, 3, 2, 2, generator=torch.Generator().manual_seed(2))

    def model(x: Tensor) -> Tensor:
        return x.flatten(1) @ weight

    whole, answers = input_gradient(model, images, LABELS, loss)  # type: ignore[arg-type]
    for i in range(6):
        alone, answer = input_gradient(model, images[i : i + 1], LABELS[i : i + 1], loss)  # type: ignore[arg-type]
        torch.testing.assert_close(alone[0], whole[i])
        torch.testing.assert_close(answer[0], answers[i])
    torch.testing.assert_close(answers, model(images))


def linear(scale: float, detached: bool = False) -> Callable[[Tensor], Tensor]:
    """A linear model of one-pixel images: the logit of class k is scale * k * pixel."""

    def model(images: Tensor) -> Tensor:
        pixels = images.detach() if detached else images
        return pixels.flatten(1) * scale * torch.arange(3.0)

    return model


def test_where_the_cross_entropy_is_flat_the_margin_stands_in_for_that_sample_alone() -> None:
    images, labels = torch.tensor([0.001, 1.0]).view(2, 1, 1, 1), torch.tensor([2, 2])
    gradient = input_gradient(linear(1000.0), images, labels, "ce")[0].flatten()
    by_hand = images[:1].clone().requires_grad_()
    loss = F.cross_entropy(linear(1000.0)(by_hand), labels[:1])
    torch.testing.assert_close(gradient[:1], torch.autograd.grad(loss, by_hand)[0].flatten())
    assert gradient[1] == -1000  # the margin's: class 1 minus class 2


def test_a_model_detached_from_its_images_is_reported_in_a_sentence() -> None:
    images, labels = torch.ones(2, 1, 1, 1), torch.tensor([0, 1])
    with pytest.raises(UserError, match=r"no gradient with respect to its images .* 'square'"):
        input_gradient(linear(1.0, detached=True), images, labels, "ce")


def test_a_missing_gradient_is_the_same_error_in_the_process_that_asked_for_it() -> None:
    with pytest.raises(GradientError) as raised:
        input_gradient(lambda x: x.detach().flatten(1), torch.rand(2, 1, 2, 2), LABELS[:2], "ce")
    there = pickle.loads(pickle.dumps(raised.value))
    assert str(there) == str(raised.value)
    assert there.cause == NO_GRADIENT
