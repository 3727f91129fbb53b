"""Rough estimates of the work in a cell, for the order of its pieces and the time left."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from robench.board.cells import Cell
from robench.board.plan import build_attacks
from robench.board.specs import DataSpec, EvaluationSpec, ModelSpec, TrainingSpec
from robench.data import load_dataset
from robench.registry import attacks
from robench.runs.context import RunContext
from robench.runs.effort import CHECKS, Effort
from robench.runs.progress import NullReporter
from robench.runs.steps import CellJob
from robench.runs.store import RunStore

EFFORT = Effort(multiply_adds=10, threads=1)


def cell(data: dict[str, object], method: str = "standard") -> Cell:
    return Cell(
        defense="vanilla",
        data=DataSpec.model_validate({"name": "digits", **data}),
        data_hash="",
        model=ModelSpec(),
        training=TrainingSpec(method=method, epochs=3, replays=4),
        seed=0,
    )


def test_attacks_count_what_they_ask_the_network() -> None:
    def work(call: str) -> float:
        return EFFORT.attacking(attacks.build(call), samples=100)

    assert EFFORT.attacking(None, 100) == work("fgsm") == 10 * 100
    assert work("pgd-20") == 2 * work("pgd-10") == 10 * 100 * 20
    assert work("simba(max_steps=50)") == work("pgd-50")
    # AutoAttack has 100 steps and 5,000 queries, which are cheaper.
    assert work("pgd-100") < work("autoattack") == work("square") < work("pgd-5000")


def test_training_counts_the_images_that_are_trained_on_and_all_forwards() -> None:
    dataset = load_dataset("digits")

    def work(data: dict[str, object], method: str) -> float:
        return EFFORT.training(cell(data, method), dataset)

    whole = 10 * len(dataset.train) * 3
    assert work({"validation": 0}, "standard") == whole
    assert work({"validation": 0, "subset": 0.5}, "free") == 0.5 * 4 * whole
    assert work({"validation": 0.2}, "pgd(steps=9)") == 0.8 * 10 * whole
    share = work({"validation": 0.2, "subset": 0.4, "subset_of": "all"}, "standard")
    assert abs(share - 0.4 * whole) < 1e-6 * whole


def test_of_a_training_that_was_stopped_the_rest_counts(tmp_path: Path) -> None:
    ctx = RunContext(
        store=RunStore(tmp_path),
        dataset=load_dataset("digits"),
        evaluation=EvaluationSpec(attacks=("fgsm",), samples=100, checks=False),
        device=torch.device("cpu"),
        reporter=NullReporter(),
    )
    job = CellJob(cell({"validation": 0}), "row", EFFORT, ctx)
    training, attacking = job.left
    assert training + attacking == job.computing
    ctx.store.open(job.cell).log.write_text("epoch\n1\n2\n")
    rest = pytest.approx(training / 3)
    assert job.left == (rest, attacking)
    assert job.training_piece().effort == rest


@pytest.mark.parametrize(
    ("call", "checks", "expected"),
    [("pgd-2", True, 10 * 128 * CHECKS), ("pgd-2", False, 0), ("corruption", True, 0)],
)
def test_checks_that_cannot_be_run_are_no_work(call: str, checks: bool, expected: float) -> None:
    evaluation = EvaluationSpec.model_validate({"attacks": [call], "checks": checks})
    ctx: Any = SimpleNamespace(evaluation=evaluation, attacks=build_attacks(evaluation))
    cell: Any = None
    assert CellJob(cell, "row", EFFORT, ctx).checking == expected
