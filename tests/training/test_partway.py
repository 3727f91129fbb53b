"""Where an epoch was left: each process goes on with its own random state, if it can."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from robench.tracking.figures import points_of
from robench.training.meter import Meter
from robench.training.partway import Pace, Partway
from robench.training.resume import TrainingFiles, write_log

CPU = torch.device("cpu")


def fabric(rank: int = 0, processes: int = 1) -> Any:
    return SimpleNamespace(
        global_rank=rank,
        world_size=processes,
        device=CPU,
        is_global_zero=rank == 0,
        all_reduce=lambda value, reduce_op: value,
        broadcast=lambda value: value,
    )


def state(seed: int) -> torch.Tensor:
    return torch.Generator().manual_seed(seed).get_state()


def restored(random: torch.Tensor, rank: int, processes: int) -> torch.Tensor:
    """Return the random state of a process after it took a state of several."""
    left = Partway(2, 0.1, 3.0, 0.0, 0, 0, random, None)
    left.restore(Meter(CPU), fabric(rank, processes))
    return torch.get_rng_state()


OF_TWO = torch.stack([state(1), state(2)])


@pytest.mark.parametrize("rank", [0, 1])
def test_each_process_gets_its_own_state_back(rank: int) -> None:
    assert torch.equal(restored(OF_TWO, rank, 2), OF_TWO[rank])


@pytest.mark.parametrize(("rank", "processes"), [(0, 1), (0, 3), (2, 3)])
def test_another_number_of_processes_goes_on_with_that_of_the_first(
    rank: int, processes: int
) -> None:
    assert torch.equal(restored(OF_TWO, rank, processes), OF_TWO[0])


@pytest.mark.parametrize("processes", [1, 2])
def test_the_single_state_of_earlier_versions_is_taken(processes: int) -> None:
    assert torch.equal(restored(state(7), processes - 1, processes), state(7))


def test_what_was_written_is_what_one_process_goes_on_with() -> None:
    torch.manual_seed(5)
    left = Partway.of(Partway.now(2, 0.1, 3.0, Meter(CPU), fabric()).state())
    expected = torch.rand(3)
    torch.manual_seed(6)
    replace(left, seen=4).restore(meter := Meter(CPU), fabric())
    assert torch.equal(torch.rand(3), expected)
    assert meter.seen == 4


@pytest.mark.parametrize(
    ("seconds", "minutes"),
    [(30, [5, 10, 15]), (120, [6, 12, 18, 24]), (300, [5, 10, 15]), (900, [15, 30, 45])],
)
def test_a_state_is_written_about_every_five_minutes_however_long_a_minibatch_takes(
    monkeypatch: pytest.MonkeyPatch, seconds: int, minutes: list[int]
) -> None:
    now = 0.0
    clock = SimpleNamespace(perf_counter=lambda: now)
    monkeypatch.setattr("robench.training.partway.time", clock)
    pace = Pace(fabric())
    pace.begin(7)
    due = []
    for count in range(8, 48):
        now += seconds
        if pace.is_due(count):
            due.append(round(now / 60))
    assert due[: len(minutes)] == minutes


def test_the_clock_of_the_first_process_decides_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    first = fabric()
    first.broadcast = lambda own: True
    pace = Pace(first)
    pace.begin(0)
    assert pace.is_due(1)


def test_a_log_that_is_written_within_the_first_epoch_can_be_read(tmp_path: Path) -> None:
    files = TrainingFiles(tmp_path / "training.csv", tmp_path / "state.pt")
    write_log(files, [])
    assert points_of(files.log, "epoch") == []
    files.log.write_text("\n")  # as earlier versions wrote it
    assert points_of(files.log, "epoch") == []
