"""The context of a run: store, data set, evaluation, device and progress reporter."""

from dataclasses import dataclass
from functools import cached_property

import torch

from robench.base import Attack
from robench.board.plan import build_attacks
from robench.board.specs import EvaluationSpec
from robench.data import DataSet
from robench.evaluation.options import EvaluationOptions
from robench.runs.progress import ProgressReporter
from robench.runs.store import RunStore


@dataclass(frozen=True)
class RunContext:
    """What the cells of a run share."""

    store: RunStore
    dataset: DataSet
    evaluation: EvaluationSpec
    device: torch.device
    reporter: ProgressReporter

    @cached_property
    def attacks(self) -> dict[str, Attack]:
        """Column -> attack, built once."""
        return build_attacks(self.evaluation)

    def evaluation_options(self, seed: int) -> EvaluationOptions:
        """Return how the networks of a seed are evaluated."""
        return EvaluationOptions(
            seed=seed,
            batch_size=self.evaluation.batch_size,
            without=self.evaluation.without,
            device=self.device,
            progress=self.reporter.update,
        )


def cell_title(row: str, seed: int) -> str:
    """Return what progress calls a cell."""
    return f"{row}, seed {seed}"
