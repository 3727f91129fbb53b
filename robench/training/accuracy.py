"""Clean accuracy, computed by one process or by several together."""

import math

import torch
from lightning_fabric import Fabric
from torch import nn

from robench.attack_tools.losses import right
from robench.data import Images
from robench.system.processes import Shard
from robench.training.parallel import total


def accuracy(model: nn.Module, images: Images, device: torch.device) -> float:
    """Return the clean accuracy in [0, 1], in eval mode and float32; nan if there are no images."""
    return _correct(model, images, device) / len(images) if len(images) else math.nan


def shared_accuracy(fabric: Fabric, shard: Shard, model: nn.Module, images: Images) -> float:
    """Return :func:`accuracy`, for which each process evaluates its shard of the images."""
    if shard.count == 1 or not len(images):
        return accuracy(model, images, fabric.device)
    mine = images.take(shard.of(torch.arange(len(images))))
    correct = torch.tensor(_correct(model, mine, fabric.device), device=fabric.device)
    return int(total(fabric, correct)) / len(images)


def _correct(model: nn.Module, images: Images, device: torch.device) -> int:
    model.eval()
    with torch.no_grad():
        return sum(
            int(right(model(batch), labels).sum())
            for batch, labels in images.batches(500, device=device)
        )
