"""The libraries agree; a difference beyond chance is distinguished from chance."""

from importlib.util import find_spec

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from robench.base import ThreatModel
from robench.evaluation.cross_check import _compared, cross_check

Digits = tuple[Tensor, Tensor]


@pytest.mark.parametrize(("norm", "eps", "step_size"), [("linf", 0.08, 0.02), ("l2", 0.5, 0.1)])
def test_the_libraries_agree_on_a_trained_network(
    digits_net: nn.Module, digits_test: Digits, norm: str, eps: float, step_size: float
) -> None:
    table = cross_check(
        digits_net, *digits_test, ThreatModel(norm, eps), step_size=step_size, steps=5
    )
    optional = {"adv_lib": {"apgd-ce-5", "apgd-t-5"}} if find_spec("adv_lib") else {}
    found = {name: set(rows["attack"]) for name, rows in table.groupby("library")}
    both = {"fgsm", "pgd-5"}
    assert found == {
        "torchattacks": both if norm == "linf" else {"pgd-5"}, "foolbox": both, **optional,
    }  # fmt: skip
    assert (table["agreement"] > 0.85).all()
    assert (table["p_value"] > 0.05).all()
    assert (table["beyond_chance"] == "").all()
    assert (table["accuracy"] < 0.9).all()


def test_a_library_whose_outcome_differs_from_every_run_of_ours_is_reported() -> None:
    ours = np.array([True, True, False, True])
    reruns = [ours, np.array([True, False, False, True])]
    theirs = np.array([False, False, False, True])
    found, suspects = _compared(ours, theirs, reruns)
    assert suspects.tolist() == [0]  # ours fools the second sample from another start
    assert found["agreement"] == 0.5
    assert (found["only_robench_fools"], found["only_library_fools"]) == (0, 2)
    assert found["p_value"] == 0.5  # two discordant samples, both one way


def test_a_broken_library_is_found(
    digits_net: nn.Module, digits_test: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torchattacks

    monkeypatch.setattr(torchattacks.PGD, "forward", lambda self, x, y: x)
    table = cross_check(
        digits_net, *digits_test, ThreatModel("linf", 0.15), step_size=0.04, steps=5
    )
    row = table.set_index(["attack", "library"]).loc[("pgd-5", "torchattacks")]
    assert row["p_value"] < 1e-6
    assert len(row["beyond_chance"].split()) > 30
    other = table.set_index(["attack", "library"]).loc[("pgd-5", "foolbox")]
    assert other["beyond_chance"] == ""


def test_another_seed_changes_starts_not_conclusions(
    digits_net: nn.Module, digits_test: Digits
) -> None:
    images, labels = (part[:30] for part in digits_test)
    tables = [
        cross_check(
            digits_net, images, labels, ThreatModel("linf", 0.1), step_size=0.03, steps=4, seed=s
        )
        for s in (0, 7)
    ]
    assert torch.tensor([t["agreement"].min() for t in tables]).min() > 0.9
