"""Time free adversarial training with several defenses against a plain implementation.

The peer (``plain.py``) trains in float32, in contiguous memory, on single images from a
DataLoader, and computes ConvNorm with complex FFTs. Ours trains as the boards do: in bf16 if the
machine supports it, and also in float32. Every round trains each for two short epochs on the same
images and times the second. Other defenses are compared with our BatchNorm.

    python benchmarks/training.py --data image_folder:DIR
    python benchmarks/training.py --quick
"""

import argparse
import math
import statistics
from pathlib import Path

import pandas as pd
import torch
from common import case_of, options, report, timed
from plain import PlainConvNorm, train_plainly
from torch import nn

from robench.base import Defense
from robench.board.specs import TrainingSpec
from robench.data import Augmentation, DataSet, Images, load_dataset
from robench.models.build import build_model
from robench.models.complexity import measure_complexity
from robench.registry import defenses
from robench.system.devices import has_bf16
from robench.system.files import write_text
from robench.system.memory import keep_freed_memory
from robench.training.data import TrainingData
from robench.training.loop import fit

AUGMENTATION = Augmentation(crop_padding=4, flip=True)
WITH_PEER = ("batchnorm", "convnorm")


def network(defense: Defense, dataset: DataSet, width: int) -> nn.Module:
    torch.manual_seed(0)
    return build_model(
        "resnet18", num_classes=dataset.num_classes, in_channels=dataset.in_channels,
        image_size=dataset.image_size, width=width, stem="cifar", mean=dataset.mean,
        std=dataset.std, defense=defense,
    )  # fmt: skip


def ours(
    name: str, precision: str, dataset: DataSet, images: Images, arguments: argparse.Namespace
) -> float:
    """Return the seconds of the second of two epochs."""
    defense = defenses.build(name)
    rows = fit(
        network(defense, dataset, arguments.width), defense, recipe(precision, arguments),
        TrainingData(images, images.take(torch.arange(0)), AUGMENTATION, seed=0),
        device=torch.device(arguments.device),
    )  # fmt: skip
    return rows[-1].seconds


def theirs(name: str, dataset: DataSet, images: Images, arguments: argparse.Namespace) -> float:
    defense = PlainConvNorm() if name == "convnorm" else defenses.build(name)
    return train_plainly(
        network(defense, dataset, arguments.width), recipe("float32", arguments), images,
        AUGMENTATION, torch.device(arguments.device),
    )  # fmt: skip


def recipe(precision: str, arguments: argparse.Namespace) -> TrainingSpec:
    return TrainingSpec.model_validate(
        {"epochs": 2, "batch_size": arguments.batch, "lr": 0.01, "precision": precision}
    )


def memory(name: str, precision: str, dataset: DataSet, arguments: argparse.Namespace) -> float:
    defense = defenses.build(name)
    model = network(defense, dataset, arguments.width).to(memory_format=torch.channels_last)
    images = torch.rand(arguments.batch, dataset.in_channels, *dataset.image_size)
    return (
        measure_complexity(model, defense, images, precision=precision).training_memory_mib
        or math.nan
    )


def data_seconds(images: Images, arguments: argparse.Namespace) -> float:
    """Return the seconds of loading one epoch: batches shuffled, augmented, as floats."""

    def deliver() -> None:
        generator = torch.Generator().manual_seed(0)
        batches = images.batches(
            arguments.batch, generator=generator, augmentation=AUGMENTATION,
            device=arguments.device,
        )  # fmt: skip
        for _ in batches:
            pass

    return statistics.median(timed(deliver) for _ in range(5))


def main() -> None:
    parser = options(str(__doc__).split("\n", 1)[0], rounds=3, width=16, batch=128, images=2560)
    parser.add_argument("--data", default="mnist5k", help="e.g. image_folder:DIR")
    parser.add_argument(
        "--defenses", default="convnorm,spectral_norm,cayley", help="in addition to BatchNorm"
    )
    parser.add_argument("--csv", type=Path, help="write one row per defense and precision here")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.images, arguments.rounds, arguments.defenses = 640, 2, "convnorm"
    keep_freed_memory()
    dataset = load_dataset(arguments.data)
    assert isinstance(dataset.train, Images)
    images = dataset.train.take(torch.arange(min(arguments.images, len(dataset.train))))
    precisions = ["float32"]
    if has_bf16(torch.device(arguments.device)):
        precisions.insert(0, "bf16")
    names = list(dict.fromkeys(["batchnorm", *arguments.defenses.split(",")]))

    seconds: dict[tuple[str, str], list[float]] = {}
    for _ in range(arguments.rounds):
        for name in names:
            for precision in precisions:
                took = ours(name, precision, dataset, images, arguments)
                seconds.setdefault((name, precision), []).append(took)
            if name in WITH_PEER:
                took = theirs(name, dataset, images, arguments)
                seconds.setdefault((name, "plain"), []).append(took)

    cases = {}
    for name in names:
        for precision in precisions:
            suffix = "" if precision == precisions[0] else f"/{precision}"
            mine = seconds[name, precision]
            if name in WITH_PEER:
                cases[f"training/{name}{suffix}"] = case_of(mine, seconds[name, "plain"])
            if name != "batchnorm":
                peer = seconds["batchnorm", precision]
                cases[f"training/{name}{suffix}/batchnorm"] = case_of(mine, peer)
    table = pd.DataFrame(
        {
            "defense": name,
            "precision": precision,
            "images_per_second": len(images) / statistics.median(took),
            "step_ms": 1e3 * statistics.median(took) / (4 * images.batch_count(arguments.batch)),
            "memory_mib": (
                float("nan") if precision == "plain"
                else memory(name, precision, dataset, arguments)
            ),
        }
        for (name, precision), took in seconds.items()
    )  # fmt: skip
    if arguments.csv:
        write_text(arguments.csv, table.round(2).to_csv(index=False))
    print(f"ResNet-18 of width {arguments.width} on {len(images)} images of {dataset.name}")
    print(f"batches of {arguments.batch}, 4 replays; {precisions[0]} unless a case says otherwise")
    print(table.round(1).to_string(index=False))
    share = data_seconds(images, arguments) / min(map(statistics.median, seconds.values()))
    print(f"data: {100 * share:.1f}% of the fastest epoch")
    report(cases, arguments.json)


if __name__ == "__main__":
    main()
