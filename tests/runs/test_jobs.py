"""How many pieces run at once, and with how many threads: the second never depends on the first."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch
from test_cell import DATASET, cell, ctx

from robench.board.specs import ModelSpec, TrainingSpec
from robench.errors import RobenchWarning, UserError
from robench.registry import attacks
from robench.runs import jobs as module
from robench.runs.check_cell import report_file
from robench.runs.context import RunContext
from robench.runs.effort import Effort
from robench.runs.jobs import chosen_jobs
from robench.runs.run import run_cell
from robench.runs.steps import CellJob
from robench.runs.threads import multiply_adds_of
from robench.system.threads import NARROW, computing_with, threads_for

CPU = torch.device("cpu")


def job(context: RunContext, threads: int = 1) -> CellJob:
    return CellJob(cell(), "a", Effort(1000, threads), context)


def test_a_narrow_network_gets_one_thread_and_a_wide_one_all() -> None:
    with computing_with(2):
        assert threads_for(NARROW, CPU) == 1
        assert threads_for(NARROW + 1, CPU) == 2
        assert threads_for(1, torch.device("cuda")) == 2


def test_multiply_adds_are_those_of_one_image() -> None:
    assert 0 < multiply_adds_of(cell(), DATASET) < NARROW
    wide = cell(model=ModelSpec(width=8))
    assert multiply_adds_of(wide, DATASET) > 3 * multiply_adds_of(cell(), DATASET)


def test_the_estimate_of_work_grows_with_steps_images_and_the_size_of_the_network() -> None:
    effort, wide = Effort(1000, 1), Effort(2000, 1)
    few, many, all_pixels = map(attacks.build, ("pgd-2", "pgd-20", "simba"))
    assert effort.attacking(None, 10) < effort.attacking(few, 10) < effort.attacking(many, 10)
    assert effort.attacking(many, 10) < effort.attacking(many, 20) < wide.attacking(many, 20)
    assert effort.attacking(all_pixels, 10) > effort.attacking(many, 10)
    one = cell()
    replayed = cell(training=TrainingSpec(epochs=2, replays=4, eps=0.1, step_size=0.1))
    ratio = effort.training(replayed, DATASET) / effort.training(one, DATASET)
    assert ratio == pytest.approx(8)


def test_weights_do_not_depend_on_how_many_threads_torch_has(tmp_path: Path) -> None:
    one, other = ctx(tmp_path / "one"), ctx(tmp_path / "other")
    first = run_cell(cell(), "a", one).evidence.manifest
    with computing_with(2):
        second = run_cell(cell(), "a", other).evidence.manifest
    assert first is not None
    assert second is not None
    assert first.weights_hash == second.weights_hash
    assert first.environment["threads"] == second.environment["threads"] == "1"


def free_memory(monkeypatch: pytest.MonkeyPatch, gibibytes: float) -> None:
    free = SimpleNamespace(available=gibibytes * 2**30)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)


def test_narrow_networks_run_side_by_side_by_default_one_per_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free_memory(monkeypatch, 100)
    context = ctx(tmp_path)
    with computing_with(4):
        assert chosen_jobs(None, [job(context)], context) == 4
        assert chosen_jobs(None, [job(context, threads=4)], context) == 1
        on_gpu = replace(context, device=torch.device("cuda"))
        assert chosen_jobs(None, [job(on_gpu)], on_gpu) == 1
        assert chosen_jobs(3, [job(on_gpu)], on_gpu) == 3


def test_no_more_run_by_default_than_there_is_memory_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ctx(tmp_path)
    with computing_with(4):
        for gibibytes, jobs in [(0.5, 1), (3.2, 2), (100, 4)]:
            free_memory(monkeypatch, gibibytes)
            assert chosen_jobs(None, [job(context)], context) == jobs


def with_checks(context: RunContext, wanted: bool) -> RunContext:
    evaluation = context.evaluation.model_copy(update={"checks": wanted})
    return replace(context, evaluation=evaluation)


def test_no_process_is_started_for_a_stored_board(tmp_path: Path) -> None:
    context = with_checks(ctx(tmp_path), False)
    run_cell(cell(), "a", context)
    assert chosen_jobs(4, [job(context)], context) == 1


def test_checks_that_are_missing_are_made_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free_memory(monkeypatch, 100)
    checking = with_checks(ctx(tmp_path), True)
    run_cell(cell(), "a", checking)
    with computing_with(2):
        assert chosen_jobs(None, [job(checking)] * 2, checking) == 2
        report = report_file(cell(), None, checking)
        assert report is not None
        report.parent.mkdir()
        report.write_text("{}")
        assert chosen_jobs(None, [job(checking)] * 2, checking) == 1


def test_wide_networks_that_leave_no_cores_to_others_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ctx(tmp_path)
    monkeypatch.setattr(module, "cores", lambda: 4)
    with pytest.warns(RobenchWarning, match="4 threads each, so 1 at a time"):
        assert chosen_jobs(2, [job(context, threads=4)], context) == 2


def test_what_cannot_be_computed_side_by_side_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ctx(tmp_path)
    with pytest.raises(UserError, match="jobs is 0; give 1 or more"):
        chosen_jobs(0, [job(context)], context)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="--jobs 2 under torchrun"):
        chosen_jobs(2, [job(context)], context)
    assert chosen_jobs(None, [job(context)], context) == 1
