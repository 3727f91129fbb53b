"""``robench.train``: the training loop for use from Python."""

from typing import Any

import torch
from torch import nn

from robench.base import Defense
from robench.board.recipes import recipe_for
from robench.board.specs import TrainingSpec
from robench.data import DataSet, held_out, load_dataset
from robench.models.build import apply_defense, build_model
from robench.registry import defenses
from robench.system.devices import choose_device
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
    """Train a network with a defense, adversarially for free unless told otherwise.

    Args:
        defense: its name with options, ``"convnorm(bn=False)"``, or the object.
        data: a data set's name, or one made by :func:`robench.load_dataset`.
        model: your own ConvNet, images in [0, 1] -> logits, left as it is: the defense is
            applied to a copy. ``backbone``, ``width`` and ``stem`` are for networks of the suite.
        backbone: a registered backbone.
        width: channels of its first stage.
        stem: ``cifar``, ``half`` or ``imagenet``.
        validation: fraction of the training images held out.
        seed: of weights, split, order and augmentation.
        device: ``auto``, ``cpu``, ``cuda``, ...
        recipe: fields of :class:`robench.board.board.TrainingSpec`, e.g. ``epochs=10``,
            ``eps="8/255"``, ``method="standard"``, ``method="free(replays=8)"``.

    Returns:
        The trained network, images in [0, 1] -> logits, in eval mode.

    Raises:
        UserError: for an unknown name, or a value or network that does not fit.
        TrainingDivergedError: where the loss ceases to be finite.
    """
    dataset = load_dataset(data) if isinstance(data, str) else data
    arm = defenses.build(defense) if isinstance(defense, str) else defense
    spec = recipe_for(TrainingSpec(), arm, recipe)
    chosen = choose_device(device)
    train_images, val = held_out(dataset, validation, seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = (
            apply_defense(model, arm)
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
                defense=arm,
            )
        )
        fit(
            network,
            arm,
            spec,
            TrainingData(train_images, val, dataset.augmentation, seed),
            device=chosen,
        )
    return network
