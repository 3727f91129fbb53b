"""An attack must find an adversarial image that was planted."""

from faults import MakeContext, Wrapped
from torch import Tensor, nn

from robench.checks.entries.binarization import Binarization


def test_an_attack_with_honest_gradients_finds_it(
    make_context: MakeContext, digits_net: nn.Module
) -> None:
    # 20 steps find 26 to 30 of 32 on networks like this one, with other rounding other ones.
    finding = Binarization(needed=0.8).run(make_context(digits_net))
    assert finding.passed, finding.sentence


def test_an_attack_without_gradients_does_not(
    make_context: MakeContext, digits_net: nn.Module
) -> None:
    class Steps(Wrapped):
        def forward(self, images: Tensor) -> Tensor:
            return self.net(images.mul(64).round().div(64))

    finding = Binarization().run(make_context(Steps(digits_net), samples=16))
    assert finding.passed is False, finding.sentence


def test_a_network_that_does_not_end_in_a_linear_layer_cannot_be_evaluated(
    make_context: MakeContext, digits_net: nn.Module
) -> None:
    finding = Binarization().run(make_context(nn.Sequential(digits_net, nn.Softmax(1))))
    assert finding.passed is None


def test_it_leaves_no_hook_behind(make_context: MakeContext, digits_net: nn.Module) -> None:
    Binarization().run(make_context(digits_net, samples=10))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in digits_net.modules())
