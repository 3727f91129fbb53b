"""Pieces of the work on boards of GANs; see :mod:`robench.runs.pieces`."""

from dataclasses import dataclass
from functools import partial

from robench.gan.board import GanBoard, GanRow
from robench.gan.cell import finish_gan_training
from robench.gan.folder import GanFolder, load_generator
from robench.gan.measured import Measured, Measurer, metrics_file
from robench.gan.spec import GanCell
from robench.runs.context import RunContext
from robench.runs.gan_plan import Features, GanPlan, GanWork
from robench.system.files import write_json
from robench.system.provenance import code_version, environment

FEATURES = "gan-features"
"""The folder of kept features of images, beside that of trained GANs."""


@dataclass(frozen=True)
class GanTraining:
    """Train a GAN and store it, or a note that training diverged."""

    cell: GanCell

    def perform(self, ctx: RunContext) -> None:
        """Train."""
        folder = GanFolder(ctx.store.root / self.cell.key)
        finish_gan_training(self.cell, ctx.dataset, folder, ctx.device, ctx.reporter.update)


@dataclass(frozen=True)
class GanMeasuring:
    """Measure what is not measured of a GAN, and store each metric as soon as it is known."""

    cell: GanCell
    rows: tuple[GanRow, ...]
    board: GanBoard
    features: Features

    def perform(self, ctx: RunContext) -> None:
        """Measure."""
        folder = GanFolder(ctx.store.root / self.cell.key)
        works = tuple(GanWork(row, self.cell, folder) for row in self.rows)
        plan = GanPlan(self.board, ctx.dataset, self.features, works)
        load = partial(self.features.load, ctx.device)
        kept = ctx.store.root.parent / FEATURES
        measurer = Measurer(
            ctx.dataset, load, self.features.name, kept, ctx.device, ctx.reporter.update
        )
        device = environment(ctx.device)["device"]
        for work in works:
            for each in plan.missing(work):
                last = each.step == self.cell.gan.steps
                generator = load_generator(folder, self.cell, each.which if last else each.step)
                found = measurer.metrics(generator, self.cell.gan.latent, each)
                measured = Measured(
                    measurement=each, metrics=found, version=code_version(), device=device
                )
                write_json(metrics_file(folder.path, each), measured.model_dump(mode="json"))
