"""Progress bars, and lines where there is no terminal."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from robench.cli.log_lines import LogLine
from robench.cli.tables.words import plain
from robench.cli.time_left import time_left
from robench.progress import Progress
from robench.runs.progress import NullReporter, ProgressLine, ProgressReporter


def progress(
    console: Console, stages: int | None, *, quiet: bool
) -> AbstractContextManager[ProgressReporter]:
    """Return what a command reports its progress to: bars, or nothing at all with ``--quiet``.

    Args:
        console: where to print.
        stages: number of names that will be announced.
        quiet: whether nothing is printed.
    """
    return nullcontext(NullReporter()) if quiet else ProgressBar(console, stages)


class ProgressBar:
    """Progress bars with the time left, one for each piece of work; a context manager.

    Args:
        console: where to print.
        stages: number of names that will be announced.
    """

    def __init__(self, console: Console, stages: int | None) -> None:
        self._console = console
        self._stages = stages
        self._seen: list[str] = []
        self._line: ProgressLine | None = None
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> "ProgressBar":
        self._bars.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bars.stop()

    def stage(self, name: str, state: str) -> None:
        """Announce a stage, and show its progress in the place of the last one's."""
        self.announce(name, state)
        if self._line is not None:
            self._line.close()
        self._line = self.line(name, state)

    def update(self, progress: Progress) -> None:
        """Update the bar of the stage."""
        if self._line is None:
            self._line = self._new_line("", progress.task)
        self._line.update(progress)

    def announce(self, name: str, state: str) -> None:
        """Announce a stage; without a terminal, print one line per stage."""
        number = self._number(name)
        if state in ("stored", "diverged") or not self._console.is_terminal:
            self._console.print(f"{number} {name}: {state}", markup=False)

    def line(self, name: str, state: str) -> ProgressLine:
        """Return a bar for one piece of work, until it is closed."""
        return self._new_line(name, f"{name}: {state}")

    def row(self, name: str, accuracies: Mapping[str, float], left: float) -> None:
        """Print the accuracies of a cell, and how long the rest takes."""
        figures = ", ".join(f"{column} {value:.1%}" for column, value in accuracies.items())
        self._console.print(
            f"{self._number(name)} {name}: {figures}{time_left(left)}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )

    def _new_line(self, name: str, text: str) -> ProgressLine:
        if self._console.is_terminal:
            return Line(self._bars, name, text)
        return LogLine(self._console, f"{self._number(name)} {name}" if name else "")

    def _number(self, name: str) -> str:
        if name not in self._seen:
            self._seen.append(name)
        of = "" if self._stages is None else f"/{self._stages}"
        return f"[{self._seen.index(name) + 1}{of}]"


class Line:
    """The bar of one piece of work.

    Args:
        bars: all bars.
        name: what the piece belongs to; may be empty.
        text: what is shown until its first progress.
    """

    def __init__(self, bars: Bars, name: str, text: str) -> None:
        self._bars, self._name = bars, name
        self._task: str | None = None
        self._bar: TaskID | None = bars.add_task(plain(text), total=None, note="")

    def update(self, progress: Progress) -> None:
        """Update the bar; a new task gets a new one, with its own time left."""
        if progress.task != self._task:
            self.close()
            self._task = progress.task
            text = f"{self._name}: {progress.task}" if self._name else progress.task
            self._bar = self._bars.add_task(plain(text), total=None, note="")
        assert self._bar is not None
        note = progress.note or f"{progress.done}/{progress.total} {progress.unit}"
        self._bars.update(self._bar, completed=progress.done, total=progress.total, note=note)

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bars.remove_task(self._bar)
            self._bar = None
