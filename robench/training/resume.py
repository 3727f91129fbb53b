"""The log of a training and the state from which it resumes."""

import io
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from robench.errors import UserError
from robench.system.files import write_bytes, write_text


@dataclass(frozen=True)
class Epoch:
    """A row of ``training.csv``. Accuracies are fractions; train_* are on the inputs trained on.

    The ``train_accuracy`` of free training is the one on the perturbed replays; ``val_accuracy``
    is clean, and nan if there is no validation part.
    """

    epoch: int
    lr: float
    train_loss: float
    train_accuracy: float
    val_accuracy: float
    seconds: float
    images_per_second: float


@dataclass(frozen=True)
class TrainingFiles:
    """The files for the log and the state of a training, written after each epoch."""

    log: Path
    checkpoint: Path


def save_state(
    files: TrainingFiles,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    scheduler: Any,
    rows: list[Epoch],
    carried: Tensor | None,
) -> None:
    """Write the log and everything that the next epoch depends on.

    Raises:
        UserError: if they cannot be written.
    """
    buffer = io.BytesIO()
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "rows": [asdict(row) for row in rows],
        "delta": carried,  # stored under the name that the first method to carry something gave it
    }
    torch.save(state, buffer)
    write_bytes(files.checkpoint, buffer.getvalue())
    write_log(files, rows)


def write_log(files: TrainingFiles, rows: list[Epoch]) -> None:
    """Write ``training.csv``.

    Raises:
        UserError: if it cannot be written.
    """
    write_text(files.log, pd.DataFrame(rows).to_csv(index=False))


def load_state(path: Path, device: torch.device) -> dict[str, Any]:
    """Read the state that :func:`save_state` wrote.

    Raises:
        UserError: if it cannot be read.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:
        raise UserError(
            f"the training state {path} is damaged ({type(error).__name__}); "
            f"remove that file to train this cell from the start."
        ) from error
    return state
