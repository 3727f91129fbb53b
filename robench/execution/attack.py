"""``robench attack``: a checkpoint, a data set and attacks in, a table out."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from robench.checkpoint import load_checkpoint
from robench.data import load_dataset
from robench.errors import UserError
from robench.evaluation import evaluate
from robench.execution.cell import judged_images
from robench.execution.watcher import Silent, Watcher
from robench.registry import datasets


def attack_checkpoint(
    checkpoint: Path,
    attacks: Sequence[str],
    *,
    data: str | None = None,
    data_dir: Path | None = None,
    samples: int = 1000,
    seed: int = 0,
    batch_size: int = 256,
    without: Collection[str] = (),
    device: torch.device | None = None,
    defaults: Mapping[str, Any] | None = None,
    watcher: Watcher | None = None,
) -> pd.DataFrame:
    """Attack a network that robench trained on a class-balanced sample of the test images.

    Args:
        checkpoint: a ``weights.safetensors``, or the folder that holds one.
        attacks: calls such as ``pgd-20(eps=4/255)``.
        data: the data set; that of the training if left out.
        data_dir: where the data set is, or is downloaded to.
        samples: number of test images; all of them where there are fewer.
        seed: of random starts and orders.
        batch_size: images in a forward pass.
        without: shortcuts to leave out.
        device: where to work; the CPU by default.
        defaults: options (eps, step_size, norm) of the attacks that do not set them.
        watcher: told how the work goes.

    Returns:
        A row for ``clean`` and each attack.

    Raises:
        UserError: for a damaged checkpoint, an unknown name, or data that does not fit.
    """
    model, network, facts = load_checkpoint(checkpoint)
    name = data or str(facts.get("dataset", ""))
    if data is None and name not in datasets:
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
    sample = judged_images(dataset, min(samples, len(dataset.test)))
    return evaluate(
        model.to(memory_format=torch.channels_last),
        sample.images,
        sample.labels,
        attacks,
        defaults=defaults,
        seed=seed,
        batch_size=batch_size,
        without=without,
        device=device,
        progress=(watcher or Silent()).attacking,
    ).table()
