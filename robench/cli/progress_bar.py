"""Progress bars."""

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from robench.cli.tables.words import plain
from robench.progress import Progress


class ProgressBar:
    """A progress bar with the time left; a context manager.

    Args:
        console: where to print.
        stages: number of names that will be announced.
    """

    def __init__(self, console: Console, stages: int | None) -> None:
        self._console = console
        self._stages = stages
        self._seen: list[str] = []
        self._name = ""
        self._task: str | None = None
        self._bar_id: TaskID | None = None
        self._bar = Bars(
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
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()

    def stage(self, name: str, state: str) -> None:
        """Announce a stage; without a terminal, print one line per stage."""
        if name not in self._seen:
            self._seen.append(name)
        self._name = name
        self._task = None
        if state in ("stored", "diverged") or not self._console.is_terminal:
            number = self._seen.index(name) + 1
            of = "" if self._stages is None else f"/{self._stages}"
            self._console.print(f"[{number}{of}] {name}: {state}", markup=False)
        self._replace(f"{name}: {state}")

    def update(self, progress: Progress) -> None:
        """Update the bar."""
        if progress.task != self._task:
            self._task = progress.task
            self._replace(f"{self._name}: {progress.task}" if self._name else progress.task)
        if self._bar_id is not None:
            note = progress.note or f"{progress.done}/{progress.total} {progress.unit}"
            self._bar.update(self._bar_id, completed=progress.done, total=progress.total, note=note)

    def _replace(self, description: str) -> None:
        if self._bar_id is not None:
            self._bar.remove_task(self._bar_id)
        self._bar_id = self._bar.add_task(plain(description), total=None, note="")
