"""Small versions of the campaigns that stop runs, let their calls fail, and run several at once."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from campaigns import faults, kills, power_loss, processes
from campaigns.calls import Call, Watch
from campaigns.faults import Fault
from campaigns.forked import Ground, warmed_up
from campaigns.power_loss import Disk
from robench.leaderboard import pictures
from robench.plugins import registrations_undone


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    # Trials are forked from here with changes that other tests must not see.
    with registrations_undone(), pytest.MonkeyPatch.context() as restored:
        restored.setattr(pictures, "draw_curves", pictures.draw_curves)
        restored.setenv("COLUMNS", os.environ.get("COLUMNS", "100"))
        yield warmed_up(tmp_path_factory.mktemp("campaigns"))


def test_runs_that_are_killed_lose_nothing(ground: Ground) -> None:
    tally = kills.campaign(2, 0, ground)
    assert not tally.failed, tally.examples
    assert tally.trials.total() == 2


@pytest.mark.parametrize("fault", [
    Fault(30, "ENOSPC", always=True),
    Fault(10, faults.SHORT, always=True),
])  # fmt: skip
def test_a_call_that_fails_is_said_in_a_sentence_and_nothing_is_lost(
    ground: Ground, fault: Fault
) -> None:
    assert faults.failure_of(fault, ground) is None


def test_what_power_takes_is_made_again(ground: Ground) -> None:
    tally = power_loss.campaign(2, 0, ground)
    assert not tally.failed, tally.examples


def test_several_processes_share_a_store(ground: Ground) -> None:
    tally = processes.campaign(1, 1, ground, most=4)
    assert not tally.failed, tally.examples


def test_calls_below_the_folder_are_seen_and_no_others(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "outside"
    seen: list[Call] = []
    watch = Watch(inside, lambda call: seen.append(call))
    rename = watch._watched("replace", os.replace)
    make = watch._watched("mkdir", os.mkdir)
    make(inside)
    make(outside)
    (inside / "a").touch()
    rename(inside / "a", inside / "b")
    assert [(call.name, call.path, call.source) for call in seen] == [
        ("mkdir", ".", ""), ("replace", "b", "a"),
    ]  # fmt: skip


def states(*calls: tuple[str, str, str, bytes]) -> set[tuple[tuple[str, bytes], ...]]:
    disk = Disk(folders={"."})
    for number, (name, path, source, data) in enumerate(calls):
        disk.apply(Call(number, name, path, source, data))
    found = (disk.after_power_loss(random.Random(seed)) for seed in range(60))
    return {tuple(sorted(state.items())) for state in found}


WRITTEN = (("open", "t", "", b""), ("write", "t", "", b"ab"))


def test_what_was_not_synced_may_be_lost_cut_or_zero() -> None:
    found = states(*WRITTEN, ("fsync", ".", "", b""))
    assert found == {(("t", content),) for content in (b"", b"a", b"ab", b"a\0", b"\0\0")}


def test_a_rename_is_durable_when_its_folder_is_synced() -> None:
    renamed = (*WRITTEN, ("fsync", "t", "", b""), ("replace", "x", "t", b""))
    assert states(*renamed) == {(), (("x", b"ab"),)}
    assert states(*renamed, ("fsync", ".", "", b"")) == {(("x", b"ab"),)}
