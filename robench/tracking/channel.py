"""One tracker during a run: what it was told of which cell, and that its failures stay its own."""

import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from robench.errors import RobenchWarning, shortened
from robench.system.out_of_memory import is_of_machine
from robench.tracking.figures import Points
from robench.tracking.logged import AnyCell, AnyResult, LoggedCell, LoggedResult
from robench.tracking.record import Record
from robench.tracking.tracker import RunLogger, TrackedRun, Tracker


@dataclass(eq=False)
class _Open:
    """A run that has begun: its logger, what is kept of it, and the last epoch that it has."""

    logger: RunLogger
    record: Record
    epoch: int


class Channel:
    """Passes cells on to a tracker; after its first failure, it says so once and does nothing more.

    Args:
        tracker: the tracker.
        board: the name of the board.
        folder: the folder of its runs, one folder per cell.
    """

    def __init__(self, tracker: Tracker, board: str, folder: Path) -> None:
        self._tracker, self._board, self._folder = tracker, board, folder
        self._open: dict[str, _Open] = {}
        self._works = True

    def begin(self) -> None:
        """Prepare the tracker."""
        self._attempt(self._tracker.begin)

    def epochs(self, cell: AnyCell, slug: str) -> None:
        """Log the epochs of a cell that are new in its log."""
        self._attempt(partial(self._log_epochs, LoggedCell.of(cell), slug))

    def trained(self, cell: AnyCell, slug: str) -> None:
        """Log what is left of a training that has ended, and end its run."""
        status = "failed" if cell.folder.diverged.exists() else "success"
        self._attempt(partial(self._log_training, LoggedCell.of(cell), slug, status))

    def finished(self, cell: AnyCell, slug: str, result: AnyResult) -> None:
        """Log the result of a cell, and end its run, unless that was logged before."""
        self._attempt(
            lambda: self._log_result(LoggedCell.of(cell), slug, LoggedResult.of(cell, result))
        )

    def close(self) -> None:
        """End the runs that are still open, since the run of robench ends before them."""
        for run in self._open.values():
            self._attempt(partial(run.logger.finalize, "aborted"))
        self._open = {}

    def _attempt(self, action: Callable[[], object]) -> None:
        if not self._works:
            return
        try:
            action()
        except Exception as error:  # whatever a library, a server or a network raises
            self._works = False
            warnings.warn(
                f"--log {self._tracker.name} failed ({_reason(error)}); the run goes on without "
                f"it, and the same command later logs what is missing.",
                RobenchWarning,
                stacklevel=2,
            )

    def _place(self, slug: str) -> Path:
        return self._folder / slug

    def _has(self, slug: str, digest: str) -> bool:
        return Record.read(self._place(slug), self._tracker.target).finished == digest

    def _log_epochs(self, cell: LoggedCell, slug: str) -> None:
        if found := cell.points():
            self._catch_up(cell, slug, found)

    def _log_training(self, cell: LoggedCell, slug: str, status: str) -> None:
        digest = f"trained, {status}"
        if not self._has(slug, digest):
            self._end(cell, slug, digest, status)

    def _catch_up(self, cell: LoggedCell, slug: str, points: Points) -> _Open:
        """Return the run of a cell after these epochs; it is opened if it is not open."""
        run = self._open.get(slug) or self._begin(cell, slug)
        for epoch, figures in points:
            if epoch > run.epoch:
                run.logger.log_metrics(figures, epoch)
                run.epoch = epoch
        return run

    def _begin(self, cell: LoggedCell, slug: str) -> _Open:
        place = self._place(slug)
        before = Record.read(place, self._tracker.target)
        params = cell.hyperparameters()
        tracked = TrackedRun(self._board, cell.row, cell.seed, slug, params)
        logger, identity = self._tracker.open(tracked, place, before.identity)
        record = replace(before, identity=identity, finished=UNFINISHED)
        run = self._open[slug] = _Open(logger, record, logger.logged_epochs)
        record.write(place)  # first: if the rest fails, the same command goes on with this run
        logger.log_hyperparams(params)
        return run

    def _log_result(self, cell: LoggedCell, slug: str, result: LoggedResult) -> None:
        if self._has(slug, result.digest):
            return
        run = self._catch_up(cell, slug, cell.points())
        if result.diverged:
            run.logger.log_text("diverged", result.diverged)
            self._end(cell, slug, result.digest, "failed")
            return
        for step, figures in result.on_the_way:
            run.logger.log_earlier(figures, step)
        run.logger.log_result(result.figures, run.epoch)
        for name, text in result.texts.items():
            run.logger.log_text(name, text)
        digest = result.digest
        if self._tracker.takes_pictures:
            with tempfile.TemporaryDirectory(prefix="robench-") as name:
                path = Path(name) / f"{result.picture}.png"
                drawn = _drawn(cell, result, path)
                if drawn:
                    run.logger.log_picture(result.picture, path, run.epoch)
                digest = UNFINISHED if drawn is None else digest
        self._end(cell, slug, digest, "success")

    def _end(self, cell: LoggedCell, slug: str, digest: str, status: str) -> None:
        run = self._catch_up(cell, slug, cell.points())
        del self._open[slug]
        run.logger.finalize(status)
        replace(run.record, finished=digest).write(self._place(slug))


UNFINISHED = ""
"""In a record: the same command logs what is missing."""


def _drawn(cell: LoggedCell, result: LoggedResult, path: Path) -> bool | None:
    """Return whether there is a picture; None if the machine is why there is not."""
    try:
        return result.draw(path)
    except Exception as error:  # whatever an attack or a network raises on the CPU
        text = f"no picture of {cell.name} is logged ({_reason(error)})."
        warnings.warn(text, RobenchWarning, stacklevel=2)
        return None if is_of_machine(error) else False


def _reason(error: Exception) -> str:
    return shortened(str(error).strip().partition("\n")[0], 200) or type(error).__name__
