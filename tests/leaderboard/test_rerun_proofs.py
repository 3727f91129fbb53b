"""Published radii are held against those that are proved again, image by image."""

import numpy as np
import pytest
from numpy.typing import ArrayLike

from robench.evaluation import Outcomes
from robench.leaderboard.rerun.comparing import NOT, REPRODUCED
from robench.leaderboard.rerun.proofs import proof_verdict

EPS = 0.5


def proved(radii: ArrayLike, correct: ArrayLike = True) -> Outcomes:
    l2 = np.asarray(radii, np.float32)
    clean = np.broadcast_to(np.asarray(correct, bool), l2.shape).copy()
    robust = clean & (l2.astype(np.float64) >= EPS)
    none = np.zeros(len(l2), np.int64)
    return Outcomes(clean, robust, robust.copy(), none, none, none, np.zeros_like(l2), l2)


def verdict(published: Outcomes, found: Outcomes, *, earlier: bool = False) -> str:
    return proof_verdict(published, found, norm="l2", earlier=earlier)


FOUND = np.linspace(0.1, 1.2, 1000)


def test_equal_radii_are_reproduced_and_so_are_last_bits() -> None:
    assert verdict(proved(FOUND), proved(FOUND)) == REPRODUCED
    assert verdict(proved(FOUND * (1 + 2e-7)), proved(FOUND)) == REPRODUCED


def test_a_radius_at_the_threshold_may_count_otherwise() -> None:
    below = np.nextafter(np.float32(EPS), np.float32(0))
    assert verdict(proved([EPS]), proved([below])) == f"{REPRODUCED} but for 1 image (rounding)"


@pytest.mark.parametrize("factor", [1.01, 0.99, 1 + 1e-5])
def test_one_radius_of_a_thousand_that_differs_is_refuted(factor: float) -> None:
    forged = FOUND.copy()
    forged[7] *= factor
    assert verdict(proved(forged), proved(FOUND)) == NOT


def test_radii_that_leave_every_column_as_it_is_are_refuted_too() -> None:
    forged = np.where(FOUND >= EPS, 27.7, FOUND)
    assert (proved(forged).robust == proved(FOUND).robust).all()
    assert verdict(proved(forged), proved(FOUND)) == NOT


def test_a_certificate_of_earlier_may_have_proved_less_but_not_more() -> None:
    smaller, larger = proved(FOUND * 0.5), proved(FOUND * 1.1)
    assert verdict(smaller, proved(FOUND), earlier=True).startswith(f"{REPRODUCED} but for")
    assert verdict(larger, proved(FOUND), earlier=True) == NOT


def test_devices_may_disagree_on_an_image_only_next_to_the_boundary() -> None:
    assert verdict(proved([1e-5, 0.7]), proved([0, 0.7], [False, True])) == REPRODUCED
    assert verdict(proved([0.1, 0.7]), proved([0, 0.7], [False, True])) == NOT
    assert verdict(proved([0, 0.7], [False, True]), proved([0.1, 0.7])) == NOT


def test_fewer_images_are_refuted() -> None:
    assert verdict(proved(FOUND[:10]), proved(FOUND)) == NOT
