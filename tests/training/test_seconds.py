"""The seconds of an epoch are those of its steps, however often a training was interrupted."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from test_loop import Killed, kept_often, run, spec
from torch import nn

from robench.base import Defense
from robench.training.resume import TrainingFiles

__all__ = ["kept_often"]

STEPS = 10
"""Steps of an epoch: five minibatches, replayed twice."""


class Clock(Defense):
    """A defense at whose steps time passes, a second each, and that may be the end."""

    now = 0.0

    def __init__(self, last: int | None = None) -> None:
        self.left = last

    def after_step(self, model: nn.Module) -> None:
        Clock.now += 1
        if self.left is not None:
            self.left -= 1
            if not self.left:
                raise Killed


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The training loop reads this clock, on which all but steps take a thousand seconds."""
    monkeypatch.setattr(Clock, "now", 0.0)
    fake = SimpleNamespace(perf_counter=lambda: Clock.now)
    monkeypatch.setattr("robench.training.loop.time", fake)

    def validate(*arguments: object) -> float:
        Clock.now += 1000
        return 0.5

    monkeypatch.setattr("robench.training.loop.shared_accuracy", validate)


def seconds(defense: Defense, files: TrainingFiles | None = None) -> list[float]:
    _, rows = run(spec(), defense=defense, files=files)
    return [row.seconds for row in rows]  # type: ignore[attr-defined]


def test_they_are_those_of_all_steps_from_the_first_on_without_validation() -> None:
    assert seconds(Clock()) == [STEPS] * 3


@pytest.mark.usefixtures("kept_often")
def test_an_interrupted_training_counts_each_step_of_its_weights_once(tmp_path: Path) -> None:
    files = TrainingFiles(log=tmp_path / "training.csv", checkpoint=tmp_path / "checkpoint.pt")
    for last in (7, 9, 1):  # within a minibatch, in the next epoch, and at once
        with pytest.raises(Killed):
            seconds(Clock(last), files)
        Clock.now += 10_000
    assert seconds(Clock(), files) == [STEPS] * 3


def test_an_epoch_of_which_nothing_was_kept_is_timed_anew(tmp_path: Path) -> None:
    files = TrainingFiles(log=tmp_path / "training.csv", checkpoint=tmp_path / "checkpoint.pt")
    with pytest.raises(Killed):
        seconds(Clock(STEPS + 4), files)
    assert seconds(Clock(), files) == [STEPS] * 3
