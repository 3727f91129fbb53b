"""The gradients of a training step, replayed as a CUDA graph.

A step on a GPU consists of hundreds of small kernels, and Python takes several times longer to
launch them than the GPU to run them. A CUDA graph launches all of them at once. It is recorded from
the plain way, and used only if it gives the same to the bit.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

import torch
from torch import Tensor, nn

from robench.base import Defense, TrainingLoss
from robench.errors import first_line

WARM_UP = 4
"""Steps before one is recorded: layers make their tables, libraries their workspaces."""

CHECKS = 2
"""Steps that are taken both ways and compared."""

OWN = ("robench", "torch", "torchvision")
"""Packages whose modules and losses do the same work in every step. Others may branch on what they
count."""

Computed = tuple[Tensor, Tensor]
"""The loss, a scalar, and the logits (B, classes), both without a graph."""


class Gradients(Protocol):
    """Computes the loss of a batch, and leaves gradients in ``.grad`` of images and weights."""

    def __call__(self, images: Tensor, labels: Tensor, loss: TrainingLoss) -> Computed:
        """Compute them for images (B, C, H, W) and labels (B,)."""


class Recording(Protocol):
    """What was recorded for one shape of images."""

    def fits(self, images: Tensor, labels: Tensor, loss: TrainingLoss) -> bool:
        """Return whether it can be replayed for them."""

    def replay(self, images: Tensor, labels: Tensor) -> Computed:
        """Do what was recorded, with other images and labels."""


Record = Callable[[Gradients, nn.Module, Tensor, Tensor, TrainingLoss], Recording]


def can_be_recorded(model: nn.Module, defense: Defense, device: torch.device) -> bool:
    """Return whether every step of a training does the same work, on a CUDA device."""
    parts = [defense, *model.modules()]
    return device.type == "cuda" and all(map(_is_own, map(type, parts)))


class RecordedGradients:
    """Replays the plain computation where it was recorded, and otherwise runs it.

    Attributes:
        refused: why nothing is replayed, the end of a sentence about a step; None if it is.
    """

    def __init__(self, plain: Gradients, model: nn.Module, record: Record | None = None) -> None:
        self._plain, self._model = plain, model
        self._record = record or Graph
        self._recording: Recording | None = None
        self._warm = 0
        self._checks = CHECKS
        self.refused: str | None = None

    def __call__(self, images: Tensor, labels: Tensor, loss: TrainingLoss) -> Computed:
        """Compute the gradients; see :class:`Gradients`."""
        if self._recording is None and self.refused is None and _is_own(loss):
            self._warm += 1
            if self._warm > WARM_UP:
                self._try_to_record(images, labels, loss)
        recording = self._recording
        if recording is None or not recording.fits(images, labels, loss):
            return self._plain(images, labels, loss)
        if self._checks:
            return self._checked(recording, images, labels, loss)
        return recording.replay(images, labels)

    def _try_to_record(self, images: Tensor, labels: Tensor, loss: TrainingLoss) -> None:
        before = dict(self._model.named_buffers())
        try:
            recording = self._record(self._plain, self._model, images, labels, loss)
        except RuntimeError as error:
            self.refused = f"cannot be recorded ({first_line(error)})"
            return
        after = dict(self._model.named_buffers())
        if any(after[name] is not buffer for name, buffer in before.items()):
            self.refused = "replaces buffers"
            for name, buffer in before.items():
                parent, _, leaf = name.rpartition(".")
                self._model.get_submodule(parent)._buffers[leaf] = buffer
            return
        self._recording = recording

    def _checked(
        self, recording: Recording, images: Tensor, labels: Tensor, loss: TrainingLoss
    ) -> Computed:
        """Do both from the same state; the step is that of the plain way."""
        self._checks -= 1
        buffers = {name: b.clone() for name, b in self._model.named_buffers()}
        state = _random_state(images.device)
        replayed = self._everything(recording.replay(images, labels), images)
        with torch.no_grad():
            for name, buffer in self._model.named_buffers():
                buffer.copy_(buffers[name])
        _set_random_state(images.device, state)
        images.grad = None
        computed = self._plain(images, labels, loss)
        if not _same(replayed, self._everything(computed, images)):
            self._recording, self.refused = None, "gives other figures when it is replayed"
        return computed

    def _everything(self, computed: Computed, images: Tensor) -> dict[str, Tensor | None]:
        named: dict[str, Tensor | None] = dict(zip(("the loss", "logits"), computed, strict=True))
        named["images"] = images.grad
        named |= {f"{name}.grad": p.grad for name, p in self._model.named_parameters()}
        named |= dict(self._model.named_buffers())
        return {name: None if value is None else value.clone() for name, value in named.items()}


class Graph:
    """A CUDA graph of one forward and backward; recording it computes nothing.

    Raises:
        RuntimeError: if something in it cannot be recorded.
    """

    def __init__(
        self,
        plain: Gradients,
        model: nn.Module,
        images: Tensor,
        labels: Tensor,
        loss: TrainingLoss,
    ) -> None:
        self._loss, self._wanted = loss, images.requires_grad
        self._images = images.detach().clone().requires_grad_(self._wanted)
        self._labels = labels.clone()
        for parameter in model.parameters():
            parameter.grad = None  # those of the graph are to be its own
        self._graph = torch.cuda.CUDAGraph()
        self._computed = self._recorded(plain)
        self._gradients = [(p, p.grad) for p in model.parameters()]

    def _recorded(self, plain: Gradients) -> Computed:
        device = self._images.device
        before = torch.cuda.current_stream(device)
        # Torch's own stream for it is of the first device that was ever recorded on. Other threads,
        # such as one that pins memory for the next batch, go on meanwhile.
        own = torch.cuda.Stream(device)
        try:
            with (
                torch.cuda.device(device),
                torch.cuda.graph(self._graph, stream=own, capture_error_mode="thread_local"),
            ):
                return plain(self._images, self._labels, self._loss)
        except RuntimeError:
            torch.cuda.set_stream(before)  # where the end of a recording fails, torch does not
            raise

    def fits(self, images: Tensor, labels: Tensor, loss: TrainingLoss) -> bool:
        """Return whether images are of the recorded shape and wanted as they were then."""
        same = images.shape == self._images.shape and images.stride() == self._images.stride()
        return same and loss == self._loss and images.requires_grad == self._wanted

    def replay(self, images: Tensor, labels: Tensor) -> Computed:
        """Do what was recorded; the result is overwritten by the next replay."""
        with torch.no_grad():
            self._images.copy_(images)
            self._labels.copy_(labels)
        for parameter, gradient in self._gradients:
            if parameter.grad is not gradient:
                parameter.grad = gradient
        self._graph.replay()
        if self._wanted:
            assert self._images.grad is not None
            images.grad = self._images.grad.clone()
        return self._computed


def _is_own(part: object) -> bool:
    """Return whether a class or function comes with the packages that do the same in every step."""
    return getattr(part, "__module__", "").partition(".")[0] in OWN


def _same(one: Mapping[str, Tensor | None], other: Mapping[str, Tensor | None]) -> bool:
    return one.keys() == other.keys() and all(_equal(one[name], other[name]) for name in one)


def _equal(one: Tensor | None, other: Tensor | None) -> bool:
    if one is None or other is None:
        return one is other
    return torch.allclose(one, other, rtol=0, atol=0, equal_nan=True)


def _random_state(device: torch.device) -> Tensor:
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()


def _set_random_state(device: torch.device, state: Tensor) -> None:
    if device.type == "cuda":
        torch.cuda.set_rng_state(state, device)
    else:
        torch.set_rng_state(state)
