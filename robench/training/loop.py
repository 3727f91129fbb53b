"""The training loop: epochs, precision, logging, checkpoints, exact resume."""

import io
import logging
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional as F

from robench.contracts import Defense
from robench.data import Augmentation, Images, ImageStream
from robench.errors import UserError
from robench.files import write_bytes, write_text
from robench.specs import TrainingSpec
from robench.training.free import free_replays, starting_delta
from robench.training.one_pixel import refuse_one_pixel_strides
from robench.training.schedules import schedule

# Fabric announces the precision of every set-up; the log and the manifest record it.
logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
PRECISION = {"float32": "32-true", "bf16": "bf16-mixed"}


class TrainingDivergedError(Exception):
    """The loss is no longer finite."""


@dataclass(frozen=True)
class Progress:
    """Where training stands, told a few times a second."""

    epoch: int
    epochs: int
    batch: int
    batches: int
    accuracy: float


@dataclass(frozen=True)
class Epoch:
    """A row of ``training.csv``. Accuracies are fractions; train_* are of what was trained on.

    ``train_accuracy`` of free training is that on the perturbed replays; ``val_accuracy`` is
    clean and nan where there is no validation part.
    """

    epoch: int
    lr: float
    train_loss: float
    train_accuracy: float
    val_accuracy: float
    seconds: float
    images_per_second: float


@dataclass(frozen=True)
class TrainingFiles:
    """Where a training leaves its log and its state after each epoch."""

    log: Path
    checkpoint: Path


# On CUDA, of convolution algorithms only those that give the same bits every time.
@torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True)
def fit(
    model: nn.Module,
    defense: Defense,
    recipe: TrainingSpec,
    train: Images | ImageStream,
    val: Images,
    *,
    augmentation: Augmentation,
    seed: int,
    device: torch.device,
    files: TrainingFiles | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
) -> list[Epoch]:
    """Train ``model`` in place and leave it in eval mode; resumes where ``files`` say it stood.

    The state after an epoch and the seed fix everything that follows, so an interrupted
    training ends, after any number of resumes, with the same weights to the bit.

    Args:
        model: images in [0, 1] -> logits.
        defense: supplies the penalty and the hooks around each step.
        recipe: epochs, optimizer, schedule and the (free) adversarial settings.
        train: the images to train on.
        val: the images of ``val_accuracy``; may be empty.
        augmentation: what is done to each training batch.
        seed: of shuffling, augmentation and dropout.
        device: where to train.
        files: log and checkpoint, written after each epoch; None keeps everything in memory.
        progress: told a few times a second.

    Raises:
        TrainingDivergedError: when the loss of an epoch is not finite.
        UserError: where the checkpoint cannot be read or the files not written.
    """
    fabric = Fabric(accelerator=device.type, devices=_devices(device), precision=_precision(recipe))
    model.to(device).to(memory_format=torch.channels_last)
    if recipe.precision == "bf16" and device.type == "cpu":
        some = train.batches(
            2, generator=torch.Generator().manual_seed(0), augmentation=augmentation, device=device
        )
        refuse_one_pixel_strides(model, next(iter(some))[0])
    batches = train.batch_count(recipe.batch_size)
    replays = recipe.replays if recipe.method == "free" else 1
    defense.before_training(model, recipe.epochs * batches * replays)
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=recipe.lr,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
    )
    scheduler = schedule(optimizer, recipe, batches * replays)
    rows: list[Epoch] = []
    carried: Tensor | None = None
    if files and files.checkpoint.exists():
        state = _load(files.checkpoint, device)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        scheduler.load_state_dict(state["scheduler"])
        rows = [Epoch(**row) for row in state["rows"]]
        carried = state["delta"]
    network, stepper = fabric.setup(model, optimizer)
    meter = _Meter(device)

    def update(images: Tensor, labels: Tensor) -> None:
        logits = network(images)
        loss = F.cross_entropy(logits.float(), labels)
        penalty = defense.penalty(model)
        stepper.zero_grad()
        fabric.backward(loss if penalty is None else loss + penalty)
        stepper.step()
        scheduler.step()
        defense.after_step(model)
        meter.add(loss, logits, labels)

    for epoch in range(len(rows), recipe.epochs):
        generator = seed_epoch(seed, epoch)
        model.train()
        meter.reset()
        start = last_told = time.perf_counter()
        lr = optimizer.param_groups[0]["lr"]
        pairs = train.batches(
            recipe.batch_size, generator=generator, augmentation=augmentation, device=device
        )
        for count, (images, labels) in enumerate(pairs, start=1):
            images = images.contiguous(memory_format=torch.channels_last)
            if recipe.method == "standard":
                update(images, labels)
            else:
                delta = free_replays(
                    update,
                    images,
                    labels,
                    starting_delta(carried, images),
                    replays=recipe.replays,
                    eps=recipe.eps,
                    step_size=recipe.step_size,
                )
                if recipe.carry_delta and len(delta) == recipe.batch_size:
                    carried = delta
            if time.perf_counter() - last_told > 0.2 or count == batches:
                last_told = time.perf_counter()
                progress(Progress(epoch, recipe.epochs, count, batches, meter.accuracy()))
        seconds = time.perf_counter() - start
        if not math.isfinite(meter.loss()):
            raise TrainingDivergedError(f"the loss is not finite after epoch {epoch + 1}")
        rows.append(
            Epoch(
                epoch + 1,
                lr,
                meter.loss(),
                meter.accuracy(),
                accuracy(model, val, device),
                seconds,
                meter.seen / replays / seconds,
            )
        )
        if files:
            _save(files, model, optimizer, scheduler, rows, carried)
    model.eval()
    return rows


def accuracy(model: nn.Module, images: Images, device: torch.device) -> float:
    """Return the clean accuracy in [0, 1] in eval mode and float32; nan for no images."""
    if not len(images):
        return math.nan
    model.eval()
    with torch.no_grad():
        right = sum(
            (model(batch).argmax(1) == labels).sum().item()
            for batch, labels in images.batches(500, device=device)
        )
    return right / len(images)


def seed_epoch(seed: int, epoch: int) -> torch.Generator:
    """Seed torch for an epoch (dropout) and return the generator of its batches."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
    return generator


class _Meter:
    """Sums of loss and correct answers, kept on the device: no synchronisation in the step."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.reset()

    def reset(self) -> None:
        self._loss = torch.zeros((), device=self._device, dtype=torch.float64)
        self._correct = torch.zeros((), device=self._device, dtype=torch.int64)
        self.seen = 0

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        self._loss += loss.detach() * len(labels)
        self._correct += (logits.detach().argmax(1) == labels).sum()
        self.seen += len(labels)

    def loss(self) -> float:
        return self._loss.item() / max(self.seen, 1)

    def accuracy(self) -> float:
        return self._correct.item() / max(self.seen, 1)


def _precision(recipe: TrainingSpec) -> Any:
    return PRECISION[recipe.precision]


def _devices(device: torch.device) -> Any:
    return 1 if device.index is None else [device.index]


def _save(
    files: TrainingFiles,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    scheduler: Any,
    rows: list[Epoch],
    delta: Tensor | None,
) -> None:
    buffer = io.BytesIO()
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "rows": [asdict(row) for row in rows],
        "delta": delta,
    }
    torch.save(state, buffer)
    write_bytes(files.checkpoint, buffer.getvalue())
    write_text(files.log, pd.DataFrame(rows).to_csv(index=False))


def _load(path: Path, device: torch.device) -> dict[str, Any]:
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:
        raise UserError(
            f"the training state {path} is damaged ({type(error).__name__}); "
            f"remove that file to train this cell from the start."
        ) from error
    return state
