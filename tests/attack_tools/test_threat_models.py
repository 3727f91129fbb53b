"""Balls in image space."""

from dataclasses import fields
from typing import get_type_hints

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from robench import Attack, UserError
from robench.attack_tools.threat_models import Norm, ascent, check_radius, norms, project, steepest
from robench.attacks import PGD, AutoAttack, Noise, SimBA
from robench.attacks.apgd import APGD
from robench.attacks.fab import FAB
from robench.attacks.square import Square

NORMS: list[Norm] = ["linf", "l2"]
radii = st.floats(1e-3, 2)


def deltas(seed: int, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(4, 3, 5, generator=torch.Generator().manual_seed(seed))


@settings(deadline=None)
@given(st.sampled_from(NORMS), radii, st.integers(0, 999), st.floats(1e-4, 100))
def test_a_projection_lies_in_the_ball_and_is_left_alone_by_another(
    norm: Norm, eps: float, seed: int, scale: float
) -> None:
    projected = project(deltas(seed, scale), norm, eps)
    assert norms(projected, norm).max() <= eps * (1 + 1e-5)
    torch.testing.assert_close(project(projected, norm, eps), projected)


@settings(deadline=None)
@given(st.sampled_from(NORMS), radii, st.integers(0, 999))
def test_no_point_of_the_ball_is_nearer_than_the_projection(
    norm: Norm, eps: float, seed: int
) -> None:
    delta = deltas(seed)
    nearest = norms(project(delta, norm, eps) - delta, "l2")
    other = project(deltas(seed + 1), norm, eps)
    assert (nearest <= norms(other - delta, "l2") + 1e-5).all()


@settings(deadline=None)
@given(st.sampled_from(NORMS), st.integers(0, 999), st.sampled_from([1e-30, 1e-3, 1.0, 1e20]))
def test_the_steepest_direction_has_length_one_and_no_other_ascends_faster(
    norm: Norm, seed: int, scale: float
) -> None:
    gradient = deltas(seed)
    direction = steepest(gradient * scale, norm)
    torch.testing.assert_close(norms(direction, norm), torch.ones(4))
    other = deltas(seed + 1)
    other = other / norms(other, norm).view(-1, 1, 1)
    ascent = (gradient * direction).sum((1, 2))
    assert (ascent >= (gradient * other).sum((1, 2)) - 1e-4).all()


@settings(deadline=None)
@given(st.sampled_from(NORMS), radii, radii, st.integers(0, 999))
def test_an_ascent_is_a_step_that_is_projected_into_the_ball_and_clamped(
    norm: Norm, eps: float, step_size: float, seed: int
) -> None:
    images = deltas(seed).sigmoid()
    x = (images + project(deltas(seed + 1), norm, eps)).clamp(0, 1)
    gradient, some = deltas(seed + 2), slice(1, 3)
    moved = ascent(images, norm, eps, step_size)(x[some], gradient[some], some)
    step = x + step_size * steepest(gradient, norm) - images
    expected = (images + project(step, norm, eps)).clamp(0, 1)
    torch.testing.assert_close(moved, expected[some], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("norm", NORMS)
def test_no_gradient_gives_no_direction(norm: Norm) -> None:
    assert torch.equal(steepest(torch.zeros(2, 3, 4), norm), torch.zeros(2, 3, 4))


def test_the_ball_is_kept_to_1e_6_on_large_images_too() -> None:
    rng = torch.Generator().manual_seed(0)
    images = torch.rand(2, 3, 224, 224, generator=rng)
    delta = project(10 * torch.randn(images.shape, generator=rng), "l2", 3.0)
    real = ((images + delta).double() - images.double()).flatten(1).norm(dim=1)
    assert real.max() <= 3 + 1e-6


def test_each_sample_is_projected_by_itself() -> None:
    delta = torch.tensor([[[3.0, 4.0]], [[0.3, 0.4]]])
    expected = torch.tensor([[[0.6, 0.8]], [[0.3, 0.4]]])
    torch.testing.assert_close(project(delta, "l2", 1.0), expected)


@pytest.mark.parametrize(
    ("value", "norm", "sentence"),
    [(8, "linf", "'8/255'"), (-1, "linf", "'8/255'"), (float("nan"), "linf", "nan"),
     (0, "l2", "above 0"), (float("inf"), "l2", "inf"), (0.5, "l3", "'linf' or 'l2'")],
)  # fmt: skip
def test_radii_out_of_range_are_refused(value: float, norm: Norm, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        check_radius("eps", value, norm)


def test_infinite_gradients_are_followed_to_their_limit_and_nan_is_none() -> None:
    inf, nan = torch.inf, torch.nan
    gradients = torch.tensor([[3.0, 4.0], [inf, 5.0], [inf, -inf], [nan, 2.0], [nan, nan]])
    half = 0.5**0.5
    wanted = torch.tensor([[0.6, 0.8], [1.0, 0.0], [half, -half], [0.0, 1.0], [0.0, 0.0]])
    torch.testing.assert_close(steepest(gradients, "l2"), wanted)
    assert torch.equal(steepest(gradients[:1], "l2"), steepest(gradients, "l2")[:1])


@pytest.mark.parametrize("kind", [PGD, APGD, FAB, Square, AutoAttack, SimBA, Noise])
def test_options_that_are_words_or_counts_are_checked_in_objects_too(kind: type[Attack]) -> None:
    hints = get_type_hints(kind)
    words = [f.name for f in fields(kind) if "Literal" in str(hints[f.name])]
    counts = [f.name for f in fields(kind) if hints[f.name] is int]
    assert words or counts
    for name in words:
        with pytest.raises(UserError, match=f"{name} is 'other'"):
            kind(**{name: "other"})
    for name in counts:
        with pytest.raises(UserError, match=f"{name} is 2.5: it must be a whole number"):
            kind(**{name: 2.5})
        with pytest.raises(UserError, match=f"{name} is True: it must be a whole number"):
            kind(**{name: True})
