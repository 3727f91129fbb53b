"""The same image gets the same logits."""

import torch
from faults import MakeContext, Wrapped
from torch import Tensor, nn

from robench.checks.determinism import distance
from robench.checks.entries.any_batch import AnyBatch
from robench.checks.entries.same_logits import SameLogits


def test_an_honest_network_passes(make_context: MakeContext, digits_net: nn.Module) -> None:
    assert SameLogits().run(make_context(digits_net)).passed
    assert AnyBatch().run(make_context(digits_net)).passed


def test_random_noise_is_named(make_context: MakeContext, digits_net: nn.Module) -> None:
    class Noisy(Wrapped):
        def forward(self, images: Tensor) -> Tensor:
            return self.net(images + 1e-3 * torch.randn_like(images))

    finding = SameLogits().run(make_context(Noisy(digits_net)))
    assert finding.passed is False
    assert AnyBatch().run(make_context(Noisy(digits_net))).passed is None


def test_dropout_is_off_in_eval_mode_and_not_a_fault(
    make_context: MakeContext, digits_net: nn.Module
) -> None:
    assert SameLogits().run(make_context(nn.Sequential(digits_net, nn.Dropout(0.5)).train())).passed


def test_statistics_of_the_batch_in_eval_mode_are_named(
    make_context: MakeContext, digits_net: nn.Module
) -> None:
    batchwise = nn.Sequential(nn.BatchNorm2d(1, track_running_stats=False), digits_net)
    finding = AnyBatch().run(make_context(batchwise))
    assert SameLogits().run(make_context(batchwise)).passed
    assert finding.passed is False, finding.sentence


def test_a_nan_that_comes_and_goes_is_far_away() -> None:
    logits = torch.randn(3, 4)
    broken = logits.clone()
    broken[0, 0] = torch.nan
    assert distance(broken, broken) == 0
    assert distance(logits, broken) == float("inf")
