"""AutoAttack: the authors' numbers, early exit, any number of classes, and interruptions."""

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from robench.attack_tools.randomness import generators
from robench.attack_tools.victims import BareModel
from robench.attacks import AutoAttack
from robench.base import Attack
from robench.errors import RobenchWarning, UserError
from robench.evaluation import evaluate
from robench.registry import attacks

Digits = tuple[Tensor, Tensor]
CALL = "autoattack(eps=0.12, steps=10, queries=50)"


def parts(attack: AutoAttack, classes: int) -> list[tuple[str, dict[str, Any]]]:
    """Return the name of each part, and its options that are not the defaults."""
    return [(type(part).__name__, options_of(part)) for part in attack.parts(classes)]


def options_of(part: Attack) -> dict[str, Any]:
    default = type(part)()
    values = {field.name: getattr(part, field.name) for field in fields(part)}
    return {name: value for name, value in values.items() if value != getattr(default, name)}


def test_the_standard_version_has_the_authors_numbers() -> None:
    # The defaults of the parts are 100 steps, 9 targets, 5,000 queries, one search.
    assert parts(AutoAttack(), 10) == [
        ("APGD", {}),
        ("APGD", {"loss": "targeted"}),
        ("FAB", {"targeted": True}),
        ("Square", {}),
    ]
    defaults = [vars(part) for part in AutoAttack().parts(10)]
    assert {options["steps"] for options in defaults[:3]} == {100}
    assert {options["targets"] for options in defaults[1:3]} == {9}
    assert {options["restarts"] for options in defaults} == {1}
    assert defaults[3]["queries"] == 5000
    assert defaults[3]["area"] == 0.8


def test_version_plus_has_the_authors_numbers() -> None:
    assert parts(AutoAttack(norm="l2", eps=0.5, version="plus"), 10) == [
        (name, {"norm": "l2", "eps": 0.5, **options})
        for name, options in [
            ("APGD", {"restarts": 5}),
            ("APGD", {"restarts": 5, "loss": "dlr"}),
            ("FAB", {"restarts": 5}),
            ("Square", {}),
            ("APGD", {"loss": "targeted"}),
            ("FAB", {"targeted": True}),
        ]
    ]


def test_the_version_for_random_networks_averages_gradients() -> None:
    assert parts(AutoAttack(version="rand"), 10) == [
        ("APGD", {"averaged": 20}),
        ("APGD", {"averaged": 20, "loss": "dlr"}),
    ]
    assert len(parts(AutoAttack(version="rand"), 2)) == 1


@pytest.mark.parametrize(
    ("classes", "names"),
    [
        (2, ["ce", "fab", "square", "fab"]),
        (3, ["ce", "dlr", "fab", "square", "fab"]),
        (4, ["ce", "dlr", "fab", "square", "targeted", "fab"]),
    ],
)
def test_few_classes_have_all_others_as_targets_and_no_losses_for_more(
    classes: int, names: list[str]
) -> None:
    attack = AutoAttack(version="plus", eps=0.9, steps=3, queries=5)
    found = attack.parts(classes)
    assert [getattr(part, "loss", type(part).__name__.lower()) for part in found] == names
    assert vars(found[-1])["targets"] == classes - 1
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, classes)).eval()
    images = torch.rand(10, 1, 8, 8)
    labels = model(images).argmax(1)
    found = attack.perturb(model, images, labels, generators(0, range(10))).images
    assert (model(found).argmax(1) != labels).all()


def test_it_is_at_least_as_strong_as_its_parts_and_those_of_torchattacks(
    digits_net: nn.Module, digits_test: Digits
) -> None:
    images, labels = (part[:40] for part in digits_test)
    names = [
        CALL, "pgd-20(step_size=0.03)", "apgd(steps=10)", "square(queries=50)",
        "fab(steps=10, targeted=true)", "torchattacks:APGD(steps=10)",
        "torchattacks:Square(n_queries=50)",
    ]  # fmt: skip
    result = evaluate(digits_net, images, labels, names, defaults={"eps": 0.12})
    assert 0 < result.accuracy(CALL) <= min(result.accuracy(name) for name in names[1:])


def test_that_of_torchattacks_is_there_as_a_library_attack() -> None:
    attack = attacks.build("torchattacks:AutoAttack(eps=0.1)")
    assert attack.threat_model == ("linf", 0.1)


@pytest.mark.parametrize("version", ["standard", "plus", "rand"])
def test_each_part_gets_only_what_no_earlier_part_has_fooled(
    digits_net: nn.Module, digits_test: Digits, version: str
) -> None:
    images, labels = (part[:40] for part in digits_test)
    name = f"autoattack(eps=0.12, steps=6, queries=50, version='{version}')"
    outcomes = evaluate(digits_net, images, labels, [name]).attacks[name]
    robust = outcomes.robust
    assert outcomes.forwards[robust].min() > 50  # to the end of the last part
    assert np.median(outcomes.forwards[~robust]) < 0.3 * outcomes.forwards[robust].min()


def test_a_result_depends_neither_on_the_batch_nor_on_what_is_beside_it(
    digits_net: nn.Module, digits_test: Digits
) -> None:
    images, labels = (part[:30] for part in digits_test)
    whole = evaluate(digits_net, images, labels, [CALL]).attacks[CALL]
    apart = evaluate(digits_net, images, labels, [CALL], batch_size=7).attacks[CALL]
    assert (whole.robust == apart.robust).all()
    assert (whole.forwards == apart.forwards).all()


class Reporting(BareModel):
    """A model that notes the progress it is told."""

    num_classes = 10
    batch_size = 16

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        self.seen: list[int] = []

    def report(self, finished: int) -> None:
        self.seen.append(finished)


def test_progress_rises_through_all_parts_to_the_number_of_images(
    digits_net: nn.Module, digits_test: Digits
) -> None:
    images, labels = (part[:40] for part in digits_test)
    model = Reporting(digits_net)
    attack = AutoAttack(eps=0.03, steps=6, queries=50)
    attack.perturb(model, images, labels, generators(0, range(40)))
    assert model.seen == sorted(model.seen)
    assert model.seen[-1] == 40
    assert len(set(model.seen)) > 20


def test_a_network_of_one_class_is_refused() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 1))
    with pytest.raises(UserError, match="has one logit per image"):
        evaluate(model, torch.rand(2, 1, 2, 2), torch.zeros(2).long(), ["autoattack"])


def test_an_unknown_version_is_refused() -> None:
    with pytest.raises(UserError, match=r"version"):
        attacks.build("autoattack(version='full')")


class Changed(nn.Module):
    """Digits' network with other logits."""

    def __init__(self, model: nn.Module, kind: str) -> None:
        super().__init__()
        self.model, self.kind = model, kind

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.model(x)
        if self.kind == "large":
            return 1000 * logits
        if self.kind == "flat":  # a gradient of zero
            return logits.detach() + 0 * logits
        if self.kind == "detached":
            return logits.detach()
        return logits + 0.5 * torch.randn_like(logits)


def test_large_logits_do_not_protect(digits_net: nn.Module, digits_test: Digits) -> None:
    images, labels = (part[:40] for part in digits_test)
    plain = evaluate(digits_net, images, labels, [CALL]).accuracy(CALL)
    large = evaluate(Changed(digits_net, "large").eval(), images, labels, [CALL]).accuracy(CALL)
    assert abs(large - plain) <= 0.03


def test_without_slopes_square_is_left_and_without_gradients_it_is_refused(
    digits_net: nn.Module, digits_test: Digits
) -> None:
    images, labels = (part[:20] for part in digits_test)
    names = ["autoattack(eps=0.2, steps=2, queries=60)", "square(eps=0.2, queries=60)"]
    found = evaluate(Changed(digits_net, "flat").eval(), images, labels, names)
    assert found.accuracy(names[0]) <= found.accuracy(names[1]) + 0.05 < 0.9
    with pytest.raises(UserError, match=r"the model's logits have no gradient"):
        evaluate(Changed(digits_net, "detached").eval(), images, labels, [CALL])


def test_a_random_network_is_said_to_need_the_version_for_it(
    digits_net: nn.Module, digits_test: Digits
) -> None:
    images, labels = (part[:10] for part in digits_test)
    model = Changed(digits_net, "random").eval()
    calls = [
        f"autoattack(eps=0.1, steps=2, queries=3, version='{v}')" for v in ("standard", "rand")
    ]
    with pytest.warns(RobenchWarning, match=r"use autoattack\(version='rand'\)"):
        evaluate(model, images, labels, calls[:1])
    outcomes = evaluate(model, images, labels, calls[1:]).attacks[calls[1]]
    assert outcomes.backwards[outcomes.correct].min() >= 20


class Noisy(nn.Module):
    """Adds noise to its input in each forward."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x + 0.3 * torch.randn_like(x))


@pytest.mark.parametrize("version", ["rand", "standard"])
@pytest.mark.filterwarnings("ignore:autoattack")
def test_images_that_fool_a_random_network_in_most_draws_are_not_thrown_away(
    digits_net: nn.Module, digits_test: Digits, version: Any
) -> None:
    torch.manual_seed(0)
    images, labels = (part[:60] for part in digits_test)
    model = Noisy(digits_net).eval()
    part = attacks.build(f"apgd(eps=0.1, steps=10, averaged={20 if version == 'rand' else 1})")
    whole = AutoAttack(eps=0.1, steps=10, queries=20, version=version)

    def share_right(attack: Attack) -> float:
        rngs = generators(0, range(60))
        found = attack.perturb(model, images, labels, rngs).images
        with torch.no_grad():
            right = [model(found).argmax(1) == labels for _ in range(100)]
        return float(torch.stack(right).double().mean())

    assert share_right(whole) < share_right(part) + 0.03
