"""CSV files, through the logger of Lightning Fabric.

They are written anew when a run is opened again: all that they hold is in the store, so nothing is
lost, and nothing is there twice.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path

from lightning_fabric.loggers.csv_logs import CSVLogger

from robench.system.files import write_json, write_text
from robench.tracking.tracker import RunLogger, TrackedRun, Value


class CsvTracker:
    """``--log csv``: a folder per cell with ``metrics.csv``, ``hparams.json`` and texts."""

    name, target, takes_pictures = "csv", "", False

    def begin(self) -> None:
        """Do nothing; see :class:`robench.tracking.tracker.Tracker`."""

    def open(self, run: TrackedRun, folder: Path, identity: str) -> tuple[RunLogger, str]:
        """Begin its files; see :class:`robench.tracking.tracker.Tracker`."""
        remove_files(folder, "*.csv", "*.json", "*.md")
        return _CsvRun(folder), ""


class _CsvRun:
    logged_epochs = 0

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._logger = CSVLogger(folder.parent, name="", version=folder.name)
        with warnings.catch_warnings():  # of a folder that is not empty, at its first use
            warnings.simplefilter("ignore")
            _ = self._logger.experiment

    def log_hyperparams(self, params: Mapping[str, Value]) -> None:
        write_json(self._folder / "hparams.json", dict(params))

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        self._logger.log_metrics(dict(metrics), step)
        self._logger.save()

    log_earlier = log_result = log_metrics

    def log_text(self, name: str, text: str) -> None:
        write_text(self._folder / f"{name}.md", f"{text}\n")

    def log_picture(self, name: str, file: Path, step: int) -> None:
        raise NotImplementedError("a CSV file has no pictures")

    def finalize(self, status: str) -> None:
        self._logger.finalize(status)


def remove_files(folder: Path, *patterns: str) -> None:
    """Remove the files of a folder whose names have one of the patterns."""
    for pattern in patterns:
        for file in folder.glob(pattern):
            file.unlink()
