"""AutoAttack: the authors' numbers, early exit, and any number of classes."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from robench.attack_tools.libraries import LibraryAttack
from robench.attacks import AutoAttack
from robench.errors import UserError
from robench.evaluation import evaluate

Digits = tuple[Tensor, Tensor]
CALL = "autoattack(eps=0.12, steps=10, queries=50)"


def parts(attack: AutoAttack, classes: int) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for part in attack.parts(classes):
        assert isinstance(part, LibraryAttack)
        found.append((part.name.partition(":")[2], dict(part.options)))
    return found


def test_the_standard_version_has_the_authors_numbers() -> None:
    assert parts(AutoAttack(), 10) == [
        ("APGD", {"norm": "Linf", "eps": 8 / 255, "steps": 100, "loss": "ce"}),
        ("APGDT", {"norm": "Linf", "eps": 8 / 255, "steps": 100, "n_classes": 10}),
        ("FAB", {"norm": "Linf", "eps": 8 / 255, "steps": 100, "n_classes": 10,
                 "multi_targeted": True}),
        ("Square", {"norm": "Linf", "eps": 8 / 255, "n_queries": 5000}),
    ]  # fmt: skip


def test_many_classes_have_nine_targets_and_few_all_others() -> None:
    assert dict(parts(AutoAttack(), 100))["FAB"]["n_classes"] == 10
    assert [name for name, _ in parts(AutoAttack(), 3)] == ["APGD", "FAB", "Square"]
    assert dict(parts(AutoAttack(norm="l2", eps=0.5), 5))["APGDT"] == {
        "norm": "L2", "eps": 0.5, "steps": 100, "n_classes": 5,
    }  # fmt: skip


def test_the_version_for_random_networks_averages_gradients() -> None:
    losses = [options["loss"] for _, options in parts(AutoAttack(version="rand"), 10)]
    assert losses == ["ce", "dlr"]
    assert {options["eot_iter"] for _, options in parts(AutoAttack(version="rand"), 10)} == {20}
    assert len(parts(AutoAttack(version="rand"), 2)) == 1


def test_it_is_at_least_as_strong_as_its_parts_and_as_pgd(
    digits_net: nn.Module, digits_test: Digits
) -> None:
    images, labels = (part[:40] for part in digits_test)
    defaults = {"eps": 0.12, "step_size": 0.03}
    names = [CALL, "pgd-20", "torchattacks:APGD(steps=10)", "torchattacks:Square(n_queries=50)"]
    result = evaluate(digits_net, images, labels, names, defaults=defaults)
    assert 0 < result.accuracy(CALL) <= min(result.accuracy(name) for name in names[1:])


def test_each_part_gets_only_what_no_earlier_part_has_fooled(
    digits_net: nn.Module, digits_test: Digits
) -> None:
    images, labels = (part[:40] for part in digits_test)
    outcomes = evaluate(digits_net, images, labels, [CALL]).attacks[CALL]
    robust = outcomes.robust
    assert outcomes.forwards[robust].min() > 50  # to the end of Square
    assert np.median(outcomes.forwards[~robust]) < 0.3 * outcomes.forwards[robust].min()


def test_a_network_of_one_class_is_refused() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 1))
    with pytest.raises(UserError, match=r"has only 1 class\(es\)"):
        evaluate(model, torch.rand(2, 1, 2, 2), torch.zeros(2).long(), ["autoattack"])
