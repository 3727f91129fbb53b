"""The state of a GAN's training, from which it goes on to the bit."""

import io
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from robench.gan.symptoms import LogRow
from robench.system.files import write_bytes, write_text
from robench.training.averaging import Average
from robench.training.resume import ANOTHER, read_state, reading_state


@dataclass(frozen=True)
class GanFiles:
    """The files of a training.

    Attributes:
        log: the log, for people to read.
        checkpoint: the state, from which training resumes.
        owner: what is trained. The state of another owner is refused.
        keep: called with the number of steps and the generator where the recipe asks for a
            snapshot; after an interruption it may be called once more with the same.
    """

    log: Path
    checkpoint: Path
    owner: str
    keep: Callable[[int, nn.Module], None] = lambda step, generator: None


@dataclass(frozen=True, eq=False)
class Pair:
    """What a training changes: the objects whose state is written and loaded."""

    generator: nn.Module
    discriminator: nn.Module
    generator_optimizer: torch.optim.Optimizer
    discriminator_optimizer: torch.optim.Optimizer
    average: Average | None


@dataclass(frozen=True, eq=False)
class Standing:
    """Where a training stands besides that.

    Attributes:
        step: the number of steps done.
        rows: the log.
        sums: of losses and scores since its last row.
        seconds: how long the steps since then took.
    """

    step: int
    rows: Sequence[LogRow]
    sums: Tensor
    seconds: float


_PARTS = ("generator", "discriminator", "generator_optimizer", "discriminator_optimizer")


def save_state(files: GanFiles, pair: Pair, standing: Standing) -> None:
    """Write the log and everything that the next step depends on.

    Raises:
        UserError: if they cannot be written.
    """
    state: dict[str, Any] = {part: getattr(pair, part).state_dict() for part in _PARTS}
    state |= {
        "owner": files.owner,
        "step": standing.step,
        "rows": [asdict(row) for row in standing.rows],
        "sums": standing.sums,
        "seconds": standing.seconds,
    }
    if pair.average:
        state["average"] = pair.average.values
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_bytes(files.checkpoint, buffer.getvalue())
    write_log(files, standing.rows)


def write_log(files: GanFiles, rows: Sequence[LogRow]) -> None:
    """Write ``training.csv``.

    Raises:
        UserError: if it cannot be written.
    """
    columns = list(LogRow.__dataclass_fields__)
    write_text(files.log, pd.DataFrame(rows, columns=columns).to_csv(index=False))


def load_state(files: GanFiles, pair: Pair, device: torch.device) -> Standing:
    """Load what :func:`save_state` wrote into networks, optimizers and average.

    Raises:
        UserError: if it cannot be read, or is the state of something else.
    """
    with reading_state(files.checkpoint, "this GAN"):
        state = read_state(files.checkpoint, device)
        if state["owner"] != files.owner:
            raise ValueError(ANOTHER)
        for part in _PARTS:
            getattr(pair, part).load_state_dict(state[part])
        if pair.average:
            pair.average.load(state["average"])
        rows = [LogRow(**row) for row in state["rows"]]
        return Standing(state["step"], rows, state["sums"], state["seconds"])
