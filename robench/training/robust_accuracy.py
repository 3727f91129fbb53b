"""Accuracy under PGD on a few validation images, which shows whether training has collapsed."""

import math
from typing import get_args

import torch
from lightning_fabric import Fabric
from torch import nn

from robench.attack_tools.losses import fooled
from robench.attack_tools.randomness import generators
from robench.attack_tools.threat_models import Norm
from robench.base import ThreatModel
from robench.data import Images
from robench.errors import UserError
from robench.expressions import Expression
from robench.models.frozen import frozen_stats, under_attack
from robench.registry import attacks
from robench.system.processes import Shard
from robench.training.parallel import total

IMAGES = 50
"""Validation images that are attacked, or all if there are fewer."""

STEPS = 10
"""Steps of PGD, from one random start, each a quarter of the radius."""


def robust_accuracy(
    fabric: Fabric,
    shard: Shard,
    model: nn.Module,
    images: Images,
    ball: ThreatModel | None,
    batch_size: int,
) -> float:
    """Return the accuracy under PGD on a few images, in eval mode and float32.

    Neither the network nor any random state changes, and each image has the same start after every
    epoch, so that a difference between two epochs is one between their networks.

    Args:
        fabric: the device, and the other processes, each of which attacks its shard.
        shard: this process's part of the images.
        model: images in [0, 1] -> logits.
        images: the validation part; the images that are attacked are spread over it.
        ball: the ball in which PGD attacks; None if there is nothing to attack.
        batch_size: the largest batch, that of the training.

    Returns:
        The accuracy in [0, 1]; nan if there are no images, no ball whose norm PGD knows, or no
        gradients.
    """
    if not len(images) or ball is None or ball.norm not in get_args(Norm):
        return math.nan
    count = min(IMAGES, len(images))
    chosen = torch.linspace(0, len(images) - 1, count).long()
    mine = chosen[shard.of(torch.arange(count))]
    right = torch.zeros((), dtype=torch.int64, device=fabric.device)
    failed = torch.zeros_like(right)
    try:
        pgd = attacks.build(Expression("pgd", {"norm": ball.norm, "eps": ball.eps, "steps": STEPS}))
        with frozen_stats(model), under_attack(model):
            for rows in mine.split(batch_size) if len(mine) else ():
                [(x, y)] = images.take(rows).batches(len(rows), device=fabric.device)
                seen = pgd.perturb(model, x, y, generators(0, rows.tolist())).images
                right += (~fooled(model, seen, y)).sum()
    except UserError:  # no gradient in eval mode, or no such ball, which an evaluation will say
        failed += 1
    # In all processes: one without images has not failed, and would wait for the others' counts.
    counts = total(fabric, torch.stack([right, failed])).tolist()
    return math.nan if counts[1] else counts[0] / count
