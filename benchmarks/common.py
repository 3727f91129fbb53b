"""Shared code of the benchmarks: options, the network, paired rounds, the report."""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from robench.commands.attack import external_target
from robench.commands.train import train
from robench.data import load_dataset
from robench.expressions import number
from robench.models.checkpoint import load_checkpoint
from robench.runs.attack_cell import evaluation_images
from robench.system.files import write_json
from robench.system.memory import keep_freed_memory
from robench.system.provenance import code_version

EXACT = ("bf16", "folding", "channels_last", "pools")
"""The shortcuts of attacks that are left out for figures in float32."""


@dataclass(frozen=True)
class Target:
    """A network under attack, with its test images."""

    model: nn.Module
    images: Tensor
    labels: Tensor
    title: str


def options(description: str, **defaults: int) -> argparse.ArgumentParser:
    """Return a parser with the options of every benchmark, and integer options with defaults."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="a small case, under 3 minutes")
    parser.add_argument("--json", type=Path, help="write the ratios here")
    parser.add_argument("--device", default="cpu")
    for name, value in defaults.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    return parser


def target_options(description: str, **defaults: int) -> argparse.ArgumentParser:
    """Return a parser that also has the options of :func:`target`."""
    parser = options(description, **defaults)
    parser.add_argument(
        "--checkpoint",
        type=Path,
        help="a network that robench trained; with --model, the file of its weights",
    )
    parser.add_argument("--model", help="a third-party network, as for 'robench attack'")
    parser.add_argument("--data", help="its data set, e.g. image_folder:DIR")
    return parser


def radius(text: str) -> float:
    """Read a radius as papers write it: 8/255 or 0.1."""
    return float(number(text))


def target(arguments: argparse.Namespace, samples: int) -> Target:
    """Return the network under attack; if none is named, train one on embedded digits."""
    keep_freed_memory()
    torch.manual_seed(0)
    if arguments.model is not None:
        return _third_party(arguments, samples)
    if arguments.checkpoint is None:
        dataset = load_dataset(arguments.data or "mnist5k")
        model = train("batchnorm", dataset, width=16, stem="cifar", epochs=1, lr=0.05, eps=0.2,
            step_size=0.2, schedule="one-cycle", precision="bf16")  # fmt: skip
        title = "batchnorm, resnet18 of width 16, one epoch"
    else:
        model, network, facts = load_checkpoint(arguments.checkpoint)
        dataset = load_dataset(arguments.data or str(facts["dataset"]))
        title = f"{network.defense}, {network.backbone} of width {network.width}"
    sample = evaluation_images(dataset, min(samples, len(dataset.test)))
    count = len(sample.labels)
    return Target(
        model=model.eval().to(arguments.device),
        images=(sample.images.float() / 255).to(arguments.device),
        labels=sample.labels.to(arguments.device),
        title=f"{title}; {dataset.name}, {count} test images",
    )


def _third_party(arguments: argparse.Namespace, samples: int) -> Target:
    """Return a third-party network with its test images."""
    weights, data = arguments.checkpoint, arguments.data
    found = external_target(arguments.model, data, weights=weights, samples=samples)
    return Target(
        model=found.model.eval().to(arguments.device),
        images=(found.sample.images.float() / 255).to(arguments.device),
        labels=found.sample.labels.to(arguments.device),
        title=found.title,
    )


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that ``work`` takes."""
    start = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


Case = tuple[float, float, float]
"""Our seconds, their seconds, and the ratio."""


def case_of(ours: Sequence[float], theirs: Sequence[float]) -> Case:
    """Return the median seconds of both, and the median of the ratios per round."""
    ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
    return statistics.median(ours), statistics.median(theirs), statistics.median(ratios)


def paired(ours: Callable[[], object], theirs: Callable[[], object], rounds: int) -> Case:
    """Time both in turn, for ``rounds`` rounds."""
    times = [(timed(ours), timed(theirs)) for _ in range(rounds)]
    return case_of(*zip(*times, strict=True))


def machine() -> str:
    """Return a description of the machine and the versions."""
    return (
        f"{torch.get_num_threads()} threads, {platform.machine()}, torch {torch.__version__}, "
        f"robench {code_version()}"
    )


def report(cases: Mapping[str, Case], file: Path | None) -> None:
    """Print the cases as a table; write them as JSON if a file is given."""
    width = max(len(name) for name in cases)
    print(f"{'case':{width}}  {'ours, s':>9}  {'theirs, s':>9}  {'ratio':>6}")
    for name, (ours, theirs, ratio) in cases.items():
        print(f"{name:{width}}  {ours:9.3f}  {theirs:9.3f}  {ratio:6.2f}")
    print(machine())
    if file is not None:
        keys = ("ours", "theirs", "ratio")
        write_json(file, {n: dict(zip(keys, case, strict=True)) for n, case in cases.items()})
        print(f"wrote {json.dumps(str(file))}")
