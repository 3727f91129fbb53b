"""Progress bars."""

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from robench.cli.tables.words import plain
from robench.training.loop import Progress as TrainingProgress


class ProgressBar:
    """Shows the cell under way as one bar with accuracy and time left; a context manager."""

    def __init__(self, console: Console, cells: int) -> None:
        self._console = console
        self._cells = cells
        self._seen: list[str] = []
        self._title = ""
        self._task: TaskID | None = None
        self._attack = ""
        self._bar = Progress(
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

    def cell(self, title: str, seed: int, state: str) -> None:
        """Announce what is done with a cell; one line a cell where there is no terminal."""
        name = f"{title}, seed {seed}"
        if name not in self._seen:
            self._seen.append(name)
        self._title = name
        if state in ("stored", "diverged") or not self._console.is_terminal:
            number = self._seen.index(name) + 1
            self._console.print(f"[{number}/{self._cells}] {name}: {state}", markup=False)
        self._replace(f"{name}: {state}")

    def training(self, progress: TrainingProgress) -> None:
        """Move the bar over all epochs of the training."""
        done = progress.epoch * progress.batches + progress.batch
        note = f"epoch {progress.epoch + 1}/{progress.epochs}, accuracy {progress.accuracy:.1%}"
        self._move(done, progress.epochs * progress.batches, note)

    def attacking(self, attack: str, done: int, total: int) -> None:
        """Move the bar over the images of an attack."""
        if attack != self._attack:
            self._attack = attack
            self._replace(f"{self._title}: {attack}" if self._title else attack)
        self._move(done, total, f"{done}/{total} images")

    def measuring(self, network: str, layer: str, done: int, total: int) -> None:
        """Move the bar over the layers of a network; one line each where there is no terminal."""
        if network != self._title:
            self._title = network
            if not self._console.is_terminal:
                self._console.print(f"{network}: measuring {total} layers", markup=False)
            self._replace(network)
        self._move(done, total, f"{layer}, {done + 1}/{total} layers")

    def _replace(self, description: str) -> None:
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(plain(description), total=None, note="")

    def _move(self, done: int, total: int, note: str) -> None:
        if self._task is not None:
            self._bar.update(self._task, completed=done, total=total, note=note)
