"""Fixtures for the tests of checks."""

from collections.abc import Mapping

import pytest
from faults import EPS, STEP, MakeContext, attack
from torch import Tensor, nn

from robench.base import ThreatModel
from robench.checks.context import CheckContext
from robench.checks.options import CheckOptions
from robench.data import balanced_sample, load_dataset
from robench.evaluation import Outcomes


@pytest.fixture(scope="session")
def digits() -> tuple[Tensor, Tensor]:
    """Class-balanced test digits: float images and labels."""
    sample = balanced_sample(load_dataset("digits").test, 200)
    return sample.images.float() / 255, sample.labels


@pytest.fixture
def make_context(digits: tuple[Tensor, Tensor]) -> MakeContext:
    """Build a context: ``make_context(model, {"fgsm": outcomes}, samples=50)``."""

    def make(
        model: nn.Module,
        board: Mapping[str, Outcomes] | None = None,
        *,
        samples: int = 50,
        images: Tensor | None = None,
        source: nn.Module | None = None,
    ) -> CheckContext:
        return CheckContext(
            model=model,
            images=digits[0][:samples] if images is None else images,
            labels=digits[1][:samples],
            threat_model=ThreatModel("linf", EPS),
            options=CheckOptions(step_size=STEP),
            source=source,
            columns={name: (attack(name), found) for name, found in (board or {}).items()},
        )

    return make
