"""Complexity of a network: parameters, multiply-adds and memory, from torch's own counters."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed._tools.mem_tracker import MemTracker
from torch.nn import functional as F
from torch.nn.utils import parametrize
from torch.utils.flop_counter import FlopCounterMode
from torch.utils.weak import WeakIdKeyDictionary

from robench.base import Defense
from robench.kernels.safe_gradients import SafeGradients
from robench.models.frozen import frozen_stats, in_training, under_attack
from robench.models.penalty import checked_penalty
from robench.system.devices import device_of


@dataclass(frozen=True)
class Complexity:
    """Costs that do not depend on the speed or load of the machine.

    Attributes:
        parameters: number of trained parameters.
        multiply_adds: of the forward of one image in evaluation, with weights that are computed
            from others already cached. torch counts convolutions and matrix products, not FFTs.
        training_memory_mib: peak of all tensors during forward and backward of a training batch
            (parameters, gradients, activations, temporaries; without the optimizer), in MiB.

    A value is None if torch cannot count it for a third-party model.
    """

    parameters: int
    multiply_adds: int | None
    training_memory_mib: float | None


def count_parameters(model: nn.Module) -> int:
    """Return the number of trained parameters of a network."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def measure_complexity(
    model: nn.Module, defense: Defense, images: Tensor, *, precision: str = "float32"
) -> Complexity:
    """Measure the complexity of a network on its device.

    The network is left unchanged, without gradients, also after an exception.

    Args:
        model: images in [0, 1] -> logits.
        defense: the defense, whose penalty is part of a training step.
        images: a training batch, (B, C, H, W).
        precision: ``float32`` or ``bf16``, for the training step.
    """
    return Complexity(
        parameters=count_parameters(model),
        multiply_adds=count_multiply_adds(model, images[:1]),
        training_memory_mib=_training_memory(model, defense, images, precision) / 2**20,
    )


def count_multiply_adds(model: nn.Module, image: Tensor) -> int:
    """Return the multiply-adds of the forward of one image, (1, C, H, W), in evaluation.

    They depend on shapes only, not on weights or device; the model is left unchanged.
    """
    with frozen_stats(model), under_attack(model), torch.no_grad(), parametrize.cached():
        model(image)  # fills the caches that layers use in evaluation
        return multiply_adds_during(lambda: model(image))


def multiply_adds_during(forward: Callable[[], object]) -> int:
    """Return the multiply-adds of a call, as torch counts them."""
    with FlopCounterMode(display=False) as counter:
        forward()
    return int(counter.get_total_flops()) // 2


class _PeakTracker(MemTracker):
    """Tracks the peak of the whole network alone."""

    def _update_peak_stats(self, peak_state: Any) -> None:
        # At each operation torch goes through all modules, for a peak of each: most of its time.
        modules, self.memory_tracking = self.memory_tracking, WeakIdKeyDictionary()
        super()._update_peak_stats(peak_state)
        self.memory_tracking = modules


def _training_memory(model: nn.Module, defense: Defense, images: Tensor, precision: str) -> float:
    device = device_of(model)
    # All parameters are trained, since the tracker registers hooks on each.
    with frozen_stats(model), in_training(model):
        tracker = _PeakTracker()
        tracker.track_external(model, images)
        with SafeGradients(), tracker:
            with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
                logits = model(images.detach().requires_grad_())
            labels = torch.zeros(len(images), dtype=torch.int64, device=device)
            loss = F.cross_entropy(logits.float(), labels)
            penalty = checked_penalty(defense, model)
            (loss if penalty is None else loss + penalty).backward()
    peak = tracker.get_tracker_snapshot("peak")
    return float(sum(parts["Total"] for parts in peak.values()))
