"""What a user's attack returns: taken, or refused in a sentence that names the attack."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch

from robench import Adversarial, Attack, UserError
from robench.attack_tools.threat_models import diameter
from robench.base import ThreatModel
from robench.evaluation.validation import as_tensors, attack_results, check_radii, size_in


@dataclass(frozen=True)
class Mine(Attack):
    """An attack of a user."""

    eps: float = 0.1


IMAGES = torch.full((3, 1, 2, 2), 0.5)


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        ([None], "the attack Mine returned nothing; its perturb must return Adversarial"),
        ([IMAGES], "the attack Mine returned an object of type Tensor; its perturb must return"),
        (IMAGES, "the attack Mine returned an object of type Tensor for 1 attacks"),
        ([], "the attack Mine returned 0 results for 1 attacks"),
        ([Adversarial(None)], "the attack Mine returned nothing as images"),  # type: ignore[arg-type]
        ([Adversarial(IMAGES.numpy())], "an object of type ndarray as images"),  # type: ignore[arg-type]
        ([Adversarial(IMAGES[:2])], r"images of shape \(2, 1, 2, 2\) for \(3, 1, 2, 2\)"),
        ([Adversarial(IMAGES.mul(255).byte())], r"images of torch\.uint8"),
        ([Adversarial(IMAGES / 0)], "images that are not finite"),
        ([Adversarial(IMAGES + 1)], r"left \[0, 1\]: its images lie in \[1.5, 1.5\]"),
        ([Adversarial(IMAGES + 0.2)], r"left its linf ball of radius 0.1: it moved .* by 0.2"),
        ([Adversarial(IMAGES, queries=torch.ones(2))], r"returned \(2,\) as queries"),
        ([Adversarial(IMAGES, forwards=7)], "returned an object of type int as forwards"),  # type: ignore[arg-type]
    ],
)
def test_an_attack_that_misbehaves_is_named_in_one_sentence(found: Any, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        attack_results([Mine()], IMAGES, found)


@pytest.mark.parametrize("kind", [torch.uint16, torch.uint32, torch.uint64])
def test_labels_of_wider_unsigned_integers_are_taken(kind: torch.dtype) -> None:
    _, labels = as_tensors(IMAGES, torch.tensor([2, 0, 1]).to(kind))
    assert torch.equal(labels, torch.tensor([2, 0, 1]))


def test_gradients_and_other_types_of_numbers_are_no_fault() -> None:
    moved = (IMAGES.double() + 0.05).requires_grad_()
    count = torch.ones(3, requires_grad=True)
    (result,) = attack_results([Mine()], IMAGES, [Adversarial(moved, queries=count)])
    assert result.images.dtype == torch.float32
    assert not result.images.requires_grad
    assert result.queries is not None
    assert not result.queries.requires_grad
    assert result.forwards is None


@pytest.mark.parametrize(
    ("ball", "sentence"),
    [
        (ThreatModel("linf", 8), "attack 'a': eps is 8 but pixels lie in"),
        (ThreatModel("l2", 2.5), r"eps is 2.5, but two images of shape \(1, 2, 2\) .* 2 apart"),
        (ThreatModel("l1", 4.5), "at most 4 apart in l1"),
        (ThreatModel("l1", float("nan")), "a radius must be above 0"),
    ],
)
def test_a_radius_beyond_every_image_is_refused(ball: ThreatModel, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        check_radii({"a": ball}, IMAGES)


def test_the_ball_of_every_image_is_allowed() -> None:
    balls = {"a": ThreatModel("linf", 1), "b": ThreatModel("l2", 2), "c": ThreatModel("l1", 4)}
    check_radii({**balls, "d": None}, IMAGES)


@dataclass(frozen=True)
class Elsewhere(Attack):
    """An attack of a user, in a norm that robench's own attacks do not have."""

    norm: str = "l1"
    eps: float = 0.5


@pytest.mark.parametrize(
    ("norm", "eps", "size"), [("l1", 0.3, "0.4"), ("l0", 3, "4"), ("l3", 0.1, "0.15874")]
)
def test_a_ball_in_any_norm_is_kept_to(norm: str, eps: float, size: str) -> None:
    moved = Adversarial(IMAGES + 0.1)  # four values of 0.1
    with pytest.raises(UserError, match=f"left its {norm} ball of radius .* image by {size}"):
        attack_results([Elsewhere(norm, eps)], IMAGES, [moved])
    assert attack_results([Elsewhere(norm, 2 * eps)], IMAGES, [moved])


def test_the_name_of_no_norm_is_refused() -> None:
    with pytest.raises(UserError, match="a threat model has the norm 'lpips'; use 'linf', 'l2' or"):
        attack_results([Elsewhere("lpips")], IMAGES, [Adversarial(IMAGES)])


def test_the_name_of_no_norm_is_refused_wherever_a_size_is_needed() -> None:
    with pytest.raises(UserError, match=r"has the norm 'pips'; use 'linf', 'l2' or another Lp"):
        size_in("pips", IMAGES)
    with pytest.raises(UserError, match=r"has the norm 'pips'; use 'linf', 'l2' or another Lp"):
        diameter("pips", 12)
    with pytest.raises(UserError, match="has the norm 'l-1'"):
        diameter("l-1", 12)
    assert diameter("l1", 12) == diameter("l0", 12) == 12
