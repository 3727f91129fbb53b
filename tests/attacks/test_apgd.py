"""Auto-PGD: the paper's algorithm sample by sample, target classes, parity with torchattacks."""

import itertools
from collections.abc import Callable

import pytest
import torch
import torchattacks
from torch import Tensor, nn
from torch.nn import functional

from robench import evaluate
from robench.attack_tools.losses import dlr, margin, targeted_dlr
from robench.attack_tools.randomness import generators, on_sphere
from robench.attack_tools.threat_models import Norm, norms, project, steepest
from robench.attacks.apgd import APGD
from robench.errors import UserError
from robench.registry import attacks

Digits = tuple[Tensor, Tensor]
EPS = {"linf": 0.15, "l2": 0.9}


def perturb(attack: APGD, model: nn.Module, digits: Digits, seed: int = 0) -> Tensor:
    images, labels = digits
    return attack.perturb(model, images, labels, generators(seed, range(len(images)))).images


def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    return (model(images).argmax(1) == labels).float().mean().item()


def plain_search(
    model: nn.Module, image: Tensor, label: Tensor, start: Tensor, norm: Norm, steps: int,
    loss: Callable[[Tensor, Tensor], Tensor],
) -> Tensor:  # fmt: skip
    """Return what Algorithm 1 of the paper ends with for one image: the first fooling one, or the
    one of the highest loss."""
    eps = EPS[norm]

    def into(z: Tensor) -> Tensor:
        return (image + project(z - image, norm, eps)).clamp(0, 1)

    def climb(x: Tensor) -> tuple[Tensor, float]:
        leaf = x.clone().requires_grad_()
        value = loss(model(leaf), label).sum()
        return torch.autograd.grad(value, leaf)[0], value.item()

    stretch, less, least = (max(int(share * steps), 1) for share in (0.22, 0.03, 0.06))
    x, last, best, step, halved, checkpoint = start, start, start, 2 * eps, True, stretch
    gradient, value = climb(x)
    values, best_gradient, best_value, before = [value], gradient, value, value
    for k in range(1, steps + 1):
        if model(x).argmax(1) != label:
            return x
        ahead = into(x + step * steepest(gradient, norm))
        share = 0.75 if k > 1 else 1.0
        x, last = into(x + share * (ahead - x) + (1 - share) * (x - last)), x
        gradient, value = climb(x)
        values.append(value)
        if value > best_value:
            best, best_gradient, best_value = x, gradient, value
        if k == checkpoint:
            raised = sum(a < b for a, b in itertools.pairwise(values[-stretch - 1 :]))
            halved = raised <= 0.75 * stretch or (not halved and best_value <= before)
            before = best_value
            if halved:
                if model(x).argmax(1) != label:
                    return x
                step, x, gradient = step / 2, best, best_gradient
            stretch = max(stretch - less, least)
            checkpoint += stretch
    return x if model(x).argmax(1) != label else best


@pytest.mark.parametrize("loss", ["ce", "dlr"])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_it_agrees_image_by_image_with_the_algorithm_written_plainly(
    digits_net: nn.Module, digits_test: Digits, norm: Norm, loss: str
) -> None:
    images, labels = (part[:20] for part in digits_test)
    attack = APGD(norm=norm, eps=EPS[norm], steps=40, loss=loss)  # type: ignore[arg-type]
    found = perturb(attack, digits_net, (images, labels))
    delta = on_sphere(generators(0, range(20)), images.shape[1:], norm, EPS[norm])
    starts = (images + delta).clamp(0, 1)
    objective = dlr if loss == "dlr" else _cross_entropy
    plain = torch.cat([
        plain_search(digits_net, images[i:i + 1], labels[i:i + 1], starts[i:i + 1], norm, 40,
                     objective)
        for i in range(20)
    ])  # fmt: skip
    # Rounding may decide whether a loss has risen; then the searches part.
    assert ((found - plain).flatten(1).abs().amax(1) < 1e-4).float().mean() >= 0.9
    ours, theirs = (digits_net(x).argmax(1) == labels for x in (found, plain))
    assert (ours != theirs).sum() <= 1


def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    return functional.cross_entropy(logits, labels, reduction="none")


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("loss", ["ce", "dlr", "targeted"])
def test_it_is_as_strong_as_that_of_torchattacks(
    digits_net: nn.Module, digits_test: Digits, norm: Norm, loss: str
) -> None:
    images, labels = digits_test
    eps, theirs = 0.6 * EPS[norm], {"linf": "Linf", "l2": "L2"}[norm]
    name = f"apgd(norm='{norm}', eps={eps}, loss='{loss}', steps=30)"
    ours = evaluate(digits_net, images, labels, [name]).accuracy(name)
    options = {"norm": theirs, "eps": eps, "steps": 30}
    peer = (
        torchattacks.APGDT(digits_net, **options, n_classes=10)
        if loss == "targeted"
        else torchattacks.APGD(digits_net, **options, loss=loss)
    )
    assert 0.05 < ours <= accuracy(digits_net, peer(images, labels), labels) + 0.02


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_images_stay_in_the_ball_and_in_0_1(
    digits_net: nn.Module, digits_test: Digits, norm: Norm
) -> None:
    images = perturb(APGD(norm=norm, eps=EPS[norm], steps=7), digits_net, digits_test)
    assert norms(images - digits_test[0], norm).max() <= EPS[norm] + 1e-6
    assert images.min() >= 0
    assert images.max() <= 1


@pytest.mark.parametrize("loss", ["ce", "targeted"])
def test_a_prediction_depends_neither_on_the_batch_nor_on_the_order(
    digits_net: nn.Module, digits_test: Digits, loss: str
) -> None:
    images, labels = (part[:30] for part in digits_test)
    name = f"apgd(eps=0.1, loss='{loss}', steps=12, targets=3)"
    whole = evaluate(digits_net, images, labels, [name])
    apart = evaluate(digits_net, images, labels, [name], batch_size=7)
    assert whole.accuracy(name) == apart.accuracy(name)


def test_target_classes_and_restarts_make_it_stronger(
    digits_net: nn.Module, digits_test: Digits
) -> None:
    def robust(**options: int) -> float:
        attack = APGD(eps=0.08, loss="targeted", steps=2, **options)
        return accuracy(digits_net, perturb(attack, digits_net, digits_test), digits_test[1])

    assert robust(targets=9, restarts=2) <= robust(targets=9) < robust(targets=1)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_of_a_linear_network_the_nearest_class_is_enough(norm: Norm) -> None:
    layer = nn.Linear(64, 10)
    with torch.no_grad():
        layer.weight[:2] *= 0.1  # class 1 is always the likeliest other one, but far away
        layer.bias[:2] = torch.tensor([1.0, 0.8])
    model = nn.Sequential(nn.Flatten(), layer).eval()
    images = 0.4 + 0.2 * torch.rand(60, 1, 8, 8)  # so that the border of the box is far
    labels = model(images).argmax(1)
    assert (labels == 0).all()
    leads = model(images).gather(1, labels[:, None]) - model(images)
    normals = layer.weight[labels][:, None] - layer.weight
    away = (leads / normals.norm(p=2 if norm == "l2" else 1, dim=2)).nan_to_num(torch.inf).amin(1)
    eps = away.median().item()

    def left(order: str) -> Tensor:
        attack = APGD(norm=norm, eps=eps, loss="targeted", targets=1, order=order)  # type: ignore[arg-type]
        return model(perturb(attack, model, (images, labels))).argmax(1) == labels

    nearest, likeliest = left("nearest"), left("likeliest")
    assert nearest[away > eps * 1.001].all()
    assert not nearest[away < eps * 0.95].any()
    assert likeliest.sum() > nearest.sum()


def test_all_targets_are_the_same_in_any_order(digits_net: nn.Module, digits_test: Digits) -> None:
    images, labels = (part[:40] for part in digits_test)
    both = [
        evaluate(digits_net, images, labels, [name]).accuracy(name)
        for order in ("likeliest", "nearest")
        for name in [f"apgd(eps=0.1, loss='targeted', steps=10, order='{order}')"]
    ]
    assert abs(both[0] - both[1]) <= 0.05


def test_its_counts_are_those_of_the_evaluator(digits_net: nn.Module, digits_test: Digits) -> None:
    names = [
        "apgd(eps=0.1, steps=6, averaged=2)",
        "apgd(eps=0.1, steps=6, loss='targeted', targets=2)",
        "apgd(eps=0.1, steps=6, loss='targeted', targets=2, order='nearest')",
    ]
    found = evaluate(digits_net, *digits_test, names).attacks  # raises if forwards are wrong
    likeliest, nearest = (found[name] for name in names[1:])
    same = likeliest.robust & nearest.robust  # two searches of six steps each
    assert same.any()
    assert (nearest.backwards - likeliest.backwards)[same].tolist() == [9] * same.sum()


def test_saturated_logits_do_not_protect(digits_net: nn.Module, digits_test: Digits) -> None:
    sharp = nn.Sequential(digits_net, _Times(1000.0)).eval()
    attack = APGD(eps=0.15, steps=20)
    labels = digits_test[1]
    plain = accuracy(digits_net, perturb(attack, digits_net, digits_test), labels)
    assert accuracy(sharp, perturb(attack, sharp, digits_test), labels) <= plain + 0.02


class _Times(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, logits: Tensor) -> Tensor:
        return logits * self.factor


def test_the_ratios_do_not_depend_on_scale_and_shift() -> None:
    torch.manual_seed(0)
    logits, labels, targets = torch.randn(6, 5), torch.arange(6) % 5, (torch.arange(6) + 2) % 5
    for ratio in (dlr(logits, labels), targeted_dlr(logits, labels, targets)):
        assert ratio.isfinite().all()
    torch.testing.assert_close(dlr(3 * logits + 7, labels), dlr(logits, labels))
    torch.testing.assert_close(
        targeted_dlr(3 * logits + 7, labels, targets), targeted_dlr(logits, labels, targets)
    )
    assert ((dlr(logits, labels) > 0) == (margin(logits, labels) > 0)).all()
    assert dlr(torch.zeros(2, 5), torch.zeros(2)).isfinite().all()


@pytest.mark.parametrize(("classes", "loss"), [(2, "dlr"), (3, "targeted"), (1, "ce")])
def test_a_loss_for_more_classes_is_refused(classes: int, loss: str) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, classes)).eval()
    attack = APGD(loss=loss, steps=2)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=f"the loss '{loss}' needs . classes, but the network has"):
        perturb(attack, model, (torch.rand(2, 1, 8, 8), torch.zeros(2, dtype=torch.int64)))


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        ("apgd(eps=8)", r"eps is 8 .* '8/255'"),
        ("apgd(steps=0)", r"steps is 0: it must be 1 or more"),
        ("apgd(loss='cw')", r"loss"),
        ("apgd(targets=0)", r"targets is 0"),
        ("apgd(loss='targeted', order='far')", r"order = 'far'"),
        ("apgd(order='nearest')", r"which loss='ce' has none of; use loss='targeted'"),
    ],
)
def test_options_out_of_range_are_reported_in_a_sentence(call: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        attacks.build(call)
