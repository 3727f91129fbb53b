"""Training on what an attack makes of each minibatch: PGD (Madry et al.) and N-FGSM."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from robench.base import TrainingMethod
from robench.errors import UserError
from robench.registry import training_methods
from robench.training.methods.n_fgsm import NFGSMTraining
from robench.training.methods.pgd import PGDTraining

Seen = list[Tensor]


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Flatten(), nn.Linear(27, 3))


def batch(seed: int, count: int = 5) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(count, 3, 3, 3, generator=generator)
    return images, torch.randint(3, (count,), generator=generator)


def train(
    method: TrainingMethod, images: Tensor, labels: Tensor, logits: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Seen]:
    """Return what the network is trained on, and all that it is asked about before."""
    asked: Seen = []
    trained: Seen = []

    def ask(seen: Tensor) -> Tensor:
        asked.append(seen.detach().clone())
        return logits(seen)

    def update(seen: Tensor, labels: Tensor, loss: object = None) -> None:
        trained.append(seen.detach().clone())

    carried = method.train_minibatch(images, labels, update, logits=ask, carried=None)
    assert carried is None
    assert len(trained) == method.steps_per_minibatch == 1
    assert len(asked) + len(trained) == method.forwards_per_minibatch
    return trained[0], asked


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 999), st.integers(1, 5), st.floats(0, 0.5), st.floats(0.01, 3))
def test_pgd_trains_on_images_in_the_ball(
    seed: int, steps: int, eps: float, relative_step: float
) -> None:
    images, labels = batch(seed)
    method = PGDTraining(steps=steps, eps=eps, relative_step=relative_step)
    trained, asked = train(method, images, labels, network())
    assert len(asked) == steps
    for seen in [*asked, trained]:
        assert (seen - images).abs().max() <= eps + 1e-6
        assert seen.min() >= 0
        assert seen.max() <= 1


def test_pgd_raises_the_loss_with_each_step_and_ends_where_a_linear_loss_is_largest() -> None:
    images, labels = batch(0)
    images, net = images * 0.2 + 0.4, network()
    trained, asked = train(PGDTraining(steps=20, eps=0.1), images, labels, net)
    losses = [F.cross_entropy(net(seen), labels).item() for seen in [*asked, trained]]
    assert losses[-1] == max(losses)
    assert losses[-1] > F.cross_entropy(net(images), labels).item()
    # The sign of a linear network's gradient is constant but for the weights of the classes.
    assert ((trained - images).abs() > 0.09).float().mean() > 0.8


def test_each_minibatch_starts_from_another_point_and_a_seed_repeats_it() -> None:
    (images, labels), net = batch(0), network()
    starts = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        starts.append(train(PGDTraining(steps=1, eps=0.1), images, labels, net)[1][0])
    assert torch.equal(starts[0], starts[1])
    assert not torch.equal(starts[0], starts[2])
    offsets = (starts[0] - images)[(images > 0.1) & (images < 0.9)]
    assert offsets.abs().max() > 0.08
    assert offsets.abs().mean() == pytest.approx(0.05, abs=0.015)


def test_n_fgsm_steps_from_noise_beyond_the_ball_and_does_not_project() -> None:
    images, labels = batch(3, count=50)
    images, net, eps = images * 0.2 + 0.4, network(), 0.05
    trained, (noisy,) = train(NFGSMTraining(eps=eps), images, labels, net)
    assert (noisy - images).abs().max() == pytest.approx(2 * eps, rel=0.02)
    step = trained - noisy
    assert step.abs().max() == pytest.approx(eps, rel=1e-4)
    seen = noisy.clone().requires_grad_()
    F.cross_entropy(net(seen), labels).backward()
    assert seen.grad is not None
    assert torch.equal(step.sign(), seen.grad.sign())
    assert (trained - images).abs().max() > 2.5 * eps


def test_n_fgsm_shows_the_network_images() -> None:
    images, labels = batch(4)
    trained, asked = train(NFGSMTraining(eps=0.4), images, labels, network())
    for seen in [*asked, trained]:
        assert seen.min() == 0
        assert seen.max() == 1


def test_the_radius_is_that_of_the_recipe_and_the_step_is_relative_to_it() -> None:
    recipe = {"replays": 4, "eps": 0.1, "step_size": 0.3, "carry_delta": False}
    assert training_methods.build("pgd", recipe) == PGDTraining(steps=10, eps=0.1)
    assert training_methods.build("pgd(steps=3)", recipe) == PGDTraining(steps=3, eps=0.1)
    assert training_methods.build("n_fgsm", recipe) == NFGSMTraining(eps=0.1)


@pytest.mark.parametrize(
    ("method", "sentence"),
    [
        ("pgd(steps=0)", "steps is 0: it must be 1 or more"),
        ("pgd(eps=8)", "eps is 8 but pixels lie in"),
        ("pgd(relative_step=0)", "relative_step is 0: it must be above 0; 1 stands for eps"),
        ("n_fgsm(relative_noise=-1)", "relative_noise is -1: it must be above 0"),
    ],
)
def test_options_out_of_range_are_refused_in_one_sentence(method: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        training_methods.build(method)


@pytest.mark.parametrize("method", [PGDTraining(), NFGSMTraining()])
def test_images_without_a_gradient_are_reported_without_the_advice_to_attack_otherwise(
    method: TrainingMethod,
) -> None:
    net, head = network(), nn.Linear(3, 3)

    def below_no_grad(images: Tensor) -> Tensor:
        with torch.no_grad():
            features = net(images)
        return head(features)

    for logits in (below_no_grad, lambda images: net(images).detach()):
        with pytest.raises(UserError, match="gradient") as caught:
            train(method, *batch(0), logits)
        assert "simba" not in str(caught.value)
        assert str(caught.value).endswith(".")
