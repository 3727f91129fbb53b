"""Time a training step of each 1-Lipschitz layer against a plain convolution of the same size.

A step is a forward and a backward of one layer, to its input and to its parameters, in float32. How
much of it depends on the batch differs: what is computed from the kernel is paid once a step.

At last their activation, MaxMin, against torch's own functions: by itself, and in the gradient of a
network with respect to images, as attacks compute it.

    python benchmarks/lipschitz.py
    python benchmarks/lipschitz.py --batch 256 --threads 2
"""

import argparse
from collections.abc import Callable

import torch
from common import Case, options, paired, report
from torch import Tensor, nn

from robench import build_model
from robench.backbones.lipschitz_convnet import MaxMin
from robench.evaluation.folding import folded
from robench.kernels.max_min import max_min
from robench.models.build import apply_defense
from robench.models.frozen import under_attack
from robench.system.memory import keep_freed_memory

LAYERS = {
    "cayley": "cayley(bn=False)",
    "bro": "bro(bn=False)",
    "lot": "lot(bn=False)",
    "soc": "soc(bn=False)",
    "soc of degree 8": "soc(degree=8, bn=False)",
    "aol": "aol(bn=False)",
    "sll": "sll",
    "cpl": "sll(smoothness='norm')",
    "conv_sn": "conv_sn(bn=False)",
}


class Step:
    """One layer with a defense, and one training step of it."""

    def __init__(self, defense: str, channels: int, size: tuple[int, int], device: str) -> None:
        torch.manual_seed(0)
        conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.layer = apply_defense(nn.Sequential(conv), defense).train().to(device)
        batch, side = size
        shape = (batch, channels, side, side)
        self.x = torch.randn(shape, device=device, requires_grad=True)
        self.upstream = torch.randn(shape, device=device)  # as from the next layer, not from a sum

    def __call__(self) -> None:
        torch.autograd.grad(self.layer(self.x), [self.x, *self.layer.parameters()], self.upstream)


NETWORK = "lipschitz_convnet(blocks=3, depth=2)"
"""The network whose gradients are timed, with 8 channels and 32x32 pixels."""


class TorchMaxMin(nn.Module):
    """MaxMin by torch's functions."""

    def forward(self, x: Tensor) -> Tensor:
        return torch_max_min(x)


def torch_max_min(x: Tensor) -> Tensor:
    """Return what MaxMin returns, by torch's functions."""
    one, other = x.chunk(2, 1)
    return torch.cat([torch.maximum(one, other), torch.minimum(one, other)], 1)


def gradient(function: Callable[[Tensor], Tensor], x: Tensor) -> Callable[[], object]:
    """Return a forward and a backward of a function."""
    upstream = torch.randn_like(function(x))
    return lambda: torch.autograd.grad(function(x), x, upstream)


def network_gradient(defense: str, batch: int, device: str, *, own: bool) -> Callable[[], object]:
    """Return a forward and a backward of a network with frozen weights, to its images."""
    torch.manual_seed(0)
    network = build_model(
        NETWORK, defense=defense, num_classes=10, in_channels=3, image_size=(32, 32),
        mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25), width=8,
    ).to(device).eval()  # fmt: skip
    for layer in [] if own else list(network.modules()):
        for name, child in layer.named_children():
            if isinstance(child, MaxMin):
                setattr(layer, name, TorchMaxMin())
    with under_attack(network):
        fast = folded(network)
    for parameter in fast.parameters():
        parameter.requires_grad_(False)
    return gradient(fast, torch.rand(batch, 3, 32, 32, device=device).requires_grad_())


def time_activations(arguments: argparse.Namespace) -> dict[str, Case]:
    """Time MaxMin by itself, and in networks of some of the layers."""
    x = torch.randn(arguments.batch, arguments.channels, arguments.side, arguments.side)
    x = x.to(arguments.device).requires_grad_()
    pairs = {"alone": (gradient(max_min, x), gradient(torch_max_min, x))}
    for name in ("cayley", "bro", "lot", "aol", "sll"):
        given = LAYERS[name], arguments.batch, arguments.device
        pairs[f"in a network of {name}"] = (
            network_gradient(*given, own=True),
            network_gradient(*given, own=False),
        )
    for ours, plain in pairs.values():
        paired(ours, plain, 1)
    return {name: paired(*pair, arguments.rounds) for name, pair in pairs.items()}


def main() -> None:
    parser = options(
        str(__doc__).split("\n", 1)[0], channels=64, side=16, batch=64, rounds=7, threads=1
    )
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds, arguments.batch = 2, 16
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    cases: dict[str, Case] = {}
    for name, defense in LAYERS.items():
        size = (arguments.batch, arguments.side)
        ours, plain = (
            Step(each, arguments.channels, size, arguments.device) for each in (defense, "vanilla")
        )
        paired(ours, plain, 1)  # the first steps allocate memory from the system
        cases[f"lipschitz/{name}"] = paired(ours, plain, arguments.rounds)
    activations = time_activations(arguments)
    side = arguments.side
    print(f"3x3, {arguments.channels} channels, {side}x{side}, batches of {arguments.batch}, "
          f"float32, {arguments.threads} threads: forward and backward")  # fmt: skip
    report(cases, arguments.json)
    for name, (seconds, plain_seconds, _) in cases.items():
        print(f"{name}: {seconds / plain_seconds:.1f} times a plain convolution")
    for name, (seconds, torch_seconds, ratio) in activations.items():
        print(f"MaxMin {name}: {1000 * seconds:.1f} ms, by torch's functions "
              f"{1000 * torch_seconds:.1f} ms ({ratio:.1f}x)")  # fmt: skip


if __name__ == "__main__":
    main()
