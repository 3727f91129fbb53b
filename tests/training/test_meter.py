"""The running loss and accuracy of an epoch."""

from typing import cast

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor

from robench.training.meter import Meter


class Two:
    """Two processes with the same sums; like torch's, its reduction works in place."""

    world_size = 2

    def all_reduce(self, value: Tensor, reduce_op: str) -> Tensor:
        assert reduce_op == "sum"
        return value.mul_(2)


def metered() -> Meter:
    meter = Meter(torch.device("cpu"))
    logits = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 1.0], [3.0, 1.0]])
    meter.add(torch.tensor(0.5), logits, torch.tensor([0, 0, 0, 0]))
    return meter


def test_loss_and_accuracy_are_means_over_images() -> None:
    meter = metered()
    meter.add(torch.tensor(2.0), torch.tensor([[0.0, 1.0]]), torch.tensor([1]))
    assert meter.loss() == pytest.approx((4 * 0.5 + 2.0) / 5)
    assert meter.accuracy() == pytest.approx(4 / 5)


def test_the_sums_of_all_processes_can_be_taken_within_an_epoch_and_change_nothing() -> None:
    meter, fabric = metered(), cast(Fabric, Two())
    assert meter.sums(fabric) == meter.sums(fabric) == (4.0, 6, 8)
    assert (meter.loss(), meter.accuracy(), meter.seen) == (0.5, 0.75, 4)
    meter.add_others(fabric)
    assert (meter.loss(), meter.accuracy(), meter.seen) == (0.5, 0.75, 8)


def test_sums_that_were_taken_are_gone_on_from() -> None:
    meter = Meter(torch.device("cpu"))
    meter.add_sums(*metered().sums(cast(Fabric, Two())))
    assert (meter.loss(), meter.accuracy(), meter.seen) == (0.5, 0.75, 8)
