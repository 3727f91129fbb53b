"""Learning rates of a schedule, computed without taking its steps."""

from typing import Any

import pytest
import torch

from robench.board.specs import TrainingSpec
from robench.training.schedules import rate_at, schedule


@pytest.mark.parametrize("steps", [1, 7, 40])
@pytest.mark.parametrize(
    "recipe",
    [
        {"schedule": "one-cycle", "epochs": 5, "lr": 0.05},
        {"schedule": "one-cycle", "epochs": 1},
        {"schedule": "step", "epochs": 6, "milestones": (2, 4)},
        {"schedule": "step", "epochs": 3, "milestones": (2, 2, 0, 10)},
    ],
)
def test_each_rate_is_the_one_that_torch_s_scheduler_gives(
    recipe: dict[str, Any], steps: int
) -> None:
    spec = TrainingSpec(**recipe)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=spec.lr)
    scheduler = schedule(optimizer, spec, steps)
    for step in range(spec.epochs * steps):
        rate = optimizer.param_groups[0]["lr"]
        assert rate_at(spec, steps, step) == pytest.approx(rate, rel=1e-12)
        optimizer.step()
        scheduler.step()
