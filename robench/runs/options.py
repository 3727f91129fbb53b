"""Where published networks are evaluated again, and on what: one object that is handed through."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypedDict

import torch

from robench.runs.progress import NullReporter, ProgressReporter
from robench.system.devices import choose_device


@dataclass(frozen=True)
class RunOptions:
    """Data set, device and progress reporter.

    Attributes:
        data: the data set; that of the board by default.
        data_dir: the folder that holds the data set, or to download it to.
        device: the device to run on; the CPU by default.
        reporter: called with the progress.
    """

    data: str | None = None
    data_dir: str | Path | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    reporter: ProgressReporter = field(default_factory=NullReporter)

    @classmethod
    def of(cls, **keywords: Any) -> Self:
        """Return the options that are given as keywords; the device may be given by its name."""
        if isinstance(device := keywords.get("device"), str):
            keywords["device"] = choose_device(device)
        return cls(**keywords)


class RunKeywords(TypedDict, total=False):
    """The fields of :class:`RunOptions` as keyword arguments."""

    data: str | None
    data_dir: str | Path | None
    device: torch.device | str
    reporter: ProgressReporter
