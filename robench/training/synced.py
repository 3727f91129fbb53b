"""Batch norms over the whole batch when each process has a part of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm


@contextmanager
def synced_norms(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Make the batch norms of ``model`` use the statistics of all processes inside the context.

    On CUDA this is torch's ``SyncBatchNorm``, which supports no other device; elsewhere it is the
    same arithmetic, implemented here. Layers keep their identity, parameters and buffers.
    """
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    kinds = [type(norm) for norm in norms]
    for norm, kind in zip(norms, kinds, strict=True):
        if kind not in (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d):
            continue  # it already synchronizes, or computes something else
        norm.process_group = None  # type: ignore[assignment]  # SyncBatchNorm's: all processes
        norm.__class__ = nn.SyncBatchNorm if device.type == "cuda" else _Synced
    try:
        yield
    finally:
        for norm, kind in zip(norms, kinds, strict=True):
            norm.__class__ = kind
            norm.__dict__.pop("process_group", None)


class _Synced(_BatchNorm):
    """A batch norm that uses the mean and variance of the batches of all processes."""

    def _check_input_dim(self, input: Tensor) -> None:
        pass

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        x = input.float()
        axes = [0, *range(2, x.ndim)]
        shape = [1, -1, *[1] * (x.ndim - 2)]
        count = _total(torch.tensor(float(x.numel() // x.shape[1]), device=x.device))
        mean = _total(x.sum(axes)) / count
        centered = x - mean.view(shape)
        variance = _total(centered.square().sum(axes)) / count
        self._average(mean.detach(), variance.detach() * count / (count - 1))
        y = centered * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            y = y * self.weight.view(shape) + self.bias.view(shape)
        return y.to(input.dtype)

    def _average(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        rate = self.momentum
        if rate is None:  # the mean of all batches
            rate = 1 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), rate)
        self.running_var.lerp_(variance.to(self.running_var.dtype), rate)


def _total(value: Tensor) -> Tensor:
    total: Tensor = _Sum.apply(value)
    return total


class _Sum(torch.autograd.Function):
    """The sum over all processes. The loss of each depends on it, so gradients are summed too."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        total = value.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        distributed.all_reduce(total)
        return total
