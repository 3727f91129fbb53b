"""What another process needs to compute pieces of a run as this one would."""

import importlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from robench.board.specs import EvaluationSpec
from robench.data import load_dataset
from robench.errors import UserError
from robench.plugins import load_plugin, loaded_plugins
from robench.registry import REGISTRIES, plugin_files
from robench.runs.context import RunContext
from robench.runs.pieces import Piece, Training
from robench.runs.progress import NullReporter
from robench.runs.store import RunStore


@dataclass(frozen=True)
class Setup:
    """The store, data and entries of a run; it travels to other processes by pickle.

    Attributes:
        store: the folder of the run store.
        data: the name of the data set.
        data_dir: the folder where it is.
        fingerprint: the hash of its images.
        evaluation: the evaluation of the board.
        device: the device to run on.
        plugins: the files to load.
        modules: the modules of other packages that registered entries.
        sources: entry -> what its source adds to the identity of results, where it adds anything.
        processes: how many processes of an engine's machine train a network together.
    """

    store: Path
    data: str
    data_dir: Path | None
    fingerprint: str
    evaluation: EvaluationSpec
    device: torch.device
    plugins: tuple[Path, ...]
    modules: tuple[str, ...]
    sources: Mapping[str, str]
    processes: int = 1

    @classmethod
    def of(cls, ctx: RunContext, data: str, data_dir: Path | None) -> "Setup":
        """Return the setup of a run in this process.

        Args:
            ctx: the context of the run.
            data: the name of its data set, as the board has it.
            data_dir: the folder where that is.
        """
        return cls(
            store=ctx.store.root,
            data=data,
            data_dir=data_dir,
            fingerprint=ctx.dataset.fingerprint,
            evaluation=ctx.evaluation,
            device=ctx.device,
            plugins=loaded_plugins(),
            modules=_modules(),
            sources=_sources(),
        )

    def processes_for(self, piece: Piece) -> int:
        """Return how many processes do a piece together: networks are trained so, not attacked."""
        return self.processes if isinstance(piece.work, Training) else 1

    def context(self) -> RunContext:
        """Load data and entries in this process, and return the context of the run.

        Raises:
            UserError: if the data or an entry are not what they were when the run began.
        """
        for module in self.modules:
            importlib.import_module(module)
        for plugin in self.plugins:
            load_plugin(plugin)
        here = _sources()
        for entry in sorted(self.sources.keys() | here.keys()):
            if self.sources.get(entry) != here.get(entry):
                raise UserError(
                    f"the source of the {entry} was edited while the board runs; run the same "
                    f"command again."
                )
        dataset = load_dataset(self.data, self.data_dir)
        if dataset.fingerprint != self.fingerprint:
            raise UserError(
                f"the images of {dataset.name} were changed while the board runs; run the same "
                f"command again."
            )
        return RunContext(
            store=RunStore(self.store),
            dataset=dataset,
            evaluation=self.evaluation,
            device=self.device,
            reporter=NullReporter(),
        )


def _modules() -> tuple[str, ...]:
    """Return the modules outside robench that registered entries, but for those of plugins."""
    found: dict[str, None] = {}
    for registry in REGISTRIES:
        for entry in registry.entries():
            module = getattr(entry.build, "__module__", None)
            if module in sys.modules and entry.file not in plugin_files:
                found[module] = None
    ours = ("robench", "__main__")
    return tuple(name for name in found if name.partition(".")[0] not in ours)


def _sources() -> dict[str, str]:
    found = {
        f"{registry.kind} '{name}'": registry.source_identity(name)
        for registry in REGISTRIES
        for name in registry.names()
    }
    return {name: source for name, source in found.items() if source is not None}
