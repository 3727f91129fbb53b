"""The same image gets the same logits."""

import torch
from faults import MakeSubject, Wrapped
from torch import Tensor, nn

from robench.checks.determinism import any_batch, distance, same_logits


def test_an_honest_network_passes(make_subject: MakeSubject, digits_net: nn.Module) -> None:
    assert same_logits(make_subject(digits_net)).passed
    assert any_batch(make_subject(digits_net)).passed


def test_random_noise_is_named(make_subject: MakeSubject, digits_net: nn.Module) -> None:
    class Noisy(Wrapped):
        def forward(self, images: Tensor) -> Tensor:
            return self.net(images + 1e-3 * torch.randn_like(images))

    finding = same_logits(make_subject(Noisy(digits_net)))
    assert finding.passed is False
    assert any_batch(make_subject(Noisy(digits_net))).passed is None


def test_dropout_is_off_in_eval_mode_and_no_fault(
    make_subject: MakeSubject, digits_net: nn.Module
) -> None:
    assert same_logits(make_subject(nn.Sequential(digits_net, nn.Dropout(0.5)).train())).passed


def test_statistics_of_the_batch_in_eval_mode_are_named(
    make_subject: MakeSubject, digits_net: nn.Module
) -> None:
    batchwise = nn.Sequential(nn.BatchNorm2d(1, track_running_stats=False), digits_net)
    finding = any_batch(make_subject(batchwise))
    assert same_logits(make_subject(batchwise)).passed
    assert finding.passed is False, finding.sentence


def test_a_nan_that_comes_and_goes_is_far_away() -> None:
    logits = torch.randn(3, 4)
    broken = logits.clone()
    broken[0, 0] = torch.nan
    assert distance(broken, broken) == 0
    assert distance(logits, broken) == float("inf")
