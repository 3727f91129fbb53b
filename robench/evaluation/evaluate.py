"""The evaluator: a model, samples and attacks in; one outcome per sample and attack out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any, Unpack

import torch
from torch import nn

from robench.attack_tools.losses import right
from robench.base import Attack
from robench.board.attack_calls import (
    Fate,
    build_attack,
    check_defaults,
    expand_calls,
    fate,
    unbounded,
)
from robench.data.notices import image_notices
from robench.entry_rules import check_fields
from robench.errors import UserError, warn
from robench.evaluation.evaluation import Evaluation
from robench.evaluation.forward import QUANTUM
from robench.evaluation.notices import logits_notice, notices_are_off, outcome_notice
from robench.evaluation.options import EvaluationKeywords, EvaluationOptions
from robench.evaluation.outcomes import Outcomes
from robench.evaluation.partial import open_partial
from robench.evaluation.prove import Proven, is_certificate, prove_group
from robench.evaluation.run_attacks import Job, attack_group, predict_all
from robench.evaluation.validation import (
    Classes,
    Pixels,
    as_floats,
    as_tensors,
    check_classes,
    check_radii,
)
from robench.evaluation.victim import Victim
from robench.models.accept import first_logits, plain_module
from robench.models.frozen import frozen_stats, placed, under_attack
from robench.system.devices import device_for
from robench.system.exact_float32 import exact_float32
from robench.system.random_state import own_random_state


@exact_float32()
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
    gradient attacks take their gradients from a faster copy of the model. Random numbers of attacks
    depend only on (seed, sample); those that a network draws in its forwards depend on the seed and
    the batches. No other thread may use the model meanwhile: give each its own copy.

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
    named = named_attacks(attacks, defaults or {})
    samples, classes = as_tensors(images, labels)
    check_radii({name: attack.threat_model for name, attack in named.items()}, samples)
    model = plain_module(model)
    options = EvaluationOptions.of(options, **keywords)
    home = device_for(model, options.device)
    with (
        torch.inference_mode(False),  # counters and starts must be writable tensors
        own_random_state(home, options.seed),  # for networks that draw random numbers
        placed(model, home),
        frozen_stats(model),
        under_attack(model),
    ):
        samples, classes = (t.clone() if t.is_inference() else t for t in (samples, classes))
        few = as_floats(samples[:QUANTUM].cpu()).to(home)
        check_classes(first_logits(model, few).shape[1], classes)
        for notice in [] if notices_are_off() else image_notices(samples):
            _warn(notice)
        victim = Victim(model, few, batch_size=options.batch_size, without=options.without)
        _warn(_refusals(victim.refused))
        samples, classes = samples.cpu(), classes.long().cpu()
        logits = predict_all(victim, samples)
        clean = right(logits, classes)
        defended = victim.defense is not None
        if not notices_are_off():
            _warn(logits_notice(logits, defended=defended, attacks=named.values()))
        if options.observer is not None:
            options.observer("clean", torch.arange(len(samples)), as_floats(samples), logits)
        groups = group_by_search(named)
        partial, keys = open_partial(victim, samples, classes, logits, groups, options)
        job = Job(
            victim=victim, images=samples, labels=classes, clean=clean, device=home,
            options=options, partial=partial,
        )  # fmt: skip
        results, certificates = _attack_each(groups, keys, job)
        partial.close()
        _warn(outcome_notice(model, samples, classes, named, results))
    return Evaluation(
        clean=clean.numpy(),
        attacks={name: results[name] for name in named},
        queried=tuple(name for name, attack in named.items() if attack.reports_queries),
        threat_models={name: attack.threat_model for name, attack in named.items()},
        corruptions=tuple(name for name, attack in named.items() if attack.corrupts),
        certificates=certificates,
        gradients=victim.gradients,
        refused=victim.refused,
        earlier=partial.earlier,
        logits=logits.shape[1],
    )


def _attack_each(
    groups: Sequence[Mapping[str, Attack]], keys: Sequence[str], job: Job
) -> tuple[dict[str, Outcomes], dict[str, Proven]]:
    results: dict[str, Outcomes] = {}
    certificates: dict[str, Proven] = {}
    for group, key in zip(groups, keys, strict=True):
        if is_certificate(group):
            outcomes, proven = prove_group(group, job)
            results |= outcomes
            certificates |= dict.fromkeys(group, proven)
        else:
            results |= attack_group(group, job, key)
    return results, certificates


LEFT_OUT = "the model is attacked without "
"""How the sentence begins that names the shortcuts that a model rules out; in a warning, the name
of the model may come before it."""


def _warn(notice: str | None) -> None:
    """Warn the caller of :func:`evaluate`, if there is something to say."""
    if notice is not None:
        warn(notice, stacklevel=4)


def _refusals(refused: Mapping[str, str]) -> str | None:
    """Return which shortcuts are left out, and why; None if none is."""
    if not refused:
        return None
    shortcuts: dict[str, list[str]] = {}
    for name, reason in sorted(refused.items()):
        shortcuts.setdefault(reason, []).append(name)
    parts = [f"{_listed(names)}, since {reason}" for reason, names in shortcuts.items()]
    slower = "shortcuts save time and are left out so that no figure depends on them."
    return f"{LEFT_OUT}{'; without '.join(parts)}: {slower}"


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def named_attacks(
    attacks: Sequence[str | Attack] | Mapping[str, Attack], defaults: Mapping[str, Any]
) -> dict[str, Attack]:
    """Build the attacks of :func:`evaluate`, by the names of their columns.

    Raises:
        UserError: as for :func:`evaluate`.
    """
    if isinstance(attacks, (str, Attack)):
        raise UserError(f"attacks is {attacks!r} alone; give a list: [{attacks!r}].")
    named: dict[str, Attack] = {}
    by_call: dict[str, Attack] = {}
    pairs: list[tuple[str | None, str | Attack]] = (
        list(attacks.items())
        if isinstance(attacks, Mapping)
        else [(None, a) for a in _each(attacks)]
    )
    for column, attack in pairs:
        _check_attack(attack)
        name = column or (attack if isinstance(attack, str) else repr(attack))
        if name in named or name == "clean":
            raise UserError(f"two columns would be named '{name}'; name each attack once.")
        built = build_attack(attack, defaults) if isinstance(attack, str) else attack
        if built.samples is not None and built.samples < 1:
            raise UserError(f"{name} has samples={built.samples}; give 1 or more, or leave it out.")
        named[name] = built
        if isinstance(attack, str):
            by_call[attack] = built
    calls = list(by_call)
    if defaults and named and not calls:
        raise UserError(
            f"defaults reach only attacks given by name, and these are objects: set "
            f"{', '.join(defaults)} on the objects."
        )
    if stated := unbounded(calls, defaults):
        message = f"defaults without effect: {', '.join(stated)}; no radius in {', '.join(calls)}."
        warn(message, stacklevel=4)
    check_defaults(calls, {name: v for name, v in defaults.items() if name not in stated})
    _check_radius_is_of_one_norm(by_call, defaults)
    return named


def _check_radius_is_of_one_norm(
    by_call: Mapping[str, Attack], defaults: Mapping[str, Any]
) -> None:
    """Refuse a default radius without a norm that reaches attacks of several norms.

    Args:
        by_call: the attacks given by name, as they were built with the defaults.
        defaults: the options for attacks that do not set them.

    Raises:
        UserError: if it does: 8/255 is a usual radius in Linf and next to none in L2.
    """
    if "eps" not in defaults or "norm" in defaults:
        return
    by_norm: dict[str, str] = {}
    for call, attack in by_call.items():
        ball = attack.threat_model
        if ball is not None and fate(call, "eps", defaults) is Fate.TAKEN:
            by_norm.setdefault(ball.norm, call)
    if len(by_norm) > 1:
        shown = " and ".join(f"{call} ({norm})" for norm, call in by_norm.items())
        raise UserError(
            f"eps = {defaults['eps']} would be the radius of {shown}, and no radius suits two "
            f"norms: name it in the attacks of one of them, such as pgd(norm='l2', eps=0.5)."
        )


def _each(attacks: Sequence[str | Attack]) -> Iterator[str | Attack]:
    """Yield one name or object per column."""
    for attack in attacks:
        yield from expand_calls([attack]) if isinstance(attack, str) else [attack]


def _check_attack(attack: object) -> None:
    """Raise an error for what is neither the name of an attack nor one."""
    if not isinstance(attack, (str, Attack)):
        shown = f"the class {attack.__name__}" if isinstance(attack, type) else repr(attack)
        raise UserError(f"an attack is {shown}; give a name such as 'pgd-20', or an object.")
    if isinstance(attack, Attack):
        check_fields(type(attack), "so that robench cannot tell its objects apart")
        options = {field.name for field in fields(attack)}
        if unknown := sorted(vars(attack).keys() - options):
            raise UserError(
                f"{type(attack).__name__} keeps '{unknown[0]}', which is no field of it: objects "
                f"that differ in it would count as one attack. Declare it as a field below "
                f"@dataclass(frozen=True)."
            )


def group_by_search(named: Mapping[str, Attack]) -> list[dict[str, Attack]]:
    """Group the attacks that share one search.

    Raises:
        UserError: if the options of an attack cannot be compared.
    """
    groups: dict[Any, dict[str, Attack]] = {}
    for name, attack in named.items():
        try:
            groups.setdefault((type(attack), attack.shared_work()), {})[name] = attack
        except TypeError as error:  # a list, a dict or an array among the options
            raise UserError(
                f"the options of {name} cannot be compared ({error}); use tuples instead of lists, "
                f"dicts or arrays."
            ) from None
    return list(groups.values())
