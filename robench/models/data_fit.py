"""Whether a third-party model takes the images of a data set and returns a logit per class."""

import torch
from torch import nn

from robench.data import DataSet
from robench.errors import UserError
from robench.models.accept import (
    check_logits,
    input_hint,
    plain_module,
    reason,
    refuse_weights_that_are_not_finite,
)
from robench.models.build import Normalize
from robench.models.external import split_name
from robench.models.library_networks import LIBRARIES


def check_fit(model: nn.Module, name: str, dataset: DataSet) -> None:
    """Check a model's weights, and its input and output with one black image of a dataset.

    Raises:
        UserError: if the model is of a kind that cannot be evaluated, does not accept the image or
            does not return one logit per class.
    """
    plain_module(model)
    shape = (dataset.in_channels, *dataset.image_size)
    try:
        with torch.no_grad():
            returned = model(torch.zeros(1, *shape))
    except Exception as error:
        raise UserError(
            f"{name} cannot take images of {'x'.join(map(str, shape))} from {dataset.name} "
            f"({reason(error)}){_normalization_hint(model, dataset)}"
            f"{input_hint(model, torch.zeros(1, *shape))}."
        ) from error
    fits = isinstance(returned, torch.Tensor) and returned.ndim == 2 and len(returned) == 1
    if isinstance(returned, torch.Tensor) and not (fits and dataset.accepts(returned.shape[1])):
        classes = dataset.num_classes
        hint = (
            f"; write NAME(num_classes={classes}) and give its weights with --checkpoint"
            if split_name(name)[0] in LIBRARIES
            else ""
        )
        raise UserError(
            f"{name} returns {tuple(returned.shape)} for one image, but {dataset.name} has "
            f"{classes} classes: (1, {classes}) is needed{hint}."
        )
    finite = check_logits(returned, 1).isfinite().all()
    if not finite and not all(p.isfinite().all() for p in model.parameters()):
        refuse_weights_that_are_not_finite(model)


def _normalization_hint(model: nn.Module, dataset: DataSet) -> str:
    """Say that the mean and std are of other images; gray images become colored ones by them."""
    means = [layer.mean.numel() for layer in model.children() if isinstance(layer, Normalize)]
    if not means or means[0] in (1, dataset.in_channels):
        return ""
    return (
        f"; the mean and std before it have {means[0]} channels, but the images have "
        f"{dataset.in_channels}: give --mean and --std, or --normalize none"
    )
