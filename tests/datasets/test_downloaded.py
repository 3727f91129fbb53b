"""Data sets that torchvision downloads, through stand-ins."""

import pickle
import tarfile
import unittest.mock
import zlib
from collections.abc import Callable
from http.client import IncompleteRead
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torchvision.datasets

from robench.data import load_dataset
from robench.errors import UserError


class StandIn:
    """A torchvision data set without a download."""

    classes = tuple(f"c{i}" for i in range(10))

    def __init__(self, data: np.ndarray, labels: list[int], attribute: str = "targets") -> None:
        self.data = data
        setattr(self, attribute, labels)


def stand_in(shape: tuple[int, ...], attribute: str = "targets") -> Callable[..., StandIn]:
    def make(root: Path, **options: object) -> StandIn:
        assert options.pop("download") is True
        train = options.get("train", options.get("split") == "train")
        count = 12 if train else 6
        pixels = np.arange(count * int(np.prod(shape))).reshape(count, *shape) % 256
        return StandIn(pixels.astype(np.uint8), [i % 10 for i in range(count)], attribute)

    return make


@pytest.mark.parametrize(
    ("name", "attribute", "shape", "labels", "channels", "size"),
    [
        ("cifar10", "CIFAR10", (32, 32, 3), "targets", 3, (32, 32)),
        ("cifar100", "CIFAR100", (32, 32, 3), "targets", 3, (32, 32)),
        ("fashion_mnist", "FashionMNIST", (28, 28), "targets", 1, (28, 28)),
        ("svhn", "SVHN", (3, 32, 32), "labels", 3, (32, 32)),
        ("mnist", "MNIST", (28, 28), "targets", 1, (28, 28)),
        ("kmnist", "KMNIST", (28, 28), "targets", 1, (28, 28)),
    ],
)
def test_torchvision_s_arrays_become_channel_first_images(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    name: str,
    attribute: str,
    shape: tuple[int, ...],
    labels: str,
    channels: int,
    size: tuple[int, int],
) -> None:
    part = stand_in(shape, labels)
    monkeypatch.setattr(torchvision.datasets, attribute, part)
    data: Any = load_dataset(name, tmp_path)
    assert data.train.images.shape == (12, channels, *size)
    assert len(data.test) == 6
    assert len(data.mean) == len(data.std) == channels
    source = part(tmp_path, train=True, split="train", download=True).data[3]
    expected = source if shape[0] == 3 else np.moveaxis(np.atleast_3d(source), 2, 0)
    assert np.array_equal(data.train.images[3].numpy(), expected)


@pytest.mark.parametrize(
    ("name", "attribute", "files"),
    [
        ("cifar10", "CIFAR10", "cifar-10-python.tar.gz"),
        ("cifar100", "CIFAR100", "cifar-100-python.tar.gz"),
        ("fashion_mnist", "FashionMNIST", "its four .* in FashionMNIST/raw"),
        ("svhn", "SVHN", "train_32x32.mat and test_32x32.mat"),
        ("mnist", "MNIST", "its four .* in MNIST/raw"),
        ("kmnist", "KMNIST", "its four .* in KMNIST/raw"),
        ("emnist", "EMNIST", "its emnist-balanced-.* in EMNIST/raw"),
    ],
)
def test_a_failed_download_says_which_files_to_put_where(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, attribute: str, files: str
) -> None:
    def offline(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(torchvision.datasets, attribute, offline)
    with pytest.raises(
        UserError, match=rf"{name} is missing or incomplete .* \(no network\); put {files}"
    ):
        load_dataset(name, tmp_path)


@pytest.mark.parametrize(
    "error", [RuntimeError, IncompleteRead, tarfile.ReadError, pickle.UnpicklingError, zlib.error]
)
def test_a_cut_connection_or_damaged_archive_is_the_users_to_fix(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: Callable[[Any], Exception]
) -> None:
    def damaged(*_: object, **__: object) -> None:
        raise error(b"12 bytes")

    monkeypatch.setattr(torchvision.datasets, "CIFAR10", damaged)
    with pytest.raises(UserError, match="cifar10 is missing or incomplete"):
        load_dataset("cifar10", tmp_path)


def test_a_real_archive_with_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    for name in ("train_32x32.mat", "test_32x32.mat"):
        (tmp_path / name).write_bytes(b"not the archive")
    with (
        unittest.mock.patch("torchvision.datasets.utils._urlretrieve", side_effect=OSError("down")),
        pytest.raises(UserError, match=r"svhn is missing or incomplete .*down"),
    ):
        load_dataset("svhn", tmp_path)


def test_a_tilde_in_the_data_dir_is_the_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(torchvision.datasets, "CIFAR10", stand_in((32, 32, 3)))
    load_dataset("cifar10", "~/pictures")
    assert (tmp_path / "pictures").is_dir()


def test_the_training_part_is_read_when_it_is_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[bool] = []

    def part(root: Path, train: bool, download: bool) -> StandIn:
        asked.append(train)
        return stand_in((32, 32, 3))(root, train=train, download=download)

    monkeypatch.setattr(torchvision.datasets, "CIFAR10", part)
    data = load_dataset("cifar10", tmp_path)
    assert (len(data.test), data.in_channels, data.image_size) == (6, 3, (32, 32))
    assert asked == [False]
    assert len(data.train) == 12
    assert data.fingerprint
    assert asked == [False, True]
