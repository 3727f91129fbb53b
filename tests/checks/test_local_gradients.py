"""Gradients are the derivatives of the logits, and say what the next step will meet."""

import pytest
import torch
from faults import MakeContext, Wrapped, has_form
from test_gradients import Misled
from torch import Tensor, nn

from robench.checks import Check
from robench.checks.entries.discontinuous import Discontinuous
from robench.checks.entries.restricted import Restricted
from robench.checks.entries.rough_logits import RoughLogits
from robench.checks.entries.unstable_gradient import UnstableGradient
from robench.checks.entries.wrong_gradient import WrongGradient
from robench.checks.entries.zero_gradients_by_class import ZeroGradientsByClass
from robench.checks.probes import Probe

pytestmark = pytest.mark.usefixtures("few_queries")

CHECKS = (
    WrongGradient(), RoughLogits(), UnstableGradient(), ZeroGradientsByClass(), Discontinuous(),
    Restricted(),
)  # fmt: skip


class Hashed(Wrapped):
    """Noise on the logits that is a pseudo-random function of the image."""

    def forward(self, images: Tensor) -> Tensor:
        logits = self.net(images)
        places = torch.arange(1, images[0].numel() + 1, dtype=torch.float64)
        mixed = (images.detach().double().flatten(1) * places).sum(1, keepdim=True)
        waves = torch.sin(mixed * 1e7 * torch.arange(1, logits.shape[1] + 1))
        return logits + 5 * waves.float()


class Decoy(Wrapped):
    """The gradients are those of a network that was not trained."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__(net)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.other = nn.Sequential(
                nn.Flatten(), nn.Linear(64, 99), nn.ReLU(), nn.Linear(99, 10)
            )

    def forward(self, images: Tensor) -> Tensor:
        other = self.other(images)
        with torch.no_grad():
            logits = self.net(images)
        return logits + (other - other.detach())


class InPart(Wrapped):
    """The backward pass leaves every third column of the image out."""

    def forward(self, images: Tensor) -> Tensor:
        left_out = images.detach().clone()
        kept = torch.arange(images.shape[-1], device=images.device) % 3 > 0
        return self.net(torch.where(kept, images, left_out))


class Rippled(Wrapped):
    """A ripple of high frequency on the pixels: the gradients are right, and useless."""

    def forward(self, images: Tensor) -> Tensor:
        return self.net(images + 0.1 * torch.sin(800 * images))


class Detects(Wrapped):
    """Images with noise in the corners get the logits of a network that is hard to fool."""

    def forward(self, images: Tensor) -> Tensor:
        corners = images[..., ::7, ::7].flatten(1)
        perturbed = ((corners * 16 - (corners * 16).round()).abs() > 0.02).any(1, keepdim=True)
        return torch.where(perturbed, self.net(images.round()), self.net(images))


class SmallLeftOut(Wrapped):
    """The small parts of the gradient, a sixth of its squared length, are zero."""

    def forward(self, images: Tensor) -> Tensor:
        images = images * 1.0
        if images.requires_grad:
            images.register_hook(self.large)
        return self.net(images)

    def large(self, gradient: Tensor) -> Tensor:
        squares, order = gradient.flatten(1).square().sort(1, descending=True)
        kept = squares.cumsum(1) - squares < 0.84 * squares.sum(1, keepdim=True)
        return gradient * torch.zeros_like(squares).scatter(1, order, kept.float()).view_as(
            gradient
        )


class FlatFor(Wrapped):
    """No gradient for images in the classes 3 and 4."""

    def forward(self, images: Tensor) -> Tensor:
        logits = self.net(images)
        flat = torch.isin(logits.argmax(1, keepdim=True), torch.tensor([3, 4]))
        return torch.where(flat, logits.detach(), logits)


@pytest.mark.parametrize(
    ("check", "model"),
    [
        (RoughLogits(), Hashed),
        (RoughLogits(), Rippled),
        (UnstableGradient(), Rippled),
        (Discontinuous(), Detects),
        (WrongGradient(), Decoy),
        (WrongGradient(), lambda net: Misled(net, -1.0)),
        (WrongGradient(), InPart),
        (WrongGradient(), SmallLeftOut),
        (ZeroGradientsByClass(), FlatFor),
    ],
)
def test_the_cause_is_named_and_the_network_is_fooled_otherwise(
    check: Check, model: type[Wrapped], make_context: MakeContext, digits_net: nn.Module
) -> None:
    context = make_context(model(digits_net), samples=40)
    finding = check.run(context)
    assert finding.passed is False, finding.sentence
    assert has_form(finding), finding.sentence
    assert finding.best_effort is not None
    assert finding.best_effort < context.run(context.standard())[0].accuracy


def test_a_network_that_sees_noise_at_its_border_is_found(
    make_context: MakeContext, digits_net: nn.Module, digits: tuple[Tensor, Tensor]
) -> None:
    class Notices(Wrapped):
        """The answer of the nearest known image fades in, as values at the border lie off its grid.

        Clean ones are sixteenths.
        """

        def forward(self, images: Tensor) -> Tensor:
            edges = torch.cat([images[..., :1], images[..., -1:]], -1).flatten(1) * 16
            share = ((edges - edges.round()).abs().mean(1, keepdim=True) * 8 - 0.2).clamp(0, 1)
            nearest = torch.cdist(images.flatten(1), digits[0].flatten(1)).argmin(1)
            known = 10 * torch.nn.functional.one_hot(digits[1][nearest], 10).float()
            return share.detach() * known + (1 - share.detach()) * self.net(images)

    context = make_context(Notices(digits_net))
    finding = Restricted().run(context)
    assert finding.passed is False, finding.sentence
    assert has_form(finding), finding.sentence
    assert finding.best_effort is not None
    assert finding.best_effort < context.run(context.standard())[0].accuracy - 0.2


def test_a_few_images_do_not_show_that_gradients_are_shattered(
    make_context: MakeContext, digits_net: nn.Module
) -> None:
    finding = UnstableGradient().run(make_context(Rippled(digits_net), samples=4))
    assert finding.passed is True, finding.sentence
    assert "too few images to tell" in finding.sentence
    assert has_form(finding), finding.sentence


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("factor", [1e-4, 1.0, 1e4])
def test_honest_networks_pass_at_any_temperature(
    check: Check, factor: float, make_context: MakeContext, digits_net: nn.Module
) -> None:
    class Scaled(Wrapped):
        def forward(self, images: Tensor) -> Tensor:
            return factor * self.net(images)

    finding = check.run(make_context(Scaled(digits_net)))
    assert finding.passed, finding.sentence
    assert has_form(finding), finding.sentence


def test_a_jump_of_the_logits_is_told_from_a_steep_slope(
    make_context: MakeContext, digits_net: nn.Module
) -> None:
    class Steep(Wrapped):
        """Between two levels the logits go by a slope, or by a jump if it has no width."""

        width = 0.1

        def forward(self, images: Tensor) -> Tensor:
            mean = images.flatten(1).mean(1, keepdim=True)
            level = ((mean * 400).remainder(2) - 1).abs() - 0.5
            step = (level / self.width).clamp(-1, 1) if self.width else level.sign()
            return self.net(images) * (1 + 0.5 * step)

    model = Steep(digits_net)
    for width, jumps in [(0.1, False), (0.01, False), (0.0, True)]:
        model.width = width
        finding = Discontinuous().run(make_context(model))
        assert finding.passed is not jumps, finding.sentence


def test_equal_pixels_under_a_max_pooling_are_no_missing_part(
    make_context: MakeContext, digits_net: nn.Module
) -> None:
    class Dilated(Wrapped):
        """Of equal pixels one alone has a gradient, and digits have a black background."""

        def forward(self, images: Tensor) -> Tensor:
            return self.net(images) + self.net(torch.nn.functional.max_pool2d(images, 5, 1, 2))

    check, context = WrongGradient(), make_context(Dilated(digits_net))
    probe = Probe.of(context, 40)
    seem_wrong, are_wrong = (
        int((check.cosines(at, at.gradients(at.images)) < check.whole).sum())
        for at in (probe, check.moved(probe))
    )
    assert seem_wrong > len(probe) / 4
    assert are_wrong <= 2
    finding = check.run(context)
    assert finding.passed, finding.sentence


def test_a_gradient_of_another_length_is_not_wrong(
    make_context: MakeContext, digits_net: nn.Module
) -> None:
    assert WrongGradient().run(make_context(Misled(digits_net, 1e-3))).passed


@pytest.mark.parametrize("check", CHECKS)
def test_what_has_no_gradient_or_none_to_compare_is_inconclusive(
    check: Check, make_context: MakeContext, digits_net: nn.Module
) -> None:
    class Detached(Wrapped):
        def forward(self, images: Tensor) -> Tensor:
            return self.net(images.detach())

    class Random(Wrapped):
        def forward(self, images: Tensor) -> Tensor:
            return self.net(images + 0.2 * torch.randn_like(images))

    cut, random = (check.run(make_context(m(digits_net))) for m in (Detached, Random))
    if not isinstance(check, RoughLogits | Discontinuous):
        assert cut.passed is None, cut.sentence
    assert has_form(cut), cut.sentence
    if not isinstance(check, ZeroGradientsByClass):
        assert random.passed is None, random.sentence
        assert has_form(random), random.sentence
