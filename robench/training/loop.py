"""The training loop: epochs, precision, logging, checkpoints, exact resume."""

import logging
import math
import time
from contextlib import nullcontext
from dataclasses import asdict

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional as F

from robench.base import Defense, TrainingLoss
from robench.board.specs import TrainingSpec
from robench.kernels.fast_convs import fast_convolutions
from robench.kernels.products import fast_products
from robench.models.frozen import frozen_parameters
from robench.models.penalty import checked_penalty
from robench.progress import Progress, ProgressCallback, ignore_progress
from robench.system.processes import this_shard
from robench.training.accuracy import shared_accuracy
from robench.training.averaging import Average
from robench.training.collapse import warn_of_collapse
from robench.training.contract import check_declared_work, refuse_untrained
from robench.training.data import TrainingData
from robench.training.divergence import DIVERGED_AFTER, has_finite_weights
from robench.training.meter import Meter
from robench.training.parallel import check_shards, gather, launch, part_of, whole_batch
from robench.training.partway import Pace, Partway
from robench.training.recorded import Gradients, RecordedGradients, can_be_recorded
from robench.training.resume import Epoch, Trained, TrainingFiles, load_state, save_state, write_log
from robench.training.robust_accuracy import robust_accuracy
from robench.training.schedules import schedule
from robench.training.shared_errors import shared_errors
from robench.training.synced import synced_norms
from robench.training.wide_strides import refuse_wide_strides

# Fabric announces the precision at every setup; the log and the manifest record it anyway.
logging.getLogger("lightning_fabric").setLevel(logging.WARNING)


class TrainingDivergedError(Exception):
    """The loss is no longer finite."""


# On CUDA, use only deterministic convolution algorithms.
@torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True)
def fit(
    model: nn.Module,
    defense: Defense,
    recipe: TrainingSpec,
    data: TrainingData,
    *,
    device: torch.device,
    files: TrainingFiles | None = None,
    progress: ProgressCallback = ignore_progress,
) -> list[Epoch]:
    """Train ``model`` in place, from the checkpoint if there is one, and leave it in eval mode.

    The last written state and the seed determine everything that follows, so an interrupted
    training ends, after any number of resumes, with the same weights to the bit. It is written
    after each epoch, and within one that takes longer than some minutes.

    If ``torchrun`` started several processes, each calls this and takes its shard of every
    batch. Batch norms and gradients are those of the whole batch, so that the weights are, up to
    rounding, those that one process would have trained; rank 0 writes the files. Dropout masks and
    random starts of training methods are the same in all processes, but not those of a single one.

    Args:
        model: images in [0, 1] -> logits.
        defense: supplies the penalty and the hooks around each step.
        recipe: epochs, optimizer, schedule and the training method with its settings; if it
            averages the weights, the average is the trained network.
        data: images, augmentation and seed.
        device: the device to train on.
        files: log and checkpoint; None keeps everything in memory.
        progress: called a few times per second.

    Raises:
        TrainingDivergedError: if the loss of an epoch is not finite.
        UserError: if the checkpoint cannot be read or the files cannot be written, a batch has
            fewer images than there are processes, the training method does not do what it
            declares, or the defense has a penalty or parameters that training would pass over.
    """
    shard = this_shard()
    fabric = launch(device, recipe.precision)
    batches = data.train.batch_count(recipe.batch_size)
    check_shards(len(data.train), recipe.batch_size, batches, shard)
    with (
        synced_norms(model, fabric.device) if shard.count > 1 else nullcontext(),
        fast_convolutions(model),
        fast_products(fabric.device),
    ):
        return Trainer(model, defense, recipe, data, fabric, files, progress).run()


class Trainer:
    """The training of one model, from the last epoch that its files have.

    The core of training is :meth:`train_minibatch` and :meth:`update`; everything else prepares
    them or does their bookkeeping. The arguments are those of :func:`fit`.
    """

    def __init__(
        self,
        model: nn.Module,
        defense: Defense,
        recipe: TrainingSpec,
        data: TrainingData,
        fabric: Fabric,
        files: TrainingFiles | None,
        progress: ProgressCallback,
    ) -> None:
        self.model, self.defense, self.recipe, self.data = model, defense, recipe, data
        self.fabric, self.files, self.progress = fabric, files, progress
        self.shard = this_shard()
        self.method = recipe.build_method()
        self.batches = data.train.batch_count(recipe.batch_size)
        self.rows: list[Epoch] = []
        self.carried: Tensor | None = None  # of all processes, for the next minibatch
        self.partway: Partway | None = None  # where the first epoch that is trained was left
        self.share = 1.0  # this process's part of a minibatch over the mean part of a process
        self.steps = self.forwards = 0  # counted per minibatch
        self.updated = False
        self.set_up()
        self.resume()
        self.network, self.stepper = fabric.setup(model, self.optimizer)
        self.gradients: Gradients = self.compute_gradients
        if self.shard.count == 1 and can_be_recorded(model, defense, fabric.device):
            self.gradients = RecordedGradients(self.compute_gradients, model)
        self.meter = Meter(fabric.device)
        self.pace = Pace(fabric)

    def run(self) -> list[Epoch]:
        """Train the remaining epochs and return the log of all epochs."""
        for epoch in range(len(self.rows), self.recipe.epochs):
            self.train_epoch(epoch)
            self.save()
        if self.average:
            self.average.apply()
        self.model.eval()
        return self.rows

    def set_up(self) -> None:
        """Move the model to its device; create its optimizer and schedule."""
        recipe, method, device = self.recipe, self.method, self.fabric.device
        self.model.to(device).to(memory_format=torch.channels_last)
        if recipe.precision == "bf16" and device.type == "cpu":
            refuse_wide_strides(self.model, self.data.two_images(device))
        minibatches = recipe.epochs * self.batches
        self.defense.before_training(self.model, minibatches * method.forwards_per_minibatch)
        self.optimizer = torch.optim.SGD(
            self.model.parameters(),
            lr=recipe.lr,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
        )
        self.average = Average(self.model, recipe.averaging) if recipe.averaging else None
        steps_per_epoch = self.batches * method.steps_per_minibatch
        self.scheduler = schedule(self.optimizer, recipe, steps_per_epoch)
        self.trained = Trained(self.model, self.optimizer, self.scheduler, self.average)

    def resume(self) -> None:
        """Restore the last saved state, if there is one."""
        if not self.files or not self.fabric.broadcast(self.files.checkpoint.exists()):
            return
        with shared_errors(self.fabric, self.shard):
            state = load_state(self.files, self.trained, self.fabric.device)
            if self.fabric.is_global_zero:  # the log may have missed the last epoch
                write_log(self.files, state.rows)
        self.rows, self.carried, self.partway = state.rows, state.carried, state.partway

    def train_epoch(self, epoch: int) -> None:
        """Train on the minibatches of an epoch that are left; ``epoch`` counts from 0."""
        self.model.train()
        self.meter.reset()
        left, self.partway = self.partway, None
        done, spent, lr = 0, 0.0, self.optimizer.param_groups[0]["lr"]
        if left:
            done, spent, lr = left.batches, left.seconds, left.lr
        size, device = self.recipe.batch_size, self.fabric.device
        pairs = self.data.minibatches(epoch, size, device, self.shard, skip=done)
        if left:
            left.restore(self.meter, self.fabric)
        start = reported = time.perf_counter()
        self.pace.begin(done)
        for count, (images, labels) in enumerate(pairs, start=done + 1):
            self.train_minibatch(count - 1, images, labels)
            if time.perf_counter() - reported > 0.2 or count == self.batches:
                reported = time.perf_counter()
                self.report(epoch, count)
            if self.files and count < self.batches and self.pace.is_due(count):
                seconds = spent + time.perf_counter() - start
                self.save(Partway.now(count, lr, seconds, self.meter, self.fabric))
        self.end_epoch(epoch, lr, spent + time.perf_counter() - start)

    def report(self, epoch: int, count: int) -> None:
        """Report the epoch's accuracy after ``count`` of its minibatches."""
        epochs, accuracy = self.recipe.epochs, self.meter.accuracy()
        done, total = epoch * self.batches + count, epochs * self.batches
        note = f"epoch {epoch + 1}/{epochs}, accuracy {accuracy:.1%}"
        self.progress(Progress("training", done, total, "batches", note))

    def train_minibatch(self, index: int, images: Tensor, labels: Tensor) -> None:
        """Pass a minibatch to the training method, with what the previous one carried over."""
        whole = whole_batch(len(self.data.train), self.recipe.batch_size, index)
        self.share = len(labels) * self.shard.count / whole
        self.steps = self.forwards = 0
        left = self.method.train_minibatch(
            images.contiguous(memory_format=torch.channels_last),
            labels,
            self.update,
            logits=self.logits,
            carried=part_of(self.carried, whole, self.shard),
        )
        check_declared_work(self.recipe.method, self.method, self.steps, self.forwards)
        if whole == whole_batch(len(self.data.train), self.recipe.batch_size, 0):
            # A short last one carries too little over.
            self.carried = None if left is None else gather(self.fabric, left, self.shard)

    def update(self, images: Tensor, labels: Tensor, loss: TrainingLoss = F.cross_entropy) -> None:
        """Take one optimizer step on images and labels, including the defense's hooks."""
        value, logits = self.gradients(images, labels, loss)
        self.stepper.step()
        self.scheduler.step()
        self.defense.after_step(self.model)
        if not self.updated:
            self.updated = True
            refuse_untrained(self.model, self.optimizer, self.defense)
        if self.average:
            self.average.update()
        self.meter.add(value, logits, labels)
        self.steps += 1
        self.forwards += 1

    def compute_gradients(
        self, images: Tensor, labels: Tensor, loss: TrainingLoss
    ) -> tuple[Tensor, Tensor]:
        """Leave gradients in weights and images; return the loss, without penalty, and logits."""
        logits = self.network(images)
        value = loss(logits.float(), labels)
        penalty = checked_penalty(self.defense, self.model)
        self.stepper.zero_grad()
        weighted = self.share * value
        self.fabric.backward(weighted if penalty is None else weighted + penalty)
        return value.detach(), logits.detach()

    def logits(self, images: Tensor) -> Tensor:
        """Return float32 logits of the network in training mode, without a step.

        Their graph leads to the images alone: layers with a backward of their own would compute
        the gradients of their weights, too, which takes a third of the time.
        """
        self.forwards += 1
        with frozen_parameters(self.model), self.fabric.autocast():
            logits: Tensor = self.model(images)
        return logits.float()

    def end_epoch(self, epoch: int, lr: float, seconds: float) -> None:
        """Add up the sums of all processes, validate, and add a row to the log.

        Raises:
            TrainingDivergedError: if the loss or the weights are not finite.
            UserError: if there are parameters that are not trained.
        """
        refuse_untrained(self.model, self.optimizer, self.defense)
        self.meter.add_others(self.fabric)
        if not math.isfinite(self.meter.loss()) or not has_finite_weights(self.model):
            raise TrainingDivergedError(DIVERGED_AFTER.with_count(epoch + 1))
        images = min(len(self.data.train), self.batches * self.recipe.batch_size)
        with self.average.in_place() if self.average else nullcontext():
            val_accuracy = shared_accuracy(self.fabric, self.shard, self.model, self.data.val)
            val_robust = robust_accuracy(
                self.fabric, self.shard, self.model, self.data.val, self.method.threat_model,
                self.recipe.batch_size,
            )  # fmt: skip
        self.rows.append(
            Epoch(
                epoch=epoch + 1,
                lr=lr,
                train_loss=self.meter.loss(),
                train_accuracy=self.meter.accuracy(),
                val_accuracy=val_accuracy,
                seconds=seconds,
                images_per_second=images / seconds,
                val_robust=val_robust,
            )
        )
        if self.fabric.is_global_zero:
            warn_of_collapse([asdict(row) for row in self.rows])

    def save(self, partway: Partway | None = None) -> None:
        """Write the log and the state from which training can resume."""
        if not self.files:
            return
        with shared_errors(self.fabric, self.shard):
            if self.fabric.is_global_zero:
                save_state(self.files, self.trained, self.rows, self.carried, partway)
