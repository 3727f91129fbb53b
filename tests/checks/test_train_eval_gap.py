"""Running statistics compared with batch statistics."""

import copy

import torch
from faults import MakeContext
from torch import nn

from robench.checks.entries.train_eval_gap import TrainEvalGap


def test_statistics_of_the_data_pass(make_context: MakeContext, digits_net: nn.Module) -> None:
    finding = TrainEvalGap().run(make_context(digits_net, samples=128))
    assert finding.passed, finding.sentence


def test_statistics_that_are_not_of_the_data_are_named(
    make_context: MakeContext, digits_net: nn.Module
) -> None:
    stale = copy.deepcopy(digits_net)
    stale[1].running_mean.add_(5)
    finding = TrainEvalGap().run(make_context(stale, samples=128))
    assert finding.passed is False, finding.sentence


def test_the_statistics_come_back_as_they_were(
    make_context: MakeContext, digits_net: nn.Module
) -> None:
    before = {name: value.clone() for name, value in digits_net.state_dict().items()}
    TrainEvalGap().run(make_context(digits_net, samples=128))
    assert all(torch.equal(v, before[name]) for name, v in digits_net.state_dict().items())
    assert not any(module.training for module in digits_net.modules())


def test_dropout_is_not_a_statistic(make_context: MakeContext, digits_net: nn.Module) -> None:
    network = nn.Sequential(nn.Dropout(0.9), digits_net)
    one, other = (TrainEvalGap().run(make_context(m, samples=128)) for m in (network, digits_net))
    assert one == other


def test_a_network_that_keeps_none_passes(make_context: MakeContext) -> None:
    assert TrainEvalGap().run(make_context(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)))).passed


def test_too_few_images_have_no_statistics(
    make_context: MakeContext, digits_net: nn.Module
) -> None:
    assert TrainEvalGap().run(make_context(digits_net, samples=10)).passed is None
