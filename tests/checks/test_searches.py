"""Searches that need no useful gradient find what a plain one misses."""

import pytest
import torch
from faults import MakeContext, Wrapped
from torch import Tensor, nn

from robench.checks import Check
from robench.checks.entries.autograd_in_forward import AutogradInForward
from robench.checks.entries.gradients import Gradients
from robench.checks.entries.same_logits import SameLogits
from robench.checks.searches import harder
from robench.checks.straight_through import StraightThrough

pytestmark = pytest.mark.usefixtures("few_queries")


class Rounded(Wrapped):
    def forward(self, images: Tensor) -> Tensor:
        return self.net(images.mul(16).round().div(16))


class Bytes(Wrapped):
    def forward(self, images: Tensor) -> Tensor:
        return self.net((images * 16 + 0.5).to(torch.uint8).float() / 16)


class Thermometer(Wrapped):
    def forward(self, images: Tensor) -> Tensor:
        return self.net((images.unsqueeze(-1) > torch.arange(0.05, 1, 0.1)).float().mean(-1))


class Detached(Wrapped):
    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        return self.net(images.detach())


@pytest.mark.parametrize("model", [Rounded, Bytes, Thermometer, Detached])
def test_a_straight_through_gradient_leads_where_there_is_none(
    model: type[Wrapped], make_context: MakeContext, digits_net: nn.Module
) -> None:
    context = make_context(model(digits_net))
    zero = next(f for f in Gradients().run(context) if f.check == "zero_gradients")
    assert zero.passed is False
    assert zero.best_effort is not None
    assert zero.best_effort < 0.6
    assert harder(context) is harder(context)  # searched once


def test_values_are_those_of_the_network(digits_net: nn.Module) -> None:
    images = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    for model in (Rounded(digits_net), Bytes(digits_net), Thermometer(digits_net)):
        with torch.no_grad():
            plain = model(images)
        with StraightThrough(0.1):
            assert torch.equal(model(images), plain)


def test_a_random_network_is_attacked_with_averaged_gradients(
    make_context: MakeContext, digits_net: nn.Module
) -> None:
    class Noisy(Wrapped):
        def forward(self, images: Tensor) -> Tensor:
            return self.net(images + 0.1 * torch.randn_like(images))

    torch.manual_seed(0)
    finding = SameLogits().run(make_context(Noisy(digits_net), samples=24))
    assert finding.passed is False
    assert finding.best_effort is not None
    assert finding.best_effort < 0.6


class Refusing(Wrapped):
    """Random, with a backward pass inside, and not to be asked for a gradient."""

    def forward(self, images: Tensor) -> Tensor:
        if images.requires_grad:
            raise ValueError("no gradients here")
        with torch.enable_grad():
            point = images.clone().requires_grad_()
            moved = torch.autograd.grad(self.net(point).sum(), point)[0]
        return self.net(images + moved.sign() * 0.05 * torch.rand_like(images))


@pytest.mark.parametrize("check", [SameLogits(), AutogradInForward()])
def test_a_check_that_has_failed_fails_also_where_its_search_breaks_down(
    check: Check, make_context: MakeContext, digits_net: nn.Module
) -> None:
    finding = check.run(make_context(Refusing(digits_net), samples=8))
    assert finding.passed is False
    assert finding.best_effort is None
