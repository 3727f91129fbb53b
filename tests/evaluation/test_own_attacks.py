"""Attacks that users write: what is measured is what their own class does."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import robench
from robench import Adversarial, Attack, UserError
from robench.attacks import PGD
from robench.evaluation import evaluate

Digits = tuple[Tensor, Tensor]


class WithInit(Attack):
    """Without the decorator, its radius is no field."""

    def __init__(self, eps: float) -> None:
        super().__init__()
        object.__setattr__(self, "eps", eps)

    def perturb(self, model: Any, images: Tensor, labels: Tensor, rngs: Any) -> Adversarial:
        return Adversarial(images)


@dataclass(frozen=True)
class Idle(PGD):
    """PGD, but for its search, which does nothing."""

    def perturb(self, model: Any, images: Tensor, labels: Tensor, rngs: Any) -> Adversarial:
        none = torch.zeros(len(images), dtype=torch.int64)
        return Adversarial(images, none, none, none)


@dataclass(frozen=True)
class Keeps(PGD):
    """PGD that keeps something besides its options."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "mask", torch.ones(1))


@dataclass(frozen=True)
class OfList(Attack):
    """An attack with a list among its options."""

    steps: Any = (1,)

    def perturb(self, model: Any, images: Tensor, labels: Tensor, rngs: Any) -> Adversarial:
        return Adversarial(images)


def test_a_subclass_that_overrides_the_search_is_run_and_not_its_parent(
    digits_net: nn.Module, digits_test: Digits
) -> None:
    images, labels = digits_test
    named = {"idle": Idle(eps=0.3), "other": Idle(eps=0.2), "pgd": PGD(eps=0.3)}
    found = evaluate(digits_net, images[:40], labels[:40], named)
    assert found.accuracy("idle") == found.accuracy("other") == found.accuracy()
    assert found.accuracy("pgd") < 0.2


@pytest.mark.parametrize(
    ("attack", "sentence"),
    [
        (lambda: WithInit(0.3), "WithInit has an __init__ of its own.*fields below @dataclass"),
        (lambda: Keeps(eps=0.3), "Keeps keeps 'mask', which is no field"),
        (lambda: OfList([1, 2]), "cannot be compared .*use tuples"),
    ],
)
def test_what_two_objects_may_differ_in_must_be_known(
    digits_net: nn.Module, digits_test: Digits, attack: Any, sentence: str
) -> None:
    images, labels = digits_test
    with pytest.raises(UserError, match=sentence):
        evaluate(digits_net, images[:2], labels[:2], {"mine": attack()})


def test_no_radius_of_the_defaults_is_that_of_two_norms(
    digits_net: nn.Module, digits_test: Digits
) -> None:
    images, labels = (part[:2] for part in digits_test)
    with pytest.raises(UserError, match=r"fgsm \(linf\) and pgd-2\(norm='l2'\) \(l2\).*two norms"):
        evaluate(digits_net, images, labels, ["fgsm", "pgd-2(norm='l2')"], defaults={"eps": 0.1})
    one = evaluate(digits_net, images, labels, ["pgd-2(norm='l2')"], defaults={"eps": 0.1})
    assert one.threat_models == {"pgd-2(norm='l2')": robench.ThreatModel("l2", 0.1)}
