"""The trackers that ``--log`` may name; a library is imported only when its tracker is named."""

from collections.abc import Callable, Sequence
from pathlib import Path

from robench.errors import UserError, did_you_mean
from robench.tracking.tracker import Tracker


def _tensorboard(folder: Path) -> Tracker:
    from robench.tracking.tensorboard_runs import TensorBoardTracker

    return TensorBoardTracker()


def _wandb(folder: Path) -> Tracker:
    from robench.tracking.wandb_runs import WandbTracker

    return WandbTracker(folder)


def _mlflow(folder: Path) -> Tracker:
    from robench.tracking.mlflow_runs import MlflowTracker

    return MlflowTracker(folder)


def _csv(folder: Path) -> Tracker:
    from robench.tracking.csv_runs import CsvTracker

    return CsvTracker()


TRACKERS: dict[str, Callable[[Path], Tracker]] = {
    "tensorboard": _tensorboard,
    "wandb": _wandb,
    "mlflow": _mlflow,
    "csv": _csv,
}
"""Name -> what makes the tracker, given the folder of its files."""


def trackers_for(names: Sequence[str], logs: Path) -> list[Tracker]:
    """Return trackers by their names, each once.

    Args:
        names: the names; each may be several, separated by commas.
        logs: the folder of all logs; each tracker has a folder of its name in it.

    Raises:
        UserError: if there is no such tracker, or its package is not installed.
    """
    single = [name.strip() for text in names for name in text.split(",")]
    found = []
    for name in dict.fromkeys(single):
        if name not in TRACKERS:
            raise UserError(f"--log {name}: no such tracker; {did_you_mean(name, TRACKERS)}")
        found.append(TRACKERS[name](logs / name))
    return found
