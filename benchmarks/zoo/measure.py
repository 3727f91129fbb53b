"""What one model looks like, what it is, and what the checks say of it."""

import hashlib
import time
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

import robench.attacks
from robench import Attack, Images, Outcomes, UserError, check_model, evaluate
from robench.attacks.pgd import PGD
from robench.attacks.square import Square
from robench.data import balanced_sample
from robench.errors import RobenchWarning
from robench.sources import source_hash
from zoo.discovery import Model
from zoo.entry import THREAT_MODEL
from zoo.trained import digits, network

BOARD_IMAGES = 1000
"""Number of images of a board, to which the seconds of PGD-20 are extrapolated."""

FOOLED = 0.1
"""PGD-20 is fooled if it leaves so much more of the images than the truth does."""

PGD_20 = PGD(eps=THREAT_MODEL.eps, step_size=THREAT_MODEL.eps / 4, steps=20)
LONG = (
    PGD(eps=THREAT_MODEL.eps, step_size=THREAT_MODEL.eps / 8, steps=100, restarts=3, loss="margin"),
    Square(eps=THREAT_MODEL.eps, queries=2000),
)
"""What gives the truth of a model for which no adaptive attack is known."""


@dataclass(frozen=True)
class Setting:
    """How models are measured.

    Attributes:
        images: number of test images.
        alone: give the checks no other network to transfer from.
        device: the device to run on.
    """

    images: int = 200
    alone: bool = False
    device: str = "cpu"


@dataclass(frozen=True)
class Measured:
    """The figures of one model; accuracies are shares of all images.

    Attributes:
        name: the name of the model.
        half: "tuning" or "held-out".
        honest: whether it hides nothing.
        causes: the flags that name the cause.
        images: number of images that the accuracies are of.
        clean: accuracy on clean images.
        pgd: accuracy under PGD-20.
        truth: accuracy under the worst of all attacks, of which one knows the model.
        flags: the name and sentence of each check that failed.
        best_effort: the lowest accuracy that the checks found themselves; None if they say none.
        check_seconds: what the checks took.
        pgd_seconds: what PGD-20 takes on the images of a board, extrapolated.
    """

    name: str
    half: str
    honest: bool
    causes: list[str]
    images: int
    clean: float
    pgd: float
    truth: float
    flags: Mapping[str, str]
    best_effort: float | None
    check_seconds: float
    pgd_seconds: float

    @property
    def fooled(self) -> bool:
        """Whether PGD-20 is at least 10 points above the truth."""
        return self.pgd - self.truth >= FOOLED - 1e-9

    @property
    def named(self) -> bool:
        """Whether a flag names the cause."""
        return any(flag in self.causes for flag in self.flags)

    @property
    def outcome(self) -> str:
        """What it counts as: a hit, a miss, a false alarm, or neither.

        A flag says that a figure cannot be trusted, so that it is right wherever PGD-20 is fooled,
        also on a model that hides nothing, and missing if there is none.
        """
        if self.fooled:
            return "hit" if self.flags else "miss"
        if not self.honest:
            return "not fooled"
        return "false alarm" if self.flags else "no flag"


def measure(model: Model, setting: Setting) -> Measured:
    """Measure a model; each part gets a new copy, if the model's ``build`` returns one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RobenchWarning)  # which shortcuts it rules out
        return _measure(model, setting)


def _measure(model: Model, setting: Setting) -> Measured:
    build = model.entry.build
    images, labels = _sample(model.entry.classes, setting)
    attacked = build().to(setting.device)
    start = time.perf_counter()
    clean, columns = _pgd(attacked, images, labels)
    pgd_seconds = (time.perf_counter() - start) * BOARD_IMAGES / len(images)
    standard = torch.from_numpy(columns["pgd-20"][1].robust) if columns else clean

    checked = build().to(setting.device)
    source = None if setting.alone or len(model.entry.classes) != 10 else network("free")
    start = time.perf_counter()
    report = check_model(checked, images, labels, THREAT_MODEL, columns=columns, source=source)
    check_seconds = time.perf_counter() - start
    found = [getattr(finding, "best_effort", None) for finding in report.findings]

    truth = clean & standard & _survivors(model, images, labels, setting)
    return Measured(
        name=model.name,
        half=model.half,
        honest=model.honest,
        causes=list(model.entry.causes),
        images=len(images),
        clean=clean.float().mean().item(),
        pgd=standard.float().mean().item(),
        truth=truth.float().mean().item(),
        flags={name: report[name].sentence for name in report.failed},
        best_effort=min((value for value in found if value is not None), default=None),
        check_seconds=check_seconds,
        pgd_seconds=pgd_seconds,
    )


def recipe_hash(model: Model, setting: Setting) -> str:
    """Return a hash of all that the figures of a model depend on, other than the machine."""
    parts = (model.name, source_hash(model.file), source_hash(Path(__file__)), setting, _checks())
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _sample(classes: tuple[int, ...], setting: Setting) -> tuple[Tensor, Tensor]:
    """Return class-balanced test images in [0, 1] and their labels."""
    test = digits(classes).test
    assert isinstance(test, Images)
    sample = balanced_sample(test, min(setting.images, len(test)))
    images = sample.images.float() / 255
    return images.to(setting.device), sample.labels.to(setting.device)


def _pgd(
    attacked: nn.Module, images: Tensor, labels: Tensor
) -> tuple[Tensor, dict[str, tuple[Attack, Outcomes]]]:
    """Return which clean images are right, and the outcomes of PGD-20 if it can run at all."""
    with suppress(UserError):  # it has no gradient
        evaluation = evaluate(attacked, images, labels, {"pgd-20": PGD_20})
        return torch.from_numpy(evaluation.clean), {
            "pgd-20": (PGD_20, evaluation.attacks["pgd-20"])
        }
    return torch.from_numpy(evaluate(attacked, images, labels, []).clean), {}


def _survivors(model: Model, images: Tensor, labels: Tensor, setting: Setting) -> Tensor:
    """Return which images stay right under the attack that knows the model, or under long ones."""
    attacked = model.entry.build().to(setting.device)
    if model.entry.adaptive is not None:
        return model.entry.adaptive(attacked, images, labels).cpu()
    left = torch.ones(len(images), dtype=torch.bool)
    for attack in LONG:
        if left.any():
            evaluation = evaluate(attacked, images[left], labels[left], {"attack": attack})
            left[left.clone()] = torch.from_numpy(evaluation.attacks["attack"].robust)
    return left


@cache
def _checks() -> str:
    """Return a hash of the code of the checks and of the attacks."""
    root = Path(robench.__file__).resolve().parent
    folders = [root / name for name in ("checks", "checks/entries", "attack_tools", "evaluation")]
    folders.append(Path(robench.attacks.__file__).resolve().parent)
    files = [file for folder in folders for file in sorted(folder.glob("*.py"))]
    return hashlib.sha256("".join(map(source_hash, files)).encode()).hexdigest()
