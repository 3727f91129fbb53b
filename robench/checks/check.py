"""``check_model``: run all checks on one network."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Unpack

import torch
from torch import nn

from robench.attack_tools.threat_models import check_radius
from robench.base import Attack, ThreatModel
from robench.checks.context import CheckContext, Columns
from robench.checks.contract import Check
from robench.checks.options import CheckKeywords, CheckOptions
from robench.checks.order import build_checks, default_checks
from robench.checks.report import Finding, Report
from robench.data.notices import image_notices
from robench.errors import RobenchWarning, UserError
from robench.evaluation import Outcomes
from robench.evaluation.forward import QUANTUM
from robench.evaluation.notices import notices_are_off
from robench.evaluation.shared_copies import copies_apart, copies_shared
from robench.evaluation.validation import (
    Classes,
    Pixels,
    as_floats,
    as_tensors,
    check_classes,
)
from robench.models.accept import first_logits, plain_module
from robench.models.frozen import frozen_stats, placed, under_attack
from robench.progress import Progress
from robench.system.devices import device_for
from robench.system.out_of_memory import is_of_machine
from robench.system.random_state import own_random_state, seed_torch


def check_model(
    model: nn.Module,
    images: Pixels,
    labels: Classes,
    threat_model: ThreatModel,
    *,
    columns: Columns | None = None,
    source: nn.Module | None = None,
    checks: Sequence[str | Check] | None = None,
    **keywords: Unpack[CheckKeywords],
) -> Report:
    """Check whether the robust accuracy that attacks measure on a network can be trusted.

    The network is restored on exit, including buffers, modes, gradient flags and what it keeps in
    Python attributes, and the global random state is not touched. The same arguments give the same
    report.

    Args:
        model: images in [0, 1] -> logits.
        images: (N, C, H, W), float in [0, 1] or uint8; every prefix should be class-balanced,
            as in the samples of :func:`robench.data.balanced_sample`.
        labels: (N,) integers.
        threat_model: the norm ("linf" or "l2") and radius for which robustness is claimed.
        columns: attacks that were already evaluated, by name, each with its outcomes on the first
            of these images; they are not run again. Certificates among them are passed over.
        source: another trained network, whose adversarial images are transferred to this one.
        checks: the checks to run: names with options, ``"more_steps(steps=200)"``, or check
            objects; :func:`default_checks` by default. They run in a fixed order, whatever the
            order in which they are given.
        keywords: the fields of :class:`robench.checks.options.CheckOptions` as keyword arguments:
            ``samples=64``, ``step_size=2 / 255``, ``seed=1``, ``batch_size=64``.

    Returns:
        At least one finding per check; a check that could not be made on this network says why.

    Raises:
        UserError: if images or labels are invalid, the model does not return logits for their
            classes, a radius or step is out of range, a check or option is unknown, or there are
            outcomes for more images than were given.

    Example:
        Multiplying the logits of a trained network by 1000 saturates the loss that attacks
        maximize::

            threat_model = robench.ThreatModel("linf", 8 / 255)
            report = robench.check_model(multiplied, images, labels, threat_model)
            print(report.failed)  # ["saturated_loss"]
    """
    options = CheckOptions.from_keywords(**keywords)
    if isinstance(checks, str):
        raise UserError(f"checks is '{checks}' alone; give a list: ['{checks}'].")
    chosen = build_checks(default_checks() if checks is None else checks)
    searched = {name: pair for name, pair in _pairs(columns or {}) if not pair[0].proves}
    context = _context(model, images, labels, threat_model, searched, source, options)
    findings: list[Finding] = []
    with torch.inference_mode(False), own_random_state(context.device), copies_shared():
        _check_it_runs(context)
        for done, check in enumerate(chosen):
            task = f"checks: {', '.join(check.findings)}"
            options.progress(Progress(task, done, len(chosen), "checks"))
            seed_torch(context.device, options.seed)  # for networks that draw random numbers
            findings += _findings(check, context)
    options.progress(Progress("checks", len(chosen), len(chosen), "checks"))
    return Report(len(context), tuple(findings), context.curve)


def _pairs(columns: Columns) -> Iterator[tuple[str, tuple[Attack, Outcomes]]]:
    """Yield the columns.

    Raises:
        UserError: if one has outcomes and no attack, as the attacks of an evaluation have.
    """
    for name, pair in columns.items():
        if isinstance(pair, Outcomes):
            raise UserError(
                f"the column '{name}' has outcomes and no attack; give both, "
                f"{{'{name}': (attack, outcomes)}}, with the attack as an object."
            )
        yield name, pair


def _check_it_runs(context: CheckContext) -> None:
    """Check that there is something to check: otherwise no check would fail.

    Raises:
        UserError: if the network cannot take the images, or does not return logits for the classes.
    """
    model = context.model
    with placed(model, context.device), frozen_stats(model), under_attack(model):
        few = context.images[:QUANTUM].to(context.device)
        check_classes(first_logits(model, few).shape[1], context.labels)


def _findings(check: Check, context: CheckContext) -> list[Finding]:
    """Return the findings of a check; if it raises, findings that could not be made."""
    own = type(check).__module__.startswith("robench.")  # which leaves the network as it is
    try:
        with nullcontext() if own else copies_apart():
            found = check.run(context)
            found = [found] if isinstance(found, Finding) else list(found)
        if (names := tuple(finding.check for finding in found)) != check.findings:
            raise UserError(
                f"{type(check).__name__} returned the findings {names} and declares "
                f"{check.findings}; let it return what it declares."
            )
    except UserError as error:
        reason = str(error)
    except Exception as error:  # whatever a network raises, its other checks still run
        if is_of_machine(error):  # elsewhere, or with more memory, it could be judged
            raise
        reason = f"{type(error).__name__}: {str(error).split(chr(10), 1)[0] or 'no reason given'}"
    else:
        return found
    return [Finding(name, None, f"It could not be judged: {reason}") for name in check.findings]


def _context(
    model: nn.Module,
    images: Pixels,
    labels: Classes,
    threat_model: ThreatModel,
    columns: Columns,
    source: nn.Module | None,
    options: CheckOptions,
) -> CheckContext:
    """Return the network with the images that the checks attack; the images are on the CPU."""
    norm, eps = _ball(threat_model)
    for column, (_, outcomes) in columns.items():
        if len(outcomes) > len(images):
            raise UserError(
                f"'{column}' has outcomes of {len(outcomes)} images, but only {len(images)} were "
                f"given; pass the images that it was evaluated on."
            )
    pixels, classes = as_tensors(images, labels)
    for notice in [] if notices_are_off() else image_notices(pixels):
        warnings.warn(notice, RobenchWarning, stacklevel=3)
    few, few_labels = as_floats(pixels[: options.samples]), classes[: options.samples]
    model = plain_module(model)
    device = device_for(model, options.device)
    context = CheckContext(
        model=model,
        images=few.clone().cpu(),
        labels=few_labels.clone().long().cpu(),
        threat_model=ThreatModel(norm, eps),
        columns=columns,
        source=None if source is None else plain_module(source),
        options=replace(options, device=device),
    )
    check_radius("eps", eps, context.norm)
    check_radius("step_size", context.step_size, context.norm)
    return context


def _ball(threat_model: ThreatModel) -> ThreatModel:
    """Return what was given as a threat model, if it is one that checks attack in.

    Raises:
        UserError: if it is not.
    """
    try:
        norm, eps = threat_model
        valid = norm in ("linf", "l2") and eps > 0
    except (TypeError, ValueError):
        valid = False
    if not valid:
        raise UserError(
            f"the threat model is {threat_model!r}; checks need linf or l2 and a radius above 0, "
            f"such as robench.ThreatModel('linf', 8 / 255)."
        )
    return ThreatModel(norm, eps)
