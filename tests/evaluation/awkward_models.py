"""Models that a shortcut of the engine could get wrong, each around a network for digits.

Every shortcut is held against them by ``test_awkward.py``: the figures under attack must be those
of a plain loop over the model itself.
"""

import copy
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations
from torch.utils.checkpoint import checkpoint

from robench.system.devices import has_bf16


@dataclass(frozen=True)
class Awkward:
    """A model and what is expected of it.

    Attributes:
        name: what is awkward about it.
        build: makes the model from a trained network, images (B, 1, 8, 8) in [0, 1] -> 10 logits.
        reason: why it is attacked without a copy, a part of the sentence; empty if it has one.
        tolerance: by how many of 100 images its figure may differ from that of the plain loop.
    """

    name: str
    build: Callable[[nn.Sequential], nn.Module]
    reason: str = ""
    tolerance: int = 1


MODELS: list[Awkward] = []


def awkward(reason: str = "", tolerance: int = 1) -> Callable[[Any], Any]:
    """Register a class or function that makes an awkward model from a network."""

    def add(build: Any) -> Any:
        MODELS.append(Awkward(build.__name__.strip("_"), build, reason, tolerance))
        return build

    return add


class Around(nn.Module):
    """A network with something around it."""

    def __init__(self, body: nn.Sequential) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


# Gradients that are not those of the operations that a tracer sees.


class _Levels(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return torch.round(x * 15) / 15

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0]


class _Times(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0] * ctx.factor, None


@awkward("a backward of its own ('_Levels')")
class StraightThrough(Around):
    def forward(self, x: Tensor) -> Tensor:
        return self.body(_Levels.apply(x))


@awkward("a backward of its own ('_Times')")
class ReversedGradient(Around):
    def forward(self, x: Tensor) -> Tensor:
        return self.body(_Times.apply(x, -1.0))


@awkward("a backward of its own ('_Times')")
class ZeroedGradient(Around):
    def forward(self, x: Tensor) -> Tensor:
        return self.body(_Times.apply(x, 0.0))


class _Centred(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0] - 1.5 * gradients[0].mean(0)


@awkward("its input gradients depend on the other images of a batch")
class GradientOfTheBatch(Around):
    def forward(self, x: Tensor) -> Tensor:
        return self.body(_Centred.apply(x))


@awkward("a backward of its own ('_Levels')")
def straight_through_within(body: nn.Sequential) -> nn.Module:
    class Quantized(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return _Levels.apply(x)

    return nn.Sequential(*body[:3], Quantized(), *body[3:])


@awkward("'detach' inside it cuts the gradient")
class StraightThroughByDetach(Around):
    def forward(self, x: Tensor) -> Tensor:
        return self.body(x + (torch.div(x, 1 / 15, rounding_mode="floor") / 15 - x).detach())


@awkward("'data' inside it cuts the gradient")
class StraightThroughByData(Around):
    def forward(self, x: Tensor) -> Tensor:
        coarse = (x * 15).round_().div_(15) if not x.requires_grad else (x.data * 15).round() / 15
        return self.body(x + (coarse - x.data))


@awkward("runs without gradient")
class WithoutGradient(Around):
    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            blurred = functional.avg_pool2d(x, 3, stride=1, padding=1)
        return self.body(0.5 * x + 0.5 * blurred)


@awkward("'mul_' inside it runs without gradient")
class InPlaceWithoutGradient(Around):
    """A straight-through estimator: dimmed forward, the gradient of the undimmed image."""

    def forward(self, x: Tensor) -> Tensor:
        y = 1.0 * x
        with torch.no_grad():
            y.mul_(y <= 0.95)
        return self.body(y)


@awkward("its logits differ without gradient")
class OtherWithoutGradient(Around):
    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) if torch.is_grad_enabled() else self.body(0.9 * x)


@awkward("cuts the gradient")
class Detached(Around):
    def forward(self, x: Tensor) -> Tensor:
        return self.body(x.detach()) + 0 * x.sum()


@awkward("'round' inside it has no gradient")
class Rounded(Around):
    def forward(self, x: Tensor) -> Tensor:
        return self.body(torch.round(x * 7) / 7)


@awkward("'sign' inside it has no gradient")
class Binarized(Around):
    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) + 5 * self.body((torch.sign(x - 0.5) + 1) / 2)


@awkward("its input gradients are not finite")
class NotFinite(Around):
    def forward(self, x: Tensor) -> Tensor:
        return self.body(x.sqrt() ** 2)


# Hooks and forwards that belong to one object, not to its class.


@awkward("layer '0' has a hook")
def forward_hook(body: nn.Sequential) -> nn.Module:
    body[0].register_forward_hook(lambda layer, inputs, output: 1.5 * output)
    return body


@awkward("layer '3' has a hook")
def forward_pre_hook(body: nn.Sequential) -> nn.Module:
    body[3].register_forward_pre_hook(lambda layer, inputs: (inputs[0] * 0.5,))
    return body


@awkward("layer '3' has a hook")
def backward_hook(body: nn.Sequential) -> nn.Module:
    body[3].register_full_backward_hook(lambda layer, inner, outer: (-inner[0],))
    return body


@awkward("it registers a hook on a tensor")
class TensorHook(Around):
    def forward(self, x: Tensor) -> Tensor:
        y = 1.0 * x
        if y.requires_grad:
            y.register_hook(lambda gradient: gradient * 0)
        return self.body(y)


@awkward("the forward of layer '0' was replaced")
def replaced_forward(body: nn.Sequential) -> nn.Module:
    conv = body[0]
    conv.forward = lambda x: nn.Conv2d.forward(conv, x.flip(3))
    return body


# Models that write into what they are given.


@awkward("it writes into its input")
class InPlace(Around):
    def forward(self, x: Tensor) -> Tensor:
        return self.body(x.sub_(0.05).mul_(0.9))


@awkward("it writes into its input")
class InPlaceThroughView(Around):
    def forward(self, x: Tensor) -> Tensor:
        x[:, :, :1].zero_()
        return self.body(x)


@awkward("it writes into its input")
class InPlaceThroughData(Around):
    def forward(self, x: Tensor) -> Tensor:
        x.data.mul_(0.9)
        return self.body(x)


@awkward("it writes into its input")
class Clamped(Around):
    def forward(self, x: Tensor) -> Tensor:
        return self.body(functional.relu(x.sub_(0.1), inplace=True))


# State, chance, and batches.


@awkward("it keeps a state between calls ('calls')")
class Counting(Around):
    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.body(x) * (1 + 0.001 * (self.calls > 1000))


@awkward("it keeps a state between calls ('last', 'answer')")
class Remembering(Around):
    last: Tensor | None = None
    answer: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.last is None or not torch.equal(self.last, x):
            self.last, self.answer = x.detach().clone(), self.body(x).detach()
        return self.body(x)


@awkward("it keeps a state between calls ('recent')")
class RememberingAFew(Around):
    def __init__(self, body: nn.Sequential) -> None:
        super().__init__(body)
        self.recent: deque[float] = deque(maxlen=3)

    def forward(self, x: Tensor) -> Tensor:
        self.recent.append(float(x.detach().sum()))
        return self.body(x)


@awkward("it keeps a state between calls ('calls')")
class CountingInItsClass(Around):
    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        type(self).calls += 1
        return self.body(x)


@awkward()
class BufferOfTheFirstCall(Around):
    ready = False

    def forward(self, x: Tensor) -> Tensor:
        if not self.ready:
            self.register_buffer("grid", torch.ones_like(x[:1]))
            self.ready = True
        return self.body(x * self.grid)


@awkward("it keeps a state between calls ('seen')")
class RunningInEval(Around):
    def __init__(self, body: nn.Sequential) -> None:
        super().__init__(body)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.seen += 1
        return self.body(x)


@awkward("its logits differ from call to call", tolerance=8)
class Noisy(Around):
    def forward(self, x: Tensor) -> Tensor:
        return self.body(x + 0.02 * torch.randn_like(x))


@awkward("its logits differ from call to call", tolerance=8)
class AlwaysDropping(Around):
    def forward(self, x: Tensor) -> Tensor:
        return self.body[4:](functional.dropout(self.body[:4](x), 0.05, training=True))


@awkward("depend on the other images of a batch")
class BatchStatistics(Around):
    def forward(self, x: Tensor) -> Tensor:
        return self.body(0.8 * x + 0.2 * (x - x.mean(0)))


@awkward("depend on the other images of a batch")
class Voting(Around):
    def forward(self, x: Tensor) -> Tensor:
        logits = self.body(x)
        return logits + 0.1 * logits.mean(0) * (len(x) > 1)


@awkward("cannot take batches of every size")
class EvenBatches(Around):
    def forward(self, x: Tensor) -> Tensor:
        if len(x) == 1:
            raise ValueError("expected more than 1 value per channel")
        return self.body(x)


@awkward()
class ByGradMode(Around):
    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) if torch.is_grad_enabled() else self.body(x).clone()


# Layers whose weights or outputs are computed in unusual ways.


@awkward()
def older_weight_norm(body: nn.Sequential) -> nn.Module:
    body[0], body[3] = nn.utils.weight_norm(body[0]), nn.utils.weight_norm(body[3])
    return body


@awkward()
def older_spectral_norm(body: nn.Sequential) -> nn.Module:
    body[3] = nn.utils.spectral_norm(body[3], n_power_iterations=20)
    body[3](torch.rand(2, 16, 8, 8))  # in training mode it finds the norm
    return body


@awkward()
def parametrized(body: nn.Sequential) -> nn.Module:
    body[0], body[6] = parametrizations.weight_norm(body[0]), parametrizations.weight_norm(body[6])
    return body


@awkward()
def binary_weights(body: nn.Sequential) -> nn.Module:
    """Custom autograd on weights only: no gradient with respect to images goes through it."""

    class Coarse(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            return self._conv_forward(x, _Levels.apply(self.weight), self.bias)

    body[0].__class__ = Coarse
    return body


@awkward()
def used_twice(body: nn.Sequential) -> nn.Module:
    class Twice(Around):
        def __init__(self, body: nn.Sequential) -> None:
            super().__init__(body)
            self.conv, self.bn, self.rest = body[0], body[1], body[2:]

        def forward(self, x: Tensor) -> Tensor:
            return self.rest(self.bn(self.conv(x)) + 0.5 * self.conv(x))

    return Twice(body)


@awkward()
def shortcut_in_place(body: nn.Sequential) -> nn.Module:
    class Shortcut(Around):
        def __init__(self, body: nn.Sequential) -> None:
            super().__init__(body)
            self.conv, self.bn, self.rest = body[0], body[1], body[3:]

        def forward(self, x: Tensor) -> Tensor:
            y = functional.relu(self.bn(self.conv(x)), inplace=True)
            z = self.conv(x)
            z += y
            z.mul_(0.5)
            return self.rest(functional.relu_(z))

    return Shortcut(body)


@awkward()
def clipped_by_a_statement(body: nn.Sequential) -> nn.Module:
    """Its clip is a statement: nothing uses what the call returns."""

    class Clipped(Around):
        def __init__(self, body: nn.Sequential) -> None:
            super().__init__(body)
            self.start, self.head, self.conv = body[:3], body[5:], body[3]

        def forward(self, x: Tensor) -> Tensor:
            y = self.conv(self.start(x))
            y.clamp_(max=2.0)
            return self.head(functional.relu(y))

    return Clipped(body)


@awkward()
def clipped_before_its_relu(body: nn.Sequential) -> nn.Module:
    """Between the sum and its ReLU, what was added is written to."""

    class Clipped(Around):
        def __init__(self, body: nn.Sequential) -> None:
            super().__init__(body)
            self.first, self.bn, self.conv, self.head = body[0], body[1], body[3], body[5:]
            self.pool = nn.AvgPool2d(2)

        def forward(self, x: Tensor) -> Tensor:
            h = functional.relu(self.bn(self.first(x)))
            shortcut = self.pool(h)
            total = self.conv(h) + shortcut
            shortcut = shortcut.clamp_(max=0.3)
            return self.head(functional.relu(total) + 0.1 * shortcut)

    return Clipped(body)


@awkward("it cannot be copied")
def shared_with_its_copy(body: nn.Sequential) -> nn.Module:
    class Encoder(nn.Sequential):
        def __deepcopy__(self, memo: Any) -> Any:
            return self

    return nn.Sequential(Encoder(*body[:3]), body[3:])


@awkward("its forward cannot be traced")
class Slicing(Around):
    def forward(self, x: Tensor) -> Tensor:
        return self.body[3:](self.body[:3](x))


@awkward()
def parallel_of_its_own(body: nn.Sequential) -> nn.Module:
    class Dimmed(nn.DataParallel):
        def forward(self, x: Tensor) -> Tensor:
            return self.module(0.9 * x)

    return Dimmed(body)


@awkward("its input gradients differ in the copy" if has_bf16(torch.device("cpu")) else "")
class Tiny(Around):
    """Its logits are near the smallest that float32 holds in full precision."""

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) * 1e-36


@awkward("its forward cannot be traced")
class ByBrightness(Around):
    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) if x.numel() else x.new_zeros(0, 10)


@awkward("its forward cannot be traced")
class PerSample(Around):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.body(row.unsqueeze(0)) for row in x])


@awkward("its forward cannot be traced")
class Viewing(Around):
    def forward(self, x: Tensor) -> Tensor:
        rgb = x.expand(-1, 3, -1, -1).contiguous()
        return self.body(rgb.view(len(x), -1).view(len(x), 3, 8, 8).mean(1, keepdim=True))


@awkward()
class InDouble(Around):
    def forward(self, x: Tensor) -> Tensor:
        return self.body((x.double() / 2).float() * 2).double()


@awkward()
class Checkpointed(Around):
    def forward(self, x: Tensor) -> Tensor:
        return checkpoint(self.body, x, use_reentrant=False)


@awkward()
class Hidden(nn.Module):
    """Its network is in a list, where no optimizer, device or copy finds it."""

    def __init__(self, body: nn.Sequential) -> None:
        super().__init__()
        self.hidden = [body.eval().requires_grad_(False)]

    def forward(self, x: Tensor) -> Tensor:
        return self.hidden[0](x)


@awkward("cannot be examined")
class AntiTrace(Around):
    def forward(self, *images: Tensor) -> Tensor:
        (x,) = images
        if type(x) is not Tensor:
            raise TypeError("only tensors")
        if torch.overrides._get_current_function_mode_stack():
            raise RuntimeError("no modes")
        return self.body(x)


@awkward("is TorchScript")
def scripted_part(body: nn.Sequential) -> nn.Module:
    return nn.Sequential(torch.jit.script(copy.deepcopy(body[:3])), *body[3:])


class Then(nn.Module):
    """A linear network of three classes whose logits pass through a function."""

    def __init__(self, change: Callable[[Tensor], Tensor], *, pixels: int) -> None:
        super().__init__()
        self.net, self.change = nn.Sequential(nn.Flatten(), nn.Linear(pixels, 3)), change

    def forward(self, images: Tensor) -> Tensor:
        return self.change(self.net(images))
