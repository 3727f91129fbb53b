"""A run that trackers follow: the driver logs what the store has, whatever process computed it.

Curves come from ``training.csv``, which the driver reads again whenever a training reports
progress; so they appear while it goes on, also with ``--jobs`` and on machines that share the
store. Where machines do not see the store, they come with the weights.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from robench.leaderboard.evidence import file_name
from robench.progress import Progress
from robench.runs.progress import NullReporter, ProgressLine, ProgressReporter
from robench.tracking.channel import Channel
from robench.tracking.logged import AnyCell, AnyResult, LoggedCell
from robench.tracking.trackers import trackers_for

TRAINING = "training"
"""The state of a cell in which its log grows."""


class Followed:
    """The progress reporter and the observer of a run: it passes on progress, and logs.

    Args:
        channels: one for each tracker.
        reporter: gets the progress.
    """

    def __init__(self, channels: Sequence[Channel], reporter: ProgressReporter) -> None:
        self._channels, self._reporter = channels, reporter
        self._cells: dict[str, tuple[AnyCell, str]] = {}
        self._written: dict[str, int] = {}
        self._current = ""

    def begin(self, cells: Sequence[AnyCell]) -> None:
        """Take the cells of the run; see :class:`robench.runs.observer.Observer`."""
        names: set[str] = set()
        for cell in cells:
            logged = LoggedCell.of(cell)
            slug = Path(file_name(logged.row, logged.seed, names)).stem
            self._cells[cell.name] = cell, slug
        for channel in self._channels:
            channel.begin()

    def trained(self, cell: AnyCell) -> None:
        """Log a training that has ended; see :class:`robench.runs.observer.Observer`."""
        for channel in self._channels:
            channel.trained(*self._cells[cell.name])

    def finished(self, cell: AnyCell, result: AnyResult) -> None:
        """Log a result; see :class:`robench.runs.observer.Observer`."""
        for channel in self._channels:
            channel.finished(*self._cells[cell.name], result)

    def close(self) -> None:
        """End what is still open."""
        for channel in self._channels:
            channel.close()

    def stage(self, name: str, state: str) -> None:
        """Pass it on; see :class:`robench.runs.progress.ProgressReporter`."""
        self._reporter.stage(name, state)
        self._current = name if state == TRAINING else ""

    def update(self, progress: Progress) -> None:
        """Pass it on, and log new epochs of the current stage."""
        self._reporter.update(progress)
        self.look(self._current)

    def announce(self, name: str, state: str) -> None:
        """Pass it on; see :class:`robench.runs.progress.ProgressReporter`."""
        self._reporter.announce(name, state)

    def line(self, name: str, state: str) -> ProgressLine:
        """Return a line that passes on, and logs new epochs if the piece is a training."""
        line = self._reporter.line(name, state)
        return _TrainingLine(self, name, line) if state == TRAINING else line

    def row(self, name: str, accuracies: Mapping[str, float], left: float) -> None:
        """Pass it on; see :class:`robench.runs.progress.ProgressReporter`."""
        self._reporter.row(name, accuracies, left)

    def look(self, name: str) -> None:
        """Log the epochs of a cell that are new, if its log was written since the last look."""
        if name not in self._cells:
            return
        cell, slug = self._cells[name]
        try:
            written = cell.folder.log.stat().st_mtime_ns
        except OSError:
            return  # the first epoch has not ended
        if self._written.get(name) == written:
            return
        self._written[name] = written
        for channel in self._channels:
            channel.epochs(cell, slug)


class _TrainingLine:
    """The line of a training: each progress is an occasion to look at its log."""

    def __init__(self, followed: Followed, name: str, line: ProgressLine) -> None:
        self._followed, self._name, self._line = followed, name, line

    def update(self, progress: Progress) -> None:
        """Pass it on, and look."""
        self._line.update(progress)
        self._followed.look(self._name)

    def close(self) -> None:
        """Pass it on, and look for the last time."""
        self._line.close()
        self._followed.look(self._name)


@contextmanager
def followed(
    trackers: Sequence[str], board: str, out: Path, reporter: ProgressReporter | None = None
) -> Iterator[Followed]:
    """Have trackers follow a run; what they have of it is below ``out/logs``.

    Args:
        trackers: their names in ``--log``.
        board: the name of the board.
        out: the folder of the run store.
        reporter: gets the progress.

    Raises:
        UserError: if there is no tracker of such a name, or its package is not installed.
    """
    logs = out / "logs"
    channels = [
        Channel(tracker, board, logs / tracker.name / board)
        for tracker in trackers_for(trackers, logs)
    ]
    run = Followed(channels, reporter or NullReporter())
    try:
        yield run
    finally:
        run.close()
