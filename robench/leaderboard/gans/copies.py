"""Find a GAN that is published as several: its weights, log or metrics under another key.

What a forger can change without anyone noticing, such as the last digits of a weight, is compared
with a tolerance. What may honestly be equal is noted: a recipe or defense may have an option
without effect, and then both trainings are one.
"""

from collections.abc import Callable
from dataclasses import astuple, dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
import torch

from robench.gan.architectures import IMAGE
from robench.gan.cell import build_pair
from robench.gan.spec import GanCell
from robench.leaderboard.gans.files import GanEvidence, weights_name
from robench.leaderboard.gans.published import GanLeaderboard
from robench.models.weight_files import read_safetensors

VALUES = 4096
"""Values of each generator that are compared."""

OTHER_SEED, SAME_SEED = 0.05, 1e-4
"""Relative distance below which two generators are one. Other seeds start elsewhere; those of one
seed start alike, and a short training need not take them far apart."""

LOGS, METRICS = 1e-4, 1e-6
"""Likewise for each value of two logs, and of two lists of metrics."""

WITHOUT_EFFECT = {"averaging", "last_layer", "log_every", "snapshots"}
"""Fields of a recipe that may leave the last generator as it is."""


@dataclass(frozen=True)
class GanCopies:
    """What was found: problems, and what may be equal for an honest reason, one sentence each."""

    problems: tuple[str, ...]
    notes: tuple[str, ...]


def gan_copies(board: GanLeaderboard, built: Callable[[GanEvidence], bool]) -> GanCopies:
    """Return which GANs of a board are one another's copies.

    Args:
        board: the board as read.
        built: whether the networks of a GAN can be built here.

    Raises:
        UserError: if weights are damaged.
    """
    problems, notes = [], []
    prints = [_Print(board, one) for one in board.evidence if one.file.manifest is not None]
    for first, second in combinations(prints, 2):
        one, other = first.gan, second.gan
        if one.file.cell.key == other.file.cell.key:
            continue  # two rows of one training: its last weights, and their average
        if (name := _same_file(one, other)) is not None:
            problems.append(f"{other.name} has the file {name} of {one.name}, another training.")
        elif what := _alike(first, second):
            sentence = f"{other.name} has the {what} of {one.name}"
            if built(one) and built(other) and may_be_one(one.file.cell, other.file.cell):
                notes.append(f"{sentence}, as an option without effect gives")
            else:
                problems.append(f"{sentence}, another training.")
    return GanCopies(tuple(problems), tuple(notes))


def may_be_one(one: GanCell, other: GanCell) -> bool:
    """Return whether two specifications may honestly give the same generator.

    They must have the seed, the images and the recipe in common but for what need not have an
    effect, and discriminators that start with the same values and compute the same with them.
    """
    plain, same = (cell.gan.model_dump(exclude=WITHOUT_EFFECT) for cell in (one, other))
    if (one.seed, one.data_hash, plain) != (other.seed, other.data_hash, same):
        return False
    images = torch.rand(8, *IMAGE, generator=torch.Generator().manual_seed(0)) * 2 - 1
    scores = []
    for cell in (one, other):
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.default_generator.manual_seed(0)
            _, discriminator = build_pair(cell)
            scores.append(discriminator.train()(images))
    return torch.equal(*scores)


@dataclass(frozen=True)
class _Print:
    """What is compared of a GAN."""

    board: GanLeaderboard
    gan: GanEvidence

    @cached_property
    def values(self) -> np.ndarray | None:
        """Some values of all parts of the published generator; None if there is none."""
        name = weights_name(self.gan.file.cell.key, self.gan.which(self.board.board))
        if name not in self.board.sums:
            return None
        tensors = read_safetensors(self.board.folder / name)
        # Scales and statistics of norm layers are alike in all networks, and some are large.
        parts = [value.double().flatten() for _, value in sorted(tensors.items()) if value.ndim > 1]
        if not parts:
            return None
        every = torch.cat(parts)
        return every[:: -(-len(every) // VALUES)].numpy()

    @property
    def collapsed(self) -> bool:
        """Whether the training says of itself that something is wrong with it."""
        manifest = self.gan.file.manifest
        return manifest is not None and bool(manifest.symptoms)

    @cached_property
    def log(self) -> np.ndarray:
        """The log without what follows from the recipe, and without times."""
        return np.array([astuple(row)[2:-1] for row in self.gan.log])

    @cached_property
    def metrics(self) -> dict[tuple[object, ...], np.ndarray]:
        """The metrics of each measurement, by what they were measured on."""
        return {
            (what.step, what.against, what.samples, what.images): np.array(
                [value for _, value in sorted(measured.metrics.items())]
            )
            for measured in self.gan.file.measured
            for what in [measured.measurement]
        }


def _same_file(one: GanEvidence, other: GanEvidence) -> str | None:
    """Return which weights are the same file: each names its specification, so none may be."""
    assert one.file.manifest is not None
    assert other.file.manifest is not None
    theirs = {digest: name for name, digest in one.file.manifest.hashes.items()}
    for name, digest in other.file.manifest.hashes.items():
        if name.endswith(".safetensors") and digest in theirs:
            return theirs[digest]
    return None


def _alike(one: _Print, other: _Print) -> str | None:
    """Return what two GANs have in common that no two trainings have."""
    near = SAME_SEED if one.gan.seed == other.gan.seed else OTHER_SEED
    if (
        one.values is not None
        and other.values is not None
        and one.values.shape == other.values.shape
        and _near(one.values, other.values, near)
    ):
        return "weights"
    if one.log.size and _close(one.log, other.log, LOGS):
        return "log"
    if one.collapsed and other.collapsed:
        return None  # what they draw may be the same, and has the same metrics then
    for what in one.metrics.keys() & other.metrics.keys():
        if _close(one.metrics[what], other.metrics[what], METRICS):
            return f"metrics of step {what[0]}"
    return None


def _near(one: np.ndarray, other: np.ndarray, relative: float) -> bool:
    size = max(np.linalg.norm(one), np.linalg.norm(other))
    return bool(np.linalg.norm(one - other) <= relative * size)


def _close(one: np.ndarray, other: np.ndarray, relative: float) -> bool:
    return one.shape == other.shape and np.allclose(one, other, rtol=relative, atol=0)
