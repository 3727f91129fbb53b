"""The context of a run: what its cells share, and what progress reports call them."""

from dataclasses import dataclass, replace
from functools import cached_property

import torch

from robench.base import Attack
from robench.board.plan import build_attacks
from robench.board.specs import EvaluationSpec
from robench.data import DataSet
from robench.evaluation.options import EvaluationOptions
from robench.progress import Progress, ProgressCallback
from robench.runs.progress import NullReporter, ProgressReporter
from robench.runs.store import RunStore


@dataclass(frozen=True)
class RunContext:
    """The store, data set, evaluation, device and progress reporter that a run's cells share.

    On boards of GANs nothing is attacked, and ``evaluation`` says nothing.
    """

    store: RunStore
    dataset: DataSet
    evaluation: EvaluationSpec
    device: torch.device
    reporter: ProgressReporter

    @cached_property
    def attacks(self) -> dict[str, Attack]:
        """Column -> attack, built once."""
        return build_attacks(self.evaluation)

    def reporting_to(self, update: ProgressCallback) -> "RunContext":
        """Return the context for one piece of work: the cell's lock is held, progress goes here."""
        return replace(self, store=RunStore(self.store.root, held=True), reporter=_Only(update))

    def evaluation_options(self, seed: int) -> EvaluationOptions:
        """Return the options with which the networks of a seed are evaluated."""
        return EvaluationOptions(
            seed=seed,
            batch_size=self.evaluation.batch_size,
            without=self.evaluation.without,
            device=self.device,
            progress=self.reporter.update,
        )


class _Only(NullReporter):
    """A reporter that passes on the progress within a stage, but no stages."""

    def __init__(self, update: ProgressCallback) -> None:
        self._update = update

    def update(self, progress: Progress) -> None:
        """Pass it on."""
        self._update(progress)


def cell_title(row: str, seed: int) -> str:
    """Return the name of a cell in progress reports."""
    return f"{row}, seed {seed}"
