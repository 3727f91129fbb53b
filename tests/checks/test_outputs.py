"""Outputs are logits that were computed without gradients, and keep what attacks need."""

import re

import pytest
import torch
from faults import EPS, MakeContext, Wrapped, forged, has_form
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from robench.checks import Check
from robench.checks.entries.autograd_in_forward import AutogradInForward
from robench.checks.entries.probability_outputs import ProbabilityOutputs
from robench.checks.entries.saturated_probability import SaturatedProbability
from robench.leaderboard.audit.figures import Seen
from robench.leaderboard.audit.findings import FORMS

pytestmark = pytest.mark.usefixtures("few_queries")


class Probabilities(Wrapped):
    def forward(self, images: Tensor) -> Tensor:
        return self.net(images).softmax(1)


class Sigmoids(Wrapped):
    """A probability of each class, whatever those of the others."""

    def forward(self, images: Tensor) -> Tensor:
        return self.net(images).mul(2).sigmoid()


class Timid(Wrapped):
    """Logits that all lie between 0 and 1."""

    def forward(self, images: Tensor) -> Tensor:
        return self.net(images).mul(0.01).add(0.5)


class Constant(Wrapped):
    """Two ends, but of one image only."""

    def forward(self, images: Tensor) -> Tensor:
        outputs = torch.full((len(images), 10), 0.5)
        outputs[0, :2] = torch.tensor([0.0, 1.0])
        return outputs + 0 * self.net(images)


class LogProbabilities(Wrapped):
    def forward(self, images: Tensor) -> Tensor:
        return self.net(images).log_softmax(1)


class Sure(Wrapped):
    def forward(self, images: Tensor) -> Tensor:
        return 8 * self.net(images)


class Purified(Wrapped):
    """Images are moved toward their class before they are classified."""

    def forward(self, images: Tensor) -> Tensor:
        with torch.enable_grad():
            moved = images.detach().clone().requires_grad_()
            logits = self.net(moved)
            loss = cross_entropy(logits, logits.argmax(1))
            gradient = torch.autograd.grad(loss, moved)[0]
        return self.net((images - 0.02 * gradient.sign()).clamp(0, 1).detach())


@pytest.mark.parametrize(
    ("check", "model", "below"),
    [
        (ProbabilityOutputs(), Probabilities, 0.8),
        (ProbabilityOutputs(), Sigmoids, 0.8),
        (AutogradInForward(), Purified, 0.96),
    ],
)
def test_the_cause_is_named_with_a_lower_accuracy(
    check: Check,
    model: type[Wrapped],
    below: float,
    make_context: MakeContext,
    digits_net: nn.Module,
) -> None:
    finding = check.run(make_context(model(digits_net)))
    assert finding.passed is False
    assert has_form(finding), finding.sentence
    assert finding.best_effort is not None
    assert finding.best_effort < below


@pytest.mark.parametrize("model", [Wrapped, LogProbabilities, Sure])
@pytest.mark.parametrize(
    "check", [ProbabilityOutputs(), AutogradInForward(), SaturatedProbability()]
)
def test_logits_pass_also_logarithms_and_those_of_a_sure_network(
    check: Check, model: type[Wrapped], make_context: MakeContext, digits_net: nn.Module
) -> None:
    finding = check.run(make_context(model(digits_net)))
    assert finding.passed, finding.sentence
    assert has_form(finding), finding.sentence


@pytest.mark.parametrize("model", [Timid, Constant])
def test_logits_between_0_and_1_are_no_probabilities_unless_they_reach_both(
    model: type[Wrapped], make_context: MakeContext, digits_net: nn.Module
) -> None:
    finding = ProbabilityOutputs().run(make_context(model(digits_net)))
    assert finding.passed, finding.sentence
    assert has_form(finding), finding.sentence


def test_the_audit_believes_only_counts_that_fit_each_other(
    make_context: MakeContext, digits_net: nn.Module
) -> None:
    context = make_context(Sigmoids(digits_net))
    sentence = ProbabilityOutputs().run(context).sentence
    form = next(f for f in FORMS["probability_outputs"] if re.fullmatch(f.text, sentence))
    seen = Seen(50, 50, int(context.correct.sum()), 0, 1, "linf", EPS, ())
    inside, count, share, _ = re.fullmatch(form.text, sentence).groups()
    assert form.fits(re.fullmatch(form.text, sentence).groups(), seen)
    for wide in ("25", "51"):
        assert not form.fits((inside, count, share, wide), seen)


def test_a_saturated_probability_is_named_where_the_margin_finds_more(
    make_context: MakeContext, digits_net: nn.Module
) -> None:
    columns = {
        "pgd-20": forged(range(5), backwards=20),
        "pgd-20(loss='margin')": forged(range(45), backwards=20),
    }
    finding = SaturatedProbability().run(make_context(Sure(digits_net), columns))
    assert finding.passed is False
    assert has_form(finding), finding.sentence
    assert finding.best_effort is not None
    assert finding.best_effort <= 0.1


def test_the_engine_of_torch_is_left_as_it_was(
    make_context: MakeContext, digits_net: nn.Module
) -> None:
    before = torch.autograd._engine_run_backward  # type: ignore[attr-defined]
    AutogradInForward().run(make_context(Purified(digits_net), samples=4))
    assert torch.autograd._engine_run_backward is before  # type: ignore[attr-defined]
