"""The driver of a run: what begins when, and what a failure stops."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import pytest
from two_workers import TwoWorkers

from robench.errors import UserError
from robench.runs.executor import Ended
from robench.runs.failures import Failure, check_failures
from robench.runs.pieces import Piece
from robench.runs.schedule import Job, Schedule
from robench.runs.steps import Steps, Task
from robench.system.locks import HeldError


class Two(TwoWorkers):
    """Two workers, of which the one that began first ends first."""

    def __init__(self, *failing: str) -> None:
        super().__init__()
        self.begun: list[str] = []
        self._failing = failing

    def submit(self, piece: Piece) -> None:
        self.begun.append(f"{piece.name} {piece.state}")
        super().submit(piece)

    def wait(self, seconds: float | None = None) -> Sequence[Ended]:
        piece = self.running.pop(0)
        if self.begun and f"{piece.name} {piece.state}" in self._failing:
            return [Ended(piece, error=UserError("it is broken."))]
        return [Ended(piece, f"{piece.name} {piece.state}")]


class Log:
    """What happened, in order: the results of pieces, and when a cell's lock was given back."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def steps(self, name: str, *steps: dict[str, float], timed: str = "") -> Steps:
        try:
            for step in steps:
                yield [self._task(name, state, effort, timed) for state, effort in step.items()]
        finally:
            self.lines.append(f"{name} unlocked")

    def _task(self, name: str, state: str, effort: float, timed: str) -> Task:
        piece = Piece(name, state, None, 1, effort, alone=state == timed)  # type: ignore[arg-type]
        return Task(piece, self.lines.append)

    def job(self, name: str, *steps: dict[str, float], **settings: Any) -> Job:
        return Job(name, partial(self.steps, name, *steps), **settings)


TRAIN, ATTACK = {"train": 10.0}, {"fgsm": 1.0, "pgd": 20.0}


def test_a_cell_that_has_begun_is_finished_before_another_begins() -> None:
    log, executor = Log(), Two()
    jobs = [log.job(name, TRAIN, ATTACK) for name in "abc"]
    Schedule(jobs, executor).run()
    assert executor.begun == [
        "a train", "b train", "a fgsm", "a pgd", "b fgsm", "b pgd", "c train", "c fgsm", "c pgd",
    ]  # fmt: skip


def test_the_longest_column_of_a_cell_begins_first_where_several_pieces_run_at_once() -> None:
    log, executor = Log(), Two()
    Schedule([log.job("a", ATTACK)], executor, longest_first=True).run()
    assert executor.begun == ["a pgd", "a fgsm"]


def test_a_piece_that_is_timed_runs_alone_and_is_not_overtaken() -> None:
    log, executor = Log(), Two()
    beside: list[set[str]] = []
    submit = executor.submit

    def noted(piece: Piece) -> None:
        submit(piece)
        beside.append({other.state for other in executor.running})

    executor.submit = noted  # type: ignore[method-assign]
    steps = partial(log.steps, timed="train")
    Schedule([Job(n, partial(steps, n, TRAIN, ATTACK)) for n in "abc"], executor).run()
    assert {"fgsm", "pgd"} in beside, "attacks run side by side"
    assert [states for states in beside if "train" in states] == [{"train"}] * 3
    assert executor.begun == [
        f"{name} {state}" for name in "abc" for state in ("train", "fgsm", "pgd")
    ]
    executor.begun = []
    untimed = log.job("b", TRAIN)
    Schedule([log.job("a", {"fgsm": 1.0}), Job("t", partial(steps, "t", TRAIN)), untimed],
             executor).run()  # fmt: skip
    assert executor.begun == ["a fgsm", "t train", "b train"]


def test_on_a_board_of_timed_trainings_all_of_them_come_first() -> None:
    log, executor = Log(), Two()
    steps = partial(log.steps, timed="train")
    jobs = [Job("trained", partial(steps, "trained", ATTACK))]
    jobs += [Job(n, partial(steps, n, TRAIN, ATTACK)) for n in "ab"]
    Schedule(jobs, executor, timed_first=True).run()
    trainings = ["a train", "b train"]
    assert executor.begun[:2] == trainings
    assert sorted(executor.begun[2:]) == sorted(
        f"{name} {state}" for name in ("trained", "a", "b") for state in ATTACK
    )


def test_what_depends_on_another_cell_waits_for_it() -> None:
    log, executor = Log(), Two()
    jobs = [
        log.job("check", {"run": 1.0}, ready=lambda: "a train" in log.lines),
        log.job("a", TRAIN),
        log.job("never", {"run": 1.0}, ready=lambda: False),
    ]
    Schedule(jobs, executor).run()
    assert executor.begun == ["a train", "check run"]


def test_a_cell_that_fails_stops_no_other_and_begins_nothing_more() -> None:
    log, executor = Log(), Two("a train")
    schedule = Schedule([log.job(name, TRAIN, ATTACK) for name in "ab"], executor)
    schedule.run()
    assert [failure.name for failure in schedule.failures] == ["a"]
    assert executor.begun == ["a train", "b train", "b fgsm", "b pgd"]


def test_the_lock_of_a_cell_that_failed_stays_until_its_last_piece_has_ended() -> None:
    log, executor = Log(), Two("a fgsm")
    Schedule([log.job("a", ATTACK)], executor).run()
    assert log.lines == ["a pgd", "a unlocked"]


def test_locks_are_given_back_only_when_nothing_runs_any_longer() -> None:
    log = Log()

    class Interrupted(Two):
        def wait(self, seconds: float | None = None) -> Sequence[Ended]:
            raise KeyboardInterrupt

        def __exit__(self, *error: object) -> None:
            log.lines.append("all processes have ended")

    with pytest.raises(KeyboardInterrupt):
        Schedule([log.job("a", ATTACK)], Interrupted()).run()
    assert log.lines == ["all processes have ended", "a unlocked"]


def test_a_cell_of_another_run_is_left_to_it_and_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("robench.runs.schedule.PAUSE", 0.01)
    log, executor, looks = Log(), Two(), [0]

    def held(name: str, times: int) -> Iterator[list[Task]]:
        looks[0] += 1
        if looks[0] <= times:
            raise HeldError("another robench is at work in it.")
        yield from log.steps(name, TRAIN)

    said: list[str] = []
    jobs = [Job("a", partial(held, "a", 3)), log.job("b", TRAIN, ATTACK)]
    schedule = Schedule(jobs, executor, held=said.append)
    schedule.run()
    assert executor.begun == ["b train", "b fgsm", "b pgd", "a train"]
    assert looks == [4]
    assert said == ["a"]
    assert not schedule.failures


def test_a_first_cell_that_cannot_even_begin_ends_the_run_before_any_work() -> None:
    def begin() -> Iterator[list[Task]]:
        raise UserError("cannot write it.")
        yield []

    log, executor = Log(), Two()
    with pytest.raises(UserError, match="cannot write"):
        Schedule([Job("a", begin), log.job("b", TRAIN)], executor).run()
    assert executor.begun == []
    later = Schedule([log.job("b", TRAIN), Job("a", begin)], executor)
    later.run()
    assert [failure.name for failure in later.failures] == ["a"]


def test_the_time_left_is_as_long_as_what_was_done_per_unit_of_work() -> None:
    log, executor = Log(), Two()
    schedule = Schedule([log.job("a", TRAIN)], executor)
    assert schedule.seconds_left(10.0) != schedule.seconds_left(10.0)  # not known: nan
    schedule.run()
    assert 0 < schedule.seconds_left(10.0) < schedule.seconds_left(1000.0)


def test_the_time_left_counts_what_others_have_done_of_their_pieces_and_how_many_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [0.0]
    monkeypatch.setattr("robench.runs.schedule.time.monotonic", lambda: clock[0])

    class Clocked(Two):
        def wait(self, seconds: float | None = None) -> Sequence[Ended]:
            clock[0] += 10
            return super().wait(seconds)

    log, said = Log(), []

    def asks() -> Steps:
        yield from log.steps("a", {"train": 5.0})
        said.append(schedule.seconds_left(100.0))  # all of b, which has run for ten seconds

    schedule = Schedule([Job("a", asks), log.job("b", {"train": 80.0}, {"pgd": 20.0})], Clocked())
    schedule.run()
    # Effort 5 took 10 seconds; b has done 5 of 100, and two run at a time.
    assert said == [(100 - 5) * 2 / 2]


def test_failures_are_said_in_one_sentence_and_what_they_share_once() -> None:
    check_failures([])
    full = UserError("cannot write x: the disk is full.")
    bug = ZeroDivisionError("division by zero")
    failures = [Failure("a", full), Failure("b", full), Failure("c", bug)]
    with pytest.raises(UserError) as raised:
        check_failures(failures)
    assert str(raised.value) == (
        "a and b: cannot write x: the disk is full; c: ZeroDivisionError: division by zero; what "
        "is finished is stored, and the same command goes on from there."
    )
