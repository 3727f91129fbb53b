"""``robench attack``: a network, a data set and attacks in, outcomes out."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn

from robench.data import DataSet, Images, load_dataset
from robench.data.load import can_load
from robench.errors import UserError
from robench.evaluation import Evaluation, evaluate
from robench.evaluation.cross_check import cross_check
from robench.models.checkpoint import load_checkpoint
from robench.models.external import check_fit, load_external
from robench.runs.cell import evaluation_images
from robench.runs.progress import NullReporter, ProgressReporter


@dataclass(frozen=True)
class Target:
    """What is attacked.

    Attributes:
        model: images in [0, 1] -> logits.
        sample: a class-balanced sample of the test images.
        title: the network and the images in words.
        classes: their names by label; empty where the data set has none.
    """

    model: nn.Module
    sample: Images
    title: str
    classes: tuple[str, ...] = ()


def trained_target(
    checkpoint: Path, *, data: str | None = None, data_dir: Path | None = None, samples: int = 1000
) -> Target:
    """Return a network that robench trained.

    Args:
        checkpoint: a ``weights.safetensors``, or the folder that holds one.
        data: the data set; that of the training if left out.
        data_dir: where the data set is, or is downloaded to.
        samples: number of test images; all of them where there are fewer.

    Raises:
        UserError: for a damaged checkpoint, an unknown name, or data that does not fit.
    """
    model, network, facts = load_checkpoint(checkpoint)
    name = data or str(facts.get("dataset", ""))
    if data is None and not can_load(name):
        raise UserError(
            f"the network was trained on '{name}', which has no loader of that name; "
            f"say where the images are with --data image_folder:DIR."
        )
    dataset = load_dataset(name, data_dir)
    if (dataset.in_channels, dataset.num_classes) != (network.in_channels, network.num_classes):
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
    data_dir: Path | None = None,
    samples: int = 1000,
) -> Target:
    """Return somebody else's network.

    Args:
        name: see :func:`robench.models.external.load_external`.
        data: the data set.
        weights: file of its weights.
        data_dir: where the data set is, or is downloaded to.
        samples: number of test images; all of them where there are fewer.

    Raises:
        UserError: where network, weights or data are not there or do not fit each other.
    """
    if data is None:
        raise UserError("say which images --model is for: --data image_folder:DIR or --data NAME.")
    model = load_external(name, weights)
    dataset = load_dataset(data, data_dir)
    check_fit(model, name, dataset)
    return _target(model, dataset, samples, name)


def attack_target(
    target: Target,
    attacks: Sequence[str],
    *,
    defaults: Mapping[str, Any] | None = None,
    seed: int = 0,
    batch_size: int = 256,
    without: Collection[str] = (),
    device: torch.device | None = None,
    reporter: ProgressReporter | None = None,
) -> Evaluation:
    """Attack a network.

    Args:
        target: the network and its images.
        attacks: calls such as ``pgd-20(eps=4/255)``.
        defaults: options (eps, step_size, norm) of the attacks that do not set them.
        seed: of random starts and orders.
        batch_size: images in a forward pass.
        without: shortcuts to leave out.
        device: where to work; the CPU by default.
        reporter: told how the work goes.
    """
    return evaluate(
        target.model,
        target.sample.images,
        target.sample.labels,
        attacks,
        defaults=defaults,
        seed=seed,
        batch_size=batch_size,
        without=without,
        device=device,
        progress=(reporter or NullReporter()).attacking,
    )


def cross_check_target(
    target: Target,
    *,
    defaults: Mapping[str, Any],
    seed: int = 0,
    batch_size: int = 256,
    device: torch.device | None = None,
    reporter: ProgressReporter | None = None,
) -> pd.DataFrame:
    """Compare libraries on a network; see :func:`robench.evaluation.cross_check.cross_check`."""
    return cross_check(
        target.model,
        target.sample.images,
        target.sample.labels,
        **defaults,
        seed=seed,
        batch_size=batch_size,
        device=device,
        progress=(reporter or NullReporter()).attacking,
    )


def _target(model: nn.Module, dataset: DataSet, samples: int, title: str) -> Target:
    sample = evaluation_images(dataset, min(samples, len(dataset.test)))
    words = f"{title}; {dataset.name}, {len(sample.labels)} test images"
    return Target(model, sample, words, tuple(dataset.classes))
