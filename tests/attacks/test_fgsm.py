"""FGSM agrees with torchattacks and foolbox sample by sample."""

import foolbox
import pytest
import torch
import torchattacks
from torch import Tensor, nn

from robench.attack_tools.randomness import generators
from robench.attacks import FGSM
from robench.errors import UserError
from robench.registry import attacks

Digits = tuple[Tensor, Tensor]
EPS = 0.1


def perturb(attack: FGSM, model: nn.Module, digits: Digits) -> Tensor:
    images, labels = digits
    return attack.perturb(model, images, labels, generators(0, range(len(images)))).images


def test_it_agrees_with_torchattacks(digits_net: nn.Module, digits_test: Digits) -> None:
    theirs = torchattacks.FGSM(digits_net, eps=EPS)(*digits_test)
    torch.testing.assert_close(perturb(FGSM(eps=EPS), digits_net, digits_test), theirs)


def test_it_agrees_with_foolbox(digits_net: nn.Module, digits_test: Digits) -> None:
    wrapped = foolbox.PyTorchModel(digits_net, bounds=(0, 1), device="cpu")
    attack = foolbox.attacks.LinfFastGradientAttack(random_start=False)
    theirs, _, _ = attack(wrapped, *digits_test, epsilons=EPS)
    torch.testing.assert_close(perturb(FGSM(eps=EPS), digits_net, digits_test), theirs)


def test_it_agrees_on_a_network_that_is_very_sure_of_itself(
    digits_net: nn.Module, digits_test: Digits
) -> None:
    """Where p rounds to 1, the cross-entropy's gradient is coarse: it must be the libraries'."""

    class Sure(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return 4 * digits_net(images)

    top = Sure()(digits_test[0]).topk(2).values
    assert 0.2 < ((top[:, 0] - top[:, 1]) > 17).float().mean() < 1
    theirs = torchattacks.FGSM(Sure().eval(), eps=EPS)(*digits_test)
    torch.testing.assert_close(perturb(FGSM(eps=EPS), Sure(), digits_test), theirs)


def test_in_l2_it_agrees_with_foolbox(digits_net: nn.Module, digits_test: Digits) -> None:
    wrapped = foolbox.PyTorchModel(digits_net, bounds=(0, 1), device="cpu")
    attack = foolbox.attacks.L2FastGradientAttack(random_start=False)
    theirs, _, _ = attack(wrapped, *digits_test, epsilons=0.5)
    ours = perturb(FGSM(norm="l2", eps=0.5), digits_net, digits_test)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_it_really_attacks(digits_net: nn.Module, digits_test: Digits) -> None:
    images = perturb(FGSM(eps=0.2), digits_net, digits_test)
    assert (digits_net(images).argmax(1) == digits_test[1]).float().mean() < 0.7


def test_no_radius_changes_nothing(digits_net: nn.Module, digits_test: Digits) -> None:
    assert torch.equal(perturb(FGSM(eps=0.0), digits_net, digits_test), digits_test[0])


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        ("fgsm(eps=8)", r"eps is 8 .* write '8/255'"),
        ("fgsm(eps=-0.1)", r"eps is -0\.1"),
        ('fgsm(norm="l2", eps=0)', r"L2 length must be above 0"),
        ('fgsm(norm="l1")', r"norm = 'l1'"),
    ],
)
def test_options_out_of_range_are_reported_in_a_sentence(call: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        attacks.build(call)


def test_eps_may_be_a_fraction_in_text() -> None:
    assert attacks.build('fgsm(eps="8/255")') == FGSM(eps=8 / 255)
