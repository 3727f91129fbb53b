"""A tracker gets each epoch and each result once, and its failures stay its own."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robench.errors import RobenchWarning
from robench.evaluation import Outcomes
from robench.runs.records import CellResult, CheckReport, Divergence, Evidence, FindingEntry
from robench.runs.steps import CellJob
from robench.tracking.channel import Channel
from robench.tracking.tracker import TrackedRun


@dataclass
class FakeRun:
    logged_epochs: int = 0
    said: list[tuple[Any, ...]] = field(default_factory=list)
    params: Mapping[str, Any] = field(default_factory=dict)

    def log_hyperparams(self, params: Mapping[str, Any]) -> None:
        self.params = params

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        self.said.append((step, dict(metrics)))

    def log_result(self, metrics: Mapping[str, float], step: int) -> None:
        self.said.append(("result", step, dict(metrics)))

    def log_earlier(self, metrics: Mapping[str, float], step: int) -> None:
        self.said.append(("earlier", step, dict(metrics)))

    def log_text(self, name: str, text: str) -> None:
        self.said.append((name, text))

    def log_picture(self, name: str, file: Path, step: int) -> None:
        raise AssertionError("this tracker takes none")

    def finalize(self, status: str) -> None:
        self.said.append((status,))


@dataclass
class FakeTracker:
    target: str = "here"
    logged_epochs: int = 0
    error: Exception | None = None
    opened: list[tuple[TrackedRun, str]] = field(default_factory=list)
    runs: list[FakeRun] = field(default_factory=list)
    name = "fake"
    takes_pictures = False

    def begin(self) -> None:
        pass

    def open(self, run: TrackedRun, folder: Path, identity: str) -> tuple[FakeRun, str]:
        if self.error is not None:
            raise self.error
        self.opened.append((run, identity))
        self.runs.append(FakeRun(self.logged_epochs))
        return self.runs[-1], "id of it"


def channel(tracker: FakeTracker, folder: Path) -> Channel:
    return Channel(tracker, "tiny", folder / "logs")


def result_of(job: CellJob) -> CellResult:
    findings = (
        FindingEntry(check="steps", passed=True, sentence="More steps find nothing."),
        FindingEntry(check="radius", passed=False, sentence="A large radius fails."),
        FindingEntry(check="transfer", passed=None, sentence="No source."),
    )
    checks = CheckReport(version=1, samples=4, findings=findings, curve=())
    clean = Outcomes.without_attack(np.array([True, True, True, False]))
    return CellResult(Evidence(cell=job.cell, checks=checks), {"clean": clean})


def test_epochs_are_logged_as_they_come_and_each_once(job, write_log, tmp_path: Path) -> None:
    tracker = FakeTracker()
    logs = channel(tracker, tmp_path)
    logs.epochs(job, "cell")
    assert tracker.runs == []  # the first epoch has not ended
    for epochs in (1, 1, 2):
        write_log(epochs)
        logs.epochs(job, "cell")
    [run] = tracker.runs
    # What is not a number is left out, and the epoch is the step.
    assert run.said == [(1, {"train_loss": 1.0, "val_accuracy": 0.5}), (2, {"train_loss": 0.5})]


def test_a_run_is_named_by_board_row_and_seed_and_has_the_recipe(job, write_log, tmp_path) -> None:
    tracker = FakeTracker()
    write_log(1)
    channel(tracker, tmp_path).epochs(job, "cell")
    [(tracked, identity)] = tracker.opened
    assert tracked.name == "tiny, batchnorm, seed 0"
    assert identity == ""
    params = tracker.runs[0].params
    assert params["training.epochs"] == 2
    assert params["defense"] == "batchnorm"
    assert params["cell"] == job.cell.key
    assert params["commit"]


def test_a_run_that_is_interrupted_goes_on_after_its_last_epoch(job, write_log, tmp_path) -> None:
    first = FakeTracker()
    write_log(1)
    before = channel(first, tmp_path)
    before.epochs(job, "cell")
    before.close()
    assert first.runs[0].said[-1] == ("aborted",)
    second = FakeTracker(logged_epochs=1)
    write_log(2)
    channel(second, tmp_path).epochs(job, "cell")
    assert second.opened[0][1] == "id of it"
    assert second.runs[0].said == [(2, {"train_loss": 0.5})]


def test_a_result_is_logged_with_its_checks_and_only_once(job, write_log, tmp_path: Path) -> None:
    tracker = FakeTracker()
    write_log(1)
    result = result_of(job)
    for _ in range(2):
        channel(tracker, tmp_path).finished(job, "cell", result)
    [run] = tracker.runs
    figures = {"accuracy/clean": 0.75, "check/steps": 1.0, "check/radius": 0.0}
    assert run.said[1:3] == [
        ("result", 1, figures),
        (
            "checks",
            "- steps: passed. More steps find nothing.\n"
            "- radius: **flagged**. A large radius fails.\n"
            "- transfer: inconclusive. No source.",
        ),
    ]
    assert run.said[-1] == ("success",)


def test_a_run_is_known_before_anything_is_sent_to_it(job, write_log, tmp_path: Path) -> None:
    tracker = FakeTracker()
    write_log(1)

    def fail(self: FakeRun, params: Mapping[str, Any]) -> None:
        raise OSError("the server is gone")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FakeRun, "log_hyperparams", fail)
        with pytest.warns(RobenchWarning, match="server"):
            channel(tracker, tmp_path).finished(job, "cell", result_of(job))
    channel(tracker, tmp_path).finished(job, "cell", result_of(job))
    assert [identity for _, identity in tracker.opened] == ["", "id of it"]


def test_a_result_that_was_logged_elsewhere_is_logged_here(job, write_log, tmp_path) -> None:
    write_log(1)
    for target in ("here", "there"):
        tracker = FakeTracker(target)
        channel(tracker, tmp_path).finished(job, "cell", result_of(job))
        assert tracker.opened[0][1] == ""


def test_a_training_that_diverged_is_a_failed_run(job, write_log, tmp_path: Path) -> None:
    tracker = FakeTracker()
    write_log(1)
    note = Divergence(reason="the loss is nan in epoch 2", version="1")
    result = CellResult(Evidence(cell=job.cell, diverged=note), {})
    channel(tracker, tmp_path).finished(job, "cell", result)
    assert tracker.runs[0].said[1:] == [("diverged", "the loss is nan in epoch 2"), ("failed",)]


def test_a_tracker_that_fails_says_so_once_and_stops_nothing(job, write_log, tmp_path) -> None:
    write_log(2)
    logs = channel(FakeTracker(error=ConnectionError("no route to host\nand more")), tmp_path)
    with pytest.warns(RobenchWarning, match=r"--log fake failed \(no route to host\)") as said:
        logs.epochs(job, "cell")
    assert len(said) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        logs.epochs(job, "cell")
        logs.finished(job, "cell", result_of(job))
        logs.close()


def test_a_damaged_log_does_not_stop_a_run(job, write_log, tmp_path: Path) -> None:
    write_log(1)
    log = job.ctx.store.root / job.cell.key / "training.csv"
    log.write_bytes(b"\x00\xff")
    with pytest.warns(RobenchWarning, match="--log fake failed"):
        channel(FakeTracker(), tmp_path).epochs(job, "cell")
