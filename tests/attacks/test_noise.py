"""Noise: the baseline that every attack must beat."""

import pytest
import torch
from torch import Tensor

from robench.attack_tools.randomness import generators
from robench.attack_tools.threat_models import norms
from robench.attacks import Noise


def perturbation(attack: Noise, seed: int = 0, count: int = 50) -> Tensor:
    images = torch.full((count, 3, 8, 8), 0.5)

    def never(_: Tensor) -> Tensor:
        raise AssertionError("noise called the model")

    labels = torch.zeros(count).long()
    return attack.perturb(never, images, labels, generators(seed, range(count))).images - images


@pytest.mark.parametrize("kind", ["uniform", "gaussian"])
@pytest.mark.parametrize(("norm", "eps"), [("linf", 0.1), ("l2", 0.5)])
def test_it_fills_its_ball_and_stays_in_it(kind: str, norm: str, eps: float) -> None:
    delta = perturbation(Noise(norm=norm, eps=eps, kind=kind))  # type: ignore[arg-type]
    sizes = norms(delta, norm)  # type: ignore[arg-type]
    assert sizes.max() <= eps + 1e-6
    assert sizes.mean() > 0.8 * eps
    assert delta.mean().abs() < 0.01


def test_uniform_linf_noise_is_uniform() -> None:
    delta = perturbation(Noise(eps=0.1)).flatten()
    assert delta.std().item() == pytest.approx(0.1 / 3**0.5, rel=0.02)


def test_it_depends_on_the_seed_and_on_the_sample() -> None:
    first, again, other = (perturbation(Noise(eps=0.1), seed) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first[0], first[1])


def test_it_costs_no_query() -> None:
    images = torch.rand(3, 1, 4, 4)
    result = Noise().perturb(lambda x: x, images, torch.zeros(3).long(), generators(0, range(3)))
    assert result.queries.tolist() == result.forwards.tolist() == [0, 0, 0]
