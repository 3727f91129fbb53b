"""The evaluator: a model, samples and attacks in; one outcome per sample and attack out."""

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Unpack

import pandas as pd
import torch
from torch import nn

from robench.base import Attack, ThreatModel
from robench.board.attack_calls import build_attack, check_defaults, expand_calls, unbounded
from robench.errors import RobenchWarning, UserError
from robench.evaluation.forward import QUANTUM
from robench.evaluation.notices import outcome_notice
from robench.evaluation.options import EvaluationKeywords, EvaluationOptions
from robench.evaluation.outcomes import Bools, Outcomes
from robench.evaluation.partial import Earlier, open_partial
from robench.evaluation.queries import median_queries
from robench.evaluation.run_attacks import Job, attack_group, predict_all, right
from robench.evaluation.validation import (
    Classes,
    Pixels,
    as_floats,
    as_tensors,
    check_classes,
    check_radii,
)
from robench.evaluation.victim import Victim
from robench.expressions import radius_text
from robench.models.accept import first_logits, plain_module
from robench.models.frozen import frozen_stats, placed, under_attack
from robench.system.devices import device_of


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation:
    """The outcomes of all attacks on one model.

    Attributes:
        clean: (n,) bool, whether the clean image is classified correctly.
        attacks: name of each attack, as it was given -> its outcomes.
        queried: names of the attacks whose cost in queries is a result.
        threat_models: name of each attack -> its norm and radius; None if it is unbounded.
        corruptions: names of the attacks that are corruptions.
        gradients: the precision of the gradients, "bf16" or "float32".
        refused: for each shortcut of the engine that the model rules out, the reason: the end of
            a sentence whose subject is the model.
        earlier: what the sessions before it have spent, if it resumed.
    """

    clean: Bools
    attacks: dict[str, Outcomes]
    queried: tuple[str, ...]
    threat_models: Mapping[str, ThreatModel | None]
    corruptions: tuple[str, ...] = ()
    gradients: str = "float32"
    refused: Mapping[str, str] = field(default_factory=dict)
    earlier: Earlier = field(default_factory=Earlier)

    def __repr__(self) -> str:
        count = len(self.clean)
        figures = [f"clean {self.accuracy():.1%}"]
        for name, outcomes in self.attacks.items():
            part = "" if len(outcomes) == count else f" of {len(outcomes)}"
            figures.append(f"{name} {outcomes.accuracy:.1%}{part}")
        return f"<Evaluation of {count} samples: {', '.join(figures)}>"

    def accuracy(self, name: str = "clean") -> float:
        """Return the share of samples classified correctly, clean or under the attack ``name``."""
        return float(self.clean.mean()) if name == "clean" else self.attacks[name].accuracy

    def worst_case(self, norm: str, eps: float) -> Outcomes:
        """Return the per-sample worst case over all attacks of one threat model.

        It has only the samples that all of them were given. Attacks without a threat model are
        left out: they have no bound that could be compared.
        """
        own = [
            outcomes
            for name, outcomes in self.attacks.items()
            if self.threat_models[name] == (norm, eps)
        ]
        return Outcomes.worst_of(own)

    def corruption_accuracy(self) -> float:
        """Return the mean accuracy over the corruptions; nan if there are none."""
        found = [self.attacks[name].accuracy for name in self.corruptions]
        return sum(found) / len(found) if found else math.nan

    def table(self) -> pd.DataFrame:
        """Return one row for ``clean``, one per attack, and the mean over corruptions."""
        outcomes = {"clean": Outcomes.without_attack(self.clean), **self.attacks}
        bounds = [bound for bound in self.threat_models.values() if bound]
        for norm, eps in dict.fromkeys(bound for bound in bounds if bounds.count(bound) > 1):
            outcomes[f"worst case ({norm} {radius_text(eps)})"] = self.worst_case(norm, eps)
        rows = [
            {
                "attack": name,
                "samples": len(o),
                "accuracy": o.accuracy,
                "success_rate": o.success_rate,
                "survive_rounding": o.survive_rounding,
                "mean_queries": o.mean_queries,
                "mean_queries_of_successes": o.mean_queries_of_successes,
                "median_queries": median_queries(o),
                "mean_forwards": o.mean_forwards,
                "mean_backwards": o.mean_backwards,
                "largest_linf": float(o.linf.max()),
                "largest_l2": float(o.l2.max()),
                "median_l2": o.median_l2,
            }
            for name, o in outcomes.items()
        ]
        if len(self.corruptions) > 1:
            samples = min(len(self.attacks[name]) for name in self.corruptions)
            name = f"mean over {len(self.corruptions)} corruptions"
            accuracy = self.corruption_accuracy()
            rows.append({"attack": name, "samples": samples, "accuracy": accuracy})
        return pd.DataFrame(rows)


# On CUDA: bitwise reproducible, and float32 convolutions that are not rounded to TF32.
@torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
def evaluate(
    model: nn.Module,
    images: Pixels,
    labels: Classes,
    attacks: Sequence[str | Attack] | Mapping[str, Attack],
    *,
    defaults: Mapping[str, Any] | None = None,
    options: EvaluationOptions | None = None,
    **keywords: Unpack[EvaluationKeywords],
) -> Evaluation:
    """Evaluate ``model`` on clean images and under attacks.

    The model is put in eval mode with frozen parameters and restored on exit, also after an
    exception, with its buffers and what it keeps in Python attributes: a count of calls is what it
    was before. The global random state is not touched. Clean mistakes are not attacked. Every final
    prediction is a separate float32 forward on the image that the attack returned; the suite's
    gradient attacks take their gradients from a faster copy of the model. Random numbers depend
    only on (seed, sample).

    Args:
        model: images in [0, 1] -> logits.
        images: (N, C, H, W), a tensor or numpy array, float in [0, 1] or uint8.
        labels: (N,) integers, a tensor, numpy array or list.
        attacks: names with options, ``"pgd-20(eps=4/255)"``, or attack objects; or a mapping
            from column names to attack objects.
        defaults: options for the attacks that have them and do not set them; an attack that sets
            another ``eps`` does not inherit a ``step_size``. A threat model for attacks that have
            no radius is only warned about.
        options: seed, batch size, device and the like as one object.
        keywords: the same options one by one, ``batch_size=64``; see :class:`EvaluationOptions`.

    Raises:
        UserError: if images or labels are invalid, an attack is unknown, a default reaches no
            attack, the model is of a kind that cannot be evaluated, raises, or does not return
            logits for these classes, or an attack leaves [0, 1] or its ball.

    Example:
        >>> model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2, bias=False))
        >>> with torch.no_grad():
        ...     _ = model[1].weight.copy_(torch.tensor([[-1.0] * 4, [1.0] * 4]))
        >>> images = torch.full((3, 1, 2, 2), 0.02)
        >>> result = evaluate(model, images, torch.tensor([1, 1, 1]), ["fgsm(eps=8/255)"])
        >>> result.accuracy(), result.accuracy("fgsm(eps=8/255)")
        (1.0, 0.0)
    """
    named = _named(attacks, defaults or {})
    samples, classes = as_tensors(images, labels)
    check_radii({name: attack.threat_model for name, attack in named.items()}, samples)
    model = plain_module(model)
    options = EvaluationOptions.of(options, **keywords)
    home = device_of(model) if options.device is None else torch.device(options.device)
    forked = [home] if home.type == "cuda" else []
    with (
        torch.inference_mode(False),  # counters and starts must be writable tensors
        torch.random.fork_rng(devices=forked),
        placed(model, home),
        frozen_stats(model),
        under_attack(model),
    ):
        if samples.is_inference():
            samples, classes = samples.clone(), classes.clone()
        few = as_floats(samples[:QUANTUM].cpu()).to(home)
        check_classes(first_logits(model, few).shape[1], classes)
        victim = Victim(model, few, batch_size=options.batch_size, without=options.without)
        _warn(_refusals(victim.refused))
        samples, classes = samples.cpu(), classes.long().cpu()
        logits = predict_all(victim, samples)
        clean = right(logits, classes)
        if options.observer is not None:
            options.observer("clean", torch.arange(len(samples)), as_floats(samples), logits)
        groups = group_by_search(named)
        partial, keys = open_partial(victim, samples, classes, logits, groups, options)
        job = Job(
            victim=victim,
            images=samples,
            labels=classes,
            clean=clean,
            device=home,
            options=options,
            partial=partial,
        )
        results = _attack_each(groups, keys, job)
        partial.close()
        _warn(outcome_notice(model, samples, classes, named, results))
    return Evaluation(
        clean=clean.numpy(),
        attacks={name: results[name] for name in named},
        queried=tuple(name for name, attack in named.items() if attack.reports_queries),
        threat_models={name: attack.threat_model for name, attack in named.items()},
        corruptions=tuple(name for name, attack in named.items() if attack.corrupts),
        gradients=victim.gradients,
        refused=victim.refused,
        earlier=partial.earlier,
    )


def _attack_each(
    groups: Sequence[Mapping[str, Attack]], keys: Sequence[str], job: Job
) -> dict[str, Outcomes]:
    results: dict[str, Outcomes] = {}
    for group, key in zip(groups, keys, strict=True):
        results |= attack_group(group, job, key)
    return results


LEFT_OUT = "the model is attacked without "
"""How the warning begins that names the shortcuts that a model rules out."""


def _warn(notice: str | None) -> None:
    """Warn the caller of :func:`evaluate`, if there is something to say."""
    if notice is not None:
        warnings.warn(notice, RobenchWarning, stacklevel=4)


def _refusals(refused: Mapping[str, str]) -> str | None:
    """Return which shortcuts are left out, and why; None if none is."""
    if not refused:
        return None
    shortcuts: dict[str, list[str]] = {}
    for name, reason in sorted(refused.items()):
        shortcuts.setdefault(reason, []).append(name)
    parts = [f"{_listed(names)}, since {reason}" for reason, names in shortcuts.items()]
    return f"{LEFT_OUT}{'; without '.join(parts)}: this is slower, but changes no figure."


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _named(
    attacks: Sequence[str | Attack] | Mapping[str, Attack], defaults: Mapping[str, Any]
) -> dict[str, Attack]:
    if isinstance(attacks, str):
        raise UserError(f"attacks is the text '{attacks}'; give a list: [{attacks!r}].")
    named: dict[str, Attack] = {}
    pairs: list[tuple[str | None, str | Attack]] = (
        list(attacks.items())
        if isinstance(attacks, Mapping)
        else [(None, a) for a in _each(attacks)]
    )
    for column, attack in pairs:
        name = column or (attack if isinstance(attack, str) else repr(attack))
        if name in named or name == "clean":
            raise UserError(f"two columns would be named '{name}'; name each attack once.")
        built = build_attack(attack, defaults) if isinstance(attack, str) else attack
        if built.samples is not None and built.samples < 1:
            raise UserError(f"{name} has samples={built.samples}; give 1 or more, or leave it out.")
        named[name] = built
    calls = [attack for _, attack in pairs if isinstance(attack, str)]
    if defaults and named and not calls:
        raise UserError(
            f"defaults reach only attacks given by name, and these are objects: set "
            f"{', '.join(defaults)} on the objects."
        )
    if stated := unbounded(calls, defaults):
        message = f"defaults without effect: {', '.join(stated)}; no radius in {', '.join(calls)}."
        warnings.warn(message, RobenchWarning, stacklevel=4)
    check_defaults(calls, {name: v for name, v in defaults.items() if name not in stated})
    return named


def _each(attacks: Sequence[str | Attack]) -> Iterator[str | Attack]:
    """Yield one name or object per column."""
    for attack in attacks:
        yield from expand_calls([attack]) if isinstance(attack, str) else [attack]


def group_by_search(named: Mapping[str, Attack]) -> list[dict[str, Attack]]:
    """Group the attacks that share one search."""
    groups: dict[Any, dict[str, Attack]] = {}
    for name, attack in named.items():
        groups.setdefault((type(attack), attack.shared_work()), {})[name] = attack
    return list(groups.values())
