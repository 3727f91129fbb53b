"""TensorBoard, through the logger of Lightning Fabric.

Its events are written anew when a run is opened again: all that they hold is in the store, so
nothing is lost, and nothing is there twice.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from lightning_fabric.loggers.tensorboard import TensorBoardLogger
from PIL import Image

from robench.errors import UserError
from robench.tracking.csv_runs import remove_files
from robench.tracking.tracker import RunLogger, TrackedRun, Value

try:
    import torch.utils.tensorboard  # noqa: F401 - the logger imports it later
except ImportError as error:
    raise UserError(
        "--log tensorboard needs the package tensorboard: pip install 'robench[tensorboard]'."
    ) from error


class TensorBoardTracker:
    """``--log tensorboard``: a folder of events per cell."""

    name, target, takes_pictures = "tensorboard", "", True

    def begin(self) -> None:
        """Do nothing; see :class:`robench.tracking.tracker.Tracker`."""

    def open(self, run: TrackedRun, folder: Path, identity: str) -> tuple[RunLogger, str]:
        """Begin its events; see :class:`robench.tracking.tracker.Tracker`."""
        remove_files(folder, "events.out.tfevents.*", "*.json")
        return _TensorBoardRun(folder), ""


class _TensorBoardRun:
    logged_epochs = 0

    def __init__(self, folder: Path) -> None:
        self._logger = TensorBoardLogger(
            folder.parent, name="", version=folder.name, default_hp_metric=False
        )
        self._params: Mapping[str, Value] = {}

    def log_hyperparams(self, params: Mapping[str, Value]) -> None:
        """Show them as text; those of the HParams tab come with the result, which it compares."""
        self._params = params
        lines = [f"| {name} | {str(value).replace('|', '/')} |" for name, value in params.items()]
        self.log_text("hyperparameters", "\n".join(["| name | value |", "|---|---|", *lines]))

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        self._logger.log_metrics(metrics, step)
        self._logger.save()

    log_earlier = log_metrics

    def log_result(self, metrics: Mapping[str, float], step: int) -> None:
        self._logger.log_hyperparams(dict(self._params), dict(metrics), step)

    def log_text(self, name: str, text: str) -> None:
        self._logger.experiment.add_text(name, text)

    def log_picture(self, name: str, file: Path, step: int) -> None:
        with Image.open(file) as picture:
            pixels = np.asarray(picture.convert("RGB"))
        self._logger.experiment.add_image(name, pixels, step, dataformats="HWC")

    def finalize(self, status: str) -> None:
        self._logger.finalize(status)
