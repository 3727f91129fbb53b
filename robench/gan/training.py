"""The training of a GAN: alternating updates, log, exact resume.

The order within a step is that of SNGAN's code: first the generator, against the discriminator as
it is, then the discriminator. Both networks stay in training mode, so that each forward of the
discriminator counts as one for a defense that keeps a state: one power iteration, one update of an
average. Images and samples are two forwards.
"""

import math
import time

import torch
from torch import Tensor, nn

from robench.base import Defense
from robench.gan.batches import Batches, Draw, generator_of, latents
from robench.gan.losses import LOSSES
from robench.gan.sampling import samples_of
from robench.gan.spec import GanSpec
from robench.gan.state import GanFiles, Pair, Standing, load_state, save_state, write_log
from robench.gan.symptoms import LogRow, diversity
from robench.models.penalty import checked_penalty
from robench.progress import Progress, ProgressCallback, ignore_progress
from robench.system.random_state import own_random_state, seed_torch
from robench.training.averaging import Average
from robench.training.contract import refuse_untrained
from robench.training.divergence import CountedSentence

SECONDS = 120.0
"""Time between two states that are written."""

LOOKED_AT = 64
"""Samples, and images, whose distances are measured for the log."""


DIVERGED_BY = CountedSentence("a loss is not finite by step {}")
"""What a training says that diverged; the count is of steps."""


class GanDivergedError(Exception):
    """A loss is no longer finite."""


# On CUDA, use only deterministic convolution algorithms.
@torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True)
def fit_gan(
    generator: nn.Module,
    discriminator: nn.Module,
    defense: Defense,
    spec: GanSpec,
    batches: Batches,
    *,
    files: GanFiles | None = None,
    progress: ProgressCallback = ignore_progress,
) -> tuple[list[LogRow], Average | None]:
    """Train both networks in place, from the checkpoint if there is one.

    The last written state and the seed of ``batches`` determine everything that follows, so an
    interrupted training ends with the same weights to the bit. Torch's random state, which defenses
    may draw from, is that of each step, and left as it was at the end.

    Args:
        generator: latent vectors -> images in [-1, 1].
        discriminator: images -> scores, with its defense.
        defense: supplies the penalty and the hooks around each update of the discriminator.
        spec: the recipe.
        batches: images, seed and device.
        files: log and checkpoint; None keeps everything in memory.
        progress: called a few times per second.

    Returns:
        The log, and the average of the generator's weights if the recipe asks for one. Both
        networks are in eval mode.

    Raises:
        GanDivergedError: if a loss is not finite.
        UserError: if the checkpoint cannot be read, the files cannot be written, or the defense
            does not do what training relies on.
    """
    for network in (generator, discriminator):
        network.to(batches.device).to(memory_format=torch.channels_last).train()
    with own_random_state(batches.device, batches.seed):
        defense.before_training(discriminator, spec.forwards)
        trainer = GanTrainer(generator, discriminator, defense, spec, batches)
        trainer.run(files, progress)
    generator.eval()
    discriminator.eval()
    return trainer.rows, trainer.pair.average


class GanTrainer:
    """The training of one pair; its core is :meth:`step`. The arguments are those of fit_gan."""

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        defense: Defense,
        spec: GanSpec,
        batches: Batches,
    ) -> None:
        self.generator, self.discriminator = generator, discriminator
        self.defense, self.spec, self.batches = defense, spec, batches
        self.device, self.loss = batches.device, LOSSES[spec.loss]
        average = Average(generator, spec.averaging) if spec.averaging else None
        self.pair = Pair(
            generator, discriminator, self._adam(generator), self._adam(discriminator), average
        )
        self.rows: list[LogRow] = []
        self.done, self.seconds = 0, 0.0
        self.sums = torch.zeros(4, dtype=torch.float64)
        spread = torch.linspace(0, len(batches.images) - 1, min(LOOKED_AT, len(batches.images)))
        self._images = batches.images[spread.long()]  # a folder has them class by class
        self._latents = self._draw(len(self._images), Draw.SAMPLES_OF_LOG, 0)

    def run(self, files: GanFiles | None, progress: ProgressCallback) -> None:
        """Take the steps that are left, and write the state now and then."""
        if files and files.checkpoint.exists():
            self._go_on(load_state(files, self.pair, self.device))
            write_log(files, self.rows)
        self.sums = self.sums.to(self.device)
        reported = saved = time.perf_counter()
        while self.done < self.spec.steps:
            start = time.perf_counter()
            self.step(self.done)
            self.done += 1
            last = self.done == self.spec.steps
            self.seconds += time.perf_counter() - start
            if self.done % self.spec.log_every == 0 or last:
                self._log()
            if files and self.done in self.spec.snapshot_steps:
                files.keep(self.done, self.generator)
            now = time.perf_counter()
            if files and not last and now - saved >= SECONDS:
                save_state(files, self.pair, self._standing())
                saved = time.perf_counter()
            if now - reported > 0.2 or last:
                reported = now
                progress(Progress("training", self.done, self.spec.steps, "steps", self._note()))
        if files:
            save_state(files, self.pair, self._standing())

    def step(self, number: int) -> None:
        """Update the generator once, then the discriminator as often as the recipe says."""
        drawn = generator_of(self.batches.seed, Draw.SEED_OF_STEP, number)
        seed_torch(self.device, drawn.initial_seed())  # for defenses that draw random numbers
        rate = self.spec.rate_at(number)
        for optimizer in (self.pair.generator_optimizer, self.pair.discriminator_optimizer):
            for group in optimizer.param_groups:
                group["lr"] = rate
        loss = self.update_generator(number)
        parts = [
            self.update_discriminator(number * self.spec.discriminator_steps + count)
            for count in range(self.spec.discriminator_steps)
        ]
        means = torch.stack(parts).mean(0)
        self.sums += torch.cat([loss.reshape(1), means]).double()

    def update_generator(self, number: int) -> Tensor:
        """Take one step of the generator and return its loss."""
        z = self._draw(self.spec.generator_batch_size, Draw.LATENTS_OF_GENERATOR, number)
        scores = self.discriminator(self.generator(z))
        loss = self.loss.generator(scores)
        optimizer = self.pair.generator_optimizer
        optimizer.zero_grad()
        # The discriminator's weights get no gradient here.
        loss.backward(inputs=list(self.generator.parameters()))
        optimizer.step()
        if self.pair.average:
            self.pair.average.update()
        return loss.detach()

    def update_discriminator(self, number: int) -> Tensor:
        """Take one step of the discriminator; return loss, score of images, score of samples."""
        z = self._draw(self.spec.batch_size, Draw.LATENTS_OF_DISCRIMINATOR, number)
        with torch.no_grad():
            samples = self.generator(z)
        images = self.batches.batch(number).contiguous(memory_format=torch.channels_last)
        real, fake = self.discriminator(images), self.discriminator(samples)
        loss = self.loss.discriminator(real, fake)
        penalty = checked_penalty(self.defense, self.discriminator)
        optimizer = self.pair.discriminator_optimizer
        optimizer.zero_grad()
        (loss if penalty is None else loss + penalty).backward()
        optimizer.step()
        self.defense.after_step(self.discriminator)
        return torch.stack([loss.detach(), real.detach().mean(), fake.detach().mean()])

    def _adam(self, network: nn.Module) -> torch.optim.Adam:
        spec = self.spec
        return torch.optim.Adam(network.parameters(), spec.lr, betas=(spec.beta1, spec.beta2))

    def _draw(self, count: int, draw: Draw, number: int) -> Tensor:
        generator = generator_of(self.batches.seed, draw, number)
        return latents(count, self.spec.latent, generator).to(self.device)

    def _log(self) -> None:
        """Add a row to the log.

        Raises:
            GanDivergedError: if a loss in it is not finite.
            UserError: if there are parameters that are not trained.
        """
        optimizer = self.pair.discriminator_optimizer
        refuse_untrained(self.discriminator, optimizer, self.defense)
        before = self.rows[-1].step if self.rows else 0
        generator, discriminator, real, fake = (self.sums / (self.done - before)).tolist()
        if not (math.isfinite(generator) and math.isfinite(discriminator)):
            raise GanDivergedError(DIVERGED_BY.with_count(self.done))
        samples = samples_of(self.generator, self._latents)
        self.rows.append(
            LogRow(
                step=self.done,
                lr=self.spec.rate_at(self.done - 1),
                discriminator_loss=discriminator,
                generator_loss=generator,
                real_score=real,
                fake_score=fake,
                diversity=diversity(samples, self._images),
                seconds=self.seconds,
            )
        )
        self.sums, self.seconds = torch.zeros_like(self.sums), 0.0

    def _standing(self) -> Standing:
        return Standing(self.done, self.rows, self.sums, self.seconds)

    def _go_on(self, standing: Standing) -> None:
        self.done, self.rows = standing.step, list(standing.rows)
        self.sums, self.seconds = standing.sums, standing.seconds

    def _note(self) -> str:
        if not self.rows:
            return f"step {self.done}/{self.spec.steps}"
        row = self.rows[-1]
        return (
            f"step {self.done}/{self.spec.steps}, losses {row.discriminator_loss:.2f} and "
            f"{row.generator_loss:.2f}"
        )
