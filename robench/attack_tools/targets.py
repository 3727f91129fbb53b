"""Target classes: the likeliest other classes of each clean image."""

import torch
from torch import Tensor

from robench.attack_tools.batching import run_batched
from robench.attack_tools.losses import predict
from robench.base import LogitsModel


def likeliest_others(model: LogitsModel, images: Tensor, labels: Tensor, count: int) -> Tensor:
    """Return other classes than the true ones, likeliest first, (N, count) int64 on the CPU.

    It takes one forward of each image.

    Args:
        model: images -> logits; its ``batch_size`` limits the batches.
        images: (N, C, H, W).
        labels: (N,) true classes.
        count: the number of classes to return, fewer than the model has.
    """
    found = torch.zeros(len(images), count, dtype=torch.int64)

    def advance(rows: Tensor) -> Tensor:
        logits = predict(model, images[rows])
        others = logits.scatter(1, labels[rows].long().unsqueeze(1), -torch.inf)
        found[rows] = others.argsort(dim=1, descending=True, stable=True)[:, :count].cpu()
        return torch.ones(len(rows), dtype=torch.bool)

    run_batched(model, torch.arange(len(images)), advance, reports=False)
    return found
