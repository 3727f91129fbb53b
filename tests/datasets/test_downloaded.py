"""The registered data sets: embedded ones as they are, downloaded ones through stand-ins."""

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
import torch
import torchvision.datasets
from PIL import Image

from robench.data import ImageStream, load_dataset
from robench.errors import UserError
from robench.registry import Entry, datasets


@pytest.mark.parametrize(
    ("name", "train", "test", "size"),
    [("mnist5k", 4000, 1000, (28, 28)), ("digits", 1438, 359, (8, 8))],
)
def test_embedded_data_sets_are_real_and_always_the_same(
    name: str, train: int, test: int, size: tuple[int, int]
) -> None:
    data: Any = load_dataset(name)
    assert (len(data.train), len(data.test), data.image_size) == (train, test, size)
    assert (data.num_classes, data.in_channels) == (10, 1)
    assert data.train.images.max() == 255
    assert data.test.labels.bincount().min() >= test // 10 - 2
    assert data.fingerprint == load_dataset(name).fingerprint
    pixels = data.train.images.float() / 255
    assert pixels.mean().item() == pytest.approx(data.mean[0], abs=0.01)
    assert pixels.std().item() == pytest.approx(data.std[0], abs=0.01)


def test_train_and_test_of_mnist5k_share_no_image() -> None:
    data: Any = load_dataset("mnist5k")
    images = {tuple(image.flatten().tolist()) for image in data.train.images}
    shared = sum(tuple(image.flatten().tolist()) in images for image in data.test.images)
    assert shared == 0


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
    ],
)
def test_a_failed_download_says_which_files_to_put_where(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, attribute: str, files: str
) -> None:
    def offline(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(torchvision.datasets, attribute, offline)
    with pytest.raises(UserError, match=rf"{name} is not whole .* \(no network\); put {files}"):
        load_dataset(name, tmp_path)


@pytest.mark.parametrize(
    "error", [RuntimeError, IncompleteRead, tarfile.ReadError, pickle.UnpicklingError, zlib.error]
)
def test_a_cut_connection_or_damaged_archive_is_the_users_to_mend(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: Callable[[Any], Exception]
) -> None:
    def damaged(*_: object, **__: object) -> None:
        raise error(b"12 bytes")

    monkeypatch.setattr(torchvision.datasets, "CIFAR10", damaged)
    with pytest.raises(UserError, match="cifar10 is not whole"):
        load_dataset("cifar10", tmp_path)


def test_a_real_archive_with_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    for name in ("train_32x32.mat", "test_32x32.mat"):
        (tmp_path / name).write_bytes(b"not the archive")
    with (
        unittest.mock.patch("torchvision.datasets.utils._urlretrieve", side_effect=OSError("down")),
        pytest.raises(UserError, match=r"svhn is not whole .*down"),
    ):
        load_dataset("svhn", tmp_path)


def test_a_tilde_in_the_data_dir_is_the_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(torchvision.datasets, "CIFAR10", stand_in((32, 32, 3)))
    load_dataset("cifar10", "~/pictures")
    assert (tmp_path / "pictures").is_dir()


def test_a_registered_function_that_returns_no_data_set_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wrong = Entry[Any]("mnist5k", lambda _: {}, "", "", "mine.py")
    monkeypatch.setattr(datasets, "get", lambda _: wrong)
    with pytest.raises(UserError, match=r"'mnist5k' of mine\.py is a dict; .* robench\.DataSet"):
        load_dataset("mnist5k")


def test_an_unknown_name_is_told_with_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'cifar10' or 'cifar100'"):
        load_dataset("cifar-10")


@pytest.fixture
def imagenet(tmp_path: Path) -> Path:
    """A tiny folder in ImageNet's layout, images of various sizes."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 5), ("val", 2)):
        for name in ("n01", "n02"):
            (tmp_path / part / name).mkdir(parents=True)
            for index in range(count):
                size = (240 + 8 * index, 300, 3)
                Image.fromarray(rng.integers(0, 256, size, dtype=np.uint8)).save(
                    tmp_path / part / name / f"{index}.png"
                )
    return tmp_path


def test_imagenet_streams_crops_of_one_size(imagenet: Path) -> None:
    data = load_dataset("imagenet", imagenet)
    assert isinstance(data.train, ImageStream)
    assert data.image_size == (224, 224)
    pairs = list(data.train.batches(4, generator=torch.Generator().manual_seed(0)))
    assert [len(labels) for _, labels in pairs] == [4, 4, 2]
    assert len(pairs) == data.train.batch_count(4)
    assert all(images.shape[1:] == (3, 224, 224) for images, _ in pairs)
    assert all(images.min() >= 0 and images.max() <= 1 for images, _ in pairs)
    assert sorted(torch.cat([labels for _, labels in pairs]).tolist()) == [0] * 5 + [1] * 5


def test_the_number_of_workers_does_not_change_a_batch(imagenet: Path) -> None:
    data = load_dataset("imagenet", imagenet)
    passes = []
    for workers in (0, 2):
        stream = ImageStream(data.train.files, data.train.root, workers=workers)  # type: ignore[union-attr]
        batches = stream.batches(4, generator=torch.Generator().manual_seed(5))
        passes.append(torch.cat([images for images, _ in batches]))
    assert torch.equal(*passes)


def test_an_evaluation_sample_of_a_stream_is_balanced_and_in_memory(imagenet: Path) -> None:
    data = load_dataset("imagenet", imagenet)
    assert isinstance(data.test, ImageStream)
    sample = data.test.to_images(2, seed=0)
    assert sorted(sample.labels.tolist()) == [0, 1]
    assert sample.images.shape == (2, 3, 224, 224)
    whole = next(data.test.batches(4))[0]
    assert any(torch.allclose(sample.images[0] / 255, image) for image in whole)


def test_imagenet_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no .*train; put ImageNet there"):
        load_dataset("imagenet", tmp_path)
