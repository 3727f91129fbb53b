"""Weights & Biases, through its own client.

Where the runs go is said as for any program that uses it: ``wandb login``, ``WANDB_MODE=offline``,
``WANDB_PROJECT``, ``WANDB_ENTITY``, ``WANDB_DIR``.
"""

import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from robench.errors import UserError
from robench.tracking.tracker import RunLogger, TrackedRun, Value

try:
    import wandb
except ImportError as error:
    raise UserError("--log wandb needs the package wandb: pip install 'robench[wandb]'.") from error

PROJECT = "robench"
"""The project, if ``WANDB_PROJECT`` does not name another."""

MEASURED = "measured_step"
"""The axis of figures of earlier steps."""

PATIENCE = 30.0
"""Seconds to wait for its server, at the beginning and at the end of a run."""


class WandbTracker:
    """``--log wandb``: see :class:`robench.tracking.tracker.Tracker`.

    Args:
        folder: where it keeps its files, also those of runs that ``wandb sync`` is to upload.
    """

    name, takes_pictures = "wandb", True

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def target(self) -> str:
        """The mode, server, entity and project."""
        names = ("WANDB_MODE", "WANDB_BASE_URL", "WANDB_ENTITY", "WANDB_PROJECT")
        return " ".join(os.environ.get(name, "") for name in names)

    def begin(self) -> None:
        """Ask for the API key now if there is none and somebody can answer, not in a training."""
        if os.environ.get("WANDB_MODE", "online") == "online":
            wandb.login()

    def open(self, run: TrackedRun, folder: Path, identity: str) -> tuple[RunLogger, str]:
        """Begin or resume a run; see :class:`robench.tracking.tracker.Tracker`."""
        identity = identity or uuid.uuid4().hex[:16]
        self._folder.mkdir(parents=True, exist_ok=True)
        made = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=run.name,
            group=run.board,
            id=identity,
            resume="allow",
            dir=os.environ.get("WANDB_DIR", str(self._folder)),
            reinit="create_new",  # cells are trained side by side
            settings=_settings(),
        )
        return _WandbRun(made), identity


def _settings() -> wandb.Settings:
    """Return settings that print nothing between progress bars, and do not wait for ever."""
    known: dict[str, Any] = {"console": "off", "silent": True, "init_timeout": PATIENCE}
    if "finish_timeout" in wandb.Settings.model_fields:  # not in earlier versions
        known |= {"finish_timeout": PATIENCE, "finish_timeout_raises": True}
    return wandb.Settings(**known)


class _WandbRun:
    def __init__(self, run: Any) -> None:
        self._run = run
        self._measured: set[str] = set()

    @property
    def logged_epochs(self) -> int:
        """The last step on its server; offline there is none, and all is logged again."""
        return max(0, int(self._run.starting_step) - 1)

    def log_hyperparams(self, params: Mapping[str, Value]) -> None:
        self._run.config.update(dict(params), allow_val_change=True)

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        self._run.log(dict(metrics), step=step)

    def log_earlier(self, metrics: Mapping[str, float], step: int) -> None:
        """Log them against an axis of their own: its own step cannot go back."""
        for name in metrics.keys() - self._measured:
            self._run.define_metric(name, step_metric=MEASURED)
        self._measured |= metrics.keys()
        self._run.log({**metrics, MEASURED: step})

    def log_result(self, metrics: Mapping[str, float], step: int) -> None:
        """Set the summary, which a run that is resumed may set again."""
        if curves := {n: value for n, value in metrics.items() if n in self._measured}:
            self._run.log({**curves, MEASURED: step})
        self._run.summary.update(dict(metrics))

    def log_text(self, name: str, text: str) -> None:
        self._run.summary[name] = text

    def log_picture(self, name: str, file: Path, step: int) -> None:
        self._run.log({name: wandb.Image(str(file))})

    def finalize(self, status: str) -> None:
        self._run.finish(exit_code=int(status != "success"))
