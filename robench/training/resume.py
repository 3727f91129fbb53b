"""The log of a training and the state from which it resumes."""

import io
import math
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from robench.base import ADDED_LATER
from robench.errors import UserError
from robench.system.files import write_bytes, write_text
from robench.system.out_of_memory import is_of_machine
from robench.training.averaging import Average
from robench.training.partway import Partway


@dataclass(frozen=True)
class Epoch:
    """A row of ``training.csv``. Accuracies are fractions; train_* are on the inputs trained on.

    The ``train_accuracy`` of free training is that of all replays, the first of which sees the
    clean images unless the perturbation is carried from minibatch to minibatch. ``val_accuracy`` is
    clean, and nan if there is no validation part. ``val_robust`` is that under PGD on a few images
    of it (:mod:`robench.training.robust_accuracy`), and nan also if training attacks none.
    """

    epoch: int
    lr: float
    train_loss: float
    train_accuracy: float
    val_accuracy: float
    seconds: float
    images_per_second: float
    val_robust: float = field(default=math.nan, metadata=ADDED_LATER)


def odd_columns(columns: Iterable[str]) -> list[str]:
    """Return which columns a log lacks, or has beyond those of :class:`Epoch`, in order.

    Logs of earlier versions lack those that were added later.
    """
    later = {column.name for column in fields(Epoch) if column.metadata == ADDED_LATER}
    return sorted((set(columns) | later) ^ {column.name for column in fields(Epoch)})


@dataclass(frozen=True)
class TrainingFiles:
    """The files for the log and the state of a training, written after each epoch or within it.

    Attributes:
        log: the log, for people to read.
        checkpoint: the state, from which training resumes.
        owner: what is trained. The state of another owner is refused.
        sessions: what is recorded of the machines of the sessions so far, the present one included.
    """

    log: Path
    checkpoint: Path
    owner: str = ""
    sessions: tuple[Mapping[str, str], ...] = ()


@dataclass(frozen=True)
class Trained:
    """What a training changes: the objects whose state is written and loaded."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    scheduler: Any
    average: Average | None


def save_state(
    files: TrainingFiles,
    trained: Trained,
    rows: list[Epoch],
    carried: Tensor | None,
    partway: Partway | None = None,
) -> None:
    """Write the log and everything that the next epoch, or the rest of this one, depends on.

    Raises:
        UserError: if they cannot be written.
    """
    buffer = io.BytesIO()
    state = {
        "model": trained.model.state_dict(),
        "optimizer": trained.optimizer.state_dict(),
        "scheduler": trained.scheduler.state_dict(),
        "rows": [asdict(row) for row in rows],
        "delta": carried,  # stored under the name that the first method to carry something gave it
        "owner": files.owner,
        "sessions": [dict(session) for session in files.sessions],
    }
    if trained.average:
        state["average"] = trained.average.values
    if partway:
        state["partway"] = partway.state()
    torch.save(state, buffer)
    write_bytes(files.checkpoint, buffer.getvalue())
    write_log(files, rows)


def write_log(files: TrainingFiles, rows: list[Epoch]) -> None:
    """Write ``training.csv``.

    Raises:
        UserError: if it cannot be written.
    """
    columns = [column.name for column in fields(Epoch)]  # before the first epoch has ended, too
    write_text(files.log, pd.DataFrame(rows, columns=columns).to_csv(index=False))


def sessions_in(checkpoint: Path) -> tuple[Mapping[str, str], ...]:
    """Return the sessions in which a training came to its last state; tensors are not read.

    One that is empty stands for those of which nothing is known: an earlier version recorded
    nothing. What is damaged is for :func:`load_state` to refuse.
    """
    if not checkpoint.exists():
        return ()
    with suppress(Exception):  # torch's errors are of many kinds
        state = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
        return tuple({str(k): str(v) for k, v in each.items()} for each in state["sessions"])
    return ({},)


ANOTHER = "it is the state of another training"
"""What is wrong with a state whose owner is not what is trained."""


@dataclass(frozen=True)
class Resumed:
    """What a training goes on with, besides the state that is loaded into its objects."""

    rows: list[Epoch]
    carried: Tensor | None
    partway: Partway | None = None


def load_state(files: TrainingFiles, trained: Trained, device: torch.device) -> Resumed:
    """Load what :func:`save_state` wrote into a model, its optimizer, schedule and average.

    Raises:
        UserError: if it cannot be read, or is the state of something else.
    """
    with reading_state(files.checkpoint, "this cell"):
        state = read_state(files.checkpoint, device)
        if state.get("owner", files.owner) != files.owner:
            raise ValueError(ANOTHER)
        trained.model.load_state_dict(state["model"])
        trained.optimizer.load_state_dict(state["optimizer"])
        trained.scheduler.load_state_dict(state["scheduler"])
        if trained.average:
            trained.average.load(state["average"])
        rows, carried = [Epoch(**row) for row in state["rows"]], state["delta"]
        if [row.epoch for row in rows] != [*range(1, len(rows) + 1)]:
            raise ValueError("its log lacks epochs")
        if not isinstance(carried, Tensor | None):
            raise TypeError("what it carries over is not a tensor")
        partway = Partway.of(state["partway"]) if "partway" in state else None
    return Resumed(rows, carried, partway)


@contextmanager
def reading_state(path: Path, what: str) -> Iterator[None]:
    """Say in one sentence whatever is wrong with a training state that is loaded meanwhile.

    Args:
        path: its file.
        what: what is trained.

    Raises:
        UserError: if something is.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"cannot read the training state {path}: {reason}.") from error
    except Exception as error:  # whatever the file holds: torch's errors are of many kinds
        if is_of_machine(error):
            raise
        reason = str(error) if type(error) is ValueError else type(error).__name__
        raise UserError(
            f"the training state {path} is damaged ({reason}); "
            f"remove that file to train {what} from the start."
        ) from error


def read_state(path: Path, device: torch.device) -> dict[str, Any]:
    """Return what is in the file of a training state; nothing in it is executed.

    Args:
        path: the file.
        device: the device of its tensors.

    Raises:
        ValueError: if its bytes were changed.
    """
    _check_bytes(path)
    state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    return state


def _check_bytes(path: Path) -> None:
    """Compare the checksums in a file of ``torch.save``, which torch does not do when it loads it.

    Raises:
        ValueError: if they differ.
    """
    with zipfile.ZipFile(path) as archive:
        if (name := archive.testzip()) is not None:
            raise ValueError(f"the checksum of '{name}' differs")
