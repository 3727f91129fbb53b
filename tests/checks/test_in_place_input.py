"""A network that writes into its input is checked as one that does not."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from robench import ThreatModel, check_model

Digits = tuple[Tensor, Tensor]


class Shifted(nn.Module):
    """Normalizes its input first, in place or not, and hides what it does then."""

    def __init__(self, network: nn.Module, fault: Callable[..., Tensor], in_place: bool) -> None:
        super().__init__()
        self.network, self.fault, self.in_place = network, fault, in_place

    def forward(self, x: Tensor) -> Tensor:
        if self.in_place:
            x -= 0.1
            x += 0.1
            return self.fault(self.network, x)
        return self.fault(self.network, x - 0.1 + 0.1)


class Reversed(torch.autograd.Function):
    """Passes on the opposite of its gradient."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: object, *gradients: Tensor) -> Tensor:
        return -gradients[0]


FAULTS: dict[str, Callable[[nn.Module, Tensor], Tensor]] = {
    "none": lambda network, x: network(x),
    "random": lambda network, x: network(x + 0.3 * torch.randn_like(x)),
    "softmax": lambda network, x: network(x).softmax(1),
    "reversed": lambda network, x: network(Reversed.apply(x)),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("fault", FAULTS)
def test_it_has_the_same_flags(digits_net: nn.Module, digits_test: Digits, fault: str) -> None:
    images, labels = (part[:40] for part in digits_test)
    plain, in_place = (
        check_model(
            Shifted(digits_net, FAULTS[fault], writes).eval(),
            images,
            labels,
            ThreatModel("linf", 0.1),
        )
        for writes in (False, True)
    )
    assert in_place.failed == plain.failed
    assert bool(plain.failed) == (fault != "none")
    judged = [{f.check: f.passed for f in report.findings} for report in (plain, in_place)]
    assert judged[0] == judged[1]
