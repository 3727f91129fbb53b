"""A network that writes into its images gets the findings of one that writes into none."""

from typing import Any

import pytest
import torch
from faults import EPS, STEP, Wrapped
from torch import Tensor, nn

from robench.attack_tools.losses import input_gradient, predict
from robench.base import ThreatModel
from robench.checks import Report, check_model, default_checks

pytestmark = pytest.mark.usefixtures("few_queries")


class Opened(Wrapped):
    """A network whose first line may work in place, as ``normalize(inplace=True)`` does."""

    def __init__(self, net: nn.Module, in_place: bool) -> None:
        super().__init__(net)
        self.in_place = in_place

    def add(self, images: Tensor, value: Tensor | float) -> Tensor:
        return images.add_(value) if self.in_place else images.add(value)


class Normalized(Opened):
    """Shifted there and back."""

    def forward(self, images: Tensor) -> Tensor:
        return self.net(self.add(images, -0.3) + 0.3)


class Noisy(Opened):
    def forward(self, images: Tensor) -> Tensor:
        return self.net(self.add(images, 0.2 * torch.randn_like(images)))


class Probabilities(Opened):
    def forward(self, images: Tensor) -> Tensor:
        return self.net(self.add(images, 0.01)).mul(20).softmax(1)


class Backwards(torch.autograd.Function):
    """The identity, with the gradient of its opposite."""

    @staticmethod
    def forward(ctx: Any, images: Tensor) -> Tensor:
        return images.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return -gradients[0]


class Reversed(Opened):
    def forward(self, images: Tensor) -> Tensor:
        return self.net(Backwards.apply(self.add(images, 0.01)))


def report(model: nn.Module, digits: tuple[Tensor, Tensor]) -> Report:
    return check_model(
        model,
        *digits,
        ThreatModel("linf", EPS),
        step_size=STEP,
        samples=32,
        checks=[*default_checks(), "binarization(images=4)"],
    )


def verdicts(found: Report) -> dict[str, bool | None]:
    return {finding.check: finding.passed for finding in found.findings}


@pytest.mark.parametrize(
    ("model", "named"),
    [
        (Noisy, {"same_logits"}),
        (Probabilities, {"probability_outputs", "zero_gradients"}),
        (Reversed, {"wrong_gradient", "loss_rises"}),
    ],
)
def test_a_first_line_in_place_hides_no_flag(
    model: type[Opened], named: set[str], digits: tuple[Tensor, Tensor], digits_net: nn.Module
) -> None:
    plain = report(model(digits_net, in_place=False), digits)
    found = report(model(digits_net, in_place=True), digits)
    assert named <= set(plain.failed)
    assert verdicts(found) == verdicts(plain)


def test_an_honest_network_in_place_gets_the_findings_of_the_plain_one(
    digits: tuple[Tensor, Tensor], digits_net: nn.Module
) -> None:
    before = digits[0].clone()
    found = report(Normalized(digits_net, in_place=True), digits)
    assert found == report(Normalized(digits_net, in_place=False), digits)
    assert found.failed == []
    assert torch.equal(digits[0], before)


def test_the_tools_of_attacks_keep_their_points_and_the_gradient_to_the_bit(
    digits: tuple[Tensor, Tensor], digits_net: nn.Module
) -> None:
    points, labels = digits[0][:8].clone(), digits[1][:8]
    leaf = points.clone().requires_grad_()
    losses = nn.functional.cross_entropy(
        Normalized(digits_net, in_place=False)(leaf), labels, reduction="sum"
    )
    wanted = torch.autograd.grad(losses, leaf)[0]
    model = Normalized(digits_net, in_place=True)
    gradient, logits = input_gradient(model, points, labels, "ce")
    assert torch.equal(gradient, wanted)
    assert torch.equal(predict(model, points), logits)
    assert torch.equal(points, digits[0][:8])
