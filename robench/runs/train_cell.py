"""Train a cell's network from its specification, independently of the store."""

import torch
from torch import nn

from robench.board.cells import Cell
from robench.board.specs import DataSpec
from robench.data import (
    Augmentation,
    DataSet,
    ImageStream,
    add_label_noise,
    held_out,
    subset,
)
from robench.data.load import entry_of
from robench.data.notices import notify
from robench.data.sampling import split_indices, subset_indices
from robench.errors import UserError
from robench.models.checkpoint import Network
from robench.progress import ProgressCallback, ignore_progress
from robench.registry import datasets, defenses
from robench.system.random_state import own_random_state
from robench.training.data import TrainingData
from robench.training.loop import fit
from robench.training.resume import Epoch, TrainingFiles


def fit_cell(
    cell: Cell,
    dataset: DataSet,
    device: torch.device,
    *,
    files: TrainingFiles | None = None,
    progress: ProgressCallback = ignore_progress,
) -> tuple[nn.Module, list[Epoch]]:
    """Train a cell's network, resuming from ``files``; torch's random state is left unchanged.

    Returns:
        The network in eval mode, and the log.

    Raises:
        TrainingDivergedError: if its loss is no longer finite.
        UserError: if the data do not fit the specification, or files cannot be used.
    """
    data = training_data(cell, dataset)
    with own_random_state(device, cell.seed):
        model = Network.of(cell, dataset).build()
        epochs = fit(
            model,
            defenses.build(cell.defense),
            cell.training,
            data,
            device=device,
            files=files,
            progress=progress,
        )
    return model, epochs


def training_data(cell: Cell, dataset: DataSet) -> TrainingData:
    """Return the images that a cell is trained and validated on, and their augmentation.

    The validation part is split off first and never has noisy labels; the subset is taken from
    the rest. All of it depends on the seed of the cell.

    Raises:
        UserError: if the data do not fit the specification.
    """
    spec, augmentation = cell.data, augmentation_of(cell, dataset)
    train, val = held_out(dataset, spec.validation, cell.seed)
    if isinstance(train, ImageStream):
        if spec.subset < 1 or spec.label_noise > 0 or spec.validation > 0:
            raise UserError(
                f"{dataset.name} is streamed, which supports neither data.subset nor "
                f"data.label_noise, and holds no images out: leave those out, and set "
                f"data.validation = 0."
            )
        return TrainingData(train, val, augmentation, cell.seed)
    train = subset(train, spec.kept, cell.seed)
    classes, noise = dataset.num_classes, spec.label_noise
    train = add_label_noise(train, noise, classes, cell.seed, spec.label_noise_mode)
    return TrainingData(train, val, augmentation, cell.seed)


def minibatch_of(data: DataSpec, batch_size: int, dataset: DataSet) -> int:
    """Return how many images the largest minibatch of a training has.

    Args:
        data: which images are trained on.
        batch_size: that of the recipe; there may be fewer images.
        dataset: the images. Without training images the recipe's is returned.
    """
    if not len(dataset.train):
        return batch_size
    if isinstance(dataset.train, ImageStream):
        return min(batch_size, len(dataset.train))
    kept, _ = split_indices(dataset.train.labels, data.validation, seed=0)
    images = subset_indices(dataset.train.labels[kept], data.kept, seed=0)
    return min(batch_size, len(images))


def augmentation_of(cell: Cell, dataset: DataSet) -> Augmentation:
    """Return how the training images of a cell are augmented.

    A notice says so if the board leaves open whether gray images of a folder are mirrored.

    Raises:
        UserError: if the padding is so large that crops may hold nothing of the image.
    """
    spec, usual = cell.data, dataset.augmentation
    padding = usual.crop_padding if spec.crop_padding is None else spec.crop_padding
    height, width = dataset.image_size
    if padding >= min(height, width):
        raise UserError(
            f"data.crop_padding is {padding}, and the images of {dataset.name} have "
            f"{height}x{width} pixels, so that crops would miss them; give at most "
            f"{min(height, width) - 1}."
        )
    if spec.flip is not None:
        return Augmentation(padding, spec.flip)
    if usual.flip and dataset.in_channels == 1 and entry_of(dataset.name) not in datasets:
        notify(
            f"the gray images of {dataset.name} are mirrored at random in training, as photographs "
            f"may be: set data.flip to false if they show digits or letters, or to true."
        )
    return Augmentation(padding, usual.flip)
