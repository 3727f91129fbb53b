"""Whether the network that is attacked, rebuilt from its weights, is the one that was trained."""

import torch
from torch import Tensor, nn

from robench.errors import UserError
from robench.evaluation.agreement import near
from robench.models.frozen import frozen_stats, under_attack
from robench.system.devices import device_of


def check_restored(trained: nn.Module, restored: nn.Module, images: Tensor, defense: str) -> None:
    """Check that a network which was rebuilt from its weights predicts as the trained one does.

    Args:
        trained: the network after training.
        restored: the network with its weights.
        images: a few images (B, C, H, W) in [0, 1].
        defense: the name of its defense.

    Raises:
        UserError: if their logits differ: something that training changes is in no weights file.
    """
    wanted, again = _logits(trained, images), _logits(trained, images)
    if not wanted.isfinite().all() or not near(again, wanted, "float32"):
        return  # a randomized network has no logits of its own
    if near(_logits(restored, images), wanted, "float32"):
        return
    raise UserError(
        f"the network with '{defense}' that is rebuilt from its weights predicts differently from "
        f"the one that was trained: a layer keeps state in a plain attribute, which is not stored; "
        f"make it an nn.Parameter, or register it with register_buffer."
    )


def _logits(model: nn.Module, images: Tensor) -> Tensor:
    device = device_of(model)
    with (
        frozen_stats(model),
        under_attack(model),
        torch.no_grad(),
        torch.autocast(device.type, enabled=False),
    ):
        logits: Tensor = model(images.to(device))
    return logits.float().cpu()
