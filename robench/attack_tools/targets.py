"""Target classes: the likeliest other classes of each clean image, or the nearest of these."""

import torch
from torch import Tensor

from robench.attack_tools.batching import run_batched
from robench.attack_tools.boundaries import distance
from robench.attack_tools.losses import ascent_directions, predict
from robench.attack_tools.threat_models import Norm
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


def nearest_first(
    model: LogitsModel, images: Tensor, labels: Tensor, candidates: Tensor, norm: Norm
) -> Tensor:
    """Return the candidates in the order of their distances, nearest first, int64 on the CPU.

    The distance of a class is that of the boundary to it if the network were linear: the lead of
    the true class over it, divided by the dual norm of the gradient of that lead (MALT, Melamed et
    al. 2024). A class of zero gradient is far away; in the authors' code it is the nearest.

    It takes one forward of each image and a gradient for each candidate, all in float32.

    Args:
        model: images -> logits; its ``batch_size`` limits the batches.
        images: (N, C, H, W).
        labels: (N,) true classes.
        candidates: (N, count) other classes than the true ones.
        norm: the norm of the distances.

    Raises:
        UserError: if the model's logits are detached from its images.
    """
    found = torch.zeros_like(candidates)

    def advance(rows: Tensor) -> Tensor:
        true, others = labels[rows].long().unsqueeze(1), candidates[rows].to(images.device)
        leads = ascent_directions(
            model, images[rows], lambda logits: logits.gather(1, others) - logits.gather(1, true)
        )
        away = torch.stack([distance(lead, slope, norm) for slope, lead in leads], dim=1)
        found[rows] = others.gather(1, away.argsort(dim=1, stable=True)).cpu()
        return torch.ones(len(rows), dtype=torch.bool)

    run_batched(model, torch.arange(len(images)), advance, reports=False)
    return found
