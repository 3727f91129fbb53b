"""``robench.train``: train a network from Python."""

from typing import Any

import torch
from torch import nn

from robench.base import Defense
from robench.board.recipes import recipe_for
from robench.board.specs import TrainingSpec
from robench.data import DataSet, held_out, load_dataset
from robench.errors import UserError
from robench.models.accept import first_logits, plain_module
from robench.models.build import apply_defense, build_model
from robench.models.frozen import frozen_stats, under_attack
from robench.registry import defenses
from robench.system.devices import choose_device
from robench.system.random_state import own_random_state
from robench.training.data import TrainingData
from robench.training.loop import fit


# More parameters than usual: each is a keyword that a user writes in one call of a notebook.
def train(
    defense: str | Defense,
    data: str | DataSet = "mnist5k",
    *,
    model: nn.Module | None = None,
    backbone: str = "resnet18",
    width: int = 16,
    stem: str = "half",
    validation: float = 0.1,
    seed: int = 0,
    device: str = "auto",
    **recipe: Any,
) -> nn.Module:
    """Train a network with a defense, by default with free adversarial training.

    Args:
        defense: its name with options, ``"convnorm(bn=False)"``, or a defense object.
        data: the name of a data set, or a data set loaded by :func:`robench.load_dataset`.
        model: your own ConvNet, images in [0, 1] -> logits, left unchanged: the defense is
            applied to a copy. ``backbone``, ``width`` and ``stem`` apply to built-in networks.
        backbone: the name of a registered backbone.
        width: number of channels of its first stage.
        stem: ``cifar``, ``half`` or ``imagenet``.
        validation: fraction of the training images to hold out.
        seed: seed of the weights, split, order and augmentation.
        device: ``auto``, ``cpu``, ``cuda``, ...
        recipe: fields of :class:`robench.board.specs.TrainingSpec`, e.g. ``epochs=10``,
            ``eps="8/255"``, ``method="standard"``, ``method="free(replays=8)"``.

    Returns:
        The trained network, images in [0, 1] -> logits, in eval mode.

    Raises:
        UserError: if a name is unknown, or a value or network does not fit.
        TrainingDivergedError: if the loss is no longer finite.
    """
    dataset = load_dataset(data) if isinstance(data, str) else data
    if not isinstance(dataset, DataSet):
        raise UserError(
            f"data is a {type(dataset).__name__}; give a name, or what robench.load_dataset "
            f"returns (arrays: save them in an .npz file of images and labels)."
        )
    built = defenses.build(defense) if isinstance(defense, str) else defense
    spec = recipe_for(TrainingSpec(), built, recipe)
    chosen = choose_device(device)
    train_images, val = held_out(dataset, validation, seed)
    with own_random_state(chosen, seed):
        network = (
            apply_defense(model, built)
            if model is not None
            else build_model(
                backbone,
                num_classes=dataset.num_classes,
                in_channels=dataset.in_channels,
                image_size=dataset.image_size,
                width=width,
                stem=stem,
                mean=dataset.mean,
                std=dataset.std,
                defense=built,
            )
        )
        if model is not None:
            _check_own(network, dataset, chosen)
        fit(
            network,
            built,
            spec,
            TrainingData(train_images, val, dataset.augmentation, seed),
            device=chosen,
        )
    return network


def _check_own(network: nn.Module, dataset: DataSet, device: torch.device) -> None:
    """Refuse, before training, a network of one's own that does not fit the data set."""
    network = plain_module(network).to(device)
    images = torch.zeros(2, dataset.in_channels, *dataset.image_size, device=device)
    with frozen_stats(network), under_attack(network):
        classes = first_logits(network, images).shape[1]
    if classes < dataset.num_classes:
        raise UserError(
            f"the model has {classes} classes, but {dataset.name} has {dataset.num_classes}; give "
            f"its last layer one output per class."
        )
