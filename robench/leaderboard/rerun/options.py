"""How rows are rerun: sources of weights, trust, and the seeds of further attacks."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from robench.runs.options import RunKeywords, RunOptions


@dataclass(frozen=True)
class RerunOptions(RunOptions):
    """How rows are rerun: besides the options of a run, sources of weights and trust.

    Attributes:
        stores: run stores whose ``cells`` may hold the weights; the board's own ``weights`` folder
            and the folder that the board is in are searched as well.
        retrain: train the networks again instead of loading their weights.
        trust_code: execute the code that came with the board, if it is needed.
        fresh_seed: attack once more with this seed instead of the published one, which whoever
            published the figures could choose; None: only with the published seed.
    """

    stores: Sequence[str | Path] = ()
    retrain: bool = False
    trust_code: bool = False
    fresh_seed: int | None = None


class RerunKeywords(RunKeywords, total=False):
    """The fields of :class:`RerunOptions` as keyword arguments."""

    stores: Sequence[str | Path]
    retrain: bool
    trust_code: bool
    fresh_seed: int | None
