"""Certificates of any kind, also of plugins, are run as columns."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from robench import Attack, UserError, evaluate
from robench.base import Proof, ThreatModel

MODEL = nn.Sequential(nn.Flatten(), nn.Linear(4, 2, bias=False)).eval()
with torch.no_grad():
    MODEL[1].weight.copy_(torch.tensor([[-1.0] * 4, [1.0] * 4]))
IMAGES = torch.tensor([0.1, 0.2, 0.4, 0.9]).reshape(4, 1, 1, 1).expand(4, 1, 2, 2)
LABELS = torch.tensor([1, 1, 1, 0])


@dataclass(frozen=True)
class Given(Attack):
    """A certificate whose radii are given; it counts how often it is asked."""

    radii: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4)
    norm: str = "l2"
    radius: float = 0.2
    asked: list[int] = field(default_factory=list)

    @property
    def proves(self) -> ThreatModel:
        return ThreatModel(self.norm, self.radius)

    def shared_work(self) -> str:
        return "given"

    def proof(self, model: nn.Module, images: Tensor, labels: Tensor) -> Proof:
        self.asked.append(len(images))
        return Proof(torch.tensor(self.radii[: len(images)], dtype=torch.float64), lipschitz=2.0)


def outcomes_of(**options: Any) -> Any:
    return evaluate(MODEL, IMAGES, LABELS, {"given": Given(**options)}).attacks["given"]


def test_the_size_of_an_outcome_is_the_radius_and_costs_are_none() -> None:
    found = outcomes_of(radius=0.25)
    np.testing.assert_allclose(found.l2, [0.1, 0.2, 0.3, 0], rtol=1e-6)
    assert found.robust.tolist() == [False, False, True, False]
    assert found.correct.tolist() == [True, True, True, False]
    np.testing.assert_array_equal(found.rounded, found.robust)
    assert not any(getattr(found, cost).any() for cost in ("queries", "forwards", "backwards"))
    assert not found.linf.any()


def test_a_radius_in_linf_is_one_in_l2_too() -> None:
    found = outcomes_of(norm="linf")
    np.testing.assert_array_equal(found.linf, found.l2)


def test_radii_that_float32_cannot_hold_are_rounded_down() -> None:
    found = outcomes_of(radii=(0.1, 0.7, 1 / 3, 1))
    assert (found.l2[:3].astype(float) <= np.array([0.1, 0.7, 1 / 3])).all()
    exact = outcomes_of(radii=(0.5, 0.25, 1, 1))
    assert exact.l2[:3].tolist() == [0.5, 0.25, 1]


@pytest.mark.parametrize(("norm", "widest"), [("l2", math.sqrt(4)), ("linf", 1.0)])
def test_no_radius_is_wider_than_the_box(norm: str, widest: float) -> None:
    found = outcomes_of(radii=(math.inf, 1e9, 3, 1), norm=norm)
    assert found.l2[:3].tolist() == [widest] * 3


def test_certificates_that_share_work_are_asked_once() -> None:
    asked: list[int] = []
    two = {f"at {r}": Given(radius=r, asked=asked) for r in (0.05, 0.25)}
    found = evaluate(MODEL, IMAGES, LABELS, two).attacks
    assert asked == [4]
    assert [o.accuracy for o in found.values()] == [0.75, 0.25]


def test_one_that_sets_samples_is_of_the_first_images() -> None:
    asked: list[int] = []
    found = evaluate(MODEL, IMAGES, LABELS, {"few": Given(samples=2, asked=asked)}).attacks["few"]
    assert (asked, len(found)) == ([2], 2)


@pytest.mark.parametrize("radii", [(0.1,), (math.nan,) * 4, (-0.1, 0, 0, 0)])
def test_radii_that_are_none_are_refused(radii: tuple[float, ...]) -> None:
    with pytest.raises(UserError, match="the certificate Given returned radii that are not one"):
        outcomes_of(radii=radii)


def test_another_norm_is_refused() -> None:
    with pytest.raises(UserError, match="the certificate Given proves in no norm of"):
        outcomes_of(norm="l1")


def test_certificates_in_two_norms_share_no_proof() -> None:
    two = {"one": Given(norm="l2"), "other": Given(norm="linf")}
    with pytest.raises(UserError, match="shares one proof between l2 and linf; its shared_work"):
        evaluate(MODEL, IMAGES, LABELS, two)
