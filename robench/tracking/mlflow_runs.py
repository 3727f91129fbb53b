"""MLflow, through its own client: the server of ``MLFLOW_TRACKING_URI``, or a file below ``--out``.

The experiment is that of ``MLFLOW_EXPERIMENT_NAME``, or has the name of the board.
"""

import logging
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from robench.errors import UserError
from robench.system.environment import environment
from robench.tracking.tracker import RunLogger, TrackedRun, Value

try:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param
except ImportError as error:
    raise UserError(
        "--log mlflow needs the package mlflow: pip install 'robench[mlflow]'."
    ) from error

AT_ONCE = 100
"""Parameters that its servers take in one request."""

LONGEST = 500
"""Characters of a parameter that its servers take, earlier versions too."""

EPOCHS = "epochs_logged"
"""The metric of which a run that goes on learns how far it was."""

STATES = {"success": "FINISHED", "failed": "FAILED", "aborted": "KILLED"}

IMPATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
"""By default it asks a server that does not answer for minutes, and a run would wait."""


class MlflowTracker:
    """``--log mlflow``: see :class:`robench.tracking.tracker.Tracker`.

    Args:
        folder: where it keeps its database and pictures if there is no server.
    """

    name, takes_pictures = "mlflow", True

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()
        self._client: MlflowClient | None = None
        for name in ("alembic", "mlflow.store.db.utils"):  # each step of a new database
            logging.getLogger(name).setLevel(logging.WARNING)

    @property
    def target(self) -> str:
        """The server; empty if there is none."""
        return os.environ.get("MLFLOW_TRACKING_URI", "")

    def begin(self) -> None:
        """Make the client, and the database if there is no server."""
        if not self.target:
            self._folder.mkdir(parents=True, exist_ok=True)
        self._client = MlflowClient(self.target or f"sqlite:///{self._folder / 'mlflow.db'}")

    def open(self, run: TrackedRun, folder: Path, identity: str) -> tuple[RunLogger, str]:
        """Begin or resume a run; see :class:`robench.tracking.tracker.Tracker`."""
        client = self._client
        assert client is not None
        with _impatient():
            if identity:
                client.update_run(identity, status="RUNNING")
                history = client.get_metric_history(identity, EPOCHS)
                epochs = max((point.step for point in history), default=0)
                return _MlflowRun(client, identity, epochs, is_new=False), identity
            tags = {"mlflow.source.name": "robench", "board": run.board, "row": run.row}
            made = client.create_run(self._experiment(client, run), tags=tags, run_name=run.name)
        return _MlflowRun(client, made.info.run_id, 0, is_new=True), made.info.run_id

    def _experiment(self, client: MlflowClient, run: TrackedRun) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or run.board
        found = client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        pictures = None if self.target else (self._folder / "artifacts").as_uri()
        return str(client.create_experiment(name, artifact_location=pictures))


class _MlflowRun:
    def __init__(self, client: MlflowClient, run: str, epochs: int, *, is_new: bool) -> None:
        self._client, self._run, self._is_new = client, run, is_new
        self.logged_epochs = epochs

    def log_hyperparams(self, params: Mapping[str, Value]) -> None:
        """Log them once: a run that goes on cannot change them."""
        if not self._is_new:
            return
        made = [Param(_key(name), str(value)[:LONGEST]) for name, value in params.items()]
        with _impatient():
            for first in range(0, len(made), AT_ONCE):
                self._client.log_batch(self._run, params=made[first : first + AT_ONCE])

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        self.log_result({**metrics, EPOCHS: step}, step)

    def log_result(self, metrics: Mapping[str, float], step: int) -> None:
        now = int(1000 * time.time())
        made = [Metric(_key(name), value, now, step) for name, value in metrics.items()]
        with _impatient():
            self._client.log_batch(self._run, metrics=made)

    log_earlier = log_result

    def log_text(self, name: str, text: str) -> None:
        with _impatient():
            self._client.log_text(self._run, text, f"{name}.md")

    def log_picture(self, name: str, file: Path, step: int) -> None:
        with _impatient():
            self._client.log_artifact(self._run, str(file), name)

    def finalize(self, status: str) -> None:
        with _impatient():
            self._client.set_terminated(self._run, STATES[status])


def _key(name: str) -> str:
    """Return a name of which MLflow takes every character."""
    return re.sub(r"[^\w\-. /]", "_", name)


@contextmanager
def _impatient() -> Iterator[None]:
    with environment(**{name: os.environ.get(name, value) for name, value in IMPATIENCE.items()}):
        yield
