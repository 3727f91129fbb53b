"""Progress in a pipe or a log file: lines of long work, none of short work."""

import io

from rich.console import Console

from robench.cli.log_lines import EVERY, LogLine
from robench.progress import Progress


class Told:
    """A line whose clock stands where a test sets it."""

    def __init__(self, name: str = "[1/2] a, seed 0") -> None:
        self.now = 0.0
        self._file = io.StringIO()
        self.line = LogLine(Console(file=self._file, width=40), name, lambda: self.now)

    def at(self, now: float, progress: Progress) -> list[str]:
        """Return what is printed of a progress at a time."""
        self.now = now
        before = len(self._file.getvalue())
        self.line.update(progress)
        return self._file.getvalue()[before:].splitlines()


def batches(done: int, note: str = "") -> Progress:
    return Progress("training", done, 1000, "batches", note)


def test_a_long_training_says_every_five_minutes_how_far_it_is_and_how_long_it_takes() -> None:
    told = Told()
    assert told.at(1, batches(1)) == []
    assert told.at(EVERY - 1, batches(90)) == []
    assert told.at(EVERY + 1, batches(101, "epoch 2/15, accuracy 31.0%")) == [
        "[1/2] a, seed 0: training 10%, epoch 2/15, accuracy 31.0% (about 45 min left)"
    ]
    assert told.at(EVERY + 2, batches(102)) == []
    assert told.at(2 * EVERY + 1, batches(201)) == [
        "[1/2] a, seed 0: training 20%, 201/1000 batches (about 40 min left)"
    ]


def test_short_work_prints_nothing() -> None:
    told = Told()
    assert [told.at(0.1 * done, batches(done)) for done in (1, 500, 1000)] == [[], [], []]
    told.line.close()


def test_the_time_left_is_of_the_running_task_and_of_what_was_done_since_it_began() -> None:
    told = Told("")
    told.at(0, batches(1))
    told.at(200, Progress("pgd-20", 500, 1000, "images"))  # resumed: these took no time
    assert told.at(400, Progress("pgd-20", 600, 1000, "images")) == [
        "pgd-20 60%, 600/1000 images (about 13 min left)"
    ]


def test_the_first_report_of_a_task_has_no_time_left() -> None:
    assert Told().at(EVERY, batches(10)) == ["[1/2] a, seed 0: training 1%, 10/1000 batches"]
