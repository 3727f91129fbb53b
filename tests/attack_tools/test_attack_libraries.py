"""Third-party attacks are isolated, and their rounding is undone."""

import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from robench.attack_tools.libraries import isolated, undo_rounding
from robench.attack_tools.threat_models import norms
from robench.base import ThreatModel
from robench.errors import UserError


@given(
    st.integers(0, 10_000),
    st.floats(0.01, 0.4),
    st.floats(0, 9e-5),
    st.sampled_from(["linf", "l2"]),
)
def test_what_rounding_left_outside_is_put_back(
    seed: int, eps: float, overshoot: float, norm: str
) -> None:
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(4, 3, 5, 5, generator=generator)
    delta = torch.randn(4, 3, 5, 5, generator=generator)
    lengths = norms(delta, norm).view(-1, 1, 1, 1)  # type: ignore[arg-type]
    found = undo_rounding(
        images + delta / lengths * (eps + overshoot), images, ThreatModel(norm, eps)
    )
    sizes = norms(found.clamp(0, 1) - images, norm)  # type: ignore[arg-type]
    assert sizes.max() <= eps + 1e-6


def test_what_is_far_outside_is_left_for_the_check_to_report() -> None:
    images = torch.full((2, 1, 2, 2), 0.5)
    far = images + 0.3
    assert torch.equal(undo_rounding(far, images, ThreatModel("linf", 0.1)), far)
    assert undo_rounding(images + 0.7, images, None).max() > 1.1


def test_a_pixel_slightly_outside_of_0_and_1_is_put_back() -> None:
    images = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1)
    found = undo_rounding(torch.tensor([-5e-5, 1 + 5e-5]).view(2, 1, 1, 1), images, None)
    assert found.flatten().tolist() == [0, 1]


def test_an_image_that_an_attack_broke_down_on_becomes_the_clean_one() -> None:
    images = torch.rand(2, 1, 2, 2)
    found = images + 0.01
    found[0, 0, 0, 0] = torch.nan
    assert torch.equal(undo_rounding(found, images, None)[0], images[0])


def test_random_numbers_are_seeded_inside_and_put_back_outside() -> None:
    device = torch.device("cpu")
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # type: ignore[index]
    drawn = []
    for _ in range(2):
        with isolated("x", torch.Generator().manual_seed(3), device):
            drawn.append((torch.rand(1).item(), np.random.rand(), random.random()))
    assert drawn[0] == drawn[1]
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]  # type: ignore[index]
    assert random.getstate() == before[2]


def test_a_bare_assertion_is_reported_with_the_attack_s_name() -> None:
    with (
        pytest.raises(UserError, match=r"lib:X failed .*\(AssertionError: no reason given\)"),
        isolated("lib:X", torch.Generator(), torch.device("cpu")),
    ):
        raise AssertionError


def test_out_of_memory_is_not_taken_for_a_failure() -> None:
    with (
        pytest.raises(MemoryError),
        isolated("lib:X", torch.Generator(), torch.device("cpu")),
    ):
        raise MemoryError
