"""FAB: parity with torchattacks sample by sample, its two uses, and networks of any kind."""

import pytest
import torch
import torchattacks
from torch import Tensor, nn

from robench import evaluate
from robench.attack_tools.randomness import generators
from robench.attack_tools.threat_models import Norm, norms
from robench.attacks.fab import FAB
from robench.errors import UserError
from robench.registry import attacks

Digits = tuple[Tensor, Tensor]
EPS = {"linf": 0.075, "l2": 0.5}


def perturb(attack: FAB, model: nn.Module, digits: Digits) -> Tensor:
    images, labels = digits
    return attack.perturb(model, images, labels, generators(0, range(len(images)))).images


def robust(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    return model(images).argmax(1) == labels


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("targeted", [False, True])
def test_it_is_as_strong_as_that_of_torchattacks_image_by_image(
    digits_net: nn.Module, digits_test: Digits, norm: Norm, targeted: bool
) -> None:
    images, labels = (part[:100] for part in digits_test)
    name = f"fab(norm='{norm}', eps={EPS[norm]}, steps=10, targeted={targeted})"
    ours = torch.from_numpy(evaluate(digits_net, images, labels, [name]).attacks[name].robust)
    peer = torchattacks.FAB(
        digits_net, norm={"linf": "Linf", "l2": "L2"}[norm], eps=EPS[norm], steps=10,
        multi_targeted=targeted, n_classes=10,
    )  # fmt: skip
    theirs = robust(digits_net, peer(images, labels), labels)
    assert 0.2 < ours.float().mean() <= theirs.float().mean() + 0.02
    assert (ours != theirs).sum() <= 4


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_smallest_perturbations_are_those_of_torchattacks(
    digits_net: nn.Module, digits_test: Digits, norm: Norm
) -> None:
    digits = (digits_test[0][:40], digits_test[1][:40])
    found = perturb(FAB(norm=norm, steps=15, targeted=True, minimal=True), digits_net, digits)
    peer = torchattacks.FAB(
        digits_net, norm={"linf": "Linf", "l2": "L2"}[norm], eps=9.0, steps=15,
        multi_targeted=True, n_classes=10,
    )  # fmt: skip
    right = robust(digits_net, *digits)
    ours, theirs = (norms(x - digits[0], norm)[right] for x in (found, peer(*digits)))
    assert not robust(digits_net, found, digits[1])[right].any()
    assert (ours / theirs).median() < 1.01
    assert (ours / theirs).max() < 1.3


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_images_stay_in_the_ball_and_in_0_1_or_are_the_clean_ones(
    digits_net: nn.Module, digits_test: Digits, norm: Norm
) -> None:
    images, labels = digits_test
    found = perturb(FAB(norm=norm, eps=EPS[norm], steps=5, restarts=2), digits_net, digits_test)
    assert norms(found - images, norm).max() <= EPS[norm]
    assert found.min() >= 0
    assert found.max() <= 1
    same = (found == images).flatten(1).all(1)
    assert robust(digits_net, found, labels)[~same].sum() == 0


def test_it_stops_at_the_radius_unless_the_smallest_perturbation_is_asked_for(
    digits_net: nn.Module, digits_test: Digits
) -> None:
    digits = (digits_test[0][:40], digits_test[1][:40])
    names = [f"fab(eps=0.15, steps=10{more})" for more in ("", ", minimal=true")]
    near, nearest = evaluate(digits_net, *digits, names).attacks.values()
    fooled = near.correct & ~near.robust
    assert fooled.any()
    assert (near.forwards[fooled] < nearest.forwards[fooled]).any()
    assert (nearest.linf[fooled] <= near.linf[fooled]).all()
    assert FAB(minimal=True).threat_model is None


def test_targets_and_restarts_find_smaller_perturbations(
    digits_net: nn.Module, digits_test: Digits
) -> None:
    digits = (digits_test[0][:100], digits_test[1][:100])
    right = robust(digits_net, *digits)

    def sizes(attack: FAB) -> Tensor:
        found = norms(perturb(attack, digits_net, digits) - digits[0], "linf")[right]
        return found.where(found > 0, torch.inf)

    # One step: more of them find the same from every start on this small network.
    one = sizes(FAB(steps=1, minimal=True, targeted=True, targets=1, eps=0.3))
    for more in (
        FAB(steps=1, minimal=True, targeted=True, targets=5, eps=0.3),
        FAB(steps=1, minimal=True, targeted=True, targets=1, eps=0.3, restarts=3),
    ):
        assert (sizes(more) <= one).all()
        assert (sizes(more) < one).any()


@pytest.mark.parametrize("targeted", [False, True])
def test_a_result_depends_neither_on_the_batch_nor_on_what_is_beside_it(
    digits_net: nn.Module, digits_test: Digits, targeted: bool
) -> None:
    images, labels = (part[:30] for part in digits_test)
    name = f"fab(eps=0.1, steps=4, restarts=2, targeted={targeted}, targets=2)"
    whole = evaluate(digits_net, images, labels, [name]).attacks[name]
    apart = evaluate(digits_net, images, labels, [name], batch_size=16).attacks[name]
    assert (whole.robust == apart.robust).all()
    assert (whole.forwards == apart.forwards).all()


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("targeted", [False, True])
def test_few_classes_are_enough(classes: int, targeted: bool) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, classes)).eval()
    images = torch.rand(20, 1, 8, 8)
    labels = model(images).argmax(1)
    found = perturb(FAB(eps=0.5, steps=5, targeted=targeted), model, (images, labels))
    assert not robust(model, found, labels).any()


def test_one_class_is_refused() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 1)).eval()
    with pytest.raises(UserError, match=r"a boundary between two classes, but the network has 1"):
        perturb(FAB(), model, (torch.rand(2, 1, 8, 8), torch.zeros(2, dtype=torch.int64)))


@pytest.mark.parametrize("factor", [0.0, 1000.0])
def test_gradients_that_are_zero_and_large_logits_are_no_error(
    digits_net: nn.Module, digits_test: Digits, factor: float
) -> None:
    class Scaled(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            logits: Tensor = digits_net(x)
            return logits.detach() + 0 * logits if factor == 0 else factor * logits

    digits = (digits_test[0][:30], digits_test[1][:30])
    attack = FAB(eps=0.075, steps=10, targeted=True)
    plain = robust(digits_net, perturb(attack, digits_net, digits), digits[1])
    found = perturb(attack, Scaled().eval(), digits)
    if factor == 0:
        assert torch.equal(found, digits[0])
    else:
        assert (robust(digits_net, found, digits[1]) == plain).float().mean() > 0.95


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        ("fab(eps=8)", r"eps is 8 .* '8/255'"),
        ("fab(steps=0)", r"steps is 0: it must be 1 or more"),
        ("fab(targets=0)", r"targets is 0"),
    ],
)
def test_options_out_of_range_are_reported_in_a_sentence(call: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        attacks.build(call)


class Root(nn.Module):
    """Has an infinite gradient where a pixel is black."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x.sqrt())


@pytest.mark.parametrize("call", ["fab(norm='l2', eps=2, steps=20)", "pgd-10(norm='l2', eps=2)"])
def test_infinite_gradients_do_not_protect(
    digits_net: nn.Module, digits_test: tuple[Tensor, Tensor], call: str
) -> None:
    images = digits_test[0][:20]
    assert (images == 0).any()
    model = Root(digits_net).eval()
    with torch.no_grad():
        labels = model(images).argmax(1)
    assert evaluate(model, images, labels, [call]).accuracy(call) < 0.6
