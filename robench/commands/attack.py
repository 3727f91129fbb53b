"""``robench attack``: evaluate attacks on a network and a data set."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
from torch import nn

from robench.base import ThreatModel
from robench.board.attack_calls import expand_calls
from robench.data import DataSet, Images, load_dataset
from robench.data.load import HUB, can_load, is_of_hub
from robench.data.notices import notify
from robench.data.selection import Selection
from robench.errors import UserError, warn
from robench.evaluation import Evaluation, evaluate
from robench.evaluation.cross_check import cross_check
from robench.evaluation.notices import gradient_notice, is_near_chance, without_notices
from robench.evaluation.options import EvaluationOptions, check_shortcuts
from robench.evaluation.validation import as_floats
from robench.expressions import split_expressions
from robench.leaderboard.row import has_none
from robench.models.accept import first_logits
from robench.models.checkpoint import Network, load_checkpoint
from robench.models.data_fit import check_fit
from robench.models.external import ExternalOptions, is_own_code, load_external, split_name
from robench.plugins import raised_in_plugin
from robench.registry import attacks as registry
from robench.runs.attack_cell import evaluation_images
from robench.runs.stored import check_weights_of_cell
from robench.system.devices import device_of

SAMPLES = 1000
"""How many test images are attacked by default."""

_LOOKED_AT = 16
"""Images of a network near chance whose logits are looked at."""


@dataclass(frozen=True)
class Target:
    """A network under attack, with its test images.

    Attributes:
        model: images in [0, 1] -> logits.
        sample: a class-balanced sample of the test images, or those of ``selection``.
        title: a description of the network and the images.
        classes: the class names by label; empty if the data set has none.
        selection: which test images these are, if they were chosen.
        notes: sentences for the user: what is put before a third-party network, and which of its
            file's weights were taken.
        unweighted: whether a network of the user's own code was given no file of weights.
    """

    model: nn.Module
    sample: Images
    title: str
    classes: tuple[str, ...] = ()
    selection: Selection | None = None
    notes: tuple[str, ...] = ()
    unweighted: bool = False


def trained_target(
    checkpoint: Path,
    *,
    data: str | None = None,
    data_dir: Path | None = None,
    samples: int | Selection = SAMPLES,
) -> Target:
    """Load a network that robench trained, with its test images.

    Args:
        checkpoint: a ``weights.safetensors``, or the folder that holds one.
        data: the data set; by default the one used in training.
        data_dir: folder where the data set is, or is downloaded to.
        samples: number of test images, all of them if there are fewer; or exactly these.

    Raises:
        UserError: if the checkpoint is damaged, a name is unknown, or the data does not fit.
    """
    check_weights_of_cell(checkpoint)
    model, network, facts = load_checkpoint(checkpoint)
    name = data or str(facts.get("dataset", ""))
    if data is None and not can_load(name):
        raise UserError(
            f"the network was trained on '{name}', but no data set of that name is registered; "
            f"name its images with --data image_folder:DIR."
        )
    dataset = load_dataset(name, data_dir)
    if data is None and not is_of_hub(name):  # the name of one has its commit
        check_same_data(network, dataset)
    fits = dataset.in_channels == network.in_channels and dataset.accepts(network.num_classes)
    if not fits:
        raise UserError(
            f"the network takes {network.in_channels}-channel images of {network.num_classes} "
            f"classes, but {dataset.name} has {dataset.in_channels} channels and "
            f"{dataset.num_classes} classes; name its data set with --data."
        )
    title = f"{network.defense}, {network.backbone} of width {network.width}"
    return _target(model, dataset, samples, title)


def external_target(
    name: str,
    data: str | None,
    *,
    weights: Path | None = None,
    options: ExternalOptions | None = None,
    data_dir: Path | None = None,
    samples: int | Selection = SAMPLES,
) -> Target:
    """Load a third-party network, with its test images.

    Args:
        name: see :func:`robench.models.external.load_external`.
        data: the data set; by default, that of the board that a network of the hub is a row of.
        weights: the file of its weights.
        options: what is put before the network, and which weights of the file are taken.
        data_dir: folder where the data set is, or is downloaded to.
        samples: number of test images, all of them if there are fewer; or exactly these.

    Raises:
        UserError: if the network, weights or data are missing or do not fit each other.
    """
    needed = "--model needs a data set; give --data image_folder:DIR or --data NAME."
    if data is None and split_name(name)[0] != HUB:
        raise UserError(needed)
    external = load_external(name, weights, options)
    if data is None and not external.dataset:
        raise UserError(needed)
    if data is None and not can_load(external.dataset):
        raise UserError(
            f"{name} is of the data set '{external.dataset}', but no data set of that name is "
            f"registered; name its images with --data image_folder:DIR."
        )
    dataset = load_dataset(data or external.dataset, data_dir)
    check_fit(external.module, name, dataset)
    target = _target(external.module, dataset, samples, external.origin or name)
    unweighted = weights is None and is_own_code(name)
    return replace(target, notes=external.notes, unweighted=unweighted)


def attack_target(
    target: Target,
    attacks: Sequence[str],
    *,
    defaults: Mapping[str, Any] | None = None,
    options: EvaluationOptions | None = None,
) -> Evaluation:
    """Attack a network; a warning says if its gradients are of no use to attacks.

    Args:
        target: the network and its images.
        attacks: expressions such as ``pgd-20(eps=4/255)``.
        defaults: options (eps, step_size, norm) of the attacks that do not set them.
        options: seed, batch size, device and so on.
    """
    images, labels = target.sample.images, target.sample.labels
    device = options.device if options else None
    try:
        if notice := gradient_notice(target.model, images, labels, device):
            warn(notice, stacklevel=2)
        with without_notices():
            return evaluate(
                target.model, images, labels, attacks, defaults=defaults, options=options
            )
    except UserError:
        raise
    except Exception as error:
        if (said := raised_in_plugin(error)) is None:
            raise
        raise UserError(said) from error


def accuracy_hint(target: Target, result: Evaluation) -> str | None:
    """Return a sentence on the likely causes if clean accuracy is near chance, or None."""
    classes = result.logits  # the images may be of a few of them
    if not is_near_chance(result.accuracy(), classes):
        return None
    chance = f"chance is {1 / classes:.1%}"
    said = f"clean accuracy is only {result.accuracy():.1%} of {classes} classes ({chance})"
    return f"{said}; {_causes(target)}"


def _causes(target: Target) -> str:
    """Return why a network may be right on hardly any image."""
    images = as_floats(target.sample.images[:_LOOKED_AT]).to(device_of(target.model))
    # Figures are there by now, and none is lost if a network fails when it is asked once more.
    with suppress(UserError, RuntimeError):
        finite = first_logits(target.model, images).isfinite().all(1)
        if not finite.all():
            return (
                f"on {int((~finite).sum())} of {len(images)} images the network returns logits "
                f"that are NaN or infinite, which count as mistakes: look for a division by zero "
                f"or a logarithm of 0."
            )
    if not target.notes:
        return "are these the images and classes that the network was trained on?"
    weights = (
        "untrained weights (no --checkpoint was given)" if target.unweighted else "other weights"
    )
    return (
        f"likely causes: another mean and std than in training (--normalize, or --mean and --std), "
        f"labels in another order, or {weights}."
    )


def adaptive_hint(result: Evaluation) -> str | None:
    """Return a sentence if an adaptive attack was asked for that the defense does not have."""
    none = [name for name, outcomes in result.attacks.items() if has_none(name, outcomes)]
    if not none:
        return None
    return (
        f"{none[0]}: this network comes with no attack against itself, so its images are the "
        f"clean ones."
    )


def cross_check_target(
    target: Target,
    threat_model: ThreatModel,
    *,
    step_size: float | None = None,
    options: EvaluationOptions | None = None,
) -> pd.DataFrame:
    """Compare attack libraries; see :func:`robench.evaluation.cross_check.cross_check`."""
    images, labels = target.sample.images, target.sample.labels
    return cross_check(
        target.model, images, labels, threat_model, step_size=step_size, options=options
    )


def requested(attacks: str, without: Sequence[str] = ()) -> list[str]:
    """Return the attacks that a text names, one per column, before anything is read.

    Args:
        attacks: names with options, separated by commas.
        without: names of shortcuts, which are looked up, too.

    Raises:
        UserError: if one is unknown; the message names the nearest.
    """
    check_shortcuts(without)
    names = split_expressions(attacks)
    if not names:
        raise UserError("no attack is named; name one, such as pgd-20, or separate several by ','.")
    for attack in names:
        registry.lookup(attack)
    return expand_calls(names)


def check_same_data(network: Network, dataset: DataSet) -> None:
    """Check that a registered data set is the one that a network was trained on.

    A folder of images may have its name; the network knows the mean and std of its images.

    Raises:
        UserError: if the network was trained on images of another mean or std.
    """
    trained, found = (network.mean, network.std), (tuple(dataset.mean), tuple(dataset.std))
    if trained != found:
        raise UserError(
            f"the network was trained on images named '{dataset.name}' of mean {trained[0]} and "
            f"std {trained[1]}, but those of the registered data set have {found[0]} and "
            f"{found[1]}; name its images with --data image_folder:DIR."
        )


def _target(model: nn.Module, dataset: DataSet, samples: int | Selection, title: str) -> Target:
    if isinstance(samples, Selection):
        sample, which = samples.take(dataset), f" ({samples.text})"
        selection = samples
    else:
        count = len(dataset.test)
        if count < samples != SAMPLES:
            notify(f"{dataset.name} has {count} test images, not {samples}; all are used.")
        sample, which = evaluation_images(dataset, min(samples, count)), ""
        selection = None
    words = f"{title}; {dataset.name}, {len(sample.labels)} test images{which}"
    return Target(model, sample, words, tuple(dataset.classes), selection)
