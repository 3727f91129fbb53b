"""Adversarial images and logits, as they were evaluated."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from robench.evaluation import evaluate
from robench.evaluation.adversarial import adversarial_images

ATTACKS = ["fgsm", "pgd-2(samples=30)", "pgd-4", "simba(max_steps=20)", "foolbox:LinfPGD(steps=2)"]
DEFAULTS = {"eps": 0.15, "step_size": 0.05}


@pytest.fixture(scope="module")
def digits(digits_test: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """40 digits of which the network gets the first 35 right."""
    images, labels = digits_test[0][:40], digits_test[1][:40].clone()
    labels[35:] = (labels[35:] + 1) % 10
    return images, labels


@pytest.mark.parametrize("without", [(), ("bf16", "folding", "pools")])
def test_the_logits_name_the_true_class_exactly_where_a_sample_is_robust(
    without: tuple[str, ...], digits_net: nn.Module, digits: tuple[Tensor, Tensor]
) -> None:
    images, labels = digits
    evaluation, evaluated = adversarial_images(
        digits_net, images, labels, ATTACKS, defaults=DEFAULTS, batch_size=16, without=without
    )
    assert list(evaluated) == ["clean", *ATTACKS]
    assert torch.equal(evaluated["clean"].images, images)
    for name, outcomes in evaluation.attacks.items():
        found = evaluated[name]
        count = len(outcomes)
        assert len(found.images) == len(found.logits) == count
        right = found.logits.argmax(1) == labels[:count]
        assert np.array_equal(right.numpy(), outcomes.robust), name
        change = found.images - images[:count]
        # Attacked on another layout of memory, lengths differ in the last bit.
        np.testing.assert_allclose(change.flatten(1).abs().amax(1), outcomes.linf, rtol=1e-5)
        np.testing.assert_allclose(change.flatten(1).norm(dim=1), outcomes.l2, rtol=1e-5)
        with torch.no_grad():
            again = digits_net(found.images)
        torch.testing.assert_close(found.logits, again, rtol=1e-3, atol=1e-3)


def test_clean_mistakes_are_returned_unchanged(
    digits_net: nn.Module, digits: tuple[Tensor, Tensor]
) -> None:
    _, evaluated = adversarial_images(digits_net, *digits, ["fgsm"], defaults=DEFAULTS)
    assert torch.equal(evaluated["fgsm"].images[35:], digits[0][35:])
    assert torch.equal(evaluated["fgsm"].logits[35:], evaluated["clean"].logits[35:])
    assert not torch.equal(evaluated["fgsm"].images[:35], digits[0][:35])


def test_observing_changes_nothing(digits_net: nn.Module, digits: tuple[Tensor, Tensor]) -> None:
    plain = evaluate(digits_net, *digits, ATTACKS, defaults=DEFAULTS, seed=3)
    observed, _ = adversarial_images(digits_net, *digits, ATTACKS, defaults=DEFAULTS, seed=3)
    assert np.array_equal(plain.clean, observed.clean)
    for name in ATTACKS:
        for field, values in vars(plain.attacks[name]).items():
            assert np.array_equal(values, getattr(observed.attacks[name], field)), (name, field)


def test_a_random_network_is_shown_with_the_logits_of_its_predictions() -> None:
    class Noisy(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return torch.randn(len(images), 4)

    torch.manual_seed(0)  # once in a hundred times, no guess is right
    images, labels = torch.rand(64, 1, 4, 4), torch.arange(64) % 4
    evaluation, evaluated = adversarial_images(Noisy(), images, labels, ["noise(eps=0.1)"])
    (outcomes,) = evaluation.attacks.values()
    right = evaluated["noise(eps=0.1)"].logits.argmax(1) == labels
    assert np.array_equal(right.numpy(), outcomes.robust)
    assert 0 < outcomes.success_rate < 1


def test_the_images_that_were_given_are_not_written_to(
    digits_net: nn.Module, digits: tuple[Tensor, Tensor]
) -> None:
    before = digits[0].clone()
    adversarial_images(digits_net, *digits, ["pgd-2"], defaults=DEFAULTS)
    assert torch.equal(digits[0], before)
