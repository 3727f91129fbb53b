"""The evaluator: a model, samples and attacks in; an outcome a sample and attack out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from robench.calls import parse_call
from robench.contracts import Adversarial, Attack
from robench.devices import device_of
from robench.errors import UserError
from robench.evaluation.checks import check_images, check_logits, check_perturbation, sizes
from robench.evaluation.outcomes import Bools, Outcomes
from robench.randomness import generators
from robench.registry import attacks as registry
from robench.state import frozen_stats, placed, under_attack

Progress = Callable[[str, int, int], None]
"""Told the attack's name, the samples that are through, and all of them."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The outcomes of all attacks on one model.

    Attributes:
        clean: (n,) bool, right on the clean image.
        attacks: the attack as it was named -> its outcomes.
    """

    clean: Bools
    attacks: dict[str, Outcomes]

    def accuracy(self, name: str = "clean") -> float:
        """Return the share of samples that are right, clean or under the attack ``name``."""
        return float(self.clean.mean()) if name == "clean" else self.attacks[name].accuracy

    def table(self) -> pd.DataFrame:
        """Return a row for ``clean`` and for each attack."""
        outcomes = {"clean": Outcomes.without_attack(self.clean), **self.attacks}
        return pd.DataFrame(
            {
                "attack": name,
                "samples": len(o),
                "accuracy": o.accuracy,
                "success_rate": o.success_rate,
                "mean_queries": o.mean_queries,
                "mean_queries_of_successes": o.mean_queries_of_successes,
                "largest_linf": float(o.linf.max()),
                "largest_l2": float(o.l2.max()),
            }
            for name, o in outcomes.items()
        )


def evaluate(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    attacks: Sequence[str | Attack],
    *,
    defaults: Mapping[str, Any] | None = None,
    seed: int = 0,
    batch_size: int = 250,
    device: str | torch.device | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Judge ``model`` on clean images and under attacks.

    The model is in eval mode with frozen parameters meanwhile and comes back as it was, buffers
    included, also after an exception; the global random state is not touched. Clean mistakes are
    not attacked. Every verdict is a forward of its own in float32 on the image that the attack
    handed back. Random numbers belong to (seed, sample).

    Args:
        model: images in [0, 1] -> logits.
        images: (N, C, H, W), float in [0, 1] or uint8.
        labels: (N,) whole numbers.
        attacks: names with options, ``"pgd-20(eps=4/255)"``, or attack objects.
        defaults: options for those attacks that have them and do not set them.
        seed: of random starts and orders.
        batch_size: samples attacked at a time.
        device: where to work; the model is moved there meanwhile. Its own by default.
        progress: told after each batch.

    Raises:
        UserError: for bad images or labels, unknown attacks, or a model that returns no logits
            for these classes.
        RuntimeError: where an attack leaves [0, 1] or its ball.
    """
    named = _named(attacks, defaults or {})
    images = images.float() / 255 if images.dtype == torch.uint8 else images.float()
    check_images(images, labels)
    if batch_size < 1:
        raise UserError(f"batch_size is {batch_size}; give 1 or more.")
    home = device_of(model) if device is None else torch.device(device)
    told = progress or (lambda *_: None)
    batches = [
        torch.arange(i, min(i + batch_size, len(images))) for i in range(0, len(images), batch_size)
    ]
    forked = [home] if home.type == "cuda" else []
    with (
        torch.random.fork_rng(devices=forked),
        placed(model, home),
        frozen_stats(model),
        under_attack(model),
    ):
        clean = torch.cat([_right(model, images[b], labels, b, home) for b in batches])
        results: dict[str, Outcomes] = {}
        for group in group_by_search(named):
            results |= _attack_group(
                group, model, images, labels, clean, seed, batch_size, home, told
            )
    return Evaluation(clean.numpy(), {name: results[name] for name in named})


def _named(attacks: Sequence[str | Attack], defaults: Mapping[str, Any]) -> dict[str, Attack]:
    named: dict[str, Attack] = {}
    for attack in attacks:
        name = attack if isinstance(attack, str) else repr(attack)
        if name in named or name == "clean":
            raise UserError(f"two columns would be named '{name}'; name each attack once.")
        built = registry.build(parse_call(attack), defaults) if isinstance(attack, str) else attack
        if built.samples is not None and built.samples < 1:
            raise UserError(f"{name} has samples={built.samples}; give 1 or more, or leave it out.")
        named[name] = built
    return named


def group_by_search(named: Mapping[str, Attack]) -> list[dict[str, Attack]]:
    """Put together the attacks that come from one search."""
    groups: dict[Any, dict[str, Attack]] = {}
    for name, attack in named.items():
        groups.setdefault((type(attack), attack.shared_work()), {})[name] = attack
    return list(groups.values())


def _attack_group(
    group: Mapping[str, Attack],
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    clean: Tensor,
    seed: int,
    batch_size: int,
    device: torch.device,
    progress: Progress,
) -> dict[str, Outcomes]:
    """Attack the correct samples; an attack sees only the first of its own ``samples``."""
    counts = {name: min(a.samples or len(images), len(images)) for name, a in group.items()}
    arrays = {name: _empty(clean[:count]) for name, count in counts.items()}
    correct = clean.nonzero().squeeze(1)
    todo = correct[correct < max(counts.values())]
    label = ", ".join(group)
    progress(label, 0, len(todo))
    done = 0
    for rows in todo.split(batch_size):
        # An attack that stops early must not see the later samples of its group.
        present = {name: a for name, a in group.items() if counts[name] > int(rows[0])}
        batch = images[rows].contiguous().to(device)
        targets = labels[rows].long().to(device)
        attacks = list(present.values())
        found = type(attacks[0]).perturb_together(
            attacks, model, batch, targets, generators(seed, rows.tolist())
        )
        for name, attack, adversarial in zip(present, attacks, found, strict=True):
            check_perturbation(attack, batch, adversarial.images)
            robust = _right(model, adversarial.images, labels, rows, device)
            mine = rows < counts[name]
            _fill(arrays[name], rows[mine], batch, adversarial, robust, mine)
        done += len(rows)
        progress(label, done, len(todo))
    return {name: Outcomes(**{k: v.numpy() for k, v in a.items()}) for name, a in arrays.items()}


def _empty(clean: Tensor) -> dict[str, Tensor]:
    counts = torch.zeros(len(clean), dtype=torch.int64)
    lengths = torch.zeros(len(clean))
    return {
        "correct": clean.clone(),
        "robust": clean.clone(),
        "queries": counts,
        "forwards": counts.clone(),
        "linf": lengths,
        "l2": lengths.clone(),
    }


def _fill(
    arrays: dict[str, Tensor],
    rows: Tensor,
    clean: Tensor,
    adversarial: Adversarial,
    robust: Tensor,
    mine: Tensor,
) -> None:
    linf, l2 = sizes(clean, adversarial.images)
    values = {
        "robust": robust,
        "queries": adversarial.queries,
        "forwards": adversarial.forwards,
        "linf": linf,
        "l2": l2,
    }
    for key, value in values.items():
        arrays[key][rows] = value.cpu()[mine].to(arrays[key].dtype)


def _right(
    model: nn.Module, images: Tensor, labels: Tensor, rows: Tensor, device: torch.device
) -> Tensor:
    """Return where the model's float32 verdict is the true class, (B,) bool on the CPU."""
    with torch.no_grad(), torch.autocast(device.type, enabled=False):
        inputs = images.contiguous().to(device, torch.float32)
        logits = check_logits(model(inputs), labels, len(rows)).float().cpu()
    # A model that breaks down on an image is not right there.
    return logits.isfinite().all(1) & (logits.argmax(1) == labels[rows].cpu())
