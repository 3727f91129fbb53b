"""What trackers log of a cell, of a board of classifiers or of GANs."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from robench.board.cells import Hashed
from robench.gan.folder import read_manifest as read_gan_manifest
from robench.runs.gan_board import GanResult
from robench.runs.gan_plan import GanWork
from robench.runs.records import CellResult
from robench.runs.steps import CellJob
from robench.runs.stored import read_manifest
from robench.system.provenance import code_version
from robench.tracking.figures import (
    Points,
    digest_of,
    final_figures,
    flat,
    hash_of,
    points_of,
    words_on_checks,
)
from robench.tracking.pictures import draw_cell
from robench.tracking.tracker import Value
from robench.training.folder import TrainingFolder

AnyCell = CellJob | GanWork
AnyResult = CellResult | GanResult


@dataclass(frozen=True, eq=False)
class LoggedCell:
    """A cell, as it is logged while it is trained.

    Attributes:
        name: what progress reports call it.
        row: the title of its row.
        seed: its seed.
        spec: its specification.
        folder: its folder in the store.
        step: the column of its log that counts: epochs, or steps.
        version: returns the commit that trained it, from its manifest.
    """

    name: str
    row: str
    seed: int
    spec: Hashed
    folder: TrainingFolder
    step: str
    version: Callable[[], str]

    @classmethod
    def of(cls, cell: AnyCell) -> "LoggedCell":
        """Return what is logged of a cell."""
        spec, folder = cell.cell, cell.folder
        if isinstance(cell, GanWork):
            title, seed = cell.row.title, cell.cell.seed
            version = lambda: read_gan_manifest(cell.folder).version  # noqa: E731
            return cls(cell.name, title, seed, spec, folder, "step", version)
        version = lambda: read_manifest(cell.folder).version  # noqa: E731
        return cls(cell.name, cell.row, cell.cell.seed, spec, folder, "epoch", version)

    def hyperparameters(self) -> dict[str, Value]:
        """Return the specification with dots in its names, and the commit that trained it."""
        trained = self.folder.manifest.exists() and not self.folder.diverged.exists()
        commit = self.version() if trained else code_version()
        return {**flat(self.spec.model_dump(mode="json")), "cell": self.spec.key, "commit": commit}

    def points(self) -> Points:
        """Return what is in its log."""
        return points_of(self.folder.log, self.step)


def _draw_nothing(path: Path) -> bool:
    return False


@dataclass(frozen=True, eq=False)
class LoggedResult:
    """The result of a cell, as it is logged.

    Attributes:
        digest: a hash of all that is logged of it.
        diverged: why training diverged; else empty.
        figures: the final figures.
        texts: name -> Markdown.
        on_the_way: figures of earlier steps, which are known only now.
        picture: the name of the picture.
        draw: draws it to a ``.png`` file, and returns whether there is one.
    """

    digest: str
    diverged: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    on_the_way: Points = field(default_factory=list)
    picture: str = "images"
    draw: Callable[[Path], bool] = _draw_nothing

    @classmethod
    def of(cls, cell: AnyCell, result: AnyResult) -> "LoggedResult":
        """Return what is logged of a result."""
        if isinstance(result, GanResult):
            return _of_gan(result)
        assert isinstance(cell, CellJob)
        note = result.evidence.diverged
        checks = words_on_checks(result)
        return cls(
            digest=digest_of(result),
            diverged=note.reason if note else "",
            figures=final_figures(result),
            texts={"checks": checks} if checks else {},
            draw=partial(draw_cell, cell.cell, cell.ctx),
        )


def _of_gan(result: GanResult) -> LoggedResult:
    if result.manifest is None:
        return LoggedResult(hash_of(["diverged", result.diverged]), result.diverged)
    last = result.work.cell.gan.steps
    by_step = result.figures
    symptoms = "\n".join(f"- {name}: {text}." for name, text in result.manifest.symptoms.items())
    known: list[Any] = [sorted(result.manifest.hashes.items()), sorted(by_step.items())]
    return LoggedResult(
        digest=hash_of(known),
        figures=by_step.get(last, {}),
        texts={"symptoms": symptoms} if symptoms else {},
        on_the_way=sorted((step, each) for step, each in by_step.items() if step < last),
        picture="samples",
        draw=partial(_copy, result.work.folder.picture(result.work.row.weights)),
    )


def _copy(source: Path, path: Path) -> bool:
    shutil.copyfile(source, path)
    return True
