"""Fixtures of the tests of checks."""

from collections.abc import Mapping

import pytest
import torch
from faults import EPS, STEP, MakeSubject, attack
from torch import Tensor, nn

from robench.checks.context import CheckContext
from robench.data import balanced_sample, load_dataset
from robench.evaluation import Outcomes


@pytest.fixture(scope="session")
def digits() -> tuple[Tensor, Tensor]:
    """Test digits in turns of their classes, float and labels."""
    sample = balanced_sample(load_dataset("digits").test, 200)
    return sample.images.float() / 255, sample.labels


@pytest.fixture
def make_subject(digits: tuple[Tensor, Tensor]) -> MakeSubject:
    """Build a subject: ``make_subject(model, {"fgsm": outcomes}, samples=50)``."""

    def make(
        model: nn.Module,
        board: Mapping[str, Outcomes] | None = None,
        *,
        samples: int = 50,
        images: Tensor | None = None,
    ) -> CheckContext:
        return CheckContext(
            model=model,
            images=digits[0][:samples] if images is None else images,
            labels=digits[1][:samples],
            norm="linf",
            eps=EPS,
            step_size=STEP,
            seed=0,
            batch_size=256,
            device=torch.device("cpu"),
            without=(),
            board={name: (attack(name), found) for name, found in (board or {}).items()},
        )

    return make
