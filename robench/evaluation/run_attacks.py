"""Run one group of attacks that share a search on all of its samples."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from robench.attack_tools.batching import halve, run_batched
from robench.attack_tools.losses import right
from robench.attack_tools.randomness import generators
from robench.attack_tools.threat_models import Norm
from robench.base import Adversarial, Attack
from robench.errors import UserError
from robench.evaluation.counting import Counted
from robench.evaluation.kept_group import KeptGroup
from robench.evaluation.options import EvaluationOptions
from robench.evaluation.outcomes import Outcomes
from robench.evaluation.partial import PartialFile
from robench.evaluation.validation import as_floats, attack_results, sizes
from robench.evaluation.victim import Victim
from robench.progress import Progress
from robench.system.out_of_memory import is_out_of_memory

POOL_BYTES = 2**26
"""Size of the images that are passed at once to an attack that batches itself."""

_ON_THE_GRID = 1e-6
"""Pixels closer than this to a multiple of 1/255 count as one: rounding changes nothing."""


@dataclass(frozen=True, eq=False)
class Job:
    """What every group of an evaluation shares.

    Attributes:
        victim: the model under attack.
        images: (N, C, H, W) uint8, or float32 in [0, 1], on the CPU.
        labels: (N,) int64, on the CPU.
        clean: (N,) bool, whether the clean image is classified correctly.
        device: the device to run on.
        options: the settings of the evaluation.
        partial: the file that keeps what is done.
    """

    victim: Victim
    images: Tensor
    labels: Tensor
    clean: Tensor
    device: torch.device
    options: EvaluationOptions
    partial: PartialFile

    def report(self, attack: str, done: int, total: int, before: int = 0) -> None:
        """Report how many samples an attack has finished, and how many an earlier session had."""
        note = f"{done}/{total} images, {before} from before" if before else ""
        self.options.progress(Progress(attack, done, total, "images", note))


def attack_group(group: Mapping[str, Attack], job: Job, key: str) -> dict[str, Outcomes]:
    """Attack the correctly classified samples; each attack sees only its first ``samples``.

    Corruptions get all samples.

    Args:
        group: name -> attack.
        job: what all groups share.
        key: the name of the group in the file that keeps what is done.

    Raises:
        UserError: if an attack leaves [0, 1] or its ball, or miscounts.
    """
    total = len(job.images)
    counts = {name: min(a.samples or total, total) for name, a in group.items()}
    arrays = {name: _empty(job.clean[:count]) for name, count in counts.items()}
    given = torch.ones_like(job.clean) if _corrupts(group) else job.clean
    todo = given[: max(counts.values())].nonzero().squeeze(1)
    label = ", ".join(group)
    kept = KeptGroup(job.partial, key, arrays, job.victim)

    def report(finished: int) -> None:
        kept.finished = finished
        job.report(label, finished, len(todo), kept.before)

    report(kept.finished)
    with kept.saved_if_interrupted():
        while kept.done < len(todo):
            rows = todo[kept.done : kept.done + _pool(group, job)]
            # An attack that stops early must not see the later samples of its group.
            present = {name: a for name, a in group.items() if counts[name] > int(rows[0])}
            job.victim.on_finished = partial(_report, report, kept.done)
            images, labels = as_floats(job.images[rows]).contiguous(), job.labels[rows]
            images = images.to(job.device)
            attacks = list(present.values())
            try:
                found = _search(attacks, job, images, labels.to(job.device), rows, kept)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                halve(job.victim, min(len(rows), job.victim.batch_size))
                continue
            finally:
                job.victim.on_finished = None
            predictions = _Predictions(job.victim, labels)
            for name, adversarial in zip(present, found, strict=True):
                mine = rows < counts[name]
                values = _costs(images, adversarial) | predictions.of(adversarial.images)
                _fill(arrays[name], rows, mine, values)
                if job.options.observer is not None:
                    seen = adversarial.images.detach().cpu()
                    job.options.observer(name, rows[mine], seen[mine], predictions.logits[mine])
            kept.end(kept.done + len(rows))
            if not all(attack.batches_itself for attack in attacks):
                report(kept.done)
    return {name: Outcomes(**{k: v.numpy() for k, v in a.items()}) for name, a in arrays.items()}


def predict_all(victim: Victim, images: Tensor) -> Tensor:
    """Return the float32 logits of the model itself, (B, classes) on the CPU.

    No copy of it is asked, so that a result rests on the model alone.

    Args:
        victim: the model under attack.
        images: (B, C, H, W), float32 in [0, 1], on its device or on the CPU; or uint8, on the CPU.
    """
    logits = torch.empty(len(images), victim.num_classes, dtype=torch.float32)

    def advance(rows: Tensor) -> Tensor:
        with torch.no_grad():
            logits[rows] = victim(as_floats(images[rows]).to(victim.device)).cpu()
        return torch.ones(len(rows), dtype=torch.bool)

    run_batched(victim, torch.arange(len(images)), advance)
    return logits


def _report(report: Callable[[int], None], done: int, more: int) -> None:
    report(done + more)


def _corrupts(group: Mapping[str, Attack]) -> bool:
    return all(attack.corrupts for attack in group.values())


def _pool(group: Mapping[str, Attack], job: Job) -> int:
    """Return how many samples to pass at once."""
    batch_size = job.victim.batch_size
    independent = "pools" not in job.options.without and job.victim.independent
    if not independent or not all(attack.batches_itself for attack in group.values()):
        return batch_size
    size = 4 * math.prod(job.images.shape[1:])
    return max(batch_size, POOL_BYTES // size)


def _search(
    attacks: list[Attack],
    job: Job,
    images: Tensor,
    labels: Tensor,
    rows: Tensor,
    kept: KeptGroup,
) -> list[Adversarial]:
    """Run the attacks, with everything counted and every image checked."""
    kind = type(attacks[0])
    rngs = generators(job.options.seed, rows.tolist())
    victim = job.victim
    victim.forwards = victim.backwards = 0
    threat_model = attacks[0].threat_model
    norm: Norm = "l2" if threat_model and threat_model[0] == "l2" else "linf"
    model = victim if kind.batches_itself else Counted(victim, images, norm)
    kept.begin(model, rngs, rows)
    # An attack gets tensors of its own: it is compared with what it was given.
    found = kind.perturb_together(attacks, model, images.clone(), labels.clone(), rngs)
    counted = []
    for adversarial in attack_results(attacks, images, found):
        if isinstance(model, Counted):
            forwards, backwards = adversarial.forwards, adversarial.backwards
            forwards = model.forwards if forwards is None else forwards
            backwards = model.backwards if backwards is None else backwards
            queries = forwards if adversarial.queries is None else adversarial.queries
            adversarial = Adversarial(adversarial.images, queries, forwards, backwards)
        counted.append(adversarial)
    if len(attacks) == 1:
        _check_counts(kind.__name__, counted[0], victim)
    return counted


def _check_counts(name: str, adversarial: Adversarial, victim: Victim) -> None:
    """Compare the costs that an attack reports with what was actually computed."""
    if adversarial.forwards is None or adversarial.backwards is None:
        raise UserError(
            f"the attack {name} batches itself but returned no forwards or backwards: it must "
            f"count both per sample."
        )
    reported = int(adversarial.forwards.sum())
    if reported != victim.forwards:
        raise UserError(
            f"the attack {name} reports {reported} forwards but made {victim.forwards}: its counts "
            f"are wrong."
        )


class _Predictions:
    """Final predictions on one attack after another; no image is evaluated twice in a row."""

    def __init__(self, victim: Victim, labels: Tensor) -> None:
        self._victim, self._labels = victim, labels
        self._images: Tensor | None = None
        self._rounded = torch.zeros(len(labels), dtype=torch.bool)
        # Of the latest call.
        self.logits = torch.zeros(len(labels), victim.num_classes, dtype=torch.float32)

    def of(self, images: Tensor) -> dict[str, Tensor]:
        """Return whether the model is right on images, and on images rounded to 8 bits."""
        before, self._images = self._images, images
        new = torch.ones(len(images), dtype=torch.bool)
        if before is not None:
            new = (images != before).flatten(1).any(1).cpu()
        self.logits, self._rounded = self.logits.clone(), self._rounded.clone()
        self.logits[new] = self._predict(images, new)
        robust, rounded = right(self.logits, self._labels), self._rounded
        rounded[new] = robust[new]
        pixels = images.mul(255).round().div(255)
        moved = (pixels - images).abs().flatten(1).amax(1).cpu() > _ON_THE_GRID
        asked = new & ~robust & moved
        rounded[asked] = right(self._predict(pixels, asked), self._labels[asked])
        return {"robust": robust, "rounded": rounded}

    def _predict(self, images: Tensor, rows: Tensor) -> Tensor:
        return predict_all(self._victim, images[rows.to(images.device)])


def _costs(images: Tensor, adversarial: Adversarial) -> dict[str, Tensor]:
    linf, l2 = sizes(images, adversarial.images)
    counts = {name: getattr(adversarial, name) for name in ("queries", "forwards", "backwards")}
    return {"linf": linf, "l2": l2, **counts}


def _empty(clean: Tensor) -> dict[str, Tensor]:
    counts = torch.zeros(len(clean), dtype=torch.int64)
    lengths = torch.zeros(len(clean), dtype=torch.float32)
    return {
        "correct": clean.clone(),
        "robust": clean.clone(),
        "rounded": clean.clone(),
        "queries": counts,
        "forwards": counts.clone(),
        "backwards": counts.clone(),
        "linf": lengths,
        "l2": lengths.clone(),
    }


def _fill(
    arrays: dict[str, Tensor], rows: Tensor, mine: Tensor, values: Mapping[str, Tensor]
) -> None:
    for key, value in values.items():
        arrays[key][rows[mine]] = value.cpu()[mine].to(arrays[key].dtype)
