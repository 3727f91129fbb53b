"""Gradients exist, are finite, and lead upwards."""

import torch
from faults import MakeContext, Wrapped, has_form
from torch import Tensor, nn

from robench.checks.entries.gradients import Gradients
from robench.checks.entries.loss_rises import LossRises
from robench.checks.report import Finding


def found_in(model: nn.Module, make_context: MakeContext) -> dict[str, Finding]:
    return {finding.check: finding for finding in Gradients().run(make_context(model))}


def failed(found: dict[str, Finding]) -> list[str]:
    return [name for name, finding in found.items() if finding.passed is False]


class Lost(torch.autograd.Function):
    """The identity, whose gradient is replaced."""

    @staticmethod
    def forward(ctx: object, images: Tensor, factor: float) -> Tensor:
        ctx.factor = factor  # type: ignore[attr-defined]
        return images.clone()

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient * ctx.factor, None  # type: ignore[attr-defined]


class Misled(Wrapped):
    """A network whose gradients are multiplied."""

    def __init__(self, net: nn.Module, factor: float) -> None:
        super().__init__(net)
        self.factor = factor

    def forward(self, images: Tensor) -> Tensor:
        return self.net(Lost.apply(images, self.factor))


def test_honest_gradients_pass(make_context: MakeContext, digits_net: nn.Module) -> None:
    found = found_in(digits_net, make_context)
    assert all(finding.passed for finding in found.values()), found
    assert LossRises().run(make_context(digits_net)).passed


def test_zero_gradients_are_named(make_context: MakeContext, digits_net: nn.Module) -> None:
    assert failed(found_in(Misled(digits_net, 0.0), make_context)) == ["zero_gradients"]


def test_gradients_that_underflow_are_named_as_lost(
    make_context: MakeContext, digits_net: nn.Module
) -> None:
    class Tiny(Wrapped):
        def forward(self, images: Tensor) -> Tensor:
            return self.net(images) * 1e-43

    finding = found_in(Tiny(digits_net), make_context)["zero_gradients"]
    assert finding.passed is False
    assert "zero, missing or underflows in float32" in finding.sentence
    assert has_form(finding), finding.sentence


def test_gradients_that_are_not_finite_are_named(
    make_context: MakeContext, digits_net: nn.Module
) -> None:
    assert failed(found_in(Misled(digits_net, float("nan")), make_context)) == ["finite_gradients"]


def test_logits_that_are_not_finite_are_named_though_nothing_is_right(
    make_context: MakeContext, digits_net: nn.Module
) -> None:
    class Broken(Wrapped):
        def forward(self, images: Tensor) -> Tensor:
            return self.net(images) * float("nan")

    found = found_in(Broken(digits_net), make_context)
    assert failed(found) == ["finite_gradients"]
    assert "not finite on 50 of 50 images" in found["finite_gradients"].sentence


def test_a_saturated_cross_entropy_is_named(
    make_context: MakeContext, digits_net: nn.Module
) -> None:
    class Sure(Wrapped):
        def forward(self, images: Tensor) -> Tensor:
            return 100 * self.net(images)

    assert failed(found_in(Sure(digits_net), make_context)) == ["saturated_loss"]


class Half(torch.autograd.Function):
    """The identity, whose gradient passes through float16."""

    @staticmethod
    def forward(ctx: object, images: Tensor) -> Tensor:
        return images.clone()

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:
        return gradient.half().float()


def test_a_cross_entropy_whose_gradient_is_lost_on_the_way_back_is_named(
    make_context: MakeContext, digits_net: nn.Module
) -> None:
    class Fewer(Wrapped):
        def forward(self, images: Tensor) -> Tensor:
            return 4 * self.net(Half.apply(images))

    found = found_in(Fewer(digits_net), make_context)
    assert failed(found) == ["saturated_loss"]
    effort = found["saturated_loss"].best_effort
    assert effort is not None


def test_a_loss_that_does_not_rise_is_named(
    make_context: MakeContext, digits_net: nn.Module
) -> None:
    for factor in (0.0, -1.0):  # gradients of nothing, and gradients that lead down
        finding = LossRises().run(make_context(Misled(digits_net, factor)))
        assert finding.passed is False, finding.sentence
