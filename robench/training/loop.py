"""The training loop: epochs, precision, logging, checkpoints, exact resume."""

import logging
import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional as F

from robench.base import Defense
from robench.board.specs import TrainingSpec
from robench.data import Augmentation, Images, ImageStream
from robench.kernels.fast_convs import fast_convolutions
from robench.system.processes import Shard, this_shard
from robench.training.meter import Meter
from robench.training.methods.free import free_replays, starting_delta
from robench.training.one_pixel import refuse_one_pixel_strides
from robench.training.parallel import check_shards, gather, launch, total, whole_batch
from robench.training.resume import Epoch, TrainingFiles, load_state, save_state, write_log
from robench.training.schedules import schedule
from robench.training.synced import synced_norms

# Fabric announces the precision of every set-up; the log and the manifest record it.
logging.getLogger("lightning_fabric").setLevel(logging.WARNING)


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

    Where ``torchrun`` started several processes, each calls this and takes its shard of every
    batch. Batch norms and gradients are those of the whole batch, so that the weights are, but for
    rounding, what one process would have trained; the first process writes the files. Dropout
    masks are alike in all processes, and differ from those of a single one.

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
        UserError: where the checkpoint cannot be read or the files not written, or a batch has
            fewer images than there are processes.
    """
    shard = this_shard()
    fabric = launch(device, recipe.precision)
    batches = train.batch_count(recipe.batch_size)
    check_shards(len(train), recipe.batch_size, batches, shard)
    with (
        synced_norms(model, fabric.device) if shard.count > 1 else nullcontext(),
        fast_convolutions(model),
    ):
        return _fit(
            fabric, shard, model, defense, recipe, train, val, augmentation, seed, files, progress
        )


def _fit(
    fabric: Fabric,
    shard: Shard,
    model: nn.Module,
    defense: Defense,
    recipe: TrainingSpec,
    train: Images | ImageStream,
    val: Images,
    augmentation: Augmentation,
    seed: int,
    files: TrainingFiles | None,
    progress: Callable[[Progress], None],
) -> list[Epoch]:
    device = fabric.device
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
    if files and fabric.broadcast(files.checkpoint.exists()):
        state = load_state(files.checkpoint, device)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        scheduler.load_state_dict(state["scheduler"])
        rows = [Epoch(**row) for row in state["rows"]]
        if fabric.is_global_zero:  # the log may have missed the last epoch
            write_log(files, rows)
        carried = state["delta"]
    network, stepper = fabric.setup(model, optimizer)
    meter = Meter(device)
    share = 1.0  # how many times the mean share of a process this part of the batch is

    def update(images: Tensor, labels: Tensor) -> None:
        logits = network(images)
        loss = F.cross_entropy(logits.float(), labels)
        penalty = defense.penalty(model)
        stepper.zero_grad()
        fabric.backward(share * loss if penalty is None else share * loss + penalty)
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
            recipe.batch_size,
            generator=generator,
            augmentation=augmentation,
            device=device,
            shard=shard,
        )
        for count, (images, labels) in enumerate(pairs, start=1):
            images = images.contiguous(memory_format=torch.channels_last)
            whole = whole_batch(len(train), recipe.batch_size, count - 1)
            share = len(labels) * shard.count / whole
            if recipe.method == "standard":
                update(images, labels)
            else:
                delta = free_replays(
                    update,
                    images,
                    labels,
                    starting_delta(carried, images, whole, shard),
                    replays=recipe.replays,
                    eps=recipe.eps,
                    step_size=recipe.step_size,
                )
                if recipe.carry_delta and whole == recipe.batch_size:
                    carried = gather(fabric, delta, shard)
            if time.perf_counter() - last_told > 0.2 or count == batches:
                last_told = time.perf_counter()
                progress(Progress(epoch, recipe.epochs, count, batches, meter.accuracy()))
        seconds = time.perf_counter() - start
        meter.add_others(fabric)
        if not math.isfinite(meter.loss()):
            raise TrainingDivergedError(f"the loss is not finite after epoch {epoch + 1}")
        rows.append(
            Epoch(
                epoch + 1,
                lr,
                meter.loss(),
                meter.accuracy(),
                _val_accuracy(fabric, shard, model, val),
                seconds,
                meter.seen / replays / seconds,
            )
        )
        if files and fabric.is_global_zero:
            save_state(files, model, optimizer, scheduler, rows, carried)
    model.eval()
    return rows


def accuracy(model: nn.Module, images: Images, device: torch.device) -> float:
    """Return the clean accuracy in [0, 1] in eval mode and float32; nan for no images."""
    return _right(model, images, device) / len(images) if len(images) else math.nan


def _val_accuracy(fabric: Fabric, shard: Shard, model: nn.Module, val: Images) -> float:
    if shard.count == 1 or not len(val):
        return accuracy(model, val, fabric.device)
    mine = val.take(shard.of(torch.arange(len(val))))
    right = torch.tensor(_right(model, mine, fabric.device), device=fabric.device)
    return int(total(fabric, right)) / len(val)


def _right(model: nn.Module, images: Images, device: torch.device) -> int:
    model.eval()
    with torch.no_grad():
        return sum(
            int((model(batch).argmax(1) == labels).sum())
            for batch, labels in images.batches(500, device=device)
        )


def seed_epoch(seed: int, epoch: int) -> torch.Generator:
    """Seed torch for an epoch (dropout) and return the generator of its batches."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
    return generator
