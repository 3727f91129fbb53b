"""Time what a folder of ImageNet's size costs before and while a network is trained on it.

The folder is made up: JPEG files of 500x375 pixels and some 110 kB, as those of ImageNet are on
average, in one folder per class. Compared with torchvision's ImageFolder and torch's DataLoader,
with the same crops, flips, batches and workers.

    python benchmarks/imagenet.py --folder DIR
    python benchmarks/imagenet.py --quick
"""

import os
import tempfile
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from common import Case, options, paired, report, timed
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from robench import Augmentation
from robench.data.index import kept_file, list_now
from robench.data.unread import UnreadStream
from robench.models.build import build_model
from robench.models.complexity import measure_complexity
from robench.registry import defenses

BATCH = 64
CLASSES = 100
IMAGENET = 1_281_167
"""Number of training images of ImageNet."""


def make_folder(folder: Path, images: int) -> None:
    """Make a folder of images; those that are there already stay."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (CLASSES, 24, 32, 3), dtype=np.uint8)
    for number in range(images):
        label = number % CLASSES
        path = folder / f"n{label:08}" / f"n{label:08}_{number}.JPEG"
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        smooth = Image.fromarray(coarse[label]).resize((500, 375), Image.Resampling.BICUBIC)
        noise = rng.normal(0, 14, (375, 500, 1)) + rng.normal(0, 6, (375, 500, 3))
        pixels = np.clip(np.asarray(smooth) + noise, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(path, quality=90)
    for path in [folder, *folder.iterdir()]:
        os.utime(path, (1e9, 1e9))  # the list of a folder that has just changed is not kept


def listing(folder: Path) -> None:
    """Print the seconds until the images and their sizes are known."""
    kept = kept_file(folder)
    kept.unlink(missing_ok=True)
    now = timed(lambda: list_now(folder))
    first = timed(lambda: UnreadStream(folder).hash())
    again = timed(lambda: UnreadStream(folder).hash())
    theirs = timed(lambda: ImageFolder(folder))
    count = len(UnreadStream(folder))
    scale = IMAGENET / count
    print(f"{count} images; seconds, and those of {IMAGENET} extrapolated")
    print(f"  listed with sizes         {now:8.2f} {now * scale:8.1f}")
    print(f"  the same, kept and hashed {first:8.2f} {first * scale:8.1f}")
    print(f"  from the kept list        {again:8.2f} {again * scale:8.1f}")
    print(f"  ImageFolder, no sizes     {theirs:8.2f} {theirs * scale:8.1f}", flush=True)


def stream_cases(folder: Path, images: int, workers: int, rounds: int) -> dict[str, Case]:
    """Return the seconds of reading so many images in random crops, ours and theirs."""
    batches = images // BATCH
    stream = UnreadStream(folder)
    object.__setattr__(stream, "workers", workers)
    crops = v2.Compose([v2.RandomResizedCrop(224), v2.RandomHorizontalFlip(), v2.PILToTensor()])
    theirs: DataLoader[Any] = DataLoader(
        ImageFolder(folder, transform=crops), BATCH, shuffle=True, num_workers=workers
    )

    def ours() -> Iterator[Any]:
        generator = torch.Generator().manual_seed(0)
        return stream.batches(BATCH, generator=generator, augmentation=Augmentation(flip=True))

    def read(pairs: Any) -> None:
        for pixels, _ in islice(pairs, batches):
            pixels.float()

    case = paired(lambda: read(ours()), lambda: read(theirs), rounds)
    for who, seconds in zip(("ours", "DataLoader"), case[:2], strict=True):
        print(f"  {batches * BATCH / seconds:6.0f} images per second, {who}", flush=True)
    return {f"{batches * BATCH} images, {workers} workers": case}


def resuming(folder: Path) -> None:
    """Print the seconds until the first minibatch, of a whole epoch and of its second half."""
    stream = UnreadStream(folder)
    batches = stream.batch_count(BATCH)
    for skip in (0, batches // 2):
        generator = torch.Generator().manual_seed(0)
        pairs = stream.batches(BATCH, generator=generator, skip=skip)
        print(f"  first minibatch after {skip:5}: {timed(partial(next, pairs)):.2f} s", flush=True)
        del pairs


def evaluation(folder: Path, images: int) -> None:
    """Print what a test sample takes, and how much memory it holds."""
    stream, process = UnreadStream(folder), psutil.Process()
    held = _held(process)
    found: list[Any] = []
    seconds = timed(lambda: found.append(stream.to_images(images, seed=0)))
    size = found[0].images.numel() / 2**20
    more = (_held(process) - held) / 2**20
    print(
        f"  {images} test images in {seconds:.1f} s ({images / seconds:.0f} per second): "
        f"{size:.0f} MiB, of which {more:.0f} MiB are held in memory",
        flush=True,
    )


def _held(process: psutil.Process) -> int:
    """Return the bytes of a process that are not pages of files, which the system may drop."""
    memory = process.memory_info()
    return int(memory.rss - getattr(memory, "shared", 0))


def memory(names: list[str], batch: int) -> None:
    """Print what a training step on 224x224 images takes."""
    for name in names:
        for defense in ("batchnorm", "convnorm"):
            built = defenses.build(defense)
            model = build_model(
                name, width=64, stem="imagenet", defense=defense, num_classes=1000, in_channels=3,
                image_size=(224, 224), mean=(0.5,) * 3, std=(0.25,) * 3,
            )  # fmt: skip
            costs = measure_complexity(
                model.to(memory_format=torch.channels_last), built,
                torch.zeros(batch, 3, 224, 224), precision="bf16",
            )  # fmt: skip
            print(
                f"  {name}, {defense}: {costs.parameters / 1e6:.1f} M parameters, "
                f"{costs.training_memory_mib:,.0f} MiB for a step of {batch} images",
                flush=True,
            )


def main() -> None:
    parser = options(str(__doc__).split("\n", 1)[0], images=20_000, workers=2, rounds=3)
    parser.add_argument("--folder", type=Path, help="where the images are made, and stay")
    arguments = parser.parse_args()
    images, few, names = arguments.images, 5_000, ["resnet50", "resnet152"]
    if arguments.quick:
        images, few, names = 2_000, 1_000, ["resnet50"]
    few = min(few, images)
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.folder or Path(scratch) / "images"
        print(f"making {images} images in {folder}", flush=True)
        make_folder(folder, images)
        sizes = list_now(folder).sizes
        print(f"{sum(sizes) / len(sizes) / 1e3:.0f} kB a file on average")
        listing(folder)
        cases = stream_cases(folder, few, arguments.workers, arguments.rounds)
        resuming(folder)
        evaluation(folder, images if arguments.quick else min(10_000, images))
        memory(names, 8)
        report(cases, arguments.json)


if __name__ == "__main__":
    main()
