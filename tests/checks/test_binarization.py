"""An adversarial image is planted: does the attack find it?"""

from faults import MakeSubject, Wrapped
from torch import Tensor, nn

from robench.checks.binarization import binarization


def test_an_attack_with_honest_gradients_finds_it(
    make_subject: MakeSubject, digits_net: nn.Module
) -> None:
    finding = binarization(make_subject(digits_net))
    assert finding.passed, finding.sentence


def test_an_attack_without_gradients_does_not(
    make_subject: MakeSubject, digits_net: nn.Module
) -> None:
    class Steps(Wrapped):
        def forward(self, images: Tensor) -> Tensor:
            return self.net(images.mul(64).round().div(64))

    finding = binarization(make_subject(Steps(digits_net), samples=16))
    assert finding.passed is False, finding.sentence


def test_a_network_that_does_not_end_in_a_linear_layer_cannot_be_judged(
    make_subject: MakeSubject, digits_net: nn.Module
) -> None:
    finding = binarization(make_subject(nn.Sequential(digits_net, nn.Softmax(1))))
    assert finding.passed is None


def test_it_leaves_no_hook_behind(make_subject: MakeSubject, digits_net: nn.Module) -> None:
    binarization(make_subject(digits_net, samples=10))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in digits_net.modules())
