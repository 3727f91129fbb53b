"""Steps onto hyperplanes: in the box, far enough, and no longer than any other such step."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize
from torch import Tensor

from robench.attack_tools.hyperplanes import step_onto_hyperplane
from robench.attack_tools.threat_models import Norm, norms

NORMS: list[Norm] = ["linf", "l2"]


def problem(seed: int, pixels: int, reach: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return points, normals with zeros in them, and gaps of this share of what is feasible."""
    rng = torch.Generator().manual_seed(seed)
    points = (1.4 * torch.rand(5, pixels, generator=rng) - 0.2).clamp(0, 1)  # some at the border
    normals = torch.randn(5, pixels, generator=rng)
    normals *= torch.rand(5, pixels, generator=rng) > 0.2
    signs = torch.tensor([1.0, -1, 1, -1, 1])
    room = torch.where(normals.sign() * signs[:, None] > 0, 1 - points, points)
    return points, normals, reach * signs * (normals.abs() * room).sum(1)


@pytest.mark.parametrize("norm", NORMS)
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 9999), pixels=st.sampled_from([1, 4, 50, 3000]),
       reach=st.floats(0, 1.5))  # fmt: skip
def test_a_step_stays_in_the_box_and_ends_on_the_hyperplane_or_as_near_as_it_can(
    norm: Norm, seed: int, pixels: int, reach: float
) -> None:
    points, normals, gaps = problem(seed, pixels, reach)
    steps = step_onto_hyperplane(points, normals, gaps, norm)
    moved = points + steps
    assert moved.min() >= -1e-7
    assert moved.max() <= 1 + 1e-7
    feasible = gaps * min(1, 1 / max(reach, 1e-9))
    torch.testing.assert_close((normals * steps).sum(1), feasible, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("norm", NORMS)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 9999), pixels=st.integers(2, 6), reach=st.floats(0.05, 0.95))
def test_no_other_step_is_shorter(norm: Norm, seed: int, pixels: int, reach: float) -> None:
    points, normals, gaps = problem(seed, pixels, reach)
    lengths = norms(step_onto_hyperplane(points, normals, gaps, norm), norm)
    solve = shortest_linf if norm == "linf" else shortest_l2
    for x, w, gap, length in zip(points, normals, gaps, lengths, strict=True):
        if gap.abs() > 1e-4:
            assert length <= solve(*(v.double().numpy() for v in (x, w, gap))) * 1.001 + 1e-5


def shortest_linf(x: np.ndarray, w: np.ndarray, gap: np.ndarray) -> float:
    """Return the length of the shortest step, by a linear program in the step and its length."""
    count = len(x)
    shorter = np.block(
        [[np.eye(count), -np.ones((count, 1))], [-np.eye(count), -np.ones((count, 1))]]
    )
    found = linprog(
        c=[0.0] * count + [1.0], A_ub=shorter, b_ub=np.zeros(2 * count),
        A_eq=[[*w, 0.0]], b_eq=[float(gap)], bounds=[*zip(-x, 1 - x, strict=True), (0, None)],
    )  # fmt: skip
    assert found.success
    return float(found.fun)


def shortest_l2(x: np.ndarray, w: np.ndarray, gap: np.ndarray) -> float:
    """Return the length of the shortest step, by a general solver."""
    found = minimize(
        lambda d: d @ d, jac=lambda d: 2 * d, x0=np.zeros(len(x)), method="SLSQP",
        bounds=list(zip(-x, 1 - x, strict=True)),
        constraints={"type": "eq", "fun": lambda d: w @ d - gap, "jac": lambda _: w},
        options={"ftol": 1e-12, "maxiter": 300},
    )  # fmt: skip
    # A solver that failed has found nothing to compare with.
    return float(np.sqrt(found.fun)) if found.success else np.inf


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("scale", [1e-30, 1e-10, 1e20])
def test_the_scale_of_the_function_does_not_matter(norm: Norm, scale: float) -> None:
    points, normals, gaps = problem(1, 50, 0.5)
    steps = step_onto_hyperplane(points, normals, gaps, norm)
    torch.testing.assert_close(
        step_onto_hyperplane(points, normals * scale, gaps * scale, norm), steps, rtol=1e-3,
        atol=1e-5,
    )  # fmt: skip


@pytest.mark.parametrize("norm", NORMS)
def test_a_normal_that_is_zero_or_not_finite_gives_no_step(norm: Norm) -> None:
    points, normals, gaps = problem(2, 9, 0.5)
    normals[0], normals[1, :] = 0.0, torch.nan
    steps = step_onto_hyperplane(points, normals, gaps, norm)
    assert steps[:2].abs().max() == 0
    assert steps[2:].abs().amax(1).min() > 0
    assert step_onto_hyperplane(points, normals, torch.full((5,), torch.inf), norm).isfinite().all()


@pytest.mark.parametrize("norm", NORMS)
def test_a_step_does_not_depend_on_what_is_beside_it(norm: Norm) -> None:
    points, normals, gaps = problem(3, 200, 0.3)
    steps = step_onto_hyperplane(points, normals, gaps, norm)
    for i in range(5):
        own = slice(i, i + 1)
        assert torch.equal(
            step_onto_hyperplane(points[own], normals[own], gaps[own], norm), steps[own]
        )
