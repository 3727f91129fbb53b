"""Free adversarial training: Algorithm 1 of Shafahi et al. 2019."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from robench.errors import UserError
from robench.system.processes import Shard
from robench.training.methods.free import free_replays, starting_delta
from robench.training.parallel import part_of


def batch(seed: int, count: int = 4) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 1, 3, 3, generator=generator), torch.zeros(count).long()


class LinearLoss:
    """Loss = <direction, image>, so that the gradient at the input is known."""

    def __init__(self, direction: Tensor) -> None:
        self.direction = direction
        self.seen: list[Tensor] = []

    def __call__(self, images: Tensor, labels: Tensor) -> None:
        self.seen.append(images.detach().clone())
        (images * self.direction).sum().backward()


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 1000), st.integers(1, 6), st.floats(0, 0.5), st.floats(0, 0.5))
def test_the_perturbation_stays_in_the_ball_and_the_network_sees_images(
    seed: int, replays: int, eps: float, step_size: float
) -> None:
    images, labels = batch(seed)
    loss = LinearLoss(torch.randn(images.shape, generator=torch.Generator().manual_seed(seed)))
    delta = free_replays(
        loss,
        images,
        labels,
        torch.zeros_like(images),
        replays=replays,
        eps=eps,
        step_size=step_size,
    )
    assert delta.abs().max() <= eps + 1e-7
    assert len(loss.seen) == replays
    for seen in loss.seen:
        assert seen.min() >= 0
        assert seen.max() <= 1
        assert (seen - images).abs().max() <= eps + 1e-6


def test_each_replay_ascends_by_one_signed_step() -> None:
    images, labels = batch(0)
    direction = torch.randn(images.shape, generator=torch.Generator().manual_seed(1))
    loss = LinearLoss(direction)
    delta = free_replays(
        loss, images, labels, torch.zeros_like(images), replays=3, eps=0.05, step_size=0.02
    )
    torch.testing.assert_close(loss.seen[0], images)
    torch.testing.assert_close(loss.seen[1], (images + 0.02 * direction.sign()).clamp(0, 1))
    torch.testing.assert_close(loss.seen[2], (images + 0.04 * direction.sign()).clamp(0, 1))
    torch.testing.assert_close(delta, 0.05 * direction.sign())


def test_a_carried_perturbation_is_where_the_next_minibatch_starts() -> None:
    images, labels = batch(0)
    carried = torch.full_like(images, 0.03)
    loss = LinearLoss(torch.ones_like(images))
    free_replays(loss, images, labels, carried, replays=1, eps=0.05, step_size=0.01)
    torch.testing.assert_close(loss.seen[0], (images + 0.03).clamp(0, 1))


def test_a_short_last_minibatch_takes_as_much_of_it_as_it_needs() -> None:
    images, _ = batch(0, count=2)
    carried = torch.rand(4, 1, 3, 3)
    assert torch.equal(starting_delta(part_of(carried, 2, Shard()), images), carried[:2])
    nothing = part_of(None, 2, Shard())
    assert torch.equal(starting_delta(nothing, images), torch.zeros_like(images))


def test_a_process_takes_its_part_of_what_the_whole_minibatch_carried_over() -> None:
    images, carried = batch(0, count=1)[0], torch.rand(4, 1, 3, 3)
    assert torch.equal(starting_delta(part_of(carried, 3, Shard(1, 2)), images), carried[2:3])


def test_one_replay_of_no_radius_is_standard_training() -> None:
    images, labels = batch(0)
    loss = LinearLoss(torch.ones_like(images))
    free_replays(loss, images, labels, torch.zeros_like(images), replays=1, eps=0, step_size=0.1)
    assert torch.equal(loss.seen[0], images)


def test_images_without_a_gradient_are_reported_in_a_sentence() -> None:
    images, labels = batch(0)

    def detached(images: Tensor, labels: Tensor) -> None:
        """Leave no gradient, as a forward under no_grad does."""

    with pytest.raises(UserError, match="no gradient with respect to its images"):
        free_replays(
            detached, images, labels, torch.zeros_like(images), replays=1, eps=0.1, step_size=0.1
        )
