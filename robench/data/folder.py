"""Data sets from your own image files, with one folder per class."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor
from torchvision.datasets.folder import IMG_EXTENSIONS

from robench.data.augment import Augmentation
from robench.data.dataset import DataSet
from robench.data.decode import decode
from robench.data.images import Images
from robench.data.sampling import split_validation
from robench.errors import UserError

TEST_NAMES = ("test", "val", "valid", "validation")


def list_images(folder: Path) -> tuple[tuple[str, ...], list[tuple[Path, int]]]:
    """Return the class names below a folder and (file, label) of its images, sorted.

    Raises:
        UserError: if there are fewer than two classes, or a class has no images.
    """
    classes = sorted(p.name for p in folder.iterdir() if p.is_dir() and p.name[0] != ".")
    if len(classes) < 2:
        found = f"only the class '{classes[0]}'" if classes else "no class folders"
        raise UserError(
            f"{folder} has {found}; use one folder per class, for at least two classes."
        )
    files = []
    for label, name in enumerate(classes):
        images = sorted(p for p in (folder / name).iterdir() if _is_image(p))
        if not images:
            raise UserError(f"the class folder {folder / name} has no images; fill or remove it.")
        files += [(path, label) for path in images]
    return tuple(classes), files


def load_folder(path: Path) -> DataSet:
    """Read ``path/train/<class>/*`` and ``path/test/<class>/*`` into memory.

    ``val`` may stand in for ``test``. If the class folders are directly in ``path``, a fixed fifth
    of each class is the test part. Images have one channel if all files are grayscale, else three,
    and must have the same size; mean and std are those of the training part.

    Raises:
        UserError: for a missing folder, fewer than two classes, differing classes, too few images
            to hold some out, a damaged image or differing sizes.
    """
    if not path.is_dir():
        raise UserError(f"no image folder {path} found; name one with --data-dir.")
    test_folder = next((path / n for n in TEST_NAMES if (path / n).is_dir()), None)
    if (path / "train").is_dir():
        if test_folder is None:
            raise UserError(f"{path} has 'train' but no 'test' folder; add {path / 'test'}.")
        classes, train_files = list_images(path / "train")
        test_classes, test_files = list_images(test_folder)
        if classes != test_classes:
            odd = sorted(set(classes) ^ set(test_classes))[0]
            raise UserError(
                f"the class '{odd}' is not in both {path / 'train'} and {test_folder}; "
                f"both need the same classes."
            )
        train, test = _load(train_files), _load(test_files)
    else:
        classes, files = list_images(path)
        train, test = split_validation(_load(files), 0.2, seed=0)
        for label, name in enumerate(classes):
            if not (test.labels == label).any():
                raise UserError(
                    f"the class folder {path / name} has too few images to hold out a fifth for "
                    f"testing; add some, or make folders {path / 'train'} and {path / 'test'}."
                )
    if train.images.shape[2:] != test.images.shape[2:]:
        sizes = [f"{i.images.shape[3]}x{i.images.shape[2]}" for i in (train, test)]
        raise UserError(
            f"training images in {path} are {sizes[0]} but test images are {sizes[1]}; "
            f"resize them to one size."
        )
    channels = max(train.images.shape[1], test.images.shape[1])
    train, test = _with_channels(train, channels), _with_channels(test, channels)
    mean, std = channel_statistics(train.images)
    size = min(train.images.shape[-2:])
    return DataSet(
        name=path.resolve().name,
        train=train,
        test=test,
        classes=classes,
        mean=mean,
        std=std,
        augmentation=Augmentation(crop_padding=size // 8, flip=True),
    )


def channel_statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the mean and standard deviation of each channel, in [0, 1], to four digits.

    Args:
        images: (N, C, H, W) uint8.
    """
    means, stds = [], []
    for channel in images.unbind(1):
        # From the counts of the 256 values: exact, and no float copy of all images.
        # One slice at a time, because bincount copies its input to int64.
        parts = [torch.bincount(p.flatten(), minlength=256) for p in channel.split(4096)]
        counts = torch.stack(parts).sum(0).double()
        values = torch.arange(256, dtype=torch.float64) / 255
        mean = (counts * values).sum() / counts.sum()
        variance = (counts * (values - mean) ** 2).sum() / counts.sum()
        means.append(round(float(mean), 4))
        stds.append(max(round(float(variance.sqrt()), 4), 1e-4))  # a constant channel is legal
    return tuple(means), tuple(stds)


def _load(files: Sequence[tuple[Path, int]]) -> Images:
    paths = [path for path, _ in files]
    # Many files per task: submitting a task costs as much as decoding a 32x32 image.
    tasks = [paths[start : start + 256] for start in range(0, len(paths), 256)]
    with ThreadPoolExecutor() as pool:
        images = [image for part in pool.map(_decode_all, tasks) for image in part]
    for image, (path, _) in zip(images, files, strict=True):
        if image.shape[1:] != images[0].shape[1:]:
            sizes = [f"{i.shape[2]}x{i.shape[1]}" for i in (images[0], image)]
            raise UserError(
                f"{files[0][0]} is {sizes[0]} but {path} is {sizes[1]}; resize them to one size."
            )
    channels = max(len(image) for image in images)
    pixels = torch.stack([image.expand(channels, -1, -1) for image in images])
    return Images(pixels, torch.tensor([label for _, label in files]))


def _decode_all(paths: Sequence[Path]) -> list[Tensor]:
    return [decode(path) for path in paths]


def _with_channels(images: Images, channels: int) -> Images:
    pixels = images.images.expand(-1, channels, -1, -1).contiguous()
    return Images(pixels, images.labels)


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMG_EXTENSIONS and path.name[0] != "."
