"""Time each defense's layers against a convolution with BatchNorm, forward and backward.

The layers are those of a ResNet-18 on 32x32 images, each a convolution with its norm, timed in turn
with their peer. ConvNorm is also timed, without BatchNorm, against a direct implementation of its
definition, with FFTs of every kernel and of the activations (``plain.py``), in the same precision.
Times are summed over all layers of the network; ``--csv`` lists them per layer. Memory is the peak
of all tensors of one layer.

    python benchmarks/layers.py
    python benchmarks/layers.py --quick
"""

import argparse
import math
import statistics
from collections import Counter
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from common import Case, case_of, options, report, timed
from plain import PlainConvNorm
from torch import Tensor, nn

from robench.base import Defense
from robench.kernels.fast_convs import fast_convolutions
from robench.models.build import apply_defense, build_model
from robench.models.complexity import measure_complexity
from robench.registry import defenses
from robench.system.files import write_text
from robench.system.memory import keep_freed_memory

DEFENSES = "convnorm,spectral_norm,oni,ocnn,cayley,weight_standardization,groupnorm"


@dataclass(frozen=True)
class Shape:
    """The shape of a convolution in the network, with the side length of its input."""

    inputs: int
    outputs: int
    kernel: int
    stride: int
    side: int

    def layer(self) -> nn.Sequential:
        padding = self.kernel // 2
        conv = nn.Conv2d(self.inputs, self.outputs, self.kernel, self.stride, padding, bias=False)
        return nn.Sequential(conv, nn.BatchNorm2d(self.outputs))


def shapes(width: int) -> Counter[Shape]:
    """Return the convolutions of a ResNet-18, with their counts."""
    network = build_model(
        "resnet18", num_classes=10, in_channels=3, image_size=(32, 32), width=width, stem="cifar",
        mean=(0.5,) * 3, std=(0.5,) * 3, defense="vanilla",
    )  # fmt: skip
    found: Counter[Shape] = Counter()

    def note(conv: nn.Conv2d, inputs: tuple[Tensor, ...]) -> None:
        side = inputs[0].shape[-1]
        found[
            Shape(conv.in_channels, conv.out_channels, conv.kernel_size[0], conv.stride[0], side)
        ] += 1

    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_pre_hook(note)
    network(torch.zeros(1, 3, 32, 32))
    return found


class TimedLayer:
    """One layer with a defense, ready to take a step."""

    def __init__(self, defense: Defense, shape: Shape, arguments: argparse.Namespace) -> None:
        torch.manual_seed(0)
        self.defense, self.device = defense, torch.device(arguments.device)
        plain = isinstance(defense, PlainConvNorm)
        layout = torch.contiguous_format if plain else torch.channels_last
        layer = apply_defense(shape.layer(), defense).train().to(self.device)
        self.layer = layer.to(memory_format=layout)
        size = (arguments.batch, shape.inputs, shape.side, shape.side)
        x = torch.randn(size, device=self.device)
        self.x = x.to(memory_format=layout).requires_grad_()
        self.upstream: Tensor | None = None

    def step(self, precision: str) -> None:
        half = precision == "bfloat16"
        with self.as_trained(), torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            out = self.layer(self.x)
        penalty = self.defense.penalty(self.layer)
        if self.upstream is None or self.upstream.dtype != out.dtype:
            self.upstream = torch.randn_like(out)  # as from the next layer, not from a sum
        wanted = [self.x, *(p for p in self.layer.parameters() if p.requires_grad)]
        heads = [(out, self.upstream)] + ([] if penalty is None else [(penalty, None)])
        outputs, gradients = zip(*heads, strict=True)
        torch.autograd.grad(outputs, wanted, gradients, allow_unused=True)

    def as_trained(self) -> AbstractContextManager[None]:
        plain = isinstance(self.defense, PlainConvNorm)
        return nullcontext() if plain else fast_convolutions(self.layer)

    def memory(self, precision: str) -> float:
        flat = nn.Sequential(self.layer, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        name = "bf16" if precision == "bfloat16" else "float32"
        costs = measure_complexity(flat, self.defense, self.x.detach(), precision=name)
        return costs.training_memory_mib or math.nan


def compare(
    ours: TimedLayer, theirs: TimedLayer, precision: str, rounds: int
) -> tuple[list[float], list[float]]:
    """Return the seconds of both, per round."""
    for _ in range(2):  # warm-up: the first steps allocate memory from the system
        ours.step(precision)
        theirs.step(precision)
    pairs = [
        (timed(lambda: ours.step(precision)), timed(lambda: theirs.step(precision)))
        for _ in range(rounds)
    ]
    mine, others = zip(*pairs, strict=True)
    return list(mine), list(others)


def measure(
    name: str,
    peer: Defense,
    precision: str,
    layers: Counter[Shape],
    arguments: argparse.Namespace,
) -> tuple[pd.DataFrame, Case]:
    """Return one row per shape, and the times of the whole network as a case."""
    rows, mine_of_all, others_of_all = [], [], []
    for shape, count in layers.items():
        defense = defenses.build(name)
        ours = TimedLayer(defense, shape, arguments)
        theirs = TimedLayer(peer, shape, arguments)
        mine, others = compare(ours, theirs, precision, arguments.rounds)
        mine_of_all.append([count * seconds for seconds in mine])
        others_of_all.append([count * seconds for seconds in others])
        rows.append(
            {
                "defense": name,
                "peer": type(peer).__name__,
                "precision": precision,
                **vars(shape),
                "count": count,
                "ours_ms": 1e3 * statistics.median(mine),
                "theirs_ms": 1e3 * statistics.median(others),
                "ours_mib": ours.memory(precision),
                "theirs_mib": theirs.memory(precision),
            }
        )
    mine = [sum(seconds) for seconds in zip(*mine_of_all, strict=True)]
    others = [sum(seconds) for seconds in zip(*others_of_all, strict=True)]
    return pd.DataFrame(rows), case_of(mine, others)


def main() -> None:
    parser = options(str(__doc__).split("\n", 1)[0], rounds=7, width=64, batch=128)
    parser.add_argument("--defenses", default=DEFENSES, help="separated by commas")
    parser.add_argument("--csv", type=Path, help="write one row per layer here")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.width, arguments.rounds, arguments.defenses = 16, 3, "convnorm,spectral_norm"
    keep_freed_memory()
    batchnorm = defenses.build("batchnorm")
    rows, cases, layers = [], {}, shapes(arguments.width)
    for name in arguments.defenses.split(","):
        peers: dict[str, tuple[str, Defense]] = {f"{name}/{{}}/conv+bn": (name, batchnorm)}
        if name == "convnorm":
            alone = ("convnorm(bn=False)", PlainConvNorm(bn=False))
            peers = {"convnorm/{}": alone, **peers}
        for precision in ("float32", "bfloat16"):
            for case, (ours, peer) in peers.items():
                found, times = measure(ours, peer, precision, layers, arguments)
                cases[f"layers/{case.format(precision)}"] = times
                rows.append(found)
    result = pd.concat(rows)
    if arguments.csv:
        write_text(arguments.csv, result.round(3).to_csv(index=False))
    print(f"ResNet-18 of width {arguments.width}, 32x32, batches of {arguments.batch}: "
          "all layers, forward and backward")  # fmt: skip
    columns = ["defense", "peer", "precision", "ours_mib", "theirs_mib"]
    largest = result[columns].groupby(columns[:3], sort=False).max().round()
    print(f"peak memory of the largest layer:\n{largest.reset_index().to_string(index=False)}")
    report(cases, arguments.json)


if __name__ == "__main__":
    main()
